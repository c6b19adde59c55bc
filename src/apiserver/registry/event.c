/* event.c - events: what selectors may name, under the names of both API groups. */
#include "api/resources.h"
#include "apiserver/registry/rules.h"

static void validate_create(struct request *request, const struct json *event, struct causes *causes)
{
    struct str about = json_str_at(event, "involvedObject.namespace"), own = json_str_at(event, "metadata.namespace");

    (void)request;
    if (!str_empty(about) && !str_eq(about, own))
        add_invalid_str(causes, STR("involvedObject.namespace"), about, "does not match event.namespace");
    else if (str_empty(about) && !str_is(own, "default") && !str_is(own, "kube-system"))
        add_invalid_str(causes, STR("involvedObject.namespace"), about, "does not match event.namespace");
}

const struct rules event_rules = {
    .resource = &RESOURCE_EVENTS,
    .flags = RULE_NO_GENERATION | RULE_CREATE_ON_UPDATE,
    .validate_create = validate_create,
};
