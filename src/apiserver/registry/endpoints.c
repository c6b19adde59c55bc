/* endpoints.c - endpoints: addresses behind a service, in the older form. */
#include <arpa/inet.h>

#include "api/resources.h"
#include "apiserver/registry/rules.h"

/* Addresses that say nothing, or not the same thing to everybody. */
static const char *special_ip(struct str text)
{
    char buf[INET6_ADDRSTRLEN];
    unsigned char ip[16];

    if (text.len >= sizeof buf)
        return NULL;
    memcpy(buf, text.data, text.len);
    buf[text.len] = '\0';
    if (inet_pton(AF_INET, buf, ip) == 1) {
        if (!(ip[0] | ip[1] | ip[2] | ip[3]))
            return "may not be unspecified";
        if (ip[0] == 127)
            return "may not be in the loopback range (127.0.0.0/8, ::1/128)";
        if (ip[0] == 169 && ip[1] == 254)
            return "may not be in the link-local range (169.254.0.0/16, fe80::/10)";
        return ip[0] == 224 && !(ip[1] | ip[2])
                   ? "may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)" : NULL;
    }
    if (inet_pton(AF_INET6, buf, ip) != 1)
        return NULL;
    if (IN6_IS_ADDR_UNSPECIFIED((struct in6_addr *)ip))
        return "may not be unspecified";
    if (IN6_IS_ADDR_LOOPBACK((struct in6_addr *)ip))
        return "may not be in the loopback range (127.0.0.0/8, ::1/128)";
    if (IN6_IS_ADDR_LINKLOCAL((struct in6_addr *)ip))
        return "may not be in the link-local range (169.254.0.0/16, fe80::/10)";
    return ip[0] == 0xff && (ip[1] & 0x0f) == 2
               ? "may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)" : NULL;
}

void check_endpoint_ip(struct causes *causes, const struct path *at, struct str ip)
{
    const char *special = special_ip(ip);

    if (cause_format(causes, at, FORMAT_IP, ip) && special)
        cause_at(causes, CAUSE_INVALID, at, "Invalid value: \"" STR_FMT "\": %s", STR_ARG(ip), special);
}

/* own: the API server's own endpoints, which are on loopback where a machine has no network. */
static void check_addresses(struct causes *causes, const struct path *at, const struct json *addresses, bool own)
{
    for (uint32_t i = 0; i < items_of(addresses); i++)
        if (!own)
            check_endpoint_ip(causes, AT(NTH(at, i), "ip"), text_in(&addresses->items[i], "ip"));
}

static void validate_create(struct request *request, const struct json *endpoints, struct causes *causes)
{
    const struct json *subsets = json_member(endpoints, "subsets");

    bool own = str_is(json_str_at(endpoints, "metadata.name"), "kubernetes") &&
               str_is(json_str_at(endpoints, "metadata.namespace"), "default");

    (void)request;
    for (uint32_t i = 0; i < items_of(subsets); i++) {
        const struct json *ready = json_member(&subsets->items[i], "addresses");
        const struct json *waiting = json_member(&subsets->items[i], "notReadyAddresses");
        const struct json *ports = json_member(&subsets->items[i], "ports");
        struct path *at = NTH(AT(NULL, "subsets"), i);

        if (!items_of(ready) && !items_of(waiting))
            cause_required(causes, at, "must specify `addresses` or `notReadyAddresses`");
        check_addresses(causes, AT(at, "addresses"), ready, own);
        check_addresses(causes, AT(at, "notReadyAddresses"), waiting, own);
        for (uint32_t j = 0; items_of(ports) > 1 && j < ports->count; j++)
            if (str_empty(text_in(&ports->items[j], "name")))
                cause_required(causes, AT(NTH(AT(at, "ports"), j), "name"), "");
    }
}

static void validate_update(struct request *request, const struct json *endpoints, const struct json *old,
                            struct causes *causes)
{
    (void)old;
    validate_create(request, endpoints, causes);
}

const struct rules endpoints_rules = {
    .resource = &RESOURCE_ENDPOINTS,
    .flags = RULE_NO_GENERATION | RULE_CREATE_ON_UPDATE,
    .validate_create = validate_create,
    .validate_update = validate_update,
};
