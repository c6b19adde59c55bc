/* addresses.c - addresses, networks and hosts in objects. */
#include "apiserver/registry/place.h"

#define BAD_IP "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"
#define BAD_CIDR "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)"

bool check_ip(const struct place *at, struct ip *ret_ip)
{
    if (ip_parse(place_str(at), ret_ip))
        return true;
    say_invalid_as(at, place_str(at), BAD_IP);
    return false;
}

bool check_cidr(const struct place *at, struct ip_net *ret_net)
{
    if (ip_net_parse(place_str(at), ret_net))
        return true;
    say_invalid_as(at, place_str(at), BAD_CIDR);
    return false;
}

void check_canonical_ip(const struct place *at)
{
    char text[IP_TEXT_MAX];
    struct ip ip;

    if (!check_ip(at, &ip))
        return;
    if (ip.zeros)
        say_invalid(at, "must not have leading 0s");
    else if (ip_is_mapped(&ip))
        say_invalid(at, "must not be an IPv4-mapped IPv6 address");
    else if (!str_eq(ip_text(&ip, text), place_str(at)))
        say_invalid(at, "must be in canonical form (\"%s\")", text);
}

void check_canonical_cidr(const struct place *at)
{
    char text[IP_TEXT_MAX];
    struct ip_net net, masked;

    if (!check_cidr(at, &net))
        return;
    masked = ip_net_masked(&net);
    ip_net_text(&masked, text);
    if (net.ip.zeros)
        say_invalid(at, "must not have leading 0s in IP");
    else if (ip_is_mapped(&net.ip))
        say_invalid(at, "must not have an IPv4-mapped IPv6 address");
    else if (memcmp(masked.ip.bytes, net.ip.bytes, sizeof net.ip.bytes) != 0)
        say_invalid(at, "must not have bits set beyond the prefix length");
    else if (!str_is(place_str(at), text))
        say_invalid(at, "must be in canonical form (\"%s\")", text);
}

#define WILDCARD_TEXT                                                                                               \
    "a wildcard DNS-1123 subdomain must start with '*.', followed by a valid DNS subdomain, which must consist of " \
    "lower case alphanumeric characters, '-' or '.' and end with an alphanumeric character (e.g. '*.example.com', " \
    "regex used for validation is '\\*\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"

void check_host(const struct place *at)
{
    struct str host = place_str(at);

    if (str_chr(host, '*') < 0)
        check_form(at, NAME_SUBDOMAIN);
    else if (!str_has_prefix(host, STR("*.")) || !name_is_subdomain(str_skip(host, 2)))
        say_invalid(at, WILDCARD_TEXT);
}
