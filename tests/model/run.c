/* run.c - runs a plan: phase by phase, all clients at once in each; between two the store is closed and opened again. */
#include <stdio.h>
#include <unistd.h>

#include "base/file.h"
#include "client.h"
#include "store/check.h"
#include "tests/disk/disk.h"

static nsec_t tick(struct clock *clock)
{
    return (nsec_t)run_moment(container_of(clock, struct run, clock));
}

static int run_open(struct run *run, struct client *self, struct err *err)
{
    struct store_options options = {
        .path = run->path,
        .clock = &run->clock,
        .map_size = run->plan->map_size,
        .synchronous = run->plan->synchronous,
        .event_window = run->plan->event_window,
    };
    struct row row = client_row(self, ROW_OPENED);
    int code = store_open(&options, &run->store, err);

    if (code < 0)
        return code;
    row.completed = run_moment(run);
    row.revision = store_revision(run->store);
    row.until = store_compacted(run->store) + 1;
    client_note(self, &row);
    client_audit(self);
    return 0;
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

static void tell_problem(void *ctx, struct str message)
{
    err_set(ctx, ERR_INTERNAL, "the store is damaged: " STR_FMT, STR_ARG(message));
}

static int run_phase(struct run *run, struct client *self, struct client *clients, struct err *err)
{
    const struct phase *phase = &run->plan->phases[run->phase];
    struct store_check_report report = { 0 };
    struct store_check_events events = { .ctx = err, .problem = tell_problem };
    int code = run_open(run, self, err);

    if (code < 0)
        return code;
    uint64_t failed = disk_failed();
    if (phase->faulty)
        disk_fail(&phase->fault);
    code = start_clients(run, clients, err);
    run->history->faults |= disk_failed() > failed;
    disk_heal();
    for (int i = 0; i < run->plan->clients; i++)
        drain(run, &clients[i]);
    client_audit(self);
    run->store = store_close(run->store);
    if (code == 0)
        code = store_check(run->path, &events, &report, err);
    return code < 0 ? code : report.problems ? -ERR_INTERNAL : 0;
}

static int gather(struct run *run, struct client *clients, int count, struct err *err)
{
    int code = 0;

    for (int i = 0; i < count; i++) {
        vec_each (&clients[i].rows, row) {
            row->order = run->history->rows.count;
            if (code == 0 && vec_push(&run->history->rows, *row) < 0)
                code = err_set(err, ERR_NO_MEMORY, "history");
        }
        vec_deinit(&clients[i].rows);
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
    }
    for (run->phase = 0; run->phase < run->plan->phases_count && code == 0; run->phase++)
        code = run_phase(run, self, clients, err);
    if (code == 0)
        code = run_open(run, self, err); /* once more, for what is on disk */
    run->store = store_close(run->store);
    int gathered = gather(run, clients, CLIENTS_MAX + 1, err);
    if (run->history->rows.count > 0)
        qsort(run->history->rows.items, run->history->rows.count, sizeof(struct row), compare_rows);
    return code < 0 ? code : gathered;
}

int plan_run(const struct plan *plan, struct history *history, struct err *err)
{
    const char *tmp = getenv("TMPDIR");
    struct run run = { .plan = plan, .history = history, .moment = 1000, .clock = { tick, tick } };

    if (!tmp)
        tmp = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
    snprintf(run.path, sizeof run.path, "%s/caravel-model-XXXXXX", tmp);
    if (!mkdtemp(run.path))
        return err_set(err, ERR_IO, "making a folder in %s", tmp);
    mutex_init(&run.gate_lock);
    cond_init(&run.gate);
    history->full = plan->map_size < 1u << 20;
    disk_use(run.path);
    int code = run_all(&run, err);
    disk_use(NULL);
    cond_deinit(&run.gate);
    mutex_deinit(&run.gate_lock);
    file_remove_tree(run.path, NULL);
    return code;
}
