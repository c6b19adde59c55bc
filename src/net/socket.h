/* socket.h - a loop on libuv, its thread, and connections on sockets. Private to net/. */
#pragma once

#include "base/vec.h"
#include "net/loop.h"

struct acceptor;

struct accepted {
    int fd;
    bool crowded; /* there are as many connections as may be: an idle one has to make room */
    char address[64];
};

struct loop_thread {
    struct loop loop;
    uv_loop_t uv;
    uv_async_t async;
    uv_timer_t tick;
    struct thread thread;
    char *read_buffer;
    struct acceptor *acceptor; /* of the first loop; NULL: none, or closed */
    nsec_t stop_at, kill_at;   /* while stopping */
    bool closing;
    atomic_int load; /* connections, for the acceptor */

    /* Under loop.lock. */
    VEC(struct accepted) accepted;
    bool stop_asked;
};

int loop_thread_new(struct server_shared *shared, struct loop_thread **ret_thread, struct err *err);
int loop_thread_start(struct loop_thread *thread, struct err *err);
void loop_thread_ask_stop(struct loop_thread *thread); /* any thread */
/* Joins and frees. False: exchanges that their handlers have not ended keep the memory of the loop alive, and with it
 * what the loops share. */
bool loop_thread_join(struct loop_thread *thread);
void loop_thread_tick(struct loop_thread *thread); /* its own thread: sees to it that a tick comes */
/* Takes over the file descriptor; any thread. */
void loop_thread_give(struct loop_thread *thread, const struct accepted *accepted);
/* Of the loop's own thread; takes over the file descriptor. */
void socket_open(struct loop_thread *thread, const struct accepted *accepted);

/* -- listening; runs on the first loop and hands out to all -- */

int acceptor_new(const char *address, int port, struct acceptor **ret_acceptor, struct err *err);
struct acceptor *acceptor_free(struct acceptor *acceptor); /* when it was never started */
int acceptor_port(const struct acceptor *acceptor);
int acceptor_start(struct acceptor *acceptor, struct loop_thread *const *threads, size_t count, struct err *err);
void acceptor_retry(struct acceptor *acceptor); /* after it ran out of file descriptors */
void acceptor_close(struct acceptor *acceptor); /* on its loop; frees it later */
