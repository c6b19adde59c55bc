/* ip.h - IP addresses and networks as text: read in any usual form, written in the canonical one.
 *
 * An IPv6 address that maps an IPv4 one (::ffff:1.2.3.4) is IPv6 here. */
#pragma once

#include "base/str.h"

#define IP_TEXT_MAX 64 /* an address or a network, with its end */

struct ip {
    bool v6;
    bool zeros;        /* it was written with leading zeros: 010.1.2.3 */
    uint8_t bytes[16]; /* network order; the first 4 of an IPv4 address */
};

struct ip_net {
    struct ip ip; /* as written: may have bits beyond the prefix */
    unsigned bits;
};

/* Leading zeros in an IPv4 address are read as decimal. */
bool ip_parse(struct str text, struct ip *ret_ip);
bool ip_net_parse(struct str text, struct ip_net *ret_net);
bool ip_net_contains(const struct ip_net *net, const struct ip *ip);
/* The same without the bits beyond the prefix. */
struct ip_net ip_net_masked(const struct ip_net *net);
struct str ip_text(const struct ip *ip, char out[IP_TEXT_MAX]);
struct str ip_net_text(const struct ip_net *net, char out[IP_TEXT_MAX]);

bool ip_is_mapped(const struct ip *ip); /* ::ffff:0:0/96 */
bool ip_is_unspecified(const struct ip *ip);
bool ip_is_loopback(const struct ip *ip);
bool ip_is_link_local(const struct ip *ip);
bool ip_is_link_local_multicast(const struct ip *ip);
