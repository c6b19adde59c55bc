/* log.c - relaying container logs.
 *
 * The agent is called through http_client.h, whose callbacks come on its own thread; they append to a small queue under
 * a lock, and the stream (stream.h) takes from it at the reader's pace. A full queue pauses the agent's answer until
 * the stream has taken it. The reply begins when the agent's head has come, so that its errors become Status objects.
 */
#include "apiserver/log.h"

#include "apiserver/agent.h"
#include "apiserver/log_options.h"
#include "apiserver/server.h"
#include "apiserver/stream.h"

#define QUEUE_MAX (256u << 10)
#define ERROR_MAX 4096
#define CONNECT_TIMEOUT (10 * NSEC_PER_SEC)

struct log_call {
    struct request *request;
    struct http_exchange *exchange;
    struct str url;
    struct http_call *call;
    /* under lock */
    struct mutex lock;
    struct buf queue;
    struct stream *stream; /* once the reply has begun; one reference */
    bool paused, ended;
    int status;
    bool begun; /* of the relay alone */
};

/* -- where to -- */

static int make_url(struct request *request, struct str host, int64_t port, struct str container, struct str *ret_url,
                    struct err *err)
{
    AUTO_DEINIT(buf, url) = BUF_INIT;
    bool v6 = str_chr(host, ':') >= 0;

    buf_init(&url, 16384);
    buf_printf(&url, "https://%s" STR_FMT "%s:%lld/containerLogs/" STR_FMT "/" STR_FMT "/" STR_FMT, v6 ? "[" : "",
               STR_ARG(host), v6 ? "]" : "", (long long)port, STR_ARG(request->info.ns), STR_ARG(request->info.name),
               STR_ARG(container));
    log_options_write(request, &url);
    *ret_url = buf_ok(&url) ? arena_str(request->arena, buf_str(&url)) : STR_NULL;
    return ret_url->data ? 0 : err_set(err, ERR_BAD_REQUEST, "the query of the request is too long");
}

int log_open(struct request *request, struct log_call **ret_log, struct err *err)
{
    struct log_call *log = arena_new_of(request->arena, struct log_call);
    struct agent_target target;
    int code;

    if (!log)
        return err_set(err, ERR_NO_MEMORY, "log");
    if ((code = log_options_check(request, err)) < 0 || (code = agent_find(request, true, &target, err)) < 0)
        return code;
    if (str_empty(target.node)) {
        /* Not scheduled yet: no output, as Kubernetes answers. */
        reply_text(request, 200, "text/plain", STR(""));
        return 0;
    }
    if (!request->server->options.http_client)
        return err_set(err, ERR_UNAVAILABLE, "this server does not reach the agents");
    if ((code = make_url(request, target.host, target.port, target.container, &log->url, err)) < 0)
        return code;
    log->request = request;
    *ret_log = log;
    return 0;
}

/* -- the agent's answer, on the client's thread -- */

static void kick(struct log_call *log)
{
    if (log->stream)
        stream_kick(log->stream);
}

static void on_head(void *ctx, const struct http_client_response *head)
{
    struct log_call *log = ctx;
    LOCKED(&log->lock);

    log->status = head->status;
    kick(log);
}

static bool on_data(void *ctx, struct str bytes)
{
    struct log_call *log = ctx;
    LOCKED(&log->lock);

    if (log->status >= 400) {
        buf_add_str(&log->queue, str_first(bytes, ERROR_MAX - MIN(log->queue.len, ERROR_MAX)));
        return true;
    }
    if (log->queue.len >= QUEUE_MAX) {
        log->paused = true;
        return false;
    }
    buf_add_str(&log->queue, bytes);
    kick(log);
    return true;
}

static void on_done(void *ctx, int code, const struct err *err)
{
    struct log_call *log = ctx;
    LOCKED(&log->lock);

    log->ended = true;
    if (code < 0 && !log->status && err) {
        buf_clear(&log->queue);
        buf_add_cstr(&log->queue, err->message);
    }
    kick(log);
}

/* -- the relay, on the executor -- */

/* The agent's words as a Status; it failed before there was a byte of log. */
static enum stream_step refuse(struct log_call *log, struct stream *stream, int status, struct str words)
{
    AUTO_DEINIT(buf, text) = BUF_INIT;
    struct err err = { 0 };

    err_set(&err, status ? err_from_status(status, STR("")) : ERR_INTERNAL, STR_FMT, STR_ARG(str_trim(words)));
    status_write(&text, &err, &log->request->failure);
    stream_reply(stream, status_code(&err, &log->request->failure), "application/json", buf_str(&text));
    return STREAM_REPLIED;
}

/* What has come since the last time; true when there is something to do with it. */
static bool take(struct log_call *log, struct stream *stream, struct buf *taken, int *ret_status, bool *ret_ended)
{
    bool resume, refused;

    mutex_lock(&log->lock);
    if (!log->stream)
        log->stream = stream_ref(stream);
    refused = log->status >= 400 || (log->ended && !log->status);
    if (refused ? !log->ended : !log->status) {
        mutex_unlock(&log->lock);
        return false;
    }
    *taken = log->queue;
    log->queue = (struct buf)BUF_INIT;
    *ret_ended = log->ended;
    *ret_status = log->status;
    resume = log->paused;
    log->paused = false;
    mutex_unlock(&log->lock);
    if (resume)
        http_call_resume(log->call);
    return true;
}

static enum stream_step relay(void *ctx, struct stream *stream)
{
    struct log_call *log = ctx;
    AUTO_DEINIT(buf, taken) = BUF_INIT;
    struct http_part part;
    bool ended;
    int status;

    if (!take(log, stream, &taken, &status, &ended))
        return STREAM_WAIT;
    if (!log->begun && (status == 0 || status >= 400))
        return refuse(log, stream, status, buf_str(&taken));
    if (!log->begun)
        stream_begin(stream, 200, "text/plain");
    log->begun = true;
    part = (struct http_part){ buf_str(&taken), NULL };
    if (part.bytes.len)
        stream_write(stream, &part, 1);
    return ended ? STREAM_END : STREAM_WAIT;
}

static void release(void *ctx)
{
    struct log_call *log = ctx;

    log->call = http_call_free(log->call);
    stream_unref(log->stream);
    buf_deinit(&log->queue);
    mutex_deinit(&log->lock);
}

int log_stream(struct request *request, struct http_exchange *exchange, struct err *err)
{
    static const struct stream_ops ops = { relay, release };
    struct log_call *log = request->log;
    struct http_client_request out = { .method = "GET", .url = log->url, .connect_timeout = CONNECT_TIMEOUT };
    struct http_call_events events = { .ctx = log, .head = on_head, .data = on_data, .done = on_done };
    int code;

    out.max_body = SIZE_MAX;
    mutex_init(&log->lock);
    log->exchange = exchange;
    code = http_call_start(request->server->options.http_client, &out, &events, &log->call, err);
    if (code == 0)
        code = stream_start(request->server, exchange, 0, NULL, &ops, log, err);
    if (code < 0)
        release(log);
    return code;
}
