#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/file.h"
#include "kubelet/runtime/user.h"

static char root[64];

static const char passwd[] = "root:x:0:0:root:/root:/bin/sh\n"
                             "torn:x:1\n"
                             "web:x:1000:1001:Web:/srv/web:/bin/false\n"
                             "4242:x:7:8::/:/bin/false\n"
                             "huge:x:99999999999:1::/:/bin/false\n"
                             "dup:x:1000:2000::/dup:/bin/false\n";
static const char group[] = "root:x:0:\n"
                            "web:x:1001:\n"
                            "audio:x:29:web,root\n"
                            "again:x:29:web\n"
                            "video:x:44: web \n"
                            "broken\n"
                            "webmaster:x:50:webmaster\n";

static void put(const char *name, const char *text)
{
    char path[128];

    snprintf(path, sizeof path, "%s/%s", root, name);
    assert_int_equal(file_write_atomic(path, str_from(text), 0644, NULL), 0);
}

static int setup(void **state)
{
    char etc[80];

    snprintf(root, sizeof root, "/tmp/user-test-%d", (int)getpid());
    snprintf(etc, sizeof etc, "/tmp/user-test-%d/etc", (int)getpid());
    return file_make_dirs(etc, 0755, NULL);
}

static int teardown(void **state)
{
    return file_remove_tree(root, NULL);
}

static void test_resolve(void **state)
{
    static const struct {
        const char *text;
        int result;
        uint32_t uid, gid;
        size_t groups;
        const char *home;
    } cases[] = {
        { "", 0, 0, 0, 1, "/root" },
        { "root", 0, 0, 0, 1, "/root" },
        { "0", 0, 0, 0, 1, "/root" },
        { "web", 0, 1000, 1001, 2, "/srv/web" },
        { "1000", 0, 1000, 1001, 2, "/srv/web" },
        { "web:audio", 0, 1000, 29, 2, "/srv/web" },
        { "web:12", 0, 1000, 12, 2, "/srv/web" },
        { "5000", 0, 5000, 0, 0, NULL },
        { "5000:5001", 0, 5000, 5001, 0, NULL },
        { ":audio", 0, 0, 29, 1, "/root" },
        { "web:", 0, 1000, 1001, 2, "/srv/web" },
        { "4242", 0, 7, 8, 0, "/" },
        { "2147483647", 0, 2147483647, 0, 0, NULL },
        { "2147483648", -ERR_INVALID },
        { "99999999999999999999", -ERR_INVALID },
        { "-1", -ERR_NOT_FOUND },
        { "nobody", -ERR_NOT_FOUND },
        { "torn", -ERR_NOT_FOUND },
        { "huge", -ERR_NOT_FOUND },
        { "web:nogroup", -ERR_NOT_FOUND },
        { "web:99999999999", -ERR_INVALID },
    };

    put("etc/passwd", passwd);
    put("etc/group", group);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        AUTO(arena) arena = arena_new(0);
        struct user user = { 0 };

        if (user_resolve(root, str_from(cases[i].text), arena, &user, NULL) != cases[i].result ||
            user.uid != cases[i].uid || user.gid != cases[i].gid || user.group_count != cases[i].groups ||
            !str_eq(user.home, str_from(cases[i].home)))
            fail_msg("\"%s\": %u:%u, %zu groups", cases[i].text, user.uid, user.gid, user.group_count);
    }
}

static void test_groups(void **state)
{
    AUTO(arena) arena = arena_new(0);
    struct user user;

    put("etc/passwd", passwd);
    put("etc/group", group);
    assert_int_equal(user_resolve(root, STR("web"), arena, &user, NULL), 0);
    assert_int_equal(user.groups[0], 29);
    assert_int_equal(user.groups[1], 44);
}

static void test_no_files(void **state)
{
    AUTO(arena) arena = arena_new(0);
    struct user user;

    assert_int_equal(user_resolve(root, STR("77:78"), arena, &user, NULL), 0);
    assert_int_equal(user.uid, 77);
    assert_int_equal(user_resolve(root, STR("web"), arena, &user, NULL), -ERR_NOT_FOUND);
    assert_true(user_resolve("/nonexistent-root", STR("0"), arena, &user, NULL) < 0);
}

/* Links stay inside the image, whatever they say; other kinds of files are refused. */
static void test_hostile_files(void **state)
{
    AUTO(arena) arena = arena_new(0);
    char path[128], outside[128], link[160];
    struct user user;

    snprintf(path, sizeof path, "%s/etc/passwd", root);
    snprintf(outside, sizeof outside, "/tmp/user-test-outside-%d", (int)getpid());
    assert_int_equal(file_write_atomic(outside, STR("evil:x:0:0::/:/bin/sh\n"), 0600, NULL), 0);
    assert_int_equal(symlink(outside, path), 0);
    int absolute = user_resolve(root, STR("evil"), arena, &user, NULL);
    unlink(path);
    snprintf(link, sizeof link, "../../../../../../..%s", outside);
    assert_int_equal(symlink(link, path), 0);
    int upward = user_resolve(root, STR("evil"), arena, &user, NULL);
    unlink(path);
    unlink(outside);
    assert_int_equal(absolute, -ERR_NOT_FOUND);
    assert_int_equal(upward, -ERR_NOT_FOUND);

    assert_int_equal(mkfifo(path, 0600), 0);
    assert_int_equal(user_resolve(root, STR("0"), arena, &user, NULL), -ERR_INVALID);
    unlink(path);
    assert_int_equal(symlink("/etc/passwd", path), 0); /* a loop */
    assert_true(user_resolve(root, STR("0"), arena, &user, NULL) < 0);
    unlink(path);
    assert_int_equal(mkdir(path, 0700), 0);
    assert_int_equal(user_resolve(root, STR("0"), arena, &user, NULL), -ERR_INVALID);
    rmdir(path);
    assert_int_equal(symlink("/real-passwd", path), 0);
    put("real-passwd", passwd);
    assert_int_equal(user_resolve(root, STR("web"), arena, &user, NULL), 0); /* absolute, from the image's root */
}

static void test_too_large(void **state)
{
    AUTO(arena) arena = arena_new(0);
    AUTO_DEINIT(buf, text) = BUF_INIT;
    struct user user;

    for (int i = 0; i < 100000; i++)
        buf_printf(&text, "user%d:x:%d:%d:somebody with a long description:/home:/bin/sh\n", i, i, i);
    buf_add_char(&text, 0);
    put("etc/passwd", text.data);
    assert_int_equal(user_resolve(root, STR("user1"), arena, &user, NULL), -ERR_TOO_LARGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_resolve, setup, teardown),
        cmocka_unit_test_setup_teardown(test_groups, setup, teardown),
        cmocka_unit_test_setup_teardown(test_no_files, setup, teardown),
        cmocka_unit_test_setup_teardown(test_hostile_files, setup, teardown),
        cmocka_unit_test_setup_teardown(test_too_large, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
