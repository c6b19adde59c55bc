/* capability.h - Linux capabilities as sets of bits. Pure; any thread. */
#pragma once

#include "base/err.h"
#include "base/str.h"

/* What container runtimes give by default. */
#define CAPABILITIES_DEFAULT 0x00000000a80425fbULL
#define CAPABILITY_COUNT 41
#define CAPABILITIES_ALL ((1ULL << CAPABILITY_COUNT) - 1)

/* "CAP_KILL" by number, NULL beyond the last. */
const char *capability_name(unsigned number);
/* With or without CAP_, any case; "ALL" is all of them. ERR_INVALID when unknown. */
int capability_parse(struct str name, uint64_t *ret_bits, struct err *err);
