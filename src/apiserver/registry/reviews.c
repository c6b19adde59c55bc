/* reviews.c - whether a question makes sense: one thing is asked, about somebody, and nothing else is said. */
#include "apiserver/registry/reviews.h"

#include "api/resources.h"
#include "apiserver/registry/place.h"

/* -- selectors of what is asked about -- */

/* Operators that are not known may be of newer clients. */
static void check_requirement(const struct place *at, bool labels)
{
    struct place key = place_member(at, "key"), op = place_member(at, "operator"), values = place_member(at, "values");

    if (labels)
        check_qualified(&key);
    else
        check_required(&key, "must be specified");
    if (place_is(&op, "In") || place_is(&op, "NotIn")) {
        if (!place_count(&values))
            say_required(&values, "must be specified when `operator` is 'In' or 'NotIn'");
    } else if (place_is(&op, "Exists") || place_is(&op, "DoesNotExist")) {
        if (place_count(&values))
            say_forbidden(&values, "may not be specified when `operator` is 'Exists' or 'DoesNotExist'");
    }
}

static void check_selection(const struct place *at, bool labels)
{
    struct place raw = place_member(at, "rawSelector"), requirements = place_member(at, "requirements");

    if (!place_there(at))
        return;
    if (!place_empty(&raw) && place_count(&requirements))
        say_invalid(&raw, "may not specified at the same time as requirements");
    if (place_empty(&raw) && !place_count(&requirements)) {
        struct str why = arena_printf(at->causes->arena,
                                      "when " STR_FMT " is specified, requirements or rawSelector is "
                                      "required",
                                      STR_ARG(place_path(at)));

        say_required(&requirements, why.data ? why.data : "");
    }
    place_each (requirement, &requirements)
        check_requirement(&requirement, labels);
}

/* -- access -- */

static bool is_bare(const struct json *meta, bool namespaced)
{
    for (uint32_t i = 0; json_is(meta, JSON_OBJECT) && i < meta->count; i++) {
        struct str key = meta->members[i].key;

        if (meta->members[i].value.kind != JSON_NULL && !str_is(key, "managedFields") &&
            !(namespaced && str_is(key, "namespace")))
            return false;
    }
    return true;
}

static void check_access(const struct place *review, bool self, bool local)
{
    struct place meta = place_member(review, "metadata"), spec = place_member(review, "spec");
    struct place resource = place_member(&spec, "resourceAttributes"), user = place_member(&spec, "user");
    struct place path = place_member(&spec, "nonResourceAttributes"), groups = place_member(&spec, "groups");
    struct place fields = place_member(&resource, "fieldSelector"), labels = place_member(&resource, "labelSelector");

    if (place_there(&resource) && place_there(&path))
        say_invalid(&path, "cannot be specified in combination with resourceAttributes");
    if (!place_there(&resource) && !place_there(&path))
        say_invalid(&resource, "exactly one of nonResourceAttributes or resourceAttributes must be specified");
    if (!self && place_empty(&user) && !place_count(&groups))
        say_invalid_as(&user, STR(""), "at least one of user or group must be specified");
    check_selection(&fields, false);
    check_selection(&labels, true);
    if (!is_bare(meta.json, local))
        say_invalid(&meta, local ? "must be empty except for namespace" : "must be empty");
}

static void check_local(const struct place *review, struct str ns)
{
    struct place spec = place_member(review, "spec"), resource = place_member(&spec, "resourceAttributes");
    struct place path = place_member(&spec, "nonResourceAttributes"), own = place_member(&resource, "namespace");

    if (place_there(&resource) && !str_eq(place_str(&own), ns))
        say_invalid_as(&own, place_str(&own), "must match metadata.namespace");
    if (place_there(&path))
        say_invalid(&path, "disallowed on this kind of request");
}

static int check_local_namespace(struct request *request, const struct json *review, struct err *err)
{
    struct str own = json_str_at(review, "metadata.namespace");

    if (str_empty(own) || str_eq(own, request->info.ns))
        return 0;
    return fail_bad_request(request, err,
                            "the namespace of the provided object does not match the namespace sent on "
                            "the request");
}

int review_check(struct request *request, const struct json *review, struct err *err)
{
    const struct resource *resource = request->resource;
    struct place at = place_object(&request->failure.causes, review);
    bool self = resource == &RESOURCE_AUTHORIZATION_K8S_IO_SELFSUBJECTACCESSREVIEWS;
    bool local = resource == &RESOURCE_AUTHORIZATION_K8S_IO_LOCALSUBJECTACCESSREVIEWS;
    int code;

    if (resource == &RESOURCE_AUTHENTICATION_K8S_IO_TOKENREVIEWS && str_empty(json_str_at(review, "spec.token")))
        return fail_bad_request(request, err, "token is required for TokenReview in authentication");
    if (resource == &RESOURCE_AUTHORIZATION_K8S_IO_SELFSUBJECTRULESREVIEWS &&
        str_empty(json_str_at(review, "spec.namespace")))
        return fail_bad_request(request, err, "no namespace on request");
    if (local && (code = check_local_namespace(request, review, err)) < 0)
        return code;
    if (self || local || resource == &RESOURCE_AUTHORIZATION_K8S_IO_SUBJECTACCESSREVIEWS)
        check_access(&at, self, local);
    if (local)
        check_local(&at, request->info.ns);
    return request->failure.causes.count ? fail_invalid(request, STR(""), err) : 0;
}
