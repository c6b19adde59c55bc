/* exchange.c - the handler's side of a request, and its way across threads.
 *
 * Replies are made on whatever thread the handler runs. On the loop's own thread they go straight into the
 * exchange's queue and the connection is marked dirty; the end of the turn writes. From another thread they go into
 * the exchange's inbox under the loop's lock, the exchange is put into the loop's mailbox once, and the loop is
 * woken once however many exchanges are waiting.
 *
 * Events run on the loop while the handler may be ending the exchange elsewhere. `over` (set under the lock by the
 * end) and `in_event` (set under the lock around an event) exclude one another: no event begins after the end, and
 * an end without a released() event waits for the event that is running. */
#include "net/exchange.h"

#define ARENA_LIMIT (256u << 20)
#define MEMORY_FULL 224 /* of 256 parts of the budget: the rest is for requests that were taken on before */
#define KEEP_BODY (16u << 10)
#define MAX_FIELDS_BYTES (64u << 10)

/* -- life -- */

static struct http_exchange *exchange_make(struct loop *loop)
{
    struct http_exchange *exchange = calloc(1, sizeof *exchange);

    if (!exchange)
        return NULL;
    exchange->loop = loop;
    arena_init_within(&exchange->arena, ARENA_LIMIT, &loop->shared->memory);
    head_init(&exchange->head);
    buf_init(&exchange->body, 0);
    buf_init(&exchange->fields, MAX_FIELDS_BYTES);
    list_init(&exchange->link);
    return exchange;
}

struct http_exchange *exchange_new(struct conn *conn)
{
    struct loop *loop = conn->loop;
    struct http_exchange *exchange = list_first(&loop->spare, struct http_exchange, link);

    if (exchange) {
        list_remove(&exchange->link);
        loop->spare_count--;
    } else if (!(exchange = exchange_make(loop))) {
        return NULL;
    }
    exchange->conn = conn;
    exchange->peer = peer_ref(conn->peer);
    exchange->request.peer = &exchange->peer->identity;
    exchange->request.remote_address = str_from(exchange->peer->address);
    exchange->progress = loop->now;
    list_append(&conn->exchanges, &exchange->link);
    return exchange;
}

void exchange_free(struct http_exchange *exchange)
{
    arena_deinit(&exchange->arena);
    head_deinit(&exchange->head);
    buf_deinit(&exchange->body);
    buf_deinit(&exchange->fields);
    free(exchange);
}

static void clear_body(struct http_exchange *exchange)
{
    arena_budget_change(&exchange->loop->shared->memory, &exchange->charged, 0);
    if (exchange->body.cap > KEEP_BODY)
        buf_deinit(&exchange->body);
    buf_clear(&exchange->body);
}

/* What is queued is in the budget of memory from submit() to here or exchange_sent(). */
static void drop_queue(struct http_exchange *exchange, struct part_queue *queue)
{
    if (queue->bytes == 0)
        return;
    arena_budget_give(&exchange->loop->shared->memory, queue->bytes);
    atomic_fetch_sub_explicit(&exchange->queued, queue->bytes, memory_order_relaxed);
    part_queue_clear(queue);
}

void exchange_recycle(struct http_exchange *exchange)
{
    struct arena arena = exchange->arena;
    struct head head;
    struct buf body, fields;

    if (exchange->handled)
        exchange->loop->open_count--;
    if (exchange->events.released)
        exchange->events.released(exchange->events.ctx);
    peer_unref(exchange->peer);
    clear_body(exchange);
    drop_queue(exchange, &exchange->queue);
    drop_queue(exchange, &exchange->inbox);
    arena_reset(&arena);
    head_clear(&exchange->head);
    buf_clear(&exchange->fields);
    head = exchange->head;
    body = exchange->body;
    fields = exchange->fields;
    *exchange = (struct http_exchange){
        .loop = exchange->loop, .arena = arena, .head = head, .body = body, .fields = fields
    };
    list_init(&exchange->link);
}

static void release_if_over(struct http_exchange *exchange)
{
    if (exchange->conn || (exchange->handled && !exchange->ended && !exchange->aborted))
        return;
    list_remove(&exchange->link);
    list_append(&exchange->loop->done, &exchange->link);
}

/* -- events, on the loop -- */

static bool event_enter(struct http_exchange *exchange)
{
    LOCKED(&exchange->loop->lock);
    if (exchange->over || !exchange->has_events)
        return false;
    exchange->in_event = true;
    return true;
}

static void event_leave(struct http_exchange *exchange)
{
    LOCKED(&exchange->loop->lock);
    exchange->in_event = false;
    cond_broadcast(&exchange->loop->event_over);
}

static void tell_closed(struct http_exchange *exchange)
{
    if (exchange->closed_told || !event_enter(exchange))
        return;
    exchange->closed_told = true;
    if (exchange->events.closed)
        exchange->events.closed(exchange->events.ctx);
    event_leave(exchange);
}

static void tell_drained(struct http_exchange *exchange)
{
    {
        LOCKED(&exchange->loop->lock);
        if (!exchange->want_drained)
            return;
        exchange->want_drained = false;
    }
    if (!event_enter(exchange))
        return;
    if (exchange->events.drained)
        exchange->events.drained(exchange->events.ctx);
    event_leave(exchange);
}

/* False when the handler does not take it now. */
static bool tell_data(struct http_exchange *exchange, struct str bytes, bool end)
{
    if (exchange_blocked(exchange) || !event_enter(exchange))
        return false;
    if (exchange->events.data)
        exchange->events.data(exchange->events.ctx, bytes, end);
    event_leave(exchange);
    return true;
}

bool exchange_blocked(struct http_exchange *exchange)
{
    if (!exchange->streaming || !exchange->handled)
        return false;
    LOCKED(&exchange->loop->lock);
    return exchange->paused || (!exchange->has_events && !exchange->over);
}

/* Gives what waited to a handler that became ready for it. */
static void pump(struct http_exchange *exchange)
{
    size_t waiting = exchange->body.len;

    if (exchange->streaming && exchange->handled && waiting > 0 &&
        tell_data(exchange, buf_str(&exchange->body), exchange->input_over)) {
        exchange->input_told = exchange->input_over;
        clear_body(exchange);
        if (exchange->conn)
            exchange->conn->proto->consumed(exchange, waiting);
    }
    if (exchange->streaming && exchange->handled && exchange->body.len == 0 && exchange->input_over &&
        !exchange->input_told)
        exchange->input_told = tell_data(exchange, STR(""), true);
    if (atomic_load_explicit(&exchange->cancelled, memory_order_relaxed))
        tell_closed(exchange);
}

/* -- the protocol's side -- */

void exchange_route(struct http_exchange *exchange)
{
    const struct http_handler *handler = &exchange->loop->shared->options.handler;

    exchange->streaming = handler->route && handler->route(handler->ctx, &exchange->request) == HTTP_BODY_STREAM;
}

void exchange_handle(struct http_exchange *exchange)
{
    const struct http_handler *handler = &exchange->loop->shared->options.handler;

    if (!exchange->streaming)
        exchange->request.body = buf_str(&exchange->body);
    exchange->handled = true;
    exchange->loop->open_count++;
    handler->handle(handler->ctx, exchange);
}

bool exchange_is_too_much(const struct http_exchange *exchange)
{
    return arena_budget_is_above(&exchange->loop->shared->memory, MEMORY_FULL);
}

const char *refusal_write(struct loop *loop, int status, struct buf *body)
{
    const struct http_handler *handler = &loop->shared->options.handler;

    if (handler->refusal) {
        handler->refusal(handler->ctx, status, body);
        return "application/json";
    }
    buf_add_u64(body, (uint64_t)status);
    buf_add_char(body, ' ');
    buf_add_cstr(body, http_status_text(status));
    return "text/plain; charset=utf-8";
}

static int keep(struct http_exchange *exchange, struct str bytes)
{
    struct arena_budget *memory = &exchange->loop->shared->memory;

    if (!arena_budget_change(memory, &exchange->charged, exchange->charged + bytes.len))
        return 429;
    buf_add_str(&exchange->body, bytes);
    return buf_ok(&exchange->body) ? 0 : 503;
}

int exchange_data(struct http_exchange *exchange, struct str bytes)
{
    bool dropped;

    exchange->progress = exchange->loop->now;
    if (!exchange->streaming) {
        if (exchange->handled)
            return 0; /* it was refused */
        if (bytes.len > exchange->loop->shared->options.max_body - exchange->body.len)
            return 413;
        return keep(exchange, bytes);
    }
    if (exchange->body.len == 0 && exchange->handled && tell_data(exchange, bytes, false)) {
        if (exchange->conn)
            exchange->conn->proto->consumed(exchange, bytes.len);
        return 0;
    }
    {
        LOCKED(&exchange->loop->lock);
        dropped = exchange->over; /* nobody will read it */
    }
    if (dropped && exchange->conn)
        exchange->conn->proto->consumed(exchange, bytes.len);
    if (dropped)
        return 0;
    return keep(exchange, bytes);
}

void exchange_data_over(struct http_exchange *exchange)
{
    exchange->input_over = true;
    if (exchange->streaming)
        pump(exchange);
}

void exchange_sent(struct http_exchange *exchange, size_t count)
{
    size_t before = atomic_fetch_sub_explicit(&exchange->queued, count, memory_order_relaxed);

    arena_budget_give(&exchange->loop->shared->memory, count);
    part_queue_consume(&exchange->queue, count);
    exchange->progress = exchange->loop->now;
    if (before - count < HTTP_QUEUE_LOW && before >= HTTP_QUEUE_LOW)
        tell_drained(exchange);
}

void exchange_cancel(struct http_exchange *exchange)
{
    atomic_store_explicit(&exchange->cancelled, true, memory_order_relaxed);
    if (exchange->handled)
        tell_closed(exchange);
}

void exchange_detach(struct http_exchange *exchange)
{
    bool unfinished = !exchange_is_complete(exchange);

    exchange->conn = NULL;
    drop_queue(exchange, &exchange->queue);
    list_remove(&exchange->link);
    if (unfinished) {
        atomic_store_explicit(&exchange->gone, true, memory_order_relaxed);
        exchange_cancel(exchange);
    }
    release_if_over(exchange);
}

/* What the handler did, seen by the loop. */
static void accept_notes(struct http_exchange *exchange, unsigned notes)
{
    if (notes & NOTE_BEGIN) {
        exchange->begun = true;
        if (exchange->upgrade) { /* what comes now is not the request's body */
            exchange->streaming = true;
            exchange->input_over = exchange->input_told = false;
            clear_body(exchange);
        }
    }
    if (notes & NOTE_END)
        exchange->ended = true;
    if (notes & NOTE_ABORT)
        exchange->aborted = true;
    if (notes & (NOTE_ABORT | NOTE_BROKEN))
        exchange->broken = true;
    if (!exchange->conn) {
        drop_queue(exchange, &exchange->queue);
    } else {
        if (exchange->loop->stopping && !exchange->ended && exchange->begun)
            exchange_cancel(exchange); /* a stream that began while the server stops */
        exchange->conn->proto->reply(exchange);
    }
    if (notes & NOTE_EVENTS)
        pump(exchange);
    release_if_over(exchange);
}

void exchange_take_mail(struct http_exchange *exchange)
{
    unsigned notes;

    {
        LOCKED(&exchange->loop->lock);
        if (exchange->queue.bytes == 0)
            exchange->progress = exchange->loop->now;
        part_queue_move(&exchange->queue, &exchange->inbox);
        notes = exchange->notes;
        exchange->notes = 0;
    }
    accept_notes(exchange, notes);
}

/* -- the handler's side: any thread -- */

/* Under the lock. */
static void wait_for_event(struct http_exchange *exchange)
{
    while (exchange->in_event && !exchange->events.released)
        cond_wait(&exchange->loop->event_over, &exchange->loop->lock);
}

/* Adds to what is queued; group may be NULL. Returns the bytes queued. */
static size_t submit(struct http_exchange *exchange, struct part_group *group, unsigned notes)
{
    struct loop *loop = exchange->loop;
    size_t added = group ? group->bytes : 0;
    bool here = loop_is_current(loop), later;
    size_t queued;

    mutex_lock(&loop->lock);
    queued = atomic_fetch_add_explicit(&exchange->queued, added, memory_order_relaxed) + added;
    if (queued > HTTP_QUEUE_HIGH)
        exchange->want_drained = true;
    /* From inside an event, more events come when that is over. */
    later = !here || exchange->mailed || ((notes & NOTE_EVENTS) && exchange->in_event);
    if (!later && exchange->queue.bytes == 0)
        exchange->progress = loop->now;
    if (group)
        part_queue_add(later ? &exchange->inbox : &exchange->queue, group);
    if (notes & (NOTE_END | NOTE_ABORT))
        exchange->over = true;
    if (!here && exchange->over)
        wait_for_event(exchange); /* before posting: then it can be gone */
    if (later) {
        exchange->notes |= notes;
        loop_post(loop, exchange);
    }
    mutex_unlock(&loop->lock);
    if (!later)
        accept_notes(exchange, notes);
    return queued;
}

static bool is_ours(struct str name)
{
    static const struct str ours[] = { STR_INIT("connection"), STR_INIT("keep-alive"), STR_INIT("transfer-encoding"),
                                       STR_INIT("content-length"), STR_INIT("upgrade"), STR_INIT("date") };

    for (size_t i = 0; i < ARRAY_LEN(ours); i++)
        if (str_eq_nocase(name, ours[i]))
            return true;
    return false;
}

/* Fields lie one after another as two lengths, name, value. A line break in a value would forge headers: it becomes a
 * space. */
static void add_field(struct http_exchange *exchange, struct str name, struct str value)
{
    const uint32_t lengths[2] = { (uint32_t)name.len, (uint32_t)value.len };
    char *place;

    if (name.len > 256 || value.len > MAX_FIELDS_BYTES ||
        !(place = buf_reserve(&exchange->fields, sizeof lengths + name.len + value.len)))
        return;
    memcpy(place, lengths, sizeof lengths);
    memcpy(place + sizeof lengths, name.data, name.len);
    place += sizeof lengths + name.len;
    for (size_t i = 0; i < value.len; i++)
        place[i] = (unsigned char)value.data[i] < ' ' || value.data[i] == 0x7f ? ' ' : value.data[i];
    exchange->fields.len += sizeof lengths + name.len + value.len;
}

bool exchange_field(const struct http_exchange *exchange, size_t *at, struct http_header *ret_field)
{
    const char *place;
    uint32_t lengths[2];

    if (*at >= exchange->fields.len)
        return false;
    place = exchange->fields.data + *at;
    memcpy(lengths, place, sizeof lengths);
    ret_field->name = str_of(place + sizeof lengths, lengths[0]);
    ret_field->value = str_of(place + sizeof lengths + lengths[0], lengths[1]);
    *at += sizeof lengths + lengths[0] + lengths[1];
    return true;
}

void exchange_lower_fields(struct http_exchange *exchange)
{
    struct http_header field;
    size_t at = 0;

    while (exchange_field(exchange, &at, &field))
        for (char *c = (char *)field.name.data; c < field.name.data + field.name.len; c++)
            *c = *c >= 'A' && *c <= 'Z' ? (char)(*c - 'A' + 'a') : *c;
}

bool exchange_has_no_body(const struct http_exchange *exchange)
{
    return exchange->request.method == HTTP_HEAD_ || exchange->status == 204 || exchange->status == 304;
}

void http_reply_header(struct http_exchange *exchange, const char *name, struct str value)
{
    if (!is_ours(str_from(name)))
        add_field(exchange, str_from(name), value);
}

static void set_reply(struct http_exchange *exchange, int status, const char *content_type, int64_t length)
{
    exchange->status = status >= 200 && status <= 999 ? status : 500;
    exchange->length = length;
    if (content_type)
        add_field(exchange, STR("Content-Type"), str_from(content_type));
}

/* NULL without memory, the system's or the budget's. */
static struct part_group *make_group(struct http_exchange *exchange, const struct http_part *parts, size_t count)
{
    struct part_group *group = part_group_new(parts, count);

    if (group && !arena_budget_take(&exchange->loop->shared->memory, group->bytes))
        group = part_group_free(group);
    return group;
}

void http_reply(struct http_exchange *exchange, int status, const char *content_type, struct str body)
{
    const struct http_part part = { .bytes = body };

    http_reply_parts(exchange, status, content_type, &part, 1);
}

void http_reply_parts(struct http_exchange *exchange, int status, const char *content_type,
                      const struct http_part *parts, size_t count)
{
    struct part_group *group = make_group(exchange, parts, count);

    set_reply(exchange, status, content_type, group ? (int64_t)group->bytes : 0);
    submit(exchange, group, group ? NOTE_BEGIN | NOTE_END : NOTE_ABORT);
}

void exchange_refuse(struct http_exchange *exchange, int status)
{
    AUTO_DEINIT(buf, body) = BUF_INIT;
    const char *type = refusal_write(exchange->loop, status, &body);

    clear_body(exchange);
    exchange->streaming = false;
    exchange->handled = true;
    exchange->loop->open_count++;
    if (status == 429)
        http_reply_header(exchange, "Retry-After", STR(REFUSAL_RETRY));
    http_reply(exchange, status, type, buf_str(&body));
}

void http_reply_begin(struct http_exchange *exchange, int status, const char *content_type)
{
    set_reply(exchange, status, content_type, -1);
    submit(exchange, NULL, NOTE_BEGIN);
}

/* "keep-alive, Upgrade" has the word, "upgrades" has not. */
static bool has_token(struct str list, struct str token)
{
    struct str part;

    while (str_split(&list, ',', &part))
        if (str_eq_nocase(str_trim(part), token))
            return true;
    return false;
}

bool http_request_wants_upgrade(const struct http_request *request)
{
    bool asked = false;

    for (size_t i = 0; i < request->header_count && !asked; i++)
        asked = str_eq(request->headers[i].name, STR("connection")) &&
                has_token(request->headers[i].value, STR("upgrade"));
    return request->major == 1 && asked && !str_empty(http_request_header(request, STR("upgrade")));
}

bool http_exchange_upgrade(struct http_exchange *exchange, struct str protocol, const struct http_stream_events *events)
{
    if (!http_request_wants_upgrade(&exchange->request) || exchange->streaming)
        return false;
    add_field(exchange, STR("Upgrade"), protocol);
    exchange->upgrade = true;
    exchange->status = 101;
    exchange->length = -1;
    {
        LOCKED(&exchange->loop->lock);
        exchange->events = *events;
        exchange->has_events = true;
    }
    submit(exchange, NULL, NOTE_BEGIN | NOTE_EVENTS);
    return true;
}

size_t http_reply_write(struct http_exchange *exchange, const struct http_part *parts, size_t count)
{
    struct part_group *group = NULL;

    if (atomic_load_explicit(&exchange->gone, memory_order_relaxed))
        return 0;
    group = make_group(exchange, parts, count);
    if (!group) { /* a gap in the stream would be a lie: break it off; the handler learns it as a client that left */
        struct loop *loop = exchange->loop;
        LOCKED(&loop->lock);
        atomic_store_explicit(&exchange->gone, true, memory_order_relaxed);
        exchange->notes |= NOTE_BROKEN;
        loop_post(loop, exchange);
        return 0;
    }
    return submit(exchange, group, 0);
}

void http_reply_end(struct http_exchange *exchange)
{
    submit(exchange, NULL, NOTE_END);
}

void http_exchange_abort(struct http_exchange *exchange)
{
    submit(exchange, NULL, NOTE_ABORT);
}

bool http_exchange_cancelled(struct http_exchange *exchange)
{
    return atomic_load_explicit(&exchange->cancelled, memory_order_relaxed);
}

void http_exchange_events(struct http_exchange *exchange, const struct http_stream_events *events)
{
    {
        LOCKED(&exchange->loop->lock);
        exchange->events = *events;
        exchange->has_events = true;
    }
    submit(exchange, NULL, NOTE_EVENTS);
}

void http_exchange_pause(struct http_exchange *exchange, bool paused)
{
    {
        LOCKED(&exchange->loop->lock);
        exchange->paused = paused;
    }
    if (!paused)
        submit(exchange, NULL, NOTE_EVENTS);
}

const struct http_request *http_exchange_request(struct http_exchange *exchange)
{
    return &exchange->request;
}

struct arena *http_exchange_arena(struct http_exchange *exchange)
{
    return &exchange->arena;
}

struct str http_request_header(const struct http_request *request, struct str lower_case_name)
{
    for (size_t i = 0; i < request->header_count; i++)
        if (str_eq(request->headers[i].name, lower_case_name))
            return request->headers[i].value;
    return STR_NULL;
}
