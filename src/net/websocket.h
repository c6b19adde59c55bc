/* websocket.h - either side of a WebSocket (RFC 6455), without the connection: bytes in, bytes out.
 *
 * Messages are handed out piece by piece as they come, so that their length needs no limit. Pings are answered, a close
 * is answered, a violation is answered with a close. One thread at a time. */
#pragma once

#include "base/buf.h"
#include "net/http_server.h"

struct websocket;

struct websocket_events {
    void *ctx;
    /* A piece of a message; the one with last may be empty. Text and binary alike. */
    void (*message)(void *ctx, struct str bytes, bool last);
};

/* What is to be sent is appended to *out by the calls below. NULL without memory. */
struct websocket *websocket_new(const struct websocket_events *events, struct buf *out);        /* the server's side */
struct websocket *websocket_client_new(const struct websocket_events *events, struct buf *out); /* the client's */
struct websocket *websocket_free(struct websocket *websocket);
DEFINE_AUTO(websocket, websocket_free)

/* False: it is over, nothing more will be taken; what *out holds is still to be sent. */
bool websocket_input(struct websocket *websocket, struct str bytes);
/* One binary message. Dropped after a close. */
void websocket_send(struct websocket *websocket, struct str message);
void websocket_close(struct websocket *websocket, unsigned code, struct str reason);

/* -- the handshake -- */

bool websocket_is_asked(const struct http_request *request);
#define WEBSOCKET_ACCEPT_LEN 28
/* What goes into Sec-WebSocket-Accept. False: not a key, or a version other than 13. */
bool websocket_accept(const struct http_request *request, char out[WEBSOCKET_ACCEPT_LEN + 1]);
/* The first of ours that the client names too; STR_NULL: none. *ret_any: it names any at all. */
struct str websocket_choose(const struct http_request *request, const struct str *ours, size_t count, bool *ret_any);

/* The client's side: a random Sec-WebSocket-Key (false: no randomness), and whether the answer to it is right. */
#define WEBSOCKET_KEY_LEN 24
bool websocket_key(char out[WEBSOCKET_KEY_LEN + 1]);
bool websocket_key_accepted(const char *key, struct str accept);
