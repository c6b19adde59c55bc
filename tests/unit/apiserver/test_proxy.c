/* The texts of proxied requests: paths, names, heads, redirects; and which endpoint is chosen. */
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "apiserver/proxy_head.h"
#include "apiserver/proxy_target.h"

static void check_text(const char *name, const char *want, struct str got)
{
    if (!str_is(got, want))
        fail_msg("%s: got \"" STR_FMT "\", wanted \"%s\"", name, STR_ARG(got), want);
}

static void test_paths(void **state)
{
    static const struct {
        const char *path, *prefix, *rest;
    } cases[] = {
        { "/api/v1/nodes/a/proxy", "/api/v1/nodes/a/proxy", "" },
        { "/api/v1/nodes/a/proxy/", "/api/v1/nodes/a/proxy", "/" },
        { "/api/v1/nodes/a/proxy/b//c%20/", "/api/v1/nodes/a/proxy", "/b//c%20/" },
        { "/api/v1/namespaces/n/pods/p:80/proxy/x", "/api/v1/namespaces/n/pods/p:80/proxy", "/x" },
        { "/api/v1/namespaces/proxy/services/https:s:/proxy", "/api/v1/namespaces/proxy/services/https:s:/proxy", "" },
        { "/api/v1/namespaces/n/pods/p/proxied", NULL, NULL },
        { "/api/v1/namespaces/n/pods/p", NULL, NULL },
        { "/api/v1//nodes/a/proxy", NULL, NULL },
        { "/apis/v1/nodes/a/proxy", NULL, NULL },
        { "proxy", NULL, NULL },
        { "", NULL, NULL },
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct str prefix, rest;

        assert_int_equal(proxy_path_split(str_from(cases[i].path), &prefix, &rest), cases[i].prefix != NULL);
        if (!cases[i].prefix)
            continue;
        check_text(cases[i].path, cases[i].prefix, prefix);
        check_text(cases[i].path, cases[i].rest, rest);
    }
}

static void test_names(void **state)
{
    static const struct {
        const char *id, *scheme, *name, *port;
    } cases[] = {
        { "web", "", "web", "" },          { "web:80", "", "web", "80" }, { "https:web:443", "https", "web", "443" },
        { "https:web:", "https", "web", "" }, { "http:web:http", "http", "web", "http" },
        { ":80", NULL, NULL, NULL },       { "ftp:web:21", NULL, NULL, NULL }, { "a:b:c:d", NULL, NULL, NULL },
        { "", NULL, NULL, NULL },
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct str scheme, name, port;

        assert_int_equal(proxy_name_split(str_from(cases[i].id), &scheme, &name, &port), cases[i].name != NULL);
        if (!cases[i].name)
            continue;
        check_text(cases[i].id, cases[i].scheme, scheme);
        check_text(cases[i].id, cases[i].name, name);
        check_text(cases[i].id, cases[i].port, port);
    }
}

#define FORWARDED "X-Forwarded-For: 192.0.2.1\r\nX-Forwarded-Uri: /p/x\r\n"

static void test_heads(void **state)
{
    static const struct {
        const char *name;
        struct http_header headers[4];
        int major;
        bool upgrade;
        const char *want;
    } cases[] = {
        { "plain", { { STR_INIT("host"), STR_INIT("h") }, { STR_INIT("accept"), STR_INIT("*/*") } }, 1, false,
          "accept: */*\r\n" FORWARDED "Connection: close\r\n\r\n" },
        { "who the user is stays here",
          { { STR_INIT("authorization"), STR_INIT("Bearer x") }, { STR_INIT("impersonate-user"), STR_INIT("u") },
            { STR_INIT("x-remote-user"), STR_INIT("u") } },
          1, false, FORWARDED "Connection: close\r\n\r\n" },
        { "hop by hop",
          { { STR_INIT("connection"), STR_INIT("close, X-Mine") }, { STR_INIT("x-mine"), STR_INIT("1") },
            { STR_INIT("te"), STR_INIT("trailers") }, { STR_INIT("x-other"), STR_INIT("2") } },
          1, false, "x-other: 2\r\n" FORWARDED "Connection: close\r\n\r\n" },
        { "a length", { { STR_INIT("content-length"), STR_INIT("3") } }, 1, false,
          FORWARDED "Content-Length: 3\r\nConnection: close\r\n\r\n" },
        { "chunks", { { STR_INIT("transfer-encoding"), STR_INIT("chunked") } }, 1, false,
          FORWARDED "Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n" },
        { "HTTP/2 without a length", { { STR_INIT("x"), STR_INIT("y") } }, 2, false,
          "x: y\r\n" FORWARDED "Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n" },
        { "an upgrade",
          { { STR_INIT("connection"), STR_INIT("Upgrade") }, { STR_INIT("upgrade"), STR_INIT("websocket") },
            { STR_INIT("sec-websocket-key"), STR_INIT("k") } },
          1, true, "sec-websocket-key: k\r\n" FORWARDED "Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n" },
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        AUTO_DEINIT(buf, head) = BUF_INIT;
        struct http_request request = { .method = HTTP_POST_, .method_name = STR_INIT("POST"), .headers = cases[i].headers,
                                        .major = cases[i].major, .query = STR_INIT("a=b"),
                                        .remote_address = STR_INIT("192.0.2.1") };
        struct str rest;

        while (request.header_count < 4 && cases[i].headers[request.header_count].name.data)
            request.header_count++;
        proxy_head_write(&head, &request, STR("/p"), STR("/x"), cases[i].upgrade);
        rest = buf_str(&head);
        assert_true(str_has_prefix(rest, STR("POST /x?a=b HTTP/1.1\r\nHost: ")));
        rest = str_skip(rest, (size_t)str_find(rest, STR("Host: ")));
        check_text(cases[i].name, cases[i].want, str_skip(rest, (size_t)str_find(rest, STR("\r\n")) + 2));
    }
}

static void test_locations(void **state)
{
    static const struct {
        const char *location, *want;
    } cases[] = {
        { "/there", "/p/there" },
        { "/there/?a=b#c", "/p/there/?a=b#c" },
        { "/p/there", "/p/there" },
        { "there", "there" },
        { "?a=b", "?a=b" },
        { "http://10.0.0.1:80/x", "/p/x" },
        { "http://h:6443/x", "/p/x" },
        { "https://example.com/x", "https://example.com/x" },
        { "//example.com/x", "//example.com/x" },
        { "//10.0.0.1:80/x", "/p/x" },
        { "http://10.0.0.1:80", "http://10.0.0.1:80" },
        { "mailto:a@b", "mailto:a@b" },
        { "", "" },
    };
    const struct http_header host = { STR_INIT("host"), STR_INIT("h:6443") };
    const struct http_request request = { .headers = &host, .header_count = 1 };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        AUTO_DEINIT(buf, out) = BUF_INIT;

        proxy_location_write(&out, &request, STR("/p"), STR("10.0.0.1:80"), str_from(cases[i].location));
        check_text(cases[i].location, cases[i].want, buf_str(&out));
    }
}

static const struct endpoint_case {
    const char *json, *port, *want; /* want: "address:port@node", or "" */
    uint64_t random;
} endpoints[] = {
    { "{}", "", "", 0 },
    { "{\"subsets\":[]}", "", "", 7 },
    { "{\"subsets\":[{\"ports\":[{\"port\":80}]}]}", "", "", 1 },
    { "{\"subsets\":[{\"addresses\":[{\"ip\":\"1\",\"nodeName\":\"n\"}],\"ports\":[{\"port\":80}]}]}", "", "1:80@n", 5 },
    { "{\"subsets\":[{\"addresses\":[{\"ip\":\"1\"},{\"ip\":\"2\"}],\"ports\":[{\"name\":\"a\",\"port\":80},"
      "{\"name\":\"b\",\"port\":81}]}]}", "b", "2:81@", 3 },
    { "{\"subsets\":[{\"addresses\":[{\"ip\":\"1\"}],\"ports\":[{\"name\":\"a\",\"port\":80}]}]}", "", "", 0 },
    { "{\"subsets\":[{\"addresses\":[{\"ip\":\"1\"}],\"ports\":[{\"port\":0}]}]}", "", "", 0 },
}, slices[] = {
    { "{}", "", "", 0 },
    { "{\"endpoints\":[{\"addresses\":[\"1\"]}],\"ports\":[{\"name\":\"\",\"port\":80}]}", "", "1:80@", 1 },
    { "{\"endpoints\":[{\"addresses\":[\"1\"],\"conditions\":{\"ready\":false}},{\"addresses\":[\"2\"],"
      "\"nodeName\":\"n\"}],\"ports\":[{\"name\":\"a\",\"port\":80}]}", "a", "2:80@n", 0 },
    { "{\"endpoints\":[{\"addresses\":[\"1\"],\"conditions\":{\"ready\":false}}],\"ports\":[{\"port\":80}]}", "", "", 0 },
    { "{\"endpoints\":[{\"addresses\":[]}],\"ports\":[{\"port\":80}]}", "", "", 0 },
};

static void check_endpoint(const struct endpoint_case *c, bool slice)
{
    AUTO(arena) arena = arena_new(1 << 20);
    struct str host = STR(""), node = STR("");
    struct json *json;
    int port = 0;

    assert_int_equal(json_parse(arena, str_from(c->json), NULL, &json, NULL), 0);
    bool found = slice ? proxy_pick_slice(json, str_from(c->port), c->random, &host, &port, &node)
                       : proxy_pick_endpoint(json, str_from(c->port), c->random, &host, &port, &node);

    check_text(c->json, c->want,
               found ? arena_printf(arena, STR_FMT ":%d@" STR_FMT, STR_ARG(host), port, STR_ARG(node)) : STR(""));
}

static void test_endpoints(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(endpoints); i++)
        check_endpoint(&endpoints[i], false);
    for (size_t i = 0; i < ARRAY_LEN(slices); i++)
        check_endpoint(&slices[i], true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_paths),     cmocka_unit_test(test_names),     cmocka_unit_test(test_heads),
        cmocka_unit_test(test_locations), cmocka_unit_test(test_endpoints),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
