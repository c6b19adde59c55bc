/* custom_cleanup.c - a definition that is deleted takes its objects with it.
 *
 * The definition is held by a finalizer of the server's. A round deletes all objects; when none is left, the finalizer
 * goes and with it the definition. Objects that are held by finalizers of their own are waited for, by further rounds.
 * No object can slip in: a creation checks the definition's revision in its transaction (registry/custom.c). */
#include "api/resources.h"
#include "apiserver/custom_internal.h"
#include "apiserver/registry.h"
#include "apiserver/registry/rules.h"
#include "apiserver/write.h"

#define ROUND_ARENA (64u << 20)
#define AGAIN (250 * NSEC_PER_MSEC)

static void begin(struct request *request, struct apiserver *server, struct arena *arena,
                  const struct resource *resource, const struct rules *rules, uint32_t verb)
{
    request_init(request, server, arena);
    request->local = true;
    request->method = verb == VERB_UPDATE ? HTTP_PUT_ : HTTP_DELETE_;
    authn_local(STR("system:apiserver"), &request->user);
    request->resource = resource;
    request->rules = rules;
    request->rule = STR("custom-resources: clean up");
    request->term = atomic_load(&server->term);
    request->info = (struct request_info){ .is_resource = true,
                                           .verb = verb,
                                           .path = STR("/"),
                                           .group = resource->group,
                                           .version = resource->version,
                                           .plural = resource->plural };
}

static int count_left(struct apiserver *server, struct str prefix, bool *ret_left, struct err *err)
{
    AUTO(store_snapshot) snapshot = NULL;
    uint64_t count = 0;
    int code;

    if (!prefix.data)
        return err_set(err, ERR_NO_MEMORY, "custom resources");
    if ((code = store_snapshot_open(server->options.store, 0, &snapshot, err)) < 0 ||
        (code = store_count(snapshot, prefix, &count, err)) < 0)
        return code;
    *ret_left = count > 0;
    return 0;
}

int custom_delete_objects(struct apiserver *server, struct custom *custom, struct str ns, bool *ret_left,
                          struct err *err)
{
    AUTO(arena) arena = arena_new(ROUND_ARENA);
    struct request request;
    bool left = false;
    int code;

    if (!arena)
        return err_set(err, ERR_NO_MEMORY, "custom resources");
    begin(&request, server, arena, custom->storage, &custom_rules, VERB_DELETE_COLLECTION);
    request.custom = custom_ref(custom);
    request.info.ns = ns;
    code = count_left(server, request_prefix(&request, ns), &left, err);
    if (code == 0 && left && (code = delete_collection_run(&request, err)) == 0)
        code = count_left(server, request_prefix(&request, ns), &left, err);
    request_release(&request);
    if (code == 0)
        *ret_left = left;
    return code;
}

/* -- the definition itself -- */

/* Without the finalizer once it is being deleted; else as it is: its status is worked out anew. */
static int make_settled(struct write *write, const struct json *old, struct json **ret_object, struct err *err)
{
    struct json *object = json_copy(write->request->arena, old);
    struct json *finalizers = json_at(object, "metadata.finalizers");

    if (!object)
        return err_set(err, ERR_NO_MEMORY, "definition of custom resources");
    if (json_at(object, "metadata.deletionTimestamp"))
        for (uint32_t i = json_is(finalizers, JSON_ARRAY) ? finalizers->count : 0; i-- > 0;)
            if (str_is(json_str(&finalizers->items[i]), CUSTOM_FINALIZER))
                json_remove_at(finalizers, i);
    *ret_object = object;
    return 0;
}

static int settle(struct apiserver *server, struct str name, struct err *err)
{
    const struct resource *resource = &RESOURCE_APIEXTENSIONS_K8S_IO_CUSTOMRESOURCEDEFINITIONS;
    AUTO(arena) arena = arena_new(ROUND_ARENA);
    struct request request;
    struct write *write;
    int code;

    if (!arena)
        return err_set(err, ERR_NO_MEMORY, "custom resources");
    begin(&request, server, arena, resource, registry_rules(resource), VERB_UPDATE);
    request.info.name = name;
    code = update_new(&request, &write, err);
    if (code == 0) {
        write->make = make_settled;
        code = write_run(write, err);
    }
    request_release(&request);
    return code == -ERR_NOT_FOUND ? 0 : code;
}

/* True: there is more to do for it. */
static bool clean_up_one(struct apiserver *server, struct custom *custom)
{
    bool left = false;

    if (!custom->terminating)
        return settle(server, custom->name, NULL) < 0;
    if (custom_delete_objects(server, custom, STR_NULL, &left, NULL) < 0 || left)
        return true;
    return settle(server, custom->name, NULL) < 0;
}

void customs_clean_up(struct customs *customs)
{
    AUTO(arena) arena = arena_new(ROUND_ARENA);
    size_t count = 0;
    struct custom **list = arena ? customs_list(customs, arena, &count) : NULL;
    bool again = !list;

    for (size_t i = 0; i < count; i++) {
        if (list[i]->terminating || !list[i]->established)
            again |= clean_up_one(customs->server, list[i]);
        custom_unref(list[i]);
    }
    if (again)
        customs_again(customs, AGAIN);
}

int customs_empty_namespace(struct customs *customs, struct str ns, struct err *err)
{
    AUTO(arena) arena = arena_new(ROUND_ARENA);
    size_t count = 0;
    struct custom **list = arena ? customs_list(customs, arena, &count) : NULL;
    bool any = false;
    int code = list ? 0 : err_set(err, ERR_NO_MEMORY, "custom resources");

    for (size_t i = 0; i < count; i++) {
        bool left = false;

        if (code == 0 && list[i]->storage->namespaced)
            code = custom_delete_objects(customs->server, list[i], ns, &left, err);
        any |= left;
        custom_unref(list[i]);
    }
    if (code == 0 && any)
        return err_set(err, ERR_CONFLICT, "custom resources in namespace \"" STR_FMT "\" wait for their finalizers",
                       STR_ARG(ns));
    return code;
}
