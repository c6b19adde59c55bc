/* token_request.c - serviceaccounts/token: a token for an account, perhaps bound to a pod, a secret or a node.
 *
 * A pod's usual token (3607 seconds, for this server) is good for a year, as clients that were written before tokens
 * expired do not read it again; it is still bound to its pod, and the time after which it should not be used is told. */
#include "api/resources.h"
#include "apiserver/decode.h"
#include "apiserver/registry/place.h"
#include "apiserver/server.h"
#include "apiserver/token.h"
#include "apiserver/write.h"
#include "schema/time.h"

#define TYPE "io.k8s.api.authentication.v1.TokenRequest"
#define SECONDS_MIN 600
#define SECONDS_MAX (1LL << 32)
#define POD_SECONDS 3607
#define POD_SECONDS_REAL (365 * 24 * 3600)

static int no_memory(struct err *err)
{
    return err_set(err, ERR_NO_MEMORY, "token");
}

static int fail_request(struct request *request, struct str name, struct err *err)
{
    request->failure.name = name;
    request->failure.group = STR("authentication.k8s.io");
    request->failure.kind = STR("TokenRequest");
    return err_set(err, ERR_INVALID, "TokenRequest.authentication.k8s.io \"" STR_FMT "\" is invalid: " STR_FMT,
                   STR_ARG(name), STR_ARG(causes_text(&request->failure.causes)));
}

/* What the body says of itself fits the path. */
static int check_names(struct request *request, const struct json *body, struct err *err)
{
    struct place object = place_object(&request->failure.causes, body), meta = place_member(&object, "metadata");
    struct place name = place_member(&meta, "name"), ns = place_member(&meta, "namespace");

    if (!place_empty(&name) && !str_eq(place_str(&name), request->info.name))
        say_invalid(&name, "must match the service account name if specified");
    else if (!place_empty(&ns) && !str_eq(place_str(&ns), request->info.ns))
        say_invalid(&ns, "must match the service account namespace if specified");
    return request->failure.causes.count ? fail_request(request, request->info.name, err) : 0;
}

static int check_body(struct request *request, const struct json *body, struct err *err)
{
    struct place object = place_object(&request->failure.causes, body), spec = place_member(&object, "spec");
    struct place seconds = place_member(&spec, "expirationSeconds");
    int64_t wanted = json_int(seconds.json, 0);

    if (wanted < SECONDS_MIN)
        say_invalid(&seconds, "may not specify a duration less than 10 minutes");
    if (wanted > SECONDS_MAX)
        say_invalid(&seconds, "may not specify a duration larger than 2^32 seconds");
    return request->failure.causes.count ? fail_request(request, STR(""), err) : 0;
}

/* *ret_object NULL: it is not there. */
static int read_object(struct request *request, const struct resource *resource, struct str name,
                       struct json **ret_object, struct err *err)
{
    struct write reader = { .request = request };
    revision_t revision;
    struct str key =
        resource->namespaced
            ? arena_concat(request->arena, resource->store_prefix, request->info.ns, STR("/"), name)
            : arena_concat(request->arena, resource->store_prefix, name);

    if (!key.data)
        return no_memory(err);
    if (key.len > STORE_KEY_MAX) {
        *ret_object = NULL;
        return 0;
    }
    return write_read(&reader, key, ret_object, NULL, &revision, err);
}

static int not_found(struct request *request, const struct resource *resource, struct str name, struct err *err)
{
    request->failure.name = name;
    request->failure.kind = resource->plural;
    return err_set(err, ERR_NOT_FOUND, STR_FMT " \"" STR_FMT "\" not found", STR_ARG(resource->plural), STR_ARG(name));
}

/* A pod tells where it runs; a node that is gone is told by its name alone. */
static int bind_pod(struct request *request, const struct json *pod, struct token_claims *claims, struct err *err)
{
    struct str node_name = json_str_at(pod, "spec.nodeName");
    struct json *node;
    int code;

    if (!str_eq(json_str_at(pod, "spec.serviceAccountName"), request->info.name))
        return fail_bad_request(request, err,
                                "cannot bind token for serviceaccount \"" STR_FMT
                                "\" to pod running with different serviceaccount name.",
                                STR_ARG(request->info.name));
    if (str_empty(node_name))
        return 0;
    if ((code = read_object(request, &RESOURCE_NODES, node_name, &node, err)) < 0)
        return code;
    claims->node = (struct token_object){ node_name, json_str_at(node, "metadata.uid") };
    return 0;
}

static int bind_object(struct request *request, const struct json *ref, struct token_claims *claims, struct err *err)
{
    const struct {
        const char *kind;
        const struct resource *resource;
        struct token_object *bound;
    } rows[] = {
        { "Pod", &RESOURCE_PODS, &claims->pod },
        { "Secret", &RESOURCE_SECRETS, &claims->secret },
        { "Node", &RESOURCE_NODES, &claims->node },
    };
    struct str kind = json_str(json_member(ref, "kind")), name = json_str(json_member(ref, "name"));
    struct str version = json_str(json_member(ref, "apiVersion")), uid = json_str(json_member(ref, "uid")), own;
    struct json *object = NULL;
    size_t i = 0;
    int code;

    while (i < ARRAY_LEN(rows) && !str_is(kind, rows[i].kind))
        i++;
    if (i == ARRAY_LEN(rows) || str_chr(version, '/') >= 0) {
        ssize_t slash = str_chr(version, '/');

        return fail_bad_request(request, err, "cannot bind token to object of type " STR_FMT "/" STR_FMT ", Kind=" STR_FMT,
                                STR_ARG(slash < 0 ? STR("") : str_first(version, (size_t)slash)),
                                STR_ARG(str_skip(version, (size_t)(slash + 1))), STR_ARG(kind));
    }
    if ((code = read_object(request, rows[i].resource, name, &object, err)) < 0)
        return code;
    if (!object)
        return not_found(request, rows[i].resource, name, err);
    if (i == 0 && (code = bind_pod(request, object, claims, err)) < 0)
        return code;
    own = json_str_at(object, "metadata.uid");
    *rows[i].bound = (struct token_object){ name, own };
    if (str_empty(uid) || str_eq(uid, own))
        return 0;
    request->failure.name = name;
    request->failure.kind = kind;
    return err_set(err, ERR_CONFLICT,
                   "Operation cannot be fulfilled on " STR_FMT " \"" STR_FMT
                   "\": the UID in the bound object reference (" STR_FMT
                   ") does not match the UID in record. The object might have been deleted and then recreated",
                   STR_ARG(kind), STR_ARG(name), STR_ARG(uid));
}

/* Names, defaults and the time, before anything is checked. */
static int complete(struct request *request, struct json *body, nsec_t now, struct err *err)
{
    struct arena *arena = request->arena;
    struct json *meta = json_ensure(arena, body, STR("metadata"), JSON_OBJECT);
    struct json *spec = json_ensure(arena, body, STR("spec"), JSON_OBJECT);
    struct json *audiences = spec ? json_ensure(arena, spec, STR("audiences"), JSON_ARRAY) : NULL;
    char time[API_TIME_LEN];

    if (!meta || !audiences || !json_set_str(arena, meta, STR("name"), request->info.name) ||
        !json_set_str(arena, meta, STR("namespace"), request->info.ns) ||
        !json_set_str(arena, meta, STR("creationTimestamp"), arena_str(arena, api_time_text(now, time))))
        return no_memory(err);
    if (!audiences->count &&
        !json_append(arena, audiences, json_new_str(arena, tokens_issuer(request->server->tokens))))
        return no_memory(err);
    return 0;
}

static bool is_for_this_server(const struct request *request, const struct json *audiences)
{
    return audiences->count == 1 && str_eq(json_str(&audiences->items[0]), tokens_issuer(request->server->tokens));
}

static void set_times(struct request *request, int64_t seconds, nsec_t now, struct token_claims *claims)
{
    claims->issued = now / NSEC_PER_SEC;
    if (claims->pod.name.data && seconds == POD_SECONDS && is_for_this_server(request, claims->audiences)) {
        claims->warn_after = claims->issued + seconds;
        seconds = POD_SECONDS_REAL;
    }
    claims->expires = claims->issued + seconds;
}

static int answer(struct request *request, struct json *body, struct str token, nsec_t expires, struct err *err)
{
    struct arena *arena = request->arena;
    struct json *status;
    char time[API_TIME_LEN];
    struct str text;

    json_remove(body, STR("status"));
    status = json_ensure(arena, body, STR("status"), JSON_OBJECT);
    if (!status || !json_set_str(arena, status, STR("token"), token) ||
        !json_set_str(arena, status, STR("expirationTimestamp"), arena_str(arena, api_time_text(expires, time))))
        return no_memory(err);
    text = json_text(arena, body);
    if (!text.data)
        return no_memory(err);
    reply_text(request, 201, NULL, text);
    return 0;
}

static int make(struct request *request, struct json *body, const struct json *account, nsec_t now, struct err *err)
{
    const struct json *spec = json_member(body, "spec"), *ref = json_member(spec, "boundObjectRef");
    int64_t seconds = json_int(json_member(spec, "expirationSeconds"), 0);
    char id[UUID_LEN + 1];
    struct token_claims claims = { .ns = request->info.ns,
                                   .account = { request->info.name, json_str_at(account, "metadata.uid") },
                                   .audiences = json_member(spec, "audiences") };
    struct str token;
    int code;

    if (json_is(ref, JSON_OBJECT) && (code = bind_object(request, ref, &claims, err)) < 0)
        return code;
    apiserver_uuid(request->server, id);
    claims.id = str_from(id);
    set_times(request, seconds, now, &claims);
    if ((code = tokens_sign(request->server->tokens, request->arena, &claims, &token, err)) < 0)
        return code;
    return answer(request, body, token, now + seconds * NSEC_PER_SEC, err);
}

int token_request_run(struct request *request, struct err *err)
{
    const struct type *type = type_named(TYPE);
    nsec_t now = clock_wall(request->server->options.clock);
    struct json *body, *account = NULL;
    int code;

    if (!type || !request->server->tokens)
        return fail_not_supported(request, err, "serviceaccounts/token without a key for tokens");
    if ((code = decode_dry_run(request, err)) < 0 || (code = decode_body_as(request, type, &body, err)) < 0 ||
        (code = check_names(request, body, err)) < 0 ||
        (code = read_object(request, &RESOURCE_SERVICEACCOUNTS, request->info.name, &account, err)) < 0)
        return code;
    if (!account)
        return fail_not_found(request, request->info.name, err);
    if ((code = complete(request, body, now, err)) < 0 ||
        (code = object_default(request->arena, type, body, err)) < 0 || (code = check_body(request, body, err)) < 0)
        return code;
    return make(request, body, account, now, err);
}
