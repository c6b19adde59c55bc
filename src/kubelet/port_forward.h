/* port_forward.h - kubectl port-forward: streams of SPDY, bare or inside a WebSocket, tied to connections to a pod. */
#pragma once

#include "kubelet/stream_wire.h"

/* netns: path of the pod's network namespace; NULL: the host's. Upgrades and stays until the client leaves. An error
 * means that nothing was upgraded. Blocks. */
int port_forward_run(const char *netns, struct wire *wire, const struct http_request *request, struct err *err);
