/* authn.c - the client certificate says who asks. */
#include "apiserver/authn.h"

static const struct str anonymous_groups[] = { STR_INIT("system:unauthenticated") };
static const struct str local_groups[] = { STR_INIT("system:masters"), STR_INIT("system:authenticated") };

int authn_user(struct arena *arena, const struct http_request *request, struct user *ret_user, struct err *err)
{
    const struct tls_identity *peer = request->peer;
    struct user user = { 0 };
    struct str *groups;
    size_t n = 0;

    if (!peer || str_empty(peer->common_name)) {
        *ret_user = (struct user){ .name = STR("system:anonymous"),
                                   .groups = anonymous_groups,
                                   .group_count = ARRAY_LEN(anonymous_groups),
                                   .anonymous = true };
        return 0;
    }
    groups = arena_array_of(arena, peer->organization_count + 1, struct str);
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
