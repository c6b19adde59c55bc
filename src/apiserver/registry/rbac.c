/* rbac.c - roles and their bindings. */
#include "api/resources.h"
#include "apiserver/registry/rules.h"

static int default_binding(struct request *request, struct json *binding, struct err *err)
{
    struct arena *arena = request->arena;
    struct json *subjects = json_member(binding, "subjects"), *ref = json_member(binding, "roleRef");

    if (!default_str(arena, ref, "apiGroup", "rbac.authorization.k8s.io"))
        return out_of_memory(err);
    for (uint32_t i = 0; json_is(subjects, JSON_ARRAY) && i < subjects->count; i++) {
        struct str kind = json_str(json_member(&subjects->items[i], "kind"));

        if ((str_is(kind, "User") || str_is(kind, "Group")) &&
            !default_str(arena, &subjects->items[i], "apiGroup", "rbac.authorization.k8s.io"))
            return out_of_memory(err);
    }
    return 0;
}

static void validate_binding_update(struct request *request, const struct json *binding, const struct json *old,
                                    struct causes *causes)
{
    const struct json *ref = json_member(binding, "roleRef");

    (void)request;
    if (!json_equal(ref ? ref : &(struct json){ JSON_NULL }, json_member(old, "roleRef")))
        add_invalid(causes, STR("roleRef"), ref, "cannot change roleRef");
}

const struct rules clusterrole_rules = {
    .resource = &RESOURCE_RBAC_AUTHORIZATION_K8S_IO_CLUSTERROLES,
    .name_form = NAME_PATH_SEGMENT,
    .flags = RULE_NO_GENERATION | RULE_CREATE_ON_UPDATE,
};
const struct rules clusterrolebinding_rules = {
    .resource = &RESOURCE_RBAC_AUTHORIZATION_K8S_IO_CLUSTERROLEBINDINGS,
    .name_form = NAME_PATH_SEGMENT,
    .flags = RULE_NO_GENERATION | RULE_CREATE_ON_UPDATE,
    .default_ = default_binding,
    .validate_update = validate_binding_update,
};
const struct rules role_rules = {
    .resource = &RESOURCE_RBAC_AUTHORIZATION_K8S_IO_ROLES,
    .name_form = NAME_PATH_SEGMENT,
    .flags = RULE_NO_GENERATION | RULE_CREATE_ON_UPDATE,
};
const struct rules rolebinding_rules = {
    .resource = &RESOURCE_RBAC_AUTHORIZATION_K8S_IO_ROLEBINDINGS,
    .name_form = NAME_PATH_SEGMENT,
    .flags = RULE_NO_GENERATION | RULE_CREATE_ON_UPDATE,
    .default_ = default_binding,
    .validate_update = validate_binding_update,
};
