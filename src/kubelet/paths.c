/* paths.c - where a pod's files are:
 *   <data>/pods/<uid>/volumes/<plugin>/<name>
 *   <data>/pods/<uid>/containers/<name>/<attempt>/   root file system, termination message
 *   <data>/pods/<uid>/etc-hosts, resolv.conf
 *   <data>/logs/<ns>_<name>_<uid>/<container>/<attempt>.log  */
#include <dirent.h>
#include <limits.h>
#include <stdio.h>

#include "base/file.h"
#include "kubelet/internal.h"

char *path_pod(struct arena *arena, const struct kubelet *kubelet, struct str uid)
{
    return (char *)arena_printf(arena, "%s/pods/" STR_FMT, kubelet->options.data_dir, STR_ARG(uid)).data;
}

char *path_volume(struct arena *arena, const struct kubelet *kubelet, struct str uid, const char *plugin,
                  struct str name)
{
    return (char *)arena_printf(arena, "%s/pods/" STR_FMT "/volumes/%s/" STR_FMT, kubelet->options.data_dir,
                                STR_ARG(uid), plugin, STR_ARG(name))
        .data;
}

char *path_container(struct arena *arena, const struct kubelet *kubelet, struct str uid, struct str name,
                     uint32_t attempt)
{
    return (char *)arena_printf(arena, "%s/pods/" STR_FMT "/containers/" STR_FMT "/%u", kubelet->options.data_dir,
                                STR_ARG(uid), STR_ARG(name), attempt)
        .data;
}

char *path_logs(struct arena *arena, const struct kubelet *kubelet, const struct object_meta *meta)
{
    return (char *)arena_printf(arena, "%s/logs/" STR_FMT "_" STR_FMT "_" STR_FMT, kubelet->options.data_dir,
                                STR_ARG(meta->namespace), STR_ARG(meta->name), STR_ARG(meta->uid))
        .data;
}

char *path_log(struct arena *arena, const struct kubelet *kubelet, const struct object_meta *meta, struct str name,
               uint32_t attempt)
{
    char *folder = path_logs(arena, kubelet, meta);

    return folder ? (char *)arena_printf(arena, "%s/" STR_FMT "/%u.log", folder, STR_ARG(name), attempt).data : NULL;
}

/* By uid alone: the pod may be long gone from the API. */
int path_logs_remove(const struct kubelet *kubelet, struct str uid, struct err *err)
{
    char folder[PATH_MAX], path[PATH_MAX];
    int code = 0;

    snprintf(folder, sizeof folder, "%s/logs", kubelet->options.data_dir);
    DIR *dir = opendir(folder);
    struct dirent *entry;

    while (dir && code == 0 && (entry = readdir(dir))) {
        struct str name = str_from(entry->d_name);

        if (name.len <= uid.len || !str_has_suffix(name, uid) || name.data[name.len - uid.len - 1] != '_')
            continue;
        if (snprintf(path, sizeof path, "%s/%s", folder, entry->d_name) < (int)sizeof path)
            code = file_remove_tree(path, err);
    }
    if (dir)
        closedir(dir);
    return code;
}
