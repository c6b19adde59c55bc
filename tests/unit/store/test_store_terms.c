/* Index terms: who is woken, lists through them, stores of another format and of other terms. test_store_history.c
 * holds them against a model. */
#include "store/store_private.h"
#include "store/term.h"
#include "store_fixture.h"

#define NODES 500

static revision_t put_on(struct store *store, const char *key, const char *term)
{
    struct str terms[] = { str_from(term) };
    struct store_op op = { .kind = STORE_PUT,
                           .key = str_from(key),
                           .value = STR("v"),
                           .splice = STORE_NO_SPLICE,
                           .expect = STORE_ANY,
                           .terms = terms,
                           .terms_count = 1 };
    struct store_result result = { 0 };

    assert_int_equal(store_commit(store, &op, 1, NULL, &result, NULL), 0);
    return result.revision;
}

/* "/a /b " */
static void assert_keys(struct store *store, const char *term, revision_t revision, const char *want)
{
    AUTO(store_snapshot) snapshot = must_snapshot(store, revision);
    AUTO(store_cursor) cursor = NULL;
    AUTO_DEINIT(buf, got) = BUF_INIT;
    struct store_item item;

    assert_int_equal(store_cursor_open_term(snapshot, str_from(term), STR("/"), STR_NULL, &cursor, NULL), 0);
    while (store_cursor_next(cursor, &item, NULL) > 0)
        buf_printf(&got, STR_FMT " ", STR_ARG(item.key));
    assert_str(buf_str(&got), want);
}

static void count_ready(void *arg)
{
    ++*(int *)arg;
}

static int sum(const int *counts, int n)
{
    int total = 0;

    for (int i = 0; i < n; i++)
        total += counts[i];
    return total;
}

static void drain(struct store_watch *watch, int want)
{
    struct store_event *event;
    int code;

    while ((code = store_watch_next(watch, &event, NULL)) > 0) {
        store_event_unref(event);
        want--;
    }
    assert_int_equal(code, 0);
    assert_int_equal(want, 0);
}

/* A change wakes the watches of the term before and of the term now, and no other. */
static void test_wakes_its_own(void **state)
{
    static struct store_watch *watches[NODES];
    static int ready[NODES], full;
    struct store_watch *all;
    struct fixture f;
    char term[32];

    fixture_init(&f, "own");
    f.options.synchronous = true;
    fixture_reopen(&f);
    assert_int_equal(store_watch_open(f.store, STR("/pods/"), 0, count_ready, &full, &all, NULL), 0);
    for (int i = 0; i < NODES; i++) {
        snprintf(term, sizeof term, "node=%d", i);
        struct store_scope scope = { .prefix = STR("/pods/"), .term = str_from(term) };
        assert_int_equal(store_watch_open_scope(f.store, &scope, 0, count_ready, &ready[i], &watches[i], NULL), 0);
    }
    put_on(f.store, "/pods/a", "node=7");
    assert_int_equal(sum(ready, NODES), 1);
    assert_int_equal(ready[7], 1);
    drain(watches[7], 1);
    put_on(f.store, "/pods/a", "node=8");
    assert_int_equal(sum(ready, NODES), 3);
    assert_int_equal(ready[7], 2);
    assert_int_equal(ready[8], 1);
    drain(watches[7], 1);
    drain(watches[8], 1);
    must_delete(f.store, "/pods/a", "v");
    assert_int_equal(ready[8], 2);
    drain(watches[8], 1);
    put_on(f.store, "/services/a", "node=9");
    must_put(f.store, "/pods/b", "no term");
    assert_int_equal(sum(ready, NODES), 4);
    drain(all, 4);
    for (int i = 0; i < NODES; i++)
        watches[i] = store_watch_close(watches[i]);
    store_watch_close(all);
    fixture_deinit(&f);
}

static void test_exact_watch(void **state)
{
    struct store_scope scope = { .prefix = STR("/nodes/n1"), .exact = true };
    struct store_watch *watch;
    struct fixture f;
    int ready = 0;

    fixture_init(&f, "exact");
    f.options.synchronous = true;
    fixture_reopen(&f);
    assert_int_equal(store_watch_open_scope(f.store, &scope, 0, count_ready, &ready, &watch, NULL), 0);
    must_put(f.store, "/nodes/n10", "v");
    must_put(f.store, "/nodes/n", "v");
    assert_int_equal(ready, 0);
    must_put(f.store, "/nodes/n1", "v");
    assert_int_equal(ready, 1);
    drain(watch, 1);
    store_watch_close(watch);
    fixture_deinit(&f);
}

/* Looking through much that is another's on disk is done in steps. */
static void test_steps(void **state)
{
    struct store_scope scope = { .prefix = STR("/"), .term = STR("node=mine") };
    struct store_event *event = NULL;
    struct store_watch *watch;
    struct fixture f;
    int ready = 0, steps = 0, code;

    fixture_init(&f, "steps");
    for (int i = 0; i < 10; i++) {
        static struct store_op ops[1000];
        static char keys[1000][32];

        for (size_t k = 0; k < ARRAY_LEN(ops); k++) {
            snprintf(keys[k], sizeof keys[k], "/k%zu", k);
            ops[k] = (struct store_op){ STORE_PUT, str_from(keys[k]), STR("v"), STORE_NO_SPLICE, STORE_ANY };
        }
        assert_int_equal(store_commit(f.store, ops, ARRAY_LEN(ops), NULL, NULL, NULL), 0);
    }
    put_on(f.store, "/m", "node=mine");
    for (int round = 0; round < 2; round++) { /* from the window, then from disk */
        steps = 0;
        assert_int_equal(store_watch_open_scope(f.store, &scope, 0, count_ready, &ready, &watch, NULL), 0);
        while ((code = store_watch_step(watch, &event, NULL)) == STORE_WATCH_MORE)
            steps++;
        assert_int_equal(code, 1);
        assert_str(event->key, "/m");
        store_event_unref(event);
        assert_in_range(steps, 9, 11);
        while ((code = store_watch_step(watch, &event, NULL)) == STORE_WATCH_MORE)
            ;
        assert_int_equal(code, 0);
        store_watch_close(watch);
        fixture_reopen(&f);
    }
    fixture_deinit(&f);
}

static void test_impossible_terms(void **state)
{
    static char long_term[STORE_TERM_MAX + 2];
    struct str many[STORE_TERMS_MAX + 1], terms[] = { STR(""), STR("a\0b"), str_from(long_term) };
    struct store_op op = { STORE_PUT, STR("/a"), STR("v"), STORE_NO_SPLICE, STORE_ANY, .terms_count = 1 };
    struct store_watch *watch = NULL;
    struct fixture f;
    struct err err = { 0 };

    memset(long_term, 'x', STORE_TERM_MAX + 1);
    terms[2] = str_from(long_term);
    fixture_init(&f, "impossible");
    for (size_t i = 0; i < ARRAY_LEN(terms); i++) {
        struct store_scope scope = { .term = terms[i] };

        op.terms = &terms[i];
        assert_int_equal(store_commit(f.store, &op, 1, NULL, NULL, &err), -ERR_INVALID);
        if (terms[i].len)
            assert_int_equal(store_watch_open_scope(f.store, &scope, 0, count_ready, NULL, &watch, &err), -ERR_INVALID);
    }
    for (size_t i = 0; i < ARRAY_LEN(many); i++)
        many[i] = STR("same");
    op.terms = many;
    op.terms_count = ARRAY_LEN(many);
    assert_int_equal(store_commit(f.store, &op, 1, NULL, NULL, &err), -ERR_INVALID);
    op.terms_count--;
    assert_int_equal(store_commit(f.store, &op, 1, NULL, NULL, &err), 0);
    assert_keys(f.store, "same", 0, "/a ");
    fixture_deinit(&f);
}

/* -- other formats -- */

static size_t first_letter(void *arg, struct str key, struct str value, struct str ret_terms[STORE_TERMS_MAX])
{
    ++*(int *)arg;
    ret_terms[0] = str_first(value, 1);
    return value.len > 0;
}

static void set_format(struct fixture *f, uint32_t version)
{
    MDB_val key = { 6, (void *)"format" }, value;
    MDB_env *env;
    MDB_txn *txn;
    MDB_dbi dbi;
    char copy[64];

    assert_int_equal(mdb_env_create(&env), 0);
    assert_int_equal(mdb_env_set_maxdbs(env, 8), 0);
    assert_int_equal(mdb_env_open(env, f->path, 0, 0600), 0);
    assert_int_equal(mdb_txn_begin(env, NULL, 0, &txn), 0);
    assert_int_equal(mdb_dbi_open(txn, NULL, 0, &dbi), 0);
    assert_int_equal(mdb_get(txn, dbi, &key, &value), 0);
    memcpy(copy, value.mv_data, value.mv_size);
    memcpy(copy + value.mv_size - sizeof version, &version, sizeof version);
    value.mv_data = copy;
    assert_int_equal(mdb_put(txn, dbi, &key, &value, 0), 0);
    assert_int_equal(mdb_txn_commit(txn), 0);
    mdb_env_close(env);
}

/* A store without terms, as the first format was: it is taken over, and its history can be found by term. */
static void test_older_format(void **state)
{
    struct fixture f;
    struct err err = { 0 };
    int calls = 0, before;

    fixture_init(&f, "older");
    must_put(f.store, "/a", "x1");
    must_put(f.store, "/b", "y1");
    must_put(f.store, "/a", "y2");
    must_delete(f.store, "/b", "y2");
    assert_int_equal(store_compact(f.store, 1, NULL), 0);
    f.store = store_close(f.store);
    set_format(&f, 1);
    fixture_reopen(&f);
    assert_int_equal(store_reindex(f.store, 1, first_letter, &calls, NULL), 0);
    assert_int_equal(calls, 3);
    for (int round = 0; round < 2; round++) {
        assert_keys(f.store, "x", 1, "/a ");
        assert_keys(f.store, "x", 0, "");
        assert_keys(f.store, "y", 2, "/b ");
        assert_keys(f.store, "y", 3, "/a /b ");
        assert_keys(f.store, "y", 4, "/a ");
        assert_value(f.store, 2, "/a", "x1");
        fixture_reopen(&f);
        before = calls;
        assert_int_equal(store_reindex(f.store, 1, first_letter, &calls, NULL), 0);
        assert_int_equal(calls, before);
    }
    f.store = store_close(f.store);
    set_format(&f, 3);
    assert_int_equal(store_open(&f.options, &f.store, &err), -ERR_NOT_SUPPORTED);
    fixture_deinit(&f);
}

/* More than one step's worth. */
static void test_reindex_much(void **state)
{
    struct fixture f;
    int calls = 0;

    fixture_init(&f, "much");
    f.options.synchronous = true;
    fixture_reopen(&f);
    for (int i = 0; i < 3; i++) {
        static struct store_op ops[STORE_OPS_MAX];
        static char keys[STORE_OPS_MAX][32];

        for (size_t k = 0; k < ARRAY_LEN(ops); k++) {
            snprintf(keys[k], sizeof keys[k], "/k%04zu", k);
            ops[k] = (struct store_op){ STORE_PUT, str_from(keys[k]), i == 2 && k % 500 ? STR("old") : STR("new"),
                                        STORE_NO_SPLICE, STORE_ANY };
        }
        assert_int_equal(store_commit(f.store, ops, ARRAY_LEN(ops), NULL, NULL, NULL), 0);
    }
    assert_int_equal(store_reindex(f.store, 1, first_letter, &calls, NULL), 0);
    assert_int_equal(calls, 3 * STORE_OPS_MAX);
    assert_keys(f.store, "n", 0, "/k0000 /k0500 /k1000 ");
    fixture_deinit(&f);
}

static void test_encoding(void **state)
{
    struct str terms[] = { STR("a"), STR("bb"), STR("a") }, rest, term;
    char out[TERMS_BYTES_MAX];
    size_t len = terms_encode(terms, ARRAY_LEN(terms), out);

    assert_int_equal(len, 2 + 1 + 2 + 2);
    rest = str_of(out, len);
    assert_true(terms_next(&rest, &term));
    assert_str(term, "a");
    assert_true(terms_next(&rest, &term));
    assert_str(term, "bb");
    assert_false(terms_next(&rest, &term));
    for (size_t cut = 0; cut < len; cut++) { /* damaged: whatever is said, within bounds */
        char *exact = malloc(cut ? cut : 1);

        memcpy(exact, out, cut);
        rest = str_of(exact, cut);
        while (terms_next(&rest, &term))
            assert_true(term.data + term.len <= exact + cut);
        free(exact);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_wakes_its_own), cmocka_unit_test(test_exact_watch),
        cmocka_unit_test(test_steps),         cmocka_unit_test(test_impossible_terms),
        cmocka_unit_test(test_older_format),  cmocka_unit_test(test_reindex_much),
        cmocka_unit_test(test_encoding),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
