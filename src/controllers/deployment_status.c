/* deployment_status.c - how a deployment stands: counts, and the conditions Available, Progressing and ReplicaFailure.
 */
#include "api/meta_v1.h"
#include "api/resources.h"
#include "controllers/deployment.h"
#include "schema/view.h"

/* -- conditions -- */

static struct deployment_condition *find_condition(const struct rollout *rollout, struct str type)
{
    for (size_t i = 0; i < rollout->condition_count; i++)
        if (str_eq(rollout->conditions[i].type, type))
            return &rollout->conditions[i];
    return NULL;
}

struct str condition_reason(const struct rollout *rollout, struct str type)
{
    const struct deployment_condition *condition = find_condition(rollout, type);

    return !condition ? STR_NULL : condition->reason.data ? condition->reason : STR("");
}

static void remove_condition(struct rollout *rollout, const char *type)
{
    struct deployment_condition *condition = find_condition(rollout, str_from(type));

    if (!condition)
        return;
    size_t behind = rollout->condition_count - (size_t)(condition - rollout->conditions) - 1;

    memmove(condition, condition + 1, behind * sizeof *condition);
    rollout->condition_count--;
}

/* Always written, with a new time of update; the time of transition stays while the status does. */
static void replace_condition(struct rollout *rollout, const char *type, const char *status, const char *reason,
                              struct str message)
{
    const struct deployment_condition *old = find_condition(rollout, str_from(type));
    struct api_time now = { true, rollout->now - rollout->now % NSEC_PER_SEC };
    struct deployment_condition condition = { .type = str_from(type),
                                              .status = str_from(status),
                                              .reason = str_from(reason),
                                              .message = message,
                                              .last_update_time = now,
                                              .last_transition_time = now };

    if (old && str_is(old->status, status))
        condition.last_transition_time = old->last_transition_time;
    remove_condition(rollout, type);
    rollout->conditions[rollout->condition_count++] = condition;
}

void rollout_set_condition(struct rollout *rollout, const char *type, const char *status, const char *reason,
                           struct str message)
{
    const struct deployment_condition *old = find_condition(rollout, str_from(type));

    if (!old || !str_is(old->status, status) || !str_is(old->reason, reason))
        replace_condition(rollout, type, status, reason, message);
}

bool rollout_has_deadline(const struct rollout *rollout)
{
    struct opt_i32 deadline = rollout->deployment->spec.progress_deadline_seconds;

    return deadline.set && deadline.value != INT32_MAX;
}

/* While it is paused no time counts against it. */
void rollout_note_pause(struct rollout *rollout)
{
    struct str reason = condition_reason(rollout, STR("Progressing"));
    bool paused = opt_or(rollout->deployment->spec.paused, false), was = str_is(reason, "DeploymentPaused");

    if (!rollout_has_deadline(rollout) || str_is(reason, "ProgressDeadlineExceeded"))
        return;
    if (paused && !was)
        rollout_set_condition(rollout, "Progressing", "Unknown", "DeploymentPaused", STR("Deployment is paused"));
    if (!paused && was)
        rollout_set_condition(rollout, "Progressing", "Unknown", "DeploymentResumed", STR("Deployment is resumed"));
}

/* -- counts -- */

static struct opt_i32 count_of(int64_t count)
{
    return (struct opt_i32){ count > 0, (int32_t)MIN(count, (int64_t)INT32_MAX) };
}

static struct deployment_status count(const struct rollout *rollout)
{
    int64_t actual = 0, ready = 0, available = 0, wanted = rollout_replicas(rollout);

    for (size_t i = 0; i < rollout->count; i++) {
        const struct replica_set_status *status = &rollout->members[i].set->status;

        actual += status->replicas;
        ready += opt_or(status->ready_replicas, 0);
        available += opt_or(status->available_replicas, 0);
    }
    return (struct deployment_status){
        .observed_generation = rollout->object->meta->generation,
        .replicas = count_of(actual),
        .updated_replicas = count_of(rollout->new_set ? rollout->new_set->set->status.replicas : 0),
        .ready_replicas = count_of(ready),
        .available_replicas = count_of(available),
        .unavailable_replicas = count_of(wanted - available),
        .collision_count = rollout->collisions,
    };
}

static bool is_complete(const struct rollout *rollout, const struct deployment_status *status)
{
    return opt_or(status->updated_replicas, 0) == rollout->wanted && opt_or(status->replicas, 0) == rollout->wanted &&
           opt_or(status->available_replicas, 0) == rollout->wanted &&
           opt_or(status->observed_generation, 0) >= opt_or(rollout->object->meta->generation, 0);
}

bool rollout_is_complete(const struct rollout *rollout)
{
    return is_complete(rollout, &rollout->deployment->status);
}

static int32_t old_replicas(const struct deployment_status *status)
{
    return opt_or(status->replicas, 0) - opt_or(status->updated_replicas, 0);
}

static bool has_progressed(const struct deployment_status *before, const struct deployment_status *now)
{
    return opt_or(now->updated_replicas, 0) > opt_or(before->updated_replicas, 0) ||
           old_replicas(now) < old_replicas(before) ||
           opt_or(now->ready_replicas, 0) > opt_or(before->ready_replicas, 0) ||
           opt_or(now->available_replicas, 0) > opt_or(before->available_replicas, 0);
}

/* -- judging progress -- */

/* Until the deadline passes; 0 or less: it has. */
static nsec_t time_left(const struct rollout *rollout, const struct deployment_condition *progressing)
{
    nsec_t deadline = (nsec_t)rollout->deployment->spec.progress_deadline_seconds.value * NSEC_PER_SEC, due, left;

    if (__builtin_add_overflow(progressing->last_update_time.unix_nsec, deadline, &due) ||
        __builtin_sub_overflow(due, rollout->now, &left))
        return deadline;
    return left;
}

static bool has_timed_out(const struct rollout *rollout)
{
    const struct deployment_condition *progressing = find_condition(rollout, STR("Progressing"));

    if (!progressing || str_is(progressing->reason, "NewReplicaSetAvailable"))
        return false;
    return str_is(progressing->reason, "ProgressDeadlineExceeded") || time_left(rollout, progressing) < 0;
}

static struct str say(const struct rollout *rollout, const char *what)
{
    if (rollout->new_set)
        return arena_printf(rollout->arena, "ReplicaSet \"" STR_FMT "\" %s",
                            STR_ARG(rollout->new_set->object->meta->name), what);
    return arena_printf(rollout->arena, "Deployment \"" STR_FMT "\" %s", STR_ARG(rollout->object->meta->name), what);
}

static void judge_progress(struct rollout *rollout, const struct deployment_status *status)
{
    struct str reason = condition_reason(rollout, STR("Progressing"));
    bool settled =
        opt_or(status->replicas, 0) == opt_or(status->updated_replicas, 0) && str_is(reason, "NewReplicaSetAvailable");

    if (!rollout_has_deadline(rollout)) {
        remove_condition(rollout, "Progressing");
        return;
    }
    if (settled)
        return;
    if (is_complete(rollout, status))
        rollout_set_condition(rollout, "Progressing", "True", "NewReplicaSetAvailable",
                              say(rollout, "has successfully progressed."));
    else if (has_progressed(&rollout->deployment->status, status))
        replace_condition(rollout, "Progressing", "True", "ReplicaSetUpdated", say(rollout, "is progressing."));
    else if (has_timed_out(rollout))
        rollout_set_condition(rollout, "Progressing", "False", "ProgressDeadlineExceeded",
                              say(rollout, "has timed out progressing."));
}

static void judge_availability(struct rollout *rollout, const struct deployment_status *status)
{
    if (opt_or(status->available_replicas, 0) >= rollout->wanted - rollout->unavailable)
        rollout_set_condition(rollout, "Available", "True", "MinimumReplicasAvailable",
                              STR("Deployment has minimum availability."));
    else
        rollout_set_condition(rollout, "Available", "False", "MinimumReplicasUnavailable",
                              STR("Deployment does not have minimum availability."));
}

static const struct replica_set_condition *failure_of(const struct member *member)
{
    const struct replica_set_condition_array *conditions = &member->set->status.conditions;

    for (size_t i = 0; i < conditions->count; i++)
        if (str_is(conditions->items[i].type, "ReplicaFailure") && str_is(conditions->items[i].status, "True"))
            return &conditions->items[i];
    return NULL;
}

/* What keeps a set from its pods is the deployment's trouble; the new set's first. */
static void judge_failure(struct rollout *rollout)
{
    const struct replica_set_condition *failure = rollout->new_set ? failure_of(rollout->new_set) : NULL;

    for (size_t i = 0; i < rollout->count && !failure; i++)
        failure = failure_of(&rollout->members[i]);
    if (!failure) {
        remove_condition(rollout, "ReplicaFailure");
        return;
    }
    struct str copy = arena_str(rollout->arena, failure->reason);

    rollout_set_condition(rollout, "ReplicaFailure", "True", copy.data ? copy.data : "", failure->message);
}

/* -- writing -- */

static void look_again(const struct rollout *rollout, const struct deployment_status *status)
{
    const struct deployment_condition *progressing = find_condition(rollout, STR("Progressing"));

    if (!rollout_has_deadline(rollout) || !progressing || is_complete(rollout, status) ||
        str_is(progressing->reason, "ProgressDeadlineExceeded") || str_is(progressing->reason, "DeploymentPaused"))
        return;
    controller_add_after(rollout->self, rollout->key, MAX(time_left(rollout, progressing), 0) + NSEC_PER_SEC);
}

int rollout_write_status(struct rollout *rollout, bool judge, struct err *err)
{
    const struct field *field = type_field(RESOURCE_APPS_DEPLOYMENTS.type, STR("status"));
    struct deployment deployment = *rollout->deployment;
    struct deployment_status status = count(rollout);
    struct str present = map_value(deployment.metadata.annotations, STR(ANNOTATION_REVISION));
    bool revised = rollout->revision.len && !str_eq(present, rollout->revision);

    judge_availability(rollout, &status);
    if (judge)
        judge_progress(rollout, &status);
    if (judge)
        judge_failure(rollout);
    status.conditions = (struct deployment_condition_array){ rollout->conditions, rollout->condition_count };
    look_again(rollout, &status);
    if (arena_failed(rollout->arena))
        return err_set(err, ERR_NO_MEMORY, "deployment status");
    if (!revised && view_equal(field->type, &deployment.status, &status))
        return 0;
    if (revised)
        deployment.metadata.annotations =
            map_with(rollout->arena, deployment.metadata.annotations, STR(ANNOTATION_REVISION), rollout->revision);
    deployment.status = status;
    return client_update(rollout->self->client, &RESOURCE_APPS_DEPLOYMENTS, STR("status"), &deployment,
                         STR("deployment-controller: status"), rollout->object->revision, NULL, err);
}
