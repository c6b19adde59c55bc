/* nat.h - the nft table of the pods: masquerading and host ports. Not thread-safe: the caller holds a lock. */
#pragma once

#include "base/err.h"
#include "network/address_pool.h"

struct nat;

struct nat_options {
    const char *table;
    unsigned group; /* of the links to pods */
    const char *pod_cidr, *cluster_cidr;
    bool masquerade;
};

int nat_new(struct nat **ret_nat, struct err *err);
struct nat *nat_free(struct nat *nat);
DEFINE_AUTO(nat, nat_free)

/* The whole table with the ports of these leases, in one transaction, whatever was there before. */
int nat_set_up(struct nat *nat, const struct nat_options *options, const struct address_pool *pool, struct err *err);
/* ERR_CONFLICT when another pod has one of the ports; then none was added. */
int nat_add_ports(struct nat *nat, const char *table, const struct address_lease *lease, struct err *err);
int nat_remove_ports(struct nat *nat, const char *table, const struct address_lease *lease, struct err *err);
/* Absent is fine. */
int nat_remove_table(struct nat *nat, const char *table, struct err *err);
