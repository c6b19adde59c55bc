/* crd_check.c - checks of CustomResourceDefinitions: names, versions and what hangs on them. Schemas:
 * schema/structural.h. */
#include "apiserver/registry/crd_check.h"

#include "apiserver/registry/place.h"
#include "schema/jsonpath.h"
#include "schema/structural.h"

#define SELECTABLE_MAX 8
#define WARNING_MAX 256
#define APPROVAL "api-approved.kubernetes.io"
#define APPROVAL_FIELD "metadata.annotations[" APPROVAL "]"
#define APPROVAL_SEE "see https://github.com/kubernetes/enhancements/pull/1111"

/* -- group and names -- */

static bool is_protected(struct str group)
{
    return str_is(group, "k8s.io") || str_is(group, "kubernetes.io") || str_has_suffix(group, STR(".k8s.io")) ||
           str_has_suffix(group, STR(".kubernetes.io"));
}

/* Groups of Kubernetes' own need somebody's word: where it was approved, or that it was not. */
static void check_approval(const struct json *object, struct causes *causes)
{
    const struct json *approval = json_get(json_at(object, "metadata.annotations"), STR(APPROVAL));
    struct place at = place_named(causes, APPROVAL_FIELD, approval);
    struct str text = place_str(&at);
    ssize_t scheme = str_find(text, STR("://"));

    if (str_empty(text))
        say_required(&at, "protected groups must have approval annotation \"" APPROVAL "\", " APPROVAL_SEE);
    else if (!str_has_prefix(text, STR("unapproved")) && (scheme <= 0 || (size_t)scheme + 3 == text.len))
        say_invalid(&at,
                    "protected groups must have approval annotation \"" APPROVAL "\" with either a URL or a reason "
                    "starting with \"unapproved\", " APPROVAL_SEE);
}

static void check_group(const struct place *group)
{
    struct str text = place_str(group);

    if (str_empty(text))
        return;
    if (!name_is_subdomain(text))
        check_form(group, NAME_SUBDOMAIN);
    else if (str_chr(text, '.') < 0)
        say_invalid(group, "should be a domain with at least one dot");
}

static void check_labels_of(const struct place *list)
{
    place_each (label, list)
        check_form(&label, NAME_DNS1035);
}

static void check_names(const struct place *names)
{
    struct place plural = place_member(names, "plural"), singular = place_member(names, "singular");
    struct place kind = place_member(names, "kind"), list = place_member(names, "listKind");
    struct place shorts = place_member(names, "shortNames"), categories = place_member(names, "categories");

    if (!place_empty(&plural))
        check_form(&plural, NAME_DNS1035);
    if (!place_empty(&singular))
        check_form(&singular, NAME_DNS1035);
    check_kind(&kind);
    check_kind(&list);
    if (!place_empty(&kind) && str_eq(place_str(&kind), place_str(&list)))
        say_invalid(&list, "kind and listKind may not be the same");
    check_labels_of(&shorts);
    check_labels_of(&categories);
}

/* -- parts of a version -- */

/* ".spec.a.b": what scale and selectors can follow. */
static bool is_member_path(struct str path)
{
    if (path.len < 2 || path.data[0] != '.' || path.data[path.len - 1] == '.')
        return false;
    for (size_t i = 1; i < path.len; i++)
        if (memchr("[*'@", path.data[i], 4) || (path.data[i] == '.' && path.data[i - 1] == '.'))
            return false;
    return true;
}

static void check_scale_path(const struct place *at, const char *root, const char *other, const char *why)
{
    struct str path = place_str(at);

    if (str_empty(path))
        return;
    if (path.data[0] != '.')
        say_invalid(at, "must be a simple json path starting with .");
    else if (!is_member_path(path) || (!str_has_prefix(path, str_from(root)) && !str_has_prefix(path, str_from(other))))
        say_invalid(at, "%s", why);
}

static void check_scale(const struct place *scale)
{
    struct place spec = place_member(scale, "specReplicasPath"), status = place_member(scale, "statusReplicasPath");
    struct place selector = place_member(scale, "labelSelectorPath");

    check_scale_path(&spec, ".spec.", ".spec.", "should be a json path under .spec");
    check_scale_path(&status, ".status.", ".status.", "should be a json path under .status");
    check_scale_path(&selector, ".spec.", ".status.", "should be a json path under either .spec or .status");
}

static bool is_one_of(const struct place *at, const char *const *values)
{
    for (size_t i = 0; values[i]; i++)
        if (place_is(at, values[i]))
            return true;
    return false;
}

static void check_column(const struct place *column)
{
    static const char *const types[] = { "boolean", "date", "integer", "number", "string", NULL };
    static const char *const formats[] = { "byte",  "date",  "date-time", "double", "float",
                                           "int32", "int64", "password",  NULL };
    struct place type = place_member(column, "type"), format = place_member(column, "format");
    struct place path = place_member(column, "jsonPath");
    AUTO(arena) arena = arena_new(1u << 20);
    const struct jsonpath *compiled;

    if (place_empty(&type))
        say_required(&type, "must be one of boolean,date,integer,number,string");
    else if (!is_one_of(&type, types))
        say_invalid(&type, "must be one of boolean,date,integer,number,string");
    if (!place_empty(&format) && !is_one_of(&format, formats))
        say_invalid(&format, "must be one of byte,date,date-time,double,float,int32,int64,password");
    if (place_empty(&path))
        return;
    if (place_str(&path).data[0] != '.')
        say_invalid(&path, "must be a simple json path starting with .");
    else if (!arena || jsonpath_compile(arena, place_str(&path), &compiled, NULL) < 0)
        say_invalid(&path, "is not a JSONPath that this server knows");
}

static void check_selectable(const struct place *list)
{
    if (place_count(list) > SELECTABLE_MAX)
        say_too_many(list, SELECTABLE_MAX);
    place_each (entry, list) {
        struct place path = place_member(&entry, "jsonPath");

        if (place_empty(&path))
            continue;
        if (!is_member_path(place_str(&path)))
            say_invalid(&path, "is an invalid path");
        else if (str_has_prefix(place_str(&path), STR(".metadata.")))
            say_invalid(&path, "must not point to fields in metadata");
        for (uint32_t i = place_lookback(&entry); i < entry.index; i++)
            if (str_eq(place_str(&path), json_str(json_member(&list->json->items[i], "jsonPath")))) {
                say_duplicate(&path);
                break;
            }
    }
}

static void check_warning(const struct place *at, bool deprecated)
{
    struct str text = place_str(at);

    if (!place_there(at))
        return;
    if (!deprecated)
        say_invalid(at, "can only be set for deprecated versions");
    if (text.len > WARNING_MAX)
        say_invalid(at, "must be <= %d characters long", WARNING_MAX);
    if (str_empty(text))
        say_invalid(at, "must not be an empty string");
    for (size_t i = 0; i < text.len; i++)
        if ((unsigned char)text.data[i] < 0x20 || text.data[i] == 0x7f) {
            say_invalid(at, "must only contain printable UTF-8 characters; non-printable character found at index %zu",
                        i);
            return;
        }
}

static void check_schema(struct request *request, const struct place *at)
{
    struct place schema = place_member(at, "openAPIV3Schema");
    struct str field = place_path(&schema);

    if (!json_is(schema.json, JSON_OBJECT)) {
        say_required(&schema, "schemas are required");
        return;
    }
    schema_check_rules(schema.json, field, at->causes);
    if (schema_has_rules(schema.json))
        request_warn(request, STR_FMT ": x-kubernetes-validations are kept, but this server does not evaluate them yet",
                     STR_ARG(field));
}

/* -- versions -- */

static void check_version(struct request *request, const struct place *version)
{
    struct place name = place_member(version, "name"), schema = place_member(version, "schema");
    struct place subresources = place_member(version, "subresources"), scale = place_member(&subresources, "scale");
    struct place columns = place_member(version, "additionalPrinterColumns");
    struct place selectable = place_member(version, "selectableFields");
    struct place warning = place_member(version, "deprecationWarning");

    check_form(&name, NAME_DNS1035);
    check_warning(&warning, json_bool(json_member(version->json, "deprecated"), false));
    check_schema(request, &schema);
    check_scale(&scale);
    place_each (column, &columns)
        check_column(&column);
    check_selectable(&selectable);
}

static void check_versions(struct request *request, const struct place *versions)
{
    unsigned stored = 0;
    bool repeated = false;

    place_each (version, versions) {
        struct place name = place_member(&version, "name");

        stored += json_bool(json_member(version.json, "storage"), false);
        check_version(request, &version);
        for (uint32_t i = place_lookback(&version); i < version.index; i++)
            repeated |= str_eq(place_str(&name), json_str(json_member(&versions->json->items[i], "name")));
    }
    if (repeated)
        say_invalid(versions, "must contain unique version names");
    if (stored != 1)
        say_invalid(versions, "must have exactly one version marked as storage version");
}

static void check_conversion(const struct place *conversion)
{
    struct place strategy = place_member(conversion, "strategy"), webhook = place_member(conversion, "webhook");
    struct place client = place_member(conversion, "webhookClientConfig");
    struct place versions = place_member(conversion, "conversionReviewVersions");

    if (!place_empty(&strategy) && !place_is(&strategy, "None"))
        causes_add(strategy.causes, CAUSE_NOT_SUPPORTED, place_path(&strategy),
                   "Unsupported value: \"" STR_FMT "\": supported values: \"None\" (conversion webhooks are not "
                   "supported by this server yet)",
                   STR_ARG(place_str(&strategy)));
    if (!place_is(&strategy, "None"))
        return;
    if (json_member(webhook.json, "clientConfig"))
        say_forbidden(&client, "should not be set when strategy is not set to Webhook");
    if (json_member(webhook.json, "conversionReviewVersions"))
        say_forbidden(&versions, "should not be set when strategy is not set to Webhook");
}

/* -- the whole -- */

void crd_validate_create(struct request *request, const struct json *object, struct causes *causes)
{
    static const char *const scopes[] = { "Cluster", "Namespaced", NULL };
    struct place definition = place_object(causes, object), spec = place_member(&definition, "spec");
    struct place name = place_named(causes, "metadata.name", json_at(object, "metadata.name"));
    struct place names = place_member(&spec, "names"), group = place_member(&spec, "group");
    struct place plural = place_member(&names, "plural"), singular = place_member(&names, "singular");
    struct place list = place_member(&names, "listKind"), scope = place_member(&spec, "scope");
    struct place versions = place_member(&spec, "versions"), conversion = place_member(&spec, "conversion");
    struct place preserve = place_member(&spec, "preserveUnknownFields");
    struct str want =
        arena_printf(causes->arena, STR_FMT "." STR_FMT, STR_ARG(place_str(&plural)), STR_ARG(place_str(&group)));

    if (!str_eq(place_str(&name), want))
        say_invalid(&name, "must be spec.names.plural+\".\"+spec.group");
    check_group(&group);
    if (is_protected(place_str(&group)))
        check_approval(object, causes);
    if (!place_empty(&scope))
        check_one_of(&scope, scopes);
    check_required(&singular, "");
    check_required(&list, "");
    check_names(&names);
    check_versions(request, &versions);
    check_conversion(&conversion);
    if (json_bool(preserve.json, false))
        say_invalid(&preserve, "cannot set to true, set x-preserve-unknown-fields to true in spec.versions[*].schema "
                               "instead");
}

static bool is_established(const struct json *object)
{
    const struct json *list = json_at(object, "status.conditions");

    for (uint32_t i = 0; json_is(list, JSON_ARRAY) && i < list->count; i++)
        if (str_is(json_str(json_member(&list->items[i], "type")), "Established"))
            return str_is(json_str(json_member(&list->items[i], "status")), "True");
    return false;
}

static const struct json *find_version(const struct json *object, struct str name)
{
    const struct json *versions = json_at(object, "spec.versions");

    for (uint32_t i = 0; json_is(versions, JSON_ARRAY) && i < versions->count; i++)
        if (str_eq(json_str(json_member(&versions->items[i], "name")), name))
            return &versions->items[i];
    return NULL;
}

/* Objects may still be stored in each of them. */
static void check_stored(const struct json *object, struct causes *causes)
{
    struct place stored = place_named(causes, "status.storedVersions", json_at(object, "status.storedVersions"));

    place_each (version, &stored) {
        struct str name = place_str(&version);

        if (!find_version(object, name))
            say_invalid(&version,
                        "missing from spec.versions; " STR_FMT " was previously a storage version, and must remain in "
                        "spec.versions until a storage migration ensures no data remains persisted in " STR_FMT
                        " and removes " STR_FMT " from status.storedVersions",
                        STR_ARG(name), STR_ARG(name), STR_ARG(name));
    }
}

void crd_validate_update(struct request *request, const struct json *object, const struct json *old,
                         struct causes *causes)
{
    static const struct {
        const char *path;
        bool established; /* may change before that */
    } fixed[] = {
        { "spec.scope", true },
        { "spec.names.kind", true },
        { "spec.group", false },
        { "spec.names.plural", false },
    };

    if (json_at(old, "metadata.deletionTimestamp"))
        return; /* it only goes away any more */
    crd_validate_create(request, object, causes);
    for (size_t i = 0; i < ARRAY_LEN(fixed); i++) {
        struct place at = place_named(causes, fixed[i].path, json_at(object, fixed[i].path));

        if (!fixed[i].established || is_established(old))
            check_same(&at, json_at(old, fixed[i].path));
    }
    check_stored(object, causes);
}

void crd_validate_status(struct request *request, const struct json *object, const struct json *old,
                         struct causes *causes)
{
    struct place stored = place_named(causes, "status.storedVersions", json_at(object, "status.storedVersions"));
    struct place names = place_named(causes, "status.acceptedNames", json_at(object, "status.acceptedNames"));
    const struct json *versions = json_at(object, "spec.versions");

    (void)request;
    (void)old;
    check_names(&names);
    if (!place_count(&stored)) {
        say_invalid(&stored, "must have at least one stored version");
        return;
    }
    for (uint32_t i = 0; json_is(versions, JSON_ARRAY) && i < versions->count; i++) {
        char *name = arena_cstr(causes->arena, json_str(json_member(&versions->items[i], "name")));

        if (name && json_bool(json_member(&versions->items[i], "storage"), false) && !place_has(&stored, name))
            say_invalid(&stored, "must have the storage version %s", name);
    }
    check_stored(object, causes);
}
