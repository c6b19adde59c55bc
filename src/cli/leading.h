/* leading.h - what one server of a cluster does for all: scheduling, controllers, backups. It is made when this server
 * begins to lead and goes when it no longer does. */
#pragma once

#include "apiserver/apiserver.h"
#include "cli/cli.h"

struct leading;

struct leading_options {
    struct store *store; /* all of these outlive it */
    struct apiserver *api;
    struct executor *executor;
    struct node_sessions *sessions;
    const struct instance *instance;
    const char *backup_to; /* NULL: nowhere */
    struct str pod_cidr;
    struct str name;    /* of this server, unlike all others' */
    struct str address; /* "host:port" where the others reach its API */
};

/* Campaigns. On a store that is not shared the work has begun on return, and what keeps it from that is the error; on a
 * shared one it begins whenever this server leads, and what keeps it from that ends the process. */
int leading_start(const struct leading_options *options, struct leading **ret_leading, struct err *err);
/* What up tells about a shared store: who leads, once that is known; waits for it a few seconds. */
void leading_describe(struct leading *leading, char out[2 * STORE_LEADER_NAME_MAX]);
/* Ends the work, and the term: another server leads at once. */
struct leading *leading_end(struct leading *leading);
