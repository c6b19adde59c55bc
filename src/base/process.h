/* process.h - running other programs without a shell. */
#pragma once

#include <sys/types.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"

struct process_options {
    const char *const *argv; /* NULL-terminated; argv[0] is looked up in PATH */
    const char *const *env;  /* NULL: ours */
    const char *cwd;         /* NULL: ours */
    struct str input;        /* for its stdin; unset: /dev/null */
    nsec_t timeout;          /* then SIGKILL to its process group; 0: none */
    size_t max_output;       /* of each stream that is kept, the rest is read and dropped; 0: 1 MiB */
    const int *mount_ns;     /* open mount namespace it enters first; NULL: ours */
};

/* Raises the limit of open descriptors as far as this process may; children inherit it. */
void process_raise_fd_limit(void);
int process_fd_limit(void);
/* For a process that serves others from many threads: large pieces of memory go back to the system when they are freed,
 * and threads share few heaps. Before other threads. */
void process_tune_memory(void);

struct process_result {
    int exit_code; /* 128 + signal when killed */
    bool timed_out;
    struct buf out, err; /* stdout and stderr; give back with process_result_deinit() */
};
void process_result_deinit(struct process_result *result);

/* Blocks until it has ended. Not being startable is an error; a non-zero exit is not. Any thread. */
int process_run(const struct process_options *options, struct process_result *ret_result, struct err *err);

/* The same without waiting and with descriptors of the caller's choice, which stay the caller's. The child has
 * default signals and no other descriptor of ours. It leads a process group of its own, or a session. */
struct process_start {
    const char *const *argv, *const *env;
    const char *cwd;
    int in, out, err; /* -1: /dev/null */
    int pass;         /* one more, which the child gets as PROCESS_PASS_FD; -1: none */
    const int *mount_ns;
    const int *cgroups; /* open for writing: cgroup.procs (v2) or tasks (v1) of the cgroups it enters */
    size_t cgroup_count;
    bool new_session;
    int new_namespaces; /* CLONE_NEW* */
};
#define PROCESS_PASS_FD 3
int process_start(const struct process_start *start, pid_t *ret_pid, struct err *err);
/* Waits for a child of ours; its exit code, 128 + signal when killed, 255 when somebody else took the status. */
int process_wait(pid_t pid);
