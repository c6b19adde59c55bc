/* agent.c - from a pod to its node's agent: the address that the node's status names, and the port of its daemon. */
#include "apiserver/agent.h"

#include "api/resources.h"
#include "apiserver/decode.h"
#include "apiserver/server.h"
#include "apiserver/write.h"

/* Names of one list, in order; true: the wanted one is among them. */
static bool add_names(const struct json *pod, const char *list, struct str want, struct buf *names)
{
    const struct json *containers = json_get(json_member(pod, "spec"), str_from(list));
    bool found = false;

    for (uint32_t i = 0; json_is(containers, JSON_ARRAY) && i < containers->count; i++) {
        struct str name = json_str(json_member(&containers->items[i], "name"));

        found = found || str_eq(name, want);
        buf_printf(names, "%s" STR_FMT, names->len ? " " : "", STR_ARG(name));
    }
    return found;
}

/* The container asked for, or the only one there is. */
static int choose_container(struct request *request, const struct json *pod, struct str *ret_container, struct err *err)
{
    static const char *const lists[] = { "initContainers", "containers", "ephemeralContainers" };
    struct str want = request_param(request, "container");
    const struct json *containers = json_at(pod, "spec.containers");
    AUTO_DEINIT(buf, names) = BUF_INIT;
    struct str annotated =
        json_str(json_get(json_at(pod, "metadata.annotations"), STR("kubectl.kubernetes.io/default-container")));
    bool found = false;

    if (str_empty(want) && !str_empty(annotated))
        want = annotated;
    if (str_empty(want) && json_is(containers, JSON_ARRAY) && containers->count == 1)
        want = json_str(json_member(&containers->items[0], "name"));
    for (size_t i = 0; i < ARRAY_LEN(lists); i++)
        found = add_names(pod, lists[i], want, &names) || found;
    if (found) {
        *ret_container = want;
        return 0;
    }
    if (!str_empty(want))
        return fail_bad_request(request, err, "container " STR_FMT " is not valid for pod " STR_FMT, STR_ARG(want),
                                STR_ARG(request->info.name));
    return fail_bad_request(request, err,
                            "a container name must be specified for pod " STR_FMT ", choose one of: [" STR_FMT "]",
                            STR_ARG(request->info.name), STR_ARG(buf_str(&names)));
}

int agent_address(struct request *request, struct str node_name, struct str *ret_host, int64_t *ret_port,
                  struct err *err)
{
    struct write reader = { .request = request };
    struct str key =
        arena_printf(request->arena, STR_FMT STR_FMT, STR_ARG(RESOURCE_NODES.store_prefix), STR_ARG(node_name));
    const struct json *addresses;
    struct json *node = NULL;
    revision_t revision;
    int code;

    if ((code = write_read(&reader, key, &node, NULL, &revision, err)) < 0)
        return code;
    if (!node)
        return err_set(err, ERR_NOT_FOUND, "nodes \"" STR_FMT "\" not found", STR_ARG(node_name));
    addresses = json_at(node, "status.addresses");
    *ret_port = json_int(json_at(node, "status.daemonEndpoints.kubeletEndpoint.Port"), 10250);
    for (uint32_t i = 0; json_is(addresses, JSON_ARRAY) && i < addresses->count; i++) {
        if (!str_is(json_str(json_member(&addresses->items[i], "type")), "InternalIP"))
            continue;
        *ret_host = json_str(json_member(&addresses->items[i], "address"));
        if (!str_empty(*ret_host))
            return 0;
    }
    return err_set(err, ERR_UNAVAILABLE, "node \"" STR_FMT "\" has no InternalIP address", STR_ARG(node_name));
}

int agent_find(struct request *request, bool container, struct agent_target *ret_target, struct err *err)
{
    struct write reader = { .request = request };
    struct agent_target target = { 0 };
    struct json *pod = NULL;
    revision_t revision;
    int code;

    code = write_read(&reader, request_key(request, request->info.ns, request->info.name), &pod, NULL, &revision, err);
    if (code < 0)
        return code;
    if (!pod)
        return fail_not_found(request, request->info.name, err);
    if (container && (code = choose_container(request, pod, &target.container, err)) < 0)
        return code;
    target.node = json_str_at(pod, "spec.nodeName");
    if (!str_empty(target.node) && (code = agent_address(request, target.node, &target.host, &target.port, err)) < 0)
        return code;
    *ret_target = target;
    return 0;
}
