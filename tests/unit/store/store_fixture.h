/* store_fixture.h - a store in a folder of its own, and short ways to write and read it in tests. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/rng.h"
#include "store/store.h"

struct fixture {
    char path[128];
    struct store *store;
    struct store_options options;
};

static inline void fixture_init(struct fixture *f, const char *name)
{
    const char *tmp = getenv("TMPDIR");
    struct err err = { 0 };

    *f = (struct fixture){ 0 };
    snprintf(f->path, sizeof f->path, "%s/caravel-test-%s-XXXXXX", tmp ? tmp : "/tmp", name);
    assert_non_null(mkdtemp(f->path));
    f->options = (struct store_options){ .path = f->path, .clock = clock_real(), .map_size = 1u << 30 };
    if (store_open(&f->options, &f->store, &err) < 0)
        fail_msg("%s", err.message);
}

static inline void fixture_reopen(struct fixture *f)
{
    struct err err = { 0 };

    f->store = store_close(f->store);
    if (store_open(&f->options, &f->store, &err) < 0)
        fail_msg("%s", err.message);
}

static inline void fixture_deinit(struct fixture *f)
{
    f->store = store_close(f->store);
    assert_int_equal(file_remove_tree(f->path, NULL), 0);
}

/* One operation as a transaction of its own. */
static inline int try_one(struct store *store, enum store_op_kind kind, struct str key, struct str value,
                          revision_t expect, struct store_result *ret_result, struct err *err)
{
    struct store_op op = { .kind = kind, .key = key, .value = value, .splice = STORE_NO_SPLICE, .expect = expect };
    struct store_cause cause = { STR("tester"), STR("unit test"), 0 };

    return store_commit(store, &op, 1, &cause, ret_result, err);
}

static inline revision_t must_one(struct store *store, enum store_op_kind kind, struct str key, struct str value)
{
    struct store_result result = { 0 };
    struct err err = { 0 };

    if (try_one(store, kind, key, value, STORE_ANY, &result, &err) < 0)
        fail_msg("%s", err.message);
    return result.revision;
}

static inline revision_t must_put(struct store *store, const char *key, const char *value)
{
    return must_one(store, STORE_PUT, str_from(key), str_from(value));
}

static inline revision_t must_delete(struct store *store, const char *key, const char *last)
{
    return must_one(store, STORE_DELETE, str_from(key), str_from(last));
}

static inline void assert_str(struct str s, const char *want)
{
    if (!str_is(s, want))
        fail_msg("got \"" STR_FMT "\", want \"%s\"", STR_ARG(s), want);
}

static inline struct store_snapshot *must_snapshot(struct store *store, revision_t revision)
{
    struct store_snapshot *snapshot = NULL;
    struct err err = { 0 };

    if (store_snapshot_open(store, revision, &snapshot, &err) < 0)
        fail_msg("%s", err.message);
    return snapshot;
}

/* What a key is at a revision (0: now), NULL: not there. */
static inline void assert_value(struct store *store, revision_t revision, const char *key, const char *want)
{
    AUTO(store_snapshot) snapshot = must_snapshot(store, revision);
    struct store_item item;
    struct err err = { 0 };
    int code = store_get(snapshot, str_from(key), &item, &err);

    if (!want) {
        assert_int_equal(code, -ERR_NOT_FOUND);
        return;
    }
    if (code < 0)
        fail_msg("%s", err.message);
    assert_str(item.value, want);
}

/* "a=1 b=2 " of all keys with the prefix from start on. */
static inline void assert_list(struct store *store, revision_t revision, const char *prefix, const char *start,
                               const char *want)
{
    AUTO(store_snapshot) snapshot = must_snapshot(store, revision);
    AUTO(store_cursor) cursor = NULL;
    AUTO_DEINIT(buf, got);
    struct store_item item;
    uint64_t count;
    size_t items = 0;
    int more;

    buf_init(&got, 0);
    assert_int_equal(store_cursor_open(snapshot, str_from(prefix), str_from(start), &cursor, NULL), 0);
    while ((more = store_cursor_next(cursor, &item, NULL)) > 0) {
        buf_printf(&got, STR_FMT "=" STR_FMT " ", STR_ARG(item.key), STR_ARG(item.value));
        items++;
    }
    assert_int_equal(more, 0);
    assert_int_equal(store_cursor_next(cursor, &item, NULL), 0);
    assert_str(buf_str(&got), want);
    assert_int_equal(store_count(snapshot, str_from(prefix), &count, NULL), 0);
    if (!*start)
        assert_int_equal(count, items);
}
