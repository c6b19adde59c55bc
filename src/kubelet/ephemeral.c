#include "kubelet/ephemeral.h"

const struct container *ephemeral_container_spec(struct arena *arena, const struct ephemeral_container *ephemeral)
{
    struct container *spec = arena_new_of(arena, struct container);

    if (!spec)
        return NULL;
    *spec = (struct container){
        .name = ephemeral->name,
        .image = ephemeral->image,
        .command = ephemeral->command,
        .args = ephemeral->args,
        .working_dir = ephemeral->working_dir,
        .env = ephemeral->env,
        .volume_mounts = ephemeral->volume_mounts,
        .termination_message_path = ephemeral->termination_message_path,
        .image_pull_policy = ephemeral->image_pull_policy,
        .security_context = ephemeral->security_context,
        .stdin = ephemeral->stdin,
        .stdin_once = ephemeral->stdin_once,
        .tty = ephemeral->tty,
        .env_from = ephemeral->env_from,
        .termination_message_policy = ephemeral->termination_message_policy,
        .volume_devices = ephemeral->volume_devices,
    };
    return spec;
}

int ephemeral_target(const struct pod_sync *sync, const struct container_slot *slot, pid_t *ret_pid, struct err *err)
{
    struct str target = slot->ephemeral ? slot->ephemeral->target_container_name : STR_NULL;

    *ret_pid = 0;
    if (!target.len || sync->sandbox.share_pid || sync->sandbox.host_pid)
        return 0;
    for (size_t i = 0; i < sync->slot_count; i++)
        if (str_eq(sync->slots[i].spec->name, target) && slot_is_running(&sync->slots[i]))
            *ret_pid = sync->slots[i].current->pid;
    return *ret_pid ? 0 : err_set(err, ERR_NOT_FOUND, "target container \"" STR_FMT "\" is not running", STR_ARG(target));
}
