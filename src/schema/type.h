/* type.h - the API as data: what apigen writes from api/ and what everything that is done "by table" reads.
 *
 * A type describes JSON; the same tables describe built-in kinds (static, made by apigen) and custom ones (made at run
 * time). The API server works on JSON trees under a type. C code that wants `pod->spec.node_name` decodes a tree into the
 * generated struct, the *view* (schema/view.h), whose strings are slices of the tree's text. Tables never change once
 * they are published; any thread may read them.
 *
 * How a field looks in its generated struct (snake_case of its JSON name; a C keyword gets a trailing '_'):
 *   string, quantity      struct str (data == NULL: unset)        bytes   struct str, base64 decoded
 *   boolean, int32/64,    bool, int32_t, int64_t, double when FIELD_REQUIRED or FIELD_ALWAYS;
 *   double                struct opt_bool, opt_i32, opt_i64, opt_double otherwise ("unset" apart from zero)
 *   date-time (micro too) struct api_time                         int-or-string   struct int_or_string
 *   any, raw object       const struct json *  (NULL: unset)
 *   struct                embedded when FIELD_INLINE (always written, not a pointer in Go), else a pointer (NULL: unset)
 *   list                  struct { const T *items; size_t count; } with T as in a struct above, structs by value;
 *                         named struct str_array, struct container_array, ...
 *   map                   struct { const struct { struct str key; T value; } *items; size_t count; }, sorted by key
 */
#pragma once

#include "base/clock.h"
#include "base/str.h"

struct json;
struct path;
struct causes;

enum type_kind {
    TYPE_STRING,
    TYPE_BYTES,
    TYPE_BOOL,
    TYPE_INT32,
    TYPE_INT64,
    TYPE_DOUBLE,
    TYPE_TIME,       /* RFC 3339, seconds, UTC */
    TYPE_MICRO_TIME, /* RFC 3339, six digits of fraction, UTC */
    TYPE_QUANTITY,
    TYPE_INT_OR_STRING,
    TYPE_ANY, /* any JSON, kept as it is */
    TYPE_STRUCT,
    TYPE_LIST,
    TYPE_MAP, /* string keys */
};

/* Values in generated structs. */
struct opt_bool {
    bool set, value;
};
struct opt_i32 {
    bool set;
    int32_t value;
};
struct opt_i64 {
    bool set;
    int64_t value;
};
struct opt_double {
    bool set;
    double value;
};
#define opt_or(opt, fallback) ((opt).set ? (opt).value : (fallback))
struct api_time {
    bool set;
    nsec_t unix_nsec;
};
struct int_or_string {
    bool set, is_string;
    int32_t int_value;
    struct str string;
};
struct str_array {
    const struct str *items;
    size_t count;
};
struct str_pair {
    struct str key, value;
};
struct str_map {
    const struct str_pair *items;
    size_t count;
};
/* The layout that every list and map shares; the engine walks it with the element's size. */
struct any_array {
    const void *items;
    size_t count;
};

enum field_flag {
    FIELD_REQUIRED = 1 << 0,     /* an absent one is an error ("Required value") */
    FIELD_ALWAYS = 1 << 1,       /* written even when empty */
    FIELD_INLINE = 1 << 2,       /* struct embedded by value */
    FIELD_PATCH_MERGE = 1 << 3,  /* strategic merge patch */
    FIELD_PATCH_REPLACE = 1 << 4,
    FIELD_PATCH_RETAIN_KEYS = 1 << 5,
    FIELD_ENUM_OPEN = 1 << 6, /* enum values are known ones, others are allowed */
    FIELD_ZERO_OK = 1 << 7,   /* required in OpenAPI only: absent, "" and [] pass */
    FIELD_MAP_GRANULAR = 1 << 8, /* server-side apply: by member although the type is atomic */
    FIELD_OMIT_EMPTY = 1 << 9,   /* "", 0, false, [] and {} are the same as absent (omitempty on no pointer in Go) */
    FIELD_NULLABLE = 1 << 10,    /* run-time types: null is a value of its own */
    FIELD_IMMUTABLE = 1 << 11,   /* an update that changes it is refused */
    FIELD_POINTER = 1 << 12,     /* a pointer in Go: the zero value differs from absent */
    FIELD_CODED = 1 << 13,       /* presence and values are checked in code, apiserver/registry/ */
};

/* Bounds of a field; of the elements when a list of numbers. */
struct field_range {
    int64_t min, max;    /* of a number; INT64_MIN, INT64_MAX: none */
    uint32_t max_length; /* bytes of a string; 0: none */
    uint32_t max_items;  /* elements of a list; 0: none */
};

/* TYPE_ANY: what it is in protobuf. */
enum any_form {
    ANY_JSON,              /* a message with the text */
    ANY_SCHEMA_OR_LIST,    /* {1: a schema, 2: several}; a schema is of the struct that the field belongs to */
    ANY_SCHEMA_OR_BOOL,    /* {1: true or false, 2: a schema, then true} */
    ANY_SCHEMA_OR_STRINGS, /* {1: a schema, 2: strings} */
};

enum list_kind { LIST_NONE, LIST_ATOMIC, LIST_SET, LIST_MAP };

struct field {
    struct str name; /* in JSON */
    const struct type *type;
    uint32_t offset; /* in the generated struct; 0 for run-time types */
    uint32_t flags;
    struct str default_json; /* data == NULL: none. JSON text, e.g. "\"Always\"", "{}", "30" */
    const struct str *enum_values; /* of the value, or of the elements when a list */
    uint16_t enum_count;
    uint8_t list_kind;      /* enum list_kind, for server-side apply; of the field when its type is a list */
    bool map_atomic;        /* map or struct that is replaced as a whole by server-side apply */
    struct str merge_key;   /* strategic merge: key of a FIELD_PATCH_MERGE list of structs */
    const struct str *list_map_keys; /* LIST_MAP */
    uint16_t list_map_key_count;
    uint8_t pb_depth;       /* protobuf field numbers from the outside in; 0: none */
    uint16_t pb[3];
    struct str doc;         /* one line, may be unset */
    uint8_t format;         /* enum value_format (schema/format.h), of text; "" passes; of the elements when a list */
    const struct field_range *range; /* NULL: none */
};

struct type {
    enum type_kind kind;
    bool atomic;              /* x-kubernetes-map-type: atomic on a struct */
    bool preserve_unknown;    /* run-time types: unknown fields are kept */
    struct str name;          /* TYPE_STRUCT: the full definition name, "io.k8s.api.core.v1.PodSpec" */
    const struct field *fields; /* TYPE_STRUCT: sorted by name (byte order); json output is in this order */
    uint32_t field_count;
    const uint16_t *pb_order; /* TYPE_STRUCT: places in fields, by protobuf numbers */
    uint16_t pb_count;        /* fields that have one */
    uint8_t any_form;         /* TYPE_ANY: enum any_form */
    uint32_t size;            /* of a value in memory: sizeof the generated struct; 0 for run-time structs */
    const struct type *elem;  /* TYPE_LIST, TYPE_MAP */
    struct str doc;
    struct str group, version, kind_name; /* of objects (gvk), else unset */
    /* A rule for every value of the struct, wherever it is (schema/checks.h); NULL: none. */
    void (*check)(const struct json *json, const struct path *path, struct causes *causes);
    /* The object of a custom resource: what values must be like, and the schema as its author wrote it. */
    const struct schema *schema; /* schema/structural.h; NULL: a built-in type */
    const struct json *schema_json;
};

/* Binary search; NULL when there is none. */
const struct field *type_field(const struct type *type, struct str name);

/* Scalars, shared by all tables. */
extern const struct type type_string, type_bytes, type_bool, type_int32, type_int64, type_double, type_time,
    type_micro_time, type_quantity, type_int_or_string, type_any, type_schema_or_list, type_schema_or_bool,
    type_schema_or_strings;
extern const struct type type_string_list, type_string_map;

enum verb_bit {
    VERB_GET = 1 << 0,
    VERB_LIST = 1 << 1,
    VERB_WATCH = 1 << 2,
    VERB_CREATE = 1 << 3,
    VERB_UPDATE = 1 << 4,
    VERB_PATCH = 1 << 5,
    VERB_DELETE = 1 << 6,
    VERB_DELETE_COLLECTION = 1 << 7,
    VERB_CONNECT = 1 << 8, /* proxying: any method */
};

/* A column of `kubectl get`. The cell is either a JSONPath in the object (".spec.nodeName") or a named function of
 * apiserver/ ("pod.ready"). */
struct column {
    struct str name, type, format, doc; /* type: string, integer, number, boolean, date */
    uint8_t priority;                   /* 0: always, 1: wide */
    struct str path, function;          /* one of the two */
    struct str absent_json;             /* the cell, as JSON text, when the path finds nothing or ""; unset: "" */
};

struct subresource {
    struct str name; /* "status", "scale", "log", ... */
    uint32_t verbs;
    struct str group, version, kind; /* of what goes over it: ("autoscaling", "v1", "Scale") */
};

/* Where a custom resource keeps what its scale subresource shows; paths of members, "spec.replicas". */
struct scale_paths {
    const char *spec_replicas, *status_replicas, *selector; /* selector: text; NULL: none */
};

/* One resource in one version. */
struct resource {
    struct str group, version, plural, singular, kind, list_kind;
    bool namespaced, served; /* served: false for alpha and beta versions, which answer 404 */
    uint32_t verbs;
    const struct type *type; /* of the object */
    const struct str *short_names, *categories;
    uint8_t short_name_count, category_count;
    const struct column *columns; /* Name and Age only when there are none */
    uint8_t column_count;
    const struct subresource *subresources;
    uint8_t subresource_count;
    bool delete_returns_object;       /* instead of a Status */
    const struct resource *storage;   /* the version it is kept as; itself for most */
    struct str store_prefix;          /* "/registry/pods/", "/registry/apps/deployments/"; then "ns/name" or "name" */
    /* Custom resources. */
    const struct scale_paths *scale;
    const struct str *selectable; /* fields that selectors may name: "spec.color" */
    uint8_t selectable_count;
    struct str deprecation; /* what users of this version are warned with; unset: it is not deprecated */
};

const struct subresource *resource_subresource(const struct resource *resource, struct str name);
/* Made at run time, from a CustomResourceDefinition. */
static inline bool resource_is_custom(const struct resource *resource)
{
    return resource->type && resource->type->schema;
}
static inline bool resource_same(const struct resource *a, const struct resource *b)
{
    return a->storage == b->storage;
}

/* Written by apigen (header "api/resources.h" adds one `extern const struct resource RESOURCE_<GROUP>_<PLURAL>` each:
 * RESOURCE_PODS, RESOURCE_APPS_DEPLOYMENTS, RESOURCE_EVENTS_K8S_IO_EVENTS, RESOURCE_AUTOSCALING_V2_...). */
extern const struct resource *const api_resources[];
extern const size_t api_resource_count;
/* All named struct types, sorted by name, for OpenAPI. */
extern const struct type *const api_types[];
extern const size_t api_type_count;
/* One of them by its full name, "io.k8s.api.core.v1.Pod"; NULL when there is none. */
const struct type *api_type(struct str name);
