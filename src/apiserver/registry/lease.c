/* lease.c - leases: who holds something, for how long, and how often it changed hands. */
#include "api/resources.h"
#include "apiserver/registry/place.h"
#include "apiserver/registry/rules.h"

/* A strategy of ours, or somebody's own with a domain in front. */
static void check_strategy(const struct place *at)
{
    static const char *const strategies[] = { "OldestEmulationVersion", NULL };

    if (str_chr(place_str(at), '/') < 0)
        check_one_of(at, strategies);
    else
        check_qualified(at);
}

static void validate(struct request *request, const struct json *object, struct causes *causes)
{
    struct place lease = place_object(causes, object), spec = place_member(&lease, "spec");
    struct place strategy = place_member(&spec, "strategy"), holder = place_member(&spec, "preferredHolder");

    (void)request;
    if (place_there(&strategy))
        check_strategy(&strategy);
    if (!place_empty(&holder) && place_empty(&strategy))
        say_forbidden(&holder, "may only be specified when `strategy` is defined");
}

static void validate_update(struct request *request, const struct json *object, const struct json *old,
                            struct causes *causes)
{
    (void)old;
    validate(request, object, causes);
}

const struct rules lease_rules = {
    .resource = &RESOURCE_COORDINATION_K8S_IO_LEASES,
    .flags = RULE_NO_GENERATION | RULE_CREATE_ON_UPDATE | RULE_NEED_VERSION,
    .validate_create = validate,
    .validate_update = validate_update,
};
