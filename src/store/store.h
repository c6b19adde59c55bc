/* store.h - the MVCC store: what Caravel believes. The promises:
 *
 *  - A transaction over several keys is one revision, all or nothing. Revisions grow, by one per transaction from 1
 *    where the store is not shared.
 *  - Compare-and-swap by revision on any number of keys.
 *  - store_commit() returns 0 only after the write is on disk (group commit: one fdatasync serves all that wait).
 *  - Readers never wait for writers; a snapshot at revision R shows R for as long as R is retained.
 *  - A watch delivers every change once, in order, from any retained revision, then live.
 *  - Every record carries its cause.
 *
 * The file format and engine (LMDB) head store/lmdb.c. Any thread may call anything here unless said otherwise. */
#pragma once

#include "base/blob.h"
#include "base/clock.h"
#include "base/err.h"

struct store;
typedef uint64_t revision_t;

#define STORE_KEY_MAX 1024
#define STORE_VALUE_MAX (4u << 20)
#define STORE_OPS_MAX 1024
#define STORE_TXN_BYTES_MAX (32u << 20) /* keys and values of one transaction; ERR_TOO_LARGE beyond */
#define STORE_CAUSE_MAX 1024            /* actor, rule: longer ones are cut */
#define STORE_TERM_MAX 400              /* bytes of an index term */
#define STORE_TERMS_MAX 16              /* of one value */

/* etcd as the place where writes are made: the directory is then a cache that follows it, made anew when it does not
 * fit. Every server of a cluster has the same endpoints and prefix. */
struct store_etcd_options {
    struct str endpoints; /* "h1:2379,h2:2379"; 2379 where no port is said */
    struct str prefix;    /* of all keys; unset: "/caravel" */
    struct str ca_pem;    /* unset: plain TCP, not TLS */
    struct str cert_pem, key_pem, user, password; /* each may be unset */
};

struct store_options {
    const char *path; /* directory, made if absent; locked against a second process */
    const struct store_etcd_options *etcd; /* NULL: the directory itself is the store. Copied */
    struct clock *clock;
    size_t map_size;     /* 0: default (256 GiB of address space, sparse) */
    bool synchronous;    /* no writer thread: store_commit() works on the caller's thread, watches are notified there
                            (simulations under a virtual executor) */
    size_t event_window; /* events kept in memory for watches; 0: default */
};

int store_open(const struct store_options *options, struct store **ret_store, struct err *err);
struct store *store_close(struct store *store); /* all snapshots and watches must be closed */
DEFINE_AUTO(store, store_close)

revision_t store_revision(struct store *store); /* newest committed */
/* The oldest readable revision is this + 1; 0: all are. After store_compact(r) it is r - 1. */
revision_t store_compacted(struct store *store);

/* -- writing -- */

#define STORE_ANY UINT64_MAX
#define STORE_ABSENT 0

enum store_op_kind {
    STORE_PUT,
    STORE_DELETE, /* value: the object's last state, kept with the deletion and handed to watches */
    STORE_CHECK,  /* only the comparison */
};

struct store_op {
    enum store_op_kind kind;
    struct str key;
    struct str value;
    /* Where the decimal revision of this commit is spliced into the value, e.g. right after "resourceVersion":" ;
     * STORE_NO_SPLICE: nowhere. Readers and watchers only ever see the spliced value. */
    uint32_t splice;
    revision_t expect; /* the key's present revision; STORE_ABSENT: must not exist; STORE_ANY: whatever */
    /* Of a put: what the value can be found by beside its key ("spec.nodeName=node-a"): lists and watches of a term
     * cost what they return. No NUL in them; repeated ones count once. Terms that stay from one state to the next cost
     * nothing but their bytes. */
    const struct str *terms;
    size_t terms_count;
};
#define STORE_NO_SPLICE UINT32_MAX

struct store_cause {
    struct str actor;   /* user or component: "kubernetes-admin", "system:node:a" */
    struct str rule;    /* what it did: "kubectl create", "deployment-controller: scale up" */
    revision_t trigger; /* the revision that made it act; 0: a person, a timer */
    revision_t term;    /* of the leadership in which it acts: the write fails with ERR_UNAVAILABLE, nothing written,
                           unless that still lasts when it is made. 0: whoever leads */
};

struct store_result {
    revision_t revision;
    size_t failed_op;     /* ERR_CONFLICT: which comparison failed */
    revision_t present;   /* ERR_CONFLICT: what was there (0: absent) */
    struct blob **values; /* optional, from the caller: ops_count places that receive the spliced value of each put or
                             delete (one reference each, the caller's), as handed to watchers; NULL for a check and for
                             a deletion of nothing */
};

/* Blocks until durable.
 *
 * ERR_CONFLICT: a comparison failed. ERR_NO_SPACE, ERR_NO_MEMORY, ERR_UNAVAILABLE: nothing was written. ERR_IO: nothing
 * was written, or the message says that it is not known: the root was being written when the disk failed.
 * After an error other than ERR_CONFLICT ret_result (NULL: not wanted) is as before.
 *
 * ERR_INVALID, before anything is compared: no operation or too many, a key of no or too many bytes, a key put or
 * deleted twice in one transaction, a splice behind the value's end, impossible terms. ERR_TOO_LARGE likewise: a value,
 * a transaction.
 *
 * Deleting what is not there (STORE_ANY) changes nothing and makes no event; the transaction takes its revision all the
 * same, as does one that only checks. */
int store_commit(struct store *store, const struct store_op *ops, size_t ops_count, const struct store_cause *cause,
                 struct store_result *ret_result, struct err *err);

/* The same without blocking: ops, their slices and the transaction itself must live until done is called, on the
 * writer's thread, where it must not block. code is 0 or negative; txn->err has the message. */
struct store_txn {
    const struct store_op *ops;
    size_t ops_count;
    struct store_cause cause;
    struct store_result result;
    struct err err;
    void (*done)(struct store_txn *txn, int code);
    void *arg;
    struct store_txn *next; /* the store's, and what follows */
    revision_t given;       /* of what etcd has committed already; 0: to be committed here */
    nsec_t time;            /* of that commit */
    bool decided;           /* nothing is to be written: err says what has become of it */
};
void store_commit_async(struct store *store, struct store_txn *txn);

/* -- reading -- */

struct store_snapshot; /* used by one thread; cheap (a reused LMDB read transaction); keep it short */
/* revision 0: the newest. ERR_EXPIRED when compacted, ERR_INVALID when in the future. */
int store_snapshot_open(struct store *store, revision_t revision, struct store_snapshot **ret_snapshot,
                        struct err *err);
struct store_snapshot *store_snapshot_close(struct store_snapshot *snapshot);
DEFINE_AUTO(store_snapshot, store_snapshot_close)
revision_t store_snapshot_revision(const struct store_snapshot *snapshot);

struct store_item {
    struct str key, value;        /* slices of the map: valid until the snapshot is closed */
    revision_t revision, created; /* of the last change; of the creation */
};

/* ERR_NOT_FOUND. */
int store_get(struct store_snapshot *snapshot, struct str key, struct store_item *ret_item, struct err *err);

/* All keys with prefix and key >= start (an empty start: from the prefix on), in byte order. */
struct store_cursor;
int store_cursor_open(struct store_snapshot *snapshot, struct str prefix, struct str start,
                      struct store_cursor **ret_cursor, struct err *err);
struct store_cursor *store_cursor_close(struct store_cursor *cursor);
DEFINE_AUTO(store_cursor, store_cursor_close)
/* The same for the keys whose value had the term at the snapshot's revision, whatever that is. */
int store_cursor_open_term(struct store_snapshot *snapshot, struct str term, struct str prefix, struct str start,
                           struct store_cursor **ret_cursor, struct err *err);
/* 1: an item; 0: the end; negative: an error. */
int store_cursor_next(struct store_cursor *cursor, struct store_item *ret_item, struct err *err);
/* Live keys with the prefix, without reading values. */
int store_count(struct store_snapshot *snapshot, struct str prefix, uint64_t *ret_count, struct err *err);
/* Those at or behind start. */
int store_count_from(struct store_snapshot *snapshot, struct str prefix, struct str start, uint64_t *ret_count,
                     struct err *err);

/* -- watching -- */

enum store_event_kind { STORE_CREATED, STORE_MODIFIED, STORE_DELETED };

#define STORE_EVENT_FORMS 5

/* Immutable, shared by all watchers, counted. */
struct store_event {
    atomic_uint refs;
    enum store_event_kind kind;
    revision_t revision, previous_revision;
    struct str key;
    struct blob *value;    /* the new state; of a deletion the last one, its revision spliced */
    struct blob *previous; /* the state before; NULL for a creation */
    struct str actor, rule;
    revision_t trigger;
    nsec_t time; /* Unix time of the commit; 0: not known */
    const struct str *terms; /* of the state before and of the new one, each once */
    size_t terms_count;
    _Atomic(void *) decoded; /* a place for the reader's own shared view; decoded_free() releases it with the event */
    void (*decoded_free)(void *decoded);
    _Atomic(void *) facts; /* another such place: what readers look at to tell whether the event is theirs */
    void (*facts_free)(void *facts);
    /* value in other forms, which the readers number; each by the first of them who wants it; one reference each */
    _Atomic(struct blob *) forms[STORE_EVENT_FORMS];
};
struct store_event *store_event_ref(struct store_event *event);
struct store_event *store_event_unref(struct store_event *event);
DEFINE_AUTO(store_event, store_event_unref)

struct store_watch;
/* Changes of keys with prefix after revision `after`: store_revision() or a snapshot's. Read with store_watch_next()
 * until "none"; then wait for ready(). ERR_INVALID: `after` is in the future. ready(arg) is called, once, whenever
 * store_watch_next() went from "none" to having something, on the writer's thread, where it must not block nor call the
 * store. ERR_EXPIRED when compacted. A watcher that falls behind the window in memory is served from disk: its backlog
 * costs nothing. */
int store_watch_open(struct store *store, struct str prefix, revision_t after, void (*ready)(void *arg), void *arg,
                     struct store_watch **ret_watch, struct err *err);
struct store_scope {
    struct str prefix;
    struct str term; /* only changes of values that have it or had it until then; unset: all */
    bool exact;      /* only the key that the prefix is */
};
/* The same; changes out of scope cost the watch nothing. ERR_INVALID also: an impossible term. */
int store_watch_open_scope(struct store *store, const struct store_scope *scope, revision_t after,
                           void (*ready)(void *arg), void *arg, struct store_watch **ret_watch, struct err *err);
/* After it returns, ready is not running and never will be. */
struct store_watch *store_watch_close(struct store_watch *watch);
DEFINE_AUTO(store_watch, store_watch_close)
/* 1: an event (one reference for the caller); 0: none now, ready() will be called; ERR_EXPIRED: compacted away. One
 * thread at a time. */
int store_watch_next(struct store_watch *watch, struct store_event **ret_event, struct err *err);
/* The same in bounded steps, for those who share their thread: STORE_WATCH_MORE after a number of changes that were not
 * this watch's; call again, ready() will not be called. */
#define STORE_WATCH_MORE 2
int store_watch_step(struct store_watch *watch, struct store_event **ret_event, struct err *err);
/* The revision up to which the last "none now" was certain: what a bookmark may say. */
revision_t store_watch_progress(struct store_watch *watch);
/* The revision up to which all changes have been handed out, known without asking for the next: that of the newest change
 * of all while none waits for this watch. Any thread, while none is in store_watch_next(). */
revision_t store_watch_seen(struct store_watch *watch);

/* -- several servers on one etcd -- */

bool store_is_shared(const struct store *store);

/* Calls done() when everything that anybody was told before this call is written can be read here: on the caller's
 * thread at once for a store that is not shared; else on one of the store's, where it must not block. code 0, or
 * ERR_UNAVAILABLE: etcd does not answer. All who wait share one question to it. */
struct store_sync {
    void (*done)(struct store_sync *sync, int code);
    void *arg;
    struct err err;
    struct store_sync *next; /* the store's */
};
void store_sync_async(struct store *store, struct store_sync *sync);
int store_sync(struct store *store, struct err *err); /* blocks */

/* Of all servers that campaign one leads. A store that is not shared is led at once, in term 1, until the end. */
struct store_campaign_options {
    struct str name;    /* of this server, unlike all others' */
    struct str address; /* "host:port" where the others reach its API */
    /* term > 0: this server leads from now on; 0: no longer. On a thread of the campaign's own, where it may block; each
     * term is ended before another is begun. The writes of a term that is over fail by themselves (store_cause.term). */
    void (*changed)(void *arg, revision_t term);
    void *arg;
};
struct store_campaign; /* one for a store */
int store_campaign_start(struct store *store, const struct store_campaign_options *options,
                         struct store_campaign **ret_campaign, struct err *err);
/* Ends the term, so that another server leads at once; changed(0) has returned by then. */
struct store_campaign *store_campaign_end(struct store_campaign *campaign);
DEFINE_AUTO(store_campaign, store_campaign_end)

#define STORE_LEADER_NAME_MAX 256
struct store_leader {
    char name[STORE_LEADER_NAME_MAX], address[STORE_LEADER_NAME_MAX];
    revision_t term; /* 0: nobody leads, or it is not known */
    bool self;
};
void store_leader(struct store *store, struct store_leader *ret_leader);

/* -- history: what happened, when, and who did it -- */

struct store_change {
    enum store_event_kind kind;
    revision_t revision;
    revision_t previous; /* the change of this key before; 0: none, or not retained */
    revision_t trigger;
    nsec_t time;           /* Unix time; 0: not known */
    struct str key, value; /* of a deletion: the object's last state. Slices as in store_item */
    struct str actor, rule;
};
/* The last change of a key at or before a revision (0: the snapshot's), a deletion too. From there, one older at a
 * time: ask again with change.previous. ERR_NOT_FOUND: there is none, or it is no longer retained. */
int store_change_at(struct store_snapshot *snapshot, struct str key, revision_t revision, struct store_change *ret_change,
                    struct err *err);
/* All changes of keys with a prefix after one revision up to another (0: the snapshot's), in order. ERR_EXPIRED: not
 * all of them are retained. */
struct store_changes {
    struct store_snapshot *snapshot;
    struct str prefix; /* the caller's */
    revision_t until;
    uint64_t position;
};
int store_changes_open(struct store_snapshot *snapshot, struct str prefix, revision_t after, revision_t until,
                       struct store_changes *ret_changes, struct err *err);
/* 1: a change; 0: the end; negative: an error. */
int store_changes_next(struct store_changes *changes, struct store_change *ret_change, struct err *err);
/* The revision that was the newest at a time. ERR_EXPIRED: it is no longer retained, or nothing was there yet. */
int store_revision_at(struct store_snapshot *snapshot, nsec_t time, revision_t *ret_revision, struct err *err);

/* -- upkeep -- */

struct store_retention {
    nsec_t age;     /* states superseded longer ago may go; 0: no limit */
    uint64_t bytes; /* and the oldest, when all superseded ones take more; 0: no limit */
};
/* Compacts as far as that asks for, in small steps between commits; blocks until it is done. Looks after a store that is
 * full or failing, too: so call it now and then. Costs what has been
 * written since the last time, and next to nothing when nothing may go. */
int store_retain(struct store *store, const struct store_retention *retention, struct err *err);

/* Whether writes are taken. A store that is full takes deletions, and makes room by itself: history older than
 * STORE_HISTORY_KEPT is given up, and all of it when deletions need the room. One whose disk fails is reopened until
 * the disk takes writes again; reading goes on. */
#define STORE_HISTORY_KEPT (5 * 60 * NSEC_PER_SEC)
enum store_condition { STORE_READY, STORE_FULL, STORE_READ_ONLY, STORE_FAILING, STORE_CUT_OFF /* from etcd */ };
/* 0: ready; else the code, and message, that a put gets: ERR_NO_SPACE, ERR_IO, ERR_UNAVAILABLE. */
int store_ready(struct store *store, enum store_condition *ret_condition, struct err *err);
const char *store_condition_name(enum store_condition condition); /* "read-only" */

/* The terms of a value, for those who once stored it without or with others: at most STORE_TERMS_MAX into ret_terms,
 * in memory that lasts until the next call. Returns how many. */
typedef size_t store_terms_fn(void *arg, struct str key, struct str value, struct str ret_terms[STORE_TERMS_MAX]);
/* Gives every retained state the terms that the function says, unless that has been done for this version (> 0) before:
 * a store of before there were terms, or a program that has others now. In steps, each durable; cut short, it goes on
 * the next time. To be called after opening, before anything is written or read by term. */
int store_reindex(struct store *store, uint32_t version, store_terms_fn *terms, void *arg, struct err *err);

/* Forgets states superseded at or before revision, which stays readable itself; 0 < revision <= the newest, else
 * ERR_INVALID. In small steps between commits; blocks until it is done. Older than what is compacted already: nothing.
 */
int store_compact(struct store *store, revision_t revision, struct err *err);
struct store_stats {
    uint64_t keys, log_records, bytes_used, map_size;
    uint64_t history_bytes; /* of superseded states */
    uint64_t commits, transactions; /* transactions per commit tell how groups form */
    uint64_t disk_free;             /* bytes; UINT64_MAX: not known */
    uint64_t refused;               /* groups of which puts were refused for lack of room */
    uint64_t failures, reopened;    /* commits that the disk failed; environments that were replaced after that */
};
void store_stats(struct store *store, struct store_stats *ret_stats);
