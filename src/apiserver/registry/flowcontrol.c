/* flowcontrol.c - flow schemas and priority levels. Two of each are fixed: "exempt" and "catch-all". */
#include <math.h>

#include "api/resources.h"
#include "apiserver/registry/place.h"
#include "apiserver/registry/rules.h"

#define PRECEDENCE_MAX 10000
#define QUEUES_MAX 10000000
#define HASH_BITS 60

#define ALL_RULES                                                                                               \
    "\"nonResourceRules\":[{\"nonResourceURLs\":[\"*\"],\"verbs\":[\"*\"]}],\"resourceRules\":[{\"apiGroups\":" \
    "[\"*\"],\"clusterScope\":true,\"namespaces\":[\"*\"],\"resources\":[\"*\"],\"verbs\":[\"*\"]}]"
#define GROUP(name) "{\"group\":{\"name\":\"" name "\"},\"kind\":\"Group\"}"

static const struct {
    const char *name, *spec;
} fixed_schemas[] = {
    { "exempt", "{\"matchingPrecedence\":1,\"priorityLevelConfiguration\":{\"name\":\"exempt\"},\"rules\":[{" ALL_RULES
                ",\"subjects\":[" GROUP("system:masters") "]}]}" },
    { "catch-all", "{\"distinguisherMethod\":{\"type\":\"ByUser\"},\"matchingPrecedence\":10000,"
                   "\"priorityLevelConfiguration\":{\"name\":\"catch-all\"},\"rules\":[{" ALL_RULES
                   ",\"subjects\":[" GROUP("system:unauthenticated") "," GROUP("system:authenticated") "]}]}" },
};

static const char catch_all_level[] =
    "{\"limited\":{\"lendablePercent\":0,\"limitResponse\":{\"type\":\"Reject\"},\"nominalConcurrencyShares\":5},"
    "\"type\":\"Limited\"}";

/* The object has the name of a fixed one, and says something else. */
static bool is_altered(struct causes *causes, const struct json *spec, const char *fixed)
{
    struct json *want;

    return json_parse(causes->arena, str_from(fixed), NULL, &want, NULL) == 0 && spec && !json_equal(spec, want);
}

/* -- rules of a schema -- */

static void check_subject(const struct place *subject)
{
    static const char *const kinds[] = { "Group", "ServiceAccount", "User", NULL };
    static const struct {
        const char *kind, *member;
    } rows[] = { { "User", "user" }, { "Group", "group" }, { "ServiceAccount", "serviceAccount" } };
    struct place kind = place_member(subject, "kind");

    if (!check_one_of(&kind, kinds))
        return;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct place at = place_member(subject, rows[i].member), name = place_member(&at, "name");
        struct place ns = place_member(&at, "namespace");

        if (!place_is(&kind, rows[i].kind)) {
            if (place_there(&at))
                say_forbidden(&at, "%s is forbidden when subject kind is not '%s'", rows[i].member, rows[i].kind);
        } else if (!place_there(&at)) {
            add_required(
                at.causes, place_path(&at),
                arena_printf(at.causes->arena, "%s is required when subject kind is '%s'", rows[i].member, rows[i].kind)
                    .data);
        } else if (place_is(&kind, "ServiceAccount")) {
            if (!place_empty(&name) && !place_is(&name, "*"))
                check_form(&name, NAME_SUBDOMAIN);
            check_required(&ns, "must specify namespace for service account");
        }
    }
}

static void check_verbs(const struct place *verbs)
{
    static const char *const known[] = { "create", "delete", "deletecollection", "get",   "list",
                                         "patch",  "proxy",  "update",           "watch", NULL };
    bool unknown = false;

    if (!place_count(verbs)) {
        say_required(verbs, "verbs must contain at least one value");
        return;
    }
    if (place_has(verbs, "*")) {
        if (place_count(verbs) > 1)
            say_invalid(verbs, "if '*' is present, must not specify other verbs");
        return;
    }
    place_each (verb, verbs) {
        bool found = false;

        for (size_t i = 0; known[i]; i++)
            found |= place_is(&verb, known[i]);
        unknown |= !found;
    }
    if (unknown) {
        AUTO_DEINIT(buf, list) = BUF_INIT;

        for (size_t i = 0; known[i]; i++)
            buf_printf(&list, "%s\"%s\"", i ? ", " : "", known[i]);
        causes_add(verbs->causes, CAUSE_NOT_SUPPORTED, place_path(verbs),
                   "Unsupported value: " STR_FMT ": supported values: " STR_FMT,
                   STR_ARG(cause_value(verbs->causes->arena, verbs->json)), STR_ARG(buf_str(&list)));
    }
}

/* Not empty, and '*' alone or not at all. True: to be looked at one by one. */
static bool check_wildcard(const struct place *list, const char *missing, const char *crowded)
{
    if (!place_count(list))
        say_required(list, missing);
    else if (place_has(list, "*") && place_count(list) > 1)
        say_invalid(list, "%s", crowded);
    return place_count(list) && !place_has(list, "*");
}

static void check_resource_rule(const struct place *rule)
{
    struct place verbs = place_member(rule, "verbs"), groups = place_member(rule, "apiGroups");
    struct place resources = place_member(rule, "resources"), spaces = place_member(rule, "namespaces");
    struct place scope = place_member(rule, "clusterScope");

    check_verbs(&verbs);
    check_wildcard(&groups, "resource rules must supply at least one api group",
                   "if '*' is present, must not specify other api groups");
    check_wildcard(&resources, "resource rules must supply at least one resource",
                   "if '*' is present, must not specify other resources");
    if (!place_count(&spaces) && json_bool(scope.json, false))
        return;
    if (!check_wildcard(&spaces, "resource rules that are not cluster scoped must supply at least one namespace",
                        "if '*' is present, must not specify other namespaces"))
        return;
    place_each (space, &spaces) {
        const char *problem = form_problem(NAME_LABEL, place_str(&space));

        if (problem)
            say_invalid(&space, "each member of this list must be '*' or a DNS-1123 label; %s", problem);
    }
}

static void check_url(const struct place *at)
{
    struct str url = place_str(at);
    size_t stars = 0;

    for (size_t i = 0; i < url.len; i++)
        stars += url.data[i] == '*';
    if (str_empty(url))
        say_invalid(at, "must not be empty");
    else if (url.data[0] != '/')
        say_invalid(at, "must start with slash");
    else if (str_chr(url, ' ') >= 0)
        say_invalid(at, "must not contain white-space");
    else if (str_find(url, STR("//")) >= 0)
        say_invalid(at, "must not contain double slash");
    else if (stars > 1 || (stars == 1 && !str_has_suffix(url, STR("/*"))))
        say_invalid(at, "wildcard can only do suffix matching");
}

static void check_url_rule(const struct place *rule)
{
    struct place verbs = place_member(rule, "verbs"), urls = place_member(rule, "nonResourceURLs");

    check_verbs(&verbs);
    if (!check_wildcard(&urls, "nonResourceURLs must contain at least one value",
                        "if '*' is present, must not specify other non-resource URLs"))
        return;
    place_each (url, &urls)
        check_url(&url);
}

static void check_rule(const struct place *rule)
{
    struct place subjects = place_member(rule, "subjects"), resources = place_member(rule, "resourceRules");
    struct place urls = place_member(rule, "nonResourceRules");

    if (!place_count(&subjects))
        say_required(&subjects, "subjects must contain at least one value");
    place_each (subject, &subjects)
        check_subject(&subject);
    if (!place_count(&resources) && !place_count(&urls))
        say_required(rule, "at least one of resourceRules and nonResourceRules has to be non-empty");
    place_each (resource, &resources)
        check_resource_rule(&resource);
    place_each (url, &urls)
        check_url_rule(&url);
}

static void validate_schema(struct request *request, const struct json *object, struct causes *causes)
{
    static const char *const methods[] = { "ByNamespace", "ByUser", NULL };
    struct place schema = place_object(causes, object), spec = place_member(&schema, "spec");
    struct place precedence = place_member(&spec, "matchingPrecedence"), rules = place_member(&spec, "rules");
    struct place method = place_member(&spec, "distinguisherMethod"), type = place_member(&method, "type");
    struct place level = place_member(&spec, "priorityLevelConfiguration"), name = place_member(&level, "name");
    struct str own = json_str_at(object, "metadata.name");

    (void)request;
    check_range(&precedence, 1, INT64_MAX, "must be a positive value");
    check_range(&precedence, INT64_MIN, PRECEDENCE_MAX, "must not be greater than 10000");
    if (place_int(&precedence) == 1 && !str_is(own, "exempt"))
        say_invalid(&precedence, "only the schema named 'exempt' may have matchingPrecedence 1");
    if (place_there(&method))
        check_one_of(&type, methods);
    check_required(&name, "must reference a priority level");
    place_each (rule, &rules)
        check_rule(&rule);
    for (size_t i = 0; i < ARRAY_LEN(fixed_schemas); i++)
        if (str_is(own, fixed_schemas[i].name) && is_altered(causes, spec.json, fixed_schemas[i].spec))
            say_invalid(&spec, "spec of '%s' must equal the fixed value", fixed_schemas[i].name);
}

static void validate_schema_update(struct request *request, const struct json *object, const struct json *old,
                                   struct causes *causes)
{
    (void)old;
    validate_schema(request, object, causes);
}

/* Conditions of both kinds: of each type one. */
static void validate_status(struct request *request, const struct json *object, const struct json *old,
                            struct causes *causes)
{
    struct place list = place_named(causes, "status.conditions", json_at(object, "status.conditions"));

    (void)request;
    (void)old;
    place_each (condition, &list) {
        struct place type = place_member(&condition, "type");

        for (uint32_t i = place_lookback(&condition); i < condition.index; i++)
            if (str_eq(place_str(&type), json_str(json_member(&list.json->items[i], "type")))) {
                say_duplicate(&type);
                break;
            }
        check_required(&type, "must not be empty");
    }
}

/* -- priority levels -- */

/* Bits of a hash that dealing a hand takes. */
static double hand_bits(int64_t queues, int64_t hand)
{
    return ceil(log2((double)queues) * (double)hand);
}

static void check_queuing(const struct place *at)
{
    struct place limit = place_member(at, "queueLengthLimit"), queues = place_member(at, "queues");
    struct place hand = place_member(at, "handSize");
    int64_t count = place_int(&queues), size = place_int(&hand);

    check_range(&limit, 1, INT64_MAX, "must be positive");
    check_range(&queues, 1, INT64_MAX, "must be positive");
    check_range(&queues, INT64_MIN, QUEUES_MAX, "must not be greater than 10000000");
    if (size <= 0)
        say_invalid(&hand, "must be positive");
    else if (size > count)
        say_invalid(&hand, "should not be greater than queues (%lld)", (long long)count);
    else if (hand_bits(count, size) > HASH_BITS)
        say_invalid(&hand, "required entropy bits of deckSize %lld and handSize %lld should not be greater than %d",
                    (long long)count, (long long)size, HASH_BITS);
}

static void check_response(const struct place *at)
{
    static const char *const types[] = { "Queue", "Reject", NULL };
    struct place type = place_member(at, "type"), queuing = place_member(at, "queuing");

    if (!check_one_of(&type, types))
        return;
    if (place_is(&type, "Reject")) {
        if (place_there(&queuing))
            say_forbidden(&queuing, "must be nil if limited.limitResponse.type is not Limited");
    } else if (!place_there(&queuing)) {
        say_required(&queuing, "must not be empty if limited.limitResponse.type is Limited");
    } else {
        check_queuing(&queuing);
    }
}

static void check_shares(const struct place *at)
{
    struct place shares = place_member(at, "nominalConcurrencyShares"), lent = place_member(at, "lendablePercent");

    check_range(&shares, 0, INT64_MAX, "must be a non-negative integer");
    check_range(&lent, 0, 100, "must be between 0 and 100, inclusive");
}

static void check_limited(const struct place *at)
{
    struct place response = place_member(at, "limitResponse"), borrowed = place_member(at, "borrowingLimitPercent");

    check_shares(at);
    check_response(&response);
    check_range(&borrowed, 0, INT64_MAX, "if specified, must be a non-negative integer");
}

static void validate_level(struct request *request, const struct json *object, struct causes *causes)
{
    static const char *const types[] = { "Exempt", "Limited", NULL };
    struct place level = place_object(causes, object), spec = place_member(&level, "spec");
    struct place type = place_member(&spec, "type"), limited = place_member(&spec, "limited");
    struct place exempt = place_member(&spec, "exempt");
    struct str own = json_str_at(object, "metadata.name");

    (void)request;
    if (str_is(own, "exempt") != place_is(&type, "Exempt"))
        say_invalid_as(&type, place_str(&type), "type must be 'Exempt' if and only if name is 'exempt'");
    if (check_one_of(&type, types)) {
        bool free = place_is(&type, "Exempt");

        if (free && place_there(&limited))
            say_forbidden(&limited, "must be nil if the type is not Limited");
        if (free && !place_there(&exempt))
            say_required(&exempt, "must not be empty");
        if (!free && place_there(&exempt))
            say_forbidden(&exempt, "must be nil if the type is Limited");
        if (!free && !place_there(&limited))
            say_required(&limited, "must not be empty when type is Limited");
        if (free)
            check_shares(&exempt);
        else if (place_there(&limited))
            check_limited(&limited);
    }
    if (str_is(own, "catch-all") && is_altered(causes, spec.json, catch_all_level))
        say_invalid(&spec, "spec of 'catch-all' must equal the fixed value");
}

static void validate_level_update(struct request *request, const struct json *object, const struct json *old,
                                  struct causes *causes)
{
    (void)old;
    validate_level(request, object, causes);
}

static int default_level(struct request *request, struct json *object, struct err *err)
{
    struct json *spec = json_member(object, "spec"), *exempt;

    if (!str_is(json_str(json_member(spec, "type")), "Exempt"))
        return 0;
    exempt = json_ensure(request->arena, spec, STR("exempt"), JSON_OBJECT);
    return exempt && default_int(request->arena, exempt, "nominalConcurrencyShares", 0) &&
                   default_int(request->arena, exempt, "lendablePercent", 0)
               ? 0
               : out_of_memory(err);
}

const struct rules flowschema_rules = {
    .resource = &RESOURCE_FLOWCONTROL_APISERVER_K8S_IO_FLOWSCHEMAS,
    .validate_create = validate_schema,
    .validate_update = validate_schema_update,
    .validate_status = validate_status,
};
const struct rules prioritylevel_rules = {
    .resource = &RESOURCE_FLOWCONTROL_APISERVER_K8S_IO_PRIORITYLEVELCONFIGURATIONS,
    .default_ = default_level,
    .validate_create = validate_level,
    .validate_update = validate_level_update,
    .validate_status = validate_status,
};
