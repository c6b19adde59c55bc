/* crd.c - CustomResourceDefinitions: their names, their schemas, and what their status says.
 *
 * The status is worked out with every write, in the same transaction: names that no other definition of the group has
 * are accepted, and a definition whose names were accepted once is established. So who creates one finds it established
 * in the answer, and its resources served (custom.c). */
#include "api/resources.h"
#include "apiserver/custom_internal.h"
#include "apiserver/registry/crd_check.h"
#include "apiserver/registry/rules.h"
#include "apiserver/server.h"
#include "schema/time.h"

/* -- defaults -- */

static int default_definition(struct request *request, struct json *object, struct err *err)
{
    struct arena *arena = request->arena;
    struct json *names = json_at(object, "spec.names");
    struct str kind = json_str(json_member(names, "kind"));
    char *singular = arena_cstr(arena, kind.data ? kind : STR(""));
    const char *list = arena_printf(arena, STR_FMT "List", STR_ARG(kind)).data;

    if (!singular || !list)
        return out_of_memory(err);
    for (char *p = singular; *p; p++)
        if (*p >= 'A' && *p <= 'Z')
            *p = (char)(*p + ('a' - 'A'));
    if (str_empty(kind))
        return 0;
    return default_str(arena, names, "singular", singular) && default_str(arena, names, "listKind", list)
               ? 0
               : out_of_memory(err);
}

/* Its objects go before it does. */
static int prepare_create(struct request *request, struct json *object, struct err *err)
{
    struct arena *arena = request->arena;
    struct json *meta = json_ensure(arena, object, STR("metadata"), JSON_OBJECT), *list, *name;

    list = meta ? json_ensure(arena, meta, STR("finalizers"), JSON_ARRAY) : NULL;
    name = json_new_str(arena, STR(CUSTOM_FINALIZER));
    if (!list || !name)
        return out_of_memory(err);
    for (uint32_t i = 0; i < list->count; i++)
        if (str_is(json_str(&list->items[i]), CUSTOM_FINALIZER))
            return 0;
    return json_append(arena, list, name) ? 0 : out_of_memory(err);
}

/* -- the status -- */

static int set_condition(struct request *request, struct json *status, const char *type, const char *value,
                         const char *reason, struct str message, struct err *err)
{
    struct arena *arena = request->arena;
    struct json *list = json_ensure(arena, status, STR("conditions"), JSON_ARRAY), *condition = NULL;
    char now[API_TIME_LEN];

    for (uint32_t i = 0; list && i < list->count; i++)
        if (str_is(json_str(json_member(&list->items[i], "type")), type))
            condition = &list->items[i];
    if (list && !condition)
        condition = json_append(arena, list, &(struct json){ .kind = JSON_OBJECT });
    if (!condition)
        return out_of_memory(err);
    if (!str_is(json_str(json_member(condition, "status")), value) &&
        !json_set_str(arena, condition, STR("lastTransitionTime"),
                      arena_str(arena, api_time_text(clock_wall(request->server->options.clock), now))))
        return out_of_memory(err);
    if (!json_set_str(arena, condition, STR("type"), str_from(type)) ||
        !json_set_str(arena, condition, STR("status"), str_from(value)) ||
        !json_set_str(arena, condition, STR("reason"), str_from(reason)) ||
        !json_set_str(arena, condition, STR("message"), message))
        return out_of_memory(err);
    return 0;
}

static bool names_of(const struct resource *resource, struct str name)
{
    for (uint8_t i = 0; i < resource->short_name_count; i++)
        if (str_eq(resource->short_names[i], name))
            return true;
    return str_eq(resource->plural, name) || str_eq(resource->singular, name);
}

/* Which name of the definition another one of its group has already; NULL: none. */
static const char *find_conflict(const struct json *names, const struct resource *other, struct str *ret_name)
{
    static const struct {
        const char *member, *reason;
        bool kind;
    } rows[] = {
        { "plural", "PluralConflict", false },
        { "singular", "SingularConflict", false },
        { "kind", "KindConflict", true },
        { "listKind", "ListKindConflict", true },
    };
    const struct json *list = json_member(names, "shortNames");

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct str name = *ret_name = json_str(json_get(names, str_from(rows[i].member)));

        if (rows[i].kind ? str_eq(other->kind, name) || str_eq(other->list_kind, name) : names_of(other, name))
            return rows[i].reason;
    }
    for (uint32_t i = 0; json_is(list, JSON_ARRAY) && i < list->count; i++) {
        *ret_name = json_str(&list->items[i]);
        if (names_of(other, *ret_name))
            return "ShortNamesConflict";
    }
    return NULL;
}

static const char *any_conflict(struct request *request, const struct json *object, struct str *ret_name)
{
    size_t count = 0;
    struct custom **list = customs_list(request->server->customs, request->arena, &count);
    struct str name = json_str_at(object, "metadata.name"), group = json_str_at(object, "spec.group");
    const char *reason = NULL;

    for (size_t i = 0; i < count; i++) {
        if (!reason && list[i]->established && !str_eq(list[i]->name, name) && str_eq(list[i]->storage->group, group))
            reason = find_conflict(json_at(object, "spec.names"), list[i]->storage, ret_name);
        if (reason)
            *ret_name = arena_str(request->arena, *ret_name);
        custom_unref(list[i]);
    }
    return reason;
}

static bool is_true(const struct json *status, const char *type)
{
    const struct json *list = json_member(status, "conditions");

    for (uint32_t i = 0; json_is(list, JSON_ARRAY) && i < list->count; i++)
        if (str_is(json_str(json_member(&list->items[i], "type")), type))
            return str_is(json_str(json_member(&list->items[i], "status")), "True");
    return false;
}

/* Every version that objects were ever stored in. */
static int set_stored(struct request *request, const struct json *object, struct json *status, struct err *err)
{
    const struct json *versions = json_at(object, "spec.versions");
    struct json *stored = json_ensure(request->arena, status, STR("storedVersions"), JSON_ARRAY);
    struct str name = STR("");
    struct json *item;

    for (uint32_t i = 0; json_is(versions, JSON_ARRAY) && i < versions->count; i++)
        if (json_bool(json_member(&versions->items[i], "storage"), false))
            name = json_str(json_member(&versions->items[i], "name"));
    if (!stored)
        return out_of_memory(err);
    for (uint32_t i = 0; i < stored->count; i++)
        if (str_eq(json_str(&stored->items[i]), name))
            return 0;
    item = json_new_str(request->arena, name);
    return item && json_append(request->arena, stored, item) ? 0 : out_of_memory(err);
}

static int set_names(struct request *request, const struct json *object, struct json *status, struct err *err)
{
    struct arena *arena = request->arena;
    struct str name = STR("");
    const char *conflict = any_conflict(request, object, &name);
    const struct json *names = json_at(object, "spec.names");
    int code;

    if (conflict) {
        if (!json_ensure(arena, status, STR("acceptedNames"), JSON_OBJECT))
            return out_of_memory(err);
        code = set_condition(request, status, "NamesAccepted", "False", conflict,
                             arena_printf(arena, "\"" STR_FMT "\" is already in use", STR_ARG(name)), err);
        if (code < 0 || is_true(status, "Established"))
            return code;
        return set_condition(request, status, "Established", "False", "NotAccepted", STR("not all names are accepted"),
                             err);
    }
    if (names && !(names = json_copy(arena, names)))
        return out_of_memory(err);
    if (names && !json_set(arena, status, STR("acceptedNames"), names))
        return out_of_memory(err);
    code = set_condition(request, status, "NamesAccepted", "True", "NoConflicts", STR("no conflicts found"), err);
    return code < 0 ? code
                    : set_condition(request, status, "Established", "True", "InitialNamesAccepted",
                                    STR("the initial names have been accepted"), err);
}

static int transact(struct write *write, struct json *object, const struct json *old, struct err *err)
{
    struct request *request = write->request;
    struct json *status;
    int code;

    (void)old;
    if (!object || json_at(object, "metadata.deletionTimestamp"))
        return 0;
    if (!(status = json_ensure(request->arena, object, STR("status"), JSON_OBJECT)))
        return out_of_memory(err);
    code = set_stored(request, object, status, err);
    return code < 0 ? code : set_names(request, object, status, err);
}

static int deleting(struct request *request, struct json *object, struct err *err)
{
    struct json *status = json_ensure(request->arena, object, STR("status"), JSON_OBJECT);

    return status
               ? set_condition(request, status, "Terminating", "True", "InstanceDeletionPending",
                               STR("CustomResourceDefinition marked for deletion; CustomResource deletion will begin "
                                   "soon"),
                               err)
               : out_of_memory(err);
}

static void committed(struct request *request)
{
    customs_reload(request->server->customs);
}

const struct rules crd_rules = {
    .resource = &RESOURCE_APIEXTENSIONS_K8S_IO_CUSTOMRESOURCEDEFINITIONS,
    .prepare_create = prepare_create,
    .default_ = default_definition,
    .validate_create = crd_validate_create,
    .validate_update = crd_validate_update,
    .validate_status = crd_validate_status,
    .transact = transact,
    .deleting = deleting,
    .committed = committed,
};
