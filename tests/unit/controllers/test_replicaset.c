/* Replica sets and replication controllers: counts, belonging, failures, conditions of the cache. */
#include "cluster.h"

#define SET(replicas)                                          \
    "{'metadata':{'name':'web'},'spec':{'replicas':" #replicas \
    ",'selector':{'matchLabels':{'app':'web'}},'template':" POD_TEMPLATE("web") "}}"

static struct json *web(struct cluster *c)
{
    return get(c, &RESOURCE_APPS_REPLICASETS, "default", "web");
}

static size_t pod_count(struct cluster *c)
{
    return list(c, &RESOURCE_PODS, "default")->count;
}

static void scale(struct cluster *c, int replicas)
{
    char body[64];

    snprintf(body, sizeof body, "{'spec':{'replicas':%d}}", replicas);
    patch(c, &RESOURCE_APPS_REPLICASETS, "default", "web", NULL, body);
    settle(c);
}

static void test_pods_of_a_set(void **state)
{
    struct cluster *c = *state;

    create(c, &RESOURCE_APPS_REPLICASETS, "default", SET(3));
    settle(c);
    struct items *pods = list(c, &RESOURCE_PODS, "default");

    assert_int_equal(pods->count, 3);
    for (size_t i = 0; i < pods->count; i++) {
        const struct json *owner = &json_at(pods->list[i], "metadata.ownerReferences")->items[0];

        assert_true(str_has_prefix(json_str_at(pods->list[i], "metadata.name"), STR("web-")));
        assert_string_equal(text_at(c, pods->list[i], "metadata.generateName"), "web-");
        assert_string_equal(text_at(c, owner, "kind"), "ReplicaSet");
        assert_string_equal(text_at(c, owner, "apiVersion"), "apps/v1");
        assert_string_equal(text_at(c, owner, "uid"), text_at(c, web(c), "metadata.uid"));
        assert_true(json_bool(json_at(owner, "controller"), false));
        assert_true(json_bool(json_at(owner, "blockOwnerDeletion"), false));
    }
    assert_int_equal(number(web(c), "status.replicas"), 3);
    assert_int_equal(number(web(c), "status.fullyLabeledReplicas"), 3);
    assert_int_equal(number(web(c), "status.readyReplicas"), 0);
    run_all(c, "default");
    assert_int_equal(number(web(c), "status.readyReplicas"), 3);
    assert_int_equal(number(web(c), "status.availableReplicas"), 3);
    assert_int_equal(number(web(c), "status.observedGeneration"), number(web(c), "metadata.generation"));
}

static void test_replaces_pods(void **state)
{
    struct cluster *c = *state;

    create(c, &RESOURCE_APPS_REPLICASETS, "default", SET(2));
    settle(c);
    struct items *pods = list(c, &RESOURCE_PODS, "default");

    remove_object(c, &RESOURCE_PODS, "default", text_at(c, pods->list[0], "metadata.name"), NULL);
    patch(c, &RESOURCE_PODS, "default", text_at(c, pods->list[1], "metadata.name"), "status",
          "{'status':{'phase':'Failed'}}");
    settle(c);
    assert_int_equal(pod_count(c), 3); /* the failed one stays to be looked at */
    assert_int_equal(number(web(c), "status.replicas"), 2);
}

static void test_no_more_than_asked(void **state)
{
    static const int sizes[] = { 7, 40, 3, 60, 0, 5 };
    struct cluster *c = *state;

    create(c, &RESOURCE_APPS_REPLICASETS, "default", SET(1));
    settle(c);
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        scale(c, sizes[i]);
        assert_int_equal(pod_count(c), sizes[i]);
        assert_int_equal(number(web(c), "status.replicas"), sizes[i]);
    }
}

static void test_releases_and_adopts(void **state)
{
    struct cluster *c = *state;

    create(c, &RESOURCE_PODS, "default",
           "{'metadata':{'name':'alone','labels':{'app':'web'}},'spec':{'containers':[{'name':'c','image':'a'}]}}");
    create(c, &RESOURCE_APPS_REPLICASETS, "default", SET(2));
    settle(c);
    assert_int_equal(pod_count(c), 2);
    const struct json *alone = get(c, &RESOURCE_PODS, "default", "alone");

    assert_string_equal(text_at(c, &json_at(alone, "metadata.ownerReferences")->items[0], "name"), "web");
    patch(c, &RESOURCE_PODS, "default", "alone", NULL, "{'metadata':{'labels':{'app':'debug'}}}");
    settle(c);
    alone = get(c, &RESOURCE_PODS, "default", "alone");
    assert_null(json_at(alone, "metadata.ownerReferences"));
    assert_int_equal(pod_count(c), 3);
    /* Back again it is one too many, and one goes. */
    patch(c, &RESOURCE_PODS, "default", "alone", NULL, "{'metadata':{'labels':{'app':'web'}}}");
    settle(c);
    assert_int_equal(pod_count(c), 2);
}

static void test_deletion_cost(void **state)
{
    struct cluster *c = *state;

    create(c, &RESOURCE_APPS_REPLICASETS, "default", SET(4));
    run_all(c, "default");
    struct items *pods = list(c, &RESOURCE_PODS, "default");
    const char *dear = text_at(c, pods->list[2], "metadata.name"), *cheap = text_at(c, pods->list[1], "metadata.name");

    patch(c, &RESOURCE_PODS, "default", dear, NULL,
          "{'metadata':{'annotations':{'controller.kubernetes.io/pod-deletion-cost':'100'}}}");
    patch(c, &RESOURCE_PODS, "default", cheap, NULL,
          "{'metadata':{'annotations':{'controller.kubernetes.io/pod-deletion-cost':'-5'}}}");
    settle(c);
    scale(c, 3);
    assert_null(get(c, &RESOURCE_PODS, "default", cheap));
    scale(c, 1);
    assert_non_null(get(c, &RESOURCE_PODS, "default", dear));
}

/* A new process over the same store makes nothing anew. */
static void test_survives_restart(void **state)
{
    struct cluster *c = *state;

    create(c, &RESOURCE_APPS_REPLICASETS, "default", SET(5));
    settle(c);
    for (int i = 0; i < 3; i++) {
        cluster_stop(c);
        cluster_start(c);
        settle(c);
        assert_int_equal(pod_count(c), 5);
    }
    cluster_stop(c);
    cluster_start(c);
    scale(c, 8);
    assert_int_equal(pod_count(c), 8);
}

static void test_replication_controller(void **state)
{
    struct cluster *c = *state;

    create(c, &RESOURCE_REPLICATIONCONTROLLERS, "default",
           "{'metadata':{'name':'old'},'spec':{'replicas':3,'selector':{'app':'old'},'template':" POD_TEMPLATE(
               "old") "}}");
    settle(c);
    run_all(c, "default");
    const struct json *set = get(c, &RESOURCE_REPLICATIONCONTROLLERS, "default", "old");

    assert_int_equal(pod_count(c), 3);
    assert_int_equal(number(set, "status.replicas"), 3);
    assert_int_equal(number(set, "status.readyReplicas"), 3);
    assert_int_equal(number(set, "status.availableReplicas"), 3);
    patch(c, &RESOURCE_REPLICATIONCONTROLLERS, "default", "old", NULL, "{'spec':{'replicas':1}}");
    settle(c);
    assert_int_equal(pod_count(c), 1);
}

/* A node's worth of sets at once, with pods coming and going: whatever order things happen in, the counts come out. */
static void test_many_at_once(void **state)
{
    struct cluster *c = *state;
    char body[512];

    for (int i = 0; i < 12; i++) {
        snprintf(
            body, sizeof body,
            "{'metadata':{'name':'s%d'},'spec':{'replicas':%d,'selector':{'matchLabels':{'app':'s%d'}},'template':{"
            "'metadata':{'labels':{'app':'s%d'}},'spec':{'containers':[{'name':'c','image':'a'}]}}}}",
            i, i, i, i);
        create(c, &RESOURCE_APPS_REPLICASETS, "default", body);
    }
    settle(c);
    assert_int_equal(pod_count(c), 66);
    struct items *pods = list(c, &RESOURCE_PODS, "default");

    for (size_t i = 0; i < pods->count; i += 2)
        remove_object(c, &RESOURCE_PODS, "default", text_at(c, pods->list[i], "metadata.name"), NULL);
    settle(c);
    run_all(c, "default");
    for (int i = 0; i < 12; i++) {
        snprintf(body, sizeof body, "s%d", i);
        assert_int_equal(number(get(c, &RESOURCE_APPS_REPLICASETS, "default", body), "status.readyReplicas"), i);
    }
    assert_int_equal(pod_count(c), 66);
}

static const struct CMUnitTest tests[] = {
    CLUSTER_TEST(test_pods_of_a_set),          CLUSTER_TEST(test_replaces_pods), CLUSTER_TEST(test_no_more_than_asked),
    CLUSTER_TEST(test_releases_and_adopts),    CLUSTER_TEST(test_deletion_cost), CLUSTER_TEST(test_survives_restart),
    CLUSTER_TEST(test_replication_controller), CLUSTER_TEST(test_many_at_once),
};

int main(void)
{
    log_set_level(getenv("VERBOSE") ? LOG_DEBUG : LOG_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
