/* conn.h - one connection: bytes from below, perhaps TLS, a protocol on top. Private to net/.
 *
 * Below it is a conn_io (a socket, or memory in tests); above it a proto (HTTP/1.1 or HTTP/2). Nothing is torn down
 * in the middle of a callback: conn_fail() and conn_finish() only leave a note, which the end of the turn carries
 * out. */
#pragma once

#include "net/loop.h"
#include "net/tls_session.h"

#define CONN_OUT_LIMIT (128u << 10) /* bytes for the wire that are produced ahead of the kernel */

struct http_exchange;

struct conn_io {
    ssize_t (*write)(struct conn *conn, struct str bytes); /* taken at once; 0: none now; negative: broken */
    void (*want)(struct conn *conn, bool read, bool write); /* what to wait for */
    void (*half_close)(struct conn *conn);
    void (*close)(struct conn *conn); /* conn is freed later, when nothing uses it any more */
};

struct proto {
    const char *name;
    bool (*start)(struct conn *conn); /* false: no memory */
    void (*input)(struct conn *conn, struct str bytes);
    void (*eof)(struct conn *conn);
    bool (*output)(struct conn *conn); /* writes while there is room; true: there is more */
    void (*reply)(struct http_exchange *exchange); /* its handler began, added or ended something */
    void (*consumed)(struct http_exchange *exchange, size_t bytes); /* of a streamed body, by the handler */
    void (*tick)(struct conn *conn); /* the deadline passed is for conn to see to; this is for exchanges */
    void (*timeout)(struct conn *conn);
    void (*shutdown)(struct conn *conn); /* the server stops */
    void (*stop)(struct conn *conn);     /* the connection is gone: give all exchanges up, free */
};
extern const struct proto h1_proto, h2_proto;

/* Who is at the other end; outlives the connection while exchanges refer to it. Loop's thread. */
struct peer {
    unsigned refs;
    struct arena arena;
    struct tls_identity identity;
    char address[64];
};
struct peer *peer_ref(struct peer *peer);
void peer_unref(struct peer *peer);

struct conn {
    struct loop *loop;
    struct list link, dirty, warm;
    nsec_t warm_at; /* the last input that ended with a record */
    const struct conn_io *io;
    struct tls_session *tls;
    const struct proto *proto;
    void *state; /* the protocol's */
    struct peer *peer;
    struct list exchanges;
    struct buf backlog; /* what the kernel did not take */
    size_t backlog_sent, backlog_held; /* held: in the budget of memory */
    nsec_t deadline, write_deadline; /* 0: none */
    size_t lingered;
    char sniffed[4];
    unsigned char sniffed_len;
    bool read_paused;
    bool patient; /* its reader may be slow for as long as it likes */
    bool want_read, want_write;
    bool eof;       /* the peer sends no more */
    bool finishing; /* close when all is written */
    bool lingering; /* all is written and said; waiting for the peer's end */
    bool failed;    /* close now */
    bool closed;
};

/* In place; false without memory. tls: NULL for plain. */
bool conn_init(struct conn *conn, struct loop *loop, const struct conn_io *io, struct tls_context *tls,
               const char *address);
void conn_deinit(struct conn *conn);

/* For what is below. */
void conn_input(struct conn *conn, struct str bytes);
void conn_eof(struct conn *conn);
void conn_writable(struct conn *conn);

/* For what is above. */
size_t conn_room(const struct conn *conn); /* bytes that may be written now; 0: wait for output() */
void conn_write(struct conn *conn, struct str bytes); /* from input() and output() only */
void conn_dirty(struct conn *conn); /* output() will be called before the turn ends */
void conn_pause_reading(struct conn *conn, bool paused);
void conn_set_deadline(struct conn *conn, nsec_t timeout); /* from now; 0: none */
void conn_finish(struct conn *conn); /* flush, say good bye, close */
void conn_fail(struct conn *conn);

/* For the loop. */
bool conn_flush(struct conn *conn); /* true: there is more to write */
void conn_tick(struct conn *conn);
void conn_cool(struct conn *conn); /* frees what is only kept to answer the next request faster */
bool conn_is_idle(const struct conn *conn); /* no handler is busy with anything of it */
