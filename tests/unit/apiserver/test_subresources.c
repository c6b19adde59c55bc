/* Subresources of pods: what they let through, step by step. */
#include "fixture.h"

struct step {
    const char *name, *method, *target, *body, *content_type;
    int status;
    const char *contains; /* in the answer, ' for " */
};

static void walk(const struct step *steps, size_t count)
{
    struct fixture f;

    fixture_init(&f);
    for (size_t i = 0; i < count; i++) {
        const struct step *s = &steps[i];
        struct answer a = send_raw(&f, &(struct raw){ s->method, s->target, s->body, s->content_type });
        struct str want = s->contains ? quoted(f.arena, s->contains) : STR("");

        if (a.status != s->status || str_find(str_from(a.text ? a.text : ""), want) < 0)
            fail_msg("%s: status %d (want %d), answer %s (want %.*s)", s->name, a.status, s->status, a.text,
                     (int)want.len, want.data);
    }
    fixture_deinit(&f);
}

#define MERGE "application/merge-patch+json"
#define STRATEGIC "application/strategic-merge-patch+json"
#define PODS "/api/v1/namespaces/default/pods"
#define EPHEMERAL PODS "/p/ephemeralcontainers"
#define ADD(container) "{'spec':{'ephemeralContainers':[" container "]}}"

static const struct step ephemeral_steps[] = {
    { "create", "POST", PODS, "{'metadata':{'name':'p'},'spec':{'containers':[{'name':'a','image':'x'}]}}", NULL, 201,
      NULL },
    { "not with the pod", "POST", PODS,
      "{'metadata':{'name':'q'},'spec':{'containers':[{'name':'a','image':'x'}],"
      "'ephemeralContainers':[{'name':'b','image':'x'}]}}",
      NULL, 422, "spec.ephemeralContainers: Forbidden: cannot be set on create" },
    { "not by an update of the pod", "PATCH", PODS "/p", ADD("{'name':'d','image':'x'}"), STRATEGIC, 422,
      "pod updates may not change fields other than" },
    { "added", "PATCH", EPHEMERAL, ADD("{'name':'d','image':'x:1','targetContainerName':'a'}"), STRATEGIC, 200,
      "'imagePullPolicy':'IfNotPresent'" },
    { "read", "GET", EPHEMERAL, NULL, NULL, 200, "'kind':'Pod'" },
    { "another", "PATCH", EPHEMERAL, ADD("{'name':'e','image':'x'}"), STRATEGIC, 200, "'name':'d'" },
    { "changed", "PATCH", EPHEMERAL, ADD("{'name':'d','image':'y'}"), STRATEGIC, 422,
      "existing ephemeral containers \\'d\\' may not be changed" },
    { "removed", "PATCH", EPHEMERAL, "{'spec':{'ephemeralContainers':null}}", MERGE, 422,
      "existing ephemeral containers \\'d\\' may not be removed" },
    { "a name twice", "PATCH", EPHEMERAL, ADD("{'name':'a','image':'x'}"), STRATEGIC, 422,
      "spec.ephemeralContainers[0].name: Duplicate value: \\'a\\'" },
    { "no image", "PATCH", EPHEMERAL, ADD("{'name':'f'}"), STRATEGIC, 422,
      "spec.ephemeralContainers[0].image: Required value" },
    { "no such target", "PATCH", EPHEMERAL, ADD("{'name':'f','image':'x','targetContainerName':'z'}"), STRATEGIC, 422,
      "spec.ephemeralContainers[0].targetContainerName: Not found: \\'z\\'" },
    { "a probe", "PATCH", EPHEMERAL, ADD("{'name':'f','image':'x','livenessProbe':{'exec':{'command':['a']}}}"),
      STRATEGIC, 422, "livenessProbe: Forbidden: cannot be set for an Ephemeral Container" },
    { "resources", "PATCH", EPHEMERAL, ADD("{'name':'f','image':'x','resources':{'limits':{'cpu':'1'}}}"), STRATEGIC,
      422, "resources: Forbidden: cannot be set for an Ephemeral Container" },
    { "all else stays", "PATCH", EPHEMERAL, "{'metadata':{'labels':{'l':'1'}},'spec':{'activeDeadlineSeconds':1}}",
      MERGE, 200, NULL },
    { "and it did", "GET", PODS "?labelSelector=l", NULL, NULL, 200, "'items':[]" },
};

#define RESIZE PODS "/r/resize"
#define CONTAINER(resources) "{'spec':{'containers':[{'name':'a','resources':" resources "}]}}"

static const struct step resize_steps[] = {
    { "create", "POST", PODS,
      "{'metadata':{'name':'r'},'spec':{'initContainers':[{'name':'i','image':'x','resources':{'requests':{'cpu':'1'}}}],"
      "'containers':[{'name':'a','image':'x','resources':{'requests':{'cpu':'100m','memory':'64Mi'},"
      "'limits':{'cpu':'200m','memory':'128Mi','ephemeral-storage':'1Gi'}}}]}}",
      NULL, 201,
      "'resizePolicy':[{'resourceName':'cpu','restartPolicy':'NotRequired'},"
      "{'resourceName':'memory','restartPolicy':'NotRequired'}]" },
    { "not by an update of the pod", "PATCH", PODS "/r", CONTAINER("{'limits':{'cpu':'300m'}}"), STRATEGIC, 422,
      "pod updates may not change" },
    { "more", "PATCH", RESIZE, CONTAINER("{'requests':{'cpu':'150m'},'limits':{'cpu':'300m','memory':'256Mi'}}"),
      STRATEGIC, 200, "'generation':2" },
    { "read", "GET", RESIZE, NULL, NULL, 200, "'memory':'256Mi'" },
    { "less memory", "PATCH", RESIZE, CONTAINER("{'limits':{'memory':'128Mi'}}"), STRATEGIC, 422,
      "spec.containers[0].resources.limits[memory]: Forbidden: memory limits cannot be decreased unless resizePolicy is "
      "RestartContainer" },
    { "less memory with a restart", "PATCH", RESIZE,
      "{'spec':{'containers':[{'name':'a','resizePolicy':[{'resourceName':'memory','restartPolicy':'RestartContainer'}],"
      "'resources':{'limits':{'memory':'128Mi'}}}]}}",
      STRATEGIC, 200, "'memory':'128Mi'" },
    { "less cpu", "PATCH", RESIZE, CONTAINER("{'requests':{'cpu':'50m'},'limits':{'cpu':'60m'}}"), STRATEGIC, 200,
      "'cpu':'60m'" },
    { "a request above its limit", "PATCH", RESIZE, CONTAINER("{'requests':{'cpu':'2'}}"), STRATEGIC, 422,
      "must be less than or equal to cpu limit" },
    { "a limit taken away", "PATCH", RESIZE, CONTAINER("{'limits':{'cpu':null}}"), STRATEGIC, 422,
      "spec.containers[0].resources.limits: Forbidden: resource limits cannot be removed" },
    { "another class", "PATCH", RESIZE,
      CONTAINER("{'requests':{'cpu':'60m','memory':'128Mi'},'limits':{'cpu':'60m','memory':'128Mi'}}"), STRATEGIC, 200,
      NULL },
    { "another resource", "PATCH", RESIZE, CONTAINER("{'limits':{'ephemeral-storage':'2Gi'}}"), STRATEGIC, 422,
      "spec: Forbidden: only cpu and memory resources are mutable" },
    { "an init container", "PATCH", RESIZE,
      "{'spec':{'initContainers':[{'name':'i','resources':{'requests':{'cpu':'2'}}}]}}", STRATEGIC, 422,
      "only cpu and memory resources are mutable" },
    { "all else stays", "PATCH", RESIZE, "{'spec':{'activeDeadlineSeconds':1}}", MERGE, 200, NULL },
    { "guaranteed", "POST", PODS,
      "{'metadata':{'name':'g'},'spec':{'containers':[{'name':'a','image':'x','resources':"
      "{'limits':{'cpu':'1','memory':'1Gi'}}}]}}",
      NULL, 201, "'qosClass':'Guaranteed'" },
    { "it stays guaranteed", "PATCH", PODS "/g/resize", CONTAINER("{'requests':{'cpu':'500m'}}"), STRATEGIC, 422,
      "Pod QOS Class may not change as a result of resizing" },
    { "with both it does", "PATCH", PODS "/g/resize", CONTAINER("{'requests':{'cpu':'2'},'limits':{'cpu':'2'}}"),
      STRATEGIC, 200, NULL },
};

#define LOG PODS "/l/log"

/* The pod has no node: a request that is allowed gets an empty log. */
static const struct step log_steps[] = {
    { "create", "POST", PODS,
      "{'metadata':{'name':'l'},'spec':{'initContainers':[{'name':'i','image':'x'}],'containers':[{'name':'a','image':'x'},"
      "{'name':'b','image':'x'}]}}",
      NULL, 201, NULL },
    { "which one?", "GET", LOG, NULL, NULL, 400,
      "'message':'a container name must be specified for pod l, choose one of: [i a b]','reason':'BadRequest'" },
    { "not that one", "GET", LOG "?container=z", NULL, NULL, 400, "container z is not valid for pod l" },
    { "this one", "GET", LOG "?container=b&follow=0&tailLines=0&insecureSkipTLSVerifyBackend=true", NULL, NULL, 200, "" },
    { "an init container", "GET", LOG "?container=i", NULL, NULL, 200, "" },
    { "no pod", "GET", PODS "/m/log", NULL, NULL, 404, "pods \\'m\\' not found" },
    { "negative tail", "GET", LOG "?tailLines=-1", NULL, NULL, 422,
      "PodLogOptions \\'l\\' is invalid: tailLines: Invalid value: -1: must be greater than or equal to 0" },
    { "no bytes", "GET", LOG "?limitBytes=0", NULL, NULL, 422, "limitBytes: Invalid value: 0: must be greater than 0" },
    { "since never", "GET", LOG "?sinceSeconds=0", NULL, NULL, 422, "sinceSeconds: Invalid value: 0: must be greater than 0" },
    { "since twice", "GET", LOG "?sinceSeconds=1&sinceTime=2024-01-01T00:00:00Z", NULL, NULL, 422,
      "at most one of `sinceTime` or `sinceSeconds` may be specified" },
    { "no number", "GET", LOG "?tailLines=x", NULL, NULL, 400,
      "strconv.ParseInt: parsing \\'x\\': invalid syntax" },
    { "one stream", "GET", LOG "?stream=Stdout", NULL, NULL, 422, "stream: Forbidden: may not be specified" },
};

static void test_log(void **state)
{
    walk(log_steps, ARRAY_LEN(log_steps));
}

static void test_ephemeral(void **state)
{
    walk(ephemeral_steps, ARRAY_LEN(ephemeral_steps));
}

static void test_resize(void **state)
{
    walk(resize_steps, ARRAY_LEN(resize_steps));
}

/* Stored when less was asked of pods: its status is still told, the rest has to be put right. */
static void test_status_of_what_is_wrong(void **state)
{
    static const char right[] = "\"restartPolicy\":\"Always\"", wrong[] = "\"restartPolicy\":\"Seldom\"";
    struct str key = STR("/registry/pods/default/p");
    struct store_snapshot *snapshot;
    struct store_item item;
    struct fixture f;
    struct answer a;
    char *text;

    fixture_init(&f);
    must(&f, 201, "POST", PODS, "{'metadata':{'name':'p'},'spec':{'containers':[{'name':'a','image':'x'}]}}");
    assert_int_equal(store_snapshot_open(f.store, 0, &snapshot, NULL), 0);
    assert_int_equal(store_get(snapshot, key, &item, NULL), 0);
    text = arena_cstr(f.arena, item.value);
    store_snapshot_close(snapshot);
    assert_non_null(strstr(text, right));
    memcpy(strstr(text, right), wrong, sizeof wrong - 1);
    char *version = strstr(text, "\"resourceVersion\":\"") + strlen("\"resourceVersion\":\"");
    memmove(version, strchr(version, '"'), strlen(strchr(version, '"')) + 1);
    const struct store_op op = { STORE_PUT, key, str_from(text), (uint32_t)(version - text), STORE_ANY, NULL, 0 };
    const struct store_cause cause = { STR("test"), STR("test"), 0 };
    assert_int_equal(store_commit(f.store, &op, 1, &cause, NULL, NULL), 0);
    a = send_raw(&f, &(struct raw){ "PATCH", PODS "/p/status", "{'status':{'phase':'Running'}}", MERGE });
    assert_int_equal(a.status, 200);
    assert_string_equal(at(&f, a, "status.phase"), "Running");
    a = send_raw(&f, &(struct raw){ "PATCH", PODS "/p", "{'metadata':{'labels':{'a':'b'}}}", MERGE });
    assert_int_equal(a.status, 422);
    assert_non_null(strstr(a.text, "spec.restartPolicy"));
    fixture_deinit(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ephemeral),
        cmocka_unit_test(test_resize),
        cmocka_unit_test(test_log),
        cmocka_unit_test(test_status_of_what_is_wrong),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
