#include "store_fixture.h"

#include <errno.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>

#define ANY STORE_ANY
#define NO_SPLICE STORE_NO_SPLICE

static void test_revisions_grow_by_one(void **state)
{
    struct fixture f;

    fixture_init(&f, "revisions");
    assert_int_equal(store_revision(f.store), 0);
    assert_int_equal(must_put(f.store, "/a", "1"), 1);
    assert_int_equal(must_put(f.store, "/a", "2"), 2);
    assert_int_equal(must_delete(f.store, "/a", "2"), 3);
    assert_int_equal(must_delete(f.store, "/absent", ""), 4);
    assert_int_equal(must_one(f.store, STORE_CHECK, STR("/x"), STR_NULL), 5);
    assert_int_equal(store_revision(f.store), 5);
    fixture_reopen(&f);
    assert_int_equal(store_revision(f.store), 5);
    assert_int_equal(must_put(f.store, "/b", "1"), 6);
    fixture_deinit(&f);
}

static void test_states_at_every_revision(void **state)
{
    struct fixture f;

    fixture_init(&f, "states");
    must_put(f.store, "/a", "1");    /* 1 */
    must_put(f.store, "/b", "1");    /* 2 */
    must_put(f.store, "/a", "2");    /* 3 */
    must_delete(f.store, "/b", "x"); /* 4 */
    must_put(f.store, "/ab", "1");   /* 5 */
    must_put(f.store, "/b", "3");    /* 6 */
    for (int round = 0; round < 2; round++) {
        assert_list(f.store, 1, "/", "", "/a=1 ");
        assert_list(f.store, 2, "/", "", "/a=1 /b=1 ");
        assert_list(f.store, 3, "/", "", "/a=2 /b=1 ");
        assert_list(f.store, 4, "/", "", "/a=2 ");
        assert_list(f.store, 5, "/", "", "/a=2 /ab=1 ");
        assert_list(f.store, 6, "/", "", "/a=2 /ab=1 /b=3 ");
        assert_list(f.store, 0, "", "/ab", "/ab=1 /b=3 ");
        assert_list(f.store, 0, "/a", "", "/a=2 /ab=1 ");
        assert_list(f.store, 0, "/c", "", "");
        assert_value(f.store, 4, "/b", NULL);
        assert_value(f.store, 0, "/b", "3");
        fixture_reopen(&f);
    }
    fixture_deinit(&f);
}

static const struct {
    const char *name;
    enum store_op_kind kind;
    const char *key;
    size_t key_len, value_len;
    uint32_t splice;
    revision_t expect;
    int code;
    revision_t present;
} op_cases[] = {
    { "create", STORE_PUT, "/new", 0, 3, NO_SPLICE, STORE_ABSENT, 0, 0 },
    { "create again", STORE_PUT, "/new", 0, 3, NO_SPLICE, STORE_ABSENT, -ERR_CONFLICT, 2 },
    { "replace", STORE_PUT, "/new", 0, 3, NO_SPLICE, 2, 0, 0 },
    { "replace with an old revision", STORE_PUT, "/new", 0, 3, NO_SPLICE, 2, -ERR_CONFLICT, 3 },
    { "delete with an old revision", STORE_DELETE, "/new", 0, 3, NO_SPLICE, 2, -ERR_CONFLICT, 3 },
    { "check", STORE_CHECK, "/new", 0, 0, NO_SPLICE, 3, 0, 0 },
    { "check fails", STORE_CHECK, "/new", 0, 0, NO_SPLICE, 4, -ERR_CONFLICT, 3 },
    { "check of something absent", STORE_CHECK, "/absent", 0, 0, NO_SPLICE, 1, -ERR_CONFLICT, 0 },
    { "delete", STORE_DELETE, "/new", 0, 0, NO_SPLICE, 3, 0, 0 },
    { "delete again", STORE_DELETE, "/new", 0, 0, NO_SPLICE, 3, -ERR_CONFLICT, 0 },
    { "a deleted key is absent", STORE_PUT, "/new", 0, 3, NO_SPLICE, STORE_ABSENT, 0, 0 },
    { "no key", STORE_PUT, "", 0, 3, NO_SPLICE, ANY, -ERR_INVALID, 0 },
    { "longest key", STORE_PUT, NULL, STORE_KEY_MAX, 3, NO_SPLICE, ANY, 0, 0 },
    { "key too long", STORE_PUT, NULL, STORE_KEY_MAX + 1, 3, NO_SPLICE, ANY, -ERR_INVALID, 0 },
    { "empty value", STORE_PUT, "/empty", 0, 0, NO_SPLICE, ANY, 0, 0 },
    { "empty value, spliced", STORE_PUT, "/empty", 0, 0, 0, ANY, 0, 0 },
    { "splice at the end", STORE_PUT, "/end", 0, 10, 10, ANY, 0, 0 },
    { "splice behind the end", STORE_PUT, "/end", 0, 10, 11, ANY, -ERR_INVALID, 0 },
    { "largest value", STORE_PUT, "/large", 0, STORE_VALUE_MAX, 1000, ANY, 0, 0 },
    { "value too large", STORE_PUT, "/large", 0, STORE_VALUE_MAX + 1, NO_SPLICE, ANY, -ERR_TOO_LARGE, 0 },
};

static void test_operations(void **state)
{
    AUTO_FREE char *bytes = malloc(STORE_VALUE_MAX + 1);
    struct fixture f;

    memset(bytes, 'x', STORE_VALUE_MAX + 1);
    fixture_init(&f, "ops");
    must_put(f.store, "/first", "1");
    for (size_t i = 0; i < ARRAY_LEN(op_cases); i++) {
        struct store_result result = { .revision = 12345, .present = 77 };
        struct err err = { 0 };
        struct store_op op = {
            .kind = op_cases[i].kind,
            .key = op_cases[i].key ? str_from(op_cases[i].key) : str_of(bytes, op_cases[i].key_len),
            .value = str_of(bytes, op_cases[i].value_len),
            .splice = op_cases[i].splice,
            .expect = op_cases[i].expect,
        };
        revision_t before = store_revision(f.store);
        int code = store_commit(f.store, &op, 1, NULL, &result, &err);

        print_message("%s\n", op_cases[i].name);
        assert_int_equal(code, op_cases[i].code);
        assert_int_equal(err.code, -code);
        assert_int_equal(store_revision(f.store), before + (code == 0));
        if (code == 0)
            assert_int_equal(result.revision, before + 1);
        else if (code == -ERR_CONFLICT)
            assert_int_equal(result.present, op_cases[i].present);
        else
            assert_true(result.revision == 12345 && result.present == 77);
    }
    fixture_deinit(&f);
}

static void test_splice(void **state)
{
    struct fixture f;
    struct store_op op = { STORE_PUT, STR("/a"), STR("{'rev':''}"), 8, ANY };
    struct blob *value = NULL;
    struct store_result result = { .values = &value };

    fixture_init(&f, "splice");
    for (int i = 0; i < 11; i++)
        must_put(f.store, "/x", "y");
    assert_int_equal(store_commit(f.store, &op, 1, NULL, &result, NULL), 0);
    assert_str(blob_str(value), "{'rev':'12'}");
    blob_unref(value);
    assert_value(f.store, 0, "/a", "{'rev':'12'}");
    op.kind = STORE_DELETE;
    assert_int_equal(store_commit(f.store, &op, 1, NULL, &result, NULL), 0);
    assert_str(blob_str(value), "{'rev':'13'}");
    blob_unref(value);
    fixture_deinit(&f);
}

static void test_item_revisions(void **state)
{
    struct fixture f;
    struct store_item item;

    fixture_init(&f, "created");
    must_put(f.store, "/a", "1");
    must_put(f.store, "/a", "2");
    must_delete(f.store, "/a", "3");
    must_put(f.store, "/a", "4");
    must_put(f.store, "/a", "5");
    AUTO(store_snapshot) now = must_snapshot(f.store, 0);
    assert_int_equal(store_get(now, STR("/a"), &item, NULL), 0);
    assert_int_equal(item.revision, 5);
    assert_int_equal(item.created, 4);
    assert_str(item.key, "/a");
    AUTO(store_snapshot) then = must_snapshot(f.store, 2);
    assert_int_equal(store_get(then, STR("/a"), &item, NULL), 0);
    assert_int_equal(item.revision, 2);
    assert_int_equal(item.created, 1);
    now = store_snapshot_close(now);
    then = store_snapshot_close(then);
    fixture_deinit(&f);
}

static void test_transaction_is_whole(void **state)
{
    struct fixture f;
    struct blob *values[3];
    struct store_result result = { .values = values };
    struct store_op ops[] = {
        { STORE_PUT, STR("/b"), STR("1"), NO_SPLICE, STORE_ABSENT },
        { STORE_CHECK, STR("/a"), STR_NULL, 0, 1 },
        { STORE_DELETE, STR("/a"), STR("bye"), NO_SPLICE, 1 },
    };

    fixture_init(&f, "whole");
    must_put(f.store, "/a", "1");
    ops[1].expect = 9;
    assert_int_equal(store_commit(f.store, ops, 3, NULL, &result, NULL), -ERR_CONFLICT);
    assert_int_equal(result.failed_op, 1);
    assert_int_equal(result.present, 1);
    assert_list(f.store, 0, "", "", "/a=1 ");
    ops[1].expect = 1;
    assert_int_equal(store_commit(f.store, ops, 3, NULL, &result, NULL), 0);
    assert_int_equal(result.revision, 2);
    assert_str(blob_str(values[0]), "1");
    assert_null(values[1]);
    assert_str(blob_str(values[2]), "bye");
    blob_unref(values[0]);
    blob_unref(values[2]);
    assert_list(f.store, 0, "", "", "/b=1 ");
    fixture_deinit(&f);
}

static void test_transaction_caps(void **state)
{
    static struct store_op ops[STORE_OPS_MAX + 1];
    static char keys[STORE_OPS_MAX + 1][8];
    AUTO_FREE char *bytes = calloc(1, STORE_VALUE_MAX);
    struct fixture f;
    struct err err = { 0 };
    uint64_t count;

    fixture_init(&f, "caps");
    for (size_t i = 0; i < ARRAY_LEN(ops); i++) {
        snprintf(keys[i], sizeof keys[i], "/%zu", i);
        ops[i] = (struct store_op){ STORE_PUT, str_from(keys[i]), STR("v"), NO_SPLICE, ANY };
    }
    assert_int_equal(store_commit(f.store, ops, 0, NULL, NULL, &err), -ERR_INVALID);
    assert_int_equal(store_commit(f.store, ops, STORE_OPS_MAX + 1, NULL, NULL, &err), -ERR_INVALID);
    assert_int_equal(store_commit(f.store, ops, STORE_OPS_MAX, NULL, NULL, &err), 0);
    AUTO(store_snapshot) snapshot = must_snapshot(f.store, 0);
    assert_int_equal(store_count(snapshot, STR("/"), &count, NULL), 0);
    assert_int_equal(count, STORE_OPS_MAX);
    snapshot = store_snapshot_close(snapshot);

    ops[1000].key = ops[3].key;
    assert_int_equal(store_commit(f.store, ops, STORE_OPS_MAX, NULL, NULL, &err), -ERR_INVALID);
    assert_non_null(strstr(err.message, "twice"));
    ops[1000].kind = STORE_CHECK; /* to check what one also changes is fine */
    assert_int_equal(store_commit(f.store, ops, STORE_OPS_MAX, NULL, NULL, &err), 0);
    for (int i = 0; i < 9; i++)
        ops[i].value = str_of(bytes, STORE_VALUE_MAX);
    assert_int_equal(store_commit(f.store, ops, 9, NULL, NULL, &err), -ERR_TOO_LARGE);
    assert_int_equal(store_commit(f.store, ops, 7, NULL, NULL, &err), 0);
    fixture_deinit(&f);
}

/* A key of n bytes: "/" and the same letter, ending in one that tells. */
static struct str long_key(char *out, size_t len, char last)
{
    memset(out, 'k', len);
    out[0] = '/';
    out[len - 1] = last;
    return str_of(out, len);
}

static void test_long_keys(void **state)
{
    static const size_t lens[] = { 2, 479, 480, 481, 511, 512, 600, 959, 960, 961, 1023, 1024 };
    static char keys[2 * ARRAY_LEN(lens)][STORE_KEY_MAX];
    struct str sorted[2 * ARRAY_LEN(lens)];
    size_t count = 0;
    struct fixture f;

    fixture_init(&f, "long");
    for (size_t i = 0; i < ARRAY_LEN(lens); i++)
        for (const char *last = "ak"; *last; last++, count++) {
            sorted[count] = long_key(keys[count], lens[i], *last);
            must_one(f.store, STORE_PUT, sorted[count], str_of(last, 1));
        }
    for (size_t i = 0; i < count; i++)
        for (size_t j = i + 1; j < count; j++)
            if (str_cmp(sorted[j], sorted[i]) < 0) {
                struct str swap = sorted[i];
                sorted[i] = sorted[j];
                sorted[j] = swap;
            }
    for (int round = 0; round < 2; round++) {
        AUTO(store_snapshot) snapshot = must_snapshot(f.store, 0);
        struct store_item item;

        for (size_t from = 0; from < count; from++) {
            AUTO(store_cursor) cursor = NULL;

            assert_int_equal(store_get(snapshot, sorted[from], &item, NULL), 0);
            assert_int_equal(store_cursor_open(snapshot, STR_NULL, sorted[from], &cursor, NULL), 0);
            for (size_t i = from; i < count; i++) {
                assert_int_equal(store_cursor_next(cursor, &item, NULL), 1);
                assert_true(str_eq(item.key, sorted[i]));
            }
            assert_int_equal(store_cursor_next(cursor, &item, NULL), 0);
        }
        snapshot = store_snapshot_close(snapshot);
        fixture_reopen(&f);
    }
    for (size_t i = 0; i < count; i++)
        must_one(f.store, STORE_DELETE, sorted[i], STR_NULL);
    assert_int_equal(store_compact(f.store, store_revision(f.store), NULL), 0);
    assert_list(f.store, 0, "", "", "");
    must_one(f.store, STORE_PUT, sorted[count - 1], STR("again"));
    AUTO(store_snapshot) snapshot = must_snapshot(f.store, 0);
    uint64_t left;
    assert_int_equal(store_count(snapshot, str_first(sorted[count - 1], 500), &left, NULL), 0);
    assert_int_equal(left, 1);
    snapshot = store_snapshot_close(snapshot);
    fixture_deinit(&f);
}

static void test_snapshot_stands_still(void **state)
{
    struct fixture f;
    struct store_item item;

    fixture_init(&f, "still");
    must_put(f.store, "/a", "1");
    AUTO(store_snapshot) old = must_snapshot(f.store, 0);
    must_put(f.store, "/a", "2");
    assert_int_equal(store_compact(f.store, 2, NULL), 0);
    assert_int_equal(store_get(old, STR("/a"), &item, NULL), 0);
    assert_str(item.value, "1");
    assert_int_equal(store_snapshot_revision(old), 1);
    old = store_snapshot_close(old);
    fixture_deinit(&f);
}

static void test_revision_bounds(void **state)
{
    struct fixture f;
    struct store_snapshot *snapshot = NULL;
    struct err err = { 0 };

    fixture_init(&f, "bounds");
    assert_list(f.store, 0, "", "", "");
    assert_int_equal(store_snapshot_open(f.store, 1, &snapshot, &err), -ERR_INVALID);
    must_put(f.store, "/a", "1");
    must_put(f.store, "/a", "2");
    must_put(f.store, "/a", "3");
    assert_int_equal(store_snapshot_open(f.store, 4, &snapshot, &err), -ERR_INVALID);
    assert_int_equal(store_compact(f.store, 0, &err), -ERR_INVALID);
    assert_int_equal(store_compact(f.store, 4, &err), -ERR_INVALID);
    assert_int_equal(store_compact(f.store, 2, &err), 0);
    assert_int_equal(store_compacted(f.store), 1);
    assert_int_equal(store_snapshot_open(f.store, 1, &snapshot, &err), -ERR_EXPIRED);
    assert_null(snapshot);
    assert_value(f.store, 2, "/a", "2");
    assert_value(f.store, 3, "/a", "3");
    fixture_deinit(&f);
}

static void test_locked_against_a_second(void **state)
{
    struct fixture f;
    struct store *second = NULL;
    struct err err = { 0 };
    char pid[32];
    struct stat stat_buf;

    fixture_init(&f, "lock");
    assert_int_equal(store_open(&f.options, &second, &err), -ERR_UNAVAILABLE);
    snprintf(pid, sizeof pid, "process %ld", (long)getpid());
    assert_non_null(strstr(err.message, pid));
    fixture_reopen(&f);
    char path[160], sub[160];
    snprintf(path, sizeof path, "%s/data.mdb", f.path);
    assert_int_equal(stat(path, &stat_buf), 0);
    assert_int_equal(stat_buf.st_mode & 0777, 0600);
    snprintf(sub, sizeof sub, "%s/deeper/store", f.path);
    struct store_options options = { .path = sub };
    assert_int_equal(store_open(&options, &second, &err), 0);
    assert_int_equal(stat(sub, &stat_buf), 0);
    assert_int_equal(stat_buf.st_mode & 0777, 0700);
    store_close(second);
    fixture_deinit(&f);
}

/* Writes until it is refused; what was acknowledged must be there, and after making room it must go on. */
static void fill(struct fixture *f, const char *bytes, size_t *ret_count)
{
    struct err err = { 0 };
    size_t n = 0;

    for (;; n++) {
        char key[32];

        snprintf(key, sizeof key, "/fill/%06zu", n);
        int code = try_one(f->store, STORE_PUT, str_from(key), str_of(bytes, 10000), STORE_ANY, NULL, &err);
        if (code == 0)
            continue;
        assert_true(code == -ERR_NO_SPACE || code == -ERR_IO);
        break;
    }
    *ret_count = n;
}

static void assert_filled(struct fixture *f, size_t count)
{
    AUTO(store_snapshot) snapshot = must_snapshot(f->store, 0);
    uint64_t got;

    assert_int_equal(store_snapshot_revision(snapshot), count);
    assert_int_equal(store_count(snapshot, STR("/fill/"), &got, NULL), 0);
    assert_int_equal(got, count);
}

static void make_room(struct fixture *f, size_t count)
{
    for (size_t n = 0; n < count; n += 2) {
        char key[32];

        snprintf(key, sizeof key, "/fill/%06zu", n);
        must_delete(f->store, key, "");
    }
    assert_int_equal(store_compact(f->store, store_revision(f->store), NULL), 0);
}

static void test_map_full(void **state)
{
    AUTO_FREE char *bytes = calloc(1, 10000);
    struct fixture f;
    size_t count;

    fixture_init(&f, "full");
    store_close(f.store);
    f.options.map_size = 2u << 20;
    assert_int_equal(store_open(&f.options, &f.store, NULL), 0);
    fill(&f, bytes, &count);
    assert_true(count > 50);
    assert_filled(&f, count);
    fixture_reopen(&f);
    assert_filled(&f, count);
    make_room(&f, count);
    for (int i = 0; i < 20; i++)
        must_one(f.store, STORE_PUT, STR("/more"), str_of(bytes, 10000));
    fixture_deinit(&f);
}

/* A disk that is full, in the way that needs no disk: the file may not grow further. */
static void test_file_cannot_grow(void **state)
{
    AUTO_FREE char *bytes = calloc(1, 10000);
    struct rlimit before, small;
    struct fixture f;
    size_t count;

    fixture_init(&f, "nospace");
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    small = before;
    small.rlim_cur = 1u << 20;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    fill(&f, bytes, &count);
    assert_filled(&f, count);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    assert_int_equal(must_put(f.store, "/fill/more", "1"), count + 1);
    assert_filled(&f, count + 1);
    fixture_reopen(&f);
    assert_filled(&f, count + 1);
    fixture_deinit(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_revisions_grow_by_one),
        cmocka_unit_test(test_states_at_every_revision),
        cmocka_unit_test(test_operations),
        cmocka_unit_test(test_splice),
        cmocka_unit_test(test_item_revisions),
        cmocka_unit_test(test_transaction_is_whole),
        cmocka_unit_test(test_transaction_caps),
        cmocka_unit_test(test_long_keys),
        cmocka_unit_test(test_snapshot_stands_still),
        cmocka_unit_test(test_revision_bounds),
        cmocka_unit_test(test_locked_against_a_second),
        cmocka_unit_test(test_map_full),
        cmocka_unit_test(test_file_cannot_grow),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
