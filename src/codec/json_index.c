/* json_index.c - open addressing with linear probing, at most half full.
 *
 * A slot keeps 32 bits of the hash beside the position, so growing never reads a key again and a probe rarely reads a
 * wrong one. The hash starts from a secret that nobody outside the process knows: keys come from clients, who must not
 * be able to choose them so that they all meet in one slot. As no result depends on the order of slots, a run stays
 * reproducible. */
#include "codec/json_index.h"

#include "base/hash.h"

#define SLOTS_MIN 64 /* a power of two */

struct slot {
    uint32_t hash;
    uint32_t position; /* plus one; 0: empty */
};

struct json_index {
    uint64_t secret;
    uint32_t count, mask;
    struct slot slots[];
};

static uint64_t mix(uint64_t a, uint64_t b)
{
    unsigned __int128 product = (unsigned __int128)a * b;

    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static uint32_t hash_key(const struct json_index *index, struct str key)
{
    uint64_t hash = index->secret ^ key.len, a, b = 0;
    const char *p = key.data;
    size_t left = key.len;

    for (; left > 16; left -= 16, p += 16) {
        memcpy(&a, p, 8);
        memcpy(&b, p + 8, 8);
        hash = mix(a ^ hash, b ^ 0xA0761D6478BD642Full ^ index->secret);
    }
    a = b = 0;
    if (left > 8) {
        memcpy(&a, p, 8);
        memcpy(&b, p + 8, left - 8);
    } else if (left) {
        memcpy(&a, p, left);
    }
    return (uint32_t)mix(mix(a ^ hash, b ^ 0xE7037ED1A0B428DBull ^ index->secret), 0x8EBC6AF09C88C6E3ull);
}

static struct json_index *index_alloc(struct arena *arena, uint32_t members)
{
    uint32_t slots = SLOTS_MIN;

    if (members > UINT32_MAX / 16)
        return NULL;
    while (slots < 4 * members)
        slots *= 2;
    struct json_index *index = arena_alloc(arena, sizeof *index + slots * sizeof(struct slot));

    if (!index)
        return NULL;
    index->mask = slots - 1;
    index->secret = hash_str(str_of(&index, sizeof index));
    return index;
}

static void put(struct json_index *index, uint32_t hash, uint32_t position)
{
    uint32_t i = hash & index->mask;

    while (index->slots[i].position)
        i = (i + 1) & index->mask;
    index->slots[i] = (struct slot){ hash, position };
    index->count++;
}

struct json_index *json_index_new(struct arena *arena, const struct json_member *members, uint32_t count)
{
    struct json_index *index = index_alloc(arena, count);

    if (!index)
        return NULL;
    for (uint32_t i = 0; i < count; i++)
        put(index, hash_key(index, members[i].key), i + 1);
    return index;
}

/* A copy with room for twice as many; the hashes stay valid because the secret moves along. */
static struct json_index *index_enlarge(struct arena *arena, const struct json_index *old)
{
    struct json_index *index = index_alloc(arena, old->count);

    if (!index)
        return NULL;
    index->secret = old->secret;
    for (uint32_t i = 0; i <= old->mask; i++)
        if (old->slots[i].position)
            put(index, old->slots[i].hash, old->slots[i].position);
    return index;
}

struct json_index *json_index_add(struct arena *arena, struct json_index *index, const struct json_member *members,
                                  uint32_t at)
{
    if (index->count >= index->mask / 2)
        index = index_enlarge(arena, index);
    if (index)
        put(index, hash_key(index, members[at].key), at + 1);
    return index;
}

uint32_t json_index_find(const struct json_index *index, const struct json_member *members, struct str key)
{
    uint32_t hash = hash_key(index, key);

    for (uint32_t i = hash & index->mask; index->slots[i].position; i = (i + 1) & index->mask) {
        uint32_t at = index->slots[i].position - 1;

        if (index->slots[i].hash == hash && str_eq(members[at].key, key))
            return at;
    }
    return JSON_INDEX_NONE;
}

/* Closes the gap: entries that probed past slot i move back, so that no search stops early. */
static void close_gap(struct json_index *index, uint32_t i)
{
    for (uint32_t j = (i + 1) & index->mask; index->slots[j].position; j = (j + 1) & index->mask) {
        uint32_t home = index->slots[j].hash & index->mask;

        if (((j - home) & index->mask) < ((j - i) & index->mask))
            continue;
        index->slots[i] = index->slots[j];
        i = j;
    }
    index->slots[i] = (struct slot){ 0 };
}

void json_index_remove(struct json_index *index, const struct json_member *members, uint32_t at)
{
    uint32_t i = hash_key(index, members[at].key) & index->mask;

    while (index->slots[i].position != at + 1) {
        INVARIANT(index->slots[i].position);
        i = (i + 1) & index->mask;
    }
    close_gap(index, i);
    index->count--;
    if (at == index->count)
        return;
    for (i = 0; i <= index->mask; i++)
        if (index->slots[i].position > at + 1)
            index->slots[i].position--;
}
