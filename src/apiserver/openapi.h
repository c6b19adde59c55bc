/* openapi.h - the schemas of all kinds, as `kubectl explain` and client generators fetch them.
 *
 *   /openapi/v3                    names the documents, each with a URL that changes with its content
 *   /openapi/v3/apis/GROUP/VERSION one document
 *   /openapi/v2                    the older form: all in one, as JSON or protobuf (kubectl up to 1.28, older Helm)
 *
 * Documents are written on first demand and kept. */
#pragma once

#include "apiserver/request.h"

struct openapi_docs;

int openapi_docs_new(struct openapi_docs **ret_docs, struct err *err);
struct openapi_docs *openapi_docs_free(struct openapi_docs *docs);
DEFINE_AUTO(openapi_docs, openapi_docs_free)

/* The resources made at run time from now on; they and their types must stay until the next call has returned.
 * Documents are forgotten and written anew when they are asked for. Any thread. */
int openapi_docs_set_custom(struct openapi_docs *docs, const struct resource *const *resources, size_t count,
                            struct err *err);

int openapi_v2_handle(struct request *request, struct err *err);
int openapi_v3_handle(struct request *request, struct err *err);
