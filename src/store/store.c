/* store.c - the store's interface, and its writer.
 *
 * One thread writes. Transactions wait in a queue; when the writer comes back from the disk it takes all that is there
 * and commits it as one group (group.c). There is no delay to wait for more: while one commit is being synced the next
 * group gathers by itself, so an idle store answers in the time of one sync and a busy one shares it among hundreds.
 * Groups are cut in number and bytes, so that one commit stays short.
 *
 * A blocking commit is an asynchronous one and a condition to wait for. In synchronous mode there is no thread: who
 * adds a transaction works off the queue, unless somebody already does.
 *
 * Compaction is done by the writer too, one step (compact.c) after each group or when there is nothing else. */
#include "store/etcd/identity.h"
#include "store/etcd/remote.h"
#include "store/store_private.h"
#include "store/term.h"

#define GROUP_TRANSACTIONS_MAX 4096
#define GROUP_BYTES_MAX (16u << 20)
#define RETRY_AFTER (200 * NSEC_PER_MSEC)

/* -- checking what callers hand in -- */

static int check_op(const struct store_op *op, size_t i, struct err *err)
{
    if (op->key.len == 0 || op->key.len > STORE_KEY_MAX)
        return err_set(err, ERR_INVALID, "operation %zu: a key has 1 to %d bytes, not %zu", i, STORE_KEY_MAX,
                       op->key.len);
    if (op->kind == STORE_CHECK)
        return 0;
    if (op->value.len > STORE_VALUE_MAX)
        return err_set(err, ERR_TOO_LARGE, "operation %zu: a value has at most %u bytes, not %zu", i, STORE_VALUE_MAX,
                       op->value.len);
    if (op->splice != STORE_NO_SPLICE && op->splice > op->value.len)
        return err_set(err, ERR_INVALID, "operation %zu: the revision's place is behind the end of the value", i);
    return op->terms_count ? terms_check(op->terms, op->terms_count, err) : 0;
}

static int compare_keys(const void *a, const void *b)
{
    return str_cmp(*(const struct str *)a, *(const struct str *)b);
}

/* No key may be changed twice in one transaction: there would be two states at one revision. */
static int check_distinct(const struct store_op *ops, size_t ops_count, struct err *err)
{
    struct str few[16], *keys = few;
    size_t count = 0;
    int code = 0;

    if (ops_count < 2)
        return 0;
    if (ops_count > ARRAY_LEN(few) && !(keys = malloc(ops_count * sizeof *keys)))
        return err_set(err, ERR_NO_MEMORY, "checking a transaction");
    for (size_t i = 0; i < ops_count; i++)
        if (ops[i].kind != STORE_CHECK)
            keys[count++] = ops[i].key;
    qsort(keys, count, sizeof *keys, compare_keys);
    for (size_t i = 1; i < count && code == 0; i++)
        if (str_eq(keys[i - 1], keys[i]))
            code = err_set(err, ERR_INVALID, "key " STR_FMT " is changed twice in one transaction",
                           STR_ARG(str_first(keys[i], 256)));
    if (keys != few)
        free(keys);
    return code;
}

static int check_txn(const struct store_op *ops, size_t ops_count, struct err *err)
{
    size_t bytes = 0;
    int code;

    if (ops_count == 0 || ops_count > STORE_OPS_MAX)
        return err_set(err, ERR_INVALID, "a transaction has 1 to %d operations, not %zu", STORE_OPS_MAX, ops_count);
    for (size_t i = 0; i < ops_count; i++) {
        if ((code = check_op(&ops[i], i, err)) < 0)
            return code;
        bytes += ops[i].key.len + ops[i].value.len;
    }
    if (bytes > STORE_TXN_BYTES_MAX)
        return err_set(err, ERR_TOO_LARGE, "a transaction has at most %u bytes, not %zu", STORE_TXN_BYTES_MAX, bytes);
    return check_distinct(ops, ops_count, err);
}

/* -- the writer -- */

static size_t txn_bytes(const struct store_txn *txn)
{
    size_t bytes = 0;

    for (size_t i = 0; i < txn->ops_count; i++)
        bytes += txn->ops[i].key.len + txn->ops[i].value.len;
    return bytes;
}

/* Cuts the front of the chain off that makes one group; returns the rest. */
static struct store_txn *cut_group(struct store_txn *first)
{
    struct store_txn *last = first;
    size_t bytes = txn_bytes(first);

    for (size_t count = 1; last->next && count < GROUP_TRANSACTIONS_MAX; count++, last = last->next) {
        bytes += txn_bytes(last->next);
        if (bytes > GROUP_BYTES_MAX)
            break;
    }
    struct store_txn *rest = last->next;
    last->next = NULL;
    return rest;
}

static bool compaction_wanted(struct store *store)
{
    return store->compact_floor > 0;
}

/* On the stack of store_compact(): each has its own answer, whatever the compaction after this one comes to. */
struct compact_waiter {
    struct compact_waiter *next;
    bool over;
    struct err err;
};

static void compact_some(struct store *store)
{
    struct err err = { 0 };
    bool done = false;

    mutex_lock(&store->queue_lock);
    revision_t floor = store->compact_floor;
    mutex_unlock(&store->queue_lock);
    if (compact_step(store, floor, &done, &err) == 0 && !done)
        return;
    LOCKED(&store->queue_lock);
    if (done && store->compact_floor > floor)
        return; /* somebody wants more meanwhile */
    store->compact_floor = 0;
    while (store->compact_waiters) {
        struct compact_waiter *waiter = store->compact_waiters;

        store->compact_waiters = waiter->next;
        waiter->err = err;
        waiter->over = true;
    }
    cond_broadcast(&store->compact_over);
}

/* Everything that has been queued; with stop and nothing queued false. */
static bool take_queue(struct store *store, struct store_txn **ret_first, bool *ret_compact, bool *ret_upkeep)
{
    LOCKED(&store->queue_lock);
    while (!store->synchronous && !store->queue && !compaction_wanted(store) && !store->upkeep_wanted &&
           !store->stopping) {
        store->writer_idle = true;
        cond_wait(&store->queue_filled, &store->queue_lock);
        store->writer_idle = false;
    }
    *ret_first = store->queue;
    *ret_compact = compaction_wanted(store) && !store->stopping;
    *ret_upkeep = store->upkeep_wanted && !store->stopping;
    store->upkeep_wanted = false;
    store->queue = NULL;
    store->queue_end = &store->queue;
    if (!*ret_first && !*ret_compact && !*ret_upkeep) {
        store->working = false;
        return false;
    }
    return true;
}

/* Waits a little; false when the store is being closed. */
static bool may_try_again(struct store *store)
{
    LOCKED(&store->queue_lock);
    if (!store->stopping)
        cond_wait_for(&store->queue_filled, &store->queue_lock, RETRY_AFTER);
    return !store->stopping;
}

/* What etcd has committed cannot be refused: it is tried until the disk takes it. */
static void run_group(struct store *store, struct store_txn *first)
{
    while (!group_run(store, first) && store->remote && may_try_again(store))
        for (struct store_txn *txn = first; txn; txn = txn->next)
            if (!txn->decided)
                err_clear(&txn->err);
    group_end(first);
}

static void work(struct store *store)
{
    struct store_txn *first;
    bool compact, upkeep;

    while (take_queue(store, &first, &compact, &upkeep)) {
        while (first) {
            struct store_txn *rest = cut_group(first);

            run_group(store, first);
            first = rest;
        }
        if (upkeep)
            trouble_upkeep(store);
        if (compact)
            compact_some(store);
    }
}

static void writer_main(void *arg)
{
    work(arg);
}

/* Synchronous mode: works until the queue is empty, unless a caller further up, or another thread, does. */
static void work_here(struct store *store)
{
    bool mine;

    if (!store->synchronous)
        return;
    mutex_lock(&store->queue_lock);
    mine = !store->working;
    store->working = true;
    mutex_unlock(&store->queue_lock);
    if (mine)
        work(store);
}

/* -- committing -- */

void store_enqueue(struct store *store, struct store_txn *first)
{
    struct store_txn *last = first;

    while (last->next)
        last = last->next;
    mutex_lock(&store->queue_lock);
    INVARIANT(!store->stopping);
    *store->queue_end = first;
    store->queue_end = &last->next;
    if (store->writer_idle)
        cond_signal(&store->queue_filled); /* under the lock: once it is done the store may be closed */
    mutex_unlock(&store->queue_lock);
    work_here(store);
}

void store_commit_async(struct store *store, struct store_txn *txn)
{
    err_clear(&txn->err);
    txn->given = 0;
    txn->decided = check_txn(txn->ops, txn->ops_count, &txn->err) < 0; /* told in done(), in order */
    txn->next = NULL;
    if (store->remote)
        remote_commit(store->remote, txn);
    else
        store_enqueue(store, txn);
}

struct waiter {
    struct mutex lock;
    struct cond over;
    bool done;
    int code;
};

static void commit_done(struct store_txn *txn, int code)
{
    struct waiter *waiter = txn->arg;

    LOCKED(&waiter->lock);
    waiter->code = code;
    waiter->done = true;
    cond_signal(&waiter->over);
}

static void waiter_wait(struct waiter *waiter)
{
    mutex_lock(&waiter->lock);
    while (!waiter->done)
        cond_wait(&waiter->over, &waiter->lock);
    mutex_unlock(&waiter->lock);
}

int store_commit(struct store *store, const struct store_op *ops, size_t ops_count, const struct store_cause *cause,
                 struct store_result *ret_result, struct err *err)
{
    struct waiter waiter = { .done = false };
    struct store_txn txn = { .ops = ops, .ops_count = ops_count, .done = commit_done, .arg = &waiter };
    int code = check_txn(ops, ops_count, err);

    if (code < 0)
        return code;
    if (cause)
        txn.cause = *cause;
    if (ret_result)
        txn.result.values = ret_result->values;
    mutex_init(&waiter.lock);
    cond_init(&waiter.over);
    store_commit_async(store, &txn);
    waiter_wait(&waiter);
    cond_deinit(&waiter.over);
    mutex_deinit(&waiter.lock);
    if (waiter.code < 0 && err)
        *err = txn.err;
    if (ret_result && (waiter.code == 0 || waiter.code == -ERR_CONFLICT))
        *ret_result = txn.result;
    return waiter.code;
}

/* -- opening and closing -- */

static void store_deinit(struct store *store)
{
    thread_join(&store->writer);
    readers_deinit(&store->readers);
    vec_deinit(&store->group.events);
    cond_deinit(&store->compact_over);
    cond_deinit(&store->queue_filled);
    mutex_deinit(&store->trouble_lock);
    mutex_deinit(&store->campaign_lock);
    mutex_deinit(&store->queue_lock);
    engine_close(store->engine);
    remote_free(store->remote);
    free(store);
}

static int read_numbers(struct store *store, struct meta *ret_meta, struct err *err)
{
    AUTO(store_snapshot) snapshot = NULL;
    int code = store_snapshot_open(store, 0, &snapshot, err);

    if (code == 0)
        *ret_meta = snapshot->meta;
    return code;
}

/* What the disk says becomes what the store says; a compaction that was cut short goes on. */
static int start(struct store *store, const struct store_options *options, struct err *err)
{
    struct meta meta = { 0 };
    int code = read_numbers(store, &meta, err);

    if (code < 0)
        return code;
    atomic_store(&store->revision, meta.revision);
    atomic_store(&store->floor, meta.floor);
    if (meta.trimmed < position_end(meta.floor) && meta.floor > 0)
        store->compact_floor = meta.floor;
    if ((code = hub_init(&store->hub, options->event_window, meta.revision, err)) < 0)
        return code;
    if (store->synchronous)
        work_here(store);
    else if ((code = thread_start(&store->writer, "store", writer_main, store, err)) < 0)
        hub_deinit(&store->hub);
    return code;
}

static int open_here(const struct store_options *options, struct engine **ret_engine, struct err *err)
{
    if (etcd_identity_there(options->path))
        return err_set(err, ERR_INVALID, "%s is a cache of etcd, not a store of its own", options->path);
    return engine_open(options->path, options->map_size, ret_engine, err);
}

int store_open(const struct store_options *options, struct store **ret_store, struct err *err)
{
    struct remote *remote = NULL;
    struct engine *engine;
    int code = options->etcd ? remote_open(options, &remote, &engine, err) : open_here(options, &engine, err);

    if (code < 0)
        return code;
    struct store *store = calloc(1, sizeof *store);
    if (!store) {
        engine_close(engine);
        remote_free(remote);
        return err_set(err, ERR_NO_MEMORY, "opening the store %s", options->path);
    }
    store->engine = engine;
    store->remote = remote;
    store->clock = options->clock ? options->clock : clock_real();
    store->synchronous = options->synchronous;
    store->queue_end = &store->queue;
    mutex_init(&store->trouble_lock);
    mutex_init(&store->campaign_lock);
    mutex_init(&store->queue_lock);
    cond_init(&store->queue_filled);
    cond_init(&store->compact_over);
    readers_init(&store->readers);
    if ((code = start(store, options, err)) < 0) {
        store_deinit(store);
        return err_wrap(err, code, "opening the store %s", options->path);
    }
    if (remote && (code = remote_start(remote, store, err)) < 0) {
        store_close(store);
        return code;
    }
    *ret_store = store;
    return 0;
}

struct store *store_close(struct store *store)
{
    if (!store)
        return NULL;
    if (store->remote)
        remote_stop(store->remote);
    mutex_lock(&store->queue_lock);
    store->stopping = true;
    cond_signal(&store->queue_filled);
    mutex_unlock(&store->queue_lock);
    thread_join(&store->writer);
    hub_deinit(&store->hub);
    store_deinit(store);
    return NULL;
}

/* -- the rest -- */

revision_t store_revision(struct store *store)
{
    return atomic_load(&store->revision);
}

revision_t store_compacted(struct store *store)
{
    revision_t floor = atomic_load(&store->floor);

    return floor ? floor - 1 : 0;
}

int store_compact(struct store *store, revision_t revision, struct err *err)
{
    revision_t newest = store_revision(store);

    if (revision == 0 || revision > newest)
        return err_set(err, ERR_INVALID, "cannot compact at revision %llu: the newest is %llu",
                       (unsigned long long)revision, (unsigned long long)newest);
    struct compact_waiter waiter = { .over = false };
    mutex_lock(&store->queue_lock);
    waiter.next = store->compact_waiters;
    store->compact_waiters = &waiter;
    store->compact_floor = MAX(store->compact_floor, revision);
    cond_signal(&store->queue_filled);
    mutex_unlock(&store->queue_lock);
    work_here(store);

    LOCKED(&store->queue_lock);
    while (!waiter.over)
        cond_wait(&store->compact_over, &store->queue_lock);
    if (waiter.err.code == ERR_NONE)
        return 0;
    if (err)
        *err = waiter.err;
    return -(int)waiter.err.code;
}

void store_upkeep(struct store *store)
{
    if (store_ready(store, NULL, NULL) == 0)
        return;
    mutex_lock(&store->queue_lock);
    store->upkeep_wanted = true;
    cond_signal(&store->queue_filled);
    mutex_unlock(&store->queue_lock);
    work_here(store);
}

void store_stats(struct store *store, struct store_stats *ret_stats)
{
    AUTO(store_snapshot) snapshot = NULL;
    MDB_envinfo info;

    *ret_stats = (struct store_stats){
        .commits = atomic_load(&store->commits),
        .transactions = atomic_load(&store->transactions),
        .refused = atomic_load(&store->refused),
        .failures = atomic_load(&store->failures),
        .reopened = atomic_load(&store->reopened),
        .disk_free = UINT64_MAX,
    };
    if (store_snapshot_open(store, 0, &snapshot, NULL) < 0)
        return;
    if (mdb_env_info(snapshot->engine->env, &info) == 0)
        ret_stats->map_size = info.me_mapsize;
    ret_stats->disk_free = space_free(&snapshot->engine->space);
    ret_stats->keys = snapshot->meta.live_keys;
    ret_stats->history_bytes = snapshot->meta.history_bytes;
    engine_usage(snapshot->engine, snapshot->txn, &ret_stats->log_records, &ret_stats->bytes_used);
}
