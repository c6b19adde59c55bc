/* document.c - cached texts and conditional requests for them. */
#include "apiserver/document.h"

#include "apiserver/status.h"

int document_init(struct document *document, const struct buf *buf, struct err *err)
{
    struct blob *text = buf_ok(buf) ? blob_copy(buf_str(buf)) : NULL;

    if (!text)
        return err_set(err, ERR_NO_MEMORY, "document");
    document->text = text;
    openapi_hash(blob_str(text), NULL, document->tag);
    return 0;
}

void document_deinit(struct document *document)
{
    document->text = blob_unref(document->text);
}

/* If-None-Match: "a", W/"b", * */
static bool client_has(const struct request *request, const char *tag)
{
    struct str rest = request->http ? http_request_header(request->http, STR("if-none-match")) : STR_NULL, part;

    while (rest.data && str_split(&rest, ',', &part)) {
        part = str_trim(part);
        if (str_is(part, "*"))
            return true;
        if (str_has_prefix(part, STR("W/")))
            part = str_skip(part, 2);
        if (part.len >= 2 && part.data[0] == '"' && str_is(str_chop(str_skip(part, 1), 1), tag))
            return true;
    }
    return false;
}

int request_only_read(struct request *request, struct err *err)
{
    return request->method == HTTP_GET_ || request->method == HTTP_HEAD_ ? 0 : fail_method(request, err);
}

int document_reply(struct request *request, const struct document *document, const char *content_type,
                   const char *cache_control, struct err *err)
{
    struct str tag = arena_printf(request->arena, "\"%s\"", document->tag);
    int code;

    if ((code = request_only_read(request, err)) < 0)
        return code;
    if (!tag.data)
        return err_set(err, ERR_NO_MEMORY, "answer");
    if ((code = reply_header(request, "etag", tag, err)) < 0 ||
        (code = reply_header(request, "vary", STR("Accept"), err)) < 0)
        return code;
    if (cache_control && (code = reply_header(request, "cache-control", str_from(cache_control), err)) < 0)
        return code;
    if (client_has(request, document->tag)) {
        reply_text(request, 304, content_type, STR(""));
        return 0;
    }
    reply_text(request, 200, content_type, blob_str(document->text));
    request->reply.blob = blob_ref(document->text);
    return 0;
}
