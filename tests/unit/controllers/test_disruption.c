/* Disruption budgets: what they allow, what evictions take, and what happens when a granted one does not come. */
#include "cluster.h"

#define BUDGETS RESOURCE_POLICY_PODDISRUPTIONBUDGETS
#define SET(replicas)                                          \
    "{'metadata':{'name':'web'},'spec':{'replicas':" #replicas \
    ",'selector':{'matchLabels':{'app':'web'}},'template':{'metadata':{'labels':{'app':'web'}}," \
    "'spec':{'containers':[{'name':'c','image':'a'}]}}}}"
#define BUDGET(spec) "{'metadata':{'name':'b'},'spec':{" spec ",'selector':{'matchLabels':{'app':'web'}}}}"

static struct json *budget(struct cluster *c)
{
    return get(c, &BUDGETS, "default", "b");
}

static void check(struct cluster *c, const char *name, int expected, int desired, int healthy, int allowed)
{
    struct json *b = budget(c);

    if (number(b, "status.expectedPods") != expected || number(b, "status.desiredHealthy") != desired ||
        number(b, "status.currentHealthy") != healthy || number(b, "status.disruptionsAllowed") != allowed)
        fail_msg("%s: expected %lld, desired %lld, healthy %lld, allowed %lld", name,
                 (long long)number(b, "status.expectedPods"), (long long)number(b, "status.desiredHealthy"),
                 (long long)number(b, "status.currentHealthy"), (long long)number(b, "status.disruptionsAllowed"));
    assert_string_equal(text_at(c, condition(b, "DisruptionAllowed"), "status"), allowed ? "True" : "False");
    assert_string_equal(text_at(c, condition(b, "DisruptionAllowed"), "reason"),
                        allowed ? "SufficientPods" : "InsufficientPods");
    assert_int_equal(number(b, "status.observedGeneration"), number(b, "metadata.generation"));
}

static void test_counts(void **state)
{
    static const struct {
        const char *spec;
        int expected, desired, allowed; /* of ten healthy pods */
    } cases[] = {
        { "'minAvailable':3", 10, 3, 7 },      { "'minAvailable':10", 10, 10, 0 },  { "'minAvailable':12", 10, 12, 0 },
        { "'minAvailable':'25%'", 10, 3, 7 },  { "'minAvailable':'100%'", 10, 10, 0 },
        { "'maxUnavailable':1", 10, 9, 1 },    { "'maxUnavailable':0", 10, 10, 0 },
        { "'maxUnavailable':'25%'", 10, 7, 3 }, { "'maxUnavailable':20", 10, 0, 10 },
    };
    struct cluster *c = *state;

    create(c, &RESOURCE_APPS_DEPLOYMENTS, "default", SET(10));
    settle(c);
    run_all(c, "default");
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char body[256];

        snprintf(body, sizeof body, "{'metadata':{'name':'b'},'spec':{%s,'selector':{'matchLabels':{'app':'web'}}}}",
                 cases[i].spec);
        create(c, &BUDGETS, "default", body);
        settle(c);
        check(c, cases[i].spec, cases[i].expected, cases[i].desired, 10, cases[i].allowed);
        remove_object(c, &BUDGETS, "default", "b", NULL);
        settle(c);
    }
}

static void test_follows_health_and_scale(void **state)
{
    struct cluster *c = *state;

    create(c, &BUDGETS, "default", BUDGET("'maxUnavailable':1"));
    settle(c);
    check(c, "no pods", 0, 0, 0, 0);
    create(c, &RESOURCE_APPS_REPLICASETS, "default", SET(3));
    settle(c);
    check(c, "none ready", 3, 2, 0, 0);
    run_all(c, "default");
    check(c, "all ready", 3, 2, 3, 1);
    set_pod_ready(c, list(c, &RESOURCE_PODS, "default")->list[0], false);
    settle(c);
    check(c, "one not ready", 3, 2, 2, 0);
    patch(c, &RESOURCE_APPS_REPLICASETS, "default", "web", NULL, "{'spec':{'replicas':5}}");
    settle(c);
    run_all(c, "default");
    check(c, "scaled", 5, 4, 5, 1);
}

static int evict(struct cluster *c, size_t at)
{
    struct items *pods = list(c, &RESOURCE_PODS, "default");
    char name[256];

    snprintf(name, sizeof name, "%s", text_at(c, pods->list[at], "metadata.name"));
    return try_call(c, CLIENT_CREATE, &RESOURCE_PODS, "default", name, "eviction",
                    "{'apiVersion':'policy/v1','kind':'Eviction'}", NULL);
}

static void test_evictions(void **state)
{
    struct cluster *c = *state;

    create(c, &RESOURCE_APPS_REPLICASETS, "default", SET(3));
    create(c, &BUDGETS, "default", BUDGET("'minAvailable':2"));
    settle(c);
    for (size_t i = 0; i < 3; i++) { /* on a node, so that they do not go at once */
        char name[256];

        snprintf(name, sizeof name, "%s", text_at(c, list(c, &RESOURCE_PODS, "default")->list[i], "metadata.name"));
        assert_int_equal(try_call(c, CLIENT_CREATE, &RESOURCE_PODS, "default", name, "binding",
                                  "{'target':{'name':'n1'}}", NULL), 0);
    }
    run_all(c, "default");
    check(c, "three", 3, 2, 3, 1);
    assert_int_equal(evict(c, 0), 0);
    assert_int_equal(number(budget(c), "status.disruptionsAllowed"), 0);
    assert_int_equal(evict(c, 1), -ERR_TOO_MANY_REQUESTS);
    assert_int_equal(evict(c, 0), 0); /* it is going already */
    settle(c);
    assert_int_equal(evict(c, 1), -ERR_TOO_MANY_REQUESTS);
    cluster_run_pods(c, "default", SIZE_MAX); /* it goes, another one comes */
    run_all(c, "default");
    check(c, "replaced", 3, 2, 3, 1);
    assert_int_equal(json_at(budget(c), "status.disruptedPods") ? json_at(budget(c), "status.disruptedPods")->count : 0, 0);
}

/* A disruption that was granted counts until it happens, but not for ever. */
static void test_granted_and_not_come(void **state)
{
    struct cluster *c = *state;
    char body[512], now[40];

    create(c, &RESOURCE_APPS_REPLICASETS, "default", SET(2));
    create(c, &BUDGETS, "default", BUDGET("'minAvailable':1"));
    settle(c);
    run_all(c, "default");
    check(c, "before", 2, 1, 2, 1);
    api_time_text(clock_wall(&c->clock.clock), now);
    snprintf(body, sizeof body, "{'status':{'disruptionsAllowed':0,'currentHealthy':2,'disruptedPods':{'%s':'%s'}}}",
             text_at(c, list(c, &RESOURCE_PODS, "default")->list[0], "metadata.name"), now);
    patch(c, &BUDGETS, "default", "b", "status", body);
    settle(c);
    check(c, "granted", 2, 1, 1, 0);
    pass(c, 125);
    check(c, "not come", 2, 1, 2, 1);
    assert_int_equal(count_events(c, "NotDeleted", "Pod was expected by PDB default/b"), 1);
}

static void test_unknown_controllers(void **state)
{
    struct cluster *c = *state;

    create(c, &RESOURCE_PODS, "default",
           "{'metadata':{'name':'p','labels':{'app':'web'},'ownerReferences':[{'apiVersion':'x.io/v1','kind':'X',"
           "'name':'x','uid':'x','controller':true}]},'spec':{'containers':[{'name':'c','image':'a'}]}}");
    create(c, &BUDGETS, "default", BUDGET("'maxUnavailable':1"));
    settle(c);
    assert_string_equal(text_at(c, condition(budget(c), "DisruptionAllowed"), "reason"), "SyncFailed");
    assert_int_equal(number(budget(c), "status.disruptionsAllowed"), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CLUSTER_TEST(test_counts),    CLUSTER_TEST(test_follows_health_and_scale),
        CLUSTER_TEST(test_evictions), CLUSTER_TEST(test_granted_and_not_come),
        CLUSTER_TEST(test_unknown_controllers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
