/* replicationcontroller.c - ReplicationControllers, the elder form of a ReplicaSet: see replicas.c. */
#include "api/meta_v1.h"
#include "api/resources.h"
#include "controllers/classes.h"
#include "controllers/replicas.h"

static int read_status(const struct replication_controller_status *status, struct arena *arena,
                       struct replica_set_status *ret_status, struct err *err)
{
    size_t count = status->conditions.count;
    struct replica_set_condition *conditions = arena_array_of(arena, count + 1, struct replica_set_condition);

    if (!conditions)
        return err_set(err, ERR_NO_MEMORY, "status");
    for (size_t i = 0; i < count; i++) {
        const struct replication_controller_condition *from = &status->conditions.items[i];

        conditions[i] = (struct replica_set_condition){ from->type, from->status, from->last_transition_time,
                                                        from->reason, from->message };
    }
    *ret_status = (struct replica_set_status){
        .replicas = status->replicas,
        .fully_labeled_replicas = status->fully_labeled_replicas,
        .observed_generation = status->observed_generation,
        .ready_replicas = status->ready_replicas,
        .available_replicas = status->available_replicas,
        .conditions = { conditions, count },
    };
    return 0;
}

static int read_set(const struct object *object, struct arena *arena, struct replicas *ret_replicas, struct err *err)
{
    static const struct pod_template_spec empty;
    const struct replication_controller *set = OBJECT_VIEW(object, replication_controller);

    *ret_replicas = (struct replicas){
        .object = object,
        .template = set->spec.template ? set->spec.template : &empty,
        .wanted = opt_or(set->spec.replicas, 1),
        .min_ready_seconds = opt_or(set->spec.min_ready_seconds, 0),
    };
    int code = read_status(&set->status, arena, &ret_replicas->status, err);

    return code == 0 ? selector_from_map(arena, set->spec.selector, &ret_replicas->selector, err) : code;
}

static bool selects(const struct object *object, struct str_map labels)
{
    struct str_map selector = OBJECT_VIEW(object, replication_controller)->spec.selector;

    for (size_t i = 0; i < selector.count; i++) {
        struct str value = map_value(labels, selector.items[i].key);

        if (!value.data || !str_eq(value, selector.items[i].value))
            return false;
    }
    return selector.count > 0;
}

static int write_status(struct controller *self, const struct replicas *replicas,
                        const struct replica_set_status *status, struct str rule, struct arena *arena, struct err *err)
{
    struct replication_controller set = *OBJECT_VIEW(replicas->object, replication_controller);
    size_t count = status->conditions.count;
    struct replication_controller_condition *conditions =
        arena_array_of(arena, count + 1, struct replication_controller_condition);

    if (!conditions)
        return err_set(err, ERR_NO_MEMORY, "status");
    for (size_t i = 0; i < count; i++) {
        const struct replica_set_condition *from = &status->conditions.items[i];

        conditions[i] = (struct replication_controller_condition){ from->type, from->status, from->last_transition_time,
                                                                   from->reason, from->message };
    }
    set.status = (struct replication_controller_status){
        .replicas = status->replicas,
        .fully_labeled_replicas = status->fully_labeled_replicas,
        .observed_generation = status->observed_generation,
        .ready_replicas = status->ready_replicas,
        .available_replicas = status->available_replicas,
        .conditions = { conditions, count },
    };
    return client_update(self->client, &RESOURCE_REPLICATIONCONTROLLERS, STR("status"), &set, rule,
                         replicas->object->revision, NULL, err);
}

static const struct replica_kind kind = { &RESOURCE_REPLICATIONCONTROLLERS, read_set, selects, write_status };

static int init(struct controller *self, struct err *err)
{
    (void)err;
    container_of(self, struct replicas_controller, base)->kind = &kind;
    return 0;
}

static const struct controller_watch watches[] = {
    [REPLICAS_SETS] = { &RESOURCE_REPLICATIONCONTROLLERS, NULL, REPLICAS_SETS_INDEXES },
    [REPLICAS_PODS] = { &RESOURCE_PODS, replicas_pod_changed, REPLICAS_PODS_INDEXES },
};

const struct controller_class replicationcontroller_controller = {
    .name = "replication-controller",
    .size = sizeof(struct replicas_controller),
    .workers = 2,
    .joint = true,
    .watches = watches,
    .watch_count = ARRAY_LEN(watches),
    .init = init,
    .reconcile = replicas_reconcile,
};
