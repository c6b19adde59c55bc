/* test_base.c - slices, arenas, buffers, maps, errors, chance, files. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/blob.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/list.h"
#include "base/log.h"
#include "base/hash.h"
#include "base/map.h"
#include "base/rng.h"
#include "base/vec.h"

static void test_str_split(void **state)
{
    static const struct {
        const char *text;
        const char *parts[5];
    } cases[] = {
        { "a,,b", { "a", "", "b" } }, { "", { "" } }, { "a", { "a" } }, { "a,", { "a", "" } }, { ",", { "", "" } },
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct str rest = str_from(cases[i].text), part;
        size_t n = 0;

        while (str_split(&rest, ',', &part)) {
            assert_non_null(cases[i].parts[n]);
            assert_true(str_is(part, cases[i].parts[n]));
            n++;
        }
        assert_null(cases[i].parts[n]);
    }
}

static void test_str_numbers(void **state)
{
    static const struct {
        const char *text;
        bool ok;
        int64_t value;
    } cases[] = {
        { "0", true, 0 },
        { "-1", true, -1 },
        { "9223372036854775807", true, INT64_MAX },
        { "-9223372036854775808", true, INT64_MIN },
        { "9223372036854775808", false, 0 },
        { "-9223372036854775809", false, 0 },
        { "99999999999999999999", false, 0 },
        { "", false, 0 },
        { "-", false, 0 },
        { "+1", false, 0 },
        { " 1", false, 0 },
        { "1x", false, 0 },
        { "0x10", false, 0 },
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        int64_t value = 77;

        assert_int_equal(str_to_i64(str_from(cases[i].text), &value), cases[i].ok);
        assert_int_equal(value, cases[i].ok ? cases[i].value : 77);
    }
    uint64_t big;

    assert_true(str_to_u64(STR("18446744073709551615"), &big));
    assert_true(big == UINT64_MAX);
    assert_false(str_to_u64(STR("18446744073709551616"), &big));
    double real;

    assert_true(str_to_double(STR("1.5e3"), &real));
    assert_true(real == 1500.0);
    assert_false(str_to_double(STR("1.5x"), &real));
    assert_false(str_to_double(STR("1e999"), &real));
}

static void test_str_utf8(void **state)
{
    static const struct {
        struct str text;
        bool ok;
    } cases[] = {
        { STR_INIT("plain"), true },           { STR_INIT("\xC3\xA9"), true },
        { STR_INIT("\xE2\x82\xAC"), true },    { STR_INIT("\xF0\x9F\x98\x80"), true },
        { STR_INIT("\xC0\x80"), false },       { STR_INIT("\xE0\x80\x80"), false },
        { STR_INIT("\xED\xA0\x80"), false },   { STR_INIT("\xF4\x90\x80\x80"), false },
        { STR_INIT("\xF0\x80\x80\x80"), false }, { STR_INIT("\x80"), false },
        { STR_INIT("\xC3"), false },           { STR_INIT("\xF8\x88\x80\x80\x80"), false },
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        assert_int_equal(str_is_utf8(cases[i].text), cases[i].ok);
}

static void test_str_search(void **state)
{
    assert_true(str_cmp(STR("a"), STR("ab")) < 0);
    assert_true(str_cmp(STR("b"), STR("ab")) > 0);
    assert_int_equal(str_cmp(STR_NULL, STR("")), 0);
    assert_int_equal(str_find(STR("hay needle"), STR("needle")), 4);
    assert_int_equal(str_find(STR("hay"), STR("needle")), -1);
    assert_int_equal(str_rchr(STR("a/b/c"), '/'), 3);
    assert_true(str_eq(str_trim(STR(" \t x y\r\n")), STR("x y")));
    assert_true(str_eq_nocase(STR("Content-Type"), STR("content-tYPE")));
    assert_true(str_eq(str_chop(STR("abc"), 9), STR("")));
}

static void test_arena(void **state)
{
    struct arena arena;

    arena_init(&arena, 1 << 20);
    for (int round = 0; round < 3; round++) {
        char *first = arena_alloc(&arena, 24);

        for (size_t size = 1; size < 3000; size += 7) {
            char *memory = arena_alloc(&arena, size % 200);

            assert_non_null(memory);
            assert_int_equal((uintptr_t)memory % 16, 0);
            for (size_t i = 0; i < size % 200; i++)
                assert_int_equal(memory[i], 0);
            memset(memory, 0xAA, size % 200);
        }
        assert_int_equal(first[0], 0);
        assert_null(arena_alloc(&arena, 2 << 20));
        assert_true(arena_failed(&arena));
        assert_null(arena_array(&arena, SIZE_MAX / 2, 16));
        arena_reset(&arena);
        assert_false(arena_failed(&arena));
    }
    /* Larger than the chunk that would come next, but not large enough for one of its own. */
    for (size_t size = 1000; size < 70000; size += 5000)
        memset(arena_alloc(&arena, size), 0x55, size);
    int *numbers = arena_array_of(&arena, 2, int);

    numbers[1] = 5;
    numbers = arena_grow(&arena, numbers, 2 * sizeof(int), 100 * sizeof(int));
    assert_int_equal(numbers[1], 5);
    assert_int_equal(numbers[99], 0);
    assert_true(str_is(arena_printf(&arena, "%s-%d", "x", 7), "x-7"));
    assert_true(str_is(arena_concat(&arena, STR("a"), STR_NULL, STR("bc"), STR("")), "abc"));
    assert_null(arena_str(&arena, STR_NULL).data);
    assert_non_null(arena_str(&arena, STR("")).data);
    arena_deinit(&arena);
}

static void test_buf(void **state)
{
    struct buf buf;

    buf_init(&buf, 32);
    buf_add_cstr(&buf, "n=");
    buf_add_i64(&buf, INT64_MIN);
    assert_true(str_is(buf_str(&buf), "n=-9223372036854775808"));
    buf_consume(&buf, 2);
    buf_printf(&buf, "%d", 5);
    assert_true(str_is(buf_str(&buf), "-92233720368547758085"));
    for (int i = 0; i < 40; i++)
        buf_add_char(&buf, 'x');
    assert_false(buf_ok(&buf));
    assert_true(buf.len <= 32);
    buf_clear(&buf);
    assert_true(buf_ok(&buf));
    buf_deinit(&buf);
}

/* Two arenas on one budget: what one has the other cannot get, and all of it comes back. */
static void test_arena_budget(void **state)
{
    struct arena_budget budget;
    struct arena first, second;

    arena_budget_init(&budget, 1 << 20);
    arena_init_within(&first, 0, &budget);
    arena_init_within(&second, 0, &budget);
    assert_non_null(arena_alloc(&first, 600 << 10));
    assert_true(arena_budget_is_above(&budget, 128));
    assert_false(arena_budget_is_above(&budget, 192));
    assert_null(arena_alloc(&second, 600 << 10));
    assert_true(arena_failed(&second) && second.starved);
    assert_non_null(arena_alloc(&second, 100));
    arena_reset(&first);
    arena_reset(&second);
    assert_false(second.starved);
    assert_non_null(arena_alloc(&second, 600 << 10));
    arena_deinit(&first);
    arena_deinit(&second);
    assert_int_equal(budget.used, 0);
    assert_false(arena_budget_take(&budget, SIZE_MAX));
    assert_true(arena_budget_take(&budget, 1 << 20));
    assert_false(arena_budget_take(&budget, 1));
    arena_budget_give(&budget, 1 << 20);
    assert_int_equal(budget.used, 0);
}

/* Strings of all lengths, each in another place of memory; then the same under another secret. */
static void test_hash(void **state)
{
    uint64_t seen[64];
    char text[80];

    for (size_t secret = 0; secret < 2; secret++) {
        hash_set_secret(0x0123456789ABCDEFull + secret, 0xFEDCBA9876543210ull);
        for (size_t len = 0; len < ARRAY_LEN(seen); len++) {
            uint64_t hash;

            memset(text, 'a', sizeof text);
            hash = hash_str(str_of(text + secret, len));
            assert_int_equal(hash, hash_str(str_of(text + 7, len)));
            for (size_t i = 0; i < len; i++) { /* each byte counts */
                text[i] ^= 1;
                assert_int_not_equal(hash, hash_str(str_of(text, len)));
                text[i] ^= 1;
            }
            assert_true(secret == 0 || seen[len] != hash);
            seen[len] = hash;
        }
    }
}

/* Against an array, through many random additions and removals. */
static void test_map(void **state)
{
    struct seeded_rng rng;
    struct map map = MAP_INIT;
    char keys[300][8];
    intptr_t model[300] = { 0 };
    size_t live = 0;

    seeded_rng_init(&rng, 7);
    for (size_t i = 0; i < ARRAY_LEN(keys); i++)
        snprintf(keys[i], sizeof keys[i], "k%zu", i);
    for (int step = 1; step < 20000; step++) {
        size_t i = rng_below(&rng.rng, ARRAY_LEN(keys));
        struct str key = str_from(keys[i]);
        void *old;

        if (rng_below(&rng.rng, 2)) {
            assert_int_equal(map_put(&map, key, (void *)(intptr_t)step, &old), 0);
            assert_int_equal((intptr_t)old, model[i]);
            live += model[i] == 0;
            model[i] = step;
        } else {
            assert_int_equal((intptr_t)map_remove(&map, key), model[i]);
            live -= model[i] != 0;
            model[i] = 0;
        }
        assert_int_equal((intptr_t)map_get(&map, key), model[i]);
        assert_int_equal(map.count, live);
    }
    size_t seen = 0;

    for (struct map_entry *e = NULL; (e = map_next(&map, e));)
        seen++;
    assert_int_equal(seen, live);
    map_deinit(&map);
}

static void test_err(void **state)
{
    struct err err;

    assert_int_equal(err_set(&err, ERR_NOT_FOUND, "no %s", "pod"), -ERR_NOT_FOUND);
    assert_int_equal(err_wrap(&err, -ERR_NOT_FOUND, "getting"), -ERR_NOT_FOUND);
    assert_string_equal(err.message, "getting: no pod");
    assert_int_equal(err_errno(&err, ENOSPC, "writing"), -ERR_NO_SPACE);
    assert_int_equal(err_set(NULL, ERR_IO, "x"), -ERR_IO);
    assert_int_equal(err_from_status(409, STR("AlreadyExists")), ERR_ALREADY_EXISTS);
    assert_int_equal(err_from_status(409, STR("Conflict")), ERR_CONFLICT);
    assert_int_equal(err_from_status(404, STR("odd")), ERR_NOT_FOUND);
    assert_int_equal(err_from_status(599, STR_NULL), ERR_INTERNAL);
    char long_text[3000];

    memset(long_text, 'x', sizeof long_text - 1);
    long_text[sizeof long_text - 1] = 0;
    err_set(&err, ERR_IO, "%s", long_text);
    err_wrap(&err, -ERR_IO, "%s", long_text);
    assert_int_equal(strlen(err.message), sizeof err.message - 1);
}

static void test_rng(void **state)
{
    struct seeded_rng a, b;
    char uuid[UUID_LEN + 1], suffix[6];

    seeded_rng_init(&a, 42);
    seeded_rng_init(&b, 42);
    for (int i = 0; i < 100; i++) {
        assert_true(rng_u64(&a.rng) == rng_u64(&b.rng));
        assert_true(rng_below(&a.rng, 10) < 10);
        rng_below(&b.rng, 10);
        double unit = rng_unit(&a.rng);

        assert_true(unit >= 0 && unit < 1 && rng_unit(&b.rng) == unit);
    }
    rng_uuid(rng_system(), uuid);
    assert_int_equal(strlen(uuid), UUID_LEN);
    assert_int_equal(uuid[14], '4');
    rng_name_suffix(&a.rng, suffix, 5);
    assert_int_equal(strspn(suffix, "bcdfghjklmnpqrstvwxz2456789"), 5);
}

static void test_blob_and_list(void **state)
{
    AUTO(blob) blob = blob_copy(STR("bytes"));
    struct blob *again = blob_ref(blob);

    assert_true(str_is(blob_str(again), "bytes"));
    assert_null(blob_unref(again));
    struct item {
        int value;
        struct list link;
    } items[3] = { { .value = 1 }, { .value = 2 }, { .value = 3 } };
    struct list list = LIST_INIT(list);
    int sum = 0;

    for (int i = 0; i < 3; i++)
        list_append(&list, &items[i].link);
    list_each (&list, it, struct item, link) {
        if (it->value == 2)
            list_remove(&it->link);
        sum = sum * 10 + it->value;
    }
    assert_int_equal(sum, 123);
    assert_ptr_equal(list_first(&list, struct item, link), &items[0]);
    assert_ptr_equal(items[0].link.next, &items[2].link);
}

/* A folder in a folder in a folder ..., deeper than descriptors or path names reach. */
static void make_deep(const char *dir, int depth)
{
    int fd = open(dir, O_PATH | O_DIRECTORY);

    for (int i = 0; i < depth; i++) {
        assert_int_equal(mkdirat(fd, "deep", 0755), 0);
        int below = openat(fd, "deep", O_PATH | O_DIRECTORY);

        close(fd);
        fd = below;
        assert_true(fd >= 0);
    }
    close(fd);
}

static void test_file(void **state)
{
    char dir[] = "/tmp/caravel-test-XXXXXX", path[PATH_MAX], outside[PATH_MAX], link[PATH_MAX];
    struct buf buf = BUF_INIT;
    struct err err;

    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/a/b/c", dir);
    assert_int_equal(file_make_dirs(path, 0755, &err), 0);
    assert_int_equal(file_make_dirs(path, 0755, &err), 0);
    snprintf(path, sizeof path, "%s/a/b/c/file", dir);
    assert_int_equal(file_write_atomic(path, STR("one"), 0600, &err), 0);
    assert_int_equal(file_write_atomic(path, STR("two"), 0600, &err), 0);
    assert_int_equal(file_read(path, 3, &buf, &err), 0);
    assert_true(str_is(buf_str(&buf), "two"));
    buf_clear(&buf);
    assert_int_equal(file_read(path, 2, &buf, &err), -ERR_TOO_LARGE);
    assert_int_equal(file_make_dirs(path, 0755, &err), -ERR_IO);
    /* A link to the outside is removed, not followed. */
    snprintf(outside, sizeof outside, "%s-outside", dir);
    assert_int_equal(file_write_atomic(outside, STR("kept"), 0600, &err), 0);
    snprintf(link, sizeof link, "%s/a/link", dir);
    assert_int_equal(symlink(outside, link), 0);
    make_deep(dir, 3000);
    assert_int_equal(file_remove_tree(dir, &err), 0);
    assert_false(file_exists(dir));
    assert_true(file_exists(outside));
    assert_int_equal(file_remove_tree(dir, &err), 0);
    unlink(outside);
    buf_clear(&buf);
    assert_int_equal(file_read(path, 3, &buf, &err), -ERR_NOT_FOUND);
    buf_deinit(&buf);
}

static void test_vec(void **state)
{
    VEC(int) numbers = VEC_INIT;
    int sum = 0;

    for (int i = 0; i < 100; i++)
        assert_int_equal(vec_push(&numbers, i), 0);
    vec_remove(&numbers, 0);
    vec_remove(&numbers, 98);
    vec_each (&numbers, number)
        sum += *number;
    assert_int_equal(numbers.count, 98);
    assert_int_equal(sum, 4950 - 99);
    vec_clear(&numbers);
    vec_each (&numbers, number)
        fail();
    vec_deinit(&numbers);
    vec_each (&numbers, number)
        fail();
}

static void test_clock(void **state)
{
    struct virtual_clock clock;
    nsec_t before = clock_now(clock_real());

    assert_true(clock_now(clock_real()) >= before);
    assert_true(clock_wall(clock_real()) > 1700000000LL * NSEC_PER_SEC);
    virtual_clock_init(&clock, 1000);
    assert_int_equal(clock_wall(&clock.clock), 1000);
    virtual_clock_advance(&clock, 5);
    virtual_clock_set(&clock, 9);
    assert_int_equal(clock_now(&clock.clock), 9);
    assert_int_equal(clock_wall(&clock.clock), 1009);
}

/* One line a message, whatever is in it; nothing below the level. */
static void test_log(void **state)
{
    char text[4096], long_text[3000];
    int ends[2], saved = dup(STDERR_FILENO);

    memset(long_text, 'x', sizeof long_text - 1);
    long_text[sizeof long_text - 1] = 0;
    assert_int_equal(pipe(ends), 0);
    dup2(ends[1], STDERR_FILENO);
    log_debug("test", "not shown");
    log_warn("test", "two\nlines");
    log_info("test", "%s", long_text);
    dup2(saved, STDERR_FILENO);
    close(saved);
    close(ends[1]);
    ssize_t len = read(ends[0], text, sizeof text);
    struct str rest = str_of(text, (size_t)len), line;

    close(ends[0]);
    assert_true(str_split(&rest, '\n', &line));
    assert_true(str_has_suffix(line, STR("WARN  test: two lines")));
    assert_true(str_split(&rest, '\n', &line));
    assert_true(line.len < 2048 && str_has_suffix(line, STR("xxx")));
    assert_true(str_split(&rest, '\n', &line) && line.len == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_str_split), cmocka_unit_test(test_str_numbers), cmocka_unit_test(test_str_utf8),
        cmocka_unit_test(test_str_search), cmocka_unit_test(test_arena),      cmocka_unit_test(test_buf),
        cmocka_unit_test(test_arena_budget), cmocka_unit_test(test_hash),
        cmocka_unit_test(test_map),       cmocka_unit_test(test_err),         cmocka_unit_test(test_rng),
        cmocka_unit_test(test_blob_and_list), cmocka_unit_test(test_file), cmocka_unit_test(test_vec),
        cmocka_unit_test(test_clock),     cmocka_unit_test(test_log),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
