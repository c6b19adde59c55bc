/* challenge.h - what a WWW-Authenticate header asks for (RFC 9110): Basic, or a Bearer token of a service. */
#pragma once

#include "base/arena.h"

struct challenge {
    bool bearer, basic;
    struct str realm, service, scope; /* of Bearer, in the arena; unset when not given */
};

/* Adds what one header value asks for; call it for each such header. False when malformed or without memory. */
bool challenge_parse(struct arena *arena, struct str header, struct challenge *challenge);
