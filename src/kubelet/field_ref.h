/* field_ref.h - values of the downward API: fields of the pod and resources of its containers, as text. */
#pragma once

#include "kubelet/internal.h"

/* metadata.name, metadata.labels['x'], status.podIP, ... ERR_INVALID for a path that is not supported. The value is in
 * the arena. */
int field_ref_value(struct pod_sync *sync, struct str path, struct str *ret_value, struct err *err);
/* limits.cpu, requests.memory, ... of the named container (unset: own); a limit that is not set is the node's capacity.
 */
int resource_ref_value(struct pod_sync *sync, const struct container *own, const struct resource_field_selector *ref,
                       struct str *ret_value, struct err *err);
