/* A whole store has no damage; each kind of damage is found. */
#include "store/check.h"

#include <errno.h>

#include "base/buf.h"
#include "base/sync.h"
#include "store/store_private.h"
#include "store/term_index.h"
#include "store_fixture.h"

struct told {
    struct buf text;
    uint64_t last_progress;
};

static void tell(void *ctx, struct str message)
{
    struct told *told = ctx;

    buf_add_str(&told->text, message);
    buf_add_char(&told->text, '\n');
}

static void progress(void *ctx, uint64_t done, uint64_t total)
{
    struct told *told = ctx;

    assert_true(done > told->last_progress && done <= total);
    told->last_progress = done;
}

static uint64_t check(struct fixture *f, struct told *told, struct store_check_report *ret_report)
{
    const struct store_check_events events = { told, tell, progress };
    struct err err = { 0 };

    buf_clear(&told->text);
    told->last_progress = 0;
    if (store_check(f->path, &events, ret_report, &err) < 0)
        fail_msg("%s", err.message);
    return ret_report->problems;
}

static void fill(struct fixture *f, struct rng *rng, int steps)
{
    for (int i = 0; i < steps; i++) {
        char key[700], term[40];
        int len = snprintf(key, sizeof key, "/things/%02d", (int)rng_below(rng, 40));
        struct str terms[] = { { term, (size_t)snprintf(term, sizeof term, "node=%d", (int)rng_below(rng, 5)) } };
        struct store_op op = { .kind = rng_below(rng, 4) ? STORE_PUT : STORE_DELETE, .value = STR("{}"),
                               .splice = STORE_NO_SPLICE, .expect = STORE_ANY, .terms = terms };

        if (rng_below(rng, 8) == 0) { /* longer than LMDB's keys */
            memset(key + len, 'k', 600);
            len += 600;
        }
        op.key = str_of(key, (size_t)len);
        op.terms_count = op.kind == STORE_PUT && rng_below(rng, 2);
        assert_int_equal(store_commit(f->store, &op, 1, NULL, NULL, NULL), 0);
        if (i % 400 == 399)
            assert_int_equal(store_compact(f->store, store_revision(f->store) - rng_below(rng, 100), NULL), 0);
    }
}

static void test_whole(void **state)
{
    struct store_check_report report;
    struct told told = { BUF_INIT, 0 };
    struct seeded_rng rng;
    struct fixture f;

    for (uint64_t seed = 1; seed <= 5; seed++) {
        seeded_rng_init(&rng, seed);
        fixture_init(&f, "whole");
        fill(&f, &rng.rng, 2000);
        /* While it is open, and after it was closed. */
        if (check(&f, &told, &report))
            fail_msg("seed %llu: " STR_FMT, (unsigned long long)seed, STR_ARG(buf_str(&told.text)));
        assert_int_equal(report.revision, store_revision(f.store));
        assert_true(report.keys > 10 && report.records > report.keys && report.terms > 0);
        f.store = store_close(f.store);
        assert_int_equal(check(&f, &told, &report), 0);
        fixture_deinit(&f);
    }
    buf_deinit(&told.text);
}

/* -- damage, done to the trees behind the store's back -- */

static position_t find(struct engine *engine, MDB_txn *txn, const char *key)
{
    struct index_entry entry;

    assert_int_equal(index_get(&engine->keys, txn, str_from(key), &entry), 0);
    return entry.position;
}

static int flip_a_byte(struct engine *engine, MDB_txn *txn)
{
    position_t position = find(engine, txn, "/a");
    MDB_val name = { sizeof position, &position }, value = { 0, NULL };
    char copy[512];
    int rc = mdb_get(txn, engine->log, &name, &value);

    if (rc || value.mv_size > sizeof copy)
        return rc ? rc : ENOMEM;
    memcpy(copy, value.mv_data, value.mv_size);
    copy[value.mv_size - 1] ^= 1;
    value.mv_data = copy;
    return mdb_put(txn, engine->log, &name, &value, 0);
}

static int lose_a_record(struct engine *engine, MDB_txn *txn)
{
    return log_delete(engine, txn, find(engine, txn, "/a"));
}

static int lose_an_older_record(struct engine *engine, MDB_txn *txn)
{
    struct record record;
    int rc = log_read(engine, txn, find(engine, txn, "/a"), &record);

    return rc ? rc : log_delete(engine, txn, record.previous);
}

static int lose_an_entry(struct engine *engine, MDB_txn *txn)
{
    return index_delete(&engine->keys, txn, STR("/a"));
}

static int point_elsewhere(struct engine *engine, MDB_txn *txn)
{
    struct index_entry entry;
    int rc = index_get(&engine->keys, txn, STR("/b"), &entry);

    return rc ? rc : index_put(&engine->keys, txn, STR("/a"), &entry);
}

static int lose_a_term(struct engine *engine, MDB_txn *txn)
{
    char bytes[TERM_KEY_MAX];

    return index_delete(&engine->terms, txn, term_key(bytes, STR("t"), STR("/a")));
}

static int invent_a_term(struct engine *engine, MDB_txn *txn)
{
    char bytes[TERM_KEY_MAX];
    struct index_entry entry = { .position = position_of(1, 0) };

    return index_put(&engine->terms, txn, term_key(bytes, STR("u"), STR("/a")), &entry);
}

static int miscount(struct engine *engine, MDB_txn *txn)
{
    struct meta meta;
    int rc = engine_meta_get(engine, txn, &meta);

    meta.live_keys++;
    return rc ? rc : engine_meta_put(engine, txn, &meta);
}

static int turn_back(struct engine *engine, MDB_txn *txn)
{
    struct meta meta;
    int rc = engine_meta_get(engine, txn, &meta);

    meta.revision--;
    return rc ? rc : engine_meta_put(engine, txn, &meta);
}

static const struct {
    int (*damage)(struct engine *engine, MDB_txn *txn);
    const char *told;
} damages[] = {
    { flip_a_byte, "revision 3.0: the record is damaged: its checksum is wrong" },
    { lose_a_record, "/a: the index leads to no record of it" },
    { lose_an_older_record, "revision 3.0: the state before of /a is missing" },
    { lose_an_entry, "revision 3.0: /a is not in the index" },
    { point_elsewhere, "/a: the index leads to no record of it" },
    { lose_a_term, "/a: not found by t" },
    { invent_a_term, "/a: found by u, which it has not" },
    { miscount, "the store believes to have 3 keys, and has 2" },
    { turn_back, "revision 3.0: later than the newest revision 2" },
};

static void test_damage(void **state)
{
    struct store_check_report report;
    struct told told = { BUF_INIT, 0 };

    for (size_t i = 0; i < ARRAY_LEN(damages); i++) {
        struct str term = STR("t");
        struct store_op op = { .kind = STORE_PUT, .key = STR("/a"), .value = STR("2"), .splice = STORE_NO_SPLICE,
                               .expect = STORE_ANY, .terms = &term, .terms_count = 1 };
        struct engine *engine;
        struct fixture f;
        MDB_txn *txn;

        fixture_init(&f, "damage");
        must_put(f.store, "/a", "1");
        must_put(f.store, "/b", "1");
        assert_int_equal(store_commit(f.store, &op, 1, NULL, NULL, NULL), 0);
        f.store = store_close(f.store);
        assert_int_equal(engine_open(f.path, f.options.map_size, &engine, NULL), 0);
        assert_int_equal(mdb_txn_begin(engine->env, NULL, 0, &txn), 0);
        assert_int_equal(damages[i].damage(engine, txn), 0);
        assert_int_equal(mdb_txn_commit(txn), 0);
        engine_close(engine);
        assert_true(check(&f, &told, &report) > 0);
        if (str_find(buf_str(&told.text), str_from(damages[i].told)) < 0)
            fail_msg("not told: %s\ntold: " STR_FMT, damages[i].told, STR_ARG(buf_str(&told.text)));
        assert_int_equal(file_remove_tree(f.path, NULL), 0);
    }
    buf_deinit(&told.text);
}

static void test_no_store(void **state)
{
    const struct store_check_events events = { NULL, tell, NULL };
    struct store_check_report report;
    struct err err = { 0 };

    assert_int_equal(store_check("/nonexistent/store", &events, &report, &err), -ERR_NOT_FOUND);
    assert_non_null(strstr(err.message, "/nonexistent/store"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_whole),
        cmocka_unit_test(test_damage),
        cmocka_unit_test(test_no_store),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
