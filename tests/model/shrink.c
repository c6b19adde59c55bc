/* shrink.c - a plan that fails, made short. Whole clients go first, then halves of what a client does, then quarters,
 * down to single steps; what a run still fails without stays out. */
#include <stdio.h>

#include "client.h"
#include "tamper.h"

#define TRIES 6      /* of each shorter plan: interleavings differ */
#define RUNS_MAX 1500 /* in all */

void plan_judge(const struct plan *plan, struct history *history, struct verdict *ret_verdict)
{
    struct err err = { 0 };

    if (plan_run(plan, history, &err) == 0) {
        history_check(history, ret_verdict);
        return;
    }
    *ret_verdict = (struct verdict){ .bad = true, .row = history->rows.count };
    snprintf(ret_verdict->what, sizeof ret_verdict->what, "%s", err.message);
}

struct shrinker {
    struct plan *plan;
    struct history *history;
    struct verdict *verdict;
    unsigned runs;
};

static bool still_fails(struct shrinker *s)
{
    for (int i = 0; i < TRIES && s->runs < RUNS_MAX; i++, s->runs++) {
        struct history history = { 0 };
        struct verdict verdict;

        plan_judge(s->plan, &history, &verdict);
        if (verdict.bad) {
            history_deinit(s->history);
            *s->history = history;
            *s->verdict = verdict;
            return true;
        }
        history_deinit(&history);
    }
    return false;
}

/* Leaves out the steps [from, from + count) of a client in a phase; back they come when it does not fail any more. */
static void try_without(struct shrinker *s, int phase, int client, size_t from, size_t count)
{
    struct step *steps = s->plan->phases[phase].steps[client].items;
    size_t end = MIN(from + count, s->plan->phases[phase].steps[client].count);
    uint64_t there = 0; /* bits; a client has fewer than 64 steps */

    for (size_t i = from; i < end; i++) {
        there |= (uint64_t)!steps[i].skip << i;
        steps[i].skip = true;
    }
    if (there == 0 || still_fails(s))
        return;
    for (size_t i = from; i < end; i++)
        steps[i].skip = !(there >> i & 1);
}

void plan_shrink(struct plan *plan, struct history *ret_history, struct verdict *ret_verdict)
{
    struct shrinker s = { plan, ret_history, ret_verdict, 0 };

    for (size_t count = 64; count > 0; count /= 2)
        for (int phase = 0; phase < plan->phases_count; phase++)
            for (int client = 0; client < plan->clients; client++)
                for (size_t from = 0; from < plan->phases[phase].steps[client].count; from += count)
                    try_without(&s, phase, client, from, count);
}
