/* link.h - interfaces, veth pairs, addresses and routes through netlink.
 *
 * A link_socket belongs to one network namespace (the one its thread was in when it was made) and to one thread at a
 * time. */
#pragma once

#include <netinet/in.h>

#include "base/err.h"
#include "base/str.h"

struct link_socket;
int link_socket_new(struct link_socket **ret_socket, struct err *err);
/* In the network namespace behind that descriptor; the calling thread comes back to its own. */
int link_socket_new_in(int netns, struct link_socket **ret_socket, struct err *err);
struct link_socket *link_socket_free(struct link_socket *socket);
DEFINE_AUTO(link_socket, link_socket_free)

/* 0 when there is none. */
unsigned link_index(struct link_socket *socket, const char *name);
/* An interface without a cable that has that address, up; repairs one that is there. */
int link_make_anchor(struct link_socket *socket, const char *name, struct in_addr address, unsigned mtu,
                     struct err *err);
/* What has no better route inside that range is unreachable, rather than sent into the world. */
int link_make_unreachable(struct link_socket *socket, struct in_addr network, unsigned prefix_len, struct err *err);
int link_delete_unreachable(struct link_socket *socket, struct in_addr network, unsigned prefix_len, struct err *err);

/* A pair of interfaces: the outer end here, up; the inner end in the namespace netns. */
struct link_pair {
    const char *outer, *inner;
    unsigned char outer_mac[6], inner_mac[6];
    unsigned group, mtu;
};
int link_make_pair(struct link_socket *socket, const struct link_pair *pair, int netns, struct err *err);
/* Here: the address is reached by the outer end, as neighbour with inner_mac; we speak to it as source. */
int link_route_outer(struct link_socket *socket, const struct link_pair *pair, struct in_addr address,
                     struct in_addr source, struct err *err);
/* Inside: up, with that one address and everything else by way of the gateway, a neighbour with outer_mac. */
int link_route_inner(struct link_socket *socket, const struct link_pair *pair, struct in_addr address,
                     struct in_addr gateway, struct err *err);

/* Absent is fine. */
int link_delete(struct link_socket *socket, const char *name, struct err *err);
/* Deletes all links of that group. */
int link_delete_group(struct link_socket *socket, unsigned group, struct err *err);

/* That of the interface with the default route, or 1500. */
unsigned link_default_mtu(void);
