/* tunnel.h - upgraded connections to other processes: an HTTP/1.1 request over TLS that asks for another protocol, then
 * bytes as they come, both ways.
 *
 * One thread moves the bytes of all tunnels; events come on it and must not block. Memory is bounded by whoever writes:
 * who heeds tunnel_write()'s answer and drained() never has more than TUNNEL_QUEUE_HIGH and one write queued. */
#pragma once

#include "base/clock.h"
#include "base/err.h"
#include "net/http.h"

struct tunnels;
struct tunnel;

struct tunnels_options {
    struct str ca_pem;            /* the authorities of the others; unset: the system's */
    struct str cert_pem, key_pem; /* who we are; unset: nobody */
    nsec_t open_timeout;          /* until the answer's head has come; 0: 30 s */
    struct str server_name;       /* whose certificate it must be; unset: of the address. It outlives the tunnels */
    bool insecure;                /* do not verify; only where a user asked for it */
};

int tunnels_new(const struct tunnels_options *options, struct tunnels **ret_tunnels, struct err *err);
/* Closes all tunnels (closed() comes for each). Not from an event. */
struct tunnels *tunnels_free(struct tunnels *tunnels);
DEFINE_AUTO(tunnels, tunnels_free)

struct tunnel_events {
    void *ctx;
    /* The answer's head, once; names are lower case. Whatever the status, data follows. */
    void (*head)(void *ctx, int status, const struct http_header *headers, size_t count);
    void (*data)(void *ctx, struct str bytes);
    void (*drained)(void *ctx); /* queued bytes fell below the low mark */
    void (*closed)(void *ctx, const struct err *err); /* last; err is NULL when it was ended cleanly */
};

/* host: an address. head: the whole request's, with its empty line; copied. Empty: no request and no head() of an answer,
 * but bytes both ways as soon as hands are shaken. *ret_tunnel is set before the first event;
 * give it back with tunnel_unref(). When it fails there are no events. */
int tunnel_open(struct tunnels *tunnels, struct str host, int port, struct str head,
                const struct tunnel_events *events, struct tunnel **ret_tunnel, struct err *err);
/* Any thread, and harmless after closed(). */
size_t tunnel_write(struct tunnel *tunnel, struct str bytes); /* copies; returns the bytes queued */
void tunnel_pause(struct tunnel *tunnel, bool paused);        /* true: soon no more data() */
/* Sends what is queued (for a few seconds at most), then closed(). */
void tunnel_close(struct tunnel *tunnel);
struct tunnel *tunnel_unref(struct tunnel *tunnel);

#define TUNNEL_QUEUE_HIGH (256u << 10)
#define TUNNEL_QUEUE_LOW (64u << 10)
