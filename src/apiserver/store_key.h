/* store_key.h - which object a key of the store is of: "/registry/[GROUP/]PLURAL/[NAMESPACE/]NAME". */
#pragma once

#include "base/str.h"

struct store_key {
    struct str group, plural;
    struct str ns; /* empty: the object has none */
    struct str name;
};

/* Slices of key. False: it is no object's (a reservation). */
bool store_key_parse(struct str key, struct store_key *ret_key);
