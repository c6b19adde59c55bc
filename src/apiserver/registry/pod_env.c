/* pod_env.c - a container's environment, and the facts about its pod that it can show. */
#include "apiserver/registry/pod_check.h"
#include "schema/quantity.h"

/* Sorted, as the messages list them. */
static const char *const env_fields[] = { "metadata.name", "metadata.namespace", "metadata.uid", "spec.nodeName",
                                          "spec.serviceAccountName", "status.hostIP", "status.hostIPs",
                                          "status.podIP", "status.podIPs", NULL };
static const char *const volume_fields[] = { "metadata.annotations", "metadata.labels", "metadata.name",
                                             "metadata.namespace", "metadata.uid", NULL };
static const char *const resources[] = { "limits.cpu", "limits.ephemeral-storage", "limits.memory", "requests.cpu",
                                         "requests.ephemeral-storage", "requests.memory", NULL };
/* Fields that have a name at all, beside those above. */
static const char *const other_fields[] = { "spec.host", "spec.restartPolicy", "spec.schedulerName", "status.phase",
                                            NULL };

static bool listed(struct str text, const char *const *list)
{
    for (; *list; list++)
        if (str_is(text, *list))
            return true;
    return false;
}

/* metadata.labels['KEY'] */
static bool check_subscript(struct causes *causes, const struct path *at, struct str field)
{
    ssize_t open = str_find(field, STR("['"));
    struct str name, key;

    if (open < 0 || !str_has_suffix(field, STR("']")))
        return false;
    name = str_first(field, (size_t)open);
    key = str_chop(str_skip(field, (size_t)open + 2), 2);
    if (!str_is(name, "metadata.labels") && !str_is(name, "metadata.annotations"))
        return false;
    cause_format(causes, at, FORMAT_KEY, key);
    return true;
}

void field_ref_check(struct causes *causes, const struct path *at, const struct json *ref, bool volume)
{
    struct str version = text_in(ref, "apiVersion"), field = text_in(ref, "fieldPath");
    const char *const *allowed = volume ? volume_fields : env_fields;

    if (str_empty(field))
        return; /* the table says so */
    if (!str_is(version, "v1")) {
        cause_at(causes, CAUSE_INVALID, AT(at, "fieldPath"),
                 "Invalid value: \"" STR_FMT "\": error converting fieldPath: unsupported pod version: " STR_FMT,
                 STR_ARG(field), STR_ARG(version));
    } else if (listed(field, allowed) || check_subscript(causes, at, field)) {
        return;
    } else if (listed(field, env_fields) || listed(field, volume_fields) || listed(field, other_fields)) {
        cause_not_supported(causes, AT(at, "fieldPath"), field, allowed);
    } else {
        cause_at(causes, CAUSE_INVALID, AT(at, "fieldPath"),
                 "Invalid value: \"" STR_FMT "\": error converting fieldPath: field label not supported: " STR_FMT,
                 STR_ARG(field), STR_ARG(field));
    }
}

static bool is_hugepages_field(struct str resource)
{
    return str_has_prefix(resource, STR("limits.hugepages-")) || str_has_prefix(resource, STR("requests.hugepages-"));
}

/* 1, or one of a unit. */
static bool is_unit(struct str divisor, bool cpu)
{
    static const char *const units[] = { "1k", "1M", "1G", "1T", "1P", "1E", "1Ki", "1Mi", "1Gi", "1Ti", "1Pi", "1Ei",
                                         NULL };

    return str_is(divisor, "1") || (cpu ? str_is(divisor, "1m") : listed(divisor, units));
}

static void check_divisor(struct causes *causes, const struct path *at, struct str resource, struct str divisor)
{
    struct quantity quantity;
    bool cpu = str_has_suffix(resource, STR(".cpu"));

    if (!quantity_parse(divisor, &quantity) || quantity.nano == 0 || is_unit(divisor, cpu))
        return;
    if (cpu)
        cause_invalid_str(causes, AT(at, "divisor"), resource,
                          "only divisor's values 1m and 1 are supported with the cpu resource");
    else if (listed(resource, resources) || is_hugepages_field(resource))
        cause_at(causes, CAUSE_INVALID, AT(at, "divisor"),
                 "Invalid value: \"" STR_FMT "\": only divisor's values 1, 1k, 1M, 1G, 1T, 1P, 1E, 1Ki, 1Mi, 1Gi, 1Ti, "
                 "1Pi, 1Ei are supported with the %s resource",
                 STR_ARG(resource),
                 is_hugepages_field(resource)               ? "hugepages"
                 : str_has_suffix(resource, STR(".memory")) ? "memory"
                                                            : "local ephemeral storage");
}

void resource_ref_check(struct causes *causes, const struct path *at, const struct json *ref, bool volume)
{
    struct str resource = text_in(ref, "resource");

    if (volume && str_empty(text_in(ref, "containerName")))
        cause_required(causes, AT(at, "containerName"), "");
    else if (!str_empty(resource) && !listed(resource, resources) && !is_hugepages_field(resource))
        cause_not_supported(causes, AT(at, "resource"), resource, resources);
    check_divisor(causes, at, resource, text_in(ref, "divisor"));
}

static void check_key_ref(struct causes *causes, const struct path *at, const struct json *ref)
{
    if (ref)
        cause_format(causes, AT(at, "name"), FORMAT_SUBDOMAIN, text_in(ref, "name"));
}

static void check_value_from(struct causes *causes, const struct path *at, const struct json *variable,
                             const struct json *from)
{
    const struct json *field = json_member(from, "fieldRef"), *resource = json_member(from, "resourceFieldRef");
    const struct json *map = json_member(from, "configMapKeyRef"), *secret = json_member(from, "secretKeyRef");
    int sources = !!field + !!resource + !!map + !!secret;

    if (field)
        field_ref_check(causes, AT(at, "fieldRef"), field, false);
    if (resource)
        resource_ref_check(causes, AT(at, "resourceFieldRef"), resource, false);
    check_key_ref(causes, AT(at, "configMapKeyRef"), map);
    check_key_ref(causes, AT(at, "secretKeyRef"), secret);
    if (!sources)
        cause_invalid_str(causes, at, STR(""),
                          "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef` or `secretKeyRef`");
    else if (!str_empty(text_in(variable, "value")))
        cause_invalid_str(causes, at, STR(""), "may not be specified when `value` is not empty");
    else if (sources > 1)
        cause_invalid_str(causes, at, STR(""), "may not have more than one field specified at a time");
}

void env_check(struct causes *causes, const struct path *at, const struct json *env)
{
    for (uint32_t i = 0; i < items_of(env); i++) {
        const struct json *from = json_member(&env->items[i], "valueFrom");

        if (from)
            check_value_from(causes, AT(NTH(at, i), "valueFrom"), &env->items[i], from);
    }
}

void env_from_check(struct causes *causes, const struct path *at, const struct json *sources)
{
    for (uint32_t i = 0; i < items_of(sources); i++) {
        const struct json *map = json_member(&sources->items[i], "configMapRef");
        const struct json *secret = json_member(&sources->items[i], "secretRef");

        if (map && str_empty(text_in(map, "name")))
            cause_required(causes, AT(AT(NTH(at, i), "configMapRef"), "name"), "");
        if (secret && str_empty(text_in(secret, "name")))
            cause_required(causes, AT(AT(NTH(at, i), "secretRef"), "name"), "");
        if (!map && !secret)
            cause_invalid_str(causes, at, STR(""), "must specify one of: `configMapRef` or `secretRef`");
        else if (map && secret)
            cause_invalid_str(causes, at, STR(""), "may not have more than one field specified at a time");
    }
}
