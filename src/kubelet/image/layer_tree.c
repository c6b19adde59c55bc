/* layer_tree.c - the entries of a hostile archive.
 *
 * Two rules keep every entry inside. A path is first cleaned as text: ".." cannot climb above the root. Then the
 * folder it lies in is opened with openat2(RESOLVE_IN_ROOT), so that a symbolic link an earlier entry made leads to
 * where it would lead in the container, never to the host; and the last part of the path is only ever used with calls
 * that do not follow links, on a name that was removed first.
 *
 * A layer is unpacked alone, without those below it, in the form that overlayfs stacks: ".wh.name" becomes a
 * character device 0/0 and ".wh..wh..opq" the attribute trusted.overlay.opaque. When an archive has both a whiteout
 * and a folder of the same name, the folder must hide what is below it: it becomes opaque. Attributes of overlayfs
 * themselves are never taken from an archive: they could redirect a folder to another layer.
 *
 * Order of the metadata matters: owner before mode (chown clears set-uid), both before security.capability (chown
 * clears it too), times last; those of folders at the very end, as adding children changes them. */
#include "kubelet/image/layer_tree.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/file.h"
#include "kubelet/image/layer_meta.h"

#define DEFAULT_MAX_BYTES (64ULL << 30)
#define DEFAULT_MAX_ENTRIES 4000000ULL
#define MAX_DEPTH 255
#define MEMORY_MAX (256u << 20) /* for the names of folders */

int layer_clean_path(struct str path, char ret_path[LAYER_PATH_MAX], struct err *err)
{
    struct str part;
    size_t len = 0;
    int depth = 0;

    if (path.len >= LAYER_PATH_MAX)
        return err_set(err, ERR_INVALID, "a path is longer than %d bytes", LAYER_PATH_MAX - 1);
    while (str_split(&path, '/', &part)) {
        if (part.len == 0 || str_is(part, "."))
            continue;
        if (str_is(part, "..")) {
            ssize_t slash = str_rchr(str_of(ret_path, len), '/');
            len = slash < 0 ? 0 : (size_t)slash;
            depth -= depth > 0;
            continue;
        }
        if (++depth > MAX_DEPTH)
            return err_set(err, ERR_INVALID, "a path is deeper than %d folders", MAX_DEPTH);
        if (len)
            ret_path[len++] = '/';
        memcpy(ret_path + len, part.data, part.len);
        len += part.len;
    }
    ret_path[len] = 0;
    return 0;
}

int layer_tree_init(struct layer_tree *tree, int root, const struct layer_limits *limits, struct err *err)
{
    *tree = (struct layer_tree){ .root = root, .own_ids = geteuid() != 0, .parent.fd = -1 };
    if (limits)
        tree->limits = *limits;
    if (!tree->limits.max_bytes)
        tree->limits.max_bytes = DEFAULT_MAX_BYTES;
    if (!tree->limits.max_entries)
        tree->limits.max_entries = DEFAULT_MAX_ENTRIES;
    arena_init(&tree->arena, MEMORY_MAX);
    map_init(&tree->implied);
    if (map_put(&tree->implied, STR(""), tree, NULL) < 0) /* until the archive has an entry for the root */
        return err_set(err, ERR_NO_MEMORY, "unpacking");
    return 0;
}

static void forget_parent(struct layer_tree *tree)
{
    if (tree->parent.fd >= 0)
        close(tree->parent.fd);
    tree->parent.fd = -1;
}

void layer_tree_deinit(struct layer_tree *tree)
{
    forget_parent(tree);
    vec_deinit(&tree->folders);
    map_deinit(&tree->implied);
    arena_deinit(&tree->arena);
}

/* As the container would see path; "" is the root itself. */
static int open_inside(const struct layer_tree *tree, const char *path)
{
    const struct open_how how = {
        .flags = O_PATH | O_DIRECTORY | O_CLOEXEC,
        .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_XDEV,
    };

    return (int)syscall(SYS_openat2, tree->root, *path ? path : ".", &how, sizeof how);
}

static bool is_whiteout(int dir, const char *name)
{
    struct stat st;

    return fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISCHR(st.st_mode) && st.st_rdev == makedev(0, 0);
}

static int open_folder(int dir, const char *name)
{
    return openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

static int set_opaque(int dir, const char *name, struct err *err)
{
    AUTO_CLOSE int fd = open_folder(dir, name);

    if (fd < 0 || fsetxattr(fd, "trusted.overlay.opaque", "y", 1, 0) < 0)
        return err_errno(err, errno, "hiding what lies below folder %s", name);
    return 0;
}

/* A folder that the archive did not list before its children. */
static int make_implied(struct layer_tree *tree, int dir, const char *name, const char *path, struct err *err)
{
    bool hides = is_whiteout(dir, name);
    struct str key = arena_str(&tree->arena, str_from(path));

    if (!key.data || map_put(&tree->implied, key, (void *)key.data, NULL) < 0)
        return err_set(err, ERR_NO_MEMORY, "unpacking %s", path);
    if (hides && unlinkat(dir, name, 0) < 0)
        return err_errno(err, errno, "replacing %s", path);
    if (mkdirat(dir, name, 0755) < 0)
        return err_errno(err, errno, "making folder %s", path);
    if (fchmodat(dir, name, 0755, 0) < 0)
        return err_errno(err, errno, "making folder %s", path);
    return hides ? set_opaque(dir, name, err) : 0;
}

/* Opens every prefix of path in turn, making those that are not there. */
static int make_parents(struct layer_tree *tree, char *path, struct err *err)
{
    int fd = open_inside(tree, "");

    for (char *start = path; fd >= 0 && *start;) {
        char *end = strchrnul(start, '/'), saved = *end;
        *end = 0;
        int next = open_inside(tree, path);
        if (next < 0 && (errno == ENOENT || (errno == ENOTDIR && is_whiteout(fd, start)))) {
            int r = make_implied(tree, fd, start, path, err);
            if (r < 0) {
                close(fd);
                return r;
            }
            next = open_inside(tree, path);
        }
        int saved_errno = errno;
        close(fd);
        errno = saved_errno;
        fd = next;
        if (fd < 0)
            return err_set(err, ERR_INVALID, "%s is not a folder that files can lie in: %s", path, strerror(errno));
        *end = saved;
        start = saved ? end + 1 : end;
    }
    return fd < 0 ? err_errno(err, errno, "opening the layer's folder") : fd;
}

/* Splits a clean path and opens its parent (kept for the next entry); the descriptor is not the caller's. */
static int open_parent(struct layer_tree *tree, const char *path, const char **ret_name, int *ret_fd, struct err *err)
{
    char parent[LAYER_PATH_MAX];
    const char *slash = strrchr(path, '/');
    int len = slash ? (int)(slash - path) : 0;

    snprintf(parent, sizeof parent, "%.*s", len, path);
    *ret_name = slash ? slash + 1 : path;
    if (tree->parent.fd < 0 || strcmp(parent, tree->parent.path) != 0) {
        forget_parent(tree);
        int fd = open_inside(tree, parent);
        if (fd < 0)
            fd = make_parents(tree, parent, err);
        if (fd < 0)
            return fd;
        tree->parent.fd = fd;
        snprintf(tree->parent.path, sizeof tree->parent.path, "%.*s", len, path);
    }
    *ret_fd = tree->parent.fd;
    return 0;
}

/* Removes what an earlier entry put at path, so that something else can be made there. *dir and *name are opened anew,
 * as what was removed may be a link that the way to it went through. *ret_whiteout: it was a whiteout. */
static int clear_place(struct layer_tree *tree, const char *path, const char **name, int *dir, bool *ret_whiteout,
                       struct err *err)
{
    char full[64 + LAYER_PATH_MAX];
    struct stat st;
    int r = 0;

    *ret_whiteout = false;
    if (fstatat(*dir, *name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return errno == ENOENT ? 0 : err_errno(err, errno, "looking at %s", *name);
    if (S_ISDIR(st.st_mode)) {
        snprintf(full, sizeof full, "/proc/self/fd/%d/%s", *dir, *name);
        r = file_remove_tree(full, err);
    } else {
        *ret_whiteout = S_ISCHR(st.st_mode) && st.st_rdev == makedev(0, 0);
        if (unlinkat(*dir, *name, 0) < 0)
            r = err_errno(err, errno, "replacing %s", *name);
    }
    forget_parent(tree);
    return r < 0 ? r : open_parent(tree, path, name, dir, err);
}

static int write_data(struct layer_tree *tree, struct archive *archive, struct archive_entry *entry, int fd,
                      struct err *err)
{
    int64_t size = archive_entry_size(entry), end = 0;
    const void *block;
    size_t len;
    la_int64_t offset;
    int r;

    if (size < 0 || (uint64_t)size > tree->limits.max_bytes - MIN(tree->bytes, tree->limits.max_bytes))
        return err_set(err, ERR_TOO_LARGE, "the files of the layer are larger than %llu bytes",
                       (unsigned long long)tree->limits.max_bytes);
    while ((r = archive_read_data_block(archive, &block, &len, &offset)) == ARCHIVE_OK) {
        if (offset < end || offset > size || len > (uint64_t)(size - offset))
            return err_set(err, ERR_INVALID, "a file has more data than its size says");
        for (size_t done = 0; done < len;) {
            ssize_t n = pwrite(fd, (const char *)block + done, len - done, offset + (la_int64_t)done);
            if (n < 0 && errno != EINTR)
                return err_errno(err, errno, "writing a file");
            done += n > 0 ? (size_t)n : 0;
        }
        end = offset + (la_int64_t)len;
    }
    if (r != ARCHIVE_EOF)
        return err_set(err, ERR_INVALID, "reading the archive: %s", layer_archive_error(archive));
    if (end != size && ftruncate(fd, size) < 0)
        return err_errno(err, errno, "setting the size of a file");
    tree->bytes += (uint64_t)size;
    return 0;
}

static int add_file(struct layer_tree *tree, struct archive *archive, struct archive_entry *entry, int dir,
                    const char *name, struct err *err)
{
    AUTO_CLOSE int fd = openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);

    if (fd < 0)
        return err_errno(err, errno, "creating");
    int r = write_data(tree, archive, entry, fd, err);
    return r < 0 ? r : layer_meta_file(fd, entry, tree->own_ids, err);
}

static int add_folder(struct layer_tree *tree, struct archive_entry *entry, const char *path, int dir, const char *name,
                      struct err *err)
{
    struct str key = arena_str(&tree->arena, str_from(path));
    bool whiteout = false;
    struct stat st;
    int r;

    if (!key.data || vec_room(&tree->folders, 1) < 0)
        return err_set(err, ERR_NO_MEMORY, "folder");
    if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISDIR(st.st_mode)) {
        if ((r = clear_place(tree, path, &name, &dir, &whiteout, err)) < 0)
            return r;
        if (mkdirat(dir, name, 0700) < 0)
            return err_errno(err, errno, "making a folder");
        if (whiteout && (r = set_opaque(dir, name, err)) < 0)
            return r;
    }
    AUTO_CLOSE int fd = open_folder(dir, name);
    if (fd < 0)
        return err_errno(err, errno, "opening a folder");
    map_remove(&tree->implied, key);
    tree->folders.items[tree->folders.count++] =
        (struct layer_folder){ key, archive_entry_mtime(entry), archive_entry_mtime_nsec(entry) };
    return layer_meta_file(fd, entry, tree->own_ids, err);
}

/* The root's own entry ("./"): only its metadata counts. */
static int add_root(struct layer_tree *tree, struct archive_entry *entry, struct err *err)
{
    AUTO_CLOSE int fd = openat(tree->root, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0)
        return err_errno(err, errno, "opening the layer's folder");
    if (archive_entry_filetype(entry) != AE_IFDIR)
        return err_set(err, ERR_INVALID, "the root is not a folder");
    if (vec_push(&tree->folders,
                 ((struct layer_folder){ STR(""), archive_entry_mtime(entry), archive_entry_mtime_nsec(entry) })) < 0)
        return err_set(err, ERR_NO_MEMORY, "folder");
    map_remove(&tree->implied, STR(""));
    return layer_meta_file(fd, entry, tree->own_ids, err);
}

/* ".wh.name": name of the lower layers is gone. */
static int add_whiteout(int dir, const char *name, struct err *err)
{
    struct stat st;

    if (!*name || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
        return err_set(err, ERR_INVALID, "a whiteout without a name");
    if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0) /* this layer has the name too, and wins */
        return S_ISDIR(st.st_mode) ? set_opaque(dir, name, err) : 0;
    if (errno != ENOENT)
        return err_errno(err, errno, "looking at %s", name);
    if (mknodat(dir, name, S_IFCHR, makedev(0, 0)) < 0)
        return err_errno(err, errno, "making a whiteout");
    return 0;
}

static int add_hardlink(struct layer_tree *tree, const char *target, int dir, const char *name, struct err *err)
{
    char path[LAYER_PATH_MAX], parent[LAYER_PATH_MAX];
    int r = layer_clean_path(str_from(target), path, err);

    if (r < 0)
        return r;
    const char *slash = strrchr(path, '/');
    snprintf(parent, sizeof parent, "%.*s", slash ? (int)(slash - path) : 0, path);
    AUTO_CLOSE int from = open_inside(tree, parent);
    const char *base = slash ? slash + 1 : path;
    if (from < 0 || linkat(from, base, dir, name, 0) < 0)
        return err_set(err, ERR_INVALID, "hard link to %s: %s", target, strerror(errno));
    return 0;
}

/* Everything that is neither a folder nor a link to something else. */
static int add_node(struct layer_tree *tree, struct archive *archive, struct archive_entry *entry, int dir,
                    const char *name, struct err *err)
{
    const char *target = archive_entry_symlink(entry);
    mode_t type = archive_entry_filetype(entry);

    switch (type) {
    case AE_IFREG: return add_file(tree, archive, entry, dir, name, err);
    case AE_IFLNK:
        if (!target || !*target || strlen(target) >= LAYER_PATH_MAX)
            return err_set(err, ERR_INVALID, "a symbolic link without a usable target");
        if (symlinkat(target, dir, name) < 0)
            return err_errno(err, errno, "making a symbolic link");
        return layer_meta_link(dir, name, entry, tree->own_ids, err);
    case AE_IFIFO:
    case AE_IFCHR:
    case AE_IFBLK:
        if (mknodat(dir, name, type | 0600, type == AE_IFIFO ? 0 : archive_entry_rdev(entry)) < 0)
            return err_errno(err, errno, "making a device");
        return layer_meta_device(dir, name, entry, tree->own_ids, err);
    default: return err_set(err, ERR_INVALID, "an entry of unknown type %o", (unsigned)type);
    }
}

static int add_named(struct layer_tree *tree, struct archive *archive, struct archive_entry *entry, const char *path,
                     struct err *err)
{
    const char *name, *target = archive_entry_hardlink(entry);
    bool was_whiteout;
    int dir, r = open_parent(tree, path, &name, &dir, err);

    if (r < 0)
        return r;
    if (strcmp(name, ".wh..wh..opq") == 0)
        return set_opaque(dir, ".", err);
    if (strncmp(name, ".wh..wh.", 8) == 0)
        return 0; /* aufs' own bookkeeping */
    if (strncmp(name, ".wh.", 4) == 0)
        return add_whiteout(dir, name + 4, err);
    if (!target && archive_entry_filetype(entry) == AE_IFDIR)
        return add_folder(tree, entry, path, dir, name, err);
    r = clear_place(tree, path, &name, &dir, &was_whiteout, err);
    if (r < 0)
        return r;
    return target ? add_hardlink(tree, target, dir, name, err) : add_node(tree, archive, entry, dir, name, err);
}

int layer_tree_add(struct layer_tree *tree, struct archive *archive, struct archive_entry *entry, struct err *err)
{
    const char *raw = archive_entry_pathname(entry);
    char path[LAYER_PATH_MAX];
    int r;

    if (++tree->entries > tree->limits.max_entries)
        return err_set(err, ERR_TOO_LARGE, "the layer has more than %llu entries",
                       (unsigned long long)tree->limits.max_entries);
    if (!raw)
        return err_set(err, ERR_INVALID, "an entry without a usable name");
    r = layer_clean_path(str_from(raw), path, err);
    if (r == 0)
        r = *path ? add_named(tree, archive, entry, path, err) : add_root(tree, entry, err);
    return r < 0 ? err_wrap(err, r, "%.200s", raw) : 0;
}

int layer_tree_finish(struct layer_tree *tree, struct err *err)
{
    forget_parent(tree);
    for (size_t i = 0; i < tree->folders.count; i++) {
        const struct layer_folder *folder = &tree->folders.items[i];
        const struct timespec times[2] = { { folder->seconds, folder->nanoseconds },
                                           { folder->seconds, folder->nanoseconds } };
        char name[64];
        AUTO_CLOSE int fd = open_inside(tree, folder->path.data);
        if (fd < 0)
            continue; /* a later entry replaced it */
        snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
        if (utimensat(AT_FDCWD, name, times, 0) < 0)
            return err_errno(err, errno, "setting the time of %s", folder->path.data);
    }
    return 0;
}
