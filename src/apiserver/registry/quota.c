/* quota.c - resource quotas and limit ranges: what a namespace may use, and each pod of it. */
#include "api/resources.h"
#include "apiserver/registry/rules.h"
#include "schema/quantity.h"

/* -- quotas -- */

static void quota_name_check(struct causes *causes, const struct path *at, struct str name)
{
    resource_name_check(causes, at, name);
    if (str_chr(name, '/') < 0 && !resource_is_quota(name) && !str_has_prefix(name, STR("count/")))
        cause_invalid_str(causes, at, name, "must be a standard resource for quota");
}

static void check_hard(struct causes *causes, const struct path *at, const struct json *amounts)
{
    for (uint32_t i = 0; i < members_of(amounts); i++) {
        struct path here = path_key(at, amounts->members[i].key);

        quota_name_check(causes, &here, amounts->members[i].key);
        resource_amount_check(causes, &here, amounts->members[i].key, &amounts->members[i].value);
    }
}

static bool listed(struct str text, const char *const *list)
{
    for (; *list; list++)
        if (str_is(text, *list))
            return true;
    return false;
}

static bool scope_is_known(struct str scope)
{
    static const char *const scopes[] = { "Terminating", "NotTerminating", "BestEffort", "NotBestEffort",
                                          "PriorityClass", "CrossNamespacePodAffinity", "VolumeAttributesClass", NULL };

    return listed(scope, scopes);
}

/* What pods use can be counted under a scope; only their number for those that ask for nothing. */
static bool scope_fits(struct str scope, struct str resource)
{
    static const char *const of_pods[] = { "cpu", "limits.cpu", "limits.ephemeral-storage", "limits.memory",
                                           "ephemeral-storage", "requests.ephemeral-storage", "memory", "pods",
                                           "requests.cpu", "requests.memory", NULL };

    if (str_is(scope, "BestEffort"))
        return str_is(resource, "pods");
    if (str_is(scope, "VolumeAttributesClass"))
        return str_is(resource, "persistentvolumeclaims") || str_is(resource, "requests.storage");
    return listed(resource, of_pods) || resource_is_hugepages(resource) ||
           str_has_prefix(resource, STR("requests.hugepages-"));
}

static void check_scope_resources(struct causes *causes, const struct path *at, const struct json *shown,
                                  struct str scope, const struct json *hard)
{
    for (uint32_t i = 0; i < members_of(hard); i++)
        if (resource_is_quota(hard->members[i].key) && !scope_fits(scope, hard->members[i].key))
            cause_invalid(causes, at, shown, "unsupported scope applied to resource");
}

static void check_scopes(struct causes *causes, const struct path *at, const struct json *scopes,
                         const struct json *hard)
{
    for (uint32_t i = 0; i < items_of(scopes); i++) {
        if (!scope_is_known(json_str(&scopes->items[i])))
            cause_invalid(causes, at, scopes, "unsupported scope");
        check_scope_resources(causes, at, scopes, json_str(&scopes->items[i]), hard);
    }
    if ((strings_have(scopes, STR("BestEffort")) && strings_have(scopes, STR("NotBestEffort"))))
        cause_invalid(causes, at, scopes, "conflicting scopes");
    if (strings_have(scopes, STR("Terminating")) && strings_have(scopes, STR("NotTerminating")))
        cause_invalid(causes, at, scopes, "conflicting scopes");
}

static void check_scope_expression(struct causes *causes, const struct path *at, const struct json *expression)
{
    static const char *const only_exists[] = { "BestEffort", "NotBestEffort", "Terminating", "NotTerminating",
                                               "CrossNamespacePodAffinity", NULL };
    struct str scope = text_in(expression, "scopeName"), op = text_in(expression, "operator");
    const struct json *values = json_member(expression, "values");

    if (!scope_is_known(scope))
        cause_invalid_str(causes, AT(at, "scopeName"), scope, "unsupported scope");
    if (listed(scope, only_exists) && !str_is(op, "Exists"))
        cause_invalid_str(causes, AT(at, "operator"), op,
                          "must be 'Exists' when scope is any of ResourceQuotaScopeTerminating, "
                          "ResourceQuotaScopeNotTerminating, ResourceQuotaScopeBestEffort, "
                          "ResourceQuotaScopeNotBestEffort or ResourceQuotaScopeCrossNamespacePodAffinity");
    if (str_is(op, "In") || str_is(op, "NotIn")) {
        if (!items_of(values))
            cause_required(causes, AT(at, "values"),
                           "must be at least one value when `operator` is 'In' or 'NotIn' for scope selector");
    } else if (str_is(op, "Exists") || str_is(op, "DoesNotExist")) {
        if (items_of(values))
            cause_invalid(causes, AT(at, "values"), values,
                          "must be no value when `operator` is 'Exist' or 'DoesNotExist' for scope selector");
    } else {
        cause_invalid_str(causes, AT(at, "operator"), op, "not a valid selector operator");
    }
}

static void validate_quota(struct request *request, const struct json *quota, struct causes *causes)
{
    const struct json *spec = json_member(quota, "spec"), *hard = json_member(spec, "hard");
    const struct json *selector = json_member(spec, "scopeSelector");
    const struct json *expressions = json_member(selector, "matchExpressions");
    struct path *at = AT(NULL, "spec"), *list = AT(AT(at, "scopeSelector"), "matchExpressions");

    (void)request;
    check_hard(causes, AT(at, "hard"), hard);
    check_scopes(causes, AT(at, "scopes"), json_member(spec, "scopes"), hard);
    for (uint32_t i = 0; i < items_of(expressions); i++) {
        check_scope_expression(causes, list, &expressions->items[i]);
        check_scope_resources(causes, list, selector, text_in(&expressions->items[i], "scopeName"), hard);
    }
}

static bool same_strings(const struct json *a, const struct json *b)
{
    for (uint32_t i = 0; i < items_of(a); i++)
        if (!strings_have(b, json_str(&a->items[i])))
            return false;
    return true;
}

static void validate_quota_update(struct request *request, const struct json *quota, const struct json *old,
                                  struct causes *causes)
{
    const struct json *now = json_at(quota, "spec.scopes"), *before = json_at(old, "spec.scopes");

    validate_quota(request, quota, causes);
    if (!same_strings(now, before) || !same_strings(before, now))
        cause_invalid(causes, AT(AT(NULL, "spec"), "scopes"), now, "field is immutable");
}

static void validate_quota_status(struct request *request, const struct json *quota, const struct json *old,
                                  struct causes *causes)
{
    (void)request;
    (void)old;
    check_hard(causes, AT(AT(NULL, "status"), "hard"), json_at(quota, "status.hard"));
    check_hard(causes, AT(AT(NULL, "status"), "used"), json_at(quota, "status.used"));
}

/* -- limit ranges -- */

/* A limit's limits default to its maximum, its requests to the limit or the minimum. */
static int default_limitrange(struct request *request, struct json *range, struct err *err)
{
    struct json *limits = json_at(range, "spec.limits");
    static const struct {
        const char *from, *to;
    } steps[] = { { "max", "default" }, { "default", "defaultRequest" }, { "min", "defaultRequest" } };

    for (uint32_t i = 0; i < 3 * items_of(limits); i++) {
        struct json *limit = &limits->items[i / 3], *to;
        const struct json *from = json_get(limit, str_from(steps[i % 3].from));

        if (!str_is(text_in(limit, "type"), "Container") || !members_of(from))
            continue;
        to = json_ensure(request->arena, limit, str_from(steps[i % 3].to), JSON_OBJECT);
        from = json_get(limit, str_from(steps[i % 3].from));
        for (uint32_t j = 0; to && j < from->count; j++)
            if (!json_get(to, from->members[j].key) &&
                !json_set(request->arena, to, from->members[j].key, &from->members[j].value))
                return out_of_memory(err);
        if (!to)
            return out_of_memory(err);
    }
    return 0;
}

static void check_type(struct causes *causes, const struct path *at, struct str type)
{
    if (cause_format(causes, at, FORMAT_KEY, type) && str_chr(type, '/') < 0 && !str_is(type, "Pod") &&
        !str_is(type, "Container") && !str_is(type, "PersistentVolumeClaim"))
        cause_invalid_str(causes, at, type, "must be a standard limit type or fully qualified");
}

static void check_names(struct causes *causes, const struct path *at, struct str type, const struct json *amounts)
{
    for (uint32_t i = 0; i < members_of(amounts); i++) {
        struct path here = path_key(at, amounts->members[i].key);

        if (str_is(type, "Pod") || str_is(type, "Container"))
            container_resource_name_check(causes, &here, amounts->members[i].key);
        else
            resource_name_check(causes, &here, amounts->members[i].key);
    }
}

/* Pairs of bounds of which the first may not be greater. shown: whose value and path the message is about. */
static const struct bound_pair {
    const char *low, *high, *at, *shown, *text;
} bound_pairs[] = {
    { "min", "max", "min", "min", "min value %s is greater than max value %s" },
    { "min", "defaultRequest", "defaultRequest", "defaultRequest",
      "min value %s is greater than default request value %s" },
    { "defaultRequest", "max", "defaultRequest", "defaultRequest",
      "default request value %s is greater than max value %s" },
    { "defaultRequest", "default", "defaultRequest", "defaultRequest",
      "default request value %s is greater than default limit value %s" },
    { "min", "default", "default", "min", "min value %s is greater than default value %s" },
    { "default", "max", "default", "max", "default value %s is greater than max value %s" },
};

/* The text with its two %s filled in; kept in the arena. */
static const char *bound_text(struct arena *arena, const char *text, struct str low, struct str high)
{
    struct str rest = str_from(text);
    ssize_t first = str_find(rest, STR("%s"));
    struct str tail = str_skip(rest, (size_t)first + 2);
    ssize_t second = str_find(tail, STR("%s"));
    struct str made = arena_printf(arena, STR_FMT STR_FMT STR_FMT STR_FMT, STR_ARG(str_first(rest, (size_t)first)),
                                   STR_ARG(low), STR_ARG(str_first(tail, (size_t)second)), STR_ARG(high));

    return made.data ? made.data : "";
}

static void check_bounds(struct causes *causes, const struct path *at, const struct json *limit)
{
    bool pod = str_is(text_in(limit, "type"), "Pod");

    for (size_t p = 0; p < ARRAY_LEN(bound_pairs); p++) {
        const struct bound_pair *pair = &bound_pairs[p];
        const struct json *lows = json_get(limit, str_from(pair->low)), *highs = json_get(limit, str_from(pair->high));

        for (uint32_t i = 0; (!pod || p == 0) && i < members_of(lows); i++) {
            struct str key = lows->members[i].key, low = json_str(&lows->members[i].value);
            struct str high = json_str(json_get(highs, key));
            struct quantity a, b;

            if (quantity_parse(low, &a) && quantity_parse(high, &b) && quantity_cmp(a, b) > 0)
                cause_invalid(causes, KEYED(AT_STR(at, str_from(pair->at)), key),
                              json_get(json_get(limit, str_from(pair->shown)), key),
                              bound_text(causes->arena, pair->text, low, high));
        }
    }
}

static void check_ratios(struct causes *causes, const struct path *at, const struct json *limit)
{
    const struct json *ratios = json_member(limit, "maxLimitRequestRatio");

    for (uint32_t i = 0; i < members_of(ratios); i++) {
        struct str key = ratios->members[i].key, text = json_str(&ratios->members[i].value);
        struct path *here = KEYED(AT(at, "maxLimitRequestRatio"), key);
        struct quantity ratio, min, max;
        double most;

        if (!quantity_parse(text, &ratio))
            continue;
        if (ratio.nano < 1000000000)
            cause_at(causes, CAUSE_INVALID, here, "Invalid value: \"" STR_FMT "\": ratio " STR_FMT " is less than 1",
                     STR_ARG(text), STR_ARG(text));
        if (!quantity_parse(json_str(json_get(json_member(limit, "min"), key)), &min) || min.nano <= 0 ||
            !quantity_parse(json_str(json_get(json_member(limit, "max"), key)), &max))
            continue;
        most = (double)max.nano / (double)min.nano;
        if ((double)ratio.nano / 1e9 > most)
            cause_at(causes, CAUSE_INVALID, here,
                     "Invalid value: \"" STR_FMT "\": ratio " STR_FMT " is greater than max/min = %f", STR_ARG(text),
                     STR_ARG(text), most);
    }
}

static void check_limit(struct causes *causes, const struct path *at, const struct json *limit)
{
    static const char *const maps[] = { "max", "min", "default", "defaultRequest", "maxLimitRequestRatio" };
    struct str type = text_in(limit, "type");
    bool pod = str_is(type, "Pod");

    for (size_t i = 0; i < ARRAY_LEN(maps); i++) {
        const struct json *amounts = json_get(limit, str_from(maps[i]));

        if (pod && (i == 2 || i == 3) && members_of(amounts))
            cause_forbidden(causes, AT_STR(at, str_from(maps[i])), "may not be specified when `type` is 'Pod'");
        else
            check_names(causes, AT_STR(at, str_from(maps[i])), type, amounts);
    }
    if (str_is(type, "PersistentVolumeClaim") && !json_at(limit, "min.storage") && !json_at(limit, "max.storage"))
        cause_required(causes, AT(at, "limits"),
                       "either minimum or maximum storage value is required, but neither was provided");
    check_bounds(causes, at, limit);
    check_ratios(causes, at, limit);
}

static void validate_limitrange(struct request *request, const struct json *range, struct causes *causes)
{
    const struct json *limits = json_at(range, "spec.limits");

    (void)request;
    for (uint32_t i = 0; i < items_of(limits); i++) {
        struct path *at = NTH(AT(AT(NULL, "spec"), "limits"), i);

        check_type(causes, AT(at, "type"), text_in(&limits->items[i], "type"));
        if (text_seen_before(limits, i, "type"))
            cause_duplicate_str(causes, AT(at, "type"), text_in(&limits->items[i], "type"));
        check_limit(causes, at, &limits->items[i]);
    }
}

static void validate_limitrange_update(struct request *request, const struct json *range, const struct json *old,
                                       struct causes *causes)
{
    (void)old;
    validate_limitrange(request, range, causes);
}

const struct rules resourcequota_rules = {
    .resource = &RESOURCE_RESOURCEQUOTAS,
    .flags = RULE_NO_GENERATION,
    .validate_create = validate_quota,
    .validate_update = validate_quota_update,
    .validate_status = validate_quota_status,
};
const struct rules limitrange_rules = {
    .resource = &RESOURCE_LIMITRANGES,
    .flags = RULE_NO_GENERATION,
    .default_ = default_limitrange,
    .validate_create = validate_limitrange,
    .validate_update = validate_limitrange_update,
};
