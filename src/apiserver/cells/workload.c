/* workload.c - cells of what keeps pods running: deployments, stateful sets, daemon sets, replication controllers,
 * their templates and revisions, and disruption budgets. */
#include "apiserver/cells/cells.h"

static int64_t number_at(const struct json *object, const char *path)
{
    return json_int(json_at(object, path), 0);
}

static void ready(struct arena *arena, const struct json *object, nsec_t now, struct json *ret_cell)
{
    cell_printf(arena, ret_cell, "%lld/%lld", (long long)number_at(object, "status.readyReplicas"),
                (long long)number_at(object, "spec.replicas"));
}

static void node_selector(struct arena *arena, const struct json *object, nsec_t now, struct json *ret_cell)
{
    cell_str(ret_cell, cell_labels(arena, json_at(object, "spec.template.spec.nodeSelector")));
}

static void map_selector(struct arena *arena, const struct json *object, nsec_t now, struct json *ret_cell)
{
    cell_str(ret_cell, cell_labels(arena, json_at(object, "spec.selector")));
}

static void template_containers(struct arena *arena, const struct json *object, nsec_t now, struct json *ret_cell)
{
    cell_str(ret_cell, cell_containers(arena, json_at(object, "template.spec.containers"), STR("name")));
}

static void template_images(struct arena *arena, const struct json *object, nsec_t now, struct json *ret_cell)
{
    cell_str(ret_cell, cell_containers(arena, json_at(object, "template.spec.containers"), STR("image")));
}

static void template_labels(struct arena *arena, const struct json *object, nsec_t now, struct json *ret_cell)
{
    cell_str(ret_cell, cell_labels(arena, json_at(object, "template.metadata.labels")));
}

static struct str lower(struct arena *arena, struct str text)
{
    char *out = arena_cstr(arena, text);

    for (size_t i = 0; out && i < text.len; i++)
        if (out[i] >= 'A' && out[i] <= 'Z')
            out[i] += 'a' - 'A';
    return str_of(out, out ? text.len : 0);
}

/* daemonset.apps/name */
static void controller(struct arena *arena, const struct json *object, nsec_t now, struct json *ret_cell)
{
    cell_str(ret_cell, STR("<none>"));
    for each_item(json_at(object, "metadata.ownerReferences"), owner) {
        struct str version = json_str(json_member(owner, "apiVersion")), kind = json_str(json_member(owner, "kind"));
        ssize_t slash = str_chr(version, '/');
        struct str group = slash < 0 ? STR("") : str_first(version, (size_t)slash);

        if (!json_bool(json_member(owner, "controller"), false))
            continue;
        cell_printf(arena, ret_cell, STR_FMT "%s" STR_FMT "/" STR_FMT, STR_ARG(lower(arena, kind)),
                    str_empty(group) ? "" : ".", STR_ARG(lower(arena, group)),
                    STR_ARG(json_str(json_member(owner, "name"))));
        return;
    }
}

static void min_available(struct arena *arena, const struct json *object, nsec_t now, struct json *ret_cell)
{
    cell_str(ret_cell, str_or(cell_scalar(json_at(object, "spec.minAvailable")), STR("N/A")));
}

static void max_unavailable(struct arena *arena, const struct json *object, nsec_t now, struct json *ret_cell)
{
    cell_str(ret_cell, str_or(cell_scalar(json_at(object, "spec.maxUnavailable")), STR("N/A")));
}

static const struct table_cell rows[] = {
    { STR_INIT("deployment.ready"), ready },
    { STR_INIT("statefulset.ready"), ready },
    { STR_INIT("daemonset.node-selector"), node_selector },
    { STR_INIT("replicationcontroller.selector"), map_selector },
    { STR_INIT("podtemplate.containers"), template_containers },
    { STR_INIT("podtemplate.images"), template_images },
    { STR_INIT("podtemplate.labels"), template_labels },
    { STR_INIT("controllerrevision.controller"), controller },
    { STR_INIT("poddisruptionbudget.min-available"), min_available },
    { STR_INIT("poddisruptionbudget.max-unavailable"), max_unavailable },
};
const struct cell_table workload_cells = CELL_TABLE(rows);
