/* namespace_left.h - what still stands in a namespace that is being deleted, and its conditions that say so. */
#pragma once

#include "api/core_v1.h"
#include "base/arena.h"
#include "base/vec.h"
#include "codec/json.h"

struct left_count {
    struct str name; /* "pods.": resource and group, or a finalizer */
    size_t count;
};

struct left_counts {
    VEC(struct left_count) list;
};

/* All in one arena, which outlives it. */
struct namespace_left {
    struct arena *arena;
    struct left_counts resources, finalizers;
    struct str failure; /* the first of them; unset: none */
};

static inline void namespace_left_deinit(struct namespace_left *left)
{
    vec_deinit(&left->resources.list);
    vec_deinit(&left->finalizers.list);
}

/* One more object that waits; what there is no memory for is not counted. */
void namespace_left_add(struct namespace_left *left, const struct resource *resource, const struct json *object);
static inline bool namespace_left_any(const struct namespace_left *left)
{
    return left->resources.list.count > 0 || left->failure.len > 0;
}

/* The namespace's conditions with what is left in them; times change with statuses. False: they say so already. */
bool namespace_left_conditions(struct namespace_left *left, struct namespace *ns, nsec_t now, struct err *err);
