/* node_status.h - the Node object: registration, status, and the heartbeats that keep it Ready. */
#pragma once

#include "kubelet/internal.h"

/* Creates the Node or takes over the one that is there, and writes its status. Blocks; retries until the API answers or
 * timeout. */
int node_register(struct kubelet *kubelet, nsec_t timeout, struct err *err);
/* The pod range that the control plane gave this node; ERR_NOT_FOUND: none yet. In the arena. */
int node_pod_cidr(struct kubelet *kubelet, struct arena *arena, struct str *ret_cidr, struct err *err);

/* Heartbeats each second, the status every minute or when it changed. */
int node_reporter_new(struct kubelet *kubelet, struct node_reporter **ret_reporter, struct err *err);
struct node_reporter *node_reporter_free(struct node_reporter *reporter);
