/* cgroup_internal.h - what the files of cgroup share. */
#pragma once

#include "kubelet/runtime/cgroup.h"

#define CGROUP_PATH_MAX 512

/* The hierarchy that has this controller: its mount point; NULL when there is none. The v2 tree has all of them. */
const char *cgroup_mount(const struct cgroup_tree *tree, const char *controller);
/* One file of a cgroup, cut at size - 1, NUL-terminated, without its last newline. -1 with errno. */
int cgroup_read_file(const char *mount, const char *path, const char *file, char *out, size_t size);
int cgroup_write_file(const char *mount, const char *path, const char *file, const char *text);
