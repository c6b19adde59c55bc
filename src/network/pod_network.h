/* pod_network.h - how the pods of a node are wired: a veth pair per pod, addresses from the node's range, masquerading
 * of what leaves, host ports. All traffic of a pod is routed by the node, none is bridged.
 *
 * All names on the host derive from the instance. Addresses are kept in files below state_dir (one file per address,
 * made with O_EXCL), so that a restart finds them and no address is given out twice, whatever moment a crash
 * picks. Any thread; calls about one pod must not overlap. IPv4; lists are used where a second family will go. */
#pragma once

#include <netinet/in.h>
#include <sys/types.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"

struct pod_network;

#define POD_NETWORK_INTERFACE_MAX 15

struct pod_network_options {
    const char *instance;
    const char *state_dir; /* e.g. <data>/network */
    const char *pod_cidr;  /* of this node, "10.42.0.0/24": the first address is the node's */
    const char *cluster_cidr; /* traffic to it is not masqueraded; NULL: pod_cidr */
    unsigned mtu;          /* 0: that of the interface with the default route, or 1500 */
    bool no_masquerade;
};

enum port_protocol { PORT_TCP, PORT_UDP, PORT_SCTP };

struct port_mapping {
    enum port_protocol protocol;
    struct in_addr host_ip; /* 0.0.0.0: any address of the node, also 127.0.0.1 from the node itself */
    uint16_t host_port, container_port;
};

struct pod_address {
    struct in_addr ip;
    unsigned prefix_len;
    struct in_addr gateway;
};

/* Makes or repairs interface and nft table. ERR_CONFLICT when the range overlaps a network of the host. Needs root. */
int pod_network_new(const struct pod_network_options *options, struct pod_network **ret_network, struct err *err);
/* Leaves the host as it is: pods stay connected. */
struct pod_network *pod_network_free(struct pod_network *network);
DEFINE_AUTO(pod_network, pod_network_free)

/* Gives the network namespace at that path eth0 with an address and a default route, and maps host ports. Again for the
 * same pod: repairs, the address stays. ERR_NO_SPACE when the range is used up, ERR_CONFLICT when a host port is taken
 * by another pod. */
int pod_network_attach(struct pod_network *network, struct str pod_uid, const char *netns,
                       const struct port_mapping *ports, size_t port_count, struct pod_address *ret_address,
                       struct err *err);
/* Absent is fine. The namespace need not exist any more. */
int pod_network_detach(struct pod_network *network, struct str pod_uid, struct err *err);
/* ERR_NOT_FOUND when it has none. */
int pod_network_address(struct pod_network *network, struct str pod_uid, struct pod_address *ret_address,
                        struct err *err);
/* The pods that hold addresses: to free those whose pod is gone. */
int pod_network_list(struct pod_network *network, struct arena *arena, struct str **ret_pod_uids, size_t *ret_count,
                     struct err *err);
/* The node's address among its pods: their gateway. It is on the interface with this name, "<instance>0". */
struct in_addr pod_network_gateway(const struct pod_network *network);
const char *pod_network_interface(const struct pod_network *network);
/* The link group of the pods' outer ends: "iifgroup" and "oifgroup" in nft rules mean all pods of this instance. */
unsigned pod_network_group(const struct pod_network *network);

/* Removes interface, links, nft table and state of the instance; goes on after a failure and reports the first. */
int pod_network_purge(const struct pod_network_options *options, struct err *err);
