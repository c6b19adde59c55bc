/* write.c - a backup of a store: header, files, records in the order of the log.
 *
 * Everything comes from one read transaction of LMDB, so it is one state, whatever is committed meanwhile. That
 * transaction keeps the pages it sees from being used again: the store's file grows while a backup runs. So it is told
 * how long that was, and a backup that takes too long (a pipe that nobody reads) is given up.
 *
 * All records go as they are, checksums included. The indexes do not go: a restore makes them from the log. */
#include "base/buf.h"
#include "store/backup/backup.h"
#include "store/store_private.h"

#define PROGRESS_RECORDS 1024

struct counted_sink {
    const struct stream_sink *sink;
    uint64_t bytes;
};

struct job {
    struct engine *engine;
    MDB_txn *txn;
    const struct backup_options *options;
    struct stream_writer *writer;
    struct counted_sink counted;
    struct backup_header header;
    struct meta meta;
    uint64_t records, total;
    nsec_t begun;
};

static int write_counted(void *ctx, const void *data, size_t len, struct err *err)
{
    struct counted_sink *counted = ctx;

    counted->bytes += len;
    return counted->sink->write(counted->sink->ctx, data, len, err);
}

/* The newest record up to a revision. */
static int find_mark(struct job *job, revision_t revision, struct backup_mark *ret_mark)
{
    position_t position = position_end(revision) + 1;
    MDB_val key = { sizeof position, &position }, value;
    struct record record;
    MDB_cursor *cursor;
    int rc = mdb_cursor_open(job->txn, job->engine->log, &cursor);

    *ret_mark = (struct backup_mark){ 0 };
    if (rc)
        return rc;
    rc = mdb_cursor_get(cursor, &key, &value, MDB_SET_RANGE);
    rc = mdb_cursor_get(cursor, &key, &value, rc == MDB_NOTFOUND ? MDB_LAST : MDB_PREV);
    if (rc == 0 && (key.mv_size != sizeof position || !record_decode(str_of(value.mv_data, value.mv_size), &record)))
        rc = MDB_CORRUPTED;
    if (rc == 0) {
        memcpy(&ret_mark->position, key.mv_data, sizeof position);
        ret_mark->sum = backup_sum(&record);
    }
    mdb_cursor_close(cursor);
    return rc == MDB_NOTFOUND ? 0 : rc;
}

static int check_since(struct job *job, struct err *err)
{
    revision_t since = job->options->since;
    const struct backup_mark *mark = &job->options->mark;
    struct record record;

    if (since > job->meta.revision)
        return err_set(err, ERR_CONFLICT, "the store is at revision %llu, which is before %llu",
                       (unsigned long long)job->meta.revision, (unsigned long long)since);
    if (since && since < job->meta.floor)
        return err_set(err, ERR_EXPIRED,
                       "changes after revision %llu are no longer all retained (those after %llu are): a full backup is "
                       "needed",
                       (unsigned long long)since, (unsigned long long)job->meta.floor);
    if (!mark->position)
        return 0;
    int rc = log_read(job->engine, job->txn, mark->position, &record);
    if (rc == MDB_NOTFOUND && position_revision(mark->position) <= job->meta.floor)
        return 0; /* compacted */
    if (rc && rc != MDB_NOTFOUND)
        return engine_fail(job->engine, rc, "backup", err);
    if (rc || backup_sum(&record) != mark->sum)
        return err_set(err, ERR_CONFLICT, "the store has another history than the backup: a full backup is needed");
    return 0;
}

static int make_header(struct job *job, struct err *err)
{
    struct backup_header *header = &job->header;
    uint64_t bytes;
    int rc = engine_meta_get(job->engine, job->txn, &job->meta);

    if (rc == 0)
        rc = engine_usage(job->engine, job->txn, &job->total, &bytes);
    if (rc == 0)
        rc = reindex_version(job->engine, job->txn, &header->terms);
    if (rc == 0)
        rc = find_mark(job, job->options->since, &header->before);
    if (rc == 0)
        rc = find_mark(job, job->meta.revision, &header->last);
    if (rc)
        return engine_fail(job->engine, rc, "backup", err);
    header->time = clock_wall(job->options->clock);
    header->from = job->options->since;
    header->to = job->meta.revision;
    header->floor = job->meta.floor;
    header->trimmed = job->meta.trimmed;
    header->written = job->meta.time;
    memcpy(header->instance, job->options->instance, MIN(strlen(job->options->instance), sizeof header->instance - 1));
    return check_since(job, err);
}

static int put_files(struct job *job, struct err *err)
{
    AUTO_DEINIT(buf, bytes);
    int code = 0;

    buf_init(&bytes, 0);
    for (size_t i = 0; code == 0 && i < job->options->file_count; i++) {
        const struct backup_file *file = &job->options->files[i];

        buf_clear(&bytes);
        buf_add_str(&bytes, file->name);
        buf_add_str(&bytes, file->data);
        if (!buf_ok(&bytes))
            return err_set(err, ERR_NO_MEMORY, "backup");
        code = stream_put(job->writer, &(struct stream_entry){ STREAM_FILE, file->name.len, buf_str(&bytes) }, err);
    }
    return code;
}

static int put_record(struct job *job, position_t position, struct str bytes, struct err *err)
{
    const struct backup_options *options = job->options;

    if (!record_intact(bytes, position))
        return err_set(err, ERR_IO, "revision %llu of the store is damaged: see caravel store check",
                       (unsigned long long)position_revision(position));
    if (++job->records % PROGRESS_RECORDS == 0) {
        if (clock_now(options->clock) - job->begun > BACKUP_HOLD_MAX)
            return err_set(err, ERR_TIMEOUT, "given up after an hour, for which the store could not reuse its room");
        if (options->progress)
            options->progress(options->ctx, job->records, job->total);
    }
    return stream_put(job->writer, &(struct stream_entry){ STREAM_RECORD, position, bytes }, err);
}

static int put_records(struct job *job, struct err *err)
{
    MDB_cursor *cursor;
    position_t position;
    struct str bytes;
    int code = 0, rc = mdb_cursor_open(job->txn, job->engine->log, &cursor);

    if (rc)
        return engine_fail(job->engine, rc, "backup", err);
    rc = log_seek(cursor, job->header.from ? position_end(job->header.from) + 1 : 0, &position, &bytes);
    for (; rc == 0 && code == 0; rc = log_next(cursor, &position, &bytes))
        code = put_record(job, position, bytes, err);
    mdb_cursor_close(cursor);
    if (code < 0)
        return code;
    return rc == MDB_NOTFOUND ? 0 : engine_fail(job->engine, rc, "backup", err);
}

static int run(struct job *job, struct err *err)
{
    const struct stream_sink sink = { write_counted, &job->counted };
    AUTO(stream_writer) writer = NULL;
    int code = make_header(job, err);

    if (code == 0)
        code = stream_writer_new(&sink, job->options->passphrase, job->options->rng, &writer, err);
    if (code < 0)
        return code;
    job->writer = writer;
    code = backup_header_write(writer, &job->header, err);
    if (code == 0)
        code = put_files(job, err);
    if (code == 0)
        code = put_records(job, err);
    return code == 0 ? stream_end(writer, err) : code;
}

static int write_snapshot(struct job *job, struct backup_summary *ret_summary, struct err *err)
{
    const struct backup_options *options = job->options;
    int code = run(job, err);

    if (code == 0)
        *ret_summary = (struct backup_summary){ job->header, job->records, job->counted.bytes,
                                                clock_now(options->clock) - job->begun };
    return code;
}

int backup_write(const char *path, const struct backup_options *options, const struct stream_sink *sink,
                 struct backup_summary *ret_summary, struct err *err)
{
    AUTO(engine) engine = NULL;
    int code = engine_open_readonly(path, &engine, err);

    if (code < 0)
        return code;
    struct job job = { .engine = engine, .options = options, .counted = { .sink = sink },
                       .begun = clock_now(options->clock) };
    int rc = mdb_txn_begin(engine->env, NULL, MDB_RDONLY, &job.txn);
    if (rc)
        return engine_fail(engine, rc, "backup", err);
    code = write_snapshot(&job, ret_summary, err);
    mdb_txn_abort(job.txn);
    return code;
}

/* The store may get another engine meanwhile (trouble.c): a snapshot keeps the one it reads. */
int backup_write_open(struct store *store, const struct backup_options *options, const struct stream_sink *sink,
                      struct backup_summary *ret_summary, struct err *err)
{
    AUTO(store_snapshot) snapshot = NULL;
    int code = store_snapshot_open(store, 0, &snapshot, err);

    if (code < 0)
        return code;
    struct job job = { .engine = snapshot->engine, .txn = snapshot->txn, .options = options,
                       .counted = { .sink = sink }, .begun = clock_now(options->clock) };
    return write_snapshot(&job, ret_summary, err);
}
