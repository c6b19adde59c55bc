/* index.h - every key and where its newest record is, in byte order of the keys.
 *
 * Return LMDB's codes, as engine.h says. A key is 1 to INDEX_KEY_MAX bytes of any value. The store has two such
 * indexes: of keys, and of terms and keys (term_index.h). */
#pragma once

#include "store/engine.h"

struct index_entry {
    position_t position; /* of the newest record */
    revision_t created;
    bool deleted; /* the newest record is a deletion that is not compacted yet */
};

int index_get(const struct index_trees *trees, MDB_txn *txn, struct str key, struct index_entry *ret_entry);
int index_put(const struct index_trees *trees, MDB_txn *txn, struct str key, const struct index_entry *entry);
int index_delete(const struct index_trees *trees, MDB_txn *txn, struct str key);

#define INDEX_SEGMENT 480 /* LMDB takes keys of up to 511 bytes */
#define INDEX_KEY_MAX (STORE_TERM_MAX + 1 + STORE_KEY_MAX)
#define INDEX_LEVELS (INDEX_KEY_MAX / INDEX_SEGMENT + 1)

struct index_cursor {
    const struct index_trees *trees;
    MDB_txn *txn;
    MDB_cursor *levels[INDEX_LEVELS];
    uint64_t nodes[INDEX_LEVELS];
    int depth;
    char path[INDEX_LEVELS * INDEX_SEGMENT]; /* of a long key, as far as it is known */
};

int index_cursor_init(struct index_cursor *cursor, const struct index_trees *trees, MDB_txn *txn);
void index_cursor_deinit(struct index_cursor *cursor);
/* The first key >= start. The key is valid until the cursor moves. */
int index_cursor_seek(struct index_cursor *cursor, struct str start, struct str *ret_key,
                      struct index_entry *ret_entry);
int index_cursor_next(struct index_cursor *cursor, struct str *ret_key, struct index_entry *ret_entry);
