/* controllers.h - all controllers of the control plane, started and stopped together.
 *
 * Each is a reconciler over shared informers and a work queue of its own; see controller.h for their common shape. */
#pragma once

#include "client/events.h"
#include "client/informer.h"
#include "client/node_session.h"

struct controllers;

struct controllers_options {
    struct informers *informers; /* all of these outlive the controllers */
    struct client *client;       /* as system:kube-controller-manager */
    struct executor *executor;
    struct rng *rng;
    struct event_recorder *events;
    struct node_sessions *sessions;
    struct str cluster_cidr; /* pod ranges of nodes come from it; unset: "10.42.0.0/16" */
    int node_cidr_bits;      /* 0: 24 */
};

/* Before informers_start(), which must not follow when this fails. Work begins when all informers are synced. */
int controllers_new(const struct controllers_options *options, struct controllers **ret_controllers, struct err *err);
/* Waits for reconciles under way, which look into the informers: after informers_stop(), before informers_free(). */
struct controllers *controllers_free(struct controllers *controllers);
DEFINE_AUTO(controllers, controllers_free)
