/* cycle.h - one pod, all nodes: which is the best, or why none will do. */
#pragma once

#include "scheduler/cluster.h"

struct verdict {
    struct node_row *node;  /* NULL: none fits */
    struct str message;     /* then: "0/3 nodes are available: 2 Insufficient cpu, 1 node(s) ..." (in the arena) */
};

/* turn: where among equals to begin, so that they take turns. -1 without memory. */
int cycle_run(struct arena *arena, const struct cluster *cluster, const struct pod *pod, size_t turn,
              struct verdict *ret_verdict);
