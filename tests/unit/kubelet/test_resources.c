/* test_resources.c - what the runtime is given, the class of a pod, and who dies first without memory. */
#include "sync.h"

#include "kubelet/resources.h"

#define GIB (1ll << 30)
#define C(resources) "{'name':'a','resources':{" resources "}}"
#define FULL "'limits':{'cpu':'500m','memory':'1Gi'},'requests':{'cpu':'500m','memory':'1Gi'}"

static const struct {
    const char *containers, *init, *class;
    int64_t cpu_request, cpu_limit, memory_limit;
    int oom; /* of the first container, on a node of 10 GiB */
} cases[] = {
    { C(""), "", "BestEffort", 0, 0, 0, 1000 },
    { C(FULL), "", "Guaranteed", 500, 500, GIB, -997 },
    { C("'limits':{'cpu':'500m','memory':'1Gi'}"), "", "Guaranteed", 500, 500, GIB, -997 },
    { C("'limits':{'cpu':'1','memory':'1Gi'},'requests':{'cpu':'1000m','memory':'1024Mi'}"), "", "Guaranteed", 1000,
      1000, GIB, -997 },
    { C("'requests':{'memory':'1Gi'}"), "", "Burstable", 0, 0, 0, 900 },
    { C("'requests':{'memory':'1'}"), "", "Burstable", 0, 0, 0, 999 },
    { C("'requests':{'memory':'100Gi'}"), "", "Burstable", 0, 0, 0, 3 },
    { C("'requests':{'cpu':'250m'}"), "", "Burstable", 250, 0, 0, 999 },
    { C("'limits':{'memory':'1Gi'}"), "", "Burstable", 0, 0, GIB, 999 },
    { C("'limits':{'cpu':'2','memory':'1Gi'},'requests':{'cpu':'1','memory':'1Gi'}"), "", "Burstable", 1000, 2000, GIB,
      900 },
    { C("'requests':{'nvidia.com/gpu':'1'}"), "", "BestEffort", 0, 0, 0, 1000 },
    { C("'requests':{'cpu':'0'}"), "", "BestEffort", 0, 0, 0, 1000 },
    /* sums; a limit only when all have one */
    { C(FULL) "," C(FULL), "", "Guaranteed", 1000, 1000, 2 * GIB, -997 },
    { C(FULL) "," C(""), "", "Burstable", 500, 0, 0, 900 },
    /* init containers count by the largest, sidecars add */
    { C(FULL), "{'name':'i','resources':{'limits':{'cpu':'2','memory':'4Gi'}}}", "Guaranteed", 2000, 2000, 4 * GIB,
      -997 },
    { C(FULL), "{'name':'i','resources':{}}", "Burstable", 500, 0, 0, 900 },
    { C(FULL), "{'name':'s','restartPolicy':'Always','resources':{" FULL "}}", "Guaranteed", 1000, 1000, 2 * GIB,
      -997 },
};

static void test_table(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct test_sync test;
        char rest[1024];

        snprintf(rest, sizeof rest, "'spec':{'initContainers':[%s],'containers':[%s]}", cases[i].init,
                 cases[i].containers);
        test_sync_init(&test, rest);
        const struct pod *pod = test.sync.pod;
        struct oci_resources total = pod_resources(pod);

        if (strcmp(pod_quality_class(pod), cases[i].class) != 0 || total.cpu_request_milli != cases[i].cpu_request ||
            total.cpu_limit_milli != cases[i].cpu_limit || total.memory_limit != cases[i].memory_limit ||
            container_oom_score_adj(pod, &pod->spec.containers.items[0], 10 * GIB) != cases[i].oom)
            fail_msg("%s: %s, %lld %lld %lld, %d", rest, pod_quality_class(pod), (long long)total.cpu_request_milli,
                     (long long)total.cpu_limit_milli, (long long)total.memory_limit,
                     container_oom_score_adj(pod, &pod->spec.containers.items[0], 10 * GIB));
        test_sync_deinit(&test);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_table) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
