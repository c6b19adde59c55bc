/* Looking back, in a store whose clock the tests move: causes, changes, times; and how much of it is kept. */
#include "base/sync.h"
#include "store_fixture.h"

#define START (1000 * NSEC_PER_SEC) /* Unix time of the first change */

struct past {
    struct fixture f;
    struct virtual_clock clock;
};

static void past_init(struct past *p, const char *name)
{
    fixture_init(&p->f, name);
    virtual_clock_init(&p->clock, START);
    p->f.options.clock = &p->clock.clock;
    fixture_reopen(&p->f);
}

static void later(struct past *p, int seconds)
{
    virtual_clock_advance(&p->clock, seconds * NSEC_PER_SEC);
}

static revision_t at_time(struct past *p, int seconds)
{
    AUTO(store_snapshot) snapshot = must_snapshot(p->f.store, 0);
    struct err err = { 0 };
    revision_t revision = 0;
    int code = store_revision_at(snapshot, START + seconds * NSEC_PER_SEC, &revision, &err);

    return code == 0 ? revision : (assert_int_equal(code, -ERR_EXPIRED), 0);
}

static void test_times(void **state)
{
    struct past p;

    past_init(&p, "times");
    assert_int_equal(at_time(&p, -1), 0);
    for (int i = 0; i < 100; i++) { /* revisions 1 to 100, one each ten seconds */
        must_put(p.f.store, i % 3 ? "/a" : "/b", "x");
        later(&p, 10);
    }
    assert_int_equal(at_time(&p, -1), 0);
    for (int i = 0; i < 100; i++) {
        assert_int_equal(at_time(&p, i * 10), i + 1);
        assert_int_equal(at_time(&p, i * 10 + 9), i + 1);
    }
    assert_int_equal(at_time(&p, 100000), 100);

    fixture_reopen(&p.f); /* times are on disk */
    assert_int_equal(at_time(&p, 500), 51);
    assert_int_equal(store_compact(p.f.store, 40, NULL), 0);
    assert_int_equal(at_time(&p, 380), 0);
    assert_int_equal(at_time(&p, 390), 40);
    assert_int_equal(at_time(&p, 400), 41);
    assert_value(p.f.store, at_time(&p, 390), "/a", "x");
    fixture_deinit(&p.f);
}

/* A clock that is set back does not turn history round. */
static void test_clock_set_back(void **state)
{
    struct past p;

    past_init(&p, "back");
    must_put(p.f.store, "/a", "1");
    atomic_fetch_sub(&p.clock.wall_offset, 500 * NSEC_PER_SEC);
    must_put(p.f.store, "/a", "2");
    assert_int_equal(at_time(&p, 0), 2);
    assert_int_equal(at_time(&p, -100), 0);
    fixture_deinit(&p.f);
}

static void commit_for(struct store *store, enum store_op_kind kind, const char *key, const char *value,
                       const char *actor, revision_t trigger)
{
    struct store_op op = { .kind = kind, .key = str_from(key), .value = str_from(value), .splice = STORE_NO_SPLICE,
                           .expect = STORE_ANY };
    struct store_cause cause = { str_from(actor), STR("acts"), trigger };

    assert_int_equal(store_commit(store, &op, 1, &cause, NULL, NULL), 0);
}

static void test_changes_of_a_key(void **state)
{
    static const struct {
        enum store_event_kind kind;
        const char *value, *actor;
        revision_t revision, previous, trigger;
        int seconds;
    } wanted[] = { /* from the last one back */
        { STORE_CREATED, "again", "bob", 5, 4, 0, 30 },
        { STORE_DELETED, "two", "gc", 4, 3, 2, 20 },
        { STORE_MODIFIED, "two", "ctl", 3, 1, 2, 10 },
        { STORE_CREATED, "one", "ann", 1, 0, 0, 0 },
    };
    struct store_change change;
    struct past p;

    past_init(&p, "changes");
    commit_for(p.f.store, STORE_PUT, "/a", "one", "ann", 0);
    commit_for(p.f.store, STORE_PUT, "/other", "x", "ann", 0);
    later(&p, 10);
    commit_for(p.f.store, STORE_PUT, "/a", "two", "ctl", 2);
    later(&p, 10);
    commit_for(p.f.store, STORE_DELETE, "/a", "two", "gc", 2);
    later(&p, 10);
    commit_for(p.f.store, STORE_PUT, "/a", "again", "bob", 0);
    struct store_snapshot *snapshot = must_snapshot(p.f.store, 0);
    revision_t at = 0;
    for (size_t i = 0; i < ARRAY_LEN(wanted); i++, at = change.previous) {
        assert_int_equal(store_change_at(snapshot, STR("/a"), at, &change, NULL), 0);
        assert_int_equal(change.kind, wanted[i].kind);
        assert_int_equal(change.revision, wanted[i].revision);
        assert_int_equal(change.previous, wanted[i].previous);
        assert_int_equal(change.trigger, wanted[i].trigger);
        assert_int_equal(change.time, START + wanted[i].seconds * NSEC_PER_SEC);
        assert_str(change.value, wanted[i].value);
        assert_str(change.actor, wanted[i].actor);
        assert_str(change.rule, "acts");
    }
    assert_int_equal(at, 0);
    assert_int_equal(store_change_at(snapshot, STR("/none"), 0, &change, NULL), -ERR_NOT_FOUND);
    assert_int_equal(store_change_at(snapshot, STR(""), 0, &change, NULL), -ERR_NOT_FOUND);
    snapshot = store_snapshot_close(snapshot);

    assert_int_equal(store_compact(p.f.store, 4, NULL), 0);
    snapshot = must_snapshot(p.f.store, 0);
    assert_int_equal(store_change_at(snapshot, STR("/a"), 5, &change, NULL), 0);
    assert_int_equal(store_change_at(snapshot, STR("/a"), 4, &change, NULL), -ERR_NOT_FOUND);
    store_snapshot_close(snapshot);
    fixture_deinit(&p.f);
}

/* "+a *a -a " of the changes with a prefix. */
static void assert_changes(struct store *store, const char *prefix, revision_t after, revision_t until, int code,
                           const char *want)
{
    AUTO(store_snapshot) snapshot = must_snapshot(store, 0);
    AUTO_DEINIT(buf, got) = BUF_INIT;
    struct store_changes changes;
    struct store_change change;

    assert_int_equal(store_changes_open(snapshot, str_from(prefix), after, until, &changes, NULL), code);
    while (code == 0 && (code = store_changes_next(&changes, &change, NULL)) > 0) {
        buf_printf(&got, "%c" STR_FMT " ", "+*-"[change.kind], STR_ARG(change.key));
        code = 0;
    }
    assert_str(buf_str(&got), want);
}

static void test_changes_of_all(void **state)
{
    struct past p;

    past_init(&p, "all");
    must_put(p.f.store, "/a/1", "x");
    must_put(p.f.store, "/b/1", "x");
    must_put(p.f.store, "/a/1", "y");
    must_delete(p.f.store, "/b/1", "x");
    must_put(p.f.store, "/a/2", "x");
    assert_changes(p.f.store, "", 0, 0, 0, "+/a/1 +/b/1 */a/1 -/b/1 +/a/2 ");
    assert_changes(p.f.store, "/a/", 0, 0, 0, "+/a/1 */a/1 +/a/2 ");
    assert_changes(p.f.store, "", 2, 4, 0, "*/a/1 -/b/1 ");
    assert_changes(p.f.store, "", 5, 0, 0, "");
    assert_changes(p.f.store, "", 6, 0, -ERR_INVALID, "");
    assert_int_equal(store_compact(p.f.store, 3, NULL), 0);
    assert_changes(p.f.store, "", 2, 0, -ERR_EXPIRED, "");
    assert_changes(p.f.store, "", 3, 0, 0, "-/b/1 +/a/2 ");
    fixture_deinit(&p.f);
}

static uint64_t history(struct store *store)
{
    struct store_stats stats;

    store_stats(store, &stats);
    return stats.history_bytes;
}

static void test_by_age(void **state)
{
    const struct store_retention day = { .age = 100 * NSEC_PER_SEC };
    struct past p;

    past_init(&p, "age");
    for (int i = 0; i < 50; i++) {
        must_put(p.f.store, "/a", "x");
        later(&p, 10);
    }
    assert_int_equal(store_retain(p.f.store, &day, NULL), 0); /* it is 500, so back to 400 */
    assert_int_equal(store_compacted(p.f.store), at_time(&p, 400) - 1);
    assert_value(p.f.store, at_time(&p, 400), "/a", "x");
    assert_int_equal(at_time(&p, 399), 0);
    uint64_t kept = history(p.f.store);
    assert_int_equal(store_retain(p.f.store, &day, NULL), 0); /* nothing more to do */
    assert_int_equal(history(p.f.store), kept);
    later(&p, 1000); /* what is current stays, however old */
    assert_int_equal(store_retain(p.f.store, &day, NULL), 0);
    assert_value(p.f.store, 0, "/a", "x");
    assert_int_equal(history(p.f.store), 0);
    fixture_deinit(&p.f);
}

static void test_by_size(void **state)
{
    const struct store_retention small = { .bytes = 64 << 10 };
    AUTO_FREE char *value = malloc(1000);
    struct past p;
    uint64_t before;

    memset(value, 'v', 1000);
    past_init(&p, "size");
    for (int i = 0; i < 1000; i++)
        must_one(p.f.store, STORE_PUT, i % 2 ? STR("/a") : STR("/b"), str_of(value, 1000));
    before = history(p.f.store);
    assert_in_range(before, 998 * 1000, 998 * 1200);
    for (int i = 0; i < 5; i++)
        assert_int_equal(store_retain(p.f.store, &small, NULL), 0);
    assert_in_range(history(p.f.store), 1, small.bytes);
    must_delete(p.f.store, "/a", "");
    must_delete(p.f.store, "/b", "");
    assert_int_equal(store_compact(p.f.store, store_revision(p.f.store), NULL), 0);
    assert_int_equal(history(p.f.store), 0); /* what came was taken back to the byte */
    fixture_reopen(&p.f);
    assert_int_equal(history(p.f.store), 0);
    fixture_deinit(&p.f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_times),          cmocka_unit_test(test_clock_set_back),
        cmocka_unit_test(test_changes_of_a_key), cmocka_unit_test(test_changes_of_all),
        cmocka_unit_test(test_by_age),         cmocka_unit_test(test_by_size),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
