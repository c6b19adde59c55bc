/* networkpolicy.c - network policies: who may talk to whom. */
#include "api/resources.h"
#include "apiserver/registry/place.h"
#include "apiserver/registry/rules.h"

/* Without policyTypes a policy rules what comes in, and what goes out when it speaks of it. */
static int default_policy(struct request *request, struct json *object, struct err *err)
{
    struct arena *arena = request->arena;
    struct json *spec = json_ensure(arena, object, STR("spec"), JSON_OBJECT), *types;
    const struct json *egress = json_member(spec, "egress");

    types = spec ? json_ensure(arena, spec, STR("policyTypes"), JSON_ARRAY) : NULL;
    if (!types)
        return out_of_memory(err);
    if (types->count)
        return 0;
    if (!json_append(arena, types, json_new_str(arena, STR("Ingress"))))
        return out_of_memory(err);
    egress = json_member(spec, "egress");
    if (json_is(egress, JSON_ARRAY) && egress->count && !json_append(arena, types, json_new_str(arena, STR("Egress"))))
        return out_of_memory(err);
    return 0;
}

static void check_port(const struct place *at)
{
    struct place port = place_member(at, "port"), end = place_member(at, "endPort");

    if (!place_there(&port)) {
        if (place_there(&end))
            say_invalid(&end, "may not be specified when `port` is not specified");
    } else if (json_is(port.json, JSON_STRING)) {
        if (place_there(&end))
            say_invalid(&end, "may not be specified when `port` is non-numeric");
    } else {
        if (place_there(&end) && place_int(&end) < place_int(&port))
            say_invalid(&end, "must be greater than or equal to `port`");
        check_range(&end, 1, 65535, "must be between 1 and 65535, inclusive");
    }
}

static void check_block(const struct place *block)
{
    struct place cidr = place_member(block, "cidr"), except = place_member(block, "except");
    struct ip_net net, hole;

    if (place_empty(&cidr) || !check_cidr(&cidr, &net))
        return;
    place_each (each, &except)
        if (check_cidr(&each, &hole) && (!ip_net_contains(&net, &hole.ip) || net.bits >= hole.bits))
            say_invalid(&each, "must be a strict subset of `cidr`");
}

static void check_peer(const struct place *peer)
{
    struct place pods = place_member(peer, "podSelector"), spaces = place_member(peer, "namespaceSelector");
    struct place block = place_member(peer, "ipBlock");

    if (place_there(&block))
        check_block(&block);
    if (!place_there(&pods) && !place_there(&spaces) && !place_there(&block))
        say_required(peer, "must specify a peer");
    else if (place_there(&block) && (place_there(&pods) || place_there(&spaces)))
        say_forbidden(peer, "may not specify both ipBlock and another peer");
}

static void check_rules(const struct place *rules, const char *peers_name)
{
    place_each (rule, rules) {
        struct place ports = place_member(&rule, "ports"), peers = place_member(&rule, peers_name);

        place_each (port, &ports)
            check_port(&port);
        place_each (peer, &peers)
            check_peer(&peer);
    }
}

static void validate(struct request *request, const struct json *object, struct causes *causes)
{
    static const char *const types[] = { "Egress", "Ingress", NULL };
    struct place policy = place_object(causes, object), spec = place_member(&policy, "spec");
    struct place ingress = place_member(&spec, "ingress");
    struct place egress = place_member(&spec, "egress"), directions = place_member(&spec, "policyTypes");

    (void)request;
    check_rules(&ingress, "from");
    check_rules(&egress, "to");
    if (place_count(&directions) > 2) {
        say_invalid(&directions, "may not specify more than two policyTypes");
        return;
    }
    place_each (direction, &directions)
        check_one_of(&direction, types);
}

static void validate_update(struct request *request, const struct json *object, const struct json *old,
                            struct causes *causes)
{
    (void)old;
    validate(request, object, causes);
}

const struct rules networkpolicy_rules = {
    .resource = &RESOURCE_NETWORKING_K8S_IO_NETWORKPOLICIES,
    .default_ = default_policy,
    .validate_create = validate,
    .validate_update = validate_update,
};
