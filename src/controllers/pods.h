/* pods.h - what controllers ask of a pod. */
#pragma once

#include "api/core_v1.h"
#include "client/object.h"

static inline const struct pod *pod_of(const struct object *object)
{
    return OBJECT_VIEW(object, pod);
}

/* Runs or will run: neither ended nor being deleted. */
bool pod_is_active(const struct pod *pod);
bool pod_has_ended(const struct pod *pod);
const struct pod_condition *pod_condition_of(const struct pod *pod, struct str type); /* or NULL */
bool pod_shows_ready(const struct pod *pod);
nsec_t pod_ready_since(const struct pod *pod); /* 0: not ready, or not known */
/* Ready for min_ready_seconds; else *ret_wait, if not NULL, gets the time until then, 0 when that is not foreseeable.
 */
bool pod_is_available(const struct pod *pod, int32_t min_ready_seconds, nsec_t now, nsec_t *ret_wait);
/* All its containers are, and so are its readiness gates. */
bool pod_containers_are_ready(const struct pod *pod);
int64_t pod_restarts(const struct pod *pod);
