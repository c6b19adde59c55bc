/* apiserver.c - the server as a whole: its resources by name, its routes, and the order of the pipeline's steps.
 *
 * The built-in resources are found by "group/version/plural" in a hash map made once (custom ones: custom.c); nothing
 * here changes after the first request, so that requests of all threads read it without a lock. The generator of names
 * and uids is the one thing shared and changing; it has a lock. */
#include "apiserver/server.h"

#include "apiserver/custom.h"
#include "apiserver/discovery.h"
#include "apiserver/indexed.h"
#include "apiserver/lengths.h"
#include "apiserver/metrics.h"
#include "apiserver/openapi.h"
#include "apiserver/registry.h"
#include "apiserver/token.h"
#include "base/buf.h"

#define SERVICE_CIDR STR("10.96.0.0/12")
#define BOOKMARK_INTERVAL (60 * NSEC_PER_SEC)
#define TOKEN_ISSUER STR("https://kubernetes.default.svc.cluster.local")

static int parse_cidr(struct str text, uint32_t *ret_net, uint32_t *ret_bits, struct err *err)
{
    ssize_t slash = str_chr(text, '/');
    struct str rest = str_first(text, slash < 0 ? text.len : (size_t)slash), part;
    uint64_t bits = 0, octet, net = 0;
    int parts = 0;

    while (str_split(&rest, '.', &part)) {
        if (!str_to_u64(part, &octet) || octet > 255 || ++parts > 4)
            return err_set(err, ERR_INVALID, "service network \"" STR_FMT "\" is not an IPv4 network", STR_ARG(text));
        net = net << 8 | octet;
    }
    if (parts != 4 || slash < 0 || !str_to_u64(str_skip(text, (size_t)slash + 1), &bits) || bits < 8 || bits > 30)
        return err_set(err, ERR_INVALID, "service network \"" STR_FMT "\" is not an IPv4 network", STR_ARG(text));
    *ret_net = (uint32_t)net & ~(UINT32_MAX >> bits);
    *ret_bits = (uint32_t)bits;
    return 0;
}

static int add_resource(struct apiserver *server, const struct resource *resource, struct err *err)
{
    size_t len = resource->group.len + resource->version.len + resource->plural.len + 2;
    struct resource_entry *entry = malloc(sizeof *entry + len + 1);
    void *old = NULL;
    char *key;

    if (!entry)
        return err_set(err, ERR_NO_MEMORY, "resource table");
    key = (char *)(entry + 1);
    snprintf(key, len + 1, STR_FMT "/" STR_FMT "/" STR_FMT, STR_ARG(resource->group), STR_ARG(resource->version),
             STR_ARG(resource->plural));
    *entry = (struct resource_entry){ str_of(key, len), resource, registry_rules(resource) };
    if (map_put(&server->resources, entry->key, entry, &old) < 0) {
        free(entry);
        return err_set(err, ERR_NO_MEMORY, "resource table");
    }
    free(old);
    return 0;
}

static int make_tokens(struct apiserver *server, struct err *err)
{
    const struct apiserver_options *options = &server->options;

    if (str_empty(options->token_key_pem))
        return 0;
    return tokens_new(options->token_key_pem, str_empty(options->token_issuer) ? TOKEN_ISSUER : options->token_issuer,
                      &server->tokens, err);
}

int apiserver_new(const struct apiserver_options *options, struct apiserver **ret_server, struct err *err)
{
    AUTO(apiserver) server = calloc(1, sizeof *server);
    struct str cidr;
    int code;

    if (!server)
        return err_set(err, ERR_NO_MEMORY, "API server");
    server->options = *options;
    if (!server->options.node_port_first) {
        server->options.node_port_first = 30000;
        server->options.node_port_last = 32767;
    }
    if (!server->options.bookmark_interval)
        server->options.bookmark_interval = BOOKMARK_INTERVAL;
    mutex_init(&server->lock);
    mutex_init(&server->peers.lock);
    cond_init(&server->streams_gone);
    list_init(&server->streams);
    map_init(&server->resources);
    if ((code = indexed_upgrade(options->store, err)) < 0)
        return code;
    cidr = options->service_cidr.data ? options->service_cidr : SERVICE_CIDR;
    if ((code = parse_cidr(cidr, &server->service_net, &server->service_bits, err)) < 0)
        return code;
    for (size_t i = 0; i < api_resource_count; i++)
        if (api_resources[i]->served && (code = add_resource(server, api_resources[i], err)) < 0)
            return code;
    if ((code = discovery_new(&server->discovery, err)) < 0 || (code = openapi_docs_new(&server->openapi, err)) < 0 ||
        (code = metrics_new(&server->metrics, err)) < 0 || (code = lengths_new(&server->lengths, err)) < 0 ||
        (code = customs_new(server, &server->customs, err)) < 0 || (code = make_tokens(server, err)) < 0)
        return code;
    for (size_t i = 0; i < builtin_route_count; i++)
        if ((code = apiserver_add_route(server, &builtin_routes[i], err)) < 0)
            return code;
    *ret_server = TAKE(server);
    return 0;
}

struct apiserver *apiserver_free(struct apiserver *server)
{
    if (!server)
        return NULL;
    streams_stop(server);
    customs_free(server->customs);
    discovery_free(server->discovery);
    openapi_docs_free(server->openapi);
    metrics_free(server->metrics);
    tokens_free(server->tokens);
    lengths_free(server->lengths);
    for (struct map_entry *e = NULL; (e = map_next(&server->resources, e));)
        free(e->value);
    map_deinit(&server->resources);
    vec_deinit(&server->routes);
    vec_deinit(&server->authorizers);
    vec_deinit(&server->admissions);
    vec_deinit(&server->health_checks);
    cond_deinit(&server->streams_gone);
    mutex_deinit(&server->peers.lock);
    mutex_deinit(&server->lock);
    free(server);
    return NULL;
}

const struct resource_entry *apiserver_resource(struct apiserver *server, struct str group, struct str version,
                                                struct str plural)
{
    const struct str parts[] = { group, STR("/"), version, STR("/"), plural };
    char key[512];
    size_t len = 0;

    for (size_t i = 0; i < ARRAY_LEN(parts); i++) { /* printf() would take longer than all of the lookup */
        if (parts[i].len > sizeof key - len)
            return NULL;
        if (parts[i].len)
            memcpy(key + len, parts[i].data, parts[i].len);
        len += parts[i].len;
    }
    return map_get(&server->resources, str_of(key, len));
}

int apiserver_add_route(struct apiserver *server, const struct route *route, struct err *err)
{
    return vec_push(&server->routes, route) < 0 ? err_set(err, ERR_NO_MEMORY, "route") : 0;
}

int apiserver_add_authorizer(struct apiserver *server, const struct authorizer *authorizer, struct err *err)
{
    return vec_push(&server->authorizers, *authorizer) < 0 ? err_set(err, ERR_NO_MEMORY, "authorizer") : 0;
}

int apiserver_add_admission(struct apiserver *server, const struct admission *admission, struct err *err)
{
    return vec_push(&server->admissions, *admission) < 0 ? err_set(err, ERR_NO_MEMORY, "admission") : 0;
}

int apiserver_add_health_check(struct apiserver *server, const struct health_check *check, struct err *err)
{
    return vec_push(&server->health_checks, check) < 0 ? err_set(err, ERR_NO_MEMORY, "health check") : 0;
}

void apiserver_lead(struct apiserver *server, revision_t term)
{
    atomic_store(&server->term, term);
    if (term)
        customs_resume(server->customs);
}

void apiserver_uuid(struct apiserver *server, char out[UUID_LEN + 1])
{
    LOCKED(&server->lock);
    rng_uuid(server->options.rng, out);
}

void apiserver_suffix(struct apiserver *server, char *out, size_t n)
{
    LOCKED(&server->lock);
    rng_name_suffix(server->options.rng, out, n);
}

uint64_t apiserver_random(struct apiserver *server, uint64_t bound)
{
    LOCKED(&server->lock);
    return rng_below(server->options.rng, bound);
}
