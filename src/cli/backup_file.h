/* backup_file.h - files and pipes as where backups go to and come from. */
#pragma once

#include "store/backup/stream.h"

/* A file that appears under its name when it is whole, and not before: until then it is NAME.partial. */
struct backup_file_out {
    const char *name; /* NULL: standard output */
    int fd;
    char partial[4096];
};
/* "-" is standard output. ERR_CONFLICT: another process is writing the same file. */
int backup_file_create(const char *name, struct backup_file_out *ret_out, struct err *err);
struct stream_sink backup_file_sink(struct backup_file_out *out);
/* On disk and named. */
int backup_file_finish(struct backup_file_out *out, struct err *err);
/* Not finished: as if it had never been; finished or not created: nothing. */
void backup_file_abort(struct backup_file_out *out);

/* Opens for reading; "-" is standard input. The descriptor is the caller's. */
int backup_file_open(const char *name, int *ret_fd, struct err *err);
struct stream_source backup_file_source(int *fd);
/* Whether the file is an encrypted backup; of what is no file that can be read twice: false. */
bool backup_file_is_encrypted(const char *name);
