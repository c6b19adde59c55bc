/* port_forward.c - for each connection the client opens two streams with one "requestid": "error", then "data".
 *
 * A stream whose socket is behind holds the client back as a whole when more than PENDING_HIGH is
 * waiting: SPDY as Kubernetes' clients speak it has no window of its own. */
#include "kubelet/port_forward.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/vec.h"
#include "kubelet/pod_socket.h"
#include "kubelet/port_channels.h"
#include "net/spdy.h"
#include "net/websocket.h"

#define FORWARDS_MAX 250
#define REQUEST_ID_MAX 64
#define PENDING_HIGH (256u << 10)
#define PENDING_MAX (16u << 20)
#define READ_BYTES (32u << 10)

struct forward {
    char id[REQUEST_ID_MAX];
    int port;
    uint32_t error, data; /* streams; 0: not opened, or closed */
    int fd;               /* -1: no data stream yet, or closed */
    bool connecting, v6;
    bool no_more_input;   /* the client sends no more */
    bool shut;            /* and the pod was told so */
    struct buf pending;   /* for the pod */
    size_t sent;
};

struct forwarder {
    const char *netns;
    struct wire *wire;
    struct websocket *websocket; /* NULL: bare SPDY */
    struct spdy *spdy;
    struct buf in, out, framed;
    VEC(struct forward *) forwards;
    bool over;
    char data[READ_BYTES];
};

/* -- one connection -- */

static void close_socket(struct forward *forward)
{
    if (forward->fd >= 0)
        close(forward->fd);
    forward->fd = -1;
    buf_deinit(&forward->pending);
    forward->sent = 0;
}

static void end_streams(struct forwarder *self, struct forward *forward)
{
    spdy_data(self->spdy, forward->data, STR(""), true);
    spdy_data(self->spdy, forward->error, STR(""), true);
    forward->data = forward->error = 0;
}

static void refuse(struct forwarder *self, struct forward *forward, int error)
{
    AUTO_DEINIT(buf, text) = BUF_INIT;
    struct err words = { 0 };

    err_errno(&words, error, "failed to connect to localhost:%d inside the pod", forward->port);
    buf_printf(&text, "error forwarding port %d to pod: %s", forward->port, words.message);
    close_socket(forward);
    spdy_data(self->spdy, forward->error, buf_str(&text), false);
    end_streams(self, forward);
}

static void begin(struct forwarder *self, struct forward *forward)
{
    int error = pod_socket_connect(self->netns, forward->port, forward->v6, &forward->fd);

    forward->connecting = error == 0;
    if (error != 0)
        refuse(self, forward, error);
}

/* Something listens on IPv6 only, perhaps. */
static void connected(struct forwarder *self, struct forward *forward)
{
    int error = pod_socket_outcome(forward->fd);

    forward->connecting = false;
    if (error == 0)
        return;
    if (forward->v6) {
        refuse(self, forward, ECONNREFUSED);
        return;
    }
    close(forward->fd);
    forward->fd = -1;
    forward->v6 = true;
    begin(self, forward);
}

static void give(struct forwarder *self, struct forward *forward)
{
    while (forward->fd >= 0 && forward->sent < forward->pending.len) {
        struct str bytes = str_skip(buf_str(&forward->pending), forward->sent);
        ssize_t n = send(forward->fd, bytes.data, bytes.len, MSG_NOSIGNAL | MSG_DONTWAIT);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            return;
        if (n < 0) {
            close_socket(forward);
            end_streams(self, forward);
            return;
        }
        forward->sent += (size_t)n;
        spdy_consumed(self->spdy, forward->data, (size_t)n);
    }
    buf_clear(&forward->pending);
    forward->sent = 0;
    if (forward->no_more_input && !forward->shut && forward->fd >= 0) {
        shutdown(forward->fd, SHUT_WR);
        forward->shut = true;
    }
}

static void take(struct forwarder *self, struct forward *forward)
{
    size_t room = MIN(spdy_window(self->spdy, forward->data), sizeof self->data);
    ssize_t n = room ? recv(forward->fd, self->data, room, MSG_DONTWAIT) : -1;

    if (n > 0) {
        spdy_data(self->spdy, forward->data, str_of(self->data, (size_t)n), false);
        return;
    }
    if (room == 0 || (n < 0 && (errno == EAGAIN || errno == EINTR)))
        return;
    close_socket(forward);
    end_streams(self, forward);
}

/* -- streams -- */

static struct forward *forward_by_stream(const struct forwarder *self, uint32_t stream)
{
    for (size_t i = 0; i < self->forwards.count; i++)
        if (self->forwards.items[i]->data == stream || self->forwards.items[i]->error == stream)
            return self->forwards.items[i];
    return NULL;
}

static struct str field(const struct http_header *headers, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (str_is(headers[i].name, name))
            return headers[i].value;
    return STR_NULL;
}

/* The one with that id, or a new one; NULL: too many. */
static struct forward *forward_for(struct forwarder *self, struct str id)
{
    struct forward *forward;

    for (size_t i = 0; i < self->forwards.count; i++)
        if (str_is(id, self->forwards.items[i]->id))
            return self->forwards.items[i];
    forward = self->forwards.count < FORWARDS_MAX ? calloc(1, sizeof *forward) : NULL;
    if (!forward)
        return NULL;
    memcpy(forward->id, id.data, id.len);
    forward->fd = -1;
    buf_init(&forward->pending, PENDING_MAX);
    if (vec_push(&self->forwards, forward) == 0)
        return forward;
    free(forward);
    return NULL;
}

static void on_opened(void *ctx, uint32_t stream, const struct http_header *headers, size_t count, bool end)
{
    struct forwarder *self = ctx;
    struct str type = field(headers, count, "streamtype"), id = field(headers, count, "requestid");
    bool data = str_is(type, "data");
    struct forward *forward;
    int64_t port;

    if ((!data && !str_is(type, "error")) || str_empty(id) || id.len >= REQUEST_ID_MAX ||
        !str_to_i64(field(headers, count, "port"), &port) || port < 1 || port > UINT16_MAX) {
        spdy_reset(self->spdy, stream, SPDY_PROTOCOL_ERROR);
        return;
    }
    forward = forward_for(self, id);
    if (!forward || (data ? forward->data : forward->error) || (forward->port && forward->port != port)) {
        spdy_reset(self->spdy, stream, SPDY_REFUSED_STREAM);
        return;
    }
    forward->port = (int)port;
    spdy_reply(self->spdy, stream);
    if (data) {
        forward->data = stream;
        forward->no_more_input = end;
    } else {
        forward->error = stream;
    }
    if (forward->data && forward->error)
        begin(self, forward);
}

static void on_data(void *ctx, uint32_t stream, struct str bytes, bool end)
{
    struct forwarder *self = ctx;
    struct forward *forward = forward_by_stream(self, stream);

    if (!forward || forward->data != stream)
        return;
    buf_add_str(&forward->pending, bytes);
    forward->no_more_input = forward->no_more_input || end;
    if (!buf_ok(&forward->pending)) {
        close_socket(forward);
        end_streams(self, forward);
    }
}

static void on_reset(void *ctx, uint32_t stream)
{
    struct forwarder *self = ctx;
    struct forward *forward = forward_by_stream(self, stream);

    if (!forward)
        return;
    if (forward->error == stream) {
        forward->error = 0;
        return;
    }
    forward->data = 0;
    close_socket(forward);
    end_streams(self, forward);
}

static void on_message(void *ctx, struct str bytes, bool last)
{
    struct forwarder *self = ctx;

    if (!spdy_input(self->spdy, bytes))
        self->over = true;
}

/* -- the loop -- */

static void remove_ended(struct forwarder *self)
{
    for (size_t i = self->forwards.count; i-- > 0;) {
        struct forward *forward = self->forwards.items[i];

        if (forward->fd >= 0 || forward->data || forward->error)
            continue;
        buf_deinit(&forward->pending);
        free(forward);
        vec_remove(&self->forwards, i);
    }
}

static void flush(struct forwarder *self)
{
    if (self->websocket && self->out.len > 0)
        websocket_send(self->websocket, buf_str(&self->out));
    if (!buf_ok(&self->out) || !buf_ok(&self->framed))
        self->over = true;
    else
        wire_write(self->wire, self->websocket ? buf_str(&self->framed) : buf_str(&self->out));
    buf_clear(&self->out);
    buf_clear(&self->framed);
}

static bool takes_input(const struct forwarder *self)
{
    for (size_t i = 0; i < self->forwards.count; i++)
        if (self->forwards.items[i]->pending.len - self->forwards.items[i]->sent > PENDING_HIGH)
            return false;
    return true;
}

static void pump(struct forwarder *self)
{
    bool alive = true;

    wire_take(self->wire, &self->in);
    if (self->in.len > 0)
        alive = self->websocket ? websocket_input(self->websocket, buf_str(&self->in))
                                : spdy_input(self->spdy, buf_str(&self->in));
    buf_clear(&self->in);
    if (!alive || wire_is_over(self->wire) || spdy_is_leaving(self->spdy))
        self->over = true;
}

static void serve(struct forwarder *self, struct forward *forward, short events)
{
    if (forward->connecting && events)
        connected(self, forward);
    if (forward->connecting)
        return;
    give(self, forward);
    if (forward->fd >= 0 && (events & (POLLIN | POLLHUP | POLLERR)) && !wire_is_full(self->wire))
        take(self, forward);
}

static void run_once(struct forwarder *self)
{
    struct pollfd polls[FORWARDS_MAX + 1] = { { .fd = wire_fd(self->wire), .events = POLLIN } };
    bool full = wire_is_full(self->wire);
    size_t count = self->forwards.count;

    for (size_t i = 0; i < count; i++) {
        const struct forward *forward = self->forwards.items[i];
        bool writes = forward->connecting || forward->sent < forward->pending.len;
        bool reads = !forward->connecting && !full && spdy_window(self->spdy, forward->data) > 0;

        polls[i + 1] = (struct pollfd){ .fd = writes || reads ? forward->fd : -1,
                                        .events = (short)((writes ? POLLOUT : 0) | (reads ? POLLIN : 0)) };
    }
    if (poll(polls, count + 1, -1) < 0)
        return;
    if (polls[0].revents)
        wire_look(self->wire);
    for (size_t i = 0; i < count; i++)
        serve(self, self->forwards.items[i], polls[i + 1].revents);
    /* Else some socket is waited for, or a client that does not read what it is answered. */
    if ((takes_input(self) && !wire_is_full(self->wire)) || wire_is_over(self->wire)) {
        pump(self);
        for (size_t i = 0; i < self->forwards.count; i++)
            if (!self->forwards.items[i]->connecting)
                give(self, self->forwards.items[i]);
    }
    flush(self);
    remove_ended(self);
}

static void forwarder_deinit(struct forwarder *self)
{
    for (size_t i = 0; i < self->forwards.count; i++) {
        close_socket(self->forwards.items[i]);
        free(self->forwards.items[i]);
    }
    vec_deinit(&self->forwards);
    websocket_free(self->websocket);
    spdy_free(self->spdy);
    buf_deinit(&self->in);
    buf_deinit(&self->out);
    buf_deinit(&self->framed);
}

/* -- the handshake -- */

static int open_websocket(struct forwarder *self, const struct http_request *request, struct err *err)
{
    static const struct str ours[] = { STR_INIT("SPDY/3.1+portforward.k8s.io") };
    const struct websocket_events events = { self, on_message };
    char accept[WEBSOCKET_ACCEPT_LEN + 1];
    bool any;

    if (!websocket_accept(request, accept) || !websocket_choose(request, ours, ARRAY_LEN(ours), &any).data)
        return err_set(err, ERR_BAD_REQUEST, "unable to upgrade: neither SPDY/3.1+portforward.k8s.io nor v4.channel.k8s.io over "
                                             "WebSocket");
    self->websocket = websocket_new(&events, &self->framed);
    if (!self->websocket)
        return err_set(err, ERR_NO_MEMORY, "WebSocket");
    wire_header(self->wire, "Sec-WebSocket-Accept", str_from(accept));
    wire_header(self->wire, "Sec-WebSocket-Protocol", ours[0]);
    return 0;
}

static int open_spdy(struct forwarder *self, const struct http_request *request, struct err *err)
{
    if (!str_eq_nocase(http_request_header(request, STR("upgrade")), STR("SPDY/3.1")))
        return err_set(err, ERR_BAD_REQUEST, "unable to upgrade: neither WebSocket nor SPDY/3.1 was asked for");
    if (!str_is(http_request_header(request, STR("x-stream-protocol-version")), "portforward.k8s.io"))
        return err_set(err, ERR_FORBIDDEN, "unable to upgrade: unable to negotiate protocol: server accepts "
                                           "[portforward.k8s.io]");
    wire_header(self->wire, "X-Stream-Protocol-Version", STR("portforward.k8s.io"));
    return 0;
}

static int shake_hands(struct forwarder *self, const struct http_request *request, struct err *err)
{
    const struct spdy_events events = { self, on_opened, on_data, on_reset };
    bool websocket = websocket_is_asked(request);
    int code;

    self->spdy = spdy_new(&events, &self->out);
    if (!self->spdy)
        return err_set(err, ERR_NO_MEMORY, "SPDY");
    code = websocket ? open_websocket(self, request, err) : open_spdy(self, request, err);
    if (code == 0 && !wire_upgrade(self->wire, websocket ? STR("websocket") : STR("SPDY/3.1")))
        code = err_set(err, ERR_BAD_REQUEST, "unable to upgrade: this connection cannot");
    return code;
}

int port_forward_run(const char *netns, struct wire *wire, const struct http_request *request, struct err *err)
{
    if (port_channels_are_asked(request))
        return port_channels_run(netns, wire, request, err);

    struct forwarder *self = calloc(1, sizeof *self);
    int code;

    if (!self)
        return err_set(err, ERR_NO_MEMORY, "port forwarding");
    self->netns = netns;
    self->wire = wire;
    code = shake_hands(self, request, err);
    while (code == 0 && !self->over)
        run_once(self);
    forwarder_deinit(self);
    free(self);
    return code;
}
