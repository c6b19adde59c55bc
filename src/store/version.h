/* version.h - the states of one key through time. Return LMDB's codes, as engine.h says. */
#pragma once

#include "store/engine.h"

/* The record that was current at a revision, starting from a newer one (or itself) of the same key. MDB_NOTFOUND: there
 * was none, or it was deleted. */
int version_at(struct engine *engine, MDB_txn *txn, revision_t floor, position_t newest, revision_t at,
               position_t *ret_position, struct record *ret_record);

/* The same, also when that record is a deletion. */
int version_find(struct engine *engine, MDB_txn *txn, revision_t floor, position_t newest, revision_t at,
                 position_t *ret_position, struct record *ret_record);

/* Fills previous, jump and depths of a record that follows the one at `previous` (0: it is the first). */
int version_link(struct engine *engine, MDB_txn *txn, position_t previous, const struct record *previous_record,
                 struct record *record);
