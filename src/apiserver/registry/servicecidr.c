/* servicecidr.c - networks of services, and the addresses taken from them. */
#include "api/resources.h"
#include "apiserver/registry/place.h"
#include "apiserver/registry/rules.h"

static void check_cidrs(const struct place *cidrs)
{
    struct ip_net a, b;

    if (!place_count(cidrs)) {
        say_required(cidrs, "at least one CIDR required");
        return;
    }
    if (place_count(cidrs) > 2) {
        say_invalid(cidrs, "may only hold up to 2 values");
        return;
    }
    place_each (cidr, cidrs)
        check_canonical_cidr(&cidr);
    if (place_count(cidrs) == 2 && ip_net_parse(json_str(&cidrs->json->items[0]), &a) &&
        ip_net_parse(json_str(&cidrs->json->items[1]), &b) && a.ip.v6 == b.ip.v6)
        say_invalid(cidrs, "may specify no more than one IP for each IP family, i.e 192.168.0.0/24 and 2001:db8::/64");
}

static void validate_servicecidr(struct request *request, const struct json *object, struct causes *causes)
{
    struct place cidrs = place_named(causes, "spec.cidrs", json_at(object, "spec.cidrs"));

    (void)request;
    check_cidrs(&cidrs);
}

/* A network may get a second one, of the other family; else nothing changes. */
static void validate_servicecidr_update(struct request *request, const struct json *object, const struct json *old,
                                        struct causes *causes)
{
    struct place now = place_named(causes, "spec.cidrs", json_at(object, "spec.cidrs"));
    struct place before = place_named(causes, "spec.cidrs", json_at(old, "spec.cidrs"));
    bool grows = place_count(&before) == 1 && place_count(&now) == 2;

    (void)request;
    if (!grows && place_count(&now) != place_count(&before)) {
        say_invalid(&now, "field is immutable");
        return;
    }
    place_each (cidr, &before) {
        struct place same = place_item(&now, cidr.index);

        check_same(&same, cidr.json);
    }
    if (grows)
        check_cidrs(&now);
}

static void validate_ipaddress(struct request *request, const struct json *object, struct causes *causes)
{
    struct place name = place_named(causes, "metadata.name", json_at(object, "metadata.name"));

    (void)request;
    check_canonical_ip(&name);
}

const struct rules servicecidr_rules = {
    .resource = &RESOURCE_NETWORKING_K8S_IO_SERVICECIDRS,
    .flags = RULE_NO_GENERATION,
    .validate_create = validate_servicecidr,
    .validate_update = validate_servicecidr_update,
};
const struct rules ipaddress_rules = {
    .resource = &RESOURCE_NETWORKING_K8S_IO_IPADDRESSES,
    .name_form = NAME_PATH_SEGMENT,
    .flags = RULE_NO_GENERATION,
    .validate_create = validate_ipaddress,
};
