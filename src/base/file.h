/* file.h - whole files: read with a cap, written so that a crash leaves the old or the new one. */
#pragma once

#include <sys/types.h>

#include "base/buf.h"
#include "base/err.h"

/* Appends the file to buf; ERR_TOO_LARGE beyond max bytes. */
int file_read(const char *path, size_t max, struct buf *buf, struct err *err);
/* Temporary file beside it, fsync, rename, fsync of the folder. */
int file_write_atomic(const char *path, struct str data, mode_t mode, struct err *err);
/* mkdir -p. */
int file_make_dirs(const char *path, mode_t mode, struct err *err);
/* rm -rf that never follows a symbolic link and never crosses into another file system. Absent is fine. */
int file_remove_tree(const char *path, struct err *err);
bool file_exists(const char *path);
