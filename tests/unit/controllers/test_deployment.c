/* Deployments and replica sets over a real API server: what users see of a rollout. */
#include "cluster.h"

#define DEPLOYMENT(replicas, more, image)                                                                       \
    "{'metadata':{'name':'web'},'spec':{'replicas':" #replicas ",'selector':{'matchLabels':{'app':'web'}}" more \
    ",'template':{'metadata':{'labels':{'app':'web'}},'spec':{'containers':[{'name':'c','image':'" image "'}]}}}}"

static struct json *web(struct cluster *c)
{
    struct json *json = get(c, &RESOURCE_APPS_DEPLOYMENTS, "default", "web");

    assert_non_null(json);
    return json;
}

static struct json *set_of_image(struct cluster *c, const char *image)
{
    struct items *sets = list(c, &RESOURCE_APPS_REPLICASETS, "default");

    for (size_t i = 0; i < sets->count; i++) {
        const struct json *containers = json_at(sets->list[i], "spec.template.spec.containers");

        if (str_is(json_str_at(&containers->items[0], "image"), image))
            return sets->list[i];
    }
    return NULL;
}

static void set_image(struct cluster *c, const char *image)
{
    char body[256];

    snprintf(body, sizeof body, "{'spec':{'template':{'spec':{'containers':[{'name':'c','image':'%s'}]}}}}", image);
    patch(c, &RESOURCE_APPS_DEPLOYMENTS, "default", "web", NULL, body);
    settle(c);
}

static void check_condition(struct cluster *c, const char *type, const char *status, const char *reason,
                            const char *message)
{
    const struct json *found = condition(web(c), type);

    assert_non_null(found);
    assert_string_equal(text_at(c, found, "status"), status);
    assert_string_equal(text_at(c, found, "reason"), reason);
    if (message)
        assert_string_equal(text_at(c, found, "message"), message);
}

static void test_first_rollout(void **state)
{
    struct cluster *c = *state;
    char message[256];

    create(c, &RESOURCE_APPS_DEPLOYMENTS, "default", DEPLOYMENT(3, "", "a"));
    settle(c);
    struct json *set = set_of_image(c, "a");

    assert_non_null(set);
    const char *name = text_at(c, set, "metadata.name");
    const char *hash = text_at(c, json_at(set, "metadata.labels"), "pod-template-hash");

    assert_true(strlen(hash) > 4);
    snprintf(message, sizeof message, "web-%s", hash);
    assert_string_equal(name, message);
    assert_string_equal(text_at(c, json_at(set, "spec.selector.matchLabels"), "pod-template-hash"), hash);
    assert_string_equal(annotation(c, set, "deployment.kubernetes.io/revision"), "1");
    assert_string_equal(annotation(c, set, "deployment.kubernetes.io/desired-replicas"), "3");
    assert_string_equal(annotation(c, set, "deployment.kubernetes.io/max-replicas"), "4");
    assert_int_equal(list(c, &RESOURCE_PODS, "default")->count, 3);
    snprintf(message, sizeof message, "Scaled up replica set %s from 0 to 3", name);
    assert_int_equal(count_events(c, "ScalingReplicaSet", message), 1);
    assert_int_equal(count_events(c, "SuccessfulCreate", "Created pod: web-"), 3);
    assert_string_equal(annotation(c, web(c), "deployment.kubernetes.io/revision"), "1");
    check_condition(c, "Available", "False", "MinimumReplicasUnavailable",
                    "Deployment does not have minimum availability.");

    run_all(c, "default");
    struct json *deployment = web(c);

    assert_int_equal(number(deployment, "status.replicas"), 3);
    assert_int_equal(number(deployment, "status.updatedReplicas"), 3);
    assert_int_equal(number(deployment, "status.readyReplicas"), 3);
    assert_int_equal(number(deployment, "status.availableReplicas"), 3);
    assert_int_equal(number(deployment, "status.unavailableReplicas"), 0);
    assert_int_equal(number(deployment, "status.observedGeneration"), number(deployment, "metadata.generation"));
    check_condition(c, "Available", "True", "MinimumReplicasAvailable", "Deployment has minimum availability.");
    snprintf(message, sizeof message, "ReplicaSet \"%s\" has successfully progressed.", name);
    check_condition(c, "Progressing", "True", "NewReplicaSetAvailable", message);
}

/* Sizes of the new and the old set after each round in which all new pods became ready and all old ones went. */
static const struct rolling_case {
    const char *name, *strategy;
    int replicas;
    int steps[12][2]; /* new, old; ends with 0, 0 */
} rolling_cases[] = {
    { "a quarter each way", "", 10, { { 5, 8 }, { 10, 3 }, { 10, 0 } } },
    { "one more, none less", "'maxSurge':1,'maxUnavailable':0", 3, { { 1, 3 }, { 2, 2 }, { 3, 1 }, { 3, 0 } } },
    { "none more, one less", "'maxSurge':0,'maxUnavailable':1", 3, { { 1, 2 }, { 2, 1 }, { 3, 0 } } },
    { "all at once", "'maxSurge':'100%','maxUnavailable':0", 4, { { 4, 4 }, { 4, 0 } } },
    { "small shares round to one", "'maxSurge':'1%','maxUnavailable':'1%'", 2, { { 1, 2 }, { 2, 1 }, { 2, 0 } } },
};

static void roll_one(struct cluster *c, const struct rolling_case *test)
{
    char body[1024];
    size_t step = 0;
    int64_t last[2] = { -1, -1 };

    snprintf(
        body, sizeof body,
        "{'metadata':{'name':'web'},'spec':{'replicas':%d,'selector':{'matchLabels':{'app':'web'}},'strategy':{'type':"
        "'RollingUpdate','rollingUpdate':{%s}},'template':{'metadata':{'labels':{'app':'web'}},'spec':{'containers':[{"
        "'name':'c','image':'a'}]}}}}",
        test->replicas, test->strategy);
    create(c, &RESOURCE_APPS_DEPLOYMENTS, "default", body);
    settle(c);
    run_all(c, "default");
    set_image(c, "b");
    for (int round = 0; round < 20; round++) {
        int64_t now[2] = { number(set_of_image(c, "b"), "spec.replicas"),
                           number(set_of_image(c, "a"), "spec.replicas") };

        if (now[0] != last[0] || now[1] != last[1]) {
            if (now[0] != test->steps[step][0] || now[1] != test->steps[step][1])
                fail_msg("%s: step %zu: new %d old %d, not %d %d", test->name, step, (int)now[0], (int)now[1],
                         test->steps[step][0], test->steps[step][1]);
            step++;
        }
        memcpy(last, now, sizeof last);
        cluster_run_pods(c, "default", SIZE_MAX);
        assert_true(number(web(c), "status.replicas") <= test->replicas * 2);
    }
    assert_int_equal(test->steps[step][0] + test->steps[step][1], 0);
    assert_int_equal(list(c, &RESOURCE_PODS, "default")->count, test->replicas);
    check_condition(c, "Progressing", "True", "NewReplicaSetAvailable", NULL);
}

static void test_rolling_update(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rolling_cases); i++) {
        void *fresh;

        cluster_setup(&fresh);
        roll_one(fresh, &rolling_cases[i]);
        cluster_teardown(&fresh);
    }
}

/* -- scaling -- */

static void scale(struct cluster *c, int replicas)
{
    char body[64];

    snprintf(body, sizeof body, "{'spec':{'replicas':%d}}", replicas);
    patch(c, &RESOURCE_APPS_DEPLOYMENTS, "default", "web", NULL, body);
    settle(c);
}

static void start_web(struct cluster *c, const char *body)
{
    create(c, &RESOURCE_APPS_DEPLOYMENTS, "default", body);
    settle(c);
    run_all(c, "default");
}

static void test_scale(void **state)
{
    static const int sizes[] = { 5, 2, 0, 1 };
    struct cluster *c = *state;

    start_web(c, DEPLOYMENT(3, "", "a"));
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        scale(c, sizes[i]);
        run_all(c, "default");
        assert_int_equal(list(c, &RESOURCE_PODS, "default")->count, sizes[i]);
        assert_int_equal(number(web(c), "status.availableReplicas"), sizes[i]);
        assert_int_equal(list(c, &RESOURCE_APPS_REPLICASETS, "default")->count, 1);
    }
    assert_int_equal(count_events(c, "ScalingReplicaSet", "Scaled down"), 2);
    assert_int_equal(count_events(c, "SuccessfulDelete", "Deleted pod: web-"), 5);
}

/* A deployment of 10 with a surge of 3 is scaled when the new set has 5 and the old one 8. */
static void test_scale_in_proportion(void **state)
{
    static const struct {
        int size, new, old;
    } cases[] = {
        { 20, 10, 15 }, /* 25 = 20 + 5; 5 -> 9.6, 8 -> 15.4, the rest to the first, the larger */
        { 5, 3, 4 },    /* 7 = 5 + 2; 5 -> 2.7, 8 -> 4.3 */
        { 0, 0, 0 },
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        void *fresh;

        cluster_setup(&fresh);
        struct cluster *c = fresh;

        start_web(c, DEPLOYMENT(10, "", "a"));
        set_image(c, "b");
        assert_int_equal(number(set_of_image(c, "b"), "spec.replicas"), 5);
        scale(c, cases[i].size);
        assert_int_equal(number(set_of_image(c, "b"), "spec.replicas"), cases[i].new);
        assert_int_equal(number(set_of_image(c, "a"), "spec.replicas"), cases[i].old);
        run_all(c, "default");
        assert_int_equal(list(c, &RESOURCE_PODS, "default")->count, cases[i].size);
        assert_int_equal(number(set_of_image(c, "a"), "spec.replicas"), 0);
        cluster_teardown(&fresh);
    }
    (void)state;
}

/* -- revisions -- */

static void test_undo(void **state)
{
    struct cluster *c = *state;

    start_web(c, DEPLOYMENT(2, "", "a"));
    set_image(c, "b");
    run_all(c, "default");
    assert_string_equal(annotation(c, set_of_image(c, "b"), "deployment.kubernetes.io/revision"), "2");
    assert_string_equal(annotation(c, web(c), "deployment.kubernetes.io/revision"), "2");
    set_image(c, "a"); /* what kubectl rollout undo does */
    run_all(c, "default");
    assert_int_equal(list(c, &RESOURCE_APPS_REPLICASETS, "default")->count, 2);
    assert_string_equal(annotation(c, set_of_image(c, "a"), "deployment.kubernetes.io/revision"), "3");
    assert_string_equal(annotation(c, set_of_image(c, "a"), "deployment.kubernetes.io/revision-history"), "1");
    assert_string_equal(annotation(c, web(c), "deployment.kubernetes.io/revision"), "3");
    assert_int_equal(number(set_of_image(c, "a"), "spec.replicas"), 2);
    assert_int_equal(number(set_of_image(c, "b"), "spec.replicas"), 0);
}

static void test_restart(void **state)
{
    struct cluster *c = *state;

    start_web(c, DEPLOYMENT(2, "", "a"));
    patch(c, &RESOURCE_APPS_DEPLOYMENTS, "default", "web", NULL,
          "{'spec':{'template':{'metadata':{'annotations':{'kubectl.kubernetes.io/restartedAt':'now'}}}}}");
    settle(c);
    run_all(c, "default");
    assert_int_equal(list(c, &RESOURCE_APPS_REPLICASETS, "default")->count, 2);
    assert_int_equal(number(web(c), "status.updatedReplicas"), 2);
    assert_int_equal(list(c, &RESOURCE_PODS, "default")->count, 2);
}

static void test_history_limit(void **state)
{
    struct cluster *c = *state;
    static const char *const images[] = { "b", "c", "d", "e" };

    start_web(c, DEPLOYMENT(1, ",'revisionHistoryLimit':2", "a"));
    for (size_t i = 0; i < ARRAY_LEN(images); i++) {
        set_image(c, images[i]);
        run_all(c, "default");
    }
    assert_int_equal(list(c, &RESOURCE_APPS_REPLICASETS, "default")->count, 3);
    assert_null(set_of_image(c, "a"));
    assert_null(set_of_image(c, "b"));
    assert_non_null(set_of_image(c, "c"));
    assert_string_equal(annotation(c, web(c), "deployment.kubernetes.io/revision"), "5");
}

/* The name that the template would have is taken by a set of somebody else. */
static void test_collision(void **state)
{
    struct cluster *c = *state;
    char body[1024], name[128];

    start_web(c, DEPLOYMENT(1, "", "a"));
    snprintf(name, sizeof name, "%s", text_at(c, set_of_image(c, "a"), "metadata.name"));
    remove_object(c, &RESOURCE_APPS_DEPLOYMENTS, "default", "web", "{'propagationPolicy':'Background'}");
    settle(c);
    run_all(c, "default");
    assert_int_equal(list(c, &RESOURCE_APPS_REPLICASETS, "default")->count, 0);
    snprintf(body, sizeof body,
             "{'metadata':{'name':'%s'},'spec':{'replicas':0,'selector':{'matchLabels':{'app':'other'}},'template':{"
             "'metadata':{'labels':{'app':'other'}},'spec':{'containers':[{'name':'c','image':'z'}]}}}}",
             name);
    create(c, &RESOURCE_APPS_REPLICASETS, "default", body);
    start_web(c, DEPLOYMENT(1, "", "a"));
    assert_int_equal(number(web(c), "status.collisionCount"), 1);
    assert_string_not_equal(text_at(c, set_of_image(c, "a"), "metadata.name"), name);
    assert_int_equal(number(web(c), "status.availableReplicas"), 1);
}

/* -- pausing, recreating, deadlines -- */

static void test_pause(void **state)
{
    struct cluster *c = *state;

    start_web(c, DEPLOYMENT(2, "", "a"));
    patch(c, &RESOURCE_APPS_DEPLOYMENTS, "default", "web", NULL, "{'spec':{'paused':true}}");
    set_image(c, "b");
    assert_null(set_of_image(c, "b"));
    check_condition(c, "Progressing", "Unknown", "DeploymentPaused", "Deployment is paused");
    scale(c, 4); /* that works all the same */
    assert_int_equal(number(set_of_image(c, "a"), "spec.replicas"), 4);
    patch(c, &RESOURCE_APPS_DEPLOYMENTS, "default", "web", NULL, "{'spec':{'paused':false}}");
    settle(c);
    assert_non_null(set_of_image(c, "b"));
    run_all(c, "default");
    assert_int_equal(number(web(c), "status.updatedReplicas"), 4);
    check_condition(c, "Progressing", "True", "NewReplicaSetAvailable", NULL);
}

static void test_recreate(void **state)
{
    struct cluster *c = *state;

    create(c, &RESOURCE_NODES, NULL, "{'metadata':{'name':'n'}}");
    start_web(
        c, "{'metadata':{'name':'web'},'spec':{'replicas':2,'selector':{'matchLabels':{'app':'web'}},'strategy':{"
           "'type':'Recreate'},'template':{'metadata':{'labels':{'app':'web'}},'spec':{'nodeName':'n','containers':[{"
           "'name':'c','image':'a'}]}}}}");
    set_image(c, "b");
    /* The old pods end in their own time; until then there is no new one. */
    assert_int_equal(number(set_of_image(c, "a"), "spec.replicas"), 0);
    assert_null(set_of_image(c, "b"));
    assert_int_equal(list(c, &RESOURCE_PODS, "default")->count, 2);
    run_all(c, "default");
    assert_int_equal(number(set_of_image(c, "b"), "spec.replicas"), 2);
    assert_int_equal(number(web(c), "status.availableReplicas"), 2);
    assert_int_equal(list(c, &RESOURCE_PODS, "default")->count, 2);
}

static void test_deadline(void **state)
{
    struct cluster *c = *state;
    char message[256];

    create(c, &RESOURCE_APPS_DEPLOYMENTS, "default", DEPLOYMENT(2, ",'progressDeadlineSeconds':30", "a"));
    pass(c, 20);
    check_condition(c, "Progressing", "True", "ReplicaSetUpdated", NULL);
    pass(c, 20);
    snprintf(message, sizeof message, "ReplicaSet \"%s\" has timed out progressing.",
             text_at(c, set_of_image(c, "a"), "metadata.name"));
    check_condition(c, "Progressing", "False", "ProgressDeadlineExceeded", message);
    run_all(c, "default");
    check_condition(c, "Progressing", "True", "NewReplicaSetAvailable", NULL);
}

static void test_min_ready(void **state)
{
    struct cluster *c = *state;

    start_web(c, DEPLOYMENT(2, ",'minReadySeconds':10", "a"));
    assert_int_equal(number(web(c), "status.readyReplicas"), 2);
    assert_int_equal(number(web(c), "status.availableReplicas"), 0);
    pass(c, 9);
    assert_int_equal(number(web(c), "status.availableReplicas"), 0);
    pass(c, 2);
    assert_int_equal(number(web(c), "status.availableReplicas"), 2);
    check_condition(c, "Available", "True", "MinimumReplicasAvailable", NULL);
}

/* -- belonging -- */

static void test_adopts_sets(void **state)
{
    struct cluster *c = *state;

    start_web(c, DEPLOYMENT(2, "", "a"));
    const char *name = text_at(c, set_of_image(c, "a"), "metadata.name");

    remove_object(c, &RESOURCE_APPS_DEPLOYMENTS, "default", "web", "{'propagationPolicy':'Orphan'}");
    settle(c);
    assert_null(get(c, &RESOURCE_APPS_DEPLOYMENTS, "default", "web"));
    assert_null(json_at(set_of_image(c, "a"), "metadata.ownerReferences"));
    assert_int_equal(list(c, &RESOURCE_PODS, "default")->count, 2);
    start_web(c, DEPLOYMENT(2, "", "a"));
    assert_int_equal(list(c, &RESOURCE_APPS_REPLICASETS, "default")->count, 1);
    assert_string_equal(text_at(c, set_of_image(c, "a"), "metadata.name"), name);
    assert_int_equal(number(web(c), "status.availableReplicas"), 2);
}

/* A namespace on its way out is no place for pods, nor is a template that cannot work a reason to go on trying fast. */
static void test_failure_shows(void **state)
{
    struct cluster *c = *state;

    create(c, &RESOURCE_APPS_DEPLOYMENTS, "default",
           "{'metadata':{'name':'web'},'spec':{'replicas':3,'selector':{'matchLabels':{'app':'web'}},'template':{'"
           "metadata':{"
           "'labels':{'app':'web'}},'spec':{'priorityClassName':'none','containers':[{'name':'c','image':'a'}]}}}}");
    pass(c, 2);
    assert_int_equal(list(c, &RESOURCE_PODS, "default")->count, 0);
    check_condition(c, "ReplicaFailure", "True", "FailedCreate", NULL);
    assert_true(count_events(c, "FailedCreate", "Error creating: ") > 0);
    create(c, &RESOURCE_SCHEDULING_K8S_IO_PRIORITYCLASSES, NULL, "{'metadata':{'name':'none'},'value':5}");
    pass(c, 10);
    assert_int_equal(list(c, &RESOURCE_PODS, "default")->count, 3);
    assert_null(condition(web(c), "ReplicaFailure"));
}

static const struct CMUnitTest tests[] = {
    CLUSTER_TEST(test_first_rollout), cmocka_unit_test(test_rolling_update),
    CLUSTER_TEST(test_scale),         cmocka_unit_test(test_scale_in_proportion),
    CLUSTER_TEST(test_undo),          CLUSTER_TEST(test_restart),
    CLUSTER_TEST(test_history_limit), CLUSTER_TEST(test_collision),
    CLUSTER_TEST(test_pause),         CLUSTER_TEST(test_recreate),
    CLUSTER_TEST(test_deadline),      CLUSTER_TEST(test_min_ready),
    CLUSTER_TEST(test_adopts_sets),   CLUSTER_TEST(test_failure_shows),
};

int main(void)
{
    log_set_level(getenv("VERBOSE") ? LOG_DEBUG : LOG_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
