/* client_http.c - the API over HTTPS, on net/http_client.
 *
 * A watch is a streamed GET. Its bytes gather in a buffer that the reader empties line by line with next(); above
 * BACKLOG_MAX the call is paused until the reader has caught up. */
#include "base/log.h"
#include "base/sync.h"
#include "client/http_api.h"
#include "client/rest.h"

#define BACKLOG_MAX (1u << 20)
#define LINE_MAX_BYTES (8u << 20)
#define CALL_TIMEOUT (60 * NSEC_PER_SEC)
#define LIST_MAX_BYTES (1u << 30)

static const struct {
    const char *method;
    const char *content_type;
} verbs[] = {
    [CLIENT_GET] = { "GET", NULL },
    [CLIENT_LIST] = { "GET", NULL },
    [CLIENT_CREATE] = { "POST", "application/json" },
    [CLIENT_UPDATE] = { "PUT", "application/json" },
    [CLIENT_PATCH] = { "PATCH", NULL },
    [CLIENT_DELETE] = { "DELETE", "application/json" },
};

static const char *const patch_types[] = {
    [PATCH_JSON] = "application/json-patch+json",
    [PATCH_MERGE] = "application/merge-patch+json",
    [PATCH_STRATEGIC] = "application/strategic-merge-patch+json",
};

void http_api_url(struct buf *url, const struct http_api *api, const struct client_call *call, bool watch,
                      uint64_t after)
{
    char separator = '?';

    buf_add_str(url, api->server);
    rest_path(url, call->resource, call->ns, call->name, call->subresource);
    rest_param(url, &separator, "labelSelector", call->label_selector);
    rest_param(url, &separator, "fieldSelector", call->field_selector);
    if (watch)
        buf_printf(url, "%cwatch=true&allowWatchBookmarks=true&resourceVersion=%llu", separator,
                   (unsigned long long)after);
}

size_t http_api_headers(const struct http_api *api, const char *content_type, struct http_header headers[HEADERS_MAX])
{
    size_t count = 0;

    headers[count++] = (struct http_header){ STR("accept"), STR("application/json") };
    headers[count++] = (struct http_header){ STR("user-agent"), api->user_agent };
    if (content_type)
        headers[count++] = (struct http_header){ STR("content-type"), str_from(content_type) };
    if (api->authorization.len)
        headers[count++] = (struct http_header){ STR("authorization"), api->authorization };
    return count;
}

/* Why it writes. A rule with a line break in it would be no header. */
static size_t add_cause(const struct client_call *call, char trigger[24], struct http_header headers[HEADERS_MAX],
                        size_t count)
{
    if (call->verb == CLIENT_GET || call->verb == CLIENT_LIST)
        return count;
    if (call->rule.len && str_chr(call->rule, '\n') < 0 && str_chr(call->rule, '\r') < 0)
        headers[count++] = (struct http_header){ STR("caravel-rule"), call->rule };
    if (call->trigger) {
        snprintf(trigger, 24, "%llu", (unsigned long long)call->trigger);
        headers[count++] = (struct http_header){ STR("caravel-trigger"), str_from(trigger) };
    }
    return count;
}

static int send(struct http_api *api, const struct client_call *call, struct arena *arena,
                struct http_client_response *ret_response, struct err *err)
{
    const char *content_type = call->verb == CLIENT_PATCH ? patch_types[call->patch_kind]
                               : call->body.len           ? verbs[call->verb].content_type
                                                          : NULL;
    struct http_header headers[HEADERS_MAX];
    size_t header_count = http_api_headers(api, content_type, headers);
    struct buf url = BUF_INIT;
    char trigger[24];

    header_count = add_cause(call, trigger, headers, header_count);
    http_api_url(&url, api, call, false, 0);
    const struct http_client_request request = {
        .method = verbs[call->verb].method,
        .url = buf_str(&url),
        .headers = headers,
        .header_count = header_count,
        .body = call->body,
        .timeout = CALL_TIMEOUT,
        .max_body = LIST_MAX_BYTES,
    };
    int code = buf_ok(&url) ? http_client_do(api->http, &request, arena, ret_response, err)
                            : err_set(err, ERR_NO_MEMORY, "request");

    buf_deinit(&url);
    if (code == 0 && ret_response->status >= 300)
        return rest_error(arena, ret_response->status, ret_response->body, err);
    return code;
}

static int each_item(struct arena *arena, const struct json *list, client_item_fn *item, void *item_arg,
                     struct err *err)
{
    const struct json *items = json_member(list, "items");

    if (items && items->kind == JSON_NULL)
        return 0;
    if (!json_is(items, JSON_ARRAY))
        return err_set(err, ERR_INTERNAL, "the answer to a list has no items");
    for (uint32_t i = 0; i < items->count; i++) {
        struct str text = json_text(arena, &items->items[i]);
        int code = text.data ? item(item_arg, text, err) : err_set(err, ERR_NO_MEMORY, "list item");

        if (code < 0)
            return code;
    }
    return 0;
}

static int api_call(struct client *client, const struct client_call *call, client_item_fn *item, void *item_arg,
                    uint64_t *ret_revision, struct blob **ret_body, struct err *err)
{
    struct http_api *api = container_of(client, struct http_api, client);
    AUTO(arena) arena = arena_new(0);
    struct http_client_response response = { 0 };

    if (!arena)
        return err_set(err, ERR_NO_MEMORY, "request");
    int code = send(api, call, arena, &response, err);

    if (code < 0)
        return code;
    if (call->verb != CLIENT_LIST) {
        *ret_body = blob_copy(response.body);
        return *ret_body ? 0 : err_set(err, ERR_NO_MEMORY, "answer");
    }
    struct json *list;

    if ((code = json_parse(arena, response.body, NULL, &list, err)) < 0)
        return err_wrap(err, code, "list of " STR_FMT, STR_ARG(call->resource->plural));
    if (ret_revision)
        str_to_u64(json_str_at(list, "metadata.resourceVersion"), ret_revision);
    return each_item(arena, list, item, item_arg, err);
}

/* -- watch -- */

struct http_watch {
    struct client_watch watch;
    const struct resource *resource;
    struct http_call *call;
    void (*ready)(void *arg);
    void *arg;
    struct mutex lock;
    struct buf backlog; /* from `taken` on: bytes not yet handed out */
    size_t taken, searched;
    bool waiting, paused, done;
    int status, code;
    struct err err;
};

/* Locked on entry, not after: ready() is called outside of the lock. */
static void tell_ready(struct http_watch *watch)
{
    bool tell = watch->waiting;

    watch->waiting = false;
    mutex_unlock(&watch->lock);
    if (tell)
        watch->ready(watch->arg);
}

static void on_head(void *ctx, const struct http_client_response *head)
{
    struct http_watch *watch = ctx;

    LOCKED(&watch->lock);
    watch->status = head->status;
}

static bool on_data(void *ctx, struct str bytes)
{
    struct http_watch *watch = ctx;

    mutex_lock(&watch->lock);
    if (watch->backlog.len - watch->taken > BACKLOG_MAX && memchr(watch->backlog.data + watch->taken, '\n',
                                                                  watch->backlog.len - watch->taken)) {
        watch->paused = true;
        tell_ready(watch);
        return false;
    }
    if (watch->taken == watch->backlog.len) {
        buf_clear(&watch->backlog);
        watch->taken = watch->searched = 0;
    }
    buf_add_str(&watch->backlog, bytes);
    if (memchr(bytes.data, '\n', bytes.len) || !buf_ok(&watch->backlog))
        tell_ready(watch);
    else
        mutex_unlock(&watch->lock);
    return true;
}

static void on_done(void *ctx, int code, const struct err *err)
{
    struct http_watch *watch = ctx;

    mutex_lock(&watch->lock);
    watch->done = true;
    watch->code = code;
    if (code < 0 && err)
        watch->err = *err;
    tell_ready(watch);
}

/* Locked. Takes the next whole line out of the backlog as a blob; NULL: none yet (or no memory: *ret_code). */
static struct blob *take_line(struct http_watch *watch, int *ret_code, struct err *err)
{
    *ret_code = 0;
    size_t from = MAX(watch->taken, watch->searched);
    const char *end = watch->backlog.len > from
                          ? memchr(watch->backlog.data + from, '\n', watch->backlog.len - from)
                          : NULL;

    if (!end) {
        watch->searched = watch->backlog.len;
        if (!buf_ok(&watch->backlog))
            *ret_code = err_set(err, ERR_TOO_LARGE, "a watch event is larger than %u bytes", LINE_MAX_BYTES);
        return NULL;
    }
    struct str line = str_of(watch->backlog.data + watch->taken, (size_t)(end - watch->backlog.data) - watch->taken);
    struct blob *blob = blob_copy(line);

    watch->taken += line.len + 1;
    watch->searched = watch->taken;
    if (watch->taken > BACKLOG_MAX / 2 || watch->taken == watch->backlog.len) {
        buf_consume(&watch->backlog, watch->taken);
        watch->taken = watch->searched = 0;
    }
    if (!blob)
        *ret_code = err_set(err, ERR_NO_MEMORY, "watch event");
    return blob;
}

static const struct {
    struct str name;
    enum watch_kind kind;
} event_types[] = {
    { STR_INIT("ADDED"), WATCH_ADDED },
    { STR_INIT("MODIFIED"), WATCH_MODIFIED },
    { STR_INIT("DELETED"), WATCH_DELETED },
    { STR_INIT("BOOKMARK"), WATCH_BOOKMARK },
};

static int error_event(const struct json *object, struct err *err)
{
    int64_t status = json_int(json_member(object, "code"), 500);
    struct str message = json_str_at(object, "message");

    return err_set(err, err_from_status((int)status, json_str_at(object, "reason")), "" STR_FMT, STR_ARG(message));
}

static int parse_line(struct http_watch *watch, struct str line, struct watch_event *ret_event, struct err *err)
{
    AUTO(arena) arena = arena_new(0);
    struct json *json;
    int code = arena ? json_parse(arena, line, NULL, &json, err) : err_set(err, ERR_NO_MEMORY, "watch event");

    if (code < 0)
        return code;
    const struct json *object = json_member(json, "object");
    struct str type = json_str_at(json, "type"), text;

    if (str_eq(type, STR("ERROR")))
        return error_event(object, err);
    for (size_t i = 0; i < ARRAY_LEN(event_types); i++) {
        if (!str_eq(type, event_types[i].name))
            continue;
        struct watch_event event = { .kind = event_types[i].kind };

        str_to_u64(json_str_at(object, "metadata.resourceVersion"), &event.revision);
        if (event.kind != WATCH_BOOKMARK) {
            text = json_text(arena, object);
            AUTO(blob) blob = text.data ? blob_copy(text) : NULL;

            code = blob ? object_new(watch->resource, blob, &event.object, err)
                        : err_set(err, ERR_NO_MEMORY, "watch event");
        }
        if (code == 0)
            *ret_event = event;
        return code < 0 ? code : 1;
    }
    return err_set(err, ERR_INTERNAL, "unknown watch event \"" STR_FMT "\"", STR_ARG(type));
}

/* Locked. The stream has ended and all lines were taken. */
static int end_of_watch(struct http_watch *watch, struct err *err)
{
    if (watch->code < 0) {
        if (err)
            *err = watch->err;
        return watch->code;
    }
    if (watch->status != 200) {
        AUTO(arena) arena = arena_new(0);

        return arena ? rest_error(arena, watch->status, buf_str(&watch->backlog), err)
                     : err_set(err, ERR_NO_MEMORY, "watch");
    }
    return err_set(err, ERR_UNAVAILABLE, "the watch ended");
}

static int watch_next(struct client_watch *client_watch, struct watch_event *ret_event, struct err *err)
{
    struct http_watch *watch = container_of(client_watch, struct http_watch, watch);
    AUTO(blob) line = NULL;
    bool resume = false;
    int code = 0;

    mutex_lock(&watch->lock);
    if (watch->status == 200)
        line = take_line(watch, &code, err);
    if (!line && code == 0 && watch->done)
        code = end_of_watch(watch, err);
    if (!line && code == 0)
        watch->waiting = true;
    if (watch->paused && (watch->waiting || watch->backlog.len - watch->taken <= BACKLOG_MAX / 2)) {
        watch->paused = false;
        resume = true;
    }
    mutex_unlock(&watch->lock);
    if (resume)
        http_call_resume(watch->call);
    return line ? parse_line(watch, blob_str(line), ret_event, err) : code;
}

static struct client_watch *watch_free(struct client_watch *client_watch)
{
    struct http_watch *watch = container_of(client_watch, struct http_watch, watch);

    http_call_free(watch->call);
    buf_deinit(&watch->backlog);
    mutex_deinit(&watch->lock);
    free(watch);
    return NULL;
}

static int api_watch(struct client *client, const struct client_call *call, uint64_t after, void (*ready)(void *arg),
                     void *arg, struct client_watch **ret_watch, struct err *err)
{
    struct http_api *api = container_of(client, struct http_api, client);
    struct http_watch *watch = calloc(1, sizeof *watch);
    struct http_header headers[HEADERS_MAX];
    struct buf url = BUF_INIT;

    if (!watch)
        return err_set(err, ERR_NO_MEMORY, "watch");
    *watch = (struct http_watch){ .watch = { watch_next, watch_free, NULL }, .resource = call->resource, .ready = ready,
                                  .arg = arg };
    mutex_init(&watch->lock);
    buf_init(&watch->backlog, LINE_MAX_BYTES + BACKLOG_MAX);
    http_api_url(&url, api, call, true, after);
    const struct http_client_request request = {
        .method = "GET", .url = buf_str(&url), .headers = headers, .header_count = http_api_headers(api, NULL, headers),
    };
    const struct http_call_events events = { watch, on_head, on_data, on_done };
    int code = buf_ok(&url) ? http_call_start(api->http, &request, &events, &watch->call, err)
                            : err_set(err, ERR_NO_MEMORY, "watch");

    buf_deinit(&url);
    if (code < 0) {
        watch_free(&watch->watch);
        return code;
    }
    *ret_watch = &watch->watch;
    return 0;
}

static struct client *api_free(struct client *client)
{
    struct http_api *api = container_of(client, struct http_api, client);

    http_client_free(api->http);
    arena_deinit(&api->arena);
    free(api);
    return NULL;
}

int client_http_new(const struct client_config *config, struct client **ret_client, struct err *err)
{
    static const struct client_ops ops = { api_call, api_watch, http_api_talk, api_free };
    struct http_api *api = calloc(1, sizeof *api);
    const struct http_client_options options = { .ca_pem = config->ca_pem, .cert_pem = config->cert_pem,
                                                 .key_pem = config->key_pem, .insecure = config->insecure };

    if (!api)
        return err_set(err, ERR_NO_MEMORY, "client");
    api->client.ops = &ops;
    arena_init(&api->arena, 0);
    api->server = arena_str(&api->arena, config->server);
    while (str_has_suffix(api->server, STR("/")))
        api->server = str_chop(api->server, 1);
    api->user_agent = arena_str(&api->arena, config->user_agent.len ? config->user_agent : STR("caravel"));
    if (config->token.len)
        api->authorization = arena_printf(&api->arena, "Bearer " STR_FMT, STR_ARG(config->token));
    int code = arena_failed(&api->arena) ? err_set(err, ERR_NO_MEMORY, "client")
                                         : http_client_new(&options, &api->http, err);

    if (code < 0) {
        api_free(&api->client);
        return code;
    }
    *ret_client = &api->client;
    return 0;
}
