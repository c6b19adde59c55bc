/* admission.c - webhooks and policies that admission asks. Of CEL expressions only that they are there is checked. */
#include "api/resources.h"
#include "apiserver/registry/place.h"
#include "apiserver/registry/rules.h"

#define CONDITIONS_MAX 64
#define ANNOTATIONS_MAX 20
#define VALUE_EXPRESSION_MAX 5120

/* -- rules: which operations on which resources -- */

/* Not empty, and "*" alone or not at all. */
static void check_wildcard(const struct place *list, const char *what)
{
    if (!place_count(list))
        say_required(list, "");
    else if (place_count(list) > 1 && place_has(list, "*"))
        say_invalid(list, "if '*' is present, must not specify other %s", what);
}

static bool has_pair(const struct place *list, uint32_t before, struct str resource, struct str sub)
{
    for (uint32_t i = before > PLACE_LOOKBACK ? before - PLACE_LOOKBACK : 0; i < before; i++) {
        struct str text = json_str(&list->json->items[i]);
        ssize_t slash = str_chr(text, '/');

        if (slash >= 0 && str_eq(str_first(text, (size_t)slash), resource) &&
            str_eq(str_skip(text, (size_t)slash + 1), sub))
            return true;
    }
    return false;
}

/* "pods", "pods/log", "pods/_", "_/log", "_", "_/_" (with stars): what a wildcard covers may not be said again. */
static void check_resources(const struct place *list)
{
    bool plain = false;

    if (!place_count(list))
        say_required(list, "");
    place_each (item, list) {
        struct str text = place_str(&item), resource, sub;
        ssize_t slash = str_chr(text, '/');

        if (str_empty(text))
            say_required(&item, "");
        plain |= slash < 0 && !str_empty(text) && !str_is(text, "*");
        if (slash < 0)
            continue;
        resource = str_first(text, (size_t)slash);
        sub = str_skip(text, (size_t)slash + 1);
        if (has_pair(list, item.index, resource, STR("*")))
            say_invalid(&item, "if '" STR_FMT "/*' is present, must not specify " STR_FMT, STR_ARG(resource),
                        STR_ARG(text));
        if (has_pair(list, item.index, STR("*"), sub))
            say_invalid(&item, "if '*/" STR_FMT "' is present, must not specify " STR_FMT, STR_ARG(sub), STR_ARG(text));
    }
    if (place_count(list) > 1 && place_has(list, "*/*"))
        say_invalid(list, "if '*/*' is present, must not specify other resources");
    if (place_has(list, "*") && plain)
        say_invalid(list, "if '*' is present, must not specify other resources without subresources");
}

static void check_rule(const struct place *rule)
{
    struct place operations = place_member(rule, "operations"), groups = place_member(rule, "apiGroups");
    struct place versions = place_member(rule, "apiVersions"), resources = place_member(rule, "resources");

    check_wildcard(&operations, "operations");
    place_each (operation, &operations)
        if (place_empty(&operation)) {
            static const char *const known[] = { "*", "CONNECT", "CREATE", "DELETE", "UPDATE", NULL };

            say_not_supported(&operation, known);
        }
    check_wildcard(&groups, "API groups");
    check_wildcard(&versions, "API versions");
    place_each (version, &versions)
        check_required(&version, "");
    check_resources(&resources);
}

static bool is_blank(struct str s)
{
    for (size_t i = 0; i < s.len; i++)
        if (!strchr(" \t\n\v\f\r", s.data[i]) || !s.data[i])
            return false;
    return true;
}

static void check_conditions(const struct place *list)
{
    if (place_count(list) > CONDITIONS_MAX)
        say_too_many(list, CONDITIONS_MAX);
    place_each (condition, list) {
        struct place name = place_member(&condition, "name"), expression = place_member(&condition, "expression");

        if (is_blank(place_str(&expression)))
            say_required(&expression, "");
        check_required(&name, "");
        if (place_empty(&name))
            continue;
        check_qualified(&name);
        for (uint32_t i = place_lookback(&condition); i < condition.index; i++)
            if (str_eq(place_str(&name), json_str(json_member(&list->json->items[i], "name")))) {
                say_duplicate(&name);
                break;
            }
    }
}

/* -- webhook configurations -- */

/* What an update tolerates because the old object had it. */
struct leniency {
    bool side_effects, versions, names;
};

static void check_hook_name(const struct place *name)
{
    struct str text = place_str(name);
    const char *problem = form_problem(NAME_SUBDOMAIN, text);
    unsigned dots = 0;

    if (str_empty(text))
        return;
    if (problem) {
        say_invalid(name, "%s", problem);
        return;
    }
    for (size_t i = 0; i < text.len; i++)
        dots += text.data[i] == '.';
    if (dots < 2)
        say_invalid(name, "should be a domain with at least three segments separated by dots");
}

static bool is_known_version(struct str version)
{
    return str_is(version, "v1") || str_is(version, "v1beta1");
}

static void check_review_versions(const struct place *list, bool tolerant)
{
    bool known = false;

    if (!place_count(list)) {
        say_required(list, "must specify one of v1, v1beta1");
        return;
    }
    place_each (version, list) {
        const char *problem = form_problem(NAME_DNS1035, place_str(&version));
        bool again = false;

        for (uint32_t i = place_lookback(&version); i < version.index && !again; i++)
            again = json_equal(version.json, &list->json->items[i]);
        if (again)
            say_invalid(&version, "duplicate version");
        else if (problem)
            say_invalid(&version, "%s", problem);
        known |= is_known_version(place_str(&version));
    }
    if (!known && !tolerant)
        say_invalid(list, "must include at least one of v1, v1beta1");
}

static void check_side_effects(const struct place *at, bool tolerant)
{
    static const char *const quiet[] = { "None", "NoneOnDryRun", NULL };
    static const char *const all[] = { "None", "NoneOnDryRun", "Some", "Unknown", NULL };

    if (!place_there(at))
        say_required(at, tolerant ? "must specify one of None, NoneOnDryRun, Some, Unknown"
                                  : "must specify one of None, NoneOnDryRun");
    else
        check_one_of(at, tolerant ? all : quiet);
}

static void check_hook(const struct place *hook, const struct leniency *leniency)
{
    struct place name = place_member(hook, "name"), rules = place_member(hook, "rules");
    struct place effects = place_member(hook, "sideEffects"), timeout = place_member(hook, "timeoutSeconds");
    struct place client = place_member(hook, "clientConfig"), conditions = place_member(hook, "matchConditions");
    struct place versions = place_member(hook, "admissionReviewVersions");

    check_hook_name(&name);
    place_each (rule, &rules)
        check_rule(&rule);
    check_side_effects(&effects, leniency->side_effects);
    check_range(&timeout, 1, 30, "the timeout value must be between 1 and 30 seconds");
    check_webhook_client(&client);
    check_conditions(&conditions);
    check_review_versions(&versions, leniency->versions);
}

static bool is_repeated(const struct place *hooks, const struct place *name, uint32_t before)
{
    for (uint32_t i = before > PLACE_LOOKBACK ? before - PLACE_LOOKBACK : 0; i < before; i++)
        if (str_eq(place_str(name), json_str(json_member(&hooks->json->items[i], "name"))))
            return true;
    return false;
}

static void check_hooks(const struct json *object, const struct leniency *leniency, struct causes *causes)
{
    struct place configuration = place_object(causes, object), hooks = place_member(&configuration, "webhooks");

    place_each (hook, &hooks) {
        struct place name = place_member(&hook, "name");

        check_hook(&hook, leniency);
        if (!leniency->names && !place_empty(&name) && is_repeated(&hooks, &name, hook.index))
            say_duplicate(&name);
    }
}

static struct leniency leniency_of(const struct json *old)
{
    struct place configuration = place_object(NULL, old), hooks = place_member(&configuration, "webhooks");
    struct leniency leniency = { 0 };

    place_each (hook, &hooks) {
        struct place name = place_member(&hook, "name"), effects = place_member(&hook, "sideEffects");
        struct place versions = place_member(&hook, "admissionReviewVersions");
        bool known = false;

        place_each (version, &versions)
            known |= is_known_version(place_str(&version));
        leniency.names |= is_repeated(&hooks, &name, hook.index);
        leniency.side_effects |= !place_is(&effects, "None") && !place_is(&effects, "NoneOnDryRun");
        leniency.versions |= !known;
    }
    return leniency;
}

static void validate_hooks(struct request *request, const struct json *object, struct causes *causes)
{
    static const struct leniency none;

    (void)request;
    check_hooks(object, &none, causes);
}

static void validate_hooks_update(struct request *request, const struct json *object, const struct json *old,
                                  struct causes *causes)
{
    struct leniency leniency = leniency_of(old);

    (void)request;
    check_hooks(object, &leniency, causes);
}

/* -- policies -- */

/* Rules that may name objects, each name once. */
static void check_named_rules(const struct place *rules)
{
    place_each (rule, rules) {
        struct place names = place_member(&rule, "resourceNames");

        check_unique(&names);
        check_rule(&rule);
    }
}

static void check_match(const struct place *match)
{
    struct place rules = place_member(match, "resourceRules"), except = place_member(match, "excludeResourceRules");

    check_named_rules(&rules);
    check_named_rules(&except);
}

static void check_param_kind(const struct place *at)
{
    struct place version = place_member(at, "apiVersion"), kind = place_member(at, "kind");
    struct str text = place_str(&version), group = STR(""), name = text;
    ssize_t slash = str_chr(text, '/');
    const char *problem;

    check_required(&version, "");
    if (slash >= 0) {
        group = str_first(text, (size_t)slash);
        name = str_skip(text, (size_t)slash + 1);
    }
    if (str_chr(name, '/') >= 0) {
        say_invalid(&version, "unexpected GroupVersion string: " STR_FMT, STR_ARG(text));
    } else if (!str_empty(text)) {
        if (!str_empty(group) && (problem = form_problem(NAME_SUBDOMAIN, group)))
            say_invalid_as(&version, group, "%s", problem);
        if (str_empty(name))
            say_required(&version, "version must be specified");
        else if ((problem = form_problem(NAME_DNS1035, name)))
            say_invalid_as(&version, name, "%s", problem);
    }
    check_required(&kind, "");
    check_kind(&kind);
}

static bool has_line_break(struct str s)
{
    return str_chr(s, '\n') >= 0 || str_chr(s, '\r') >= 0;
}

static void check_validation(const struct place *at)
{
    static const char *const reasons[] = { "Forbidden", "Invalid", "RequestEntityTooLarge", "Unauthorized", NULL };
    struct place expression = place_member(at, "expression"), message = place_member(at, "message");
    struct place reason = place_member(at, "reason"), other = place_member(at, "messageExpression");

    if (is_blank(place_str(&expression)))
        say_required(&expression, "expression is not specified");
    if (!place_empty(&other) && is_blank(place_str(&other)))
        say_invalid(&other, "must be non-empty if specified");
    if (!place_empty(&message) && is_blank(place_str(&message)))
        say_invalid(&message, "message must be non-empty if specified");
    else if (has_line_break(str_trim(place_str(&message))))
        say_invalid(&message, "message must not contain line breaks");
    else if (place_empty(&message) && has_line_break(str_trim(place_str(&expression))))
        say_required(&message, "message must be specified if expression contains line breaks");
    if (place_there(&reason))
        check_one_of(&reason, reasons);
}

/* Keys go with the policy's name into an audit event. */
static void check_annotations(const struct place *list, struct str policy)
{
    if (place_count(list) > ANNOTATIONS_MAX)
        say_invalid(list, "must not have more than %d items", ANNOTATIONS_MAX);
    place_each (annotation, list) {
        struct place key = place_member(&annotation, "key"), value = place_member(&annotation, "valueExpression");
        struct str name = arena_printf(list->causes->arena, STR_FMT "%s" STR_FMT, STR_ARG(policy),
                                       str_empty(policy) ? "" : "/", STR_ARG(place_str(&key)));
        const char *problem = qualified_name_problem(name.data ? name : STR(""));

        if (problem)
            say_invalid_as(&key, name, "%s", problem);
        if (is_blank(place_str(&value)))
            say_required(&value, "valueExpression is not specified");
        else if (str_trim(place_str(&value)).len > VALUE_EXPRESSION_MAX)
            say_required(&value, "must not exceed 5120 bytes in length");
        for (uint32_t i = place_lookback(&annotation); i < annotation.index; i++)
            if (str_eq(place_str(&key), json_str(json_member(&list->json->items[i], "key")))) {
                say_duplicate(&key);
                break;
            }
    }
}

static bool is_identifier(struct str s)
{
    for (size_t i = 0; i < s.len; i++) {
        char c = s.data[i];

        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || (i && c >= '0' && c <= '9')))
            return false;
    }
    return true;
}

static void check_variables(const struct place *list)
{
    place_each (variable, list) {
        struct place name = place_member(&variable, "name"), expression = place_member(&variable, "expression");

        if (is_blank(place_str(&name)))
            say_required(&name, "name is not specified");
        else if (!is_identifier(place_str(&name)))
            say_invalid(&name, "name is not a valid CEL identifier");
        if (is_blank(place_str(&expression)))
            say_required(&expression, "expression is not specified");
    }
}

static void validate_policy(struct request *request, const struct json *object, struct causes *causes)
{
    static const char missing[] = "validations or auditAnnotations must contain at least one item";
    struct place policy = place_object(causes, object), spec = place_member(&policy, "spec");
    struct place params = place_member(&spec, "paramKind"), match = place_member(&spec, "matchConstraints");
    struct place rules = place_member(&match, "resourceRules"), conditions = place_member(&spec, "matchConditions");
    struct place variables = place_member(&spec, "variables"), validations = place_member(&spec, "validations");
    struct place annotations = place_member(&spec, "auditAnnotations");

    (void)request;
    if (place_there(&params))
        check_param_kind(&params);
    if (!place_there(&match)) {
        say_required(&match, "");
    } else {
        check_match(&match);
        if (!place_count(&rules))
            say_required(&rules, "");
    }
    check_conditions(&conditions);
    check_variables(&variables);
    if (!place_count(&validations) && !place_count(&annotations)) {
        say_required(&validations, missing);
        say_required(&annotations, missing);
    }
    place_each (validation, &validations)
        check_validation(&validation);
    check_annotations(&annotations, json_str_at(object, "metadata.name"));
}

static void validate_policy_update(struct request *request, const struct json *object, const struct json *old,
                                   struct causes *causes)
{
    (void)old;
    validate_policy(request, object, causes);
}

/* -- where policies hold -- */

static void check_param_ref(const struct place *at)
{
    static const char *const actions[] = { "Deny", "Allow", NULL };
    struct place name = place_member(at, "name"), selector = place_member(at, "selector");
    struct place action = place_member(at, "parameterNotFoundAction");
    static const char both[] = "name and selector are mutually exclusive";

    if (!place_empty(&name) && place_there(&selector)) {
        say_forbidden(&name, both);
        say_forbidden(&selector, both);
    }
    if (place_empty(&name) && !place_there(&selector))
        say_required(at, "one of name or selector must be specified");
    if (place_empty(&action))
        say_required(&action, "");
    else
        check_one_of(&action, actions);
}

static void validate_binding(struct request *request, const struct json *object, struct causes *causes)
{
    struct place binding = place_object(causes, object), spec = place_member(&binding, "spec");
    struct place policy = place_member(&spec, "policyName"), params = place_member(&spec, "paramRef");
    struct place match = place_member(&spec, "matchResources"), actions = place_member(&spec, "validationActions");

    (void)request;
    check_required(&policy, "");
    check_form(&policy, NAME_SUBDOMAIN);
    if (place_there(&params))
        check_param_ref(&params);
    match.name = "matchResouces"; /* so it has always been spelled in the messages */
    check_match(&match);
    if (!place_count(&actions))
        say_required(&actions, "");
    check_unique(&actions);
    if (place_has(&actions, "Deny") && place_has(&actions, "Warn"))
        say_invalid(&actions, "must not contain both Deny and Warn (repeating the same validation failure information "
                              "in the API response and headers serves no purpose)");
}

static void validate_binding_update(struct request *request, const struct json *object, const struct json *old,
                                    struct causes *causes)
{
    (void)old;
    validate_binding(request, object, causes);
}

const struct rules mutatingwebhook_rules = {
    .resource = &RESOURCE_ADMISSIONREGISTRATION_K8S_IO_MUTATINGWEBHOOKCONFIGURATIONS,
    .validate_create = validate_hooks,
    .validate_update = validate_hooks_update,
};
const struct rules validatingwebhook_rules = {
    .resource = &RESOURCE_ADMISSIONREGISTRATION_K8S_IO_VALIDATINGWEBHOOKCONFIGURATIONS,
    .validate_create = validate_hooks,
    .validate_update = validate_hooks_update,
};
const struct rules admissionpolicy_rules = {
    .resource = &RESOURCE_ADMISSIONREGISTRATION_K8S_IO_VALIDATINGADMISSIONPOLICIES,
    .validate_create = validate_policy,
    .validate_update = validate_policy_update,
};
const struct rules admissionpolicybinding_rules = {
    .resource = &RESOURCE_ADMISSIONREGISTRATION_K8S_IO_VALIDATINGADMISSIONPOLICYBINDINGS,
    .validate_create = validate_binding,
    .validate_update = validate_binding_update,
};
