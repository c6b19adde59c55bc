/* The server on real sockets: threads, TLS with our own client, replies from elsewhere, stopping. */
#include "net/http_server.h"

#include <setjmp.h>
#include <stdarg.h>
#include <arpa/inet.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/executor.h"
#include "base/list.h"
#include "base/sync.h"
#include "net/http_client.h"

#define MAX_WATCHES 64

struct fixture {
    struct arena *arena;
    struct tls_pair ca, admin;
    struct tls_context *tls;
    struct http_server *server;
    struct executor *executor;
    char base[64];

    struct mutex lock;
    struct cond changed;
    struct watch *watches[MAX_WATCHES];
    size_t watch_count, closed, released, drained;
};

/* A stream that stays open. */
struct watch {
    struct fixture *fixture;
    struct http_exchange *exchange;
    bool gone, keep_on_close, endless;
    size_t uploaded;
};

static void on_closed(void *ctx)
{
    struct watch *watch = ctx;
    struct fixture *fixture = watch->fixture;

    {
        LOCKED(&fixture->lock);
        fixture->closed++;
        watch->gone = true;
        cond_broadcast(&fixture->changed);
    }
    if (!watch->keep_on_close)
        http_reply_end(watch->exchange);
}

static void on_drained(void *ctx)
{
    struct fixture *fixture = ((struct watch *)ctx)->fixture;

    LOCKED(&fixture->lock);
    fixture->drained++;
    cond_broadcast(&fixture->changed);
}

static void on_data(void *ctx, struct str bytes, bool end)
{
    struct watch *watch = ctx;

    watch->uploaded += bytes.len;
    if (!end)
        return;
    http_reply(watch->exchange, 200, "text/plain",
               arena_printf(http_exchange_arena(watch->exchange), "%zu", watch->uploaded));
}

static void on_released(void *ctx)
{
    struct watch *watch = ctx;
    struct fixture *fixture = watch->fixture;

    {
        LOCKED(&fixture->lock);
        fixture->released++;
        cond_broadcast(&fixture->changed);
    }
    free(watch);
}

static struct watch *open_watch(struct fixture *fixture, struct http_exchange *exchange)
{
    struct watch *watch = calloc(1, sizeof *watch);

    watch->fixture = fixture;
    watch->exchange = exchange;
    http_exchange_events(exchange, &(struct http_stream_events){ watch, on_drained, on_closed, on_data, on_released });
    return watch;
}

static void reply_later(void *arg)
{
    struct http_exchange *exchange = arg;
    const struct http_request *request = http_exchange_request(exchange);

    http_reply_header(exchange, "X-Peer", request->peer->common_name);
    http_reply(exchange, 200, "text/plain",
               arena_printf(http_exchange_arena(exchange), STR_FMT " " STR_FMT " " STR_FMT, STR_ARG(request->path),
                            STR_ARG(request->peer->common_name),
                            STR_ARG(request->peer->organization_count ? request->peer->organizations[0] : STR("-"))));
}

/* Writes far more than the client reads at once, waiting for drained() in between. */
static void stream_much(void *arg)
{
    struct watch *watch = arg;
    struct fixture *fixture = watch->fixture;
    struct blob *blob = blob_new(64 << 10);
    const struct http_part part = { blob_str(blob), blob };

    memset(blob->data, 's', blob->len);
    http_reply_begin(watch->exchange, 200, "text/plain");
    for (int i = 0; i < 256 || watch->endless; i++) {
        size_t drained;
        {
            LOCKED(&fixture->lock);
            drained = fixture->drained;
            if (watch->gone)
                break;
        }
        if (http_reply_write(watch->exchange, &part, 1) <= HTTP_QUEUE_HIGH)
            continue;
        LOCKED(&fixture->lock);
        while (fixture->drained == drained && !watch->gone)
            cond_wait(&fixture->changed, &fixture->lock);
    }
    blob_unref(blob);
    http_reply_end(watch->exchange);
}

static void handle(void *ctx, struct http_exchange *exchange)
{
    struct fixture *fixture = ctx;
    const struct http_request *request = http_exchange_request(exchange);

    if (str_is(request->path, "/watch")) {
        struct watch *watch = open_watch(fixture, exchange);
        http_reply_begin(exchange, 200, "application/json");
        LOCKED(&fixture->lock);
        assert_true(fixture->watch_count < MAX_WATCHES);
        fixture->watches[fixture->watch_count++] = watch;
        cond_broadcast(&fixture->changed);
    } else if (str_is(request->path, "/much") || str_is(request->path, "/endless")) {
        struct watch *watch = open_watch(fixture, exchange);
        watch->keep_on_close = true;
        watch->endless = str_is(request->path, "/endless");
        assert_int_equal(executor_post(fixture->executor, stream_much, watch, NULL), 0);
    } else if (str_is(request->path, "/upload")) {
        open_watch(fixture, exchange);
    } else if (str_is(request->path, "/echo")) {
        http_reply(exchange, 200, NULL, request->body);
    } else if (str_is(request->path, "/redirect")) {
        http_reply_header(exchange, "Location", STR("/later/redirected"));
        http_reply(exchange, 307, NULL, STR("elsewhere"));
    } else if (str_has_prefix(request->path, STR("/later"))) {
        assert_int_equal(executor_post(fixture->executor, reply_later, exchange, NULL), 0);
    } else {
        http_reply(exchange, 404, NULL, STR("nothing here"));
    }
}

static enum http_body_mode route(void *ctx, const struct http_request *head)
{
    return str_is(head->path, "/upload") ? HTTP_BODY_STREAM : HTTP_BODY_COLLECT;
}

static void make_tls(struct fixture *fixture)
{
    const struct str ip = STR("127.0.0.1"), masters = STR("system:masters");
    struct tls_pair server;
    struct err err;

    assert_int_equal(tls_make_ca(fixture->arena, STR("ca"), 1, &fixture->ca, &err), 0);
    assert_int_equal(tls_make_cert(fixture->arena, &fixture->ca,
                                   &(struct tls_subject){ .common_name = STR("server"), .ip_addresses = &ip,
                                                          .ip_address_count = 1, .server = true, .days = 1 },
                                   &server, &err), 0);
    assert_int_equal(tls_make_cert(fixture->arena, &fixture->ca,
                                   &(struct tls_subject){ .common_name = STR("admin"), .organizations = &masters,
                                                          .organization_count = 1, .client = true, .days = 1 },
                                   &fixture->admin, &err), 0);
    const struct tls_server_config config = { server.cert_pem, server.key_pem, fixture->ca.cert_pem };
    assert_int_equal(tls_server_new(&config, &fixture->tls, &err), 0);
}

static struct fixture *fixture_new(bool tls)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    struct err err;

    mutex_init(&fixture->lock);
    cond_init(&fixture->changed);
    fixture->arena = arena_new(0);
    if (tls)
        make_tls(fixture);
    assert_int_equal(executor_pool_new(clock_real(), "test", 4, &fixture->executor, &err), 0);
    assert_int_equal(http_server_start(&(struct http_server_options){ .address = "127.0.0.1", .tls = fixture->tls,
                                                                      .handler = { fixture, route, handle } },
                                       &fixture->server, &err), 0);
    snprintf(fixture->base, sizeof fixture->base, "%s://127.0.0.1:%d", tls ? "https" : "http",
             http_server_port(fixture->server));
    return fixture;
}

static void fixture_free(struct fixture *fixture)
{
    http_server_stop(fixture->server);
    executor_free(fixture->executor);
    tls_context_free(fixture->tls);
    arena_free(fixture->arena);
    cond_deinit(&fixture->changed);
    mutex_deinit(&fixture->lock);
    free(fixture);
}

static struct http_client *make_client(struct fixture *fixture, bool admin)
{
    struct http_client *client;
    struct http_client_options options = { .ca_pem = fixture->ca.cert_pem };

    if (admin) {
        options.cert_pem = fixture->admin.cert_pem;
        options.key_pem = fixture->admin.key_pem;
    }
    assert_int_equal(http_client_new(&options, &client, NULL), 0);
    return client;
}

static struct http_client_request make_request(struct fixture *fixture, const char *method, const char *path)
{
    return (struct http_client_request){ .method = method,
                                         .url = arena_printf(fixture->arena, "%s%s", fixture->base, path) };
}

/* -- whole answers -- */

static void test_requests(void **state)
{
    static const struct {
        const char *method, *path, *body, *want;
        int status;
        bool admin, follow;
    } cases[] = {
        { "GET", "/later/a", NULL, "/later/a  -", 200, false, false },
        { "GET", "/later/b", NULL, "/later/b admin system:masters", 200, true, false },
        { "DELETE", "/later/c", NULL, "/later/c  -", 200, false, false },
        { "POST", "/echo", "hello", "hello", 200, false, false },
        { "PATCH", "/echo", "{}", "{}", 200, true, false },
        { "PUT", "/echo", "", "", 200, false, false },
        { "POST", "/echo", NULL, "", 200, false, false },
        { "POST", "/upload", "12345", "5", 200, false, false },
        { "HEAD", "/echo", NULL, "", 200, false, false },
        { "GET", "/x", NULL, "nothing here", 404, false, false },
        { "GET", "/redirect", NULL, "elsewhere", 307, false, false },
        { "GET", "/redirect", NULL, "/later/redirected  -", 200, false, true },
    };

    for (int tls = 0; tls < 2; tls++) {
        struct fixture *fixture = fixture_new(tls);
        struct http_client *anonymous = make_client(fixture, false), *admin = tls ? make_client(fixture, true) : NULL;
        for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
            struct http_client_request request = make_request(fixture, cases[i].method, cases[i].path);
            struct http_client_response response;
            struct err err;
            if (cases[i].admin && !tls)
                continue;
            request.body = str_from(cases[i].body);
            request.follow_redirects = cases[i].follow;
            if (http_client_do(cases[i].admin ? admin : anonymous, &request, fixture->arena, &response, &err) < 0)
                fail_msg("%s %s: %s", cases[i].method, cases[i].path, err.message);
            assert_int_equal(response.status, cases[i].status);
            assert_true(str_is(response.body, cases[i].want));
            assert_true(response.header_count > 0);
            assert_true(str_is(response.headers[0].name, "date"));
        }
        http_client_free(anonymous);
        http_client_free(admin);
        fixture_free(fixture);
    }
}

static void test_client_errors(void **state)
{
    struct fixture *fixture = fixture_new(true);
    struct http_client *client = make_client(fixture, false), *stranger;
    struct http_client_response response;
    struct http_client_request request;
    struct err err;

    request = make_request(fixture, "POST", "/echo");
    request.body = STR("too much");
    request.max_body = 3;
    assert_int_equal(http_client_do(client, &request, fixture->arena, &response, &err), -ERR_TOO_LARGE);
    request.max_body = 8;
    assert_int_equal(http_client_do(client, &request, fixture->arena, &response, &err), 0);

    request = make_request(fixture, "GET", "/watch");
    request.timeout = 20 * NSEC_PER_MSEC;
    assert_int_equal(http_client_do(client, &request, fixture->arena, &response, &err), -ERR_TIMEOUT);
    assert_non_null(strstr(err.message, "/watch"));

    request = (struct http_client_request){ .method = "GET", .url = STR("http://127.0.0.1:1/") };
    assert_int_equal(http_client_do(client, &request, fixture->arena, &response, &err), -ERR_UNAVAILABLE);
    request.url = STR("file:///etc/passwd");
    assert_int_equal(http_client_do(client, &request, fixture->arena, &response, &err), -ERR_INVALID);
    request.url = STR("http://a/\r\nX: y");
    assert_int_equal(http_client_do(client, &request, fixture->arena, &response, &err), -ERR_INVALID);
    const struct http_header forged = { STR("X"), STR("a\r\nY: b") };
    request = make_request(fixture, "GET", "/later");
    request.headers = &forged;
    request.header_count = 1;
    assert_int_equal(http_client_do(client, &request, fixture->arena, &response, &err), -ERR_INVALID);

    assert_int_equal(http_client_new(&(struct http_client_options){ 0 }, &stranger, &err), 0);
    request = make_request(fixture, "GET", "/later");
    assert_true(http_client_do(stranger, &request, fixture->arena, &response, &err) < 0); /* an unknown authority */
    http_client_free(stranger);
    http_client_free(client);
    fixture_free(fixture);
}

/* -- streamed answers -- */

struct reader {
    struct mutex lock;
    struct cond changed;
    struct http_call *call;
    size_t received, pause_at;
    int status, code;
    bool paused, done;
};

static void reader_head(void *ctx, const struct http_client_response *head)
{
    struct reader *reader = ctx;

    LOCKED(&reader->lock);
    reader->status = head->status;
    cond_broadcast(&reader->changed);
}

static bool reader_data(void *ctx, struct str bytes)
{
    struct reader *reader = ctx;

    LOCKED(&reader->lock);
    cond_broadcast(&reader->changed);
    if (reader->pause_at && reader->received >= reader->pause_at) {
        reader->pause_at = 0;
        reader->paused = true;
        return false;
    }
    reader->received += bytes.len;
    return true;
}

static void reader_done(void *ctx, int code, const struct err *err)
{
    struct reader *reader = ctx;

    LOCKED(&reader->lock);
    reader->code = code;
    reader->done = true;
    cond_broadcast(&reader->changed);
}

static void reader_start(struct reader *reader, struct http_client *client, const struct http_client_request *request,
                         size_t pause_at)
{
    memset(reader, 0, sizeof *reader);
    reader->pause_at = pause_at;
    mutex_init(&reader->lock);
    cond_init(&reader->changed);
    assert_int_equal(http_call_start(client, request,
                                     &(struct http_call_events){ reader, reader_head, reader_data, reader_done },
                                     &reader->call, NULL), 0);
}

static void reader_deinit(struct reader *reader)
{
    http_call_free(reader->call);
    cond_deinit(&reader->changed);
    mutex_deinit(&reader->lock);
}

#define WAIT_FOR(thing, condition)                                                                                     \
    do {                                                                                                               \
        LOCKED(&(thing)->lock);                                                                                        \
        while (!(condition))                                                                                           \
            cond_wait(&(thing)->changed, &(thing)->lock);                                                              \
    } while (0)

/* Sixteen megabytes through a reader that pauses once; backpressure reaches the handler on another thread. */
static void test_streaming(void **state)
{
    for (int tls = 0; tls < 2; tls++) {
        struct fixture *fixture = fixture_new(tls);
        struct http_client *client = make_client(fixture, false);
        struct http_client_request request = make_request(fixture, "GET", "/much");
        struct reader reader;

        reader_start(&reader, client, &request, 100000);
        WAIT_FOR(&reader, reader.paused);
        http_call_resume(reader.call);
        WAIT_FOR(&reader, reader.done);
        assert_int_equal(reader.code, 0);
        assert_int_equal(reader.received, 256 * (64 << 10));
        reader_deinit(&reader);
        http_client_free(client);
        fixture_free(fixture);
    }
}

/* Broken off in the middle: the handler learns it and lets go. */
static void test_cancel(void **state)
{
    struct fixture *fixture = fixture_new(true);
    struct http_client *client = make_client(fixture, false);
    struct http_client_request endless = make_request(fixture, "GET", "/endless");
    struct http_client_request watch = make_request(fixture, "GET", "/watch");
    struct reader readers[2];

    reader_start(&readers[0], client, &endless, 1);
    reader_start(&readers[1], client, &watch, 0);
    WAIT_FOR(&readers[0], readers[0].paused);
    WAIT_FOR(&readers[1], readers[1].status == 200);
    reader_deinit(&readers[0]);
    reader_deinit(&readers[1]);
    WAIT_FOR(fixture, fixture->closed == 2 && fixture->released == 2);
    http_client_free(client);
    fixture_free(fixture);
}

/* Events written from this thread reach all watches; freeing the client ends its calls. */
static void test_watches(void **state)
{
    struct fixture *fixture = fixture_new(true);
    struct http_client *client = make_client(fixture, true);
    struct http_client_request request = make_request(fixture, "GET", "/watch");
    struct reader readers[MAX_WATCHES];
    struct blob *event = blob_copy(STR("{\"type\":\"ADDED\"}\n"));
    const struct http_part part = { blob_str(event), event };

    for (size_t i = 0; i < MAX_WATCHES; i++)
        reader_start(&readers[i], client, &request, 0);
    WAIT_FOR(fixture, fixture->watch_count == MAX_WATCHES);
    for (int round = 0; round < 100; round++)
        for (size_t i = 0; i < MAX_WATCHES; i++)
            http_reply_write(fixture->watches[i]->exchange, &part, 1);
    for (size_t i = 0; i < MAX_WATCHES; i++)
        WAIT_FOR(&readers[i], readers[i].received == 100 * event->len);
    http_client_free(client);
    for (size_t i = 0; i < MAX_WATCHES; i++) {
        assert_true(readers[i].done);
        assert_int_equal(readers[i].code, -ERR_CANCELLED);
        reader_deinit(&readers[i]);
    }
    blob_unref(event);
    fixture_free(fixture);
}

/* Stopping ends streams; their clients see it. */
static void test_stop_while_streaming(void **state)
{
    for (int tls = 0; tls < 2; tls++) {
        struct fixture *fixture = fixture_new(tls);
        struct http_client *client = make_client(fixture, false);
        struct http_client_request request = make_request(fixture, "GET", "/watch");
        struct reader readers[8];

        for (size_t i = 0; i < ARRAY_LEN(readers); i++)
            reader_start(&readers[i], client, &request, 0);
        for (size_t i = 0; i < ARRAY_LEN(readers); i++)
            WAIT_FOR(&readers[i], readers[i].status == 200);
        fixture->server = http_server_stop(fixture->server);
        assert_int_equal(fixture->released, ARRAY_LEN(readers));
        for (size_t i = 0; i < ARRAY_LEN(readers); i++) {
            WAIT_FOR(&readers[i], readers[i].done);
            assert_int_equal(readers[i].code, 0);
            reader_deinit(&readers[i]);
        }
        http_client_free(client);
        fixture_free(fixture);
    }
}

/* -- plain sockets -- */

static int connect_to(int port)
{
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port),
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    return fd;
}

static size_t read_all(int fd, char *data, size_t size)
{
    size_t len = 0;
    ssize_t n;

    while (len < size && (n = read(fd, data + len, size - len)) > 0)
        len += (size_t)n;
    return len;
}

/* A refused body that is still being sent must not cost the client the refusal. */
static void test_refusal_arrives(void **state)
{
    struct fixture *fixture = fixture_new(false);
    int fd = connect_to(http_server_port(fixture->server));
    static char body[300000];
    char answer[1024];

    assert_true(write(fd, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999\r\n\r\n", 58) == 58);
    for (int i = 0; i < 2; i++)
        (void)!send(fd, body, sizeof body, MSG_NOSIGNAL | MSG_DONTWAIT);
    size_t n = read_all(fd, answer, sizeof answer);
    assert_true(n > 12 && memcmp(answer, "HTTP/1.1 413", 12) == 0);
    close(fd);
    fixture_free(fixture);
}

/* Beyond the limit the one that was silent longest makes room. */
static void test_connection_limit(void **state)
{
    struct http_server *server;
    struct fixture *fixture = fixture_new(false);
    static const char request[] = "GET /x HTTP/1.1\r\nHost: a\r\n\r\n";
    char byte;

    const struct http_server_options options = { .address = "127.0.0.1", .max_connections = 2, .loops = 1,
                                                 .handler = { fixture, route, handle } };

    assert_int_equal(http_server_start(&options, &server, NULL), 0);
    int first = connect_to(http_server_port(server)), second = connect_to(http_server_port(server));
    int third = connect_to(http_server_port(server));
    assert_int_equal(read_all(first, &byte, 1), 0);
    assert_true(write(second, request, sizeof request - 1) > 0);
    assert_int_equal(read_all(second, &byte, 1), 1);
    assert_true(write(third, request, sizeof request - 1) > 0);
    assert_int_equal(read_all(third, &byte, 1), 1);
    close(first);
    close(second);
    close(third);
    http_server_stop(server);
    fixture_free(fixture);
}

static void test_bad_listeners(void **state)
{
    struct fixture *fixture = fixture_new(false);
    const struct http_server_options bad[] = {
        { .address = "localhost", .handler = { fixture, route, handle } },
        { .address = "127.0.0.1", .port = 70000, .handler = { fixture, route, handle } },
        { .address = "127.0.0.1", .port = http_server_port(fixture->server), .handler = { fixture, route, handle } },
    };
    struct http_server *server;
    struct err err;

    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        assert_true(http_server_start(&bad[i], &server, &err) < 0);
        assert_true(strlen(err.message) > 0);
    }
    fixture_free(fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_requests),     cmocka_unit_test(test_client_errors),
        cmocka_unit_test(test_streaming),    cmocka_unit_test(test_cancel),
        cmocka_unit_test(test_watches),      cmocka_unit_test(test_stop_while_streaming),
        cmocka_unit_test(test_refusal_arrives), cmocka_unit_test(test_connection_limit),
        cmocka_unit_test(test_bad_listeners),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
