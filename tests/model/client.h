/* client.h - a client of the store in a model history: its thread, what it holds and what it has seen (client.c,
 * reader.c); and the servers, each with a store, that share an etcd (server.c). */
#pragma once

#include "base/sync.h"
#include "proxy.h"

#define WATCHES_EACH 2

struct server {
    struct run *run;
    int number;
    char path[128];
    struct store *store;
    struct mutex lock; /* of starting and ending the campaign */
    struct store_campaign *campaign;
    _Atomic revision_t term; /* the last that it was given */
    struct row led;
    VEC(struct row) rows; /* the campaign's thread's, until that ends */
};

struct run {
    const struct plan *plan;
    struct clock clock; /* ticks with the counter */
    _Atomic uint64_t moment;
    atomic_int watches;
    struct server servers[STORES_MAX]; /* on etcd the last one only watches */
    int servers_count;
    char prefix[64];
    struct proxy *proxy;
    struct mutex bouncing;
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
    int server;
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

static inline struct store *client_store(const struct client *client)
{
    return client->run->servers[client->server].store;
}

struct row client_row(const struct client *client, enum row_kind kind);
void client_note(struct client *client, const struct row *row);

/* client.c */
void client_main(void *arg);
int client_commit(struct client *client, const struct planned_txn *txns, size_t count); /* the last one's code */

/* reader.c */
void client_read(struct client *client, const struct step *step);
void client_release(struct client *client); /* the snapshot it holds */
void client_watch_open(struct client *client, const struct step *step);
void client_watch_read(struct client *client, int slot, unsigned limit);
void client_watch_close(struct client *client, int slot);
/* All that there is: the newest state, and the changes since the floor. */
void client_audit(struct client *client);
revision_t client_pick(const struct client *client, unsigned fraction);

/* server.c */
int server_open(struct server *server, struct err *err);
int server_campaign(struct server *server, struct err *err); /* on etcd; nothing when it does */
void server_resign(struct server *server);
int client_sync(struct client *client);
void client_fault(struct client *client, const struct net_fault *fault);

/* run.c: runs a plan; history is empty before. ERR_*: the machine, not the store, has failed. */
int plan_run(const struct plan *plan, struct history *history, struct err *err);
