/* store_pull.c - from a name to an image: manifest, configuration, missing layers.
 *
 * Where to ask is a list: the registry's mirror, if there is one, and then the registry with each credential that fits
 * (with none if none fits), as the kubelet does. The next place is tried when this one refuses, does not know the image
 * or is not reached; layers that have arrived by then are not fetched again. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <unistd.h>

#include "kubelet/image/registry.h"
#include "kubelet/image/store_private.h"

#define NESTING_MAX 3

struct puller {
    struct image_store *store;
    const struct image_pull *options;
    struct arena *arena;
    struct image_ref ref;
    struct repository *repository;
    struct digest top; /* of what the name stands for: often an index */
    struct digest manifest_digest;
    struct manifest manifest;
    struct recipe_layer *layers;
};

/* -- layers -- */

struct reporting {
    struct puller *puller;
    size_t layer;
    uint64_t reported;
};

static void report_bytes(void *ctx, uint64_t bytes)
{
    struct reporting *reporting = ctx;
    struct puller *puller = reporting->puller;
    uint64_t total = puller->manifest.layers[reporting->layer].size;

    if (bytes - reporting->reported < (256u << 10) && bytes != total)
        return;
    reporting->reported = bytes;
    store_report(&puller->options->progress, IMAGE_DOWNLOADING, reporting->layer, puller->manifest.layer_count,
                 &puller->layers[reporting->layer].diff_id, bytes, total);
}

static void part_path(const struct puller *puller, size_t layer, char ret_path[PATH_MAX])
{
    char name[LAYER_NAME_LEN + 1];

    layer_name(&puller->layers[layer].diff_id, name);
    snprintf(ret_path, PATH_MAX, "%s/part-%s", puller->store->session, name);
}

static int open_layer(void *ctx, size_t layer, int *ret_fd, struct err *err)
{
    struct puller *puller = ctx;
    struct reporting reporting = { puller, layer, 0 };
    char path[PATH_MAX];
    const struct blob_download download = { &puller->manifest.layers[layer], path, report_bytes, &reporting };

    part_path(puller, layer, path);
    if (download.descriptor->size > puller->store->options.max_archive)
        return err_set(err, ERR_TOO_LARGE, "the layer has %llu bytes", (unsigned long long)download.descriptor->size);
    int r = repository_download(puller->repository, &download, err);
    if (r < 0)
        return r;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return err_errno(err, errno, "opening %s", path);
    *ret_fd = fd;
    return 0;
}

static void release_layer(void *ctx, size_t layer, bool unpacked)
{
    char path[PATH_MAX];

    part_path(ctx, layer, path);
    unlink(path);
}

/* -- manifest and configuration -- */

static int fetch_manifest(struct puller *puller, struct err *err)
{
    struct str reference = puller->ref.digest.data ? puller->ref.digest : puller->ref.tag;
    const struct image_store_options *options = &puller->store->options;
    struct fetched_manifest fetched;
    struct descriptor descriptor;
    struct json *root;
    bool index = true;

    for (int depth = 0;; depth++) {
        int r = repository_manifest(puller->repository, reference, puller->arena, &fetched, err);
        if (r < 0 || (r = manifest_read(puller->arena, fetched.text, fetched.media_type, &root, &index, err)) < 0)
            return r;
        if (depth == 0)
            puller->top = fetched.digest;
        puller->manifest_digest = fetched.digest;
        if (!index)
            return manifest_image(puller->arena, root, &puller->manifest, err);
        if (depth == NESTING_MAX)
            return err_set(err, ERR_INVALID, "image indexes are nested too deeply");
        if ((r = manifest_choose(root, options->architecture, options->variant, &descriptor, err)) < 0)
            return r;
        reference = arena_str(puller->arena, digest_str(&descriptor.digest));
        if (!reference.data)
            return err_set(err, ERR_NO_MEMORY, "manifest");
    }
}

static int fetch_config(struct puller *puller, struct str *ret_config, struct err *err)
{
    const struct manifest *manifest = &puller->manifest;
    struct digest *ids;
    size_t count;
    int r =
        repository_load_blob(puller->repository, &manifest->config, IMAGE_CONFIG_MAX, puller->arena, ret_config, err);

    if (r < 0 || (r = image_diff_ids(puller->arena, *ret_config, &ids, &count, err)) < 0)
        return r;
    if (count != manifest->layer_count)
        return err_set(err, ERR_INVALID, "the manifest has %zu layers, the configuration lists %zu",
                       manifest->layer_count, count);
    puller->layers = arena_array_of(puller->arena, MAX(count, 1), struct recipe_layer);
    if (!puller->layers)
        return err_set(err, ERR_NO_MEMORY, "image");
    for (size_t i = 0; i < count; i++)
        puller->layers[i] = (struct recipe_layer){ ids[i], manifest->layers[i].size };
    return 0;
}

static int pull_from(struct puller *puller, struct image **ret_image, struct err *err)
{
    struct str config = STR_NULL;
    int r;

    if ((r = fetch_manifest(puller, err)) < 0 || (r = fetch_config(puller, &config, err)) < 0)
        return r;
    struct str tag = puller->ref.digest.data ? STR_NULL : image_ref_tagged(puller->arena, &puller->ref);
    struct str digest = image_ref_digested(puller->arena, &puller->ref, digest_str(&puller->top));
    if (!digest.data || arena_failed(puller->arena))
        return err_set(err, ERR_NO_MEMORY, "image");
    const struct recipe recipe = {
        .config_json = config,
        .manifest = puller->manifest_digest,
        .repo_tags = { &tag, tag.data != NULL },
        .repo_digests = { &digest, 1 },
        .layers = puller->layers,
        .layer_count = puller->manifest.layer_count,
        .open_layer = open_layer,
        .release_layer = release_layer,
        .ctx = puller,
        .progress = puller->options->progress,
    };
    store_report(&recipe.progress, IMAGE_RESOLVED, 0, recipe.layer_count, NULL, 0, 0);
    return store_assemble(puller->store, &recipe, ret_image, err);
}

/* -- where to ask -- */

static int pull_at(struct puller *puller, const struct credential *credential, bool mirror, struct image **ret_image,
                   struct err *err)
{
    AUTO(repository) repository = NULL;
    int r = repository_open(puller->store->registry, &puller->ref, credential, mirror, &repository, err);

    if (r < 0)
        return r;
    puller->repository = repository;
    return pull_from(puller, ret_image, err);
}

static bool another_may_do(int code)
{
    return code == -ERR_UNAUTHORIZED || code == -ERR_FORBIDDEN || code == -ERR_NOT_FOUND || code == -ERR_UNAVAILABLE ||
           code == -ERR_TOO_MANY_REQUESTS || code == -ERR_BAD_REQUEST;
}

static int pull_anywhere(struct puller *puller, struct image **ret_image, struct err *err)
{
    const struct image_pull *options = puller->options;
    struct credential *list;
    size_t count;
    int r = credentials_match(puller->arena, options->secrets, options->secret_count, puller->ref.name, &list, &count,
                              NULL, err);

    if (r < 0)
        return r;
    r = pull_at(puller, NULL, true, ret_image, NULL);
    if (r == 0)
        return 0;
    r = pull_at(puller, count ? &list[0] : NULL, false, ret_image, err);
    for (size_t i = 1; i < count && r < 0 && another_may_do(r); i++)
        r = pull_at(puller, &list[i], false, ret_image, err);
    return r;
}

int image_store_pull(struct image_store *store, const struct image_pull *pull, struct image **ret_image,
                     struct err *err)
{
    AUTO(arena) arena = arena_new(256u << 20);
    struct puller puller = { .store = store, .options = pull, .arena = arena };
    int r = store_enter(store, err);

    if (r < 0)
        return r;
    r = arena ? image_ref_parse(arena, pull->ref, &puller.ref, err) : err_set(err, ERR_NO_MEMORY, "image");
    if (r == 0) {
        r = pull_anywhere(&puller, ret_image, err);
        if (r < 0)
            err_wrap(err, r, "pulling " STR_FMT, STR_ARG(puller.ref.text));
    }
    store_leave(store);
    return r;
}
