#include "base/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

int file_read(const char *path, size_t max, struct buf *buf, struct err *err)
{
    AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);

    if (fd < 0)
        return err_errno(err, errno, "opening %s", path);
    for (size_t total = 0;;) {
        char *place = buf_reserve(buf, 16384);

        if (!place)
            return err_set(err, ERR_NO_MEMORY, "reading %s", path);
        ssize_t got = read(fd, place, 16384);

        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return err_errno(err, errno, "reading %s", path);
        if (got == 0)
            return 0;
        buf->len += (size_t)got;
        total += (size_t)got;
        if (total > max)
            return err_set(err, ERR_TOO_LARGE, "%s is larger than %zu bytes", path, max);
    }
}

static int write_all(int fd, struct str data)
{
    while (data.len) {
        ssize_t written = write(fd, data.data, data.len);

        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0)
            return -1;
        data = str_skip(data, (size_t)written);
    }
    return 0;
}

static int sync_parent(const char *path)
{
    char parent[PATH_MAX];
    const char *slash = strrchr(path, '/');

    snprintf(parent, sizeof parent, "%.*s", slash ? (int)MAX(slash - path, 1) : 1, slash ? path : ".");
    AUTO_CLOSE int fd = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    return fd < 0 ? -1 : fsync(fd);
}

int file_write_atomic(const char *path, struct str data, mode_t mode, struct err *err)
{
    char temporary[PATH_MAX];

    if (snprintf(temporary, sizeof temporary, "%s.tmp-XXXXXX", path) >= (int)sizeof temporary)
        return err_set(err, ERR_BAD_REQUEST, "%s: path too long", path);
    AUTO_CLOSE int fd = mkostemp(temporary, O_CLOEXEC);

    if (fd < 0)
        return err_errno(err, errno, "creating a temporary file for %s", path);
    if (write_all(fd, data) < 0 || fchmod(fd, mode) < 0 || fsync(fd) < 0 || rename(temporary, path) < 0 ||
        sync_parent(path) < 0) {
        int saved = errno;

        unlink(temporary);
        return err_errno(err, saved, "writing %s", path);
    }
    return 0;
}

int file_make_dirs(const char *path, mode_t mode, struct err *err)
{
    char partial[PATH_MAX];

    if (snprintf(partial, sizeof partial, "%s", path) >= (int)sizeof partial)
        return err_set(err, ERR_BAD_REQUEST, "%s: path too long", path);
    for (char *p = partial + 1;; p++) {
        char saved = *p;

        if (saved && saved != '/')
            continue;
        *p = 0;
        if (mkdir(partial, mode) < 0 && errno != EEXIST)
            return err_errno(err, errno, "making folder %s", partial);
        if (!saved)
            break;
        *p = saved;
    }
    struct stat st;

    if (stat(path, &st) == 0 && !S_ISDIR(st.st_mode))
        return err_set(err, ERR_IO, "%s is not a folder", path);
    return 0;
}

/* Folders deeper than this are first moved up to the top, so that neither the stack nor the descriptors of the process limit
 * how deep a tree may be. */
#define REMOVE_DEPTH 64

struct removal {
    dev_t device;   /* of the top */
    int top;
    unsigned moved; /* folders that were moved up, all in all */
};

static int remove_at(struct removal *removal, int parent, const char *name, int depth, struct err *err);

/* Takes over fd. */
static int remove_entries(struct removal *removal, int fd, int depth, struct err *err)
{
    DIR *dir = fdopendir(fd);

    if (!dir) {
        close(fd);
        return err_errno(err, errno, "reading a folder");
    }
    int result = 0;
    struct dirent *entry;

    while (result == 0 && (entry = readdir(dir)))
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            result = remove_at(removal, dirfd(dir), entry->d_name, depth, err);
    closedir(dir);
    return result;
}

static int open_folder(int parent, const char *name, struct err *err)
{
    int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

    return fd < 0 ? err_errno(err, errno, "opening %s", name) : fd;
}

static int remove_at(struct removal *removal, int parent, const char *name, int depth, struct err *err)
{
    char up[32];
    struct stat st;

    if (fstatat(parent, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return errno == ENOENT ? 0 : err_errno(err, errno, "%s", name);
    if (!S_ISDIR(st.st_mode)) {
        if (unlinkat(parent, name, 0) < 0 && errno != ENOENT)
            return err_errno(err, errno, "removing %s", name);
        return 0;
    }
    if (st.st_dev != removal->device)
        return err_set(err, ERR_IO, "%s is a mount point", name);
    if (depth >= REMOVE_DEPTH) {
        snprintf(up, sizeof up, ".removing-%u", removal->moved++);
        return renameat(parent, name, removal->top, up) < 0 ? err_errno(err, errno, "moving %s", name) : 0;
    }
    int fd = open_folder(parent, name, err);
    int result = fd < 0 ? fd : remove_entries(removal, fd, depth + 1, err);

    if (result == 0 && unlinkat(parent, name, AT_REMOVEDIR) < 0 && errno != ENOENT)
        return err_errno(err, errno, "removing %s", name);
    return result;
}

static int remove_folder(const char *path, dev_t device, struct err *err)
{
    AUTO_CLOSE int top = open_folder(AT_FDCWD, path, err);
    struct removal removal = { device, top, 0 };
    unsigned before;
    int result = top < 0 ? top : 0;

    do {
        before = removal.moved;
        int fd = result == 0 ? open_folder(top, ".", err) : result;

        result = fd < 0 ? fd : remove_entries(&removal, fd, 0, err);
    } while (result == 0 && removal.moved != before);
    if (result == 0 && rmdir(path) < 0 && errno != ENOENT)
        return err_errno(err, errno, "removing the folder");
    return result;
}

int file_remove_tree(const char *path, struct err *err)
{
    struct stat st;
    int result = 0;

    if (lstat(path, &st) < 0)
        result = errno == ENOENT ? 0 : err_errno(err, errno, "looking at it");
    else if (S_ISDIR(st.st_mode))
        result = remove_folder(path, st.st_dev, err);
    else if (unlink(path) < 0 && errno != ENOENT)
        result = err_errno(err, errno, "removing it");
    return result < 0 ? err_wrap(err, result, "removing %s", path) : 0;
}

bool file_exists(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0;
}
