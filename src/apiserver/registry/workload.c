/* workload.c - what runs pods from a template: deployments, replica sets, stateful sets, daemon sets, replication
 * controllers. */
#include "api/resources.h"
#include "apiserver/registry/rules.h"
#include "schema/selector.h"

/* spec.selector: there, not empty, and fitting the labels of spec.template. kind is named in the message. */
static void check_selector(struct causes *causes, const struct json *object, const char *kind)
{
    const struct json *json = json_at(object, "spec.selector"), *labels = json_at(object, "spec.template.metadata.labels");
    static const struct json none = { .kind = JSON_OBJECT };
    const struct selector *selector = NULL;
    struct path *at = AT(AT(NULL, "spec"), "selector");
    struct err err = { 0 };

    if (!json)
        return; /* the table says so */
    if (!members_of(json_member(json, "matchLabels")) && !items_of(json_member(json, "matchExpressions"))) {
        cause_at(causes, CAUSE_INVALID, at, "Invalid value: " STR_FMT ": %s", STR_ARG(cause_value(causes->arena, json)),
                 kind);
        return;
    }
    if (selector_from_json(causes->arena, json, &selector, &err) < 0)
        return; /* so does the check of its parts */
    if (!selector_matches_json(selector, labels))
        cause_invalid(causes, AT(AT(AT(AT(NULL, "spec"), "template"), "metadata"), "labels"), labels ? labels : &none,
                      "`selector` does not match template `labels`");
}

static const struct path *spec_path(void)
{
    static const struct path spec = { NULL, &type_any, STR_INIT("spec"), 0 };

    return &spec;
}

/* -- numbers or percentages -- */

static int64_t percent_or_number(const struct json *value)
{
    struct str text = json_str(value);
    int64_t number = 0;

    if (text.data)
        return str_has_suffix(text, STR("%")) && str_to_i64(str_chop(text, 1), &number) ? number : 0;
    return json_int(value, 0);
}

static bool is_percent(struct str text)
{
    for (size_t i = 0; i + 1 < text.len; i++)
        if (text.data[i] < '0' || text.data[i] > '9')
            return false;
    return text.len > 1 && text.data[text.len - 1] == '%';
}

static void check_amount(struct causes *causes, const struct path *at, const struct json *value, bool capped)
{
    struct str text = json_str(value);

    if (!value)
        return;
    if (text.data && !is_percent(text))
        cause_invalid(causes, at, value,
                      "a valid percent string must be a numeric string followed by an ending '%' (e.g. '1%',  or "
                      "'93%', regex used for validation is '[0-9]+%')");
    else if (!text.data && json_int(value, 0) < 0)
        cause_invalid(causes, at, value, "must be greater than or equal to 0");
    else if (capped && text.data && percent_or_number(value) > 100)
        cause_invalid(causes, at, value, "must not be greater than 100%");
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
    struct path *at = AT(AT(spec_path(), "strategy"), "rollingUpdate");

    if (!rolling)
        return;
    if (str_is(text_in(strategy, "type"), "Recreate")) {
        cause_forbidden(causes, at, "may not be specified when strategy `type` is 'Recreate'");
        return;
    }
    check_amount(causes, AT(at, "maxUnavailable"), unavailable, true);
    check_amount(causes, AT(at, "maxSurge"), surge, false);
    if (percent_or_number(unavailable) == 0 && percent_or_number(surge) == 0)
        cause_invalid(causes, AT(at, "maxUnavailable"), unavailable, "may not be 0 when `maxSurge` is 0");
}

static void validate_deployment(struct request *request, const struct json *object, struct causes *causes)
{
    const struct json *deadline = json_at(object, "spec.progressDeadlineSeconds");

    (void)request;
    check_selector(causes, object, "empty selector is invalid for deployment");
    template_check_always(causes, AT(spec_path(), "template"), json_at(object, "spec.template"), "ReplicaSet");
    check_rolling(causes, object);
    if (deadline && json_int(deadline, 0) <= json_int(json_at(object, "spec.minReadySeconds"), 0))
        cause_invalid(causes, AT(spec_path(), "progressDeadlineSeconds"), deadline,
                      "must be greater than minReadySeconds");
}

static void validate_deployment_update(struct request *request, const struct json *object, const struct json *old,
                                       struct causes *causes)
{
    (void)old;
    validate_deployment(request, object, causes);
}

static void validate_replicaset(struct request *request, const struct json *object, struct causes *causes)
{
    (void)request;
    check_selector(causes, object, "empty selector is invalid for deployment");
    template_check_always(causes, AT(spec_path(), "template"), json_at(object, "spec.template"), "ReplicaSet");
}

static void validate_replicaset_update(struct request *request, const struct json *object, const struct json *old,
                                       struct causes *causes)
{
    (void)old;
    validate_replicaset(request, object, causes);
}

/* -- status -- */

/* Counts are not negative, and none is larger than the one that it is part of. */
static void check_counts(struct causes *causes, const struct json *status, const char *const *names, size_t count)
{
    struct path *at = AT(NULL, "status");
    int64_t total = json_int(json_member(status, "replicas"), 0);

    for (size_t i = 0; i < count; i++) {
        const struct json *value = json_get(status, str_from(names[i]));
        struct path here = path_member(at, str_from(names[i]));

        if (!value)
            continue;
        if (json_int(value, 0) < 0)
            cause_invalid(causes, &here, value, "must be greater than or equal to 0");
        else if (json_int(value, 0) > total && str_has_suffix(str_from(names[i]), STR("Replicas")))
            cause_invalid(causes, &here, value, "cannot be greater than status.replicas");
    }
    if (json_int(json_member(status, "availableReplicas"), 0) > json_int(json_member(status, "readyReplicas"), 0))
        cause_invalid(causes, AT(at, "availableReplicas"), json_member(status, "availableReplicas"),
                      "cannot be greater than readyReplicas");
}

static void check_collisions(struct causes *causes, const struct json *object, const struct json *old)
{
    int64_t now = json_int(json_at(object, "status.collisionCount"), 0);

    if (now < json_int(json_at(old, "status.collisionCount"), 0))
        cause_invalid_int(causes, AT(AT(NULL, "status"), "collisionCount"), now, "cannot be decremented");
}

static void validate_deployment_status(struct request *request, const struct json *object, const struct json *old,
                                       struct causes *causes)
{
    static const char *const names[] = { "replicas", "updatedReplicas", "readyReplicas", "availableReplicas",
                                         "observedGeneration", "collisionCount" };

    (void)request;
    check_counts(causes, json_member(object, "status"), names, ARRAY_LEN(names));
    check_collisions(causes, object, old);
}

static void validate_replicaset_status(struct request *request, const struct json *object, const struct json *old,
                                       struct causes *causes)
{
    static const char *const names[] = { "replicas", "fullyLabeledReplicas", "readyReplicas", "availableReplicas",
                                         "observedGeneration" };

    (void)request;
    (void)old;
    check_counts(causes, json_member(object, "status"), names, ARRAY_LEN(names));
}

static void validate_statefulset_status(struct request *request, const struct json *object, const struct json *old,
                                        struct causes *causes)
{
    static const char *const names[] = { "replicas", "readyReplicas", "currentReplicas", "updatedReplicas",
                                         "availableReplicas", "observedGeneration", "collisionCount" };

    (void)request;
    check_counts(causes, json_member(object, "status"), names, ARRAY_LEN(names));
    check_collisions(causes, object, old);
}

static void validate_daemonset_status(struct request *request, const struct json *object, const struct json *old,
                                      struct causes *causes)
{
    static const char *const names[] = { "currentNumberScheduled", "numberMisscheduled", "desiredNumberScheduled",
                                         "numberReady", "observedGeneration", "updatedNumberScheduled",
                                         "numberAvailable", "numberUnavailable", "collisionCount" };

    (void)request;
    check_counts(causes, json_member(object, "status"), names, ARRAY_LEN(names));
    check_collisions(causes, object, old);
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

static void check_update_strategy(struct causes *causes, const struct json *strategy)
{
    const struct json *rolling = json_member(strategy, "rollingUpdate");
    struct path *at = AT(spec_path(), "updateStrategy");
    struct str type = text_in(strategy, "type");

    if (!str_is(type, "RollingUpdate") && !str_is(type, "OnDelete"))
        cause_invalid(causes, at, strategy, "must be 'RollingUpdate' or 'OnDelete'");
    else if (str_is(type, "OnDelete") && rolling)
        cause_invalid(causes, AT(at, "rollingUpdate"), rolling, "only allowed for updateStrategy 'RollingUpdate'");
    else
        check_amount(causes, AT(AT(at, "rollingUpdate"), "maxUnavailable"), json_member(rolling, "maxUnavailable"), true);
}

static void validate_statefulset(struct request *request, const struct json *object, struct causes *causes)
{
    struct str policy = json_str_at(object, "spec.podManagementPolicy");

    (void)request;
    if (!str_is(policy, "OrderedReady") && !str_is(policy, "Parallel"))
        cause_invalid_str(causes, AT(spec_path(), "podManagementPolicy"), policy,
                          "must be 'OrderedReady' or 'Parallel'");
    check_update_strategy(causes, json_at(object, "spec.updateStrategy"));
    check_selector(causes, object, "empty selector is invalid for statefulset");
    template_check_always(causes, AT(spec_path(), "template"), json_at(object, "spec.template"), "StatefulSet");
}

/* Claims that are made from templates count as the set's volumes. */
static struct json *with_claims(struct arena *arena, const struct json *object)
{
    const struct json *claims = json_at(object, "spec.volumeClaimTemplates");
    struct json *copy, *volumes, *spec;

    if (!items_of(claims))
        return NULL;
    copy = json_copy(arena, object);
    spec = json_at(copy, "spec.template.spec");
    volumes = spec ? json_ensure(arena, spec, STR("volumes"), JSON_ARRAY) : NULL;
    for (uint32_t i = 0; volumes && i < claims->count; i++) {
        struct json *volume = json_append(arena, volumes, &(struct json){ .kind = JSON_OBJECT }), *source;

        if (!volume || !json_set_str(arena, volume, STR("name"), json_str_at(&claims->items[i], "metadata.name")) ||
            !(source = json_ensure(arena, volume, STR("persistentVolumeClaim"), JSON_OBJECT)) ||
            !json_set_str(arena, source, STR("claimName"), STR("claim")))
            return NULL;
    }
    return copy;
}

static void validate_statefulset_create(struct request *request, const struct json *object, struct causes *causes)
{
    const struct json *whole = with_claims(causes->arena, object);

    validate_statefulset(request, whole ? whole : object, causes);
}

static void validate_statefulset_update(struct request *request, const struct json *object, const struct json *old,
                                        struct causes *causes)
{
    static const char *const frozen[] = { "selector", "serviceName", "volumeClaimTemplates", "podManagementPolicy" };

    validate_statefulset_create(request, object, causes);
    for (size_t i = 0; i < ARRAY_LEN(frozen); i++) {
        const struct json *now = json_get(json_member(object, "spec"), str_from(frozen[i]));
        const struct json *before = json_get(json_member(old, "spec"), str_from(frozen[i]));

        if (json_same(now, before))
            continue;
        cause_forbidden(causes, spec_path(),
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

static void check_daemonset_strategy(struct causes *causes, const struct json *strategy)
{
    const struct json *rolling = json_member(strategy, "rollingUpdate"), *surge = json_member(rolling, "maxSurge");
    const struct json *unavailable = json_member(rolling, "maxUnavailable");
    struct path *at = AT(AT(spec_path(), "updateStrategy"), "rollingUpdate");
    bool has_surge = percent_or_number(surge) != 0, has_unavailable = percent_or_number(unavailable) != 0;

    if (!str_is(text_in(strategy, "type"), "RollingUpdate"))
        return;
    check_amount(causes, AT(at, "maxUnavailable"), unavailable, true);
    check_amount(causes, AT(at, "maxSurge"), surge, true);
    if (has_surge && has_unavailable)
        cause_invalid(causes, AT(at, "maxSurge"), surge, "may not be set when maxUnavailable is non-zero");
    else if (!has_surge && !has_unavailable)
        cause_required(causes, AT(at, "maxUnavailable"), "cannot be 0 when maxSurge is 0");
}

static void validate_daemonset(struct request *request, const struct json *object, struct causes *causes)
{
    (void)request;
    check_selector(causes, object, "empty selector is invalid for daemonset");
    template_check_always(causes, AT(spec_path(), "template"), json_at(object, "spec.template"), "DaemonSet");
    check_daemonset_strategy(causes, json_at(object, "spec.updateStrategy"));
}

static void validate_daemonset_update(struct request *request, const struct json *object, const struct json *old,
                                      struct causes *causes)
{
    (void)old;
    validate_daemonset(request, object, causes);
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
    const struct json *selector = json_at(object, "spec.selector"), *template = json_at(object, "spec.template");
    const struct json *labels = json_at(template, "metadata.labels");
    static const struct json none = { .kind = JSON_OBJECT };
    struct path *at = AT(spec_path(), "template");

    (void)request;
    if (!members_of(selector))
        cause_required(causes, AT(spec_path(), "selector"), "");
    if (!template) {
        cause_required(causes, at, "");
        return;
    }
    for (uint32_t i = 0; i < members_of(selector); i++)
        if (!str_eq(json_str(json_get(labels, selector->members[i].key)), json_str(&selector->members[i].value))) {
            cause_invalid(causes, AT(AT(at, "metadata"), "labels"), labels ? labels : &none,
                          "`selector` does not match template `labels`");
            break;
        }
    template_check_always(causes, at, template, "ReplicationController");
}

static void validate_replicationcontroller_update(struct request *request, const struct json *object,
                                                  const struct json *old, struct causes *causes)
{
    (void)old;
    validate_replicationcontroller(request, object, causes);
}

/* -- templates and revisions -- */

static int default_podtemplate(struct request *request, struct json *object, struct err *err)
{
    return template_default(request, json_member(object, "template"), err);
}

static void validate_podtemplate(struct request *request, const struct json *object, struct causes *causes)
{
    (void)request;
    template_check(causes, AT(NULL, "template"), json_member(object, "template"));
}

static void validate_podtemplate_update(struct request *request, const struct json *object, const struct json *old,
                                        struct causes *causes)
{
    (void)old;
    validate_podtemplate(request, object, causes);
}

static void validate_revision(struct request *request, const struct json *object, struct causes *causes)
{
    (void)request;
    if (!json_member(object, "data"))
        cause_required(causes, AT(NULL, "data"), "data is mandatory");
}

const struct rules deployment_rules = {
    .resource = &RESOURCE_APPS_DEPLOYMENTS,
    .default_ = default_deployment,
    .validate_create = validate_deployment,
    .validate_update = validate_deployment_update,
    .validate_status = validate_deployment_status,
};
const struct rules replicaset_rules = {
    .resource = &RESOURCE_APPS_REPLICASETS,
    .default_ = default_replicaset,
    .validate_create = validate_replicaset,
    .validate_update = validate_replicaset_update,
    .validate_status = validate_replicaset_status,
};
const struct rules statefulset_rules = {
    .resource = &RESOURCE_APPS_STATEFULSETS,
    .default_ = default_statefulset,
    .validate_create = validate_statefulset_create,
    .validate_update = validate_statefulset_update,
    .validate_status = validate_statefulset_status,
};
const struct rules daemonset_rules = {
    .resource = &RESOURCE_APPS_DAEMONSETS,
    .default_ = default_daemonset,
    .validate_create = validate_daemonset,
    .validate_update = validate_daemonset_update,
    .validate_status = validate_daemonset_status,
};
const struct rules replicationcontroller_rules = {
    .resource = &RESOURCE_REPLICATIONCONTROLLERS,
    .flags = RULE_ORPHAN,
    .default_ = default_replicationcontroller,
    .validate_create = validate_replicationcontroller,
    .validate_update = validate_replicationcontroller_update,
    .validate_status = validate_replicaset_status,
};
const struct rules podtemplate_rules = {
    .resource = &RESOURCE_PODTEMPLATES,
    .default_ = default_podtemplate,
    .validate_create = validate_podtemplate,
    .validate_update = validate_podtemplate_update,
};
const struct rules controllerrevision_rules = {
    .resource = &RESOURCE_APPS_CONTROLLERREVISIONS,
    .flags = RULE_NO_GENERATION,
    .validate_create = validate_revision,
};
