/* endpointslice.c - endpoint slices: what kind of addresses they hold never changes. */
#include "api/resources.h"
#include "apiserver/registry/rules.h"

static int default_endpointslice(struct request *request, struct json *slice, struct err *err)
{
    struct json *ports = json_member(slice, "ports");

    for (uint32_t i = 0; json_is(ports, JSON_ARRAY) && i < ports->count; i++) {
        struct json *port = &ports->items[i];

        if (!default_str(request->arena, port, "protocol", "TCP") ||
            (!json_member(port, "name") && !json_set_str(request->arena, port, STR("name"), STR(""))))
            return out_of_memory(err);
    }
    return 0;
}

static void validate_endpointslice_update(struct request *request, const struct json *slice, const struct json *old,
                                          struct causes *causes)
{
    (void)request;
    check_immutable(causes, STR("addressType"), json_member(slice, "addressType"), json_member(old, "addressType"));
}

const struct rules endpointslice_rules = {
    .resource = &RESOURCE_DISCOVERY_K8S_IO_ENDPOINTSLICES,
    .default_ = default_endpointslice,
    .validate_update = validate_endpointslice_update,
};
