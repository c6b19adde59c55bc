/* patch.h - JSON Patch (RFC 6902) and JSON Merge Patch (RFC 7386). Both work on a tree of the caller and change it;
 * on error it may be half changed: patch a copy. Strategic merge needs types and stands in schema/. */
#pragma once

#include "codec/json.h"

#define JSON_PATCH_MAX_OPERATIONS 10000

/* ERR_BAD_REQUEST for a malformed patch, ERR_INVALID when it does not apply ("test" failed, path absent), ERR_TOO_LARGE
 * when it takes more work than any sensible one or the result does not fit the arena's limit. *target may be replaced
 * as a whole. */
int json_patch_apply(struct arena *arena, struct json **target, const struct json *patch, struct err *err);
int json_merge_patch(struct arena *arena, struct json **target, const struct json *patch, struct err *err);
