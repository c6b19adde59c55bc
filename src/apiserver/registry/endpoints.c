/* endpoints.c - endpoints: addresses behind a service, in the older form. */
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

const struct rules endpoints_rules = {
    .resource = &RESOURCE_ENDPOINTS,
    .flags = RULE_NO_GENERATION | RULE_CREATE_ON_UPDATE,
    .validate_create = check_subsets,
};
