/* pod_affinity.c - where pods want to be: node selectors, affinity, tolerations, spread. */
#include "apiserver/registry/pod_check.h"

/* -- node selectors, of pods and of volumes -- */

static void check_expression(struct causes *causes, const struct path *at, const struct json *expression, bool lenient)
{
    struct str op = text_in(expression, "operator");
    const struct json *values = json_member(expression, "values");
    uint32_t count = items_of(values);

    if (str_is(op, "In") || str_is(op, "NotIn")) {
        if (!count)
            cause_required(causes, AT(at, "values"), "must be specified when `operator` is 'In' or 'NotIn'");
    } else if (str_is(op, "Exists") || str_is(op, "DoesNotExist")) {
        if (count)
            cause_forbidden(causes, AT(at, "values"),
                            "may not be specified when `operator` is 'Exists' or 'DoesNotExist'");
    } else if (str_is(op, "Gt") || str_is(op, "Lt")) {
        if (count != 1)
            cause_required(causes, AT(at, "values"),
                           "must be specified single value when `operator` is 'Lt' or 'Gt'");
    } else {
        cause_invalid_str(causes, AT(at, "operator"), op, "not a valid selector operator");
    }
    cause_format(causes, AT(at, "key"), FORMAT_KEY, text_in(expression, "key"));
    for (uint32_t i = 0; i < count && !lenient; i++)
        cause_format(causes, NTH(AT(at, "values"), i), FORMAT_LABEL_VALUE, json_str(&values->items[i]));
}

static void check_field(struct causes *causes, const struct path *at, const struct json *field)
{
    struct str op = text_in(field, "operator"), key = text_in(field, "key");
    const struct json *values = json_member(field, "values");

    if (!str_is(op, "In") && !str_is(op, "NotIn"))
        cause_invalid_str(causes, AT(at, "operator"), op, "not a valid selector operator");
    else if (items_of(values) != 1)
        cause_required(causes, AT(at, "values"),
                       "must be only one value when `operator` is 'In' or 'NotIn' for node field selector");
    if (!str_is(key, "metadata.name")) {
        cause_invalid_str(causes, AT(at, "key"), key, "not a valid field selector key");
        return;
    }
    for (uint32_t i = 0; i < items_of(values); i++)
        cause_format(causes, NTH(AT(at, "values"), i), FORMAT_SUBDOMAIN, json_str(&values->items[i]));
}

static void check_term(struct causes *causes, const struct path *at, const struct json *term, bool lenient)
{
    const struct json *expressions = json_member(term, "matchExpressions"), *fields = json_member(term, "matchFields");

    for (uint32_t i = 0; i < items_of(expressions); i++)
        check_expression(causes, NTH(AT(at, "matchExpressions"), i), &expressions->items[i], lenient);
    for (uint32_t i = 0; i < items_of(fields); i++)
        check_field(causes, NTH(AT(at, "matchFields"), i), &fields->items[i]);
}

void node_selector_check(struct causes *causes, const struct path *at, const struct json *selector)
{
    const struct json *terms = json_member(selector, "nodeSelectorTerms");

    if (!items_of(terms))
        cause_required(causes, AT(at, "nodeSelectorTerms"), "must have at least one node selector term");
    for (uint32_t i = 0; i < items_of(terms); i++)
        check_term(causes, NTH(AT(at, "nodeSelectorTerms"), i), &terms->items[i], false);
}

/* -- affinity -- */

#define REQUIRED "requiredDuringSchedulingIgnoredDuringExecution"
#define PREFERRED "preferredDuringSchedulingIgnoredDuringExecution"

static void check_weight(struct causes *causes, const struct path *at, const struct json *term)
{
    int64_t weight = json_int(json_member(term, "weight"), 0);

    if (weight < 1 || weight > 100)
        cause_invalid_int(causes, AT(at, "weight"), weight, "must be in the range 1-100");
}

static void check_node_affinity(struct causes *causes, const struct path *at, const struct json *affinity)
{
    const struct json *required = json_member(affinity, REQUIRED), *preferred = json_member(affinity, PREFERRED);

    if (required)
        node_selector_check(causes, AT(at, REQUIRED), required);
    for (uint32_t i = 0; i < items_of(preferred); i++) {
        struct path *here = NTH(AT(at, PREFERRED), i);

        check_weight(causes, here, &preferred->items[i]);
        check_term(causes, AT(here, "preference"), json_member(&preferred->items[i], "preference"), true);
    }
}

static void check_label_keys(struct causes *causes, const struct path *at, const struct json *keys,
                             const struct json *selector)
{
    if (items_of(keys) && !selector) {
        cause_forbidden(causes, at, "must not be specified when labelSelector is not set");
        return;
    }
    for (uint32_t i = 0; i < items_of(keys); i++)
        cause_format(causes, NTH(at, i), FORMAT_KEY, json_str(&keys->items[i]));
}

static void check_pod_term(struct causes *causes, const struct path *at, const struct json *term)
{
    const struct json *namespaces = json_member(term, "namespaces"), *selector = json_member(term, "labelSelector");
    const struct json *match = json_member(term, "matchLabelKeys"), *mismatch = json_member(term, "mismatchLabelKeys");
    struct str key = text_in(term, "topologyKey");

    for (uint32_t i = 0; i < items_of(namespaces); i++)
        cause_format(causes, AT(at, "namespace"), FORMAT_LABEL, json_str(&namespaces->items[i]));
    check_label_keys(causes, AT(at, "matchLabelKeys"), match, selector);
    check_label_keys(causes, AT(at, "mismatchLabelKeys"), mismatch, selector);
    for (uint32_t i = 0; i < items_of(match); i++)
        if (strings_have(mismatch, json_str(&match->items[i])))
            cause_invalid(causes, NTH(AT(at, "matchLabelKeys"), i), &match->items[i],
                          "exists in both matchLabelKeys and mismatchLabelKeys");
    if (str_empty(key))
        cause_required(causes, AT(at, "topologyKey"), "can not be empty");
    cause_format(causes, AT(at, "topologyKey"), FORMAT_KEY, key);
}

static void check_pod_affinity(struct causes *causes, const struct path *at, const struct json *affinity)
{
    const struct json *required = json_member(affinity, REQUIRED), *preferred = json_member(affinity, PREFERRED);

    for (uint32_t i = 0; i < items_of(required); i++)
        check_pod_term(causes, NTH(AT(at, REQUIRED), i), &required->items[i]);
    for (uint32_t i = 0; i < items_of(preferred); i++) {
        struct path *here = NTH(AT(at, PREFERRED), i);

        check_weight(causes, here, &preferred->items[i]);
        check_pod_term(causes, AT(here, "podAffinityTerm"), json_member(&preferred->items[i], "podAffinityTerm"));
    }
}

/* -- spread -- */

static bool selector_has_key(const struct json *selector, struct str key)
{
    const struct json *expressions = json_member(selector, "matchExpressions");

    if (json_get(json_member(selector, "matchLabels"), key))
        return true;
    for (uint32_t i = 0; i < items_of(expressions); i++)
        if (str_eq(text_in(&expressions->items[i], "key"), key))
            return true;
    return false;
}

static void check_spread_keys(struct causes *causes, const struct path *at, const struct json *constraint)
{
    const struct json *keys = json_member(constraint, "matchLabelKeys");
    const struct json *selector = json_member(constraint, "labelSelector");

    if (items_of(keys) && !selector)
        cause_forbidden(causes, at, "must not be specified when labelSelector is not set");
    for (uint32_t i = 0; i < items_of(keys); i++) {
        cause_format(causes, NTH(at, i), FORMAT_KEY, json_str(&keys->items[i]));
        if (selector_has_key(selector, json_str(&keys->items[i])))
            cause_invalid(causes, NTH(at, i), &keys->items[i], "exists in both matchLabelKeys and labelSelector");
    }
}

static bool is_repeated(const struct json *constraints, uint32_t at)
{
    for (uint32_t i = at + 1; i < constraints->count; i++)
        if (str_eq(text_in(&constraints->items[i], "topologyKey"), text_in(&constraints->items[at], "topologyKey")) &&
            str_eq(text_in(&constraints->items[i], "whenUnsatisfiable"),
                   text_in(&constraints->items[at], "whenUnsatisfiable")))
            return true;
    return false;
}

static void check_spread(struct causes *causes, const struct path *at, const struct json *constraints, uint32_t index)
{
    const struct json *constraint = &constraints->items[index], *domains = json_member(constraint, "minDomains");
    struct str key = text_in(constraint, "topologyKey"), when = text_in(constraint, "whenUnsatisfiable");
    int64_t skew = json_int(json_member(constraint, "maxSkew"), 0);

    if (skew <= 0)
        cause_invalid_int(causes, AT(at, "maxSkew"), skew, "must be greater than zero");
    if (str_empty(key))
        cause_required(causes, AT(at, "topologyKey"), "can not be empty");
    if (is_repeated(constraints, index))
        cause_at(causes, CAUSE_DUPLICATE, AT(at, "{topologyKey, whenUnsatisfiable}"),
                 "Duplicate value: \"{" STR_FMT ", " STR_FMT "}\"", STR_ARG(key), STR_ARG(when));
    if (domains && json_int(domains, 0) <= 0)
        cause_invalid(causes, AT(at, "minDomains"), domains, "must be greater than zero");
    if (domains && !str_is(when, "DoNotSchedule"))
        cause_at(causes, CAUSE_INVALID, AT(at, "minDomains"),
                 "Invalid value: %lld: can only use minDomains if whenUnsatisfiable=DoNotSchedule, not " STR_FMT,
                 (long long)json_int(domains, 0), STR_ARG(when));
    check_spread_keys(causes, AT(at, "matchLabelKeys"), constraint);
}

/* -- tolerations -- */

static void check_toleration_value(struct causes *causes, const struct path *at, const struct json *toleration)
{
    struct str op = text_in(toleration, "operator"), value = text_in(toleration, "value");

    if (str_is(op, "Exists")) {
        if (!str_empty(value))
            cause_invalid_str(causes, AT(at, "operator"), value, "value must be empty when `operator` is 'Exists'");
    } else if (str_empty(op) || str_is(op, "Equal")) {
        cause_format(causes, AT(at, "operator"), FORMAT_LABEL_VALUE, value);
    }
}

void tolerations_check(struct causes *causes, const struct path *at, const struct json *tolerations)
{
    for (uint32_t i = 0; i < items_of(tolerations); i++) {
        const struct json *toleration = &tolerations->items[i];
        struct str key = text_in(toleration, "key"), op = text_in(toleration, "operator");
        struct path here = path_index(at, i);

        if (!str_empty(key))
            cause_format(causes, AT(&here, "key"), FORMAT_KEY, key);
        else if (!str_is(op, "Exists"))
            cause_invalid_str(causes, AT(&here, "operator"), op,
                              "operator must be Exists when `key` is empty, which means \"match all values and all "
                              "keys\"");
        if (json_member(toleration, "tolerationSeconds") && !str_is(text_in(toleration, "effect"), "NoExecute"))
            cause_invalid_str(causes, AT(&here, "effect"), text_in(toleration, "effect"),
                              "effect must be 'NoExecute' when `tolerationSeconds` is set");
        check_toleration_value(causes, &here, toleration);
    }
}

void pod_affinity_check(const struct pod_check *check)
{
    const struct json *affinity = json_member(check->spec, "affinity");
    const struct json *constraints = json_member(check->spec, "topologySpreadConstraints");
    struct path *at = AT(check->at, "affinity");

    if (affinity) {
        check_node_affinity(check->causes, AT(at, "nodeAffinity"), json_member(affinity, "nodeAffinity"));
        check_pod_affinity(check->causes, AT(at, "podAffinity"), json_member(affinity, "podAffinity"));
        check_pod_affinity(check->causes, AT(at, "podAntiAffinity"), json_member(affinity, "podAntiAffinity"));
    }
    for (uint32_t i = 0; i < items_of(constraints); i++)
        check_spread(check->causes, NTH(AT(check->at, "topologySpreadConstraints"), i), constraints, i);
    tolerations_check(check->causes, AT(check->at, "tolerations"), json_member(check->spec, "tolerations"));
}
