/* runtime.h - the container runtime of a node: sandboxes (the namespaces and the cgroup of a pod) and containers in
 * them, run by conmon and crun.
 *
 * What it knows stands in folders, so that an agent that starts again finds everything: containers never notice that
 * the agent died or was replaced. Everything made on the host carries the instance name.
 *
 * Threads: any thread may call anything, calls about different pods run at the same time; calls that change one and
 * the same pod must not overlap (a pod worker sees to that). Calls block for milliseconds, container_exec() and
 * container_stop() for as long as they are told to. */
#pragma once

#include <sys/types.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/process.h"
#include "base/rng.h"
#include "kubelet/runtime/cgroup.h"
#include "kubelet/runtime/oci_spec.h"

#define CONTAINER_ID_LEN 64

struct runtime;

struct runtime_options {
    const char *instance;      /* [a-z0-9]([-a-z0-9]*[a-z0-9])?, at most 40 characters */
    const char *data_dir;      /* what outlives a reboot; state goes to <data_dir>/containers. Root file systems and
                                * volumes must be mounted below it (see namespace.c for the reason) */
    const char *run_dir;       /* NULL: /run/<instance> */
    const char *cgroup_parent; /* NULL: /<instance> */
    const char *crun, *conmon; /* NULL: found in PATH */
    struct clock *clock;       /* NULL: the machine's */
    struct rng *rng;           /* NULL: the system's */
};

/* Finds what an earlier agent left. ERR_NOT_FOUND names a missing crun or conmon. Needs root. */
int runtime_new(const struct runtime_options *options, struct runtime **ret_runtime, struct err *err);
/* Containers keep running. No other call may be under way. */
struct runtime *runtime_free(struct runtime *runtime);
DEFINE_AUTO(runtime, runtime_free)

/* Kills every container of the instance and removes every trace: processes, mounts, cgroups, namespaces, state. Goes
 * on after a failure and reports the first one. Only runtime_free() may follow. */
int runtime_purge(struct runtime *runtime, struct err *err);

/* "crun 1.8.1" for the node's status, and the cgroup hierarchy in use. Live as long as the runtime. */
const char *runtime_version(const struct runtime *runtime);
const struct cgroup_tree *runtime_cgroups(const struct runtime *runtime);

/* Sandboxes. One per pod, named by the pod's UID. */

struct sandbox_spec {
    struct str pod_uid, pod_namespace, pod_name;
    struct str hostname, domainname;
    bool host_network, host_ipc, host_pid;
    bool share_pid; /* one pid namespace for the pod's containers, with a reaper as its first process */
    const struct oci_pair *sysctls; /* names with dots or slashes; only namespaced ones are taken */
    size_t sysctl_count;
    struct oci_resources resources; /* of the pod's cgroup */
    struct oci_pair *labels;        /* kept and given back, mean nothing here */
    size_t label_count;
};

struct sandbox {
    struct str pod_uid, pod_namespace, pod_name;
    bool host_network, host_ipc, host_pid, share_pid;
    bool ready;           /* its namespaces are all there (false after a reboot) */
    struct str netns;     /* path; unset with host network */
    struct str cgroup;    /* "/caravel/pod<uid>" */
    struct str shm_dir;   /* the pod's /dev/shm on the host */
    struct oci_namespaces namespaces; /* for the containers' specs */
    nsec_t created_at;    /* Unix time */
    struct oci_pair *labels;
    size_t label_count;
};

/* Makes what is missing, so it may be called again (then the new labels count). The result is in the arena. */
int sandbox_create(struct runtime *runtime, const struct sandbox_spec *spec, struct arena *arena,
                   struct sandbox *ret_sandbox, struct err *err);
int sandbox_get(struct runtime *runtime, struct str pod_uid, struct arena *arena, struct sandbox *ret_sandbox,
                struct err *err);
int sandbox_list(struct runtime *runtime, struct arena *arena, struct sandbox **ret_list, size_t *ret_count,
                 struct err *err);
/* Kills and deletes its containers first. Absent is fine. */
int sandbox_remove(struct runtime *runtime, struct str pod_uid, struct err *err);
/* New limits for the pod's cgroup. */
int sandbox_update(struct runtime *runtime, struct str pod_uid, const struct oci_resources *resources, struct err *err);

/* Containers. */

struct container_spec {
    struct str pod_uid; /* its sandbox must be there */
    struct str name;    /* in the pod */
    uint32_t attempt;   /* restart count */
    struct str log_path; /* absolute; the folder is made */
    bool keep_stdin, stdin_once;
    pid_t pid_of; /* a process in whose PID namespace it runs; 0: as the sandbox says */
    struct oci_pair *labels; /* kept and given back, mean nothing here */
    size_t label_count;
    /* namespaces, cgroup_path, dev_shm and terminal's plumbing are filled in by the runtime from the sandbox. */
    struct oci_spec oci;
};

enum runtime_container_state {
    CONTAINER_CREATED,
    CONTAINER_RUNNING,
    CONTAINER_EXITED,
    CONTAINER_UNKNOWN, /* its monitor is gone and nobody knows how it ended: treat as exited */
};

/* Not "struct container": that is the API's (api/core_v1.h), and the kubelet uses both. */
struct runtime_container {
    struct str id; /* 64 hexadecimal digits */
    struct str pod_uid, name;
    uint32_t attempt;
    enum runtime_container_state state;
    pid_t pid;         /* its first process while created or running, else 0 */
    int exit_code;     /* 128 + signal when killed by one */
    int signal;        /* as far as the exit code tells; 0: exited by itself */
    bool oom_killed;
    nsec_t created_at, started_at, finished_at; /* Unix time, 0: not yet */
    struct str log_path;
    struct str cgroup; /* "/caravel/pod<uid>/<id>" */
    struct oci_pair *labels;
    size_t label_count;
};

/* Everything up to the program's start: bundle, conmon, crun create. ret_id has room for CONTAINER_ID_LEN + 1. The
 * error carries crun's words. */
int container_create(struct runtime *runtime, const struct container_spec *spec, char *ret_id, struct err *err);
/* ERR_INVALID with crun's words when the program cannot be run; the container is then exited with code 128. */
int container_start(struct runtime *runtime, struct str id, struct err *err);
/* To the first process; ERR_NOT_FOUND when there is none any more. */
int container_signal(struct runtime *runtime, struct str id, int signal, struct err *err);
/* signal, then SIGKILL after the grace period (0: at once), returns when it is gone. Already gone is fine. */
int container_stop(struct runtime *runtime, struct str id, int signal, nsec_t grace, struct err *err);
/* Kills it if it still runs, removes its cgroup, state and bundle. The log stays. Absent is fine. */
int container_delete(struct runtime *runtime, struct str id, struct err *err);
int container_get(struct runtime *runtime, struct str id, struct arena *arena, struct runtime_container *ret_container,
                  struct err *err);
/* All, or those of one pod (pod_uid set), the oldest first. */
int container_list(struct runtime *runtime, struct str pod_uid, struct arena *arena,
                   struct runtime_container **ret_list, size_t *ret_count, struct err *err);
int container_update(struct runtime *runtime, struct str id, const struct oci_resources *resources, struct err *err);
int container_usage(struct runtime *runtime, struct str id, struct cgroup_usage *ret_usage, struct err *err);
/* Blocks until it has exited; false after timeout (0: none). */
bool container_wait(struct runtime *runtime, struct str id, nsec_t timeout);

/* Tells conmon to go on in a fresh file at the log's path (after a rotation). */
int container_reopen_log(struct runtime *runtime, struct str id, struct err *err);

/* Runs a command in the container with the user, environment and limits of the container; blocks. exit_code is the
 * command's; timed_out: it was killed. As process_run() otherwise. */
struct container_exec {
    struct str_list args;
    struct str input;
    nsec_t timeout;
    size_t max_output; /* 0: 1 MiB */
};
int container_exec(struct runtime *runtime, struct str id, const struct container_exec *exec,
                   struct process_result *ret_result, struct err *err);

/* The same for streams (kubectl exec): descriptors instead of buffers. Not wanted: false. With terminal there is one
 * descriptor for everything (in and out are the same pty, err is -1). Close them, then container_exec_wait(). */
struct container_stream_options {
    struct str_list args;
    bool terminal, input, output, errors;
};
#define CONTAINER_EXEC_PATH_MAX 192
struct container_stream {
    int in, out, err; /* -1: none */
    bool terminal;
    pid_t pid;        /* of the crun that waits for the command */
    char pid_file[CONTAINER_EXEC_PATH_MAX], log_file[CONTAINER_EXEC_PATH_MAX], process_file[CONTAINER_EXEC_PATH_MAX];
};
int container_exec_start(struct runtime *runtime, struct str id, const struct container_stream_options *options,
                         struct container_stream *ret_stream, struct err *err);
/* Blocks; the command's exit code. ERR_INVALID with crun's words when there was none to run. Closes what is open. */
int container_exec_wait(struct runtime *runtime, struct container_stream *stream, int *ret_exit_code, struct err *err);
/* Kills the command; wait must still be called. */
void container_exec_kill(struct container_stream *stream);
int container_stream_resize(struct container_stream *stream, unsigned columns, unsigned rows, struct err *err);

/* The container's own streams (kubectl attach). A SOCK_SEQPACKET socket: what is written goes to its stdin; each packet
 * read begins with one byte, CONTAINER_ATTACH_STDOUT or _STDERR. shutdown(SHUT_WR) ends its stdin. */
#define CONTAINER_ATTACH_STDOUT 2
#define CONTAINER_ATTACH_STDERR 3
int container_attach(struct runtime *runtime, struct str id, int *ret_fd, struct err *err);
int container_resize(struct runtime *runtime, struct str id, unsigned columns, unsigned rows, struct err *err);

/* Exits, as they happen. Called on the runtime's own thread once per container that ends while it is watched; may call
 * anything here but runtime_free() and the blocking ones. Those that ended while no agent ran are found by
 * container_list(). Set before the first container is created, once; NULL at the end, which waits for a call under
 * way: not from the function itself. */
typedef void container_exit_fn(void *arg, struct str pod_uid, struct str id);
void runtime_on_exit(struct runtime *runtime, container_exit_fn *fn, void *arg);
