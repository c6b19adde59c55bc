/* ratchet.h - what an update of a custom object is forgiven: values that are wrong, but were so before. */
#pragma once

#include "schema/object.h"

/* Takes out the causes from number `from` on that speak of a value which old has just so at the same place. Elements of
 * lists have no place of their own: a list counts as a whole. What is required is said of the object that lacks it. */
void causes_ratchet(struct causes *causes, size_t from, const struct json *object, const struct json *old);
