/* watch_stream.c - a watch over HTTP: frames of {"type":...,"object":...} and a newline, or in protobuf a length of
 * four bytes and a WatchEvent with the object in its envelope.
 *
 * An event's object is the store's own buffer, shared by all watchers, and so are its other forms (protobuf, metadata
 * only, another version), each made by the first of them that wants it; Tables, which tell ages, and the other versions
 * of custom objects, of which there may be many, are made for each. A slow reader leaves its events in the store
 * (which serves it from disk), so what a watch holds is bounded by the exchange's queue. It begins, when asked, with
 * what exists, as a list by chunks at one revision, and goes on from that revision. A timer wakes it for bookmarks and
 * for its end. */
#include "apiserver/custom.h"
#include "apiserver/headers.h"
#include "apiserver/metrics.h"
#include "apiserver/render.h"
#include "apiserver/server.h"
#include "apiserver/stream.h"
#include "apiserver/watch.h"
#include "codec/pb_wire.h"

#define INITIAL_CHUNK (64u << 10)
#define EVENTS_PER_STEP 64
#define EVENT_MAX (64u << 20)

enum phase { PHASE_INITIAL, PHASE_START, PHASE_LIVE };

/* What of an event's object a watcher gets, in the event's numbering. */
enum form {
    FORM_PROTOBUF,
    FORM_PARTIAL,
    FORM_PARTIAL_PROTOBUF,
    FORM_OTHER_VERSION,
    FORM_OTHER_PROTOBUF,
    FORM_STORED, /* as it is */
    FORM_OWN,    /* made for this watcher */
};
_Static_assert(FORM_STORED == STORE_EVENT_FORMS, "every shared form has its place in an event");

struct watcher {
    struct request *request;
    struct watch *watch;
    struct listing *list; /* PHASE_INITIAL */
    enum phase phase;
    struct http_exchange *exchange;
    struct stream *stream;
    struct executor_timer *timer;
    nsec_t deadline, next_bookmark;
    bool begun;
    bool columns_sent; /* Table: definitions go with the first frame only */
    struct render render;
    enum form form;
    struct arena arena; /* of one event */
};

static struct clock *clock_of(const struct watcher *watcher)
{
    return watcher->request->server->options.clock;
}

/* -- frames -- */

static const struct kind {
    struct str text, json_head;
} kinds[] = {
    [WATCH_ADDED] = { STR_INIT("ADDED"), STR_INIT("{\"type\":\"ADDED\",\"object\":") },
    [WATCH_MODIFIED] = { STR_INIT("MODIFIED"), STR_INIT("{\"type\":\"MODIFIED\",\"object\":") },
    [WATCH_DELETED] = { STR_INIT("DELETED"), STR_INIT("{\"type\":\"DELETED\",\"object\":") },
    [WATCH_BOOKMARK] = { STR_INIT("BOOKMARK"), STR_INIT("{\"type\":\"BOOKMARK\",\"object\":") },
};
static const struct kind kind_error = { STR_INIT("ERROR"), STR_INIT("{\"type\":\"ERROR\",\"object\":") };

static int no_memory(struct err *err)
{
    return err_set(err, ERR_NO_MEMORY, "watch event");
}

/* WatchEvent {type = 1, object = 2 {raw = 1}} up to the object's bytes, its length before it. */
static struct str protobuf_head(struct arena *arena, struct str kind, size_t object_len)
{
    struct pb_writer w;
    uint8_t length[4];
    size_t len;

    pb_begin(&w, arena, 0);
    pb_put_varint(&w, object_len);
    pb_put_varint(&w, 1 << 3 | PB_BYTES);
    pb_put_varint(&w, pb_len(&w) + object_len);
    pb_put_varint(&w, 2 << 3 | PB_BYTES);
    pb_field_bytes(&w, 1, kind);
    len = pb_len(&w) + object_len;
    for (int i = 0; i < 4; i++)
        length[i] = (uint8_t)(len >> (24 - 8 * i));
    pb_put(&w, str_of(length, sizeof length));
    return pb_end(&w);
}

/* blob: object lies in it; NULL: it is copied. */
static int put_frame(struct watcher *watcher, const struct kind *kind, struct str object, struct blob *blob,
                     struct err *err)
{
    bool protobuf = watcher->render.media.format == MEDIA_PROTOBUF;
    struct str head = protobuf ? protobuf_head(&watcher->arena, kind->text, object.len) : kind->json_head;
    struct http_part parts[] = { { head, NULL }, { object, blob }, { STR("}\n"), NULL } };

    if (!head.data)
        return no_memory(err);
    stream_write(watcher->stream, parts, protobuf ? 2 : 3);
    return 0;
}

static int render(struct watcher *watcher, struct str text, struct str *ret_object, struct err *err)
{
    watcher->render.table.now = clock_wall(clock_of(watcher));
    watcher->render.no_columns = watcher->columns_sent;
    watcher->columns_sent = true;
    return render_object(&watcher->render, &watcher->arena, text, ret_object, err);
}

/* A built-in resource has one version beside the one that it is stored in, at most. */
static enum form form_of(const struct render *render)
{
    const struct media *media = &render->media;
    bool protobuf = media->format == MEDIA_PROTOBUF, stored = render->resource == render->storage;

    if (media->shape == SHAPE_OBJECT && stored)
        return protobuf ? FORM_PROTOBUF : render_is_stored(render) ? FORM_STORED : FORM_OWN;
    if (media->shape == SHAPE_PARTIAL && stored && str_is(media->version, "v1"))
        return protobuf ? FORM_PARTIAL_PROTOBUF : FORM_PARTIAL;
    if (media->shape == SHAPE_OBJECT && !resource_is_custom(render->resource))
        return protobuf ? FORM_OTHER_PROTOBUF : FORM_OTHER_VERSION;
    return FORM_OWN;
}

/* The event's object in the watcher's form, made once for all that have the same. The event keeps the reference. */
static int shared_form(struct watcher *watcher, struct store_event *event, struct blob **ret_blob, struct err *err)
{
    _Atomic(struct blob *) *place = &event->forms[watcher->form];
    struct blob *present = atomic_load_explicit(place, memory_order_acquire), *blob;
    struct str bytes;
    int code;

    if (!present) {
        if ((code = render(watcher, blob_str(event->value), &bytes, err)) < 0)
            return code;
        blob = blob_copy(bytes);
        if (!blob)
            return no_memory(err);
        if (atomic_compare_exchange_strong(place, &present, blob))
            present = blob;
        else
            blob_unref(blob);
    }
    *ret_blob = present;
    return 0;
}

/* event: NULL when text is not its value. */
static int write_frame(struct watcher *watcher, enum watch_kind kind, struct str text, struct store_event *event,
                       struct err *err)
{
    struct blob *blob = NULL;
    int code;

    arena_reset(&watcher->arena);
    if (event && watcher->form < FORM_STORED) {
        if ((code = shared_form(watcher, event, &blob, err)) < 0)
            return code;
        return put_frame(watcher, &kinds[kind], blob_str(blob), blob, err);
    }
    if (event && watcher->form == FORM_STORED)
        return put_frame(watcher, &kinds[kind], text, event->value, err);
    if ((code = render(watcher, text, &text, err)) < 0)
        return code;
    return put_frame(watcher, &kinds[kind], text, NULL, err);
}

/* An object with nothing but its metadata. */
static struct str bookmark_object(struct watcher *watcher, struct str meta)
{
    const struct resource *resource = watcher->render.resource;

    return arena_printf(&watcher->arena,
                        "{\"kind\":\"" STR_FMT "\",\"apiVersion\":\"" STR_FMT "%s" STR_FMT "\",\"metadata\":" STR_FMT
                        "}",
                        STR_ARG(resource->kind), STR_ARG(resource->group), str_empty(resource->group) ? "" : "/",
                        STR_ARG(resource->version), STR_ARG(meta));
}

static struct str bookmark_table(struct watcher *watcher, struct str meta)
{
    AUTO_DEINIT(buf, table) = BUF_INIT;

    table_write_head(&table, watcher->render.resource, &watcher->render.table, !watcher->columns_sent);
    table_write_tail(&table, meta);
    watcher->columns_sent = true;
    return buf_ok(&table) ? arena_str(&watcher->arena, buf_str(&table)) : STR_NULL;
}

static int write_bookmark(struct watcher *watcher, revision_t revision, bool initial_end, struct err *err)
{
    struct render as_it_is = watcher->render;
    struct str meta, object;
    int code = 0;

    arena_reset(&watcher->arena);
    meta = arena_printf(&watcher->arena, "{%s\"resourceVersion\":\"%llu\"}",
                        initial_end ? "\"annotations\":{\"k8s.io/initial-events-end\":\"true\"}," : "",
                        (unsigned long long)revision);
    if (!meta.data)
        return no_memory(err);
    if (watcher->render.media.shape == SHAPE_TABLE) {
        object = bookmark_table(watcher, meta);
    } else {
        object = bookmark_object(watcher, meta);
        as_it_is.storage = as_it_is.resource;
        if (object.data)
            code = render_object(&as_it_is, &watcher->arena, object, &object, err);
    }
    if (code < 0 || !object.data)
        return code < 0 ? code : no_memory(err);
    return put_frame(watcher, &kinds[WATCH_BOOKMARK], object, NULL, err);
}

/* The last frame of a watch that cannot go on. */
static enum stream_step end_with(struct watcher *watcher, const struct err *err)
{
    enum media_format format = watcher->render.media.format;
    AUTO_DEINIT(buf, status) = BUF_INIT;
    struct str object;

    arena_reset(&watcher->arena);
    status_write(&status, err, NULL);
    if (!buf_ok(&status) || render_answer(&watcher->arena, &format, false, buf_str(&status), &object, NULL) < 0 ||
        put_frame(watcher, &kind_error, object, NULL, NULL) < 0)
        return STREAM_ABORT;
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
        code = write_bookmark(watcher, watcher->watch->after, true, &err);
    watcher->phase = PHASE_START;
    return code < 0 ? end_with(watcher, &err) : STREAM_MORE;
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

    revision_t progress = store_watch_progress(watcher->watch->source);

    if (watcher->watch->bookmarks && (over || due) && progress >= watcher->watch->silent)
        over = write_bookmark(watcher, progress, false, NULL) < 0 || over;
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
            code = write_frame(watcher, watched.kind, text, blob ? watched.event : NULL, &err);
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
    if (!watcher->begun) {
        watcher->begun = true;
        headers_send(watcher->request, watcher->exchange);
        stream_begin(stream, 200, media_watch_content_type(&watcher->render.media));
    }
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
    arena_deinit(&watcher->arena);
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
    *watcher =
        (struct watcher){ .request = request, .exchange = exchange, .watch = request->watch, .phase = PHASE_START };
    watcher->deadline = now + request->watch->timeout;
    watcher->next_bookmark = now + request->server->options.bookmark_interval;
    render_init(&watcher->render, request);
    watcher->render.media.pretty = false;
    watcher->form = form_of(&watcher->render);
    if (request->media.shape == SHAPE_TABLE)
        table_prepare(request->arena, request->resource, &watcher->render.table);
    if (request->watch->initial) {
        code = list_open_with(request, &request->watch->selection, 0, &watcher->list, err);
        if (code < 0)
            return code;
        watcher->phase = PHASE_INITIAL;
    }
    arena_init_within(&watcher->arena, EVENT_MAX, request->arena->budget);
    request->begun = 0;
    metrics_request_done(request);
    metrics_stream_begun(request);
    code = stream_start(request->server, exchange, 0, NULL, &ops, watcher, err);
    if (code < 0)
        release(watcher);
    return code;
}
