/* volume.c - one row per kind of volume: where it lies, how it is made. What Kubernetes has and this node has not is
 * named in the error. */
#include "kubelet/volume.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/file.h"
#include "kubelet/field_ref.h"
#include "kubelet/pod_token.h"
#include "kubelet/source.h"
#include "kubelet/volume_files.h"
#include "schema/quantity.h"

const struct volume *volume_find(const struct pod *pod, struct str name)
{
    for (size_t i = 0; i < pod->spec.volumes.count; i++)
        if (str_eq(pod->spec.volumes.items[i].name, name))
            return &pod->spec.volumes.items[i];
    return NULL;
}

bool volume_is_read_only(const struct volume *volume)
{
    return volume->config_map || volume->secret || volume->downward_api || volume->projected;
}

static gid_t volume_gid(const struct pod_sync *sync)
{
    const struct pod_security_context *security = sync->pod->spec.security_context;

    return security && security->fs_group.set ? (gid_t)security->fs_group.value : (gid_t)-1;
}

/* -- emptyDir, hostPath -- */

static bool is_mount_point(const char *path)
{
    struct stat st, parent;
    char above[PATH_MAX];

    snprintf(above, sizeof above, "%s/..", path);
    return stat(path, &st) == 0 && stat(above, &parent) == 0 && st.st_dev != parent.st_dev;
}

static int mount_tmpfs(const struct volume *volume, const char *path, const char *mode, int64_t limit, struct err *err)
{
    char options[64];

    if (limit > 0)
        snprintf(options, sizeof options, "mode=%s,size=%lld", mode, (long long)limit);
    else
        snprintf(options, sizeof options, "mode=%s", mode);
    if (mount("tmpfs", path, "tmpfs", MS_NOSUID | MS_NODEV, options) < 0)
        return err_errno(err, errno, "mounting a tmpfs for volume " STR_FMT, STR_ARG(volume->name));
    return 0;
}

/* What is there already belongs to the containers: its mode is not touched again. */
static int make_empty_dir(struct pod_sync *sync, const struct volume *volume, const char *path, struct err *err)
{
    bool memory = str_is(volume->empty_dir->medium, "Memory");
    gid_t gid = volume_gid(sync);

    if (memory ? is_mount_point(path) : file_exists(path))
        return 0;
    int code = file_make_dirs(path, 0777, err);

    if (code == 0 && memory)
        code = mount_tmpfs(volume, path, "0777", quantity_value(volume->empty_dir->size_limit), err);
    if (code < 0)
        return code;
    if (chmod(path, gid == (gid_t)-1 ? 0777 : 02777) < 0 || (gid != (gid_t)-1 && chown(path, (uid_t)-1, gid) < 0))
        return err_errno(err, errno, "volume " STR_FMT, STR_ARG(volume->name));
    return 0;
}

static int check_host_path(const struct volume *volume, const char *path, struct err *err)
{
    static const struct {
        const char *type;
        mode_t format, make; /* make: created with this mode when absent */
    } types[] = {
        { "DirectoryOrCreate", S_IFDIR, 0755 },
        { "Directory", S_IFDIR, 0 },
        { "FileOrCreate", S_IFREG, 0644 },
        { "File", S_IFREG, 0 },
        { "Socket", S_IFSOCK, 0 },
        { "CharDevice", S_IFCHR, 0 },
        { "BlockDevice", S_IFBLK, 0 },
    };
    struct str type = volume->host_path->type;
    struct stat st;

    for (size_t i = 0; i < ARRAY_LEN(types); i++) {
        if (!str_is(type, types[i].type))
            continue;
        if (types[i].make && !file_exists(path)) {
            int code = types[i].format == S_IFDIR ? file_make_dirs(path, types[i].make, err)
                                                  : file_write_atomic(path, STR(""), types[i].make, err);

            if (code < 0)
                return code;
        }
        if (stat(path, &st) < 0 || (st.st_mode & S_IFMT) != types[i].format)
            return err_set(err, ERR_INVALID, "hostPath type check failed: %s is not a %s", path, types[i].type);
        return 0;
    }
    /* No check asked for; what is absent is made a folder, as container runtimes do. */
    return file_exists(path) ? 0 : file_make_dirs(path, 0755, err);
}

/* -- files from the API -- */

static int add_data(const struct str_map *data, const struct key_to_path_array *items, int32_t mode, bool optional,
                    struct volume_files *files, struct str what, struct err *err)
{
    int code = 0;

    for (size_t i = 0; items->count == 0 && code == 0 && i < data->count; i++)
        code = volume_files_add(files, data->items[i].key, data->items[i].value, (mode_t)mode, err);
    for (size_t k = 0; code == 0 && k < items->count; k++) {
        const struct key_to_path *item = &items->items[k];
        bool found = false;

        for (size_t i = 0; code == 0 && i < data->count; i++) {
            if (!str_eq(data->items[i].key, item->key))
                continue;
            found = true;
            code = volume_files_add(files, item->path, data->items[i].value, (mode_t)opt_or(item->mode, mode), err);
        }
        if (!found && !optional)
            return err_set(err, ERR_NOT_FOUND, STR_FMT " references non-existent key: " STR_FMT, STR_ARG(what),
                           STR_ARG(item->key));
    }
    return code;
}

struct api_files {
    enum source_kind kind;
    struct str name;
    const struct key_to_path_array *items;
    int32_t mode;
    bool optional;
};

static int add_api_files(struct pod_sync *sync, const struct api_files *from, struct volume_files *files,
                         struct err *err)
{
    const struct object *object;
    int code = source_get(sync, from->kind, from->name, from->optional, &object, err);

    if (code < 0 || !object)
        return code;
    const struct str_map *text = source_data(object), *binary = source_binary_data(object);
    struct str_map both = { NULL, text->count + binary->count };
    struct str_pair *pairs = arena_array_of(sync->arena, both.count, struct str_pair);

    if (both.count && !pairs)
        return err_set(err, ERR_NO_MEMORY, "volume");
    for (size_t i = 0; i < text->count; i++)
        pairs[i] = text->items[i];
    for (size_t i = 0; i < binary->count; i++)
        pairs[text->count + i] = binary->items[i];
    both.items = pairs;
    return add_data(&both, from->items, from->mode, from->optional, files, from->name, err);
}

static int add_downward(struct pod_sync *sync, const struct downward_api_volume_file_array *items, int32_t mode,
                        struct volume_files *files, struct err *err)
{
    int code = 0;

    for (size_t i = 0; code == 0 && i < items->count; i++) {
        const struct downward_api_volume_file *item = &items->items[i];
        struct str value = STR("");

        if (item->field_ref)
            code = field_ref_value(sync, item->field_ref->field_path, &value, err);
        else if (item->resource_field_ref)
            code = resource_ref_value(sync, NULL, item->resource_field_ref, &value, err);
        if (code == 0)
            code = volume_files_add(files, item->path, value, (mode_t)opt_or(item->mode, mode), err);
    }
    return code;
}

static int add_token(struct pod_sync *sync, const struct service_account_token_projection *source, int32_t mode,
                     struct volume_files *files, struct err *err)
{
    struct str token;
    int code = pod_token_get(sync, source, &token, err);

    return code < 0 ? code : volume_files_add(files, source->path, token, (mode_t)mode, err);
}

static int add_projection(struct pod_sync *sync, const struct volume_projection *source, int32_t mode,
                          struct volume_files *files, struct err *err)
{
    if (source->config_map) {
        const struct api_files from = { SOURCE_CONFIG_MAP, source->config_map->name, &source->config_map->items, mode,
                                        opt_or(source->config_map->optional, false) };

        return add_api_files(sync, &from, files, err);
    }
    if (source->secret) {
        const struct api_files from = { SOURCE_SECRET, source->secret->name, &source->secret->items, mode,
                                        opt_or(source->secret->optional, false) };

        return add_api_files(sync, &from, files, err);
    }
    if (source->downward_api)
        return add_downward(sync, &source->downward_api->items, mode, files, err);
    if (source->service_account_token)
        return add_token(sync, source->service_account_token, mode, files, err);
    return err_set(err, ERR_NOT_SUPPORTED, "projected source clusterTrustBundle is not supported on this node");
}

static int collect_files(struct pod_sync *sync, const struct volume *volume, struct volume_files *files,
                         struct err *err)
{
    int code = 0;

    if (volume->config_map) {
        const struct api_files from = { SOURCE_CONFIG_MAP, volume->config_map->name, &volume->config_map->items,
                                        opt_or(volume->config_map->default_mode, 0644),
                                        opt_or(volume->config_map->optional, false) };

        return add_api_files(sync, &from, files, err);
    }
    if (volume->secret) {
        const struct api_files from = { SOURCE_SECRET, volume->secret->secret_name, &volume->secret->items,
                                        opt_or(volume->secret->default_mode, 0644),
                                        opt_or(volume->secret->optional, false) };

        return add_api_files(sync, &from, files, err);
    }
    if (volume->downward_api)
        return add_downward(sync, &volume->downward_api->items, opt_or(volume->downward_api->default_mode, 0644), files,
                            err);
    for (size_t i = 0; code == 0 && i < volume->projected->sources.count; i++)
        code = add_projection(sync, &volume->projected->sources.items[i], opt_or(volume->projected->default_mode, 0644),
                              files, err);
    return code;
}

/* Secrets never reach a disk. With an fsGroup, its members may read. */
static int write_files(struct pod_sync *sync, const struct volume *volume, const char *path, struct err *err)
{
    struct volume_files files = { 0 };
    gid_t gid = volume_gid(sync);
    int code = collect_files(sync, volume, &files, err);

    if (code == 0 && (volume->secret || volume->projected) && !is_mount_point(path)) {
        code = file_make_dirs(path, 0755, err);
        if (code == 0)
            code = mount_tmpfs(volume, path, "0755", 0, err);
    }
    if (gid != (gid_t)-1)
        vec_each (&files.files, file)
            file->mode |= 0440;
    if (code == 0)
        code = volume_files_write(sync->arena, &files, path, clock_wall(sync->kubelet->options.clock), gid, err);
    volume_files_deinit(&files);
    return code;
}

/* -- all kinds -- */

static const char *plugin_of(const struct volume *volume)
{
    return volume->empty_dir      ? "empty-dir"
           : volume->config_map   ? "configmap"
           : volume->secret       ? "secret"
           : volume->downward_api ? "downward-api"
           : volume->projected    ? "projected"
                                  : NULL;
}

int volume_path(struct pod_sync *sync, struct str name, char **ret_path, struct err *err)
{
    const struct volume *volume = volume_find(sync->pod, name);

    if (!volume)
        return err_set(err, ERR_NOT_FOUND, "the pod has no volume " STR_FMT, STR_ARG(name));
    const char *plugin = plugin_of(volume);

    if (!plugin && !volume->host_path)
        return err_set(err, ERR_NOT_SUPPORTED,
                       "volume " STR_FMT " is of a kind that is not supported (emptyDir, hostPath, configMap, secret, "
                       "downwardAPI and projected are)",
                       STR_ARG(name));
    *ret_path = plugin ? path_volume(sync->arena, sync->kubelet, sync->state->uid, plugin, name)
                       : arena_cstr(sync->arena, volume->host_path->path);
    return *ret_path ? 0 : err_set(err, ERR_NO_MEMORY, "volume");
}

static int mount_one(struct pod_sync *sync, const struct volume *volume, struct err *err)
{
    char *path;
    int code = volume_path(sync, volume->name, &path, err);

    if (code < 0)
        return code;
    if (volume->empty_dir)
        code = sync->state->volumes_ready ? 0 : make_empty_dir(sync, volume, path, err);
    else if (volume->host_path)
        code = check_host_path(volume, path, err);
    else
        code = write_files(sync, volume, path, err);
    if (code < 0)
        return err_wrap(err, code, "MountVolume.SetUp failed for volume \"" STR_FMT "\" ", STR_ARG(volume->name));
    return 0;
}

/* One that fails keeps no other from being brought up to date. */
int volumes_mount(struct pod_sync *sync, struct err *err)
{
    const struct volume_array *volumes = &sync->pod->spec.volumes;
    int first = 0;

    for (size_t i = 0; i < volumes->count; i++) {
        struct err one = { 0 };
        int code = mount_one(sync, &volumes->items[i], &one);

        if (code == 0 || first < 0)
            continue;
        first = code;
        if (err)
            *err = one;
    }
    return first;
}

/* A mount point or not: what is none says EINVAL. */
static int unmount_entry(const char *path, struct err *err)
{
    while (umount2(path, MNT_DETACH | UMOUNT_NOFOLLOW) == 0)
        ;
    return errno == EINVAL || errno == ENOENT ? 0 : err_errno(err, errno, "unmounting %s", path);
}

/* Every <folder>/<one>/<two>. */
static int unmount_below(struct arena *arena, const char *folder, int depth, struct err *err)
{
    DIR *dir = opendir(folder);
    struct dirent *entry;
    int code = 0;

    while (dir && code == 0 && (entry = readdir(dir))) {
        const char *path = arena_printf(arena, "%s/%s", folder, entry->d_name).data;

        if (str_is(str_from(entry->d_name), ".") || str_is(str_from(entry->d_name), ".."))
            continue;
        if (!path)
            code = err_set(err, ERR_NO_MEMORY, "unmounting volumes");
        else
            code = depth > 1 ? unmount_below(arena, path, depth - 1, err) : unmount_entry(path, err);
    }
    if (dir)
        closedir(dir);
    return code;
}

int volumes_unmount(struct arena *arena, const char *pod_folder, struct err *err)
{
    static const char *const folders[] = { "subpaths", "volumes" };
    int code = 0;

    for (size_t i = 0; code == 0 && i < ARRAY_LEN(folders); i++) {
        const char *folder = arena_printf(arena, "%s/%s", pod_folder, folders[i]).data;

        code = folder ? unmount_below(arena, folder, 2, err) : err_set(err, ERR_NO_MEMORY, "unmounting volumes");
    }
    return code;
}

/* -- subPath -- */

/* Nothing that path names leads out of root. */
static int open_beneath(int root, const char *path)
{
    struct open_how how = { .flags = O_PATH | O_CLOEXEC, .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS };

    return (int)syscall(SYS_openat2, root, path, &how, sizeof how);
}

/* Folders on the way get the volume's own mode. */
static int make_beneath(int root, struct str path)
{
    char partial[PATH_MAX];
    struct stat st;

    if (path.len >= sizeof partial || fstat(root, &st) < 0)
        return -1;
    for (size_t i = 1; i <= path.len; i++) {
        if (i < path.len && path.data[i] != '/')
            continue;
        snprintf(partial, sizeof partial, "%.*s", (int)i, path.data);
        AUTO_CLOSE int there = open_beneath(root, partial);

        if (there >= 0)
            continue;
        const char *slash = strrchr(partial, '/');
        char above[PATH_MAX] = ".";

        if (slash)
            snprintf(above, sizeof above, "%.*s", (int)(slash - partial), partial);
        AUTO_CLOSE int parent = open_beneath(root, above);

        if (parent < 0 || mkdirat(parent, slash ? slash + 1 : partial, 0700) < 0 ||
            fchmodat(parent, slash ? slash + 1 : partial, st.st_mode & 07777, 0) < 0)
            return -1;
    }
    return 0;
}

static int find_sub_path(const char *volume, struct str sub_path, int *ret_fd, struct err *err)
{
    char sub[PATH_MAX];
    struct str rest = sub_path, part;

    while (str_split(&rest, '/', &part))
        if (str_is(part, ".."))
            return err_set(err, ERR_INVALID, "subPath " STR_FMT " must not contain \"..\"", STR_ARG(sub_path));
    if (snprintf(sub, sizeof sub, STR_FMT, STR_ARG(sub_path)) >= (int)sizeof sub)
        return err_set(err, ERR_INVALID, "subPath is too long");
    AUTO_CLOSE int root = open(volume, O_PATH | O_CLOEXEC);
    int found = root >= 0 ? open_beneath(root, sub) : -1;

    if (root >= 0 && found < 0 && make_beneath(root, sub_path) == 0)
        found = open_beneath(root, sub);
    if (found < 0)
        return err_errno(err, errno, "subPath " STR_FMT, STR_ARG(sub_path));
    *ret_fd = found;
    return 0;
}

/* An empty folder or file, as what is to be bound there; what an earlier attempt left goes. */
static int make_pin(const char *pin, bool folder, struct err *err)
{
    char parent[PATH_MAX];

    while (umount2(pin, MNT_DETACH | UMOUNT_NOFOLLOW) == 0)
        ;
    if (unlink(pin) < 0)
        rmdir(pin);
    snprintf(parent, sizeof parent, "%.*s", (int)(strrchr(pin, '/') - pin), pin);
    int code = file_make_dirs(folder ? pin : parent, 0711, err);

    if (code < 0 || folder)
        return code;
    AUTO_CLOSE int fd = open(pin, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

    return fd < 0 ? err_errno(err, errno, "creating %s", pin) : 0;
}

int volume_pin(const char *volume, struct str sub_path, const char *pin, struct err *err)
{
    AUTO_CLOSE int fd = -1;
    char link[64];
    struct stat st;
    int code = find_sub_path(volume, sub_path, &fd, err);

    if (code < 0)
        return code;
    if (fstat(fd, &st) < 0)
        return err_errno(err, errno, "subPath " STR_FMT, STR_ARG(sub_path));
    if ((code = make_pin(pin, S_ISDIR(st.st_mode), err)) < 0)
        return code;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    if (mount(link, pin, NULL, MS_BIND | MS_REC, NULL) < 0)
        return err_errno(err, errno, "binding subPath " STR_FMT, STR_ARG(sub_path));
    return 0;
}
