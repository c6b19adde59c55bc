/* session.c - finding the server, and calls to it. */
#include "cli/session.h"

#include <stdio.h>
#include <unistd.h>

#include "base/sync.h"

#define CALL_TIMEOUT (60 * NSEC_PER_SEC)
#define BODY_MAX ((size_t)1 << 30)
#define CONFIGS_MAX 64

enum { OPT_KUBECONFIG = 0x1000, OPT_CONTEXT, OPT_INSTANCE };

static const struct argp_option session_argp_options[] = {
    { "namespace", 'n', "NAMESPACE", 0, "the namespace to work in (the context's, else default)", 90 },
    { "kubeconfig", OPT_KUBECONFIG, "FILE", 0, "how to reach the server ($KUBECONFIG, else ~/.kube/config)", 90 },
    { "context", OPT_CONTEXT, "CONTEXT", 0, "the context of the kubeconfig (the current one)", 90 },
    { "instance", OPT_INSTANCE, "INSTANCE", 0, "the cluster of this machine that `caravel up --instance` has made", 90 },
    { 0 },
};

static error_t parse_session(int key, char *value, struct argp_state *state)
{
    struct session_options *options = state->input;

    switch (key) {
    case 'n': options->ns = value; return 0;
    case OPT_KUBECONFIG: options->kubeconfig = value; return 0;
    case OPT_CONTEXT: options->context = value; return 0;
    case OPT_INSTANCE: options->instance = value; return 0;
    default: return ARGP_ERR_UNKNOWN;
    }
}

const struct argp session_argp = { session_argp_options, parse_session, NULL, NULL, NULL, NULL, NULL };

/* -- where the server is -- */

static int instance_config(struct arena *arena, const char *name, const char **ret_path, struct err *err)
{
    const struct instance_options options = { .instance = name };
    char path[INSTANCE_PATH_MAX];
    struct instance instance;
    int code = instance_resolve(&options, &instance, err);

    if (code < 0)
        return code;
    *ret_path = arena_cstr(arena, str_from(instance_path(&instance, "admin.kubeconfig", path)));
    return *ret_path ? 0 : err_set(err, ERR_NO_MEMORY, "kubeconfig");
}

static size_t split_paths(struct arena *arena, const char *list, const char *paths[CONFIGS_MAX])
{
    struct str rest = str_from(list), part;
    size_t count = 0;

    while (count < CONFIGS_MAX && str_split(&rest, ':', &part))
        if (part.len && (paths[count] = arena_cstr(arena, part)))
            count++;
    return count;
}

/* ~/.kube/config, or where `caravel up` has left one for whoever may read it. */
static int default_config(struct arena *arena, const char **ret_path, struct err *err)
{
    const char *home = getenv("HOME"), *path = NULL;
    struct str user = home ? arena_printf(arena, "%s/.kube/config", home) : STR_NULL;

    if (user.data && access(user.data, R_OK) == 0) {
        *ret_path = user.data;
        return 0;
    }
    if (instance_config(arena, NULL, &path, NULL) == 0 && access(path, R_OK) == 0) {
        *ret_path = path;
        return 0;
    }
    return err_set(err, ERR_NOT_FOUND, "there is no ~/.kube/config and no $KUBECONFIG; say --kubeconfig FILE or --instance "
                   "NAME, or start a cluster with `caravel up`");
}

static int find_configs(struct arena *arena, const struct session_options *options, const char *paths[CONFIGS_MAX],
                        size_t *ret_count, struct err *err)
{
    const char *variable = getenv("KUBECONFIG");

    *ret_count = 1;
    if (options->kubeconfig) {
        paths[0] = options->kubeconfig;
        return 0;
    }
    if (options->instance)
        return instance_config(arena, options->instance, &paths[0], err);
    if (variable && (*ret_count = split_paths(arena, variable, paths)) > 0)
        return 0;
    *ret_count = 1;
    return default_config(arena, &paths[0], err);
}

int session_contexts(struct session *session, const struct session_options *options, struct str_array *ret_names,
                     struct err *err)
{
    const char *paths[CONFIGS_MAX];
    size_t count;
    int code = find_configs(&session->arena, options, paths, &count, err);

    return code == 0 ? kubeconfig_contexts(&session->arena, paths, count, ret_names, err) : code;
}

int session_open(struct session *session, const struct session_options *options, struct err *err)
{
    const char *paths[CONFIGS_MAX];
    struct kubeconfig config = { 0 };
    size_t count;

    *session = (struct session){ 0 };
    arena_init(&session->arena, 0);
    int code = find_configs(&session->arena, options, paths, &count, err);

    if (code == 0)
        code = kubeconfig_choose(&session->arena, paths, count, str_from(options->context), &config, err);
    if (code < 0)
        return code;
    session->config = config.client;
    while (str_has_suffix(session->config.server, STR("/")))
        session->config.server = str_chop(session->config.server, 1);
    session->ns = options->ns ? str_from(options->ns) : config.ns.len ? config.ns : STR("default");
    if (config.client.token.len)
        session->authorization = arena_printf(&session->arena, "Bearer " STR_FMT, STR_ARG(config.client.token));
    const struct http_client_options http = { .ca_pem = config.client.ca_pem, .cert_pem = config.client.cert_pem,
                                              .key_pem = config.client.key_pem, .insecure = config.client.insecure };

    return arena_failed(&session->arena) ? err_set(err, ERR_NO_MEMORY, "session")
                                         : http_client_new(&http, &session->http, err);
}

void session_close(struct session *session)
{
    http_client_free(session->http);
    arena_deinit(&session->arena);
}

/* -- calls -- */

/* *url is the caller's to give back. */
static struct http_client_request make_request(struct session *session, const struct session_request *request,
                                               struct buf *url)
{
    struct http_header *headers = session->headers;
    size_t count = 0;

    buf_add_str(url, session->config.server);
    buf_add_str(url, request->path);
    headers[count++] = (struct http_header){ STR("accept"), str_from(request->accept ? request->accept
                                                                                     : "application/json") };
    headers[count++] = (struct http_header){ STR("user-agent"), STR("caravel/" CARAVEL_VERSION) };
    if (request->content_type)
        headers[count++] = (struct http_header){ STR("content-type"), str_from(request->content_type) };
    if (session->authorization.len)
        headers[count++] = (struct http_header){ STR("authorization"), session->authorization };
    return (struct http_client_request){ .method = request->method ? request->method : "GET", .url = buf_str(url),
                                         .headers = headers, .header_count = count, .body = request->body };
}

int session_call(struct session *session, const struct session_request *request, struct arena *arena, int *ret_status,
                 struct str *ret_body, struct err *err)
{
    struct http_client_response response = { 0 };
    AUTO_DEINIT(buf, url) = BUF_INIT;
    struct http_client_request http = make_request(session, request, &url);

    http.timeout = request->timeout ? request->timeout : CALL_TIMEOUT;
    http.max_body = BODY_MAX;
    if (!buf_ok(&url))
        return err_set(err, ERR_NO_MEMORY, "request");
    int code = http_client_do(session->http, &http, arena, &response, err);

    if (code < 0)
        return err_wrap(err, code, "the server " STR_FMT, STR_ARG(session->config.server));
    if (response.status >= 300)
        return rest_error(arena, response.status, response.body, err);
    if (ret_status)
        *ret_status = response.status;
    if (ret_body)
        *ret_body = response.body;
    return 0;
}

int session_json(struct session *session, const struct session_request *request, struct arena *arena, int *ret_status,
                 struct json **ret_json, struct err *err)
{
    struct str body;
    int code = session_call(session, request, arena, ret_status, &body, err);

    if (code == 0 && (code = json_parse(arena, body, NULL, ret_json, err)) < 0)
        code = err_wrap(err, code, "the answer of " STR_FMT, STR_ARG(session->config.server));
    return code;
}

/* -- streams -- */

#define BACKLOG_MAX (1u << 20)
#define LINE_MAX_BYTES (64u << 20)

struct session_stream {
    struct str server;
    struct http_call *call;
    struct mutex lock;
    struct cond changed;
    struct buf bytes; /* came, not yet read; under the lock as what follows */
    int status, code;
    bool paused, done;
    struct err err;
    struct buf line; /* the reader's: from taken on, what follows the line handed out last */
    size_t taken;
};

static void on_head(void *ctx, const struct http_client_response *head)
{
    struct session_stream *stream = ctx;

    LOCKED(&stream->lock);
    stream->status = head->status;
}

static bool on_data(void *ctx, struct str bytes)
{
    struct session_stream *stream = ctx;

    LOCKED(&stream->lock);
    stream->paused = stream->bytes.len > BACKLOG_MAX;
    if (!stream->paused)
        buf_add_str(&stream->bytes, bytes);
    cond_signal(&stream->changed);
    return !stream->paused;
}

static void on_done(void *ctx, int code, const struct err *err)
{
    struct session_stream *stream = ctx;

    LOCKED(&stream->lock);
    stream->done = true;
    stream->code = code;
    if (code < 0 && err)
        stream->err = *err;
    cond_signal(&stream->changed);
}

struct session_stream *session_stream_free(struct session_stream *stream)
{
    if (!stream)
        return NULL;
    http_call_free(stream->call);
    buf_deinit(&stream->bytes);
    buf_deinit(&stream->line);
    cond_deinit(&stream->changed);
    mutex_deinit(&stream->lock);
    free(stream);
    return NULL;
}

int session_stream_open(struct session *session, const struct session_request *request, struct session_stream **ret_stream,
                        struct err *err)
{
    AUTO(session_stream) stream = calloc(1, sizeof *stream);
    AUTO_DEINIT(buf, url) = BUF_INIT;
    const struct http_client_request http = make_request(session, request, &url);

    if (!stream || !buf_ok(&url))
        return err_set(err, ERR_NO_MEMORY, "request");
    mutex_init(&stream->lock);
    cond_init(&stream->changed);
    buf_init(&stream->line, LINE_MAX_BYTES);
    stream->server = session->config.server;
    const struct http_call_events events = { stream, on_head, on_data, on_done };
    int code = http_call_start(session->http, &http, &events, &stream->call, err);

    if (code == 0)
        *ret_stream = TAKE(stream);
    return code;
}

/* Locked. The stream has ended and its bytes were read, or they are an error's. */
static int stream_end(struct session_stream *stream, struct err *err)
{
    AUTO(arena) arena = arena_new(0);

    if (stream->code < 0) {
        if (err)
            *err = stream->err;
        return err_wrap(err, stream->code, "the server " STR_FMT, STR_ARG(stream->server));
    }
    if (stream->status < 300)
        return 0;
    return arena ? rest_error(arena, stream->status, buf_str(&stream->bytes), err)
                 : err_set(err, ERR_NO_MEMORY, "answer");
}

/* Locked. */
static int wait_for_bytes(struct session_stream *stream, nsec_t timeout, struct buf *buf, bool *ret_resume, struct err *err)
{
    bool in_time = true;

    while (in_time && !stream->done && (stream->bytes.len == 0 || stream->status >= 300)) {
        if (timeout)
            in_time = cond_wait_for(&stream->changed, &stream->lock, timeout);
        else
            cond_wait(&stream->changed, &stream->lock);
    }
    if (!buf_ok(&stream->bytes))
        return err_set(err, ERR_NO_MEMORY, "stream");
    if (stream->bytes.len == 0 || stream->status >= 300)
        return stream->done ? stream_end(stream, err) : err_set(err, ERR_TIMEOUT, "no answer in time");
    buf_add_str(buf, buf_str(&stream->bytes));
    buf_clear(&stream->bytes);
    *ret_resume = stream->paused;
    stream->paused = false;
    return buf_ok(buf) ? 1 : err_set(err, ERR_TOO_LARGE, "a line of the stream is too long");
}

int session_stream_read(struct session_stream *stream, nsec_t timeout, struct buf *buf, struct err *err)
{
    bool resume = false;

    mutex_lock(&stream->lock);
    int code = wait_for_bytes(stream, timeout, buf, &resume, err);

    mutex_unlock(&stream->lock);
    if (resume)
        http_call_resume(stream->call);
    return code;
}

int session_stream_line(struct session_stream *stream, nsec_t timeout, struct str *ret_line, struct err *err)
{
    struct buf *line = &stream->line;
    size_t searched = stream->taken;

    for (;;) {
        const char *end = line->len > searched ? memchr(line->data + searched, '\n', line->len - searched) : NULL;

        if (end) {
            *ret_line = str_of(line->data + stream->taken, (size_t)(end - line->data) - stream->taken);
            stream->taken += ret_line->len + 1;
            return 1;
        }
        buf_consume(line, stream->taken);
        stream->taken = 0;
        searched = line->len;
        int code = session_stream_read(stream, timeout, line, err);

        if (code < 0 || (code == 0 && line->len == 0))
            return code;
        if (code == 0) {
            *ret_line = buf_str(line);
            stream->taken = line->len;
            return 1;
        }
    }
}
