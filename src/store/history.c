/* history.c - looking back, and how far.
 *
 * The log is the history: records in the order in which they were committed, each with its time, which never goes back.
 * So the revision of a time is found by bisecting the log, and a key's changes by its own links (version.c).
 *
 * What may be forgotten is decided by age and by size. For the age there is a revision. For the size only the sum of
 * all superseded records is known, so the floor moves by the share of the revisions that is too much; the next time
 * corrects it. */
#include "store/etcd/remote.h"
#include "store/store_private.h"
#include "store/version.h"

static struct store_change change_of(position_t position, const struct record *record)
{
    return (struct store_change){
        .kind = record->deleted ? STORE_DELETED
                : record->created == position_revision(position) ? STORE_CREATED
                                                                 : STORE_MODIFIED,
        .revision = position_revision(position),
        .previous = position_revision(record->previous),
        .trigger = record->trigger,
        .time = record->time,
        .key = record->key,
        .value = record->value,
        .actor = record->actor,
        .rule = record->rule,
    };
}

static int not_found(struct str key, struct err *err)
{
    return err_set(err, ERR_NOT_FOUND, "no change of key " STR_FMT " is retained", STR_ARG(str_first(key, 256)));
}

/* -- one key -- */

int store_change_at(struct store_snapshot *snapshot, struct str key, revision_t revision, struct store_change *ret_change,
                    struct err *err)
{
    struct engine *engine = snapshot->engine;
    revision_t at = revision && revision < snapshot->revision ? revision : snapshot->revision;
    struct index_entry entry;
    struct record record;
    position_t position;
    int rc = MDB_NOTFOUND;

    if (key.len > 0 && key.len <= STORE_KEY_MAX)
        rc = index_get(&engine->keys, snapshot->txn, key, &entry);
    if (rc == 0)
        rc = version_find(engine, snapshot->txn, snapshot->meta.floor, entry.position, at, &position, &record);
    /* Below the floor links may lead to what is gone. */
    if (rc == MDB_NOTFOUND || (rc == MDB_CORRUPTED && at < snapshot->meta.floor))
        return not_found(key, err);
    if (rc)
        return engine_fail(engine, rc, "reading the history of a key", err);
    *ret_change = change_of(position, &record);
    return 0;
}

/* -- all keys -- */

static int read_record(struct store_snapshot *snapshot, position_t from, position_t *ret_position,
                       struct record *ret_record)
{
    MDB_cursor *cursor;
    struct str bytes;
    int rc = mdb_cursor_open(snapshot->txn, snapshot->engine->log, &cursor);

    if (rc)
        return rc;
    rc = log_seek(cursor, from, ret_position, &bytes);
    mdb_cursor_close(cursor);
    return rc == 0 && !record_decode(bytes, ret_record) ? MDB_CORRUPTED : rc;
}

int store_changes_open(struct store_snapshot *snapshot, struct str prefix, revision_t after, revision_t until,
                       struct store_changes *ret_changes, struct err *err)
{
    if (until == 0 || until > snapshot->revision)
        until = snapshot->revision;
    if (after > until)
        return err_set(err, ERR_INVALID, "revision %llu is not before %llu", (unsigned long long)after,
                       (unsigned long long)until);
    if (after < snapshot->meta.floor)
        return err_set(err, ERR_EXPIRED, "changes after revision %llu are no longer retained: the oldest are after %llu",
                       (unsigned long long)after, (unsigned long long)snapshot->meta.floor);
    *ret_changes = (struct store_changes){ snapshot, prefix, until, position_end(after) };
    return 0;
}

int store_changes_next(struct store_changes *changes, struct store_change *ret_change, struct err *err)
{
    struct record record;

    for (;;) {
        int rc = read_record(changes->snapshot, changes->position + 1, &changes->position, &record);

        if (rc == MDB_NOTFOUND || (rc == 0 && position_revision(changes->position) > changes->until)) {
            changes->position = position_end(changes->until);
            return 0;
        }
        if (rc)
            return engine_fail(changes->snapshot->engine, rc, "reading the history", err);
        if (!str_has_prefix(record.key, changes->prefix))
            continue;
        *ret_change = change_of(changes->position, &record);
        return 1;
    }
}

/* -- times -- */

/* The newest revision in (low, high] whose time is not after `time`; low when there is none. */
static int bisect(struct store_snapshot *snapshot, nsec_t time, revision_t low, revision_t high, revision_t *ret_revision)
{
    while (low < high) {
        revision_t middle = low + (high - low + 1) / 2;
        struct record record;
        position_t position;
        int rc = read_record(snapshot, position_of(middle, 0), &position, &record);

        if (rc && rc != MDB_NOTFOUND)
            return rc;
        if (rc == MDB_NOTFOUND || position_revision(position) > high || record.time > time)
            high = middle - 1; /* what has left no record counts with what came before */
        else
            low = position_revision(position);
    }
    *ret_revision = low;
    return 0;
}

int store_revision_at(struct store_snapshot *snapshot, nsec_t time, revision_t *ret_revision, struct err *err)
{
    revision_t floor = snapshot->meta.floor, revision = 0;
    struct record first = { 0 };
    position_t position;
    int rc;

    if (snapshot->revision > 0 && time >= snapshot->meta.time) { /* also what was only compared has a revision */
        *ret_revision = snapshot->revision;
        return 0;
    }
    rc = bisect(snapshot, time, floor, snapshot->revision, &revision);
    if (rc == 0 && revision == floor && floor > 0) {
        /* Between the floor itself and the next: only if the floor was there already. */
        rc = read_record(snapshot, position_of(floor, 0), &position, &first);
        if (rc == MDB_NOTFOUND || (rc == 0 && (position_revision(position) != floor || first.time > time))) {
            revision = 0;
            rc = 0;
        }
    }
    if (rc)
        return engine_fail(snapshot->engine, rc, "looking for a time", err);
    if (revision == 0)
        return err_set(err, ERR_EXPIRED, "the state of that time is no longer retained, or nothing was there yet");
    *ret_revision = revision;
    return 0;
}

/* -- retention -- */

static revision_t floor_by_age(struct store_snapshot *snapshot, nsec_t age, struct err *err)
{
    revision_t revision;

    if (age <= 0)
        return 0;
    return store_revision_at(snapshot, clock_wall(snapshot->store->clock) - age, &revision, err) < 0 ? 0 : revision;
}

static revision_t floor_by_size(const struct store_snapshot *snapshot, uint64_t bytes)
{
    const struct meta *meta = &snapshot->meta;

    if (bytes == 0 || meta->history_bytes <= bytes)
        return 0;
    double excess = (double)(meta->history_bytes - bytes) / (double)meta->history_bytes;
    revision_t span = snapshot->revision - meta->floor;
    return MIN(snapshot->revision, meta->floor + (revision_t)((double)span * excess) + 1);
}

int store_retain(struct store *store, const struct store_retention *retention, struct err *err)
{
    AUTO(store_snapshot) snapshot = NULL;
    struct err ignored = { 0 };

    store_upkeep(store);
    int code = store_snapshot_open(store, 0, &snapshot, err);

    if (code < 0)
        return code;
    revision_t floor = MAX(floor_by_age(snapshot, retention->age, &ignored),
                           floor_by_size(snapshot, retention->bytes));
    revision_t present = snapshot->meta.floor;
    snapshot = store_snapshot_close(snapshot);
    if (floor > present && (code = store_compact(store, floor, err)) < 0)
        return code;
    if (store->remote)
        remote_retained(store->remote, MAX(floor, present));
    return 0;
}
