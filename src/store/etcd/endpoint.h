/* endpoint.h - where etcd's members are: "h1:2379,h2,[::1]:2379". */
#pragma once

#include "base/err.h"

#define ETCD_ENDPOINTS_MAX 16
#define ETCD_DEFAULT_PORT "2379"

struct etcd_endpoint {
    char host[256]; /* without brackets: what a certificate must be for */
    char port[6];
    char text[272]; /* "host:port", an IPv6 address in brackets */
};

/* ERR_INVALID. */
int etcd_endpoints_parse(struct str text, struct etcd_endpoint ret_endpoints[ETCD_ENDPOINTS_MAX], size_t *ret_count,
                         struct err *err);
