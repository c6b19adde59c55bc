/* remote_command.h - kubectl exec and attach: a command's streams, or a container's own, tied to the client's
 * channels. */
#pragma once

#include "kubelet/runtime/runtime.h"
#include "kubelet/stream_channels.h"

struct remote_command {
    struct runtime *runtime;
    struct str container; /* its id in the runtime */
    bool attach;          /* to the container; else args are run in it */
    struct str_list args;
    bool input, output, errors, terminal;
};

/* Upgrades the connection and stays until the command, the container or the client has ended. ret_clean: how to end the
 * wire. An error means that nothing was upgraded. Blocks. */
int remote_command_run(const struct remote_command *command, struct wire *wire, const struct http_request *request,
                       bool *ret_clean, struct err *err);
