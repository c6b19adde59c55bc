/* log_files.h - the files that make up a container's log: the current one and its rotated predecessors. */
#pragma once

#include <sys/types.h>

#include "base/err.h"
#include "base/str.h"

struct log_file {
    char *path;
    int fd;
    dev_t device;
    ino_t inode;
    off_t size; /* when it was opened */
};

struct log_files {
    struct log_file *items; /* the oldest first */
    size_t count;
};

/* Opens all. ERR_NOT_FOUND when there is none. */
int log_files_open(const char *path, struct log_files *ret_files, struct err *err);
void log_files_deinit(struct log_files *files);
