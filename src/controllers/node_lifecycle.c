/* node_lifecycle.c - notices nodes that have fallen silent, says so, and moves their pods.
 *
 * Twice a second all nodes are held against their sessions: one that has not been heard of for SILENCE_MAX and does not
 * show it yet becomes a key. What was heard before this began counts for nothing: another server led then, and may be
 * the one that has heard of the node since. A reconcile of a node sets its conditions to Unknown when it is silent, keeps its taints
 * in line with its conditions, marks the pods of a silent node as not ready, and deletes pods whose time on a NoExecute
 * taint is over. When the node says that it is well again, its pods are what their containers are.
 *
 * When many nodes fall silent at once it is more likely us that nobody reaches. So NoExecute taints, which drive pods
 * away, are given out slowly; more slowly when most nodes are gone; and are taken back when all are. */
#include "api/core_v1.h"
#include "api/meta_v1.h"
#include "api/resources.h"
#include "base/log.h"
#include "controllers/classes.h"
#include "controllers/fan_out.h"
#include "controllers/node_taints.h"
#include "controllers/pods.h"
#include "schema/time.h"

#define TICK_KEY "*"
#define TICK (NSEC_PER_SEC / 2)
#define SILENCE_MAX (7 * NSEC_PER_SEC / 2)
#define FIRST_WORD_MAX (10 * NSEC_PER_SEC) /* for a node not heard of since we began */
#define HELPERS 16
#define NOT_READY_REASON "NodeNotReady"

enum { NODES, PODS };

/* How the fleet is decides how fast nodes may be given up: the time between two of them. */
enum fleet { FLEET_WELL, FLEET_SICK, FLEET_SMALL_SICK, FLEET_LOST };
static const nsec_t pace[] = {
    [FLEET_WELL] = 10 * NSEC_PER_SEC,
    [FLEET_SICK] = 100 * NSEC_PER_SEC,
    [FLEET_SMALL_SICK] = 0, /* not at all */
    [FLEET_LOST] = 0,
};
#define SICK_PERCENT 55
#define LARGE 50 /* nodes */

struct node_lifecycle {
    struct controller base;
    nsec_t began, began_now; /* Unix time; clock_now() */
    struct mutex lock;
    enum fleet fleet;
    nsec_t next_given_up; /* clock_now() from which the next node may be */
};

/* -- who is silent -- */

static bool is_silent(struct node_lifecycle *self, const struct object *node)
{
    struct node_session session;

    if (node_sessions_get(self->base.options->sessions, node->meta->name, &session)) {
        nsec_t now = clock_now(self->base.clock);

        return session.seen >= self->began_now ? now - session.seen > SILENCE_MAX
                                               : now - self->began_now > FIRST_WORD_MAX;
    }
    nsec_t since = MAX(self->began, node->meta->creation_timestamp.unix_nsec);

    return controller_wall(&self->base) - since > FIRST_WORD_MAX;
}

static struct str ready_status(const struct object *node)
{
    const struct node_condition *ready = node_condition_of(OBJECT_VIEW(node, node), STR("Ready"));

    return ready ? ready->status : STR("");
}

static enum fleet judge(size_t bad, size_t all)
{
    if (bad == all && all > 0)
        return FLEET_LOST;
    if (bad > 2 && bad * 100 >= all * SICK_PERCENT)
        return all > LARGE ? FLEET_SICK : FLEET_SMALL_SICK;
    return FLEET_WELL;
}

/* True: it changed, and every node's taints may. */
static bool note_fleet(struct node_lifecycle *self, enum fleet fleet)
{
    LOCKED(&self->lock);
    bool changed = self->fleet != fleet;

    self->fleet = fleet;
    return changed;
}

static int tick(struct node_lifecycle *self, struct arena *arena, struct err *err)
{
    __attribute__((cleanup(object_list_deinit))) struct object_list nodes = { 0 };
    size_t bad = 0;
    int code = informer_list(self->base.informers[NODES], STR_NULL, arena, &nodes, err);
    bool *silent = arena_array_of(arena, nodes.count + 1, bool);

    if (code < 0 || !silent)
        return code < 0 ? code : err_set(err, ERR_NO_MEMORY, "nodes");
    for (size_t i = 0; i < nodes.count; i++) {
        silent[i] = is_silent(self, nodes.items[i]);
        bad += silent[i] || !str_is(ready_status(nodes.items[i]), "True");
    }
    bool all = note_fleet(self, judge(bad, nodes.count));

    for (size_t i = 0; i < nodes.count; i++)
        if (all || (silent[i] && !str_is(ready_status(nodes.items[i]), "Unknown")))
            controller_add(&self->base, nodes.items[i]->key);
    controller_add_after(&self->base, STR(TICK_KEY), TICK);
    return 0;
}

/* -- conditions of a silent node -- */

static const char *const reported[] = { "Ready", "MemoryPressure", "DiskPressure", "PIDPressure" };

static void write_unknown(struct json_writer *w, const char *type, bool known, struct str now)
{
    jw_begin_object(w);
    jw_field_str(w, "lastTransitionTime", now);
    jw_field_str(w, "message",
                 known ? STR("Kubelet stopped posting node status.") : STR("Kubelet never posted node status."));
    jw_field_str(w, "reason", known ? STR("NodeStatusUnknown") : STR("NodeStatusNeverUpdated"));
    jw_field_str(w, "status", STR("Unknown"));
    jw_field_str(w, "type", str_from(type));
    jw_end_object(w);
}

static void write_silence(struct buf *buf, const struct object *node, nsec_t wall)
{
    struct json_writer w = json_writer(buf);
    char text[API_TIME_LEN];
    struct str now = api_time_text(wall, text);

    jw_begin_object(&w);
    jw_key(&w, STR("metadata"));
    jw_begin_object(&w);
    jw_field_str(&w, "resourceVersion", node->meta->resource_version);
    jw_end_object(&w);
    jw_key(&w, STR("status"));
    jw_begin_object(&w);
    jw_key(&w, STR("conditions"));
    jw_begin_array(&w);
    for (size_t i = 0; i < ARRAY_LEN(reported); i++) {
        const struct node_condition *condition = node_condition_of(OBJECT_VIEW(node, node), str_from(reported[i]));

        if (!condition || !str_is(condition->status, "Unknown"))
            write_unknown(&w, reported[i], condition, now);
    }
    jw_end_array(&w);
    jw_end_object(&w);
    jw_end_object(&w);
}

/* *node is replaced by what was written. */
static int tell_silence(struct node_lifecycle *self, struct object **node, struct err *err)
{
    AUTO_DEINIT(buf, buf) = BUF_INIT;
    struct object *written = NULL;

    if (str_is(ready_status(*node), "Unknown"))
        return 0;
    write_silence(&buf, *node, controller_wall(&self->base));
    if (!buf_ok(&buf))
        return err_set(err, ERR_NO_MEMORY, "node conditions");
    int code =
        client_patch(self->base.client, &RESOURCE_NODES, STR_NULL, (*node)->meta->name, STR("status"), PATCH_STRATEGIC,
                     buf_str(&buf), STR("node-lifecycle-controller: node is silent"), (*node)->revision, &written, err);

    if (code < 0)
        return code;
    controller_wrote(&self->base, written->key, NODES, written->revision);
    event_record(self->base.options->events, *node, STR_NULL, "Normal", "NodeNotReady",
                 "Node " STR_FMT " status is now: NodeNotReady", STR_ARG((*node)->meta->name));
    log_warn(self->base.class->name, "node " STR_FMT " is not heard of any more", STR_ARG((*node)->meta->name));
    object_unref(*node);
    *node = written;
    return 0;
}

/* -- taints -- */

/* Whether this node may have NoExecute taints now; asking for a first one takes a turn. *ret_wait: when to ask again, 0
 * when a change of the fleet will tell. */
static bool may_drive_away(struct node_lifecycle *self, const struct node *node, nsec_t *ret_wait)
{
    nsec_t now = clock_now(self->base.clock);

    *ret_wait = 0;
    LOCKED(&self->lock);
    if (self->fleet == FLEET_LOST)
        return false;
    if (!node_lacks_no_execute(node))
        return true;
    if (pace[self->fleet] == 0)
        return false;
    if (now < self->next_given_up) {
        *ret_wait = self->next_given_up - now;
        return false;
    }
    self->next_given_up = now + pace[self->fleet];
    return true;
}

static int update_taints(struct node_lifecycle *self, struct object **object, struct arena *arena, nsec_t *ret_wait,
                         struct err *err)
{
    struct node node = *OBJECT_VIEW(*object, node);
    struct object *written = NULL;
    bool drive_away = may_drive_away(self, &node, ret_wait), changed;
    struct taint_array taints;
    int code = node_wanted_taints(&node, drive_away, controller_wall(&self->base), arena, &taints, &changed, err);

    if (code < 0 || !changed)
        return code;
    node.spec.taints = taints;
    code = client_update(self->base.client, &RESOURCE_NODES, STR_NULL, &node,
                         STR("node-lifecycle-controller: taints after conditions"), (*object)->revision, &written, err);
    if (code < 0)
        return code;
    controller_wrote(&self->base, written->key, NODES, written->revision);
    object_unref(*object);
    *object = written;
    return 0;
}

/* -- pods -- */

struct departure {
    struct node_lifecycle *self;
    const struct object *node;
    struct object **pods;
    struct str now;
    struct mutex lock;
    struct err *err; /* locked: the first failure */
};

static void note_failure(struct departure *departure, int code, const struct err *err)
{
    if (code == 0 || code == -ERR_NOT_FOUND || code == -ERR_CONFLICT)
        return;
    LOCKED(&departure->lock);
    if (!departure->err->code)
        *departure->err = *err;
}

/* reason and message: NULL for none. */
static int patch_condition(struct departure *departure, const struct object *pod, const char *type, const char *status,
                           const char *reason, const char *message, struct str rule, struct err *err)
{
    AUTO_DEINIT(buf, buf) = BUF_INIT;
    const char *quote = reason ? "\"" : "";

    buf_printf(&buf,
               "{\"metadata\":{\"uid\":\"" STR_FMT "\"},\"status\":{\"conditions\":[{\"lastTransitionTime\":\"" STR_FMT
               "\",\"message\":%s%s%s,\"reason\":%s%s%s,\"status\":\"%s\",\"type\":\"%s\"}]}}",
               STR_ARG(pod->meta->uid), STR_ARG(departure->now), quote, reason ? message : "null", quote, quote,
               reason ? reason : "null", quote, status, type);
    if (!buf_ok(&buf))
        return err_set(err, ERR_NO_MEMORY, "pod condition");
    return client_patch(departure->self->base.client, &RESOURCE_PODS, pod->meta->namespace, pod->meta->name,
                        STR("status"), PATCH_STRATEGIC, buf_str(&buf), rule, departure->node->revision, NULL, err);
}

static void mark_not_ready(void *arg, size_t at)
{
    struct departure *departure = arg;
    const struct object *pod = departure->pods[at];
    struct err err = { 0 };
    int code = patch_condition(departure, pod, "Ready", "False", NOT_READY_REASON, "Node is not ready",
                               STR("node-lifecycle-controller: node is silent"), &err);

    if (code == 0)
        event_record(departure->self->base.options->events, pod, STR_NULL, "Warning", "NodeNotReady",
                     "Node is not ready");
    note_failure(departure, code, &err);
}

/* Takes back what mark_not_ready() said. */
static void mark_ready_again(void *arg, size_t at)
{
    struct departure *departure = arg;
    struct err err = { 0 };

    note_failure(departure,
                 patch_condition(departure, departure->pods[at], "Ready", "True", NULL, NULL,
                                 STR("node-lifecycle-controller: node is heard again"), &err),
                 &err);
}

static void evict(void *arg, size_t at)
{
    struct departure *departure = arg;
    const struct object *pod = departure->pods[at];
    const struct object_meta *meta = pod->meta;
    const struct client_delete_options options = { .uid = meta->uid, .grace_seconds = -1 };
    struct err err = { 0 };
    int code;

    event_record(departure->self->base.options->events, pod, STR_NULL, "Normal", "TaintManagerEviction",
                 "Marking for deletion Pod " STR_FMT, STR_ARG(pod->key));
    code = patch_condition(departure, pod, "DisruptionTarget", "True", "DeletionByTaintManager",
                           "Taint manager: deleting due to NoExecute taint",
                           STR("node-lifecycle-controller: evict from tainted node"), &err);
    if (code == 0)
        code =
            client_delete(departure->self->base.client, &RESOURCE_PODS, meta->namespace, meta->name, &options,
                          STR("node-lifecycle-controller: evict from tainted node"), departure->node->revision, &err);
    note_failure(departure, code, &err);
}

static int for_pods(struct node_lifecycle *self, const struct object *node, struct object **pods, size_t count,
                    void (*fn)(void *arg, size_t at), struct err *err)
{
    char text[API_TIME_LEN];
    struct departure departure = {
        .self = self, .node = node, .pods = pods, .err = err, .now = api_time_text(controller_wall(&self->base), text)
    };

    mutex_init(&departure.lock);
    fan_out(self->base.options->executor, HELPERS, count, fn, &departure);
    mutex_deinit(&departure.lock);
    return -(int)err->code;
}

/* Moves those that match to the front. */
static size_t pick(struct object_list *pods,
                   bool (*match)(const struct object *pod, const struct object *node, nsec_t now),
                   const struct object *node, nsec_t now)
{
    size_t count = 0;

    for (size_t i = 0; i < pods->count; i++) {
        struct object *pod = pods->items[i];

        if (!match(pod, node, now))
            continue;
        pods->items[i] = pods->items[count];
        pods->items[count++] = pod;
    }
    return count;
}

static bool is_ready(const struct object *pod, const struct object *node, nsec_t now)
{
    (void)node;
    (void)now;
    return pod_shows_ready(pod_of(pod));
}

/* We said that it is not ready, and its containers are. */
static bool was_marked(const struct object *object, const struct object *node, nsec_t now)
{
    const struct pod *pod = pod_of(object);
    const struct pod_condition *ready = pod_condition_of(pod, STR("Ready"));

    (void)node;
    (void)now;
    return ready && str_is(ready->status, "False") && str_is(ready->reason, NOT_READY_REASON) && pod_is_active(pod) &&
           pod_containers_are_ready(pod);
}

static nsec_t eviction_time(const struct object *pod, const struct object *node, nsec_t now)
{
    if (pod->meta->deletion_timestamp.set || pod_has_ended(pod_of(pod)))
        return EVICT_NEVER;
    return pod_eviction_time(pod_of(pod), &OBJECT_VIEW(node, node)->spec.taints, now);
}

static bool must_leave(const struct object *pod, const struct object *node, nsec_t now)
{
    return eviction_time(pod, node, now) <= now;
}

/* *ret_wait gets the time until the next pod must leave, if that is sooner. */
static int see_to_pods(struct node_lifecycle *self, const struct object *node, struct arena *arena, nsec_t *ret_wait,
                       struct err *err)
{
    bool silent = str_is(ready_status(node), "Unknown"), well = str_is(ready_status(node), "True");
    bool tainted = node_has_no_execute(OBJECT_VIEW(node, node));
    __attribute__((cleanup(object_list_deinit))) struct object_list pods = { 0 };
    nsec_t now = controller_wall(&self->base);
    int code;

    if (!silent && !well && !tainted)
        return 0;
    if ((code = informer_by_index(self->base.informers[PODS], BY_NODE, node->key, arena, &pods, err)) < 0)
        return code;
    if (silent)
        code = for_pods(self, node, pods.items, pick(&pods, is_ready, node, now), mark_not_ready, err);
    if (well)
        code = for_pods(self, node, pods.items, pick(&pods, was_marked, node, now), mark_ready_again, err);
    if (code == 0 && tainted)
        code = for_pods(self, node, pods.items, pick(&pods, must_leave, node, now), evict, err);
    for (size_t i = 0; i < pods.count; i++) {
        nsec_t time = eviction_time(pods.items[i], node, now), wait = time - now;

        if (time != EVICT_NEVER && time > now && (!*ret_wait || wait < *ret_wait))
            *ret_wait = wait;
    }
    return code;
}

/* -- the reconcile -- */

static int reconcile(struct controller *controller, struct str key, struct arena *arena, struct err *err)
{
    struct node_lifecycle *self = container_of(controller, struct node_lifecycle, base);
    nsec_t wait = 0;
    int code = 0;

    if (str_is(key, TICK_KEY))
        return tick(self, arena, err);
    AUTO(object) node = informer_get(controller->informers[NODES], key);

    if (!node)
        return 0;
    if (is_silent(self, node))
        code = tell_silence(self, &node, err);
    if (code == 0)
        code = update_taints(self, &node, arena, &wait, err);
    if (code == 0)
        code = see_to_pods(self, node, arena, &wait, err);
    if (wait)
        controller_add_after(controller, key, wait);
    return is_gone(code) ? 0 : code;
}

/* A pod that comes to a node with trouble, or shows ready on one, is the node's affair. */
static void pod_changed(struct controller *self, struct object *old, struct object *new)
{
    struct str name = new ? pod_of(new)->spec.node_name : STR_NULL;

    if (!name.len || (old && str_eq(pod_of(old)->spec.node_name, name) &&
                      pod_shows_ready(pod_of(old)) == pod_shows_ready(pod_of(new))))
        return;
    AUTO(object) node = informer_get(self->informers[NODES], name);

    if (node && (node_has_no_execute(OBJECT_VIEW(node, node)) || str_is(ready_status(node), "Unknown") ||
                 was_marked(new, NULL, 0)))
        controller_add(self, name);
}

static void node_changed(struct controller *self, struct object *old, struct object *new)
{
    if (!new)
        node_sessions_forget(self->options->sessions, old->key);
    else
        controller_add(self, new->key);
}

static void start(struct controller *self)
{
    struct node_lifecycle *lifecycle = container_of(self, struct node_lifecycle, base);

    lifecycle->began = controller_wall(self);
    lifecycle->began_now = clock_now(self->clock);
    controller_add(self, STR(TICK_KEY));
}

static int init(struct controller *self, struct err *err)
{
    (void)err;
    mutex_init(&container_of(self, struct node_lifecycle, base)->lock);
    return 0;
}

static void deinit(struct controller *self)
{
    mutex_deinit(&container_of(self, struct node_lifecycle, base)->lock);
}

static const struct controller_watch watches[] = {
    [NODES] = { &RESOURCE_NODES, node_changed, 0 },
    [PODS] = { &RESOURCE_PODS, pod_changed, INDEX_NODE },
};

const struct controller_class node_lifecycle_controller = {
    .name = "node-lifecycle-controller",
    .size = sizeof(struct node_lifecycle),
    .workers = 4,
    .watches = watches,
    .watch_count = ARRAY_LEN(watches),
    .init = init,
    .deinit = deinit,
    .start = start,
    .reconcile = reconcile,
};
