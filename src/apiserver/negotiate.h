/* negotiate.h - what a client accepts and what it sends. */
#pragma once

#include "base/arena.h"
#include "base/err.h"
#include "net/http.h"

enum media_format { MEDIA_JSON, MEDIA_YAML };
enum media_shape { SHAPE_OBJECT, SHAPE_TABLE, SHAPE_PARTIAL };

struct media {
    enum media_format format;
    enum media_shape shape;
    struct str version; /* of a Table or PartialObjectMetadata: "v1", "v1beta1" */
    bool pretty;
};

/* One element of an Accept list, its parameters apart. */
struct accept_item {
    struct str type;
    struct str as, group, version, stream; /* unset: not given */
    double q;
};
/* Cuts the first element off *rest; false after the last one. */
bool accept_next(struct str *rest, struct accept_item *ret_item);

/* The first acceptable of the client's list (by q, then by order). Protobuf and CBOR are passed over; a list with
 * nothing else is ERR_NOT_ACCEPTABLE. An empty header accepts JSON. */
int negotiate_accept(struct str accept, struct media *ret_media, struct err *err);
const char *media_content_type(const struct media *media);

enum body_kind {
    BODY_JSON,
    BODY_YAML,
    BODY_PROTOBUF,
    BODY_JSON_PATCH,
    BODY_MERGE_PATCH,
    BODY_STRATEGIC_PATCH,
    BODY_APPLY
};
/* Of a create, update or DeleteOptions: JSON (also when unset), YAML or protobuf; of a patch: one of the patches. Else
 * ERR_UNSUPPORTED_MEDIA_TYPE in the words clients know. */
int negotiate_body(struct str content_type, bool patch, enum body_kind *ret_kind, struct err *err);
