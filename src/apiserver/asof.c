#include "apiserver/asof.h"

#include "apiserver/server.h"
#include "schema/time.h"

#define PARAM "asOf"

static bool is_digits(struct str text)
{
    for (size_t i = 0; i < text.len; i++)
        if (text.data[i] < '0' || text.data[i] > '9')
            return false;
    return text.len > 0;
}

/* When the revision was committed; 0: not known. */
static nsec_t time_of(struct store_snapshot *snapshot, revision_t revision)
{
    struct store_changes changes;
    struct store_change change;

    if (store_changes_open(snapshot, STR(""), revision - 1, revision, &changes, NULL) < 0 ||
        store_changes_next(&changes, &change, NULL) <= 0)
        return 0;
    return change.time;
}

static int parse_revision(struct request *request, struct store_snapshot *snapshot, const char *name, struct str text,
                          struct asof *ret_asof, struct err *err)
{
    revision_t newest = store_snapshot_revision(snapshot);
    revision_t oldest = store_compacted(request->server->options.store) + 1, revision;

    if (!str_to_u64(text, &revision) || revision > newest)
        return fail_bad_request(request, err, "%s=" STR_FMT " is in the future: the newest revision is %llu", name,
                                STR_ARG(str_first(text, 32)), (unsigned long long)newest);
    if (revision == 0)
        return fail_bad_request(request, err, "%s=0: revisions begin with 1", name);
    if (revision < oldest)
        return err_set(err, ERR_EXPIRED,
                       "the state as of revision %llu is no longer retained: the oldest is that of revision %llu",
                       (unsigned long long)revision, (unsigned long long)oldest);
    *ret_asof = (struct asof){ revision, time_of(snapshot, revision) };
    return 0;
}

static int parse_time(struct request *request, struct store_snapshot *snapshot, const char *name, struct str text,
                      struct asof *ret_asof, struct err *err)
{
    revision_t revision;
    nsec_t time;
    int code;

    if (text.len > 64 || !api_time_parse(text, &time))
        return fail_bad_request(request, err,
                                "%s=" STR_FMT ": expected a revision (digits) or a time such as 2026-01-02T15:04:05Z",
                                name, STR_ARG(str_first(text, 64)));
    if (time > clock_wall(request->server->options.clock))
        return fail_bad_request(request, err, "%s=" STR_FMT " is in the future", name, STR_ARG(text));
    code = store_revision_at(snapshot, time, &revision, err);
    if (code == -ERR_EXPIRED)
        return err_set(err, ERR_EXPIRED,
                       "the state as of " STR_FMT " is no longer retained, or nothing was there yet: the oldest is that "
                       "of revision %llu",
                       STR_ARG(text), (unsigned long long)store_compacted(request->server->options.store) + 1);
    if (code == 0)
        *ret_asof = (struct asof){ revision, time };
    return code;
}

int asof_parse(struct request *request, struct store_snapshot *snapshot, const char *name, struct str text,
               struct asof *ret_asof, struct err *err)
{
    return is_digits(text) ? parse_revision(request, snapshot, name, text, ret_asof, err)
                           : parse_time(request, snapshot, name, text, ret_asof, err);
}

/* Behind a proxy it is none of ours. */
static bool is_others(const struct request *request)
{
    return !request->resource || (request->subresource && str_is(request->subresource->name, "proxy"));
}

static bool is_plain_read(const struct request *request)
{
    const struct subresource *subresource = request->subresource;

    if (!(request->info.verb & (VERB_GET | VERB_LIST)) || param_bool(&request->params, STR("watch")))
        return false;
    return !subresource || (!(subresource->verbs & VERB_CONNECT) && !str_is(subresource->name, "log"));
}

int asof_read(struct request *request, struct err *err)
{
    static const char *const excluded[] = { "resourceVersion", "continue" };
    struct str text = request_param(request, PARAM);
    AUTO(store_snapshot) snapshot = NULL;
    struct asof asof;
    int code;

    if (str_empty(text) || is_others(request))
        return 0;
    if (!is_plain_read(request))
        return fail_bad_request(request, err, PARAM " is only for gets and lists");
    for (size_t i = 0; i < ARRAY_LEN(excluded); i++)
        if (!str_empty(request_param(request, excluded[i])))
            return fail_bad_request(request, err, PARAM " and %s exclude one another", excluded[i]);
    if (store_is_shared(request->server->options.store) && !request->synced)
        return 0;
    if ((code = store_snapshot_open(request->server->options.store, 0, &snapshot, err)) < 0 ||
        (code = asof_parse(request, snapshot, PARAM, text, &asof, err)) < 0)
        return code;
    request->as_of = asof.revision;
    request->as_of_time = asof.time;
    return 0;
}
