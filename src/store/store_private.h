/* store_private.h - how the parts of an open store hang together. For the files of this folder only. */
#pragma once

#include "base/list.h"
#include "base/sync.h"
#include "base/vec.h"
#include "store/engine.h"
#include "store/index.h"
#include "store/lmdb_file.h"
#include "store/prefix_tree.h"
#include "store/window.h"

/* -- watch.c: events in memory and the watches -- */

struct hub {
    struct mutex lock; /* of all below and of every watch */
    struct window window;
    struct prefix_node watches, term_watches;
    size_t watches_count;
    revision_t published; /* every event up to here has been offered */
};

int hub_init(struct hub *hub, size_t window_events, revision_t newest, struct err *err);
void hub_deinit(struct hub *hub);

struct fresh_event {
    position_t position;
    struct store_event *event;
};
/* Writer. Takes over the references. */
void hub_publish(struct hub *hub, const struct fresh_event *events, size_t count, revision_t newest);

/* -- snapshot.c: a pool of read transactions -- */

struct readers {
    struct mutex lock;
    struct store_snapshot *idle; /* all of the present engine */
    struct engine *retired;      /* those that snapshots still read in */
    size_t open;
    uint64_t turn;        /* grows with each engine */
    bool given_up;        /* the engine of this turn failed, and there is none to take its place yet */
    struct cond replaced; /* one of those two has changed */
};

void readers_init(struct readers *readers);
void readers_deinit(struct readers *readers);
/* Writer: from now on snapshots are of this engine. The one before is closed when nobody reads in it. */
void readers_replace(struct store *store, struct engine *engine);
/* Writer: there is no engine to take the place of one that failed. Those who wait for it are told, until there is. */
void readers_give_up(struct store *store);
bool readers_retired(struct store *store); /* whether somebody reads in an old one */

struct store_snapshot {
    struct store *store;
    struct engine *engine;
    struct store_snapshot *next; /* in the pool */
    MDB_txn *txn;
    revision_t revision;
    struct meta meta;
};

/* -- group.c: one commit of the engine for many transactions -- */

struct group {
    MDB_txn *txn;
    struct meta meta;
    int full;     /* no puts, for this reason */
    bool refused; /* some */
    uint64_t done; /* transactions that went through */
    nsec_t now;    /* Unix time */
    VEC(struct fresh_event) events;
    struct index_entry entries[STORE_OPS_MAX]; /* of the transaction at hand, what is there now */
};

/* Runs the chain of transactions. False: all but those that were decided before have failed alike. */
bool group_run(struct store *store, struct store_txn *first);
/* Calls done for each. */
void group_end(struct store_txn *first);

/* -- trouble.c: a disk that is full or fails. Writer only -- */

/* Gives up all history, for deletions that find no room even on the reserve. False: that failed, too. */
bool trouble_forget_all(struct store *store);
/* Puts were refused. */
void trouble_no_room(struct store *store, int rc);
/* A commit went through that would have been refused. */
void trouble_over(struct store *store);
/* After a commit failed: when it was the disk's fault tries to go on, says what has become of the commit, true. */
bool trouble_failed(struct store *store, int rc, struct err *ret_err);
/* Before writing: 0, or why it is not possible yet. */
int trouble_mend(struct store *store, struct err *err);
/* Now and then. */
void trouble_upkeep(struct store *store);

/* -- compact.c -- */

/* One bounded step towards floor. *ret_done: nothing is left to do. */
int compact_step(struct store *store, revision_t floor, bool *ret_done, struct err *err);

/* -- reindex.c -- */

/* For which version the terms of the whole store are; 0: not known. LMDB's codes. */
int reindex_version(struct engine *engine, MDB_txn *txn, uint32_t *ret_version);
/* They are of that version up to the newest record, at `last`. */
int reindex_set_version(struct engine *engine, MDB_txn *txn, uint32_t version, position_t last);

/* -- store.c -- */

/* Has the writer look after a store that is not ready. */
void store_upkeep(struct store *store);
/* Transactions that etcd has committed, or that are decided, for the writer: in order. Any thread. */
void store_enqueue(struct store *store, struct store_txn *first);

struct store {
    struct clock *clock;
    struct remote *remote; /* etcd/: where writes are made; NULL: here */
    struct engine *engine;
    struct hub hub;
    struct readers readers;
    struct group group; /* the writer's */
    _Atomic revision_t revision, floor;
    _Atomic uint64_t commits, transactions;
    _Atomic uint64_t refused, failures, reopened;
    bool synchronous;

    bool broken, mended, read_only; /* the writer's: the disk failed; it works again, readers remain; it said EROFS */
    nsec_t history_given;           /* the writer's */
    struct mutex trouble_lock;      /* of condition and trouble, which only the writer changes */
    enum store_condition condition;
    struct err trouble;

    struct mutex campaign_lock;
    struct store_campaign *campaign; /* under it; NULL: none */

    struct mutex queue_lock; /* of all below */
    struct cond queue_filled, compact_over;
    struct store_txn *queue, **queue_end;
    bool writer_idle, stopping, upkeep_wanted;
    bool working;             /* synchronous: a thread is at it */
    revision_t compact_floor; /* wanted; at most `floor` when there is nothing to do */
    struct compact_waiter *compact_waiters; /* until it has ended, well or not */
    struct thread writer;
};
