/* internal.h - the kubelet's inside, for the files of this folder only.
 *
 * A pod is worked on by one reconcile at a time (the queue sees to that), so a pod_state needs no lock of its own; the
 * map of them does. What other threads tell a pod (an exit, a probe's result, a pulled image) they keep themselves and
 * only queue its key. */
#pragma once

#include "api/core_v1.h"
#include "base/map.h"
#include "base/sync.h"
#include "base/vec.h"
#include "client/events.h"
#include "client/informer.h"
#include "client/workqueue.h"
#include "kubelet/kubelet.h"

struct hook;
struct pod_token;
struct prober;
struct puller;
struct source;
struct log_server;
struct node_reporter;

struct kubelet {
    struct kubelet_options options;
    struct arena arena; /* of the options' copies */
    struct informers *informers;
    struct informer *pods;
    struct workqueue *queue;
    struct event_recorder *events;
    struct pod_network *network;
    struct prober *prober;
    struct puller *puller;
    struct log_server *logs;
    struct node_reporter *reporter;
    struct mutex lock;
    struct map states; /* "ns/name" -> struct pod_state */
    struct executor_timer *upkeep;
    struct cond background_done;
    int background;
    unsigned upkeeps;
    bool stopping;
};

enum { RESIZE_AMOUNTS = 2, RESIZE_TEXT = 40, RESIZE_MESSAGE = 256 };

/* What is remembered of one container of a pod between reconciles. All of it can be lost. */
struct container_memory {
    struct str name;    /* owned */
    unsigned crashes;   /* in a row: gives the back-off */
    nsec_t not_before;  /* clock_now(): no restart earlier */
    const char *reason; /* why it waits; static */
    char message[512];
    const char *kill_reason;            /* why we are stopping it; NULL: we are not */
    nsec_t kill_at;                     /* clock_now(): SIGKILL then */
    char counted[CONTAINER_ID_LEN + 1]; /* the container whose crash was counted */
    struct hook *post_start;            /* of the present container; NULL: none */
    bool given_known;                   /* resize.c: cpu and memory that it has, requests and limits; "": none */
    char given[2][RESIZE_AMOUNTS][RESIZE_TEXT];
    bool restart_wanted; /* it is stopped in order to be started with other resources */
};

/* What probes have found so far. */
struct probe_state {
    bool started, ready;   /* startup and readiness; started is true without a startup probe */
    const char *failed;    /* "liveness" or "startup": to be restarted; NULL: no */
    int64_t grace_seconds; /* of the failed probe; -1: the pod's */
};

/* The conditions that are ours, in the order in which they are written. */
enum { CONDITION_SANDBOX, CONDITION_INITIALIZED, CONDITION_READY, CONDITION_CONTAINERS_READY, CONDITION_COUNT };
struct condition_memory {
    bool known, value;
    nsec_t since; /* Unix time */
};

struct pod_state {
    struct str key, uid; /* owned */
    VEC(struct container_memory *) containers;
    VEC(struct pod_token *) tokens; /* pod_token.c */
    bool volumes_ready, network_ready;
    nsec_t volumes_at;       /* clock_now() of the last refresh */
    uint64_t volumes_meta;   /* digest of the labels and annotations that were seen then */
    unsigned setup_failures; /* in a row */
    nsec_t setup_at;         /* clock_now(): not tried again earlier */
    char ip[64];
    bool stopping;     /* the grace period has begun */
    nsec_t stop_at;    /* clock_now(): everything is killed then */
    bool removed;      /* containers, network and folders are given back */
    nsec_t started_at; /* Unix time when the node first saw it; 0: not yet */
    struct condition_memory conditions[CONDITION_COUNT];
    char *status;                                  /* as last written to the API */
    const char *resize_pending; /* "Deferred" or "Infeasible"; static; NULL: no */
    bool resize_in_progress;
    char resize_message[RESIZE_MESSAGE], resize_error[RESIZE_MESSAGE];
    char failure_reason[32], failure_message[256]; /* the pod as a whole has failed (DeadlineExceeded) */
};

struct pod_state *pod_state_new(struct str key, struct str uid);
struct pod_state *pod_state_free(struct pod_state *state);
DEFINE_AUTO(pod_state, pod_state_free)
struct container_memory *pod_state_container(struct pod_state *state, struct str name); /* NULL without memory */

/* One container of the spec, matched with what the runtime has. */
struct container_slot {
    const struct container *spec;
    const struct ephemeral_container *ephemeral; /* what spec was made of; NULL: it is none */
    struct container_memory *memory;
    bool init, sidecar; /* sidecar: an init container with restartPolicy Always */
    const struct runtime_container *current, *previous;
    struct probe_state probes; /* of the current one, while it runs */
    bool starting;             /* it runs, and its postStart hook has not ended */
    bool hook_failed;
};

/* One reconcile of one pod. */
struct pod_sync {
    struct kubelet *kubelet;
    struct pod_state *state;
    struct object *object;
    const struct pod *pod;
    struct arena *arena;
    struct container_slot *slots; /* init containers first, in order */
    size_t slot_count, init_count;
    struct container_slot *ephemeral; /* behind the slots: they change nothing of what the pod is */
    size_t ephemeral_count;
    struct sandbox sandbox;
    struct source *sources; /* ConfigMaps and Secrets read so far */
    nsec_t now;             /* clock_now() */
    nsec_t wake_after;      /* 0: nothing to wait for */
};

void sync_wake_after(struct pod_sync *sync, nsec_t delay); /* the earliest wins */
void sync_event(struct pod_sync *sync, const struct container *container, const char *type, const char *reason,
                const char *fmt, ...) PRINTF(5, 6);

/* pod_worker.c */
int pod_reconcile(void *ctx, struct str key, struct arena *arena, struct err *err);
void pod_wake(struct kubelet *kubelet, struct str key); /* any thread; nothing while the kubelet is being freed */
int pod_find_slots(struct pod_sync *sync, struct err *err);

/* slot.c: what a pod's containers are, by spec and runtime alone */
int slots_match(struct pod_sync *sync, const struct runtime_container *list, size_t count, struct err *err);
const char *slot_list(const struct container_slot *slot); /* its place in the spec: "initContainers" */
bool slot_is_running(const struct container_slot *slot);
bool slot_has_exited(const struct container_slot *slot);
bool slot_succeeded(const struct container_slot *slot);
bool slot_will_restart(const struct pod_sync *sync, const struct container_slot *slot);
bool slot_is_ready(const struct container_slot *slot);
bool slot_is_started(const struct container_slot *slot);
bool pod_is_finished(const struct pod_sync *sync);  /* no main container runs or will again */
bool pod_is_past_init(const struct pod_sync *sync); /* a main container exists: init containers never run again */

/* restart.c: counts the crash of an exited container, once; how long its restart must wait (0: not at all) and which
 * back-off that is. The first restart is immediate, then 10 s doubling to 5 minutes. */
nsec_t restart_wait(struct container_memory *memory, const struct runtime_container *exited, nsec_t now, nsec_t wall,
                    nsec_t *ret_backoff);

/* pod_setup.c: what a pod needs before its containers, and its removal */
int pod_prepare(struct pod_sync *sync); /* 1: it waits for its next try; the events say why */
struct str pod_hostname(const struct pod_sync *sync);
int pod_remove(struct kubelet *kubelet, struct str uid, bool keep_logs, struct err *err);

/* pod_status.c: from slots and state alone; in the arena. Conditions keep the time of their last change in the state.
 */
int pod_status_make(struct pod_sync *sync, struct pod_status *ret_status, struct err *err);

/* pod_report.c: writes it when it differs from what was written last */
int pod_report(struct pod_sync *sync, struct err *err);

/* leftovers.c: folders of pods that neither API nor worker know are removed */
void leftovers_remove(struct kubelet *kubelet);

/* container_start.c: 0 started, ret_id has room for CONTAINER_ID_LEN + 1; 1 waits (the memory says why); negative: an
 * error of ours */
int container_launch(struct pod_sync *sync, struct container_slot *slot, char *ret_id, struct err *err);

/* container_stop.c. until: clock_now() when SIGKILL comes, an earlier time than before wins. 1: still running */
int containers_stop(struct pod_sync *sync, nsec_t until, const char *reason, struct err *err);
int container_halt(struct pod_sync *sync, struct container_slot *slot, nsec_t until, const char *reason,
                   struct err *err);

/* paths.c: folders of a pod; all in the arena, data == NULL without memory */
char *path_pod(struct arena *arena, const struct kubelet *kubelet, struct str uid);
char *path_volume(struct arena *arena, const struct kubelet *kubelet, struct str uid, const char *plugin,
                  struct str name);
char *path_container(struct arena *arena, const struct kubelet *kubelet, struct str uid, struct str name,
                     uint32_t attempt);
char *path_log(struct arena *arena, const struct kubelet *kubelet, const struct object_meta *meta, struct str name,
               uint32_t attempt);
char *path_logs(struct arena *arena, const struct kubelet *kubelet, const struct object_meta *meta);
int path_logs_remove(const struct kubelet *kubelet, struct str uid, struct err *err);

/* kubelet.c: counts tasks that use the kubelet and must end before it is freed. */
void kubelet_background(struct kubelet *kubelet, int change);

/* log_server.c: the last lines of a log, for termination messages; at most 2 KiB and 80 lines. */
struct str kubelet_log_tail(struct arena *arena, struct str log_path);
