/* runtime.c - the runtime object: what it finds out about the machine, its folders, its end.
 *
 * How the parts fit together:
 *   sandbox.c    pods: namespaces (namespace.c), cgroup (cgroup*.c), /dev/shm
 *   container.c  containers: a bundle (oci_spec.c), created by conmon and crun (conmon.c, crun.c)
 *   entry.c      the table of containers, rebuilt from their records
 *   monitor.c    their ends, heard of through conmon's pidfd
 *   exec.c       commands in them and their streams
 *
 * On the host:
 *   <data>/containers/<id>/        bundle: config.json, container.json (record), pid, conmon.pid, started, attach, ctl
 *   <data>/containers/exits/<id>   exit code, written by conmon
 *   <data>/sandboxes/<uid>/        sandbox.json (record)
 *   <run>/crun/                    crun's own state
 *   <run>/ns/<uid>/{net,ipc,uts}   pinned namespaces
 *   <run>/shm/<uid>                the pod's /dev/shm
 *   /<parent>/pod<uid>/<id>        cgroups; conmon's own are in /<parent>/conmon */
#include "kubelet/runtime/runtime_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "kubelet/runtime/capability.h"
#include "kubelet/runtime/namespace.h"

#define INSTANCE_MAX 40

static int check_options(const struct runtime_options *options, struct err *err)
{
    struct str instance = str_from(options->instance);

    if (!name_is_valid(instance) || instance.len > INSTANCE_MAX || memchr(instance.data, '.', instance.len))
        return err_set(err, ERR_INVALID, "\"" STR_FMT "\" cannot be the name of an instance", STR_ARG(instance));
    if (!options->data_dir || options->data_dir[0] != '/' || strlen(options->data_dir) >= DATA_DIR_MAX)
        return err_set(err, ERR_INVALID, "the data folder's path must be absolute and shorter than %d", DATA_DIR_MAX);
    if (options->run_dir && (options->run_dir[0] != '/' || strlen(options->run_dir) >= RUN_DIR_MAX))
        return err_set(err, ERR_INVALID, "the run folder's path must be absolute and shorter than %d", RUN_DIR_MAX);
    if (options->cgroup_parent && (options->cgroup_parent[0] != '/' || !options->cgroup_parent[1] ||
                                   strlen(options->cgroup_parent) >= 128))
        return err_set(err, ERR_INVALID, "the cgroup parent must be an absolute path shorter than 128");
    if (geteuid() != 0)
        return err_set(err, ERR_FORBIDDEN, "running containers needs root");
    return 0;
}

static int find_program(const char *given, const char *name, char *out, struct err *err)
{
    struct str path = str_from(getenv("PATH") ? getenv("PATH") : "/usr/local/bin:/usr/bin:/bin"), dir;

    if (given) {
        if (access(given, X_OK) < 0 || strlen(given) >= PATH_MAX)
            return err_errno(err, errno, "%s", given);
        memcpy(out, given, strlen(given) + 1);
        return 0;
    }
    while (str_split(&path, ':', &dir)) {
        if (snprintf(out, PATH_MAX, STR_FMT "/%s", STR_ARG(dir), name) < PATH_MAX && out[0] == '/' &&
            access(out, X_OK) == 0)
            return 0;
    }
    return err_set(err, ERR_NOT_FOUND, "%s is not installed: running containers needs crun and conmon", name);
}

static int read_version(struct runtime *runtime, struct err *err)
{
    AUTO_DEINIT(process_result, result) = { 0 };
    struct str line, rest;

    int r = process_run(&(struct process_options){ .argv = (const char *const[]){ runtime->crun, "--version", NULL },
                                                   .timeout = 10 * NSEC_PER_SEC },
                        &result, err);
    if (r < 0)
        return r;
    rest = buf_str(&result.out);
    if (result.exit_code != 0 || !str_split(&rest, '\n', &line))
        return err_set(err, ERR_INTERNAL, "%s --version failed", runtime->crun);
    struct str number = str_has_prefix(line, STR("crun version ")) ? str_skip(line, 13) : line;
    snprintf(runtime->version, sizeof runtime->version, "crun " STR_FMT, STR_ARG(str_first(number, 40)));
    return 0;
}

/* What of this process matters to containers: capabilities to give, how far oom_score_adj may go down. */
static int read_own_limits(struct runtime *runtime, struct err *err)
{
    AUTO_DEINIT(buf, status) = BUF_INIT;
    struct str rest, line;
    int64_t adj = 0;

    int r = file_read("/proc/self/status", 65536, &status, err);
    if (r < 0)
        return r;
    rest = buf_str(&status);
    while (str_split(&rest, '\n', &line))
        if (str_has_prefix(line, STR("CapPrm:")))
            runtime->capabilities = strtoull(str_trim(str_skip(line, 7)).data, NULL, 16) & CAPABILITIES_ALL;
    runtime->oom_score_adj_min = -1000;
    if (!(runtime->capabilities >> 24 & 1)) { /* CAP_SYS_RESOURCE */
        state_read_number("/proc/self/oom_score_adj", &adj);
        runtime->oom_score_adj_min = (int)adj;
    }
    return 0;
}

static int read_boot_id(struct runtime *runtime, struct err *err)
{
    AUTO_DEINIT(buf, text) = BUF_INIT;

    int r = file_read("/proc/sys/kernel/random/boot_id", 64, &text, err);
    if (r == 0)
        snprintf(runtime->boot_id, sizeof runtime->boot_id, STR_FMT, STR_ARG(str_trim(buf_str(&text))));
    return r;
}

static int make_dirs(struct runtime *runtime, struct err *err)
{
    char sub[RUN_DIR_MAX + 16];

    const char *const dirs[] = { runtime->containers_dir, runtime->exits_dir, runtime->sandboxes_dir };
    for (size_t i = 0; i < ARRAY_LEN(dirs); i++) {
        int r = file_make_dirs(dirs[i], 0700, err);
        if (r < 0)
            return r;
    }
    static const char *const run_subs[] = { "ns", "shm", "crun" };
    for (size_t i = 0; i < ARRAY_LEN(run_subs); i++) {
        snprintf(sub, sizeof sub, "%s/%s", runtime->run_dir, run_subs[i]);
        int r = file_make_dirs(sub, 0711, err);
        if (r < 0)
            return r;
    }
    return 0;
}

static int set_paths(struct runtime *runtime, const struct runtime_options *options, struct err *err)
{
    char real[PATH_MAX];

    snprintf(runtime->instance, sizeof runtime->instance, "%s", options->instance);
    if (options->run_dir)
        snprintf(runtime->run_dir, sizeof runtime->run_dir, "%s", options->run_dir);
    else
        snprintf(runtime->run_dir, sizeof runtime->run_dir, "/run/%s", options->instance);
    if (options->cgroup_parent)
        snprintf(runtime->cgroup_parent, sizeof runtime->cgroup_parent, "%s", options->cgroup_parent);
    else
        snprintf(runtime->cgroup_parent, sizeof runtime->cgroup_parent, "/%s", options->instance);
    int r = file_make_dirs(options->data_dir, 0711, err);
    if (r == 0)
        r = file_make_dirs(runtime->run_dir, 0711, err);
    if (r < 0)
        return r;
    /* mountinfo knows real paths only. */
    if (!realpath(options->data_dir, real) || strlen(real) >= DATA_DIR_MAX)
        return err_errno(err, errno, "%s", options->data_dir);
    memcpy(runtime->data_dir, real, strlen(real) + 1);
    if (!realpath(runtime->run_dir, real) || strlen(real) >= RUN_DIR_MAX)
        return err_errno(err, errno, "%s", runtime->run_dir);
    memcpy(runtime->run_dir, real, strlen(real) + 1);
    snprintf(runtime->containers_dir, sizeof runtime->containers_dir, "%s/containers", runtime->data_dir);
    snprintf(runtime->exits_dir, sizeof runtime->exits_dir, "%s/containers/exits", runtime->data_dir);
    snprintf(runtime->sandboxes_dir, sizeof runtime->sandboxes_dir, "%s/sandboxes", runtime->data_dir);
    snprintf(runtime->crun_root, sizeof runtime->crun_root, "%s/crun", runtime->run_dir);
    return 0;
}

static int set_up_cgroups(struct runtime *runtime, struct err *err)
{
    char conmons[160];

    int r = cgroup_tree_detect(&runtime->cgroups, err);
    if (r < 0)
        return r;
    snprintf(conmons, sizeof conmons, "%s/conmon", runtime->cgroup_parent);
    r = cgroup_create(&runtime->cgroups, conmons, err);
    if (r == 0)
        r = cgroup_open_entry(&runtime->cgroups, conmons, runtime->conmon_cgroups, CONMON_CGROUPS_MAX,
                              &runtime->conmon_cgroup_count, err);
    return r;
}

/* See namespace.c. */
static int set_up_mounts(struct runtime *runtime, struct err *err)
{
    bool made;
    int r;

    if (runtime->cgroups.mode != CGROUP_HYBRID)
        return 0;
    r = namespace_share_dir(runtime->data_dir, &made, err);
    if (r == 0)
        r = namespace_share_dir(runtime->run_dir, &made, err);
    return r < 0 ? r : namespace_cgroup_view(&runtime->cgroups, &runtime->mount_ns, err);
}

static int set_up(struct runtime *runtime, const struct runtime_options *options, struct err *err)
{
    int r = set_paths(runtime, options, err);
    if (r == 0)
        r = find_program(options->crun, "crun", runtime->crun, err);
    if (r == 0)
        r = find_program(options->conmon, "conmon", runtime->conmon, err);
    if (r == 0)
        r = read_version(runtime, err);
    if (r == 0)
        r = read_own_limits(runtime, err);
    if (r == 0)
        r = read_boot_id(runtime, err);
    if (r == 0)
        r = set_up_cgroups(runtime, err);
    if (r == 0)
        r = set_up_mounts(runtime, err);
    if (r == 0)
        r = make_dirs(runtime, err);
    if (r == 0)
        r = monitor_start(runtime, err);
    if (r == 0)
        r = entry_load_all(runtime, err);
    return r;
}

int runtime_new(const struct runtime_options *options, struct runtime **ret_runtime, struct err *err)
{
    int r = check_options(options, err);
    if (r < 0)
        return r;
    AUTO(runtime) runtime = calloc(1, sizeof *runtime);
    if (!runtime)
        return err_set(err, ERR_NO_MEMORY, "container runtime");
    runtime->clock = options->clock ? options->clock : clock_real();
    runtime->rng = options->rng ? options->rng : rng_system();
    runtime->mount_ns = runtime->epoll = runtime->stop = -1;
    mutex_init(&runtime->lock);
    cond_init(&runtime->changed);
    map_init(&runtime->entries);
    r = set_up(runtime, options, err);
    if (r < 0)
        return err_wrap(err, r, "container runtime");
    *ret_runtime = TAKE(runtime);
    return 0;
}

struct runtime *runtime_free(struct runtime *runtime)
{
    struct map_entry *slot = NULL;

    if (!runtime)
        return NULL;
    monitor_stop(runtime);
    while ((slot = map_next(&runtime->entries, slot)))
        entry_unref(slot->value);
    map_deinit(&runtime->entries);
    for (size_t i = 0; i < runtime->conmon_cgroup_count; i++)
        close(runtime->conmon_cgroups[i]);
    auto_close_fd(&runtime->mount_ns);
    cond_deinit(&runtime->changed);
    mutex_deinit(&runtime->lock);
    free(runtime);
    return NULL;
}

const char *runtime_version(const struct runtime *runtime)
{
    return runtime->version;
}

const struct cgroup_tree *runtime_cgroups(const struct runtime *runtime)
{
    return &runtime->cgroups;
}

void runtime_on_exit(struct runtime *runtime, container_exit_fn *fn, void *arg)
{
    LOCKED(&runtime->lock);
    runtime->on_exit = fn;
    runtime->on_exit_arg = arg;
    while (!fn && runtime->announcing > 0)
        cond_wait(&runtime->changed, &runtime->lock);
}

/* The folders' own mounts: only there when we made them (a mount point in the host's table is left to the host). */
static void unmount_own(const char *path)
{
    struct stat here, above;
    char parent[DATA_DIR_MAX + 8];

    snprintf(parent, sizeof parent, "%s/..", path);
    /* A bind mount to itself has its parent's device; another file system mounted here by an administrator has not. */
    while (stat(path, &here) == 0 && stat(parent, &above) == 0 && here.st_dev == above.st_dev &&
           umount2(path, MNT_DETACH) == 0)
        ;
}

static void keep_first(int *first, struct err *err, int r, const struct err *this_err)
{
    if (r >= 0 || *first < 0)
        return;
    *first = r;
    if (err)
        *err = *this_err;
}

static int purge_sandboxes(struct runtime *runtime, struct err *err)
{
    AUTO(arena) arena = arena_new(0);
    struct sandbox *list;
    struct err one = { 0 };
    int first = 0;
    size_t count;

    if (!arena)
        return err_set(err, ERR_NO_MEMORY, "list of sandboxes");
    int r = sandbox_list(runtime, arena, &list, &count, err);
    if (r < 0)
        return r;
    for (size_t i = 0; i < count; i++) {
        r = sandbox_remove(runtime, list[i].pod_uid, &one);
        keep_first(&first, err, r, &one);
    }
    return first;
}

static int purge_containers(struct runtime *runtime, struct err *err)
{
    struct container_entry **entries;
    struct err one = { 0 };
    int first = 0;
    size_t count;

    int r = entry_snapshot(runtime, STR_NULL, &entries, &count, err);
    if (r < 0)
        return r;
    for (size_t i = 0; i < count; i++) {
        r = container_delete(runtime, entries[i]->info.id, &one);
        keep_first(&first, err, r, &one);
    }
    entry_snapshot_free(entries, count);
    return first;
}

int runtime_purge(struct runtime *runtime, struct err *err)
{
    struct err one = { 0 };
    int first = 0;

    runtime_on_exit(runtime, NULL, NULL);
    /* Everything at once, conmon too: then each finds its container gone. */
    cgroup_kill(&runtime->cgroups, runtime->cgroup_parent, NULL);
    keep_first(&first, err, purge_sandboxes(runtime, &one), &one);
    keep_first(&first, err, purge_containers(runtime, &one), &one);
    for (size_t i = 0; i < runtime->conmon_cgroup_count; i++)
        close(runtime->conmon_cgroups[i]);
    runtime->conmon_cgroup_count = 0;
    keep_first(&first, err, cgroup_remove(&runtime->cgroups, runtime->cgroup_parent, &one), &one);
    keep_first(&first, err, file_remove_tree(runtime->containers_dir, &one), &one);
    keep_first(&first, err, file_remove_tree(runtime->sandboxes_dir, &one), &one);
    auto_close_fd(&runtime->mount_ns);
    unmount_own(runtime->data_dir);
    unmount_own(runtime->run_dir);
    keep_first(&first, err, file_remove_tree(runtime->run_dir, &one), &one);
    return first < 0 ? err_wrap(err, first, "removing all containers of %s", runtime->instance) : 0;
}
