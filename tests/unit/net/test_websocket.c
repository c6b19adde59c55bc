/* WebSocket frames as raw bytes: good, split anywhere, and hostile; and the handshake. */
#include "net/websocket.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

struct fixture {
    struct buf got, out;
    struct websocket *socket;
};

static void on_message(void *ctx, struct str bytes, bool last)
{
    struct fixture *fixture = ctx;

    buf_add_str(&fixture->got, bytes);
    if (last)
        buf_add_char(&fixture->got, '|');
}

static void fixture_init(struct fixture *fixture)
{
    const struct websocket_events events = { fixture, on_message };

    memset(fixture, 0, sizeof *fixture);
    fixture->socket = websocket_new(&events, &fixture->out);
    assert_non_null(fixture->socket);
}

static void fixture_deinit(struct fixture *fixture)
{
    websocket_free(fixture->socket);
    buf_deinit(&fixture->got);
    buf_deinit(&fixture->out);
}

/* The mask is all zeros: the payload stays readable. */
#define MASK "\0\0\0\0"

static const struct sample {
    const char *name;
    struct str in;
    const char *got;
    struct str out;
    bool alive;
} cases[] = {
    { "binary", STR_INIT("\x82\x82" MASK "hi"), "hi|", STR_INIT(""), true },
    { "masked", STR_INIT("\x82\x82\1\2\3\4ik"), "hi|", STR_INIT(""), true },
    { "text", STR_INIT("\x81\x82" MASK "hi"), "hi|", STR_INIT(""), true },
    { "empty", STR_INIT("\x82\x80" MASK), "|", STR_INIT(""), true },
    { "two", STR_INIT("\x82\x81" MASK "a\x82\x81" MASK "b"), "a|b|", STR_INIT(""), true },
    { "fragments", STR_INIT("\x02\x81" MASK "a\x00\x81" MASK "b\x80\x81" MASK "c"), "abc|", STR_INIT(""), true },
    { "ping amid fragments", STR_INIT("\x02\x81" MASK "a\x89\x81" MASK "p\x80\x81" MASK "b"), "ab|",
      STR_INIT("\x8a\x01p"), true },
    { "pong is nothing", STR_INIT("\x8a\x80" MASK), "", STR_INIT(""), true },
    { "close", STR_INIT("\x88\x82" MASK "\x03\xe8"), "", STR_INIT("\x88\x02\x03\xe8"), false },
    { "after close", STR_INIT("\x88\x82" MASK "\x03\xe8\x82\x81" MASK "a"), "", STR_INIT("\x88\x02\x03\xe8"), false },
    { "not masked", STR_INIT("\x82\x02hi"), "", STR_INIT("\x88\x02\x03\xea"), false },
    { "reserved bit", STR_INIT("\xc2\x81" MASK "a"), "", STR_INIT("\x88\x02\x03\xea"), false },
    { "unknown code", STR_INIT("\x83\x81" MASK "a"), "", STR_INIT("\x88\x02\x03\xea"), false },
    { "no beginning", STR_INIT("\x80\x81" MASK "a"), "", STR_INIT("\x88\x02\x03\xea"), false },
    { "long ping", STR_INIT("\x89\xfe\x01\x00" MASK), "", STR_INIT("\x88\x00"), false },
    { "negative length", STR_INIT("\x82\xff\xff\0\0\0\0\0\0\0" MASK), "", STR_INIT("\x88\x00"), false },
};

static void run_case(const struct sample *c, size_t step)
{
    struct fixture fixture;
    struct str rest = c->in;
    bool alive = true;

    fixture_init(&fixture);
    while (rest.len > 0 && alive) {
        alive = websocket_input(fixture.socket, str_first(rest, step));
        rest = str_skip(rest, MIN(step, rest.len));
    }
    if (alive != c->alive || !str_is(buf_str(&fixture.got), c->got) || !str_has_prefix(buf_str(&fixture.out), c->out) ||
        (c->out.len == 0) != (fixture.out.len == 0))
        fail_msg("%s in steps of %zu: got \"" STR_FMT "\", %zu bytes out", c->name, step,
                 STR_ARG(buf_str(&fixture.got)), fixture.out.len);
    fixture_deinit(&fixture);
}

static void test_cases(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        for (size_t step = 1; step <= cases[i].in.len; step++)
            run_case(&cases[i], step);
}

static void test_send(void **state)
{
    struct fixture fixture;
    static char large[70000];

    fixture_init(&fixture);
    websocket_send(fixture.socket, STR("\1hi"));
    assert_true(str_eq(buf_str(&fixture.out), STR("\x82\x03\1hi")));
    buf_clear(&fixture.out);
    websocket_send(fixture.socket, str_of(large, sizeof large));
    assert_int_equal(fixture.out.len, sizeof large + 10);
    buf_clear(&fixture.out);
    websocket_close(fixture.socket, 1000, STR("done"));
    assert_true(str_eq(buf_str(&fixture.out), STR("\x88\x06\x03\xe8" "done")));
    websocket_send(fixture.socket, STR("late"));
    assert_int_equal(fixture.out.len, 8);
    fixture_deinit(&fixture);
}

static void test_handshake(void **state)
{
    const struct http_header headers[] = {
        { STR("connection"), STR("Upgrade") },
        { STR("upgrade"), STR("WebSocket") },
        { STR("sec-websocket-version"), STR("13") },
        { STR("sec-websocket-key"), STR("dGhlIHNhbXBsZSBub25jZQ==") },
        { STR("sec-websocket-protocol"), STR("one, two") },
        { STR("sec-websocket-protocol"), STR("three") },
    };
    const struct str ours[] = { STR("four"), STR("three"), STR("two") }, others[] = { STR("tw") };
    struct http_request request = { .major = 1, .headers = headers, .header_count = ARRAY_LEN(headers) };
    char accept[WEBSOCKET_ACCEPT_LEN + 1];
    bool any;

    assert_true(websocket_is_asked(&request));
    assert_true(websocket_accept(&request, accept));
    assert_string_equal(accept, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    assert_true(str_is(websocket_choose(&request, ours, ARRAY_LEN(ours), &any), "three"));
    assert_true(any);
    assert_null(websocket_choose(&request, others, 1, &any).data);
    assert_true(any);
    request.header_count = 2;
    assert_false(websocket_accept(&request, accept));
    assert_null(websocket_choose(&request, ours, 1, &any).data);
    assert_false(any);
    request.header_count = 1;
    assert_false(websocket_is_asked(&request));
}

/* What one side sends arrives at the other, both ways; the client masks, and its key is answered. */
static void test_both_sides(void **state)
{
    struct fixture client = { 0 }, server;
    const struct websocket_events events = { &client, on_message };
    char key[WEBSOCKET_KEY_LEN + 1], again[WEBSOCKET_KEY_LEN + 1];

    fixture_init(&server);
    client.socket = websocket_client_new(&events, &client.out);
    assert_non_null(client.socket);
    websocket_send(client.socket, STR("from the client, masked"));
    assert_true(websocket_input(server.socket, buf_str(&client.out)));
    assert_true(str_is(buf_str(&server.got), "from the client, masked|"));
    websocket_send(server.socket, STR("from the server"));
    assert_true(websocket_input(client.socket, buf_str(&server.out)));
    assert_true(str_is(buf_str(&client.got), "from the server|"));
    fixture_deinit(&client);
    fixture_deinit(&server);

    assert_true(websocket_key(key) && websocket_key(again));
    assert_int_equal(strlen(key), WEBSOCKET_KEY_LEN);
    assert_string_not_equal(key, again);
    assert_true(websocket_key_accepted("dGhlIHNhbXBsZSBub25jZQ==", STR(" s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")));
    assert_false(websocket_key_accepted(key, STR("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")));
    assert_false(websocket_key_accepted(key, STR_NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_both_sides),
        cmocka_unit_test(test_cases),
        cmocka_unit_test(test_send),
        cmocka_unit_test(test_handshake),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
