/* replicas.h - keeping a number of equal pods: what replica sets and replication controllers have in common. */
#pragma once

#include "api/apps_v1.h"
#include "api/core_v1.h"
#include "controllers/controller.h"
#include "schema/selector.h"

/* One of them, as the reconciler sees it; slices and pointers into the object and the arena. */
struct replicas {
    const struct object *object;
    const struct selector *selector;
    const struct pod_template_spec *template;
    int32_t wanted, min_ready_seconds;
    struct replica_set_status status;
};

struct replica_kind {
    const struct resource *resource;
    int (*read)(const struct object *object, struct arena *arena, struct replicas *ret_replicas, struct err *err);
    /* Whether the selector chooses these labels; cheap, for events. */
    bool (*selects)(const struct object *object, struct str_map labels);
    int (*write_status)(struct controller *self, const struct replicas *replicas,
                        const struct replica_set_status *status, struct str rule, struct arena *arena, struct err *err);
};

struct replicas_controller {
    struct controller base;
    const struct replica_kind *kind;
};

enum { REPLICAS_SETS, REPLICAS_PODS };
/* Rows of the watch table. */
#define REPLICAS_SETS_INDEXES (INDEX_NAMESPACE | INDEX_CONTROLLER)
#define REPLICAS_PODS_INDEXES (INDEX_CONTROLLER | INDEX_ORPHAN)

void replicas_pod_changed(struct controller *controller, struct object *old, struct object *new);
int replicas_reconcile(struct controller *controller, struct str key, struct arena *arena, struct err *err);
