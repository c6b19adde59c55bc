/* local.c - the API from inside the process: struct client over the same pipeline.
 *
 * A call becomes a request without URL, headers and negotiation, and runs on the caller's thread to its end. Gets and
 * lists are of the newest state, whoever wrote it; a write is planned with what this server knows, and looks again when
 * that was not the newest. A watch
 * hands out decoded objects; an event's object is decoded by the first watcher that needs it and then shared by all
 * (store_event.decoded). */
#include "apiserver/custom.h"
#include "apiserver/list.h"
#include "apiserver/newest.h"
#include "apiserver/registry.h"
#include "apiserver/registry/rules.h"
#include "apiserver/server.h"
#include "apiserver/watch.h"
#include "client/metadata.h"
#include "codec/json.h"

#define CALL_ARENA (64u << 20)
#define CHUNK_BYTES (1u << 20)

struct local_client {
    struct client client;
    struct apiserver *server;
    struct user user;
    revision_t term;
    char name[];
};

/* Kinds that are known at run time alone are looked up for each call; their definition is counted by the request. */
static int find_resource(struct request *request, const struct client_call *call, uint32_t verb, struct err *err)
{
    bool stored = verb == VERB_LIST || verb == VERB_WATCH;

    request->resource = call->resource;
    if (!resource_is_metadata_only(call->resource)) {
        request->rules = registry_rules(call->resource);
        return 0;
    }
    request->rules = &custom_rules;
    request->resource = custom_find_any(request->server->customs, call->resource->group, call->resource->plural,
                                        stored, &request->custom);
    return request->resource ? 0
                             : err_set(err, ERR_NOT_FOUND, "the server could not find the requested resource");
}

static int local_request(struct local_client *local, const struct client_call *call, uint32_t verb, struct arena *arena,
                         struct request *request, struct err *err)
{
    static const enum http_method methods[] = {
        [CLIENT_GET] = HTTP_GET_,    [CLIENT_LIST] = HTTP_GET_,    [CLIENT_CREATE] = HTTP_POST_,
        [CLIENT_UPDATE] = HTTP_PUT_, [CLIENT_PATCH] = HTTP_PATCH_, [CLIENT_DELETE] = HTTP_DELETE_
    };
    static const enum body_kind patches[] = {
        [PATCH_JSON] = BODY_JSON_PATCH, [PATCH_MERGE] = BODY_MERGE_PATCH, [PATCH_STRATEGIC] = BODY_STRATEGIC_PATCH
    };

    int code;

    request_init(request, local->server, arena);
    request->local = true;
    request->method = methods[call->verb];
    request->user = local->user;
    if ((code = find_resource(request, call, verb, err)) < 0)
        return code;
    request->body = call->body;
    request->patch_kind = patches[call->patch_kind];
    request->rule = call->rule;
    request->trigger = call->trigger;
    request->term = local->term;
    request->info = (struct request_info){
        .is_resource = true,
        .verb = verb,
        .path = STR("/"),
        .group = request->resource->group,
        .version = request->resource->version,
        .plural = request->resource->plural,
        .ns = call->ns,
        .name = call->name,
        .subresource = call->subresource,
    };
    if (!str_empty(call->subresource)) {
        request->subresource = resource_subresource(request->resource, call->subresource);
        if (!request->subresource)
            return err_set(err, ERR_NOT_FOUND, "the server could not find the requested resource");
    }
    return request_check(request, err);
}

/* The reply's text as a blob of the caller's; an error status as an error. */
static int take_reply(struct request *request, struct blob **ret_body, struct err *err)
{
    struct reply *reply = &request->reply;

    reply_finish(request);
    if (reply->status >= 400) {
        struct json *status;
        struct str reason = STR(""), message = reply->text;

        if (json_parse(request->arena, reply->text, NULL, &status, NULL) == 0) {
            reason = json_str(json_member(status, "reason"));
            message = json_str(json_member(status, "message"));
        }
        return err_set(err, err_from_status(reply->status, reason), STR_FMT, STR_ARG(message));
    }
    if (!ret_body)
        return 0;
    *ret_body = reply->blob ? TAKE(reply->blob) : blob_copy(reply->text);
    return *ret_body ? 0 : err_set(err, ERR_NO_MEMORY, "answer");
}

struct item_sink {
    client_item_fn *item;
    void *arg;
};

static int sink_item(void *ctx, struct str key, struct str text, struct err *err)
{
    struct item_sink *sink = ctx;

    (void)key;
    return sink->item ? sink->item(sink->arg, text, err) : 0;
}

static int local_list(struct request *request, const struct client_call *call, struct item_sink *items,
                      uint64_t *ret_revision, struct err *err)
{
    struct list_sink sink = { .ctx = items, .item = sink_item };
    struct selection selection;
    struct listing *list;
    int code;

    if (request->resource != request_storage(request))
        return err_set(err, ERR_NOT_SUPPORTED, "lists inside the process are of the stored version");
    if ((code = selection_parse(request, call->label_selector, call->field_selector, &selection, err)) < 0 ||
        (code = list_open_with(request, &selection, 0, &list, err)) < 0)
        return code;
    while ((code = list_next(list, &sink, CHUNK_BYTES, err)) > 0)
        ;
    if (code == 0 && ret_revision)
        *ret_revision = list->revision;
    list_close(list);
    return code;
}

static int local_call(struct client *client, const struct client_call *call, client_item_fn *item, void *item_arg,
                      uint64_t *ret_revision, struct blob **ret_body, struct err *err)
{
    static const uint32_t verbs[] = {
        [CLIENT_GET] = VERB_GET,       [CLIENT_LIST] = VERB_LIST,   [CLIENT_CREATE] = VERB_CREATE,
        [CLIENT_UPDATE] = VERB_UPDATE, [CLIENT_PATCH] = VERB_PATCH, [CLIENT_DELETE] = VERB_DELETE
    };
    struct local_client *local = container_of(client, struct local_client, client);
    AUTO(arena) arena = arena_new(CALL_ARENA);
    struct item_sink items = { item, item_arg };
    struct blob *body = NULL;
    struct request request;
    uint32_t verb = verbs[call->verb];
    int code;

    if (!arena)
        return err_set(err, ERR_NO_MEMORY, "call");
    if (call->verb == CLIENT_DELETE && str_empty(call->name))
        verb = VERB_DELETE_COLLECTION;
    if ((code = local_request(local, call, verb, arena, &request, err)) < 0) {
        request_release(&request);
        return code;
    }
    if (verb & (VERB_GET | VERB_LIST | VERB_DELETE_COLLECTION) && (code = newest_wait(local->server, err)) < 0) {
        request_release(&request);
        return code;
    }
    if (verb == VERB_DELETE_COLLECTION) {
        struct http_param params[] = { { STR("labelSelector"), call->label_selector },
                                       { STR("fieldSelector"), call->field_selector } };

        request.params = (struct http_params){ params, ARRAY_LEN(params) };
        request_run(&request);
        code = take_reply(&request, &body, err);
    } else if (call->verb == CLIENT_LIST) {
        code = local_list(&request, call, &items, ret_revision, err);
    } else {
        request_run(&request);
        code = request.log ? err_set(err, ERR_NOT_SUPPORTED, "logs are not read inside the process")
                           : take_reply(&request, &body, err);
    }
    request_release(&request);
    if (code < 0)
        return code;
    if (call->verb != CLIENT_LIST && ret_revision)
        *ret_revision = store_revision(local->server->options.store);
    if (ret_body)
        *ret_body = TAKE(body);
    blob_unref(body);
    return 0;
}

/* -- watch -- */

struct local_watch {
    struct client_watch base;
    const struct resource *resource; /* of the objects handed out */
    struct arena arena;
    struct request request;
    struct watch *watch;
};

static void free_decoded(void *decoded)
{
    object_unref(decoded);
}

/* The event's object, decoded once for all. */
static int shared_object(const struct resource *resource, struct store_event *event, struct object **ret_object,
                         struct err *err)
{
    void *present = atomic_load_explicit(&event->decoded, memory_order_acquire);
    struct object *object;
    int code;

    if (present) {
        *ret_object = object_ref(present);
        return 0;
    }
    if ((code = object_new(resource, event->value, &object, err)) < 0)
        return code;
    __atomic_store_n(&event->decoded_free, free_decoded, __ATOMIC_RELAXED);
    if (atomic_compare_exchange_strong(&event->decoded, &present, object)) {
        *ret_object = object_ref(object);
        return 0;
    }
    object_unref(object);
    *ret_object = object_ref(present);
    return 0;
}

static int left_object(struct local_watch *local, const struct watched *watched, struct object **ret_object,
                       struct err *err)
{
    AUTO(blob) copy = NULL;
    struct blob *blob = NULL;
    struct str text;
    int code;

    if ((code = watch_text(local->watch, watched, &text, &blob, err)) < 0)
        return code;
    copy = blob_copy(text);
    if (!copy)
        return err_set(err, ERR_NO_MEMORY, "watch event");
    return object_new(local->resource, copy, ret_object, err);
}

static int local_watch_next(struct client_watch *base, struct watch_event *ret_event, struct err *err)
{
    struct local_watch *local = container_of(base, struct local_watch, base);
    struct watched watched;
    struct object *object;
    int code = watch_next(local->watch, &watched, err);

    if (code <= 0)
        return code;
    code = watched.left ? left_object(local, &watched, &object, err)
                        : shared_object(local->resource, watched.event, &object, err);
    if (code == 0) {
        *ret_event =
            (struct watch_event){ .kind = watched.kind, .object = object, .revision = watched.event->revision };
        code = 1;
    }
    store_event_unref(watched.event);
    return code;
}

static uint64_t local_watch_seen(struct client_watch *base)
{
    return store_watch_seen(container_of(base, struct local_watch, base)->watch->source);
}

static struct client_watch *local_watch_free(struct client_watch *base)
{
    struct local_watch *local;

    if (!base)
        return NULL;
    local = container_of(base, struct local_watch, base);
    watch_close(local->watch);
    request_release(&local->request);
    arena_deinit(&local->arena);
    free(local);
    return NULL;
}

static int local_watch_open(struct local_watch *local, const struct client_call *call, uint64_t after,
                            void (*ready)(void *arg), void *arg, struct err *err)
{
    struct selection selection;
    struct str labels = arena_str(&local->arena, call->label_selector);
    struct str fields = arena_str(&local->arena, call->field_selector);
    int code;

    if (local->request.resource != request_storage(&local->request))
        return err_set(err, ERR_NOT_SUPPORTED, "watches inside the process are of the stored version");
    if ((code = selection_parse(&local->request, labels, fields, &selection, err)) < 0 ||
        (code = watch_open_with(&local->request, &selection, after, &local->watch, err)) < 0)
        return code;
    return watch_start(local->watch, ready, arg, err);
}

static int local_watch(struct client *client, const struct client_call *call, uint64_t after, void (*ready)(void *arg),
                       void *arg, struct client_watch **ret_watch, struct err *err)
{
    struct local_client *from = container_of(client, struct local_client, client);
    struct local_watch *local = calloc(1, sizeof *local);
    int code;

    if (!local)
        return err_set(err, ERR_NO_MEMORY, "watch");
    arena_init(&local->arena, CALL_ARENA);
    local->resource = call->resource;
    local->base =
        (struct client_watch){ .next = local_watch_next, .free = local_watch_free, .seen = local_watch_seen };
    code = local_request(from, call, VERB_WATCH, &local->arena, &local->request, err);
    if (code == 0)
        code = local_watch_open(local, call, after, ready, arg, err);
    if (code < 0) {
        local_watch_free(&local->base);
        return code;
    }
    *ret_watch = &local->base;
    return 0;
}

static struct client *local_free(struct client *client)
{
    if (client)
        free(container_of(client, struct local_client, client));
    return NULL;
}

int apiserver_local_client(struct apiserver *server, struct str user, struct client **ret_client, struct err *err)
{
    return apiserver_term_client(server, user, 0, ret_client, err);
}

int apiserver_term_client(struct apiserver *server, struct str user, revision_t term, struct client **ret_client,
                          struct err *err)
{
    static const struct client_ops ops = { .call = local_call, .watch = local_watch, .free = local_free };
    struct local_client *local = calloc(1, sizeof *local + user.len + 1);

    if (!local)
        return err_set(err, ERR_NO_MEMORY, "client");
    local->client.ops = &ops;
    local->server = server;
    local->term = term;
    memcpy(local->name, user.data, user.len);
    authn_local(str_of(local->name, user.len), &local->user);
    *ret_client = &local->client;
    return 0;
}
