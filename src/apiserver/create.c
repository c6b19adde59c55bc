/* create.c - POST: an object comes into being.
 *
 * The namespace is read and its revision checked again by the commit, so that nothing is ever created in a namespace
 * that is going away. A generated name that is taken is drawn again. */
#include "api/resources.h"
#include "apiserver/decode.h"
#include "apiserver/managed.h"
#include "apiserver/registry.h"
#include "apiserver/server.h"
#include "apiserver/validate.h"
#include "apiserver/write.h"
#include "schema/time.h"

#define GENERATED_ATTEMPTS 8
#define SUFFIX_LEN 5
#define GENERATED_MAX 63

static int no_memory(struct err *err)
{
    return err_set(err, ERR_NO_MEMORY, "object metadata");
}

int write_check_namespace(struct write *write, struct err *err)
{
    struct request *request = write->request;
    struct json *ns = NULL;
    revision_t revision = 0;
    struct str key;
    int code;

    if (!request_storage(request)->namespaced)
        return 0;
    key = arena_printf(request->arena, STR_FMT STR_FMT, STR_ARG(RESOURCE_NAMESPACES.store_prefix), STR_ARG(write->ns));
    if ((code = write_read(write, key, &ns, NULL, &revision, err)) < 0)
        return code;
    if (!ns) {
        request->failure.name = write->ns;
        request->failure.kind = STR("namespaces");
        return err_set(err, ERR_NOT_FOUND, "namespaces \"" STR_FMT "\" not found", STR_ARG(write->ns));
    }
    if (json_member(json_member(ns, "metadata"), "deletionTimestamp") &&
        !(request->rules->flags & RULE_ANY_NAMESPACE_STATE)) {
        request->failure.cause_reason = STR("NamespaceTerminating");
        request->failure.cause_message =
            arena_printf(request->arena, "namespace " STR_FMT " is being terminated", STR_ARG(write->ns));
        request->failure.cause_field = STR("metadata.namespace");
        return fail_forbidden(request, write->name, err,
                              "unable to create new content in namespace " STR_FMT " because it is being terminated",
                              STR_ARG(write->ns));
    }
    return write_op(write, STORE_CHECK, key, STR_NULL, STORE_NO_SPLICE, revision, err);
}

static int generate_name(struct write *write, struct json *meta, struct err *err)
{
    struct request *request = write->request;
    struct str prefix = json_str(json_member(meta, "generateName"));
    char suffix[SUFFIX_LEN + 1];

    write->generated = str_empty(json_str(json_member(meta, "name"))) && !str_empty(prefix);
    if (!write->generated)
        return 0;
    apiserver_suffix(request->server, suffix, SUFFIX_LEN);
    prefix = str_first(prefix, GENERATED_MAX - SUFFIX_LEN);
    struct str name = arena_printf(request->arena, STR_FMT "%s", STR_ARG(prefix), suffix);
    if (!name.data || !json_set_str(request->arena, meta, STR("name"), name))
        return no_memory(err);
    return 0;
}

/* What only the server says: uid, creation time, generation, namespace. */
static int stamp(struct write *write, struct json *meta, struct err *err)
{
    static const struct str never[] = { STR_INIT("deletionTimestamp"), STR_INIT("deletionGracePeriodSeconds"),
                                        STR_INIT("selfLink"), STR_INIT("managedFields"), STR_INIT("generation") };
    struct request *request = write->request;
    struct arena *arena = request->arena;
    char uid[UUID_LEN + 1], now[API_TIME_LEN];
    struct str ns = json_str(json_member(meta, "namespace")), time;

    for (size_t i = 0; i < ARRAY_LEN(never); i++)
        json_remove(meta, never[i]);
    if (!request_storage(request)->namespaced)
        json_remove(meta, STR("namespace"));
    else if (!str_empty(ns) && !str_eq(ns, write->ns))
        return fail_bad_request(request, err,
                                "the namespace of the provided object does not match the namespace sent on the "
                                "request");
    else if (!json_set_str(arena, meta, STR("namespace"), write->ns))
        return no_memory(err);
    apiserver_uuid(request->server, uid);
    time = api_time_text(clock_wall(request->server->options.clock), now);
    if (!json_set_str(arena, meta, STR("uid"), arena_str(arena, str_from(uid))) ||
        !json_set_str(arena, meta, STR("creationTimestamp"), arena_str(arena, time)) ||
        (!(request->rules->flags & RULE_NO_GENERATION) && !json_set_int(arena, meta, STR("generation"), 1)))
        return no_memory(err);
    return 0;
}

static int default_object(struct write *write, struct json *object, struct err *err)
{
    struct request *request = write->request;
    const struct rules *rules = request->rules;
    int code;

    if (resource_subresource(request_storage(request), STR("status")))
        json_remove(object, STR("status"));
    if (rules->prepare_create && (code = rules->prepare_create(request, object, err)) < 0)
        return code;
    if ((code = object_default(request->arena, request_storage(request)->type, object, err)) < 0)
        return code;
    return rules->default_ ? rules->default_(request, object, err) : 0;
}

static int validate(struct write *write, struct json *object, struct err *err)
{
    struct request *request = write->request;
    struct causes *causes = &request->failure.causes;

    validate_meta(request, object, causes);
    object_check(request_storage(request)->type, object, causes);
    if (request->rules->validate_create)
        request->rules->validate_create(request, object, causes);
    return causes->count ? fail_invalid(request, write->name, err) : 0;
}

/* object: normalized, in the storage version. */
int create_plan_object(struct write *write, struct json *object, struct err *err)
{
    struct request *request = write->request;
    struct json *meta = json_ensure(request->arena, object, STR("metadata"), JSON_OBJECT);
    int code;

    if (!meta)
        return no_memory(err);
    if (!str_empty(json_str(json_member(meta, "resourceVersion"))))
        return err_set(err, ERR_BAD_REQUEST, "resourceVersion should not be set on objects to be created");
    if ((code = generate_name(write, meta, err)) < 0 || (code = stamp(write, meta, err)) < 0)
        return code;
    write->name = json_str(json_member(meta, "name"));
    if ((code = write_check_namespace(write, err)) < 0 || (code = default_object(write, object, err)) < 0 ||
        (code = write_admit(write, object, NULL, err)) < 0 || (code = validate(write, object, err)) < 0)
        return code;
    if (request->rules->transact && (code = request->rules->transact(write, object, NULL, err)) < 0)
        return code;
    if ((code = managed_update(write, object, NULL, err)) < 0 || (code = write_canonical(write, object, err)) < 0)
        return code;
    write->status = 201;
    return write_object(write, STORE_PUT, object, STORE_ABSENT, err);
}

static int create_plan(struct write *write, struct err *err)
{
    struct json *object;
    int code;

    if ((code = decode_body(write->request, &object, err)) < 0 || (code = write_to_storage(write, object, err)) < 0)
        return code;
    return create_plan_object(write, object, err);
}

/* Something with that name exists: told to the caller, unless the name was ours to choose. */
static int create_conflict(struct write *write, struct err *err)
{
    if (write->txn.result.failed_op != write->main_op)
        return 0;
    if (write->generated && write->attempts < GENERATED_ATTEMPTS)
        return 0;
    return fail_already_exists(write->request, write->name, err);
}

int create_new(struct request *request, struct write **ret_write, struct err *err)
{
    struct write *write = write_new(request, create_plan);
    int code;

    if (!write)
        return err_set(err, ERR_NO_MEMORY, "write");
    if ((code = decode_dry_run(request, err)) < 0 || (code = decode_manager(request, err)) < 0)
        return code;
    write->conflict = create_conflict;
    *ret_write = write;
    return 0;
}
