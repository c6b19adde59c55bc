/* pod_ranking.h - which pods go first when there are too many. */
#pragma once

#include "base/clock.h"
#include "client/informer.h"

/* Sorts pods so that those to be deleted come first: unassigned before assigned, pending before unknown before running,
 * not ready before ready, lower deletion cost, more fellows on the same node, ready more recently, more restarts,
 * younger, uid. Times count by order of magnitude only, so that it is not always the youngest that go.
 *
 * fellows: pods of the same kind, these among them; those of one node are counted. */
void pods_rank_for_deletion(struct object **pods, size_t count, const struct object_list *fellows, nsec_t now);

/* The annotation controller.kubernetes.io/pod-deletion-cost; 0 when absent or not a number. */
int32_t pod_deletion_cost(const struct object *pod);
