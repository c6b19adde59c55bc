/* controller.c - from a table row to a running controller.
 *
 * Handlers run on the informers' strands from the first list on, so the queue takes keys before it is started; nothing
 * is reconciled on half a cache. */
#include "controllers/controller.h"

#include <stdio.h>

#include "api/core_v1.h"
#include "api/meta_v1.h"
#include "api/resources.h"
#include "base/log.h"
#include "base/map.h"
#include "base/sync.h"

#define KEY_MAX 640                      /* namespace, '/', name */
#define STALE_LOOK (100 * NSEC_PER_MSEC) /* the cache's own event comes sooner */
#define STALE_MAX (300 * NSEC_PER_SEC)   /* after that it is taken as it is */
#define JOINT_LOOK (NSEC_PER_MSEC / 10)  /* mostly the other cache is just being changed; twice as long each time */

/* The revisions that a key's next reconcile must see. */
struct written {
    uint64_t revisions[CONTROLLER_GATED_ROWS]; /* in that cache alone */
    uint64_t joint;                            /* in all of them */
    unsigned looks;                            /* at that */
    nsec_t since;
    struct str key;
    char text[];
};

/* -- indexes -- */

const struct owner_reference *controlling_owner(const struct object *object)
{
    for (size_t i = 0; i < object->meta->owner_references.count; i++)
        if (opt_or(object->meta->owner_references.items[i].controller, false))
            return &object->meta->owner_references.items[i];
    return NULL;
}

static struct str controller_uid(const struct object *object)
{
    const struct owner_reference *owner = controlling_owner(object);

    return owner ? owner->uid : STR_NULL;
}

static struct str orphan_namespace(const struct object *object)
{
    return controlling_owner(object) ? STR_NULL : object->meta->namespace;
}

static struct str own_namespace(const struct object *object)
{
    return object->meta->namespace;
}

static struct str pod_node(const struct object *object)
{
    struct str node = OBJECT_VIEW(object, pod)->spec.node_name;

    return node.len ? node : STR_NULL;
}

static const struct {
    enum controller_index bit;
    const char *name;
    informer_index_fn *key;
} indexes[] = {
    { INDEX_CONTROLLER, BY_CONTROLLER, controller_uid },
    { INDEX_ORPHAN, BY_ORPHAN, orphan_namespace },
    { INDEX_NAMESPACE, BY_NAMESPACE, own_namespace },
    { INDEX_NODE, BY_NODE, pod_node },
};

/* -- what was written -- */

static void written_forget(struct controller *self, struct written *written)
{
    map_remove(&self->written, written->key);
    free(written);
}

static struct written *written_get(struct controller *self, struct str key)
{
    struct written *written = map_get(&self->written, key);

    if (written || !(written = calloc(1, sizeof *written + key.len + 1)))
        return written;
    memcpy(written->text, key.data, key.len);
    written->key = str_of(written->text, key.len);
    if (map_put(&self->written, written->key, written, NULL) < 0) {
        free(written);
        return NULL;
    }
    return written;
}

void controller_wrote(struct controller *self, struct str key, int row, uint64_t revision)
{
    INVARIANT(row >= 0 && row < CONTROLLER_GATED_ROWS);
    LOCKED(&self->lock);
    struct written *written = written_get(self, key);

    if (!written) {
        log_error(self->class->name, "no memory to note what was written for " STR_FMT, STR_ARG(key));
        return;
    }
    written->revisions[row] = MAX(written->revisions[row], revision);
    written->since = clock_now(self->clock);
}

/* -- whether a key may be reconciled -- */

static bool shows_written(struct controller *self, const struct written *written)
{
    for (size_t row = 0; row < MIN(self->class->watch_count, (size_t)CONTROLLER_GATED_ROWS); row++)
        if (written->revisions[row] && informer_revision(self->informers[row]) < written->revisions[row])
            return false;
    return true;
}

static bool all_show(struct controller *self, uint64_t revision)
{
    for (size_t row = 0; row < self->class->watch_count; row++)
        if (!informer_has_reached(self->informers[row], revision))
            return false;
    return true;
}

static uint64_t newest_shown(struct controller *self)
{
    uint64_t newest = 0;

    for (size_t row = 0; row < self->class->watch_count; row++)
        newest = MAX(newest, informer_revision(self->informers[row]));
    return newest;
}

/* Locked. Notes that all caches must show a revision, and has the key come again. False: no memory. */
static bool wait_for_all(struct controller *self, struct str key, uint64_t revision)
{
    struct written *written = written_get(self, key);

    if (!written) {
        log_error(self->class->name, "no memory to wait for the caches of " STR_FMT, STR_ARG(key));
        return false;
    }
    if (!written->joint)
        written->since = clock_now(self->clock);
    written->joint = MAX(written->joint, revision);
    workqueue_add_after(self->queue, key, JOINT_LOOK);
    return true;
}

/* Whether the key may be reconciled now; else it comes again. What has waited for the caches once is not held up by what
 * has come meanwhile, or a busy cluster would hold it up for ever. */
static bool is_current(struct controller *self, struct str key)
{
    uint64_t newest = self->class->joint ? newest_shown(self) : 0;
    bool joint = all_show(self, newest);

    LOCKED(&self->lock);
    struct written *written = map_get(&self->written, key);
    bool waited = written && written->joint;

    if (!joint && !waited && wait_for_all(self, key, newest))
        return false;
    if (!written)
        return true;
    joint = !waited || all_show(self, written->joint);
    if ((!joint || !shows_written(self, written)) && clock_now(self->clock) - written->since < STALE_MAX) {
        workqueue_add_after(self->queue, key,
                            joint ? STALE_LOOK : MIN(JOINT_LOOK << MIN(++written->looks, 16u), STALE_LOOK));
        return false;
    }
    written_forget(self, written);
    return true;
}

struct object *controller_get(struct controller *self, int row, struct str key)
{
    struct object *object = informer_get(self->informers[row], key);

    if (!object || all_show(self, object->revision))
        return object;
    LOCKED(&self->lock);
    return wait_for_all(self, key, object->revision) ? object_unref(object) : object;
}

static int run(void *ctx, struct str key, struct arena *arena, struct err *err)
{
    struct controller *self = ctx;

    return is_current(self, key) ? self->class->reconcile(self, key, arena, err) : 0;
}

/* -- watching -- */

struct watcher {
    struct controller *self;
    const struct controller_watch *watch;
};

static void changed(void *ctx, struct object *old, struct object *new)
{
    struct watcher *watcher = ctx;

    if (watcher->watch->changed)
        watcher->watch->changed(watcher->self, old, new);
    else
        controller_add(watcher->self, (new ? new : old)->key);
}

static int watch(struct controller *self, size_t row, struct watcher *watcher, struct err *err)
{
    const struct controller_watch *watch = &self->class->watches[row];
    struct informer **informer = &self->informers[row];
    int code = informers_get(self->options->informers, watch->resource, STR_NULL, informer, err);

    for (size_t i = 0; code == 0 && i < ARRAY_LEN(indexes); i++)
        if (watch->indexes & indexes[i].bit)
            code = informer_add_index(*informer, indexes[i].name, indexes[i].key, err);
    *watcher = (struct watcher){ self, watch };
    const struct informer_handler handler = { watcher, changed };

    return code == 0 ? informer_add_handler(*informer, &handler, err) : code;
}

/* -- life -- */

static int make_queue(struct controller *self, struct err *err)
{
    const struct workqueue_options options = {
        .name = self->class->name,
        .executor = self->options->executor,
        .rng = self->options->rng,
        .workers = self->class->workers,
        .reconcile = run,
        .ctx = self,
        .paused = true,
    };

    return workqueue_new(&options, &self->queue, err);
}

int controller_new(const struct controller_class *class, const struct controllers_options *options,
                   struct controller **ret_controller, struct err *err)
{
    AUTO(controller) self = calloc(1, class->size);
    size_t count = class->watch_count;
    int code = 0;

    if (!self)
        return err_set(err, ERR_NO_MEMORY, "%s", class->name);
    self->class = class;
    self->options = options;
    self->client = options->client;
    self->clock = executor_clock(options->executor);
    mutex_init(&self->lock);
    /* The watchers, which informers point to, lie behind the informers. */
    self->informers = calloc(MAX(count, (size_t)1), sizeof *self->informers + sizeof(struct watcher));
    if (!self->informers)
        return err_set(err, ERR_NO_MEMORY, "%s", class->name);
    struct watcher *watchers = (struct watcher *)(self->informers + count);

    if ((code = make_queue(self, err)) < 0 || (class->init && (code = class->init(self, err)) < 0))
        return err_wrap(err, code, "%s", class->name);
    for (size_t row = 0; row < count; row++)
        if ((code = watch(self, row, &watchers[row], err)) < 0)
            return err_wrap(err, code, "%s", class->name);
    *ret_controller = TAKE(self);
    return 0;
}

void controller_start(struct controller *self)
{
    if (self->class->start)
        self->class->start(self);
    workqueue_start(self->queue);
}

struct controller *controller_free(struct controller *self)
{
    if (!self)
        return NULL;
    if (self->class->stop)
        self->class->stop(self);
    workqueue_free(self->queue);
    if (self->class->deinit)
        self->class->deinit(self);
    for (struct map_entry *e = NULL; (e = map_next(&self->written, e));)
        free(e->value);
    map_deinit(&self->written);
    mutex_deinit(&self->lock);
    free(self->informers);
    free(self);
    return NULL;
}

/* -- small things -- */

void controller_add_named(struct controller *self, struct str ns, struct str name)
{
    char key[KEY_MAX];
    int len = snprintf(key, sizeof key, STR_FMT "%s" STR_FMT, STR_ARG(ns), ns.len ? "/" : "", STR_ARG(name));

    if (len > 0 && len < (int)sizeof key)
        controller_add(self, str_of(key, (size_t)len));
}

/* The group of "apps/v1" is "apps", that of "v1" is empty; the version does not matter. */
bool owner_is(const struct owner_reference *reference, const struct resource *resource)
{
    ssize_t slash = str_chr(reference->api_version, '/');
    struct str group = slash < 0 ? STR("") : str_first(reference->api_version, (size_t)slash);

    return str_eq(reference->kind, resource->kind) && str_eq(group, resource->group);
}

struct str resource_api_version(struct arena *arena, const struct resource *resource)
{
    if (!resource->group.len)
        return resource->version;
    return arena_printf(arena, STR_FMT "/" STR_FMT, STR_ARG(resource->group), STR_ARG(resource->version));
}

struct str map_value(struct str_map map, struct str key)
{
    for (size_t i = 0; i < map.count; i++)
        if (str_eq(map.items[i].key, key))
            return map.items[i].value;
    return STR_NULL;
}

bool maps_equal(struct str_map a, struct str_map b)
{
    if (a.count != b.count)
        return false;
    for (size_t i = 0; i < a.count; i++)
        if (!str_eq(a.items[i].key, b.items[i].key) || !str_eq(a.items[i].value, b.items[i].value))
            return false;
    return true;
}

struct str_map map_with(struct arena *arena, struct str_map map, struct str key, struct str value)
{
    struct str_pair *items = arena_array_of(arena, map.count + 1, struct str_pair);
    size_t count = 0;
    bool placed = false;

    if (!items)
        return (struct str_map){ 0 };
    for (size_t i = 0; i < map.count; i++) {
        int order = str_cmp(map.items[i].key, key);

        if (order >= 0 && !placed) {
            items[count++] = (struct str_pair){ key, value };
            placed = true;
        }
        if (order != 0)
            items[count++] = map.items[i];
    }
    if (!placed)
        items[count++] = (struct str_pair){ key, value };
    return (struct str_map){ items, count };
}

struct str_map map_without(struct arena *arena, struct str_map map, struct str key)
{
    struct str_pair *items = arena_array_of(arena, MAX(map.count, (size_t)1), struct str_pair);
    size_t count = 0;

    for (size_t i = 0; items && i < map.count; i++)
        if (!str_eq(map.items[i].key, key))
            items[count++] = map.items[i];
    return (struct str_map){ items, count };
}
