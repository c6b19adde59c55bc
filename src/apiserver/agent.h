/* agent.h - where a pod's container is found: which one is meant, and which agent runs it. */
#pragma once

#include "apiserver/request.h"

struct agent_target {
    struct str node;      /* unset: the pod has none yet; then the rest is too */
    struct str container; /* unset when it was not asked for */
    struct str host;      /* an address */
    int64_t port;
};

/* Reads the pod that the request names. container: choose the one of the query, or the pod's default. All in the
 * request's arena. */
int agent_find(struct request *request, bool container, struct agent_target *ret_target, struct err *err);
/* Of a node's agent; ERR_NOT_FOUND: there is no such node. */
int agent_address(struct request *request, struct str node_name, struct str *ret_host, int64_t *ret_port,
                  struct err *err);
