/* log_server.c - each reader gets a thread of a pool of its own, as following a log blocks; the client's pace holds the reader back. */
#include "kubelet/log_server.h"

#include <dirent.h>
#include <limits.h>
#include <stdio.h>

#include "kubelet/runtime/container_log.h"
#include "kubelet/pod_list.h"
#include "kubelet/stream_server.h"
#include "net/http_server.h"
#include "schema/time.h"

#define READERS_MAX 256
#define TAIL_BYTES 2048
#define TAIL_LINES 80

struct log_server {
    struct kubelet *kubelet;
    struct http_server *http;
    struct executor *readers;
    struct stream_server *streams;
};

struct reader {
    struct log_server *server;
    struct http_exchange *exchange;
    struct container_log_options options;
    bool previous;
    struct str ns, pod, container; /* in the exchange's arena */
    char path[PATH_MAX];
    struct str uid;
    struct mutex lock;
    struct cond drained;
    size_t queued;
    bool closed;
};

/* -- which file -- */

/* The newest attempt (or the one before it) of a container's logs; -1: none. */
static long find_attempt(const char *folder, bool previous)
{
    DIR *dir = opendir(folder);
    struct dirent *entry;
    int64_t last = -1, before = -1;

    while (dir && (entry = readdir(dir))) {
        struct str name = str_from(entry->d_name);
        int64_t number;

        if (!str_has_suffix(name, STR(".log")) || !str_to_i64(str_chop(name, 4), &number))
            continue;
        if (number > last) {
            before = last;
            last = number;
        } else if (number > before) {
            before = number;
        }
    }
    if (dir)
        closedir(dir);
    return (long)(previous ? before : last);
}

static const struct container_status *find_status(const struct pod *pod, struct str name)
{
    const struct container_status_array *lists[] = { &pod->status.container_statuses,
                                                     &pod->status.init_container_statuses,
                                                     &pod->status.ephemeral_container_statuses };

    for (size_t l = 0; l < ARRAY_LEN(lists); l++)
        for (size_t i = 0; i < lists[l]->count; i++)
            if (str_eq(lists[l]->items[i].name, name))
                return &lists[l]->items[i];
    return NULL;
}

/* While a container waits to be restarted, the one that ended is the previous one, and the newest log is its. */
static bool newest_is_previous(const struct container_status *status)
{
    return status && status->state.waiting && status->last_state.terminated;
}

static int find_log(struct reader *reader, struct arena *arena, struct err *err)
{
    struct kubelet *kubelet = reader->server->kubelet;
    struct str key = arena_printf(arena, STR_FMT "/" STR_FMT, STR_ARG(reader->ns), STR_ARG(reader->pod));
    AUTO(object) object = key.data ? informer_get(kubelet->pods, key) : NULL;

    if (!object)
        return err_set(err, ERR_NOT_FOUND, "pod \"" STR_FMT "\" is not on this node", STR_ARG(reader->pod));
    const char *folder = path_logs(arena, kubelet, object->meta);

    reader->uid = arena_str(arena, object->meta->uid);
    folder = folder ? arena_printf(arena, "%s/" STR_FMT, folder, STR_ARG(reader->container)).data : NULL;
    if (!folder || !reader->uid.data)
        return err_set(err, ERR_NO_MEMORY, "logs");
    const struct container_status *status = find_status(OBJECT_VIEW(object, pod), reader->container);
    long attempt = find_attempt(folder, reader->previous && !newest_is_previous(status));
    struct str why = status && status->state.waiting ? status->state.waiting->reason : STR("");

    if (attempt < 0 && reader->previous)
        return err_set(err, ERR_BAD_REQUEST, "previous terminated container \"" STR_FMT "\" in pod \"" STR_FMT
                       "\" not found", STR_ARG(reader->container), STR_ARG(reader->pod));
    if (attempt < 0)
        return err_set(err, ERR_BAD_REQUEST, "container \"" STR_FMT "\" in pod \"" STR_FMT "\" is waiting to start%s" STR_FMT,
                       STR_ARG(reader->container), STR_ARG(reader->pod), why.len ? ": " : "", STR_ARG(why));
    snprintf(reader->path, sizeof reader->path, "%s/%ld.log", folder, attempt);
    return 0;
}

/* -- reading -- */

static bool has_ended(void *arg)
{
    struct reader *reader = arg;
    AUTO(arena) arena = arena_new(1 << 20);
    struct runtime_container *list;
    size_t count;

    if (!arena || container_list(reader->server->kubelet->options.runtime, reader->uid, arena, &list, &count, NULL) < 0)
        return true;
    for (size_t i = 0; i < count; i++)
        if (str_is(list[i].log_path, reader->path))
            return list[i].state != CONTAINER_RUNNING && list[i].state != CONTAINER_CREATED;
    return true;
}

static bool is_cancelled(void *arg)
{
    struct reader *reader = arg;

    return http_exchange_cancelled(reader->exchange);
}

static void on_drained(void *ctx)
{
    struct reader *reader = ctx;

    LOCKED(&reader->lock);
    reader->queued = 0;
    cond_broadcast(&reader->drained);
}

static void on_closed(void *ctx)
{
    struct reader *reader = ctx;

    LOCKED(&reader->lock);
    reader->closed = true;
    cond_broadcast(&reader->drained);
}

static bool sink(void *arg, enum container_log_streams stream, struct str bytes)
{
    struct reader *reader = arg;
    const struct http_part part = { .bytes = bytes };

    mutex_lock(&reader->lock);
    while (reader->queued > HTTP_QUEUE_HIGH && !reader->closed)
        if (!cond_wait_for(&reader->drained, &reader->lock, NSEC_PER_SEC))
            break; /* drained() may have come before we looked */
    bool closed = reader->closed;
    mutex_unlock(&reader->lock);
    if (closed)
        return false;
    size_t queued = http_reply_write(reader->exchange, &part, 1);

    LOCKED(&reader->lock);
    reader->queued = queued;
    return true;
}

static void reader_free(struct reader *reader)
{
    cond_deinit(&reader->drained);
    mutex_deinit(&reader->lock);
    free(reader);
}

static void reader_run(void *arg)
{
    struct reader *reader = arg;
    const struct http_stream_events events = { reader, on_drained, on_closed, NULL };
    const struct container_log_source source = { .path = reader->path, .ended = has_ended, .arg = reader, .wake_fd = -1,
                                                 .cancelled = is_cancelled };
    AUTO(arena) arena = arena_new(1 << 20);
    struct err err = { 0 };
    int code = arena ? find_log(reader, arena, &err) : err_set(&err, ERR_NO_MEMORY, "logs");

    if (code < 0) {
        http_reply(reader->exchange, err_http_status(err.code), "text/plain", str_from(err.message));
        reader_free(reader);
        return;
    }
    http_exchange_events(reader->exchange, &events);
    http_reply_begin(reader->exchange, 200, "text/plain");
    container_log_read(&source, &reader->options, sink, reader, &err);
    http_reply_end(reader->exchange);
    reader_free(reader);
}

/* -- requests -- */

/* As everywhere in the API: there, and neither 0 nor false in any case ("True" is what Python says). */
static bool says_yes(const struct http_params *params, struct str name)
{
    struct str value = http_param(params, name);

    return value.data && !str_is(value, "0") && !str_eq_nocase(value, STR("false"));
}

static int parse_options(const struct http_params *params, nsec_t wall, struct reader *reader, struct err *err)
{
    struct container_log_options *options = &reader->options;
    struct str tail = http_param(params, STR("tailLines")), limit = http_param(params, STR("limitBytes"));
    struct str since = http_param(params, STR("sinceSeconds")), since_time = http_param(params, STR("sinceTime"));
    struct str stream = http_param(params, STR("stream"));
    int64_t seconds;

    *options = CONTAINER_LOG_ALL;
    options->follow = says_yes(params, STR("follow"));
    options->timestamps = says_yes(params, STR("timestamps"));
    reader->previous = says_yes(params, STR("previous"));
    if (tail.data && (!str_to_i64(tail, &options->tail_lines) || options->tail_lines < 0))
        return err_set(err, ERR_BAD_REQUEST, "tailLines: " STR_FMT, STR_ARG(tail));
    if (limit.data && (!str_to_i64(limit, &options->limit_bytes) || options->limit_bytes < 1))
        return err_set(err, ERR_BAD_REQUEST, "limitBytes: " STR_FMT, STR_ARG(limit));
    if (since.data && !str_to_i64(since, &seconds))
        return err_set(err, ERR_BAD_REQUEST, "sinceSeconds: " STR_FMT, STR_ARG(since));
    if (since.data)
        options->since = wall - seconds * NSEC_PER_SEC;
    if (since_time.data && !api_time_parse(since_time, &options->since))
        return err_set(err, ERR_BAD_REQUEST, "sinceTime: " STR_FMT, STR_ARG(since_time));
    if (str_is(stream, "Stdout"))
        options->streams = CONTAINER_LOG_STDOUT;
    else if (str_is(stream, "Stderr"))
        options->streams = CONTAINER_LOG_STDERR;
    return 0;
}

/* /containerLogs/<ns>/<pod>/<container> */
static bool parse_path(struct arena *arena, struct str path, struct reader *reader)
{
    struct str *parts[] = { &reader->ns, &reader->pod, &reader->container }, part;

    if (!str_has_prefix(path, STR("/containerLogs/")))
        return false;
    path = str_skip(path, 15);
    for (size_t i = 0; i < ARRAY_LEN(parts); i++)
        if (!str_split(&path, '/', &part) || !http_unescape(arena, part, false, parts[i]) || !parts[i]->len ||
            str_chr(*parts[i], '/') >= 0 || parts[i]->data[0] == '.')
            return false;
    return !path.data;
}

static bool may_read(const struct http_request *request)
{
    for (size_t i = 0; request->peer && i < request->peer->organization_count; i++)
        if (str_is(request->peer->organizations[i], "system:masters"))
            return true;
    return false;
}

static struct reader *reader_new(struct log_server *server, struct http_exchange *exchange)
{
    struct reader *reader = calloc(1, sizeof *reader);

    if (!reader)
        return NULL;
    reader->server = server;
    reader->exchange = exchange;
    mutex_init(&reader->lock);
    cond_init(&reader->drained);
    return reader;
}

static void handle(void *ctx, struct http_exchange *exchange)
{
    struct log_server *server = ctx;
    const struct http_request *request = http_exchange_request(exchange);
    struct arena *arena = http_exchange_arena(exchange);
    struct http_params params;
    struct err err = { 0 };

    if (str_is(request->path, "/healthz")) {
        http_reply(exchange, 200, "text/plain", STR("ok"));
        return;
    }
    if (!may_read(request)) {
        http_reply(exchange, request->peer && request->peer->common_name.len ? 403 : 401, "text/plain",
                   STR("logs and streams are for the API server"));
        return;
    }
    if (str_is(request->path, "/pods") || str_is(request->path, "/pods/")) {
        pod_list_handle(server->kubelet, exchange);
        return;
    }
    if (stream_server_has(request->path)) {
        stream_server_handle(server->streams, exchange);
        return;
    }
    struct reader *reader = reader_new(server, exchange);

    if (!reader) {
        http_reply(exchange, 503, "text/plain", STR("no memory"));
        return;
    }
    int code = request->method != HTTP_GET_ || !parse_path(arena, request->path, reader)
                   ? err_set(&err, ERR_NOT_FOUND, "no such endpoint")
               : !http_params_parse(arena, request->query, &params)
                   ? err_set(&err, ERR_BAD_REQUEST, "malformed query")
                   : parse_options(&params, clock_wall(server->kubelet->options.clock), reader, &err);

    if (code == 0)
        code = executor_post(server->readers, reader_run, reader, &err);
    if (code < 0) {
        reader_free(reader);
        http_reply(exchange, err_http_status(err.code), "text/plain", str_from(err.message));
    }
}

int log_server_start(struct kubelet *kubelet, struct log_server **ret_server, struct err *err)
{
    struct log_server *server = calloc(1, sizeof *server);
    char address[64];

    if (!server)
        return err_set(err, ERR_NO_MEMORY, "log server");
    snprintf(address, sizeof address, STR_FMT, STR_ARG(kubelet->options.node_ip));
    server->kubelet = kubelet;
    const struct http_server_options options = {
        .address = kubelet->options.address ? kubelet->options.address : address,
        .port = kubelet->options.port,
        .tls = kubelet->options.tls,
        .loops = 1,
        .handler = { .ctx = server, .handle = handle },
    };
    int code = executor_pool_new(kubelet->options.clock, "logs", READERS_MAX, &server->readers, err);

    if (code == 0)
        code = stream_server_new(kubelet, &server->streams, err);
    if (code == 0)
        code = http_server_start(&options, &server->http, err);
    if (code < 0) {
        log_server_stop(server);
        return err_wrap(err, code, "log server");
    }
    *ret_server = server;
    return 0;
}

struct log_server *log_server_stop(struct log_server *server)
{
    if (!server)
        return NULL;
    http_server_stop(server->http);
    executor_free(server->readers);
    stream_server_free(server->streams);
    free(server);
    return NULL;
}

int log_server_port(const struct log_server *server)
{
    return server ? http_server_port(server->http) : 0;
}

/* -- termination messages -- */

static bool append(void *arg, enum container_log_streams stream, struct str bytes)
{
    buf_add_str(arg, bytes);
    return true;
}

struct str kubelet_log_tail(struct arena *arena, struct str log_path)
{
    char path[PATH_MAX];
    struct buf buf = BUF_INIT;
    struct container_log_options options = CONTAINER_LOG_ALL;
    const struct container_log_source source = { .path = path, .wake_fd = -1 };

    options.tail_lines = TAIL_LINES;
    snprintf(path, sizeof path, STR_FMT, STR_ARG(log_path));
    container_log_read(&source, &options, append, &buf, NULL);
    struct str text = buf_str(&buf);

    text = arena_str(arena, str_skip(text, text.len > TAIL_BYTES ? text.len - TAIL_BYTES : 0));
    buf_deinit(&buf);
    return text;
}
