/* route.c - paths that are no resources: which handler, and the ones that are ours: health. */
#include "apiserver/server.h"

static int health(struct request *request, struct err *err)
{
    (void)err;
    reply_text(request, 200, "text/plain; charset=utf-8", STR("ok"));
    return 0;
}

const struct route builtin_routes[] = {
    { STR_INIT("/healthz"), false, true, health },
    { STR_INIT("/livez"), false, true, health },
    { STR_INIT("/readyz"), false, true, health },
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
