/* remote.c - three threads: the tunnel's, which only gathers bytes; the caller's, which takes messages apart and writes to our
 * outputs; and one that waits for standard input and signals and sends.
 *
 * The first byte of a message is its channel: 0 stdin, 1 stdout, 2 stderr, 3 the outcome, 4 the terminal's size; in v5 a message
 * of 255 and a channel ends that channel. Both directions have bounds: the tunnel is paused while GATHERED_MAX bytes wait for
 * us, and nothing is read from standard input while the tunnel is full. */
#include "cli/remote.h"

#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/sync.h"
#include "base/vec.h"
#include "cli/terminal.h"
#include "net/tunnel.h"
#include "net/websocket.h"

#define GATHERED_MAX ((size_t)1 << 20)
#define OUTCOME_MAX ((size_t)64 << 10)
#define CLOSE_CHANNEL 255

enum { CHANNEL_IN, CHANNEL_OUT, CHANNEL_ERR, CHANNEL_OUTCOME, CHANNEL_SIZE };

/* Of what is to be written to one of our outputs. */
struct piece {
    int fd;
    size_t len;
};

struct remote {
    struct session *session;
    const struct remote_options *options;
    char key[WEBSOCKET_KEY_LEN + 1];
    struct tunnel *tunnel;
    struct terminal terminal;
    struct thread sender;
    int wake, signals; /* eventfd: the sender is to end; signalfd */

    struct mutex lock;
    struct cond changed;
    struct buf gathered; /* from here on under the lock */
    int status, signal;
    bool upgraded, can_close, paused, full, closed;
    struct err err;
    struct websocket *websocket;
    struct buf to_send;

    /* The caller's thread. */
    bool inside; /* of a message whose channel is known */
    unsigned channel;
    struct buf outcome, output; /* output: of the pieces, one after the other */
    VEC(struct piece) pieces;
};

/* -- the tunnel's events -- */

static void on_head(void *ctx, int status, const struct http_header *headers, size_t count)
{
    struct remote *remote = ctx;
    struct str accept = STR_NULL, protocol = STR_NULL;

    for (size_t i = 0; i < count; i++) {
        if (str_is(headers[i].name, "sec-websocket-accept"))
            accept = headers[i].value;
        if (str_is(headers[i].name, "sec-websocket-protocol"))
            protocol = headers[i].value;
    }
    LOCKED(&remote->lock);
    remote->status = status;
    remote->upgraded = status == 101 && websocket_key_accepted(remote->key, accept);
    remote->can_close = str_is(protocol, "v5.channel.k8s.io");
    cond_broadcast(&remote->changed);
}

static void on_data(void *ctx, struct str bytes)
{
    struct remote *remote = ctx;
    bool pause;

    {
        LOCKED(&remote->lock);
        buf_add_str(&remote->gathered, bytes);
        pause = remote->gathered.len > GATHERED_MAX;
        remote->paused = remote->paused || pause;
        cond_broadcast(&remote->changed);
    }
    if (pause)
        tunnel_pause(remote->tunnel, true);
}

static void on_drained(void *ctx)
{
    struct remote *remote = ctx;

    LOCKED(&remote->lock);
    remote->full = false;
    cond_broadcast(&remote->changed);
}

static void on_closed(void *ctx, const struct err *err)
{
    struct remote *remote = ctx;

    LOCKED(&remote->lock);
    remote->closed = true;
    if (err)
        remote->err = *err;
    cond_broadcast(&remote->changed);
}

/* -- sending -- */

/* Locked. What the WebSocket wants to say goes out. */
static void flush(struct remote *remote)
{
    if (remote->to_send.len == 0)
        return;
    remote->full = tunnel_write(remote->tunnel, buf_str(&remote->to_send)) > TUNNEL_QUEUE_HIGH;
    buf_clear(&remote->to_send);
}

static void send_message(struct remote *remote, struct str message)
{
    LOCKED(&remote->lock);
    while (remote->full && !remote->closed)
        cond_wait(&remote->changed, &remote->lock);
    websocket_send(remote->websocket, message);
    flush(remote);
}

static void send_size(struct remote *remote)
{
    unsigned columns, rows;
    char text[64];

    if (!remote->options->tty || !terminal_size(&columns, &rows))
        return;
    int len = snprintf(text, sizeof text, "%c{\"Width\":%u,\"Height\":%u}", CHANNEL_SIZE, columns, rows);

    send_message(remote, str_of(text, (size_t)len));
}

/* False: standard input has ended. */
static bool send_input(struct remote *remote)
{
    char message[16385] = { CHANNEL_IN };
    ssize_t got = read(STDIN_FILENO, message + 1, sizeof message - 1);

    if (got < 0 && (errno == EINTR || errno == EAGAIN))
        return true;
    if (got > 0) {
        send_message(remote, str_of(message, (size_t)got + 1));
        return true;
    }
    if (remote->can_close)
        send_message(remote, str_of((char[]){ (char)CLOSE_CHANNEL, CHANNEL_IN }, 2));
    return false;
}

/* False: a signal that ends us. */
static bool take_signal(struct remote *remote)
{
    struct signalfd_siginfo info;

    if (read(remote->signals, &info, sizeof info) != sizeof info)
        return true;
    if (info.ssi_signo == SIGWINCH) {
        send_size(remote);
        return true;
    }
    LOCKED(&remote->lock);
    remote->signal = (int)info.ssi_signo;
    cond_broadcast(&remote->changed);
    return false;
}

static void run_sender(void *arg)
{
    struct remote *remote = arg;
    struct pollfd polls[] = {
        { .fd = remote->wake, .events = POLLIN },
        { .fd = remote->signals, .events = POLLIN },
        { .fd = remote->options->stdin_wanted ? STDIN_FILENO : -1, .events = POLLIN },
    };

    send_size(remote);
    for (;;) {
        if (poll(polls, ARRAY_LEN(polls), -1) < 0 && errno != EINTR)
            return;
        if (polls[0].revents || (polls[1].revents && !take_signal(remote)))
            return;
        if (polls[2].revents && !send_input(remote))
            polls[2].fd = -1;
    }
}

/* -- receiving -- */

static void write_all(int fd, struct str bytes)
{
    while (bytes.len) {
        ssize_t n = write(fd, bytes.data, bytes.len);

        if (n < 0 && errno != EINTR)
            return; /* nobody reads it any more; the command's outcome still counts */
        bytes = str_skip(bytes, n > 0 ? (size_t)n : 0);
    }
}

/* Only notes what is to be written: the lock is held, as the WebSocket is in use. */
static void on_message(void *ctx, struct str bytes, bool last)
{
    struct remote *remote = ctx;

    if (!remote->inside && bytes.len) {
        remote->channel = (unsigned char)bytes.data[0];
        remote->inside = true;
        bytes = str_skip(bytes, 1);
    }
    if (bytes.len && (remote->channel == CHANNEL_OUT || remote->channel == CHANNEL_ERR)) {
        struct piece piece = { remote->channel == CHANNEL_OUT ? STDOUT_FILENO : STDERR_FILENO, bytes.len };

        buf_add_str(&remote->output, bytes);
        if (vec_push(&remote->pieces, piece) < 0)
            remote->output.failed = true;
    }
    if (remote->channel == CHANNEL_OUTCOME && remote->inside)
        buf_add_str(&remote->outcome, bytes);
    if (last)
        remote->inside = false;
}

/* Not locked: whoever reads our outputs may take its time. */
static void write_pieces(struct remote *remote)
{
    size_t at = 0;

    vec_each (&remote->pieces, piece) {
        if (buf_ok(&remote->output))
            write_all(piece->fd, str_of(remote->output.data + at, piece->len));
        at += piece->len;
    }
    vec_clear(&remote->pieces);
    buf_clear(&remote->output);
}

/* -- the outcome -- */

/* The exit status in a metav1.Status: in details.causes, under ExitCode. */
static int read_outcome(struct remote *remote, int *ret_status, struct err *err)
{
    AUTO(arena) arena = arena_new(0);
    struct json *status;
    int64_t exit_code;

    if (!arena || json_parse(arena, buf_str(&remote->outcome), NULL, &status, NULL) < 0)
        return err_set(err, ERR_UNAVAILABLE, "the connection ended before the command did");
    if (str_is(json_str_at(status, "status"), "Success")) {
        *ret_status = 0;
        return 0;
    }
    const struct json *causes = json_at(status, "details.causes");

    for (uint32_t i = 0; json_is(causes, JSON_ARRAY) && i < causes->count; i++)
        if (str_is(json_str_at(&causes->items[i], "reason"), "ExitCode") &&
            str_to_i64(json_str_at(&causes->items[i], "message"), &exit_code)) {
            *ret_status = (int)(exit_code & 0xff);
            return 0;
        }
    return err_set(err, ERR_INTERNAL, STR_FMT, STR_ARG(json_str_at(status, "message")));
}

/* Locked. The answer was no 101: its body is a Status, perhaps in chunks. */
static bool read_refusal(struct remote *remote, struct err *err)
{
    AUTO(arena) arena = arena_new(0);
    struct str body = buf_str(&remote->gathered);
    ssize_t begin = str_chr(body, '{'), end = str_rchr(body, '}');
    struct json *json;

    if (arena && begin >= 0 && end > begin) {
        body = str_first(str_skip(body, (size_t)begin), (size_t)(end - begin + 1));
        if (json_parse(arena, body, NULL, &json, NULL) == 0) {
            rest_error(arena, remote->status, body, err);
            return true;
        }
    }
    if (!remote->closed)
        return false;
    err_set(err, err_from_status(remote->status, STR_NULL), "the server answers %d instead of opening a stream", remote->status);
    return true;
}

/* Locked. Waits for the answer's head. */
static int wait_for_answer(struct remote *remote, struct err *err)
{
    while (!remote->status && !remote->closed)
        cond_wait(&remote->changed, &remote->lock);
    if (!remote->status) {
        *err = remote->err;
        return err_wrap(err, -ERR_UNAVAILABLE, "the server " STR_FMT, STR_ARG(remote->session->config.server));
    }
    if (remote->upgraded)
        return 0;
    if (remote->status == 101)
        return err_set(err, ERR_UNAVAILABLE, "the server answered with another protocol");
    while (!read_refusal(remote, err))
        cond_wait(&remote->changed, &remote->lock);
    return -(int)err->code;
}

/* Locked. Until the other side closes, or a signal comes. */
static void receive(struct remote *remote)
{
    bool goes_on = true;

    while (goes_on && !remote->signal) {
        if (remote->gathered.len == 0) {
            if (remote->closed)
                return;
            cond_wait(&remote->changed, &remote->lock);
            continue;
        }
        struct buf bytes = remote->gathered;

        remote->gathered = (struct buf)BUF_INIT;
        goes_on = websocket_input(remote->websocket, buf_str(&bytes));
        flush(remote);
        buf_deinit(&bytes);
        mutex_unlock(&remote->lock);
        write_pieces(remote);
        mutex_lock(&remote->lock);
        if (remote->paused && remote->gathered.len == 0) {
            remote->paused = false;
            mutex_unlock(&remote->lock);
            tunnel_pause(remote->tunnel, false);
            mutex_lock(&remote->lock);
        }
    }
}

/* -- opening -- */

/* "https://host:port/prefix" */
static int split_url(struct str url, struct str *ret_host, int *ret_port, struct str *ret_prefix, struct err *err)
{
    static const struct str scheme = STR_INIT("https://");
    struct str rest = str_skip(url, scheme.len), host;
    int64_t port = 443;

    if (!str_has_prefix(url, scheme))
        return err_set(err, ERR_NOT_SUPPORTED, STR_FMT ": commands run over https:// only", STR_ARG(url));
    ssize_t slash = str_chr(rest, '/');

    *ret_prefix = slash < 0 ? STR("") : str_skip(rest, (size_t)slash);
    host = slash < 0 ? rest : str_first(rest, (size_t)slash);
    ssize_t colon = str_rchr(host, ':'), bracket = str_rchr(host, ']');

    if (colon > bracket) {
        if (!str_to_i64(str_skip(host, (size_t)colon + 1), &port) || port < 1 || port > 65535)
            return err_set(err, ERR_BAD_REQUEST, STR_FMT ": its port is no number", STR_ARG(url));
        host = str_first(host, (size_t)colon);
    }
    if (bracket >= 0)
        host = str_chop(str_skip(host, 1), 1);
    *ret_host = host;
    *ret_port = (int)port;
    return 0;
}

static int resolve(struct arena *arena, struct str host, struct str *ret_address, struct err *err)
{
    const struct addrinfo hints = { .ai_socktype = SOCK_STREAM };
    const char *name = arena_cstr(arena, host);
    struct addrinfo *found = NULL;
    char address[NI_MAXHOST];
    int code = name ? getaddrinfo(name, NULL, &hints, &found) : EAI_MEMORY;

    if (code == 0)
        code = getnameinfo(found->ai_addr, found->ai_addrlen, address, sizeof address, NULL, 0, NI_NUMERICHOST);
    if (found)
        freeaddrinfo(found);
    if (code != 0)
        return err_set(err, ERR_UNAVAILABLE, "finding " STR_FMT ": %s", STR_ARG(host), gai_strerror(code));
    *ret_address = arena_str(arena, str_from(address));
    return ret_address->data ? 0 : err_set(err, ERR_NO_MEMORY, "address");
}

static int write_head(struct remote *remote, struct str host, int port, struct str prefix, struct buf *head, struct err *err)
{
    bool is_v6 = str_chr(host, ':') >= 0;

    if (!websocket_key(remote->key))
        return err_set(err, ERR_INTERNAL, "no random numbers");
    buf_printf(head, "GET " STR_FMT STR_FMT " HTTP/1.1\r\nHost: %s" STR_FMT "%s:%d\r\n", STR_ARG(prefix),
               STR_ARG(remote->options->path), is_v6 ? "[" : "", STR_ARG(host), is_v6 ? "]" : "", port);
    buf_printf(head, "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %s\r\n"
                     "Sec-WebSocket-Protocol: v5.channel.k8s.io, v4.channel.k8s.io\r\nUser-Agent: caravel/" CARAVEL_VERSION
                     "\r\n", remote->key);
    if (remote->session->authorization.len)
        buf_printf(head, "Authorization: " STR_FMT "\r\n", STR_ARG(remote->session->authorization));
    buf_add_cstr(head, "\r\n");
    return buf_ok(head) ? 0 : err_set(err, ERR_NO_MEMORY, "request");
}

static int open_tunnel(struct remote *remote, struct tunnels **ret_tunnels, struct err *err)
{
    const struct tunnel_events events = { remote, on_head, on_data, on_drained, on_closed };
    const struct client_config *config = &remote->session->config;
    struct str host = STR_NULL, prefix = STR_NULL, address = STR_NULL;
    AUTO_DEINIT(buf, head) = BUF_INIT;
    int port = 0, code = split_url(config->server, &host, &port, &prefix, err);

    if (code == 0)
        code = resolve(&remote->session->arena, host, &address, err);
    if (code == 0)
        code = write_head(remote, host, port, prefix, &head, err);
    if (code < 0)
        return code;
    const struct tunnels_options options = { .ca_pem = config->ca_pem, .cert_pem = config->cert_pem,
                                             .key_pem = config->key_pem, .server_name = host, .insecure = config->insecure };

    code = tunnels_new(&options, ret_tunnels, err);
    return code == 0 ? tunnel_open(*ret_tunnels, address, port, buf_str(&head), &events, &remote->tunnel, err) : code;
}

/* -- all of it -- */

static void block_signals(struct remote *remote)
{
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGWINCH);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGHUP);
    sigaddset(&set, SIGINT);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    signal(SIGPIPE, SIG_IGN);
    remote->signals = signalfd(-1, &set, SFD_CLOEXEC);
    remote->wake = eventfd(0, EFD_CLOEXEC);
}

static int talk(struct remote *remote, int *ret_status, struct err *err)
{
    int code;

    {
        LOCKED(&remote->lock);
        code = wait_for_answer(remote, err);
    }
    if (code < 0)
        return code;
    if (remote->options->tty)
        terminal_make_raw(&remote->terminal);
    code = thread_start(&remote->sender, "input", run_sender, remote, err);
    if (code == 0) {
        LOCKED(&remote->lock);
        receive(remote);
    }
    terminal_restore(&remote->terminal);
    if (code == 0 && remote->signal)
        *ret_status = 128 + remote->signal;
    else if (code == 0)
        code = read_outcome(remote, ret_status, err);
    return code;
}

static void end(struct remote *remote, struct tunnels *tunnels)
{
    const uint64_t one = 1;

    {
        LOCKED(&remote->lock);
        remote->closed = true; /* nobody waits for room any more */
        cond_broadcast(&remote->changed);
    }
    if (remote->wake >= 0 && write(remote->wake, &one, sizeof one) == sizeof one)
        thread_join(&remote->sender);
    if (remote->tunnel)
        tunnel_close(remote->tunnel);
    tunnels_free(tunnels);
    tunnel_unref(remote->tunnel);
    websocket_free(remote->websocket);
    buf_deinit(&remote->gathered);
    buf_deinit(&remote->to_send);
    buf_deinit(&remote->outcome);
    buf_deinit(&remote->output);
    vec_deinit(&remote->pieces);
    cond_deinit(&remote->changed);
    mutex_deinit(&remote->lock);
    if (remote->signals >= 0)
        close(remote->signals);
    if (remote->wake >= 0)
        close(remote->wake);
}

int remote_run(struct session *session, const struct remote_options *options, int *ret_status, struct err *err)
{
    struct remote remote = { .session = session, .options = options };
    const struct websocket_events events = { &remote, on_message };
    struct tunnels *tunnels = NULL;
    int code = 0;

    mutex_init(&remote.lock);
    cond_init(&remote.changed);
    buf_init(&remote.outcome, OUTCOME_MAX);
    block_signals(&remote);
    remote.websocket = websocket_client_new(&events, &remote.to_send);
    if (!remote.websocket || remote.signals < 0 || remote.wake < 0)
        code = err_set(err, ERR_NO_MEMORY, "stream");
    if (code == 0)
        code = open_tunnel(&remote, &tunnels, err);
    if (code == 0)
        code = talk(&remote, ret_status, err);
    end(&remote, tunnels);
    return code;
}
