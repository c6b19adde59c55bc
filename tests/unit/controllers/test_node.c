/* Nodes: falling silent and coming back, taints, pods that must leave, ranges of addresses, pods of nodes that are
 * gone. */
#include "cluster.h"

static void add_node(struct cluster *c, const char *name)
{
    char body[1024];

    snprintf(body, sizeof body, "{'metadata':{'name':'%s'}}", name);
    create(c, &RESOURCE_NODES, NULL, body);
    snprintf(body, sizeof body,
             "{'status':{'conditions':[{'type':'Ready','status':'True','reason':'KubeletReady','message':'ok'},"
             "{'type':'MemoryPressure','status':'False'},{'type':'DiskPressure','status':'False'},"
             "{'type':'PIDPressure','status':'False'}]}}");
    patch(c, &RESOURCE_NODES, NULL, name, "status", body);
    settle(c);
}

static void say(struct cluster *c, const char *node, const char *type, const char *status)
{
    char body[256];

    snprintf(body, sizeof body, "{'status':{'conditions':[{'type':'%s','status':'%s','reason':'r','message':'m'}]}}",
             type, status);
    patch(c, &RESOURCE_NODES, NULL, node, "status", body);
    settle(c);
}

/* "key:Effect,..." sorted as they stand. */
static const char *taints(struct cluster *c, const char *node)
{
    const struct json *list = json_at(get(c, &RESOURCE_NODES, NULL, node), "spec.taints");
    struct buf buf = BUF_INIT;

    for (uint32_t i = 0; json_is(list, JSON_ARRAY) && i < list->count; i++)
        buf_printf(&buf, "%s" STR_FMT ":" STR_FMT, i ? "," : "", STR_ARG(json_str_at(&list->items[i], "key")),
                   STR_ARG(json_str_at(&list->items[i], "effect")));
    const char *text = arena_cstr(c->arena, buf_str(&buf));

    buf_deinit(&buf);
    return text;
}

static void check_ready(struct cluster *c, const char *node, const char *status, const char *reason)
{
    const struct json *ready = condition(get(c, &RESOURCE_NODES, NULL, node), "Ready");

    assert_non_null(ready);
    assert_string_equal(text_at(c, ready, "status"), status);
    assert_string_equal(text_at(c, ready, "reason"), reason);
}

static void add_pod(struct cluster *c, const char *name, const char *node, const char *tolerations)
{
    char body[1024];

    snprintf(body, sizeof body,
             "{'metadata':{'name':'%s'},'spec':{'nodeName':'%s','tolerations':[%s],'containers':[{'name':'c','image':'"
             "a'}]}}",
             name, node, tolerations);
    create(c, &RESOURCE_PODS, "default", body);
    set_pod_ready(c, get(c, &RESOURCE_PODS, "default", name), true);
    settle(c);
}

static bool is_leaving(struct cluster *c, const char *pod)
{
    const struct json *json = get(c, &RESOURCE_PODS, "default", pod);

    return !json || json_at(json, "metadata.deletionTimestamp");
}

#define UNREACHABLE "node.kubernetes.io/unreachable"
#define BRIEF "{'key':'" UNREACHABLE "','operator':'Exists','effect':'NoExecute','tolerationSeconds':20}"
#define FOREVER "{'key':'" UNREACHABLE "','operator':'Exists','effect':'NoExecute'}"

static void test_lost_and_back(void **state)
{
    struct cluster *c = *state;

    c->beating = true;
    add_node(c, "a");
    add_node(c, "b");
    add_pod(c, "brief", "a", BRIEF);
    add_pod(c, "usual", "a", "");
    add_pod(c, "forever", "a", FOREVER);
    add_pod(c, "elsewhere", "b", BRIEF);
    pass(c, 15);
    check_ready(c, "a", "True", "KubeletReady");
    assert_string_equal(taints(c, "a"), "");
    c->silent = STR("a");
    pass(c, 2);
    check_ready(c, "a", "True", "KubeletReady");
    pass(c, 3); /* within five seconds */
    check_ready(c, "a", "Unknown", "NodeStatusUnknown");
    assert_string_equal(text_at(c, condition(get(c, &RESOURCE_NODES, NULL, "a"), "MemoryPressure"), "status"),
                        "Unknown");
    assert_string_equal(text_at(c, condition(get(c, &RESOURCE_NODES, NULL, "a"), "Ready"), "message"),
                        "Kubelet stopped posting node status.");
    assert_string_equal(taints(c, "a"), UNREACHABLE ":NoSchedule," UNREACHABLE ":NoExecute");
    assert_string_equal(text_at(c, condition(get(c, &RESOURCE_PODS, "default", "usual"), "Ready"), "status"), "False");
    assert_int_equal(count_events(c, "NodeNotReady", "Node a status is now: NodeNotReady"), 1);
    check_ready(c, "b", "True", "KubeletReady");
    assert_string_equal(taints(c, "b"), "");
    assert_false(is_leaving(c, "brief"));
    pass(c, 21);
    assert_true(is_leaving(c, "brief"));
    assert_int_equal(count_events(c, "TaintManagerEviction", "Marking for deletion Pod default/brief"), 1);
    assert_false(is_leaving(c, "usual"));
    pass(c, 290);
    assert_true(is_leaving(c, "usual"));
    assert_false(is_leaving(c, "forever"));
    assert_false(is_leaving(c, "elsewhere"));
    /* It is heard again and says that it is well. */
    c->silent = STR_NULL;
    pass(c, 1);
    say(c, "a", "Ready", "True");
    pass(c, 1);
    assert_string_equal(taints(c, "a"), "");
}

static void test_back_in_time(void **state)
{
    struct cluster *c = *state;

    c->beating = true;
    add_node(c, "a");
    add_node(c, "b");
    add_pod(c, "brief", "a", BRIEF);
    pass(c, 5);
    c->silent = STR("a");
    pass(c, 10);
    assert_string_equal(taints(c, "a"), UNREACHABLE ":NoSchedule," UNREACHABLE ":NoExecute");
    c->silent = STR_NULL;
    pass(c, 1);
    say(c, "a", "Ready", "True");
    pass(c, 60);
    assert_string_equal(taints(c, "a"), "");
    assert_false(is_leaving(c, "brief"));
    const struct json *ready = condition(get(c, &RESOURCE_PODS, "default", "brief"), "Ready");

    assert_string_equal(text_at(c, ready, "status"), "True");
    assert_string_equal(text_at(c, ready, "reason"), "");
    assert_string_equal(text_at(c, ready, "message"), "");
}

/* When nobody is heard any more it is the server that is deaf: all is said, nobody is moved. */
static void test_all_lost(void **state)
{
    struct cluster *c = *state;

    c->beating = true;
    add_node(c, "a");
    add_node(c, "b");
    add_pod(c, "brief", "a", BRIEF);
    pass(c, 5);
    c->beating = false;
    pass(c, 120);
    check_ready(c, "a", "Unknown", "NodeStatusUnknown");
    check_ready(c, "b", "Unknown", "NodeStatusUnknown");
    assert_string_equal(taints(c, "a"), UNREACHABLE ":NoSchedule");
    assert_false(is_leaving(c, "brief"));
}

/* Nodes are given up one after another, not all at once. */
static void test_pace(void **state)
{
    struct cluster *c = *state;
    int given_up = 0;

    c->beating = true;
    for (int i = 0; i < 10; i++) {
        char name[8];

        snprintf(name, sizeof name, "n%d", i);
        add_node(c, name);
    }
    pass(c, 2);
    for (int i = 0; i < 3; i++) {
        char name[8];

        snprintf(name, sizeof name, "n%d", i);
        say(c, name, "Ready", "False");
    }
    pass(c, 1);
    for (int i = 0; i < 3; i++) {
        char name[8];

        snprintf(name, sizeof name, "n%d", i);
        given_up += strstr(taints(c, name), "NoExecute") != NULL;
        assert_non_null(strstr(taints(c, name), "not-ready:NoSchedule"));
    }
    assert_int_equal(given_up, 1);
    pass(c, 25);
    assert_non_null(strstr(taints(c, "n0"), "NoExecute"));
    assert_non_null(strstr(taints(c, "n1"), "NoExecute"));
    assert_non_null(strstr(taints(c, "n2"), "NoExecute"));
}

static void test_never_heard_of(void **state)
{
    struct cluster *c = *state;

    add_node(c, "a");
    create(c, &RESOURCE_NODES, NULL, "{'metadata':{'name':'mute'}}");
    pass(c, 9);
    check_ready(c, "a", "True", "KubeletReady");
    pass(c, 3);
    check_ready(c, "a", "Unknown", "NodeStatusUnknown");
    check_ready(c, "mute", "Unknown", "NodeStatusNeverUpdated");
}

static void test_taints_after_conditions(void **state)
{
    struct cluster *c = *state;

    c->beating = true;
    add_node(c, "a");
    add_node(c, "b");
    patch(c, &RESOURCE_NODES, NULL, "a", NULL, "{'spec':{'taints':[{'key':'own','value':'x','effect':'NoSchedule'}]}}");
    say(c, "a", "MemoryPressure", "True");
    assert_string_equal(taints(c, "a"), "own:NoSchedule,node.kubernetes.io/memory-pressure:NoSchedule");
    say(c, "a", "DiskPressure", "True");
    say(c, "a", "MemoryPressure", "False");
    assert_string_equal(taints(c, "a"), "own:NoSchedule,node.kubernetes.io/disk-pressure:NoSchedule");
    say(c, "a", "DiskPressure", "False");
    patch(c, &RESOURCE_NODES, NULL, "a", NULL, "{'spec':{'unschedulable':true}}");
    settle(c);
    assert_string_equal(taints(c, "a"), "own:NoSchedule,node.kubernetes.io/unschedulable:NoSchedule");
    patch(c, &RESOURCE_NODES, NULL, "a", NULL, "{'spec':{'unschedulable':null}}");
    settle(c);
    assert_string_equal(taints(c, "a"), "own:NoSchedule");
}

/* A taint that a person sets drives those away who do not stand it. */
static void test_taint_by_hand(void **state)
{
    struct cluster *c = *state;

    c->beating = true;
    add_node(c, "a");
    add_pod(c, "plain", "a", "");
    add_pod(c, "stands", "a", "{'key':'k','operator':'Equal','value':'v','effect':'NoExecute'}");
    add_pod(c, "while", "a", "{'key':'k','operator':'Exists','effect':'NoExecute','tolerationSeconds':5}");
    patch(c, &RESOURCE_NODES, NULL, "a", NULL, "{'spec':{'taints':[{'key':'k','value':'v','effect':'NoExecute'}]}}");
    pass(c, 1);
    assert_true(is_leaving(c, "plain"));
    assert_false(is_leaving(c, "stands"));
    assert_false(is_leaving(c, "while"));
    pass(c, 6);
    assert_true(is_leaving(c, "while"));
    assert_false(is_leaving(c, "stands"));
}

/* -- ranges -- */

static const char *range(struct cluster *c, const char *node)
{
    const struct json *json = get(c, &RESOURCE_NODES, NULL, node);
    const struct json *list = json_at(json, "spec.podCIDRs");

    if (list)
        assert_true(str_eq(json_str(&list->items[0]), json_str_at(json, "spec.podCIDR")));
    return text_at(c, json, "spec.podCIDR");
}

static void test_ranges(void **state)
{
    struct cluster *c = *state;

    add_node(c, "a");
    add_node(c, "b");
    assert_string_equal(range(c, "a"), "10.42.0.0/24");
    assert_string_equal(range(c, "b"), "10.42.1.0/24");
    cluster_stop(c);
    cluster_start(c);
    settle(c);
    add_node(c, "c");
    assert_string_equal(range(c, "a"), "10.42.0.0/24");
    assert_string_equal(range(c, "c"), "10.42.2.0/24");
}

static void test_ranges_run_out(void **state)
{
    struct cluster *c = calloc(1, sizeof *c);

    (void)state;
    cluster_init(c, "10.0.0.0/23");
    settle(c);
    add_node(c, "a");
    add_node(c, "b");
    add_node(c, "c");
    assert_string_equal(range(c, "a"), "10.0.0.0/24");
    assert_string_equal(range(c, "b"), "10.0.1.0/24");
    assert_string_equal(range(c, "c"), "");
    assert_true(count_events(c, "CIDRNotAvailable", "Node c") > 0);
    remove_object(c, &RESOURCE_NODES, NULL, "a", NULL);
    settle(c);
    assert_string_equal(range(c, "c"), "10.0.0.0/24");
    cluster_deinit(c);
    free(c);
}

static void test_range_by_hand(void **state)
{
    struct cluster *c = *state;

    create(c, &RESOURCE_NODES, NULL,
           "{'metadata':{'name':'x'},'spec':{'podCIDR':'10.42.0.0/24','podCIDRs':['10.42.0.0/24']}}");
    settle(c);
    add_node(c, "a");
    assert_string_equal(range(c, "a"), "10.42.1.0/24");
}

/* -- pods without a node -- */

static void test_pods_of_a_lost_node(void **state)
{
    struct cluster *c = *state;

    c->beating = true;
    add_node(c, "a");
    add_node(c, "b");
    add_pod(c, "pa", "a", "");
    add_pod(c, "pb", "b", "");
    add_pod(c, "nowhere", "never-was", "");
    remove_object(c, &RESOURCE_NODES, NULL, "a", NULL);
    pass(c, 5);
    assert_non_null(get(c, &RESOURCE_PODS, "default", "pa"));
    pass(c, 7);
    assert_null(get(c, &RESOURCE_PODS, "default", "pa"));
    assert_null(get(c, &RESOURCE_PODS, "default", "nowhere"));
    assert_non_null(get(c, &RESOURCE_PODS, "default", "pb"));
}

static void test_node_comes_back_in_time(void **state)
{
    struct cluster *c = *state;

    c->beating = true;
    add_node(c, "a");
    add_pod(c, "pa", "a", "");
    remove_object(c, &RESOURCE_NODES, NULL, "a", NULL);
    pass(c, 2);
    add_node(c, "a");
    pass(c, 20);
    assert_non_null(get(c, &RESOURCE_PODS, "default", "pa"));
    assert_false(is_leaving(c, "pa"));
}

static const struct CMUnitTest tests[] = {
    CLUSTER_TEST(test_lost_and_back),
    CLUSTER_TEST(test_back_in_time),
    CLUSTER_TEST(test_all_lost),
    CLUSTER_TEST(test_pace),
    CLUSTER_TEST(test_never_heard_of),
    CLUSTER_TEST(test_taints_after_conditions),
    CLUSTER_TEST(test_taint_by_hand),
    CLUSTER_TEST(test_ranges),
    cmocka_unit_test(test_ranges_run_out),
    CLUSTER_TEST(test_range_by_hand),
    CLUSTER_TEST(test_pods_of_a_lost_node),
    CLUSTER_TEST(test_node_comes_back_in_time),
};

int main(void)
{
    log_set_level(getenv("VERBOSE") ? LOG_DEBUG : LOG_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
