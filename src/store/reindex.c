/* reindex.c - giving the states of a store the terms that the program at hand has for them.
 *
 * A store may come from before there were terms, or from a program that had others. So the store notes for which
 * version of the terms it was made. When that is another, the index of terms is emptied and all records are gone
 * through from the oldest to the newest: each gets its terms written anew in its place, and the index sees the changes
 * in the order in which they once happened, as the writer would have made them.
 *
 * A step is one transaction: some records, and the note of how far it has come. What was cut short goes on there. */
#include <errno.h>

#include "store/store_private.h"
#include "store/term_index.h"

#define STEP_RECORDS 1024
#define STEP_BYTES (8u << 20)

struct indexed {
    uint32_t version, done;
    position_t at; /* everything up to it has its terms */
};

struct reindex {
    struct engine *engine;
    MDB_txn *txn;
    store_terms_fn *terms;
    void *arg;
    struct indexed indexed;
};

static int indexed_get(struct engine *engine, MDB_txn *txn, struct indexed *ret_indexed)
{
    MDB_val key = { 7, (void *)"indexed" }, value;
    int rc = mdb_get(txn, engine->main, &key, &value);

    *ret_indexed = (struct indexed){ 0 };
    if (rc == MDB_NOTFOUND)
        return 0;
    if (rc == 0 && value.mv_size != sizeof *ret_indexed)
        return MDB_CORRUPTED;
    if (rc == 0)
        memcpy(ret_indexed, value.mv_data, sizeof *ret_indexed);
    return rc;
}

static int indexed_put(struct engine *engine, MDB_txn *txn, struct indexed *indexed)
{
    MDB_val key = { 7, (void *)"indexed" }, value = { sizeof *indexed, indexed };

    return mdb_put(txn, engine->main, &key, &value, 0);
}

int reindex_version(struct engine *engine, MDB_txn *txn, uint32_t *ret_version)
{
    struct indexed indexed;
    int rc = indexed_get(engine, txn, &indexed);

    if (rc == 0)
        *ret_version = indexed.done ? indexed.version : 0;
    return rc;
}

int reindex_set_version(struct engine *engine, MDB_txn *txn, uint32_t version, position_t last)
{
    struct indexed indexed = { .version = version, .done = 1, .at = last };

    return indexed_put(engine, txn, &indexed);
}

/* The terms that a state should have, encoded. */
static struct str wanted_terms(struct reindex *job, const struct record *record, char *out)
{
    struct str terms[STORE_TERMS_MAX];

    if (record->deleted)
        return STR_NULL;
    size_t count = job->terms(job->arg, record->key, record->value, terms);
    INVARIANT(terms_check(terms, count, NULL) == 0);
    return str_of(out, terms_encode(terms, count, out));
}

/* Of the state before, which has its terms already. */
static int terms_before(struct reindex *job, const struct record *record, char *out, struct str *ret_terms)
{
    struct record before;
    int rc = record->previous ? log_read(job->engine, job->txn, record->previous, &before) : MDB_NOTFOUND;

    *ret_terms = STR_NULL;
    if (rc)
        return rc == MDB_NOTFOUND ? 0 : rc; /* none, or compacted */
    if (before.terms.len > TERMS_BYTES_MAX)
        return MDB_CORRUPTED;
    if (before.terms.len)
        memcpy(out, before.terms.data, before.terms.len);
    *ret_terms = str_of(out, before.terms.len);
    return 0;
}

static int rewrite(struct reindex *job, position_t position, struct str bytes, struct str terms)
{
    char *copy = malloc(bytes.len);
    struct record record;
    int rc = ENOMEM;

    if (!copy)
        return rc;
    memcpy(copy, bytes.data, bytes.len);
    if (!record_intact(bytes, position) || !record_decode(str_of(copy, bytes.len), &record)) {
        rc = MDB_CORRUPTED;
    } else {
        record.terms = terms;
        MDB_val key = { sizeof position, &position }, value = { record_size(&record), NULL };
        rc = mdb_put(job->txn, job->engine->log, &key, &value, MDB_RESERVE);
        if (rc == 0)
            record_encode(&record, position, value.mv_data);
    }
    free(copy);
    return rc;
}

static int reindex_record(struct reindex *job, position_t position, struct str bytes)
{
    char now_bytes[TERMS_BYTES_MAX], before_bytes[TERMS_BYTES_MAX], key_bytes[STORE_KEY_MAX];
    struct record record;
    struct str now, before, key;
    int rc;

    if (!record_decode(bytes, &record))
        return MDB_CORRUPTED;
    memcpy(key_bytes, record.key.data, record.key.len);
    key = str_of(key_bytes, record.key.len);
    now = wanted_terms(job, &record, now_bytes);
    if ((rc = terms_before(job, &record, before_bytes, &before)))
        return rc;
    if (!str_eq(now, record.terms) && (rc = rewrite(job, position, bytes, now)))
        return rc;
    return term_index_change(job->engine, job->txn, key, position, before, now);
}

/* Some records. */
static int reindex_some(struct reindex *job)
{
    MDB_cursor *cursor = NULL;
    size_t bytes_seen = 0;
    int rc = mdb_cursor_open(job->txn, job->engine->log, &cursor);

    for (int i = 0; rc == 0 && i < STEP_RECORDS && bytes_seen < STEP_BYTES; i++) {
        position_t position;
        struct str bytes;

        rc = log_seek(cursor, job->indexed.at + 1, &position, &bytes);
        if (rc)
            break;
        bytes_seen += bytes.len;
        rc = reindex_record(job, position, bytes);
        job->indexed.at = position;
    }
    if (cursor)
        mdb_cursor_close(cursor);
    job->indexed.done = rc == MDB_NOTFOUND;
    return rc == MDB_NOTFOUND ? 0 : rc;
}

/* One transaction's worth; job->indexed says how far it is. */
static int reindex_step(struct reindex *job, uint32_t version)
{
    int rc = indexed_get(job->engine, job->txn, &job->indexed);

    if (rc || (job->indexed.version == version && job->indexed.done))
        return rc;
    if (job->indexed.version != version) {
        job->indexed = (struct indexed){ .version = version };
        rc = mdb_drop(job->txn, job->engine->terms.flat, 0);
        if (rc == 0)
            rc = mdb_drop(job->txn, job->engine->terms.deep, 0);
    }
    if (rc == 0)
        rc = reindex_some(job);
    return rc ? rc : indexed_put(job->engine, job->txn, &job->indexed);
}

/* LMDB's code. */
static int reindex_commit(struct reindex *job, uint32_t version)
{
    int rc = mdb_txn_begin(job->engine->env, NULL, 0, &job->txn);

    if (rc)
        return rc;
    if ((rc = reindex_step(job, version))) {
        mdb_txn_abort(job->txn);
        return rc;
    }
    return mdb_txn_commit(job->txn);
}

int store_reindex(struct store *store, uint32_t version, store_terms_fn *terms, void *arg, struct err *err)
{
    struct reindex job = { .engine = store->engine, .terms = terms, .arg = arg };

    while (job.indexed.version != version || !job.indexed.done) {
        int rc = reindex_commit(&job, version);

        if (rc && engine_lacks_space(job.engine, rc) && space_release(&job.engine->space))
            rc = reindex_commit(&job, version);
        if (rc)
            return engine_fail(job.engine, rc, "indexing", err);
    }
    return 0;
}
