/* restore.c - replaying a log into an empty store.
 *
 * Records come in the order of the log and keep their positions, so they are appended as they are; the indexes are made
 * as the writer once made them, change by change, and the sums with them (group.c). Nothing is looked up but the state
 * before of the same key. LMDB writes in large transactions that are not synced one by one: until the end the store is
 * nobody's.
 *
 * An increment follows when it begins at or before the revision that has been reached and when the record that it names
 * there is the one that is there: a restore to a point in time makes a cluster with a history of its own from then on,
 * and its increments are not those of the one before. Records that are there already are compared. */
#include "store/backup/restore.h"

#include "base/arena.h"
#include "store/store_private.h"
#include "store/term_index.h"

#define TXN_BYTES (64u << 20)

struct restore {
    struct restore_options options;
    struct engine *engine;
    MDB_txn *txn;
    size_t txn_bytes;
    struct backup_header header; /* of the backup at hand */
    struct meta meta;
    revision_t reached; /* the revision up to which all changes are there or left out */
    nsec_t known;       /* the time until which the backups know everything */
    position_t last;
    uint64_t records;
    uint32_t terms;
    bool any, cut; /* cut: changes have been left out */
    struct arena *arena;
    VEC(struct backup_file) files;
};

static int begin(struct restore *restore, struct err *err)
{
    int rc = mdb_txn_begin(restore->engine->env, NULL, 0, &restore->txn);

    restore->txn_bytes = 0;
    return rc ? engine_fail(restore->engine, rc, "restoring", err) : 0;
}

static int commit(struct restore *restore, struct err *err)
{
    int rc = mdb_txn_commit(restore->txn);

    restore->txn = NULL;
    return rc ? engine_fail(restore->engine, rc, "restoring", err) : 0;
}

int restore_new(const struct restore_options *options, struct restore **ret_restore, struct err *err)
{
    AUTO(restore) restore = calloc(1, sizeof *restore);

    if (!restore || !(restore->arena = arena_new(0)))
        return err_set(err, ERR_NO_MEMORY, "restoring");
    restore->options = *options;
    int code = engine_open(options->path, 0, &restore->engine, err);
    if (code < 0)
        return code;
    int rc = mdb_env_set_flags(restore->engine->env, MDB_NOSYNC, 1);
    if (rc)
        return engine_fail(restore->engine, rc, "restoring", err);
    if ((code = begin(restore, err)) < 0)
        return code;
    *ret_restore = TAKE(restore);
    return 0;
}

struct restore *restore_free(struct restore *restore)
{
    if (!restore)
        return NULL;
    if (restore->txn)
        mdb_txn_abort(restore->txn);
    engine_close(restore->engine);
    vec_deinit(&restore->files);
    arena_free(restore->arena);
    free(restore);
    return NULL;
}

const struct backup_file *restore_files(const struct restore *restore, size_t *ret_count)
{
    *ret_count = restore->files.count;
    return restore->files.items;
}

bool restore_is_complete(const struct restore *restore)
{
    const struct restore_options *options = &restore->options;

    return restore->cut || (options->until_revision && restore->reached >= options->until_revision) ||
           (options->until_time && restore->known > options->until_time);
}

/* -- what follows what -- */

static int other_history(struct err *err)
{
    return err_set(err, ERR_CONFLICT, "the backup is of another history: of another cluster, or from before or after a "
                                      "restore of this one");
}

static int check_there(struct restore *restore, position_t position, uint32_t sum, bool must, struct err *err)
{
    struct record record;
    int rc = log_read(restore->engine, restore->txn, position, &record);

    if (rc == MDB_NOTFOUND && !must)
        return 0; /* compacted when the backup before was made */
    if (rc && rc != MDB_NOTFOUND)
        return engine_fail(restore->engine, rc, "restoring", err);
    return rc || backup_sum(&record) != sum ? other_history(err) : 0;
}

static int accept_header(struct restore *restore, struct err *err)
{
    const struct backup_header *header = &restore->header;
    const struct backup_mark *before = &header->before;

    if (!restore->any && header->from)
        return err_set(err, ERR_INVALID, "an increment (after revision %llu) cannot be the first: its full backup is",
                       (unsigned long long)header->from);
    if (restore->any && !header->from)
        return err_set(err, ERR_INVALID, "a full backup can only be the first");
    if (header->from > restore->reached)
        return err_set(err, ERR_INVALID, "changes of revisions %llu to %llu are missing: an increment between is",
                       (unsigned long long)restore->reached + 1, (unsigned long long)header->from);
    if (!restore->any) {
        restore->meta.floor = header->floor;
        restore->meta.trimmed = header->trimmed;
        restore->terms = header->terms;
    } else if (header->terms != restore->terms) {
        restore->terms = 0;
    }
    if (before->position && !restore->cut)
        return check_there(restore, before->position, before->sum, true, err);
    return 0;
}

/* -- files -- */

static int add_file(struct restore *restore, const struct stream_entry *entry, struct err *err)
{
    if (entry->number == 0 || entry->number > BACKUP_NAME_MAX || entry->number > entry->data.len ||
        entry->data.len - entry->number > BACKUP_FILE_MAX || restore->files.count >= BACKUP_FILES_MAX)
        return err_set(err, ERR_INVALID, "the backup is damaged: a file in it is impossible");
    struct str name = arena_str(restore->arena, str_first(entry->data, entry->number));
    struct str data = arena_str(restore->arena, str_skip(entry->data, entry->number));

    if (!name.data || !data.data || vec_push(&restore->files, ((struct backup_file){ name, data })) < 0)
        return err_set(err, ERR_NO_MEMORY, "restoring");
    return 0;
}

/* -- records -- */

/* Whether the change is later than what is wanted; then so are all that follow. */
static bool is_too_late(struct restore *restore, revision_t revision, nsec_t time)
{
    const struct restore_options *options = &restore->options;

    if (!restore->cut && ((options->until_revision && revision > options->until_revision) ||
                          (options->until_time && time > options->until_time))) {
        restore->cut = true;
        restore->meta.revision = options->until_revision ? options->until_revision : revision - 1;
    }
    return restore->cut;
}

struct before {
    struct index_entry entry;
    size_t size;
    struct str terms; /* in bytes */
    char bytes[TERMS_BYTES_MAX];
};

static int find_before(struct restore *restore, struct str key, struct before *before)
{
    struct record record;
    int rc = index_get(&restore->engine->keys, restore->txn, key, &before->entry);

    before->size = 0;
    before->terms = STR_NULL;
    if (rc == MDB_NOTFOUND) {
        before->entry = (struct index_entry){ .deleted = true };
        return 0;
    }
    if (rc == 0)
        rc = log_read(restore->engine, restore->txn, before->entry.position, &record);
    if (rc)
        return rc;
    before->size = record_size(&record);
    if (record.terms.len)
        memcpy(before->bytes, record.terms.data, record.terms.len);
    before->terms = str_of(before->bytes, record.terms.len);
    return 0;
}

static int replay(struct restore *restore, position_t position, struct str bytes, const struct record *record)
{
    struct index_entry now = { position, record->created, record->deleted };
    struct before before;
    void *room;
    int rc = find_before(restore, record->key, &before);

    if (rc == 0)
        rc = log_append(restore->engine, restore->txn, position, bytes.len, &room);
    if (rc)
        return rc;
    memcpy(room, bytes.data, bytes.len);
    if ((rc = index_put(&restore->engine->keys, restore->txn, record->key, &now)) ||
        (rc = term_index_change(restore->engine, restore->txn, record->key, position, before.terms, record->terms)))
        return rc;
    restore->meta.history_bytes += (before.entry.deleted ? 0 : before.size) + (record->deleted ? bytes.len : 0);
    restore->meta.live_keys += (uint64_t)before.entry.deleted - (uint64_t)record->deleted;
    restore->meta.time = MAX(restore->meta.time, record->time);
    restore->last = position;
    restore->txn_bytes += bytes.len;
    restore->records++;
    return 0;
}

static int add_record(struct restore *restore, const struct stream_entry *entry, position_t *previous, struct err *err)
{
    position_t position = entry->number;
    revision_t revision = position_revision(position);
    struct record record;

    if (position <= *previous || revision <= restore->header.from || revision > restore->header.to ||
        !record_intact(entry->data, position) || !record_decode(entry->data, &record) ||
        record.terms.len > TERMS_BYTES_MAX || record.value.len > STORE_VALUE_MAX)
        return err_set(err, ERR_INVALID, "the backup is damaged: the record of revision %llu",
                       (unsigned long long)revision);
    *previous = position;
    if (revision <= restore->reached)
        return position > restore->last && !restore->cut
                   ? other_history(err)
                   : check_there(restore, position, backup_sum(&record), false, err);
    if (is_too_late(restore, revision, record.time))
        return 0;
    int rc = replay(restore, position, entry->data, &record);
    if (rc)
        return engine_fail(restore->engine, rc, "restoring", err);
    if (restore->txn_bytes < TXN_BYTES)
        return 0;
    int code = commit(restore, err);
    return code < 0 ? code : begin(restore, err);
}

static int add_entries(struct restore *restore, struct stream_reader *reader, struct err *err)
{
    position_t previous = 0;
    struct stream_entry entry;
    int more, code = 0;

    while (code == 0 && (more = stream_next(reader, &entry, err)) != 0) {
        if (more < 0)
            return more;
        if (entry.kind == STREAM_RECORD)
            code = add_record(restore, &entry, &previous, err);
        else if (entry.kind == STREAM_FILE)
            code = add_file(restore, &entry, err);
        else
            code = err_set(err, ERR_INVALID, "the backup is damaged: it has two headers");
    }
    return code;
}

int restore_add(struct restore *restore, const struct stream_source *source, struct err *err)
{
    AUTO(stream_reader) reader = NULL;
    int code = stream_reader_new(source, restore->options.passphrase, &reader, err);

    if (code == 0)
        code = backup_header_read(reader, &restore->header, err);
    if (code == 0)
        code = accept_header(restore, err);
    if (code < 0)
        return code;
    vec_clear(&restore->files);
    if ((code = add_entries(restore, reader, err)) < 0)
        return code;
    restore->any = true;
    restore->reached = MAX(restore->reached, restore->header.to);
    restore->known = MAX(restore->known, restore->header.time);
    if (!restore->cut) {
        restore->meta.revision = restore->reached;
        if (!restore->options.until_revision && !restore->options.until_time)
            restore->meta.time = MAX(restore->meta.time, restore->header.written);
    }
    return 0;
}

/* -- the end -- */

static int check_reached(struct restore *restore, struct err *err)
{
    const struct restore_options *options = &restore->options;
    struct meta *meta = &restore->meta;

    if (!restore->any)
        return err_set(err, ERR_INVALID, "there is no backup to restore");
    if (options->until_revision > restore->reached)
        return err_set(err, ERR_EXPIRED, "the backups end at revision %llu, before %llu",
                       (unsigned long long)restore->reached, (unsigned long long)options->until_revision);
    if (options->until_time > restore->known)
        return err_set(err, ERR_EXPIRED, "the backups end before that time");
    if ((options->until_revision && options->until_revision < meta->floor) ||
        (restore->cut && (meta->revision < meta->floor || meta->revision == 0)))
        return err_set(err, ERR_EXPIRED, "the backups begin after that: the oldest readable revision is %llu",
                       (unsigned long long)MAX(meta->floor, (revision_t)1));
    return 0;
}

int restore_end(struct restore *restore, struct restore_report *ret_report, struct err *err)
{
    int code = check_reached(restore, err);

    if (code < 0)
        return code;
    if (restore->options.until_revision) /* also when nothing changed after it */
        restore->meta.revision = restore->options.until_revision;
    int rc = engine_meta_put(restore->engine, restore->txn, &restore->meta);
    if (rc == 0 && restore->terms)
        rc = reindex_set_version(restore->engine, restore->txn, restore->terms, restore->last);
    if (rc)
        return engine_fail(restore->engine, rc, "restoring", err);
    if ((code = commit(restore, err)) < 0)
        return code;
    rc = mdb_env_sync(restore->engine->env, 1);
    if (rc)
        return engine_fail(restore->engine, rc, "restoring", err);
    *ret_report = (struct restore_report){ restore->meta.revision, restore->meta.floor, restore->meta.time,
                                           restore->records, restore->meta.live_keys };
    return 0;
}
