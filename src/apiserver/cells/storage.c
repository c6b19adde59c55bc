/* storage.c - cells of volumes, claims, storage classes and CSI objects. */
#include "apiserver/cells/cells.h"

static void access_modes(struct arena *arena, const struct json *modes, struct json *ret_cell)
{
    static const struct {
        const char *mode;
        struct str text;
    } known[] = {
        { "ReadWriteOnce", STR_INIT("RWO") },
        { "ReadOnlyMany", STR_INIT("ROX") },
        { "ReadWriteMany", STR_INIT("RWX") },
        { "ReadWriteOncePod", STR_INIT("RWOP") },
    };
    struct cell_list list;

    cell_list_init(&list, ",", 0);
    for (size_t i = 0; i < ARRAY_LEN(known); i++)
        for each_item(modes, mode) {
            if (!str_is(json_str(mode), known[i].mode))
                continue;
            cell_list_add(&list, known[i].text);
            break;
        }
    cell_list_finish(arena, &list, STR(""), ret_cell);
}

static void status(struct arena *arena, const struct json *object, nsec_t now, struct json *ret_cell)
{
    cell_str(ret_cell, cell_is_deleted(object) ? STR("Terminating") : json_str_at(object, "status.phase"));
}

/* The annotation is older than the field and goes first. */
static void storage_class(struct arena *arena, const struct json *object, nsec_t now, struct json *ret_cell)
{
    const struct json *annotation = json_member(json_at(object, "metadata.annotations"),
                                                "volume.beta.kubernetes.io/storage-class");

    cell_str(ret_cell, annotation ? json_str(annotation) : json_str_at(object, "spec.storageClassName"));
}

static void volume_modes(struct arena *arena, const struct json *object, nsec_t now, struct json *ret_cell)
{
    access_modes(arena, json_at(object, "spec.accessModes"), ret_cell);
}

static void volume_claim(struct arena *arena, const struct json *object, nsec_t now, struct json *ret_cell)
{
    const struct json *claim = json_at(object, "spec.claimRef");

    if (!json_is(claim, JSON_OBJECT))
        cell_str(ret_cell, STR(""));
    else
        cell_printf(arena, ret_cell, STR_FMT "/" STR_FMT, STR_ARG(json_str(json_member(claim, "namespace"))),
                    STR_ARG(json_str(json_member(claim, "name"))));
}

/* What a claim has is known once it has a volume. */
static bool is_bound(const struct json *claim)
{
    return !str_empty(json_str_at(claim, "spec.volumeName"));
}

static void claim_modes(struct arena *arena, const struct json *object, nsec_t now, struct json *ret_cell)
{
    access_modes(arena, is_bound(object) ? json_at(object, "status.accessModes") : NULL, ret_cell);
}

static void claim_capacity(struct arena *arena, const struct json *object, nsec_t now, struct json *ret_cell)
{
    struct str capacity = str_or(cell_scalar(json_at(object, "status.capacity.storage")), STR("0"));

    cell_str(ret_cell, is_bound(object) ? capacity : STR(""));
}

static void class_name(struct arena *arena, const struct json *object, nsec_t now, struct json *ret_cell)
{
    const struct json *annotations = json_at(object, "metadata.annotations");
    bool is_default =
        str_is(json_str(json_member(annotations, "storageclass.kubernetes.io/is-default-class")), "true") ||
        str_is(json_str(json_member(annotations, "storageclass.beta.kubernetes.io/is-default-class")), "true");

    cell_printf(arena, ret_cell, STR_FMT "%s", STR_ARG(json_str_at(object, "metadata.name")),
                is_default ? " (default)" : "");
}

static void driver_modes(struct arena *arena, const struct json *object, nsec_t now, struct json *ret_cell)
{
    cell_join(arena, json_at(object, "spec.volumeLifecycleModes"), STR("<none>"), ret_cell);
}

static void token_requests(struct arena *arena, const struct json *object, nsec_t now, struct json *ret_cell)
{
    const struct json *requests = json_at(object, "spec.tokenRequests");
    struct cell_list list;

    cell_list_init(&list, ",", 0);
    for each_item(requests, request)
        cell_list_add(&list, json_str(json_member(request, "audience")));
    cell_list_finish(arena, &list, json_is(requests, JSON_ARRAY) ? STR("") : STR("<unset>"), ret_cell);
}

static void node_drivers(struct arena *arena, const struct json *object, nsec_t now, struct json *ret_cell)
{
    cell_int(arena, ret_cell, (int64_t)cell_count(json_at(object, "spec.drivers")));
}

static const struct table_cell rows[] = {
    { STR_INIT("persistentvolume.status"), status },
    { STR_INIT("persistentvolume.access-modes"), volume_modes },
    { STR_INIT("persistentvolume.claim"), volume_claim },
    { STR_INIT("persistentvolume.storage-class"), storage_class },
    { STR_INIT("persistentvolumeclaim.status"), status },
    { STR_INIT("persistentvolumeclaim.access-modes"), claim_modes },
    { STR_INIT("persistentvolumeclaim.capacity"), claim_capacity },
    { STR_INIT("persistentvolumeclaim.storage-class"), storage_class },
    { STR_INIT("storageclass.name"), class_name },
    { STR_INIT("csidriver.modes"), driver_modes },
    { STR_INIT("csidriver.token-requests"), token_requests },
    { STR_INIT("csinode.drivers"), node_drivers },
};
const struct cell_table storage_cells = CELL_TABLE(rows);
