/* What -o jsonpath= prints. */
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "cli/jsonpath_template.h"

static const char document[] =
    "{\"kind\":\"List\",\"n\":3,\"flag\":true,\"items\":[{\"name\":\"a\",\"ports\":[1,2]},{\"name\":\"b\",\"ports\":[3]},{\"name\":\"c\"}],"
    "\"labels\":{\"a.b/c\":\"x\"}}";

static const struct {
    const char *template, *want; /* NULL: refused */
} cases[] = {
    { "{.kind}", "List" },
    { ".kind", "List" },
    { "kind", "List" },
    { "{.n}{.flag}", "3true" },
    { "{.items[*].name}", "a b c" },
    { "{.items[-1].name}", "c" },
    { "{.labels}", "{\"a.b/c\":\"x\"}" },
    { "{.labels['a\\.b/c']}{.labels.a\\.b/c}", "xx" },
    { "{.nothing}", "" },
    { "name: {.items[0].name}.", "name: a." },
    { "{range .items[*]}{.name}{\"\\n\"}{end}", "a\nb\nc\n" },
    { "{range .items[*]}{@.name}={range .ports[*]}{@},{end};{end}", "a=1,2,;b=3,;c=;" },
    { "{range .items[*]}{$.kind} {end}", "List List List " },
    { "{range .nothing[*]}x{end}y", "y" },
    { "{'\\t'}{\"a}b\"}", "\ta}b" },
    { "{.items[?(@.name==\"b\")].ports[0]}", "3" },
    { "", NULL },
    { "{", NULL },
    { "{}", NULL },
    { "{.items[}", NULL },
    { "{range .items[*]}", NULL },
    { "{end}", NULL },
    { "{range }{end}", NULL },
    { "{.items..name}", NULL },
};

static void test_templates(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        AUTO(arena) arena = arena_new(0);
        AUTO_DEINIT(buf, out) = BUF_INIT;
        const struct jsonpath_template *template;
        struct err err = { 0 };
        struct json *json;
        int code = jsonpath_template_parse(arena, str_from(cases[i].template), &template, &err);

        assert_int_equal(json_parse(arena, str_from(document), NULL, &json, NULL), 0);
        if ((code == 0) != (cases[i].want != NULL))
            fail_msg("%s: %d %s", cases[i].template, code, err.message);
        if (code < 0)
            continue;
        assert_int_equal(jsonpath_template_write(&out, template, json, &err), 0);
        if (!str_is(buf_str(&out), cases[i].want))
            fail_msg("%s: \"" STR_FMT "\"", cases[i].template, STR_ARG(buf_str(&out)));
    }
}

/* More results than the first array holds. */
static void test_many_results(void **state)
{
    AUTO(arena) arena = arena_new(0);
    AUTO_DEINIT(buf, text) = BUF_INIT;
    AUTO_DEINIT(buf, out) = BUF_INIT;
    const struct jsonpath_template *template;
    struct json *json;

    buf_add_cstr(&text, "{\"a\":[0");
    for (int i = 1; i < 1000; i++)
        buf_printf(&text, ",%d", i % 10);
    buf_add_cstr(&text, "]}");
    assert_int_equal(json_parse(arena, buf_str(&text), NULL, &json, NULL), 0);
    assert_int_equal(jsonpath_template_parse(arena, STR("{.a[*]}"), &template, NULL), 0);
    assert_int_equal(jsonpath_template_write(&out, template, json, NULL), 0);
    assert_int_equal(out.len, 1999);
}

static void test_deep_ranges(void **state)
{
    AUTO(arena) arena = arena_new(0);
    AUTO_DEINIT(buf, text) = BUF_INIT;
    const struct jsonpath_template *template;

    for (int i = 0; i < 100; i++)
        buf_add_cstr(&text, "{range .a}");
    assert_int_equal(jsonpath_template_parse(arena, buf_str(&text), &template, NULL), -ERR_BAD_REQUEST);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_templates),
    cmocka_unit_test(test_many_results),
    cmocka_unit_test(test_deep_ranges),
};

int main(void)
{
    return cmocka_run_group_tests(tests, NULL, NULL);
}
