/* check.c - validation that needs nothing but the table: required members, closed enums, ranges, lengths, forms, what
 * never changes and, below dynamic types, the kinds of values.
 *
 * The status of a built-in object is not checked: components write it, and Kubernetes takes what they write. A
 * required member counts as lacking when it is absent or, where Go would not tell the difference, empty; a number
 * never lacks, as 0 says the same (rules in code know whether 0 will do). */
#include "schema/check_text.h"
#include "schema/object.h"
#include "schema/structural.h"
#include "schema/walk.h"

static const struct json empty_object = { .kind = JSON_OBJECT };

static void check_value(const struct type *type, const struct field *field, bool dynamic, const struct json *json,
                        const struct path *path, struct causes *causes);

static bool is_lacking(const struct field *field, bool dynamic, const struct json *json)
{
    enum type_kind kind = field->type->kind;

    if (!(field->flags & FIELD_REQUIRED) || field->flags & FIELD_ZERO_OK)
        return false;
    if (dynamic)
        return !json;
    if (!json)
        return !(kind >= TYPE_BOOL && kind <= TYPE_DOUBLE && field->flags & FIELD_ALWAYS);
    return (json->kind == JSON_STRING && json->string.len == 0) || (kind == TYPE_LIST && json->count == 0);
}

static void check_required(const struct type *type, const struct field *field, const struct json *json,
                           const struct path *path, struct causes *causes)
{
    const struct json *value = json_get(json, field->name);
    struct path at = path_field(path, type, field->name);
    char text[PATH_TEXT_MAX];

    if (!value && field->flags & FIELD_INLINE && !type_is_dynamic(type)) {
        size_t before = causes->count;

        check_value(field->type, field, false, &empty_object, &at, causes);
        if (causes->count > before || !(field->flags & FIELD_REQUIRED) || field->flags & FIELD_ZERO_OK)
            return;
    } else if (!is_lacking(field, type_is_dynamic(type), value)) {
        return;
    }
    causes_add(causes, CAUSE_REQUIRED, path_text(&at, PATH_VALIDATION, text), "Required value");
}

static bool is_status(const struct type *type, const struct field *field)
{
    return type->kind_name.len > 0 && !type_is_dynamic(type) && str_is(field->name, "status");
}

static void check_struct(const struct type *type, const struct json *json, const struct path *path,
                         struct causes *causes)
{
    struct field_cursor cursor = field_cursor(type);
    bool dynamic = type_is_dynamic(type);

    for (uint32_t i = 0; i < type->field_count; i++) {
        const struct field *field = &type->fields[i];

        if (field->flags & (FIELD_REQUIRED | FIELD_INLINE) && !(field->flags & FIELD_CODED) && !is_status(type, field))
            check_required(type, field, json, path, causes);
    }
    for (uint32_t i = 0; i < json->count; i++) {
        const struct json_member *member = &json->members[i];
        const struct field *field;
        struct path at;

        if (!dynamic && member->value.kind < JSON_NUMBER)
            continue; /* nothing to be wrong in a boolean that the decoder took */
        field = field_cursor_find(&cursor, member->key);
        if (!field || is_status(type, field))
            continue;
        at = path_field(path, type, member->key);
        check_value(field->type, field, dynamic, &member->value, &at, causes);
    }
}

/* --- enums --- */

static bool enum_has(const struct field *field, struct str value)
{
    for (uint16_t i = 0; i < field->enum_count; i++)
        if (str_eq(field->enum_values[i], value))
            return true;
    return false;
}

/* "A", "B": in order, whatever the order of the table. */
static void add_enum_values(struct buf *buf, const struct field *field)
{
    const struct str *last = NULL;

    for (uint16_t n = 0; n < field->enum_count; n++) {
        const struct str *next = NULL;

        for (uint16_t i = 0; i < field->enum_count; i++) {
            const struct str *value = &field->enum_values[i];

            if ((!last || name_cmp(*value, *last) > 0) && (!next || name_cmp(*value, *next) < 0))
                next = value;
        }
        if (!next)
            return;
        if (last)
            buf_add_str(buf, STR(", "));
        json_write_str(buf, *next);
        last = next;
    }
}

static void check_enum(const struct field *field, bool dynamic, const struct json *json, const struct path *path,
                       struct causes *causes)
{
    AUTO_DEINIT(buf, values) = BUF_INIT;
    char text[PATH_TEXT_MAX];

    if (json->kind != JSON_STRING || enum_has(field, json->string) || (!dynamic && json->string.len == 0))
        return;
    add_enum_values(&values, field);
    causes_add(causes, CAUSE_NOT_SUPPORTED, path_text(path, PATH_VALIDATION, text),
               "Unsupported value: " STR_FMT ": supported values: " STR_FMT, STR_ARG(cause_value(causes->arena, json)),
               STR_ARG(buf_str(&values)));
}

/* --- ranges and forms --- */

static void check_number(const struct field *field, int64_t value, const struct path *path, struct causes *causes)
{
    const struct field_range *range = field->range;

    if (field->format == FORMAT_PORT && (value < 1 || value > 65535))
        cause_invalid_int(causes, path, value, "must be between 1 and 65535, inclusive");
    if (field->format == FORMAT_FILE_MODE && (value < 0 || value > 0777))
        cause_invalid_int(causes, path, value, "must be a number between 0 and 0777 (octal), both inclusive");
    if (!range || (value >= range->min && value <= range->max))
        return;
    if (range->min != INT64_MIN && range->max != INT64_MAX)
        cause_at(causes, CAUSE_INVALID, path, "Invalid value: %lld: must be between %lld and %lld, inclusive",
                 (long long)value, (long long)range->min, (long long)range->max);
    else if (range->min == 1)
        cause_invalid_int(causes, path, value, "must be greater than 0");
    else if (range->min != INT64_MIN)
        cause_at(causes, CAUSE_INVALID, path, "Invalid value: %lld: must be greater than or equal to %lld",
                 (long long)value, (long long)range->min);
    else
        cause_at(causes, CAUSE_INVALID, path, "Invalid value: %lld: must be less than or equal to %lld",
                 (long long)value, (long long)range->max);
}

static void check_scalar(const struct field *field, const struct json *json, const struct path *path,
                         struct causes *causes)
{
    if (json->kind == JSON_NUMBER && json->is_int) {
        check_number(field, json->number.i64, path, causes);
    } else if (json->kind == JSON_STRING && json->string.len > 0) {
        if (field->range && field->range->max_length && json->string.len > field->range->max_length)
            cause_too_long(causes, path, field->range->max_length);
        cause_format(causes, path, field->format, json->string);
    }
}

static void check_size(const struct field *field, const struct json *json, const struct path *path,
                       struct causes *causes)
{
    if (field && field->range && field->range->max_items && json->count > field->range->max_items)
        cause_too_many(causes, path, json->count, field->range->max_items);
}

/* --- kinds, below dynamic types --- */

static const char *schema_kind(const struct type *type)
{
    switch (type->kind) {
    case TYPE_BOOL: return "boolean";
    case TYPE_INT32:
    case TYPE_INT64: return "integer";
    case TYPE_DOUBLE: return "number";
    case TYPE_LIST: return "array";
    case TYPE_STRUCT:
    case TYPE_MAP: return "object";
    default: return "string";
    }
}

static const char *json_schema_kind(const struct json *json)
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

static bool kind_fits(const struct type *type, const struct json *json)
{
    switch (type->kind) {
    case TYPE_ANY: return true;
    case TYPE_BOOL: return json->kind == JSON_BOOL;
    case TYPE_INT32:
    case TYPE_INT64: return json->kind == JSON_NUMBER && json->is_int;
    case TYPE_DOUBLE: return json->kind == JSON_NUMBER;
    case TYPE_QUANTITY:
    case TYPE_INT_OR_STRING: return json->kind == JSON_STRING || (json->kind == JSON_NUMBER && json->is_int);
    case TYPE_LIST: return json->kind == JSON_ARRAY;
    case TYPE_STRUCT:
    case TYPE_MAP: return json->kind == JSON_OBJECT;
    default: return json->kind == JSON_STRING;
    }
}

static bool check_kind(const struct type *type, const struct json *json, const struct path *path, struct causes *causes)
{
    const char *found = json_schema_kind(json);
    char text[PATH_TEXT_MAX];
    struct str where;

    if (kind_fits(type, json))
        return true;
    where = path_text(path, PATH_VALIDATION, text);
    causes_add(causes, CAUSE_TYPE_INVALID, where,
               "Invalid value: \"%s\": " STR_FMT " in body must be of type %s: \"%s\"", found, STR_ARG(where),
               schema_kind(type), found);
    return false;
}

/* field says which values are allowed; elements of a list go by the field that holds the list. */
static void check_value(const struct type *type, const struct field *field, bool dynamic, const struct json *json,
                        const struct path *path, struct causes *causes)
{
    if (dynamic && !check_kind(type, json, path, causes))
        return;
    if (type->kind == TYPE_STRUCT && json->kind == JSON_OBJECT) {
        check_struct(type, json, path, causes);
        if (type->check)
            type->check(json, path, causes);
    } else if (type->kind == TYPE_LIST && json->kind == JSON_ARRAY) {
        check_size(field, json, path, causes);
        for (uint32_t i = 0; i < json->count; i++) {
            struct path at = path_index(path, i);

            check_value(type->elem, field, dynamic, &json->items[i], &at, causes);
        }
    } else if (type->kind == TYPE_MAP && json->kind == JSON_OBJECT) {
        if (field && field->format == FORMAT_LABELS)
            cause_labels(causes, path, json);
        for (uint32_t i = 0; i < json->count; i++) {
            struct path at = path_key(path, json->members[i].key);

            check_value(type->elem, NULL, dynamic, &json->members[i].value, &at, causes);
        }
    } else if (field) {
        if (field->enum_count > 0 && !(field->flags & (FIELD_ENUM_OPEN | FIELD_CODED)))
            check_enum(field, dynamic, json, path, causes);
        if (field->format || field->range)
            check_scalar(field, json, path, causes);
    }
}

/* --- what never changes --- */

static void check_changes(const struct type *type, const struct json *json, const struct json *old,
                          const struct path *path, struct causes *causes)
{
    static const struct json null = { .kind = JSON_NULL };

    for (uint32_t i = 0; i < type->field_count; i++) {
        const struct field *field = &type->fields[i];
        const struct json *now, *before;
        struct path at;

        if (!(field->flags & FIELD_IMMUTABLE) && (field->type->kind != TYPE_STRUCT || is_status(type, field)))
            continue;
        now = json_get(json, field->name);
        before = json_get(old, field->name);
        if (!now && !before)
            continue;
        at = path_field(path, type, field->name);
        if (!(field->flags & FIELD_IMMUTABLE))
            check_changes(field->type, now, before, &at, causes);
        else if (!json_equal(now ? now : &null, before ? before : &null))
            cause_invalid(causes, &at, now ? now : &null, "field is immutable");
    }
}

void object_check_update(const struct type *type, const struct json *object, const struct json *old,
                         struct causes *causes)
{
    if (!type->schema && json_is(object, JSON_OBJECT) && json_is(old, JSON_OBJECT))
        check_changes(type, object, old, NULL, causes);
}

void object_check(const struct type *type, const struct json *object, struct causes *causes)
{
    if (!object || object->kind != JSON_OBJECT)
        return;
    if (type->schema)
        schema_check_value(type->schema, object, NULL, causes);
    else
        check_struct(type, object, NULL, causes);
}
