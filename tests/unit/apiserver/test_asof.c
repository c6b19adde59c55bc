/* The state of before: ?asOf= on gets and lists, by revision and by time. */
#include "fixture.h"
#include "schema/time.h"

#define CONFIG "/api/v1/namespaces/default/configmaps"

static void later(struct fixture *f, int seconds)
{
    virtual_clock_advance(&f->clock, seconds * NSEC_PER_SEC);
}

static unsigned long long now(const struct fixture *f)
{
    return store_revision(f->store);
}

static struct answer ask(struct fixture *f, int status, const char *path, const char *query, unsigned long long revision)
{
    char target[512];

    snprintf(target, sizeof target, "%s?%sasOf=%llu", path, query, revision);
    return must(f, status, "GET", target, NULL);
}

static struct answer ask_at(struct fixture *f, int status, const char *path, nsec_t time)
{
    char target[512], text[API_TIME_LEN];

    api_time_text(time, text);
    snprintf(target, sizeof target, "%s?asOf=%s", path, text);
    return must(f, status, "GET", target, NULL);
}

static void put(struct fixture *f, const char *name, const char *value)
{
    char target[256], body[256];

    snprintf(target, sizeof target, CONFIG "/%s", name);
    snprintf(body, sizeof body, "{'metadata':{'name':'%s','labels':{'v':'%s'}},'data':{'v':'%s'}}", name, value, value);
    if (send(f, "PUT", target, body).status == 404)
        must(f, 201, "POST", CONFIG, body);
}

/* "a=1 b=2 " */
static const char *values(struct fixture *f, struct answer a)
{
    AUTO_DEINIT(buf, text) = BUF_INIT;
    const struct json *items = json_member(a.json, "items");

    for (uint32_t i = 0; items && i < items->count; i++)
        buf_printf(&text, STR_FMT "=" STR_FMT " ", STR_ARG(json_str_at(&items->items[i], "metadata.name")),
                   STR_ARG(json_str_at(&items->items[i], "data.v")));
    return arena_cstr(f->arena, buf_str(&text));
}

static void test_gets(void **state)
{
    unsigned long long first, second, gone;
    struct answer a, kept;
    struct fixture f;

    fixture_init(&f);
    put(&f, "a", "1");
    first = now(&f);
    nsec_t at_first = clock_wall(&f.clock.clock);
    kept = must(&f, 200, "GET", CONFIG "/a", NULL);
    later(&f, 60);
    put(&f, "a", "2");
    second = now(&f);
    later(&f, 60);
    must(&f, 200, "DELETE", CONFIG "/a", NULL);
    gone = now(&f);

    a = ask(&f, 200, CONFIG "/a", "", first);
    assert_string_equal(a.text, kept.text); /* to the byte */
    assert_string_equal(at(&f, ask(&f, 200, CONFIG "/a", "", second), "data.v"), "2");
    ask(&f, 404, CONFIG "/a", "", gone);
    ask(&f, 404, CONFIG "/a", "", first - 1);
    assert_string_equal(at(&f, ask_at(&f, 200, CONFIG "/a", at_first), "data.v"), "1");
    assert_string_equal(at(&f, ask_at(&f, 200, CONFIG "/a", at_first + 59 * NSEC_PER_SEC), "data.v"), "1");
    assert_string_equal(at(&f, ask_at(&f, 200, CONFIG "/a", at_first + 60 * NSEC_PER_SEC), "data.v"), "2");
    ask_at(&f, 404, CONFIG "/a", at_first + 120 * NSEC_PER_SEC); /* now is no future */
    ask_at(&f, 400, CONFIG "/a", at_first + 121 * NSEC_PER_SEC);
    fixture_deinit(&f);
}

static void test_shapes(void **state)
{
    static const char *const table = "application/json;as=Table;v=v1;g=meta.k8s.io";
    unsigned long long first;
    struct answer a, kept;
    struct fixture f;
    char target[256];

    fixture_init(&f);
    put(&f, "a", "1");
    first = now(&f);
    later(&f, 30);
    put(&f, "b", "1");
    must(&f, 200, "DELETE", CONFIG "/a", NULL);
    later(&f, 3600);
    for (int one = 0; one < 2; one++) {
        snprintf(target, sizeof target, CONFIG "%s?asOf=%llu", one ? "/a" : "", first);
        a = send_raw(&f, &(struct raw){ "GET", target, .accept = table });
        assert_int_equal(a.status, 200);
        const struct json *rows = json_member(a.json, "rows");
        assert_int_equal(rows->count, 1);
        const struct json *cells = json_member(&rows->items[0], "cells");
        assert_true(str_is(json_str(&cells->items[0]), "a"));
        assert_true(str_is(json_str(&cells->items[2]), "0s")); /* its age then */
    }
    snprintf(target, sizeof target, CONFIG "/a?asOf=%llu", first);
    a = send_raw(&f, &(struct raw){ "GET", target, .accept = "application/yaml" });
    assert_non_null(strstr(a.text, "name: a"));
    a = send_raw(&f, &(struct raw){ "GET", target, .accept = "application/vnd.kubernetes.protobuf" });
    assert_int_equal(a.status, 200);
    assert_memory_equal(a.bytes.data, "k8s", 4);
    kept = send_raw(&f, &(struct raw){ "GET", target,
                                       .accept = "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io" });
    assert_string_equal(at(&f, kept, "kind"), "PartialObjectMetadata");
    assert_string_equal(at(&f, kept, "metadata.name"), "a");
    fixture_deinit(&f);
}

static void test_lists(void **state)
{
    unsigned long long first;
    struct answer a;
    struct fixture f;
    char target[1024];

    fixture_init(&f);
    put(&f, "a", "1");
    put(&f, "b", "1");
    put(&f, "c", "1");
    first = now(&f);
    later(&f, 10);
    put(&f, "b", "2");
    must(&f, 200, "DELETE", CONFIG "/c", NULL);
    put(&f, "d", "2");
    assert_string_equal(values(&f, ask(&f, 200, CONFIG, "", first)), "a=1 b=1 c=1 ");
    assert_string_equal(values(&f, ask(&f, 200, CONFIG, "", first + 1)), "a=1 b=2 c=1 ");
    assert_string_equal(values(&f, ask(&f, 200, CONFIG, "", now(&f))), "a=1 b=2 d=2 ");
    assert_string_equal(values(&f, ask(&f, 200, CONFIG, "labelSelector=v%3D1&", first)), "a=1 b=1 c=1 ");
    assert_string_equal(values(&f, ask(&f, 200, CONFIG, "fieldSelector=metadata.name%3Dc&", first)), "c=1 ");
    assert_string_equal(values(&f, ask(&f, 200, "/api/v1/configmaps", "", first)), "a=1 b=1 c=1 ");

    a = ask(&f, 200, CONFIG, "limit=2&", first);
    assert_string_equal(values(&f, a), "a=1 b=1 ");
    snprintf(target, sizeof target, "%llu", first);
    assert_string_equal(at(&f, a, "metadata.resourceVersion"), target);
    snprintf(target, sizeof target, CONFIG "?limit=2&continue=%s", at(&f, a, "metadata.continue"));
    a = must(&f, 200, "GET", target, NULL);
    assert_string_equal(values(&f, a), "c=1 ");
    fixture_deinit(&f);
}

static void test_scale(void **state)
{
    static const char *const path = "/apis/apps/v1/namespaces/default/deployments/web/scale";
    unsigned long long first;
    struct fixture f;

    fixture_init(&f);
    must(&f, 201, "POST", "/apis/apps/v1/namespaces/default/deployments",
         "{'metadata':{'name':'web'},'spec':{'replicas':3,'selector':{'matchLabels':{'a':'b'}},'template':{'metadata':"
         "{'labels':{'a':'b'}},'spec':{'containers':[{'name':'c','image':'i'}]}}}}");
    first = now(&f);
    must(&f, 200, "PUT", path, "{'metadata':{'name':'web','namespace':'default'},'spec':{'replicas':5}}");
    assert_int_equal(json_int(json_at(ask(&f, 200, path, "", first).json, "spec.replicas"), 0), 3);
    assert_int_equal(json_int(json_at(ask(&f, 200, path, "", now(&f)).json, "spec.replicas"), 0), 5);
    ask(&f, 404, path, "", first - 1);
    fixture_deinit(&f);
}

static void test_custom_resources(void **state)
{
    static const char *const path = "/apis/example.com/v1/namespaces/default/toys";
    unsigned long long first;
    struct fixture f;

    fixture_init(&f);
    must(&f, 201, "POST", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions",
         "{'metadata':{'name':'toys.example.com'},'spec':{'group':'example.com','scope':'Namespaced','names':{'plural':"
         "'toys','singular':'toy','kind':'Toy'},'versions':[{'name':'v1','served':true,'storage':true,'schema':"
         "{'openAPIV3Schema':{'type':'object','properties':{'data':{'type':'object','properties':{'v':{'type':'string'}"
         "}}}}}}]}}");
    must(&f, 201, "POST", path, "{'apiVersion':'example.com/v1','kind':'Toy','metadata':{'name':'t'},'data':{'v':'1'}}");
    first = now(&f);
    must(&f, 200, "DELETE", "/apis/example.com/v1/namespaces/default/toys/t", NULL);
    assert_string_equal(values(&f, ask(&f, 200, path, "", first)), "t=1 ");
    assert_string_equal(values(&f, ask(&f, 200, path, "", now(&f))), "");
    assert_string_equal(at(&f, ask(&f, 200, "/apis/example.com/v1/namespaces/default/toys/t", "", first), "data.v"), "1");
    fixture_deinit(&f);
}

static void test_refusals(void **state)
{
    static const struct {
        const char *method, *target;
        int status;
        const char *message;
    } cases[] = {
        { "GET", CONFIG "?asOf=yesterday", 400, "expected a revision" },
        { "GET", CONFIG "?asOf=-1", 400, "expected a revision" },
        { "GET", CONFIG "?asOf=0", 400, "revisions begin with 1" },
        { "GET", CONFIG "?asOf=1000000", 400, "in the future" },
        { "GET", CONFIG "/a?asOf=99999999999999999999999999", 400, "in the future" },
        { "GET", CONFIG "?asOf=2200-01-01T00:00:00Z", 400, "in the future" },
        { "GET", CONFIG "?asOf=2001-01-01T00:00:00Z", 410, "no longer retained" },
        { "GET", CONFIG "?asOf=1", 410, "no longer retained" },
        { "GET", CONFIG "/a?asOf=1", 410, "no longer retained" },
        { "GET", "/apis/apps/v1/namespaces/default/deployments/x/scale?asOf=1", 410, "no longer retained" },
        { "GET", CONFIG "?asOf=9&resourceVersion=9", 400, "exclude one another" },
        { "GET", CONFIG "?asOf=9&continue=abc", 400, "exclude one another" },
        { "GET", CONFIG "?asOf=9&watch=true", 400, "only for gets and lists" },
        { "GET", CONFIG "/a?asOf=9&watch=1", 400, "only for gets and lists" },
        { "GET", "/api/v1/watch/configmaps?asOf=9", 400, "only for gets and lists" },
        { "GET", PODS "/x/log?asOf=9", 400, "only for gets and lists" },
        { "DELETE", CONFIG "?asOf=9", 400, "only for gets and lists" },
        { "DELETE", CONFIG "/a?asOf=9", 400, "only for gets and lists" },
        { "POST", CONFIG "?asOf=9", 400, "only for gets and lists" },
        { "GET", CONFIG "?asOf=", 200, "" }, /* as without */
    };
    struct fixture f;

    fixture_init(&f);
    for (int i = 0; i < 20; i++)
        put(&f, "a", i % 2 ? "1" : "2");
    assert_int_equal(store_compact(f.store, 8, NULL), 0);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct answer a = send(&f, cases[i].method, cases[i].target, cases[i].method[0] == 'P' ? "{}" : NULL);

        if (a.status != cases[i].status || !strstr(a.text, cases[i].message))
            fail_msg("%s: %d %s", cases[i].target, a.status, a.text);
        if (a.status == 410)
            assert_string_equal(at(&f, a, "reason"), "Expired");
    }
    fixture_deinit(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_gets),  cmocka_unit_test(test_shapes),           cmocka_unit_test(test_lists),
        cmocka_unit_test(test_scale), cmocka_unit_test(test_custom_resources), cmocka_unit_test(test_refusals),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
