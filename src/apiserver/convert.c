/* convert.c - conversion by renaming, with one function for what renaming cannot do.
 *
 * Events: core/v1 and events.k8s.io/v1 are one object under two sets of names. Autoscalers: v1 knows only the target
 * for CPU, v2 a list of metrics; what v1 cannot say rides in an annotation, so that nothing is lost on the way there
 * and back. */
#include "apiserver/convert.h"

#include "schema/object.h"

#define METRICS_ANNOTATION STR("autoscaling.alpha.kubernetes.io/metrics")
#define BEHAVIOR_ANNOTATION STR("autoscaling.alpha.kubernetes.io/behavior")

struct rename {
    const char *core, *events;
};

static const struct rename event_names[] = {
    { "involvedObject", "regarding" },
    { "message", "note" },
    { "source", "deprecatedSource" },
    { "firstTimestamp", "deprecatedFirstTimestamp" },
    { "lastTimestamp", "deprecatedLastTimestamp" },
    { "count", "deprecatedCount" },
    { "reportingComponent", "reportingController" },
};

static int no_memory(struct err *err)
{
    return err_set(err, ERR_NO_MEMORY, "converting an object");
}

static int rename_member(struct arena *arena, struct json *object, const char *from, const char *to, struct err *err)
{
    struct json *member = json_get(object, str_from(from)), value;

    if (!member)
        return 0;
    value = *member;
    json_remove(object, str_from(from));
    return json_set(arena, object, str_from(to), &value) ? 0 : no_memory(err);
}

static int convert_event(struct arena *arena, bool to_core, struct json *object, struct err *err)
{
    int code = 0;

    for (size_t i = 0; i < ARRAY_LEN(event_names) && code == 0; i++)
        code = to_core ? rename_member(arena, object, event_names[i].events, event_names[i].core, err)
                       : rename_member(arena, object, event_names[i].core, event_names[i].events, err);
    return code;
}

static bool is_cpu_utilization(const struct json *metric)
{
    return str_is(json_str(json_member(metric, "type")), "Resource") &&
           str_is(json_str_at(metric, "resource.name"), "cpu") &&
           str_is(json_str_at(metric, "resource.target.type"), "Utilization");
}

static int annotate(struct arena *arena, struct json *object, struct str key, const struct json *value, struct err *err)
{
    struct json *meta = json_ensure(arena, object, STR("metadata"), JSON_OBJECT);
    struct json *annotations = meta ? json_ensure(arena, meta, STR("annotations"), JSON_OBJECT) : NULL;
    struct str text = json_text(arena, value);

    if (!annotations || !text.data || !json_set_str(arena, annotations, key, text))
        return no_memory(err);
    return 0;
}

/* spec.metrics becomes targetCPUUtilizationPercentage; what else there is goes to the annotation. */
static int autoscaler_to_v1(struct arena *arena, struct json *object, struct err *err)
{
    struct json *spec = json_member(object, "spec"), *status = json_member(object, "status");
    struct json *metrics = json_member(spec, "metrics"), *behavior = json_member(spec, "behavior");
    struct json *current = json_member(status, "currentMetrics");
    int code;

    for (uint32_t i = 0; json_is(metrics, JSON_ARRAY) && i < metrics->count; i++) {
        const struct json *value = json_at(&metrics->items[i], "resource.target.averageUtilization");

        if (!is_cpu_utilization(&metrics->items[i]) || !value)
            continue;
        if (!json_set_int(arena, spec, STR("targetCPUUtilizationPercentage"), json_int(value, 0)))
            return no_memory(err);
        metrics = json_member(spec, "metrics");
        json_remove_at(metrics, i);
        break;
    }
    if (json_is(metrics, JSON_ARRAY) && metrics->count &&
        (code = annotate(arena, object, METRICS_ANNOTATION, metrics, err)) < 0)
        return code;
    behavior = json_member(json_member(object, "spec"), "behavior");
    if (behavior && (code = annotate(arena, object, BEHAVIOR_ANNOTATION, behavior, err)) < 0)
        return code;
    spec = json_member(object, "spec");
    status = json_member(object, "status");
    current = json_member(status, "currentMetrics");
    for (uint32_t i = 0; json_is(current, JSON_ARRAY) && i < current->count; i++) {
        const struct json *value = json_at(&current->items[i], "resource.current.averageUtilization");

        if (str_is(json_str_at(&current->items[i], "resource.name"), "cpu") && value) {
            if (!json_set_int(arena, status, STR("currentCPUUtilizationPercentage"), json_int(value, 0)))
                return no_memory(err);
            break;
        }
    }
    if (spec)
        json_remove(spec, STR("metrics")), json_remove(spec, STR("behavior"));
    if (status)
        json_remove(status, STR("currentMetrics")), json_remove(status, STR("conditions"));
    return 0;
}

static struct json *cpu_metric(struct arena *arena, const char *inner, int64_t value)
{
    struct str text = arena_printf(arena,
                                   "{\"resource\":{\"name\":\"cpu\",\"%s\":{\"averageUtilization\":%lld%s}},"
                                   "\"type\":\"Resource\"}",
                                   inner, (long long)value, inner[0] == 't' ? ",\"type\":\"Utilization\"" : "");
    struct json *metric = NULL;

    return text.data && json_parse(arena, text, NULL, &metric, NULL) == 0 ? metric : NULL;
}

/* Takes the annotation back into the member of the spec. */
static int take_annotation(struct arena *arena, struct json *object, struct str key, const char *member,
                           enum json_kind kind, struct err *err)
{
    struct json *annotations = json_at(object, "metadata.annotations"), *spec, *value;
    struct str text = json_str(json_get(annotations, key));

    if (!text.data)
        return 0;
    if (json_parse(arena, text, NULL, &value, NULL) == 0 && value->kind == kind) {
        spec = json_ensure(arena, object, STR("spec"), JSON_OBJECT);
        if (!spec || !json_set(arena, spec, str_from(member), value))
            return no_memory(err);
    }
    json_remove(json_at(object, "metadata.annotations"), key);
    return 0;
}

static int autoscaler_to_v2(struct arena *arena, struct json *object, struct err *err)
{
    struct json *spec, *status, *metrics, *metric, *target;
    int code;

    if ((code = take_annotation(arena, object, METRICS_ANNOTATION, "metrics", JSON_ARRAY, err)) < 0 ||
        (code = take_annotation(arena, object, BEHAVIOR_ANNOTATION, "behavior", JSON_OBJECT, err)) < 0)
        return code;
    spec = json_member(object, "spec");
    target = json_member(spec, "targetCPUUtilizationPercentage");
    if (target) {
        metric = cpu_metric(arena, "target", json_int(target, 0));
        metrics = json_ensure(arena, spec, STR("metrics"), JSON_ARRAY);
        if (!metric || !metrics || !json_insert(arena, metrics, 0, metric))
            return no_memory(err);
        json_remove(spec, STR("targetCPUUtilizationPercentage"));
    }
    status = json_member(object, "status");
    target = json_member(status, "currentCPUUtilizationPercentage");
    if (target) {
        metric = cpu_metric(arena, "current", json_int(target, 0));
        metrics = json_ensure(arena, status, STR("currentMetrics"), JSON_ARRAY);
        if (!metric || !metrics || !json_append(arena, metrics, metric))
            return no_memory(err);
        json_remove(status, STR("currentCPUUtilizationPercentage"));
    }
    return 0;
}

static int set_version(struct arena *arena, const struct resource *to, struct json *object, struct err *err)
{
    struct str api_version = str_empty(to->group) ? to->version
                                                  : arena_printf(arena, STR_FMT "/" STR_FMT, STR_ARG(to->group),
                                                                 STR_ARG(to->version));

    if (!api_version.data || !json_set_str(arena, object, STR("apiVersion"), api_version) ||
        !json_set_str(arena, object, STR("kind"), to->kind))
        return no_memory(err);
    return 0;
}

int convert_stored(struct arena *arena, const struct resource *storage, struct json *object, struct err *err)
{
    int code;

    if (!resource_is_custom(storage))
        return 0;
    if ((code = set_version(arena, storage, object, err)) < 0 ||
        (code = object_normalize(arena, storage->type, object, NULL, err)) < 0)
        return code;
    return object_default(arena, storage->type, object, err);
}

/* Versions of custom resources differ in what they prune and default. On the way into the store nothing is defaulted:
 * that comes with the write, and an applied configuration must stay what its author said. */
static int convert_custom(struct arena *arena, const struct resource *from, const struct resource *to,
                          struct json *object, struct err *err)
{
    int code;

    if ((code = set_version(arena, to, object, err)) < 0 ||
        (code = object_normalize(arena, to->type, object, NULL, err)) < 0 || from->storage != from)
        return code;
    return object_default(arena, to->type, object, err);
}

int convert_object(struct arena *arena, const struct resource *from, const struct resource *to, struct json *object,
                   struct err *err)
{
    int code = 0;

    if (from == to)
        return 0;
    if (resource_is_custom(to))
        return convert_custom(arena, from, to, object, err);
    if (str_is(from->kind, "Event"))
        code = convert_event(arena, str_empty(to->group), object, err);
    else if (str_is(from->kind, "HorizontalPodAutoscaler"))
        code = str_is(to->version, "v1") ? autoscaler_to_v1(arena, object, err) : autoscaler_to_v2(arena, object, err);
    if (code < 0)
        return code;
    return set_version(arena, to, object, err);
}
