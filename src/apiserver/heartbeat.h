/* heartbeat.h - the stream by which a node says each second that it lives. */
#pragma once

#include "apiserver/request.h"

/* Whether a request with this head is one: its body is a stream. */
bool heartbeat_is_asked(const struct http_request *head);
/* After heartbeat_run() has let the node in. Negative: nothing was begun. */
int heartbeat_start(struct request *request, struct http_exchange *exchange, struct err *err);
