/* channel.c - bytes between a socket and a gRPC session.
 *
 * Names are resolved by libuv's pool; the addresses of a name are tried one after the other. Nothing is torn down while
 * bytes are being handled: what goes wrong leaves a note (fail), and the owner closes the channel at the end of its turn.
 * All that a turn of the loop has to send goes out in one write. */
#include "store/etcd/channel.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/tls_session.h"

#define READ_BYTES (128u << 10)
#define PLAIN_BYTES (16u << 10) /* the plain text of one TLS record */
#define READS_A_TURN 8
#define KEPT_MAX (256u << 10) /* of a buffer that is empty */

struct channel {
    struct channel_options options;
    uv_getaddrinfo_t resolve;
    uv_poll_t poll;
    struct addrinfo *addresses, *next;
    int fd;
    bool resolving, polling, connecting, closed;
    int polled; /* the events waited for */
    unsigned handles; /* that libuv knows */

    struct tls_session *tls;
    struct grpc_session *session;
    struct buf wire, plain; /* for the socket; for TLS */
    size_t wire_sent;
    char *in, *decrypted;
    bool failed;
    struct err trouble;
};

static void release(struct channel *channel)
{
    if (!channel->closed || channel->handles > 0)
        return;
    if (channel->addresses)
        uv_freeaddrinfo(channel->addresses);
    if (channel->fd >= 0)
        close(channel->fd);
    tls_session_free(channel->tls);
    tls_context_free(channel->options.tls);
    buf_deinit(&channel->wire);
    buf_deinit(&channel->plain);
    free(channel->in);
    free(channel->decrypted);
    free(channel);
}

static void fail(struct channel *channel, const struct err *why)
{
    if (!channel->failed)
        channel->trouble = *why;
    channel->failed = true;
}

static void fail_errno(struct channel *channel, int errnum, const char *what)
{
    struct err err = { 0 };

    err_errno(&err, errnum, "%s", what);
    fail(channel, &err);
}

static void fail_text(struct channel *channel, enum err_code code, const char *text)
{
    struct err err = { 0 };

    err_set(&err, code, "%s", text);
    fail(channel, &err);
}

/* -- writing -- */

static void on_poll(uv_poll_t *poll, int status, int events);

static void wait_for(struct channel *channel, int events)
{
    if (channel->polling && channel->polled != events && uv_poll_start(&channel->poll, events, on_poll) == 0)
        channel->polled = events;
}

/* Fills wire with what is to be sent; false: failed. */
static bool produce(struct channel *channel)
{
    struct buf *out = channel->tls ? &channel->plain : &channel->wire;
    struct err err = { 0 };

    if (!channel->session || (channel->tls && !tls_session_ready(channel->tls)))
        return true;
    if (grpc_session_output(channel->session, out, &err) < 0) {
        fail(channel, &err);
        return false;
    }
    if (channel->tls && out->len > 0) {
        if (!tls_session_write(channel->tls, buf_str(out))) {
            fail_text(channel, ERR_IO, "TLS: writing failed");
            return false;
        }
        buf_clear(out);
    }
    return true;
}

static void wire_sent(struct channel *channel, size_t n)
{
    struct buf *wire = &channel->wire;

    channel->wire_sent += n;
    if (channel->wire_sent < wire->len)
        return;
    channel->wire_sent = 0;
    buf_clear(wire);
    if (wire->cap > KEPT_MAX)
        buf_deinit(wire);
}

void channel_flush(struct channel *channel)
{
    if (channel->failed || channel->connecting || channel->fd < 0)
        return;
    while (produce(channel) && channel->wire.len > 0) {
        ssize_t n = send(channel->fd, channel->wire.data + channel->wire_sent, channel->wire.len - channel->wire_sent,
                         MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
            wait_for(channel, UV_READABLE | UV_WRITABLE);
            return;
        }
        if (n < 0) {
            fail_errno(channel, errno, "sending");
            return;
        }
        wire_sent(channel, (size_t)n);
    }
    wait_for(channel, UV_READABLE);
}

/* -- reading -- */

static void hand_up(struct channel *channel, struct str bytes)
{
    struct err err = { 0 };

    if (grpc_session_input(channel->session, bytes, &err) < 0)
        fail(channel, &err);
}

static void tls_broke(struct channel *channel)
{
    struct err err = { 0 };
    char text[256];

    err_set(&err, ERR_IO, "TLS: %s", tls_session_trouble(channel->tls, text, sizeof text));
    fail(channel, &err);
}

static void decrypt(struct channel *channel, struct str bytes)
{
    tls_session_input(channel->tls, bytes);
    while (!channel->failed) {
        int n = tls_session_read(channel->tls, channel->decrypted, PLAIN_BYTES);
        if (n == TLS_AGAIN)
            break;
        if (n == TLS_CLOSED)
            fail_text(channel, ERR_IO, "closed by the server");
        else if (n < 0)
            tls_broke(channel);
        else if (!tls_session_is_h2(channel->tls))
            fail_text(channel, ERR_IO, "TLS: the server does not speak HTTP/2");
        else
            hand_up(channel, str_of(channel->decrypted, (size_t)n));
    }
}

static void read_socket(struct channel *channel)
{
    for (int i = 0; i < READS_A_TURN && !channel->failed; i++) {
        ssize_t n = recv(channel->fd, channel->in, READ_BYTES, 0);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
            return;
        if (n < 0)
            fail_errno(channel, errno, "receiving");
        else if (n == 0)
            fail_text(channel, ERR_IO, "closed by the server");
        else if (channel->tls)
            decrypt(channel, str_of(channel->in, (size_t)n));
        else
            hand_up(channel, str_of(channel->in, (size_t)n));
        if (n < (ssize_t)READ_BYTES)
            return;
    }
}

/* -- connecting -- */

static void begin_session(struct channel *channel)
{
    const struct grpc_session_options options = {
        .authority = channel->options.endpoint->text,
        .tls = channel->options.tls != NULL,
        .max_message = channel->options.max_message,
    };
    struct err err = { 0 };

    channel->connecting = false;
    if (channel->options.tls) {
        channel->tls = tls_session_connect(channel->options.tls, channel->options.endpoint->host, &channel->wire);
        if (!channel->tls) {
            fail_text(channel, ERR_NO_MEMORY, "TLS session");
            return;
        }
        decrypt(channel, STR("")); /* says hello */
    }
    if (grpc_session_new(&options, &channel->session, &err) < 0)
        fail(channel, &err);
}

static void on_poll_closed(uv_handle_t *handle)
{
    struct channel *channel = handle->data;

    channel->handles--;
    release(channel);
}

static int socket_for(const struct addrinfo *address)
{
    int fd = socket(address->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), on = 1;

    if (fd >= 0)
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    return fd;
}

/* Begins to connect to the next address. libuv's handle stays: only one descriptor is made for each address, and put
 * in the place of the one before. */
static bool try_next(struct channel *channel)
{
    while (channel->next) {
        struct addrinfo *address = channel->next;
        int fd = socket_for(address), errnum;

        channel->next = address->ai_next;
        errnum = fd < 0 || connect(fd, address->ai_addr, address->ai_addrlen) < 0 ? errno : 0;
        if (fd >= 0 && (errnum == 0 || errnum == EINPROGRESS)) {
            if (channel->fd < 0) {
                channel->fd = fd;
            } else if (dup3(fd, channel->fd, O_CLOEXEC) < 0) {
                errnum = errno;
                close(fd);
                fail_errno(channel, errnum, "socket");
                return false;
            } else {
                close(fd);
            }
            return true;
        }
        if (fd >= 0)
            close(fd);
        if (!channel->next)
            fail_errno(channel, errnum, "connecting");
    }
    return false;
}

static void watch_socket(struct channel *channel)
{
    if (channel->polling)
        uv_poll_stop(&channel->poll);
    else if (uv_poll_init(channel->options.uv, &channel->poll, channel->fd) < 0)
        fail_text(channel, ERR_IO, "the socket cannot be polled");
    else {
        channel->polling = true;
        channel->handles++;
    }
    channel->polled = 0;
    channel->poll.data = channel;
    wait_for(channel, UV_WRITABLE);
}

static void connect_next(struct channel *channel)
{
    channel->connecting = true;
    if (channel->polling)
        uv_poll_stop(&channel->poll); /* before its descriptor becomes another socket */
    if (try_next(channel))
        watch_socket(channel);
}

static void connected(struct channel *channel)
{
    int errnum = 0;
    socklen_t len = sizeof errnum;

    if (getsockopt(channel->fd, SOL_SOCKET, SO_ERROR, &errnum, &len) < 0)
        errnum = errno;
    if (errnum == 0)
        begin_session(channel);
    else if (channel->next)
        connect_next(channel);
    else
        fail_errno(channel, errnum, "connecting");
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
    struct channel *channel = poll->data;

    if (channel->connecting)
        connected(channel);
    else if (status < 0)
        fail_errno(channel, -status, "polling");
    else if (events & UV_READABLE)
        read_socket(channel);
    if (channel->failed)
        uv_poll_stop(poll);
    channel->options.turn(channel->options.arg);
}

static void on_resolved(uv_getaddrinfo_t *request, int status, struct addrinfo *addresses)
{
    struct channel *channel = request->data;
    struct err err = { 0 };

    channel->resolving = false;
    channel->handles--;
    channel->addresses = channel->next = addresses;
    if (channel->closed) {
        release(channel);
        return;
    }
    if (status < 0) {
        err_set(&err, ERR_UNAVAILABLE, "resolving the name: %s", uv_strerror(status));
        fail(channel, &err);
    } else {
        connect_next(channel);
    }
    channel->options.turn(channel->options.arg);
}

int channel_open(const struct channel_options *options, struct channel **ret_channel, struct err *err)
{
    const struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV };
    struct channel *channel = calloc(1, sizeof *channel);
    int code;

    if (!channel)
        return err_set(err, ERR_NO_MEMORY, "connection");
    channel->options = *options;
    channel->options.tls = options->tls ? tls_context_ref(options->tls) : NULL;
    channel->fd = -1;
    channel->connecting = true;
    channel->in = malloc(READ_BYTES);
    channel->decrypted = options->tls ? malloc(PLAIN_BYTES) : NULL;
    channel->resolve.data = channel;
    if (!channel->in || (options->tls && !channel->decrypted)) {
        channel_close(channel, "");
        return err_set(err, ERR_NO_MEMORY, "connection");
    }
    code = uv_getaddrinfo(options->uv, &channel->resolve, on_resolved, options->endpoint->host, options->endpoint->port,
                          &hints);
    if (code < 0) {
        channel_close(channel, "");
        return err_set(err, ERR_UNAVAILABLE, "resolving the name: %s", uv_strerror(code));
    }
    channel->resolving = true;
    channel->handles++;
    *ret_channel = channel;
    return 0;
}

struct channel *channel_close(struct channel *channel, const char *reason)
{
    if (!channel)
        return NULL;
    channel->session = grpc_session_free(channel->session, reason);
    channel->closed = true;
    if (channel->resolving)
        uv_cancel((uv_req_t *)&channel->resolve);
    if (channel->polling)
        uv_close((uv_handle_t *)&channel->poll, on_poll_closed);
    channel->polling = false;
    release(channel);
    return NULL;
}

bool channel_is_ready(const struct channel *channel)
{
    return !channel->failed && channel->session && grpc_session_ready(channel->session);
}

int channel_check(const struct channel *channel, struct err *err)
{
    return channel->failed ? err_set(err, channel->trouble.code, "%s", channel->trouble.message) : 0;
}

struct grpc_session *channel_session(struct channel *channel)
{
    return channel->failed ? NULL : channel->session;
}
