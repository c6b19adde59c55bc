/* tamper.h - histories made wrong on purpose: the checker must find each. */
#pragma once

#include "checker.h"

/* How many ways there are, and their names. */
size_t tamper_count(void);
const char *tamper_name(size_t way);
/* Changes one place of a sound history, so that no store can have shown it. false: it has no such place. */
bool tamper(struct history *history, size_t way, struct rng *rng);

/* shrink.c: leaves out of the plan all that a run can fail without. It runs the plan often: a failure that needs a rare
 * interleaving may survive less. The last failing run and its verdict are in ret_history and ret_verdict. */
void plan_shrink(struct plan *plan, struct history *ret_history, struct verdict *ret_verdict);
/* One run and its verdict; a machine or a damaged file that failed it is one, too. */
void plan_judge(const struct plan *plan, struct history *history, struct verdict *ret_verdict);
