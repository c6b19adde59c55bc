/* store_assemble.c - from verified layers to an image in the list.
 *
 * Several threads take the layers one by one. When all are there, the list is changed under the store's lock, where
 * it is checked once more that no layer was removed meanwhile (its former image may have been): then the round is
 * repeated. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <unistd.h>

#include "base/file.h"
#include "kubelet/image/store_private.h"

#define ROUNDS 5

struct assembly {
    struct image_store *store;
    const struct recipe *recipe;
    uint64_t *sizes;
    atomic_bool cancel; /* one layer failed, or the store closes */
    struct mutex lock;
    size_t next;
    struct err err; /* the first failure */
};

void store_report(const struct image_progress *progress, enum image_phase phase, size_t layer, size_t count,
                  const struct digest *digest, uint64_t bytes, uint64_t total)
{
    const struct image_event event = { phase, layer, count, digest ? digest_str(digest) : STR_NULL, bytes, total };

    if (progress->report)
        progress->report(progress->ctx, &event);
}

struct unpacking {
    struct assembly *assembly;
    size_t layer;
    uint64_t reported;
};

static void report_unpacking(void *ctx, uint64_t bytes)
{
    struct unpacking *unpacking = ctx;
    const struct recipe *recipe = unpacking->assembly->recipe;
    const struct recipe_layer *layer = &recipe->layers[unpacking->layer];

    if (atomic_load(&unpacking->assembly->store->closing))
        atomic_store(&unpacking->assembly->cancel, true);
    if (bytes - unpacking->reported < (1u << 20) && bytes != layer->compressed)
        return;
    unpacking->reported = bytes;
    store_report(&recipe->progress, IMAGE_UNPACKING, unpacking->layer, recipe->layer_count, &layer->diff_id, bytes,
                 layer->compressed);
}

/* The caller holds the claim on this layer. */
static int fetch_layer(struct assembly *assembly, struct arena *arena, size_t i, struct layer_info *ret_info,
                       struct err *err)
{
    const struct recipe *recipe = assembly->recipe;
    struct unpacking unpacking = { assembly, i, 0 };
    AUTO_CLOSE int fd = -1;
    int r = recipe->open_layer(recipe->ctx, i, &fd, err);

    if (r < 0)
        return r;
    const struct layer_source source = {
        .fd = fd,
        .diff_id = &recipe->layers[i].diff_id,
        .limits = &assembly->store->options.layer_limits,
        .progress = report_unpacking,
        .ctx = &unpacking,
        .cancel = &assembly->cancel,
    };
    r = layer_store_add(&assembly->store->layers, arena, &source, ret_info, err);
    if (recipe->release_layer)
        recipe->release_layer(recipe->ctx, i, r == 0);
    return r;
}

static int ensure_layer(struct assembly *assembly, struct arena *arena, size_t i, struct err *err)
{
    struct layer_store *layers = &assembly->store->layers;
    const struct recipe *recipe = assembly->recipe;
    const struct digest *diff_id = &recipe->layers[i].diff_id;
    struct layer_info info;
    bool mine = false;
    int r = 0;

    if (atomic_load(&assembly->store->closing))
        return err_set(err, ERR_CANCELLED, "the image store is being closed");
    while (!mine && r == 0)
        r = layer_store_claim(layers, diff_id, &mine, err);
    if (r < 0)
        return r;
    r = layer_store_get(layers, arena, diff_id, &info, err);
    if (r == 0)
        store_report(&recipe->progress, IMAGE_EXISTS, i, recipe->layer_count, diff_id, 0, 0);
    if (r == -ERR_NOT_FOUND) {
        r = fetch_layer(assembly, arena, i, &info, err);
        if (r == 0)
            store_report(&recipe->progress, IMAGE_LAYER_DONE, i, recipe->layer_count, diff_id, 0, 0);
    }
    layer_store_unclaim(layers, diff_id);
    if (r == 0)
        assembly->sizes[i] = info.size;
    return r;
}

static bool take_next(struct assembly *assembly, size_t *ret_layer)
{
    LOCKED(&assembly->lock);

    if (assembly->next >= assembly->recipe->layer_count || atomic_load(&assembly->cancel))
        return false;
    *ret_layer = assembly->next++;
    return true;
}

static void work(void *arg)
{
    struct assembly *assembly = arg;
    size_t i;

    while (take_next(assembly, &i)) {
        AUTO(arena) arena = arena_new(0);
        struct err err = { 0 };
        int r = arena ? ensure_layer(assembly, arena, i, &err) : err_set(&err, ERR_NO_MEMORY, "layer");
        if (r == 0)
            continue;
        err_wrap(&err, r, "layer %zu of %zu", i + 1, assembly->recipe->layer_count);
        LOCKED(&assembly->lock);
        if (!assembly->err.code)
            assembly->err = err;
        atomic_store(&assembly->cancel, true);
    }
}

static int ensure_layers(struct assembly *assembly, struct err *err)
{
    struct thread threads[16] = { 0 };
    int count = MIN(assembly->store->options.parallel, (int)assembly->recipe->layer_count) - 1;

    assembly->next = 0;
    for (int i = 0; i < count; i++)
        if (thread_start(&threads[i], "image-layer", work, assembly, NULL) < 0)
            break; /* the others do its share */
    work(assembly);
    for (int i = 0; i < count; i++)
        thread_join(&threads[i]);
    return assembly->err.code ? err_set(err, assembly->err.code, "%s", assembly->err.message) : 0;
}

struct addition {
    struct assembly *assembly;
    struct image *image;
    bool layer_gone;
};

static int write_config(struct image_store *store, const struct image *image, struct err *err)
{
    char path[PATH_MAX];

    snprintf(path, sizeof path, "%s/blobs/%s", store->dir, image->id.text + 7);
    return file_write_atomic(path, image->config_json, 0600, err);
}

static int check_layer(struct addition *addition, const struct digest *diff_id, struct err *err)
{
    char path[PATH_MAX], name[LAYER_NAME_LEN + 1];

    layer_name(diff_id, name);
    snprintf(path, sizeof path, "%s/layers/%s/layer.json", addition->assembly->store->dir, name);
    if (file_exists(path))
        return 0;
    addition->layer_gone = true;
    return err_set(err, ERR_CONFLICT, "layer %s was removed while the image was being added", name);
}

static int add_to_list(void *ctx, struct store_index *index, struct err *err)
{
    struct addition *addition = ctx;
    struct image_store *store = addition->assembly->store;
    const struct image *image = addition->image;
    int r = image->attributes.text[0] ? check_layer(addition, &image->attributes, err) : 0;

    for (size_t i = 0; i < image->layer_count && r == 0; i++)
        r = check_layer(addition, &image->layers[i].diff_id, err);
    if (r < 0 || (r = write_config(store, image, err)) < 0 ||
        (r = store_index_put(index, addition->image, clock_wall(store->options.clock), err)) < 0)
        return r;
    struct index_entry *entry = store_index_by_id(index, digest_str(&addition->image->id));
    image_drop(addition->image);
    addition->image = image_keep(entry->image);
    return 0;
}

static int commit(struct assembly *assembly, struct addition *addition, struct err *err)
{
    const struct recipe *recipe = assembly->recipe;
    struct image_parts parts = { recipe->config_json, recipe->manifest,     { "" },
                                 recipe->repo_tags,   recipe->repo_digests, assembly->sizes,
                                 recipe->layer_count };
    AUTO_CLOSE int lock = -1;
    int r = store_attributes(assembly->store, recipe, &parts.attributes, err);

    addition->layer_gone = r == -ERR_NOT_FOUND;
    if (r < 0 || (r = image_new(&parts, &addition->image, err)) < 0 ||
        (r = store_lock(assembly->store, true, &lock, err)) < 0)
        return r;
    return image_store_change(assembly->store, add_to_list, addition, err);
}

/* Before anything is fetched: is this an image, and one for this machine? */
static int check_config(const struct image_store *store, const struct recipe *recipe, const uint64_t *sizes,
                        struct err *err)
{
    const struct image_parts parts = { .config_json = recipe->config_json,
                                       .sizes = sizes,
                                       .size_count = recipe->layer_count };
    AUTO(image) image = NULL;
    int r = image_new(&parts, &image, err);

    if (r < 0)
        return r;
    const struct image_config *config = &image->config;
    if ((config->os.len && !str_is(config->os, "linux")) ||
        (config->architecture.len && !str_eq(config->architecture, store->options.architecture)))
        return err_set(err, ERR_NOT_SUPPORTED,
                       "the image is for " STR_FMT "/" STR_FMT ", this machine is linux/" STR_FMT,
                       STR_ARG(str_first(config->os, 32)), STR_ARG(str_first(config->architecture, 32)),
                       STR_ARG(store->options.architecture));
    return 0;
}

int store_assemble(struct image_store *store, const struct recipe *recipe, struct image **ret_image, struct err *err)
{
    struct assembly assembly = { .store = store, .recipe = recipe };
    AUTO_FREE uint64_t *sizes = calloc(MAX(recipe->layer_count, 1), sizeof(*sizes));
    int r = 0;

    if (!sizes)
        return err_set(err, ERR_NO_MEMORY, "image");
    r = check_config(store, recipe, sizes, err);
    if (r < 0)
        return r;
    assembly.sizes = sizes;
    mutex_init(&assembly.lock);
    for (int round = 0; round < ROUNDS; round++) {
        struct addition addition = { &assembly, NULL, false };
        r = ensure_layers(&assembly, err);
        if (r == 0)
            r = commit(&assembly, &addition, err);
        if (r == 0)
            *ret_image = TAKE(addition.image);
        image_drop(addition.image);
        if (!addition.layer_gone)
            break;
    }
    mutex_deinit(&assembly.lock);
    return r;
}
