#include "client/object.h"

#include "api/meta_v1.h"
#include "codec/json.h"
#include "schema/view.h"

static struct str object_key(struct object *object)
{
    const struct object_meta *meta = object->meta;

    if (!object->resource->namespaced)
        return meta->name;
    return arena_printf(&object->arena, STR_FMT "/" STR_FMT, STR_ARG(meta->namespace), STR_ARG(meta->name));
}

/* Who manages which field is no component's business, and larger than all the rest. */
static void leave_out_managers(struct json *json)
{
    struct json *managers = json_member(json_member(json, "metadata"), "managedFields");

    if (managers)
        *managers = (struct json){ .kind = JSON_NULL };
}

/* The tree is only the way from text to view: of the object's memory it would be the larger part. */
static int decode(struct object *object, struct err *err)
{
    const struct field *metadata = type_field(object->resource->type, STR("metadata"));
    AUTO(arena) scratch = arena_new(0);
    struct json *json;
    void *view;
    int code;

    if (!scratch)
        return err_set(err, ERR_NO_MEMORY, "decoding a %.*s", STR_ARG(object->resource->kind));
    code = json_parse(scratch, blob_str(object->text), NULL, &json, err);
    if (code == 0) {
        leave_out_managers(json);
        code = view_decode_from(&object->arena, object->resource->type, json, blob_str(object->text), &view, err);
    }
    if (code < 0)
        return err_wrap(err, code, "decoding a %.*s", STR_ARG(object->resource->kind));
    INVARIANT(metadata);
    object->view = view;
    object->meta = (const struct object_meta *)((const char *)view + metadata->offset);
    object->key = object_key(object);
    if (!object->key.data)
        return err_set(err, ERR_NO_MEMORY, "decoding a %.*s", STR_ARG(object->resource->kind));
    str_to_u64(object->meta->resource_version, &object->revision);
    return 0;
}

int object_new(const struct resource *resource, struct blob *text, struct object **ret_object, struct err *err)
{
    AUTO(object) object = calloc(1, sizeof *object);

    if (!object)
        return err_set(err, ERR_NO_MEMORY, "object");
    atomic_init(&object->refs, 1);
    arena_init(&object->arena, 0);
    object->arena.step = blob_str(text).len * 7 / 8; /* what views come to */
    object->resource = resource;
    object->text = blob_ref(text);
    int code = decode(object, err);

    if (code < 0)
        return code;
    *ret_object = TAKE(object);
    return 0;
}

struct object *object_ref(struct object *object)
{
    if (object)
        atomic_fetch_add_explicit(&object->refs, 1, memory_order_relaxed);
    return object;
}

struct object *object_unref(struct object *object)
{
    if (object && atomic_fetch_sub_explicit(&object->refs, 1, memory_order_acq_rel) == 1) {
        blob_unref(object->text);
        arena_deinit(&object->arena);
        free(object);
    }
    return NULL;
}
