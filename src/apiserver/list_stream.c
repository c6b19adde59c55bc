/* list_stream.c - writing lists.
 *
 * In the common case (JSON, the stored version) a chunk is a row of slices of the store's map with commas between them,
 * handed to the exchange as they are; nothing is parsed and no list is ever whole in memory. All else is rendered item
 * by item into a buffer, and what is compressed goes through one more.
 *
 * Protobuf wants the length of the list before its first item. So such a list is gone through twice, at one revision:
 * first to count, then to send. What is rendered while counting is kept as long as it is less than HOLD_MAX and the
 * server's budget of memory bears it, and need not be rendered again; most lists are done then. Of longer ones the lengths
 * are remembered (lengths.c) for the next list of the same objects, which then renders them but once. */
#include "apiserver/list_stream.h"

#include "apiserver/custom.h"
#include "apiserver/gzip.h"
#include "apiserver/headers.h"
#include "apiserver/lengths.h"
#include "apiserver/metrics.h"
#include "apiserver/render.h"
#include "apiserver/server.h"
#include "apiserver/stream.h"
#include "base/vec.h"

#define CHUNK_BYTES (128u << 10)
#define HOLD_MAX (4u << 20)

struct list_writer {
    struct request *request;
    struct listing *list;
    struct http_exchange *exchange;
    struct stream *stream; /* NULL: into whole */
    struct render render;
    struct gzip *gzip;             /* NULL: not compressed */
    struct buf out, packed, whole; /* of this chunk: rendered, compressed; all */
    VEC(struct http_part) parts;   /* of this chunk: as stored */
    bool begun, any;               /* the head is out; there was an item */
    bool counting, holding;        /* protobuf */
    uint64_t counted_bytes;        /* of items */
    uint64_t sent_bytes;
    size_t charged;          /* of out, while holding */
    struct list_place place; /* behind what is held */
};

static int no_memory(struct err *err)
{
    return err_set(err, ERR_NO_MEMORY, "list");
}

/* -- bytes on their way -- */

static int pack(struct list_writer *writer, const struct http_part *parts, size_t count, bool last, struct err *err)
{
    struct http_part packed;
    int code = 0;

    for (size_t i = 0; i < count && code == 0; i++)
        code = gzip_add(writer->gzip, parts[i].bytes, last && i + 1 == count, &writer->packed, err);
    if (code < 0)
        return code;
    packed = (struct http_part){ buf_str(&writer->packed), NULL };
    if (packed.bytes.len)
        stream_write(writer->stream, &packed, 1);
    buf_clear(&writer->packed);
    return 0;
}

/* last: the list ends with these. */
static int put(struct list_writer *writer, const struct http_part *parts, size_t count, bool last, struct err *err)
{
    if (writer->gzip)
        return pack(writer, parts, count, last, err);
    if (writer->stream) {
        stream_write(writer->stream, parts, count);
        return 0;
    }
    for (size_t i = 0; i < count; i++)
        buf_add_str(&writer->whole, parts[i].bytes);
    return buf_ok(&writer->whole) ? 0 : err_set(err, ERR_TOO_LARGE, "the list is too large for this format");
}

/* What the chunk has so far. */
static int put_chunk(struct list_writer *writer, struct err *err)
{
    struct http_part rendered = { buf_str(&writer->out), NULL };
    int code = 0;

    if (!buf_ok(&writer->out))
        return no_memory(err);
    if (rendered.bytes.len)
        code = put(writer, &rendered, 1, false, err);
    if (code == 0 && writer->parts.count)
        code = put(writer, writer->parts.items, writer->parts.count, false, err);
    writer->sent_bytes += rendered.bytes.len;
    buf_clear(&writer->out);
    vec_clear(&writer->parts);
    return code;
}

static int begin(struct list_writer *writer, bool long_enough, struct str head, struct err *err)
{
    struct http_part part = { head, NULL };
    int code;

    writer->begun = true;
    if (writer->stream) {
        if (long_enough && headers_take_gzip(writer->request)) {
            if ((code = gzip_new(&writer->gzip, err)) < 0)
                return code;
            headers_send_gzip(writer->exchange);
        }
        headers_send(writer->request, writer->exchange);
        stream_begin(writer->stream, 200, media_content_type(&writer->render.media));
    }
    return put(writer, &part, 1, false, err);
}

static int write_meta(struct list_writer *writer, struct str *ret_meta, struct err *err)
{
    AUTO_DEINIT(buf, meta) = BUF_INIT;

    list_write_meta(writer->list, &meta);
    *ret_meta = buf_ok(&meta) ? arena_str(writer->request->arena, buf_str(&meta)) : STR_NULL;
    return ret_meta->data ? 0 : no_memory(err);
}

/* -- items -- */

static int add_stored(struct list_writer *writer, struct str mark, struct str text)
{
    if (mark.len && vec_push(&writer->parts, ((struct http_part){ mark, NULL })) < 0)
        return -ERR_NO_MEMORY;
    return vec_push(&writer->parts, ((struct http_part){ text, NULL })) < 0 ? -ERR_NO_MEMORY : 0;
}

/* Counts an item of which nothing is kept. */
static int count_item(struct list_writer *writer, struct str text, struct err *err)
{
    struct lengths *lengths = writer->request->server->lengths;
    uint64_t name = lengths_name(&writer->render, text);
    struct arena *scratch = &writer->list->scratch;
    struct str bytes;
    size_t length;
    int code;

    if (!lengths_find(lengths, name, &length)) {
        arena_reset(scratch);
        if ((code = render_item(&writer->render, scratch, text, &bytes, err)) < 0)
            return code;
        length = bytes.len;
        lengths_note(lengths, name, length);
    }
    writer->counted_bytes += length;
    return 0;
}

static int write_item(void *ctx, struct str key, struct str text, struct err *err)
{
    struct list_writer *writer = ctx;
    const struct render_marks *marks = render_marks(&writer->render);
    struct str mark = writer->any ? marks->between : marks->first, bytes;
    struct arena *scratch = &writer->list->scratch;
    int code;

    (void)key;
    writer->any = true;
    if (render_is_stored(&writer->render))
        return add_stored(writer, mark, text) < 0 ? no_memory(err) : 0;
    if (writer->counting && !writer->holding)
        return count_item(writer, text, err);
    arena_reset(scratch);
    if ((code = render_item(&writer->render, scratch, text, &bytes, err)) < 0)
        return code;
    if (writer->counting)
        writer->counted_bytes += bytes.len;
    buf_add_str(&writer->out, mark);
    buf_add_str(&writer->out, bytes);
    return buf_ok(&writer->out) ? 0 : no_memory(err);
}

/* While the chunk's snapshot is open: its texts are copied into the queue here. */
static int flush_chunk(void *ctx, struct err *err)
{
    struct list_writer *writer = ctx;
    size_t bytes = writer->out.len;
    AUTO_DEINIT(buf, head) = BUF_INIT;
    struct str meta = STR_NULL;
    int code;

    if (writer->counting)
        return 0;
    if (!writer->begun) {
        vec_each (&writer->parts, part)
            bytes += part->bytes.len;
        /* A limited list knows its continue token only at the end. */
        if ((!writer->list->limit && (code = write_meta(writer, &meta, err)) < 0) ||
            (code = render_list_head(&writer->render, writer->request->arena, meta, &head, err)) < 0 ||
            (code = begin(writer, bytes > GZIP_THRESHOLD || !writer->list->ended, buf_str(&head), err)) < 0)
            return code;
    }
    return put_chunk(writer, err);
}

static int write_tail(struct list_writer *writer, struct err *err)
{
    const struct render_marks *marks = render_marks(&writer->render);
    AUTO_DEINIT(buf, tail) = BUF_INIT;
    struct http_part part;
    struct str meta;
    int code;

    buf_add_str(&tail, writer->any ? marks->last : marks->none);
    if ((code = write_meta(writer, &meta, err)) < 0 ||
        (code = render_list_tail(&writer->render, writer->request->arena, meta, writer->list->limit != 0, &tail, err)) <
            0)
        return code;
    part = (struct http_part){ buf_str(&tail), NULL };
    return put(writer, &part, 1, true, err);
}

/* -- protobuf -- */

static void stop_holding(struct list_writer *writer)
{
    if (writer->request->arena->budget)
        arena_budget_change(writer->request->arena->budget, &writer->charged, 0);
    writer->holding = false;
}

/* After a chunk: what is rendered is kept as long as that is bearable. */
static void hold(struct list_writer *writer)
{
    struct arena_budget *budget = writer->request->arena->budget;

    if (!writer->holding)
        return;
    if (writer->out.len < HOLD_MAX && (!budget || arena_budget_change(budget, &writer->charged, writer->out.cap)))
        return;
    list_note_place(writer->list, &writer->place);
    stop_holding(writer);
}

/* All is counted: the head, what is held, and the rest of it or a second time round. 1: that is still to come. */
static int begin_protobuf(struct list_writer *writer, struct err *err)
{
    struct str meta, head, tail;
    struct http_part end;
    bool complete = writer->holding;
    int code;

    writer->counting = false;
    if ((code = write_meta(writer, &meta, err)) < 0 ||
        (code = render_protobuf_list(&writer->render, writer->request->arena, meta, writer->counted_bytes, &head, &tail,
                                     err)) < 0 ||
        (code = begin(writer, writer->counted_bytes > GZIP_THRESHOLD, head, err)) < 0 ||
        (code = put_chunk(writer, err)) < 0)
        return code;
    buf_deinit(&writer->out);
    stop_holding(writer);
    if (!complete) {
        list_go_back(writer->list, &writer->place);
        return 1;
    }
    end = (struct http_part){ tail, NULL };
    return put(writer, &end, 1, true, err);
}

static int end_protobuf(struct list_writer *writer, struct err *err)
{
    struct str meta, head, tail;
    struct http_part end;
    int code;

    if (writer->sent_bytes != writer->counted_bytes)
        return err_set(err, ERR_INTERNAL, "the list is not what it was when it was counted");
    if ((code = write_meta(writer, &meta, err)) < 0 ||
        (code = render_protobuf_list(&writer->render, writer->request->arena, meta, writer->counted_bytes, &head, &tail,
                                     err)) < 0)
        return code;
    end = (struct http_part){ tail, NULL };
    return put(writer, &end, 1, true, err);
}

/* -- step by step -- */

/* A chunk. 1: there is more; 0: the list is written. */
static int step(struct list_writer *writer, struct err *err)
{
    const struct list_sink sink = { .ctx = writer, .item = write_item, .flush = flush_chunk };
    bool counting = writer->counting;
    int code = list_next(writer->list, &sink, CHUNK_BYTES, err);

    if (code > 0 && counting)
        hold(writer);
    if (code != 0)
        return code;
    if (counting)
        return begin_protobuf(writer, err);
    return writer->render.media.format == MEDIA_PROTOBUF ? end_protobuf(writer, err) : write_tail(writer, err);
}

/* Nothing is out yet: a Status can still say what is wrong. */
static enum stream_step refuse(struct list_writer *writer, const struct err *err)
{
    struct request *request = writer->request;

    reply_error(request, err);
    reply_finish(request);
    headers_send(request, writer->exchange);
    stream_reply(writer->stream, request->reply.status, request->reply.content_type, request->reply.text);
    return STREAM_REPLIED;
}

static enum stream_step produce(void *ctx, struct stream *stream)
{
    struct list_writer *writer = ctx;
    struct err err = { 0 };
    int code;

    writer->stream = stream;
    code = step(writer, &err);
    if (code > 0)
        return STREAM_MORE;
    if (code == 0)
        return STREAM_END;
    return writer->begun ? STREAM_ABORT : refuse(writer, &err);
}

static void writer_deinit(struct list_writer *writer)
{
    stop_holding(writer);
    gzip_free(writer->gzip);
    buf_deinit(&writer->out);
    buf_deinit(&writer->packed);
    buf_deinit(&writer->whole);
    vec_deinit(&writer->parts);
    list_close(writer->list);
}

static void release(void *ctx)
{
    struct list_writer *writer = ctx;

    metrics_request_done(writer->request);
    writer_deinit(writer);
    writer->request->custom = custom_unref(writer->request->custom);
}

static struct list_writer *writer_new(struct request *request, struct http_exchange *exchange)
{
    struct list_writer *writer = arena_new_of(request->arena, struct list_writer);

    if (!writer)
        return NULL;
    *writer = (struct list_writer){ .request = request, .list = request->list, .exchange = exchange };
    render_init(&writer->render, request);
    if (request->media.shape == SHAPE_TABLE)
        table_prepare(request->arena, request->resource, &writer->render.table);
    writer->counting = writer->holding = request->media.format == MEDIA_PROTOBUF;
    buf_init(&writer->whole, LIST_WHOLE_MAX);
    return writer;
}

int list_stream(struct request *request, struct http_exchange *exchange, struct err *err)
{
    static const struct stream_ops ops = { produce, release };
    struct list_writer *writer = writer_new(request, exchange);
    int code;

    if (!writer)
        return no_memory(err);
    if ((code = list_probe(request->list, err)) == 0)
        code = stream_start(request->server, exchange, 0, NULL, &ops, writer, err);
    if (code < 0)
        writer_deinit(writer);
    return code;
}

int list_whole(struct request *request, struct err *err)
{
    struct list_writer *writer = writer_new(request, NULL);
    int code;

    if (!writer)
        return no_memory(err);
    if ((code = list_probe(request->list, err)) == 0)
        while ((code = step(writer, err)) > 0)
            ;
    request->list = NULL;
    if (code == 0)
        reply_buf(request, 200, media_content_type(&writer->render.media), &writer->whole, err);
    writer_deinit(writer);
    return code;
}
