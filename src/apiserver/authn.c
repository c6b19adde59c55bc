/* authn.c - the client certificate says who asks; where there is none, the Authorization header's token does. */
#include "apiserver/authn.h"

#include "apiserver/token_user.h"

static const struct str anonymous_groups[] = { STR_INIT("system:unauthenticated") };
static const struct str local_groups[] = { STR_INIT("system:masters"), STR_INIT("system:authenticated") };

static int user_of_peer(struct arena *arena, const struct tls_identity *peer, struct user *ret_user, struct err *err)
{
    struct user user = { 0 };
    struct str *groups = arena_array_of(arena, peer->organization_count + 1, struct str);
    size_t n = 0;

    user.name = arena_str(arena, peer->common_name);
    if (!groups || !user.name.data)
        return err_set(err, ERR_NO_MEMORY, "user of the request");
    for (size_t i = 0; i < peer->organization_count; i++) {
        groups[n] = arena_str(arena, peer->organizations[i]);
        if (!groups[n++].data)
            return err_set(err, ERR_NO_MEMORY, "groups of the request");
    }
    groups[n++] = STR("system:authenticated");
    user.groups = groups;
    user.group_count = n;
    *ret_user = user;
    return 0;
}

/* What follows "Bearer"; unset where the header is another one's. */
static struct str bearer_token(const struct http_request *http)
{
    struct str value = str_trim(http_request_header(http, STR("authorization"))), scheme;

    if (!str_split(&value, ' ', &scheme) || !str_eq_nocase(scheme, STR("bearer")))
        return STR_NULL;
    return str_trim(value);
}

int authn_user(struct request *request, const struct http_request *http, struct user *ret_user, struct err *err)
{
    struct str token;

    if (http->peer && !str_empty(http->peer->common_name))
        return user_of_peer(request->arena, http->peer, ret_user, err);
    token = bearer_token(http);
    if (!str_empty(token)) {
        int code = token_user(request, token, NULL, ret_user, NULL, err);

        return code == -ERR_UNAUTHORIZED ? err_set(err, ERR_UNAUTHORIZED, "Unauthorized") : code;
    }
    *ret_user = (struct user){ .name = STR("system:anonymous"),
                               .groups = anonymous_groups,
                               .group_count = ARRAY_LEN(anonymous_groups),
                               .anonymous = true };
    return 0;
}

void authn_local(struct str name, struct user *ret_user)
{
    *ret_user = (struct user){ .name = name, .groups = local_groups, .group_count = ARRAY_LEN(local_groups) };
}

bool user_in_group(const struct user *user, struct str group)
{
    for (size_t i = 0; i < user->group_count; i++)
        if (str_eq(user->groups[i], group))
            return true;
    return false;
}
