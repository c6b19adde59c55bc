/* service.c - cells of services and of what stands behind them. */
#include "apiserver/cells/cells.h"

#define SHOWN_MAX 3

static int compare_addresses(const void *a, const void *b)
{
    return str_cmp(*(const struct str *)a, *(const struct str *)b);
}

/* The addresses (or names) of a load balancer, each once, in order. */
static void add_balancer(struct arena *arena, const struct json *ingress, struct cell_list *list)
{
    struct str *found = arena_array_of(arena, cell_count(ingress) + 1, struct str);
    size_t count = 0;

    for each_item(ingress, point) {
        struct str address = str_or(json_str(json_member(point, "ip")), json_str(json_member(point, "hostname")));

        if (found && !str_empty(address))
            found[count++] = address;
    }
    if (count)
        qsort(found, count, sizeof *found, compare_addresses);
    for (size_t i = 0; i < count; i++)
        if (!i || !str_eq(found[i], found[i - 1]))
            cell_list_add(list, found[i]);
}

static void external_ip(struct arena *arena, const struct json *object, nsec_t now, struct json *ret_cell)
{
    struct str type = json_str_at(object, "spec.type"), none = STR("<none>");
    struct cell_list list;

    if (str_is(type, "ExternalName")) {
        cell_str(ret_cell, json_str_at(object, "spec.externalName"));
        return;
    }
    cell_list_init(&list, ",", 0);
    if (str_is(type, "LoadBalancer")) {
        add_balancer(arena, json_at(object, "status.loadBalancer.ingress"), &list);
        none = STR("<pending>");
    } else if (!str_is(type, "ClusterIP") && !str_is(type, "NodePort")) {
        cell_str(ret_cell, STR("<unknown>"));
        return;
    }
    for each_item(json_at(object, "spec.externalIPs"), address)
        cell_list_add(&list, json_str(address));
    cell_list_finish(arena, &list, none, ret_cell);
}

/* 80/TCP, 80:30080/TCP */
static void ports(struct arena *arena, const struct json *object, nsec_t now, struct json *ret_cell)
{
    struct cell_list list;

    cell_list_init(&list, ",", 0);
    for each_item(json_at(object, "spec.ports"), port) {
        long long number = json_int(json_member(port, "port"), 0);
        long long node_port = json_int(json_member(port, "nodePort"), 0);
        struct str protocol = json_str(json_member(port, "protocol")), text;

        if (node_port > 0)
            text = arena_printf(arena, "%lld:%lld/" STR_FMT, number, node_port, STR_ARG(protocol));
        else
            text = arena_printf(arena, "%lld/" STR_FMT, number, STR_ARG(protocol));
        cell_list_add(&list, text);
    }
    cell_list_finish(arena, &list, STR("<none>"), ret_cell);
}

static void selector(struct arena *arena, const struct json *object, nsec_t now, struct json *ret_cell)
{
    cell_str(ret_cell, cell_labels(arena, json_at(object, "spec.selector")));
}

static void add_addresses(struct arena *arena, const struct json *addresses, const struct json *port,
                          struct cell_list *list)
{
    for each_item(addresses, address) {
        struct str ip = json_str(json_member(address, "ip"));
        bool v6 = str_chr(ip, ':') >= 0;

        if (port && list->count < SHOWN_MAX)
            ip = arena_printf(arena, "%s" STR_FMT "%s:%lld", v6 ? "[" : "", STR_ARG(ip), v6 ? "]" : "",
                              (long long)json_int(json_member(port, "port"), 0));
        cell_list_add(list, ip);
    }
}

static void endpoints(struct arena *arena, const struct json *object, nsec_t now, struct json *ret_cell)
{
    const struct json *subsets = json_member(object, "subsets");
    struct cell_list list;

    cell_list_init(&list, ",", SHOWN_MAX);
    for each_item(subsets, subset) {
        const struct json *addresses = json_member(subset, "addresses"), *subset_ports = json_member(subset, "ports");

        if (!cell_count(subset_ports))
            add_addresses(arena, addresses, NULL, &list);
        for each_item(subset_ports, port)
            add_addresses(arena, addresses, port, &list);
    }
    cell_list_finish(arena, &list, cell_count(subsets) ? STR("") : STR("<none>"), ret_cell);
}

static void slice_ports(struct arena *arena, const struct json *object, nsec_t now, struct json *ret_cell)
{
    struct cell_list list;

    cell_list_init(&list, ",", SHOWN_MAX);
    for each_item(json_member(object, "ports"), port)
        cell_list_add(&list, str_or(cell_scalar(json_member(port, "port")), STR("*")));
    cell_list_finish(arena, &list, STR("<unset>"), ret_cell);
}

static void slice_endpoints(struct arena *arena, const struct json *object, nsec_t now, struct json *ret_cell)
{
    struct cell_list list;

    cell_list_init(&list, ",", SHOWN_MAX);
    for each_item(json_member(object, "endpoints"), endpoint)
        for each_item(json_member(endpoint, "addresses"), address)
            cell_list_add(&list, json_str(address));
    cell_list_finish(arena, &list, STR("<unset>"), ret_cell);
}

static void ingress_class(struct arena *arena, const struct json *object, nsec_t now, struct json *ret_cell)
{
    cell_str(ret_cell, str_or(json_str_at(object, "spec.ingressClassName"), STR("<none>")));
}

/* Three hosts at most; the rest is counted in rules, whether they name a host or not. */
static void ingress_hosts(struct arena *arena, const struct json *object, nsec_t now, struct json *ret_cell)
{
    const struct json *rules = json_at(object, "spec.rules");
    struct cell_list list;

    cell_list_init(&list, ",", SHOWN_MAX);
    for each_item(rules, rule) {
        struct str host = json_str(json_member(rule, "host"));

        if (!str_empty(host) || list.count >= SHOWN_MAX)
            cell_list_add(&list, host);
    }
    if (list.count > SHOWN_MAX)
        list.count = cell_count(rules);
    cell_list_finish(arena, &list, STR("*"), ret_cell);
}

static void ingress_address(struct arena *arena, const struct json *object, nsec_t now, struct json *ret_cell)
{
    struct cell_list list;

    cell_list_init(&list, ",", 0);
    add_balancer(arena, json_at(object, "status.loadBalancer.ingress"), &list);
    cell_list_finish(arena, &list, STR(""), ret_cell);
}

static void ingress_ports(struct arena *arena, const struct json *object, nsec_t now, struct json *ret_cell)
{
    cell_str(ret_cell, cell_count(json_at(object, "spec.tls")) ? STR("80, 443") : STR("80"));
}

static const struct table_cell rows[] = {
    { STR_INIT("service.external-ip"), external_ip },
    { STR_INIT("service.ports"), ports },
    { STR_INIT("service.selector"), selector },
    { STR_INIT("endpoints.endpoints"), endpoints },
    { STR_INIT("endpointslice.ports"), slice_ports },
    { STR_INIT("endpointslice.endpoints"), slice_endpoints },
    { STR_INIT("ingress.class"), ingress_class },
    { STR_INIT("ingress.hosts"), ingress_hosts },
    { STR_INIT("ingress.address"), ingress_address },
    { STR_INIT("ingress.ports"), ingress_ports },
};
const struct cell_table service_cells = CELL_TABLE(rows);
