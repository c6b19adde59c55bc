/* upkeep.h - what a server's store needs now and then: that old history is forgotten. Runs on the executor. */
#pragma once

#include "base/executor.h"
#include "store/store.h"

struct upkeep;

/* Starts; executor and store must outlive it. Troubles go to the log. */
int upkeep_new(struct executor *executor, struct store *store, const struct store_retention *retention,
               struct upkeep **ret_upkeep, struct err *err);
struct upkeep *upkeep_free(struct upkeep *upkeep); /* waits for a round under way */

/* --history 24h and --history-size 2GiB; "0" is no limit. What is neither is argp's error. */
struct argp_state;
void retention_parse_age(struct argp_state *state, const char *text, struct store_retention *retention);
void retention_parse_bytes(struct argp_state *state, const char *text, struct store_retention *retention);
