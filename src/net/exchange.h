/* exchange.h - one request and its reply, between a protocol and the handler. Private to net/.
 *
 * It has two owners: the protocol, until exchange_detach(), and the handler, until it has ended the reply. When both
 * let go, the loop takes it back for the next request. What the protocol calls runs on the loop's thread. */
#pragma once

#include "net/conn.h"
#include "net/head.h"
#include "net/parts.h"

/* What the handler did since the loop last looked. */
enum exchange_note {
    NOTE_BEGIN = 1,
    NOTE_END = 2,
    NOTE_ABORT = 4,
    NOTE_BROKEN = 8, /* what it wrote could not be kept */
    NOTE_EVENTS = 16, /* events were set, or the pause was lifted */
};

struct http_exchange {
    struct http_request request;
    struct loop *loop;
    struct conn *conn; /* NULL: the protocol let go */
    struct peer *peer;
    struct list link;
    struct arena arena;
    struct head head;
    struct buf body; /* collected, or not yet given to the handler */
    size_t charged;  /* bytes of body in the server's budget */
    struct part_queue queue;
    nsec_t progress; /* when the client last took something */
    int32_t stream;  /* HTTP/2 */
    size_t head_bytes; /* HTTP/2: of the header list */
    int refuse;        /* a status to answer instead of calling the handler */
    bool streaming;  /* the body goes to data() */
    bool handled;    /* the handler was called */
    bool input_over, input_told;
    bool begun, ended, aborted, broken, head_sent, closed_told; /* broken: aborted, or bytes were lost */

    /* Set by the handler before it begins, then fixed. */
    int status;
    int64_t length; /* -1: a stream */
    bool upgrade;   /* the connection is the handler's after the head */
    struct buf fields;

    atomic_size_t queued;
    atomic_bool cancelled; /* not wanted any more */
    atomic_bool gone;      /* what is written now goes nowhere */

    /* Under loop->lock. */
    struct http_exchange *mail_next;
    struct part_queue inbox;
    unsigned notes;
    struct http_stream_events events;
    bool mailed, over, in_event, has_events, paused, want_drained;
};

struct http_exchange *exchange_new(struct conn *conn); /* NULL without memory */
void exchange_free(struct http_exchange *exchange);    /* really */
void exchange_recycle(struct http_exchange *exchange);

void exchange_route(struct http_exchange *exchange);  /* head is resolved: collect or stream */
void exchange_handle(struct http_exchange *exchange); /* calls the handler, once */
/* A piece of the body: 0, or the status to refuse the request with. */
int exchange_data(struct http_exchange *exchange, struct str bytes);
void exchange_data_over(struct http_exchange *exchange);
bool exchange_blocked(struct http_exchange *exchange); /* the handler does not take its body now */
/* count bytes of the queue were written. */
void exchange_sent(struct http_exchange *exchange, size_t count);
void exchange_cancel(struct http_exchange *exchange); /* tells the handler that it is not wanted any more */
void exchange_detach(struct http_exchange *exchange);
void exchange_take_mail(struct http_exchange *exchange);

static inline bool exchange_is_complete(const struct http_exchange *exchange)
{
    return exchange->ended && exchange->queue.bytes == 0;
}

/* True when there is so little memory left that no new request should be taken on. */
bool exchange_is_too_much(const struct http_exchange *exchange);
/* Replies in the place of the handler, which will not see the request; the rest of its body is dropped. */
void exchange_refuse(struct http_exchange *exchange, int status);
/* What to say to a client whose request is refused with that status; returns the content type. */
const char *refusal_write(struct loop *loop, int status, struct buf *body);
#define REFUSAL_RETRY "1" /* seconds: Retry-After of a 429 */

/* The headers that the handler set: returns false after the last. at begins with 0. */
bool exchange_field(const struct http_exchange *exchange, size_t *at, struct http_header *ret_field);
void exchange_lower_fields(struct http_exchange *exchange); /* their names, as HTTP/2 wants them */
/* True where a body never follows the head. */
bool exchange_has_no_body(const struct http_exchange *exchange);
