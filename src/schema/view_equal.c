/* view_equal.c - whether two views mean the same. */
#include "codec/json.h"
#include "schema/quantity.h"
#include "schema/view.h"
#include "schema/walk.h"

static bool quantities_equal(uint32_t flags, struct str a, struct str b)
{
    struct quantity left, right;

    if (str_eq(a, b))
        return true;
    if (slot_is_plain(flags)) {
        a = a.data ? a : STR("0");
        b = b.data ? b : STR("0");
    }
    return quantity_parse(a, &left) && quantity_parse(b, &right) && quantity_cmp(left, right) == 0;
}

static bool times_equal(const struct api_time *a, const struct api_time *b)
{
    return a->set == b->set && (!a->set || a->unix_nsec == b->unix_nsec);
}

static bool ints_or_strings_equal(const struct int_or_string *a, const struct int_or_string *b)
{
    if (!a->set || !b->set || a->is_string != b->is_string)
        return a->set == b->set && !a->set;
    return a->is_string ? str_eq(a->string, b->string) : a->int_value == b->int_value;
}

static bool anys_equal(const struct json *a, const struct json *b)
{
    if (!a || !b)
        return (!a || a->kind == JSON_NULL) && (!b || b->kind == JSON_NULL);
    return json_equal(a, b);
}

static bool slots_equal(const struct type *type, uint32_t flags, const void *a, const void *b);

static bool arrays_equal(const struct type *type, const struct any_array *a, const struct any_array *b)
{
    bool map = type->kind == TYPE_MAP;
    size_t size = map ? map_entry_size(type->elem) : element_size(type->elem);
    size_t offset = map ? MAP_VALUE_OFFSET : 0;

    if (a->count != b->count)
        return false;
    for (size_t i = 0; i < a->count; i++) {
        const char *left = (const char *)a->items + i * size, *right = (const char *)b->items + i * size;

        if (map && !str_eq(*(const struct str *)left, *(const struct str *)right))
            return false;
        if (!slots_equal(type->elem, ELEMENT_FLAGS, left + offset, right + offset))
            return false;
    }
    return true;
}

static bool structs_equal(const struct type *type, uint32_t flags, const void *a, const void *b)
{
    if (!(flags & FIELD_INLINE)) {
        a = *(const void *const *)a;
        b = *(const void *const *)b;
    }
    return a && b ? view_equal(type, a, b) : a == b;
}

/* Both or none; where Go omits zeros, unset is zero. */
static bool both_set(uint32_t flags, bool a, bool b)
{
    return a == b || flags & FIELD_OMIT_EMPTY;
}

static bool slots_equal(const struct type *type, uint32_t flags, const void *a, const void *b)
{
    int64_t left = 0, right = 0;
    double left_real = 0, right_real = 0;
    bool left_bool = false, right_bool = false;

    switch (type->kind) {
    case TYPE_STRING:
    case TYPE_BYTES: return str_eq(*(const struct str *)a, *(const struct str *)b);
    case TYPE_QUANTITY: return quantities_equal(flags, *(const struct str *)a, *(const struct str *)b);
    case TYPE_BOOL:
        return both_set(flags, slot_bool(flags, a, &left_bool), slot_bool(flags, b, &right_bool)) &&
               left_bool == right_bool;
    case TYPE_INT32:
    case TYPE_INT64:
        return both_set(flags, slot_int(type, flags, a, &left), slot_int(type, flags, b, &right)) && left == right;
    case TYPE_DOUBLE:
        return both_set(flags, slot_double(flags, a, &left_real), slot_double(flags, b, &right_real)) &&
               left_real == right_real;
    case TYPE_TIME:
    case TYPE_MICRO_TIME: return times_equal(a, b);
    case TYPE_INT_OR_STRING: return ints_or_strings_equal(a, b);
    case TYPE_ANY: return anys_equal(*(const struct json *const *)a, *(const struct json *const *)b);
    case TYPE_LIST:
    case TYPE_MAP: return arrays_equal(type, a, b);
    case TYPE_STRUCT: return structs_equal(type, flags, a, b);
    }
    return false;
}

bool view_equal(const struct type *type, const void *a, const void *b)
{
    if (a == b)
        return true;
    for (uint32_t i = 0; i < type->field_count; i++) {
        const struct field *field = &type->fields[i];

        if (!slots_equal(field->type, field->flags, (const char *)a + field->offset, (const char *)b + field->offset))
            return false;
    }
    return true;
}
