/* keyed.c - elements of lists by their key. */
#include "schema/keyed.h"

#define SEARCH_MAX 16

int keyed_init(struct keyed *keyed, struct arena *arena, uint32_t cap)
{
    *keyed = (struct keyed){ .keys = arena_array_of(arena, MAX(cap, 1u), struct str), .cap = cap };
    map_init(&keyed->first);
    return keyed->keys ? 0 : -1;
}

void keyed_deinit(struct keyed *keyed)
{
    map_deinit(&keyed->first);
}

int keyed_add(struct keyed *keyed, struct str key)
{
    INVARIANT(keyed->count < keyed->cap);
    if (keyed->cap > SEARCH_MAX && !map_get(&keyed->first, key) &&
        map_put(&keyed->first, key, (void *)((uintptr_t)keyed->count + 1), NULL) < 0)
        return -1;
    keyed->keys[keyed->count++] = key;
    return 0;
}

uint32_t keyed_find(const struct keyed *keyed, struct str key)
{
    if (keyed->cap > SEARCH_MAX) {
        uintptr_t position = (uintptr_t)map_get(&keyed->first, key);

        return position ? (uint32_t)(position - 1) : KEYED_NONE;
    }
    for (uint32_t i = 0; i < keyed->count; i++)
        if (str_eq(keyed->keys[i], key))
            return i;
    return KEYED_NONE;
}

struct str element_key(struct arena *arena, const struct json *element, struct str merge_key)
{
    const struct json *key = merge_key.len > 0 ? json_get(element, merge_key) : element;
    struct str text;

    if (!key)
        return STR_NULL;
    if (key->kind == JSON_STRING)
        return key->string.data ? key->string : STR("");
    text = json_text(arena, key);
    return text.data ? arena_printf(arena, "\x01" STR_FMT, STR_ARG(text)) : STR_NULL;
}
