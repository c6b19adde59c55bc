/* demand.h - what a pod asks of a node, computed once. */
#pragma once

#include "api/core_v1.h"
#include "base/arena.h"

enum { RESOURCE_CPU, RESOURCE_MEMORY, RESOURCE_STORAGE, RESOURCE_POD_COUNT, RESOURCE_KINDS };

/* Units: milli-CPU, bytes, bytes, pods. */
struct amounts {
    int64_t of[RESOURCE_KINDS];
};

/* An extended resource ("nvidia.com/gpu"); name is a slice of the pod. */
struct extended_demand {
    struct str name;
    int64_t amount;
};

struct port_demand {
    struct str protocol, host_ip; /* unset or "0.0.0.0": every address */
    int32_t port;
};

struct demand {
    struct amounts requests;
    struct extended_demand *extended;
    size_t extended_count;
    struct port_demand *ports;
    size_t port_count;
};

/* Slices point into pod; arrays are in the arena. -1 without memory. */
int demand_of(struct arena *arena, const struct pod *pod, struct demand *ret_demand);
bool ports_clash(const struct port_demand *a, const struct port_demand *b);
const char *resource_name(int resource); /* "cpu" */
