#include "store/etcd/client.h"

#include <arpa/inet.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/sync.h"
#include "grpc_peer.h"
#include "store/etcd/endpoint.h"
#include "store/etcd/refusal.h"

/* A member on a loopback port: answers Status and Authenticate as it should, and Put as it is told to. */
enum manner { ANSWER, NO_LEADER, REFUSE, CUT, SILENT, LOST_LEADER, NO_SPACE, GARBAGE, LEARNER, OTHER_CLUSTER };

struct member {
    int listener, stop_fd[2];
    char port[8];
    enum manner manner;
    bool tokens; /* only "token-2" is good */
    struct thread thread;
    struct mutex lock;
    struct cond changed;
    size_t puts, logins; /* seen */
    struct peer peer;
};

static void answer_message(struct member *member, struct peer_request *request, const ProtobufCMessage *message)
{
    size_t size = protobuf_c_message_get_packed_size(message);
    uint8_t *bytes = malloc(size + 1);

    protobuf_c_message_pack(message, bytes);
    peer_answer(&member->peer, request, str_of(bytes, size), "0");
    free(bytes);
}

static void answer_status(struct member *member, struct peer_request *request)
{
    Etcd__StatusResponse answer = ETCD__STATUS_RESPONSE__INIT;
    Etcd__ResponseHeader header = ETCD__RESPONSE_HEADER__INIT;

    answer.header = &header;
    header.cluster_id = member->manner == OTHER_CLUSTER ? 8 : 7;
    answer.leader = member->manner == NO_LEADER ? 0 : 1;
    answer.islearner = member->manner == LEARNER;
    answer_message(member, request, &answer.base);
}

static void answer_login(struct member *member, struct peer_request *request)
{
    Etcd__AuthenticateResponse answer = ETCD__AUTHENTICATE_RESPONSE__INIT;

    answer.token = ++member->logins == 1 ? "token-1" : "token-2";
    answer_message(member, request, &answer.base);
}

/* False: the connection is to be cut. */
static bool answer_put(struct member *member, struct peer_request *request)
{
    Etcd__PutResponse answer = ETCD__PUT_RESPONSE__INIT;

    member->puts++;
    cond_broadcast(&member->changed);
    if (member->tokens && strcmp(request->token, "token-2") != 0) {
        peer_refuse(&member->peer, request, "16", "etcdserver: invalid auth token");
        return true;
    }
    switch (member->manner) {
    case REFUSE:
        nghttp2_submit_rst_stream(member->peer.session, NGHTTP2_FLAG_NONE, request->stream, NGHTTP2_REFUSED_STREAM);
        request->answered = true;
        return true;
    case CUT:
        return false;
    case SILENT:
        request->answered = true;
        return true;
    case LOST_LEADER:
        peer_refuse(&member->peer, request, "14", "etcdserver: no leader");
        return true;
    case NO_SPACE:
        peer_refuse(&member->peer, request, "8", "etcdserver: mvcc: database space exceeded");
        return true;
    case GARBAGE:
        peer_answer(&member->peer, request, STR("\xff\xff\xff\xff"), "0");
        return true;
    default:
        answer_message(member, request, &answer.base);
        return true;
    }
}

static bool answer_all(struct member *member)
{
    bool goes_on = true;

    LOCKED(&member->lock);
    for (size_t i = 0; i < member->peer.count && goes_on; i++) {
        struct peer_request *request = &member->peer.requests[i];
        if (!request->complete || request->answered)
            continue;
        if (strstr(request->path, "Status"))
            answer_status(member, request);
        else if (strstr(request->path, "Authenticate"))
            answer_login(member, request);
        else
            goes_on = answer_put(member, request);
    }
    return goes_on;
}

/* Fails when the member is to end. */
static bool readable(struct member *member, int fd)
{
    struct pollfd fds[] = { { fd, POLLIN, 0 }, { member->stop_fd[0], POLLIN, 0 } };

    while (poll(fds, 2, -1) < 0)
        ;
    return fds[1].revents == 0;
}

static void serve(struct member *member, int fd)
{
    struct buf out = BUF_INIT;
    char bytes[4096];
    ssize_t n;

    peer_init(&member->peer);
    while (readable(member, fd) && (n = recv(fd, bytes, sizeof bytes, 0)) > 0) {
        if (!peer_input(&member->peer, str_of(bytes, (size_t)n)) || !answer_all(member))
            break;
        peer_output(&member->peer, &out);
        if (out.len > 0 && send(fd, out.data, out.len, MSG_NOSIGNAL) < 0)
            break;
        buf_clear(&out);
    }
    peer_deinit(&member->peer);
    buf_deinit(&out);
    close(fd);
}

static void member_main(void *arg)
{
    struct member *member = arg;
    int fd;

    while (readable(member, member->listener) && (fd = accept(member->listener, NULL, NULL)) >= 0)
        serve(member, fd);
}

static void member_start(struct member *member, enum manner manner)
{
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t len = sizeof address;
    struct err err;

    *member = (struct member){ .manner = manner };
    mutex_init(&member->lock);
    cond_init(&member->changed);
    assert_int_equal(pipe(member->stop_fd), 0);
    member->listener = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(member->listener, (struct sockaddr *)&address, len), 0);
    assert_int_equal(listen(member->listener, 8), 0);
    assert_int_equal(getsockname(member->listener, (struct sockaddr *)&address, &len), 0);
    snprintf(member->port, sizeof member->port, "%d", ntohs(address.sin_port));
    assert_int_equal(thread_start(&member->thread, "member", member_main, member, &err), 0);
}

static void member_stop(struct member *member)
{
    assert_int_equal(write(member->stop_fd[1], "x", 1), 1);
    thread_join(&member->thread);
    close(member->listener);
    close(member->stop_fd[0]);
    close(member->stop_fd[1]);
    mutex_deinit(&member->lock);
    cond_deinit(&member->changed);
}

/* -- calls -- */

struct result {
    struct mutex lock;
    struct cond changed;
    bool over;
    int code;
    struct err err;
};

static void on_done(void *arg, int code, const struct err *err, const ProtobufCMessage *answer)
{
    struct result *result = arg;

    LOCKED(&result->lock);
    assert_false(result->over);
    result->over = true;
    result->code = code;
    if (code < 0)
        result->err = *err;
    else
        assert_ptr_equal(answer->descriptor, &etcd__put_response__descriptor);
    cond_signal(&result->changed);
}

static void start_put(struct etcd_client *client, struct result *result)
{
    Etcd__PutRequest request = ETCD__PUT_REQUEST__INIT;
    struct err err;

    *result = (struct result){ 0 };
    mutex_init(&result->lock);
    cond_init(&result->changed);
    request.key = (ProtobufCBinaryData){ 1, (uint8_t *)"k" };
    assert_int_equal(etcd_call(client, ETCD_PUT, &request.base, 2 * NSEC_PER_SEC, on_done, result, &err), 0);
}

static void wait_result(struct result *result)
{
    LOCKED(&result->lock);
    while (!result->over)
        cond_wait(&result->changed, &result->lock);
}

static struct etcd_client *client_for(struct virtual_clock *clock, const struct member *first,
                                      const struct member *second, const char *user)
{
    char endpoints[64];
    struct etcd_client *client;
    struct err err;

    snprintf(endpoints, sizeof endpoints, "127.0.0.1:%s,127.0.0.1:%s", first->port, (second ? second : first)->port);
    virtual_clock_init(clock, 0);
    const struct etcd_client_options options = {
        .endpoints = str_from(endpoints),
        .user = user ? str_from(user) : STR_NULL,
        .password = STR("word"),
        .clock = &clock->clock,
        .connect_timeout = 3600 * NSEC_PER_SEC, /* of a clock that stands still */
        .ping_interval = 3600 * NSEC_PER_SEC,
        .ping_timeout = 3600 * NSEC_PER_SEC,
    };
    assert_int_equal(etcd_client_new(&options, &client, &err), 0);
    return client;
}

/* A put by way of a first member that behaves so, with a second one that is well. */
static const struct trouble {
    const char *name;
    enum manner manner;
    int code;
    size_t puts_first, puts_second;
    const char *text;
} troubles[] = {
    { "well", ANSWER, 0, 1, 0, "" },
    { "no leader", NO_LEADER, 0, 0, 1, "" },
    { "a learner", LEARNER, 0, 0, 1, "" },
    { "not taken", REFUSE, 0, 1, 1, "" },
    { "cut", CUT, -ERR_TIMEOUT, 1, 0, "not known" },
    { "its leader is lost", LOST_LEADER, -ERR_TIMEOUT, 1, 0, "not known" },
    { "no space", NO_SPACE, -ERR_NO_SPACE, 1, 0, "space exceeded" },
    { "garbage", GARBAGE, -ERR_IO, 1, 0, "malformed" },
};

static void test_troubles(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(troubles); i++) {
        const struct trouble *trouble = &troubles[i];
        struct virtual_clock clock;
        struct member first, second;
        struct result result;
        member_start(&first, trouble->manner);
        member_start(&second, ANSWER);
        struct etcd_client *client = client_for(&clock, &first, &second, NULL);
        start_put(client, &result);
        wait_result(&result);
        if (result.code != trouble->code || first.puts != trouble->puts_first || second.puts != trouble->puts_second ||
            !strstr(result.err.message, trouble->text))
            fail_msg("%s: code %d (%s), puts %zu and %zu", trouble->name, result.code, result.err.message, first.puts,
                     second.puts);
        start_put(client, &result); /* and whatever it was, the client goes on */
        if (trouble->manner == CUT || trouble->manner == LOST_LEADER || trouble->manner == GARBAGE) {
            wait_result(&result);
            assert_int_equal(result.code, 0);
            assert_int_equal(second.puts, 1);
        }
        etcd_client_free(client);
        assert_true(result.over);
        member_stop(&first);
        member_stop(&second);
    }
}

/* The clock is moved until it is over. */
static void pass_time(struct virtual_clock *clock, struct result *result)
{
    LOCKED(&result->lock);
    while (!result->over) {
        virtual_clock_advance(clock, 100 * NSEC_PER_MSEC);
        cond_wait_for(&result->changed, &result->lock, 5 * NSEC_PER_MSEC);
    }
}

static void test_deadlines(void **state)
{
    struct virtual_clock clock;
    struct member silent, well, other = { .port = "1" }; /* nobody listens there */
    struct result result;

    member_start(&silent, SILENT);
    member_start(&well, ANSWER);
    struct etcd_client *client = client_for(&clock, &silent, &well, NULL);
    start_put(client, &result);
    mutex_lock(&silent.lock);
    while (silent.puts == 0)
        cond_wait(&silent.changed, &silent.lock);
    mutex_unlock(&silent.lock);
    pass_time(&clock, &result);
    assert_int_equal(result.code, -ERR_TIMEOUT);
    start_put(client, &result); /* the silent one was left */
    wait_result(&result);
    assert_int_equal(result.code, 0);
    assert_int_equal(well.puts, 1);
    etcd_client_free(client);
    member_stop(&silent);
    member_stop(&well);

    client = client_for(&clock, &other, NULL, NULL);
    start_put(client, &result);
    pass_time(&clock, &result);
    assert_int_equal(result.code, -ERR_UNAVAILABLE);
    assert_non_null(strstr(result.err.message, "127.0.0.1:1: connecting: Connection refused"));
    assert_int_equal(etcd_client_check(client, &result.err), -ERR_UNAVAILABLE);
    etcd_client_free(client);
}

static void test_login(void **state)
{
    struct virtual_clock clock;
    struct member member;
    struct result result;

    member_start(&member, ANSWER);
    member.tokens = true;
    struct etcd_client *client = client_for(&clock, &member, NULL, "root");
    start_put(client, &result);
    wait_result(&result);
    assert_int_equal(result.code, 0); /* the first token was refused; nobody heard of it */
    assert_int_equal(member.puts, 2);
    assert_int_equal(member.logins, 2);
    etcd_client_free(client);
    member_stop(&member);
}

static void test_another_cluster(void **state)
{
    struct virtual_clock clock;
    struct member first, second;
    struct result result;

    member_start(&first, CUT);
    member_start(&second, OTHER_CLUSTER);
    struct etcd_client *client = client_for(&clock, &first, &second, NULL);
    start_put(client, &result);
    wait_result(&result);
    assert_int_equal(result.code, -ERR_TIMEOUT);
    start_put(client, &result);
    pass_time(&clock, &result);
    assert_int_equal(second.puts, 0);
    etcd_client_free(client);
    member_stop(&first);
    member_stop(&second);
}

/* -- parts -- */

static const struct endpoint_case {
    const char *text, *want; /* NULL: refused */
} endpoint_cases[] = {
    { "h1", "h1:2379;" },
    { "h1:1, h2 ,[::1]:3", "h1:1;h2:2379;[::1]:3;" },
    { "[fd00::1]", "[fd00::1]:2379;" },
    { "", NULL },
    { "h1,,h2", NULL },
    { "h1:0", NULL },
    { "h1:65536", NULL },
    { "h1:x", NULL },
    { "http://h1", NULL },
    { "a@b", NULL },
    { "[::1", NULL },
    { "[::1]x", NULL },
    { "::1", NULL },
    { "1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17", NULL },
};

static void test_endpoints(void **state)
{
    struct etcd_endpoint endpoints[ETCD_ENDPOINTS_MAX];

    for (size_t i = 0; i < ARRAY_LEN(endpoint_cases); i++) {
        const struct endpoint_case *c = &endpoint_cases[i];
        struct buf got = BUF_INIT;
        size_t count = 0;
        int code = etcd_endpoints_parse(str_from(c->text), endpoints, &count, NULL);
        for (size_t j = 0; j < count; j++)
            buf_printf(&got, "%s;", endpoints[j].text);
        if (code != (c->want ? 0 : -ERR_INVALID) || !str_eq(buf_str(&got), str_from(c->want ? c->want : "")))
            fail_msg("\"%s\": %d, \"" STR_FMT "\"", c->text, code, STR_ARG(buf_str(&got)));
        buf_deinit(&got);
    }
}

static void test_prefix_end(void **state)
{
    char end[8];

    assert_true(str_eq(etcd_prefix_end(STR("/a"), end), STR("/b")));
    assert_true(str_eq(etcd_prefix_end(STR("a\xff\xff"), end), STR("b")));
    assert_true(str_eq(etcd_prefix_end(STR("\xff"), end), STR("\0")));
    assert_true(str_eq(etcd_prefix_end(STR(""), end), STR("\0")));
}

static const struct options_case {
    struct etcd_client_options options;
    const char *text;
} options_cases[] = {
    { { .endpoints = STR_INIT("h:x") }, "h:x" },
    { { .endpoints = STR_INIT("h"), .ca_pem = STR_INIT("nonsense") }, "certificate authority" },
    { { .endpoints = STR_INIT("h"), .cert_pem = STR_INIT("nonsense") }, "certificate authority" },
};

static void test_options(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(options_cases); i++) {
        struct etcd_client *client;
        struct err err = { 0 };
        assert_int_equal(etcd_client_new(&options_cases[i].options, &client, &err), -ERR_INVALID);
        assert_int_equal(err.code, ERR_INVALID);
        assert_non_null(strstr(err.message, options_cases[i].text));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_troubles),   cmocka_unit_test(test_deadlines), cmocka_unit_test(test_login),
        cmocka_unit_test(test_another_cluster), cmocka_unit_test(test_endpoints), cmocka_unit_test(test_prefix_end),
        cmocka_unit_test(test_options),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
