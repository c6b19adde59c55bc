/* metadata.c - a type with one field. */
#include "client/metadata.h"

#include "api/meta_v1.h"

struct metadata_only {
    struct object_meta metadata;
};

static const struct field fields[] = {
    { .name = STR_INIT("metadata"), .type = &TYPE_OBJECT_META, .flags = FIELD_ALWAYS | FIELD_INLINE },
};

const struct type type_metadata_only = {
    .kind = TYPE_STRUCT,
    .name = STR_INIT("PartialObjectMetadata"),
    .fields = fields,
    .field_count = ARRAY_LEN(fields),
    .size = sizeof(struct metadata_only),
};
