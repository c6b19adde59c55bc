/* view_encode.c - generated structs as a JSON tree. Which values are left out is decided in one place for the tree and
 * the text: slot_is_written(). Strings are shared with the view, numbers and times are written into the arena. */
#include "schema/view.h"

#include "codec/base64.h"
#include "schema/time.h"
#include "schema/view_slot.h"

struct encoder {
    struct arena *arena;
    struct err *err;
};

static int encode_value(struct encoder *e, const struct type *type, uint32_t flags, const void *slot,
                        struct json *json);

static int no_memory(struct encoder *e)
{
    return err_set(e->err, ERR_NO_MEMORY, "encoding an object");
}

static int encode_text(struct encoder *e, struct str text, struct json *json)
{
    if (!text.data)
        return no_memory(e);
    json->kind = JSON_STRING;
    json->string = text;
    return 0;
}

static int encode_number(struct encoder *e, struct str text, struct json *json)
{
    if (!text.data)
        return no_memory(e);
    json->kind = JSON_NUMBER;
    json->number.text = text;
    json->is_int = str_to_i64(text, &json->number.i64);
    return 0;
}

static int encode_bytes(struct encoder *e, struct str bytes, struct json *json)
{
    AUTO_DEINIT(buf, text) = BUF_INIT;

    base64_encode(&text, bytes);
    if (!buf_ok(&text))
        return no_memory(e);
    return encode_text(e, arena_str(e->arena, buf_str(&text)), json);
}

static int encode_identity(struct encoder *e, const struct type *type, const struct field *field, struct json *json)
{
    if (str_is(field->name, "kind"))
        return encode_text(e, type->kind_name, json);
    if (type->group.len == 0)
        return encode_text(e, type->version, json);
    return encode_text(e, arena_printf(e->arena, STR_FMT "/" STR_FMT, STR_ARG(type->group), STR_ARG(type->version)),
                       json);
}

static uint32_t count_written(const struct type *type, bool top, const void *view)
{
    uint32_t written = 0;

    for (uint32_t i = 0; i < type->field_count; i++) {
        const struct field *field = &type->fields[i];

        if (slot_is_written(field->type, field->flags, (const char *)view + field->offset) ||
            (top && field_is_identity(type, field, view)))
            written++;
    }
    return written;
}

static int encode_struct(struct encoder *e, const struct type *type, bool top, const void *view, struct json *json)
{
    uint32_t written = count_written(type, top, view);
    int r;

    json->kind = JSON_OBJECT;
    if (written == 0)
        return 0;
    json->members = arena_array_of(e->arena, written, struct json_member);
    if (!json->members)
        return no_memory(e);
    json->cap = written;
    for (uint32_t i = 0; i < type->field_count; i++) {
        const struct field *field = &type->fields[i];
        const void *slot = (const char *)view + field->offset;
        struct json_member *member = &json->members[json->count];
        bool identity = top && field_is_identity(type, field, view);

        if (!identity && !slot_is_written(field->type, field->flags, slot))
            continue;
        member->key = field->name;
        r = identity ? encode_identity(e, type, field, &member->value)
                     : encode_value(e, field->type, field->flags, slot, &member->value);
        if (r < 0)
            return r;
        json->count++;
    }
    return 0;
}

static int encode_list(struct encoder *e, const struct type *type, const struct any_array *list, struct json *json)
{
    size_t size = element_size(type->elem);
    int r;

    json->kind = JSON_ARRAY;
    if (list->count == 0)
        return 0;
    if (list->count > UINT32_MAX)
        return err_set(e->err, ERR_TOO_LARGE, "a list of %zu elements", list->count);
    json->items = arena_array_of(e->arena, list->count, struct json);
    if (!json->items)
        return no_memory(e);
    json->cap = (uint32_t)list->count;
    for (; json->count < list->count; json->count++) {
        r = encode_value(e, type->elem, ELEMENT_FLAGS, (const char *)list->items + json->count * size,
                         &json->items[json->count]);
        if (r < 0)
            return r;
    }
    return 0;
}

static int encode_map(struct encoder *e, const struct type *type, const struct any_array *map, struct json *json)
{
    size_t size = map_entry_size(type->elem);
    int r;

    json->kind = JSON_OBJECT;
    if (map->count == 0)
        return 0;
    if (map->count > UINT32_MAX)
        return err_set(e->err, ERR_TOO_LARGE, "a map of %zu entries", map->count);
    json->members = arena_array_of(e->arena, map->count, struct json_member);
    if (!json->members)
        return no_memory(e);
    json->cap = (uint32_t)map->count;
    for (; json->count < map->count; json->count++) {
        const char *entry = (const char *)map->items + json->count * size;

        json->members[json->count].key = *(const struct str *)entry;
        r = encode_value(e, type->elem, ELEMENT_FLAGS, entry + MAP_VALUE_OFFSET, &json->members[json->count].value);
        if (r < 0)
            return r;
    }
    if (!members_sorted(json))
        members_sort(json);
    return 0;
}

static int encode_any(struct encoder *e, const struct json *value, struct json *json)
{
    if (value)
        *json = *value;
    else
        json->kind = JSON_NULL;
    return 0;
}

static int encode_value(struct encoder *e, const struct type *type, uint32_t flags, const void *slot, struct json *json)
{
    char number[SLOT_NUMBER_LEN], time[API_TIME_LEN];
    struct str text;
    bool value = false;
    int r;

    switch (type->kind) {
    case TYPE_STRUCT:
        return encode_struct(e, type, false, flags & FIELD_INLINE ? slot : *(const void *const *)slot, json);
    case TYPE_LIST: return encode_list(e, type, slot, json);
    case TYPE_MAP: return encode_map(e, type, slot, json);
    case TYPE_ANY: return encode_any(e, *(const struct json *const *)slot, json);
    case TYPE_BYTES: return encode_bytes(e, *(const struct str *)slot, json);
    case TYPE_STRING:
    case TYPE_QUANTITY: return encode_text(e, slot_text(type, slot), json);
    case TYPE_TIME:
    case TYPE_MICRO_TIME: return encode_text(e, arena_str(e->arena, slot_time(type, slot, time)), json);
    case TYPE_BOOL:
        slot_bool(flags, slot, &value);
        *json = (struct json){ .kind = JSON_BOOL, .boolean = value };
        return 0;
    case TYPE_INT_OR_STRING:
        if (((const struct int_or_string *)slot)->is_string)
            return encode_text(e, slot_text(&type_string, &((const struct int_or_string *)slot)->string), json);
        break;
    case TYPE_INT32:
    case TYPE_INT64:
    case TYPE_DOUBLE: break;
    }
    r = slot_number(type, flags, slot, number, &text, e->err);
    return r < 0 ? r : encode_number(e, arena_str(e->arena, text), json);
}

int view_encode(struct arena *arena, const struct type *type, const void *view, struct json **ret_json, struct err *err)
{
    struct encoder e = { arena, err };
    struct json *json = json_new(arena, JSON_OBJECT);
    int r;

    if (!json)
        return no_memory(&e);
    r = encode_struct(&e, type, true, view, json);
    if (r == 0)
        *ret_json = json;
    return r;
}
