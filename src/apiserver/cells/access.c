/* access.c - cells of role bindings and certificate signing requests. */
#include "apiserver/cells/cells.h"

static void role(struct arena *arena, const struct json *object, nsec_t now, struct json *ret_cell)
{
    cell_printf(arena, ret_cell, STR_FMT "/" STR_FMT, STR_ARG(json_str_at(object, "roleRef.kind")),
                STR_ARG(json_str_at(object, "roleRef.name")));
}

static void subjects(struct arena *arena, const struct json *object, const char *kind, struct json *ret_cell)
{
    struct cell_list list;

    cell_list_init(&list, ", ", 0);
    for each_item(json_member(object, "subjects"), subject) {
        struct str name = json_str(json_member(subject, "name")), ns = json_str(json_member(subject, "namespace"));

        if (!str_is(json_str(json_member(subject, "kind")), kind))
            continue;
        if (!str_empty(ns))
            name = arena_printf(arena, STR_FMT "/" STR_FMT, STR_ARG(ns), STR_ARG(name));
        cell_list_add(&list, name);
    }
    cell_list_finish(arena, &list, STR(""), ret_cell);
}

static void users(struct arena *arena, const struct json *object, nsec_t now, struct json *ret_cell)
{
    subjects(arena, object, "User", ret_cell);
}

static void groups(struct arena *arena, const struct json *object, nsec_t now, struct json *ret_cell)
{
    subjects(arena, object, "Group", ret_cell);
}

static void service_accounts(struct arena *arena, const struct json *object, nsec_t now, struct json *ret_cell)
{
    subjects(arena, object, "ServiceAccount", ret_cell);
}

static void csr_duration(struct arena *arena, const struct json *object, nsec_t now, struct json *ret_cell)
{
    const struct json *seconds = json_at(object, "spec.expirationSeconds");
    int64_t value = MIN(json_int(seconds, 0), INT32_MAX);

    cell_str(ret_cell, json_is(seconds, JSON_NUMBER) ? cell_duration(arena, value * NSEC_PER_SEC) : STR("<none>"));
}

static void csr_condition(struct arena *arena, const struct json *object, nsec_t now, struct json *ret_cell)
{
    const struct json *conditions = json_at(object, "status.conditions");
    const char *decision = cell_condition(conditions, "Denied")     ? "Denied"
                           : cell_condition(conditions, "Approved") ? "Approved"
                                                                    : "Pending";

    cell_printf(arena, ret_cell, "%s%s%s", decision, cell_condition(conditions, "Failed") ? ",Failed" : "",
                str_empty(json_str_at(object, "status.certificate")) ? "" : ",Issued");
}

static const struct table_cell rows[] = {
    { STR_INIT("rolebinding.role"), role },
    { STR_INIT("rolebinding.users"), users },
    { STR_INIT("rolebinding.groups"), groups },
    { STR_INIT("rolebinding.service-accounts"), service_accounts },
    { STR_INIT("certificatesigningrequest.duration"), csr_duration },
    { STR_INIT("certificatesigningrequest.condition"), csr_condition },
};
const struct cell_table access_cells = CELL_TABLE(rows);
