/* discovery.c - the documents of discovery.
 *
 * There are two forms. In the old one a client walks: /api and /apis name groups and versions, /apis/GROUP one group,
 * /apis/GROUP/VERSION the resources. In the aggregated one /api and /apis hold everything, when the Accept header asks
 * for an APIGroupDiscoveryList. All documents are texts in a map by path (the aggregated ones under path and version:
 * "/apis v2"), which never changes: a new set of resources makes a new map, and the pointer to it is swapped under a
 * lock that is only held for the look-up. */
#include "apiserver/discovery.h"

#include "apiserver/discovery_write.h"
#include "apiserver/document.h"
#include "apiserver/render.h"
#include "apiserver/server.h"

struct entry {
    struct document document;
    size_t path_len;
    char path[];
};

struct documents {
    struct map entries;
};

struct discovery {
    struct mutex lock; /* of the pointer */
    struct documents *documents;
};

static struct documents *documents_free(struct documents *documents)
{
    if (!documents)
        return NULL;
    for (struct map_entry *e = NULL; (e = map_next(&documents->entries, e));) {
        struct entry *entry = e->value;

        document_deinit(&entry->document);
        free(entry);
    }
    map_deinit(&documents->entries);
    free(documents);
    return NULL;
}
DEFINE_AUTO(documents, documents_free)

static int add_document(void *ctx, struct str path, const struct buf *text, struct err *err)
{
    struct documents *documents = ctx;
    struct entry *entry = calloc(1, sizeof *entry + path.len + 1);
    void *old = NULL;
    int code;

    if (!entry)
        return err_set(err, ERR_NO_MEMORY, "discovery");
    memcpy(entry->path, path.data, path.len);
    entry->path_len = path.len;
    if ((code = document_init(&entry->document, text, err)) < 0) {
        free(entry);
        return code;
    }
    if (map_put(&documents->entries, str_of(entry->path, path.len), entry, &old) < 0)
        code = err_set(err, ERR_NO_MEMORY, "discovery");
    if (code < 0 || old) {
        INVARIANT(!old);
        document_deinit(&entry->document);
        free(entry);
    }
    return code;
}

int discovery_set_custom(struct discovery *discovery, const struct resource *const *resources, size_t count,
                         struct err *err)
{
    AUTO(documents) documents = calloc(1, sizeof *documents);
    AUTO_FREE const struct resource **items = calloc(api_resource_count + count + 1, sizeof *items);
    const struct discovery_writer writer = { documents, add_document };
    struct documents *old;
    size_t n = 0;
    int code;

    if (!documents || !items)
        return err_set(err, ERR_NO_MEMORY, "discovery");
    map_init(&documents->entries);
    for (size_t i = 0; i < api_resource_count; i++)
        if (api_resources[i]->served)
            items[n++] = api_resources[i];
    for (size_t i = 0; i < count; i++)
        if (resources[i]->served)
            items[n++] = resources[i];
    if ((code = discovery_write(&writer, items, n, err)) < 0)
        return code;
    mutex_lock(&discovery->lock);
    old = discovery->documents;
    discovery->documents = TAKE(documents);
    mutex_unlock(&discovery->lock);
    documents_free(old);
    return 0;
}

int discovery_new(struct discovery **ret_discovery, struct err *err)
{
    AUTO(discovery) discovery = calloc(1, sizeof *discovery);
    int code;

    if (!discovery)
        return err_set(err, ERR_NO_MEMORY, "discovery");
    mutex_init(&discovery->lock);
    if ((code = discovery_set_custom(discovery, NULL, 0, err)) < 0)
        return code;
    *ret_discovery = TAKE(discovery);
    return 0;
}

struct discovery *discovery_free(struct discovery *discovery)
{
    if (!discovery)
        return NULL;
    documents_free(discovery->documents);
    mutex_deinit(&discovery->lock);
    free(discovery);
    return NULL;
}

/* -- answering -- */

/* The document of that key, with a reference to its text; false: there is none. */
static bool find_document(struct discovery *discovery, struct str key, struct document *ret_document)
{
    LOCKED(&discovery->lock);
    const struct entry *entry = map_get(&discovery->documents->entries, key);

    if (!entry)
        return false;
    *ret_document = entry->document;
    blob_ref(ret_document->text);
    return true;
}

enum form { FORM_JSON, FORM_YAML, FORM_PROTOBUF, FORM_AGGREGATED };

struct choice {
    enum form form;
    struct str version; /* FORM_AGGREGATED */
    double q;
    int precision;
};

static void consider(const struct accept_item *item, bool aggregates, struct choice *best)
{
    struct choice choice = { .form = FORM_JSON, .q = item->q, .precision = accept_precision(item) };
    bool json = str_eq_nocase(item->type, STR("application/json")) || str_is(item->type, "*/*") ||
                str_is(item->type, "application/*");

    if (choice.q <= 0 || choice.q < best->q || (choice.q <= best->q && choice.precision <= best->precision))
        return;
    if (item->as.data) {
        if (!json || !aggregates || !str_is(item->as, "APIGroupDiscoveryList") ||
            !str_is(item->group, "apidiscovery.k8s.io") ||
            (!str_is(item->version, "v2") && !str_is(item->version, "v2beta1")))
            return;
        choice.form = FORM_AGGREGATED;
        choice.version = item->version;
    } else if (str_eq_nocase(item->type, STR("application/yaml"))) {
        choice.form = FORM_YAML;
    } else if (str_eq_nocase(item->type, STR("application/vnd.kubernetes.protobuf"))) {
        choice.form = FORM_PROTOBUF;
    } else if (!json) {
        return;
    }
    *best = choice;
}

static int choose(const struct request *request, bool aggregates, struct choice *ret_choice, struct err *err)
{
    struct choice best = { .form = FORM_JSON, .precision = -1 };
    struct str rest = request->accept;
    struct accept_item item;

    if (str_empty(str_trim(rest))) {
        *ret_choice = best;
        return 0;
    }
    while (accept_next(&rest, &item))
        consider(&item, aggregates, &best);
    if (best.q <= 0)
        return err_set(err, ERR_NOT_ACCEPTABLE,
                       "only the following media types are accepted: application/json, application/yaml, "
                       "application/vnd.kubernetes.protobuf");
    *ret_choice = best;
    return 0;
}

static int reply_in(struct request *request, enum form form, const struct document *document, struct err *err)
{
    enum media_format format = form == FORM_YAML ? MEDIA_YAML : form == FORM_PROTOBUF ? MEDIA_PROTOBUF : MEDIA_JSON;
    struct str bytes, copy;
    int code;

    if ((code = request_only_read(request, err)) < 0 ||
        (code = render_answer(request->arena, &format, request->media.pretty, blob_str(document->text), &bytes, err)) < 0)
        return code;
    copy = arena_str(request->arena, bytes);
    if (!copy.data)
        return err_set(err, ERR_NO_MEMORY, "answer");
    reply_text(request, 200, media_content_type(&(struct media){ .format = format }), copy);
    return 0;
}

int discovery_handle(struct request *request, struct err *err)
{
    struct discovery *discovery = request->server->discovery;
    struct str path = request->info.path, key = path;
    bool aggregates = str_is(path, "/api") || str_is(path, "/apis");
    const char *content_type = "application/json";
    struct document document = { 0 };
    struct choice choice = { 0 };
    int code;

    if ((code = choose(request, aggregates, &choice, err)) < 0)
        return code;
    if (choice.form == FORM_AGGREGATED) {
        bool v2 = str_is(choice.version, "v2");

        content_type = v2 ? "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
                          : "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList";
        key = arena_printf(request->arena, STR_FMT " %s", STR_ARG(path), v2 ? "v2" : "v2beta1");
    }
    if (!find_document(discovery, key, &document))
        return err_set(err, ERR_NOT_FOUND, "the server could not find the requested resource");
    if (choice.form != FORM_AGGREGATED && (choice.form != FORM_JSON || request->media.pretty))
        code = reply_in(request, choice.form, &document, err);
    else
        code = document_reply(request, &document, content_type, NULL, err);
    document_deinit(&document);
    return code;
}
