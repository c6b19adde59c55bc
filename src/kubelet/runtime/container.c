/* container.c - the life of a container: create, start, stop, delete.
 *
 * Create writes the bundle (config.json and the record) and has conmon and crun do the rest; the program itself waits
 * until start. Signals go straight to the container's first process through its pidfd, without a crun in between.
 * Stopping waits for the monitor's word that it has ended; nothing is polled. */
#include "kubelet/runtime/runtime_internal.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/file.h"

#define KILL_TIMEOUT (30 * NSEC_PER_SEC)
#define CONMON_TIMEOUT (2 * NSEC_PER_SEC)

static void make_id(struct rng *rng, char out[CONTAINER_ID_LEN + 1])
{
    static const char digits[] = "0123456789abcdef";
    unsigned char bytes[CONTAINER_ID_LEN / 2];

    rng_fill(rng, bytes, sizeof bytes);
    for (size_t i = 0; i < sizeof bytes; i++) {
        out[2 * i] = digits[bytes[i] >> 4];
        out[2 * i + 1] = digits[bytes[i] & 15];
    }
    out[CONTAINER_ID_LEN] = 0;
}

static int check_spec(const struct container_spec *spec, struct err *err)
{
    if (!name_is_valid(spec->pod_uid) || !name_is_valid(spec->name))
        return err_set(err, ERR_INVALID, "container needs the UID of a pod and a name");
    if (spec->log_path.len < 2 || spec->log_path.data[0] != '/' || spec->log_path.len >= PATH_MAX ||
        memchr(spec->log_path.data, 0, spec->log_path.len))
        return err_set(err, ERR_INVALID, "container \"" STR_FMT "\": log path is not absolute", STR_ARG(spec->name));
    return 0;
}

/* What the sandbox and this machine say. */
static int complete_spec(struct runtime *runtime, const struct sandbox *sandbox, struct str cgroup,
                         struct arena *arena, struct oci_spec *oci, struct err *err)
{
    oci->namespaces = sandbox->namespaces;
    oci->cgroup_path = cgroup;
    oci->cgroup_v2 = runtime->cgroups.mode == CGROUP_V2;
    oci->capabilities_here = runtime->capabilities;
    oci->oom_score_adj = MAX(oci->oom_score_adj, runtime->oom_score_adj_min);
    if (!oci->dev_shm.len)
        oci->dev_shm = sandbox->shm_dir;
    if (oci->privileged && oci->device_count == 0) {
        struct oci_device *devices;
        size_t count;

        int r = devices_of_host(arena, &devices, &count, err);
        if (r < 0)
            return r;
        oci->devices = devices;
        oci->device_count = count;
    }
    return 0;
}

static int make_log_dir(struct str log_path, struct err *err)
{
    char path[PATH_MAX];

    snprintf(path, sizeof path, STR_FMT, STR_ARG(log_path));
    *strrchr(path, '/') = 0;
    return path[0] ? file_make_dirs(path, 0755, err) : 0;
}

static int write_bundle(struct runtime *runtime, const struct container_spec *spec, const struct oci_spec *oci,
                        struct str id, struct container_entry **ret_entry, struct err *err)
{
    AUTO_DEINIT(buf, config) = BUF_INIT;
    AUTO_DEINIT(buf, record) = BUF_INIT;
    char path[PATH_MAX];

    int r = oci_spec_write(oci, &config, err);
    if (r < 0)
        return r;
    record_write_container(&record, runtime, spec, id, oci->cgroup_path, clock_wall(runtime->clock));
    if (!buf_ok(&record))
        return err_set(err, ERR_NO_MEMORY, "container record");
    r = entry_path(runtime, id, "", path, err);
    if (r < 0)
        return r;
    if (mkdir(path, 0700) < 0)
        return err_errno(err, errno, "creating %s", path);
    r = entry_path(runtime, id, "config.json", path, err);
    if (r == 0)
        r = state_write(path, buf_str(&config), err);
    if (r == 0)
        r = entry_path(runtime, id, "container.json", path, err);
    if (r == 0)
        r = state_write(path, buf_str(&record), err);
    if (r == 0)
        r = make_log_dir(spec->log_path, err);
    if (r == 0)
        r = entry_parse(buf_str(&record), ret_entry, err);
    return r;
}

/* Everything that may be there of a container, running or half-made. */
static int remove_traces(struct runtime *runtime, struct container_entry *entry, struct err *err)
{
    char id[CONTAINER_ID_LEN + 1], cgroup[256], path[PATH_MAX];

    snprintf(id, sizeof id, STR_FMT, STR_ARG(entry->info.id));
    snprintf(cgroup, sizeof cgroup, STR_FMT, STR_ARG(entry->info.cgroup));
    snprintf(path, sizeof path, "%s/%s", runtime->crun_root, id);
    /* crun's own folder tells whether it knows the container; after a reboot it does not. */
    if (file_exists(path))
        crun_run(runtime, (const char *const[]){ "delete", "--force", id, NULL }, NULL);
    int r = file_remove_tree(path, err);
    if (r == 0)
        r = cgroup_kill(&runtime->cgroups, cgroup, err);
    if (r == 0)
        r = cgroup_remove(&runtime->cgroups, cgroup, err);
    if (r < 0)
        return r;
    snprintf(path, sizeof path, "%s/%s", runtime->exits_dir, id);
    if (unlink(path) < 0 && errno != ENOENT)
        return err_errno(err, errno, "removing %s", path);
    r = entry_path(runtime, entry->info.id, "", path, err);
    return r < 0 ? r : file_remove_tree(path, err);
}

static int create(struct runtime *runtime, const struct container_spec *spec, struct str id, struct arena *arena,
                  struct err *err)
{
    AUTO(container_entry) entry = NULL;
    struct oci_spec oci = spec->oci;
    struct sandbox sandbox;
    char path[PATH_MAX];

    int r = sandbox_get(runtime, spec->pod_uid, arena, &sandbox, err);
    if (r < 0)
        return r;
    if (!sandbox.ready)
        return err_set(err, ERR_CONFLICT, "the pod's sandbox is not ready");
    struct str cgroup = arena_printf(arena, STR_FMT "/" STR_FMT, STR_ARG(sandbox.cgroup), STR_ARG(id));
    r = complete_spec(runtime, &sandbox, cgroup, arena, &oci, err);
    if (r == 0 && spec->pid_of > 0)
        oci.namespaces.pid = arena_printf(arena, "/proc/%d/ns/pid", (int)spec->pid_of);
    if (r == 0)
        r = write_bundle(runtime, spec, &oci, id, &entry, err);
    if (r == 0)
        r = conmon_start(runtime, entry, err);
    if (r == 0)
        r = entry_add(runtime, entry, err);
    if (r == 0)
        r = monitor_watch(runtime, entry, err);
    if (r == 0)
        return 0;
    if (entry) {
        entry_drop(runtime, entry);
        remove_traces(runtime, entry, NULL);
    } else if (entry_path(runtime, id, "", path, NULL) == 0) {
        file_remove_tree(path, NULL);
    }
    return r;
}

int container_create(struct runtime *runtime, const struct container_spec *spec, char *ret_id, struct err *err)
{
    AUTO(arena) arena = arena_new(0);
    char id[CONTAINER_ID_LEN + 1];

    if (!arena)
        return err_set(err, ERR_NO_MEMORY, "container");
    int r = check_spec(spec, err);
    if (r < 0)
        return r;
    make_id(runtime->rng, id);
    r = create(runtime, spec, str_from(id), arena, err);
    if (r < 0)
        return err_wrap(err, r, "creating container \"" STR_FMT "\"", STR_ARG(spec->name));
    memcpy(ret_id, id, sizeof id);
    return 0;
}

static enum runtime_container_state state_of(struct runtime *runtime, struct container_entry *entry)
{
    LOCKED(&runtime->lock);
    return entry->info.state;
}

static int note_start(struct runtime *runtime, struct container_entry *entry, nsec_t now, struct err *err)
{
    char path[PATH_MAX], text[32];

    mutex_lock(&runtime->lock);
    entry->info.started_at = now;
    if (entry->info.state == CONTAINER_CREATED)
        entry->info.state = CONTAINER_RUNNING;
    mutex_unlock(&runtime->lock);
    int r = entry_path(runtime, entry->info.id, "started", path, err);
    if (r < 0)
        return r;
    snprintf(text, sizeof text, "%lld", (long long)now);
    return state_write(path, str_from(text), err);
}

int container_start(struct runtime *runtime, struct str id, struct err *err)
{
    AUTO(container_entry) entry = NULL;
    char name[CONTAINER_ID_LEN + 1];

    int r = entry_find(runtime, id, &entry, err);
    if (r < 0)
        return r;
    if (state_of(runtime, entry) != CONTAINER_CREATED)
        return err_set(err, ERR_CONFLICT, "the container has been started already");
    snprintf(name, sizeof name, STR_FMT, STR_ARG(id));
    r = note_start(runtime, entry, clock_wall(runtime->clock), err);
    if (r == 0)
        r = crun_run(runtime, (const char *const[]){ "start", name, NULL }, err);
    if (r == 0)
        return 0;
    mutex_lock(&runtime->lock);
    entry->failed_start = true;
    mutex_unlock(&runtime->lock);
    container_stop(runtime, id, SIGKILL, 0, NULL);
    if (err)
        err->code = ERR_INVALID;
    return err_wrap(err, -ERR_INVALID, "starting container \"" STR_FMT "\"", STR_ARG(entry->info.name));
}

/* False: it is gone. */
static bool send_signal(struct container_entry *entry, int signal)
{
    return entry->pidfd >= 0 && syscall(SYS_pidfd_send_signal, entry->pidfd, signal, NULL, 0) == 0;
}

int container_signal(struct runtime *runtime, struct str id, int signal, struct err *err)
{
    AUTO(container_entry) entry = NULL;

    int r = entry_find(runtime, id, &entry, err);
    if (r < 0)
        return r;
    if (send_signal(entry, signal))
        return 0;
    if (errno == EINVAL)
        return err_errno(err, errno, "signal %d", signal);
    return err_set(err, ERR_NOT_FOUND, "the container does not run");
}

static bool wait_end(struct runtime *runtime, struct container_entry *entry, nsec_t timeout)
{
    nsec_t deadline = clock_now(clock_real()) + timeout;

    LOCKED(&runtime->lock);
    while (!entry->finished_seen) {
        nsec_t left = deadline - clock_now(clock_real());

        if (timeout > 0 && left <= 0)
            return false;
        if (timeout > 0)
            cond_wait_for(&runtime->changed, &runtime->lock, left);
        else
            cond_wait(&runtime->changed, &runtime->lock);
    }
    return true;
}

bool container_wait(struct runtime *runtime, struct str id, nsec_t timeout)
{
    AUTO(container_entry) entry = NULL;

    return entry_find(runtime, id, &entry, NULL) < 0 || wait_end(runtime, entry, timeout);
}

static int stop(struct runtime *runtime, struct container_entry *entry, int signal, nsec_t grace, struct err *err)
{
    char cgroup[256];

    if (grace > 0 && send_signal(entry, signal) && wait_end(runtime, entry, grace))
        return 0;
    send_signal(entry, SIGKILL);
    snprintf(cgroup, sizeof cgroup, STR_FMT, STR_ARG(entry->info.cgroup));
    if (entry->pidfd < 0)
        cgroup_kill(&runtime->cgroups, cgroup, NULL);
    if (wait_end(runtime, entry, KILL_TIMEOUT))
        return 0;
    return err_set(err, ERR_TIMEOUT, "the container did not end after SIGKILL");
}

int container_stop(struct runtime *runtime, struct str id, int signal, nsec_t grace, struct err *err)
{
    AUTO(container_entry) entry = NULL;

    int r = entry_find(runtime, id, &entry, NULL);
    return r < 0 ? 0 : stop(runtime, entry, signal, grace, err);
}

int container_delete(struct runtime *runtime, struct str id, struct err *err)
{
    AUTO(container_entry) entry = NULL;

    if (entry_find(runtime, id, &entry, NULL) < 0)
        return 0;
    int r = stop(runtime, entry, SIGKILL, 0, err);
    if (r == 0)
        r = remove_traces(runtime, entry, err);
    if (r < 0)
        return err_wrap(err, r, "deleting container \"" STR_FMT "\"", STR_ARG(entry->info.name));
    entry_drop(runtime, entry);
    return 0;
}

static int copy_info(struct runtime *runtime, struct container_entry *entry, struct arena *arena,
                     struct runtime_container *ret_container, struct err *err)
{
    struct runtime_container copy;

    mutex_lock(&runtime->lock);
    copy = entry->info;
    mutex_unlock(&runtime->lock);
    copy.id = arena_str(arena, copy.id);
    copy.pod_uid = arena_str(arena, copy.pod_uid);
    copy.name = arena_str(arena, copy.name);
    copy.log_path = arena_str(arena, copy.log_path);
    copy.cgroup = arena_str(arena, copy.cgroup);
    copy.labels = arena_array_of(arena, copy.label_count + 1, struct oci_pair);
    for (size_t i = 0; copy.labels && i < copy.label_count; i++) {
        copy.labels[i].name = arena_str(arena, entry->info.labels[i].name);
        copy.labels[i].value = arena_str(arena, entry->info.labels[i].value);
    }
    if (arena_failed(arena))
        return err_set(err, ERR_NO_MEMORY, "container");
    *ret_container = copy;
    return 0;
}

int container_get(struct runtime *runtime, struct str id, struct arena *arena, struct runtime_container *ret_container,
                  struct err *err)
{
    AUTO(container_entry) entry = NULL;

    int r = entry_find(runtime, id, &entry, err);
    return r < 0 ? r : copy_info(runtime, entry, arena, ret_container, err);
}

int container_list(struct runtime *runtime, struct str pod_uid, struct arena *arena,
                   struct runtime_container **ret_list, size_t *ret_count, struct err *err)
{
    struct container_entry **entries;
    size_t count;

    int r = entry_snapshot(runtime, pod_uid, &entries, &count, err);
    if (r < 0)
        return r;
    struct runtime_container *list = arena_array_of(arena, count + 1, struct runtime_container);
    if (!list)
        r = err_set(err, ERR_NO_MEMORY, "list of containers");
    for (size_t i = 0; r == 0 && i < count; i++)
        r = copy_info(runtime, entries[i], arena, &list[i], err);
    entry_snapshot_free(entries, count);
    if (r < 0)
        return r;
    *ret_list = list;
    *ret_count = count;
    return 0;
}

int container_update(struct runtime *runtime, struct str id, const struct oci_resources *resources, struct err *err)
{
    AUTO(container_entry) entry = NULL;
    char cgroup[256];

    int r = entry_find(runtime, id, &entry, err);
    if (r < 0)
        return r;
    snprintf(cgroup, sizeof cgroup, STR_FMT, STR_ARG(entry->info.cgroup));
    return cgroup_set_limits(&runtime->cgroups, cgroup, resources, err);
}

int container_usage(struct runtime *runtime, struct str id, struct cgroup_usage *ret_usage, struct err *err)
{
    AUTO(container_entry) entry = NULL;
    char cgroup[256];

    int r = entry_find(runtime, id, &entry, err);
    if (r < 0)
        return r;
    snprintf(cgroup, sizeof cgroup, STR_FMT, STR_ARG(entry->info.cgroup));
    return cgroup_read_usage(&runtime->cgroups, cgroup, ret_usage, err);
}

int container_reopen_log(struct runtime *runtime, struct str id, struct err *err)
{
    AUTO(container_entry) entry = NULL;

    int r = entry_find(runtime, id, &entry, err);
    return r < 0 ? r : conmon_control(runtime, id, "2 0 0\n", err);
}
