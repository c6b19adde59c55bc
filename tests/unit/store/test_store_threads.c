/* Several threads at once: what was acknowledged can be read, revisions are unique, watches miss nothing, and readers
 * see whole transactions only. */
#include "base/sync.h"
#include "base/vec.h"
#include "store_fixture.h"

#define WRITERS 6
#define ROUNDS 150
#define COUNTER STR("/shared/counter")

struct shared {
    struct fixture f;
    atomic_int writing, conflicts;
    atomic_uchar seen[WRITERS * ROUNDS * 20];
};

struct writer {
    struct shared *shared;
    struct thread thread;
    int number;
};

static void note_revision(struct shared *s, revision_t revision)
{
    INVARIANT(revision < ARRAY_LEN(s->seen));
    INVARIANT(atomic_fetch_add(&s->seen[revision], 1) == 0);
}

static void check_read(struct shared *s, struct str key, struct str value, revision_t revision)
{
    AUTO(store_snapshot) snapshot = NULL;
    struct store_item item;

    INVARIANT(store_snapshot_open(s->f.store, revision, &snapshot, NULL) == 0);
    INVARIANT(store_get(snapshot, key, &item, NULL) == 0);
    INVARIANT(str_eq(item.value, value) && item.revision == revision);
}

/* Adds one to the shared counter by compare-and-swap, as often as it takes. */
static void count_up(struct shared *s)
{
    for (;;) {
        uint64_t count = 0;
        revision_t expect = STORE_ABSENT;
        struct store_item item;
        struct store_result result = { 0 };
        char digits[24];
        AUTO(store_snapshot) snapshot = NULL;

        INVARIANT(store_snapshot_open(s->f.store, 0, &snapshot, NULL) == 0);
        if (store_get(snapshot, COUNTER, &item, NULL) == 0) {
            INVARIANT(str_to_u64(item.value, &count));
            expect = item.revision;
        }
        snapshot = store_snapshot_close(snapshot);
        snprintf(digits, sizeof digits, "%llu", (unsigned long long)count + 1);
        int code = try_one(s->f.store, STORE_PUT, COUNTER, str_from(digits), expect, &result, NULL);
        if (code == 0) {
            note_revision(s, result.revision);
            return;
        }
        INVARIANT(code == -ERR_CONFLICT);
        atomic_fetch_add(&s->conflicts, 1);
    }
}

static void writer_main(void *arg)
{
    struct writer *w = arg;
    struct shared *s = w->shared;

    for (int i = 0; i < ROUNDS; i++) {
        struct store_result result = { 0 };
        char own[32], value[32];

        snprintf(own, sizeof own, "/own/%d", w->number);
        snprintf(value, sizeof value, "%d-%d", w->number, i);
        struct store_op ops[] = {
            /* two that must always agree */
            { STORE_PUT, STR("/pair/a"), str_from(value), STORE_NO_SPLICE, STORE_ANY },
            { STORE_PUT, STR("/pair/b"), str_from(value), STORE_NO_SPLICE, STORE_ANY },
            { STORE_PUT, str_from(own), str_from(value), STORE_NO_SPLICE, STORE_ANY },
        };
        INVARIANT(store_commit(s->f.store, ops, 3, NULL, &result, NULL) == 0);
        note_revision(s, result.revision);
        check_read(s, str_from(own), str_from(value), result.revision);
        count_up(s);
    }
    atomic_fetch_sub(&s->writing, 1);
}

/* Reads the pair until the writers are through. */
static void reader_main(void *arg)
{
    struct shared *s = arg;

    while (atomic_load(&s->writing) > 0) {
        AUTO(store_snapshot) snapshot = NULL;
        struct store_item a, b;

        INVARIANT(store_snapshot_open(s->f.store, 0, &snapshot, NULL) == 0);
        int code = store_get(snapshot, STR("/pair/a"), &a, NULL);
        INVARIANT(store_get(snapshot, STR("/pair/b"), &b, NULL) == code);
        INVARIANT(code < 0 || (str_eq(a.value, b.value) && a.revision == b.revision));
    }
}

struct watcher {
    struct shared *shared;
    struct thread thread;
    struct store_watch *watch;
    struct mutex lock;
    struct cond wake;
    bool ready, stop;
    uint64_t events;
    revision_t last;
};

static void wake_watcher(void *arg)
{
    struct watcher *w = arg;

    LOCKED(&w->lock);
    w->ready = true;
    cond_signal(&w->wake);
}

static void drain(struct watcher *w)
{
    struct store_event *event;
    int more;

    while ((more = store_watch_next(w->watch, &event, NULL)) > 0) {
        INVARIANT(event->revision >= w->last);
        w->last = event->revision;
        w->events++;
        store_event_unref(event);
    }
    INVARIANT(more == 0);
}

static void watcher_main(void *arg)
{
    struct watcher *w = arg;
    bool stop;

    do {
        drain(w);
        mutex_lock(&w->lock);
        while (!w->ready && !w->stop)
            cond_wait(&w->wake, &w->lock);
        w->ready = false;
        stop = w->stop;
        mutex_unlock(&w->lock);
    } while (!stop);
    drain(w);
}

static void watcher_start(struct watcher *w, struct shared *s, const char *prefix)
{
    *w = (struct watcher){ .shared = s };
    mutex_init(&w->lock);
    cond_init(&w->wake);
    assert_int_equal(store_watch_open(s->f.store, str_from(prefix), 0, wake_watcher, w, &w->watch, NULL), 0);
    assert_int_equal(thread_start(&w->thread, "watcher", watcher_main, w, NULL), 0);
}

static void watcher_end(struct watcher *w, uint64_t want)
{
    mutex_lock(&w->lock);
    w->stop = true;
    cond_signal(&w->wake);
    mutex_unlock(&w->lock);
    thread_join(&w->thread);
    w->watch = store_watch_close(w->watch);
    assert_int_equal(w->events, want);
    cond_deinit(&w->wake);
    mutex_deinit(&w->lock);
}

static void test_threads(void **state)
{
    struct shared *s = calloc(1, sizeof *s);
    struct writer writers[WRITERS];
    struct watcher all, own;
    struct thread reader = { 0 };
    struct store_stats stats;
    char want[24];

    fixture_init(&s->f, "threads");
    s->f.options.event_window = 32;
    fixture_reopen(&s->f);
    s->writing = WRITERS;
    watcher_start(&all, s, "");
    watcher_start(&own, s, "/own/3");
    assert_int_equal(thread_start(&reader, "reader", reader_main, s, NULL), 0);
    for (int i = 0; i < WRITERS; i++) {
        writers[i] = (struct writer){ s, { 0 }, i };
        assert_int_equal(thread_start(&writers[i].thread, "writer", writer_main, &writers[i], NULL), 0);
    }
    for (int i = 0; i < WRITERS; i++)
        thread_join(&writers[i].thread);
    thread_join(&reader);
    watcher_end(&all, WRITERS * ROUNDS * 4);
    watcher_end(&own, ROUNDS);
    snprintf(want, sizeof want, "%d", WRITERS * ROUNDS);
    assert_value(s->f.store, 0, "/shared/counter", want);
    assert_int_equal(store_revision(s->f.store), WRITERS * ROUNDS * 2);
    for (revision_t r = 1; r <= WRITERS * ROUNDS * 2; r++)
        assert_int_equal(s->seen[r], 1);
    store_stats(s->f.store, &stats);
    assert_int_equal(stats.transactions, WRITERS * ROUNDS * 2);
    assert_true(stats.commits <= stats.transactions);
    fixture_deinit(&s->f);
    free(s);
}

/* More queued at once than one group takes. */
#define MANY 6000

static atomic_int finished;

static void count_finished(struct store_txn *txn, int code)
{
    INVARIANT(code == 0);
    atomic_fetch_add(&finished, 1);
}

static void test_many_at_once(void **state)
{
    struct store_txn *txns = calloc(MANY, sizeof *txns);
    struct store_op *ops = calloc(MANY, sizeof *ops);
    char(*keys)[16] = calloc(MANY, sizeof *keys);
    struct fixture f;
    uint64_t count;

    fixture_init(&f, "many");
    for (int i = 0; i < MANY; i++) {
        snprintf(keys[i], sizeof keys[i], "/%d", i);
        ops[i] = (struct store_op){ STORE_PUT, str_from(keys[i]), STR("v"), STORE_NO_SPLICE, STORE_ABSENT };
        txns[i] = (struct store_txn){ .ops = &ops[i], .ops_count = 1, .done = count_finished };
    }
    for (int i = 0; i < MANY; i++)
        store_commit_async(f.store, &txns[i]);
    must_put(f.store, "/last", "v"); /* in order: all are done by now */
    assert_int_equal(finished, MANY);
    AUTO(store_snapshot) snapshot = must_snapshot(f.store, 0);
    assert_int_equal(store_count(snapshot, STR("/"), &count, NULL), 0);
    assert_int_equal(count, MANY + 1);
    snapshot = store_snapshot_close(snapshot);
    for (int i = 0; i < MANY; i++)
        assert_int_equal(txns[i].result.revision, i + 1);
    fixture_deinit(&f);
    free(keys);
    free(ops);
    free(txns);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_threads),
        cmocka_unit_test(test_many_at_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
