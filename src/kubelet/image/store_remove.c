/* store_remove.c - letting go of images, and what they take.
 *
 * The list is written without the image first; then the layers that no other image needs are moved out of layers/ under
 * the lock, which is quick, and deleted after it was given back, which is not. A crash in between leaves layers that
 * the next sweep finds. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "kubelet/image/image_ref.h"
#include "kubelet/image/store_private.h"

struct removal {
    struct str ref;
    struct image *gone; /* the image whose last name it was */
};

static int remove_ref(void *ctx, struct store_index *index, struct err *err)
{
    struct removal *removal = ctx;
    struct index_entry *entry;
    bool by_id;
    int r = store_index_find(index, removal->ref, &entry, &by_id, err);

    if (r < 0)
        return r;
    if (!by_id && entry->image->repo_tags.count + entry->image->repo_digests.count > 1) {
        AUTO(arena) arena = arena_new(0);
        struct image_ref ref;
        r = arena ? image_ref_parse(arena, removal->ref, &ref, err) : err_set(err, ERR_NO_MEMORY, "image");
        if (r < 0)
            return r;
        struct str tag = ref.digest.data ? image_ref_digested(arena, &ref, ref.digest) : image_ref_tagged(arena, &ref);
        if (ref.digest.data || entry->image->repo_tags.count > 1)
            return store_index_untag(index, entry, tag, err);
    }
    removal->gone = image_keep(entry->image);
    store_index_remove(index, entry);
    return 0;
}

static void remove_config(struct image_store *store, const struct image *image)
{
    char path[PATH_MAX];

    snprintf(path, sizeof path, "%s/blobs/%s", store->dir, image->id.text + 7);
    unlink(path);
}

static bool layer_is_listed(void *ctx, struct str short_name)
{
    struct image_store *store = ctx;
    LOCKED(&store->lock);

    for (struct index_entry *entry = NULL; (entry = store_index_next(&store->index, entry));) {
        if (str_has_prefix(digest_hex(&entry->image->attributes), short_name))
            return true;
        for (size_t i = 0; i < entry->image->layer_count; i++)
            if (str_has_prefix(digest_hex(&entry->image->layers[i].diff_id), short_name))
                return true;
    }
    return false;
}

/* Under the exclusive lock. */
static int sweep_locked(struct image_store *store, int64_t young_before, uint64_t *ret_freed, struct err *err)
{
    struct layer_sweep sweep = { layer_is_listed, store, young_before, 0 };
    int r = layer_store_sweep(&store->layers, &sweep, err);

    *ret_freed = sweep.freed;
    return r;
}

int store_sweep(struct image_store *store, int64_t young_before, uint64_t *ret_freed, struct err *err)
{
    AUTO_CLOSE int lock = -1;
    int r;

    if ((r = store_lock(store, true, &lock, err)) < 0 || (r = store_refresh(store, err)) < 0 ||
        (r = sweep_locked(store, young_before, ret_freed, err)) < 0)
        return r;
    auto_close_fd(&lock);
    lock = -1;
    return layer_store_empty_trash(&store->layers, err);
}

int store_remove(struct image_store *store, struct str ref, uint64_t *ret_freed, struct err *err)
{
    struct removal removal = { ref, NULL };
    AUTO_CLOSE int lock = -1;
    uint64_t freed = 0;
    int r = store_lock(store, true, &lock, err);

    if (r == 0)
        r = image_store_change(store, remove_ref, &removal, err);
    if (r == 0 && removal.gone) {
        remove_config(store, removal.gone);
        r = sweep_locked(store, INT64_MAX, &freed, err);
        auto_close_fd(&lock);
        lock = -1;
        if (r == 0)
            r = layer_store_empty_trash(&store->layers, err);
    }
    image_drop(removal.gone);
    if (r == 0)
        *ret_freed = freed;
    return r;
}

int image_store_remove(struct image_store *store, struct str ref, struct err *err)
{
    uint64_t freed;
    int r = store_enter(store, err);

    if (r < 0)
        return r;
    r = store_remove(store, ref, &freed, err);
    store_leave(store);
    return r;
}

/* -- how much it takes -- */

static int disk_stat(struct image_store *store, uint64_t *ret_capacity, uint64_t *ret_available, struct err *err)
{
    struct statvfs st;

    if (store->options.disk_stat)
        return store->options.disk_stat(store->options.disk_stat_ctx, ret_capacity, ret_available);
    if (statvfs(store->dir, &st) < 0)
        return err_errno(err, errno, "looking at the file system of %s", store->dir);
    *ret_capacity = (uint64_t)st.f_blocks * st.f_frsize;
    *ret_available = (uint64_t)st.f_bavail * st.f_frsize;
    return 0;
}

/* The bytes of all layers, each counted once. */
static uint64_t used_bytes(const struct store_index *index)
{
    struct map seen = MAP_INIT;
    uint64_t used = 0;

    for (struct index_entry *entry = NULL; (entry = store_index_next(index, entry));) {
        used += entry->image->config_json.len;
        for (size_t i = 0; i < entry->image->layer_count; i++) {
            const struct image_layer *layer = &entry->image->layers[i];
            if (map_get(&seen, digest_str(&layer->diff_id)))
                continue;
            used += layer->size;
            map_put(&seen, digest_str(&layer->diff_id), (void *)layer, NULL);
        }
    }
    map_deinit(&seen);
    return used;
}

int image_store_usage(struct image_store *store, struct image_usage *ret_usage, struct err *err)
{
    struct image_usage usage = { 0 };
    int r;

    if ((r = store_refresh(store, err)) < 0 || (r = disk_stat(store, &usage.capacity, &usage.available, err)) < 0)
        return r;
    LOCKED(&store->lock);
    usage.used = used_bytes(&store->index);
    *ret_usage = usage;
    return 0;
}
