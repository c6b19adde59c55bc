/* taint.c - taints that the pod does not tolerate keep it away (NoSchedule, NoExecute) or make the node less wanted
 * (PreferNoSchedule). */
#include "scheduler/plugins/plugin.h"

static bool tolerates_one(const struct toleration *toleration, const struct taint *taint)
{
    if (toleration->effect.len && !str_eq(toleration->effect, taint->effect))
        return false;
    if (toleration->key.len && !str_eq(toleration->key, taint->key))
        return false;
    if (str_is(toleration->operator, "Exists"))
        return true;
    return toleration->key.len && str_eq(toleration->value, taint->value);
}

static bool tolerates(const struct pod *pod, const struct taint *taint)
{
    for (size_t i = 0; i < pod->spec.tolerations.count; i++)
        if (tolerates_one(&pod->spec.tolerations.items[i], taint))
            return true;
    return false;
}

bool taint_filter(const struct candidate *candidate, const struct node_row *row, struct buf *reason)
{
    const struct taint_array *taints = &row_node(row)->spec.taints;

    for (size_t i = 0; i < taints->count; i++) {
        const struct taint *taint = &taints->items[i];

        if (str_is(taint->effect, "PreferNoSchedule") || tolerates(candidate->pod, taint))
            continue;
        buf_printf(reason, "node(s) had untolerated taint {" STR_FMT ": " STR_FMT "}", STR_ARG(taint->key),
                   STR_ARG(taint->value));
        return false;
    }
    return true;
}

int64_t taint_score(const struct candidate *candidate, const struct node_row *row)
{
    const struct taint_array *taints = &row_node(row)->spec.taints;
    int64_t unwanted = 0;

    for (size_t i = 0; i < taints->count; i++)
        unwanted += str_is(taints->items[i].effect, "PreferNoSchedule") && !tolerates(candidate->pod, &taints->items[i]);
    return 100 / (1 + unwanted);
}

/* spec.unschedulable is a taint of the same name. */
bool node_unschedulable_filter(const struct candidate *candidate, const struct node_row *row, struct buf *reason)
{
    static const struct taint taint = { .key = STR_INIT("node.kubernetes.io/unschedulable"),
                                        .effect = STR_INIT("NoSchedule") };

    if (!opt_or(row_node(row)->spec.unschedulable, false) || tolerates(candidate->pod, &taint))
        return true;
    buf_add_cstr(reason, "node(s) were unschedulable");
    return false;
}
