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

/* What the amounts of one map are; together they say whether huge pages come with cpu or memory. */
struct amounts {
    bool compute, hugepages;
};

static bool is_divisible(struct str name, struct quantity amount)
{
    struct quantity page;

    if (!quantity_parse(str_skip(name, sizeof "hugepages-" - 1), &page) || page.nano <= 0)
        return false;
    return amount.nano >= 0 && amount.nano % page.nano == 0;
}

static void check_hugepages(struct causes *causes, const struct path *at, const struct json_member *amount)
{
    struct quantity quantity;

    if (quantity_parse(json_str(&amount->value), &quantity) && !is_divisible(amount->key, quantity))
        cause_at(causes, CAUSE_INVALID, at,
                 "Invalid value: \"" STR_FMT "\": " STR_FMT " is not positive integer multiple of " STR_FMT,
                 STR_ARG(json_str(&amount->value)), STR_ARG(json_str(&amount->value)), STR_ARG(amount->key));
}

static void check_amounts(struct causes *causes, const struct path *at, const struct json *amounts, struct amounts *seen)
{
    for (uint32_t i = 0; i < members_of(amounts); i++) {
        const struct json_member *amount = &amounts->members[i];
        struct path path = path_key(at, amount->key);

        container_resource_name_check(causes, &path, amount->key);
        resource_amount_check(causes, &path, amount->key, &amount->value);
        seen->compute = seen->compute || str_is(amount->key, "cpu") || str_is(amount->key, "memory");
        if (resource_is_hugepages(amount->key)) {
            seen->hugepages = true;
            check_hugepages(causes, &path, amount);
        }
    }
}

static void check_request(struct causes *causes, const struct path *at, const struct json_member *request,
                          const struct json *limits)
{
    const struct json *limit = json_get(limits, request->key);
    bool overcommit = resource_may_overcommit(request->key);
    struct quantity want, most;
    int order;

    if (!limit) {
        if (!overcommit)
            cause_required(causes, AT(at, "limits"), "Limit must be set for non overcommitable resources");
        return;
    }
    if (!quantity_parse(json_str(&request->value), &want) || !quantity_parse(json_str(limit), &most))
        return;
    order = quantity_cmp(want, most);
    if (order > 0 || (order < 0 && !overcommit))
        cause_at(causes, CAUSE_INVALID, AT(at, "requests"),
                 "Invalid value: \"" STR_FMT "\": must be %s " STR_FMT " limit of " STR_FMT,
                 STR_ARG(json_str(&request->value)), overcommit ? "less than or equal to" : "equal to",
                 STR_ARG(request->key), STR_ARG(json_str(limit)));
}

static bool names_have(const struct json *array, struct str name)
{
    for (uint32_t i = 0; i < items_of(array); i++)
        if (str_eq(text_in(&array->items[i], "name"), name))
            return true;
    return false;
}

/* Claims on devices, of those that the pod has. */
static void check_claims(struct causes *causes, const struct path *at, const struct json *claims,
                         const struct json *pod_claims)
{
    for (uint32_t i = 0; i < items_of(claims); i++) {
        struct str name = text_in(&claims->items[i], "name"), request = text_in(&claims->items[i], "request");
        struct path path = path_index(at, i);

        if (str_empty(name)) {
            cause_required(causes, &path, "");
            continue;
        }
        if (!str_empty(request))
            cause_format(causes, AT(&path, "request"), FORMAT_LABEL, request);
        for (uint32_t j = 0; j < i; j++) {
            struct str other = text_in(&claims->items[j], "request");

            if (str_eq(text_in(&claims->items[j], "name"), name) &&
                (str_empty(other) || str_empty(request) || str_eq(other, request))) {
                cause_duplicate_str(causes, &path, name);
                break;
            }
        }
        if (!names_have(pod_claims, name))
            cause_at(causes, CAUSE_NOT_FOUND, &path,
                     "Not found: \"" STR_FMT "\": must be one of the names in pod.spec.resourceClaims%s", STR_ARG(name),
                     items_of(pod_claims) ? "" : " which is empty");
    }
}

void pod_resources_validate(struct causes *causes, const struct path *at, const struct json *resources,
                            const struct json *claims)
{
    const struct json *limits = json_member(resources, "limits"), *requests = json_member(resources, "requests");
    struct amounts seen = { 0 };

    if (!members_of(resources))
        return;
    check_amounts(causes, AT(at, "limits"), limits, &seen);
    check_amounts(causes, AT(at, "requests"), requests, &seen);
    for (uint32_t i = 0; i < members_of(requests); i++)
        check_request(causes, at, &requests->members[i], limits);
    if (seen.hugepages && !seen.compute)
        cause_forbidden(causes, at, "HugePages require cpu or memory");
    check_claims(causes, AT(at, "claims"), json_member(resources, "claims"), claims);
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
