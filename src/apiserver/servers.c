#include "apiserver/servers.h"

#include <arpa/inet.h>
#include <stdlib.h>

#include "api/resources.h"
#include "apiserver/server.h"
#include "base/log.h"
#include "codec/json.h"

#define INTERVAL NSEC_PER_SEC
#define LIVES (4 * NSEC_PER_SEC) /* after its last word */
#define FIRST_ROUND (3 * NSEC_PER_SEC)
#define SLICES_MAX SERVERS_MAX

void peers_heard(struct peers *peers, struct str address, nsec_t now)
{
    LOCKED(&peers->lock);
    struct peer *oldest = &peers->items[0];

    if (address.len == 0 || address.len >= SERVER_ADDRESS_MAX)
        return;
    for (size_t i = 0; i < peers->count; i++) {
        struct peer *peer = &peers->items[i];

        if (str_eq(str_from(peer->address), address)) {
            peer->heard = now;
            return;
        }
        if (peer->heard < oldest->heard)
            oldest = peer;
    }
    struct peer *peer = peers->count < SERVERS_MAX ? &peers->items[peers->count++] : oldest;

    memcpy(peer->address, address.data, address.len);
    peer->address[address.len] = 0;
    peer->heard = now;
}

/* -- endpoints -- */

struct place {
    char ip[INET6_ADDRSTRLEN];
    bool v6;
    uint64_t port;
};

static bool place_parse(struct str address, struct place *place)
{
    ssize_t colon = str_rchr(address, ':');
    struct str ip = str_first(address, colon < 0 ? 0 : (size_t)colon);
    struct in6_addr parsed;

    if (ip.len > 2 && ip.data[0] == '[' && ip.data[ip.len - 1] == ']')
        ip = str_chop(str_skip(ip, 1), 1);
    if (colon < 0 || ip.len >= sizeof place->ip || !str_to_u64(str_skip(address, (size_t)colon + 1), &place->port) ||
        place->port < 1 || place->port > 65535)
        return false;
    memcpy(place->ip, ip.data, ip.len);
    place->ip[ip.len] = 0;
    place->v6 = inet_pton(AF_INET6, place->ip, &parsed) == 1;
    return place->v6 || inet_pton(AF_INET, place->ip, &parsed) == 1;
}

/* By family, then port: those of one kind share a slice. */
static int place_order(const void *a, const void *b)
{
    const struct place *left = a, *right = b;

    if (left->v6 != right->v6)
        return left->v6 ? 1 : -1;
    if (left->port != right->port)
        return left->port < right->port ? -1 : 1;
    return strcmp(left->ip, right->ip);
}

static size_t same_kind(const struct place *places, size_t count)
{
    size_t n = 1;

    while (n < count && places[n].v6 == places[0].v6 && places[n].port == places[0].port)
        n++;
    return n;
}

static int call(struct client *client, enum client_verb verb, const struct resource *resource, struct str name,
                struct str body, struct err *err)
{
    const struct client_call call = { .verb = verb,
                                      .resource = resource,
                                      .ns = STR_INIT("default"),
                                      .name = verb == CLIENT_CREATE ? STR_NULL : name,
                                      .body = body,
                                      .rule = STR_INIT("endpoints of the servers") };
    AUTO(blob) answer = NULL;

    return client->ops->call(client, &call, NULL, NULL, NULL, &answer, err);
}

static int write_endpoints(struct client *client, const struct place *places, size_t count, struct err *err)
{
    AUTO_DEINIT(buf, body) = BUF_INIT;

    buf_add_cstr(&body, "{\"apiVersion\":\"v1\",\"kind\":\"Endpoints\",\"metadata\":{\"name\":\"kubernetes\",\"labels\":"
                        "{\"endpointslice.kubernetes.io/skip-mirror\":\"true\"}},\"subsets\":[");
    for (size_t i = 0, n; i < count; i += n) {
        n = same_kind(places + i, count - i);
        buf_printf(&body, "%s{\"addresses\":[", i ? "," : "");
        for (size_t k = 0; k < n; k++)
            buf_printf(&body, "%s{\"ip\":\"%s\"}", k ? "," : "", places[i + k].ip);
        buf_printf(&body, "],\"ports\":[{\"name\":\"https\",\"port\":%llu,\"protocol\":\"TCP\"}]}",
                   (unsigned long long)places[i].port);
    }
    buf_add_cstr(&body, "]}");
    return call(client, CLIENT_UPDATE, &RESOURCE_ENDPOINTS, STR("kubernetes"), buf_str(&body), err);
}

/* The one there is keeps its name, so that nobody sees the service without any; one of another family cannot. */
static int write_slice(struct client *client, const char *name, const struct place *places, size_t count,
                       struct err *err)
{
    const struct resource *slices = &RESOURCE_DISCOVERY_K8S_IO_ENDPOINTSLICES;
    AUTO_DEINIT(buf, body) = BUF_INIT;
    int code;

    buf_printf(&body,
               "{\"apiVersion\":\"discovery.k8s.io/v1\",\"kind\":\"EndpointSlice\",\"metadata\":{\"name\":\"%s\","
               "\"labels\":{\"kubernetes.io/service-name\":\"kubernetes\"}},\"addressType\":\"%s\",\"endpoints\":[",
               name, places->v6 ? "IPv6" : "IPv4");
    for (size_t i = 0; i < count; i++)
        buf_printf(&body, "%s{\"addresses\":[\"%s\"],\"conditions\":{\"ready\":true}}", i ? "," : "", places[i].ip);
    buf_printf(&body, "],\"ports\":[{\"name\":\"https\",\"port\":%llu,\"protocol\":\"TCP\"}]}",
               (unsigned long long)places->port);
    code = call(client, CLIENT_UPDATE, slices, str_from(name), buf_str(&body), err);
    if (code == -ERR_INVALID)
        code = call(client, CLIENT_DELETE, slices, str_from(name), STR_NULL, err);
    else if (code != -ERR_NOT_FOUND)
        return code;
    if (code < 0 && code != -ERR_NOT_FOUND)
        return code;
    err_clear(err);
    return call(client, CLIENT_CREATE, slices, STR_NULL, buf_str(&body), err);
}

struct names {
    char items[SLICES_MAX][64];
    size_t count;
};

static bool has_name(const struct names *names, struct str name)
{
    for (size_t i = 0; i < names->count; i++)
        if (str_eq(str_from(names->items[i]), name))
            return true;
    return false;
}

struct leftover {
    const struct names *wanted;
    struct names found;
};

static int look_at_slice(void *arg, struct str text, struct err *err)
{
    struct leftover *leftover = arg;
    AUTO(arena) arena = arena_new(0);
    struct json *slice;
    int code = arena ? json_parse(arena, text, NULL, &slice, err) : err_set(err, ERR_NO_MEMORY, "endpoints");

    if (code < 0)
        return code;
    struct str name = json_str_at(slice, "metadata.name");

    if (!has_name(leftover->wanted, name) && leftover->found.count < SLICES_MAX &&
        name.len < sizeof leftover->found.items[0]) {
        char *copy = leftover->found.items[leftover->found.count++];

        memcpy(copy, name.data, name.len);
        copy[name.len] = 0;
    }
    return 0;
}

static int remove_others(struct client *client, const struct names *wanted, struct err *err)
{
    const struct resource *slices = &RESOURCE_DISCOVERY_K8S_IO_ENDPOINTSLICES;
    const struct client_call list = { .verb = CLIENT_LIST,
                                      .resource = slices,
                                      .ns = STR_INIT("default"),
                                      .label_selector = STR_INIT("kubernetes.io/service-name=kubernetes") };
    struct leftover leftover = { .wanted = wanted };
    int code = client->ops->call(client, &list, look_at_slice, &leftover, NULL, NULL, err);

    for (size_t i = 0; code == 0 && i < leftover.found.count; i++) {
        code = call(client, CLIENT_DELETE, slices, str_from(leftover.found.items[i]), STR_NULL, err);
        if (code == -ERR_NOT_FOUND) {
            err_clear(err);
            code = 0;
        }
    }
    return code;
}

int servers_write(struct client *client, const struct str *addresses, size_t count, struct err *err)
{
    struct place places[SERVERS_MAX + 1];
    struct names names = { 0 };
    size_t good = 0;
    int code;

    for (size_t i = 0; i < count && good < ARRAY_LEN(places); i++)
        good += place_parse(addresses[i], &places[good]);
    if (!good)
        return 0;
    qsort(places, good, sizeof *places, place_order);
    if ((code = write_endpoints(client, places, good, err)) < 0)
        return code;
    for (size_t i = 0, n; i < good && names.count < SLICES_MAX; i += n) {
        char *name = names.items[names.count++];

        n = same_kind(places + i, good - i);
        snprintf(name, sizeof names.items[0], i ? "kubernetes-%s-%llu" : "kubernetes", places[i].v6 ? "6" : "4",
                 (unsigned long long)places[i].port);
        if ((code = write_slice(client, name, places + i, n, err)) < 0)
            return code;
    }
    return remove_others(client, &names, err);
}

/* -- keeping them in line -- */

struct servers {
    struct apiserver *api;
    struct client *client;
    struct str self;
    struct buf written; /* the addresses; the rounds' own */
    bool troubled;
    struct mutex lock; /* of timer and stopping */
    struct executor_timer *timer;
    bool stopping;
};

static int address_order(const void *a, const void *b)
{
    return strcmp(((const struct peer *)a)->address, ((const struct peer *)b)->address);
}

static size_t living(struct servers *servers, struct peer out[SERVERS_MAX + 1])
{
    struct peers *peers = &servers->api->peers;
    nsec_t now = clock_now(servers->api->options.clock);
    size_t count = 0;

    snprintf(out[count++].address, SERVER_ADDRESS_MAX, STR_FMT, STR_ARG(servers->self));
    LOCKED(&peers->lock);
    for (size_t i = 0; i < peers->count; i++)
        if (now - peers->items[i].heard <= LIVES && !str_eq(str_from(peers->items[i].address), servers->self))
            out[count++] = peers->items[i];
    qsort(out, count, sizeof *out, address_order);
    return count;
}

static int run_round(struct servers *servers, struct err *err)
{
    struct peer list[SERVERS_MAX + 1];
    struct str addresses[SERVERS_MAX + 1];
    AUTO_DEINIT(buf, text) = BUF_INIT;
    size_t count = living(servers, list);

    for (size_t i = 0; i < count; i++) {
        addresses[i] = str_from(list[i].address);
        buf_printf(&text, "%s ", list[i].address);
    }
    if (str_eq(buf_str(&text), buf_str(&servers->written)))
        return 0;
    int code = servers_write(servers->client, addresses, count, err);

    if (code == 0) {
        buf_clear(&servers->written);
        buf_add_str(&servers->written, buf_str(&text));
    }
    return code;
}

static void round_due(void *arg);

static int plan_round(struct servers *servers, nsec_t pause, struct err *err)
{
    struct executor *executor = servers->api->options.executor;
    LOCKED(&servers->lock);
    struct executor_timer *before = servers->timer;

    servers->timer = NULL;
    executor_cancel(executor, before); /* it has run: this frees the handle */
    return servers->stopping ? 0 : executor_post_after(executor, pause, round_due, servers, &servers->timer, err);
}

static void round_due(void *arg)
{
    struct servers *servers = arg;
    struct err err = { 0 };
    bool failed = run_round(servers, &err) < 0;

    if (failed && !servers->troubled)
        log_warn("server", "the endpoints of service kubernetes are not up to date: %s", err.message);
    servers->troubled = failed;
    if (plan_round(servers, INTERVAL, &err) < 0)
        log_error("server", "the endpoints of service kubernetes are kept no longer: %s", err.message);
}

int servers_new(struct apiserver *api, struct client *client, struct str self, struct servers **ret_servers,
                struct err *err)
{
    struct servers *servers = calloc(1, sizeof *servers);

    if (!servers)
        return err_set(err, ERR_NO_MEMORY, "servers");
    *servers = (struct servers){ .api = api, .client = client, .self = self, .written = BUF_INIT };
    mutex_init(&servers->lock);
    int code = plan_round(servers, FIRST_ROUND, err);

    if (code < 0) {
        servers_free(servers);
        return code;
    }
    *ret_servers = servers;
    return 0;
}

struct servers *servers_free(struct servers *servers)
{
    struct executor_timer *timer;

    if (!servers)
        return NULL;
    do { /* a round that was running has set the next one, or seen that there is to be none */
        mutex_lock(&servers->lock);
        servers->stopping = true;
        timer = servers->timer;
        servers->timer = NULL;
        mutex_unlock(&servers->lock);
        executor_cancel_wait(servers->api->options.executor, timer);
    } while (timer);
    buf_deinit(&servers->written);
    mutex_deinit(&servers->lock);
    free(servers);
    return NULL;
}
