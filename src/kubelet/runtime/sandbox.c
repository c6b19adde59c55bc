/* sandbox.c - what the containers of a pod share: namespaces, a cgroup, /dev/shm.
 *
 * All that is known of a sandbox stands in <data>/sandboxes/<uid>/sandbox.json; whether it is ready is asked of the
 * system each time, so after a reboot a sandbox is found not ready and is made again. */
#include "kubelet/runtime/runtime_internal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "codec/json.h"
#include "kubelet/runtime/namespace.h"

struct sandbox_paths {
    char state_dir[PATH_MAX], record[PATH_MAX], ns_dir[256], shm_dir[256], cgroup[256];
};

static int make_paths(const struct runtime *runtime, struct str uid, struct sandbox_paths *paths, struct err *err)
{
    if (!name_is_valid(uid))
        return err_set(err, ERR_INVALID, "\"" STR_FMT "\" is not the UID of a pod", STR_ARG(str_first(uid, 64)));
    snprintf(paths->ns_dir, sizeof paths->ns_dir, "%s/ns/" STR_FMT, runtime->run_dir, STR_ARG(uid));
    snprintf(paths->shm_dir, sizeof paths->shm_dir, "%s/shm/" STR_FMT, runtime->run_dir, STR_ARG(uid));
    snprintf(paths->cgroup, sizeof paths->cgroup, "%s/pod" STR_FMT, runtime->cgroup_parent, STR_ARG(uid));
    if (snprintf(paths->state_dir, sizeof paths->state_dir, "%s/" STR_FMT, runtime->sandboxes_dir, STR_ARG(uid)) +
            (int)sizeof "/sandbox.json.new" > PATH_MAX)
        return err_set(err, ERR_INVALID, "path too long: %s", runtime->sandboxes_dir);
    memcpy(paths->record, paths->state_dir, strlen(paths->state_dir) + 1);
    memcpy(paths->record + strlen(paths->record), "/sandbox.json", sizeof "/sandbox.json");
    return 0;
}

static int write_record(const struct sandbox_spec *spec, nsec_t created_at, const char *path, struct err *err)
{
    AUTO_DEINIT(buf, buf) = BUF_INIT;
    struct json_writer w = json_writer(&buf);

    jw_begin_object(&w);
    jw_field_str(&w, "podUid", spec->pod_uid);
    jw_field_str(&w, "podNamespace", spec->pod_namespace);
    jw_field_str(&w, "podName", spec->pod_name);
    jw_field_bool(&w, "hostNetwork", spec->host_network);
    jw_field_bool(&w, "hostIPC", spec->host_ipc);
    jw_field_bool(&w, "hostPID", spec->host_pid);
    jw_field_bool(&w, "sharePID", spec->share_pid);
    jw_field_int(&w, "createdAt", created_at);
    jw_key(&w, STR("labels"));
    jw_begin_object(&w);
    for (size_t i = 0; i < spec->label_count; i++) {
        jw_key(&w, spec->labels[i].name);
        jw_str(&w, spec->labels[i].value);
    }
    jw_end_object(&w);
    jw_end_object(&w);
    if (!buf_ok(&buf))
        return err_set(err, ERR_NO_MEMORY, "sandbox record");
    return state_write(path, buf_str(&buf), err);
}

static int parse_record(struct str text, struct arena *arena, struct sandbox *sandbox, struct err *err)
{
    struct json *json;

    text = arena_str(arena, text);
    if (!text.data)
        return err_set(err, ERR_NO_MEMORY, "sandbox record");
    int r = json_parse(arena, text, NULL, &json, err);
    if (r < 0)
        return r;
    *sandbox = (struct sandbox){
        .pod_uid = json_str(json_member(json, "podUid")),
        .pod_namespace = json_str(json_member(json, "podNamespace")),
        .pod_name = json_str(json_member(json, "podName")),
        .host_network = json_bool(json_member(json, "hostNetwork"), false),
        .host_ipc = json_bool(json_member(json, "hostIPC"), false),
        .host_pid = json_bool(json_member(json, "hostPID"), false),
        .share_pid = json_bool(json_member(json, "sharePID"), false),
        .created_at = json_int(json_member(json, "createdAt"), 0),
    };
    const struct json *labels = json_member(json, "labels");
    if (!json_is(labels, JSON_OBJECT))
        return 0;
    sandbox->labels = arena_array_of(arena, labels->count + 1, struct oci_pair);
    if (!sandbox->labels)
        return err_set(err, ERR_NO_MEMORY, "sandbox record");
    sandbox->label_count = labels->count;
    for (uint32_t i = 0; i < labels->count; i++) {
        sandbox->labels[i].name = labels->members[i].key;
        sandbox->labels[i].value = json_str(&labels->members[i].value);
    }
    return 0;
}

static bool is_mounted_over(const char *parent, const char *path)
{
    struct stat above, here;

    return stat(parent, &above) == 0 && stat(path, &here) == 0 && above.st_dev != here.st_dev;
}

static struct sandbox_spec kind_of(const struct sandbox *sandbox)
{
    return (struct sandbox_spec){ .host_network = sandbox->host_network, .host_ipc = sandbox->host_ipc };
}

/* What follows from the record, this machine and what is there now. */
static int complete(struct runtime *runtime, const struct sandbox_paths *paths, struct arena *arena,
                    struct sandbox *sandbox, struct err *err)
{
    struct sandbox_spec kind = kind_of(sandbox);
    struct oci_namespaces *ns = &sandbox->namespaces;
    char shm_parent[RUN_DIR_MAX + 8], pid_ns[300];

    snprintf(shm_parent, sizeof shm_parent, "%s/shm", runtime->run_dir);
    snprintf(pid_ns, sizeof pid_ns, "%s/pid", paths->ns_dir);
    sandbox->ready = namespaces_exist(paths->ns_dir, &kind) && cgroup_exists(&runtime->cgroups, paths->cgroup) &&
                     (sandbox->host_ipc || is_mounted_over(shm_parent, paths->shm_dir)) &&
                     (!sandbox->share_pid || is_mounted_over(paths->ns_dir, pid_ns));
    sandbox->cgroup = arena_str(arena, str_from(paths->cgroup));
    sandbox->shm_dir = sandbox->host_ipc ? STR("/dev/shm") : arena_str(arena, str_from(paths->shm_dir));
    ns->host_net = ns->host_uts = sandbox->host_network;
    ns->host_ipc = sandbox->host_ipc;
    ns->host_pid = sandbox->host_pid;
    if (!sandbox->host_network) {
        sandbox->netns = ns->net = arena_printf(arena, "%s/net", paths->ns_dir);
        ns->uts = arena_printf(arena, "%s/uts", paths->ns_dir);
    }
    if (!sandbox->host_ipc)
        ns->ipc = arena_printf(arena, "%s/ipc", paths->ns_dir);
    if (sandbox->share_pid && !sandbox->host_pid)
        ns->pid = arena_str(arena, str_from(pid_ns));
    return arena_failed(arena) ? err_set(err, ERR_NO_MEMORY, "sandbox") : 0;
}

int sandbox_get(struct runtime *runtime, struct str pod_uid, struct arena *arena, struct sandbox *ret_sandbox,
                struct err *err)
{
    AUTO_DEINIT(buf, text) = BUF_INIT;
    struct sandbox_paths paths;
    struct sandbox sandbox;

    int r = make_paths(runtime, pod_uid, &paths, err);
    if (r == 0)
        r = state_read(paths.record, &text, err);
    if (r == 0)
        r = parse_record(buf_str(&text), arena, &sandbox, err);
    if (r == 0 && !str_eq(sandbox.pod_uid, pod_uid))
        r = err_set(err, ERR_INTERNAL, "%s belongs to another pod", paths.record);
    if (r == 0)
        r = complete(runtime, &paths, arena, &sandbox, err);
    if (r < 0)
        return err_wrap(err, r, "sandbox of pod " STR_FMT, STR_ARG(str_first(pod_uid, 64)));
    *ret_sandbox = sandbox;
    return 0;
}

/* The first process of a shared pid namespace: sleeps, and leaves no zombies since it ignores SIGCHLD. */
static int start_reaper(struct runtime *runtime, const struct sandbox_paths *paths, struct err *err)
{
    char target[300], source[64], cgroup[300];
    int fds[CONMON_CGROUPS_MAX];
    size_t count = 0;
    pid_t pid;

    snprintf(cgroup, sizeof cgroup, "%s/reaper", paths->cgroup);
    int r = cgroup_create(&runtime->cgroups, cgroup, err);
    if (r == 0)
        r = cgroup_open_entry(&runtime->cgroups, cgroup, fds, ARRAY_LEN(fds), &count, err);
    if (r < 0)
        return r;
    static const char *const argv[] = { "/bin/sh", "-c", "trap '' CHLD; exec sleep infinity", NULL };
    r = process_start(&(struct process_start){ .argv = argv,
                                               .env = (const char *const[]){ "PATH=/usr/bin:/bin", NULL },
                                               .cwd = "/",
                                               .in = -1,
                                               .out = -1,
                                               .err = -1,
                                               .pass = -1,
                                               .cgroups = fds,
                                               .cgroup_count = count,
                                               .new_session = true,
                                               .new_namespaces = CLONE_NEWPID },
                      &pid, err);
    for (size_t i = 0; i < count; i++)
        close(fds[i]);
    if (r < 0)
        return r;
    snprintf(source, sizeof source, "/proc/%d/ns/pid", (int)pid);
    snprintf(target, sizeof target, "%s/pid", paths->ns_dir);
    int fd = open(target, O_CREAT | O_RDONLY | O_CLOEXEC, 0444);
    if (fd >= 0)
        close(fd);
    if (mount(source, target, NULL, MS_BIND, NULL) < 0) {
        r = err_errno(err, errno, "keeping the pod's pid namespace");
        kill(pid, SIGKILL);
        process_wait(pid);
    }
    return r;
}

static int make_shm(struct runtime *runtime, const struct sandbox_paths *paths, struct err *err)
{
    char parent[RUN_DIR_MAX + 8];

    snprintf(parent, sizeof parent, "%s/shm", runtime->run_dir);
    if (is_mounted_over(parent, paths->shm_dir))
        return 0;
    if (mkdir(paths->shm_dir, 01777) < 0 && errno != EEXIST)
        return err_errno(err, errno, "creating %s", paths->shm_dir);
    if (mount("shm", paths->shm_dir, "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=1777,size=65536k") < 0)
        return err_errno(err, errno, "mounting %s", paths->shm_dir);
    return 0;
}

static int make_parts(struct runtime *runtime, const struct sandbox_spec *spec, const struct sandbox_paths *paths,
                      struct err *err)
{
    int r = cgroup_create(&runtime->cgroups, paths->cgroup, err);
    if (r == 0)
        r = cgroup_set_limits(&runtime->cgroups, paths->cgroup, &spec->resources, err);
    if (r == 0 && !spec->host_ipc)
        r = make_shm(runtime, paths, err);
    if (r == 0 && !namespaces_exist(paths->ns_dir, spec))
        r = namespaces_create(paths->ns_dir, spec, err);
    if (r == 0 && spec->share_pid && !spec->host_pid) {
        char pid_ns[300];

        snprintf(pid_ns, sizeof pid_ns, "%s/pid", paths->ns_dir);
        if (!is_mounted_over(paths->ns_dir, pid_ns))
            r = start_reaper(runtime, paths, err);
    }
    return r;
}

int sandbox_create(struct runtime *runtime, const struct sandbox_spec *spec, struct arena *arena,
                   struct sandbox *ret_sandbox, struct err *err)
{
    struct sandbox_paths paths;
    struct sandbox old;

    int r = make_paths(runtime, spec->pod_uid, &paths, err);
    if (r < 0)
        return r;
    nsec_t created_at = clock_wall(runtime->clock);
    if (sandbox_get(runtime, spec->pod_uid, arena, &old, NULL) == 0 && old.ready)
        created_at = old.created_at;
    if (mkdir(paths.state_dir, 0700) < 0 && errno != EEXIST)
        return err_errno(err, errno, "creating %s", paths.state_dir);
    /* The record first: what is made after it can always be found and removed. */
    r = write_record(spec, created_at, paths.record, err);
    if (r == 0)
        r = make_parts(runtime, spec, &paths, err);
    if (r < 0) {
        sandbox_remove(runtime, spec->pod_uid, NULL);
        return err_wrap(err, r, "creating the sandbox of pod \"" STR_FMT "\"", STR_ARG(spec->pod_name));
    }
    return sandbox_get(runtime, spec->pod_uid, arena, ret_sandbox, err);
}

static int remove_containers(struct runtime *runtime, struct str pod_uid, struct err *err)
{
    struct container_entry **entries;
    size_t count;

    int r = entry_snapshot(runtime, pod_uid, &entries, &count, err);
    if (r < 0)
        return r;
    for (size_t i = 0; i < count; i++)
        if (entries[i]->pidfd >= 0)
            container_signal(runtime, entries[i]->info.id, SIGKILL, NULL); /* all at once, then one by one */
    for (size_t i = 0; r == 0 && i < count; i++)
        r = container_delete(runtime, entries[i]->info.id, err);
    entry_snapshot_free(entries, count);
    return r;
}

int sandbox_remove(struct runtime *runtime, struct str pod_uid, struct err *err)
{
    struct sandbox_paths paths;

    int r = make_paths(runtime, pod_uid, &paths, err);
    if (r == 0)
        r = remove_containers(runtime, pod_uid, err);
    if (r == 0)
        r = cgroup_kill(&runtime->cgroups, paths.cgroup, err);
    if (r == 0)
        r = namespaces_remove(paths.ns_dir, err);
    if (r < 0)
        return r;
    while (umount2(paths.shm_dir, MNT_DETACH) == 0)
        ;
    if (rmdir(paths.shm_dir) < 0 && errno != ENOENT)
        return err_errno(err, errno, "removing %s", paths.shm_dir);
    r = cgroup_remove(&runtime->cgroups, paths.cgroup, err);
    return r < 0 ? r : file_remove_tree(paths.state_dir, err);
}

int sandbox_update(struct runtime *runtime, struct str pod_uid, const struct oci_resources *resources, struct err *err)
{
    struct sandbox_paths paths;

    int r = make_paths(runtime, pod_uid, &paths, err);
    return r < 0 ? r : cgroup_set_limits(&runtime->cgroups, paths.cgroup, resources, err);
}

static int grow(struct arena *arena, struct sandbox **list, size_t count, size_t *cap, struct err *err)
{
    if (count < *cap)
        return 0;
    size_t more = *cap ? *cap * 2 : 16;
    *list = arena_grow(arena, *list, *cap * sizeof(**list), more * sizeof(**list));
    if (!*list)
        return err_set(err, ERR_NO_MEMORY, "list of sandboxes");
    *cap = more;
    return 0;
}

int sandbox_list(struct runtime *runtime, struct arena *arena, struct sandbox **ret_list, size_t *ret_count,
                 struct err *err)
{
    DIR *dir = opendir(runtime->sandboxes_dir);
    struct sandbox *list = NULL;
    size_t count = 0, cap = 0;
    struct dirent *item;
    int r = 0;

    if (!dir)
        return err_errno(err, errno, "reading %s", runtime->sandboxes_dir);
    while (r == 0 && (item = readdir(dir))) {
        if (!name_is_valid(str_from(item->d_name)))
            continue;
        r = grow(arena, &list, count, &cap, err);
        if (r < 0)
            break;
        /* A record that cannot be read still names a pod whose traces must be removable. */
        if (sandbox_get(runtime, str_from(item->d_name), arena, &list[count], NULL) < 0)
            list[count] = (struct sandbox){ .pod_uid = arena_str(arena, str_from(item->d_name)) };
        count++;
    }
    closedir(dir);
    if (r < 0)
        return r;
    *ret_list = list;
    *ret_count = count;
    return 0;
}
