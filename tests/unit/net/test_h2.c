/* HTTP/2 from memory, against nghttp2's own client: many streams, flow control, floods, the end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>
#include <nghttp2/nghttp2.h>

#include "memory_conn.h"

#define MAX_BODY 100000
#define MAX_KEPT 1200
#define BIG 1000000

struct stream {
    int status;
    size_t received;
    char first[64]; /* of the body */
    bool closed;
    uint32_t error;
    size_t to_send, sent;
    int order; /* in which streams ended */
};

struct fixture {
    struct memory_server server;
    struct memory_conn conn;
    nghttp2_session *client;
    size_t read_at;
    bool hold; /* the client takes nothing: windows stay shut */
    bool goaway;
    int ended;
    struct stream streams[2 * MAX_KEPT];

    struct http_exchange *kept[MAX_KEPT];
    size_t kept_count, uploaded;
    int closed, drained, released, handled;
    struct blob *blob;
};

/* -- the server's handler -- */

static void on_closed(void *ctx)
{
    ((struct fixture *)ctx)->closed++;
}

static void on_drained(void *ctx)
{
    ((struct fixture *)ctx)->drained++;
}

static void on_released(void *ctx)
{
    ((struct fixture *)ctx)->released++;
}

static void on_data(void *ctx, struct str bytes, bool end)
{
    struct fixture *fixture = ctx;

    fixture->uploaded += bytes.len;
    if (end)
        http_reply(fixture->kept[0], 200, NULL, STR("stored"));
}

static enum http_body_mode route(void *ctx, const struct http_request *head)
{
    return str_is(head->path, "/upload") ? HTTP_BODY_STREAM : HTTP_BODY_COLLECT;
}

static void handle(void *ctx, struct http_exchange *exchange)
{
    struct fixture *fixture = ctx;
    const struct http_request *request = http_exchange_request(exchange);
    const struct http_stream_events events = { fixture, on_drained, on_closed, on_data, on_released };

    fixture->handled++;
    if (str_is(request->path, "/echo")) {
        http_reply(exchange, 200, NULL, request->body);
    } else if (str_is(request->path, "/big")) {
        const struct http_part part = { blob_str(fixture->blob), fixture->blob };
        http_reply_parts(exchange, 200, NULL, &part, 1);
    } else if (str_is(request->path, "/host")) {
        http_reply_header(exchange, "X-Case", STR("y"));
        http_reply(exchange, 200, "text/plain", http_request_header(request, STR("host")));
    } else if (str_is(request->path, "/none")) {
        http_reply(exchange, 204, NULL, STR(""));
    } else if (str_is(request->path, "/abort")) {
        http_reply_begin(exchange, 200, NULL);
        http_exchange_abort(exchange);
    } else {
        assert_true(fixture->kept_count < MAX_KEPT);
        fixture->kept[fixture->kept_count++] = exchange;
        http_exchange_events(exchange, &events);
        if (str_is(request->path, "/open"))
            http_reply_begin(exchange, 200, NULL);
    }
}

/* -- the client -- */

static struct stream *stream_of(struct fixture *fixture, int32_t id)
{
    assert_true(id > 0 && (size_t)id / 2 < ARRAY_LEN(fixture->streams));
    return &fixture->streams[id / 2];
}

static int client_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name, size_t name_len,
                         const uint8_t *value, size_t value_len, uint8_t flags, void *ctx)
{
    struct fixture *fixture = ctx;

    if (name_len == 7 && memcmp(name, ":status", 7) == 0)
        stream_of(fixture, frame->hd.stream_id)->status = (int)strtol((const char *)value, NULL, 10);
    return 0;
}

static int client_data(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *data, size_t len, void *ctx)
{
    struct fixture *fixture = ctx;
    struct stream *stream = stream_of(fixture, id);

    for (size_t i = 0; i < len && stream->received + i < sizeof stream->first - 1; i++)
        stream->first[stream->received + i] = (char)data[i];
    stream->received += len;
    if (!fixture->hold)
        nghttp2_session_consume(session, id, len);
    return 0;
}

static int client_close(nghttp2_session *session, int32_t id, uint32_t error, void *ctx)
{
    struct fixture *fixture = ctx;
    struct stream *stream = stream_of(fixture, id);

    stream->closed = true;
    stream->error = error;
    stream->order = ++fixture->ended;
    return 0;
}

static int client_frame(nghttp2_session *session, const nghttp2_frame *frame, void *ctx)
{
    if (frame->hd.type == NGHTTP2_GOAWAY)
        ((struct fixture *)ctx)->goaway = true;
    return 0;
}

static ssize_t client_body(nghttp2_session *session, int32_t id, uint8_t *buffer, size_t len, uint32_t *flags,
                           nghttp2_data_source *source, void *ctx)
{
    struct stream *stream = stream_of(ctx, id);
    size_t n = MIN(len, stream->to_send - stream->sent);

    memset(buffer, 'u', n);
    stream->sent += n;
    if (stream->sent == stream->to_send)
        *flags |= NGHTTP2_DATA_FLAG_EOF;
    return (ssize_t)n;
}

/* Carries bytes to and fro until both are silent. */
static void exchange_bytes(struct fixture *fixture)
{
    const uint8_t *data;
    ssize_t n;

    for (bool busy = true; busy;) {
        busy = false;
        while ((n = nghttp2_session_mem_send(fixture->client, &data)) > 0) {
            memory_conn_feed(&fixture->conn, str_of(data, (size_t)n));
            busy = true;
        }
        memory_server_turn(&fixture->server);
        size_t waiting = fixture->conn.sent.len - fixture->read_at;
        if (waiting > 0) {
            const uint8_t *fresh = (const uint8_t *)fixture->conn.sent.data + fixture->read_at;
            n = nghttp2_session_mem_recv(fixture->client, fresh, waiting);
            assert_int_equal(n, waiting);
            fixture->read_at += waiting;
            busy = true;
        }
    }
}

static struct fixture *fixture_new(void)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    nghttp2_session_callbacks *callbacks;
    nghttp2_option *option;

    assert_non_null(fixture);
    fixture->blob = blob_new(BIG);
    memset(fixture->blob->data, 'b', BIG);
    assert_true(memory_server_init(&fixture->server, &(struct http_server_options){
                                                         .handler = { fixture, route, handle },
                                                         .max_body = MAX_BODY,
                                                         .max_head = 8192,
                                                     }));
    assert_true(memory_conn_open(&fixture->server, &fixture->conn));
    nghttp2_session_callbacks_new(&callbacks);
    nghttp2_option_new(&option);
    nghttp2_option_set_no_auto_window_update(option, 1);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, client_header);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, client_data);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, client_close);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, client_frame);
    assert_int_equal(nghttp2_session_client_new2(&fixture->client, callbacks, fixture, option), 0);
    nghttp2_option_del(option);
    nghttp2_session_callbacks_del(callbacks);
    nghttp2_submit_settings(fixture->client, NGHTTP2_FLAG_NONE, NULL, 0);
    exchange_bytes(fixture);
    return fixture;
}

static void fixture_free(struct fixture *fixture)
{
    memory_conn_done(&fixture->conn);
    for (size_t i = 0; i < fixture->kept_count; i++)
        if (fixture->kept[i])
            http_exchange_abort(fixture->kept[i]);
    memory_server_turn(&fixture->server);
    assert_true(loop_is_empty(&fixture->server.loop));
    nghttp2_session_del(fixture->client);
    memory_server_deinit(&fixture->server);
    blob_unref(fixture->blob);
    free(fixture);
}

#define NV(name, value) { (uint8_t *)(name), (uint8_t *)(value), strlen(name), strlen(value), NGHTTP2_NV_FLAG_NONE }

static struct stream *request(struct fixture *fixture, const char *method, const char *path, size_t body)
{
    const nghttp2_nv nva[] = { NV(":method", method), NV(":path", path), NV(":scheme", "https"),
                               NV(":authority", "host") };
    nghttp2_data_provider provider = { .read_callback = client_body };
    int32_t id = nghttp2_submit_request(fixture->client, NULL, nva, ARRAY_LEN(nva), body ? &provider : NULL, NULL);
    struct stream *stream = stream_of(fixture, id);

    stream->to_send = body;
    return stream;
}

/* -- tests -- */

static void test_requests(void **state)
{
    static const struct {
        const char *method, *path;
        size_t body;
        int status;
        size_t received;
        const char *first;
    } cases[] = {
        { "GET", "/host", 0, 200, 4, "host" },  { "HEAD", "/host", 0, 200, 0, "" },
        { "GET", "/none", 0, 204, 0, "" },      { "POST", "/echo", 5, 200, 5, "uuuuu" },
        { "POST", "/echo", MAX_BODY, 200, MAX_BODY, NULL },
        { "POST", "/echo", MAX_BODY + 1, 413, 28, "413 Request Entity Too Large" },
        { "GET", "/big", 0, 200, BIG, NULL },   { "HEAD", "/big", 0, 200, 0, "" },
        { "GET", "/host#x", 0, 400, 15, "400 Bad Request" },
    };
    struct fixture *fixture = fixture_new();

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct stream *stream = request(fixture, cases[i].method, cases[i].path, cases[i].body);
        exchange_bytes(fixture);
        if (!stream->closed || stream->status != cases[i].status || stream->received != cases[i].received)
            fail_msg("%s %s: %d, %zu bytes, closed %d", cases[i].method, cases[i].path, stream->status,
                     stream->received, stream->closed);
        if (cases[i].first)
            assert_string_equal(stream->first, cases[i].first);
    }
    fixture_free(fixture);
}

static void test_abort(void **state)
{
    struct fixture *fixture = fixture_new();
    struct stream *stream = request(fixture, "GET", "/abort", 0);

    exchange_bytes(fixture);
    assert_true(stream->closed);
    assert_int_not_equal(stream->error, NGHTTP2_NO_ERROR);
    fixture_free(fixture);
}

/* A thousand watches on one connection; one more has to wait until one is over. */
static void test_many_streams(void **state)
{
    struct fixture *fixture = fixture_new();
    struct stream *streams[1001];

    for (size_t i = 0; i < ARRAY_LEN(streams); i++)
        streams[i] = request(fixture, "GET", "/open", 0);
    exchange_bytes(fixture);
    assert_int_equal(fixture->kept_count, 1000);
    for (int round = 0; round < 3; round++) {
        for (size_t i = 0; i < 1000; i++)
            http_reply_write(fixture->kept[i], &(struct http_part){ STR("event\n"), NULL }, 1);
        exchange_bytes(fixture);
    }
    for (size_t i = 0; i < 1000; i++)
        assert_int_equal(streams[i]->received, 18);
    http_reply_end(TAKE(fixture->kept[7]));
    exchange_bytes(fixture);
    assert_true(streams[7]->closed);
    assert_int_equal(streams[7]->error, NGHTTP2_NO_ERROR);
    assert_int_equal(fixture->kept_count, 1001);
    assert_int_equal(fixture->released, 1);
    fixture_free(fixture);
}

/* A small answer overtakes a big one that was asked for before. */
static void test_fairness(void **state)
{
    struct fixture *fixture = fixture_new();
    struct stream *big = request(fixture, "GET", "/big", 0), *small = request(fixture, "GET", "/host", 0);

    exchange_bytes(fixture);
    assert_true(big->closed && small->closed);
    assert_true(small->order < big->order);
    fixture_free(fixture);
}

/* A client that does not open its windows: the queue stands, and is given up after the stall time. */
static void test_stalled_reader(void **state)
{
    struct fixture *fixture = fixture_new();
    const struct http_part part = { blob_str(fixture->blob), fixture->blob };
    struct stream *stream;

    fixture->hold = true;
    stream = request(fixture, "GET", "/open", 0);
    exchange_bytes(fixture);
    assert_true(http_reply_write(fixture->kept[0], &part, 1) > HTTP_QUEUE_HIGH);
    exchange_bytes(fixture);
    assert_int_equal(stream->received, 65535);
    assert_int_equal(fixture->drained, 0);
    memory_server_pass(&fixture->server, 30 * NSEC_PER_SEC);
    exchange_bytes(fixture);
    assert_true(stream->closed);
    assert_int_equal(fixture->closed, 1);
    fixture_free(fixture);
}

static void test_drained(void **state)
{
    struct fixture *fixture = fixture_new();
    const struct http_part part = { blob_str(fixture->blob), fixture->blob };
    struct stream *stream = request(fixture, "GET", "/open", 0);

    exchange_bytes(fixture);
    for (int i = 0; i < 3; i++)
        http_reply_write(fixture->kept[0], &part, 1);
    exchange_bytes(fixture);
    assert_int_equal(fixture->drained, 1);
    assert_int_equal(stream->received, 3 * BIG);
    http_reply_end(TAKE(fixture->kept[0]));
    exchange_bytes(fixture);
    assert_true(stream->closed);
    fixture_free(fixture);
}

/* The handler holds back: the client gets to send no more than the window. */
static void test_upload(void **state)
{
    struct fixture *fixture = fixture_new();
    struct stream *stream = request(fixture, "POST", "/upload", BIG);

    exchange_bytes(fixture);
    assert_int_equal(stream->status, 200);
    assert_int_equal(fixture->uploaded, BIG);
    fixture->uploaded = fixture->kept_count = 0;

    stream = request(fixture, "POST", "/upload", BIG);
    const uint8_t *data;
    ssize_t n = nghttp2_session_mem_send(fixture->client, &data); /* the HEADERS */
    memory_conn_feed(&fixture->conn, str_of(data, (size_t)n));
    http_exchange_pause(fixture->kept[0], true);
    exchange_bytes(fixture);
    assert_int_equal(fixture->uploaded, 0);
    assert_int_equal(stream->sent, 256 << 10);
    http_exchange_pause(fixture->kept[0], false);
    exchange_bytes(fixture);
    assert_int_equal(fixture->uploaded, BIG);
    assert_true(stream->closed);
    fixture->kept_count = 0;
    fixture_free(fixture);
}

/* Uploads that are broken off give their part of the connection's window back. */
static void test_broken_uploads(void **state)
{
    struct fixture *fixture = fixture_new();

    for (int i = 0; i < 20; i++) {
        struct stream *stream = request(fixture, "POST", "/upload", BIG);
        const uint8_t *data;
        ssize_t n = nghttp2_session_mem_send(fixture->client, &data);
        memory_conn_feed(&fixture->conn, str_of(data, (size_t)n));
        http_exchange_pause(fixture->kept[0], true);
        exchange_bytes(fixture);
        assert_true(stream->sent > 0);
        nghttp2_submit_rst_stream(fixture->client, 0, (int32_t)((stream - fixture->streams) * 2 + 1), NGHTTP2_CANCEL);
        exchange_bytes(fixture);
        assert_int_equal(fixture->closed, i + 1);
        http_exchange_abort(fixture->kept[0]);
        fixture->kept_count = 0;
    }
    fixture_free(fixture);
}

static void test_client_reset(void **state)
{
    struct fixture *fixture = fixture_new();

    request(fixture, "GET", "/open", 0);
    exchange_bytes(fixture);
    nghttp2_submit_rst_stream(fixture->client, 0, 1, NGHTTP2_CANCEL);
    exchange_bytes(fixture);
    assert_int_equal(fixture->closed, 1);
    assert_true(http_exchange_cancelled(fixture->kept[0]));
    http_reply_end(TAKE(fixture->kept[0]));
    memory_server_turn(&fixture->server);
    assert_int_equal(fixture->released, 1);
    fixture_free(fixture);
}

/* Opening and resetting in a loop (CVE-2023-44487): handlers that run are bounded, and the client is sent away. */
static void test_reset_flood(void **state)
{
    struct fixture *fixture = fixture_new();

    for (int i = 0; i < 1100 && !fixture->goaway; i++) {
        request(fixture, "GET", "/keep", 0);
        exchange_bytes(fixture);
        nghttp2_submit_rst_stream(fixture->client, 0, 2 * i + 1, NGHTTP2_CANCEL);
        exchange_bytes(fixture);
    }
    assert_int_equal(fixture->handled, 1000);
    for (int i = 1100; i < 2300 && !fixture->goaway && !fixture->conn.closed; i++) {
        request(fixture, "GET", "/none", 0);
        nghttp2_submit_rst_stream(fixture->client, 0, 2 * i + 1, NGHTTP2_CANCEL);
        exchange_bytes(fixture);
    }
    assert_true(fixture->goaway || fixture->conn.closed);
    fixture_free(fixture);
}

/* Frames that cost the sender nothing. */
static void test_frame_floods(void **state)
{
    static const struct {
        const char *name, *frame;
        size_t len;
    } floods[] = {
        { "ping", "\0\0\x08\x06\0\0\0\0\0abcdefgh", 17 },
        { "ping acknowledged", "\0\0\x08\x06\x01\0\0\0\0abcdefgh", 17 },
        { "settings", "\0\0\0\x04\0\0\0\0\0", 9 },
        { "priority", "\0\0\x05\x02\0\0\0\0\x03\0\0\0\0\x10", 14 },
        { "unknown", "\0\0\0\x7f\0\0\0\0\0", 9 },
    };

    for (size_t i = 0; i < ARRAY_LEN(floods); i++) {
        struct fixture *fixture = fixture_new();
        for (int n = 0; n < 20000 && !fixture->conn.closed && !fixture->conn.half_closed; n++)
            memory_conn_feed(&fixture->conn, str_of(floods[i].frame, floods[i].len));
        if (i + 1 < ARRAY_LEN(floods)) /* what is unknown is ignored, at no cost */
            assert_true(fixture->conn.closed || fixture->conn.half_closed);
        fixture_free(fixture);
    }
}

static void test_big_head(void **state)
{
    struct fixture *fixture = fixture_new();
    static char value[9000];
    nghttp2_nv nva[] = { NV(":method", "GET"), NV(":path", "/none"), NV(":scheme", "https"), NV(":authority", "host"),
                         { (uint8_t *)"x", (uint8_t *)value, 1, sizeof value, NGHTTP2_NV_FLAG_NONE } };

    memset(value, 'x', sizeof value);
    int32_t id = nghttp2_submit_request(fixture->client, NULL, nva, ARRAY_LEN(nva), NULL, NULL);
    exchange_bytes(fixture);
    assert_int_equal(stream_of(fixture, id)->status, 431);
    assert_int_equal(request(fixture, "GET", "/none", 0)->status, 0);
    exchange_bytes(fixture);
    assert_int_equal(stream_of(fixture, id + 2)->status, 204);
    fixture_free(fixture);
}

/* HEADERS without END_HEADERS, then silence: nothing else may be said on the connection, so it is closed. */
static void test_endless_head(void **state)
{
    struct fixture *fixture = fixture_new();

    memory_conn_feed(&fixture->conn, str_of("\0\0\x01\x01\x01\0\0\0\x01\x82", 10));
    memory_server_pass(&fixture->server, 10 * NSEC_PER_SEC - 1);
    assert_false(fixture->conn.closed);
    memory_server_pass(&fixture->server, 1);
    assert_true(fixture->conn.closed);
    fixture_free(fixture);
}

static void test_not_http2(void **state)
{
    struct fixture *fixture = fixture_new();
    struct memory_conn conn;

    assert_true(memory_conn_open(&fixture->server, &conn));
    memory_conn_feed(&conn, STR("PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n"));
    assert_true(conn.closed || conn.half_closed);
    memory_conn_done(&conn);
    fixture_free(fixture);
}

static void test_idle(void **state)
{
    struct fixture *fixture = fixture_new();

    request(fixture, "GET", "/none", 0);
    exchange_bytes(fixture);
    memory_server_pass(&fixture->server, 300 * NSEC_PER_SEC - 1);
    exchange_bytes(fixture);
    assert_false(fixture->goaway);
    memory_server_pass(&fixture->server, 1);
    exchange_bytes(fixture);
    assert_true(fixture->goaway);
    assert_true(fixture->conn.half_closed);
    fixture_free(fixture);
}

/* A watch may be silent for hours. */
static void test_silent_stream(void **state)
{
    struct fixture *fixture = fixture_new();
    struct stream *stream = request(fixture, "GET", "/open", 0);

    exchange_bytes(fixture);
    memory_server_pass(&fixture->server, 24 * 3600 * NSEC_PER_SEC);
    http_reply_write(fixture->kept[0], &(struct http_part){ STR("event"), NULL }, 1);
    exchange_bytes(fixture);
    assert_string_equal(stream->first, "event");
    fixture_free(fixture);
}

static void test_stop(void **state)
{
    struct fixture *fixture = fixture_new();
    struct stream *open = request(fixture, "GET", "/open", 0), *keep = request(fixture, "GET", "/keep", 0);
    struct stream *half;

    exchange_bytes(fixture);
    half = request(fixture, "POST", "/echo", 50000);
    fixture->hold = true;
    const uint8_t *data;
    ssize_t n = nghttp2_session_mem_send(fixture->client, &data); /* the HEADERS only */
    memory_conn_feed(&fixture->conn, str_of(data, (size_t)n));
    loop_stop(&fixture->server.loop);
    exchange_bytes(fixture);
    assert_true(fixture->goaway);
    assert_true(half->closed);
    assert_int_equal(fixture->closed, 1);
    assert_false(open->closed || keep->closed);
    http_reply_end(TAKE(fixture->kept[0]));
    http_reply(TAKE(fixture->kept[1]), 200, NULL, STR("done"));
    exchange_bytes(fixture);
    assert_true(open->closed && open->error == NGHTTP2_NO_ERROR);
    assert_string_equal(keep->first, "done");
    assert_true(fixture->conn.half_closed);
    fixture_free(fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_requests),     cmocka_unit_test(test_abort),          cmocka_unit_test(test_many_streams),
        cmocka_unit_test(test_fairness),     cmocka_unit_test(test_stalled_reader), cmocka_unit_test(test_drained),
        cmocka_unit_test(test_upload),       cmocka_unit_test(test_broken_uploads), cmocka_unit_test(test_client_reset),
        cmocka_unit_test(test_reset_flood),  cmocka_unit_test(test_frame_floods),   cmocka_unit_test(test_big_head),
        cmocka_unit_test(test_endless_head), cmocka_unit_test(test_not_http2),      cmocka_unit_test(test_idle),
        cmocka_unit_test(test_silent_stream), cmocka_unit_test(test_stop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
