/* json_index.h - the hash index over the members of one large JSON object. Only for codec/json*.c.
 *
 * Lives in an arena and holds positions, never pointers, so members may move. Every function that finds or changes
 * entries gets the current members. Not thread-safe while changed; any number of threads may find. */
#pragma once

#include "codec/json.h"

/* Objects with fewer members are searched one by one. */
#define JSON_INDEX_MIN 24
#define JSON_INDEX_NONE UINT32_MAX

struct json_index;

/* Over the first count members, whose keys differ. NULL without memory. */
struct json_index *json_index_new(struct arena *arena, const struct json_member *members, uint32_t count);
/* Enters members[at]; returns the index to use from now on (a larger one may take its place), NULL without memory. */
struct json_index *json_index_add(struct arena *arena, struct json_index *index, const struct json_member *members,
                                  uint32_t at);
uint32_t json_index_find(const struct json_index *index, const struct json_member *members, struct str key);
/* Takes out members[at], which is still in place, and moves all later positions down by one. */
void json_index_remove(struct json_index *index, const struct json_member *members, uint32_t at);
