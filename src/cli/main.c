/* main.c - finds the subcommand and runs it. */
#include <malloc.h>
#include <stdio.h>
#include <sys/prctl.h>

#include "cli/cli.h"
#include "base/str.h"

static void usage(FILE *out)
{
    fprintf(out, "Usage: caravel COMMAND [OPTION...]\n\nCommands:\n");
    for (size_t i = 0; i < command_count; i++)
        fprintf(out, "  %-10s %s\n", commands[i].name, commands[i].summary);
    fprintf(out, "\n'caravel COMMAND --help' tells the options of one.\n");
}

int main(int argc, char **argv)
{
    const char *name = argc > 1 ? argv[1] : NULL;

    /* Two heaps are enough for our threads, and keep the resident size small. */
    mallopt(M_ARENA_MAX, 2);
    prctl(PR_SET_NAME, "caravel"); /* it is "exe" for those that `up` starts */
    if (!name) {
        usage(stderr);
        return 2;
    }
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0 || strcmp(name, "help") == 0) {
        usage(stdout);
        return 0;
    }
    if (strcmp(name, "--version") == 0)
        name = "version";
    argp_err_exit_status = 2;
    for (size_t i = 0; i < command_count; i++)
        if (strcmp(commands[i].name, name) == 0)
            return commands[i].run(argc - 1, argv + 1);
    fprintf(stderr, "caravel: there is no command \"%s\"; see caravel --help\n", name);
    return 2;
}
