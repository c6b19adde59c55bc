/* host_files.h - /etc/hosts and /etc/resolv.conf of a pod. */
#pragma once

#include "kubelet/internal.h"

int host_files_write(struct pod_sync *sync, struct err *err);
char *host_file_path(struct pod_sync *sync, const char *name); /* "etc-hosts", "resolv.conf" */
