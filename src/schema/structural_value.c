/* structural_value.c - values against a compiled schema, with the messages that Kubernetes' validators give.
 *
 * What the schema leaves open passes. A value of a wrong kind is told once and not looked into. Alternatives (anyOf,
 * oneOf, not) are tried with findings of their own that nobody sees. Patterns run with a limit on their steps, so that
 * no pattern and text can hold a thread; one that reaches it does not match.
 *
 * An update is walked beside what was there before: findings about a value, and about all below it, are taken back when
 * the value is the same at the same place. Members have their place by name, elements of lists by key theirs by key;
 * of other lists elements have none: such a list is the same as a whole or not at all. What is required is missed by
 * the object that lacks it, so that one must be the same. */
#include <math.h>

#include "schema/structural_internal.h"
#include "schema/time.h"

#define MATCH_LIMIT 200000
#define HEAP_LIMIT_KIB 4096
#define UNIQUE_MAX 2048 /* elements of a set that are compared with each other; a list of more is refused */
#define WHERE(at, text) path_text((at), PATH_VALIDATION, (text))

static struct str kind_name(const struct schema *schema)
{
    static const struct str names[] = {
        [SCHEMA_ANY] = STR_INIT("any"),         [SCHEMA_BOOLEAN] = STR_INIT("boolean"),
        [SCHEMA_INTEGER] = STR_INIT("integer"), [SCHEMA_NUMBER] = STR_INIT("number"),
        [SCHEMA_STRING] = STR_INIT("string"),   [SCHEMA_ARRAY] = STR_INIT("array"),
        [SCHEMA_OBJECT] = STR_INIT("object"),
    };

    return names[schema->kind];
}

static const char *kind_of_value(const struct json *json)
{
    switch (json->kind) {
    case JSON_NULL: return "null";
    case JSON_BOOL: return "boolean";
    case JSON_NUMBER: return json->is_int ? "integer" : "number";
    case JSON_STRING: return "string";
    case JSON_ARRAY: return "array";
    case JSON_OBJECT: return "object";
    }
    return "value";
}

/* 3.0 is an integer too. */
static bool is_whole(const struct json *json)
{
    double value = json_double(json, 0.5);

    return json->is_int || (isfinite(value) && floor(value) == value);
}

static bool kind_fits(const struct schema *schema, const struct json *json)
{
    if (schema->int_or_string)
        return json->kind == JSON_STRING || (json->kind == JSON_NUMBER && is_whole(json));
    switch (schema->kind) {
    case SCHEMA_ANY: return true;
    case SCHEMA_BOOLEAN: return json->kind == JSON_BOOL;
    case SCHEMA_INTEGER: return json->kind == JSON_NUMBER && is_whole(json);
    case SCHEMA_NUMBER: return json->kind == JSON_NUMBER;
    case SCHEMA_STRING: return json->kind == JSON_STRING;
    case SCHEMA_ARRAY: return json->kind == JSON_ARRAY;
    case SCHEMA_OBJECT: return json->kind == JSON_OBJECT;
    }
    return true;
}

static void check_value(const struct schema *schema, const struct json *json, const struct json *old,
                        const struct path *at, struct causes *causes);

/* "Invalid value: 5: spec.x in body should be ..." */
static void PRINTF(4, 5)
    add_invalid(struct causes *causes, const struct path *at, const struct json *json, const char *fmt, ...)
{
    char text[PATH_TEXT_MAX];
    struct str where = WHERE(at, text), why;
    va_list args;

    va_start(args, fmt);
    why = arena_vprintf(causes->arena, fmt, args);
    va_end(args);
    causes_add(causes, CAUSE_INVALID, where, "Invalid value: " STR_FMT ": " STR_FMT "%s" STR_FMT,
               STR_ARG(cause_value(causes->arena, json)), STR_ARG(where), where.len ? " " : "", STR_ARG(why));
}

static bool check_kind(const struct schema *schema, const struct json *json, const struct path *at,
                       struct causes *causes)
{
    char text[PATH_TEXT_MAX];
    struct str where;

    if (kind_fits(schema, json))
        return true;
    where = WHERE(at, text);
    causes_add(causes, CAUSE_TYPE_INVALID, where,
               "Invalid value: \"%s\": " STR_FMT " in body must be of type " STR_FMT ": \"%s\"", kind_of_value(json),
               STR_ARG(where), STR_ARG(schema->int_or_string ? STR("integer,string") : kind_name(schema)),
               kind_of_value(json));
    return false;
}

/* -- scalars -- */

static void check_number(const struct schema *schema, const struct json *json, const struct path *at,
                         struct causes *causes)
{
    double value = json_double(json, 0);

    if (schema->has_minimum && (schema->exclusive_minimum ? value <= schema->minimum : value < schema->minimum))
        add_invalid(causes, at, json, "in body should be greater than %s%.15g",
                    schema->exclusive_minimum ? "" : "or equal to ", schema->minimum);
    if (schema->has_maximum && (schema->exclusive_maximum ? value >= schema->maximum : value > schema->maximum))
        add_invalid(causes, at, json, "in body should be less than %s%.15g",
                    schema->exclusive_maximum ? "" : "or equal to ", schema->maximum);
    if (schema->multiple_of > 0) {
        double parts = value / schema->multiple_of;

        if (!isfinite(parts) || fabs(parts - round(parts)) > 1e-9 * fmax(1, fabs(parts)))
            add_invalid(causes, at, json, "in body should be a multiple of %.15g", schema->multiple_of);
    }
}

static int64_t characters(struct str text)
{
    int64_t count = 0;

    for (size_t i = 0; i < text.len; i++)
        count += ((unsigned char)text.data[i] & 0xc0) != 0x80;
    return count;
}

static bool pattern_matches(const struct schema *schema, struct str text)
{
    pcre2_match_data *data = pcre2_match_data_create(1, NULL);
    pcre2_match_context *context = pcre2_match_context_create(NULL);
    int found = PCRE2_ERROR_NOMEMORY;

    if (data && context) {
        pcre2_set_match_limit(context, MATCH_LIMIT);
        pcre2_set_heap_limit(context, HEAP_LIMIT_KIB);
        found = pcre2_match(schema->pattern, (PCRE2_SPTR)(text.data ? text.data : ""), text.len, 0, 0, data, context);
    }
    pcre2_match_data_free(data);
    pcre2_match_context_free(context);
    return found >= 0;
}

static bool format_fits(struct str format, struct str text)
{
    nsec_t time;

    return !str_is(format, "date-time") || api_time_parse(text, &time);
}

static void check_string(const struct schema *schema, const struct json *json, const struct path *at,
                         struct causes *causes)
{
    char text[PATH_TEXT_MAX];
    int64_t count = characters(json->string);

    if (schema->max_length >= 0 && count > schema->max_length)
        causes_add(causes, CAUSE_TOO_LONG, WHERE(at, text), "Too long: may not be more than %lld bytes",
                   (long long)schema->max_length);
    if (count < schema->min_length)
        add_invalid(causes, at, json, "in body should be at least %lld chars long", (long long)schema->min_length);
    if (schema->pattern && !pattern_matches(schema, json->string))
        add_invalid(causes, at, json, "in body should match '" STR_FMT "'", STR_ARG(schema->pattern_text));
    if (!format_fits(schema->format, json->string))
        add_invalid(causes, at, json, "in body must be of type " STR_FMT ": " STR_FMT, STR_ARG(schema->format),
                    STR_ARG(cause_value(causes->arena, json)));
}

static void check_enum(const struct schema *schema, const struct json *json, const struct path *at,
                       struct causes *causes)
{
    AUTO_DEINIT(buf, values) = BUF_INIT;
    char text[PATH_TEXT_MAX];

    for (uint32_t i = 0; i < schema->enums->count; i++)
        if (json_equal(&schema->enums->items[i], json))
            return;
    for (uint32_t i = 0; i < schema->enums->count; i++) {
        buf_add_cstr(&values, i ? ", " : "");
        buf_add_str(&values, cause_value(causes->arena, &schema->enums->items[i]));
    }
    causes_add(causes, CAUSE_NOT_SUPPORTED, WHERE(at, text),
               "Unsupported value: " STR_FMT ": supported values: " STR_FMT, STR_ARG(cause_value(causes->arena, json)),
               STR_ARG(buf_str(&values)));
}

/* -- lists -- */

static bool same_key(const struct json *keys, const struct json *a, const struct json *b)
{
    for (uint32_t i = 0; i < keys->count; i++) {
        const struct json *left = json_get(a, json_str(&keys->items[i])),
                          *right = json_get(b, json_str(&keys->items[i]));

        if (!left != !right || (left && !json_equal(left, right)))
            return false;
    }
    return true;
}

/* Looked for from where the one before was found: lists mostly keep their order. */
static const struct json *old_element(const struct schema *schema, const struct json *old, const struct json *element,
                                      uint32_t *from)
{
    if (!schema->unique || !schema->list_map_keys || !json_is(old, JSON_ARRAY) || old->count > UNIQUE_MAX ||
        !json_is(element, JSON_OBJECT))
        return NULL;
    for (uint32_t i = 0; i < old->count; i++) {
        uint32_t at = (*from + i) % old->count;

        if (json_is(&old->items[at], JSON_OBJECT) &&
            same_key(schema->list_map_keys, &old->items[at], element)) {
            *from = at + 1;
            return &old->items[at];
        }
    }
    return NULL;
}

/* Sets have each value once, lists by key each key once. */
static void check_unique(const struct schema *schema, const struct json *json, const struct path *at,
                         struct causes *causes)
{
    char text[PATH_TEXT_MAX];

    if (json->count > UNIQUE_MAX) {
        causes_add(causes, CAUSE_TOO_MANY, WHERE(at, text), "Too many: %u: must have at most %d items", json->count,
                   UNIQUE_MAX);
        return;
    }
    for (uint32_t i = 1; i < json->count; i++) {
        for (uint32_t j = 0; j < i; j++) {
            const struct json *a = &json->items[i], *b = &json->items[j];
            struct path element = path_index(at, i);

            if (schema->list_map_keys ? !same_key(schema->list_map_keys, a, b) : !json_equal(a, b))
                continue;
            causes_add(causes, CAUSE_DUPLICATE, WHERE(&element, text), "Duplicate value: " STR_FMT,
                       STR_ARG(cause_value(causes->arena, a)));
            break;
        }
    }
}

static void check_array(const struct schema *schema, const struct json *json, const struct json *old,
                        const struct path *at, struct causes *causes)
{
    char text[PATH_TEXT_MAX];
    uint32_t from = 0;

    if (schema->max_items >= 0 && json->count > schema->max_items)
        causes_add(causes, CAUSE_TOO_MANY, WHERE(at, text), "Too many: %u: must have at most %lld items", json->count,
                   (long long)schema->max_items);
    if (json->count < schema->min_items)
        add_invalid(causes, at,
                    &(struct json){ .kind = JSON_NUMBER,
                                    .is_int = true,
                                    .number = { arena_printf(causes->arena, "%u", json->count), json->count } },
                    "in body should have at least %lld items", (long long)schema->min_items);
    if (schema->unique)
        check_unique(schema, json, at, causes);
    for (uint32_t i = 0; schema->items && i < json->count; i++) {
        struct path element = path_index(at, i);

        check_value(schema->items, &json->items[i],
                    json->count > UNIQUE_MAX ? NULL : old_element(schema, old, &json->items[i], &from), &element, causes);
    }
}

/* -- objects -- */

static const struct schema *find_property(const struct schema *schema, struct str name)
{
    uint32_t low = 0, high = schema->property_count;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        int order = str_cmp(name, schema->properties[middle].name);

        if (order == 0)
            return schema->properties[middle].schema;
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}

/* Members are shown with a dot whatever they are members of. */
static struct path member_path(const struct path *at, struct str name)
{
    return path_field(at, &type_any, name);
}

static void check_required(const struct schema *schema, const struct json *json, const struct path *at,
                           struct causes *causes)
{
    char text[PATH_TEXT_MAX];

    for (uint32_t i = 0; schema->required && i < schema->required->count; i++) {
        struct path member = member_path(at, json_str(&schema->required->items[i]));

        if (!json_get(json, member.name))
            causes_add(causes, CAUSE_REQUIRED, WHERE(&member, text), "Required value");
    }
}

static void check_object(const struct schema *schema, const struct json *json, const struct json *old,
                         const struct path *at, struct causes *causes)
{
    char text[PATH_TEXT_MAX];

    check_required(schema, json, at, causes);
    if (schema->max_properties >= 0 && json->count > schema->max_properties)
        causes_add(causes, CAUSE_TOO_MANY, WHERE(at, text), "Too many: %u: must have at most %lld items", json->count,
                   (long long)schema->max_properties);
    if (json->count < schema->min_properties)
        add_invalid(causes, at, json, "in body should have at least %lld properties",
                    (long long)schema->min_properties);
    if (schema->embedded)
        for (const char *const *name = (const char *const[]){ "apiVersion", "kind", NULL }; *name; name++) {
            struct path member = member_path(at, str_from(*name));

            if (str_empty(json_str(json_get(json, member.name))))
                causes_add(causes, CAUSE_REQUIRED, WHERE(&member, text), "Required value: must not be empty");
        }
    for (uint32_t i = 0; i < json->count; i++) {
        const struct json_member *member = &json->members[i];
        const struct schema *inner = find_property(schema, member->key);
        struct path where = inner ? member_path(at, member->key) : path_key(at, member->key);

        if (!inner)
            inner = schema->additional;
        if (inner)
            check_value(inner, &member->value, json_get(old, member->key), &where, causes);
    }
}

/* -- alternatives -- */

static bool passes(const struct schema *schema, const struct json *json, const struct json *old, struct arena *arena)
{
    struct causes unseen;

    causes_init(&unseen, arena);
    check_value(schema, json, old, NULL, &unseen);
    return unseen.count == 0;
}

static uint32_t count_passing(struct schema_list list, const struct json *json, const struct json *old,
                              struct arena *arena)
{
    uint32_t passing = 0;

    for (uint32_t i = 0; i < list.count; i++)
        passing += passes(list.items[i], json, old, arena);
    return passing;
}

static void add_alternative(struct causes *causes, const struct path *at, const struct json *json, const char *why)
{
    char text[PATH_TEXT_MAX];
    struct str where = WHERE(at, text);

    causes_add(causes, CAUSE_INVALID, where, "Invalid value: " STR_FMT ": \"" STR_FMT "\" %s",
               STR_ARG(cause_value(causes->arena, json)), STR_ARG(where), why);
}

static void check_alternatives(const struct schema *schema, const struct json *json, const struct json *old,
                               const struct path *at, struct causes *causes)
{
    for (uint32_t i = 0; i < schema->all_of.count; i++)
        check_value(schema->all_of.items[i], json, old, at, causes);
    if (schema->any_of.count && count_passing(schema->any_of, json, old, causes->arena) == 0)
        add_alternative(causes, at, json, "must validate at least one schema (anyOf)");
    if (schema->one_of.count) {
        uint32_t passing = count_passing(schema->one_of, json, old, causes->arena);

        if (passing != 1)
            add_alternative(causes, at, json,
                            passing ? "must validate one and only one schema (oneOf). Found more than one valid"
                                    : "must validate one and only one schema (oneOf). Found none valid");
    }
    if (schema->not_ && passes(schema->not_, json, NULL, causes->arena))
        add_alternative(causes, at, json, "must not validate the schema (not)");
}

/* The value by itself; old: what stood in its place, NULL: nothing did, or nobody asks. */
static void check_all(const struct schema *schema, const struct json *json, const struct json *old,
                      const struct path *at, struct causes *causes)
{
    if (json->kind == JSON_NULL && schema->nullable)
        return;
    if (!check_kind(schema, json, at, causes))
        return;
    if (schema->enums)
        check_enum(schema, json, at, causes);
    if (json->kind == JSON_NUMBER)
        check_number(schema, json, at, causes);
    else if (json->kind == JSON_STRING)
        check_string(schema, json, at, causes);
    else if (json->kind == JSON_ARRAY)
        check_array(schema, json, old, at, causes);
    else if (json->kind == JSON_OBJECT)
        check_object(schema, json, old, at, causes);
    check_alternatives(schema, json, old, at, causes);
}

static void check_value(const struct schema *schema, const struct json *json, const struct json *old,
                        const struct path *at, struct causes *causes)
{
    size_t before = causes->count;

    check_all(schema, json, old, at, causes);
    if (old && causes->count > before && json_equal(json, old))
        causes->count = before;
}

void schema_check_value(const struct schema *schema, const struct json *json, const struct path *at,
                        struct causes *causes)
{
    check_value(schema, json, NULL, at, causes);
}

/* -- updates -- */

static bool has_duplicates(const struct causes *causes, size_t from)
{
    for (size_t i = from; i < causes->count; i++)
        if (causes->items[i].type == CAUSE_DUPLICATE)
            return true;
    return false;
}

/* Repeated elements are all forgiven when there have been some. */
static void forgive_duplicates(const struct schema *schema, const struct json *old, struct causes *causes, size_t from)
{
    struct causes before;
    size_t kept = from;

    causes_init(&before, causes->arena);
    check_value(schema, old, NULL, NULL, &before);
    if (!has_duplicates(&before, 0))
        return;
    for (size_t i = from; i < causes->count; i++)
        if (causes->items[i].type != CAUSE_DUPLICATE)
            causes->items[kept++] = causes->items[i];
    causes->count = kept;
}

void schema_check_update(const struct schema *schema, const struct json *json, const struct json *old,
                         struct causes *causes)
{
    size_t from = causes->count;

    check_value(schema, json, old, NULL, causes);
    if (has_duplicates(causes, from))
        forgive_duplicates(schema, old, causes, from);
}
