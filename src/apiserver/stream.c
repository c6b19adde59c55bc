/* stream.c - the little state machine behind every list, watch and log.
 *
 *     IDLE --kick--> SCHEDULED --executor--> RUNNING --wait--> IDLE
 *                                            RUNNING --kick--> AGAIN --> RUNNING
 *
 * "blocked" is apart from that: the queue of the exchange is above its mark, so that produce() has to wait for
 * drained(), whatever kicks come. The callbacks of the exchange reach the stream through a hook in the exchange's own
 * arena: they run as long as the exchange exists, which may be longer than the stream. */
#include "apiserver/stream.h"

#include "apiserver/server.h"

enum { IDLE, SCHEDULED, RUNNING, AGAIN };

struct stream_hook {
    struct mutex lock;
    struct stream *stream; /* NULL once it has ended */
};

struct stream {
    atomic_uint refs;
    struct apiserver *server;
    struct http_exchange *exchange; /* NULL once it has ended */
    struct stream_hook *hook;
    struct stream_ops ops;
    void *ctx;
    struct buf reply; /* of stream_reply() */
    const char *reply_type;
    int reply_status;
    atomic_int state;
    atomic_bool blocked, closed;
    struct list link; /* of the server, under its lock */
};

struct stream *stream_ref(struct stream *stream)
{
    atomic_fetch_add_explicit(&stream->refs, 1, memory_order_relaxed);
    return stream;
}

struct stream *stream_unref(struct stream *stream)
{
    if (stream && atomic_fetch_sub_explicit(&stream->refs, 1, memory_order_acq_rel) == 1)
        free(stream);
    return NULL;
}

static void hook_kick(struct stream_hook *hook, bool closed)
{
    LOCKED(&hook->lock);
    if (!hook->stream)
        return;
    if (closed)
        atomic_store(&hook->stream->closed, true);
    atomic_store(&hook->stream->blocked, false);
    stream_kick(hook->stream);
}

static void on_drained(void *ctx)
{
    hook_kick(ctx, false);
}

static void on_closed(void *ctx)
{
    hook_kick(ctx, true);
}

enum ending { END_CLEAN, END_ABORT, END_REPLY };

static void finish(struct stream *stream, enum ending ending)
{
    struct apiserver *server = stream->server;
    struct http_exchange *exchange = TAKE(stream->exchange);

    mutex_lock(&stream->hook->lock);
    stream->hook->stream = NULL;
    mutex_unlock(&stream->hook->lock);
    stream->ops.release(stream->ctx);
    if (ending == END_REPLY)
        http_reply(exchange, stream->reply_status, stream->reply_type, buf_str(&stream->reply));
    else if (ending == END_CLEAN)
        http_reply_end(exchange);
    else
        http_exchange_abort(exchange);
    buf_deinit(&stream->reply);
    mutex_lock(&server->lock);
    list_remove(&stream->link);
    if (--server->stream_count == 0)
        cond_broadcast(&server->streams_gone);
    mutex_unlock(&server->lock);
}

/* True: the stream has ended. */
static bool step(struct stream *stream)
{
    for (;;) {
        if (atomic_load(&stream->closed)) {
            finish(stream, END_ABORT);
            return true;
        }
        if (atomic_load(&stream->blocked))
            return false;
        switch (stream->ops.produce(stream->ctx, stream)) {
        case STREAM_MORE: break;
        case STREAM_WAIT: return false;
        case STREAM_END: finish(stream, END_CLEAN); return true;
        case STREAM_ABORT: finish(stream, END_ABORT); return true;
        case STREAM_REPLIED: finish(stream, END_REPLY); return true;
        }
    }
}

static void run(void *arg)
{
    struct stream *stream = arg;
    int state;

    atomic_store(&stream->state, RUNNING);
    for (;;) {
        if (step(stream)) {
            /* The state stays RUNNING: later kicks of timers find nothing to start. */
            stream_unref(stream);
            break;
        }
        state = RUNNING;
        if (atomic_compare_exchange_strong(&stream->state, &state, IDLE))
            break;
        atomic_store(&stream->state, RUNNING);
    }
    stream_unref(stream);
}

void stream_kick(struct stream *stream)
{
    int state = atomic_load(&stream->state);

    for (;;) {
        if (state == SCHEDULED || state == AGAIN)
            return;
        if (state == RUNNING) {
            if (atomic_compare_exchange_weak(&stream->state, &state, AGAIN))
                return;
            continue;
        }
        if (atomic_compare_exchange_weak(&stream->state, &state, SCHEDULED))
            break;
    }
    stream_ref(stream);
    if (executor_post(stream->server->options.executor, run, stream, NULL) < 0) {
        /* The next kick tries again. */
        atomic_store(&stream->state, IDLE);
        stream_unref(stream);
    }
}

void stream_begin(struct stream *stream, int status, const char *content_type)
{
    http_reply_begin(stream->exchange, status, content_type);
}

void stream_reply(struct stream *stream, int status, const char *content_type, struct str body)
{
    buf_clear(&stream->reply);
    buf_add_str(&stream->reply, body);
    stream->reply_status = status;
    stream->reply_type = content_type;
}

void stream_write(struct stream *stream, const struct http_part *parts, size_t count)
{
    atomic_store(&stream->blocked, true);
    if (http_reply_write(stream->exchange, parts, count) <= HTTP_QUEUE_HIGH)
        atomic_store(&stream->blocked, false);
}

int stream_start(struct apiserver *server, struct http_exchange *exchange, int status, const char *content_type,
                 const struct stream_ops *ops, void *ctx, struct err *err)
{
    struct stream_hook *hook = arena_new_of(http_exchange_arena(exchange), struct stream_hook);
    struct stream *stream = calloc(1, sizeof *stream);
    bool stopping;

    if (!hook || !stream) {
        free(stream);
        return err_set(err, ERR_NO_MEMORY, "stream");
    }
    mutex_init(&hook->lock);
    hook->stream = stream;
    *stream =
        (struct stream){ .refs = 1, .server = server, .exchange = exchange, .hook = hook, .ops = *ops, .ctx = ctx };
    list_init(&stream->link);
    mutex_lock(&server->lock);
    stopping = server->stopping;
    if (!stopping) {
        list_append(&server->streams, &stream->link);
        server->stream_count++;
    }
    mutex_unlock(&server->lock);
    if (stopping) {
        free(stream);
        return err_set(err, ERR_UNAVAILABLE, "the server is shutting down");
    }
    http_exchange_events(exchange,
                         &(struct http_stream_events){ .ctx = hook, .drained = on_drained, .closed = on_closed });
    stream_ref(stream);
    if (status)
        http_reply_begin(exchange, status, content_type);
    stream_kick(stream);
    stream_unref(stream);
    return 0;
}

void streams_stop(struct apiserver *server)
{
    mutex_lock(&server->lock);
    server->stopping = true;
    list_each (&server->streams, stream, struct stream, link) {
        atomic_store(&stream->closed, true);
        atomic_store(&stream->blocked, false);
        stream_kick(stream);
    }
    while (server->stream_count)
        cond_wait(&server->streams_gone, &server->lock);
    mutex_unlock(&server->lock);
}
