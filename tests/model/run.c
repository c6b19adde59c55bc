/* run.c - runs a plan: phase by phase, all clients at once in each; between two the store is closed and opened again.
 *
 * On etcd there are several stores, and one more that only watches, whose way there has no faults: what it was told
 * settles which transactions of unknown outcome were made. */
#include <stdio.h>
#include <unistd.h>

#include "base/file.h"
#include "client.h"
#include "store/check.h"
#include "tests/disk/disk.h"

#define COMEBACKS 30 /* tries of a store to reach etcd again, of some seconds each */

static nsec_t tick(struct clock *clock)
{
    return (nsec_t)run_moment(container_of(clock, struct run, clock));
}

static nsec_t real_now(struct clock *clock)
{
    (void)clock;
    return clock_now(clock_real());
}

static bool is_shared(const struct run *run)
{
    return run->plan->etcd != NULL;
}

/* After faults: until it answers again. */
static int catch_up(struct client *self, struct err *err)
{
    for (int i = 0; i < COMEBACKS; i++)
        if (client_sync(self) == 0)
            return 0;
    return err_set(err, ERR_INTERNAL, "store %d does not come back", self->server);
}

static int run_open_one(struct run *run, struct client *self, struct err *err)
{
    struct row row = client_row(self, ROW_OPENED);
    struct store *store;
    int code = server_open(&run->servers[self->server], err);

    if (code < 0)
        return code;
    store = client_store(self);
    row.completed = run_moment(run);
    row.revision = store_revision(store);
    row.until = store_compacted(store) + 1;
    client_note(self, &row);
    if (is_shared(run) && (code = catch_up(self, err)) < 0)
        return code;
    client_audit(self);
    return 0;
}

static int run_open(struct run *run, struct client *self, struct err *err)
{
    int code = 0;

    for (self->server = 0; self->server < run->servers_count && code == 0; self->server++)
        code = run_open_one(run, self, err);
    self->server = 0;
    return code;
}

static void run_close(struct run *run)
{
    for (int i = 0; i < run->servers_count; i++) {
        server_resign(&run->servers[i]);
        run->servers[i].store = store_close(run->servers[i].store);
    }
}

static int start_clients(struct run *run, struct client *clients, struct err *err)
{
    int code = 0;

    run->open = false;
    for (int i = 0; i < run->plan->clients && code == 0; i++)
        code = thread_start(&clients[i].thread, "client", client_main, &clients[i], err);
    mutex_lock(&run->gate_lock);
    run->open = true;
    cond_broadcast(&run->gate);
    mutex_unlock(&run->gate_lock);
    for (int i = 0; i < run->plan->clients; i++)
        thread_join(&clients[i].thread);
    return code;
}

/* With all clients paused everything that is due must come. The runner reads in the clients' stead. */
static void drain(struct run *run, struct client *client)
{
    int number = client->number;

    client->number = -1;
    for (int slot = 0; slot < WATCHES_EACH; slot++) {
        client_watch_read(client, slot, 100000);
        client_watch_close(client, slot);
    }
    client_release(client);
    client->number = number;
}

/* -- servers on one etcd -- */

static const struct step watch_all = { .newest = true, .scope = { .key = -1, .term = -1 } };

static int begin_shared(struct run *run, struct client *self, struct err *err)
{
    int code = 0;

    self->server = run->plan->stores; /* the observer */
    client_watch_open(self, &watch_all);
    for (int i = 0; i < run->plan->stores && run->plan->campaigns && code == 0; i++)
        code = server_campaign(&run->servers[i], err);
    return code;
}

/* A transaction behind all others: nothing of before can have seen its revision. */
static int seal(struct client *self, struct err *err)
{
    struct planned_txn txn = { .ops_count = 1 };

    self->server = 0;
    for (uint64_t i = 0; i < COMEBACKS; i++) {
        txn.ops[0] = (struct planned_op){ .kind = STORE_PUT, .mode = EXPECT_ANY,
                                          .number = 1000000 + i + COMEBACKS * (uint64_t)self->run->phase };
        if (client_commit(self, &txn, 1) == 0)
            return 0;
    }
    return err_set(err, ERR_INTERNAL, "no more writes are taken");
}

/* The way to etcd is whole again: everything comes back by itself, and what anybody was told is everywhere. */
static int settle_shared(struct run *run, struct client *self, struct err *err)
{
    int code;

    proxy_heal(run->proxy);
    for (int i = 0; i < run->plan->stores; i++)
        server_resign(&run->servers[i]);
    if ((code = seal(self, err)) < 0)
        return code;
    for (self->server = 0; self->server < run->servers_count && code == 0; self->server++)
        code = catch_up(self, err);
    self->server = run->plan->stores;
    client_watch_read(self, 0, 1000000);
    client_watch_close(self, 0);
    self->server = 0;
    return code;
}

/* -- a phase -- */

static void tell_problem(void *ctx, struct str message)
{
    err_set(ctx, ERR_INTERNAL, "the store is damaged: " STR_FMT, STR_ARG(message));
}

static int check_files(const struct run *run, struct err *err)
{
    int code = 0;

    for (int i = 0; i < run->servers_count && code == 0; i++) {
        struct store_check_report report = { 0 };
        struct store_check_events events = { .ctx = err, .problem = tell_problem };

        code = store_check(run->servers[i].path, &events, &report, err);
        if (code == 0 && report.problems)
            code = -ERR_INTERNAL;
    }
    return code;
}

static int run_clients(struct run *run, struct client *self, struct client *clients, struct err *err)
{
    const struct phase *phase = &run->plan->phases[run->phase];
    uint64_t failed = disk_failed();
    int code = is_shared(run) ? begin_shared(run, self, err) : 0;

    if (code < 0)
        return code;
    if (phase->faulty && !is_shared(run))
        disk_fail(&phase->fault);
    code = start_clients(run, clients, err);
    run->history->faults |= disk_failed() > failed;
    disk_heal();
    if (code == 0 && is_shared(run))
        code = settle_shared(run, self, err);
    for (int i = 0; i < run->plan->clients; i++)
        drain(run, &clients[i]);
    for (self->server = 0; self->server < run->servers_count && code == 0; self->server++)
        client_audit(self);
    return code;
}

static int run_phase(struct run *run, struct client *self, struct client *clients, struct err *err)
{
    int code = run_open(run, self, err);

    if (code == 0)
        code = run_clients(run, self, clients, err);
    run_close(run);
    if (code == 0)
        code = check_files(run, err);
    for (int i = 0; i < run->servers_count && run->plan->fresh && code == 0; i++)
        code = file_remove_tree(run->servers[i].path, err);
    return code;
}

static int gather_rows(struct history *history, const struct row *rows, size_t count, struct err *err)
{
    for (size_t i = 0; i < count; i++) {
        struct row row = rows[i];

        row.order = history->rows.count;
        if (vec_push(&history->rows, row) < 0)
            return err_set(err, ERR_NO_MEMORY, "history");
    }
    return 0;
}

static int gather(struct run *run, struct client *clients, int count, struct err *err)
{
    int code = 0;

    for (int i = 0; i < count; i++) {
        if (code == 0)
            code = gather_rows(run->history, clients[i].rows.items, clients[i].rows.count, err);
        vec_deinit(&clients[i].rows);
    }
    for (int i = 0; i < run->servers_count; i++) {
        if (code == 0)
            code = gather_rows(run->history, run->servers[i].rows.items, run->servers[i].rows.count, err);
        vec_deinit(&run->servers[i].rows);
    }
    return code;
}

/* By invocation; what was seen with one snapshot, or in one list, stays in order. */
static int compare_rows(const void *a, const void *b)
{
    const struct row *x = a, *y = b;

    if (x->invoked != y->invoked)
        return x->invoked < y->invoked ? -1 : 1;
    return x->order < y->order ? -1 : x->order > y->order;
}

static int run_all(struct run *run, struct err *err)
{
    struct client clients[CLIENTS_MAX + 1] = { 0 };
    struct client *self = &clients[CLIENTS_MAX];
    int code = 0;

    for (int i = 0; i <= CLIENTS_MAX; i++) {
        clients[i].run = run;
        clients[i].number = i == CLIENTS_MAX ? -1 : i;
        clients[i].server = i % run->plan->stores;
    }
    for (run->phase = 0; run->phase < run->plan->phases_count && code == 0; run->phase++)
        code = run_phase(run, self, clients, err);
    if (code == 0)
        code = run_open(run, self, err); /* once more, for what is on disk */
    if (code == 0 && is_shared(run))
        code = seal(self, err);
    run_close(run);
    int gathered = gather(run, clients, CLIENTS_MAX + 1, err);
    if (run->history->rows.count > 0)
        qsort(run->history->rows.items, run->history->rows.count, sizeof(struct row), compare_rows);
    history_settle(run->history);
    return code < 0 ? code : gathered;
}

static void init_servers(struct run *run, const char *folder)
{
    run->servers_count = run->plan->stores + is_shared(run);
    for (int i = 0; i < run->servers_count; i++) {
        struct server *server = &run->servers[i];

        server->run = run;
        server->number = i;
        mutex_init(&server->lock);
        snprintf(server->path, sizeof server->path, "%s/%d", folder, i);
    }
}

static int plan_run_in(const struct plan *plan, const char *folder, struct history *history, struct err *err)
{
    struct run run = { .plan = plan, .history = history, .moment = 1000, .clock = { tick, tick } };
    int code = 0;

    mutex_init(&run.gate_lock);
    mutex_init(&run.bouncing);
    cond_init(&run.gate);
    init_servers(&run, folder);
    history->shared = is_shared(&run);
    history->full = plan->map_size < 1u << 20;
    if (is_shared(&run)) {
        run.clock.now = real_now;
        snprintf(run.prefix, sizeof run.prefix, "/model/%lld-%d", (long long)clock_wall(clock_real()), getpid());
        code = proxy_new(plan->etcd->endpoints, run.servers_count, &run.proxy, err);
    } else {
        disk_use(run.servers[0].path);
    }
    if (code == 0)
        code = run_all(&run, err);
    disk_use(NULL);
    proxy_free(run.proxy);
    for (int i = 0; i < run.servers_count; i++)
        mutex_deinit(&run.servers[i].lock);
    cond_deinit(&run.gate);
    mutex_deinit(&run.bouncing);
    mutex_deinit(&run.gate_lock);
    return code;
}

int plan_run(const struct plan *plan, struct history *history, struct err *err)
{
    const char *tmp = getenv("TMPDIR");
    char folder[128];

    if (!tmp)
        tmp = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
    snprintf(folder, sizeof folder, "%s/caravel-model-XXXXXX", tmp);
    if (!mkdtemp(folder))
        return err_set(err, ERR_IO, "making a folder in %s", tmp);
    int code = plan_run_in(plan, folder, history, err);
    file_remove_tree(folder, NULL);
    return code;
}
