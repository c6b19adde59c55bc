/* Deletion: graceful pods, finalizers, propagation, namespaces, collections; and binding. */
#include "fixture.h"

#include "base/buf.h"

#define MERGE "application/merge-patch+json"

static struct answer patch(struct fixture *f, const char *target, const char *body)
{
    return send_raw(f, &(struct raw){ "PATCH", target, body, MERGE });
}

static void test_unscheduled_pod_goes_at_once(void **state)
{
    struct fixture f;
    struct answer a;

    fixture_init(&f);
    must(&f, 201, "POST", PODS, POD("p"));
    a = must(&f, 200, "DELETE", PODS "/p", NULL);
    assert_string_equal(at(&f, a, "kind"), "Pod");
    must(&f, 404, "GET", PODS "/p", NULL);
    fixture_deinit(&f);
}

static void test_running_pod_has_its_grace(void **state)
{
    struct fixture f;
    struct answer a;
    revision_t before;

    fixture_init(&f);
    must(&f, 201, "POST", PODS, POD_ON("p", "n1"));
    a = must(&f, 200, "DELETE", PODS "/p", NULL);
    assert_string_equal(at(&f, a, "metadata.deletionTimestamp"), "2026-01-02T15:04:35Z");
    assert_int_equal(json_int(json_at(a.json, "metadata.deletionGracePeriodSeconds"), 0), 30);
    assert_int_equal(json_int(json_at(a.json, "metadata.generation"), 0), 2);
    before = store_revision(f.store);
    must(&f, 200, "DELETE", PODS "/p", NULL);
    must(&f, 200, "DELETE", PODS "/p?gracePeriodSeconds=60", NULL);
    assert_int_equal(store_revision(f.store), before);
    a = must(&f, 200, "DELETE", PODS "/p", "{'gracePeriodSeconds':5}");
    assert_string_equal(at(&f, a, "metadata.deletionTimestamp"), "2026-01-02T15:04:10Z");
    must(&f, 200, "GET", PODS "/p", NULL);
    must(&f, 200, "DELETE", PODS "/p?gracePeriodSeconds=0", NULL);
    must(&f, 404, "GET", PODS "/p", NULL);
    fixture_deinit(&f);
}

static void test_finished_and_forced_pods(void **state)
{
    struct fixture f;

    fixture_init(&f);
    must(&f, 201, "POST", PODS, POD_ON("done", "n1"));
    assert_int_equal(patch(&f, PODS "/done/status", "{'status':{'phase':'Succeeded'}}").status, 200);
    must(&f, 200, "DELETE", PODS "/done", NULL);
    must(&f, 404, "GET", PODS "/done", NULL);
    must(&f, 201, "POST", PODS, POD_ON("forced", "n1"));
    must(&f, 200, "DELETE", PODS "/forced", "{'kind':'DeleteOptions','apiVersion':'v1','gracePeriodSeconds':0}");
    must(&f, 404, "GET", PODS "/forced", NULL);
    fixture_deinit(&f);
}

static void test_finalizers(void **state)
{
    struct fixture f;
    struct answer a;

    fixture_init(&f);
    must(&f, 201, "POST", PODS,
         "{'metadata':{'name':'p','finalizers':['a.example/x','a.example/"
         "y']},'spec':{'containers':[{'name':'c','image':'i'}]}}");
    a = must(&f, 200, "DELETE", PODS "/p", NULL);
    assert_string_not_equal(at(&f, a, "metadata.deletionTimestamp"), "");
    a = patch(&f, PODS "/p", "{'metadata':{'finalizers':['a.example/x','b.example/z']}}");
    assert_int_equal(a.status, 422);
    assert_non_null(strstr(a.text, "no new finalizers can be added if the object is being deleted, found new "
                                   "finalizers []string{\\\"b.example/z\\\"}"));
    assert_int_equal(patch(&f, PODS "/p", "{'metadata':{'finalizers':['a.example/x']}}").status, 200);
    must(&f, 200, "GET", PODS "/p", NULL);
    assert_int_equal(patch(&f, PODS "/p", "{'metadata':{'finalizers':[]}}").status, 200);
    must(&f, 404, "GET", PODS "/p", NULL);
    fixture_deinit(&f);
}

static void test_propagation(void **state)
{
    static const struct {
        const char *kind, *query, *body;
        const char *finalizer; /* NULL: gone */
        int status;
    } cases[] = {
        { "replicasets", "", NULL, NULL, 200 },
        { "replicasets", "?propagationPolicy=Background", NULL, NULL, 200 },
        { "replicasets", "?propagationPolicy=Orphan", NULL, "orphan", 200 },
        { "replicasets", "", "{'propagationPolicy':'Foreground'}", "foregroundDeletion", 200 },
        { "replicasets", "?orphanDependents=true", NULL, "orphan", 200 },
        { "replicasets", "?orphanDependents=false", NULL, NULL, 200 },
        { "replicasets", "?propagationPolicy=Never", NULL, NULL, 422 },
        { "replicasets", "?propagationPolicy=Orphan&orphanDependents=true", NULL, NULL, 422 },
        { "replicasets", "?gracePeriodSeconds=soon", NULL, NULL, 400 },
    };
    struct fixture f;

    fixture_init(&f);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const char *base = "/apis/apps/v1/namespaces/default/replicasets";
        struct str one = arena_printf(f.arena, "%s/r%zu", base, i);
        struct str body =
            arena_printf(f.arena,
                         "{'metadata':{'name':'r%zu'},'spec':{'selector':{'matchLabels':{'a':'b'}},'template':{'"
                         "metadata':{'labels':{'a':'b'}},'spec':{'containers':[{'name':'c','image':'i'}]}}}}",
                         i);
        struct str target = arena_printf(f.arena, STR_FMT "%s", STR_ARG(one), cases[i].query);

        must(&f, 201, "POST", base, body.data);
        must(&f, cases[i].status, "DELETE", target.data, cases[i].body);
        if (cases[i].status != 200)
            continue;
        if (!cases[i].finalizer) {
            must(&f, 404, "GET", one.data, NULL);
        } else {
            struct answer a = must(&f, 200, "GET", one.data, NULL);

            assert_non_null(strstr(a.text, cases[i].finalizer));
            assert_string_not_equal(at(&f, a, "metadata.deletionTimestamp"), "");
        }
    }
    fixture_deinit(&f);
}

static void test_namespace(void **state)
{
    struct fixture f;
    struct answer a;

    fixture_init(&f);
    a = must(&f, 201, "POST", "/api/v1/namespaces", "{'metadata':{'name':'ns'}}");
    assert_string_equal(at(&f, a, "status.phase"), "Active");
    assert_string_equal(at(&f, a, "spec.finalizers"), "");
    a = must(&f, 200, "DELETE", "/api/v1/namespaces/ns", NULL);
    assert_string_equal(at(&f, a, "status.phase"), "Terminating");
    a = must(&f, 403, "POST", "/api/v1/namespaces/ns/configmaps", "{'metadata':{'name':'a'}}");
    assert_non_null(strstr(a.text, "configmaps \\\"a\\\" is forbidden: unable to create new content in namespace ns "
                                   "because it is being terminated"));
    assert_non_null(strstr(a.text, "{\"reason\":\"NamespaceTerminating\",\"message\":\"namespace ns is being "
                                   "terminated\",\"field\":\"metadata.namespace\"}"));
    must(&f, 200, "PUT", "/api/v1/namespaces/ns", "{'metadata':{'name':'ns'},'spec':{}}");
    must(&f, 200, "GET", "/api/v1/namespaces/ns", NULL);
    must(&f, 200, "PUT", "/api/v1/namespaces/ns/finalize", "{'metadata':{'name':'ns'},'spec':{}}");
    must(&f, 404, "GET", "/api/v1/namespaces/ns", NULL);
    a = must(&f, 403, "DELETE", "/api/v1/namespaces/default", NULL);
    assert_non_null(strstr(a.text, "namespaces \\\"default\\\" is forbidden: this namespace may not be deleted"));
    fixture_deinit(&f);
}

static void test_collection(void **state)
{
    struct fixture f;

    fixture_init(&f);
    must(&f, 201, "POST", PODS,
         "{'metadata':{'name':'a','labels':{'x':'1'}},'spec':{'containers':[{'name':'c','image':'i'}]}}");
    must(&f, 201, "POST", PODS,
         "{'metadata':{'name':'b','labels':{'x':'1'}},'spec':{'containers':[{'name':'c','image':'i'}]}}");
    must(&f, 201, "POST", PODS, POD("c"));
    must(&f, 200, "DELETE", PODS "?labelSelector=x%3D1", NULL);
    must(&f, 404, "GET", PODS "/a", NULL);
    must(&f, 404, "GET", PODS "/b", NULL);
    must(&f, 200, "GET", PODS "/c", NULL);
    must(&f, 200, "DELETE", PODS "?dryRun=All", NULL);
    must(&f, 200, "GET", PODS "/c", NULL);
    must(&f, 200, "DELETE", PODS, NULL);
    must(&f, 404, "GET", PODS "/c", NULL);
    fixture_deinit(&f);
}

/* "a b" of the list that a deletion answers with. */
static const char *deleted(struct fixture *f, const char *target, const char *body)
{
    struct answer a = must(f, 200, "DELETE", target, body);
    const struct json *items = json_at(a.json, "items");
    AUTO_DEINIT(buf, out) = BUF_INIT;

    assert_string_equal(at(f, a, "kind"), "PodList");
    for (uint32_t i = 0; items && i < items->count; i++)
        buf_printf(&out, "%s" STR_FMT, i ? " " : "", STR_ARG(json_str_at(&items->items[i], "metadata.name")));
    return arena_cstr(f->arena, buf_str(&out));
}

static void test_collection_by_parts(void **state)
{
    struct answer a;
    struct fixture f;

    fixture_init(&f);
    for (const char *p = "abcdef"; *p; p++)
        must(&f, 201, "POST", PODS, arena_printf(f.arena, POD("%c"), *p).data);
    must(&f, 201, "POST", PODS, POD_ON("g", "n1"));
    assert_string_equal(deleted(&f, PODS "?limit=2&dryRun=All", NULL), "a b");
    assert_string_equal(deleted(&f, PODS "?limit=2", NULL), "a b");
    a = must(&f, 200, "GET", PODS "?limit=1", NULL);
    must(&f, 201, "POST", PODS, POD("dd"));
    assert_string_equal(
        deleted(&f, arena_printf(f.arena, PODS "?limit=2&continue=%s", at(&f, a, "metadata.continue")).data, NULL),
        "d e");
    a = must(&f, 409, "DELETE", PODS "?fieldSelector=metadata.name%3Dc", "{'preconditions':{'uid':'other'}}");
    assert_string_equal(at(&f, a, "reason"), "Conflict");
    assert_string_equal(deleted(&f, PODS "?fieldSelector=spec.nodeName%3Dn1", "{'gracePeriodSeconds':5}"), "g");
    a = must(&f, 200, "GET", PODS "/g", NULL);
    assert_int_equal(json_int(json_at(a.json, "metadata.deletionGracePeriodSeconds"), 0), 5);
    assert_string_equal(deleted(&f, PODS, "{'gracePeriodSeconds':0,'propagationPolicy':'Background'}"), "c dd f g");
    assert_string_equal(deleted(&f, PODS, NULL), "");
    must(&f, 400, "DELETE", PODS "?fieldSelector=spec.foo%3Da", NULL);
    must(&f, 422, "DELETE", PODS "?resourceVersionMatch=Exact", NULL);
    must(&f, 422, "DELETE", PODS "?propagationPolicy=Never", NULL);
    fixture_deinit(&f);
}

static void test_preconditions(void **state)
{
    static const char *const refused[] = { "{'preconditions':{'uid':'other'}}",
                                           "{'preconditions':{'resourceVersion':'1'}}",
                                           "{'preconditions':{'resourceVersion':'x'}}" };
    struct answer a;
    struct fixture f;

    fixture_init(&f);
    a = must(&f, 201, "POST", PODS, POD("a"));
    for (size_t i = 0; i < ARRAY_LEN(refused); i++)
        must(&f, 409, "DELETE", PODS "/a", refused[i]);
    must(&f, 409, "DELETE", PODS "/a",
         arena_printf(f.arena, "{'preconditions':{'uid':'%s','resourceVersion':'1'}}", at(&f, a, "metadata.uid")).data);
    must(&f, 200, "DELETE", PODS "/a",
         arena_printf(f.arena, "{'preconditions':{'uid':'%s','resourceVersion':'%s'}}", at(&f, a, "metadata.uid"),
                      at(&f, a, "metadata.resourceVersion"))
             .data);
    must(&f, 404, "DELETE", PODS "/a", NULL);
    fixture_deinit(&f);
}

static void test_binding(void **state)
{
    static const char bind[] =
        "{'apiVersion':'v1','kind':'Binding','metadata':{'name':'p'},'target':{'kind':'Node','name':'n1'}}";
    struct fixture f;
    struct answer a;

    fixture_init(&f);
    must(&f, 201, "POST", PODS, POD("p"));
    must(&f, 422, "POST", PODS "/p/binding", "{'target':{'kind':'Pod','name':'n1'}}");
    must(&f, 409, "POST", PODS "/p/binding", "{'metadata':{'uid':'other'},'target':{'name':'n1'}}");
    must(&f, 201, "POST", PODS "/p/binding", bind);
    a = must(&f, 200, "GET", PODS "/p", NULL);
    assert_string_equal(at(&f, a, "spec.nodeName"), "n1");
    assert_non_null(strstr(a.text, "\"status\":\"True\",\"type\":\"PodScheduled\""));
    a = must(&f, 409, "POST", PODS "/p/binding", bind);
    assert_non_null(strstr(a.text, "pod p is already assigned to node \\\"n1\\\""));
    must(&f, 404, "POST", PODS "/q/binding", bind);
    /* The older way: a binding is created, and names its pod. */
    must(&f, 409, "POST", "/api/v1/namespaces/default/bindings", bind);
    must(&f, 400, "POST", "/api/v1/namespaces/default/bindings", "{'target':{'name':'n1'}}");
    must(&f, 201, "POST", PODS, POD("r"));
    must(&f, 201, "POST", "/api/v1/namespaces/default/bindings", "{'metadata':{'name':'r'},'target':{'name':'n1'}}");
    a = must(&f, 200, "GET", PODS "/r", NULL);
    assert_string_equal(at(&f, a, "spec.nodeName"), "n1");
    must(&f, 201, "POST", PODS "/p/eviction", "{'apiVersion':'policy/v1','kind':'Eviction','metadata':{'name':'p'}}");
    a = must(&f, 200, "GET", PODS "/p", NULL);
    assert_string_not_equal(at(&f, a, "metadata.deletionTimestamp"), "");
    fixture_deinit(&f);
}

static void test_pod_rules(void **state)
{
    static const struct {
        const char *spec, *want;
    } cases[] = {
        { "{}", "spec.containers: Required value" },
        { "{'containers':[{'name':'c'}]}", "spec.containers[0].image: Required value" },
        { "{'containers':[{'name':'C','image':'i'}]}",
          "spec.containers[0].name: Invalid value: \\'C\\': a lowercase RFC 1123 label" },
        { "{'containers':[{'name':'c','image':'i'},{'name':'c','image':'i'}]}",
          "spec.containers[1].name: Duplicate value: \\'c\\'" },
        { "{'containers':[{'name':'c','image':'i','resources':{'requests':{'cpu':'2'},'limits':{'cpu':'1'}}}]}",
          "spec.containers[0].resources.requests: Invalid value: \\'2\\': must be less than or equal to cpu limit of "
          "1" },
        { "{'containers':[{'name':'c','image':'i','ports':[{'containerPort':70000}]}]}",
          "spec.containers[0].ports[0].containerPort: Invalid value: 70000: must be between 1 and 65535, inclusive" },
        { "{'containers':[{'name':'c','image':'i','volumeMounts':[{'name':'v','mountPath':'/v'}]}]}",
          "spec.containers[0].volumeMounts[0].name: Not found: \\'v\\'" },
        { "{'restartPolicy':'Sometimes','containers':[{'name':'c','image':'i'}]}",
          "spec.restartPolicy: Unsupported value: \\'Sometimes\\': supported values: \\'Always\\', \\'Never\\', "
          "\\'OnFailure\\'" },
        { "{'containers':[{'name':'c','image':'i','livenessProbe':{}}]}",
          "spec.containers[0].livenessProbe: Required value: must specify a handler type" },
        { "{'activeDeadlineSeconds':-1,'containers':[{'name':'c','image':'i'}]}",
          "must be between 1 and 2147483647, inclusive" },
    };
    struct fixture f;
    struct answer a;

    fixture_init(&f);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct str body = arena_printf(f.arena, "{'metadata':{'name':'p'},'spec':%s}", cases[i].spec);
        struct str want = quoted(f.arena, cases[i].want);

        a = must(&f, 422, "POST", PODS, body.data);
        if (!strstr(a.text, want.data))
            fail_msg("%s: %s", cases[i].want, a.text);
    }
    must(&f, 201, "POST", PODS, POD("p"));
    a = patch(&f, PODS "/p", "{'spec':{'hostNetwork':true}}");
    assert_int_equal(a.status, 422);
    assert_non_null(strstr(a.text, "pod updates may not change fields other than"));
    a = send_raw(&f, &(struct raw){ "PATCH", PODS "/p", "{'spec':{'containers':[{'name':'c','image':'busybox:2'}]}}",
                                    "application/strategic-merge-patch+json" });
    assert_int_equal(a.status, 200);
    /* A manifest that knows nothing of the defaults is no change. */
    a = must(&f, 200, "PUT", PODS "/p",
             "{'metadata':{'name':'p'},'spec':{'containers':[{'name':'c','image':'busybox:3','imagePullPolicy':'Always'"
             "}]}}");
    fixture_deinit(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_unscheduled_pod_goes_at_once),
        cmocka_unit_test(test_running_pod_has_its_grace),
        cmocka_unit_test(test_finished_and_forced_pods),
        cmocka_unit_test(test_finalizers),
        cmocka_unit_test(test_collection_by_parts),
        cmocka_unit_test(test_preconditions),
        cmocka_unit_test(test_propagation),
        cmocka_unit_test(test_namespace),
        cmocka_unit_test(test_collection),
        cmocka_unit_test(test_binding),
        cmocka_unit_test(test_pod_rules),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
