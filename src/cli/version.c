/* version.c - caravel version. */
#include <errno.h>
#include <stdio.h>

#include "cli/cli.h"

static error_t parse(int key, char *value, struct argp_state *state)
{
    if (key != ARGP_KEY_ARG)
        return ARGP_ERR_UNKNOWN;
    argp_error(state, "unexpected argument \"%s\"", value);
    return EINVAL;
}

const struct argp version_argp = {
    NULL, parse, NULL, "Prints the version of this program and of the API that it speaks.", NULL, NULL, NULL,
};

int version_main(int argc, char **argv)
{
    if (cli_parse(&version_argp, argc, argv, NULL) != 0)
        return 2;
    printf("caravel %s, Kubernetes API v1.33\n", CARAVEL_VERSION);
    return 0;
}
