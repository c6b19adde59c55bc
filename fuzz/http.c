/* http.c - arbitrary bytes into the HTTP server's protocols, without sockets.
 *
 * The first byte says how large the pieces are in which the rest arrives, and whether the client waits, pauses or
 * leaves in between. What begins with the HTTP/2 preface runs through h2.c, all else through h1.c. */
#include "tests/unit/net/memory_conn.h"

#define MAX_KEPT 64

struct state {
    struct http_exchange *kept[MAX_KEPT];
    size_t count;
};

static void on_closed(void *ctx)
{
}

static void on_data(void *ctx, struct str bytes, bool end)
{
}

static enum http_body_mode route(void *ctx, const struct http_request *head)
{
    return head->path.len % 2 ? HTTP_BODY_STREAM : HTTP_BODY_COLLECT;
}

/* All ways to answer, chosen by what was asked for. */
static void handle(void *ctx, struct http_exchange *exchange)
{
    const struct http_request *request = http_exchange_request(exchange);
    struct http_params params;
    struct state *state = ctx;

    http_params_parse(http_exchange_arena(exchange), request->query, &params);
    http_exchange_events(exchange, &(struct http_stream_events){ NULL, NULL, on_closed, on_data, NULL });
    http_reply_header(exchange, "X-Echo", http_request_header(request, STR("x")));
    switch (request->path.len % 5) {
    case 0:
        http_reply(exchange, 200, "text/plain", request->body);
        return;
    case 1:
        http_reply_begin(exchange, 200, NULL);
        http_reply_write(exchange, &(struct http_part){ request->target, NULL }, 1);
        http_reply_end(exchange);
        return;
    case 2:
        http_reply_begin(exchange, 200, NULL);
        http_exchange_abort(exchange);
        return;
    default:
        if (state->count == MAX_KEPT)
            http_exchange_abort(exchange);
        else
            state->kept[state->count++] = exchange;
    }
}

static void end_kept(struct state *state, bool reply)
{
    for (size_t i = 0; i < state->count; i++) {
        if (reply)
            http_reply(state->kept[i], 404, NULL, STR("later"));
        else
            http_exchange_abort(state->kept[i]);
    }
    state->count = 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct memory_server server;
    struct memory_conn conn;
    struct state state = { .count = 0 };
    const struct http_server_options options = {
        .handler = { &state, route, handle },
        .max_body = 4096,
        .max_head = 4096,
        .max_streams = 32,
    };

    if (size < 1 || !memory_server_init(&server, &options))
        return 0;
    size_t step = data[0] % 64 ? data[0] % 64 * 8u : 1;
    bool slow = data[0] & 64, leaves = data[0] & 128;
    struct str in = str_of(data + 1, size - 1);
    if (!memory_conn_open(&server, &conn))
        abort();
    for (size_t at = 0; at < in.len; at += step) {
        memory_conn_feed(&conn, str_first(str_skip(in, at), step));
        if (slow) {
            conn.can_take = at % 3 ? 16 : 0;
            memory_conn_take(&conn, conn.can_take);
        }
        if (state.count > 3)
            end_kept(&state, true);
    }
    if (leaves)
        memory_conn_eof(&conn);
    else
        memory_server_pass(&server, 40 * NSEC_PER_SEC);
    end_kept(&state, !leaves);
    memory_server_turn(&server);
    memory_conn_done(&conn);
    end_kept(&state, false);
    memory_server_turn(&server);
    INVARIANT(loop_is_empty(&server.loop));
    memory_server_deinit(&server);
    return 0;
}
