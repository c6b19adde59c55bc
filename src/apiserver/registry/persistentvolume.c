/* persistentvolume.c - volumes and the claims to them. */
#include "api/resources.h"
#include "apiserver/registry/rules.h"
#include "schema/quantity.h"

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

/* -- what both have -- */

static void check_access_modes(struct causes *causes, const struct path *at, const struct json *modes, const char *why)
{
    static const char *const supported[] = { "ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod",
                                             NULL };
    bool alone = false, others = false;

    if (!items_of(modes))
        cause_required(causes, at, why);
    for (uint32_t i = 0; i < items_of(modes); i++) {
        struct str mode = json_str(&modes->items[i]);
        bool known = false;

        for (size_t j = 0; supported[j]; j++)
            known = known || str_is(mode, supported[j]);
        if (!known)
            cause_not_supported(causes, at, mode, supported);
        alone = alone || str_is(mode, "ReadWriteOncePod");
        others = others || (known && !str_is(mode, "ReadWriteOncePod"));
    }
    if (alone && others)
        cause_forbidden(causes, at, "may not use ReadWriteOncePod with other access modes");
}

/* False when there is none or it does not parse. */
static bool storage_of(const struct json *amounts, struct quantity *ret_quantity)
{
    return quantity_parse(text_in(amounts, "storage"), ret_quantity);
}

/* -- claims -- */

static void check_data_source(struct causes *causes, const struct path *at, const struct json *source)
{
    if (source && str_empty(text_in(source, "apiGroup")) && !str_is(text_in(source, "kind"), "PersistentVolumeClaim"))
        cause_invalid_str(causes, at, text_in(source, "kind"),
                          "must be 'PersistentVolumeClaim' when referencing the default apiGroup");
    if (!str_empty(text_in(source, "apiGroup")))
        cause_format(causes, AT(at, "apiGroup"), FORMAT_SUBDOMAIN, text_in(source, "apiGroup"));
}

static void check_data_sources(struct causes *causes, const struct path *at, const struct json *spec)
{
    const struct json *source = json_member(spec, "dataSource"), *ref = json_member(spec, "dataSourceRef");
    struct str shown = STR("spec.dataSource");

    check_data_source(causes, AT(at, "dataSource"), source);
    check_data_source(causes, AT(at, "dataSourceRef"), ref);
    if (!source || !ref)
        return;
    if (!str_empty(text_in(ref, "namespace")))
        cause_invalid_str(causes, at, shown, "may not be specified when dataSourceRef.namespace is specified");
    else if (!str_eq(text_in(source, "apiGroup"), text_in(ref, "apiGroup")) ||
             !str_eq(text_in(source, "kind"), text_in(ref, "kind")) ||
             !str_eq(text_in(source, "name"), text_in(ref, "name")))
        cause_invalid_str(causes, at, shown, "must match dataSourceRef");
}

void claim_spec_check(struct causes *causes, const struct path *at, const struct json *spec)
{
    const struct json *storage = json_at(spec, "resources.requests.storage");
    struct path *here = KEYED(AT(at, "resources"), STR("storage"));
    struct quantity amount;

    check_access_modes(causes, AT(at, "accessModes"), json_member(spec, "accessModes"),
                       "at least 1 access mode is required");
    if (!storage)
        cause_required(causes, here, "");
    else if (quantity_parse(json_str(storage), &amount) && amount.nano <= 0)
        cause_invalid(causes, here, storage, "must be greater than zero");
    check_data_sources(causes, at, spec);
}

static void validate_claim(struct request *request, const struct json *claim, struct causes *causes)
{
    (void)request;
    claim_spec_check(causes, AT(NULL, "spec"), json_member(claim, "spec"));
}

static bool put(struct arena *arena, struct json *object, const char *member, const struct json *value)
{
    if (value)
        return json_set(arena, object, str_from(member), value) != NULL;
    json_remove(object, str_from(member));
    return true;
}

/* The new spec with what may change taken from the old one; NULL: no memory. */
static struct json *frozen_part(struct arena *arena, const struct json *claim, const struct json *old)
{
    bool bound = str_is(json_str_at(claim, "status.phase"), "Bound");
    const struct json *old_spec = json_member(old, "spec"), *storage = json_at(old_spec, "resources.requests.storage");
    struct json *copy = json_copy(arena, json_member(claim, "spec")), *requests = json_at(copy, "resources.requests");
    bool ok = copy != NULL;

    if (ok && str_empty(text_in(old_spec, "volumeName")))
        ok = put(arena, copy, "volumeName", json_member(old_spec, "volumeName"));
    /* A default class may be filled in later. */
    if (ok && !json_member(old_spec, "storageClassName"))
        json_remove(copy, STR("storageClassName"));
    if (ok && bound && requests)
        ok = put(arena, requests, "storage", storage);
    if (ok && bound && json_member(copy, "volumeAttributesClassName"))
        ok = put(arena, copy, "volumeAttributesClassName", json_member(old_spec, "volumeAttributesClassName"));
    return ok ? copy : NULL;
}

static void check_size(struct causes *causes, const struct json *claim, const struct json *old)
{
    struct path *at = AT(AT(AT(AT(NULL, "spec"), "resources"), "requests"), "storage");
    struct quantity now, before, capacity = { 0 };

    if (!storage_of(json_at(claim, "spec.resources.requests"), &now) ||
        !storage_of(json_at(old, "spec.resources.requests"), &before) || quantity_cmp(now, before) >= 0)
        return;
    /* Down to what is there: a way back from an expansion that failed. */
    (void)storage_of(json_at(old, "status.capacity"), &capacity);
    if (quantity_cmp(now, capacity) <= 0)
        cause_forbidden(causes, at, "field can not be less than status.capacity");
}

static void validate_claim_update(struct request *request, const struct json *claim, const struct json *old,
                                  struct causes *causes)
{
    const struct json *mode = json_at(claim, "spec.volumeMode");
    const struct json *frozen;

    validate_claim(request, claim, causes);
    frozen = frozen_part(causes->arena, claim, old);
    if (frozen && !json_same(frozen, json_member(old, "spec")))
        cause_forbidden(causes, AT(NULL, "spec"),
                        "spec is immutable after creation except resources.requests and volumeAttributesClassName for "
                        "bound claims");
    check_size(causes, claim, old);
    if (!json_same(mode, json_at(old, "spec.volumeMode")))
        cause_invalid(causes, AT(NULL, "volumeMode"), mode, "field is immutable");
}

static void validate_claim_status(struct request *request, const struct json *claim, const struct json *old,
                                  struct causes *causes)
{
    const struct json *capacity = json_at(claim, "status.capacity");
    struct path *at = AT(AT(NULL, "status"), "capacity");

    (void)request;
    (void)old;
    for (uint32_t i = 0; i < members_of(capacity); i++) {
        struct quantity amount;

        if (quantity_parse(json_str(&capacity->members[i].value), &amount) && amount.nano < 0)
            cause_invalid(causes, KEYED(at, capacity->members[i].key), &capacity->members[i].value,
                          "must be a valid resource quantity");
    }
}

/* -- volumes -- */

static void check_secret_ref(struct causes *causes, const struct path *at, const struct json *ref)
{
    struct str name = text_in(ref, "name"), ns = text_in(ref, "namespace");

    if (!ref)
        return;
    if (str_empty(name))
        cause_required(causes, AT(at, "name"), "");
    else
        cause_format(causes, AT(at, "name"), FORMAT_SUBDOMAIN, name);
    if (str_empty(ns))
        cause_required(causes, AT(at, "namespace"), "");
    else
        cause_format(causes, AT(at, "namespace"), FORMAT_LABEL, ns);
}

static void csi_check(struct causes *causes, const struct path *at, const struct json *source)
{
    static const char *const refs[] = { "controllerPublishSecretRef", "controllerExpandSecretRef",
                                        "nodePublishSecretRef", "nodeExpandSecretRef" };

    csi_driver_check(causes, AT(at, "driver"), text_in(source, "driver"));
    for (size_t i = 0; i < ARRAY_LEN(refs); i++)
        check_secret_ref(causes, AT_STR(at, str_from(refs[i])), json_get(source, str_from(refs[i])));
}

static void cinder_check(struct causes *causes, const struct path *at, const struct json *source)
{
    const struct json *ref = json_member(source, "secretRef");

    if (ref && str_empty(text_in(ref, "name")))
        cause_required(causes, AT(AT(at, "secretRef"), "name"), "");
    if (ref && str_empty(text_in(ref, "namespace")))
        cause_required(causes, AT(AT(at, "secretRef"), "namespace"), "");
}

static const struct volume_source sources[] = {
    { "hostPath", hostpath_check },     { "gcePersistentDisk", NULL }, { "awsElasticBlockStore", NULL },
    { "glusterfs", NULL },              { "flocker", flocker_check },  { "nfs", nfs_check },
    { "rbd", NULL },                    { "quobyte", NULL },           { "cephfs", NULL },
    { "iscsi", iscsi_check },           { "cinder", cinder_check },    { "fc", fc_check },
    { "flexVolume", flex_check },       { "azureFile", NULL },         { "vsphereVolume", NULL },
    { "photonPersistentDisk", NULL },   { "portworxVolume", NULL },    { "azureDisk", azure_disk_check },
    { "scaleIO", NULL },                { "local", hostpath_check },   { "storageos", NULL },
    { "csi", csi_check },
};

static void check_capacity(struct causes *causes, const struct path *at, const struct json *capacity)
{
    if (!members_of(capacity))
        cause_required(causes, at, "");
    if (members_of(capacity) != 1 || !json_member(capacity, "storage"))
        cause_at(causes, CAUSE_NOT_SUPPORTED, at, "Unsupported value: " STR_FMT ": supported values: \"storage\"",
                 STR_ARG(cause_value(causes->arena, capacity)));
    for (uint32_t i = 0; i < members_of(capacity); i++) {
        const struct json_member *amount = &capacity->members[i];
        struct quantity quantity;

        if (!quantity_parse(json_str(&amount->value), &quantity))
            continue;
        if (quantity.nano < 0)
            cause_invalid(causes, KEYED(at, amount->key), &amount->value, "must be a valid resource quantity");
        if (quantity.nano <= 0)
            cause_invalid(causes, KEYED(at, amount->key), &amount->value, "must be greater than zero");
    }
}

static void check_node_affinity(struct causes *causes, const struct path *at, const struct json *affinity)
{
    const struct json *required = json_member(affinity, "required");

    if (!affinity)
        return;
    if (required)
        node_selector_check(causes, AT(at, "required"), required);
    else
        cause_required(causes, AT(at, "required"), "must specify required node constraints");
}

static void validate_volume(struct request *request, const struct json *volume, struct causes *causes)
{
    const struct json *spec = json_member(volume, "spec"), *class = json_member(spec, "volumeAttributesClassName");
    struct path *at = AT(NULL, "spec");

    (void)request;
    check_access_modes(causes, AT(at, "accessModes"), json_member(spec, "accessModes"), "");
    check_capacity(causes, AT(at, "capacity"), json_member(spec, "capacity"));
    check_node_affinity(causes, AT(at, "nodeAffinity"), json_member(spec, "nodeAffinity"));
    volume_source_check(causes, at, spec, sources, ARRAY_LEN(sources));
    if (json_member(spec, "local") && !json_member(spec, "nodeAffinity"))
        cause_required(causes, AT(at, "nodeAffinity"), "Local volume requires node affinity");
    if (str_is(json_str_at(spec, "hostPath.path"), "/") &&
        str_is(text_in(spec, "persistentVolumeReclaimPolicy"), "Recycle"))
        cause_forbidden(causes, AT(at, "persistentVolumeReclaimPolicy"),
                        "may not be 'recycle' for a hostPath mount of '/'");
    if (class && str_empty(json_str(class)))
        cause_required(causes, AT(at, "volumeAttributesClassName"), "an empty string is disallowed");
}

static bool same_sources(const struct json *spec, const struct json *old)
{
    for (size_t i = 0; i < ARRAY_LEN(sources); i++)
        if (!json_same(json_get(spec, str_from(sources[i].member)), json_get(old, str_from(sources[i].member))))
            return false;
    return true;
}

static void validate_volume_update(struct request *request, const struct json *volume, const struct json *old,
                                   struct causes *causes)
{
    const struct json *spec = json_member(volume, "spec"), *old_spec = json_member(old, "spec");
    const struct json *mode = json_member(spec, "volumeMode"), *affinity = json_member(spec, "nodeAffinity");

    validate_volume(request, volume, causes);
    if (!same_sources(spec, old_spec))
        cause_forbidden(causes, AT(AT(NULL, "spec"), "persistentvolumesource"),
                        "spec.persistentvolumesource is immutable after creation");
    if (!json_same(mode, json_member(old_spec, "volumeMode")))
        cause_invalid(causes, AT(NULL, "volumeMode"), mode, "field is immutable");
    if (json_member(old_spec, "nodeAffinity") && !json_same(affinity, json_member(old_spec, "nodeAffinity")))
        cause_invalid(causes, AT(NULL, "nodeAffinity"), affinity, "field is immutable");
}

const struct rules persistentvolume_rules = {
    .resource = &RESOURCE_PERSISTENTVOLUMES,
    .flags = RULE_NO_GENERATION,
    .default_ = default_volume,
    .validate_create = validate_volume,
    .validate_update = validate_volume_update,
};
const struct rules persistentvolumeclaim_rules = {
    .resource = &RESOURCE_PERSISTENTVOLUMECLAIMS,
    .flags = RULE_NO_GENERATION,
    .default_ = default_volume,
    .validate_create = validate_claim,
    .validate_update = validate_claim_update,
    .validate_status = validate_claim_status,
};
