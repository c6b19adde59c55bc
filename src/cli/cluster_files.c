#include "cli/cluster_files.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>

#include "base/file.h"

#define FOLDER "pki/"

/* One plain file name. */
static bool name_is_plain(struct str name)
{
    if (name.len == 0 || name.len + sizeof FOLDER > BACKUP_NAME_MAX || name.data[0] == '.')
        return false;
    for (size_t i = 0; i < name.len; i++)
        if (!((name.data[i] >= 'a' && name.data[i] <= 'z') || (name.data[i] >= 'A' && name.data[i] <= 'Z') ||
              (name.data[i] >= '0' && name.data[i] <= '9') || strchr("._-", name.data[i])))
            return false;
    return true;
}

static int load_one(struct arena *arena, const char *folder, const char *name, struct cluster_files *files,
                    struct err *err)
{
    AUTO_DEINIT(buf, data);
    char path[INSTANCE_PATH_MAX + 256];

    buf_init(&data, 0);
    if (files->count >= BACKUP_FILES_MAX)
        return err_set(err, ERR_TOO_LARGE, "%s has more than %d files", folder, BACKUP_FILES_MAX);
    snprintf(path, sizeof path, "%s/%s", folder, name);
    int code = file_read(path, BACKUP_FILE_MAX, &data, err);
    if (code < 0)
        return code;
    struct backup_file *file = &files->files[files->count++];
    file->name = arena_printf(arena, FOLDER "%s", name);
    file->data = arena_str(arena, buf_str(&data));
    return file->name.data && file->data.data ? 0 : err_set(err, ERR_NO_MEMORY, "%s", path);
}

int cluster_files_load(struct arena *arena, const struct instance *instance, struct cluster_files *ret_files,
                       struct err *err)
{
    char folder[INSTANCE_PATH_MAX];
    DIR *dir = opendir(instance_path(instance, "pki", folder));
    struct dirent *entry;
    int code = 0;

    ret_files->count = 0;
    if (!dir)
        return errno == ENOENT ? 0 : err_errno(err, errno, "reading %s", folder);
    while (code == 0 && (entry = readdir(dir)))
        if (name_is_plain(str_from(entry->d_name)) && entry->d_type != DT_DIR)
            code = load_one(arena, folder, entry->d_name, ret_files, err);
    closedir(dir);
    return code;
}

int cluster_files_write(const struct backup_file *files, size_t count, const char *folder, struct err *err)
{
    char path[INSTANCE_PATH_MAX + 256];
    int code = file_make_dirs(folder, 0700, err);

    for (size_t i = 0; code == 0 && i < count; i++) {
        struct str name = str_skip(files[i].name, sizeof FOLDER - 1);

        if (!str_has_prefix(files[i].name, STR(FOLDER)) || !name_is_plain(name))
            return err_set(err, ERR_INVALID, "the backup has a file with an impossible name");
        snprintf(path, sizeof path, "%s/" STR_FMT, folder, STR_ARG(name));
        code = file_write_atomic(path, files[i].data, str_has_suffix(name, STR(".crt")) ? 0644 : 0600, err);
    }
    return code;
}
