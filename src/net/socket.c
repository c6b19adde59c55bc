/* socket.c - the loop's thread and its sockets.
 *
 * Sockets are polled, read and written directly rather than through uv_stream: one read buffer serves all
 * connections, and what the kernel does not take at once is waited for, with no write requests to allocate. Each
 * callback is a turn: loop_begin(), work, loop_end(). */
#include "net/socket.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/conn.h"

#define READ_BYTES (64u << 10)
#define MAX_TICK_MS 500
#define MIN_TICK_MS 5
#define STOPPING_TICK_MS 20
#define STOP_GRACE (5 * NSEC_PER_SEC)  /* for replies under way */
#define STOP_LIMIT (15 * NSEC_PER_SEC) /* for handlers that do not end their exchanges */

struct socket {
    struct conn conn;
    uv_poll_t poll;
    int fd;
    struct loop_thread *thread;
};

static struct socket *socket_of(struct conn *conn)
{
    return container_of(conn, struct socket, conn);
}

/* -- conn_io -- */

static ssize_t socket_write(struct conn *conn, struct str bytes)
{
    ssize_t n;

    do
        n = send(socket_of(conn)->fd, bytes.data, bytes.len, MSG_NOSIGNAL | MSG_DONTWAIT);
    while (n < 0 && errno == EINTR);
    return n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK) ? 0 : n;
}

static void on_poll(uv_poll_t *poll, int status, int events);

/* Without reading, the peer's end would go unnoticed: then a disconnect is asked for instead. */
static void socket_want(struct conn *conn, bool read, bool write)
{
    struct socket *self = socket_of(conn);
    int events = (read ? UV_READABLE : conn->eof ? 0 : UV_DISCONNECT) | (write ? UV_WRITABLE : 0);

    if (events == 0)
        uv_poll_stop(&self->poll);
    else if (uv_poll_start(&self->poll, events, on_poll) < 0)
        conn_fail(conn);
}

static void socket_half_close(struct conn *conn)
{
    shutdown(socket_of(conn)->fd, SHUT_WR);
}

static void give_up(struct loop_thread *thread, int fd)
{
    close(fd);
    atomic_fetch_sub_explicit(&thread->load, 1, memory_order_relaxed);
    atomic_fetch_sub_explicit(&thread->loop.shared->connections, 1, memory_order_relaxed);
}

static void on_closed(uv_handle_t *handle)
{
    struct socket *self = handle->data;

    conn_deinit(&self->conn);
    free(self);
}

static void socket_close(struct conn *conn)
{
    struct socket *self = socket_of(conn);
    struct loop_thread *thread = self->thread;

    uv_poll_stop(&self->poll);
    uv_close((uv_handle_t *)&self->poll, on_closed);
    give_up(thread, self->fd);
}

static const struct conn_io socket_io = {
    .write = socket_write,
    .want = socket_want,
    .half_close = socket_half_close,
    .close = socket_close,
};

static void socket_read(struct socket *self)
{
    ssize_t n;

    do
        n = recv(self->fd, self->thread->read_buffer, READ_BYTES, MSG_DONTWAIT);
    while (n < 0 && errno == EINTR);
    if (n > 0)
        conn_input(&self->conn, str_of(self->thread->read_buffer, (size_t)n));
    else if (n == 0)
        conn_eof(&self->conn);
    else if (errno != EAGAIN && errno != EWOULDBLOCK)
        conn_fail(&self->conn);
}

static void turn_over(struct loop_thread *thread);

static void on_poll(uv_poll_t *poll, int status, int events)
{
    struct socket *self = poll->data;
    struct loop_thread *thread = self->thread;

    loop_begin(&thread->loop);
    if (status < 0) {
        conn_fail(&self->conn);
    } else {
        if (events & UV_WRITABLE)
            conn_writable(&self->conn);
        if (events & UV_READABLE)
            socket_read(self);
        else if (events & UV_DISCONNECT)
            conn_fail(&self->conn);
    }
    turn_over(thread);
}

static void set_options(int fd)
{
    static const struct {
        int level, name, value;
    } options[] = {
        { IPPROTO_TCP, TCP_NODELAY, 1 },    { SOL_SOCKET, SO_KEEPALIVE, 1 },  { IPPROTO_TCP, TCP_KEEPIDLE, 30 },
        { IPPROTO_TCP, TCP_KEEPINTVL, 10 }, { IPPROTO_TCP, TCP_KEEPCNT, 3 },
    };

    for (size_t i = 0; i < ARRAY_LEN(options); i++) /* none is vital */
        (void)setsockopt(fd, options[i].level, options[i].name, &options[i].value, sizeof options[i].value);
}

static unsigned tick_ms(const struct loop_thread *thread)
{
    const struct http_server_options *options = &thread->loop.shared->options;
    nsec_t shortest = MIN(options->head_timeout, MIN(options->idle_timeout, options->stall_timeout));

    return (unsigned)MAX(MIN_TICK_MS, MIN(MAX_TICK_MS, shortest / 4 / NSEC_PER_MSEC));
}

static void on_tick(uv_timer_t *timer);

void loop_thread_tick(struct loop_thread *thread)
{
    unsigned ms = thread->loop.stopping ? STOPPING_TICK_MS : tick_ms(thread);

    if (!uv_is_active((uv_handle_t *)&thread->tick))
        uv_timer_start(&thread->tick, on_tick, ms, ms);
}

static void on_given_up(uv_handle_t *handle)
{
    free(handle->data);
}

void socket_open(struct loop_thread *thread, const struct accepted *accepted)
{
    bool welcome = !thread->loop.stopping && (!accepted->crowded || loop_make_room(&thread->loop));
    struct socket *self = welcome ? calloc(1, sizeof *self) : NULL;

    if (!self || uv_poll_init(&thread->uv, &self->poll, accepted->fd) < 0) {
        free(self);
        give_up(thread, accepted->fd);
        return;
    }
    self->poll.data = self;
    if (!conn_init(&self->conn, &thread->loop, &socket_io, thread->loop.shared->options.tls, accepted->address)) {
        uv_close((uv_handle_t *)&self->poll, on_given_up);
        give_up(thread, accepted->fd);
        return;
    }
    self->fd = accepted->fd;
    self->thread = thread;
    set_options(self->fd);
    uv_poll_start(&self->poll, UV_READABLE, on_poll);
    loop_thread_tick(thread);
}

/* -- the thread -- */

static void close_handles(struct loop_thread *thread)
{
    {
        LOCKED(&thread->loop.lock);
        thread->loop.dead = true;
        thread->loop.wake = NULL;
    }
    thread->closing = true;
    uv_timer_stop(&thread->tick);
    uv_close((uv_handle_t *)&thread->tick, NULL);
    uv_close((uv_handle_t *)&thread->async, NULL);
}

static void begin_stop(struct loop_thread *thread)
{
    struct loop *loop = &thread->loop;

    if (thread->acceptor) {
        acceptor_close(thread->acceptor);
        thread->acceptor = NULL;
    }
    thread->kill_at = loop->now + STOP_GRACE;
    thread->stop_at = loop->now + STOP_LIMIT;
    loop_stop(loop);
    uv_timer_stop(&thread->tick);
    loop_thread_tick(thread);
}

static void turn_over(struct loop_thread *thread)
{
    struct loop *loop = &thread->loop;

    loop_end(loop);
    if (loop->stopping && !thread->closing && (loop_is_empty(loop) || loop->now >= thread->stop_at))
        close_handles(thread);
}

static void on_tick(uv_timer_t *timer)
{
    struct loop_thread *thread = timer->data;
    struct loop *loop = &thread->loop;

    loop_begin(loop);
    if (loop->stopping && loop->now >= thread->kill_at)
        loop_kill(loop);
    if (thread->acceptor)
        acceptor_retry(thread->acceptor);
    loop_tick(loop);
    if (list_empty(&loop->conns) && !loop->stopping)
        uv_timer_stop(timer); /* an idle server does not wake up */
    turn_over(thread);
}

/* One of those handed over; false when there is none. */
static bool next_accepted(struct loop_thread *thread, struct accepted *ret_accepted)
{
    LOCKED(&thread->loop.lock);
    if (thread->accepted.count == 0)
        return false;
    *ret_accepted = thread->accepted.items[--thread->accepted.count];
    return true;
}

static void on_async(uv_async_t *async)
{
    struct loop_thread *thread = async->data;
    struct accepted accepted;
    bool stop;

    loop_begin(&thread->loop);
    while (next_accepted(thread, &accepted))
        socket_open(thread, &accepted);
    {
        LOCKED(&thread->loop.lock);
        stop = thread->stop_asked;
    }
    if (stop && !thread->loop.stopping)
        begin_stop(thread);
    turn_over(thread);
}

static void wake(struct loop *loop)
{
    uv_async_send(&container_of(loop, struct loop_thread, loop)->async);
}

static void run(void *arg)
{
    struct loop_thread *thread = arg;

    uv_run(&thread->uv, UV_RUN_DEFAULT);
}

static void loop_thread_free(struct loop_thread *thread)
{
    struct accepted accepted;

    while (next_accepted(thread, &accepted))
        close(accepted.fd);
    vec_deinit(&thread->accepted);
    free(thread->read_buffer);
    loop_deinit(&thread->loop);
    free(thread);
}

int loop_thread_new(struct server_shared *shared, struct loop_thread **ret_thread, struct err *err)
{
    struct loop_thread *thread = calloc(1, sizeof *thread);
    int code = thread ? loop_init(&thread->loop, shared, clock_real(), err)
                      : err_set(err, ERR_NO_MEMORY, "event loop");

    if (code < 0) {
        free(thread);
        return code;
    }
    thread->read_buffer = malloc(READ_BYTES);
    if (!thread->read_buffer || uv_loop_init(&thread->uv) < 0) {
        loop_thread_free(thread);
        return err_set(err, ERR_NO_MEMORY, "event loop");
    }
    thread->async.data = thread->tick.data = thread;
    if (uv_async_init(&thread->uv, &thread->async, on_async) < 0) {
        uv_loop_close(&thread->uv);
        loop_thread_free(thread);
        return err_set(err, ERR_IO, "event loop: no file descriptor for waking it");
    }
    uv_timer_init(&thread->uv, &thread->tick);
    thread->loop.wake = wake;
    *ret_thread = thread;
    return 0;
}

/* The identity of the thread is written before anything can reach the loop: it runs only what it is sent. */
static void run_thread(void *arg)
{
    struct loop_thread *thread = arg;

    thread->loop.thread = uv_thread_self();
    run(thread);
}

int loop_thread_start(struct loop_thread *thread, struct err *err)
{
    return thread_start(&thread->thread, "http", run_thread, thread, err);
}

void loop_thread_ask_stop(struct loop_thread *thread)
{
    LOCKED(&thread->loop.lock);
    thread->stop_asked = true;
    if (!thread->loop.dead)
        uv_async_send(&thread->async);
}

bool loop_thread_join(struct loop_thread *thread)
{
    if (!thread->thread.started) { /* it never ran: close its handles here */
        close_handles(thread);
        run(thread);
    }
    thread_join(&thread->thread);
    INVARIANT(uv_loop_close(&thread->uv) == 0);
    if (thread->loop.open_count == 0) {
        loop_thread_free(thread);
        return true;
    }
    memset(&thread->loop.thread, 0, sizeof thread->loop.thread); /* dead, and nobody's own */
    return false;
}

void loop_thread_give(struct loop_thread *thread, const struct accepted *accepted)
{
    LOCKED(&thread->loop.lock);
    if (thread->loop.dead || vec_push(&thread->accepted, *accepted) < 0)
        give_up(thread, accepted->fd);
    else
        uv_async_send(&thread->async);
}
