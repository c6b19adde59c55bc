/* test_store_faults.c - disks that are full, fail or lie: what is answered, what can be read, and that it comes back. */
#include "store_fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "store/check.h"

#include "../../disk/disk.h"

static void problem(void *ctx, struct str message)
{
    fail_msg(STR_FMT, STR_ARG(message));
}

static void assert_whole(struct fixture *f)
{
    const struct store_check_events events = { NULL, problem, NULL };
    struct store_check_report report;
    struct err err = { 0 };

    if (store_check(f->path, &events, &report, &err) < 0)
        fail_msg("%s", err.message);
    assert_int_equal(report.problems, 0);
}

static int put(struct fixture *f, const char *key, const char *value, struct err *err)
{
    return try_one(f->store, STORE_PUT, str_from(key), str_from(value), STORE_ANY, NULL, err);
}

static enum store_condition condition(struct fixture *f)
{
    enum store_condition now;

    store_ready(f->store, &now, NULL);
    return now;
}

static const struct failure {
    const char *name;
    struct disk_fault fault;
    enum store_condition condition;
    const char *says;
} failures[] = {
    { "a write", { DISK_WRITE, 0, 1, EIO }, STORE_READY, "nothing was written" },
    { "a sync", { DISK_SYNC, 0, 1, EIO }, STORE_READY, "nothing was written" },
    { "the root", { DISK_ROOT, 0, 1, EIO }, STORE_READY, "nothing was written" },
    { "every write", { DISK_WRITE, 0, 0, EIO }, STORE_FAILING, "nothing was written" },
    { "every sync", { DISK_SYNC, 0, 0, EIO }, STORE_FAILING, "nothing was written" },
    { "read-only", { DISK_WRITE, 0, 0, EROFS }, STORE_READ_ONLY, "nothing was written" },
};

/* One failure, then the disk is well again; a snapshot from before reads all along. */
static void test_failures(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(failures); i++) {
        const struct failure *c = &failures[i];
        struct err err = { 0 };
        struct store_item item;
        struct fixture f;

        fixture_init(&f, "fails");
        must_put(f.store, "/a", "1");
        AUTO(store_snapshot) old = must_snapshot(f.store, 0);
        disk_use(f.path);
        disk_fail(&c->fault);
        if (put(&f, "/a", "2", &err) != -ERR_IO || !strstr(err.message, c->says))
            fail_msg("%s: %s", c->name, err.message);
        assert_value(f.store, 0, "/a", "1");
        assert_int_equal(store_get(old, STR("/a"), &item, NULL), 0);
        assert_str(item.value, "1");
        assert_true(put(&f, "/a", "3", &err) < 0); /* the old snapshot, at least, is in the way */
        disk_heal();
        old = store_snapshot_close(old);
        assert_int_equal(must_put(f.store, "/a", "4"), 2);
        assert_int_equal(condition(&f), STORE_READY);
        assert_value(f.store, 0, "/a", "4");
        assert_value(f.store, 1, "/a", "1");
        assert_whole(&f);
        fixture_reopen(&f);
        assert_value(f.store, 0, "/a", "4");
        disk_use(NULL);
        fixture_deinit(&f);
    }
}

/* Nobody reads: what fails once is over with the answer. */
static void test_condition(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(failures); i++) {
        const struct failure *c = &failures[i];
        struct store_retention none = { 0 };
        struct err err = { 0 };
        struct fixture f;

        fixture_init(&f, "state");
        must_put(f.store, "/a", "1");
        disk_use(f.path);
        disk_fail(&c->fault);
        assert_int_equal(put(&f, "/a", "2", &err), -ERR_IO);
        assert_int_equal(condition(&f), c->condition);
        assert_value(f.store, 0, "/a", "1");
        if (c->condition != STORE_READY) {
            assert_int_equal(put(&f, "/a", "3", &err), -ERR_IO);
            assert_int_equal(store_ready(f.store, NULL, &err), -ERR_IO);
        }
        disk_heal();
        store_retain(f.store, &none, NULL); /* upkeep looks after it, in the writer's time */
        must_put(f.store, "/a", "4");
        assert_int_equal(condition(&f), STORE_READY);
        assert_whole(&f);
        disk_use(NULL);
        fixture_deinit(&f);
    }
}

/* The root may be on the disk and nothing can be done about it: that is said, and later it is not there. */
static void test_unknown(void **state)
{
    struct err err = { 0 };
    struct fixture f;

    fixture_init(&f, "unknown");
    must_put(f.store, "/a", "1");
    disk_use(f.path);
    disk_fail(&(struct disk_fault){ DISK_ROOT, 0, 0, EIO });
    disk_fail(&(struct disk_fault){ DISK_SYNC, 1, 0, EIO });
    assert_int_equal(put(&f, "/a", "2", &err), -ERR_IO);
    assert_non_null(strstr(err.message, "not known"));
    assert_int_equal(condition(&f), STORE_FAILING);
    assert_value(f.store, 0, "/a", "1"); /* reading goes on though LMDB has given up */
    assert_int_equal(put(&f, "/a", "3", &err), -ERR_IO);
    disk_heal();
    assert_int_equal(must_put(f.store, "/a", "4"), 2);
    assert_whole(&f);
    fixture_reopen(&f);
    assert_value(f.store, 0, "/a", "4");
    disk_use(NULL);
    fixture_deinit(&f);
}

static void ready(void *arg)
{
}

/* A watch goes through all of it and misses nothing. */
static void test_watch_goes_on(void **state)
{
    struct store_event *event;
    struct store_watch *watch;
    struct err err = { 0 };
    struct fixture f;

    fixture_init(&f, "watch");
    assert_int_equal(store_watch_open(f.store, STR("/"), 0, ready, NULL, &watch, NULL), 0);
    disk_use(f.path);
    for (int i = 0; i < 20; i++) {
        disk_fail(&failures[i % 3].fault);
        assert_int_equal(put(&f, "/a", "no", &err), -ERR_IO);
        must_put(f.store, "/a", "yes");
    }
    for (revision_t revision = 1; revision <= 20; revision++) {
        assert_int_equal(store_watch_next(watch, &event, NULL), 1);
        assert_int_equal(event->revision, revision);
        assert_str(blob_str(event->value), "yes");
        store_event_unref(event);
    }
    assert_int_equal(store_watch_next(watch, &event, NULL), 0);
    store_watch_close(watch);
    assert_whole(&f);
    disk_use(NULL);
    fixture_deinit(&f);
}

/* A disk without room: puts are refused, deletions of the same group go through on the reserve. */
static void test_no_room(void **state)
{
    char reserve[192];
    struct err err = { 0 };
    struct fixture f;

    fixture_init(&f, "room");
    snprintf(reserve, sizeof reserve, "%s/reserve", f.path);
    assert_int_equal(access(reserve, F_OK), 0);
    must_put(f.store, "/a", "1");
    must_put(f.store, "/b", "1");
    disk_use(f.path);
    disk_fail(&(struct disk_fault){ DISK_WRITE, 0, 1, ENOSPC });
    assert_int_equal(put(&f, "/a", "2", &err), -ERR_NO_SPACE);
    assert_int_equal(condition(&f), STORE_FULL);
    disk_fail(&(struct disk_fault){ DISK_WRITE, 0, 1, ENOSPC });
    must_delete(f.store, "/b", "1");
    assert_value(f.store, 0, "/a", "1");
    assert_value(f.store, 0, "/b", NULL);
    must_put(f.store, "/a", "3"); /* there is room: the reserve is made again */
    assert_int_equal(condition(&f), STORE_READY);
    assert_int_equal(access(reserve, F_OK), 0);
    assert_whole(&f);
    disk_use(NULL);
    fixture_deinit(&f);
}

/* -- files that are not what they were -- */

static void change_file(struct fixture *f, off_t size, off_t at, const char *bytes, size_t len)
{
    char path[192];

    snprintf(path, sizeof path, "%s/data.mdb", f->path);
    int fd = open(path, O_RDWR | O_CLOEXEC);
    assert_true(fd >= 0);
    if (size >= 0)
        assert_int_equal(ftruncate(fd, size), 0);
    assert_int_equal(pwrite(fd, bytes, len, at), len);
    close(fd);
}

static const struct spoilt {
    const char *name;
    off_t size, at; /* -1: stays */
    size_t garbage;
    enum err_code code;
} spoilt[] = {
    { "garbage", -1, 0, 20000, ERR_INVALID },
    { "one byte", 1, 0, 0, ERR_INVALID },
    { "one page", 4096, 0, 0, ERR_INVALID },
    { "two pages", 8192, 0, 0, ERR_INVALID },
    { "half", 300000, 0, 0, ERR_INVALID },
    { "the second root", -1, 4096, 300, ERR_INVALID },
    { "another LMDB", -1, 20, 1, ERR_NOT_SUPPORTED },
};

static void test_spoilt_files(void **state)
{
    char bytes[20000];

    memset(bytes, 0x5a, sizeof bytes);
    for (size_t i = 0; i < ARRAY_LEN(spoilt); i++) {
        const struct spoilt *c = &spoilt[i];
        const struct store_check_events events = { NULL, problem, NULL };
        struct store_check_report report;
        struct err err = { 0 };
        struct fixture f;

        fixture_init(&f, "spoilt");
        for (int n = 0; n < 60; n++) {
            char key[32];

            snprintf(key, sizeof key, "/k/%03d", n);
            must_one(f.store, STORE_PUT, str_from(key), str_of(bytes, 10000));
        }
        f.store = store_close(f.store);
        change_file(&f, c->size, c->at, bytes, c->garbage);
        if (store_open(&f.options, &f.store, &err) != -(int)c->code)
            fail_msg("%s: %s", c->name, err.message);
        assert_int_equal(store_check(f.path, &events, &report, &err), -(int)c->code);
        assert_null(f.store);
        fixture_deinit(&f);
    }
}

/* Power was cut while it was made. */
static void test_unfinished_file(void **state)
{
    static const off_t sizes[] = { 0, 4096, 8192, 40960 };

    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        struct fixture f;

        fixture_init(&f, "unborn");
        f.store = store_close(f.store);
        change_file(&f, 0, 0, "", 0);
        change_file(&f, sizes[i], 0, "", 0);
        fixture_reopen(&f);
        must_put(f.store, "/a", "1");
        fixture_deinit(&f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_failures),
        cmocka_unit_test(test_condition),
        cmocka_unit_test(test_unknown),
        cmocka_unit_test(test_watch_goes_on),
        cmocka_unit_test(test_no_room),
        cmocka_unit_test(test_spoilt_files),
        cmocka_unit_test(test_unfinished_file),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
