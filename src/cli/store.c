/* store.c - caravel store check: is what is on disk whole? Also while the server runs. */
#include <stdio.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/store_options.h"
#include "store/check.h"

struct arguments {
    struct instance_options common;
    const char *action;
};

static error_t parse(int key, char *value, struct argp_state *state)
{
    struct arguments *arguments = state->input;

    switch (key) {
    case ARGP_KEY_INIT: state->child_inputs[0] = &arguments->common; return 0;
    case ARGP_KEY_ARG:
        if (arguments->action)
            argp_error(state, "unexpected argument \"%s\"", value);
        arguments->action = value;
        return 0;
    default: return ARGP_ERR_UNKNOWN;
    }
}

const struct argp store_argp = {
    NULL, parse, "check",
    "Looks after the store of a cluster.\v"
    "check reads everything once and compares it: checksums, links, indexes, sums. It changes nothing, and a server may "
    "be running meanwhile.\n\nExample:\n  caravel store check --instance caravel",
    instance_children, NULL, NULL,
};

static void print_problem(void *ctx, struct str message)
{
    printf("damaged: " STR_FMT "\n", STR_ARG(message));
}

static void print_progress(void *ctx, uint64_t done, uint64_t total)
{
    fprintf(stderr, "\r%3.0f %% of %llu records", total ? 100.0 * (double)done / (double)total : 100.0,
            (unsigned long long)total);
}

static int check(const struct instance *instance)
{
    bool people = isatty(STDERR_FILENO);
    const struct store_check_events events = { NULL, print_problem, people ? print_progress : NULL };
    struct store_check_report report;
    char path[INSTANCE_PATH_MAX];
    struct err err = { 0 };
    int code = store_check(store_folder(instance, path), &events, &report, &err);

    if (people)
        fprintf(stderr, "\r%40s\r", "");
    if (code < 0)
        return cli_fail(&err);
    printf("%llu records, %llu keys, %.1f MB, revisions %llu to %llu: ", (unsigned long long)report.records,
           (unsigned long long)report.keys, (double)report.bytes / 1e6, (unsigned long long)report.floor,
           (unsigned long long)report.revision);
    if (report.problems == 0) {
        puts("no damage");
        return 0;
    }
    printf("%llu problems\n", (unsigned long long)report.problems);
    if (report.problems > STORE_CHECK_PROBLEMS_MAX)
        printf("(the first %d are shown)\n", STORE_CHECK_PROBLEMS_MAX);
    return 1;
}

int store_main(int argc, char **argv)
{
    struct arguments arguments = { 0 };
    struct instance instance;
    struct err err = { 0 };

    if (cli_parse(&store_argp, argc, argv, &arguments) != 0)
        return 2;
    if (!arguments.action || strcmp(arguments.action, "check") != 0)
        return cli_usage_error("store", "check is what can be done, not \"%s\"", arguments.action ? arguments.action : "");
    if (instance_resolve(&arguments.common, &instance, &err) < 0) {
        cli_fail(&err);
        return 2;
    }
    return check(&instance);
}
