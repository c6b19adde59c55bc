/* url.h - the few things a registry client asks of http and https URLs. Slices of the text given. */
#pragma once

#include "base/arena.h"

struct url {
    struct str text;      /* the whole */
    bool tls;             /* https */
    struct str authority; /* "host" or "host:port", as written */
    struct str rest;      /* path and query; "" or from '/' or '?' on */
};

/* False for other schemes, user names in it, blanks and control characters. A fragment is cut off. */
bool url_parse(struct str text, struct url *ret_url);
/* Where a Location header leads. False when malformed or without memory. */
bool url_resolve(struct arena *arena, const struct url *base, struct str location, struct url *ret_url);
bool url_same_origin(const struct url *a, const struct url *b);
/* localhost, 127.0.0.0/8 or ::1, with or without a port. */
bool authority_is_loopback(struct str authority);
