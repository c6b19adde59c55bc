/* version.c - caravel version. */
#include <stdio.h>

#include "cli/cli.h"

int version_main(int argc, char **argv)
{
    if (argc > 1)
        return cli_usage_error("version", "unexpected argument \"%s\"", argv[1]);
    printf("caravel %s, Kubernetes API v1.33\n", CARAVEL_VERSION);
    return 0;
}
