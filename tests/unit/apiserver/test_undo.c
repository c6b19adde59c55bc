/* Undoing a deletion: what comes back, how, by whom, and when it does not. */
#include "fixture.h"

#include "apiserver/write.h"

#define UNDO "/apis/caravel.io/v1/undo"
#define CONFIGMAPS "/api/v1/namespaces/default/configmaps"
#define SERVICES "/api/v1/namespaces/default/services"
#define WHAT(path) "{'object':'" path "'}"
#define MERGE "application/merge-patch+json"

static struct answer undo(struct fixture *f, int status, const char *body)
{
    return must(f, status, "POST", UNDO, body);
}

static uint32_t count_restored(struct answer a)
{
    const struct json *restored = json_member(a.json, "restored");

    return json_is(restored, JSON_ARRAY) ? restored->count : 0;
}

static const struct json *restored(struct answer a, uint32_t at)
{
    assert_true(at < count_restored(a));
    return &json_member(a.json, "restored")->items[at];
}

/* An object that is owned by another one. */
static const char *owned(struct fixture *f, const char *name, const char *owner, const char *uid)
{
    return arena_cstr(f->arena,
                      arena_printf(f->arena,
                                   "{'metadata':{'name':'%s','ownerReferences':[{'apiVersion':'v1','kind':'ConfigMap',"
                                   "'name':'%s','uid':'%s'}]},'data':{'k':'v'},'spec':{'containers':[{'name':'c','image':"
                                   "'i'}]}}", name, owner, uid));
}

static const char *make(struct fixture *f, const char *target, const char *body)
{
    return at(f, must(f, 201, "POST", target, body), "metadata.uid");
}

static void test_one_object(void **state)
{
    struct fixture f;
    struct answer before, after, a;
    struct store_change change;
    struct store_snapshot *snapshot;
    struct err err = { 0 };
    revision_t deletion;

    fixture_init(&f);
    must(&f, 201, "POST", CONFIGMAPS "?fieldManager=me", "{'metadata':{'name':'a','labels':{'x':'y'}},'data':{'k':'v'}}");
    before = must(&f, 200, "GET", CONFIGMAPS "/a", NULL);
    must(&f, 200, "DELETE", CONFIGMAPS "/a", NULL);
    deletion = store_revision(f.store);
    must(&f, 201, "POST", CONFIGMAPS, "{'metadata':{'name':'b'}}");

    a = undo(&f, 200, WHAT(CONFIGMAPS "/a"));
    assert_string_equal(at(&f, a, "kind"), "UndoResult");
    assert_int_equal(count_restored(a), 1);
    assert_true(str_is(json_str_at(restored(a, 0), "path"), CONFIGMAPS "/a"));
    assert_true(str_is(json_str_at(restored(a, 0), "kind"), "ConfigMap"));
    assert_string_equal(at(&f, a, "deletion.actor"), "admin");
    after = must(&f, 200, "GET", CONFIGMAPS "/a", NULL);
    assert_string_equal(at(&f, after, "metadata.uid"), at(&f, before, "metadata.uid"));
    assert_string_equal(at(&f, after, "metadata.resourceVersion"), at(&f, a, "metadata.resourceVersion"));
    json_remove(json_member(after.json, "metadata"), STR("resourceVersion"));
    json_remove(json_member(before.json, "metadata"), STR("resourceVersion"));
    assert_true(json_equal(before.json, after.json));

    assert_int_equal(store_snapshot_open(f.store, 0, &snapshot, &err), 0);
    assert_int_equal(store_change_at(snapshot, STR("/registry/configmaps/default/a"), 0, &change, &err), 0);
    assert_true(str_is(change.actor, "admin"));
    assert_true(str_is(change.rule, "undo delete"));
    assert_int_equal(change.trigger, deletion);
    assert_int_equal(change.kind, STORE_CREATED);
    store_snapshot_close(snapshot);

    undo(&f, 409, WHAT(CONFIGMAPS "/a"));
    must(&f, 200, "DELETE", CONFIGMAPS "/a", NULL);
    undo(&f, 200, WHAT(CONFIGMAPS "/a")); /* and again */
    fixture_deinit(&f);
}

static void test_refusals(void **state)
{
    static const struct {
        const char *name;
        int status;
        const char *body, *message;
    } cases[] = {
        { "no body", 400, "", "empty" },
        { "no JSON", 400, "{", "JSON" },
        { "no object", 400, "[1]", "the body is not" },
        { "another member", 400, "{'object':'/api','force':true}", "the body is not" },
        { "no path", 400, WHAT("pods/x"), "the body is not" },
        { "a malformed path", 400, WHAT("/api/v1/%zz/x"), "malformed" },
        { "a collection", 400, WHAT(CONFIGMAPS), "not the path of an object" },
        { "a subresource", 400, WHAT(PODS "/x/status"), "not the path of an object" },
        { "a route", 400, WHAT("/version"), "not the path of an object" },
        { "itself", 405, WHAT(UNDO), "" },
        { "an unknown resource", 404, WHAT("/api/v1/namespaces/default/ships/a"), "could not find" },
        { "what never was", 404, WHAT(CONFIGMAPS "/never"), "was never there" },
        { "what is there", 409, WHAT(CONFIGMAPS "/there"), "exists" },
        { "what is still going", 409, WHAT(CONFIGMAPS "/going"), "is still being deleted" },
        { "in a namespace that is gone", 404, WHAT("/api/v1/namespaces/sea/configmaps/a"), "\\\"sea\\\" not found" },
    };
    struct fixture f;
    revision_t before;

    fixture_init(&f);
    must(&f, 201, "POST", CONFIGMAPS, "{'metadata':{'name':'there'}}");
    must(&f, 201, "POST", CONFIGMAPS, "{'metadata':{'name':'going','finalizers':['a.example/x']}}");
    must(&f, 200, "DELETE", CONFIGMAPS "/going", NULL);
    must(&f, 201, "POST", "/api/v1/namespaces", "{'metadata':{'name':'sea'}}");
    must(&f, 201, "POST", "/api/v1/namespaces/sea/configmaps", "{'metadata':{'name':'a'}}");
    must(&f, 200, "DELETE", "/api/v1/namespaces/sea/configmaps/a", NULL);
    must(&f, 200, "DELETE", "/api/v1/namespaces/sea", NULL);
    must(&f, 200, "PUT", "/api/v1/namespaces/sea/finalize", "{'metadata':{'name':'sea'},'spec':{}}");
    must(&f, 404, "GET", "/api/v1/namespaces/sea", NULL);
    before = store_revision(f.store);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct answer a = send(&f, "POST", UNDO, cases[i].body);

        if (a.status != cases[i].status || !strstr(a.text, cases[i].message))
            fail_msg("%s: %d %s", cases[i].name, a.status, a.text);
        assert_int_equal(store_revision(f.store), before);
    }
    must(&f, 405, "GET", UNDO, NULL);
    fixture_deinit(&f);
}

static void test_not_retained(void **state)
{
    struct fixture f;
    struct err err = { 0 };

    fixture_init(&f);
    make(&f, CONFIGMAPS, "{'metadata':{'name':'a'}}");
    must(&f, 200, "DELETE", CONFIGMAPS "/a", NULL);
    make(&f, CONFIGMAPS, "{'metadata':{'name':'b'}}");
    assert_int_equal(store_compact(f.store, store_revision(f.store), &err), 0);
    undo(&f, 410, WHAT(CONFIGMAPS "/a"));
    fixture_deinit(&f);
}

/* What was owned comes back, whatever it took to go; what was not, or is there still, is left alone. */
static void test_dependents(void **state)
{
    struct fixture f;
    struct answer a;
    const char *owner, *middle, *stays;

    fixture_init(&f);
    owner = make(&f, CONFIGMAPS, "{'metadata':{'name':'owner'}}");
    middle = make(&f, CONFIGMAPS, owned(&f, "middle", "owner", owner));
    make(&f, PODS, owned(&f, "leaf", "middle", middle));
    make(&f, PODS, owned(&f, "earlier", "middle", middle));
    stays = make(&f, CONFIGMAPS, owned(&f, "stays", "owner", owner));
    make(&f, CONFIGMAPS, owned(&f, "other", "nobody", "00000000-0000-0000-0000-000000000000"));
    must(&f, 200, "DELETE", PODS "/earlier", NULL); /* before: it stays deleted */
    must(&f, 200, "DELETE", CONFIGMAPS "/owner", NULL);
    must(&f, 200, "DELETE", CONFIGMAPS "/other", NULL);
    must(&f, 200, "DELETE", PODS "/leaf", NULL);
    must(&f, 200, "DELETE", CONFIGMAPS "/middle", NULL);
    revision_t before = store_revision(f.store);

    a = undo(&f, 200, WHAT(CONFIGMAPS "/owner"));
    assert_int_equal(store_revision(f.store), before + 1);
    assert_int_equal(count_restored(a), 3);
    assert_true(str_is(json_str_at(restored(a, 1), "name"), "middle"));
    assert_true(str_is(json_str_at(restored(a, 1), "uid"), middle));
    assert_true(str_is(json_str_at(restored(a, 2), "name"), "leaf"));
    must(&f, 404, "GET", PODS "/earlier", NULL);
    must(&f, 404, "GET", CONFIGMAPS "/other", NULL);
    assert_string_equal(at(&f, must(&f, 200, "GET", CONFIGMAPS "/stays", NULL), "metadata.uid"), stays);
    fixture_deinit(&f);
}

static void test_a_name_that_is_taken(void **state)
{
    struct fixture f;
    struct answer a;
    const char *owner;

    fixture_init(&f);
    owner = make(&f, CONFIGMAPS, "{'metadata':{'name':'owner'}}");
    make(&f, CONFIGMAPS, owned(&f, "part", "owner", owner));
    must(&f, 200, "DELETE", CONFIGMAPS "/owner", NULL);
    must(&f, 200, "DELETE", CONFIGMAPS "/part", NULL);
    make(&f, CONFIGMAPS, "{'metadata':{'name':'part'}}");
    a = undo(&f, 409, WHAT(CONFIGMAPS "/owner"));
    assert_non_null(strstr(a.text, "\\\"part\\\" already exists"));
    assert_non_null(strstr(a.text, "\"field\":\"restored[1]\""));
    must(&f, 404, "GET", CONFIGMAPS "/owner", NULL);

    must(&f, 200, "DELETE", CONFIGMAPS "/part", NULL);
    a = undo(&f, 200, WHAT(CONFIGMAPS "/owner")); /* the one that was owned, not the one that came after it */
    assert_int_equal(count_restored(a), 2);
    a = must(&f, 200, "GET", CONFIGMAPS "/part", NULL);
    assert_non_null(json_at(a.json, "metadata.ownerReferences"));
    fixture_deinit(&f);
}

static void test_finalizers_and_grace(void **state)
{
    struct fixture f;
    struct answer a;

    fixture_init(&f);
    make(&f, CONFIGMAPS, "{'metadata':{'name':'a','finalizers':['a.example/x']}}");
    must(&f, 200, "DELETE", CONFIGMAPS "/a", NULL);
    send_raw(&f, &(struct raw){ "PATCH", CONFIGMAPS "/a", "{'metadata':{'finalizers':null}}", MERGE });
    undo(&f, 200, WHAT(CONFIGMAPS "/a"));
    a = must(&f, 200, "GET", CONFIGMAPS "/a", NULL);
    assert_null(json_at(a.json, "metadata.deletionTimestamp"));
    assert_non_null(strstr(a.text, "\"finalizers\":[\"a.example/x\"]"));

    make(&f, PODS, POD_ON("p", "n1"));
    send_raw(&f, &(struct raw){ "PATCH", PODS "/p/status", "{'status':{'phase':'Running','podIP':'10.0.0.1'}}", MERGE });
    must(&f, 200, "DELETE", PODS "/p", NULL);
    must(&f, 200, "DELETE", PODS "/p?gracePeriodSeconds=0", NULL);
    undo(&f, 200, WHAT(PODS "/p"));
    a = must(&f, 200, "GET", PODS "/p", NULL);
    assert_null(json_at(a.json, "metadata.deletionTimestamp"));
    assert_null(json_at(a.json, "metadata.deletionGracePeriodSeconds"));
    assert_null(json_at(a.json, "spec.nodeName"));
    assert_null(json_at(a.json, "status.podIP"));
    assert_string_equal(at(&f, a, "status.phase"), "Pending");
    assert_string_equal(at(&f, a, "status.qosClass"), "BestEffort");

    make(&f, PODS, POD_ON("ended", "n1"));
    send_raw(&f, &(struct raw){ "PATCH", PODS "/ended/status", "{'status':{'phase':'Succeeded'}}", MERGE });
    must(&f, 200, "DELETE", PODS "/ended", NULL);
    undo(&f, 200, WHAT(PODS "/ended"));
    a = must(&f, 200, "GET", PODS "/ended", NULL);
    assert_string_equal(at(&f, a, "status.phase"), "Succeeded");
    assert_string_equal(at(&f, a, "spec.nodeName"), "n1");
    fixture_deinit(&f);
}

static void test_services(void **state)
{
    static const char *const service =
        "{'metadata':{'name':'%s'},'spec':{'clusterIP':'10.96.0.%d','type':'NodePort','ports':[{'port':80,'nodePort':%d}]}}";
    struct fixture f;
    struct answer a;
    char body[512];

    fixture_init(&f);
    snprintf(body, sizeof body, service, "s", 77, 30077);
    make(&f, SERVICES, body);
    must(&f, 200, "DELETE", SERVICES "/s", NULL);
    undo(&f, 200, WHAT(SERVICES "/s"));
    snprintf(body, sizeof body, service, "t", 77, 30078);
    must(&f, 422, "POST", SERVICES, body); /* the address is claimed */
    snprintf(body, sizeof body, service, "t", 78, 30077);
    must(&f, 422, "POST", SERVICES, body); /* the port too */

    must(&f, 200, "DELETE", SERVICES "/s", NULL);
    snprintf(body, sizeof body, service, "t", 77, 30079);
    make(&f, SERVICES, body);
    a = undo(&f, 422, WHAT(SERVICES "/s"));
    assert_non_null(strstr(a.text, "provided IP is already allocated"));
    fixture_deinit(&f);
}

static void test_namespaces(void **state)
{
    struct fixture f;
    struct answer a;

    fixture_init(&f);
    make(&f, "/api/v1/namespaces", "{'metadata':{'name':'sea'}}");
    make(&f, "/api/v1/namespaces/sea/configmaps", "{'metadata':{'name':'a'}}");
    make(&f, "/api/v1/namespaces/sea/configmaps", "{'metadata':{'name':'before'}}");
    make(&f, "/api/v1/namespaces/sea/events",
         "{'metadata':{'name':'e','namespace':'sea'},'involvedObject':{'namespace':'sea'}}");
    must(&f, 200, "DELETE", "/api/v1/namespaces/sea/configmaps/before", NULL);
    must(&f, 200, "DELETE", "/api/v1/namespaces/sea", NULL);
    must(&f, 200, "DELETE", "/api/v1/namespaces/sea/configmaps/a", NULL);
    must(&f, 200, "DELETE", "/api/v1/namespaces/sea/events/e", NULL);
    undo(&f, 409, WHAT("/api/v1/namespaces/sea"));
    must(&f, 200, "PUT", "/api/v1/namespaces/sea/finalize", "{'metadata':{'name':'sea'},'spec':{}}");
    must(&f, 404, "GET", "/api/v1/namespaces/sea", NULL);
    a = undo(&f, 200, WHAT("/api/v1/namespaces/sea"));
    assert_int_equal(count_restored(a), 2);
    a = must(&f, 200, "GET", "/api/v1/namespaces/sea", NULL);
    assert_string_equal(at(&f, a, "status.phase"), "Active");
    assert_non_null(strstr(a.text, "\"finalizers\":[\"kubernetes\"]"));
    must(&f, 200, "GET", "/api/v1/namespaces/sea/configmaps/a", NULL);
    make(&f, "/api/v1/namespaces/sea/configmaps", "{'metadata':{'name':'new'}}");
    fixture_deinit(&f);
}

static void test_too_many(void **state)
{
    struct fixture f;
    struct answer a;
    AUTO_DEINIT(buf, body) = BUF_INIT;
    const char *uid;

    fixture_init(&f);
    uid = make(&f, CONFIGMAPS, "{'metadata':{'name':'owner'}}");
    for (int round = 0; round < 6; round++) {
        if (round == 3)
            must(&f, 200, "DELETE", CONFIGMAPS "/owner", NULL);
        buf_clear(&body);
        buf_add_cstr(&body, "{'kind':'Transaction','apiVersion':'caravel.io/v1','writes':[");
        for (int i = 0; i < 350; i++) {
            int n = round % 3 * 350 + i;

            if (round < 3)
                buf_printf(&body,
                           "%s{'method':'POST','path':'" CONFIGMAPS "','body':{'metadata':{'name':'c%d','ownerReferences'"
                           ":[{'apiVersion':'v1','kind':'ConfigMap','name':'owner','uid':'%s'}]}}}", i ? "," : "", n, uid);
            else
                buf_printf(&body, "%s{'method':'DELETE','path':'" CONFIGMAPS "/c%d'}", i ? "," : "", n);
        }
        buf_add_cstr(&body, "]}");
        must(&f, 200, "POST", "/apis/caravel.io/v1/transactions", arena_cstr(f.arena, buf_str(&body)));
    }
    a = undo(&f, 413, WHAT(CONFIGMAPS "/owner"));
    assert_non_null(strstr(a.text, "too many for one transaction"));
    must(&f, 404, "GET", CONFIGMAPS "/owner", NULL);
    fixture_deinit(&f);
}

static void test_custom_objects(void **state)
{
    struct fixture f;
    struct answer a;

    fixture_init(&f);
    make(&f, "/apis/apiextensions.k8s.io/v1/customresourcedefinitions",
         "{'metadata':{'name':'ships.sea.example'},'spec':{'group':'sea.example','scope':'Namespaced',"
         "'names':{'plural':'ships','singular':'ship','kind':'Ship','listKind':'ShipList'},"
         "'versions':[{'name':'v1','served':true,'storage':true,'schema':{'openAPIV3Schema':{'type':'object'}}}]}}");
    make(&f, "/apis/sea.example/v1/namespaces/default/ships",
         "{'apiVersion':'sea.example/v1','kind':'Ship','metadata':{'name':'a'}}");
    must(&f, 200, "DELETE", "/apis/sea.example/v1/namespaces/default/ships/a", NULL);
    a = undo(&f, 200, WHAT("/apis/sea.example/v1/namespaces/default/ships/a"));
    assert_true(str_is(json_str_at(restored(a, 0), "kind"), "Ship"));
    must(&f, 200, "GET", "/apis/sea.example/v1/namespaces/default/ships/a", NULL);
    fixture_deinit(&f);
}

static void test_dry_run(void **state)
{
    struct fixture f;
    revision_t before;

    fixture_init(&f);
    make(&f, CONFIGMAPS, "{'metadata':{'name':'a'}}");
    must(&f, 200, "DELETE", CONFIGMAPS "/a", NULL);
    before = store_revision(f.store);
    assert_int_equal(count_restored(must(&f, 200, "POST", UNDO "?dryRun=All", WHAT(CONFIGMAPS "/a"))), 1);
    assert_int_equal(store_revision(f.store), before);
    must(&f, 404, "GET", CONFIGMAPS "/a", NULL);
    fixture_deinit(&f);
}

static enum authz_decision no_creation(void *ctx, const struct request *request, struct str *ret_reason)
{
    return request->resource && request->info.verb == VERB_CREATE && str_is(request->info.plural, "secrets")
               ? AUTHZ_DENY : AUTHZ_NO_OPINION;
}

static void test_who_may(void **state)
{
    struct fixture f;
    struct err err = { 0 };

    fixture_init(&f);
    make(&f, "/api/v1/namespaces/default/secrets", "{'metadata':{'name':'a'}}");
    must(&f, 200, "DELETE", "/api/v1/namespaces/default/secrets/a", NULL);
    assert_int_equal(apiserver_add_authorizer(f.server, &(struct authorizer){ .name = "x", .decide = no_creation }, &err),
                     0);
    undo(&f, 403, WHAT("/api/v1/namespaces/default/secrets/a"));
    assert_int_equal(send_raw(&f, &(struct raw){ "POST", UNDO, WHAT(CONFIGMAPS "/a"), .user = "" }).status, 401);
    fixture_deinit(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_object),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_not_retained),
        cmocka_unit_test(test_dependents),
        cmocka_unit_test(test_a_name_that_is_taken),
        cmocka_unit_test(test_finalizers_and_grace),
        cmocka_unit_test(test_services),
        cmocka_unit_test(test_namespaces),
        cmocka_unit_test(test_too_many),
        cmocka_unit_test(test_custom_objects),
        cmocka_unit_test(test_dry_run),
        cmocka_unit_test(test_who_may),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
