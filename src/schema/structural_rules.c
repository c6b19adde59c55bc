/* structural_rules.c - whether a schema may be the schema of a custom resource.
 *
 * Structural means: every value outside allOf, anyOf, oneOf and not has a type; those four only narrow what the
 * structure around them says. What would make a schema ambiguous or checks expensive (references, patterns for names,
 * unique items) is refused, as Kubernetes does. */
#include "schema/structural_internal.h"

#define PROBLEM_MAX 160

/* Where a node stands. */
enum position { AT_ROOT, AT_FIELD, AT_ITEM, AT_JUNCTOR };

struct rules_walk {
    struct causes *causes;
    int depth;
};

static void check_node(struct rules_walk *walk, const struct json *node, struct str field, enum position position);

static struct str below(struct rules_walk *walk, struct str field, const char *name)
{
    return arena_printf(walk->causes->arena, STR_FMT ".%s", STR_ARG(field), name);
}

static const struct json *present(const struct json *node, const char *name)
{
    const struct json *member = json_get(node, str_from(name));

    return member && member->kind != JSON_NULL ? member : NULL;
}

static bool flag(const struct json *node, const char *name)
{
    return json_bool(present(node, name), false);
}

static void check_forbidden(struct rules_walk *walk, const struct json *node, struct str field, enum position position)
{
    static const struct {
        const char *name, *why;
        bool junctor_only;
    } rows[] = {
        { "$ref", "$ref is not supported", false },
        { "definitions", "definitions is not supported", false },
        { "dependencies", "dependencies is not supported", false },
        { "patternProperties", "patternProperties is not supported", false },
        { "additionalItems", "additionalItems is not supported", false },
        { "id", "id is not supported", false },
        { "$schema", "$schema is not supported", false },
        { "default", "must be undefined to be structural", true },
        { "title", "must be empty to be structural", true },
        { "description", "must be empty to be structural", true },
        { "additionalProperties", "must be undefined to be structural", true },
        { "nullable", "must be false to be structural", true },
        { "x-kubernetes-preserve-unknown-fields", "must be false to be structural", true },
        { "x-kubernetes-embedded-resource", "must be false to be structural", true },
        { "x-kubernetes-list-type", "must be undefined to be structural", true },
        { "x-kubernetes-map-type", "must be undefined to be structural", true },
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if ((position == AT_JUNCTOR || !rows[i].junctor_only) && present(node, rows[i].name))
            causes_add(walk->causes, CAUSE_FORBIDDEN, below(walk, field, rows[i].name), "Forbidden: %s", rows[i].why);
    if (flag(node, "uniqueItems"))
        causes_add(walk->causes, CAUSE_FORBIDDEN, below(walk, field, "uniqueItems"),
                   "Forbidden: uniqueItems cannot be set to true since the runtime complexity becomes quadratic");
}

static void check_type(struct rules_walk *walk, const struct json *node, struct str field, enum position position)
{
    static const char *const where[] = { "at the root", "for specified object fields", "for specified array items",
                                         "" };
    struct str type = json_str(present(node, "type"));

    if (!str_empty(type) && schema_kind_of(type) == SCHEMA_ANY) {
        causes_add(walk->causes, CAUSE_NOT_SUPPORTED, below(walk, field, "type"),
                   "Unsupported value: \"" STR_FMT
                   "\": supported values: \"array\", \"boolean\", \"integer\", \"number\", "
                   "\"object\", \"string\"",
                   STR_ARG(type));
        return;
    }
    if (position == AT_JUNCTOR)
        return;
    if (position == AT_ROOT && !str_empty(type) && !str_is(type, "object"))
        causes_add(walk->causes, CAUSE_INVALID, below(walk, field, "type"),
                   "Invalid value: \"" STR_FMT "\": must be object at the root", STR_ARG(type));
    if (str_empty(type) && (position == AT_ROOT || (!flag(node, "x-kubernetes-int-or-string") &&
                                                    !flag(node, "x-kubernetes-preserve-unknown-fields"))))
        causes_add(walk->causes, CAUSE_REQUIRED, below(walk, field, "type"), "Required value: must not be empty %s",
                   where[position]);
    if (!str_empty(type) && flag(node, "x-kubernetes-int-or-string"))
        causes_add(walk->causes, CAUSE_INVALID, below(walk, field, "type"),
                   "Invalid value: \"" STR_FMT "\": must be empty if x-kubernetes-int-or-string is true",
                   STR_ARG(type));
    if (flag(node, "x-kubernetes-embedded-resource") && !str_is(type, "object"))
        causes_add(walk->causes, CAUSE_INVALID, below(walk, field, "type"),
                   "Invalid value: \"" STR_FMT "\": must be object if x-kubernetes-embedded-resource is true",
                   STR_ARG(type));
    if (str_is(type, "array") && !present(node, "items"))
        causes_add(walk->causes, CAUSE_REQUIRED, below(walk, field, "items"), "Required value: must be specified");
}

static void check_pattern(struct rules_walk *walk, const struct json *node, struct str field)
{
    struct str pattern = json_str(present(node, "pattern"));
    AUTO(arena) arena = arena_new(8u << 20);
    char problem[PROBLEM_MAX] = "it needs too much memory";

    if (str_empty(pattern) || (arena && schema_pattern(arena, pattern, problem, sizeof problem)))
        return;
    causes_add(walk->causes, CAUSE_INVALID, below(walk, field, "pattern"),
               "Invalid value: %.*s: must be a valid regular expression, but isn't: %s",
               (int)cause_value(walk->causes->arena, present(node, "pattern")).len,
               cause_value(walk->causes->arena, present(node, "pattern")).data, problem);
}

static bool is_required(const struct json *node, struct str name)
{
    const struct json *required = present(node, "required");

    for (uint32_t i = 0; json_is(required, JSON_ARRAY) && i < required->count; i++)
        if (str_eq(json_str(&required->items[i]), name))
            return true;
    return false;
}

/* Every key of a list is a scalar that every element has. */
static void check_keys(struct rules_walk *walk, const struct json *node, const struct json *keys, struct str field)
{
    const struct json *items = present(node, "items"), *properties = present(items, "properties");

    for (uint32_t i = 0; i < keys->count; i++) {
        struct str key = json_str(&keys->items[i]),
                   where =
                       arena_printf(walk->causes->arena, STR_FMT ".x-kubernetes-list-map-keys[%u]", STR_ARG(field), i);
        const struct json *property = json_get(properties, key);

        if (!property)
            causes_add(walk->causes, CAUSE_INVALID, where,
                       "Invalid value: \"" STR_FMT "\": entries must all be names of item properties", STR_ARG(key));
        else if (!is_required(items, key) && !present(property, "default"))
            causes_add(
                walk->causes, CAUSE_REQUIRED, where,
                "Required value: this property is in x-kubernetes-list-map-keys, so it must have a default or be "
                "a required property");
    }
}

static void check_list_type(struct rules_walk *walk, const struct json *node, struct str field)
{
    const struct json *keys = present(node, "x-kubernetes-list-map-keys");
    struct str list_type = json_str(present(node, "x-kubernetes-list-type"));
    struct str map_type = json_str(present(node, "x-kubernetes-map-type"));

    if (!str_empty(list_type) && !str_is(list_type, "atomic") && !str_is(list_type, "set") && !str_is(list_type, "map"))
        causes_add(walk->causes, CAUSE_NOT_SUPPORTED, below(walk, field, "x-kubernetes-list-type"),
                   "Unsupported value: \"" STR_FMT "\": supported values: \"atomic\", \"map\", \"set\"",
                   STR_ARG(list_type));
    if (!str_empty(list_type) && !str_is(json_str(present(node, "type")), "array"))
        causes_add(walk->causes, CAUSE_INVALID, below(walk, field, "type"),
                   "Invalid value: \"" STR_FMT "\": must be array if x-kubernetes-list-type is specified",
                   STR_ARG(json_str(present(node, "type"))));
    if (!str_empty(map_type) && !str_is(map_type, "atomic") && !str_is(map_type, "granular"))
        causes_add(walk->causes, CAUSE_NOT_SUPPORTED, below(walk, field, "x-kubernetes-map-type"),
                   "Unsupported value: \"" STR_FMT "\": supported values: \"atomic\", \"granular\"", STR_ARG(map_type));
    if (!str_is(list_type, "map")) {
        if (json_is(keys, JSON_ARRAY) && keys->count)
            causes_add(walk->causes, CAUSE_INVALID, below(walk, field, "x-kubernetes-list-type"),
                       "Invalid value: \"" STR_FMT "\": must be map if x-kubernetes-list-map-keys is non-empty",
                       STR_ARG(list_type));
        return;
    }
    if (!json_is(keys, JSON_ARRAY) || keys->count == 0)
        causes_add(walk->causes, CAUSE_REQUIRED, below(walk, field, "x-kubernetes-list-map-keys"),
                   "Required value: must not be empty if x-kubernetes-list-type is map");
    else
        check_keys(walk, node, keys, field);
}

/* A default must be a value that the schema takes. */
static void check_default(struct rules_walk *walk, const struct json *node, struct str field)
{
    const struct json *value = present(node, "default");
    AUTO(arena) arena = value ? arena_new(32u << 20) : NULL;
    const struct schema *schema = arena ? schema_compile(arena, node) : NULL;
    struct causes found;

    if (!schema)
        return; /* no default, or a pattern that check_pattern() tells of */
    causes_init(&found, arena);
    schema_check_value(schema, value, NULL, &found);
    for (size_t i = 0; i < found.count; i++) {
        struct str where = found.items[i].field;
        struct str full = str_empty(where) ? below(walk, field, "default")
                                           : arena_printf(walk->causes->arena, STR_FMT ".default." STR_FMT,
                                                          STR_ARG(field), STR_ARG(where));

        causes_add(walk->causes, found.items[i].type, full, STR_FMT, STR_ARG(found.items[i].message));
    }
}

/* What every object has is not for a schema to say: of metadata it may say more about the names only. */
static void check_own_members(struct rules_walk *walk, const struct json *properties, struct str field)
{
    static const char *const strings[] = { "apiVersion", "kind" }, *const free[] = { "description", "default" };
    const struct json *metadata = json_member(properties, "metadata"), *names = present(metadata, "properties");
    bool more = false;

    for (size_t i = 0; i < ARRAY_LEN(strings); i++) {
        const struct json *property = json_get(properties, str_from(strings[i]));

        if (property && !str_is(json_str(present(property, "type")), "string"))
            causes_add(walk->causes, CAUSE_INVALID,
                       arena_printf(walk->causes->arena, STR_FMT ".properties[%s].type", STR_ARG(field), strings[i]),
                       "Invalid value: " STR_FMT ": must be string",
                       STR_ARG(cause_value(walk->causes->arena, present(property, "type"))));
    }
    if (!json_is(metadata, JSON_OBJECT))
        return;
    for (uint32_t i = 0; i < metadata->count; i++) {
        struct str key = metadata->members[i].key;

        more |= metadata->members[i].value.kind != JSON_NULL && !str_is(key, "type") && !str_is(key, "properties") &&
                !str_is(key, free[0]) && !str_is(key, free[1]);
    }
    for (uint32_t i = 0; json_is(names, JSON_OBJECT) && i < names->count; i++)
        more |= !str_is(names->members[i].key, "name") && !str_is(names->members[i].key, "generateName");
    if (!str_is(json_str(present(metadata, "type")), "object"))
        causes_add(walk->causes, CAUSE_INVALID,
                   arena_printf(walk->causes->arena, STR_FMT ".properties[metadata].type", STR_ARG(field)),
                   "Invalid value: " STR_FMT ": must be object",
                   STR_ARG(cause_value(walk->causes->arena, present(metadata, "type"))));
    if (more)
        causes_add(walk->causes, CAUSE_FORBIDDEN,
                   arena_printf(walk->causes->arena, STR_FMT ".properties[metadata]", STR_ARG(field)),
                   "Forbidden: must not specify anything other than name and generateName, but metadata is implicitly "
                   "specified");
}

static void check_properties(struct rules_walk *walk, const struct json *node, struct str field, enum position position)
{
    const struct json *properties = present(node, "properties"), *additional = present(node, "additionalProperties");

    if (json_is(properties, JSON_OBJECT) && properties->count && additional)
        causes_add(walk->causes, CAUSE_FORBIDDEN, below(walk, field, "additionalProperties"),
                   "Forbidden: additionalProperties and properties are mutual exclusive");
    if (position == AT_ROOT || (position != AT_JUNCTOR && flag(node, "x-kubernetes-embedded-resource")))
        check_own_members(walk, properties, field);
    if (additional && position == AT_ROOT)
        causes_add(walk->causes, CAUSE_FORBIDDEN, below(walk, field, "additionalProperties"),
                   "Forbidden: must not be used at the root");
    for (uint32_t i = 0; json_is(properties, JSON_OBJECT) && i < properties->count; i++)
        check_node(walk, &properties->members[i].value,
                   arena_printf(walk->causes->arena, STR_FMT ".properties[" STR_FMT "]", STR_ARG(field),
                                STR_ARG(properties->members[i].key)),
                   position == AT_JUNCTOR ? AT_JUNCTOR : AT_FIELD);
    if (json_is(additional, JSON_OBJECT))
        check_node(walk, additional, below(walk, field, "additionalProperties"),
                   position == AT_JUNCTOR ? AT_JUNCTOR : AT_FIELD);
}

static void check_junctors(struct rules_walk *walk, const struct json *node, struct str field)
{
    static const char *const lists[] = { "allOf", "anyOf", "oneOf" };
    /* int-or-string may say so in the way of plain OpenAPI. */
    bool typed = flag(node, "x-kubernetes-int-or-string");

    for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
        const struct json *list = present(node, lists[i]);

        for (uint32_t j = 0; json_is(list, JSON_ARRAY) && j < list->count; j++) {
            struct str where = arena_printf(walk->causes->arena, STR_FMT ".%s[%u]", STR_ARG(field), lists[i], j);

            if (!typed && present(&list->items[j], "type"))
                causes_add(walk->causes, CAUSE_FORBIDDEN, below(walk, where, "type"),
                           "Forbidden: must be empty to be structural");
            check_node(walk, &list->items[j], where, AT_JUNCTOR);
        }
    }
    if (present(node, "not"))
        check_node(walk, present(node, "not"), below(walk, field, "not"), AT_JUNCTOR);
}

static void check_node(struct rules_walk *walk, const struct json *node, struct str field, enum position position)
{
    const struct json *items = present(node, "items");

    if (!json_is(node, JSON_OBJECT)) {
        causes_add(walk->causes, CAUSE_TYPE_INVALID, field, "Invalid value: must be a schema");
        return;
    }
    if (walk->depth >= SCHEMA_DEPTH_MAX) {
        causes_add(walk->causes, CAUSE_TOO_MANY, field, "Too many: %d levels at most", SCHEMA_DEPTH_MAX);
        return;
    }
    walk->depth++;
    check_forbidden(walk, node, field, position);
    check_type(walk, node, field, position);
    check_pattern(walk, node, field);
    check_list_type(walk, node, field);
    check_properties(walk, node, field, position);
    if (json_is(items, JSON_ARRAY))
        causes_add(walk->causes, CAUSE_FORBIDDEN, below(walk, field, "items"),
                   "Forbidden: items must be a schema object and not an array");
    else if (items)
        check_node(walk, items, below(walk, field, "items"), position == AT_JUNCTOR ? AT_JUNCTOR : AT_ITEM);
    check_junctors(walk, node, field);
    if (position != AT_JUNCTOR)
        check_default(walk, node, field);
    walk->depth--;
}

void schema_check_rules(const struct json *schema, struct str field, struct causes *causes)
{
    struct rules_walk walk = { causes, 0 };

    check_node(&walk, schema, field, AT_ROOT);
}

bool schema_has_rules(const struct json *schema)
{
    const struct json *rules = json_is(schema, JSON_OBJECT) ? present(schema, "x-kubernetes-validations") : NULL;

    if (json_is(rules, JSON_ARRAY) && rules->count)
        return true;
    for (uint32_t i = 0; json_is(schema, JSON_OBJECT) && i < schema->count; i++)
        if (schema->members[i].value.kind == JSON_OBJECT && schema_has_rules(&schema->members[i].value))
            return true;
    return false;
}
