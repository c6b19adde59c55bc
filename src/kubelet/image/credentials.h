/* credentials.h - user names and passwords for registries, out of imagePullSecrets. */
#pragma once

#include "base/arena.h"
#include "base/err.h"

enum image_secret_kind {
    IMAGE_SECRET_CONFIG_JSON, /* kubernetes.io/dockerconfigjson: {"auths":{...}} */
    IMAGE_SECRET_CFG,         /* kubernetes.io/dockercfg: {...} */
};

struct image_secret {
    enum image_secret_kind kind;
    struct str text; /* the decoded value of the secret */
};

struct credential {
    struct str key; /* "registry.example:5000/team", maybe with globs */
    struct str username, password;
};

/* Those that fit an image name ("docker.io/library/nginx"), most specific first, in the arena. A secret that is not
 * well-formed is left out and counted in *ret_bad (may be NULL). */
int credentials_match(struct arena *arena, const struct image_secret *secrets, size_t secret_count, struct str name,
                      struct credential **ret_list, size_t *ret_count, size_t *ret_bad, struct err *err);
/* Does a key of a docker config fit an image name? Hosts are compared label by label with globs, ports exactly, paths
 * by prefix. */
bool credential_key_matches(struct str key, struct str name);
