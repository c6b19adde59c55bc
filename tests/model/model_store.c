/* model_store.c - random concurrent histories on a real store, each judged against a model.
 *
 *   model_store [OPTION...] [histories [seed]]   prints "N histories, M operations, 0 violations"
 *
 *   --break           spoils sound histories in every way that tamper.c knows, and prints how many the checker found
 *   --etcd ENDPOINTS  several stores on this etcd ("host:port,..."), each history below a prefix of its own
 *   --tls FOLDER      with ca.crt, client.crt and client.key
 *   --faults          connections to etcd are cut, stall and lose answers
 *   --bounce COMMAND  with --faults: kills the member whose number is added to the command, and starts it again
 *
 * The exit status says the same. History i has seed + i. A seed decides what every client does; how their threads
 * interleave is the machine's: a rare failure may want several runs. One that is found is shrunk, and told. */
#include <getopt.h>
#include <stdio.h>

#include "tamper.h"

#define NUMBER(n) (unsigned long long)(n)

/* What faults have come to. */
struct tally {
    uint64_t operations, unavailable, unknown, made, syncs_failed, terms;
};

static void count_rows(struct tally *tally, const struct history *history)
{
    tally->operations += history->rows.count;
    vec_each (&history->rows, row) {
        bool commit = row->kind == ROW_COMMIT, unknown = commit && row->code == -ERR_TIMEOUT;

        tally->unavailable += commit && row->code == -ERR_UNAVAILABLE;
        tally->unknown += unknown;
        tally->made += unknown && row->revision > 0;
        tally->syncs_failed += row->kind == ROW_SYNC && row->code < 0;
        tally->terms += row->kind == ROW_LED;
    }
}

static uint64_t judge(uint64_t seed, const struct etcd *etcd, struct tally *tally)
{
    struct history history = { 0 };
    struct verdict verdict;
    struct plan plan;

    plan_init(&plan, seed, etcd);
    plan_judge(&plan, &history, &verdict);
    count_rows(tally, &history);
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
static uint64_t spoil(uint64_t seed, const struct etcd *etcd, struct rng *rng, uint64_t *spoilt)
{
    struct history history = { 0 };
    struct verdict verdict;
    struct plan plan;
    uint64_t missed = 0;

    plan_init(&plan, seed, etcd);
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

struct arguments {
    struct etcd etcd;
    bool spoiling;
    uint64_t histories, seed;
};

static bool parse(int argc, char **argv, struct arguments *ret_arguments)
{
    static const struct option options[] = {
        { "break", no_argument, NULL, 'b' },     { "etcd", required_argument, NULL, 'e' },
        { "tls", required_argument, NULL, 't' }, { "faults", no_argument, NULL, 'f' },
        { "bounce", required_argument, NULL, 'k' }, { 0 },
    };
    struct arguments a = { .histories = 100, .seed = 1 };

    for (int option; (option = getopt_long(argc, argv, "", options, NULL)) >= 0;)
        switch (option) {
        case 'b': a.spoiling = true; break;
        case 'e': a.etcd.endpoints = optarg; break;
        case 't': a.etcd.folder = optarg; break;
        case 'f': a.etcd.faults = true; break;
        case 'k': a.etcd.bounce = optarg; break;
        default: return false;
        }
    if (argc - optind > 2 || (argc > optind && !str_to_u64(str_from(argv[optind]), &a.histories)) ||
        (argc > optind + 1 && !str_to_u64(str_from(argv[optind + 1]), &a.seed)))
        return false;
    *ret_arguments = a;
    return true;
}

int main(int argc, char **argv)
{
    struct tally tally = { 0 };
    struct arguments a;
    struct seeded_rng rng;
    uint64_t bad = 0;

    if (!parse(argc, argv, &a)) {
        fprintf(stderr, "usage: model_store [--break] [--etcd ENDPOINTS [--tls FOLDER] [--faults [--bounce COMMAND]]] "
                        "[histories [seed]]\n");
        return 2;
    }
    const struct etcd *etcd = a.etcd.endpoints ? &a.etcd : NULL;
    seeded_rng_init(&rng, a.seed);
    for (uint64_t i = 0; i < a.histories; i++)
        bad += a.spoiling ? spoil(a.seed + i, etcd, &rng.rng, &tally.operations) : judge(a.seed + i, etcd, &tally);
    printf("%llu histories, %llu %s, %llu %s\n", NUMBER(a.histories), NUMBER(tally.operations),
           a.spoiling ? "tamperings" : "operations", NUMBER(bad), a.spoiling ? "missed" : "violations");
    if (etcd && !a.spoiling)
        printf("%llu terms; %llu transactions refused, %llu of unknown outcome (%llu made), %llu syncs failed\n",
               NUMBER(tally.terms), NUMBER(tally.unavailable), NUMBER(tally.unknown), NUMBER(tally.made),
               NUMBER(tally.syncs_failed));
    return bad ? 1 : 0;
}
