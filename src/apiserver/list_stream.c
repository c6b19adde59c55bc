/* list_stream.c - writing lists.
 *
 * In the common case (JSON, the stored version) a chunk is a row of slices of the store's map with commas between them,
 * handed to the exchange as they are; nothing is parsed and no list is ever whole in memory. Tables and other versions
 * are rendered item by item into a buffer. */
#include "apiserver/list_stream.h"

#include "apiserver/convert.h"
#include "apiserver/custom.h"
#include "apiserver/metrics.h"
#include "apiserver/server.h"
#include "apiserver/stream.h"
#include "apiserver/table.h"
#include "base/vec.h"
#include "codec/yaml.h"
#include "schema/object.h"

#define CHUNK_BYTES (128u << 10)

struct list_writer {
    struct request *request;
    struct listing *list;
    struct stream *stream; /* NULL: into whole */
    struct buf out;        /* what is written around and instead of stored texts */
    VEC(struct http_part) parts;
    bool begun, comma;
    struct table_format format;
};

static bool is_raw(const struct request *request)
{
    return request->media.shape == SHAPE_OBJECT && request->resource == request_storage(request);
}

static int no_memory(struct err *err)
{
    return err_set(err, ERR_NO_MEMORY, "list");
}

static int render_item(struct list_writer *writer, struct str text, struct err *err)
{
    struct request *request = writer->request;
    struct arena *scratch = &writer->list->scratch;
    struct json *object;
    int code;

    arena_reset(scratch);
    if ((code = json_parse(scratch, text, NULL, &object, err)) < 0)
        return err_set(err, ERR_INTERNAL, "a stored object is damaged");
    if (request->resource != request_storage(request)) {
        if ((code = convert_object(scratch, request_storage(request), request->resource, object, err)) < 0 ||
            (code = object_normalize(scratch, request->resource->type, object, NULL, err)) < 0)
            return code;
        text = STR_NULL;
    }
    if (request->media.shape == SHAPE_TABLE)
        return table_write_row(scratch, &writer->out, request->resource, &writer->format, object, text, err);
    if (request->media.shape == SHAPE_PARTIAL)
        partial_write(&writer->out, request->media.version, object);
    else
        json_write(&writer->out, object);
    return 0;
}

static int write_item(void *ctx, struct str key, struct str text, struct err *err)
{
    struct list_writer *writer = ctx;
    bool comma = writer->comma;

    (void)key;
    writer->comma = true;
    if (!is_raw(writer->request)) {
        if (comma)
            buf_add_char(&writer->out, ',');
        return render_item(writer, text, err);
    }
    if (comma && vec_push(&writer->parts, ((struct http_part){ STR(","), NULL })) < 0)
        return no_memory(err);
    return vec_push(&writer->parts, ((struct http_part){ text, NULL })) < 0 ? no_memory(err) : 0;
}

static void write_head(struct list_writer *writer)
{
    struct request *request = writer->request;
    const struct resource *resource = request->resource;
    struct str group = resource->group, version = resource->version, kind = resource->list_kind;

    if (request->media.shape == SHAPE_TABLE) {
        table_write_head(&writer->out, resource, &writer->format, true);
        return;
    }
    if (request->media.shape == SHAPE_PARTIAL) {
        group = STR("meta.k8s.io");
        version = request->media.version;
        kind = STR("PartialObjectMetadataList");
    }
    buf_printf(&writer->out, "{\"kind\":\"" STR_FMT "\",\"apiVersion\":\"" STR_FMT "%s" STR_FMT "\"", STR_ARG(kind),
               STR_ARG(group), str_empty(group) ? "" : "/", STR_ARG(version));
    /* A limited list knows its continue token only at the end. */
    if (!writer->list->limit) {
        buf_add_cstr(&writer->out, ",\"metadata\":");
        list_write_meta(writer->list, &writer->out);
    }
    buf_add_cstr(&writer->out, ",\"items\":[");
}

static void write_tail(struct list_writer *writer)
{
    AUTO_DEINIT(buf, meta) = BUF_INIT;

    list_write_meta(writer->list, &meta);
    if (writer->request->media.shape == SHAPE_TABLE) {
        table_write_tail(&writer->out, buf_str(&meta));
        return;
    }
    buf_add_char(&writer->out, ']');
    if (writer->list->limit) {
        buf_add_cstr(&writer->out, ",\"metadata\":");
        buf_add_str(&writer->out, buf_str(&meta));
    }
    buf_add_char(&writer->out, '}');
}

/* While the chunk's snapshot is open: its texts are copied into the queue here. */
static int flush_chunk(void *ctx, struct err *err)
{
    struct list_writer *writer = ctx;

    if (!writer->begun) {
        /* The head needs the revision, known since the snapshot was opened; items rendered already come behind it. */
        struct buf items = writer->out;

        writer->out = (struct buf)BUF_INIT;
        write_head(writer);
        buf_add_str(&writer->out, buf_str(&items));
        buf_deinit(&items);
        writer->begun = true;
    }
    if (!buf_ok(&writer->out))
        return no_memory(err);
    if (!writer->stream) {
        vec_each (&writer->parts, part)
            buf_add_str(&writer->out, part->bytes);
        vec_clear(&writer->parts);
        return writer->out.len > LIST_WHOLE_MAX ? err_set(err, ERR_TOO_LARGE, "the list is too large for this format")
                                                : 0;
    }
    struct http_part head = { buf_str(&writer->out), NULL };
    if (head.bytes.len)
        stream_write(writer->stream, &head, 1);
    if (writer->parts.count)
        stream_write(writer->stream, writer->parts.items, writer->parts.count);
    buf_clear(&writer->out);
    vec_clear(&writer->parts);
    return 0;
}

static const struct list_sink writer_sink = { .item = write_item, .flush = flush_chunk };

static enum stream_step produce(void *ctx, struct stream *stream)
{
    struct list_writer *writer = ctx;
    struct list_sink sink = writer_sink;
    struct err err = { 0 };
    struct http_part tail;
    int code;

    sink.ctx = writer;
    writer->stream = stream;
    code = list_next(writer->list, &sink, CHUNK_BYTES, &err);
    if (code < 0)
        return STREAM_ABORT;
    if (code > 0)
        return STREAM_MORE;
    write_tail(writer);
    if (!buf_ok(&writer->out))
        return STREAM_ABORT;
    tail = (struct http_part){ buf_str(&writer->out), NULL };
    stream_write(stream, &tail, 1);
    return STREAM_END;
}

static void writer_deinit(struct list_writer *writer)
{
    buf_deinit(&writer->out);
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

static struct list_writer *writer_new(struct request *request)
{
    struct list_writer *writer = arena_new_of(request->arena, struct list_writer);

    if (!writer)
        return NULL;
    *writer = (struct list_writer){ .request = request, .list = request->list };
    writer->format = request_table_format(request);
    if (request->media.shape == SHAPE_TABLE)
        table_prepare(request->arena, request->resource, &writer->format);
    return writer;
}

/* Fails now what would fail at the first chunk, so that the client gets a Status and not a broken list. */
static int probe(struct listing *list, struct err *err)
{
    AUTO(store_snapshot) snapshot = NULL;
    int code = store_snapshot_open(list->request->server->options.store, list->exact, &snapshot, err);

    if (code == -ERR_EXPIRED)
        return err_set(err, ERR_EXPIRED,
                       list->start.len ? "The provided continue parameter is too old to display a consistent list "
                                         "result. You can start a new list without the continue parameter."
                                       : "The resourceVersion for the provided list is too old.");
    if (code == 0)
        list->revision = store_snapshot_revision(snapshot);
    return code;
}

int list_stream(struct request *request, struct http_exchange *exchange, struct err *err)
{
    static const struct stream_ops ops = { produce, release };
    struct list_writer *writer = writer_new(request);
    int code;

    if (!writer)
        return no_memory(err);
    if ((code = probe(request->list, err)) == 0)
        code = stream_start(request->server, exchange, 200, media_content_type(&request->media), &ops, writer, err);
    if (code < 0)
        writer_deinit(writer);
    return code;
}

int list_whole(struct request *request, struct err *err)
{
    struct list_writer *writer = writer_new(request);
    struct list_sink sink = writer_sink;
    AUTO_DEINIT(buf, out) = BUF_INIT;
    struct json *tree;
    int code;

    if (!writer)
        return no_memory(err);
    sink.ctx = writer;
    if ((code = probe(request->list, err)) == 0)
        while ((code = list_next(request->list, &sink, CHUNK_BYTES, err)) > 0)
            ;
    if (code == 0) {
        struct str text;

        write_tail(writer);
        text = buf_ok(&writer->out) ? arena_str(request->arena, buf_str(&writer->out)) : STR_NULL;
        code = text.data ? json_parse(request->arena, text, NULL, &tree, err) : no_memory(err);
    }
    writer_deinit(writer);
    request->list = NULL;
    if (code < 0)
        return code;
    if (request->media.format == MEDIA_YAML)
        code = yaml_write(&out, tree, err);
    else if (request->media.pretty)
        json_write_pretty(&out, tree, 2);
    else
        json_write(&out, tree);
    if (code == 0)
        reply_buf(request, 200, media_content_type(&request->media), &out, err);
    return code;
}
