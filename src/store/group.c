/* group.c - writing: many transactions, one commit.
 *
 * All that has queued up while the last commit went to disk becomes the next one, in order. Each transaction sees
 * the ones before it in the group. First all its comparisons are made, then all its changes, so one that fails has
 * touched nothing. When the commit fails, or any change before it, the whole group is void: LMDB forgets it, and every
 * transaction of it gets the error, also those whose comparison failed, since they were compared with what never came
 * to be. Unless there was no room: then the group is run once more without its puts, as deletions make room, on the
 * reserve. A deletion keeps the last state, so many of them can use the reserve up: then all history is given up first.
 *
 * A value is spliced once, into a blob that goes into the log, to the caller and to all watchers. The state before
 * comes from the window when the last change of the key is still there, and from the map else.
 *
 * A deletion of what is not there (STORE_ANY) changes nothing and has no event; the transaction still takes its
 * revision.
 *
 * In a cache of etcd (etcd/) transactions come with the revisions that they have there: what they compare has been
 * compared, and they are not refused for lack of room. One that has been decided already only waits for its turn. */
#include <errno.h>

#include "store/event.h"
#include "store/store_private.h"
#include "store/term_index.h"
#include "store/version.h"

static revision_t present_revision(const struct index_entry *entry)
{
    return entry->deleted ? 0 : position_revision(entry->position);
}

/* Looks up what is there for each operation and compares. 1: a comparison failed (result filled); 0; or LMDB's code. */
static int compare(struct store *store, struct store_txn *txn, bool *ret_failed)
{
    struct group *group = &store->group;

    *ret_failed = false;
    for (size_t i = 0; i < txn->ops_count; i++) {
        const struct store_op *op = &txn->ops[i];
        int rc = index_get(&store->engine->keys, group->txn, op->key, &group->entries[i]);

        if (rc == MDB_NOTFOUND)
            group->entries[i] = (struct index_entry){ .deleted = true };
        else if (rc)
            return rc;
        revision_t present = present_revision(&group->entries[i]);
        if (op->expect == STORE_ANY || op->expect == present)
            continue;
        txn->result.failed_op = i;
        txn->result.present = present;
        err_set(&txn->err, ERR_CONFLICT, "key " STR_FMT " is at revision %llu, not at %llu",
                STR_ARG(str_first(op->key, 256)), (unsigned long long)present, (unsigned long long)op->expect);
        *ret_failed = true;
        return 0;
    }
    return 0;
}

/* The state that a change replaces, as a blob. */
static int previous_value(struct store *store, struct str key, position_t previous, const struct record *record,
                          struct blob **ret_value)
{
    struct store_event *recent = window_recent(&store->hub.window, key, position_revision(previous));

    *ret_value = recent ? blob_ref(recent->value) : blob_copy(record->value);
    return *ret_value ? 0 : ENOMEM;
}

static int write_record(struct store *store, position_t position, const struct record *record)
{
    void *room;
    int rc = log_append(store->engine, store->group.txn, position, record_size(record), &room);

    if (rc == 0)
        record_encode(record, position, room);
    return rc;
}

static int keep_event(struct group *group, struct store_event *event, position_t position)
{
    if (!event)
        return ENOMEM;
    if (vec_push(&group->events, ((struct fresh_event){ position, event })) < 0) {
        store_event_unref(event);
        return ENOMEM;
    }
    return 0;
}

static struct str cause_part(struct str s)
{
    return str_first(s, STORE_CAUSE_MAX);
}

/* Writes one put or deletion and makes its event. */
static int change(struct store *store, const struct store_txn *txn, size_t i, revision_t revision)
{
    struct group *group = &store->group;
    const struct store_op *op = &txn->ops[i];
    const struct index_entry *entry = &group->entries[i];
    AUTO(blob) value = NULL;
    AUTO(blob) previous = NULL;
    position_t position = position_of(revision, i);
    char terms[TERMS_BYTES_MAX], terms_before[TERMS_BYTES_MAX];
    struct record before = { 0 };
    struct record record = {
        .deleted = op->kind == STORE_DELETE,
        .created = entry->deleted ? revision : entry->created,
        .trigger = txn->cause.trigger,
        .time = group->meta.time,
        .key = op->key,
        .actor = cause_part(txn->cause.actor),
        .rule = cause_part(txn->cause.rule),
    };
    struct event_parts parts = { .position = position };
    int rc;

    if (op->kind == STORE_PUT && op->terms_count)
        record.terms = str_of(terms, terms_encode(op->terms, op->terms_count, terms));
    if (entry->position && (rc = log_read(store->engine, group->txn, entry->position, &before)))
        return rc == MDB_NOTFOUND ? MDB_CORRUPTED : rc;
    if ((rc = version_link(store->engine, group->txn, entry->position, &before, &record)))
        return rc;
    if (!entry->deleted && (rc = previous_value(store, op->key, entry->position, &before, &previous)))
        return rc;
    if (before.terms.len > sizeof terms_before)
        return MDB_CORRUPTED;
    if (before.terms.len) { /* it lies in the map, which the next change moves */
        memcpy(terms_before, before.terms.data, before.terms.len);
        parts.previous_terms = str_of(terms_before, before.terms.len);
    }
    if (!(value = value_splice(op->value, op->splice, revision)))
        return ENOMEM;
    record.value = blob_str(value);
    if ((rc = write_record(store, position, &record)))
        return rc;
    struct index_entry now = { position, record.created, record.deleted };
    if ((rc = index_put(&store->engine->keys, group->txn, op->key, &now)))
        return rc;
    if ((rc = term_index_change(store->engine, group->txn, op->key, position, parts.previous_terms, record.terms)))
        return rc;
    group->meta.history_bytes += (entry->deleted ? 0 : record_size(&before)) + (record.deleted ? record_size(&record) : 0);
    group->meta.live_keys += (uint64_t)entry->deleted - (uint64_t)record.deleted;
    parts.kind = record.deleted ? STORE_DELETED : entry->deleted ? STORE_CREATED : STORE_MODIFIED;
    parts.previous_position = entry->deleted ? 0 : entry->position;
    parts.value = TAKE(value);
    parts.previous = TAKE(previous);
    return keep_event(group, event_new(&parts, &record), position);
}

static bool has_put(const struct store_txn *txn)
{
    for (size_t i = 0; i < txn->ops_count; i++)
        if (txn->ops[i].kind == STORE_PUT)
            return true;
    return false;
}

/* A transaction of the group: 0 also when it failed on its own; else the group is void. */
static int run_one(struct store *store, struct store_txn *txn)
{
    struct group *group = &store->group;
    bool failed;
    int rc;

    if (txn->decided) /* was not valid to begin with, or what has become of it is known */
        return 0;
    if ((rc = compare(store, txn, &failed)) || failed)
        return rc;
    if (group->full && !txn->given && has_put(txn)) {
        engine_fail(store->engine, group->full, "committing", &txn->err);
        group->refused = true;
        return 0;
    }
    revision_t revision = txn->given ? txn->given : group->meta.revision + 1;
    INVARIANT(revision > group->meta.revision);
    group->meta.time = MAX(group->meta.time, txn->given ? txn->time : group->now);
    for (size_t i = 0; i < txn->ops_count; i++) {
        const struct store_op *op = &txn->ops[i];

        if (op->kind == STORE_CHECK || (op->kind == STORE_DELETE && group->entries[i].deleted))
            continue;
        if ((rc = change(store, txn, i, revision)))
            return rc;
    }
    group->meta.revision = revision;
    txn->result.revision = revision;
    group->done++;
    return 0;
}

/* full: puts are refused for this reason; 0: if there is one. */
static int run_all(struct store *store, struct store_txn *first, int full)
{
    struct group *group = &store->group;
    int rc = mdb_txn_begin(store->engine->env, NULL, 0, &group->txn);

    if (rc)
        return rc;
    rc = engine_meta_get(store->engine, group->txn, &group->meta);
    group->full = full;
    group->refused = false;
    group->done = 0;
    group->now = clock_wall(store->clock);
    if (rc == 0 && !full)
        rc = engine_is_full(store->engine, &group->full);
    revision_t before = group->meta.revision;
    for (struct store_txn *txn = first; txn && rc == 0; txn = txn->next)
        rc = run_one(store, txn);
    if (rc == 0 && group->meta.revision != before) {
        rc = engine_meta_put(store->engine, group->txn, &group->meta);
        if (rc == 0)
            return engine_commit(store->engine, group->txn);
    }
    mdb_txn_abort(group->txn);
    return rc;
}

static void forget_events(struct group *group)
{
    vec_each (&group->events, fresh)
        store_event_unref(fresh->event);
    vec_clear(&group->events);
}

/* What failed on its own before the group did; a comparison made here is only as good as the group. */
static bool failed_alone(const struct store_txn *txn)
{
    return txn->decided || (txn->err.code != ERR_NONE && txn->err.code != ERR_CONFLICT);
}

static void fail_all(struct store *store, struct store_txn *first, int rc)
{
    struct err disk;
    bool disk_failed = trouble_failed(store, rc, &disk);

    for (struct store_txn *txn = first; txn; txn = txn->next) {
        if (failed_alone(txn))
            continue;
        if (disk_failed)
            txn->err = disk;
        else
            engine_fail(store->engine, rc, "committing", &txn->err);
    }
}

static void fail_unwritten(struct store_txn *first, const struct err *err)
{
    for (struct store_txn *txn = first; txn; txn = txn->next)
        if (txn->err.code == ERR_NONE && !txn->decided)
            txn->err = *err;
}

static void forget_conflicts(struct store_txn *first)
{
    for (struct store_txn *txn = first; txn; txn = txn->next)
        if (!failed_alone(txn))
            err_clear(&txn->err);
}

static int run_again(struct store *store, struct store_txn *first, int full)
{
    forget_events(&store->group);
    forget_conflicts(first);
    return run_all(store, first, full);
}

/* As run_all(), and once more for the deletions when there is no room; and when that was not enough, without history. */
static int run_somehow(struct store *store, struct store_txn *first)
{
    int rc = run_all(store, first, 0);

    if (!rc || !engine_lacks_space(store->engine, rc))
        return rc;
    if (space_release(&store->engine->space))
        rc = run_again(store, first, rc);
    if (rc && engine_lacks_space(store->engine, rc) && trouble_forget_all(store))
        rc = run_again(store, first, rc);
    return rc;
}

/* Results of those that went through: revisions grow, events are in the order of their operations. */
static void fill_results(const struct group *group, struct store_txn *first)
{
    const struct fresh_event *event = group->events.items;
    const struct fresh_event *end = event ? event + group->events.count : NULL;

    for (struct store_txn *txn = first; txn; txn = txn->next) {
        if (txn->err.code != ERR_NONE || txn->decided)
            continue;
        for (size_t i = 0; i < txn->ops_count; i++) {
            bool changed = event < end && event->position == position_of(txn->result.revision, i);

            if (txn->result.values)
                txn->result.values[i] = changed ? blob_ref(event->event->value) : NULL;
            if (changed)
                event++;
        }
    }
}

void group_end(struct store_txn *first)
{
    while (first) {
        struct store_txn *txn = first;

        first = txn->next; /* done() may free it */
        txn->done(txn, -(int)txn->err.code);
    }
}

static void note_room(struct store *store, int rc)
{
    struct group *group = &store->group;

    if (group->refused || engine_lacks_space(store->engine, rc))
        trouble_no_room(store, rc ? rc : group->full);
    else if (!rc && !group->full)
        trouble_over(store);
}

bool group_run(struct store *store, struct store_txn *first)
{
    struct group *group = &store->group;
    revision_t before = atomic_load(&store->revision);
    struct err why = { 0 };

    if (trouble_mend(store, &why) < 0) {
        fail_unwritten(first, &why);
        return false;
    }
    int rc = run_somehow(store, first);
    if (rc) {
        forget_events(group);
        fail_all(store, first, rc);
    } else if (group->meta.revision != before) {
        atomic_store(&store->revision, group->meta.revision);
        atomic_fetch_add(&store->commits, 1);
        atomic_fetch_add(&store->transactions, group->done);
        fill_results(group, first);
        hub_publish(&store->hub, group->events.items, group->events.count, group->meta.revision);
        vec_clear(&group->events);
    }
    if (!store->broken)
        note_room(store, rc);
    return rc == 0;
}
