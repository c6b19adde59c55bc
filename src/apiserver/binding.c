/* binding.c - pods/binding: the scheduler's decision; and the same as a creation of "bindings". */
#include "api/resources.h"
#include "apiserver/decode.h"
#include "apiserver/registry.h"
#include "apiserver/server.h"
#include "apiserver/write.h"
#include "schema/time.h"

#define BINDING_TYPE "io.k8s.api.core.v1.Binding"

static int no_memory(struct err *err)
{
    return err_set(err, ERR_NO_MEMORY, "pod");
}

/* Sets the condition PodScheduled to True. */
static int set_scheduled(struct request *request, struct json *pod, struct err *err)
{
    struct arena *arena = request->arena;
    struct json *status = json_ensure(arena, pod, STR("status"), JSON_OBJECT), *conditions, *condition = NULL;
    char now[API_TIME_LEN];
    struct str time = arena_str(arena, api_time_text(clock_wall(request->server->options.clock), now));

    conditions = status ? json_ensure(arena, status, STR("conditions"), JSON_ARRAY) : NULL;
    if (!conditions)
        return no_memory(err);
    for (uint32_t i = 0; i < conditions->count && !condition; i++)
        if (str_is(json_str(json_member(&conditions->items[i], "type")), "PodScheduled"))
            condition = &conditions->items[i];
    if (!condition)
        condition = json_append(arena, conditions, &(struct json){ .kind = JSON_OBJECT });
    if (!condition || !json_set_str(arena, condition, STR("type"), STR("PodScheduled")) ||
        !json_set_str(arena, condition, STR("status"), STR("True")) ||
        !json_set_str(arena, condition, STR("lastTransitionTime"), time))
        return no_memory(err);
    json_remove(condition, STR("reason"));
    json_remove(condition, STR("message"));
    return 0;
}

static int copy_annotations(struct request *request, struct json *pod, const struct json *binding, struct err *err)
{
    const struct json *from = json_at(binding, "metadata.annotations");
    struct json *to;

    if (!json_is(from, JSON_OBJECT) || !from->count)
        return 0;
    to = json_ensure(request->arena, json_member(pod, "metadata"), STR("annotations"), JSON_OBJECT);
    for (uint32_t i = 0; to && i < from->count; i++)
        if (!json_set(request->arena, to, from->members[i].key, &from->members[i].value))
            return no_memory(err);
    return to ? 0 : no_memory(err);
}

static int check_pod(struct write *write, const struct json *pod, const struct json *binding, revision_t revision,
                     struct err *err)
{
    struct request *request = write->request;
    struct str node = json_str_at(pod, "spec.nodeName"), uid = json_str_at(binding, "metadata.uid");
    struct str version = json_str_at(binding, "metadata.resourceVersion");
    const struct json *gates = json_at(pod, "spec.schedulingGates");
    uint64_t wanted;

    if (!str_empty(uid) && !str_eq(uid, json_str_at(pod, "metadata.uid")))
        return fail_conflict(request, write->name, err,
                             "Precondition failed: UID in precondition: " STR_FMT ", UID in object meta: " STR_FMT,
                             STR_ARG(uid), STR_ARG(json_str_at(pod, "metadata.uid")));
    if (!str_empty(version) && (!str_to_u64(version, &wanted) || wanted != revision))
        return fail_conflict(request, write->name, err,
                             "Precondition failed: ResourceVersion in precondition: " STR_FMT
                             ", ResourceVersion in object meta: %llu",
                             STR_ARG(version), (unsigned long long)revision);
    if (json_at(pod, "metadata.deletionTimestamp"))
        return fail_conflict(request, write->name, err,
                             "pod " STR_FMT " is being deleted, cannot be assigned to a host", STR_ARG(write->name));
    if (!str_empty(node))
        return fail_conflict(request, write->name, err, "pod " STR_FMT " is already assigned to node \"" STR_FMT "\"",
                             STR_ARG(write->name), STR_ARG(node));
    if (json_is(gates, JSON_ARRAY) && gates->count)
        return fail_conflict(request, write->name, err, "pod " STR_FMT " has non-empty .spec.schedulingGates",
                             STR_ARG(write->name));
    return 0;
}

static int check_target(struct write *write, const struct json *binding, struct err *err)
{
    struct causes *causes = &write->request->failure.causes;
    struct str kind = json_str_at(binding, "target.kind");

    if (!str_empty(kind) && !str_is(kind, "Node"))
        causes_add(causes, CAUSE_NOT_SUPPORTED, STR("target.kind"),
                   "Unsupported value: \"" STR_FMT "\": supported values: \"Node\", \"<empty>\"", STR_ARG(kind));
    if (str_empty(json_str_at(binding, "target.name")))
        causes_add(causes, CAUSE_REQUIRED, STR("target.name"), "Required value");
    return causes->count ? fail_invalid(write->request, write->name, err) : 0;
}

static int binding_plan(struct write *write, struct err *err)
{
    struct request *request = write->request;
    struct json *binding, *pod = NULL, *spec;
    revision_t revision = 0;
    int code;

    if ((code = decode_body_as(request, type_named(BINDING_TYPE), &binding, err)) < 0 ||
        (code = check_target(write, binding, err)) < 0 ||
        (code = write_read(write, request_key(request, write->ns, write->name), &pod, NULL, &revision, err)) < 0)
        return code;
    if (!pod)
        return fail_not_found(request, write->name, err);
    if ((code = check_pod(write, pod, binding, revision, err)) < 0)
        return code;
    spec = json_ensure(request->arena, pod, STR("spec"), JSON_OBJECT);
    if (!spec || !json_set_str(request->arena, spec, STR("nodeName"), json_str_at(binding, "target.name")))
        return no_memory(err);
    if ((code = copy_annotations(request, pod, binding, err)) < 0 || (code = set_scheduled(request, pod, err)) < 0 ||
        (code = write_canonical(write, pod, err)) < 0)
        return code;
    return write_object(write, STORE_PUT, pod, revision, err);
}

int answer_created(struct write *write, struct err *err)
{
    AUTO_DEINIT(buf, buf) = BUF_INIT;

    buf_add_cstr(&buf,
                 "{\"kind\":\"Status\",\"apiVersion\":\"v1\",\"metadata\":{},\"status\":\"Success\",\"code\":201}");
    reply_buf(write->request, 201, NULL, &buf, err);
    return 0;
}

/* A creation of a binding names its pod in the body: from here on the request is one of that pod. */
static int turn_to_pod(struct request *request, struct err *err)
{
    struct json *binding;
    int code = decode_body_as(request, type_named(BINDING_TYPE), &binding, err);

    if (code < 0)
        return code;
    request->info.name = json_str_at(binding, "metadata.name");
    if (str_empty(request->info.name))
        return fail_bad_request(request, err, "name must be provided");
    request->resource = &RESOURCE_PODS;
    request->rules = registry_rules(&RESOURCE_PODS);
    return 0;
}

int binding_new(struct request *request, struct write **ret_write, struct err *err)
{
    struct write *write;
    int code;

    if (!type_named(BINDING_TYPE))
        return fail_not_supported(request, err, "pods/binding");
    if (request->resource == &RESOURCE_BINDINGS && (code = turn_to_pod(request, err)) < 0)
        return code;
    write = write_new(request, binding_plan);
    if (!write)
        return err_set(err, ERR_NO_MEMORY, "write");
    if ((code = decode_dry_run(request, err)) < 0)
        return code;
    write->finish = answer_created;
    *ret_write = write;
    return 0;
}
