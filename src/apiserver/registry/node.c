/* node.c - nodes: taints, unschedulable, capacity. */
#include "api/resources.h"
#include "apiserver/registry/rules.h"

/* podCIDR is the first of podCIDRs, whichever of them was written. */
static int prepare_cidrs(struct request *request, struct json *node, struct err *err)
{
    struct json *spec = json_member(node, "spec"), *list = json_member(spec, "podCIDRs"), *value;
    struct str first = text_in(spec, "podCIDR");

    if (!spec || (str_empty(first) && !items_of(list)))
        return 0;
    if (str_empty(first))
        return json_set_str(request->arena, spec, STR("podCIDR"), json_str(&list->items[0])) ? 0 : out_of_memory(err);
    if (items_of(list))
        return 0;
    list = json_ensure(request->arena, spec, STR("podCIDRs"), JSON_ARRAY);
    value = json_new_str(request->arena, first);
    return list && value && json_append(request->arena, list, value) ? 0 : out_of_memory(err);
}

/* What can be allocated is the capacity, unless the agent says less. */
static int default_node(struct request *request, struct json *node, struct err *err)
{
    struct json *status = json_member(node, "status");
    const struct json *capacity = json_member(status, "capacity");
    int code = prepare_cidrs(request, node, err);

    if (code < 0)
        return code;
    if (capacity && !json_member(status, "allocatable") &&
        !json_set(request->arena, status, STR("allocatable"), json_copy(request->arena, capacity)))
        return out_of_memory(err);
    return 0;
}

/* Kubernetes names taints as if they were metadata; so do we. */
static void check_taints(struct causes *causes, const struct json *node)
{
    static const char *const effects[] = { "NoSchedule", "PreferNoSchedule", "NoExecute", NULL };
    const struct json *taints = json_at(node, "spec.taints");

    for (uint32_t i = 0; i < items_of(taints); i++) {
        struct str key = text_in(&taints->items[i], "key"), effect = text_in(&taints->items[i], "effect");
        struct path *at = NTH(AT(AT(NULL, "metadata"), "taints"), i);

        cause_format(causes, AT(at, "key"), FORMAT_KEY, key);
        cause_format(causes, AT(at, "value"), FORMAT_LABEL_VALUE, text_in(&taints->items[i], "value"));
        if (str_empty(effect))
            cause_required(causes, AT(at, "effect"), "");
        else if (!str_is(effect, "NoSchedule") && !str_is(effect, "PreferNoSchedule") && !str_is(effect, "NoExecute"))
            cause_not_supported(causes, AT(at, "effect"), effect, effects);
        for (uint32_t j = 0; j < i; j++)
            if (str_eq(key, text_in(&taints->items[j], "key")) && str_eq(effect, text_in(&taints->items[j], "effect"))) {
                cause_at(causes, CAUSE_DUPLICATE, at,
                         "Duplicate value: " STR_FMT ": taints must be unique by key and effect pair",
                         STR_ARG(cause_value(causes->arena, &taints->items[i])));
                break;
            }
    }
}

static int cidr_family(struct str cidr)
{
    ssize_t slash = str_chr(cidr, '/');

    return slash < 0 ? 0 : text_ip_family(str_first(cidr, (size_t)slash));
}

static void check_cidrs(struct causes *causes, const struct json *node)
{
    const struct json *cidrs = json_at(node, "spec.podCIDRs");
    struct path *at = AT(AT(NULL, "spec"), "podCIDRs");
    bool two_families;

    for (uint32_t i = 0; i < items_of(cidrs); i++)
        cause_format(causes, NTH(at, i), FORMAT_CIDR, json_str(&cidrs->items[i]));
    if (items_of(cidrs) < 2)
        return;
    two_families = cidr_family(json_str(&cidrs->items[0])) != cidr_family(json_str(&cidrs->items[1]));
    if (!two_families || cidrs->count > 2)
        cause_invalid(causes, at, cidrs, "may specify no more than one CIDR for each IP family");
    for (uint32_t i = 0; i < cidrs->count; i++)
        for (uint32_t j = 0; j < i; j++)
            if (json_equal(&cidrs->items[i], &cidrs->items[j])) {
                cause_duplicate(causes, NTH(at, i), &cidrs->items[i]);
                break;
            }
}

static void check_amounts(struct causes *causes, const struct json *node)
{
    static const char *const maps[] = { "capacity", "allocatable" };

    for (size_t m = 0; m < ARRAY_LEN(maps); m++) {
        const struct json *amounts = json_get(json_member(node, "status"), str_from(maps[m]));

        for (uint32_t i = 0; i < members_of(amounts); i++)
            resource_amount_check(causes, AT_STR(AT_STR(AT(NULL, "status"), str_from(maps[m])), amounts->members[i].key),
                                  amounts->members[i].key, &amounts->members[i].value);
    }
}

static void validate_create(struct request *request, const struct json *node, struct causes *causes)
{
    (void)request;
    check_taints(causes, node);
    check_amounts(causes, node);
    check_cidrs(causes, node);
}

static void validate_status(struct request *request, const struct json *node, const struct json *old,
                            struct causes *causes)
{
    const struct json *addresses = json_at(node, "status.addresses");

    (void)request;
    (void)old;
    check_amounts(causes, node);
    for (uint32_t i = 0; i < items_of(addresses); i++)
        for (uint32_t j = 0; j < i; j++)
            if (json_equal(&addresses->items[i], &addresses->items[j])) {
                cause_duplicate(causes, NTH(AT(AT(NULL, "status"), "addresses"), i), &addresses->items[i]);
                break;
            }
}

static void validate_update(struct request *request, const struct json *node, const struct json *old,
                            struct causes *causes)
{
    const struct json *cidrs = json_at(old, "spec.podCIDRs");
    struct str provider = json_str_at(old, "spec.providerID");
    struct path *at = AT(NULL, "spec");

    (void)request;
    check_taints(causes, node);
    if (items_of(cidrs) && !json_same(json_at(node, "spec.podCIDRs"), cidrs))
        cause_forbidden(causes, AT(at, "podCIDRs"), "node updates may not change podCIDR except from \"\" to valid");
    if (!str_empty(provider) && !str_eq(provider, json_str_at(node, "spec.providerID")))
        cause_forbidden(causes, AT(at, "providerID"), "node updates may not change providerID except from \"\" to valid");
    if (!str_eq(json_str_at(node, "spec.externalID"), json_str_at(old, "spec.externalID")))
        cause_forbidden(causes, AT(at, "externalID"), "may not be updated");
}

const struct rules node_rules = {
    .resource = &RESOURCE_NODES,
    .flags = RULE_NO_GENERATION | RULE_STATUS_LABELS,
    .default_ = default_node,
    .validate_create = validate_create,
    .validate_update = validate_update,
    .validate_status = validate_status,
};
