/* hearsay.h - where several servers share a store, the one that leads must know when each node was last heard of, by
 * whichever server: the others tell it, twice a second, all that they have heard since. Nothing of it is stored. */
#pragma once

#include "apiserver/apiserver.h"

struct hearsay;

struct hearsay_options {
    struct store *store; /* shared; all of these outlive it */
    struct executor *executor;
    struct clock *clock;
    struct node_sessions *sessions;
    struct str self; /* "host:port", where this server is reached */
    struct http_client *http; /* with a certificate of system:masters */
};

/* Tells whoever leads, unless that is this server itself. Troubles go to the log, once. */
int hearsay_new(const struct hearsay_options *options, struct hearsay **ret_hearsay, struct err *err);
struct hearsay *hearsay_free(struct hearsay *hearsay); /* waits for a round under way, a second at most */

/* POST /apis/caravel.io/v1/heartbeats, what the others say: {"server":"host:port","nodes":[["name", age in ms,
 * applied],...]}. The answer is
 * {"unknown":["name",...]}, nodes that are not there (any more). ERR_UNAVAILABLE: this server does not lead. */
int hearsay_run(struct request *request, struct err *err);
