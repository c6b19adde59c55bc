/* relay.h - pods/exec, attach and portforward: an upgraded connection, relayed byte by byte to the pod's agent, which
 * speaks the protocol. */
#pragma once

#include "apiserver/request.h"

struct relay;

/* Finds the pod, its container and its node's agent. Nothing is sent yet. */
int relay_open(struct request *request, struct relay **ret_relay, struct err *err);
/* Asks the agent and relays. Negative: nothing was begun. */
int relay_start(struct request *request, struct http_exchange *exchange, struct err *err);
