/* place_dir.c - backups in a folder: written as .NAME.partial, synced, renamed. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "base/file.h"
#include "store/backup/place_private.h"

struct place_dir {
    struct place place;
    char path[];
};

static const char *path_of(const struct place *place)
{
    return container_of(place, struct place_dir, place)->path;
}

static int copy(const struct place *place, int from, int to, struct err *err)
{
    char bytes[64 << 10];
    off_t at = 0;

    for (;;) {
        ssize_t got = pread(from, bytes, sizeof bytes, at);

        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return err_errno(err, errno, "reading a backup");
        if (got == 0)
            return 0;
        if (place_stopped(place))
            return err_set(err, ERR_CANCELLED, "stopping");
        int rc = place_write(to, str_of(bytes, (size_t)got));
        if (rc < 0)
            return err_errno(err, -rc, "writing a backup");
        at += got;
    }
}

static int put_as(struct place *place, const char *name, const char *partial, const struct place_data *data,
                  struct err *err)
{
    AUTO_CLOSE int folder = open(path_of(place), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    AUTO_CLOSE int fd =
        folder < 0 ? -1 : openat(folder, partial, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);

    if (fd < 0)
        return err_errno(err, errno, "writing to %s", path_of(place));
    int code = copy(place, data->fd, fd, err);
    if (code == 0 && (fsync(fd) < 0 || renameat(folder, partial, folder, name) < 0 || fsync(folder) < 0))
        code = err_errno(err, errno, "writing to %s", path_of(place));
    if (code < 0)
        unlinkat(folder, partial, 0);
    return code;
}

static int dir_put(struct place *place, const char *name, const struct place_data *data, struct err *err)
{
    char partial[PLACE_NAME_MAX + 16];
    int code = file_make_dirs(path_of(place), 0700, err);

    snprintf(partial, sizeof partial, ".%s.partial", name);
    return code < 0 ? code : put_as(place, name, partial, data, err);
}

static int dir_get(struct place *place, const char *name, int fd, struct err *err)
{
    AUTO_CLOSE int folder = open(path_of(place), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    AUTO_CLOSE int from = folder < 0 ? -1 : openat(folder, name, O_RDONLY | O_CLOEXEC);

    if (from < 0)
        return err_errno(err, errno, "opening %s/%s", path_of(place), name);
    return copy(place, from, fd, err);
}

static int dir_list(struct place *place, struct place_names *names, struct err *err)
{
    DIR *dir = opendir(path_of(place));
    struct dirent *entry;
    int code = 0;

    if (!dir)
        return errno == ENOENT ? 0 : err_errno(err, errno, "reading %s", path_of(place));
    while (code == 0 && (entry = readdir(dir)))
        code = place_names_add(names, str_from(entry->d_name), err);
    closedir(dir);
    return code;
}

static void dir_free(struct place *place)
{
    free(container_of(place, struct place_dir, place));
}

static const struct place_kind dir_kind = { dir_put, dir_get, dir_list, dir_free };

int place_dir_new(const char *path, struct place **ret_place, struct err *err)
{
    size_t len = strlen(path);
    struct place_dir *dir = calloc(1, sizeof *dir + len + 1);

    if (!dir)
        return err_set(err, ERR_NO_MEMORY, "%s", path);
    dir->place.kind = &dir_kind;
    memcpy(dir->path, path, len);
    *ret_place = &dir->place;
    return 0;
}
