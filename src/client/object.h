/* object.h - one object as components see it: its text, decoded once into its view, counted, immutable, shared. */
#pragma once

#include "base/arena.h"
#include "base/blob.h"
#include "base/err.h"
#include "schema/type.h"

struct object_meta; /* generated: api/meta_v1.h */

struct object {
    atomic_uint refs;
    const struct resource *resource;
    struct blob *text;
    const void *view;               /* the generated struct of resource->type */
    const struct object_meta *meta; /* in it */
    struct str key;                 /* "ns/name" or "name" */
    uint64_t revision;
    struct arena arena;
};

/* Takes its own reference to text; if it is not yet a blob use blob_copy(). */
int object_new(const struct resource *resource, struct blob *text, struct object **ret_object, struct err *err);
struct object *object_ref(struct object *object);
struct object *object_unref(struct object *object);
DEFINE_AUTO(object, object_unref)

/* The view with its type: OBJECT_VIEW(object, pod)->spec.node_name */
#define OBJECT_VIEW(object, type) ((const struct type *)(object)->view)
