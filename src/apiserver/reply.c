/* reply.c - answers: a stored object's bytes as they are when that is what was asked for, else through a tree into the
 * version, shape (Table, metadata only) and format (YAML, indented) asked for. */
#include "apiserver/convert.h"
#include "apiserver/server.h"
#include "apiserver/table.h"
#include "codec/yaml.h"
#include "schema/object.h"

#define RENDERED_MAX (128u << 20)
#define ERROR_RESERVE (64u << 10)

void reply_text(struct request *request, int status, const char *content_type, struct str text)
{
    request->reply.status = status;
    request->reply.content_type = content_type;
    request->reply.blob = blob_unref(request->reply.blob);
    request->reply.text = text;
    request->reply.object = false;
}

int reply_header(struct request *request, const char *name, struct str value, struct err *err)
{
    struct reply *reply = &request->reply;

    if (reply->header_count == REPLY_HEADERS_MAX)
        return err_set(err, ERR_INTERNAL, "the answer has too many headers");
    reply->headers[reply->header_count++] = (struct http_header){ str_from(name), value };
    return 0;
}

void reply_buf(struct request *request, int status, const char *content_type, struct buf *buf, struct err *err)
{
    struct str text = buf_ok(buf) ? arena_str(request->arena, buf_str(buf)) : STR_NULL;

    if (text.data) {
        reply_text(request, status, content_type, text);
        return;
    }
    err_set(err, ERR_NO_MEMORY, "answer");
    reply_error(request, err);
}

void reply_object(struct request *request, int status, struct blob *blob)
{
    reply_text(request, status, NULL, blob_str(blob));
    request->reply.blob = blob;
    request->reply.object = true;
    request->reply.resource = request->resource ? request_storage(request) : NULL;
}

void reply_object_text(struct request *request, int status, struct str text)
{
    reply_object(request, status, NULL);
    request->reply.text = text;
}

/* Others have the memory that this request wanted: it is not its fault. */
static void reply_starved(struct request *request)
{
    static const char text[] =
        "{\"kind\":\"Status\",\"apiVersion\":\"v1\",\"metadata\":{},\"status\":\"Failure\","
        "\"message\":\"the server has too much to do, please try again later\",\"reason\":\"TooManyRequests\","
        "\"details\":{\"retryAfterSeconds\":1},\"code\":429}";

    request->failure.retry_after = 1;
    reply_text(request, 429, "application/json", str_of(text, sizeof text - 1));
}

void reply_error(struct request *request, const struct err *err)
{
    static const char last_resort[] =
        "{\"kind\":\"Status\",\"apiVersion\":\"v1\",\"metadata\":{},\"status\":\"Failure\","
        "\"message\":\"out of memory\",\"reason\":\"ServiceUnavailable\",\"code\":503}";
    AUTO_DEINIT(buf, buf) = BUF_INIT;
    struct str text;

    if (request->arena->starved) {
        reply_starved(request);
        return;
    }
    if (arena_failed(request->arena)) /* a request that has used up its own memory is still told so */
        request->arena->limit += ERROR_RESERVE;
    status_write(&buf, err, &request->failure);
    text = buf_ok(&buf) ? arena_str(request->arena, buf_str(&buf)) : STR_NULL;
    if (text.data)
        reply_text(request, status_code(err, &request->failure), NULL, text);
    else
        reply_text(request, 503, "application/json", str_of(last_resort, sizeof last_resort - 1));
}

struct table_format request_table_format(const struct request *request)
{
    struct str include = request_param(request, "includeObject");

    return (struct table_format){
        .version = request->media.version,
        .now = clock_wall(request->server->options.clock),
        .include = str_is(include, "Object") ? TABLE_INCLUDE_OBJECT
                   : str_is(include, "None") ? TABLE_INCLUDE_NONE
                                             : TABLE_INCLUDE_METADATA,
    };
}

static int write_shape(struct request *request, struct json *object, struct buf *buf, struct err *err)
{
    struct table_format format = request_table_format(request);

    if (request->media.shape == SHAPE_PARTIAL) {
        partial_write(buf, request->media.version, object);
        return 0;
    }
    return table_write(request->arena, buf, request->resource, &format, true, object, STR_NULL, err);
}

static int write_format(struct request *request, const struct json *tree, struct buf *buf, struct err *err)
{
    if (request->media.format == MEDIA_YAML)
        return yaml_write(buf, tree, err);
    if (request->media.pretty)
        json_write_pretty(buf, tree, 2);
    else
        json_write(buf, tree);
    return 0;
}

/* The object in the version asked for. */
static int convert_reply(struct request *request, struct json *tree, struct err *err)
{
    const struct resource *from = request->reply.resource;
    int code;

    if (!from || from == request->resource)
        return 0;
    if ((code = convert_object(request->arena, from, request->resource, tree, err)) < 0)
        return code;
    return object_normalize(request->arena, request->resource->type, tree, NULL, err);
}

static int render(struct request *request, struct buf *buf, struct err *err)
{
    bool shaped = request->reply.object && request->media.shape != SHAPE_OBJECT;
    bool formatted = request->media.format != MEDIA_JSON || request->media.pretty;
    struct json *tree;
    int code;

    if ((code = json_parse(request->arena, request->reply.text, NULL, &tree, err)) < 0)
        return err_set(err, ERR_INTERNAL, "the answer is not JSON");
    if (request->reply.object && (code = convert_reply(request, tree, err)) < 0)
        return code;
    if (!shaped)
        return write_format(request, tree, buf, err);
    if ((code = write_shape(request, tree, buf, err)) < 0 || !formatted)
        return code;
    struct str text = arena_str(request->arena, buf_str(buf));
    buf_clear(buf);
    if (!text.data || json_parse(request->arena, text, NULL, &tree, err) < 0)
        return err_set(err, ERR_NO_MEMORY, "answer");
    return write_format(request, tree, buf, err);
}

void reply_finish(struct request *request)
{
    struct reply *reply = &request->reply;
    bool other_version = reply->object && reply->resource && reply->resource != request->resource;
    bool shaped = reply->object && request->media.shape != SHAPE_OBJECT;
    AUTO_DEINIT(buf, buf) = BUF_INIT;
    struct err err = { 0 };
    int status = reply->status;

    buf_init(&buf, RENDERED_MAX); /* indenting can make a thousand bytes of one */
    if (reply->content_type)
        return;
    if (!other_version && !shaped && request->media.format == MEDIA_JSON && !request->media.pretty) {
        reply->content_type = "application/json";
        return;
    }
    if (render(request, &buf, &err) < 0) {
        request->media = (struct media){ 0 };
        reply_error(request, &err);
        reply->content_type = "application/json";
        return;
    }
    reply_buf(request, status, media_content_type(&request->media), &buf, &err);
}
