/* decode.h - from the body of a request to a normalized tree. */
#pragma once

#include "apiserver/request.h"
#include "codec/json.h"

/* The body as an object of the request's resource (or of the subresource's kind when type is another). apiVersion and
 * kind are filled in where absent and must fit else. Unknown and duplicate fields are warned of or refused, by
 * ?fieldValidation. */
int decode_body(struct request *request, struct json **ret_object, struct err *err);
int decode_body_as(struct request *request, const struct type *type, struct json **ret_object, struct err *err);
/* The same for a tree that a patch made. */
int decode_tree(struct request *request, const struct type *type, struct json *object, struct err *err);
/* The body as plain JSON (a patch). */
int decode_json(struct request *request, struct json **ret_json, struct err *err);
/* DeleteOptions: of the body, overridden by the query. *ret_options is an object, perhaps empty. */
int decode_delete_options(struct request *request, struct json **ret_options, struct err *err);
/* ?dryRun= into request->dry_run. */
int decode_dry_run(struct request *request, struct err *err);
/* Checks ?fieldManager= and ?force= of a create, update or patch (of which the kind is known by now). */
int decode_manager(struct request *request, struct err *err);
/* A stored object's text as a tree; the text is copied into the arena. */
int decode_stored(struct request *request, struct str text, struct json **ret_object, struct err *err);
/* The generated type of that full name's last part: type_named("io.k8s.api.core.v1.Binding"). NULL: not in the tables.
 */
const struct type *type_named(const char *name);
