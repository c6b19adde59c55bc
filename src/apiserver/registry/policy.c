/* policy.c - disruption budgets. */
#include "api/resources.h"
#include "apiserver/registry/conditions.h"
#include "apiserver/registry/rules.h"

static void validate(struct request *request, const struct json *object, struct causes *causes)
{
    struct place budget = place_object(causes, object), spec = place_member(&budget, "spec");
    struct place min = place_member(&spec, "minAvailable"), max = place_member(&spec, "maxUnavailable");

    (void)request;
    if (place_there(&min) && place_there(&max))
        say_invalid(&spec, "minAvailable and maxUnavailable cannot be both set");
    check_int_or_percent(&min);
    check_int_or_percent(&max);
}

static void validate_update(struct request *request, const struct json *object, const struct json *old,
                            struct causes *causes)
{
    (void)old;
    validate(request, object, causes);
}

static void validate_status(struct request *request, const struct json *object, const struct json *old,
                            struct causes *causes)
{
    static const char *const counts[] = { "disruptionsAllowed", "currentHealthy", "desiredHealthy", "expectedPods" };
    struct place budget = place_object(causes, object), status = place_member(&budget, "status");
    struct place conditions = place_member(&status, "conditions");

    (void)request;
    (void)old;
    check_conditions(&conditions);
    for (size_t i = 0; i < ARRAY_LEN(counts); i++) {
        struct place count = place_member(&status, counts[i]);

        check_range(&count, 0, INT64_MAX, "must be greater than or equal to 0");
    }
}

const struct rules poddisruptionbudget_rules = {
    .resource = &RESOURCE_POLICY_PODDISRUPTIONBUDGETS,
    .name_form = NAME_PATH_SEGMENT,
    .validate_create = validate,
    .validate_update = validate_update,
    .validate_status = validate_status,
};
