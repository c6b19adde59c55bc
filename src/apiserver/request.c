/* request.c - the first half of the pipeline: from the wire to "this user may do this to that resource". */
#include "apiserver/request.h"

#include "apiserver/asof.h"
#include "apiserver/cause.h"
#include "apiserver/custom.h"
#include "apiserver/own.h"
#include "apiserver/registry/rules.h"
#include "apiserver/server.h"

void request_init(struct request *request, struct apiserver *server, struct arena *arena)
{
    *request = (struct request){ .server = server, .arena = arena };
    causes_init(&request->failure.causes, arena);
}

void request_release(struct request *request)
{
    request->reply.blob = blob_unref(request->reply.blob);
    request->snapshot = store_snapshot_close(request->snapshot);
    request->custom = custom_unref(request->custom);
}

struct str request_param(const struct request *request, const char *name)
{
    return http_param(&request->params, str_from(name));
}

struct str request_prefix(struct request *request, struct str ns)
{
    const struct resource *storage = request_storage(request);

    if (!storage->namespaced || str_empty(ns))
        return storage->store_prefix;
    return arena_concat(request->arena, storage->store_prefix, ns, STR("/"));
}

struct str request_key(struct request *request, struct str ns, struct str name)
{
    const struct resource *storage = request_storage(request);

    if (!storage->namespaced)
        return arena_concat(request->arena, storage->store_prefix, name);
    return arena_concat(request->arena, storage->store_prefix, ns, STR("/"), name);
}

struct store_cause request_cause(const struct request *request)
{
    return (struct store_cause){
        .actor = request->user.name,
        .rule = request->rule.data ? request->rule : str_from(verb_name(request->info.verb)),
        .trigger = request->trigger,
        .term = request->term,
    };
}

void request_warn(struct request *request, const char *fmt, ...)
{
    struct reply *reply = &request->reply;
    va_list args;

    if (request->local || reply->warning_count == REQUEST_WARNINGS_MAX)
        return;
    va_start(args, fmt);
    reply->warnings[reply->warning_count] = arena_vprintf(request->arena, fmt, args);
    va_end(args);
    if (reply->warnings[reply->warning_count].data)
        reply->warning_count++;
}

/* 401 before anything is told about what exists. */
static int check_user(struct request *request, struct err *err)
{
    const struct route *route;

    if (!request->user.anonymous)
        return 0;
    route = request->info.is_resource ? NULL : route_find(request->server, request->info.path);
    if (route && route->anonymous)
        return 0;
    return err_set(err, ERR_UNAUTHORIZED, "Unauthorized");
}

static int forbidden(struct request *request, struct str reason, struct err *err)
{
    const struct request_info *info = &request->info;
    struct str scope = STR("at the cluster scope"), what;

    if (!info->is_resource)
        return err_set(err, ERR_FORBIDDEN, "forbidden: User \"" STR_FMT "\" cannot %s path \"" STR_FMT "\"",
                       STR_ARG(request->user.name), http_method_name(request->method), STR_ARG(info->path));
    if (!str_empty(info->ns))
        scope = arena_printf(request->arena, "in the namespace \"" STR_FMT "\"", STR_ARG(info->ns));
    what = str_empty(info->subresource)
               ? info->plural
               : arena_printf(request->arena, STR_FMT "/" STR_FMT, STR_ARG(info->plural), STR_ARG(info->subresource));
    return fail_forbidden(request, info->name, err,
                          "User \"" STR_FMT "\" cannot %s resource \"" STR_FMT "\" in API group \"" STR_FMT
                          "\" " STR_FMT "%s" STR_FMT,
                          STR_ARG(request->user.name), verb_name(info->verb), STR_ARG(what), STR_ARG(info->group),
                          STR_ARG(scope), str_empty(reason) ? "" : ": ", STR_ARG(reason));
}

static int authorize(struct request *request, struct err *err)
{
    struct apiserver *server = request->server;

    for (size_t i = 0; i < server->authorizers.count; i++) {
        const struct authorizer *authorizer = &server->authorizers.items[i];
        struct str reason = STR("");

        switch (authorizer->decide(authorizer->ctx, request, &reason)) {
        case AUTHZ_ALLOW: request->allowed = true; return 0;
        case AUTHZ_DENY: return forbidden(request, reason, err);
        default: break;
        }
    }
    return 0;
}

static int unknown_resource(struct err *err)
{
    return err_set(err, ERR_NOT_FOUND, "the server could not find the requested resource");
}

/* The resource and subresource of the path; checks that the path has the right shape for it. */
static int find_resource(struct request *request, struct err *err)
{
    struct request_info *info = &request->info;
    const struct resource_entry *entry;
    const struct resource *resource;

    if ((request->own = own_find(info)))
        return 0;
    entry = apiserver_resource(request->server, info->group, info->version, info->plural);
    resource = entry
                   ? entry->resource
                   : custom_find(request->server->customs, info->group, info->version, info->plural, &request->custom);
    if (!resource)
        return unknown_resource(err);
    request->resource = resource;
    request->rules = entry ? entry->rules : &custom_rules;
    if (!str_empty(resource->deprecation))
        request_warn(request, STR_FMT, STR_ARG(resource->deprecation));
    if (!resource->namespaced && !str_empty(info->ns))
        return unknown_resource(err);
    if (resource->namespaced && str_empty(info->ns) && info->name.data)
        return unknown_resource(err);
    if (str_empty(info->subresource))
        return 0;
    request->subresource = resource_subresource(resource, info->subresource);
    return request->subresource ? 0 : unknown_resource(err);
}

static int check_own(struct request *request, struct err *err)
{
    if (!(request->own->verbs & request->info.verb))
        return fail_method(request, err);
    if (request->own->restricted && !request->allowed && !user_in_group(&request->user, STR("system:masters")))
        return forbidden(request, STR("this is for administrators"), err);
    return 0;
}

static int check_verb(struct request *request, struct err *err)
{
    const struct request_info *info = &request->info;
    uint32_t allowed;

    if (request->own)
        return check_own(request, err);
    allowed = request->subresource ? request->subresource->verbs : request->resource->verbs;
    if (request->subresource && (allowed & VERB_CONNECT))
        return 0;
    if (!(allowed & info->verb))
        return fail_method(request, err);
    /* POST belongs to the collection and has a namespace; a name in it is only for subresources. */
    if (info->verb == VERB_CREATE && !request->subresource &&
        (info->name.data || (request->resource->namespaced && str_empty(info->ns))))
        return fail_method(request, err);
    if ((info->verb & (VERB_UPDATE | VERB_PATCH)) && str_empty(info->name))
        return fail_method(request, err);
    return 0;
}

int request_check(struct request *request, struct err *err)
{
    int code;

    if ((code = check_user(request, err)) < 0 || (code = authorize(request, err)) < 0)
        return code;
    if (!request->info.is_resource || request->resource)
        return request->resource ? check_verb(request, err) : 0;
    if ((code = find_resource(request, err)) < 0)
        return code;
    return check_verb(request, err);
}

/* Bodies are taken as they are: unpacking them would let a small request become a large one. */
static int check_encoding(const struct request *request, struct err *err)
{
    struct str encoding = http_request_header(request->http, STR("content-encoding"));

    if (str_empty(request->body) || str_empty(encoding) || str_eq_nocase(encoding, STR("identity")))
        return 0;
    return err_set(err, ERR_UNSUPPORTED_MEDIA_TYPE, "the body of the request is encoded; no encoding is supported");
}

/* A log is plain text whatever is asked for; what lies behind a proxy has its own ways. */
static bool answers_for_itself(const struct request *request)
{
    return request->subresource &&
           (str_is(request->subresource->name, "log") || str_is(request->subresource->name, "proxy"));
}

/* Whether JSON is for the eyes of a person: as the query says, else by the program that asks. */
static bool wants_indents(const struct request *request)
{
    static const char *const yes[] = { "1", "t", "T", "true", "TRUE", "True" };
    static const char *const programs[] = { "curl", "Wget", "Mozilla/5.0" };
    struct str pretty = request_param(request, "pretty");

    for (size_t i = 0; i < ARRAY_LEN(yes); i++)
        if (str_is(pretty, yes[i]))
            return true;
    for (size_t i = 0; str_empty(pretty) && i < ARRAY_LEN(programs); i++)
        if (str_has_prefix(request->user_agent, str_from(programs[i])))
            return true;
    return false;
}

int request_route(struct request *request, const struct http_request *http, struct err *err)
{
    int code;

    request->http = http;
    request->method = http->method;
    request->body = http->body;
    request->content_type = http_request_header(http, STR("content-type"));
    request->accept = http_request_header(http, STR("accept"));
    request->user_agent = http_request_header(http, STR("user-agent"));
    request->media.status_format = negotiate_status(request->accept);
    if ((code = authn_user(request, http, &request->user, err)) < 0)
        return code;
    if (!http_params_parse(request->arena, http->query, &request->params))
        return err_set(err, ERR_BAD_REQUEST, "the query of the request is malformed");
    request->media.pretty = wants_indents(request); /* also of what is refused below */
    if ((code = path_parse(request->arena, http->method, http->path, &request->params, &request->info, err)) < 0)
        return code;
    if ((code = request_check(request, err)) < 0 || (code = check_encoding(request, err)) < 0 ||
        (code = asof_read(request, err)) < 0)
        return code;
    cause_read(request);
    if (request->info.is_resource && !answers_for_itself(request)) {
        bool custom = request->resource && resource_is_custom(request->resource);
        const struct media_offer offer = {
            .shapes = request->resource != NULL,
            .protobuf = !custom || (request->subresource && str_is(request->subresource->name, "scale")),
            .watch = request->info.verb == VERB_WATCH,
        };

        if ((code = negotiate_accept(request->accept, &offer, &request->media, err)) < 0)
            return code;
    }
    request->media.pretty |= wants_indents(request);
    return 0;
}
