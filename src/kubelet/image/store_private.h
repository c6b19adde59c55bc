/* store_private.h - what the files of the image store share; nobody else includes it. */
#pragma once

#include "base/sync.h"
#include "kubelet/image/image_store.h"
#include "kubelet/image/layer_store.h"
#include "kubelet/image/store_index.h"

struct registry;

/* Which images.json is in memory: a rename gives it another inode or time. */
struct file_identity {
    uint64_t device, inode, size;
    int64_t seconds, nanoseconds;
};

struct image_store {
    struct image_store_options options; /* strings in the arena */
    struct arena arena;
    char *dir, *session;
    int session_lock;
    struct layer_store layers;
    struct registry *registry;
    atomic_bool closing;

    struct mutex lock; /* of what follows; never held across I/O */
    struct cond idle;
    int active; /* calls under way */
    struct store_index index;
    struct file_identity identity;
    bool touched; /* last_used has changed since images.json was written */
};

/* The lock between processes, for changes (exclusive) and for mounting (shared); close the descriptor to let go. */
int store_lock(struct image_store *store, bool exclusive, int *ret_fd, struct err *err);
/* ERR_CANCELLED once the store is being closed; otherwise it stays open until store_leave(). */
int store_enter(struct image_store *store, struct err *err);
void store_leave(struct image_store *store);
/* Takes over what another process has committed. */
int store_refresh(struct image_store *store, struct err *err);

/* Changes the list: change() works on a copy, which is written and then becomes the list. lock_fd: of an exclusive
 * store_lock(). */
typedef int store_change(void *ctx, struct store_index *index, struct err *err);
int image_store_change(struct image_store *store, store_change *change, void *ctx, struct err *err);

/* What an image is put together from. Slices and arrays live until store_assemble() returns. */
struct recipe_layer {
    struct digest diff_id;
    uint64_t compressed; /* bytes to read; 0: not known */
};
struct recipe {
    struct str config_json;
    struct digest manifest; /* unset: none */
    struct image_strings repo_tags, repo_digests;
    const struct recipe_layer *layers;
    size_t layer_count;
    /* The bytes of a layer that is not here, from several threads. The descriptor is closed by who asked for it;
     * release_layer (may be NULL) tells that they were read. */
    int (*open_layer)(void *ctx, size_t layer, int *ret_fd, struct err *err);
    void (*release_layer)(void *ctx, size_t layer, bool unpacked);
    void *ctx;
    struct image_progress progress;
};
/* The digest of the extra layer that the recipe's layers, all in the store, need on top; unset: none. */
int store_attributes(struct image_store *store, const struct recipe *recipe, struct digest *ret_digest,
                     struct err *err);
int store_assemble(struct image_store *store, const struct recipe *recipe, struct image **ret_image, struct err *err);

/* image_store_remove(), and how many bytes of layers went with it. */
int store_remove(struct image_store *store, struct str ref, uint64_t *ret_freed, struct err *err);
/* Removes layers that no image of the list needs (older than young_before, see layer_store.h), then the files. */
int store_sweep(struct image_store *store, int64_t young_before, uint64_t *ret_freed, struct err *err);
void store_report(const struct image_progress *progress, enum image_phase phase, size_t layer, size_t count,
                  const struct digest *digest, uint64_t bytes, uint64_t total);
