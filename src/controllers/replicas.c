/* replicas.c - as many pods as wanted: missing ones are made in growing batches, extra ones go by rank.
 *
 * Batches of 1, 2, 4, ... stop at the first that fails, so that a template that cannot work costs one failed call and
 * not five hundred. Within a batch pods are made side by side. The status counts what was there before this round; what
 * the round changes comes back as events. */
#include "controllers/replicas.h"

#include "api/meta_v1.h"
#include "api/resources.h"
#include "controllers/claim.h"
#include "controllers/fan_out.h"
#include "controllers/pod_ranking.h"
#include "controllers/pods.h"
#include "schema/view.h"

#define BURST 500  /* pods made or deleted in one round */
#define HELPERS 16 /* calls side by side */

/* -- which sets a pod's change concerns -- */

static void add_owner(struct replicas_controller *self, const struct object *pod)
{
    const struct owner_reference *owner = controlling_owner(pod);

    if (owner && owner_is(owner, self->kind->resource))
        controller_add_named(&self->base, pod->meta->namespace, owner->name);
}

static void add_selecting(struct replicas_controller *self, const struct object *pod)
{
    AUTO(arena) arena = arena_new(0);
    __attribute__((cleanup(object_list_deinit))) struct object_list sets = { 0 };

    if (!arena || informer_by_index(self->base.informers[REPLICAS_SETS], BY_NAMESPACE, pod->meta->namespace, arena,
                                    &sets, NULL) < 0)
        return;
    for (size_t i = 0; i < sets.count; i++)
        if (self->kind->selects(sets.items[i], pod->meta->labels))
            controller_add(&self->base, sets.items[i]->key);
}

void replicas_pod_changed(struct controller *controller, struct object *old, struct object *new)
{
    struct replicas_controller *self = container_of(controller, struct replicas_controller, base);

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

/* -- making pods -- */

struct round {
    struct replicas_controller *self;
    const struct replicas *replicas;
    struct str key, body, rule;
    struct object **victims; /* when deleting */
    struct mutex lock;
    size_t done;     /* locked */
    struct err *err; /* locked: the first failure */
};

static int pod_body(const struct replicas *replicas, struct arena *arena, struct str *ret_body, struct err *err)
{
    const struct object_meta *template = &replicas->template->metadata;
    AUTO_DEINIT(buf, text) = BUF_INIT;
    struct owner_reference owner;
    int code = owner_reference_to(replicas->object, arena, &owner, err);

    if (code < 0)
        return code;
    const struct pod pod = {
        .metadata = { .generate_name = arena_printf(arena, STR_FMT "-", STR_ARG(replicas->object->meta->name)),
                      .namespace = replicas->object->meta->namespace,
                      .labels = template->labels,
                      .annotations = template->annotations,
                      .finalizers = template->finalizers,
                      .owner_references = { &owner, 1 } },
        .spec = replicas->template->spec,
    };

    code = view_write(&text, RESOURCE_PODS.type, &pod, err);
    if (code < 0)
        return code;
    *ret_body = arena_str(arena, buf_str(&text));
    return ret_body->data ? 0 : err_set(err, ERR_NO_MEMORY, "pod");
}

/* The namespace is on its way out: nothing to tell anybody about. */
static bool is_namespace_leaving(int code, const struct err *err)
{
    return code == -ERR_FORBIDDEN && str_find(str_from(err->message), STR("because it is being terminated")) >= 0;
}

static void note_failure(struct round *round, int code, const struct err *err, const char *reason, const char *what)
{
    struct controller *self = &round->self->base;

    if (!is_namespace_leaving(code, err) && code != -ERR_CANCELLED)
        event_record(self->options->events, round->replicas->object, STR_NULL, "Warning", reason, "%s: %s", what,
                     err->message);
    LOCKED(&round->lock);
    if (!round->err->code)
        *round->err = *err;
}

static void note_done(struct round *round, uint64_t revision)
{
    controller_wrote(&round->self->base, round->key, REPLICAS_PODS, revision);
    LOCKED(&round->lock);
    round->done++;
}

static void create_pod(void *arg, size_t at)
{
    struct round *round = arg;
    struct controller *self = &round->self->base;
    const struct client_call call = { .verb = CLIENT_CREATE,
                                      .resource = &RESOURCE_PODS,
                                      .ns = round->replicas->object->meta->namespace,
                                      .body = round->body,
                                      .rule = round->rule,
                                      .trigger = round->replicas->object->revision };
    AUTO(blob) body = NULL;
    AUTO(object) pod = NULL;
    struct err err = { 0 };
    int code = self->client->ops->call(self->client, &call, NULL, NULL, NULL, &body, &err);

    (void)at;
    if (code == 0)
        code = body ? object_new(&RESOURCE_PODS, body, &pod, &err) : err_set(&err, ERR_INTERNAL, "empty answer");
    if (code < 0) {
        note_failure(round, code, &err, "FailedCreate", "Error creating");
        return;
    }
    note_done(round, pod->revision);
    event_record(self->options->events, round->replicas->object, STR_NULL, "Normal", "SuccessfulCreate",
                 "Created pod: " STR_FMT, STR_ARG(pod->meta->name));
}

static int create_pods(struct round *round, size_t missing, struct arena *arena, struct err *err)
{
    int code = pod_body(round->replicas, arena, &round->body, err);

    round->rule = arena_printf(arena, "%s: create pod of " STR_FMT, round->self->base.class->name,
                               STR_ARG(round->replicas->object->meta->name));
    if (code < 0 || !round->rule.data)
        return code < 0 ? code : err_set(err, ERR_NO_MEMORY, "creating pods");
    missing = MIN(missing, (size_t)BURST);
    for (size_t batch = 1, made = 0; made < missing && !round->err->code; made += batch, batch *= 2) {
        batch = MIN(batch, missing - made);
        fan_out(round->self->base.options->executor, HELPERS, batch, create_pod, round);
    }
    return -(int)err->code;
}

/* -- deleting pods -- */

static void delete_pod(void *arg, size_t at)
{
    struct round *round = arg;
    struct controller *self = &round->self->base;
    const struct object_meta *meta = round->victims[at]->meta;
    const struct client_delete_options options = { .uid = meta->uid, .grace_seconds = -1 };
    AUTO(object) pod = NULL;
    struct err err = { 0 };
    int code = client_delete_object(self->client, &RESOURCE_PODS, meta->namespace, meta->name, &options, round->rule,
                                    round->replicas->object->revision, &pod, &err);

    if (code == -ERR_NOT_FOUND || code == -ERR_CONFLICT)
        return; /* it is gone already, or another pod has its name now */
    if (code < 0) {
        note_failure(round, code, &err, "FailedDelete", "Error deleting");
        return;
    }
    note_done(round, pod ? pod->revision : 0);
    event_record(self->options->events, round->replicas->object, STR_NULL, "Normal", "SuccessfulDelete",
                 "Deleted pod: " STR_FMT, STR_ARG(meta->name));
}

/* Pods of all sets that have the same controlling owner: the old and new sets of one deployment. */
static int list_fellows(struct replicas_controller *self, const struct replicas *replicas, struct arena *arena,
                        struct object_list *ret_list, struct err *err)
{
    const struct owner_reference *owner = controlling_owner(replicas->object);
    __attribute__((cleanup(object_list_deinit))) struct object_list sets = { 0 };
    struct object_list all = { 0 }, of_one;
    struct str own = replicas->object->meta->uid;
    size_t cap = 0;
    int code =
        owner ? informer_by_index(self->base.informers[REPLICAS_SETS], BY_CONTROLLER, owner->uid, arena, &sets, err)
              : 0;

    for (size_t i = 0; code == 0 && i < MAX(sets.count, (size_t)1); i++) {
        struct str uid = sets.count ? sets.items[i]->meta->uid : own;

        if ((code = informer_by_index(self->base.informers[REPLICAS_PODS], BY_CONTROLLER, uid, arena, &of_one, err)) <
            0)
            break;
        struct object **grown =
            arena_grow(arena, all.items, cap * sizeof *grown, (cap + of_one.count + 1) * sizeof *grown);

        if (!grown) {
            object_list_release(&of_one);
            code = err_set(err, ERR_NO_MEMORY, "ranking pods");
            break;
        }
        all.items = grown;
        cap += of_one.count + 1;
        memcpy(all.items + all.count, of_one.items, of_one.count * sizeof *grown);
        all.count += of_one.count;
    }
    if (code < 0)
        object_list_release(&all);
    else
        *ret_list = all;
    return code;
}

static int delete_pods(struct round *round, struct object **pods, size_t count, size_t extra, struct arena *arena,
                       struct err *err)
{
    __attribute__((cleanup(object_list_deinit))) struct object_list fellows = { 0 };
    int code = extra < count ? list_fellows(round->self, round->replicas, arena, &fellows, err) : 0;

    round->rule = arena_printf(arena, "%s: delete pod of " STR_FMT, round->self->base.class->name,
                               STR_ARG(round->replicas->object->meta->name));
    if (code < 0 || !round->rule.data)
        return code < 0 ? code : err_set(err, ERR_NO_MEMORY, "deleting pods");
    if (extra < count)
        pods_rank_for_deletion(pods, count, &fellows, controller_wall(&round->self->base));
    round->victims = pods;
    fan_out(round->self->base.options->executor, HELPERS, MIN(extra, (size_t)BURST), delete_pod, round);
    return -(int)err->code;
}

/* Makes or deletes; *ret_difference gets how many pods there were too many (negative: missing). */
static int manage(struct replicas_controller *self, const struct replicas *replicas, struct str key,
                  struct object_list *active, int64_t *ret_difference, struct arena *arena, struct err *err)
{
    struct round round = { .self = self, .replicas = replicas, .key = key, .err = err };
    int64_t difference = (int64_t)active->count - MAX(replicas->wanted, 0);
    int code = 0;

    *ret_difference = difference;
    mutex_init(&round.lock);
    if (difference < 0)
        code = create_pods(&round, (size_t)-difference, arena, err);
    else if (difference > 0)
        code = delete_pods(&round, active->items, active->count, (size_t)difference, arena, err);
    mutex_deinit(&round.lock);
    if (code == 0 && llabs(difference) > BURST)
        controller_add(&self->base, key);
    return code;
}

/* -- status -- */

static void set_failure(struct replica_set_status *status, const struct replicas *replicas, int code,
                        const struct err *failure, int64_t difference, nsec_t now, struct replica_set_condition *room)
{
    const struct replica_set_condition *old = NULL;
    size_t count = 0;

    for (size_t i = 0; i < replicas->status.conditions.count; i++) {
        const struct replica_set_condition *condition = &replicas->status.conditions.items[i];

        if (str_is(condition->type, "ReplicaFailure"))
            old = condition;
        else
            room[count++] = *condition;
    }
    if (code < 0 && old)
        room[count++] = *old; /* the first failure keeps its place until there is none */
    else if (code < 0)
        room[count++] = (struct replica_set_condition){
            .type = STR("ReplicaFailure"),
            .status = STR("True"),
            .reason = difference < 0 ? STR("FailedCreate") : STR("FailedDelete"),
            .message = str_from(failure->message),
            .last_transition_time = { true, now - now % NSEC_PER_SEC },
        };
    status->conditions = (struct replica_set_condition_array){ room, count };
}

/* How the template's labels are met. */
static bool has_labels(const struct object *pod, struct str_map labels)
{
    for (size_t i = 0; i < labels.count; i++) {
        struct str value = map_value(pod->meta->labels, labels.items[i].key);

        if (!value.data || !str_eq(value, labels.items[i].value))
            return false;
    }
    return true;
}

/* *ret_wait: until the next pod becomes available, 0 when none is about to. */
static struct replica_set_status count_pods(const struct replicas *replicas, const struct object_list *pods, nsec_t now,
                                            nsec_t *ret_wait)
{
    int32_t labeled = 0, ready = 0, available = 0;
    nsec_t next = 0, wait;

    for (size_t i = 0; i < pods->count; i++) {
        const struct pod *pod = pod_of(pods->items[i]);

        labeled += has_labels(pods->items[i], replicas->template->metadata.labels);
        ready += pod_shows_ready(pod);
        available += pod_is_available(pod, replicas->min_ready_seconds, now, &wait);
        if (wait && (!next || wait < next))
            next = wait;
    }
    *ret_wait = next;
    return (struct replica_set_status){
        .replicas = (int32_t)pods->count,
        .fully_labeled_replicas = { labeled > 0, labeled },
        .ready_replicas = { ready > 0, ready },
        .available_replicas = { available > 0, available },
        .observed_generation = replicas->object->meta->generation,
    };
}

static bool same_status(const struct replica_set_status *a, const struct replica_set_status *b)
{
    const struct field *field = type_field(RESOURCE_APPS_REPLICASETS.type, STR("status"));

    return view_equal(field->type, a, b);
}

static int update_status(struct replicas_controller *self, const struct replicas *replicas, struct str key,
                         const struct replica_set_status *status, struct arena *arena, struct err *err)
{
    struct str rule =
        arena_printf(arena, "%s: status of " STR_FMT, self->base.class->name, STR_ARG(replicas->object->meta->name));

    if (same_status(&replicas->status, status))
        return 0;
    return self->kind->write_status(&self->base, replicas, status, rule, arena, err);
}

/* -- the reconcile -- */

static void keep_active(struct object_list *pods)
{
    size_t kept = 0;

    for (size_t i = 0; i < pods->count; i++) {
        if (pod_is_active(pod_of(pods->items[i])))
            pods->items[kept++] = pods->items[i];
        else
            object_unref(pods->items[i]);
    }
    pods->count = kept;
}

static int reconcile_set(struct replicas_controller *self, const struct replicas *replicas, struct str key,
                         struct arena *arena, struct err *err)
{
    const struct claim claim = {
        &self->base, replicas->object, replicas->selector, &RESOURCE_PODS, REPLICAS_PODS, key
    };
    __attribute__((cleanup(object_list_deinit))) struct object_list pods = { 0 };
    struct err failure = { 0 }, *status_err = err;
    int64_t difference = 0;
    nsec_t wait, now = controller_wall(&self->base);
    int code = claim_objects(&claim, arena, &pods, err), managed = 0;

    if (code < 0)
        return code;
    keep_active(&pods);
    struct replica_set_status status = count_pods(replicas, &pods, now, &wait);
    struct replica_set_condition *room =
        arena_array_of(arena, replicas->status.conditions.count + 1, struct replica_set_condition);

    if (!room)
        return err_set(err, ERR_NO_MEMORY, "status");
    if (!replicas->object->meta->deletion_timestamp.set)
        managed = manage(self, replicas, key, &pods, &difference, arena, &failure);
    if (is_namespace_leaving(managed, &failure))
        managed = 0;
    set_failure(&status, replicas, managed, &failure, difference, now, room);
    code = update_status(self, replicas, key, &status, arena, status_err);
    if (wait)
        controller_add_after(&self->base, key, wait);
    if (managed < 0)
        *err = failure;
    return managed < 0 ? managed : is_gone(code) ? 0 : code;
}

int replicas_reconcile(struct controller *controller, struct str key, struct arena *arena, struct err *err)
{
    struct replicas_controller *self = container_of(controller, struct replicas_controller, base);
    AUTO(object) set = controller_get(controller, REPLICAS_SETS, key);
    struct replicas replicas = { 0 };

    if (!set)
        return 0;
    int code = self->kind->read(set, arena, &replicas, err);

    if (code == 0 && !replicas.selector)
        return 0; /* it would choose every pod there is */
    return code == 0 ? reconcile_set(self, &replicas, key, arena, err) : code;
}
