/* equal.c - semantic equality of trees: what view_equal() says of views, without decoding.
 *
 * Absent, null and empty are one for lists, maps and strings, and for numbers that Go holds by value; a struct by
 * value equals {}, one by pointer does not. Below dynamic types JSON is compared as it is. */
#include "schema/object.h"
#include "schema/quantity.h"
#include "schema/time.h"
#include "schema/walk.h"

static const struct json empty_object = { .kind = JSON_OBJECT };
static const struct json zero_quantity = { .kind = JSON_STRING, .string = STR_INIT("0") };

static bool values_equal(const struct type *type, uint32_t flags, const struct json *a, const struct json *b);

static bool is_unset(const struct json *json)
{
    return !json || json->kind == JSON_NULL;
}

static bool quantities_equal(const struct json *a, const struct json *b)
{
    struct str left = a->kind == JSON_NUMBER ? a->number.text : json_str(a);
    struct str right = b->kind == JSON_NUMBER ? b->number.text : json_str(b);
    struct quantity x, y;

    if (str_eq(left, right))
        return true;
    return quantity_parse(left, &x) && quantity_parse(right, &y) && quantity_cmp(x, y) == 0;
}

/* Whether a value says no more than its absence. */
static bool is_zero(const struct type *type, uint32_t flags, const struct json *json)
{
    if (flags & FIELD_OMIT_EMPTY)
        return json_is_empty(json);
    switch (type->kind) {
    case TYPE_STRING:
    case TYPE_BYTES: return json->kind == JSON_STRING && json->string.len == 0;
    case TYPE_LIST: return json->kind == JSON_ARRAY && json->count == 0;
    case TYPE_MAP: return json->kind == JSON_OBJECT && json->count == 0;
    case TYPE_BOOL: return slot_is_plain(flags) && json->kind == JSON_BOOL && !json->boolean;
    case TYPE_INT32:
    case TYPE_INT64:
    case TYPE_DOUBLE: return slot_is_plain(flags) && json->kind == JSON_NUMBER && json_double(json, 1) == 0;
    case TYPE_QUANTITY: return slot_is_plain(flags) && quantities_equal(json, &zero_quantity);
    case TYPE_STRUCT: return flags & FIELD_INLINE && values_equal(type, flags, json, &empty_object);
    default: return false;
    }
}

static bool times_equal(const struct json *a, const struct json *b)
{
    nsec_t x, y;

    if (str_eq(json_str(a), json_str(b)))
        return true;
    return api_time_parse(json_str(a), &x) && api_time_parse(json_str(b), &y) && x == y;
}

static bool members_equal(const struct field *field, const struct json *a, const struct json *b)
{
    return !field || values_equal(field->type, field->flags, a, b); /* unknown ones do not count */
}

/* Both in order: one walk over the two. */
static bool sorted_structs_equal(const struct type *type, const struct json *a, const struct json *b)
{
    struct field_cursor cursor = field_cursor(type);
    uint32_t i = 0, j = 0;

    while (i < a->count || j < b->count) {
        const struct json_member *left = i < a->count ? &a->members[i] : NULL;
        const struct json_member *right = j < b->count ? &b->members[j] : NULL;
        int order = !left ? 1 : !right ? -1 : name_cmp(left->key, right->key);

        if (!members_equal(field_cursor_find(&cursor, order > 0 ? right->key : left->key),
                           order > 0 ? NULL : &left->value, order < 0 ? NULL : &right->value))
            return false;
        i += order <= 0;
        j += order >= 0;
    }
    return true;
}

static bool structs_equal(const struct type *type, const struct json *a, const struct json *b)
{
    if (members_sorted(a) && members_sorted(b))
        return sorted_structs_equal(type, a, b);
    for (uint32_t i = 0; i < type->field_count; i++) {
        const struct field *field = &type->fields[i];
        const struct json *left = json_get(a, field->name), *right = json_get(b, field->name);

        if ((left || right) && !members_equal(field, left, right))
            return false;
    }
    return true;
}

/* Below a dynamic type: unknown members count, and nothing equals its absence. */
static bool dynamic_structs_equal(const struct type *type, const struct json *a, const struct json *b)
{
    if (a->count != b->count)
        return false;
    for (uint32_t i = 0; i < a->count; i++) {
        const struct field *field = type_field(type, a->members[i].key);
        const struct json *left = &a->members[i].value, *right = json_get(b, a->members[i].key);
        bool built_in = field && field->type->kind == TYPE_STRUCT && !type_is_dynamic(field->type);

        if (!right || !(built_in ? values_equal(field->type, 0, left, right) : json_equal(left, right)))
            return false;
    }
    return true;
}

static bool lists_equal(const struct type *type, const struct json *a, const struct json *b)
{
    if (a->count != b->count)
        return false;
    for (uint32_t i = 0; i < a->count; i++)
        if (!values_equal(type->elem, ELEMENT_FLAGS, &a->items[i], &b->items[i]))
            return false;
    return true;
}

static bool maps_equal(const struct type *type, const struct json *a, const struct json *b)
{
    bool sorted = members_sorted(a) && members_sorted(b);

    if (a->count != b->count)
        return false;
    for (uint32_t i = 0; i < a->count; i++) {
        const struct json_member *member = &a->members[i];
        const struct json *other = &b->members[i].value;

        if (!str_eq(b->members[i].key, member->key))
            other = sorted ? NULL : json_get(b, member->key);

        if (!other || !values_equal(type->elem, ELEMENT_FLAGS, &member->value, other))
            return false;
    }
    return true;
}

static bool values_equal(const struct type *type, uint32_t flags, const struct json *a, const struct json *b)
{
    if (is_unset(a) || is_unset(b))
        return is_unset(a) ? is_unset(b) || is_zero(type, flags, b) : is_zero(type, flags, a);
    if (type->kind == TYPE_QUANTITY)
        return quantities_equal(a, b);
    if (a->kind != b->kind)
        return false;
    if (type->kind == TYPE_STRUCT && a->kind == JSON_OBJECT)
        return type_is_dynamic(type) ? dynamic_structs_equal(type, a, b) : structs_equal(type, a, b);
    if (type->kind == TYPE_LIST && a->kind == JSON_ARRAY)
        return lists_equal(type, a, b);
    if (type->kind == TYPE_MAP && a->kind == JSON_OBJECT)
        return maps_equal(type, a, b);
    if ((type->kind == TYPE_TIME || type->kind == TYPE_MICRO_TIME) && a->kind == JSON_STRING)
        return times_equal(a, b);
    return json_equal(a, b);
}

bool object_equal(const struct type *type, const struct json *a, const struct json *b)
{
    return values_equal(type, 0, a, b);
}
