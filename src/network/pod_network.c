/* pod_network.c - the wiring of a node's pods.
 *
 * Every pod has a veth pair: eth0 with an address of its own (/32) inside, and outside an end to which the node routes
 * that address. Nothing is bridged: all that a pod sends, to its neighbour too, is routed by the node. So service
 * addresses, host ports and policies apply to traffic between neighbours just as to any other, answers pass the node's
 * connection tracking on their way back, and a pod can neither bypass that nor use an address that is not its own
 * (rp_filter). The node's own address among the pods, their gateway, is on an interface without a cable. Both ends know
 * each other's hardware address from the start, so nobody asks by ARP. The outer ends are in one link group, by which
 * nft rules know all pods of the instance.
 *
 * Order when attaching: address file, links, host ports. When detaching: the reverse, the address last. So a crash
 * leaves at worst an address that is taken by a pod that has no link; pod_network_list() finds it. */
#include "network/pod_network.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <stdio.h>
#include <unistd.h>

#include "base/file.h"
#include "base/sync.h"
#include "network/address_pool.h"
#include "network/link.h"
#include "network/nat.h"

#define TABLE_MAX 80
#define POD_INTERFACE "eth0"

struct pod_network {
    struct mutex lock; /* pool and nat */
    struct address_pool pool;
    struct nat *nat;
    char instance[64], interface[IFNAMSIZ], table[TABLE_MAX];
    struct in_addr gateway;
    unsigned group, mtu;
};

/* FNV-1a: the same in every process and version, as names on the host must be. */
static uint64_t stable_hash(struct str a, struct str b)
{
    uint64_t hash = 0xcbf29ce484222325ULL;

    for (size_t i = 0; i < a.len; i++)
        hash = (hash ^ (unsigned char)a.data[i]) * 0x100000001b3ULL;
    hash = (hash ^ '/') * 0x100000001b3ULL;
    for (size_t i = 0; i < b.len; i++)
        hash = (hash ^ (unsigned char)b.data[i]) * 0x100000001b3ULL;
    return hash;
}

/* "caravel0"; a long name is cut and told apart by a hash. */
static int make_names(const char *instance, char interface[IFNAMSIZ], char table[TABLE_MAX], struct err *err)
{
    struct str name = str_from(instance);

    if (name.len == 0 || name.len > 40)
        return err_set(err, ERR_INVALID, "\"%s\" cannot be the name of an instance", instance);
    for (size_t i = 0; i < name.len; i++)
        if (!((name.data[i] >= 'a' && name.data[i] <= 'z') || (name.data[i] >= '0' && name.data[i] <= '9') ||
              (name.data[i] == '-' && i > 0)))
            return err_set(err, ERR_INVALID, "\"%s\" cannot be the name of an instance", instance);
    if (name.len + 1 < IFNAMSIZ)
        snprintf(interface, IFNAMSIZ, "%s0", instance);
    else
        snprintf(interface, IFNAMSIZ, "%.8s-%06x", instance, (unsigned)(stable_hash(name, STR("")) & 0xffffff));
    snprintf(table, TABLE_MAX, "pods-%s", instance);
    return 0;
}

/* Link groups are plain numbers; 0 is everybody's. */
static unsigned group_of(const char *instance)
{
    return (unsigned)(stable_hash(str_from(instance), STR("group")) & 0x3fffffff) | 0x40000000;
}

static void veth_name(const char *instance, struct str pod_uid, char out[IFNAMSIZ])
{
    snprintf(out, IFNAMSIZ, "ve%012llx",
             (unsigned long long)(stable_hash(str_from(instance), pod_uid) & 0xffffffffffffULL));
}

/* Two networks with the same addresses on one machine would steal each other's packets. */
static int check_overlap(const char *interface, uint32_t network, unsigned prefix_len, struct err *err)
{
    uint32_t mask = UINT32_MAX << (32 - prefix_len);
    struct ifaddrs *list;
    int r = 0;

    if (getifaddrs(&list) < 0)
        return err_errno(err, errno, "listing the host's addresses");
    for (struct ifaddrs *it = list; it && r == 0; it = it->ifa_next) {
        if (!it->ifa_addr || it->ifa_addr->sa_family != AF_INET || strcmp(it->ifa_name, interface) == 0)
            continue;
        const struct sockaddr_in *address = (const void *)it->ifa_addr, *netmask = (const void *)it->ifa_netmask;
        uint32_t common = mask & (netmask ? ntohl(netmask->sin_addr.s_addr) : UINT32_MAX);

        if ((ntohl(address->sin_addr.s_addr) & common) == (network & common))
            r = err_set(err, ERR_CONFLICT, "the pod range overlaps the network of interface %s", it->ifa_name);
    }
    freeifaddrs(list);
    return r;
}

static int write_sysctl(const char *path, const char *value, struct err *err)
{
    AUTO_CLOSE int fd = open(path, O_WRONLY | O_CLOEXEC);

    if (fd < 0 || write(fd, value, strlen(value)) < 0)
        return err_errno(err, errno, "setting %s", path);
    return 0;
}

static int set_interface_sysctl(const char *interface, const char *name, const char *value, struct err *err)
{
    char path[128];

    snprintf(path, sizeof path, "/proc/sys/net/ipv4/conf/%s/%s", interface, name);
    return write_sysctl(path, value, err);
}

static int set_up(struct pod_network *network, const struct pod_network_options *options, struct err *err)
{
    AUTO(link_socket) links = NULL;
    uint32_t range;
    unsigned prefix_len;

    int r = make_names(options->instance, network->interface, network->table, err);
    if (r == 0)
        r = cidr_parse(options->pod_cidr, &range, &prefix_len, err);
    if (r == 0)
        r = check_overlap(network->interface, range, prefix_len, err);
    if (r == 0)
        r = address_pool_init(&network->pool, options->state_dir, range, prefix_len, err);
    if (r < 0)
        return r;
    snprintf(network->instance, sizeof network->instance, "%s", options->instance);
    network->group = group_of(options->instance);
    network->gateway = address_pool_gateway(&network->pool);
    network->mtu = options->mtu ? options->mtu : link_default_mtu();
    r = link_socket_new(&links, err);
    if (r == 0)
        r = link_make_anchor(links, network->interface, network->gateway, network->mtu, err);
    if (r == 0)
        r = link_make_unreachable(links, (struct in_addr){ htonl(range) }, prefix_len, err);
    if (r == 0)
        r = write_sysctl("/proc/sys/net/ipv4/ip_forward", "1", err);
    if (r == 0)
        r = nat_new(&network->nat, err);
    if (r < 0)
        return r;
    const struct nat_options nat = { .table = network->table,
                                     .group = network->group,
                                     .pod_cidr = options->pod_cidr,
                                     .cluster_cidr = options->cluster_cidr ? options->cluster_cidr : options->pod_cidr,
                                     .masquerade = !options->no_masquerade };
    return nat_set_up(network->nat, &nat, &network->pool, err);
}

int pod_network_new(const struct pod_network_options *options, struct pod_network **ret_network, struct err *err)
{
    AUTO(pod_network) network = calloc(1, sizeof *network);

    if (!network)
        return err_set(err, ERR_NO_MEMORY, "pod network");
    mutex_init(&network->lock);
    int r = set_up(network, options, err);
    if (r < 0)
        return err_wrap(err, r, "pod network");
    *ret_network = TAKE(network);
    return 0;
}

struct pod_network *pod_network_free(struct pod_network *network)
{
    if (!network)
        return NULL;
    nat_free(network->nat);
    address_pool_deinit(&network->pool);
    mutex_deinit(&network->lock);
    free(network);
    return NULL;
}

static void set_mac(unsigned char mac[6], unsigned char kind, struct in_addr ip)
{
    const unsigned char *bytes = (const unsigned char *)&ip;

    memcpy(mac, (unsigned char[]){ 0x0a, kind, bytes[0], bytes[1], bytes[2], bytes[3] }, 6);
}

/* One end without the other, or to an old namespace, is what a crash or a new sandbox left. */
static int make_pair(struct link_socket *outside, struct link_socket *inside, const struct link_pair *pair, int netns,
                     struct err *err)
{
    bool have_outer = link_index(outside, pair->outer) != 0;

    if (have_outer && link_index(inside, pair->inner) != 0)
        return 0;
    int r = have_outer ? link_delete(outside, pair->outer, err) : 0;
    return r < 0 ? r : link_make_pair(outside, pair, netns, err);
}

static int make_links(struct pod_network *network, struct str pod_uid, const char *netns, struct in_addr ip,
                      bool has_ports, struct err *err)
{
    AUTO(link_socket) outside = NULL;
    AUTO(link_socket) inside = NULL;
    char name[IFNAMSIZ];
    struct link_pair pair = { .outer = name, .inner = POD_INTERFACE, .group = network->group, .mtu = network->mtu };

    AUTO_CLOSE int fd = open(netns, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return err_errno(err, errno, "opening %s", netns);
    veth_name(network->instance, pod_uid, name);
    set_mac(pair.outer_mac, 0x59, ip);
    set_mac(pair.inner_mac, 0x58, ip);
    int r = link_socket_new(&outside, err);
    if (r == 0)
        r = link_socket_new_in(fd, &inside, err);
    if (r == 0)
        r = make_pair(outside, inside, &pair, fd, err);
    if (r == 0)
        r = set_interface_sysctl(name, "rp_filter", "1", err);
    if (r == 0 && has_ports)
        r = set_interface_sysctl(name, "route_localnet", "1", err);
    if (r == 0)
        r = link_route_outer(outside, &pair, ip, network->gateway, err);
    if (r == 0)
        r = link_route_inner(inside, &pair, ip, network->gateway, err);
    return r;
}

static int check_ports(const struct port_mapping *ports, size_t count, struct err *err)
{
    for (size_t i = 0; i < count; i++)
        if (ports[i].host_port == 0 || ports[i].container_port == 0 || (unsigned)ports[i].protocol > PORT_SCTP)
            return err_set(err, ERR_INVALID, "host port %u for port %u", ports[i].host_port, ports[i].container_port);
    return 0;
}

/* The nft maps know no owner: the same element for another pod would replace nothing but be refused; the same key
 * within the pod is refused here. */
static int take_address(struct pod_network *network, struct str pod_uid, const struct port_mapping *ports,
                        size_t port_count, struct in_addr *ret_ip, struct err *err)
{
    struct address_lease *lease;

    LOCKED(&network->lock);
    bool known = address_pool_find(&network->pool, pod_uid) != NULL;
    int r = address_pool_take(&network->pool, pod_uid, ports, port_count, &lease, err);
    if (r < 0)
        return r;
    *ret_ip = lease->ip;
    r = nat_add_ports(network->nat, network->table, lease, err);
    if (r < 0 && !known)
        address_pool_give(&network->pool, lease, NULL);
    return r < 0 ? err_wrap(err, r, "host ports") : 0;
}

int pod_network_attach(struct pod_network *network, struct str pod_uid, const char *netns,
                       const struct port_mapping *ports, size_t port_count, struct pod_address *ret_address,
                       struct err *err)
{
    struct in_addr ip = { 0 };

    int r = check_ports(ports, port_count, err);
    if (r == 0)
        r = take_address(network, pod_uid, ports, port_count, &ip, err);
    if (r == 0)
        r = make_links(network, pod_uid, netns, ip, port_count > 0, err);
    if (r < 0)
        return err_wrap(err, r, "attaching pod " STR_FMT " to the network", STR_ARG(str_first(pod_uid, 64)));
    *ret_address = (struct pod_address){ .ip = ip, .prefix_len = 32, .gateway = network->gateway };
    return 0;
}

int pod_network_detach(struct pod_network *network, struct str pod_uid, struct err *err)
{
    AUTO(link_socket) links = NULL;
    char name[IFNAMSIZ];

    int r = link_socket_new(&links, err);
    if (r < 0)
        return r;
    veth_name(network->instance, pod_uid, name);
    if (link_index(links, name) != 0)
        r = link_delete(links, name, err);
    if (r < 0)
        return r;
    LOCKED(&network->lock);
    struct address_lease *lease = address_pool_find(&network->pool, pod_uid);
    if (!lease)
        return 0;
    r = nat_remove_ports(network->nat, network->table, lease, err);
    return r < 0 ? r : address_pool_give(&network->pool, lease, err);
}

int pod_network_address(struct pod_network *network, struct str pod_uid, struct pod_address *ret_address,
                        struct err *err)
{
    LOCKED(&network->lock);
    const struct address_lease *lease = address_pool_find(&network->pool, pod_uid);

    if (!lease)
        return err_set(err, ERR_NOT_FOUND, "pod " STR_FMT " has no address", STR_ARG(str_first(pod_uid, 64)));
    *ret_address = (struct pod_address){ .ip = lease->ip, .prefix_len = 32, .gateway = network->gateway };
    return 0;
}

int pod_network_list(struct pod_network *network, struct arena *arena, struct str **ret_pod_uids, size_t *ret_count,
                     struct err *err)
{
    struct map_entry *slot = NULL;
    size_t count = 0;

    LOCKED(&network->lock);
    struct str *uids = arena_array_of(arena, network->pool.by_pod.count + 1, struct str);
    if (!uids)
        return err_set(err, ERR_NO_MEMORY, "list of pods");
    while ((slot = map_next(&network->pool.by_pod, slot)))
        uids[count++] = arena_str(arena, slot->key);
    if (arena_failed(arena))
        return err_set(err, ERR_NO_MEMORY, "list of pods");
    *ret_pod_uids = uids;
    *ret_count = count;
    return 0;
}

struct in_addr pod_network_gateway(const struct pod_network *network)
{
    return network->gateway;
}

const char *pod_network_interface(const struct pod_network *network)
{
    return network->interface;
}

unsigned pod_network_group(const struct pod_network *network)
{
    return network->group;
}

int pod_network_purge(const struct pod_network_options *options, struct err *err)
{
    char interface[IFNAMSIZ], table[TABLE_MAX];
    AUTO(link_socket) links = NULL;
    AUTO(nat) nat = NULL;
    struct err one = { 0 };
    uint32_t range;
    unsigned prefix_len;

    int first = make_names(options->instance, interface, table, err);
    if (first == 0)
        first = link_socket_new(&links, err);
    if (first < 0)
        return first;
    first = link_delete_group(links, group_of(options->instance), err);
    int r = link_index(links, interface) ? link_delete(links, interface, &one) : 0;
    if (r == 0 && cidr_parse(options->pod_cidr, &range, &prefix_len, NULL) == 0)
        r = link_delete_unreachable(links, (struct in_addr){ htonl(range) }, prefix_len, &one);
    if (r == 0)
        r = nat_new(&nat, &one);
    if (r == 0)
        r = nat_remove_table(nat, table, &one);
    if (r == 0)
        r = file_remove_tree(options->state_dir, &one);
    if (first == 0 && r < 0) {
        if (err)
            *err = one;
        first = r;
    }
    return first < 0 ? err_wrap(err, first, "removing the pod network of %s", options->instance) : 0;
}
