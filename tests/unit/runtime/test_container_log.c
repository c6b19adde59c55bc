#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/file.h"
#include "kubelet/runtime/container_log.h"

#define T(second) "2026-01-02T15:04:" second ".123456789+00:00 "
#define Z(second) "2026-01-02T15:04:" second ".123456789Z "
#define UNIX_00 1767366240LL /* 2026-01-02T15:04:00Z */

static char dir[64], path[80];

static int setup(void **state)
{
    snprintf(dir, sizeof dir, "/tmp/container-log-%d", (int)getpid());
    snprintf(path, sizeof path, "/tmp/container-log-%d/0.log", (int)getpid());
    return file_make_dirs(dir, 0700, NULL);
}

static int teardown(void **state)
{
    return file_remove_tree(dir, NULL);
}

static void append(const char *file, const char *text)
{
    int fd = open(file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);

    assert_true(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
    close(fd);
}

static void put_rotated(const char *suffix, const char *text)
{
    char file[128];

    snprintf(file, sizeof file, "%s%s", path, suffix);
    append(file, text);
}

/* What comes out, the streams marked by the order they came in. */
struct output {
    struct buf all;
    unsigned streams;
    int pieces, stop_after;
};

static bool collect(void *arg, enum container_log_streams stream, struct str bytes)
{
    struct output *output = arg;

    buf_add_str(&output->all, bytes);
    output->streams |= stream;
    return ++output->pieces != output->stop_after;
}

static void output_deinit(struct output *output)
{
    buf_deinit(&output->all);
}

static int read_with(const struct container_log_options *options, struct output *output, struct err *err)
{
    struct container_log_source source = { .path = path, .wake_fd = -1 };

    return container_log_read(&source, options, collect, output, err);
}

static void test_parse(void **state)
{
    static const struct {
        const char *line;
        bool ok;
        nsec_t time;
        enum container_log_streams stream;
        bool partial;
        const char *text;
    } cases[] = {
        { "1970-01-01T00:00:00Z stdout F a b", true, 0, CONTAINER_LOG_STDOUT, false, "a b" },
        { "1970-01-01T00:00:01.5Z stderr P x", true, 1500000000, CONTAINER_LOG_STDERR, true, "x" },
        { "1970-01-01T01:00:00.000000001+01:00 stdout F", true, 1, CONTAINER_LOG_STDOUT, false, "" },
        { "1970-01-01T00:00:00-00:30 stdout F ", true, 1800 * NSEC_PER_SEC, CONTAINER_LOG_STDOUT, false, "" },
        { "2024-02-29T12:00:00.1234567891Z stdout F:x y", true, 1709208000123456789, CONTAINER_LOG_STDOUT, false, "y" },
        { "2026-01-02T15:04:05Z stdin F x", false },
        { "2026-01-02T15:04:05Z stdout X x", false },
        { "2026-13-02T15:04:05Z stdout F x", false },
        { "2026-01-02 15:04:05Z stdout F x", false },
        { "2026-01-02T15:04:05 stdout F x", false },
        { "2026-01-02T15:04:05+0100 stdout F x", false },
        { "2026-01-02T15:04:05Z stdout", false },
        { "", false },
        { "   ", false },
        { "2026-01-02T15:04:0", false },
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct container_log_line line = { 0 };

        if (container_log_parse(str_from(cases[i].line), &line) != cases[i].ok)
            fail_msg("%s", cases[i].line);
        if (cases[i].ok && (line.time != cases[i].time || line.stream != cases[i].stream ||
                            line.partial != cases[i].partial || !str_is(line.text, cases[i].text)))
            fail_msg("%s: %lld", cases[i].line, (long long)line.time);
    }
}

/* Two rotated files and the current one, partial lines, both streams. */
static void put_sample(void)
{
    put_rotated(".20260102-150410", T("01") "stdout F one\n" T("02") "stderr F two\n");
    put_rotated(".20260102-150420", T("11") "stdout P thr\n" T("11") "stdout P e\n" T("12") "stdout F e\n");
    put_rotated(".tmp", "not a rotated file\n");
    put_rotated(".20260102-15042x", "not a rotated file\n");
    append(path, T("21") "stdout F four\n" T("22") "stderr P fi\n" T("23") "stdout F six\n" T("24") "stderr F ve\n");
}

static void test_options(void **state)
{
    static const struct {
        const char *name;
        struct container_log_options options;
        const char *want;
    } cases[] = {
        { "all", { .tail_lines = -1 }, "one\ntwo\nthree\nfour\nfisix\nve\n" },
        { "stdout", { .tail_lines = -1, .streams = CONTAINER_LOG_STDOUT }, "one\nthree\nfour\nsix\n" },
        { "stderr", { .tail_lines = -1, .streams = CONTAINER_LOG_STDERR }, "two\nfive\n" },
        { "none", { .tail_lines = 0 }, "" },
        { "last", { .tail_lines = 1 }, "ve\n" },
        { "last three", { .tail_lines = 3 }, "four\nfisix\nve\n" },
        { "beyond the file", { .tail_lines = 4 }, "three\nfour\nfisix\nve\n" },
        { "beyond two files", { .tail_lines = 5 }, "two\nthree\nfour\nfisix\nve\n" },
        { "more than there is", { .tail_lines = 99 }, "one\ntwo\nthree\nfour\nfisix\nve\n" },
        { "since", { .tail_lines = -1, .since = (UNIX_00 + 12) * NSEC_PER_SEC }, "e\nfour\nfisix\nve\n" },
        { "since within the file", { .tail_lines = -1, .since = (UNIX_00 + 23) * NSEC_PER_SEC }, "six\nve\n" },
        { "since the future", { .tail_lines = -1, .since = (UNIX_00 + 999) * NSEC_PER_SEC }, "" },
        { "since before", { .tail_lines = -1, .since = 1 }, "one\ntwo\nthree\nfour\nfisix\nve\n" },
        { "tail and since", { .tail_lines = 1, .since = 1 }, "ve\n" },
        { "limit", { .tail_lines = -1, .limit_bytes = 6 }, "one\ntw" },
        { "limit at an edge", { .tail_lines = -1, .limit_bytes = 4 }, "one\n" },
        { "limit beyond", { .tail_lines = 1, .limit_bytes = 100 }, "ve\n" },
        { "timestamps",
          { .tail_lines = 4, .timestamps = true, .streams = CONTAINER_LOG_STDOUT },
          Z("11") "three\n" Z("21") "four\n" Z("23") "six\n" },
        { "follow to a limit", { .tail_lines = -1, .limit_bytes = 3, .follow = true }, "one" },
    };

    put_sample();
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        __attribute__((cleanup(output_deinit))) struct output output = { 0 };
        struct err err = { 0 };

        if (read_with(&cases[i].options, &output, &err) < 0)
            fail_msg("%s: %s", cases[i].name, err.message);
        if (!str_is(buf_str(&output.all), cases[i].want))
            fail_msg("%s: \"" STR_FMT "\"", cases[i].name, STR_ARG(buf_str(&output.all)));
    }
}

static void test_tail_of_many(void **state)
{
    __attribute__((cleanup(output_deinit))) struct output output = { 0 };
    AUTO_DEINIT(buf, text) = BUF_INIT;

    for (int i = 0; i < 20000; i++)
        buf_printf(&text, T("01") "stdout F line %d of some length that varies%.*s\n", i, i % 50,
                   "..................................................");
    assert_int_equal(file_write_atomic(path, buf_str(&text), 0600, NULL), 0);
    for (int64_t n = 1; n <= 19999; n = n * 3 + 1) {
        char first[64];

        buf_clear(&output.all);
        assert_int_equal(read_with(&(struct container_log_options){ .tail_lines = n }, &output, NULL), 0);
        snprintf(first, sizeof first, "line %lld of", (long long)(20000 - n));
        assert_true(str_has_prefix(buf_str(&output.all), str_from(first)));
        int64_t lines = 0;
        for (size_t i = 0; i < output.all.len; i++)
            lines += output.all.data[i] == '\n';
        assert_int_equal(lines, n);
    }
}

static void test_odd_contents(void **state)
{
    __attribute__((cleanup(output_deinit))) struct output output = { 0 };
    AUTO_DEINIT(buf, text) = BUF_INIT;

    buf_add_cstr(&text, "garbage\n\n" T("01") "stdout F good\n");
    for (int i = 0; i < 3 << 20; i++)
        buf_add_char(&text, 'x'); /* longer than any line may be */
    buf_add_cstr(&text, "\n" T("02") "stdout F better\n" T("03") "stdout F unfinished");
    assert_int_equal(file_write_atomic(path, buf_str(&text), 0600, NULL), 0);
    assert_int_equal(read_with(&CONTAINER_LOG_ALL, &output, NULL), 0);
    assert_true(str_is(buf_str(&output.all), "good\nbetter\n"));

    append(path, " no more\n");
    buf_clear(&output.all);
    assert_int_equal(read_with(&(struct container_log_options){ .tail_lines = 2 }, &output, NULL), 0);
    assert_true(str_is(buf_str(&output.all), "better\nunfinished no more\n"));
}

static void test_absent_and_empty(void **state)
{
    __attribute__((cleanup(output_deinit))) struct output output = { 0 };

    assert_int_equal(read_with(&CONTAINER_LOG_ALL, &output, NULL), -ERR_NOT_FOUND);
    append(path, "");
    assert_int_equal(read_with(&CONTAINER_LOG_ALL, &output, NULL), 0);
    assert_int_equal(read_with(&(struct container_log_options){ .tail_lines = 5 }, &output, NULL), 0);
    assert_int_equal(output.all.len, 0);
}

static void test_sink_ends_it(void **state)
{
    __attribute__((cleanup(output_deinit))) struct output output = { .stop_after = 1 };

    append(path, T("01") "stdout F one\n" T("02") "stderr F two\n" T("03") "stdout F three\n");
    assert_int_equal(read_with(&CONTAINER_LOG_ALL, &output, NULL), 0);
    assert_true(str_is(buf_str(&output.all), "one\n"));
}

/* Following: the reader in a thread, every step waits for what came out. */
struct follower {
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct buf all;
    bool ended, cancelled;
    int wake, result;
};

static bool follower_sink(void *arg, enum container_log_streams stream, struct str bytes)
{
    struct follower *follower = arg;

    pthread_mutex_lock(&follower->lock);
    buf_add_str(&follower->all, bytes);
    pthread_cond_broadcast(&follower->changed);
    pthread_mutex_unlock(&follower->lock);
    return true;
}

static bool flag(struct follower *follower, const bool *which)
{
    pthread_mutex_lock(&follower->lock);
    bool value = *which;
    pthread_mutex_unlock(&follower->lock);
    return value;
}

static bool follower_ended(void *arg)
{
    return flag(arg, &((struct follower *)arg)->ended);
}

static bool follower_cancelled(void *arg)
{
    return flag(arg, &((struct follower *)arg)->cancelled);
}

static void *follower_main(void *arg)
{
    struct follower *follower = arg;
    struct container_log_source source = { .path = path, .ended = follower_ended, .cancelled = follower_cancelled,
                                           .arg = follower, .wake_fd = follower->wake };

    follower->result = container_log_read(&source, &(struct container_log_options){ .follow = true, .tail_lines = 1 },
                                          follower_sink, follower, NULL);
    return NULL;
}

static void follower_start(struct follower *follower)
{
    *follower = (struct follower){ .wake = eventfd(0, EFD_CLOEXEC) };
    pthread_mutex_init(&follower->lock, NULL);
    pthread_cond_init(&follower->changed, NULL);
    assert_int_equal(pthread_create(&follower->thread, NULL, follower_main, follower), 0);
}

static void follower_wait(struct follower *follower, const char *want)
{
    pthread_mutex_lock(&follower->lock);
    while (follower->all.len < strlen(want))
        pthread_cond_wait(&follower->changed, &follower->lock);
    bool same = str_is(buf_str(&follower->all), want);
    pthread_mutex_unlock(&follower->lock);
    assert_true(same);
}

static void follower_end(struct follower *follower, bool *which, const char *want)
{
    pthread_mutex_lock(&follower->lock);
    *which = true;
    pthread_mutex_unlock(&follower->lock);
    eventfd_write(follower->wake, 1);
    pthread_join(follower->thread, NULL);
    bool same = str_is(buf_str(&follower->all), want);
    int result = follower->result;
    buf_deinit(&follower->all);
    close(follower->wake);
    assert_true(same);
    assert_int_equal(result, 0);
}

static void test_follow(void **state)
{
    struct follower follower;

    append(path, T("01") "stdout F one\n" T("02") "stdout F two\n");
    follower_start(&follower);
    follower_wait(&follower, "two\n");
    append(path, T("03") "stdout F three\n");
    follower_wait(&follower, "two\nthree\n");
    append(path, T("04") "stdout P fo");
    append(path, "\n" T("05") "stdout F ur\n" T("06") "stdout F last\n");
    follower_end(&follower, &follower.ended, "two\nthree\nfour\nlast\n"); /* what was written before the end comes */
}

/* The writer goes on in the old file until it opens the new one. */
static void test_follow_through_rotations(void **state)
{
    struct follower follower;
    char old[128];
    bool rotated;

    append(path, T("01") "stdout F one\n");
    follower_start(&follower);
    follower_wait(&follower, "one\n");
    assert_int_equal(container_log_rotate(path, 0, 5, UNIX_00 * NSEC_PER_SEC, &rotated, NULL), 0);
    assert_true(rotated);
    snprintf(old, sizeof old, "%s.20260102-150400", path);
    append(old, T("02") "stdout F two\n");
    follower_wait(&follower, "one\ntwo\n");
    append(old, T("03") "stdout F three\n");
    append(path, T("04") "stdout F four\n");
    follower_wait(&follower, "one\ntwo\nthree\nfour\n");
    append(path, T("05") "stdout F five\n");
    assert_int_equal(container_log_rotate(path, 0, 5, (UNIX_00 + 9) * NSEC_PER_SEC, &rotated, NULL), 0);
    append(path, T("06") "stdout F six\n");
    follower_wait(&follower, "one\ntwo\nthree\nfour\nfive\nsix\n");
    follower_end(&follower, &follower.cancelled, "one\ntwo\nthree\nfour\nfive\nsix\n");
}

static int count_files(void)
{
    DIR *folder = opendir(dir);
    int count = 0;

    assert_non_null(folder);
    for (struct dirent *item; (item = readdir(folder));)
        count += item->d_name[0] != '.';
    closedir(folder);
    return count;
}

static void test_rotate(void **state)
{
    __attribute__((cleanup(output_deinit))) struct output output = { 0 };
    bool rotated = true;

    assert_int_equal(container_log_rotate(path, 10, 3, 0, &rotated, NULL), 0);
    assert_false(rotated); /* nothing there */
    for (int i = 0; i < 6; i++) {
        char line[64];

        snprintf(line, sizeof line, T("01") "stdout F %d\n", i);
        append(path, line);
        assert_int_equal(container_log_rotate(path, 1000, 3, 0, &rotated, NULL), 0);
        assert_false(rotated);
        assert_int_equal(container_log_rotate(path, 10, 3, UNIX_00 * NSEC_PER_SEC, &rotated, NULL), 0);
        assert_true(rotated);
        assert_true(count_files() <= 3);
    }
    append(path, T("01") "stdout F 6\n");
    assert_int_equal(count_files(), 3);
    assert_int_equal(read_with(&CONTAINER_LOG_ALL, &output, NULL), 0);
    assert_true(str_is(buf_str(&output.all), "4\n5\n6\n"));
    assert_int_equal(container_log_remove(path, NULL), 0);
    assert_int_equal(count_files(), 0);
    assert_int_equal(container_log_remove("/tmp/no-such-folder-at-all/0.log", NULL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parse),
        cmocka_unit_test_setup_teardown(test_options, setup, teardown),
        cmocka_unit_test_setup_teardown(test_tail_of_many, setup, teardown),
        cmocka_unit_test_setup_teardown(test_odd_contents, setup, teardown),
        cmocka_unit_test_setup_teardown(test_absent_and_empty, setup, teardown),
        cmocka_unit_test_setup_teardown(test_sink_ends_it, setup, teardown),
        cmocka_unit_test_setup_teardown(test_follow, setup, teardown),
        cmocka_unit_test_setup_teardown(test_follow_through_rotations, setup, teardown),
        cmocka_unit_test_setup_teardown(test_rotate, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
