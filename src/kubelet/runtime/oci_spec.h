/* oci_spec.h - what a container is made of, as a plain struct, and its config.json for the OCI runtime.
 *
 * Nothing here touches the system: a spec goes in, JSON text comes out. All slices are borrowed for the call. */
#pragma once

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"

struct str_list {
    const struct str *items;
    size_t count;
};

struct oci_pair {
    struct str name, value;
};

enum oci_propagation { OCI_PROPAGATION_PRIVATE, OCI_PROPAGATION_SLAVE, OCI_PROPAGATION_SHARED };

/* A bind mount of a folder or file of the host. */
struct oci_mount {
    struct str source, target; /* absolute; target inside the container */
    bool read_only;
    bool recursive_read_only;
    enum oci_propagation propagation; /* None, HostToContainer, Bidirectional */
};

/* A tmpfs of its own (medium Memory for one container); size 0: half of the memory. */
struct oci_tmpfs {
    struct str target;
    uint64_t size;
};

struct oci_device {
    struct str path; /* inside */
    char type;       /* 'c', 'b' or 'p' */
    uint32_t major, minor, mode, uid, gid;
    struct str access; /* of "rwm" */
};

struct oci_rlimit {
    struct str name; /* "RLIMIT_NOFILE" */
    uint64_t soft, hard;
};

/* Paths of pinned namespaces; unset with host_* false: a new one, as for pid and mount. */
struct oci_namespaces {
    struct str net, ipc, uts, pid;
    bool host_net, host_ipc, host_uts, host_pid;
};

/* Zero means "not set" everywhere but where it says otherwise. */
struct oci_resources {
    int64_t cpu_request_milli; /* gives cpu shares (weight); 0: the least */
    int64_t cpu_limit_milli;   /* gives quota per 100 ms */
    int64_t memory_limit;      /* bytes */
    int64_t pids_limit;
    struct str cpuset_cpus, cpuset_mems;
};

enum oci_seccomp { OCI_SECCOMP_UNCONFINED, OCI_SECCOMP_RUNTIME_DEFAULT, OCI_SECCOMP_LOCALHOST };

struct oci_spec {
    struct str rootfs; /* absolute path of the mounted image */
    bool read_only_rootfs;
    struct str_list args;
    const struct oci_pair *env;
    size_t env_count;
    struct str cwd; /* unset: "/" */
    struct str hostname; /* $HOSTNAME, and of a new uts namespace */
    bool terminal;

    uint32_t uid, gid;
    const uint32_t *additional_gids;
    size_t additional_gid_count;
    uint32_t umask; /* 0: 0022 */

    bool privileged; /* all capabilities, all devices, nothing masked, writable /sys */
    struct str_list capabilities_add, capabilities_drop; /* with or without CAP_, "ALL" */
    uint64_t capabilities_here; /* bit per capability that this node can give; 0: all */
    bool no_new_privs;
    bool unmasked; /* procMount: Unmasked */
    enum oci_seccomp seccomp; /* RuntimeDefault is built in (seccomp.c); Localhost needs its text */
    struct str seccomp_json;  /* a "seccomp" object of the OCI specification, instead of the built-in one */
    struct str apparmor_profile;

    struct oci_namespaces namespaces;
    struct str cgroup_path; /* absolute inside every hierarchy: "/caravel/pod<uid>/<id>" */
    bool cgroup_v2;         /* a cgroup namespace, and a process out of memory takes its whole container along */
    struct oci_resources resources;
    int oom_score_adj;

    const struct oci_mount *mounts; /* in order, after the default ones (/proc, /dev, /dev/shm, /sys, ...) */
    size_t mount_count;
    const struct oci_tmpfs *tmpfs;
    size_t tmpfs_count;
    struct str dev_shm; /* host folder to bind at /dev/shm (shared by the pod); unset: one of its own of 64 MiB */
    const struct oci_device *devices;
    size_t device_count;
    const struct oci_rlimit *rlimits;
    size_t rlimit_count;
    const struct oci_pair *sysctls;
    size_t sysctl_count;
    const struct oci_pair *annotations;
    size_t annotation_count;
};

/* Appends config.json. ERR_INVALID for what cannot be run (no args, unknown capability, relative paths, a device
 * that is none), ERR_NOT_SUPPORTED for a seccomp profile without text. */
int oci_spec_write(const struct oci_spec *spec, struct buf *buf, struct err *err);

/* cpu request as cgroup v1 shares (2..262144) and the same as a v2 weight (1..10000). */
uint64_t cpu_shares(int64_t milli);
uint64_t cpu_weight(int64_t milli);
#define CPU_PERIOD_USEC 100000
int64_t cpu_quota_usec(int64_t milli); /* never below 1000, the least the kernel takes */
