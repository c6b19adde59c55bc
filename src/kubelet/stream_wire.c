/* stream_wire.c - the loop's events put bytes and marks under a lock and write to an eventfd; the session's thread
 * takes them. Both hold the wire: the session until wire_end(), the exchange until it is released. */
#include "kubelet/stream_wire.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include "base/sync.h"

#define IN_HIGH (128u << 10) /* then the client is held back */
#define IN_MAX (4u << 20)

struct wire {
    struct http_exchange *exchange;
    int fd;
    struct mutex lock;
    /* under lock */
    struct buf in;
    bool paused, ended, gone, full;
    int refs;
};

static void wire_unref(struct wire *wire)
{
    int left;

    {
        LOCKED(&wire->lock);
        left = --wire->refs;
    }
    if (left > 0)
        return;
    close(wire->fd);
    buf_deinit(&wire->in);
    mutex_deinit(&wire->lock);
    free(wire);
}

static void wake(struct wire *wire)
{
    const uint64_t one = 1;

    (void)!write(wire->fd, &one, sizeof one); /* it fails only when it is readable anyway */
}

static void on_data(void *ctx, struct str bytes, bool end)
{
    struct wire *wire = ctx;
    LOCKED(&wire->lock);

    buf_add_str(&wire->in, bytes);
    wire->ended = wire->ended || end;
    wire->gone = wire->gone || !buf_ok(&wire->in);
    if (wire->in.len >= IN_HIGH && !wire->paused) {
        wire->paused = true;
        http_exchange_pause(wire->exchange, true);
    }
    wake(wire);
}

static void on_drained(void *ctx)
{
    struct wire *wire = ctx;
    LOCKED(&wire->lock);

    wire->full = false;
    wake(wire);
}

static void on_closed(void *ctx)
{
    struct wire *wire = ctx;
    LOCKED(&wire->lock);

    wire->gone = true;
    wake(wire);
}

static void on_released(void *ctx)
{
    wire_unref(ctx);
}

int wire_new(struct http_exchange *exchange, struct wire **ret_wire, struct err *err)
{
    struct wire *wire = calloc(1, sizeof *wire);

    if (!wire)
        return err_set(err, ERR_NO_MEMORY, "stream");
    wire->exchange = exchange;
    wire->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (wire->fd < 0) {
        free(wire);
        return err_set(err, ERR_UNAVAILABLE, "no file descriptor for a stream");
    }
    wire->refs = 1;
    mutex_init(&wire->lock);
    buf_init(&wire->in, IN_MAX);
    *ret_wire = wire;
    return 0;
}

void wire_header(struct wire *wire, const char *name, struct str value)
{
    http_reply_header(wire->exchange, name, value);
}

bool wire_upgrade(struct wire *wire, struct str protocol)
{
    const struct http_stream_events events = { wire, on_drained, on_closed, on_data, on_released };

    wire->refs = 2; /* nobody else knows it yet */
    if (http_exchange_upgrade(wire->exchange, protocol, &events))
        return true;
    wire->refs = 1;
    return false;
}

int wire_fd(const struct wire *wire)
{
    return wire->fd;
}

void wire_look(struct wire *wire)
{
    uint64_t count;

    (void)!read(wire->fd, &count, sizeof count);
}

void wire_take(struct wire *wire, struct buf *into)
{
    bool resume;

    {
        LOCKED(&wire->lock);
        buf_add_str(into, buf_str(&wire->in));
        buf_clear(&wire->in);
        resume = wire->paused;
        wire->paused = false;
    }
    if (resume)
        http_exchange_pause(wire->exchange, false);
}

bool wire_is_over(struct wire *wire)
{
    LOCKED(&wire->lock);
    return wire->gone || (wire->ended && wire->in.len == 0);
}

void wire_write(struct wire *wire, struct str bytes)
{
    if (bytes.len == 0)
        return;
    {
        LOCKED(&wire->lock);
        wire->full = true; /* before: it may drain at once */
    }
    if (http_reply_write(wire->exchange, &(struct http_part){ bytes, NULL }, 1) <= HTTP_QUEUE_HIGH) {
        LOCKED(&wire->lock);
        wire->full = false;
    }
}

bool wire_is_full(struct wire *wire)
{
    LOCKED(&wire->lock);
    return wire->full && !wire->gone;
}

void wire_end(struct wire *wire, bool clean)
{
    if (clean)
        http_reply_end(wire->exchange);
    else
        http_exchange_abort(wire->exchange);
    wire_unref(wire);
}

void wire_refuse(struct wire *wire, int status, struct str text)
{
    http_reply(wire->exchange, status, "text/plain", text);
    wire_unref(wire);
}
