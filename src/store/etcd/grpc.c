/* grpc.c - gRPC over HTTP/2 as nghttp2 speaks it.
 *
 * A call is a stream: HEADERS with its path, one DATA with the request, behind a prefix of five bytes (not compressed;
 * length), and from the server HEADERS, any number of prefixed messages, and trailers with the status. A refusal may be
 * one HEADERS alone.
 *
 * Copies: a request is serialised once, by the caller, and goes from there into the buffer for the wire. A message that
 * lies whole in one DATA frame is handed up where it lies; others are put together first.
 *
 * Windows: that of the connection is opened at once for whatever comes, so that a paused call never holds up another
 * one. That of a stream is opened as its bytes come unless it is paused: then they wait here, GRPC_WINDOW at most.
 *
 * What a server sends is capped: messages by the options, headers by MAX_HEAD, floods by nghttp2. Broken HTTP/2 ends
 * the connection, a broken message the call. */
#include "store/etcd/grpc.h"

#include <nghttp2/nghttp2.h>
#include <stdio.h>

#define CONNECTION_WINDOW (16 << 20)
#define MAX_HEAD (32u << 10)
#define OUT_MAX (1u << 20) /* produced ahead of the wire */
#define KEPT_MAX (64u << 10) /* of a buffer that is empty */

struct grpc_session {
    nghttp2_session *session;
    char *authority, *token;
    const char *scheme;
    size_t max_message;
    struct list calls;
    struct grpc_call *delivering; /* NULL: none, or it was cancelled meanwhile */
    struct buf *out;
    bool ready, ending;
    const char *trouble; /* the server broke the rules */
};

static const char *const code_names[] = {
    "OK",          "Canceled",  "Unknown",       "InvalidArgument", "DeadlineExceeded", "NotFound",
    "AlreadyExists", "PermissionDenied", "ResourceExhausted", "FailedPrecondition", "Aborted", "OutOfRange",
    "Unimplemented", "Internal", "Unavailable",  "DataLoss",        "Unauthenticated",
};

const char *grpc_code_name(int code)
{
    return code >= 0 && (size_t)code < ARRAY_LEN(code_names) ? code_names[code] : "unknown code";
}

void grpc_prefix(char *prefix, size_t message_len)
{
    prefix[0] = 0;
    for (int i = 0; i < 4; i++)
        prefix[1 + i] = (char)(message_len >> (24 - 8 * i));
}

static struct grpc_call *call_of(struct grpc_session *session, int32_t stream)
{
    return nghttp2_session_get_stream_user_data(session->session, stream);
}

/* Takes the call off the session: nothing refers to it from now on. */
static void detach(struct grpc_call *call)
{
    struct grpc_session *session = call->session;

    nghttp2_session_set_stream_user_data(session->session, call->stream, NULL);
    if (session->delivering == call)
        session->delivering = NULL;
    list_remove(&call->link);
    call->session = NULL;
    buf_deinit(&call->in);
}

static void close_call(struct grpc_call *call, const struct grpc_status *status)
{
    detach(call);
    call->events->closed(call, status);
}

/* The server's answer cannot be used. */
static void spoil(struct grpc_call *call, int code, const char *text)
{
    struct grpc_session *session = call->session;

    nghttp2_submit_rst_stream(session->session, NGHTTP2_FLAG_NONE, call->stream, NGHTTP2_CANCEL);
    close_call(call, &(struct grpc_status){ code, text, .malformed = true });
}

/* -- messages -- */

enum piece { PIECE_MESSAGE, PIECE_MORE, PIECE_COMPRESSED, PIECE_TOO_LARGE };

/* Looks at the beginning of bytes; *ret_message is set for PIECE_MESSAGE only. */
static enum piece next_message(const struct grpc_session *session, struct str bytes, struct str *ret_message)
{
    const unsigned char *p = (const unsigned char *)bytes.data;
    size_t len;

    if (bytes.len < GRPC_PREFIX)
        return PIECE_MORE;
    if (p[0] != 0)
        return PIECE_COMPRESSED;
    len = (size_t)p[1] << 24 | (size_t)p[2] << 16 | (size_t)p[3] << 8 | p[4];
    if (len > session->max_message)
        return PIECE_TOO_LARGE;
    if (bytes.len - GRPC_PREFIX < len)
        return PIECE_MORE;
    *ret_message = str_of(bytes.data + GRPC_PREFIX, len);
    return PIECE_MESSAGE;
}

/* Hands up whole messages until there are no more, or the call is paused. Returns how many bytes were taken, or -1 when
 * the call is no longer ours. */
static ssize_t deliver(struct grpc_session *session, struct grpc_call *call, struct str bytes)
{
    size_t taken = 0;
    struct str message;

    while (!call->paused) {
        enum piece piece = next_message(session, str_skip(bytes, taken), &message);
        if (piece == PIECE_MORE)
            break;
        if (piece != PIECE_MESSAGE) {
            if (piece == PIECE_COMPRESSED)
                spoil(call, GRPC_INTERNAL, "the answer is compressed, which was not asked for");
            else
                spoil(call, GRPC_RESOURCE_EXHAUSTED, "the answer is too large");
            return -1;
        }
        session->delivering = call;
        call->events->message(call, message);
        if (session->delivering != call)
            return -1;
        session->delivering = NULL;
        taken += GRPC_PREFIX + message.len;
    }
    return (ssize_t)taken;
}

static void drop_taken(struct grpc_call *call, size_t taken)
{
    buf_consume(&call->in, taken);
    if (call->in.len == 0 && call->in.cap > KEPT_MAX)
        buf_deinit(&call->in);
}

/* Lets the server send as much more as was taken of what it was held up for; all of it when nothing waits any more. */
static void open_window(struct grpc_call *call, size_t taken)
{
    size_t size = call->paused ? MIN(call->withheld, taken) : call->withheld;

    if (size > 0)
        nghttp2_session_consume_stream(call->session->session, call->stream, size);
    call->withheld -= size;
}

static void deliver_kept(struct grpc_session *session, struct grpc_call *call)
{
    ssize_t n = deliver(session, call, buf_str(&call->in));

    if (n < 0)
        return; /* the call is no longer ours */
    if (n > 0)
        drop_taken(call, (size_t)n);
    open_window(call, (size_t)n);
}

static void take_data(struct grpc_session *session, struct grpc_call *call, struct str bytes)
{
    if (call->in.len == 0 && !call->paused) {
        ssize_t n = deliver(session, call, bytes);
        if (n < 0)
            return;
        bytes = str_skip(bytes, (size_t)n);
    }
    if (bytes.len == 0)
        return;
    buf_add_str(&call->in, bytes);
    if (!buf_ok(&call->in))
        spoil(call, GRPC_RESOURCE_EXHAUSTED, "no memory for the answer");
    else if (!call->paused)
        deliver_kept(session, call);
}

static int on_data(nghttp2_session *h2, uint8_t flags, int32_t stream, const uint8_t *data, size_t len, void *ctx)
{
    struct grpc_session *session = ctx;
    struct grpc_call *call = call_of(session, stream);

    nghttp2_session_consume_connection(h2, len);
    if (call && call->paused)
        call->withheld += len;
    else
        nghttp2_session_consume_stream(h2, stream, len);
    if (call && !call->bad_content)
        take_data(session, call, str_of(data, len));
    return 0;
}

void grpc_call_pause(struct grpc_call *call)
{
    call->paused = true;
}

void grpc_call_resume(struct grpc_call *call)
{
    struct grpc_session *session = call->session;

    if (!call->paused)
        return;
    call->paused = false;
    if (!session)
        return;
    if (session->delivering != call) /* else that goes on, and then opens the window */
        deliver_kept(session, call);
}

/* -- headers -- */

/* grpc-message is percent-encoded; what is not printable ASCII becomes a '?'. */
static void take_text(struct grpc_call *call, struct str value)
{
    size_t len = 0;

    for (size_t i = 0; i < value.len && len < sizeof call->text - 1; i++) {
        unsigned char c = (unsigned char)value.data[i];
        unsigned hex;
        char digits[3] = "";
        if (c == '%' && i + 2 < value.len) {
            memcpy(digits, value.data + i + 1, 2);
            if (sscanf(digits, "%2x", &hex) == 1) {
                c = (unsigned char)hex;
                i += 2;
            }
        }
        call->text[len++] = (char)(c < ' ' || c >= 0x7f ? '?' : c);
    }
    call->text[len] = '\0';
}

static void take_field(struct grpc_call *call, struct str name, struct str value)
{
    uint64_t number;

    if (str_eq(name, STR(":status"))) {
        call->http_status = str_to_u64(value, &number) && number < 1000 ? (int)number : 0;
    } else if (str_eq(name, STR("content-type"))) {
        call->bad_content = !str_has_prefix(value, STR("application/grpc"));
    } else if (str_eq(name, STR("grpc-status"))) {
        call->code = str_to_u64(value, &number) && number < 1000 ? (int)number : GRPC_UNKNOWN;
    } else if (str_eq(name, STR("grpc-message"))) {
        take_text(call, value);
    }
}

static int on_header(nghttp2_session *h2, const nghttp2_frame *frame, const uint8_t *name, size_t name_len,
                     const uint8_t *value, size_t value_len, uint8_t flags, void *ctx)
{
    struct grpc_session *session = ctx;
    struct grpc_call *call = call_of(session, frame->hd.stream_id);

    if (!call)
        return 0;
    call->head_bytes += name_len + value_len + 32;
    if (call->head_bytes > MAX_HEAD) {
        session->trouble = "too many header fields";
        return NGHTTP2_ERR_CALLBACK_FAILURE;
    }
    take_field(call, str_of(name, name_len), str_of(value, value_len));
    return 0;
}

/* -- the end of a call -- */

static void judge(const struct grpc_call *call, uint32_t reset, struct grpc_status *status, char *text, size_t size)
{
    *status = (struct grpc_status){ call->code, text };
    if (call->code > GRPC_OK) {
        snprintf(text, size, "%s", call->text[0] ? call->text : grpc_code_name(call->code));
    } else if (reset == NGHTTP2_REFUSED_STREAM) {
        *status = (struct grpc_status){ GRPC_UNAVAILABLE, text, .unseen = true };
        snprintf(text, size, "the server did not take the call");
    } else if (call->http_status != 0 && call->http_status != 200) {
        status->code = GRPC_UNAVAILABLE;
        snprintf(text, size, "HTTP status %d", call->http_status);
    } else if (call->bad_content) {
        *status = (struct grpc_status){ GRPC_UNKNOWN, text, .malformed = true };
        snprintf(text, size, "the answer is not gRPC");
    } else if (call->code < 0) {
        status->code = GRPC_UNAVAILABLE;
        snprintf(text, size, "the call was broken off: %s", nghttp2_http2_strerror(reset));
    } else if (call->in.len > 0 && !call->paused) {
        *status = (struct grpc_status){ GRPC_INTERNAL, text, .malformed = true };
        snprintf(text, size, "the answer is cut");
    }
}

static int on_stream_close(nghttp2_session *h2, int32_t stream, uint32_t reset, void *ctx)
{
    struct grpc_call *call = call_of(ctx, stream);
    struct grpc_status status;
    char text[GRPC_TEXT_MAX + 64] = "";

    if (!call)
        return 0;
    judge(call, reset, &status, text, sizeof text);
    close_call(call, &status);
    return 0;
}

static int on_frame(nghttp2_session *h2, const nghttp2_frame *frame, void *ctx)
{
    struct grpc_session *session = ctx;

    if (frame->hd.type == NGHTTP2_SETTINGS && !(frame->hd.flags & NGHTTP2_FLAG_ACK))
        session->ready = true;
    if (frame->hd.type == NGHTTP2_GOAWAY)
        session->ending = true;
    return 0;
}

/* -- sending -- */

static ssize_t on_read_data(nghttp2_session *h2, int32_t stream, uint8_t *buffer, size_t length, uint32_t *flags,
                            nghttp2_data_source *source, void *ctx)
{
    struct grpc_call *call = call_of(ctx, stream);
    size_t left = call ? call->request.len - call->sent : 0, count = MIN(left, length);

    if (!call)
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    if (count == 0 && call->open_ended)
        return NGHTTP2_ERR_DEFERRED;
    if (count == left && !call->open_ended)
        *flags |= NGHTTP2_DATA_FLAG_EOF;
    if (count > 0)
        *flags |= NGHTTP2_DATA_FLAG_NO_COPY;
    return (ssize_t)count;
}

static int on_send_data(nghttp2_session *h2, nghttp2_frame *frame, const uint8_t *head, size_t length,
                        nghttp2_data_source *source, void *ctx)
{
    struct grpc_session *session = ctx;
    struct grpc_call *call = call_of(session, frame->hd.stream_id);

    if (!call)
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    if (session->out->len >= OUT_MAX)
        return NGHTTP2_ERR_WOULDBLOCK;
    buf_add(session->out, head, 9);
    buf_add(session->out, call->request.data + call->sent, length);
    call->sent += length;
    return 0;
}

static ssize_t on_send(nghttp2_session *h2, const uint8_t *data, size_t len, int flags, void *ctx)
{
    struct grpc_session *session = ctx;

    if (session->out->len >= OUT_MAX)
        return NGHTTP2_ERR_WOULDBLOCK;
    buf_add(session->out, data, len);
    return (ssize_t)len;
}

static int on_frame_sent(nghttp2_session *h2, const nghttp2_frame *frame, void *ctx)
{
    struct grpc_call *call = frame->hd.type == NGHTTP2_HEADERS ? call_of(ctx, frame->hd.stream_id) : NULL;

    if (call)
        call->started = true;
    return 0;
}

/* -- calls -- */

static nghttp2_nv field(const char *name, const char *value)
{
    return (nghttp2_nv){ (uint8_t *)name, (uint8_t *)value, strlen(name), strlen(value),
                         NGHTTP2_NV_FLAG_NO_COPY_NAME | NGHTTP2_NV_FLAG_NO_COPY_VALUE };
}

static void call_prepare(struct grpc_call *call)
{
    list_init(&call->link);
    call->stream = 0;
    call->sent = call->withheld = call->head_bytes = 0;
    call->started = call->bad_content = false;
    buf_init(&call->in, 0);
    call->http_status = 0;
    call->code = -1;
    call->text[0] = '\0';
}

int grpc_call_start(struct grpc_session *session, struct grpc_call *call, struct err *err)
{
    nghttp2_data_provider provider = { .read_callback = on_read_data };
    nghttp2_nv fields[9] = {
        field(":method", "POST"),
        field(":scheme", session->scheme),
        field(":path", call->path),
        field(":authority", session->authority),
        field("content-type", "application/grpc"),
        field("te", "trailers"),
        field("user-agent", "caravel"),
        field("hasleader", "true"), /* a member without a leader refuses at once instead of waiting for one */
    };
    size_t count = 8;

    call_prepare(call);
    if (session->ending)
        return err_set(err, ERR_UNAVAILABLE, "the server takes no more calls");
    if (session->token) {
        fields[count] = field("token", session->token);
        fields[count++].flags = NGHTTP2_NV_FLAG_NO_COPY_NAME; /* it may be another one when this is sent */
    }
    call->stream = nghttp2_submit_request(session->session, NULL, fields, count, &provider, call);
    if (call->stream == NGHTTP2_ERR_STREAM_ID_NOT_AVAILABLE) {
        session->ending = true;
        return err_set(err, ERR_UNAVAILABLE, "the connection has carried all the calls that it can");
    }
    if (call->stream < 0)
        return err_set(err, ERR_NO_MEMORY, "call: %s", nghttp2_strerror(call->stream));
    call->session = session;
    list_append(&session->calls, &call->link);
    return 0;
}

void grpc_call_cancel(struct grpc_call *call)
{
    struct grpc_session *session = call->session;

    if (!session)
        return;
    nghttp2_submit_rst_stream(session->session, NGHTTP2_FLAG_NONE, call->stream, NGHTTP2_CANCEL);
    detach(call);
}

/* -- the session -- */

static int make_session(struct grpc_session *session)
{
    nghttp2_session_callbacks *callbacks = NULL;
    nghttp2_option *option = NULL;
    int code = -1;

    if (nghttp2_session_callbacks_new(&callbacks) == 0 && nghttp2_option_new(&option) == 0) {
        nghttp2_option_set_no_auto_window_update(option, 1);
        nghttp2_session_callbacks_set_send_callback(callbacks, on_send);
        nghttp2_session_callbacks_set_send_data_callback(callbacks, on_send_data);
        nghttp2_session_callbacks_set_on_frame_send_callback(callbacks, on_frame_sent);
        nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
        nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
        nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame);
        nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_stream_close);
        code = nghttp2_session_client_new2(&session->session, callbacks, session, option);
    }
    nghttp2_option_del(option);
    nghttp2_session_callbacks_del(callbacks);
    return code;
}

int grpc_session_new(const struct grpc_session_options *options, struct grpc_session **ret_session, struct err *err)
{
    struct grpc_session *session = calloc(1, sizeof *session);
    const nghttp2_settings_entry settings[] = {
        { NGHTTP2_SETTINGS_ENABLE_PUSH, 0 },
        { NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, GRPC_WINDOW },
        { NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, MAX_HEAD },
    };

    if (!session)
        return err_set(err, ERR_NO_MEMORY, "connection");
    list_init(&session->calls);
    session->scheme = options->tls ? "https" : "http";
    session->max_message = options->max_message;
    session->authority = str_dup(str_from(options->authority));
    if (!session->authority || make_session(session) < 0 ||
        nghttp2_submit_settings(session->session, NGHTTP2_FLAG_NONE, settings, ARRAY_LEN(settings)) < 0 ||
        nghttp2_session_set_local_window_size(session->session, NGHTTP2_FLAG_NONE, 0, CONNECTION_WINDOW) < 0) {
        grpc_session_free(session, "");
        return err_set(err, ERR_NO_MEMORY, "connection");
    }
    *ret_session = session;
    return 0;
}

struct grpc_session *grpc_session_free(struct grpc_session *session, const char *reason)
{
    struct grpc_call *call;

    if (!session)
        return NULL;
    session->ending = true;
    while ((call = list_first(&session->calls, struct grpc_call, link)))
        close_call(call, &(struct grpc_status){ GRPC_UNAVAILABLE, reason, .unseen = !call->started });
    nghttp2_session_del(session->session);
    free(session->authority);
    free(session->token);
    free(session);
    return NULL;
}

static int session_error(struct grpc_session *session, ssize_t code, struct err *err)
{
    enum err_code kind = code == NGHTTP2_ERR_NOMEM ? ERR_NO_MEMORY : ERR_IO;

    return err_set(err, kind, "HTTP/2: %s", session->trouble ? session->trouble : nghttp2_strerror((int)code));
}

int grpc_session_input(struct grpc_session *session, struct str bytes, struct err *err)
{
    ssize_t n = nghttp2_session_mem_recv(session->session, (const uint8_t *)bytes.data, bytes.len);

    return n < 0 ? session_error(session, n, err) : 0;
}

int grpc_session_output(struct grpc_session *session, struct buf *out, struct err *err)
{
    int code;

    session->out = out;
    code = nghttp2_session_send(session->session);
    session->out = NULL;
    if (code < 0)
        return session_error(session, code, err);
    if (!buf_ok(out))
        return err_set(err, ERR_NO_MEMORY, "bytes to send");
    if (out->len == 0 && !nghttp2_session_want_read(session->session))
        return err_set(err, ERR_IO, "HTTP/2: the connection is over");
    return 0;
}

bool grpc_session_ready(const struct grpc_session *session)
{
    return session->ready;
}

bool grpc_session_ending(const struct grpc_session *session)
{
    return session->ending;
}

int grpc_session_set_token(struct grpc_session *session, struct str token, struct err *err)
{
    char *copy = token.data ? str_dup(token) : NULL;

    if (token.data && !copy)
        return err_set(err, ERR_NO_MEMORY, "token");
    free(session->token);
    session->token = copy;
    return 0;
}
