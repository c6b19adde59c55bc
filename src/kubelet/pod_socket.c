/* pod_socket.c - a socket belongs to the network namespace in which it was made, whoever uses it. So a short-lived thread
 * enters the pod's, makes the socket there, and ends. */
#include "kubelet/pod_socket.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/sync.h"

struct socket_call {
    const char *netns;
    bool v6;
    int fd, error;
};

static void make_socket(void *arg)
{
    struct socket_call *call = arg;
    int ns = call->netns ? open(call->netns, O_RDONLY | O_CLOEXEC) : -1;

    call->fd = -1;
    if (call->netns && (ns < 0 || setns(ns, CLONE_NEWNET) < 0))
        call->error = errno;
    else if ((call->fd = socket(call->v6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)) < 0)
        call->error = errno;
    if (ns >= 0)
        close(ns);
}

int pod_socket_connect(const char *netns, int port, bool v6, int *ret_fd)
{
    struct socket_call call = { .netns = netns, .v6 = v6 };
    const struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port),
                                         .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    const struct sockaddr_in6 address6 = { .sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port),
                                           .sin6_addr = IN6ADDR_LOOPBACK_INIT };
    struct thread thread = { 0 };
    int on = 1;

    if (thread_start(&thread, "netns", make_socket, &call, NULL) < 0)
        return EAGAIN;
    thread_join(&thread);
    if (call.fd < 0)
        return call.error;
    setsockopt(call.fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    int r = v6 ? connect(call.fd, (const struct sockaddr *)&address6, sizeof address6)
               : connect(call.fd, (const struct sockaddr *)&address, sizeof address);

    if (r < 0 && errno != EINPROGRESS) {
        r = errno;
        close(call.fd);
        return r;
    }
    *ret_fd = call.fd;
    return 0;
}

int pod_socket_outcome(int fd)
{
    int error = 0;
    socklen_t len = sizeof error;

    return getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0 ? errno : error;
}
