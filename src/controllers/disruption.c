/* disruption.c - how many of a PodDisruptionBudget's pods may go now: the purse that evictions take from.
 *
 * Healthy pods are those that are ready and not on their way out. Pods whose eviction was just granted stand in
 * status.disruptedPods; they count as gone until they are, or for two minutes. What is wanted as a share of the whole
 * needs the whole: what the pods' controllers ask for. */
#include "api/apps_v1.h"
#include "api/core_v1.h"
#include "api/meta_v1.h"
#include "api/policy_v1.h"
#include "api/resources.h"
#include "controllers/classes.h"
#include "controllers/deployment.h"
#include "controllers/pods.h"
#include "schema/selector.h"
#include "schema/view.h"

#define DELETION_TIMEOUT (120 * NSEC_PER_SEC)

enum { BUDGETS, PODS, SETS, DEPLOYMENTS, STATEFUL_SETS, REPLICATION_CONTROLLERS };

struct count {
    int32_t expected, desired, healthy;
    bool unmanaged; /* some pod has no controller */
};

static const struct pod_disruption_budget *budget_of(const struct object *object)
{
    return OBJECT_VIEW(object, pod_disruption_budget);
}

/* -- which budgets a change concerns -- */

static bool chooses(const struct object *budget, struct str_map labels)
{
    AUTO(arena) arena = arena_new(0);
    const struct selector *selector;

    return budget_of(budget)->spec.selector && arena &&
           selector_from_view(arena, budget_of(budget)->spec.selector, &selector, NULL) == 0 &&
           selector_matches(selector, labels);
}

static void add_of_pod(struct controller *self, const struct object *pod)
{
    AUTO(arena) arena = arena_new(0);
    __attribute__((cleanup(object_list_deinit))) struct object_list budgets = { 0 };

    if (!arena || informer_list(self->informers[BUDGETS], pod->meta->namespace, arena, &budgets, NULL) < 0)
        return;
    for (size_t i = 0; i < budgets.count; i++)
        if (chooses(budgets.items[i], pod->meta->labels))
            controller_add(self, budgets.items[i]->key);
}

static bool same_health(const struct object *old, const struct object *new)
{
    return pod_shows_ready(pod_of(old)) == pod_shows_ready(pod_of(new)) &&
           old->meta->deletion_timestamp.set == new->meta->deletion_timestamp.set &&
           maps_equal(old->meta->labels, new->meta->labels);
}

static void pod_changed(struct controller *self, struct object *old, struct object *new)
{
    if (old && new && same_health(old, new))
        return;
    if (old)
        add_of_pod(self, old);
    if (new)
        add_of_pod(self, new);
}

/* What a share is a share of has changed. */
static void scale_changed(struct controller *self, struct object *old, struct object *new)
{
    AUTO(arena) arena = arena_new(0);
    __attribute__((cleanup(object_list_deinit))) struct object_list budgets = { 0 };

    if (old && new && opt_or(old->meta->generation, 0) == opt_or(new->meta->generation, 0))
        return;
    if (!arena ||
        informer_list(self->informers[BUDGETS], (new ? new : old)->meta->namespace, arena, &budgets, NULL) < 0)
        return;
    for (size_t i = 0; i < budgets.count; i++)
        controller_add(self, budgets.items[i]->key);
}

/* -- what the pods' controllers ask for -- */

static int32_t replicas_of(const struct object *object)
{
    const struct resource *resource = object->resource;

    return resource == &RESOURCE_APPS_REPLICASETS  ? opt_or(OBJECT_VIEW(object, replica_set)->spec.replicas, 1)
           : resource == &RESOURCE_APPS_DEPLOYMENTS ? opt_or(OBJECT_VIEW(object, deployment)->spec.replicas, 1)
           : resource == &RESOURCE_APPS_STATEFULSETS
               ? opt_or(OBJECT_VIEW(object, stateful_set)->spec.replicas, 1)
               : opt_or(OBJECT_VIEW(object, replication_controller)->spec.replicas, 1);
}

/* The owner itself, if it is of a kind with replicas. */
static struct object *find_owner(struct controller *self, const struct owner_reference *owner, struct str ns,
                                 struct arena *arena)
{
    static const int rows[] = { SETS, DEPLOYMENTS, STATEFUL_SETS, REPLICATION_CONTROLLERS };
    struct str key = arena_printf(arena, STR_FMT "/" STR_FMT, STR_ARG(ns), STR_ARG(owner->name));

    for (size_t i = 0; key.data && i < ARRAY_LEN(rows); i++) {
        if (!owner_is(owner, self->class->watches[rows[i]].resource))
            continue;
        AUTO(object) object = informer_get(self->informers[rows[i]], key);

        return object && str_eq(object->meta->uid, owner->uid) ? TAKE(object) : NULL;
    }
    return NULL;
}

/* Whose replicas count for the pod: the owner, or the owner's own owner (a replica set's deployment). */
static struct object *find_scale(struct controller *self, const struct owner_reference *owner, struct str ns,
                                 struct arena *arena)
{
    AUTO(object) first = find_owner(self, owner, ns, arena);
    const struct owner_reference *above = first ? controlling_owner(first) : NULL;

    return above ? find_owner(self, above, ns, arena) : TAKE(first);
}

struct tally {
    struct str *uids; /* of those that were counted */
    size_t count;
    int64_t expected;
};

static bool is_counted(const struct tally *tally, struct str uid)
{
    for (size_t i = 0; i < tally->count; i++)
        if (str_eq(tally->uids[i], uid))
            return true;
    return false;
}

static int count_scale(struct controller *self, const struct object_list *pods, struct arena *arena,
                       struct count *count, struct err *err)
{
    struct tally owners = { .uids = arena_array_of(arena, pods->count + 1, struct str) };
    struct tally scales = { .uids = arena_array_of(arena, pods->count + 1, struct str) };

    if (!owners.uids || !scales.uids)
        return err_set(err, ERR_NO_MEMORY, "disruption budget");
    for (size_t i = 0; i < pods->count; i++) {
        const struct object_meta *meta = pods->items[i]->meta;
        const struct owner_reference *owner = controlling_owner(pods->items[i]);

        if (!owner)
            count->unmanaged = true;
        if (!owner || is_counted(&owners, owner->uid))
            continue;
        owners.uids[owners.count++] = owner->uid;
        AUTO(object) scale = find_scale(self, owner, meta->namespace, arena);

        if (!scale)
            return err_set(err, ERR_NOT_FOUND, "found no controllers for pod \"" STR_FMT "\"", STR_ARG(meta->name));
        if (is_counted(&scales, scale->meta->uid))
            continue;
        scales.uids[scales.count] = arena_str(arena, scale->meta->uid);
        if (!scales.uids[scales.count++].data)
            return err_set(err, ERR_NO_MEMORY, "disruption budget");
        scales.expected += replicas_of(scale);
    }
    count->expected = (int32_t)MIN(scales.expected, (int64_t)INT32_MAX);
    return 0;
}

static int count_wanted(struct controller *self, const struct object *object, const struct object_list *pods,
                        struct arena *arena, struct count *count, struct err *err)
{
    const struct pod_disruption_budget_spec *spec = &budget_of(object)->spec;
    int code = 0;

    if (spec->max_unavailable.set) {
        if ((code = count_scale(self, pods, arena, count, err)) == 0)
            count->desired = MAX(count->expected - resolve_share(spec->max_unavailable, count->expected, true), 0);
        return code;
    }
    if (!spec->min_available.is_string) {
        count->expected = (int32_t)pods->count;
        count->desired = spec->min_available.set ? spec->min_available.int_value : 0;
        return 0;
    }
    if ((code = count_scale(self, pods, arena, count, err)) == 0)
        count->desired = resolve_share(spec->min_available, count->expected, true);
    return code;
}

/* -- which pods are there -- */

static int choose_pods(struct controller *self, const struct object *object, struct arena *arena,
                       struct object_list *pods, struct err *err)
{
    const struct selector *selector;
    size_t kept = 0;
    int code;

    *pods = (struct object_list){ 0 };
    if (!budget_of(object)->spec.selector)
        return 0;
    if ((code = selector_from_view(arena, budget_of(object)->spec.selector, &selector, err)) < 0 ||
        (code = informer_by_index(self->informers[PODS], BY_NAMESPACE, object->meta->namespace, arena, pods, err)) < 0)
        return code;
    for (size_t i = 0; i < pods->count; i++) {
        struct object *pod = pods->items[i];

        if (!selector_matches(selector, pod->meta->labels)) {
            object_unref(pod);
            continue;
        }
        pods->items[kept++] = pod;
    }
    pods->count = kept;
    return 0;
}

static const struct time_pair *disruption_of(const struct time_map *map, struct str name)
{
    for (size_t i = 0; i < map->count; i++)
        if (str_eq(map->items[i].key, name))
            return &map->items[i];
    return NULL;
}

/* Counts the healthy ones and keeps the disrupted that still have to go. *ret_wait: until the first of them has taken
 * too long; 0: there is none. */
static int look_at_pods(struct controller *self, const struct object *object, const struct object_list *pods,
                        struct arena *arena, struct count *count, struct time_map *ret_disrupted, nsec_t *ret_wait,
                        struct err *err)
{
    const struct time_map *before = &budget_of(object)->status.disrupted_pods;
    struct time_pair *kept = arena_array_of(arena, before->count + 1, struct time_pair);
    nsec_t now = controller_wall(self);
    size_t left = 0;

    if (!kept)
        return err_set(err, ERR_NO_MEMORY, "disruption budget");
    *ret_wait = 0;
    for (size_t i = 0; i < pods->count; i++) {
        const struct object *pod = pods->items[i];
        const struct time_pair *disruption = disruption_of(before, pod->meta->name);
        nsec_t wait = disruption ? disruption->value.unix_nsec + DELETION_TIMEOUT - now : 0;

        if (pod->meta->deletion_timestamp.set)
            continue;
        if (wait > 0 && left < before->count) {
            kept[left++] = *disruption;
            *ret_wait = *ret_wait ? MIN(*ret_wait, wait) : wait;
            continue;
        }
        if (disruption)
            event_record(self->options->events, pod, STR_NULL, "Warning", "NotDeleted",
                         "Pod was expected by PDB " STR_FMT "/" STR_FMT " to be deleted but it wasn't",
                         STR_ARG(object->meta->namespace), STR_ARG(object->meta->name));
        count->healthy += pod_shows_ready(pod_of(pod));
    }
    *ret_disrupted = (struct time_map){ kept, left };
    return 0;
}

/* -- saying it -- */

/* The other conditions, and ours with the time of its last change. */
static int set_condition(struct controller *self, const struct pod_disruption_budget_status *before,
                         struct pod_disruption_budget_status *status, const char *reason, struct str message,
                         struct arena *arena, struct err *err)
{
    struct condition *list = arena_array_of(arena, before->conditions.count + 1, struct condition);
    nsec_t wall = controller_wall(self);
    struct condition condition = { .type = STR("DisruptionAllowed"),
                                   .status = status->disruptions_allowed > 0 ? STR("True") : STR("False"),
                                   .observed_generation = status->observed_generation,
                                   .last_transition_time = { true, wall - wall % NSEC_PER_SEC },
                                   .reason = str_from(reason),
                                   .message = message };
    size_t count = 0;

    if (!list)
        return err_set(err, ERR_NO_MEMORY, "disruption budget");
    for (size_t i = 0; i < before->conditions.count; i++) {
        const struct condition *old = &before->conditions.items[i];

        if (!str_eq(old->type, condition.type))
            list[count++] = *old;
        else if (str_eq(old->status, condition.status))
            condition.last_transition_time = old->last_transition_time;
    }
    list[count++] = condition;
    status->conditions = (struct condition_array){ list, count };
    return 0;
}

static int write_status(struct controller *self, const struct object *object,
                        const struct pod_disruption_budget_status *status, struct err *err)
{
    struct pod_disruption_budget budget = *budget_of(object);
    uint64_t revision = object->revision;
    AUTO(object) written = NULL;
    int code;

    if (view_equal(&TYPE_POD_DISRUPTION_BUDGET_STATUS, &budget.status, status))
        return 0;
    budget.status = *status;
    code = client_update(self->client, &RESOURCE_POLICY_PODDISRUPTIONBUDGETS, STR("status"), &budget,
                         STR("disruption-controller: count"), revision, &written, err);
    if (code == 0)
        controller_wrote(self, object->key, BUDGETS, written->revision);
    return is_gone(code) ? 0 : code;
}

/* Nothing is allowed while it is not known what is. */
static int fail_safe(struct controller *self, const struct object *object, const struct err *why, struct arena *arena,
                     struct err *err)
{
    struct pod_disruption_budget_status status = budget_of(object)->status;
    struct str message = arena_str(arena, str_from(why->message));
    int code;

    event_record(self->options->events, object, STR_NULL, "Warning", "CalculateExpectedPodCountFailed",
                 "Failed to calculate the number of expected pods: %s", why->message);
    status.disruptions_allowed = 0;
    status.observed_generation = object->meta->generation;
    code = set_condition(self, &budget_of(object)->status, &status, "SyncFailed", message, arena, err);
    return code < 0 ? code : write_status(self, object, &status, err);
}

static void warn_of_unmanaged(struct controller *self, const struct object *object)
{
    event_record(self->options->events, object, STR_NULL, "Warning", "UnmanagedPods",
                 "Pods selected by this PodDisruptionBudget were found to be unmanaged. As a result, the status of the PDB "
                 "cannot be calculated correctly, which may result in undefined behavior. To account for these pods please "
                 "set \".spec.minAvailable\" field of the PDB to an integer value.");
}

static int update(struct controller *self, const struct object *object, const struct object_list *pods,
                  struct arena *arena, struct err *err)
{
    const struct pod_disruption_budget_status *before = &budget_of(object)->status;
    struct pod_disruption_budget_status status = { .observed_generation = object->meta->generation };
    struct count count = { 0 };
    struct err why = { 0 };
    nsec_t wait = 0;
    int code;

    if (count_wanted(self, object, pods, arena, &count, &why) < 0)
        return fail_safe(self, object, &why, arena, err);
    if (count.unmanaged)
        warn_of_unmanaged(self, object);
    if ((code = look_at_pods(self, object, pods, arena, &count, &status.disrupted_pods, &wait, err)) < 0)
        return code;
    status.current_healthy = count.healthy;
    status.desired_healthy = count.desired;
    status.expected_pods = count.expected;
    status.disruptions_allowed = count.expected > 0 ? MAX(count.healthy - count.desired, 0) : 0;
    code = set_condition(self, before, &status, status.disruptions_allowed > 0 ? "SufficientPods" : "InsufficientPods",
                         STR(""), arena, err);
    if (wait > 0)
        controller_add_after(self, object->key, wait);
    return code < 0 ? code : write_status(self, object, &status, err);
}

static int reconcile(struct controller *self, struct str key, struct arena *arena, struct err *err)
{
    __attribute__((cleanup(object_list_deinit))) struct object_list pods = { 0 };
    AUTO(object) object = controller_get(self, BUDGETS, key);
    struct err why = { 0 };

    if (!object || object->meta->deletion_timestamp.set)
        return 0;
    if (choose_pods(self, object, arena, &pods, &why) < 0)
        return fail_safe(self, object, &why, arena, err);
    return update(self, object, &pods, arena, err);
}

static const struct controller_watch watches[] = {
    [BUDGETS] = { &RESOURCE_POLICY_PODDISRUPTIONBUDGETS, NULL, 0 },
    [PODS] = { &RESOURCE_PODS, pod_changed, INDEX_NAMESPACE },
    [SETS] = { &RESOURCE_APPS_REPLICASETS, scale_changed, 0 },
    [DEPLOYMENTS] = { &RESOURCE_APPS_DEPLOYMENTS, scale_changed, 0 },
    [STATEFUL_SETS] = { &RESOURCE_APPS_STATEFULSETS, scale_changed, 0 },
    [REPLICATION_CONTROLLERS] = { &RESOURCE_REPLICATIONCONTROLLERS, scale_changed, 0 },
};

const struct controller_class disruption_controller = {
    .name = "disruption-controller",
    .size = sizeof(struct controller),
    .workers = 2,
    .joint = true,
    .watches = watches,
    .watch_count = ARRAY_LEN(watches),
    .reconcile = reconcile,
};
