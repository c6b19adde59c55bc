/* HTTP/1.1 from memory: raw requests, good and hostile, and what must come back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "memory_conn.h"

#define MAX_BODY 64
#define MAX_HEAD 2048

/* What the handler keeps for the test. */
struct fixture {
    struct memory_server server;
    struct http_exchange *kept;
    struct buf uploaded;
    int closed, drained, released;
};

static enum http_body_mode route(void *ctx, const struct http_request *head)
{
    return str_has_prefix(head->path, STR("/upload")) ? HTTP_BODY_STREAM : HTTP_BODY_COLLECT;
}

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

    buf_add_str(&fixture->uploaded, bytes);
    if (!end)
        return;
    http_reply(fixture->kept, 200, "text/plain", buf_str(&fixture->uploaded));
    buf_clear(&fixture->uploaded);
}

/* An upgraded connection: everything comes back. */
static void on_raw(void *ctx, struct str bytes, bool end)
{
    struct fixture *fixture = ctx;

    buf_add_str(&fixture->uploaded, bytes);
    http_reply_write(fixture->kept, &(struct http_part){ bytes, NULL }, 1);
    if (end)
        http_reply_end(fixture->kept);
}

static void describe(struct http_exchange *exchange)
{
    const struct http_request *request = http_exchange_request(exchange);
    struct str x = http_request_header(request, STR("x"));
    struct str out = arena_printf(http_exchange_arena(exchange),
                                  "%s " STR_FMT " ? " STR_FMT " x=" STR_FMT " from " STR_FMT,
                                  http_method_name(request->method), STR_ARG(request->path), STR_ARG(request->query),
                                  STR_ARG(x), STR_ARG(request->remote_address));

    http_reply(exchange, 200, "text/plain", out);
}

static void stream(struct http_exchange *exchange)
{
    http_reply_begin(exchange, 200, "text/plain");
    http_reply_write(exchange, &(struct http_part){ STR("one "), NULL }, 1);
    http_reply_write(exchange, (struct http_part[]){ { STR("two "), NULL }, { STR(""), NULL }, { STR("three"), NULL } },
                     3);
    http_reply_end(exchange);
}

static void handle(void *ctx, struct http_exchange *exchange)
{
    struct fixture *fixture = ctx;
    const struct http_request *request = http_exchange_request(exchange);
    const struct http_stream_events events = { fixture, on_drained, on_closed, on_data, on_released };

    if (str_is(request->path, "/echo")) {
        http_reply(exchange, 200, "text/plain", request->body);
    } else if (str_is(request->path, "/stream")) {
        stream(exchange);
    } else if (str_is(request->path, "/none")) {
        http_reply(exchange, 204, NULL, STR(""));
    } else if (str_is(request->path, "/forge")) {
        http_reply_header(exchange, "X-Note", STR("a\r\nSet-Cookie: b"));
        http_reply_header(exchange, "Content-Length", STR("99"));
        http_reply(exchange, 200, NULL, STR("ok"));
    } else if (str_is(request->path, "/keep") || str_has_prefix(request->path, STR("/upload"))) {
        fixture->kept = exchange;
        http_exchange_events(exchange, &events);
    } else if (str_is(request->path, "/open")) {
        fixture->kept = exchange;
        http_exchange_events(exchange, &events);
        http_reply_begin(exchange, 200, NULL);
    } else if (str_is(request->path, "/raw")) {
        const struct http_stream_events raw = { fixture, on_drained, on_closed, on_raw, on_released };

        fixture->kept = exchange;
        if (!http_exchange_upgrade(exchange, STR("echo"), &raw))
            http_reply(exchange, 400, NULL, STR("no upgrade"));
    } else if (str_is(request->path, "/abort")) {
        http_reply_begin(exchange, 200, NULL);
        http_exchange_abort(exchange);
    } else {
        describe(exchange);
    }
}

static void fixture_init(struct fixture *fixture)
{
    memset(fixture, 0, sizeof *fixture);
    assert_true(memory_server_init(&fixture->server, &(struct http_server_options){
                                                         .handler = { fixture, route, handle },
                                                         .max_body = MAX_BODY,
                                                         .max_head = MAX_HEAD,
                                                     }));
}

static void fixture_deinit(struct fixture *fixture)
{
    buf_deinit(&fixture->uploaded);
    memory_server_deinit(&fixture->server);
}

/* -- reading replies -- */

static struct str take_line(struct str *rest)
{
    ssize_t end = str_find(*rest, STR("\r\n"));

    assert_true(end >= 0);
    struct str line = str_first(*rest, (size_t)end);
    *rest = str_skip(*rest, (size_t)end + 2);
    return line;
}

static void take_chunks(struct str *rest, struct buf *out)
{
    for (;;) {
        struct str line = take_line(rest);
        size_t len = strtoul(line.data, NULL, 16);
        if (len == 0)
            break;
        assert_true(rest->len >= len + 2);
        buf_add(out, rest->data, len);
        *rest = str_skip(*rest, len);
        assert_int_equal(take_line(rest).len, 0);
    }
    assert_int_equal(take_line(rest).len, 0);
}

/* "200 [body] close; " for each reply in the bytes. */
static void summarize(struct str rest, bool head_only, struct buf *out)
{
    while (rest.len > 0) {
        struct str line = take_line(&rest);
        bool chunked = false, close = false, sized = false;
        uint64_t length = 0;
        assert_true(str_has_prefix(line, STR("HTTP/1.1 ")));
        struct str status = str_first(str_skip(line, 9), 3);
        buf_add_str(out, status);
        while ((line = take_line(&rest)).len > 0) {
            assert_true(str_chr(line, ':') > 0);
            chunked = chunked || str_is(line, "Transfer-Encoding: chunked");
            close = close || str_is(line, "Connection: close");
            if (str_has_prefix(line, STR("Content-Length: ")))
                sized = str_to_u64(str_skip(line, 16), &length);
        }
        assert_false(chunked && sized);
        if (str_is(status, "100")) {
            buf_add_cstr(out, "; ");
            continue;
        }
        buf_add_cstr(out, " [");
        if (chunked && !head_only) {
            take_chunks(&rest, out);
        } else if (sized && !head_only) {
            assert_true(rest.len >= length);
            buf_add(out, rest.data, length);
            rest = str_skip(rest, length);
        } else if (!sized && !chunked && close) {
            buf_add_str(out, rest);
            rest = STR("");
        }
        buf_add_cstr(out, close ? "] close; " : "]; ");
    }
}

#define HOST "Host: a\r\n"
#define GET(path) "GET " path " HTTP/1.1\r\n" HOST "\r\n"
#define BAD "400 [400 Bad Request] close; "

static const struct exchange_case {
    const char *name, *in, *want;
    bool head_only, eof;
} cases[] = {
    /* what is fine */
    { "get", GET("/a?b=c"), "200 [GET /a ? b=c x= from 192.0.2.1]; " },
    { "header value is trimmed", "GET /a HTTP/1.1\r\n" HOST "X:  v w \t\r\n\r\n",
      "200 [GET /a ?  x=v w from 192.0.2.1]; " },
    { "empty header value", "GET /a HTTP/1.1\r\n" HOST "X:\r\nY: z\r\n\r\n", "200 [GET /a ?  x= from 192.0.2.1]; " },
    { "header names in any case", "GET /a HTTP/1.1\r\nhOSt: a\r\nx: 1\r\n\r\n",
      "200 [GET /a ?  x=1 from 192.0.2.1]; " },
    { "empty lines before", "\r\n\r\n" GET("/a"), "200 [GET /a ?  x= from 192.0.2.1]; " },
    { "absolute form", "GET http://h:80/a?q HTTP/1.1\r\n" HOST "\r\n", "200 [GET /a ? q x= from 192.0.2.1]; " },
    { "asterisk", "OPTIONS * HTTP/1.1\r\n" HOST "\r\n", "200 [OPTIONS * ?  x= from 192.0.2.1]; " },
    { "other method", "PROPFIND /a HTTP/1.1\r\n" HOST "\r\n", "200 [OTHER /a ?  x= from 192.0.2.1]; " },
    { "escapes stay", GET("/a%2Fb"), "200 [GET /a%2Fb ?  x= from 192.0.2.1]; " },
    { "body", "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 5\r\n\r\nhello", "200 [hello]; " },
    { "chunks", "POST /echo HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3;x=y\r\nllo\r\n0\r\n\r\n",
      "200 [hello]; " },
    { "trailers are dropped",
      "POST /echo HTTP/1.1\r\n" HOST "Transfer-Encoding: Chunked\r\n\r\n1\r\na\r\n0\r\nX: 9\r\n\r\n" GET("/none"),
      "200 [a]; 204 []; " },
    { "pipelined", GET("/a") GET("/stream") GET("/none") GET("/b"),
      "200 [GET /a ?  x= from 192.0.2.1]; 200 [one two three]; 204 []; 200 [GET /b ?  x= from 192.0.2.1]; " },
    { "close is honoured", "GET /a HTTP/1.1\r\n" HOST "Connection: close\r\n\r\n" GET("/b"),
      "200 [GET /a ?  x= from 192.0.2.1] close; " },
    { "1.0", "GET /a HTTP/1.0\r\n\r\n", "200 [GET /a ?  x= from 192.0.2.1] close; " },
    { "1.0 stream ends with the connection", "GET /stream HTTP/1.0\r\n\r\n", "200 [one two three] close; " },
    { "1.0 keep-alive", "GET /none HTTP/1.0\r\nConnection: keep-alive\r\n\r\nGET /none HTTP/1.0\r\n\r\n",
      "204 []; 204 [] close; " },
    { "head", "HEAD /echo HTTP/1.1\r\n" HOST "\r\nHEAD /stream HTTP/1.1\r\n" HOST "\r\n", "200 []; 200 []; ", true },
    { "continue", "POST /echo HTTP/1.1\r\n" HOST "Expect: 100-continue\r\nContent-Length: 2\r\n\r\nhi",
      "100; 200 [hi]; " },
    { "continue without body", "GET /none HTTP/1.1\r\n" HOST "Expect: 100-Continue\r\n\r\n", "204 []; " },
    { "upload", "POST /upload HTTP/1.1\r\n" HOST "Content-Length: 70\r\n\r\n"
                "0123456789012345678901234567890123456789012345678901234567890123456789" GET("/none"),
      "200 [0123456789012345678901234567890123456789012345678901234567890123456789]; 204 []; " },
    { "upload of nothing", "POST /upload HTTP/1.1\r\n" HOST "Content-Length: 0\r\n\r\n" GET("/none"),
      "200 []; 204 []; " },
    { "half-closed client is served", GET("/a") GET("/none"),
      "200 [GET /a ?  x= from 192.0.2.1]; 204 []; ", false, true },
    { "replies cannot be forged", GET("/forge"), "200 [ok]; " },
    { "upgrade is ignored",
      "GET /none HTTP/1.1\r\n" HOST "Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n" GET("/none"),
      "204 []; 204 []; " },

    /* what two parsers could read differently */
    { "length and coding",
      "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
      BAD },
    { "coding and length",
      "POST /echo HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n",
      BAD },
    { "two lengths", "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 1\r\nContent-Length: 1\r\n\r\na", BAD },
    { "two different lengths", "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 1\r\nContent-Length: 2\r\n\r\nab", BAD },
    { "list of lengths", "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 1, 1\r\n\r\na", BAD },
    { "signed length", "POST /echo HTTP/1.1\r\n" HOST "Content-Length: +1\r\n\r\na", BAD },
    { "negative length", "POST /echo HTTP/1.1\r\n" HOST "Content-Length: -1\r\n\r\na", BAD },
    { "hex length", "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 0x1\r\n\r\na", BAD },
    { "empty length", "POST /echo HTTP/1.1\r\n" HOST "Content-Length:\r\n\r\na", BAD },
    { "huge length", "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 99999999999999999999\r\n\r\na", BAD },
    { "two codings",
      "POST /echo HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
      BAD },
    { "coding in 1.0", "POST /echo HTTP/1.0\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", BAD },
    { "obs-fold", "GET /a HTTP/1.1\r\n" HOST "X: a\r\n b\r\n\r\n", BAD },
    { "tab fold", "GET /a HTTP/1.1\r\n" HOST "X: a\r\n\tb\r\n\r\n", BAD },
    { "blank before first header", "GET /a HTTP/1.1\r\n " HOST "\r\n", BAD },
    { "space before colon", "GET /a HTTP/1.1\r\n" HOST "X : a\r\n\r\n", BAD },
    { "space in name", "GET /a HTTP/1.1\r\n" HOST "X y: a\r\n\r\n", BAD },
    { "no name", "GET /a HTTP/1.1\r\n" HOST ": a\r\n\r\n", BAD },
    { "no colon", "GET /a HTTP/1.1\r\n" HOST "X\r\n\r\n", BAD },
    { "high byte in name", "GET /a HTTP/1.1\r\n" HOST "X\xe9: a\r\n\r\n", BAD },
    { "control in value", "GET /a HTTP/1.1\r\n" HOST "X: a\001b\r\n\r\n", BAD },
    { "bare LF", "GET /a HTTP/1.1\n" HOST "\r\n", BAD },
    { "bare LF between headers", "GET /a HTTP/1.1\r\n" HOST "X: a\nY: b\r\n\r\n", BAD },
    { "bare CR", "GET /a HTTP/1.1\r\n" HOST "X: a\rY: b\r\n\r\n", BAD },
    { "no host", "GET /a HTTP/1.1\r\nX: a\r\n\r\n", BAD },
    { "two hosts", "GET /a HTTP/1.1\r\n" HOST HOST "\r\n", BAD },
    { "bad chunk size", "POST /echo HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\nzz\r\n", BAD },
    { "negative chunk", "POST /echo HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n-1\r\n", BAD },
    { "huge chunk", "POST /echo HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n", BAD },
    { "chunk longer than said", "POST /echo HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n1\r\nab\r\n0\r\n\r\n",
      BAD },

    /* what is no HTTP */
    { "nonsense", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", BAD },
    { "no target", "GET  HTTP/1.1\r\n" HOST "\r\n", BAD },
    { "relative target", "GET a HTTP/1.1\r\n" HOST "\r\n", BAD },
    { "fragment", "GET /a#b HTTP/1.1\r\n" HOST "\r\n", BAD },
    { "connect", "CONNECT a:443 HTTP/1.1\r\n" HOST "\r\n", BAD },
    { "unknown method", "GETS /a HTTP/1.1\r\n" HOST "\r\n", BAD },
    { "2.0", "GET /a HTTP/2.0\r\n" HOST "\r\n", "505 [505 HTTP Version Not Supported] close; " },

    /* what is too much, or not to be had */
    { "unknown coding", "POST /echo HTTP/1.1\r\n" HOST "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
      "501 [501 Not Implemented] close; " },
    { "unknown expectation", "POST /echo HTTP/1.1\r\n" HOST "Expect: tea\r\nContent-Length: 1\r\n\r\na",
      "417 [417 Expectation Failed] close; " },
    { "body too large", "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 65\r\n\r\n",
      "413 [413 Request Entity Too Large] close; " },
    { "no continue for it", "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 65\r\nExpect: 100-continue\r\n\r\n",
      "413 [413 Request Entity Too Large] close; " },
    { "chunks too large", "POST /echo HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n40\r\n"
                          "0123456789012345678901234567890123456789012345678901234567890123\r\n1\r\na\r\n0\r\n\r\n",
      "413 [413 Request Entity Too Large] close; " },
};

/* Feeds in pieces of step bytes; what comes back may not depend on it. */
static bool run_case(const struct exchange_case *c, size_t step)
{
    AUTO_DEINIT(buf, summary) = BUF_INIT;
    struct str in = str_from(c->in);
    struct fixture fixture;
    struct memory_conn conn;

    fixture_init(&fixture);
    assert_true(memory_conn_open(&fixture.server, &conn));
    for (size_t at = 0; at < in.len; at += step)
        memory_conn_feed(&conn, str_first(str_skip(in, at), step));
    bool closing = conn.closed || conn.half_closed;
    if (c->eof)
        memory_conn_eof(&conn);
    summarize(buf_str(&conn.sent), c->head_only, &summary);
    buf_add_char(&summary, '\0');
    bool ok = strcmp(summary.data, c->want) == 0 && closing == (strstr(c->want, "close") != NULL);
    if (!ok)
        print_error("%s, in steps of %zu: %s closing %d\n", c->name, step, summary.data, closing);
    memory_conn_done(&conn);
    assert_true(loop_is_empty(&fixture.server.loop));
    fixture_deinit(&fixture);
    return ok;
}

static void test_cases(void **state)
{
    static const size_t steps[] = { SIZE_MAX / 2, 1, 7 };
    int failed = 0;

    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        for (size_t j = 0; j < ARRAY_LEN(steps); j++)
            failed += !run_case(&cases[i], steps[j]);
    assert_int_equal(failed, 0);
}

static bool sent_has(struct memory_conn *conn, const char *text)
{
    return str_find(buf_str(&conn->sent), str_from(text)) >= 0;
}

static void test_head_limits(void **state)
{
    struct fixture fixture;
    struct memory_conn conn;
    static char big[MAX_HEAD + 1];

    memset(big, 'a', MAX_HEAD);
    fixture_init(&fixture);
    assert_true(memory_conn_open(&fixture.server, &conn));
    memory_conn_feed(&conn, STR("GET /a HTTP/1.1\r\n" HOST "X: "));
    memory_conn_feed(&conn, str_of(big, MAX_HEAD));
    assert_true(sent_has(&conn, "HTTP/1.1 431 "));
    assert_true(conn.half_closed);
    memory_conn_done(&conn);

    assert_true(memory_conn_open(&fixture.server, &conn));
    memory_conn_feed(&conn, STR("GET /a HTTP/1.1\r\n" HOST));
    for (int i = 0; i < 300; i++)
        memory_conn_feed(&conn, STR("a:\r\n"));
    assert_true(sent_has(&conn, "HTTP/1.1 431 "));
    memory_conn_done(&conn);

    assert_true(memory_conn_open(&fixture.server, &conn)); /* empty lines for ever */
    for (int i = 0; i < 1100; i++)
        memory_conn_feed(&conn, STR("\r\n"));
    assert_true(conn.half_closed || conn.closed);
    memory_conn_done(&conn);

    assert_true(memory_conn_open(&fixture.server, &conn)); /* a body that is all extension */
    memory_conn_feed(&conn, STR("POST /echo HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n1;"));
    for (int i = 0; i < 3; i++)
        memory_conn_feed(&conn, str_of(big, MAX_HEAD));
    assert_true(sent_has(&conn, "HTTP/1.1 400 "));
    memory_conn_done(&conn);
    fixture_deinit(&fixture);
}

/* With the memory nearly used up, new requests are put off, and what was under way gives back all it had. */
static void test_memory_budget(void **state)
{
    static const char request[] = "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 3\r\n\r\nabc";
    struct fixture fixture;
    struct memory_conn conn;

    fixture_init(&fixture);
    struct arena_budget *memory = &fixture.server.shared.memory;

    assert_true(arena_budget_take(memory, memory->limit));
    assert_true(memory_conn_open(&fixture.server, &conn));
    memory_conn_feed(&conn, str_of(request, sizeof request - 1));
    assert_true(sent_has(&conn, "HTTP/1.1 429 "));
    assert_true(sent_has(&conn, "Retry-After: 1\r\n"));
    assert_true(conn.half_closed);
    memory_conn_done(&conn);
    arena_budget_give(memory, memory->limit);

    assert_true(memory_conn_open(&fixture.server, &conn));
    conn.can_take = 10; /* the rest of the answer waits, and so does what comes behind the request */
    for (int i = 0; i < 5; i++)
        memory_conn_feed(&conn, str_of(request, sizeof request - 1));
    assert_true(memory->used > 0);
    memory_conn_done(&conn);
    memory_server_turn(&fixture.server);
    assert_true(memory->used <= 8192); /* of arenas that are kept for the next requests */
    fixture_deinit(&fixture);
    assert_int_equal(memory->used, 0);
}

static void test_timeouts(void **state)
{
    static const struct {
        const char *name, *in, *want; /* want NULL: closed without a word */
        nsec_t pass;
    } timeouts[] = {
        { "nothing said", "", NULL, 10 * NSEC_PER_SEC },
        { "half a head", "GET /a HT", "HTTP/1.1 408 ", 10 * NSEC_PER_SEC },
        { "idle", GET("/none"), NULL, 300 * NSEC_PER_SEC },
        { "half a body",
          "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 5\r\n\r\nab", "HTTP/1.1 408 ", 30 * NSEC_PER_SEC },
    };
    struct fixture fixture;
    struct memory_conn conn;

    fixture_init(&fixture);
    for (size_t i = 0; i < ARRAY_LEN(timeouts); i++) {
        assert_true(memory_conn_open(&fixture.server, &conn));
        memory_conn_feed(&conn, str_from(timeouts[i].in));
        memory_server_pass(&fixture.server, timeouts[i].pass - 1);
        assert_false(conn.half_closed || conn.closed);
        memory_server_pass(&fixture.server, 1);
        if (!conn.half_closed && !conn.closed)
            fail_msg("%s: still open", timeouts[i].name);
        assert_true(!timeouts[i].want || sent_has(&conn, timeouts[i].want));
        memory_server_pass(&fixture.server, NSEC_PER_SEC); /* lingers no longer */
        assert_true(conn.closed);
        memory_conn_done(&conn);
    }
    fixture_deinit(&fixture);
}

/* A byte now and then keeps no collected body open for ever. */
static void test_trickled_body(void **state)
{
    struct fixture fixture;
    struct memory_conn conn;

    fixture_init(&fixture);
    assert_true(memory_conn_open(&fixture.server, &conn));
    memory_conn_feed(&conn, STR("POST /echo HTTP/1.1\r\n" HOST "Content-Length: 60\r\n\r\n"));
    for (int i = 0; i < 50 && !conn.closed && !conn.half_closed; i++) {
        memory_server_pass(&fixture.server, 29 * NSEC_PER_SEC);
        memory_conn_feed(&conn, STR("a"));
    }
    assert_true(sent_has(&conn, "HTTP/1.1 408 "));
    memory_conn_done(&conn);
    fixture_deinit(&fixture);
}

static void test_late_reply(void **state)
{
    struct fixture fixture;
    struct memory_conn conn;

    fixture_init(&fixture);
    assert_true(memory_conn_open(&fixture.server, &conn));
    memory_conn_feed(&conn, STR(GET("/keep") GET("/none")));
    assert_int_equal(conn.sent.len, 0);
    http_reply(fixture.kept, 202, NULL, STR("x"));
    memory_server_turn(&fixture.server);
    assert_true(sent_has(&conn, "HTTP/1.1 202 "));
    assert_true(sent_has(&conn, "HTTP/1.1 204 "));
    assert_int_equal(fixture.closed, 0);
    assert_int_equal(fixture.released, 1);
    memory_conn_done(&conn);
    fixture_deinit(&fixture);
}

/* The client leaves: closed() once, and what is written then goes nowhere. */
static void test_client_gone(void **state)
{
    struct fixture fixture;
    struct memory_conn conn;

    fixture_init(&fixture);
    assert_true(memory_conn_open(&fixture.server, &conn));
    memory_conn_feed(&conn, STR(GET("/open")));
    assert_false(http_exchange_cancelled(fixture.kept));
    memory_conn_done(&conn);
    assert_int_equal(fixture.closed, 1);
    assert_true(http_exchange_cancelled(fixture.kept));
    assert_int_equal(http_reply_write(fixture.kept, &(struct http_part){ STR("x"), NULL }, 1), 0);
    assert_int_equal(fixture.released, 0);
    http_reply_end(fixture.kept);
    memory_server_turn(&fixture.server);
    assert_int_equal(fixture.released, 1);
    assert_true(loop_is_empty(&fixture.server.loop));
    fixture_deinit(&fixture);
}

static void test_abort(void **state)
{
    struct fixture fixture;
    struct memory_conn conn;

    fixture_init(&fixture);
    assert_true(memory_conn_open(&fixture.server, &conn));
    memory_conn_feed(&conn, STR(GET("/abort") GET("/none")));
    assert_true(conn.closed);
    assert_false(sent_has(&conn, "0\r\n\r\n"));
    memory_conn_done(&conn);
    fixture_deinit(&fixture);
}

/* A slow reader: what is queued grows, nothing is produced ahead, drained() comes, and a stall ends it. */
static void test_backpressure(void **state)
{
    struct fixture fixture;
    struct memory_conn conn;
    struct blob *blob = blob_new(100000);
    const struct http_part part = { blob_str(blob), blob };
    size_t queued = 0;

    memset(blob->data, 'x', blob->len);
    fixture_init(&fixture);
    assert_true(memory_conn_open(&fixture.server, &conn));
    memory_conn_feed(&conn, STR(GET("/open")));
    conn.can_take = 1000;
    for (int i = 0; i < 10; i++) {
        queued = http_reply_write(fixture.kept, &part, 1);
        memory_server_turn(&fixture.server);
    }
    assert_true(queued > HTTP_QUEUE_HIGH);
    assert_int_equal(fixture.drained, 0);
    assert_true(conn.want_write);
    while (conn.want_write)
        memory_conn_take(&conn, 50000);
    assert_int_equal(fixture.drained, 1);
    http_reply_end(fixture.kept);
    memory_server_turn(&fixture.server);
    AUTO_DEINIT(buf, body) = BUF_INIT;
    summarize(buf_str(&conn.sent), false, &body);
    assert_int_equal(body.len, 1000000 + strlen("200 []; "));

    memory_conn_feed(&conn, STR(GET("/open")));
    conn.can_take = 0;
    for (int i = 0; i < 3; i++)
        http_reply_write(fixture.kept, &part, 1);
    memory_server_turn(&fixture.server);
    memory_server_pass(&fixture.server, 30 * NSEC_PER_SEC);
    assert_true(conn.closed);
    assert_int_equal(fixture.closed, 1);
    http_exchange_abort(fixture.kept);
    memory_conn_done(&conn);
    fixture_deinit(&fixture);
    blob_unref(blob);
}

/* A handler that holds its client back: the bytes wait, the socket is not read without end. */
static void test_upload_pause(void **state)
{
    struct fixture fixture;
    struct memory_conn conn;
    static char big[70000];

    memset(big, 'y', sizeof big);
    fixture_init(&fixture);
    assert_true(memory_conn_open(&fixture.server, &conn));
    memory_conn_feed(&conn, STR("POST /upload HTTP/1.1\r\n" HOST "Content-Length: 210000\r\n\r\n"));
    http_exchange_pause(fixture.kept, true);
    memory_conn_feed(&conn, str_of(big, sizeof big));
    memory_conn_feed(&conn, str_of(big, sizeof big));
    assert_int_equal(fixture.uploaded.len, 0);
    assert_false(conn.want_read);
    http_exchange_pause(fixture.kept, false);
    memory_server_turn(&fixture.server);
    assert_int_equal(fixture.uploaded.len, 140000);
    assert_true(conn.want_read);
    memory_conn_feed(&conn, str_of(big, sizeof big));
    assert_true(sent_has(&conn, "Content-Length: 210000\r\n"));
    memory_conn_done(&conn);
    fixture_deinit(&fixture);
}

static void test_stop(void **state)
{
    struct fixture fixture;
    struct memory_conn idle, half, busy, open;

    fixture_init(&fixture);
    assert_true(memory_conn_open(&fixture.server, &idle));
    assert_true(memory_conn_open(&fixture.server, &half));
    assert_true(memory_conn_open(&fixture.server, &busy));
    assert_true(memory_conn_open(&fixture.server, &open));
    memory_conn_feed(&idle, STR(GET("/none")));
    memory_conn_feed(&half, STR("GET /"));
    memory_conn_feed(&busy, STR(GET("/keep")));
    struct http_exchange *kept = fixture.kept;
    memory_conn_feed(&open, STR(GET("/open")));
    loop_stop(&fixture.server.loop);
    memory_server_turn(&fixture.server);
    assert_true(idle.half_closed);
    assert_true(half.closed);
    assert_false(busy.half_closed || busy.closed);
    assert_int_equal(fixture.closed, 1); /* the stream */
    http_reply_end(fixture.kept);
    http_reply(kept, 200, NULL, STR("done"));
    memory_server_turn(&fixture.server);
    assert_true(open.half_closed && sent_has(&open, "0\r\n\r\n"));
    assert_true(busy.half_closed && sent_has(&busy, "Connection: close") && sent_has(&busy, "done"));
    memory_conn_done(&idle);
    memory_conn_done(&half);
    memory_conn_done(&busy);
    memory_conn_done(&open);
    assert_true(loop_is_empty(&fixture.server.loop));
    fixture_deinit(&fixture);
}

#define UPGRADE_HEAD "GET /raw HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\nUpgrade: echo\r\n\r\n"

/* Bytes that came along with the request count too; one in the handler's way waits; the end is passed on. */
static void test_upgrade(void **state)
{
    struct fixture fixture;
    struct memory_conn conn;

    fixture_init(&fixture);
    assert_true(memory_conn_open(&fixture.server, &conn));
    memory_conn_feed(&conn, STR(UPGRADE_HEAD "early "));
    assert_true(str_find(buf_str(&conn.sent), STR("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n"
                                                  "Upgrade: echo\r\n\r\nearly ")) == 0);
    memory_conn_feed(&conn, STR("GET / HTTP/1.1\r\n\r\n"));
    assert_true(str_has_suffix(buf_str(&conn.sent), STR("early GET / HTTP/1.1\r\n\r\n")));
    http_exchange_pause(fixture.kept, true);
    memory_conn_feed(&conn, STR("later"));
    assert_false(str_has_suffix(buf_str(&conn.sent), STR("later")));
    memory_server_pass(&fixture.server, 3600 * NSEC_PER_SEC); /* nothing is overdue */
    http_exchange_pause(fixture.kept, false);
    memory_server_turn(&fixture.server);
    assert_true(str_has_suffix(buf_str(&conn.sent), STR("later")));
    assert_false(conn.half_closed);
    memory_conn_eof(&conn);
    assert_true(conn.closed);
    assert_int_equal(fixture.closed, 0);
    assert_int_equal(fixture.released, 1);
    memory_conn_done(&conn);
    fixture_deinit(&fixture);
}

/* Much is queued for a reader that takes little; it is never overdue; a client that leaves is told of. */
static void test_upgrade_slow(void **state)
{
    struct fixture fixture;
    struct memory_conn conn;
    static char block[HTTP_QUEUE_HIGH + 1];

    fixture_init(&fixture);
    assert_true(memory_conn_open(&fixture.server, &conn));
    memory_conn_feed(&conn, STR(UPGRADE_HEAD));
    conn.can_take = 10;
    assert_true(http_reply_write(fixture.kept, &(struct http_part){ str_of(block, sizeof block), NULL }, 1) >
                HTTP_QUEUE_HIGH);
    memory_server_turn(&fixture.server);
    memory_server_pass(&fixture.server, 3600 * NSEC_PER_SEC);
    assert_false(conn.closed);
    assert_int_equal(fixture.drained, 0);
    memory_conn_take(&conn, SIZE_MAX);
    memory_server_turn(&fixture.server);
    assert_int_equal(fixture.drained, 1);
    loop_begin(&fixture.server.loop);
    conn_fail(&conn.conn);
    loop_end(&fixture.server.loop);
    assert_int_equal(fixture.closed, 1);
    http_exchange_abort(fixture.kept);
    memory_server_turn(&fixture.server);
    assert_int_equal(fixture.released, 1);
    memory_conn_done(&conn);
    fixture_deinit(&fixture);
}

static void test_upgrade_refused(void **state)
{
    static const char *const heads[] = {
        "GET /raw HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /raw HTTP/1.1\r\nHost: a\r\nUpgrade: echo\r\n\r\n",
        "GET /raw HTTP/1.1\r\nHost: a\r\nConnection: upgrades\r\nUpgrade: echo\r\n\r\n",
        "GET /raw HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\n\r\n",
    };
    struct fixture fixture;
    struct memory_conn conn;

    fixture_init(&fixture);
    for (size_t i = 0; i < ARRAY_LEN(heads); i++) {
        assert_true(memory_conn_open(&fixture.server, &conn));
        memory_conn_feed(&conn, str_from(heads[i]));
        assert_true(str_has_prefix(buf_str(&conn.sent), STR("HTTP/1.1 400 ")));
        memory_conn_done(&conn);
    }
    fixture_deinit(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cases),       cmocka_unit_test(test_head_limits),   cmocka_unit_test(test_timeouts),
        cmocka_unit_test(test_trickled_body), cmocka_unit_test(test_late_reply),  cmocka_unit_test(test_client_gone),
        cmocka_unit_test(test_abort),       cmocka_unit_test(test_backpressure),  cmocka_unit_test(test_upload_pause),
        cmocka_unit_test(test_stop),        cmocka_unit_test(test_upgrade),       cmocka_unit_test(test_upgrade_slow),
        cmocka_unit_test(test_upgrade_refused), cmocka_unit_test(test_memory_budget),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
