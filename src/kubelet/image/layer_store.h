/* layer_store.h - unpacked layers by content, each in a folder of its own:
 *
 *   layers/<20 digits of the diff id>/fs          what overlayfs stacks
 *   layers/<20 digits of the diff id>/layer.json  whole diff id, size, folders without attributes of their own
 *
 * Short names let many layers fit into one mount(2); the whole id is compared whenever a layer is taken. Any thread. */
#pragma once

#include "base/map.h"
#include "base/sync.h"
#include "kubelet/image/layer.h"

#define LAYER_NAME_LEN 20

struct layer_store {
    const char *dir;     /* of the image store; not owned */
    const char *session; /* folder for what is half done; not owned */
    bool no_sync;
    const struct layer_limits *limits;
    const atomic_bool *cancel;
    struct rng *rng;
    struct mutex lock;
    struct cond changed;
    struct map claims; /* diff ids being fetched right now */
};

void layer_store_init(struct layer_store *layers);
void layer_store_deinit(struct layer_store *layers);

struct layer_info {
    struct digest diff_id;
    uint64_t size;
    struct image_implied implied; /* in the arena */
};

void layer_name(const struct digest *diff_id, char ret_name[LAYER_NAME_LEN + 1]);
/* ERR_NOT_FOUND when absent, ERR_CONFLICT when another layer has the same short name. */
int layer_store_get(const struct layer_store *layers, struct arena *arena, const struct digest *diff_id,
                    struct layer_info *ret_info, struct err *err);
/* True: the caller is the one to fetch it, and must call layer_store_unclaim(). Otherwise it waits until whoever does
 * has finished, and false means: look again. ERR_CANCELLED, ERR_NO_MEMORY. */
int layer_store_claim(struct layer_store *layers, const struct digest *diff_id, bool *ret_mine, struct err *err);
void layer_store_unclaim(struct layer_store *layers, const struct digest *diff_id);
bool layer_store_claimed(struct layer_store *layers, struct str short_name);
/* Unpacks, waits for the disk, and moves the layer to its place. Another process may have been faster: fine. */
int layer_store_add(struct layer_store *layers, struct arena *arena, const struct layer_source *source,
                    struct layer_info *ret_info, struct err *err);
/* Moves the layers that keep() does not want into the session's folder (quick; under the store's lock), except those
 * claimed, mounted, or younger than young_before (Unix seconds); layer_store_empty_trash() then removes them. */
struct layer_sweep {
    bool (*keep)(void *ctx, struct str short_name);
    void *ctx;
    int64_t young_before; /* INT64_MAX: age does not matter */
    uint64_t freed;       /* bytes of what was moved; added to */
};
int layer_store_sweep(struct layer_store *layers, struct layer_sweep *sweep, struct err *err);
int layer_store_empty_trash(struct layer_store *layers, struct err *err);
