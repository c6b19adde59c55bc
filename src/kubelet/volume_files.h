/* volume_files.h - a set of files that changes all at once: what configMap, secret, downwardAPI and projected volumes hold.
 *
 *   <volume>/..1767312000000000000/key   the files of one version
 *   <volume>/..data -> ..1767312000000000000
 *   <volume>/key -> ..data/key
 * A new version is written beside the old one, then ..data is moved over: readers see one or the other. */
#pragma once

#include "base/arena.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/vec.h"

struct volume_file {
    struct str path; /* relative, may have folders, never ".." (checked) */
    struct str data;
    mode_t mode;
};

struct volume_files {
    VEC(struct volume_file) files;
};

int volume_files_add(struct volume_files *files, struct str path, struct str data, mode_t mode, struct err *err);
/* Nothing is written when the present version is the same. gid: owner group, or -1. */
int volume_files_write(struct arena *arena, const struct volume_files *files, const char *folder, nsec_t wall,
                       gid_t gid, struct err *err);
void volume_files_deinit(struct volume_files *files);
