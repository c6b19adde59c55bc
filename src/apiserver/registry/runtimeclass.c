/* runtimeclass.c - runtime classes: handler, overhead, and where their pods can run. */
#include "api/resources.h"
#include "apiserver/registry/place.h"
#include "apiserver/registry/rules.h"

static void check_overhead(const struct place *overhead)
{
    struct place fixed = place_member(overhead, "podFixed"), limits = place_member(&fixed, "limits");

    limits.json = fixed.json;
    place_each_entry (limit, &limits) {
        const char *problem = qualified_name_problem(limit.key);

        if (problem)
            say_invalid_as(&limit, limit.key, "%s", problem);
        else if (str_chr(limit.key, '/') < 0 && !str_is(limit.key, "cpu") && !str_is(limit.key, "memory") &&
                 !str_is(limit.key, "ephemeral-storage") && !str_has_prefix(limit.key, STR("hugepages-")))
            say_invalid_as(&limit, limit.key, "must be a standard resource for containers");
        check_quantity_not_negative(&limit);
    }
}

static void check_toleration(const struct place *at)
{
    struct place key = place_member(at, "key"), op = place_member(at, "operator"), value = place_member(at, "value");
    struct place effect = place_member(at, "effect"), seconds = place_member(at, "tolerationSeconds");
    const char *problem = label_value_problem(place_str(&value));

    if (!place_empty(&key))
        check_qualified(&key);
    else if (!place_is(&op, "Exists"))
        say_invalid_as(&op, place_str(&op),
                       "operator must be Exists when `key` is empty, which means \"match all values and all keys\"");
    if (place_there(&seconds) && !place_is(&effect, "NoExecute"))
        say_invalid_as(&effect, place_str(&effect), "effect must be 'NoExecute' when `tolerationSeconds` is set");
    if (place_empty(&op) || place_is(&op, "Equal")) {
        if (problem)
            say_invalid_as(&op, place_str(&value), "%s", problem);
    } else if (place_is(&op, "Exists") && !place_empty(&value)) {
        struct place shown = op;

        shown.json = at->json;
        say_invalid(&shown, "value must be empty when `operator` is 'Exists'");
    }
}

static void validate(struct request *request, const struct json *object, struct causes *causes)
{
    struct place class = place_object(causes, object), handler = place_member(&class, "handler");
    struct place overhead = place_member(&class, "overhead"), scheduling = place_member(&class, "scheduling");
    struct place tolerations = place_member(&scheduling, "tolerations");

    (void)request;
    check_form(&handler, NAME_LABEL);
    check_overhead(&overhead);
    place_each (toleration, &tolerations)
        check_toleration(&toleration);
    check_unique(&tolerations);
}

const struct rules runtimeclass_rules = {
    .resource = &RESOURCE_NODE_K8S_IO_RUNTIMECLASSES,
    .flags = RULE_NO_GENERATION,
    .validate_create = validate,
};
