/* node_affinity.c - nodeSelector and node affinity. */
#include "scheduler/plugins/plugin.h"

static const struct str *label(const struct node_row *row, struct str key)
{
    const struct str_map *labels = &row->object->meta->labels;

    for (size_t i = 0; i < labels->count; i++)
        if (str_eq(labels->items[i].key, key))
            return &labels->items[i].value;
    return NULL;
}

static bool among(const struct str_array *values, struct str value)
{
    for (size_t i = 0; i < values->count; i++)
        if (str_eq(values->items[i], value))
            return true;
    return false;
}

static bool requirement_holds(const struct node_selector_requirement *requirement, const struct str *value)
{
    struct str operator = requirement->operator;
    int64_t have, want;

    if (str_is(operator, "In"))
        return value && among(&requirement->values, *value);
    if (str_is(operator, "NotIn"))
        return !value || !among(&requirement->values, *value);
    if (str_is(operator, "Exists"))
        return value != NULL;
    if (str_is(operator, "DoesNotExist"))
        return value == NULL;
    if (!value || requirement->values.count != 1 || !str_to_i64(*value, &have) ||
        !str_to_i64(requirement->values.items[0], &want))
        return false;
    return str_is(operator, "Gt") ? have > want : str_is(operator, "Lt") && have < want;
}

static bool term_holds(const struct node_selector_term *term, const struct node_row *row)
{
    if (!term->match_expressions.count && !term->match_fields.count)
        return false;
    for (size_t i = 0; i < term->match_expressions.count; i++)
        if (!requirement_holds(&term->match_expressions.items[i], label(row, term->match_expressions.items[i].key)))
            return false;
    for (size_t i = 0; i < term->match_fields.count; i++) {
        const struct node_selector_requirement *field = &term->match_fields.items[i];

        if (!requirement_holds(field, str_is(field->key, "metadata.name") ? &row->name : NULL))
            return false;
    }
    return true;
}

static bool selector_holds(const struct node_selector *selector, const struct node_row *row)
{
    for (size_t i = 0; i < selector->node_selector_terms.count; i++)
        if (term_holds(&selector->node_selector_terms.items[i], row))
            return true;
    return false;
}

static const struct node_affinity *affinity_of(const struct pod *pod)
{
    return pod->spec.affinity ? pod->spec.affinity->node_affinity : NULL;
}

bool node_affinity_filter(const struct candidate *candidate, const struct node_row *row, struct buf *reason)
{
    const struct str_map *selector = &candidate->pod->spec.node_selector;
    const struct node_affinity *affinity = affinity_of(candidate->pod);
    bool fits = true;

    for (size_t i = 0; i < selector->count; i++) {
        const struct str *value = label(row, selector->items[i].key);

        fits &= value && str_eq(*value, selector->items[i].value);
    }
    if (affinity && affinity->required_during_scheduling_ignored_during_execution)
        fits &= selector_holds(affinity->required_during_scheduling_ignored_during_execution, row);
    if (!fits)
        buf_add_cstr(reason, "node(s) didn't match Pod's node affinity/selector");
    return fits;
}

int64_t node_affinity_score(const struct candidate *candidate, const struct node_row *row)
{
    const struct node_affinity *affinity = affinity_of(candidate->pod);
    int64_t have = 0, total = 0;

    for (size_t i = 0; affinity && i < affinity->preferred_during_scheduling_ignored_during_execution.count; i++) {
        const struct preferred_scheduling_term *term =
            &affinity->preferred_during_scheduling_ignored_during_execution.items[i];

        total += term->weight;
        if (term_holds(&term->preference, row))
            have += term->weight;
    }
    return total ? have * 100 / total : 0;
}
