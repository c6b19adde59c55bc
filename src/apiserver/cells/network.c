/* network.c - cells of ingress classes, network policies, and service addresses. */
#include "apiserver/cells/cells.h"

static void parameters(struct arena *arena, const struct json *object, nsec_t now, struct json *ret_cell)
{
    const struct json *parameters = json_at(object, "spec.parameters");
    struct str group = json_str(json_member(parameters, "apiGroup"));

    if (!json_is(parameters, JSON_OBJECT))
        cell_str(ret_cell, STR("<none>"));
    else
        cell_printf(arena, ret_cell, STR_FMT "%s" STR_FMT "/" STR_FMT,
                    STR_ARG(json_str(json_member(parameters, "kind"))), group.data ? "." : "", STR_ARG(group),
                    STR_ARG(json_str(json_member(parameters, "name"))));
}

static void pod_selector(struct arena *arena, const struct json *object, nsec_t now, struct json *ret_cell)
{
    cell_str(ret_cell, cell_selector(arena, json_at(object, "spec.podSelector")));
}

static void cidrs(struct arena *arena, const struct json *object, nsec_t now, struct json *ret_cell)
{
    cell_join(arena, json_at(object, "spec.cidrs"), STR(""), ret_cell);
}

/* services/default/kubernetes */
static void parent_ref(struct arena *arena, const struct json *object, nsec_t now, struct json *ret_cell)
{
    const struct json *parent = json_at(object, "spec.parentRef");
    struct str group = json_str(json_member(parent, "group")), ns = json_str(json_member(parent, "namespace"));

    if (!json_is(parent, JSON_OBJECT))
        cell_str(ret_cell, STR("<none>"));
    else
        cell_printf(arena, ret_cell, STR_FMT "%s" STR_FMT "/" STR_FMT "%s" STR_FMT,
                    STR_ARG(json_str(json_member(parent, "resource"))), str_empty(group) ? "" : ".", STR_ARG(group),
                    STR_ARG(ns), str_empty(ns) ? "" : "/", STR_ARG(json_str(json_member(parent, "name"))));
}

static const struct table_cell rows[] = {
    { STR_INIT("ingressclass.parameters"), parameters },
    { STR_INIT("networkpolicy.pod-selector"), pod_selector },
    { STR_INIT("servicecidr.cidrs"), cidrs },
    { STR_INIT("ipaddress.parent-ref"), parent_ref },
};
const struct cell_table network_cells = CELL_TABLE(rows);
