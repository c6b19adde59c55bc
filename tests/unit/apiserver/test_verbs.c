/* Verbs against outcomes: what a client sends, what it gets, step by step in one cluster. */
#include "fixture.h"

#include "base/buf.h"

struct step {
    const char *name, *method, *target, *body, *content_type;
    int status;
    const char *contains; /* in the answer, ' for " */
};

static void walk(struct fixture *f, const struct step *steps, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const struct step *s = &steps[i];
        struct answer a = send_raw(f, &(struct raw){ s->method, s->target, s->body, s->content_type });
        struct str want = s->contains ? quoted(f->arena, s->contains) : STR("");

        if (a.status != s->status || str_find(str_from(a.text ? a.text : ""), want) < 0)
            fail_msg("%s: status %d (want %d), answer %s (want %.*s)", s->name, a.status, s->status, a.text,
                     (int)want.len, want.data);
    }
}

#define MERGE "application/merge-patch+json"
#define APPLY "application/apply-patch+yaml"
#define JSON_PATCH "application/json-patch+json"
#define STRATEGIC "application/strategic-merge-patch+json"
#define CM "/api/v1/namespaces/default/configmaps"

static const struct step config_map_steps[] = {
    { "create", "POST", CM, "{'metadata':{'name':'a'},'data':{'k':'1'}}", NULL, 201, "'k':'1'" },
    { "twice", "POST", CM, "{'metadata':{'name':'a'}}", NULL, 409, "configmaps \\'a\\' already exists" },
    { "get", "GET", CM "/a", NULL, NULL, 200, "'name':'a'" },
    { "absent", "GET", CM "/b", NULL, NULL, 404,
      "'message':'configmaps \\'b\\' not "
      "found','reason':'NotFound','details':{'name':'b','kind':'configmaps'},'code':404" },
    { "update", "PUT", CM "/a", "{'metadata':{'name':'a'},'data':{'k':'2'}}", NULL, 200, "'k':'2'" },
    { "stale update", "PUT", CM "/a", "{'metadata':{'name':'a','resourceVersion':'1'},'data':{'k':'2'}}", NULL, 409,
      "Operation cannot be fulfilled on configmaps \\'a\\': the object has been modified; please apply your changes to "
      "the latest version and try again" },
    { "update of nothing", "PUT", CM "/zz", "{'metadata':{'name':'zz'}}", NULL, 404, "not found" },
    { "other name", "PUT", CM "/a", "{'metadata':{'name':'b'}}", NULL, 400,
      "the name of the object (b) does not match the name on the URL (a)" },
    { "other namespace", "POST", CM, "{'metadata':{'name':'c','namespace':'kube-system'}}", NULL, 400,
      "the namespace of the provided object does not match" },
    { "merge patch", "PATCH", CM "/a", "{'data':{'k':null,'l':'3'}}", MERGE, 200, "'data':{'l':'3'}" },
    { "json patch", "PATCH", CM "/a", "[{'op':'add','path':'/data/m','value':'4'}]", JSON_PATCH, 200, "'m':'4'" },
    { "failing test", "PATCH", CM "/a", "[{'op':'test','path':'/data/m','value':'5'}]", JSON_PATCH, 422, NULL },
    { "strategic patch", "PATCH", CM "/a", "{'metadata':{'labels':{'x':'y'}}}", STRATEGIC, 200, "'x':'y'" },
    { "apply without a manager", "PATCH", CM "/a", "{}", APPLY, 422, "fieldManager: Required value" },
    { "plain JSON is no patch", "PATCH", CM "/a", "{}", "application/json", 415, "accepted media types" },
    { "patch is no object", "PATCH", CM "/a", "[]", MERGE, 400, "not a JSON object" },
    { "patch of nothing", "PATCH", CM "/zz", "{}", MERGE, 404, NULL },
    { "stale patch", "PATCH", CM "/a", "{'metadata':{'resourceVersion':'1'}}", MERGE, 409,
      "the object has been modified" },
    { "immutable", "PATCH", CM "/a", "{'immutable':true}", MERGE, 200, NULL },
    { "immutable data", "PATCH", CM "/a", "{'data':{'l':'9'}}", MERGE, 422,
      "data: Forbidden: field is immutable when `immutable` is set" },
    { "uid mismatch", "PUT", CM "/a", "{'metadata':{'name':'a','uid':'nope'}}", NULL, 409,
      "Precondition failed: UID in precondition: nope" },
    { "delete with a wrong uid", "DELETE", CM "/a", "{'preconditions':{'uid':'x'}}", NULL, 409,
      "the UID in the precondition (x) does not match" },
    { "delete", "DELETE", CM "/a", NULL, NULL, 200, "'status':'Success','details':{'name':'a','kind':'configmaps'" },
    { "delete again", "DELETE", CM "/a", NULL, NULL, 404, NULL },
    { "bad key", "POST", CM, "{'metadata':{'name':'k'},'data':{'a b':'1'}}", NULL, 422,
      "a valid config key must consist of" },
    { "secret strings", "POST", "/api/v1/namespaces/default/secrets",
      "{'metadata':{'name':'s'},'stringData':{'p':'hello'}}", NULL, 201, "'data':{'p':'aGVsbG8='}" },
    { "secret type", "PATCH", "/api/v1/namespaces/default/secrets/s", "{'type':'other'}", MERGE, 422,
      "type: Invalid value: \\'other\\': field is immutable" },
};

/* Two managers, x and y, over one ConfigMap and one Deployment. */
#define AS(manager) "?fieldManager=" manager
static const struct step apply_steps[] = {
    { "creates", "PATCH", CM "/s" AS("x"), "{'data':{'a':'1','b':'2'}}", APPLY, 201,
      "'fieldsV1':{'f:data':{'f:a':{},'f:b':{}}},'manager':'x','operation':'Apply'" },
    { "again changes nothing", "PATCH", CM "/s" AS("x"), "{'data':{'a':'1','b':'2'}}", APPLY, 200, "'a':'1','b':'2'" },
    { "YAML too", "PATCH", CM "/s" AS("x"), "data:\n  a: '1'\n  b: '2'\n", APPLY, 200, "'a':'1','b':'2'" },
    { "the same values are shared", "PATCH", CM "/s" AS("y"), "{'data':{'a':'1'}}", APPLY, 200, "'manager':'y'" },
    { "another value is a conflict", "PATCH", CM "/s" AS("y"), "{'data':{'a':'9'}}", APPLY, 409,
      "Apply failed with 1 conflict: conflict with \\'x\\' using v1: .data.a" },
    { "which names the field", "PATCH", CM "/s" AS("y"), "{'data':{'a':'9'}}", APPLY, 409,
      "'causes':[{'reason':'FieldManagerConflict','message':'conflict with \\'x\\' using v1','field':'.data.a'}]" },
    { "force takes it over", "PATCH", CM "/s" AS("y") "&force=true", "{'data':{'a':'9'}}", APPLY, 200,
      "'fieldsV1':{'f:data':{'f:b':{}}},'manager':'x'" },
    { "what is not said any more goes", "PATCH", CM "/s" AS("x"), "{}", APPLY, 200, "'data':{'a':'9'}" },
    { "an update owns what it changes", "PATCH", CM "/s" AS("z"), "{'data':{'a':'7','c':'3'}}", MERGE, 200,
      "'manager':'z','operation':'Update'" },
    { "and conflicts with an apply", "PATCH", CM "/s" AS("y"), "{'data':{'a':'9'}}", APPLY, 409,
      "conflict with \\'z\\' using v1: .data.a" },
    { "managedFields are not applied", "PATCH", CM "/s" AS("y"), "{'metadata':{'managedFields':[{'manager':'q'}]}}", APPLY, 400,
      "metadata.managedFields must be nil" },
    { "keyed lists", "PATCH", "/apis/apps/v1/namespaces/default/deployments/d" AS("x"),
      "{'spec':{'selector':{'matchLabels':{'a':'b'}},'template':{'metadata':{'labels':{'a':'b'}},"
      "'spec':{'containers':[{'name':'c','image':'i:1','ports':[{'containerPort':80}]}]}}}}", APPLY, 201,
      "'k:{\\'name\\':\\'c\\'}':{'.':{},'f:image':{},'f:name':{},"
      "'f:ports':{'k:{\\'containerPort\\':80,\\'protocol\\':\\'TCP\\'}':" },
    { "another element of another manager", "PATCH", "/apis/apps/v1/namespaces/default/deployments/d" AS("y"),
      "{'spec':{'template':{'spec':{'containers':[{'name':'side','image':'s:1'}]}}}}", APPLY, 200,
      "'image':'s:1'" },
    { "goes with that manager", "PATCH", "/apis/apps/v1/namespaces/default/deployments/d" AS("y"),
      "{'metadata':{'labels':{'l':'m'}}}", APPLY, 200, "'containers':[{'image':'i:1'" },
};

static const struct step error_steps[] = {
    { "no such resource", "GET", "/api/v1/namespaces/default/widgets", NULL, NULL, 404,
      "the server could not find the requested resource" },
    { "no such group", "GET", "/apis/nope.example/v1/things", NULL, NULL, 404, "could not find" },
    { "no such path", "GET", "/nope", NULL, NULL, 404, NULL },
    { "not served", "GET", "/apis/resource.k8s.io/v1beta1/deviceclasses", NULL, NULL, 404, NULL },
    { "method", "PUT", CM, "{}", NULL, 405, "MethodNotAllowed" },
    { "post to a name", "POST", CM "/a", "{}", NULL, 405, NULL },
    { "namespaced without namespace", "POST", "/api/v1/configmaps", "{}", NULL, 405, NULL },
    { "empty body", "POST", CM, "", NULL, 400, NULL },
    { "not JSON", "POST", CM, "{", NULL, 400, NULL },
    { "an array", "POST", CM, "[]", NULL, 400, NULL },
    { "a string", "POST", CM, "'x'", NULL, 400, NULL },
    { "wrong kind of value", "POST", CM, "{'metadata':{'name':3}}", NULL, 400,
      "ConfigMap in version \\'v1\\' cannot be handled as a ConfigMap" },
    { "wrong kind", "POST", CM, "{'kind':'Pod','apiVersion':'v1','metadata':{'name':'a'}}", NULL, 400,
      "Pod in version \\'v1\\' cannot be handled as a ConfigMap" },
    { "wrong version", "POST", CM, "{'kind':'ConfigMap','apiVersion':'apps/v1','metadata':{'name':'a'}}", NULL, 400,
      "does not match the expected API version (v1)" },
    { "protobuf", "POST", CM, "k8s", "application/vnd.kubernetes.protobuf", 400, "no valid protobuf" },
    { "no name", "POST", CM, "{}", NULL, 422,
      "ConfigMap \\'\\' is invalid: metadata.name: Required value: name or generateName is required" },
    { "bad name", "POST", CM, "{'metadata':{'name':'A_B'}}", NULL, 422,
      "a lowercase RFC 1123 subdomain must consist of" },
    { "causes", "POST", CM, "{'metadata':{'name':'A_B'}}", NULL, 422,
      "'causes':[{'reason':'FieldValueInvalid','message':'Invalid value: \\'A_B\\'" },
    { "no namespace", "POST", "/api/v1/namespaces/nope/configmaps", "{'metadata':{'name':'a'}}", NULL, 404,
      "namespaces \\'nope\\' not found" },
    { "resourceVersion in a creation", "POST", CM, "{'metadata':{'name':'a','resourceVersion':'5'}}", NULL, 400,
      "resourceVersion should not be set on objects to be created" },
    { "dry run", "POST", CM "?dryRun=All", "{'metadata':{'name':'dry'}}", NULL, 201, "'name':'dry'" },
    { "left nothing", "GET", CM "/dry", NULL, NULL, 404, NULL },
    { "other dry run", "POST", CM "?dryRun=Some", "{'metadata':{'name':'dry'}}", NULL, 400, "dryRun" },
    { "strict", "POST", CM "?fieldValidation=Strict", "{'metadata':{'name':'a'},'foo':1}", NULL, 400,
      "strict decoding error: unknown field \\'foo\\'" },
    { "strict duplicate", "POST", CM "?fieldValidation=Strict", "{'metadata':{'name':'a'},'data':{},'data':{}}", NULL,
      400, "duplicate field \\'data\\'" },
    { "bad selector", "GET", CM "?labelSelector=a%20in%20b", NULL, NULL, 400, NULL },
    { "bad field", "GET", CM "?fieldSelector=spec.x%3Dy", NULL, NULL, 400, "\\'spec.x\\' is not a known field selector: only" },
    { "bad version", "GET", CM "?resourceVersion=abc", NULL, NULL, 400, NULL },
    { "version of the future", "GET", CM "?resourceVersion=99999", NULL, NULL, 504,
      "Too large resource version: 99999" },
    { "bad token", "GET", CM "?continue=zzz", NULL, NULL, 400, "continue key is not valid" },
    { "token service", "POST", "/api/v1/namespaces/default/serviceaccounts/nobody/token", "{}", NULL, 404,
      "not found" },
    { "exec without an upgrade", "POST", PODS "/x/exec", NULL, NULL, 400, "Upgrade request required" },
    { "proxy", "GET", PODS "/x/proxy", NULL, NULL, 503, "does not reach the agents" },
    { "may I", "POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews",
      "{'spec':{'resourceAttributes':{'verb':'list','resource':'pods'}}}", NULL, 201, "'allowed':true" },
    { "what may I", "POST", "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews", "{'spec':{'namespace':'x'}}", NULL,
      201, "'resourceRules':[{" },
    { "who am I", "POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews", "{}", NULL, 201, "'userInfo':{" },
    { "a token", "POST", "/apis/authentication.k8s.io/v1/tokenreviews", "{'spec':{'token':'x'}}", NULL, 201,
      "'error':'invalid bearer token: " },
};

static const struct step deployment_steps[] = {
#define DEPLOYMENTS "/apis/apps/v1/namespaces/default/deployments"
#define TEMPLATE "'template':{'metadata':{'labels':{'a':'b'}},'spec':{'containers':[{'name':'c','image':'i'}]}}"
    { "create", "POST", DEPLOYMENTS,
      "{'metadata':{'name':'d'},'spec':{'selector':{'matchLabels':{'a':'b'}}," TEMPLATE "}}", NULL, 201,
      "'replicas':1" },
    { "defaults", "GET", DEPLOYMENTS "/d", NULL, NULL, 200,
      "'strategy':{'rollingUpdate':{'maxSurge':'25%','maxUnavailable':'25%'},'type':'RollingUpdate'}" },
    { "mismatch", "POST", DEPLOYMENTS,
      "{'metadata':{'name':'e'},'spec':{'selector':{'matchLabels':{'a':'x'}}," TEMPLATE "}}", NULL, 422,
      "Deployment.apps \\'e\\' is invalid: spec.template.metadata.labels: Invalid value: {\\'a\\':\\'b\\'}: `selector` "
      "does not match template `labels`" },
    { "no selector", "POST", DEPLOYMENTS, "{'metadata':{'name':'e'},'spec':{" TEMPLATE "}}", NULL, 422,
      "spec.selector: Required value" },
    { "restart policy", "POST", DEPLOYMENTS,
      "{'metadata':{'name':'e'},'spec':{'selector':{'matchLabels':{'a':'b'}},'template':{'metadata':{'labels':{'a':'b'}"
      "},'spec':{'restartPolicy':'Never','containers':[{'name':'c','image':'i'}]}}}}",
      NULL, 422, "Unsupported value: \\'Never\\': supported values: \\'Always\\'" },
    { "generation", "PATCH", DEPLOYMENTS "/d", "{'spec':{'replicas':3}}", MERGE, 200, "'generation':2" },
    { "labels only", "PATCH", DEPLOYMENTS "/d", "{'metadata':{'labels':{'q':'r'}}}", MERGE, 200, "'generation':2" },
    { "selector stays", "PATCH", DEPLOYMENTS "/d",
      "{'spec':{'selector':{'matchLabels':{'a':'z'}},'template':{'metadata':{'labels':{'a':'z'}}}}}", MERGE, 422,
      "spec.selector: Invalid value: {\\'matchLabels\\':{\\'a\\':\\'z\\'}}: field is immutable" },
    { "status from spec", "PATCH", DEPLOYMENTS "/d", "{'status':{'replicas':7}}", MERGE, 200, "'replicas':3" },
    { "status", "PATCH", DEPLOYMENTS "/d/status", "{'status':{'replicas':7},'spec':{'replicas':9}}", MERGE, 200,
      "'status':{'replicas':7}" },
    { "spec was kept", "GET", DEPLOYMENTS "/d/scale", NULL, NULL, 200,
      "'spec':{'replicas':3},'status':{'replicas':7,'selector':'a=b'}" },
    { "scale", "PUT", DEPLOYMENTS "/d/scale",
      "{'kind':'Scale','apiVersion':'autoscaling/"
      "v1','metadata':{'name':'d','namespace':'default'},'spec':{'replicas':5}}",
      NULL, 200, "'spec':{'replicas':5}" },
    { "scale patch", "PATCH", DEPLOYMENTS "/d/scale", "{'spec':{'replicas':6}}", MERGE, 200, "'spec':{'replicas':6}" },
    { "scaled", "GET", DEPLOYMENTS "/d", NULL, NULL, 200, "'generation':4" },
    { "negative scale", "PATCH", DEPLOYMENTS "/d/scale", "{'spec':{'replicas':-1}}", MERGE, 422,
      "must be greater than or equal to 0" },
    { "stale scale", "PUT", DEPLOYMENTS "/d/scale",
      "{'metadata':{'name':'d','resourceVersion':'1'},'spec':{'replicas':5}}", NULL, 409,
      "the object has been modified" },
    { "strategic by key", "PATCH", DEPLOYMENTS "/d",
      "{'spec':{'template':{'spec':{'containers':[{'name':'c','image':'j:1'}]}}}}", STRATEGIC, 200, "'image':'j:1'" },
    { "delete", "DELETE", DEPLOYMENTS "/d?propagationPolicy=Foreground", NULL, NULL, 200,
      "'finalizers':['foregroundDeletion']" },
    { "finalized", "PATCH", DEPLOYMENTS "/d", "{'metadata':{'finalizers':null}}", MERGE, 200, NULL },
    { "gone", "GET", DEPLOYMENTS "/d", NULL, NULL, 404, "deployments.apps \\'d\\' not found" },
};

static const struct step service_steps[] = {
#define SERVICES "/api/v1/namespaces/default/services"
    { "the first", "GET", SERVICES "/kubernetes", NULL, NULL, 200, "'clusterIP':'10.96.0.1'" },
    { "create", "POST", SERVICES, "{'metadata':{'name':'s'},'spec':{'ports':[{'port':80}]}}", NULL, 201,
      "'clusterIP':'10." },
    { "target", "GET", SERVICES "/s", NULL, NULL, 200, "'ports':[{'port':80,'protocol':'TCP','targetPort':80}]" },
    { "taken", "POST", SERVICES, "{'metadata':{'name':'t'},'spec':{'clusterIP':'10.96.0.1','ports':[{'port':80}]}}",
      NULL, 422, "failed to allocate IP 10.96.0.1: provided IP is already allocated" },
    { "outside", "POST", SERVICES, "{'metadata':{'name':'t'},'spec':{'clusterIP':'10.1.0.1','ports':[{'port':80}]}}",
      NULL, 422, "not in the valid range" },
    { "chosen", "POST", SERVICES,
      "{'metadata':{'name':'dns'},'spec':{'clusterIP':'10.96.0.10','ports':[{'port':53,'protocol':'UDP'}]}}", NULL, 201,
      "'clusterIPs':['10.96.0.10']" },
    { "headless", "POST", SERVICES, "{'metadata':{'name':'h'},'spec':{'clusterIP':'None'}}", NULL, 201,
      "'clusterIP':'None','clusterIPs':['None']" },
    { "node port", "POST", SERVICES,
      "{'metadata':{'name':'n'},'spec':{'type':'NodePort','ports':[{'port':80,'nodePort':30080}]}}", NULL, 201,
      "'nodePort':30080" },
    { "port taken", "POST", SERVICES,
      "{'metadata':{'name':'m'},'spec':{'type':'NodePort','ports':[{'port':80,'nodePort':30080}]}}", NULL, 422,
      "spec.ports[0].nodePort: Invalid value: 30080: provided port is already allocated" },
    { "port range", "POST", SERVICES,
      "{'metadata':{'name':'m'},'spec':{'type':'NodePort','ports':[{'port':80,'nodePort':80}]}}", NULL, 422,
      "The range of valid ports is 30000-32767" },
    { "blind update keeps", "PUT", SERVICES "/n",
      "{'metadata':{'name':'n'},'spec':{'type':'NodePort','ports':[{'port':80}]}}", NULL, 200, "'nodePort':30080" },
    { "to cluster only", "PATCH", SERVICES "/n", "{'spec':{'type':'ClusterIP'}}", MERGE, 200, "'type':'ClusterIP'" },
    { "port is free", "POST", SERVICES,
      "{'metadata':{'name':'m'},'spec':{'type':'NodePort','ports':[{'port':80,'nodePort':30080}]}}", NULL, 201, NULL },
    { "address stays", "PATCH", SERVICES "/dns", "{'spec':{'clusterIP':'10.96.0.11'}}", MERGE, 422,
      "may not change once set" },
    { "delete", "DELETE", SERVICES "/dns", NULL, NULL, 200, NULL },
    { "address is free", "POST", SERVICES,
      "{'metadata':{'name':'dns2'},'spec':{'clusterIP':'10.96.0.10','ports':[{'port':53}]}}", NULL, 201, NULL },
    { "no ports", "POST", SERVICES, "{'metadata':{'name':'x'}}", NULL, 422, "spec.ports: Required value" },
    { "names of ports", "POST", SERVICES, "{'metadata':{'name':'x'},'spec':{'ports':[{'port':1},{'port':2}]}}", NULL,
      422, "spec.ports[0].name: Required value" },
    { "name form", "POST", SERVICES, "{'metadata':{'name':'9x'},'spec':{'ports':[{'port':1}]}}", NULL, 422,
      "a DNS-1035 label must consist of" },
    { "external", "POST", SERVICES,
      "{'metadata':{'name':'e'},'spec':{'type':'ExternalName','externalName':'x.example'}}", NULL, 201,
      "'externalName':'x.example'" },
};

static const struct step event_steps[] = {
#define EVENTS "/api/v1/namespaces/default/events"
#define NEW_EVENTS "/apis/events.k8s.io/v1/namespaces/default/events"
    { "create old", "POST", EVENTS,
      "{'metadata':{'name':'e1'},'involvedObject':{'kind':'Pod','name':'p','namespace':'default'},'message':'hi','"
      "reason':'R','type':'Normal','source':{'component':'c'}}",
      NULL, 201, NULL },
    { "read new", "GET", NEW_EVENTS "/e1", NULL, NULL, 200, "'note':'hi'" },
    { "read new about", "GET", NEW_EVENTS "/e1", NULL, NULL, 200,
      "'regarding':{'kind':'Pod','name':'p','namespace':'default'}" },
    { "version", "GET", NEW_EVENTS "/e1", NULL, NULL, 200, "'apiVersion':'events.k8s.io/v1'" },
    { "create new", "POST", NEW_EVENTS,
      "{'metadata':{'name':'e2'},'regarding':{'kind':'Pod','name':'q','namespace':'default'},'note':'ho','reason':'S','"
      "type':'Normal','eventTime':'2026-01-02T15:04:05.000001Z','reportingController':'x/"
      "y','reportingInstance':'i','action':'a'}",
      NULL, 201, "'note':'ho'" },
    { "read old", "GET", EVENTS "/e2", NULL, NULL, 200, "'message':'ho'" },
    { "list new", "GET", NEW_EVENTS "?fieldSelector=regarding.name%3Dq", NULL, NULL, 200, "'note':'ho'" },
    { "list by object", "GET", EVENTS "?fieldSelector=involvedObject.name%3Dp,involvedObject.kind%3DPod", NULL, NULL,
      200, "'message':'hi'" },
    { "patch new", "PATCH", NEW_EVENTS "/e1",
      "{'series':{'count':2,'lastObservedTime':'2026-01-02T03:04:05.000006Z'}}", MERGE, 200, "'count':2" },
    { "what was told stays", "PATCH", NEW_EVENTS "/e1", "{'note':'hey'}", MERGE, 422, "field is immutable" },
    { "autoscaler", "POST", "/apis/autoscaling/v1/namespaces/default/horizontalpodautoscalers",
      "{'metadata':{'name':'h'},'spec':{'maxReplicas':5,'scaleTargetRef':{'kind':'Deployment','name':'d'},'"
      "targetCPUUtilizationPercentage':70}}",
      NULL, 201, "'targetCPUUtilizationPercentage':70" },
    { "as v2", "GET", "/apis/autoscaling/v2/namespaces/default/horizontalpodautoscalers/h", NULL, NULL, 200,
      "'averageUtilization':70" },
};

#define WALK(steps)                          \
    do {                                     \
        struct fixture f;                    \
        fixture_init(&f);                    \
        walk(&f, (steps), ARRAY_LEN(steps)); \
        fixture_deinit(&f);                  \
    } while (0)

static void test_apply(void **state)
{
    WALK(apply_steps);
}

static void test_config_maps(void **state)
{
    WALK(config_map_steps);
}

static void test_errors(void **state)
{
    WALK(error_steps);
}

static void test_deployments(void **state)
{
    WALK(deployment_steps);
}

static void test_services(void **state)
{
    WALK(service_steps);
}

static void test_versions(void **state)
{
    WALK(event_steps);
}

static void test_metadata(void **state)
{
    struct fixture f;
    struct answer a, b;

    fixture_init(&f);
    a = must(&f, 201, "POST", PODS,
             "{'metadata':{'generateName':'web-','uid':'mine','generation':9,'creationTimestamp':'2000-01-01T00:00:00Z'"
             "},'spec':{'containers':[{'name':'c','image':'x'}]},'status':{'phase':'Running'}}");
    assert_int_equal(strlen(at(&f, a, "metadata.name")), 9);
    assert_int_equal(strlen(at(&f, a, "metadata.uid")), UUID_LEN);
    assert_string_equal(at(&f, a, "metadata.creationTimestamp"), "2026-01-02T15:04:05Z");
    assert_int_equal(json_int(json_at(a.json, "metadata.generation"), 0), 1);
    assert_string_equal(at(&f, a, "status.phase"), "Pending");
    assert_string_equal(at(&f, a, "status.qosClass"), "BestEffort");
    assert_string_equal(at(&f, a, "metadata.namespace"), "default");
    b = must(&f, 201, "POST", PODS,
             "{'metadata':{'generateName':'web-'},'spec':{'containers':[{'name':'c','image':'x'}]}}");
    assert_string_not_equal(at(&f, a, "metadata.name"), at(&f, b, "metadata.name"));
    fixture_deinit(&f);
}

/* Equal content is not written: the revision stays. */
static void test_no_op(void **state)
{
    struct fixture f;
    struct answer a;
    revision_t before;

    fixture_init(&f);
    must(&f, 201, "POST", CM, "{'metadata':{'name':'a'},'data':{'k':'1'}}");
    before = store_revision(f.store);
    a = must(&f, 200, "PUT", CM "/a", "{'data':{'k':'1'},'metadata':{'name':'a','uid':''}}");
    assert_int_equal(store_revision(f.store), before);
    send_raw(&f, &(struct raw){ "PATCH", CM "/a", "{'data':{'k':'1'}}", MERGE });
    assert_int_equal(store_revision(f.store), before);
    assert_string_equal(at(&f, a, "data.k"), "1");
    fixture_deinit(&f);
}

static void test_warnings(void **state)
{
    struct fixture f;
    struct answer a;

    fixture_init(&f);
    a = must(&f, 201, "POST", CM, "{'metadata':{'name':'a','foo':1},'data':{}}");
    assert_int_equal(a.warnings, 1);
    assert_string_equal(a.warning, "unknown field \"metadata.foo\"");
    a = must(&f, 201, "POST", CM "?fieldValidation=Ignore", "{'metadata':{'name':'b','foo':1}}");
    assert_int_equal(a.warnings, 0);
    fixture_deinit(&f);
}

static void test_formats(void **state)
{
    struct fixture f;
    struct answer a;

    fixture_init(&f);
    a = send_raw(&f, &(struct raw){ "POST", CM, "metadata:\n  name: yam\ndata:\n  a: b\n", "application/yaml" });
    assert_int_equal(a.status, 201);
    a = send_raw(&f, &(struct raw){ "GET", CM "/yam", NULL, NULL, "application/yaml" });
    assert_non_null(strstr(a.text, "data:\n  a: b\n"));
    assert_string_equal(a.content_type, "application/yaml");
    a = send_raw(&f,
                 &(struct raw){ "GET", CM "/yam", NULL, NULL, "application/vnd.kubernetes.protobuf,application/json" });
    assert_int_equal(a.status, 200);
    assert_string_equal(a.content_type, "application/vnd.kubernetes.protobuf");
    a = send_raw(&f, &(struct raw){ "GET", CM "/yam", NULL, NULL, "application/xml" });
    assert_int_equal(a.status, 406);
    a = send_raw(&f, &(struct raw){ "GET", CM "/yam", NULL, NULL,
                                    "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1" });
    assert_string_equal(at(&f, a, "kind"), "PartialObjectMetadata");
    assert_null(json_at(a.json, "data"));
    a = send_raw(&f, &(struct raw){ "GET", CM "/yam", NULL, NULL,
                                    "application/json;as=Table;v=v1;g=meta.k8s.io,application/json" });
    assert_string_equal(at(&f, a, "kind"), "Table");
    assert_int_equal(json_at(a.json, "rows")->count, 1);
    a = send(&f, "GET", CM "/yam?pretty=true", NULL);
    assert_non_null(strstr(a.text, "\n  \""));
    fixture_deinit(&f);
}

static void test_users(void **state)
{
    struct fixture f;
    struct answer a;

    fixture_init(&f);
    a = send_raw(&f, &(struct raw){ "GET", CM, .user = "" });
    assert_int_equal(a.status, 401);
    assert_string_equal(at(&f, a, "reason"), "Unauthorized");
    a = send_raw(&f, &(struct raw){ "GET", "/healthz", .user = "" });
    assert_int_equal(a.status, 200);
    assert_string_equal(a.text, "ok");
    a = send_raw(&f, &(struct raw){ "GET", "/livez/ping", .user = "" });
    assert_int_equal(a.status, 200);
    a = send_raw(&f, &(struct raw){ "GET", "/livezz", .user = "" });
    assert_int_equal(a.status, 401);
    fixture_deinit(&f);
}

static void test_heartbeat(void **state)
{
    struct fixture f;
    struct node_session session;
    struct answer a;

    fixture_init(&f);
    a = send_raw(&f, &(struct raw){ "POST", "/apis/caravel.io/v1/nodes/n1/heartbeat", "", .user = "system:node:n1" });
    assert_int_equal(a.status, 404); /* its agent shall register it */
    assert_int_equal(node_sessions_count(f.sessions), 0);
    a = send_raw(&f, &(struct raw){ "POST", "/api/v1/nodes", "{'metadata':{'name':'n1'}}" });
    assert_int_equal(a.status, 201);
    a = send_raw(&f, &(struct raw){ "POST", "/apis/caravel.io/v1/nodes/n1/heartbeat", "{'applied':7}",
                                    .user = "system:node:n1" });
    assert_int_equal(a.status, 0); /* let in: what is said then is streamed (test_apiserver_http.c) */
    assert_false(node_sessions_get(f.sessions, STR("n1"), &session));
    a = send_raw(&f, &(struct raw){ "POST", "/apis/caravel.io/v1/nodes/n1/heartbeat", "", .user = "system:node:n2" });
    assert_int_equal(a.status, 403);
    assert_int_equal(node_sessions_count(f.sessions), 0);
    must(&f, 405, "GET", "/apis/caravel.io/v1/nodes/n1/heartbeat", NULL);
    must(&f, 404, "POST", "/apis/caravel.io/v1/nodes/n1/heartbeat/x", "");
    must(&f, 404, "POST", "/apis/caravel.io/v1/namespaces/default/nodes/n1/heartbeat", "");
    must(&f, 404, "GET", "/apis/caravel.io/v1/nodes", NULL);
    fixture_deinit(&f);
}

/* Bodies made to hurt: each is refused with a Status, none is stored. */
static void test_hostile_bodies(void **state)
{
    static const struct {
        const char *name, *open, *inside, *close, *type;
        int depth, status;
    } cases[] = {
        { "deep arrays", "[", "1", "]", NULL, 100000, 400 },
        { "deep objects", "{'a':", "1", "}", NULL, 100000, 400 },
        { "unclosed", "[", "", "", NULL, 100000, 400 },
        { "deep YAML", "[", "1", "]", "application/yaml", 20000, 400 },
        { "alias bomb", "",
          "a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b]\n"
          "d: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c]\ne: &e [*d,*d,*d,*d,*d,*d,*d,*d,*d]\nf: &f [*e,*e,*e,*e,*e,*e,*e,*e,*e]\n"
          "g: &g [*f,*f,*f,*f,*f,*f,*f,*f,*f]\nh: &h [*g,*g,*g,*g,*g,*g,*g,*g,*g]\ni: [*h,*h,*h,*h,*h,*h,*h,*h,*h]\n",
          "", "application/yaml", 1, 413 },
        { "bad UTF-8", "", "{'metadata':{'name':'\xff\xfe'}}", "", NULL, 1, 400 },
        { "two documents", "", "{'metadata':{'name':'a'}}{'x':1}", "", NULL, 1, 400 },
        { "unknown members only", "", "{'metadata':{'name':'ok'},'x':{'y':[1,2,{'z':null}]}}", "", NULL, 1, 201 },
    };
    struct fixture f;

    fixture_init(&f);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        AUTO_DEINIT(buf, body) = BUF_INIT;
        struct answer a;

        for (int j = 0; j < cases[i].depth; j++)
            buf_add_cstr(&body, cases[i].open);
        buf_add_cstr(&body, cases[i].inside);
        for (int j = 0; j < cases[i].depth; j++)
            buf_add_cstr(&body, cases[i].close);
        buf_add_char(&body, '\0');
        a = send_raw(&f, &(struct raw){ "POST", CM, body.data, cases[i].type });
        if (a.status != cases[i].status)
            fail_msg("%s: %d: %.300s", cases[i].name, a.status, a.text);
    }
    fixture_deinit(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_config_maps),
        cmocka_unit_test(test_apply), cmocka_unit_test(test_errors),    cmocka_unit_test(test_deployments),
        cmocka_unit_test(test_services),    cmocka_unit_test(test_versions),  cmocka_unit_test(test_metadata),
        cmocka_unit_test(test_no_op),       cmocka_unit_test(test_warnings),  cmocka_unit_test(test_formats),
        cmocka_unit_test(test_users),       cmocka_unit_test(test_heartbeat), cmocka_unit_test(test_hostile_bodies),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
