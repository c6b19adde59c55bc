/* proxy.c - lanes and the connections in them.
 *
 * A lane is a listening socket, the member that it leads to, and the fault that it has now. A connection is two sockets
 * and a buffer for each direction; a side is read only while its buffer is empty, so the proxy holds back whom its peer
 * holds back. */
#include "proxy.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/sync.h"

#define MEMBERS_MAX 8
#define LANES_MAX (STORES_MAX * MEMBERS_MAX)
#define CONNECTIONS_MAX 64
#define BUFFER 16384

struct lane {
    int listener, store, member;
    enum net_fault_kind fault;
    nsec_t until;   /* the fault's end; 0: there is none */
    int cut_after;  /* bytes of answers; -1: no */
    bool cut;       /* all connections, as soon as may be */
};

struct direction {
    char bytes[BUFFER];
    size_t at, end;
    bool over; /* its source has ended */
};

struct connection {
    struct lane *lane;
    int client, member; /* sockets; -1: none */
    bool connecting;
    int cut_after;
    struct direction up, down;
};

struct proxy {
    struct thread thread;
    struct mutex lock; /* of the lanes' faults */
    int wake;
    atomic_bool ending;
    int stores, members_count;
    struct sockaddr_storage members[MEMBERS_MAX];
    socklen_t member_sizes[MEMBERS_MAX];
    struct lane lanes[LANES_MAX];
    int lanes_count;
    char endpoints[STORES_MAX][MEMBERS_MAX * 32];
    struct connection *connections[CONNECTIONS_MAX];
};

/* -- connections -- */

/* A reset, so that the other side learns at once. */
static void socket_reset(int fd)
{
    struct linger linger = { 1, 0 };

    if (fd < 0)
        return;
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
    close(fd);
}

static void connection_end(struct connection **place)
{
    socket_reset((*place)->client);
    socket_reset((*place)->member);
    free(*place);
    *place = NULL;
}

static bool again(ssize_t n)
{
    return n < 0 && (errno == EAGAIN || errno == EINTR);
}

/* false: the connection is broken. */
static bool take_in(struct direction *d, int from)
{
    if (d->at < d->end || d->over)
        return true;
    ssize_t n = recv(from, d->bytes, sizeof d->bytes, 0);
    if (again(n))
        return true;
    if (n < 0)
        return false;
    d->over = n == 0;
    d->at = 0;
    d->end = (size_t)n;
    return true;
}

static bool give_out(struct direction *d, int to)
{
    if (d->at == d->end)
        return true;
    ssize_t n = send(to, d->bytes + d->at, d->end - d->at, MSG_NOSIGNAL);
    if (n < 0)
        return again(n);
    d->at += (size_t)n;
    return true;
}

/* Answers, up to where the connection is to be cut. */
static bool give_answers(struct connection *c)
{
    if (c->cut_after < 0)
        return give_out(&c->down, c->client);
    size_t end = c->down.end, before = c->down.at;

    c->down.end = MIN(end, before + (size_t)c->cut_after);
    bool good = give_out(&c->down, c->client);
    c->down.end = end;
    c->cut_after -= (int)(c->down.at - before);
    return good && c->cut_after > 0;
}

static bool is_drained(const struct direction *d)
{
    return d->over && d->at == d->end;
}

/* Which ways are open under the lane's fault. */
static bool lane_has(const struct lane *lane, enum net_fault_kind fault)
{
    return lane->until > 0 && lane->fault == fault;
}

static bool connection_move(struct connection *c)
{
    bool stalled = lane_has(c->lane, NET_STALL), mute = lane_has(c->lane, NET_MUTE);

    if (c->connecting || stalled)
        return true;
    if (!take_in(&c->up, c->client) || !give_out(&c->up, c->member))
        return false;
    if (!mute && (!take_in(&c->down, c->member) || !give_answers(c)))
        return false;
    return !is_drained(&c->up) && !is_drained(&c->down);
}

static bool connection_connected(struct connection *c)
{
    int error = 0;
    socklen_t size = sizeof error;

    c->connecting = false;
    return getsockopt(c->member, SOL_SOCKET, SO_ERROR, &error, &size) == 0 && error == 0;
}

static void set_prompt(int fd)
{
    int one = 1;

    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
}

static void lane_accept(struct proxy *proxy, struct lane *lane)
{
    int client = accept4(lane->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    size_t place = 0;

    if (client < 0)
        return;
    while (place < CONNECTIONS_MAX && proxy->connections[place])
        place++;
    struct connection *c = place < CONNECTIONS_MAX ? calloc(1, sizeof *c) : NULL;
    if (!c || lane_has(lane, NET_REFUSE)) {
        free(c);
        socket_reset(client);
        return;
    }
    const struct sockaddr *address = (const struct sockaddr *)&proxy->members[lane->member];
    c->lane = lane;
    c->client = client;
    c->cut_after = -1;
    c->member = socket(address->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    proxy->connections[place] = c;
    set_prompt(c->client);
    set_prompt(c->member);
    c->connecting = connect(c->member, address, proxy->member_sizes[lane->member]) < 0;
    if (c->connecting && errno != EINPROGRESS)
        connection_end(&proxy->connections[place]);
}

/* -- faults -- */

static void wake(struct proxy *proxy)
{
    uint64_t one = 1;

    INVARIANT(write(proxy->wake, &one, sizeof one) == sizeof one);
}

static void lane_fault(struct lane *lane, const struct net_fault *fault)
{
    switch (fault->kind) {
    case NET_CUT: lane->cut = true; return;
    case NET_CUT_AFTER: lane->cut_after = (int)fault->amount; return;
    case NET_REFUSE: lane->cut = true; break;
    case NET_STALL:
    case NET_MUTE: break;
    case NET_MEMBER: return;
    }
    lane->fault = fault->kind;
    lane->until = clock_now(clock_real()) + fault->amount * NSEC_PER_MSEC;
}

void proxy_fault(struct proxy *proxy, const struct net_fault *fault)
{
    mutex_lock(&proxy->lock);
    for (int i = 0; i < proxy->lanes_count; i++) {
        struct lane *lane = &proxy->lanes[i];
        bool store = fault->store < 0 ? lane->store < proxy->stores - 1 : lane->store == fault->store;

        if (store && (fault->member < 0 || lane->member == fault->member % proxy->members_count))
            lane_fault(lane, fault);
    }
    mutex_unlock(&proxy->lock);
    wake(proxy);
}

void proxy_heal(struct proxy *proxy)
{
    mutex_lock(&proxy->lock);
    for (int i = 0; i < proxy->lanes_count; i++) {
        proxy->lanes[i].until = 0;
        proxy->lanes[i].cut = false;
        proxy->lanes[i].cut_after = -1;
    }
    mutex_unlock(&proxy->lock);
    wake(proxy);
}

/* Faults reach the connections that there are. Returns the milliseconds until the next of them ends; -1: none does. */
static int faults_apply(struct proxy *proxy)
{
    nsec_t now = clock_now(clock_real()), next = 0;

    for (int i = 0; i < proxy->lanes_count; i++) {
        struct lane *lane = &proxy->lanes[i];

        if (lane->until <= now)
            lane->until = 0;
        if (lane->until && (next == 0 || lane->until < next))
            next = lane->until;
        for (size_t n = 0; n < CONNECTIONS_MAX; n++) {
            struct connection *c = proxy->connections[n];

            if (!c || c->lane != lane)
                continue;
            if (lane->cut_after >= 0)
                c->cut_after = lane->cut_after;
            if (lane->cut)
                connection_end(&proxy->connections[n]);
        }
        lane->cut = false;
        lane->cut_after = -1;
    }
    return next ? (int)((next - now) / NSEC_PER_MSEC) + 1 : -1;
}

/* -- the thread -- */

static short wanted_events(const struct direction *in, const struct direction *out, bool take, bool give)
{
    short events = 0;

    if (take && in->at == in->end && !in->over)
        events |= POLLIN;
    if (give && out->at < out->end)
        events |= POLLOUT;
    return events;
}

static size_t fill_polls(struct proxy *proxy, struct pollfd *fds)
{
    size_t count = 0;

    fds[count++] = (struct pollfd){ .fd = proxy->wake, .events = POLLIN };
    for (int i = 0; i < proxy->lanes_count; i++)
        fds[count++] = (struct pollfd){ .fd = proxy->lanes[i].listener, .events = POLLIN };
    for (size_t i = 0; i < CONNECTIONS_MAX; i++) {
        const struct connection *c = proxy->connections[i];
        struct pollfd client = { .fd = -1 }, member = { .fd = -1 };

        if (c && c->connecting) {
            member = (struct pollfd){ .fd = c->member, .events = POLLOUT };
        } else if (c && !lane_has(c->lane, NET_STALL)) {
            bool answers = !lane_has(c->lane, NET_MUTE);

            client = (struct pollfd){ .fd = c->client, .events = wanted_events(&c->up, &c->down, true, answers) };
            member = (struct pollfd){ .fd = c->member, .events = wanted_events(&c->down, &c->up, answers, true) };
        }
        fds[count++] = client.events ? client : (struct pollfd){ .fd = -1 };
        fds[count++] = member.events ? member : (struct pollfd){ .fd = -1 };
    }
    return count;
}

static void serve_connections(struct proxy *proxy, const struct pollfd *fds)
{
    for (size_t i = 0; i < CONNECTIONS_MAX; i++) {
        struct connection *c = proxy->connections[i];
        short events = (short)(fds[2 * i].revents | fds[2 * i + 1].revents);

        if (!c || !events)
            continue;
        if ((c->connecting && !connection_connected(c)) || !connection_move(c))
            connection_end(&proxy->connections[i]);
    }
}

static void proxy_main(void *arg)
{
    struct proxy *proxy = arg;
    struct pollfd fds[1 + LANES_MAX + 2 * CONNECTIONS_MAX];
    uint64_t woken;

    while (!atomic_load(&proxy->ending)) {
        mutex_lock(&proxy->lock);
        int timeout = faults_apply(proxy);
        size_t count = fill_polls(proxy, fds);
        mutex_unlock(&proxy->lock);
        if (poll(fds, count, timeout) < 0)
            continue;
        LOCKED(&proxy->lock);
        if (fds[0].revents)
            (void)!read(proxy->wake, &woken, sizeof woken);
        serve_connections(proxy, fds + 1 + proxy->lanes_count);
        for (int i = 0; i < proxy->lanes_count; i++)
            if (fds[1 + i].revents)
                lane_accept(proxy, &proxy->lanes[i]);
    }
}

/* -- making -- */

static int add_member(struct proxy *proxy, const char *endpoint, struct err *err)
{
    const struct addrinfo hints = { .ai_socktype = SOCK_STREAM };
    struct addrinfo *found;
    char host[256];

    snprintf(host, sizeof host, "%s", endpoint);
    char *port = strrchr(host, ':');
    if (!port || proxy->members_count == MEMBERS_MAX)
        return err_set(err, ERR_INVALID, "endpoint %s", endpoint);
    *port++ = '\0';
    if (getaddrinfo(host, port, &hints, &found) != 0)
        return err_set(err, ERR_INVALID, "endpoint %s is not known", endpoint);
    memcpy(&proxy->members[proxy->members_count], found->ai_addr, found->ai_addrlen);
    proxy->member_sizes[proxy->members_count++] = found->ai_addrlen;
    freeaddrinfo(found);
    return 0;
}

static int add_lane(struct proxy *proxy, int store, int member, struct err *err)
{
    struct lane *lane = &proxy->lanes[proxy->lanes_count];
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t size = sizeof address;
    char *endpoints = proxy->endpoints[store];
    size_t len = strlen(endpoints);

    *lane = (struct lane){ .store = store, .member = member, .cut_after = -1 };
    lane->listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (lane->listener < 0)
        return err_set(err, ERR_IO, "socket");
    proxy->lanes_count++;
    if (bind(lane->listener, (struct sockaddr *)&address, size) < 0 || listen(lane->listener, 16) < 0 ||
        getsockname(lane->listener, (struct sockaddr *)&address, &size) < 0)
        return err_set(err, ERR_IO, "listening");
    snprintf(endpoints + len, sizeof proxy->endpoints[store] - len, "%s127.0.0.1:%u", len ? "," : "",
             ntohs(address.sin_port));
    return 0;
}

int proxy_new(const char *endpoints, int stores, struct proxy **ret_proxy, struct err *err)
{
    AUTO(proxy) proxy = calloc(1, sizeof *proxy);
    AUTO_FREE char *copy = strdup(endpoints);
    char *rest = copy;
    int code = 0;

    if (!proxy || !copy)
        return err_set(err, ERR_NO_MEMORY, "proxy");
    mutex_init(&proxy->lock);
    proxy->stores = stores;
    proxy->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (proxy->wake < 0 || stores > STORES_MAX)
        return err_set(err, ERR_IO, "proxy");
    for (char *one; code == 0 && (one = strsep(&rest, ",")) != NULL;)
        code = add_member(proxy, one, err);
    for (int store = 0; store < stores; store++)
        for (int member = 0; code == 0 && member < proxy->members_count; member++)
            code = add_lane(proxy, store, member, err);
    if (code == 0)
        code = thread_start(&proxy->thread, "proxy", proxy_main, proxy, err);
    if (code < 0)
        return code;
    *ret_proxy = TAKE(proxy);
    return 0;
}

struct proxy *proxy_free(struct proxy *proxy)
{
    if (!proxy)
        return NULL;
    atomic_store(&proxy->ending, true);
    if (proxy->thread.started)
        wake(proxy);
    thread_join(&proxy->thread);
    for (size_t i = 0; i < CONNECTIONS_MAX; i++)
        if (proxy->connections[i])
            connection_end(&proxy->connections[i]);
    for (int i = 0; i < proxy->lanes_count; i++)
        close(proxy->lanes[i].listener);
    if (proxy->wake >= 0)
        close(proxy->wake);
    mutex_deinit(&proxy->lock);
    free(proxy);
    return NULL;
}

struct str proxy_endpoints(const struct proxy *proxy, int store)
{
    return str_from(proxy->endpoints[store]);
}

int proxy_members(const struct proxy *proxy)
{
    return proxy->members_count;
}
