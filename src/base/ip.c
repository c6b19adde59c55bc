/* ip.c - addresses by inet_pton(), but for the leading zeros that older clients wrote. */
#include "base/ip.h"

#include <arpa/inet.h>
#include <stdio.h>

static bool parse_v4(struct str text, struct ip *ret_ip)
{
    struct ip ip = { .v6 = false };
    struct str part;
    size_t n = 0;

    while (str_split(&text, '.', &part)) {
        unsigned value = 0;

        if (n == 4 || str_empty(part) || part.len > 16)
            return false;
        for (size_t i = 0; i < part.len; i++) {
            if (part.data[i] < '0' || part.data[i] > '9')
                return false;
            value = value * 10 + (unsigned)(part.data[i] - '0');
            if (value > 255)
                return false;
        }
        ip.zeros |= part.len > 1 && part.data[0] == '0';
        ip.bytes[n++] = (uint8_t)value;
    }
    if (n != 4)
        return false;
    *ret_ip = ip;
    return true;
}

bool ip_parse(struct str text, struct ip *ret_ip)
{
    struct ip ip = { .v6 = true };
    char cstr[IP_TEXT_MAX];

    if (str_empty(text) || text.len >= sizeof cstr || memchr(text.data, '\0', text.len))
        return false;
    if (str_chr(text, ':') < 0)
        return parse_v4(text, ret_ip);
    memcpy(cstr, text.data, text.len);
    cstr[text.len] = '\0';
    if (inet_pton(AF_INET6, cstr, ip.bytes) != 1)
        return false;
    *ret_ip = ip;
    return true;
}

bool ip_net_parse(struct str text, struct ip_net *ret_net)
{
    ssize_t slash = str_chr(text, '/');
    struct ip_net net;
    struct str bits;
    uint64_t value;

    if (slash < 0 || !ip_parse(str_first(text, (size_t)slash), &net.ip))
        return false;
    bits = str_skip(text, (size_t)slash + 1);
    if (bits.len > 3 || !str_to_u64(bits, &value) || value > (net.ip.v6 ? 128 : 32))
        return false;
    net.ip.zeros |= bits.len > 1 && bits.data[0] == '0';
    net.bits = (unsigned)value;
    *ret_net = net;
    return true;
}

struct ip_net ip_net_masked(const struct ip_net *net)
{
    struct ip_net masked = *net;

    for (unsigned i = 0; i < sizeof masked.ip.bytes; i++) {
        unsigned kept = net->bits > i * 8 ? MIN(net->bits - i * 8, 8u) : 0;

        masked.ip.bytes[i] &= (uint8_t)(0xff00u >> kept);
    }
    return masked;
}

bool ip_net_contains(const struct ip_net *net, const struct ip *ip)
{
    struct ip_net other = { .ip = *ip, .bits = net->bits }, a = ip_net_masked(net), b;

    if (net->ip.v6 != ip->v6)
        return false;
    b = ip_net_masked(&other);
    return memcmp(a.ip.bytes, b.ip.bytes, sizeof a.ip.bytes) == 0;
}

struct str ip_text(const struct ip *ip, char out[IP_TEXT_MAX])
{
    if (!inet_ntop(ip->v6 ? AF_INET6 : AF_INET, ip->bytes, out, IP_TEXT_MAX))
        out[0] = '\0';
    return str_from(out);
}

struct str ip_net_text(const struct ip_net *net, char out[IP_TEXT_MAX])
{
    size_t len = ip_text(&net->ip, out).len;

    snprintf(out + len, IP_TEXT_MAX - len, "/%u", net->bits);
    return str_from(out);
}

static bool starts_with(const struct ip *ip, bool v6, const uint8_t *bytes, size_t count)
{
    return ip->v6 == v6 && memcmp(ip->bytes, bytes, count) == 0;
}

bool ip_is_mapped(const struct ip *ip)
{
    static const uint8_t mapped[12] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff };

    return starts_with(ip, true, mapped, sizeof mapped);
}

bool ip_is_unspecified(const struct ip *ip)
{
    static const uint8_t zeros[16];

    return memcmp(ip->bytes, zeros, ip->v6 ? 16 : 4) == 0;
}

bool ip_is_loopback(const struct ip *ip)
{
    static const uint8_t one[16] = { [15] = 1 };

    return ip->v6 ? memcmp(ip->bytes, one, sizeof one) == 0 : ip->bytes[0] == 127;
}

bool ip_is_link_local(const struct ip *ip)
{
    return ip->v6 ? ip->bytes[0] == 0xfe && (ip->bytes[1] & 0xc0) == 0x80 : ip->bytes[0] == 169 && ip->bytes[1] == 254;
}

bool ip_is_link_local_multicast(const struct ip *ip)
{
    return ip->v6 ? ip->bytes[0] == 0xff && (ip->bytes[1] & 0x0f) == 0x02
                  : ip->bytes[0] == 224 && ip->bytes[1] == 0 && ip->bytes[2] == 0;
}
