/* json.h - JSON (RFC 8259) as a tree in an arena, and a writer.
 *
 * Strict: UTF-8 only, no trailing bytes, no NaN, surrogates paired, depth and size capped. Numbers keep their text, so
 * that what comes in goes out unchanged. Strings without escapes are slices of the input: the text must outlive the
 * tree. Objects keep the order of their members; a duplicate key keeps its first place and its last value (as Go's
 * decoder does) and is reported. Large objects carry an index, made while they are parsed, copied or built; reading
 * never changes a tree.
 *
 * A tree belongs to one thread at a time until nobody changes it any more. */
#pragma once

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"

enum json_kind {
    JSON_NULL,
    JSON_BOOL,
    JSON_NUMBER,
    JSON_STRING,
    JSON_ARRAY,
    JSON_OBJECT,
};

struct json_member;

struct json {
    enum json_kind kind;
    bool is_int;   /* JSON_NUMBER: integer without fraction and exponent that fits int64 */
    bool boolean;  /* JSON_BOOL */
    uint32_t count, cap; /* elements of an array, members of an object */
    union {
        struct str string; /* JSON_STRING: decoded UTF-8 */
        struct {
            struct str text; /* JSON_NUMBER: as written */
            int64_t i64;     /* when is_int */
        } number;
        struct json *items;          /* JSON_ARRAY: count of them, contiguous */
        struct {
            struct json_member *members; /* JSON_OBJECT: count of them, contiguous */
            void *index;
        };
    };
};

struct json_member {
    struct str key;
    struct json value;
};

/* Where a duplicate key was seen, as a field path ("spec.containers[0].name"); filled by json_parse(). */
struct json_duplicates {
    struct str *paths;
    size_t count, cap, limit; /* no more than limit are kept; 0: JSON_DUPLICATES_MAX */
};

struct json_options {
    uint32_t max_depth;                 /* 0: JSON_MAX_DEPTH; no more than JSON_DEPTH_CEILING */
    struct json_duplicates *duplicates; /* NULL: not wanted */
};

#define JSON_MAX_DEPTH 512
#define JSON_DEPTH_CEILING 1024 /* what the stack of any thread bears, under sanitizers too */
#define JSON_MAX_TEXT (1u << 30) /* bytes */
#define JSON_DUPLICATES_MAX 100

/* options may be NULL. ERR_BAD_REQUEST with line, column and what was expected; ERR_TOO_LARGE when the tree does not
 * fit the limit of the arena, ERR_NO_MEMORY when an arena without limit has no memory. */
int json_parse(struct arena *arena, struct str text, const struct json_options *options, struct json **ret_json,
               struct err *err);

/* Reading. All take NULL and wrong kinds and then return NULL, an empty slice or the given fallback. */
struct json *json_get(const struct json *object, struct str key);
#define json_member(object, literal) json_get((object), STR(literal))
/* By members, '.' between: json_at(pod, "spec.nodeName"). No indexes, no escapes. */
struct json *json_at(const struct json *json, const char *path);
struct str json_str(const struct json *json);          /* STR_NULL unless a string */
struct str json_str_at(const struct json *json, const char *path);
int64_t json_int(const struct json *json, int64_t fallback);
bool json_bool(const struct json *json, bool fallback);
double json_double(const struct json *json, double fallback);
static inline bool json_is(const struct json *json, enum json_kind kind)
{
    return json && json->kind == kind;
}

/* Building and changing; new memory comes from arena; NULL or -1 (ERR_NO_MEMORY, negative) without memory. Values are
 * moved in shallowly: the child's arrays are shared, so use json_copy() for a tree that goes to two places.
 * json_set() and json_append() return the place the value now has; it is invalidated by the next addition to the
 * same parent. Strings are not copied. */
struct json *json_new(struct arena *arena, enum json_kind kind);
struct json *json_new_str(struct arena *arena, struct str s);
struct json *json_new_int(struct arena *arena, int64_t value);
struct json *json_new_bool(struct arena *arena, bool value);
struct json *json_set(struct arena *arena, struct json *object, struct str key, const struct json *value);
struct json *json_set_str(struct arena *arena, struct json *object, struct str key, struct str value);
struct json *json_set_int(struct arena *arena, struct json *object, struct str key, int64_t value);
struct json *json_set_bool(struct arena *arena, struct json *object, struct str key, bool value);
/* The member, made as an empty value of that kind if absent or null; NULL when it exists with another kind. */
struct json *json_ensure(struct arena *arena, struct json *object, struct str key, enum json_kind kind);
bool json_remove(struct json *object, struct str key); /* keeps the order; true if it was there */
struct json *json_append(struct arena *arena, struct json *array, const struct json *value);
struct json *json_insert(struct arena *arena, struct json *array, uint32_t at, const struct json *value);
void json_remove_at(struct json *array, uint32_t at);
struct json *json_copy(struct arena *arena, const struct json *json); /* deep, strings too */
/* Objects compare without order, numbers by value. */
bool json_equal(const struct json *a, const struct json *b);

/* Writing. */
void json_write(struct buf *buf, const struct json *json);            /* compact */
void json_write_pretty(struct buf *buf, const struct json *json, int indent);
void json_write_str(struct buf *buf, struct str s);                   /* with quotes and escapes (also <, >, & not) */
/* The tree as text in the arena; data == NULL without memory. */
struct str json_text(struct arena *arena, const struct json *json);

/* A streaming writer: commas and nesting are its business. Errors stick in the buffer. */
struct json_writer {
    struct buf *buf;
    bool comma;
};

static inline struct json_writer json_writer(struct buf *buf)
{
    return (struct json_writer){ buf, false };
}
void jw_begin_object(struct json_writer *w);
void jw_end_object(struct json_writer *w);
void jw_begin_array(struct json_writer *w);
void jw_end_array(struct json_writer *w);
void jw_key(struct json_writer *w, struct str key);
void jw_str(struct json_writer *w, struct str s);
void jw_int(struct json_writer *w, int64_t value);
void jw_bool(struct json_writer *w, bool value);
void jw_null(struct json_writer *w);
void jw_raw(struct json_writer *w, struct str text); /* text is JSON already */
void jw_json(struct json_writer *w, const struct json *json);
#define jw_field_str(w, literal, s) (jw_key((w), STR(literal)), jw_str((w), (s)))
#define jw_field_int(w, literal, v) (jw_key((w), STR(literal)), jw_int((w), (v)))
#define jw_field_bool(w, literal, v) (jw_key((w), STR(literal)), jw_bool((w), (v)))
