/* load.c - a load generator for API servers: many connections, one request in flight on each.
 *
 *   load --server https://127.0.0.1:6443 --cacert ca.pem --cert admin.pem --key admin.key \
 *        --connections 64 --seconds 5 --mode create --path /api/v1/namespaces/default/configmaps --body-file cm.json
 *
 * Modes: get and list send GET, create sends POST with the file as JSON body, raw sends the file as a complete request.
 * "%d" in the path and in the file becomes a running number. It speaks HTTP/1.1 over TLS (or plain) on epoll and spends
 * as little time as it can, so that on a shared machine the server is what is measured. Latency is from the write of a
 * request to the last byte of its answer; the clock starts when all connections are up. */
#include <argp.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/file.h"

#define READ_BYTES (64u << 10)
#define MAX_FILE (16u << 20)
#define MAX_CONNECTIONS 10000
#define MAX_SECONDS 3600
#define MAX_HANDSHAKES 64 /* at once */
#define MAX_SETUP (60 * NSEC_PER_SEC)
#define SUB_BITS 5 /* 32 steps for each doubling of a latency: 3 % */
#define BUCKETS (64 << SUB_BITS)

struct options {
    const char *server, *ca, *cert, *key, *token, *mode, *path, *body_file;
    int connections, seconds;
    bool json;
};

/* Text with places where the number goes. */
struct template {
    struct str text;
    size_t marks;
};

enum state { CONNECTING, SHAKING_HANDS, READY, WAITING };

struct link {
    int fd;
    SSL *ssl;
    enum state state;
    struct buf request;
    size_t sent;
    nsec_t began;
    /* the answer */
    char head[4096];
    size_t head_len;
    bool in_body, chunked, until_close;
    int status;
    uint64_t body_left;
    char tail[7]; /* of a chunked body: it ends in "\r\n0\r\n\r\n" */
    size_t tail_len;
};

struct load {
    struct options options;
    struct clock *clock;
    struct addrinfo *address;
    char host[256], port[16];
    bool tls;
    SSL_CTX *ctx;
    int epoll;
    struct link *links;
    char *buffer;
    struct template path, body;
    struct buf file;
    uint64_t number;
    int up;
    bool running;
    nsec_t start, end;
    uint64_t answers, errors, bad_status, bytes;
    nsec_t max;
    uint32_t counts[BUCKETS];
};

/* -- latencies: a log-linear histogram -- */

static size_t bucket_of(uint64_t value)
{
    if (value < 1u << SUB_BITS)
        return value;
    int top = 63 - __builtin_clzll(value);
    return ((size_t)(top - SUB_BITS + 1) << SUB_BITS) + ((value >> (top - SUB_BITS)) & ((1u << SUB_BITS) - 1));
}

static uint64_t bucket_value(size_t bucket)
{
    size_t row = bucket >> SUB_BITS, step = bucket & ((1u << SUB_BITS) - 1);

    return row == 0 ? step : (uint64_t)(step + (1u << SUB_BITS)) << (row - 1);
}

static double percentile_ms(const struct load *load, double part)
{
    uint64_t want = (uint64_t)((double)load->answers * part), seen = 0;

    for (size_t i = 0; i < BUCKETS; i++) {
        seen += load->counts[i];
        if (seen > want)
            return (double)bucket_value(i) / 1e6;
    }
    return (double)load->max / 1e6;
}

/* -- requests -- */

static struct template make_template(struct str text)
{
    struct template template = { text, 0 };

    for (size_t i = 0; i + 1 < text.len; i++)
        template.marks += text.data[i] == '%' && text.data[i + 1] == 'd';
    return template;
}

static size_t template_len(const struct template *template, size_t number_len)
{
    return template->text.len - template->marks * 2 + template->marks * number_len;
}

static void template_add(struct buf *buf, const struct template *template, struct str number)
{
    struct str rest = template->text;
    ssize_t mark;

    while (template->marks > 0 && (mark = str_find(rest, STR("%d"))) >= 0) {
        buf_add(buf, rest.data, (size_t)mark);
        buf_add_str(buf, number);
        rest = str_skip(rest, (size_t)mark + 2);
    }
    buf_add_str(buf, rest);
}

static void make_request(struct load *load, struct buf *request)
{
    const struct options *options = &load->options;
    bool create = strcmp(options->mode, "create") == 0;
    char text[24];
    int n = snprintf(text, sizeof text, "%llu", (unsigned long long)load->number++);
    struct str number = str_of(text, (size_t)n);

    buf_clear(request);
    if (strcmp(options->mode, "raw") == 0) {
        template_add(request, &load->body, number);
        return;
    }
    buf_add_cstr(request, create ? "POST " : "GET ");
    template_add(request, &load->path, number);
    buf_add_cstr(request, " HTTP/1.1\r\nHost: ");
    buf_add_cstr(request, load->host);
    buf_add_cstr(request, "\r\nAccept: application/json\r\n");
    if (options->token)
        buf_printf(request, "Authorization: Bearer %s\r\n", options->token);
    if (create)
        buf_printf(request, "Content-Type: application/json\r\nContent-Length: %zu\r\n",
                   template_len(&load->body, number.len));
    buf_add_cstr(request, "\r\n");
    if (create)
        template_add(request, &load->body, number);
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
static int take(struct link *link, struct str bytes)
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
    if (link->chunked)
        return bytes.len > 0 && chunked_end(link, bytes);
    if (bytes.len > link->body_left)
        return -1;
    link->body_left -= bytes.len;
    return link->body_left == 0;
}

/* -- links -- */

static void watch(struct load *load, struct link *link, uint32_t events, int operation)
{
    struct epoll_event event = { .events = events, .data.ptr = link };

    epoll_ctl(load->epoll, operation, link->fd, &event);
}

static void link_close(struct link *link)
{
    SSL_free(link->ssl);
    link->ssl = NULL;
    if (link->fd >= 0)
        close(link->fd);
    link->fd = -1;
}

static bool link_open(struct load *load, struct link *link)
{
    const int on = 1;

    link_close(link);
    link->fd = socket(load->address->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (link->fd < 0)
        return false;
    setsockopt(link->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (connect(link->fd, load->address->ai_addr, load->address->ai_addrlen) < 0 && errno != EINPROGRESS)
        return false;
    link->state = CONNECTING;
    if (load->tls) {
        link->ssl = SSL_new(load->ctx);
        if (!link->ssl || !SSL_set_fd(link->ssl, link->fd) || !SSL_set_tlsext_host_name(link->ssl, load->host))
            return false;
        SSL_set_connect_state(link->ssl);
        SSL_set_read_ahead(link->ssl, 1);
    }
    watch(load, link, EPOLLOUT, EPOLL_CTL_ADD);
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

static bool link_send(struct load *load, struct link *link)
{
    struct str rest = str_skip(buf_str(&link->request), link->sent);
    ssize_t n = link_write(link, rest);

    if (n < 0)
        return false;
    link->sent += (size_t)n;
    if ((size_t)n < rest.len)
        watch(load, link, EPOLLIN | EPOLLOUT, EPOLL_CTL_MOD);
    else if (link->sent > rest.len || n == 0)
        watch(load, link, EPOLLIN, EPOLL_CTL_MOD);
    return true;
}

static bool link_next(struct load *load, struct link *link, nsec_t now)
{
    make_request(load, &link->request);
    link->state = WAITING;
    link->sent = link->head_len = 0;
    link->in_body = false;
    link->began = now;
    return buf_ok(&link->request) && link_send(load, link);
}

static void count_answer(struct load *load, struct link *link, nsec_t now)
{
    nsec_t took = now - link->began;

    load->answers++;
    load->bad_status += link->status >= 400;
    load->counts[bucket_of((uint64_t)MAX(took, 0))]++;
    load->max = MAX(load->max, took);
}

static bool link_receive(struct load *load, struct link *link)
{
    for (;;) {
        ssize_t n = link_read(link, load->buffer, READ_BYTES);
        if (n <= 0)
            return n == 0;
        load->bytes += (size_t)n;
        int result = link->state == WAITING ? take(link, str_of(load->buffer, (size_t)n)) : -1;
        if (result < 0)
            return false;
        if (result > 0) {
            nsec_t now = clock_now(load->clock);
            count_answer(load, link, now);
            if (now >= load->end)
                return true;
            return link_next(load, link, now);
        }
    }
}

static bool link_shake_hands(struct load *load, struct link *link)
{
    int n = link->ssl ? SSL_connect(link->ssl) : 1;

    if (n == 1) {
        link->state = READY;
        load->up++;
        watch(load, link, EPOLLIN, EPOLL_CTL_MOD);
        return !load->running || link_next(load, link, clock_now(load->clock));
    }
    int why = SSL_get_error(link->ssl, n);
    link->state = SHAKING_HANDS;
    watch(load, link, why == SSL_ERROR_WANT_WRITE ? EPOLLOUT : EPOLLIN, EPOLL_CTL_MOD);
    return why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE;
}

static bool link_event(struct load *load, struct link *link, uint32_t events)
{
    if (link->state == CONNECTING || link->state == SHAKING_HANDS)
        return link_shake_hands(load, link);
    if (events & EPOLLOUT && link->state == WAITING && !link_send(load, link))
        return false;
    return !(events & (EPOLLIN | EPOLLHUP | EPOLLERR)) || link_receive(load, link);
}

/* -- the run -- */

static int turn(struct load *load, int timeout_ms)
{
    struct epoll_event events[256];
    int n = epoll_wait(load->epoll, events, ARRAY_LEN(events), timeout_ms);

    for (int i = 0; i < n; i++) {
        struct link *link = events[i].data.ptr;
        if (link_event(load, link, events[i].events))
            continue;
        load->errors += link->state != READY; /* one that was not used yet may be closed */
        if (load->errors > 1000 && load->answers == 0)
            return -1;
        load->up -= link->state >= READY;
        if (!link_open(load, link))
            return -1;
    }
    return 0;
}

static int run(struct load *load)
{
    nsec_t deadline = clock_now(load->clock) + MAX_SETUP;

    for (int opened = 0; load->up < load->options.connections;) {
        for (; opened < load->options.connections && opened < load->up + MAX_HANDSHAKES; opened++)
            if (!link_open(load, &load->links[opened]))
                return -1;
        if (turn(load, 100) < 0 || clock_now(load->clock) > deadline)
            return -1;
    }
    load->running = true;
    load->start = clock_now(load->clock);
    load->end = load->start + load->options.seconds * NSEC_PER_SEC;
    for (int i = 0; i < load->options.connections; i++)
        if (!link_next(load, &load->links[i], clock_now(load->clock)))
            return -1;
    while (clock_now(load->clock) < load->end)
        if (turn(load, 10) < 0)
            return -1;
    load->end = clock_now(load->clock);
    return 0;
}

static void print_result(const struct load *load)
{
    double seconds = (double)(load->end - load->start) / 1e9;
    const char *format = load->options.json
        ? "{\"requestsPerSecond\":%.0f,\"p50ms\":%.3f,\"p90ms\":%.3f,\"p99ms\":%.3f,\"maxMs\":%.3f,\"requests\":%llu,"
          "\"badStatus\":%llu,\"errors\":%llu,\"megabytesPerSecond\":%.1f}\n"
        : "%.0f requests/s, p50 %.3f ms, p90 %.3f ms, p99 %.3f ms, max %.3f ms, %llu requests, %llu bad status, "
          "%llu errors, %.1f MB/s\n";

    printf(format, (double)load->answers / seconds, percentile_ms(load, 0.5), percentile_ms(load, 0.9),
           percentile_ms(load, 0.99), (double)load->max / 1e6, (unsigned long long)load->answers,
           (unsigned long long)load->bad_status, (unsigned long long)load->errors,
           (double)load->bytes / seconds / 1e6);
}

/* -- setting up -- */

static bool parse_server(struct load *load)
{
    struct str rest = str_from(load->options.server);
    const struct addrinfo hints = { .ai_socktype = SOCK_STREAM };
    ssize_t colon;

    load->tls = !str_has_prefix(rest, STR("http://"));
    if ((colon = str_find(rest, STR("://"))) >= 0)
        rest = str_skip(rest, (size_t)colon + 3);
    if ((colon = str_chr(rest, '/')) >= 0)
        rest.len = (size_t)colon;
    colon = str_rchr(rest, ':');
    if (colon <= 0)
        return false;
    snprintf(load->host, sizeof load->host, STR_FMT, (int)colon, rest.data);
    snprintf(load->port, sizeof load->port, STR_FMT, STR_ARG(str_skip(rest, (size_t)colon + 1)));
    return getaddrinfo(load->host, load->port, &hints, &load->address) == 0;
}

static bool make_context(struct load *load)
{
    const struct options *options = &load->options;

    load->ctx = SSL_CTX_new(TLS_client_method());
    if (!load->ctx)
        return false;
    SSL_CTX_set_mode(load->ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    if (options->ca && SSL_CTX_load_verify_locations(load->ctx, options->ca, NULL) != 1)
        return false;
    if (options->ca)
        SSL_CTX_set_verify(load->ctx, SSL_VERIFY_PEER, NULL);
    return (!options->cert || SSL_CTX_use_certificate_chain_file(load->ctx, options->cert) == 1) &&
           (!options->key || SSL_CTX_use_PrivateKey_file(load->ctx, options->key, SSL_FILETYPE_PEM) == 1);
}

static const char *prepare(struct load *load)
{
    const struct options *options = &load->options;

    load->clock = clock_real();
    load->links = calloc((size_t)options->connections, sizeof *load->links);
    load->buffer = malloc(READ_BYTES);
    load->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (!load->links || !load->buffer || load->epoll < 0)
        return "no memory";
    for (int i = 0; i < options->connections; i++)
        load->links[i].fd = -1;
    if (options->body_file && file_read(options->body_file, MAX_FILE, &load->file, NULL) < 0)
        return "the body file cannot be read";
    load->path = make_template(str_from(options->path));
    load->body = make_template(buf_str(&load->file));
    if (!parse_server(load))
        return "the server must be http(s)://host:port";
    return !load->tls || make_context(load) ? NULL : "a certificate or key cannot be used";
}

static void load_deinit(struct load *load)
{
    for (int i = 0; load->links && i < load->options.connections; i++) {
        link_close(&load->links[i]);
        buf_deinit(&load->links[i].request);
    }
    SSL_CTX_free(load->ctx);
    if (load->address)
        freeaddrinfo(load->address);
    if (load->epoll >= 0)
        close(load->epoll);
    buf_deinit(&load->file);
    free(load->links);
    free(load->buffer);
}

/* -- command line -- */

static const struct argp_option argp_options[] = {
    { "server", 's', "URL", 0, "https://host:port (or http://)", 0 },
    { "cacert", 'a', "FILE", 0, "Authority of the server; without it nothing is verified", 0 },
    { "cert", 'e', "FILE", 0, "Client certificate", 0 },
    { "key", 'k', "FILE", 0, "Its key", 0 },
    { "token", 't', "TOKEN", 0, "Bearer token", 0 },
    { "connections", 'c', "N", 0, "Connections (64)", 0 },
    { "seconds", 'd', "N", 0, "Duration (5)", 0 },
    { "mode", 'm', "MODE", 0, "get, list, create or raw (get)", 0 },
    { "path", 'p', "PATH", 0, "Path and query; %d is a running number", 0 },
    { "body-file", 'b', "FILE", 0, "Body for create, whole request for raw; %d is a running number", 0 },
    { "json", 'j', NULL, 0, "Print JSON", 0 },
    { 0 },
};

static int number_arg(struct argp_state *state, const char *text, int max)
{
    int64_t value;

    if (!str_to_i64(str_from(text), &value) || value < 1 || value > max)
        argp_error(state, "\"%s\" is not a number from 1 to %d", text, max);
    return (int)value;
}

static error_t parse_option(int key, char *arg, struct argp_state *state)
{
    struct options *options = state->input;

    switch (key) {
    case 's': options->server = arg; break;
    case 'a': options->ca = arg; break;
    case 'e': options->cert = arg; break;
    case 'k': options->key = arg; break;
    case 't': options->token = arg; break;
    case 'c': options->connections = number_arg(state, arg, MAX_CONNECTIONS); break;
    case 'd': options->seconds = number_arg(state, arg, MAX_SECONDS); break;
    case 'm': options->mode = arg; break;
    case 'p': options->path = arg; break;
    case 'b': options->body_file = arg; break;
    case 'j': options->json = true; break;
    case ARGP_KEY_END:
        if (!options->server)
            argp_error(state, "--server is needed");
        break;
    default: return ARGP_ERR_UNKNOWN;
    }
    return 0;
}

int main(int argc, char **argv)
{
    static const struct argp argp = { argp_options, parse_option, NULL, "Loads an API server and prints what it bears.",
                                      NULL, NULL, NULL };
    static struct load load = {
        .options = { .mode = "get", .path = "/", .connections = 64, .seconds = 5 },
        .epoll = -1,
    };
    const char *problem;
    int code = 0;

    argp_parse(&argp, argc, argv, 0, NULL, &load.options);
    if ((problem = prepare(&load))) {
        fprintf(stderr, "load: %s\n", problem);
        code = 1;
    } else if (run(&load) < 0) {
        fprintf(stderr, "load: the server cannot be reached or does not answer (%d of %d connections, %llu errors)\n",
                load.up, load.options.connections, (unsigned long long)load.errors);
        code = 1;
    } else {
        print_result(&load);
    }
    load_deinit(&load);
    return code;
}
