/* The history as the API tells it: what has happened, in which order, by whom and why. */
#include "fixture.h"

#define CHANGES "/apis/caravel.io/v1/changes"
#define CONFIG "/api/v1/namespaces/default/configmaps"

static void put(struct fixture *f, const char *name, const char *value)
{
    char target[256], body[256];

    snprintf(target, sizeof target, CONFIG "/%s", name);
    snprintf(body, sizeof body, "{'metadata':{'name':'%s'},'data':{'v':'%s'}}", name, value);
    if (send(f, "PUT", target, body).status == 404)
        must(f, 201, "POST", CONFIG, body);
}

static unsigned long long now(const struct fixture *f)
{
    return store_revision(f->store);
}

static char symbol(const struct json *change)
{
    struct str type = json_str_at(change, "type");

    return str_is(type, "ADDED") ? '+' : str_is(type, "MODIFIED") ? '*' : str_is(type, "DELETED") ? '-' : '?';
}

/* "+configmaps/a=1 *configmaps/a=2 " */
static void add_told(struct buf *text, const struct answer *a)
{
    const struct json *items = json_member(a->json, "items");

    for (uint32_t i = 0; items && i < items->count; i++) {
        const struct json *change = &items->items[i];

        buf_printf(text, "%c" STR_FMT "/" STR_FMT "=" STR_FMT " ", symbol(change),
                   STR_ARG(json_str_at(change, "resource")), STR_ARG(json_str_at(change, "name")),
                   STR_ARG(json_str_at(change, "object.data.v")));
    }
}

static const char *told(struct fixture *f, struct answer a)
{
    AUTO_DEINIT(buf, text) = BUF_INIT;

    add_told(&text, &a);
    return arena_cstr(f->arena, buf_str(&text));
}

static struct answer ask(struct fixture *f, int status, const char *fmt, ...) PRINTF(3, 4);
static struct answer ask(struct fixture *f, int status, const char *fmt, ...)
{
    char target[1024] = CHANGES "?";
    size_t len = strlen(target);
    va_list args;

    va_start(args, fmt);
    vsnprintf(target + len, sizeof target - len, fmt, args);
    va_end(args);
    return must(f, status, "GET", target, NULL);
}

static int64_t number(const struct json *change, const char *name)
{
    return json_int(json_at(change, name), -1);
}

static void test_one_object(void **state)
{
    struct fixture f;
    struct answer a;

    fixture_init(&f);
    put(&f, "a", "1");
    unsigned long long first = now(&f);
    put(&f, "b", "1");
    virtual_clock_advance(&f.clock, 10 * NSEC_PER_SEC);
    put(&f, "a", "2");
    must(&f, 200, "DELETE", CONFIG "/a", NULL);

    a = ask(&f, 200, "object=" CONFIG "/a");
    assert_string_equal(at(&f, a, "kind"), "ChangeList");
    assert_string_equal(told(&f, a), "-configmaps/a=2 *configmaps/a=2 +configmaps/a=1 ");
    const struct json *last = &json_member(a.json, "items")->items[2];
    assert_int_equal(number(last, "revision"), first);
    assert_int_equal(number(last, "trigger"), 0);
    assert_int_equal(number(last, "previous"), 0);
    assert_true(str_is(json_str_at(last, "actor"), "admin"));
    assert_true(str_is(json_str_at(last, "rule"), "create"));
    assert_true(str_is(json_str_at(last, "group"), ""));
    assert_true(str_is(json_str_at(last, "namespace"), "default"));
    assert_true(str_is(json_str_at(last, "time"), "2026-01-02T15:04:05.000000Z"));
    assert_int_equal(number(&json_member(a.json, "items")->items[1], "previous"), first);

    put(&f, "a", "3");
    a = ask(&f, 200, "object=" CONFIG "/a&limit=2");
    assert_string_equal(told(&f, a), "+configmaps/a=3 -configmaps/a=2 ");
    a = ask(&f, 200, "object=" CONFIG "/a&limit=2&continue=%s", at(&f, a, "metadata.continue"));
    assert_string_equal(told(&f, a), "*configmaps/a=2 +configmaps/a=1 ");
    assert_string_equal(at(&f, a, "metadata.continue"), "");
    assert_string_equal(told(&f, ask(&f, 200, "object=" CONFIG "/none")), "");
    a = ask(&f, 200, "object=" CONFIG "/a&objects=false&limit=1");
    assert_null(strstr(a.text, "\"object\""));
    fixture_deinit(&f);
}

static void test_ranges(void **state)
{
    unsigned long long from, to;
    struct fixture f;

    fixture_init(&f);
    put(&f, "a", "1");
    from = now(&f);
    put(&f, "a", "2");
    must(&f, 201, "POST", PODS, POD("p"));
    put(&f, "b", "1");
    to = now(&f);
    must(&f, 200, "DELETE", CONFIG "/b", NULL);

    assert_string_equal(told(&f, ask(&f, 200, "from=%llu&to=%llu", from, to)),
                        "*configmaps/a=2 +pods/p= +configmaps/b=1 ");
    assert_string_equal(told(&f, ask(&f, 200, "from=%llu&resource=" CONFIG, from)),
                        "*configmaps/a=2 +configmaps/b=1 -configmaps/b=1 ");
    assert_string_equal(told(&f, ask(&f, 200, "resource=/api/v1/configmaps")),
                        "+configmaps/a=1 *configmaps/a=2 +configmaps/b=1 -configmaps/b=1 ");
    assert_string_equal(told(&f, ask(&f, 200, "from=%llu&resource=/api/v1/namespaces/other/configmaps", from)), "");
    assert_string_equal(told(&f, ask(&f, 200, "from=%llu&to=%llu", to, to)), "");
    assert_string_equal(told(&f, ask(&f, 200, "revision=%llu", to)), "+configmaps/b=1 ");
    fixture_deinit(&f);
}

/* Pages may end in the midst of a revision; what comes later is no part of them. */
static void test_pages(void **state)
{
    AUTO_DEINIT(buf, text) = BUF_INIT;
    struct store_op ops[5];
    struct fixture f;
    struct answer a;
    int pages = 1;

    fixture_init(&f);
    put(&f, "a", "1");
    unsigned long long from = now(&f);
    for (int i = 0; i < 5; i++)
        ops[i] = (struct store_op){ .kind = STORE_PUT, .value = STR("{\"data\":{\"v\":\"x\"}}"), .splice = STORE_NO_SPLICE,
                                    .key = arena_printf(f.arena, "/registry/configmaps/default/k%d", i) };
    const struct store_cause cause = { STR("tester"), STR("at once"), 0 };
    assert_int_equal(store_commit(f.store, ops, 5, &cause, NULL, NULL), 0);
    put(&f, "z", "1");

    a = ask(&f, 200, "from=%llu&limit=2", from);
    put(&f, "later", "1");
    add_told(&text, &a);
    while (at(&f, a, "metadata.continue")[0]) {
        a = ask(&f, 200, "from=%llu&limit=2&continue=%s", from, at(&f, a, "metadata.continue"));
        add_told(&text, &a);
        pages++;
    }
    assert_string_equal(arena_cstr(f.arena, buf_str(&text)),
                        "+configmaps/k0=x +configmaps/k1=x +configmaps/k2=x +configmaps/k3=x +configmaps/k4=x "
                        "+configmaps/z=1 ");
    assert_int_equal(pages, 3);
    a = ask(&f, 200, "revision=%llu&limit=3", from + 1);
    a = ask(&f, 200, "revision=%llu&limit=3&continue=%s", from + 1, at(&f, a, "metadata.continue"));
    assert_string_equal(told(&f, a), "+configmaps/k3=x +configmaps/k4=x ");
    fixture_deinit(&f);
}

/* The whole text of long pages is bounded, not only their number of changes. */
static void test_large_objects(void **state)
{
    AUTO_FREE char *body = malloc(1 << 20);
    struct fixture f;
    struct answer a;
    size_t seen = 0;

    fixture_init(&f);
    unsigned long long from = now(&f);
    for (int i = 0; i < 8; i++) {
        int len = snprintf(body, 1 << 20, "{'metadata':{'name':'big%d'},'data':{'v':'", i);

        memset(body + len, 'x', 400 << 10);
        memcpy(body + len + (400 << 10), "'}}", sizeof "'}}");
        must(&f, 201, "POST", CONFIG, body);
    }
    a = ask(&f, 200, "from=%llu", from);
    for (;;) {
        assert_true(a.bytes.len < 3 << 20);
        seen += json_member(a.json, "items")->count;
        if (!at(&f, a, "metadata.continue")[0])
            break;
        a = ask(&f, 200, "from=%llu&continue=%s", from, at(&f, a, "metadata.continue"));
    }
    assert_int_equal(seen, 8);
    fixture_deinit(&f);
}

static void test_custom_objects(void **state)
{
    static const char *const path = "/apis/example.com/v1/namespaces/default/toys";
    struct fixture f;
    struct answer a;

    fixture_init(&f);
    must(&f, 201, "POST", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions",
         "{'metadata':{'name':'toys.example.com'},'spec':{'group':'example.com','scope':'Namespaced','names':{'plural':"
         "'toys','singular':'toy','kind':'Toy'},'versions':[{'name':'v1','served':true,'storage':true,'schema':"
         "{'openAPIV3Schema':{'type':'object','properties':{'data':{'type':'object','properties':{'v':{'type':'string'}"
         "}}}}}}]}}");
    must(&f, 201, "POST", path, "{'apiVersion':'example.com/v1','kind':'Toy','metadata':{'name':'t'},'data':{'v':'1'}}");
    unsigned long long made = now(&f);
    must(&f, 200, "DELETE", "/apis/example.com/v1/namespaces/default/toys/t", NULL);
    a = ask(&f, 200, "object=%s/t", path);
    assert_string_equal(told(&f, a), "-toys/t=1 +toys/t=1 ");
    assert_string_equal(at(&f, ask(&f, 200, "revision=%llu", made), "kind"), "ChangeList");
    a = ask(&f, 200, "resource=%s", path);
    const struct json *change = &json_member(a.json, "items")->items[0];
    assert_true(str_is(json_str_at(change, "group"), "example.com"));
    assert_true(str_is(json_str_at(change, "object.apiVersion"), "example.com/v1"));
    /* Its kind may be gone as well. */
    assert_string_equal(told(&f, ask(&f, 200, "object=/apis/gone.io/v1/things/x")), "");
    fixture_deinit(&f);
}

static struct answer with_headers(struct fixture *f, const char *agent, const char *rule, const char *trigger)
{
    struct http_header headers[] = { { STR("content-type"), STR("application/json") },
                                     { STR("user-agent"), str_from(agent) },
                                     { STR("caravel-rule"), str_from(rule) },
                                     { STR("caravel-trigger"), str_from(trigger) } };
    struct tls_identity peer = { .common_name = STR("someone") };
    struct http_request http = { .method = HTTP_PATCH_, .method_name = STR("PATCH"), .target = STR(CONFIG "/a"),
                                 .path = STR(CONFIG "/a"), .query = STR(""), .headers = headers,
                                 .header_count = ARRAY_LEN(headers), .peer = &peer,
                                 .body = quoted(f->arena, "{'data':{'more':'x'}}") };
    char value[64];
    struct request *request = arena_new_of(f->arena, struct request);
    struct err err = { 0 };

    snprintf(value, sizeof value, "{'data':{'n':'%llu'}}", now(f));
    http.body = quoted(f->arena, value);
    headers[0].value = STR("application/merge-patch+json");
    request_init(request, f->server, f->arena);
    assert_int_equal(request_route(request, &http, &err), 0);
    request_run(request);
    assert_int_equal(request->reply.status, 200);
    request_release(request);
    return ask(f, 200, "object=" CONFIG "/a&limit=1");
}

static void test_causes(void **state)
{
    static const struct {
        const char *agent, *rule, *trigger, *want_rule;
        int64_t want_trigger;
    } cases[] = {
        { "", "", "", "patch", 0 },
        { "kubectl/v1.33.1 (linux/amd64) kubernetes/abc", "", "", "kubectl patch", 0 },
        { "curl", "", "", "curl patch", 0 },
        { "caravel-agent/0.1.0", "kubelet: pod status", "3", "kubelet: pod status", 3 },
        { "x", "two\nlines", "x", "x patch", 0 },
        { "x", "", "-1", "x patch", 0 },
        { "x", "", "999999999", "x patch", 0 }, /* of the future */
        { "\xff\xfe/1", "\xff", "3", "patch", 3 },
    };
    struct fixture f;

    fixture_init(&f);
    put(&f, "a", "1");
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct answer a = with_headers(&f, cases[i].agent, cases[i].rule, cases[i].trigger);
        const struct json *change = &json_member(a.json, "items")->items[0];

        assert_true(str_is(json_str_at(change, "actor"), "someone"));
        assert_string_equal(arena_cstr(f.arena, json_str_at(change, "rule")), cases[i].want_rule);
        assert_int_equal(number(change, "trigger"), cases[i].want_trigger);
    }
    fixture_deinit(&f);
}

static void test_refusals(void **state)
{
    static const struct {
        const char *method, *query;
        int status;
        const char *message;
    } cases[] = {
        { "POST", "", 405, "" },
        { "GET", "watch=true", 405, "" },
        { "GET", "object=/api/v1/pods", 400, "path of an object" },
        { "GET", "object=x", 400, "path of an object" },
        { "GET", "object=" PODS "/a/log", 400, "path of an object" },
        { "GET", "object=/api/v1/../a/b", 400, "path of an object" },
        { "GET", "resource=" PODS "/a", 400, "path of a collection" },
        { "GET", "object=" PODS "/a&from=1", 400, "exclude one another" },
        { "GET", "revision=9&resource=" PODS, 400, "exclude one another" },
        { "GET", "revision=x", 400, "expected one between" },
        { "GET", "revision=0", 400, "expected one between" },
        { "GET", "revision=4", 410, "no longer retained" },
        { "GET", "from=3", 410, "no longer retained" },
        { "GET", "from=2001-01-01T00:00:00Z", 410, "no longer retained" },
        { "GET", "from=soon", 400, "expected a revision" },
        { "GET", "from=12&to=10", 400, "is not before" },
        { "GET", "limit=many", 400, "expected a number" },
        { "GET", "continue=1.2", 400, "gave out" },
        { "GET", "continue=1.2.3.4", 400, "gave out" },
        { "GET", "continue=99999999.0.0", 400, "gave out" },
        { "GET", "continue=9.0.8", 400, "gave out" },
        { "GET", "from=12&continue=2.0.12", 410, "no longer retained" },
    };
    struct fixture f;
    char target[512];

    fixture_init(&f);
    for (int i = 0; i < 20; i++)
        put(&f, "a", i % 2 ? "1" : "2");
    assert_int_equal(store_compact(f.store, 8, NULL), 0);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        snprintf(target, sizeof target, CHANGES "?%s", cases[i].query);
        struct answer a = send(&f, cases[i].method, target, NULL);

        if (a.status != cases[i].status || !strstr(a.text, cases[i].message))
            fail_msg("%s: %d %s", target, a.status, a.text);
    }
    ask(&f, 200, "to=12"); /* from what is retained */
    struct answer a = send_raw(&f, &(struct raw){ "GET", CHANGES, .user = "system:node:n1" });
    assert_int_equal(a.status, 403);
    a = send_raw(&f, &(struct raw){ "GET", CHANGES, .user = "" });
    assert_int_equal(a.status, 401);
    fixture_deinit(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_object),    cmocka_unit_test(test_ranges),         cmocka_unit_test(test_pages),
        cmocka_unit_test(test_large_objects), cmocka_unit_test(test_custom_objects), cmocka_unit_test(test_causes),
        cmocka_unit_test(test_refusals),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
