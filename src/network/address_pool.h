/* address_pool.h - which pod has which address, kept in a folder: one file per address.
 *
 * The file is named by the address and tells the pod and its host ports; it is made with O_EXCL before the address is
 * used and removed after it was given up. Not thread-safe: the caller holds a lock. */
#pragma once

#include <netinet/in.h>

#include "base/err.h"
#include "base/map.h"
#include "base/str.h"
#include "network/pod_network.h"

#define POD_UID_MAX 64

struct address_lease {
    char pod_uid[POD_UID_MAX + 1];
    struct in_addr ip;
    struct port_mapping *ports;
    size_t port_count;
};

struct address_pool {
    char dir[1024];
    uint32_t network; /* host byte order */
    unsigned prefix_len;
    uint32_t size;    /* addresses in the range, network and broadcast too */
    uint32_t next;    /* where the search goes on */
    struct address_lease **leases; /* by offset, NULL: free */
    struct map by_pod;
};

/* "10.42.0.0/24"; between /8 and /30, host bits zero. ERR_INVALID. */
int cidr_parse(const char *text, uint32_t *ret_network, unsigned *ret_prefix_len, struct err *err);

/* Reads what is there. Files that a crash left empty or torn are removed. */
int address_pool_init(struct address_pool *pool, const char *dir, uint32_t network, unsigned prefix_len,
                      struct err *err);
void address_pool_deinit(struct address_pool *pool);
struct address_lease *address_pool_find(struct address_pool *pool, struct str pod_uid);
/* The pod's address with these ports; the one it has already, if it has one. ERR_NO_SPACE. */
int address_pool_take(struct address_pool *pool, struct str pod_uid, const struct port_mapping *ports,
                      size_t port_count, struct address_lease **ret_lease, struct err *err);
int address_pool_give(struct address_pool *pool, struct address_lease *lease, struct err *err);
/* The first address of the range: the node's. */
struct in_addr address_pool_gateway(const struct address_pool *pool);
