/* openapi_internal.h - the parts of an OpenAPI document: openapi.c (document), openapi_schema.c (components),
 * openapi_path.c (paths). */
#pragma once

#include "base/map.h"
#include "base/vec.h"
#include "codec/json.h"
#include "schema/openapi.h"

#define META_PACKAGE "io.k8s.apimachinery.pkg.apis.meta.v1."

/* One entry of components/schemas. */
struct component {
    struct str name;
    struct str text;                 /* the schema as it is: a scalar with a name (Quantity) */
    const struct type *type;         /* else a struct */
    const struct resource *resource; /* that type is the object of, or, without type, whose list is made up */
};

struct openapi {
    struct arena arena;
    struct json_writer w;
    struct str group, version;
    struct map seen; /* names of components */
    VEC(struct component) components;
    const struct type *owner; /* whose fields are being written */
    bool failed;              /* no memory */
};

/* Queues what will be referred to; the name to refer to. */
struct str openapi_use_type(struct openapi *o, const struct type *type);
struct str openapi_use_meta(struct openapi *o, struct str name); /* "Status", "DeleteOptions" */
struct str openapi_use_resource(struct openapi *o, const struct resource *resource, bool list);
struct str openapi_use_kind(struct openapi *o, struct str group, struct str version, struct str kind);

/* {"$ref": ...}; nothing inside when name is unset. */
void openapi_write_ref(struct openapi *o, struct str name);
void openapi_write_gvk(struct openapi *o, struct str group, struct str version, struct str kind);
void openapi_write_components(struct openapi *o);
void openapi_write_paths(struct openapi *o, const struct resource *const *resources, size_t count);
