/* user.h - who a container runs as: names looked up in the image's own /etc/passwd and /etc/group.
 *
 * The image is not trusted: its files are read without leaving the root file system, ordinary files only, capped. */
#pragma once

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"

struct user {
    uint32_t uid, gid;
    const uint32_t *groups; /* groups that name the user as a member */
    size_t group_count;
    struct str name, home; /* unset when there is no such user in passwd */
};

/* text is "user", "user:group" or empty for 0; both names or numbers. A number need not be in passwd, its group is then
 * 0. ERR_NOT_FOUND for an unknown name, ERR_INVALID for a number out of range. Results are in the arena. */
int user_resolve(const char *rootfs, struct str text, struct arena *arena, struct user *ret_user,
                 struct err *err);
