/* custom_kinds.c - a factory of one informer for each kind, made when its definition is established and freed when that goes.
 *
 * Rows, and the resources that objects point to, are kept for good: a definition that comes back finds its own, and
 * whoever looks for an owner of a kind that has gone asks the API and hears that it is gone. */
#include "controllers/custom_kinds.h"

#include "api/apiextensions_v1.h"
#include "base/sync.h"
#include "base/vec.h"
#include "client/metadata.h"

struct kind {
    struct arena arena;
    struct str definition;
    struct resource resource;
    /* Under the lock: */
    struct informers *informers; /* NULL: its definition has gone */
    struct informer *informer;
};

struct custom_kinds {
    struct custom_kinds_options options;
    struct rwlock lock;
    VEC(struct kind *) items;
    bool stopped;
};

int custom_kinds_new(const struct custom_kinds_options *options, struct custom_kinds **ret_kinds, struct err *err)
{
    struct custom_kinds *kinds = calloc(1, sizeof *kinds);

    if (!kinds)
        return err_set(err, ERR_NO_MEMORY, "custom kinds");
    kinds->options = *options;
    rwlock_init(&kinds->lock);
    *ret_kinds = kinds;
    return 0;
}

void custom_kinds_stop(struct custom_kinds *kinds)
{
    if (!kinds)
        return;
    rwlock_write(&kinds->lock);
    kinds->stopped = true;
    rwlock_unlock(&kinds->lock);
    for (size_t i = 0; i < kinds->items.count; i++) /* nobody adds any more */
        informers_stop(kinds->items.items[i]->informers);
}

static struct kind *kind_free(struct kind *kind)
{
    if (!kind)
        return NULL;
    informers_free(kind->informers);
    arena_deinit(&kind->arena);
    free(kind);
    return NULL;
}

struct custom_kinds *custom_kinds_free(struct custom_kinds *kinds)
{
    if (!kinds)
        return NULL;
    custom_kinds_stop(kinds);
    vec_each (&kinds->items, kind)
        kind_free(*kind);
    vec_deinit(&kinds->items);
    rwlock_deinit(&kinds->lock);
    free(kinds);
    return NULL;
}

/* -- one kind -- */

static struct str storage_version(const struct custom_resource_definition *definition)
{
    for (size_t i = 0; i < definition->spec.versions.count; i++)
        if (definition->spec.versions.items[i].storage)
            return definition->spec.versions.items[i].name;
    return STR_NULL;
}

static bool is_established(const struct custom_resource_definition *definition)
{
    for (size_t i = 0; i < definition->status.conditions.count; i++)
        if (str_is(definition->status.conditions.items[i].type, "Established"))
            return str_is(definition->status.conditions.items[i].status, "True");
    return false;
}

static bool is_namespaced(const struct custom_resource_definition *definition)
{
    return str_is(definition->spec.scope, "Namespaced");
}

static bool fits(const struct kind *kind, struct str name, const struct custom_resource_definition *definition)
{
    return str_eq(kind->definition, name) && str_eq(kind->resource.kind, definition->spec.names.kind) &&
           str_eq(kind->resource.version, storage_version(definition)) &&
           kind->resource.namespaced == is_namespaced(definition);
}

static struct kind *kind_new(struct str name, const struct custom_resource_definition *definition)
{
    struct kind *kind = calloc(1, sizeof *kind);

    if (!kind)
        return NULL;
    arena_init(&kind->arena, 0);
    struct resource *resource = &kind->resource;

    kind->definition = arena_str(&kind->arena, name);
    *resource = (struct resource){
        .group = arena_str(&kind->arena, definition->spec.group),
        .version = arena_str(&kind->arena, storage_version(definition)),
        .plural = arena_str(&kind->arena, definition->spec.names.plural),
        .kind = arena_str(&kind->arena, definition->spec.names.kind),
        .namespaced = is_namespaced(definition),
        .served = true,
        .verbs = VERB_GET | VERB_LIST | VERB_WATCH | VERB_PATCH | VERB_DELETE,
        .type = &type_metadata_only,
        .storage = resource,
    };
    if (kind->definition.data && resource->group.data && resource->version.data && resource->plural.data &&
        resource->kind.data)
        return kind;
    return kind_free(kind);
}

/* The kind of that definition, perhaps one that had gone; a new one otherwise. Locked for writing. */
static struct kind *find_or_add(struct custom_kinds *kinds, struct str name,
                                const struct custom_resource_definition *definition)
{
    struct kind *kind;

    vec_each (&kinds->items, it)
        if (fits(*it, name, definition))
            return *it;
    kind = kind_new(name, definition);
    if (kind && vec_push(&kinds->items, kind) < 0)
        kind = kind_free(kind);
    return kind;
}

static int start(struct custom_kinds *kinds, struct kind *kind, struct err *err)
{
    const struct informer_handler handler = { kinds->options.ctx, kinds->options.changed };
    AUTO(informers) informers = NULL;
    struct informer *informer;
    int code = informers_new(kinds->options.client, kinds->options.executor, kinds->options.rng, &informers, err);

    if (code == 0)
        code = informers_get(informers, &kind->resource, STR_NULL, &informer, err);
    if (code == 0)
        code = informer_add_handler(informer, &handler, err);
    if (code == 0)
        code = informers_start(informers, err);
    if (code < 0)
        return err_wrap(err, code, "watching " STR_FMT, STR_ARG(kind->definition));
    kind->informer = informer;
    kind->informers = TAKE(informers);
    return 0;
}

/* -- with definitions -- */

static int tell_all_gone(struct custom_kinds *kinds, struct informer *informer, struct err *err)
{
    AUTO(arena) arena = arena_new(0);
    struct object_list list = { 0 };
    int code = arena ? informer_list(informer, STR_NULL, arena, &list, err) : err_set(err, ERR_NO_MEMORY, "kinds");

    for (size_t i = 0; i < list.count; i++)
        kinds->options.changed(kinds->options.ctx, list.items[i], NULL);
    object_list_release(&list);
    return code;
}

/* Takes what is running for that definition out of sight, but for `but`. */
static struct informers *take_running(struct custom_kinds *kinds, struct str name, const struct kind *but,
                                      struct informer **ret_informer)
{
    struct informers *informers = NULL;

    rwlock_write(&kinds->lock);
    vec_each (&kinds->items, kind)
        if (*kind != but && str_eq((*kind)->definition, name) && (*kind)->informers && !kinds->stopped) {
            informers = TAKE((*kind)->informers);
            *ret_informer = TAKE((*kind)->informer);
            break;
        }
    rwlock_unlock(&kinds->lock);
    return informers;
}

static int end_others(struct custom_kinds *kinds, struct str name, const struct kind *but, struct err *err)
{
    struct informers *informers;
    struct informer *informer;
    int code = 0;

    while (code == 0 && (informers = take_running(kinds, name, but, &informer))) {
        informers_stop(informers);
        code = tell_all_gone(kinds, informer, err);
        informers_free(informers);
    }
    return code;
}

int custom_kinds_sync(struct custom_kinds *kinds, struct str name, const struct object *definition, bool *ret_new,
                      struct err *err)
{
    const struct custom_resource_definition *wanted =
        definition ? OBJECT_VIEW(definition, custom_resource_definition) : NULL;
    struct kind *kind = NULL;
    int code = 0;

    *ret_new = false;
    if (wanted && is_established(wanted) && storage_version(wanted).data) {
        rwlock_write(&kinds->lock);
        bool stopped = kinds->stopped;

        if (!stopped && !(kind = find_or_add(kinds, name, wanted))) {
            code = err_set(err, ERR_NO_MEMORY, "custom kinds");
        } else if (!stopped && !kind->informers) {
            code = start(kinds, kind, err);
            *ret_new = code == 0;
        }
        rwlock_unlock(&kinds->lock);
    } else if (wanted) {
        return 0;
    }
    return code == 0 ? end_others(kinds, name, kind, err) : code;
}

/* -- look-ups -- */

static bool is_meant(const struct resource *resource, const struct owner_reference *reference)
{
    ssize_t slash = str_chr(reference->api_version, '/');

    return slash >= 0 && str_eq(reference->kind, resource->kind) &&
           str_eq(str_first(reference->api_version, (size_t)slash), resource->group);
}

const struct resource *custom_kinds_owner(struct custom_kinds *kinds, const struct owner_reference *reference)
{
    const struct resource *found = NULL;

    rwlock_read(&kinds->lock);
    vec_each (&kinds->items, kind)
        if (is_meant(&(*kind)->resource, reference) && (!found || (*kind)->informers))
            found = &(*kind)->resource;
    rwlock_unlock(&kinds->lock);
    return found;
}

int custom_kinds_row(struct custom_kinds *kinds, const struct resource *resource)
{
    int row = -1;

    rwlock_read(&kinds->lock);
    for (size_t i = 0; i < kinds->items.count && row < 0; i++)
        if (&kinds->items.items[i]->resource == resource)
            row = (int)i;
    rwlock_unlock(&kinds->lock);
    return row;
}

const struct resource *custom_kinds_resource(struct custom_kinds *kinds, int row)
{
    const struct resource *resource = NULL;

    rwlock_read(&kinds->lock);
    if (row >= 0 && (size_t)row < kinds->items.count)
        resource = &kinds->items.items[row]->resource;
    rwlock_unlock(&kinds->lock);
    return resource;
}

struct object *custom_kinds_get(struct custom_kinds *kinds, int row, struct str key)
{
    struct object *object = NULL;

    rwlock_read(&kinds->lock);
    if (row >= 0 && (size_t)row < kinds->items.count && kinds->items.items[row]->informer)
        object = informer_get(kinds->items.items[row]->informer, key);
    rwlock_unlock(&kinds->lock);
    return object;
}
