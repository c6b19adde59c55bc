/* deleted.h - what a deletion took with it, read from the store's history. */
#pragma once

#include "base/arena.h"
#include "codec/json.h"
#include "store/store.h"

struct deleted {
    struct str key;
    revision_t revision; /* when it went */
    revision_t begun;    /* when its deletion began: the same, or when it was marked */
    nsec_t time;         /* of revision; 0: not known */
    struct str actor;    /* who began it */
    struct json *object; /* its last state before that; the reader's to change */
};

/* All memory comes from arena. The last deletion of a key that is not there now. ERR_EXPIRED: none is retained, or not
 * all of it. */
int deleted_read(struct arena *arena, struct store_snapshot *snapshot, struct str key, revision_t at,
                 struct deleted *ret_deleted, struct err *err);
/* What has gone since the deletion of root began, and was owned by it or by something that comes back with it; of a
 * namespace also what was in it (but for events). Owners come before what they own; root is not among them.
 * ERR_TOO_LARGE: they are more than max. */
int deleted_with(struct arena *arena, struct store_snapshot *snapshot, const struct deleted *root, size_t max,
                 struct deleted **ret_items, size_t *ret_count, struct err *err);
