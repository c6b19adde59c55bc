/* keyed.h - the elements of a JSON list by their key: a member of each (merge lists of maps) or themselves (lists of
 * scalars). Internal to schema/. Short lists are searched one by one, long ones through a hash map. */
#pragma once

#include "base/map.h"
#include "codec/json.h"

struct keyed {
    struct str *keys; /* in the arena */
    uint32_t count, cap;
    struct map first; /* key to position + 1 of its first element; empty while the list is short */
};

#define KEYED_NONE UINT32_MAX

/* Of at most cap elements. Both return -1 without memory. */
int keyed_init(struct keyed *keyed, struct arena *arena, uint32_t cap);
int keyed_add(struct keyed *keyed, struct str key); /* its position is the count before */
void keyed_deinit(struct keyed *keyed);
/* The position of the first element with that key, or KEYED_NONE. */
uint32_t keyed_find(const struct keyed *keyed, struct str key);

/* What an element is found by: a string as it is, another scalar as text that no string equals. merge_key empty: the
 * element itself. data == NULL: it has none (ok), or no memory (arena_failed()). */
struct str element_key(struct arena *arena, const struct json *element, struct str merge_key);
