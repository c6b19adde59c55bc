/* validate.h - the checks that all resources share: names, labels, annotations, object metadata, in Kubernetes' words.
 */
#pragma once

#include "apiserver/registry.h"
#include "schema/check_text.h"
#include "schema/object.h"

/* What is wrong with a name; 0: nothing. generated: it is a generateName, which a suffix will follow. */
#define NAME_PROBLEMS_MAX FORMAT_PROBLEMS_MAX
size_t name_problems(enum name_form form, struct str name, bool generated, const char *ret_problems[NAME_PROBLEMS_MAX]);

/* Adding findings: with a struct path, cause_required() and so on (schema/check_text.h), which make text only when there
 * is something to say; or with the path as text, kept, arena or static: */
struct str field_path(struct causes *causes, const char *fmt, ...) PRINTF(2, 3);
void add_required(struct causes *causes, struct str field, const char *why /* or "" */);
void add_invalid(struct causes *causes, struct str field, const struct json *value, const char *why);
void add_invalid_str(struct causes *causes, struct str field, struct str value, const char *why);
void add_invalid_int(struct causes *causes, struct str field, int64_t value, const char *why);
void add_forbidden(struct causes *causes, struct str field, const char *why);
void add_duplicate_str(struct causes *causes, struct str field, struct str value);
/* supported: in the order of the message, NULL-terminated. */
void add_not_supported(struct causes *causes, struct str field, struct str value, const char *const *supported);
void add_not_found(struct causes *causes, struct str field, struct str value);

void check_name(struct causes *causes, struct str field, enum name_form form, struct str name);
void check_labels(struct causes *causes, struct str field, const struct json *labels);
void annotations_check(struct causes *causes, const struct path *path, const struct json *annotations);
void check_not_negative(struct causes *causes, struct str field, const struct json *value);
void check_port_number(struct causes *causes, struct str field, int64_t port);
void check_port_name(struct causes *causes, struct str field, struct str name);
/* new and old are equal, else "field is immutable". */
void check_immutable(struct causes *causes, struct str field, const struct json *value, const struct json *old);

/* metadata of a new object, or of a changed one beside its old state. */
void validate_meta(struct request *request, const struct json *object, struct causes *causes);
void validate_meta_update(struct request *request, const struct json *object, const struct json *old,
                          struct causes *causes);
