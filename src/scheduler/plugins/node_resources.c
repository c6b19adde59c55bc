/* node_resources.c - does it fit, and how empty would the node still be (least allocated). */
#include "scheduler/plugins/plugin.h"
#include "schema/quantity.h"

static int64_t extended_allocatable(const struct node_row *row, struct str name)
{
    const struct str_map *map = &row_node(row)->status.allocatable;

    for (size_t i = 0; i < map->count; i++)
        if (str_eq(map->items[i].key, name))
            return quantity_value(map->items[i].value);
    return 0;
}

static int64_t extended_used(const struct node_row *row, struct str name)
{
    int64_t used = 0;

    for (size_t p = 0; p < row->pods.count; p++)
        for (size_t i = 0; i < row->pods.items[p]->demand.extended_count; i++)
            if (str_eq(row->pods.items[p]->demand.extended[i].name, name))
                used += row->pods.items[p]->demand.extended[i].amount;
    return used;
}

bool node_resources_filter(const struct candidate *candidate, const struct node_row *row, struct buf *reason)
{
    const struct demand *demand = candidate->demand;

    for (int r = RESOURCE_KINDS - 1; r >= 0; r--) {
        if (!demand->requests.of[r] || demand->requests.of[r] <= row->allocatable.of[r] - row->used.of[r])
            continue;
        if (r == RESOURCE_POD_COUNT)
            buf_add_cstr(reason, "Too many pods");
        else
            buf_printf(reason, "Insufficient %s", resource_name(r));
        return false;
    }
    for (size_t i = 0; i < demand->extended_count; i++) {
        struct str name = demand->extended[i].name;

        if (demand->extended[i].amount <= extended_allocatable(row, name) - extended_used(row, name))
            continue;
        buf_printf(reason, "Insufficient " STR_FMT, STR_ARG(name));
        return false;
    }
    return true;
}

/* Pods that ask for nothing count as 100 milli-CPU and 200 MiB here, so that they spread too. */
int64_t node_resources_score(const struct candidate *candidate, const struct node_row *row)
{
    static const int64_t assumed[] = { [RESOURCE_CPU] = 100, [RESOURCE_MEMORY] = 200ll << 20 };
    int64_t score = 0;

    for (int r = RESOURCE_CPU; r <= RESOURCE_MEMORY; r++) {
        int64_t capacity = row->allocatable.of[r];
        int64_t want = candidate->demand->requests.of[r] ? candidate->demand->requests.of[r] : assumed[r];
        int64_t left = capacity - row->used.of[r] - want;

        if (capacity > 0 && left > 0)
            score += (int64_t)((__int128)left * 100 / capacity);
    }
    return score / 2;
}
