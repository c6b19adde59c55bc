/* probe.c - a target per probed container, a run per probe. Each run's timer or action holds a reference to its target,
 * so that a target that was forgotten lives until its last action has come back. */
#include "kubelet/probe.h"

#include <stdio.h>

#include "base/log.h"
#include "kubelet/action.h"
#include "net/http_client.h"

#define EAGER_FIRST (100 * NSEC_PER_MSEC)

enum probe_kind { PROBE_STARTUP, PROBE_LIVENESS, PROBE_READINESS, PROBE_KINDS };

static const char *const kind_names[] = { "startup", "liveness", "readiness" };
static const char *const kind_titles[] = { "Startup", "Liveness", "Readiness" };

struct target;

struct run {
    struct target *target;
    enum probe_kind kind;
    const struct probe *probe;
    struct executor_timer *timer;
    int successes, failures;
    nsec_t eager; /* readiness that was never seen is asked for sooner than the period, more and more slowly */
};

struct target {
    struct prober *prober;
    unsigned refs; /* the prober's map, and each run under way */
    bool forgotten, stopping;
    struct object *pod;
    const struct container *container;
    struct str path; /* spec.containers{name} */
    char id[CONTAINER_ID_LEN + 1], ip[64];
    nsec_t started_at; /* Unix time */
    struct arena arena;
    struct probe_state state;
    struct run runs[PROBE_KINDS];
};

struct prober {
    struct kubelet *kubelet;
    struct http_client *http;
    struct mutex lock;
    struct cond gone;
    struct map targets; /* by container id */
    size_t live;
};

static void probe_due(void *arg);

/* -- targets -- */

/* Locked. */
static void target_unref(struct target *target)
{
    struct prober *prober = target->prober;

    if (--target->refs > 0)
        return;
    object_unref(target->pod);
    arena_deinit(&target->arena);
    free(target);
    prober->live--;
    cond_broadcast(&prober->gone);
}

/* Locked. */
static void schedule(struct run *run, nsec_t delay)
{
    struct target *target = run->target;
    struct err err;

    if (target->forgotten)
        return;
    if (executor_post_after(target->prober->kubelet->options.executor, delay, probe_due, run, &run->timer, &err) < 0)
        log_warn("probe", "cannot schedule a %s probe: %s", kind_names[run->kind], err.message);
    else
        target->refs++;
}

/* initialDelaySeconds counts from the container's start. */
static nsec_t first_delay(const struct target *target, const struct probe *probe)
{
    nsec_t age = clock_wall(target->prober->kubelet->options.clock) - target->started_at;

    return MAX(opt_or(probe->initial_delay_seconds, 0) * NSEC_PER_SEC - MAX(age, 0), 0);
}

/* Locked. Liveness and readiness begin once the container counts as started. */
static void begin(struct target *target, bool started)
{
    if (target->runs[PROBE_STARTUP].probe && !started) {
        schedule(&target->runs[PROBE_STARTUP], first_delay(target, target->runs[PROBE_STARTUP].probe));
        return;
    }
    target->state.started = true;
    for (int kind = PROBE_LIVENESS; kind < PROBE_KINDS; kind++)
        if (target->runs[kind].probe && !(target->stopping && kind == PROBE_LIVENESS))
            schedule(&target->runs[kind], first_delay(target, target->runs[kind].probe));
}

/* What an agent before this one has found out: a restart of the agent makes no pod unready. */
static void recall(struct target *target, const struct container_status_array *list)
{
    for (size_t i = 0; i < list->count; i++) {
        if (!str_has_prefix(list->items[i].container_id, STR("crun://")) ||
            !str_is(str_skip(list->items[i].container_id, 7), target->id))
            continue;
        target->state.started = opt_or(list->items[i].started, false);
        target->state.ready = list->items[i].ready && target->runs[PROBE_READINESS].probe;
        if (target->state.ready)
            target->runs[PROBE_READINESS].eager = 0;
    }
}

static struct target *target_new(struct prober *prober, struct pod_sync *sync, struct container_slot *slot)
{
    struct target *target = calloc(1, sizeof *target);
    const struct probe *probes[] = { slot->spec->startup_probe, slot->spec->liveness_probe,
                                     slot->spec->readiness_probe };

    if (!target)
        return NULL;
    arena_init(&target->arena, 0);
    target->prober = prober;
    target->refs = 1;
    target->pod = object_ref(sync->object);
    target->container = slot->spec;
    target->path = arena_printf(&target->arena, "spec.%s{" STR_FMT "}", slot->init ? "initContainers" : "containers",
                                STR_ARG(slot->spec->name));
    target->state.grace_seconds = -1;
    snprintf(target->id, sizeof target->id, STR_FMT, STR_ARG(slot->current->id));
    snprintf(target->ip, sizeof target->ip, "%s", sync->state->ip);
    target->started_at = slot->current->started_at;
    for (int kind = 0; kind < PROBE_KINDS; kind++)
        target->runs[kind] = (struct run){
            .target = target, .kind = (enum probe_kind)kind, .probe = probes[kind], .eager = EAGER_FIRST
        };
    recall(target, &sync->pod->status.init_container_statuses);
    recall(target, &sync->pod->status.container_statuses);
    prober->live++;
    return target;
}

void prober_watch(struct prober *prober, struct pod_sync *sync, struct container_slot *slot)
{
    if (!slot->spec->startup_probe && !slot->spec->liveness_probe && !slot->spec->readiness_probe)
        return;
    LOCKED(&prober->lock);
    if (map_get(&prober->targets, slot->current->id))
        return;
    struct target *target = target_new(prober, sync, slot);

    if (!target || map_put(&prober->targets, str_from(target->id), target, NULL) < 0) {
        if (target)
            target_unref(target);
        log_warn("probe", "no memory to probe " STR_FMT, STR_ARG(slot->spec->name));
        return;
    }
    begin(target, target->state.started);
}

/* Locked. */
static void forget(struct prober *prober, struct target *target)
{
    target->forgotten = true;
    map_remove(&prober->targets, str_from(target->id));
    for (int kind = 0; kind < PROBE_KINDS; kind++) {
        struct run *run = &target->runs[kind];

        if (run->timer && executor_cancel(prober->kubelet->options.executor, TAKE(run->timer)))
            target->refs--;
    }
    target_unref(target);
}

void prober_forget(struct prober *prober, struct str container_id)
{
    LOCKED(&prober->lock);
    struct target *target = map_get(&prober->targets, container_id);

    if (target)
        forget(prober, target);
}

void prober_forget_pod(struct prober *prober, struct str pod_uid)
{
    LOCKED(&prober->lock);
    for (struct map_entry *e = NULL; (e = map_next(&prober->targets, e));) {
        struct target *target = e->value;

        if (str_eq(target->pod->meta->uid, pod_uid))
            forget(prober, target);
    }
}

void prober_stop_killing(struct prober *prober, struct str container_id)
{
    LOCKED(&prober->lock);
    struct target *target = map_get(&prober->targets, container_id);

    if (!target)
        return;
    target->stopping = true;
    for (int kind = PROBE_STARTUP; kind <= PROBE_LIVENESS; kind++) {
        struct run *run = &target->runs[kind];

        if (run->timer && executor_cancel(prober->kubelet->options.executor, TAKE(run->timer)))
            target->refs--; /* the map's remains */
    }
}

void prober_get(struct prober *prober, struct str container_id, struct probe_state *ret_state)
{
    LOCKED(&prober->lock);
    const struct target *target = map_get(&prober->targets, container_id);

    *ret_state = target ? target->state : (struct probe_state){ .grace_seconds = -1 };
}

struct http_client *prober_http(struct prober *prober)
{
    return prober->http;
}

/* -- results -- */

/* Locked. True when the pod must be looked at. */
static bool note_success(struct run *run)
{
    struct probe_state *state = &run->target->state;

    run->failures = 0;
    run->successes++;
    if (run->kind == PROBE_LIVENESS || run->successes < opt_or(run->probe->success_threshold, 1))
        return false;
    if (run->kind == PROBE_READINESS) {
        bool changed = !state->ready;

        state->ready = true;
        return changed;
    }
    begin(run->target, true);
    return true;
}

static bool note_failure(struct run *run)
{
    struct probe_state *state = &run->target->state;

    run->successes = 0;
    run->failures++;
    if (run->failures < opt_or(run->probe->failure_threshold, 3))
        return false;
    if (run->kind == PROBE_READINESS) {
        bool changed = state->ready;

        state->ready = false;
        return changed;
    }
    state->failed = kind_names[run->kind];
    state->grace_seconds = opt_or(run->probe->termination_grace_period_seconds, -1);
    return true;
}

static int act(const struct run *run, struct err *err)
{
    const struct target *target = run->target;
    const struct action action = { run->probe->exec, run->probe->http_get, run->probe->tcp_socket, run->probe->grpc,
                                   NULL };
    const struct action_target where = {
        .kubelet = target->prober->kubelet,
        .http = target->prober->http,
        .container_id = str_from(target->id),
        .host = str_from(target->ip),
        .ports = &target->container->ports,
        .timeout = opt_or(run->probe->timeout_seconds, 1) * NSEC_PER_SEC,
    };

    return action_run(&action, &where, err);
}

/* Locked. True: it will be asked again before its period is over, and that it is not ready yet is no news. */
static bool ask_eagerly(struct run *run, int code)
{
    nsec_t delay = run->eager;

    if (run->kind != PROBE_READINESS || !delay)
        return false;
    run->eager *= 2;
    if (code == 0 || delay >= opt_or(run->probe->period_seconds, 10) * NSEC_PER_SEC) {
        run->eager = 0;
        return false;
    }
    schedule(run, delay);
    return true;
}

/* Locked. */
static void take_result(struct run *run, int code, const struct err *err)
{
    struct target *target = run->target;
    struct prober *prober = target->prober;
    bool dying = target->stopping && run->kind != PROBE_READINESS;

    if (dying || ask_eagerly(run, code))
        return;
    if (code < 0)
        event_record(prober->kubelet->events, target->pod, target->path, "Warning",
                     code == -ERR_INVALID ? "Unhealthy" : "ProbeError", "%s probe %s: %s", kind_titles[run->kind],
                     code == -ERR_INVALID ? "failed" : "errored", err->message);
    /* What could not be tried says nothing of the container. */
    if (code == 0 ? note_success(run) : code == -ERR_INVALID && note_failure(run))
        pod_wake(prober->kubelet, target->pod->key);
    if (!target->state.failed && !(run->kind == PROBE_STARTUP && target->state.started))
        schedule(run, opt_or(run->probe->period_seconds, 10) * NSEC_PER_SEC);
}

static void probe_due(void *arg)
{
    struct run *run = arg;
    struct target *target = run->target;
    struct prober *prober = target->prober;
    struct err err = { 0 };

    mutex_lock(&prober->lock);
    bool forgotten = target->forgotten;
    if (!forgotten)
        executor_cancel(prober->kubelet->options.executor, TAKE(run->timer));
    mutex_unlock(&prober->lock);
    int code = forgotten ? 0 : act(run, &err);

    LOCKED(&prober->lock);
    if (!target->forgotten)
        take_result(run, code, &err);
    target_unref(target);
}

/* -- life -- */

int prober_new(struct kubelet *kubelet, struct prober **ret_prober, struct err *err)
{
    struct prober *prober = calloc(1, sizeof *prober);
    const struct http_client_options options = { .insecure = true }; /* kubelet's probes do not verify either */

    if (!prober)
        return err_set(err, ERR_NO_MEMORY, "prober");
    int code = http_client_new(&options, &prober->http, err);

    if (code < 0) {
        free(prober);
        return code;
    }
    prober->kubelet = kubelet;
    mutex_init(&prober->lock);
    cond_init(&prober->gone);
    *ret_prober = prober;
    return 0;
}

struct prober *prober_free(struct prober *prober)
{
    if (!prober)
        return NULL;
    mutex_lock(&prober->lock);
    for (struct map_entry *e = NULL; (e = map_next(&prober->targets, e));)
        forget(prober, e->value);
    while (prober->live > 0)
        cond_wait(&prober->gone, &prober->lock);
    mutex_unlock(&prober->lock);
    map_deinit(&prober->targets);
    http_client_free(prober->http);
    cond_deinit(&prober->gone);
    mutex_deinit(&prober->lock);
    free(prober);
    return NULL;
}
