#include "kubelet/resources.h"

#include "schema/quantity.h"

struct str resource_value(const struct str_map *map, const char *name)
{
    for (size_t i = 0; i < map->count; i++)
        if (str_is(map->items[i].key, name))
            return map->items[i].value;
    return STR_NULL;
}

struct oci_resources container_resources(const struct container *container)
{
    const struct str_map *limits = &container->resources.limits, *requests = &container->resources.requests;
    struct str request = resource_value(requests, "cpu");

    return (struct oci_resources){
        .cpu_request_milli = quantity_milli(request.data ? request : resource_value(limits, "cpu")),
        .cpu_limit_milli = quantity_milli(resource_value(limits, "cpu")),
        .memory_limit = quantity_value(resource_value(limits, "memory")),
    };
}

static void add(struct oci_resources *total, const struct oci_resources *one, bool *all_cpu, bool *all_memory)
{
    total->cpu_request_milli += one->cpu_request_milli;
    total->cpu_limit_milli += one->cpu_limit_milli;
    total->memory_limit += one->memory_limit;
    *all_cpu &= one->cpu_limit_milli > 0;
    *all_memory &= one->memory_limit > 0;
}

struct oci_resources pod_resources(const struct pod *pod)
{
    const struct container_array *init = &pod->spec.init_containers, *main = &pod->spec.containers;
    struct oci_resources total = { 0 }, largest = { 0 };
    bool all_cpu = true, all_memory = true;

    for (size_t i = 0; i < main->count; i++) {
        struct oci_resources one = container_resources(&main->items[i]);

        add(&total, &one, &all_cpu, &all_memory);
    }
    for (size_t i = 0; i < init->count; i++) {
        struct oci_resources one = container_resources(&init->items[i]);

        if (str_is(init->items[i].restart_policy, "Always")) {
            add(&total, &one, &all_cpu, &all_memory);
            continue;
        }
        all_cpu &= one.cpu_limit_milli > 0;
        all_memory &= one.memory_limit > 0;
        largest.cpu_request_milli = MAX(largest.cpu_request_milli, one.cpu_request_milli);
        largest.cpu_limit_milli = MAX(largest.cpu_limit_milli, one.cpu_limit_milli);
        largest.memory_limit = MAX(largest.memory_limit, one.memory_limit);
    }
    return (struct oci_resources){
        .cpu_request_milli = MAX(total.cpu_request_milli, largest.cpu_request_milli),
        .cpu_limit_milli = all_cpu ? MAX(total.cpu_limit_milli, largest.cpu_limit_milli) : 0,
        .memory_limit = all_memory ? MAX(total.memory_limit, largest.memory_limit) : 0,
    };
}

struct qos {
    bool any, guaranteed;
};

static void weigh(const struct container_array *containers, struct qos *qos)
{
    static const char *const names[] = { "cpu", "memory" };

    for (size_t i = 0; i < containers->count; i++)
        for (size_t r = 0; r < ARRAY_LEN(names); r++) {
            struct quantity request, limit;
            bool requested =
                quantity_parse(resource_value(&containers->items[i].resources.requests, names[r]), &request);
            bool limited = quantity_parse(resource_value(&containers->items[i].resources.limits, names[r]), &limit);

            qos->any |= (requested && request.nano > 0) || (limited && limit.nano > 0);
            qos->guaranteed &= limited && (!requested || quantity_cmp(request, limit) == 0);
        }
}

const char *pod_quality_class(const struct pod *pod)
{
    struct qos qos = { false, true };

    weigh(&pod->spec.containers, &qos);
    weigh(&pod->spec.init_containers, &qos);
    return !qos.any ? "BestEffort" : qos.guaranteed ? "Guaranteed" : "Burstable";
}

int container_oom_score_adj(const struct pod *pod, const struct container *container, int64_t node_memory)
{
    const char *class = pod_quality_class(pod);

    if (strcmp(class, "Guaranteed") == 0)
        return -997;
    if (strcmp(class, "BestEffort") == 0 || node_memory <= 0)
        return 1000;
    int64_t request = quantity_value(resource_value(&container->resources.requests, "memory"));
    int64_t score = 1000 - (int64_t)((__int128)1000 * request / node_memory);

    return (int)MIN(MAX(score, 3), 999);
}
