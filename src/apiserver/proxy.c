/* proxy.c - two HTTP/1.1 conversations tied together.
 *
 *     client  <-- http loop -->  proxy  <-- tunnels' thread -->  agent  -->  pod
 *
 * The tunnel is a plain connection to where the request goes: the agent's own server for a node, else a socket that
 * the agent has opened for us (its "/dial"). Then, and not before (the agent would take them for requests to itself),
 * the request's head and body are written into it, framed anew; what comes back is taken apart by http_answer. As in relay.c each side's queue pauses the other side, the exchange is ended on
 * the tunnels' thread alone, and the proxy is freed when both have let go of it. */
#include "apiserver/proxy.h"

#include "apiserver/proxy_head.h"
#include "apiserver/proxy_target.h"
#include "apiserver/server.h"
#include "net/http_answer.h"
#include "net/tunnel.h"

#define WORDS_MAX 1024
#define HEAD_MAX (256u << 10)

struct proxy {
    atomic_uint refs; /* the exchange's and the tunnel's */
    struct request *request; /* in the exchange's arena: until it is ended */
    struct http_exchange *exchange;
    struct proxy_target target;
    struct str prefix, rest, authority, head; /* in the arena */
    bool upgrade;
    enum proxy_body body;
    struct mutex lock;
    struct tunnel *tunnel; /* set under the lock, then fixed */
    bool gone, ended;      /* under lock: the client is; the exchange is */
    /* The tunnels' thread. */
    struct http_answer *answer;
    int refusal; /* of the agent, and its words */
    size_t words_length;
    struct buf words;
    bool begun, upgraded, broken;
};

static void proxy_unref(struct proxy *proxy)
{
    if (atomic_fetch_sub_explicit(&proxy->refs, 1, memory_order_acq_rel) > 1)
        return;
    tunnel_unref(proxy->tunnel);
    http_answer_free(proxy->answer);
    buf_deinit(&proxy->words);
    mutex_deinit(&proxy->lock);
    free(proxy);
}

enum http_body_mode proxy_body_mode(const struct http_request *head)
{
    struct str prefix, rest;

    /* An upgrade has no body, and takes over only exchanges that do not stream one. */
    return !http_request_wants_upgrade(head) && proxy_path_split(head->path, &prefix, &rest) ? HTTP_BODY_STREAM
                                                                                             : HTTP_BODY_COLLECT;
}

/* -- opening -- */

/* Without the slash, links of a page would lead elsewhere. */
static int redirect_to_slash(struct request *request, struct err *err)
{
    const struct http_request *http = request->http;
    struct str to = arena_printf(request->arena, STR_FMT "/%s" STR_FMT, STR_ARG(http->path), http->query.len ? "?" : "",
                                 STR_ARG(http->query));

    if (!to.data)
        return err_set(err, ERR_NO_MEMORY, "proxy");
    reply_text(request, 301, "text/plain", STR(""));
    return reply_header(request, "location", to, err);
}

int proxy_open(struct request *request, struct proxy **ret_proxy, struct err *err)
{
    struct proxy_target target;
    struct str prefix, rest;
    struct proxy *proxy;
    int code;

    if (!request->http || !proxy_path_split(request->http->path, &prefix, &rest))
        return err_set(err, ERR_BAD_REQUEST, "the path of the request is malformed");
    if (!request->server->options.tunnels)
        return err_set(err, ERR_UNAVAILABLE, "this server does not reach the agents");
    if ((code = proxy_target_find(request, &target, err)) < 0)
        return code;
    if (str_empty(rest) && (request->method == HTTP_GET_ || request->method == HTTP_HEAD_) &&
        !http_request_wants_upgrade(request->http))
        return redirect_to_slash(request, err);
    proxy = calloc(1, sizeof *proxy);
    if (!proxy)
        return err_set(err, ERR_NO_MEMORY, "proxy");
    atomic_init(&proxy->refs, 1);
    mutex_init(&proxy->lock);
    buf_init(&proxy->words, WORDS_MAX);
    proxy->request = request;
    proxy->target = target;
    proxy->prefix = prefix;
    proxy->rest = rest;
    proxy->authority = arena_printf(request->arena, STR_FMT ":%d", STR_ARG(target.host), target.port);
    proxy->upgrade = http_request_wants_upgrade(request->http);
    proxy->body = proxy->upgrade ? PROXY_BODY_NONE : proxy_body_of(request->http);
    *ret_proxy = proxy;
    return 0;
}

/* -- the client's side, on its loop -- */

static void hang_up(struct proxy *proxy)
{
    LOCKED(&proxy->lock);
    proxy->gone = true;
    if (proxy->tunnel)
        tunnel_close(proxy->tunnel);
}

static void on_client_closed(void *ctx)
{
    hang_up(ctx);
}

static void on_client_drained(void *ctx)
{
    struct proxy *proxy = ctx;

    tunnel_pause(proxy->tunnel, false);
}

static void send_on(struct proxy *proxy, struct str bytes)
{
    if (tunnel_write(proxy->tunnel, bytes) <= TUNNEL_QUEUE_HIGH)
        return;
    http_exchange_pause(proxy->exchange, true);
    if (tunnel_write(proxy->tunnel, STR("")) < TUNNEL_QUEUE_LOW) /* it drained before the pause */
        http_exchange_pause(proxy->exchange, false);
}

static void send_chunk(struct proxy *proxy, struct str bytes, bool end)
{
    char size[24];

    if (bytes.len > 0) {
        snprintf(size, sizeof size, "%zx\r\n", bytes.len);
        tunnel_write(proxy->tunnel, str_from(size));
        tunnel_write(proxy->tunnel, bytes);
        send_on(proxy, STR("\r\n"));
    }
    if (end)
        tunnel_write(proxy->tunnel, STR("0\r\n\r\n"));
}

static void on_client_data(void *ctx, struct str bytes, bool end)
{
    struct proxy *proxy = ctx;

    if (proxy->body == PROXY_BODY_CHUNKED)
        send_chunk(proxy, bytes, end);
    else if (bytes.len > 0 && proxy->body == PROXY_BODY_LENGTH)
        send_on(proxy, bytes);
}

/* After an upgrade. */
static void on_client_bytes(void *ctx, struct str bytes, bool end)
{
    struct proxy *proxy = ctx;

    if (bytes.len > 0)
        send_on(proxy, bytes);
    if (end)
        hang_up(proxy);
}

static void on_client_released(void *ctx)
{
    proxy_unref(ctx);
}

static struct http_stream_events client_events(struct proxy *proxy, bool raw)
{
    return (struct http_stream_events){ proxy, on_client_drained, on_client_closed,
                                        raw ? on_client_bytes : on_client_data, on_client_released };
}

/* -- the end, on the tunnels' thread -- */

static void refuse(struct proxy *proxy, const char *why)
{
    AUTO_DEINIT(buf, text) = BUF_INIT;
    struct err err = { 0 };

    err_set(&err, ERR_UNAVAILABLE, "error trying to reach service: %s", why);
    status_write(&text, &err, &proxy->request->failure);
    http_reply(proxy->exchange, 503, "application/json", buf_str(&text));
}

/* Ends the exchange, once; it must not be touched afterwards. */
static void end_exchange(struct proxy *proxy, bool whole, const char *why)
{
    {
        LOCKED(&proxy->lock);
        if (proxy->ended)
            return;
        proxy->ended = true;
    }
    if (!proxy->begun)
        refuse(proxy, why);
    else if (whole)
        http_reply_end(proxy->exchange);
    else
        http_exchange_abort(proxy->exchange);
    tunnel_close(proxy->tunnel);
}

/* -- the answer, on the tunnels' thread -- */

static void pass_headers(struct proxy *proxy, const struct http_header *headers, size_t count)
{
    AUTO_DEINIT(buf, location) = BUF_INIT;
    char name[128];

    for (size_t i = 0; i < count; i++) {
        struct str value = headers[i].value;

        if (headers[i].name.len >= sizeof name || !proxy_header_passes(headers[i].name, headers, count))
            continue;
        if (str_is(headers[i].name, "location")) {
            buf_clear(&location);
            proxy_location_write(&location, proxy->request->http, proxy->prefix, proxy->authority, value);
            value = buf_str(&location);
        }
        snprintf(name, sizeof name, STR_FMT, STR_ARG(headers[i].name));
        http_reply_header(proxy->exchange, name, value);
    }
}

static void on_answer_head(void *ctx, int status, const struct http_header *headers, size_t count)
{
    struct proxy *proxy = ctx;
    struct http_stream_events events = client_events(proxy, true);
    struct str protocol = STR("");

    if (status == 101 && !proxy->upgrade) {
        proxy->broken = true;
        return;
    }
    for (size_t i = 0; i < count; i++)
        if (str_is(headers[i].name, "upgrade"))
            protocol = headers[i].value;
    pass_headers(proxy, headers, count);
    proxy->begun = true;
    if (status == 101)
        proxy->upgraded = http_exchange_upgrade(proxy->exchange, protocol, &events);
    else
        http_reply_begin(proxy->exchange, status, NULL);
}

static void on_answer_data(void *ctx, struct str bytes)
{
    static const struct http_part none = { STR_INIT(""), NULL };
    struct proxy *proxy = ctx;

    if (proxy->broken || http_reply_write(proxy->exchange, &(struct http_part){ bytes, NULL }, 1) <= HTTP_QUEUE_HIGH)
        return;
    tunnel_pause(proxy->tunnel, true);
    if (http_reply_write(proxy->exchange, &none, 1) < HTTP_QUEUE_LOW) /* it drained before the pause */
        tunnel_pause(proxy->tunnel, false);
}

/* -- the tunnel, on its thread -- */

/* Under the lock: whatever ends the exchange waits for it. */
static void send_request(struct proxy *proxy)
{
    tunnel_write(proxy->tunnel, proxy->head);
    if (proxy->gone)
        tunnel_close(proxy->tunnel);
    http_exchange_pause(proxy->exchange, false);
}

/* The agent's, about the connection that it was asked for. */
static void on_tunnel_head(void *ctx, int status, const struct http_header *headers, size_t count)
{
    struct proxy *proxy = ctx;
    uint64_t length = 0;

    if (status == 101) {
        LOCKED(&proxy->lock);
        send_request(proxy);
        return;
    }
    for (size_t i = 0; i < count; i++)
        if (str_is(headers[i].name, "content-length") && str_to_u64(headers[i].value, &length))
            proxy->words_length = (size_t)MIN(length, (uint64_t)WORDS_MAX - 1);
    proxy->refusal = status;
    if (proxy->words_length == 0)
        tunnel_close(proxy->tunnel);
}

static void on_tunnel_data(void *ctx, struct str bytes)
{
    struct proxy *proxy = ctx;

    if (proxy->refusal) {
        buf_add_str(&proxy->words, str_first(bytes, proxy->words_length - proxy->words.len));
        if (proxy->words.len == proxy->words_length)
            tunnel_close(proxy->tunnel);
        return;
    }
    if (proxy->ended) /* only this thread sets it */
        return;
    enum http_answer_state state = http_answer_input(proxy->answer, bytes);

    if (state == HTTP_ANSWER_BROKEN || proxy->broken)
        end_exchange(proxy, false, "the answer is not HTTP/1.1");
    else if (state == HTTP_ANSWER_DONE)
        end_exchange(proxy, true, NULL);
}

static void on_tunnel_drained(void *ctx)
{
    struct proxy *proxy = ctx;

    if (!proxy->ended)
        http_exchange_pause(proxy->exchange, false);
}

static void on_tunnel_closed(void *ctx, const struct err *err)
{
    struct proxy *proxy = ctx;
    bool whole = !err && http_answer_eof(proxy->answer) == HTTP_ANSWER_DONE;

    if (proxy->refusal) {
        buf_add_char(&proxy->words, '\0');
        end_exchange(proxy, false, proxy->words.data ? proxy->words.data : "refused by the node's agent");
    } else {
        end_exchange(proxy, whole, err ? err->message : "EOF");
    }
    proxy_unref(proxy);
}

/* -- starting -- */

static void write_dial(struct buf *head, const struct proxy_target *target)
{
    buf_printf(head, "GET /dial/%s/", target->tls ? "https" : "http");
    http_escape(head, target->host);
    buf_printf(head, "/%d HTTP/1.1\r\nHost: " STR_FMT "\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n", target->port,
               STR_ARG(target->agent_host));
}

static int open_tunnel(struct proxy *proxy, struct err *err)
{
    const struct tunnel_events events = { proxy, on_tunnel_head, on_tunnel_data, on_tunnel_drained, on_tunnel_closed };
    const struct proxy_target *target = &proxy->target;
    AUTO_DEINIT(buf, dial) = BUF_INIT;
    int code;

    if (target->dial)
        write_dial(&dial, target);
    LOCKED(&proxy->lock);
    code = tunnel_open(proxy->request->server->options.tunnels, target->agent_host, target->agent_port, buf_str(&dial),
                       &events, &proxy->tunnel, err);
    if (code == 0 && !target->dial)
        send_request(proxy);
    else if (code == 0 && proxy->gone)
        tunnel_close(proxy->tunnel);
    return code;
}

int proxy_start(struct request *request, struct http_exchange *exchange, struct err *err)
{
    struct proxy *proxy = TAKE(request->proxy);
    const struct http_answer_events answer = { proxy, on_answer_head, on_answer_data };
    struct http_stream_events events = client_events(proxy, false);
    AUTO_DEINIT(buf, head) = BUF_INIT;
    int code = 0;

    buf_init(&head, HEAD_MAX);
    proxy_head_write(&head, request->http, proxy->prefix, proxy->rest, proxy->upgrade);
    proxy->answer = http_answer_new(request->method, &answer);
    proxy->exchange = exchange;
    proxy->head = buf_ok(&head) ? arena_str(request->arena, buf_str(&head)) : STR_NULL;
    if (!proxy->head.data || !proxy->answer) {
        proxy_unref(proxy);
        return err_set(err, ERR_NO_MEMORY, "proxy");
    }
    atomic_fetch_add(&proxy->refs, 1);
    http_exchange_pause(exchange, true); /* until there is a tunnel for its body */
    http_exchange_events(exchange, &events);
    if ((code = open_tunnel(proxy, err)) < 0)
        proxy_unref(proxy); /* the exchange has its own */
    return code;
}
