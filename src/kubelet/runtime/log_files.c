/* log_files.c - finding, rotating and removing the files of a log.
 *
 * A rotated file is named by the time of its rotation, "0.log.20260102-150405", so the order of names is the order of
 * time. conmon makes the new current file beside as "0.log.tmp" and renames it; such names do not count.
 *
 * While files are opened a rotation may move them: the current file is opened first, and a rotated one that is the same
 * file is left out. */
#include "kubelet/runtime/log_files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/vec.h"
#include "kubelet/runtime/container_log.h"

#define SUFFIX_LEN 16 /* ".20260102-150405" */

static bool is_rotation_suffix(const char *suffix)
{
    if (strlen(suffix) != SUFFIX_LEN || suffix[0] != '.' || suffix[9] != '-')
        return false;
    for (int i = 1; i < SUFFIX_LEN; i++)
        if (i != 9 && (suffix[i] < '0' || suffix[i] > '9'))
            return false;
    return true;
}

struct names {
    char **items;
    size_t count, cap;
};

static void names_deinit(struct names *names)
{
    for (size_t i = 0; i < names->count; i++)
        free(names->items[i]);
    vec_deinit(names);
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The full paths of the rotated files, sorted. */
static int list_rotated(const char *path, struct names *names, struct err *err)
{
    const char *slash = strrchr(path, '/');
    const char *base = slash ? slash + 1 : path;
    size_t base_len = strlen(base), dir_len = slash ? (size_t)(slash - path) : 0;
    char dir[PATH_MAX] = ".", full[PATH_MAX];
    struct dirent *item;
    int r = 0;

    if (strlen(path) + SUFFIX_LEN >= PATH_MAX)
        return err_set(err, ERR_INVALID, "path too long: %s", path);
    if (slash)
        snprintf(dir, sizeof dir, "%.*s", dir_len ? (int)dir_len : 1, path);
    DIR *folder = opendir(dir);
    if (!folder)
        return err_errno(err, errno, "reading %s", dir);
    while (r == 0 && (item = readdir(folder))) {
        if (strncmp(item->d_name, base, base_len) != 0 || !is_rotation_suffix(item->d_name + base_len))
            continue;
        snprintf(full, sizeof full, "%s%.*s", path, SUFFIX_LEN, item->d_name + base_len);
        char *copy = str_dup(str_from(full));
        if (!copy || vec_push(names, copy) < 0) {
            free(copy);
            r = err_set(err, ERR_NO_MEMORY, "list of log files");
        }
    }
    closedir(folder);
    if (names->count)
        qsort(names->items, names->count, sizeof *names->items, compare_names);
    return r;
}

void log_files_deinit(struct log_files *files)
{
    for (size_t i = 0; i < files->count; i++) {
        free(files->items[i].path);
        close(files->items[i].fd);
    }
    free(files->items);
    *files = (struct log_files){ 0 };
}

/* False: it is not there, or is no ordinary file. */
static bool open_one(const char *path, struct log_file *file)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    struct stat st;

    if (fd < 0)
        return false;
    if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
        close(fd);
        return false;
    }
    *file = (struct log_file){ .path = str_dup(str_from(path)), .fd = fd, .device = st.st_dev, .inode = st.st_ino,
                               .size = st.st_size };
    return true;
}

static bool is_known(const struct log_files *files, const struct log_file *file)
{
    for (size_t i = 0; i < files->count; i++)
        if (files->items[i].device == file->device && files->items[i].inode == file->inode)
            return true;
    return false;
}

int log_files_open(const char *path, struct log_files *ret_files, struct err *err)
{
    __attribute__((cleanup(names_deinit))) struct names names = { 0 };
    __attribute__((cleanup(log_files_deinit))) struct log_files files = { 0 };
    struct log_file current = { .fd = -1 }, one;

    bool have_current = open_one(path, &current);
    int r = list_rotated(path, &names, err);
    if (r == 0)
        files.items = calloc(names.count + 1, sizeof *files.items);
    if (r == 0 && !files.items)
        r = err_set(err, ERR_NO_MEMORY, "list of log files");
    for (size_t i = 0; r == 0 && i < names.count; i++) {
        if (!open_one(names.items[i], &one))
            continue;
        if (have_current && one.device == current.device && one.inode == current.inode) {
            /* Rotated since: this is its place now, and its successor is not ours to show yet. */
            free(one.path);
            close(one.fd);
            continue;
        }
        files.items[files.count++] = one;
    }
    if (have_current && r == 0 && !is_known(&files, &current))
        files.items[files.count++] = current;
    else if (have_current) {
        free(current.path);
        close(current.fd);
    }
    if (r < 0)
        return r;
    if (files.count == 0)
        return err_set(err, ERR_NOT_FOUND, "no log at %s", path);
    *ret_files = files;
    files = (struct log_files){ 0 };
    return 0;
}

static int remove_oldest(const char *path, size_t keep, struct err *err)
{
    __attribute__((cleanup(names_deinit))) struct names names = { 0 };

    int r = list_rotated(path, &names, err);
    for (size_t i = 0; r == 0 && i + keep < names.count; i++)
        if (unlink(names.items[i]) < 0 && errno != ENOENT)
            r = err_errno(err, errno, "removing %s", names.items[i]);
    return r;
}

/* When that file was rotated, by its name. */
static time_t rotation_time(const char *name)
{
    const char *suffix = name + strlen(name) - SUFFIX_LEN;
    struct tm tm = { 0 };

    if (sscanf(suffix, ".%4d%2d%2d-%2d%2d%2d", &tm.tm_year, &tm.tm_mon, &tm.tm_mday, &tm.tm_hour, &tm.tm_min,
               &tm.tm_sec) != 6)
        return 0;
    tm.tm_year -= 1900;
    tm.tm_mon--;
    return timegm(&tm);
}

/* By now, but later than the last one: also when both fall into one second or the clock was put back, the order of
 * names stays that of the files. */
static int rename_away(const char *path, nsec_t now, struct err *err)
{
    __attribute__((cleanup(names_deinit))) struct names names = { 0 };
    time_t second = (time_t)(now / NSEC_PER_SEC);
    char to[PATH_MAX];
    struct tm tm;

    int r = list_rotated(path, &names, err);
    if (r < 0)
        return r;
    if (names.count)
        second = MAX(second, rotation_time(names.items[names.count - 1]) + 1);
    if (!gmtime_r(&second, &tm) ||
        snprintf(to, sizeof to, "%s.%04d%02d%02d-%02d%02d%02d", path, tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday,
                 tm.tm_hour, tm.tm_min, tm.tm_sec) >= (int)sizeof to)
        return err_set(err, ERR_INVALID, "rotating %s", path);
    if (renameat2(AT_FDCWD, path, AT_FDCWD, to, RENAME_NOREPLACE) < 0)
        return err_errno(err, errno, "rotating %s", path);
    return 0;
}

int container_log_rotate(const char *path, int64_t max_size, int max_files, nsec_t now, bool *ret_rotated,
                         struct err *err)
{
    struct stat st;

    if (stat(path, &st) < 0 && errno != ENOENT)
        return err_errno(err, errno, "%s", path);
    else if (access(path, F_OK) < 0 || st.st_size <= max_size) {
        *ret_rotated = false;
        return 0;
    }
    int r = rename_away(path, now, err);
    if (r == 0)
        r = remove_oldest(path, (size_t)MAX(max_files - 1, 1), err);
    if (r == 0)
        *ret_rotated = true;
    return r;
}

int container_log_remove(const char *path, struct err *err)
{
    int r = remove_oldest(path, 0, err);
    if (r == -ERR_NOT_FOUND) /* not even the folder */
        return 0;
    if (r == 0 && unlink(path) < 0 && errno != ENOENT)
        r = err_errno(err, errno, "removing %s", path);
    return r;
}
