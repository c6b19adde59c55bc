/* reply.c - short answers: set as JSON on the way through the pipeline, brought into what was asked for at its end. */
#include "apiserver/render.h"
#include "apiserver/server.h"

#define ERROR_RESERVE (64u << 10)

void reply_text(struct request *request, int status, const char *content_type, struct str text)
{
    request->reply.status = status;
    request->reply.content_type = content_type;
    request->reply.blob = blob_unref(request->reply.blob);
    request->reply.text = text;
    request->reply.object = request->reply.failure = false;
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
    request->reply.failure = true;
}

struct table_format request_table_format(const struct request *request)
{
    struct str include = request_param(request, "includeObject");

    return (struct table_format){
        .version = request->media.version,
        .now = request->as_of_time ? request->as_of_time : clock_wall(request->server->options.clock),
        .include = str_is(include, "Object") ? TABLE_INCLUDE_OBJECT
                   : str_is(include, "None") ? TABLE_INCLUDE_NONE
                                             : TABLE_INCLUDE_METADATA,
    };
}

static int finish(struct request *request, struct err *err)
{
    struct reply *reply = &request->reply;
    enum media_format format = reply->failure ? request->media.status_format : request->media.format;
    struct str bytes;
    int code;

    if (reply->object && reply->resource) {
        struct render render;

        render_init(&render, request);
        render.storage = reply->resource;
        code = render_object(&render, request->arena, reply->text, &bytes, err);
    } else {
        code = render_answer(request->arena, &format, request->media.pretty, reply->text, &bytes, err);
    }
    if (code < 0)
        return code;
    if (bytes.data != reply->text.data)
        reply->blob = blob_unref(reply->blob);
    reply->text = bytes;
    reply->content_type = media_content_type(&(struct media){ .format = format });
    return 0;
}

void reply_finish(struct request *request)
{
    struct err err = { 0 };

    if (request->reply.content_type || finish(request, &err) == 0)
        return;
    reply_error(request, &err);
    request->reply.content_type = "application/json";
}
