/* default.c - defaults from the tables.
 *
 * Beside default_json, a struct that Go holds by value is always there ({}), and so is a required number or boolean
 * (0, false): clients rely on finding them in what they read back. A required struct is not made up, so that
 * object_check() can tell that it lacks. */
#include "schema/object.h"
#include "schema/walk.h"

struct defaulter {
    struct arena *arena;
    struct err *err;
};

static int default_value(struct defaulter *d, const struct type *type, struct json *json);

static int no_memory(struct defaulter *d)
{
    return err_set(d->err, ERR_NO_MEMORY, "defaulting an object");
}

/* Whether text is a JSON string without escapes, which most defaults are. */
static bool is_plain_string(struct str text)
{
    return text.len >= 2 && text.data[0] == '"' && !memchr(text.data, '\\', text.len);
}

static int parse_default(struct defaulter *d, struct str text, struct json *ret_json)
{
    struct json *parsed;
    int64_t number;
    int r;

    if (is_plain_string(text)) {
        *ret_json = (struct json){ .kind = JSON_STRING, .string = str_chop(str_skip(text, 1), 1) };
    } else if (str_to_i64(text, &number)) {
        *ret_json = (struct json){ .kind = JSON_NUMBER, .is_int = true, .number = { text, number } };
    } else if (str_is(text, "{}")) {
        *ret_json = (struct json){ .kind = JSON_OBJECT };
    } else {
        r = json_parse(d->arena, text, NULL, &parsed, d->err);
        if (r < 0)
            return err_wrap(d->err, r, "default " STR_FMT, STR_ARG(text));
        *ret_json = *parsed;
    }
    return 0;
}

/* What an absent member becomes; false: it stays absent. */
static bool has_default(const struct field *field)
{
    uint32_t zero = FIELD_REQUIRED | FIELD_ALWAYS;

    if (field->default_json.data)
        return true;
    if (field->type->kind == TYPE_STRUCT)
        return field->flags & FIELD_INLINE && (!(field->flags & FIELD_REQUIRED) || field->flags & FIELD_ZERO_OK);
    return field->type->kind >= TYPE_BOOL && field->type->kind <= TYPE_DOUBLE && (field->flags & zero) == zero;
}

static int make_default(struct defaulter *d, const struct field *field, struct json *ret_json)
{
    if (field->default_json.data)
        return parse_default(d, field->default_json, ret_json);
    if (field->type->kind == TYPE_STRUCT)
        *ret_json = (struct json){ .kind = JSON_OBJECT };
    else if (field->type->kind == TYPE_BOOL)
        *ret_json = (struct json){ .kind = JSON_BOOL };
    else
        *ret_json = (struct json){ .kind = JSON_NUMBER, .is_int = true, .number = { STR("0"), 0 } };
    return 0;
}

static int default_struct(struct defaulter *d, const struct type *type, struct json *json)
{
    struct field_cursor cursor = field_cursor(type);
    uint32_t before = json->count;
    int r;

    for (uint32_t i = 0; i < type->field_count; i++) {
        const struct field *field = &type->fields[i];
        struct json value;

        if (!has_default(field) || json_get(json, field->name))
            continue;
        r = make_default(d, field, &value);
        if (r < 0)
            return r;
        if (!json_set(d->arena, json, field->name, &value))
            return no_memory(d);
    }
    if (json->count > before && !members_sorted(json))
        members_sort(json);
    for (uint32_t i = 0; i < json->count; i++) {
        const struct field *field;

        if (json->members[i].value.kind < JSON_ARRAY)
            continue;
        field = field_cursor_find(&cursor, json->members[i].key);
        r = field ? default_value(d, field->type, &json->members[i].value) : 0;
        if (r < 0)
            return r;
    }
    return 0;
}

static bool may_hold_defaults(const struct type *type)
{
    while (type->kind == TYPE_LIST || type->kind == TYPE_MAP)
        type = type->elem;
    return type->kind == TYPE_STRUCT;
}

static int default_value(struct defaulter *d, const struct type *type, struct json *json)
{
    int r = 0;

    if (!may_hold_defaults(type))
        return 0;
    if (type->kind == TYPE_STRUCT && json->kind == JSON_OBJECT)
        return default_struct(d, type, json);
    for (uint32_t i = 0; type->kind == TYPE_LIST && json->kind == JSON_ARRAY && i < json->count && r == 0; i++)
        r = default_value(d, type->elem, &json->items[i]);
    for (uint32_t i = 0; type->kind == TYPE_MAP && json->kind == JSON_OBJECT && i < json->count && r == 0; i++)
        r = default_value(d, type->elem, &json->members[i].value);
    return r;
}

int object_default(struct arena *arena, const struct type *type, struct json *object, struct err *err)
{
    struct defaulter d = { arena, err };

    return default_value(&d, type, object);
}
