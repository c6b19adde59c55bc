/* authn.h - who is asking: the TLS client certificate (common name = user, organizations = groups), else the bearer token
 * of a service account (token_user.h). */
#pragma once

#include "base/arena.h"
#include "net/http_server.h"

struct request;

struct user_extra {
    struct str key, value;
};

struct user {
    struct str name, uid;
    const struct str *groups;
    size_t group_count;
    const struct user_extra *extra;
    size_t extra_count;
    bool anonymous;
};

/* Who sent http; slices live in the request's arena. Without a certificate and a token: system:anonymous,
 * user->anonymous set. ERR_UNAUTHORIZED for a token that is not believed, ERR_NO_MEMORY. */
int authn_user(struct request *request, const struct http_request *http, struct user *ret_user, struct err *err);
/* One inside the process: its name, groups system:masters and system:authenticated. */
void authn_local(struct str name, struct user *ret_user);
bool user_in_group(const struct user *user, struct str group);
