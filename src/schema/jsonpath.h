/* jsonpath.h - the part of JSONPath that columns of tables use:
 *
 *   .spec.nodeName   {.a.b}   $.a   .metadata.labels.app\.kubernetes\.io/name   .annotations['a.b/c']
 *   .items[0]  [-1]  [1:3]  [*]  .*   .conditions[?(@.type=="Ready")].status   (== != < <= > >=, or alone: exists)
 *
 * Compiled once into an arena, then read by any thread. */
#pragma once

#include "codec/json.h"

struct jsonpath;

#define JSONPATH_MAX_LEN 4096

/* ERR_BAD_REQUEST with what is wrong and where; ERR_NOT_SUPPORTED for recursive descent ("..") and unions. */
int jsonpath_compile(struct arena *arena, struct str text, const struct jsonpath **ret_path, struct err *err);
/* The first max results in the order of the document, as pointers into it; returns how many. Absent members and wrong
 * kinds give none. */
size_t jsonpath_find(const struct jsonpath *path, const struct json *root, const struct json **results, size_t max);
/* The first result, or NULL. */
const struct json *jsonpath_first(const struct jsonpath *path, const struct json *root);
