/* scheduler.h - gives pods without a node one: filters, scores, binds.
 *
 * Runs on the executor; one pass at a time. Sees the cluster through informers shared with the rest of the process. */
#pragma once

#include "client/events.h"
#include "client/informer.h"

struct scheduler;

struct scheduler_options {
    struct informers *informers; /* all of these outlive the scheduler */
    struct client *client;       /* as system:kube-scheduler */
    struct executor *executor;
    struct rng *rng;
    struct event_recorder *events;
    struct str name;             /* unset: "default-scheduler" */
};

/* Before informers_start(). Work begins when all informers are synced. */
int scheduler_new(const struct scheduler_options *options, struct scheduler **ret_scheduler, struct err *err);
/* Waits for bindings under way, which look into the informers: after informers_stop(), before informers_free(). */
struct scheduler *scheduler_free(struct scheduler *scheduler);
DEFINE_AUTO(scheduler, scheduler_free)
