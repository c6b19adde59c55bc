/* Overlays of test images, in a mount namespace of the test's own. Each case runs the two ways of mounting. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <limits.h>
#include <sched.h>
#include <sys/mount.h>

#include "kubelet/image/rootfs.h"
#include "tests/unit/image/images.h"

struct fixture {
    struct test_store test;
    struct arena *arena;
    char container[96];
    bool old_kernel;
};

static void setup(struct fixture *fixture, bool old_kernel)
{
    *fixture = (struct fixture){ .arena = arena_new(0), .old_kernel = old_kernel };
    test_store_init(&fixture->test);
    snprintf(fixture->container, sizeof fixture->container, "%s/c1", fixture->test.dir);
}

static void teardown(struct fixture *fixture)
{
    arena_free(fixture->arena);
    test_store_deinit(&fixture->test);
}

static struct image *add_image(struct fixture *fixture, struct test_image *image, const char *tags)
{
    struct image_list list;
    struct err err = { 0 };

    test_image_configure(image, NULL, "{}");
    struct buf archive = docker_archive(image, tags, TAR_PLAIN);
    if (test_store_import(&fixture->test, buf_str(&archive), STR_NULL, &list, &err) < 0)
        fail_msg("%s", err.message);
    struct image *added = image_keep(list.items[0]);
    image_list_deinit(&list);
    buf_deinit(&archive);
    test_image_deinit(image);
    return added;
}

/* Adds a layer that was written by the caller. */
static void add_layer(struct test_image *image, struct tar *tar)
{
    image->layers[image->count] = tar_end(tar);
    image->diff_ids[image->count] = digest_for(buf_str(&image->layers[image->count]));
    image->count++;
}

static const char *mount_image(struct fixture *fixture, const struct image *image, bool read_only)
{
    const struct rootfs_options options = { fixture->container, read_only, fixture->old_kernel };
    struct err err = { 0 };
    struct str path;

    if (rootfs_mount(fixture->test.store, image, &options, &path, fixture->arena, &err) < 0)
        fail_msg("%s", err.message);
    return path.data;
}

static const char *content(struct fixture *fixture, const char *path)
{
    AUTO_DEINIT(buf, text) = BUF_INIT;
    char full[PATH_MAX];

    snprintf(full, sizeof full, "%s/rootfs/%s", fixture->container, path);
    if (file_read(full, 1 << 20, &text, NULL) < 0)
        return "absent";
    return arena_cstr(fixture->arena, buf_str(&text));
}

static void test_layers(struct fixture *fixture)
{
    struct test_image parts = { 0 };
    struct tar tar;

    tar_begin(&tar, TAR_PLAIN);
    tar_dir(&tar, "./", 0755);
    tar_file(&tar, "a", 0644, "lower");
    tar_file(&tar, "gone", 0644, "lower");
    tar_file(&tar, "d/lower", 0644, "lower");
    tar_file(&tar, "opaque/lower", 0644, "lower");
    add_layer(&parts, &tar);
    tar_begin(&tar, TAR_PLAIN);
    tar_dir(&tar, "./", 0711);
    tar_file(&tar, "a", 0644, "upper");
    tar_file(&tar, ".wh.gone", 0644, "");
    tar_file(&tar, "d/upper", 0644, "upper");
    tar_file(&tar, "opaque/.wh..wh..opq", 0644, "");
    tar_file(&tar, "opaque/upper", 0644, "upper");
    add_layer(&parts, &tar);
    struct image *image = add_image(fixture, &parts, "[\"a:1\"]");
    const char *root = mount_image(fixture, image, false);
    struct stat st;
    char path[PATH_MAX];

    assert_string_equal(content(fixture, "a"), "upper");
    assert_string_equal(content(fixture, "gone"), "absent");
    assert_string_equal(content(fixture, "d/lower"), "lower");
    assert_string_equal(content(fixture, "d/upper"), "upper");
    assert_string_equal(content(fixture, "opaque/lower"), "absent");
    assert_string_equal(content(fixture, "opaque/upper"), "upper");
    assert_int_equal(stat(root, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0711);
    /* Writing does not reach the layers. */
    snprintf(path, sizeof path, "%s/a", root);
    assert_int_equal(file_write_atomic(path, STR("mine"), 0600, NULL), 0);
    assert_int_equal(rootfs_unmount(fixture->container, NULL), 0);
    assert_string_equal(content(fixture, "a"), "absent");
    mount_image(fixture, image, false);
    assert_string_equal(content(fixture, "a"), "upper");
    assert_int_equal(rootfs_unmount(fixture->container, NULL), 0);
    assert_int_equal(rootfs_unmount(fixture->container, NULL), 0); /* nothing there: fine */
    image_drop(image);
}

static void test_many_layers(struct fixture *fixture)
{
    struct test_image parts = { 0 };
    char text[16];

    for (int i = 0; i < 120; i++) {
        snprintf(text, sizeof text, "%d", i);
        test_image_layer(&parts, TAR_PLAIN, i % 2 ? "odd" : "even", text);
    }
    struct image *image = add_image(fixture, &parts, "[\"a:1\"]");
    mount_image(fixture, image, false);
    assert_string_equal(content(fixture, "odd"), "119");
    assert_string_equal(content(fixture, "even"), "118");
    assert_int_equal(rootfs_unmount(fixture->container, NULL), 0);
    image_drop(image);
}

/* The same layer at three places of an image. */
static void test_repeated_layer(struct fixture *fixture)
{
    struct test_image parts = { 0 };

    test_image_layer(&parts, TAR_PLAIN, "a", "1");
    test_image_layer(&parts, TAR_PLAIN, "a", "2");
    test_image_layer(&parts, TAR_PLAIN, "a", "1");
    test_image_layer(&parts, TAR_PLAIN, "b", "3");
    test_image_layer(&parts, TAR_PLAIN, "b", "3");
    struct image *image = add_image(fixture, &parts, "[\"a:1\"]");
    mount_image(fixture, image, false);
    assert_string_equal(content(fixture, "a"), "1");
    assert_string_equal(content(fixture, "b"), "3");
    assert_int_equal(rootfs_unmount(fixture->container, NULL), 0);
    image_drop(image);
}

static void test_read_only(struct fixture *fixture)
{
    struct image *image = test_store_add(&fixture->test, "a:1");
    const char *root = mount_image(fixture, image, true);
    char path[PATH_MAX];

    assert_string_equal(content(fixture, "name"), "a:1");
    snprintf(path, sizeof path, "%s/new", root);
    assert_int_equal(mkdir(path, 0755), -1);
    assert_int_equal(errno, EROFS);
    assert_int_equal(rootfs_unmount(fixture->container, NULL), 0);
    image_drop(image);
}

static void test_no_layers(struct fixture *fixture)
{
    struct test_image parts = { 0 };
    struct image *image = add_image(fixture, &parts, "[\"scratch:1\"]");
    const char *root = mount_image(fixture, image, false);
    struct stat st;

    assert_int_equal(stat(root, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0755);
    assert_int_equal(rootfs_unmount(fixture->container, NULL), 0);
    image_drop(image);
}

/* An image may go while a container of it runs; its layers then go with the next collection after the container. */
static void test_removed_while_mounted(struct fixture *fixture)
{
    struct image *image = test_store_add(&fixture->test, "a:1");
    char layer[PATH_MAX];
    const struct image_gc gc = { 0 };

    snprintf(layer, sizeof layer, "%s/layers/%.20s", fixture->test.images, image->layers[0].diff_id.text + 7);
    mount_image(fixture, image, false);
    assert_int_equal(image_store_remove(fixture->test.store, STR("a:1"), NULL), 0);
    assert_false(test_store_has(&fixture->test, "a:1"));
    assert_true(file_exists(layer));
    assert_string_equal(content(fixture, "name"), "a:1");
    virtual_clock_set(&fixture->test.clock, 1000000000 * NSEC_PER_SEC); /* layers just made may still be wanted */
    assert_int_equal(image_store_gc(fixture->test.store, &gc, NULL, NULL), 0);
    assert_true(file_exists(layer));
    assert_int_equal(rootfs_unmount(fixture->container, NULL), 0);
    assert_int_equal(image_store_gc(fixture->test.store, &gc, NULL, NULL), 0);
    assert_false(file_exists(layer));
    /* And without its layers it cannot be mounted. */
    const struct rootfs_options options = { fixture->container, false, fixture->old_kernel };
    struct str path;
    assert_int_equal(rootfs_mount(fixture->test.store, image, &options, &path, fixture->arena, NULL), -ERR_NOT_FOUND);
    image_drop(image);
}

static void test_mounted_twice(struct fixture *fixture)
{
    struct image *image = test_store_add(&fixture->test, "a:1");
    const struct rootfs_options options = { fixture->container, false, fixture->old_kernel };
    struct str path;

    mount_image(fixture, image, false);
    assert_int_equal(rootfs_mount(fixture->test.store, image, &options, &path, fixture->arena, NULL),
                     -ERR_ALREADY_EXISTS);
    assert_string_equal(content(fixture, "name"), "a:1");
    assert_int_equal(rootfs_unmount(fixture->container, NULL), 0);
    image_drop(image);
}

/* A process that still has a file open does not keep the folder. */
static void test_busy(struct fixture *fixture)
{
    struct image *image = test_store_add(&fixture->test, "a:1");
    char path[PATH_MAX];

    snprintf(path, sizeof path, "%s/name", mount_image(fixture, image, false));
    AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(rootfs_unmount(fixture->container, NULL), 0);
    assert_false(file_exists(path));
    image_drop(image);
}

static void test_on_overlay(struct fixture *fixture)
{
    struct image *image = test_store_add(&fixture->test, "a:1");
    struct rootfs_options options = { arena_printf(fixture->arena, "%s/inner", mount_image(fixture, image, false)).data,
                                      false, fixture->old_kernel };
    struct err err = { 0 };
    struct str path;

    assert_int_equal(rootfs_mount(fixture->test.store, image, &options, &path, fixture->arena, &err),
                     -ERR_NOT_SUPPORTED);
    assert_non_null(strstr(err.message, "overlay file system"));
    assert_int_equal(rootfs_unmount(fixture->container, NULL), 0);
    image_drop(image);
}

static void test_bad_folder(struct fixture *fixture)
{
    static const char *const dirs[] = { "relative", "/tmp/a:b", "/tmp/a,b" };
    struct image *image = test_store_add(&fixture->test, "a:1");
    struct str path;

    for (size_t i = 0; i < ARRAY_LEN(dirs); i++) {
        const struct rootfs_options options = { dirs[i], false, fixture->old_kernel };
        assert_int_equal(rootfs_mount(fixture->test.store, image, &options, &path, fixture->arena, NULL), -ERR_INVALID);
        assert_false(file_exists(dirs[i]));
    }
    image_drop(image);
}

static mode_t mode_of(struct fixture *fixture, const char *path)
{
    char full[PATH_MAX];
    struct stat st;

    snprintf(full, sizeof full, "%s/rootfs/%s", fixture->container, path);
    return stat(full, &st) < 0 ? 0 : st.st_mode & 07777;
}

/* Folders that an upper layer mentions only in the paths of files keep the attributes that a lower one gave them. */
static void test_implied_folders(struct fixture *fixture)
{
    struct test_image parts = { 0 };
    struct tar tar;

    tar_begin(&tar, TAR_PLAIN);
    tar_dir(&tar, "./", 0751);
    tar_dir(&tar, "tmp", 01777);
    tar_dir(&tar, "var", 0750);
    tar_dir(&tar, "var/spool", 0700);
    tar_dir(&tar, "var/gone", 0700);
    tar_dir(&tar, "var/hidden", 0700);
    tar_dir(&tar, "described", 0700);
    add_layer(&parts, &tar);
    tar_begin(&tar, TAR_PLAIN);
    tar_file(&tar, "tmp/file", 0644, "x");
    tar_file(&tar, "var/spool/deep/file", 0644, "x");
    tar_file(&tar, "var/gone/file", 0644, "x");
    tar_file(&tar, "var/hidden/.wh..wh..opq", 0644, "");
    tar_dir(&tar, "described", 0711);
    add_layer(&parts, &tar);
    tar_begin(&tar, TAR_PLAIN);
    tar_file(&tar, "var/.wh.gone", 0644, "");
    add_layer(&parts, &tar);
    struct image *image = add_image(fixture, &parts, "[\"a:1\"]");
    assert_true(image->attributes.text[0]);
    mount_image(fixture, image, false);
    assert_int_equal(mode_of(fixture, "."), 0751);
    assert_int_equal(mode_of(fixture, "tmp"), 01777);
    assert_int_equal(mode_of(fixture, "var"), 0750);
    assert_int_equal(mode_of(fixture, "var/spool"), 0700);
    assert_int_equal(mode_of(fixture, "var/spool/deep"), 0755);
    assert_int_equal(mode_of(fixture, "var/gone"), 0);
    assert_int_equal(mode_of(fixture, "var/hidden"), 0755);
    assert_int_equal(mode_of(fixture, "described"), 0711);
    assert_string_equal(content(fixture, "tmp/file"), "x");
    assert_int_equal(rootfs_unmount(fixture->container, NULL), 0);
    /* It lasts, and goes with its image. */
    image_store_close(fixture->test.store);
    test_store_open(&fixture->test);
    mount_image(fixture, image, false);
    assert_int_equal(mode_of(fixture, "tmp"), 01777);
    assert_int_equal(rootfs_unmount(fixture->container, NULL), 0);
    image_drop(image);
    assert_int_equal(image_store_find(fixture->test.store, STR("a:1"), &image, NULL), 0);
    assert_true(image->attributes.text[0]);
    image_drop(image);
}

/* A full disk stops an import with a clear code and leaves nothing of it. */
static void test_full_disk(struct fixture *fixture)
{
    struct test_image parts = { 0 };
    AUTO_FREE char *large = calloc(1, 900001);
    struct test_store small = { .capacity = 1, .available = 1 };
    struct image_list list;
    struct err err = { 0 };

    memset(large, 'x', 900000);
    test_image_layer(&parts, TAR_GZIP, "large", large);
    test_image_layer(&parts, TAR_GZIP, "large2", large);
    test_image_configure(&parts, NULL, "{}");
    struct buf archive = docker_archive(&parts, "[\"a:1\"]", TAR_PLAIN);
    snprintf(small.dir, sizeof small.dir, "%.30s/small", fixture->test.dir);
    snprintf(small.images, sizeof small.images, "%s/images", small.dir);
    assert_int_equal(mkdir(small.dir, 0755), 0);
    assert_int_equal(mount("tmpfs", small.dir, "tmpfs", 0, "size=1m"), 0);
    virtual_clock_init(&small.clock, 0);
    test_store_open(&small);
    assert_int_equal(test_store_import(&small, buf_str(&archive), STR_NULL, &list, &err), -ERR_NO_SPACE);
    assert_false(test_store_has(&small, "a:1"));
    image_drop(test_store_add(&small, "b:1"));
    assert_true(test_store_has(&small, "b:1"));
    image_store_close(small.store);
    assert_int_equal(umount(small.dir), 0);
    assert_int_equal(rmdir(small.dir), 0);
    buf_deinit(&archive);
    test_image_deinit(&parts);
}

static void (*const cases[])(struct fixture *) = {
    test_layers,     test_many_layers,   test_repeated_layer,        test_read_only,
    test_no_layers,  test_mounted_twice, test_removed_while_mounted, test_busy,
    test_on_overlay, test_bad_folder,    test_implied_folders,       test_full_disk,
};

static void run_all(bool old_kernel)
{
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct fixture fixture;

        setup(&fixture, old_kernel);
        cases[i](&fixture);
        teardown(&fixture);
    }
}

static void test_one_by_one(void **state)
{
    run_all(false);
}

static void test_old_kernel(void **state)
{
    run_all(true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_by_one),
        cmocka_unit_test(test_old_kernel),
    };

    if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0) {
        print_message("mounting takes root: skipped\n");
        return 77;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
