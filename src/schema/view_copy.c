/* view_copy.c - deep copies of views. Memory is copied bytewise first; then every pointer in it is replaced by one to
 * a copy. */
#include "codec/json.h"
#include "schema/view.h"
#include "schema/walk.h"

static bool copy_in_place(struct arena *arena, const struct type *type, uint32_t flags, void *slot);

static bool copy_text(struct arena *arena, struct str *text)
{
    if (!text->data)
        return true;
    *text = arena_str(arena, *text);
    return text->data;
}

static bool copy_fields(struct arena *arena, const struct type *type, void *view)
{
    for (uint32_t i = 0; i < type->field_count; i++)
        if (!copy_in_place(arena, type->fields[i].type, type->fields[i].flags, (char *)view + type->fields[i].offset))
            return false;
    return true;
}

static bool copy_array(struct arena *arena, const struct type *type, struct any_array *array)
{
    bool map = type->kind == TYPE_MAP;
    size_t size = map ? map_entry_size(type->elem) : element_size(type->elem);
    char *items;

    if (array->count == 0) {
        array->items = NULL;
        return true;
    }
    items = arena_array(arena, array->count, size);
    if (!items)
        return false;
    memcpy(items, array->items, array->count * size);
    array->items = items;
    for (size_t i = 0; i < array->count; i++) {
        char *item = items + i * size;

        if (map && !copy_text(arena, (struct str *)item))
            return false;
        if (!copy_in_place(arena, type->elem, ELEMENT_FLAGS, map ? item + MAP_VALUE_OFFSET : item))
            return false;
    }
    return true;
}

static bool copy_in_place(struct arena *arena, const struct type *type, uint32_t flags, void *slot)
{
    switch (type->kind) {
    case TYPE_STRING:
    case TYPE_BYTES:
    case TYPE_QUANTITY: return copy_text(arena, slot);
    case TYPE_INT_OR_STRING: return copy_text(arena, &((struct int_or_string *)slot)->string);
    case TYPE_LIST:
    case TYPE_MAP: return copy_array(arena, type, slot);
    case TYPE_ANY:
        if (*(const struct json **)slot)
            *(const struct json **)slot = json_copy(arena, *(const struct json **)slot);
        return !arena_failed(arena);
    case TYPE_STRUCT:
        if (flags & FIELD_INLINE)
            return copy_fields(arena, type, slot);
        if (*(void **)slot)
            *(void **)slot = view_copy(arena, type, *(void **)slot);
        return !arena_failed(arena);
    default: return true; /* held by value */
    }
}

void *view_copy(struct arena *arena, const struct type *type, const void *view)
{
    void *copy = arena_alloc(arena, type->size);

    if (!copy)
        return NULL;
    memcpy(copy, view, type->size);
    return copy_fields(arena, type, copy) ? copy : NULL;
}
