/* view_write.c - generated structs straight to JSON text: what a component sends and what the store keeps. */
#include "codec/base64.h"
#include "schema/view.h"
#include "schema/view_slot.h"

static int write_value(struct buf *buf, const struct type *type, uint32_t flags, const void *slot, struct err *err);

/* Names of fields have nothing to escape. */
static void write_key(struct buf *buf, struct str name, bool *comma)
{
    char *out = buf_reserve(buf, name.len + 4);

    if (!out)
        return;
    if (*comma)
        *out++ = ',';
    *out++ = '"';
    memcpy(out, name.data, name.len);
    out += name.len;
    *out++ = '"';
    *out++ = ':';
    buf->len = (size_t)(out - buf->data);
    *comma = true;
}

static void write_identity(struct buf *buf, const struct type *type, const struct field *field)
{
    buf_add_char(buf, '"');
    if (str_is(field->name, "kind")) {
        buf_add_str(buf, type->kind_name);
    } else {
        buf_add_str(buf, type->group);
        if (type->group.len > 0)
            buf_add_char(buf, '/');
        buf_add_str(buf, type->version);
    }
    buf_add_char(buf, '"');
}

static int write_struct(struct buf *buf, const struct type *type, bool top, const void *view, struct err *err)
{
    bool comma = false;
    int r;

    buf_add_char(buf, '{');
    for (uint32_t i = 0; i < type->field_count; i++) {
        const struct field *field = &type->fields[i];
        const void *slot = (const char *)view + field->offset;
        bool identity = top && field_is_identity(type, field, view);

        if (!identity && !slot_is_written(field->type, field->flags, slot))
            continue;
        write_key(buf, field->name, &comma);
        if (identity) {
            write_identity(buf, type, field);
            continue;
        }
        r = write_value(buf, field->type, field->flags, slot, err);
        if (r < 0)
            return r;
    }
    buf_add_char(buf, '}');
    return 0;
}

static int write_list(struct buf *buf, const struct type *type, const struct any_array *list, struct err *err)
{
    size_t size = element_size(type->elem);
    int r;

    buf_add_char(buf, '[');
    for (size_t i = 0; i < list->count; i++) {
        if (i > 0)
            buf_add_char(buf, ',');
        r = write_value(buf, type->elem, ELEMENT_FLAGS, (const char *)list->items + i * size, err);
        if (r < 0)
            return r;
    }
    buf_add_char(buf, ']');
    return 0;
}

/* Entries are sorted by contract; a map made by hand in another order is written as it is. */
static int write_map(struct buf *buf, const struct type *type, const struct any_array *map, struct err *err)
{
    size_t size = map_entry_size(type->elem);
    int r;

    buf_add_char(buf, '{');
    for (size_t i = 0; i < map->count; i++) {
        const char *entry = (const char *)map->items + i * size;

        if (i > 0)
            buf_add_char(buf, ',');
        json_write_str(buf, *(const struct str *)entry);
        buf_add_char(buf, ':');
        r = write_value(buf, type->elem, ELEMENT_FLAGS, entry + MAP_VALUE_OFFSET, err);
        if (r < 0)
            return r;
    }
    buf_add_char(buf, '}');
    return 0;
}

static void write_quoted(struct buf *buf, struct str text)
{
    buf_add_char(buf, '"');
    buf_add_str(buf, text);
    buf_add_char(buf, '"');
}

static void write_bytes(struct buf *buf, struct str bytes)
{
    buf_add_char(buf, '"');
    base64_encode(buf, bytes);
    buf_add_char(buf, '"');
}

static void write_any(struct buf *buf, const struct json *json)
{
    if (json)
        json_write(buf, json);
    else
        buf_add_str(buf, STR("null"));
}

static int write_number(struct buf *buf, const struct type *type, uint32_t flags, const void *slot, struct err *err)
{
    char number[SLOT_NUMBER_LEN];
    struct str text;
    int64_t value = 0;
    int r;

    if (type->kind == TYPE_INT32 || type->kind == TYPE_INT64) {
        slot_int(type, flags, slot, &value);
        buf_add_i64(buf, value);
        return 0;
    }
    r = slot_number(type, flags, slot, number, &text, err);
    if (r == 0)
        buf_add_str(buf, text);
    return r;
}

static int write_value(struct buf *buf, const struct type *type, uint32_t flags, const void *slot, struct err *err)
{
    const struct int_or_string *either = slot;
    char time[API_TIME_LEN];
    bool value = false;

    switch (type->kind) {
    case TYPE_STRUCT:
        return write_struct(buf, type, false, flags & FIELD_INLINE ? slot : *(const void *const *)slot, err);
    case TYPE_LIST: return write_list(buf, type, slot, err);
    case TYPE_MAP: return write_map(buf, type, slot, err);
    case TYPE_ANY: write_any(buf, *(const struct json *const *)slot); return 0;
    case TYPE_BYTES: write_bytes(buf, *(const struct str *)slot); return 0;
    case TYPE_STRING:
    case TYPE_QUANTITY: json_write_str(buf, slot_text(type, slot)); return 0;
    case TYPE_TIME:
    case TYPE_MICRO_TIME: write_quoted(buf, slot_time(type, slot, time)); return 0;
    case TYPE_BOOL:
        slot_bool(flags, slot, &value);
        buf_add_str(buf, value ? STR("true") : STR("false"));
        return 0;
    case TYPE_INT_OR_STRING:
        if (!either->is_string)
            break;
        json_write_str(buf, slot_text(&type_string, &either->string));
        return 0;
    case TYPE_INT32:
    case TYPE_INT64:
    case TYPE_DOUBLE: break;
    }
    return write_number(buf, type, flags, slot, err);
}

int view_write(struct buf *buf, const struct type *type, const void *view, struct err *err)
{
    int r = write_struct(buf, type, true, view, err);

    if (r == 0 && !buf_ok(buf))
        return err_set(err, ERR_NO_MEMORY, "writing an object");
    return r;
}
