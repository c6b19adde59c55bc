/* entry.c - the table of containers and their records.
 *
 * A record is a JSON file in the container's folder, written once before conmon starts. What changes later stands in
 * files of others: conmon's and the container's pid, the time of the start, conmon's exit file. So a new agent finds
 * out everything, and nothing has to be kept in step. */
#include "kubelet/runtime/runtime_internal.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "codec/json.h"

struct container_entry *entry_ref(struct container_entry *entry)
{
    atomic_fetch_add_explicit(&entry->refs, 1, memory_order_relaxed);
    return entry;
}

struct container_entry *entry_unref(struct container_entry *entry)
{
    if (!entry || atomic_fetch_sub_explicit(&entry->refs, 1, memory_order_acq_rel) != 1)
        return NULL;
    auto_close_fd(&entry->conmon_pidfd);
    auto_close_fd(&entry->pidfd);
    arena_deinit(&entry->arena);
    free(entry);
    return NULL;
}

int entry_path(const struct runtime *runtime, struct str id, const char *file, char out[PATH_MAX], struct err *err)
{
    if (snprintf(out, PATH_MAX, "%s/" STR_FMT "%s%s", runtime->containers_dir, STR_ARG(id), *file ? "/" : "", file) >=
        PATH_MAX)
        return err_set(err, ERR_INVALID, "path too long in %s", runtime->containers_dir);
    return 0;
}

void record_write_container(struct buf *buf, const struct runtime *runtime, const struct container_spec *spec,
                            struct str id, struct str cgroup, nsec_t created_at)
{
    struct json_writer w = json_writer(buf);

    jw_begin_object(&w);
    jw_field_str(&w, "id", id);
    jw_field_str(&w, "podUid", spec->pod_uid);
    jw_field_str(&w, "name", spec->name);
    jw_field_int(&w, "attempt", spec->attempt);
    jw_field_int(&w, "createdAt", created_at);
    jw_field_str(&w, "logPath", spec->log_path);
    jw_field_str(&w, "cgroup", cgroup);
    jw_field_str(&w, "bootId", str_from(runtime->boot_id));
    jw_field_bool(&w, "terminal", spec->oci.terminal);
    jw_field_bool(&w, "stdin", spec->keep_stdin);
    jw_field_bool(&w, "stdinOnce", spec->stdin_once);
    jw_key(&w, STR("labels"));
    jw_begin_object(&w);
    for (size_t i = 0; i < spec->label_count; i++) {
        jw_key(&w, spec->labels[i].name);
        jw_str(&w, spec->labels[i].value);
    }
    jw_end_object(&w);
    jw_end_object(&w);
}

static int parse_labels(struct container_entry *entry, const struct json *labels)
{
    if (!json_is(labels, JSON_OBJECT) || labels->count == 0)
        return 0;
    entry->info.labels = arena_array_of(&entry->arena, labels->count, struct oci_pair);
    if (!entry->info.labels)
        return -1;
    for (uint32_t i = 0; i < labels->count; i++) {
        entry->info.labels[i].name = labels->members[i].key;
        entry->info.labels[i].value = json_str(&labels->members[i].value);
    }
    entry->info.label_count = labels->count;
    return 0;
}

static int parse_record(struct container_entry *entry, struct str text, struct err *err)
{
    struct runtime_container *info = &entry->info;
    struct json *json;

    text = arena_str(&entry->arena, text); /* the strings point into it */
    if (!text.data)
        return err_set(err, ERR_NO_MEMORY, "container record");
    int r = json_parse(&entry->arena, text, NULL, &json, err);
    if (r < 0)
        return r;
    info->id = json_str(json_member(json, "id"));
    info->pod_uid = json_str(json_member(json, "podUid"));
    info->name = json_str(json_member(json, "name"));
    info->attempt = (uint32_t)json_int(json_member(json, "attempt"), 0);
    info->created_at = json_int(json_member(json, "createdAt"), 0);
    info->log_path = json_str(json_member(json, "logPath"));
    info->cgroup = json_str(json_member(json, "cgroup"));
    entry->terminal = json_bool(json_member(json, "terminal"), false);
    entry->keep_stdin = json_bool(json_member(json, "stdin"), false);
    entry->stdin_once = json_bool(json_member(json, "stdinOnce"), false);
    if (info->id.len != CONTAINER_ID_LEN || !name_is_valid(info->id) || !name_is_valid(info->pod_uid) ||
        info->cgroup.len < 2)
        return err_set(err, ERR_INVALID, "container record without identity");
    if (parse_labels(entry, json_member(json, "labels")) < 0)
        return err_set(err, ERR_NO_MEMORY, "container record");
    return 0;
}

int entry_parse(struct str text, struct container_entry **ret_entry, struct err *err)
{
    AUTO(container_entry) entry = calloc(1, sizeof *entry);

    if (!entry)
        return err_set(err, ERR_NO_MEMORY, "container");
    atomic_init(&entry->refs, 1);
    arena_init(&entry->arena, 0);
    entry->conmon_pidfd = entry->pidfd = -1;
    int r = parse_record(entry, text, err);
    if (r < 0)
        return r;
    *ret_entry = TAKE(entry);
    return 0;
}

int entry_find(struct runtime *runtime, struct str id, struct container_entry **ret_entry, struct err *err)
{
    LOCKED(&runtime->lock);
    struct container_entry *entry = map_get(&runtime->entries, id);

    if (!entry)
        return err_set(err, ERR_NOT_FOUND, "no container " STR_FMT, STR_ARG(str_first(id, CONTAINER_ID_LEN)));
    *ret_entry = entry_ref(entry);
    return 0;
}

int entry_add(struct runtime *runtime, struct container_entry *entry, struct err *err)
{
    LOCKED(&runtime->lock);

    if (map_put(&runtime->entries, entry->info.id, entry, NULL) < 0)
        return err_set(err, ERR_NO_MEMORY, "container table");
    entry_ref(entry);
    return 0;
}

void entry_drop(struct runtime *runtime, struct container_entry *entry)
{
    struct container_entry *held;

    mutex_lock(&runtime->lock);
    held = map_remove(&runtime->entries, entry->info.id);
    mutex_unlock(&runtime->lock);
    entry_unref(held);
}

static int compare_age(const void *a, const void *b)
{
    const struct container_entry *left = *(struct container_entry *const *)a;
    const struct container_entry *right = *(struct container_entry *const *)b;

    if (left->info.created_at != right->info.created_at)
        return left->info.created_at < right->info.created_at ? -1 : 1;
    return str_cmp(left->info.id, right->info.id);
}

int entry_snapshot(struct runtime *runtime, struct str pod_uid, struct container_entry ***ret_entries,
                   size_t *ret_count, struct err *err)
{
    struct map_entry *slot = NULL;
    size_t count = 0;

    LOCKED(&runtime->lock);
    struct container_entry **entries = calloc(runtime->entries.count + 1, sizeof(*entries));
    if (!entries)
        return err_set(err, ERR_NO_MEMORY, "list of containers");
    while ((slot = map_next(&runtime->entries, slot))) {
        struct container_entry *entry = slot->value;

        if (!pod_uid.data || str_eq(entry->info.pod_uid, pod_uid))
            entries[count++] = entry_ref(entry);
    }
    qsort(entries, count, sizeof(*entries), compare_age);
    *ret_entries = entries;
    *ret_count = count;
    return 0;
}

void entry_snapshot_free(struct container_entry **entries, size_t count)
{
    for (size_t i = 0; i < count; i++)
        entry_unref(entries[i]);
    free(entries);
}

/* Takes up what runs; notes the end of what does not. */
static int adopt(struct runtime *runtime, struct container_entry *entry, struct err *err)
{
    char path[PATH_MAX];
    int64_t started;

    int r = entry_path(runtime, entry->info.id, "started", path, err);
    if (r < 0)
        return r;
    if (state_read_number(path, &started))
        entry->info.started_at = started;
    entry->info.state = entry->info.started_at ? CONTAINER_RUNNING : CONTAINER_CREATED;
    r = entry_add(runtime, entry, err);
    if (r < 0)
        return r;
    if (conmon_adopt(runtime, entry))
        return monitor_watch(runtime, entry, err);
    entry_finish(runtime, entry, false);
    return 0;
}

/* A folder without a readable record is what a crash left of an unfinished creation or deletion. */
static int load_one(struct runtime *runtime, const char *name, struct err *err)
{
    AUTO_DEINIT(buf, text) = BUF_INIT;
    AUTO(container_entry) entry = NULL;
    char path[PATH_MAX];

    int r = entry_path(runtime, str_from(name), "container.json", path, err);
    if (r < 0)
        return r;
    if (state_read(path, &text, NULL) == 0 && entry_parse(buf_str(&text), &entry, NULL) == 0 &&
        str_is(entry->info.id, name))
        return adopt(runtime, entry, err);
    r = entry_path(runtime, str_from(name), "", path, err);
    return r < 0 ? r : file_remove_tree(path, err);
}

int entry_load_all(struct runtime *runtime, struct err *err)
{
    DIR *dir = opendir(runtime->containers_dir);
    struct dirent *item;
    int r = 0;

    if (!dir)
        return err_errno(err, errno, "reading %s", runtime->containers_dir);
    while (r == 0 && (item = readdir(dir)))
        if (item->d_name[0] != '.' && strlen(item->d_name) == CONTAINER_ID_LEN)
            r = load_one(runtime, item->d_name, err);
    closedir(dir);
    return r;
}
