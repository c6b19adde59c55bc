/* strategic.h - the parts of strategic merge patch: maps (strategic.c) and lists (strategic_list.c). Internal. */
#pragma once

#include "schema/keyed.h"
#include "schema/object.h"

#define DIRECTIVE STR("$patch")
#define RETAIN_KEYS STR("$retainKeys")
#define DELETE_FROM_LIST STR("$deleteFromPrimitiveList/")
#define SET_ELEMENT_ORDER STR("$setElementOrder/")

struct merger {
    struct arena *arena;
    struct err *err;
};

/* What the table says of one member. type is NULL where it says nothing. */
struct patch_meta {
    const struct type *type;
    uint32_t flags;
    struct str merge_key;
};

int merge_no_memory(struct merger *m);
/* Both objects; original changes, or takes the place of patch. */
int merge_map(struct merger *m, const struct type *type, struct json *original, struct json *patch);
/* Takes nulls and directives out of a part of the patch that becomes part of the object as it is. False: the part asks
 * for its own removal. */
int merge_clean(struct merger *m, struct json *part, bool *ret_keep);

/* original and patch are arrays, either may be NULL for absent; order is the $setElementOrder list or NULL. */
int merge_list(struct merger *m, const struct patch_meta *meta, const struct json *original, struct json *patch,
               const struct json *order, struct json *ret_list);
/* $deleteFromPrimitiveList */
int merge_delete_scalars(struct merger *m, struct json *original, const struct json *remove);
