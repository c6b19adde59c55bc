/* pending.h - the transactions of this server on their way to etcd, and what has become of each. Pure: no thread, no I/O;
 * time is handed in, and the caller holds a lock around every function.
 *
 * Transactions that are over come out as a chain (store_txn.next), decided; their done() is for the caller to call. */
#pragma once

#include "base/list.h"
#include "base/map.h"
#include "store/etcd/codec.h"

#define PENDING_TIME (10 * NSEC_PER_SEC) /* after which everybody has been told something */
#define PENDING_CALLS_MAX 128            /* under way at once: more make etcd slower */
#define PENDING_CALL_BYTES_MAX (32u << 20)

enum pending_state {
    PENDING_WAITING, /* to be sent, perhaps anew; nothing has been written */
    PENDING_RESTING, /* the same, with the next tick */
    PENDING_SENT,    /* under `epoch` */
    PENDING_UNKNOWN, /* sent under `epoch`; what became of it shows when a newer epoch has been applied */
    PENDING_WRITTEN, /* etcd says so; comes back when the cache has it */
    PENDING_DOUBTED, /* refused, but perhaps not before it was written: it shows when the cache is up to date */
    PENDING_REFUSED, /* nothing was written; told when the cache has applied `until` */
};

struct pending {
    struct list member;
    struct store_txn *txn; /* NULL: its owner has been told */
    enum pending_state state;
    bool calling;   /* its call will come back: pending_answer() */
    bool encoding;  /* the transaction is being read */
    uint64_t number;
    revision_t epoch, until;
    nsec_t deadline;
    size_t bytes;
    void *owner; /* the caller's */
};

struct pendings {
    struct map by_number;
    struct list waiting, resting, others;
    uint64_t run, numbers;
    revision_t epoch;   /* transactions are sent under it; 0: not known */
    revision_t applied; /* the cache has everything up to here */
    size_t count;       /* whose owner has not been told */
    size_t calls, call_bytes;
    bool unsettled; /* progress may end or move some */
};

struct pending_over {
    struct store_txn *first, **end;
};
#define PENDING_OVER_INIT(over) { NULL, &(over).first }

void pendings_init(struct pendings *table, uint64_t run);
/* None may be left. */
void pendings_deinit(struct pendings *table);

/* ERR_NO_MEMORY. */
int pending_add(struct pendings *table, struct store_txn *txn, nsec_t now, struct err *err);
/* The next one to be sent, NULL: none now. Encode it, then pending_encoded(); then its call will be answered. */
struct pending *pending_next(struct pendings *table);
void pending_encoded(struct pending *pending);
/* The call has come back: code 0: with a verdict; else with an error. May free it. True: it is in doubt; call
 * pending_doubt_over() with it when the cache has all that was written before now, or that cannot be said. */
bool pending_answer(struct pendings *table, struct pending *pending, int code, const struct err *err,
                    const struct etcd_verdict *verdict, struct pending_over *over);
void pending_doubt_over(struct pendings *table, uint64_t number, bool known, struct pending_over *over);
/* The transaction with this id has been applied. NULL: it is none of ours, or its owner knows already. */
struct store_txn *pending_written(struct pendings *table, struct etcd_txn_id id);
/* The cache has everything up to a revision. */
void pending_progress(struct pendings *table, revision_t applied, struct pending_over *over);
/* The server's key was put at this revision. */
void pending_set_epoch(struct pendings *table, revision_t epoch, struct pending_over *over);
/* Whether the server's key is to be put anew: to know the epoch, or what has become of something. */
bool pending_wants_epoch(const struct pendings *table);
void pending_tick(struct pendings *table, nsec_t now, struct pending_over *over);
