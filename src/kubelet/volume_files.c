#include "kubelet/volume_files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"

static bool path_is_safe(struct str path)
{
    struct str rest = path, part;

    if (!path.len || path.len > 1024 || path.data[0] == '/' || str_has_prefix(path, STR("..")) ||
        memchr(path.data, 0, path.len))
        return false;
    while (str_split(&rest, '/', &part))
        if (!part.len || str_is(part, ".") || str_is(part, "..") || part.len > NAME_MAX)
            return false;
    return true;
}

int volume_files_add(struct volume_files *files, struct str path, struct str data, mode_t mode, struct err *err)
{
    if (!path_is_safe(path))
        return err_set(err, ERR_INVALID, "\"" STR_FMT "\" is not a path within a volume", STR_ARG(path));
    vec_each (&files->files, file)
        if (str_eq(file->path, path)) {
            *file = (struct volume_file){ path, data, mode };
            return 0;
        }
    if (vec_push(&files->files, ((struct volume_file){ path, data, mode })) < 0)
        return err_set(err, ERR_NO_MEMORY, "volume files");
    return 0;
}

void volume_files_deinit(struct volume_files *files)
{
    vec_deinit(&files->files);
}

static bool same_file(const char *folder, const struct volume_file *file)
{
    char path[PATH_MAX];
    struct buf buf = BUF_INIT;
    struct stat st;

    if (snprintf(path, sizeof path, "%s/..data/" STR_FMT, folder, STR_ARG(file->path)) >= (int)sizeof path)
        return false;
    bool same = file_read(path, file->data.len, &buf, NULL) == 0 && str_eq(buf_str(&buf), file->data) &&
                stat(path, &st) == 0 && (st.st_mode & 07777) == file->mode;

    buf_deinit(&buf);
    return same;
}

static size_t count_files(const char *folder, int depth)
{
    DIR *dir = depth < 16 ? opendir(folder) : NULL;
    struct dirent *entry;
    size_t count = 0;

    while (dir && (entry = readdir(dir))) {
        char path[PATH_MAX];

        if (str_is(str_from(entry->d_name), ".") || str_is(str_from(entry->d_name), ".."))
            continue;
        if (entry->d_type != DT_DIR)
            count++;
        else if (snprintf(path, sizeof path, "%s/%s", folder, entry->d_name) < (int)sizeof path)
            count += count_files(path, depth + 1);
    }
    if (dir)
        closedir(dir);
    return count;
}

static bool is_current(const struct volume_files *files, const char *folder)
{
    char data[PATH_MAX];

    if (snprintf(data, sizeof data, "%s/..data", folder) >= (int)sizeof data || !file_exists(data) ||
        count_files(data, 0) != files->files.count)
        return false;
    vec_each (&files->files, file)
        if (!same_file(folder, file))
            return false;
    return true;
}

static int write_file(const char *version, const struct volume_file *file, gid_t gid, struct err *err)
{
    char path[PATH_MAX], parent[PATH_MAX];

    if (snprintf(path, sizeof path, "%s/" STR_FMT, version, STR_ARG(file->path)) >= (int)sizeof path)
        return err_set(err, ERR_INVALID, "path too long");
    snprintf(parent, sizeof parent, "%.*s", (int)(strrchr(path, '/') - path), path);
    int code = file_make_dirs(parent, 0755, err);

    if (code < 0)
        return code;
    AUTO_CLOSE int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);

    if (fd < 0)
        return err_errno(err, errno, "creating %s", path);
    for (struct str rest = file->data; rest.len;) {
        ssize_t written = write(fd, rest.data, rest.len);

        if (written < 0 && errno != EINTR)
            return err_errno(err, errno, "writing %s", path);
        rest = str_skip(rest, (size_t)MAX(written, 0));
    }
    if (fchmod(fd, file->mode) < 0 || (gid != (gid_t)-1 && fchown(fd, (uid_t)-1, gid) < 0))
        return err_errno(err, errno, "setting the mode of %s", path);
    return 0;
}

/* <folder>/first -> ..data/first, for the first part of each path. */
static int link_entry(const char *folder, const struct volume_file *file, struct err *err)
{
    struct str rest = file->path, first;
    char link[PATH_MAX], target[PATH_MAX];

    str_split(&rest, '/', &first);
    if (snprintf(link, sizeof link, "%s/" STR_FMT, folder, STR_ARG(first)) >= (int)sizeof link)
        return err_set(err, ERR_INVALID, "path too long");
    snprintf(target, sizeof target, "..data/" STR_FMT, STR_ARG(first));
    if (symlink(target, link) < 0 && errno != EEXIST)
        return err_errno(err, errno, "linking %s", link);
    return 0;
}

/* Links whose file is gone, and versions that are not the current one. */
static int sweep(const char *folder, const char *current, struct err *err)
{
    DIR *dir = opendir(folder);
    struct dirent *entry;
    char path[PATH_MAX];
    int code = 0;

    while (dir && code == 0 && (entry = readdir(dir))) {
        struct str name = str_from(entry->d_name);

        if (str_is(name, ".") || str_is(name, "..") || str_is(name, "..data") || str_is(name, current) ||
            snprintf(path, sizeof path, "%s/%s", folder, entry->d_name) >= (int)sizeof path)
            continue;
        if (entry->d_type == DT_DIR && str_has_prefix(name, STR("..")))
            code = file_remove_tree(path, err);
        else if (entry->d_type == DT_LNK && !file_exists(path))
            unlink(path);
    }
    if (dir)
        closedir(dir);
    return code;
}

static int write_version(const struct volume_files *files, const char *folder, const char *name, gid_t gid,
                         struct err *err)
{
    char version[PATH_MAX], data[PATH_MAX], fresh[PATH_MAX];

    if (snprintf(version, sizeof version, "%s/%s", folder, name) >= (int)sizeof version ||
        snprintf(fresh, sizeof fresh, "%s/..data_tmp", folder) >= (int)sizeof fresh)
        return err_set(err, ERR_INVALID, "path too long");
    snprintf(data, sizeof data, "%s/..data", folder);
    int code = file_remove_tree(version, err);

    if (code == 0)
        code = file_make_dirs(version, 0755, err);
    for (size_t i = 0; code == 0 && i < files->files.count; i++)
        code = write_file(version, &files->files.items[i], gid, err);
    if (code < 0)
        return code;
    unlink(fresh);
    if (symlink(name, fresh) < 0 || rename(fresh, data) < 0)
        return err_errno(err, errno, "switching %s", data);
    for (size_t i = 0; code == 0 && i < files->files.count; i++)
        code = link_entry(folder, &files->files.items[i], err);
    return code;
}

int volume_files_write(struct arena *arena, const struct volume_files *files, const char *folder, nsec_t wall,
                       gid_t gid, struct err *err)
{
    int code = file_make_dirs(folder, 0755, err);

    if (code < 0)
        return code;
    if (is_current(files, folder))
        return 0;
    const char *name = arena_printf(arena, "..%lld", (long long)wall).data;

    if (!name)
        return err_set(err, ERR_NO_MEMORY, "volume");
    code = write_version(files, folder, name, gid, err);
    return code < 0 ? code : sweep(folder, name, err);
}
