/* map.c - linear probing; a deleted entry keeps its place with a marker until the table is rebuilt. */
#include "base/map.h"

#include "base/hash.h"

static char deleted_marker;
#define DELETED ((void *)&deleted_marker)
#define CAP_MIN 16

void map_init(struct map *map)
{
    *map = (struct map)MAP_INIT;
}

void map_deinit(struct map *map)
{
    free(map->entries);
    *map = (struct map)MAP_INIT;
}

void map_clear(struct map *map)
{
    map_deinit(map);
}

static bool is_live(const struct map_entry *entry)
{
    return entry->value && entry->value != DELETED;
}

static struct map_entry *find(const struct map *map, struct str key, uint64_t hash)
{
    if (map->cap == 0)
        return NULL;
    for (size_t i = hash & (map->cap - 1);; i = (i + 1) & (map->cap - 1)) {
        struct map_entry *entry = &map->entries[i];

        if (!entry->value)
            return NULL;
        if (entry->value != DELETED && entry->hash == hash && str_eq(entry->key, key))
            return entry;
    }
}

static void place(struct map_entry *entries, size_t cap, struct map_entry entry)
{
    size_t i = entry.hash & (cap - 1);

    while (entries[i].value)
        i = (i + 1) & (cap - 1);
    entries[i] = entry;
}

static int rebuild(struct map *map, size_t cap)
{
    struct map_entry *entries = calloc(cap, sizeof *entries);

    if (!entries)
        return -1;
    for (size_t i = 0; i < map->cap; i++)
        if (is_live(&map->entries[i]))
            place(entries, cap, map->entries[i]);
    free(map->entries);
    map->entries = entries;
    map->cap = cap;
    map->used = map->count;
    return 0;
}

void *map_get(const struct map *map, struct str key)
{
    struct map_entry *entry = map->cap ? find(map, key, hash_str(key)) : NULL;

    return entry ? entry->value : NULL;
}

int map_put(struct map *map, struct str key, void *value, void **ret_old)
{
    uint64_t hash = hash_str(key);
    struct map_entry *entry = find(map, key, hash);

    INVARIANT(value);
    if (ret_old)
        *ret_old = entry ? entry->value : NULL;
    if (entry) {
        entry->key = key;
        entry->value = value;
        return 0;
    }
    if ((map->used + 1) * 4 > map->cap * 3) {
        size_t cap = MAX(map->cap, CAP_MIN);

        while ((map->count + 1) * 2 > cap)
            cap *= 2;
        if (rebuild(map, cap) < 0)
            return -1;
    }
    place(map->entries, map->cap, (struct map_entry){ key, value, hash });
    map->count++;
    map->used++;
    return 0;
}

void *map_remove(struct map *map, struct str key)
{
    struct map_entry *entry = map->cap ? find(map, key, hash_str(key)) : NULL;

    if (!entry)
        return NULL;
    void *value = entry->value;

    entry->value = DELETED;
    entry->key = STR_NULL;
    map->count--;
    return value;
}

struct map_entry *map_next(const struct map *map, struct map_entry *previous)
{
    struct map_entry *entry = previous ? previous + 1 : map->entries;

    for (; entry && entry < map->entries + map->cap; entry++)
        if (is_live(entry))
            return entry;
    return NULL;
}
