/* persistentvolume.c - volumes and the claims to them. */
#include "api/resources.h"
#include "apiserver/registry/rules.h"

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
