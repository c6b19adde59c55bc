/* watch.h - changes of a resource as they happen, pulled from the store at the reader's pace.
 *
 * watch_next() turns the store's events into what this watcher sees: ADDED and DELETED also when an object enters or
 * leaves its selection. Used over HTTP (watch_stream) and inside the process (local.c). */
#pragma once

#include "apiserver/list.h"
#include "apiserver/selection.h"
#include "client/client.h"
#include "store/store.h"

struct watch {
    struct request *request;
    struct selection selection;
    struct store_scope scope;
    struct store_watch *source;
    struct arena scratch;
    /* how it begins and ends, from the query */
    revision_t after;
    revision_t silent; /* events up to it are not told: the client says that it has seen them; 0: all are */
    bool initial;      /* send what exists first */
    bool initial_end;  /* and a bookmark that says so */
    bool bookmarks;
    nsec_t timeout;
};

/* Reads the query. Does not open the source. */
int watch_open(struct request *request, struct watch **ret_watch, struct err *err);
int watch_open_with(struct request *request, const struct selection *selection, revision_t after,
                    struct watch **ret_watch, struct err *err);
/* From watch->after on. ready: see store_watch_open(). */
int watch_start(struct watch *watch, void (*ready)(void *arg), void *arg, struct err *err);
struct watch *watch_close(struct watch *watch);

struct watched {
    enum watch_kind kind;
    struct store_event *event; /* one reference for the caller */
    bool left; /* DELETED because it left the selection: the object is event->previous with the event's revision */
};
/* As store_watch_step(): STORE_WATCH_MORE also after an event that was not for this watcher. */
int watch_step(struct watch *watch, struct watched *ret_watched, struct err *err);
/* 1, 0 or negative as store_watch_next(). */
int watch_next(struct watch *watch, struct watched *ret_watched, struct err *err);
/* The text of the watched object: the event's blob (*ret_blob set, no reference) or, for one that left, a text in
 * scratch. */
int watch_text(struct watch *watch, const struct watched *watched, struct str *ret_text, struct blob **ret_blob,
               struct err *err);

/* Answers request->watch on the exchange. Negative: nothing was begun. */
int watch_stream(struct request *request, struct http_exchange *exchange, struct err *err);
