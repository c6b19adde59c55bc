#include "store/etcd/grpc.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "grpc_peer.h"

#define MAX_MESSAGE (1u << 20)

/* A call and what came of it. */
struct seen {
    struct grpc_call call;
    size_t messages, bytes;
    char last[64];
    bool closed, pause, cancel;
    struct grpc_status status;
    char text[256];
};

struct pair {
    struct grpc_session *session;
    struct peer peer;
};

static void on_message(struct grpc_call *call, struct str message)
{
    struct seen *seen = container_of(call, struct seen, call);

    seen->messages++;
    seen->bytes += message.len;
    peer_copy(seen->last, sizeof seen->last, (const uint8_t *)message.data, message.len);
    if (seen->pause)
        grpc_call_pause(call);
    if (seen->cancel)
        grpc_call_cancel(call);
}

static void on_closed(struct grpc_call *call, const struct grpc_status *status)
{
    struct seen *seen = container_of(call, struct seen, call);

    assert_false(seen->closed);
    seen->closed = true;
    seen->status = *status;
    peer_copy(seen->text, sizeof seen->text, (const uint8_t *)status->text, strlen(status->text));
}

static const struct grpc_events events = { on_message, on_closed };

static void pair_init(struct pair *pair)
{
    const struct grpc_session_options options = { .authority = "test:1", .max_message = MAX_MESSAGE };
    struct err err;

    peer_init(&pair->peer);
    assert_int_equal(grpc_session_new(&options, &pair->session, &err), 0);
}

static void pair_deinit(struct pair *pair)
{
    grpc_session_free(pair->session, "over");
    peer_deinit(&pair->peer);
}

/* Moves bytes until nobody has more to say; to the client in pieces of that size. */
static int move(struct pair *pair, size_t piece)
{
    struct err err = { 0 };
    int code = 0;

    for (bool more = true; more && code == 0;) {
        struct buf to_peer = BUF_INIT, to_client = BUF_INIT;
        code = grpc_session_output(pair->session, &to_peer, &err);
        assert_true(code < 0 || peer_input(&pair->peer, buf_str(&to_peer)));
        peer_output(&pair->peer, &to_client);
        for (struct str rest = buf_str(&to_client); rest.len > 0 && code == 0; rest = str_skip(rest, piece))
            code = grpc_session_input(pair->session, str_first(rest, piece), &err);
        more = to_peer.len + to_client.len > 0;
        buf_deinit(&to_peer);
        buf_deinit(&to_client);
    }
    return code;
}

static void begin(struct pair *pair, struct seen *seen, struct str request)
{
    struct err err;

    *seen = (struct seen){ .call = { .events = &events, .path = "/test.Service/Method", .request = request } };
    assert_int_equal(grpc_call_start(pair->session, &seen->call, &err), 0);
    assert_int_equal(move(pair, SIZE_MAX), 0);
}

static const struct str request_bytes = STR_INIT("\0\0\0\0\5hello");

static void test_call(void **state)
{
    struct pair pair;
    struct seen seen;
    struct err err;

    pair_init(&pair);
    assert_int_equal(grpc_session_set_token(pair.session, STR("secret"), &err), 0);
    begin(&pair, &seen, request_bytes);
    assert_true(grpc_session_ready(pair.session));
    struct peer_request *request = &pair.peer.requests[0];
    assert_string_equal(request->path, "/test.Service/Method");
    assert_string_equal(request->token, "secret");
    assert_string_equal(request->leader, "true");
    assert_true(request->complete);
    assert_true(str_eq(buf_str(&request->body), request_bytes));
    peer_answer(&pair.peer, request, STR("world"), "0");
    assert_int_equal(move(&pair, SIZE_MAX), 0);
    assert_int_equal(seen.messages, 1);
    assert_string_equal(seen.last, "world");
    assert_true(seen.closed);
    assert_int_equal(seen.status.code, GRPC_OK);
    pair_deinit(&pair);
}

static void test_pieces(void **state)
{
    struct pair pair;
    struct seen seen;
    struct buf answer = BUF_INIT;
    char large[40000];

    memset(large, 'x', sizeof large);
    peer_message(&answer, STR("one"));
    peer_message(&answer, STR(""));
    peer_message(&answer, str_of(large, sizeof large));
    peer_message(&answer, STR("four"));
    for (size_t piece = 1; piece < 20000; piece *= 7) {
        pair_init(&pair);
        begin(&pair, &seen, request_bytes);
        peer_answer_raw(&pair.peer, &pair.peer.requests[0], buf_str(&answer), "0", "");
        assert_int_equal(move(&pair, piece), 0);
        assert_int_equal(seen.messages, 4);
        assert_int_equal(seen.bytes, 3 + sizeof large + 4);
        assert_string_equal(seen.last, "four");
        assert_int_equal(seen.status.code, GRPC_OK);
        pair_deinit(&pair);
    }
    buf_deinit(&answer);
}

static const struct wrong {
    const char *name;
    struct str answer;
    const char *http, *content, *status, *text;
    int code;
    bool malformed, unseen;
    const char *want;
} wrongs[] = {
    { "compressed", STR_INIT("\1\0\0\0\1x"), "200", "application/grpc", "0", "", GRPC_INTERNAL, true, false, "compressed" },
    { "too large", STR_INIT("\0\x7f\0\0\1x"), "200", "application/grpc", "0", "", GRPC_RESOURCE_EXHAUSTED, true, false,
      "too large" },
    { "cut", STR_INIT("\0\0\0\0\7abc"), "200", "application/grpc", "0", "", GRPC_INTERNAL, true, false, "is cut" },
    { "cut in the prefix", STR_INIT("\0\0\0"), "200", "application/grpc", "0", "", GRPC_INTERNAL, true, false, "is cut" },
    { "no status", STR_INIT(""), "200", "application/grpc", "", "", GRPC_UNAVAILABLE, false, false, "broken off" },
    { "not found", STR_INIT("<html>"), "404", "text/html", "", "", GRPC_UNAVAILABLE, false, false, "HTTP status 404" },
    { "a page", STR_INIT("<html>"), "200", "text/html", "", "", GRPC_UNKNOWN, true, false, "not gRPC" },
    { "refused", STR_INIT(""), "200", "application/grpc", "14", "etcdserver: a%20b%0Ac%zz", GRPC_UNAVAILABLE, false, false,
      "etcdserver: a b?c%zz" },
    { "status is no number", STR_INIT(""), "200", "application/grpc", "x", "", GRPC_UNKNOWN, false, false, "Unknown" },
};

static void test_wrong_answers(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(wrongs); i++) {
        const struct wrong *wrong = &wrongs[i];
        struct pair pair;
        struct seen seen;
        pair_init(&pair);
        begin(&pair, &seen, request_bytes);
        struct peer_request *request = &pair.peer.requests[0];
        peer_head(&pair.peer, request, wrong->http, wrong->content);
        peer_answer_raw(&pair.peer, request, wrong->answer, wrong->status, wrong->text);
        assert_int_equal(move(&pair, SIZE_MAX), 0);
        if (!seen.closed || seen.status.code != wrong->code || seen.status.malformed != wrong->malformed ||
            seen.status.unseen != wrong->unseen || !strstr(seen.text, wrong->want))
            fail_msg("%s: closed %d, code %d: %s", wrong->name, seen.closed, seen.status.code, seen.text);
        pair_deinit(&pair);
    }
}

static void test_resets(void **state)
{
    static const uint32_t codes[] = { NGHTTP2_REFUSED_STREAM, NGHTTP2_INTERNAL_ERROR };

    for (size_t i = 0; i < ARRAY_LEN(codes); i++) {
        struct pair pair;
        struct seen seen;
        pair_init(&pair);
        begin(&pair, &seen, request_bytes);
        nghttp2_submit_rst_stream(pair.peer.session, NGHTTP2_FLAG_NONE, 1, codes[i]);
        assert_int_equal(move(&pair, SIZE_MAX), 0);
        assert_true(seen.closed);
        assert_int_equal(seen.status.code, GRPC_UNAVAILABLE);
        assert_int_equal(seen.status.unseen, codes[i] == NGHTTP2_REFUSED_STREAM);
        pair_deinit(&pair);
    }
}

static void test_pause(void **state)
{
    struct pair pair;
    struct seen seen;
    struct buf answer = BUF_INIT;
    size_t count = 3 * GRPC_WINDOW / 50000;
    char *bytes = calloc(1, 50000);

    for (size_t i = 0; i < count; i++)
        peer_message(&answer, str_of(bytes, 50000));
    free(bytes);
    pair_init(&pair);
    begin(&pair, &seen, request_bytes);
    seen.pause = true;
    peer_answer_raw(&pair.peer, &pair.peer.requests[0], buf_str(&answer), NULL, NULL);
    assert_int_equal(move(&pair, SIZE_MAX), 0);
    assert_int_equal(seen.messages, 1);
    for (size_t i = 1; i < count; i++) {
        assert_true(pair.peer.requests[0].answer_sent <= seen.bytes + 2 * GRPC_WINDOW); /* the rest is at the server */
        grpc_call_resume(&seen.call);
        assert_int_equal(move(&pair, SIZE_MAX), 0);
        assert_int_equal(seen.messages, i + 1);
    }
    pair_deinit(&pair);
    buf_deinit(&answer);
}

static void test_cancel(void **state)
{
    struct pair pair;
    struct seen first, second;
    struct err err;

    pair_init(&pair);
    begin(&pair, &first, request_bytes);
    first.cancel = true;
    peer_answer(&pair.peer, &pair.peer.requests[0], STR("one"), NULL);
    peer_answer(&pair.peer, &pair.peer.requests[0], STR("two"), NULL);
    assert_int_equal(move(&pair, SIZE_MAX), 0);
    assert_int_equal(first.messages, 1);
    assert_false(first.closed);
    assert_true(pair.peer.reset);

    /* One that was sent, and one that was not: which of them the server may have seen. */
    begin(&pair, &first, request_bytes);
    second = (struct seen){ .call = { .events = &events, .path = "/x", .request = request_bytes } };
    assert_int_equal(grpc_call_start(pair.session, &second.call, &err), 0);
    pair.session = grpc_session_free(pair.session, "gone");
    assert_true(first.closed && !first.status.unseen);
    assert_true(second.closed && second.status.unseen);
    assert_string_equal(second.text, "gone");
    pair_deinit(&pair);
}

static void test_cancel_unsent(void **state)
{
    struct pair pair;
    struct seen seen = { .call = { .events = &events, .path = "/x", .request = request_bytes } };
    struct err err;

    pair_init(&pair);
    assert_int_equal(grpc_call_start(pair.session, &seen.call, &err), 0);
    grpc_call_cancel(&seen.call);
    assert_int_equal(move(&pair, SIZE_MAX), 0);
    assert_int_equal(pair.peer.count, 0);
    assert_false(seen.closed);
    pair_deinit(&pair);
}

static void test_goaway(void **state)
{
    struct pair pair;
    struct seen seen, late = { .call = { .events = &events, .path = "/x", .request = request_bytes } };
    struct err err;

    pair_init(&pair);
    begin(&pair, &seen, request_bytes);
    nghttp2_submit_goaway(pair.peer.session, NGHTTP2_FLAG_NONE, 1, NGHTTP2_NO_ERROR, NULL, 0);
    assert_int_equal(move(&pair, SIZE_MAX), 0);
    assert_true(grpc_session_ending(pair.session));
    assert_int_equal(grpc_call_start(pair.session, &late.call, &err), -ERR_UNAVAILABLE);
    assert_false(seen.closed);
    peer_answer(&pair.peer, &pair.peer.requests[0], STR("done"), "0");
    move(&pair, SIZE_MAX);
    assert_true(seen.closed);
    assert_int_equal(seen.status.code, GRPC_OK);
    pair_deinit(&pair);
}

static void test_hostile(void **state)
{
    static const struct str bytes[] = {
        STR_INIT("HTTP/1.1 400 Bad Request\r\n\r\n"),
        STR_INIT("\0\0\4\4\0\0\0\0\0zzzz\0\0\1\1\4\0\0\0\1\xff"),
        STR_INIT("\xff\xff\xff\0\0\0\0\0\1"),
    };

    for (size_t i = 0; i < ARRAY_LEN(bytes); i++) {
        struct pair pair;
        struct seen seen;
        struct err err = { 0 };
        struct buf out = BUF_INIT;
        pair_init(&pair);
        begin(&pair, &seen, request_bytes);
        int code = grpc_session_input(pair.session, bytes[i], &err);
        for (int turn = 0; turn < 3 && code == 0; turn++, buf_clear(&out))
            code = grpc_session_output(pair.session, &out, &err);
        assert_int_equal(code, -ERR_IO);
        assert_true(err.message[0]);
        buf_deinit(&out);
        pair_deinit(&pair);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_call),          cmocka_unit_test(test_pieces), cmocka_unit_test(test_wrong_answers),
        cmocka_unit_test(test_resets),        cmocka_unit_test(test_pause),  cmocka_unit_test(test_cancel),
        cmocka_unit_test(test_cancel_unsent), cmocka_unit_test(test_goaway), cmocka_unit_test(test_hostile),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
