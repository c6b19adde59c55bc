/* map.h - hash map from byte strings to pointers, open addressing, safe with keys that strangers choose. Keys are not
 * copied: they must live in the value (or longer). Not thread-safe. Iteration order is unspecified; deleting the
 * current entry while iterating is allowed, adding is not. */
#pragma once

#include "base/str.h"

struct map_entry {
    struct str key;
    void *value; /* never NULL for a live entry */
    uint64_t hash;
};

struct map {
    struct map_entry *entries;
    size_t count, used, cap; /* live; live and deleted; a power of two or 0 */
};

#define MAP_INIT { NULL, 0, 0, 0 }

void map_init(struct map *map);
void map_deinit(struct map *map);
void map_clear(struct map *map);
void *map_get(const struct map *map, struct str key); /* NULL when absent */
/* Adds or replaces (the key slice too). The old value goes to *ret_old when that is not NULL. -1 without memory. */
int map_put(struct map *map, struct str key, void *value, void **ret_old);
void *map_remove(struct map *map, struct str key); /* the value, or NULL */

/* struct map_entry *e = NULL; while ((e = map_next(&map, e))) ... */
struct map_entry *map_next(const struct map *map, struct map_entry *previous);
