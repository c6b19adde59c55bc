/* resources.h - requests and limits as the runtime wants them, and the quality-of-service class they give a pod. */
#pragma once

#include "api/core_v1.h"
#include "kubelet/runtime/oci_spec.h"

struct oci_resources container_resources(const struct container *container);
/* Of the whole pod: sums, or the largest init container. A limit only when every container has one. */
struct oci_resources pod_resources(const struct pod *pod);
const char *pod_quality_class(const struct pod *pod); /* "Guaranteed", "Burstable", "BestEffort" */
/* As kubelet: -997 guaranteed, 1000 best effort, by share of the node's memory between. */
int container_oom_score_adj(const struct pod *pod, const struct container *container, int64_t node_memory);
struct str resource_value(const struct str_map *map, const char *name); /* STR_NULL when absent */
