/* acceptor.c - one listening socket, on the first loop, that hands connections to the loop with the fewest.
 *
 * One acceptor rather than a socket per loop with SO_REUSEPORT: the kernel's hash spreads few connections badly, and a
 * second server on the same port would go unnoticed. Out of file descriptors, it rests until the next tick. Beyond the
 * cap of connections, a new one is taken on where an idle one can be closed for it. */
#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/socket.h"

#define BACKLOG 4096
#define ACCEPTS_A_TURN 64
#define CROWD 256 /* connections beyond the cap, each of which is about to take the place of another */

struct acceptor {
    int fd, port;
    uv_poll_t poll;
    struct loop_thread *const *threads;
    size_t count, next;
    bool resting;
};

static int listen_on(const struct sockaddr *address, socklen_t len, const char *text, int *ret_fd, struct err *err)
{
    int fd = socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    const int on = 1;

    if (fd < 0)
        return err_errno(err, errno, "socket for %s", text);
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(fd, address, len) < 0 || listen(fd, BACKLOG) < 0) {
        int saved = errno;
        close(fd);
        return err_errno(err, saved, "listening on %s", text);
    }
    *ret_fd = fd;
    return 0;
}

static int bound_port(int fd)
{
    struct sockaddr_storage address;
    socklen_t len = sizeof address;

    if (getsockname(fd, (struct sockaddr *)&address, &len) < 0)
        return 0;
    return ntohs(address.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&address)->sin6_port
                                               : ((struct sockaddr_in *)&address)->sin_port);
}

int acceptor_new(const char *address, int port, struct acceptor **ret_acceptor, struct err *err)
{
    struct sockaddr_storage storage = { 0 };
    struct acceptor *acceptor;
    socklen_t len;
    int fd = -1, code;

    if (port < 0 || port > 65535)
        return err_set(err, ERR_INVALID, "port %d", port);
    if (uv_ip4_addr(address, port, (struct sockaddr_in *)&storage) == 0)
        len = sizeof(struct sockaddr_in);
    else if (uv_ip6_addr(address, port, (struct sockaddr_in6 *)&storage) == 0)
        len = sizeof(struct sockaddr_in6);
    else
        return err_set(err, ERR_INVALID, "\"%s\" is not an IP address", address);
    if ((code = listen_on((struct sockaddr *)&storage, len, address, &fd, err)) < 0)
        return code;
    if (!(acceptor = calloc(1, sizeof *acceptor))) {
        close(fd);
        return err_set(err, ERR_NO_MEMORY, "acceptor");
    }
    acceptor->fd = fd;
    acceptor->port = bound_port(fd);
    *ret_acceptor = acceptor;
    return 0;
}

struct acceptor *acceptor_free(struct acceptor *acceptor)
{
    if (acceptor)
        close(acceptor->fd);
    free(acceptor);
    return NULL;
}

int acceptor_port(const struct acceptor *acceptor)
{
    return acceptor->port;
}

static void format_address(const struct sockaddr_storage *address, struct accepted *accepted)
{
    static const char mapped[] = "::ffff:";
    char text[64] = "";

    if (address->ss_family == AF_INET6)
        uv_ip6_name((const struct sockaddr_in6 *)address, text, sizeof text);
    else
        uv_ip4_name((const struct sockaddr_in *)address, text, sizeof text);
    bool is_mapped = strncmp(text, mapped, sizeof mapped - 1) == 0 && strchr(text, '.');
    snprintf(accepted->address, sizeof accepted->address, "%s", is_mapped ? text + sizeof mapped - 1 : text);
}

/* The least loaded; equal ones take turns. */
static struct loop_thread *choose(struct acceptor *acceptor)
{
    struct loop_thread *best = NULL;
    int least = 0;

    for (size_t i = 0; i < acceptor->count; i++) {
        struct loop_thread *thread = acceptor->threads[(acceptor->next + i) % acceptor->count];
        int load = atomic_load_explicit(&thread->load, memory_order_relaxed);
        if (!best || load < least) {
            best = thread;
            least = load;
        }
    }
    acceptor->next++;
    return best;
}

static void hand_out(struct acceptor *acceptor, struct accepted *accepted)
{
    struct server_shared *shared = acceptor->threads[0]->loop.shared;
    struct loop_thread *thread = choose(acceptor);
    int count = atomic_fetch_add_explicit(&shared->connections, 1, memory_order_relaxed);

    accepted->crowded = count >= shared->options.max_connections;
    if (count >= shared->options.max_connections + CROWD) {
        atomic_fetch_sub_explicit(&shared->connections, 1, memory_order_relaxed);
        close(accepted->fd);
        return;
    }
    atomic_fetch_add_explicit(&thread->load, 1, memory_order_relaxed);
    if (loop_is_current(&thread->loop))
        socket_open(thread, accepted);
    else
        loop_thread_give(thread, accepted);
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
    struct acceptor *acceptor = poll->data;
    struct sockaddr_storage address;
    struct accepted accepted;

    loop_begin(&acceptor->threads[0]->loop);
    for (int i = 0; i < ACCEPTS_A_TURN; i++) {
        socklen_t len = sizeof address;
        accepted.fd = accept4(acceptor->fd, (struct sockaddr *)&address, &len, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (accepted.fd >= 0) {
            format_address(&address, &accepted);
            hand_out(acceptor, &accepted);
        } else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
            acceptor->resting = true;
            uv_poll_stop(poll);
            loop_thread_tick(acceptor->threads[0]);
            break;
        } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
            break;
        } /* else: that one connection failed before it was accepted */
    }
    loop_end(&acceptor->threads[0]->loop);
}

int acceptor_start(struct acceptor *acceptor, struct loop_thread *const *threads, size_t count, struct err *err)
{
    acceptor->threads = threads;
    acceptor->count = count;
    acceptor->poll.data = acceptor;
    if (uv_poll_init(&threads[0]->uv, &acceptor->poll, acceptor->fd) < 0)
        return err_set(err, ERR_IO, "polling the listening socket");
    uv_poll_start(&acceptor->poll, UV_READABLE, on_poll);
    threads[0]->acceptor = acceptor;
    return 0;
}

void acceptor_retry(struct acceptor *acceptor)
{
    if (acceptor->resting)
        uv_poll_start(&acceptor->poll, UV_READABLE, on_poll);
    acceptor->resting = false;
}

static void on_closed(uv_handle_t *handle)
{
    acceptor_free(handle->data);
}

void acceptor_close(struct acceptor *acceptor)
{
    uv_poll_stop(&acceptor->poll);
    uv_close((uv_handle_t *)&acceptor->poll, on_closed);
}
