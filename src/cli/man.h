/* man.h - manual pages, made of the table of commands and their argp tables. */
#pragma once

#include "base/buf.h"
#include "cli/cli.h"

/* command: NULL for caravel(1) itself. */
void man_write(struct buf *buf, const struct command *command);
