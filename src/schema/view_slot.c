/* view_slot.c - what is written of one value in a view, and how. */
#include "schema/view_slot.h"

#include <math.h>
#include <stdio.h>

bool field_is_identity(const struct type *type, const struct field *field, const void *view)
{
    return type->kind_name.len > 0 && field->type->kind == TYPE_STRING &&
           (str_is(field->name, "kind") || str_is(field->name, "apiVersion")) &&
           ((const struct str *)((const char *)view + field->offset))->len == 0;
}

bool slot_is_written(const struct type *type, uint32_t flags, const void *slot)
{
    bool always = flags & (FIELD_ALWAYS | FIELD_INLINE), omit = flags & FIELD_OMIT_EMPTY;
    const struct str *text = slot;
    int64_t number = 0;
    double real = 0;
    bool boolean = false;

    switch (type->kind) {
    case TYPE_STRING:
    case TYPE_BYTES:
    case TYPE_QUANTITY: return always || (omit ? text->len > 0 : text->data != NULL);
    case TYPE_BOOL: return slot_bool(flags, slot, &boolean) && (boolean || !omit);
    case TYPE_INT32:
    case TYPE_INT64: return slot_int(type, flags, slot, &number) && (number != 0 || !omit);
    case TYPE_DOUBLE: return slot_double(flags, slot, &real) && (real != 0 || !omit);
    case TYPE_TIME:
    case TYPE_MICRO_TIME: return ((const struct api_time *)slot)->set;
    case TYPE_INT_OR_STRING: return ((const struct int_or_string *)slot)->set;
    case TYPE_ANY: return *(const struct json *const *)slot;
    case TYPE_STRUCT: return flags & FIELD_INLINE || *(const void *const *)slot;
    case TYPE_LIST:
    case TYPE_MAP: return always || ((const struct any_array *)slot)->count > 0;
    }
    return false;
}

struct str slot_text(const struct type *type, const void *slot)
{
    struct str text = *(const struct str *)slot;

    if (text.data)
        return text;
    return type->kind == TYPE_QUANTITY ? STR("0") : STR("");
}

struct str slot_time(const struct type *type, const void *slot, char out[API_TIME_LEN])
{
    const struct api_time *time = slot;

    return type->kind == TYPE_MICRO_TIME ? api_micro_time_text(time->unix_nsec, out)
                                         : api_time_text(time->unix_nsec, out);
}

/* The shortest of the usual precisions that reads back as the same number. */
static int double_text(double value, char out[SLOT_NUMBER_LEN], struct err *err)
{
    int len = 0;

    if (!isfinite(value))
        return err_set(err, ERR_INVALID, "a number that is not finite");
    for (int precision = 15; precision <= 17; precision++) {
        len = snprintf(out, SLOT_NUMBER_LEN, "%.*g", precision, value);
        if (strtod(out, NULL) == value)
            break;
    }
    return len;
}

int slot_number(const struct type *type, uint32_t flags, const void *slot, char out[SLOT_NUMBER_LEN],
                struct str *ret_text, struct err *err)
{
    int64_t number = 0;
    double real = 0;
    int len;

    if (type->kind == TYPE_DOUBLE) {
        slot_double(flags, slot, &real);
        len = double_text(real, out, err);
        if (len < 0)
            return len;
    } else {
        if (type->kind == TYPE_INT_OR_STRING)
            number = ((const struct int_or_string *)slot)->int_value;
        else
            slot_int(type, flags, slot, &number);
        len = snprintf(out, SLOT_NUMBER_LEN, "%lld", (long long)number);
    }
    *ret_text = str_of(out, (size_t)len);
    return 0;
}
