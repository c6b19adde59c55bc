/* Tunnels to a server of ours on real sockets: an echo over an upgraded connection, refusals, ends of every kind. */
#include "net/tunnel.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/sync.h"
#include "net/http_server.h"

#define LARGE (8u << 20)

struct fixture {
    struct arena *arena;
    struct tls_context *tls;
    struct http_server *server;
    struct tunnels *tunnels;
};

/* -- the server: /echo gives back what it gets, /hold keeps quiet, /drop breaks off, all else refuses -- */

static void on_data(void *ctx, struct str bytes, bool end)
{
    struct http_exchange *exchange = ctx;

    http_reply_write(exchange, &(struct http_part){ bytes, NULL }, 1);
    if (end)
        http_reply_end(exchange);
    else if (str_is(bytes, "drop"))
        http_exchange_abort(exchange);
    else if (str_is(bytes, "bye"))
        http_reply_end(exchange);
}

static void on_closed(void *ctx)
{
    http_exchange_abort(ctx);
}

static void on_released(void *ctx)
{
}

static void handle(void *ctx, struct http_exchange *exchange)
{
    const struct http_stream_events events = { exchange, NULL, on_closed, on_data, on_released };

    http_reply_header(exchange, "X-Stream-Protocol-Version", STR("one"));
    if (!str_is(http_exchange_request(exchange)->path, "/echo") ||
        !http_exchange_upgrade(exchange, STR("echo"), &events))
        http_reply(exchange, 404, "text/plain", STR("no such thing"));
}

/* -- the client -- */

struct client {
    struct mutex lock;
    struct cond changed;
    struct tunnel *tunnel;
    struct buf got, words;
    int status, drained, closed;
    bool has_header, failed;
};

static void on_head(void *ctx, int status, const struct http_header *headers, size_t count)
{
    struct client *client = ctx;
    LOCKED(&client->lock);

    client->status = status;
    for (size_t i = 0; i < count; i++)
        if (str_is(headers[i].name, "x-stream-protocol-version") && str_is(headers[i].value, "one"))
            client->has_header = true;
    cond_broadcast(&client->changed);
}

static void on_bytes(void *ctx, struct str bytes)
{
    struct client *client = ctx;
    LOCKED(&client->lock);

    buf_add_str(&client->got, bytes);
    cond_broadcast(&client->changed);
}

static void on_drained(void *ctx)
{
    struct client *client = ctx;
    LOCKED(&client->lock);

    client->drained++;
    cond_broadcast(&client->changed);
}

static void on_end(void *ctx, const struct err *err)
{
    struct client *client = ctx;
    LOCKED(&client->lock);

    client->closed++;
    client->failed = err != NULL;
    if (err)
        buf_add_cstr(&client->words, err->message);
    cond_broadcast(&client->changed);
}

static void client_open(struct fixture *fixture, struct client *client, const char *path)
{
    const struct tunnel_events events = { client, on_head, on_bytes, on_drained, on_end };
    char head[256];

    memset(client, 0, sizeof *client);
    mutex_init(&client->lock);
    cond_init(&client->changed);
    snprintf(head, sizeof head, "GET %s HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n", path);
    assert_int_equal(tunnel_open(fixture->tunnels, STR("127.0.0.1"), http_server_port(fixture->server), str_from(head),
                                 &events, &client->tunnel, NULL), 0);
}

static void client_done(struct client *client)
{
    tunnel_unref(client->tunnel);
    buf_deinit(&client->got);
    buf_deinit(&client->words);
    cond_deinit(&client->changed);
    mutex_deinit(&client->lock);
}

#define WAIT_FOR(client, condition)                                                                                    \
    do {                                                                                                               \
        LOCKED(&(client)->lock);                                                                                       \
        while (!(condition))                                                                                           \
            cond_wait(&(client)->changed, &(client)->lock);                                                            \
    } while (0)

/* -- the tests -- */

static void test_echo(void **state)
{
    struct client client;

    client_open(*state, &client, "/echo");
    tunnel_write(client.tunnel, STR("early")); /* before there is an answer */
    WAIT_FOR(&client, client.got.len == 5);
    assert_int_equal(client.status, 101);
    assert_true(client.has_header);
    assert_true(str_is(buf_str(&client.got), "early"));
    tunnel_write(client.tunnel, STR("bye"));
    WAIT_FOR(&client, client.closed);
    assert_false(client.failed);
    assert_true(str_is(buf_str(&client.got), "earlybye"));
    tunnel_write(client.tunnel, STR("late")); /* harmless */
    tunnel_close(client.tunnel);
    client_done(&client);
}

/* More than either side queues; a reader that pauses loses nothing. */
static void test_large(void **state)
{
    char *block = malloc(LARGE);
    struct client client;

    for (size_t i = 0; i < LARGE; i++)
        block[i] = (char)(i * 2654435761u >> 24);
    client_open(*state, &client, "/echo");
    tunnel_pause(client.tunnel, true);
    assert_true(tunnel_write(client.tunnel, str_of(block, LARGE)) > TUNNEL_QUEUE_HIGH);
    tunnel_pause(client.tunnel, false);
    WAIT_FOR(&client, client.got.len >= LARGE);
    assert_int_equal(client.got.len, LARGE);
    assert_memory_equal(client.got.data, block, LARGE);
    assert_int_equal(client.drained, 1);
    tunnel_close(client.tunnel);
    WAIT_FOR(&client, client.closed);
    assert_false(client.failed);
    client_done(&client);
    free(block);
}

static void test_refused(void **state)
{
    struct client client;

    client_open(*state, &client, "/other");
    WAIT_FOR(&client, client.got.len == 13);
    assert_int_equal(client.status, 404);
    assert_true(str_is(buf_str(&client.got), "no such thing"));
    tunnel_close(client.tunnel);
    WAIT_FOR(&client, client.closed);
    client_done(&client);
}

static void test_broken_off(void **state)
{
    struct client client;

    client_open(*state, &client, "/echo");
    tunnel_write(client.tunnel, STR("drop"));
    WAIT_FOR(&client, client.closed);
    assert_true(client.failed);
    assert_int_equal(client.closed, 1);
    client_done(&client);
}

static void test_bad_targets(void **state)
{
    struct fixture *fixture = *state;
    const struct tunnel_events events = { NULL, on_head, on_bytes, on_drained, on_end };
    struct tunnel *tunnel = NULL;

    assert_true(tunnel_open(fixture->tunnels, STR("localhost"), 1, STR(""), &events, &tunnel, NULL) < 0);
    assert_true(tunnel_open(fixture->tunnels, STR(""), 1, STR(""), &events, &tunnel, NULL) < 0);
    assert_null(tunnel);
}

/* Those open when all ends are told. */
static void test_stop(void **state)
{
    struct fixture *fixture = *state;
    struct client clients[5];

    for (size_t i = 0; i < ARRAY_LEN(clients); i++)
        client_open(fixture, &clients[i], "/echo");
    WAIT_FOR(&clients[4], clients[4].status);
    struct tunnel *kept[ARRAY_LEN(clients)];

    for (size_t i = 0; i < ARRAY_LEN(clients); i++)
        kept[i] = TAKE(clients[i].tunnel);
    fixture->tunnels = tunnels_free(fixture->tunnels);
    for (size_t i = 0; i < ARRAY_LEN(clients); i++) {
        assert_int_equal(clients[i].closed, 1);
        assert_true(clients[i].failed);
        tunnel_unref(kept[i]);
        client_done(&clients[i]);
    }
}

static int set_up(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    const struct str ip = STR("127.0.0.1");
    struct tls_pair ca, cert, client;

    fixture->arena = arena_new(0);
    assert_int_equal(tls_make_ca(fixture->arena, STR("authority"), 10, &ca, NULL), 0);
    assert_int_equal(tls_make_cert(fixture->arena, &ca,
                                   &(struct tls_subject){ .common_name = STR("server"), .ip_addresses = &ip,
                                                          .ip_address_count = 1, .server = true, .days = 1 },
                                   &cert, NULL), 0);
    assert_int_equal(tls_make_cert(fixture->arena, &ca,
                                   &(struct tls_subject){ .common_name = STR("client"), .client = true, .days = 1 },
                                   &client, NULL), 0);
    assert_int_equal(tls_server_new(&(struct tls_server_config){ cert.cert_pem, cert.key_pem, ca.cert_pem },
                                    &fixture->tls, NULL), 0);
    assert_int_equal(http_server_start(&(struct http_server_options){ .address = "127.0.0.1", .tls = fixture->tls,
                                                                      .handler = { NULL, NULL, handle } },
                                       &fixture->server, NULL), 0);
    assert_int_equal(tunnels_new(&(struct tunnels_options){ ca.cert_pem, client.cert_pem, client.key_pem, 0 },
                                 &fixture->tunnels, NULL), 0);
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;

    http_server_stop(fixture->server);
    tunnels_free(fixture->tunnels);
    tls_context_free(fixture->tls);
    arena_free(fixture->arena);
    free(fixture);
    return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_echo),       TEST(test_large),       TEST(test_refused),
        TEST(test_broken_off), TEST(test_bad_targets), TEST(test_stop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
