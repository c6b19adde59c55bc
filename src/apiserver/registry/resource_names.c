/* resource_names.c - names of resources (cpu, requests.storage, example.com/gpu) and what amounts they can have. */
#include "apiserver/registry/rules.h"
#include "schema/quantity.h"

static bool is_one_of(struct str name, const char *const *names, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (str_is(name, names[i]))
            return true;
    return false;
}

/* Counted: whole numbers. */
static const char *const counts[] = { "pods", "services", "replicationcontrollers", "resourcequotas", "secrets",
                                      "configmaps", "persistentvolumeclaims", "services.nodeports",
                                      "services.loadbalancers" };
static const char *const container_names[] = { "cpu", "memory", "ephemeral-storage" };
static const char *const quota_names[] = {
    "requests.cpu", "requests.memory", "requests.storage", "requests.ephemeral-storage", "limits.cpu",
    "limits.memory", "limits.ephemeral-storage",
};

static bool has_domain(struct str name)
{
    return str_chr(name, '/') >= 0;
}

bool resource_is_native(struct str name)
{
    return !has_domain(name) || str_find(name, STR("kubernetes.io/")) >= 0;
}

bool resource_is_hugepages(struct str name)
{
    return str_has_prefix(name, STR("hugepages-"));
}

/* "requests." before it must still make a name. */
bool resource_is_extended(struct str name)
{
    char text[300];
    int len;

    if (resource_is_native(name) || str_has_prefix(name, STR("requests.")) || name.len > 256)
        return false;
    len = snprintf(text, sizeof text, "requests." STR_FMT, STR_ARG(name));
    return !qualified_name_problem(str_of(text, (size_t)len));
}

bool resource_may_overcommit(struct str name)
{
    return resource_is_native(name) && !resource_is_hugepages(name);
}

bool resource_is_quota(struct str name)
{
    return is_one_of(name, counts, ARRAY_LEN(counts)) || is_one_of(name, quota_names, ARRAY_LEN(quota_names)) ||
           is_one_of(name, container_names, ARRAY_LEN(container_names)) || resource_is_hugepages(name) ||
           str_has_prefix(name, STR("requests.hugepages-"));
}

void resource_name_check(struct causes *causes, const struct path *at, struct str name)
{
    if (cause_format(causes, at, FORMAT_KEY, name) && !has_domain(name) && !resource_is_quota(name) &&
        !str_is(name, "storage"))
        cause_invalid_str(causes, at, name, "must be a standard resource type or fully qualified");
}

void container_resource_name_check(struct causes *causes, const struct path *at, struct str name)
{
    resource_name_check(causes, at, name);
    if (!has_domain(name)) {
        if (!is_one_of(name, container_names, ARRAY_LEN(container_names)) && !resource_is_hugepages(name))
            cause_invalid_str(causes, at, name, "must be a standard resource for containers");
    } else if (!resource_is_native(name) && !resource_is_extended(name)) {
        cause_invalid_str(causes, at, name, "doesn't follow extended resource name standard");
    }
}

void resource_amount_check(struct causes *causes, const struct path *at, struct str name, const struct json *amount)
{
    struct quantity quantity;

    if (!quantity_parse(json_str(amount), &quantity))
        return;
    if (quantity.nano < 0)
        cause_invalid(causes, at, amount, "must be greater than or equal to 0");
    if ((is_one_of(name, counts, ARRAY_LEN(counts)) || resource_is_extended(name)) && quantity.nano % 1000000000)
        cause_invalid(causes, at, amount, "must be an integer");
}
