#include "apiserver/newest.h"

#include "apiserver/metrics.h"
#include "apiserver/own.h"
#include "apiserver/server.h"

/* By resourceVersion: none is the newest state, "0" is any, a number is one that is not older. Pages that go on from a
 * token and states of the past may be of revisions that only another server has seen so far. */
static bool read_wants_newest(const struct request *request)
{
    struct str text = request_param(request, "resourceVersion");
    revision_t revision;

    if (!str_empty(request_param(request, "asOf")) || !str_empty(request_param(request, "continue")) || str_empty(text))
        return true;
    return str_to_u64(text, &revision) && revision > store_revision(request->server->options.store);
}

bool newest_is_wanted(const struct request *request)
{
    if (!request->info.is_resource)
        return false;
    if (request->own)
        return request->own->newest;
    if (!request->resource)
        return false;
    if (!(request->info.verb & (VERB_GET | VERB_LIST | VERB_WATCH)))
        return true;
    if (request->subresource && request->subresource->verbs & VERB_CONNECT)
        return true;
    return read_wants_newest(request);
}

int newest_wait(struct apiserver *server, struct err *err)
{
    nsec_t begun;
    int code;

    if (!store_is_shared(server->options.store))
        return 0;
    begun = clock_now(server->options.clock);
    code = store_sync(server->options.store, err);
    metrics_waited(server->metrics, clock_now(server->options.clock) - begun, code);
    return code;
}
