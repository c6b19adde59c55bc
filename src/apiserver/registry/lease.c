/* lease.c - leases: held for a time, handed over any number of times. */
#include "api/resources.h"
#include "apiserver/registry/rules.h"

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

const struct rules lease_rules = {
    .resource = &RESOURCE_COORDINATION_K8S_IO_LEASES,
    .flags = RULE_NO_GENERATION | RULE_CREATE_ON_UPDATE | RULE_NEED_VERSION,
    .validate_create = validate_lease,
    .validate_update = validate_lease_update,
};
