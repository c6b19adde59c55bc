/* list.h - the objects of a resource at one revision, chunk by chunk: between two chunks nothing is held but a key. */
#pragma once

#include "apiserver/list_options.h"
#include "apiserver/request.h"
#include "apiserver/selection.h"

struct listing {
    struct request *request;
    struct selection selection;
    struct str base;          /* of the path: what continue tokens are relative to */
    struct store_scope scope; /* within it */
    revision_t revision;      /* of the whole list; 0: not begun */
    revision_t exact;         /* asked for; 0: the newest */
    struct str start;         /* next key to look at; empty: the first */
    struct str began;         /* where this page begins */
    char start_buf[STORE_KEY_MAX + 1];
    uint64_t limit, found; /* limit 0: none */
    uint64_t remaining;    /* with a limit and no selector: keys behind this page, when more */
    bool counted, more, ended;
    struct arena scratch; /* of selection and rows */
};

/* One object; text is valid until flush. Negative stops. */
struct list_sink {
    void *ctx;
    int (*item)(void *ctx, struct str key, struct str text, struct err *err);
    int (*flush)(void *ctx, struct err *err); /* the chunk's texts are about to go; may be NULL */
};

/* Reads the query: selectors, limit, continue, resourceVersion and its match. In the request's arena; give back with
 * list_close(). */
int list_open(struct request *request, struct listing **ret_list, struct err *err);
/* Without a query: for watches and collections. */
int list_open_with(struct request *request, const struct selection *selection, revision_t exact,
                   struct listing **ret_list, struct err *err);
struct listing *list_close(struct listing *list);
/* Up to about that many bytes of items. 1: there is more; 0: that was the end. */
int list_next(struct listing *list, const struct list_sink *sink, size_t max_bytes, struct err *err);
/* A place between two chunks, to go back to: the chunks behind it come again, at the same revision. */
struct list_place {
    char start[STORE_KEY_MAX + 1];
    size_t start_len;
    uint64_t found, remaining;
    bool counted;
};
void list_note_place(const struct listing *list, struct list_place *ret_place);
void list_go_back(struct listing *list, const struct list_place *place);
/* {"resourceVersion":"7","continue":"...","remainingItemCount":3} */
void list_write_meta(const struct listing *list, struct buf *buf);
/* The same list once more, from its beginning, at the same revision; list must have been probed and not read. */
int list_again(const struct listing *list, struct listing **ret_list, struct err *err);
/* Fixes the revision: fails now what would fail at the first chunk. An expired continue token's failure has a token
 * with which the list goes on at the newest revision. */
int list_probe(struct listing *list, struct err *err);
/* 504 with the cause that clients look for. */
int list_too_new(struct request *request, revision_t wanted, struct err *err);
