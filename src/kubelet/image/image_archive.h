/* image_archive.h - an image archive (a tar), its files taken apart into a folder and found again by name.
 *
 * One thread. Nothing is trusted: names only serve as keys, files get names of our own. */
#pragma once

#include "base/arena.h"
#include "base/err.h"
#include "base/map.h"

struct archive_file {
    struct str name, target; /* clean paths; target: of a link, unset for a file */
    unsigned number;         /* its name in the folder */
    uint64_t size;
};

struct image_archive {
    const char *dir; /* not owned; emptied by the caller */
    struct arena arena;
    struct map files;
    unsigned count;
};

/* Reads all of fd. ERR_INVALID when it is no tar, ERR_TOO_LARGE beyond max_bytes. */
int image_archive_read(int fd, const char *dir, uint64_t max_bytes, const atomic_bool *cancel,
                       struct image_archive *ret_archive, struct err *err);
void image_archive_deinit(struct image_archive *archive);
/* NULL when absent. Links are followed within the archive. */
const struct archive_file *image_archive_find(const struct image_archive *archive, struct str name);
int image_archive_open(const struct image_archive *archive, const struct archive_file *file, int *ret_fd,
                       struct err *err);
/* A whole small file into the arena of the caller. */
int image_archive_load(const struct image_archive *archive, struct str name, size_t max, struct arena *arena,
                       struct str *ret_text, struct err *err);
