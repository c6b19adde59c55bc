/* path.h - from method and URL to what is asked for: verb, resource, namespace, name, subresource.
 *
 * Hostile paths (bad escapes, NUL, '.', '..', an escaped '/') are ERR_BAD_REQUEST, never a guess. */
#pragma once

#include "base/arena.h"
#include "base/err.h"
#include "net/http.h"

struct request_info {
    bool is_resource; /* else only path and verb (the method in lower case) mean something */
    uint32_t verb;    /* one of enum verb_bit (schema/type.h) */
    struct str path;  /* decoded, for authorization and logs */
    struct str group, version, ns, plural, name, subresource;
    struct str rest; /* what follows the subresource, without the slash; unset: nothing */
};

/* params: of the query, decoded ("watch" makes a list a watch). ret_info's slices live in arena. */
int path_parse(struct arena *arena, enum http_method method, struct str path, const struct http_params *params,
               struct request_info *ret_info, struct err *err);
/* "get", "deletecollection"; for a resource's verb bit. */
const char *verb_name(uint32_t verb);
/* A boolean of a query as Go's ParseBool-with-defaults reads it: absent, "0" and "false" are false. */
bool param_bool(const struct http_params *params, struct str name);
