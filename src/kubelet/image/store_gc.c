/* store_gc.c - makes room as the kubelet does: when the disk is fuller than the high mark, the images longest unused
 * go until it is below the low one. Images in use, or younger than min_age, stay. */
#include "kubelet/image/store_private.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <unistd.h>

#define DEFAULT_HIGH 85
#define DEFAULT_LOW 80
#define DEFAULT_MIN_AGE (120 * NSEC_PER_SEC)
#define ORPHAN_AGE_SECONDS 600 /* a layer that no image names may belong to a pull of another process */

struct candidate {
    struct image *image;
    nsec_t first_seen, last_used;
};

struct candidates {
    struct candidate *items;
    size_t count;
};

static int longest_unused_first(const void *a, const void *b)
{
    const struct candidate *x = a, *y = b;

    if (x->last_used != y->last_used)
        return x->last_used < y->last_used ? -1 : 1;
    return (x->first_seen > y->first_seen) - (x->first_seen < y->first_seen);
}

static int collect(struct image_store *store, struct candidates *ret, struct err *err)
{
    struct candidates list = { NULL, 0 };
    LOCKED(&store->lock);

    list.items = calloc(MAX(store->index.entries.count, 1), sizeof(*list.items));
    if (!list.items)
        return err_set(err, ERR_NO_MEMORY, "collecting images");
    for (struct index_entry *entry = NULL; (entry = store_index_next(&store->index, entry));)
        list.items[list.count++] = (struct candidate){ image_keep(entry->image), entry->first_seen, entry->last_used };
    if (list.count)
        qsort(list.items, list.count, sizeof(*list.items), longest_unused_first);
    *ret = list;
    return 0;
}

/* It may have been used since the list was made. */
static bool used_since(struct image_store *store, const struct candidate *candidate)
{
    LOCKED(&store->lock);
    struct index_entry *entry = store_index_by_id(&store->index, digest_str(&candidate->image->id));

    return !entry || entry->last_used != candidate->last_used;
}

static int remove_image(struct image_store *store, const struct candidate *candidate, struct image_gc_result *result,
                        struct err *err)
{
    uint64_t freed = 0;
    int r = store_remove(store, digest_str(&candidate->image->id), &freed, err);

    if (r == -ERR_NOT_FOUND)
        return 0;
    result->freed += freed;
    result->removed += r == 0;
    return r;
}

static int remove_until(struct image_store *store, const struct image_gc *gc, const struct candidates *list,
                        struct image_gc_result *result, struct err *err)
{
    nsec_t now = clock_wall(store->options.clock);
    nsec_t min_age = gc->min_age ? MAX(gc->min_age, 0) : DEFAULT_MIN_AGE;

    for (size_t i = 0; i < list->count; i++) {
        const struct candidate *candidate = &list->items[i];
        bool stale = gc->max_unused > 0 && now - candidate->last_used > gc->max_unused;
        if (!stale && result->freed >= result->wanted)
            continue;
        if (now - candidate->first_seen < min_age || (gc->in_use && gc->in_use(gc->ctx, candidate->image)) ||
            used_since(store, candidate))
            continue;
        int r = remove_image(store, candidate, result, err);
        if (r < 0)
            return r;
    }
    return 0;
}

/* Downloads that broke off and that nobody went on with. */
static void remove_partials(struct image_store *store)
{
    char path[PATH_MAX];
    struct dirent *entry;
    DIR *dir = opendir(store->session);

    while (dir && (entry = readdir(dir))) {
        if (strncmp(entry->d_name, "part-", 5) != 0 || layer_store_claimed(&store->layers, str_from(entry->d_name + 5)))
            continue;
        snprintf(path, sizeof path, "%s/%s", store->session, entry->d_name);
        unlink(path);
    }
    if (dir)
        closedir(dir);
}

static uint64_t bytes_wanted(const struct image_gc *gc, const struct image_usage *usage)
{
    uint64_t high = (uint64_t)(gc->high_percent > 0 ? gc->high_percent : DEFAULT_HIGH);
    uint64_t low = (uint64_t)(gc->low_percent > 0 ? gc->low_percent : DEFAULT_LOW);
    uint64_t available = MIN(usage->available, usage->capacity);

    if (usage->capacity == 0 || 100 - available * 100 / usage->capacity < high)
        return 0;
    uint64_t target = usage->capacity * (100 - MIN(low, 100)) / 100;
    return target > available ? target - available : 0;
}

static int run(struct image_store *store, const struct image_gc *gc, struct image_gc_result *result, struct err *err)
{
    struct candidates list = { NULL, 0 };
    struct image_usage usage;
    int64_t now = clock_wall(store->options.clock) / NSEC_PER_SEC;
    int r;

    remove_partials(store);
    if ((r = store_sweep(store, now - ORPHAN_AGE_SECONDS, &result->freed, err)) < 0 ||
        (r = image_store_usage(store, &usage, err)) < 0 || (r = collect(store, &list, err)) < 0)
        return r;
    result->freed = 0; /* what the sweep freed shows in the usage already */
    result->wanted = bytes_wanted(gc, &usage);
    r = remove_until(store, gc, &list, result, err);
    for (size_t i = 0; i < list.count; i++)
        image_drop(list.items[i].image);
    free(list.items);
    if (r == 0 && result->freed < result->wanted)
        return err_set(err, ERR_NO_SPACE, "%llu bytes of images had to go, only %llu could be freed",
                       (unsigned long long)result->wanted, (unsigned long long)result->freed);
    return r;
}

int image_store_gc(struct image_store *store, const struct image_gc *gc, struct image_gc_result *ret_result,
                   struct err *err)
{
    struct image_gc_result result = { 0 };
    int r = store_enter(store, err);

    if (r < 0)
        return r;
    r = run(store, gc, &result, err);
    store_leave(store);
    if (ret_result)
        *ret_result = result;
    return r;
}
