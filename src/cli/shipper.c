#include "cli/shipper.h"

#include "base/log.h"
#include "base/sync.h"
#include "cli/cluster_files.h"
#include "cli/passphrase.h"
#include "store/backup/archive.h"

#define INTERVAL (3 * NSEC_PER_SEC)
#define PAUSE_MAX (60 * NSEC_PER_SEC) /* after failures */
#define INCREMENTS 2000

struct shipper {
    struct executor *executor;
    const struct instance *instance;
    char *where;
    struct place *place;
    struct archive *archive;
    struct arena *passphrase_arena, *files_arena;
    struct cluster_files files;
    atomic_bool stop; /* calls under way */
    nsec_t pause;
    struct mutex lock; /* of timer and stopping */
    struct executor_timer *timer;
    bool stopping;
};

static void round_due(void *arg);

static int plan_round(struct shipper *shipper, nsec_t pause, struct err *err)
{
    LOCKED(&shipper->lock);
    struct executor_timer *before = shipper->timer;

    shipper->timer = NULL;
    executor_cancel(shipper->executor, before); /* it has run: this frees the handle */
    if (shipper->stopping)
        return 0;
    return executor_post_after(shipper->executor, pause, round_due, shipper, &shipper->timer, err);
}

static void run_round(struct shipper *shipper)
{
    struct archive_step step;
    struct err err = { 0 };
    int code = archive_step(shipper->archive, &step, &err);

    if (code == -ERR_CANCELLED)
        return;
    if (code < 0) {
        if (shipper->pause == INTERVAL)
            log_warn("backup", "%s is behind: %s; trying again", shipper->where, err.message);
        shipper->pause = MIN(shipper->pause * 2, PAUSE_MAX);
        return;
    }
    if (shipper->pause > INTERVAL)
        log_info("backup", "%s is up to date again", shipper->where);
    shipper->pause = INTERVAL;
    if (code > 0 && step.from == 0)
        log_info("backup", "a full backup, revision %llu, %.1f MB, is in %s", (unsigned long long)step.to,
                 (double)step.bytes / 1e6, shipper->where);
}

static void round_due(void *arg)
{
    struct shipper *shipper = arg;
    struct err err = { 0 };

    run_round(shipper);
    if (plan_round(shipper, shipper->pause, &err) < 0)
        log_warn("backup", "%s no longer gets backups: %s", shipper->where, err.message);
}

static int load_files(void *ctx, const struct backup_file **ret_files, size_t *ret_count, struct err *err)
{
    struct shipper *shipper = ctx;

    arena_reset(shipper->files_arena);
    int code = cluster_files_load(shipper->files_arena, shipper->instance, &shipper->files, err);
    *ret_files = shipper->files.files;
    *ret_count = shipper->files.count;
    return code;
}

/* As people may see it: the part behind '?' is only noise. */
static char *name_of(const char *where)
{
    return str_dup(str_first(str_from(where), strcspn(where, "?")));
}

static int make(struct shipper *shipper, struct store *store, const char *where, struct err *err)
{
    struct archive_options options = {
        .store = store, .where = where, .folder = shipper->instance->data_dir, .instance = shipper->instance->name,
        .clock = clock_real(), .rng = rng_system(), .increments = INCREMENTS, .files = load_files, .ctx = shipper,
        .fresh = store_is_shared(store),
    };
    int code = passphrase_given(shipper->passphrase_arena, NULL, &options.passphrase, err);

    if (code == 0)
        code = place_new(where, &shipper->stop, &shipper->place, err);
    options.place = shipper->place;
    if (code == 0)
        code = archive_new(&options, &shipper->archive, err);
    return code == 0 ? plan_round(shipper, 0, err) : code;
}

int shipper_new(struct executor *executor, struct store *store, const struct instance *instance, const char *where,
                struct shipper **ret_shipper, struct err *err)
{
    struct shipper *shipper = calloc(1, sizeof *shipper);

    if (!shipper)
        return err_set(err, ERR_NO_MEMORY, "--backup-to");
    *shipper = (struct shipper){ .executor = executor, .instance = instance, .pause = INTERVAL,
                                 .where = name_of(where), .passphrase_arena = arena_new(0), .files_arena = arena_new(0) };
    mutex_init(&shipper->lock);
    int code = shipper->where && shipper->passphrase_arena && shipper->files_arena
                   ? make(shipper, store, where, err)
                   : err_set(err, ERR_NO_MEMORY, "--backup-to");
    if (code < 0) {
        shipper_free(shipper, false);
        return err_wrap(err, code, "--backup-to");
    }
    *ret_shipper = shipper;
    return 0;
}

struct shipper *shipper_free(struct shipper *shipper, bool last_round)
{
    struct executor_timer *timer;

    if (!shipper)
        return NULL;
    atomic_store(&shipper->stop, true);
    do { /* a round that was running has set the next one, or seen that there is to be none */
        mutex_lock(&shipper->lock);
        shipper->stopping = true;
        timer = shipper->timer;
        shipper->timer = NULL;
        mutex_unlock(&shipper->lock);
        executor_cancel_wait(shipper->executor, timer);
    } while (timer);
    atomic_store(&shipper->stop, false);
    if (last_round && shipper->archive && shipper->pause == INTERVAL && !archive_wants_full(shipper->archive))
        run_round(shipper);
    archive_free(shipper->archive);
    place_free(shipper->place);
    arena_free(shipper->passphrase_arena);
    arena_free(shipper->files_arena);
    mutex_deinit(&shipper->lock);
    free(shipper->where);
    free(shipper);
    return NULL;
}
