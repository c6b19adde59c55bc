/* heartbeat.c - POST /apis/caravel.io/v1/nodes/NAME/heartbeat: a node says that it lives. Noted in memory, never in the
 * log. Only the node itself (system:node:NAME) or an administrator may. The body may say {"applied": REVISION}.
 *
 * A node without a session is looked up: to one that is not there, or was deleted, the answer is 404, and its agent
 * registers it again. */
#include "api/resources.h"
#include "apiserver/server.h"
#include "codec/json.h"

#define BODY_MAX 4096

static bool may_beat(const struct request *request)
{
    struct str prefix = STR("system:node:"), user = request->user.name;

    if (user_in_group(&request->user, STR("system:masters")))
        return true;
    return str_has_prefix(user, prefix) && str_eq(str_skip(user, prefix.len), request->info.name);
}

static int check_node(struct request *request, struct err *err)
{
    struct str name = request->info.name;
    AUTO(store_snapshot) snapshot = NULL;
    struct node_session session;
    struct store_item item;
    int code;

    if (node_sessions_get(request->server->options.sessions, name, &session))
        return 0;
    struct str key = arena_printf(request->arena, STR_FMT STR_FMT, STR_ARG(RESOURCE_NODES.store_prefix), STR_ARG(name));

    if (!key.data)
        return err_set(err, ERR_NO_MEMORY, "store key");
    if (key.len > STORE_KEY_MAX)
        return fail_not_found(request, name, err);
    if ((code = store_snapshot_open(request->server->options.store, 0, &snapshot, err)) < 0)
        return code;
    code = store_get(snapshot, key, &item, err);
    return code == -ERR_NOT_FOUND ? fail_not_found(request, name, err) : code;
}

int heartbeat_run(struct request *request, struct err *err)
{
    struct node_sessions *sessions = request->server->options.sessions;
    AUTO_DEINIT(buf, buf) = BUF_INIT;
    struct json *body = NULL;
    int code;

    if (!sessions)
        return err_set(err, ERR_NOT_FOUND, "the server could not find the requested resource");
    if (!may_beat(request))
        return err_set(err, ERR_FORBIDDEN,
                       "nodes \"" STR_FMT "\" is forbidden: User \"" STR_FMT "\" cannot send heartbeats of this node",
                       STR_ARG(request->info.name), STR_ARG(request->user.name));
    if (request->body.len > BODY_MAX)
        return err_set(err, ERR_TOO_LARGE, "the body of a heartbeat is too large");
    if (!str_empty(str_trim(request->body)) && (code = json_parse(request->arena, request->body, NULL, &body, err)) < 0)
        return code;
    if ((code = check_node(request, err)) < 0)
        return code;
    code = node_sessions_touch(sessions, request->info.name,
                               (uint64_t)MAX(json_int(json_member(body, "applied"), 0), 0), err);
    if (code < 0)
        return code;
    status_write_success(&buf, request->info.name, request->info.group, request->info.plural, STR(""));
    reply_buf(request, 200, NULL, &buf, err);
    return 0;
}
