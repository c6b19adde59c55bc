/* container_start.c - from a container of the spec to a running one: image, environment, root file system, mounts,
 * conmon. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "kubelet/action.h"
#include "kubelet/env.h"
#include "kubelet/ephemeral.h"
#include "kubelet/host_files.h"
#include "kubelet/image/rootfs.h"
#include "kubelet/image_puller.h"
#include "kubelet/internal.h"
#include "kubelet/resize.h"
#include "kubelet/resources.h"
#include "kubelet/runtime/container_log.h"
#include "kubelet/runtime/user.h"
#include "kubelet/volume.h"

#define RETRY (10 * NSEC_PER_SEC)

/* What goes into one start; slices live in the sync's arena. */
struct launch {
    struct pod_sync *sync;
    struct container_slot *slot;
    struct image *image;
    struct env env;
    uint32_t attempt;
    char *folder, *rootfs;
    VEC(struct oci_mount) mounts;
    VEC(uint32_t) gids;
    VEC(struct str) args;
    struct container_spec spec;
};

static void launch_deinit(struct launch *launch)
{
    image_drop(launch->image);
    env_deinit(&launch->env);
    vec_deinit(&launch->mounts);
    vec_deinit(&launch->gids);
    vec_deinit(&launch->args);
}

/* -- command -- */

static int add_args(struct launch *launch, const struct str *items, size_t count, bool expand, struct err *err)
{
    for (size_t i = 0; i < count; i++) {
        struct str arg = expand ? env_expand(launch->sync->arena, items[i], &launch->env) : items[i];

        if (!arg.data || vec_push(&launch->args, arg) < 0)
            return err_set(err, ERR_NO_MEMORY, "command");
    }
    return 0;
}

/* command replaces the image's entrypoint (and then its cmd too), args replaces its cmd. */
static int set_command(struct launch *launch, struct err *err)
{
    const struct container *spec = launch->slot->spec;
    const struct image_config *config = &launch->image->config;
    int code = spec->command.count ? add_args(launch, spec->command.items, spec->command.count, true, err)
                                   : add_args(launch, config->entrypoint.items, config->entrypoint.count, false, err);

    if (code == 0 && spec->args.count)
        code = add_args(launch, spec->args.items, spec->args.count, true, err);
    else if (code == 0 && !spec->command.count)
        code = add_args(launch, config->cmd.items, config->cmd.count, false, err);
    if (code == 0 && launch->args.count == 0)
        code = err_set(err, ERR_INVALID, "no command specified");
    launch->spec.oci.args = (struct str_list){ launch->args.items, launch->args.count };
    return code;
}

/* -- identity and rights -- */

static int set_user(struct launch *launch, struct err *err)
{
    const struct security_context *own = launch->slot->spec->security_context;
    const struct pod_security_context *pod = launch->sync->pod->spec.security_context;
    struct opt_i64 uid = own && own->run_as_user.set ? own->run_as_user
                         : pod                       ? pod->run_as_user
                                                     : (struct opt_i64){ 0 };
    struct opt_i64 gid = own && own->run_as_group.set ? own->run_as_group
                         : pod                        ? pod->run_as_group
                                                      : (struct opt_i64){ 0 };
    bool not_root = own && own->run_as_non_root.set ? own->run_as_non_root.value
                    : pod                           ? opt_or(pod->run_as_non_root, false)
                                                    : false;
    struct str name =
        uid.set ? arena_printf(launch->sync->arena, "%lld", (long long)uid.value) : launch->image->config.user;
    struct user user;
    int code = user_resolve(launch->rootfs, name, launch->sync->arena, &user, err);

    if (code < 0)
        return code;
    launch->spec.oci.uid = user.uid;
    launch->spec.oci.gid = gid.set ? (uint32_t)gid.value : user.gid;
    for (size_t i = 0; i < user.group_count; i++)
        if (vec_push(&launch->gids, user.groups[i]) < 0)
            return err_set(err, ERR_NO_MEMORY, "groups");
    for (size_t i = 0; pod && i < pod->supplemental_groups.count; i++)
        if (vec_push(&launch->gids, (uint32_t)pod->supplemental_groups.items[i]) < 0)
            return err_set(err, ERR_NO_MEMORY, "groups");
    if (pod && pod->fs_group.set && vec_push(&launch->gids, (uint32_t)pod->fs_group.value) < 0)
        return err_set(err, ERR_NO_MEMORY, "groups");
    launch->spec.oci.additional_gids = launch->gids.items;
    launch->spec.oci.additional_gid_count = launch->gids.count;
    if (not_root && user.uid == 0)
        return err_set(err, ERR_INVALID, "%s (pod: \"" STR_FMT "_" STR_FMT "(" STR_FMT ")\", container: " STR_FMT ")",
                       uid.set ? "container's runAsUser breaks non-root policy"
                               : "container has runAsNonRoot and image will run as root",
                       STR_ARG(launch->sync->object->meta->name), STR_ARG(launch->sync->object->meta->namespace),
                       STR_ARG(launch->sync->state->uid), STR_ARG(launch->slot->spec->name));
    return 0;
}

static int set_rights(struct launch *launch, struct err *err)
{
    const struct security_context *own = launch->slot->spec->security_context;
    const struct pod_security_context *pod = launch->sync->pod->spec.security_context;
    const struct seccomp_profile *seccomp = own && own->seccomp_profile ? own->seccomp_profile
                                            : pod                       ? pod->seccomp_profile
                                                                        : NULL;
    struct oci_spec *oci = &launch->spec.oci;

    if (seccomp && str_is(seccomp->type, "Localhost"))
        return err_set(err, ERR_NOT_SUPPORTED, "seccomp profiles of type Localhost are not supported on this node");
    if (!own)
        return 0;
    oci->privileged = opt_or(own->privileged, false);
    oci->read_only_rootfs = opt_or(own->read_only_root_filesystem, false);
    oci->no_new_privs = !opt_or(own->allow_privilege_escalation, true);
    oci->unmasked = str_is(own->proc_mount, "Unmasked");
    if (own->capabilities) {
        oci->capabilities_add = (struct str_list){ own->capabilities->add.items, own->capabilities->add.count };
        oci->capabilities_drop = (struct str_list){ own->capabilities->drop.items, own->capabilities->drop.count };
    }
    return 0;
}

/* -- mounts -- */

static int add_mount(struct launch *launch, const struct oci_mount *mount, struct err *err)
{
    if (!mount->source.data || !mount->target.data || vec_push(&launch->mounts, *mount) < 0)
        return err_set(err, ERR_NO_MEMORY, "mounts");
    return 0;
}

static enum oci_propagation propagation_of(struct str name)
{
    return str_is(name, "Bidirectional")     ? OCI_PROPAGATION_SHARED
           : str_is(name, "HostToContainer") ? OCI_PROPAGATION_SLAVE
                                             : OCI_PROPAGATION_PRIVATE;
}

/* A subPath is pinned by a mount of its own below the pod's folder: a path would be followed a second time by crun, and
 * another container of the pod may have put a link there meanwhile. */
static int pin_sub_path(struct launch *launch, struct str sub, char **path, struct err *err)
{
    const struct pod_sync *sync = launch->sync;
    char *pod = path_pod(sync->arena, sync->kubelet, sync->state->uid);
    const char *pin = pod ? arena_printf(sync->arena, "%s/subpaths/" STR_FMT "/%zu", pod,
                                         STR_ARG(launch->slot->spec->name), launch->mounts.count)
                                .data
                          : NULL;

    if (!pin)
        return err_set(err, ERR_NO_MEMORY, "subPath");
    int code = volume_pin(*path, sub, pin, err);

    if (code == 0)
        *path = (char *)pin;
    return code;
}

static int add_volume_mount(struct launch *launch, const struct volume_mount *mount, struct err *err)
{
    struct pod_sync *sync = launch->sync;
    struct str sub =
        mount->sub_path_expr.len ? env_expand(sync->arena, mount->sub_path_expr, &launch->env) : mount->sub_path;
    const struct volume *volume = volume_find(sync->pod, mount->name);
    char *path;
    int code = volume_path(sync, mount->name, &path, err);

    if (code == 0 && sub.len)
        code = pin_sub_path(launch, sub, &path, err);
    if (code < 0)
        return code;
    const struct oci_mount bind = {
        .source = str_from(path),
        .target = mount->mount_path.len && mount->mount_path.data[0] == '/'
                      ? mount->mount_path
                      : arena_printf(sync->arena, "/" STR_FMT, STR_ARG(mount->mount_path)),
        .read_only = opt_or(mount->read_only, false) || volume_is_read_only(volume),
        .recursive_read_only = str_is(mount->recursive_read_only, "Enabled"),
        .propagation = propagation_of(mount->mount_propagation),
    };

    return add_mount(launch, &bind, err);
}

static bool mounts_at(const struct container *spec, const char *path)
{
    for (size_t i = 0; i < spec->volume_mounts.count; i++)
        if (str_is(spec->volume_mounts.items[i].mount_path, path))
            return true;
    return false;
}

static int add_host_file(struct launch *launch, const char *name, const char *target, struct err *err)
{
    if (mounts_at(launch->slot->spec, target))
        return 0;
    const struct oci_mount bind = { .source = str_from(host_file_path(launch->sync, name)),
                                    .target = str_from(target) };

    return add_mount(launch, &bind, err);
}

static int add_termination_log(struct launch *launch, struct err *err)
{
    struct str target = launch->slot->spec->termination_message_path;
    struct str source = arena_printf(launch->sync->arena, "%s/termination-log", launch->folder);

    if (!target.len)
        return 0;
    if (!source.data)
        return err_set(err, ERR_NO_MEMORY, "termination log");
    AUTO_CLOSE int fd = open(source.data, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);

    if (fd < 0 || fchmod(fd, 0666) < 0)
        return err_errno(err, errno, "creating %s", source.data);
    const struct oci_mount bind = { .source = source, .target = target };

    return add_mount(launch, &bind, err);
}

static int set_mounts(struct launch *launch, struct err *err)
{
    const struct container *spec = launch->slot->spec;
    int code = add_host_file(launch, "etc-hosts", "/etc/hosts", err);

    if (code == 0)
        code = add_host_file(launch, "resolv.conf", "/etc/resolv.conf", err);
    if (code == 0)
        code = add_termination_log(launch, err);
    for (size_t i = 0; code == 0 && i < spec->volume_mounts.count; i++)
        code = add_volume_mount(launch, &spec->volume_mounts.items[i], err);
    if (code == 0 && spec->volume_devices.count)
        code = err_set(err, ERR_NOT_SUPPORTED, "volumeDevices are not supported on this node");
    launch->spec.oci.mounts = launch->mounts.items;
    launch->spec.oci.mount_count = launch->mounts.count;
    return code;
}

/* -- steps -- */

/* Keeps the container before this one (for its state and logs) and forgets those before it. */
static int collect_old(struct launch *launch, struct err *err)
{
    struct container_slot *slot = launch->slot;
    struct kubelet *kubelet = launch->sync->kubelet;
    const struct runtime_container *old = slot->previous;
    int code = 0;

    if (slot->current) {
        char *folder = path_container(launch->sync->arena, kubelet, launch->sync->state->uid, slot->spec->name,
                                      slot->current->attempt);

        code = folder ? rootfs_unmount(folder, err) : err_set(err, ERR_NO_MEMORY, "container");
    }
    if (code < 0 || !old)
        return code;
    char *folder = path_container(launch->sync->arena, kubelet, launch->sync->state->uid, old->name, old->attempt);
    char *log = arena_cstr(launch->sync->arena, old->log_path);

    if (!folder || !log)
        return err_set(err, ERR_NO_MEMORY, "container");
    code = container_delete(kubelet->options.runtime, old->id, err);
    if (code == 0)
        code = rootfs_unmount(folder, err);
    if (code == 0)
        code = file_remove_tree(folder, err);
    if (code == 0)
        code = container_log_remove(log, err);
    slot->previous = NULL;
    return code;
}

/* "uid gid group...", for the status. */
static struct str user_text(const struct launch *launch)
{
    const struct oci_spec *oci = &launch->spec.oci;
    AUTO_DEINIT(buf, text) = BUF_INIT;

    buf_printf(&text, "%u %u", oci->uid, oci->gid);
    for (size_t i = 0; i < oci->additional_gid_count; i++)
        buf_printf(&text, " %u", oci->additional_gids[i]);
    struct str kept = buf_ok(&text) ? arena_str(launch->sync->arena, buf_str(&text)) : STR_NULL;

    return kept.data ? kept : STR("");
}

static int set_labels(struct launch *launch, struct err *err)
{
    enum { LABELS = 4 };
    struct oci_pair *labels = arena_array_of(launch->sync->arena, LABELS, struct oci_pair);

    if (!labels)
        return err_set(err, ERR_NO_MEMORY, "labels");
    labels[0] = (struct oci_pair){ STR("image"), launch->slot->spec->image };
    labels[1] = (struct oci_pair){ STR("image-id"), image_status_id(launch->image) };
    labels[2] = (struct oci_pair){ STR("user"), user_text(launch) };
    labels[3] = (struct oci_pair){ STR("stop-signal"), launch->image->config.stop_signal };
    launch->spec.labels = labels;
    launch->spec.label_count = labels[3].value.len ? LABELS : LABELS - 1;
    return 0;
}

static int set_basics(struct launch *launch, struct err *err)
{
    const struct container *spec = launch->slot->spec;
    const struct pod_sync *sync = launch->sync;
    char *log = path_log(launch->sync->arena, sync->kubelet, sync->object->meta, spec->name, launch->attempt);
    struct str image_cwd = launch->image->config.working_dir;

    if (!log)
        return err_set(err, ERR_NO_MEMORY, "container");
    launch->spec.pod_uid = sync->state->uid;
    launch->spec.name = spec->name;
    launch->spec.attempt = launch->attempt;
    launch->spec.log_path = str_from(log);
    launch->spec.keep_stdin = opt_or(spec->stdin, false);
    launch->spec.stdin_once = opt_or(spec->stdin_once, false);
    launch->spec.oci.terminal = opt_or(spec->tty, false);
    launch->spec.oci.hostname = sync->sandbox.host_network ? sync->kubelet->options.node_name : pod_hostname(sync);
    launch->spec.oci.rootfs = str_from(launch->rootfs);
    launch->spec.oci.cwd = spec->working_dir.len ? spec->working_dir : image_cwd.len ? image_cwd : STR("/");
    launch->spec.oci.env = launch->env.all.items;
    launch->spec.oci.env_count = launch->env.all.count;
    launch->spec.oci.resources = container_resources(resize_effective(sync, launch->slot));
    launch->spec.oci.oom_score_adj =
        container_oom_score_adj(sync->pod, spec, (int64_t)sysconf(_SC_PHYS_PAGES) * sysconf(_SC_PAGESIZE));
    return set_labels(launch, err);
}

/* What the user's configuration gets wrong. */
static int configure(struct launch *launch, struct err *err)
{
    int code = env_build(launch->sync, launch->slot->spec, launch->image, &launch->env, err);

    if (code == 0)
        code = set_command(launch, err);
    if (code == 0)
        code = set_rights(launch, err);
    return code;
}

/* An agent that died in the middle may have left a mount from the same attempt. */
static int mount_rootfs(struct launch *launch, struct err *err)
{
    const struct rootfs_options options = { .dir = launch->folder };
    struct str path;
    int code = rootfs_unmount(launch->folder, err);

    if (code == 0)
        code = rootfs_mount(launch->sync->kubelet->options.images, launch->image, &options, &path, launch->sync->arena,
                            err);
    if (code == 0)
        launch->rootfs = (char *)path.data;
    return code;
}

static int build(struct launch *launch, struct err *err)
{
    struct pod_sync *sync = launch->sync;

    launch->folder =
        path_container(sync->arena, sync->kubelet, sync->state->uid, launch->slot->spec->name, launch->attempt);
    int code = launch->folder ? file_make_dirs(launch->folder, 0711, err) : err_set(err, ERR_NO_MEMORY, "container");

    if (code == 0)
        code = mount_rootfs(launch, err);
    if (code == 0)
        code = set_mounts(launch, err);
    if (code == 0)
        code = ephemeral_target(sync, launch->slot, &launch->spec.pid_of, err);
    if (code == 0)
        code = set_user(launch, err);
    return code == 0 ? set_basics(launch, err) : code;
}

static int refuse(struct launch *launch, const char *reason, const struct err *err)
{
    struct container_memory *memory = launch->slot->memory;
    bool again = memory->reason && strcmp(memory->reason, reason) == 0 && strcmp(memory->message, err->message) == 0;

    memory->reason = reason;
    snprintf(memory->message, sizeof memory->message, "%s", err->message);
    if (!again)
        sync_event(launch->sync, launch->slot->spec, "Warning", "Failed", "Error: %s", err->message);
    sync_wake_after(launch->sync, RETRY);
    return 1;
}

/* What could not be started has exited with code 128; why stands where its termination message would. */
static void keep_start_error(struct launch *launch, const struct err *err)
{
    char path[PATH_MAX];

    if (snprintf(path, sizeof path, "%s/termination-log", launch->folder) < (int)sizeof path)
        file_write_plain(path, str_from(err->message), 0666, NULL);
}

static void note_start(struct launch *launch, const char *id)
{
    struct pod_sync *sync = launch->sync;
    struct container_slot *slot = launch->slot;

    sync_event(sync, slot->spec, "Normal", "Started", "Started container " STR_FMT, STR_ARG(slot->spec->name));
    slot->memory->reason = NULL;
    slot->memory->kill_reason = NULL;
    resize_note_start(sync, slot);
    slot->memory->post_start = hook_unref(slot->memory->post_start);
    image_store_touch(sync->kubelet->options.images, launch->image);
    if (slot->spec->lifecycle && slot->spec->lifecycle->post_start && hook_start_post_start(sync, slot, id) < 0)
        log_warn("kubelet", STR_FMT ": postStart could not be run", STR_ARG(sync->state->key));
}

static int create_and_start(struct launch *launch, char *ret_id, struct err *err)
{
    struct pod_sync *sync = launch->sync;
    struct container_slot *slot = launch->slot;
    struct runtime *runtime = sync->kubelet->options.runtime;
    int code = container_create(runtime, &launch->spec, ret_id, err);

    if (code < 0)
        return refuse(launch, "CreateContainerError", err);
    sync_event(sync, slot->spec, "Normal", "Created", "Created container: " STR_FMT, STR_ARG(slot->spec->name));
    code = container_start(runtime, str_from(ret_id), err);
    if (code < 0) {
        keep_start_error(launch, err);
        sync_event(sync, slot->spec, "Warning", "Failed", "Error: %s", err->message);
        slot->memory->reason = "RunContainerError";
        snprintf(slot->memory->message, sizeof slot->memory->message, "%s", err->message);
        pod_wake(sync->kubelet, sync->state->key);
        return 1;
    }
    note_start(launch, ret_id);
    return 0;
}

int container_launch(struct pod_sync *sync, struct container_slot *slot, char *ret_id, struct err *err)
{
    struct launch launch = { .sync = sync, .slot = slot, .attempt = slot->current ? slot->current->attempt + 1 : 0 };
    struct err why = { 0 };
    int code = puller_get(sync->kubelet->puller, sync, slot, &launch.image, err);

    if (code == 0)
        code = collect_old(&launch, err);
    if (code == 0 && configure(&launch, &why) < 0)
        code = refuse(&launch, "CreateContainerConfigError", &why);
    else if (code == 0 && build(&launch, &why) < 0)
        code = refuse(&launch, why.code == ERR_INVALID ? "CreateContainerConfigError" : "CreateContainerError", &why);
    else if (code == 0)
        code = create_and_start(&launch, ret_id, &why);
    launch_deinit(&launch);
    return code;
}
