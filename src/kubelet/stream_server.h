/* stream_server.h - /exec/<ns>/<pod>/<container>, /attach/... and /portForward/<ns>/<pod> of the node's HTTPS endpoint.
 * The protocols of kubectl end here; the API server only relays bytes. */
#pragma once

#include "kubelet/internal.h"
#include "net/http_server.h"

struct stream_server;

int stream_server_new(struct kubelet *kubelet, struct stream_server **ret_server, struct err *err);
/* Waits for the sessions: the HTTP server must have stopped, which ends them. */
struct stream_server *stream_server_free(struct stream_server *server);

bool stream_server_has(struct str path);
/* On the loop. The caller has seen that the client may. Answers in any case. */
void stream_server_handle(struct stream_server *server, struct http_exchange *exchange);
