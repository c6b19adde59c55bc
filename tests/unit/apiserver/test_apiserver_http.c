/* The pipeline behind a real HTTP server and thread pool: writes through the group commit, lists and watches as
 * streams, relayed logs. Waits are for events, never for time. */
#include "fixture.h"

#include <zlib.h>

#include "api/core_v1.h"
#include "base/buf.h"
#include "base/sync.h"
#include "codec/pb_wire.h"
#include "schema/protobuf.h"

#define NODES "/api/v1/nodes"

struct cluster {
    char path[64];
    struct arena *arena;
    struct executor *executor;
    struct store *store;
    struct apiserver *server;
    struct http_server *http, *agent;
    struct http_client *client, *to_agents;
    struct node_sessions *sessions;
    struct tls_context *tls;
    int port;
};

/* Without TLS everybody is anonymous: this handler stands between and says who it is. */
static struct http_handler inner;

static void say_who(void *ctx, struct http_exchange *exchange)
{
    static const struct str groups[] = { STR_INIT("system:masters") };
    static const struct tls_identity admin = { STR_INIT("admin"), groups, 1 };
    struct http_request *request = (struct http_request *)http_exchange_request(exchange);

    request->peer = &admin;
    inner.handle(inner.ctx, exchange);
}

static enum http_body_mode how(void *ctx, const struct http_request *head)
{
    return inner.route(inner.ctx, head);
}

static void cluster_init(struct cluster *c)
{
    struct err err = { 0 };

    memset(c, 0, sizeof *c);
    snprintf(c->path, sizeof c->path, "/tmp/caravel-apiserver-XXXXXX");
    assert_non_null(mkdtemp(c->path));
    c->arena = arena_new(0);
    assert_int_equal(executor_pool_new(clock_real(), "test", 4, &c->executor, &err), 0);
    assert_int_equal(
        store_open(&(struct store_options){ .path = c->path, .clock = clock_real(), .map_size = 256u << 20 }, &c->store,
                   &err),
        0);
    assert_int_equal(http_client_new(&(struct http_client_options){ .insecure = true }, &c->to_agents, &err), 0);
    assert_int_equal(node_sessions_new(clock_real(), &c->sessions, &err), 0);
    assert_int_equal(apiserver_new(&(struct apiserver_options){ .store = c->store,
                                                                .sessions = c->sessions,
                                                                .executor = c->executor,
                                                                .clock = clock_real(),
                                                                .rng = rng_system(),
                                                                .http_client = c->to_agents },
                                   &c->server, &err),
                     0);
    if (apiserver_bootstrap(c->server, STR("192.0.2.1"), 6443, &err) < 0)
        fail_msg("%s", err.message);
    inner = apiserver_handler(c->server);
    assert_int_equal(
        http_server_start(&(struct http_server_options){ .address = "127.0.0.1", .handler = { NULL, how, say_who } },
                          &c->http, &err),
        0);
    c->port = http_server_port(c->http);
    assert_int_equal(http_client_new(&(struct http_client_options){ 0 }, &c->client, &err), 0);
}

static void cluster_deinit(struct cluster *c)
{
    http_client_free(c->client);
    http_server_stop(c->http);
    http_server_stop(c->agent);
    tls_context_free(c->tls);
    apiserver_free(c->server);
    http_client_free(c->to_agents);
    store_close(c->store);
    executor_free(c->executor);
    node_sessions_free(c->sessions);
    file_remove_tree(c->path, NULL);
    arena_free(c->arena);
}

static struct http_client_response call(struct cluster *c, const char *method, const char *target, const char *body)
{
    struct http_header json = { STR("content-type"), STR("application/json") };
    struct http_client_request request = { .method = method,
                                           .headers = &json,
                                           .header_count = 1,
                                           .url = arena_printf(c->arena, "http://127.0.0.1:%d%s", c->port, target) };
    struct http_client_response response = { 0 };
    struct err err = { 0 };

    if (body)
        request.body = quoted(c->arena, body);
    if (http_client_do(c->client, &request, c->arena, &response, &err) < 0)
        fail_msg("%s %s: %s", method, target, err.message);
    return response;
}

static struct json *parsed(struct cluster *c, struct http_client_response response)
{
    struct json *json = NULL;
    struct err err = { 0 };

    if (json_parse(c->arena, response.body, NULL, &json, &err) < 0)
        fail_msg("%s: " STR_FMT, err.message, STR_ARG(response.body));
    return json;
}

static void test_write_and_read(void **state)
{
    struct http_client_response r;
    struct cluster c;

    cluster_init(&c);
    r = call(&c, "POST", PODS, POD("p"));
    assert_int_equal(r.status, 201);
    r = call(&c, "POST", PODS, POD("p"));
    assert_int_equal(r.status, 409);
    r = call(&c, "GET", PODS "/p", NULL);
    assert_int_equal(r.status, 200);
    assert_true(str_is(json_str_at(parsed(&c, r), "metadata.name"), "p"));
    r = call(&c, "POST", PODS, "{'metadata':{'name':'q'},'spec':{'foo':1,'containers':[{'name':'c','image':'i'}]}}");
    assert_int_equal(r.status, 201);
    bool warned = false;
    for (size_t i = 0; i < r.header_count; i++)
        warned = warned || (str_is(r.headers[i].name, "warning") &&
                            str_is(r.headers[i].value, "299 - \"unknown field \\\"spec.foo\\\"\""));
    assert_true(warned);
    r = call(&c, "DELETE", PODS "/p", NULL);
    assert_int_equal(r.status, 200);
    r = call(&c, "GET", PODS "/p", NULL);
    assert_int_equal(r.status, 404);
    cluster_deinit(&c);
}

/* A node's stream: each line is noted and answered; it ends when the node is no more, and a node that is not there is told. */
static void test_heartbeats(void **state)
{
    static const struct resource nodes = { .group = STR_INIT("caravel.io"), .version = STR_INIT("v1"),
                                           .plural = STR_INIT("nodes"), .kind = STR_INIT("Node") };
    const struct client_call beat = { .resource = &nodes, .name = STR_INIT("n1"), .subresource = STR_INIT("heartbeat") };
    struct node_session session;
    struct client_talk *talk;
    struct client *client;
    struct err err = { 0 };
    struct cluster c;

    cluster_init(&c);
    struct client_config config = { .server = arena_printf(c.arena, "http://127.0.0.1:%d", c.port) };
    assert_int_equal(client_http_new(&config, &client, &err), 0);
    assert_int_equal(client->ops->talk(client, &beat, &talk, &err), 0);
    assert_int_equal(talk->say(talk, STR("{}"), 60 * NSEC_PER_SEC, &err), -ERR_NOT_FOUND);
    talk->free(talk);
    assert_int_equal(node_sessions_count(c.sessions), 0);

    assert_int_equal(call(&c, "POST", NODES, "{'metadata':{'name':'n1'}}").status, 201);
    assert_int_equal(client->ops->talk(client, &beat, &talk, &err), 0);
    for (uint64_t i = 1; i <= 3; i++) {
        struct str line = arena_printf(c.arena, "{\"applied\":%llu}", (unsigned long long)i);

        assert_int_equal(talk->say(talk, line, 60 * NSEC_PER_SEC, &err), 0);
        assert_true(node_sessions_get(c.sessions, STR("n1"), &session));
        assert_int_equal(session.applied, i);
    }
    assert_int_equal(call(&c, "DELETE", NODES "/n1", NULL).status, 200);
    node_sessions_forget(c.sessions, STR("n1")); /* as the node controller does */
    assert_int_equal(talk->say(talk, STR("{}"), 60 * NSEC_PER_SEC, &err), -ERR_NOT_FOUND);
    talk->free(talk);
    assert_int_equal(node_sessions_count(c.sessions), 0);

    assert_int_equal(call(&c, "POST", NODES, "{'metadata':{'name':'n1'}}").status, 201);
    assert_int_equal(client->ops->talk(client, &beat, &talk, &err), 0);
    assert_int_equal(talk->say(talk, STR("not json"), 60 * NSEC_PER_SEC, &err), -ERR_BAD_REQUEST);
    talk->free(talk);
    struct http_client_response r = call(&c, "POST", "/apis/caravel.io/v1/nodes/n1/heartbeat", "{'applied':9}");
    assert_int_equal(r.status, 200);
    assert_true(str_is(r.body, "{}\n"));
    assert_true(node_sessions_get(c.sessions, STR("n1"), &session));
    assert_int_equal(session.applied, 9);
    /* One that is open when the server stops. */
    assert_int_equal(client->ops->talk(client, &beat, &talk, &err), 0);
    assert_int_equal(talk->say(talk, STR(""), 60 * NSEC_PER_SEC, &err), 0);
    c.http = http_server_stop(c.http);
    assert_true(talk->say(talk, STR(""), 60 * NSEC_PER_SEC, &err) < 0);
    talk->free(talk);
    client_free(client);
    cluster_deinit(&c);
}

static void test_large_list(void **state)
{
    enum { COUNT = 600 };
    struct http_client_response r;
    struct client *client;
    struct err err = { 0 };
    struct cluster c;

    cluster_init(&c);
    assert_int_equal(apiserver_local_client(c.server, STR("t"), &client, &err), 0);
    char *big = arena_alloc(c.arena, 2001);
    memset(big, 'x', 2000);
    for (int i = 0; i < COUNT; i++) {
        struct client_call create = { .verb = CLIENT_CREATE,
                                      .resource = &RESOURCE_CONFIGMAPS,
                                      .ns = STR_INIT("default") };

        create.body = arena_printf(c.arena, "{\"metadata\":{\"name\":\"m%04d\"},\"data\":{\"k\":\"%s\"}}", i, big);
        assert_int_equal(client->ops->call(client, &create, NULL, NULL, NULL, NULL, &err), 0);
    }
    r = call(&c, "GET", "/api/v1/configmaps", NULL);
    assert_int_equal(r.status, 200);
    struct json *list = parsed(&c, r);
    assert_int_equal(json_member(list, "items")->count, COUNT);
    assert_true(str_is(json_str_at(&json_member(list, "items")->items[COUNT - 1], "metadata.name"), "m0599"));
    r = call(&c, "GET", "/api/v1/configmaps?resourceVersion=1&resourceVersionMatch=Exact", NULL);
    assert_int_equal(json_member(parsed(&c, r), "items")->count, 0);
    client_free(client);
    cluster_deinit(&c);
}

static struct http_client_response get(struct cluster *c, const char *target, const char *accept, const char *encoding)
{
    struct http_header headers[] = { { STR("accept"), str_from(accept) },
                                     { STR("accept-encoding"), str_from(encoding) } };
    struct http_client_request request = { .method = "GET",
                                           .headers = headers,
                                           .header_count = 2,
                                           .url = arena_printf(c->arena, "http://127.0.0.1:%d%s", c->port, target) };
    struct http_client_response response = { 0 };
    struct err err = { 0 };

    if (http_client_do(c->client, &request, c->arena, &response, &err) < 0)
        fail_msg("%s: %s", target, err.message);
    assert_int_equal(response.status, 200);
    return response;
}

static bool is_gzip(struct http_client_response r)
{
    for (size_t i = 0; i < r.header_count; i++)
        if (str_is(r.headers[i].name, "content-encoding"))
            return str_is(r.headers[i].value, "gzip");
    return false;
}

static struct str unpacked(struct cluster *c, struct http_client_response r)
{
    size_t room = 64u << 20;
    char *out = arena_alloc(c->arena, room);
    z_stream z = { .next_in = (Bytef *)r.body.data, .avail_in = (uInt)r.body.len, .next_out = (Bytef *)out };

    z.avail_out = (uInt)room;
    assert_int_equal(inflateInit2(&z, 15 + 16), Z_OK);
    assert_int_equal(inflate(&z, Z_FINISH), Z_STREAM_END);
    assert_int_equal(z.avail_in, 0);
    inflateEnd(&z);
    return str_of(out, room - z.avail_out);
}

/* More than a protobuf list holds back while it counts, packed and not; and what is too short to be packed. */
static void test_long_answers(void **state)
{
    enum { COUNT = 8, SIZE = 800 << 10 };
    static const char protobuf[] = "application/vnd.kubernetes.protobuf";
    struct http_client_response plain, packed;
    struct json *list = NULL;
    struct cluster c;

    cluster_init(&c);
    char *big = arena_alloc(c.arena, SIZE + 1);
    memset(big, 'x', SIZE);
    for (int i = 0; i < COUNT; i++) {
        struct str body = arena_printf(c.arena, "{'metadata':{'name':'m%d'},'data':{'k':'%s'}}", i, big);

        assert_int_equal(call(&c, "POST", "/api/v1/namespaces/default/configmaps", body.data).status, 201);
    }
    plain = get(&c, "/api/v1/configmaps", protobuf, "identity");
    assert_false(is_gzip(plain));
    assert_int_equal(protobuf_decode(c.arena, &TYPE_CONFIG_MAP_LIST, plain.body, &list, NULL), 0);
    assert_int_equal(json_member(list, "items")->count, COUNT);
    for (int i = 0; i < COUNT; i++)
        assert_int_equal(json_str_at(&json_member(list, "items")->items[i], "data.k").len, SIZE);
    packed = get(&c, "/api/v1/configmaps", protobuf, "gzip");
    assert_true(is_gzip(packed));
    assert_true(str_eq(unpacked(&c, packed), plain.body));
    plain = get(&c, "/api/v1/configmaps", "application/json", "identity");
    packed = get(&c, "/api/v1/configmaps", "application/json", "deflate, gzip");
    assert_true(is_gzip(packed));
    assert_true(str_eq(unpacked(&c, packed), plain.body));
    plain = get(&c, "/api/v1/namespaces/default/configmaps/m1", "application/yaml", "identity");
    packed = get(&c, "/api/v1/namespaces/default/configmaps/m1", "application/yaml", "gzip");
    assert_true(is_gzip(packed));
    assert_true(str_eq(unpacked(&c, packed), plain.body));
    assert_false(is_gzip(get(&c, "/api/v1/namespaces", "application/json", "gzip")));
    cluster_deinit(&c);
}

/* -- a watch: lines counted as they come -- */

struct lines {
    struct mutex lock;
    struct cond changed;
    struct buf text;
    int count, status;
    bool done;
    const char *accept; /* protobuf: frames are counted, not lines */
};

static void on_head(void *ctx, const struct http_client_response *head)
{
    ((struct lines *)ctx)->status = head->status;
}

/* The first frame off *rest: a length in four bytes, then a WatchEvent. False: it is not all there. */
static bool next_frame(struct str *rest, struct str *ret_frame)
{
    const uint8_t *p = (const uint8_t *)rest->data;
    size_t len;

    if (rest->len < 4)
        return false;
    len = (size_t)p[0] << 24 | (size_t)p[1] << 16 | (size_t)p[2] << 8 | p[3];
    if (rest->len < 4 + len)
        return false;
    *ret_frame = str_first(str_skip(*rest, 4), len);
    *rest = str_skip(*rest, 4 + len);
    return true;
}

static int count_frames(struct str text)
{
    struct str frame;
    int count = 0;

    while (next_frame(&text, &frame))
        count++;
    return count;
}

static bool on_data(void *ctx, struct str bytes)
{
    struct lines *lines = ctx;
    LOCKED(&lines->lock);

    buf_add_str(&lines->text, bytes);
    if (lines->accept)
        lines->count = count_frames(buf_str(&lines->text));
    for (size_t i = 0; !lines->accept && i < bytes.len; i++)
        lines->count += bytes.data[i] == '\n';
    cond_broadcast(&lines->changed);
    return true;
}

static void on_done(void *ctx, int code, const struct err *err)
{
    struct lines *lines = ctx;
    LOCKED(&lines->lock);

    lines->done = true;
    cond_broadcast(&lines->changed);
}

static void lines_start_as(struct cluster *c, struct lines *lines, const char *accept, const char *target,
                           struct http_call **ret_call)
{
    struct http_header header = { STR("accept"), str_from(accept) };
    struct http_client_request request = { .method = "GET",
                                           .headers = &header,
                                           .header_count = accept != NULL,
                                           .url = arena_printf(c->arena, "http://127.0.0.1:%d%s", c->port, target) };
    struct http_call_events events = { lines, on_head, on_data, on_done };
    struct err err = { 0 };

    memset(lines, 0, sizeof *lines);
    lines->accept = accept;
    mutex_init(&lines->lock);
    cond_init(&lines->changed);
    assert_int_equal(http_call_start(c->client, &request, &events, ret_call, &err), 0);
}

static void lines_start(struct cluster *c, struct lines *lines, const char *target, struct http_call **ret_call)
{
    lines_start_as(c, lines, NULL, target, ret_call);
}

static void lines_wait(struct lines *lines, int count)
{
    LOCKED(&lines->lock);

    while (lines->count < count && !lines->done)
        cond_wait(&lines->changed, &lines->lock);
    assert_true(lines->count >= count);
}

static void lines_wait_done(struct lines *lines)
{
    LOCKED(&lines->lock);

    while (!lines->done)
        cond_wait(&lines->changed, &lines->lock);
}

static void lines_stop(struct lines *lines, struct http_call *watch)
{
    http_call_free(watch);
    buf_deinit(&lines->text);
    cond_deinit(&lines->changed);
    mutex_deinit(&lines->lock);
}

static bool says(struct cluster *c, struct lines *lines, const char *text)
{
    return str_find(buf_str(&lines->text), quoted(c->arena, text)) >= 0;
}

static void test_watch_stream(void **state)
{
    struct http_call *watch;
    struct lines lines;
    struct cluster c;

    cluster_init(&c);
    call(&c, "POST", PODS, POD("a"));
    lines_start(&c, &lines, PODS "?watch=true", &watch);
    lines_wait(&lines, 1);
    assert_true(says(&c, &lines, "{'type':'ADDED','object':{'apiVersion':'v1','kind':'Pod','metadata':{"));
    call(&c, "POST", PODS, POD("b"));
    lines_wait(&lines, 2);
    call(&c, "DELETE", PODS "/a", NULL);
    lines_wait(&lines, 3);
    assert_true(says(&c, &lines, "{'type':'DELETED','object':{"));
    lines_stop(&lines, watch);
    cluster_deinit(&c);
}

/* A frame's event: its type, and the object in its envelope. */
static void assert_frame(struct cluster *c, struct str frame, const char *want_type, const char *want_name)
{
    struct pb_field type, raw, object;
    const char *why = "";
    struct json *pod;

    assert_int_equal(pb_next(&frame, &type, &why), 1);
    assert_int_equal(pb_next(&frame, &raw, &why), 1);
    assert_int_equal(pb_next(&frame, &object, &why), 0);
    assert_int_equal(pb_next(&raw.bytes, &object, &why), 1);
    assert_true(type.number == 1 && raw.number == 2 && object.number == 1);
    assert_true(str_is(type.bytes, want_type));
    assert_int_equal(protobuf_decode(c->arena, &TYPE_POD, object.bytes, &pod, NULL), 0);
    assert_true(str_is(json_str_at(pod, "kind"), "Pod"));
    assert_true(str_is(json_str_at(pod, "metadata.name"), want_name));
}

static void test_watch_protobuf(void **state)
{
    static const char accept[] = "application/vnd.kubernetes.protobuf;stream=watch,application/json";
    static const char *const types[] = { "ADDED", "ADDED", "DELETED" }, *const names[] = { "a", "b", "a" };
    struct http_call *watches[2];
    struct lines lines[2];
    struct cluster c;

    cluster_init(&c);
    call(&c, "POST", PODS, POD("a"));
    for (int i = 0; i < 2; i++) {
        lines_start_as(&c, &lines[i], accept, PODS "?watch=true", &watches[i]);
        lines_wait(&lines[i], 1);
    }
    call(&c, "POST", PODS, POD("b"));
    call(&c, "DELETE", PODS "/a", NULL);
    for (int i = 0; i < 2; i++) {
        struct str text, frame;

        lines_wait(&lines[i], 3);
        text = buf_str(&lines[i].text);
        for (size_t k = 0; k < ARRAY_LEN(types); k++) {
            assert_true(next_frame(&text, &frame));
            assert_frame(&c, frame, types[k], names[k]);
        }
        lines_stop(&lines[i], watches[i]);
    }
    cluster_deinit(&c);
}

/* Two watchers of each form, of which the second gets what was made for the first. */
static void test_watch_forms(void **state)
{
    static const char hpas[] = "/apis/autoscaling/v1/namespaces/default/horizontalpodautoscalers?watch=true";
    static const char events[] = "/apis/events.k8s.io/v1/namespaces/default/events?watch=true";
    static const struct {
        const char *target, *accept, *says;
    } forms[] = {
        { hpas, "application/json", "{'type':'ADDED','object':{'apiVersion':'autoscaling/v1',"
                                    "'kind':'HorizontalPodAutoscaler','metadata':{" },
        { hpas, "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1",
          "{'type':'ADDED','object':{'kind':'PartialObjectMetadata','apiVersion':'meta.k8s.io/v1','metadata':{" },
        { "/apis/autoscaling/v2/namespaces/default/horizontalpodautoscalers?watch=true",
          "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1beta1",
          "{'type':'ADDED','object':{'kind':'PartialObjectMetadata','apiVersion':'meta.k8s.io/v1beta1','metadata':{" },
        { "/apis/autoscaling/v2/namespaces/default/horizontalpodautoscalers?watch=true",
          "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1",
          "{'type':'ADDED','object':{'kind':'PartialObjectMetadata','apiVersion':'meta.k8s.io/v1','metadata':{" },
        { "/apis/autoscaling/v2/namespaces/default/horizontalpodautoscalers?watch=true", "application/json",
          "{'type':'ADDED','object':{'apiVersion':'autoscaling/v2','kind':'HorizontalPodAutoscaler','metadata':{" },
        { events, "application/json", "{'type':'ADDED','object':{'apiVersion':'events.k8s.io/v1'," },
    };
    struct http_call *watches[2 * ARRAY_LEN(forms)];
    struct lines lines[2 * ARRAY_LEN(forms)];
    struct cluster c;

    cluster_init(&c);
    for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
        lines_start_as(&c, &lines[i], forms[i / 2].accept, forms[i / 2].target, &watches[i]);
        lines[i].accept = NULL;
    }
    call(&c, "POST", "/apis/autoscaling/v1/namespaces/default/horizontalpodautoscalers",
         "{'metadata':{'name':'h'},'spec':{'maxReplicas':3,'targetCPUUtilizationPercentage':50,"
         "'scaleTargetRef':{'apiVersion':'apps/v1','kind':'Deployment','name':'d'}}}");
    call(&c, "POST", "/api/v1/namespaces/default/events",
         "{'metadata':{'name':'e'},'involvedObject':{'kind':'Pod','namespace':'default','name':'a'},'reason':'R',"
         "'type':'Normal'}");
    for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
        lines_wait(&lines[i], 1);
        if (!says(&c, &lines[i], forms[i / 2].says))
            fail_msg("%s, %s", forms[i / 2].target, forms[i / 2].accept);
        lines_stop(&lines[i], watches[i]);
    }
    cluster_deinit(&c);
}

/* What lets the watchers of another version share a form: there is one such version. */
static void test_two_versions(void **state)
{
    for (size_t i = 0; i < api_resource_count; i++) {
        size_t others = 0;

        for (size_t j = 0; j < api_resource_count; j++)
            others += api_resources[j]->served && api_resources[j] != api_resources[j]->storage &&
                      api_resources[j]->storage == api_resources[i]->storage;
        assert_true(others <= 1);
    }
}

static void test_watch_kinds(void **state)
{
    static const struct {
        const char *target;
        int count;
        const char *says;
    } cases[] = {
        { PODS "?watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true", 2,
          "{'type':'BOOKMARK','object':{'kind':'Pod','apiVersion':'v1','metadata':{'annotations':{'k8s.io/"
          "initial-events-end':'true'},'resourceVersion':'" },
        { "/api/v1/watch/namespaces/default/pods", 1, "'ADDED'" },
        { "/api/v1/watch/namespaces/default/pods/a", 1, "'ADDED'" },
        { PODS "?watch=true&fieldSelector=metadata.name%3Da&resourceVersion=0", 1, "'name':'a'" },
        { "/api/v1/pods?watch=true&timeoutSeconds=100", 1, "'ADDED'" },
    };
    struct http_call *watch;
    struct lines lines;
    struct cluster c;

    cluster_init(&c);
    call(&c, "POST", PODS, POD("a"));
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        lines_start(&c, &lines, cases[i].target, &watch);
        lines_wait(&lines, cases[i].count);
        assert_true(says(&c, &lines, cases[i].says));
        lines_stop(&lines, watch);
    }
    cluster_deinit(&c);
}

static void test_watch_expired(void **state)
{
    struct http_call *watch;
    struct lines lines;
    struct cluster c;
    struct err err = { 0 };

    cluster_init(&c);
    call(&c, "POST", PODS, POD("a"));
    call(&c, "DELETE", PODS "/a", NULL);
    assert_int_equal(store_compact(c.store, store_revision(c.store), &err), 0);
    lines_start(&c, &lines, PODS "?watch=true&resourceVersion=1", &watch);
    lines_wait_done(&lines);
    assert_int_equal(lines.status, 200);
    assert_true(says(&c, &lines, "{'type':'ERROR','object':{'kind':'Status'"));
    assert_true(says(&c, &lines, "'reason':'Expired'"));
    assert_true(says(&c, &lines, "'code':410"));
    lines_stop(&lines, watch);
    cluster_deinit(&c);
}

/* A watch open when the server stops ends. */
static void test_stop_with_watch(void **state)
{
    struct http_call *watch;
    struct lines lines;
    struct cluster c;

    cluster_init(&c);
    lines_start(&c, &lines, "/api/v1/namespaces?watch=true", &watch);
    lines_wait(&lines, 4);
    c.http = http_server_stop(c.http);
    lines_wait_done(&lines);
    lines_stop(&lines, watch);
    cluster_deinit(&c);
}

/* -- logs: an agent of ours -- */

static void agent_handle(void *ctx, struct http_exchange *exchange)
{
    const struct http_request *request = http_exchange_request(exchange);
    struct str answer =
        arena_printf(http_exchange_arena(exchange), "agent got " STR_FMT "\n", STR_ARG(request->target));

    if (str_find(request->target, STR("previous")) >= 0)
        http_reply(exchange, 404, "text/plain", STR("no previous container\n"));
    else
        http_reply(exchange, 200, "text/plain", answer);
}

static void start_agent(struct cluster *c)
{
    struct tls_pair ca, pair;
    struct str ip = STR("127.0.0.1");
    struct err err = { 0 };

    assert_int_equal(tls_make_ca(c->arena, STR("ca"), 1, &ca, &err), 0);
    assert_int_equal(
        tls_make_cert(
            c->arena, &ca,
            &(struct tls_subject){
                .common_name = STR("n1"), .ip_addresses = &ip, .ip_address_count = 1, .server = true, .days = 1 },
            &pair, &err),
        0);
    assert_int_equal(
        tls_server_new(&(struct tls_server_config){ pair.cert_pem, pair.key_pem, STR_NULL }, &c->tls, &err), 0);
    assert_int_equal(http_server_start(&(struct http_server_options){ .address = "127.0.0.1",
                                                                      .tls = c->tls,
                                                                      .loops = 1,
                                                                      .handler = { NULL, NULL, agent_handle } },
                                       &c->agent, &err),
                     0);
}

static void test_logs(void **state)
{
    struct http_client_response r;
    struct cluster c;
    struct str node;

    cluster_init(&c);
    start_agent(&c);
    node = arena_printf(c.arena,
                        "{'metadata':{'name':'n1'},'status':{'addresses':[{'type':'InternalIP','address':'127.0.0.1'}],"
                        "'daemonEndpoints':{'kubeletEndpoint':{'Port':%d}}}}",
                        http_server_port(c.agent));
    r = call(&c, "POST", NODES, node.data);
    assert_int_equal(r.status, 201);
    /* What nodes report of themselves goes through status. */
    r = call(&c, "PUT", NODES "/n1/status", node.data);
    assert_int_equal(r.status, 200);
    call(&c, "POST", PODS, POD_ON("p", "n1"));
    call(&c, "POST", PODS,
         "{'metadata':{'name':'two'},'spec':{'nodeName':'n1','containers':[{'name':'a','image':'i'},{'name':'b','image'"
         ":'i'}]}}");
    call(&c, "POST", PODS, POD("waiting"));
    r = call(&c, "GET", PODS "/p/log?tailLines=5&follow=true", NULL);
    assert_int_equal(r.status, 200);
    assert_true(str_is(r.body, "agent got /containerLogs/default/p/c?follow=true&tailLines=5\n"));
    r = call(&c, "GET", PODS "/two/log", NULL);
    assert_int_equal(r.status, 400);
    assert_true(str_is(json_str_at(parsed(&c, r), "message"),
                       "a container name must be specified for pod two, choose one of: [a b]"));
    r = call(&c, "GET", PODS "/two/log?container=b", NULL);
    assert_true(str_is(r.body, "agent got /containerLogs/default/two/b\n"));
    r = call(&c, "GET", PODS "/two/log?container=z", NULL);
    assert_true(str_is(json_str_at(parsed(&c, r), "message"), "container z is not valid for pod two"));
    r = call(&c, "GET", PODS "/p/log?previous=true", NULL);
    assert_int_equal(r.status, 404);
    assert_true(str_is(json_str_at(parsed(&c, r), "message"), "no previous container"));
    r = call(&c, "GET", PODS "/waiting/log", NULL);
    assert_int_equal(r.status, 200);
    assert_int_equal(r.body.len, 0);
    c.agent = http_server_stop(c.agent);
    r = call(&c, "GET", PODS "/p/log", NULL);
    assert_int_equal(r.status, 500);
    assert_true(str_is(json_str_at(parsed(&c, r), "reason"), "InternalError"));
    cluster_deinit(&c);
}

/* -- many at once -- */

struct racer {
    struct cluster *cluster;
    struct client *client;
    struct thread thread;
    int number;
};

#define RACERS 4
#define ROUNDS 25

/* Blind patches of one object: each is retried until it fits, none is lost. */
static void race_patches(void *arg)
{
    struct racer *racer = arg;
    struct err err = { 0 };

    for (int i = 0; i < ROUNDS; i++) {
        char patch[64];

        snprintf(patch, sizeof patch, "{\"data\":{\"k%d-%d\":\"x\"}}", racer->number, i);
        int code;
        do
            code = client_patch(racer->client, &RESOURCE_CONFIGMAPS, STR("default"), STR("shared"), STR_NULL,
                                PATCH_MERGE, str_from(patch), STR("race"), 0, NULL, &err);
        while (code == -ERR_CONFLICT);
        if (code < 0)
            fail_msg("%s", err.message);
    }
}

/* Services that want an address and a port each: no two get the same. */
static void race_services(void *arg)
{
    struct racer *racer = arg;
    struct err err = { 0 };

    for (int i = 0; i < ROUNDS; i++) {
        struct client_call create = { .verb = CLIENT_CREATE,
                                      .resource = &RESOURCE_SERVICES,
                                      .ns = STR_INIT("default") };
        char body[160];

        snprintf(body, sizeof body,
                 "{\"metadata\":{\"name\":\"s%d-%d\"},\"spec\":{\"type\":\"NodePort\",\"ports\":[{\"port\":80}]}}",
                 racer->number, i);
        create.body = str_from(body);
        if (racer->client->ops->call(racer->client, &create, NULL, NULL, NULL, NULL, &err) < 0)
            fail_msg("%s", err.message);
    }
}

static void race(struct cluster *c, void (*fn)(void *arg))
{
    struct racer racers[RACERS] = { 0 };
    struct client *client;
    struct err err = { 0 };

    assert_int_equal(apiserver_local_client(c->server, STR("racer"), &client, &err), 0);
    for (int i = 0; i < RACERS; i++) {
        racers[i] = (struct racer){ .cluster = c, .client = client, .number = i };
        assert_int_equal(thread_start(&racers[i].thread, "racer", fn, &racers[i], &err), 0);
    }
    for (int i = 0; i < RACERS; i++)
        thread_join(&racers[i].thread);
    client_free(client);
}

static void test_races(void **state)
{
    struct json *list, *items;
    struct cluster c;

    cluster_init(&c);
    call(&c, "POST", "/api/v1/namespaces/default/configmaps", "{'metadata':{'name':'shared'},'data':{}}");
    race(&c, race_patches);
    list = parsed(&c, call(&c, "GET", "/api/v1/namespaces/default/configmaps/shared", NULL));
    assert_int_equal(json_member(list, "data")->count, RACERS * ROUNDS);
    race(&c, race_services);
    list = parsed(&c, call(&c, "GET", "/api/v1/services?fieldSelector=spec.type%3DNodePort", NULL));
    items = json_member(list, "items");
    assert_int_equal(items->count, RACERS * ROUNDS);
    for (uint32_t i = 0; i < items->count; i++)
        for (uint32_t j = 0; j < i; j++) {
            struct json *a = &items->items[i], *b = &items->items[j];

            assert_false(str_eq(json_str_at(a, "spec.clusterIP"), json_str_at(b, "spec.clusterIP")));
            assert_int_not_equal(json_int(json_member(&json_at(a, "spec.ports")->items[0], "nodePort"), 0),
                                 json_int(json_member(&json_at(b, "spec.ports")->items[0], "nodePort"), 0));
        }
    cluster_deinit(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_write_and_read), cmocka_unit_test(test_large_list), cmocka_unit_test(test_heartbeats),
        cmocka_unit_test(test_long_answers),   cmocka_unit_test(test_watch_stream),
        cmocka_unit_test(test_watch_kinds), cmocka_unit_test(test_watch_forms), cmocka_unit_test(test_two_versions),   cmocka_unit_test(test_watch_protobuf),
        cmocka_unit_test(test_watch_expired),  cmocka_unit_test(test_stop_with_watch),
        cmocka_unit_test(test_logs),           cmocka_unit_test(test_races),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
