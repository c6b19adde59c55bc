/* runtime_internal.h - what the files of the runtime share. See runtime.c for how the parts fit together. */
#pragma once

#include <limits.h>

#include "base/buf.h"
#include "base/map.h"
#include "base/sync.h"
#include "kubelet/runtime/runtime.h"

#define RECORD_MAX ((size_t)1 << 20)
#define BOOT_ID_MAX 40
#define DATA_DIR_MAX 1024
#define RUN_DIR_MAX 128
#define CONMON_CGROUPS_MAX CGROUP_HIERARCHIES_MAX

/* A container as the runtime keeps it. What stands in the record never changes; the rest is under runtime->lock. */
struct container_entry {
    atomic_uint refs;
    struct arena arena; /* holds the strings */
    struct runtime_container info;
    bool terminal, keep_stdin, stdin_once;
    bool failed_start;
    bool finished_seen;  /* exit was taken note of */
    bool oom_checked;
    pid_t conmon_pid;
    int conmon_pidfd, pidfd; /* -1: none */
};

struct runtime {
    char instance[64];
    char data_dir[DATA_DIR_MAX], run_dir[RUN_DIR_MAX];
    char containers_dir[DATA_DIR_MAX + 16], exits_dir[DATA_DIR_MAX + 32], sandboxes_dir[DATA_DIR_MAX + 16];
    char crun_root[RUN_DIR_MAX + 16];
    char cgroup_parent[128];
    char crun[PATH_MAX], conmon[PATH_MAX];
    char version[64], boot_id[BOOT_ID_MAX];
    struct cgroup_tree cgroups;
    uint64_t capabilities;  /* what we can give */
    int oom_score_adj_min;  /* what we may set */
    int mount_ns;           /* -1: ours */
    int conmon_cgroups[CONMON_CGROUPS_MAX];
    size_t conmon_cgroup_count;
    struct clock *clock;
    struct rng *rng;

    struct mutex lock;
    struct cond changed; /* some container has ended */
    struct map entries;  /* id -> struct container_entry */
    container_exit_fn *on_exit;
    void *on_exit_arg;
    int announcing; /* calls of on_exit under way */

    struct thread monitor;
    int epoll, stop; /* -1: not there */
};

/* entry.c: the table, the records. */
struct container_entry *entry_ref(struct container_entry *entry);
struct container_entry *entry_unref(struct container_entry *entry);
DEFINE_AUTO(container_entry, entry_unref)
/* From the text of its record. */
int entry_parse(struct str text, struct container_entry **ret_entry, struct err *err);
int entry_find(struct runtime *runtime, struct str id, struct container_entry **ret_entry, struct err *err);
int entry_add(struct runtime *runtime, struct container_entry *entry, struct err *err);
void entry_drop(struct runtime *runtime, struct container_entry *entry);
/* A reference to each, of one pod or all (pod_uid unset), the oldest first. */
int entry_snapshot(struct runtime *runtime, struct str pod_uid, struct container_entry ***ret_entries,
                   size_t *ret_count, struct err *err);
void entry_snapshot_free(struct container_entry **entries, size_t count);
void record_write_container(struct buf *buf, const struct runtime *runtime, const struct container_spec *spec,
                            struct str id, struct str cgroup, nsec_t created_at);
/* Reads all records at the start and takes up what still runs. */
int entry_load_all(struct runtime *runtime, struct err *err);
/* "<containers>/<id>/<file>" */
int entry_path(const struct runtime *runtime, struct str id, const char *file, char out[PATH_MAX], struct err *err);

/* monitor.c: ends of containers. */
int monitor_start(struct runtime *runtime, struct err *err);
void monitor_stop(struct runtime *runtime);
/* Watches the entry's conmon; takes a reference of its own. */
int monitor_watch(struct runtime *runtime, struct container_entry *entry, struct err *err);
/* Finds out how it ended, once; tells those who wait, and whoever listens when announce is set. */
void entry_finish(struct runtime *runtime, struct container_entry *entry, bool announce);

/* conmon.c */
/* Starts conmon, which has crun create the container; fills pids and pidfds of the entry. */
int conmon_start(struct runtime *runtime, struct container_entry *entry, struct err *err);
/* Opens what an earlier agent's conmon left; false: it does not run any more. */
bool conmon_adopt(struct runtime *runtime, struct container_entry *entry);
/* One line to a fifo of conmon. */
int conmon_control(struct runtime *runtime, struct str id, const char *line, struct err *err);

/* crun.c */
#define CRUN_ARGS_MAX 512
/* crun --root ... with these arguments to its end; ERR_INTERNAL with its words when the exit code is not 0. */
int crun_run(struct runtime *runtime, const char *const *args, struct err *err);
/* The first line of crun's complaint, without its level and time. */
struct str crun_message(struct str text);

/* state_file.c: small files that need not survive a power cut. */
int state_write(const char *path, struct str data, struct err *err);
int state_read(const char *path, struct buf *buf, struct err *err);
bool state_read_number(const char *path, int64_t *ret_value);
bool name_is_valid(struct str name);

/* device.c: all devices of the host, for privileged containers. */
int devices_of_host(struct arena *arena, struct oci_device **ret_devices, size_t *ret_count, struct err *err);
