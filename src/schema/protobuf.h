/* protobuf.h - objects in Kubernetes' protobuf form, as clients of the typed APIs send them. */
#pragma once

#include "codec/json.h"
#include "schema/type.h"

/* The tree of an object of that type out of its protobuf form: "k8s\0", then a runtime.Unknown that holds it. What the
 * table does not know is passed over, as protobuf's readers do. The strings of the tree are slices of bytes. Not
 * normalized yet: hand it to object_normalize(). ERR_BAD_REQUEST for what is no protobuf, no UTF-8 or nested too deep;
 * ERR_NO_MEMORY or ERR_TOO_LARGE as json_parse(). */
int protobuf_decode(struct arena *arena, const struct type *type, struct str bytes, struct json **ret_object,
                    struct err *err);
