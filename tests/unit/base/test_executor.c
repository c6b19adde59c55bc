/* test_executor.c - pools, virtual time, timers, strands. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/executor.h"
#include "base/sync.h"

struct trace {
    struct virtual_clock clock;
    struct executor *executor;
    nsec_t at[64];
    int what[64];
    size_t count;
};

struct step {
    struct trace *trace;
    int what;
};

static void note(void *arg)
{
    struct step *step = arg;
    struct trace *trace = step->trace;

    trace->at[trace->count] = clock_now(&trace->clock.clock);
    trace->what[trace->count++] = step->what;
}

static void test_virtual_order(void **state)
{
    struct trace trace = { 0 };
    struct step steps[6];
    struct executor_timer *cancelled, *fired;

    for (int i = 0; i < 6; i++)
        steps[i] = (struct step){ &trace, i };
    virtual_clock_init(&trace.clock, 0);
    assert_int_equal(executor_virtual_new(&trace.clock, &trace.executor, NULL), 0);
    executor_post_after(trace.executor, 30, note, &steps[3], NULL, NULL);
    executor_post_after(trace.executor, 10, note, &steps[1], &fired, NULL);
    executor_post_after(trace.executor, 10, note, &steps[2], NULL, NULL);
    executor_post_after(trace.executor, 20, note, &steps[5], &cancelled, NULL);
    executor_post_after(trace.executor, 99, note, &steps[4], NULL, NULL);
    executor_post(trace.executor, note, &steps[0], NULL);
    assert_true(executor_cancel(trace.executor, cancelled));
    assert_int_equal(executor_run_until(trace.executor, 50), 4);
    assert_int_equal(trace.count, 4);
    static const nsec_t when[] = { 0, 10, 10, 30 };

    for (int i = 0; i < 4; i++) {
        assert_int_equal(trace.what[i], i);
        assert_int_equal(trace.at[i], when[i]);
    }
    assert_false(executor_cancel(trace.executor, fired));
    assert_int_equal(clock_now(&trace.clock.clock), 50);
    executor_free(trace.executor);
}

struct counter {
    struct mutex lock;
    struct cond changed;
    int ran, inside, most;
    bool ordered;
};

struct numbered {
    struct counter *counter;
    int number;
};

static void count_up(void *arg)
{
    struct numbered *task = arg;
    struct counter *counter = task->counter;

    mutex_lock(&counter->lock);
    counter->inside++;
    counter->most = MAX(counter->most, counter->inside);
    counter->ordered &= counter->ran == task->number;
    mutex_unlock(&counter->lock);
    mutex_lock(&counter->lock);
    counter->inside--;
    counter->ran++;
    cond_broadcast(&counter->changed);
    mutex_unlock(&counter->lock);
}

static void wait_for(struct counter *counter, int ran)
{
    mutex_lock(&counter->lock);
    while (counter->ran < ran)
        cond_wait(&counter->changed, &counter->lock);
    mutex_unlock(&counter->lock);
}

enum { TASKS = 2000 };

static void setup(struct counter *counter, struct numbered *tasks)
{
    *counter = (struct counter){ .ordered = true };
    mutex_init(&counter->lock);
    cond_init(&counter->changed);
    for (int i = 0; i < TASKS; i++)
        tasks[i] = (struct numbered){ counter, i };
}

static void test_pool_runs_all(void **state)
{
    static struct numbered tasks[TASKS];
    struct counter counter;
    struct executor *executor;
    struct executor_timer *timer;

    setup(&counter, tasks);
    assert_int_equal(executor_pool_new(clock_real(), "test", 4, &executor, NULL), 0);
    for (int i = 0; i < TASKS; i++) {
        if (i % 3)
            assert_int_equal(executor_post(executor, count_up, &tasks[i], NULL), 0);
        else
            assert_int_equal(executor_post_after(executor, i * 100, count_up, &tasks[i], NULL, NULL), 0);
    }
    wait_for(&counter, TASKS);
    assert_int_equal(executor_post_after(executor, 3600 * NSEC_PER_SEC, count_up, &tasks[0], &timer, NULL), 0);
    assert_true(executor_cancel(executor, timer));
    executor_post_after(executor, 3600 * NSEC_PER_SEC, count_up, &tasks[0], NULL, NULL);
    executor_free(executor);
    assert_int_equal(counter.ran, TASKS);
}

#define MEETING 8

struct meeting {
    struct mutex lock;
    struct cond all_here;
    int here, left;
};

/* Waits for all the others, which nobody does who shares a thread with one of them. */
static void meet(void *arg)
{
    struct meeting *meeting = arg;

    mutex_lock(&meeting->lock);
    if (++meeting->here == MEETING)
        cond_broadcast(&meeting->all_here);
    while (meeting->here < MEETING)
        cond_wait(&meeting->all_here, &meeting->lock);
    if (++meeting->left == MEETING)
        cond_broadcast(&meeting->all_here);
    mutex_unlock(&meeting->lock);
}

/* As many tasks run at once as there are threads, whether those sleep or are still to be started. */
static void test_all_threads_work(void **state)
{
    struct executor *executor;

    assert_int_equal(executor_pool_new(clock_real(), "test", MEETING, &executor, NULL), 0);
    for (int round = 0; round < 200; round++) {
        struct meeting meeting = { .here = 0 };

        mutex_init(&meeting.lock);
        cond_init(&meeting.all_here);
        for (int i = 0; i < MEETING; i++)
            assert_int_equal(executor_post(executor, meet, &meeting, NULL), 0);
        mutex_lock(&meeting.lock);
        while (meeting.left < MEETING)
            cond_wait(&meeting.all_here, &meeting.lock);
        mutex_unlock(&meeting.lock);
        cond_deinit(&meeting.all_here);
        mutex_deinit(&meeting.lock);
    }
    executor_free(executor);
}

static void test_strand_is_serial(void **state)
{
    static struct numbered tasks[TASKS];
    struct counter counter;
    struct executor *executor;
    struct strand *strand;

    setup(&counter, tasks);
    assert_int_equal(executor_pool_new(clock_real(), "test", 4, &executor, NULL), 0);
    assert_int_equal(strand_new(executor, &strand, NULL), 0);
    for (int i = 0; i < TASKS; i++)
        assert_int_equal(strand_post(strand, count_up, &tasks[i], NULL), 0);
    wait_for(&counter, TASKS);
    assert_true(counter.ordered);
    assert_int_equal(counter.most, 1);
    for (int i = 0; i < 100; i++)
        strand_post(strand, count_up, &tasks[i], NULL);
    strand_free(strand);
    executor_free(executor);
}

/* A strand whose run never began, and an executor that goes first: nothing leaks (run under a leak checker). */
static void test_dropped(void **state)
{
    struct virtual_clock clock;
    struct executor *executor;
    struct strand *strand;
    struct trace trace = { 0 };
    struct step step = { &trace, 0 };

    virtual_clock_init(&clock, 0);
    assert_int_equal(executor_virtual_new(&clock, &executor, NULL), 0);
    assert_int_equal(strand_new(executor, &strand, NULL), 0);
    assert_int_equal(strand_post(strand, note, &step, NULL), 0);
    strand_free(strand);
    executor_free(executor);
    assert_int_equal(trace.count, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_virtual_order),
        cmocka_unit_test(test_pool_runs_all),
        cmocka_unit_test(test_all_threads_work),
        cmocka_unit_test(test_strand_is_serial),
        cmocka_unit_test(test_dropped),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
