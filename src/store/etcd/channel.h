/* channel.h - a connection to one member: address, socket, perhaps TLS, and the gRPC session on top. On the thread of its
 * libuv loop. */
#pragma once

#include "base/clock.h"
#include "net/tls.h"
#include "store/etcd/endpoint.h"
#include "store/etcd/grpc.h"

#include <uv.h> /* after base/: both define MIN and MAX, alike */

struct channel;
struct channel_options {
    uv_loop_t *uv;
    const struct etcd_endpoint *endpoint; /* must outlive it */
    struct tls_context *tls;              /* NULL: plain TCP */
    size_t max_message;
    void (*turn)(void *arg); /* after each thing that happened on the wire: look at the state, flush */
    void *arg;
};

/* Begins to connect. */
int channel_open(const struct channel_options *options, struct channel **ret_channel, struct err *err);
/* Ends the calls with that reason. Not from within a callback of a call. The memory goes when libuv lets go of it. */
struct channel *channel_close(struct channel *channel, const char *reason);

bool channel_is_ready(const struct channel *channel);
int channel_check(const struct channel *channel, struct err *err); /* negative: it is broken, and why */
struct grpc_session *channel_session(struct channel *channel);     /* NULL: not yet, or broken */
void channel_flush(struct channel *channel);                       /* sends what the session has to say */
