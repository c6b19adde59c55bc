/* server.h - the API server's inside, for the files of this folder only. */
#pragma once

#include "apiserver/apiserver.h"
#include "apiserver/request.h"
#include "apiserver/servers.h"
#include "base/list.h"
#include "base/map.h"
#include "base/sync.h"
#include "base/vec.h"

struct apiserver {
    struct apiserver_options options;
    struct map resources; /* "group/version/plural" -> struct resource_entry */
    VEC(const struct route *) routes;
    VEC(struct authorizer) authorizers;
    VEC(struct admission) admissions;
    VEC(const struct health_check *) health_checks;
    struct discovery *discovery;
    struct openapi_docs *openapi;
    struct customs *customs;
    struct metrics *metrics;
    struct tokens *tokens; /* of service accounts; NULL: there is no key */
    struct lengths *lengths; /* of objects in protobuf */
    atomic_ulong facts_made;  /* events that were parsed to tell whose they are */
    atomic_bool bootstrapped; /* what a new cluster has is there */
    _Atomic revision_t term;  /* in which this server leads; 0: it does not */
    struct peers peers;       /* the other servers of the cluster, as far as they say */
    struct mutex lock;   /* of options.rng and of streams */
    struct list streams; /* long answers under way (stream.c) */
    struct cond streams_gone;
    size_t stream_count;
    bool stopping;
    uint32_t service_net, service_bits; /* host byte order; prefix length */
};

struct resource_entry {
    struct str key;
    const struct resource *resource;
    const struct rules *rules;
};

/* NULL: none is served under that name. */
const struct resource_entry *apiserver_resource(struct apiserver *server, struct str group, struct str version,
                                                struct str plural);
void apiserver_uuid(struct apiserver *server, char out[UUID_LEN + 1]);
void apiserver_suffix(struct apiserver *server, char *out, size_t n);
uint64_t apiserver_random(struct apiserver *server, uint64_t bound);

/* Runs the request: sets the reply (an error becomes a Status), or request->list, ->watch, ->log, ->relay,
 * ->proxy or ->heartbeat. May block. */
void request_run(struct request *request);
/* True when request_run() of this request reads memory only, so that it may run on a network loop. */
bool request_is_quick(const struct request *request);
struct write;
/* The write that this request asks for, or NULL when it is none (or several): for those who commit without blocking. */
struct write *request_write(struct request *request, struct err *err, int *ret_code);

/* The verbs. */
int get_run(struct request *request, struct err *err);
int delete_collection_run(struct request *request, struct err *err);
int heartbeat_run(struct request *request, struct err *err);
int transaction_run(struct request *request, struct err *err);
int undo_run(struct request *request, struct err *err);
/* A creation of what is never kept: reviews; others are refused. */
int review_run(struct request *request, struct err *err);
int scale_get(struct request *request, struct err *err);
int token_request_run(struct request *request, struct err *err);

/* Long answers (stream.c): ends all and waits until they are gone. */
void streams_stop(struct apiserver *server);
const struct route *route_find(const struct apiserver *server, struct str path);

extern const struct route builtin_routes[];
extern const size_t builtin_route_count;
