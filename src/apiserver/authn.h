/* authn.h - who is asking. Today: the TLS client certificate (common name = user, organizations = groups). */
#pragma once

#include "base/arena.h"
#include "net/http_server.h"

struct user {
    struct str name, uid;
    const struct str *groups;
    size_t group_count;
    bool anonymous;
};

/* Slices live in the arena. Without a certificate: system:anonymous, user->anonymous set. ERR_NO_MEMORY. */
int authn_user(struct arena *arena, const struct http_request *request, struct user *ret_user, struct err *err);
/* One inside the process: its name, groups system:masters and system:authenticated. */
void authn_local(struct str name, struct user *ret_user);
bool user_in_group(const struct user *user, struct str group);
