/* pod_socket.h - connections to what listens on a pod's loopback. */
#pragma once

#include "base/err.h"

/* netns: path of a network namespace; NULL: the host's. 0 and *ret_fd is connected, or on the way (POLLOUT says when);
 * or an errno. */
int pod_socket_connect(const char *netns, int port, bool v6, int *ret_fd);
/* How it went, once it can be written to: 0 or an errno. */
int pod_socket_outcome(int fd);
