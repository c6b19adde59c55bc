/* openapi.h - OpenAPI v3 documents written from the tables, one per group-version, as /openapi/v3 serves them.
 *
 * kubectl explain and client generators read the schemas; kubectl and client libraries look at the query parameters of
 * operations to learn what the server can do (fieldValidation, dryRun). */
#pragma once

#include "base/buf.h"
#include "base/err.h"
#include "schema/type.h"

/* Appends the document of one group-version. resources: those of that group-version (others are passed over), built-in
 * or made at run time; a type without a name is published under its group, version and kind. ERR_NO_MEMORY. */
int openapi_v3_write(struct buf *buf, struct str group, struct str version, const struct resource *const *resources,
                     size_t count, struct err *err);

/* 128 bits over the text in hex, NUL-terminated: the hash in the index of /openapi/v3 and the ETag. hash: a function of
 * the caller's, or NULL for a fast one of our own (stable, not cryptographic). */
#define OPENAPI_HASH_LEN 32
typedef void openapi_hash_fn(struct str text, uint8_t out[16]);
void openapi_hash(struct str text, openapi_hash_fn *hash, char out[OPENAPI_HASH_LEN + 1]);
