/* Calls side by side: each number once, on a pool and under virtual time. */
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "base/sync.h"
#include "controllers/fan_out.h"

#define MAX_COUNT 1000

struct tally {
    atomic_int calls[MAX_COUNT];
    atomic_int running;
};

static void call(void *arg, size_t at)
{
    struct tally *tally = arg;

    atomic_fetch_add(&tally->running, 1);
    atomic_fetch_add(&tally->calls[at], 1);
    atomic_fetch_sub(&tally->running, 1);
}

static void check(struct executor *executor, int helpers, size_t count)
{
    struct tally tally = { 0 };

    fan_out(executor, helpers, count, call, &tally);
    assert_int_equal(atomic_load(&tally.running), 0);
    for (size_t i = 0; i < MAX_COUNT; i++)
        assert_int_equal(atomic_load(&tally.calls[i]), i < count);
}

static const size_t counts[] = { 0, 1, 2, 3, 17, MAX_COUNT };

static void test_pool(void **state)
{
    AUTO(executor) executor = NULL;

    (void)state;
    assert_int_equal(executor_pool_new(clock_real(), "test", 4, &executor, NULL), 0);
    for (int round = 0; round < 50; round++)
        for (size_t i = 0; i < ARRAY_LEN(counts); i++)
            check(executor, round % 6, counts[i]);
}

/* More fan-outs than threads, from tasks of the pool itself: nobody waits for somebody who cannot begin. */
struct nested {
    struct executor *executor;
    struct mutex lock;
    struct cond done;
    int left;
};

static void inner(void *arg, size_t at)
{
    (void)arg;
    (void)at;
}

static void outer(void *arg)
{
    struct nested *nested = arg;

    fan_out(nested->executor, 8, 20, inner, NULL);
    LOCKED(&nested->lock);
    if (--nested->left == 0)
        cond_signal(&nested->done);
}

static void test_nested(void **state)
{
    struct nested nested = { .left = 40 };

    (void)state;
    mutex_init(&nested.lock);
    cond_init(&nested.done);
    assert_int_equal(executor_pool_new(clock_real(), "test", 2, &nested.executor, NULL), 0);
    for (int i = 0; i < 40; i++)
        assert_int_equal(executor_post(nested.executor, outer, &nested, NULL), 0);
    mutex_lock(&nested.lock);
    while (nested.left > 0)
        cond_wait(&nested.done, &nested.lock);
    mutex_unlock(&nested.lock);
    executor_free(nested.executor);
    cond_deinit(&nested.done);
    mutex_deinit(&nested.lock);
}

static void test_virtual(void **state)
{
    struct virtual_clock clock;
    AUTO(executor) executor = NULL;

    (void)state;
    virtual_clock_init(&clock, 0);
    assert_int_equal(executor_virtual_new(&clock, &executor, NULL), 0);
    for (size_t i = 0; i < ARRAY_LEN(counts); i++)
        check(executor, 8, counts[i]);
    executor_run_ready(executor); /* helpers that come too late */
}

static const struct CMUnitTest tests[] = { cmocka_unit_test(test_pool), cmocka_unit_test(test_nested),
                                           cmocka_unit_test(test_virtual) };

int main(void)
{
    return cmocka_run_group_tests(tests, NULL, NULL);
}
