/* conn.c - moves bytes between the wire and the protocol, through TLS where there is one.
 *
 * Out: the protocol's output() writes into the loop's staging buffer; each full 16 KiB becomes one TLS record in
 * loop->out; at the end of the turn the rest is encrypted and everything goes to the kernel in one write. All three
 * buffers belong to the loop, so an idle connection holds none; only what the kernel refuses is kept, in the
 * connection's backlog, and nothing more is produced until that is gone. The TLS library's own buffers stay for a moment
 * with the few connections that asked for something last ("warm").
 *
 * Closing: conn_finish() lets output() end, says good bye (close_notify, FIN) and then reads and drops until the
 * peer has closed too, for a short while: closing a socket with unread bytes would reset it and could cost the peer
 * our last words. */
#include "net/exchange.h"

#define LINGER_TIME NSEC_PER_SEC
#define LINGER_TIME_STOPPING (NSEC_PER_SEC / 4)
#define LINGER_BYTES (1u << 20)
#define MAX_BACKLOG (1u << 20)
#define WARM_MAX 128 /* of a loop: some 4 MiB of buffers */

struct peer *peer_ref(struct peer *peer)
{
    peer->refs++;
    return peer;
}

void peer_unref(struct peer *peer)
{
    if (!peer || --peer->refs > 0)
        return;
    arena_deinit(&peer->arena);
    free(peer);
}

bool conn_init(struct conn *conn, struct loop *loop, const struct conn_io *io, struct tls_context *tls,
               const char *address)
{
    *conn = (struct conn){ .loop = loop, .io = io };
    list_init(&conn->link);
    list_init(&conn->dirty);
    list_init(&conn->warm);
    list_init(&conn->exchanges);
    buf_init(&conn->backlog, 2 * MAX_BACKLOG);
    conn->peer = calloc(1, sizeof *conn->peer);
    if (!conn->peer)
        return false;
    conn->peer->refs = 1;
    arena_init(&conn->peer->arena, 0);
    conn->peer->identity.common_name = STR("");
    memcpy(conn->peer->address, address, strnlen(address, sizeof conn->peer->address - 1));
    if (tls && !(conn->tls = tls_session_new(tls, &loop->out))) {
        peer_unref(conn->peer);
        return false;
    }
    list_append(&loop->conns, &conn->link);
    conn->want_read = true;
    conn_set_deadline(conn, loop->shared->options.head_timeout);
    return true;
}

static void drop_backlog(struct conn *conn)
{
    buf_deinit(&conn->backlog);
    arena_budget_change(&conn->loop->shared->memory, &conn->backlog_held, 0);
}

void conn_deinit(struct conn *conn)
{
    list_remove(&conn->link);
    list_remove(&conn->dirty);
    conn_cool(conn);
    tls_session_free(conn->tls);
    drop_backlog(conn);
    peer_unref(conn->peer);
}

/* -- notes for the end of the turn -- */

void conn_dirty(struct conn *conn)
{
    if (list_empty(&conn->dirty) && !conn->closed)
        list_append(&conn->loop->dirty, &conn->dirty);
}

void conn_fail(struct conn *conn)
{
    conn->failed = true;
    conn_dirty(conn);
}

void conn_finish(struct conn *conn)
{
    conn->finishing = true;
    conn_dirty(conn);
}

void conn_set_deadline(struct conn *conn, nsec_t timeout)
{
    conn->deadline = timeout > 0 ? conn->loop->now + timeout : 0;
}

static void update_wants(struct conn *conn)
{
    bool want_read = !conn->eof && (!conn->read_paused || conn->lingering);
    bool want_write = conn->backlog.len > 0;

    if (conn->closed || (want_read == conn->want_read && want_write == conn->want_write))
        return;
    conn->want_read = want_read;
    conn->want_write = want_write;
    conn->io->want(conn, want_read, want_write);
}

void conn_pause_reading(struct conn *conn, bool paused)
{
    conn->read_paused = paused;
    update_wants(conn);
}

/* -- out -- */

size_t conn_room(const struct conn *conn)
{
    size_t waiting = conn->loop->out.len + conn->loop->staged;

    if (conn->backlog.len > 0 || conn->failed || waiting >= CONN_OUT_LIMIT)
        return 0;
    return CONN_OUT_LIMIT - waiting;
}

static void encrypt(struct conn *conn, struct str bytes)
{
    if (conn->tls && !tls_session_write(conn->tls, bytes))
        conn_fail(conn);
}

static void encrypt_staged(struct conn *conn)
{
    struct loop *loop = conn->loop;

    if (loop->staged > 0)
        encrypt(conn, str_of(loop->staging, loop->staged));
    loop->staged = 0;
}

void conn_write(struct conn *conn, struct str bytes)
{
    struct loop *loop = conn->loop;

    INVARIANT(loop->owner == conn);
    if (conn->failed)
        return;
    if (!conn->tls) {
        buf_add_str(&loop->out, bytes);
        return;
    }
    while (bytes.len > 0) {
        if (loop->staged == 0 && bytes.len >= STAGING_BYTES) {
            encrypt(conn, str_first(bytes, STAGING_BYTES));
            bytes = str_skip(bytes, STAGING_BYTES);
            continue;
        }
        size_t n = MIN(bytes.len, STAGING_BYTES - loop->staged);
        memcpy(loop->staging + loop->staged, bytes.data, n);
        loop->staged += n;
        bytes = str_skip(bytes, n);
        if (loop->staged == STAGING_BYTES)
            encrypt_staged(conn);
    }
}

static void set_write_deadline(struct conn *conn)
{
    conn->write_deadline = conn->patient ? 0 : conn->loop->now + conn->loop->shared->options.stall_timeout;
}

/* Gives loop->out to the kernel; what it does not take goes to the backlog. */
static void push(struct conn *conn)
{
    struct buf *out = &conn->loop->out;
    ssize_t n = 0;

    if (!buf_ok(out))
        conn_fail(conn);
    else if (out->len > 0 && conn->backlog.len == 0)
        n = conn->io->write(conn, buf_str(out));
    if (n < 0) {
        conn_fail(conn);
    } else if ((size_t)n < out->len) {
        if (conn->backlog.len == 0)
            set_write_deadline(conn);
        buf_add(&conn->backlog, out->data + n, out->len - (size_t)n);
        if (!buf_ok(&conn->backlog) || conn->backlog.len - conn->backlog_sent > MAX_BACKLOG ||
            !arena_budget_change(&conn->loop->shared->memory, &conn->backlog_held, conn->backlog.len))
            conn_fail(conn);
    }
    buf_clear(out);
    update_wants(conn);
}

void conn_writable(struct conn *conn)
{
    struct str rest = str_skip(buf_str(&conn->backlog), conn->backlog_sent);
    ssize_t n = conn->closed || rest.len == 0 ? 0 : conn->io->write(conn, rest);

    if (conn->closed)
        return;
    if (n < 0) {
        conn_fail(conn);
        return;
    }
    conn->backlog_sent += (size_t)n;
    if (n > 0)
        set_write_deadline(conn);
    if ((size_t)n < rest.len)
        return;
    drop_backlog(conn);
    conn->backlog_sent = 0;
    conn->write_deadline = 0;
    if (conn->lingering)
        conn->io->half_close(conn);
    update_wants(conn);
    conn_dirty(conn);
}

/* -- the end -- */

static void close_now(struct conn *conn)
{
    conn->closed = true;
    list_remove(&conn->dirty);
    if (conn->proto)
        conn->proto->stop(conn);
    INVARIANT(list_empty(&conn->exchanges));
    list_remove(&conn->link);
    conn->io->close(conn);
}

static void begin_lingering(struct conn *conn)
{
    struct loop *loop = conn->loop;

    if (conn->tls) {
        tls_session_shutdown(conn->tls);
        push(conn);
    }
    conn->lingering = true;
    conn_set_deadline(conn, loop->stopping ? LINGER_TIME_STOPPING : LINGER_TIME);
    if (conn->eof)
        conn_fail(conn);
    else if (conn->backlog.len == 0)
        conn->io->half_close(conn);
    update_wants(conn);
}

bool conn_flush(struct conn *conn)
{
    struct loop *loop = conn->loop;
    bool more = false;

    if (conn->closed)
        return false;
    INVARIANT(loop->owner == NULL || loop->owner == conn);
    loop->owner = conn;
    if (!conn->failed && !conn->lingering && conn->proto)
        more = conn->proto->output(conn);
    encrypt_staged(conn);
    push(conn);
    if (conn->finishing && !more && !conn->lingering && !conn->failed && conn->backlog.len == 0)
        begin_lingering(conn);
    loop->staged = 0;
    buf_clear(&loop->out);
    loop->owner = NULL;
    if (conn->failed)
        close_now(conn);
    return more && !conn->failed && conn->backlog.len == 0;
}

bool conn_is_idle(const struct conn *conn)
{
    list_each(&conn->exchanges, exchange, struct http_exchange, link)
        if (exchange->handled)
            return false;
    return conn->backlog.len == 0;
}

void conn_tick(struct conn *conn)
{
    nsec_t now = conn->loop->now;

    if (conn->write_deadline && now >= conn->write_deadline)
        conn_fail(conn);
    else if (conn->deadline && now >= conn->deadline) {
        conn->deadline = 0;
        if (conn->proto && !conn->lingering)
            conn->proto->timeout(conn);
        else
            conn_fail(conn);
    } else if (conn->proto && conn->proto->tick && !conn->lingering) {
        conn->proto->tick(conn);
    }
}

/* -- in -- */

static void start(struct conn *conn, const struct proto *proto)
{
    conn->proto = proto;
    if (!proto->start(conn)) {
        conn->proto = NULL;
        conn_fail(conn);
    }
}

/* Without TLS nobody negotiated: HTTP/2 is known by its first words. */
static bool sniff(struct conn *conn, struct str *bytes)
{
    static const char preface[] = "PRI ";

    while (conn->sniffed_len < sizeof conn->sniffed && bytes->len > 0) {
        char c = bytes->data[0];
        *bytes = str_skip(*bytes, 1);
        conn->sniffed[conn->sniffed_len++] = c;
        if (c != preface[conn->sniffed_len - 1]) {
            start(conn, &h1_proto);
            return true;
        }
    }
    if (conn->sniffed_len < sizeof conn->sniffed)
        return false;
    start(conn, &h2_proto);
    return true;
}

static void plain_input(struct conn *conn, struct str bytes)
{
    if (!conn->proto && !conn->failed) {
        if (!sniff(conn, &bytes))
            return;
        if (!conn->failed)
            conn->proto->input(conn, str_of(conn->sniffed, conn->sniffed_len));
    }
    if (bytes.len > 0 && !conn->failed && !conn->finishing)
        conn->proto->input(conn, bytes);
}

static void hands_shaken(struct conn *conn)
{
    struct peer *peer = conn->peer;

    if (!tls_session_identity(conn->tls, &peer->arena, &peer->identity)) {
        conn_fail(conn);
        return;
    }
    start(conn, tls_session_is_h2(conn->tls) ? &h2_proto : &h1_proto);
}

void conn_cool(struct conn *conn)
{
    if (list_empty(&conn->warm))
        return;
    list_remove(&conn->warm);
    conn->loop->warm_count--;
    tls_session_keep_buffers(conn->tls, false);
}

/* A client that has sent a whole record will probably send another one soon. */
static void keep_warm(struct conn *conn)
{
    struct loop *loop = conn->loop;

    conn->warm_at = loop->now;
    if (!list_empty(&conn->warm)) {
        list_remove(&conn->warm);
    } else {
        if (loop->warm_count == WARM_MAX)
            conn_cool(list_first(&loop->warm, struct conn, warm));
        loop->warm_count++;
        tls_session_keep_buffers(conn->tls, true);
    }
    list_append(&loop->warm, &conn->warm);
}

static void tls_input(struct conn *conn, struct str bytes)
{
    struct loop *loop = conn->loop;
    int n;

    tls_session_input(conn->tls, bytes);
    do {
        n = tls_session_read(conn->tls, loop->plain, STAGING_BYTES);
        if (!conn->proto && n != TLS_FAILED && tls_session_ready(conn->tls))
            hands_shaken(conn);
        if (n > 0 && !conn->failed && !conn->finishing)
            conn->proto->input(conn, str_of(loop->plain, (size_t)n));
    } while (n > 0 && !conn->failed && !tls_session_is_drained(conn->tls));
    tls_session_input(conn->tls, STR(""));
    if (n > 0 && !conn->failed)
        keep_warm(conn);
    else
        conn_cool(conn);
    if (n == TLS_CLOSED)
        conn_eof(conn);
    else if (n == TLS_FAILED)
        conn_fail(conn);
}

void conn_input(struct conn *conn, struct str bytes)
{
    struct loop *loop = conn->loop;

    if (conn->closed || conn->failed)
        return;
    if (conn->lingering) {
        conn->lingered += bytes.len;
        if (conn->lingered > LINGER_BYTES)
            conn_fail(conn);
        return;
    }
    list_remove(&conn->link);
    list_append(&loop->conns, &conn->link);
    loop->owner = conn;
    if (conn->tls)
        tls_input(conn, bytes);
    else
        plain_input(conn, bytes);
    list_remove(&conn->dirty);
    if (conn_flush(conn))
        conn_dirty(conn);
}

void conn_eof(struct conn *conn)
{
    if (conn->closed || conn->eof)
        return;
    conn->eof = true;
    if (conn->lingering || !conn->proto)
        conn_fail(conn);
    else
        conn->proto->eof(conn);
    conn_dirty(conn);
    update_wants(conn);
}
