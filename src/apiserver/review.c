/* review.c - questions that are answered and not kept: who am I, may I.
 *
 * There is no authorization yet: who is authenticated may do everything, and that is what the answers say. */
#include "api/resources.h"
#include "apiserver/decode.h"
#include "apiserver/registry/reviews.h"
#include "apiserver/server.h"
#include "apiserver/token_user.h"

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

static bool add_extra(struct arena *arena, struct json *info, const struct user *user)
{
    struct json *extra = user->extra_count ? json_ensure(arena, info, STR("extra"), JSON_OBJECT) : NULL;

    for (size_t i = 0; i < user->extra_count; i++) {
        struct json *values = extra ? json_ensure(arena, extra, user->extra[i].key, JSON_ARRAY) : NULL;

        if (!values || !json_append(arena, values, json_new_str(arena, user->extra[i].value)))
            return false;
    }
    return true;
}

/* Name, uid, groups and what else is known of somebody, as status.<member>. */
static int add_user(struct request *request, struct json *status, struct str member, const struct user *user,
                    struct err *err)
{
    struct arena *arena = request->arena;
    struct json *info = status ? json_ensure(arena, status, member, JSON_OBJECT) : NULL, *groups;

    if (!info || !json_set_str(arena, info, STR("username"), user->name) ||
        (!str_empty(user->uid) && !json_set_str(arena, info, STR("uid"), user->uid)) ||
        !(groups = json_ensure(arena, info, STR("groups"), JSON_ARRAY)))
        return no_memory(err);
    for (size_t i = 0; i < user->group_count; i++)
        if (!json_append(arena, groups, json_new_str(arena, user->groups[i])))
            return no_memory(err);
    return add_extra(arena, info, user) ? 0 : no_memory(err);
}

static int answer_self(struct request *request, struct json *review, struct err *err)
{
    return add_user(request, new_status(request, review), STR("userInfo"), &request->user, err);
}

/* What is wrong with a token is part of the answer. */
static int answer_token(struct request *request, struct json *review, struct err *err)
{
    struct json *status = new_status(request, review), *audiences;
    struct err why = { 0 };
    struct user user;
    int code;

    if (!status)
        return no_memory(err);
    code = token_user(request, json_str_at(review, "spec.token"), json_at(review, "spec.audiences"), &user, &audiences,
                      &why);
    if (code < 0 && code != -ERR_UNAUTHORIZED)
        return err_set(err, why.code, "%s", why.message);
    if (code < 0)
        return json_ensure(request->arena, status, STR("user"), JSON_OBJECT) &&
                       json_set_str(request->arena, status, STR("error"),
                                    arena_str(request->arena, str_from(why.message)))
                   ? 0
                   : no_memory(err);
    if (!json_set_bool(request->arena, status, STR("authenticated"), true) ||
        !json_set(request->arena, status, STR("audiences"), audiences))
        return no_memory(err);
    return add_user(request, status, STR("user"), &user, err);
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
