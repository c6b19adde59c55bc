/* node.c - nodes: taints, unschedulable, capacity. */
#include "api/resources.h"
#include "apiserver/registry/rules.h"

/* What can be allocated is the capacity, unless the agent says less. */
static int default_node(struct request *request, struct json *node, struct err *err)
{
    struct json *status = json_member(node, "status");
    const struct json *capacity = json_member(status, "capacity");

    if (capacity && !json_member(status, "allocatable") &&
        !json_set(request->arena, status, STR("allocatable"), json_copy(request->arena, capacity)))
        return out_of_memory(err);
    return 0;
}

static void check_taints(struct causes *causes, const struct json *node)
{
    static const char *const effects[] = { "NoSchedule", "PreferNoSchedule", "NoExecute", NULL };
    const struct json *taints = json_at(node, "spec.taints");

    for (uint32_t i = 0; json_is(taints, JSON_ARRAY) && i < taints->count; i++) {
        struct str key = json_str(json_member(&taints->items[i], "key"));
        struct str value = json_str(json_member(&taints->items[i], "value"));
        struct str effect = json_str(json_member(&taints->items[i], "effect"));
        const char *problem = qualified_name_problem(key);

        if (problem)
            add_invalid_str(causes, field_path(causes, "spec.taints[%u].key", i), key, problem);
        if ((problem = label_value_problem(value)))
            add_invalid_str(causes, field_path(causes, "spec.taints[%u].value", i), value, problem);
        if (!str_is(effect, "NoSchedule") && !str_is(effect, "PreferNoSchedule") && !str_is(effect, "NoExecute"))
            add_not_supported(causes, field_path(causes, "spec.taints[%u].effect", i), effect, effects);
        for (uint32_t j = 0; j < i; j++)
            if (str_eq(key, json_str(json_member(&taints->items[j], "key"))) &&
                str_eq(effect, json_str(json_member(&taints->items[j], "effect"))))
                causes_add(causes, CAUSE_DUPLICATE, field_path(causes, "spec.taints[%u]", i),
                           "Duplicate value: " STR_FMT, STR_ARG(cause_value(causes->arena, &taints->items[i])));
    }
}

static void validate_create(struct request *request, const struct json *node, struct causes *causes)
{
    (void)request;
    check_taints(causes, node);
}

static void validate_update(struct request *request, const struct json *node, const struct json *old,
                            struct causes *causes)
{
    struct str provider = json_str_at(old, "spec.providerID"), cidr = json_str_at(old, "spec.podCIDR");

    (void)request;
    check_taints(causes, node);
    if (!str_empty(provider) && !str_eq(provider, json_str_at(node, "spec.providerID")))
        add_forbidden(causes, STR("spec.providerID"),
                      "node updates may not change providerID except from \"\" to valid");
    if (!str_empty(cidr) && !str_eq(cidr, json_str_at(node, "spec.podCIDR")))
        add_forbidden(causes, STR("spec.podCIDRs"), "node updates may not change podCIDR except from \"\" to valid");
}

const struct rules node_rules = {
    .resource = &RESOURCE_NODES,
    .flags = RULE_NO_GENERATION | RULE_STATUS_LABELS,
    .default_ = default_node,
    .validate_create = validate_create,
    .validate_update = validate_update,
};
