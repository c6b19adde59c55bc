/* host_files.h - /etc/hosts and /etc/resolv.conf of a pod. */
#pragma once

#include "kubelet/internal.h"

/* Leaves files alone whose text is right. */
int host_files_write(struct pod_sync *sync, struct err *err);
char *host_file_path(struct pod_sync *sync, const char *name); /* "etc-hosts", "resolv.conf" */
/* Not synced to the disk: for what is written again after a crash. The file keeps its inode, as it may be mounted. */
int file_write_plain(const char *path, struct str data, mode_t mode, struct err *err);
