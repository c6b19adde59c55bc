/* review.c - questions that are answered and not kept: who am I, may I.
 *
 * There is no authorization yet: who is authenticated may do everything, and that is what the answers say. */
#include "api/resources.h"
#include "apiserver/decode.h"
#include "apiserver/registry/reviews.h"
#include "apiserver/server.h"

static int no_memory(struct err *err)
{
    return err_set(err, ERR_NO_MEMORY, "review");
}

static struct json *new_status(struct request *request, struct json *review)
{
    json_remove(review, STR("status"));
    return json_ensure(request->arena, review, STR("status"), JSON_OBJECT);
}

static int answer_access(struct request *request, struct json *review, struct err *err)
{
    struct json *status = new_status(request, review);

    if (!status || !json_set_bool(request->arena, status, STR("allowed"), true) ||
        !json_set_str(request->arena, status, STR("reason"), STR("every authenticated user may do everything")))
        return no_memory(err);
    return 0;
}

static int answer_rules(struct request *request, struct json *review, struct err *err)
{
    static const struct str text =
        STR_INIT("{\"incomplete\":false,\"nonResourceRules\":[{\"nonResourceURLs\":[\"*\"],\"verbs\":[\"*\"]}],"
                 "\"resourceRules\":[{\"apiGroups\":[\"*\"],\"resources\":[\"*\"],\"verbs\":[\"*\"]}]}");
    struct json *status;

    if (json_parse(request->arena, text, NULL, &status, err) < 0 ||
        !json_set(request->arena, review, STR("status"), status))
        return no_memory(err);
    return 0;
}

static int answer_self(struct request *request, struct json *review, struct err *err)
{
    struct arena *arena = request->arena;
    struct json *status = new_status(request, review);
    struct json *user = status ? json_ensure(arena, status, STR("userInfo"), JSON_OBJECT) : NULL;
    struct json *groups = user && json_set_str(arena, user, STR("username"), request->user.name)
                              ? json_ensure(arena, user, STR("groups"), JSON_ARRAY)
                              : NULL;

    if (!groups)
        return no_memory(err);
    for (size_t i = 0; i < request->user.group_count; i++)
        if (!json_append(arena, groups, json_new_str(arena, request->user.groups[i])))
            return no_memory(err);
    return 0;
}

/* No token is known here. */
static int answer_token(struct request *request, struct json *review, struct err *err)
{
    struct json *status = new_status(request, review);

    if (!status || !json_set_bool(request->arena, status, STR("authenticated"), false) ||
        !json_set_str(request->arena, status, STR("error"), STR("tokens are not supported by this server")))
        return no_memory(err);
    return 0;
}

static const struct {
    const struct resource *resource;
    int (*answer)(struct request *request, struct json *review, struct err *err);
} reviews[] = {
    { &RESOURCE_AUTHORIZATION_K8S_IO_SELFSUBJECTACCESSREVIEWS, answer_access },
    { &RESOURCE_AUTHORIZATION_K8S_IO_SUBJECTACCESSREVIEWS, answer_access },
    { &RESOURCE_AUTHORIZATION_K8S_IO_LOCALSUBJECTACCESSREVIEWS, answer_access },
    { &RESOURCE_AUTHORIZATION_K8S_IO_SELFSUBJECTRULESREVIEWS, answer_rules },
    { &RESOURCE_AUTHENTICATION_K8S_IO_SELFSUBJECTREVIEWS, answer_self },
    { &RESOURCE_AUTHENTICATION_K8S_IO_TOKENREVIEWS, answer_token },
};

int review_run(struct request *request, struct err *err)
{
    struct json *review;
    int code;

    for (size_t i = 0; i < ARRAY_LEN(reviews); i++) {
        if (request->resource != reviews[i].resource)
            continue;
        if ((code = decode_body(request, &review, err)) < 0 || (code = review_check(request, review, err)) < 0 ||
            (code = reviews[i].answer(request, review, err)) < 0)
            return code;
        struct str text = json_text(request->arena, review);

        if (!text.data)
            return no_memory(err);
        reply_object_text(request, 201, text);
        return 0;
    }
    return fail_not_supported(request, err, arena_cstr(request->arena, request->info.plural));
}
