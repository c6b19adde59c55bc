/* resize.c - a cgroup may not have less than its children: a pod's grows first and shrinks last.
 *
 *     asked --no room--> pending (asked again later)
 *     asked --room--> written to the cgroups             what it has = what it asks for
 *                 \-> stopped, started again with it     in progress meanwhile
 *
 * There is one decision for a pod: either all of its containers get what they ask for or none. */
#include "kubelet/resize.h"

#include <stdio.h>
#include <unistd.h>

#include "base/log.h"
#include "kubelet/resources.h"
#include "schema/quantity.h"

#define ASK_AGAIN (5 * NSEC_PER_SEC)

static const char *const names[RESIZE_AMOUNTS] = { "cpu", "memory" };

const char *const resize_condition_types[RESIZE_CONDITIONS] = {
    [RESIZE_PENDING] = "PodResizePending",
    [RESIZE_IN_PROGRESS] = "PodResizeInProgress",
};

/* -- what a container has -- */

static const struct str_map *side(const struct resource_requirements *resources, int limits)
{
    return limits ? &resources->limits : &resources->requests;
}

static void remember(struct container_memory *memory, const struct resource_requirements *resources)
{
    for (int l = 0; l < 2; l++)
        for (int n = 0; n < RESIZE_AMOUNTS; n++) {
            struct str value = resource_value(side(resources, l), names[n]);

            snprintf(memory->given[l][n], sizeof memory->given[l][n], STR_FMT, STR_ARG(value));
        }
    memory->given_known = true;
}

static const struct resource_requirements *in_api(const struct pod_sync *sync, const struct container_slot *slot)
{
    const struct container_status_array *list =
        slot->init ? &sync->pod->status.init_container_statuses : &sync->pod->status.container_statuses;

    for (size_t i = 0; i < list->count; i++)
        if (str_eq(list->items[i].name, slot->spec->name) && slot->current &&
            str_has_suffix(list->items[i].container_id, slot->current->id))
            return list->items[i].resources;
    return NULL;
}

/* An agent that started again asks the API what it has said. */
static void recall(const struct pod_sync *sync, const struct container_slot *slot)
{
    const struct resource_requirements *reported = in_api(sync, slot);

    if (!slot->memory->given_known)
        remember(slot->memory, reported ? reported : &slot->spec->resources);
}

static bool differs(const struct container_slot *slot, int amount)
{
    for (int l = 0; l < 2; l++)
        if (!str_is(resource_value(side(&slot->spec->resources, l), names[amount]), slot->memory->given[l][amount]))
            return true;
    return false;
}

static bool is_asked(const struct container_slot *slot)
{
    for (int n = 0; n < RESIZE_AMOUNTS; n++)
        if (differs(slot, n))
            return true;
    return false;
}

/* The map with what the container has of cpu and memory. */
static struct str_map given_map(struct arena *arena, const struct str_map *asked, char given[RESIZE_AMOUNTS][RESIZE_TEXT])
{
    struct str_pair *pairs = arena_array_of(arena, asked->count + RESIZE_AMOUNTS, struct str_pair);
    size_t count = 0;

    if (!pairs)
        return *asked;
    for (int n = 0; n < RESIZE_AMOUNTS; n++)
        if (given[n][0])
            pairs[count++] = (struct str_pair){ str_from(names[n]), str_from(given[n]) };
    for (size_t i = 0; i < asked->count; i++)
        if (!str_is(asked->items[i].key, names[0]) && !str_is(asked->items[i].key, names[1]))
            pairs[count++] = asked->items[i];
    return (struct str_map){ pairs, count };
}

static const struct container *as_given(struct arena *arena, const struct container_slot *slot)
{
    struct container *copy = arena_new_of(arena, struct container);

    if (!copy)
        return slot->spec;
    *copy = *slot->spec;
    copy->resources.requests = given_map(arena, &copy->resources.requests, slot->memory->given[0]);
    copy->resources.limits = given_map(arena, &copy->resources.limits, slot->memory->given[1]);
    return copy;
}

const struct container *resize_effective(const struct pod_sync *sync, const struct container_slot *slot)
{
    if (!sync->state->resize_pending || !slot->memory->given_known || slot->ephemeral || !is_asked(slot))
        return slot->spec;
    return as_given(sync->arena, slot);
}

void resize_note_start(const struct pod_sync *sync, struct container_slot *slot)
{
    if (resize_effective(sync, slot) == slot->spec) /* else it has what it had */
        remember(slot->memory, &slot->spec->resources);
    slot->memory->restart_wanted = false;
}

const struct resource_requirements *resize_actual(const struct pod_sync *sync, const struct container_slot *slot)
{
    const struct container *container = slot->memory->given_known && slot_is_running(slot) && is_asked(slot)
                                            ? as_given(sync->arena, slot)
                                            : resize_effective(sync, slot);

    return &container->resources;
}

/* -- is there room? -- */

static void add_amounts(struct resize_room *room, const struct str_map *requests)
{
    room->cpu += quantity_milli(resource_value(requests, "cpu"));
    room->memory += quantity_value(resource_value(requests, "memory"));
}

static const struct container_status *status_named(const struct pod *pod, struct str name)
{
    for (size_t i = 0; i < pod->status.container_statuses.count; i++)
        if (str_eq(pod->status.container_statuses.items[i].name, name))
            return &pod->status.container_statuses.items[i];
    return NULL;
}

/* What the node keeps for a pod: what it was given, where that is known. */
static void add_pod(struct resize_room *room, const struct pod *pod)
{
    if (str_is(pod->status.phase, "Succeeded") || str_is(pod->status.phase, "Failed"))
        return;
    for (size_t i = 0; i < pod->spec.containers.count; i++) {
        const struct container *container = &pod->spec.containers.items[i];
        const struct container_status *status = status_named(pod, container->name);

        add_amounts(room, status && status->allocated_resources.count ? &status->allocated_resources
                                                                      : &container->resources.requests);
    }
    for (size_t i = 0; i < pod->spec.init_containers.count; i++)
        if (str_is(pod->spec.init_containers.items[i].restart_policy, "Always"))
            add_amounts(room, &pod->spec.init_containers.items[i].resources.requests);
}

const char *resize_verdict(const struct resize_room *wanted, const struct resize_room *used,
                           const struct resize_room *node, char *message)
{
    const struct {
        const char *name;
        int64_t wanted, used, node;
    } rows[] = {
        { "cpu", wanted->cpu, used->cpu, node->cpu },
        { "memory", wanted->memory, used->memory, node->memory },
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (rows[i].wanted > rows[i].node) {
            snprintf(message, RESIZE_MESSAGE, "Node didn't have enough capacity: %s, requested: %lld, capacity: %lld",
                     rows[i].name, (long long)rows[i].wanted, (long long)rows[i].node);
            return "Infeasible";
        }
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (rows[i].wanted > rows[i].node - rows[i].used) {
            snprintf(message, RESIZE_MESSAGE,
                     "Node didn't have enough resource: %s, requested: %lld, used: %lld, capacity: %lld", rows[i].name,
                     (long long)rows[i].wanted, (long long)rows[i].used, (long long)rows[i].node);
            return "Deferred";
        }
    return NULL;
}

static int ask_for_room(struct pod_sync *sync, const char **ret_pending, struct err *err)
{
    const struct resize_room node = { (int64_t)sysconf(_SC_NPROCESSORS_ONLN) * 1000,
                                      (int64_t)sysconf(_SC_PHYS_PAGES) * sysconf(_SC_PAGESIZE) };
    struct resize_room wanted = { 0 }, used = { 0 };
    struct object_list list;
    int code = informer_list(sync->kubelet->pods, STR_NULL, sync->arena, &list, err);

    if (code < 0)
        return code;
    for (size_t i = 0; i < list.count; i++)
        if (!str_eq(list.items[i]->meta->uid, sync->state->uid))
            add_pod(&used, OBJECT_VIEW(list.items[i], pod));
    object_list_release(&list);
    for (size_t i = 0; i < sync->slot_count; i++)
        if (!sync->slots[i].init || sync->slots[i].sidecar)
            add_amounts(&wanted, &sync->slots[i].spec->resources.requests);
    *ret_pending = resize_verdict(&wanted, &used, &node, sync->state->resize_message);
    return 0;
}

/* -- giving it -- */

static bool wants_restart(const struct container_slot *slot)
{
    const struct container_resize_policy_array *policies = &slot->spec->resize_policy;

    for (size_t i = 0; i < policies->count; i++)
        for (int n = 0; n < RESIZE_AMOUNTS; n++)
            if (str_is(policies->items[i].resource_name, names[n]) && differs(slot, n) &&
                str_is(policies->items[i].restart_policy, "RestartContainer"))
                return true;
    return false;
}

/* The pod as its containers are now. */
static struct oci_resources pod_given(const struct pod_sync *sync)
{
    struct pod pod = *sync->pod;
    struct container *init = arena_array_of(sync->arena, sync->init_count + 1, struct container);
    struct container *main = arena_array_of(sync->arena, sync->slot_count - sync->init_count + 1, struct container);

    if (!init || !main)
        return pod_resources(sync->pod);
    for (size_t i = 0; i < sync->slot_count; i++) {
        const struct container_slot *slot = &sync->slots[i];
        bool known = slot->memory->given_known && slot_is_running(slot);

        *(i < sync->init_count ? &init[i] : &main[i - sync->init_count]) =
            known ? *as_given(sync->arena, slot) : *slot->spec;
    }
    pod.spec.init_containers.items = init;
    pod.spec.containers.items = main;
    return pod_resources(&pod);
}

/* 0 is no limit. */
static int64_t larger_limit(int64_t a, int64_t b)
{
    return a == 0 || b == 0 ? 0 : MAX(a, b);
}

static int grow_pod(struct pod_sync *sync, struct err *err)
{
    struct oci_resources now = pod_given(sync), then = pod_resources(sync->pod);
    const struct oci_resources most = {
        .cpu_request_milli = MAX(now.cpu_request_milli, then.cpu_request_milli),
        .cpu_limit_milli = larger_limit(now.cpu_limit_milli, then.cpu_limit_milli),
        .memory_limit = larger_limit(now.memory_limit, then.memory_limit),
    };

    return sandbox_update(sync->kubelet->options.runtime, sync->state->uid, &most, err);
}

static int give(struct pod_sync *sync, struct container_slot *slot, bool *stopping, struct err *err)
{
    struct oci_resources resources = container_resources(slot->spec);
    int code;

    if (!slot_is_running(slot) || !is_asked(slot))
        return 0;
    if (slot->memory->restart_wanted || wants_restart(slot)) {
        nsec_t grace = opt_or(sync->pod->spec.termination_grace_period_seconds, 30) * NSEC_PER_SEC;

        if (!slot->memory->restart_wanted)
            sync_event(sync, slot->spec, "Normal", "Killing", "Container " STR_FMT " resize requires restart",
                       STR_ARG(slot->spec->name));
        slot->memory->restart_wanted = *stopping = true;
        code = container_halt(sync, slot, sync->now + grace, "ContainerResize", err);
        return MIN(code, 0);
    }
    code = container_update(sync->kubelet->options.runtime, slot->current->id, &resources, err);
    if (code == 0)
        remember(slot->memory, &slot->spec->resources);
    return code;
}

static int give_all(struct pod_sync *sync, bool *stopping, struct err *err)
{
    int code = grow_pod(sync, err);

    for (size_t i = 0; code == 0 && i < sync->slot_count; i++)
        if (!sync->slots[i].init || sync->slots[i].sidecar)
            code = give(sync, &sync->slots[i], stopping, err);
    if (code < 0 || *stopping)
        return code;
    const struct oci_resources then = pod_resources(sync->pod);

    return sandbox_update(sync->kubelet->options.runtime, sync->state->uid, &then, err);
}

static bool any_asked(const struct pod_sync *sync)
{
    bool asked = false;

    for (size_t i = 0; i < sync->slot_count; i++) {
        const struct container_slot *slot = &sync->slots[i];

        if (!slot_is_running(slot) || (slot->init && !slot->sidecar))
            continue;
        recall(sync, slot);
        asked = asked || is_asked(slot);
    }
    return asked;
}

int resize_pod(struct pod_sync *sync, struct err *err)
{
    struct pod_state *state = sync->state;
    bool asked = any_asked(sync), stopping = false;
    struct err why = { 0 };
    int code;

    if (!asked) {
        state->resize_pending = NULL;
        state->resize_in_progress = false;
        state->resize_error[0] = 0;
        return 0;
    }
    if ((code = ask_for_room(sync, &state->resize_pending, err)) < 0)
        return code;
    if (state->resize_pending) {
        sync_wake_after(sync, ASK_AGAIN);
        return 0;
    }
    code = give_all(sync, &stopping, &why);
    state->resize_in_progress = code < 0 || stopping;
    snprintf(state->resize_error, sizeof state->resize_error, "%s", code < 0 ? why.message : "");
    if (code < 0) {
        log_warn("kubelet", STR_FMT ": resize: %s", STR_ARG(state->key), why.message);
        sync_wake_after(sync, ASK_AGAIN);
    }
    return 0;
}

bool resize_condition(const struct pod_sync *sync, int which, const char **ret_reason, const char **ret_message)
{
    const struct pod_state *state = sync->state;

    if (which == RESIZE_PENDING) {
        *ret_reason = state->resize_pending;
        *ret_message = state->resize_message;
        return state->resize_pending != NULL;
    }
    *ret_reason = state->resize_error[0] ? "Error" : NULL;
    *ret_message = state->resize_error;
    return state->resize_in_progress;
}
