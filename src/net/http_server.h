/* http_server.h - HTTP/1.1 and HTTP/2 over TLS (or plain, for tests), on libuv loops; one loop a thread.
 *
 * The loops only move bytes. When a request's head is complete, route() chooses: collect the body (up to max_body,
 * else 413) and call handle(), or stream it. handle() runs on the loop's thread and must not block: it answers at
 * once or posts to an executor. An exchange lives until its reply was ended and both sides are done with it: reply
 * functions may be called from any thread, one thread at a time, until http_reply_end() (or http_exchange_abort());
 * after that the exchange must not be touched. When the client is gone, replies are dropped silently and cancelled()
 * is true.
 *
 * Limits against hostile clients: head size, header count, body size, time for a head, idle time, write stall time,
 * streams and connections; each is an option with a sane default. Bodies, arenas of exchanges, answers that wait for
 * their readers and what connections hold back come out of one budget of memory: when it is nearly used up, new
 * requests get 429; one that finds it empty is broken off. Beyond the cap of connections, the one that was idle longest
 * makes room. */
#pragma once

#include "base/arena.h"
#include "base/blob.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "net/http.h"
#include "net/tls.h"

struct http_server;
struct http_exchange;

struct http_request {
    enum http_method method;
    struct str method_name, target, path, query; /* path: raw, still escaped; target: path?query */
    const struct http_header *headers;
    size_t header_count;
    struct str body; /* when collected */
    int major;       /* 1 or 2 */
    const struct tls_identity *peer; /* never NULL */
    struct str remote_address;       /* without port */
};
struct str http_request_header(const struct http_request *request, struct str lower_case_name);

enum http_body_mode { HTTP_BODY_COLLECT, HTTP_BODY_STREAM };

struct http_handler {
    void *ctx;
    enum http_body_mode (*route)(void *ctx, const struct http_request *head); /* NULL: always collect */
    void (*handle)(void *ctx, struct http_exchange *exchange);
    /* What is said (as JSON) to a client whose request is refused before handle() sees it; NULL: the status as text. */
    void (*refusal)(void *ctx, int status, struct buf *body);
};

struct http_server_options {
    const char *address; /* "127.0.0.1", "::", ... */
    int port;            /* 0: any free one, see http_server_port() */
    struct tls_context *tls; /* NULL: plain */
    int loops;               /* threads; 0: 2 */
    struct http_handler handler;
    size_t max_body, max_head;     /* 0: 3 MiB (413), 64 KiB (431) */
    size_t max_memory;             /* 0: 1 GiB (429) */
    int max_connections, max_streams; /* 0: 20000; 1000 a connection */
    nsec_t head_timeout, idle_timeout, stall_timeout; /* 0: 10 s, 5 min, 30 s */
};

int http_server_start(const struct http_server_options *options, struct http_server **ret_server, struct err *err);
int http_server_port(const struct http_server *server);
/* Stops accepting, ends streams, waits for exchanges that are being handled, joins the threads. */
struct http_server *http_server_stop(struct http_server *server);
DEFINE_AUTO(http_server, http_server_stop)

const struct http_request *http_exchange_request(struct http_exchange *exchange);
struct arena *http_exchange_arena(struct http_exchange *exchange); /* of the one who handles it */

/* A whole reply; body is copied. Ends the exchange. */
void http_reply(struct http_exchange *exchange, int status, const char *content_type, struct str body);
/* Without a copy: parts are counted blobs or static strings. */
struct http_part {
    struct str bytes;
    struct blob *blob; /* bytes lie in it; referenced by the call; NULL: bytes are copied */
};
void http_reply_parts(struct http_exchange *exchange, int status, const char *content_type,
                      const struct http_part *parts, size_t count);
/* Before http_reply*(): one more header; both are copied. */
void http_reply_header(struct http_exchange *exchange, const char *name, struct str value);

/* A streamed reply. */
struct http_stream_events {
    void *ctx;
    void (*drained)(void *ctx);             /* on the loop: queued bytes fell below the low mark */
    /* On the loop, at most once: the client is gone or the server stops; end the exchange soon. */
    void (*closed)(void *ctx);
    void (*data)(void *ctx, struct str bytes, bool end); /* HTTP_BODY_STREAM: on the loop, as it arrives */
    /* On the loop, last of all, after the end: no other event runs or will; free ctx here. */
    void (*released)(void *ctx);
};
/* Without released, http_reply_end() and http_exchange_abort() from another thread wait for an event that is
 * running, so that ctx may be freed after them: hold no lock then that an event takes. */
void http_exchange_events(struct http_exchange *exchange, const struct http_stream_events *events);
void http_reply_begin(struct http_exchange *exchange, int status, const char *content_type);
/* Queues; copies bytes unless in a blob. Returns the bytes queued and not yet taken by the kernel: above
 * HTTP_QUEUE_HIGH the caller should wait for drained(). */
size_t http_reply_write(struct http_exchange *exchange, const struct http_part *parts, size_t count);
void http_reply_end(struct http_exchange *exchange);
/* HTTP_BODY_STREAM: true: no more data events, the client is held back; false: go on. Any thread. */
void http_exchange_pause(struct http_exchange *exchange, bool paused);
/* A reply that is cut short must end so, also after closed(): the client would take http_reply_end() for its true
 * end. */
void http_exchange_abort(struct http_exchange *exchange); /* closes without a clean end (RST_STREAM, no last chunk) */
bool http_exchange_cancelled(struct http_exchange *exchange);
/* Takes over an HTTP/1.1 connection whose client asked for another protocol: 101, http_reply_header()'s headers,
 * then bytes as they come, both ways. The client's go to events.data() (end: it sends no more),
 * http_exchange_pause() holds it back; http_reply_write() sends, http_reply_end() flushes and closes. A reader may
 * be slow for as long as it likes. Instead of http_reply_begin(); events.data is needed. False: the request asks for
 * no upgrade (HTTP/2 has none); nothing was done. */
bool http_exchange_upgrade(struct http_exchange *exchange, struct str protocol, const struct http_stream_events *events);
bool http_request_wants_upgrade(const struct http_request *request);
#define HTTP_QUEUE_HIGH (256u << 10)
#define HTTP_QUEUE_LOW (64u << 10)
