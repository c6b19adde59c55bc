/* compact.c - forgetting, in steps that are short enough to go between two commits.
 *
 * Every record names the one that it replaced. So to forget all states superseded at or before the floor, it is enough
 * to go once through the records up to the floor: the predecessor of each goes, and a deletion goes itself, with its
 * key's entry in the index when nothing came after it; terms that only forgotten states had go from their index.
 * `trimmed` remembers how far this has come; what was before it never has to be looked at again, so a compaction costs
 * what has been written since the last one, not what is stored.
 *
 * The new floor is committed with the first step: from then on nobody may read below it. A process that dies half way
 * goes on where it was when the store is opened again. */
#include "store/store_private.h"
#include "store/term_index.h"

#define STEP_RECORDS 1024

static struct str keep_terms(struct str terms, char *out)
{
    if (terms.len > 0 && terms.len <= TERMS_BYTES_MAX)
        memcpy(out, terms.data, terms.len);
    return str_of(out, MIN(terms.len, TERMS_BYTES_MAX));
}

/* The terms that the state before had and this one has not. */
static int forget_terms(struct store *store, MDB_txn *txn, position_t position, const struct record *record,
                        struct str key)
{
    char before_bytes[TERMS_BYTES_MAX], now_bytes[TERMS_BYTES_MAX];
    struct record before;
    int rc = log_read(store->engine, txn, record->previous, &before);

    if (rc == MDB_NOTFOUND || (rc == 0 && before.terms.len == 0))
        return 0;
    if (rc)
        return rc;
    return term_index_forget(store->engine, txn, key, position, keep_terms(before.terms, before_bytes),
                             keep_terms(record->terms, now_bytes));
}

/* Takes a record out of the log; no error when it is gone already. */
static int drop(struct store *store, MDB_txn *txn, struct meta *meta, position_t position)
{
    struct str bytes;
    int rc = log_get(store->engine, txn, position, &bytes);

    if (rc == MDB_NOTFOUND)
        return 0;
    if (rc == 0) {
        meta->history_bytes -= MIN(meta->history_bytes, bytes.len);
        rc = log_delete(store->engine, txn, position);
    }
    return rc;
}

/* Removes what the record at a position has made superfluous. */
static int forget(struct store *store, MDB_txn *txn, struct meta *meta, position_t position,
                  const struct record *record)
{
    struct index_entry entry;
    char key_bytes[STORE_KEY_MAX];
    struct str key = { key_bytes, record->key.len };
    position_t previous = record->previous;
    bool deleted = record->deleted;
    int rc;

    memcpy(key_bytes, record->key.data, record->key.len); /* the record moves when the tree changes */
    if (previous && (rc = forget_terms(store, txn, position, record, key)))
        return rc;
    if (previous && (rc = drop(store, txn, meta, previous)))
        return rc;
    if (!deleted)
        return 0;
    if ((rc = drop(store, txn, meta, position)))
        return rc;
    rc = index_get(&store->engine->keys, txn, key, &entry);
    if (rc == 0 && entry.position == position)
        return index_delete(&store->engine->keys, txn, key);
    return rc == MDB_NOTFOUND ? MDB_CORRUPTED : rc;
}

static int trim(struct store *store, MDB_txn *txn, struct meta *meta, bool *ret_done)
{
    MDB_cursor *cursor = NULL;
    int rc = mdb_cursor_open(txn, store->engine->log, &cursor);

    for (int i = 0; rc == 0 && i < STEP_RECORDS; i++) {
        position_t position;
        struct record record;
        struct str bytes;

        rc = log_seek(cursor, meta->trimmed + 1, &position, &bytes);
        if (rc == MDB_NOTFOUND || (rc == 0 && position_revision(position) > meta->floor)) {
            meta->trimmed = position_end(meta->floor);
            *ret_done = true;
            rc = 0;
            break;
        }
        if (rc == 0 && !record_decode(bytes, &record))
            rc = MDB_CORRUPTED;
        if (rc == 0)
            rc = forget(store, txn, meta, position, &record);
        meta->trimmed = position;
    }
    if (cursor)
        mdb_cursor_close(cursor);
    return rc;
}

/* LMDB's code. */
static int step(struct store *store, revision_t floor, struct meta *ret_meta, bool *ret_done)
{
    MDB_txn *txn;
    int rc = mdb_txn_begin(store->engine->env, NULL, 0, &txn);

    if (rc)
        return rc;
    *ret_done = false;
    rc = engine_meta_get(store->engine, txn, ret_meta);
    if (rc == 0 && floor > ret_meta->floor)
        ret_meta->floor = floor;
    if (rc == 0)
        rc = trim(store, txn, ret_meta, ret_done);
    if (rc == 0)
        rc = engine_meta_put(store->engine, txn, ret_meta);
    if (rc == 0)
        return engine_commit(store->engine, txn);
    mdb_txn_abort(txn);
    return rc;
}

int compact_step(struct store *store, revision_t floor, bool *ret_done, struct err *err)
{
    struct meta meta;
    bool done;
    int code = trouble_mend(store, err);

    if (code < 0)
        return code;
    int rc = step(store, floor, &meta, &done);
    if (rc && engine_lacks_space(store->engine, rc) && space_release(&store->engine->space))
        rc = step(store, floor, &meta, &done);
    if (rc) {
        struct err disk;

        if (!trouble_failed(store, rc, &disk))
            return engine_fail(store->engine, rc, "compacting", err);
        if (err)
            *err = disk;
        return -(int)disk.code;
    }
    atomic_store(&store->floor, meta.floor);
    *ret_done = done;
    return 0;
}
