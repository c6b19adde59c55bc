/* peer.c - see peer.h. A link is a socket, a TLS session and the answer it is reading; epoll says which may go on. */
#include "bench/peer.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/file.h"

#define READ_BYTES (64u << 10)
#define MAX_HANDSHAKES 64 /* at once */
#define MAX_SETUP (120 * NSEC_PER_SEC)

/* -- latencies -- */

static size_t bucket_of(uint64_t value)
{
    if (value < 1u << HISTOGRAM_BITS)
        return value;
    int top = 63 - __builtin_clzll(value);
    return ((size_t)(top - HISTOGRAM_BITS + 1) << HISTOGRAM_BITS) +
           ((value >> (top - HISTOGRAM_BITS)) & ((1u << HISTOGRAM_BITS) - 1));
}

static uint64_t bucket_value(size_t bucket)
{
    size_t row = bucket >> HISTOGRAM_BITS, step = bucket & ((1u << HISTOGRAM_BITS) - 1);

    return row == 0 ? step : (uint64_t)(step + (1u << HISTOGRAM_BITS)) << (row - 1);
}

void histogram_add(struct histogram *histogram, nsec_t value)
{
    histogram->count++;
    histogram->counts[bucket_of((uint64_t)MAX(value, 0))]++;
    histogram->max = MAX(histogram->max, value);
}

double histogram_ms(const struct histogram *histogram, double part)
{
    uint64_t want = (uint64_t)((double)histogram->count * part), seen = 0;

    for (size_t i = 0; i < ARRAY_LEN(histogram->counts); i++) {
        seen += histogram->counts[i];
        if (seen > want)
            return (double)bucket_value(i) / 1e6;
    }
    return (double)histogram->max / 1e6;
}

/* -- requests -- */

void template_add(struct buf *buf, const struct template *template, uint64_t number)
{
    struct str rest = template->text;
    ssize_t mark;

    while ((mark = str_chr(rest, '%')) >= 0 && (size_t)mark + 1 < rest.len) {
        char what = rest.data[mark + 1];

        buf_add(buf, rest.data, (size_t)mark);
        if (what == 'd')
            buf_add_u64(buf, number);
        else if (what == 'm')
            buf_add_u64(buf, number % template->modulo);
        else
            buf_add(buf, rest.data + mark, 2);
        rest = str_skip(rest, (size_t)mark + 2);
    }
    buf_add_str(buf, rest);
}

void peer_begin_request(const struct peer *peer, struct buf *request, const char *method, struct str path,
                        const char *accept)
{
    buf_clear(request);
    buf_add_cstr(request, method); /* no printf: the server shares the processors with us */
    buf_add_char(request, ' ');
    buf_add_str(request, path);
    buf_add_cstr(request, " HTTP/1.1\r\nHost: ");
    buf_add_cstr(request, peer->host);
    buf_add_cstr(request, "\r\nAccept: ");
    buf_add_cstr(request, accept);
    buf_add_cstr(request, "\r\n");
    if (peer->options.token)
        buf_printf(request, "Authorization: Bearer %s\r\n", peer->options.token);
}

/* -- answers -- */

static struct str header_of(const struct link *link, struct str name)
{
    struct str rest = str_of(link->head, link->head_len), line;

    while (str_split(&rest, '\n', &line)) {
        ssize_t colon = str_chr(line, ':');
        if (colon > 0 && str_eq_nocase(str_first(line, (size_t)colon), name))
            return str_trim(str_skip(line, (size_t)colon + 1));
    }
    return STR_NULL;
}

static bool head_complete(struct link *link)
{
    struct str length = header_of(link, STR("content-length"));
    int64_t status;

    if (link->head_len < 12 || !str_to_i64(str_of(link->head + 9, 3), &status))
        return false;
    link->status = (int)status;
    link->in_body = true;
    link->body_left = 0;
    link->tail_len = 0;
    link->chunked = str_eq_nocase(header_of(link, STR("transfer-encoding")), STR("chunked"));
    if (status == 204 || status == 304)
        return true;
    return link->chunked || (length.data && str_to_u64(length, &link->body_left));
}

/* Keeps the last bytes of a chunked body, in which its end is seen. */
static bool chunked_end(struct link *link, struct str bytes)
{
    static const char end[7] = "\r\n0\r\n\r\n";
    char joined[2 * sizeof end];
    size_t n = MIN(bytes.len, sizeof end);

    memcpy(joined, link->tail, link->tail_len);
    memcpy(joined + link->tail_len, bytes.data + bytes.len - n, n);
    size_t total = link->tail_len + n, keep = MIN(total, sizeof end);
    memcpy(link->tail, joined + total - keep, keep);
    link->tail_len = keep;
    return (keep == sizeof end && memcmp(link->tail, end, sizeof end) == 0) ||
           (keep == 5 && memcmp(link->tail, end + 2, 5) == 0);
}

/* 1: the answer is complete; 0: more; -1: not to be understood. */
static int take(struct peer *peer, struct link *link, struct str bytes)
{
    if (!link->in_body) {
        size_t before = link->head_len, n = MIN(bytes.len, sizeof link->head - link->head_len);
        memcpy(link->head + link->head_len, bytes.data, n);
        link->head_len += n;
        ssize_t end = str_find(str_of(link->head, link->head_len), STR("\r\n\r\n"));
        if (end < 0)
            return link->head_len < sizeof link->head ? 0 : -1;
        link->head_len = (size_t)end + 2;
        bytes = str_skip(bytes, (size_t)end + 4 - before);
        if (!head_complete(link))
            return -1;
    }
    if (bytes.len > 0 && peer->events->bytes && !peer->events->bytes(peer->ctx, link, bytes))
        return -1;
    if (link->chunked)
        return bytes.len > 0 && chunked_end(link, bytes);
    if (bytes.len > link->body_left)
        return -1;
    link->body_left -= bytes.len;
    return link->body_left == 0;
}

/* -- links -- */

static void watch(struct peer *peer, struct link *link, uint32_t events, int operation)
{
    struct epoll_event event = { .events = events, .data.ptr = link };

    epoll_ctl(peer->epoll, operation, link->fd, &event);
}

void link_close(struct link *link)
{
    SSL_free(link->ssl);
    link->ssl = NULL;
    if (link->fd >= 0)
        close(link->fd);
    link->fd = -1;
}

bool link_open(struct peer *peer, struct link *link)
{
    const int on = 1;

    link_close(link);
    link->fd = socket(peer->address->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (link->fd < 0)
        return false;
    setsockopt(link->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (connect(link->fd, peer->address->ai_addr, peer->address->ai_addrlen) < 0 && errno != EINPROGRESS)
        return false;
    link->state = LINK_CONNECTING;
    if (peer->tls) {
        link->ssl = SSL_new(peer->ssl);
        if (!link->ssl || !SSL_set_fd(link->ssl, link->fd) || !SSL_set_tlsext_host_name(link->ssl, peer->host))
            return false;
        SSL_set_connect_state(link->ssl);
        SSL_set_read_ahead(link->ssl, 1);
    }
    watch(peer, link, EPOLLOUT, EPOLL_CTL_ADD);
    return true;
}

/* Bytes, 0 when the socket is not ready, -1 when it is broken or at its end. */
static ssize_t link_read(struct link *link, char *data, size_t size)
{
    if (link->ssl) {
        int n = SSL_read(link->ssl, data, (int)size);
        if (n > 0)
            return n;
        int why = SSL_get_error(link->ssl, n);
        ERR_clear_error();
        return why == SSL_ERROR_WANT_READ ? 0 : -1;
    }
    ssize_t n = recv(link->fd, data, size, 0);
    return n > 0 ? n : n < 0 && errno == EAGAIN ? 0 : -1;
}

static ssize_t link_write(struct link *link, struct str bytes)
{
    if (link->ssl) {
        int n = SSL_write(link->ssl, bytes.data, (int)bytes.len);
        if (n > 0)
            return n;
        int why = SSL_get_error(link->ssl, n);
        ERR_clear_error();
        return why == SSL_ERROR_WANT_WRITE || why == SSL_ERROR_WANT_READ ? 0 : -1;
    }
    ssize_t n = send(link->fd, bytes.data, bytes.len, MSG_NOSIGNAL);
    return n > 0 ? n : n < 0 && errno == EAGAIN ? 0 : -1;
}

static bool send_rest(struct peer *peer, struct link *link)
{
    struct str rest = str_skip(buf_str(&link->request), link->sent);
    ssize_t n = link_write(link, rest);

    if (n < 0)
        return false;
    link->sent += (size_t)n;
    if ((size_t)n < rest.len)
        watch(peer, link, EPOLLIN | EPOLLOUT, EPOLL_CTL_MOD);
    else if (link->sent > rest.len || n == 0)
        watch(peer, link, EPOLLIN, EPOLL_CTL_MOD);
    return true;
}

bool link_send(struct peer *peer, struct link *link)
{
    link->state = LINK_WAITING;
    link->sent = link->head_len = 0;
    link->in_body = false;
    link->began = clock_now(peer->clock);
    return buf_ok(&link->request) && send_rest(peer, link);
}

static bool link_receive(struct peer *peer, struct link *link)
{
    for (;;) {
        ssize_t n = link_read(link, peer->buffer, READ_BYTES);
        if (n <= 0)
            return n == 0;
        peer->bytes += (size_t)n;
        int result = link->state == LINK_WAITING ? take(peer, link, str_of(peer->buffer, (size_t)n)) : -1;
        if (result < 0)
            return false;
        if (result > 0) {
            link->state = LINK_READY;
            return peer->events->answered(peer->ctx, link);
        }
    }
}

static bool shake_hands(struct peer *peer, struct link *link)
{
    int n = link->ssl ? SSL_connect(link->ssl) : 1;

    if (n == 1) {
        link->state = LINK_READY;
        peer->up++;
        watch(peer, link, EPOLLIN, EPOLL_CTL_MOD);
        return peer->events->ready(peer->ctx, link);
    }
    int why = SSL_get_error(link->ssl, n);
    link->state = LINK_HANDSHAKE;
    watch(peer, link, why == SSL_ERROR_WANT_WRITE ? EPOLLOUT : EPOLLIN, EPOLL_CTL_MOD);
    return why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE;
}

static bool link_event(struct peer *peer, struct link *link, uint32_t events)
{
    if (link->state == LINK_CONNECTING || link->state == LINK_HANDSHAKE)
        return shake_hands(peer, link);
    if (events & EPOLLOUT && link->state == LINK_WAITING && !send_rest(peer, link))
        return false;
    return !(events & (EPOLLIN | EPOLLHUP | EPOLLERR)) || link_receive(peer, link);
}

bool peer_turn(struct peer *peer, int timeout_ms)
{
    struct epoll_event events[256];
    int n = epoll_wait(peer->epoll, events, ARRAY_LEN(events), timeout_ms);

    for (int i = 0; i < n; i++) {
        struct link *link = events[i].data.ptr;
        if (link_event(peer, link, events[i].events))
            continue;
        peer->errors += link->state != LINK_READY; /* one that was not used yet may be closed */
        peer->up -= link->state >= LINK_READY;
        if ((peer->errors > 1000 && peer->bytes == 0) || !link_open(peer, link))
            return false;
    }
    return true;
}

bool peer_connect(struct peer *peer, struct link *links, int count)
{
    nsec_t deadline = clock_now(peer->clock) + MAX_SETUP;

    for (int opened = 0; peer->up < count;) {
        for (; opened < count && opened < peer->up + MAX_HANDSHAKES; opened++)
            if (!link_open(peer, &links[opened]))
                return false;
        if (!peer_turn(peer, 100) || clock_now(peer->clock) > deadline)
            return false;
    }
    return true;
}

/* -- memory of the server -- */

static uint64_t anonymous_bytes(int pid)
{
    AUTO_DEINIT(buf, text) = BUF_INIT;
    struct str rest, line;
    char path[64];
    uint64_t kib = 0;

    snprintf(path, sizeof path, "/proc/%d/status", pid);
    if (file_read(path, 64 << 10, &text, NULL) < 0)
        return 0;
    for (rest = buf_str(&text); str_split(&rest, '\n', &line);)
        if (str_has_prefix(line, STR("RssAnon:"))) {
            line = str_trim(str_skip(line, 8));
            ssize_t end = str_chr(line, ' ');
            str_to_u64(end < 0 ? line : str_first(line, (size_t)end), &kib);
        }
    return kib << 10;
}

void peer_sample_memory(struct peer *peer)
{
    uint64_t now = peer->options.pid ? anonymous_bytes(peer->options.pid) : 0;

    if (peer->memory_before == 0)
        peer->memory_before = now;
    peer->memory_peak = MAX(peer->memory_peak, now);
}

/* -- setting up -- */

static bool parse_server(struct peer *peer)
{
    struct str rest = str_from(peer->options.server);
    const struct addrinfo hints = { .ai_socktype = SOCK_STREAM };
    ssize_t colon;

    peer->tls = !str_has_prefix(rest, STR("http://"));
    if ((colon = str_find(rest, STR("://"))) >= 0)
        rest = str_skip(rest, (size_t)colon + 3);
    if ((colon = str_chr(rest, '/')) >= 0)
        rest.len = (size_t)colon;
    colon = str_rchr(rest, ':');
    if (colon <= 0)
        return false;
    snprintf(peer->host, sizeof peer->host, STR_FMT, (int)colon, rest.data);
    snprintf(peer->port, sizeof peer->port, STR_FMT, STR_ARG(str_skip(rest, (size_t)colon + 1)));
    return getaddrinfo(peer->host, peer->port, &hints, &peer->address) == 0;
}

static bool make_context(struct peer *peer)
{
    const struct peer_options *options = &peer->options;

    peer->ssl = SSL_CTX_new(TLS_client_method());
    if (!peer->ssl)
        return false;
    SSL_CTX_set_mode(peer->ssl, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    if (options->ca && SSL_CTX_load_verify_locations(peer->ssl, options->ca, NULL) != 1)
        return false;
    if (options->ca)
        SSL_CTX_set_verify(peer->ssl, SSL_VERIFY_PEER, NULL);
    return (!options->cert || SSL_CTX_use_certificate_chain_file(peer->ssl, options->cert) == 1) &&
           (!options->key || SSL_CTX_use_PrivateKey_file(peer->ssl, options->key, SSL_FILETYPE_PEM) == 1);
}

const char *peer_init(struct peer *peer, const struct peer_events *events, void *ctx)
{
    peer->events = events;
    peer->ctx = ctx;
    peer->clock = clock_real();
    peer->buffer = malloc(READ_BYTES);
    peer->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (!peer->buffer || peer->epoll < 0)
        return "no memory";
    if (!parse_server(peer))
        return "the server must be http(s)://host:port";
    return !peer->tls || make_context(peer) ? NULL : "a certificate or key cannot be used";
}

void peer_deinit(struct peer *peer)
{
    SSL_CTX_free(peer->ssl);
    if (peer->address)
        freeaddrinfo(peer->address);
    if (peer->epoll >= 0)
        close(peer->epoll);
    free(peer->buffer);
}

/* -- command line -- */

static const struct argp_option argp_options[] = {
    { "server", 's', "URL", 0, "https://host:port (or http://)", 0 },
    { "cacert", 'a', "FILE", 0, "Authority of the server; without it nothing is verified", 0 },
    { "cert", 'e', "FILE", 0, "Client certificate", 0 },
    { "key", 'k', "FILE", 0, "Its key", 0 },
    { "token", 't', "TOKEN", 0, "Bearer token", 0 },
    { "pid", 'P', "PID", 0, "Process of the server: the memory that it adds is printed", 0 },
    { 0 },
};

static error_t parse_option(int key, char *arg, struct argp_state *state)
{
    struct peer_options *options = state->input;
    int64_t pid = 0;

    switch (key) {
    case 's': options->server = arg; break;
    case 'a': options->ca = arg; break;
    case 'e': options->cert = arg; break;
    case 'k': options->key = arg; break;
    case 't': options->token = arg; break;
    case 'P':
        if (!str_to_i64(str_from(arg), &pid) || pid <= 0)
            argp_error(state, "\"%s\" is no process", arg);
        options->pid = (int)pid;
        break;
    case ARGP_KEY_END:
        if (!options->server)
            argp_error(state, "--server is needed");
        break;
    default: return ARGP_ERR_UNKNOWN;
    }
    return 0;
}

const struct argp peer_argp = { argp_options, parse_option, NULL, NULL, NULL, NULL, NULL };
