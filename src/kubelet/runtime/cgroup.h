/* cgroup.h - the cgroup hierarchy of this machine: which one it is, limits, usage, ends.
 *
 * Paths name a cgroup in every hierarchy: "/caravel/pod<uid>". cgroup v1 (one hierarchy per controller), v2 and the
 * hybrid of both (controllers in v1; then it is used as v1). Any thread. */
#pragma once

#include <sys/types.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/str.h"

struct oci_resources;

enum cgroup_mode { CGROUP_V1, CGROUP_HYBRID, CGROUP_V2 };

#define CGROUP_HIERARCHIES_MAX 20

/* One v1 hierarchy: where it is mounted and what it controls ("cpu,cpuacct", "name=systemd"). */
struct cgroup_hierarchy {
    char mount[128];
    char controllers[64];
};

struct cgroup_tree {
    enum cgroup_mode mode;
    char root[128];    /* /sys/fs/cgroup */
    char unified[128]; /* mount point of the v2 tree, empty when there is none */
    struct cgroup_hierarchy hierarchies[CGROUP_HIERARCHIES_MAX]; /* v1 only */
    size_t hierarchy_count;
};

struct cgroup_usage {
    nsec_t cpu;                  /* since it was made */
    uint64_t memory;             /* all of it */
    uint64_t memory_working_set; /* without the page cache that could go at once */
    uint64_t memory_rss;
    uint64_t memory_limit;       /* 0: none */
    uint64_t processes;
    uint64_t page_faults, major_page_faults;
};

/* Reads the mounts from mountinfo text (so that tests can give their own). ERR_NOT_SUPPORTED when there is nothing. */
int cgroup_tree_parse(struct str mountinfo, struct cgroup_tree *ret_tree, struct err *err);
/* Of this machine. */
int cgroup_tree_detect(struct cgroup_tree *ret_tree, struct err *err);

/* Makes it with all parents in all hierarchies; there already is fine. */
int cgroup_create(const struct cgroup_tree *tree, const char *path, struct err *err);
/* Opens what a new process writes "0" to in order to enter it, one descriptor per hierarchy that it was made in. */
int cgroup_open_entry(const struct cgroup_tree *tree, const char *path, int *fds, size_t max, size_t *ret_count,
                      struct err *err);
int cgroup_set_limits(const struct cgroup_tree *tree, const char *path, const struct oci_resources *resources,
                      struct err *err);
int cgroup_read_usage(const struct cgroup_tree *tree, const char *path, struct cgroup_usage *ret_usage,
                      struct err *err);
/* How many processes in it the kernel has killed for want of memory; 0 when it cannot be known. */
uint64_t cgroup_oom_kills(const struct cgroup_tree *tree, const char *path);
/* SIGKILL to all processes in it and below; does not wait. */
int cgroup_kill(const struct cgroup_tree *tree, const char *path, struct err *err);
/* Removes it and all below, waiting a little for dying processes to leave. Absent is fine. */
int cgroup_remove(const struct cgroup_tree *tree, const char *path, struct err *err);
bool cgroup_exists(const struct cgroup_tree *tree, const char *path);
