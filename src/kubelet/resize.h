/* resize.h - a running pod whose containers are given more or less cpu and memory.
 *
 * What was given to a container last is remembered beside it; after a restart of the agent it is what the API says. */
#pragma once

#include "kubelet/internal.h"

/* Compares what the pod asks for with what its running containers have, and brings them there: at once, by a restart of
 * those whose policy wants one, or not yet, when the node has no room (the conditions say why). */
int resize_pod(struct pod_sync *sync, struct err *err);
/* What counts for this container now: its spec, or what it had before a resize for which there is no room. */
const struct container *resize_effective(const struct pod_sync *sync, const struct container_slot *slot);
/* It was started with that. */
void resize_note_start(const struct pod_sync *sync, struct container_slot *slot);
/* What it has (status.resources); the effective one when that is not known. */
const struct resource_requirements *resize_actual(const struct pod_sync *sync, const struct container_slot *slot);

enum { RESIZE_PENDING, RESIZE_IN_PROGRESS, RESIZE_CONDITIONS };
extern const char *const resize_condition_types[RESIZE_CONDITIONS];
/* False: the pod has no such condition now. */
bool resize_condition(const struct pod_sync *sync, int which, const char **ret_reason, const char **ret_message);

/* For tests: is there room for the pod's requests (milli-CPU, bytes) beside those of others? NULL: yes, else the
 * condition's reason; message has room for 256 bytes. */
struct resize_room {
    int64_t cpu, memory;
};
const char *resize_verdict(const struct resize_room *wanted, const struct resize_room *used,
                           const struct resize_room *node, char *message);
