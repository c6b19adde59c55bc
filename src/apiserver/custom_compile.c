/* custom_compile.c - from a CustomResourceDefinition to rows of the resource table.
 *
 * Every served version gets a struct resource with a type made from its schema. All share one hidden row for the stored
 * form: as it is none of those that are asked for, every answer goes through convert_object(), which writes the version
 * asked for, prunes and defaults; so a definition may change its schema or its stored version under the objects. */
#include "apiserver/custom_internal.h"
#include "schema/structural.h"

#define CUSTOM_ARENA (64u << 20)
#define ALL_VERBS \
    (VERB_GET | VERB_LIST | VERB_WATCH | VERB_CREATE | VERB_UPDATE | VERB_PATCH | VERB_DELETE | VERB_DELETE_COLLECTION)

static int no_memory(struct err *err)
{
    return err_set(err, ERR_NO_MEMORY, "custom resource");
}

static struct custom *custom_free(struct custom *custom)
{
    if (!custom)
        return NULL;
    arena_deinit(&custom->arena);
    free(custom);
    return NULL;
}
DEFINE_AUTO(custom, custom_free)

struct custom *custom_ref(struct custom *custom)
{
    if (custom)
        atomic_fetch_add_explicit(&custom->refs, 1, memory_order_relaxed);
    return custom;
}

struct custom *custom_unref(struct custom *custom)
{
    if (custom && atomic_fetch_sub_explicit(&custom->refs, 1, memory_order_acq_rel) == 1)
        custom_free(custom);
    return NULL;
}

/* -- parts of a version -- */

static const struct str *make_strings(struct arena *arena, const struct json *list, uint8_t *ret_count)
{
    uint32_t count = json_is(list, JSON_ARRAY) ? MIN(list->count, UINT8_MAX) : 0;
    struct str *strings = arena_array_of(arena, count + 1, struct str);

    for (uint32_t i = 0; strings && i < count; i++)
        strings[i] = json_str(&list->items[i]);
    *ret_count = (uint8_t)count;
    return strings;
}

/* Name comes first; without columns of its own a resource has the usual two. */
static bool make_columns(struct arena *arena, const struct json *list, struct resource *resource)
{
    uint32_t count = json_is(list, JSON_ARRAY) ? MIN(list->count, UINT8_MAX - 1) : 0;
    struct column *columns = arena_array_of(arena, count + 1, struct column);

    if (!columns)
        return false;
    columns[0] = (struct column){ .name = STR("Name"),
                                  .type = STR("string"),
                                  .format = STR("name"),
                                  .doc = STR("Name must be unique within a namespace."),
                                  .path = STR(".metadata.name") };
    for (uint32_t i = 0; i < count; i++) {
        const struct json *item = &list->items[i];

        columns[i + 1] =
            (struct column){ .name = json_str(json_member(item, "name")),
                             .type = json_str(json_member(item, "type")),
                             .format = json_str(json_member(item, "format")),
                             .doc = json_str(json_member(item, "description")),
                             .path = json_str(json_member(item, "jsonPath")),
                             .priority = (uint8_t)MIN(MAX(json_int(json_member(item, "priority"), 0), 0), 255) };
    }
    resource->columns = columns;
    resource->column_count = count ? (uint8_t)(count + 1) : 0;
    return true;
}

/* ".spec.replicas" is "spec.replicas" to json_at(). */
static const char *make_path(struct arena *arena, const struct json *scale, const char *name)
{
    struct str path = json_str(json_get(scale, str_from(name)));

    return path.len > 1 ? arena_cstr(arena, str_skip(path, 1)) : NULL;
}

static bool make_scale(struct arena *arena, const struct json *scale, struct resource *resource)
{
    struct scale_paths *paths = arena_new_of(arena, struct scale_paths);

    if (!paths)
        return false;
    paths->spec_replicas = make_path(arena, scale, "specReplicasPath");
    paths->status_replicas = make_path(arena, scale, "statusReplicasPath");
    paths->selector = make_path(arena, scale, "labelSelectorPath");
    resource->scale = paths;
    return paths->spec_replicas && paths->status_replicas;
}

static bool make_subresources(struct arena *arena, const struct json *json, struct resource *resource)
{
    const struct json *scale = json_member(json, "scale");
    struct subresource *subs = arena_array_of(arena, 2, struct subresource);
    uint8_t count = 0;

    if (!subs)
        return false;
    if (json_is(scale, JSON_OBJECT)) {
        if (!make_scale(arena, scale, resource))
            return false;
        subs[count++] = (struct subresource){ .name = STR("scale"),
                                              .verbs = VERB_GET | VERB_PATCH | VERB_UPDATE,
                                              .group = STR("autoscaling"),
                                              .version = STR("v1"),
                                              .kind = STR("Scale") };
    }
    if (json_is(json_member(json, "status"), JSON_OBJECT))
        subs[count++] = (struct subresource){ .name = STR("status"),
                                              .verbs = VERB_GET | VERB_PATCH | VERB_UPDATE,
                                              .group = resource->group,
                                              .version = resource->version,
                                              .kind = resource->kind };
    resource->subresources = subs;
    resource->subresource_count = count;
    return true;
}

static bool make_selectable(struct arena *arena, const struct json *list, struct resource *resource)
{
    uint32_t count = json_is(list, JSON_ARRAY) ? MIN(list->count, UINT8_MAX) : 0;
    struct str *fields = arena_array_of(arena, count + 1, struct str);

    for (uint32_t i = 0; fields && i < count; i++)
        fields[i] = str_skip(json_str(json_member(&list->items[i], "jsonPath")), 1);
    resource->selectable = fields;
    resource->selectable_count = (uint8_t)count;
    return fields;
}

static int make_resource(struct custom *custom, const struct json *definition, const struct json *version,
                         struct resource *resource, struct err *err)
{
    static const struct json open = { .kind = JSON_OBJECT };
    struct arena *arena = &custom->arena;
    const struct json *spec = json_member(definition, "spec"), *names = json_at(definition, "status.acceptedNames");
    const struct json *schema = json_at(version, "schema.openAPIV3Schema");
    int code;

    if (str_empty(json_str(json_member(names, "plural"))))
        names = json_member(spec, "names");
    *resource = (struct resource){ .group = json_str(json_member(spec, "group")),
                                   .version = json_str(json_member(version, "name")),
                                   .plural = json_str(json_member(names, "plural")),
                                   .singular = json_str(json_member(names, "singular")),
                                   .kind = json_str(json_member(names, "kind")),
                                   .list_kind = json_str(json_member(names, "listKind")),
                                   .namespaced = str_is(json_str(json_member(spec, "scope")), "Namespaced"),
                                   .served = json_bool(json_member(version, "served"), false),
                                   .verbs = custom->terminating ? ALL_VERBS & ~(uint32_t)VERB_CREATE : ALL_VERBS,
                                   .storage = custom->storage };
    if (json_bool(json_member(version, "deprecated"), false)) {
        resource->deprecation = json_str(json_member(version, "deprecationWarning"));
        if (str_empty(resource->deprecation))
            resource->deprecation =
                arena_printf(arena, STR_FMT "/" STR_FMT " " STR_FMT " is deprecated", STR_ARG(resource->group),
                             STR_ARG(resource->version), STR_ARG(resource->kind));
    }
    resource->short_names = make_strings(arena, json_member(names, "shortNames"), &resource->short_name_count);
    resource->categories = make_strings(arena, json_member(names, "categories"), &resource->category_count);
    resource->store_prefix = arena_printf(arena, "/registry/" STR_FMT "/" STR_FMT "/", STR_ARG(resource->group),
                                          STR_ARG(json_str_at(spec, "names.plural")));
    if (!make_columns(arena, json_member(version, "additionalPrinterColumns"), resource) ||
        !make_subresources(arena, json_member(version, "subresources"), resource) ||
        !make_selectable(arena, json_member(version, "selectableFields"), resource))
        return no_memory(err);
    code = structural_type(arena, json_is(schema, JSON_OBJECT) ? schema : &open, resource->group, resource->version,
                           resource->kind, &resource->type, err);
    if (code == 0 && arena_failed(arena))
        return no_memory(err);
    return code;
}

/* -- order of versions: v2, v1, v1beta2, v1beta1, v1alpha1, others by name -- */

struct version_rank {
    int stage; /* 3: stable, 2: beta, 1: alpha, 0: another form */
    uint64_t major, minor;
};

static struct str digits_of(struct str text)
{
    size_t n = 0;

    while (n < text.len && text.data[n] >= '0' && text.data[n] <= '9')
        n++;
    return str_first(text, n);
}

static struct version_rank rank_of(struct str version)
{
    struct version_rank rank = { 0 };
    struct str rest, major, minor;

    if (!str_has_prefix(version, STR("v")))
        return rank;
    major = digits_of(str_skip(version, 1));
    if (str_empty(major) || !str_to_u64(major, &rank.major))
        return rank;
    rest = str_skip(version, 1 + major.len);
    if (str_empty(rest)) {
        rank.stage = 3;
        return rank;
    }
    rank.stage = str_has_prefix(rest, STR("beta")) ? 2 : str_has_prefix(rest, STR("alpha")) ? 1 : 0;
    minor = rank.stage ? str_skip(rest, rank.stage == 2 ? 4 : 5) : STR("");
    if (str_empty(minor) || digits_of(minor).len != minor.len || !str_to_u64(minor, &rank.minor))
        return (struct version_rank){ 0 };
    return rank;
}

int custom_by_preference(const void *a, const void *b)
{
    const struct resource *left = a, *right = b;
    struct version_rank x = rank_of(left->version), y = rank_of(right->version);

    if (x.stage != y.stage)
        return y.stage - x.stage;
    if (x.major != y.major)
        return x.major < y.major ? 1 : -1;
    if (x.minor != y.minor)
        return x.minor < y.minor ? 1 : -1;
    return str_cmp(left->version, right->version);
}

/* -- the whole -- */

static bool condition_is_true(const struct json *definition, const char *type)
{
    const struct json *list = json_at(definition, "status.conditions");

    for (uint32_t i = 0; json_is(list, JSON_ARRAY) && i < list->count; i++)
        if (str_is(json_str(json_member(&list->items[i], "type")), type))
            return str_is(json_str(json_member(&list->items[i], "status")), "True");
    return false;
}

static int make_resources(struct custom *custom, const struct json *definition, struct err *err)
{
    const struct json *versions = json_at(definition, "spec.versions");
    bool stored = false;

    if (!json_is(versions, JSON_ARRAY))
        return err_set(err, ERR_INVALID, "it has no versions");
    custom->storage = arena_new_of(&custom->arena, struct resource);
    custom->resources = arena_array_of(&custom->arena, versions->count + 1, struct resource);
    if (!custom->storage || !custom->resources)
        return no_memory(err);
    for (uint32_t i = 0; i < versions->count; i++) {
        const struct json *version = &versions->items[i];
        struct resource *resource = &custom->resources[custom->count];
        int code = make_resource(custom, definition, version, resource, err);

        if (code < 0)
            return code;
        if (json_bool(json_member(version, "storage"), false)) {
            *custom->storage = *resource;
            custom->storage->storage = custom->storage;
            stored = true;
        }
        custom->count += resource->served;
    }
    if (!stored)
        return err_set(err, ERR_INVALID, "no version is stored");
    qsort(custom->resources, custom->count, sizeof *custom->resources, custom_by_preference);
    return 0;
}

int custom_compile(const struct json *definition, uint64_t revision, struct custom **ret_custom, struct err *err)
{
    AUTO(custom) custom = calloc(1, sizeof *custom);
    struct json *copy;
    int code;

    if (!custom)
        return no_memory(err);
    atomic_init(&custom->refs, 1);
    arena_init(&custom->arena, CUSTOM_ARENA);
    if (!(copy = json_copy(&custom->arena, definition)))
        return no_memory(err);
    custom->name = json_str_at(copy, "metadata.name");
    custom->revision = revision;
    custom->established = condition_is_true(copy, "Established");
    custom->terminating = json_at(copy, "metadata.deletionTimestamp") != NULL;
    if ((code = make_resources(custom, copy, err)) < 0)
        return err_wrap(err, code, "definition " STR_FMT, STR_ARG(custom->name));
    *ret_custom = TAKE(custom);
    return 0;
}
