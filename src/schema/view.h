/* view.h - between a JSON tree and the generated C struct of its type.
 *
 * Views are read-only and shared freely once made; strings are slices of the tree or of its text. To change an
 * object in C, copy the struct shallowly, set fields, and encode. */
#pragma once

#include "codec/json.h"
#include "schema/type.h"

/* Tolerant of unknown members (checked elsewhere); ERR_BAD_REQUEST with the path on a value of the wrong kind. */
int view_decode(struct arena *arena, const struct type *type, const struct json *json, void **ret_view,
                struct err *err);
/* The same; text is what the tree was parsed from, and the view needs it, but not the tree. */
int view_decode_from(struct arena *arena, const struct type *type, const struct json *json, struct str text,
                     void **ret_view, struct err *err);
/* Members in the table's order. Unset ones and empty lists and maps are left out unless FIELD_ALWAYS, zeros and empty
 * strings only under FIELD_OMIT_EMPTY. On top, apiVersion and kind are written from the type when the view leaves them
 * unset and the type has a kind. Strings of the tree are those of the view. */
int view_encode(struct arena *arena, const struct type *type, const void *view, struct json **ret_json,
                struct err *err);
/* The same straight to text. */
int view_write(struct buf *buf, const struct type *type, const void *view, struct err *err);
/* Deep copy into arena, strings too: the copy needs neither tree nor text. */
void *view_copy(struct arena *arena, const struct type *type, const void *view);
/* Semantic equality: unset and empty lists, maps and strings are equal, quantities by value, times by instant. */
bool view_equal(const struct type *type, const void *a, const void *b);
