/* openapi_schema.c - components/schemas from the tables, in the shape that kube-openapi publishes: structs are referred
 * to, those held by value default to {}; scalars with a name of their own (Time, Quantity, ...) too; structs of dynamic
 * types stand in place. */
#include "schema/openapi_internal.h"
#include "schema/walk.h"

/* Scalars that Kubernetes publishes under a name. */
#define UTIL_PACKAGE "io.k8s.apimachinery.pkg."
static const struct component named_time = {
    .name = STR_INIT(META_PACKAGE "Time"),
    .text = STR_INIT("{\"description\":\"A moment as RFC 3339 text, in UTC, to the second.\","
                     "\"format\":\"date-time\",\"type\":\"string\"}"),
};
static const struct component named_micro_time = {
    .name = STR_INIT(META_PACKAGE "MicroTime"),
    .text = STR_INIT("{\"description\":\"A moment as RFC 3339 text, in UTC, to the microsecond.\","
                     "\"format\":\"date-time\",\"type\":\"string\"}"),
};
static const struct component named_quantity = {
    .name = STR_INIT(UTIL_PACKAGE "api.resource.Quantity"),
    .text =
        STR_INIT("{\"description\":\"An amount: a decimal number with an optional suffix, decimal (m, k, M, G, T, P, "
                 "E), binary (Ki, Mi, Gi, Ti, Pi, Ei) or an exponent (e3).\",\"oneOf\":[{\"type\":\"string\"},"
                 "{\"type\":\"number\"}]}"),
};
static const struct component named_int_or_string = {
    .name = STR_INIT(UTIL_PACKAGE "util.intstr.IntOrString"),
    .text = STR_INIT("{\"description\":\"A 32-bit integer or a string, such as a port's number or name, a count or a "
                     "percentage.\",\"format\":\"int-or-string\",\"oneOf\":[{\"type\":\"integer\"},"
                     "{\"type\":\"string\"}]}"),
};
static const struct component named_raw = {
    .name = STR_INIT(UTIL_PACKAGE "runtime.RawExtension"),
    .text = STR_INIT("{\"description\":\"Any JSON object, kept as it is.\",\"type\":\"object\"}"),
};
static const struct component named_fields = {
    .name = STR_INIT(META_PACKAGE "FieldsV1"),
    .text = STR_INIT("{\"description\":\"A set of fields as nested members: f:<name>, k:<keys of a list element>, "
                     "v:<value>, i:<index>, and . for the item itself.\",\"type\":\"object\"}"),
};
static const struct component named_patch = {
    .name = STR_INIT(META_PACKAGE "Patch"),
    .text = STR_INIT("{\"description\":\"The body of a PATCH request.\",\"type\":\"object\"}"),
};

/* --- what is referred to --- */

static struct str use(struct openapi *o, struct component component)
{
    if (!component.name.data)
        o->failed = true;
    if (o->failed || map_get(&o->seen, component.name))
        return component.name;
    if (vec_push(&o->components, component) < 0 || map_put(&o->seen, component.name, o, NULL) < 0)
        o->failed = true;
    return component.name;
}

struct str openapi_use_type(struct openapi *o, const struct type *type)
{
    return use(o, (struct component){ .name = type->name, .type = type });
}

struct str openapi_use_meta(struct openapi *o, struct str name)
{
    const struct type *type;
    struct str full;

    if (str_is(name, "Patch"))
        return use(o, named_patch);
    full = arena_printf(&o->arena, META_PACKAGE STR_FMT, STR_ARG(name));
    type = full.data ? api_type(full) : NULL;
    return type ? openapi_use_type(o, type) : STR_NULL;
}

/* "stable.example.com", "v1", "CronTab" is com.example.stable.v1.CronTab. */
static struct str custom_name(struct openapi *o, const struct resource *resource, const char *suffix)
{
    struct str group = resource->group, name = STR("");
    ssize_t dot;

    while ((dot = str_rchr(group, '.')) >= 0) {
        name = arena_printf(&o->arena, STR_FMT STR_FMT ".", STR_ARG(name), STR_ARG(str_skip(group, (size_t)dot + 1)));
        group = str_first(group, (size_t)dot);
    }
    return arena_printf(&o->arena, STR_FMT STR_FMT "." STR_FMT "." STR_FMT "%s", STR_ARG(name), STR_ARG(group),
                        STR_ARG(resource->version), STR_ARG(resource->kind), suffix);
}

struct str openapi_use_resource(struct openapi *o, const struct resource *resource, bool list)
{
    struct str name = resource->type->name;
    const struct type *list_type;

    if (!list)
        return use(o, (struct component){ .name = name.len ? name : custom_name(o, resource, ""),
                                          .type = resource->type,
                                          .resource = resource });
    openapi_use_resource(o, resource, false);
    name = name.len ? arena_printf(&o->arena, STR_FMT "List", STR_ARG(name)) : custom_name(o, resource, "List");
    list_type = name.data ? api_type(name) : NULL;
    return list_type ? openapi_use_type(o, list_type)
                     : use(o, (struct component){ .name = name, .resource = resource });
}

struct str openapi_use_kind(struct openapi *o, struct str group, struct str version, struct str kind)
{
    for (size_t i = 0; i < api_type_count; i++) {
        const struct type *type = api_types[i];

        if (str_eq(type->kind_name, kind) && str_eq(type->group, group) && str_eq(type->version, version))
            return openapi_use_type(o, type);
    }
    return STR_NULL;
}

void openapi_write_ref(struct openapi *o, struct str name)
{
    jw_begin_object(&o->w);
    if (name.data)
        jw_field_str(&o->w, "$ref", arena_printf(&o->arena, "#/components/schemas/" STR_FMT, STR_ARG(name)));
    jw_end_object(&o->w);
}

void openapi_write_gvk(struct openapi *o, struct str group, struct str version, struct str kind)
{
    jw_begin_object(&o->w);
    jw_field_str(&o->w, "group", group);
    jw_field_str(&o->w, "kind", kind);
    jw_field_str(&o->w, "version", version);
    jw_end_object(&o->w);
}

/* --- schemas --- */

static void write_type(struct openapi *o, const struct type *type, const struct field *field, bool by_value);
static void write_fields(struct openapi *o, const struct type *type);

static void write_strings(struct openapi *o, const struct str *items, size_t count)
{
    jw_begin_array(&o->w);
    for (size_t i = 0; i < count; i++)
        jw_str(&o->w, items[i]);
    jw_end_array(&o->w);
}

static int str_order(const void *a, const void *b)
{
    return str_cmp(*(const struct str *)a, *(const struct str *)b);
}

static void write_enum(struct openapi *o, const struct field *field)
{
    struct str *values;

    if (!field || field->enum_count == 0 || field->flags & FIELD_ENUM_OPEN)
        return;
    values = arena_array_of(&o->arena, field->enum_count, struct str);
    if (!values)
        return;
    memcpy(values, field->enum_values, field->enum_count * sizeof *values);
    qsort(values, field->enum_count, sizeof *values, str_order);
    jw_key(&o->w, STR("enum"));
    write_strings(o, values, field->enum_count);
}

static void write_kind(struct openapi *o, struct str type, struct str format)
{
    if (format.data)
        jw_field_str(&o->w, "format", format);
    jw_field_str(&o->w, "type", type);
}

static void write_all_of(struct openapi *o, struct str name)
{
    jw_key(&o->w, STR("allOf"));
    jw_begin_array(&o->w);
    openapi_write_ref(o, name);
    jw_end_array(&o->w);
}

static void write_struct(struct openapi *o, const struct type *type, bool by_value)
{
    if (type_is_dynamic(type) && type->name.len == 0) {
        write_fields(o, type);
        return;
    }
    write_all_of(o, openapi_use_type(o, type));
    if (by_value) {
        jw_key(&o->w, STR("default"));
        jw_raw(&o->w, STR("{}"));
    }
}

/* The element of a list, or the value in a map. */
static void write_element(struct openapi *o, const struct type *type, const struct field *field)
{
    jw_begin_object(&o->w);
    write_type(o, type, field, true);
    if (type->kind == TYPE_STRING)
        jw_field_str(&o->w, "default", STR(""));
    jw_end_object(&o->w);
}

/* Objects, but for the schemas within a CustomResourceDefinition and what a schema leaves open: these may be anything.
 */
static void write_any(struct openapi *o, const struct field *field)
{
    if (type_is_dynamic(o->owner) || str_has_prefix(o->owner->name, STR("io.k8s.apiextensions-apiserver.")))
        jw_field_bool(&o->w, "x-kubernetes-preserve-unknown-fields", true);
    else
        write_all_of(o, use(o, field && str_is(field->name, "fieldsV1") ? named_fields : named_raw));
}

/* The members that say what a value is. */
static void write_type(struct openapi *o, const struct type *type, const struct field *field, bool by_value)
{
    switch (type->kind) {
    case TYPE_STRING:
        write_enum(o, field);
        write_kind(o, STR("string"), STR_NULL);
        return;
    case TYPE_BYTES: write_kind(o, STR("string"), STR("byte")); return;
    case TYPE_BOOL: write_kind(o, STR("boolean"), STR_NULL); return;
    case TYPE_INT32: write_kind(o, STR("integer"), STR("int32")); return;
    case TYPE_INT64: write_kind(o, STR("integer"), STR("int64")); return;
    case TYPE_DOUBLE: write_kind(o, STR("number"), STR("double")); return;
    case TYPE_TIME: write_all_of(o, use(o, named_time)); return;
    case TYPE_MICRO_TIME: write_all_of(o, use(o, named_micro_time)); return;
    case TYPE_QUANTITY: write_all_of(o, use(o, named_quantity)); return;
    case TYPE_INT_OR_STRING: write_all_of(o, use(o, named_int_or_string)); return;
    case TYPE_ANY: write_any(o, field); return;
    case TYPE_STRUCT: write_struct(o, type, by_value); return;
    case TYPE_LIST:
        jw_key(&o->w, STR("items"));
        write_element(o, type->elem, field);
        write_kind(o, STR("array"), STR_NULL);
        return;
    case TYPE_MAP:
        jw_key(&o->w, STR("additionalProperties"));
        write_element(o, type->elem, NULL);
        write_kind(o, STR("object"), STR_NULL);
        return;
    }
}

/* Declared ones, and Go's zero value where a scalar is always written. */
static void write_default(struct openapi *o, const struct field *field)
{
    uint32_t zero = FIELD_REQUIRED | FIELD_ALWAYS;
    struct str text = field->default_json;

    if (!text.data && (field->flags & zero) == zero) {
        if (field->type->kind == TYPE_STRING)
            text = STR("\"\"");
        else if (field->type->kind == TYPE_BOOL)
            text = STR("false");
        else if (field->type->kind >= TYPE_INT32 && field->type->kind <= TYPE_DOUBLE)
            text = STR("0");
    }
    if (!text.data)
        return;
    jw_key(&o->w, STR("default"));
    jw_raw(&o->w, text);
}

static void write_patch(struct openapi *o, const struct field *field)
{
    static const struct {
        uint32_t flags;
        struct str strategy;
    } strategies[] = {
        { FIELD_PATCH_MERGE | FIELD_PATCH_RETAIN_KEYS, STR_INIT("merge,retainKeys") },
        { FIELD_PATCH_MERGE, STR_INIT("merge") },
        { FIELD_PATCH_RETAIN_KEYS, STR_INIT("retainKeys") },
        { FIELD_PATCH_REPLACE, STR_INIT("replace") },
    };

    if (field->merge_key.len > 0)
        jw_field_str(&o->w, "x-kubernetes-patch-merge-key", field->merge_key);
    for (size_t i = 0; i < ARRAY_LEN(strategies); i++) {
        if ((field->flags & strategies[i].flags) != strategies[i].flags)
            continue;
        jw_field_str(&o->w, "x-kubernetes-patch-strategy", strategies[i].strategy);
        return;
    }
}

static void write_list_kind(struct openapi *o, const struct field *field)
{
    static const struct str kinds[] = {
        [LIST_ATOMIC] = STR_INIT("atomic"),
        [LIST_SET] = STR_INIT("set"),
        [LIST_MAP] = STR_INIT("map"),
    };

    if (field->list_kind == LIST_NONE)
        return;
    if (field->list_kind == LIST_MAP) {
        jw_key(&o->w, STR("x-kubernetes-list-map-keys"));
        write_strings(o, field->list_map_keys, field->list_map_key_count);
    }
    jw_field_str(&o->w, "x-kubernetes-list-type", kinds[field->list_kind]);
}

static void write_property(struct openapi *o, const struct field *field)
{
    jw_key(&o->w, field->name);
    jw_begin_object(&o->w);
    write_type(o, field->type, field, field->flags & FIELD_INLINE);
    if (!(field->type->kind == TYPE_STRUCT && field->flags & FIELD_INLINE))
        write_default(o, field);
    if (field->doc.len > 0)
        jw_field_str(&o->w, "description", field->doc);
    write_list_kind(o, field);
    if (field->map_atomic)
        jw_field_str(&o->w, "x-kubernetes-map-type", STR("atomic"));
    else if (field->flags & FIELD_MAP_GRANULAR)
        jw_field_str(&o->w, "x-kubernetes-map-type", STR("granular"));
    write_patch(o, field);
    jw_end_object(&o->w);
}

/* The members of an object's schema, without its braces. */
static void write_fields(struct openapi *o, const struct type *type)
{
    const struct type *outer = o->owner;
    bool required = false;

    o->owner = type;
    if (type->doc.len > 0)
        jw_field_str(&o->w, "description", type->doc);
    if (type->field_count > 0) {
        jw_key(&o->w, STR("properties"));
        jw_begin_object(&o->w);
        for (uint32_t i = 0; i < type->field_count; i++)
            write_property(o, &type->fields[i]);
        jw_end_object(&o->w);
    }
    for (uint32_t i = 0; i < type->field_count; i++) {
        if (!(type->fields[i].flags & FIELD_REQUIRED))
            continue;
        if (!required) {
            jw_key(&o->w, STR("required"));
            jw_begin_array(&o->w);
        }
        jw_str(&o->w, type->fields[i].name);
        required = true;
    }
    if (required)
        jw_end_array(&o->w);
    jw_field_str(&o->w, "type", STR("object"));
    if (type->atomic)
        jw_field_str(&o->w, "x-kubernetes-map-type", STR("atomic"));
    if (type->preserve_unknown)
        jw_field_bool(&o->w, "x-kubernetes-preserve-unknown-fields", true);
    o->owner = outer;
}

static void write_gvk_list(struct openapi *o, struct str group, struct str version, struct str kind)
{
    jw_key(&o->w, STR("x-kubernetes-group-version-kind"));
    jw_begin_array(&o->w);
    openapi_write_gvk(o, group, version, kind);
    jw_end_array(&o->w);
}

/* The list kind of a custom resource. */
static void write_made_list(struct openapi *o, const struct resource *resource)
{
    struct str item = openapi_use_resource(o, resource, false), meta = openapi_use_meta(o, STR("ListMeta"));

    jw_field_str(&o->w, "description", arena_printf(&o->arena, "A list of " STR_FMT ".", STR_ARG(resource->kind)));
    jw_key(&o->w, STR("properties"));
    jw_begin_object(&o->w);
    jw_key(&o->w, STR("apiVersion"));
    jw_raw(&o->w, STR("{\"type\":\"string\"}"));
    jw_key(&o->w, STR("items"));
    jw_begin_object(&o->w);
    jw_key(&o->w, STR("items"));
    openapi_write_ref(o, item);
    jw_field_str(&o->w, "type", STR("array"));
    jw_end_object(&o->w);
    jw_key(&o->w, STR("kind"));
    jw_raw(&o->w, STR("{\"type\":\"string\"}"));
    jw_key(&o->w, STR("metadata"));
    jw_begin_object(&o->w);
    write_all_of(o, meta);
    jw_end_object(&o->w);
    jw_end_object(&o->w);
    jw_key(&o->w, STR("required"));
    jw_raw(&o->w, STR("[\"items\"]"));
    jw_field_str(&o->w, "type", STR("object"));
    write_gvk_list(o, resource->group, resource->version, resource->list_kind);
}

/* A custom resource's schema is published as it was written; what every object has is added. */
static void write_custom(struct openapi *o, const struct json *schema)
{
    const struct json *properties = json_member(schema, "properties");

    for (uint32_t i = 0; i < schema->count; i++) {
        if (str_is(schema->members[i].key, "properties"))
            continue;
        jw_key(&o->w, schema->members[i].key);
        jw_json(&o->w, &schema->members[i].value);
    }
    jw_key(&o->w, STR("properties"));
    jw_begin_object(&o->w);
    jw_key(&o->w, STR("apiVersion"));
    jw_raw(&o->w, STR("{\"description\":\"The group and version of this object's schema.\",\"type\":\"string\"}"));
    jw_key(&o->w, STR("kind"));
    jw_raw(&o->w, STR("{\"description\":\"The kind of object that this is.\",\"type\":\"string\"}"));
    jw_key(&o->w, STR("metadata"));
    jw_begin_object(&o->w);
    jw_field_str(&o->w, "description", STR("Standard object's metadata."));
    write_all_of(o, openapi_use_meta(o, STR("ObjectMeta")));
    jw_end_object(&o->w);
    for (uint32_t i = 0; properties && i < properties->count; i++) {
        const struct json_member *member = &properties->members[i];

        if (str_is(member->key, "apiVersion") || str_is(member->key, "kind") || str_is(member->key, "metadata"))
            continue;
        jw_key(&o->w, member->key);
        jw_json(&o->w, &member->value);
    }
    jw_end_object(&o->w);
}

static void write_component(struct openapi *o, const struct component *component)
{
    const struct resource *resource = component->resource;
    const struct type *type = component->type;

    jw_key(&o->w, component->name);
    if (component->text.data) {
        jw_raw(&o->w, component->text);
        return;
    }
    jw_begin_object(&o->w);
    if (!type) {
        write_made_list(o, resource);
    } else {
        if (type->schema_json)
            write_custom(o, type->schema_json);
        else
            write_fields(o, type);
        if (resource)
            write_gvk_list(o, resource->group, resource->version, resource->kind);
        else if (type->kind_name.len > 0)
            write_gvk_list(o, type->group, type->version, type->kind_name);
    }
    jw_end_object(&o->w);
}

/* In the order in which they are first referred to; writing one may add others at the end. */
void openapi_write_components(struct openapi *o)
{
    jw_begin_object(&o->w);
    jw_key(&o->w, STR("schemas"));
    jw_begin_object(&o->w);
    for (size_t i = 0; i < o->components.count && !o->failed; i++) {
        struct component component = o->components.items[i];

        write_component(o, &component);
    }
    jw_end_object(&o->w);
    jw_key(&o->w, STR("securitySchemes"));
    jw_raw(&o->w, STR("{\"BearerToken\":{\"description\":\"Bearer token\",\"in\":\"header\",\"name\":\"authorization\","
                      "\"type\":\"apiKey\"}}"));
    jw_end_object(&o->w);
}
