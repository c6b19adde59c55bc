/* port_channels.h - port forwarding over plain WebSocket channels, as client libraries other than Go's do it. */
#pragma once

#include "kubelet/stream_wire.h"

/* Whether the handshake asks for this and not for SPDY inside a WebSocket. */
bool port_channels_are_asked(const struct http_request *request);
/* As port_forward_run(). The query names the ports: ports=8080,9090. */
int port_channels_run(const char *netns, struct wire *wire, const struct http_request *request, struct err *err);
