/* history.h - what the clients of a store were told to do, and what they saw.
 *
 * A plan follows from a seed alone. Running it records one row for each operation, with the moments of its invocation
 * and of its completion on one counter that all threads share; the store's clock is that counter too, so the time of a
 * commit lies between the two. The checker (checker.h) judges the rows and knows nothing else. */
#pragma once

#include "base/rng.h"
#include "base/vec.h"
#include "store/store.h"
#include "tests/disk/disk.h"

#define KEYS 12
#define TERMS 3
#define TXN_OPS 4
#define BURST_MAX 3
#define CLIENTS_MAX 8
#define PHASES_MAX 3
#define QUERIES_MAX 3
#define STORES_MAX 4 /* servers on one etcd; the last of them only watches */

/* -- names and values -- */

struct scope {
    int key;    /* the prefix is this key's name; -1: prefix says */
    int prefix; /* in the table of prefixes */
    int term;   /* -1: any */
    bool exact;
};
struct str key_name(int key);
struct str term_name(int term);
struct str scope_prefix(const struct scope *scope);
int key_of_name(struct str name); /* -1: none of ours */
bool scope_has_key(const struct scope *scope, int key);

/* A value is a number, the place of the revision, and letters that follow from the number: any wrong byte shows. */
struct seen {
    uint64_t number; /* 0: no value */
    revision_t spliced;
};
#define NUMBER_GARBLED UINT64_MAX
#define VALUE_BYTES_MAX 4096
struct str value_text(char out[VALUE_BYTES_MAX], uint64_t number, uint32_t *ret_splice);
struct seen value_seen(struct str text);

/* -- the plan -- */

enum expect_mode { EXPECT_ANY, EXPECT_ABSENT, EXPECT_KNOWN, EXPECT_OLD };

struct planned_op {
    enum store_op_kind kind;
    int key;
    uint64_t number;
    bool splice;
    unsigned terms; /* bits */
    enum expect_mode mode;
    unsigned fraction;
    revision_t expect; /* when it was run */
};

struct planned_txn {
    struct planned_op ops[TXN_OPS];
    size_t ops_count;
    bool twice; /* changes a key twice: never valid */
    bool fenced; /* in the last term that its server was given */
};

enum query_kind { QUERY_GET, QUERY_LIST, QUERY_COUNT, QUERY_CHANGE_AT, QUERY_CHANGES, QUERY_TIME };

struct query {
    enum query_kind kind;
    int key; /* of a list: where it starts, -1: at the prefix */
    struct scope scope;
    unsigned after, until; /* fractions */
};

enum step_kind {
    STEP_TXN, STEP_READ, STEP_WATCH_OPEN, STEP_WATCH_READ, STEP_WATCH_CLOSE, STEP_COMPACT,
    STEP_SYNC, STEP_RESIGN, STEP_FAULT, /* only on etcd */
};

enum net_fault_kind {
    NET_CUT,       /* all connections are reset, now */
    NET_CUT_AFTER, /* each, when it has brought so many bytes more: amid a frame */
    NET_REFUSE,    /* reset, and for a while no new ones */
    NET_STALL,     /* for a while no byte passes */
    NET_MUTE,      /* questions pass, answers wait for a while: what was asked happens */
    NET_MEMBER,    /* not the network: a member is killed, and started again */
};
#define NET_FAULT_KINDS 6

struct net_fault {
    enum net_fault_kind kind;
    int store;  /* whose way to etcd; -1: everybody's but the observer's */
    int member; /* modulo how many there are; -1: to all of them */
    unsigned amount; /* milliseconds, or bytes */
};

/* Fractions are of 1024: of the revisions that are retained when the step is run. */
struct step {
    enum step_kind kind;
    bool skip; /* by the shrinker */
    struct planned_txn txns[BURST_MAX];
    size_t txns_count;
    bool newest, hold, held; /* a read: keep the snapshot for later; use the one kept */
    unsigned fraction;
    struct query queries[QUERIES_MAX];
    size_t queries_count;
    int slot; /* a watch of this client */
    struct scope scope;
    unsigned limit;
    bool retain;
    struct net_fault fault;
};

struct phase {
    bool faulty;
    struct disk_fault fault; /* of the disk, while the clients run */
    VEC(struct step) steps[CLIENTS_MAX];
};

/* An etcd for plans whose clients are spread over several stores. */
struct etcd {
    const char *endpoints, *folder; /* certificates: ca.crt, client.crt, client.key; NULL: plain */
    const char *bounce; /* a command that kills the member whose number is added and starts it again; NULL: let them be */
    bool faults;
};

struct plan {
    uint64_t seed;
    const struct etcd *etcd; /* NULL: a store of its own */
    int clients, phases_count;
    int stores; /* that the clients use */
    bool campaigns, fresh; /* servers campaign; caches are thrown away between phases */
    bool synchronous;
    size_t event_window, map_size;
    struct phase phases[PHASES_MAX];
};
void plan_init(struct plan *plan, uint64_t seed, const struct etcd *etcd);
void plan_deinit(struct plan *plan);

/* -- what was seen -- */

struct seen_item {
    int key;
    struct seen value;
    revision_t revision, created;
};

struct seen_event {
    enum store_event_kind kind;
    revision_t revision, previous_revision, trigger;
    int key;
    struct seen value, previous;
    nsec_t time;
    unsigned terms;
    char actor[16], rule[24];
};

enum row_kind {
    ROW_COMMIT,
    ROW_READ,      /* one query of a snapshot; moments and code are those of its opening */
    ROW_WATCH,     /* opening a watch, or a list of changes, which is checked like one */
    ROW_EVENT,     /* of a watch */
    ROW_NONE,      /* "none now" of a watch; the end of a list of changes */
    ROW_EXPIRED,   /* of a watch */
    ROW_COMPACT,
    ROW_OPENED,    /* the store was opened (again) */
    ROW_SYNC,
    ROW_LED,       /* a server led, in the time of the row */
};

struct row {
    enum row_kind kind;
    int client, phase; /* client -1: the runner, while all clients are paused */
    int store;
    uint64_t invoked, completed;
    size_t order; /* of rows with one invocation */
    int code;

    struct planned_txn txn;
    char rule[24];
    revision_t trigger, term;
    size_t failed_op;
    revision_t present;
    struct seen values[TXN_OPS];

    revision_t asked;    /* of a read: 0 the newest; of a watch: after which; of a compaction: the floor */
    /* Of a commit (not 0: it was made, perhaps found out later); of a snapshot; of an opened store; of a "none": the
     * progress. */
    revision_t revision;
    revision_t until;    /* of a list of changes; 0: it is a watch. Of a compaction: the floor known afterwards */
    struct query query;
    int query_code;
    struct seen_item items[KEYS];
    size_t items_count; /* also of a count */
    bool overflow;      /* there were more, or names that are nobody's */
    revision_t found;   /* the revision of a time */
    nsec_t time;        /* asked for */

    int watch;
    struct scope scope;
    struct seen_event event;
    unsigned calls_min, calls_max; /* of ready() since the last "none", or the opening */
    bool was_none;        /* the read before said "none" */
};

struct history {
    VEC(struct row) rows;
    bool faults, full; /* which errors may be */
    bool shared;       /* by several stores: revisions have gaps, and what one shows another need not show yet */
};
void history_deinit(struct history *history);
int history_copy(const struct history *from, struct history *ret_to);
/* Finds out which commits of unknown outcome were made: by the events that name them. */
void history_settle(struct history *history);
void history_print(const struct history *history, size_t accused);
