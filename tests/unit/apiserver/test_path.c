/* URLs, Accept lists, names and spliced texts: tables of what goes in and what comes out. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "apiserver/negotiate.h"
#include "apiserver/path.h"
#include "apiserver/splice.h"
#include "apiserver/validate.h"
#include "base/buf.h"
#include "schema/type.h"

static const struct path_case {
    enum http_method method;
    const char *path, *query, *want; /* "verb group/version plural ns/name sub rest"; NULL: refused */
} paths[] = {
    { HTTP_GET_, "/api/v1/namespaces/a/pods/b", "", "get /v1 pods a/b - -" },
    { HTTP_HEAD_, "/api/v1/namespaces/a/pods/b", "", "get /v1 pods a/b - -" },
    { HTTP_GET_, "/api/v1/namespaces/a/pods", "", "list /v1 pods a/- - -" },
    { HTTP_GET_, "/api/v1/pods", "", "list /v1 pods -/- - -" },
    { HTTP_GET_, "/api/v1/pods/", "", "list /v1 pods -/- - -" },
    { HTTP_GET_, "//api//v1//pods", "", "list /v1 pods -/- - -" },
    { HTTP_GET_, "/api/v1/pods", "watch=true", "watch /v1 pods -/- - -" },
    { HTTP_GET_, "/api/v1/pods", "watch", "watch /v1 pods -/- - -" },
    { HTTP_GET_, "/api/v1/pods", "watch=false", "list /v1 pods -/- - -" },
    { HTTP_GET_, "/api/v1/pods", "watch=0", "list /v1 pods -/- - -" },
    { HTTP_GET_, "/api/v1/namespaces/a/pods/b", "watch=true", "get /v1 pods a/b - -" },
    { HTTP_GET_, "/api/v1/nodes/b", "watch=1", "get /v1 nodes -/b - -" },
    { HTTP_GET_, "/api/v1/namespaces/a/pods/b/log", "watch=1", "get /v1 pods a/b log -" },
    { HTTP_GET_, "/api/v1/watch/pods", "", "watch /v1 pods -/- - -" },
    { HTTP_GET_, "/api/v1/watch/namespaces/a/pods/b", "", "watch /v1 pods a/b - -" },
    { HTTP_GET_, "/apis/apps/v1/watch/deployments", "", "watch apps/v1 deployments -/- - -" },
    { HTTP_POST_, "/apis/apps/v1/namespaces/a/deployments", "", "create apps/v1 deployments a/- - -" },
    { HTTP_PUT_, "/apis/apps/v1/namespaces/a/deployments/d/scale", "", "update apps/v1 deployments a/d scale -" },
    { HTTP_PATCH_, "/api/v1/nodes/n/status", "", "patch /v1 nodes -/n status -" },
    { HTTP_DELETE_, "/api/v1/namespaces/a/pods", "", "deletecollection /v1 pods a/- - -" },
    { HTTP_DELETE_, "/api/v1/namespaces/a/pods/b", "", "delete /v1 pods a/b - -" },
    { HTTP_GET_, "/api/v1/namespaces", "", "list /v1 namespaces -/- - -" },
    { HTTP_GET_, "/api/v1/namespaces/a", "", "get /v1 namespaces -/a - -" },
    { HTTP_PUT_, "/api/v1/namespaces/a/finalize", "", "update /v1 namespaces -/a finalize -" },
    { HTTP_PUT_, "/api/v1/namespaces/a/status", "", "update /v1 namespaces -/a status -" },
    { HTTP_GET_, "/api/v1/namespaces/a/pods/b/proxy/x/y", "", "get /v1 pods a/b proxy x/y" },
    { HTTP_GET_, "/api/v1/namespaces/a/pods/b%2Dc", "", "get /v1 pods a/b-c - -" },
    { HTTP_GET_, "/api/v1", "", "path /api/v1" },
    { HTTP_GET_, "/apis/apps/v1", "", "path /apis/apps/v1" },
    { HTTP_GET_, "/", "", "path /" },
    { HTTP_GET_, "", "", "path /" },
    { HTTP_GET_, "/healthz", "", "path /healthz" },
    { HTTP_GET_, "/api/v1/namespaces/../pods", "", NULL },
    { HTTP_GET_, "/api/v1/namespaces/%2e%2e/pods", "", NULL },
    { HTTP_GET_, "/api/v1/namespaces/./pods", "", NULL },
    { HTTP_GET_, "/api/v1/namespaces/a%2fb/pods", "", NULL },
    { HTTP_GET_, "/api/v1/namespaces/a%00/pods", "", NULL },
    { HTTP_GET_, "/api/v1/namespaces/a%0a/pods", "", NULL },
    { HTTP_GET_, "/api/v1/namespaces/a%/pods", "", NULL },
    { HTTP_GET_, "/api/v1/namespaces/a%zz/pods", "", NULL },
    { HTTP_GET_, "/api/v1/namespaces/a%25/pods", "", NULL },
    { HTTP_GET_, "/api/v1/namespaces/%ff%fe/pods", "", NULL },
};

static const char *dash(struct arena *arena, struct str s)
{
    return s.data ? arena_cstr(arena, s) : "-";
}

static void test_paths(void **state)
{
    AUTO(arena) arena = arena_new(0);

    for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
        const struct path_case *c = &paths[i];
        struct http_params params = { 0 };
        struct request_info info;
        struct err err = { 0 };
        struct str got;

        assert_true(http_params_parse(arena, str_from(c->query), &params));
        int code = path_parse(arena, c->method, str_from(c->path), &params, &info, &err);
        if (!c->want) {
            assert_int_equal(code, -ERR_BAD_REQUEST);
            continue;
        }
        assert_int_equal(code, 0);
        got = info.is_resource
                  ? arena_printf(arena, "%s " STR_FMT "/" STR_FMT " " STR_FMT " %s/%s %s %s", verb_name(info.verb),
                                 STR_ARG(info.group), STR_ARG(info.version), STR_ARG(info.plural), dash(arena, info.ns),
                                 dash(arena, info.name), dash(arena, info.subresource), dash(arena, info.rest))
                  : arena_printf(arena, "path " STR_FMT, STR_ARG(info.path));
        assert_string_equal(got.data, c->want);
    }
}

static void test_hostile_paths(void **state)
{
    AUTO(arena) arena = arena_new(0);
    struct http_params params = { 0 };
    struct request_info info;
    AUTO_DEINIT(buf, buf) = BUF_INIT;

    for (int i = 0; i < 2000; i++)
        buf_add_cstr(&buf, "/a");
    assert_int_equal(path_parse(arena, HTTP_GET_, buf_str(&buf), &params, &info, NULL), -ERR_BAD_REQUEST);
    for (int i = 0; i < 20000; i++)
        buf_add_char(&buf, 'x');
    assert_int_equal(path_parse(arena, HTTP_GET_, buf_str(&buf), &params, &info, NULL), -ERR_BAD_REQUEST);
}

static const struct name_case {
    enum name_form form;
    const char *name;
    bool generated, valid;
} names[] = {
    { NAME_SUBDOMAIN, "a", false, true },
    { NAME_SUBDOMAIN, "a.b-c.d9", false, true },
    { NAME_SUBDOMAIN, "A", false, false },
    { NAME_SUBDOMAIN, "-a", false, false },
    { NAME_SUBDOMAIN, "a..b", false, false },
    { NAME_SUBDOMAIN, "a.", false, false },
    { NAME_SUBDOMAIN, "a_b", false, false },
    { NAME_SUBDOMAIN, "web-", true, true },
    { NAME_SUBDOMAIN, "web-", false, false },
    { NAME_SUBDOMAIN, "-", true, false },
    { NAME_LABEL, "a-b", false, true },
    { NAME_LABEL, "a.b", false, false },
    { NAME_LABEL, "9a", false, true },
    { NAME_DNS1035, "9a", false, false },
    { NAME_DNS1035, "a9", false, true },
    { NAME_PATH_SEGMENT, "system:node:A", false, true },
    { NAME_PATH_SEGMENT, "a/b", false, false },
    { NAME_PATH_SEGMENT, "..", false, false },
    { NAME_PATH_SEGMENT, "a%b", false, false },
    { NAME_LABEL, "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", false, true },
    { NAME_LABEL, "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", false, false },
};

static void test_names(void **state)
{
    const char *problems[NAME_PROBLEMS_MAX];

    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if ((name_problems(names[i].form, str_from(names[i].name), names[i].generated, problems) == 0) !=
            names[i].valid)
            fail_msg("%s", names[i].name);
}

static void test_label_keys(void **state)
{
    static const struct {
        const char *key;
        bool valid;
    } keys[] = {
        { "a", true },      { "A_b.c-d", true }, { "x.example/a", true }, { "x.example/", false },  { "/a", false },
        { "a/b/c", false }, { "", false },       { "-a", false },         { "X.example/a", false }, { "a b", false },
    };

    for (size_t i = 0; i < ARRAY_LEN(keys); i++)
        assert_int_equal(qualified_name_problem(str_from(keys[i].key)) == NULL, keys[i].valid);
    assert_null(label_value_problem(STR("")));
    assert_null(label_value_problem(STR("a.B_c-1")));
    assert_non_null(label_value_problem(STR("a b")));
    assert_non_null(label_value_problem(STR("-")));
}

static void test_splice(void **state)
{
    static const struct {
        const char *in, *want;
    } cases[] = {
        { "{\"kind\":\"X\",\"metadata\":{\"name\":\"a\"}}",
          "{\"kind\":\"X\",\"metadata\":{\"name\":\"a\",\"resourceVersion\":\"42\"}}" },
        { "{\"metadata\":{\"labels\":{\"resourceVersion\":\"\"},\"resourceVersion\":\"7\",\"uid\":\"u\"}}",
          "{\"metadata\":{\"labels\":{\"resourceVersion\":\"\"},\"resourceVersion\":\"42\",\"uid\":\"u\"}}" },
        { "{\"data\":{\"metadata\":\"{\\\"resourceVersion\\\":\\\"\\\"}\"}}",
          "{\"data\":{\"metadata\":\"{\\\"resourceVersion\\\":\\\"\\\"}\"},\"metadata\":{\"resourceVersion\":\"42\"}"
          "}" },
    };
    AUTO(arena) arena = arena_new(0);

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct spliced spliced;
        struct json *json;
        struct str filled;

        assert_int_equal(json_parse(arena, str_from(cases[i].in), NULL, &json, NULL), 0);
        assert_int_equal(splice_object(arena, json, &spliced, NULL), 0);
        filled = splice_fill(arena, &spliced, STR("42"));
        assert_true(str_is(filled, cases[i].want));
        assert_true(splice_equal(&spliced, filled));
        assert_false(splice_equal(&spliced, str_chop(filled, 1)));
        assert_false(splice_equal(&spliced, splice_fill(arena, &spliced, STR("x"))));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_paths),      cmocka_unit_test(test_hostile_paths), cmocka_unit_test(test_names),
        cmocka_unit_test(test_label_keys), cmocka_unit_test(test_splice),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
