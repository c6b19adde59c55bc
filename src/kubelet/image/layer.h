/* layer.h - unpacks one layer: a tar, plain or compressed with gzip or zstd. */
#pragma once

#include "kubelet/image/digest.h"
#include "kubelet/image/layer_tree.h"

struct layer_source {
    int fd;                                     /* read from where it stands; not closed */
    const struct digest *diff_id;               /* what the uncompressed tar must have; NULL: anything */
    const struct layer_limits *limits;          /* NULL: the defaults */
    void (*progress)(void *ctx, uint64_t read); /* compressed bytes so far; NULL: not wanted */
    void *ctx;
    const atomic_bool *cancel; /* NULL, or: give up with ERR_CANCELLED when it becomes true */
};

struct layer_result {
    struct digest diff_id;
    uint64_t bytes, entries; /* of the files; of the archive */
    struct image_implied {
        struct str *paths; /* folders made only because a file lies in them, so with attributes of our own */
        size_t count;
    } implied; /* in the arena */
};

/* Into an empty folder of the caller, who removes it when this fails. ERR_INVALID for a layer that is damaged, hostile
 * or not what its digest says; ERR_TOO_LARGE past the limits. Any thread. */
int layer_unpack(const struct layer_source *source, int root, struct arena *arena, struct layer_result *ret_result,
                 struct err *err);
