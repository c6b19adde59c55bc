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
    struct runtime *runtime;
    struct http_client *http;
    struct str container_id, host; /* host: the pod's address */
    const struct container_port_array *ports; /* for named ports */
    nsec_t timeout;
};

/* Blocks. 0: success; ERR_INVALID: the action's own failure, as people should read it; others: it could not be tried. */
int action_run(const struct action *action, const struct action_target *target, struct err *err);

/* Runs preStop in the background, then sends the signal. */
int action_start_hook(struct pod_sync *sync, struct container_slot *slot, const struct lifecycle_handler *handler,
                      nsec_t grace, int signal);
/* Runs postStart in the background; its failure kills the container. */
void action_start_post(struct pod_sync *sync, struct container_slot *slot, const char *id);
