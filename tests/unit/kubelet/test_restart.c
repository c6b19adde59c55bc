/* test_restart.c - the back-off of crashing containers. */
#include "sync.h"

#define SEC NSEC_PER_SEC

static struct runtime_container crash(const char *id, nsec_t ran, nsec_t finished_at)
{
    return (struct runtime_container){ .id = str_from(id),
                                       .state = CONTAINER_EXITED,
                                       .exit_code = 1,
                                       .started_at = finished_at - ran,
                                       .finished_at = finished_at };
}

/* One crash after another, each looked at when it happens. */
static void test_backoff_doubles(void **state)
{
    static const int want[] = { 0, 10, 20, 40, 80, 160, 300, 300, 300, 300, 300, 300 };
    struct container_memory memory = { 0 };
    nsec_t backoff;

    for (size_t i = 0; i < ARRAY_LEN(want); i++) {
        char id[8];

        snprintf(id, sizeof id, "c%zu", i);
        struct runtime_container container = crash(id, SEC, WALL);
        assert_int_equal(restart_wait(&memory, &container, 0, WALL, &backoff) / SEC, want[i]);
        assert_int_equal(backoff / SEC, want[i]);
    }
}

static void test_counted_once(void **state)
{
    struct container_memory memory = { .kill_reason = "Unhealthy" };
    struct runtime_container one = crash("one", SEC, WALL), two = crash("two", SEC, WALL);
    nsec_t backoff;

    assert_int_equal(restart_wait(&memory, &one, 0, WALL, &backoff), 0);
    assert_null(memory.kill_reason);
    assert_int_equal(restart_wait(&memory, &one, 5 * SEC, WALL, &backoff), 0);
    assert_int_equal(restart_wait(&memory, &two, 5 * SEC, WALL, &backoff), 10 * SEC);
    assert_int_equal(restart_wait(&memory, &two, 9 * SEC, WALL, &backoff), 6 * SEC);
    assert_int_equal(backoff, 10 * SEC);
    assert_int_equal(restart_wait(&memory, &two, 15 * SEC, WALL, &backoff), 0);
    assert_int_equal(memory.crashes, 2);
}

/* What has been down for a while need not wait the whole time; a clock that went back gives nothing away. */
static void test_age_counts(void **state)
{
    struct container_memory memory = { .crashes = 1 }, other = { .crashes = 1 };
    struct runtime_container one = crash("one", SEC, WALL);
    nsec_t backoff;

    assert_int_equal(restart_wait(&memory, &one, 0, WALL + 4 * SEC, &backoff), 6 * SEC);
    assert_int_equal(restart_wait(&other, &one, 0, WALL - 100 * SEC, &backoff), 10 * SEC);
}

static void test_long_run_wipes_the_slate(void **state)
{
    struct container_memory memory = { .crashes = 5 };
    struct runtime_container one = crash("one", 600 * SEC, WALL), two = crash("two", 599 * SEC, WALL);
    nsec_t backoff;

    assert_int_equal(restart_wait(&memory, &one, 0, WALL, &backoff), 0);
    assert_int_equal(memory.crashes, 1);
    assert_int_equal(restart_wait(&memory, &two, 0, WALL, &backoff), 10 * SEC);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_backoff_doubles),
        cmocka_unit_test(test_counted_once),
        cmocka_unit_test(test_age_counts),
        cmocka_unit_test(test_long_run_wipes_the_slate),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
