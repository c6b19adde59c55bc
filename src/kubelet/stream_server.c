/* stream_server.c - each session has a thread of a pool of its own for as long as it lasts, and polls there. */
#include "kubelet/stream_server.h"

#include "kubelet/dial.h"
#include "kubelet/port_forward.h"
#include "kubelet/remote_command.h"
#include "kubelet/stream_wire.h"

#define SESSIONS_MAX 512
#define ARGS_MAX 4096

enum kind { KIND_EXEC, KIND_ATTACH, KIND_PORT_FORWARD, KIND_DIAL };

struct stream_server {
    struct kubelet *kubelet;
    struct executor *threads;
    atomic_int sessions;
};

/* In the exchange's arena until the upgrade ends. */
struct session {
    struct stream_server *server;
    struct http_exchange *exchange;
    struct wire *wire;
    enum kind kind;
    struct str ns, pod, container; /* or the parts of a dial */
    struct remote_command command;
};

static const struct kind_path {
    struct str prefix;
    enum kind kind;
    size_t parts;
} kinds[] = {
    { STR_INIT("/exec/"), KIND_EXEC, 3 },
    { STR_INIT("/attach/"), KIND_ATTACH, 3 },
    { STR_INIT("/portForward/"), KIND_PORT_FORWARD, 2 },
    { STR_INIT("/dial/"), KIND_DIAL, 3 }, /* http or https, address, port */
};

static const struct kind_path *kind_of(struct str path)
{
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
        if (str_has_prefix(path, kinds[i].prefix))
            return &kinds[i];
    return NULL;
}

bool stream_server_has(struct str path)
{
    return kind_of(path) != NULL;
}

/* -- what is asked for -- */

static bool parse_path(struct arena *arena, struct str path, struct session *session)
{
    const struct kind_path *kind = kind_of(path);
    struct str *parts[] = { &session->ns, &session->pod, &session->container }, part;

    path = str_skip(path, kind->prefix.len);
    session->kind = kind->kind;
    for (size_t i = 0; i < kind->parts; i++)
        if (!str_split(&path, '/', &part) || !http_unescape(arena, part, false, parts[i]) || !parts[i]->len)
            return false;
    return !path.data;
}

static int parse_query(struct arena *arena, struct str query, struct remote_command *command, struct err *err)
{
    struct str *args;
    struct http_params params;

    if (!http_params_parse(arena, query, &params))
        return err_set(err, ERR_BAD_REQUEST, "malformed query");
    args = arena_array_of(arena, params.count + 1, struct str);
    if (!args)
        return err_set(err, ERR_NO_MEMORY, "command");
    for (size_t i = 0; i < params.count; i++)
        if (str_is(params.items[i].name, "command"))
            args[command->args.count++] = params.items[i].value;
    command->args.items = args;
    command->input = str_is(http_param(&params, STR("input")), "1");
    command->output = str_is(http_param(&params, STR("output")), "1");
    command->errors = str_is(http_param(&params, STR("error")), "1");
    command->terminal = str_is(http_param(&params, STR("tty")), "1");
    if (command->args.count > ARGS_MAX)
        return err_set(err, ERR_BAD_REQUEST, "too many arguments");
    return 0;
}

static int check(const struct session *session, struct err *err)
{
    const struct remote_command *command = &session->command;

    if (session->kind == KIND_PORT_FORWARD || session->kind == KIND_DIAL)
        return 0;
    if (session->kind == KIND_EXEC && command->args.count == 0)
        return err_set(err, ERR_BAD_REQUEST, "you must specify at least 1 command");
    if (!command->input && !command->output && !command->errors)
        return err_set(err, ERR_BAD_REQUEST, "you must specify at least 1 of stdin, stdout, stderr");
    return 0;
}

/* -- the pod -- */

static int find_pod(const struct session *session, struct arena *arena, struct str *ret_uid, struct err *err)
{
    struct kubelet *kubelet = session->server->kubelet;
    struct str key = arena_printf(arena, STR_FMT "/" STR_FMT, STR_ARG(session->ns), STR_ARG(session->pod));
    AUTO(object) object = key.data ? informer_get(kubelet->pods, key) : NULL;

    if (!object)
        return err_set(err, ERR_NOT_FOUND, "pod does not exist");
    *ret_uid = arena_str(arena, object->meta->uid);
    return ret_uid->data ? 0 : err_set(err, ERR_NO_MEMORY, "pod");
}

static int find_container(const struct session *session, struct arena *arena, struct str uid, struct str *ret_id,
                          struct err *err)
{
    struct runtime_container *list;
    size_t count;
    int code = container_list(session->server->kubelet->options.runtime, uid, arena, &list, &count, err);

    if (code < 0)
        return code;
    for (size_t i = count; i-- > 0;) {
        if (!str_eq(list[i].name, session->container) || list[i].state != CONTAINER_RUNNING)
            continue;
        *ret_id = list[i].id;
        return 0;
    }
    return err_set(err, ERR_NOT_FOUND, "container not found (\"" STR_FMT "\")", STR_ARG(session->container));
}

static int run_forward(struct session *session, struct arena *arena, struct str uid, struct err *err)
{
    struct sandbox sandbox;
    int code = sandbox_get(session->server->kubelet->options.runtime, uid, arena, &sandbox, err);

    if (code == 0 && !sandbox.ready)
        code = err_set(err, ERR_UNAVAILABLE, "the pod is not running");
    if (code < 0)
        return code;
    return port_forward_run(sandbox.host_network ? NULL : arena_cstr(arena, sandbox.netns), session->wire,
                            http_exchange_request(session->exchange), err);
}

static int run_dial(struct session *session, bool *ret_clean, struct err *err)
{
    struct dial dial = { .host = session->pod, .tls = str_is(session->ns, "https") };
    int64_t port;

    if (!str_to_i64(session->container, &port) || port < 1 || port > UINT16_MAX)
        return err_set(err, ERR_BAD_REQUEST, "\"" STR_FMT "\" is not a port", STR_ARG(session->container));
    dial.port = (int)port;
    return dial_run(&dial, session->wire, ret_clean, err);
}

static int run_session(struct session *session, bool *ret_clean, struct err *err)
{
    struct arena *arena = http_exchange_arena(session->exchange);
    struct remote_command *command = &session->command;
    struct str uid;
    int code;

    *ret_clean = true;
    if (session->kind == KIND_DIAL)
        return run_dial(session, ret_clean, err);
    if ((code = find_pod(session, arena, &uid, err)) < 0)
        return code;
    if (session->kind == KIND_PORT_FORWARD)
        return run_forward(session, arena, uid, err);
    if ((code = find_container(session, arena, uid, &command->container, err)) < 0)
        return code;
    command->runtime = session->server->kubelet->options.runtime;
    command->attach = session->kind == KIND_ATTACH;
    return remote_command_run(command, session->wire, http_exchange_request(session->exchange), ret_clean, err);
}

static void run(void *arg)
{
    struct session *session = arg;
    struct stream_server *server = session->server;
    struct wire *wire = session->wire;
    struct err err = { 0 };
    bool clean = false;

    if (run_session(session, &clean, &err) < 0)
        wire_refuse(wire, err_http_status(err.code), str_from(err.message));
    else
        wire_end(wire, clean); /* the session goes with it */
    atomic_fetch_sub(&server->sessions, 1);
}

/* -- requests -- */

static int begin(struct stream_server *server, struct http_exchange *exchange, struct err *err)
{
    const struct http_request *request = http_exchange_request(exchange);
    struct arena *arena = http_exchange_arena(exchange);
    struct session *session = arena_new_of(arena, struct session);
    int code;

    if (!session)
        return err_set(err, ERR_NO_MEMORY, "stream");
    session->server = server;
    session->exchange = exchange;
    if (!http_request_wants_upgrade(request))
        return err_set(err, ERR_BAD_REQUEST, "Upgrade request required");
    if (!parse_path(arena, request->path, session))
        return err_set(err, ERR_NOT_FOUND, "no such endpoint");
    if ((code = parse_query(arena, request->query, &session->command, err)) < 0 || (code = check(session, err)) < 0)
        return code;
    if (atomic_fetch_add(&server->sessions, 1) >= SESSIONS_MAX) {
        atomic_fetch_sub(&server->sessions, 1);
        return err_set(err, ERR_UNAVAILABLE, "this node has too many streams open");
    }
    code = wire_new(exchange, &session->wire, err);
    if (code == 0)
        code = executor_post(server->threads, run, session, err);
    if (code == 0)
        return 0;
    atomic_fetch_sub(&server->sessions, 1);
    if (session->wire)
        wire_refuse(session->wire, err_http_status(err->code), str_from(err->message));
    return session->wire ? 0 : code;
}

void stream_server_handle(struct stream_server *server, struct http_exchange *exchange)
{
    struct err err = { 0 };

    if (begin(server, exchange, &err) < 0)
        http_reply(exchange, err_http_status(err.code), "text/plain", str_from(err.message));
}

int stream_server_new(struct kubelet *kubelet, struct stream_server **ret_server, struct err *err)
{
    struct stream_server *server = calloc(1, sizeof *server);
    int code;

    if (!server)
        return err_set(err, ERR_NO_MEMORY, "stream server");
    server->kubelet = kubelet;
    code = executor_pool_new(kubelet->options.clock, "streams", SESSIONS_MAX, &server->threads, err);
    if (code < 0) {
        free(server);
        return code;
    }
    *ret_server = server;
    return 0;
}

struct stream_server *stream_server_free(struct stream_server *server)
{
    if (!server)
        return NULL;
    executor_free(server->threads);
    free(server);
    return NULL;
}
