/* snapshot.c - reading: a snapshot is an LMDB read transaction from a pool, and the revision that it shows.
 *
 * A closed snapshot keeps its transaction and its slot in LMDB's reader table, only reset; opening it again is a
 * renewal, which takes no lock in LMDB and reads the root and the store's numbers. Older revisions are read from the
 * same newest root: the index leads to a key's newest record, and its links back to the one of the revision
 * (version.c).
 *
 * When a commit has failed LMDB refuses new readers until the writer has put a new environment in place of the old
 * (trouble.c), which it does at once. Who comes in between waits for that and tries again. */
#include "store/store_private.h"
#include "store/term_index.h"
#include "store/version.h"

#define REPLACE_MAX (10 * NSEC_PER_SEC) /* for the writer to put a new engine in place of one that failed */

void readers_init(struct readers *readers)
{
    *readers = (struct readers){ .idle = NULL };
    mutex_init(&readers->lock);
    cond_init(&readers->replaced);
}

static void snapshot_free(struct store_snapshot *snapshot)
{
    if (snapshot->txn)
        mdb_txn_abort(snapshot->txn);
    free(snapshot);
}

static void free_idle(struct readers *readers)
{
    while (readers->idle) {
        struct store_snapshot *snapshot = readers->idle;

        readers->idle = snapshot->next;
        snapshot->engine->snapshots--;
        snapshot_free(snapshot);
    }
}

void readers_deinit(struct readers *readers)
{
    INVARIANT(readers->open == 0 && !readers->retired);
    free_idle(readers);
    cond_deinit(&readers->replaced);
    mutex_deinit(&readers->lock);
}

/* An idle one, or a place in the engine for a new one. *ret_turn: which engine that is, for wait_for_engine(). */
static struct store_snapshot *take_idle(struct store *store, struct engine **ret_engine, uint64_t *ret_turn)
{
    struct readers *readers = &store->readers;

    LOCKED(&readers->lock);
    struct store_snapshot *snapshot = readers->idle;

    if (snapshot)
        readers->idle = snapshot->next;
    else
        store->engine->snapshots++;
    readers->open++;
    *ret_engine = store->engine;
    *ret_turn = readers->turn;
    return snapshot;
}

/* The last one out of a retired engine closes it. */
static void leave_engine(struct readers *readers, struct engine *engine, bool retired)
{
    struct engine **at = &readers->retired;

    if (--engine->snapshots > 0 || !retired)
        return;
    while (*at != engine)
        at = &(*at)->next_retired;
    *at = engine->next_retired;
    engine_close(engine);
}

/* NULL: it never came to be. */
static void give_back(struct store *store, struct engine *engine, struct store_snapshot *snapshot)
{
    struct readers *readers = &store->readers;

    LOCKED(&readers->lock);
    bool retired = engine != store->engine;

    readers->open--;
    if (snapshot && !retired) {
        snapshot->next = readers->idle;
        readers->idle = snapshot;
        return;
    }
    if (snapshot)
        snapshot_free(snapshot);
    leave_engine(readers, engine, retired);
}

void readers_replace(struct store *store, struct engine *engine)
{
    struct readers *readers = &store->readers;

    LOCKED(&readers->lock);
    struct engine *old = store->engine;

    free_idle(readers);
    store->engine = engine;
    readers->turn++;
    readers->given_up = false;
    cond_broadcast(&readers->replaced);
    if (old->snapshots == 0) {
        engine_close(old);
        return;
    }
    old->next_retired = readers->retired;
    readers->retired = old;
}

void readers_give_up(struct store *store)
{
    struct readers *readers = &store->readers;

    LOCKED(&readers->lock);
    readers->given_up = true;
    cond_broadcast(&readers->replaced);
}

/* True: another engine has taken the place of the one of that turn. */
static bool wait_for_engine(struct readers *readers, uint64_t turn)
{
    bool in_time = true;

    LOCKED(&readers->lock);
    while (readers->turn == turn && !readers->given_up && in_time)
        in_time = cond_wait_for(&readers->replaced, &readers->lock, REPLACE_MAX);
    return readers->turn != turn;
}

bool readers_retired(struct store *store)
{
    LOCKED(&store->readers.lock);
    return store->readers.retired != NULL;
}

static struct store_snapshot *snapshot_new(struct store *store, struct engine *engine)
{
    struct store_snapshot *snapshot = calloc(1, sizeof *snapshot);

    if (!snapshot)
        return NULL;
    snapshot->store = store;
    snapshot->engine = engine;
    return snapshot;
}

/* Its transaction lives, and the numbers it sees are read. LMDB's code. */
static int snapshot_begin(struct store_snapshot *snapshot)
{
    int rc;

    if (snapshot->txn) {
        rc = mdb_txn_renew(snapshot->txn);
    } else {
        rc = mdb_txn_begin(snapshot->engine->env, NULL, MDB_RDONLY, &snapshot->txn);
        if (rc)
            snapshot->txn = NULL;
    }
    return rc ? rc : engine_meta_get(snapshot->engine, snapshot->txn, &snapshot->meta);
}

/* One try. *ret_panicked: LMDB has given up on the engine of *ret_turn. */
static int try_acquire(struct store *store, struct store_snapshot **ret_snapshot, bool *ret_panicked,
                       uint64_t *ret_turn, struct err *err)
{
    struct engine *engine;
    struct store_snapshot *snapshot = take_idle(store, &engine, ret_turn);

    if (!snapshot && !(snapshot = snapshot_new(store, engine))) {
        give_back(store, engine, NULL);
        return err_set(err, ERR_NO_MEMORY, "snapshot");
    }
    int rc = snapshot_begin(snapshot);
    if (rc == 0) {
        *ret_snapshot = snapshot;
        return 0;
    }
    int code = engine_fail(engine, rc, "opening a snapshot", err);

    *ret_panicked = rc == MDB_PANIC;
    snapshot_free(snapshot);
    give_back(store, engine, NULL);
    return code;
}

static int acquire(struct store *store, struct store_snapshot **ret_snapshot, struct err *err)
{
    for (;;) {
        bool panicked = false;
        uint64_t turn;
        int code = try_acquire(store, ret_snapshot, &panicked, &turn, err);

        if (!panicked || !wait_for_engine(&store->readers, turn))
            return code;
        err_clear(err);
    }
}

int store_snapshot_open(struct store *store, revision_t revision, struct store_snapshot **ret_snapshot, struct err *err)
{
    struct store_snapshot *snapshot = NULL;
    int code = acquire(store, &snapshot, err);

    if (code < 0)
        return code;
    snapshot->revision = revision ? revision : snapshot->meta.revision;
    if (snapshot->revision > snapshot->meta.revision)
        code = err_set(err, ERR_INVALID, "revision %llu is in the future: the newest is %llu",
                       (unsigned long long)revision, (unsigned long long)snapshot->meta.revision);
    else if (snapshot->revision < snapshot->meta.floor)
        code = err_set(err, ERR_EXPIRED, "revision %llu has been compacted: the oldest is %llu",
                       (unsigned long long)revision, (unsigned long long)snapshot->meta.floor);
    if (code < 0) {
        store_snapshot_close(snapshot);
        return code;
    }
    *ret_snapshot = snapshot;
    return 0;
}

struct store_snapshot *store_snapshot_close(struct store_snapshot *snapshot)
{
    if (!snapshot)
        return NULL;
    mdb_txn_reset(snapshot->txn);
    give_back(snapshot->store, snapshot->engine, snapshot);
    return NULL;
}

revision_t store_snapshot_revision(const struct store_snapshot *snapshot)
{
    return snapshot->revision;
}

/* The record of an index entry that the snapshot shows; MDB_NOTFOUND when it shows none. */
static int visible(struct store_snapshot *snapshot, const struct index_entry *entry, position_t *ret_position,
                   struct record *ret_record)
{
    if (entry->deleted && position_revision(entry->position) <= snapshot->revision)
        return MDB_NOTFOUND;
    return version_at(snapshot->engine, snapshot->txn, snapshot->meta.floor, entry->position, snapshot->revision,
                      ret_position, ret_record);
}

static struct store_item item_of(position_t position, const struct record *record)
{
    return (struct store_item){ record->key, record->value, position_revision(position), record->created };
}

int store_get(struct store_snapshot *snapshot, struct str key, struct store_item *ret_item, struct err *err)
{
    struct index_entry entry;
    struct record record;
    position_t position = 0;
    int rc = MDB_NOTFOUND;

    if (key.len > 0 && key.len <= STORE_KEY_MAX)
        rc = index_get(&snapshot->engine->keys, snapshot->txn, key, &entry);
    if (rc == 0)
        rc = visible(snapshot, &entry, &position, &record);
    if (rc == 0 && !str_eq(record.key, key))
        rc = MDB_CORRUPTED;
    if (rc == MDB_NOTFOUND)
        return err_set(err, ERR_NOT_FOUND, "key " STR_FMT " not found", STR_ARG(str_first(key, 256)));
    if (rc)
        return engine_fail(snapshot->engine, rc, "reading a key", err);
    *ret_item = item_of(position, &record);
    return 0;
}

/* -- lists: of the index of keys, or of that of terms, where the keys of one term stand in the same order -- */

struct store_cursor {
    struct store_snapshot *snapshot;
    struct index_cursor index;
    bool started, ended;
    size_t term_len; /* 0: of keys; else prefix and start begin with the term and a NUL */
    size_t prefix_len, start_len;
    char bytes[]; /* prefix, then start */
};

int store_cursor_open(struct store_snapshot *snapshot, struct str prefix, struct str start,
                      struct store_cursor **ret_cursor, struct err *err)
{
    return store_cursor_open_term(snapshot, STR_NULL, prefix, start, ret_cursor, err);
}

static struct str cursor_bytes(char *at, struct str term, struct str key)
{
    if (term.len)
        return term_key(at, term, key);
    if (key.len)
        memcpy(at, key.data, key.len);
    return str_of(at, key.len);
}

int store_cursor_open_term(struct store_snapshot *snapshot, struct str term, struct str prefix, struct str start,
                           struct store_cursor **ret_cursor, struct err *err)
{
    struct engine *engine = snapshot->engine;
    int code;

    if (term.len && (code = terms_check(&term, 1, err)) < 0)
        return code;
    if (str_cmp(start, prefix) < 0)
        start = prefix;
    if (prefix.len > STORE_KEY_MAX || start.len > STORE_KEY_MAX + 1) /* a key and a NUL: behind that key */
        return err_set(err, ERR_INVALID, "a key is longer than %d bytes", STORE_KEY_MAX);
    struct store_cursor *cursor = malloc(sizeof *cursor + prefix.len + start.len + 2 * (term.len + 1));
    if (!cursor)
        return err_set(err, ERR_NO_MEMORY, "cursor");
    int rc = index_cursor_init(&cursor->index, term.len ? &engine->terms : &engine->keys, snapshot->txn);
    if (rc) {
        free(cursor);
        return engine_fail(engine, rc, "opening a cursor", err);
    }
    cursor->snapshot = snapshot;
    cursor->started = cursor->ended = false;
    cursor->term_len = term.len;
    cursor->prefix_len = cursor_bytes(cursor->bytes, term, prefix).len;
    cursor->start_len = cursor_bytes(cursor->bytes + cursor->prefix_len, term, start).len;
    *ret_cursor = cursor;
    return 0;
}

struct store_cursor *store_cursor_close(struct store_cursor *cursor)
{
    if (!cursor)
        return NULL;
    index_cursor_deinit(&cursor->index);
    free(cursor);
    return NULL;
}

/* The next entry of the index within the prefix. */
static int next_entry(struct store_cursor *cursor, struct str *ret_key, struct index_entry *ret_entry)
{
    int rc;

    if (cursor->ended)
        return MDB_NOTFOUND;
    if (cursor->started)
        rc = index_cursor_next(&cursor->index, ret_key, ret_entry);
    else
        rc = index_cursor_seek(&cursor->index, str_of(cursor->bytes + cursor->prefix_len, cursor->start_len), ret_key,
                               ret_entry);
    cursor->started = true;
    if (rc == 0 && !str_has_prefix(*ret_key, str_of(cursor->bytes, cursor->prefix_len)))
        rc = MDB_NOTFOUND;
    cursor->ended = rc != 0;
    return rc;
}

/* From an entry of the index of terms to that of its key. MDB_NOTFOUND: the key has not had the term there. */
static int entry_of_term(struct store_cursor *cursor, struct str *key, struct index_entry *entry)
{
    struct store_snapshot *snapshot = cursor->snapshot;

    if (entry->deleted && position_revision(entry->position) <= snapshot->revision)
        return MDB_NOTFOUND;
    *key = str_skip(*key, cursor->term_len + 1);
    return index_get(&snapshot->engine->keys, snapshot->txn, *key, entry);
}

/* The state that an entry of the index leads to; MDB_NOTFOUND: none that belongs to the list. */
static int find_state(struct store_cursor *cursor, struct str key, struct index_entry entry, position_t *ret_position,
                      struct record *ret_record)
{
    int rc = cursor->term_len ? entry_of_term(cursor, &key, &entry) : 0;

    if (rc == 0)
        rc = visible(cursor->snapshot, &entry, ret_position, ret_record);
    if (rc)
        return rc;
    if (!str_eq(ret_record->key, key))
        return MDB_CORRUPTED;
    if (cursor->term_len && !terms_contain(ret_record->terms, str_of(cursor->bytes, cursor->term_len)))
        return MDB_NOTFOUND;
    return 0;
}

int store_cursor_next(struct store_cursor *cursor, struct store_item *ret_item, struct err *err)
{
    struct store_snapshot *snapshot = cursor->snapshot;
    struct index_entry entry;
    struct record record;
    struct str key;
    int rc;

    while ((rc = next_entry(cursor, &key, &entry)) == 0) {
        position_t position;

        rc = find_state(cursor, key, entry, &position, &record);
        if (rc == MDB_NOTFOUND)
            continue;
        if (rc)
            break;
        *ret_item = item_of(position, &record);
        return 1;
    }
    if (rc == MDB_NOTFOUND)
        return 0;
    cursor->ended = true;
    return engine_fail(snapshot->engine, rc, "reading a list", err);
}

int store_count(struct store_snapshot *snapshot, struct str prefix, uint64_t *ret_count, struct err *err)
{
    return store_count_from(snapshot, prefix, STR_NULL, ret_count, err);
}

int store_count_from(struct store_snapshot *snapshot, struct str prefix, struct str start, uint64_t *ret_count,
                     struct err *err)
{
    AUTO(store_cursor) cursor = NULL;
    struct index_entry entry;
    struct str key;
    uint64_t count = 0;
    int rc, code = store_cursor_open(snapshot, prefix, start, &cursor, err);

    if (code < 0)
        return code;
    while ((rc = next_entry(cursor, &key, &entry)) == 0) {
        position_t position;
        struct record record;

        if (position_revision(entry.position) <= snapshot->revision) {
            count += !entry.deleted;
            continue;
        }
        rc = visible(snapshot, &entry, &position, &record);
        if (rc == 0)
            count++;
        else if (rc != MDB_NOTFOUND)
            break;
    }
    if (rc != MDB_NOTFOUND)
        return engine_fail(snapshot->engine, rc, "counting keys", err);
    *ret_count = count;
    return 0;
}
