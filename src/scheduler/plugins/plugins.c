#include "scheduler/plugins/plugin.h"

const struct plugin plugins[] = {
    { "NodeUnschedulable", node_unschedulable_filter, NULL, 0 },
    { "NodeName", node_name_filter, NULL, 0 },
    { "TaintToleration", taint_filter, taint_score, 3 },
    { "NodeAffinity", node_affinity_filter, node_affinity_score, 2 },
    { "NodePorts", node_ports_filter, NULL, 0 },
    { "NodeResourcesFit", node_resources_filter, node_resources_score, 1 },
};
const size_t plugin_count = ARRAY_LEN(plugins);
