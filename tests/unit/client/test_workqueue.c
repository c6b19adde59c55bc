/* Work queues: each key once, in order, again when it must; under virtual time and on threads. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/log.h"
#include "base/sync.h"
#include "client/workqueue.h"

struct fixture {
    struct virtual_clock clock;
    struct seeded_rng rng;
    struct executor *executor;
    struct workqueue *queue;
    struct buf seen;        /* "key@milliseconds ..." */
    int failures;           /* so many reconciles fail */
    const char *add_inside; /* added from within, once */
};

static int note(void *ctx, struct str key, struct arena *arena, struct err *err)
{
    struct fixture *f = ctx;

    assert_non_null(arena_alloc(arena, 100));
    buf_printf(&f->seen, "%s" STR_FMT "@%lld", f->seen.len ? " " : "", STR_ARG(key),
               (long long)(clock_now(&f->clock.clock) / NSEC_PER_MSEC));
    if (f->add_inside)
        workqueue_add(f->queue, str_from(TAKE(f->add_inside)));
    return f->failures-- > 0 ? err_set(err, ERR_CONFLICT, "again") : 0;
}

static struct fixture *make(bool paused)
{
    struct fixture *f = calloc(1, sizeof *f);

    virtual_clock_init(&f->clock, 0);
    seeded_rng_init(&f->rng, 1);
    assert_int_equal(executor_virtual_new(&f->clock, &f->executor, NULL), 0);
    assert_int_equal(workqueue_new(&(struct workqueue_options){ .name = "test",
                                                                .executor = f->executor,
                                                                .rng = &f->rng.rng,
                                                                .reconcile = note,
                                                                .ctx = f,
                                                                .paused = paused },
                                   &f->queue, NULL),
                     0);
    return f;
}

static int setup(void **state)
{
    *state = make(false);
    return 0;
}

static int setup_paused(void **state)
{
    *state = make(true);
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    workqueue_free(f->queue);
    executor_free(f->executor);
    buf_deinit(&f->seen);
    free(f);
    return 0;
}

static void expect(struct fixture *f, const char *seen)
{
    if (!str_is(buf_str(&f->seen), seen))
        fail_msg("saw \"" STR_FMT "\", not \"%s\"", STR_ARG(buf_str(&f->seen)), seen);
    buf_clear(&f->seen);
}

static void run_to(struct fixture *f, int64_t msec)
{
    executor_run_until(f->executor, msec * NSEC_PER_MSEC);
}

static void test_once_and_in_order(void **state)
{
    static const char *const keys[] = { "a", "b", "a", "c", "b" };
    struct fixture *f = *state;

    for (size_t i = 0; i < ARRAY_LEN(keys); i++)
        workqueue_add(f->queue, str_from(keys[i]));
    run_to(f, 0);
    expect(f, "a@0 b@0 c@0");
    workqueue_add(f->queue, STR("a"));
    run_to(f, 0);
    expect(f, "a@0");
}

static void test_added_while_running(void **state)
{
    struct fixture *f = *state;

    f->add_inside = "a";
    workqueue_add(f->queue, STR("a"));
    workqueue_add(f->queue, STR("b"));
    run_to(f, 0);
    expect(f, "a@0 b@0 a@0");
}

static void test_keys_are_copied(void **state)
{
    struct fixture *f = *state;
    char key[] = "abc";

    workqueue_add(f->queue, str_from(key));
    memset(key, 'x', 3);
    run_to(f, 0);
    expect(f, "abc@0");
}

static void test_after(void **state)
{
    struct fixture *f = *state;

    workqueue_add_after(f->queue, STR("late"), 50 * NSEC_PER_MSEC);
    workqueue_add_after(f->queue, STR("a"), 30 * NSEC_PER_MSEC);
    workqueue_add_after(f->queue, STR("a"), 10 * NSEC_PER_MSEC); /* the earliest wins */
    workqueue_add_after(f->queue, STR("a"), 20 * NSEC_PER_MSEC);
    workqueue_add_after(f->queue, STR("now"), 0);
    run_to(f, 5);
    expect(f, "now@0");
    run_to(f, 100);
    expect(f, "a@10 late@50");
    run_to(f, 1000);
    expect(f, "");
}

static void test_added_before_its_time(void **state)
{
    struct fixture *f = *state;

    workqueue_add_after(f->queue, STR("a"), 10 * NSEC_PER_MSEC);
    workqueue_add(f->queue, STR("a"));
    run_to(f, 100);
    expect(f, "a@0 a@10"); /* the timer stays: it may stand for something else */
}

/* 5 ms doubling, up to a tenth more; forgotten when it succeeds. */
static void test_back_off(void **state)
{
    struct fixture *f = *state;
    long long at[8];
    size_t count = 0;

    f->failures = 5;
    workqueue_add(f->queue, STR("a"));
    run_to(f, 10000);
    for (struct str rest = buf_str(&f->seen), part; str_split(&rest, ' ', &part);)
        at[count++] = strtoll(part.data + 2, NULL, 10);
    assert_int_equal(count, 6);
    for (size_t i = 1; i < count; i++) {
        long long gap = at[i] - at[i - 1], want = 5LL << (i - 1);

        assert_true(gap >= want - 1 && gap <= want + want / 10 + 1);
    }
    buf_clear(&f->seen);
    f->failures = 1;
    workqueue_add(f->queue, STR("a"));
    run_to(f, 20000);
    expect(f, "a@10000 a@10005");
}

static void test_paused(void **state)
{
    struct fixture *f = *state;

    workqueue_add(f->queue, STR("a"));
    workqueue_add_after(f->queue, STR("b"), NSEC_PER_MSEC);
    run_to(f, 10);
    expect(f, "");
    workqueue_start(f->queue);
    run_to(f, 10);
    expect(f, "a@10 b@10");
}

static void test_freed_with_work_left(void **state)
{
    struct fixture *f = *state;

    f->failures = 1;
    workqueue_add(f->queue, STR("fails"));
    run_to(f, 0);
    workqueue_add_after(f->queue, STR("a"), NSEC_PER_SEC);
    workqueue_add(f->queue, STR("b"));
    f->queue = workqueue_free(f->queue);
    run_to(f, 10000);
    expect(f, "fails@0");
}

/* -- on threads -- */

#define KEYS 20

struct busy {
    struct workqueue *queue;
    atomic_int inside[KEYS], runs[KEYS], wanted[KEYS], seen[KEYS], most, now;
};

static int reconcile(void *ctx, struct str key, struct arena *arena, struct err *err)
{
    struct busy *busy = ctx;
    int k = key.data[0] - 'a', now = atomic_fetch_add(&busy->now, 1) + 1, most = atomic_load(&busy->most);

    (void)arena;
    while (now > most && !atomic_compare_exchange_weak(&busy->most, &most, now))
        ;
    assert_int_equal(atomic_fetch_add(&busy->inside[k], 1), 0); /* never two of one key */
    atomic_store(&busy->seen[k], atomic_load(&busy->wanted[k]));
    int runs = atomic_fetch_add(&busy->runs[k], 1);

    atomic_fetch_sub(&busy->inside[k], 1);
    atomic_fetch_sub(&busy->now, 1);
    return runs % 7 == 3 ? err_set(err, ERR_CONFLICT, "again") : 0;
}

static void add_some(void *arg)
{
    struct busy *busy = arg;

    for (int i = 0; i < 5000; i++) {
        char key = (char)('a' + i % KEYS);

        atomic_fetch_add(&busy->wanted[i % KEYS], 1);
        if (i % 10 == 0)
            workqueue_add_after(busy->queue, str_of(&key, 1), NSEC_PER_USEC * 50);
        else
            workqueue_add(busy->queue, str_of(&key, 1));
    }
}

static bool has_seen_all(struct busy *busy)
{
    for (int k = 0; k < KEYS; k++)
        if (atomic_load(&busy->seen[k]) != atomic_load(&busy->wanted[k]))
            return false;
    return true;
}

/* The last wish of every key is seen, whoever added it. */
static void test_threads(void **state)
{
    struct executor *executor;
    struct thread adders[3] = { 0 };
    struct busy *busy = calloc(1, sizeof *busy);

    (void)state;
    assert_int_equal(executor_pool_new(clock_real(), "test", 6, &executor, NULL), 0);
    assert_int_equal(workqueue_new(&(struct workqueue_options){ .name = "test",
                                                                .executor = executor,
                                                                .rng = rng_system(),
                                                                .workers = 4,
                                                                .reconcile = reconcile,
                                                                .ctx = busy },
                                   &busy->queue, NULL),
                     0);
    for (size_t i = 0; i < ARRAY_LEN(adders); i++)
        assert_int_equal(thread_start(&adders[i], "adder", add_some, busy, NULL), 0);
    for (size_t i = 0; i < ARRAY_LEN(adders); i++)
        thread_join(&adders[i]);
    while (!has_seen_all(busy))
        sched_yield();
    workqueue_free(busy->queue);
    executor_free(executor);
    assert_true(atomic_load(&busy->most) <= 4);
    free(busy);
}

/* Ends at any moment. */
static void test_free_at_any_moment(void **state)
{
    struct executor *executor;

    (void)state;
    assert_int_equal(executor_pool_new(clock_real(), "test", 4, &executor, NULL), 0);
    for (int round = 0; round < 200; round++) {
        struct busy *busy = calloc(1, sizeof *busy);

        assert_int_equal(workqueue_new(&(struct workqueue_options){ .name = "test",
                                                                    .executor = executor,
                                                                    .rng = rng_system(),
                                                                    .workers = 3,
                                                                    .reconcile = reconcile,
                                                                    .ctx = busy },
                                       &busy->queue, NULL),
                         0);
        for (int i = 0; i < round; i++) {
            char key = (char)('a' + i % KEYS);

            workqueue_add_after(busy->queue, str_of(&key, 1), i % 3 * 10 * NSEC_PER_USEC);
        }
        workqueue_free(busy->queue);
        free(busy);
    }
    executor_free(executor);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
static const struct CMUnitTest tests[] = {
    TEST(test_once_and_in_order),
    TEST(test_added_while_running),
    TEST(test_keys_are_copied),
    TEST(test_after),
    TEST(test_added_before_its_time),
    TEST(test_back_off),
    cmocka_unit_test_setup_teardown(test_paused, setup_paused, teardown),
    TEST(test_freed_with_work_left),
    cmocka_unit_test(test_threads),
    cmocka_unit_test(test_free_at_any_moment),
};

int main(void)
{
    log_set_level(LOG_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
