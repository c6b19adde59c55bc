/* store_bench.h - how fast a store takes writes of small objects. */
#pragma once

#include "store/store.h"

/* Writes for about so many seconds with so many under way; writes per second. */
double bench_commits(struct store *store, int in_flight, double seconds);
