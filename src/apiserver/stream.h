/* stream.h - a long answer, made piece by piece at the pace of its reader.
 *
 * produce() runs on the server's executor, never twice at once: when the stream starts, when it is kicked, and when the
 * reader has caught up after the queue was full. Any thread may kick. */
#pragma once

#include "net/http_server.h"

struct apiserver;
struct stream;

enum stream_step {
    STREAM_MORE,    /* call again (when there is room) */
    STREAM_WAIT,    /* call again after a kick */
    STREAM_END,     /* all is written */
    STREAM_ABORT,   /* cannot go on: cut the connection */
    STREAM_REPLIED, /* stream_reply() has answered */
};

struct stream_ops {
    enum stream_step (*produce)(void *ctx, struct stream *stream);
    void (*release)(void *ctx); /* last; the exchange and its arena are still there */
};

/* Begins the reply with this status and type; status 0: produce() does that later. The stream ends itself. When it
 * fails, nothing was begun. */
int stream_start(struct apiserver *server, struct http_exchange *exchange, int status, const char *content_type,
                 const struct stream_ops *ops, void *ctx, struct err *err);
void stream_kick(struct stream *stream);
/* From produce() only, when nothing was begun: begin now, or answer as a whole (and return STREAM_REPLIED). */
void stream_begin(struct stream *stream, int status, const char *content_type);
void stream_reply(struct stream *stream, int status, const char *content_type, struct str body);
void stream_write(struct stream *stream, const struct http_part *parts, size_t count); /* from produce() only */
struct stream *stream_ref(struct stream *stream); /* for timers: keeps the memory, not the answer */
struct stream *stream_unref(struct stream *stream);
