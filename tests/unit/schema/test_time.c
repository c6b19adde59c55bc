/* RFC 3339 times, both ways, and the ages that kubectl prints. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "schema/time.h"

static const struct {
    const char *text;
    int64_t seconds, nsec;
    const char *canonical;
} valid[] = {
    { "1970-01-01T00:00:00Z", 0, 0, "1970-01-01T00:00:00Z" },
    { "2026-01-02T15:04:05Z", 1767366245, 0, "2026-01-02T15:04:05Z" },
    { "2026-01-02T15:04:05+00:00", 1767366245, 0, "2026-01-02T15:04:05Z" },
    { "2026-01-02T15:04:05-00:00", 1767366245, 0, "2026-01-02T15:04:05Z" },
    { "2026-01-02T16:34:05+01:30", 1767366245, 0, "2026-01-02T15:04:05Z" },
    { "2026-01-02T07:04:05-08:00", 1767366245, 0, "2026-01-02T15:04:05Z" },
    { "2026-01-01T23:30:00-23:59", 1767396540 - 86400 + 86400, 0, "2026-01-02T23:29:00Z" },
    { "2026-01-02T15:04:05.5Z", 1767366245, 500000000, "2026-01-02T15:04:05Z" },
    { "2026-01-02T15:04:05,5Z", 1767366245, 500000000, "2026-01-02T15:04:05Z" },
    { "2026-01-02T15:04:05.123456Z", 1767366245, 123456000, "2026-01-02T15:04:05Z" },
    { "2026-01-02T15:04:05.123456789Z", 1767366245, 123456789, "2026-01-02T15:04:05Z" },
    { "2026-01-02T15:04:05.1234567899999Z", 1767366245, 123456789, "2026-01-02T15:04:05Z" },
    { "2000-02-29T00:00:00Z", 951782400, 0, "2000-02-29T00:00:00Z" },
    { "2024-02-29T23:59:59Z", 1709251199, 0, "2024-02-29T23:59:59Z" },
    { "1969-12-31T23:59:59Z", -1, 0, "1969-12-31T23:59:59Z" },
    { "1969-12-31T23:59:59.25Z", -1, 250000000, "1969-12-31T23:59:59Z" },
    { "1900-03-01T00:00:00Z", -2203891200, 0, "1900-03-01T00:00:00Z" },
    { "1678-01-01T00:00:00Z", -9214560000, 0, "1678-01-01T00:00:00Z" },
    { "2262-04-11T00:00:00Z", 9223286400, 0, "2262-04-11T00:00:00Z" },
};

static const char *const invalid[] = {
    "",
    "2026",
    "2026-01-02",
    "2026-01-02T15:04:05",
    "2026-01-02T15:04Z",
    "2026-01-02 15:04:05Z",
    "2026-01-02t15:04:05Z",
    "2026-01-02T15:04:05z",
    "2026-13-02T15:04:05Z",
    "2026-00-02T15:04:05Z",
    "2026-01-00T15:04:05Z",
    "2026-01-32T15:04:05Z",
    "2026-02-29T15:04:05Z",
    "1900-02-29T15:04:05Z",
    "2026-04-31T15:04:05Z",
    "2026-01-02T24:00:00Z",
    "2026-01-02T15:60:05Z",
    "2026-01-02T15:04:60Z",
    "2026-01-02T15:04:05.Z",
    "2026-01-02T15:04:05+1:00",
    "2026-01-02T15:04:05+0100",
    "2026-01-02T15:04:05+24:00",
    "2026-01-02T15:04:05+01:60",
    "2026-01-02T15:04:05+",
    "2026-01-02T15:04:05ZZ",
    "2026-01-02T15:04:05Z ",
    " 2026-01-02T15:04:05Z",
    "026-01-02T15:04:05Z",
    "12026-01-02T15:04:05Z",
    "2026-1-2T15:04:05Z",
    "-026-01-02T15:04:05Z",
    "2026-01-02T15:04:05.5",
};

static void test_valid(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(valid); i++) {
        char out[API_TIME_LEN];
        nsec_t time;

        if (!api_time_parse(str_from(valid[i].text), &time))
            fail_msg("%s must parse", valid[i].text);
        assert_int_equal(time, valid[i].seconds * NSEC_PER_SEC + valid[i].nsec);
        assert_string_equal(api_time_text(time, out).data, valid[i].canonical);
    }
}

static void test_invalid(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(invalid); i++) {
        nsec_t time;

        if (api_time_parse(str_from(invalid[i]), &time))
            fail_msg("\"%s\" must not parse", invalid[i]);
    }
}

static void test_beyond_the_range(void **state)
{
    nsec_t time;

    assert_true(api_time_parse(STR("9999-12-31T23:59:59Z"), &time));
    assert_true(time == INT64_MAX);
    assert_true(api_time_parse(STR("0001-01-01T00:00:00Z"), &time));
    assert_true(time == INT64_MIN);
    assert_true(api_time_parse(STR("0000-01-01T00:00:00Z"), &time));
    assert_true(time == INT64_MIN);
}

static void test_micro(void **state)
{
    char out[API_TIME_LEN];

    assert_string_equal(api_micro_time_text(0, out).data, "1970-01-01T00:00:00.000000Z");
    assert_string_equal(api_micro_time_text(1767366245123456789, out).data, "2026-01-02T15:04:05.123456Z");
    assert_string_equal(api_micro_time_text(-1000, out).data, "1969-12-31T23:59:59.999999Z");
    assert_int_equal(api_micro_time_text(INT64_MIN, out).len, strlen("1677-09-21T00:12:43.145224Z"));
    assert_string_equal(out, "1677-09-21T00:12:43.145224Z");
    assert_string_equal(api_time_text(INT64_MAX, out).data, "2262-04-11T23:47:16Z");
}

/* Every day of eight centuries' worth of leap rules that fit goes out and comes back. */
static void test_each_day(void **state)
{
    for (int64_t day = -106000; day < 106000; day++) {
        nsec_t time = day * 86400 * NSEC_PER_SEC + 3723 * NSEC_PER_SEC, back;
        char out[API_TIME_LEN];

        assert_true(api_time_parse(api_time_text(time, out), &back));
        assert_true(time == back);
    }
}

static void test_durations(void **state)
{
    enum { MINUTE = 60, HOUR = 3600, DAY = 86400, YEAR = 365 * DAY };
    static const struct {
        int64_t seconds;
        const char *want;
    } cases[] = {
        { -2, "<invalid>" },
        { -1, "0s" },
        { 0, "0s" },
        { 1, "1s" },
        { 70, "70s" },
        { 119, "119s" },
        { 120, "2m" },
        { 121, "2m1s" },
        { 200, "3m20s" },
        { 9 * MINUTE + 59, "9m59s" },
        { 10 * MINUTE, "10m" },
        { 10 * MINUTE + 30, "10m" },
        { 179 * MINUTE + 59, "179m" },
        { 3 * HOUR, "3h" },
        { 3 * HOUR + 30 * MINUTE, "3h30m" },
        { 7 * HOUR + 59 * MINUTE + 59, "7h59m" },
        { 8 * HOUR + 30 * MINUTE, "8h" },
        { 47 * HOUR + 59 * MINUTE, "47h" },
        { 48 * HOUR, "2d" },
        { 51 * HOUR, "2d3h" },
        { 8 * DAY - 1, "7d23h" },
        { 8 * DAY, "8d" },
        { 8 * DAY + 5 * HOUR, "8d" },
        { 2 * YEAR - 1, "729d" },
        { 2 * YEAR, "2y" },
        { 2 * YEAR + 2 * DAY, "2y2d" },
        { 8 * YEAR - 1, "7y364d" },
        { 8LL * YEAR, "8y" },
        { 100LL * YEAR + 40 * DAY, "100y" },
    };
    char out[API_TIME_LEN];

    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        assert_string_equal(duration_text(cases[i].seconds * NSEC_PER_SEC, out).data, cases[i].want);
    assert_string_equal(duration_text(-1999 * NSEC_PER_MSEC, out).data, "0s");
    assert_string_equal(duration_text(1999 * NSEC_PER_MSEC, out).data, "1s");
    assert_string_equal(duration_text(INT64_MIN, out).data, "<invalid>");
    assert_string_equal(duration_text(INT64_MAX, out).data, "292y");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_valid), cmocka_unit_test(test_invalid),  cmocka_unit_test(test_beyond_the_range),
        cmocka_unit_test(test_micro), cmocka_unit_test(test_each_day), cmocka_unit_test(test_durations),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
