/* pod_worker.c - one look at one pod: what does the API want, what does the runtime have, what is the next step?
 *
 * Level-triggered: a change in the API, an exit, a probe's result, a pulled image or a timer queue the pod's key, and the whole
 * pod is looked at again. Nothing here waits: what takes time (pulls, probes, grace periods) comes back as another
 * look. The states of a pod:
 *   gone from the API          -> remove everything at once
 *   deletionTimestamp set      -> stop within the grace period, remove, report, delete in the API
 *   Succeeded or Failed        -> free what it holds, keep its logs
 *   else                       -> volumes, sandbox, network; init containers in order; containers */
#include "kubelet/internal.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>

#include "api/resources.h"
#include "base/log.h"
#include "kubelet/probe.h"

#define BACKOFF_BASE (10 * NSEC_PER_SEC)
#define BACKOFF_CAP (300 * NSEC_PER_SEC)
#define BACKOFF_RESET (600 * NSEC_PER_SEC) /* having run so long wipes the slate */
#define VOLUME_REFRESH (60 * NSEC_PER_SEC)

void sync_wake_after(struct pod_sync *sync, nsec_t delay)
{
    delay = MAX(delay, NSEC_PER_MSEC);
    if (!sync->wake_after || delay < sync->wake_after)
        sync->wake_after = delay;
}

void sync_event(struct pod_sync *sync, const struct container *container, const char *type, const char *reason,
                const char *fmt, ...)
{
    char message[1024];
    struct str path = STR_NULL;
    va_list args;

    va_start(args, fmt);
    vsnprintf(message, sizeof message, fmt, args);
    va_end(args);
    if (container) {
        bool init = false;

        for (size_t i = 0; i < sync->init_count; i++)
            init |= sync->slots[i].spec == container;
        path = arena_printf(sync->arena, "spec.%s{" STR_FMT "}", init ? "initContainers" : "containers",
                            STR_ARG(container->name));
    }
    event_record(sync->kubelet->events, sync->object, path, type, reason, "%s", message);
}

void pod_wake(struct kubelet *kubelet, struct str key)
{
    workqueue_add(kubelet->queue, key);
}

/* -- what is there -- */

static void fill_slot(struct container_slot *slot, const struct runtime_container *list, size_t count)
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

static int add_slots(struct pod_sync *sync, const struct container *specs, size_t count, bool init,
                     const struct runtime_container *list, size_t list_count, struct err *err)
{
    for (size_t i = 0; i < count; i++) {
        struct container_slot *slot = &sync->slots[sync->slot_count++];

        slot->spec = &specs[i];
        slot->init = init;
        slot->sidecar = init && str_is(specs[i].restart_policy, "Always");
        slot->memory = pod_state_container(sync->state, specs[i].name);
        if (!slot->memory)
            return err_set(err, ERR_NO_MEMORY, "pod " STR_FMT, STR_ARG(sync->state->key));
        fill_slot(slot, list, list_count);
    }
    return 0;
}

int pod_find_slots(struct pod_sync *sync, struct err *err)
{
    const struct pod_spec *spec = &sync->pod->spec;
    struct runtime_container *list;
    size_t count;
    int code = container_list(sync->kubelet->options.runtime, sync->state->uid, sync->arena, &list, &count, err);

    if (code < 0)
        return code;
    sync->init_count = spec->init_containers.count;
    sync->slot_count = 0;
    sync->slots = arena_array_of(sync->arena, spec->init_containers.count + spec->containers.count,
                                 struct container_slot);
    if (!sync->slots)
        return err_set(err, ERR_NO_MEMORY, "pod " STR_FMT, STR_ARG(sync->state->key));
    code = add_slots(sync, spec->init_containers.items, spec->init_containers.count, true, list, count, err);
    if (code == 0)
        code = add_slots(sync, spec->containers.items, spec->containers.count, false, list, count, err);
    return code;
}

bool slot_is_running(const struct container_slot *slot)
{
    return slot->current && slot->current->state == CONTAINER_RUNNING;
}

bool slot_has_exited(const struct container_slot *slot)
{
    return slot->current &&
           (slot->current->state == CONTAINER_EXITED || slot->current->state == CONTAINER_UNKNOWN);
}

static bool slot_succeeded(const struct container_slot *slot)
{
    return slot_has_exited(slot) && slot->current->state == CONTAINER_EXITED && slot->current->exit_code == 0;
}

bool slot_will_restart(const struct pod_sync *sync, const struct container_slot *slot)
{
    struct str policy = sync->pod->spec.restart_policy;

    if (sync->state->stopping || sync->state->failure_reason[0])
        return false;
    if (slot->sidecar)
        return true;
    if (slot->init && slot_succeeded(slot))
        return false;
    if (str_is(policy, "Never"))
        return false;
    if (str_is(policy, "OnFailure") || slot->init)
        return !slot_succeeded(slot);
    return true;
}

bool slot_is_ready(const struct pod_sync *sync, const struct container_slot *slot, bool *ret_started)
{
    struct probe_state state = { 0 };

    if (slot->init && !slot->sidecar) {
        *ret_started = slot_is_running(slot);
        return slot_succeeded(slot);
    }
    if (!slot_is_running(slot)) {
        *ret_started = false;
        return false;
    }
    prober_get(sync->kubelet->prober, slot->current->id, &state);
    *ret_started = state.started || !slot->spec->startup_probe;
    if (!*ret_started)
        return false;
    return slot->spec->readiness_probe ? state.ready : true;
}

static bool init_failed_for_good(const struct pod_sync *sync)
{
    for (size_t i = 0; i < sync->init_count; i++)
        if (!sync->slots[i].sidecar && slot_has_exited(&sync->slots[i]) && !slot_succeeded(&sync->slots[i]) &&
            !slot_will_restart(sync, &sync->slots[i]))
            return true;
    return false;
}

bool pod_is_finished(const struct pod_sync *sync)
{
    bool given_up = sync->state->failure_reason[0] || init_failed_for_good(sync);

    for (size_t i = 0; i < sync->slot_count; i++) {
        const struct container_slot *slot = &sync->slots[i];

        if (slot_is_running(slot) && !slot->sidecar)
            return false;
        if (!slot->init && !given_up && (!slot_has_exited(slot) || slot_will_restart(sync, slot)))
            return false;
    }
    return true;
}

/* -- restarts -- */

/* A crash is counted once per container; the first restart is immediate, then 10 s doubling to 5 minutes. */
static void count_crash(struct pod_sync *sync, struct container_slot *slot)
{
    const struct runtime_container *current = slot->current;
    struct container_memory *memory = slot->memory;

    if (str_is(current->id, memory->counted))
        return;
    snprintf(memory->counted, sizeof memory->counted, STR_FMT, STR_ARG(current->id));
    memory->kill_reason = NULL;
    if (current->started_at && current->finished_at - current->started_at >= BACKOFF_RESET)
        memory->crashes = 0;
    memory->not_before = sync->now;
    if (memory->crashes > 0) {
        nsec_t age = clock_wall(sync->kubelet->options.clock) - current->finished_at;
        nsec_t delay = MIN(BACKOFF_BASE << MIN(memory->crashes - 1, 6u), BACKOFF_CAP);

        memory->not_before = sync->now + MAX(delay - MAX(age, 0), 0);
    }
    memory->crashes++;
}

static bool must_wait(struct pod_sync *sync, struct container_slot *slot)
{
    struct container_memory *memory = slot->memory;

    if (!slot_has_exited(slot))
        return false;
    count_crash(sync, slot);
    if (memory->not_before <= sync->now)
        return false;
    nsec_t delay = MIN(BACKOFF_BASE << MIN(memory->crashes - 2, 6u), BACKOFF_CAP);

    if (!memory->reason || strcmp(memory->reason, "CrashLoopBackOff") != 0)
        sync_event(sync, slot->spec, "Warning", "BackOff",
                   "Back-off restarting failed container " STR_FMT " in pod " STR_FMT, STR_ARG(slot->spec->name),
                   STR_ARG(sync->object->meta->name));
    memory->reason = "CrashLoopBackOff";
    snprintf(memory->message, sizeof memory->message,
             "back-off %llds restarting failed container=" STR_FMT " pod=" STR_FMT "_" STR_FMT "(" STR_FMT ")",
             (long long)(delay / NSEC_PER_SEC), STR_ARG(slot->spec->name), STR_ARG(sync->object->meta->name),
             STR_ARG(sync->object->meta->namespace), STR_ARG(sync->object->meta->uid));
    sync_wake_after(sync, memory->not_before - sync->now);
    return true;
}

/* An agent that died between create and start leaves a container that will never run. */
static int discard_stillborn(struct pod_sync *sync, struct container_slot *slot, struct err *err)
{
    if (!slot->current || slot->current->state != CONTAINER_CREATED)
        return 0;
    int code = container_delete(sync->kubelet->options.runtime, slot->current->id, err);

    slot->current = slot->previous;
    slot->previous = NULL;
    return code;
}

static int look_after(struct pod_sync *sync, struct container_slot *slot, struct err *err)
{
    struct probe_state probes = { 0 };

    if (slot->memory->kill_reason)
        return container_halt(sync, slot, 0, slot->memory->kill_reason, err) < 0 ? -(int)err->code : 0;
    slot->memory->reason = NULL;
    prober_watch(sync->kubelet->prober, sync, slot);
    prober_get(sync->kubelet->prober, slot->current->id, &probes);
    if (!probes.failed)
        return 0;
    int64_t grace = probes.grace_seconds >= 0
                        ? probes.grace_seconds
                        : opt_or(sync->pod->spec.termination_grace_period_seconds, 30);

    sync_event(sync, slot->spec, "Normal", "Killing", "Container " STR_FMT " failed %s probe, will be restarted",
               STR_ARG(slot->spec->name), probes.failed);
    int code = container_halt(sync, slot, grace * NSEC_PER_SEC, "Unhealthy", err);

    return code < 0 ? code : 0;
}

/* Starts, restarts or watches one container. */
static int tend(struct pod_sync *sync, struct container_slot *slot, struct err *err)
{
    int code = discard_stillborn(sync, slot, err);

    if (code < 0)
        return code;
    if (slot_is_running(slot))
        return look_after(sync, slot, err);
    if (slot_has_exited(slot)) {
        prober_forget(sync->kubelet->prober, slot->current->id);
        if (!slot_will_restart(sync, slot) || must_wait(sync, slot))
            return 0;
    }
    code = container_launch(sync, slot, err);
    return code < 0 ? code : 0;
}

/* *ret_done: the init containers let the others start. */
static int tend_init(struct pod_sync *sync, bool *ret_done, struct err *err)
{
    *ret_done = false;
    for (size_t i = 0; i < sync->init_count; i++) {
        struct container_slot *slot = &sync->slots[i];
        bool started;

        if (!slot->sidecar && slot_succeeded(slot))
            continue;
        int code = tend(sync, slot, err);

        if (code < 0)
            return code;
        slot_is_ready(sync, slot, &started);
        if (!slot->sidecar || !started)
            return 0;
    }
    *ret_done = true;
    return 0;
}

/* Once any of the main containers exists, an init container that was collected must not run again. */
static bool past_init(const struct pod_sync *sync)
{
    for (size_t i = sync->init_count; i < sync->slot_count; i++)
        if (sync->slots[i].current)
            return true;
    return false;
}

static int tend_sidecars(struct pod_sync *sync, struct err *err)
{
    int code = 0;

    for (size_t i = 0; code == 0 && i < sync->init_count; i++)
        if (sync->slots[i].sidecar)
            code = tend(sync, &sync->slots[i], err);
    return code;
}

static int run_containers(struct pod_sync *sync, struct err *err)
{
    bool done = past_init(sync);
    int code = done ? tend_sidecars(sync, err) : tend_init(sync, &done, err);

    for (size_t i = sync->init_count; done && code == 0 && i < sync->slot_count; i++)
        code = tend(sync, &sync->slots[i], err);
    return code;
}

static void check_deadline(struct pod_sync *sync)
{
    struct pod_state *state = sync->state;
    struct opt_i64 limit = sync->pod->spec.active_deadline_seconds;

    if (!limit.set || !sync->pod->status.start_time.set || state->failure_reason[0])
        return;
    nsec_t left = sync->pod->status.start_time.unix_nsec + limit.value * NSEC_PER_SEC -
                  clock_wall(sync->kubelet->options.clock);

    if (left > 0) {
        sync_wake_after(sync, left);
        return;
    }
    snprintf(state->failure_reason, sizeof state->failure_reason, "DeadlineExceeded");
    snprintf(state->failure_message, sizeof state->failure_message,
             "Pod was active on the node longer than the specified deadline");
    sync_event(sync, NULL, "Normal", "DeadlineExceeded", "%s", state->failure_message);
}

/* -- the states of a pod -- */

static int sync_running(struct pod_sync *sync, struct err *err)
{
    int code;

    check_deadline(sync);
    if (sync->state->failure_reason[0])
        code = containers_stop(sync, opt_or(sync->pod->spec.termination_grace_period_seconds, 30) * NSEC_PER_SEC,
                               "Stopping container", err);
    else if (pod_is_finished(sync))
        code = containers_stop(sync, opt_or(sync->pod->spec.termination_grace_period_seconds, 30) * NSEC_PER_SEC,
                               "Stopping container", err);
    else if ((code = pod_prepare(sync, err)) == 0)
        code = run_containers(sync, err);
    struct err report_err;
    int reported = pod_find_slots(sync, &report_err);

    if (reported == 0)
        reported = pod_report(sync, &report_err);
    if (reported < 0 && code >= 0) {
        if (err)
            *err = report_err;
        return reported;
    }
    if (sync->state->volumes_ready && (sync->pod->spec.volumes.count || sync->pod->spec.containers.count))
        sync_wake_after(sync, VOLUME_REFRESH);
    return code < 0 ? code : 0;
}

/* The API has its last word already: give back what it holds. */
static int sync_finished(struct pod_sync *sync, struct err *err)
{
    int code = containers_stop(sync, 0, "Stopping container", err);

    return code < 0 ? code : pod_remove(sync->kubelet, sync->state->uid, true, err);
}

static int delete_in_api(struct pod_sync *sync, struct err *err)
{
    const struct client_delete_options options = { .uid = sync->object->meta->uid, .grace_seconds = 0 };
    int code = client_delete(sync->kubelet->options.client, &RESOURCE_PODS, sync->object->meta->namespace,
                             sync->object->meta->name, &options, STR("kubelet: pod has stopped"),
                             sync->object->revision, err);

    return code == -ERR_NOT_FOUND || code == -ERR_CONFLICT ? 0 : code;
}

static int sync_deleting(struct pod_sync *sync, struct err *err)
{
    struct pod_state *state = sync->state;
    nsec_t grace = opt_or(sync->object->meta->deletion_grace_period_seconds, 30) * NSEC_PER_SEC;

    if (!state->stopping || sync->now + grace < state->stop_at) {
        state->stopping = true;
        state->stop_at = sync->now + grace;
    }
    int code = containers_stop(sync, MAX(state->stop_at - sync->now, 0), "Stopping container", err);

    if (code < 0)
        return code;
    bool still_running = code == 1;

    if ((code = pod_find_slots(sync, err)) < 0 || (code = pod_report(sync, err)) < 0)
        return code;
    if (still_running)
        return 0;
    code = pod_remove(sync->kubelet, state->uid, false, err);
    return code < 0 ? code : delete_in_api(sync, err);
}

static bool is_final(const struct pod *pod)
{
    return str_is(pod->status.phase, "Succeeded") || str_is(pod->status.phase, "Failed");
}

static int pod_sync(struct pod_sync *sync, struct err *err)
{
    int code = pod_find_slots(sync, err);

    if (code < 0)
        return code;
    if (sync->object->meta->deletion_timestamp.set)
        code = sync_deleting(sync, err);
    else if (is_final(sync->pod))
        code = sync_finished(sync, err);
    else
        code = sync_running(sync, err);
    if (sync->wake_after)
        workqueue_add_after(sync->kubelet->queue, sync->state->key, sync->wake_after);
    return code;
}

/* -- the queue's side -- */

static struct pod_state *state_get(struct kubelet *kubelet, struct str key)
{
    LOCKED(&kubelet->lock);
    return map_get(&kubelet->states, key);
}

static int state_put(struct kubelet *kubelet, struct pod_state *state)
{
    LOCKED(&kubelet->lock);
    return map_put(&kubelet->states, state->key, state, NULL);
}

static int state_drop(struct kubelet *kubelet, struct pod_state *state, struct err *err)
{
    int code = pod_remove(kubelet, state->uid, false, err);

    if (code < 0)
        return code;
    mutex_lock(&kubelet->lock);
    map_remove(&kubelet->states, state->key);
    mutex_unlock(&kubelet->lock);
    pod_state_free(state);
    return 0;
}

static int state_make(struct kubelet *kubelet, struct str key, struct str uid, struct pod_state **ret_state,
                      struct err *err)
{
    struct pod_state *state = pod_state_new(key, uid);

    if (!state || state_put(kubelet, state) < 0) {
        pod_state_free(state);
        return err_set(err, ERR_NO_MEMORY, "pod " STR_FMT, STR_ARG(key));
    }
    *ret_state = state;
    return 0;
}

int pod_reconcile(void *ctx, struct str key, struct arena *arena, struct err *err)
{
    struct kubelet *kubelet = ctx;
    struct pod_state *state = state_get(kubelet, key);
    AUTO(object) object = informer_get(kubelet->pods, key);
    int code = 0;

    if (state && (!object || !str_eq(state->uid, object->meta->uid))) {
        if ((code = state_drop(kubelet, state, err)) < 0)
            return err_wrap(err, code, "removing pod");
        state = NULL;
    }
    if (!object)
        return 0;
    if (!state && (code = state_make(kubelet, key, object->meta->uid, &state, err)) < 0)
        return code;
    struct pod_sync sync = { .kubelet = kubelet, .state = state, .object = object, .pod = OBJECT_VIEW(object, pod),
                             .arena = arena, .now = clock_now(kubelet->options.clock) };

    return pod_sync(&sync, err);
}
