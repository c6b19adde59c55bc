/* Discovery in both forms, conditional requests, resources that come at run time; /version and the health checks. */
#include "fixture.h"

#include "apiserver/discovery.h"

#define AGGREGATED "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"

static struct answer get(struct fixture *f, const char *target, const char *accept)
{
    return send_raw(f, &(struct raw){ .method = "GET", .target = target, .accept = accept });
}

static const struct {
    const char *target, *accept;
    int status;
    const char *kind, *content_type;
} documents[] = {
    { "/api", NULL, 200, "APIVersions", "application/json" },
    { "/api/", NULL, 200, "APIVersions", "application/json" },
    { "/api/v1", NULL, 200, "APIResourceList", "application/json" },
    { "/api/v1/", "application/json", 200, "APIResourceList", "application/json" },
    { "/apis", "*/*", 200, "APIGroupList", "application/json" },
    { "/apis/apps", NULL, 200, "APIGroup", "application/json" },
    { "/apis/apps/v1", NULL, 200, "APIResourceList", "application/json" },
    { "/apis", AGGREGATED, 200, "APIGroupDiscoveryList", AGGREGATED },
    { "/api", AGGREGATED ",application/json", 200, "APIGroupDiscoveryList", AGGREGATED },
    { "/apis", "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,application/json", 200,
      "APIGroupDiscoveryList", "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList" },
    { "/apis", "application/json;g=apidiscovery.k8s.io;v=v9;as=APIGroupDiscoveryList,application/json", 200,
      "APIGroupList", "application/json" },
    { "/apis", AGGREGATED ";q=0.5,application/json", 200, "APIGroupList", "application/json" },
    { "/apis/apps/v1", AGGREGATED ",application/json", 200, "APIResourceList", "application/json" },
    { "/apis/apps/v1", AGGREGATED, 406, "Status", "application/json" },
    { "/apis", "text/html", 406, "Status", "application/json" },
    { "/apis/nonsense", NULL, 404, "Status", "application/json" },
    { "/apis/apps/v9", NULL, 404, "Status", "application/json" },
    { "/apis/certificates.k8s.io/v1alpha1", NULL, 404, "Status", "application/json" },
    { "/api v2", NULL, 404, "Status", "application/json" },
};

static void test_documents(void **state)
{
    struct fixture f;

    fixture_init(&f);
    for (size_t i = 0; i < ARRAY_LEN(documents); i++) {
        struct answer answer = get(&f, documents[i].target, documents[i].accept);

        if (answer.status != documents[i].status || strcmp(at(&f, answer, "kind"), documents[i].kind) != 0 ||
            strcmp(answer.content_type, documents[i].content_type) != 0)
            fail_msg("%s: %d %s %s", documents[i].target, answer.status, at(&f, answer, "kind"), answer.content_type);
    }
    assert_non_null(strstr(get(&f, "/api", "application/yaml").text, "kind: APIVersions"));
    must(&f, 405, "POST", "/apis", "{}");
    assert_int_equal(send_raw(&f, &(struct raw){ .method = "GET", .target = "/apis", .user = "" }).status, 401);
    fixture_deinit(&f);
}

static const struct json *named(const struct json *list, const char *key, const char *name)
{
    for (uint32_t i = 0; list && i < list->count; i++)
        if (str_is(json_str(json_get(&list->items[i], str_from(key))), name))
            return &list->items[i];
    fail_msg("no %s", name);
    return NULL;
}

static const char *text_of(struct fixture *f, const struct json *json)
{
    return arena_cstr(f->arena, json_text(f->arena, json));
}

static void test_contents(void **state)
{
    const struct json *list, *group, *pods;
    struct fixture f;

    fixture_init(&f);
    list = json_at(get(&f, "/api/v1", NULL).json, "resources");
    assert_string_equal(text_of(&f, named(list, "name", "pods")),
                        quoted(f.arena,
                               "{'name':'pods','singularName':'pod','namespaced':true,'kind':'Pod','verbs':['create',"
                               "'delete','deletecollection','get','list','patch','update','watch'],'shortNames':['po'],"
                               "'categories':['all']}")
                            .data);
    assert_string_equal(text_of(&f, named(list, "name", "pods/eviction")),
                        quoted(f.arena, "{'name':'pods/eviction','singularName':'','namespaced':true,'group':'policy',"
                                        "'version':'v1','kind':'Eviction','verbs':['create']}")
                            .data);
    assert_string_equal(text_of(&f, json_member(named(list, "name", "pods/exec"), "verbs")), "[\"create\",\"get\"]");
    list = json_at(get(&f, "/apis", NULL).json, "groups");
    group = named(list, "name", "autoscaling");
    assert_int_equal(json_member(group, "versions")->count, 2);
    assert_true(str_is(json_str_at(group, "preferredVersion.groupVersion"), "autoscaling/v2"));
    assert_true(str_is(json_str(json_member(&list->items[0], "name")), "apiregistration.k8s.io"));
    list = json_at(get(&f, "/api", AGGREGATED).json, "items");
    assert_int_equal(list->count, 1);
    pods = named(json_member(&json_member(&list->items[0], "versions")->items[0], "resources"), "resource", "pods");
    assert_true(str_is(json_str_at(pods, "scope"), "Namespaced"));
    assert_true(str_is(json_str_at(pods, "responseKind.kind"), "Pod"));
    assert_true(
        str_is(json_str_at(named(json_member(pods, "subresources"), "subresource", "eviction"), "responseKind.group"),
               "policy"));
    fixture_deinit(&f);
}

/* A request with If-None-Match; the status, and the tag of the answer in *ret_tag. */
static int get_if(struct fixture *f, const char *target, struct str tag, struct str *ret_tag)
{
    const struct http_header header = { STR("if-none-match"), tag };
    const struct tls_identity peer = { .common_name = STR("admin") };
    const struct http_request http = { .method = HTTP_GET_,
                                       .path = str_from(target),
                                       .query = STR(""),
                                       .peer = &peer,
                                       .headers = &header,
                                       .header_count = 1 };
    struct request *request = arena_new_of(f->arena, struct request);
    struct err err = { 0 };

    request_init(request, f->server, f->arena);
    assert_int_equal(request_route(request, &http, &err), 0);
    assert_true(request_is_quick(request));
    request_run(request);
    for (size_t i = 0; i < request->reply.header_count; i++)
        if (str_is(request->reply.headers[i].name, "etag"))
            *ret_tag = request->reply.headers[i].value;
    int status = request->reply.status;
    assert_true(status != 304 || str_empty(request->reply.text));
    request_release(request);
    return status;
}

static const struct resource widgets = {
    .group = STR_INIT("x.io"),
    .version = STR_INIT("v1"),
    .plural = STR_INIT("widgets"),
    .singular = STR_INIT("widget"),
    .kind = STR_INIT("Widget"),
    .list_kind = STR_INIT("WidgetList"),
    .namespaced = true,
    .served = true,
    .verbs = VERB_GET,
    .storage = &widgets,
};

static void test_tags_and_custom(void **state)
{
    static const struct resource *const custom[] = { &widgets };
    struct str tag = STR_NULL, other = STR_NULL;
    struct fixture f;
    struct err err = { 0 };

    fixture_init(&f);
    assert_int_equal(get_if(&f, "/apis", STR("\"x\""), &tag), 200);
    assert_true(tag.len > 2);
    assert_int_equal(get_if(&f, "/apis", tag, &other), 304);
    assert_true(str_eq(tag, other));
    assert_int_equal(get_if(&f, "/apis", arena_printf(f.arena, "\"a\", W/" STR_FMT, STR_ARG(tag)), &other), 304);
    assert_int_equal(get_if(&f, "/apis", STR("*"), &other), 304);
    assert_int_equal(get_if(&f, "/apis", STR("\""), &other), 200);

    must(&f, 404, "GET", "/apis/x.io/v1", NULL);
    assert_int_equal(discovery_set_custom(f.server->discovery, custom, 1, &err), 0);
    assert_int_equal(get_if(&f, "/apis", tag, &other), 200);
    assert_false(str_eq(tag, other));
    assert_string_equal(at(&f, must(&f, 200, "GET", "/apis/x.io/v1", NULL), "groupVersion"), "x.io/v1");
    assert_string_equal(at(&f, must(&f, 200, "GET", "/apis/x.io", NULL), "preferredVersion.version"), "v1");
    assert_int_equal(discovery_set_custom(f.server->discovery, NULL, 0, &err), 0);
    assert_int_equal(get_if(&f, "/apis", tag, &other), 304);
    fixture_deinit(&f);
}

static void test_version(void **state)
{
    struct fixture f;
    struct answer answer;

    fixture_init(&f);
    answer = send_raw(&f, &(struct raw){ .method = "GET", .target = "/version", .user = "" });
    assert_int_equal(answer.status, 200);
    assert_string_equal(at(&f, answer, "major"), "1");
    assert_string_equal(at(&f, answer, "minor"), "33");
    assert_memory_equal(at(&f, answer, "gitVersion"), "v1.33.0", 7);
    must(&f, 405, "DELETE", "/version", NULL);
    fixture_deinit(&f);
}

static bool sick;

static int check_sick(void *ctx, struct err *err)
{
    return sick ? err_set(err, ERR_UNAVAILABLE, "secret") : 0;
}

static const struct {
    const char *target;
    bool sick;
    int status;
    const char *text;
} probes[] = {
    { "/livez", false, 200, "ok" },
    { "/readyz", false, 200, "ok" },
    { "/readyz/ping", false, 200, "ok" },
    { "/readyz?verbose", false, 200,
      "[+]ping ok\n[+]store ok\n[+]store/writes ok\n[+]poststarthook/bootstrap ok\n[+]sick ok\nreadyz check passed\n" },
    { "/livez?verbose", true, 200, "[+]ping ok\n[+]store ok\nlivez check passed\n" },
    { "/readyz", true, 500,
      "[+]ping ok\n[+]store ok\n[+]store/writes ok\n[+]poststarthook/bootstrap ok\n[-]sick failed: reason "
      "withheld\nreadyz check failed\n" },
    { "/readyz?exclude=sick", true, 200, "ok" },
    { "/readyz/sick", true, 500, "internal server error: reason withheld\n" },
    { "/livez/sick", true, 404, NULL },
    { "/readyz/nonsense", false, 404, NULL },
};

static void test_health(void **state)
{
    static const struct health_check check = { STR_INIT("sick"), false, true, check_sick, NULL };
    struct fixture f;

    fixture_init(&f);
    assert_int_equal(apiserver_add_health_check(f.server, &check, NULL), 0);
    for (size_t i = 0; i < ARRAY_LEN(probes); i++) {
        struct answer answer;

        sick = probes[i].sick;
        answer = send_raw(&f, &(struct raw){ .method = "GET", .target = probes[i].target, .user = "" });
        assert_int_equal(answer.status, probes[i].status);
        if (probes[i].text)
            assert_string_equal(answer.text, probes[i].text);
    }
    atomic_store(&f.server->bootstrapped, false);
    must(&f, 500, "GET", "/readyz/poststarthook/bootstrap", NULL);
    fixture_deinit(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_documents), cmocka_unit_test(test_contents), cmocka_unit_test(test_tags_and_custom),
        cmocka_unit_test(test_version),   cmocka_unit_test(test_health),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
