/* h2.c - HTTP/2 on nghttp2: many requests at once on a connection.
 *
 * nghttp2 does framing, HPACK, flow control and the checks of HTTP semantics; it writes straight into the connection
 * (frames) and out of the exchanges' queues (payload, without a copy of its own). Streams of equal weight take turns
 * frame by frame, so a big list does not hold up a watch beside it.
 *
 * Windows are opened by hand: a collected body at once (its size is capped), a streamed one when its handler has
 * taken the bytes.
 *
 * Floods: the streams of a connection count until their handlers are done, reset or not, so opening and resetting in
 * a loop gains nothing (CVE-2023-44487). Resets, and frames that cost us more than the sender (PING, SETTINGS,
 * PRIORITY, empty DATA), draw on token buckets; who empties one is sent away. Header lists are counted as they
 * arrive. */
#include <nghttp2/nghttp2.h>
#include <stdio.h>

#include "net/exchange.h"

#define STREAM_WINDOW (256u << 10)
#define CONNECTION_WINDOW (1u << 20)
#define MAX_REPLY_FIELDS 64
#define HEAD_TOLERANCE 8 /* a header list that many times too long is an attack, not a mistake */

struct bucket {
    int tokens;
    nsec_t filled_at;
};
struct bucket_kind {
    int burst, per_second;
};
static const struct bucket_kind reset_kind = { 2000, 200 }, chatter_kind = { 5000, 500 };

struct h2 {
    struct conn *conn;
    nghttp2_session *session;
    struct bucket resets, chatter;
    bool closing;
};

static bool bucket_take(struct bucket *bucket, const struct bucket_kind *kind, nsec_t now)
{
    int64_t add = (now - bucket->filled_at) / (NSEC_PER_SEC / kind->per_second);

    if (add > 0) {
        bucket->tokens = (int)MIN((int64_t)kind->burst, bucket->tokens + MIN(add, (int64_t)kind->burst));
        bucket->filled_at = now;
    }
    if (bucket->tokens <= 0)
        return false;
    bucket->tokens--;
    return true;
}

static void send_away(struct h2 *h2, uint32_t code)
{
    nghttp2_session_terminate_session(h2->session, code);
    h2->closing = true;
    conn_dirty(h2->conn);
}

static struct http_exchange *exchange_of(struct h2 *h2, int32_t stream)
{
    return nghttp2_session_get_stream_user_data(h2->session, stream);
}

/* -- replies -- */

static ssize_t on_read_data(nghttp2_session *session, int32_t stream, uint8_t *buffer, size_t length, uint32_t *flags,
                            nghttp2_data_source *source, void *ctx)
{
    struct http_exchange *exchange = source->ptr;
    size_t count = MIN(length, exchange->queue.bytes);

    if (count == 0 && !exchange->ended)
        return NGHTTP2_ERR_DEFERRED;
    if (count == exchange->queue.bytes && exchange->ended)
        *flags |= NGHTTP2_DATA_FLAG_EOF;
    if (count > 0)
        *flags |= NGHTTP2_DATA_FLAG_NO_COPY;
    return (ssize_t)count;
}

static nghttp2_nv make_nv(struct str name, struct str value)
{
    return (nghttp2_nv){ (uint8_t *)name.data, (uint8_t *)value.data, name.len, value.len, NGHTTP2_NV_FLAG_NONE };
}

static void submit_head(struct h2 *h2, struct http_exchange *exchange)
{
    nghttp2_data_provider provider = { .source.ptr = exchange, .read_callback = on_read_data };
    bool no_body = exchange_has_no_body(exchange) || (exchange->ended && exchange->queue.bytes == 0);
    nghttp2_nv nva[MAX_REPLY_FIELDS + 3];
    char status[16], length[24];
    struct http_header field;
    size_t count = 0, at = 0;

    snprintf(status, sizeof status, "%03d", exchange->status);
    nva[count++] = make_nv(STR(":status"), str_from(status));
    nva[count++] = make_nv(STR("date"), loop_date(h2->conn->loop));
    if (exchange->length >= 0 && exchange->status != 204 && exchange->status != 304) {
        snprintf(length, sizeof length, "%lld", (long long)exchange->length);
        nva[count++] = make_nv(STR("content-length"), str_from(length));
    }
    exchange_lower_fields(exchange);
    while (count < ARRAY_LEN(nva) && exchange_field(exchange, &at, &field))
        nva[count++] = make_nv(field.name, field.value);
    exchange->head_sent = true;
    if (nghttp2_submit_response(h2->session, exchange->stream, nva, count, no_body ? NULL : &provider) < 0)
        conn_fail(h2->conn);
}

static void h2_reply(struct http_exchange *exchange)
{
    struct conn *conn = exchange->conn;
    struct h2 *h2 = conn->state;

    conn_dirty(conn);
    if (exchange->broken) {
        nghttp2_submit_rst_stream(h2->session, NGHTTP2_FLAG_NONE, exchange->stream, NGHTTP2_INTERNAL_ERROR);
        return;
    }
    if (exchange->begun && !exchange->head_sent)
        submit_head(h2, exchange);
    else if (exchange->head_sent)
        nghttp2_session_resume_data(h2->session, exchange->stream); /* fails when it is not waiting: as well */
    if (exchange->head_sent && exchange_has_no_body(exchange))
        while (exchange->queue.bytes > 0)
            exchange_sent(exchange, part_queue_first(&exchange->queue).len);
}

/* Answers in the handler's place; what else the client sends of the request is dropped. */
static void refuse(struct h2 *h2, struct http_exchange *exchange, int status)
{
    if (exchange->handled) {
        nghttp2_session_set_stream_user_data(h2->session, exchange->stream, NULL);
        nghttp2_submit_rst_stream(h2->session, NGHTTP2_FLAG_NONE, exchange->stream, NGHTTP2_ENHANCE_YOUR_CALM);
        exchange_detach(exchange);
        return;
    }
    exchange_refuse(exchange, status);
}

/* -- writing -- */

static ssize_t on_send(nghttp2_session *session, const uint8_t *data, size_t len, int flags, void *ctx)
{
    struct h2 *h2 = ctx;

    if (conn_room(h2->conn) == 0)
        return NGHTTP2_ERR_WOULDBLOCK;
    conn_write(h2->conn, str_of(data, len));
    return (ssize_t)len;
}

static int on_send_data(nghttp2_session *session, nghttp2_frame *frame, const uint8_t *head, size_t length,
                        nghttp2_data_source *source, void *ctx)
{
    struct http_exchange *exchange = source->ptr;
    struct h2 *h2 = ctx;

    if (conn_room(h2->conn) == 0)
        return NGHTTP2_ERR_WOULDBLOCK;
    conn_write(h2->conn, str_of(head, 9));
    while (length > 0) {
        struct str bytes = str_first(part_queue_first(&exchange->queue), length);
        INVARIANT(bytes.len > 0);
        conn_write(h2->conn, bytes);
        exchange_sent(exchange, bytes.len);
        length -= bytes.len;
    }
    return 0;
}

/* The reply is out but the request is not in: the client may stop sending it. */
static int on_frame_sent(nghttp2_session *session, const nghttp2_frame *frame, void *ctx)
{
    bool last = (frame->hd.type == NGHTTP2_HEADERS || frame->hd.type == NGHTTP2_DATA) &&
                frame->hd.flags & NGHTTP2_FLAG_END_STREAM;

    if (last && nghttp2_session_get_stream_remote_close(session, frame->hd.stream_id) == 0)
        nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, frame->hd.stream_id, NGHTTP2_NO_ERROR);
    return 0;
}

/* -- requests -- */

static int on_begin_headers(nghttp2_session *session, const nghttp2_frame *frame, void *ctx)
{
    struct h2 *h2 = ctx;
    struct conn *conn = h2->conn;
    struct http_exchange *exchange;

    if (frame->hd.type != NGHTTP2_HEADERS || frame->headers.cat != NGHTTP2_HCAT_REQUEST)
        return 0;
    exchange = (int)conn->peer->refs <= conn->loop->shared->options.max_streams ? exchange_new(conn) : NULL;
    if (!exchange) {
        nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, frame->hd.stream_id, NGHTTP2_REFUSED_STREAM);
        return 0;
    }
    exchange->stream = frame->hd.stream_id;
    nghttp2_session_set_stream_user_data(session, exchange->stream, exchange);
    return 0;
}

static bool take_field(struct head *head, struct str name, struct str value)
{
    if (str_eq(name, STR(":method")))
        return head_method(head, value);
    if (str_eq(name, STR(":path")))
        return head_target(head, value);
    if (str_eq(name, STR(":authority")))
        name = STR("host");
    else if (name.len > 0 && name.data[0] == ':')
        return true;
    return head_name(head, name) && head_value(head, value);
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name, size_t name_len,
                     const uint8_t *value, size_t value_len, uint8_t flags, void *ctx)
{
    struct h2 *h2 = ctx;
    struct http_exchange *exchange = exchange_of(h2, frame->hd.stream_id);
    size_t max_head = h2->conn->loop->shared->options.max_head;

    if (!exchange || exchange->request.major != 0) /* refused, or trailers */
        return 0;
    exchange->head_bytes += name_len + value_len + 32; /* as SETTINGS_MAX_HEADER_LIST_SIZE counts */
    if (exchange->head_bytes > max_head) {
        exchange->refuse = 431;
        if (exchange->head_bytes / HEAD_TOLERANCE > max_head)
            send_away(h2, NGHTTP2_ENHANCE_YOUR_CALM);
        return 0;
    }
    if (exchange->refuse == 0 && !take_field(&exchange->head, str_of(name, name_len), str_of(value, value_len)))
        exchange->refuse = exchange->head.overflow ? 431 : 400;
    return 0;
}

static bool is_too_long(struct http_exchange *exchange)
{
    struct str text = http_request_header(&exchange->request, STR("content-length"));
    uint64_t length;

    return !exchange->streaming && text.data && str_to_u64(text, &length) &&
           length > exchange->loop->shared->options.max_body;
}

static void head_complete(struct h2 *h2, struct http_exchange *exchange, bool end)
{
    struct http_request *request = &exchange->request;

    exchange->progress = h2->conn->loop->now;
    request->major = 2;
    if (exchange->refuse == 0 && !head_resolve(&exchange->head, request))
        exchange->refuse = 400;
    if (exchange->refuse == 0) {
        exchange_route(exchange);
        exchange->refuse = exchange_is_too_much(exchange) ? 429 : is_too_long(exchange) ? 413 : 0;
    }
    if (exchange->refuse != 0) {
        refuse(h2, exchange, exchange->refuse);
        return;
    }
    if (exchange->streaming && !end) {
        if (str_eq_nocase(http_request_header(request, STR("expect")), STR("100-continue"))) {
            nghttp2_nv nv = make_nv(STR(":status"), STR("100"));
            nghttp2_submit_headers(h2->session, NGHTTP2_FLAG_NONE, exchange->stream, NULL, &nv, 1, NULL);
        }
        exchange_handle(exchange);
    }
}

static void request_complete(struct http_exchange *exchange)
{
    if (exchange->input_over)
        return;
    exchange_data_over(exchange);
    if (!exchange->handled)
        exchange_handle(exchange);
}

static int on_data(nghttp2_session *session, uint8_t flags, int32_t stream, const uint8_t *data, size_t len, void *ctx)
{
    struct h2 *h2 = ctx;
    struct http_exchange *exchange = exchange_of(h2, stream);
    int status;

    if (!exchange || !exchange->streaming)
        nghttp2_session_consume(session, stream, len);
    if (!exchange)
        return 0;
    status = exchange_data(exchange, str_of(data, len));
    if (status != 0 && (exchange = exchange_of(h2, stream)))
        refuse(h2, exchange, status);
    return 0;
}

static bool is_costly(const nghttp2_frame *frame)
{
    switch (frame->hd.type) {
    case NGHTTP2_HEADERS:
    case NGHTTP2_WINDOW_UPDATE:
        return false;
    case NGHTTP2_DATA:
        return frame->hd.length == 0 && !(frame->hd.flags & NGHTTP2_FLAG_END_STREAM);
    default:
        return true;
    }
}

static int on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *ctx)
{
    struct h2 *h2 = ctx;
    nsec_t now = h2->conn->loop->now;
    struct http_exchange *exchange = frame->hd.stream_id ? exchange_of(h2, frame->hd.stream_id) : NULL;
    bool end = frame->hd.flags & NGHTTP2_FLAG_END_STREAM;

    if ((is_costly(frame) && !bucket_take(&h2->chatter, &chatter_kind, now)) ||
        (frame->hd.type == NGHTTP2_RST_STREAM && !bucket_take(&h2->resets, &reset_kind, now))) {
        send_away(h2, NGHTTP2_ENHANCE_YOUR_CALM);
        return 0;
    }
    if (frame->hd.type == NGHTTP2_HEADERS && exchange && exchange->request.major == 0) {
        head_complete(h2, exchange, end);
        exchange = exchange_of(h2, frame->hd.stream_id);
    }
    if (exchange && end && (frame->hd.type == NGHTTP2_HEADERS || frame->hd.type == NGHTTP2_DATA))
        request_complete(exchange);
    return 0;
}

static int on_invalid_frame(nghttp2_session *session, const nghttp2_frame *frame, int code, void *ctx)
{
    struct h2 *h2 = ctx;

    if (!bucket_take(&h2->chatter, &chatter_kind, h2->conn->loop->now))
        send_away(h2, NGHTTP2_ENHANCE_YOUR_CALM);
    return 0;
}

static int on_stream_close(nghttp2_session *session, int32_t stream, uint32_t code, void *ctx)
{
    struct h2 *h2 = ctx;
    struct http_exchange *exchange = exchange_of(h2, stream);

    if (!exchange)
        return 0;
    nghttp2_session_set_stream_user_data(session, stream, NULL);
    if (exchange->streaming && exchange->body.len > 0)
        nghttp2_session_consume_connection(session, exchange->body.len);
    exchange_detach(exchange);
    return 0;
}

/* -- proto -- */

static int make_session(struct h2 *h2)
{
    nghttp2_session_callbacks *callbacks = NULL;
    nghttp2_option *option = NULL;
    int code = -1;

    if (nghttp2_session_callbacks_new(&callbacks) == 0 && nghttp2_option_new(&option) == 0) {
        nghttp2_option_set_no_auto_window_update(option, 1);
        nghttp2_option_set_no_closed_streams(option, 1);
        nghttp2_session_callbacks_set_send_callback(callbacks, on_send);
        nghttp2_session_callbacks_set_send_data_callback(callbacks, on_send_data);
        nghttp2_session_callbacks_set_on_frame_send_callback(callbacks, on_frame_sent);
        nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, on_begin_headers);
        nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
        nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
        nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame);
        nghttp2_session_callbacks_set_on_invalid_frame_recv_callback(callbacks, on_invalid_frame);
        nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_stream_close);
        code = nghttp2_session_server_new2(&h2->session, callbacks, h2, option);
    }
    nghttp2_option_del(option);
    nghttp2_session_callbacks_del(callbacks);
    return code;
}

static bool h2_start(struct conn *conn)
{
    const struct http_server_options *options = &conn->loop->shared->options;
    struct h2 *h2 = calloc(1, sizeof *h2);
    const nghttp2_settings_entry settings[] = {
        { NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, (uint32_t)options->max_streams },
        { NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, STREAM_WINDOW },
        { NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, (uint32_t)MIN(options->max_head, (size_t)UINT32_MAX) },
    };

    if (!h2)
        return false;
    h2->conn = conn;
    h2->resets = (struct bucket){ reset_kind.burst, conn->loop->now };
    h2->chatter = (struct bucket){ chatter_kind.burst, conn->loop->now };
    if (make_session(h2) < 0 ||
        nghttp2_submit_settings(h2->session, NGHTTP2_FLAG_NONE, settings, ARRAY_LEN(settings)) < 0 ||
        nghttp2_session_set_local_window_size(h2->session, NGHTTP2_FLAG_NONE, 0, CONNECTION_WINDOW) < 0) {
        nghttp2_session_del(h2->session);
        free(h2);
        return false;
    }
    conn->state = h2;
    return true;
}

static bool h2_output(struct conn *conn)
{
    struct h2 *h2 = conn->state;

    if (nghttp2_session_send(h2->session) < 0) {
        conn_fail(conn);
        return false;
    }
    bool more = nghttp2_session_want_write(h2->session);
    bool over = !more && (!nghttp2_session_want_read(h2->session) || (h2->closing && list_empty(&conn->exchanges)));
    if (over && !conn->finishing)
        conn_finish(conn);
    if (!list_empty(&conn->exchanges))
        conn->deadline = 0;
    else if (conn->deadline == 0)
        conn_set_deadline(conn, conn->loop->shared->options.idle_timeout);
    return more && conn_room(conn) == 0;
}

static void h2_input(struct conn *conn, struct str bytes)
{
    struct h2 *h2 = conn->state;
    ssize_t n = nghttp2_session_mem_recv(h2->session, (const uint8_t *)bytes.data, bytes.len);

    if (n < 0)
        conn_fail(conn);
    if (list_empty(&conn->exchanges))
        conn_set_deadline(conn, conn->loop->shared->options.idle_timeout);
    conn_dirty(conn);
}

static void h2_eof(struct conn *conn)
{
    conn_fail(conn);
}

static void h2_consumed(struct http_exchange *exchange, size_t bytes)
{
    struct h2 *h2 = exchange->conn->state;

    nghttp2_session_consume(h2->session, exchange->stream, bytes);
    conn_dirty(exchange->conn);
}

static void reset(struct h2 *h2, struct http_exchange *exchange)
{
    nghttp2_submit_rst_stream(h2->session, NGHTTP2_FLAG_NONE, exchange->stream, NGHTTP2_CANCEL);
    conn_dirty(h2->conn);
}

static void h2_tick(struct conn *conn)
{
    const struct http_server_options *options = &conn->loop->shared->options;
    nsec_t now = conn->loop->now;

    list_each(&conn->exchanges, exchange, struct http_exchange, link) {
        nsec_t waited = now - exchange->progress;
        if (exchange->request.major == 0 && waited >= options->head_timeout)
            conn_fail(conn); /* between HEADERS and CONTINUATION nothing else may be said */
        else if (!exchange->handled && waited >= options->stall_timeout)
            reset(conn->state, exchange);
        else if (exchange->queue.bytes > 0 && waited >= options->stall_timeout)
            reset(conn->state, exchange);
    }
}

static void h2_timeout(struct conn *conn)
{
    send_away(conn->state, NGHTTP2_NO_ERROR);
}

static void h2_shutdown(struct conn *conn)
{
    struct h2 *h2 = conn->state;
    int32_t last = nghttp2_session_get_last_proc_stream_id(h2->session);

    h2->closing = true;
    nghttp2_submit_goaway(h2->session, NGHTTP2_FLAG_NONE, last, NGHTTP2_NO_ERROR, NULL, 0);
    list_each(&conn->exchanges, exchange, struct http_exchange, link) {
        if (!exchange->handled)
            reset(h2, exchange);
        else if (exchange->streaming || (exchange->begun && !exchange->ended))
            exchange_cancel(exchange);
    }
    conn_dirty(conn);
}

static void h2_stop(struct conn *conn)
{
    struct h2 *h2 = conn->state;
    struct http_exchange *exchange;

    while ((exchange = list_first(&conn->exchanges, struct http_exchange, link)))
        exchange_detach(exchange);
    nghttp2_session_del(h2->session);
    free(h2);
    conn->state = NULL;
}

const struct proto h2_proto = {
    .name = "h2",
    .start = h2_start,
    .input = h2_input,
    .eof = h2_eof,
    .output = h2_output,
    .reply = h2_reply,
    .consumed = h2_consumed,
    .tick = h2_tick,
    .timeout = h2_timeout,
    .shutdown = h2_shutdown,
    .stop = h2_stop,
};
