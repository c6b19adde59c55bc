/* tunnel.c - a thread with a loop, OpenSSL on non-blocking sockets.
 *
 *     CONNECTING --> SHAKING --> HEAD --> RAW --> OVER
 *
 * step() moves one tunnel as far as it goes now; it is called when its socket is ready and when another thread left a
 * note (more to write, go on reading, close). Other threads touch only what is under the lock, and wake the loop. */
#include "net/tunnel.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/list.h"
#include "base/sync.h"

#include <uv.h> /* after base/: both define MIN and MAX, alike */

#define OPEN_TIMEOUT (30 * NSEC_PER_SEC)
#define CLOSE_TIMEOUT (5 * NSEC_PER_SEC)
#define TICK_MS 1000
#define HEAD_MAX (16u << 10)
#define FIELDS_MAX 64
#define QUEUE_MAX (16u << 20) /* nobody who heeds the high mark gets there */
#define READ_BYTES (16u << 10)
#define READ_ROUNDS 8

enum phase { CONNECTING, SHAKING, HEAD, RAW, OVER };

struct tunnels {
    SSL_CTX *ssl;
    nsec_t open_timeout;
    struct str server_name;
    uv_loop_t uv;
    uv_async_t async;
    uv_timer_t tick;
    struct thread thread;
    struct list all; /* the loop's thread */
    char data[READ_BYTES];
    struct mutex lock;
    struct list notes; /* under lock: tunnels to step */
    bool stop;         /* under lock */
};

struct tunnel {
    atomic_uint refs;
    struct tunnels *tunnels;
    struct tunnel_events events;
    /* The loop's thread. */
    struct list link;
    uv_poll_t poll;
    int fd, wants;
    SSL *ssl;
    enum phase phase;
    bool bare; /* no head is sent nor expected */
    nsec_t deadline; /* 0: none */
    struct buf head, sending;
    size_t sent;
    /* Under tunnels->lock. */
    struct list note;
    struct buf out;
    size_t queued;
    bool started, paused, closing, full;
};

static int tls_error(struct err *err, const char *what)
{
    unsigned long code = ERR_get_error();
    const char *reason = code ? ERR_reason_error_string(code) : NULL;

    ERR_clear_error();
    return err_set(err, ERR_UNAVAILABLE, "%s: %s", what, reason ? reason : "refused by the TLS library");
}

struct tunnel *tunnel_unref(struct tunnel *tunnel)
{
    if (!tunnel || atomic_fetch_sub_explicit(&tunnel->refs, 1, memory_order_acq_rel) > 1)
        return NULL;
    SSL_free(tunnel->ssl);
    buf_deinit(&tunnel->head);
    buf_deinit(&tunnel->sending);
    buf_deinit(&tunnel->out);
    free(tunnel);
    return NULL;
}

/* -- the end of one -- */

static void on_poll_closed(uv_handle_t *handle)
{
    struct tunnel *tunnel = handle->data;

    close(tunnel->fd);
    tunnel_unref(tunnel);
}

static void end(struct tunnel *tunnel, const struct err *err)
{
    if (tunnel->phase == OVER)
        return;
    tunnel->phase = OVER;
    list_remove(&tunnel->link);
    tunnel->events.closed(tunnel->events.ctx, err);
    uv_poll_stop(&tunnel->poll);
    uv_close((uv_handle_t *)&tunnel->poll, on_poll_closed);
    if (list_empty(&tunnel->tunnels->all))
        uv_timer_stop(&tunnel->tunnels->tick);
}

static void fail(struct tunnel *tunnel, const char *what)
{
    struct err err = { 0 };

    err_set(&err, ERR_UNAVAILABLE, "%s", what);
    end(tunnel, &err);
}

/* What a call of OpenSSL waits for; false: the connection is broken or over. */
static bool wait_for(struct tunnel *tunnel, int result)
{
    struct err err = { 0 };

    switch (SSL_get_error(tunnel->ssl, result)) {
    case SSL_ERROR_WANT_READ: return true;
    case SSL_ERROR_WANT_WRITE: tunnel->wants |= UV_WRITABLE; return true;
    case SSL_ERROR_ZERO_RETURN:
        if (tunnel->phase == RAW)
            end(tunnel, NULL);
        else
            fail(tunnel, "the connection was closed before there was an answer");
        return false;
    case SSL_ERROR_SYSCALL:
        err_errno(&err, errno ? errno : ECONNRESET, "the connection broke");
        err.code = ERR_UNAVAILABLE;
        break;
    default: tls_error(&err, "the connection broke"); break;
    }
    ERR_clear_error();
    end(tunnel, &err);
    return false;
}

/* -- opening -- */

static bool finish_connect(struct tunnel *tunnel)
{
    struct err err = { 0 };
    socklen_t len = sizeof(int);
    int code = 0;

    if (getsockopt(tunnel->fd, SOL_SOCKET, SO_ERROR, &code, &len) < 0 || code != 0) {
        err_errno(&err, code ? code : errno, "connecting");
        err.code = ERR_UNAVAILABLE;
        end(tunnel, &err);
        return false;
    }
    struct sockaddr_storage peer;

    len = sizeof peer;
    if (getpeername(tunnel->fd, (struct sockaddr *)&peer, &len) < 0) {
        tunnel->wants |= UV_WRITABLE;
        return false;
    }
    tunnel->phase = SHAKING;
    return true;
}

static bool shake_hands(struct tunnel *tunnel)
{
    ERR_clear_error();
    errno = 0;
    int n = SSL_connect(tunnel->ssl);

    if (n == 1) {
        tunnel->phase = tunnel->bare ? RAW : HEAD;
        if (tunnel->bare)
            tunnel->deadline = 0;
        return true;
    }
    wait_for(tunnel, n);
    return false;
}

/* -- writing -- */

/* What is next to send; empty: nothing. */
static struct str next_bytes(struct tunnel *tunnel)
{
    if (tunnel->sent == tunnel->sending.len) {
        LOCKED(&tunnel->tunnels->lock);
        buf_deinit(&tunnel->sending);
        tunnel->sending = tunnel->out;
        tunnel->out = (struct buf)BUF_INIT;
        buf_init(&tunnel->out, QUEUE_MAX);
        tunnel->sent = 0;
    }
    return str_skip(buf_str(&tunnel->sending), tunnel->sent);
}

static void note_sent(struct tunnel *tunnel, size_t count)
{
    bool drained;

    tunnel->sent += count;
    {
        LOCKED(&tunnel->tunnels->lock);
        tunnel->queued -= count;
        drained = tunnel->full && tunnel->queued < TUNNEL_QUEUE_LOW;
        if (drained)
            tunnel->full = false;
    }
    if (drained)
        tunnel->events.drained(tunnel->events.ctx);
}

/* False: the tunnel is over. */
static bool write_queued(struct tunnel *tunnel)
{
    struct str bytes;

    while ((bytes = next_bytes(tunnel)).len > 0) {
        ERR_clear_error();
        errno = 0;
        int n = SSL_write(tunnel->ssl, bytes.data, (int)MIN(bytes.len, READ_BYTES));
        if (n <= 0)
            return wait_for(tunnel, n);
        note_sent(tunnel, (size_t)n);
    }
    return true;
}

/* -- reading -- */

static bool parse_head(char *head, size_t len, int *ret_status, struct http_header *fields, size_t *ret_count)
{
    struct str rest = str_of(head, len), line;
    size_t count = 0;
    int64_t status;

    if (!str_split(&rest, '\n', &line) || !str_has_prefix(line, STR("HTTP/1.1 ")) ||
        !str_to_i64(str_first(str_skip(line, 9), 3), &status))
        return false;
    while (str_split(&rest, '\n', &line) && (line = str_trim(line)).len > 0) {
        ssize_t colon = str_chr(line, ':');

        if (colon <= 0 || count == FIELDS_MAX)
            return false;
        for (char *c = (char *)line.data; c < line.data + colon; c++)
            *c = *c >= 'A' && *c <= 'Z' ? (char)(*c - 'A' + 'a') : *c;
        fields[count++] = (struct http_header){ str_first(line, (size_t)colon),
                                                str_trim(str_skip(line, (size_t)colon + 1)) };
    }
    *ret_status = (int)status;
    *ret_count = count;
    return true;
}

static bool take_head(struct tunnel *tunnel, struct str bytes)
{
    struct http_header fields[FIELDS_MAX];
    ssize_t end_of_head;
    size_t count;
    int status;

    buf_add_str(&tunnel->head, bytes);
    end_of_head = str_find(buf_str(&tunnel->head), STR("\r\n\r\n"));
    if (end_of_head < 0 && buf_ok(&tunnel->head))
        return true;
    if (end_of_head < 0 || !parse_head(tunnel->head.data, (size_t)end_of_head + 4, &status, fields, &count)) {
        fail(tunnel, "the answer is not HTTP/1.1");
        return false;
    }
    tunnel->phase = RAW;
    tunnel->deadline = 0;
    tunnel->events.head(tunnel->events.ctx, status, fields, count);
    bytes = str_skip(buf_str(&tunnel->head), (size_t)end_of_head + 4);
    if (bytes.len > 0)
        tunnel->events.data(tunnel->events.ctx, bytes);
    buf_deinit(&tunnel->head);
    return true;
}

static bool may_read(struct tunnel *tunnel)
{
    LOCKED(&tunnel->tunnels->lock);
    return !tunnel->paused && !tunnel->closing;
}

/* Under the lock: has the loop step this tunnel. False: it takes no more. */
static bool post(struct tunnel *tunnel)
{
    if (tunnel->tunnels->stop)
        return false;
    if (list_empty(&tunnel->note)) {
        atomic_fetch_add_explicit(&tunnel->refs, 1, memory_order_relaxed);
        list_append(&tunnel->tunnels->notes, &tunnel->note);
    }
    uv_async_send(&tunnel->tunnels->async);
    return true;
}

static void read_some(struct tunnel *tunnel)
{
    struct tunnels *tunnels = tunnel->tunnels;

    for (int i = 0; i < READ_ROUNDS; i++) {
        if (!may_read(tunnel))
            return;
        ERR_clear_error();
        errno = 0;
        int n = SSL_read(tunnel->ssl, tunnels->data, sizeof tunnels->data);
        if (n <= 0) {
            if (wait_for(tunnel, n))
                tunnel->wants |= UV_READABLE;
            return;
        }
        struct str bytes = str_of(tunnels->data, (size_t)n);

        if (tunnel->phase == RAW)
            tunnel->events.data(tunnel->events.ctx, bytes);
        else if (!take_head(tunnel, bytes))
            return;
    }
    LOCKED(&tunnels->lock);
    post(tunnel); /* what OpenSSL holds already does not show on the socket: others first, then more */
}

/* -- one round -- */

static void step(struct tunnel *tunnel);

static void on_poll(uv_poll_t *poll, int status, int events)
{
    step(poll->data);
}

static void finish_closing(struct tunnel *tunnel)
{
    nsec_t now = clock_now(clock_real());

    if (tunnel->phase >= HEAD && str_skip(buf_str(&tunnel->sending), tunnel->sent).len > 0) {
        if (tunnel->deadline == 0)
            tunnel->deadline = now + CLOSE_TIMEOUT;
        return;
    }
    if (tunnel->phase >= HEAD)
        SSL_shutdown(tunnel->ssl);
    ERR_clear_error();
    end(tunnel, NULL);
}

static void step(struct tunnel *tunnel)
{
    bool closing;

    if (tunnel->phase == OVER)
        return;
    tunnel->wants = 0;
    if (tunnel->phase == CONNECTING)
        finish_connect(tunnel);
    if (tunnel->phase == SHAKING && !shake_hands(tunnel) && tunnel->phase == SHAKING)
        tunnel->wants |= UV_READABLE;
    if (tunnel->phase >= HEAD && tunnel->phase != OVER && write_queued(tunnel))
        read_some(tunnel);
    if (tunnel->phase == OVER)
        return;
    {
        LOCKED(&tunnel->tunnels->lock);
        closing = tunnel->closing;
    }
    if (closing) {
        finish_closing(tunnel);
        if (tunnel->phase == OVER)
            return;
    }
    /* While its reader is behind, nothing is waited for: an end would show again and again. It is seen later. */
    if (tunnel->wants == 0)
        uv_poll_stop(&tunnel->poll);
    else if (uv_poll_start(&tunnel->poll, tunnel->wants, on_poll) < 0)
        fail(tunnel, "the connection cannot be watched");
}

/* -- the thread -- */

static void on_tick(uv_timer_t *timer)
{
    struct tunnels *tunnels = timer->data;
    nsec_t now = clock_now(clock_real());

    list_each(&tunnels->all, tunnel, struct tunnel, link)
        if (tunnel->deadline && now >= tunnel->deadline)
            fail(tunnel, "no answer in time");
}

static void start(struct tunnel *tunnel)
{
    struct tunnels *tunnels = tunnel->tunnels;
    struct err err = { 0 };

    tunnel->started = true;
    tunnel->poll.data = tunnel;
    if (uv_poll_init(&tunnels->uv, &tunnel->poll, tunnel->fd) < 0) {
        err_set(&err, ERR_UNAVAILABLE, "the connection cannot be watched");
        tunnel->phase = OVER;
        tunnel->events.closed(tunnel->events.ctx, &err);
        close(tunnel->fd);
        tunnel_unref(tunnel);
        return;
    }
    list_append(&tunnels->all, &tunnel->link);
    tunnel->deadline = clock_now(clock_real()) + tunnels->open_timeout;
    if (!uv_is_active((uv_handle_t *)&tunnels->tick))
        uv_timer_start(&tunnels->tick, on_tick, TICK_MS, TICK_MS);
    step(tunnel);
}

static struct tunnel *next_note(struct tunnels *tunnels, struct list *round)
{
    LOCKED(&tunnels->lock);
    struct tunnel *tunnel = list_first(round, struct tunnel, note);

    if (tunnel)
        list_remove(&tunnel->note);
    return tunnel;
}

/* Notes that are left meanwhile wait for the next wake-up, so that one busy tunnel does not keep out the sockets. */
static void take_notes(struct tunnels *tunnels)
{
    struct tunnel *tunnel;
    struct list round;

    list_init(&round);
    {
        LOCKED(&tunnels->lock);
        while (!list_empty(&tunnels->notes)) {
            struct list *item = tunnels->notes.next;

            list_remove(item);
            list_append(&round, item);
        }
    }
    while ((tunnel = next_note(tunnels, &round))) {
        if (tunnel->started)
            step(tunnel);
        else
            start(tunnel);
        tunnel_unref(tunnel); /* the note's */
    }
}

static void stop(struct tunnels *tunnels)
{
    struct tunnel *tunnel;

    while ((tunnel = list_first(&tunnels->all, struct tunnel, link)))
        fail(tunnel, "the server is shutting down");
    uv_timer_stop(&tunnels->tick);
    uv_close((uv_handle_t *)&tunnels->tick, NULL);
    uv_close((uv_handle_t *)&tunnels->async, NULL);
}

static void on_async(uv_async_t *async)
{
    struct tunnels *tunnels = async->data;
    bool stopping;

    {
        LOCKED(&tunnels->lock);
        stopping = tunnels->stop; /* then no more notes come after those taken now */
    }
    take_notes(tunnels);
    if (stopping && !uv_is_closing((uv_handle_t *)async))
        stop(tunnels);
}

static void run(void *arg)
{
    struct tunnels *tunnels = arg;

    uv_run(&tunnels->uv, UV_RUN_DEFAULT);
}

/* -- for the others -- */

/* Every certificate of the bundle; there must be one. */
static bool trust(SSL_CTX *ssl, struct str pem)
{
    BIO *bio = BIO_new_mem_buf(pem.data, (int)pem.len);
    bool good = bio;
    X509 *cert;
    int count = 0;

    if (!pem.len) {
        BIO_free(bio);
        return SSL_CTX_set_default_verify_paths(ssl) == 1;
    }
    while (good && (cert = PEM_read_bio_X509(bio, NULL, NULL, NULL))) {
        good = X509_STORE_add_cert(SSL_CTX_get_cert_store(ssl), cert) == 1;
        X509_free(cert);
        count++;
    }
    BIO_free(bio);
    if (good && count)
        ERR_clear_error(); /* the end of the text shows as one */
    return good && count;
}

static bool use_identity(SSL_CTX *ssl, struct str cert_pem, struct str key_pem)
{
    BIO *cert_bio = BIO_new_mem_buf(cert_pem.data, (int)cert_pem.len);
    BIO *key_bio = BIO_new_mem_buf(key_pem.data, (int)key_pem.len);
    X509 *cert = cert_bio ? PEM_read_bio_X509(cert_bio, NULL, NULL, NULL) : NULL;
    EVP_PKEY *key = key_bio ? PEM_read_bio_PrivateKey(key_bio, NULL, NULL, NULL) : NULL;
    bool good = cert && key && SSL_CTX_use_certificate(ssl, cert) == 1 && SSL_CTX_use_PrivateKey(ssl, key) == 1;

    EVP_PKEY_free(key);
    X509_free(cert);
    BIO_free(key_bio);
    BIO_free(cert_bio);
    return good;
}

static bool use_credentials(SSL_CTX *ssl, const struct tunnels_options *options)
{
    return trust(ssl, options->ca_pem) &&
           (!options->cert_pem.len || use_identity(ssl, options->cert_pem, options->key_pem));
}

static int make_tls(struct tunnels *tunnels, const struct tunnels_options *options, struct err *err)
{
    static const unsigned char protocols[] = "\x08http/1.1";

    tunnels->ssl = SSL_CTX_new(TLS_client_method());
    if (!tunnels->ssl || SSL_CTX_set_min_proto_version(tunnels->ssl, TLS1_2_VERSION) != 1 ||
        SSL_CTX_set_alpn_protos(tunnels->ssl, protocols, sizeof protocols - 1) != 0 ||
        !use_credentials(tunnels->ssl, options))
        return tls_error(err, "TLS credentials");
    SSL_CTX_set_verify(tunnels->ssl, options->insecure ? SSL_VERIFY_NONE : SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_mode(tunnels->ssl, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                                       SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_session_cache_mode(tunnels->ssl, SSL_SESS_CACHE_OFF);
    return 0;
}

static int make_loop(struct tunnels *tunnels, struct err *err)
{
    if (uv_loop_init(&tunnels->uv) < 0)
        return err_set(err, ERR_NO_MEMORY, "event loop");
    tunnels->async.data = tunnels->tick.data = tunnels;
    if (uv_async_init(&tunnels->uv, &tunnels->async, on_async) < 0) {
        uv_loop_close(&tunnels->uv);
        return err_set(err, ERR_IO, "event loop: no file descriptor for waking it");
    }
    uv_timer_init(&tunnels->uv, &tunnels->tick);
    return 0;
}

static void free_parts(struct tunnels *tunnels)
{
    SSL_CTX_free(tunnels->ssl);
    mutex_deinit(&tunnels->lock);
    free(tunnels);
}

int tunnels_new(const struct tunnels_options *options, struct tunnels **ret_tunnels, struct err *err)
{
    struct tunnels *tunnels = calloc(1, sizeof *tunnels);
    int code;

    if (!tunnels)
        return err_set(err, ERR_NO_MEMORY, "tunnels");
    tunnels->server_name = options->server_name;
    tunnels->open_timeout = options->open_timeout ? options->open_timeout : OPEN_TIMEOUT;
    mutex_init(&tunnels->lock);
    list_init(&tunnels->all);
    list_init(&tunnels->notes);
    code = make_tls(tunnels, options, err);
    if (code == 0)
        code = make_loop(tunnels, err);
    if (code < 0) {
        free_parts(tunnels);
        return code;
    }
    code = thread_start(&tunnels->thread, "tunnels", run, tunnels, err);
    if (code < 0) {
        stop(tunnels);
        run(tunnels);
        uv_loop_close(&tunnels->uv);
        free_parts(tunnels);
        return code;
    }
    *ret_tunnels = tunnels;
    return 0;
}

struct tunnels *tunnels_free(struct tunnels *tunnels)
{
    if (!tunnels)
        return NULL;
    {
        LOCKED(&tunnels->lock);
        tunnels->stop = true;
        uv_async_send(&tunnels->async);
    }
    thread_join(&tunnels->thread);
    uv_loop_close(&tunnels->uv);
    free_parts(tunnels);
    return NULL;
}

static int open_socket(struct str host, int port, int *ret_fd, struct err *err)
{
    static const struct {
        int level, name, value;
    } options[] = {
        { IPPROTO_TCP, TCP_NODELAY, 1 },   { SOL_SOCKET, SO_KEEPALIVE, 1 }, { IPPROTO_TCP, TCP_KEEPIDLE, 15 },
        { IPPROTO_TCP, TCP_KEEPINTVL, 5 }, { IPPROTO_TCP, TCP_KEEPCNT, 3 },
    };
    const struct addrinfo hints = { .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV, .ai_socktype = SOCK_STREAM };
    char name[64], service[16];
    struct addrinfo *found = NULL;

    snprintf(name, sizeof name, STR_FMT, STR_ARG(host));
    snprintf(service, sizeof service, "%d", port);
    if (getaddrinfo(name, service, &hints, &found) != 0)
        return err_set(err, ERR_INVALID, "\"%s\" is not an address", name);
    int fd = socket(found->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), code = 0;

    for (size_t i = 0; fd >= 0 && i < ARRAY_LEN(options); i++) /* none is vital */
        (void)setsockopt(fd, options[i].level, options[i].name, &options[i].value, sizeof options[i].value);
    if (fd < 0 || (connect(fd, found->ai_addr, found->ai_addrlen) < 0 && errno != EINPROGRESS)) {
        code = err_errno(err, errno, "connecting to %s:%d", name, port);
        if (fd >= 0)
            close(fd);
    }
    freeaddrinfo(found);
    if (code == 0)
        *ret_fd = fd;
    return code;
}

static bool expect_peer(SSL *ssl, struct str server_name, struct str host)
{
    char name[256];

    snprintf(name, sizeof name, STR_FMT, STR_ARG(server_name.len ? server_name : host));
    if (X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), name) == 1)
        return true;
    ERR_clear_error();
    return server_name.len && X509_VERIFY_PARAM_set1_host(SSL_get0_param(ssl), name, 0) == 1 &&
           SSL_set_tlsext_host_name(ssl, name) == 1;
}

static bool make_session(struct tunnel *tunnel, struct str host)
{
    tunnel->ssl = SSL_new(tunnel->tunnels->ssl);
    return tunnel->ssl && expect_peer(tunnel->ssl, tunnel->tunnels->server_name, host) &&
           SSL_set_fd(tunnel->ssl, tunnel->fd) == 1;
}

int tunnel_open(struct tunnels *tunnels, struct str host, int port, struct str head,
                const struct tunnel_events *events, struct tunnel **ret_tunnel, struct err *err)
{
    struct tunnel *tunnel = calloc(1, sizeof *tunnel);
    bool posted = false;
    int code;

    if (!tunnel)
        return err_set(err, ERR_NO_MEMORY, "tunnel");
    *tunnel = (struct tunnel){ .refs = 2, .tunnels = tunnels, .events = *events, .fd = -1,
                               .bare = str_empty(head) };
    list_init(&tunnel->link);
    list_init(&tunnel->note);
    buf_init(&tunnel->head, HEAD_MAX);
    buf_init(&tunnel->out, QUEUE_MAX);
    buf_add_str(&tunnel->out, head);
    tunnel->queued = head.len;
    code = open_socket(host, port, &tunnel->fd, err);
    if (code == 0 && (!buf_ok(&tunnel->out) || !make_session(tunnel, host)))
        code = tls_error(err, "TLS session");
    if (code == 0) {
        LOCKED(&tunnels->lock);
        *ret_tunnel = tunnel;
        posted = post(tunnel);
    }
    if (posted)
        return 0;
    if (code == 0) {
        code = err_set(err, ERR_UNAVAILABLE, "the server is shutting down");
        *ret_tunnel = NULL;
    }
    if (tunnel->fd >= 0)
        close(tunnel->fd);
    tunnel_unref(tunnel);
    tunnel_unref(tunnel);
    return code;
}

size_t tunnel_write(struct tunnel *tunnel, struct str bytes)
{
    LOCKED(&tunnel->tunnels->lock);
    if (tunnel->closing)
        return 0;
    buf_add_str(&tunnel->out, bytes);
    if (!buf_ok(&tunnel->out)) { /* a gap in the stream would be a lie: break it off */
        tunnel->closing = true;
        buf_clear(&tunnel->out);
    } else {
        tunnel->queued += bytes.len;
        tunnel->full = tunnel->full || tunnel->queued > TUNNEL_QUEUE_HIGH;
    }
    post(tunnel);
    return tunnel->queued;
}

void tunnel_pause(struct tunnel *tunnel, bool paused)
{
    LOCKED(&tunnel->tunnels->lock);
    if (tunnel->paused == paused)
        return;
    tunnel->paused = paused;
    if (!paused)
        post(tunnel);
}

void tunnel_close(struct tunnel *tunnel)
{
    LOCKED(&tunnel->tunnels->lock);
    tunnel->closing = true;
    post(tunnel);
}
