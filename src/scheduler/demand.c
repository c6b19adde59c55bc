#include "scheduler/demand.h"

#include "schema/quantity.h"

static const struct {
    const char *name;
    bool milli;
} resources[RESOURCE_KINDS] = {
    [RESOURCE_CPU] = { "cpu", true },
    [RESOURCE_MEMORY] = { "memory", false },
    [RESOURCE_STORAGE] = { "ephemeral-storage", false },
    [RESOURCE_POD_COUNT] = { "pods", false },
};

const char *resource_name(int resource)
{
    return resources[resource].name;
}

static int64_t saturating_add(int64_t a, int64_t b)
{
    int64_t sum;

    return __builtin_add_overflow(a, b, &sum) ? INT64_MAX : sum;
}

static struct extended_demand *find_extended(struct demand *demand, struct str name)
{
    for (size_t i = 0; i < demand->extended_count; i++)
        if (str_eq(demand->extended[i].name, name))
            return &demand->extended[i];
    return NULL;
}

/* Adds to *amounts; what it does not know goes to the extended ones. */
static void add_map(const struct str_map *map, struct amounts *amounts, struct demand *demand)
{
    for (size_t i = 0; i < map->count; i++) {
        int known = -1;

        for (int r = 0; r < RESOURCE_POD_COUNT; r++)
            if (str_is(map->items[i].key, resources[r].name))
                known = r;
        if (known >= 0) {
            int64_t value = resources[known].milli ? quantity_milli(map->items[i].value)
                                                   : quantity_value(map->items[i].value);

            amounts->of[known] = saturating_add(amounts->of[known], value);
            continue;
        }
        struct extended_demand *extended = find_extended(demand, map->items[i].key);

        if (!extended) {
            extended = &demand->extended[demand->extended_count++];
            extended->name = map->items[i].key;
        }
        extended->amount = saturating_add(extended->amount, quantity_value(map->items[i].value));
    }
}

static size_t count_keys(const struct pod *pod)
{
    const struct container_array *lists[] = { &pod->spec.containers, &pod->spec.init_containers };
    size_t count = pod->spec.overhead.count;

    for (size_t l = 0; l < ARRAY_LEN(lists); l++)
        for (size_t i = 0; i < lists[l]->count; i++)
            count += lists[l]->items[i].resources.requests.count;
    return count;
}

static const struct container_status *status_named(const struct container_status_array *list, struct str name)
{
    for (size_t i = 0; i < list->count; i++)
        if (str_eq(list->items[i].name, name))
            return &list->items[i];
    return NULL;
}

static bool is_infeasible(const struct pod *pod)
{
    for (size_t i = 0; i < pod->status.conditions.count; i++)
        if (str_is(pod->status.conditions.items[i].type, "PodResizePending"))
            return str_is(pod->status.conditions.items[i].reason, "Infeasible");
    return false;
}

static int64_t amount_in(const struct str_map *map, int resource)
{
    for (size_t i = 0; i < map->count; i++)
        if (str_is(map->items[i].key, resources[resource].name))
            return resources[resource].milli ? quantity_milli(map->items[i].value)
                                             : quantity_value(map->items[i].value);
    return 0;
}

/* What a container asks for. While it is being resized: what it asks for or what it has, whichever is more, and only
 * what it has when the node can never give it what it asks for (KEP-1287). */
static void add_container(const struct pod *pod, const struct container *container,
                          const struct container_status_array *statuses, struct amounts *amounts, struct demand *demand)
{
    static const int resizable[] = { RESOURCE_CPU, RESOURCE_MEMORY };
    const struct str_map *requests = &container->resources.requests;
    const struct container_status *status = status_named(statuses, container->name);

    add_map(requests, amounts, demand);
    for (size_t i = 0; status && status->allocated_resources.count && i < ARRAY_LEN(resizable); i++) {
        int64_t asked = amount_in(requests, resizable[i]), has = amount_in(&status->allocated_resources, resizable[i]);

        if (status->resources)
            has = MAX(has, amount_in(&status->resources->requests, resizable[i]));
        if (has > asked || is_infeasible(pod))
            amounts->of[resizable[i]] = saturating_add(amounts->of[resizable[i]], has - asked);
    }
}

/* Containers run together, init containers one after the other beside the sidecars before them (KEP-753). */
static void add_containers(const struct pod *pod, struct demand *demand)
{
    struct amounts sum = { 0 }, sidecars = { 0 }, peak = { 0 };

    for (size_t i = 0; i < pod->spec.containers.count; i++)
        add_container(pod, &pod->spec.containers.items[i], &pod->status.container_statuses, &sum, demand);
    for (size_t i = 0; i < pod->spec.init_containers.count; i++) {
        const struct container *init = &pod->spec.init_containers.items[i];
        struct amounts one = sidecars;

        if (str_is(init->restart_policy, "Always"))
            add_container(pod, init, &pod->status.init_container_statuses, &sidecars, demand);
        add_container(pod, init, &pod->status.init_container_statuses, &one, demand);
        for (int r = 0; r < RESOURCE_KINDS; r++)
            peak.of[r] = MAX(peak.of[r], one.of[r]);
    }
    for (int r = 0; r < RESOURCE_KINDS; r++)
        demand->requests.of[r] = MAX(saturating_add(sum.of[r], sidecars.of[r]), peak.of[r]);
}

static int add_ports(struct arena *arena, const struct pod *pod, struct demand *demand)
{
    const struct container_array *containers = &pod->spec.containers;
    size_t count = 0;

    for (size_t c = 0; c < containers->count; c++)
        count += containers->items[c].ports.count;
    demand->ports = arena_array_of(arena, count, struct port_demand);
    if (count && !demand->ports)
        return -1;
    for (size_t c = 0; c < containers->count; c++)
        for (size_t p = 0; p < containers->items[c].ports.count; p++) {
            const struct container_port *port = &containers->items[c].ports.items[p];

            if (opt_or(port->host_port, 0) > 0)
                demand->ports[demand->port_count++] = (struct port_demand){
                    port->protocol.len ? port->protocol : STR("TCP"), port->host_ip, port->host_port.value };
        }
    return 0;
}

int demand_of(struct arena *arena, const struct pod *pod, struct demand *ret_demand)
{
    struct demand demand = { 0 };
    size_t keys = count_keys(pod) * 2; /* sidecars are looked at twice */

    demand.extended = arena_array_of(arena, keys, struct extended_demand);
    if (keys && !demand.extended)
        return -1;
    add_containers(pod, &demand);
    add_map(&pod->spec.overhead, &demand.requests, &demand);
    demand.requests.of[RESOURCE_POD_COUNT] = 1;
    if (add_ports(arena, pod, &demand) < 0)
        return -1;
    *ret_demand = demand;
    return 0;
}

static bool any_address(struct str ip)
{
    return !ip.len || str_is(ip, "0.0.0.0") || str_is(ip, "::");
}

bool ports_clash(const struct port_demand *a, const struct port_demand *b)
{
    return a->port == b->port && str_eq(a->protocol, b->protocol) &&
           (any_address(a->host_ip) || any_address(b->host_ip) || str_eq(a->host_ip, b->host_ip));
}
