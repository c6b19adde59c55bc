/* openapi_v2.h - the older form of OpenAPI, one document for all group-versions, made from the newer ones. */
#pragma once

#include "base/buf.h"
#include "base/err.h"
#include "schema/type.h"

/* Appends the document of these resources as JSON, or in protobuf (openapi_proto.h). */
int openapi_v2_write(struct buf *buf, const struct resource *const *resources, size_t count, bool proto,
                     struct err *err);
