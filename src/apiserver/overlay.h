/* overlay.h - what earlier writes of the same transaction will have done: read before the store, by whoever plans a
 * later one. */
#pragma once

#include "base/map.h"
#include "store/store.h"

struct overlay {
    struct map written; /* key -> struct store_op, a put or a deletion; its value has no revision yet */
};

/* NULL: the store's state counts. overlay may be NULL: a write of its own. */
static inline const struct store_op *overlay_find(const struct overlay *overlay, struct str key)
{
    return overlay ? map_get(&overlay->written, key) : NULL;
}
