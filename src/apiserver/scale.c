/* scale.c - autoscaling/v1 Scale over deployments, replica sets, stateful sets and replication controllers: a small
 * view of spec.replicas, read and written like an object. */
#include "apiserver/custom.h"
#include "apiserver/decode.h"
#include "apiserver/server.h"
#include "apiserver/validate.h"
#include "apiserver/write.h"
#include "codec/patch.h"
#include "schema/object.h"
#include "schema/selector.h"

#define SCALE_TYPE "io.k8s.api.autoscaling.v1.Scale"

static int no_memory(struct err *err)
{
    return err_set(err, ERR_NO_MEMORY, "scale");
}

static const struct scale_paths usual_paths = { "spec.replicas", "status.replicas", NULL };

static const struct scale_paths *paths_of(const struct request *request)
{
    return request->resource->scale ? request->resource->scale : &usual_paths;
}

static int selector_of(struct request *request, const struct json *object, struct str *ret_text, struct err *err)
{
    const struct json *json = json_at(object, "spec.selector");
    const struct selector *selector = NULL;
    AUTO_DEINIT(buf, text) = BUF_INIT;
    int code;

    *ret_text = STR("");
    if (request->resource->scale) {
        struct str kept = request->resource->scale->selector ? json_str_at(object, request->resource->scale->selector)
                                                             : STR_NULL;

        *ret_text = kept.data ? kept : STR("");
        return 0;
    }
    if (json_is(json, JSON_OBJECT) && str_is(request_storage(request)->plural, "replicationcontrollers")) {
        for (uint32_t i = 0; i < json->count; i++)
            buf_printf(&text, "%s" STR_FMT "=" STR_FMT, i ? "," : "", STR_ARG(json->members[i].key),
                       STR_ARG(json_str(&json->members[i].value)));
        *ret_text = arena_str(request->arena, buf_str(&text));
        return ret_text->data ? 0 : no_memory(err);
    }
    if (!json)
        return 0;
    if ((code = selector_from_json(request->arena, json, &selector, err)) < 0)
        return code;
    if (selector)
        *ret_text = selector_text(request->arena, selector);
    return 0;
}

static int write_scale(struct request *request, const struct json *object, struct buf *buf, struct err *err)
{
    static const struct str kept[] = { STR_INIT("name"), STR_INIT("namespace"), STR_INIT("uid"),
                                       STR_INIT("resourceVersion"), STR_INIT("creationTimestamp") };
    const struct json *meta = json_member(object, "metadata");
    struct json_writer w = json_writer(buf);
    struct str selector;
    int code;

    if ((code = selector_of(request, object, &selector, err)) < 0)
        return code;
    jw_begin_object(&w);
    jw_field_str(&w, "kind", STR("Scale"));
    jw_field_str(&w, "apiVersion", STR("autoscaling/v1"));
    jw_key(&w, STR("metadata"));
    jw_begin_object(&w);
    for (size_t i = 0; i < ARRAY_LEN(kept); i++) {
        const struct json *member = json_get(meta, kept[i]);

        if (member) {
            jw_key(&w, kept[i]);
            jw_json(&w, member);
        }
    }
    jw_end_object(&w);
    jw_key(&w, STR("spec"));
    jw_begin_object(&w);
    jw_field_int(&w, "replicas", json_int(json_at(object, paths_of(request)->spec_replicas), 0));
    jw_end_object(&w);
    jw_key(&w, STR("status"));
    jw_begin_object(&w);
    jw_field_int(&w, "replicas", json_int(json_at(object, paths_of(request)->status_replicas), 0));
    if (!str_empty(selector))
        jw_field_str(&w, "selector", selector);
    jw_end_object(&w);
    jw_end_object(&w);
    return 0;
}

static int scale_text(struct request *request, const struct json *object, struct str *ret_text, struct err *err)
{
    AUTO_DEINIT(buf, buf) = BUF_INIT;
    int code = write_scale(request, object, &buf, err);

    if (code < 0)
        return code;
    *ret_text = buf_ok(&buf) ? arena_str(request->arena, buf_str(&buf)) : STR_NULL;
    return ret_text->data ? 0 : no_memory(err);
}

int scale_get(struct request *request, struct err *err)
{
    struct write reader = { .request = request };
    struct json *object = NULL;
    revision_t revision;
    struct str text;
    int code =
        write_read(&reader, request_key(request, request->info.ns, request->info.name), &object, NULL, &revision, err);

    if (code < 0)
        return code;
    if (!object)
        return fail_not_found(request, request->info.name, err);
    if ((code = scale_text(request, object, &text, err)) == 0)
        reply_text(request, 200, NULL, text);
    return code;
}

/* The Scale that the client wants: its body, or its patch applied to the present one. */
static int wanted_scale(struct request *request, const struct json *old, struct json **ret_scale, struct err *err)
{
    const struct type *type = type_named(SCALE_TYPE);
    struct json *scale, *patch;
    struct str text;
    int code;

    if (request->info.verb == VERB_UPDATE)
        return decode_body_as(request, type, ret_scale, err);
    if ((code = scale_text(request, old, &text, err)) < 0 ||
        (code = json_parse(request->arena, text, NULL, &scale, err)) < 0 ||
        (code = decode_json(request, &patch, err)) < 0)
        return code;
    if (request->patch_kind == BODY_JSON_PATCH)
        code = json_patch_apply(request->arena, &scale, patch, err);
    else if (patch->kind != JSON_OBJECT)
        code = fail_bad_request(request, err, "the patch is not a JSON object");
    else
        code = json_merge_patch(request->arena, &scale, patch, err);
    if (code < 0 || (code = decode_tree(request, type, scale, err)) < 0)
        return code;
    *ret_scale = scale;
    return 0;
}

static bool set_replicas(struct request *request, struct json *object, int64_t replicas)
{
    struct str rest = str_from(paths_of(request)->spec_replicas), name;
    struct json *parent = object;

    while (parent && str_split(&rest, '.', &name)) {
        if (!rest.data)
            return json_set_int(request->arena, parent, name, replicas);
        parent = json_ensure(request->arena, parent, name, JSON_OBJECT);
    }
    return false;
}

/* The object with its replicas (and resourceVersion) from the Scale. */
static int make_scaled(struct write *write, const struct json *old, struct json **ret_object, struct err *err)
{
    struct request *request = write->request;
    struct json *scale, *object = json_copy(request->arena, old);
    struct str version;
    int64_t replicas;
    int code;

    if (!object)
        return no_memory(err);
    if ((code = wanted_scale(request, old, &scale, err)) < 0)
        return code;
    replicas = json_int(json_at(scale, "spec.replicas"), 0);
    if (replicas < 0) {
        add_invalid_int(&request->failure.causes, STR("spec.replicas"), replicas, "must be greater than or equal to 0");
        return fail_invalid(request, write->name, err);
    }
    version = json_str_at(scale, "metadata.resourceVersion");
    if (!set_replicas(request, object, replicas) ||
        !json_set_str(request->arena, json_member(object, "metadata"), STR("resourceVersion"),
                      version.data ? version : STR("")))
        return no_memory(err);
    *ret_object = object;
    return 0;
}

static int scale_plan(struct write *write, struct err *err)
{
    struct request *request = write->request;
    struct json *object;
    struct str text;
    int code = update_plan(write, err);

    if (code != WRITE_DONE)
        return code;
    if ((code = json_parse(request->arena, request->reply.text, NULL, &object, err)) < 0 ||
        (code = scale_text(request, object, &text, err)) < 0)
        return code;
    reply_text(request, 200, NULL, text);
    return WRITE_DONE;
}

static int scale_finish(struct write *write, struct err *err)
{
    struct json *object;
    struct str text;
    int code = decode_stored(write->request, blob_str(write->txn.result.values[write->main_op]), &object, err);

    if (code < 0 || (code = scale_text(write->request, object, &text, err)) < 0)
        return code;
    reply_text(write->request, 200, NULL, text);
    return 0;
}

int scale_new(struct request *request, struct write **ret_write, struct err *err)
{
    struct write *write;
    int code;

    if (!type_named(SCALE_TYPE))
        return fail_not_supported(request, err, "scale");
    code = request->info.verb == VERB_PATCH ? patch_new(request, &write, err) : update_new(request, &write, err);
    if (code < 0)
        return code;
    write->plan = scale_plan;
    write->make = make_scaled;
    write->finish = scale_finish;
    *ret_write = write;
    return 0;
}

/* -- namespaces/finalize: only spec.finalizers is taken from the body -- */

static int make_finalized(struct write *write, const struct json *old, struct json **ret_object, struct err *err)
{
    struct request *request = write->request;
    struct json *body, *object = json_copy(request->arena, old), *spec, *finalizers;
    int code;

    if (!object)
        return no_memory(err);
    if ((code = decode_body(request, &body, err)) < 0)
        return code;
    spec = json_ensure(request->arena, object, STR("spec"), JSON_OBJECT);
    finalizers = json_at(body, "spec.finalizers");
    if (!spec ||
        !json_set_str(request->arena, json_member(object, "metadata"), STR("resourceVersion"),
                      json_str_at(body, "metadata.resourceVersion").data ? json_str_at(body, "metadata.resourceVersion")
                                                                         : STR("")))
        return no_memory(err);
    json_remove(spec, STR("finalizers"));
    if (json_is(finalizers, JSON_ARRAY) && finalizers->count &&
        !json_set(request->arena, spec, STR("finalizers"), finalizers))
        return no_memory(err);
    *ret_object = object;
    return 0;
}

/* Those who finalize a namespace that goes do not know of custom objects: they are deleted here, and what is held by
 * finalizers of its own holds the namespace. */
static int empty_namespace(struct request *request, struct err *err)
{
    struct write reader = { .request = request };
    struct json *ns = NULL;
    revision_t revision;
    int code = write_read(&reader, request_key(request, STR_NULL, request->info.name), &ns, NULL, &revision, err);

    if (code < 0 || request->dry_run || !json_at(ns, "metadata.deletionTimestamp"))
        return code;
    return customs_empty_namespace(request->server->customs, request->info.name, err);
}

int finalize_new(struct request *request, struct write **ret_write, struct err *err)
{
    int code = update_new(request, ret_write, err);

    if (code == 0 && str_is(request->resource->plural, "namespaces"))
        code = empty_namespace(request, err);
    if (code == 0)
        (*ret_write)->make = make_finalized;
    return code;
}
