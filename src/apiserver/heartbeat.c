/* heartbeat.c - POST /apis/caravel.io/v1/nodes/NAME/heartbeat: a node says that it lives, for as long as it does. Each
 * line of the body, {"applied": REVISION} or {}, is noted in memory, never in the log, and answered with a line. Only
 * the node itself (system:node:NAME) or an administrator may.
 *
 * Runs on the exchange's network loop from its first line to its last. A node without a session is looked up: to one
 * that is not there, or was deleted, the answer is 404, or a Status as its last line, and its agent registers it
 * again. */
#include "apiserver/heartbeat.h"

#include <stdlib.h>

#include "api/resources.h"
#include "apiserver/metrics.h"
#include "apiserver/server.h"
#include "codec/json.h"

#define LINE_MAX_BYTES 4096

struct heartbeat {
    struct request *request; /* in the exchange's arena: until that is ended */
    struct http_exchange *exchange;
    struct buf line; /* as far as it has come */
    bool over;
};

#define PATH_PREFIX "/apis/caravel.io/v1/nodes/"
#define PATH_SUFFIX "/heartbeat"

bool heartbeat_is_asked(const struct http_request *head)
{
    return head->method == HTTP_POST_ && str_has_prefix(head->path, STR(PATH_PREFIX)) &&
           str_has_suffix(head->path, STR(PATH_SUFFIX));
}

static bool may_beat(const struct request *request)
{
    struct str prefix = STR("system:node:"), user = request->user.name;

    if (user_in_group(&request->user, STR("system:masters")))
        return true;
    return str_has_prefix(user, prefix) && str_eq(str_skip(user, prefix.len), request->info.name);
}

static int check_node(struct request *request, struct arena *arena, struct err *err)
{
    struct str name = request->info.name;
    AUTO(store_snapshot) snapshot = NULL;
    struct node_session session;
    struct store_item item;
    int code;

    if (node_sessions_get(request->server->options.sessions, name, &session))
        return 0;
    struct str key = arena_printf(arena, STR_FMT STR_FMT, STR_ARG(RESOURCE_NODES.store_prefix), STR_ARG(name));

    if (!key.data)
        return err_set(err, ERR_NO_MEMORY, "store key");
    if (key.len > STORE_KEY_MAX)
        return fail_not_found(request, name, err);
    if ((code = store_snapshot_open(request->server->options.store, 0, &snapshot, err)) < 0)
        return code;
    code = store_get(snapshot, key, &item, err);
    return code == -ERR_NOT_FOUND ? fail_not_found(request, name, err) : code;
}

/* The arena is not for what happens each second. */
static int beat(struct heartbeat *heartbeat, struct str line, struct err *err)
{
    struct request *request = heartbeat->request;
    AUTO(arena) arena = arena_new(64 << 10);
    struct json *body = NULL;
    int code = arena ? 0 : err_set(err, ERR_NO_MEMORY, "heartbeat");

    if (code == 0 && !str_empty(str_trim(line)))
        code = json_parse(arena, line, NULL, &body, err);
    if (code == 0)
        code = check_node(request, arena, err);
    if (code < 0)
        return code;
    return node_sessions_touch(request->server->options.sessions, request->info.name,
                               (uint64_t)MAX(json_int(json_member(body, "applied"), 0), 0), err);
}

static void end(struct heartbeat *heartbeat)
{
    if (heartbeat->over)
        return;
    heartbeat->over = true;
    heartbeat->request->reply.status = 200;
    metrics_request_done(heartbeat->request);
    http_reply_end(heartbeat->exchange);
}

/* The last word of the answer: why. */
static void refuse(struct heartbeat *heartbeat, const struct err *err)
{
    AUTO_DEINIT(buf, line) = BUF_INIT;

    status_write(&line, err, &heartbeat->request->failure);
    buf_add_char(&line, '\n');
    if (buf_ok(&line))
        http_reply_write(heartbeat->exchange, &(struct http_part){ buf_str(&line), NULL }, 1);
    end(heartbeat);
}

static void hear_line(struct heartbeat *heartbeat)
{
    static const struct http_part heard = { STR_INIT("{}\n"), NULL };
    struct err err = { 0 };
    int code = buf_ok(&heartbeat->line) ? beat(heartbeat, buf_str(&heartbeat->line), &err)
                                        : err_set(&err, ERR_TOO_LARGE, "the line of a heartbeat is too long");

    buf_clear(&heartbeat->line);
    if (code < 0)
        refuse(heartbeat, &err);
    else
        http_reply_write(heartbeat->exchange, &heard, 1);
}

static void hear(void *ctx, struct str bytes, bool is_end)
{
    struct heartbeat *heartbeat = ctx;
    ssize_t at;

    while (!heartbeat->over && (at = str_chr(bytes, '\n')) >= 0) {
        buf_add_str(&heartbeat->line, str_first(bytes, (size_t)at));
        bytes = str_skip(bytes, (size_t)at + 1);
        hear_line(heartbeat);
    }
    if (heartbeat->over)
        return;
    buf_add_str(&heartbeat->line, bytes);
    if ((is_end && heartbeat->line.len) || !buf_ok(&heartbeat->line))
        hear_line(heartbeat);
    if (is_end)
        end(heartbeat);
}

static void closed(void *ctx)
{
    end(ctx);
}

static void released(void *ctx)
{
    struct heartbeat *heartbeat = ctx;

    buf_deinit(&heartbeat->line);
    free(heartbeat);
}

int heartbeat_start(struct request *request, struct http_exchange *exchange, struct err *err)
{
    struct heartbeat *heartbeat = calloc(1, sizeof *heartbeat);

    if (!heartbeat)
        return err_set(err, ERR_NO_MEMORY, "heartbeat");
    heartbeat->request = request;
    heartbeat->exchange = exchange;
    buf_init(&heartbeat->line, LINE_MAX_BYTES);
    http_reply_begin(exchange, 200, "application/json");
    http_exchange_events(exchange, &(struct http_stream_events){ .ctx = heartbeat, .data = hear, .closed = closed,
                                                                .released = released });
    return 0;
}

int heartbeat_run(struct request *request, struct err *err)
{
    if (!request->server->options.sessions)
        return err_set(err, ERR_NOT_FOUND, "the server could not find the requested resource");
    if (!may_beat(request))
        return err_set(err, ERR_FORBIDDEN,
                       "nodes \"" STR_FMT "\" is forbidden: User \"" STR_FMT "\" cannot send heartbeats of this node",
                       STR_ARG(request->info.name), STR_ARG(request->user.name));
    int code = check_node(request, request->arena, err);

    request->heartbeat = code == 0;
    return code;
}
