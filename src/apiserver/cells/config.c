/* config.c - cells of configuration, secrets, service accounts, quotas and component statuses. */
#include "apiserver/cells/cells.h"

static void config_data(struct arena *arena, const struct json *object, nsec_t now, struct json *ret_cell)
{
    cell_int(arena, ret_cell,
             (int64_t)(cell_count(json_member(object, "data")) + cell_count(json_member(object, "binaryData"))));
}

static void secret_data(struct arena *arena, const struct json *object, nsec_t now, struct json *ret_cell)
{
    cell_int(arena, ret_cell, (int64_t)cell_count(json_member(object, "data")));
}

static void account_secrets(struct arena *arena, const struct json *object, nsec_t now, struct json *ret_cell)
{
    cell_int(arena, ret_cell, (int64_t)cell_count(json_member(object, "secrets")));
}

static int compare_names(const void *a, const void *b)
{
    return str_cmp(*(const struct str *)a, *(const struct str *)b);
}

/* "cpu: 1/4, pods: 3/10": what is used of what is allowed, by name; limits have a column of their own. */
static void quota(struct arena *arena, const struct json *object, bool limits, struct json *ret_cell)
{
    const struct json *hard = json_at(object, "status.hard"), *used = json_at(object, "status.used");
    struct str *names = arena_array_of(arena, cell_count(hard) + 1, struct str);
    struct cell_list list;
    size_t count = 0;

    for each_member(hard, member)
        if (names && str_has_prefix(member->key, STR("limits.")) == limits)
            names[count++] = member->key;
    if (count)
        qsort(names, count, sizeof *names, compare_names);
    cell_list_init(&list, ", ", 0);
    for (size_t i = 0; i < count; i++)
        cell_list_add(&list, arena_printf(arena, STR_FMT ": " STR_FMT "/" STR_FMT, STR_ARG(names[i]),
                                          STR_ARG(str_or(cell_scalar(json_get(used, names[i])), STR("0"))),
                                          STR_ARG(str_or(cell_scalar(json_get(hard, names[i])), STR("0")))));
    cell_list_finish(arena, &list, STR(""), ret_cell);
}

static void quota_request(struct arena *arena, const struct json *object, nsec_t now, struct json *ret_cell)
{
    quota(arena, object, false, ret_cell);
}

static void quota_limit(struct arena *arena, const struct json *object, nsec_t now, struct json *ret_cell)
{
    quota(arena, object, true, ret_cell);
}

static const struct json *health(const struct json *component)
{
    return cell_condition(json_member(component, "conditions"), "Healthy");
}

static void component_status(struct arena *arena, const struct json *object, nsec_t now, struct json *ret_cell)
{
    const struct json *condition = health(object);

    cell_str(ret_cell, !condition ? STR("Unknown") : cell_is_true(condition) ? STR("Healthy") : STR("Unhealthy"));
}

static void component_message(struct arena *arena, const struct json *object, nsec_t now, struct json *ret_cell)
{
    cell_str(ret_cell, json_str(json_member(health(object), "message")));
}

static void component_error(struct arena *arena, const struct json *object, nsec_t now, struct json *ret_cell)
{
    cell_str(ret_cell, json_str(json_member(health(object), "error")));
}

static const struct table_cell rows[] = {
    { STR_INIT("configmap.data"), config_data },
    { STR_INIT("secret.data"), secret_data },
    { STR_INIT("serviceaccount.secrets"), account_secrets },
    { STR_INIT("resourcequota.request"), quota_request },
    { STR_INIT("resourcequota.limit"), quota_limit },
    { STR_INIT("componentstatus.status"), component_status },
    { STR_INIT("componentstatus.message"), component_message },
    { STR_INIT("componentstatus.error"), component_error },
};
const struct cell_table config_cells = CELL_TABLE(rows);
