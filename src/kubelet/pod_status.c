/* pod_status.c - what the API is told of a pod: made anew from the runtime at every look, written when it differs from
 * what was written last. */
#include <limits.h>
#include <stdio.h>

#include "api/resources.h"
#include "base/file.h"
#include "kubelet/internal.h"
#include "kubelet/resources.h"
#include "schema/view.h"

#define TERMINATION_MESSAGE_MAX 4096

/* -- containers -- */

static struct str label(const struct runtime_container *container, const char *name)
{
    for (size_t i = 0; i < container->label_count; i++)
        if (str_is(container->labels[i].name, name))
            return container->labels[i].value;
    return STR_NULL;
}

static struct api_time time_of(nsec_t wall)
{
    return (struct api_time){ wall != 0, wall };
}

static struct str container_id_text(struct arena *arena, const struct runtime_container *container)
{
    return arena_printf(arena, "crun://" STR_FMT, STR_ARG(container->id));
}

/* What the container left in its termination log, or (when asked for) the end of its output if it failed. */
static struct str termination_message(struct pod_sync *sync, const struct container_slot *slot,
                                      const struct runtime_container *container)
{
    char *folder = path_container(sync->arena, sync->kubelet, sync->state->uid, container->name, container->attempt);
    char path[PATH_MAX];
    struct buf buf = BUF_INIT;
    struct str text = STR_NULL;

    if (!folder || snprintf(path, sizeof path, "%s/termination-log", folder) >= (int)sizeof path)
        return STR_NULL;
    if (file_read(path, 1 << 20, &buf, NULL) == 0 && buf.len)
        text = arena_str(sync->arena, str_first(buf_str(&buf), TERMINATION_MESSAGE_MAX));
    buf_deinit(&buf);
    if (!text.len && container->exit_code != 0 && str_is(slot->spec->termination_message_policy, "FallbackToLogsOnError"))
        text = kubelet_log_tail(sync->arena, container->log_path);
    return str_is_utf8(text) ? text : STR("(the termination message is not UTF-8)");
}

static const char *termination_reason(const struct runtime_container *container)
{
    if (container->oom_killed)
        return "OOMKilled";
    if (container->state == CONTAINER_UNKNOWN)
        return "ContainerStatusUnknown";
    if (container->exit_code == 128 && !container->started_at)
        return "StartError";
    return container->exit_code == 0 ? "Completed" : "Error";
}

static const struct container_state_terminated *terminated(struct pod_sync *sync, const struct container_slot *slot,
                                                           const struct runtime_container *container)
{
    struct container_state_terminated *state = arena_new_of(sync->arena, struct container_state_terminated);

    if (!state)
        return NULL;
    state->exit_code = container->state == CONTAINER_UNKNOWN ? 137 : container->exit_code;
    state->reason = str_from(termination_reason(container));
    state->message = termination_message(sync, slot, container);
    state->started_at = time_of(container->started_at ? container->started_at : container->created_at);
    state->finished_at = time_of(container->finished_at);
    state->container_id = container_id_text(sync->arena, container);
    return state;
}

static const struct container_state_waiting *waiting(struct pod_sync *sync, const struct container_slot *slot,
                                                     bool init_done)
{
    struct container_state_waiting *state = arena_new_of(sync->arena, struct container_state_waiting);

    if (!state)
        return NULL;
    state->reason = str_from(slot->memory->reason                 ? slot->memory->reason
                             : !slot->init && sync->init_count && !init_done ? "PodInitializing"
                                                                             : "ContainerCreating");
    if (slot->memory->reason)
        state->message = str_from(slot->memory->message);
    return state;
}

static const struct container_state_running *running(struct pod_sync *sync, const struct runtime_container *container)
{
    struct container_state_running *state = arena_new_of(sync->arena, struct container_state_running);

    if (state)
        state->started_at = time_of(container->started_at);
    return state;
}

static void fill_container(struct pod_sync *sync, const struct container_slot *slot, bool init_done,
                           struct container_status *status)
{
    const struct runtime_container *current = slot->current;
    bool started = false;

    status->name = slot->spec->name;
    status->image = slot->spec->image;
    status->image_id = STR("");
    status->ready = slot_is_ready(sync, slot, &started);
    status->started = (struct opt_bool){ true, started };
    if (current) {
        status->restart_count = (int32_t)current->attempt;
        status->container_id = container_id_text(sync->arena, current);
        status->image = label(current, "image");
        status->image_id = label(current, "image-id");
    }
    if (slot_is_running(slot)) {
        status->state.running = running(sync, current);
        if (slot->previous)
            status->last_state.terminated = terminated(sync, slot, slot->previous);
    } else if (slot_has_exited(slot) && !(slot->memory->reason && slot_will_restart(sync, slot))) {
        status->state.terminated = terminated(sync, slot, current);
        if (slot->previous)
            status->last_state.terminated = terminated(sync, slot, slot->previous);
    } else {
        status->state.waiting = waiting(sync, slot, init_done);
        if (slot_has_exited(slot))
            status->last_state.terminated = terminated(sync, slot, current);
    }
}

/* -- the pod -- */

struct tally {
    int running, waiting, restarting, stopped, failed;
    bool init_done, init_failed;
};

static struct tally count(const struct pod_sync *sync)
{
    struct tally tally = { .init_done = true };

    for (size_t i = 0; i < sync->slot_count; i++) {
        const struct container_slot *slot = &sync->slots[i];
        bool exited = slot_has_exited(slot), again = exited && slot_will_restart(sync, slot), started;
        bool bad = exited && (slot->current->exit_code != 0 || slot->current->state == CONTAINER_UNKNOWN);

        if (slot->init) {
            bool passed = slot_is_ready(sync, slot, &started);

            if (slot->sidecar)
                passed = started;
            tally.init_done &= passed;
            tally.init_failed |= !slot->sidecar && bad && !again;
            continue;
        }
        tally.running += slot_is_running(slot);
        tally.restarting += again;
        tally.waiting += !slot_is_running(slot) && !exited;
        tally.stopped += exited && !again;
        tally.failed += bad && !again;
    }
    if (tally.running || tally.restarting || tally.stopped)
        tally.init_done = true; /* init containers may have been collected since */
    return tally;
}

static const char *phase_of(const struct pod_sync *sync, const struct tally *tally)
{
    bool quiet = !tally->running && pod_is_finished(sync);

    if (sync->state->failure_reason[0])
        return quiet ? "Failed" : "Running";
    if (tally->init_failed)
        return "Failed";
    if (sync->state->stopping && quiet)
        return tally->failed || tally->waiting ? "Failed" : "Succeeded";
    if (!tally->init_done || tally->waiting)
        return "Pending";
    if (tally->running || tally->restarting)
        return "Running";
    return tally->failed ? "Failed" : "Succeeded";
}

static const struct pod_condition *present_condition(const struct pod_sync *sync, const char *type)
{
    const struct pod_condition_array *conditions = &sync->pod->status.conditions;

    for (size_t i = 0; i < conditions->count; i++)
        if (str_is(conditions->items[i].type, type))
            return &conditions->items[i];
    return NULL;
}

static void add_condition(struct pod_sync *sync, struct pod_condition *list, size_t *count, const char *type, bool value,
                          const char *reason, struct str message)
{
    const struct pod_condition *present = present_condition(sync, type);
    struct pod_condition *condition = &list[(*count)++];

    condition->type = str_from(type);
    condition->status = value ? STR("True") : STR("False");
    condition->reason = reason ? str_from(reason) : STR_NULL;
    condition->message = message;
    condition->last_transition_time = present && str_eq(present->status, condition->status) &&
                                              present->last_transition_time.set
                                          ? present->last_transition_time
                                          : time_of(clock_wall(sync->kubelet->options.clock));
    condition->last_transition_time.unix_nsec -= condition->last_transition_time.unix_nsec % NSEC_PER_SEC;
}

static struct str unready_text(struct pod_sync *sync, const char *what, bool init)
{
    struct buf buf = BUF_INIT;
    bool started, any = false;

    for (size_t i = 0; i < sync->slot_count; i++) {
        if (sync->slots[i].init != init || slot_is_ready(sync, &sync->slots[i], &started))
            continue;
        buf_printf(&buf, "%s" STR_FMT, any ? " " : "", STR_ARG(sync->slots[i].spec->name));
        any = true;
    }
    struct str text = any && buf_ok(&buf) ? arena_printf(sync->arena, "containers with %s status: [" STR_FMT "]", what,
                                                         STR_ARG(buf_str(&buf)))
                                          : STR_NULL;

    buf_deinit(&buf);
    return text;
}

static bool gates_open(const struct pod_sync *sync)
{
    const struct pod_readiness_gate_array *gates = &sync->pod->spec.readiness_gates;

    for (size_t i = 0; i < gates->count; i++) {
        bool open = false;

        for (size_t c = 0; c < sync->pod->status.conditions.count; c++)
            open |= str_eq(sync->pod->status.conditions.items[c].type, gates->items[i].condition_type) &&
                    str_is(sync->pod->status.conditions.items[c].status, "True");
        if (!open)
            return false;
    }
    return true;
}

static bool is_ours(struct str type)
{
    static const char *const ours[] = { "PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady" };

    for (size_t i = 0; i < ARRAY_LEN(ours); i++)
        if (str_is(type, ours[i]))
            return true;
    return false;
}

static int fill_conditions(struct pod_sync *sync, const struct tally *tally, const char *phase,
                           struct pod_status *status, struct err *err)
{
    const struct pod_condition_array *present = &sync->pod->status.conditions;
    struct pod_condition *list = arena_array_of(sync->arena, present->count + 4, struct pod_condition);
    struct str unready = unready_text(sync, "unready", false), incomplete = unready_text(sync, "incomplete", true);
    bool done = strcmp(phase, "Succeeded") == 0, failed = strcmp(phase, "Failed") == 0;
    bool ready = strcmp(phase, "Running") == 0 && !unready.data && !sync->state->stopping;
    const char *why = done ? "PodCompleted" : failed ? "PodFailed" : ready ? NULL : "ContainersNotReady";
    size_t count = 0;

    if (!list)
        return err_set(err, ERR_NO_MEMORY, "pod status");
    if (sync->state->stopping && !unready.data)
        unready = unready_text(sync, "unready", false);
    add_condition(sync, list, &count, "PodReadyToStartContainers", sync->state->network_ready && !done && !failed, NULL,
                  STR_NULL);
    add_condition(sync, list, &count, "Initialized", tally->init_done || done,
                  done ? "PodCompleted" : tally->init_done ? NULL : "ContainersNotInitialized",
                  tally->init_done || done ? STR_NULL : incomplete);
    add_condition(sync, list, &count, "Ready", ready && gates_open(sync), ready && !gates_open(sync) ? "ReadinessGatesNotReady" : why,
                  done || failed || ready ? STR_NULL : unready);
    add_condition(sync, list, &count, "ContainersReady", ready, why, done || failed || ready ? STR_NULL : unready);
    for (size_t i = 0; i < present->count; i++)
        if (!is_ours(present->items[i].type))
            list[count++] = present->items[i];
    status->conditions = (struct pod_condition_array){ list, count };
    return 0;
}

static int fill_containers(struct pod_sync *sync, const struct tally *tally, struct pod_status *status, struct err *err)
{
    struct container_status *list = arena_array_of(sync->arena, sync->slot_count, struct container_status);

    if (!list)
        return err_set(err, ERR_NO_MEMORY, "pod status");
    for (size_t i = 0; i < sync->slot_count; i++)
        fill_container(sync, &sync->slots[i], tally->init_done, &list[i]);
    status->init_container_statuses = (struct container_status_array){ list, sync->init_count };
    status->container_statuses = (struct container_status_array){ list + sync->init_count,
                                                                  sync->slot_count - sync->init_count };
    return 0;
}

static int fill_addresses(struct pod_sync *sync, struct pod_status *status, struct err *err)
{
    struct pod_ip *ip = arena_new_of(sync->arena, struct pod_ip);
    struct host_ip *host = arena_new_of(sync->arena, struct host_ip);

    if (!ip || !host)
        return err_set(err, ERR_NO_MEMORY, "pod status");
    status->host_ip = host->ip = sync->kubelet->options.node_ip;
    status->host_ips = (struct host_ip_array){ host, 1 };
    if (!sync->state->network_ready)
        return 0;
    status->pod_ip = ip->ip = str_from(sync->state->ip);
    status->pod_ips = (struct pod_ip_array){ ip, 1 };
    return 0;
}

static int make_status(struct pod_sync *sync, struct pod_status *status, struct err *err)
{
    struct tally tally = count(sync);
    const char *phase = phase_of(sync, &tally);
    struct api_time now = time_of(clock_wall(sync->kubelet->options.clock));

    status->phase = str_from(phase);
    status->qos_class = str_from(pod_quality_class(sync->pod));
    status->start_time = sync->pod->status.start_time.set ? sync->pod->status.start_time : now;
    status->nominated_node_name = sync->pod->status.nominated_node_name;
    if (sync->state->failure_reason[0]) {
        status->reason = str_from(sync->state->failure_reason);
        status->message = str_from(sync->state->failure_message);
    }
    int code = fill_addresses(sync, status, err);

    if (code == 0)
        code = fill_containers(sync, &tally, status, err);
    return code == 0 ? fill_conditions(sync, &tally, phase, status, err) : code;
}

static int write_status(struct pod_sync *sync, struct str text, struct err *err)
{
    const struct object_meta *meta = sync->object->meta;
    struct str patch = arena_printf(sync->arena, "{\"metadata\":{\"uid\":\"" STR_FMT "\"},\"status\":" STR_FMT "}",
                                    STR_ARG(meta->uid), STR_ARG(text));

    if (!patch.data)
        return err_set(err, ERR_NO_MEMORY, "pod status");
    int code = client_patch(sync->kubelet->options.client, &RESOURCE_PODS, meta->namespace, meta->name, STR("status"),
                            PATCH_MERGE, patch, STR("kubelet: pod status"), sync->object->revision, NULL, err);

    return code == -ERR_NOT_FOUND || code == -ERR_CONFLICT ? 0 : code;
}

int pod_report(struct pod_sync *sync, struct err *err)
{
    struct pod_status *status = arena_new_of(sync->arena, struct pod_status);
    struct buf text = BUF_INIT;
    int code = status ? make_status(sync, status, err) : err_set(err, ERR_NO_MEMORY, "pod status");

    if (code == 0)
        code = view_write(&text, &TYPE_POD_STATUS, status, err);
    if (code == 0 && !(sync->state->status && str_is(buf_str(&text), sync->state->status))) {
        code = write_status(sync, buf_str(&text), err);
        free(sync->state->status);
        sync->state->status = code == 0 ? str_dup(buf_str(&text)) : NULL;
    }
    buf_deinit(&text);
    return code;
}
