/* passphrase.h - the passphrase of backups: from a file, the environment or the terminal. */
#pragma once

#include "base/arena.h"
#include "base/err.h"

#define PASSPHRASE_VARIABLE "CARAVEL_PASSPHRASE"

/* From the file (its first line) if there is one, else from the environment; ret_passphrase->data is NULL when there is
 * neither. ERR_INVALID: it is empty. */
int passphrase_given(struct arena *arena, const char *file, struct str *ret_passphrase, struct err *err);
/* The same, and asks at the terminal when nothing is given; twice if it is to be a new one. */
int passphrase_get(struct arena *arena, const char *file, bool is_new, struct str *ret_passphrase, struct err *err);
