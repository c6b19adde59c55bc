/* Answers as raw bytes: whole, and split at every place. */
#include "net/http_answer.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "base/buf.h"

static const struct {
    const char *name;
    enum http_method method;
    const char *bytes, *want; /* want: status, header x, '|', body, and how it ended: '.' done, '+' by its end, '!' */
} cases[] = {
    { "a length", HTTP_GET_, "HTTP/1.1 200 OK\r\nX: a\r\nContent-Length: 5\r\n\r\nhello", "200a|hello." },
    { "chunks", HTTP_GET_, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nX: t\r\n\r\n",
      "200|abcde." },
    { "no length", HTTP_GET_, "HTTP/1.1 200 OK\r\n\r\nup to the end", "200|up to the end+" },
    { "no body", HTTP_GET_, "HTTP/1.1 204 No Content\r\nX:\r\n\r\n", "204|." },
    { "not modified", HTTP_GET_, "HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n", "304|." },
    { "of HEAD", HTTP_HEAD_, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\nX: b\r\n\r\n", "200b|." },
    { "of HEAD, chunked", HTTP_HEAD_, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "200|." },
    { "empty", HTTP_GET_, "HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n", "500|." },
    { "interim ones are left out", HTTP_POST_,
      "HTTP/1.1 100 Continue\r\nX: c\r\n\r\nHTTP/1.1 103 Early\r\nX: d\r\n\r\nHTTP/1.1 201 Made\r\nX: e\r\n"
      "Content-Length: 1\r\n\r\nz",
      "201e|z." },
    { "upgraded", HTTP_GET_, "HTTP/1.1 101 Go\r\nConnection: Upgrade\r\nUpgrade: x\r\nX: u\r\n\r\n\n\r\nHTTP/1.1 200",
      "101u|\n\r\nHTTP/1.1 200+" },
    { "what follows is dropped", HTTP_GET_, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\naHTTP/1.1 200 OK", "200|a." },
    { "HTTP/1.0", HTTP_GET_, "HTTP/1.0 200 OK\r\nX: f\r\n\r\nold", "200f|old+" },
    { "cut body", HTTP_GET_, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel", "200|hel!" },
    { "cut chunk", HTTP_GET_, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nab", "200|ab!" },
    { "cut head", HTTP_GET_, "HTTP/1.1 200 OK\r\nX: a", "!" },
    { "nothing", HTTP_GET_, "", "!" },
    { "not HTTP", HTTP_GET_, "SSH-2.0-OpenSSH_9\r\n", "!" },
    { "both lengths", HTTP_GET_, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!", "!" },
    { "control in a value", HTTP_GET_, "HTTP/1.1 200 OK\r\nX: a\001b\r\n\r\n", "!" },
};

static void on_head(void *ctx, int status, const struct http_header *headers, size_t count)
{
    buf_printf(ctx, "%d", status);
    for (size_t i = 0; i < count; i++)
        if (str_is(headers[i].name, "x"))
            buf_add_str(ctx, headers[i].value);
    buf_add_char(ctx, '|');
}

static void on_data(void *ctx, struct str bytes)
{
    buf_add_str(ctx, bytes);
}

/* In pieces of this size (0: two, the first of that many bytes). */
static void check(size_t i, size_t first, size_t step)
{
    AUTO_DEINIT(buf, got) = BUF_INIT;
    const struct http_answer_events events = { &got, on_head, on_data };
    AUTO(http_answer) answer = http_answer_new(cases[i].method, &events);
    struct str bytes = str_from(cases[i].bytes);
    enum http_answer_state state = HTTP_ANSWER_MORE;

    assert_non_null(answer);
    for (size_t take = first; bytes.len > 0; take = step ? step : bytes.len) {
        state = http_answer_input(answer, str_first(bytes, MIN(take, bytes.len)));
        bytes = str_skip(bytes, MIN(take, bytes.len));
    }
    if (state == HTTP_ANSWER_DONE)
        buf_add_char(&got, '.');
    else
        buf_add_char(&got, http_answer_eof(answer) == HTTP_ANSWER_DONE ? '+' : '!');
    buf_add_char(&got, '\0');
    if (strcmp(got.data, cases[i].want) != 0)
        fail_msg("%s: got \"%s\", wanted \"%s\" (split at %zu)", cases[i].name, got.data, cases[i].want, first);
}

static void test_answers(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        size_t len = strlen(cases[i].bytes);

        check(i, len, 0);
        check(i, 1, 1);
        for (size_t at = 1; at < len; at++)
            check(i, at, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_answers) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
