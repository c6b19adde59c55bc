/* model_store.c - random concurrent histories on a real store, each judged against a model.
 *
 *   model_store [histories [seed]]           prints "N histories, M operations, 0 violations"
 *   model_store --break [histories [seed]]   spoils sound histories in every way that tamper.c knows, and prints how many
 *                                            of them the checker found
 *
 * The exit status says the same. History i has seed + i. A seed decides what every client does; how their threads
 * interleave is the machine's: a rare failure may want several runs. One that is found is shrunk, and told. */
#include <stdio.h>

#include "tamper.h"

#define NUMBER(n) (unsigned long long)(n)

static uint64_t judge(uint64_t seed, uint64_t *operations)
{
    struct history history = { 0 };
    struct verdict verdict;
    struct plan plan;

    plan_init(&plan, seed);
    plan_judge(&plan, &history, &verdict);
    *operations += history.rows.count;
    if (verdict.bad) {
        fprintf(stderr, "seed %llu: %s\nshrinking...\n", NUMBER(seed), verdict.what);
        plan_shrink(&plan, &history, &verdict);
        history_print(&history, verdict.row);
        fprintf(stderr, "VIOLATION, seed %llu: %s\n", NUMBER(seed), verdict.what);
    }
    history_deinit(&history);
    plan_deinit(&plan);
    return verdict.bad;
}

/* One sound history, spoilt in each way. Returns how many of those were not found. */
static uint64_t spoil(uint64_t seed, struct rng *rng, uint64_t *spoilt)
{
    struct history history = { 0 };
    struct verdict verdict;
    struct plan plan;
    uint64_t missed = 0;

    plan_init(&plan, seed);
    plan_judge(&plan, &history, &verdict);
    for (size_t way = 0; way < tamper_count() && !verdict.bad; way++) {
        struct history copy;
        struct verdict found;

        if (history_copy(&history, &copy) < 0)
            break;
        if (tamper(&copy, way, rng)) {
            ++*spoilt;
            history_check(&copy, &found);
            missed += !found.bad;
            if (!found.bad)
                fprintf(stderr, "MISSED, seed %llu: %s\n", NUMBER(seed), tamper_name(way));
        }
        history_deinit(&copy);
    }
    history_deinit(&history);
    plan_deinit(&plan);
    if (verdict.bad)
        fprintf(stderr, "VIOLATION before anything was spoilt, seed %llu: %s\n", NUMBER(seed), verdict.what);
    return missed + verdict.bad;
}

int main(int argc, char **argv)
{
    uint64_t histories = 100, seed = 1, operations = 0, bad = 0;
    bool spoiling = argc > 1 && strcmp(argv[1], "--break") == 0;
    struct seeded_rng rng;

    argc -= spoiling;
    argv += spoiling;
    if (argc > 3 || (argc > 1 && !str_to_u64(str_from(argv[1]), &histories)) ||
        (argc > 2 && !str_to_u64(str_from(argv[2]), &seed))) {
        fprintf(stderr, "usage: model_store [--break] [histories [seed]]\n");
        return 2;
    }
    seeded_rng_init(&rng, seed);
    for (uint64_t i = 0; i < histories; i++)
        bad += spoiling ? spoil(seed + i, &rng.rng, &operations) : judge(seed + i, &operations);
    printf("%llu histories, %llu %s, %llu %s\n", NUMBER(histories), NUMBER(operations),
           spoiling ? "tamperings" : "operations", NUMBER(bad), spoiling ? "missed" : "violations");
    return bad ? 1 : 0;
}
