/* openapi.c - OpenAPI documents by group-version.
 *
 * The index tells a hash of every document, so the first index costs writing them all: some milliseconds each, on a
 * thread of the executor, and the texts are let go again: only those that are asked for stay. A client that keeps
 * documents by their URL (kubectl does) then asks for the index alone, and for nothing else until something changes.
 * One lock covers all; it is held while a document is written, so that many clients at once do not write the same one.
 */
#include "apiserver/openapi.h"

#include "apiserver/document.h"
#include "apiserver/openapi_proto.h"
#include "apiserver/openapi_v2.h"
#include "apiserver/server.h"

#define CACHED_FOREVER "public, immutable, max-age=31536000"

struct group_version {
    struct str group, version;
    struct document document; /* text NULL: not kept; tag "": not known yet */
};

struct openapi_docs {
    struct mutex lock;
    const struct resource **resources; /* all that are served */
    size_t resource_count;
    struct group_version *versions;
    size_t version_count;
    struct document index; /* text NULL: not written yet */
    struct document v2[2]; /* JSON, protobuf; the same */
};

static void forget_texts(struct openapi_docs *docs)
{
    document_deinit(&docs->index);
    document_deinit(&docs->v2[0]);
    document_deinit(&docs->v2[1]);
}

static void versions_free(struct group_version *versions, size_t count)
{
    for (size_t i = 0; versions && i < count; i++)
        document_deinit(&versions[i].document);
    free(versions);
}

static struct group_version *find_version(struct group_version *versions, size_t count, struct str group,
                                          struct str version)
{
    for (size_t i = 0; i < count; i++)
        if (str_eq(versions[i].group, group) && str_eq(versions[i].version, version))
            return &versions[i];
    return NULL;
}

int openapi_docs_set_custom(struct openapi_docs *docs, const struct resource *const *resources, size_t count,
                            struct err *err)
{
    const struct resource **all = calloc(api_resource_count + count + 1, sizeof *all);
    struct group_version *versions = calloc(api_resource_count + count + 1, sizeof *versions);
    size_t n = 0, version_count = 0;

    if (!all || !versions) {
        free(all);
        free(versions);
        return err_set(err, ERR_NO_MEMORY, "OpenAPI documents");
    }
    for (size_t i = 0; i < api_resource_count + count; i++) {
        const struct resource *resource = i < api_resource_count ? api_resources[i] : resources[i - api_resource_count];

        if (!resource->served)
            continue;
        all[n++] = resource;
        if (!find_version(versions, version_count, resource->group, resource->version))
            versions[version_count++] = (struct group_version){ resource->group, resource->version };
    }
    LOCKED(&docs->lock);
    versions_free(docs->versions, docs->version_count);
    free(docs->resources);
    forget_texts(docs);
    docs->resources = all;
    docs->resource_count = n;
    docs->versions = versions;
    docs->version_count = version_count;
    return 0;
}

int openapi_docs_new(struct openapi_docs **ret_docs, struct err *err)
{
    AUTO(openapi_docs) docs = calloc(1, sizeof *docs);
    int code;

    if (!docs)
        return err_set(err, ERR_NO_MEMORY, "OpenAPI documents");
    mutex_init(&docs->lock);
    if ((code = openapi_docs_set_custom(docs, NULL, 0, err)) < 0)
        return code;
    *ret_docs = TAKE(docs);
    return 0;
}

struct openapi_docs *openapi_docs_free(struct openapi_docs *docs)
{
    if (!docs)
        return NULL;
    versions_free(docs->versions, docs->version_count);
    free(docs->resources);
    forget_texts(docs);
    mutex_deinit(&docs->lock);
    free(docs);
    return NULL;
}

/* -- under the lock -- */

static int write_version(struct openapi_docs *docs, struct group_version *gv, struct err *err)
{
    AUTO_DEINIT(buf, text) = BUF_INIT;
    int code;

    if (gv->document.text)
        return 0;
    code = openapi_v3_write(&text, gv->group, gv->version, docs->resources, docs->resource_count, err);
    return code < 0 ? code : document_init(&gv->document, &text, err);
}

static void write_path(struct buf *out, const struct group_version *gv)
{
    if (str_empty(gv->group))
        buf_printf(out, "api/" STR_FMT, STR_ARG(gv->version));
    else
        buf_printf(out, "apis/" STR_FMT "/" STR_FMT, STR_ARG(gv->group), STR_ARG(gv->version));
}

static int write_entry(struct openapi_docs *docs, struct group_version *gv, struct buf *out, struct err *err)
{
    bool known = gv->document.tag[0];
    int code;

    if (!known && (code = write_version(docs, gv, err)) < 0)
        return code;
    buf_add_char(out, '"');
    write_path(out, gv);
    buf_add_cstr(out, "\":{\"serverRelativeURL\":\"/openapi/v3/");
    write_path(out, gv);
    buf_printf(out, "?hash=%s\"}", gv->document.tag);
    if (!known)
        document_deinit(&gv->document); /* the tag stays */
    return 0;
}

static int write_index(struct openapi_docs *docs, struct err *err)
{
    AUTO_DEINIT(buf, text) = BUF_INIT;
    int code;

    if (docs->index.text)
        return 0;
    buf_add_cstr(&text, "{\"paths\":{");
    for (size_t i = 0; i < docs->version_count; i++) {
        if (i)
            buf_add_char(&text, ',');
        if ((code = write_entry(docs, &docs->versions[i], &text, err)) < 0)
            return code;
    }
    buf_add_cstr(&text, "}}");
    return document_init(&docs->index, &text, err);
}

static int take_index(struct openapi_docs *docs, struct document *ret_document, struct err *err)
{
    LOCKED(&docs->lock);
    int code = write_index(docs, err);

    if (code < 0)
        return code;
    *ret_document = docs->index;
    blob_ref(ret_document->text);
    return 0;
}

/* path: "api/v1" or "apis/GROUP/VERSION". */
static int take_version(struct openapi_docs *docs, struct str path, struct document *ret_document, struct err *err)
{
    struct str rest = path, root = STR(""), group = STR(""), version = STR("");
    struct group_version *gv;
    int code;

    str_split(&rest, '/', &root);
    if (str_is(root, "apis"))
        str_split(&rest, '/', &group);
    version = rest.data ? rest : STR("");

    LOCKED(&docs->lock);
    gv = find_version(docs->versions, docs->version_count, group, version);
    if (!gv || str_empty(group) != str_is(root, "api"))
        return err_set(err, ERR_NOT_FOUND, "the server could not find the requested resource");
    if ((code = write_version(docs, gv, err)) < 0)
        return code;
    *ret_document = gv->document;
    blob_ref(ret_document->text);
    return 0;
}

/* -- answering -- */

static bool accepts_json(struct str accept)
{
    struct str rest = accept;
    struct accept_item item;

    if (str_empty(str_trim(accept)))
        return true;
    while (accept_next(&rest, &item))
        if (item.q > 0 && (str_eq_nocase(item.type, STR("application/json")) || str_is(item.type, "application/*") ||
                           str_is(item.type, "*/*")))
            return true;
    return false;
}

int openapi_v3_handle(struct request *request, struct err *err)
{
    struct openapi_docs *docs = request->server->openapi;
    struct str path = str_skip(request->info.path, sizeof "/openapi/v3" - 1), hash = request_param(request, "hash");
    struct document document = { 0 };
    const char *cache;
    int code;

    if ((code = request_only_read(request, err)) < 0)
        return code;
    if (!accepts_json(request->accept))
        return err_set(err, ERR_NOT_ACCEPTABLE, "only the following media types are accepted: application/json");
    code = str_empty(path) ? take_index(docs, &document, err) : take_version(docs, str_skip(path, 1), &document, err);
    if (code < 0)
        return code;
    cache = !str_empty(path) && str_is(hash, document.tag) ? CACHED_FOREVER : NULL;
    code = document_reply(request, &document, "application/json", cache, err);
    document_deinit(&document);
    return code;
}

static int take_v2(struct openapi_docs *docs, bool proto, struct document *ret_document, struct err *err)
{
    LOCKED(&docs->lock);
    struct document *kept = &docs->v2[proto];

    if (!kept->text) {
        AUTO_DEINIT(buf, text) = BUF_INIT;
        int code = openapi_v2_write(&text, docs->resources, docs->resource_count, proto, err);

        if (code < 0 || (code = document_init(kept, &text, err)) < 0)
            return code;
    }
    *ret_document = *kept;
    blob_ref(ret_document->text);
    return 0;
}

int openapi_v2_handle(struct request *request, struct err *err)
{
    struct str rest = request->accept;
    struct document document = { 0 };
    struct accept_item item;
    bool proto = false;
    int code;

    if ((code = request_only_read(request, err)) < 0)
        return code;
    while (!proto && accept_next(&rest, &item))
        proto = str_is(item.type, OPENAPI_V2_PROTO_ASKED) || str_is(item.type, OPENAPI_V2_PROTO);
    if (!proto && !accepts_json(request->accept))
        return err_set(err, ERR_NOT_ACCEPTABLE,
                       "only the following media types are accepted: application/json, " OPENAPI_V2_PROTO);
    if ((code = take_v2(request->server->openapi, proto, &document, err)) < 0)
        return code;
    code = document_reply(request, &document, proto ? OPENAPI_V2_PROTO : "application/json", NULL, err);
    document_deinit(&document);
    return code;
}
