/* walk.h - what everything done by table shares: the walk of an object's members over its type's fields, paths for
 * messages, and how values lie in generated structs. Internal to schema/, but for struct path. */
#pragma once

#include "codec/json.h"
#include "schema/type.h"

/* As str_cmp(); here for the inner loops. */
static inline int name_cmp(struct str a, struct str b)
{
    size_t len = MIN(a.len, b.len);
    int order = len ? (unsigned char)a.data[0] - (unsigned char)b.data[0] : 0;

    if (order == 0 && len > 1)
        order = memcmp(a.data, b.data, len);
    return order ? order : (a.len > b.len) - (a.len < b.len);
}

/* Finds the fields of one object's members. Members in the table's order, the usual case, cost a comparison or two. */
struct field_cursor {
    const struct type *type;
    uint32_t next;
};

static inline struct field_cursor field_cursor(const struct type *type)
{
    return (struct field_cursor){ type, 0 };
}

const struct field *field_cursor_find(struct field_cursor *cursor, struct str name);

/* Where in an object we are; each frame lives on the stack of the function that descends. */
struct path {
    const struct path *up;
    const struct type *owner; /* the struct whose field name is; NULL for elements and map values */
    struct str name;          /* of the field, or the key in a map; unset in a list */
    uint32_t index;
};

#define PATH_TEXT_MAX 1024

static inline struct path path_field(const struct path *up, const struct type *owner, struct str name)
{
    return (struct path){ up, owner, name, 0 };
}

/* The member of a struct, where its type is not at hand. */
static inline struct path path_member(const struct path *up, struct str name)
{
    return (struct path){ up, &type_any, name, 0 };
}

static inline struct path path_index(const struct path *up, uint32_t index)
{
    return (struct path){ up, NULL, STR_NULL, index };
}

static inline struct path path_key(const struct path *up, struct str key)
{
    return (struct path){ up, NULL, key.data ? key : STR(""), 0 };
}

enum path_style {
    PATH_VALIDATION, /* spec.containers[0].limits[cpu] */
    PATH_DECODER,    /* spec.containers[0].limits.cpu, as strict decoding writes it */
    PATH_GO,         /* spec.containers.limits, as encoding/json writes it */
};

/* Cut at the end when longer than out. */
struct str path_text(const struct path *path, enum path_style style, char out[PATH_TEXT_MAX]);

/* Sets ERR_BAD_REQUEST: a value that the field at path cannot take. */
int kind_error(struct err *err, const struct path *path, const struct type *type, const struct json *json);
/* The same for text of the right kind that does not parse. why is the whole explanation. */
int value_error(struct err *err, const struct path *path, const char *why);

/* A type made at run time, from a CustomResourceDefinition: its values exist as JSON only. */
static inline bool type_is_dynamic(const struct type *type)
{
    return type->kind == TYPE_STRUCT && type->size == 0;
}

/* What FIELD_OMIT_EMPTY leaves out. */
bool json_is_empty(const struct json *json);

/* Members in byte order of their keys. */
bool members_sorted(const struct json *object);
void members_sort(struct json *object);

/* --- values in memory --- */

/* How a value lies in its slot is said with the flags of its field; elements of lists and values of maps lie like
 * this: */
#define ELEMENT_FLAGS (FIELD_ALWAYS | FIELD_INLINE)

/* A number or boolean without a "set" beside it. */
static inline bool slot_is_plain(uint32_t flags)
{
    return flags & (FIELD_REQUIRED | FIELD_ALWAYS);
}

/* Bytes from one element of a list to the next. */
size_t element_size(const struct type *elem);

/* An entry of a map: the key, then the value; both are aligned to 8. */
#define MAP_VALUE_OFFSET sizeof(struct str)
static inline size_t map_entry_size(const struct type *elem)
{
    return (MAP_VALUE_OFFSET + element_size(elem) + 7) & ~(size_t)7;
}

/* The fields of an int32 and so on, read wherever they lie; false when unset. */
bool slot_bool(uint32_t flags, const void *slot, bool *ret_value);
bool slot_int(const struct type *type, uint32_t flags, const void *slot, int64_t *ret_value);
bool slot_double(uint32_t flags, const void *slot, double *ret_value);
