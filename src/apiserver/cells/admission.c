/* admission.c - cells of what rules the API itself: admission, aggregation, flow control, device claims. */
#include "apiserver/cells/cells.h"

static void webhooks(struct arena *arena, const struct json *object, nsec_t now, struct json *ret_cell)
{
    cell_int(arena, ret_cell, (int64_t)cell_count(json_member(object, "webhooks")));
}

static void validations(struct arena *arena, const struct json *object, nsec_t now, struct json *ret_cell)
{
    cell_int(arena, ret_cell, (int64_t)cell_count(json_at(object, "spec.validations")));
}

static void mutations(struct arena *arena, const struct json *object, nsec_t now, struct json *ret_cell)
{
    cell_int(arena, ret_cell, (int64_t)cell_count(json_at(object, "spec.mutations")));
}

static void param_kind(struct arena *arena, const struct json *object, nsec_t now, struct json *ret_cell)
{
    const struct json *kind = json_at(object, "spec.paramKind");

    if (!json_is(kind, JSON_OBJECT))
        cell_str(ret_cell, STR("<unset>"));
    else
        cell_printf(arena, ret_cell, STR_FMT "/" STR_FMT, STR_ARG(json_str(json_member(kind, "apiVersion"))),
                    STR_ARG(json_str(json_member(kind, "kind"))));
}

static void param_ref(struct arena *arena, const struct json *object, nsec_t now, struct json *ret_cell)
{
    const struct json *reference = json_at(object, "spec.paramRef");
    struct str name = json_str(json_member(reference, "name")), ns = json_str(json_member(reference, "namespace"));

    if (!json_is(reference, JSON_OBJECT))
        cell_str(ret_cell, STR("<unset>"));
    else if (str_empty(name))
        cell_str(ret_cell, cell_selector(arena, json_member(reference, "selector")));
    else
        cell_printf(arena, ret_cell, STR_FMT "%s" STR_FMT, STR_ARG(ns), str_empty(ns) ? "" : "/", STR_ARG(name));
}

static void service_of(struct arena *arena, const struct json *object, nsec_t now, struct json *ret_cell)
{
    const struct json *service = json_at(object, "spec.service");

    if (!json_is(service, JSON_OBJECT))
        cell_str(ret_cell, STR("Local"));
    else
        cell_printf(arena, ret_cell, STR_FMT "/" STR_FMT, STR_ARG(json_str(json_member(service, "namespace"))),
                    STR_ARG(json_str(json_member(service, "name"))));
}

static void available(struct arena *arena, const struct json *object, nsec_t now, struct json *ret_cell)
{
    const struct json *condition = cell_condition(json_at(object, "status.conditions"), "Available");

    if (!condition)
        cell_str(ret_cell, STR("Unknown"));
    else if (cell_is_true(condition))
        cell_str(ret_cell, STR("True"));
    else
        cell_printf(arena, ret_cell, STR_FMT " (" STR_FMT ")", STR_ARG(json_str(json_member(condition, "status"))),
                    STR_ARG(json_str(json_member(condition, "reason"))));
}

static void missing_level(struct arena *arena, const struct json *object, nsec_t now, struct json *ret_cell)
{
    const struct json *dangling = cell_condition(json_at(object, "status.conditions"), "Dangling");

    cell_str(ret_cell, dangling ? json_str(json_member(dangling, "status")) : STR("?"));
}

static void shares(struct arena *arena, const struct json *object, nsec_t now, struct json *ret_cell)
{
    const struct json *limited = json_at(object, "spec.limited.nominalConcurrencyShares");

    if (json_is(limited, JSON_NUMBER))
        *ret_cell = *limited;
    else
        cell_str(ret_cell, STR("<none>"));
}

static void storage_versions(struct arena *arena, const struct json *object, nsec_t now, struct json *ret_cell)
{
    struct cell_list list;

    cell_list_init(&list, ",", 3);
    for each_item(json_at(object, "status.storageVersions"), version)
        cell_list_add(&list, arena_printf(arena, STR_FMT "=" STR_FMT,
                                          STR_ARG(json_str(json_member(version, "apiServerID"))),
                                          STR_ARG(json_str(json_member(version, "encodingVersion")))));
    cell_list_finish(arena, &list, STR("<unset>"), ret_cell);
}

static void claim_state(struct arena *arena, const struct json *object, nsec_t now, struct json *ret_cell)
{
    bool deleted = cell_is_deleted(object), allocated = json_is(json_at(object, "status.allocation"), JSON_OBJECT);
    struct cell_list list;

    cell_list_init(&list, ",", 0);
    if (deleted)
        cell_list_add(&list, STR("deleted"));
    if (allocated)
        cell_list_add(&list, STR("allocated"));
    else if (!deleted)
        cell_list_add(&list, STR("pending"));
    if (allocated && cell_count(json_at(object, "status.reservedFor")))
        cell_list_add(&list, STR("reserved"));
    cell_list_finish(arena, &list, STR(""), ret_cell);
}

static const struct table_cell rows[] = {
    { STR_INIT("webhookconfiguration.webhooks"), webhooks },
    { STR_INIT("admissionpolicy.validations"), validations },
    { STR_INIT("admissionpolicy.mutations"), mutations },
    { STR_INIT("admissionpolicy.param-kind"), param_kind },
    { STR_INIT("admissionpolicybinding.param-ref"), param_ref },
    { STR_INIT("apiservice.service"), service_of },
    { STR_INIT("apiservice.available"), available },
    { STR_INIT("flowschema.missing-level"), missing_level },
    { STR_INIT("prioritylevelconfiguration.shares"), shares },
    { STR_INIT("storageversion.versions"), storage_versions },
    { STR_INIT("resourceclaim.state"), claim_state },
};
const struct cell_table admission_cells = CELL_TABLE(rows);
