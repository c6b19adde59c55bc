/* protobuf_row.h - what reading and writing protobuf by table share. Internal to schema/. */
#pragma once

#include "schema/type.h"

#define PROTOBUF_MAGIC ((struct str){ "k8s", 4 }) /* its zero too */
#define PROTOBUF_DEPTH_MAX 100
#define PROTOBUF_FIELDS_MAX 64 /* of a struct; apigen sees to it */

/* Of runtime.Unknown and runtime.TypeMeta. */
enum { UNKNOWN_TYPE_META = 1, UNKNOWN_RAW = 2, UNKNOWN_ENCODING = 3, UNKNOWN_CONTENT_TYPE = 4 };
enum { TYPE_META_API_VERSION = 1, TYPE_META_KIND = 2 };

/* The row at a place of the order of numbers. */
static inline const struct field *protobuf_row(const struct type *type, uint32_t place)
{
    return &type->fields[type->pb_order[place]];
}

/* A value that protobuf has no message for. */
static inline bool kind_is_number(enum type_kind kind)
{
    return kind == TYPE_BOOL || kind == TYPE_INT32 || kind == TYPE_INT64 || kind == TYPE_DOUBLE;
}
