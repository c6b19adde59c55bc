/* storage.c - storage classes. */
#include "api/resources.h"
#include "apiserver/registry/rules.h"

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

const struct rules storageclass_rules = {
    .resource = &RESOURCE_STORAGE_K8S_IO_STORAGECLASSES,
    .flags = RULE_NO_GENERATION,
    .default_ = default_storageclass,
    .validate_update = validate_storageclass_update,
};
