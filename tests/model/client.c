/* client.c - what a client does to the store: transactions and upkeep. */
#include "client.h"

#include <stdio.h>

struct row client_row(const struct client *client, enum row_kind kind)
{
    return (struct row){
        .kind = kind,
        .client = client->number,
        .phase = client->run->phase,
        .store = client->server,
        .invoked = run_moment(client->run),
    };
}

void client_note(struct client *client, const struct row *row)
{
    INVARIANT(vec_push(&client->rows, *row) == 0);
}

/* -- transactions -- */

struct burst {
    struct mutex lock;
    struct cond over;
    size_t left;
};

struct client_txn {
    struct client *client;
    struct burst *burst;
    struct store_txn txn;
    struct store_op ops[TXN_OPS];
    struct str terms[TXN_OPS][TERMS];
    char bytes[TXN_OPS][VALUE_BYTES_MAX], actor[16];
    struct blob *blobs[TXN_OPS];
    struct row row;
};

static revision_t resolve(const struct client *client, const struct planned_op *op)
{
    switch (op->mode) {
    case EXPECT_ANY: return STORE_ANY;
    case EXPECT_ABSENT: return STORE_ABSENT;
    case EXPECT_KNOWN: return client->known[op->key];
    case EXPECT_OLD: return client_pick(client, op->fraction);
    }
    return STORE_ANY;
}

static void fill_op(struct client_txn *t, size_t i)
{
    struct planned_op *op = &t->row.txn.ops[i];
    struct store_op *out = &t->ops[i];

    op->expect = resolve(t->client, op);
    *out = (struct store_op){ .kind = op->kind, .key = key_name(op->key), .expect = op->expect, .terms = t->terms[i] };
    out->value = value_text(t->bytes[i], op->number, &out->splice);
    if (!op->splice)
        out->splice = STORE_NO_SPLICE;
    for (int term = 0; term < TERMS && op->kind == STORE_PUT; term++)
        if (op->terms & 1u << term)
            t->terms[i][out->terms_count++] = term_name(term);
}

static void fill_txn(struct client_txn *t, struct client *client, const struct planned_txn *planned)
{
    t->client = client;
    t->row = (struct row){ .kind = ROW_COMMIT, .client = client->number, .phase = client->run->phase };
    t->row.store = client->server;
    t->row.txn = *planned;
    for (size_t i = 0; i < planned->ops_count; i++)
        fill_op(t, i);
    snprintf(t->actor, sizeof t->actor, "client-%d", client->number);
    snprintf(t->row.rule, sizeof t->row.rule, "txn %llu", (unsigned long long)planned->ops[0].number);
    t->row.trigger = client->known[planned->ops[0].key];
    t->row.term = planned->fenced ? atomic_load(&client->run->servers[client->server].term) : 0;
    t->txn = (struct store_txn){
        .ops = t->ops,
        .ops_count = planned->ops_count,
        .cause = { str_from(t->actor), str_from(t->row.rule), t->row.trigger, t->row.term },
        .result.values = t->blobs,
    };
}

static void take_result(struct client_txn *t, int code, const struct store_result *result)
{
    t->row.completed = run_moment(t->client->run);
    t->row.code = code;
    t->row.revision = code == 0 ? result->revision : 0;
    t->row.failed_op = result->failed_op;
    t->row.present = result->present;
}

/* What was learnt stays with the client, whose thread this is. */
static void finish(struct client_txn *t)
{
    struct client *client = t->client;

    for (size_t i = 0; t->row.code == 0 && i < t->row.txn.ops_count; i++) {
        const struct planned_op *op = &t->row.txn.ops[i];

        t->row.values[i] = value_seen(blob_str(t->blobs[i]));
        if (op->kind != STORE_CHECK)
            client->known[op->key] = op->kind == STORE_PUT ? t->row.revision : STORE_ABSENT;
        blob_unref(t->blobs[i]);
    }
    if (t->row.code == -ERR_CONFLICT && t->row.failed_op < t->row.txn.ops_count)
        client->known[t->row.txn.ops[t->row.failed_op].key] = t->row.present;
    client_note(client, &t->row);
}

static void commit_one(struct client *client, struct client_txn *t)
{
    struct store_result result = { .values = t->blobs };

    t->row.invoked = run_moment(client->run);
    int code = store_commit(client_store(client), t->ops, t->txn.ops_count, &t->txn.cause, &result, NULL);
    take_result(t, code, &result);
}

static void burst_done(struct store_txn *txn, int code)
{
    struct client_txn *t = txn->arg;

    take_result(t, code, &txn->result);
    LOCKED(&t->burst->lock);
    if (--t->burst->left == 0)
        cond_signal(&t->burst->over);
}

static void commit_burst(struct client *client, struct client_txn *txns, size_t count)
{
    struct burst burst = { .left = count };

    mutex_init(&burst.lock);
    cond_init(&burst.over);
    for (size_t i = 0; i < count; i++) {
        txns[i].burst = &burst;
        txns[i].txn.done = burst_done;
        txns[i].txn.arg = &txns[i];
        txns[i].row.invoked = run_moment(client->run);
        store_commit_async(client_store(client), &txns[i].txn);
    }
    mutex_lock(&burst.lock);
    while (burst.left > 0)
        cond_wait(&burst.over, &burst.lock);
    mutex_unlock(&burst.lock);
    cond_deinit(&burst.over);
    mutex_deinit(&burst.lock);
}

int client_commit(struct client *client, const struct planned_txn *planned, size_t count)
{
    AUTO_FREE struct client_txn *txns = calloc(count, sizeof *txns);

    INVARIANT(txns);
    for (size_t i = 0; i < count; i++)
        fill_txn(&txns[i], client, &planned[i]);
    if (count == 1)
        commit_one(client, txns);
    else
        commit_burst(client, txns, count);
    for (size_t i = 0; i < count; i++)
        finish(&txns[i]);
    return txns[count - 1].row.code;
}

/* -- upkeep -- */

static void client_compact(struct client *client, const struct step *step)
{
    struct store *store = client_store(client);
    struct store_retention retention = { .bytes = 1 + step->fraction * 40, .age = step->fraction % 2 ? 200 : 0 };
    struct row row = client_row(client, ROW_COMPACT);

    row.asked = client_pick(client, step->fraction);
    if (step->retain) {
        row.asked = 0;
        row.code = store_retain(store, &retention, NULL);
    } else if (row.asked > 0) {
        row.code = store_compact(store, row.asked, NULL);
    }
    row.until = store_compacted(store) + 1;
    row.completed = run_moment(client->run); /* now: the floor may move on at once */
    client_note(client, &row);
}

/* -- its thread -- */

static void client_step(struct client *client, const struct step *step)
{
    switch (step->kind) {
    case STEP_TXN: client_commit(client, step->txns, step->txns_count); return;
    case STEP_READ: client_read(client, step); return;
    case STEP_WATCH_OPEN: client_watch_open(client, step); return;
    case STEP_WATCH_READ: client_watch_read(client, step->slot, step->limit); return;
    case STEP_WATCH_CLOSE: client_watch_close(client, step->slot); return;
    case STEP_COMPACT: client_compact(client, step); return;
    case STEP_SYNC: client_sync(client); return;
    case STEP_FAULT: client_fault(client, &step->fault); return;
    case STEP_RESIGN: {
        struct server *server = &client->run->servers[client->server];

        server_resign(server);
        server_campaign(server, NULL);
        return;
    }
    }
}

void client_main(void *arg)
{
    struct client *client = arg;
    struct run *run = client->run;

    mutex_lock(&run->gate_lock);
    while (!run->open)
        cond_wait(&run->gate, &run->gate_lock);
    mutex_unlock(&run->gate_lock);
    vec_each (&run->plan->phases[run->phase].steps[client->number], step)
        if (!step->skip)
            client_step(client, step);
}
