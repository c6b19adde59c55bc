/* update.c - PUT and PATCH: an object changes.
 *
 * Both make a new tree from the old one (make()) and then share everything: what a client cannot change is taken from
 * the old state, defaults and checks run as for a creation, equal content is not written, and an object that waits only
 * for its finalizers goes when the last one does. Writes to "status" take the status (and metadata) of the new tree and
 * all else of the old one; other writes the reverse. */
#include "apiserver/convert.h"
#include "apiserver/decode.h"
#include "apiserver/managed.h"
#include "apiserver/registry.h"
#include "apiserver/server.h"
#include "apiserver/validate.h"
#include "apiserver/write.h"
#include "codec/patch.h"
#include "schema/object.h"
#include "schema/structural.h"

static int no_memory(struct err *err)
{
    return err_set(err, ERR_NO_MEMORY, "object");
}

/* Copies the member of old, or removes it when old has none. */
static int keep(struct arena *arena, struct json *object, const struct json *old, const char *name, struct err *err)
{
    const struct json *member = json_get(old, str_from(name));
    struct json *copy;

    if (!member) {
        json_remove(object, str_from(name));
        return 0;
    }
    copy = json_copy(arena, member);
    return copy && json_set(arena, object, str_from(name), copy) ? 0 : no_memory(err);
}

static bool is_status(const struct request *request)
{
    return request->subresource &&
           (str_is(request->subresource->name, "status") || str_is(request->subresource->name, "approval"));
}

static int check_identity(struct write *write, struct json *meta, const struct json *old_meta, struct err *err)
{
    struct request *request = write->request;
    struct str name = json_str(json_member(meta, "name")), ns = json_str(json_member(meta, "namespace"));
    struct str uid = json_str(json_member(meta, "uid")), old_uid = json_str(json_member(old_meta, "uid"));

    if (!str_empty(name) && !str_eq(name, write->name))
        return fail_bad_request(request, err,
                                "the name of the object (" STR_FMT ") does not match the name on the URL (" STR_FMT ")",
                                STR_ARG(name), STR_ARG(write->name));
    if (request->resource->namespaced && !str_empty(ns) && !str_eq(ns, write->ns))
        return fail_bad_request(request, err,
                                "the namespace of the provided object does not match the namespace sent on the "
                                "request");
    if (!str_empty(uid) && !str_eq(uid, old_uid))
        return fail_conflict(request, write->name, err,
                             "Precondition failed: UID in precondition: " STR_FMT ", UID in object meta: " STR_FMT,
                             STR_ARG(uid), STR_ARG(old_uid));
    return 0;
}

static int check_version(struct write *write, const struct json *meta, revision_t revision, struct err *err)
{
    struct request *request = write->request;
    struct str version = json_str(json_member(meta, "resourceVersion"));
    uint64_t wanted;

    write->strict = false;
    if (str_empty(version) || str_is(version, "0")) {
        if (!(request->rules->flags & RULE_NEED_VERSION))
            return 0;
        causes_add(&request->failure.causes, CAUSE_INVALID, STR("metadata.resourceVersion"),
                   "Invalid value: 0x0: must be specified for an update");
        return fail_invalid(request, write->name, err);
    }
    if (!str_to_u64(version, &wanted)) {
        add_invalid_str(&request->failure.causes, STR("metadata.resourceVersion"), version,
                        "must be the resourceVersion of an object that was read");
        return fail_invalid(request, write->name, err);
    }
    write->strict = true;
    return wanted == revision ? 0 : fail_modified(request, write->name, err);
}

/* Metadata that no client changes. */
static int keep_meta(struct write *write, struct json *object, const struct json *old, struct err *err)
{
    static const char *const kept[] = { "name",
                                        "namespace",
                                        "generateName",
                                        "uid",
                                        "creationTimestamp",
                                        "deletionTimestamp",
                                        "deletionGracePeriodSeconds",
                                        "generation",
                                        "selfLink" };
    struct arena *arena = write->request->arena;
    const struct json *old_meta = json_member(old, "metadata");
    struct json *meta;
    int code;

    for (size_t i = 0; i < ARRAY_LEN(kept); i++)
        if ((code = keep(arena, json_member(object, "metadata"), old_meta, kept[i], err)) < 0)
            return code;
    meta = json_member(object, "metadata");
    if (!is_status(write->request))
        return 0;
    if ((code = keep(arena, meta, old_meta, "ownerReferences", err)) < 0)
        return code;
    return write->request->rules->flags & RULE_STATUS_LABELS ? 0 : keep(arena, meta, old_meta, "labels", err);
}

/* Which half of the new tree counts. */
static int keep_other_half(struct write *write, struct json *object, const struct json *old, struct err *err)
{
    struct request *request = write->request;
    struct arena *arena = request->arena;
    int code;

    if (!is_status(request)) {
        if (!resource_subresource(request_storage(request), STR("status")))
            return 0;
        return keep(arena, object, old, "status", err);
    }
    for (uint32_t i = object->count; i-- > 0;) {
        struct str key = object->members[i].key;

        if (!str_is(key, "status") && !str_is(key, "metadata") && !json_get(old, key))
            json_remove(object, key);
    }
    for (uint32_t i = 0; i < old->count; i++) {
        struct str key = old->members[i].key;
        const char *name;

        if (str_is(key, "status") || str_is(key, "metadata"))
            continue;
        name = arena_cstr(arena, key);
        if (!name || (code = keep(arena, object, old, name, err)) < 0)
            return name ? code : no_memory(err);
    }
    return 0;
}

/* metadata.generation counts changes of what is wanted: of everything but metadata and status. */
static int bump_generation(struct write *write, struct json *object, const struct json *old, struct err *err)
{
    struct request *request = write->request;
    const struct type *type = request_storage(request)->type;
    int64_t generation = json_int(json_at(old, "metadata.generation"), 0);
    /* Of a custom resource without the subresource, status is a member like others. */
    bool status_apart = !resource_is_custom(request->resource) ||
                        resource_subresource(request_storage(request), STR("status"));
    bool changed = false;

    if ((request->rules->flags & RULE_NO_GENERATION) || is_status(request))
        return 0;
    for (uint32_t i = 0; i < type->field_count && !changed; i++) {
        static const struct json null = { .kind = JSON_NULL };
        struct str name = type->fields[i].name;
        const struct json *a = json_get(object, name), *b = json_get(old, name);

        if (str_is(name, "metadata") || str_is(name, "apiVersion") || str_is(name, "kind") ||
            (str_is(name, "status") && status_apart))
            continue;
        changed = !json_equal(a ? a : &null, b ? b : &null);
    }
    if (changed && !json_set_int(request->arena, json_member(object, "metadata"), STR("generation"), generation + 1))
        return no_memory(err);
    return 0;
}

static int validate(struct write *write, struct json *object, const struct json *old, struct err *err)
{
    struct request *request = write->request;
    const struct type *type = request_storage(request)->type;
    const struct rules *rules = request->rules;
    struct causes *causes = &request->failure.causes;

    validate_meta_update(request, object, old, causes);
    if (type->schema)
        schema_check_update(type->schema, object, old, causes);
    else if (!is_status(request)) /* all but the status is as it was, and that is not looked at */
        object_check(type, object, causes);
    object_check_update(type, object, old, causes);
    if (is_status(request)) {
        if (rules->validate_status)
            rules->validate_status(request, object, old, causes);
    } else if (registry_part(request)) {
        registry_part(request)->validate(request, object, old, causes);
    } else if (rules->validate_update) {
        rules->validate_update(request, object, old, causes);
    }
    return causes->count ? fail_invalid(request, write->name, err) : 0;
}

static int prepare(struct write *write, struct json *object, const struct json *old, struct err *err)
{
    struct request *request = write->request;
    const struct rules *rules = request->rules;
    const struct rule_part *part = registry_part(request);
    int code;

    if ((code = keep_meta(write, object, old, err)) < 0 || (code = keep_other_half(write, object, old, err)) < 0)
        return code;
    if (part && (code = part->take(request, object, old, err)) < 0)
        return code;
    if (is_status(request) && rules->prepare_status && (code = rules->prepare_status(request, object, old, err)) < 0)
        return code;
    if (!is_status(request) && !part && rules->prepare_update && (code = rules->prepare_update(request, object, old, err)) < 0)
        return code;
    if ((code = object_default(request->arena, request_storage(request)->type, object, err)) < 0 ||
        (rules->default_ && (code = rules->default_(request, object, err)) < 0) ||
        (code = write_admit(write, object, old, err)) < 0 || (code = write_canonical(write, object, err)) < 0 ||
        (code = bump_generation(write, object, old, err)) < 0 || (code = validate(write, object, old, err)) < 0)
        return code;
    return managed_update(write, object, old, err);
}

/* An object marked for deletion whose last finalizer went. */
static bool is_released(const struct write *write, const struct json *object, const struct json *old)
{
    const struct rules *rules = write->request->rules;
    const struct json *meta = json_member(object, "metadata"), *old_meta = json_member(old, "metadata");
    const struct json *finalizers = json_member(meta, "finalizers");

    if (json_is(finalizers, JSON_ARRAY) && finalizers->count)
        return false;
    if (!json_member(old_meta, "deletionTimestamp") ||
        json_int(json_member(old_meta, "deletionGracePeriodSeconds"), 0) != 0)
        return false;
    return !rules->held || !rules->held(object);
}

/* Server-side apply: the body is what its manager wants of the object, in JSON or YAML. */
static int make_from_config(struct write *write, const struct json *old, struct json **ret_object, struct err *err)
{
    struct request *request = write->request;
    struct json *config, *meta;
    int code;

    if ((code = decode_body(request, &config, err)) < 0 || (code = write_to_storage(write, config, err)) < 0)
        return code;
    meta = json_ensure(request->arena, config, STR("metadata"), JSON_OBJECT);
    if (!meta)
        return no_memory(err);
    if (json_member(meta, "managedFields"))
        return fail_bad_request(request, err, "metadata.managedFields must be nil");
    if (!json_member(meta, "name") && !json_set_str(request->arena, meta, STR("name"), write->name))
        return no_memory(err);
    return managed_apply(write, old, config, param_bool(&request->params, STR("force")), ret_object, err);
}

static int create_instead(struct write *write, struct err *err)
{
    struct request *request = write->request;
    struct json *object, *meta;
    int code;

    if (request->info.verb == VERB_PATCH && request->patch_kind == BODY_APPLY && !request->subresource) {
        if ((code = make_from_config(write, NULL, &object, err)) < 0)
            return code;
        struct str uid = json_str(json_at(object, "metadata.uid"));

        if (!str_empty(uid))
            return fail_conflict(request, write->name, err,
                                 "uid mismatch: the provided object specified uid " STR_FMT
                                 ", and no existing object was found", STR_ARG(uid));
        return create_plan_object(write, object, err);
    }
    if (request->info.verb != VERB_UPDATE || request->subresource || !(request->rules->flags & RULE_CREATE_ON_UPDATE))
        return fail_not_found(request, write->name, err);
    if ((code = decode_body(request, &object, err)) < 0 || (code = write_to_storage(write, object, err)) < 0)
        return code;
    meta = json_ensure(request->arena, object, STR("metadata"), JSON_OBJECT);
    if (!meta || (!json_member(meta, "name") && !json_set_str(request->arena, meta, STR("name"), write->name)))
        return no_memory(err);
    if (!str_eq(json_str(json_member(meta, "name")), write->name))
        return check_identity(write, meta, NULL, err);
    if (!str_empty(json_str(json_member(meta, "uid"))) || !str_empty(json_str(json_member(meta, "resourceVersion"))))
        return fail_not_found(request, write->name, err);
    return create_plan_object(write, object, err);
}

int update_plan(struct write *write, struct err *err)
{
    struct request *request = write->request;
    struct json *old = NULL, *object, *meta;
    revision_t revision = 0;
    struct str text;
    int code;

    if ((code = write_read(write, request_key(request, write->ns, write->name), &old, &text, &revision, err)) < 0)
        return code;
    if (!old)
        return create_instead(write, err);
    if ((code = convert_stored(request->arena, request_storage(request), old, err)) < 0)
        return code;
    if ((code = write->make(write, old, &object, err)) < 0)
        return code;
    meta = json_ensure(request->arena, object, STR("metadata"), JSON_OBJECT);
    if (!meta)
        return no_memory(err);
    if ((code = check_identity(write, meta, json_member(old, "metadata"), err)) < 0 ||
        (code = check_version(write, meta, revision, err)) < 0 || (code = prepare(write, object, old, err)) < 0)
        return code;
    write->shown = revision;
    write->status = 200;
    bool released = is_released(write, object, old);
    if (request->rules->transact && (code = request->rules->transact(write, released ? NULL : object, old, err)) < 0)
        return code;
    if ((code = write_canonical(write, object, err)) < 0 ||
        (code = write_object(write, released ? STORE_DELETE : STORE_PUT, object, revision, err)) < 0)
        return code;
    if (!released && splice_equal(&write->text, text)) {
        reply_object_text(request, 200, text);
        return WRITE_DONE;
    }
    return 0;
}

/* Somebody else was faster: a patch or a blind update is made again, one that named its version is refused. */
static int update_conflict(struct write *write, struct err *err)
{
    if (!write->strict || write->request->info.verb == VERB_PATCH || write->txn.result.failed_op != write->main_op)
        return 0;
    return fail_modified(write->request, write->name, err);
}

static int make_from_body(struct write *write, const struct json *old, struct json **ret_object, struct err *err)
{
    int code;

    (void)old;
    if ((code = decode_body(write->request, ret_object, err)) < 0)
        return code;
    return write_to_storage(write, *ret_object, err);
}

int update_new(struct request *request, struct write **ret_write, struct err *err)
{
    struct write *write = write_new(request, update_plan);
    int code;

    if (!write)
        return err_set(err, ERR_NO_MEMORY, "write");
    if ((code = decode_dry_run(request, err)) < 0 || (code = decode_manager(request, err)) < 0)
        return code;
    write->make = make_from_body;
    write->conflict = update_conflict;
    *ret_write = write;
    return 0;
}

static int apply_patch(struct request *request, struct json **object, struct json *patch, struct err *err)
{
    switch (request->patch_kind) {
    case BODY_JSON_PATCH: return json_patch_apply(request->arena, object, patch, err);
    case BODY_MERGE_PATCH: return json_merge_patch(request->arena, object, patch, err);
    default: return object_strategic_merge(request->arena, request->resource->type, object, patch, err);
    }
}

/* The patch works on the version that the client sees. */
static int make_from_patch(struct write *write, const struct json *old, struct json **ret_object, struct err *err)
{
    struct request *request = write->request;
    struct json *object = json_copy(request->arena, old), *patch;
    int code;

    if (!object)
        return no_memory(err);
    if ((code = convert_object(request->arena, request_storage(request), request->resource, object, err)) < 0 ||
        (code = decode_json(request, &patch, err)) < 0)
        return code;
    if (request->patch_kind != BODY_JSON_PATCH && patch->kind != JSON_OBJECT)
        return fail_bad_request(request, err, "the patch is not a JSON object");
    if ((code = apply_patch(request, &object, patch, err)) < 0 ||
        (code = decode_tree(request, request->resource->type, object, err)) < 0)
        return code;
    *ret_object = object;
    return write_to_storage(write, object, err);
}

int patch_new(struct request *request, struct write **ret_write, struct err *err)
{
    struct write *write = write_new(request, update_plan);
    int code;

    if (!write)
        return err_set(err, ERR_NO_MEMORY, "write");
    if ((code = decode_dry_run(request, err)) < 0)
        return code;
    if (!request->local && (code = negotiate_body(request->content_type, true, &request->patch_kind, err)) < 0)
        return code;
    if (request->patch_kind == BODY_STRATEGIC_PATCH && resource_is_custom(request->resource))
        return err_set(err, ERR_UNSUPPORTED_MEDIA_TYPE,
                       "the body of the request was in an unknown format - accepted media types include: "
                       "application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml");
    if ((code = decode_manager(request, err)) < 0)
        return code;
    write->make = request->patch_kind == BODY_APPLY ? make_from_config : make_from_patch;
    write->conflict = update_conflict;
    write->max_attempts = 6;
    *ret_write = write;
    return 0;
}
