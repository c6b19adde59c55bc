/* plugin.h - filters and scores: one file each, one row each in the table of plugins.c. They only read. */
#pragma once

#include "base/buf.h"
#include "scheduler/cluster.h"

struct candidate {
    const struct pod *pod;
    const struct demand *demand;
};

/* True: the node may take the pod. Otherwise the reason, as FailedScheduling tells it, is appended. */
typedef bool filter_fn(const struct candidate *candidate, const struct node_row *row, struct buf *reason);
/* 0 to 100, more is better. */
typedef int64_t score_fn(const struct candidate *candidate, const struct node_row *row);

struct plugin {
    const char *name; /* Kubernetes' name of it */
    filter_fn *filter;
    score_fn *score;
    int weight;
};
extern const struct plugin plugins[];
extern const size_t plugin_count;

filter_fn node_name_filter, node_unschedulable_filter, taint_filter, node_affinity_filter, node_ports_filter,
    node_resources_filter;
score_fn taint_score, node_affinity_score, node_resources_score;

static inline const struct node *row_node(const struct node_row *row)
{
    return OBJECT_VIEW(row->object, node);
}
