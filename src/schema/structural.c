/* structural.c - from a JSON schema to a type and a compiled schema.
 *
 * Each node of the schema is one struct schema and, where it describes structure (not below allOf, anyOf, oneOf and
 * not), one struct type. Scalars share the types of built-in kinds; structs have size 0, which is what makes them
 * dynamic: object_normalize() prunes but does not judge the kinds of values, as schema_check_value() does that.
 * Patterns are compiled by PCRE2 into the arena, so that nothing needs to be freed one by one. */
#include "schema/structural.h"

#include "schema/structural_internal.h"

#define OBJECT_META STR("io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta")
#define PATTERN_MAX 65536

static int no_memory(struct err *err)
{
    return err_set(err, ERR_NO_MEMORY, "schema of a custom resource");
}

static bool flag(const struct json *json, const char *name)
{
    return json_bool(json_get(json, str_from(name)), false);
}

static const struct json *member_of(const struct json *json, const char *name, enum json_kind kind)
{
    const struct json *member = json_get(json, str_from(name));

    return json_is(member, kind) ? member : NULL;
}

enum schema_kind schema_kind_of(struct str type)
{
    static const struct {
        struct str name;
        enum schema_kind kind;
    } kinds[] = {
        { STR_INIT("boolean"), SCHEMA_BOOLEAN }, { STR_INIT("integer"), SCHEMA_INTEGER },
        { STR_INIT("number"), SCHEMA_NUMBER },   { STR_INIT("string"), SCHEMA_STRING },
        { STR_INIT("array"), SCHEMA_ARRAY },     { STR_INIT("object"), SCHEMA_OBJECT },
    };

    for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
        if (str_eq(kinds[i].name, type))
            return kinds[i].kind;
    return SCHEMA_ANY;
}

/* -- patterns -- */

static void *pattern_alloc(size_t size, void *arena)
{
    return arena_alloc(arena, size);
}

static void pattern_free(void *memory, void *arena)
{
    (void)memory;
    (void)arena;
}

const pcre2_code *schema_pattern(struct arena *arena, struct str text, char *ret_problem, size_t problem_size)
{
    pcre2_general_context *memory = pcre2_general_context_create(pattern_alloc, pattern_free, arena);
    pcre2_compile_context *context = memory ? pcre2_compile_context_create(memory) : NULL;
    pcre2_code *code;
    int problem = 0;
    PCRE2_SIZE at = 0;

    if (!context)
        return NULL;
    pcre2_set_max_pattern_length(context, PATTERN_MAX);
    /* "$" is the end of the text, as for those who wrote the pattern, not also before a last line end. */
    code = pcre2_compile((PCRE2_SPTR)(text.data ? text.data : ""), text.len, PCRE2_UTF | PCRE2_DOLLAR_ENDONLY, &problem,
                         &at, context);
    if (!code && ret_problem)
        pcre2_get_error_message(problem, (PCRE2_UCHAR *)ret_problem, problem_size);
    return code;
}

/* -- compiled schemas -- */

static bool limit_of(const struct json *json, const char *name, int64_t *ret_limit)
{
    const struct json *member = member_of(json, name, JSON_NUMBER);

    *ret_limit = member ? json_int(member, -1) : -1;
    return member;
}

static bool number_of(const struct json *json, const char *name, double *ret_number)
{
    const struct json *member = member_of(json, name, JSON_NUMBER);

    *ret_number = member ? json_double(member, 0) : 0;
    return member;
}

static bool compile_children(struct arena *arena, const struct json *json, const char *name,
                             struct schema_list *ret_list)
{
    const struct json *list = member_of(json, name, JSON_ARRAY);
    const struct schema **items;

    if (!list || list->count == 0)
        return true;
    items = arena_array_of(arena, list->count, const struct schema *);
    if (!items)
        return false;
    for (uint32_t i = 0; i < list->count; i++)
        if (!(items[i] = schema_compile(arena, &list->items[i])))
            return false;
    *ret_list = (struct schema_list){ items, list->count };
    return true;
}

static bool compile_child(struct arena *arena, const struct json *json, const char *name,
                          const struct schema **ret_child)
{
    const struct json *child = member_of(json, name, JSON_OBJECT);

    if (!child)
        return true;
    *ret_child = schema_compile(arena, child);
    return *ret_child;
}

static int property_order(const void *a, const void *b)
{
    return str_cmp(((const struct schema_property *)a)->name, ((const struct schema_property *)b)->name);
}

static bool compile_properties(struct arena *arena, const struct json *json, struct schema *schema)
{
    const struct json *list = member_of(json, "properties", JSON_OBJECT);
    struct schema_property *properties;

    if (!list || list->count == 0)
        return true;
    properties = arena_array_of(arena, list->count, struct schema_property);
    if (!properties)
        return false;
    for (uint32_t i = 0; i < list->count; i++) {
        properties[i] =
            (struct schema_property){ list->members[i].key, schema_compile(arena, &list->members[i].value) };
        if (!properties[i].schema)
            return false;
    }
    qsort(properties, list->count, sizeof *properties, property_order);
    schema->properties = properties;
    schema->property_count = list->count;
    return true;
}

static void compile_scalars(const struct json *json, struct schema *schema)
{
    struct str list_type = json_str(json_member(json, "x-kubernetes-list-type"));
    struct str format = json_str(json_member(json, "format"));

    schema->kind = schema_kind_of(json_str(json_member(json, "type")));
    schema->nullable = flag(json, "nullable");
    schema->int_or_string = flag(json, "x-kubernetes-int-or-string") || str_is(format, "int-or-string");
    schema->embedded = flag(json, "x-kubernetes-embedded-resource");
    schema->has_minimum = number_of(json, "minimum", &schema->minimum);
    schema->has_maximum = number_of(json, "maximum", &schema->maximum);
    number_of(json, "multipleOf", &schema->multiple_of);
    schema->exclusive_minimum = flag(json, "exclusiveMinimum");
    schema->exclusive_maximum = flag(json, "exclusiveMaximum");
    limit_of(json, "minLength", &schema->min_length);
    limit_of(json, "maxLength", &schema->max_length);
    limit_of(json, "minItems", &schema->min_items);
    limit_of(json, "maxItems", &schema->max_items);
    limit_of(json, "minProperties", &schema->min_properties);
    limit_of(json, "maxProperties", &schema->max_properties);
    schema->format = format;
    schema->pattern_text = json_str(json_member(json, "pattern"));
    schema->enums = member_of(json, "enum", JSON_ARRAY);
    schema->required = member_of(json, "required", JSON_ARRAY);
    schema->list_map_keys = member_of(json, "x-kubernetes-list-map-keys", JSON_ARRAY);
    schema->unique = str_is(list_type, "set") || str_is(list_type, "map");
}

const struct schema *schema_compile(struct arena *arena, const struct json *json)
{
    struct schema *schema = arena_new_of(arena, struct schema);

    if (!schema)
        return NULL;
    compile_scalars(json, schema);
    if (!str_empty(schema->pattern_text) && !(schema->pattern = schema_pattern(arena, schema->pattern_text, NULL, 0)))
        return NULL;
    if (!compile_properties(arena, json, schema) || !compile_child(arena, json, "items", &schema->items) ||
        !compile_child(arena, json, "additionalProperties", &schema->additional) ||
        !compile_child(arena, json, "not", &schema->not_) || !compile_children(arena, json, "allOf", &schema->all_of) ||
        !compile_children(arena, json, "anyOf", &schema->any_of) ||
        !compile_children(arena, json, "oneOf", &schema->one_of))
        return NULL;
    return schema;
}

/* -- types -- */

static const struct type *make_type(struct arena *arena, const struct json *json, bool root);

static bool make_list_kind(struct arena *arena, const struct json *json, struct field *field)
{
    struct str list_type = json_str(json_member(json, "x-kubernetes-list-type"));
    const struct json *keys = member_of(json, "x-kubernetes-list-map-keys", JSON_ARRAY);
    struct str *names;

    if (field->type->kind != TYPE_LIST)
        return true;
    field->list_kind = str_is(list_type, "set") ? LIST_SET : str_is(list_type, "map") ? LIST_MAP : LIST_ATOMIC;
    if (field->list_kind != LIST_MAP || !keys)
        return true;
    names = arena_array_of(arena, keys->count + 1, struct str);
    if (!names)
        return false;
    for (uint32_t i = 0; i < keys->count; i++)
        names[i] = json_str(&keys->items[i]);
    field->list_map_keys = names;
    field->list_map_key_count = (uint16_t)keys->count;
    return true;
}

static bool make_field(struct arena *arena, struct str name, const struct json *json, struct field *ret_field)
{
    const struct json *value = json_member(json, "default");
    struct field field = { .name = name, .type = make_type(arena, json, false) };

    if (!field.type)
        return false;
    if (flag(json, "nullable"))
        field.flags |= FIELD_NULLABLE;
    if (value && !(field.default_json = json_text(arena, value)).data)
        return false;
    field.map_atomic = str_is(json_str(json_member(json, "x-kubernetes-map-type")), "atomic");
    if (!make_list_kind(arena, json, &field))
        return false;
    *ret_field = field;
    return true;
}

static int field_order(const void *a, const void *b)
{
    return name_cmp(((const struct field *)a)->name, ((const struct field *)b)->name);
}

/* What every object has, whatever its schema says of it. */
static const struct type *common_type(struct str name)
{
    if (str_is(name, "apiVersion") || str_is(name, "kind"))
        return &type_string;
    return str_is(name, "metadata") ? api_type(OBJECT_META) : NULL;
}

static const struct type *make_struct(struct arena *arena, const struct json *json, bool object)
{
    static const struct str common[] = { STR_INIT("apiVersion"), STR_INIT("kind"), STR_INIT("metadata") };
    const struct json *properties = member_of(json, "properties", JSON_OBJECT);
    uint32_t count = 0, max = (properties ? properties->count : 0) + (uint32_t)ARRAY_LEN(common);
    struct field *fields = arena_array_of(arena, max, struct field);
    struct type *type = arena_new_of(arena, struct type);

    if (!fields || !type)
        return NULL;
    for (size_t i = 0; object && i < ARRAY_LEN(common); i++)
        fields[count++] = (struct field){ .name = common[i], .type = common_type(common[i]) };
    for (uint32_t i = 0; properties && i < properties->count; i++) {
        const struct json_member *member = &properties->members[i];

        if (object && common_type(member->key))
            continue;
        if (!make_field(arena, member->key, &member->value, &fields[count++]))
            return NULL;
    }
    qsort(fields, count, sizeof *fields, field_order);
    *type = (struct type){ .kind = TYPE_STRUCT,
                           .preserve_unknown = flag(json, "x-kubernetes-preserve-unknown-fields"),
                           .atomic = str_is(json_str(json_member(json, "x-kubernetes-map-type")), "atomic"),
                           .fields = fields,
                           .field_count = count };
    return type;
}

static const struct type *make_container(struct arena *arena, enum type_kind kind, const struct json *elem)
{
    struct type *type = arena_new_of(arena, struct type);

    if (!type)
        return NULL;
    *type = (struct type){ .kind = kind,
                           .size = sizeof(struct any_array),
                           .elem = json_is(elem, JSON_OBJECT) ? make_type(arena, elem, false) : &type_any };
    return type->elem ? type : NULL;
}

static const struct type *make_object(struct arena *arena, const struct json *json, bool root)
{
    const struct json *additional = json_member(json, "additionalProperties");
    bool open = json_is(additional, JSON_OBJECT) || json_bool(additional, false);

    if (open && !root && !member_of(json, "properties", JSON_OBJECT))
        return make_container(arena, TYPE_MAP, additional);
    return make_struct(arena, json, root || flag(json, "x-kubernetes-embedded-resource"));
}

static const struct type *make_type(struct arena *arena, const struct json *json, bool root)
{
    if (!root && flag(json, "x-kubernetes-int-or-string"))
        return &type_int_or_string;
    switch (schema_kind_of(json_str(json_member(json, "type")))) {
    case SCHEMA_BOOLEAN: return &type_bool;
    case SCHEMA_INTEGER: return str_is(json_str(json_member(json, "format")), "int32") ? &type_int32 : &type_int64;
    case SCHEMA_NUMBER: return &type_double;
    case SCHEMA_STRING: return &type_string;
    case SCHEMA_ARRAY: return make_container(arena, TYPE_LIST, json_member(json, "items"));
    case SCHEMA_OBJECT: return make_object(arena, json, root);
    default: return root ? make_object(arena, json, root) : &type_any;
    }
}

int structural_type(struct arena *arena, const struct json *schema, struct str group, struct str version,
                    struct str kind, const struct type **ret_type, struct err *err)
{
    const struct schema *compiled = schema_compile(arena, schema);
    const struct type *made = make_type(arena, schema, true);
    struct type *type = arena_new_of(arena, struct type);

    if (arena_failed(arena) || !type || !made)
        return no_memory(err);
    if (!compiled)
        return err_set(err, ERR_INVALID, "the schema of " STR_FMT "." STR_FMT " has a pattern that does not compile",
                       STR_ARG(kind), STR_ARG(group));
    *type = *made;
    type->group = group;
    type->version = version;
    type->kind_name = kind;
    type->schema = compiled;
    type->schema_json = schema;
    *ret_type = type;
    return 0;
}
