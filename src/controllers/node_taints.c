#include "controllers/node_taints.h"

#define PREFIX "node.kubernetes.io/"
#define DEFAULT_SECONDS 300 /* that a pod stays on a node not ready when it says nothing about it */

/* -- what conditions ask for -- */

static const struct {
    const char *condition, *status, *key;
    bool no_execute; /* NoExecute as well as NoSchedule */
} rows[] = {
    { "Ready", "False", PREFIX "not-ready", true },
    { "Ready", "Unknown", PREFIX "unreachable", true },
    { "MemoryPressure", "True", PREFIX "memory-pressure", false },
    { "DiskPressure", "True", PREFIX "disk-pressure", false },
    { "PIDPressure", "True", PREFIX "pid-pressure", false },
    { "NetworkUnavailable", "True", PREFIX "network-unavailable", false },
};
#define UNSCHEDULABLE PREFIX "unschedulable"

const struct node_condition *node_condition_of(const struct node *node, struct str type)
{
    for (size_t i = 0; i < node->status.conditions.count; i++)
        if (str_eq(node->status.conditions.items[i].type, type))
            return &node->status.conditions.items[i];
    return NULL;
}

static bool holds(const struct node *node, size_t row)
{
    const struct node_condition *condition = node_condition_of(node, str_from(rows[row].condition));

    return condition && str_is(condition->status, rows[row].status);
}

static bool is_effect(const struct taint *taint, const char *effect)
{
    return str_is(taint->effect, effect);
}

/* Ours to set and remove. */
static bool is_managed(const struct taint *taint)
{
    if (is_effect(taint, "NoSchedule") && str_is(taint->key, UNSCHEDULABLE))
        return true;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (str_is(taint->key, rows[i].key) &&
            (is_effect(taint, "NoSchedule") || (rows[i].no_execute && is_effect(taint, "NoExecute"))))
            return true;
    return false;
}

static const struct taint *find(const struct node *node, const char *key, const char *effect)
{
    for (size_t i = 0; i < node->spec.taints.count; i++)
        if (str_is(node->spec.taints.items[i].key, key) && is_effect(&node->spec.taints.items[i], effect))
            return &node->spec.taints.items[i];
    return NULL;
}

struct wanted {
    const struct node *node;
    struct taint *items;
    size_t count;
    nsec_t now;
    bool changed;
};

static void want(struct wanted *wanted, const char *key, const char *effect)
{
    const struct taint *present = find(wanted->node, key, effect);

    if (present)
        wanted->items[wanted->count] = *present;
    else
        wanted->items[wanted->count] =
            (struct taint){ .key = str_from(key), .effect = str_from(effect), .time_added = { true, wanted->now } };
    if (!present)
        wanted->changed = true;
    wanted->count++;
}

int node_wanted_taints(const struct node *node, bool no_execute, nsec_t now, struct arena *arena,
                       struct taint_array *ret_taints, bool *ret_changed, struct err *err)
{
    struct wanted wanted = { .node = node, .now = now - now % NSEC_PER_SEC };
    size_t present = node->spec.taints.count;

    wanted.items = arena_array_of(arena, present + 2 * ARRAY_LEN(rows) + 1, struct taint);
    if (!wanted.items)
        return err_set(err, ERR_NO_MEMORY, "taints");
    for (size_t i = 0; i < present; i++)
        if (!is_managed(&node->spec.taints.items[i]))
            wanted.items[wanted.count++] = node->spec.taints.items[i];
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        if (!holds(node, i))
            continue;
        want(&wanted, rows[i].key, "NoSchedule");
        if (rows[i].no_execute && no_execute)
            want(&wanted, rows[i].key, "NoExecute");
    }
    if (opt_or(node->spec.unschedulable, false))
        want(&wanted, UNSCHEDULABLE, "NoSchedule");
    for (size_t i = 0; i < wanted.count; i++)
        if (is_effect(&wanted.items[i], "NoExecute") && !wanted.items[i].time_added.set) {
            wanted.items[i].time_added = (struct api_time){ true, wanted.now };
            wanted.changed = true;
        }
    *ret_taints = (struct taint_array){ wanted.items, wanted.count };
    *ret_changed = wanted.changed || wanted.count != present;
    return 0;
}

bool node_has_no_execute(const struct node *node)
{
    for (size_t i = 0; i < node->spec.taints.count; i++)
        if (is_effect(&node->spec.taints.items[i], "NoExecute"))
            return true;
    return false;
}

bool node_lacks_no_execute(const struct node *node)
{
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (rows[i].no_execute && holds(node, i) && !find(node, rows[i].key, "NoExecute"))
            return true;
    return false;
}

/* -- tolerations -- */

static bool tolerates(const struct toleration *toleration, const struct taint *taint)
{
    bool exists = str_is(toleration->operator, "Exists");

    if (toleration->effect.len && !str_eq(toleration->effect, taint->effect))
        return false;
    if (toleration->key.len ? !str_eq(toleration->key, taint->key) : !exists)
        return false;
    return exists || str_eq(toleration->value, taint->value);
}

static nsec_t time_after(nsec_t since, int64_t seconds)
{
    nsec_t delay, due;

    if (seconds <= 0)
        return since;
    if (__builtin_mul_overflow(seconds, (int64_t)NSEC_PER_SEC, &delay) || __builtin_add_overflow(since, delay, &due))
        return EVICT_NEVER;
    return due;
}

/* The shortest toleration that matches counts; none: at once, but for a node that is not ready or not reached. */
static nsec_t eviction_time(const struct pod *pod, const struct taint *taint, nsec_t now)
{
    nsec_t since = taint->time_added.set ? taint->time_added.unix_nsec : now, time = EVICT_NEVER;
    bool tolerated = false;

    for (size_t i = 0; i < pod->spec.tolerations.count; i++) {
        const struct toleration *toleration = &pod->spec.tolerations.items[i];

        if (!tolerates(toleration, taint))
            continue;
        tolerated = true;
        if (toleration->toleration_seconds.set)
            time = MIN(time, time_after(since, toleration->toleration_seconds.value));
    }
    if (tolerated)
        return time;
    if (str_is(taint->key, PREFIX "not-ready") || str_is(taint->key, PREFIX "unreachable"))
        return time_after(since, DEFAULT_SECONDS);
    return since;
}

nsec_t pod_eviction_time(const struct pod *pod, const struct taint_array *taints, nsec_t now)
{
    nsec_t time = EVICT_NEVER;

    for (size_t i = 0; i < taints->count; i++)
        if (is_effect(&taints->items[i], "NoExecute"))
            time = MIN(time, eviction_time(pod, &taints->items[i], now));
    return time;
}
