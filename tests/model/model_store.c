/* model_store.c - random concurrent histories on a real store, each judged against a model.
 *
 *   model_store [histories [seed]]     prints "N histories, M operations, 0 violations"; the exit status says the same
 *
 * History i has seed + i. A seed decides what every client does; how their threads interleave is the machine's. */
#include <stdio.h>

#include "checker.h"
#include "client.h"

static int run_one(uint64_t seed, uint64_t *operations)
{
    struct history history = { 0 };
    struct verdict verdict;
    struct plan plan;
    struct err err = { 0 };
    int bad = 0;

    plan_init(&plan, seed);
    if (plan_run(&plan, &history, &err) < 0) {
        fprintf(stderr, "VIOLATION, seed %llu: %s\n", (unsigned long long)seed, err.message);
        bad = 1;
    } else {
        history_check(&history, &verdict);
        bad = verdict.bad;
    }
    if (bad && err.code == ERR_NONE) {
        history_print(&history, verdict.row);
        fprintf(stderr, "VIOLATION, seed %llu: %s\n", (unsigned long long)seed, verdict.what);
    }
    *operations += history.rows.count;
    history_deinit(&history);
    plan_deinit(&plan);
    return bad;
}

int main(int argc, char **argv)
{
    uint64_t histories = 100, seed = 1, operations = 0, bad = 0;

    if ((argc > 1 && !str_to_u64(str_from(argv[1]), &histories)) ||
        (argc > 2 && !str_to_u64(str_from(argv[2]), &seed))) {
        fprintf(stderr, "usage: model_store [histories [seed]]\n");
        return 2;
    }
    for (uint64_t i = 0; i < histories; i++)
        bad += (uint64_t)run_one(seed + i, &operations);
    printf("%llu histories, %llu operations, %llu violations\n", (unsigned long long)histories,
           (unsigned long long)operations, (unsigned long long)bad);
    return bad ? 1 : 0;
}
