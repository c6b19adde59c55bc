/* leftovers.c - folders of pods and logs whose pod neither the API nor a worker knows: what remains when an agent died
 * in the middle of a removal, or a pod vanished from the API while no agent ran. */
#include <dirent.h>
#include <limits.h>
#include <stdio.h>

#include "base/log.h"
#include "kubelet/internal.h"

/* uids of the pods that are known; false without memory, and then nothing is removed. */
static bool list_known(struct kubelet *kubelet, struct arena *arena, struct map *known)
{
    struct object_list pods = { 0 };
    bool ok = informer_list(kubelet->pods, STR_NULL, arena, &pods, NULL) == 0;

    for (size_t i = 0; ok && i < pods.count; i++) {
        struct str uid = arena_str(arena, pods.items[i]->meta->uid);

        ok = uid.data && map_put(known, uid, kubelet, NULL) == 0;
    }
    object_list_release(&pods);
    LOCKED(&kubelet->lock);
    for (struct map_entry *e = NULL; ok && (e = map_next(&kubelet->states, e));) {
        const struct pod_state *state = e->value;
        struct str uid = arena_str(arena, state->uid);

        ok = uid.data && map_put(known, uid, kubelet, NULL) == 0;
    }
    return ok;
}

/* Entries are named by uid, or end with _<uid>. */
static bool gather(struct kubelet *kubelet, struct arena *arena, const char *name, struct map *found)
{
    char path[PATH_MAX];
    struct dirent *entry;
    bool ok = true;

    snprintf(path, sizeof path, "%s/%s", kubelet->options.data_dir, name);
    DIR *dir = opendir(path);

    while (dir && ok && (entry = readdir(dir))) {
        const char *last = strrchr(entry->d_name, '_');
        struct str uid = arena_str(arena, str_from(last ? last + 1 : entry->d_name));

        if (entry->d_name[0] != '.' && uid.len)
            ok = map_put(found, uid, kubelet, NULL) == 0;
    }
    if (dir)
        closedir(dir);
    return ok;
}

/* In this order: a worker is known before it makes folders, so what is found first and then not known is nobody's. */
void leftovers_remove(struct kubelet *kubelet)
{
    AUTO(arena) arena = arena_new(0);
    struct map found = MAP_INIT, known = MAP_INIT;
    bool ok = arena && gather(kubelet, arena, "pods", &found) && gather(kubelet, arena, "logs", &found) &&
              list_known(kubelet, arena, &known);

    for (struct map_entry *e = NULL; ok && (e = map_next(&found, e));) {
        struct err err = { 0 };

        if (map_get(&known, e->key))
            continue;
        log_info("kubelet", "removing what is left of pod " STR_FMT, STR_ARG(e->key));
        if (pod_remove(kubelet, e->key, false, &err) < 0)
            log_warn("kubelet", "removing what is left of pod " STR_FMT ": %s", STR_ARG(e->key), err.message);
    }
    map_deinit(&found);
    map_deinit(&known);
}
