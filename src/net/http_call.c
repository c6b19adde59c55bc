/* http_call.c - a request as a libcurl handle, and the answer as events. */
#include "net/http_call.h"

#include <stdio.h>

#define CONNECT_TIMEOUT (10 * NSEC_PER_SEC)
#define MAX_REDIRECTS 10L
#define MAX_HEAD (256u << 10)
#define RECEIVE_BUFFER (64L << 10)
#define OUTGOING_MAX (256u << 10)
#define KEEPALIVE_SECONDS 30L

static const struct {
    CURLcode curl;
    enum err_code code;
} codes[] = {
    { CURLE_OPERATION_TIMEDOUT, ERR_TIMEOUT },
    { CURLE_OUT_OF_MEMORY, ERR_NO_MEMORY },
    { CURLE_URL_MALFORMAT, ERR_INVALID },
    { CURLE_UNSUPPORTED_PROTOCOL, ERR_INVALID },
    { CURLE_COULDNT_RESOLVE_HOST, ERR_UNAVAILABLE },
    { CURLE_COULDNT_CONNECT, ERR_UNAVAILABLE },
    { CURLE_GOT_NOTHING, ERR_UNAVAILABLE },
    { CURLE_SEND_ERROR, ERR_UNAVAILABLE },
    { CURLE_RECV_ERROR, ERR_UNAVAILABLE },
    { CURLE_PARTIAL_FILE, ERR_UNAVAILABLE },
    { CURLE_HTTP2, ERR_UNAVAILABLE },
    { CURLE_HTTP2_STREAM, ERR_UNAVAILABLE },
};

static enum err_code code_of(CURLcode curl)
{
    for (size_t i = 0; i < ARRAY_LEN(codes); i++)
        if (codes[i].curl == curl)
            return codes[i].code;
    return ERR_IO;
}

/* -- what comes back -- */

/* The answer is here before the request has ended: what was still to be said is of no use. */
static void end_request(struct http_call *call)
{
    if (call->goes_on && call->status >= 300)
        http_client_end_request(call);
}

static bool tell_head(struct http_call *call)
{
    struct http_client_response response;

    if (call->head_told || call->dropped)
        return true;
    if (!head_resolve_fields(&call->head))
        return false;
    call->head_told = true;
    end_request(call);
    response = (struct http_client_response){
        .status = call->status,
        .headers = call->head.headers.items,
        .header_count = call->head.headers.count,
    };
    if (call->events.head)
        call->events.head(call->events.ctx, &response);
    return true;
}

/* "HTTP/1.1 200 OK" or "HTTP/2 200": a new head, after those of redirects and of 100 Continue. */
static bool begin_head(struct http_call *call, struct str line)
{
    ssize_t blank = str_chr(line, ' ');
    int64_t status;

    if (blank < 0 || !str_to_i64(str_first(str_skip(line, (size_t)blank + 1), 3), &status) || status < 100)
        return false;
    head_clear(&call->head);
    call->status = (int)status;
    call->is_redirect = false;
    return true;
}

static bool add_header(struct http_call *call, struct str line)
{
    ssize_t colon = str_chr(line, ':');

    if (colon <= 0)
        return true; /* not a field; curl let it pass */
    if (call->head.bytes.len + line.len > MAX_HEAD)
        return false;
    struct str name = str_first(line, (size_t)colon);
    if (call->status >= 300 && call->status < 400 && str_eq_nocase(name, STR("location")))
        call->is_redirect = call->follow;
    return head_name(&call->head, name) && head_value(&call->head, str_trim(str_skip(line, (size_t)colon + 1)));
}

static size_t on_header(char *data, size_t size, size_t count, void *ctx)
{
    struct http_call *call = ctx;
    struct str line = str_trim(str_of(data, size * count));
    bool ok = true;

    if (call->head_told) /* trailers */
        return size * count;
    if (str_has_prefix(line, STR("HTTP/")))
        ok = begin_head(call, line);
    else if (line.len > 0)
        ok = add_header(call, line);
    else if (call->status >= 200 && !call->is_redirect)
        ok = tell_head(call);
    return ok ? size * count : 0;
}

static size_t on_data(char *data, size_t size, size_t count, void *ctx)
{
    struct http_call *call = ctx;
    size_t len = size * count;

    if (call->is_redirect || call->dropped)
        return len;
    if (!tell_head(call)) {
        call->no_memory = true;
        return 0;
    }
    if (call->max_body && len > call->max_body - call->received) {
        call->too_large = true;
        return 0;
    }
    if (call->events.data && len > 0 && !call->events.data(call->events.ctx, str_of(data, len)))
        return CURL_WRITEFUNC_PAUSE; /* curl keeps the bytes and brings them again */
    call->received += len;
    return len;
}

void http_call_fail(struct http_call *call, enum err_code code, const char *why)
{
    struct str url = str_from(call->url);
    ssize_t query = str_chr(url, '?');
    struct err err;

    if (query >= 0)
        url.len = (size_t)query;
    err_set(&err, code, STR_FMT ": %s", STR_ARG(url), why);
    if (call->events.done)
        call->events.done(call->events.ctx, -(int)code, &err);
}

void http_call_finish(struct http_call *call, CURLcode code)
{
    if (code == CURLE_OK && !tell_head(call))
        code = CURLE_OUT_OF_MEMORY;
    if (call->too_large) {
        http_call_fail(call, ERR_TOO_LARGE, "the answer is too large");
    } else if (call->no_memory) {
        http_call_fail(call, ERR_NO_MEMORY, "no memory for the answer");
    } else if (code != CURLE_OK) {
        http_call_fail(call, code_of(code), call->error[0] ? call->error : curl_easy_strerror(code));
    } else if (call->events.done) {
        struct err err = { ERR_NONE, "" };
        call->events.done(call->events.ctx, 0, &err);
    }
}

/* -- what goes out -- */

static bool has_control(struct str s)
{
    for (size_t i = 0; i < s.len; i++)
        if ((unsigned char)s.data[i] < ' ' || s.data[i] == 0x7f)
            return true;
    return false;
}

static bool add_line(struct http_call *call, const char *line)
{
    struct curl_slist *list = curl_slist_append(call->headers, line);

    if (list)
        call->headers = list;
    return list != NULL;
}

/* curl takes "Name;" for a header without a value. */
static bool add_request_header(struct http_call *call, const struct http_header *header)
{
    AUTO_DEINIT(buf, line) = BUF_INIT;

    buf_add_str(&line, header->name);
    buf_add_cstr(&line, str_empty(header->value) ? ";" : ": ");
    buf_add_str(&line, header->value);
    buf_add_char(&line, '\0');
    return buf_ok(&line) && add_line(call, line.data);
}

static int set_headers(struct http_call *call, const struct http_client_request *request, struct err *err)
{
    bool typed = false, ok = true;

    for (size_t i = 0; ok && i < request->header_count; i++) {
        const struct http_header *header = &request->headers[i];
        if (str_empty(header->name) || has_control(header->name) || has_control(header->value) ||
            str_chr(header->name, ':') >= 0)
            return err_set(err, ERR_INVALID, "malformed header \"" STR_FMT "\"", STR_ARG(header->name));
        typed = typed || str_eq_nocase(header->name, STR("content-type"));
        ok = add_request_header(call, header);
    }
    ok = ok && add_line(call, "Expect:") && (typed || add_line(call, "Content-Type:"));
    if (!ok || curl_easy_setopt(call->easy, CURLOPT_HTTPHEADER, call->headers) != CURLE_OK)
        return err_set(err, ERR_NO_MEMORY, "request headers");
    return 0;
}

/* There may be more later: http_call_write() lets it go on. */
static size_t on_read(char *out, size_t size, size_t count, void *ctx)
{
    size_t len;

    if (!http_client_take(ctx, out, size * count, &len))
        return 0;
    return len ? len : CURL_READFUNC_PAUSE;
}

static bool set_open_body(struct http_call *call, const struct http_client_request *request)
{
    CURL *easy = call->easy;

    if (request->body.len)
        buf_add_str(&call->outgoing, request->body);
    return buf_ok(&call->outgoing) && curl_easy_setopt(easy, CURLOPT_UPLOAD, 1L) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_READFUNCTION, on_read) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_READDATA, call) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, request->method) == CURLE_OK;
}

static bool set_body(struct http_call *call, const struct http_client_request *request)
{
    CURL *easy = call->easy;

    if (request->body_goes_on)
        return set_open_body(call, request);
    if (strcmp(request->method, "HEAD") == 0)
        return curl_easy_setopt(easy, CURLOPT_NOBODY, 1L) == CURLE_OK;
    if (!request->body.data && strcmp(request->method, "POST") != 0 && strcmp(request->method, "PUT") != 0 &&
        strcmp(request->method, "PATCH") != 0)
        return strcmp(request->method, "GET") == 0 ||
               curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, request->method) == CURLE_OK;
    call->body = str_dup(request->body.data ? request->body : STR(""));
    return call->body &&
           curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->body.len) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_POSTFIELDS, call->body) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, request->method) == CURLE_OK;
}

static long milliseconds(nsec_t time)
{
    return (long)MIN(MAX(time / NSEC_PER_MSEC, 1), INT32_MAX);
}

static bool set_times(CURL *easy, const struct http_client_request *request)
{
    nsec_t connect = request->connect_timeout > 0 ? request->connect_timeout : CONNECT_TIMEOUT;
    bool ok = curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, milliseconds(connect)) == CURLE_OK;

    if (request->timeout > 0)
        ok = ok && curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, milliseconds(request->timeout)) == CURLE_OK;
    if (request->stall_timeout > 0) {
        long seconds = (long)MAX(1, request->stall_timeout / NSEC_PER_SEC);
        ok = ok && curl_easy_setopt(easy, CURLOPT_LOW_SPEED_LIMIT, 1L) == CURLE_OK &&
             curl_easy_setopt(easy, CURLOPT_LOW_SPEED_TIME, seconds) == CURLE_OK;
    }
    return ok;
}

/* With https it is known after the handshake whether a connection carries many streams, and it is better to wait for
 * one than to make another; with http curl would wait for the end of what may be a watch. A body that goes on has a
 * connection of its own: libcurl 7.88 overlooks an answer that ends on a shared one while the request does not. */
static bool set_numbers(CURL *easy, const struct http_client_request *request)
{
    const long wait = str_has_prefix(request->url, STR("https:"));
    const struct {
        CURLoption option;
        long value;
    } numbers[] = {
        { CURLOPT_NOSIGNAL, 1 },
        { CURLOPT_NOPROGRESS, 1 },
        { CURLOPT_HTTP_VERSION, request->body_goes_on ? CURL_HTTP_VERSION_1_1 : CURL_HTTP_VERSION_2TLS },
        { CURLOPT_PIPEWAIT, wait },
        { CURLOPT_SSLVERSION, CURL_SSLVERSION_TLSv1_2 },
        { CURLOPT_FOLLOWLOCATION, request->follow_redirects },
        { CURLOPT_MAXREDIRS, MAX_REDIRECTS },
        { CURLOPT_UNRESTRICTED_AUTH, 0 },
        { CURLOPT_TCP_KEEPALIVE, 1 },
        { CURLOPT_TCP_KEEPIDLE, KEEPALIVE_SECONDS },
        { CURLOPT_TCP_KEEPINTVL, KEEPALIVE_SECONDS / 3 },
        { CURLOPT_BUFFERSIZE, RECEIVE_BUFFER },
    };

    for (size_t i = 0; i < ARRAY_LEN(numbers); i++)
        if (curl_easy_setopt(easy, numbers[i].option, numbers[i].value) != CURLE_OK)
            return false;
    return true;
}

/* Proxies come from nowhere but an explicit setting, which there is none: not from the environment. */
static bool set_rest(struct http_call *call)
{
    CURL *easy = call->easy;

    return curl_easy_setopt(easy, CURLOPT_URL, call->url) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_PROXY, "") == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https") == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_REDIR_PROTOCOLS_STR, "http,https") == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_USERAGENT, "caravel") == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_PRIVATE, call) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, call->error) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_HEADERDATA, call) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_data) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_WRITEDATA, call) == CURLE_OK;
}

int http_call_new(struct http_client *client, const struct http_client_request *request,
                  const struct http_call_events *events, struct http_call **ret_call, struct err *err)
{
    struct http_call *call;
    int code;

    if (str_empty(request->url) || has_control(request->url) || !request->method ||
        has_control(str_from(request->method)))
        return err_set(err, ERR_INVALID, "malformed URL or method");
    if (!(call = calloc(1, sizeof *call)))
        return err_set(err, ERR_NO_MEMORY, "HTTP call");
    head_init(&call->head);
    buf_init(&call->outgoing, OUTGOING_MAX);
    list_init(&call->link);
    list_init(&call->command);
    call->client = client;
    call->events = *events;
    call->max_body = request->max_body;
    call->goes_on = request->body_goes_on;
    call->follow = request->follow_redirects;
    call->url = str_dup(request->url);
    call->easy = curl_easy_init();
    if (!call->url || !call->easy || !set_numbers(call->easy, request) || !set_rest(call) ||
        !set_times(call->easy, request) || !set_body(call, request) || !http_client_configure(client, call->easy))
        code = err_set(err, ERR_NO_MEMORY, "HTTP call");
    else
        code = set_headers(call, request, err);
    if (code < 0) {
        http_call_destroy(call);
        return code;
    }
    *ret_call = call;
    return 0;
}

void http_call_destroy(struct http_call *call)
{
    if (call->easy)
        curl_easy_cleanup(call->easy);
    curl_slist_free_all(call->headers);
    head_deinit(&call->head);
    buf_deinit(&call->outgoing);
    free(call->url);
    free(call->body);
    free(call);
}
