/* endpoint.c - reading the list of members. */
#include "store/etcd/endpoint.h"

#include <stdio.h>

static bool valid_host(struct str host)
{
    for (size_t i = 0; i < host.len; i++) {
        unsigned char c = (unsigned char)host.data[i];
        if (c <= ' ' || c >= 0x7f || c == '/' || c == '@' || c == '[' || c == ']')
            return false;
    }
    return host.len > 0 && host.len < sizeof((struct etcd_endpoint *)0)->host;
}

/* "host", "host:port", "[v6]", "[v6]:port". */
static bool split(struct str text, struct str *ret_host, struct str *ret_port)
{
    struct str rest;
    ssize_t at;

    if (str_has_prefix(text, STR("["))) {
        if ((at = str_chr(text, ']')) < 0)
            return false;
        *ret_host = str_of(text.data + 1, (size_t)at - 1);
        rest = str_skip(text, (size_t)at + 1);
    } else {
        at = str_chr(text, ':');
        *ret_host = at < 0 ? text : str_first(text, (size_t)at);
        rest = at < 0 ? STR("") : str_skip(text, (size_t)at);
    }
    if (rest.len == 0) {
        *ret_port = STR(ETCD_DEFAULT_PORT);
        return true;
    }
    *ret_port = str_skip(rest, 1);
    return rest.data[0] == ':';
}

static bool parse(struct str text, struct etcd_endpoint *endpoint)
{
    struct str host, port;
    uint64_t number;

    if (!split(text, &host, &port) || !valid_host(host) || !str_to_u64(port, &number) || number == 0 || number > 65535)
        return false;
    snprintf(endpoint->host, sizeof endpoint->host, STR_FMT, STR_ARG(host));
    snprintf(endpoint->port, sizeof endpoint->port, "%u", (unsigned)number);
    snprintf(endpoint->text, sizeof endpoint->text, str_chr(host, ':') < 0 ? "%s:%s" : "[%s]:%s", endpoint->host,
             endpoint->port);
    return true;
}

int etcd_endpoints_parse(struct str text, struct etcd_endpoint ret_endpoints[ETCD_ENDPOINTS_MAX], size_t *ret_count,
                         struct err *err)
{
    struct str rest = text, part;
    size_t count = 0;

    while (str_split(&rest, ',', &part)) {
        part = str_trim(part);
        if (count == ETCD_ENDPOINTS_MAX)
            return err_set(err, ERR_INVALID, "etcd endpoints: more than %d", ETCD_ENDPOINTS_MAX);
        if (!parse(part, &ret_endpoints[count]))
            return err_set(err, ERR_INVALID, "etcd endpoint \"" STR_FMT "\": not host:port", STR_ARG(part));
        count++;
    }
    if (count == 0)
        return err_set(err, ERR_INVALID, "etcd endpoints: none");
    *ret_count = count;
    return 0;
}
