/* test_cycle.c - demands, the picture of the cluster, the queue, and which node a pod gets or why none. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>

#include "api/resources.h"
#include "scheduler/cycle.h"
#include "scheduler/queue.h"

/* JSON with single quotes, to be readable in C. */
static struct object *make(const struct resource *resource, const char *text)
{
    AUTO(blob) blob = blob_copy(str_from(text));
    struct object *object;
    struct err err;

    assert_non_null(blob);
    for (size_t i = 0; i < blob->len; i++)
        if (blob->data[i] == '\'')
            blob->data[i] = '"';
    if (object_new(resource, blob, &object, &err) < 0)
        fail_msg("%s: %s", text, err.message);
    return object;
}

static struct object *make_pod(const char *name, const char *spec)
{
    char text[4096];

    snprintf(text, sizeof text, "{'metadata':{'name':'%s','namespace':'ns','uid':'%s'},'spec':%s}", name, name, spec);
    return make(&RESOURCE_PODS, text);
}

static struct object *make_node(const char *name, const char *labels, const char *spec, const char *allocatable)
{
    char text[4096];

    snprintf(text, sizeof text, "{'metadata':{'name':'%s','labels':%s},'spec':%s,'status':{'allocatable':%s}}", name,
             labels, spec, allocatable);
    return make(&RESOURCE_NODES, text);
}

static void add_node(struct cluster *cluster, const char *name, const char *labels, const char *spec,
                     const char *allocatable)
{
    AUTO(object) node = make_node(name, labels, spec, allocatable);

    assert_int_equal(cluster_set_node(cluster, str_from(name), node), 0);
}

static void place(struct cluster *cluster, const char *name, const char *spec, const char *node)
{
    AUTO(object) pod = make_pod(name, spec);

    assert_int_equal(cluster_place(cluster, pod, str_from(node), false), 0);
}

static void test_demand(void **state)
{
    static const struct {
        const char *spec;
        int64_t cpu, memory;
        size_t extended, ports;
    } cases[] = {
        { "{'containers':[{'name':'a'}]}", 0, 0, 0, 0 },
        { "{'containers':[{'name':'a','resources':{'requests':{'cpu':'250m','memory':'1Mi'}}},"
          "{'name':'b','resources':{'requests':{'cpu':'1'}}}]}", 1250, 1 << 20, 0, 0 },
        /* the largest init container counts when it asks for more than all others together */
        { "{'initContainers':[{'name':'i','resources':{'requests':{'cpu':'2'}}}],"
          "'containers':[{'name':'a','resources':{'requests':{'cpu':'500m'}}}]}", 2000, 0, 0, 0 },
        /* a sidecar runs beside both */
        { "{'initContainers':[{'name':'s','restartPolicy':'Always','resources':{'requests':{'cpu':'300m'}}},"
          "{'name':'i','resources':{'requests':{'cpu':'1'}}}],"
          "'containers':[{'name':'a','resources':{'requests':{'cpu':'500m'}}}]}", 1300, 0, 0, 0 },
        { "{'overhead':{'cpu':'100m'},'containers':[{'name':'a','resources':{'requests':{'x.io/gpu':'2','cpu':'1'}},"
          "'ports':[{'containerPort':80,'hostPort':8080},{'containerPort':81}]}]}", 1100, 0, 1, 1 },
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        AUTO(object) pod = make_pod("p", cases[i].spec);
        AUTO(arena) arena = arena_new(0);
        struct demand demand;

        assert_int_equal(demand_of(arena, OBJECT_VIEW(pod, pod), &demand), 0);
        assert_int_equal(demand.requests.of[RESOURCE_CPU], cases[i].cpu);
        assert_int_equal(demand.requests.of[RESOURCE_MEMORY], cases[i].memory);
        assert_int_equal(demand.requests.of[RESOURCE_POD_COUNT], 1);
        assert_int_equal(demand.extended_count, cases[i].extended);
        assert_int_equal(demand.port_count, cases[i].ports);
    }
}

/* While a container is resized, the larger counts; when that can never be, only what it has. */
static void test_resized_demand(void **state)
{
    static const struct {
        const char *has, *conditions;
        int64_t cpu, memory;
    } cases[] = {
        { "{}", "[]", 1000, 1 << 20 },
        { "{'cpu':'1','memory':'1Mi'}", "[]", 1000, 1 << 20 },
        { "{'cpu':'2','memory':'512Ki'}", "[]", 2000, 1 << 20 },
        { "{'cpu':'500m','memory':'2Mi'}", "[{'type':'PodResizePending','status':'True','reason':'Deferred'}]", 1000,
          2 << 20 },
        { "{'cpu':'500m','memory':'512Ki'}", "[{'type':'PodResizePending','status':'True','reason':'Infeasible'}]", 500,
          512 << 10 },
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char text[1024];

        snprintf(text, sizeof text,
                 "{'metadata':{'name':'p','namespace':'ns'},'spec':{'containers':[{'name':'a','resources':{'requests':"
                 "{'cpu':'1','memory':'1Mi'}}}]},'status':{'conditions':%s,'containerStatuses':[{'name':'a',"
                 "'allocatedResources':%s}]}}", cases[i].conditions, cases[i].has);
        AUTO(object) pod = make(&RESOURCE_PODS, text);
        AUTO(arena) arena = arena_new(0);
        struct demand demand;

        assert_int_equal(demand_of(arena, OBJECT_VIEW(pod, pod), &demand), 0);
        assert_int_equal(demand.requests.of[RESOURCE_CPU], cases[i].cpu);
        assert_int_equal(demand.requests.of[RESOURCE_MEMORY], cases[i].memory);
    }
}

#define ROOM "{'cpu':'4','memory':'8Gi','pods':'10','x.io/gpu':'1'}"
#define BUSY_1 "{'containers':[{'name':'a','resources':{'requests':{'cpu':'3','memory':'1Gi'}}," \
               "'ports':[{'containerPort':80,'hostPort':8080}]}]}"

/* Three nodes: a is mostly taken, b is empty and has a zone, c is tainted. */
static void make_cluster(struct cluster *cluster)
{
    cluster_init(cluster);
    add_node(cluster, "a", "{'disk':'ssd'}", "{}", ROOM);
    add_node(cluster, "b", "{'disk':'hdd','zone':'z1','size':'7'}", "{}", ROOM);
    add_node(cluster, "c", "{'disk':'ssd'}", "{'taints':[{'key':'team','value':'x','effect':'NoSchedule'}]}", ROOM);
    place(cluster, "busy", BUSY_1, "a");
}

static void test_cycle(void **state)
{
    static const struct {
        const char *spec, *node, *message;
    } cases[] = {
        { "{'containers':[{'name':'c'}]}", "b", NULL },
        { "{'nodeSelector':{'disk':'ssd'},'containers':[{'name':'c'}]}", "a", NULL },
        { "{'nodeSelector':{'disk':'ssd'},'containers':[{'name':'c','resources':{'requests':{'cpu':'2'}}}]}", NULL,
          "0/3 nodes are available: 1 Insufficient cpu, 1 node(s) didn't match Pod's node affinity/selector, "
          "1 node(s) had untolerated taint {team: x}." },
        { "{'tolerations':[{'key':'team','operator':'Exists'}],'nodeSelector':{'disk':'ssd'},"
          "'containers':[{'name':'c','resources':{'requests':{'cpu':'2'}}}]}", "c", NULL },
        { "{'tolerations':[{'key':'team','operator':'Equal','value':'y'}],'containers':[{'name':'c','resources':"
          "{'requests':{'memory':'100Gi'}}}]}", NULL,
          "0/3 nodes are available: 1 node(s) had untolerated taint {team: x}, 2 Insufficient memory." },
        { "{'containers':[{'name':'c','ports':[{'containerPort':1,'hostPort':8080}]}],'nodeSelector':{'disk':'ssd'}}",
          NULL,
          "0/3 nodes are available: 1 node(s) didn't have free ports for the requested pod ports, 1 node(s) didn't "
          "match Pod's node affinity/selector, 1 node(s) had untolerated taint {team: x}." },
        { "{'containers':[{'name':'c','ports':[{'containerPort':1,'hostPort':8080,'protocol':'UDP'}]}],"
          "'nodeSelector':{'disk':'ssd'}}", "a", NULL },
        { "{'affinity':{'nodeAffinity':{'requiredDuringSchedulingIgnoredDuringExecution':{'nodeSelectorTerms':["
          "{'matchExpressions':[{'key':'size','operator':'Gt','values':['5']}]}]}}},'containers':[{'name':'c'}]}",
          "b", NULL },
        { "{'affinity':{'nodeAffinity':{'requiredDuringSchedulingIgnoredDuringExecution':{'nodeSelectorTerms':["
          "{'matchFields':[{'key':'metadata.name','operator':'In','values':['a']}]}]}}},'containers':[{'name':'c'}]}",
          "a", NULL },
        { "{'affinity':{'nodeAffinity':{'preferredDuringSchedulingIgnoredDuringExecution':[{'weight':100,'preference':"
          "{'matchExpressions':[{'key':'disk','operator':'In','values':['ssd']}]}}]}},'containers':[{'name':'c'}]}",
          "a", NULL },
        { "{'containers':[{'name':'c','resources':{'requests':{'x.io/gpu':'2'}}}]}", NULL,
          "0/3 nodes are available: 1 node(s) had untolerated taint {team: x}, 2 Insufficient x.io/gpu." },
    };
    struct cluster cluster;

    make_cluster(&cluster);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        AUTO(object) pod = make_pod("p", cases[i].spec);
        AUTO(arena) arena = arena_new(0);
        struct verdict verdict;

        assert_int_equal(cycle_run(arena, &cluster, OBJECT_VIEW(pod, pod), i, &verdict), 0);
        if (cases[i].node && !(verdict.node && str_is(verdict.node->name, cases[i].node)))
            fail_msg("case %zu: wanted %s, got " STR_FMT, i, cases[i].node,
                     STR_ARG(verdict.node ? verdict.node->name : verdict.message));
        if (cases[i].message) {
            assert_null(verdict.node);
            assert_string_equal(verdict.message.data, cases[i].message);
        }
    }
    cluster_deinit(&cluster);
}

/* What a pod takes comes back when it goes, whatever order pods and nodes come in. */
static void test_accounts(void **state)
{
    struct cluster cluster;
    AUTO(object) pod = make_pod("later", BUSY_1);

    cluster_init(&cluster);
    place(&cluster, "first", BUSY_1, "n"); /* its node is not known yet */
    assert_int_equal(cluster.rows.count, 0);
    add_node(&cluster, "n", "{}", "{}", ROOM);
    assert_int_equal(cluster.rows.count, 1);
    const struct node_row *row = cluster.rows.items[0];

    assert_int_equal(row->used.of[RESOURCE_CPU], 3000);
    assert_int_equal(cluster_place(&cluster, pod, STR("n"), true), 0);
    assert_int_equal(row->used.of[RESOURCE_CPU], 6000);
    assert_true(cluster_pod(&cluster, STR("ns/later"))->assumed);
    assert_int_equal(cluster_place(&cluster, pod, STR("n"), false), 0); /* the API confirms: not counted twice */
    assert_int_equal(row->used.of[RESOURCE_CPU], 6000);
    assert_int_equal(cluster_set_node(&cluster, STR("n"), NULL), 0);
    assert_int_equal(cluster.rows.count, 0);
    add_node(&cluster, "n", "{}", "{}", ROOM);
    assert_int_equal(cluster.rows.items[0]->used.of[RESOURCE_CPU], 6000);
    cluster_remove_pod(&cluster, STR("ns/first"));
    cluster_remove_pod(&cluster, STR("ns/later"));
    cluster_remove_pod(&cluster, STR("ns/later"));
    for (int r = 0; r < RESOURCE_KINDS; r++)
        assert_int_equal(cluster.rows.items[0]->used.of[r], 0);
    cluster_deinit(&cluster);
}

static void test_queue(void **state)
{
    static const struct {
        const char *name;
        int priority;
    } pods[] = { { "a", 0 }, { "b", 5 }, { "c", 0 }, { "d", 5 }, { "e", -1 } };
    static const char *const order[] = { "b", "d", "a", "c", "e" };
    struct pod_queue queue = { 0 };

    for (size_t i = 0; i < ARRAY_LEN(pods); i++) {
        char spec[64];

        snprintf(spec, sizeof spec, "{'priority':%d}", pods[i].priority);
        AUTO(object) pod = make_pod(pods[i].name, spec);

        assert_int_equal(pod_queue_put(&queue, pod), 0);
        assert_int_equal(pod_queue_put(&queue, pod), 0); /* again: the same place */
    }
    for (int round = 0; round < 2; round++) {
        for (size_t i = 0; i < ARRAY_LEN(order); i++)
            assert_true(str_is(pod_queue_take(&queue)->object->meta->name, order[i]));
        assert_null(pod_queue_take(&queue));
        assert_true(pod_queue_unpark(&queue));
    }
    pod_queue_remove(&queue, STR("ns/b"));
    pod_queue_remove(&queue, STR("ns/none"));
    assert_true(str_is(pod_queue_take(&queue)->object->meta->name, "d"));
    pod_queue_deinit(&queue);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_demand), cmocka_unit_test(test_resized_demand),
        cmocka_unit_test(test_cycle),
        cmocka_unit_test(test_accounts),
        cmocka_unit_test(test_queue),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
