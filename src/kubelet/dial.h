/* dial.h - a connection from this node to an address that the API server names, for its proxy: bytes as they come, both
 * ways. */
#pragma once

#include "kubelet/stream_wire.h"

struct dial {
    struct str host; /* an address */
    int port;
    bool tls; /* speak TLS there; whatever certificate it shows is taken, as Kubernetes' proxy does */
};

/* Connects, then upgrades, and stays until one side has ended. ret_clean: how to end the wire. An error means
 * that nothing was upgraded. Blocks. */
int dial_run(const struct dial *dial, struct wire *wire, bool *ret_clean, struct err *err);
