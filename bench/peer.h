/* peer.h - connections to an API server, for load generators: many, one request in flight on each, on one thread.
 *
 * HTTP/1.1 over TLS (or plain) on epoll; as little work as can be, so that on a shared machine the server is what is
 * measured. */
#pragma once

#include <argp.h>

#include "base/buf.h"
#include "base/clock.h"

struct addrinfo;

/* What says where the server is and who asks; peer_argp reads it as a child of a program's own argp. */
struct peer_options {
    const char *server, *ca, *cert, *key, *token;
    int pid; /* of the server, whose memory is measured; 0: not */
};
extern const struct argp peer_argp; /* input: struct peer_options * */

enum link_state { LINK_CONNECTING, LINK_HANDSHAKE, LINK_READY, LINK_WAITING };

struct link {
    int fd;
    struct ssl_st *ssl;
    enum link_state state;
    struct buf request;
    size_t sent;
    nsec_t began;
    void *arg; /* the program's */
    /* the answer */
    char head[4096];
    size_t head_len;
    bool in_body, chunked;
    int status;
    uint64_t body_left;
    char tail[7]; /* of a chunked body: it ends in "\r\n0\r\n\r\n" */
    size_t tail_len;
};

/* Each returns false to have the connection closed and opened again. */
struct peer_events {
    bool (*ready)(void *ctx, struct link *link);                   /* connected: link_send() may follow */
    bool (*bytes)(void *ctx, struct link *link, struct str bytes); /* of the body, chunk heads included; may be NULL */
    bool (*answered)(void *ctx, struct link *link);                /* link->status; link_send() may follow */
};

struct peer {
    struct peer_options options;
    const struct peer_events *events;
    void *ctx;
    struct clock *clock;
    struct addrinfo *address;
    char host[256], port[16];
    bool tls;
    struct ssl_ctx_st *ssl;
    int epoll;
    char *buffer;
    int up;          /* connections that are ready or waiting */
    uint64_t errors; /* connections that broke while in use */
    uint64_t bytes;  /* received */
    uint64_t memory_before, memory_peak;
};

/* NULL, or what is wrong with the options. */
const char *peer_init(struct peer *peer, const struct peer_events *events, void *ctx);
void peer_deinit(struct peer *peer);

bool link_open(struct peer *peer, struct link *link);
void link_close(struct link *link);
/* Opens all, some handshakes at a time, until they are ready. False: they cannot be. */
bool peer_connect(struct peer *peer, struct link *links, int count);
/* Sends link->request; a failed connection is opened again by the next turn. */
bool link_send(struct peer *peer, struct link *link);
/* One round of events. False: no connection can be opened any more, or nothing but errors comes. */
bool peer_turn(struct peer *peer, int timeout_ms);

/* "METHOD path HTTP/1.1", Host, Accept, authorization; the caller adds headers, the empty line and the body. */
void peer_begin_request(const struct peer *peer, struct buf *request, const char *method, struct str path,
                        const char *accept);
/* The server's anonymous memory now, as the program's peak if it is one. */
void peer_sample_memory(struct peer *peer);

/* A log-linear histogram of nanoseconds: 32 steps for each doubling, 3 %. */
#define HISTOGRAM_BITS 5
struct histogram {
    uint64_t count;
    nsec_t max;
    uint32_t counts[64 << HISTOGRAM_BITS];
};
void histogram_add(struct histogram *histogram, nsec_t value);
double histogram_ms(const struct histogram *histogram, double part);

/* Text with places where numbers go: %d the running number, %m that number modulo `modulo`. */
struct template {
    struct str text;
    uint64_t modulo;
};
void template_add(struct buf *buf, const struct template *template, uint64_t number);
