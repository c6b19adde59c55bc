#include "apiserver/token_user.h"

#include "api/resources.h"
#include "apiserver/server.h"
#include "apiserver/token.h"
#include "apiserver/write.h"
#include "schema/time.h"

#define GOING_SECONDS 60 /* what is being deleted is believed in for so long */
#define EXTRA "authentication.kubernetes.io/"

static int no_memory(struct err *err)
{
    return err_set(err, ERR_NO_MEMORY, "user of the token");
}

static int refuse(struct err *err, const char *why)
{
    return err_set(err, ERR_UNAUTHORIZED, "invalid bearer token: %s", why);
}

static bool has(const struct json *list, struct str value)
{
    for (uint32_t i = 0; json_is(list, JSON_ARRAY) && i < list->count; i++)
        if (str_eq(json_str(&list->items[i]), value))
            return true;
    return false;
}

/* Those of wanted (NULL: this server) that the token is for. */
static int match_audiences(struct request *request, const struct token_claims *claims, const struct json *wanted,
                           struct json **ret_both, struct err *err)
{
    struct json *both = json_new(request->arena, JSON_ARRAY);
    struct json own = { .kind = JSON_STRING, .string = tokens_issuer(request->server->tokens) };

    if (!both)
        return no_memory(err);
    if (!json_is(wanted, JSON_ARRAY) || !wanted->count) {
        if (has(claims->audiences, own.string) && !json_append(request->arena, both, &own))
            return no_memory(err);
    } else {
        for (uint32_t i = 0; i < wanted->count; i++)
            if (has(claims->audiences, json_str(&wanted->items[i])) &&
                !json_append(request->arena, both, &wanted->items[i]))
                return no_memory(err);
    }
    if (!both->count)
        return refuse(err, "token audiences are not those asked for");
    *ret_both = both;
    return 0;
}

static bool is_going(struct request *request, const struct json *object)
{
    struct str time = json_str_at(object, "metadata.deletionTimestamp");
    nsec_t when;

    return time.data && api_time_parse(time, &when) &&
           clock_wall(request->server->options.clock) > when + GOING_SECONDS * NSEC_PER_SEC;
}

/* An object that the token names is there, the same one, and not on its way out. */
static int check_object(struct request *request, const struct resource *resource, struct str ns,
                        const struct token_object *named, const char *gone, struct err *err)
{
    struct write reader = { .request = request };
    struct str key = resource->namespaced
                         ? arena_concat(request->arena, resource->store_prefix, ns, STR("/"), named->name)
                         : arena_concat(request->arena, resource->store_prefix, named->name);
    struct json *object = NULL;
    revision_t revision;
    int code;

    if (!key.data)
        return no_memory(err);
    if ((code = write_read(&reader, key, &object, NULL, &revision, err)) < 0)
        return code;
    if (!object || !str_eq(json_str_at(object, "metadata.uid"), named->uid) || is_going(request, object))
        return refuse(err, gone);
    return 0;
}

/* A pod's node is told, not looked up: the pod goes before its node does. */
static int check_objects(struct request *request, const struct token_claims *claims, struct err *err)
{
    const struct {
        const struct resource *resource;
        const struct token_object *named;
        bool looked_up;
        const char *gone;
    } rows[] = {
        { &RESOURCE_SERVICEACCOUNTS, &claims->account, true, "service account has been deleted" },
        { &RESOURCE_PODS, &claims->pod, claims->pod.name.data, "service account token is bound to a pod that is gone" },
        { &RESOURCE_SECRETS, &claims->secret, claims->secret.name.data,
          "service account token is bound to a secret that is gone" },
        { &RESOURCE_NODES, &claims->node, claims->node.name.data && !claims->pod.name.data,
          "service account token is bound to a node that is gone" },
    };
    int code = 0;

    for (size_t i = 0; i < ARRAY_LEN(rows) && code == 0; i++)
        if (rows[i].looked_up)
            code = check_object(request, rows[i].resource, claims->ns, rows[i].named, rows[i].gone, err);
    return code;
}

static int make_extra(struct arena *arena, const struct token_claims *claims, struct user *user, struct err *err)
{
    const struct user_extra rows[] = {
        { STR(EXTRA "credential-id"), claims->id },
        { STR(EXTRA "node-name"), claims->node.name },
        { STR(EXTRA "node-uid"), claims->node.uid },
        { STR(EXTRA "pod-name"), claims->pod.name },
        { STR(EXTRA "pod-uid"), claims->pod.uid },
    };
    struct user_extra *extra = arena_array_of(arena, ARRAY_LEN(rows), struct user_extra);
    size_t count = 0;

    if (!extra)
        return no_memory(err);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (!str_empty(rows[i].value))
            extra[count++] = rows[i];
    if (!str_empty(claims->id)) {
        extra[0].value = arena_concat(arena, STR("JTI="), claims->id);
        if (!extra[0].value.data)
            return no_memory(err);
    }
    user->extra = extra;
    user->extra_count = count;
    return 0;
}

static int make_user(struct arena *arena, const struct token_claims *claims, struct user *ret_user, struct err *err)
{
    struct str *groups = arena_array_of(arena, 3, struct str);
    struct user user = { .uid = claims->account.uid, .groups = groups, .group_count = 3 };

    user.name = arena_concat(arena, STR("system:serviceaccount:"), claims->ns, STR(":"), claims->account.name);
    if (!groups || !user.name.data)
        return no_memory(err);
    groups[0] = STR("system:serviceaccounts");
    groups[1] = arena_concat(arena, STR("system:serviceaccounts:"), claims->ns);
    groups[2] = STR("system:authenticated");
    *ret_user = user;
    return groups[1].data ? make_extra(arena, claims, ret_user, err) : no_memory(err);
}

int token_user(struct request *request, struct str token, const struct json *audiences, struct user *ret_user,
               struct json **ret_audiences, struct err *err)
{
    int64_t now = clock_wall(request->server->options.clock) / NSEC_PER_SEC;
    struct token_claims claims;
    struct json *both = NULL;
    int code;

    if (!request->server->tokens)
        return refuse(err, "this server has no key for tokens");
    if ((code = tokens_read(request->server->tokens, request->arena, token, now, &claims, err)) < 0 ||
        (code = match_audiences(request, &claims, audiences, &both, err)) < 0 ||
        (code = check_objects(request, &claims, err)) < 0 ||
        (code = make_user(request->arena, &claims, ret_user, err)) < 0)
        return code;
    if (ret_audiences)
        *ret_audiences = both;
    return 0;
}
