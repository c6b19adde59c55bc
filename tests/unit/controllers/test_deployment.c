/* Deployments and replica sets over a real API server: what users see of a rollout. */
#include "cluster.h"

#include "schema/time.h"

static int setup(void **state)
{
    struct cluster *c = calloc(1, sizeof *c);

    cluster_init(c, "10.42.0.0/16");
    settle(c);
    *state = c;
    return 0;
}

static int teardown(void **state)
{
    cluster_deinit(*state);
    free(*state);
    return 0;
}

#define DEPLOYMENT(replicas, more, image)                                                                              \
    "{'metadata':{'name':'web'},'spec':{'replicas':" #replicas ",'selector':{'matchLabels':{'app':'web'}}" more        \
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

static int64_t number(const struct json *json, const char *path)
{
    return json_int(json_at(json, path), 0);
}

static void set_image(struct cluster *c, const char *image)
{
    char body[256];

    snprintf(body, sizeof body, "{'spec':{'template':{'spec':{'containers':[{'name':'c','image':'%s'}]}}}}", image);
    patch(c, &RESOURCE_APPS_DEPLOYMENTS, "default", "web", NULL, body);
    settle(c);
}

static void run_all(struct cluster *c)
{
    while (cluster_run_pods(c, "default", SIZE_MAX))
        ;
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

static size_t count_events(struct cluster *c, const char *reason, const char *prefix)
{
    struct items *events = list(c, &RESOURCE_EVENTS, "default");
    size_t count = 0;

    for (size_t i = 0; i < events->count; i++)
        count += str_is(json_str_at(events->list[i], "reason"), reason) &&
                 str_has_prefix(json_str_at(events->list[i], "message"), str_from(prefix));
    return count;
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
    check_condition(c, "Available", "False", "MinimumReplicasUnavailable", "Deployment does not have minimum availability.");

    run_all(c);
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

    snprintf(body, sizeof body,
             "{'metadata':{'name':'web'},'spec':{'replicas':%d,'selector':{'matchLabels':{'app':'web'}},'strategy':{'type':"
             "'RollingUpdate','rollingUpdate':{%s}},'template':{'metadata':{'labels':{'app':'web'}},'spec':{'containers':[{"
             "'name':'c','image':'a'}]}}}}", test->replicas, test->strategy);
    create(c, &RESOURCE_APPS_DEPLOYMENTS, "default", body);
    settle(c);
    run_all(c);
    set_image(c, "b");
    for (int round = 0; round < 20; round++) {
        int64_t now[2] = { number(set_of_image(c, "b"), "spec.replicas"), number(set_of_image(c, "a"), "spec.replicas") };

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

        setup(&fresh);
        roll_one(fresh, &rolling_cases[i]);
        teardown(&fresh);
    }
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test_setup_teardown(test_first_rollout, setup, teardown),
    cmocka_unit_test(test_rolling_update),
};

int main(void)
{
    log_set_level(getenv("VERBOSE") ? LOG_DEBUG : LOG_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
