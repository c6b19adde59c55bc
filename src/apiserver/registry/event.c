/* event.c - events: what selectors may name, under the names of both API groups. */
#include "api/resources.h"
#include "apiserver/registry/rules.h"

static struct str field(struct arena *arena, const struct json *event, struct str name)
{
    struct str about = STR("involvedObject."), regarding = STR("regarding.");
    struct str member = STR_NULL;

    (void)arena;
    if (str_has_prefix(name, about))
        member = str_skip(name, about.len);
    else if (str_has_prefix(name, regarding))
        member = str_skip(name, regarding.len);
    if (member.data) {
        static const char *const members[] = { "kind",       "namespace",       "name",     "uid",
                                               "apiVersion", "resourceVersion", "fieldPath" };

        for (size_t i = 0; i < ARRAY_LEN(members); i++)
            if (str_is(member, members[i])) {
                struct str value = json_str(json_get(json_member(event, "involvedObject"), member));
                return value.data ? value : STR("");
            }
        return STR_NULL;
    }
    if (str_is(name, "source")) {
        struct str source = field_at(event, STR("source.component"));
        return str_empty(source) ? field_at(event, STR("reportingComponent")) : source;
    }
    if (str_is(name, "reportingController"))
        return field_at(event, STR("reportingComponent"));
    if (str_is(name, "reason") || str_is(name, "type") || str_is(name, "reportingComponent"))
        return field_at(event, name);
    return STR_NULL;
}

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
    .field = field,
};
