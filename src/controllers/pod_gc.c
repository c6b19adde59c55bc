/* pod_gc.c - pods that nobody looks after any more: bound to a node that no longer exists, or ended long ago and too
 * many.
 *
 * Keys of the queue are names of nodes, and one that stands for the count of ended pods. A node that is gone gets a
 * while to come back, as an agent registers its node again by itself. */
#include "api/core_v1.h"
#include "api/resources.h"
#include "controllers/classes.h"
#include "controllers/fan_out.h"
#include "controllers/pods.h"

#define ENDED_MAX 12500
#define ENDED_KEY "*"
#define ENDED_EVERY (20 * NSEC_PER_SEC)
#define QUARANTINE (10 * NSEC_PER_SEC)
#define HELPERS 16

enum { PODS, NODES };

struct pod_gc {
    struct controller base;
    atomic_long ended; /* pods that have */
};

static bool has_ended(const struct object *pod)
{
    return pod && pod_has_ended(pod_of(pod));
}

static bool node_exists(struct controller *self, struct str name)
{
    AUTO(object) node = informer_get(self->informers[NODES], name);

    return node;
}

static void pod_changed(struct controller *self, struct object *old, struct object *new)
{
    struct pod_gc *gc = container_of(self, struct pod_gc, base);
    long ended = atomic_fetch_add(&gc->ended, has_ended(new) - has_ended(old)) + has_ended(new) - has_ended(old);
    struct str node = new ? pod_of(new)->spec.node_name : STR_NULL;

    if (ended > ENDED_MAX && has_ended(new) && !has_ended(old))
        controller_add_after(self, STR(ENDED_KEY), ENDED_EVERY);
    if (node.len && (!old || !str_eq(pod_of(old)->spec.node_name, node)) && !node_exists(self, node))
        controller_add_after(self, node, QUARANTINE);
}

static void node_changed(struct controller *self, struct object *old, struct object *new)
{
    if (!new)
        controller_add_after(self, old->key, QUARANTINE);
}

/* -- deleting -- */

struct sweep {
    struct controller *self;
    struct object **pods;
    struct str rule;
    struct mutex lock;
    struct err *err; /* locked: the first failure */
};

static void delete_pod(void *arg, size_t at)
{
    struct sweep *sweep = arg;
    const struct object_meta *meta = sweep->pods[at]->meta;
    const struct client_delete_options options = { .uid = meta->uid, .grace_seconds = 0 };
    struct err err = { 0 };
    int code = client_delete(sweep->self->client, &RESOURCE_PODS, meta->namespace, meta->name, &options, sweep->rule,
                             sweep->pods[at]->revision, &err);

    if (code == 0 || code == -ERR_NOT_FOUND || code == -ERR_CONFLICT)
        return;
    LOCKED(&sweep->lock);
    if (!sweep->err->code)
        *sweep->err = err;
}

static int delete_pods(struct controller *self, struct object **pods, size_t count, struct str rule, struct err *err)
{
    struct sweep sweep = { .self = self, .pods = pods, .rule = rule, .err = err };

    mutex_init(&sweep.lock);
    fan_out(self->options->executor, HELPERS, count, delete_pod, &sweep);
    mutex_deinit(&sweep.lock);
    return -(int)err->code;
}

static int by_age(const void *left, const void *right)
{
    const struct object *a = *(struct object *const *)left, *b = *(struct object *const *)right;
    nsec_t at = a->meta->creation_timestamp.unix_nsec, bt = b->meta->creation_timestamp.unix_nsec;

    return at != bt ? (at < bt ? -1 : 1) : str_cmp(a->key, b->key);
}

static int remove_oldest(struct controller *self, struct arena *arena, struct err *err)
{
    __attribute__((cleanup(object_list_deinit))) struct object_list pods = { 0 };
    int code = informer_list(self->informers[PODS], STR_NULL, arena, &pods, err);
    size_t ended = 0;

    if (code < 0)
        return code;
    for (size_t i = 0; i < pods.count; i++)
        if (has_ended(pods.items[i])) {
            struct object *pod = pods.items[i];

            pods.items[i] = pods.items[ended];
            pods.items[ended++] = pod;
        }
    if (ended <= ENDED_MAX)
        return 0;
    qsort(pods.items, ended, sizeof *pods.items, by_age);
    return delete_pods(self, pods.items, ended - ENDED_MAX, STR("pod-garbage-collector: remove old ended pod"), err);
}

static int remove_orphans(struct controller *self, struct str node, struct arena *arena, struct err *err)
{
    __attribute__((cleanup(object_list_deinit))) struct object_list pods = { 0 };
    AUTO(object) live = NULL;

    if (node_exists(self, node))
        return 0;
    int code = informer_by_index(self->informers[PODS], BY_NODE, node, arena, &pods, err);

    if (code < 0 || pods.count == 0)
        return code;
    code = client_get(self->client, &RESOURCE_NODES, STR_NULL, node, &live, err);
    if (!is_gone(code))
        return code;
    err_clear(err);
    return delete_pods(self, pods.items, pods.count, STR("pod-garbage-collector: remove pod of a node that is gone"),
                       err);
}

static int reconcile(struct controller *self, struct str key, struct arena *arena, struct err *err)
{
    return str_is(key, ENDED_KEY) ? remove_oldest(self, arena, err) : remove_orphans(self, key, arena, err);
}

static void start(struct controller *self)
{
    struct pod_gc *gc = container_of(self, struct pod_gc, base);

    if (atomic_load(&gc->ended) > ENDED_MAX)
        controller_add(self, STR(ENDED_KEY));
}

static const struct controller_watch watches[] = {
    [PODS] = { &RESOURCE_PODS, pod_changed, INDEX_NODE },
    [NODES] = { &RESOURCE_NODES, node_changed, 0 },
};

const struct controller_class pod_gc_controller = {
    .name = "pod-garbage-collector",
    .size = sizeof(struct pod_gc),
    .watches = watches,
    .watch_count = ARRAY_LEN(watches),
    .start = start,
    .reconcile = reconcile,
};
