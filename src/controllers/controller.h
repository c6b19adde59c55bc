/* controller.h - the shape that all controllers share: a name, what it watches, and a reconcile.
 *
 * A controller is a const struct controller_class and a struct that begins with struct controller. Changes that its
 * watches see become keys of its queue; reconcile() looks at the caches, decides, writes through the client, and
 * nothing else. It is called for one key at a time by one thread, for different keys by up to `workers`.
 *
 * Caches lag behind writes. After a write whose effect the next reconcile of a key must see, controller_wrote() notes
 * the revision; the key then waits until the cache of that row shows it. So a stale cache never makes a second pod.
 *
 * Caches also lag behind each other, and one transaction may change objects in several of them: an undone deletion brings
 * back a set with its pods. A class that is `joint` is called when each of its caches shows what the most advanced of
 * them did, and gets its object by controller_get(), which holds the others to the object's revision. */
#pragma once

#include "base/map.h"
#include "base/sync.h"
#include "client/workqueue.h"
#include "controllers/controllers.h"

struct controller;
struct owner_reference;

/* What look-ups by informer_by_index() a row needs; the names of the indexes are those below. */
enum controller_index {
    INDEX_CONTROLLER = 1 << 0, /* by uid of the controlling owner */
    INDEX_ORPHAN = 1 << 1,     /* those without a controlling owner, by namespace */
    INDEX_NAMESPACE = 1 << 2,  /* by namespace */
    INDEX_NODE = 1 << 3,       /* pods by spec.nodeName */
};
#define BY_CONTROLLER "controller"
#define BY_ORPHAN "orphan"
#define BY_NAMESPACE "namespace"
#define BY_NODE "node"

struct controller_watch {
    const struct resource *resource;
    /* Adds the keys that a change concerns. NULL: the object's own key. old NULL: added; new NULL: deleted. */
    void (*changed)(struct controller *self, struct object *old, struct object *new);
    unsigned indexes; /* INDEX_... */
};

#define CONTROLLER_GATED_ROWS 4 /* watches that controller_wrote() can name */

struct controller_class {
    const char *name; /* "deployment-controller": in logs, and in front of every rule */
    size_t size;      /* of the struct that begins with struct controller; zeroed at first */
    int workers;      /* 0: 1 */
    bool joint;       /* see above */
    const struct controller_watch *watches;
    size_t watch_count;
    int (*init)(struct controller *self, struct err *err); /* or NULL */
    void (*stop)(struct controller *self);                 /* or NULL; before the queue goes: adds no keys any more */
    void (*deinit)(struct controller *self);               /* or NULL; also after a failed init */
    void (*start)(struct controller *self);                /* or NULL; when all caches are there */
    int (*reconcile)(struct controller *self, struct str key, struct arena *arena, struct err *err);
};

struct controller {
    const struct controller_class *class;
    const struct controllers_options *options;
    struct client *client;
    struct clock *clock;
    struct informer **informers; /* one for each watch */
    struct workqueue *queue;     /* NULL until all else is made */
    struct mutex lock;
    struct map written; /* key -> struct written */
};

int controller_new(const struct controller_class *class, const struct controllers_options *options,
                   struct controller **ret_controller, struct err *err);
struct controller *controller_free(struct controller *controller);
DEFINE_AUTO(controller, controller_free)
/* The queue begins to be drained. */
void controller_start(struct controller *controller);

static inline void controller_add(struct controller *self, struct str key)
{
    workqueue_add(self->queue, key);
}

/* "ns/name"; ns may be empty. Longer ones than any object has are dropped. */
void controller_add_named(struct controller *self, struct str ns, struct str name);
static inline void controller_add_after(struct controller *self, struct str key, nsec_t delay)
{
    workqueue_add_after(self->queue, key, delay);
}

/* The object of that key in the cache of watch `row`, a reference for the caller; NULL: there is none, or the other caches
 * do not show its revision yet, and the key comes again when they do. */
struct object *controller_get(struct controller *self, int row, struct str key);

/* key is not reconciled until the cache of watch `row` shows `revision`, or has failed to for some minutes. */
void controller_wrote(struct controller *self, struct str key, int row, uint64_t revision);

/* -- small things that many of them need -- */

static inline nsec_t controller_wall(const struct controller *self)
{
    return clock_wall(self->clock);
}

/* The owner that controls the object, or NULL. */
const struct owner_reference *controlling_owner(const struct object *object);
/* Whether an owner reference means this resource: by group and kind. */
bool owner_is(const struct owner_reference *reference, const struct resource *resource);
/* "apps/v1", "v1" */
struct str resource_api_version(struct arena *arena, const struct resource *resource);
struct str map_value(struct str_map map, struct str key); /* STR_NULL when absent */
bool maps_equal(struct str_map a, struct str_map b);
/* map with key set to value; a new one in the arena, sorted. items == NULL without memory. */
struct str_map map_with(struct arena *arena, struct str_map map, struct str key, struct str value);
struct str_map map_without(struct arena *arena, struct str_map map, struct str key);

/* Lists release their references when they leave scope. */
static inline void object_list_deinit(struct object_list *list)
{
    object_list_release(list);
}

/* Errors that only say that somebody else was faster. */
static inline bool is_gone(int code)
{
    return code == -ERR_NOT_FOUND;
}
