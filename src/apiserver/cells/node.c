/* node.c - cells of nodes. */
#include "apiserver/cells/cells.h"

#define ROLE_PREFIX STR("node-role.kubernetes.io/")

static void status(struct arena *arena, const struct json *object, nsec_t now, struct json *ret_cell)
{
    const struct json *ready = cell_condition(json_at(object, "status.conditions"), "Ready");
    const char *text = !ready ? "Unknown" : cell_is_true(ready) ? "Ready" : "NotReady";
    bool closed = json_bool(json_at(object, "spec.unschedulable"), false);

    cell_printf(arena, ret_cell, "%s%s", text, closed ? ",SchedulingDisabled" : "");
}

static int compare_roles(const void *a, const void *b)
{
    return str_cmp(*(const struct str *)a, *(const struct str *)b);
}

/* From the labels node-role.kubernetes.io/ROLE and kubernetes.io/role=ROLE, each once, by name. */
static void roles(struct arena *arena, const struct json *object, nsec_t now, struct json *ret_cell)
{
    const struct json *labels = json_at(object, "metadata.labels");
    struct str *found = arena_array_of(arena, cell_count(labels) + 1, struct str);
    struct cell_list list;
    size_t count = 0;

    for each_member(labels, label) {
        struct str role = STR("");

        if (str_has_prefix(label->key, ROLE_PREFIX))
            role = str_skip(label->key, ROLE_PREFIX.len);
        else if (str_is(label->key, "kubernetes.io/role"))
            role = json_str(&label->value);
        if (found && !str_empty(role))
            found[count++] = role;
    }
    if (count)
        qsort(found, count, sizeof *found, compare_roles);
    cell_list_init(&list, ",", 0);
    for (size_t i = 0; i < count; i++)
        if (!i || !str_eq(found[i], found[i - 1]))
            cell_list_add(&list, found[i]);
    cell_list_finish(arena, &list, STR("<none>"), ret_cell);
}

static void address(const struct json *object, const char *type, struct json *ret_cell)
{
    cell_str(ret_cell, STR("<none>"));
    for each_item(json_at(object, "status.addresses"), address) {
        if (!str_is(json_str(json_member(address, "type")), type))
            continue;
        cell_str(ret_cell, json_str(json_member(address, "address")));
        return;
    }
}

static void internal_ip(struct arena *arena, const struct json *object, nsec_t now, struct json *ret_cell)
{
    address(object, "InternalIP", ret_cell);
}

static void external_ip(struct arena *arena, const struct json *object, nsec_t now, struct json *ret_cell)
{
    address(object, "ExternalIP", ret_cell);
}

static const struct table_cell rows[] = {
    { STR_INIT("node.status"), status },
    { STR_INIT("node.roles"), roles },
    { STR_INIT("node.internal-ip"), internal_ip },
    { STR_INIT("node.external-ip"), external_ip },
};
const struct cell_table node_cells = CELL_TABLE(rows);
