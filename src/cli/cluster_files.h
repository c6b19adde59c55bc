/* cluster_files.h - what a cluster needs beside its store: the files of DIR/pki, with its authority's key. */
#pragma once

#include "base/arena.h"
#include "cli/cli.h"
#include "store/backup/backup.h"

struct cluster_files {
    struct backup_file files[BACKUP_FILES_MAX];
    size_t count;
};

/* None when there is no such folder. ERR_TOO_LARGE: more or larger files than a backup takes. */
int cluster_files_load(struct arena *arena, const struct instance *instance, struct cluster_files *ret_files,
                       struct err *err);
/* Writes them into a folder of their own, which is made: "pki/ca.crt" becomes FOLDER/ca.crt. Names that are anything
 * else are ERR_INVALID. */
int cluster_files_write(const struct backup_file *files, size_t count, const char *folder, struct err *err);
