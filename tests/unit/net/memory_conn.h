/* memory_conn.h - a connection of the HTTP server without socket, thread or clock: bytes in, bytes out, time by
 * hand. */
#pragma once

#include "net/exchange.h"

struct memory_server {
    struct server_shared shared;
    struct virtual_clock clock;
    struct loop loop;
};

struct memory_conn {
    struct conn conn;
    struct buf sent;  /* what the server wrote */
    size_t can_take;  /* bytes that the kernel would take; the rest waits */
    bool half_closed, closed, want_read, want_write;
};

static ssize_t memory_write(struct conn *conn, struct str bytes)
{
    struct memory_conn *self = container_of(conn, struct memory_conn, conn);
    size_t n = MIN(bytes.len, self->can_take);

    buf_add(&self->sent, bytes.data, n);
    self->can_take -= n;
    return (ssize_t)n;
}

static void memory_want(struct conn *conn, bool read, bool write)
{
    struct memory_conn *self = container_of(conn, struct memory_conn, conn);

    self->want_read = read;
    self->want_write = write;
}

static void memory_half_close(struct conn *conn)
{
    container_of(conn, struct memory_conn, conn)->half_closed = true;
}

static void memory_close(struct conn *conn)
{
    container_of(conn, struct memory_conn, conn)->closed = true;
}

static const struct conn_io memory_io = { memory_write, memory_want, memory_half_close, memory_close };

static inline bool memory_server_init(struct memory_server *server, const struct http_server_options *options)
{
    virtual_clock_init(&server->clock, NSEC_PER_SEC);
    server_shared_init(&server->shared, options);
    return loop_init(&server->loop, &server->shared, &server->clock.clock, NULL) == 0;
}

static inline void memory_server_deinit(struct memory_server *server)
{
    loop_deinit(&server->loop);
}

static inline bool memory_conn_open(struct memory_server *server, struct memory_conn *self)
{
    memset(self, 0, sizeof *self);
    self->can_take = SIZE_MAX;
    self->want_read = true;
    loop_begin(&server->loop);
    return conn_init(&self->conn, &server->loop, &memory_io, server->shared.options.tls, "192.0.2.1");
}

static inline void memory_conn_feed(struct memory_conn *self, struct str bytes)
{
    loop_begin(self->conn.loop);
    conn_input(&self->conn, bytes);
    loop_end(self->conn.loop);
}

static inline void memory_conn_eof(struct memory_conn *self)
{
    loop_begin(self->conn.loop);
    conn_eof(&self->conn);
    loop_end(self->conn.loop);
}

/* The kernel takes more again. */
static inline void memory_conn_take(struct memory_conn *self, size_t bytes)
{
    self->can_take = bytes;
    loop_begin(self->conn.loop);
    if (self->want_write)
        conn_writable(&self->conn);
    loop_end(self->conn.loop);
}

/* What replies from elsewhere left to do. */
static inline void memory_server_turn(struct memory_server *server)
{
    loop_begin(&server->loop);
    loop_end(&server->loop);
}

static inline void memory_server_pass(struct memory_server *server, nsec_t time)
{
    virtual_clock_advance(&server->clock, time);
    loop_begin(&server->loop);
    loop_tick(&server->loop);
    loop_end(&server->loop);
}

/* Closes from the client's side, if it is open, and gives everything back. */
static inline void memory_conn_done(struct memory_conn *self)
{
    loop_begin(self->conn.loop);
    if (!self->closed)
        conn_fail(&self->conn);
    loop_end(self->conn.loop);
    conn_deinit(&self->conn);
    buf_deinit(&self->sent);
}
