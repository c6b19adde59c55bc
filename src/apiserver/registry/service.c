/* service.c - services. Addresses and node ports are given out in service_alloc.c. */
#include "api/resources.h"
#include "apiserver/registry/rules.h"
#include "apiserver/registry/service_alloc.h"

static bool is_type(const struct json *service, const char *type)
{
    return str_is(json_str_at(service, "spec.type"), type);
}

static bool ports_default(struct arena *arena, struct json *spec)
{
    struct json *ports = json_member(spec, "ports");

    for (uint32_t i = 0; json_is(ports, JSON_ARRAY) && i < ports->count; i++) {
        struct json *port = &ports->items[i], *target = json_member(port, "targetPort");
        bool unset = !target || (target->kind == JSON_NUMBER && json_int(target, 0) == 0) ||
                     (target->kind == JSON_STRING && str_empty(target->string));

        if (!default_str(arena, port, "protocol", "TCP") ||
            (unset && !json_set_int(arena, port, STR("targetPort"), json_int(json_member(port, "port"), 0))))
            return false;
    }
    return true;
}

static bool families_default(struct arena *arena, struct json *spec)
{
    struct json *families = json_ensure(arena, spec, STR("ipFamilies"), JSON_ARRAY), *family;

    if (!families || !default_str(arena, spec, "ipFamilyPolicy", "SingleStack"))
        return false;
    families = json_member(spec, "ipFamilies");
    if (families->count)
        return true;
    family = json_new_str(arena, STR("IPv4"));
    return family && json_append(arena, families, family);
}

/* A headless service has "None" in both members. */
static bool headless_default(struct arena *arena, struct json *spec)
{
    struct str ip = json_str(json_member(spec, "clusterIP"));
    struct json *ips = json_member(spec, "clusterIPs"), *value;

    if (str_empty(ip) && json_is(ips, JSON_ARRAY) && ips->count)
        return json_set_str(arena, spec, STR("clusterIP"), json_str(&ips->items[0])) != NULL;
    if (str_empty(ip) || (json_is(ips, JSON_ARRAY) && ips->count))
        return true;
    ips = json_ensure(arena, spec, STR("clusterIPs"), JSON_ARRAY);
    value = json_new_str(arena, ip);
    return ips && value && json_append(arena, ips, value);
}

static int default_service(struct request *request, struct json *service, struct err *err)
{
    struct arena *arena = request->arena;
    struct json *spec = json_ensure(arena, service, STR("spec"), JSON_OBJECT);
    bool ok = spec && default_str(arena, spec, "type", "ClusterIP") &&
              default_str(arena, spec, "sessionAffinity", "None") && ports_default(arena, spec);

    if (ok && str_is(json_str(json_member(spec, "sessionAffinity")), "ClientIP")) {
        struct json *config = default_object_member(arena, spec, "sessionAffinityConfig");
        struct json *client = default_object_member(arena, config, "clientIP");

        ok = client && default_int(arena, client, "timeoutSeconds", 10800);
    }
    if (ok && !is_type(service, "ExternalName"))
        ok = default_str(arena, spec, "internalTrafficPolicy", "Cluster") && families_default(arena, spec) &&
             headless_default(arena, spec);
    if (ok && (is_type(service, "NodePort") || is_type(service, "LoadBalancer")))
        ok = default_str(arena, spec, "externalTrafficPolicy", "Cluster");
    if (ok && is_type(service, "LoadBalancer"))
        ok = default_bool(arena, spec, "allocateLoadBalancerNodePorts", true);
    return ok ? 0 : out_of_memory(err);
}

static int64_t old_node_port(const struct json *old, const struct json *port)
{
    const struct json *ports = json_at(old, "spec.ports");
    struct str protocol = json_str(json_member(port, "protocol"));

    if (str_empty(protocol))
        protocol = STR("TCP");
    for (uint32_t i = 0; json_is(ports, JSON_ARRAY) && i < ports->count; i++)
        if (json_int(json_member(&ports->items[i], "port"), -1) == json_int(json_member(port, "port"), -2) &&
            str_eq(json_str(json_member(&ports->items[i], "protocol")), protocol))
            return json_int(json_member(&ports->items[i], "nodePort"), 0);
    return 0;
}

static bool type_has_node_ports(const struct json *service)
{
    return is_type(service, "NodePort") || is_type(service, "LoadBalancer");
}

/* What was given out stays, also when the client's manifest does not say it. */
static int prepare_update(struct request *request, struct json *service, const struct json *old, struct err *err)
{
    struct arena *arena = request->arena;
    struct json *spec = json_ensure(arena, service, STR("spec"), JSON_OBJECT), *ports;
    static const char *const kept[] = { "clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy" };

    if (!spec)
        return out_of_memory(err);
    if (is_type(service, "ExternalName")) {
        for (size_t i = 0; i < ARRAY_LEN(kept); i++)
            if (!is_type(old, "ExternalName"))
                json_remove(spec, str_from(kept[i]));
        return 0;
    }
    for (size_t i = 0; i < ARRAY_LEN(kept) && !is_type(old, "ExternalName"); i++) {
        const struct json *was = json_get(json_member(old, "spec"), str_from(kept[i]));
        const struct json *is = json_get(spec, str_from(kept[i]));
        bool unset =
            !is || (is->kind == JSON_STRING && str_empty(is->string)) || (is->kind == JSON_ARRAY && !is->count);

        if (was && unset && !json_set(arena, spec, str_from(kept[i]), was))
            return out_of_memory(err);
    }
    ports = json_member(spec, "ports");
    for (uint32_t i = 0; json_is(ports, JSON_ARRAY) && i < ports->count; i++) {
        int64_t was = old_node_port(old, &ports->items[i]);

        if (!type_has_node_ports(service) && was && json_int(json_member(&ports->items[i], "nodePort"), 0) == was)
            json_remove(&ports->items[i], STR("nodePort"));
        else if (type_has_node_ports(service) && was && !json_int(json_member(&ports->items[i], "nodePort"), 0) &&
                 !json_set_int(arena, &ports->items[i], STR("nodePort"), was))
            return out_of_memory(err);
    }
    if (!type_has_node_ports(service) && type_has_node_ports(old))
        json_remove(spec, STR("externalTrafficPolicy"));
    return 0;
}

static void check_target(struct causes *causes, struct str at, const struct json *target)
{
    struct str field = field_path(causes, STR_FMT ".targetPort", STR_ARG(at));

    if (json_is(target, JSON_STRING))
        check_port_name(causes, field, target->string);
    else if (target)
        check_port_number(causes, field, json_int(target, 0));
}

static void check_ports(struct causes *causes, const struct json *service)
{
    const struct json *ports = json_at(service, "spec.ports");
    uint32_t count = json_is(ports, JSON_ARRAY) ? ports->count : 0;

    for (uint32_t i = 0; i < count; i++) {
        const struct json *port = &ports->items[i];
        struct str at = field_path(causes, "spec.ports[%u]", i), name = json_str(json_member(port, "name"));
        int64_t number = json_int(json_member(port, "port"), 0);

        if (str_empty(name) && count > 1)
            add_required(causes, field_path(causes, STR_FMT ".name", STR_ARG(at)), "");
        else if (!str_empty(name))
            check_name(causes, field_path(causes, STR_FMT ".name", STR_ARG(at)), NAME_LABEL, name);
        check_port_number(causes, field_path(causes, STR_FMT ".port", STR_ARG(at)), number);
        check_target(causes, at, json_member(port, "targetPort"));
        if (json_int(json_member(port, "nodePort"), 0) && !type_has_node_ports(service))
            add_forbidden(causes, field_path(causes, STR_FMT ".nodePort", STR_ARG(at)),
                          "may not be used when `type` is 'ClusterIP'");
        for (uint32_t j = 0; j < i; j++) {
            if (!str_empty(name) && str_eq(name, json_str(json_member(&ports->items[j], "name"))))
                add_duplicate_str(causes, field_path(causes, STR_FMT ".name", STR_ARG(at)), name);
            if (number == json_int(json_member(&ports->items[j], "port"), 0) &&
                str_eq(json_str(json_member(port, "protocol")), json_str(json_member(&ports->items[j], "protocol"))))
                causes_add(causes, CAUSE_DUPLICATE, at, "Duplicate value: {\"port\":%lld,\"protocol\":\"" STR_FMT "\"}",
                           (long long)number, STR_ARG(json_str(json_member(port, "protocol"))));
        }
    }
}

static void validate_create(struct request *request, const struct json *service, struct causes *causes)
{
    const struct json *ports = json_at(service, "spec.ports");
    bool headless = str_is(json_str_at(service, "spec.clusterIP"), "None");

    (void)request;
    check_labels(causes, STR("spec.selector"), json_at(service, "spec.selector"));
    if (is_type(service, "ExternalName")) {
        struct str name = json_str_at(service, "spec.externalName");

        if (str_empty(name))
            add_required(causes, STR("spec.externalName"), "");
        else
            check_name(causes, STR("spec.externalName"), NAME_SUBDOMAIN,
                       str_has_suffix(name, STR(".")) ? str_chop(name, 1) : name);
        if (!str_empty(json_str_at(service, "spec.clusterIP")))
            add_forbidden(causes, STR("spec.clusterIPs"), "may not be set when `type` is 'ExternalName'");
    } else if (!headless && !(json_is(ports, JSON_ARRAY) && ports->count)) {
        add_required(causes, STR("spec.ports"), "");
    }
    if (headless && (is_type(service, "NodePort") || is_type(service, "LoadBalancer")))
        add_invalid(causes, STR("spec.clusterIPs[0]"), json_at(service, "spec.clusterIP"),
                    is_type(service, "NodePort") ? "may not be set to 'None' for NodePort services"
                                                 : "may not be set to 'None' for LoadBalancer services");
    check_ports(causes, service);
}

static void validate_update(struct request *request, const struct json *service, const struct json *old,
                            struct causes *causes)
{
    struct str now = json_str_at(service, "spec.clusterIP"), before = json_str_at(old, "spec.clusterIP");

    validate_create(request, service, causes);
    if (is_type(service, "ExternalName") || is_type(old, "ExternalName") || str_empty(before) || str_eq(now, before))
        return;
    causes_add(causes, CAUSE_INVALID, STR("spec.clusterIPs[0]"),
               "Invalid value: [\"" STR_FMT "\"]: may not change once set", STR_ARG(now));
}

const struct rules service_rules = {
    .resource = &RESOURCE_SERVICES,
    .name_form = NAME_DNS1035,
    .flags = RULE_NO_GENERATION,
    .prepare_update = prepare_update,
    .default_ = default_service,
    .validate_create = validate_create,
    .validate_update = validate_update,
    .transact = service_transact,
};
