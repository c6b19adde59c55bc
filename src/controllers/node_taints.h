/* node_taints.h - which taints a node should have, and for how long a pod stands them. Pure functions. */
#pragma once

#include "api/core_v1.h"
#include "base/arena.h"
#include "base/err.h"

const struct node_condition *node_condition_of(const struct node *node, struct str type); /* or NULL */

/* The taints of a node as its conditions and spec.unschedulable ask for, beside those that are not ours. no_execute:
 * also those that drive pods away. Taints that stay keep their time; NoExecute ones without a time get `now`.
 * *ret_changed: whether anything differs from what the node has. */
int node_wanted_taints(const struct node *node, bool no_execute, nsec_t now, struct arena *arena,
                       struct taint_array *ret_taints, bool *ret_changed, struct err *err);
bool node_has_no_execute(const struct node *node);
/* Whether its condition Ready asks for a NoExecute taint that it has not. */
bool node_lacks_no_execute(const struct node *node);

#define EVICT_NEVER INT64_MAX
/* When the pod must leave because of the node's NoExecute taints, in Unix time; EVICT_NEVER: it may stay. */
nsec_t pod_eviction_time(const struct pod *pod, const struct taint_array *taints, nsec_t now);
