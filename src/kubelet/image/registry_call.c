/* registry_call.c - hands bytes from the HTTP client's thread, which must not block, to the caller's, which writes them
 * to the disk. At most QUEUE_MAX bytes wait in between; then the answer is paused. */
#include "kubelet/image/registry_call.h"

#include "base/buf.h"
#include "base/sync.h"

#define QUEUE_MAX (1u << 20)
#define CANCEL_POLL (NSEC_PER_SEC / 4)
#define STALL_TIMEOUT (60 * NSEC_PER_SEC)
#define CONNECT_TIMEOUT (15 * NSEC_PER_SEC)

struct exchange {
    struct mutex lock;
    struct cond changed;
    struct arena *arena;
    struct http_client_response head;
    bool has_head, paused, ended, no_memory;
    struct buf queue;
    int code;
    struct err err;
};

static void on_head(void *ctx, const struct http_client_response *head)
{
    struct exchange *exchange = ctx;
    LOCKED(&exchange->lock);
    struct http_header *headers = arena_array_of(exchange->arena, MAX(head->header_count, 1), struct http_header);

    for (size_t i = 0; headers && i < head->header_count; i++)
        headers[i] = (struct http_header){ arena_str(exchange->arena, head->headers[i].name),
                                           arena_str(exchange->arena, head->headers[i].value) };
    exchange->no_memory |= arena_failed(exchange->arena);
    exchange->head = (struct http_client_response){ head->status, STR_NULL, headers, headers ? head->header_count : 0 };
    exchange->has_head = true;
    cond_signal(&exchange->changed);
}

static bool on_data(void *ctx, struct str bytes)
{
    struct exchange *exchange = ctx;
    LOCKED(&exchange->lock);

    if (exchange->queue.len >= QUEUE_MAX) {
        exchange->paused = true;
        return false;
    }
    buf_add_str(&exchange->queue, bytes);
    exchange->no_memory |= !buf_ok(&exchange->queue);
    cond_signal(&exchange->changed);
    return true;
}

static void on_done(void *ctx, int code, const struct err *err)
{
    struct exchange *exchange = ctx;
    LOCKED(&exchange->lock);

    exchange->ended = true;
    exchange->code = code;
    if (code < 0)
        exchange->err = *err;
    cond_signal(&exchange->changed);
}

enum news { NEWS_HEAD, NEWS_BYTES, NEWS_END };

/* Waits for something to do; bytes that came are swapped into *taken. */
static int wait_for_news(struct exchange *exchange, const struct registry_call *call, bool head_seen, struct buf *taken,
                         bool *ret_resume, enum news *ret_news, struct err *err)
{
    LOCKED(&exchange->lock);

    for (;;) {
        if (atomic_load(call->cancel))
            return err_set(err, ERR_CANCELLED, "the image store is being closed");
        if (exchange->no_memory)
            return err_set(err, ERR_NO_MEMORY, "answer of the registry");
        if ((exchange->has_head && !head_seen) || exchange->queue.len || exchange->ended)
            break;
        cond_wait_for(&exchange->changed, &exchange->lock, CANCEL_POLL);
    }
    *ret_resume = false;
    *ret_news = exchange->has_head && !head_seen ? NEWS_HEAD : exchange->queue.len ? NEWS_BYTES : NEWS_END;
    if (*ret_news == NEWS_BYTES) {
        struct buf full = exchange->queue;
        exchange->queue = *taken;
        *taken = full;
        *ret_resume = exchange->paused;
        exchange->paused = false;
    }
    return 0;
}

static int consume(struct exchange *exchange, const struct registry_call *call, struct http_call *http,
                   struct buf *taken, struct err *err)
{
    bool head_seen = false, resume = false;
    enum news news = NEWS_END;
    int r;

    for (;;) {
        buf_clear(taken);
        r = wait_for_news(exchange, call, head_seen, taken, &resume, &news, err);
        if (r < 0)
            return r;
        if (resume)
            http_call_resume(http);
        if (news == NEWS_HEAD)
            r = call->head(call->ctx, &exchange->head, err);
        else if (news == NEWS_BYTES)
            r = call->body(call->ctx, buf_str(taken), err);
        else if (exchange->code < 0)
            return err_set(err, ERR_UNAVAILABLE, "%s", exchange->err.message);
        else
            return head_seen ? 0 : err_set(err, ERR_UNAVAILABLE, "the registry did not answer");
        if (r < 0)
            return r;
        head_seen = true;
    }
}

int registry_call_run(const struct registry_call *call, struct err *err)
{
    struct exchange exchange = { .queue = BUF_INIT, .arena = arena_new(1u << 20) };
    const struct http_client_request request = {
        .method = "GET",
        .url = call->url,
        .headers = call->headers,
        .header_count = call->header_count,
        .connect_timeout = CONNECT_TIMEOUT,
        .stall_timeout = STALL_TIMEOUT,
    };
    const struct http_call_events events = { &exchange, on_head, on_data, on_done };
    AUTO_DEINIT(buf, taken) = BUF_INIT;
    struct http_call *http = NULL;
    int r;

    mutex_init(&exchange.lock);
    cond_init(&exchange.changed);
    r = exchange.arena ? http_call_start(call->client, &request, &events, &http, err)
                       : err_set(err, ERR_NO_MEMORY, "request to a registry");
    if (r == 0)
        r = consume(&exchange, call, http, &taken, err);
    http_call_free(http);
    buf_deinit(&exchange.queue);
    arena_free(exchange.arena);
    cond_deinit(&exchange.changed);
    mutex_deinit(&exchange.lock);
    return r;
}
