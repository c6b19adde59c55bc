/* log.h - pods/log: the agent's answer, relayed byte by byte. */
#pragma once

#include "apiserver/request.h"

struct log_call;

/* Finds the pod, its container and its node's agent. Nothing is sent yet. */
int log_open(struct request *request, struct log_call **ret_log, struct err *err);
/* Asks the agent and relays. Negative: nothing was begun. */
int log_stream(struct request *request, struct http_exchange *exchange, struct err *err);
