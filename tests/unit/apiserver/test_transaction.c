/* Transactions: many writes, one revision, or none; what a later write sees of the ones before; what is refused. */
#include "fixture.h"

#include "apiserver/write.h"

#define TRANSACTIONS "/apis/caravel.io/v1/transactions"
#define CONFIGMAPS "/api/v1/namespaces/default/configmaps"
#define SERVICES "/api/v1/namespaces/default/services"
#define TRANSACTION(writes) "{'kind':'Transaction','apiVersion':'caravel.io/v1','writes':[" writes "]}"
#define CREATE(path, object) "{'method':'POST','path':'" path "','body':" object "}"
#define MAP(name) CREATE(CONFIGMAPS, "{'metadata':{'name':'" name "'},'data':{'k':'v'}}")
#define DELETION(path) "{'method':'DELETE','path':'" path "'}"

static struct answer post(struct fixture *f, int status, const char *body)
{
    return must(f, status, "POST", TRANSACTIONS, body);
}

static const struct json *result(struct answer a, uint32_t at)
{
    const struct json *results = json_member(a.json, "results");

    assert_true(json_is(results, JSON_ARRAY) && at < results->count);
    return &results->items[at];
}

static void assert_text(const struct json *json, const char *path, const char *want)
{
    struct str text = json_str_at(json, path);

    if (!str_is(text, want))
        fail_msg("%s: \"" STR_FMT "\", not \"%s\"", path, STR_ARG(text), want);
}

static void test_one_revision(void **state)
{
    struct fixture f;
    struct answer a;
    revision_t before;
    char revision[24];

    fixture_init(&f);
    must(&f, 201, "POST", CONFIGMAPS, "{'metadata':{'name':'old'},'data':{'a':'1'}}");
    must(&f, 201, "POST", CONFIGMAPS, "{'metadata':{'name':'gone'}}");
    must(&f, 201, "POST", PODS, POD("p"));
    before = store_revision(f.store);
    a = post(&f, 200,
             TRANSACTION(MAP("new") ",{'method':'PATCH','path':'" CONFIGMAPS
                                    "/old?fieldManager=me','contentType':'application/merge-patch+json','body':{'data':"
                                    "{'b':'2'}}}," DELETION(CONFIGMAPS "/gone") ",{'method':'PATCH','path':'" PODS
                                    "/p/status','contentType':'application/merge-patch+json','body':'{\\'status\\':{"
                                    "\\'phase\\':\\'Running\\'}}'}"));
    snprintf(revision, sizeof revision, "%llu", (unsigned long long)before + 1);
    assert_int_equal(store_revision(f.store), before + 1);
    assert_string_equal(at(&f, a, "kind"), "TransactionResult");
    assert_string_equal(at(&f, a, "apiVersion"), "caravel.io/v1");
    assert_string_equal(at(&f, a, "metadata.resourceVersion"), revision);
    assert_text(result(a, 0), "metadata.resourceVersion", revision);
    assert_text(result(a, 0), "kind", "ConfigMap");
    assert_text(result(a, 1), "data.b", "2");
    assert_text(result(a, 2), "status", "Success");
    assert_text(result(a, 3), "status.phase", "Running");
    a = must(&f, 200, "GET", CONFIGMAPS "/old", NULL);
    assert_string_equal(at(&f, a, "metadata.resourceVersion"), revision);
    assert_non_null(strstr(a.text, "\"manager\":\"me\""));
    must(&f, 404, "GET", CONFIGMAPS "/gone", NULL);
    fixture_deinit(&f);
}

static void ready(void *arg)
{
    (void)arg;
}

static void test_events_come_in_order(void **state)
{
    static const char *const want[] = { "/c", "/a", "/b" };
    struct fixture f;
    struct store_watch *watch;
    struct err err = { 0 };

    fixture_init(&f);
    assert_int_equal(store_watch_open(f.store, STR("/registry/configmaps/default/"), store_revision(f.store), ready, NULL,
                                      &watch, &err), 0);
    post(&f, 200, TRANSACTION(MAP("c") "," MAP("a") "," MAP("b")));
    for (size_t i = 0; i < ARRAY_LEN(want); i++) {
        AUTO(store_event) event = NULL;

        assert_int_equal(store_watch_next(watch, &event, &err), 1);
        assert_true(str_has_suffix(event->key, str_from(want[i])));
        assert_int_equal(event->revision, store_revision(f.store));
        assert_true(str_is(event->rule, "transaction"));
        assert_true(str_is(event->actor, "admin"));
    }
    store_watch_close(watch);
    fixture_deinit(&f);
}

/* What fails, with which status, which write, and a piece of its message. Nothing is ever written. */
static void test_refusals(void **state)
{
    static const struct {
        const char *name;
        int status;
        const char *body, *field, *message;
    } cases[] = {
        { "no JSON", 400, "[", NULL, "" },
        { "another kind", 400, "{'kind':'Pod','apiVersion':'v1','writes':[]}", NULL, "is no Transaction" },
        { "an array", 422, "[]", NULL, "is not an object" },
        { "an unknown member", 422, "{'kind':'Transaction','apiVersion':'caravel.io/v1','wirtes':[]}", NULL,
          "unknown member \\\"wirtes\\\"" },
        { "no writes", 422, TRANSACTION(""), NULL, "has no writes" },
        { "a write that is none", 422, TRANSACTION("7"), "writes[0]", "is not an object" },
        { "an unknown member of a write", 422, TRANSACTION("{'method':'POST','path':'/','x':1}"), "writes[0]",
          "unknown member \\\"x\\\"" },
        { "a read", 422, TRANSACTION("{'method':'GET','path':'" CONFIGMAPS "/old'}"), "writes[0]", "method: Unsupported" },
        { "a relative path", 422, TRANSACTION("{'method':'PUT','path':'api'}"), "writes[0]", "begin with a slash" },
        { "a malformed path", 400, TRANSACTION("{'method':'PUT','path':'/api/v1/../x'}"), "writes[0]", "malformed" },
        { "an unknown resource", 404, TRANSACTION(MAP("a") "," CREATE("/api/v1/namespaces/default/ships", "{}")),
          "writes[1]", "could not find" },
        { "a route", 422, TRANSACTION(CREATE("/version", "{}")), "writes[0]", "/version cannot be part of" },
        { "a collection", 422, TRANSACTION(DELETION(CONFIGMAPS)), "writes[0]", "cannot be part of a transaction" },
        { "a subresource", 422, TRANSACTION(MAP("a") "," CREATE(PODS "/p/binding", "{}")), "writes[1]",
          "/p/binding cannot be part of a transaction" },
        { "a review", 422, TRANSACTION(CREATE("/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", "{}")),
          "writes[0]", "cannot be part of a transaction" },
        { "itself", 422, TRANSACTION(CREATE(TRANSACTIONS, "{}")), "writes[0]", "cannot be part of a transaction" },
        { "no kind of patch", 415, TRANSACTION("{'method':'PATCH','path':'" CONFIGMAPS "/old','body':{}}"), "writes[0]",
          "" },
        { "no body", 400, TRANSACTION("{'method':'POST','path':'" CONFIGMAPS "'}"), "writes[0]", "is empty" },
        { "what is not valid", 422,
          TRANSACTION(MAP("a") "," CREATE(PODS, "{'metadata':{'name':'x'},'spec':{'containers':[]}}")), "writes[1]",
          "spec.containers: Required value" },
        { "an unknown field", 400,
          TRANSACTION(CREATE(CONFIGMAPS "?fieldValidation=Strict", "{'metadata':{'name':'x'},'dtaa':{}}")), "writes[0]",
          "unknown field \\\"dtaa\\\"" },
        { "what exists", 409, TRANSACTION(MAP("a") "," MAP("old")), "writes[1]", "\\\"old\\\" already exists" },
        { "what does not exist", 404, TRANSACTION(MAP("a") "," DELETION(CONFIGMAPS "/b")), "writes[1]", "not found" },
        { "an old version", 409,
          TRANSACTION("{'method':'PUT','path':'" CONFIGMAPS
                      "/old','body':{'metadata':{'name':'old','resourceVersion':'1'}}}"),
          "writes[0]", "has been modified" },
        { "the same object created twice", 422, TRANSACTION(MAP("a") "," MAP("b") "," MAP("a")), "writes[2]",
          "writes[2]: it writes what writes[0]" },
        { "an object changed twice", 422, TRANSACTION(DELETION(CONFIGMAPS "/old") "," DELETION(CONFIGMAPS "/old")),
          "writes[1]", "writes[1]: it writes what writes[0]" },
        { "a namespace that is not there", 404,
          TRANSACTION(CREATE("/api/v1/namespaces/sea/configmaps", "{'metadata':{'name':'a'}}")), "writes[0]",
          "namespaces \\\"sea\\\" not found" },
        { "a namespace that goes", 403,
          TRANSACTION(DELETION("/api/v1/namespaces/going") ","
                      CREATE("/api/v1/namespaces/going/configmaps", "{'metadata':{'name':'a'}}")), "writes[1]",
          "because it is being terminated" },
        { "a dry run of one write", 422, TRANSACTION(CREATE(CONFIGMAPS "?dryRun=All", "{'metadata':{'name':'x'}}")),
          "writes[0]", "the whole transaction" },
    };
    struct fixture f;
    revision_t before;

    fixture_init(&f);
    must(&f, 201, "POST", CONFIGMAPS, "{'metadata':{'name':'old'}}");
    must(&f, 201, "POST", PODS, POD("p"));
    must(&f, 201, "POST", "/api/v1/namespaces", "{'metadata':{'name':'going'}}");
    before = store_revision(f.store);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct answer a = send(&f, "POST", TRANSACTIONS, cases[i].body);
        char field[64] = "";

        if (cases[i].field)
            snprintf(field, sizeof field, "\"field\":\"%s\"", cases[i].field);
        if (a.status != cases[i].status || !strstr(a.text, cases[i].message) || !strstr(a.text, field))
            fail_msg("%s: %d %s", cases[i].name, a.status, a.text);
        assert_string_equal(at(&f, a, "kind"), "Status");
        assert_int_equal(store_revision(f.store), before);
    }
    fixture_deinit(&f);
}

static void test_too_many_writes(void **state)
{
    struct fixture f;
    AUTO_DEINIT(buf, body) = BUF_INIT;

    fixture_init(&f);
    buf_add_cstr(&body, "{'kind':'Transaction','apiVersion':'caravel.io/v1','writes':[1");
    for (int i = 0; i < 500; i++)
        buf_add_cstr(&body, ",1");
    buf_add_cstr(&body, "]}");
    post(&f, 413, arena_cstr(f.arena, buf_str(&body)));
    assert_int_equal(send_raw(&f, &(struct raw){ "POST", TRANSACTIONS, "a: b", "application/yaml" }).status, 415);
    must(&f, 405, "GET", TRANSACTIONS, NULL);
    fixture_deinit(&f);
}

static void test_many_writes(void **state)
{
    struct fixture f;
    AUTO_DEINIT(buf, body) = BUF_INIT;
    revision_t before;

    fixture_init(&f);
    before = store_revision(f.store);
    buf_add_cstr(&body, "{'kind':'Transaction','apiVersion':'caravel.io/v1','writes':[");
    for (int i = 0; i < 500; i++)
        buf_printf(&body, "%s{'method':'POST','path':'" CONFIGMAPS "','body':{'metadata':{'generateName':'m-'}}}", i ? "," : "");
    buf_add_cstr(&body, "]}");
    post(&f, 200, arena_cstr(f.arena, buf_str(&body)));
    assert_int_equal(store_revision(f.store), before + 1);
    fixture_deinit(&f);
}

static void test_objects_in_a_new_namespace(void **state)
{
    struct fixture f;
    struct answer a;
    revision_t before;

    fixture_init(&f);
    before = store_revision(f.store);
    a = post(&f, 200,
             TRANSACTION(CREATE("/api/v1/namespaces", "{'metadata':{'name':'sea'}}") ","
                         CREATE("/api/v1/namespaces/sea/configmaps", "{'metadata':{'name':'a'}}") ","
                         "{'method':'PATCH','path':'/api/v1/namespaces/sea/configmaps/"
                         "b?fieldManager=me','contentType':'application/apply-patch+yaml','body':'apiVersion: v1\\nkind: "
                         "ConfigMap\\nmetadata: {name: b}\\n'}"));
    assert_int_equal(store_revision(f.store), before + 1);
    assert_text(result(a, 2), "metadata.namespace", "sea");
    must(&f, 200, "GET", "/api/v1/namespaces/sea/configmaps/b", NULL);
    fixture_deinit(&f);
}

static void test_addresses_are_given_once(void **state)
{
    struct fixture f;
    struct answer a;

    fixture_init(&f);
#define SERVICE(name, ip) \
    CREATE(SERVICES, "{'metadata':{'name':'" name "'},'spec':{" ip "'type':'NodePort','ports':[{'port':80}]}}")
    a = post(&f, 200, TRANSACTION(SERVICE("a", "") "," SERVICE("b", "")));
    assert_false(str_eq(json_str_at(result(a, 0), "spec.clusterIP"), json_str_at(result(a, 1), "spec.clusterIP")));
    a = post(&f, 422, TRANSACTION(SERVICE("c", "'clusterIP':'10.96.0.77',") "," SERVICE("d", "'clusterIP':'10.96.0.77',")));
    assert_non_null(strstr(a.text, "already allocated"));
    assert_non_null(strstr(a.text, "\"field\":\"writes[1]\""));
    must(&f, 404, "GET", SERVICES "/c", NULL);
    fixture_deinit(&f);
}

#define CLASSES "/apis/scheduling.k8s.io/v1/priorityclasses"

static void test_one_default_class(void **state)
{
    struct fixture f;
    struct answer a;

    fixture_init(&f);
    a = post(&f, 403,
             TRANSACTION(CREATE(CLASSES, "{'metadata':{'name':'a'},'value':1,'globalDefault':true}") ","
                         CREATE(CLASSES, "{'metadata':{'name':'b'},'value':2,'globalDefault':true}")));
    assert_non_null(strstr(a.text, "already marked as default"));
    post(&f, 200, TRANSACTION(CREATE(CLASSES, "{'metadata':{'name':'a'},'value':1,'globalDefault':true}")));
    post(&f, 200,
         TRANSACTION(DELETION(CLASSES "/a") ","
                     CREATE(CLASSES, "{'metadata':{'name':'b'},'value':2,'globalDefault':true}")));
    fixture_deinit(&f);
}

static void test_kinds_of_the_same_transaction(void **state)
{
    struct fixture f;
    struct answer a;

    fixture_init(&f);
#define DEFINITION                                                                                                     \
    CREATE("/apis/apiextensions.k8s.io/v1/customresourcedefinitions",                                                  \
           "{'metadata':{'name':'ships.sea.example'},'spec':{'group':'sea.example','scope':'Namespaced',"              \
           "'names':{'plural':'ships','singular':'ship','kind':'Ship','listKind':'ShipList'},"                         \
           "'versions':[{'name':'v1','served':true,'storage':true,'schema':{'openAPIV3Schema':{'type':'object'}}}]}}")
#define SHIP(name)                                                            \
    CREATE("/apis/sea.example/v1/namespaces/default/ships",                   \
           "{'apiVersion':'sea.example/v1','kind':'Ship','metadata':{'name':'" name "'}}")
    a = post(&f, 404, TRANSACTION(DEFINITION "," SHIP("a")));
    assert_non_null(strstr(a.text, "only after the transaction"));
    post(&f, 200, TRANSACTION(DEFINITION));
    a = post(&f, 200, TRANSACTION(SHIP("a") "," SHIP("b")));
    assert_text(result(a, 1), "kind", "Ship");
    must(&f, 200, "GET", "/apis/sea.example/v1/namespaces/default/ships/b", NULL);
    fixture_deinit(&f);
}

static void test_dry_run(void **state)
{
    struct fixture f;
    struct answer a;
    revision_t before;

    fixture_init(&f);
    must(&f, 201, "POST", CONFIGMAPS, "{'metadata':{'name':'old'},'data':{'a':'1'}}");
    before = store_revision(f.store);
    a = must(&f, 200, "POST", TRANSACTIONS "?dryRun=All",
             TRANSACTION(MAP("a") ",{'method':'PATCH','path':'" CONFIGMAPS
                                  "/old','contentType':'application/merge-patch+json','body':{'data':{'b':'2'}}}"));
    assert_text(result(a, 0), "metadata.name", "a");
    assert_text(result(a, 1), "data.b", "2");
    must(&f, 409, "POST", TRANSACTIONS "?dryRun=All", TRANSACTION(MAP("old")));
    must(&f, 400, "POST", TRANSACTIONS "?dryRun=Some", TRANSACTION(MAP("old")));
    assert_int_equal(store_revision(f.store), before);
    must(&f, 404, "GET", CONFIGMAPS "/a", NULL);
    fixture_deinit(&f);
}

static void test_nothing_to_change(void **state)
{
    struct fixture f;
    struct answer a;
    revision_t before;

    fixture_init(&f);
    must(&f, 201, "POST", CONFIGMAPS, "{'metadata':{'name':'old'},'data':{'a':'1'}}");
    before = store_revision(f.store);
    a = post(&f, 200,
             TRANSACTION("{'method':'PATCH','path':'" CONFIGMAPS
                         "/old','contentType':'application/merge-patch+json','body':{'data':{'a':'1'}}}," MAP("new")));
    assert_int_equal(store_revision(f.store), before + 1);
    assert_text(result(a, 0), "data.a", "1");
    assert_int_equal(json_int(json_at(result(a, 0), "metadata.generation"), 0), 0);
    a = must(&f, 200, "GET", CONFIGMAPS "/old", NULL);
    assert_text(a.json, "metadata.resourceVersion", at(&f, (struct answer){ .json = (struct json *)result(
        post(&f, 200, TRANSACTION("{'method':'PATCH','path':'" CONFIGMAPS
                                  "/old','contentType':'application/merge-patch+json','body':{}}")), 0) },
        "metadata.resourceVersion"));
    fixture_deinit(&f);
}

/* -- something else comes first -- */

struct rival {
    struct fixture *f;
    int times, serial;
};

/* An admission: while the transaction is planned, another client writes. */
static int interfere(void *ctx, struct request *request, struct json *object, const struct json *old, struct err *err)
{
    struct rival *rival = ctx;

    if (!str_is(json_str_at(object, "metadata.name"), "old") || !request->overlay || rival->times == 0)
        return 0;
    rival->times--;
    return client_patch(rival->f->client, &RESOURCE_CONFIGMAPS, STR("default"), STR("old"), STR_NULL, PATCH_MERGE,
                        arena_printf(rival->f->arena, "{\"data\":{\"n\":\"%d\"}}", ++rival->serial), STR("rival"), 0, NULL,
                        err);
}

static void test_conflicts(void **state)
{
    struct fixture f;
    struct rival rival = { .f = &f };
    struct answer a;
    struct err err = { 0 };

    fixture_init(&f);
    assert_int_equal(apiserver_add_admission(
                         f.server, &(struct admission){ .name = "rival", .mutate = interfere, .ctx = &rival }, &err), 0);
    must(&f, 201, "POST", CONFIGMAPS, "{'metadata':{'name':'old'},'data':{'a':'1'}}");
    rival.times = 2;
    a = post(&f, 200,
             TRANSACTION(MAP("a") ",{'method':'PATCH','path':'" CONFIGMAPS
                                  "/old','contentType':'application/merge-patch+json','body':{'data':{'b':'2'}}}"));
    assert_text(result(a, 1), "data.n", "2");
    assert_text(result(a, 1), "data.b", "2");
    assert_int_equal(rival.times, 0);

    const char *revision = at(&f, must(&f, 200, "GET", CONFIGMAPS "/old", NULL), "metadata.resourceVersion");
    char body[512];
    snprintf(body, sizeof body,
             TRANSACTION(MAP("b") ",{'method':'PUT','path':'" CONFIGMAPS
                                  "/old','body':{'metadata':{'name':'old','resourceVersion':'%s'}}}"), revision);
    rival.times = 1;
    a = post(&f, 409, body);
    assert_non_null(strstr(a.text, "\"field\":\"writes[1]\""));
    must(&f, 404, "GET", CONFIGMAPS "/b", NULL);

    rival.times = 100; /* for ever */
    a = post(&f, 409,
             TRANSACTION(MAP("c") ",{'method':'PATCH','path':'" CONFIGMAPS
                                  "/old','contentType':'application/merge-patch+json','body':{'data':{'b':'3'}}}"));
    assert_int_equal(rival.times, 84);
    must(&f, 404, "GET", CONFIGMAPS "/c", NULL);
    fixture_deinit(&f);
}

static enum authz_decision only_configmaps(void *ctx, const struct request *request, struct str *ret_reason)
{
    return str_is(request->info.plural, "secrets") ? AUTHZ_DENY : AUTHZ_NO_OPINION;
}

static void test_every_write_is_authorized(void **state)
{
    struct fixture f;
    struct answer a;
    struct err err = { 0 };

    fixture_init(&f);
    assert_int_equal(apiserver_add_authorizer(f.server, &(struct authorizer){ .name = "x", .decide = only_configmaps },
                                              &err), 0);
    a = post(&f, 403,
             TRANSACTION(MAP("a") "," CREATE("/api/v1/namespaces/default/secrets", "{'metadata':{'name':'s'}}")));
    assert_non_null(strstr(a.text, "\"field\":\"writes[1]\""));
    must(&f, 404, "GET", CONFIGMAPS "/a", NULL);
    assert_int_equal(send_raw(&f, &(struct raw){ "POST", TRANSACTIONS, TRANSACTION(MAP("a")), .user = "" }).status, 401);
    fixture_deinit(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_revision),
        cmocka_unit_test(test_events_come_in_order),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_too_many_writes),
        cmocka_unit_test(test_many_writes),
        cmocka_unit_test(test_objects_in_a_new_namespace),
        cmocka_unit_test(test_addresses_are_given_once),
        cmocka_unit_test(test_one_default_class),
        cmocka_unit_test(test_kinds_of_the_same_transaction),
        cmocka_unit_test(test_dry_run),
        cmocka_unit_test(test_nothing_to_change),
        cmocka_unit_test(test_conflicts),
        cmocka_unit_test(test_every_write_is_authorized),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
