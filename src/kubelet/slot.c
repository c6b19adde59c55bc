/* slot.c - the containers of a pod's spec beside what the runtime has of them, and what follows from that: who is
 * ready, who comes again, whether the pod has come to its end. Nothing here asks or changes anything outside. */
#include "kubelet/ephemeral.h"

static void take(struct container_slot *slot, const struct runtime_container *list, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (!str_eq(list[i].name, slot->spec->name))
            continue;
        if (!slot->current || list[i].attempt >= slot->current->attempt) {
            slot->previous = slot->current;
            slot->current = &list[i];
        }
    }
}

static int add(struct pod_sync *sync, const struct container_array *specs, bool init,
               const struct runtime_container *list, size_t count, struct err *err)
{
    for (size_t i = 0; i < specs->count; i++) {
        struct container_slot *slot = &sync->slots[sync->slot_count++];

        slot->spec = &specs->items[i];
        slot->init = init;
        slot->sidecar = init && str_is(slot->spec->restart_policy, "Always");
        slot->memory = pod_state_container(sync->state, slot->spec->name);
        if (!slot->memory)
            return err_set(err, ERR_NO_MEMORY, "pod " STR_FMT, STR_ARG(sync->state->key));
        take(slot, list, count);
    }
    return 0;
}

static int add_ephemeral(struct pod_sync *sync, const struct runtime_container *list, size_t count, struct err *err)
{
    const struct ephemeral_container_array *specs = &sync->pod->spec.ephemeral_containers;

    sync->ephemeral = sync->slots + sync->slot_count;
    for (size_t i = 0; i < specs->count; i++) {
        struct container_slot *slot = &sync->ephemeral[sync->ephemeral_count++];

        slot->ephemeral = &specs->items[i];
        slot->spec = ephemeral_container_spec(sync->arena, slot->ephemeral);
        slot->memory = slot->spec ? pod_state_container(sync->state, slot->spec->name) : NULL;
        if (!slot->memory)
            return err_set(err, ERR_NO_MEMORY, "pod " STR_FMT, STR_ARG(sync->state->key));
        take(slot, list, count);
    }
    return 0;
}

int slots_match(struct pod_sync *sync, const struct runtime_container *list, size_t count, struct err *err)
{
    const struct pod_spec *spec = &sync->pod->spec;

    sync->init_count = spec->init_containers.count;
    sync->slot_count = sync->ephemeral_count = 0;
    sync->slots = arena_array_of(sync->arena,
                                 spec->init_containers.count + spec->containers.count + spec->ephemeral_containers.count,
                                 struct container_slot);
    if (!sync->slots)
        return err_set(err, ERR_NO_MEMORY, "pod " STR_FMT, STR_ARG(sync->state->key));
    int code = add(sync, &spec->init_containers, true, list, count, err);

    if (code == 0)
        code = add(sync, &spec->containers, false, list, count, err);
    return code == 0 ? add_ephemeral(sync, list, count, err) : code;
}

const char *slot_list(const struct container_slot *slot)
{
    return slot->ephemeral ? "ephemeralContainers" : slot->init ? "initContainers" : "containers";
}

bool slot_is_running(const struct container_slot *slot)
{
    return slot->current && slot->current->state == CONTAINER_RUNNING;
}

bool slot_has_exited(const struct container_slot *slot)
{
    return slot->current && (slot->current->state == CONTAINER_EXITED || slot->current->state == CONTAINER_UNKNOWN);
}

bool slot_succeeded(const struct container_slot *slot)
{
    return slot->current && slot->current->state == CONTAINER_EXITED && slot->current->exit_code == 0;
}

bool slot_will_restart(const struct pod_sync *sync, const struct container_slot *slot)
{
    struct str policy = sync->pod->spec.restart_policy;

    if (sync->state->stopping || sync->state->failure_reason[0] || slot->ephemeral)
        return false;
    if (slot->memory->restart_wanted)
        return true;
    if (slot->sidecar)
        return !pod_is_finished(sync);
    if (slot->init && slot_succeeded(slot))
        return false;
    if (str_is(policy, "Never"))
        return false;
    if (str_is(policy, "OnFailure") || slot->init)
        return !slot_succeeded(slot);
    return true;
}

bool slot_is_started(const struct container_slot *slot)
{
    return slot_is_running(slot) && !slot->starting && (slot->probes.started || !slot->spec->startup_probe);
}

bool slot_is_ready(const struct container_slot *slot)
{
    if (slot->init && !slot->sidecar)
        return slot_succeeded(slot);
    return slot_is_started(slot) && (slot->probes.ready || !slot->spec->readiness_probe);
}

bool pod_is_past_init(const struct pod_sync *sync)
{
    for (size_t i = sync->init_count; i < sync->slot_count; i++)
        if (sync->slots[i].current)
            return true;
    return false;
}

static bool init_failed_for_good(const struct pod_sync *sync)
{
    for (size_t i = 0; i < sync->init_count; i++) {
        const struct container_slot *slot = &sync->slots[i];

        if (!slot->sidecar && slot_has_exited(slot) && !slot_succeeded(slot) && !slot_will_restart(sync, slot))
            return true;
    }
    return false;
}

bool pod_is_finished(const struct pod_sync *sync)
{
    bool given_up = sync->state->failure_reason[0] || init_failed_for_good(sync);

    for (size_t i = 0; i < sync->slot_count; i++) {
        const struct container_slot *slot = &sync->slots[i];

        if (slot->sidecar)
            continue;
        if (slot_is_running(slot))
            return false;
        if (!slot->init && !given_up && (!slot_has_exited(slot) || slot_will_restart(sync, slot)))
            return false;
    }
    return true;
}
