/* view_decode.c - a JSON tree into the generated struct of its type.
 *
 * One recursive function per shape (struct, list, map), and one for scalars. Lists and maps are counted by the tree, so
 * every array is allocated once at its final size. null counts as unset everywhere, unknown members are skipped. */
#include "schema/view.h"

#include "codec/base64.h"
#include "schema/time.h"
#include "schema/walk.h"

struct decoder {
    struct arena *arena;
    struct str text; /* where strings may stay; unset: anywhere */
    struct err *err;
};

static int decode_value(struct decoder *d, const struct type *type, uint32_t flags, const struct json *json,
                        const struct path *path, void *slot);

static int no_memory(struct decoder *d)
{
    return err_set(d->err, ERR_NO_MEMORY, "decoding an object");
}

/* A string that lives as long as the view: of the text, else copied. */
static bool keep(struct decoder *d, struct str *s)
{
    uintptr_t at = (uintptr_t)s->data, start = (uintptr_t)d->text.data;

    if (!d->text.data || s->len == 0 || (at >= start && at + s->len <= start + d->text.len))
        return true;
    *s = arena_str(d->arena, *s);
    return s->data != NULL;
}

static int decode_struct(struct decoder *d, const struct type *type, const struct json *json, const struct path *path,
                         void *view)
{
    struct field_cursor cursor = field_cursor(type);
    int r;

    if (json->kind != JSON_OBJECT)
        return kind_error(d->err, path, type, json);
    for (uint32_t i = 0; i < json->count; i++) {
        const struct json_member *member = &json->members[i];
        const struct field *field = field_cursor_find(&cursor, member->key);

        if (!field || member->value.kind == JSON_NULL)
            continue;
        struct path at = path_field(path, type, field->name);

        r = decode_value(d, field->type, field->flags, &member->value, &at, (char *)view + field->offset);
        if (r < 0)
            return r;
    }
    return 0;
}

static int decode_list(struct decoder *d, const struct type *type, const struct json *json, const struct path *path,
                       struct any_array *list)
{
    size_t size = element_size(type->elem);
    char *items;
    int r;

    if (json->kind != JSON_ARRAY)
        return kind_error(d->err, path, type, json);
    if (json->count == 0)
        return 0;
    items = arena_array(d->arena, json->count, size);
    if (!items)
        return no_memory(d);
    for (uint32_t i = 0; i < json->count; i++) {
        struct path at = path_index(path, i);

        if (json->items[i].kind == JSON_NULL)
            continue;
        r = decode_value(d, type->elem, ELEMENT_FLAGS, &json->items[i], &at, items + i * size);
        if (r < 0)
            return r;
    }
    list->items = items;
    list->count = json->count;
    return 0;
}

static int entry_order(const void *a, const void *b)
{
    return name_cmp(*(const struct str *)a, *(const struct str *)b);
}

static int decode_map(struct decoder *d, const struct type *type, const struct json *json, const struct path *path,
                      struct any_array *map)
{
    size_t size = map_entry_size(type->elem);
    char *entries;
    int r;

    if (json->kind != JSON_OBJECT)
        return kind_error(d->err, path, type, json);
    if (json->count == 0)
        return 0;
    entries = arena_array(d->arena, json->count, size);
    if (!entries)
        return no_memory(d);
    for (uint32_t i = 0; i < json->count; i++) {
        const struct json_member *member = &json->members[i];
        struct path at = path_key(path, member->key);
        char *entry = entries + i * size;

        struct str key = member->key;

        if (!keep(d, &key))
            return no_memory(d);
        memcpy(entry, &key, sizeof key);
        if (member->value.kind == JSON_NULL)
            continue;
        r = decode_value(d, type->elem, ELEMENT_FLAGS, &member->value, &at, entry + MAP_VALUE_OFFSET);
        if (r < 0)
            return r;
    }
    if (!members_sorted(json))
        qsort(entries, json->count, size, entry_order);
    map->items = entries;
    map->count = json->count;
    return 0;
}

/* A slice of the tree, or the text of a number where one is allowed. */
static int decode_text(struct decoder *d, const struct type *type, const struct json *json, const struct path *path,
                       struct str *text)
{
    if (json->kind == JSON_STRING)
        *text = json->string.len ? json->string : STR("");
    else if (json->kind == JSON_NUMBER && type->kind == TYPE_QUANTITY)
        *text = json->number.text;
    else
        return kind_error(d->err, path, type, json);
    return keep(d, text) ? 0 : no_memory(d);
}

static int decode_any(struct decoder *d, const struct json *json, const struct json **slot)
{
    *slot = d->text.data ? json_copy(d->arena, json) : json;
    return *slot ? 0 : no_memory(d);
}

static int decode_bytes(struct decoder *d, const struct type *type, const struct json *json, const struct path *path,
                        struct str *bytes)
{
    if (json->kind != JSON_STRING)
        return kind_error(d->err, path, type, json);
    if (!base64_decode(d->arena, json->string, bytes))
        return arena_failed(d->arena) ? no_memory(d) : value_error(d->err, path, "illegal base64 data");
    if (!bytes->data)
        *bytes = STR("");
    return 0;
}

static int decode_bool(struct decoder *d, const struct type *type, uint32_t flags, const struct json *json,
                       const struct path *path, void *slot)
{
    if (json->kind != JSON_BOOL)
        return kind_error(d->err, path, type, json);
    if (slot_is_plain(flags))
        *(bool *)slot = json->boolean;
    else
        *(struct opt_bool *)slot = (struct opt_bool){ true, json->boolean };
    return 0;
}

static int decode_int(struct decoder *d, const struct type *type, uint32_t flags, const struct json *json,
                      const struct path *path, void *slot)
{
    bool plain = slot_is_plain(flags);
    int64_t value;

    if (json->kind != JSON_NUMBER || !json->is_int)
        return kind_error(d->err, path, type, json);
    value = json->number.i64;
    if (type->kind == TYPE_INT32 && (value < INT32_MIN || value > INT32_MAX))
        return kind_error(d->err, path, type, json);
    if (type->kind == TYPE_INT32 && plain)
        *(int32_t *)slot = (int32_t)value;
    else if (type->kind == TYPE_INT32)
        *(struct opt_i32 *)slot = (struct opt_i32){ true, (int32_t)value };
    else if (plain)
        *(int64_t *)slot = value;
    else
        *(struct opt_i64 *)slot = (struct opt_i64){ true, value };
    return 0;
}

static int decode_double(struct decoder *d, const struct type *type, uint32_t flags, const struct json *json,
                         const struct path *path, void *slot)
{
    if (json->kind != JSON_NUMBER)
        return kind_error(d->err, path, type, json);
    if (slot_is_plain(flags))
        *(double *)slot = json_double(json, 0);
    else
        *(struct opt_double *)slot = (struct opt_double){ true, json_double(json, 0) };
    return 0;
}

static int decode_time(struct decoder *d, const struct type *type, const struct json *json, const struct path *path,
                       struct api_time *time)
{
    nsec_t value;

    if (json->kind != JSON_STRING)
        return kind_error(d->err, path, type, json);
    if (!api_time_parse(json->string, &value))
        return value_error(d->err, path, "not a time in RFC 3339 format");
    *time = (struct api_time){ true, value };
    return 0;
}

static int decode_int_or_string(struct decoder *d, const struct type *type, const struct json *json,
                                const struct path *path, struct int_or_string *value)
{
    if (json->kind == JSON_STRING) {
        struct str text = json->string.len ? json->string : STR("");

        if (!keep(d, &text))
            return no_memory(d);
        *value = (struct int_or_string){ .set = true, .is_string = true, .string = text };
        return 0;
    }
    if (json->kind != JSON_NUMBER || !json->is_int || json->number.i64 < INT32_MIN || json->number.i64 > INT32_MAX)
        return kind_error(d->err, path, type, json);
    *value = (struct int_or_string){ .set = true, .int_value = (int32_t)json->number.i64 };
    return 0;
}

static int decode_value(struct decoder *d, const struct type *type, uint32_t flags, const struct json *json,
                        const struct path *path, void *slot)
{
    void *view;
    int r;

    switch (type->kind) {
    case TYPE_STRING:
    case TYPE_QUANTITY: return decode_text(d, type, json, path, slot);
    case TYPE_BYTES: return decode_bytes(d, type, json, path, slot);
    case TYPE_BOOL: return decode_bool(d, type, flags, json, path, slot);
    case TYPE_INT32:
    case TYPE_INT64: return decode_int(d, type, flags, json, path, slot);
    case TYPE_DOUBLE: return decode_double(d, type, flags, json, path, slot);
    case TYPE_TIME:
    case TYPE_MICRO_TIME: return decode_time(d, type, json, path, slot);
    case TYPE_INT_OR_STRING: return decode_int_or_string(d, type, json, path, slot);
    case TYPE_ANY: return decode_any(d, json, slot);
    case TYPE_LIST: return decode_list(d, type, json, path, slot);
    case TYPE_MAP: return decode_map(d, type, json, path, slot);
    case TYPE_STRUCT: break;
    }
    if (flags & FIELD_INLINE)
        return decode_struct(d, type, json, path, slot);
    view = arena_alloc(d->arena, type->size);
    if (!view)
        return no_memory(d);
    r = decode_struct(d, type, json, path, view);
    if (r == 0)
        *(void **)slot = view;
    return r;
}

int view_decode_from(struct arena *arena, const struct type *type, const struct json *json, struct str text,
                     void **ret_view, struct err *err)
{
    struct decoder d = { arena, text, err };

    INVARIANT(type->kind == TYPE_STRUCT && !type_is_dynamic(type));
    return decode_value(&d, type, 0, json, NULL, ret_view);
}

int view_decode(struct arena *arena, const struct type *type, const struct json *json, void **ret_view, struct err *err)
{
    return view_decode_from(arena, type, json, STR_NULL, ret_view, err);
}
