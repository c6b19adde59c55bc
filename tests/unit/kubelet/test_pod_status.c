/* test_pod_status.c - from what the runtime has to what the API is told. */
#include "sync.h"

#include "schema/view.h"

/* "Running | a:running,ready b:waiting(X) | SIRC": the conditions that are true by their first letters, in order:
 * sandbox, Initialized, Ready, ContainersReady. */
static void render(const struct pod_status *status, struct buf *text)
{
    const struct container_status_array *lists[] = { &status->init_container_statuses, &status->container_statuses };

    buf_printf(text, STR_FMT " |", STR_ARG(status->phase));
    for (size_t l = 0; l < ARRAY_LEN(lists); l++)
        for (size_t i = 0; i < lists[l]->count; i++) {
            const struct container_status *one = &lists[l]->items[i];

            buf_printf(text, " " STR_FMT ":", STR_ARG(one->name));
            if (one->state.running)
                buf_add_cstr(text, "running");
            if (one->state.waiting)
                buf_printf(text, "waiting(" STR_FMT ")", STR_ARG(one->state.waiting->reason));
            if (one->state.terminated)
                buf_printf(text, "terminated(" STR_FMT ",%d)", STR_ARG(one->state.terminated->reason),
                           one->state.terminated->exit_code);
            if (one->last_state.terminated)
                buf_printf(text, ",last(" STR_FMT ",%d)", STR_ARG(one->last_state.terminated->reason),
                           one->last_state.terminated->exit_code);
            if (one->restart_count)
                buf_printf(text, ",restarts(%d)", one->restart_count);
            if (one->ready)
                buf_add_cstr(text, ",ready");
        }
    buf_add_cstr(text, " | ");
    for (size_t i = 0; i < status->conditions.count; i++)
        buf_add_char(text, str_is(status->conditions.items[i].status, "True") ? "SIRC"[i] : '-');
    for (size_t i = 0; i < status->conditions.count; i++)
        if (status->conditions.items[i].reason.len)
            buf_printf(text, " " STR_FMT, STR_ARG(status->conditions.items[i].reason));
    buf_add_char(text, 0);
}

#define ALWAYS "'restartPolicy':'Always',"
#define FAILURE "'restartPolicy':'OnFailure',"
#define NEVER "'restartPolicy':'Never',"
#define A "'containers':[{'name':'a'}]"
#define AB "'containers':[{'name':'a'},{'name':'b'}]"
#define IJ "'initContainers':[{'name':'i'},{'name':'j'}],"
#define SIDE "'initContainers':[{'name':'s','restartPolicy':'Always'}],"
#define PROBED "'containers':[{'name':'a','readinessProbe':{'tcpSocket':{'port':1}}}]"

enum { NETWORK = 1, STOPPING = 2, DEADLINE = 4, PROBE_READY = 8, HOOKED = 16 };

static const struct {
    const char *spec, *containers, *reason; /* reason: the first container's */
    int flags;
    const char *want;
} cases[] = {
    /* before anything runs */
    { ALWAYS A, "", NULL, 0, "Pending | a:waiting(ContainerCreating) | -I-- ContainersNotReady ContainersNotReady" },
    { ALWAYS IJ A, "", NULL, 0,
      "Pending | i:waiting(PodInitializing) j:waiting(PodInitializing) a:waiting(PodInitializing) | ---- "
      "ContainersNotInitialized ContainersNotReady ContainersNotReady" },
    { ALWAYS A, "", "ErrImagePull", NETWORK,
      "Pending | a:waiting(ErrImagePull) | SI-- ContainersNotReady ContainersNotReady" },
    /* running */
    { ALWAYS A, "a:run", NULL, NETWORK, "Running | a:running,ready | SIRC" },
    { ALWAYS AB, "a:run", NULL, NETWORK,
      "Pending | a:running,ready b:waiting(ContainerCreating) | SI-- ContainersNotReady ContainersNotReady" },
    { ALWAYS PROBED, "a:run", NULL, NETWORK, "Running | a:running | SI-- ContainersNotReady ContainersNotReady" },
    { ALWAYS PROBED, "a:run", NULL, NETWORK | PROBE_READY, "Running | a:running,ready | SIRC" },
    { ALWAYS A, "a:run", NULL, NETWORK | HOOKED,
      "Pending | a:waiting(ContainerCreating) | SI-- ContainersNotReady ContainersNotReady" },
    /* crashes */
    { ALWAYS A, "a:1", NULL, NETWORK, "Running | a:terminated(Error,1) | SI-- ContainersNotReady ContainersNotReady" },
    { ALWAYS A, "a#1:1 a:0", "CrashLoopBackOff", NETWORK,
      "Running | a:waiting(CrashLoopBackOff),last(Error,1),restarts(1) | SI-- ContainersNotReady ContainersNotReady" },
    { ALWAYS A, "a:137oom a#1:run", NULL, NETWORK, "Running | a:running,last(OOMKilled,137),restarts(1),ready | SIRC" },
    { ALWAYS A, "a:lost", NULL, NETWORK,
      "Running | a:terminated(ContainerStatusUnknown,137) | SI-- ContainersNotReady ContainersNotReady" },
    { FAILURE A, "a:2", NULL, NETWORK, "Running | a:terminated(Error,2) | SI-- ContainersNotReady ContainersNotReady" },
    /* ends */
    { FAILURE A, "a:0", NULL, NETWORK,
      "Succeeded | a:terminated(Completed,0) | -I-- PodCompleted PodCompleted PodCompleted" },
    { NEVER A, "a:3", NULL, NETWORK, "Failed | a:terminated(Error,3) | -I-- PodFailed PodFailed" },
    { NEVER AB, "a:3 b:run", NULL, NETWORK,
      "Running | a:terminated(Error,3) b:running,ready | SI-- ContainersNotReady ContainersNotReady" },
    { NEVER AB, "a:0 b:1", NULL, NETWORK,
      "Failed | a:terminated(Completed,0) b:terminated(Error,1) | -I-- PodFailed PodFailed" },
    { NEVER AB, "a:0 b:0", NULL, NETWORK,
      "Succeeded | a:terminated(Completed,0) b:terminated(Completed,0) | -I-- PodCompleted PodCompleted PodCompleted" },
    /* init containers */
    { ALWAYS IJ A, "i:run", NULL, NETWORK,
      "Pending | i:running j:waiting(PodInitializing) a:waiting(PodInitializing) | S--- ContainersNotInitialized "
      "ContainersNotReady ContainersNotReady" },
    { ALWAYS IJ A, "i:0 j:run", NULL, NETWORK,
      "Pending | i:terminated(Completed,0),ready j:running a:waiting(PodInitializing) | S--- ContainersNotInitialized "
      "ContainersNotReady ContainersNotReady" },
    { ALWAYS IJ A, "i:1", "CrashLoopBackOff", NETWORK,
      "Pending | i:waiting(CrashLoopBackOff),last(Error,1) j:waiting(PodInitializing) a:waiting(PodInitializing) | "
      "S--- "
      "ContainersNotInitialized ContainersNotReady ContainersNotReady" },
    { NEVER IJ A, "i:1", NULL, NETWORK,
      "Failed | i:terminated(Error,1) j:waiting(PodInitializing) a:waiting(PodInitializing) | ---- "
      "ContainersNotInitialized PodFailed PodFailed" },
    { ALWAYS IJ A, "a:run", NULL, NETWORK,
      "Running | i:waiting(PodInitializing) j:waiting(PodInitializing) a:running,ready | SIRC" },
    /* sidecars */
    { NEVER SIDE A, "s:run a:run", NULL, NETWORK, "Running | s:running,ready a:running,ready | SIRC" },
    { NEVER SIDE A, "s:run a:0", NULL, NETWORK,
      "Running | s:running,ready a:terminated(Completed,0) | SI-- ContainersNotReady ContainersNotReady" },
    { NEVER SIDE A, "s:137 a:0", NULL, NETWORK,
      "Succeeded | s:terminated(Error,137) a:terminated(Completed,0) | -I-- PodCompleted PodCompleted PodCompleted" },
    { ALWAYS SIDE A, "s:1 a:run", "CrashLoopBackOff", NETWORK,
      "Running | s:waiting(CrashLoopBackOff),last(Error,1) a:running,ready | SIRC" },
    /* stopping: nothing changes until all have ended */
    { ALWAYS A, "a:run", NULL, NETWORK | STOPPING, "Running | a:running,ready | SIRC" },
    { ALWAYS AB, "a:0 b:run", NULL, NETWORK | STOPPING,
      "Running | a:terminated(Completed,0) b:running,ready | SI-- ContainersNotReady ContainersNotReady" },
    { ALWAYS A, "a:143", NULL, NETWORK | STOPPING, "Failed | a:terminated(Error,143) | -I-- PodFailed PodFailed" },
    { ALWAYS A, "a:0", NULL, NETWORK | STOPPING,
      "Succeeded | a:terminated(Completed,0) | -I-- PodCompleted PodCompleted PodCompleted" },
    { ALWAYS A, "a:run", NULL, NETWORK | DEADLINE, "Running | a:running,ready | SIRC" },
    { ALWAYS A, "a:137", NULL, NETWORK | DEADLINE, "Failed | a:terminated(Error,137) | -I-- PodFailed PodFailed" },
};

static void set_flags(struct test_sync *test, int flags, const char *reason)
{
    struct pod_state *state = test->sync.state;

    state->network_ready = flags & NETWORK;
    state->stopping = flags & STOPPING;
    snprintf(state->ip, sizeof state->ip, "10.1.2.3");
    if (flags & DEADLINE)
        snprintf(state->failure_reason, sizeof state->failure_reason, "DeadlineExceeded");
    test->sync.slots[0].probes.ready = flags & PROBE_READY;
    test->sync.slots[0].starting = flags & HOOKED;
    test->sync.slots[0].memory->reason = reason;
}

static void test_states(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct test_sync test;
        struct pod_status status = { 0 };
        struct buf text = BUF_INIT;
        struct err err;
        char rest[1024];

        snprintf(rest, sizeof rest, "'spec':{%s}", cases[i].spec);
        test_sync_init(&test, rest);
        test_sync_containers(&test, cases[i].containers);
        set_flags(&test, cases[i].flags, cases[i].reason);
        assert_int_equal(pod_status_make(&test.sync, &status, &err), 0);
        render(&status, &text);
        if (strcmp(text.data, cases[i].want) != 0)
            fail_msg("%s with \"%s\":\n got %s\nwant %s", cases[i].spec, cases[i].containers, text.data, cases[i].want);
        buf_deinit(&text);
        test_sync_deinit(&test);
    }
}

static void test_exact_text(void **state)
{
    static const char want[] =
        "{\"conditions\":["
        "{\"lastTransitionTime\":\"2023-11-14T22:13:20Z\",\"status\":\"True\",\"type\":\"PodReadyToStartContainers\"},"
        "{\"lastTransitionTime\":\"2023-11-14T22:13:20Z\",\"status\":\"True\",\"type\":\"Initialized\"},"
        "{\"lastTransitionTime\":\"2023-11-14T22:13:20Z\",\"status\":\"True\",\"type\":\"Ready\"},"
        "{\"lastTransitionTime\":\"2023-11-14T22:13:20Z\",\"status\":\"True\",\"type\":\"ContainersReady\"}],"
        "\"containerStatuses\":[{\"containerID\":\"crun://"
        "id-a\",\"image\":\"\",\"imageID\":\"\",\"lastState\":{},\"name\":\"a\","
        "\"ready\":true,\"resources\":{},\"restartCount\":0,\"started\":true,\"state\":{\"running\":{\"startedAt\":\"2023-11-14T22:13:"
        "00Z\"}}}],"
        "\"hostIP\":\"192.0.2.7\",\"hostIPs\":[{\"ip\":\"192.0.2.7\"}],\"phase\":\"Running\",\"podIP\":\"10.1.2.3\","
        "\"podIPs\":[{\"ip\":\"10.1.2.3\"}],\"qosClass\":\"BestEffort\",\"startTime\":\"2023-11-14T22:13:20Z\"}";
    struct test_sync test;
    struct pod_status status = { 0 };
    struct buf text = BUF_INIT;
    struct err err;

    test_sync_init(&test, "'spec':{'restartPolicy':'Always','containers':[{'name':'a'}]}");
    test_sync_containers(&test, "a:run");
    set_flags(&test, NETWORK, NULL);
    assert_int_equal(pod_status_make(&test.sync, &status, &err), 0);
    assert_int_equal(view_write(&text, &TYPE_POD_STATUS, &status, &err), 0);
    buf_add_char(&text, 0);
    assert_string_equal(text.data, want);
    buf_deinit(&text);
    test_sync_deinit(&test);
}

static const struct pod_condition *condition(const struct pod_status *status, const char *type)
{
    for (size_t i = 0; i < status->conditions.count; i++)
        if (str_is(status->conditions.items[i].type, type))
            return &status->conditions.items[i];
    fail_msg("no condition %s", type);
    return NULL;
}

/* A condition keeps its time while it stays, over a restart of the agent too, and whatever the cache still shows. */
static void test_transition_times(void **state)
{
    struct test_sync test;
    struct pod_status status = { 0 };
    struct err err;

    test_sync_init(&test,
                   "'spec':{'containers':[{'name':'a'}]},'status':{'conditions':[{'type':'Ready','status':'True',"
                   "'lastTransitionTime':'2020-01-01T00:00:00Z'}],'startTime':'2020-01-01T00:00:00Z'}");
    test_sync_containers(&test, "a:run");
    assert_int_equal(pod_status_make(&test.sync, &status, &err), 0);
    assert_int_equal(condition(&status, "Ready")->last_transition_time.unix_nsec, 1577836800 * NSEC_PER_SEC);
    assert_int_equal(status.start_time.unix_nsec, 1577836800 * NSEC_PER_SEC);
    assert_int_equal(condition(&status, "Initialized")->last_transition_time.unix_nsec, WALL);
    virtual_clock_advance(&test.clock, 5 * NSEC_PER_SEC);
    test_sync_containers(&test, "a:1");
    assert_int_equal(pod_status_make(&test.sync, &status, &err), 0);
    assert_int_equal(condition(&status, "Ready")->last_transition_time.unix_nsec, WALL + 5 * NSEC_PER_SEC);
    virtual_clock_advance(&test.clock, 5 * NSEC_PER_SEC);
    assert_int_equal(pod_status_make(&test.sync, &status, &err), 0);
    assert_int_equal(condition(&status, "Ready")->last_transition_time.unix_nsec, WALL + 5 * NSEC_PER_SEC);
    assert_string_equal(condition(&status, "Ready")->message.data, "containers with unready status: [a]");
    test_sync_deinit(&test);
}

static void test_readiness_gates(void **state)
{
    static const struct {
        const char *status;
        bool ready;
    } gates[] = {
        { "", false },
        { ",'status':{'conditions':[{'type':'x/y','status':'False'}]}", false },
        { ",'status':{'conditions':[{'type':'x/y','status':'True'}]}", true },
    };

    for (size_t i = 0; i < ARRAY_LEN(gates); i++) {
        struct test_sync test;
        struct pod_status status = { 0 };
        struct err err;
        char rest[512];

        snprintf(rest, sizeof rest, "'spec':{'readinessGates':[{'conditionType':'x/y'}],'containers':[{'name':'a'}]}%s",
                 gates[i].status);
        test_sync_init(&test, rest);
        test_sync_containers(&test, "a:run");
        assert_int_equal(pod_status_make(&test.sync, &status, &err), 0);
        assert_true(str_is(condition(&status, "ContainersReady")->status, "True"));
        assert_true(str_is(condition(&status, "Ready")->status, gates[i].ready ? "True" : "False"));
        test_sync_deinit(&test);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_states),
        cmocka_unit_test(test_exact_text),
        cmocka_unit_test(test_transition_times),
        cmocka_unit_test(test_readiness_gates),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
