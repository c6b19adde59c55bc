/* cluster.h - the scheduler's picture of the cluster: what every node offers and what is taken of it.
 *
 * Kept by events, each at the cost of what it changes. One lock's holder at a time (scheduler.c). */
#pragma once

#include "base/map.h"
#include "base/vec.h"
#include "client/object.h"
#include "scheduler/demand.h"

struct placed_pod {
    struct str key; /* "ns/name", of the object */
    struct object *object;
    struct demand demand;
    struct node_row *node; /* NULL: its node is not known (yet) */
    bool assumed;          /* by us; the API has not said so yet */
    struct str node_name;
    struct arena arena;
};

struct node_row {
    struct str name;
    struct object *object; /* NULL: pods name it, but it is not in the API */
    struct amounts allocatable, used;
    VEC(struct placed_pod *) pods;
    char text[];
};

struct cluster {
    struct map nodes;     /* name -> struct node_row */
    VEC(struct node_row *) rows; /* those with an object, for walking */
    struct map pods;      /* key -> struct placed_pod */
};

void cluster_init(struct cluster *cluster);
void cluster_deinit(struct cluster *cluster);

/* object NULL: the node is gone. -1 without memory. */
int cluster_set_node(struct cluster *cluster, struct str name, struct object *object);
/* The pod takes its part of that node until it is removed; replaces what was known of it. */
int cluster_place(struct cluster *cluster, struct object *pod, struct str node, bool assumed);
void cluster_remove_pod(struct cluster *cluster, struct str key);
struct placed_pod *cluster_pod(const struct cluster *cluster, struct str key);
