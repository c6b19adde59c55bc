/* http.c - between the HTTP server and the pipeline.
 *
 * handle() runs on a network loop: routing, authentication and the reading of one object happen there, everything else
 * on the executor. Where the store is shared, what must see the newest state waits for it in between, and no thread
 * waits with it. A write comes back from the store's group commit and is answered on that thread. The request lives
 * in the exchange's arena: after the reply neither may be touched. */
#include "apiserver/asof.h"
#include "apiserver/custom.h"
#include "apiserver/gzip.h"
#include "apiserver/headers.h"
#include "apiserver/heartbeat.h"
#include "apiserver/list_stream.h"
#include "apiserver/log.h"
#include "apiserver/metrics.h"
#include "apiserver/newest.h"
#include "apiserver/proxy.h"
#include "apiserver/relay.h"
#include "apiserver/server.h"
#include "apiserver/watch.h"
#include "apiserver/write.h"

struct http_job {
    struct request request;
    struct http_exchange *exchange;
    struct store_sync sync;
    nsec_t sync_begun;
};

/* Compresses the reply; it stays as it is when that fails. */
static void pack(struct http_job *job)
{
    struct request *request = &job->request;
    AUTO(gzip) gzip = NULL;
    AUTO_DEINIT(buf, packed) = BUF_INIT;
    struct blob *blob;

    if (gzip_new(&gzip, NULL) < 0 || gzip_add(gzip, request->reply.text, true, &packed, NULL) < 0)
        return;
    blob = blob_copy(buf_str(&packed));
    if (!blob)
        return;
    blob_unref(request->reply.blob);
    request->reply.blob = blob;
    request->reply.text = blob_str(blob);
    headers_send_gzip(job->exchange);
}

static void send_reply(struct http_job *job)
{
    struct request *request = &job->request;
    struct store_snapshot *snapshot;
    struct custom *custom;
    struct http_part part;
    const char *type;
    int status;

    reply_finish(request);
    metrics_request_done(request);
    headers_send(request, job->exchange);
    if (request->reply.text.len > GZIP_THRESHOLD && headers_take_gzip(request))
        pack(job);
    /* From here on only what is ours: the exchange takes the request with it. */
    part = (struct http_part){ request->reply.text, request->reply.blob };
    snapshot = TAKE(request->snapshot);
    custom = TAKE(request->custom);
    request->reply.blob = NULL;
    status = request->reply.status;
    type = request->reply.content_type;
    http_reply_parts(job->exchange, status, type, &part, 1);
    store_snapshot_close(snapshot);
    blob_unref(part.blob);
    custom_unref(custom);
}

static void send_later(void *arg)
{
    send_reply(arg);
}

static void send_error(struct http_job *job, const struct err *err)
{
    reply_error(&job->request, err);
    send_reply(job);
}

static void write_done(struct write *write)
{
    send_reply(write->done_arg);
}

/* Long answers begin; the others are sent. */
static void answer(struct http_job *job)
{
    struct request *request = &job->request;
    struct err err = { 0 };
    int code = 0;

    if (request->reply.status) {
        send_reply(job);
        return;
    }
    if (request->list)
        code = list_stream(request, job->exchange, &err);
    else if (request->watch)
        code = watch_stream(request, job->exchange, &err);
    else if (request->log)
        code = log_stream(request, job->exchange, &err);
    else if (request->relay)
        code = relay_start(request, job->exchange, &err);
    else if (request->proxy)
        code = proxy_start(request, job->exchange, &err);
    else if (request->heartbeat)
        code = heartbeat_start(request, job->exchange, &err);
    else
        code = err_set(&err, ERR_INTERNAL, "the request has no answer");
    if (code < 0)
        send_error(job, &err);
}

static void run_job(void *arg)
{
    struct http_job *job = arg;
    struct request *request = &job->request;
    struct err err = { 0 };
    struct write *write;
    int code = 0;

    if (http_exchange_cancelled(job->exchange)) {
        err_set(&err, ERR_CANCELLED, "the client is gone");
        send_error(job, &err);
        return;
    }
    if (request->synced)
        code = asof_read(request, &err);
    write = code == 0 && request->info.is_resource ? request_write(request, &err, &code) : NULL;
    if (code < 0) {
        send_error(job, &err);
        return;
    }
    if (write) {
        write_start(write, write_done, job);
        return;
    }
    request_run(request);
    answer(job);
}

/* The store's thread. */
static void synced(struct store_sync *sync, int code)
{
    struct http_job *job = sync->arg;
    struct apiserver *server = job->request.server;
    struct err err = sync->err;

    metrics_waited(server->metrics, clock_now(server->options.clock) - job->sync_begun, code);
    job->request.synced = true;
    if (code == 0)
        code = executor_post(server->options.executor, run_job, job, &err);
    if (code < 0)
        send_error(job, &err);
}

static void run_when_synced(struct http_job *job)
{
    struct apiserver *server = job->request.server;

    job->sync = (struct store_sync){ .done = synced, .arg = job };
    job->sync_begun = clock_now(server->options.clock);
    store_sync_async(server->options.store, &job->sync);
}

static void handle(void *ctx, struct http_exchange *exchange)
{
    struct apiserver *server = ctx;
    struct arena *arena = http_exchange_arena(exchange);
    struct http_job *job = arena_new_of(arena, struct http_job);
    struct err err = { 0 };

    if (!job) {
        http_reply_header(exchange, "Retry-After", STR("1"));
        http_reply(exchange, 429, "text/plain", STR("too many requests"));
        return;
    }
    job->exchange = exchange;
    request_init(&job->request, server, arena);
    job->request.begun = clock_now(server->options.clock);
    if (request_route(&job->request, http_exchange_request(exchange), &err) < 0) {
        send_error(job, &err);
        return;
    }
    if (store_is_shared(server->options.store) && newest_is_wanted(&job->request)) {
        run_when_synced(job);
        return;
    }
    if (request_is_quick(&job->request)) {
        request_run(&job->request);
        /* Compressing takes too long for a loop. */
        if (job->request.reply.status && job->request.reply.text.len > GZIP_THRESHOLD &&
            headers_take_gzip(&job->request) && executor_post(server->options.executor, send_later, job, NULL) == 0)
            return;
        answer(job);
        return;
    }
    if (executor_post(server->options.executor, run_job, job, &err) < 0)
        send_error(job, &err);
}

static enum http_body_mode route(void *ctx, const struct http_request *head)
{
    return heartbeat_is_asked(head) ? HTTP_BODY_STREAM : proxy_body_mode(head);
}

/* What the HTTP server refuses by itself gets a Status as well. */
static void refusal(void *ctx, int status, struct buf *body)
{
    static const struct {
        int status;
        enum err_code code;
        const char *message;
    } known[] = {
        { 400, ERR_BAD_REQUEST, "the request is malformed" },
        { 408, ERR_TIMEOUT, "the request did not arrive in time" },
        { 413, ERR_TOO_LARGE, "the request is too large" },
        { 417, ERR_BAD_REQUEST, "the expectation is not understood" },
        { 429, ERR_TOO_MANY_REQUESTS, "the server has too much to do, please try again later" },
        { 431, ERR_BAD_REQUEST, "the head of the request is too large" },
        { 501, ERR_NOT_SUPPORTED, "the transfer coding is not supported" },
        { 503, ERR_UNAVAILABLE, "the server is out of memory" },
        { 505, ERR_BAD_REQUEST, "the version of HTTP is not supported" },
    };
    struct failure failure = { .status = status, .retry_after = status == 429 };
    struct err err = { 0 };

    (void)ctx;
    err_set(&err, status < 500 ? ERR_BAD_REQUEST : ERR_INTERNAL, "%s", http_status_text(status));
    for (size_t i = 0; i < ARRAY_LEN(known); i++)
        if (known[i].status == status)
            err_set(&err, known[i].code, "%s", known[i].message);
    status_write(body, &err, &failure);
}

struct http_handler apiserver_handler(struct apiserver *server)
{
    return (struct http_handler){ .ctx = server, .route = route, .handle = handle, .refusal = refusal };
}
