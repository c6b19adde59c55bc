/* dispatch.c - which handler a request goes to, once it is known what it asks and that it may. */
#include "api/resources.h"
#include "apiserver/decode.h"
#include "apiserver/list.h"
#include "apiserver/log.h"
#include "apiserver/own.h"
#include "apiserver/proxy.h"
#include "apiserver/registry.h"
#include "apiserver/relay.h"
#include "apiserver/server.h"
#include "apiserver/watch.h"
#include "apiserver/write.h"

static bool is_subresource(const struct request *request, const char *name)
{
    return request->subresource && str_is(request->subresource->name, name);
}

/* Subresources that are views of the object itself: read and written like it. */
static bool is_plain(const struct request *request)
{
    return !request->subresource || is_subresource(request, "status") || is_subresource(request, "approval") ||
           registry_part(request);
}

static int delete_one(struct request *request, struct write **ret_write, struct err *err)
{
    struct json *options;
    int code;

    if ((code = decode_delete_options(request, &options, err)) < 0 || (code = decode_dry_run(request, err)) < 0)
        return code;
    return delete_new(request, request->info.ns, request->info.name, options, ret_write, err);
}

/* What a POST without a name to "bindings" binds is named in its body; the rest belongs to its own file. */
static int write_of(struct request *request, struct write **ret_write, struct err *err)
{
    uint32_t verb = request->info.verb;

    if ((is_subresource(request, "binding") || request->resource == &RESOURCE_BINDINGS) && verb == VERB_CREATE)
        return binding_new(request, ret_write, err);
    if (is_subresource(request, "eviction") && verb == VERB_CREATE)
        return eviction_new(request, ret_write, err);
    if (is_subresource(request, "scale") && (verb & (VERB_UPDATE | VERB_PATCH)))
        return scale_new(request, ret_write, err);
    if (is_subresource(request, "finalize") && verb == VERB_UPDATE)
        return finalize_new(request, ret_write, err);
    if (!is_plain(request))
        return 0;
    switch (verb) {
    case VERB_CREATE:
        return request->subresource || !(request_storage(request)->verbs & VERB_GET)
                   ? 0
                   : create_new(request, ret_write, err);
    case VERB_UPDATE: return update_new(request, ret_write, err);
    case VERB_PATCH: return patch_new(request, ret_write, err);
    case VERB_DELETE: return delete_one(request, ret_write, err);
    default: return 0;
    }
}

struct write *request_write(struct request *request, struct err *err, int *ret_code)
{
    struct write *write = NULL;

    *ret_code = request->resource ? write_of(request, &write, err) : 0;
    return *ret_code < 0 ? NULL : write;
}

bool request_is_quick(const struct request *request)
{
    if (!request->info.is_resource) {
        const struct route *route = route_find(request->server, request->info.path);

        return !route || route->quick;
    }
    if (request->own)
        return request->own->quick;
    return request->info.verb == VERB_GET && is_plain(request) && request->media.shape == SHAPE_OBJECT;
}

static int run_resource(struct request *request, struct err *err)
{
    struct write *write = NULL;
    int code;

    if (is_subresource(request, "log"))
        return log_open(request, &request->log, err);
    if (is_subresource(request, "exec") || is_subresource(request, "attach") || is_subresource(request, "portforward"))
        return relay_open(request, &request->relay, err);
    if (is_subresource(request, "proxy"))
        return proxy_open(request, &request->proxy, err);
    if (is_subresource(request, "scale") && request->info.verb == VERB_GET)
        return scale_get(request, err);
    if (is_subresource(request, "token"))
        return token_request_run(request, err);
    write = request_write(request, err, &code);
    if (code < 0)
        return code;
    if (write)
        return write_run(write, err);
    if (!is_plain(request))
        return fail_not_supported(request, err, arena_cstr(request->arena, request->info.subresource));
    switch (request->info.verb) {
    case VERB_GET: return get_run(request, err);
    case VERB_LIST: return list_open(request, &request->list, err);
    case VERB_WATCH: return watch_open(request, &request->watch, err);
    case VERB_DELETE_COLLECTION: return delete_collection_run(request, err);
    case VERB_CREATE: return review_run(request, err);
    default: return fail_method(request, err);
    }
}

static int run_route(struct request *request, struct err *err)
{
    const struct route *route = route_find(request->server, request->info.path);

    if (!route)
        return err_set(err, ERR_NOT_FOUND, "the server could not find the requested resource");
    return route->handle(request, err);
}

void request_run(struct request *request)
{
    struct err err = { 0 };
    int code;

    if (!request->info.is_resource)
        code = run_route(request, &err);
    else if (request->own)
        code = request->own->run(request, &err);
    else
        code = run_resource(request, &err);
    if (code < 0)
        reply_error(request, &err);
}
