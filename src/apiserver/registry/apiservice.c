/* apiservice.c - API services: a group and version, and who answers for it. */
#include "api/resources.h"
#include "apiserver/registry/place.h"
#include "apiserver/registry/rules.h"
#include "apiserver/server.h"
#include "codec/base64.h"
#include "schema/time.h"

/* What the server answers for itself is available from the start. */
static int prepare_create(struct request *request, struct json *object, struct err *err)
{
    static const struct str text =
        STR_INIT("{\"conditions\":[{\"message\":\"Local APIServices are always available\",\"reason\":\"Local\","
                 "\"status\":\"True\",\"type\":\"Available\"}]}");
    struct arena *arena = request->arena;
    char now[API_TIME_LEN];
    struct json *status;
    int code;

    if (json_at(object, "spec.service"))
        return 0;
    if ((code = json_parse(arena, text, NULL, &status, err)) < 0)
        return code;
    return json_set_str(arena, &json_member(status, "conditions")->items[0], STR("lastTransitionTime"),
                        arena_str(arena, api_time_text(clock_wall(request->server->options.clock), now))) &&
                   json_set(arena, object, STR("status"), status)
               ? 0
               : out_of_memory(err);
}

static void check_local(const struct place *spec)
{
    struct place bundle = place_member(spec, "caBundle"), insecure = place_member(spec, "insecureSkipTLSVerify");
    struct str bytes = STR("");

    if (!place_empty(&bundle)) {
        base64_decode(spec->causes->arena, place_str(&bundle), &bytes);
        say_invalid_as(&bundle, arena_printf(spec->causes->arena, "%zu bytes", bytes.len),
                       "local APIServices may not have a caBundle");
    }
    if (json_bool(insecure.json, false))
        say_invalid(&insecure, "local APIServices may not have insecureSkipTLSVerify");
}

static void check_remote(const struct place *spec, const struct place *service)
{
    struct place ns = place_member(service, "namespace"), name = place_member(service, "name");
    struct place port = place_member(service, "port"), bundle = place_member(spec, "caBundle");
    struct place insecure = place_member(spec, "insecureSkipTLSVerify");

    check_required(&ns, "");
    check_required(&name, "");
    check_range(&port, 1, 65535, "port is not valid: must be between 1 and 65535, inclusive");
    if (json_bool(insecure.json, false) && !place_empty(&bundle))
        say_invalid(&insecure, "may not be true if caBundle is present");
}

static void validate(struct request *request, const struct json *object, struct causes *causes)
{
    struct place entry = place_object(causes, object), spec = place_member(&entry, "spec");
    struct place meta = place_member(&entry, "metadata"), name = place_member(&meta, "name");
    struct place group = place_member(&spec, "group"), version = place_member(&spec, "version");
    struct place minimum = place_member(&spec, "groupPriorityMinimum"),
                 priority = place_member(&spec, "versionPriority");
    struct place service = place_member(&spec, "service");
    struct str want =
        arena_printf(causes->arena, STR_FMT "." STR_FMT, STR_ARG(place_str(&version)), STR_ARG(place_str(&group)));

    (void)request;
    if (!form_problem(NAME_PATH_SEGMENT, place_str(&name)) && !str_eq(place_str(&name), want))
        say_invalid(&name, "must be `spec.version+\".\"+spec.group`: \"" STR_FMT "\"", STR_ARG(want));
    if (place_empty(&group) && !place_is(&version, "v1"))
        say_required(&group, "only v1 may have an empty group and it better be legacy kube");
    check_form(&version, NAME_DNS1035);
    check_range(&minimum, 1, 20000, "must be positive and less than 20000");
    check_range(&priority, 1, 1000, "must be positive and less than 1000");
    if (place_there(&service))
        check_remote(&spec, &service);
    else
        check_local(&spec);
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
    static const char *const statuses[] = { "False", "True", "Unknown", NULL };
    struct place list = place_named(causes, "status.conditions", json_at(object, "status.conditions"));

    (void)request;
    (void)old;
    place_each (condition, &list) {
        struct place status = place_member(&condition, "status");

        check_one_of(&status, statuses);
    }
}

const struct rules apiservice_rules = {
    .resource = &RESOURCE_APIREGISTRATION_K8S_IO_APISERVICES,
    .name_form = NAME_PATH_SEGMENT,
    .flags = RULE_NO_GENERATION,
    .prepare_create = prepare_create,
    .validate_create = validate,
    .validate_update = validate_update,
    .validate_status = validate_status,
};
