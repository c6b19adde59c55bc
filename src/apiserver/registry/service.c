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

static bool ingress_default(struct arena *arena, struct json *ingress)
{
    for (uint32_t i = 0; i < items_of(ingress); i++)
        if (!str_empty(text_in(&ingress->items[i], "ip")) && !default_str(arena, &ingress->items[i], "ipMode", "VIP"))
            return false;
    return true;
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
    if (ok && (is_type(service, "NodePort") || is_type(service, "LoadBalancer") ||
               (is_type(service, "ClusterIP") && items_of(json_member(spec, "externalIPs")))))
        ok = default_str(arena, spec, "externalTrafficPolicy", "Cluster");
    if (ok && is_type(service, "LoadBalancer"))
        ok = default_bool(arena, spec, "allocateLoadBalancerNodePorts", true);
    ok = ok && ingress_default(arena, json_at(service, "status.loadBalancer.ingress"));
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

/* What only load balancers have goes with the type, unless it was changed too. */
static void drop_balancer(const struct json *service, const struct json *old, struct json *spec)
{
    static const char *const members[] = { "allocateLoadBalancerNodePorts", "loadBalancerClass",
                                           "healthCheckNodePort" };

    if (is_type(service, "LoadBalancer") || !is_type(old, "LoadBalancer"))
        return;
    for (size_t i = 0; i < ARRAY_LEN(members); i++)
        if (json_same(json_get(spec, str_from(members[i])), json_get(json_member(old, "spec"), str_from(members[i]))))
            json_remove(spec, str_from(members[i]));
}

/* A caller who changes clusterIP alone means the first of clusterIPs too. */
static bool follow_address(struct arena *arena, struct json *spec, const struct json *old)
{
    struct str now = text_in(spec, "clusterIP"), before = text_in(old, "clusterIP");
    struct json *ips = json_member(spec, "clusterIPs");
    struct json *value;

    if (str_eq(now, before) || !items_of(ips) || !json_same(ips, json_member(old, "clusterIPs")))
        return true;
    value = json_new_str(arena, now);
    ips = json_copy(arena, ips);
    if (!value || !ips)
        return false;
    ips->items[0] = *value;
    return json_set(arena, spec, STR("clusterIPs"), ips) != NULL;
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
    drop_balancer(service, old, spec);
    return follow_address(arena, spec, json_member(old, "spec")) ? 0 : out_of_memory(err);
}

/* -- checks: forms and ranges are in the table -- */

static bool is_headless(const struct json *service)
{
    const struct json *ips = json_at(service, "spec.clusterIPs");

    return items_of(ips) == 1 && str_is(json_str(&ips->items[0]), "None");
}

static const struct path *spec_path(void)
{
    static const struct path spec = { NULL, &type_any, STR_INIT("spec"), 0 };

    return &spec;
}

static bool same_port(const struct json *a, const struct json *b, const char *member)
{
    return json_int(json_get(a, str_from(member)), 0) == json_int(json_get(b, str_from(member)), 0) &&
           str_eq(text_in(a, "protocol"), text_in(b, "protocol"));
}

/* An earlier port of the list has the same number and protocol. */
static bool port_taken(const struct json *ports, uint32_t at, const char *member)
{
    for (uint32_t i = 0; i < at; i++)
        if (same_port(&ports->items[i], &ports->items[at], member))
            return true;
    return false;
}

static void check_ports(struct causes *causes, const struct json *service)
{
    const struct json *ports = json_at(service, "spec.ports");
    struct path *list = AT(spec_path(), "ports");

    if (!items_of(ports) && !is_headless(service) && !is_type(service, "ExternalName"))
        cause_required(causes, list, "");
    for (uint32_t i = 0; i < items_of(ports); i++) {
        const struct json *port = &ports->items[i], *node_port = json_member(port, "nodePort");
        struct path at = path_index(list, i);

        if (ports->count > 1 && str_empty(text_in(port, "name")))
            cause_required(causes, AT(&at, "name"), "");
        if (text_seen_before(ports, i, "name"))
            cause_duplicate_str(causes, AT(&at, "name"), text_in(port, "name"));
        if (json_int(node_port, 0) && is_type(service, "ClusterIP"))
            cause_forbidden(causes, AT(&at, "nodePort"), "may not be used when `type` is 'ClusterIP'");
        if (json_int(node_port, 0) && port_taken(ports, i, "nodePort"))
            cause_duplicate(causes, AT(&at, "nodePort"), node_port);
        if (port_taken(ports, i, "port"))
            cause_at(causes, CAUSE_DUPLICATE, &at, "Duplicate value: {\"port\":%lld,\"protocol\":\"" STR_FMT "\"}",
                     (long long)json_int(json_member(port, "port"), 0), STR_ARG(text_in(port, "protocol")));
    }
}

static void check_type(struct causes *causes, const struct json *service)
{
    struct str name = json_str_at(service, "spec.externalName");
    struct path *first = NTH(AT(spec_path(), "clusterIPs"), 0);

    if (is_headless(service) && is_type(service, "LoadBalancer"))
        cause_invalid_str(causes, first, STR("None"), "may not be set to 'None' for LoadBalancer services");
    if (is_headless(service) && is_type(service, "NodePort"))
        cause_invalid_str(causes, first, STR("None"), "may not be set to 'None' for NodePort services");
    if (!is_type(service, "ExternalName"))
        return;
    if (items_of(json_at(service, "spec.clusterIPs")) || !str_empty(json_str_at(service, "spec.clusterIP")))
        cause_forbidden(causes, AT(spec_path(), "clusterIPs"), "may not be set for ExternalName services");
    if (items_of(json_at(service, "spec.ipFamilies")))
        cause_forbidden(causes, AT(spec_path(), "ipFamilies"), "may not be set for ExternalName services");
    if (json_at(service, "spec.ipFamilyPolicy"))
        cause_forbidden(causes, AT(spec_path(), "ipFamilyPolicy"), "may not be set for ExternalName services");
    name = str_has_suffix(name, STR(".")) ? str_chop(name, 1) : name;
    if (str_empty(name))
        cause_required(causes, AT(spec_path(), "externalName"), "");
    else
        cause_format(causes, AT(spec_path(), "externalName"), FORMAT_SUBDOMAIN, name);
}

static void check_affinity(struct causes *causes, const struct json *service)
{
    const struct json *config = json_at(service, "spec.sessionAffinityConfig");
    const struct json *timeout = json_at(config, "clientIP.timeoutSeconds");
    struct str affinity = json_str_at(service, "spec.sessionAffinity");
    struct path *at = AT(spec_path(), "sessionAffinityConfig");

    if (str_is(affinity, "None") && config)
        cause_forbidden(causes, at, "must not be set when session affinity is None");
    if (str_is(affinity, "ClientIP") && (json_int(timeout, 0) <= 0 || json_int(timeout, 0) > 86400))
        cause_invalid(causes, AT(AT(at, "clientIP"), "timeoutSeconds"), timeout,
                      "must be greater than 0 and less than 86400");
}

/* clusterIP, clusterIPs and ipFamilies say the same. */
static void check_addresses(struct causes *causes, const struct json *service)
{
    const struct json *ips = json_at(service, "spec.clusterIPs"), *families = json_at(service, "spec.ipFamilies");
    struct str ip = json_str_at(service, "spec.clusterIP");
    struct path *at = AT(spec_path(), "clusterIPs");
    bool valid = true;

    if (!str_empty(ip) && items_of(ips) && !str_eq(json_str(&ips->items[0]), ip))
        cause_invalid(causes, at, ips, "first value must match `clusterIP`");
    for (uint32_t i = 0; i < items_of(families); i++)
        for (uint32_t j = 0; j < i; j++)
            if (json_equal(&families->items[i], &families->items[j]))
                cause_duplicate(causes, NTH(AT(spec_path(), "ipFamilies"), i), &families->items[i]);
    for (uint32_t i = 0; i < items_of(ips); i++) {
        if (i == 0 && str_is(json_str(&ips->items[0]), "None")) {
            if (ips->count > 1)
                cause_invalid(causes, at, ips, "'None' must be the first and only value");
            valid = valid && ips->count == 1;
            continue;
        }
        valid = cause_format(causes, NTH(at, i), FORMAT_IP, json_str(&ips->items[i])) && valid;
    }
    if (items_of(ips) > 2)
        cause_invalid(causes, at, ips, "may only hold up to 2 values");
    if (valid && items_of(ips) > 1 &&
        text_ip_family(json_str(&ips->items[0])) == text_ip_family(json_str(&ips->items[1])))
        cause_invalid(causes, at, ips, "may specify no more than one IP for each IP family");
    for (uint32_t i = 0; valid && !is_headless(service) && i < items_of(ips) && i < items_of(families); i++) {
        int wanted = str_is(json_str(&families->items[i]), "IPv6") ? 6 : 4;

        if (text_ip_family(json_str(&ips->items[i])) != wanted)
            cause_at(causes, CAUSE_INVALID, NTH(at, i),
                     "Invalid value: \"" STR_FMT "\": expected an IPv%d value as indicated by `ipFamilies[%u]`",
                     STR_ARG(json_str(&ips->items[i])), wanted, i);
    }
}

static void check_load_balancer(struct causes *causes, const struct json *service)
{
    const struct json *class = json_at(service, "spec.loadBalancerClass");
    const struct json *ranges = json_at(service, "spec.loadBalancerSourceRanges");
    struct path *at = AT(spec_path(), "LoadBalancerSourceRanges");
    bool balanced = is_type(service, "LoadBalancer");

    if (items_of(ranges) && !balanced)
        cause_forbidden(causes, at, "may only be used when `type` is 'LoadBalancer'");
    for (uint32_t i = 0; i < items_of(ranges); i++)
        cause_format(causes, NTH(at, i), FORMAT_CIDR, str_trim(json_str(&ranges->items[i])));
    if (json_at(service, "spec.allocateLoadBalancerNodePorts") && !balanced)
        cause_forbidden(causes, AT(spec_path(), "allocateLoadBalancerNodePorts"),
                        "may only be used when `type` is 'LoadBalancer'");
    if (class && !balanced)
        cause_forbidden(causes, AT(spec_path(), "loadBalancerClass"), "may only be used when `type` is 'LoadBalancer'");
    else if (class)
        cause_format(causes, AT(spec_path(), "loadBalancerClass"), FORMAT_KEY, json_str(class));
}

static void check_traffic(struct causes *causes, const struct json *service)
{
    static const char *const distributions[] = { "PreferClose", NULL };
    const struct json *policy = json_at(service, "spec.externalTrafficPolicy");
    const struct json *port = json_at(service, "spec.healthCheckNodePort");
    const struct json *distribution = json_at(service, "spec.trafficDistribution");
    bool outside = is_type(service, "LoadBalancer") || is_type(service, "NodePort") ||
                   (is_type(service, "ClusterIP") && items_of(json_at(service, "spec.externalIPs")));

    if (policy && !outside)
        cause_invalid(causes, AT(spec_path(), "externalTrafficPolicy"), policy,
                      "may only be set for externally-accessible services");
    if (json_int(port, 0) && !(is_type(service, "LoadBalancer") && str_is(json_str(policy), "Local")))
        cause_invalid(causes, AT(spec_path(), "healthCheckNodePort"), port,
                      "may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'");
    if (distribution && !str_is(json_str(distribution), "PreferClose"))
        cause_not_supported(causes, AT(spec_path(), "trafficDistribution"), json_str(distribution), distributions);
}

static void validate_create(struct request *request, const struct json *service, struct causes *causes)
{
    const struct json *external = json_at(service, "spec.externalIPs");

    (void)request;
    check_type(causes, service);
    check_ports(causes, service);
    check_affinity(causes, service);
    if (!is_type(service, "ExternalName"))
        check_addresses(causes, service);
    for (uint32_t i = 0; i < items_of(external); i++)
        check_endpoint_ip(causes, NTH(AT(spec_path(), "externalIPs"), i), json_str(&external->items[i]));
    check_load_balancer(causes, service);
    check_traffic(causes, service);
}

/* Addresses and families stay, but for services that have none. */
static void check_kept(struct causes *causes, const struct path *at, const struct json *now, const struct json *before,
                       bool first_only)
{
    for (uint32_t i = 0; i < items_of(now) && i < items_of(before); i++)
        if (!json_equal(&now->items[i], &before->items[i]))
            cause_invalid(causes, NTH(at, first_only ? 0 : i), now, "may not change once set");
}

static void validate_update(struct request *request, const struct json *service, const struct json *old,
                            struct causes *causes)
{
    bool headless = is_headless(service), was_headless = is_headless(old);
    const struct json *class = json_at(service, "spec.loadBalancerClass");

    validate_create(request, service, causes);
    if (is_type(service, "LoadBalancer") && is_type(old, "LoadBalancer") &&
        !json_same(class, json_at(old, "spec.loadBalancerClass")))
        cause_invalid(causes, AT(spec_path(), "loadBalancerClass"), class, "may not change once set");
    if (is_type(service, "ExternalName") || is_type(old, "ExternalName"))
        return;
    if (!headless || !was_headless)
        check_kept(causes, AT(spec_path(), "clusterIPs"), json_at(service, "spec.clusterIPs"),
                   json_at(old, "spec.clusterIPs"), false);
    if (!headless && !was_headless)
        check_kept(causes, AT(spec_path(), "ipFamilies"), json_at(service, "spec.ipFamilies"),
                   json_at(old, "spec.ipFamilies"), true);
}

/* What a load balancer says of itself. */
static void validate_status(struct request *request, const struct json *service, const struct json *old,
                            struct causes *causes)
{
    static const char *const modes[] = { "Proxy", "VIP", NULL };
    const struct json *ingress = json_at(service, "status.loadBalancer.ingress");
    struct path *list = AT(AT(AT(NULL, "status"), "loadBalancer"), "ingress");

    (void)request;
    (void)old;
    if (items_of(ingress) && !is_type(service, "LoadBalancer")) {
        cause_forbidden(causes, list, "may only be used when `spec.type` is 'LoadBalancer'");
        return;
    }
    for (uint32_t i = 0; i < items_of(ingress); i++) {
        struct str ip = text_in(&ingress->items[i], "ip"), host = text_in(&ingress->items[i], "hostname");
        struct str mode = text_in(&ingress->items[i], "ipMode");
        struct path at = path_index(list, i);

        if (!str_empty(ip))
            cause_format(causes, AT(&at, "ip"), FORMAT_IP, ip);
        if (!str_empty(mode) && str_empty(ip))
            cause_forbidden(causes, AT(&at, "ipMode"), "may not be specified when `ip` is not set");
        else if (!str_empty(mode) && !str_is(mode, "VIP") && !str_is(mode, "Proxy"))
            cause_not_supported(causes, AT(&at, "ipMode"), mode, modes);
        if (!str_empty(host))
            cause_format(causes, AT(&at, "hostname"), FORMAT_SUBDOMAIN, host);
        if (text_ip_family(host))
            cause_invalid_str(causes, AT(&at, "hostname"), host, "must be a DNS name, not an IP address");
    }
}

const struct rules service_rules = {
    .resource = &RESOURCE_SERVICES,
    .name_form = NAME_DNS1035,
    .flags = RULE_NO_GENERATION,
    .prepare_update = prepare_update,
    .default_ = default_service,
    .validate_create = validate_create,
    .validate_update = validate_update,
    .validate_status = validate_status,
    .transact = service_transact,
};
