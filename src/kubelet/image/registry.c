/* registry.c - which client speaks to which host, manifests and small blobs. */
#include "kubelet/image/registry.h"

#include "base/buf.h"
#include "kubelet/image/registry_private.h"

/* -- hosts and clients -- */

int registry_new(const struct image_store_options *options, const atomic_bool *cancel, struct registry **ret_registry,
                 struct err *err)
{
    struct registry *registry = calloc(1, sizeof *registry);

    if (!registry)
        return err_set(err, ERR_NO_MEMORY, "registry");
    registry->own = calloc(MAX(options->host_count, 1), sizeof(*registry->own));
    if (!registry->own) {
        free(registry);
        return err_set(err, ERR_NO_MEMORY, "registry");
    }
    registry->options = options;
    registry->cancel = cancel;
    mutex_init(&registry->lock);
    *ret_registry = registry;
    return 0;
}

struct registry *registry_free(struct registry *registry)
{
    if (!registry)
        return NULL;
    for (size_t i = 0; i < registry->options->host_count; i++)
        http_client_free(registry->own[i]);
    http_client_free(registry->usual);
    mutex_deinit(&registry->lock);
    free(registry->own);
    free(registry);
    return NULL;
}

const struct registry_host *registry_host_of(const struct registry *registry, struct str authority)
{
    for (size_t i = 0; i < registry->options->host_count; i++) {
        const struct registry_host *host = &registry->options->hosts[i];
        const struct image_ref ref = { .domain = host->host };
        struct url mirror;
        if (str_eq_nocase(image_ref_host(&ref), authority) ||
            (host->mirror.data && url_parse(host->mirror, &mirror) && str_eq_nocase(mirror.authority, authority)))
            return host;
    }
    return NULL;
}

/* Clients are made when first needed: each has a thread of its own. */
int registry_client(struct registry *registry, struct str authority, struct http_client **ret_client, struct err *err)
{
    const struct registry_host *host = registry_host_of(registry, authority);
    bool own = host && (host->insecure || host->ca_pem.data);
    struct http_client **slot = own ? &registry->own[host - registry->options->hosts] : &registry->usual;
    const struct http_client_options options = { .ca_pem = own ? host->ca_pem : STR_NULL,
                                                 .insecure = own && host->insecure };
    LOCKED(&registry->lock);
    int r = *slot ? 0 : http_client_new(&options, slot, err);

    if (r == 0)
        *ret_client = *slot;
    return r;
}

int registry_check_url(const struct registry *registry, const struct url *url, struct err *err)
{
    const struct registry_host *host = registry_host_of(registry, url->authority);

    if (url->tls || (host && (host->plain_http || host->mirror.data)) || authority_is_loopback(url->authority))
        return 0;
    return err_set(err, ERR_FORBIDDEN, "plain HTTP to " STR_FMT " is not allowed", STR_ARG(url->authority));
}

int registry_sleep(struct registry *registry, nsec_t delay, struct err *err)
{
    nsec_t until = clock_now(clock_real()) + delay, now;
    struct mutex lock;
    struct cond never;

    mutex_init(&lock);
    cond_init(&never);
    mutex_lock(&lock);
    while (!atomic_load(registry->cancel) && (now = clock_now(clock_real())) < until)
        cond_wait_for(&never, &lock, MIN(until - now, NSEC_PER_SEC / 4));
    mutex_unlock(&lock);
    cond_deinit(&never);
    mutex_deinit(&lock);
    return atomic_load(registry->cancel) ? err_set(err, ERR_CANCELLED, "the image store is being closed") : 0;
}

/* -- repositories -- */

static int ignore_head(void *ctx, const struct http_client_response *head, struct err *err)
{
    int *status = ctx;

    *status = head->status;
    return 0;
}

static int ignore_body(void *ctx, struct str bytes, struct err *err)
{
    return 0;
}

/* Is this a registry, over this scheme? */
static int probe(struct registry *registry, struct str authority, struct str base, struct err *err)
{
    AUTO(arena) arena = arena_new(0);
    struct http_client *client;
    int status = 0, r = registry_client(registry, authority, &client, err);

    if (r < 0 || !arena)
        return r < 0 ? r : err_set(err, ERR_NO_MEMORY, "registry");
    const struct registry_call call = { .client = client,
                                        .url = arena_printf(arena, STR_FMT "/v2/", STR_ARG(base)),
                                        .cancel = registry->cancel,
                                        .head = ignore_head,
                                        .body = ignore_body,
                                        .ctx = &status };
    if (!call.url.data)
        return err_set(err, ERR_NO_MEMORY, "registry");
    r = registry_call_run(&call, err);
    if (r == 0 && status != 200 && status != 401 && status != 403)
        r = err_set(err, ERR_UNAVAILABLE, "GET " STR_FMT ": status %d, not a registry", STR_ARG(call.url), status);
    return r;
}

/* On loopback both schemes are usual: TLS is asked first. Everywhere else it is TLS, unless configured. */
static int choose_base(struct repository *repository, struct str authority, struct err *err)
{
    struct registry *registry = repository->registry;
    const struct registry_host *host = registry_host_of(registry, authority);
    struct str secure = arena_printf(&repository->arena, "https://" STR_FMT, STR_ARG(authority));
    struct str plain = arena_printf(&repository->arena, "http://" STR_FMT, STR_ARG(authority));
    struct err first = { 0 };

    if (!secure.data || !plain.data)
        return err_set(err, ERR_NO_MEMORY, "registry");
    repository->base = host && host->plain_http ? plain : secure;
    if (host || !authority_is_loopback(authority) || probe(registry, authority, secure, &first) == 0)
        return 0;
    int r = first.code == ERR_CANCELLED ? -ERR_CANCELLED : probe(registry, authority, plain, NULL);
    if (r < 0)
        return err_set(err, first.code, "%s", first.message);
    repository->base = plain;
    return 0;
}

static int use_mirror(struct repository *repository, const struct registry_host *host, struct err *err)
{
    struct url url;

    if (!host || !host->mirror.data)
        return err_set(err, ERR_NOT_FOUND, "no mirror");
    if (!url_parse(host->mirror, &url) || (url.rest.len && !str_is(url.rest, "/")))
        return err_set(err, ERR_INVALID, "mirror \"" STR_FMT "\" is not \"http[s]://host[:port]\"",
                       STR_ARG(str_first(host->mirror, 256)));
    repository->base = arena_str(&repository->arena, str_chop(url.text, url.rest.len));
    return repository->base.data ? 0 : err_set(err, ERR_NO_MEMORY, "registry");
}

int repository_open(struct registry *registry, const struct image_ref *ref, const struct credential *credential,
                    bool mirror, struct repository **ret_repository, struct err *err)
{
    AUTO(repository) repository = calloc(1, sizeof *repository);
    struct str authority = image_ref_host(ref);
    int r;

    if (!repository)
        return err_set(err, ERR_NO_MEMORY, "registry");
    arena_init(&repository->arena, 0);
    mutex_init(&repository->lock);
    repository->registry = registry;
    repository->path = arena_str(&repository->arena, ref->path);
    if (credential) {
        repository->username = arena_str(&repository->arena, credential->username);
        repository->password = arena_str(&repository->arena, credential->password);
    }
    if (arena_failed(&repository->arena))
        return err_set(err, ERR_NO_MEMORY, "registry");
    r = mirror ? use_mirror(repository, registry_host_of(registry, authority), err)
               : choose_base(repository, authority, err);
    if (r < 0)
        return r;
    *ret_repository = TAKE(repository);
    return 0;
}

struct repository *repository_free(struct repository *repository)
{
    if (repository) {
        mutex_deinit(&repository->lock);
        arena_deinit(&repository->arena);
        free(repository->authorization);
        free(repository);
    }
    return NULL;
}

/* -- small things into memory -- */

struct collection {
    struct arena *arena;
    struct buf text;
    size_t max;
    struct str media_type;
};

static int collect_head(void *ctx, const struct http_client_response *head, struct err *err)
{
    struct collection *collection = ctx;

    buf_clear(&collection->text);
    collection->media_type = arena_str(collection->arena, registry_header(head, "content-type"));
    return 0;
}

static int collect_bytes(void *ctx, struct str bytes, struct err *err)
{
    struct collection *collection = ctx;

    if (bytes.len > collection->max - collection->text.len)
        return err_set(err, ERR_TOO_LARGE, "the answer is larger than %zu bytes", collection->max);
    buf_add_str(&collection->text, bytes);
    return buf_ok(&collection->text) ? 0 : err_set(err, ERR_NO_MEMORY, "answer of the registry");
}

#define SMALL_ATTEMPTS 4

static bool worth_retrying(int code)
{
    return code == -ERR_UNAVAILABLE || code == -ERR_TOO_MANY_REQUESTS || code == -ERR_TIMEOUT;
}

static int collect(struct repository *repository, struct str url, struct str accept, struct collection *collection,
                   struct err *err)
{
    const struct fetch fetch = {
        .url = url, .accept = accept, .begin = collect_head, .bytes = collect_bytes, .ctx = collection
    };
    nsec_t delay = repository->registry->options->retry_delay;

    for (int attempt = 1;; attempt++, delay *= 2) {
        unsigned wait = 0;
        int r = registry_fetch(repository, &fetch, &wait, err);
        if (r == 0 || attempt == SMALL_ATTEMPTS || !worth_retrying(r))
            return r;
        r = registry_sleep(repository->registry, MAX(delay, wait * NSEC_PER_SEC), err);
        if (r < 0)
            return r;
    }
}

static int take_text(struct collection *collection, const struct digest *want, struct str *ret_text,
                     struct digest *ret_digest, struct err *err)
{
    int r = digest_of(buf_str(&collection->text), ret_digest, err);

    if (r < 0)
        return r;
    if (want && !digest_eq(want, ret_digest))
        return err_set(err, ERR_INVALID, "the registry's answer has digest %s, not %s", ret_digest->text, want->text);
    *ret_text = arena_str(collection->arena, buf_str(&collection->text));
    return ret_text->data ? 0 : err_set(err, ERR_NO_MEMORY, "answer of the registry");
}

int repository_manifest(struct repository *repository, struct str reference, struct arena *arena,
                        struct fetched_manifest *ret_manifest, struct err *err)
{
    struct collection collection = { .arena = arena, .text = BUF_INIT, .max = MANIFEST_MAX };
    struct str url = arena_printf(arena, STR_FMT "/v2/" STR_FMT "/manifests/" STR_FMT, STR_ARG(repository->base),
                                  STR_ARG(repository->path), STR_ARG(reference));
    struct fetched_manifest manifest;
    struct digest want;
    bool by_digest = str_chr(reference, ':') >= 0;
    int r = url.data ? 0 : err_set(err, ERR_NO_MEMORY, "manifest");

    if (r == 0 && by_digest)
        r = digest_parse(reference, &want, err);
    if (r == 0)
        r = collect(repository, url, str_from(manifest_accept), &collection, err);
    if (r == 0)
        r = take_text(&collection, by_digest ? &want : NULL, &manifest.text, &manifest.digest, err);
    buf_deinit(&collection.text);
    if (r < 0)
        return r;
    manifest.media_type = collection.media_type;
    *ret_manifest = manifest;
    return 0;
}

int repository_load_blob(struct repository *repository, const struct descriptor *descriptor, size_t max,
                         struct arena *arena, struct str *ret_bytes, struct err *err)
{
    struct collection collection = { .arena = arena, .text = BUF_INIT, .max = MIN(max, descriptor->size) };
    struct str url = arena_printf(arena, STR_FMT "/v2/" STR_FMT "/blobs/%s", STR_ARG(repository->base),
                                  STR_ARG(repository->path), descriptor->digest.text);
    struct digest digest;
    int r = url.data ? collect(repository, url, STR_NULL, &collection, err) : err_set(err, ERR_NO_MEMORY, "blob");

    if (r == 0)
        r = take_text(&collection, &descriptor->digest, ret_bytes, &digest, err);
    buf_deinit(&collection.text);
    return r;
}
