/* Informers over an API that breaks in all the ways that one does. */
#include "fake_api.h"

#include "base/log.h"
#include "client/informer.h"

struct fixture {
    struct fake_api api;
    struct virtual_clock clock;
    struct seeded_rng rng;
    struct executor *executor;
    struct informers *informers;
    struct informer *maps;
    struct buf seen; /* "+ns/name=value ~... -..." */
    bool stale;      /* a handler found its cache behind the event */
};

static const char *value_of(const struct object *object)
{
    static char text[64];

    snprintf(text, sizeof text, STR_FMT, STR_ARG(OBJECT_VIEW(object, config_map)->data.items[0].value));
    return text;
}

static void changed(void *ctx, struct object *old, struct object *new)
{
    struct fixture *f = ctx;
    AUTO(object) cached = informer_get(f->maps, (new ? new : old)->key);

    f->stale =
        f->stale || cached != new || (new &&informer_revision(f->maps) < new->revision &&informer_revision(f->maps));
    buf_printf(&f->seen, "%s%c" STR_FMT "%s%s", f->seen.len ? " " : "",
               !old  ? '+'
               : new ? '~'
                     : '-',
               STR_ARG((new ? new : old)->key), new ? "=" : "", new ? value_of(new) : "");
}

static struct str by_value(const struct object *object)
{
    const struct config_map *map = OBJECT_VIEW(object, config_map);

    return map->data.count ? map->data.items[0].value : STR_NULL;
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);

    fake_init(&f->api);
    virtual_clock_init(&f->clock, 0);
    seeded_rng_init(&f->rng, 1);
    assert_int_equal(executor_virtual_new(&f->clock, &f->executor, NULL), 0);
    assert_int_equal(informers_new(&f->api.client, f->executor, &f->rng.rng, &f->informers, NULL), 0);
    assert_int_equal(informers_get(f->informers, &RESOURCE_CONFIGMAPS, STR_NULL, &f->maps, NULL), 0);
    assert_int_equal(informer_add_handler(f->maps, &(struct informer_handler){ f, changed }, NULL), 0);
    assert_int_equal(informer_add_index(f->maps, "value", by_value, NULL), 0);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    assert_false(f->stale);
    informers_free(f->informers);
    executor_free(f->executor);
    fake_deinit(&f->api);
    buf_deinit(&f->seen);
    free(f);
    return 0;
}

static void put(struct fixture *f, const char *name, const char *value)
{
    fake_put(&f->api, &RESOURCE_CONFIGMAPS, "d", name, value);
}

static void drop(struct fixture *f, const char *name)
{
    fake_delete(&f->api, &RESOURCE_CONFIGMAPS, "d", name);
}

static void start(struct fixture *f)
{
    assert_int_equal(informers_start(f->informers, NULL), 0);
    executor_run_ready(f->executor);
}

static void pass(struct fixture *f, int seconds)
{
    executor_run_until(f->executor, clock_now(&f->clock.clock) + seconds * NSEC_PER_SEC);
}

static void expect(struct fixture *f, const char *seen)
{
    executor_run_ready(f->executor);
    struct str text = buf_str(&f->seen);

    if (!str_is(text, seen))
        fail_msg("saw \"" STR_FMT "\", not \"%s\"", STR_ARG(text), seen);
    buf_clear(&f->seen);
}

static size_t with_value(struct fixture *f, const char *value)
{
    AUTO(arena) arena = arena_new(0);
    struct object_list list;

    assert_int_equal(informer_by_index(f->maps, "value", str_from(value), arena, &list, NULL), 0);
    size_t count = list.count;

    object_list_release(&list);
    return count;
}

static void test_list_and_watch(void **state)
{
    struct fixture *f = *state;

    put(f, "a", "1");
    start(f);
    expect(f, "+d/a=1");
    assert_true(informers_synced(f->informers));
    put(f, "b", "1");
    put(f, "a", "2");
    expect(f, "+d/b=1 ~d/a=2");
    drop(f, "a");
    put(f, "a", "3");
    expect(f, "-d/a +d/a=3");
    assert_int_equal(f->api.calls[CLIENT_LIST], 1);
    assert_int_equal(f->api.watch_count, 1);
    assert_int_equal(informer_revision(f->maps), f->api.revision);
}

static void test_index(void **state)
{
    struct fixture *f = *state;

    put(f, "a", "x");
    put(f, "b", "x");
    start(f);
    assert_int_equal(with_value(f, "x"), 2);
    put(f, "a", "y");
    executor_run_ready(f->executor);
    assert_int_equal(with_value(f, "x"), 1);
    assert_int_equal(with_value(f, "y"), 1);
    drop(f, "b");
    executor_run_ready(f->executor);
    assert_int_equal(with_value(f, "x"), 0);
    assert_int_equal(with_value(f, "never"), 0);
    buf_clear(&f->seen);
}

static void test_lists_by_namespace(void **state)
{
    struct fixture *f = *state;
    AUTO(arena) arena = arena_new(0);
    static const struct {
        struct str ns;
        size_t count;
    } cases[] = { { STR_INIT("d"), 2 }, { STR_INIT("dd"), 1 }, { STR_INIT("none"), 0 }, { { NULL, 0 }, 3 } };

    put(f, "a", "1");
    put(f, "b", "1");
    fake_put(&f->api, &RESOURCE_CONFIGMAPS, "dd", "a", "1");
    start(f);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct object_list list;

        assert_int_equal(informer_list(f->maps, cases[i].ns, arena, &list, NULL), 0);
        assert_int_equal(list.count, cases[i].count);
        object_list_release(&list);
    }
    buf_clear(&f->seen);
}

static void test_first_list_fails(void **state)
{
    struct fixture *f = *state;

    put(f, "a", "1");
    f->api.failures = 3;
    f->api.failure = ERR_UNAVAILABLE;
    start(f);
    expect(f, "");
    assert_false(informers_synced(f->informers));
    pass(f, 10);
    expect(f, "+d/a=1");
    assert_true(informers_synced(f->informers));
    assert_int_equal(f->api.calls[CLIENT_LIST], 4);
}

/* A watch that breaks is taken up where it was: no list, nothing twice, nothing missed. */
static void test_watch_breaks(void **state)
{
    struct fixture *f = *state;

    put(f, "a", "1");
    start(f);
    expect(f, "+d/a=1");
    f->api.quiet = true;
    put(f, "a", "2");
    fake_cut(&f->api, ERR_UNAVAILABLE);
    put(f, "b", "1");
    f->api.failures = 2;
    f->api.failure = ERR_UNAVAILABLE;
    pass(f, 10);
    expect(f, "~d/a=2 +d/b=1");
    assert_int_equal(f->api.calls[CLIENT_LIST], 1);
    f->api.quiet = false;
    put(f, "c", "1");
    expect(f, "+d/c=1");
}

/* When the past is gone the list is read again, and only differences are told. */
static void test_past_is_gone(void **state)
{
    struct fixture *f = *state;

    put(f, "same", "1");
    put(f, "changes", "1");
    put(f, "goes", "1");
    start(f);
    buf_clear(&f->seen);
    f->api.quiet = true;
    fake_cut(&f->api, ERR_UNAVAILABLE);
    drop(f, "goes");
    put(f, "changes", "2");
    fake_compact(&f->api);
    pass(f, 10);
    expect(f, "-d/goes ~d/changes=2");
    assert_int_equal(f->api.calls[CLIENT_LIST], 2);
    f->api.quiet = false;
    put(f, "new", "1");
    expect(f, "+d/new=1");
}

static void test_expired_while_watching(void **state)
{
    struct fixture *f = *state;

    start(f);
    fake_cut(&f->api, ERR_EXPIRED);
    put(f, "a", "1");
    pass(f, 10);
    expect(f, "+d/a=1");
    assert_int_equal(f->api.calls[CLIENT_LIST], 2);
}

static void test_bookmark(void **state)
{
    struct fixture *f = *state;

    start(f);
    fake_bookmark(&f->api, &RESOURCE_CONFIGMAPS);
    expect(f, "");
    assert_int_equal(informer_revision(f->maps), f->api.revision);
    fake_compact(&f->api);
    fake_cut(&f->api, ERR_UNAVAILABLE);
    pass(f, 10);
    assert_int_equal(f->api.calls[CLIENT_LIST], 1); /* the bookmark was new enough */
}

/* More events than one turn takes. */
static void test_flood(void **state)
{
    struct fixture *f = *state;
    char last[32] = "";

    start(f);
    for (int i = 0; i < 2000; i++) {
        snprintf(last, sizeof last, "%d", i);
        put(f, "a", last);
    }
    executor_run_ready(f->executor);
    AUTO(object) object = informer_get(f->maps, STR("d/a"));

    assert_string_equal(value_of(object), last);
    buf_clear(&f->seen);
}

static void test_one_copy(void **state)
{
    struct fixture *f = *state;
    struct informer *same, *chosen, *other;

    assert_int_equal(informers_get(f->informers, &RESOURCE_CONFIGMAPS, STR_NULL, &same, NULL), 0);
    assert_int_equal(informers_get(f->informers, &RESOURCE_CONFIGMAPS, STR("metadata.name=a"), &chosen, NULL), 0);
    assert_int_equal(informers_get(f->informers, &RESOURCE_CONFIGMAPS, STR("metadata.name=a"), &other, NULL), 0);
    assert_ptr_equal(same, f->maps);
    assert_ptr_not_equal(chosen, f->maps);
    assert_ptr_equal(chosen, other);
    start(f);
    assert_int_equal(f->api.calls[CLIENT_LIST], 2);
}

static void count_call(void *arg)
{
    ++*(int *)arg;
}

static void test_when_synced(void **state)
{
    struct fixture *f = *state;
    struct informer *secrets;
    int calls = 0;

    assert_int_equal(informers_get(f->informers, &RESOURCE_SECRETS, STR_NULL, &secrets, NULL), 0);
    assert_int_equal(informers_when_synced(f->informers, count_call, &calls, NULL), 0);
    f->api.failures = 1;
    f->api.failure = ERR_UNAVAILABLE;
    start(f);
    assert_int_equal(calls, 0);
    pass(f, 5);
    assert_int_equal(calls, 1);
    assert_int_equal(informers_when_synced(f->informers, count_call, &calls, NULL), 0);
    executor_run_ready(f->executor);
    assert_int_equal(calls, 2);
    assert_int_equal(informers_when_synced(f->informers, count_call, &calls, NULL), 0);
    informers_stop(f->informers); /* before it ran: it never will */
    executor_run_ready(f->executor);
    assert_int_equal(calls, 2);
    assert_int_equal(informers_when_synced(f->informers, count_call, &calls, NULL), -ERR_CANCELLED);
}

static void test_stop(void **state)
{
    struct fixture *f = *state;

    put(f, "a", "1");
    start(f);
    expect(f, "+d/a=1");
    put(f, "b", "1"); /* told, but not yet read */
    informers_stop(f->informers);
    put(f, "c", "1");
    pass(f, 5);
    expect(f, "");
    AUTO(object) object = informer_get(f->maps, STR("d/a"));

    assert_non_null(object);
    informers_stop(f->informers);
}

static void test_stop_while_retrying(void **state)
{
    struct fixture *f = *state;

    f->api.failures = 1000;
    f->api.failure = ERR_UNAVAILABLE;
    start(f);
    pass(f, 3);
    informers_stop(f->informers);
    int lists = f->api.calls[CLIENT_LIST];

    pass(f, 100);
    assert_int_equal(f->api.calls[CLIENT_LIST], lists);
}

/* -- on threads -- */

struct counted {
    atomic_int added, changed, removed, inside;
};

static void count_change(void *ctx, struct object *old, struct object *new)
{
    struct counted *counted = ctx;

    assert_int_equal(atomic_fetch_add(&counted->inside, 1), 0);
    atomic_fetch_add(!old ? &counted->added : new ? &counted->changed : &counted->removed, 1);
    atomic_fetch_sub(&counted->inside, 1);
}

static void write_some(void *arg)
{
    struct fake_api *api = arg;
    char name[32];

    for (int i = 0; i < 300; i++) {
        snprintf(name, sizeof name, "n%d", i % 40);
        fake_put(api, &RESOURCE_CONFIGMAPS, "d", name, "x");
    }
}

static void test_threads(void **state)
{
    struct fake_api api;
    struct executor *executor;
    struct informers *informers;
    struct informer *maps;
    struct counted counted = { 0 };
    struct thread writers[2] = { 0 };

    (void)state;
    for (int round = 0; round < 10; round++) {
        fake_init(&api);
        assert_int_equal(executor_pool_new(clock_real(), "test", 4, &executor, NULL), 0);
        assert_int_equal(informers_new(&api.client, executor, rng_system(), &informers, NULL), 0);
        assert_int_equal(informers_get(informers, &RESOURCE_CONFIGMAPS, STR_NULL, &maps, NULL), 0);
        assert_int_equal(informer_add_handler(maps, &(struct informer_handler){ &counted, count_change }, NULL), 0);
        assert_int_equal(informer_add_index(maps, "value", by_value, NULL), 0);
        assert_int_equal(informers_start(informers, NULL), 0);
        for (size_t i = 0; i < ARRAY_LEN(writers); i++)
            assert_int_equal(thread_start(&writers[i], "writer", write_some, &api, NULL), 0);
        /* Readers and the end come at any moment. */
        for (int i = 0; i < 200; i++) {
            object_unref(informer_get(maps, STR("d/n7")));
            AUTO(arena) arena = arena_new(0);
            struct object_list list;

            assert_int_equal(informer_by_index(maps, "value", STR("x"), arena, &list, NULL), 0);
            object_list_release(&list);
        }
        informers_stop(informers);
        for (size_t i = 0; i < ARRAY_LEN(writers); i++)
            thread_join(&writers[i]);
        informers_free(informers);
        executor_free(executor);
        fake_deinit(&api);
    }
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
static const struct CMUnitTest tests[] = {
    TEST(test_list_and_watch),
    TEST(test_index),
    TEST(test_lists_by_namespace),
    TEST(test_first_list_fails),
    TEST(test_watch_breaks),
    TEST(test_past_is_gone),
    TEST(test_expired_while_watching),
    TEST(test_bookmark),
    TEST(test_flood),
    TEST(test_one_copy),
    TEST(test_when_synced),
    TEST(test_stop),
    TEST(test_stop_while_retrying),
    cmocka_unit_test(test_threads),
};

int main(void)
{
    log_set_level(LOG_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
