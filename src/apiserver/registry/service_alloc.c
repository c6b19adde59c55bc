/* service_alloc.c - what a service holds before and after a write, and the difference as operations.
 *
 * A free address is looked for at random in a snapshot; if another write takes it first, the commit's comparison
 * fails and the whole write is planned again. */
#include "apiserver/registry/service_alloc.h"

#include "apiserver/overlay.h"
#include "apiserver/registry/rules.h"
#include "apiserver/server.h"

#define IP_PREFIX "/caravel/cluster-ips/"
#define PORT_PREFIX "/caravel/node-ports/"
#define RANDOM_TRIES 64
#define PORTS_MAX 512

static bool uses_cluster_ip(const struct json *service)
{
    return service && !str_is(json_str_at(service, "spec.type"), "ExternalName");
}

static bool uses_node_ports(const struct json *service)
{
    struct str type = json_str_at(service, "spec.type");

    if (!service)
        return false;
    return str_is(type, "NodePort") ||
           (str_is(type, "LoadBalancer") && json_bool(json_at(service, "spec.allocateLoadBalancerNodePorts"), true));
}

static struct str ip_of(const struct json *service)
{
    struct str ip = uses_cluster_ip(service) ? json_str_at(service, "spec.clusterIP") : STR("");

    return str_is(ip, "None") || !ip.data ? STR("") : ip;
}

static struct str owner_of(struct write *write)
{
    return arena_printf(write->request->arena, STR_FMT "/" STR_FMT, STR_ARG(write->ns), STR_ARG(write->name));
}

static struct str ip_key(struct write *write, struct str ip)
{
    return arena_printf(write->request->arena, IP_PREFIX STR_FMT, STR_ARG(ip));
}

static struct str port_key(struct write *write, int64_t port)
{
    return arena_printf(write->request->arena, PORT_PREFIX "%lld", (long long)port);
}

/* 1: taken, 0: free. What another write of the same transaction claims is taken, and what it gives back not yet free. */
static int is_taken(struct write *write, struct store_snapshot *snapshot, struct str key, struct err *err)
{
    struct store_item item;
    int code;

    if (!key.data)
        return err_set(err, ERR_NO_MEMORY, "allocation");
    if (overlay_find(write->request->overlay, key))
        return 1;
    code = store_get(snapshot, key, &item, err);
    if (code == -ERR_NOT_FOUND) {
        err_clear(err);
        return 0;
    }
    return code < 0 ? code : 1;
}

static int claim(struct write *write, struct str key, struct err *err)
{
    return write_op(write, STORE_PUT, key, owner_of(write), STORE_NO_SPLICE, STORE_ABSENT, err);
}

static int release_key(struct write *write, struct str key, struct err *err)
{
    return write_op(write, STORE_DELETE, key, owner_of(write), STORE_NO_SPLICE, STORE_ANY, err);
}

static bool parse_ip(struct str text, uint32_t *ret_ip)
{
    struct str part;
    uint64_t octet;
    uint32_t ip = 0;
    int parts = 0;

    while (str_split(&text, '.', &part)) {
        if (!str_to_u64(part, &octet) || octet > 255 || ++parts > 4)
            return false;
        ip = ip << 8 | (uint32_t)octet;
    }
    *ret_ip = ip;
    return parts == 4;
}

static struct str ip_text(struct write *write, uint32_t ip)
{
    return arena_printf(write->request->arena, "%u.%u.%u.%u", ip >> 24, ip >> 16 & 255, ip >> 8 & 255, ip & 255);
}

/* -- addresses -- */

static int refuse_ip(struct write *write, struct str ip, const char *why, struct err *err)
{
    struct causes *causes = &write->request->failure.causes;

    causes_add(causes, CAUSE_INVALID, STR("spec.clusterIPs"),
               "Invalid value: [\"" STR_FMT "\"]: failed to allocate IP " STR_FMT ": %s", STR_ARG(ip), STR_ARG(ip),
               why);
    return fail_invalid(write->request, write->name, err);
}

static int claim_given_ip(struct write *write, struct store_snapshot *snapshot, struct str ip, struct err *err)
{
    struct apiserver *server = write->request->server;
    uint32_t mask = UINT32_MAX << (32 - server->service_bits), number;
    struct str key = ip_key(write, ip);
    int code;

    if (!parse_ip(ip, &number) || (number & mask) != server->service_net || number == server->service_net ||
        number == (server->service_net | ~mask))
        return refuse_ip(write, ip, "the provided IP is not in the valid range", err);
    if ((code = is_taken(write, snapshot, key, err)) < 0)
        return code;
    return code ? refuse_ip(write, ip, "provided IP is already allocated", err) : claim(write, key, err);
}

/* The lower part of the range is left to those who choose an address themselves. */
static int find_ip(struct write *write, struct store_snapshot *snapshot, struct str *ret_ip, struct err *err)
{
    struct apiserver *server = write->request->server;
    uint64_t size = (1ull << (32 - server->service_bits)) - 2;
    uint64_t reserved = MIN(MAX(size / 16, 16), 256), offset;
    int code;

    if (reserved >= size)
        reserved = 0;
    for (uint64_t i = 0; i < size + RANDOM_TRIES; i++) {
        offset = i < RANDOM_TRIES ? reserved + apiserver_random(server, size - reserved) : i - RANDOM_TRIES;
        struct str ip = ip_text(write, server->service_net + 1 + (uint32_t)offset);

        code = is_taken(write, snapshot, ip_key(write, ip), err);
        if (code < 0)
            return code;
        if (code == 0) {
            *ret_ip = ip;
            return 0;
        }
    }
    return err_set(err, ERR_INTERNAL, "failed to allocate a serviceIP: range is full");
}

static int set_ips(struct write *write, struct json *service, struct str ip, struct err *err)
{
    struct arena *arena = write->request->arena;
    struct json *spec = json_member(service, "spec"), *list = json_new(arena, JSON_ARRAY);
    struct json *value = json_new_str(arena, ip);

    if (!list || !value || !json_append(arena, list, value) || !json_set_str(arena, spec, STR("clusterIP"), ip) ||
        !json_set(arena, spec, STR("clusterIPs"), list))
        return out_of_memory(err);
    return 0;
}

static int transact_ip(struct write *write, struct store_snapshot *snapshot, struct json *service,
                       const struct json *old, struct err *err)
{
    struct str now = ip_of(service), before = ip_of(old);
    bool wants = uses_cluster_ip(service) && !str_is(json_str_at(service, "spec.clusterIP"), "None");
    int code;

    if (!str_empty(before) && !str_eq(now, before) && (code = release_key(write, ip_key(write, before), err)) < 0)
        return code;
    if (!wants || (!str_empty(now) && str_eq(now, before)))
        return 0;
    if (!str_empty(now))
        return (code = claim_given_ip(write, snapshot, now, err)) < 0 ? code : set_ips(write, service, now, err);
    if ((code = find_ip(write, snapshot, &now, err)) < 0 || (code = claim(write, ip_key(write, now), err)) < 0)
        return code;
    return set_ips(write, service, now, err);
}

/* -- node ports -- */

struct ports {
    int64_t items[PORTS_MAX];
    size_t count;
};

static bool has_port(const struct ports *ports, int64_t port)
{
    for (size_t i = 0; i < ports->count; i++)
        if (ports->items[i] == port)
            return true;
    return false;
}

static void add_port(struct ports *ports, int64_t port)
{
    if (port > 0 && !has_port(ports, port) && ports->count < PORTS_MAX)
        ports->items[ports->count++] = port;
}

static void collect(const struct json *service, struct ports *ports)
{
    const struct json *list = json_at(service, "spec.ports");

    ports->count = 0;
    if (!service)
        return;
    for (uint32_t i = 0; json_is(list, JSON_ARRAY) && i < list->count; i++)
        add_port(ports, json_int(json_member(&list->items[i], "nodePort"), 0));
    add_port(ports, json_int(json_at(service, "spec.healthCheckNodePort"), 0));
}

static int refuse_port(struct write *write, uint32_t at, int64_t port, const char *why, struct err *err)
{
    struct causes *causes = &write->request->failure.causes;

    add_invalid_int(causes, field_path(causes, "spec.ports[%u].nodePort", at), port, why);
    return fail_invalid(write->request, write->name, err);
}

static int claim_given_port(struct write *write, struct store_snapshot *snapshot, uint32_t at, int64_t port,
                            struct err *err)
{
    const struct apiserver_options *options = &write->request->server->options;
    struct str key = port_key(write, port);
    int code;

    if (port < options->node_port_first || port > options->node_port_last) {
        struct str why = arena_printf(write->request->arena,
                                      "provided port is not in the valid range. The range of valid ports is %d-%d",
                                      options->node_port_first, options->node_port_last);
        return refuse_port(write, at, port, why.data ? why.data : "", err);
    }
    if ((code = is_taken(write, snapshot, key, err)) < 0)
        return code;
    return code ? refuse_port(write, at, port, "provided port is already allocated", err) : claim(write, key, err);
}

static int find_port(struct write *write, struct store_snapshot *snapshot, const struct ports *mine, int64_t *ret_port,
                     struct err *err)
{
    struct apiserver *server = write->request->server;
    int64_t first = server->options.node_port_first, size = server->options.node_port_last - first + 1, port;
    int code;

    for (int64_t i = 0; i < size + RANDOM_TRIES; i++) {
        port = first + (i < RANDOM_TRIES ? (int64_t)apiserver_random(server, (uint64_t)size) : i - RANDOM_TRIES);
        if (has_port(mine, port))
            continue;
        if ((code = is_taken(write, snapshot, port_key(write, port), err)) < 0)
            return code;
        if (code == 0) {
            *ret_port = port;
            return 0;
        }
    }
    return err_set(err, ERR_INTERNAL, "failed to allocate a nodePort: range is full");
}

static int transact_port(struct write *write, struct store_snapshot *snapshot, struct json *port, uint32_t at,
                         const struct ports *before, struct ports *now, struct err *err)
{
    int64_t number = json_int(json_member(port, "nodePort"), 0);
    int code;

    if (number) {
        if (has_port(now, number))
            return 0;
        add_port(now, number);
        return has_port(before, number) ? 0 : claim_given_port(write, snapshot, at, number, err);
    }
    if ((code = find_port(write, snapshot, now, &number, err)) < 0 ||
        (code = claim(write, port_key(write, number), err)) < 0)
        return code;
    add_port(now, number);
    return json_set_int(write->request->arena, port, STR("nodePort"), number) ? 0 : out_of_memory(err);
}

static int transact_ports(struct write *write, struct store_snapshot *snapshot, struct json *service,
                          const struct json *old, struct err *err)
{
    struct ports *before = arena_new_of(write->request->arena, struct ports);
    struct ports *now = arena_new_of(write->request->arena, struct ports);
    struct json *list = json_at(service, "spec.ports");
    int code;

    if (!before || !now)
        return out_of_memory(err);
    collect(old, before);
    for (uint32_t i = 0; uses_node_ports(service) && json_is(list, JSON_ARRAY) && i < list->count; i++)
        if ((code = transact_port(write, snapshot, &list->items[i], i, before, now, err)) < 0)
            return code;
    for (size_t i = 0; i < before->count; i++)
        if (!has_port(now, before->items[i]) && (code = release_key(write, port_key(write, before->items[i]), err)) < 0)
            return code;
    return 0;
}

int service_transact(struct write *write, struct json *service, const struct json *old, struct err *err)
{
    AUTO(store_snapshot) snapshot = NULL;
    int code = store_snapshot_open(write->request->server->options.store, 0, &snapshot, err);

    if (code < 0 || (code = transact_ip(write, snapshot, service, old, err)) < 0)
        return code;
    return transact_ports(write, snapshot, service, old, err);
}
