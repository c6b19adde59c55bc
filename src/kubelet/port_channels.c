/* port_channels.c - v4.channel.k8s.io for ports: the query names them, and the n-th has the channels 2n (data) and 2n + 1
 * (errors), the first byte of each message. Each channel begins with a message of the port's number in two bytes, low one
 * first. There is one connection a port and no way to say that it ended, but to end everything once all have.
 *
 * A port whose pod is behind holds the client back as a whole: one WebSocket has one window. */
#include "kubelet/port_channels.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "kubelet/pod_socket.h"
#include "net/websocket.h"

#define PORTS_MAX 64
#define PENDING_HIGH (256u << 10)
#define PENDING_MAX (16u << 20)
#define READ_BYTES (32u << 10)
#define NO_CHANNEL (-1)

static const struct str protocols[] = { STR_INIT("v4.channel.k8s.io") };

struct port {
    int number;
    int fd; /* -1: it has ended */
    bool connecting, v6;
    struct buf pending; /* for the pod */
    size_t sent;
};

struct port_channels {
    const char *netns;
    struct wire *wire;
    struct websocket *websocket;
    struct buf in, out;
    struct port ports[PORTS_MAX];
    size_t count;
    int channel; /* of the message that is coming */
    bool over;
    char message[READ_BYTES + 1];
};

static void send_on(struct port_channels *self, size_t channel, struct str bytes)
{
    self->message[0] = (char)channel;
    memmove(self->message + 1, bytes.data, bytes.len);
    websocket_send(self->websocket, str_of(self->message, bytes.len + 1));
}

/* -- one port -- */

static void close_port(struct port *port)
{
    if (port->fd >= 0)
        close(port->fd);
    port->fd = -1;
    buf_deinit(&port->pending);
    port->sent = 0;
}

static void refuse(struct port_channels *self, size_t at, int error)
{
    AUTO_DEINIT(buf, text) = BUF_INIT;
    struct err words = { 0 };

    err_errno(&words, error, "failed to connect to localhost:%d inside the pod", self->ports[at].number);
    buf_printf(&text, "error forwarding port %d to pod: %s", self->ports[at].number, words.message);
    close_port(&self->ports[at]);
    send_on(self, 2 * at + 1, str_first(buf_str(&text), READ_BYTES));
}

static void begin(struct port_channels *self, size_t at)
{
    struct port *port = &self->ports[at];
    int error = pod_socket_connect(self->netns, port->number, port->v6, &port->fd);

    port->connecting = error == 0;
    if (error != 0)
        refuse(self, at, error);
}

/* Something listens on IPv6 only, perhaps. */
static void connected(struct port_channels *self, size_t at)
{
    struct port *port = &self->ports[at];
    int error = pod_socket_outcome(port->fd);

    port->connecting = false;
    if (error == 0)
        return;
    if (port->v6) {
        refuse(self, at, error);
        return;
    }
    close(port->fd);
    port->fd = -1;
    port->v6 = true;
    begin(self, at);
}

static void give(struct port *port)
{
    while (port->fd >= 0 && !port->connecting && port->sent < port->pending.len) {
        struct str bytes = str_skip(buf_str(&port->pending), port->sent);
        ssize_t n = send(port->fd, bytes.data, bytes.len, MSG_NOSIGNAL | MSG_DONTWAIT);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            return;
        if (n < 0) {
            close_port(port);
            return;
        }
        port->sent += (size_t)n;
    }
    if (port->sent == port->pending.len) {
        buf_clear(&port->pending);
        port->sent = 0;
    }
}

static void take(struct port_channels *self, size_t at)
{
    ssize_t n = recv(self->ports[at].fd, self->message + 1, READ_BYTES, MSG_DONTWAIT);

    if (n > 0)
        send_on(self, 2 * at, str_of(self->message + 1, (size_t)n));
    else if (n == 0 || (errno != EAGAIN && errno != EINTR))
        close_port(&self->ports[at]);
}

/* -- what comes -- */

static void on_message(void *ctx, struct str bytes, bool last)
{
    struct port_channels *self = ctx;

    if (self->channel == NO_CHANNEL && bytes.len > 0) {
        self->channel = (unsigned char)bytes.data[0];
        bytes = str_skip(bytes, 1);
    }
    if (bytes.len > 0 && self->channel % 2 == 0 && (size_t)self->channel / 2 < self->count) {
        struct port *port = &self->ports[self->channel / 2];

        if (port->fd >= 0)
            buf_add_str(&port->pending, bytes);
        if (!buf_ok(&port->pending))
            close_port(port);
    }
    if (last)
        self->channel = NO_CHANNEL;
}

static void pump(struct port_channels *self)
{
    bool alive = true;

    wire_take(self->wire, &self->in);
    if (self->in.len > 0)
        alive = websocket_input(self->websocket, buf_str(&self->in));
    buf_clear(&self->in);
    if (!alive || wire_is_over(self->wire))
        self->over = true;
}

/* -- the loop -- */

static void flush(struct port_channels *self)
{
    if (!buf_ok(&self->out))
        self->over = true;
    else
        wire_write(self->wire, buf_str(&self->out));
    buf_clear(&self->out);
}

static bool takes_input(const struct port_channels *self)
{
    for (size_t i = 0; i < self->count; i++)
        if (self->ports[i].pending.len - self->ports[i].sent > PENDING_HIGH)
            return false;
    return !wire_is_full(self->wire);
}

static void serve(struct port_channels *self, size_t at, short events)
{
    struct port *port = &self->ports[at];

    if (port->fd >= 0 && port->connecting && events)
        connected(self, at);
    give(port);
    if (port->fd >= 0 && !port->connecting && (events & (POLLIN | POLLHUP | POLLERR)) && !wire_is_full(self->wire))
        take(self, at);
}

static bool all_have_ended(const struct port_channels *self)
{
    for (size_t i = 0; i < self->count; i++)
        if (self->ports[i].fd >= 0)
            return false;
    return true;
}

static void run_once(struct port_channels *self)
{
    struct pollfd polls[PORTS_MAX + 1] = { { .fd = wire_fd(self->wire), .events = POLLIN } };
    bool full = wire_is_full(self->wire);

    for (size_t i = 0; i < self->count; i++) {
        const struct port *port = &self->ports[i];
        bool writes = port->connecting || port->sent < port->pending.len, reads = !port->connecting && !full;

        polls[i + 1] = (struct pollfd){ .fd = writes || reads ? port->fd : -1,
                                        .events = (short)((writes ? POLLOUT : 0) | (reads ? POLLIN : 0)) };
    }
    if (poll(polls, self->count + 1, -1) < 0)
        return;
    if (polls[0].revents)
        wire_look(self->wire);
    for (size_t i = 0; i < self->count; i++)
        serve(self, i, polls[i + 1].revents);
    if (takes_input(self) || wire_is_over(self->wire)) {
        pump(self);
        for (size_t i = 0; i < self->count; i++)
            give(&self->ports[i]);
    }
    if (all_have_ended(self)) {
        websocket_close(self->websocket, 1000, STR(""));
        self->over = true;
    }
    flush(self);
}

/* -- the handshake -- */

bool port_channels_are_asked(const struct http_request *request)
{
    static const struct str other[] = { STR_INIT("SPDY/3.1+portforward.k8s.io") };
    bool any;

    if (!websocket_is_asked(request) || websocket_choose(request, other, ARRAY_LEN(other), &any).data)
        return false;
    return !any || websocket_choose(request, protocols, ARRAY_LEN(protocols), &any).data;
}

static int add_ports(struct port_channels *self, struct str list, struct err *err)
{
    struct str word;
    int64_t number;

    while (str_split(&list, ',', &word)) {
        if (!str_to_i64(word, &number) || number < 1 || number > UINT16_MAX)
            return err_set(err, ERR_BAD_REQUEST, "\"" STR_FMT "\" is not a port", STR_ARG(word));
        if (self->count == PORTS_MAX)
            return err_set(err, ERR_BAD_REQUEST, "more than %d ports", PORTS_MAX);
        struct port *port = &self->ports[self->count++];

        port->number = (int)number;
        port->fd = -1;
        buf_init(&port->pending, PENDING_MAX);
    }
    return 0;
}

static int read_ports(struct port_channels *self, const struct http_request *request, struct err *err)
{
    AUTO(arena) arena = arena_new(64u << 10);
    struct http_params params;
    int code = 0;

    if (!arena || !http_params_parse(arena, request->query, &params))
        return err_set(err, ERR_BAD_REQUEST, "malformed query");
    for (size_t i = 0; code == 0 && i < params.count; i++)
        if (str_is(params.items[i].name, "ports"))
            code = add_ports(self, params.items[i].value, err);
    if (code == 0 && self->count == 0)
        code = err_set(err, ERR_BAD_REQUEST, "query parameter \"ports\" is required");
    return code;
}

static int shake_hands(struct port_channels *self, const struct http_request *request, struct err *err)
{
    const struct websocket_events events = { self, on_message };
    char accept[WEBSOCKET_ACCEPT_LEN + 1];
    struct str protocol;
    bool any;

    if (!websocket_accept(request, accept))
        return err_set(err, ERR_BAD_REQUEST, "unable to upgrade: this is no WebSocket handshake");
    if (!(self->websocket = websocket_new(&events, &self->out)))
        return err_set(err, ERR_NO_MEMORY, "WebSocket");
    protocol = websocket_choose(request, protocols, ARRAY_LEN(protocols), &any);
    wire_header(self->wire, "Sec-WebSocket-Accept", str_from(accept));
    if (protocol.data)
        wire_header(self->wire, "Sec-WebSocket-Protocol", protocol);
    if (!wire_upgrade(self->wire, STR("websocket")))
        return err_set(err, ERR_BAD_REQUEST, "unable to upgrade: this connection cannot");
    return 0;
}

static void open_ports(struct port_channels *self)
{
    for (size_t i = 0; i < self->count; i++) {
        const char number[] = { (char)(self->ports[i].number & 0xff), (char)(self->ports[i].number >> 8) };

        send_on(self, 2 * i, str_of(number, sizeof number));
        send_on(self, 2 * i + 1, str_of(number, sizeof number));
        begin(self, i);
    }
    flush(self);
}

int port_channels_run(const char *netns, struct wire *wire, const struct http_request *request, struct err *err)
{
    struct port_channels *self = calloc(1, sizeof *self);
    int code;

    if (!self)
        return err_set(err, ERR_NO_MEMORY, "port forwarding");
    self->netns = netns;
    self->wire = wire;
    self->channel = NO_CHANNEL;
    code = read_ports(self, request, err);
    if (code == 0)
        code = shake_hands(self, request, err);
    if (code == 0)
        open_ports(self);
    while (code == 0 && !self->over)
        run_once(self);
    for (size_t i = 0; i < self->count; i++)
        close_port(&self->ports[i]);
    websocket_free(self->websocket);
    buf_deinit(&self->in);
    buf_deinit(&self->out);
    free(self);
    return code;
}
