/* headers.c - what stands before an answer's bytes. */
#include "apiserver/headers.h"

#include <stdio.h>

#include "apiserver/server.h"

/* 299 - "text", quotes and backslashes escaped, controls left out. */
static void send_warning(struct http_exchange *exchange, struct str text)
{
    AUTO_DEINIT(buf, value) = BUF_INIT;

    buf_init(&value, 4096);
    buf_add_cstr(&value, "299 - \"");
    for (size_t i = 0; i < text.len; i++) {
        char c = text.data[i];

        if (c == '"' || c == '\\')
            buf_add_char(&value, '\\');
        if ((unsigned char)c >= 0x20 && c != 0x7f)
            buf_add_char(&value, c);
    }
    buf_add_char(&value, '"');
    if (buf_ok(&value))
        http_reply_header(exchange, "warning", buf_str(&value));
}

void headers_send(const struct request *request, struct http_exchange *exchange)
{
    bool cached = false;
    char seconds[16];

    for (size_t i = 0; i < request->reply.warning_count; i++)
        send_warning(exchange, request->reply.warnings[i]);
    if (request->failure.retry_after && request->reply.status >= 400) {
        snprintf(seconds, sizeof seconds, "%d", request->failure.retry_after);
        http_reply_header(exchange, "retry-after", str_from(seconds));
    }
    for (size_t i = 0; i < request->reply.header_count; i++) {
        const struct http_header *header = &request->reply.headers[i];

        http_reply_header(exchange, header->name.data, header->value);
        cached = cached || str_is(header->name, "cache-control");
    }
    if (!cached)
        http_reply_header(exchange, "cache-control", STR("no-cache, private"));
}

void headers_send_gzip(struct http_exchange *exchange)
{
    http_reply_header(exchange, "content-encoding", STR("gzip"));
    http_reply_header(exchange, "vary", STR("Accept-Encoding"));
}

bool headers_take_gzip(const struct request *request)
{
    return request->http && request->method == HTTP_GET_ &&
           negotiate_gzip(http_request_header(request->http, STR("accept-encoding")));
}
