/* scheduling.c - priority classes. */
#include "api/resources.h"
#include "apiserver/registry/rules.h"

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

const struct rules priorityclass_rules = {
    .resource = &RESOURCE_SCHEDULING_K8S_IO_PRIORITYCLASSES,
    .default_ = default_priorityclass,
    .validate_create = validate_priorityclass,
    .validate_update = validate_priorityclass_update,
};
