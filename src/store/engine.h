/* engine.h - what is on disk: one LMDB environment with the log, the key index and the store's own numbers.
 *
 * One write transaction at a time, by the store's writer; any number of read transactions, which a thread may hand to
 * another. Functions that take an MDB_txn return LMDB's codes: 0, MDB_NOTFOUND, another MDB_ code or an errno;
 * engine_fail() turns those into an err. Slices returned point into the map and live as long as the transaction (of a
 * write transaction: until its next change). */
#pragma once

#include <lmdb.h>

#include "store/record.h"
#include "store/space.h"

#define ENGINE_READERS_MAX 1024

/* The two trees of an index (index.c). */
struct index_trees {
    MDB_dbi flat, deep;
};

struct engine {
    MDB_env *env;
    MDB_dbi main, log;
    struct index_trees keys, terms;
    size_t limit; /* bytes of the map that puts may use */
    int lock_fd;  /* flock: one process at a time */
    char *path;
    struct space space;
    uint64_t failed; /* LMDB's number of the last commit, if it failed */
    bool readonly;   /* reopened while nothing can be written */
    bool cache;      /* what is in it can be had again: commits do not wait for the disk */
    size_t snapshots;            /* open or kept for the next; under the lock of struct readers */
    struct engine *next_retired; /* the same */
};

/* The store's own numbers, written with every commit. */
struct meta {
    revision_t revision; /* newest */
    revision_t floor;    /* oldest readable; 0: never compacted */
    position_t trimmed;  /* the log is rid of what floor made superfluous up to here */
    uint64_t live_keys;
    uint64_t history_bytes; /* of records that are only history: superseded, or deletions */
    nsec_t time;            /* of the newest commit; never goes back */
};

/* ERR_UNAVAILABLE: another process has it. ERR_NOT_SUPPORTED: another format. ERR_INVALID: not a store. */
int engine_open(const char *path, size_t map_size, struct engine **ret_engine, struct err *err);
/* From now on its commits survive the process, but not the machine. */
int engine_make_cache(struct engine *engine, struct err *err);
/* Beside another process, which may write on: no lock, no changes, nothing made. ERR_NOT_FOUND: there is no store. */
int engine_open_readonly(const char *path, struct engine **ret_engine, struct err *err);
/* A new one on the same files, in place of one whose last commit failed; the old one goes on reading, and must be rid of
 * its readers before the new one writes. It may be `readonly`, then try again. Takes over the lock. */
int engine_reopen(struct engine *old, struct engine **ret_engine, struct err *err);
struct engine *engine_close(struct engine *engine);
DEFINE_AUTO(engine, engine_close)

/* Negative err code for one of LMDB's. */
int engine_fail(const struct engine *engine, int rc, const char *what, struct err *err);

/* Whether LMDB's code says that there is no room. */
bool engine_lacks_space(const struct engine *engine, int rc);
/* Whether only deletions and compaction have room: 0, or the code that says why. */
int engine_is_full(struct engine *engine, int *ret_why);
/* mdb_txn_commit(), and remembers the number of one that failed. */
int engine_commit(struct engine *engine, MDB_txn *txn);

int engine_meta_get(struct engine *engine, MDB_txn *txn, struct meta *ret_meta);
int engine_meta_put(struct engine *engine, MDB_txn *txn, const struct meta *meta);

int log_get(struct engine *engine, MDB_txn *txn, position_t position, struct str *ret_bytes);
/* As log_get(), decoded; a record that cannot be read is MDB_CORRUPTED. */
int log_read(struct engine *engine, MDB_txn *txn, position_t position, struct record *ret_record);
/* Room for a record behind all others, to be filled before the next change. */
int log_append(struct engine *engine, MDB_txn *txn, position_t position, size_t size, void **ret_room);
/* The same for a record anywhere; MDB_KEYEXIST: there is one. */
int log_insert(struct engine *engine, MDB_txn *txn, position_t position, size_t size, void **ret_room);
int log_delete(struct engine *engine, MDB_txn *txn, position_t position);
/* The first record at or behind a position. */
int log_seek(MDB_cursor *cursor, position_t from, position_t *ret_position, struct str *ret_bytes);

int log_next(MDB_cursor *cursor, position_t *ret_position, struct str *ret_bytes);

/* Records in the log; bytes in pages that hold data. */
int engine_usage(struct engine *engine, MDB_txn *txn, uint64_t *ret_records, uint64_t *ret_bytes);
