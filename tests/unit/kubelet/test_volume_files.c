/* test_volume_files.c - sets of files that change all at once. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "kubelet/volume_files.h"

struct fixture {
    char folder[64];
    struct arena *arena;
    nsec_t wall;
};

static int set_up(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);

    snprintf(fixture->folder, sizeof fixture->folder, "/tmp/test-volume-files-XXXXXX");
    fixture->arena = arena_new(0);
    fixture->wall = 1000;
    *state = fixture;
    return mkdtemp(fixture->folder) && fixture->arena ? 0 : -1;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;

    file_remove_tree(fixture->folder, NULL);
    arena_free(fixture->arena);
    free(fixture);
    return 0;
}

/* "path=text path=text" */
static void write_set(struct fixture *fixture, const char *text, mode_t mode)
{
    struct volume_files files = { 0 };
    struct str rest = str_from(text), word, path;
    struct err err;

    while (str_split(&rest, ' ', &word))
        if (word.len && str_split(&word, '=', &path))
            assert_int_equal(volume_files_add(&files, path, word, mode, &err), 0);
    fixture->wall++;
    if (volume_files_write(fixture->arena, &files, fixture->folder, fixture->wall, (gid_t)-1, &err) < 0)
        fail_msg("%s: %s", text, err.message);
    volume_files_deinit(&files);
}

static void check_file(const struct fixture *fixture, const char *name, const char *want)
{
    char path[PATH_MAX];
    struct buf buf = BUF_INIT;

    snprintf(path, sizeof path, "%s/%s", fixture->folder, name);
    int code = file_read(path, 4096, &buf, NULL);

    if (want ? code < 0 || !str_is(buf_str(&buf), want) : code == 0)
        fail_msg("%s is not %s", name, want ? want : "gone");
    buf_deinit(&buf);
}

static int count_entries(const struct fixture *fixture)
{
    DIR *dir = opendir(fixture->folder);
    struct dirent *entry;
    int count = 0;

    assert_non_null(dir);
    while ((entry = readdir(dir)))
        count++;
    closedir(dir);
    return count - 2;
}

static void version_of(const struct fixture *fixture, char *out)
{
    char path[PATH_MAX];

    snprintf(path, sizeof path, "%s/..data", fixture->folder);
    ssize_t len = readlink(path, out, NAME_MAX);
    assert_true(len > 0);
    out[len] = 0;
}

static void test_first_and_next(void **state)
{
    struct fixture *fixture = *state;
    char first[NAME_MAX + 1], second[NAME_MAX + 1];

    write_set(fixture, "a=1 deep/er/b=2", 0640);
    check_file(fixture, "a", "1");
    check_file(fixture, "deep/er/b", "2");
    assert_int_equal(count_entries(fixture), 4); /* a, deep, ..data, the version */
    version_of(fixture, first);
    write_set(fixture, "a=one c=3", 0640);
    version_of(fixture, second);
    assert_string_not_equal(first, second);
    check_file(fixture, "a", "one");
    check_file(fixture, "c", "3");
    check_file(fixture, "deep/er/b", NULL);
    assert_int_equal(count_entries(fixture), 4); /* a, c, ..data, the version */
}

static void test_same_is_not_written(void **state)
{
    struct fixture *fixture = *state;
    char first[NAME_MAX + 1], second[NAME_MAX + 1];

    write_set(fixture, "a=1 b=2", 0644);
    version_of(fixture, first);
    write_set(fixture, "b=2 a=1", 0644);
    version_of(fixture, second);
    assert_string_equal(first, second);
    write_set(fixture, "a=1 b=2", 0600); /* another mode is another version */
    version_of(fixture, second);
    assert_string_not_equal(first, second);
    write_set(fixture, "a=1", 0600); /* and so is one file less */
    check_file(fixture, "b", NULL);
}

static void test_reader_sees_one_version(void **state)
{
    struct fixture *fixture = *state;
    char path[PATH_MAX];

    write_set(fixture, "a=1 b=1", 0644);
    snprintf(path, sizeof path, "%s/..data", fixture->folder);
    int old = open(path, O_DIRECTORY | O_PATH | O_CLOEXEC);
    assert_true(old >= 0);
    write_set(fixture, "a=2 b=2", 0644);
    check_file(fixture, "a", "2");
    check_file(fixture, "b", "2");
    assert_int_equal(faccessat(old, "a", F_OK, 0), -1); /* the old version went as a whole */
    close(old);
}

static void test_leftovers_are_swept(void **state)
{
    struct fixture *fixture = *state;
    char path[PATH_MAX];

    snprintf(path, sizeof path, "%s/..999/half", fixture->folder);
    assert_int_equal(file_make_dirs(path, 0755, NULL), 0);
    snprintf(path, sizeof path, "%s/..data_tmp", fixture->folder);
    assert_int_equal(symlink("nowhere", path), 0);
    write_set(fixture, "a=1", 0644);
    assert_int_equal(count_entries(fixture), 3);
    check_file(fixture, "a", "1");
}

static void test_mode(void **state)
{
    struct fixture *fixture = *state;
    char path[PATH_MAX];
    struct stat st;

    write_set(fixture, "a=1", 0400);
    snprintf(path, sizeof path, "%s/a", fixture->folder);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0400);
}

static void test_empty_set(void **state)
{
    struct fixture *fixture = *state;

    write_set(fixture, "", 0644);
    write_set(fixture, "a=", 0644);
    check_file(fixture, "a", "");
}

static void test_paths(void **state)
{
    static const struct {
        const char *path;
        bool ok;
    } cases[] = {
        { "a", true },     { "a/b", true },   { ".hidden", true }, { "a..b", true },
        { "", false },     { "/a", false },   { "../a", false },   { "a/../b", false },
        { "a/..", false }, { "a//b", false }, { "a/", false },     { "./a", false },
        { "a/.", false },  { "..", false },   { "..data", false }, { "..x/y", false },
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct volume_files files = { 0 };
        struct err err;

        if ((volume_files_add(&files, str_from(cases[i].path), STR("x"), 0644, &err) == 0) != cases[i].ok)
            fail_msg("\"%s\"", cases[i].path);
        volume_files_deinit(&files);
    }
}

static void test_last_source_wins(void **state)
{
    struct volume_files files = { 0 };

    assert_int_equal(volume_files_add(&files, STR("a"), STR("1"), 0644, NULL), 0);
    assert_int_equal(volume_files_add(&files, STR("a"), STR("2"), 0600, NULL), 0);
    assert_int_equal(files.files.count, 1);
    assert_true(str_is(files.files.items[0].data, "2"));
    volume_files_deinit(&files);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_first_and_next, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_same_is_not_written, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_reader_sees_one_version, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_leftovers_are_swept, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_mode, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_empty_set, set_up, tear_down),
        cmocka_unit_test(test_paths),
        cmocka_unit_test(test_last_source_wins),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
