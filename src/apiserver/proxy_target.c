/* proxy_target.c - from "https:web:443" to an address.
 *
 * The server need not have a route to pods, so each address is reached from a node: the pod's own where it is known,
 * else any that is ready. */
#include "apiserver/proxy_target.h"

#include <arpa/inet.h>

#include "api/resources.h"
#include "apiserver/agent.h"
#include "apiserver/decode.h"
#include "apiserver/server.h"
#include "apiserver/write.h"

bool proxy_name_split(struct str id, struct str *ret_scheme, struct str *ret_name, struct str *ret_port)
{
    struct str parts[3] = { STR_INIT(""), STR_INIT(""), STR_INIT("") }, rest = id, part;
    size_t count = 0;

    while (str_split(&rest, ':', &part)) {
        if (count == ARRAY_LEN(parts))
            return false;
        parts[count++] = part;
    }
    *ret_scheme = count == 3 ? parts[0] : STR("");
    *ret_name = count == 3 ? parts[1] : parts[0];
    *ret_port = count == 3 ? parts[2] : parts[1];
    return !str_empty(*ret_name) &&
           (str_empty(*ret_scheme) || str_is(*ret_scheme, "http") || str_is(*ret_scheme, "https"));
}

struct name {
    struct str name, port;
    bool tls;
};

static int split_name(struct request *request, const char *what, struct name *ret_name, struct err *err)
{
    struct str scheme;

    if (!proxy_name_split(request->info.name, &scheme, &ret_name->name, &ret_name->port))
        return fail_bad_request(request, err, "invalid %s request \"" STR_FMT "\"", what, STR_ARG(request->info.name));
    ret_name->tls = str_is(scheme, "https");
    return 0;
}

static int unreachable(struct err *err, const char *why)
{
    return err_set(err, ERR_UNAVAILABLE, "error trying to reach service: %s", why);
}

static bool to_port(struct str text, int *ret_port)
{
    int64_t port;

    if (!str_to_i64(text, &port) || port < 1 || port > UINT16_MAX)
        return false;
    *ret_port = (int)port;
    return true;
}

/* Neither the server's own host nor a link's: those are not what a pod listens on. */
static bool is_proxyable(struct str address)
{
    struct in6_addr v6;
    struct in_addr v4;
    char text[64];

    snprintf(text, sizeof text, STR_FMT, STR_ARG(address));
    if (address.len < sizeof text && inet_pton(AF_INET, text, &v4) == 1) {
        uint32_t host = ntohl(v4.s_addr);

        return host >> 24 != 127 && host >> 16 != 0xa9fe && host != 0 && host >> 28 != 0xe;
    }
    return address.len < sizeof text && inet_pton(AF_INET6, text, &v6) == 1 && !IN6_IS_ADDR_LOOPBACK(&v6) &&
           !IN6_IS_ADDR_LINKLOCAL(&v6) && !IN6_IS_ADDR_UNSPECIFIED(&v6) && !IN6_IS_ADDR_MULTICAST(&v6);
}

static int read_object(struct request *request, const struct resource *resource, struct str ns, struct str name,
                       struct json **ret_object, struct err *err)
{
    struct write reader = { .request = request };
    struct str key = arena_printf(request->arena, STR_FMT STR_FMT "%s" STR_FMT, STR_ARG(resource->store_prefix),
                                  STR_ARG(ns), ns.len ? "/" : "", STR_ARG(name));
    revision_t revision;

    return write_read(&reader, key, ret_object, NULL, &revision, err);
}

/* -- which agent -- */

static bool node_is_ready(const struct json *node)
{
    const struct json *conditions = json_at(node, "status.conditions");

    for (uint32_t i = 0; json_is(conditions, JSON_ARRAY) && i < conditions->count; i++)
        if (str_is(json_str(json_member(&conditions->items[i], "type")), "Ready"))
            return str_is(json_str(json_member(&conditions->items[i], "status")), "True");
    return false;
}

/* The first that is ready. */
static int any_node(struct request *request, struct str *ret_node, struct err *err)
{
    AUTO(store_snapshot) snapshot = NULL;
    AUTO(store_cursor) cursor = NULL;
    struct store_item item;
    struct json *node;
    int code = store_snapshot_open(request->server->options.store, 0, &snapshot, err);

    if (code == 0)
        code = store_cursor_open(snapshot, RESOURCE_NODES.store_prefix, STR(""), &cursor, err);
    while (code == 0 && (code = store_cursor_next(cursor, &item, err)) == 1) {
        if ((code = decode_stored(request, item.value, &node, err)) < 0)
            return code;
        if (!node_is_ready(node))
            continue;
        *ret_node = json_str_at(node, "metadata.name");
        return 0;
    }
    return code < 0 ? code : unreachable(err, "no node is ready");
}

static int find_agent(struct request *request, struct str node, struct proxy_target *target, struct err *err)
{
    int64_t port;
    int code = str_empty(node) ? any_node(request, &node, err) : 0;

    if (code < 0 || (code = agent_address(request, node, &target->agent_host, &port, err)) < 0)
        return code;
    target->agent_port = (int)port;
    return 0;
}

/* -- pods -- */

static int64_t first_port(const struct json *pod)
{
    const struct json *containers = json_at(pod, "spec.containers");

    for (uint32_t i = 0; json_is(containers, JSON_ARRAY) && i < containers->count; i++) {
        const struct json *ports = json_member(&containers->items[i], "ports");

        if (json_is(ports, JSON_ARRAY) && ports->count)
            return json_int(json_member(&ports->items[0], "containerPort"), 0);
    }
    return 0;
}

static int find_pod(struct request *request, struct proxy_target *target, struct err *err)
{
    struct name name;
    struct json *pod;
    int code;

    if ((code = split_name(request, "pod", &name, err)) < 0 ||
        (code = read_object(request, &RESOURCE_PODS, request->info.ns, name.name, &pod, err)) < 0)
        return code;
    if (!pod)
        return fail_not_found(request, name.name, err);
    target->dial = true;
    target->tls = name.tls;
    target->host = json_str_at(pod, "status.podIP");
    target->port = name.tls ? 443 : 80;
    if (str_empty(name.port) && first_port(pod))
        target->port = (int)first_port(pod);
    else if (!str_empty(name.port) && !to_port(name.port, &target->port))
        return unreachable(err, "the port is not a number");
    if (!is_proxyable(target->host))
        return fail_bad_request(request, err, "address not allowed");
    return find_agent(request, json_str_at(pod, "spec.nodeName"), target, err);
}

/* -- services -- */

static const struct json *port_named(const struct json *ports, struct str name, int *ret_port)
{
    for (uint32_t i = 0; json_is(ports, JSON_ARRAY) && i < ports->count; i++) {
        const struct json *port = &ports->items[i];
        struct str its = json_str(json_member(port, "name"));
        int64_t number = json_int(json_member(port, "port"), 0);

        if (!(str_empty(its) && str_empty(name)) && !str_eq(its, name))
            continue;
        if (number < 1 || number > UINT16_MAX)
            continue;
        *ret_port = (int)number;
        return port;
    }
    return NULL;
}

bool proxy_pick_endpoint(const struct json *endpoints, struct str port_name, uint64_t random, struct str *ret_host,
                         int *ret_port, struct str *ret_node)
{
    const struct json *subsets = json_member(endpoints, "subsets");
    uint32_t count = json_is(subsets, JSON_ARRAY) ? subsets->count : 0;

    for (uint32_t i = 0; i < count; i++) {
        const struct json *subset = &subsets->items[(random + i) % count];
        const struct json *addresses = json_member(subset, "addresses"), *address;

        if (!json_is(addresses, JSON_ARRAY) || !addresses->count ||
            !port_named(json_member(subset, "ports"), port_name, ret_port))
            continue;
        address = &addresses->items[random % addresses->count];
        *ret_host = json_str(json_member(address, "ip"));
        *ret_node = json_str(json_member(address, "nodeName"));
        return true;
    }
    return false;
}

bool proxy_pick_slice(const struct json *slice, struct str port_name, uint64_t random, struct str *ret_host, int *ret_port,
                      struct str *ret_node)
{
    const struct json *endpoints = json_member(slice, "endpoints");
    uint32_t count = json_is(endpoints, JSON_ARRAY) ? endpoints->count : 0;

    if (count == 0 || !port_named(json_member(slice, "ports"), port_name, ret_port))
        return false;
    for (uint32_t i = 0; i < count; i++) {
        const struct json *endpoint = &endpoints->items[(random + i) % count];
        const struct json *addresses = json_member(endpoint, "addresses");

        if (!json_bool(json_at(endpoint, "conditions.ready"), true) || !json_is(addresses, JSON_ARRAY) ||
            !addresses->count)
            continue;
        *ret_host = json_str(&addresses->items[0]);
        *ret_node = json_str(json_member(endpoint, "nodeName"));
        return true;
    }
    return false;
}

/* Services whose endpoints are only in slices. */
static int pick_of_slices(struct request *request, struct str service, struct str port_name,
                          struct proxy_target *target, struct str *ret_node, struct err *err)
{
    AUTO(store_snapshot) snapshot = NULL;
    AUTO(store_cursor) cursor = NULL;
    struct str prefix = arena_printf(request->arena, STR_FMT STR_FMT "/",
                                     STR_ARG(RESOURCE_DISCOVERY_K8S_IO_ENDPOINTSLICES.store_prefix), STR_ARG(request->info.ns));
    struct store_item item;
    struct json *slice;
    int code = prefix.data ? store_snapshot_open(request->server->options.store, 0, &snapshot, err)
                           : err_set(err, ERR_NO_MEMORY, "store key");

    if (code == 0)
        code = store_cursor_open(snapshot, prefix, STR(""), &cursor, err);
    while (code == 0 && (code = store_cursor_next(cursor, &item, err)) == 1) {
        if ((code = decode_stored(request, item.value, &slice, err)) < 0)
            return code;
        if (str_eq(json_str(json_get(json_at(slice, "metadata.labels"), STR("kubernetes.io/service-name"))), service) &&
            proxy_pick_slice(slice, port_name, apiserver_random(request->server, UINT32_MAX), &target->host,
                             &target->port, ret_node))
            return 1;
    }
    return code;
}

/* A number names one of the service's ports; endpoints know them by name. */
static int name_of_port(struct request *request, const struct name *name, const struct json *service,
                        struct str *ret_port_name, struct err *err)
{
    const struct json *ports = json_at(service, "spec.ports");
    int64_t number;

    *ret_port_name = name->port;
    if (!str_to_i64(name->port, &number))
        return 0;
    for (uint32_t i = 0; json_is(ports, JSON_ARRAY) && i < ports->count; i++)
        if (json_int(json_member(&ports->items[i], "port"), 0) == number) {
            *ret_port_name = json_str(json_member(&ports->items[i], "name"));
            return 0;
        }
    (void)request;
    return err_set(err, ERR_UNAVAILABLE, "no service port %lld found for service \"" STR_FMT "\"", (long long)number,
                   STR_ARG(name->name));
}

static int find_service(struct request *request, struct proxy_target *target, struct err *err)
{
    struct str port_name, node = STR("");
    struct json *service, *endpoints;
    struct name name;
    int code;

    if ((code = split_name(request, "service", &name, err)) < 0 ||
        (code = read_object(request, &RESOURCE_SERVICES, request->info.ns, name.name, &service, err)) < 0)
        return code;
    if (!service)
        return fail_not_found(request, name.name, err);
    if ((code = name_of_port(request, &name, service, &port_name, err)) < 0 ||
        (code = read_object(request, &RESOURCE_ENDPOINTS, request->info.ns, name.name, &endpoints, err)) < 0)
        return code;
    target->dial = true;
    target->tls = name.tls;
    code = proxy_pick_endpoint(endpoints, port_name, apiserver_random(request->server, UINT32_MAX), &target->host,
                               &target->port, &node)
               ? 1
               : pick_of_slices(request, name.name, port_name, target, &node, err);
    if (code < 0)
        return code;
    if (code == 0)
        return err_set(err, ERR_UNAVAILABLE, "no endpoints available for service \"" STR_FMT "\"",
                       STR_ARG(request->info.name));
    if (!is_proxyable(target->host))
        return fail_bad_request(request, err, "address not allowed");
    return find_agent(request, node, target, err);
}

/* -- nodes -- */

static int find_node(struct request *request, struct proxy_target *target, struct err *err)
{
    struct name name;
    int code;

    if ((code = split_name(request, "node", &name, err)) < 0)
        return code;
    code = find_agent(request, name.name, target, err);
    if (code == -ERR_NOT_FOUND)
        return fail_not_found(request, name.name, err);
    if (code < 0 || str_empty(name.port))
        return code;
    if (!to_port(name.port, &target->port))
        return unreachable(err, "the port is not a number");
    if (target->port == target->agent_port)
        return 0;
    target->dial = true;
    target->tls = name.tls;
    target->host = target->agent_host;
    return 0;
}

int proxy_target_find(struct request *request, struct proxy_target *ret_target, struct err *err)
{
    static const struct {
        const char *plural;
        int (*find)(struct request *, struct proxy_target *, struct err *);
    } kinds[] = { { "pods", find_pod }, { "services", find_service }, { "nodes", find_node } };
    struct proxy_target target = { 0 };
    int code;

    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        if (!str_is(request->resource->plural, kinds[i].plural))
            continue;
        if ((code = kinds[i].find(request, &target, err)) == 0)
            *ret_target = target;
        return code;
    }
    return fail_not_supported(request, err, "proxy");
}
