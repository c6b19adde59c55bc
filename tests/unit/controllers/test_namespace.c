/* Namespaces: their default account, and their end. */
#include "cluster.h"

static void test_default_account(void **state)
{
    struct cluster *c = *state;

    assert_non_null(get(c, &RESOURCE_SERVICEACCOUNTS, "kube-system", "default"));
    create(c, &RESOURCE_NAMESPACES, NULL, "{'metadata':{'name':'n'}}");
    settle(c);
    assert_non_null(get(c, &RESOURCE_SERVICEACCOUNTS, "n", "default"));
    remove_object(c, &RESOURCE_SERVICEACCOUNTS, "n", "default", NULL);
    settle(c);
    assert_non_null(get(c, &RESOURCE_SERVICEACCOUNTS, "n", "default"));
}

static void test_end(void **state)
{
    struct cluster *c = *state;

    create(c, &RESOURCE_NAMESPACES, NULL, "{'metadata':{'name':'n'}}");
    create(c, &RESOURCE_CONFIGMAPS, "n", "{'metadata':{'name':'a'}}");
    create(c, &RESOURCE_CONFIGMAPS, "default", "{'metadata':{'name':'a'}}");
    create(c, &RESOURCE_SERVICES, "n", "{'metadata':{'name':'s'},'spec':{'ports':[{'port':80}],'selector':{'a':'b'}}}");
    create(c, &RESOURCE_APPS_DEPLOYMENTS, "n",
           "{'metadata':{'name':'web'},'spec':{'replicas':3,'selector':{'matchLabels':{'app':'web'}},'template'"
           ":" POD_TEMPLATE("web") "}}");
    run_all(c, "n");
    remove_object(c, &RESOURCE_NAMESPACES, NULL, "n", NULL);
    pass(c, 2);
    run_all(c, "n");
    pass(c, 2);
    assert_null(get(c, &RESOURCE_NAMESPACES, NULL, "n"));
    assert_int_equal(list(c, &RESOURCE_PODS, "n")->count, 0);
    assert_int_equal(list(c, &RESOURCE_SERVICEACCOUNTS, "n")->count, 0);
    assert_non_null(get(c, &RESOURCE_CONFIGMAPS, "default", "a"));
    /* A new one of that name starts empty. */
    create(c, &RESOURCE_NAMESPACES, NULL, "{'metadata':{'name':'n'}}");
    settle(c);
    assert_int_equal(list(c, &RESOURCE_CONFIGMAPS, "n")->count, 0);
    assert_non_null(get(c, &RESOURCE_SERVICEACCOUNTS, "n", "default"));
}

static void test_waits_for_what_stays(void **state)
{
    struct cluster *c = *state;

    create(c, &RESOURCE_NODES, NULL, "{'metadata':{'name':'node'}}");
    create(c, &RESOURCE_NAMESPACES, NULL, "{'metadata':{'name':'n'}}");
    create(c, &RESOURCE_CONFIGMAPS, "n", "{'metadata':{'name':'held','finalizers':['example.com/hold']}}");
    create(c, &RESOURCE_PODS, "n",
           "{'metadata':{'name':'p'},'spec':{'nodeName':'node','containers':[{'name':'c','image':'a'}]}}");
    settle(c);
    remove_object(c, &RESOURCE_NAMESPACES, NULL, "n", NULL);
    pass(c, 1);
    assert_string_equal(text_at(c, get(c, &RESOURCE_NAMESPACES, NULL, "n"), "status.phase"), "Terminating");
    assert_non_null(json_at(get(c, &RESOURCE_PODS, "n", "p"), "metadata.deletionTimestamp"));
    run_all(c, "n");
    assert_null(get(c, &RESOURCE_PODS, "n", "p"));
    pass(c, 30);
    const struct json *left = get(c, &RESOURCE_NAMESPACES, NULL, "n");

    assert_string_equal(text_at(c, condition(left, "NamespaceContentRemaining"), "message"),
                        "Some resources are remaining: configmaps. has 1 resource instances");
    assert_string_equal(text_at(c, condition(left, "NamespaceFinalizersRemaining"), "message"),
                        "Some content in the namespace has finalizers remaining: example.com/hold in 1 resource "
                        "instances");
    assert_string_equal(text_at(c, condition(left, "NamespaceDeletionContentFailure"), "status"), "False");
    assert_non_null(get(c, &RESOURCE_NAMESPACES, NULL, "n"));
    patch(c, &RESOURCE_CONFIGMAPS, "n", "held", NULL,
          "{'metadata':{'$deleteFromPrimitiveList/finalizers':['example.com/hold']}}");
    pass(c, 20);
    assert_null(get(c, &RESOURCE_NAMESPACES, NULL, "n"));
}

static const struct CMUnitTest tests[] = {
    CLUSTER_TEST(test_default_account),
    CLUSTER_TEST(test_end),
    CLUSTER_TEST(test_waits_for_what_stays),
};

int main(void)
{
    log_set_level(getenv("VERBOSE") ? LOG_DEBUG : LOG_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
