/* Base64 in both alphabets: the vectors of RFC 4648, strictness, round trips. */
#include "unit.h"

#include "codec/base64.h"

static const struct {
    struct str bytes;
    const char *standard, *url;
} vectors[] = {
    { STR_INIT(""), "", "" },
    { STR_INIT("f"), "Zg==", "Zg" },
    { STR_INIT("fo"), "Zm8=", "Zm8" },
    { STR_INIT("foo"), "Zm9v", "Zm9v" },
    { STR_INIT("foob"), "Zm9vYg==", "Zm9vYg" },
    { STR_INIT("fooba"), "Zm9vYmE=", "Zm9vYmE" },
    { STR_INIT("foobar"), "Zm9vYmFy", "Zm9vYmFy" },
    { STR_INIT("\0\0\0"), "AAAA", "AAAA" },
    { STR_INIT("\xFB\xEF\xFF"), "++//", "--__" },
    { STR_INIT("\xFF\xFE"), "//4=", "__4" },
};

static void test_vectors(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(vectors); i++) {
        AUTO(arena) arena = arena_new(0);
        AUTO_DEINIT(buf, standard) = BUF_INIT;
        AUTO_DEINIT(buf, url) = BUF_INIT;
        struct str bytes;

        base64_encode(&standard, vectors[i].bytes);
        base64url_encode(&url, vectors[i].bytes);
        assert_str(buf_str(&standard), vectors[i].standard);
        assert_str(buf_str(&url), vectors[i].url);
        assert_true(base64_decode(arena, buf_str(&standard), &bytes));
        assert_true(str_eq(bytes, vectors[i].bytes));
        assert_true(base64url_decode(arena, buf_str(&url), &bytes));
        assert_true(str_eq(bytes, vectors[i].bytes));
    }
}

static void test_refused(void **state)
{
    static const char *const standard[] = { "Z",    "Zg",   "Zg=",    "Zg===", "Zm8",      "Zm8==",    "Zm9v=",
                                            "=",    "====", "Z===",   "Zh==",  "Zm9=",     "Zg==Zg==", "Zm-v",
                                            "Zm_v", "Zm v", "Zg=\t=", "Zg=a",  "Zm9v\x80", "Zg==A" };
    static const char *const url[] = { "Z", "Zg==", "Zm8=", "Zh", "Zm9", "Zm+v", "Zm/v", "Zm 9v", "Zm\n9v", "Zm9vY" };
    AUTO(arena) arena = arena_new(0);
    struct str bytes = STR_NULL;

    for (size_t i = 0; i < ARRAY_LEN(standard); i++)
        if (base64_decode(arena, str_from(standard[i]), &bytes))
            fail_msg("%s must be refused", standard[i]);
    for (size_t i = 0; i < ARRAY_LEN(url); i++)
        if (base64url_decode(arena, str_from(url[i]), &bytes))
            fail_msg("%s must be refused", url[i]);
    assert_false(base64_decode(arena, STR("Zg\0="), &bytes));
    assert_null(bytes.data);
}

static void test_line_breaks(void **state)
{
    AUTO(arena) arena = arena_new(0);
    struct str bytes;

    assert_true(base64_decode(arena, STR("Zm9\r\nvYm\nFy\n"), &bytes));
    assert_str(bytes, "foobar");
    assert_true(base64_decode(arena, STR("Zg=\n=\n"), &bytes));
    assert_str(bytes, "f");
    assert_true(base64_decode(arena, STR("\n"), &bytes));
    assert_int_equal(bytes.len, 0);
}

static void test_round_trip_of_all_bytes(void **state)
{
    char all[256];

    for (int i = 0; i < 256; i++)
        all[i] = (char)i;
    for (size_t len = 0; len <= sizeof all; len++) {
        AUTO(arena) arena = arena_new(0);
        AUTO_DEINIT(buf, buf) = BUF_INIT;
        struct str bytes;

        base64_encode(&buf, str_of(all, len));
        assert_true(base64_decode(arena, buf_str(&buf), &bytes));
        assert_true(str_eq(bytes, str_of(all, len)));
    }
}

static void test_no_memory(void **state)
{
    AUTO(arena) arena = arena_new(16);
    AUTO_DEINIT(buf, buf) = BUF_INIT;
    struct str bytes = STR_NULL;

    assert_false(base64_decode(arena, STR("QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVo="), &bytes));
    assert_null(bytes.data);
    buf.limit = 8;
    base64_encode(&buf, STR("more than six bytes"));
    assert_false(buf_ok(&buf));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_vectors),     cmocka_unit_test(test_refused),
        cmocka_unit_test(test_line_breaks), cmocka_unit_test(test_round_trip_of_all_bytes),
        cmocka_unit_test(test_no_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
