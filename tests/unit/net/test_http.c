#include "net/http.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "base/arena.h"
#include "base/buf.h"

static void test_unescape(void **state)
{
    static const struct {
        const char *in, *path, *query; /* NULL: refused */
    } cases[] = {
        { "", "", "" },
        { "plain", "plain", "plain" },
        { "a%20b", "a b", "a b" },
        { "a+b", "a+b", "a b" },
        { "%e2%82%AC", "\xe2\x82\xac", "\xe2\x82\xac" },
        { "%41", "A", "A" },
        { "%", NULL, NULL },
        { "%4", NULL, NULL },
        { "a%4", NULL, NULL },
        { "%zz", NULL, NULL },
        { "%4g", NULL, NULL },
        { "%%20", NULL, NULL },
    };
    AUTO(arena) arena = arena_new(0);

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        for (int query = 0; query < 2; query++) {
            const char *want = query ? cases[i].query : cases[i].path;
            struct str out;
            bool ok = http_unescape(arena, str_from(cases[i].in), query, &out);
            assert_int_equal(ok, want != NULL);
            if (want)
                assert_true(str_is(out, want));
        }
    }
}

static void test_escape(void **state)
{
    AUTO_DEINIT(buf, buf) = BUF_INIT;

    http_escape(&buf, STR("az-AZ_09.~ /?&=+%\xff"));
    assert_true(str_is(buf_str(&buf), "az-AZ_09.~%20%2F%3F%26%3D%2B%25%FF"));
}

static void test_params(void **state)
{
    static const struct {
        const char *query, *name, *value; /* value NULL: absent */
        int count;                        /* -1: refused */
    } cases[] = {
        { "", "a", NULL, 0 },
        { "a=1", "a", "1", 1 },
        { "a=1&a=2", "a", "1", 2 },
        { "watch", "watch", "", 1 },
        { "a=&b=x=y", "b", "x=y", 2 },
        { "&&a=1&&", "a", "1", 1 },
        { "labelSelector=app%3Dweb%2Ctier+in+(a)", "labelSelector", "app=web,tier in (a)", 1 },
        { "a=%", "a", NULL, -1 },
        { "%zz=1", "a", NULL, -1 },
    };
    AUTO(arena) arena = arena_new(0);

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct http_params params;
        bool ok = http_params_parse(arena, str_from(cases[i].query), &params);
        assert_int_equal(ok, cases[i].count >= 0);
        if (!ok)
            continue;
        assert_int_equal(params.count, cases[i].count);
        struct str value = http_param(&params, str_from(cases[i].name));
        assert_int_equal(value.data != NULL, cases[i].value != NULL);
        if (cases[i].value)
            assert_true(str_is(value, cases[i].value));
    }
}

static void test_names(void **state)
{
    assert_int_equal(http_method_from(STR("PATCH")), HTTP_PATCH_);
    assert_int_equal(http_method_from(STR("patch")), HTTP_OTHER_);
    assert_int_equal(http_method_from(STR("GETX")), HTTP_OTHER_);
    assert_string_equal(http_method_name(HTTP_DELETE_), "DELETE");
    assert_string_equal(http_status_text(409), "Conflict");
    assert_string_equal(http_status_text(999), "Unknown");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_unescape),
        cmocka_unit_test(test_escape),
        cmocka_unit_test(test_params),
        cmocka_unit_test(test_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
