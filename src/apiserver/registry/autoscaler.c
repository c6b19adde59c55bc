/* autoscaler.c - horizontal pod autoscalers: their bounds, what they go by, and how fast they may be. */
#include "api/resources.h"
#include "apiserver/registry/place.h"
#include "apiserver/registry/rules.h"
#include "schema/quantity.h"

#define PERIOD_MAX 1800
#define WINDOW_MAX 3600

/* -- defaults -- */

/* One metric when there is none: the use of CPU. */
static int default_metrics(struct arena *arena, struct json *spec, struct err *err)
{
    static const struct str text =
        STR_INIT("[{\"resource\":{\"name\":\"cpu\",\"target\":{\"averageUtilization\":80,\"type\":\"Utilization\"}},"
                 "\"type\":\"Resource\"}]");
    const struct json *metrics = json_member(spec, "metrics");
    struct json *usual;
    int code;

    if (json_is(metrics, JSON_ARRAY) && metrics->count)
        return 0;
    if ((code = json_parse(arena, text, NULL, &usual, err)) < 0)
        return code;
    return json_set(arena, spec, STR("metrics"), usual) ? 0 : out_of_memory(err);
}

/* Rules that say only part: the rest is what an autoscaler without any does. */
static int default_direction(struct arena *arena, struct json *behavior, const char *direction, const char *policies,
                             struct err *err)
{
    struct json *rules = json_ensure(arena, behavior, str_from(direction), JSON_OBJECT), *usual;
    const struct json *present = json_member(rules, "policies");
    int code;

    if (!rules)
        return out_of_memory(err);
    if (!(json_is(present, JSON_ARRAY) && present->count)) {
        if ((code = json_parse(arena, str_from(policies), NULL, &usual, err)) < 0)
            return code;
        if (!json_set(arena, rules, STR("policies"), usual))
            return out_of_memory(err);
    }
    return default_str(arena, rules, "selectPolicy", "Max") ? 0 : out_of_memory(err);
}

static int default_autoscaler(struct request *request, struct json *object, struct err *err)
{
    struct arena *arena = request->arena;
    struct json *spec = json_ensure(arena, object, STR("spec"), JSON_OBJECT), *behavior, *up;
    int code;

    if (!spec)
        return out_of_memory(err);
    if ((code = default_metrics(arena, spec, err)) < 0)
        return code;
    behavior = json_member(spec, "behavior");
    if (!json_is(behavior, JSON_OBJECT))
        return 0;
    if ((code = default_direction(arena, behavior, "scaleUp",
                                  "[{\"type\":\"Pods\",\"value\":4,\"periodSeconds\":15},"
                                  "{\"type\":\"Percent\",\"value\":100,\"periodSeconds\":15}]",
                                  err)) < 0 ||
        (code = default_direction(arena, behavior, "scaleDown",
                                  "[{\"type\":\"Percent\",\"value\":100,\"periodSeconds\":15}]", err)) < 0)
        return code;
    up = json_member(behavior, "scaleUp");
    return default_int(arena, up, "stabilizationWindowSeconds", 0) ? 0 : out_of_memory(err);
}

/* -- metrics -- */

static void check_positive(const struct place *at)
{
    struct quantity quantity;

    if (quantity_parse(place_str(at), &quantity) && quantity.nano <= 0)
        say_invalid(at, "must be positive");
}

static void check_target(const struct place *target)
{
    struct place type = place_member(target, "type"), value = place_member(target, "value");
    struct place average = place_member(target, "averageValue");

    check_required(&type, "must specify a metric target type");
    if (!place_is(&type, "Utilization") && !place_is(&type, "Value") && !place_is(&type, "AverageValue"))
        say_invalid_as(&type, place_str(&type), "must be either Utilization, Value, or AverageValue");
    check_positive(&value);
    check_positive(&average);
}

static void check_metric_name(const struct place *source)
{
    struct place metric = place_member(source, "metric"), name = place_member(&metric, "name");

    check_required(&name, "must specify a metric name");
}

static void check_object_source(const struct place *source)
{
    struct place target = place_member(source, "target"), value = place_member(&target, "value");
    struct place average = place_member(&target, "averageValue");

    check_metric_name(source);
    check_target(&target);
    if (!place_there(&value) && !place_there(&average))
        say_required(&average, "must set either a target value or averageValue");
}

static void check_external_source(const struct place *source)
{
    struct place target = place_member(source, "target"), value = place_member(&target, "value");
    struct place average = place_member(&target, "averageValue");

    check_metric_name(source);
    check_target(&target);
    if (!place_there(&value) && !place_there(&average))
        say_required(&average, "must set either a target value for metric or a per-pod target");
    else if (place_there(&value) && place_there(&average))
        say_forbidden(&value, "may not set both a target value for metric and a per-pod target");
}

static void check_pods_source(const struct place *source)
{
    struct place target = place_member(source, "target"), average = place_member(&target, "averageValue");

    check_metric_name(source);
    check_target(&target);
    if (!place_there(&average))
        say_required(&average, "must specify a positive target averageValue");
}

static void check_resource_source(const struct place *source)
{
    struct place name = place_member(source, "name"), target = place_member(source, "target");
    struct place use = place_member(&target, "averageUtilization"), average = place_member(&target, "averageValue");

    check_required(&name, "must specify a resource name");
    check_target(&target);
    if (!place_there(&use) && !place_there(&average))
        say_required(&use, "must set either a target raw value or a target utilization");
    else if (place_there(&use) && place_there(&average))
        say_forbidden(&average, "may not set both a target raw value and a target utilization");
}

/* A resource of containers: of a known name, or a qualified one. */
static void check_container_source(const struct place *source)
{
    struct place name = place_member(source, "name"), container = place_member(source, "container");
    struct str text = place_str(&name);

    check_resource_source(source);
    if (!str_empty(text)) {
        check_qualified(&name);
        if (str_chr(text, '/') < 0 && !str_is(text, "cpu") && !str_is(text, "memory") &&
            !str_is(text, "ephemeral-storage") && !str_has_prefix(text, STR("hugepages-")))
            say_invalid(&name, "must be a standard resource for containers");
    }
    check_required(&container, "must specify a container");
}

static const struct {
    const char *type, *member;
    void (*check)(const struct place *source);
} sources[] = {
    { "Object", "object", check_object_source },
    { "External", "external", check_external_source },
    { "Pods", "pods", check_pods_source },
    { "Resource", "resource", check_resource_source },
    { "ContainerResource", "containerResource", check_container_source },
};

static void check_metric(const struct place *metric)
{
    static const char *const types[] = { "ContainerResource", "External", "Object", "Pods", "Resource", NULL };
    struct place type = place_member(metric, "type");
    size_t present = 0;

    check_required(&type, "must specify a metric source type");
    check_one_of(&type, types);
    for (size_t i = 0; i < ARRAY_LEN(sources); i++) {
        struct place source = place_member(metric, sources[i].member);

        if (place_there(&source) && ++present == 1)
            sources[i].check(&source);
        if (!place_there(&source) && place_is(&type, sources[i].type))
            say_required(&source, "must populate information for the given metric source");
    }
    for (size_t i = 0; present != 1 && i < ARRAY_LEN(sources); i++) {
        struct place source = place_member(metric, sources[i].member);

        if (place_there(&source) && !place_is(&type, sources[i].type))
            say_forbidden(&source, "must populate the given metric source only");
    }
}

static void check_metrics(const struct place *metrics, bool to_zero)
{
    bool outside = false;

    place_each (metric, metrics) {
        struct place type = place_member(&metric, "type");

        check_metric(&metric);
        outside |= place_is(&type, "Object") || place_is(&type, "External");
    }
    if (to_zero && !outside)
        say_forbidden(metrics, "must specify at least one Object or External metric to support scaling to zero "
                               "replicas");
}

/* -- behavior -- */

static void check_policy(const struct place *policy)
{
    static const char *const types[] = { "Percent", "Pods", NULL };
    struct place type = place_member(policy, "type"), value = place_member(policy, "value");
    struct place period = place_member(policy, "periodSeconds");

    check_one_of(&type, types);
    check_range(&value, 1, INT64_MAX, "must be greater than zero");
    check_range(&period, 1, INT64_MAX, "must be greater than zero");
    check_range(&period, INT64_MIN, PERIOD_MAX, "must be less than or equal to 1800");
}

static void check_direction(const struct place *rules)
{
    static const char *const selections[] = { "Disabled", "Max", "Min", NULL };
    struct place window = place_member(rules, "stabilizationWindowSeconds"), policies = place_member(rules, "policies");
    struct place selection = place_member(rules, "selectPolicy"), tolerance = place_member(rules, "tolerance");

    if (!place_there(rules))
        return;
    check_range(&window, 0, INT64_MAX, "must be greater than or equal to zero");
    check_range(&window, INT64_MIN, WINDOW_MAX, "must be less than or equal to 3600");
    if (place_there(&selection))
        check_one_of(&selection, selections);
    if (!place_count(&policies))
        say_required(&policies, "must specify at least one Policy");
    place_each (policy, &policies)
        check_policy(&policy);
    check_quantity_not_negative(&tolerance);
}

/* -- the whole -- */

static void check_spec(const struct json *object, int64_t least, struct causes *causes)
{
    struct place scaler = place_object(causes, object), spec = place_member(&scaler, "spec");
    struct place min = place_member(&spec, "minReplicas"), max = place_member(&spec, "maxReplicas");
    struct place metrics = place_member(&spec, "metrics"), behavior = place_member(&spec, "behavior");
    struct place up = place_member(&behavior, "scaleUp"), down = place_member(&behavior, "scaleDown");

    if (place_there(&min) && place_int(&min) < least)
        say_invalid(&min, "must be greater than or equal to %lld", (long long)least);
    if (place_there(&min) && place_int(&max) < place_int(&min))
        say_invalid(&max, "must be greater than or equal to `minReplicas`");
    check_metrics(&metrics, place_there(&min) && place_int(&min) == 0);
    check_direction(&up);
    check_direction(&down);
}

static void validate(struct request *request, const struct json *object, struct causes *causes)
{
    (void)request;
    check_spec(object, 1, causes);
}

static void validate_update(struct request *request, const struct json *object, const struct json *old,
                            struct causes *causes)
{
    (void)request;
    check_spec(object, json_int(json_at(old, "spec.minReplicas"), 1) == 0 ? 0 : 1, causes);
}

static void validate_status(struct request *request, const struct json *object, const struct json *old,
                            struct causes *causes)
{
    struct place current = place_named(causes, "status.currentReplicas", json_at(object, "status.currentReplicas"));
    struct place desired = place_named(causes, "status.desiredReplicas", json_at(object, "status.desiredReplicas"));

    (void)request;
    (void)old;
    check_range(&current, 0, INT64_MAX, "must be greater than or equal to 0");
    check_range(&desired, 0, INT64_MAX, "must be greater than or equal to 0");
}

const struct rules autoscaler_rules = {
    .resource = &RESOURCE_AUTOSCALING_V2_HORIZONTALPODAUTOSCALERS,
    .flags = RULE_NO_GENERATION,
    .default_ = default_autoscaler,
    .validate_create = validate,
    .validate_update = validate_update,
    .validate_status = validate_status,
};
