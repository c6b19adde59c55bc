/* client.h - how every component reaches the API: the same calls in the server's process (no HTTP, no copy) and over
 * HTTPS. Calls block; use them from executor tasks. Any thread.
 *
 * Answers are JSON trees in the caller's arena or counted objects (object.h). Errors carry the Status's code and message. */
#pragma once

#include "base/arena.h"
#include "base/blob.h"
#include "base/clock.h"
#include "base/err.h"
#include "client/object.h"
#include "codec/json.h"
#include "schema/type.h"

struct client;
struct client_watch;
struct client_talk;

enum client_verb { CLIENT_GET, CLIENT_LIST, CLIENT_CREATE, CLIENT_UPDATE, CLIENT_PATCH, CLIENT_DELETE };
enum patch_kind { PATCH_JSON, PATCH_MERGE, PATCH_STRATEGIC };

struct client_call {
    enum client_verb verb;
    const struct resource *resource;
    struct str ns, name, subresource;
    struct str body;               /* JSON text of object, patch or DeleteOptions */
    enum patch_kind patch_kind;
    struct str label_selector, field_selector;
    struct str rule;               /* for the cause: "replicaset-controller: create pod" */
    uint64_t trigger;              /* for the cause: revision of the object that made us act */
};

/* A list's items come one by one; text is valid during the call. Negative stops the list with that code. */
typedef int client_item_fn(void *arg, struct str text, struct err *err);

struct client_ops {
    /* *ret_body: one reference, may be NULL for an empty answer. For CLIENT_LIST *ret_body is NULL and item is called. */
    int (*call)(struct client *client, const struct client_call *call, client_item_fn *item, void *item_arg,
                uint64_t *ret_revision, struct blob **ret_body, struct err *err);
    int (*watch)(struct client *client, const struct client_call *call, uint64_t after, void (*ready)(void *arg),
                 void *arg, struct client_watch **ret_watch, struct err *err);
    /* A POST for as long as both like: lines out, a line back for each. Only over HTTPS; NULL: not offered. */
    int (*talk)(struct client *client, const struct client_call *call, struct client_talk **ret_talk, struct err *err);
    struct client *(*free)(struct client *client);
};
struct client {
    const struct client_ops *ops;
};
static inline struct client *client_free(struct client *client)
{
    return client ? client->ops->free(client) : NULL;
}
DEFINE_AUTO(client, client_free)

/* -- watch: pulled, so that the reader sets the pace -- */

enum watch_kind { WATCH_ADDED, WATCH_MODIFIED, WATCH_DELETED, WATCH_BOOKMARK };
struct watch_event {
    enum watch_kind kind;
    struct object *object; /* one reference for the caller; NULL for bookmarks */
    uint64_t revision;
};
struct client_watch {
    /* 1: an event; 0: none now, ready() will be called (any thread, must not block); negative: ended
     * (ERR_EXPIRED/ERR_GONE: list again; others: watch again from the last revision). */
    int (*next)(struct client_watch *watch, struct watch_event *ret_event, struct err *err);
    struct client_watch *(*free)(struct client_watch *watch); /* afterwards ready is not running and never will */
    /* Everything up to this revision has been handed out by next(): also when nothing has happened to the watch's objects
     * since. Any thread, while none is in next(). NULL: the watch cannot tell. */
    uint64_t (*seen)(struct client_watch *watch);
};

/* -- talk: used by one thread at a time -- */

struct client_talk {
    /* Says a line and waits for the answer to it, "{}". Negative: the talk is over, free it. ERR_TIMEOUT; what the server
     * refused it with; ERR_UNAVAILABLE when it ended it. */
    int (*say)(struct client_talk *talk, struct str line, nsec_t timeout, struct err *err);
    struct client_talk *(*free)(struct client_talk *talk);
};

/* -- conveniences over ops->call; views are the generated structs, encoded by table -- */

int client_get(struct client *client, const struct resource *resource, struct str ns, struct str name,
               struct object **ret_object, struct err *err);
int client_create(struct client *client, const struct resource *resource, struct str ns, const void *view,
                  struct str rule, uint64_t trigger, struct object **ret_object /* or NULL */, struct err *err);
/* Writes view over the object; its metadata.resourceVersion guards it. subresource STR_NULL or "status". */
int client_update(struct client *client, const struct resource *resource, struct str subresource, const void *view,
                  struct str rule, uint64_t trigger, struct object **ret_object, struct err *err);
int client_patch(struct client *client, const struct resource *resource, struct str ns, struct str name,
                 struct str subresource, enum patch_kind kind, struct str patch, struct str rule, uint64_t trigger,
                 struct object **ret_object, struct err *err);
struct client_delete_options {
    struct str uid;                  /* precondition; unset: none */
    struct str propagation_policy;   /* "Background", "Foreground", "Orphan"; unset: the default */
    int64_t grace_seconds;           /* -1: the object's own */
};
int client_delete(struct client *client, const struct resource *resource, struct str ns, struct str name,
                  const struct client_delete_options *options, struct str rule, uint64_t trigger, struct err *err);

/* The same; *ret_object gets the object as it was left (marked, or as it was last) where the resource answers with it
 * (delete_returns_object), and stays untouched elsewhere. */
int client_delete_object(struct client *client, const struct resource *resource, struct str ns, struct str name,
                         const struct client_delete_options *options, struct str rule, uint64_t trigger,
                         struct object **ret_object, struct err *err);

/* Over HTTPS. The server's URL and PEM texts are copied. */
struct http_client;
struct client_config {
    struct str server; /* "https://127.0.0.1:6443" */
    struct str ca_pem, cert_pem, key_pem, token;
    bool insecure;          /* the server is not verified; only where a user asked for it */
    struct str user_agent;
};
int client_http_new(const struct client_config *config, struct client **ret_client, struct err *err);
