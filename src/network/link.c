/* link.c - a thin layer over libnl-route that speaks in our terms and tells errors with context.
 *
 * A socket of netlink stays in the namespace it was made in, whatever its thread does later; so a pod's interface is
 * set up through a socket made inside, without moving anything else there. Nothing ever lists all links:
 * the cost of a pod does not depend on how many there are. */
#include "network/link.h"

#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <netlink/addr.h>
#include <netlink/attr.h>
#include <netlink/msg.h>
#include <netlink/netlink.h>
#include <netlink/route/addr.h>
#include <netlink/route/link.h>
#include <netlink/route/link/veth.h>
#include <netlink/route/neighbour.h>
#include <netlink/route/route.h>
#include <sched.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/file.h"

struct link_socket {
    struct nl_sock *nl;
    int inet; /* an ordinary socket in the same namespace, for looking names up */
};

static void auto_link(struct rtnl_link **link)
{
    if (*link)
        rtnl_link_put(*link);
}
#define AUTO_LINK __attribute__((cleanup(auto_link))) struct rtnl_link *

static void auto_nl_addr(struct nl_addr **addr)
{
    if (*addr)
        nl_addr_put(*addr);
}
#define AUTO_NL_ADDR __attribute__((cleanup(auto_nl_addr))) struct nl_addr *

static int nl_err(struct err *err, int code, const char *what, const char *name)
{
    enum err_code kind = code == -NLE_EXIST      ? ERR_ALREADY_EXISTS
                         : code == -NLE_NOMEM    ? ERR_NO_MEMORY
                         : code == -NLE_NODEV    ? ERR_NOT_FOUND
                         : code == -NLE_PERM     ? ERR_FORBIDDEN
                                                 : ERR_IO;

    return err_set(err, kind, "%s %s: %s", what, name, nl_geterror(code));
}

int link_socket_new(struct link_socket **ret_socket, struct err *err)
{
    AUTO(link_socket) socket_ = calloc(1, sizeof *socket_);

    if (!socket_)
        return err_set(err, ERR_NO_MEMORY, "netlink socket");
    socket_->inet = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (socket_->inet < 0)
        return err_errno(err, errno, "making a socket");
    socket_->nl = nl_socket_alloc();
    if (!socket_->nl)
        return err_set(err, ERR_NO_MEMORY, "netlink socket");
    int r = nl_connect(socket_->nl, NETLINK_ROUTE);
    if (r < 0)
        return nl_err(err, r, "netlink", "socket");
    *ret_socket = TAKE(socket_);
    return 0;
}

struct link_socket *link_socket_free(struct link_socket *socket_)
{
    if (!socket_)
        return NULL;
    if (socket_->nl)
        nl_socket_free(socket_->nl);
    auto_close_fd(&socket_->inet);
    free(socket_);
    return NULL;
}

int link_socket_new_in(int netns, struct link_socket **ret_socket, struct err *err)
{
    AUTO_CLOSE int own = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);

    if (own < 0)
        return err_errno(err, errno, "opening our network namespace");
    if (setns(netns, CLONE_NEWNET) < 0)
        return err_errno(err, errno, "entering the pod's network namespace");
    int r = link_socket_new(ret_socket, err);
    /* A thread left behind in a pod's network would do the node's work there. */
    INVARIANT(setns(own, CLONE_NEWNET) == 0);
    return r;
}

unsigned link_index(struct link_socket *socket_, const char *name)
{
    struct ifreq request = { 0 };

    if (snprintf(request.ifr_name, sizeof request.ifr_name, "%s", name) >= (int)sizeof request.ifr_name ||
        ioctl(socket_->inet, SIOCGIFINDEX, &request) < 0)
        return 0;
    return (unsigned)request.ifr_ifindex;
}

/* Applies what is set in change to the link with that index. */
static int change_link(struct link_socket *socket_, unsigned index, struct rtnl_link *change, const char *name,
                       struct err *err)
{
    AUTO_LINK link = rtnl_link_alloc();

    if (!link)
        return err_set(err, ERR_NO_MEMORY, "link %s", name);
    rtnl_link_set_ifindex(link, (int)index);
    int r = rtnl_link_change(socket_->nl, link, change, 0);
    return r < 0 ? nl_err(err, r, "setting up link", name) : 0;
}

static struct nl_addr *ipv4(struct in_addr address, unsigned prefix_len)
{
    struct nl_addr *addr = nl_addr_build(AF_INET, &address, sizeof address);

    if (addr)
        nl_addr_set_prefixlen(addr, (int)prefix_len);
    return addr;
}

static int add_address(struct link_socket *socket_, unsigned index, struct in_addr address, const char *name,
                       struct err *err)
{
    struct rtnl_addr *addr = rtnl_addr_alloc();
    AUTO_NL_ADDR local = ipv4(address, 32);
    int r;

    if (!addr || !local) {
        rtnl_addr_put(addr);
        return err_set(err, ERR_NO_MEMORY, "address of %s", name);
    }
    rtnl_addr_set_ifindex(addr, (int)index);
    r = rtnl_addr_set_local(addr, local);
    if (r == 0)
        r = rtnl_addr_add(socket_->nl, addr, 0);
    rtnl_addr_put(addr);
    return r < 0 && r != -NLE_EXIST ? nl_err(err, r, "adding an address to", name) : 0;
}

/* A bridge without ports: every kernel that runs containers has bridges, not all have dummy interfaces. */
int link_make_anchor(struct link_socket *socket_, const char *name, struct in_addr address, unsigned mtu,
                     struct err *err)
{
    AUTO_LINK change = rtnl_link_alloc();

    if (!change)
        return err_set(err, ERR_NO_MEMORY, "link %s", name);
    if (link_index(socket_, name) == 0) {
        AUTO_LINK link = rtnl_link_alloc();

        if (!link || rtnl_link_set_type(link, "bridge") < 0)
            return err_set(err, ERR_NO_MEMORY, "link %s", name);
        rtnl_link_set_name(link, name);
        int r = rtnl_link_add(socket_->nl, link, NLM_F_CREATE | NLM_F_EXCL);
        if (r < 0 && r != -NLE_EXIST)
            return nl_err(err, r, "making link", name);
    }
    unsigned index = link_index(socket_, name);
    rtnl_link_set_flags(change, IFF_UP);
    rtnl_link_set_mtu(change, mtu);
    int r = change_link(socket_, index, change, name, err);
    return r < 0 ? r : add_address(socket_, index, address, name, err);
}

static int set_mac(struct rtnl_link *link, const unsigned char mac[6])
{
    AUTO_NL_ADDR addr = nl_addr_build(AF_LLC, mac, 6);

    if (!addr)
        return -1;
    rtnl_link_set_addr(link, addr);
    return 0;
}

int link_make_pair(struct link_socket *socket_, const struct link_pair *pair, int netns, struct err *err)
{
    struct rtnl_link *outer = rtnl_link_veth_alloc(), *inner;
    int r;

    if (!outer)
        return err_set(err, ERR_NO_MEMORY, "link %s", pair->outer);
    inner = rtnl_link_veth_get_peer(outer); /* with a reference of its own */
    rtnl_link_set_name(outer, pair->outer);
    rtnl_link_set_mtu(outer, pair->mtu);
    rtnl_link_set_group(outer, pair->group);
    rtnl_link_set_flags(outer, IFF_UP);
    rtnl_link_set_name(inner, pair->inner);
    rtnl_link_set_mtu(inner, pair->mtu);
    rtnl_link_set_ns_fd(inner, netns);
    r = set_mac(outer, pair->outer_mac) < 0 || set_mac(inner, pair->inner_mac) < 0
            ? -NLE_NOMEM
            : rtnl_link_add(socket_->nl, outer, NLM_F_CREATE | NLM_F_EXCL);
    rtnl_link_put(inner);
    rtnl_link_veth_release(outer);
    return r < 0 ? nl_err(err, r, "making link", pair->outer) : 0;
}

int link_delete(struct link_socket *socket_, const char *name, struct err *err)
{
    AUTO_LINK link = rtnl_link_alloc();

    if (!link)
        return err_set(err, ERR_NO_MEMORY, "link %s", name);
    rtnl_link_set_name(link, name);
    int r = rtnl_link_delete(socket_->nl, link);
    if (r == 0 || r == -NLE_NODEV || r == -NLE_OBJ_NOTFOUND)
        return 0;
    return nl_err(err, r, "deleting link", name);
}

/* One request for all of them: the kernel then waits for its readers once, not once per link. */
int link_delete_group(struct link_socket *socket_, unsigned group, struct err *err)
{
    struct ifinfomsg header = { .ifi_family = AF_UNSPEC };
    struct nl_msg *message = nlmsg_alloc_simple(RTM_DELLINK, 0);

    if (!message || nlmsg_append(message, &header, sizeof header, NLMSG_ALIGNTO) < 0 ||
        nla_put_u32(message, IFLA_GROUP, group) < 0) {
        nlmsg_free(message);
        return err_set(err, ERR_NO_MEMORY, "deleting links");
    }
    int r = nl_send_sync(socket_->nl, message); /* frees it */
    return r == 0 || r == -NLE_NODEV || r == -NLE_OBJ_NOTFOUND ? 0 : nl_err(err, r, "deleting", "links");
}

struct route {
    struct in_addr to, via, source; /* via, source: 0.0.0.0 for none */
    unsigned prefix_len, index;
    int type;
};

static void auto_route(struct rtnl_route **route)
{
    if (*route)
        rtnl_route_put(*route);
}

static int fill_hop(struct rtnl_route *route, const struct route *want)
{
    struct rtnl_nexthop *hop = rtnl_route_nh_alloc();
    AUTO_NL_ADDR via = ipv4(want->via, 32);

    if (!hop || !via) {
        if (hop)
            rtnl_route_nh_free(hop);
        return -NLE_NOMEM;
    }
    rtnl_route_nh_set_ifindex(hop, (int)want->index);
    if (want->via.s_addr)
        rtnl_route_nh_set_gateway(hop, via);
    rtnl_route_add_nexthop(route, hop); /* now the route's */
    return 0;
}

static int fill_route(struct rtnl_route *route, const struct route *want)
{
    AUTO_NL_ADDR to = ipv4(want->to, want->prefix_len);
    AUTO_NL_ADDR source = ipv4(want->source, 32);

    if (!to || !source)
        return -NLE_NOMEM;
    rtnl_route_set_family(route, AF_INET);
    rtnl_route_set_table(route, RT_TABLE_MAIN);
    rtnl_route_set_protocol(route, RTPROT_STATIC);
    rtnl_route_set_scope(route, want->via.s_addr || !want->index ? RT_SCOPE_UNIVERSE : RT_SCOPE_LINK);
    rtnl_route_set_type(route, (uint8_t)want->type);
    int r = rtnl_route_set_dst(route, to);
    if (r == 0 && want->source.s_addr)
        r = rtnl_route_set_pref_src(route, source);
    return r == 0 && want->index ? fill_hop(route, want) : r;
}

static int add_route(struct link_socket *socket_, const struct route *want, const char *name, struct err *err)
{
    __attribute__((cleanup(auto_route))) struct rtnl_route *route = rtnl_route_alloc();
    int r = route ? fill_route(route, want) : -NLE_NOMEM;

    if (r == 0)
        r = rtnl_route_add(socket_->nl, route, NLM_F_CREATE | NLM_F_REPLACE);
    return r < 0 ? nl_err(err, r, "adding a route to", name) : 0;
}

static int add_neighbour(struct link_socket *socket_, unsigned index, struct in_addr ip, const unsigned char mac[6],
                         const char *name, struct err *err)
{
    struct rtnl_neigh *neighbour = rtnl_neigh_alloc();
    AUTO_NL_ADDR address = ipv4(ip, 32);
    AUTO_NL_ADDR hardware = nl_addr_build(AF_LLC, mac, 6);
    int r = -NLE_NOMEM;

    if (neighbour && address && hardware) {
        rtnl_neigh_set_ifindex(neighbour, (int)index);
        rtnl_neigh_set_state(neighbour, NUD_PERMANENT);
        rtnl_neigh_set_lladdr(neighbour, hardware);
        r = rtnl_neigh_set_dst(neighbour, address);
        if (r == 0)
            r = rtnl_neigh_add(socket_->nl, neighbour, NLM_F_CREATE | NLM_F_REPLACE);
    }
    if (neighbour)
        rtnl_neigh_put(neighbour);
    return r < 0 ? nl_err(err, r, "adding a neighbour of", name) : 0;
}

int link_make_unreachable(struct link_socket *socket_, struct in_addr network, unsigned prefix_len, struct err *err)
{
    return add_route(socket_, &(struct route){ .to = network, .prefix_len = prefix_len, .type = RTN_UNREACHABLE },
                     "the pod range", err);
}

int link_delete_unreachable(struct link_socket *socket_, struct in_addr network, unsigned prefix_len, struct err *err)
{
    const struct route want = { .to = network, .prefix_len = prefix_len, .type = RTN_UNREACHABLE };
    __attribute__((cleanup(auto_route))) struct rtnl_route *route = rtnl_route_alloc();
    int r = route ? fill_route(route, &want) : -NLE_NOMEM;

    if (r == 0)
        r = rtnl_route_delete(socket_->nl, route, 0);
    return r < 0 && r != -NLE_OBJ_NOTFOUND ? nl_err(err, r, "deleting the route to", "the pod range") : 0;
}

int link_route_outer(struct link_socket *socket_, const struct link_pair *pair, struct in_addr address,
                     struct in_addr source, struct err *err)
{
    unsigned index = link_index(socket_, pair->outer);

    if (index == 0)
        return err_set(err, ERR_NOT_FOUND, "no interface %s", pair->outer);
    int r = add_neighbour(socket_, index, address, pair->inner_mac, pair->outer, err);
    if (r < 0)
        return r;
    const struct route route = { .to = address, .prefix_len = 32, .source = source, .index = index,
                                 .type = RTN_UNICAST };
    return add_route(socket_, &route, pair->outer, err);
}

int link_route_inner(struct link_socket *socket_, const struct link_pair *pair, struct in_addr address,
                     struct in_addr gateway, struct err *err)
{
    unsigned index = link_index(socket_, pair->inner);
    AUTO_LINK change = rtnl_link_alloc();

    if (!change)
        return err_set(err, ERR_NO_MEMORY, "link %s", pair->inner);
    if (index == 0)
        return err_set(err, ERR_NOT_FOUND, "the pod has no interface %s", pair->inner);
    rtnl_link_set_flags(change, IFF_UP);
    int r = change_link(socket_, index, change, pair->inner, err);
    if (r == 0)
        r = add_address(socket_, index, address, pair->inner, err);
    if (r == 0)
        r = add_neighbour(socket_, index, gateway, pair->outer_mac, pair->inner, err);
    const struct route near = { .to = gateway, .prefix_len = 32, .index = index, .type = RTN_UNICAST };
    if (r == 0)
        r = add_route(socket_, &near, pair->inner, err);
    const struct route far = { .via = gateway, .index = index, .type = RTN_UNICAST };
    if (r == 0)
        r = add_route(socket_, &far, pair->inner, err);
    return r;
}

/* The interface of a line of /proc/net/route whose destination and mask are zero. */
static bool default_interface(struct str text, char *out, size_t size)
{
    struct str line, name, destination, field, mask;

    str_split(&text, '\n', &line); /* headings */
    while (str_split(&text, '\n', &line)) {
        bool ok = str_split(&line, '\t', &name) && str_split(&line, '\t', &destination);

        for (int i = 0; ok && i < 5; i++) /* gateway, flags, count, use, metric */
            ok = str_split(&line, '\t', &field);
        if (ok && str_split(&line, '\t', &mask) && str_is(destination, "00000000") && str_is(mask, "00000000") &&
            name.len < size) {
            memcpy(out, name.data, name.len);
            out[name.len] = 0;
            return true;
        }
    }
    return false;
}

unsigned link_default_mtu(void)
{
    AUTO_DEINIT(buf, routes) = BUF_INIT;
    struct ifreq request = { 0 };
    AUTO_CLOSE int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    if (fd < 0 || file_read("/proc/net/route", (size_t)16 << 20, &routes, NULL) < 0 ||
        !default_interface(buf_str(&routes), request.ifr_name, sizeof request.ifr_name) ||
        ioctl(fd, SIOCGIFMTU, &request) < 0 || request.ifr_mtu < 576)
        return 1500;
    return (unsigned)request.ifr_mtu;
}
