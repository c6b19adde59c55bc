/* pod_resources.c - requests and limits of containers. */
#include "apiserver/registry/rules.h"
#include "schema/quantity.h"

/* A limit without a request asks for as much as it may have. */
int pod_resources_default(struct arena *arena, struct json *container, struct err *err)
{
    struct json *resources = json_ensure(arena, container, STR("resources"), JSON_OBJECT);
    const struct json *limits = json_member(resources, "limits");
    struct json *requests;

    if (!resources)
        return out_of_memory(err);
    if (!json_is(limits, JSON_OBJECT) || !limits->count)
        return 0;
    requests = json_ensure(arena, resources, STR("requests"), JSON_OBJECT);
    limits = json_member(resources, "limits");
    if (!requests)
        return out_of_memory(err);
    for (uint32_t i = 0; i < limits->count; i++) {
        struct str name = limits->members[i].key;

        if (!json_get(requests, name) && !json_set(arena, requests, name, &limits->members[i].value))
            return out_of_memory(err);
    }
    return 0;
}

static void check_amounts(struct causes *causes, struct str field, const char *which, const struct json *amounts)
{
    for (uint32_t i = 0; json_is(amounts, JSON_OBJECT) && i < amounts->count; i++) {
        const struct json_member *amount = &amounts->members[i];
        struct str path = field_path(causes, STR_FMT ".%s." STR_FMT, STR_ARG(field), which, STR_ARG(amount->key));
        const char *problem = qualified_name_problem(amount->key);
        struct quantity quantity;

        if (problem)
            add_invalid_str(causes, path, amount->key, problem);
        if (quantity_parse(json_str(&amount->value), &quantity) && quantity.nano < 0)
            add_invalid(causes, path, &amount->value, "must be greater than or equal to 0");
        if (str_chr(amount->key, '/') < 0 && !str_is(amount->key, "cpu") && !str_is(amount->key, "memory") &&
            !str_is(amount->key, "ephemeral-storage") && !str_has_prefix(amount->key, STR("hugepages-")))
            add_invalid_str(causes,
                            field_path(causes, STR_FMT ".%s[" STR_FMT "]", STR_ARG(field), which, STR_ARG(amount->key)),
                            amount->key, "must be a standard resource for containers");
    }
}

void pod_resources_validate(struct causes *causes, struct str field, const struct json *resources)
{
    const struct json *limits = json_member(resources, "limits"), *requests = json_member(resources, "requests");

    check_amounts(causes, field, "limits", limits);
    check_amounts(causes, field, "requests", requests);
    for (uint32_t i = 0; json_is(requests, JSON_OBJECT) && i < requests->count; i++) {
        const struct json_member *request = &requests->members[i];
        const struct json *limit = json_get(limits, request->key);
        struct quantity want, most;

        if (!limit || !quantity_parse(json_str(&request->value), &want) || !quantity_parse(json_str(limit), &most) ||
            quantity_cmp(want, most) <= 0)
            continue;
        causes_add(causes, CAUSE_INVALID, field_path(causes, STR_FMT ".requests", STR_ARG(field)),
                   "Invalid value: " STR_FMT ": must be less than or equal to " STR_FMT " limit of " STR_FMT,
                   STR_ARG(cause_value(causes->arena, &request->value)), STR_ARG(request->key),
                   STR_ARG(json_str(limit)));
    }
}

static bool is_zero(struct str text)
{
    struct quantity quantity;

    return !quantity_parse(text, &quantity) || quantity.nano == 0;
}

struct str pod_qos_class(const struct json *spec)
{
    static const char *const names[] = { "cpu", "memory" };
    static const char *const lists[] = { "containers", "initContainers" };
    bool any = false, guaranteed = true;

    for (size_t l = 0; l < ARRAY_LEN(lists); l++) {
        const struct json *containers = json_get(spec, str_from(lists[l]));

        for (uint32_t i = 0; json_is(containers, JSON_ARRAY) && i < containers->count; i++) {
            const struct json *resources = json_member(&containers->items[i], "resources");

            for (size_t n = 0; n < ARRAY_LEN(names); n++) {
                struct str request = json_str(json_get(json_member(resources, "requests"), str_from(names[n])));
                struct str limit = json_str(json_get(json_member(resources, "limits"), str_from(names[n])));
                struct quantity a, b;

                any = any || !is_zero(request) || !is_zero(limit);
                guaranteed = guaranteed && !is_zero(limit) && quantity_parse(limit, &b) &&
                             (!request.data || (quantity_parse(request, &a) && quantity_cmp(a, b) == 0));
            }
        }
    }
    return !any ? STR("BestEffort") : guaranteed ? STR("Guaranteed") : STR("Burstable");
}
