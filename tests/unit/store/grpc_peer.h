/* grpc_peer.h - the server's side of gRPC for tests: takes requests, says what the test wants, right or wrong. */
#pragma once

#include <nghttp2/nghttp2.h>

#include "base/buf.h"
#include "base/macros.h"

#define PEER_REQUESTS_MAX 64

struct peer_request {
    int32_t stream;
    char path[64], token[32], leader[8];
    struct buf body;
    bool complete, answered;
    struct buf answer; /* what is to be sent as DATA */
    size_t answer_sent;
    const char *status, *text; /* trailers; NULL status: none are sent, the stream stays open */
};

struct peer {
    nghttp2_session *session;
    struct peer_request requests[PEER_REQUESTS_MAX];
    size_t count;
    bool reset; /* the client gave a stream up */
};

static inline struct peer_request *peer_find(struct peer *peer, int32_t stream)
{
    for (size_t i = 0; i < peer->count; i++)
        if (peer->requests[i].stream == stream)
            return &peer->requests[i];
    return NULL;
}

static inline void peer_copy(char *to, size_t size, const uint8_t *from, size_t len)
{
    len = MIN(len, size - 1);
    memcpy(to, from, len);
    to[len] = '\0';
}

static inline int peer_on_begin(nghttp2_session *h2, const nghttp2_frame *frame, void *ctx)
{
    struct peer *peer = ctx;

    if (frame->hd.type == NGHTTP2_HEADERS && peer->count < PEER_REQUESTS_MAX) {
        peer->requests[peer->count] = (struct peer_request){ .stream = frame->hd.stream_id };
        peer->count++;
    }
    return 0;
}

static inline int peer_on_header(nghttp2_session *h2, const nghttp2_frame *frame, const uint8_t *name, size_t name_len,
                                 const uint8_t *value, size_t value_len, uint8_t flags, void *ctx)
{
    struct peer_request *request = peer_find(ctx, frame->hd.stream_id);
    struct str field = str_of(name, name_len);

    if (request && str_eq(field, STR(":path")))
        peer_copy(request->path, sizeof request->path, value, value_len);
    if (request && str_eq(field, STR("token")))
        peer_copy(request->token, sizeof request->token, value, value_len);
    if (request && str_eq(field, STR("hasleader")))
        peer_copy(request->leader, sizeof request->leader, value, value_len);
    return 0;
}

static inline int peer_on_data(nghttp2_session *h2, uint8_t flags, int32_t stream, const uint8_t *data, size_t len,
                               void *ctx)
{
    struct peer_request *request = peer_find(ctx, stream);

    if (request)
        buf_add(&request->body, data, len);
    return 0;
}

static inline int peer_on_frame(nghttp2_session *h2, const nghttp2_frame *frame, void *ctx)
{
    struct peer *peer = ctx;
    struct peer_request *request = peer_find(peer, frame->hd.stream_id);

    if (request && frame->hd.flags & NGHTTP2_FLAG_END_STREAM &&
        (frame->hd.type == NGHTTP2_DATA || frame->hd.type == NGHTTP2_HEADERS))
        request->complete = true;
    if (frame->hd.type == NGHTTP2_RST_STREAM)
        peer->reset = true;
    return 0;
}

static inline nghttp2_nv peer_nv(const char *name, const char *value)
{
    return (nghttp2_nv){ (uint8_t *)name, (uint8_t *)value, strlen(name), strlen(value), NGHTTP2_NV_FLAG_NONE };
}

static inline ssize_t peer_read(nghttp2_session *h2, int32_t stream, uint8_t *buffer, size_t length, uint32_t *flags,
                                nghttp2_data_source *source, void *ctx)
{
    struct peer_request *request = peer_find(ctx, stream);
    size_t left = request->answer.len - request->answer_sent, count = MIN(left, length);

    if (count == 0 && !request->status)
        return NGHTTP2_ERR_DEFERRED;
    if (count > 0)
        memcpy(buffer, request->answer.data + request->answer_sent, count);
    request->answer_sent += count;
    if (count == left && request->status) {
        nghttp2_nv trailers[] = { peer_nv("grpc-status", request->status),
                                  peer_nv("grpc-message", request->text ? request->text : "") };
        *flags |= NGHTTP2_DATA_FLAG_EOF;
        if (request->status[0]) {
            *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
            nghttp2_submit_trailer(h2, stream, trailers, 2);
        }
    }
    return (ssize_t)count;
}

static inline void peer_init(struct peer *peer)
{
    nghttp2_session_callbacks *callbacks;

    *peer = (struct peer){ 0 };
    nghttp2_session_callbacks_new(&callbacks);
    nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, peer_on_begin);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, peer_on_header);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, peer_on_data);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, peer_on_frame);
    nghttp2_session_server_new(&peer->session, callbacks, peer);
    nghttp2_session_callbacks_del(callbacks);
    nghttp2_submit_settings(peer->session, NGHTTP2_FLAG_NONE, NULL, 0);
}

static inline void peer_deinit(struct peer *peer)
{
    for (size_t i = 0; i < peer->count; i++) {
        buf_deinit(&peer->requests[i].body);
        buf_deinit(&peer->requests[i].answer);
    }
    nghttp2_session_del(peer->session);
}

static inline bool peer_input(struct peer *peer, struct str bytes)
{
    return nghttp2_session_mem_recv(peer->session, (const uint8_t *)bytes.data, bytes.len) == (ssize_t)bytes.len;
}

/* Appends what the peer has to say. */
static inline void peer_output(struct peer *peer, struct buf *out)
{
    const uint8_t *data;
    ssize_t n;

    while ((n = nghttp2_session_mem_send(peer->session, &data)) > 0)
        buf_add(out, data, (size_t)n);
}

static inline void peer_head(struct peer *peer, struct peer_request *request, const char *http, const char *content)
{
    nghttp2_data_provider provider = { .read_callback = peer_read };
    nghttp2_nv head[] = { peer_nv(":status", http), peer_nv("content-type", content) };

    request->answered = true;
    nghttp2_submit_response(peer->session, request->stream, head, 2, &provider);
}

/* Any bytes, then the status ("": the stream ends without; NULL: it stays open). */
static inline void peer_answer_raw(struct peer *peer, struct peer_request *request, struct str bytes, const char *status,
                                   const char *text)
{
    buf_add_str(&request->answer, bytes);
    request->status = status;
    request->text = text;
    if (request->answered)
        nghttp2_session_resume_data(peer->session, request->stream);
    else
        peer_head(peer, request, "200", "application/grpc");
}

static inline void peer_message(struct buf *buf, struct str message)
{
    const char prefix[5] = { 0, (char)(message.len >> 24), (char)(message.len >> 16), (char)(message.len >> 8),
                             (char)message.len };

    buf_add(buf, prefix, sizeof prefix);
    buf_add_str(buf, message);
}

static inline void peer_answer(struct peer *peer, struct peer_request *request, struct str message, const char *status)
{
    struct buf buf = BUF_INIT;

    peer_message(&buf, message);
    peer_answer_raw(peer, request, buf_str(&buf), status, NULL);
    buf_deinit(&buf);
}

/* One HEADERS alone. */
static inline void peer_refuse(struct peer *peer, struct peer_request *request, const char *status, const char *text)
{
    nghttp2_nv head[] = { peer_nv(":status", "200"), peer_nv("content-type", "application/grpc"),
                          peer_nv("grpc-status", status), peer_nv("grpc-message", text) };

    request->answered = true;
    nghttp2_submit_response(peer->session, request->stream, head, 4, NULL);
}
