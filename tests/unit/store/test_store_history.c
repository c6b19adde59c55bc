/* Random histories against a plain model: a list of everything that happened. After every few steps the store is asked
 * what it shows, at random revisions and through watches opened at random revisions, and must say what the model says.
 */
#include "base/sync.h"
#include "base/vec.h"
#include "store/store_private.h"
#include "store_fixture.h"

#define KEYS 48
#define STEPS 2500
#define BATCH_MAX 8
#define OPS_MAX 5
#define WATCHES 10
#define TERMS 6

struct change {
    revision_t revision, previous, created; /* previous: the live state replaced, 0: none */
    int key;
    bool deleted;
    unsigned terms, terms_before; /* bits: of this state; of the live state replaced */
    char value[40];
};

struct model_watch {
    struct store_watch *watch;
    struct store_scope scope;
    int term;    /* -1: none */
    size_t next; /* in changes */
    atomic_int ready;
    bool none;
};

struct model {
    struct fixture f;
    struct seeded_rng rng;
    VEC(struct change) changes;
    revision_t revision, floor;
    struct str keys[KEYS];
    char key_bytes[KEYS][STORE_KEY_MAX];
    struct str terms[TERMS];
    char term_bytes[TERMS][STORE_TERM_MAX];
    struct model_watch watches[WATCHES];
    uint64_t values;
};

static uint64_t below(struct model *m, uint64_t bound)
{
    return rng_below(&m->rng.rng, bound);
}

/* -- the model -- */

static void name_keys(struct model *m)
{
    for (int i = 0; i < KEYS; i++) {
        char *out = m->key_bytes[i];
        int len = snprintf(out, STORE_KEY_MAX, "/registry/%s/ns%d/name-%02d", i % 3 ? "pods" : "configmaps", i % 4, i);

        if (i % 11 == 0) { /* some beyond LMDB's keys, with much in common */
            memset(out + len, 'x', 900 - (size_t)len);
            len = 900 + i % 7;
            memset(out + 900, 'a' + i % 5, (size_t)len - 900);
            memcpy(out, "/registry/pods/ns1/long", 23);
            snprintf(out + 880, 12, "%02d", i);
        }
        m->keys[i] = str_of(out, (size_t)len);
    }
}

static void name_terms(struct model *m)
{
    for (int i = 0; i < TERMS; i++) {
        int len = snprintf(m->term_bytes[i], STORE_TERM_MAX, "spec.nodeName=node-%d", i);

        if (i == TERMS - 1) { /* the longest there may be: with a key far beyond LMDB's */
            memset(m->term_bytes[i] + len, 'y', (size_t)(STORE_TERM_MAX - len));
            len = STORE_TERM_MAX;
        }
        m->terms[i] = str_of(m->term_bytes[i], (size_t)len);
    }
}

static const struct change *state_at(const struct model *m, int key, revision_t revision)
{
    for (size_t i = m->changes.count; i > 0; i--) {
        const struct change *change = &m->changes.items[i - 1];

        if (change->key == key && change->revision <= revision)
            return change->deleted ? NULL : change;
    }
    return NULL;
}

/* -- writing -- */

struct batch_txn {
    struct store_txn txn;
    struct store_op ops[OPS_MAX];
    int keys[OPS_MAX];
    char values[OPS_MAX][40];
    struct str terms[OPS_MAX][TERMS];
    unsigned bits[OPS_MAX];
    struct blob *blobs[OPS_MAX];
    int want, code;
    size_t want_failed;
};

struct batch {
    struct mutex lock;
    struct cond over;
    size_t left;
    struct batch_txn txns[BATCH_MAX];
};

static void batch_done(struct store_txn *txn, int code)
{
    struct batch *batch = txn->arg;

    LOCKED(&batch->lock);
    container_of(txn, struct batch_txn, txn)->code = code;
    if (--batch->left == 0)
        cond_signal(&batch->over);
}

static void make_op(struct model *m, struct batch_txn *t, size_t i)
{
    struct store_op *op = &t->ops[i];
    const struct change *now;
    bool taken;

    do {
        taken = false;
        t->keys[i] = (int)below(m, KEYS);
        for (size_t j = 0; j < i; j++)
            taken |= t->keys[j] == t->keys[i];
    } while (taken);
    now = state_at(m, t->keys[i], m->revision);
    snprintf(t->values[i], sizeof t->values[i], "value-%llu:", (unsigned long long)++m->values);
    *op = (struct store_op){
        .kind = below(m, 10) < 6 ? STORE_PUT
                : below(m, 3)    ? STORE_DELETE
                                 : STORE_CHECK,
        .key = m->keys[t->keys[i]],
        .value = str_from(t->values[i]),
        .splice = below(m, 2) ? (uint32_t)str_from(t->values[i]).len : STORE_NO_SPLICE,
        .expect = below(m, 2) ? STORE_ANY
                  : now       ? now->revision
                              : STORE_ABSENT,
    };
    if (below(m, 12) == 0)
        op->expect = below(m, m->revision + 3);
    t->bits[i] = op->kind != STORE_PUT ? 0 : now && below(m, 3) ? now->terms : (unsigned)below(m, 1u << TERMS);
    op->terms = t->terms[i];
    for (int bit = 0; bit < TERMS; bit++)
        if (t->bits[i] & 1u << bit)
            t->terms[i][op->terms_count++] = m->terms[bit];
}

/* What the model says will come of it; and if it goes through, that it has. */
static void predict(struct model *m, struct batch_txn *t)
{
    for (size_t i = 0; i < t->txn.ops_count; i++) {
        const struct change *now = state_at(m, t->keys[i], m->revision);

        if (t->ops[i].expect == STORE_ANY || t->ops[i].expect == (now ? now->revision : 0))
            continue;
        t->want = -ERR_CONFLICT;
        t->want_failed = i;
        return;
    }
    t->want = 0;
    m->revision++;
    for (size_t i = 0; i < t->txn.ops_count; i++) {
        const struct store_op *op = &t->ops[i];
        const struct change *now = state_at(m, t->keys[i], m->revision);
        struct change change = { m->revision,         now ? now->revision : 0,  now ? now->created : m->revision,
                                 t->keys[i],          op->kind == STORE_DELETE, t->bits[i],
                                 now ? now->terms : 0 };

        if (op->kind == STORE_CHECK || (op->kind == STORE_DELETE && !now))
            continue;
        if (op->splice == STORE_NO_SPLICE)
            snprintf(change.value, sizeof change.value, "%s", t->values[i]);
        else
            snprintf(change.value, sizeof change.value, "%s%llu", t->values[i], (unsigned long long)m->revision);
        assert_int_equal(vec_push(&m->changes, change), 0);
    }
}

static void check_txn_result(struct model *m, struct batch_txn *t, revision_t *revision)
{
    assert_int_equal(t->code, t->want);
    if (t->code < 0) {
        assert_int_equal(t->txn.result.failed_op, t->want_failed);
        return;
    }
    assert_int_equal(t->txn.result.revision, ++*revision);
    for (size_t i = 0; i < t->txn.ops_count; i++) {
        const struct change *found = NULL;

        for (size_t c = m->changes.count; c > 0 && m->changes.items[c - 1].revision >= *revision && !found; c--)
            if (m->changes.items[c - 1].revision == *revision && m->changes.items[c - 1].key == t->keys[i])
                found = &m->changes.items[c - 1];
        assert_int_equal(found != NULL, t->blobs[i] != NULL);
        if (found)
            assert_str(blob_str(t->blobs[i]), found->value);
        blob_unref(t->blobs[i]);
    }
}

/* Several transactions at once, without waiting in between. */
static void step_write(struct model *m)
{
    struct batch batch = { .left = 1 + below(m, BATCH_MAX) };
    size_t count = batch.left;
    revision_t revision = m->revision;

    mutex_init(&batch.lock);
    cond_init(&batch.over);
    for (size_t i = 0; i < count; i++) {
        struct batch_txn *t = &batch.txns[i];

        t->txn = (struct store_txn){ .ops = t->ops, .done = batch_done, .arg = &batch };
        t->txn.ops_count = 1 + below(m, OPS_MAX);
        t->txn.cause = (struct store_cause){ STR("actor"), STR("rule"), m->revision };
        t->txn.result.values = t->blobs;
        for (size_t op = 0; op < t->txn.ops_count; op++)
            make_op(m, t, op);
        predict(m, t);
    }
    for (size_t i = 0; i < count; i++)
        store_commit_async(m->f.store, &batch.txns[i].txn);
    mutex_lock(&batch.lock);
    while (batch.left > 0)
        cond_wait(&batch.over, &batch.lock);
    mutex_unlock(&batch.lock);
    for (size_t i = 0; i < count; i++)
        check_txn_result(m, &batch.txns[i], &revision);
    assert_int_equal(store_revision(m->f.store), m->revision);
    cond_deinit(&batch.over);
    mutex_deinit(&batch.lock);
}

/* -- reading -- */

static void check_item(const struct model *m, const struct store_item *item, int key, const struct change *want)
{
    assert_true(str_eq(item->key, m->keys[key]));
    assert_str(item->value, want->value);
    assert_int_equal(item->revision, want->revision);
    assert_int_equal(item->created, want->created);
}

/* term -1: any. */
static int key_at_or_behind(const struct model *m, struct str start, int term, revision_t revision)
{
    int best = -1;

    for (int i = 0; i < KEYS; i++)
        if (str_cmp(m->keys[i], start) >= 0 && state_at(m, i, revision) &&
            (term < 0 || state_at(m, i, revision)->terms & 1u << term) &&
            (best < 0 || str_cmp(m->keys[i], m->keys[best]) < 0))
            best = i;
    return best;
}

static struct str random_prefix(struct model *m)
{
    struct str key = m->keys[below(m, KEYS)];

    return str_first(key, below(m, key.len + 1));
}

static void step_read(struct model *m)
{
    revision_t revision = m->floor + below(m, m->revision - m->floor + 1);
    AUTO(store_snapshot) snapshot = must_snapshot(m->f.store, revision);
    AUTO(store_cursor) cursor = NULL;
    struct str prefix = random_prefix(m), start = below(m, 2) ? m->keys[below(m, KEYS)] : STR_NULL;
    int term = below(m, 2) ? (int)below(m, TERMS) : -1;
    struct store_item item;
    uint64_t count = 0, got_count;
    int code;

    if (revision == 0)
        revision = m->revision;
    assert_int_equal(store_snapshot_revision(snapshot), revision);
    for (int i = 0; i < KEYS; i++) {
        const struct change *want = state_at(m, i, revision);

        count += want && str_has_prefix(m->keys[i], prefix);
        code = store_get(snapshot, m->keys[i], &item, NULL);
        assert_int_equal(code, want ? 0 : -ERR_NOT_FOUND);
        if (want)
            check_item(m, &item, i, want);
    }
    assert_int_equal(store_count(snapshot, prefix, &got_count, NULL), 0);
    assert_int_equal(got_count, count);
    if (term < 0)
        assert_int_equal(store_cursor_open(snapshot, prefix, start, &cursor, NULL), 0);
    else
        assert_int_equal(store_cursor_open_term(snapshot, m->terms[term], prefix, start, &cursor, NULL), 0);
    if (str_cmp(start, prefix) < 0)
        start = prefix;
    char next[STORE_KEY_MAX + 1];
    for (;;) {
        int key = key_at_or_behind(m, start, term, revision);

        if (key >= 0 && !str_has_prefix(m->keys[key], prefix))
            key = -1;
        assert_int_equal(store_cursor_next(cursor, &item, NULL), key >= 0);
        if (key < 0)
            break;
        check_item(m, &item, key, state_at(m, key, revision));
        memcpy(next, m->keys[key].data, m->keys[key].len);
        next[m->keys[key].len] = 0;
        start = str_of(next, m->keys[key].len + 1);
    }
}

/* -- watching -- */

static void set_ready(void *arg)
{
    atomic_fetch_add(&((struct model_watch *)arg)->ready, 1);
}

static void check_event(const struct model *m, const struct store_event *event, const struct change *want)
{
    assert_int_equal(event->revision, want->revision);
    assert_true(str_eq(event->key, m->keys[want->key]));
    assert_str(blob_str(event->value), want->value);
    assert_int_equal(event->kind, want->deleted ? STORE_DELETED : want->previous ? STORE_MODIFIED : STORE_CREATED);
    assert_int_equal(event->previous_revision, want->previous);
    assert_str(event->actor, "actor");
    assert_str(event->rule, "rule");
    assert_true(event->trigger < want->revision);
    assert_int_equal(event->terms_count, __builtin_popcount(want->terms | want->terms_before));
    for (int i = 0; i < TERMS; i++) {
        size_t found = 0;

        for (size_t j = 0; j < event->terms_count; j++)
            found += str_eq(event->terms[j], m->terms[i]);
        assert_int_equal(found, ((want->terms | want->terms_before) >> i) & 1);
    }
    if (!want->previous) {
        assert_null(event->previous);
        return;
    }
    for (size_t i = 0; i < m->changes.count; i++)
        if (m->changes.items[i].revision == want->previous && m->changes.items[i].key == want->key)
            assert_str(blob_str(event->previous), m->changes.items[i].value);
}

static const struct change *next_wanted(struct model *m, struct model_watch *w)
{
    for (; w->next < m->changes.count; w->next++) {
        const struct change *change = &m->changes.items[w->next];
        struct str key = m->keys[change->key];

        if ((w->scope.exact ? str_eq(key, w->scope.prefix) : str_has_prefix(key, w->scope.prefix)) &&
            (w->term < 0 || (change->terms | change->terms_before) & 1u << w->term))
            return change;
    }
    return NULL;
}

static void step_watch(struct model *m)
{
    struct model_watch *w = &m->watches[below(m, WATCHES)];
    uint64_t limit = below(m, 3) ? UINT64_MAX : below(m, 20); /* sometimes not to the end */

    if (!w->watch) {
        revision_t after = m->floor + below(m, m->revision - m->floor + 1);

        w->scope = (struct store_scope){ .prefix = random_prefix(m) };
        w->term = below(m, 2) ? (int)below(m, TERMS) : -1;
        if (below(m, 4) == 0)
            w->scope = (struct store_scope){ .prefix = m->keys[below(m, KEYS)], .exact = true };
        if (w->term >= 0)
            w->scope.term = m->terms[w->term];
        w->none = false;
        for (w->next = 0; w->next < m->changes.count && m->changes.items[w->next].revision <= after;)
            w->next++;
        assert_int_equal(store_watch_open_scope(m->f.store, &w->scope, after, set_ready, w, &w->watch, NULL), 0);
    }
    if (w->none) {
        assert_int_equal(atomic_load(&w->ready), next_wanted(m, w) != NULL);
        w->none = !next_wanted(m, w);
    }
    atomic_store(&w->ready, 0);
    for (; limit > 0; limit--) {
        AUTO(store_event) event = NULL;
        struct err err = { 0 };
        const struct change *want = next_wanted(m, w);
        int code = store_watch_next(w->watch, &event, &err);

        if (code == -ERR_EXPIRED) { /* only what the floor has passed */
            assert_non_null(want);
            assert_true(want->revision <= m->floor);
            assert_int_equal(store_watch_next(w->watch, &event, &err), -ERR_EXPIRED);
            w->watch = store_watch_close(w->watch);
            return;
        }
        assert_int_equal(code, want != NULL);
        w->none = !want;
        if (!want) {
            assert_int_equal(store_watch_progress(w->watch), m->revision);
            break;
        }
        check_event(m, event, want);
        w->next++;
    }
    if (below(m, 8) == 0)
        w->watch = store_watch_close(w->watch);
}

static void close_watches(struct model *m)
{
    for (int i = 0; i < WATCHES; i++)
        m->watches[i].watch = store_watch_close(m->watches[i].watch);
}

/* -- upkeep -- */

static void step_compact(struct model *m)
{
    struct store_snapshot *snapshot;
    struct store_watch *watch;

    if (m->revision == 0)
        return;
    revision_t floor = m->floor + below(m, m->revision - m->floor + 1);
    if (floor == 0)
        return;
    assert_int_equal(store_compact(m->f.store, floor, NULL), 0);
    m->floor = floor;
    assert_int_equal(store_compacted(m->f.store), floor - 1);
    if (floor > 1) {
        assert_int_equal(store_snapshot_open(m->f.store, floor - 1, &snapshot, NULL), -ERR_EXPIRED);
        assert_int_equal(store_watch_open(m->f.store, STR_NULL, floor - 1, set_ready, NULL, &watch, NULL),
                         -ERR_EXPIRED);
    }
}

/* Exactly what is still needed is still there. */
static void check_log_size(struct model *m)
{
    struct store_stats stats;
    uint64_t records = 0, live = 0;

    for (size_t i = 0; i < m->changes.count; i++)
        if (m->changes.items[i].revision > m->floor ||
            state_at(m, m->changes.items[i].key, m->floor) == &m->changes.items[i])
            records++;
    for (int i = 0; i < KEYS; i++)
        live += state_at(m, i, m->revision) != NULL;
    store_stats(m->f.store, &stats);
    assert_int_equal(stats.log_records, records);
    assert_int_equal(stats.keys, live);
}

/* The index of terms has an entry for a key that has the term, or lost it behind the floor; and no other. */
static void check_term_index(struct model *m)
{
    AUTO(store_snapshot) snapshot = must_snapshot(m->f.store, 0);
    struct index_cursor cursor;
    struct index_entry entry;
    struct str key;
    size_t want = 0, got = 0;

    for (int k = 0; k < KEYS; k++) {
        const struct change *now = state_at(m, k, m->revision);
        unsigned bits = now ? now->terms : 0;

        for (size_t i = 0; i < m->changes.count; i++)
            if (m->changes.items[i].key == k && m->changes.items[i].revision > m->floor)
                bits |= m->changes.items[i].terms_before & ~m->changes.items[i].terms;
        want += (size_t)__builtin_popcount(bits);
    }
    assert_int_equal(index_cursor_init(&cursor, &m->f.store->engine->terms, snapshot->txn), 0);
    int rc = index_cursor_seek(&cursor, STR_NULL, &key, &entry);
    for (; rc == 0; rc = index_cursor_next(&cursor, &key, &entry))
        got++;
    assert_int_equal(rc, MDB_NOTFOUND);
    index_cursor_deinit(&cursor);
    assert_int_equal(got, want);
}

/* The terms are in the values' place of the model: a store that is told so anew has the same index. */
static size_t terms_of(void *arg, struct str key, struct str value, struct str ret_terms[STORE_TERMS_MAX])
{
    struct model *m = arg;
    size_t count = 0;

    for (size_t i = 0; i < m->changes.count; i++) {
        if (m->changes.items[i].deleted || !str_is(value, m->changes.items[i].value))
            continue;
        for (int bit = 0; bit < TERMS; bit++)
            if (m->changes.items[i].terms & 1u << bit)
                ret_terms[count++] = m->terms[bit];
    }
    return count;
}

static size_t no_terms(void *arg, struct str key, struct str value, struct str ret_terms[STORE_TERMS_MAX])
{
    return 0;
}

static void reindex(struct model *m, uint32_t *version)
{
    assert_int_equal(store_reindex(m->f.store, ++*version, no_terms, m, NULL), 0);
    fixture_reopen(&m->f);
    assert_int_equal(store_reindex(m->f.store, ++*version, terms_of, m, NULL), 0);
    assert_int_equal(store_reindex(m->f.store, *version, no_terms, m, NULL), 0); /* done before */
}

static void run(uint64_t seed, bool synchronous, size_t window)
{
    struct model *m = calloc(1, sizeof *m);
    uint32_t version = 0;

    print_message("seed %llu, %s, window %zu\n", (unsigned long long)seed,
                  synchronous ? "synchronous" : "writer thread", window);
    seeded_rng_init(&m->rng, seed);
    name_keys(m);
    name_terms(m);
    fixture_init(&m->f, "history");
    m->f.options.synchronous = synchronous;
    m->f.options.event_window = window;
    fixture_reopen(&m->f);
    for (int i = 0; i < STEPS; i++) {
        uint64_t dice = below(m, 1000);

        if (dice < 350)
            step_write(m);
        else if (dice < 550)
            step_read(m);
        else if (dice < 990)
            step_watch(m);
        else if (dice < 995)
            step_compact(m);
        else {
            close_watches(m);
            fixture_reopen(&m->f);
            assert_int_equal(store_revision(m->f.store), m->revision);
            if (below(m, 4) == 0)
                reindex(m, &version);
        }
        if (dice < 5 || dice >= 990)
            check_term_index(m);
        if (dice < 5)
            check_log_size(m);
    }
    check_log_size(m);
    check_term_index(m);
    close_watches(m);
    fixture_deinit(&m->f);
    vec_deinit(&m->changes);
    free(m);
}

static void test_synchronous(void **state)
{
    run(1, true, 16);
    run(2, true, 0);
}

static void test_writer_thread(void **state)
{
    run(3, false, 16);
    run(4, false, 200);
    run(5, false, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_synchronous),
        cmocka_unit_test(test_writer_thread),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
