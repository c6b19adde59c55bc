/* device.c - the host's devices, as privileged containers get them all. */
#include "kubelet/runtime/runtime_internal.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#define DEPTH_MAX 8
#define DEVICES_MAX 4096

struct device_list {
    struct arena *arena;
    struct oci_device *items;
    size_t count, cap;
};

/* Those the container has of its own. */
static bool is_skipped(const char *name)
{
    static const char *const names[] = { "pts", "shm", "mqueue", "fd", "lxc", "lxd-fuse", ".lxc", ".udev", "console",
                                         "ptmx", "tty", "null", "zero", "full", "random", "urandom" };

    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (strcmp(name, names[i]) == 0)
            return true;
    return false;
}

static int add(struct device_list *list, const char *path, const struct stat *st, struct err *err)
{
    if (list->count == list->cap) {
        size_t cap = list->cap ? list->cap * 2 : 64;
        list->items = arena_grow(list->arena, list->items, list->cap * sizeof *list->items, cap * sizeof *list->items);
        if (!list->items)
            return err_set(err, ERR_NO_MEMORY, "list of devices");
        list->cap = cap;
    }
    list->items[list->count++] = (struct oci_device){
        .path = arena_str(list->arena, str_from(path)),
        .type = S_ISCHR(st->st_mode) ? 'c' : 'b',
        .major = major(st->st_rdev),
        .minor = minor(st->st_rdev),
        .mode = st->st_mode & 0777,
        .uid = st->st_uid,
        .gid = st->st_gid,
    };
    return 0;
}

static int walk(struct device_list *list, const char *folder, int depth, struct err *err)
{
    DIR *dir = depth > 0 ? opendir(folder) : NULL;
    struct dirent *item;
    int r = 0;

    if (!dir)
        return 0;
    while (r == 0 && list->count < DEVICES_MAX && (item = readdir(dir))) {
        char path[PATH_MAX];
        struct stat st;

        if (item->d_name[0] == '.' || (depth == DEPTH_MAX && is_skipped(item->d_name)) ||
            snprintf(path, sizeof path, "%s/%s", folder, item->d_name) >= (int)sizeof path || lstat(path, &st) < 0)
            continue;
        if (S_ISDIR(st.st_mode))
            r = walk(list, path, depth - 1, err);
        else if (S_ISCHR(st.st_mode) || S_ISBLK(st.st_mode))
            r = add(list, path, &st, err);
    }
    closedir(dir);
    return r;
}

int devices_of_host(struct arena *arena, struct oci_device **ret_devices, size_t *ret_count, struct err *err)
{
    struct device_list list = { .arena = arena };

    int r = walk(&list, "/dev", DEPTH_MAX, err);
    if (r < 0)
        return r;
    if (arena_failed(arena))
        return err_set(err, ERR_NO_MEMORY, "list of devices");
    *ret_devices = list.items;
    *ret_count = list.count;
    return 0;
}
