/* store.c - two stores on one real etcd: etcd_store ENDPOINT PID, where PID is etcd's, to be stopped and continued; or
 * etcd_store ENDPOINT bench. The etcd must have a quota of less than 90 MB.
 *
 * Each test has a prefix of its own, so none sees what another has left. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include <cmocka.h>

#include "../unit/store/store_fixture.h"
#include "base/sync.h"
#include "store/etcd/client.h"
#include "store/etcd/codec.h"
#include "store_bench.h"

#define PATIENCE (30 * NSEC_PER_SEC)

static struct str endpoint;
static pid_t etcd_pid;
static int worlds;

struct world {
    char folder[64], paths[2][96], prefix[32];
    struct store_etcd_options etcd;
    struct store *a, *b;
};

static struct store *open_store(struct world *w, int i)
{
    struct store_options options = { .path = w->paths[i], .etcd = &w->etcd, .clock = clock_real(),
                                     .map_size = 1u << 28 };
    struct store *store = NULL;
    struct err err = { 0 };

    if (store_open(&options, &store, &err) < 0)
        fail_msg("%s", err.message);
    return store;
}

static void world_init(struct world *w)
{
    const char *tmp = getenv("TMPDIR");

    *w = (struct world){ 0 };
    snprintf(w->folder, sizeof w->folder, "%s/caravel-etcd-XXXXXX", tmp ? tmp : "/tmp");
    assert_non_null(mkdtemp(w->folder));
    for (int i = 0; i < 2; i++)
        snprintf(w->paths[i], sizeof w->paths[i], "%s/%d", w->folder, i);
    snprintf(w->prefix, sizeof w->prefix, "/test%d-%d", (int)getpid(), worlds++);
    w->etcd = (struct store_etcd_options){ .endpoints = endpoint, .prefix = str_from(w->prefix) };
    w->a = open_store(w, 0);
    w->b = open_store(w, 1);
}

static void world_deinit(struct world *w)
{
    w->a = store_close(w->a);
    w->b = store_close(w->b);
    assert_int_equal(file_remove_tree(w->folder, NULL), 0);
}

static void must_sync(struct store *store)
{
    struct err err = { 0 };

    if (store_sync(store, &err) < 0)
        fail_msg("%s", err.message);
}

/* -- commits -- */

static void test_both_write(void **state)
{
    struct world w;

    world_init(&w);
    assert_true(store_is_shared(w.a));
    assert_int_equal(store_revision(w.a), 0);
    revision_t first = must_put(w.a, "a", "1");
    assert_value(w.a, 0, "a", "1");
    must_sync(w.b);
    assert_value(w.b, 0, "a", "1");
    revision_t second = must_put(w.b, "b", "2");
    assert_true(second > first);
    must_sync(w.a);
    assert_list(w.a, 0, "", "", "a=1 b=2 ");
    assert_list(w.a, first, "", "", "a=1 ");
    revision_t third = must_delete(w.a, "b", "gone");
    assert_int_equal(store_revision(w.a), third);
    must_sync(w.b);
    assert_list(w.b, 0, "", "", "a=1 ");
    assert_int_equal(store_revision(w.b), third);
    must_delete(w.b, "never", "");
    world_deinit(&w);
}

static void test_splice_and_values(void **state)
{
    struct store_op ops[] = {
        { .kind = STORE_PUT, .key = STR("x"), .value = STR("[]"), .splice = 1, .expect = STORE_ABSENT },
        { .kind = STORE_CHECK, .key = STR("y"), .expect = STORE_ABSENT },
        { .kind = STORE_PUT, .key = STR("z"), .value = STR("()"), .splice = 1, .expect = STORE_ANY },
        { .kind = STORE_DELETE, .key = STR("none"), .value = STR(""), .splice = STORE_NO_SPLICE, .expect = STORE_ANY },
    };
    struct blob *values[4] = { 0 };
    struct store_result result = { .values = values };
    char want[64];
    struct world w;
    struct err err = { 0 };

    world_init(&w);
    if (store_commit(w.a, ops, 4, NULL, &result, &err) < 0)
        fail_msg("%s", err.message);
    snprintf(want, sizeof want, "x=[%llu] z=(%llu) ", (unsigned long long)result.revision,
             (unsigned long long)result.revision);
    must_sync(w.b);
    assert_list(w.b, 0, "", "", want);
    snprintf(want, sizeof want, "(%llu)", (unsigned long long)result.revision);
    assert_str(blob_str(values[2]), want);
    assert_non_null(values[0]);
    assert_null(values[1]);
    assert_null(values[3]);
    blob_unref(values[0]);
    blob_unref(values[2]);
    world_deinit(&w);
}

static void test_conflicts(void **state)
{
    struct store_op ops[] = {
        { .kind = STORE_CHECK, .key = STR("a"), .expect = STORE_ANY },
        { .kind = STORE_PUT, .key = STR("b"), .value = STR("2"), .splice = STORE_NO_SPLICE, .expect = STORE_ABSENT },
        { .kind = STORE_PUT, .key = STR("a"), .value = STR("2"), .splice = STORE_NO_SPLICE, .expect = 0 },
    };
    struct store_result result = { 0 };
    struct world w;
    struct err err = { 0 };

    world_init(&w);
    revision_t a = must_put(w.a, "a", "1"), other = must_put(w.a, "a", "1b");
    ops[2].expect = a;
    assert_int_equal(store_commit(w.b, ops, 3, NULL, &result, &err), -ERR_CONFLICT);
    assert_int_equal(result.failed_op, 2);
    assert_int_equal(result.present, other);
    assert_true(store_revision(w.b) >= other); /* who looks again sees why */
    assert_value(w.b, 0, "b", NULL);
    ops[2].expect = other;
    assert_int_equal(store_commit(w.b, ops, 3, NULL, &result, &err), 0);
    assert_value(w.b, 0, "a", "2");
    ops[0].key = STR("");
    assert_int_equal(store_commit(w.b, ops, 3, NULL, &result, &err), -ERR_INVALID);
    world_deinit(&w);
}

struct racer {
    struct store *store;
    struct thread thread;
    int wins;
};

#define RACE_TO 60

/* Counts a number up by compare-and-swap until it has reached RACE_TO. */
static void race(void *arg)
{
    struct racer *racer = arg;

    for (;;) {
        struct store_snapshot *snapshot = NULL;
        struct store_item item = { 0 };
        int64_t number = 0;
        char next[32];

        INVARIANT(store_snapshot_open(racer->store, 0, &snapshot, NULL) == 0);
        if (store_get(snapshot, STR("n"), &item, NULL) == 0)
            str_to_i64(item.value, &number);
        store_snapshot_close(snapshot);
        if (number >= RACE_TO)
            return;
        snprintf(next, sizeof next, "%lld", (long long)number + 1);
        int code = try_one(racer->store, STORE_PUT, STR("n"), str_from(next), item.revision, NULL, NULL);
        INVARIANT(code == 0 || code == -ERR_CONFLICT);
        racer->wins += code == 0;
    }
}

static void test_races(void **state)
{
    struct racer racers[4];
    struct world w;
    int wins = 0;

    world_init(&w);
    for (size_t i = 0; i < 4; i++) {
        racers[i] = (struct racer){ .store = i % 2 ? w.a : w.b };
        assert_int_equal(thread_start(&racers[i].thread, "racer", race, &racers[i], NULL), 0);
    }
    for (size_t i = 0; i < 4; i++) {
        thread_join(&racers[i].thread);
        wins += racers[i].wins;
    }
    assert_int_equal(wins, RACE_TO);
    must_sync(w.a);
    assert_value(w.a, 0, "n", "60");
    world_deinit(&w);
}

/* -- watches -- */

struct watcher {
    struct mutex lock;
    struct cond changed;
    struct store_watch *watch;
    bool ready;
};

static void watcher_ready(void *arg)
{
    struct watcher *watcher = arg;

    LOCKED(&watcher->lock);
    watcher->ready = true;
    cond_signal(&watcher->changed);
}

static void watcher_init(struct watcher *watcher, struct store *store, revision_t after)
{
    struct err err = { 0 };

    *watcher = (struct watcher){ .watch = NULL };
    mutex_init(&watcher->lock);
    cond_init(&watcher->changed);
    if (store_watch_open(store, STR(""), after, watcher_ready, watcher, &watcher->watch, &err) < 0)
        fail_msg("%s", err.message);
}

static void watcher_deinit(struct watcher *watcher)
{
    store_watch_close(watcher->watch);
    cond_deinit(&watcher->changed);
    mutex_deinit(&watcher->lock);
}

static struct store_event *next_event(struct watcher *watcher)
{
    struct store_event *event = NULL;
    struct err err = { 0 };
    int more;

    while ((more = store_watch_next(watcher->watch, &event, &err)) == 0) {
        LOCKED(&watcher->lock);
        while (!watcher->ready)
            if (!cond_wait_for(&watcher->changed, &watcher->lock, PATIENCE))
                fail_msg("no event comes");
        watcher->ready = false;
    }
    if (more < 0)
        fail_msg("%s", err.message);
    return event;
}

static void expect_event(struct watcher *watcher, enum store_event_kind kind, const char *key, const char *value,
                         revision_t revision)
{
    AUTO(store_event) event = next_event(watcher);

    assert_int_equal(event->kind, kind);
    assert_str(event->key, key);
    assert_str(blob_str(event->value), value);
    assert_int_equal(event->revision, revision);
    assert_str(event->actor, "tester");
    assert_str(event->rule, "unit test");
    assert_true(event->time > 0);
}

static void test_watch_on_both(void **state)
{
    struct watcher watchers[2];
    revision_t revisions[4];
    struct world w;

    world_init(&w);
    watcher_init(&watchers[0], w.a, 0);
    watcher_init(&watchers[1], w.b, 0);
    revisions[0] = must_put(w.a, "k", "1");
    revisions[1] = must_put(w.b, "k", "2");
    revisions[2] = must_delete(w.a, "k", "last");
    revisions[3] = must_put(w.b, "k", "3");
    for (size_t i = 0; i < 2; i++) {
        expect_event(&watchers[i], STORE_CREATED, "k", "1", revisions[0]);
        expect_event(&watchers[i], STORE_MODIFIED, "k", "2", revisions[1]);
        expect_event(&watchers[i], STORE_DELETED, "k", "last", revisions[2]);
        expect_event(&watchers[i], STORE_CREATED, "k", "3", revisions[3]);
        watcher_deinit(&watchers[i]);
    }
    world_deinit(&w);
}

/* -- the cache -- */

static void test_restart_with_cache(void **state)
{
    struct watcher watcher;
    struct world w;

    world_init(&w);
    revision_t first = must_put(w.a, "a", "1");
    must_sync(w.b);
    w.b = store_close(w.b);
    revision_t second = must_put(w.a, "a", "2"), third = must_put(w.a, "b", "1");
    w.b = open_store(&w, 1);
    watcher_init(&watcher, w.b, first); /* what was missed comes, once */
    expect_event(&watcher, STORE_MODIFIED, "a", "2", second);
    expect_event(&watcher, STORE_CREATED, "b", "1", third);
    revision_t fourth = must_put(w.a, "b", "2");
    expect_event(&watcher, STORE_MODIFIED, "b", "2", fourth);
    assert_value(w.b, first, "a", "1");
    watcher_deinit(&watcher);
    world_deinit(&w);
}

static void test_cache_thrown_away(void **state)
{
    struct store_watch *watch;
    char key[64], identity[128];
    struct world w;

    world_init(&w);
    for (int i = 0; i < 1200; i++) {
        snprintf(key, sizeof key, "key-%04d", i);
        if (i % 100 == 0)
            must_put(w.a, key, "v");
    }
    struct store_op ops[2] = { { .kind = STORE_PUT, .key = STR("one"), .value = STR("same"), .splice = 4 },
                               { .kind = STORE_PUT, .key = STR("two"), .value = STR("revision"), .splice = 8 } };
    struct store_result result = { 0 };
    assert_int_equal(store_commit(w.a, ops, 2, NULL, &result, NULL), 0);
    revision_t newest = must_delete(w.a, "key-0000", "v");
    w.b = store_close(w.b);
    snprintf(identity, sizeof identity, "%s/etcd", w.paths[1]);
    assert_int_equal(unlink(identity), 0);
    struct store_options options = { .path = w.paths[1], .etcd = &w.etcd };
    assert_int_equal(store_open(&options, &w.b, NULL), -ERR_INVALID); /* it could be a store of its own */
    assert_int_equal(file_remove_tree(w.paths[1], NULL), 0);
    w.b = open_store(&w, 1);
    assert_int_equal(store_revision(w.b), newest);
    assert_int_equal(store_compacted(w.b), newest - 1);
    AUTO(store_snapshot) snapshot = must_snapshot(w.b, 0);
    struct store_item item;
    uint64_t count;
    assert_int_equal(store_count(snapshot, STR("key-"), &count, NULL), 0);
    assert_int_equal(count, 11);
    assert_int_equal(store_get(snapshot, STR("two"), &item, NULL), 0);
    assert_int_equal(item.revision, result.revision);
    assert_int_equal(item.created, result.revision);
    snapshot = store_snapshot_close(snapshot);
    assert_int_equal(store_watch_open(w.b, STR(""), newest - 1, NULL, NULL, &watch, NULL), -ERR_EXPIRED);
    revision_t next = must_put(w.b, "one", "more");
    must_sync(w.a);
    assert_value(w.a, next, "one", "more");
    options.etcd = NULL; /* and a cache is not one either */
    w.b = store_close(w.b);
    assert_int_equal(store_open(&options, &w.b, NULL), -ERR_INVALID);
    world_deinit(&w);
}

static void compact(struct world *w, revision_t revision)
{
    struct etcd_client_options options = { .endpoints = w->etcd.endpoints };
    Etcd__CompactionRequest compaction = ETCD__COMPACTION_REQUEST__INIT;
    AUTO(etcd_client) client = NULL;
    ProtobufCMessage *answer = NULL;
    struct err err = { 0 };

    compaction.revision = (int64_t)revision;
    if (etcd_client_new(&options, &client, &err) < 0 ||
        etcd_do(client, ETCD_COMPACT, &compaction.base, PATIENCE, &answer, &err) < 0)
        fail_msg("%s", err.message);
    protobuf_c_message_free_unpacked(answer, NULL);
}

/* A cache is of use as long as etcd has what came after it, and no longer. */
static void test_compacted(void **state)
{
    struct world w;

    world_init(&w);
    revision_t first = must_put(w.a, "a", "1");
    must_sync(w.b);
    w.b = store_close(w.b);
    revision_t second = must_put(w.a, "a", "2");
    compact(&w, first);
    w.b = open_store(&w, 1);
    must_sync(w.b);
    assert_value(w.b, first, "a", "1"); /* as before */
    assert_value(w.b, 0, "a", "2");
    w.b = store_close(w.b);
    compact(&w, second);
    w.b = open_store(&w, 1); /* nothing was missed */
    assert_value(w.b, first, "a", "1");
    w.b = store_close(w.b);
    revision_t third = must_put(w.a, "b", "1"), fourth = must_put(w.a, "c", "1");
    compact(&w, fourth);
    w.b = open_store(&w, 1);
    assert_int_equal(store_revision(w.b), fourth);
    assert_int_equal(store_compacted(w.b), fourth - 1);
    assert_list(w.b, 0, "", "", "a=2 b=1 c=1 ");
    assert_int_equal(store_compacted(w.a), 0); /* who was there has its own history */
    assert_list(w.a, third, "", "", "a=2 b=1 ");
    world_deinit(&w);
}

/* -- leading -- */

struct candidate {
    struct mutex lock;
    struct cond changed;
    struct store_campaign *campaign;
    revision_t term;
    int terms;
};

static void term_changed(void *arg, revision_t term)
{
    struct candidate *candidate = arg;

    LOCKED(&candidate->lock);
    INVARIANT((term == 0) != (candidate->term == 0));
    candidate->term = term;
    candidate->terms += term != 0;
    cond_broadcast(&candidate->changed);
}

static void candidate_init(struct candidate *candidate, struct store *store, const char *name)
{
    struct store_campaign_options options = { .name = str_from(name), .address = STR("10.0.0.1:6443"),
                                              .changed = term_changed, .arg = candidate };
    struct err err = { 0 };

    *candidate = (struct candidate){ .term = 0 };
    mutex_init(&candidate->lock);
    cond_init(&candidate->changed);
    if (store_campaign_start(store, &options, &candidate->campaign, &err) < 0)
        fail_msg("%s", err.message);
}

static void candidate_deinit(struct candidate *candidate)
{
    candidate->campaign = store_campaign_end(candidate->campaign);
    assert_int_equal(candidate->term, 0);
    cond_deinit(&candidate->changed);
    mutex_deinit(&candidate->lock);
}

static revision_t wait_for_term(struct candidate *candidate, bool leading)
{
    LOCKED(&candidate->lock);
    while ((candidate->term != 0) != leading)
        if (!cond_wait_for(&candidate->changed, &candidate->lock, PATIENCE))
            fail_msg("no term %s", leading ? "begins" : "ends");
    return candidate->term;
}

static int put_in_term(struct store *store, revision_t term)
{
    struct store_op op = { .kind = STORE_PUT, .key = STR("led"), .value = STR("x"), .splice = STORE_NO_SPLICE,
                           .expect = STORE_ANY };
    struct store_cause cause = { .actor = STR("controller"), .term = term };

    return store_commit(store, &op, 1, &cause, NULL, NULL);
}

/* On a machine that stands still for seconds a term may end by itself. */
static bool is_lapsed(struct candidate *candidate, revision_t term)
{
    LOCKED(&candidate->lock);
    return candidate->term != term;
}

static void expect_leader(struct world *w, revision_t term)
{
    struct store_leader leader;

    must_sync(w->b);
    store_leader(w->b, &leader);
    assert_string_equal(leader.name, "server-a");
    assert_string_equal(leader.address, "10.0.0.1:6443");
    assert_int_equal(leader.term, term);
    assert_false(leader.self);
    store_leader(w->a, &leader);
    assert_true(leader.self);
}

static bool try_hand_over(struct world *w)
{
    struct candidate first, second;

    candidate_init(&first, w->a, "server-a");
    revision_t term = wait_for_term(&first, true);
    candidate_init(&second, w->b, "server-b");
    bool written = put_in_term(w->a, term) == 0, lapsed = is_lapsed(&first, term) || second.terms > 0;
    if (!lapsed) {
        assert_true(written);
        expect_leader(w, term);
    }
    candidate_deinit(&first);
    revision_t next = wait_for_term(&second, true);
    assert_true(next > term);
    assert_int_equal(put_in_term(w->a, term), -ERR_UNAVAILABLE); /* fenced off, wherever it comes from */
    assert_int_equal(put_in_term(w->b, term), -ERR_UNAVAILABLE);
    assert_true(put_in_term(w->a, next) == 0 || is_lapsed(&second, next));
    candidate_deinit(&second);
    assert_int_equal(put_in_term(w->b, next), -ERR_UNAVAILABLE);
    return !lapsed;
}

static void test_hand_over(void **state)
{
    struct world w;
    int tries = 1;

    world_init(&w);
    while (!try_hand_over(&w) && tries < 5)
        tries++;
    world_deinit(&w);
}

/* -- etcd goes away for a while -- */

struct async {
    struct mutex lock;
    struct cond changed;
    int done, failed;
};

static void async_done(struct store_txn *txn, int code)
{
    struct async *async = txn->arg;

    LOCKED(&async->lock);
    async->done++;
    async->failed += code < 0;
    cond_signal(&async->changed);
}

#define ASYNC 40

/* Calls lose their connection half way; every write is made once all the same, or said not to be. */
static void test_settling(void **state)
{
    struct async async = { .done = 0 };
    struct store_txn txns[ASYNC];
    struct store_op ops[ASYNC];
    char keys[ASYNC][16];
    struct watcher watcher;
    struct world w;
    int events = 0;

    if (!etcd_pid)
        skip();
    world_init(&w);
    mutex_init(&async.lock);
    cond_init(&async.changed);
    must_put(w.a, "before", "1");
    watcher_init(&watcher, w.b, 0);
    assert_int_equal(kill(etcd_pid, SIGSTOP), 0);
    for (int i = 0; i < ASYNC; i++) {
        snprintf(keys[i], sizeof keys[i], "k%d", i);
        ops[i] = (struct store_op){ .kind = STORE_PUT, .key = str_from(keys[i]), .value = STR("v"),
                                    .splice = STORE_NO_SPLICE, .expect = STORE_ABSENT };
        txns[i] = (struct store_txn){ .ops = &ops[i], .ops_count = 1, .done = async_done, .arg = &async };
        store_commit_async(w.a, &txns[i]);
    }
    enum store_condition condition = STORE_READY;
    nsec_t end = clock_now(clock_real()) + PATIENCE;
    while (condition != STORE_CUT_OFF && clock_now(clock_real()) < end) {
        store_ready(w.a, &condition, NULL);
        usleep(10000);
    }
    assert_int_equal(condition, STORE_CUT_OFF);
    assert_int_equal(kill(etcd_pid, SIGCONT), 0);
    mutex_lock(&async.lock);
    while (async.done < ASYNC)
        if (!cond_wait_for(&async.changed, &async.lock, PATIENCE))
            fail_msg("%d of %d writes are over", async.done, ASYNC);
    mutex_unlock(&async.lock);
    for (int i = 0; i < ASYNC; i++)
        if (txns[i].err.code)
            print_message("%s: %s\n", keys[i], txns[i].err.message);
    revision_t last = must_put(w.a, "after", "1");
    for (;; events++) {
        AUTO(store_event) event = next_event(&watcher);
        assert_int_equal(event->kind, STORE_CREATED);
        if (event->revision == last)
            break;
    }
    assert_true(events >= 1 + ASYNC - async.failed);
    assert_int_equal(store_ready(w.a, NULL, NULL), 0);
    watcher_deinit(&watcher);
    cond_deinit(&async.changed);
    mutex_deinit(&async.lock);
    world_deinit(&w);
}

/* A leader that hears nothing of etcd gives its term up by itself. */
static void test_cut_off_leader(void **state)
{
    struct candidate candidate;
    struct world w;

    if (!etcd_pid)
        skip();
    world_init(&w);
    candidate_init(&candidate, w.a, "server-a");
    revision_t term = wait_for_term(&candidate, true);
    assert_int_equal(kill(etcd_pid, SIGSTOP), 0);
    wait_for_term(&candidate, false);
    assert_int_equal(kill(etcd_pid, SIGCONT), 0);
    assert_true(wait_for_term(&candidate, true) > term);
    assert_int_equal(put_in_term(w.b, term), -ERR_UNAVAILABLE);
    candidate_deinit(&candidate);
    world_deinit(&w);
}

/* Comes last: etcd takes nothing more. What was acknowledged is there, what was refused is not. */
static void test_full(void **state)
{
    static char large[1000000];
    struct store_op op = { .kind = STORE_PUT, .value = str_of(large, sizeof large), .splice = STORE_NO_SPLICE,
                           .expect = STORE_ABSENT };
    enum store_condition condition = STORE_READY;
    char key[32];
    struct world w;
    uint64_t written, count;
    int code = 0;

    world_init(&w);
    for (written = 0; written < 100; written++) {
        op.key = str_of(key, (size_t)snprintf(key, sizeof key, "large-%d", (int)written));
        if ((code = store_commit(w.a, &op, 1, NULL, NULL, NULL)) < 0)
            break;
    }
    assert_int_equal(code, -ERR_NO_SPACE);
    assert_int_equal(store_ready(w.a, &condition, NULL), -ERR_NO_SPACE);
    assert_int_equal(condition, STORE_FULL);
    must_sync(w.b);
    for (int i = 0; i < 2; i++) {
        AUTO(store_snapshot) snapshot = must_snapshot(i ? w.a : w.b, 0);

        assert_int_equal(store_count(snapshot, STR("large-"), &count, NULL), 0);
        assert_int_equal(count, written);
    }
    world_deinit(&w);
}

static int bench(void)
{
    static const int in_flight[] = { 1, 8, 64, 512 };
    struct world w;

    world_init(&w);
    for (size_t i = 0; i < ARRAY_LEN(in_flight); i++)
        printf("%4d in flight: %.0f commits/s\n", in_flight[i], bench_commits(w.a, in_flight[i], 5));
    must_sync(w.b);
    world_deinit(&w);
    return 0;
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_both_write),         cmocka_unit_test(test_splice_and_values),
        cmocka_unit_test(test_conflicts),          cmocka_unit_test(test_races),
        cmocka_unit_test(test_watch_on_both),      cmocka_unit_test(test_restart_with_cache),
        cmocka_unit_test(test_cache_thrown_away),  cmocka_unit_test(test_hand_over),
        cmocka_unit_test(test_settling),           cmocka_unit_test(test_cut_off_leader),
        cmocka_unit_test(test_compacted),          cmocka_unit_test(test_full),
    };

    if (argc != 3) {
        fprintf(stderr, "usage: etcd_store ENDPOINT PID|bench\n");
        return 2;
    }
    endpoint = str_from(argv[1]);
    if (strcmp(argv[2], "bench") == 0)
        return bench();
    etcd_pid = (pid_t)strtol(argv[2], NULL, 10);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
