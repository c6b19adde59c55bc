/* rootfs.c - overlayfs with many layers.
 *
 * mount(2) takes its options as one text of at most a page, which some forty absolute paths fill. So the newer mount
 * interface is tried first: it takes the lower folders one by one (since Linux 6.8). Where it does not know that, a
 * thread of its own moves to layers/ and mounts with short relative names; a thread can have a working folder of its
 * own (CLONE_FS). Either way the table of mounts names the layers, which is what protects them (layer_store.c).
 *
 * A layer that occurs twice in an image is mounted once, at its topmost place: what lies lower cannot be seen through
 * it, and overlayfs refuses the same folder twice.
 *
 * The upper folder dies with its container, so nothing need reach the disk when it is unmounted: "volatile". */
#include "kubelet/image/rootfs.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <linux/mount.h>
#include <sched.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/file.h"
#include "kubelet/image/store_private.h"

#define PAGE_OPTIONS 4095

struct overlay {
    struct image_store *store;
    const char *dir;
    bool read_only, old_kernel;
    char lowers[IMAGE_LAYERS_MAX + 2][LAYER_NAME_LEN + 4]; /* "<name>/fs", top first */
    size_t lower_count;
    char upper[PATH_MAX], work[PATH_MAX], target[PATH_MAX], empty[PATH_MAX];
};

static int sub_path(const char *dir, const char *name, char ret_path[PATH_MAX], struct err *err)
{
    if (snprintf(ret_path, PATH_MAX, "%s/%s", dir, name) >= PATH_MAX)
        return err_set(err, ERR_INVALID, "%s: path too long", dir);
    return 0;
}

static bool has_lower(const struct overlay *overlay, const char *lower)
{
    for (size_t i = 0; i < overlay->lower_count; i++)
        if (strcmp(overlay->lowers[i], lower) == 0)
            return true;
    return false;
}

static int add_lower(struct overlay *overlay, const struct digest *diff_id, struct err *err)
{
    char name[LAYER_NAME_LEN + 1], path[PATH_MAX], *lower = overlay->lowers[overlay->lower_count];

    layer_name(diff_id, name);
    snprintf(lower, sizeof overlay->lowers[0], "%s/fs", name);
    snprintf(path, sizeof path, "%s/layers/%s", overlay->store->dir, lower);
    if (!file_exists(path))
        return err_set(err, ERR_NOT_FOUND, "layer %s is not in the store", name);
    overlay->lower_count += !has_lower(overlay, lower);
    return 0;
}

static int list_lowers(struct overlay *overlay, const struct image *image, struct err *err)
{
    int r = image->attributes.text[0] ? add_lower(overlay, &image->attributes, err) : 0;

    for (size_t i = image->layer_count; i-- > 0 && r == 0;)
        r = add_lower(overlay, &image->layers[i].diff_id, err);
    return r < 0 ? err_wrap(err, r, "image %s", image->id.text) : 0;
}

/* The root of the container looks like the root of the topmost layer. */
static int copy_root_attributes(const struct overlay *overlay, struct err *err)
{
    char path[PATH_MAX];
    struct stat st;

    if (overlay->lower_count == 0)
        return chmod(overlay->upper, 0755) < 0 ? err_errno(err, errno, "%s", overlay->upper) : 0;
    snprintf(path, sizeof path, "%s/layers/%s", overlay->store->dir, overlay->lowers[0]);
    if (stat(path, &st) < 0 || chown(overlay->upper, st.st_uid, st.st_gid) < 0 ||
        chmod(overlay->upper, st.st_mode & 07777) < 0)
        return err_errno(err, errno, "root folder of the container");
    return 0;
}

static int make_folder(const char *path, struct err *err)
{
    return mkdir(path, 0755) < 0 && errno != EEXIST ? err_errno(err, errno, "making folder %s", path) : 0;
}

static int make_folders(struct overlay *overlay, struct err *err)
{
    int r = file_make_dirs(overlay->dir, 0711, err);

    if (r < 0 || (r = sub_path(overlay->dir, "upper", overlay->upper, err)) < 0 ||
        (r = sub_path(overlay->dir, "work", overlay->work, err)) < 0 ||
        (r = sub_path(overlay->dir, "rootfs", overlay->target, err)) < 0 ||
        (r = sub_path(overlay->dir, "empty", overlay->empty, err)) < 0 || (r = make_folder(overlay->target, err)) < 0)
        return r;
    if (overlay->read_only) /* overlayfs wants two lower folders when there is no upper one */
        return make_folder(overlay->empty, err);
    if ((r = make_folder(overlay->upper, err)) < 0 || (r = make_folder(overlay->work, err)) < 0)
        return r;
    return copy_root_attributes(overlay, err);
}

/* -- the interface that takes one folder at a time -- */

static int set_string(int fs, const char *key, const char *value)
{
    return (int)syscall(SYS_fsconfig, fs, FSCONFIG_SET_STRING, key, value, 0);
}

static int configure(int fs, const struct overlay *overlay)
{
    char path[PATH_MAX];

    for (size_t i = 0; i < overlay->lower_count; i++) {
        snprintf(path, sizeof path, "%s/layers/%s", overlay->store->dir, overlay->lowers[i]);
        if (set_string(fs, "lowerdir+", path) < 0)
            return -1;
    }
    if ((overlay->read_only || overlay->lower_count == 0) && set_string(fs, "lowerdir+", overlay->empty) < 0)
        return -1;
    if (!overlay->read_only &&
        (set_string(fs, "upperdir", overlay->upper) < 0 || set_string(fs, "workdir", overlay->work) < 0 ||
         syscall(SYS_fsconfig, fs, FSCONFIG_SET_FLAG, "volatile", NULL, 0) < 0))
        return -1;
    set_string(fs, "source", "caravel");
    if (set_string(fs, "index", "off") < 0)
        return -1;
    return (int)syscall(SYS_fsconfig, fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0);
}

static int mount_one_by_one(const struct overlay *overlay)
{
    AUTO_CLOSE int fs = (int)syscall(SYS_fsopen, "overlay", FSOPEN_CLOEXEC);

    if (fs < 0 || configure(fs, overlay) < 0)
        return -1;
    AUTO_CLOSE int mounted = (int)syscall(SYS_fsmount, fs, FSMOUNT_CLOEXEC, overlay->read_only ? MOUNT_ATTR_RDONLY : 0);
    return mounted < 0 ? -1
                       : (int)syscall(SYS_move_mount, mounted, "", AT_FDCWD, overlay->target, MOVE_MOUNT_F_EMPTY_PATH);
}

/* -- one text, relative to layers/ -- */

struct relative_mount {
    const struct overlay *overlay;
    const char *options;
    int result; /* errno */
};

static void mount_in_layers(void *arg)
{
    struct relative_mount *relative = arg;
    const struct overlay *overlay = relative->overlay;
    char layers[PATH_MAX];

    snprintf(layers, sizeof layers, "%s/layers", overlay->store->dir);
    if (unshare(CLONE_FS) < 0 || chdir(layers) < 0 ||
        mount("caravel", overlay->target, "overlay", overlay->read_only ? MS_RDONLY : 0, relative->options) < 0)
        relative->result = errno;
}

static void write_options(const struct overlay *overlay, bool keep_unwritten, struct buf *options)
{
    buf_add_cstr(options, "index=off,lowerdir=");
    for (size_t i = 0; i < overlay->lower_count; i++)
        buf_printf(options, "%s%s", i ? ":" : "", overlay->lowers[i]);
    if (overlay->read_only || overlay->lower_count == 0)
        buf_printf(options, "%s%s", overlay->lower_count ? ":" : "", overlay->empty);
    if (!overlay->read_only)
        buf_printf(options, ",upperdir=%s,workdir=%s%s", overlay->upper, overlay->work,
                   keep_unwritten ? ",volatile" : "");
    buf_add_char(options, 0);
}

static int mount_at_once(const struct overlay *overlay, bool keep_unwritten, struct err *err)
{
    AUTO_DEINIT(buf, options) = BUF_INIT;
    struct thread thread = { 0 };

    write_options(overlay, keep_unwritten, &options);
    if (!buf_ok(&options))
        return err_set(err, ERR_NO_MEMORY, "mounting");
    if (options.len > PAGE_OPTIONS)
        return err_set(err, ERR_TOO_LARGE, "the image has too many layers (%zu) for this kernel: Linux 6.8 takes them",
                       overlay->lower_count);
    struct relative_mount relative = { overlay, options.data, 0 };
    int r = thread_start(&thread, "mount", mount_in_layers, &relative, err);
    if (r < 0)
        return r;
    thread_join(&thread);
    return relative.result ? err_errno(err, relative.result, "mounting an overlay on %s", overlay->target) : 0;
}

/* Why the kernel said no, where it can be told. */
static int explain(const struct overlay *overlay, int r, struct err *err)
{
    const char *const places[] = { overlay->dir, overlay->store->dir };
    struct statfs st;

    for (size_t i = 0; i < ARRAY_LEN(places); i++)
        if (statfs(places[i], &st) == 0 && st.f_type == OVERLAYFS_SUPER_MAGIC)
            return err_set(err, ERR_NOT_SUPPORTED,
                           "%s lies on an overlay file system, which cannot carry another one: put the data folder on "
                           "ext4, xfs, btrfs or tmpfs (in a container: on a volume)",
                           places[i]);
    if (geteuid() != 0)
        return err_set(err, ERR_NOT_SUPPORTED, "mounting an overlay on %s takes root", overlay->target);
    return r;
}

static int mount_overlay(const struct overlay *overlay, struct err *err)
{
    if (!overlay->old_kernel && mount_one_by_one(overlay) == 0)
        return 0;
    int r = mount_at_once(overlay, true, err);
    if (r < 0) /* "volatile" came with Linux 5.10 */
        r = mount_at_once(overlay, false, err);
    return r < 0 ? explain(overlay, r, err) : 0;
}

static bool is_mount_point(const char *path)
{
    struct stat here, above;
    char parent[PATH_MAX];

    if (sub_path(path, "..", parent, NULL) < 0 || lstat(path, &here) < 0 || stat(parent, &above) < 0)
        return false;
    return here.st_dev != above.st_dev;
}

static int check_options(const struct rootfs_options *options, struct err *err)
{
    char target[PATH_MAX];
    int r = sub_path(options->dir, "rootfs", target, err);

    if (r < 0)
        return r;
    if (options->dir[0] != '/' || strpbrk(options->dir, ":,\\\n"))
        return err_set(err, ERR_INVALID, "the container's folder \"%s\" must be absolute, without ':', ',' or '\\'",
                       options->dir);
    if (is_mount_point(target))
        return err_set(err, ERR_ALREADY_EXISTS, "%s is mounted already", target);
    return 0;
}

int rootfs_mount(struct image_store *store, const struct image *image, const struct rootfs_options *options,
                 struct str *ret_path, struct arena *arena, struct err *err)
{
    AUTO_FREE struct overlay *overlay = calloc(1, sizeof *overlay);
    AUTO_CLOSE int lock = -1;
    int r = overlay ? check_options(options, err) : err_set(err, ERR_NO_MEMORY, "root file system");

    if (r < 0)
        return r;
    overlay->store = store;
    overlay->dir = options->dir;
    overlay->read_only = options->read_only;
    overlay->old_kernel = options->old_kernel;
    if ((r = store_lock(store, false, &lock, err)) < 0 || (r = list_lowers(overlay, image, err)) < 0)
        return err_wrap(err, r, "root file system");
    if ((r = make_folders(overlay, err)) == 0 && overlay->lower_count == 0)
        r = make_folder(overlay->empty, err);
    if (r == 0)
        r = mount_overlay(overlay, err);
    struct str path = r == 0 ? arena_str(arena, str_from(overlay->target)) : STR_NULL;
    if (r == 0 && !path.data)
        r = err_set(err, ERR_NO_MEMORY, "root file system");
    if (r < 0) {
        rootfs_unmount(options->dir, NULL);
        return err_wrap(err, r, "root file system");
    }
    *ret_path = path;
    return 0;
}

static int detach(const char *target, struct err *err)
{
    while (is_mount_point(target)) {
        if (umount2(target, UMOUNT_NOFOLLOW) == 0)
            continue;
        if (errno != EBUSY || umount2(target, UMOUNT_NOFOLLOW | MNT_DETACH) < 0)
            return err_errno(err, errno, "unmounting %s", target);
    }
    return 0;
}

int rootfs_unmount(const char *dir, struct err *err)
{
    static const char *const names[] = { "rootfs", "work", "upper", "empty" };
    char path[PATH_MAX];
    int r;

    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if ((r = sub_path(dir, names[i], path, err)) < 0 || (i == 0 && (r = detach(path, err)) < 0) ||
            (r = file_remove_tree(path, err)) < 0)
            return r;
    return 0;
}
