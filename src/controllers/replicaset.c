/* replicaset.c - ReplicaSets: see replicas.c. */
#include "api/meta_v1.h"
#include "api/resources.h"
#include "controllers/classes.h"
#include "controllers/replicas.h"

static int read_set(const struct object *object, struct arena *arena, struct replicas *ret_replicas, struct err *err)
{
    const struct replica_set *set = OBJECT_VIEW(object, replica_set);

    *ret_replicas = (struct replicas){
        .object = object,
        .template = &set->spec.template,
        .wanted = opt_or(set->spec.replicas, 1),
        .min_ready_seconds = opt_or(set->spec.min_ready_seconds, 0),
        .status = set->status,
    };
    return selector_from_view(arena, set->spec.selector, &ret_replicas->selector, err);
}

static bool selects(const struct object *object, struct str_map labels)
{
    const struct label_selector *selector = OBJECT_VIEW(object, replica_set)->spec.selector;
    const struct selector *parsed;

    for (size_t i = 0; selector && i < selector->match_labels.count; i++) {
        struct str value = map_value(labels, selector->match_labels.items[i].key);

        if (!value.data || !str_eq(value, selector->match_labels.items[i].value))
            return false;
    }
    if (!selector || !selector->match_expressions.count)
        return selector;
    AUTO(arena) arena = arena_new(0);

    return arena && selector_from_view(arena, selector, &parsed, NULL) == 0 && selector_matches(parsed, labels);
}

static int write_status(struct controller *self, const struct replicas *replicas,
                        const struct replica_set_status *status, struct str rule, struct arena *arena, struct err *err)
{
    struct replica_set set = *OBJECT_VIEW(replicas->object, replica_set);

    (void)arena;
    set.status = *status;
    return client_update(self->client, &RESOURCE_APPS_REPLICASETS, STR("status"), &set, rule,
                         replicas->object->revision, NULL, err);
}

static const struct replica_kind kind = { &RESOURCE_APPS_REPLICASETS, read_set, selects, write_status };

static int init(struct controller *self, struct err *err)
{
    (void)err;
    container_of(self, struct replicas_controller, base)->kind = &kind;
    return 0;
}

static const struct controller_watch watches[] = {
    [REPLICAS_SETS] = { &RESOURCE_APPS_REPLICASETS, NULL, REPLICAS_SETS_INDEXES },
    [REPLICAS_PODS] = { &RESOURCE_PODS, replicas_pod_changed, REPLICAS_PODS_INDEXES },
};

const struct controller_class replicaset_controller = {
    .name = "replicaset-controller",
    .size = sizeof(struct replicas_controller),
    .workers = 8,
    .joint = true,
    .watches = watches,
    .watch_count = ARRAY_LEN(watches),
    .init = init,
    .reconcile = replicas_reconcile,
};
