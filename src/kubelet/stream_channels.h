/* stream_channels.h - the channels of a remote command (stdin, stdout, stderr, its outcome, the terminal's size) over
 * WebSocket messages or SPDY streams, as a Kubernetes client opens them: v4 and v5.channel.k8s.io.
 *
 * One thread, the session's. */
#pragma once

#include "kubelet/stream_wire.h"

enum channel {
    CHANNEL_STDIN,
    CHANNEL_STDOUT,
    CHANNEL_STDERR,
    CHANNEL_ERROR,
    CHANNEL_RESIZE,
    CHANNEL_COUNT,
};

struct channels;

struct channels_events {
    void *ctx;
    void (*input)(void *ctx, struct str bytes, bool end);
    void (*resize)(void *ctx, unsigned columns, unsigned rows);
};

/* Shakes hands. wanted: which channels the client will use. ERR_BAD_REQUEST when there is no protocol that both speak;
 * nothing is answered then. The wire stays the caller's. */
int channels_new(struct wire *wire, const struct http_request *request, const bool wanted[CHANNEL_COUNT],
                 const struct channels_events *events, struct channels **ret_channels, struct err *err);
struct channels *channels_free(struct channels *channels);
DEFINE_AUTO(channels, channels_free)

/* Takes what has come and sends what is due; nothing while the wire is full. */
void channels_pump(struct channels *channels);
bool channels_are_open(const struct channels *channels); /* the client has opened all that were wanted */
bool channels_are_over(const struct channels *channels); /* the client is gone, or said something that makes no sense */
/* How much may be written to it now; 0: wait for the wire. */
size_t channels_room(const struct channels *channels, enum channel channel);
void channels_write(struct channels *channels, enum channel channel, struct str bytes);
/* Ends the outputs and says how it went: a metav1.Status. */
void channels_finish(struct channels *channels, struct str status);
