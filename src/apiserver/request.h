/* request.h - one request on its way through the server, from wherever it came.
 *
 * Used by one thread at a time. All memory is in its arena; a blob or snapshot that the reply needs is held by the
 * request until request_release(). */
#pragma once

#include "apiserver/apiserver.h"
#include "apiserver/authn.h"
#include "apiserver/negotiate.h"
#include "apiserver/path.h"
#include "apiserver/status.h"
#include "base/arena.h"
#include "codec/json.h"
#include "net/http_server.h"
#include "schema/type.h"
#include "store/store.h"

struct rules;
struct custom;
struct overlay;
struct own_path;
struct listing;
struct watch;

#define REQUEST_WARNINGS_MAX 32
#define REPLY_HEADERS_MAX 4

struct reply {
    int status;               /* 0: none yet */
    const char *content_type; /* NULL: by media, for objects */
    struct blob *blob;        /* the bytes, or NULL: text */
    struct str text;
    bool object;  /* a stored object's JSON: still to be brought into version, shape and format asked for */
    bool failure; /* a Status that says what went wrong */
    const struct resource *resource; /* object: of what (its storage version), request->resource normally */
    struct str allow_origin;
    struct http_header headers[REPLY_HEADERS_MAX]; /* beside those every answer has; one of these takes its place */
    size_t header_count;
    struct str warnings[REQUEST_WARNINGS_MAX];
    size_t warning_count;
};

struct request {
    struct apiserver *server;
    struct arena *arena;
    enum http_method method;
    struct request_info info;
    const struct resource *resource; /* in the version asked for; NULL: not a resource, or ->own */
    const struct own_path *own;      /* a path of our own group (own.h); else NULL */
    struct custom *custom;           /* one reference to what a custom resource comes from; else NULL */
    const struct rules *rules;
    const struct subresource *subresource; /* NULL: the object itself */
    struct user user;
    bool allowed; /* an authorizer said so */
    struct http_params params;
    const struct http_request *http; /* NULL: a call inside the process */
    struct str body, content_type, accept, user_agent;
    nsec_t begun; /* clock_now() when it came; 0: its time is not measured */
    struct media media;
    bool synced;       /* it has waited for the newest state (newest.h) */
    revision_t as_of;  /* a get or list of the state at this revision; 0: the newest */
    nsec_t as_of_time; /* when that was, for ages; 0: now */
    const struct overlay *overlay; /* what earlier writes of the same transaction will have done; NULL: it is alone */
    struct str rule;   /* for the cause; unset: the verb */
    uint64_t trigger;
    revision_t term; /* for the cause: of the leadership it is made in; 0: whoever leads */
    bool dry_run;
    bool local;                /* from inside the process: no field warnings, no shapes */
    enum body_kind patch_kind; /* local patches */
    struct failure failure;
    struct reply reply;
    struct store_snapshot *snapshot; /* reply.text lies in it */

    /* Answers that are longer than one reply. At most one is set by request_run(). */
    struct listing *list;
    struct watch *watch;
    struct log_call *log;
    struct relay *relay;
    struct proxy *proxy;
    bool heartbeat;
};

/* Everything but arena and server is unset. */
void request_init(struct request *request, struct apiserver *server, struct arena *arena);
/* Gives back what the reply held. */
void request_release(struct request *request);

/* Path, query and media type; who asks; whether they may; which resource. Does not block. */
int request_route(struct request *request, const struct http_request *http, struct err *err);
/* As above for a call inside the process: resource and info are set already. */
int request_check(struct request *request, struct err *err);

/* Replies. text must live in the arena or be static. */
void reply_text(struct request *request, int status, const char *content_type, struct str text);
void reply_buf(struct request *request, int status, const char *content_type, struct buf *buf, struct err *err);
/* name is static, lower case; value lives in the arena. More than REPLY_HEADERS_MAX: ERR_INTERNAL. */
int reply_header(struct request *request, const char *name, struct str value, struct err *err);
/* One reference is taken over. */
void reply_object(struct request *request, int status, struct blob *blob);
void reply_object_text(struct request *request, int status, struct str text);
void reply_error(struct request *request, const struct err *err);
void request_warn(struct request *request, const char *fmt, ...) PRINTF(2, 3);
/* Brings the reply into the version, shape and format that was asked for; then reply.blob or reply.text is what to
 * send. On error it becomes that error. */
void reply_finish(struct request *request);

/* The store's key of an object of this request's resource; in the arena. */
struct str request_key(struct request *request, struct str ns, struct str name);
struct str request_prefix(struct request *request, struct str ns);
struct store_cause request_cause(const struct request *request);
struct str request_param(const struct request *request, const char *name);
/* Storage version. */
static inline const struct resource *request_storage(const struct request *request)
{
    return request->resource->storage;
}
