/* changes.c - the history, page by page.
 *
 *   object=PATH          the changes of one object, the newest first; PATH is its own in the API. It need not be there
 *                        any more, nor its kind.
 *   revision=R           all changes of one revision
 *   from=A, to=B         all changes after A up to B, in order; both as in asOf (asof.h), by default all there are.
 *   resource=PATH        ... of that collection only
 *
 * A page is at most `limit` changes, about PAGE_BYTES, and what LOOKED_MAX records of the log have to offer: so it
 * holds its snapshot and its memory for a short time, whatever was asked for, and may be empty although others follow.
 * "continue" of its metadata is where the next one begins: the revision to go on at, how many of its changes are told
 * already, and the last revision of all pages. "objects=false" leaves the objects out. */
#include "apiserver/changes.h"

#include "apiserver/asof.h"
#include "apiserver/custom.h"
#include "apiserver/render.h"
#include "apiserver/server.h"
#include "apiserver/store_key.h"
#include "schema/time.h"

#define LIMIT_DEFAULT 500
#define LIMIT_MAX 5000
#define PAGE_BYTES (1u << 20)
#define LOOKED_MAX 20000
#define SCRATCH_LIMIT (64u << 20)

/* Where a page begins or ends. */
struct cut {
    revision_t revision; /* 0: nowhere */
    uint64_t skip;       /* changes of it that belong to the page before */
    revision_t until;
};

struct page {
    struct request *request;
    struct store_snapshot *snapshot;
    const struct resource *resource; /* the version in which objects are wanted; NULL: as they are kept */
    struct custom *custom;           /* one reference to what that comes from */
    struct str prefix;               /* of keys; of an object the key */
    struct arena scratch;
    struct buf buf;
    struct json_writer w;
    uint64_t limit, count;
    bool objects;
    struct cut from, next;
};

static int no_memory(struct err *err)
{
    return err_set(err, ERR_NO_MEMORY, "changes");
}

/* -- one change -- */

static const char *const type_names[] = {
    [STORE_CREATED] = "ADDED",
    [STORE_MODIFIED] = "MODIFIED",
    [STORE_DELETED] = "DELETED",
};

static int render_as(struct page *page, const struct resource *resource, struct str *text, struct err *err)
{
    const struct render render = { .resource = resource, .storage = resource->storage };
    int code;

    arena_reset(&page->scratch);
    code = render_object(&render, &page->scratch, *text, text, err);
    if (code == -ERR_NO_MEMORY || code == -ERR_TOO_LARGE)
        return code;
    err_clear(err); /* what no longer fits its definition is shown as it was kept */
    return 0;
}

/* Custom objects are kept in a form that nobody else sees. */
static int write_state(struct page *page, const struct store_key *key, struct str text, struct err *err)
{
    struct custom *custom = NULL;
    const struct resource *resource = page->resource;
    int code = 0;

    if (str_empty(text) || text.data[0] != '{')
        return 0;
    if (!resource && str_chr(key->group, '.') >= 0)
        resource = custom_find_any(page->request->server->customs, key->group, key->plural, false, &custom);
    if (resource)
        code = render_as(page, resource, &text, err);
    if (code == 0) {
        jw_key(&page->w, STR("object"));
        jw_raw(&page->w, text);
    }
    custom_unref(custom);
    return code;
}

static int write_change(struct page *page, const struct store_change *change, const struct store_key *key,
                        struct err *err)
{
    struct json_writer *w = &page->w;
    char time[API_TIME_LEN];
    int code = 0;

    jw_begin_object(w);
    jw_field_int(w, "revision", (int64_t)change->revision);
    if (change->time) /* rounded up: the state as of that time has the change */
        jw_field_str(w, "time", api_micro_time_text((change->time + 999) / 1000 * 1000, time));
    jw_field_str(w, "type", str_from(type_names[change->kind]));
    jw_field_str(w, "group", key->group);
    jw_field_str(w, "resource", key->plural);
    if (!str_empty(key->ns))
        jw_field_str(w, "namespace", key->ns);
    jw_field_str(w, "name", key->name);
    jw_field_str(w, "actor", change->actor);
    jw_field_str(w, "rule", change->rule);
    jw_field_int(w, "trigger", (int64_t)change->trigger);
    jw_field_int(w, "previous", (int64_t)change->previous);
    if (page->objects)
        code = write_state(page, key, change->value, err);
    jw_end_object(w);
    page->count++;
    return code < 0 ? code : buf_ok(&page->buf) ? 0 : no_memory(err);
}

static bool is_full(const struct page *page)
{
    return page->count >= page->limit || page->buf.len >= PAGE_BYTES;
}

/* -- of one object -- */

static int add_object(struct page *page, struct err *err)
{
    revision_t at = page->from.revision;
    struct store_change change;
    struct store_key key;
    int code;

    if (!store_key_parse(page->prefix, &key))
        return 0;
    do {
        if (is_full(page)) {
            page->next = (struct cut){ .revision = at };
            return 0;
        }
        code = store_change_at(page->snapshot, page->prefix, at, &change, err);
        if (code == -ERR_NOT_FOUND) {
            err_clear(err);
            return 0;
        }
        if (code < 0 || (code = write_change(page, &change, &key, err)) < 0)
            return code;
        at = change.previous;
    } while (at);
    return 0;
}

/* -- of all -- */

static int add_range(struct page *page, struct store_changes *changes, struct err *err)
{
    struct cut here = { 0 };
    struct store_change change;
    struct store_key key;
    size_t looked = 0;
    int code;

    while ((code = store_changes_next(changes, &change, err)) > 0) {
        here.skip = change.revision == here.revision ? here.skip + 1 : 0;
        here.revision = change.revision;
        if (here.revision == page->from.revision && here.skip < page->from.skip)
            continue;
        if (is_full(page) || ++looked > LOOKED_MAX) {
            page->next = (struct cut){ here.revision, here.skip, changes->until };
            return 0;
        }
        if (!str_has_prefix(change.key, page->prefix) || !store_key_parse(change.key, &key))
            continue;
        if ((code = write_change(page, &change, &key, err)) < 0)
            return code;
    }
    return code;
}

/* Without a beginning: whatever is retained. */
static int open_oldest(struct page *page, revision_t until, struct store_changes *changes, struct err *err)
{
    int code = store_changes_open(page->snapshot, STR(""), 0, until, changes, err);

    if (code != -ERR_EXPIRED)
        return code;
    err_clear(err);
    revision_t oldest = store_compacted(page->request->server->options.store) + 1;
    return store_changes_open(page->snapshot, STR(""), MIN(oldest, until), until, changes, err);
}

static int read_bound(struct page *page, const char *name, revision_t *ret_revision, struct err *err)
{
    struct str text = request_param(page->request, name);
    struct asof asof = { 0 };
    int code;

    if (str_empty(text))
        return 0;
    code = asof_parse(page->request, page->snapshot, name, text, &asof, err);
    if (code == 0)
        *ret_revision = asof.revision;
    return code;
}

static int add_between(struct page *page, struct err *err)
{
    revision_t after = 0, until = store_snapshot_revision(page->snapshot);
    struct store_changes changes;
    int code;

    if ((code = read_bound(page, "from", &after, err)) < 0 || (code = read_bound(page, "to", &until, err)) < 0)
        return code;
    if (after > until)
        return fail_bad_request(page->request, err, "from is behind to: revision %llu is not before %llu",
                                (unsigned long long)after, (unsigned long long)until);
    if (page->from.revision)
        code = store_changes_open(page->snapshot, STR(""), page->from.revision - 1, page->from.until, &changes, err);
    else if (after)
        code = store_changes_open(page->snapshot, STR(""), after, until, &changes, err);
    else
        code = open_oldest(page, until, &changes, err);
    return code < 0 ? code : add_range(page, &changes, err);
}

static int add_revision(struct page *page, struct err *err)
{
    struct str text = request_param(page->request, "revision");
    struct store_changes changes;
    revision_t revision;
    int code;

    if (!str_to_u64(text, &revision) || revision == 0 || revision > store_snapshot_revision(page->snapshot))
        return fail_bad_request(page->request, err, "revision=" STR_FMT ": expected one between 1 and %llu",
                                STR_ARG(str_first(text, 32)),
                                (unsigned long long)store_snapshot_revision(page->snapshot));
    if ((code = store_changes_open(page->snapshot, STR(""), revision - 1, revision, &changes, err)) < 0)
        return code;
    return add_range(page, &changes, err);
}

/* -- the query -- */

/* The prefix of what the path names; also of what is no longer served. */
static int read_path(struct page *page, const char *name, bool object, struct err *err)
{
    struct request *request = page->request;
    struct str text = request_param(request, name), sub;
    const struct http_params none = { 0 };
    const struct resource_entry *entry;
    struct request_info info;

    if (path_parse(request->arena, HTTP_GET_, text, &none, &info, NULL) < 0 || !info.is_resource ||
        info.verb != (object ? VERB_GET : VERB_LIST) || info.subresource.data)
        return fail_bad_request(request, err, "%s=" STR_FMT ": expected the path of %s", name,
                                STR_ARG(str_first(text, 256)), object ? "an object" : "a collection of objects");
    entry = apiserver_resource(request->server, info.group, info.version, info.plural);
    page->resource = entry ? entry->resource
                           : custom_find(request->server->customs, info.group, info.version, info.plural, &page->custom);
    page->prefix = page->resource ? page->resource->storage->store_prefix
                                  : arena_concat(request->arena, STR("/registry/"), info.group,
                                                 str_empty(info.group) ? STR("") : STR("/"), info.plural, STR("/"));
    sub = str_empty(info.ns) ? STR("") : arena_concat(request->arena, info.ns, STR("/"));
    page->prefix = arena_concat(request->arena, page->prefix, sub, object ? info.name : STR(""));
    return page->prefix.data ? 0 : no_memory(err);
}

static bool has(const struct request *request, const char *name)
{
    return !str_empty(request_param(request, name));
}

static int check_query(struct request *request, struct err *err)
{
    static const struct {
        const char *name, *without[4];
    } rows[] = {
        { "object", { "revision", "from", "to", "resource" } },
        { "revision", { "from", "to", "resource" } },
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        for (size_t k = 0; k < ARRAY_LEN(rows[i].without) && rows[i].without[k]; k++)
            if (has(request, rows[i].name) && has(request, rows[i].without[k]))
                return fail_bad_request(request, err, "%s and %s exclude one another", rows[i].name,
                                        rows[i].without[k]);
    return 0;
}

/* "120.3.500" */
static int read_token(struct page *page, struct err *err)
{
    struct str text = request_param(page->request, "continue"), rest = text, part[3];
    struct cut cut;
    bool good = true;

    if (str_empty(text))
        return 0;
    for (size_t i = 0; i < ARRAY_LEN(part); i++)
        good = good && str_split(&rest, '.', &part[i]);
    good = good && !rest.data && str_to_u64(part[0], &cut.revision) && str_to_u64(part[1], &cut.skip) &&
           str_to_u64(part[2], &cut.until) && cut.revision > 0 &&
           cut.revision <= store_snapshot_revision(page->snapshot) && (!cut.until || cut.revision <= cut.until);
    if (!good)
        return fail_bad_request(page->request, err, "continue=" STR_FMT " is not what this server gave out",
                                STR_ARG(str_first(text, 64)));
    page->from = cut;
    return 0;
}

static int read_query(struct page *page, struct err *err)
{
    struct request *request = page->request;
    struct str limit = request_param(request, "limit"), objects = request_param(request, "objects");
    int code;

    page->limit = 0;
    if (!str_empty(limit) && !str_to_u64(limit, &page->limit))
        return fail_bad_request(request, err, "limit=" STR_FMT ": expected a number", STR_ARG(str_first(limit, 32)));
    page->limit = page->limit ? MIN(page->limit, (uint64_t)LIMIT_MAX) : LIMIT_DEFAULT;
    page->objects = str_empty(objects) || param_bool(&request->params, STR("objects"));
    if ((code = check_query(request, err)) < 0 || (code = read_token(page, err)) < 0)
        return code;
    if (has(request, "object"))
        return read_path(page, "object", true, err);
    return has(request, "resource") ? read_path(page, "resource", false, err) : 0;
}

/* -- the answer -- */

static void write_end(struct page *page)
{
    const struct cut *next = &page->next;
    char text[96];

    jw_end_array(&page->w);
    jw_key(&page->w, STR("metadata"));
    jw_begin_object(&page->w);
    snprintf(text, sizeof text, "%llu", (unsigned long long)store_snapshot_revision(page->snapshot));
    jw_field_str(&page->w, "resourceVersion", str_from(text));
    if (next->revision) {
        snprintf(text, sizeof text, "%llu.%llu.%llu", (unsigned long long)next->revision,
                 (unsigned long long)next->skip, (unsigned long long)next->until);
        jw_field_str(&page->w, "continue", str_from(text));
    }
    jw_end_object(&page->w);
    jw_end_object(&page->w);
}

static int write_page(struct page *page, struct err *err)
{
    struct request *request = page->request;
    int code;

    if ((code = store_snapshot_open(request->server->options.store, 0, &page->snapshot, err)) < 0 ||
        (code = read_query(page, err)) < 0)
        return code;
    page->w = json_writer(&page->buf);
    jw_begin_object(&page->w);
    jw_field_str(&page->w, "kind", STR("ChangeList"));
    jw_field_str(&page->w, "apiVersion", STR("caravel.io/v1"));
    jw_key(&page->w, STR("items"));
    jw_begin_array(&page->w);
    code = has(request, "object")     ? add_object(page, err)
           : has(request, "revision") ? add_revision(page, err)
                                      : add_between(page, err);
    if (code == 0)
        write_end(page);
    return code;
}

int changes_run(struct request *request, struct err *err)
{
    struct page page = { .request = request, .buf = BUF_INIT, .prefix = STR("") };
    int code;

    arena_init_within(&page.scratch, SCRATCH_LIMIT, request->arena->budget);
    code = write_page(&page, err);
    page.snapshot = store_snapshot_close(page.snapshot);
    if (code == 0)
        reply_buf(request, 200, NULL, &page.buf, err);
    arena_deinit(&page.scratch);
    buf_deinit(&page.buf);
    custom_unref(page.custom);
    return code;
}
