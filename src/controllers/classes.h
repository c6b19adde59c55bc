/* classes.h - all controllers there are; controllers.c walks them. */
#pragma once

#include "controllers/controller.h"

extern const struct controller_class deployment_controller, replicaset_controller, replicationcontroller_controller,
    garbage_collector, namespace_controller, serviceaccount_controller, node_lifecycle_controller, node_ipam_controller,
    pod_gc_controller, disruption_controller;
