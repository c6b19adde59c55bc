/* bootstrap.c - what a new cluster has: four namespaces, the service "kubernetes" and its endpoints. Idempotent. */
#include "api/resources.h"
#include "apiserver/custom.h"
#include "apiserver/server.h"

static int create(struct client *client, const struct resource *resource, struct str ns, struct str body,
                  struct err *err)
{
    struct client_call call = {
        .verb = CLIENT_CREATE, .resource = resource, .ns = ns, .body = body, .rule = STR_INIT("bootstrap")
    };
    int code = client->ops->call(client, &call, NULL, NULL, NULL, NULL, err);

    if (code == -ERR_ALREADY_EXISTS) {
        err_clear(err);
        return 0;
    }
    return code;
}

static int create_service(struct apiserver *server, struct client *client, int port, struct err *err)
{
    uint32_t ip = server->service_net + 1;
    const struct client_call present = {
        .verb = CLIENT_GET, .resource = &RESOURCE_SERVICES, .ns = STR_INIT("default"), .name = STR_INIT("kubernetes")
    };
    AUTO_DEINIT(buf, body) = BUF_INIT;
    AUTO(blob) found = NULL;

    /* Creating it anew would be refused for its address, which is taken: by itself. */
    if (client->ops->call(client, &present, NULL, NULL, NULL, &found, NULL) == 0)
        return 0;
    buf_printf(&body,
               "{\"apiVersion\":\"v1\",\"kind\":\"Service\",\"metadata\":{\"name\":\"kubernetes\",\"labels\":"
               "{\"component\":\"apiserver\",\"provider\":\"kubernetes\"}},\"spec\":{\"clusterIP\":\"%u.%u.%u.%u\","
               "\"ports\":[{\"name\":\"https\",\"port\":443,\"targetPort\":%d}]}}",
               ip >> 24, ip >> 16 & 255, ip >> 8 & 255, ip & 255, port);
    int code = create(client, &RESOURCE_SERVICES, STR("default"), buf_str(&body), err);

    /* Another server of the cluster may have made it meanwhile. */
    if (code < 0 && client->ops->call(client, &present, NULL, NULL, NULL, &found, NULL) == 0) {
        err_clear(err);
        return 0;
    }
    return code;
}

/* Written anew at each start: the address may have changed. Where several servers share the store the one that leads
 * sees to it (servers.c); here they are only made. */
static int put_endpoints(struct apiserver *server, struct client *client, struct str advertise, int port,
                         struct err *err)
{
    const struct client_call present = { .verb = CLIENT_GET,
                                         .resource = &RESOURCE_DISCOVERY_K8S_IO_ENDPOINTSLICES,
                                         .ns = STR_INIT("default"),
                                         .name = STR_INIT("kubernetes") };
    bool v6 = str_chr(advertise, ':') >= 0;
    char address[SERVER_ADDRESS_MAX];
    AUTO(blob) found = NULL;

    if (store_is_shared(server->options.store) &&
        client->ops->call(client, &present, NULL, NULL, NULL, &found, NULL) == 0)
        return 0;
    snprintf(address, sizeof address, v6 ? "[" STR_FMT "]:%d" : STR_FMT ":%d", STR_ARG(advertise), port);
    return servers_write(client, &(struct str){ address, strlen(address) }, 1, err);
}

int apiserver_bootstrap(struct apiserver *server, struct str advertise, int port, struct err *err)
{
    static const char *const namespaces[] = { "default", "kube-system", "kube-public", "kube-node-lease" };
    AUTO(client) client = NULL;
    int code;

    if ((code = apiserver_local_client(server, STR("system:apiserver"), &client, err)) < 0)
        return code;
    for (size_t i = 0; i < ARRAY_LEN(namespaces); i++) {
        AUTO_DEINIT(buf, body) = BUF_INIT;

        buf_printf(&body, "{\"apiVersion\":\"v1\",\"kind\":\"Namespace\",\"metadata\":{\"name\":\"%s\"}}",
                   namespaces[i]);
        if ((code = create(client, &RESOURCE_NAMESPACES, STR_NULL, buf_str(&body), err)) < 0)
            return err_wrap(err, code, "creating namespace %s", namespaces[i]);
    }
    if ((code = create_service(server, client, port, err)) < 0)
        return err_wrap(err, code, "creating service kubernetes");
    if (!str_empty(advertise) && (code = put_endpoints(server, client, advertise, port, err)) < 0)
        return err_wrap(err, code, "writing the endpoints of service kubernetes");
    customs_resume(server->customs);
    atomic_store(&server->bootstrapped, true);
    return 0;
}
