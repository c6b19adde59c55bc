/* action.h - the actions of probes and hooks: run a command, ask over HTTP, open a TCP connection, sleep. */
#pragma once

#include "kubelet/internal.h"
#include "net/http_client.h"

struct action {
    const struct exec_action *exec;
    const struct http_get_action *http_get;
    const struct tcp_socket_action *tcp_socket;
    const struct grpc_action *grpc;
    const struct sleep_action *sleep;
};

struct action_target {
    struct kubelet *kubelet;
    struct http_client *http;
    struct str container_id, host;            /* host: the pod's address */
    const struct container_port_array *ports; /* for named ports */
    nsec_t timeout;
};

/* Blocks. 0: success; ERR_INVALID: the action's own failure, as people should read it; others: it could not be tried.
 */
int action_run(const struct action *action, const struct action_target *target, struct err *err);

/* Hooks run in the background. preStop: then the signal is sent. */
int hook_start_pre_stop(struct pod_sync *sync, struct container_slot *slot, nsec_t grace, int signal);
/* postStart, kept in the slot's memory; the pod is woken when it has ended. */
int hook_start_post_start(struct pod_sync *sync, struct container_slot *slot, const char *id);

enum hook_state { HOOK_NONE, HOOK_RUNNING, HOOK_DONE, HOOK_FAILED };
/* HOOK_NONE: no hook, or of another container. */
enum hook_state hook_state(const struct hook *hook, struct str container_id);
struct hook *hook_unref(struct hook *hook);
