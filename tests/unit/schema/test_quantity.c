/* Quantities: what parses and to which canonical text, what does not, rounding, order. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "schema/quantity.h"

static const struct {
    const char *text, *canonical;
} valid[] = {
    { "0", "0" },
    { "0n", "0" },
    { "0Ki", "0" },
    { "0.0", "0" },
    { "-0", "0" },
    { "+0", "0" },
    { "00", "0" },
    { "0e9999999999", "0" },
    { "0.000e-99", "0" },
    { "1", "1" },
    { "+1", "1" },
    { "-1", "-1" },
    { "007", "7" },
    { "1.", "1" },
    { ".5", "500m" },
    { "-.5", "-500m" },
    { "1.5", "1500m" },
    { "0.5", "500m" },
    { "0.25", "250m" },
    { "100m", "100m" },
    { "1000m", "1" },
    { "1500m", "1500m" },
    { "12345", "12345" },
    { "1000", "1k" },
    { "1001", "1001" },
    { "100000", "100k" },
    { "1000000", "1M" },
    { "1500000", "1500k" },
    { "1.5M", "1500k" },
    { "1G", "1G" },
    { "1T", "1T" },
    { "1P", "1P" },
    { "1E", "1E" },
    { "1000k", "1M" },
    { "1000E", "1000E" },
    { "0.001k", "1" },
    { "0.0001k", "100m" },
    { "1u", "1u" },
    { "1n", "1n" },
    { "1000n", "1u" },
    { "1000000n", "1m" },
    { "0.1n", "1n" },
    { "0.0000000001", "1n" },
    { "-0.0000000001", "-1n" },
    { "1.0000000001", "1000000001n" },
    { "1.00000000000000000000000000000000001", "1000000001n" },
    { "1.1n", "2n" },
    { "0.9999999999n", "1n" },
    { "9223372036854775807", "9223372036854775807" },
    { "9223372036854775808", "9223372036854775808" },
    { "123456789012345678901234567", "123456789012345678901234567" },
    { "1e29", "100e27" },
    { "999999999999999999999999999999999999999999999999", "100000000000E" },
    { "-999999999999999999999999999999999999999999999999", "-100000000000E" },
    /* exponents */
    { "1e3", "1e3" },
    { "1E3", "1e3" },
    { "1e+3", "1e3" },
    { "1e-3", "1e-3" },
    { "1e03", "1e3" },
    { "1e0", "1" },
    { "100e3", "100e3" },
    { "1000e3", "1e6" },
    { "1e4", "10e3" },
    { "1e5", "100e3" },
    { "1.5e3", "1500" },
    { "12e-1", "1200e-3" },
    { "1e-9", "1e-9" },
    { "1e-10", "1e-9" },
    { "1e-999999999", "1e-9" },
    { "1e21", "1e21" },
    { "1e24", "1e24" },
    { "5e999999999", "100e27" },
    { "5e99999999999999999999", "100e27" },
    /* binary */
    { "1Ki", "1Ki" },
    { "1Mi", "1Mi" },
    { "1Gi", "1Gi" },
    { "1Ti", "1Ti" },
    { "1Pi", "1Pi" },
    { "1Ei", "1Ei" },
    { "1024Ki", "1Mi" },
    { "1024Mi", "1Gi" },
    { "1536Mi", "1536Mi" },
    { "1.5Gi", "1536Mi" },
    { "0.5Gi", "512Mi" },
    { "0.5Ki", "512" },
    { "0.5Mi", "512Ki" },
    { "1.5Ki", "1536" },
    { "1.1Ki", "1126400m" },
    { "0.1Ki", "102400m" },
    { "0.0001Ki", "102400u" },
    { "0.00000000000001Ki", "1n" },
    { "1000Ki", "1000Ki" },
    { "1000Mi", "1000Mi" },
    { "1023Ki", "1023Ki" },
    { "-1Ki", "-1Ki" },
    { "-0.5Ki", "-512" },
    { "-1.5Gi", "-1536Mi" },
    { "7Ei", "7Ei" },
    { "8Ei", "9223372036854775807" },
    { "1000000Ei", "9223372036854775807" },
    { "-8Ei", "-9223372036854775807" },
    { "99999999999999999999999999999999999999999999Ki", "9223372036854775807" },
    { "3.999999999999999999999999999999Ki", "4Ki" },
    { "1.0009765625Ki", "1025" },
    { "1.00097656250000000000000000000000000000000001Ki", "1025000000001n" },
};

static const char *const invalid[] = {
    "",       " ",       " 1",    "1 ",   "1.1.M",    "1+1.0M",    "0.1mi", "0.1am", "aoeu",  ".5i",   "1i",
    "-3.01i", "-3.01e-", "-",     "+",    ".",        "-.",        "m",     "Ki",    "e3",    "1e",    "1E+",
    "1e+-3",  "1ee3",    "1e3e3", "1Ki5", "1K",       "1ki",       "1mi",   "1MI",   "1Kii",  "1kK",   "1KiB",
    "1B",     "1g",      "--1",   "+-1",  "1,5",      "0x10",      "1_000", "1e3k",  "1e3Ki", "1e1.5", "NaN",
    "inf",    "1\n",     "1/2",   "1 Gi", "\xC2\xB5", "1\xC2\xB5", "1p",    "1t",
};

static void test_canonical(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(valid); i++) {
        AUTO(arena) arena = arena_new(0);
        struct quantity quantity, again;

        if (!quantity_parse(str_from(valid[i].text), &quantity))
            fail_msg("%s must parse", valid[i].text);
        struct str text = quantity_text(arena, quantity);

        if (!str_is(text, valid[i].canonical))
            fail_msg("%s: got %s, want %s", valid[i].text, text.data, valid[i].canonical);
        assert_true(quantity_parse(text, &again));
        assert_int_equal(quantity_cmp(quantity, again), 0);
        assert_true(str_eq(quantity_text(arena, again), text));
    }
}

static void test_invalid(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(invalid); i++) {
        struct quantity quantity;

        if (quantity_parse(str_from(invalid[i]), &quantity))
            fail_msg("\"%s\" must not parse", invalid[i]);
        assert_int_equal(quantity_value(str_from(invalid[i])), 0);
    }
    struct quantity quantity;

    assert_false(quantity_parse(STR_NULL, &quantity));
    assert_false(quantity_parse(STR("1\0"), &quantity));
}

static void test_values(void **state)
{
    static const struct {
        const char *text;
        int64_t value, milli;
    } cases[] = {
        { "0", 0, 0 },
        { "1", 1, 1000 },
        { "1500m", 2, 1500 },
        { "1m", 1, 1 },
        { "1u", 1, 1 },
        { "1n", 1, 1 },
        { "-1500m", -2, -1500 },
        { "-1n", -1, -1 },
        { "0.1", 1, 100 },
        { "1Ki", 1024, 1024000 },
        { "64Mi", 67108864, 67108864000 },
        { "1.1Ki", 1127, 1126400 },
        { "9223372036854775807", INT64_MAX, INT64_MAX },
        { "1e28", INT64_MAX, INT64_MAX },
        { "-1e28", INT64_MIN, INT64_MIN },
        { "9223372036854775", 9223372036854775, 9223372036854775000 },
        { "9223372036854776", 9223372036854776, INT64_MAX },
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        assert_int_equal(quantity_value(str_from(cases[i].text)), cases[i].value);
        assert_int_equal(quantity_milli(str_from(cases[i].text)), cases[i].milli);
    }
    assert_int_equal(quantity_value(STR_NULL), 0);
}

static void test_order(void **state)
{
    /* Each is less than the next. */
    static const char *const ascending[] = { "-1e28", "-1Gi",     "-1G",  "-1",  "-1m", "0",   "1n",
                                             "1u",    "1m",       "999m", "1",   "1k",  "1Ki", "1M",
                                             "1.5Mi", "1536.1Ki", "1G",   "1Gi", "1E",  "1Ei", "1e28" };
    static const char *const equal[][2] = { { "1", "1000m" },   { "1Gi", "1024Mi" }, { "1e3", "1k" },
                                            { "0", "-0Ki" },    { "0.5", ".5" },     { "1073741824", "1Gi" },
                                            { "1.50", "1500m" } };
    struct quantity a, b;

    for (size_t i = 0; i + 1 < ARRAY_LEN(ascending); i++) {
        assert_true(quantity_parse(str_from(ascending[i]), &a) && quantity_parse(str_from(ascending[i + 1]), &b));
        assert_int_equal(quantity_cmp(a, b), -1);
        assert_int_equal(quantity_cmp(b, a), 1);
    }
    for (size_t i = 0; i < ARRAY_LEN(equal); i++) {
        assert_true(quantity_parse(str_from(equal[i][0]), &a) && quantity_parse(str_from(equal[i][1]), &b));
        assert_int_equal(quantity_cmp(a, b), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_canonical),
        cmocka_unit_test(test_invalid),
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_order),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
