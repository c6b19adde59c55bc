/* object.h - what is done to a JSON tree by table: the API server's everyday work. */
#pragma once

#include "codec/json.h"
#include "schema/type.h"

/* Findings with their paths, in Kubernetes' words; kept in an arena, capped. */
enum cause_type {                      /* metav1.CauseType */
                  CAUSE_REQUIRED,      /* FieldValueRequired: "Required value" */
                  CAUSE_INVALID,       /* FieldValueInvalid: "Invalid value: %v: why" */
                  CAUSE_NOT_SUPPORTED, /* FieldValueNotSupported: "Unsupported value: "x": supported values: "a", "b""
                                        */
                  CAUSE_DUPLICATE,     /* FieldValueDuplicate */
                  CAUSE_FORBIDDEN,     /* FieldValueForbidden */
                  CAUSE_NOT_FOUND,     /* FieldValueNotFound */
                  CAUSE_TOO_LONG,      /* FieldValueTooLong */
                  CAUSE_TOO_MANY,      /* FieldValueTooMany */
                  CAUSE_TYPE_INVALID,  /* FieldValueTypeInvalid */
    CAUSE_FIELD_MANAGER_CONFLICT, /* FieldManagerConflict, of a server-side apply */
};

struct cause {
    enum cause_type type;
    struct str field, message; /* "spec.containers[0].name", "Required value" */
};

struct causes {
    struct arena *arena;
    struct cause *items;
    size_t count, cap;
};
#define CAUSES_MAX 256

const char *cause_reason(enum cause_type type); /* "FieldValueRequired" */
void causes_init(struct causes *causes, struct arena *arena);
/* message is the part after the field; use the exact words of field.Error's detail. Beyond CAUSES_MAX they are dropped.
 */
void causes_add(struct causes *causes, enum cause_type type, struct str field, const char *fmt, ...) PRINTF(4, 5);
/* "[spec.x: Required value, spec.y: Invalid value: ...]" or the single one without brackets, as Kubernetes aggregates.
 */
struct str causes_text(const struct causes *causes);

/* A JSON value as validation messages show it (strings quoted, objects as JSON). */
struct str cause_value(struct arena *arena, const struct json *json);

/* Decoding step 1: every member known and of the right kind, unknown ones removed. Wrong kinds are an error
 * (ERR_BAD_REQUEST, with the path, in the words of Kubernetes' decoder). Unknown members are removed and their paths
 * put into unknown (a JSON array of strings, capped; NULL: not wanted). null members are removed where Go's zero value
 * is meant, and so are empty ones of FIELD_OMIT_EMPTY. On error the object is half changed. Quantities, times and
 * base64 are brought into canonical form, members into the table's order, maps into the order of their keys. Below a
 * run-time struct (size 0) values of wrong kinds stay, for object_check() to report. */
int object_normalize(struct arena *arena, const struct type *type, struct json *object, struct json *unknown,
                     struct err *err);
/* Defaults of the tables (field.default_json), recursively; {} for structs that Go holds by value and 0 or false for
 * required scalars, as Kubernetes would write them. Idempotent. Defaults that depend on other fields are code in
 * apiserver/registry/. */
int object_default(struct arena *arena, const struct type *type, struct json *object, struct err *err);
/* Required members, closed enums, ranges, forms, and kinds below run-time structs, by table. The status of built-in
 * kinds is not looked at: components write it. */
void object_check(const struct type *type, const struct json *object, struct causes *causes);
/* What an update may not change (FIELD_IMMUTABLE); beside object_check(). */
void object_check_update(const struct type *type, const struct json *object, const struct json *old,
                         struct causes *causes);

/* Strategic merge patch (with $patch, $deleteFromPrimitiveList, $setElementOrder, $retainKeys); patch is consumed,
 * *target changes (half, on error: patch a copy). ERR_BAD_REQUEST for a malformed patch, ERR_INVALID when $retainKeys
 * and content disagree. The result is not normalised. */
int object_strategic_merge(struct arena *arena, const struct type *type, struct json **target, struct json *patch,
                           struct err *err);
/* Semantic equality under the type (see view_equal). */
bool object_equal(const struct type *type, const struct json *a, const struct json *b);
