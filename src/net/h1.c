/* h1.c - HTTP/1.1: one request after the other on a connection.
 *
 * A connection alternates between parsing and writing: a request is parsed, handled and its reply written before the
 * next one is parsed, however many the client has sent ahead; those wait, and past a limit the socket is not read.
 *
 * On top of the parser's own checks, everything that two parsers could read differently is refused (request
 * smuggling): a line that ends in a bare LF or begins with a blank, more than one Content-Length or Host,
 * Content-Length together with Transfer-Encoding, any transfer coding but "chunked". After a refusal the connection
 * is closed.
 *
 * After an upgrade (101) the connection carries bytes of another protocol until either side ends it: what comes goes
 * to the handler as it is, what is queued goes out as it is.
 *
 * A reply that is made before the whole request has come (too large, say) closes the connection too: the rest of the
 * body is read and dropped by conn.c for a moment, so that the client gets to see the reply. */
#include <stdio.h>

#include "net/exchange.h"
#include "net/h1_parser.h"

#define PENDING_LIMIT (64u << 10)
#define MIN_ROOM 1024
#define BODY_STALLS 10 /* a collected body may take that many stall times in all */

enum phase {
    PHASE_IDLE, /* between requests */
    PHASE_HEAD,
    PHASE_BODY,
    PHASE_WAIT, /* the request has come, the reply has not been written */
    PHASE_RAW,  /* upgraded */
};

struct h1 {
    struct conn *conn;
    struct h1_parser *parser;
    struct http_exchange *exchange;
    struct buf pending; /* came, not yet parsed */
    size_t pending_held; /* in the budget of memory */
    enum phase phase;
    size_t head_bytes, body_bytes, framing_bytes;
    nsec_t body_since;
    char previous;      /* the byte before those being parsed, for the line checks */
    int refuse;         /* why the parser was told to stop: a status */
    bool close, chunked;
    bool resume; /* the parser has more to say about what it took */
};

/* -- replies -- */

/* printf costs more than all else that a head takes. */
static void write_number(struct conn *conn, uint64_t value)
{
    char digits[20];
    size_t at = sizeof digits;

    do
        digits[--at] = (char)('0' + value % 10);
    while (value /= 10);
    conn_write(conn, str_of(digits + at, sizeof digits - at));
}

static void write_head(struct h1 *h1, struct http_exchange *exchange)
{
    struct conn *conn = h1->conn;
    int minor = exchange->request.major == 1 ? h1_parser_minor(h1->parser) : 1;
    struct http_header field;
    size_t at = 0;

    h1->chunked = exchange->length < 0 && minor > 0;
    if (h1->phase != PHASE_WAIT || conn->loop->stopping || (exchange->length < 0 && minor == 0))
        h1->close = true;
    conn_write(conn, STR("HTTP/1.1 "));
    write_number(conn, (uint64_t)exchange->status);
    conn_write(conn, STR(" "));
    conn_write(conn, str_from(http_status_text(exchange->status)));
    conn_write(conn, STR("\r\nDate: "));
    conn_write(conn, loop_date(conn->loop));
    while (exchange_field(exchange, &at, &field)) {
        conn_write(conn, STR("\r\n"));
        conn_write(conn, field.name);
        conn_write(conn, STR(": "));
        conn_write(conn, field.value);
    }
    if (exchange->length >= 0 && exchange->status != 204 && exchange->status != 304) {
        conn_write(conn, STR("\r\nContent-Length: "));
        write_number(conn, (uint64_t)exchange->length);
    } else if (h1->chunked && !exchange_has_no_body(exchange)) {
        conn_write(conn, STR("\r\nTransfer-Encoding: chunked"));
    }
    if (h1->close)
        conn_write(conn, STR("\r\nConnection: close"));
    else if (minor == 0)
        conn_write(conn, STR("\r\nConnection: keep-alive"));
    conn_write(conn, STR("\r\n\r\n"));
    exchange->head_sent = true;
}

/* The rest of the connection's life is raw bytes. */
static void write_upgrade(struct h1 *h1, struct http_exchange *exchange)
{
    struct conn *conn = h1->conn;
    struct http_header field;
    size_t at = 0;

    conn_write(conn, STR("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade"));
    while (exchange_field(exchange, &at, &field)) {
        conn_write(conn, STR("\r\n"));
        conn_write(conn, field.name);
        conn_write(conn, STR(": "));
        conn_write(conn, field.value);
    }
    conn_write(conn, STR("\r\n\r\n"));
    exchange->head_sent = true;
    h1->phase = PHASE_RAW;
    h1->close = true;
    h1->chunked = false;
    conn->patient = true;
    conn_set_deadline(conn, 0);
}

/* count bytes of the queue. */
static void write_queued(struct h1 *h1, struct http_exchange *exchange, size_t count)
{
    while (count > 0) {
        struct str bytes = str_first(part_queue_first(&exchange->queue), count);
        conn_write(h1->conn, bytes);
        exchange_sent(exchange, bytes.len);
        count -= bytes.len;
    }
}

static void write_some(struct h1 *h1, struct http_exchange *exchange, size_t room)
{
    size_t count = MIN(exchange->queue.bytes, room);
    char line[32];

    if (!h1->chunked) {
        write_queued(h1, exchange, count);
        return;
    }
    int n = snprintf(line, sizeof line, "%zx\r\n", count);
    conn_write(h1->conn, str_of(line, (size_t)n));
    write_queued(h1, exchange, count);
    conn_write(h1->conn, STR("\r\n"));
}

static void drop_queued(struct http_exchange *exchange)
{
    while (exchange->queue.bytes > 0)
        exchange_sent(exchange, part_queue_first(&exchange->queue).len);
}

static void end_exchange(struct h1 *h1)
{
    struct conn *conn = h1->conn;
    bool whole = h1->phase == PHASE_WAIT;

    exchange_detach(TAKE(h1->exchange));
    h1->phase = PHASE_IDLE;
    h1->head_bytes = 0;
    conn_set_deadline(conn, conn->loop->shared->options.idle_timeout);
    if (h1->close || !whole || conn->loop->stopping)
        conn_finish(conn);
}

/* False: there is more, but no room. */
static bool write_reply(struct h1 *h1)
{
    struct http_exchange *exchange = h1->exchange;
    struct conn *conn = h1->conn;

    if (!exchange || !exchange->begun) {
        if (exchange && exchange->broken)
            conn_fail(conn);
        return true;
    }
    if (!exchange->head_sent) {
        if (conn_room(conn) == 0)
            return false;
        if (exchange->upgrade)
            write_upgrade(h1, exchange);
        else
            write_head(h1, exchange);
    }
    if (exchange_has_no_body(exchange))
        drop_queued(exchange);
    while (exchange->queue.bytes > 0 && !conn->failed) {
        size_t room = conn_room(conn);
        if (room < MIN_ROOM)
            return false;
        write_some(h1, exchange, room);
    }
    if (exchange->broken) {
        conn_fail(conn);
    } else if (exchange->ended) {
        if (h1->chunked && !exchange_has_no_body(exchange))
            conn_write(conn, STR("0\r\n\r\n"));
        end_exchange(h1);
    }
    return true;
}

/* -- refusing -- */

static void refuse(struct h1 *h1, int status)
{
    struct conn *conn = h1->conn;
    AUTO_DEINIT(buf, body) = BUF_INIT;
    char head[320];

    if (h1->exchange && h1->exchange->handled) { /* a reply may have begun: there is no place for another */
        conn_fail(conn);
        return;
    }
    if (h1->exchange)
        exchange_detach(TAKE(h1->exchange));
    const char *type = refusal_write(conn->loop, status, &body);
    struct str date = loop_date(conn->loop);
    int n = snprintf(head, sizeof head,
                     "HTTP/1.1 %d %s\r\nDate: " STR_FMT "\r\nContent-Type: %s\r\n%s"
                     "Content-Length: %zu\r\nConnection: close\r\n\r\n",
                     status, http_status_text(status), STR_ARG(date), type,
                     status == 429 ? "Retry-After: " REFUSAL_RETRY "\r\n" : "", body.len);
    conn_write(conn, str_of(head, (size_t)n));
    conn_write(conn, buf_str(&body));
    h1->close = true;
    h1->phase = PHASE_WAIT;
    conn_finish(conn);
}

/* -- requests -- */

static bool on_target(void *ctx, struct str span)
{
    struct h1 *h1 = ctx;

    if (!h1->exchange && !(h1->exchange = exchange_new(h1->conn))) {
        h1->refuse = 503;
        return false;
    }
    return head_target(&h1->exchange->head, span);
}

static bool on_name(void *ctx, struct str span)
{
    struct h1 *h1 = ctx;

    if (h1->exchange && head_name(&h1->exchange->head, span))
        return true;
    h1->refuse = h1->exchange && h1->exchange->head.overflow ? 431 : 0;
    return false;
}

static bool on_value(void *ctx, struct str span)
{
    struct h1 *h1 = ctx;

    return h1->exchange && head_value(&h1->exchange->head, span);
}

static void set_body_deadline(struct h1 *h1)
{
    struct conn *conn = h1->conn;
    nsec_t stall = conn->loop->shared->options.stall_timeout;

    conn->deadline = h1->exchange->streaming ? 0 : MIN(conn->loop->now + stall, h1->body_since + BODY_STALLS * stall);
}

static bool on_body(void *ctx, struct str span)
{
    struct h1 *h1 = ctx;

    h1->body_bytes += span.len;
    h1->refuse = h1->exchange ? exchange_data(h1->exchange, span) : 400;
    if (h1->refuse == 0)
        set_body_deadline(h1);
    return h1->refuse == 0;
}

static const struct h1_callbacks callbacks = { on_target, on_name, on_value, on_body };

/* What the fields say about the message. */
struct framing {
    int hosts, lengths, codings, expects;
    uint64_t length;
    bool chunked, continue_, bad_length;
};

static struct framing read_framing(const struct http_request *request)
{
    struct framing framing = { 0 };

    for (size_t i = 0; i < request->header_count; i++) {
        struct str name = request->headers[i].name, value = request->headers[i].value;
        if (str_eq(name, STR("host"))) {
            framing.hosts++;
        } else if (str_eq(name, STR("content-length"))) {
            framing.lengths++;
            framing.bad_length = !str_to_u64(value, &framing.length) || value.data[0] == '-';
        } else if (str_eq(name, STR("transfer-encoding"))) {
            framing.codings++;
            framing.chunked = str_eq_nocase(value, STR("chunked"));
        } else if (str_eq(name, STR("expect"))) {
            framing.expects++;
            framing.continue_ = str_eq_nocase(value, STR("100-continue"));
        }
    }
    return framing;
}

/* 0, or the status to refuse with. */
static int check_framing(const struct framing *framing, int minor)
{
    if (minor < 0 || minor > 1)
        return 505;
    if (framing->hosts > 1 || (framing->hosts == 0 && minor > 0))
        return 400;
    if (framing->lengths > 1 || framing->bad_length || framing->codings > 1 ||
        (framing->lengths > 0 && framing->codings > 0))
        return 400;
    if (framing->codings > 0 && minor == 0)
        return 400;
    if (framing->codings > 0 && !framing->chunked)
        return 501;
    if (framing->expects > 0 && !framing->continue_)
        return 417;
    return 0;
}

static void head_complete(struct h1 *h1)
{
    struct http_exchange *exchange = h1->exchange;
    struct conn *conn = h1->conn;
    struct http_request *request = exchange ? &exchange->request : NULL;
    int minor = h1_parser_minor(h1->parser), status;
    struct framing framing;

    h1->phase = PHASE_BODY;
    h1->body_bytes = h1->framing_bytes = 0;
    h1->body_since = conn->loop->now;
    h1->chunked = false;
    if (!exchange) {
        refuse(h1, 400);
        return;
    }
    request->major = 1;
    request->method_name = str_from(h1_parser_method(h1->parser));
    request->method = http_method_from(request->method_name);
    if (!head_resolve(&exchange->head, request)) {
        refuse(h1, 400);
        return;
    }
    framing = read_framing(request);
    if ((status = check_framing(&framing, minor)) != 0) {
        refuse(h1, status);
        return;
    }
    if (!h1_parser_keep_alive(h1->parser))
        h1->close = true;
    if (exchange_is_too_much(exchange)) {
        refuse(h1, 429);
        return;
    }
    exchange_route(exchange);
    if (!exchange->streaming && framing.length > conn->loop->shared->options.max_body) {
        refuse(h1, 413);
        return;
    }
    if (framing.continue_ && minor > 0 && (framing.chunked || framing.length > 0))
        conn_write(conn, STR("HTTP/1.1 100 Continue\r\n\r\n"));
    set_body_deadline(h1);
    if (exchange->streaming && (framing.chunked || framing.length > 0))
        exchange_handle(exchange);
}

static void message_complete(struct h1 *h1)
{
    h1->phase = PHASE_WAIT;
    conn_set_deadline(h1->conn, 0);
    exchange_data_over(h1->exchange);
    if (!h1->exchange->handled)
        exchange_handle(h1->exchange);
}

/* Every line ends in CR LF, and none begins with a blank. */
static bool lines_are_sound(struct h1 *h1, struct str bytes)
{
    const char *at = bytes.data, *end = bytes.data + bytes.len, *lf;

    if (bytes.len == 0)
        return true;
    if (h1->previous == '\n' && (*at == ' ' || *at == '\t'))
        return false;
    while ((lf = memchr(at, '\n', (size_t)(end - at)))) {
        if ((lf > bytes.data ? lf[-1] : h1->previous) != '\r')
            return false;
        at = lf + 1;
        if (at == end)
            break;
        if (*at == ' ' || *at == '\t')
            return false;
    }
    h1->previous = end[-1];
    return true;
}

static bool may_parse(struct h1 *h1)
{
    return h1->phase != PHASE_WAIT && h1->phase != PHASE_RAW && !h1->conn->finishing && !h1->conn->failed &&
           !(h1->phase == PHASE_BODY && exchange_blocked(h1->exchange));
}

/* Parses up to the next event and acts on it. */
static void parse(struct h1 *h1, struct str *in)
{
    const struct http_server_options *options = &h1->conn->loop->shared->options;
    size_t taken, body_before = h1->body_bytes;
    bool in_head = h1->phase != PHASE_BODY;
    enum h1_event event;

    if (h1->phase == PHASE_IDLE) {
        h1->phase = PHASE_HEAD;
        h1->previous = 0;
        conn_set_deadline(h1->conn, options->head_timeout);
    }
    h1->refuse = 0;
    event = h1_parser_run(h1->parser, *in, &taken);
    h1->resume = event == H1_HEAD;
    if (in_head) {
        h1->head_bytes += taken;
        if (!lines_are_sound(h1, str_first(*in, taken)))
            event = H1_INVALID;
        else if (h1->head_bytes > options->max_head)
            h1->refuse = 431;
    } else {
        /* chunk headers, extensions and trailers: no more than a few bytes for each byte of the body */
        h1->framing_bytes += taken - MIN(taken, h1->body_bytes - body_before);
        if (h1->framing_bytes > options->max_head + 8 * h1->body_bytes)
            event = H1_INVALID;
    }
    *in = str_skip(*in, taken);
    if (event == H1_INVALID || h1->refuse != 0)
        refuse(h1, h1->refuse != 0 ? h1->refuse : 400);
    else if (event == H1_HEAD)
        head_complete(h1);
    else if (event == H1_DONE)
        message_complete(h1);
}

/* Hands bytes of the other protocol to the handler, as far as it takes them. */
static void pass_raw(struct h1 *h1, struct str *in)
{
    if (in->len == 0 || h1->conn->finishing || h1->conn->failed || exchange_blocked(h1->exchange))
        return;
    if (exchange_data(h1->exchange, *in) != 0)
        conn_fail(h1->conn);
    *in = str_skip(*in, in->len);
}

/* Writes and parses by turns until neither is possible. True: there is more to write. */
static bool advance(struct h1 *h1, struct str *in)
{
    for (;;) {
        if (!write_reply(h1))
            return true;
        if (h1->phase == PHASE_RAW && h1->exchange)
            pass_raw(h1, in);
        if ((in->len == 0 && !h1->resume) || !may_parse(h1))
            return false;
        parse(h1, in);
    }
}

static void after_input(struct h1 *h1)
{
    struct conn *conn = h1->conn;

    conn_pause_reading(conn, h1->pending.len >= PENDING_LIMIT);
    if (h1->phase == PHASE_RAW) {
        if (h1->exchange && conn->eof && h1->pending.len == 0 && !h1->exchange->input_over)
            exchange_data_over(h1->exchange);
        return;
    }
    if (conn->finishing || conn->failed || !conn->eof || h1->pending.len > 0 || h1->phase == PHASE_WAIT)
        return;
    if (h1->phase == PHASE_IDLE)
        conn_finish(conn);
    else
        conn_fail(conn);
}

/* -- proto -- */

static bool h1_start(struct conn *conn)
{
    struct h1 *h1 = calloc(1, sizeof *h1);

    if (!h1)
        return false;
    h1->conn = conn;
    h1->parser = h1_parser_new(&callbacks, h1);
    buf_init(&h1->pending, 0);
    conn->state = h1;
    conn_set_deadline(conn, conn->loop->shared->options.head_timeout);
    if (h1->parser)
        return true;
    free(h1);
    return false;
}

static bool charge_pending(struct h1 *h1)
{
    return arena_budget_change(&h1->conn->loop->shared->memory, &h1->pending_held, h1->pending.cap);
}

static bool h1_output(struct conn *conn)
{
    struct h1 *h1 = conn->state;
    struct str in = buf_str(&h1->pending);
    bool more = advance(h1, &in);

    if (in.len == 0)
        buf_deinit(&h1->pending);
    else
        buf_consume(&h1->pending, h1->pending.len - in.len);
    charge_pending(h1);
    after_input(h1);
    return more;
}

static void h1_input(struct conn *conn, struct str bytes)
{
    struct h1 *h1 = conn->state;

    if (h1->pending.len == 0)
        advance(h1, &bytes);
    if (conn->finishing)
        return; /* what else comes is not read any more */
    buf_add_str(&h1->pending, bytes);
    if (!buf_ok(&h1->pending) || !charge_pending(h1))
        conn_fail(conn);
    conn_pause_reading(conn, h1->pending.len >= PENDING_LIMIT);
}

static void h1_eof(struct conn *conn)
{
    struct h1 *h1 = conn->state;

    if (h1->exchange && h1->phase == PHASE_WAIT)
        exchange_cancel(h1->exchange);
}

static void h1_reply(struct http_exchange *exchange)
{
    conn_dirty(exchange->conn);
}

static void h1_consumed(struct http_exchange *exchange, size_t bytes)
{
    conn_dirty(exchange->conn);
}

static void h1_timeout(struct conn *conn)
{
    struct h1 *h1 = conn->state;

    if (h1->phase == PHASE_IDLE) {
        conn_finish(conn);
        return;
    }
    conn->loop->owner = conn;
    refuse(h1, 408);
    if (conn_flush(conn))
        conn_dirty(conn);
}

static void h1_shutdown(struct conn *conn)
{
    struct h1 *h1 = conn->state;

    h1->close = true;
    if (!h1->exchange)
        conn_finish(conn);
    else if (!h1->exchange->handled)
        conn_fail(conn);
    else if (h1->exchange->streaming || (h1->exchange->begun && !h1->exchange->ended))
        exchange_cancel(h1->exchange);
}

static void h1_stop(struct conn *conn)
{
    struct h1 *h1 = conn->state;

    if (h1->exchange)
        exchange_detach(h1->exchange);
    h1_parser_free(h1->parser);
    buf_deinit(&h1->pending);
    charge_pending(h1);
    free(h1);
    conn->state = NULL;
}

const struct proto h1_proto = {
    .name = "http/1.1",
    .start = h1_start,
    .input = h1_input,
    .eof = h1_eof,
    .output = h1_output,
    .reply = h1_reply,
    .consumed = h1_consumed,
    .timeout = h1_timeout,
    .shutdown = h1_shutdown,
    .stop = h1_stop,
};
