/* namespace.c - empties a namespace that is being deleted, then lets it go.
 *
 * Every resource of the tables that lives in namespaces is listed and what is found deleted. Most go at once; pods take
 * their time, and others wait for finalizers. The namespace is looked at again when a pod of it has gone, or after a
 * quarter of the time it has been leaving already: what takes long is asked about seldom. What stays shows in the
 * namespace's conditions. */
#include "api/core_v1.h"
#include "api/resources.h"
#include "controllers/classes.h"
#include "controllers/fan_out.h"
#include "controllers/namespace_left.h"

#define FINALIZER "kubernetes"
#define AGAIN_MIN (100 * NSEC_PER_MSEC)
#define AGAIN_MAX (15 * NSEC_PER_SEC)
#define HELPERS 8

enum { NAMESPACES, PODS };

static void pod_changed(struct controller *self, struct object *old, struct object *new)
{
    if (new || !old)
        return;
    AUTO(object) ns = informer_get(self->informers[NAMESPACES], old->meta->namespace);

    if (ns && ns->meta->deletion_timestamp.set)
        controller_add_after(self, ns->key, AGAIN_MIN);
}

/* -- deleting what is in it -- */

struct content {
    struct controller *self;
    const struct object *ns;
    const struct resource *resource;
    struct arena *arena;
    struct str *names; /* that are not being deleted yet */
    size_t count, cap, total;
    struct namespace_left *left; /* those that are being deleted already */
    struct mutex lock;
    struct err *err; /* locked: the first failure */
};

static int note_item(void *arg, struct str text, struct err *err)
{
    struct content *content = arg;
    struct json *json;
    int code = json_parse(content->arena, text, NULL, &json, err);

    if (code < 0)
        return code;
    content->total++;
    if (json_at(json, "metadata.deletionTimestamp")) {
        namespace_left_add(content->left, content->resource, json);
        return 0;
    }
    if (content->count == content->cap) {
        size_t cap = MAX(content->cap * 2, (size_t)32);
        struct str *names =
            arena_grow(content->arena, content->names, content->cap * sizeof *names, cap * sizeof *names);

        if (!names)
            return err_set(err, ERR_NO_MEMORY, "emptying a namespace");
        content->names = names;
        content->cap = cap;
    }
    content->names[content->count] = arena_str(content->arena, json_str_at(json, "metadata.name"));
    return content->names[content->count++].data ? 0 : err_set(err, ERR_NO_MEMORY, "emptying a namespace");
}

static void delete_item(void *arg, size_t at)
{
    struct content *content = arg;
    const struct client_delete_options options = { .propagation_policy = STR("Background"), .grace_seconds = -1 };
    struct err err = { 0 };
    int code = client_delete(content->self->client, content->resource, content->ns->meta->name, content->names[at],
                             &options, STR("namespace-controller: delete content"), content->ns->revision, &err);

    if (code == 0 || is_gone(code))
        return;
    LOCKED(&content->lock);
    if (!content->err->code)
        *content->err = err;
}

/* *ret_total is how many objects there were. */
static int delete_content(struct controller *self, const struct object *ns, const struct resource *resource,
                          struct arena *arena, struct namespace_left *left, size_t *ret_total, struct err *err)
{
    struct content content = {
        .self = self, .ns = ns, .resource = resource, .arena = arena, .left = left, .err = err
    };
    const struct client_call call = { .verb = CLIENT_LIST, .resource = resource, .ns = ns->meta->name };
    AUTO(blob) body = NULL;
    uint64_t revision;
    int code = self->client->ops->call(self->client, &call, note_item, &content, &revision, &body, err);

    if (code < 0)
        return code;
    mutex_init(&content.lock);
    fan_out(self->options->executor, HELPERS, content.count, delete_item, &content);
    mutex_deinit(&content.lock);
    *ret_total = content.total;
    return -(int)err->code;
}

/* One of each kind that is kept in namespaces and can be listed and deleted. */
static bool is_content(const struct resource *resource)
{
    return resource->served && resource->namespaced && resource->storage == resource && (resource->verbs & VERB_LIST) &&
           (resource->verbs & VERB_DELETE);
}

static int empty(struct controller *self, const struct object *ns, struct namespace_left *left, size_t *ret_total,
                 struct err *err)
{
    AUTO(arena) arena = arena_new(0);
    int code = arena ? 0 : err_set(err, ERR_NO_MEMORY, "emptying a namespace"), first = 0;
    size_t total = 0;

    if (code < 0)
        return code;
    for (size_t i = 0; i < api_resource_count; i++) {
        struct err failure = { 0 };
        size_t found = 0;

        if (!is_content(api_resources[i]))
            continue;
        code = delete_content(self, ns, api_resources[i], arena, left, &found, &failure);
        total += found;
        if (code < 0 && first == 0) {
            *err = failure;
            first = code;
            left->failure = arena_printf(left->arena, "Failed to delete all resource types, 1 remaining: %s", err->message);
        }
        arena_reset(arena);
    }
    *ret_total = total;
    return first;
}

/* Why it is still there, for those who ask. Not worth an error of its own. */
static void show_left(struct controller *self, const struct object *object, struct namespace_left *left)
{
    struct namespace ns = *OBJECT_VIEW(object, namespace);

    if (namespace_left_any(left) && namespace_left_conditions(left, &ns, controller_wall(self), NULL))
        client_update(self->client, &RESOURCE_NAMESPACES, STR("status"), &ns, STR("namespace-controller: what is left"),
                      object->revision, NULL, NULL);
}

/* -- letting it go -- */

static int finalize(struct controller *self, const struct object *object, struct arena *arena, struct err *err)
{
    struct namespace ns = *OBJECT_VIEW(object, namespace);
    struct str *kept = arena_array_of(arena, ns.spec.finalizers.count + 1, struct str);
    size_t count = 0;

    if (!kept)
        return err_set(err, ERR_NO_MEMORY, "finalizing a namespace");
    for (size_t i = 0; i < ns.spec.finalizers.count; i++)
        if (!str_is(ns.spec.finalizers.items[i], FINALIZER))
            kept[count++] = ns.spec.finalizers.items[i];
    ns.spec.finalizers = (struct str_array){ kept, count };
    int code = client_update(self->client, &RESOURCE_NAMESPACES, STR("finalize"), &ns,
                             STR("namespace-controller: finalize"), object->revision, NULL, err);

    return is_gone(code) ? 0 : code;
}

static bool is_ours(const struct namespace *ns)
{
    for (size_t i = 0; i < ns->spec.finalizers.count; i++)
        if (str_is(ns->spec.finalizers.items[i], FINALIZER))
            return true;
    return false;
}

static nsec_t again_after(struct controller *self, const struct object *ns)
{
    nsec_t age = controller_wall(self) - ns->meta->deletion_timestamp.unix_nsec;

    return MIN(MAX(age / 4, AGAIN_MIN), AGAIN_MAX);
}

static int reconcile(struct controller *self, struct str key, struct arena *arena, struct err *err)
{
    AUTO(object) ns = informer_get(self->informers[NAMESPACES], key);
    AUTO_DEINIT(namespace_left, left) = { .arena = arena };
    size_t total = 0;

    if (!ns || !ns->meta->deletion_timestamp.set || !is_ours(OBJECT_VIEW(ns, namespace)))
        return 0;
    int code = empty(self, ns, &left, &total, err);

    if (code == 0 && total == 0) {
        code = finalize(self, ns, arena, err);
        if (code < 0)
            left.failure = arena_printf(arena, "Failed to delete all resource types, 1 remaining: %s", err->message);
        show_left(self, ns, &left);
        return code;
    }
    show_left(self, ns, &left);
    if (code < 0)
        return code;
    controller_add_after(self, key, again_after(self, ns));
    return 0;
}

static const struct controller_watch watches[] = {
    [NAMESPACES] = { &RESOURCE_NAMESPACES, NULL, 0 },
    [PODS] = { &RESOURCE_PODS, pod_changed, 0 },
};

const struct controller_class namespace_controller = {
    .name = "namespace-controller",
    .size = sizeof(struct controller),
    .workers = 4,
    .watches = watches,
    .watch_count = ARRAY_LEN(watches),
    .reconcile = reconcile,
};
