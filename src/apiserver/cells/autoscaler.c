/* autoscaler.c - cells of horizontal pod autoscalers: "cpu: 12%/80%, 3/10 (avg)". */
#include "apiserver/cells/cells.h"

#define SHOWN_MAX 2
#define UNKNOWN STR("<unknown>")

static void reference(struct arena *arena, const struct json *object, nsec_t now, struct json *ret_cell)
{
    cell_printf(arena, ret_cell, STR_FMT "/" STR_FMT, STR_ARG(json_str_at(object, "spec.scaleTargetRef.kind")),
                STR_ARG(json_str_at(object, "spec.scaleTargetRef.name")));
}

static struct str scalar_or_unknown(const struct json *json)
{
    return str_or(cell_scalar(json), UNKNOWN);
}

static struct str percent(struct arena *arena, const struct json *json, struct str fallback)
{
    return json_is(json, JSON_NUMBER) ? arena_printf(arena, "%lld%%", (long long)json_int(json, 0)) : fallback;
}

/* A resource of the pods or of one of their containers: a quantity, or a share of what they request. */
static struct str resource_target(struct arena *arena, const struct json *name, const struct json *target,
                                  const struct json *current)
{
    const struct json *average = json_member(target, "averageValue");
    struct str have, want;

    if (average) {
        have = scalar_or_unknown(json_member(current, "averageValue"));
        want = scalar_or_unknown(average);
    } else {
        have = percent(arena, json_member(current, "averageUtilization"), UNKNOWN);
        want = percent(arena, json_member(target, "averageUtilization"), STR("<auto>"));
    }
    return arena_printf(arena, STR_FMT ": " STR_FMT "/" STR_FMT, STR_ARG(json_str(name)), STR_ARG(have), STR_ARG(want));
}

/* A metric of another object, or from outside: as a whole, or a pod's share of it. */
static struct str value_target(struct arena *arena, const struct json *target, const struct json *current, bool pods)
{
    const struct json *average = json_member(target, "averageValue");
    struct str member = average || pods ? STR("averageValue") : STR("value");

    return arena_printf(arena, STR_FMT "/" STR_FMT "%s", STR_ARG(scalar_or_unknown(json_get(current, member))),
                        STR_ARG(scalar_or_unknown(json_get(target, member))), average && !pods ? " (avg)" : "");
}

static struct str metric_target(struct arena *arena, const struct json *spec, const struct json *status)
{
    static const struct {
        const char *type;
        struct str member;
        bool resource, pods;
    } kinds[] = {
        { "External", STR_INIT("external"), false, false },
        { "Pods", STR_INIT("pods"), false, true },
        { "Object", STR_INIT("object"), false, false },
        { "Resource", STR_INIT("resource"), true, false },
        { "ContainerResource", STR_INIT("containerResource"), true, false },
    };
    struct str type = json_str(json_member(spec, "type"));

    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        const struct json *metric = json_get(spec, kinds[i].member), *target = json_member(metric, "target");
        const struct json *current = json_member(json_get(status, kinds[i].member), "current");

        if (!str_is(type, kinds[i].type))
            continue;
        return kinds[i].resource ? resource_target(arena, json_member(metric, "name"), target, current)
                                 : value_target(arena, target, current, kinds[i].pods);
    }
    return STR("<unknown type>");
}

static void targets(struct arena *arena, const struct json *object, nsec_t now, struct json *ret_cell)
{
    const struct json *specs = json_at(object, "spec.metrics"), *statuses = json_at(object, "status.currentMetrics");
    const struct json *v1_target = json_at(object, "spec.targetCPUUtilizationPercentage");
    struct cell_list list;
    size_t i = 0;

    cell_list_init(&list, ", ", SHOWN_MAX);
    if (json_is(v1_target, JSON_NUMBER)) {
        struct str have = percent(arena, json_at(object, "status.currentCPUUtilizationPercentage"), UNKNOWN);

        cell_list_add(&list, arena_printf(arena, "cpu: " STR_FMT "/" STR_FMT, STR_ARG(have),
                                          STR_ARG(percent(arena, v1_target, UNKNOWN))));
    }
    for each_item(specs, spec) {
        cell_list_add(&list, metric_target(arena, spec, i < cell_count(statuses) ? &cell_items(statuses)[i] : NULL));
        i++;
    }
    cell_list_finish(arena, &list, STR("<none>"), ret_cell);
}

static const struct table_cell rows[] = {
    { STR_INIT("horizontalpodautoscaler.reference"), reference },
    { STR_INIT("horizontalpodautoscaler.targets"), targets },
};
const struct cell_table autoscaler_cells = CELL_TABLE(rows);
