/* openapi_proto.h - an OpenAPI v2 document in protobuf, the form that older kubectl and Helm ask for. */
#pragma once

#include "codec/json.h"

/* What clients ask for, and what they must be answered: '@' is not allowed there, and Go's parser insists. */
#define OPENAPI_V2_PROTO_ASKED "application/com.github.proto-openapi.spec.v2@v1.0+protobuf"
#define OPENAPI_V2_PROTO "application/com.github.proto-openapi.spec.v2.v1.0+protobuf"

/* Appends part of a document, {"swagger": ..., "info": ..., "paths": ..., "definitions": ...}, any of them. Parts
 * written one behind the other are one document. */
void openapi_proto_write(struct buf *buf, const struct json *document);
