/* route.c - paths that are no resources: which handler. */
#include "apiserver/discovery.h"
#include "apiserver/health.h"
#include "apiserver/metrics.h"
#include "apiserver/openapi.h"
#include "apiserver/openid.h"
#include "apiserver/server.h"
#include "apiserver/version.h"

const struct route builtin_routes[] = {
    /* path, exact, anonymous, handler, quick */
    { STR_INIT("/healthz"), false, true, health_handle, false },
    { STR_INIT("/livez"), false, true, health_handle, false },
    { STR_INIT("/readyz"), false, true, health_handle, false },
    { STR_INIT("/version"), true, true, version_handle, true },
    { STR_INIT("/metrics"), true, false, metrics_handle, false },
    { STR_INIT("/api"), false, false, discovery_handle, true },
    { STR_INIT("/apis"), false, false, discovery_handle, true },
    { STR_INIT("/openapi/v2"), true, false, openapi_v2_handle, false },
    { STR_INIT("/openapi/v3"), false, false, openapi_v3_handle, false },
    { STR_INIT("/.well-known/openid-configuration"), true, false, openid_provider_handle, true },
    { STR_INIT("/openid/v1/jwks"), true, false, openid_keys_handle, true },
};
const size_t builtin_route_count = ARRAY_LEN(builtin_routes);

static struct str without_slash(struct str path)
{
    return path.len > 1 && path.data[path.len - 1] == '/' ? str_chop(path, 1) : path;
}

static bool route_matches(const struct route *route, struct str path)
{
    struct str prefix = without_slash(route->path);

    if (str_eq(prefix, path))
        return true;
    if (route->exact || !str_has_prefix(path, prefix))
        return false;
    return prefix.len == 1 || path.data[prefix.len] == '/';
}

const struct route *route_find(const struct apiserver *server, struct str path)
{
    const struct route *best = NULL;

    path = without_slash(path);
    for (size_t i = 0; i < server->routes.count; i++) {
        const struct route *route = server->routes.items[i];

        if (route_matches(route, path) && (!best || route->path.len > best->path.len))
            best = route;
    }
    return best;
}
