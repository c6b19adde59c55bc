/* proxy.h - the way of stores to etcd: a TCP port for each pair of a store and a member, through which a test's faults
 * come.
 *
 * One thread carries all bytes. Faults that last end by themselves, or with proxy_heal(). Any thread may call anything
 * but new and free. */
#pragma once

#include "history.h"

struct proxy;

/* endpoints: "host:port,...". Each store gets ports of its own on 127.0.0.1. */
int proxy_new(const char *endpoints, int stores, struct proxy **ret_proxy, struct err *err);
struct proxy *proxy_free(struct proxy *proxy);
DEFINE_AUTO(proxy, proxy_free)

/* What a store is told as its endpoints; lasts as long as the proxy. */
struct str proxy_endpoints(const struct proxy *proxy, int store);
int proxy_members(const struct proxy *proxy);
/* fault->store -1: all stores but the last. */
void proxy_fault(struct proxy *proxy, const struct net_fault *fault);
void proxy_heal(struct proxy *proxy);
