/* main.c - finds the subcommand and runs it. */
#include <malloc.h>
#include <stdio.h>
#include <sys/prctl.h>

#include "cli/cli.h"
#include "base/str.h"

int main(int argc, char **argv)
{
    const char *name = argc > 1 ? argv[1] : NULL;

    /* Two heaps are enough for our threads, and keep the resident size small. */
    mallopt(M_ARENA_MAX, 2);
    prctl(PR_SET_NAME, "caravel"); /* it is "exe" for those that `up` starts */
    if (!name) {
        commands_usage(stderr);
        return 2;
    }
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0 || (strcmp(name, "help") == 0 && argc == 2)) {
        commands_usage(stdout);
        return 0;
    }
    if (strcmp(name, "--version") == 0)
        name = "version";
    argp_err_exit_status = 2;
    if (strcmp(name, "help") == 0)
        name = argv[2];
    const struct command *command = command_find(name);

    if (command && strcmp(argv[1], "help") == 0)
        return command->run(2, (char *[]){ argv[2], (char[]){ "--help" }, NULL });
    if (command)
        return command->run(argc - 1, argv + 1);
    fprintf(stderr, "caravel: there is no command \"%s\"; see caravel --help\n", name);
    return 2;
}
