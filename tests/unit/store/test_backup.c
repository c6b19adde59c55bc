/* A store that was made of backups reads as the one they were taken of, at every revision. */
#include "store/backup/restore.h"

#include "base/buf.h"
#include "store/check.h"
#include "store_fixture.h"

struct bytes {
    struct buf buf;
    size_t read;
};

static int keep(void *ctx, const void *data, size_t len, struct err *err)
{
    buf_add(&((struct bytes *)ctx)->buf, data, len);
    return 0;
}

static ssize_t give(void *ctx, void *out, size_t len, struct err *err)
{
    struct bytes *bytes = ctx;
    size_t step = MIN(len, bytes->buf.len - bytes->read);

    memcpy(out, bytes->buf.data + bytes->read, step);
    bytes->read += step;
    return (ssize_t)step;
}

static void fill(struct fixture *f, struct rng *rng, int steps)
{
    for (int i = 0; i < steps; i++) {
        char key[700], term[40], value[40];
        int len = snprintf(key, sizeof key, "/things/%02d", (int)rng_below(rng, 40));
        struct str terms[] = { { term, (size_t)snprintf(term, sizeof term, "node=%d", (int)rng_below(rng, 5)) } };
        struct store_op op = { .kind = rng_below(rng, 4) ? STORE_PUT : STORE_DELETE, .splice = STORE_NO_SPLICE,
                               .value = { value, (size_t)snprintf(value, sizeof value, "{\"n\":%d}", i) },
                               .expect = STORE_ANY, .terms = terms };

        if (rng_below(rng, 8) == 0) { /* longer than LMDB's keys */
            memset(key + len, 'k', 600);
            len += 600;
        }
        op.key = str_of(key, (size_t)len);
        op.terms_count = op.kind == STORE_PUT && rng_below(rng, 2);
        assert_int_equal(store_commit(f->store, &op, 1, NULL, NULL, NULL), 0);
    }
}

static int backup(struct fixture *f, revision_t since, const struct backup_mark *mark, struct bytes *bytes,
                  struct backup_summary *ret_summary, struct err *err)
{
    static const struct backup_file file = { { "pki/ca.crt", 10 }, { "certificate", 11 } };
    const struct stream_sink sink = { keep, bytes };
    const struct backup_options options = {
        .instance = "test", .since = since, .mark = mark ? *mark : (struct backup_mark){ 0 }, .files = &file,
        .file_count = 1, .clock = clock_real(), .rng = rng_system(),
    };

    buf_clear(&bytes->buf);
    return backup_write_open(f->store, &options, &sink, ret_summary, err);
}

static int restore(const char *path, struct bytes *backups, size_t count, revision_t until,
                   struct restore_report *ret_report, struct err *err)
{
    const struct restore_options options = { .path = path, .until_revision = until };
    AUTO(restore) job = NULL;
    int code = restore_new(&options, &job, err);

    for (size_t i = 0; code == 0 && i < count; i++) {
        const struct stream_source source = { give, &backups[i] };

        backups[i].read = 0;
        code = restore_add(job, &source, err);
    }
    if (code == 0)
        code = restore_end(job, ret_report, err);
    if (code == 0) {
        size_t files;

        assert_str(restore_files(job, &files)->data, "certificate");
        assert_int_equal(files, 1);
    }
    return code;
}

static void fail_problem(void *ctx, struct str message)
{
    fail_msg(STR_FMT, STR_ARG(message));
}

static void read_all(struct store *store, revision_t revision, struct str term, struct buf *out)
{
    AUTO(store_snapshot) snapshot = must_snapshot(store, revision);
    AUTO(store_cursor) cursor = NULL;
    struct store_item item;

    assert_int_equal(term.data ? store_cursor_open_term(snapshot, term, STR("/"), STR(""), &cursor, NULL)
                               : store_cursor_open(snapshot, STR("/"), STR(""), &cursor, NULL),
                     0);
    while (store_cursor_next(cursor, &item, NULL) > 0)
        buf_printf(out, STR_FMT "@%llu,%llu=" STR_FMT "\n", STR_ARG(item.key), (unsigned long long)item.revision,
                   (unsigned long long)item.created, STR_ARG(item.value));
}

static void compare(struct fixture *f, const char *path, revision_t until)
{
    const struct store_check_events events = { NULL, fail_problem, NULL };
    struct store_options options = { .path = path, .clock = clock_real() };
    struct store_check_report report;
    struct store_stats stats, restored_stats;
    struct buf want = BUF_INIT, got = BUF_INIT;
    struct err err = { 0 };
    AUTO(store) restored = NULL;

    assert_int_equal(store_check(path, &events, &report, NULL), 0);
    if (store_open(&options, &restored, &err) < 0)
        fail_msg("%s", err.message);
    assert_int_equal(store_revision(restored), until);
    assert_int_equal(store_compacted(restored), store_compacted(f->store));
    for (revision_t revision = store_compacted(f->store) + 1; revision <= until; revision++) {
        buf_clear(&want);
        buf_clear(&got);
        read_all(f->store, revision, STR_NULL, &want);
        read_all(f->store, revision, STR("node=3"), &want);
        read_all(restored, revision, STR_NULL, &got);
        read_all(restored, revision, STR("node=3"), &got);
        if (!str_eq(buf_str(&want), buf_str(&got)))
            fail_msg("revision %llu: want\n" STR_FMT "got\n" STR_FMT, (unsigned long long)revision,
                     STR_ARG(buf_str(&want)), STR_ARG(buf_str(&got)));
    }
    if (until == store_revision(f->store)) {
        store_stats(f->store, &stats);
        store_stats(restored, &restored_stats);
        assert_int_equal(stats.history_bytes, restored_stats.history_bytes);
        assert_int_equal(stats.log_records, restored_stats.log_records);
    }
    assert_int_equal(store_compact(restored, until, NULL), 0);
    must_put(restored, "/after", "{}");
    buf_deinit(&want);
    buf_deinit(&got);
}

#define BACKUPS 4

struct chain {
    struct fixture f;
    struct bytes backups[BACKUPS];
    struct backup_summary summaries[BACKUPS];
    struct seeded_rng rng;
    char path[160]; /* where to restore to */
};

static void chain_init(struct chain *chain, uint64_t seed)
{
    *chain = (struct chain){ 0 };
    seeded_rng_init(&chain->rng, seed);
    fixture_init(&chain->f, "backup");
    snprintf(chain->path, sizeof chain->path, "%s/restored", chain->f.path);
    for (int i = 0; i < BACKUPS; i++) {
        const struct backup_summary *last = i ? &chain->summaries[i - 1] : NULL;
        struct err err = { 0 };

        fill(&chain->f, &chain->rng.rng, 150);
        if (i == 0)
            assert_int_equal(store_compact(chain->f.store, 60, NULL), 0);
        if (backup(&chain->f, last ? last->header.to : 0, last ? &last->header.last : NULL, &chain->backups[i],
                   &chain->summaries[i], &err) < 0)
            fail_msg("%s", err.message);
    }
}

static void chain_deinit(struct chain *chain)
{
    for (int i = 0; i < BACKUPS; i++)
        buf_deinit(&chain->backups[i].buf);
    fixture_deinit(&chain->f);
}

static void test_restore(void **state)
{
    for (uint64_t seed = 1; seed <= 3; seed++) {
        struct restore_report report;
        struct err err = { 0 };
        struct chain chain;

        chain_init(&chain, seed);
        if (restore(chain.path, chain.backups, BACKUPS, 0, &report, &err) < 0)
            fail_msg("%s", err.message);
        assert_int_equal(report.revision, 150 * BACKUPS);
        compare(&chain.f, chain.path, report.revision);
        assert_int_equal(file_remove_tree(chain.path, NULL), 0);
        const revision_t moments[] = { 60, 61, 149, 150, 151, 299, 300, 450, 451, 599 };
        for (size_t i = 0; i < ARRAY_LEN(moments); i++) {
            if (restore(chain.path, chain.backups, BACKUPS, moments[i], &report, &err) < 0)
                fail_msg("%s", err.message);
            compare(&chain.f, chain.path, moments[i]);
            assert_int_equal(file_remove_tree(chain.path, NULL), 0);
        }
        chain_deinit(&chain);
    }
}

static void test_what_does_not_fit(void **state)
{
    struct bytes other = { BUF_INIT, 0 }, mixed[2];
    struct backup_summary summary;
    struct restore_report report;
    struct err err = { 0 };
    struct chain chain, stranger;

    chain_init(&chain, 7);
    chain_init(&stranger, 8);
    const struct {
        struct bytes *first, *second;
        revision_t until;
        enum err_code code;
    } cases[] = {
        { &chain.backups[1], &chain.backups[2], 0, ERR_INVALID }, /* no full one */
        { &chain.backups[0], &chain.backups[0], 0, ERR_INVALID },
        { &chain.backups[0], &chain.backups[2], 0, ERR_INVALID }, /* a gap */
        { &chain.backups[0], &stranger.backups[1], 0, ERR_CONFLICT },
        { &chain.backups[0], &chain.backups[1], 301, ERR_EXPIRED },
        { &chain.backups[0], &chain.backups[1], 59, ERR_EXPIRED },
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        mixed[0] = *cases[i].first;
        mixed[1] = *cases[i].second;
        int code = restore(chain.path, mixed, 2, cases[i].until, &report, &err);
        if (code != -(int)cases[i].code)
            fail_msg("case %zu: %d, %s", i, code, err.message);
        assert_int_equal(file_remove_tree(chain.path, NULL), 0);
    }
    /* An increment since a state that is another store's, is to come, or is forgotten. */
    assert_int_equal(backup(&chain.f, 300, &stranger.summaries[1].header.last, &other, &summary, &err), -ERR_CONFLICT);
    assert_int_equal(backup(&chain.f, 601, NULL, &other, &summary, &err), -ERR_CONFLICT);
    assert_int_equal(backup(&chain.f, 59, NULL, &other, &summary, &err), -ERR_EXPIRED);
    assert_int_equal(backup(&chain.f, 60, NULL, &other, &summary, &err), 0);
    buf_deinit(&other.buf);
    chain_deinit(&stranger);
    chain_deinit(&chain);
}

/* Increments may overlap, and nothing may have happened meanwhile. */
static void test_overlap(void **state)
{
    struct bytes all[3] = { 0 };
    struct backup_summary summary;
    struct restore_report report;
    struct err err = { 0 };
    struct chain chain;

    chain_init(&chain, 9);
    all[0] = chain.backups[0];
    assert_int_equal(backup(&chain.f, 100, NULL, &all[1], &summary, &err), 0);
    assert_int_equal(backup(&chain.f, 600, &summary.header.last, &all[2], &summary, &err), 0);
    if (restore(chain.path, all, 3, 0, &report, &err) < 0)
        fail_msg("%s", err.message);
    compare(&chain.f, chain.path, 600);
    buf_deinit(&all[1].buf);
    buf_deinit(&all[2].buf);
    chain_deinit(&chain);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_restore),
        cmocka_unit_test(test_what_does_not_fit),
        cmocka_unit_test(test_overlap),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
