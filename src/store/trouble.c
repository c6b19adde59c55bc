/* trouble.c - what the writer does when the disk does not take what it should.
 *
 * No room: puts are refused, deletions and compaction go on (space.c), history older than a few minutes is given up at
 * once (all of it when deletions need the room), and when there is room again puts go on. Nothing has to be repaired.
 *
 * Anything else that a commit fails with, EIO, EROFS: the environment is given up. LMDB refuses even readers when its
 * root could not be written, and the kernel tells an error once and then forgets what it has lost. So, at once and then
 * before each group of transactions and with each round of upkeep, until it works:
 *
 *   1. The root of the lost commit is overwritten on the disk (lmdb_root_settle). From then on it is certain that
 *      nothing was written; before, nobody knows, and callers are told so.
 *   2. A new environment takes the place of the old, for all snapshots from then on; who wants one in between waits.
 *      Those that are open read on in the old one, which is closed with the last of them. While the disk takes nothing
 *      the new one only reads.
 *   3. Writes go on when nobody reads in an old environment any more: the new one knows nothing of those readers, and
 *      would write over pages that they look at. */
#include <errno.h>

#include "store/etcd/remote.h"
#include "store/store_private.h"

static void set_trouble(struct store *store, enum store_condition condition, const struct err *err)
{
    LOCKED(&store->trouble_lock);
    store->condition = condition;
    store->trouble = err ? *err : (struct err){ 0 };
}

int store_ready(struct store *store, enum store_condition *ret_condition, struct err *err)
{
    int code = store->remote ? remote_ready(store->remote, ret_condition, err) : 0;

    if (code < 0)
        return code;
    LOCKED(&store->trouble_lock);
    if (ret_condition)
        *ret_condition = store->condition;
    if (store->condition == STORE_READY)
        return 0;
    if (err)
        *err = store->trouble;
    return -(int)store->trouble.code;
}

const char *store_condition_name(enum store_condition condition)
{
    static const char *const names[] = { "ready", "full", "read-only", "failing", "cut off from etcd" };

    return names[condition];
}

/* -- no room -- */

/* History yields to what is new, but for the last minutes. */
static void give_up_history(struct store *store)
{
    AUTO(store_snapshot) snapshot = NULL;
    nsec_t now = clock_wall(store->clock);
    revision_t revision = 0;

    if (now - store->history_given < NSEC_PER_SEC && now >= store->history_given)
        return;
    store->history_given = now;
    if (store_snapshot_open(store, 0, &snapshot, NULL) < 0 ||
        store_revision_at(snapshot, now - STORE_HISTORY_KEPT, &revision, NULL) < 0 || revision <= snapshot->meta.floor)
        return;
    LOCKED(&store->queue_lock);
    store->compact_floor = MAX(store->compact_floor, revision);
}

bool trouble_forget_all(struct store *store)
{
    revision_t newest = store_revision(store);
    bool done = false;

    while (newest > 0 && !done)
        if (compact_step(store, newest, &done, NULL) < 0)
            return false;
    /* LMDB uses the pages of a commit again after the next one. */
    return newest > 0 && compact_step(store, newest, &done, NULL) == 0;
}

void trouble_no_room(struct store *store, int rc)
{
    struct err err = { 0 };

    engine_fail(store->engine, rc, "writing", &err);
    set_trouble(store, STORE_FULL, &err);
    atomic_fetch_add(&store->refused, 1);
    give_up_history(store);
}

void trouble_over(struct store *store)
{
    if (store->condition != STORE_READY) /* only the writer changes it */
        set_trouble(store, STORE_READY, NULL);
}

/* -- errors -- */

static bool is_panicked(struct engine *engine)
{
    MDB_txn *txn;
    int rc = mdb_txn_begin(engine->env, NULL, MDB_RDONLY, &txn);

    if (rc == 0)
        mdb_txn_abort(txn);
    return rc == MDB_PANIC;
}

/* Also a root for which there was no room: LMDB is of no use after that. */
static bool disk_failed(struct engine *engine, int rc)
{
    return (rc > 0 && rc != ENOMEM && rc != EINVAL && !engine_lacks_space(engine, rc)) || is_panicked(engine);
}

/* Steps 2 and 3. */
static int replace(struct store *store, struct err *err)
{
    struct engine *engine;
    int code = engine_reopen(store->engine, &engine, err);

    if (code < 0) {
        readers_give_up(store);
        return code;
    }
    readers_replace(store, engine);
    atomic_fetch_add(&store->reopened, 1);
    return engine->readonly ? err_set(err, ERR_IO, "the store cannot be opened for writing") : 0;
}

static int mend(struct store *store, struct err *err)
{
    struct err settle_err = { 0 };
    int code = 0, settled = 0;

    if (store->engine->failed)
        settled = lmdb_root_settle(store->engine->path, store->engine->failed, &settle_err);
    if (settled == 0)
        store->engine->failed = 0;
    /* Twice is not needed only to read. */
    if (settled == 0 ? !store->mended : is_panicked(store->engine))
        code = replace(store, err);
    if (settled < 0) {
        if (err)
            *err = settle_err;
        return settled;
    }
    if (code < 0)
        return code;
    store->mended = true;
    if (readers_retired(store))
        return err_set(err, ERR_UNAVAILABLE, "the store has been reopened and waits for its last readers");
    return 0;
}

int trouble_mend(struct store *store, struct err *err)
{
    struct err why = { 0 };

    if (!store->broken)
        return 0;
    int code = mend(store, &why);
    if (code == 0) {
        store->broken = false;
        trouble_over(store);
        return 0;
    }
    set_trouble(store, store->read_only ? STORE_READ_ONLY : STORE_FAILING, &why);
    if (err)
        *err = why;
    return code;
}

bool trouble_failed(struct store *store, int rc, struct err *ret_err)
{
    if (!disk_failed(store->engine, rc))
        return false;
    bool unsure = store->engine->failed && is_panicked(store->engine);

    atomic_fetch_add(&store->failures, 1);
    store->broken = true;
    store->mended = false;
    store->read_only = rc == EROFS;
    trouble_mend(store, NULL);
    if (unsure && store->engine->failed)
        err_set(ret_err, ERR_IO, "the disk of the store failed (%s) while the write was made final: whether it was "
                "written is not known", mdb_strerror(rc));
    else
        err_set(ret_err, ERR_IO, "the disk of the store failed (%s): nothing was written", mdb_strerror(rc));
    return true;
}

void trouble_upkeep(struct store *store)
{
    int why = 0;

    if (trouble_mend(store, NULL) < 0 || store->condition != STORE_FULL)
        return;
    if (engine_is_full(store->engine, &why) == 0 && why == 0)
        trouble_over(store);
    else
        give_up_history(store);
}
