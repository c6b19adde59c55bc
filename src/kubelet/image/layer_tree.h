/* layer_tree.h - puts the entries of a layer's tar beneath one folder, and nowhere else.
 *
 * The folder must belong to nobody else meanwhile. One thread at a time. */
#pragma once

#include "base/arena.h"
#include "base/err.h"
#include "base/map.h"
#include "base/vec.h"

struct archive;
struct archive_entry;

struct layer_limits {
    uint64_t max_bytes;   /* of the uncompressed tar, and of all file sizes together; 0: 64 GiB */
    uint64_t max_entries; /* 0: 4 million */
};

struct layer_folder {
    struct str path;
    int64_t seconds;
    long nanoseconds;
};

struct layer_tree {
    int root;     /* O_PATH or readable descriptor of the folder; not owned */
    bool own_ids; /* cannot give files away (not root): owners stay */
    struct layer_limits limits;
    uint64_t bytes, entries; /* of files; of everything in the archive */
    struct arena arena;
    struct map implied; /* folders that were made for their children but were not in the archive: path -> path */
    VEC(struct layer_folder) folders; /* times to set at the end */
    struct {
        char path[4096];
        int fd;
    } parent; /* of the last entry */
};

int layer_tree_init(struct layer_tree *tree, int root, const struct layer_limits *limits, struct err *err);
void layer_tree_deinit(struct layer_tree *tree);
/* One entry; its data is read from archive. ERR_INVALID for what no layer may hold. */
int layer_tree_add(struct layer_tree *tree, struct archive *archive, struct archive_entry *entry, struct err *err);
/* After the last entry: the times of the folders. */
int layer_tree_finish(struct layer_tree *tree, struct err *err);

/* path without leading '/', "." and empty parts; ".." takes one part back and stops at the root. "" is the root.
 * ERR_INVALID when it is too long or too deep. */
#define LAYER_PATH_MAX 4096
int layer_clean_path(struct str path, char ret_path[LAYER_PATH_MAX], struct err *err);
