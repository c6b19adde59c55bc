/* client.h - a client of the store in a model history: its thread, what it holds and what it has seen (client.c,
 * reader.c). */
#pragma once

#include "base/sync.h"
#include "history.h"

#define WATCHES_EACH 2

struct run {
    const struct plan *plan;
    char path[128];
    struct clock clock; /* ticks with the counter */
    _Atomic uint64_t moment;
    atomic_int watches;
    struct store *store;
    struct history *history;
    int phase;
    struct mutex gate_lock;
    struct cond gate;
    bool open; /* the gate */
};

struct client_watch {
    struct store_watch *watch;
    int number;
    struct scope scope;
    atomic_uint calls; /* of ready() */
    unsigned low, high; /* calls just before and just after the last "none" */
    bool none;
};

struct client {
    struct run *run;
    int number; /* -1: the runner itself */
    struct thread thread;
    VEC(struct row) rows;
    revision_t known[KEYS];
    struct client_watch watches[WATCHES_EACH];
    struct store_snapshot *held;
    struct row held_row;
};

static inline uint64_t run_moment(struct run *run)
{
    return atomic_fetch_add(&run->moment, 1);
}

struct row client_row(const struct client *client, enum row_kind kind);
void client_note(struct client *client, const struct row *row);

/* client.c */
void client_main(void *arg);

/* reader.c */
void client_read(struct client *client, const struct step *step);
void client_release(struct client *client); /* the snapshot it holds */
void client_watch_open(struct client *client, const struct step *step);
void client_watch_read(struct client *client, int slot, unsigned limit);
void client_watch_close(struct client *client, int slot);
/* All that there is: the newest state, and the changes since the floor. */
void client_audit(struct client *client);
revision_t client_pick(const struct client *client, unsigned fraction);

/* run.c: runs a plan; history is empty before. ERR_*: the machine, not the store, has failed. */
int plan_run(const struct plan *plan, struct history *history, struct err *err);
