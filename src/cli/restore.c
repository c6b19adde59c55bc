/* restore.c - caravel restore: a cluster's store, and its certificates, made of backups.
 *
 * Everything is read, checked and built beside what is there (store.restoring, pki.restoring). Only when that is whole, and
 * store check has found nothing, do the folders change places, each by one exchange of names; those of before stay as
 * store.before-TIME and pki.before-TIME. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "cli/backup_file.h"
#include "cli/cluster_files.h"
#include "cli/passphrase.h"
#include "cli/store_options.h"
#include "schema/time.h"
#include "store/backup/archive.h"
#include "store/backup/restore.h"
#include "store/check.h"

#define BACKUPS_MAX 10000

struct arguments {
    struct instance_options common;
    VEC(const char *) names;
    const char *passphrase_file;
    struct restore_options restore;
    bool keep_pki, dry_run;
};

struct job {
    const struct arguments *arguments;
    struct instance instance;
    struct arena *arena;
    char store[INSTANCE_PATH_MAX], store_new[INSTANCE_PATH_MAX], pki[INSTANCE_PATH_MAX], pki_new[INSTANCE_PATH_MAX];
    int up_lock, store_lock; /* held to the end */
    bool has_pki;            /* the backups have one to restore */
    struct restore_report report;
};

enum { OPT_AS_OF = 256, OPT_PASSPHRASE_FILE, OPT_KEEP_PKI, OPT_DRY_RUN };

static const struct argp_option options[] = {
    { "as-of", OPT_AS_OF, "TIME", 0,
      "the cluster as it was then: a time like 2026-01-02T15:04:05Z, or a revision", 0 },
    { "keep-pki", OPT_KEEP_PKI, NULL, 0, "leave certificates and keys as they are here", 0 },
    { "dry-run", OPT_DRY_RUN, NULL, 0, "do all but the last step: nothing is replaced", 0 },
    { "passphrase-file", OPT_PASSPHRASE_FILE, "FILE", 0, "its first line is the passphrase", 0 },
    { 0 },
};

static void parse_as_of(struct argp_state *state, const char *text, struct restore_options *restore)
{
    restore->until_revision = 0;
    restore->until_time = 0;
    if (str_to_u64(str_from(text), &restore->until_revision) ? restore->until_revision == 0
                                                             : !api_time_parse(str_from(text), &restore->until_time))
        argp_error(state, "--as-of %s: a time like 2026-01-02T15:04:05Z or a revision is needed", text);
}

static error_t parse(int key, char *value, struct argp_state *state)
{
    struct arguments *arguments = state->input;

    switch (key) {
    case ARGP_KEY_INIT: state->child_inputs[0] = &arguments->common; return 0;
    case OPT_AS_OF: parse_as_of(state, value, &arguments->restore); return 0;
    case OPT_KEEP_PKI: arguments->keep_pki = true; return 0;
    case OPT_DRY_RUN: arguments->dry_run = true; return 0;
    case OPT_PASSPHRASE_FILE: arguments->passphrase_file = value; return 0;
    case ARGP_KEY_ARG:
        if (arguments->names.count >= BACKUPS_MAX || vec_push(&arguments->names, value) < 0)
            argp_error(state, "too many backups");
        return 0;
    default: return ARGP_ERR_UNKNOWN;
    }
}

const struct argp restore_argp = {
    options, parse, "FILE|- [INCREMENT...]\nDIR|s3://BUCKET/PREFIX",
    "Makes a cluster's store of a full backup and the increments after it.\v"
    "The cluster must not be running. The backups are checked, and the new store is built and checked beside the old "
    "one, before anything is replaced; the old one is kept as DIR/store.before-TIME, certificates and keys as "
    "DIR/pki.before-TIME. With --as-of, changes after that time or revision are left out; what was before it stays "
    "readable as far as the backup has it.\n\n"
    "A folder or bucket is one that `caravel up --backup-to` has filled: its newest full backup, or that before the time "
    "wanted, and its increments are taken. s3://BUCKET/PREFIX?endpoint=https://HOST:PORT&region=REGION names an object "
    "store that is not Amazon's; credentials are $AWS_ACCESS_KEY_ID and $AWS_SECRET_ACCESS_KEY.\n\n"
    "Examples:\n  caravel restore monday.backup tuesday.increment\n"
    "  caravel restore monday.backup --as-of 2026-01-05T08:30:00Z --instance trial\n"
    "  caravel restore /mnt/backups --as-of 2026-01-05T08:30:00Z",
    instance_children, NULL, NULL,
};

/* -- nobody else -- */

/* Without O_CREAT in flags, a file that is not there is one that nobody holds. */
static int take_lock(const struct instance *instance, const char *name, int flags, int *ret_fd, struct err *err)
{
    char path[INSTANCE_PATH_MAX];
    int fd = open(instance_path(instance, name, path), O_RDWR | O_CLOEXEC | O_NOFOLLOW | flags, 0644);

    if (fd < 0 && errno == ENOENT)
        return 0;
    if (fd < 0)
        return err_errno(err, errno, "opening %s", path);
    *ret_fd = fd;
    if (flock(fd, LOCK_EX | LOCK_NB) < 0)
        return err_set(err, ERR_CONFLICT, "instance %s is running: stop it first (caravel down)", instance->name);
    return 0;
}

static int prepare(struct job *job, struct err *err)
{
    const struct instance *instance = &job->instance;
    int code = instance_claim(instance, err);

    if (code == 0 && store_is_in_etcd(instance))
        code = err_set(err, ERR_NOT_SUPPORTED,
                       "instance %s keeps its state in etcd, where its other servers would not see what is restored here: use "
                       "etcd's snapshots, or restore to a new --data-dir",
                       instance->name);
    if (code == 0)
        code = take_lock(instance, "up.lock", O_CREAT, &job->up_lock, err);
    if (code == 0)
        code = take_lock(instance, "store/pid", 0, &job->store_lock, err);
    instance_path(instance, "store", job->store);
    instance_path(instance, "store.restoring", job->store_new);
    instance_path(instance, "pki", job->pki);
    instance_path(instance, "pki.restoring", job->pki_new);
    if (code == 0)
        code = file_remove_tree(job->store_new, err);
    return code == 0 ? file_remove_tree(job->pki_new, err) : code;
}

/* -- building -- */

static int add_file(struct job *job, struct restore *restore, const char *name, struct err *err)
{
    AUTO_CLOSE int fd = -1;
    int code = backup_file_open(name, &fd, err);

    if (code < 0)
        return code;
    const struct stream_source source = backup_file_source(&fd);
    code = restore_add(restore, &source, err);
    return code < 0 ? err_wrap(err, code, "%s", name) : 0;
}

/* From a place, through a file without a name. */
static int add_from(struct job *job, struct restore *restore, struct place *place, const char *name, struct err *err)
{
    char path[INSTANCE_PATH_MAX];
    AUTO_CLOSE int fd = mkostemp((char *)instance_path(&job->instance, ".restore-XXXXXX", path), O_CLOEXEC);

    if (fd < 0)
        return err_errno(err, errno, "writing to %s", job->instance.data_dir);
    unlink(path);
    int code = place_get(place, name, fd, err);
    if (code == 0 && lseek(fd, 0, SEEK_SET) < 0)
        code = err_errno(err, errno, "reading %s", name);
    const struct stream_source source = backup_file_source(&fd);
    return code == 0 ? restore_add(restore, &source, err) : code;
}

static int add_place(struct job *job, struct restore *restore, const char *where, struct err *err)
{
    const struct restore_options *wanted = &job->arguments->restore;
    struct place_names names = { .arena = job->arena };
    AUTO(place) place = NULL;
    int code = place_new(where, NULL, &place, err);

    if (code == 0)
        code = place_list(place, &names, err);
    if (code == 0)
        code = archive_choose(&names, wanted->until_revision, wanted->until_time, err);
    for (size_t i = 0; code == 0 && i < names.items.count && !restore_is_complete(restore); i++) {
        struct str name = arena_printf(job->arena, STR_FMT, STR_ARG(names.items.items[i]));

        code = name.data ? add_from(job, restore, place, name.data, err) : err_set(err, ERR_NO_MEMORY, "restoring");
        if (code < 0)
            err_wrap(err, code, STR_FMT, STR_ARG(name));
    }
    place_names_deinit(&names);
    return code < 0 ? err_wrap(err, code, "%s", where) : 0;
}

static bool is_place(const char *name)
{
    struct stat status;

    return place_is_remote(name) || (stat(name, &status) == 0 && S_ISDIR(status.st_mode));
}

static int add(struct job *job, struct restore *restore, const char *name, struct err *err)
{
    if (!is_place(name))
        return add_file(job, restore, name, err);
    if (job->arguments->names.count > 1)
        return err_set(err, ERR_BAD_REQUEST, "%s: a folder or bucket of backups stands alone", name);
    return add_place(job, restore, name, err);
}

static int find_passphrase(struct job *job, struct restore_options *restore, struct err *err)
{
    const struct arguments *arguments = job->arguments;

    for (size_t i = 0; i < arguments->names.count; i++)
        if (backup_file_is_encrypted(arguments->names.items[i]))
            return passphrase_get(job->arena, arguments->passphrase_file, false, &restore->passphrase, err);
    return passphrase_given(job->arena, arguments->passphrase_file, &restore->passphrase, err);
}

static int write_files(struct job *job, struct restore *restore, struct err *err)
{
    size_t count;
    const struct backup_file *files = restore_files(restore, &count);

    job->has_pki = count > 0 && !job->arguments->keep_pki;
    return job->has_pki ? cluster_files_write(files, count, job->pki_new, err) : 0;
}

static int build(struct job *job, struct err *err)
{
    struct restore_options restore_options = job->arguments->restore;
    AUTO(restore) restore = NULL;
    int code = find_passphrase(job, &restore_options, err);

    restore_options.path = job->store_new;
    if (code == 0)
        code = restore_new(&restore_options, &restore, err);
    for (size_t i = 0; code == 0 && i < job->arguments->names.count; i++)
        code = add(job, restore, job->arguments->names.items[i], err);
    if (code == 0)
        code = restore_end(restore, &job->report, err);
    return code == 0 ? write_files(job, restore, err) : code;
}

static void print_problem(void *ctx, struct str message)
{
    fprintf(stderr, "damaged: " STR_FMT "\n", STR_ARG(message));
}

static int check(struct job *job, struct err *err)
{
    const struct store_check_events events = { NULL, print_problem, NULL };
    struct store_check_report report;
    int code = store_check(job->store_new, &events, &report, err);

    if (code < 0)
        return code;
    return report.problems ? err_set(err, ERR_INVALID, "the store that the backups make is not whole: %llu problems",
                                     (unsigned long long)report.problems)
                           : 0;
}

/* -- changing places -- */

static int swap(const char *path, const char *fresh, const char *before, struct err *err)
{
    if (renameat2(AT_FDCWD, fresh, AT_FDCWD, path, RENAME_EXCHANGE) == 0)
        return rename(fresh, before) < 0 ? err_errno(err, errno, "keeping %s as %s", path, before) : 0;
    if (errno != ENOENT)
        return err_errno(err, errno, "replacing %s", path);
    return rename(fresh, path) < 0 ? err_errno(err, errno, "making %s", path) : 0;
}

static int sync_folder(const char *path, struct err *err)
{
    AUTO_CLOSE int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    return fd < 0 || fsync(fd) < 0 ? err_errno(err, errno, "syncing %s", path) : 0;
}

static int swap_all(struct job *job, struct err *err)
{
    char stamp[32], store_before[INSTANCE_PATH_MAX + 64], pki_before[INSTANCE_PATH_MAX + 64];
    time_t now = (time_t)(clock_wall(clock_real()) / NSEC_PER_SEC);
    struct tm parts;

    strftime(stamp, sizeof stamp, "%Y%m%dT%H%M%SZ", gmtime_r(&now, &parts));
    snprintf(store_before, sizeof store_before, "%s.before-%s", job->store, stamp);
    snprintf(pki_before, sizeof pki_before, "%s.before-%s", job->pki, stamp);
    for (int i = 2; file_exists(store_before) || file_exists(pki_before); i++) {
        snprintf(store_before, sizeof store_before, "%s.before-%s.%d", job->store, stamp, i);
        snprintf(pki_before, sizeof pki_before, "%s.before-%s.%d", job->pki, stamp, i);
    }
    int code = swap(job->store, job->store_new, store_before, err);
    if (code == 0 && job->has_pki)
        code = swap(job->pki, job->pki_new, pki_before, err);
    if (code == 0)
        code = sync_folder(job->instance.data_dir, err);
    if (code == 0 && file_exists(store_before))
        printf("the store of before is kept as %s\n", store_before);
    return code;
}

static void tell(const struct job *job)
{
    const struct restore_report *report = &job->report;
    char time[API_TIME_LEN];

    printf("instance %s %s revision %llu", job->instance.name, job->arguments->dry_run ? "would be at" : "is at",
           (unsigned long long)report->revision);
    if (report->time)
        printf(" (%s)", api_time_text(report->time, time).data);
    printf(": %llu keys, %llu records, history from revision %llu on%s\n", (unsigned long long)report->keys,
           (unsigned long long)report->records, (unsigned long long)MAX(report->floor, (revision_t)1),
           job->has_pki ? "; certificates and keys too" : "");
}

static int run(struct job *job, struct err *err)
{
    int code = prepare(job, err);

    if (code < 0)
        return code; /* what is there may be another process's */
    code = build(job, err);
    if (code == 0)
        code = check(job, err);
    if (code == 0 && !job->arguments->dry_run)
        code = swap_all(job, err);
    if (code == 0)
        tell(job);
    file_remove_tree(job->store_new, NULL);
    file_remove_tree(job->pki_new, NULL);
    return code;
}

int restore_main(int argc, char **argv)
{
    AUTO(arena) arena = arena_new(0);
    struct arguments arguments = { 0 };
    struct err err = { 0 };

    if (cli_parse(&restore_argp, argc, argv, &arguments) != 0)
        return 2;
    if (arguments.names.count == 0)
        return cli_usage_error("restore", "say of what: FILE, or - for standard input");
    struct job job = { .arguments = &arguments, .arena = arena, .up_lock = -1, .store_lock = -1 };
    int code = arena ? instance_resolve(&arguments.common, &job.instance, &err)
                     : err_set(&err, ERR_NO_MEMORY, "restoring");
    if (code < 0) {
        cli_fail(&err);
        return 2;
    }
    code = run(&job, &err);
    auto_close_fd(&job.up_lock);
    auto_close_fd(&job.store_lock);
    vec_deinit(&arguments.names);
    return code < 0 ? cli_fail(&err) : 0;
}
