/* ephemeral.h - containers that were added to a running pod to look into it. */
#pragma once

#include "kubelet/internal.h"

/* The same as a container like any other; shares what it points to. NULL without memory. */
const struct container *ephemeral_container_spec(struct arena *arena, const struct ephemeral_container *ephemeral);
/* The process whose processes it shall see; 0: its own alone. ERR_NOT_FOUND: that container does not run. */
int ephemeral_target(const struct pod_sync *sync, const struct container_slot *slot, pid_t *ret_pid, struct err *err);
