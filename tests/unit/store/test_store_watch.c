#include "store_fixture.h"

static void count_ready(void *arg)
{
    atomic_fetch_add((atomic_int *)arg, 1);
}

static struct store_watch *must_watch(struct store *store, const char *prefix, revision_t after, atomic_int *ready)
{
    struct store_watch *watch = NULL;
    struct err err = { 0 };

    if (store_watch_open(store, str_from(prefix), after, count_ready, ready, &watch, &err) < 0)
        fail_msg("%s", err.message);
    return watch;
}

static const char kinds[] = { [STORE_CREATED] = '+', [STORE_MODIFIED] = '~', [STORE_DELETED] = '-' };

/* All there is now: "+/a@1=value ~/a@2=value(previous) " */
static void assert_events(struct store_watch *watch, const char *want)
{
    AUTO_DEINIT(buf, got);
    struct store_event *event;
    struct err err = { 0 };
    int more;

    buf_init(&got, 0);
    while ((more = store_watch_next(watch, &event, &err)) > 0) {
        buf_printf(&got, "%c" STR_FMT "@%llu=" STR_FMT, kinds[event->kind], STR_ARG(event->key),
                   (unsigned long long)event->revision, STR_ARG(blob_str(event->value)));
        if (event->previous)
            buf_printf(&got, "(" STR_FMT "@%llu)", STR_ARG(blob_str(event->previous)),
                       (unsigned long long)event->previous_revision);
        buf_add_char(&got, ' ');
        store_event_unref(event);
    }
    if (more < 0)
        fail_msg("%s", err.message);
    assert_str(buf_str(&got), want);
}

static void test_kinds_and_prefixes(void **state)
{
    atomic_int ready = 0;
    struct fixture f;

    fixture_init(&f, "kinds");
    AUTO(store_watch) all = must_watch(f.store, "", 0, &ready);
    AUTO(store_watch) some = must_watch(f.store, "/a", 0, &ready);
    AUTO(store_watch) one = must_watch(f.store, "/a/x", 0, &ready);
    must_put(f.store, "/a/x", "1");
    must_put(f.store, "/a/x", "2");
    must_delete(f.store, "/a/x", "2.");
    must_delete(f.store, "/a/x", "nothing");
    must_put(f.store, "/a/x", "3");
    must_put(f.store, "/b", "1");
    must_put(f.store, "/a", "1");
    assert_events(all, "+/a/x@1=1 ~/a/x@2=2(1@1) -/a/x@3=2.(2@2) +/a/x@5=3 +/b@6=1 +/a@7=1 ");
    assert_events(some, "+/a/x@1=1 ~/a/x@2=2(1@1) -/a/x@3=2.(2@2) +/a/x@5=3 +/a@7=1 ");
    assert_events(one, "+/a/x@1=1 ~/a/x@2=2(1@1) -/a/x@3=2.(2@2) +/a/x@5=3 ");
    assert_events(one, "");
    assert_int_equal(store_watch_progress(one), 7);
    all = store_watch_close(all);
    some = store_watch_close(some);
    one = store_watch_close(one);
    fixture_deinit(&f);
}

static void test_ready_comes_once(void **state)
{
    atomic_int ready = 0;
    struct fixture f;

    fixture_init(&f, "ready");
    AUTO(store_watch) watch = must_watch(f.store, "/a", 0, &ready);
    assert_events(watch, "");
    must_put(f.store, "/b", "1");
    assert_int_equal(ready, 0);
    must_put(f.store, "/a", "1");
    must_put(f.store, "/a", "2");
    assert_int_equal(ready, 1);
    assert_events(watch, "+/a@2=1 ~/a@3=2(1@2) ");
    must_put(f.store, "/a", "3");
    assert_int_equal(ready, 2);
    watch = store_watch_close(watch);
    must_put(f.store, "/a", "4");
    assert_int_equal(ready, 2);
    fixture_deinit(&f);
}

static void test_resume(void **state)
{
    atomic_int ready = 0;
    struct fixture f;

    fixture_init(&f, "resume");
    must_put(f.store, "/a", "1");
    must_put(f.store, "/a", "2");
    must_delete(f.store, "/a", "2.");
    must_put(f.store, "/a", "3");
    for (int round = 0; round < 2; round++) { /* from the window, then from disk */
        AUTO(store_watch) first = must_watch(f.store, "/", 0, &ready);
        AUTO(store_watch) third = must_watch(f.store, "/", 2, &ready);
        AUTO(store_watch) last = must_watch(f.store, "/", 4, &ready);

        assert_events(first, "+/a@1=1 ~/a@2=2(1@1) -/a@3=2.(2@2) +/a@4=3 ");
        assert_events(third, "-/a@3=2.(2@2) +/a@4=3 ");
        assert_events(last, "");
        first = store_watch_close(first);
        third = store_watch_close(third);
        last = store_watch_close(last);
        fixture_reopen(&f);
    }
    fixture_deinit(&f);
}

static void test_bounds(void **state)
{
    atomic_int ready = 0;
    struct store_watch *watch = NULL;
    struct fixture f;
    struct err err = { 0 };

    fixture_init(&f, "bounds");
    must_put(f.store, "/a", "1");
    must_put(f.store, "/a", "2");
    must_put(f.store, "/a", "3");
    assert_int_equal(store_compact(f.store, 2, NULL), 0);
    assert_int_equal(store_watch_open(f.store, STR("/"), 1, count_ready, &ready, &watch, &err), -ERR_EXPIRED);
    assert_int_equal(store_watch_open(f.store, STR("/"), 4, count_ready, &ready, &watch, &err), -ERR_INVALID);
    assert_null(watch);
    watch = must_watch(f.store, "/", 2, &ready);
    assert_events(watch, "~/a@3=3(2@2) ");
    store_watch_close(watch);
    fixture_deinit(&f);
}

/* With a window of 16: one that is not read falls out of it and gets everything from disk; or, compacted, is told so.
 */
static void test_slow_watch(void **state)
{
    atomic_int ready = 0;
    struct fixture f;
    struct store_event *event;
    struct err err = { 0 };
    char key[32];

    fixture_init(&f, "slow");
    f.options.event_window = 16;
    fixture_reopen(&f);
    AUTO(store_watch) slow = must_watch(f.store, "/k", 0, &ready);
    AUTO(store_watch) idle = must_watch(f.store, "/x", 0, &ready);
    AUTO(store_watch) lost = must_watch(f.store, "/k", 0, &ready);
    assert_events(slow, "");
    assert_events(idle, "");
    for (int i = 0; i < 300; i++) {
        snprintf(key, sizeof key, "/k%03d", i);
        must_put(f.store, key, "v");
    }
    for (int i = 0; i < 300; i++) {
        assert_int_equal(store_watch_next(slow, &event, &err), 1);
        assert_int_equal(event->revision, i + 1);
        store_event_unref(event);
    }
    assert_events(slow, "");
    assert_int_equal(store_compact(f.store, 300, NULL), 0);
    must_put(f.store, "/x", "1");
    assert_events(slow, "");
    assert_events(idle, "+/x@301=1 ");
    assert_int_equal(store_watch_next(lost, &event, &err), -ERR_EXPIRED);
    assert_int_equal(store_watch_next(lost, &event, &err), -ERR_EXPIRED);
    slow = store_watch_close(slow);
    idle = store_watch_close(idle);
    lost = store_watch_close(lost);
    fixture_deinit(&f);
}

/* A burst that is longer than a watch's queue, on one that was idle since long before the compaction. */
static void test_burst_after_idling(void **state)
{
    static struct store_op ops[500];
    static char keys[500][16];
    atomic_int ready = 0;
    struct fixture f;
    struct store_event *event;

    fixture_init(&f, "burst");
    f.options.event_window = 16;
    fixture_reopen(&f);
    AUTO(store_watch) watch = must_watch(f.store, "/k", 0, &ready);
    assert_events(watch, "");
    for (int i = 0; i < 50; i++)
        must_put(f.store, "/other", "v");
    assert_int_equal(store_compact(f.store, 50, NULL), 0);
    for (size_t i = 0; i < ARRAY_LEN(ops); i++) {
        snprintf(keys[i], sizeof keys[i], "/k%03zu", i);
        ops[i] = (struct store_op){ STORE_PUT, str_from(keys[i]), STR("v"), STORE_NO_SPLICE, STORE_ANY };
    }
    assert_int_equal(store_commit(f.store, ops, ARRAY_LEN(ops), NULL, NULL, NULL), 0);
    assert_int_equal(ready, 1);
    for (size_t i = 0; i < ARRAY_LEN(ops); i++) {
        assert_int_equal(store_watch_next(watch, &event, NULL), 1);
        assert_str(event->key, keys[i]);
        store_event_unref(event);
    }
    assert_events(watch, "");
    watch = store_watch_close(watch);
    fixture_deinit(&f);
}

static void free_decoded(void *decoded)
{
    ++*(int *)decoded;
}

static void test_events_are_shared(void **state)
{
    atomic_int ready = 0;
    struct fixture f;
    struct store_event *a, *b;
    int freed = 0;

    fixture_init(&f, "shared");
    AUTO(store_watch) first = must_watch(f.store, "", 0, &ready);
    AUTO(store_watch) second = must_watch(f.store, "", 0, &ready);
    struct blob *value = NULL;
    struct store_result result = { .values = &value };
    assert_int_equal(try_one(f.store, STORE_PUT, STR("/a"), STR("1"), STORE_ANY, &result, NULL), 0);
    assert_int_equal(store_watch_next(first, &a, NULL), 1);
    assert_int_equal(store_watch_next(second, &b, NULL), 1);
    assert_ptr_equal(a, b);
    assert_ptr_equal(a->value, value);
    atomic_store(&a->decoded, &freed);
    a->decoded_free = free_decoded;
    store_event_unref(a);
    store_event_unref(b);
    blob_unref(value);
    must_put(f.store, "/a", "2");
    assert_int_equal(store_watch_next(first, &a, NULL), 1);
    assert_ptr_equal(a->previous, value);
    store_event_unref(a);
    assert_int_equal(freed, 0);
    first = store_watch_close(first);
    second = store_watch_close(second);
    fixture_deinit(&f);
    assert_int_equal(freed, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kinds_and_prefixes),
        cmocka_unit_test(test_ready_comes_once),
        cmocka_unit_test(test_resume),
        cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_slow_watch),
        cmocka_unit_test(test_burst_after_idling),
        cmocka_unit_test(test_events_are_shared),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
