/* relay.c - two connections tied together.
 *
 *     client  <-- http loop -->  relay  <-- tunnels' thread -->  agent
 *
 * Each side's bytes are queued on the other side; a queue above its mark pauses the side that fills it, until it has
 * drained. So a relay holds two bounded queues and no thread. The client's end is told to the tunnel, and whatever
 * ends the tunnel ends the exchange, on the tunnels' thread: so the exchange is ended once. The relay is freed when
 * both have let go of it. */
#include "apiserver/relay.h"

#include "apiserver/agent.h"
#include "apiserver/server.h"
#include "net/tunnel.h"

#define ERROR_MAX 4096

struct relay {
    atomic_uint refs; /* the exchange's and the tunnel's */
    struct str head, host; /* of the request to the agent; in the arena, until it is sent */
    int port;
    struct http_exchange *exchange;
    struct mutex lock;
    struct tunnel *tunnel; /* set under the lock, then fixed */
    bool gone;             /* under lock: the client is */
    /* The tunnels' thread. */
    bool upgraded;
    int status; /* the agent's refusal */
    size_t refusal_length;
    struct buf refusal;
};

static void relay_unref(struct relay *relay)
{
    if (atomic_fetch_sub_explicit(&relay->refs, 1, memory_order_acq_rel) > 1)
        return;
    tunnel_unref(relay->tunnel);
    buf_deinit(&relay->refusal);
    mutex_deinit(&relay->lock);
    free(relay);
}

/* -- the request to the agent -- */

static const struct option {
    const char *theirs, *ours; /* of pods/exec and attach; of the agent */
} options[] = {
    { "stdin", "input" }, { "stdout", "output" }, { "stderr", "error" }, { "tty", "tty" },
};

static void write_query(const struct request *request, struct buf *head)
{
    char sep = '?';

    for (size_t i = 0; i < request->params.count; i++) {
        const struct http_param *param = &request->params.items[i];

        if (!str_is(param->name, "command"))
            continue;
        buf_printf(head, "%ccommand=", sep);
        http_escape(head, param->value);
        sep = '&';
    }
    for (size_t i = 0; i < ARRAY_LEN(options); i++) {
        if (!param_bool(&request->params, str_from(options[i].theirs)))
            continue;
        buf_printf(head, "%c%s=1", sep, options[i].ours);
        sep = '&';
    }
}

/* Clients that do not speak SPDY name the ports at once. */
static void write_ports(const struct request *request, struct buf *head)
{
    char sep = '?';

    for (size_t i = 0; i < request->params.count; i++) {
        const struct http_param *param = &request->params.items[i];

        if (!str_is(param->name, "ports"))
            continue;
        buf_printf(head, "%cports=", sep);
        http_escape(head, param->value);
        sep = '&';
    }
}

static void write_path(const struct request *request, struct str container, struct buf *head)
{
    struct str sub = request->subresource->name;

    if (str_is(sub, "portforward")) {
        buf_printf(head, "/portForward/" STR_FMT "/" STR_FMT, STR_ARG(request->info.ns), STR_ARG(request->info.name));
        write_ports(request, head);
        return;
    }
    buf_printf(head, "/" STR_FMT "/" STR_FMT "/" STR_FMT "/" STR_FMT, STR_ARG(sub), STR_ARG(request->info.ns),
               STR_ARG(request->info.name), STR_ARG(container));
    write_query(request, head);
}

static bool is_relayed(struct str name)
{
    return str_is(name, "upgrade") || str_is(name, "x-stream-protocol-version") ||
           str_has_prefix(name, STR("sec-websocket-"));
}

static int write_head(struct request *request, const struct agent_target *target, struct relay *relay, struct err *err)
{
    AUTO_DEINIT(buf, head) = BUF_INIT;
    bool v6 = str_chr(target->host, ':') >= 0;

    buf_init(&head, 128u << 10);
    buf_add_cstr(&head, "GET ");
    write_path(request, target->container, &head);
    buf_printf(&head, " HTTP/1.1\r\nHost: %s" STR_FMT "%s:%d\r\nConnection: Upgrade\r\n", v6 ? "[" : "",
               STR_ARG(target->host), v6 ? "]" : "", (int)target->port);
    for (size_t i = 0; i < request->http->header_count; i++) {
        const struct http_header *header = &request->http->headers[i];

        if (is_relayed(header->name))
            buf_printf(&head, STR_FMT ": " STR_FMT "\r\n", STR_ARG(header->name), STR_ARG(header->value));
    }
    buf_add_cstr(&head, "\r\n");
    relay->head = buf_ok(&head) ? arena_str(request->arena, buf_str(&head)) : STR_NULL;
    return relay->head.data ? 0 : err_set(err, ERR_BAD_REQUEST, "the query of the request is too long");
}

int relay_open(struct request *request, struct relay **ret_relay, struct err *err)
{
    struct agent_target target;
    struct relay *relay;
    int code;

    if (!request->http || !http_request_wants_upgrade(request->http))
        return fail_bad_request(request, err, "Upgrade request required");
    if (!request->server->options.tunnels)
        return err_set(err, ERR_UNAVAILABLE, "this server does not reach the agents");
    if ((code = agent_find(request, !str_is(request->subresource->name, "portforward"), &target, err)) < 0)
        return code;
    if (str_empty(target.node))
        return fail_bad_request(request, err, "pod " STR_FMT " does not have a host assigned",
                                STR_ARG(request->info.name));
    relay = calloc(1, sizeof *relay);
    if (!relay)
        return err_set(err, ERR_NO_MEMORY, "relay");
    atomic_init(&relay->refs, 1);
    mutex_init(&relay->lock);
    buf_init(&relay->refusal, ERROR_MAX);
    relay->host = target.host;
    relay->port = (int)target.port;
    if ((code = write_head(request, &target, relay, err)) < 0) {
        relay_unref(relay);
        return code;
    }
    *ret_relay = relay;
    return 0;
}

/* -- the client's side, on its loop -- */

static void hang_up(struct relay *relay)
{
    LOCKED(&relay->lock);
    relay->gone = true;
    if (relay->tunnel)
        tunnel_close(relay->tunnel);
}

static void on_client_closed(void *ctx)
{
    hang_up(ctx);
}

static void on_client_drained(void *ctx)
{
    struct relay *relay = ctx;

    tunnel_pause(relay->tunnel, false);
}

static void on_client_data(void *ctx, struct str bytes, bool end)
{
    struct relay *relay = ctx;

    if (bytes.len > 0 && tunnel_write(relay->tunnel, bytes) > TUNNEL_QUEUE_HIGH) {
        http_exchange_pause(relay->exchange, true);
        if (tunnel_write(relay->tunnel, STR("")) < TUNNEL_QUEUE_LOW) /* it drained before the pause */
            http_exchange_pause(relay->exchange, false);
    }
    if (end)
        hang_up(relay);
}

static void on_client_released(void *ctx)
{
    relay_unref(ctx);
}

static struct http_stream_events client_events(struct relay *relay)
{
    return (struct http_stream_events){ relay, on_client_drained, on_client_closed, on_client_data,
                                        on_client_released };
}

/* -- the agent's side, on the tunnels' thread -- */

static void on_agent_head(void *ctx, int status, const struct http_header *headers, size_t count)
{
    struct http_stream_events events = client_events(ctx);
    struct relay *relay = ctx;
    struct str protocol = STR("");
    uint64_t length = 0;

    for (size_t i = 0; i < count; i++) {
        if (str_is(headers[i].name, "upgrade"))
            protocol = headers[i].value;
        else if (str_is(headers[i].name, "content-length") && str_to_u64(headers[i].value, &length))
            relay->refusal_length = (size_t)MIN(length, (uint64_t)ERROR_MAX);
    }
    if (status != 101) {
        relay->status = status;
        if (relay->refusal_length == 0)
            tunnel_close(relay->tunnel);
        return;
    }
    for (size_t i = 0; i < count; i++) {
        if (str_is(headers[i].name, "sec-websocket-accept"))
            http_reply_header(relay->exchange, "Sec-WebSocket-Accept", headers[i].value);
        else if (str_is(headers[i].name, "sec-websocket-protocol"))
            http_reply_header(relay->exchange, "Sec-WebSocket-Protocol", headers[i].value);
        else if (str_is(headers[i].name, "x-stream-protocol-version"))
            http_reply_header(relay->exchange, "X-Stream-Protocol-Version", headers[i].value);
    }
    relay->upgraded = http_exchange_upgrade(relay->exchange, protocol, &events);
}

static void on_agent_data(void *ctx, struct str bytes)
{
    static const struct http_part none = { STR_INIT(""), NULL };
    struct relay *relay = ctx;

    if (relay->upgraded) {
        if (http_reply_write(relay->exchange, &(struct http_part){ bytes, NULL }, 1) <= HTTP_QUEUE_HIGH)
            return;
        tunnel_pause(relay->tunnel, true);
        if (http_reply_write(relay->exchange, &none, 1) < HTTP_QUEUE_LOW) /* it drained before the pause */
            tunnel_pause(relay->tunnel, false);
        return;
    }
    buf_add_str(&relay->refusal, str_first(bytes, ERROR_MAX - relay->refusal.len));
    if (relay->refusal.len >= relay->refusal_length)
        tunnel_close(relay->tunnel);
}

static void on_agent_drained(void *ctx)
{
    struct relay *relay = ctx;

    http_exchange_pause(relay->exchange, false);
}

static void reply_unreached(struct http_exchange *exchange, const struct err *err)
{
    AUTO_DEINIT(buf, text) = BUF_INIT;

    buf_printf(&text, "error dialing backend: %s", err ? err->message : "the node's agent ended the connection");
    http_reply(exchange, 502, "text/plain", buf_str(&text));
}

/* The agent's words go on as they are: kubectl puts its own in front of them. */
static void on_agent_closed(void *ctx, const struct err *err)
{
    struct relay *relay = ctx;
    struct http_exchange *exchange = relay->exchange;

    if (relay->upgraded && !err)
        http_reply_end(exchange);
    else if (relay->upgraded)
        http_exchange_abort(exchange);
    else if (relay->status)
        http_reply(exchange, relay->status, "text/plain", buf_str(&relay->refusal));
    else
        reply_unreached(exchange, err);
    relay_unref(relay);
}

int relay_start(struct request *request, struct http_exchange *exchange, struct err *err)
{
    struct relay *relay = TAKE(request->relay);
    const struct tunnel_events events = {
        relay, on_agent_head, on_agent_data, on_agent_drained, on_agent_closed,
    };
    struct http_stream_events early = client_events(relay);
    int code;

    relay->exchange = exchange;
    atomic_fetch_add(&relay->refs, 1);
    http_exchange_events(exchange, &early);
    {
        LOCKED(&relay->lock);
        code = tunnel_open(request->server->options.tunnels, relay->host, relay->port, relay->head, &events,
                           &relay->tunnel, err);
        if (code == 0 && relay->gone)
            tunnel_close(relay->tunnel);
    }
    if (code < 0)
        relay_unref(relay); /* the exchange has its own */
    return code;
}
