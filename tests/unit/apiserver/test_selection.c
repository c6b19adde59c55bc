/* Selections that cost what they return: by node, owner, name and namespace, in lists and watches; and events that are
 * parsed once for all. */
#include "fixture.h"

#include "apiserver/indexed.h"
#include "apiserver/watch.h"
#include "base/buf.h"

#define WATCHERS 200

struct local {
    struct client_watch *watch;
    int ready;
};

static void count_ready(void *arg)
{
    ((struct local *)arg)->ready++;
}

static void local_watch(struct fixture *f, struct local *local, const char *labels, const char *fields)
{
    struct client_call call = { .verb = CLIENT_LIST,
                                .resource = &RESOURCE_PODS,
                                .label_selector = str_from(labels),
                                .field_selector = str_from(fields) };
    struct err err = { 0 };

    local->ready = 0;
    if (f->client->ops->watch(f->client, &call, store_revision(f->store), count_ready, local, &local->watch, &err) < 0)
        fail_msg("%s", err.message);
}

static const char kinds[] = { [WATCH_ADDED] = '+', [WATCH_MODIFIED] = '~', [WATCH_DELETED] = '-' };

/* "+a ~a " */
static void assert_seen(struct fixture *f, struct local *local, const char *want)
{
    AUTO_DEINIT(buf, got) = BUF_INIT;
    struct watch_event event;
    struct err err = { 0 };
    int code;

    while ((code = local->watch->next(local->watch, &event, &err)) > 0) {
        ssize_t slash = str_chr(event.object->key, '/');

        buf_printf(&got, "%c" STR_FMT " ", kinds[event.kind], STR_ARG(str_skip(event.object->key, (size_t)slash + 1)));
        object_unref(event.object);
    }
    if (code < 0)
        fail_msg("%s", err.message);
    buf_add_char(&got, '\0');
    assert_string_equal(got.data, want);
}

/* The names of a list inside the process. */
static int add_name(void *arg, struct str text, struct err *err)
{
    struct buf *names = arg;
    AUTO(arena) arena = arena_new(0);
    struct json *json;

    assert_int_equal(json_parse(arena, text, NULL, &json, err), 0);
    buf_printf(names, STR_FMT " ", STR_ARG(json_str_at(json, "metadata.name")));
    return 0;
}

static int try_list(struct fixture *f, const char *fields, struct buf *names, struct err *err)
{
    struct client_call call = { .verb = CLIENT_LIST, .resource = &RESOURCE_PODS, .field_selector = str_from(fields) };

    return f->client->ops->call(f->client, &call, add_name, names, NULL, NULL, err);
}

static void assert_listed(struct fixture *f, const char *fields, const char *want)
{
    AUTO_DEINIT(buf, names) = BUF_INIT;
    struct err err = { 0 };

    if (try_list(f, fields, &names, &err) < 0)
        fail_msg("%s", err.message);
    buf_add_char(&names, '\0');
    assert_string_equal(names.data, want);
}

static void test_node_watchers(void **state)
{
    static struct local nodes[WATCHERS];
    struct local all, unbound;
    struct fixture f;
    int woken = 0;

    fixture_init(&f);
    local_watch(&f, &all, "", "");
    local_watch(&f, &unbound, "", "spec.nodeName=");
    for (int i = 0; i < WATCHERS; i++) {
        struct str field = arena_printf(f.arena, "spec.nodeName=node-%d", i);
        local_watch(&f, &nodes[i], "", field.data);
    }
    must(&f, 201, "POST", PODS, POD_ON("a", "node-7"));
    assert_int_equal(unbound.ready, 0);
    must(&f, 201, "POST", PODS, POD("b"));
    assert_listed(&f, "spec.nodeName=", "b ");
    for (int i = 0; i < WATCHERS; i++)
        woken += nodes[i].ready;
    assert_int_equal(woken, 1);
    assert_seen(&f, &nodes[7], "+a ");
    must(&f, 201, "POST", PODS "/b/binding", "{'target':{'name':'node-8'}}");
    assert_seen(&f, &nodes[8], "+b ");
    must(&f, 200, "DELETE", PODS "/a?gracePeriodSeconds=0", NULL);
    assert_seen(&f, &nodes[7], "-a ");
    assert_seen(&f, &all, "+a +b ~b -a ");
    woken = 0;
    for (int i = 0; i < WATCHERS; i++)
        woken += nodes[i].ready;
    assert_int_equal(woken, 3);
    assert_seen(&f, &unbound, "+b -b ");
    assert_listed(&f, "spec.nodeName=", "");
    assert_listed(&f, "spec.nodeName=node-8", "b ");
    assert_listed(&f, "spec.nodeName=node-7", "");
    assert_listed(&f, "spec.nodeName!=node-7", "b ");
    for (int i = 0; i < WATCHERS; i++)
        nodes[i].watch->free(nodes[i].watch);
    all.watch->free(all.watch);
    unbound.watch->free(unbound.watch);
    fixture_deinit(&f);
}

static void test_owner(void **state)
{
    AUTO_DEINIT(buf, names) = BUF_INIT;
    struct local local;
    struct fixture f;
    struct err err = { 0 };

    fixture_init(&f);
    local_watch(&f, &local, "", FIELD_OWNER "=u1");
    must(&f, 201, "POST", PODS,
         "{'metadata':{'name':'a','ownerReferences':[{'apiVersion':'v1','kind':'X','name':'x','uid':'u1'},"
         "{'apiVersion':'v1','kind':'X','name':'y','uid':'u2'}]},"
         "'spec':{'containers':[{'name':'c','image':'i'}]}}");
    must(&f, 201, "POST", PODS, POD("b"));
    assert_listed(&f, FIELD_OWNER "=u1", "a ");
    assert_listed(&f, FIELD_OWNER "=u2", "a ");
    assert_listed(&f, FIELD_OWNER "=u3", "");
    struct answer a = send_raw(&f, &(struct raw){ "PATCH", PODS "/a", "{'metadata':{'ownerReferences':null}}",
                                                  "application/merge-patch+json" });
    assert_int_equal(a.status, 200);
    assert_seen(&f, &local, "+a -a ");
    assert_int_equal(try_list(&f, FIELD_OWNER "!=u1", &names, &err), -ERR_BAD_REQUEST);
    must(&f, 400, "GET", PODS "?fieldSelector=" FIELD_OWNER "%3Du1", NULL);
    local.watch->free(local.watch);
    fixture_deinit(&f);
}

/* -- parsed once, encoded never -- */

static void test_parsed_once(void **state)
{
    static struct local watchers[WATCHERS];
    struct fixture f;

    fixture_init(&f);
    for (int i = 0; i < WATCHERS; i++)
        local_watch(&f, &watchers[i], i % 2 ? "l=x" : "l in (y,z)", i % 3 ? "" : "status.phase!=Failed");
    must(&f, 201, "POST", PODS,
         "{'metadata':{'name':'a','labels':{'l':'x'}},'spec':{'containers':[{'name':'c','image':'i'}]}}");
    must(&f, 201, "POST", PODS, POD("b"));
    assert_int_equal(atomic_load(&f.server->facts_made), 0);
    for (int i = 0; i < WATCHERS; i++)
        assert_seen(&f, &watchers[i], i % 2 ? "+a " : "");
    assert_int_equal(atomic_load(&f.server->facts_made), 2);
    for (int i = 0; i < WATCHERS; i++)
        watchers[i].watch->free(watchers[i].watch);
    fixture_deinit(&f);
}

static void ignore_ready(void *arg)
{
}

static void test_one_buffer_for_all(void **state)
{
    static struct watch *watches[1000];
    const struct selection selection = { .resource = &RESOURCE_PODS };
    struct blob *first = NULL;
    struct request request;
    struct err err = { 0 };
    struct fixture f;

    fixture_init(&f);
    request_init(&request, f.server, f.arena);
    request.resource = &RESOURCE_PODS;
    for (size_t i = 0; i < ARRAY_LEN(watches); i++) {
        assert_int_equal(watch_open_with(&request, &selection, store_revision(f.store), &watches[i], &err), 0);
        assert_int_equal(watch_start(watches[i], ignore_ready, NULL, &err), 0);
    }
    must(&f, 201, "POST", PODS, POD("a"));
    for (size_t i = 0; i < ARRAY_LEN(watches); i++) {
        struct watched watched;
        struct blob *blob = NULL;
        struct str text;

        assert_int_equal(watch_next(watches[i], &watched, &err), 1);
        assert_int_equal(watch_text(watches[i], &watched, &text, &blob, &err), 0);
        first = first ? first : blob;
        assert_ptr_equal(blob, first);
        assert_ptr_equal(text.data, first->data);
        store_event_unref(watched.event);
        watch_close(watches[i]);
    }
    assert_int_equal(atomic_load(&f.server->facts_made), 0);
    fixture_deinit(&f);
}

/* -- names and namespaces -- */

static void assert_scope(struct fixture *f, const char *path_ns, const char *fields, const char *prefix, bool exact,
                         const char *term)
{
    struct selection selection;
    struct store_scope scope;
    struct request request;
    struct err err = { 0 };

    request_init(&request, f->server, f->arena);
    request.resource = &RESOURCE_PODS;
    request.info.ns = str_from(path_ns);
    request.info.verb = VERB_LIST;
    assert_int_equal(selection_parse(&request, STR(""), str_from(fields), &selection, &err), 0);
    assert_int_equal(selection_scope(&request, &selection, &scope, &err), 0);
    assert_string_equal(arena_cstr(f->arena, scope.prefix), prefix);
    assert_int_equal(scope.exact, exact);
    assert_string_equal(arena_cstr(f->arena, scope.term), term);
}

static void test_scopes(void **state)
{
    static const struct {
        const char *ns, *fields, *prefix;
        bool exact;
        const char *term;
    } cases[] = {
        { "", "", "/registry/pods/", false, "" },
        { "a", "", "/registry/pods/a/", false, "" },
        { "", "metadata.namespace=a", "/registry/pods/a/", false, "" },
        { "", "metadata.namespace!=a", "/registry/pods/", false, "" },
        { "a", "metadata.name=x", "/registry/pods/a/x", true, "" },
        { "a", "metadata.name!=x", "/registry/pods/a/", false, "" },
        { "", "metadata.name=x", "/registry/pods/", false, "" },
        { "", "metadata.name=x,metadata.namespace=a", "/registry/pods/a/x", true, "" },
        { "a", "metadata.name=x,metadata.namespace=b", "/registry/pods/a/x", true, "" },
        { "", "spec.nodeName=n", "/registry/pods/", false, "spec.nodeName=n" },
        { "a", "spec.nodeName==n,status.phase!=Failed", "/registry/pods/a/", false, "spec.nodeName=n" },
        { "", "spec.nodeName=", "/registry/pods/", false, "spec.nodeName=" },
        { "", "spec.nodeName!=", "/registry/pods/", false, "" },
        { "", "spec.nodeName=,status.phase=Pending", "/registry/pods/", false, "spec.nodeName=" },
        { "a", "spec.nodeName=n,metadata.name=x", "/registry/pods/a/x", true, "" },
    };
    struct fixture f;

    fixture_init(&f);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        assert_scope(&f, cases[i].ns, cases[i].fields, cases[i].prefix, cases[i].exact, cases[i].term);
    fixture_deinit(&f);
}

/* -- field selectors, resource by resource -- */

static void test_supported_fields(void **state)
{
    static const struct {
        const char *target, *fields;
        const char *message; /* NULL: supported */
    } cases[] = {
        { PODS, "metadata.name=a,metadata.namespace=b,spec.nodeName=c,spec.restartPolicy=d,spec.schedulerName=e",
          NULL },
        { PODS, "spec.serviceAccountName=a,spec.hostNetwork=true,status.phase=b,status.podIP=c,status.podIPs=d", NULL },
        { PODS, "status.nominatedNodeName=a,spec.host=b", NULL },
        { PODS, "spec.foo=a", "field label not supported: spec.foo" },
        { PODS, "spec.foo!=a", "field label not supported: spec.foo" },
        { "/api/v1/nodes", "metadata.name=a,spec.unschedulable=true", NULL },
        { "/api/v1/nodes", "metadata.namespace=a", "field label not supported: metadata.namespace" },
        { "/api/v1/namespaces", "status.phase=Active", NULL },
        { "/api/v1/namespaces", "name=a", "field label not supported: name" },
        { "/api/v1/secrets", "type=Opaque", NULL },
        { "/api/v1/services", "spec.clusterIP=None,spec.type=ClusterIP", NULL },
        { "/api/v1/replicationcontrollers", "status.replicas=1", NULL },
        { "/apis/apps/v1/replicasets", "status.replicas=1", NULL },
        { "/apis/batch/v1/jobs", "status.successful=1", NULL },
        { "/apis/batch/v1/jobs", "status.failed=1", "field label \"status.failed\" not supported for Job" },
        { "/apis/certificates.k8s.io/v1/certificatesigningrequests", "spec.signerName=a", NULL },
        { "/api/v1/events", "involvedObject.kind=a,involvedObject.namespace=a,involvedObject.name=a", NULL },
        { "/api/v1/events", "involvedObject.uid=a,involvedObject.apiVersion=a,involvedObject.resourceVersion=a", NULL },
        { "/api/v1/events", "involvedObject.fieldPath=a,reason=a,reportingComponent=a,source=a,type=a", NULL },
        { "/api/v1/events", "regarding.kind=a", "field label not supported: regarding.kind" },
        { "/apis/events.k8s.io/v1/events", "regarding.kind=a,regarding.name=b,reportingController=c,reason=d", NULL },
        { "/apis/events.k8s.io/v1/events", "involvedObject.kind=a", "field label not supported: involvedObject.kind" },
        { "/api/v1/configmaps", "metadata.name=a,metadata.namespace=b", NULL },
        { "/api/v1/configmaps", "data.x=a",
          "\"data.x\" is not a known field selector: only \"metadata.name\", \"metadata.namespace\"" },
        { "/apis/apps/v1/deployments", "status.replicas=1",
          "\"status.replicas\" is not a known field selector: only \"metadata.name\", \"metadata.namespace\"" },
        { "/api/v1/persistentvolumes", "metadata.namespace=a", NULL },
    };
    struct fixture f;

    fixture_init(&f);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        AUTO_DEINIT(buf, escaped) = BUF_INIT;

        for (const char *p = cases[i].fields; *p; p++)
            if (*p == '=' || *p == ',' || *p == '!')
                buf_printf(&escaped, "%%%02X", (unsigned)*p);
            else
                buf_add_char(&escaped, *p);
        struct str target =
            arena_printf(f.arena, "%s?fieldSelector=" STR_FMT, cases[i].target, STR_ARG(buf_str(&escaped)));
        struct answer a = must(&f, cases[i].message ? 400 : 200, "GET", target.data, NULL);
        if (cases[i].message) {
            assert_string_equal(at(&f, a, "message"), cases[i].message);
            assert_string_equal(at(&f, a, "reason"), "BadRequest");
        }
    }
    fixture_deinit(&f);
}

static void test_field_values(void **state)
{
    static const struct {
        const char *fields, *want;
    } cases[] = {
        { "status.phase=Pending", "a b " },
        { "spec.hostNetwork=true", "b " },
        { "spec.hostNetwork=false", "a " },
        { "spec.restartPolicy!=Always", "b " },
        { "spec.schedulerName=default-scheduler", "a b " },
        { "status.podIPs=10.0.0.1", "" },
        { "status.podIPs=", "a b " },
        { "spec.nodeName=", "a " },
        { "spec.nodeName!=", "b " },
        { "spec.host=n1", "b " },
        { "metadata.namespace=default,metadata.name!=a", "b " },
        { "metadata.namespace=other", "" },
        { "metadata.name=b", "b " },
        { "metadata.name=c", "" },
    };
    struct fixture f;

    fixture_init(&f);
    must(&f, 201, "POST", PODS, POD("a"));
    must(&f, 201, "POST", PODS,
         "{'metadata':{'name':'b'},'spec':{'nodeName':'n1','hostNetwork':true,'restartPolicy':'Never',"
         "'containers':[{'name':'c','image':'i'}]}}");
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        assert_listed(&f, cases[i].fields, cases[i].want);
    fixture_deinit(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_node_watchers), cmocka_unit_test(test_owner),
        cmocka_unit_test(test_parsed_once),   cmocka_unit_test(test_one_buffer_for_all),
        cmocka_unit_test(test_scopes),        cmocka_unit_test(test_supported_fields),
        cmocka_unit_test(test_field_values),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
