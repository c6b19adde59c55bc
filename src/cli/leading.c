/* leading.c - the work of a term, from its beginning to its end.
 *
 * All of it reaches the API through clients that carry the term, so nothing that is still under way when the term is
 * over can be written: a server need not know yet that it was deposed. Ending the work is then only a matter of
 * cleaning up; a server that cannot do that in time gives up and is started anew, without anything left of that term.
 *
 * The first lists of a term are read after everything that the leader before has written: lists of local clients wait
 * for the newest state. */
#include "cli/leading.h"

#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "apiserver/servers.h"
#include "base/log.h"
#include "base/sync.h"
#include "cli/shipper.h"
#include "client/informer.h"
#include "controllers/controllers.h"
#include "scheduler/scheduler.h"

#define END_MAX (60 * NSEC_PER_SEC) /* what waits for etcd gives up after 10 */
#define DESCRIBE_MAX (4 * NSEC_PER_SEC)

/* In order of construction; torn down in the opposite one. */
struct work {
    struct client *system, *scheduler_client, *controllers_client;
    struct informers *informers;
    struct event_recorder *scheduler_events, *controllers_events;
    struct scheduler *scheduler;
    struct controllers *controllers;
    struct shipper *shipper;
    struct servers *servers;
};

struct leading {
    struct leading_options options;
    struct store_campaign *campaign;
    struct work work; /* the campaign's thread's */
    bool working;
    struct mutex lock; /* of what follows */
    struct cond told;
    bool begun, ended;
    int code; /* of the beginning */
    struct err err;
};

/* -- the work -- */

static int make_clients(struct leading *leading, revision_t term, struct err *err)
{
    struct work *work = &leading->work;
    const struct {
        struct str user;
        struct client **client;
    } clients[] = {
        { STR("system:caravel"), &work->system },
        { STR("system:kube-scheduler"), &work->scheduler_client },
        { STR("system:kube-controller-manager"), &work->controllers_client },
    };

    for (size_t i = 0; i < ARRAY_LEN(clients); i++) {
        int code = apiserver_term_client(leading->options.api, clients[i].user, term, clients[i].client, err);

        if (code < 0)
            return code;
    }
    return 0;
}

static int make_events(struct leading *leading, struct err *err)
{
    struct work *work = &leading->work;
    struct executor *executor = leading->options.executor;
    int code = event_recorder_new(work->scheduler_client, executor, rng_system(), STR("default-scheduler"), STR(""),
                                  &work->scheduler_events, err);

    return code == 0 ? event_recorder_new(work->controllers_client, executor, rng_system(), STR("controller-manager"),
                                          STR(""), &work->controllers_events, err)
                     : code;
}

static int make_components(struct leading *leading, struct err *err)
{
    const struct leading_options *options = &leading->options;
    struct work *work = &leading->work;
    const struct scheduler_options scheduler = { .informers = work->informers, .client = work->scheduler_client,
                                                 .executor = options->executor, .rng = rng_system(),
                                                 .events = work->scheduler_events };
    const struct controllers_options controllers = {
        .informers = work->informers, .client = work->controllers_client, .executor = options->executor,
        .rng = rng_system(), .events = work->controllers_events, .sessions = options->sessions,
        .cluster_cidr = options->pod_cidr,
    };
    int code = scheduler_new(&scheduler, &work->scheduler, err);

    if (code == 0)
        code = controllers_new(&controllers, &work->controllers, err);
    return code == 0 ? informers_start(work->informers, err) : code;
}

/* Of a cluster of several servers only one has to reach the place of the backups at first; it is told, and tried. */
static int make_shipper(struct leading *leading, struct err *err)
{
    const struct leading_options *options = &leading->options;
    int code = options->backup_to ? shipper_new(options->executor, options->store, options->instance,
                                                options->backup_to, &leading->work.shipper, err)
                                  : 0;

    if (code == 0 || !store_is_shared(options->store))
        return code;
    log_error("backup", "no backups are made: %s", err->message);
    return 0;
}

static int begin_work(struct leading *leading, revision_t term, struct err *err)
{
    int code = make_shipper(leading, err);

    if (code == 0)
        code = make_clients(leading, term, err);
    if (code == 0)
        code = informers_new(leading->work.system, leading->options.executor, rng_system(), &leading->work.informers,
                             err);
    if (code == 0)
        code = make_events(leading, err);
    if (code == 0)
        code = make_components(leading, err);
    if (code == 0 && store_is_shared(leading->options.store))
        code = servers_new(leading->options.api, leading->work.controllers_client, leading->options.address,
                           &leading->work.servers, err);
    if (code == 0)
        apiserver_lead(leading->options.api, term);
    return code;
}

static void end_work(struct leading *leading)
{
    struct work *work = &leading->work;

    apiserver_lead(leading->options.api, 0);
    servers_free(work->servers);
    informers_stop(work->informers);
    scheduler_free(work->scheduler);
    controllers_free(work->controllers);
    informers_free(work->informers);
    event_recorder_free(work->scheduler_events);
    event_recorder_free(work->controllers_events);
    client_free(work->system);
    client_free(work->scheduler_client);
    client_free(work->controllers_client);
    shipper_free(work->shipper, !store_is_shared(leading->options.store));
    *work = (struct work){ 0 };
}

/* -- terms -- */

static _Noreturn void give_up(const char *why)
{
    log_error("server", "giving up: %s", why);
    _exit(1);
}

static void begin_term(struct leading *leading, revision_t term)
{
    bool shared = store_is_shared(leading->options.store);
    struct err err = { 0 };
    int code = begin_work(leading, term, &err);

    if (code < 0 && shared)
        give_up(err.message);
    if (code < 0)
        end_work(leading);
    leading->working = code == 0;
    if (shared)
        log_info("server", "this server leads: term %llu", (unsigned long long)term);
    LOCKED(&leading->lock);
    leading->begun = true;
    leading->code = code;
    leading->err = err;
    cond_signal(&leading->told);
}

/* A thread of its own, as those of the executor may be what is stuck. */
static void watch_end(void *arg)
{
    struct leading *leading = arg;
    bool late = false;

    mutex_lock(&leading->lock);
    while (!leading->ended && !late)
        late = !cond_wait_for(&leading->told, &leading->lock, END_MAX);
    if (!leading->ended)
        give_up("the work of the leader could not be ended in time");
    mutex_unlock(&leading->lock);
}

static void note_ended(struct leading *leading, bool ended)
{
    LOCKED(&leading->lock);
    leading->ended = ended;
    cond_signal(&leading->told);
}

static void end_term(struct leading *leading)
{
    bool shared = store_is_shared(leading->options.store);
    struct thread watcher = { 0 };
    struct err err = { 0 };

    if (!leading->working)
        return;
    note_ended(leading, false);
    if (shared && thread_start(&watcher, "end of term", watch_end, leading, &err) < 0)
        log_warn("server", "nobody sees to it that the work of the leader ends: %s", err.message);
    end_work(leading);
    leading->working = false;
    note_ended(leading, true);
    thread_join(&watcher);
    if (shared)
        log_info("server", "this server does not lead any more");
}

static void changed(void *arg, revision_t term)
{
    struct leading *leading = arg;

    if (term)
        begin_term(leading, term);
    else
        end_term(leading);
}

static int wait_begun(struct leading *leading, struct err *err)
{
    LOCKED(&leading->lock);
    while (!leading->begun)
        cond_wait(&leading->told, &leading->lock);
    if (leading->code < 0 && err)
        *err = leading->err;
    return leading->code;
}

int leading_start(const struct leading_options *options, struct leading **ret_leading, struct err *err)
{
    struct leading *leading = calloc(1, sizeof *leading);

    if (!leading)
        return err_set(err, ERR_NO_MEMORY, "leading");
    leading->options = *options;
    mutex_init(&leading->lock);
    cond_init(&leading->told);
    const struct store_campaign_options campaign = { .name = options->name, .address = options->address,
                                                     .changed = changed, .arg = leading };
    int code = store_campaign_start(options->store, &campaign, &leading->campaign, err);

    if (code == 0 && !store_is_shared(options->store))
        code = wait_begun(leading, err);
    if (code < 0) {
        leading_end(leading);
        return code;
    }
    *ret_leading = leading;
    return 0;
}

void leading_describe(struct leading *leading, char out[2 * STORE_LEADER_NAME_MAX])
{
    nsec_t until = clock_now(clock_real()) + DESCRIBE_MAX;
    struct timespec pause = { .tv_nsec = 20 * NSEC_PER_MSEC };
    struct store_leader leader;

    for (;;) {
        store_leader(leading->options.store, &leader);
        if (leader.term || clock_now(clock_real()) > until)
            break;
        nanosleep(&pause, NULL);
    }
    if (!leader.term)
        snprintf(out, 2 * STORE_LEADER_NAME_MAX, "nobody leads yet");
    else
        snprintf(out, 2 * STORE_LEADER_NAME_MAX, leader.self ? "this server leads, term %llu" : "term %llu, led by %s",
                 (unsigned long long)leader.term, leader.name);
}

struct leading *leading_end(struct leading *leading)
{
    if (!leading)
        return NULL;
    store_campaign_end(leading->campaign);
    cond_deinit(&leading->told);
    mutex_deinit(&leading->lock);
    free(leading);
    return NULL;
}
