/* options.h - the options of a command, read from its argp tables: for completion and manual pages. */
#pragma once

#include "cli/cli.h"

/* Those of the command, then those of its child parsers; hidden ones are left out. */
void options_each(const struct argp *argp, void (*fn)(void *arg, const struct argp_option *option), void *arg);
/* "--output", "--output=x", "-o", or the last of a cluster, "-it"; NULL: there is none. */
const struct argp_option *option_find(const struct argp *argp, struct str word);
/* The next word of the command line is its value. */
static inline bool option_takes_word(const struct argp_option *option)
{
    return option->arg && !(option->flags & OPTION_ARG_OPTIONAL);
}
/* Its short name, or 0. */
char option_letter(const struct argp_option *option);
