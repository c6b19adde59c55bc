#include "net/exchange.h"

#include <stdio.h>
#include <time.h>

#define MAX_SPARE 256
#define MAX_LOOKED 256 /* connections looked at to find an idle one */
#define FLUSH_ROUNDS 4
#define WARM_TIME NSEC_PER_SEC
#define MEMORY_DEFAULT (1u << 30)
#define DATE_REFRESH (NSEC_PER_SEC / 4)

static nsec_t or_default(nsec_t value, nsec_t otherwise)
{
    return value > 0 ? value : otherwise;
}

void server_shared_init(struct server_shared *shared, const struct http_server_options *options)
{
    struct http_server_options *own = &shared->options;

    *own = *options;
    own->loops = own->loops > 0 ? own->loops : 2;
    own->max_body = own->max_body ? own->max_body : 3u << 20;
    own->max_head = own->max_head ? own->max_head : 64u << 10;
    own->max_memory = own->max_memory ? own->max_memory : MEMORY_DEFAULT;
    own->max_connections = own->max_connections > 0 ? own->max_connections : 20000;
    own->max_streams = own->max_streams > 0 ? own->max_streams : 1000;
    own->head_timeout = or_default(own->head_timeout, 10 * NSEC_PER_SEC);
    own->idle_timeout = or_default(own->idle_timeout, 300 * NSEC_PER_SEC);
    own->stall_timeout = or_default(own->stall_timeout, 30 * NSEC_PER_SEC);
    atomic_init(&shared->connections, 0);
    arena_budget_init(&shared->memory, own->max_memory);
}

int loop_init(struct loop *loop, struct server_shared *shared, struct clock *clock, struct err *err)
{
    *loop = (struct loop){ .shared = shared, .clock = clock };
    mutex_init(&loop->lock);
    cond_init(&loop->event_over);
    list_init(&loop->conns);
    list_init(&loop->dirty);
    list_init(&loop->warm);
    list_init(&loop->done);
    list_init(&loop->spare);
    buf_init(&loop->out, 0);
    loop->thread = uv_thread_self();
    loop->date_at = -1;
    loop->staging = malloc(STAGING_BYTES);
    loop->plain = malloc(STAGING_BYTES);
    if (!loop->staging || !loop->plain) {
        loop_deinit(loop);
        return err_set(err, ERR_NO_MEMORY, "event loop");
    }
    loop_begin(loop);
    return 0;
}

void loop_deinit(struct loop *loop)
{
    list_each(&loop->spare, exchange, struct http_exchange, link)
        exchange_free(exchange);
    free(loop->staging);
    free(loop->plain);
    buf_deinit(&loop->out);
    cond_deinit(&loop->event_over);
    mutex_deinit(&loop->lock);
}

bool loop_is_current(const struct loop *loop)
{
    uv_thread_t self = uv_thread_self();

    return uv_thread_equal(&self, &loop->thread);
}

void loop_begin(struct loop *loop)
{
    loop->now = clock_now(loop->clock);
}

void loop_post(struct loop *loop, struct http_exchange *exchange)
{
    if (exchange->mailed || loop->dead)
        return;
    exchange->mailed = true;
    exchange->mail_next = NULL;
    if (loop->mail_last)
        loop->mail_last->mail_next = exchange;
    else
        loop->mail_first = exchange;
    loop->mail_last = exchange;
    if (!loop->woken && loop->wake) {
        loop->woken = true;
        loop->wake(loop);
    }
}

static struct http_exchange *next_mail(struct loop *loop)
{
    LOCKED(&loop->lock);
    struct http_exchange *exchange = loop->mail_first;

    loop->woken = false;
    if (!exchange)
        return NULL;
    loop->mail_first = exchange->mail_next;
    if (!loop->mail_first)
        loop->mail_last = NULL;
    exchange->mailed = false;
    return exchange;
}

static void take_mail(struct loop *loop)
{
    struct http_exchange *exchange;

    while ((exchange = next_mail(loop)))
        exchange_take_mail(exchange);
}

static void flush_round(struct loop *loop)
{
    struct list round;

    list_init(&round);
    while (!list_empty(&loop->dirty)) {
        struct list *item = loop->dirty.next;
        list_remove(item);
        list_append(&round, item);
    }
    while (!list_empty(&round)) {
        struct conn *conn = list_first(&round, struct conn, dirty);
        list_remove(&conn->dirty);
        if (conn_flush(conn))
            conn_dirty(conn);
    }
}

static void recycle_done(struct loop *loop)
{
    struct http_exchange *exchange;

    while ((exchange = list_first(&loop->done, struct http_exchange, link))) {
        list_remove(&exchange->link);
        exchange_recycle(exchange);
        if (loop->spare_count >= MAX_SPARE) {
            exchange_free(exchange);
            continue;
        }
        list_prepend(&loop->spare, &exchange->link);
        loop->spare_count++;
    }
}

/* A few rounds, so that a reader who is as fast as its writer cannot keep the loop from all others: what is left
 * then waits for the next turn. */
void loop_end(struct loop *loop)
{
    take_mail(loop);
    for (int i = 0; i < FLUSH_ROUNDS && !list_empty(&loop->dirty); i++)
        flush_round(loop);
    recycle_done(loop);
    if (!list_empty(&loop->dirty) && loop->wake) {
        LOCKED(&loop->lock);
        loop->woken = true;
        loop->wake(loop);
    }
}

void loop_tick(struct loop *loop)
{
    list_each(&loop->conns, conn, struct conn, link)
        conn_tick(conn);
    list_each(&loop->warm, conn, struct conn, warm) {
        if (loop->now - conn->warm_at < WARM_TIME)
            break;
        conn_cool(conn);
    }
}

/* Among those that were silent longest, one that never showed who it is goes first. */
bool loop_make_room(struct loop *loop)
{
    struct conn *chosen = NULL;
    int looked = 0;

    list_each(&loop->conns, conn, struct conn, link) {
        if (looked++ == MAX_LOOKED || (chosen && str_empty(chosen->peer->identity.common_name)))
            break;
        if (!conn->failed && conn_is_idle(conn) && (!chosen || str_empty(conn->peer->identity.common_name)))
            chosen = conn;
    }
    if (chosen)
        conn_fail(chosen);
    return chosen != NULL;
}

void loop_stop(struct loop *loop)
{
    loop->stopping = true;
    list_each(&loop->conns, conn, struct conn, link) {
        if (conn->proto)
            conn->proto->shutdown(conn);
        else
            conn_fail(conn);
    }
}

void loop_kill(struct loop *loop)
{
    list_each(&loop->conns, conn, struct conn, link)
        conn_fail(conn);
}

bool loop_is_empty(const struct loop *loop)
{
    return list_empty(&loop->conns) && loop->open_count == 0;
}

struct str loop_date(struct loop *loop)
{
    struct tm tm;

    if (loop->date_at < 0 || loop->now - loop->date_at > DATE_REFRESH) {
        time_t seconds = (time_t)(clock_wall(loop->clock) / NSEC_PER_SEC);
        if (!gmtime_r(&seconds, &tm) || strftime(loop->date, sizeof loop->date, "%a, %d %b %Y %H:%M:%S GMT", &tm) == 0)
            return STR("Thu, 01 Jan 1970 00:00:00 GMT");
        loop->date_at = loop->now;
    }
    return str_from(loop->date);
}
