/* shipper.h - --backup-to: the store's changes go to another place every few seconds. Runs on the executor. */
#pragma once

#include "base/executor.h"
#include "cli/cli.h"
#include "store/store.h"

struct shipper;

/* Starts; what is handed in must outlive it. Troubles go to the log. ERR_BAD_REQUEST and others: that is no place. */
int shipper_new(struct executor *executor, struct store *store, const struct instance *instance, const char *where,
                struct shipper **ret_shipper, struct err *err);
/* last_round: sends what has changed since the one before, if that went well; as slow as the place is. */
struct shipper *shipper_free(struct shipper *shipper, bool last_round);
