/* watch_stream.c - a watch over HTTP: frames of {"type":...,"object":...} and a newline.
 *
 * An event's object is the store's own buffer, shared by all watchers; a slow reader leaves its events in the store
 * (which serves it from disk), so what a watch holds is bounded by the exchange's queue. It begins, when asked, with
 * what exists, as a list by chunks at one revision, and goes on from that revision. A timer wakes it for bookmarks and
 * for its end. */
#include "apiserver/convert.h"
#include "apiserver/custom.h"
#include "apiserver/metrics.h"
#include "apiserver/server.h"
#include "apiserver/stream.h"
#include "apiserver/table.h"
#include "apiserver/watch.h"
#include "schema/object.h"

#define INITIAL_CHUNK (64u << 10)
#define EVENTS_PER_STEP 64

enum phase { PHASE_INITIAL, PHASE_START, PHASE_LIVE };

struct watcher {
    struct request *request;
    struct watch *watch;
    struct listing *list; /* PHASE_INITIAL */
    enum phase phase;
    struct stream *stream;
    struct executor_timer *timer;
    nsec_t deadline, next_bookmark;
    bool columns_sent; /* Table: definitions go with the first frame only */
    struct buf out;
    struct table_format format;
};

static bool is_raw(const struct request *request)
{
    return request->media.shape == SHAPE_OBJECT && request->resource == request_storage(request);
}

static struct clock *clock_of(const struct watcher *watcher)
{
    return watcher->request->server->options.clock;
}

static void flush(struct watcher *watcher)
{
    struct http_part part = { buf_str(&watcher->out), NULL };

    if (part.bytes.len)
        stream_write(watcher->stream, &part, 1);
    buf_clear(&watcher->out);
}

static const char *kind_text(enum watch_kind kind)
{
    static const char *const texts[] = { "ADDED", "MODIFIED", "DELETED", "BOOKMARK" };

    return texts[kind];
}

/* An object in another version or shape. */
static int render(struct watcher *watcher, struct str text, struct err *err)
{
    struct request *request = watcher->request;
    AUTO(arena) arena = arena_new(64u << 20);
    struct json *object;
    int code;

    if (!arena)
        return err_set(err, ERR_NO_MEMORY, "watch event");
    arena->budget = request->arena->budget;
    watcher->format.now = clock_wall(clock_of(watcher));
    if ((code = json_parse(arena, text, NULL, &object, err)) < 0)
        return code;
    if (request->resource != request_storage(request)) {
        if ((code = convert_object(arena, request_storage(request), request->resource, object, err)) < 0 ||
            (code = object_normalize(arena, request->resource->type, object, NULL, err)) < 0)
            return code;
        text = STR_NULL;
    }
    if (request->media.shape == SHAPE_TABLE) {
        bool columns = !watcher->columns_sent;

        watcher->columns_sent = true;
        watcher->format.now = clock_wall(request->server->options.clock);
        return table_write(arena, &watcher->out, request->resource, &watcher->format, columns, object, text, err);
    }
    if (request->media.shape == SHAPE_PARTIAL)
        partial_write(&watcher->out, request->media.version, object);
    else
        json_write(&watcher->out, object);
    return 0;
}

static int write_frame(struct watcher *watcher, enum watch_kind kind, struct str text, struct blob *blob,
                       struct err *err)
{
    int code;

    if (is_raw(watcher->request)) {
        static const struct str heads[] = { STR_INIT("{\"type\":\"ADDED\",\"object\":"),
                                            STR_INIT("{\"type\":\"MODIFIED\",\"object\":"),
                                            STR_INIT("{\"type\":\"DELETED\",\"object\":") };
        struct http_part parts[] = { { heads[kind], NULL }, { text, blob }, { STR("}\n"), NULL } };

        stream_write(watcher->stream, parts, ARRAY_LEN(parts));
        return 0;
    }
    buf_printf(&watcher->out, "{\"type\":\"%s\",\"object\":", kind_text(kind));
    if ((code = render(watcher, text, err)) < 0)
        return code;
    buf_add_cstr(&watcher->out, "}\n");
    if (!buf_ok(&watcher->out))
        return err_set(err, ERR_NO_MEMORY, "watch event");
    flush(watcher);
    return 0;
}

static void write_bookmark(struct watcher *watcher, revision_t revision, bool initial_end)
{
    struct request *request = watcher->request;
    struct str group = request->resource->group, version = request->resource->version, kind = request->resource->kind;
    char meta[160];

    snprintf(meta, sizeof meta, "{%s\"resourceVersion\":\"%llu\"}",
             initial_end ? "\"annotations\":{\"k8s.io/initial-events-end\":\"true\"}," : "",
             (unsigned long long)revision);
    buf_add_cstr(&watcher->out, "{\"type\":\"BOOKMARK\",\"object\":");
    if (request->media.shape == SHAPE_TABLE) {
        table_write_head(&watcher->out, request->resource, &watcher->format, !watcher->columns_sent);
        table_write_tail(&watcher->out, str_from(meta));
        watcher->columns_sent = true;
    } else {
        if (request->media.shape == SHAPE_PARTIAL) {
            group = STR("meta.k8s.io");
            version = request->media.version;
            kind = STR("PartialObjectMetadata");
        }
        buf_printf(&watcher->out,
                   "{\"kind\":\"" STR_FMT "\",\"apiVersion\":\"" STR_FMT "%s" STR_FMT "\",\"metadata\":%s}",
                   STR_ARG(kind), STR_ARG(group), str_empty(group) ? "" : "/", STR_ARG(version), meta);
    }
    buf_add_cstr(&watcher->out, "}\n");
    flush(watcher);
}

/* The last frame of a watch that cannot go on. */
static enum stream_step end_with(struct watcher *watcher, const struct err *err)
{
    buf_clear(&watcher->out);
    buf_add_cstr(&watcher->out, "{\"type\":\"ERROR\",\"object\":");
    status_write(&watcher->out, err, NULL);
    buf_add_cstr(&watcher->out, "}\n");
    flush(watcher);
    return STREAM_END;
}

static int initial_item(void *ctx, struct str key, struct str text, struct err *err)
{
    struct watcher *watcher = ctx;

    return write_frame(watcher, WATCH_ADDED, text, NULL, err);
}

static enum stream_step produce_initial(struct watcher *watcher)
{
    struct list_sink sink = { .ctx = watcher, .item = initial_item };
    struct err err = { 0 };
    int code = list_next(watcher->list, &sink, INITIAL_CHUNK, &err);

    if (code < 0)
        return end_with(watcher, &err);
    if (code > 0)
        return STREAM_MORE;
    watcher->watch->after = watcher->list->revision;
    watcher->list = list_close(watcher->list);
    if (watcher->watch->initial_end)
        write_bookmark(watcher, watcher->watch->after, true);
    watcher->phase = PHASE_START;
    return STREAM_MORE;
}

static void on_ready(void *arg)
{
    stream_kick(arg);
}

static void on_timer(void *arg)
{
    stream_kick(arg);
    stream_unref(arg);
}

static void cancel_timer(struct watcher *watcher)
{
    struct executor_timer *timer = TAKE(watcher->timer);

    if (timer && executor_cancel(watcher->request->server->options.executor, timer))
        stream_unref(watcher->stream);
}

static int arm_timer(struct watcher *watcher, struct err *err)
{
    nsec_t now = clock_now(clock_of(watcher)), at = watcher->deadline;
    int code;

    if (watcher->watch->bookmarks)
        at = MIN(at, watcher->next_bookmark);
    cancel_timer(watcher);
    stream_ref(watcher->stream);
    code = executor_post_after(watcher->request->server->options.executor, MAX(at - now, 0), on_timer, watcher->stream,
                               &watcher->timer, err);
    if (code < 0)
        stream_unref(watcher->stream);
    return code;
}

static enum stream_step produce_start(struct watcher *watcher)
{
    struct err err = { 0 };

    if (watch_start(watcher->watch, on_ready, watcher->stream, &err) < 0 || arm_timer(watcher, &err) < 0)
        return end_with(watcher, &err);
    watcher->phase = PHASE_LIVE;
    return STREAM_MORE;
}

/* Bookmarks and the end. True: the watch is over. */
static bool tick(struct watcher *watcher)
{
    nsec_t now = clock_now(clock_of(watcher));
    bool over = now >= watcher->deadline, due = now >= watcher->next_bookmark;

    if (watcher->watch->bookmarks && (over || due))
        write_bookmark(watcher, store_watch_progress(watcher->watch->source), false);
    if (over)
        return true;
    if (due) {
        watcher->next_bookmark = now + watcher->request->server->options.bookmark_interval;
        if (watcher->watch->bookmarks)
            return arm_timer(watcher, NULL) < 0;
    }
    return false;
}

static enum stream_step produce_live(struct watcher *watcher)
{
    for (int i = 0; i < EVENTS_PER_STEP; i++) {
        struct watched watched;
        struct blob *blob = NULL;
        struct err err = { 0 };
        struct str text;
        int code = watch_step(watcher->watch, &watched, &err);

        if (code < 0)
            return end_with(watcher, &err);
        if (code == STORE_WATCH_MORE)
            continue;
        if (code == 0)
            return tick(watcher) ? STREAM_END : STREAM_WAIT;
        code = watch_text(watcher->watch, &watched, &text, &blob, &err);
        if (code == 0)
            code = write_frame(watcher, watched.kind, text, blob, &err);
        store_event_unref(watched.event);
        if (code < 0)
            return end_with(watcher, &err);
    }
    return STREAM_MORE;
}

static enum stream_step produce(void *ctx, struct stream *stream)
{
    struct watcher *watcher = ctx;

    watcher->stream = stream;
    switch (watcher->phase) {
    case PHASE_INITIAL: return produce_initial(watcher);
    case PHASE_START: return produce_start(watcher);
    default: return produce_live(watcher);
    }
}

static void release_all(struct watcher *watcher)
{
    cancel_timer(watcher);
    list_close(watcher->list);
    watch_close(watcher->watch);
    buf_deinit(&watcher->out);
}

static void release(void *ctx)
{
    struct watcher *watcher = ctx;

    metrics_stream_ended(watcher->request);
    release_all(watcher);
    watcher->request->custom = custom_unref(watcher->request->custom);
}

int watch_stream(struct request *request, struct http_exchange *exchange, struct err *err)
{
    static const struct stream_ops ops = { produce, release };
    struct watcher *watcher = arena_new_of(request->arena, struct watcher);
    nsec_t now = clock_now(request->server->options.clock);
    int code;

    if (!watcher)
        return err_set(err, ERR_NO_MEMORY, "watch");
    *watcher = (struct watcher){ .request = request, .watch = request->watch, .phase = PHASE_START };
    watcher->deadline = now + request->watch->timeout;
    watcher->next_bookmark = now + request->server->options.bookmark_interval;
    watcher->format = request_table_format(request);
    if (request->media.shape == SHAPE_TABLE)
        table_prepare(request->arena, request->resource, &watcher->format);
    if (request->watch->initial) {
        code = list_open_with(request, &request->watch->selection, 0, &watcher->list, err);
        if (code < 0)
            return code;
        watcher->phase = PHASE_INITIAL;
    }
    request->begun = 0;
    metrics_request_done(request);
    metrics_stream_begun(request);
    code = stream_start(request->server, exchange, 200, "application/json", &ops, watcher, err);
    if (code < 0)
        release(watcher);
    return code;
}
