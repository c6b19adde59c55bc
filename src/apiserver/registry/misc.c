/* misc.c - resources whose rules are a few lines: accounts, endpoints, leases, volumes, priorities, roles. */
#include "api/resources.h"
#include "apiserver/registry/rules.h"

static void check_subsets(struct request *request, const struct json *endpoints, struct causes *causes)
{
    const struct json *subsets = json_member(endpoints, "subsets");

    (void)request;
    for (uint32_t i = 0; json_is(subsets, JSON_ARRAY) && i < subsets->count; i++) {
        const struct json *ports = json_member(&subsets->items[i], "ports");

        for (uint32_t j = 0; json_is(ports, JSON_ARRAY) && j < ports->count; j++)
            check_port_number(causes, field_path(causes, "subsets[%u].ports[%u].port", i, j),
                              json_int(json_member(&ports->items[j], "port"), 0));
    }
}

static int default_endpointslice(struct request *request, struct json *slice, struct err *err)
{
    struct json *ports = json_member(slice, "ports");

    for (uint32_t i = 0; json_is(ports, JSON_ARRAY) && i < ports->count; i++) {
        struct json *port = &ports->items[i];

        if (!default_str(request->arena, port, "protocol", "TCP") ||
            (!json_member(port, "name") && !json_set_str(request->arena, port, STR("name"), STR(""))))
            return out_of_memory(err);
    }
    return 0;
}

static void validate_endpointslice_update(struct request *request, const struct json *slice, const struct json *old,
                                          struct causes *causes)
{
    (void)request;
    check_immutable(causes, STR("addressType"), json_member(slice, "addressType"), json_member(old, "addressType"));
}

static void validate_lease(struct request *request, const struct json *lease, struct causes *causes)
{
    const struct json *seconds = json_at(lease, "spec.leaseDurationSeconds");

    (void)request;
    if (seconds && json_int(seconds, 0) <= 0)
        add_invalid(causes, STR("spec.leaseDurationSeconds"), seconds, "must be greater than 0");
    check_not_negative(causes, STR("spec.leaseTransitions"), json_at(lease, "spec.leaseTransitions"));
}

static void validate_lease_update(struct request *request, const struct json *lease, const struct json *old,
                                  struct causes *causes)
{
    (void)old;
    validate_lease(request, lease, causes);
}

static int default_volume(struct request *request, struct json *volume, struct err *err)
{
    struct arena *arena = request->arena;
    struct json *spec = json_ensure(arena, volume, STR("spec"), JSON_OBJECT);
    struct json *status = json_ensure(arena, volume, STR("status"), JSON_OBJECT);

    if (!spec || !status || !default_str(arena, json_member(volume, "spec"), "volumeMode", "Filesystem") ||
        !default_str(arena, json_member(volume, "status"), "phase", "Pending"))
        return out_of_memory(err);
    if (str_is(json_str(json_member(volume, "kind")), "PersistentVolume") &&
        !default_str(arena, json_member(volume, "spec"), "persistentVolumeReclaimPolicy", "Retain"))
        return out_of_memory(err);
    return 0;
}

static void validate_claim(struct request *request, const struct json *claim, struct causes *causes)
{
    const struct json *modes = json_at(claim, "spec.accessModes");

    (void)request;
    if (!json_is(modes, JSON_ARRAY) || !modes->count)
        add_required(causes, STR("spec.accessModes"), "at least 1 access mode is required");
    if (!json_at(claim, "spec.resources.requests.storage"))
        add_required(causes, STR("spec.resources[storage]"), "");
}

static void validate_claim_update(struct request *request, const struct json *claim, const struct json *old,
                                  struct causes *causes)
{
    static const char *const frozen[] = { "accessModes", "storageClassName", "volumeMode", "selector", "dataSource" };

    validate_claim(request, claim, causes);
    for (size_t i = 0; i < ARRAY_LEN(frozen); i++) {
        const struct json *was = json_get(json_member(old, "spec"), str_from(frozen[i]));
        const struct json *is = json_get(json_member(claim, "spec"), str_from(frozen[i]));
        static const struct json null = { .kind = JSON_NULL };

        /* A default class may be filled in later. */
        if (json_equal(was ? was : &null, is ? is : &null) || (!was && str_is(str_from(frozen[i]), "storageClassName")))
            continue;
        add_forbidden(causes, STR("spec"),
                      "spec is immutable after creation except resources.requests and volumeAttributesClassName for "
                      "bound claims");
        return;
    }
}

static void validate_volume(struct request *request, const struct json *volume, struct causes *causes)
{
    const struct json *modes = json_at(volume, "spec.accessModes");

    (void)request;
    if (!json_is(modes, JSON_ARRAY) || !modes->count)
        add_required(causes, STR("spec.accessModes"), "");
    if (!json_at(volume, "spec.capacity.storage"))
        add_required(causes, STR("spec.capacity"), "");
}

static int default_storageclass(struct request *request, struct json *class, struct err *err)
{
    bool ok = default_str(request->arena, class, "reclaimPolicy", "Delete") &&
              default_str(request->arena, class, "volumeBindingMode", "Immediate");

    return ok ? 0 : out_of_memory(err);
}

static void validate_storageclass_update(struct request *request, const struct json *class, const struct json *old,
                                         struct causes *causes)
{
    (void)request;
    if (!json_equal(json_member(class, "parameters") ? json_member(class, "parameters") : &(struct json){ JSON_NULL },
                    json_member(old, "parameters") ? json_member(old, "parameters") : &(struct json){ JSON_NULL }))
        add_forbidden(causes, STR("parameters"), "updates to parameters are forbidden.");
    if (!str_eq(json_str(json_member(class, "provisioner")), json_str(json_member(old, "provisioner"))))
        add_forbidden(causes, STR("provisioner"), "updates to provisioner are forbidden.");
    check_immutable(causes, STR("reclaimPolicy"), json_member(class, "reclaimPolicy"),
                    json_member(old, "reclaimPolicy"));
    check_immutable(causes, STR("volumeBindingMode"), json_member(class, "volumeBindingMode"),
                    json_member(old, "volumeBindingMode"));
}

static int default_priorityclass(struct request *request, struct json *class, struct err *err)
{
    return default_str(request->arena, class, "preemptionPolicy", "PreemptLowerPriority") ? 0 : out_of_memory(err);
}

static void validate_priorityclass(struct request *request, const struct json *class, struct causes *causes)
{
    struct str name = json_str_at(class, "metadata.name");
    int64_t value = json_int(json_member(class, "value"), 0);

    (void)request;
    if (str_has_prefix(name, STR("system-"))) {
        if (!str_is(name, "system-node-critical") && !str_is(name, "system-cluster-critical"))
            add_forbidden(causes, STR("metadata.name"),
                          "priority class names with 'system-' prefix are reserved for system use only");
    } else if (value > 1000000000) {
        add_forbidden(causes, STR("value"), "maximum allowed value of a user defined priority is 1000000000");
    }
}

static void validate_priorityclass_update(struct request *request, const struct json *class, const struct json *old,
                                          struct causes *causes)
{
    (void)request;
    if (json_int(json_member(class, "value"), 0) != json_int(json_member(old, "value"), 0))
        add_forbidden(causes, STR("value"), "may not be changed in an update.");
    check_immutable(causes, STR("preemptionPolicy"), json_member(class, "preemptionPolicy"),
                    json_member(old, "preemptionPolicy"));
}

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

const struct rules serviceaccount_rules = {
    .resource = &RESOURCE_SERVICEACCOUNTS,
    .flags = RULE_NO_GENERATION,
};
const struct rules endpoints_rules = {
    .resource = &RESOURCE_ENDPOINTS,
    .flags = RULE_NO_GENERATION | RULE_CREATE_ON_UPDATE,
    .validate_create = check_subsets,
};
const struct rules endpointslice_rules = {
    .resource = &RESOURCE_DISCOVERY_K8S_IO_ENDPOINTSLICES,
    .default_ = default_endpointslice,
    .validate_update = validate_endpointslice_update,
};
const struct rules lease_rules = {
    .resource = &RESOURCE_COORDINATION_K8S_IO_LEASES,
    .flags = RULE_NO_GENERATION | RULE_CREATE_ON_UPDATE | RULE_NEED_VERSION,
    .validate_create = validate_lease,
    .validate_update = validate_lease_update,
};
const struct rules persistentvolume_rules = {
    .resource = &RESOURCE_PERSISTENTVOLUMES,
    .flags = RULE_NO_GENERATION,
    .default_ = default_volume,
    .validate_create = validate_volume,
};
const struct rules persistentvolumeclaim_rules = {
    .resource = &RESOURCE_PERSISTENTVOLUMECLAIMS,
    .flags = RULE_NO_GENERATION,
    .default_ = default_volume,
    .validate_create = validate_claim,
    .validate_update = validate_claim_update,
};
const struct rules storageclass_rules = {
    .resource = &RESOURCE_STORAGE_K8S_IO_STORAGECLASSES,
    .flags = RULE_NO_GENERATION,
    .default_ = default_storageclass,
    .validate_update = validate_storageclass_update,
};
const struct rules priorityclass_rules = {
    .resource = &RESOURCE_SCHEDULING_K8S_IO_PRIORITYCLASSES,
    .default_ = default_priorityclass,
    .validate_create = validate_priorityclass,
    .validate_update = validate_priorityclass_update,
};
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
