/* Layers, honest and hostile. Every case unpacks into layer/ of a folder that also holds outside/, which must never
 * change. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <limits.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#include "base/file.h"
#include "kubelet/image/layer.h"
#include "tests/unit/image/tar.h"

struct fixture {
    char dir[64], root[128], outside[128], secret[160];
    int fd;
    struct arena *arena;
};

static int setup(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);

    snprintf(fixture->dir, sizeof fixture->dir, "/tmp/caravel-layer-XXXXXX");
    assert_non_null(mkdtemp(fixture->dir));
    snprintf(fixture->root, sizeof fixture->root, "%s/layer", fixture->dir);
    snprintf(fixture->outside, sizeof fixture->outside, "%s/outside", fixture->dir);
    snprintf(fixture->secret, sizeof fixture->secret, "%s/secret", fixture->outside);
    assert_int_equal(mkdir(fixture->root, 0755), 0);
    assert_int_equal(mkdir(fixture->outside, 0755), 0);
    assert_int_equal(file_write_atomic(fixture->secret, STR("secret"), 0600, NULL), 0);
    fixture->fd = open(fixture->root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    fixture->arena = arena_new(0);
    *state = fixture;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *fixture = *state;

    close(fixture->fd);
    arena_free(fixture->arena);
    assert_int_equal(file_remove_tree(fixture->dir, NULL), 0);
    free(fixture);
    return 0;
}

static void assert_outside_untouched(struct fixture *fixture)
{
    AUTO_DEINIT(buf, text) = BUF_INIT;
    struct stat st;

    assert_int_equal(file_read(fixture->secret, 100, &text, NULL), 0);
    assert_true(str_is(buf_str(&text), "secret"));
    assert_int_equal(stat(fixture->secret, &st), 0);
    assert_int_equal(st.st_nlink, 1);
    assert_int_equal(st.st_mode & 07777, 0600);
    assert_int_equal(stat(fixture->outside, &st), 0);
    assert_int_equal(st.st_nlink, 2); /* no new folder */
}

static int unpack_limited(struct fixture *fixture, struct tar *tar, const struct layer_limits *limits,
                          struct layer_result *result, struct err *err)
{
    struct buf bytes = tar_end(tar);
    int fd = memory_file(buf_str(&bytes));
    const struct layer_source source = { .fd = fd, .limits = limits };
    int r = layer_unpack(&source, fixture->fd, fixture->arena, result, err);

    close(fd);
    buf_deinit(&bytes);
    assert_outside_untouched(fixture);
    return r;
}

static int unpack(struct fixture *fixture, struct tar *tar, struct err *err)
{
    struct layer_result result;

    return unpack_limited(fixture, tar, NULL, &result, err);
}

static struct stat stat_in(struct fixture *fixture, const char *path)
{
    struct stat st = { 0 };

    if (fstatat(fixture->fd, path, &st, AT_SYMLINK_NOFOLLOW) < 0)
        fail_msg("%s: %s", path, strerror(errno));
    return st;
}

static bool is_in(struct fixture *fixture, const char *path)
{
    struct stat st;

    return fstatat(fixture->fd, path, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

static void assert_content(struct fixture *fixture, const char *path, const char *want)
{
    AUTO_DEINIT(buf, text) = BUF_INIT;
    char full[PATH_MAX];

    snprintf(full, sizeof full, "%s/%s", fixture->root, path);
    assert_int_equal(file_read(full, 1 << 20, &text, NULL), 0);
    assert_true(str_is(buf_str(&text), want));
}

static bool is_opaque(struct fixture *fixture, const char *path)
{
    char full[PATH_MAX], value[8];

    snprintf(full, sizeof full, "%s/%s", fixture->root, path);
    return lgetxattr(full, "trusted.overlay.opaque", value, sizeof value) == 1 && value[0] == 'y';
}

/* -- honest -- */

static void add_everything(struct tar *tar)
{
    struct archive_entry *entry;

    tar_dir(tar, "./", 0755);
    tar_dir(tar, "etc", 0750);
    tar_file(tar, "etc/passwd", 0640, "root:x:0:0\n");
    tar_link(tar, "bin", "usr/bin");
    tar_dir(tar, "usr/bin", 0755);
    entry = tar_entry("usr/bin/su", AE_IFREG, 04755);
    archive_entry_set_uid(entry, 12);
    archive_entry_set_gid(entry, 34);
    archive_entry_xattr_add_entry(entry, "user.note", "hello", 5);
    archive_entry_xattr_add_entry(entry, "trusted.overlay.redirect", "/etc", 4);
    tar_put(tar, entry, STR("program"));
    tar_hardlink(tar, "usr/bin/sudo", "usr/bin/su");
    tar_file(tar, "F\xc5\x91tan\xc3\xbas\xc3\xadtv\xc3\xa1ny.crt", 0644, "utf-8");
    tar_link(tar, "s\xc3\xad", "F\xc5\x91tan\xc3\xbas\xc3\xadtv\xc3\xa1ny.crt");
    tar_file(tar, "empty", 0644, "");
}

static void check_everything(struct fixture *fixture)
{
    struct stat st = stat_in(fixture, "usr/bin/su");
    char full[PATH_MAX], value[16];

    assert_int_equal(st.st_mode & 07777, 04755);
    assert_int_equal(st.st_uid, 12);
    assert_int_equal(st.st_gid, 34);
    assert_int_equal(st.st_nlink, 2);
    assert_int_equal(st.st_mtim.tv_sec, 1000000000);
    assert_int_equal(st.st_mtim.tv_nsec, 123456789);
    assert_int_equal(stat_in(fixture, "usr/bin/sudo").st_ino, st.st_ino);
    assert_int_equal(stat_in(fixture, "etc").st_mode & 07777, 0750);
    assert_int_equal(stat_in(fixture, "etc").st_mtim.tv_sec, 1000000000);
    assert_int_equal(stat_in(fixture, "etc/passwd").st_mode & 07777, 0640);
    assert_true(S_ISLNK(stat_in(fixture, "bin").st_mode));
    assert_content(fixture, "etc/passwd", "root:x:0:0\n");
    assert_content(fixture, "F\xc5\x91tan\xc3\xbas\xc3\xadtv\xc3\xa1ny.crt", "utf-8");
    assert_content(fixture, "s\xc3\xad", "utf-8");
    assert_int_equal(stat_in(fixture, "empty").st_size, 0);
    snprintf(full, sizeof full, "%s/usr/bin/su", fixture->root);
    assert_int_equal(getxattr(full, "user.note", value, sizeof value), 5);
    assert_int_equal(getxattr(full, "trusted.overlay.redirect", value, sizeof value), -1);
}

static void test_everything(void **state)
{
    static const enum tar_packing packings[] = { TAR_PLAIN, TAR_GZIP, TAR_ZSTD };
    struct digest first = { "" };

    for (size_t i = 0; i < ARRAY_LEN(packings); i++) {
        struct layer_result result;
        struct err err = { 0 };
        struct tar tar;
        void *fixture;

        setup(&fixture);
        tar_begin(&tar, packings[i]);
        add_everything(&tar);
        if (unpack_limited(fixture, &tar, NULL, &result, &err) < 0)
            fail_msg("%s", err.message);
        check_everything(fixture);
        assert_int_equal(result.entries, 10);
        assert_int_equal(result.bytes, 11 + 7 + 5);
        assert_int_equal(result.implied.count, 1);
        assert_true(str_is(result.implied.paths[0], "usr"));
        if (i > 0)
            assert_true(digest_eq(&first, &result.diff_id)); /* compression does not matter */
        first = result.diff_id;
        teardown(&fixture);
    }
}

static void test_digest(void **state)
{
    struct fixture *fixture = *state;
    struct layer_result result;
    struct err err = { 0 };
    struct tar tar;

    tar_begin(&tar, TAR_PLAIN);
    tar_file(&tar, "a", 0644, "a");
    struct buf bytes = tar_end(&tar);
    struct digest right = digest_for(buf_str(&bytes)), wrong = digest_for(STR("something else"));
    int fd = memory_file(buf_str(&bytes));
    struct layer_source source = { .fd = fd, .diff_id = &wrong };
    assert_int_equal(layer_unpack(&source, fixture->fd, fixture->arena, &result, &err), -ERR_INVALID);
    assert_non_null(strstr(err.message, wrong.text));
    source.diff_id = &right;
    lseek(fd, 0, SEEK_SET);
    assert_int_equal(layer_unpack(&source, fixture->fd, fixture->arena, &result, &err), 0);
    close(fd);
    buf_deinit(&bytes);
}

/* What follows the end of the tar belongs to the digest. */
static void test_trailing_bytes(void **state)
{
    struct fixture *fixture = *state;
    static const char zeros[20480];
    struct layer_result result;
    struct tar tar;

    tar_begin(&tar, TAR_PLAIN);
    tar_file(&tar, "a", 0644, "a");
    struct buf bytes = tar_end(&tar);
    buf_add(&bytes, zeros, sizeof zeros);
    struct digest digest = digest_for(buf_str(&bytes));
    int fd = memory_file(buf_str(&bytes));
    const struct layer_source source = { .fd = fd, .diff_id = &digest };
    assert_int_equal(layer_unpack(&source, fixture->fd, fixture->arena, &result, NULL), 0);
    close(fd);
    buf_deinit(&bytes);
}

static void test_empty(void **state)
{
    struct fixture *fixture = *state;
    struct layer_result result;
    int fd = memory_file(STR(""));
    const struct layer_source source = { .fd = fd };

    assert_int_equal(layer_unpack(&source, fixture->fd, fixture->arena, &result, NULL), 0);
    assert_int_equal(result.entries, 0);
    close(fd);
}

static void test_replacing(void **state)
{
    struct fixture *fixture = *state;
    struct err err = { 0 };
    struct tar tar;

    tar_begin(&tar, TAR_PLAIN);
    tar_file(&tar, "a", 0644, "file");
    tar_dir(&tar, "a", 0755);
    tar_file(&tar, "a/b", 0644, "1");
    tar_file(&tar, "a/b", 0644, "22");
    tar_dir(&tar, "c", 0755);
    tar_file(&tar, "c/d", 0644, "x");
    tar_file(&tar, "c", 0644, "now a file");
    tar_dir(&tar, "e", 0700);
    tar_dir(&tar, "e", 0711);
    tar_link(&tar, "l", "a");
    tar_file(&tar, "l", 0644, "no link any more");
    assert_int_equal(unpack(fixture, &tar, &err), 0);
    assert_content(fixture, "a/b", "22");
    assert_content(fixture, "c", "now a file");
    assert_content(fixture, "l", "no link any more");
    assert_int_equal(stat_in(fixture, "e").st_mode & 07777, 0711);
}

static void test_through_links(void **state)
{
    struct fixture *fixture = *state;
    struct tar tar;

    tar_begin(&tar, TAR_PLAIN);
    tar_dir(&tar, "usr/lib", 0755);
    tar_link(&tar, "lib", "usr/lib");
    tar_link(&tar, "rooted", "/usr");
    tar_file(&tar, "lib/a", 0644, "a");
    tar_file(&tar, "rooted/b", 0644, "b");
    tar_file(&tar, "rooted/new/c", 0644, "c");
    assert_int_equal(unpack(fixture, &tar, NULL), 0);
    assert_content(fixture, "usr/lib/a", "a");
    assert_content(fixture, "usr/b", "b");
    assert_content(fixture, "usr/new/c", "c");
}

/* -- whiteouts -- */

static void test_whiteouts(void **state)
{
    struct fixture *fixture = *state;
    struct err err = { 0 };
    struct tar tar;

    tar_begin(&tar, TAR_PLAIN);
    tar_dir(&tar, "d", 0755);
    tar_file(&tar, "d/.wh.gone", 0644, "");
    tar_file(&tar, "opaque/.wh..wh..opq", 0644, "");
    tar_file(&tar, "opaque/new", 0644, "x");
    tar_file(&tar, ".wh..wh.plnk", 0644, "");
    tar_file(&tar, ".wh.first", 0644, "");
    tar_dir(&tar, "first", 0755);
    tar_file(&tar, ".wh.parent", 0644, "");
    tar_file(&tar, "parent/child", 0644, "x");
    tar_dir(&tar, "second", 0755);
    tar_file(&tar, ".wh.second", 0644, "");
    tar_file(&tar, "kept", 0644, "x");
    tar_file(&tar, ".wh.kept", 0644, "");
    tar_file(&tar, ".wh.file", 0644, "");
    tar_file(&tar, "file", 0644, "new");
    if (unpack(fixture, &tar, &err) < 0)
        fail_msg("%s", err.message);
    struct stat st = stat_in(fixture, "d/gone");
    assert_true(S_ISCHR(st.st_mode));
    assert_int_equal(st.st_rdev, makedev(0, 0));
    assert_true(is_opaque(fixture, "opaque"));
    assert_true(is_opaque(fixture, "first"));
    assert_true(is_opaque(fixture, "parent"));
    assert_true(is_opaque(fixture, "second"));
    assert_false(is_opaque(fixture, "d"));
    assert_content(fixture, "kept", "x");
    assert_content(fixture, "file", "new");
    assert_false(is_in(fixture, ".wh..wh.plnk"));
}

static void test_devices(void **state)
{
    struct fixture *fixture = *state;
    struct archive_entry *entry = tar_entry("null", AE_IFCHR, 0666);
    struct tar tar;

    archive_entry_set_rdev(entry, makedev(1, 3));
    tar_begin(&tar, TAR_PLAIN);
    tar_put(&tar, entry, STR_NULL);
    tar_put(&tar, tar_entry("pipe", AE_IFIFO, 0622), STR_NULL);
    assert_int_equal(unpack(fixture, &tar, NULL), 0);
    assert_int_equal(stat_in(fixture, "null").st_rdev, makedev(1, 3));
    assert_int_equal(stat_in(fixture, "null").st_mode & 07777, 0666);
    assert_true(S_ISFIFO(stat_in(fixture, "pipe").st_mode));
}

/* -- hostile -- */

static void build_dots(struct tar *tar, struct fixture *fixture)
{
    tar_file(tar, "../outside/a", 0644, "x");
    tar_file(tar, "a/../../../outside/b", 0644, "x");
    tar_file(tar, "/../etc/passwd", 0644, "x");
}

static void build_absolute_link(struct tar *tar, struct fixture *fixture)
{
    char target[256];

    tar_link(tar, "link", fixture->outside);
    snprintf(target, sizeof target, "%.200s", fixture->outside + 1);
    tar_dir(tar, target, 0755); /* where the link leads inside */
    tar_file(tar, "link/file", 0644, "x");
    tar_file(tar, "link/secret", 0644, "x");
    tar_dir(tar, "link/folder", 0755);
}

static void build_relative_link(struct tar *tar, struct fixture *fixture)
{
    tar_dir(tar, "outside", 0755);
    tar_link(tar, "link", "../outside");
    tar_file(tar, "link/secret", 0666, "x");
    tar_file(tar, "link/.wh.secret", 0644, "");
    tar_file(tar, "link/.wh..wh..opq", 0644, "");
}

static void build_final_link(struct tar *tar, struct fixture *fixture)
{
    tar_link(tar, "f", fixture->secret);
    tar_file(tar, "f", 0666, "x"); /* replaces the link */
    tar_link(tar, "d", fixture->outside);
    tar_dir(tar, "d", 0777);
}

static void build_proc_link(struct tar *tar, struct fixture *fixture)
{
    tar_link(tar, "self", "/proc/self/cwd");
    tar_dir(tar, "proc/self/cwd", 0755);
    tar_file(tar, "self/x", 0644, "x");
}

static const struct {
    const char *name, *in; /* in: what must exist in the layer */
    void (*build)(struct tar *tar, struct fixture *fixture);
} confined[] = {
    { "dots", "outside/a", build_dots },
    { "absolute link", "link", build_absolute_link },
    { "relative link", "outside/secret", build_relative_link },
    { "link in the last place", "f", build_final_link },
    { "link of proc", "proc/self/cwd/x", build_proc_link },
};

static void test_confined(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(confined); i++) {
        struct err err = { 0 };
        struct tar tar;
        void *fixture;

        setup(&fixture);
        tar_begin(&tar, TAR_PLAIN);
        confined[i].build(&tar, fixture);
        if (unpack(fixture, &tar, &err) < 0)
            fail_msg("%s: %s", confined[i].name, err.message);
        assert_true(is_in(fixture, confined[i].in));
        teardown(&fixture);
    }
}

static void build_hardlink(struct tar *tar, struct fixture *fixture)
{
    tar_hardlink(tar, "a", "../outside/secret");
}

static void build_hardlink_absolute(struct tar *tar, struct fixture *fixture)
{
    tar_hardlink(tar, "a", fixture->secret);
}

static void build_hardlink_through(struct tar *tar, struct fixture *fixture)
{
    tar_link(tar, "out", fixture->outside);
    tar_hardlink(tar, "a", "out/secret");
}

static void build_hardlink_to_folder(struct tar *tar, struct fixture *fixture)
{
    tar_dir(tar, "d", 0755);
    tar_hardlink(tar, "a", "d");
}

static void build_under_file(struct tar *tar, struct fixture *fixture)
{
    tar_file(tar, "a", 0644, "x");
    tar_file(tar, "a/b", 0644, "x");
}

static void build_loop(struct tar *tar, struct fixture *fixture)
{
    tar_link(tar, "a", "b");
    tar_link(tar, "b", "a");
    tar_file(tar, "a/x", 0644, "x");
}

static void build_dangling(struct tar *tar, struct fixture *fixture)
{
    tar_link(tar, "a", fixture->outside);
    tar_file(tar, "a/x", 0644, "x");
}

static void build_whiteout_dots(struct tar *tar, struct fixture *fixture)
{
    tar_file(tar, "d/.wh...", 0644, "");
}

static void build_whiteout_empty(struct tar *tar, struct fixture *fixture)
{
    tar_file(tar, ".wh.", 0644, "");
}

static void build_root_file(struct tar *tar, struct fixture *fixture)
{
    tar_file(tar, "x/..", 0644, "x");
}

static void build_long_name(struct tar *tar, struct fixture *fixture)
{
    static char name[300];

    memset(name, 'a', sizeof name - 1);
    tar_file(tar, name, 0644, "x");
}

static void build_deep(struct tar *tar, struct fixture *fixture)
{
    static char name[2001];

    for (size_t i = 0; i < 1000; i++)
        memcpy(name + 2 * i, "d/", 2);
    tar_file(tar, name, 0644, "");
}

static void build_huge_owner(struct tar *tar, struct fixture *fixture)
{
    struct archive_entry *entry = tar_entry("a", AE_IFREG, 0644);

    archive_entry_set_uid(entry, 1LL << 33);
    tar_put(tar, entry, STR_NULL);
}

static const struct {
    const char *name;
    void (*build)(struct tar *tar, struct fixture *fixture);
} refused[] = {
    { "hard link to the outside", build_hardlink },
    { "absolute hard link", build_hardlink_absolute },
    { "hard link through a link", build_hardlink_through },
    { "hard link to a folder", build_hardlink_to_folder },
    { "file under a file", build_under_file },
    { "loop of links", build_loop },
    { "parent is a dangling link", build_dangling },
    { "whiteout of ..", build_whiteout_dots },
    { "whiteout of nothing", build_whiteout_empty },
    { "file in place of the root", build_root_file },
    { "long name", build_long_name },
    { "deep path", build_deep },
    { "owner out of range", build_huge_owner },
};

static void test_refused(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(refused); i++) {
        struct err err = { 0 };
        struct tar tar;
        void *fixture;

        setup(&fixture);
        tar_begin(&tar, TAR_PLAIN);
        refused[i].build(&tar, fixture);
        if (unpack(fixture, &tar, &err) == 0)
            fail_msg("%s was taken", refused[i].name);
        assert_int_not_equal(err.message[0], 0);
        teardown(&fixture);
    }
}

static void test_bomb(void **state)
{
    const struct layer_limits limits = { .max_bytes = 1 << 20 };
    struct fixture *fixture = *state;
    struct layer_result result;
    struct err err = { 0 };
    struct tar tar;
    AUTO_FREE char *zeros = calloc(1, 64 << 20);

    tar_begin(&tar, TAR_ZSTD);
    tar_put(&tar, tar_entry("bomb", AE_IFREG, 0644), str_of(zeros, 64 << 20));
    assert_int_equal(unpack_limited(fixture, &tar, &limits, &result, &err), -ERR_TOO_LARGE);
}

static void test_sparse_bomb(void **state)
{
    const struct layer_limits limits = { .max_bytes = 1 << 20 };
    struct fixture *fixture = *state;
    struct archive_entry *entry = tar_entry("sparse", AE_IFREG, 0644);
    struct layer_result result;
    struct tar tar;

    archive_entry_set_size(entry, 1LL << 40);
    archive_entry_sparse_add_entry(entry, 0, 512);
    tar_begin(&tar, TAR_PLAIN);
    assert_true(archive_write_header(tar.archive, entry) >= ARCHIVE_WARN);
    archive_entry_free(entry);
    char data[512] = "x";
    assert_int_equal(archive_write_data(tar.archive, data, sizeof data), sizeof data);
    struct err err = { 0 };
    int r = unpack_limited(fixture, &tar, &limits, &result, &err);
    if (r != -ERR_TOO_LARGE)
        fail_msg("%d %s", r, err.message);
}

static void test_too_many_entries(void **state)
{
    const struct layer_limits limits = { .max_entries = 3 };
    struct fixture *fixture = *state;
    struct layer_result result;
    struct tar tar;

    tar_begin(&tar, TAR_PLAIN);
    for (int i = 0; i < 4; i++)
        tar_file(&tar, "a", 0644, "");
    assert_int_equal(unpack_limited(fixture, &tar, &limits, &result, NULL), -ERR_TOO_LARGE);
}

/* Cut at every block, a layer is never taken for whole. */
static void test_truncated(void **state)
{
    static const enum tar_packing packings[] = { TAR_GZIP, TAR_ZSTD, TAR_PLAIN };

    for (size_t p = 0; p < ARRAY_LEN(packings); p++) {
        struct tar tar;

        tar_begin(&tar, packings[p]);
        add_everything(&tar);
        struct buf bytes = tar_end(&tar);
        struct digest digest = { "" };
        for (size_t cut = 0; cut <= bytes.len; cut += MAX(bytes.len / 40, 1)) {
            struct layer_result result;
            struct err err = { 0 };
            void *fixture;
            setup(&fixture);
            struct fixture *f = fixture;
            int fd = memory_file(buf_str(&bytes));
            struct layer_source source = { .fd = fd };
            if (!digest.text[0])
                assert_int_equal(layer_unpack(&source, f->fd, f->arena, &result, NULL), 0);
            else
                source.diff_id = &digest;
            if (!digest.text[0])
                digest = result.diff_id;
            teardown(&fixture);
            close(fd);

            setup(&fixture);
            f = fixture;
            fd = memory_file(str_first(buf_str(&bytes), cut));
            source.fd = fd;
            source.diff_id = &digest;
            int r = layer_unpack(&source, f->fd, f->arena, &result, &err);
            if ((r == 0) != (cut == bytes.len))
                fail_msg("packing %zu cut at %zu of %zu: %d %s", p, cut, bytes.len, r, err.message);
            teardown(&fixture);
            close(fd);
        }
        buf_deinit(&bytes);
    }
}

static void test_garbage(void **state)
{
    struct fixture *fixture = *state;
    struct layer_result result;
    struct err err = { 0 };
    char noise[4096];

    for (size_t i = 0; i < sizeof noise; i++)
        noise[i] = (char)(i * 7919 >> 3);
    int fd = memory_file(str_of(noise, sizeof noise));
    const struct layer_source source = { .fd = fd };
    assert_int_equal(layer_unpack(&source, fixture->fd, fixture->arena, &result, &err), -ERR_INVALID);
    close(fd);
}

static void test_cancelled(void **state)
{
    struct fixture *fixture = *state;
    atomic_bool cancel = true;
    struct layer_result result;
    struct tar tar;

    tar_begin(&tar, TAR_PLAIN);
    tar_file(&tar, "a", 0644, "a");
    struct buf bytes = tar_end(&tar);
    int fd = memory_file(buf_str(&bytes));
    const struct layer_source source = { .fd = fd, .cancel = &cancel };
    assert_int_equal(layer_unpack(&source, fixture->fd, fixture->arena, &result, NULL), -ERR_CANCELLED);
    close(fd);
    buf_deinit(&bytes);
}

static const struct {
    const char *in, *want; /* NULL: refused */
} paths[] = {
    { "a/b", "a/b" },  { "/a//b/", "a/b" },  { "./a/./b", "a/b" }, { "..", "" }, { "../../a", "a" },
    { "a/../b", "b" }, { "a/b/..", "a" },    { "", "" },           { "/", "" },  { "a/../../../b/c/..", "b" },
    { "...", "..." },  { "a/..b", "a/..b" },
};

static void test_paths(void **state)
{
    char got[LAYER_PATH_MAX];

    for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
        assert_int_equal(layer_clean_path(str_from(paths[i].in), got, NULL), 0);
        assert_string_equal(got, paths[i].want);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_paths),
        cmocka_unit_test(test_everything),
        cmocka_unit_test_setup_teardown(test_digest, setup, teardown),
        cmocka_unit_test_setup_teardown(test_trailing_bytes, setup, teardown),
        cmocka_unit_test_setup_teardown(test_empty, setup, teardown),
        cmocka_unit_test_setup_teardown(test_replacing, setup, teardown),
        cmocka_unit_test_setup_teardown(test_through_links, setup, teardown),
        cmocka_unit_test_setup_teardown(test_whiteouts, setup, teardown),
        cmocka_unit_test_setup_teardown(test_devices, setup, teardown),
        cmocka_unit_test(test_confined),
        cmocka_unit_test(test_refused),
        cmocka_unit_test_setup_teardown(test_bomb, setup, teardown),
        cmocka_unit_test_setup_teardown(test_sparse_bomb, setup, teardown),
        cmocka_unit_test_setup_teardown(test_too_many_entries, setup, teardown),
        cmocka_unit_test(test_truncated),
        cmocka_unit_test_setup_teardown(test_garbage, setup, teardown),
        cmocka_unit_test_setup_teardown(test_cancelled, setup, teardown),
    };

    if (geteuid() != 0) {
        print_message("unpacking layers takes root: skipped\n");
        return 77;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
