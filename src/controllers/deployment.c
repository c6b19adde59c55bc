/* deployment.c - rolls templates out: one replica set for each template there has been, the newest grows as the older
 * ones shrink.
 *
 * A reconcile takes one step: scale the new set up, or the old ones down, and say in the status how it stands. What the
 * step brings about comes back as events, which take the next one. Sets that were scaled but not yet seen so do not
 * lead to a second step: the controller waits for its cache (controller_wrote()). */
#include "controllers/deployment.h"

#include <stdio.h>

#include "api/meta_v1.h"
#include "api/resources.h"
#include "controllers/claim.h"
#include "controllers/classes.h"
#include "controllers/pods.h"

/* -- what a change concerns -- */

static void add_owner(struct controller *self, const struct object *set)
{
    const struct owner_reference *owner = controlling_owner(set);

    if (owner && owner_is(owner, &RESOURCE_APPS_DEPLOYMENTS))
        controller_add_named(self, set->meta->namespace, owner->name);
}

static bool selects(const struct object *deployment, struct arena *arena, struct str_map labels)
{
    const struct selector *selector;

    return selector_from_view(arena, OBJECT_VIEW(deployment, deployment)->spec.selector, &selector, NULL) == 0 &&
           selector && selector_matches(selector, labels);
}

static void add_selecting(struct controller *self, const struct object *set)
{
    AUTO(arena) arena = arena_new(0);
    __attribute__((cleanup(object_list_deinit))) struct object_list deployments = { 0 };

    if (!arena || informer_by_index(self->informers[DEPLOYMENT_ROW], BY_NAMESPACE, set->meta->namespace, arena,
                                    &deployments, NULL) < 0)
        return;
    for (size_t i = 0; i < deployments.count; i++)
        if (selects(deployments.items[i], arena, set->meta->labels))
            controller_add(self, deployments.items[i]->key);
}

static void set_changed(struct controller *self, struct object *old, struct object *new)
{
    if (old)
        add_owner(self, old);
    if (!new)
        return;
    add_owner(self, new);
    if (controlling_owner(new) || new->meta->deletion_timestamp.set)
        return;
    if (!old || controlling_owner(old) || !maps_equal(old->meta->labels, new->meta->labels))
        add_selecting(self, new);
}

/* The end of a pod matters to those who recreate: it may have been the last of the old ones. */
static void pod_changed(struct controller *self, struct object *old, struct object *new)
{
    const struct owner_reference *owner = old ? controlling_owner(old) : NULL;
    char key[640];

    if (!owner || !owner_is(owner, &RESOURCE_APPS_REPLICASETS) ||
        (new && (!pod_has_ended(pod_of(new)) || pod_has_ended(pod_of(old)))))
        return;
    int len = snprintf(key, sizeof key, STR_FMT "/" STR_FMT, STR_ARG(old->meta->namespace), STR_ARG(owner->name));
    AUTO(object)
    set = informer_get(self->informers[DEPLOYMENT_SETS], str_of(key, (size_t)MIN(len, (int)sizeof key - 1)));

    if (set && str_eq(set->meta->uid, owner->uid))
        add_owner(self, set);
}

/* -- one step of a rolling update -- */

/* Brings the new set to its size, or as near as the surge allows. */
static int scale_new_set(struct rollout *rollout, bool *ret_scaled, struct err *err)
{
    struct member *set = rollout->new_set;
    int32_t size = set->replicas > rollout->wanted ? rollout->wanted : rollout_new_replicas(rollout, set->replicas);

    if (set->replicas == rollout->wanted)
        size = set->replicas;
    if (size == set->replicas) {
        *ret_scaled = false;
        return 0;
    }
    return rollout_scale(rollout, set, size, ret_scaled, err);
}

/* Takes up to `allowed` replicas from the old sets, the oldest first; from each no more than spare() says. */
static int drop_from_old(struct rollout *rollout, int64_t allowed, int64_t (*spare)(const struct member *set),
                         int64_t *ret_dropped, struct err *err)
{
    int64_t dropped = 0;
    int code = 0;

    for (struct member *set = rollout->members; code == 0 && set < rollout->members + rollout->count; set++) {
        int64_t drop = MIN(spare(set), allowed - dropped);
        bool scaled;

        if (!is_old(rollout, set) || drop <= 0)
            continue;
        code = rollout_scale(rollout, set, (int32_t)(set->replicas - drop), &scaled, err);
        dropped += drop;
    }
    *ret_dropped = dropped;
    return code;
}

static int64_t unhealthy_of(const struct member *set)
{
    return set->replicas - set_available(set);
}

static int64_t all_of(const struct member *set)
{
    return set->replicas;
}

/* First those that are not available go: they help nobody. */
static int drop_unhealthy(struct rollout *rollout, int64_t allowed, int64_t *ret_dropped, struct err *err)
{
    return drop_from_old(rollout, allowed, unhealthy_of, ret_dropped, err);
}

/* Then as many as are available beyond the minimum. */
static int drop_available(struct rollout *rollout, int64_t *ret_dropped, struct err *err)
{
    int64_t available = 0;

    for (size_t i = 0; i < rollout->count; i++)
        available += set_available(&rollout->members[i]);
    return drop_from_old(rollout, available - (rollout->wanted - rollout->unavailable), all_of, ret_dropped, err);
}

static int scale_old_sets(struct rollout *rollout, bool *ret_scaled, struct err *err)
{
    int64_t total = rollout_replicas(rollout), unhealthy = 0, available = 0;
    int64_t lacking = rollout->new_set->replicas - set_available(rollout->new_set);
    int64_t allowed = total - (rollout->wanted - rollout->unavailable) - lacking;
    int code = 0;

    *ret_scaled = false;
    if (total == rollout->new_set->replicas || allowed <= 0)
        return 0;
    code = drop_unhealthy(rollout, allowed, &unhealthy, err);
    if (code == 0)
        code = drop_available(rollout, &available, err);
    *ret_scaled = unhealthy + available > 0;
    return code;
}

static int roll(struct rollout *rollout, struct err *err)
{
    bool scaled = false;
    int code = rollout_sync_new_set(rollout, true, err);

    if (code == 0 && rollout->new_set)
        code = scale_new_set(rollout, &scaled, err);
    if (code == 0 && rollout->new_set && !scaled)
        code = scale_old_sets(rollout, &scaled, err);
    if (code == 0 && !scaled && rollout_is_complete(rollout))
        code = rollout_clean_up(rollout, err);
    return code == 0 ? rollout_write_status(rollout, true, err) : code;
}

/* -- recreating: all old ones end before the first new one begins -- */

static int old_pods_run(const struct rollout *rollout, bool *ret_run, struct err *err)
{
    bool run = false;

    for (size_t i = 0; i < rollout->count && !run; i++) {
        __attribute__((cleanup(object_list_deinit))) struct object_list pods = { 0 };
        const struct member *set = &rollout->members[i];

        if (!is_old(rollout, set))
            continue;
        int code = informer_by_index(rollout->self->informers[DEPLOYMENT_PODS], BY_CONTROLLER, set->object->meta->uid,
                                     rollout->arena, &pods, err);

        if (code < 0)
            return code;
        run = set->set->status.replicas > 0;
        for (size_t p = 0; p < pods.count; p++)
            run = run || !pod_has_ended(pod_of(pods.items[p]));
    }
    *ret_run = run;
    return 0;
}

static int stop_old_sets(struct rollout *rollout, bool *ret_scaled, struct err *err)
{
    int code = 0;

    *ret_scaled = false;
    for (struct member *set = rollout->members; code == 0 && set < rollout->members + rollout->count; set++) {
        bool scaled;

        if (!is_old(rollout, set) || set->replicas == 0)
            continue;
        code = rollout_scale(rollout, set, 0, &scaled, err);
        *ret_scaled = true;
    }
    return code;
}

static int recreate(struct rollout *rollout, struct err *err)
{
    bool busy = false, scaled;
    int code = rollout_sync_new_set(rollout, false, err);

    if (code == 0)
        code = stop_old_sets(rollout, &busy, err);
    if (code == 0 && !busy)
        code = old_pods_run(rollout, &busy, err);
    if (code == 0 && !busy)
        code = rollout_sync_new_set(rollout, true, err);
    if (code == 0 && !busy && rollout->new_set && rollout->new_set->replicas != rollout->wanted)
        code = rollout_scale(rollout, rollout->new_set, rollout->wanted, &scaled, err);
    if (code == 0 && !busy && rollout_is_complete(rollout))
        code = rollout_clean_up(rollout, err);
    return code == 0 ? rollout_write_status(rollout, true, err) : code;
}

/* -- scaling, also in the middle of a rollout -- */

static bool is_active(const struct member *set)
{
    return set->replicas > 0;
}

/* The only set that has replicas; the newest when none has; NULL when several have. */
static struct member *sole_set(struct rollout *rollout)
{
    struct member *sole = NULL;
    size_t active = 0;

    for (size_t i = 0; i < rollout->count; i++)
        if (is_active(&rollout->members[i])) {
            sole = &rollout->members[i];
            active++;
        }
    if (active == 0)
        return rollout->new_set ? rollout->new_set : rollout->count ? &rollout->members[rollout->count - 1] : NULL;
    return active == 1 ? sole : NULL;
}

static bool is_saturated(const struct rollout *rollout)
{
    const struct member *set = rollout->new_set;
    int64_t desired;

    return set && str_to_i64(map_value(set->object->meta->annotations, STR(ANNOTATION_DESIRED)), &desired) &&
           desired == rollout->wanted && set->replicas == rollout->wanted && set_available(set) == rollout->wanted;
}

/* Larger sets first; of equal ones the newer first when growing, the older first when shrinking. */
static int by_size_newer(const void *left, const void *right)
{
    const struct member *a = *(struct member *const *)left, *b = *(struct member *const *)right;

    return a->replicas != b->replicas ? (a->replicas < b->replicas ? 1 : -1) : (a < b) - (a > b);
}

static int by_size_older(const void *left, const void *right)
{
    const struct member *a = *(struct member *const *)left, *b = *(struct member *const *)right;

    return a->replicas != b->replicas ? (a->replicas < b->replicas ? 1 : -1) : (a > b) - (a < b);
}

static int64_t round_half_away(double value)
{
    return (int64_t)(value < 0 ? value - 0.5 : value + 0.5);
}

/* By how much a set's size changes when the whole changes: in proportion, and no more than is left. */
static int64_t proportion(const struct rollout *rollout, const struct member *set, int64_t to_add, int64_t added)
{
    int64_t before, share = -set->replicas, left = to_add - added;

    if (set->replicas == 0 || to_add == 0 || left == 0)
        return 0;
    if (rollout->wanted > 0) {
        if (!str_to_i64(map_value(set->object->meta->annotations, STR(ANNOTATION_MAX)), &before) || before <= 0)
            before = opt_or(rollout->deployment->status.replicas, 0);
        if (before <= 0)
            return 0;
        share = round_half_away((double)set->replicas * (rollout->wanted + rollout->surge) / (double)before) -
                set->replicas;
    }
    return to_add > 0 ? MIN(share, left) : MAX(share, left);
}

static int scale_in_proportion(struct rollout *rollout, struct err *err)
{
    struct member **sets = arena_array_of(rollout->arena, rollout->count + 1, struct member *);
    int64_t *sizes = arena_array_of(rollout->arena, rollout->count + 1, int64_t);
    int64_t to_add = (rollout->wanted > 0 ? rollout->wanted + rollout->surge : 0) - (int64_t)rollout_replicas(rollout);
    int64_t added = 0;
    size_t count = 0;
    bool scaled;
    int code = 0;

    if (!sets || !sizes)
        return err_set(err, ERR_NO_MEMORY, "scaling");
    for (size_t i = 0; i < rollout->count; i++)
        if (is_active(&rollout->members[i]))
            sets[count++] = &rollout->members[i];
    qsort(sets, count, sizeof *sets, to_add > 0 ? by_size_newer : by_size_older);
    for (size_t i = 0; i < count; i++) {
        int64_t change = proportion(rollout, sets[i], to_add, added);

        sizes[i] = sets[i]->replicas + change;
        added += change;
    }
    if (count)
        sizes[0] += to_add - added; /* what rounding left */
    for (size_t i = 0; code == 0 && i < count; i++)
        code =
            rollout_scale(rollout, sets[i], (int32_t)MIN(MAX(sizes[i], (int64_t)0), (int64_t)INT32_MAX), &scaled, err);
    return code;
}

static int scale(struct rollout *rollout, struct err *err)
{
    struct member *sole = sole_set(rollout);
    bool scaled;

    if (sole)
        return sole->replicas == rollout->wanted ? 0 : rollout_scale(rollout, sole, rollout->wanted, &scaled, err);
    if (is_saturated(rollout))
        return stop_old_sets(rollout, &scaled, err);
    return rollout->recreates ? 0 : scale_in_proportion(rollout, err);
}

/* Only scales; the template is not rolled out. */
static int scale_only(struct rollout *rollout, struct err *err)
{
    int code = rollout_sync_new_set(rollout, false, err);

    if (code == 0)
        code = scale(rollout, err);
    if (code == 0 && opt_or(rollout->deployment->spec.paused, false))
        code = rollout_clean_up(rollout, err);
    return code == 0 ? rollout_write_status(rollout, false, err) : code;
}

static bool was_scaled(const struct rollout *rollout)
{
    for (size_t i = 0; i < rollout->count; i++) {
        struct str text = map_value(rollout->members[i].object->meta->annotations, STR(ANNOTATION_DESIRED));
        int64_t desired;

        if (is_active(&rollout->members[i]) && str_to_i64(text, &desired) && desired != rollout->wanted)
            return true;
    }
    return false;
}

/* -- the reconcile -- */

static int proceed(struct rollout *rollout, struct err *err)
{
    bool paused = opt_or(rollout->deployment->spec.paused, false);

    if (rollout->object->meta->deletion_timestamp.set)
        return rollout_write_status(rollout, false, err);
    rollout_note_pause(rollout);
    if (paused || was_scaled(rollout))
        return scale_only(rollout, err);
    return rollout->recreates ? recreate(rollout, err) : roll(rollout, err);
}

static int rollout_init(struct rollout *rollout, struct err *err)
{
    const struct deployment *deployment = rollout->deployment;
    const struct rolling_update_deployment *rolling = deployment->spec.strategy.rolling_update;
    static const struct int_or_string quarter = { true, true, 0, STR_INIT("25%") };
    size_t count = deployment->status.conditions.count;

    rollout->wanted = MAX(opt_or(deployment->spec.replicas, 1), 0);
    rollout->recreates = str_is(deployment->spec.strategy.type, "Recreate");
    if (!rollout->recreates) {
        rollout->surge =
            resolve_share(rolling && rolling->max_surge.set ? rolling->max_surge : quarter, rollout->wanted, true);
        rollout->unavailable = resolve_share(
            rolling && rolling->max_unavailable.set ? rolling->max_unavailable : quarter, rollout->wanted, false);
        if (rollout->surge == 0 && rollout->unavailable == 0)
            rollout->unavailable = 1; /* or nothing would ever move */
        rollout->unavailable = MIN(rollout->unavailable, rollout->wanted);
    }
    rollout->collisions = deployment->status.collision_count;
    rollout->conditions = arena_array_of(rollout->arena, count + 4, struct deployment_condition);
    if (!rollout->conditions)
        return err_set(err, ERR_NO_MEMORY, "deployment");
    if (count)
        memcpy(rollout->conditions, deployment->status.conditions.items, count * sizeof *rollout->conditions);
    rollout->condition_count = count;
    return 0;
}

static int run_rollout(struct rollout *rollout, struct err *err)
{
    __attribute__((cleanup(object_list_deinit))) struct object_list sets = { 0 };
    struct claim claim = { rollout->self,   rollout->object, NULL, &RESOURCE_APPS_REPLICASETS,
                           DEPLOYMENT_SETS, rollout->key };
    int code = selector_from_view(rollout->arena, rollout->deployment->spec.selector, &claim.selector, err);

    if (code == 0 && !claim.selector)
        return 0; /* it would choose every set there is */
    if (code == 0)
        code = rollout_init(rollout, err);
    if (code == 0)
        code = claim_objects(&claim, rollout->arena, &sets, err);
    if (code == 0)
        code = rollout_take_sets(rollout, &sets, err);
    return code == 0 ? proceed(rollout, err) : code;
}

static int reconcile(struct controller *self, struct str key, struct arena *arena, struct err *err)
{
    AUTO(object) object = controller_get(self, DEPLOYMENT_ROW, key);
    struct rollout rollout = {
        .self = self, .arena = arena, .key = key, .object = object, .now = controller_wall(self)
    };

    if (!object)
        return 0;
    rollout.deployment = OBJECT_VIEW(object, deployment);
    int code = run_rollout(&rollout, err);

    vec_each (&rollout.held, held)
        object_unref(*held);
    vec_deinit(&rollout.held);
    return is_gone(code) ? 0 : code;
}

static const struct controller_watch watches[] = {
    [DEPLOYMENT_ROW] = { &RESOURCE_APPS_DEPLOYMENTS, NULL, INDEX_NAMESPACE },
    [DEPLOYMENT_SETS] = { &RESOURCE_APPS_REPLICASETS, set_changed, INDEX_CONTROLLER | INDEX_ORPHAN },
    [DEPLOYMENT_PODS] = { &RESOURCE_PODS, pod_changed, INDEX_CONTROLLER },
};

const struct controller_class deployment_controller = {
    .name = "deployment-controller",
    .size = sizeof(struct controller),
    .workers = 4,
    .joint = true,
    .watches = watches,
    .watch_count = ARRAY_LEN(watches),
    .reconcile = reconcile,
};
