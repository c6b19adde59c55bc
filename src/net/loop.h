/* loop.h - what one loop's thread owns, without the loop itself: its connections and exchanges, shared buffers, and
 * the mailbox by which other threads reach it. Private to net/.
 *
 * Knows no sockets, so that tests and fuzzers drive the protocols from memory. All functions are for the loop's own
 * thread except those said to be for any. */
#pragma once

#include "base/buf.h"
#include "base/list.h"
#include "base/sync.h"
#include "net/http_server.h"

#include <uv.h> /* after base/: both define MIN and MAX, alike */

#define STAGING_BYTES (16u << 10) /* the plain text of one TLS record */

struct conn;

/* What all loops of a server share. */
struct server_shared {
    struct http_server_options options; /* all defaults filled in */
    atomic_int connections;
    struct arena_budget memory; /* what requests, answers under way and slow connections take */
};

struct loop {
    struct server_shared *shared;
    struct clock *clock;
    uv_thread_t thread;
    nsec_t now; /* of this turn */

    struct list conns; /* the one that was silent longest first */
    struct list dirty; /* has output to produce or is to be closed */
    struct list warm;  /* with TLS buffers, the one that was silent longest first */
    size_t warm_count;
    struct list done, spare;  /* exchanges that are over; and those kept for the next request */
    size_t spare_count;
    size_t open_count; /* exchanges in the hands of the handler */
    bool stopping;

    struct conn *owner; /* whose bytes lie in staging and out */
    char *staging;      /* plain text that waits to be encrypted */
    size_t staged;
    char *plain;    /* plain text just decrypted */
    struct buf out; /* bytes for the wire */

    char date[32]; /* value of the Date header */
    nsec_t date_at;

    struct mutex lock; /* of all below, and of what exchange.h says */
    struct cond event_over;
    struct http_exchange *mail_first, *mail_last;
    bool woken, dead;
    void (*wake)(struct loop *loop); /* any thread, under lock; NULL: nobody sleeps */
};

int loop_init(struct loop *loop, struct server_shared *shared, struct clock *clock, struct err *err);
void loop_deinit(struct loop *loop);

bool loop_is_current(const struct loop *loop); /* any thread */
void loop_begin(struct loop *loop);            /* a turn: takes the time */
void loop_end(struct loop *loop);              /* of a turn: takes the mail, writes, frees what is over */
void loop_tick(struct loop *loop);             /* now and then: what is overdue is ended */
bool loop_make_room(struct loop *loop);        /* closes an idle connection; false: there is none */
void loop_stop(struct loop *loop);             /* connections finish what they do and close */
void loop_kill(struct loop *loop);             /* connections close now */
bool loop_is_empty(const struct loop *loop);   /* neither connections nor exchanges are left */

void loop_post(struct loop *loop, struct http_exchange *exchange); /* any thread, under lock */
struct str loop_date(struct loop *loop);

/* Defaults for what is 0 in the options. */
void server_shared_init(struct server_shared *shared, const struct http_server_options *options);
