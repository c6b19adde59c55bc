/* quantity.h - resource.Quantity: decimal numbers with SI, binary or exponent suffix. Exact in nanos, with any
 * count of digits; what is finer rounds up (away from zero). Magnitudes saturate at 10^29, those with a binary suffix
 * at 2^63 - 1. */
#pragma once

#include "base/arena.h"
#include "base/err.h"

struct quantity {
    __int128 nano; /* value * 10^9 */
    enum { QUANTITY_DECIMAL_SI, QUANTITY_BINARY_SI, QUANTITY_DECIMAL_EXPONENT } format;
};

/* False when it is not one; the number must have a digit. */
bool quantity_parse(struct str text, struct quantity *ret_quantity);
/* Canonical form ("1500m", "1Gi"). */
struct str quantity_text(struct arena *arena, struct quantity quantity);
int quantity_cmp(struct quantity a, struct quantity b);
/* In units, in thousandths: rounded up (away from zero), saturating. Unset or malformed text counts as 0. */
int64_t quantity_value(struct str text);
int64_t quantity_milli(struct str text);
