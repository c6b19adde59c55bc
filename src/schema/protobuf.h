/* protobuf.h - objects in Kubernetes' protobuf form, as clients of the typed APIs read and send them.
 *
 * The form of an object: "k8s\0", then a runtime.Unknown with apiVersion and kind, and the object's message. Inside a
 * list the message stands alone. */
#pragma once

#include "codec/json.h"
#include "schema/type.h"

/* Types made at run time, from a CustomResourceDefinition, have none. */
static inline bool type_has_protobuf(const struct type *type)
{
    return type->pb_count > 0;
}

/* The tree of an object of that type out of its protobuf form. What the table does not know is passed over, as
 * protobuf's readers do. The strings of the tree are slices of bytes. Not normalized yet: hand it to
 * object_normalize(). ERR_BAD_REQUEST for what is no protobuf, no UTF-8 or nested too deep; ERR_NO_MEMORY or
 * ERR_TOO_LARGE as json_parse(). */
int protobuf_decode(struct arena *arena, const struct type *type, struct str bytes, struct json **ret_object,
                    struct err *err);

/* The protobuf form of an object, in the arena; what the type does not know is left out. expected: about how many bytes
 * it will be, such as the length of its JSON text. ERR_INTERNAL when a value is not of the kind that its table says;
 * ERR_NO_MEMORY. */
int protobuf_encode(struct arena *arena, const struct type *type, const struct json *object, size_t expected,
                    struct str *ret_bytes, struct err *err);
/* The message alone. */
int protobuf_encode_message(struct arena *arena, const struct type *type, const struct json *object, size_t expected,
                            struct str *ret_bytes, struct err *err);
/* What stands before a message of that many bytes, and behind it, to make it an object. For a list, whose message comes
 * piece by piece. head is filled from its end. */
#define PROTOBUF_TAIL STR("\032\000\042\000") /* contentEncoding "" and contentType "" */
int protobuf_head(struct arena *arena, struct str api_version, struct str kind, size_t message_len,
                  struct str *ret_head, struct err *err);
