/* pod_worker.c - one look at one pod: what does the API want, what does the runtime have, what is the next step?
 *
 * Level-triggered: a change in the API, an exit, a probe's result, a pulled image or a timer queue the pod's key, and
 * the whole pod is looked at again. Nothing here waits: what takes time (pulls, probes, grace periods) comes back as
 * another look. The states of a pod:
 *
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
#include "kubelet/action.h"
#include "kubelet/image_puller.h"
#include "kubelet/probe.h"
#include "kubelet/resize.h"
#include "kubelet/source.h"

#define RESYNC (60 * NSEC_PER_SEC) /* configMaps and secrets may have changed */

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
        const char *list = "containers";

        for (size_t i = 0; i < sync->slot_count + sync->ephemeral_count; i++)
            if (sync->slots[i].spec == container)
                list = slot_list(&sync->slots[i]);
        path = arena_printf(sync->arena, "spec.%s{" STR_FMT "}", list, STR_ARG(container->name));
    }
    event_record(sync->kubelet->events, sync->object, path, type, reason, "%s", message);
}

void pod_wake(struct kubelet *kubelet, struct str key)
{
    LOCKED(&kubelet->lock);
    if (!kubelet->stopping)
        workqueue_add(kubelet->queue, key);
}

/* -- what is there -- */

/* What probes and hooks know of a running container. */
static void look_at_progress(struct pod_sync *sync, struct container_slot *slot)
{
    enum hook_state hook = hook_state(slot->memory->post_start, slot->current->id);

    prober_get(sync->kubelet->prober, slot->current->id, &slot->probes);
    slot->starting = hook == HOOK_RUNNING || hook == HOOK_FAILED;
    slot->hook_failed = hook == HOOK_FAILED;
}

int pod_find_slots(struct pod_sync *sync, struct err *err)
{
    struct runtime_container *list;
    size_t count;
    int code = container_list(sync->kubelet->options.runtime, sync->state->uid, sync->arena, &list, &count, err);

    if (code == 0)
        code = slots_match(sync, list, count, err);
    for (size_t i = 0; code == 0 && i < sync->slot_count; i++)
        if (slot_is_running(&sync->slots[i]))
            look_at_progress(sync, &sync->slots[i]);
    return code;
}

static nsec_t pod_grace(const struct pod_sync *sync)
{
    return opt_or(sync->pod->spec.termination_grace_period_seconds, 30) * NSEC_PER_SEC;
}

/* -- restarts -- */

/* As Go writes durations: 40s, 1m20s, 5m0s. */
static struct str backoff_text(struct arena *arena, nsec_t backoff)
{
    long long seconds = backoff / NSEC_PER_SEC;

    return seconds < 60 ? arena_printf(arena, "%llds", seconds)
                        : arena_printf(arena, "%lldm%llds", seconds / 60, seconds % 60);
}

static bool must_wait(struct pod_sync *sync, struct container_slot *slot)
{
    struct container_memory *memory = slot->memory;
    nsec_t backoff, wall = clock_wall(sync->kubelet->options.clock);
    nsec_t wait = restart_wait(memory, slot->current, sync->now, wall, &backoff);

    if (wait == 0)
        return false;
    if (!memory->reason || strcmp(memory->reason, "CrashLoopBackOff") != 0)
        sync_event(sync, slot->spec, "Warning", "BackOff",
                   "Back-off restarting failed container " STR_FMT " in pod " STR_FMT "_" STR_FMT "(" STR_FMT ")",
                   STR_ARG(slot->spec->name), STR_ARG(sync->object->meta->name), STR_ARG(sync->object->meta->namespace),
                   STR_ARG(sync->object->meta->uid));
    memory->reason = "CrashLoopBackOff";
    snprintf(memory->message, sizeof memory->message,
             "back-off " STR_FMT " restarting failed container=" STR_FMT " pod=" STR_FMT "_" STR_FMT "(" STR_FMT ")",
             STR_ARG(backoff_text(sync->arena, backoff)), STR_ARG(slot->spec->name), STR_ARG(sync->object->meta->name),
             STR_ARG(sync->object->meta->namespace), STR_ARG(sync->object->meta->uid));
    sync_wake_after(sync, wait);
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

/* Why a running container must go; NULL: it may stay. */
static const char *death_sentence(struct pod_sync *sync, struct container_slot *slot, nsec_t *ret_grace)
{
    const struct probe_state *probes = &slot->probes;

    *ret_grace = pod_grace(sync);
    if (slot->memory->kill_reason)
        return slot->memory->kill_reason;
    if (slot->hook_failed) {
        sync_event(sync, slot->spec, "Normal", "Killing", "Container " STR_FMT " failed its postStart hook",
                   STR_ARG(slot->spec->name));
        return "FailedPostStartHook";
    }
    if (!probes->failed)
        return NULL;
    if (probes->grace_seconds >= 0)
        *ret_grace = probes->grace_seconds * NSEC_PER_SEC;
    sync_event(sync, slot->spec, "Normal", "Killing", "Container " STR_FMT " failed %s probe%s",
               STR_ARG(slot->spec->name), probes->failed,
               str_is(sync->pod->spec.restart_policy, "Never") ? "" : ", will be restarted");
    return "Unhealthy";
}

static int look_after(struct pod_sync *sync, struct container_slot *slot, struct err *err)
{
    nsec_t grace;

    slot->memory->reason = NULL;
    prober_watch(sync->kubelet->prober, sync, slot);
    prober_get(sync->kubelet->prober, slot->current->id, &slot->probes);
    const char *reason = death_sentence(sync, slot, &grace);
    int code = reason ? container_halt(sync, slot, sync->now + grace, reason, err) : 0;

    return code < 0 ? code : 0;
}

/* A container that was just started, so that this look goes on with it. */
static int meet(struct pod_sync *sync, struct container_slot *slot, const char *id, struct err *err)
{
    struct runtime_container *fresh = arena_new_of(sync->arena, struct runtime_container);
    int code = fresh ? container_get(sync->kubelet->options.runtime, str_from(id), sync->arena, fresh, err)
                     : err_set(err, ERR_NO_MEMORY, "container");

    if (code < 0)
        return code;
    slot->previous = slot->current;
    slot->current = fresh;
    if (!slot_is_running(slot))
        return 0;
    look_at_progress(sync, slot);
    return look_after(sync, slot, err);
}

/* Starts, restarts or watches one container. */
static int tend(struct pod_sync *sync, struct container_slot *slot, struct err *err)
{
    char id[CONTAINER_ID_LEN + 1];
    int code = discard_stillborn(sync, slot, err);

    if (code < 0)
        return code;
    if (slot_is_running(slot))
        return look_after(sync, slot, err);
    if (slot_has_exited(slot)) {
        prober_forget(sync->kubelet->prober, slot->current->id);
        if (!slot_will_restart(sync, slot) || (!slot->memory->restart_wanted && must_wait(sync, slot)))
            return 0;
    }
    code = container_launch(sync, slot, id, err);
    if (code != 0)
        return code < 0 ? code : 0;
    return meet(sync, slot, id, err);
}

/* *ret_done: the init containers let the others start. */
static int tend_init(struct pod_sync *sync, bool *ret_done, struct err *err)
{
    *ret_done = false;
    for (size_t i = 0; i < sync->init_count; i++) {
        struct container_slot *slot = &sync->slots[i];

        if (!slot->sidecar && slot_succeeded(slot))
            continue;
        int code = tend(sync, slot, err);

        if (code < 0)
            return code;
        if (!slot->sidecar || !slot_is_started(slot))
            return 0;
    }
    *ret_done = true;
    return 0;
}

static int tend_sidecars(struct pod_sync *sync, struct err *err)
{
    int code = 0;

    for (size_t i = 0; code == 0 && i < sync->init_count; i++)
        if (sync->slots[i].sidecar)
            code = tend(sync, &sync->slots[i], err);
    return code;
}

/* Once any of the main containers exists, an init container that was collected must not run again. A postStart hook
 * holds back the containers after its own. */
static int run_containers(struct pod_sync *sync, struct err *err)
{
    bool done = pod_is_past_init(sync);
    int code = done ? tend_sidecars(sync, err) : tend_init(sync, &done, err);

    for (size_t i = sync->init_count; done && code == 0 && i < sync->slot_count; i++) {
        code = tend(sync, &sync->slots[i], err);
        if (sync->slots[i].starting)
            break;
    }
    return code;
}

/* Once each, whatever the others do. */
static int tend_ephemeral(struct pod_sync *sync, struct err *err)
{
    int code = 0;

    for (size_t i = 0; code == 0 && i < sync->ephemeral_count; i++)
        code = tend(sync, &sync->ephemeral[i], err);
    return code;
}

static void check_deadline(struct pod_sync *sync)
{
    struct pod_state *state = sync->state;
    struct opt_i64 limit = sync->pod->spec.active_deadline_seconds;

    if (!limit.set || !sync->pod->status.start_time.set || state->failure_reason[0])
        return;
    nsec_t left =
        sync->pod->status.start_time.unix_nsec + limit.value * NSEC_PER_SEC - clock_wall(sync->kubelet->options.clock);

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

static int step(struct pod_sync *sync, struct err *err)
{
    check_deadline(sync);
    if (sync->state->failure_reason[0] || pod_is_finished(sync)) {
        int code = containers_stop(sync, sync->now + pod_grace(sync), "Stopping container", err);

        return code < 0 ? code : 0;
    }
    if (pod_prepare(sync) != 0)
        return 0;
    int code = resize_pod(sync, err);

    if (code == 0)
        code = run_containers(sync, err);
    return code == 0 ? tend_ephemeral(sync, err) : code;
}

static int sync_running(struct pod_sync *sync, struct err *err)
{
    struct err report_err = { 0 };
    int code = step(sync, err), reported = pod_find_slots(sync, &report_err);

    if (reported == 0)
        reported = pod_report(sync, &report_err);
    sync_wake_after(sync, RESYNC);
    if (reported < 0 && code == 0) {
        *err = report_err;
        return reported;
    }
    return code;
}

static void forget_helpers(struct kubelet *kubelet, struct pod_state *state)
{
    prober_forget_pod(kubelet->prober, state->uid);
    puller_forget(kubelet->puller, state->uid);
}

/* The API has its last word already: give back what it holds. */
static int sync_finished(struct pod_sync *sync, struct err *err)
{
    if (sync->state->removed)
        return 0;
    int code = containers_stop(sync, sync->now, "Stopping container", err);

    forget_helpers(sync->kubelet, sync->state);
    if (code >= 0)
        code = pod_remove(sync->kubelet, sync->state->uid, true, err);
    sync->state->removed = code == 0;
    return code;
}

static bool is_final(const struct pod *pod)
{
    return str_is(pod->status.phase, "Succeeded") || str_is(pod->status.phase, "Failed");
}

static int delete_in_api(struct pod_sync *sync, struct err *err)
{
    const struct client_delete_options options = { .uid = sync->object->meta->uid, .grace_seconds = 0 };
    int code =
        client_delete(sync->kubelet->options.client, &RESOURCE_PODS, sync->object->meta->namespace,
                      sync->object->meta->name, &options, STR("kubelet: pod has stopped"), sync->object->revision, err);

    return code == -ERR_NOT_FOUND || code == -ERR_CONFLICT ? 0 : code;
}

/* Its own words, not the deletion's time stamp, count: clocks differ. A shorter grace period may come later. */
static void begin_stopping(struct pod_sync *sync)
{
    struct pod_state *state = sync->state;
    nsec_t until = sync->now + opt_or(sync->object->meta->deletion_grace_period_seconds, 30) * NSEC_PER_SEC;

    if (!state->stopping || until < state->stop_at)
        state->stop_at = until;
    state->stopping = true;
}

static int sync_deleting(struct pod_sync *sync, struct err *err)
{
    struct pod_state *state = sync->state;

    begin_stopping(sync);
    int code = state->removed ? 0 : containers_stop(sync, state->stop_at, "Stopping container", err);

    if (code < 0)
        return code;
    bool still_running = code == 1;

    if (!is_final(sync->pod) && !state->removed &&
        ((code = pod_find_slots(sync, err)) < 0 || (code = pod_report(sync, err)) < 0))
        return code;
    if (still_running)
        return 0;
    forget_helpers(sync->kubelet, state);
    code = state->removed ? 0 : pod_remove(sync->kubelet, state->uid, true, err);
    state->removed |= code == 0;
    return code < 0 ? code : delete_in_api(sync, err);
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
    forget_helpers(kubelet, state);
    int code =
        state->removed ? path_logs_remove(kubelet, state->uid, err) : pod_remove(kubelet, state->uid, false, err);

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
    struct pod_sync sync = { .kubelet = kubelet,
                             .state = state,
                             .object = object,
                             .pod = OBJECT_VIEW(object, pod),
                             .arena = arena,
                             .now = clock_now(kubelet->options.clock) };

    code = pod_sync(&sync, err);
    sources_release(&sync);
    return code;
}
