/* check.c - what must hold in a store, checked from three sides.
 *
 * The log: every record is what was written at its place (checksum), links lead back to records of the same key, or to
 * what compaction took. The index of keys: every entry leads to the newest record of its key. The index of terms: every
 * entry that counts names a key whose newest state has the term. And the sums: as many live keys as the store believes
 * there are; every live key's newest record is in the log, and every record that is the newest is in the index (a
 * record that the index passes over would be found as a state that nothing leads to). */
#include "store/check.h"

#include <stdio.h>

#include "store/index.h"
#include "store/term.h"
#include "store/term_index.h"

#define PROGRESS_RECORDS 4096

struct check {
    struct engine *engine;
    MDB_txn *txn;
    struct meta meta;
    const struct store_check_events *events;
    struct store_check_report report;
    uint64_t total;
};

static void problem(struct check *check, const char *fmt, ...) PRINTF(2, 3);

static void problem(struct check *check, const char *fmt, ...)
{
    char text[STORE_KEY_MAX + 256];
    va_list args;

    if (check->report.problems++ >= STORE_CHECK_PROBLEMS_MAX)
        return;
    va_start(args, fmt);
    int len = vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    check->events->problem(check->events->ctx, str_of(text, MIN((size_t)MAX(len, 0), sizeof text - 1)));
}

/* "revision 12.0": how people are told where. */
#define PLACE_FMT "revision %llu.%u"
#define PLACE_ARG(position) (unsigned long long)position_revision(position), (unsigned)((position) & POSITION_OP_LAST)
#define KEY_ARG(key) STR_ARG(str_first((key), 300))

/* -- the log -- */

static void check_links(struct check *check, position_t position, const struct record *record)
{
    struct record before;

    if (record->created > position_revision(position))
        problem(check, PLACE_FMT ": " STR_FMT " is younger than itself", PLACE_ARG(position), KEY_ARG(record->key));
    if (record->previous == 0)
        return;
    if (record->previous >= position) {
        problem(check, PLACE_FMT ": " STR_FMT " follows a later state", PLACE_ARG(position), KEY_ARG(record->key));
        return;
    }
    int rc = log_read(check->engine, check->txn, record->previous, &before);
    if (rc == MDB_NOTFOUND && position_revision(position) > check->meta.floor &&
        position_revision(record->previous) > check->meta.floor)
        problem(check, PLACE_FMT ": the state before of " STR_FMT " is missing", PLACE_ARG(position),
                KEY_ARG(record->key));
    else if (rc == 0 && !str_eq(before.key, record->key))
        problem(check, PLACE_FMT ": the state before of " STR_FMT " is another key's", PLACE_ARG(position),
                KEY_ARG(record->key));
}

/* A record is its key's newest exactly when the index says so. */
static void check_indexed(struct check *check, position_t position, const struct record *record)
{
    struct index_entry entry;
    int rc = index_get(&check->engine->keys, check->txn, record->key, &entry);

    if (rc)
        problem(check, PLACE_FMT ": " STR_FMT " is not in the index", PLACE_ARG(position), KEY_ARG(record->key));
    else if (entry.position < position)
        problem(check, PLACE_FMT ": the index knows only an older state of " STR_FMT, PLACE_ARG(position),
                KEY_ARG(record->key));
}

static void check_record(struct check *check, position_t position, struct str bytes)
{
    struct record record;

    check->report.records++;
    check->report.bytes += bytes.len;
    if (!record_intact(bytes, position)) {
        problem(check, PLACE_FMT ": the record is damaged: its checksum is wrong", PLACE_ARG(position));
        return;
    }
    if (!record_decode(bytes, &record)) {
        problem(check, PLACE_FMT ": the record cannot be read", PLACE_ARG(position));
        return;
    }
    if (position_revision(position) > check->meta.revision)
        problem(check, PLACE_FMT ": later than the newest revision %llu", PLACE_ARG(position),
                (unsigned long long)check->meta.revision);
    check_links(check, position, &record);
    check_indexed(check, position, &record);
}

static int check_log(struct check *check)
{
    position_t position, last = 0;
    struct str bytes;
    MDB_cursor *cursor;
    int rc = mdb_cursor_open(check->txn, check->engine->log, &cursor);

    if (rc)
        return rc;
    for (rc = log_seek(cursor, 0, &position, &bytes); rc == 0; rc = log_next(cursor, &position, &bytes)) {
        if (position <= last)
            problem(check, PLACE_FMT ": out of order", PLACE_ARG(position));
        last = position;
        check_record(check, position, bytes);
        if (check->events->progress && check->report.records % PROGRESS_RECORDS == 0)
            check->events->progress(check->events->ctx, check->report.records, check->total);
    }
    mdb_cursor_close(cursor);
    return rc == MDB_NOTFOUND ? 0 : rc;
}

/* -- the indexes -- */

static void check_key(struct check *check, struct str key, const struct index_entry *entry)
{
    struct record record;
    int rc = log_read(check->engine, check->txn, entry->position, &record);

    if (rc || !str_eq(record.key, key))
        problem(check, STR_FMT ": the index leads to no record of it (" PLACE_FMT ")", KEY_ARG(key),
                PLACE_ARG(entry->position));
    else if (record.deleted != entry->deleted || record.created != entry->created)
        problem(check, STR_FMT ": index and record do not agree", KEY_ARG(key));
    check->report.keys += !entry->deleted;
}

static void check_term(struct check *check, struct str name, const struct index_entry *entry)
{
    ssize_t end = str_chr(name, '\0');
    struct index_entry newest;
    struct record record;

    if (end <= 0 || (size_t)end + 1 >= name.len) {
        problem(check, "the index of terms has an entry that names no key");
        return;
    }
    struct str term = str_first(name, (size_t)end), key = str_skip(name, (size_t)end + 1);
    check->report.terms += !entry->deleted;
    if (entry->deleted)
        return; /* kept for older revisions */
    if (index_get(&check->engine->keys, check->txn, key, &newest) || newest.deleted ||
        log_read(check->engine, check->txn, newest.position, &record) || !terms_contain(record.terms, term))
        problem(check, STR_FMT ": found by " STR_FMT ", which it has not", KEY_ARG(key), STR_ARG(term));
}

/* And the other way round: what a live state has finds it. */
static void check_terms_of(struct check *check, struct str key, const struct index_entry *entry)
{
    char bytes[TERM_KEY_MAX];
    struct record record;
    struct index_entry found;
    struct str rest, term;

    if (entry->deleted || log_read(check->engine, check->txn, entry->position, &record))
        return;
    for (rest = record.terms; terms_next(&rest, &term);)
        if (index_get(&check->engine->terms, check->txn, term_key(bytes, term, key), &found) || found.deleted)
            problem(check, STR_FMT ": not found by " STR_FMT, KEY_ARG(key), STR_ARG(term));
}

static int walk_index(struct check *check, const struct index_trees *trees,
                      void (*each)(struct check *check, struct str key, const struct index_entry *entry))
{
    struct index_cursor cursor;
    struct index_entry entry;
    char copy[INDEX_KEY_MAX];
    struct str key;
    int rc = index_cursor_init(&cursor, trees, check->txn);

    if (rc)
        return rc;
    for (rc = index_cursor_seek(&cursor, STR(""), &key, &entry); rc == 0;
         rc = index_cursor_next(&cursor, &key, &entry)) {
        key = str_first(key, sizeof copy);
        memcpy(copy, key.data, key.len);
        each(check, str_of(copy, key.len), &entry);
    }
    index_cursor_deinit(&cursor);
    return rc == MDB_NOTFOUND ? 0 : rc;
}

/* -- the whole -- */

static int check_all(struct check *check)
{
    int rc = engine_meta_get(check->engine, check->txn, &check->meta);

    if (rc == 0)
        rc = engine_usage(check->engine, check->txn, &check->total, &check->report.bytes);
    check->report = (struct store_check_report){ .revision = check->meta.revision, .floor = check->meta.floor };
    if (rc == 0)
        rc = check_log(check);
    if (rc == 0)
        rc = walk_index(check, &check->engine->keys, check_key);
    if (rc == 0)
        rc = walk_index(check, &check->engine->keys, check_terms_of);
    if (rc == 0)
        rc = walk_index(check, &check->engine->terms, check_term);
    if (rc == 0 && check->report.keys != check->meta.live_keys)
        problem(check, "the store believes to have %llu keys, and has %llu", (unsigned long long)check->meta.live_keys,
                (unsigned long long)check->report.keys);
    return rc;
}

int store_check(const char *path, const struct store_check_events *events, struct store_check_report *ret_report,
                struct err *err)
{
    AUTO(engine) engine = NULL;
    int code = engine_open_readonly(path, &engine, err);

    if (code < 0)
        return code;
    struct check check = { .engine = engine, .events = events };
    int rc = mdb_txn_begin(engine->env, NULL, MDB_RDONLY, &check.txn);

    if (rc == 0) {
        rc = check_all(&check);
        mdb_txn_abort(check.txn);
    }
    if (rc)
        return engine_fail(engine, rc, "checking", err);
    *ret_report = check.report;
    return 0;
}
