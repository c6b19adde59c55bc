/* quantity.h - resource.Quantity: decimal numbers with SI, binary or exponent suffix. Exact up to 18 digits; finer than nano
 * rounds up, as Kubernetes does. */
#pragma once

#include "base/arena.h"
#include "base/err.h"

struct quantity {
    __int128 nano; /* value * 10^9 */
    enum { QUANTITY_DECIMAL_SI, QUANTITY_BINARY_SI, QUANTITY_DECIMAL_EXPONENT } format;
};

bool quantity_parse(struct str text, struct quantity *ret_quantity);
/* Canonical form ("1500m", "1Gi"). */
struct str quantity_text(struct arena *arena, struct quantity quantity);
int quantity_cmp(struct quantity a, struct quantity b);
/* Rounded up, saturating. Unset or malformed text counts as 0. */
int64_t quantity_value(struct str text);
int64_t quantity_milli(struct str text);
