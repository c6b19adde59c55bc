/* scheduler.c - events keep the picture and the queue; turns on a strand give pods nodes; bindings are written side by side.
 *
 * A pod that got a node takes its part of it at once (it is assumed there), so that the next pod sees the node as it will
 * be; the binding is committed by a task of its own, and many such commits share a disk write. If a binding fails, the
 * pod is taken off the node and tried again. */
#include "scheduler/scheduler.h"

#include <stdio.h>

#include "api/resources.h"
#include "base/log.h"
#include "base/sync.h"
#include "schema/time.h"
#include "scheduler/cycle.h"
#include "scheduler/queue.h"

#define TURN 64 /* pods a turn before other work of the executor gets in */
#define RETRY_ALL (30 * NSEC_PER_SEC)

struct scheduler {
    struct scheduler_options options;
    struct informer *pods, *nodes;
    struct strand *strand;
    struct mutex lock;
    struct cond idle;
    struct cluster cluster;
    struct pod_queue queue;
    struct executor_timer *retry;
    size_t turn;
    int writing; /* bindings and conditions under way */
    bool scheduled, stopping, synced;
};

static void take_turn(void *arg);

/* Locked. */
static void rouse(struct scheduler *scheduler)
{
    struct err err;

    if (scheduler->scheduled || scheduler->stopping || !scheduler->synced || !scheduler->queue.heap.count)
        return;
    if (strand_post(scheduler->strand, take_turn, scheduler, &err) < 0)
        log_warn("scheduler", "%s", err.message);
    else
        scheduler->scheduled = true;
}

/* -- what the API says -- */

static bool is_finished(const struct pod *pod)
{
    return str_is(pod->status.phase, "Succeeded") || str_is(pod->status.phase, "Failed");
}

static bool is_ours(const struct scheduler *scheduler, const struct object *object)
{
    const struct pod *pod = OBJECT_VIEW(object, pod);

    return !pod->spec.node_name.len && !is_finished(pod) && !object->meta->deletion_timestamp.set &&
           !pod->spec.scheduling_gates.count && str_eq(pod->spec.scheduler_name, scheduler->options.name);
}

/* Locked. Something became free or changed: those who did not fit may fit now. */
static void cluster_changed(struct scheduler *scheduler)
{
    if (pod_queue_unpark(&scheduler->queue))
        rouse(scheduler);
}

/* Locked. */
static void pod_gone(struct scheduler *scheduler, struct str key)
{
    bool freed = cluster_pod(&scheduler->cluster, key) != NULL;

    cluster_remove_pod(&scheduler->cluster, key);
    pod_queue_remove(&scheduler->queue, key);
    if (freed)
        cluster_changed(scheduler);
}

/* Locked. */
static int pod_seen(struct scheduler *scheduler, struct object *object)
{
    const struct pod *pod = OBJECT_VIEW(object, pod);
    const struct placed_pod *placed = cluster_pod(&scheduler->cluster, object->key);

    if (is_finished(pod) || (!pod->spec.node_name.len && !is_ours(scheduler, object) && !placed)) {
        pod_gone(scheduler, object->key);
        return 0;
    }
    if (pod->spec.node_name.len) {
        pod_queue_remove(&scheduler->queue, object->key);
        bool here = placed && !placed->assumed && str_eq(placed->node_name, pod->spec.node_name);

        if (here && opt_or(object->meta->generation, 1) <= 1)
            return 0; /* what a bound pod asks for changes only when it is resized */
        int code = cluster_place(&scheduler->cluster, object, pod->spec.node_name, false);

        if (here)
            cluster_changed(scheduler);
        return code;
    }
    if (placed) /* our binding is on its way */
        return 0;
    int code = pod_queue_put(&scheduler->queue, object);

    rouse(scheduler);
    return code;
}

static void pod_changed(void *ctx, struct object *old, struct object *new)
{
    struct scheduler *scheduler = ctx;

    LOCKED(&scheduler->lock);
    if (new && old && str_eq(old->meta->uid, new->meta->uid) && !is_ours(scheduler, new) &&
        str_eq(OBJECT_VIEW(old, pod)->spec.node_name, OBJECT_VIEW(new, pod)->spec.node_name) &&
        is_finished(OBJECT_VIEW(old, pod)) == is_finished(OBJECT_VIEW(new, pod)) && !is_ours(scheduler, old))
        return; /* most changes are of status and none of our business */
    if (!new)
        pod_gone(scheduler, old->key);
    else if (pod_seen(scheduler, new) < 0)
        log_error("scheduler", "no memory for pod " STR_FMT, STR_ARG(new->key));
}

static void node_changed(void *ctx, struct object *old, struct object *new)
{
    struct scheduler *scheduler = ctx;

    LOCKED(&scheduler->lock);
    if (cluster_set_node(&scheduler->cluster, new ? new->meta->name : old->meta->name, new) < 0)
        log_error("scheduler", "no memory for node " STR_FMT, STR_ARG(new->meta->name));
    cluster_changed(scheduler);
}

/* -- writing -- */

struct decision {
    struct scheduler *scheduler;
    struct object *pod;
    struct str node;    /* bound there; unset: it fits nowhere */
    struct str message; /* why */
    struct arena arena;
};

static struct decision *decision_new(struct scheduler *scheduler, struct object *pod, struct str node, struct str message)
{
    struct decision *decision = calloc(1, sizeof *decision);

    if (!decision)
        return NULL;
    arena_init(&decision->arena, 0);
    decision->scheduler = scheduler;
    decision->pod = object_ref(pod);
    decision->node = arena_str(&decision->arena, node);
    decision->message = arena_str(&decision->arena, message);
    return decision;
}

static void decision_free(struct decision *decision)
{
    object_unref(decision->pod);
    arena_deinit(&decision->arena);
    free(decision);
}

static int bind(const struct decision *decision, struct err *err)
{
    const struct object_meta *meta = decision->pod->meta;
    struct buf text = BUF_INIT;
    AUTO(blob) body = NULL;

    buf_printf(&text,
               "{\"apiVersion\":\"v1\",\"kind\":\"Binding\",\"metadata\":{\"name\":\"" STR_FMT "\",\"namespace\":\"" STR_FMT
               "\",\"uid\":\"" STR_FMT "\"},\"target\":{\"apiVersion\":\"v1\",\"kind\":\"Node\",\"name\":\"" STR_FMT "\"}}",
               STR_ARG(meta->name), STR_ARG(meta->namespace), STR_ARG(meta->uid), STR_ARG(decision->node));
    const struct client_call call = { .verb = CLIENT_CREATE, .resource = &RESOURCE_PODS, .ns = meta->namespace,
                                      .name = meta->name, .subresource = STR("binding"), .body = buf_str(&text),
                                      .rule = STR("scheduler: bind"), .trigger = decision->pod->revision };
    struct client *client = decision->scheduler->options.client;
    int code = buf_ok(&text) ? client->ops->call(client, &call, NULL, NULL, NULL, &body, err)
                             : err_set(err, ERR_NO_MEMORY, "binding");

    buf_deinit(&text);
    return code;
}

static int write_condition(const struct decision *decision, struct err *err)
{
    const struct object_meta *meta = decision->pod->meta;
    char now[API_TIME_LEN];
    struct buf text = BUF_INIT;
    struct json_writer w = json_writer(&text);

    api_time_text(clock_wall(executor_clock(decision->scheduler->options.executor)), now);
    buf_add_cstr(&text, "{\"status\":{\"conditions\":[");
    jw_begin_object(&w);
    jw_field_str(&w, "type", STR("PodScheduled"));
    jw_field_str(&w, "status", STR("False"));
    jw_field_str(&w, "reason", STR("Unschedulable"));
    jw_field_str(&w, "message", decision->message);
    jw_field_str(&w, "lastTransitionTime", str_from(now));
    jw_end_object(&w);
    buf_add_cstr(&text, "]}}");
    int code = buf_ok(&text) ? client_patch(decision->scheduler->options.client, &RESOURCE_PODS, meta->namespace,
                                            meta->name, STR("status"), PATCH_STRATEGIC, buf_str(&text),
                                            STR("scheduler: unschedulable"), decision->pod->revision, NULL, err)
                             : err_set(err, ERR_NO_MEMORY, "condition");

    buf_deinit(&text);
    return code;
}

static void bind_failed(struct decision *decision, int code, const struct err *err)
{
    struct scheduler *scheduler = decision->scheduler;

    /* Deleted, or bound by someone else: the informer tells. */
    if (code != -ERR_NOT_FOUND && code != -ERR_CONFLICT)
        log_warn("scheduler", "binding " STR_FMT " to " STR_FMT ": %s", STR_ARG(decision->pod->key),
                 STR_ARG(decision->node), err->message);
    AUTO(object) now = informer_get(scheduler->pods, decision->pod->key);

    LOCKED(&scheduler->lock);
    cluster_remove_pod(&scheduler->cluster, decision->pod->key);
    if (now)
        pod_seen(scheduler, now);
}

static void write_decision(void *arg)
{
    struct decision *decision = arg;
    struct scheduler *scheduler = decision->scheduler;
    struct err err = { 0 };

    if (decision->node.len) {
        int code = bind(decision, &err);

        if (code < 0)
            bind_failed(decision, code, &err);
        else
            event_record(scheduler->options.events, decision->pod, STR_NULL, "Normal", "Scheduled",
                         "Successfully assigned " STR_FMT " to " STR_FMT, STR_ARG(decision->pod->key),
                         STR_ARG(decision->node));
    } else {
        event_record(scheduler->options.events, decision->pod, STR_NULL, "Warning", "FailedScheduling", "" STR_FMT,
                     STR_ARG(decision->message));
        write_condition(decision, &err);
    }
    decision_free(decision);
    LOCKED(&scheduler->lock);
    if (--scheduler->writing == 0)
        cond_broadcast(&scheduler->idle);
}

/* Locked. */
static int write_later(struct scheduler *scheduler, struct object *pod, struct str node, struct str message)
{
    struct decision *decision = decision_new(scheduler, pod, node, message);

    if (!decision)
        return -1;
    if (executor_post(scheduler->options.executor, write_decision, decision, NULL) < 0) {
        decision_free(decision);
        return -1;
    }
    scheduler->writing++;
    return 0;
}

/* -- deciding -- */

/* Locked. */
static void place(struct scheduler *scheduler, struct waiting_pod *waiting, struct node_row *node)
{
    AUTO(object) pod = object_ref(waiting->object);

    if (cluster_place(&scheduler->cluster, pod, node->name, true) < 0)
        return; /* parked: tried again with the next change */
    if (write_later(scheduler, pod, node->name, STR_NULL) < 0) {
        cluster_remove_pod(&scheduler->cluster, pod->key);
        return;
    }
    pod_queue_remove(&scheduler->queue, pod->key);
}

/* Locked. */
static void schedule_one(struct scheduler *scheduler, struct waiting_pod *waiting, struct arena *arena)
{
    struct verdict verdict;

    if (cycle_run(arena, &scheduler->cluster, OBJECT_VIEW(waiting->object, pod), scheduler->turn++, &verdict) < 0)
        return;
    if (verdict.node) {
        place(scheduler, waiting, verdict.node);
        return;
    }
    uint64_t hash = str_hash(verdict.message) | 1;

    if (hash != waiting->told && write_later(scheduler, waiting->object, STR_NULL, verdict.message) == 0)
        waiting->told = hash;
}

static void take_turn(void *arg)
{
    struct scheduler *scheduler = arg;
    AUTO(arena) arena = arena_new(0);
    struct waiting_pod *waiting;

    LOCKED(&scheduler->lock);
    scheduler->scheduled = false;
    for (int i = 0; arena && i < TURN && !scheduler->stopping && (waiting = pod_queue_take(&scheduler->queue)); i++) {
        schedule_one(scheduler, waiting, arena);
        arena_reset(arena);
    }
    rouse(scheduler);
}

/* Nothing should need it; a picture that went wrong mends itself all the same. */
static void retry_all(void *arg)
{
    struct scheduler *scheduler = arg;

    LOCKED(&scheduler->lock);
    if (scheduler->stopping)
        return;
    executor_cancel(scheduler->options.executor, TAKE(scheduler->retry));
    cluster_changed(scheduler);
    executor_post_after(scheduler->options.executor, RETRY_ALL, retry_all, scheduler, &scheduler->retry, NULL);
}

static void begin(void *arg)
{
    struct scheduler *scheduler = arg;

    LOCKED(&scheduler->lock);
    scheduler->synced = true;
    rouse(scheduler);
}

/* -- life -- */

static int watch(struct scheduler *scheduler, struct err *err)
{
    struct informers *informers = scheduler->options.informers;
    const struct informer_handler pods = { scheduler, pod_changed }, nodes = { scheduler, node_changed };
    int code = informers_get(informers, &RESOURCE_PODS, STR_NULL, &scheduler->pods, err);

    if (code == 0)
        code = informers_get(informers, &RESOURCE_NODES, STR_NULL, &scheduler->nodes, err);
    if (code == 0)
        code = informer_add_handler(scheduler->pods, &pods, err);
    if (code == 0)
        code = informer_add_handler(scheduler->nodes, &nodes, err);
    return code == 0 ? informers_when_synced(informers, begin, scheduler, err) : code;
}

int scheduler_new(const struct scheduler_options *options, struct scheduler **ret_scheduler, struct err *err)
{
    AUTO(scheduler) scheduler = calloc(1, sizeof *scheduler);

    if (!scheduler)
        return err_set(err, ERR_NO_MEMORY, "scheduler");
    scheduler->options = *options;
    if (!options->name.len)
        scheduler->options.name = STR("default-scheduler");
    mutex_init(&scheduler->lock);
    cond_init(&scheduler->idle);
    cluster_init(&scheduler->cluster);
    int code = strand_new(options->executor, &scheduler->strand, err);

    if (code == 0)
        code = watch(scheduler, err);
    if (code == 0)
        code = executor_post_after(options->executor, RETRY_ALL, retry_all, scheduler, &scheduler->retry, err);
    if (code < 0)
        return code;
    *ret_scheduler = TAKE(scheduler);
    return 0;
}

struct scheduler *scheduler_free(struct scheduler *scheduler)
{
    if (!scheduler)
        return NULL;
    mutex_lock(&scheduler->lock);
    scheduler->stopping = true;
    struct executor_timer *timer = TAKE(scheduler->retry);
    mutex_unlock(&scheduler->lock);
    executor_cancel_wait(scheduler->options.executor, timer);
    strand_free(scheduler->strand);
    mutex_lock(&scheduler->lock);
    while (scheduler->writing > 0)
        cond_wait(&scheduler->idle, &scheduler->lock);
    mutex_unlock(&scheduler->lock);
    pod_queue_deinit(&scheduler->queue);
    cluster_deinit(&scheduler->cluster);
    cond_deinit(&scheduler->idle);
    mutex_deinit(&scheduler->lock);
    free(scheduler);
    return NULL;
}
