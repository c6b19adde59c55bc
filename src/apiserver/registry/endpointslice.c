/* endpointslice.c - endpoint slices: addresses of one type, ports, and hints. */
#include "api/resources.h"
#include "apiserver/registry/place.h"
#include "apiserver/registry/rules.h"

#define TOPOLOGY_MAX 16

/* Topology was of an older version: it is not taken any more, only kept. */
static void drop_topology(struct json *object, const struct json *old)
{
    struct json *endpoints = json_member(object, "endpoints");
    const struct json *before = json_member(old, "endpoints");

    for (uint32_t i = 0; json_is(before, JSON_ARRAY) && i < before->count; i++)
        if (json_member(&before->items[i], "deprecatedTopology"))
            return;
    for (uint32_t i = 0; json_is(endpoints, JSON_ARRAY) && i < endpoints->count; i++)
        json_remove(&endpoints->items[i], STR("deprecatedTopology"));
}

static int prepare_create(struct request *request, struct json *object, struct err *err)
{
    (void)request;
    (void)err;
    drop_topology(object, NULL);
    return 0;
}

static int prepare_update(struct request *request, struct json *object, const struct json *old, struct err *err)
{
    (void)request;
    (void)err;
    drop_topology(object, old);
    return 0;
}

/* Addresses that mean something else on every machine. The server itself may have to name its own. */
static void check_ordinary(const struct place *at, const struct ip *ip)
{
    char text[IP_TEXT_MAX];

    if (ip_is_unspecified(ip))
        say_invalid(at, "may not be unspecified (" STR_FMT ")", STR_ARG(ip_text(ip, text)));
    if (ip_is_loopback(ip))
        say_invalid(at, "may not be in the loopback range (127.0.0.0/8, ::1/128)");
    if (ip_is_link_local(ip))
        say_invalid(at, "may not be in the link-local range (169.254.0.0/16, fe80::/10)");
    if (ip_is_link_local_multicast(ip))
        say_invalid(at, "may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)");
}

static void check_address_ip(const struct place *at, bool v6, bool trusted)
{
    struct ip ip;
    bool parsed = ip_parse(place_str(at), &ip);

    if (!parsed || ip.v6 != v6)
        say_invalid_as(at, place_str(at), v6 ? "must be a valid IPv6 address" : "must be a valid IPv4 address");
    if (!parsed)
        say_invalid_as(at, place_str(at), "must be a valid IP address");
    else if (!trusted)
        check_ordinary(at, &ip);
}

/* A host of at least two labels, with or without a dot at the end. */
static void check_domain(const struct place *at)
{
    struct str name = place_str(at), part;
    const char *problem;

    if (str_empty(name)) {
        say_required(at, "");
        return;
    }
    if (str_has_suffix(name, STR(".")))
        name = str_chop(name, 1);
    if ((problem = form_problem(NAME_SUBDOMAIN, name))) {
        say_invalid_as(at, name, "%s", problem);
        return;
    }
    if (str_chr(name, '.') < 0) {
        say_invalid_as(at, name, "should be a domain with at least two segments separated by dots");
        return;
    }
    while (str_split(&name, '.', &part))
        if ((problem = form_problem(NAME_LABEL, part)))
            say_invalid_as(at, part, "%s", problem);
}

static void check_names(const struct place *list)
{
    place_each (each, list) {
        struct place name = place_member(&each, "name");

        for (uint32_t i = place_lookback(&each); i < each.index; i++)
            if (str_eq(place_str(&name), json_str(json_member(&list->json->items[i], "name")))) {
                say_duplicate(&name);
                break;
            }
    }
}

static void check_endpoint(const struct place *at, struct str type, bool trusted)
{
    struct place addresses = place_member(at, "addresses"), topology = place_member(at, "deprecatedTopology");
    struct place hints = place_member(at, "hints"), zones = place_member(&hints, "forZones");
    struct place nodes = place_member(&hints, "forNodes");

    if (!place_count(&addresses))
        say_required(&addresses, "must contain at least 1 address");
    place_each (address, &addresses) {
        if (str_is(type, "IPv4") || str_is(type, "IPv6"))
            check_address_ip(&address, str_is(type, "IPv6"), trusted);
        else if (str_is(type, "FQDN"))
            check_domain(&address);
    }
    if (place_count(&topology) > TOPOLOGY_MAX)
        say_too_many(&topology, TOPOLOGY_MAX);
    check_names(&zones);
    check_names(&nodes);
}

static void check_ports(const struct place *ports)
{
    place_each (port, ports) {
        struct place name = place_member(&port, "name");

        for (uint32_t i = place_lookback(&port); i < port.index; i++)
            if (str_eq(place_str(&name), json_str(json_member(&ports->json->items[i], "name")))) {
                say_duplicate(&name);
                break;
            }
    }
}

static void validate(struct request *request, const struct json *object, struct causes *causes)
{
    struct place slice = place_object(causes, object), endpoints = place_member(&slice, "endpoints");
    struct place ports = place_member(&slice, "ports"), type = place_member(&slice, "addressType");

    place_each (endpoint, &endpoints)
        check_endpoint(&endpoint, place_str(&type), request->local);
    check_ports(&ports);
}

static void validate_update(struct request *request, const struct json *object, const struct json *old,
                            struct causes *causes)
{
    (void)old;
    validate(request, object, causes);
}

const struct rules endpointslice_rules = {
    .resource = &RESOURCE_DISCOVERY_K8S_IO_ENDPOINTSLICES,
    .prepare_create = prepare_create,
    .prepare_update = prepare_update,
    .validate_create = validate,
    .validate_update = validate_update,
};
