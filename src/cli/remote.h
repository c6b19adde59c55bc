/* remote.h - a command in a container: our standard streams are its own, over a WebSocket (v5.channel.k8s.io, else v4). */
#pragma once

#include "cli/session.h"

struct remote_options {
    struct str path; /* with its query */
    bool stdin_wanted, tty;
};

/* Runs until the command has ended. 0 and its exit status; signals that end us leave the terminal as it was and count as
 * 128 + their number. Not from several threads. */
int remote_run(struct session *session, const struct remote_options *options, int *ret_status, struct err *err);
