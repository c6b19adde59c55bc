/* negotiate.h - what a client accepts and what it sends. */
#pragma once

#include "base/arena.h"
#include "base/err.h"
#include "net/http.h"

enum media_format { MEDIA_JSON, MEDIA_YAML, MEDIA_PROTOBUF };
enum media_shape { SHAPE_OBJECT, SHAPE_TABLE, SHAPE_PARTIAL };

struct media {
    enum media_format format;
    enum media_format status_format; /* of a Status that says what went wrong */
    enum media_shape shape;
    struct str version; /* of a Table or PartialObjectMetadata: "v1", "v1beta1" */
    bool pretty;
};

/* One element of an Accept list, its parameters apart. */
struct accept_item {
    struct str type;
    struct str as, group, version, stream, server_version; /* unset: not given */
    double q;
    bool pretty;
};
/* Cuts the first element off *rest; false after the last one. */
bool accept_next(struct str *rest, struct accept_item *ret_item);
/* How much more an element says than others of its q: 2 a type, 1 application and a star, 0 stars. */
int accept_precision(const struct accept_item *item);

/* What can be answered beside JSON. */
struct media_offer {
    bool shapes;   /* Tables, metadata only */
    bool protobuf; /* objects as they are; what is metadata only has protobuf in any case */
    bool watch;    /* not in YAML */
};
/* The best that is on offer, of the client's list (by q, then by precision, then by order). Nothing there is
 * ERR_NOT_ACCEPTABLE. An empty header accepts JSON. */
int negotiate_accept(struct str accept, const struct media_offer *offer, struct media *ret_media, struct err *err);
/* Of a Status that says what went wrong: JSON when nothing fits. */
enum media_format negotiate_status(struct str accept);
const char *media_content_type(const struct media *media);
const char *media_watch_content_type(const struct media *media);
/* The client takes gzip. */
bool negotiate_gzip(struct str accept_encoding);

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
