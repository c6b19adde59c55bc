/* lmdb.c - the engine: file format and transactions on LMDB.
 *
 * The folder holds LMDB's two files and `pid`, which is locked (flock) by the process that has the store open and
 * names it. The trees:
 *
 *   main   "format": magic and version. "meta": struct meta, rewritten with every commit. "indexed": how far the terms
 *          are those of the program at hand (reindex.c).
 *   log    position -> record (record.c). Integer keys, always appended: the tree's right edge is the only page
 *          of it that a commit rewrites. A value of more than about 2 KB has pages of its own and is never moved, so a
 *          slice of it can go to a socket from the map.
 *   index  key -> where its newest record is, when it was created, whether it is deleted (index.c).
 *   deep   the index of keys longer than LMDB's keys can be.
 *   terms, terms-deep   the same for a term and a key: which keys have or had it (term_index.c).
 *
 * The state of a key at an older revision is found by walking from its newest record back along `previous` and `jump`
 * (version.c); so an overwrite costs two trees, not three, and the index has one entry for a key however old it gets.
 *
 * Everything one commit changes, meta included, is one LMDB transaction: it is on disk whole or not at all. LMDB syncs
 * data and then its own root with O_DSYNC; no flag here weakens that. After a failed commit the transaction is gone and
 * the next one starts from the last good root. When the disk did not take something, descriptors and what the kernel
 * remembers of them are not trusted any further: the environment is replaced by a fresh one (engine_reopen()), and the
 * root of the lost transaction is made to lose on the disk as well (lmdb_file.c) before anything else is written.
 *
 * Two environments on one file must not share a lock file, and the new one must not write while somebody reads in the
 * old one, whose readers it does not know. So the new one gets a lock file of its own, and the writer waits (trouble.c).
 *
 * To delete and to compact takes pages too, for copies of those that change. So the map is a little larger than asked
 * for, and what is beyond is not for puts; and space.c keeps a reserve on the disk: a full store can be emptied. */
#include "store/engine.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/file.h"
#include "store/lmdb_file.h"

#define MAP_SIZE_DEFAULT (256ull << 30)
#define RESERVE_MIN (1u << 20) /* of the map; that of the disk is in space.c */
#define RESERVE_MAX (64u << 20)
#define FULL_DISK (1u << 20) /* bytes left where a write that was cut short is taken for one to a full disk */
#define TREES_MAX 8
#define FORMAT_MAGIC "caravel store\n"
#define FORMAT_VERSION 2
#define FORMAT_UPGRADES 1 /* and older: lacked terms in records, which nobody need have */

struct format {
    char magic[sizeof FORMAT_MAGIC - 1];
    uint8_t reserved[2];
    uint32_t version;
};

static MDB_val val_of(const void *data, size_t len)
{
    return (MDB_val){ .mv_size = len, .mv_data = (void *)data };
}

/* LMDB tells a write that was cut short, as by a full disk, as EIO. */
bool engine_lacks_space(const struct engine *engine, int rc)
{
    return rc == ENOSPC || rc == EDQUOT || rc == EFBIG || rc == MDB_MAP_FULL ||
           (rc == EIO && space_free(&engine->space) < FULL_DISK);
}

int engine_fail(const struct engine *engine, int rc, const char *what, struct err *err)
{
    if (rc == EIO && engine_lacks_space(engine, rc))
        rc = ENOSPC;
    switch (rc) {
    case MDB_MAP_FULL:
        return err_set(err, ERR_NO_SPACE,
                       "%s: the store has reached its largest size, %zu MiB: only deletions are taken; delete objects, or "
                       "keep less history", what, engine->limit >> 20);
    case EFBIG:
        return err_set(err, ERR_NO_SPACE,
                       "%s: the file of the store may not grow (a limit of file sizes): only deletions are taken", what);
    case ENOSPC:
    case EDQUOT:
        return err_set(err, ERR_NO_SPACE,
                       "%s: the disk of the store is full: only deletions are taken; make room on it, delete objects, or "
                       "keep less history", what);
    case EROFS:
        return err_set(err, ERR_IO, "%s: the disk of the store is read-only: nothing was written", what);
    case MDB_TXN_FULL: return err_set(err, ERR_TOO_LARGE, "%s: too much in one commit", what);
    case MDB_READERS_FULL: return err_set(err, ERR_UNAVAILABLE, "%s: too many snapshots are open", what);
    case MDB_VERSION_MISMATCH:
        return err_set(err, ERR_NOT_SUPPORTED, "%s: %s was written by another LMDB", what, engine->path);
    case MDB_PANIC:
        return err_set(err, ERR_IO, "%s: writing the store has failed before, it is being reopened", what);
    case ENOENT: return err_set(err, ERR_IO, "%s: %s: missing", what, engine->path);
    default: break;
    }
    if (rc < 0)
        return err_set(err, ERR_IO, "%s: the store %s is damaged: %s", what, engine->path, mdb_strerror(rc));
    return err_errno(err, rc, "%s: the store %s", what, engine->path);
}

/* -- opening -- */

static int refuse_locked(struct engine *engine, const char *lock_path, struct err *err)
{
    AUTO_DEINIT(buf, pid);

    buf_init(&pid, 0);
    if (file_read(lock_path, 64, &pid, NULL) < 0 || pid.len == 0)
        return err_set(err, ERR_UNAVAILABLE, "the store %s is in use by another process", engine->path);
    struct str number = str_trim(buf_str(&pid));
    return err_set(err, ERR_UNAVAILABLE, "the store %s is in use by process " STR_FMT, engine->path, STR_ARG(number));
}

static int lock_folder(struct engine *engine, struct err *err)
{
    char path[4096], pid[32];

    if (snprintf(path, sizeof path, "%s/pid", engine->path) >= (int)sizeof path)
        return err_set(err, ERR_INVALID, "the path of the store is too long");
    engine->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (engine->lock_fd < 0)
        return err_errno(err, errno, "opening %s", path);
    if (flock(engine->lock_fd, LOCK_EX | LOCK_NB) < 0) {
        if (errno != EWOULDBLOCK)
            return err_errno(err, errno, "locking %s", path);
        return refuse_locked(engine, path, err);
    }
    /* Only for the message above: that it could not be written (a full disk) keeps nobody from reading. */
    int len = snprintf(pid, sizeof pid, "%ld\n", (long)getpid());
    if (ftruncate(engine->lock_fd, 0) == 0 && pwrite(engine->lock_fd, pid, (size_t)len, 0) != len)
        return 0;
    return 0;
}

static int open_environment(struct engine *engine, unsigned flags, struct err *err)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    int rc = mdb_env_create(&engine->env);

    size_t reserve = MIN(MAX(engine->limit / 16, RESERVE_MIN), RESERVE_MAX) / page * page;
    if (rc == 0)
        rc = mdb_env_set_mapsize(engine->env, engine->limit + reserve);
    if (rc == 0)
        rc = mdb_env_set_maxdbs(engine->env, TREES_MAX);
    if (rc == 0)
        rc = mdb_env_set_maxreaders(engine->env, ENGINE_READERS_MAX);
    if (rc == 0)
        rc = mdb_env_open(engine->env, engine->path, MDB_NOTLS | flags, 0600);
    return rc ? engine_fail(engine, rc, "opening", err) : 0;
}

static int write_format(struct engine *engine, MDB_txn *txn, struct err *err)
{
    struct format format = { FORMAT_MAGIC, { 0 }, FORMAT_VERSION };
    MDB_val key = val_of("format", 6), value = val_of(&format, sizeof format);
    int rc = mdb_put(txn, engine->main, &key, &value, 0);

    return rc ? engine_fail(engine, rc, "writing the format", err) : 0;
}

static int check_format(struct engine *engine, MDB_txn *txn, struct err *err)
{
    MDB_val key = val_of("format", 6), value;
    struct format format = { 0 };
    MDB_stat stat;
    int rc = mdb_get(txn, engine->main, &key, &value);

    if (rc == 0) {
        if (value.mv_size != sizeof format || memcmp(value.mv_data, FORMAT_MAGIC, sizeof format.magic) != 0)
            return err_set(err, ERR_INVALID, "%s is not a store of Caravel", engine->path);
        memcpy(&format, value.mv_data, sizeof format);
        if (format.version == FORMAT_UPGRADES)
            return write_format(engine, txn, err);
        if (format.version != FORMAT_VERSION)
            return err_set(err, ERR_NOT_SUPPORTED,
                           "the store %s has format %u and this program knows format %u: open it with the program that "
                           "wrote it, or restore a backup",
                           engine->path, format.version, FORMAT_VERSION);
        return 0;
    }
    if (rc == MDB_NOTFOUND && (rc = mdb_stat(txn, engine->main, &stat)) == 0) {
        if (stat.ms_entries > 0)
            return err_set(err, ERR_INVALID, "%s is not a store of Caravel", engine->path);
        return write_format(engine, txn, err);
    }
    return rc ? engine_fail(engine, rc, "reading the format", err) : 0;
}

static int open_trees(struct engine *engine, MDB_txn *txn, struct err *err)
{
    int rc = mdb_dbi_open(txn, NULL, 0, &engine->main);

    if (rc)
        return engine_fail(engine, rc, "opening", err);
    rc = check_format(engine, txn, err);
    if (rc < 0)
        return rc;
    rc = mdb_dbi_open(txn, "log", MDB_CREATE | MDB_INTEGERKEY, &engine->log);
    if (rc == 0)
        rc = mdb_dbi_open(txn, "index", MDB_CREATE, &engine->keys.flat);
    if (rc == 0)
        rc = mdb_dbi_open(txn, "deep", MDB_CREATE, &engine->keys.deep);
    if (rc == 0)
        rc = mdb_dbi_open(txn, "terms", MDB_CREATE, &engine->terms.flat);
    if (rc == 0)
        rc = mdb_dbi_open(txn, "terms-deep", MDB_CREATE, &engine->terms.deep);
    return rc ? engine_fail(engine, rc, "opening", err) : 0;
}

static int open_format(struct engine *engine, struct err *err)
{
    MDB_txn *txn;
    int rc = mdb_txn_begin(engine->env, NULL, 0, &txn);

    if (rc)
        return engine_fail(engine, rc, "opening", err);
    int code = open_trees(engine, txn, err);
    if (code < 0) {
        mdb_txn_abort(txn);
        return code;
    }
    rc = mdb_txn_commit(txn);
    return rc ? engine_fail(engine, rc, "opening", err) : 0;
}

/* The files' names, and the folder's own, must survive a power cut just as what is in them. A parent that we may not
 * read is not ours to have made. */
static int sync_folder(const char *path, struct err *err)
{
    AUTO_CLOSE int folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (folder < 0 || fsync(folder) < 0)
        return err_errno(err, errno, "syncing the folder of the store %s", path);
    AUTO_CLOSE int parent = openat(folder, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (parent >= 0 && fsync(parent) < 0)
        return err_errno(err, errno, "syncing the folder above the store %s", path);
    return 0;
}

static int engine_new(const char *path, struct engine **ret_engine, struct err *err)
{
    struct engine *engine = calloc(1, sizeof *engine);

    if (!engine || !(engine->path = str_dup(str_from(path)))) {
        free(engine);
        return err_set(err, ERR_NO_MEMORY, "opening the store %s", path);
    }
    engine->lock_fd = -1;
    *ret_engine = engine;
    return 0;
}

/* A lock file takes a few KiB: on a full disk, of the reserve. */
static int prepare_lock(struct engine *engine, bool fresh, struct err *err)
{
    int code = lmdb_lock_prepare(engine->path, ENGINE_READERS_MAX, fresh, err);

    if (code == -ERR_NO_SPACE && space_release(&engine->space))
        code = lmdb_lock_prepare(engine->path, ENGINE_READERS_MAX, false, err);
    return code;
}

/* The first commit of a start takes pages, too. */
static int open_format_somehow(struct engine *engine, struct err *err)
{
    int code = open_format(engine, err);

    return code == -ERR_NO_SPACE && space_release(&engine->space) ? open_format(engine, err) : code;
}

int engine_open(const char *path, size_t map_size, struct engine **ret_engine, struct err *err)
{
    AUTO(engine) engine = NULL;
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    int code = engine_new(path, &engine, err);

    if (code < 0)
        return code;
    engine->limit = map_size ? (map_size + page - 1) / page * page : MAP_SIZE_DEFAULT;
    if ((code = file_make_dirs(path, 0700, err)) < 0 || (code = lock_folder(engine, err)) < 0 ||
        (code = lmdb_file_check(path, err)) < 0 ||
        (code = space_init(&engine->space, path, engine->limit, err)) < 0 ||
        (code = prepare_lock(engine, false, err)) < 0 || (code = open_environment(engine, 0, err)) < 0 ||
        (code = open_format_somehow(engine, err)) < 0 || (code = sync_folder(path, err)) < 0)
        return code;
    *ret_engine = TAKE(engine);
    return 0;
}

int engine_make_cache(struct engine *engine, struct err *err)
{
    int rc = mdb_env_set_flags(engine->env, MDB_NOSYNC, 1);

    engine->cache = true;
    return rc ? engine_fail(engine, rc, "opening", err) : 0;
}

static int read_trees(struct engine *engine, MDB_txn *txn, struct err *err)
{
    static const struct {
        const char *name;
        size_t offset;
    } trees[] = {
        { NULL, offsetof(struct engine, main) },
        { "log", offsetof(struct engine, log) },
        { "index", offsetof(struct engine, keys.flat) },
        { "deep", offsetof(struct engine, keys.deep) },
        { "terms", offsetof(struct engine, terms.flat) },
        { "terms-deep", offsetof(struct engine, terms.deep) },
    };
    MDB_val key = val_of("format", 6), value;

    for (size_t i = 0; i < ARRAY_LEN(trees); i++) {
        int rc = mdb_dbi_open(txn, trees[i].name, i == 1 ? MDB_INTEGERKEY : 0,
                              (MDB_dbi *)((char *)engine + trees[i].offset));

        if (rc == MDB_NOTFOUND || (rc == 0 && i == 0 && mdb_get(txn, engine->main, &key, &value)))
            return err_set(err, ERR_INVALID, "%s is not a store of this version of Caravel", engine->path);
        if (rc)
            return engine_fail(engine, rc, "opening", err);
    }
    return 0;
}

/* Without writing: they must be there. */
static int open_trees_there(struct engine *engine, size_t *ret_root, struct err *err)
{
    MDB_txn *txn;
    int rc = mdb_txn_begin(engine->env, NULL, MDB_RDONLY, &txn);

    if (rc)
        return engine_fail(engine, rc, "opening", err);
    int code = read_trees(engine, txn, err);
    if (ret_root)
        *ret_root = mdb_txn_id(txn);
    if (code < 0) {
        mdb_txn_abort(txn);
        return code;
    }
    rc = mdb_txn_commit(txn); /* keeps the trees open */
    return rc ? engine_fail(engine, rc, "opening", err) : 0;
}

int engine_open_readonly(const char *path, struct engine **ret_engine, struct err *err)
{
    AUTO(engine) engine = NULL;
    int code = engine_new(path, &engine, err), rc;

    if (code < 0 || (code = lmdb_file_check(path, err)) < 0)
        return code;
    if ((rc = mdb_env_create(&engine->env)) == 0 && (rc = mdb_env_set_maxdbs(engine->env, TREES_MAX)) == 0 &&
        (rc = mdb_env_set_maxreaders(engine->env, ENGINE_READERS_MAX)) == 0)
        rc = mdb_env_open(engine->env, path, MDB_RDONLY | MDB_NOTLS, 0600);
    if (rc == ENOENT)
        return err_set(err, ERR_NOT_FOUND, "there is no store in %s", path);
    if (rc)
        return engine_fail(engine, rc, "opening", err);
    if ((code = open_trees_there(engine, NULL, err)) < 0)
        return code;
    *ret_engine = TAKE(engine);
    return 0;
}

/* Reading goes on while nothing can be written: nobody writes, so no lock is needed. */
static int reopen_readonly(struct engine *engine, struct err *err)
{
    mdb_env_close(engine->env);
    engine->env = NULL;
    engine->readonly = true;
    return open_environment(engine, MDB_RDONLY | MDB_NOLOCK, err);
}

int engine_reopen(struct engine *old, struct engine **ret_engine, struct err *err)
{
    AUTO(engine) engine = NULL;
    size_t root = 0;
    int code = engine_new(old->path, &engine, err);

    if (code < 0 || (code = space_init(&engine->space, old->path, old->limit, err)) < 0)
        return code;
    engine->limit = old->limit;
    engine->failed = old->failed;
    engine->cache = old->cache;
    code = prepare_lock(engine, true, err);
    if (code == 0)
        code = open_environment(engine, engine->cache ? MDB_NOSYNC : 0, err);
    if (code < 0)
        code = reopen_readonly(engine, err);
    if (code < 0 || (code = open_trees_there(engine, &root, err)) < 0)
        return code;
    if (engine->failed && root >= engine->failed)
        return err_set(err, ERR_IO, "the store %s shows what may not have been written", engine->path);
    engine->lock_fd = old->lock_fd;
    old->lock_fd = -1;
    *ret_engine = TAKE(engine);
    return 0;
}

struct engine *engine_close(struct engine *engine)
{
    if (!engine)
        return NULL;
    if (engine->env)
        mdb_env_close(engine->env);
    if (engine->lock_fd >= 0)
        close(engine->lock_fd);
    space_deinit(&engine->space);
    free(engine->path);
    free(engine);
    return NULL;
}

/* -- room -- */

/* Pages that earlier commits have given back: LMDB keeps lists of them in its tree 0, the length first. */
static int sum_free(MDB_txn *txn, uint64_t *ret_pages)
{
    MDB_cursor *cursor;
    MDB_val key, value;
    uint64_t pages = 0;
    int rc = mdb_cursor_open(txn, 0, &cursor);

    if (rc)
        return rc;
    while ((rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT)) == 0) {
        size_t count = 0;

        memcpy(&count, value.mv_data, MIN(sizeof count, value.mv_size));
        pages += count;
    }
    mdb_cursor_close(cursor);
    *ret_pages = pages;
    return rc == MDB_NOTFOUND ? 0 : rc;
}

static int count_free(struct engine *engine, uint64_t *ret_pages)
{
    MDB_txn *txn; /* tree 0 is only shown to readers */
    int rc = mdb_txn_begin(engine->env, NULL, MDB_RDONLY, &txn);

    if (rc)
        return rc;
    rc = sum_free(txn, ret_pages);
    mdb_txn_abort(txn);
    return rc;
}

int engine_is_full(struct engine *engine, int *ret_why)
{
    MDB_envinfo info;
    MDB_stat stat;
    uint64_t free_pages = 0;
    bool low = space_is_low(&engine->space);
    int rc = mdb_env_info(engine->env, &info);

    if (rc || (rc = mdb_env_stat(engine->env, &stat)))
        return rc;
    uint64_t pages = info.me_last_pgno + 1, limit = engine->limit / stat.ms_psize;
    if ((pages >= limit || low) && (rc = count_free(engine, &free_pages)))
        return rc;
    *ret_why = 0;
    if (pages >= limit + free_pages)
        *ret_why = MDB_MAP_FULL;
    else if (low && free_pages < engine->space.wanted / 2 / stat.ms_psize)
        *ret_why = ENOSPC;
    return 0;
}

int engine_commit(struct engine *engine, MDB_txn *txn)
{
    size_t number = mdb_txn_id(txn);
    int rc = mdb_txn_commit(txn);

    engine->failed = rc ? number : 0;
    return rc;
}

/* -- the store's own numbers -- */

int engine_meta_get(struct engine *engine, MDB_txn *txn, struct meta *ret_meta)
{
    MDB_val key = val_of("meta", 4), value;
    int rc = mdb_get(txn, engine->main, &key, &value);

    if (rc == MDB_NOTFOUND) {
        *ret_meta = (struct meta){ 0 };
        return 0;
    }
    if (rc)
        return rc;
    if (value.mv_size != sizeof *ret_meta && value.mv_size != offsetof(struct meta, history_bytes)) /* format 1 */
        return MDB_CORRUPTED;
    *ret_meta = (struct meta){ 0 };
    memcpy(ret_meta, value.mv_data, value.mv_size);
    return 0;
}

int engine_meta_put(struct engine *engine, MDB_txn *txn, const struct meta *meta)
{
    MDB_val key = val_of("meta", 4), value = val_of(meta, sizeof *meta);

    return mdb_put(txn, engine->main, &key, &value, 0);
}

/* -- the log -- */

int log_get(struct engine *engine, MDB_txn *txn, position_t position, struct str *ret_bytes)
{
    MDB_val key = val_of(&position, sizeof position), value;
    int rc = mdb_get(txn, engine->log, &key, &value);

    if (rc == 0)
        *ret_bytes = str_of(value.mv_data, value.mv_size);
    return rc;
}

int log_read(struct engine *engine, MDB_txn *txn, position_t position, struct record *ret_record)
{
    struct str bytes;
    int rc = log_get(engine, txn, position, &bytes);

    if (rc == 0 && !record_decode(bytes, ret_record))
        return MDB_CORRUPTED;
    return rc;
}

static int log_put(struct engine *engine, MDB_txn *txn, position_t position, size_t size, unsigned flags,
                   void **ret_room)
{
    MDB_val key = val_of(&position, sizeof position), value = val_of(NULL, size);
    int rc = mdb_put(txn, engine->log, &key, &value, MDB_RESERVE | flags);

    if (rc == 0)
        *ret_room = value.mv_data;
    return rc;
}

int log_append(struct engine *engine, MDB_txn *txn, position_t position, size_t size, void **ret_room)
{
    return log_put(engine, txn, position, size, MDB_APPEND, ret_room);
}

int log_insert(struct engine *engine, MDB_txn *txn, position_t position, size_t size, void **ret_room)
{
    return log_put(engine, txn, position, size, MDB_NOOVERWRITE, ret_room);
}

int log_delete(struct engine *engine, MDB_txn *txn, position_t position)
{
    MDB_val key = val_of(&position, sizeof position);

    return mdb_del(txn, engine->log, &key, NULL);
}

static int log_move(MDB_cursor *cursor, MDB_cursor_op move, position_t from, position_t *ret_position,
                    struct str *ret_bytes)
{
    MDB_val key = val_of(&from, sizeof from), value;
    int rc = mdb_cursor_get(cursor, &key, &value, move);

    if (rc)
        return rc;
    if (key.mv_size != sizeof *ret_position)
        return MDB_CORRUPTED;
    memcpy(ret_position, key.mv_data, sizeof *ret_position);
    *ret_bytes = str_of(value.mv_data, value.mv_size);
    return 0;
}

int log_seek(MDB_cursor *cursor, position_t from, position_t *ret_position, struct str *ret_bytes)
{
    return log_move(cursor, MDB_SET_RANGE, from, ret_position, ret_bytes);
}

int log_next(MDB_cursor *cursor, position_t *ret_position, struct str *ret_bytes)
{
    return log_move(cursor, MDB_NEXT, 0, ret_position, ret_bytes);
}

int engine_usage(struct engine *engine, MDB_txn *txn, uint64_t *ret_records, uint64_t *ret_bytes)
{
    const MDB_dbi trees[] = { engine->main,      engine->log,        engine->keys.flat,
                              engine->keys.deep, engine->terms.flat, engine->terms.deep };
    uint64_t pages = 0;

    for (size_t i = 0; i < ARRAY_LEN(trees); i++) {
        MDB_stat stat;
        int rc = mdb_stat(txn, trees[i], &stat);

        if (rc)
            return rc;
        pages += stat.ms_branch_pages + stat.ms_leaf_pages + stat.ms_overflow_pages;
        if (trees[i] == engine->log)
            *ret_records = stat.ms_entries;
        *ret_bytes = pages * stat.ms_psize;
    }
    return 0;
}
