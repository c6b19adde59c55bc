/* asof.h - "?asOf=": reading the state of before. A value is a revision (all digits), or a time (RFC 3339), which means
 * the revision that was the newest then. */
#pragma once

#include "apiserver/request.h"

struct asof {
    revision_t revision;
    nsec_t time; /* Unix time; 0: not known */
};

/* Reads the value of the parameter `name`. ERR_BAD_REQUEST: it is neither, or lies in the future. ERR_EXPIRED: that
 * state is no longer retained. */
int asof_parse(struct request *request, struct store_snapshot *snapshot, const char *name, struct str text,
               struct asof *ret_asof, struct err *err);

/* Reads asOf into request->as_of, which stays 0 without it. ERR_BAD_REQUEST also for requests that it means nothing
 * to: all but gets and lists, and those of a certain resourceVersion. Does not block. On a store that several servers
 * share the value is looked at only when request->synced: until then it may be of a state that is still to come. */
int asof_read(struct request *request, struct err *err);
