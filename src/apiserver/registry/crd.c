/* crd.c - CustomResourceDefinitions: their names, their schemas, and what their status says.
 *
 * The status is worked out with every write, in the same transaction: names that no other definition of the group has
 * are accepted, and a definition whose names were accepted once is established. So who creates one finds it established
 * in the answer, and its resources served (custom.c). */
#include "api/resources.h"
#include "apiserver/custom_internal.h"
#include "apiserver/registry/rules.h"
#include "apiserver/server.h"
#include "schema/jsonpath.h"
#include "schema/structural.h"
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

/* -- checks -- */

static bool is_protected(struct str group)
{
    return str_is(group, "k8s.io") || str_is(group, "kubernetes.io") || str_has_suffix(group, STR(".k8s.io")) ||
           str_has_suffix(group, STR(".kubernetes.io"));
}

static void check_group(const struct json *object, struct str group, struct causes *causes)
{
    const struct json *approval = json_get(json_at(object, "metadata.annotations"), STR("api-approved.kubernetes.io"));

    if (str_empty(group)) {
        add_required(causes, STR("spec.group"), "");
        return;
    }
    check_name(causes, STR("spec.group"), NAME_SUBDOMAIN, group);
    if (str_chr(group, '.') < 0)
        add_invalid_str(causes, STR("spec.group"), group, "should be a domain with at least one dot");
    if (is_protected(group) && str_empty(json_str(approval)))
        add_required(causes, STR("metadata.annotations[api-approved.kubernetes.io]"),
                     "protected groups must have approval annotation \"api-approved.kubernetes.io\", see "
                     "https://github.com/kubernetes/enhancements/pull/1111");
}

/* Kinds may have capitals. */
static void check_kind_name(struct causes *causes, struct str field, struct str kind)
{
    char *lower = arena_cstr(causes->arena, kind.data ? kind : STR(""));

    if (str_empty(kind)) {
        add_required(causes, field, "");
        return;
    }
    for (char *p = lower; p && *p; p++)
        if (*p >= 'A' && *p <= 'Z')
            *p = (char)(*p + ('a' - 'A'));
    if (lower && !name_is_dns1035(str_from(lower)))
        add_invalid_str(causes, field, kind,
                        "may have mixed case, but should otherwise match: a DNS-1035 label must consist of lower case "
                        "alphanumeric characters or '-', start with an alphabetic character, and end with an "
                        "alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is "
                        "'[a-z]([-a-z0-9]*[a-z0-9])?')");
}

static void check_labels_list(struct causes *causes, const char *field, const struct json *list)
{
    for (uint32_t i = 0; json_is(list, JSON_ARRAY) && i < list->count; i++)
        check_name(causes, field_path(causes, "%s[%u]", field, i), NAME_DNS1035, json_str(&list->items[i]));
}

static void check_names(const struct json *names, struct causes *causes)
{
    struct str plural = json_str(json_member(names, "plural")), singular = json_str(json_member(names, "singular"));
    struct str kind = json_str(json_member(names, "kind")), list = json_str(json_member(names, "listKind"));

    if (str_empty(plural))
        add_required(causes, STR("spec.names.plural"), "");
    else
        check_name(causes, STR("spec.names.plural"), NAME_DNS1035, plural);
    if (!str_empty(singular))
        check_name(causes, STR("spec.names.singular"), NAME_DNS1035, singular);
    check_kind_name(causes, STR("spec.names.kind"), kind);
    if (!str_empty(kind))
        check_kind_name(causes, STR("spec.names.listKind"), list);
    if (!str_empty(kind) && str_eq(kind, list))
        add_invalid_str(causes, STR("spec.names.listKind"), list, "kind and listKind may not be the same");
    check_labels_list(causes, "spec.names.shortNames", json_member(names, "shortNames"));
    check_labels_list(causes, "spec.names.categories", json_member(names, "categories"));
}

/* ".spec.a.b": what scale and selectors can follow. */
static bool is_member_path(struct str path, const char *root)
{
    if (path.len < 2 || path.data[0] != '.' || path.data[path.len - 1] == '.')
        return false;
    for (size_t i = 1; i < path.len; i++)
        if (path.data[i] == '[' || path.data[i] == '*' || path.data[i] == '\'' || path.data[i] == '@' ||
            (path.data[i] == '.' && path.data[i - 1] == '.'))
            return false;
    return !root || str_has_prefix(path, str_from(root));
}

static void check_scale(const struct json *scale, struct str field, struct causes *causes)
{
    static const struct {
        const char *name, *root, *why;
        bool optional;
    } rows[] = {
        { "specReplicasPath", ".spec.", "should be a json path under .spec", false },
        { "statusReplicasPath", ".status.", "should be a json path under .status", false },
        { "labelSelectorPath", NULL, "should be a json path under either .spec or .status", true },
    };

    for (size_t i = 0; json_is(scale, JSON_OBJECT) && i < ARRAY_LEN(rows); i++) {
        struct str path = json_str(json_get(scale, str_from(rows[i].name)));
        struct str where = field_path(causes, STR_FMT ".subresources.scale.%s", STR_ARG(field), rows[i].name);

        if (str_empty(path)) {
            if (!rows[i].optional)
                add_required(causes, where, "");
        } else if (!is_member_path(path, rows[i].root)) {
            add_invalid_str(causes, where, path, rows[i].why);
        }
    }
}

static void check_columns(const struct json *columns, struct str field, struct causes *causes)
{
    static const char *const types[] = { "boolean", "date", "integer", "number", "string", NULL };

    for (uint32_t i = 0; json_is(columns, JSON_ARRAY) && i < columns->count; i++) {
        const struct json *column = &columns->items[i];
        struct str path = json_str(json_member(column, "jsonPath")), type = json_str(json_member(column, "type"));
        struct str where = field_path(causes, STR_FMT ".additionalPrinterColumns[%u]", STR_ARG(field), i);
        AUTO(arena) arena = arena_new(1u << 20);
        const struct jsonpath *compiled;
        bool known = false;

        for (size_t j = 0; types[j]; j++)
            known |= str_is(type, types[j]);
        if (!known)
            add_not_supported(causes, field_path(causes, STR_FMT ".type", STR_ARG(where)), type, types);
        if (str_empty(json_str(json_member(column, "name"))))
            add_required(causes, field_path(causes, STR_FMT ".name", STR_ARG(where)), "");
        if (!arena || jsonpath_compile(arena, path, &compiled, NULL) < 0)
            add_invalid_str(causes, field_path(causes, STR_FMT ".jsonPath", STR_ARG(where)), path,
                            "is not a JSONPath that this server knows");
    }
}

static void check_selectable(const struct json *fields, struct str field, struct causes *causes)
{
    if (json_is(fields, JSON_ARRAY) && fields->count > 8)
        causes_add(causes, CAUSE_TOO_MANY, field_path(causes, STR_FMT ".selectableFields", STR_ARG(field)),
                   "Too many: %u: must have at most 8 items", fields->count);
    for (uint32_t i = 0; json_is(fields, JSON_ARRAY) && i < fields->count; i++) {
        struct str path = json_str(json_member(&fields->items[i], "jsonPath"));

        if (!is_member_path(path, NULL) || str_has_prefix(path, STR(".metadata.")))
            add_invalid_str(causes, field_path(causes, STR_FMT ".selectableFields[%u].jsonPath", STR_ARG(field), i),
                            path, "must be a path of members outside metadata");
    }
}

static void check_version(struct request *request, const struct json *version, struct str field, struct causes *causes)
{
    const struct json *schema = json_at(version, "schema.openAPIV3Schema");
    struct str name = json_str(json_member(version, "name"));
    struct str where = field_path(causes, STR_FMT ".schema.openAPIV3Schema", STR_ARG(field));

    check_name(causes, field_path(causes, STR_FMT ".name", STR_ARG(field)), NAME_DNS1035, name);
    if (!json_is(schema, JSON_OBJECT)) {
        add_required(causes, where, "schemas are required");
    } else {
        schema_check_rules(schema, where, causes);
        if (schema_has_rules(schema))
            request_warn(request,
                         STR_FMT ": x-kubernetes-validations are kept, but this server does not evaluate them yet",
                         STR_ARG(where));
    }
    check_scale(json_at(version, "subresources.scale"), field, causes);
    check_columns(json_member(version, "additionalPrinterColumns"), field, causes);
    check_selectable(json_member(version, "selectableFields"), field, causes);
}

static void check_versions(struct request *request, const struct json *versions, struct causes *causes)
{
    uint32_t stored = 0, count = json_is(versions, JSON_ARRAY) ? versions->count : 0;

    for (uint32_t i = 0; i < count; i++) {
        const struct json *version = &versions->items[i];

        stored += json_bool(json_member(version, "storage"), false);
        check_version(request, version, field_path(causes, "spec.versions[%u]", i), causes);
        for (uint32_t j = 0; j < i; j++)
            if (str_eq(json_str(json_member(version, "name")), json_str(json_member(&versions->items[j], "name"))))
                add_invalid(causes, STR("spec.versions"), versions, "must contain unique version names");
    }
    if (stored != 1)
        add_invalid(causes, STR("spec.versions"), versions ? versions : &(struct json){ .kind = JSON_NULL },
                    "must have exactly one version marked as storage version");
}

static void validate(struct request *request, const struct json *object, struct causes *causes)
{
    static const char *const scopes[] = { "Cluster", "Namespaced", NULL };
    const struct json *spec = json_member(object, "spec"), *names = json_member(spec, "names");
    struct str group = json_str(json_member(spec, "group")), scope = json_str(json_member(spec, "scope"));
    struct str strategy = json_str_at(spec, "conversion.strategy"), name = json_str_at(object, "metadata.name");
    struct str want = arena_printf(causes->arena, STR_FMT "." STR_FMT, STR_ARG(json_str(json_member(names, "plural"))),
                                   STR_ARG(group));

    if (!str_eq(name, want))
        add_invalid_str(causes, STR("metadata.name"), name, "must be spec.names.plural+\".\"+spec.group");
    check_group(object, group, causes);
    if (!str_is(scope, "Cluster") && !str_is(scope, "Namespaced"))
        add_not_supported(causes, STR("spec.scope"), scope, scopes);
    check_names(names, causes);
    check_versions(request, json_member(spec, "versions"), causes);
    if (!str_empty(strategy) && !str_is(strategy, "None"))
        causes_add(causes, CAUSE_NOT_SUPPORTED, STR("spec.conversion.strategy"),
                   "Unsupported value: \"" STR_FMT "\": supported values: \"None\" (conversion webhooks are not "
                   "supported by this server yet)",
                   STR_ARG(strategy));
    if (json_bool(json_member(spec, "preserveUnknownFields"), false))
        add_invalid(causes, STR("spec.preserveUnknownFields"), json_member(spec, "preserveUnknownFields"),
                    "must be false in order to use defaults in the schema");
}

static bool has_version(const struct json *object, struct str name)
{
    const struct json *versions = json_at(object, "spec.versions");

    for (uint32_t i = 0; json_is(versions, JSON_ARRAY) && i < versions->count; i++)
        if (str_eq(json_str(json_member(&versions->items[i], "name")), name))
            return true;
    return false;
}

static void validate_update(struct request *request, const struct json *object, const struct json *old,
                            struct causes *causes)
{
    const struct json *stored = json_at(object, "status.storedVersions");

    if (json_at(old, "metadata.deletionTimestamp"))
        return; /* it only goes away any more */
    validate(request, object, causes);
    check_immutable(causes, STR("spec.group"), json_at(object, "spec.group"), json_at(old, "spec.group"));
    check_immutable(causes, STR("spec.scope"), json_at(object, "spec.scope"), json_at(old, "spec.scope"));
    check_immutable(causes, STR("spec.names.plural"), json_at(object, "spec.names.plural"),
                    json_at(old, "spec.names.plural"));
    for (uint32_t i = 0; json_is(stored, JSON_ARRAY) && i < stored->count; i++)
        if (!has_version(object, json_str(&stored->items[i])))
            add_invalid_str(causes, field_path(causes, "status.storedVersions[%u]", i), json_str(&stored->items[i]),
                            "missing from spec.versions; "
                            "an object may still be stored in it");
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
    .validate_create = validate,
    .validate_update = validate_update,
    .transact = transact,
    .deleting = deleting,
    .committed = committed,
};
