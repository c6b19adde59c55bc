/* rootfs.h - the file system of a container: an overlay of its image's layers.
 *
 * In the container's folder: upper/ (what it writes), work/ (overlayfs' own) and rootfs/ (where it is mounted, in the
 * mount namespace of the caller). The mount outlives this process; its layers are safe as long as it stands. */
#pragma once

#include "kubelet/image/image_store.h"

struct rootfs_options {
    const char *dir; /* of the container; made when absent. Absolute, without ':', ',' or '\' */
    bool read_only;  /* nothing can be written, not even mount points made: for image volumes. For a container with
                      * readOnlyRootFilesystem leave it out and set root.readonly in the OCI configuration. */
    bool old_kernel; /* for tests: mount as on kernels before 6.8 */
};

/* The mounted folder, "<dir>/rootfs". ERR_ALREADY_EXISTS when it is mounted already; ERR_NOT_FOUND when a layer is not
 * in the store any more; ERR_NOT_SUPPORTED when the file system beneath cannot hold an overlay. Undone on failure. */
int rootfs_mount(struct image_store *store, const struct image *image, const struct rootfs_options *options,
                 struct str *ret_path, struct arena *arena, struct err *err);
/* Unmounts and removes upper/, work/ and rootfs/, whatever of them is there; the folder itself stays. */
int rootfs_unmount(const char *dir, struct err *err);
