/* rbac.c - roles and their bindings. */
#include "api/resources.h"
#include "apiserver/registry/place.h"
#include "apiserver/registry/rules.h"
#include "schema/selector.h"

#define GROUP "rbac.authorization.k8s.io"

static int default_binding(struct request *request, struct json *binding, struct err *err)
{
    struct arena *arena = request->arena;
    struct json *ref = json_ensure(arena, binding, STR("roleRef"), JSON_OBJECT);
    struct json *subjects = json_member(binding, "subjects");

    if (!ref || !default_str(arena, ref, "apiGroup", GROUP))
        return out_of_memory(err);
    for (uint32_t i = 0; json_is(subjects, JSON_ARRAY) && i < subjects->count; i++) {
        struct str kind = json_str(json_member(&subjects->items[i], "kind"));

        if ((str_is(kind, "User") || str_is(kind, "Group")) &&
            !default_str(arena, &subjects->items[i], "apiGroup", GROUP))
            return out_of_memory(err);
    }
    return 0;
}

/* -- roles -- */

static void check_rule(const struct place *rule, bool namespaced)
{
    struct place verbs = place_member(rule, "verbs"), urls = place_member(rule, "nonResourceURLs");
    struct place groups = place_member(rule, "apiGroups"), resources = place_member(rule, "resources");
    struct place names = place_member(rule, "resourceNames");

    if (!place_count(&verbs))
        say_required(&verbs, "verbs must contain at least one value");
    if (place_count(&urls)) {
        if (namespaced)
            say_invalid(&urls, "namespaced rules cannot apply to non-resource URLs");
        if (place_count(&groups) || place_count(&resources) || place_count(&names))
            say_invalid(&urls, "rules cannot apply to both regular resources and non-resource URLs");
        return;
    }
    if (!place_count(&groups))
        say_required(&groups, "resource rules must supply at least one api group");
    if (!place_count(&resources))
        say_required(&resources, "resource rules must supply at least one resource");
}

static void check_rules(const struct json *object, bool namespaced, struct causes *causes)
{
    struct place role = place_object(causes, object), rules = place_member(&role, "rules");

    place_each (rule, &rules)
        check_rule(&rule, namespaced);
}

static void validate_role(struct request *request, const struct json *object, struct causes *causes)
{
    (void)request;
    check_rules(object, true, causes);
}

static void validate_role_update(struct request *request, const struct json *object, const struct json *old,
                                 struct causes *causes)
{
    (void)old;
    validate_role(request, object, causes);
}

static void validate_clusterrole(struct request *request, const struct json *object, struct causes *causes)
{
    struct place role = place_object(causes, object), aggregation = place_member(&role, "aggregationRule");
    struct place selectors = place_member(&aggregation, "clusterRoleSelectors");

    (void)request;
    check_rules(object, false, causes);
    if (place_there(&aggregation) && !place_count(&selectors))
        say_required(&selectors, "at least one clusterRoleSelector required if aggregationRule is non-nil");
    place_each (selector, &selectors) {
        const struct selector *parsed;

        if (selector_from_json(causes->arena, selector.json, &parsed, NULL) < 0)
            say_invalid(&selector, "invalid label selector.");
    }
}

static void validate_clusterrole_update(struct request *request, const struct json *object, const struct json *old,
                                        struct causes *causes)
{
    (void)old;
    validate_clusterrole(request, object, causes);
}

/* -- bindings -- */

static void check_subject(const struct place *subject, bool namespaced)
{
    static const char *const kinds[] = { "ServiceAccount", "User", "Group", NULL };
    static const char *const none[] = { "", NULL }, *const groups[] = { GROUP, NULL };
    struct place kind = place_member(subject, "kind"), group = place_member(subject, "apiGroup");
    struct place name = place_member(subject, "name"), ns = place_member(subject, "namespace");

    if (!check_one_of(&kind, kinds))
        return;
    if (!place_is(&kind, "ServiceAccount")) {
        check_one_of(&group, groups);
        return;
    }
    if (!place_empty(&name))
        check_form(&name, NAME_SUBDOMAIN);
    check_one_of(&group, none);
    if (!namespaced)
        check_required(&ns, "");
}

static void check_binding(const struct json *object, bool namespaced, struct causes *causes)
{
    static const char *const local[] = { "Role", "ClusterRole", NULL }, *const global[] = { "ClusterRole", NULL };
    static const char *const groups[] = { GROUP, NULL };
    struct place binding = place_object(causes, object), ref = place_member(&binding, "roleRef");
    struct place group = place_member(&ref, "apiGroup"), kind = place_member(&ref, "kind");
    struct place subjects = place_member(&binding, "subjects");

    check_one_of(&group, groups);
    check_one_of(&kind, namespaced ? local : global);
    place_each (subject, &subjects)
        check_subject(&subject, namespaced);
}

static void check_same_role(const struct json *object, const struct json *old, struct causes *causes)
{
    const struct json *ref = json_member(object, "roleRef"), *before = json_member(old, "roleRef");

    if (ref && before && !json_equal(ref, before))
        add_invalid(causes, STR("roleRef"), ref, "cannot change roleRef");
}

static void validate_binding(struct request *request, const struct json *object, struct causes *causes)
{
    check_binding(object, request->resource->namespaced, causes);
}

static void validate_binding_update(struct request *request, const struct json *object, const struct json *old,
                                    struct causes *causes)
{
    check_binding(object, request->resource->namespaced, causes);
    check_same_role(object, old, causes);
}

const struct rules clusterrole_rules = {
    .resource = &RESOURCE_RBAC_AUTHORIZATION_K8S_IO_CLUSTERROLES,
    .name_form = NAME_PATH_SEGMENT,
    .flags = RULE_NO_GENERATION | RULE_CREATE_ON_UPDATE,
    .validate_create = validate_clusterrole,
    .validate_update = validate_clusterrole_update,
};
const struct rules clusterrolebinding_rules = {
    .resource = &RESOURCE_RBAC_AUTHORIZATION_K8S_IO_CLUSTERROLEBINDINGS,
    .name_form = NAME_PATH_SEGMENT,
    .flags = RULE_NO_GENERATION | RULE_CREATE_ON_UPDATE,
    .default_ = default_binding,
    .validate_create = validate_binding,
    .validate_update = validate_binding_update,
};
const struct rules role_rules = {
    .resource = &RESOURCE_RBAC_AUTHORIZATION_K8S_IO_ROLES,
    .name_form = NAME_PATH_SEGMENT,
    .flags = RULE_NO_GENERATION | RULE_CREATE_ON_UPDATE,
    .validate_create = validate_role,
    .validate_update = validate_role_update,
};
const struct rules rolebinding_rules = {
    .resource = &RESOURCE_RBAC_AUTHORIZATION_K8S_IO_ROLEBINDINGS,
    .name_form = NAME_PATH_SEGMENT,
    .flags = RULE_NO_GENERATION | RULE_CREATE_ON_UPDATE,
    .default_ = default_binding,
    .validate_create = validate_binding,
    .validate_update = validate_binding_update,
};
