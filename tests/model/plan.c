/* plan.c - what the clients will do, from a seed. */
#include <errno.h>

#include "history.h"

#define STEPS_MIN 8
#define STEPS_MORE 14

static unsigned below(struct seeded_rng *rng, unsigned bound)
{
    return (unsigned)rng_below(&rng->rng, bound);
}

static struct scope plan_scope(struct seeded_rng *rng)
{
    struct scope scope = { .key = -1, .prefix = (int)below(rng, 5), .term = -1 };

    if (below(rng, 3) == 0)
        scope.key = (int)below(rng, KEYS);
    if (below(rng, 3) == 0)
        scope.term = (int)below(rng, TERMS);
    scope.exact = scope.key >= 0 && below(rng, 2);
    return scope;
}

static struct planned_op plan_op(struct seeded_rng *rng, int key, uint64_t number)
{
    static const enum store_op_kind kinds[] = { STORE_PUT, STORE_PUT, STORE_PUT, STORE_PUT, STORE_DELETE, STORE_CHECK };
    static const enum expect_mode modes[] = { EXPECT_ANY,   EXPECT_ANY,   EXPECT_KNOWN, EXPECT_KNOWN,
                                              EXPECT_KNOWN, EXPECT_KNOWN, EXPECT_ABSENT, EXPECT_OLD };

    return (struct planned_op){
        .kind = kinds[below(rng, ARRAY_LEN(kinds))],
        .key = key,
        .number = number,
        .splice = below(rng, 2),
        .terms = below(rng, 2) ? below(rng, 1u << TERMS) : 1u << below(rng, TERMS),
        .mode = modes[below(rng, ARRAY_LEN(modes))],
        .fraction = below(rng, 1025),
    };
}

/* Keys low in the table are fought over most. */
static int plan_key(struct seeded_rng *rng)
{
    unsigned a = below(rng, KEYS), b = below(rng, KEYS);

    return (int)MIN(a, b);
}

static struct planned_txn plan_txn(struct seeded_rng *rng, uint64_t *number)
{
    struct planned_txn txn = { .ops_count = below(rng, 2) ? 1 : 1 + below(rng, TXN_OPS) };
    int first = plan_key(rng);

    for (size_t i = 0; i < txn.ops_count; i++)
        txn.ops[i] = plan_op(rng, (first + (int)i * 5) % KEYS, ++*number); /* 5 and 12 have nothing in common */
    if (txn.ops_count > 1 && below(rng, 25) == 0) {
        txn.twice = true;
        txn.ops[1].key = txn.ops[0].key;
        txn.ops[0].kind = txn.ops[1].kind = STORE_PUT;
    }
    return txn;
}

static void plan_read(struct seeded_rng *rng, struct step *step)
{
    step->newest = below(rng, 2);
    step->hold = below(rng, 4) == 0;
    step->held = below(rng, 4) == 0;
    step->queries_count = 1 + below(rng, QUERIES_MAX);
    for (size_t i = 0; i < step->queries_count; i++) {
        struct query *query = &step->queries[i];

        *query = (struct query){ .kind = (enum query_kind)below(rng, QUERY_TIME + 1), .scope = plan_scope(rng) };
        query->key = plan_key(rng);
        if ((query->kind == QUERY_LIST || query->kind == QUERY_COUNT) && below(rng, 2))
            query->key = -1;
        if (query->kind == QUERY_COUNT || query->kind == QUERY_CHANGES)
            query->scope.term = -1;
        query->scope.exact = false;
        query->after = below(rng, 1025);
        query->until = below(rng, 1025);
    }
}

static struct step plan_step(struct seeded_rng *rng, uint64_t *number)
{
    unsigned dice = below(rng, 100);
    struct step step = { .fraction = below(rng, 1025), .slot = (int)below(rng, 2), .scope = plan_scope(rng) };

    if (dice < 45) {
        step.kind = STEP_TXN;
        step.txns_count = below(rng, 4) ? 1 : 1 + below(rng, BURST_MAX);
        for (size_t i = 0; i < step.txns_count; i++)
            step.txns[i] = plan_txn(rng, number);
    } else if (dice < 67) {
        step.kind = STEP_READ;
        plan_read(rng, &step);
    } else if (dice < 95) {
        step.kind = dice < 74 ? STEP_WATCH_OPEN : dice < 93 ? STEP_WATCH_READ : STEP_WATCH_CLOSE;
        step.limit = below(rng, 2) ? 1 + below(rng, 3) : 1000;
    } else {
        step.kind = STEP_COMPACT;
        step.retain = below(rng, 3) == 0;
    }
    return step;
}

static void plan_fault(struct seeded_rng *rng, struct phase *phase)
{
    static const struct disk_fault faults[] = {
        { .call = DISK_WRITE, .error = ENOSPC }, { .call = DISK_WRITE, .error = EIO },
        { .call = DISK_WRITE, .error = 0 },      { .call = DISK_SYNC, .error = EIO },
        { .call = DISK_ROOT, .error = EIO },
    };

    phase->faulty = true;
    phase->fault = faults[below(rng, ARRAY_LEN(faults))];
    phase->fault.after = (int)below(rng, phase->fault.call == DISK_WRITE ? 60 : 20);
    phase->fault.times = below(rng, 2) ? 1 : 1 + (int)below(rng, 6);
}

/* -- on etcd -- */

static struct step plan_net_fault(struct seeded_rng *rng, const struct plan *plan)
{
    static const enum net_fault_kind kinds[] = { NET_CUT, NET_CUT, NET_CUT_AFTER, NET_CUT_AFTER, NET_CUT_AFTER,
                                                 NET_CUT_AFTER, NET_REFUSE, NET_STALL, NET_MUTE, NET_MUTE };
    struct net_fault fault = { .kind = kinds[below(rng, ARRAY_LEN(kinds))], .store = -1, .member = -1 };
    bool lasts = below(rng, 16) == 0;

    if (plan->etcd->bounce && below(rng, 12) == 0)
        fault.kind = NET_MEMBER;
    if (below(rng, 4))
        fault.store = (int)below(rng, (unsigned)plan->stores);
    if (fault.kind == NET_MEMBER || below(rng, 2))
        fault.member = (int)below(rng, 64);
    fault.amount = fault.kind == NET_CUT_AFTER ? below(rng, 3000)
                   : !lasts                    ? 5 + below(rng, 200)
                   : below(rng, 8)             ? 2000 + below(rng, 3000)
                                               : 12000; /* longer than a transaction is waited for */
    return (struct step){ .kind = STEP_FAULT, .fault = fault };
}

/* What comes before a step where the store is one of several. */
static void plan_shared(struct seeded_rng *rng, const struct plan *plan, struct phase *phase, int client)
{
    if (below(rng, 5) == 0)
        INVARIANT(vec_push(&phase->steps[client], ((struct step){ .kind = STEP_SYNC })) == 0);
    if (plan->campaigns && below(rng, 20) == 0)
        INVARIANT(vec_push(&phase->steps[client], ((struct step){ .kind = STEP_RESIGN })) == 0);
    if (phase->faulty && below(rng, 12) == 0)
        INVARIANT(vec_push(&phase->steps[client], plan_net_fault(rng, plan)) == 0);
}

static void plan_init_shared(struct seeded_rng *rng, struct plan *plan)
{
    plan->synchronous = false;
    plan->map_size = 64u << 20;
    plan->phases_count = 1 + below(rng, 3) / 2;
    plan->stores = 2 + (int)below(rng, STORES_MAX - 2);
    plan->campaigns = below(rng, 2);
    plan->fresh = below(rng, 3) == 0;
}

void plan_init(struct plan *plan, uint64_t seed, const struct etcd *etcd)
{
    static const size_t windows[] = { 0, 4, 16, 64 };
    struct seeded_rng rng;
    uint64_t number = 0;

    seeded_rng_init(&rng, seed);
    *plan = (struct plan){ .seed = seed, .etcd = etcd, .stores = 1 };
    plan->clients = 4 + (int)below(&rng, CLIENTS_MAX - 3);
    plan->phases_count = 1 + (int)below(&rng, PHASES_MAX);
    plan->synchronous = below(&rng, 6) == 0;
    plan->event_window = windows[below(&rng, ARRAY_LEN(windows))];
    plan->map_size = below(&rng, 6) ? 64u << 20 : 192u << 10; /* some are soon full */
    bool faults = below(&rng, 4) == 0;
    if (etcd) {
        plan_init_shared(&rng, plan);
        faults = etcd->faults && below(&rng, 3);
    }
    for (int p = 0; p < plan->phases_count; p++) {
        struct phase *phase = &plan->phases[p];

        if (faults && etcd)
            phase->faulty = true;
        else if (faults)
            plan_fault(&rng, phase);
        for (int c = 0; c < plan->clients; c++)
            for (unsigned i = STEPS_MIN + below(&rng, STEPS_MORE); i > 0; i--) {
                if (etcd)
                    plan_shared(&rng, plan, phase, c);
                struct step step = plan_step(&rng, &number);
                for (size_t t = 0; plan->campaigns && t < step.txns_count; t++)
                    step.txns[t].fenced = below(&rng, 3) == 0;
                INVARIANT(vec_push(&phase->steps[c], step) == 0);
            }
    }
}

void plan_deinit(struct plan *plan)
{
    for (int p = 0; p < PHASES_MAX; p++)
        for (int c = 0; c < CLIENTS_MAX; c++)
            vec_deinit(&plan->phases[p].steps[c]);
}
