/* namespace.h - making and pinning the namespaces of a pod, and the mount namespace in which conmon and crun run.
 *
 * Any thread. */
#pragma once

#include "base/err.h"
#include "kubelet/runtime/cgroup.h"
#include "kubelet/runtime/runtime.h"

/* A mount namespace in which crun finds cgroup v1 only, as a descriptor; -1 in *ret_fd when it can use ours. */
int namespace_cgroup_view(const struct cgroup_tree *tree, int *ret_fd, struct err *err);
/* Sees to it that mounts made below path later show in that namespace too; *ret_made: a mount was made for it. */
int namespace_share_dir(const char *path, bool *ret_made, struct err *err);

/* Makes the pod's namespaces and binds them to <dir>/{net,ipc,uts}; those that its spec leaves to the host are not
 * made. On failure nothing is left. */
int namespaces_create(const char *dir, const struct sandbox_spec *spec, struct err *err);
/* Are all of them there? */
bool namespaces_exist(const char *dir, const struct sandbox_spec *spec);
/* Unmounts and removes dir. Absent is fine. */
int namespaces_remove(const char *dir, struct err *err);

/* "net.core.somaxconn" to "net/core/somaxconn". ERR_INVALID unless it belongs to a namespace that the pod has to
 * itself. */
int sysctl_path(const struct sandbox_spec *spec, struct str name, char *out, size_t size, struct err *err);
