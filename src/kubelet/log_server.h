/* log_server.h - the node's own HTTPS endpoint: /containerLogs/<ns>/<pod>/<container> for the API server, /healthz for everyone. */
#pragma once

#include "kubelet/internal.h"

int log_server_start(struct kubelet *kubelet, struct log_server **ret_server, struct err *err);
struct log_server *log_server_stop(struct log_server *server);
int log_server_port(const struct log_server *server);
