/* probe.h - liveness, readiness and startup probes, one timer a probe. A change of result wakes the pod. */
#pragma once

#include "kubelet/internal.h"

int prober_new(struct kubelet *kubelet, struct prober **ret_prober, struct err *err);
struct prober *prober_free(struct prober *prober);
/* Begins to probe the slot's running container unless it already does. */
void prober_watch(struct prober *prober, struct pod_sync *sync, struct container_slot *slot);
void prober_forget(struct prober *prober, struct str container_id);
void prober_forget_pod(struct prober *prober, struct str pod_uid);
/* A container that is being stopped is only asked whether it is still ready. */
void prober_stop_killing(struct prober *prober, struct str container_id);
/* A container that is not probed: not started, not ready. */
void prober_get(struct prober *prober, struct str container_id, struct probe_state *ret_state);
struct http_client *prober_http(struct prober *prober);
