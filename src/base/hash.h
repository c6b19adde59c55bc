/* hash.h - a hash of strings that strangers may choose: for tables in memory, not for what is kept or sent.
 *
 * It is keyed with a secret that is drawn anew by each process, so that nobody outside can choose keys that meet in one
 * slot. Any thread. */
#pragma once

#include "base/str.h"

uint64_t hash_str(struct str s);
/* For simulations that must replay, in which the order of a map may show: before other threads and any table. */
void hash_set_secret(uint64_t a, uint64_t b);
