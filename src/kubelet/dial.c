/* dial.c - one socket, perhaps with TLS over it, and the wire; the thread polls both.
 *
 * Neither side is read while the other one is behind, so a connection never holds more than one piece each way. With
 * TLS a read may have to write and a write to read: what is polled for is what OpenSSL asked for last. */
#include "kubelet/dial.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"

#define CONNECT_TIMEOUT_MS 20000
#define READ_BYTES (32u << 10)
#define OUT_MAX (8u << 20) /* the wire holds less */

struct dialer {
    struct wire *wire;
    int fd;
    SSL_CTX *context;
    SSL *ssl; /* NULL: plain */
    struct buf out; /* for the socket */
    size_t sent;
    short read_wants, write_wants; /* events without which a read, a write makes no sense */
    bool over, clean;
    char data[READ_BYTES];
};

/* -- opening -- */

static int refused(const struct dial *dial, int error, struct err *err)
{
    bool v6 = str_chr(dial->host, ':') >= 0;

    return err_set(err, ERR_UNAVAILABLE, "dial tcp %s" STR_FMT "%s:%d: %s", v6 ? "[" : "", STR_ARG(dial->host),
                   v6 ? "]" : "", dial->port,
                   error == ETIMEDOUT      ? "i/o timeout"
                   : error == ECONNREFUSED ? "connect: connection refused"
                   : error == EHOSTUNREACH ? "connect: no route to host"
                                           : "connect: cannot connect");
}

/* 0, or an errno. */
static int wait_connected(int fd)
{
    struct pollfd poll_fd = { .fd = fd, .events = POLLOUT };
    socklen_t len = sizeof(int);
    int error = 0, r;

    while ((r = poll(&poll_fd, 1, CONNECT_TIMEOUT_MS)) < 0 && errno == EINTR)
        ;
    if (r <= 0)
        return r == 0 ? ETIMEDOUT : errno;
    return getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0 ? errno : error;
}

static int open_socket(const struct dial *dial, int *ret_fd, struct err *err)
{
    const struct addrinfo hints = { .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV, .ai_socktype = SOCK_STREAM };
    char host[64], service[16];
    struct addrinfo *found = NULL;
    int on = 1, error = 0;

    snprintf(host, sizeof host, STR_FMT, STR_ARG(dial->host));
    snprintf(service, sizeof service, "%d", dial->port);
    if (dial->host.len >= sizeof host || getaddrinfo(host, service, &hints, &found) != 0)
        return err_set(err, ERR_BAD_REQUEST, "\"%s\" is not an address", host);
    int fd = socket(found->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (fd < 0)
        error = errno;
    else if (connect(fd, found->ai_addr, found->ai_addrlen) < 0)
        error = errno == EINPROGRESS ? wait_connected(fd) : errno;
    freeaddrinfo(found);
    if (error != 0) {
        if (fd >= 0)
            close(fd);
        return refused(dial, error, err);
    }
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    *ret_fd = fd;
    return 0;
}

static int tls_failed(struct err *err)
{
    unsigned long code = ERR_peek_last_error();
    const char *reason = code ? ERR_reason_error_string(code) : NULL;

    ERR_clear_error();
    return err_set(err, ERR_UNAVAILABLE, "tls: %s", reason ? reason : "the handshake was broken off");
}

static short wanted(const struct dialer *self, int result)
{
    switch (SSL_get_error(self->ssl, result)) {
    case SSL_ERROR_WANT_READ: return POLLIN;
    case SSL_ERROR_WANT_WRITE: return POLLOUT;
    default: return 0;
    }
}

static int shake_hands(struct dialer *self, struct err *err)
{
    static const unsigned char protocols[] = "\x08http/1.1";
    nsec_t until = clock_now(clock_real()) + CONNECT_TIMEOUT_MS * NSEC_PER_MSEC;
    int r;

    ERR_clear_error();
    self->context = SSL_CTX_new(TLS_client_method());
    self->ssl = self->context ? SSL_new(self->context) : NULL;
    if (!self->ssl || SSL_set_fd(self->ssl, self->fd) != 1 ||
        SSL_set_alpn_protos(self->ssl, protocols, sizeof protocols - 1) != 0)
        return tls_failed(err);
    SSL_set_mode(self->ssl, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    while ((r = SSL_connect(self->ssl)) != 1) {
        nsec_t left = until - clock_now(clock_real());
        struct pollfd poll_fd = { .fd = self->fd, .events = wanted(self, r) };

        if (!poll_fd.events)
            return tls_failed(err);
        if (left <= 0 || poll(&poll_fd, 1, (int)(left / NSEC_PER_MSEC) + 1) == 0)
            return err_set(err, ERR_UNAVAILABLE, "tls: the handshake takes too long");
    }
    return 0;
}

/* -- moving bytes -- */

/* Bytes moved; 0: not now (*ret_wants says what for); -1: the end, or broken. */
static ssize_t settle(struct dialer *self, ssize_t n, short plain, short *ret_wants)
{
    *ret_wants = 0;
    if (n > 0)
        return n;
    if (self->ssl) {
        *ret_wants = wanted(self, (int)n);
        self->clean = true; /* many close without the good bye of TLS */
        ERR_clear_error();
        return *ret_wants ? 0 : -1;
    }
    self->clean = n == 0;
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        *ret_wants = plain;
    return *ret_wants ? 0 : -1;
}

/* From the socket to the wire. */
static void take(struct dialer *self)
{
    ssize_t n;

    while (!self->over && !wire_is_full(self->wire)) {
        ERR_clear_error();
        n = self->ssl ? SSL_read(self->ssl, self->data, sizeof self->data)
                      : recv(self->fd, self->data, sizeof self->data, MSG_DONTWAIT);
        n = settle(self, n, POLLIN, &self->read_wants);
        if (n == 0)
            return;
        if (n < 0)
            self->over = true;
        else
            wire_write(self->wire, str_of(self->data, (size_t)n));
    }
}

/* What is next for the socket; empty: nothing. */
static struct str next_bytes(struct dialer *self)
{
    if (self->sent == self->out.len) {
        buf_clear(&self->out);
        self->sent = 0;
        wire_take(self->wire, &self->out);
        self->over = self->over || !buf_ok(&self->out);
    }
    return str_skip(buf_str(&self->out), self->sent);
}

/* From the wire to the socket, until one of them has enough: what the wire holds was announced once. */
static void give(struct dialer *self)
{
    struct str rest;
    ssize_t n;

    self->write_wants = 0;
    while ((rest = next_bytes(self)).len > 0 && !self->over) {
        ERR_clear_error();
        n = self->ssl ? SSL_write(self->ssl, rest.data, (int)MIN(rest.len, READ_BYTES))
                      : send(self->fd, rest.data, rest.len, MSG_NOSIGNAL | MSG_DONTWAIT);
        n = settle(self, n, POLLOUT, &self->write_wants);
        if (n == 0)
            return;
        if (n < 0)
            self->over = true;
        else
            self->sent += (size_t)n;
    }
}

static void run_once(struct dialer *self)
{
    bool full = wire_is_full(self->wire);
    struct pollfd polls[] = {
        { .fd = wire_fd(self->wire), .events = POLLIN },
        { .fd = self->fd, .events = (short)((full ? 0 : self->read_wants) | self->write_wants) },
    };

    if (polls[1].events == 0)
        polls[1].fd = -1; /* an end of it would show again and again */
    if (poll(polls, ARRAY_LEN(polls), -1) < 0)
        return;
    if (polls[0].revents)
        wire_look(self->wire);
    take(self);
    give(self);
    if (wire_is_over(self->wire) && self->sent == self->out.len)
        self->over = self->clean = true;
}

static void dialer_free(struct dialer *self)
{
    SSL_free(self->ssl);
    SSL_CTX_free(self->context);
    if (self->fd >= 0)
        close(self->fd);
    buf_deinit(&self->out);
    free(self);
}

int dial_run(const struct dial *dial, struct wire *wire, bool *ret_clean, struct err *err)
{
    struct dialer *self = calloc(1, sizeof *self);
    int code;

    if (!self)
        return err_set(err, ERR_NO_MEMORY, "connection");
    self->wire = wire;
    self->fd = -1;
    self->read_wants = POLLIN;
    buf_init(&self->out, OUT_MAX);
    code = open_socket(dial, &self->fd, err);
    if (code == 0 && dial->tls)
        code = shake_hands(self, err);
    if (code == 0 && !wire_upgrade(wire, STR("tcp")))
        code = err_set(err, ERR_BAD_REQUEST, "unable to upgrade: this connection cannot");
    while (code == 0 && !self->over)
        run_once(self);
    if (code == 0)
        *ret_clean = self->clean;
    dialer_free(self);
    return code;
}
