#include "controllers/pods.h"

bool pod_has_ended(const struct pod *pod)
{
    return str_is(pod->status.phase, "Succeeded") || str_is(pod->status.phase, "Failed");
}

bool pod_is_active(const struct pod *pod)
{
    return !pod_has_ended(pod) && !pod->metadata.deletion_timestamp.set;
}

const struct pod_condition *pod_condition_of(const struct pod *pod, struct str type)
{
    for (size_t i = 0; i < pod->status.conditions.count; i++)
        if (str_eq(pod->status.conditions.items[i].type, type))
            return &pod->status.conditions.items[i];
    return NULL;
}

bool pod_shows_ready(const struct pod *pod)
{
    const struct pod_condition *ready = pod_condition_of(pod, STR("Ready"));

    return ready && str_is(ready->status, "True");
}

nsec_t pod_ready_since(const struct pod *pod)
{
    return pod_shows_ready(pod) ? pod_condition_of(pod, STR("Ready"))->last_transition_time.unix_nsec : 0;
}

bool pod_is_available(const struct pod *pod, int32_t min_ready_seconds, nsec_t now, nsec_t *ret_wait)
{
    nsec_t since = pod_ready_since(pod), due;

    if (ret_wait)
        *ret_wait = 0;
    if (!pod_shows_ready(pod))
        return false;
    if (min_ready_seconds == 0)
        return true;
    if (!since || __builtin_add_overflow(since, min_ready_seconds * NSEC_PER_SEC, &due))
        return false;
    if (due > now && ret_wait)
        *ret_wait = due - now;
    return due <= now;
}

bool pod_containers_are_ready(const struct pod *pod)
{
    for (size_t i = 0; i < pod->status.container_statuses.count; i++)
        if (!pod->status.container_statuses.items[i].ready)
            return false;
    for (size_t i = 0; i < pod->spec.readiness_gates.count; i++) {
        const struct pod_condition *gate = pod_condition_of(pod, pod->spec.readiness_gates.items[i].condition_type);

        if (!gate || !str_is(gate->status, "True"))
            return false;
    }
    return pod->status.container_statuses.count > 0;
}

static int64_t restarts_of(const struct container_status_array *statuses)
{
    int64_t count = 0;

    for (size_t i = 0; i < statuses->count; i++)
        count += statuses->items[i].restart_count;
    return count;
}

int64_t pod_restarts(const struct pod *pod)
{
    return restarts_of(&pod->status.container_statuses) + restarts_of(&pod->status.init_container_statuses);
}
