/* workload.c - what runs pods from a template: deployments, replica sets, stateful sets, daemon sets, replication
 * controllers. */
#include "api/resources.h"
#include "apiserver/registry/rules.h"
#include "schema/selector.h"

static const char *const always[] = { "Always", NULL };

void workload_selector_validate(struct causes *causes, const struct json *object)
{
    const struct json *json = json_at(object, "spec.selector"),
                      *labels = json_at(object, "spec.template.metadata.labels");
    const struct selector *selector = NULL;
    const struct json *match = json_member(json, "matchLabels"), *expressions = json_member(json, "matchExpressions");
    struct err err = { 0 };

    if (!json) {
        add_required(causes, STR("spec.selector"), "");
        return;
    }
    if (!(json_is(match, JSON_OBJECT) && match->count) && !(json_is(expressions, JSON_ARRAY) && expressions->count)) {
        add_invalid(causes, STR("spec.selector"), json, "empty selector is invalid for deployment");
        return;
    }
    if (selector_from_json(causes->arena, json, &selector, &err) < 0) {
        add_invalid(causes, STR("spec.selector"), json, "invalid label selector");
        return;
    }
    if (!selector_matches_json(selector, labels)) {
        struct json none = { .kind = JSON_OBJECT };

        add_invalid(causes, STR("spec.template.metadata.labels"), labels ? labels : &none,
                    "`selector` does not match template `labels`");
    }
}

static void validate_common(struct causes *causes, const struct json *object)
{
    check_not_negative(causes, STR("spec.replicas"), json_at(object, "spec.replicas"));
    check_not_negative(causes, STR("spec.minReadySeconds"), json_at(object, "spec.minReadySeconds"));
    check_not_negative(causes, STR("spec.revisionHistoryLimit"), json_at(object, "spec.revisionHistoryLimit"));
    workload_selector_validate(causes, object);
    template_validate(causes, STR("spec.template"), json_at(object, "spec.template"), always);
}

static void validate_create(struct request *request, const struct json *object, struct causes *causes)
{
    (void)request;
    validate_common(causes, object);
}

static void validate_update(struct request *request, const struct json *object, const struct json *old,
                            struct causes *causes)
{
    (void)request;
    validate_common(causes, object);
    check_immutable(causes, STR("spec.selector"), json_at(object, "spec.selector"), json_at(old, "spec.selector"));
}

/* apps/v1 has these two in its spec. */
static bool rolling_default(struct arena *arena, struct json *spec, const char *strategy, const char *surge,
                            const char *unavailable, bool as_int)
{
    struct json *outer = default_object_member(arena, spec, strategy), *rolling;
    bool ok;

    if (!outer || !default_str(arena, outer, "type", "RollingUpdate"))
        return false;
    if (!str_is(json_str(json_member(outer, "type")), "RollingUpdate"))
        return true;
    rolling = default_object_member(arena, outer, "rollingUpdate");
    if (!rolling)
        return false;
    if (as_int)
        return default_int(arena, rolling, "maxSurge", 0) && default_int(arena, rolling, "maxUnavailable", 1);
    ok = default_str(arena, rolling, "maxSurge", surge);
    return ok && default_str(arena, rolling, "maxUnavailable", unavailable);
}

static int default_deployment(struct request *request, struct json *object, struct err *err)
{
    struct arena *arena = request->arena;
    struct json *spec = json_ensure(arena, object, STR("spec"), JSON_OBJECT);

    if (!spec || !default_int(arena, spec, "replicas", 1) || !default_int(arena, spec, "revisionHistoryLimit", 10) ||
        !default_int(arena, spec, "progressDeadlineSeconds", 600) ||
        !rolling_default(arena, spec, "strategy", "25%", "25%", false))
        return out_of_memory(err);
    return template_default(request, json_member(spec, "template"), err);
}

static void check_rolling(struct causes *causes, const struct json *object)
{
    const struct json *strategy = json_at(object, "spec.strategy"), *rolling = json_member(strategy, "rollingUpdate");
    const struct json *surge = json_member(rolling, "maxSurge"), *unavailable = json_member(rolling, "maxUnavailable");
    bool no_surge = (surge && json_int(surge, -1) == 0) || str_is(json_str(surge), "0%");
    bool no_unavailable = (unavailable && json_int(unavailable, -1) == 0) || str_is(json_str(unavailable), "0%");

    if (str_is(json_str(json_member(strategy, "type")), "Recreate") && rolling)
        add_forbidden(causes, STR("spec.strategy.rollingUpdate"),
                      "may not be specified when strategy `type` is 'Recreate'");
    if (no_surge && no_unavailable)
        add_invalid(causes, STR("spec.strategy.rollingUpdate.maxUnavailable"), unavailable,
                    "may not be 0 when `maxSurge` is 0");
    if (json_int(json_at(object, "spec.progressDeadlineSeconds"), INT32_MAX) <=
        json_int(json_at(object, "spec.minReadySeconds"), 0))
        add_invalid(causes, STR("spec.progressDeadlineSeconds"), json_at(object, "spec.progressDeadlineSeconds"),
                    "must be greater than minReadySeconds");
}

static void validate_deployment(struct request *request, const struct json *object, struct causes *causes)
{
    validate_create(request, object, causes);
    check_rolling(causes, object);
}

static void validate_deployment_update(struct request *request, const struct json *object, const struct json *old,
                                       struct causes *causes)
{
    validate_update(request, object, old, causes);
    check_rolling(causes, object);
}

static int default_replicaset(struct request *request, struct json *object, struct err *err)
{
    struct json *spec = json_ensure(request->arena, object, STR("spec"), JSON_OBJECT);

    if (!spec || !default_int(request->arena, spec, "replicas", 1))
        return out_of_memory(err);
    return template_default(request, json_member(spec, "template"), err);
}

static int default_statefulset(struct request *request, struct json *object, struct err *err)
{
    struct arena *arena = request->arena;
    struct json *spec = json_ensure(arena, object, STR("spec"), JSON_OBJECT), *strategy, *retention, *claims;

    if (!spec || !default_int(arena, spec, "replicas", 1) || !default_int(arena, spec, "revisionHistoryLimit", 10) ||
        !default_str(arena, spec, "podManagementPolicy", "OrderedReady"))
        return out_of_memory(err);
    strategy = default_object_member(arena, spec, "updateStrategy");
    if (!strategy || !default_str(arena, strategy, "type", "RollingUpdate"))
        return out_of_memory(err);
    if (str_is(json_str(json_member(strategy, "type")), "RollingUpdate")) {
        struct json *rolling = default_object_member(arena, strategy, "rollingUpdate");

        if (!rolling || !default_int(arena, rolling, "partition", 0))
            return out_of_memory(err);
    }
    retention = default_object_member(arena, spec, "persistentVolumeClaimRetentionPolicy");
    if (!retention || !default_str(arena, retention, "whenDeleted", "Retain") ||
        !default_str(arena, retention, "whenScaled", "Retain"))
        return out_of_memory(err);
    claims = json_member(spec, "volumeClaimTemplates");
    for (uint32_t i = 0; json_is(claims, JSON_ARRAY) && i < claims->count; i++)
        if (!default_str(arena, json_member(&claims->items[i], "spec"), "volumeMode", "Filesystem"))
            return out_of_memory(err);
    return template_default(request, json_member(spec, "template"), err);
}

static void validate_statefulset_update(struct request *request, const struct json *object, const struct json *old,
                                        struct causes *causes)
{
    static const char *const frozen[] = { "selector", "serviceName", "volumeClaimTemplates", "podManagementPolicy" };
    static const struct json null = { .kind = JSON_NULL };

    (void)request;
    validate_common(causes, object);
    for (size_t i = 0; i < ARRAY_LEN(frozen); i++) {
        const struct json *now = json_get(json_member(object, "spec"), str_from(frozen[i]));
        const struct json *before = json_get(json_member(old, "spec"), str_from(frozen[i]));

        if (json_equal(now ? now : &null, before ? before : &null))
            continue;
        add_forbidden(causes, STR("spec"),
                      "updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', "
                      "'updateStrategy', 'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and "
                      "'minReadySeconds' are forbidden");
        return;
    }
}

static int default_daemonset(struct request *request, struct json *object, struct err *err)
{
    struct arena *arena = request->arena;
    struct json *spec = json_ensure(arena, object, STR("spec"), JSON_OBJECT);

    if (!spec || !default_int(arena, spec, "revisionHistoryLimit", 10) ||
        !rolling_default(arena, spec, "updateStrategy", NULL, NULL, true))
        return out_of_memory(err);
    return template_default(request, json_member(spec, "template"), err);
}

/* Selector and labels come from the template where they are absent. */
static int default_replicationcontroller(struct request *request, struct json *object, struct err *err)
{
    struct arena *arena = request->arena;
    struct json *spec = json_ensure(arena, object, STR("spec"), JSON_OBJECT), *meta;
    const struct json *labels = json_at(object, "spec.template.metadata.labels"), *selector;

    if (!spec || !default_int(arena, spec, "replicas", 1))
        return out_of_memory(err);
    selector = json_member(spec, "selector");
    if (json_is(labels, JSON_OBJECT) && labels->count) {
        if (!(json_is(selector, JSON_OBJECT) && selector->count) &&
            !json_set(arena, spec, STR("selector"), json_copy(arena, labels)))
            return out_of_memory(err);
        meta = json_member(object, "metadata");
        if (!json_member(meta, "labels") && !json_set(arena, meta, STR("labels"), json_copy(arena, labels)))
            return out_of_memory(err);
    }
    return template_default(request, json_member(json_member(object, "spec"), "template"), err);
}

static void validate_replicationcontroller(struct request *request, const struct json *object, struct causes *causes)
{
    const struct json *selector = json_at(object, "spec.selector");
    const struct json *labels = json_at(object, "spec.template.metadata.labels");

    (void)request;
    check_not_negative(causes, STR("spec.replicas"), json_at(object, "spec.replicas"));
    if (!json_is(selector, JSON_OBJECT) || !selector->count)
        add_required(causes, STR("spec.selector"), "");
    for (uint32_t i = 0; json_is(selector, JSON_OBJECT) && i < selector->count; i++)
        if (!str_eq(json_str(json_get(labels, selector->members[i].key)), json_str(&selector->members[i].value))) {
            struct json none = { .kind = JSON_OBJECT };

            add_invalid(causes, STR("spec.template.metadata.labels"), labels ? labels : &none,
                        "`selector` does not match template `labels`");
            break;
        }
    template_validate(causes, STR("spec.template"), json_at(object, "spec.template"), always);
}

static void validate_replicationcontroller_update(struct request *request, const struct json *object,
                                                  const struct json *old, struct causes *causes)
{
    (void)old;
    validate_replicationcontroller(request, object, causes);
}

const struct rules deployment_rules = {
    .resource = &RESOURCE_APPS_DEPLOYMENTS,
    .default_ = default_deployment,
    .validate_create = validate_deployment,
    .validate_update = validate_deployment_update,
};
const struct rules replicaset_rules = {
    .resource = &RESOURCE_APPS_REPLICASETS,
    .default_ = default_replicaset,
    .validate_create = validate_create,
    .validate_update = validate_update,
};
const struct rules statefulset_rules = {
    .resource = &RESOURCE_APPS_STATEFULSETS,
    .default_ = default_statefulset,
    .validate_create = validate_create,
    .validate_update = validate_statefulset_update,
};
const struct rules daemonset_rules = {
    .resource = &RESOURCE_APPS_DAEMONSETS,
    .default_ = default_daemonset,
    .validate_create = validate_create,
    .validate_update = validate_update,
};
const struct rules replicationcontroller_rules = {
    .resource = &RESOURCE_REPLICATIONCONTROLLERS,
    .flags = RULE_ORPHAN,
    .default_ = default_replicationcontroller,
    .validate_create = validate_replicationcontroller,
    .validate_update = validate_replicationcontroller_update,
};
