/* Lengths of time as users write them. */
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "cli/duration.h"

static const struct {
    const char *text;
    nsec_t want; /* -1: refused */
} cases[] = {
    { "0", 0 },
    { "30s", 30 * NSEC_PER_SEC },
    { "1m30s", 90 * NSEC_PER_SEC },
    { "1.5h", 5400 * NSEC_PER_SEC },
    { "500ms", 500 * NSEC_PER_MSEC },
    { "2h0m1s", 7201 * NSEC_PER_SEC },
    { "7us", 7000 },
    { "9ns", 9 },
    { "", -1 },
    { "5", -1 },
    { "s", -1 },
    { "-5s", -1 },
    { "5s ", -1 },
    { "5d", -1 },
    { "1..5s", -1 },
    { "99999999999999999999h", -1 },
    { "5sm", -1 },
};

static void test_parse(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        nsec_t duration = -1;
        bool good = duration_parse(str_from(cases[i].text), &duration);

        if (good != (cases[i].want >= 0) || duration != cases[i].want)
            fail_msg("\"%s\": %d, %lld", cases[i].text, good, (long long)duration);
    }
}

static const struct CMUnitTest tests[] = { cmocka_unit_test(test_parse) };

int main(void)
{
    return cmocka_run_group_tests(tests, NULL, NULL);
}
