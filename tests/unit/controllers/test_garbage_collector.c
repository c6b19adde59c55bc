/* Who goes with whom: owners that are deleted, in the background, in the foreground, or leaving orphans. */
#include "cluster.h"

static const char *make(struct cluster *c, const char *name, const char *owners)
{
    char body[1024];

    snprintf(body, sizeof body, "{'metadata':{'name':'%s','ownerReferences':[%s]}}", name, owners);
    create(c, &RESOURCE_CONFIGMAPS, "default", body);
    return text_at(c, get(c, &RESOURCE_CONFIGMAPS, "default", name), "metadata.uid");
}

/* A reference to a ConfigMap of that name and uid. */
static const char *owned_by(struct cluster *c, const char *name, const char *uid, bool blocks)
{
    struct str s =
        arena_printf(c->arena, "{'apiVersion':'v1','kind':'ConfigMap','name':'%s','uid':'%s','blockOwnerDeletion':%s}",
                     name, uid, blocks ? "true" : "false");

    return s.data;
}

static bool there(struct cluster *c, const char *name)
{
    return get(c, &RESOURCE_CONFIGMAPS, "default", name);
}

static void go(struct cluster *c, const char *name, const char *policy)
{
    char body[64];

    snprintf(body, sizeof body, "{'propagationPolicy':'%s'}", policy);
    remove_object(c, &RESOURCE_CONFIGMAPS, "default", name, body);
    settle(c);
}

static void test_background(void **state)
{
    struct cluster *c = *state;
    const char *a = make(c, "a", ""), *b = make(c, "b", owned_by(c, "a", a, true));

    make(c, "c", owned_by(c, "b", b, false));
    make(c, "other", "");
    settle(c);
    assert_true(there(c, "c"));
    go(c, "a", "Background");
    assert_false(there(c, "a"));
    assert_false(there(c, "b"));
    assert_false(there(c, "c"));
    assert_true(there(c, "other"));
}

static void test_foreground(void **state)
{
    struct cluster *c = *state;
    const char *a = make(c, "a", ""), *b = make(c, "b", owned_by(c, "a", a, true));

    make(c, "c", owned_by(c, "b", b, true));
    settle(c);
    patch(c, &RESOURCE_CONFIGMAPS, "default", "c", NULL, "{'metadata':{'finalizers':['example.com/hold']}}");
    settle(c);
    go(c, "a", "Foreground");
    /* The chain waits for the last of it. */
    assert_true(there(c, "a") && there(c, "b") && there(c, "c"));
    assert_non_null(json_at(get(c, &RESOURCE_CONFIGMAPS, "default", "b"), "metadata.deletionTimestamp"));
    patch(c, &RESOURCE_CONFIGMAPS, "default", "c", NULL,
          "{'metadata':{'$deleteFromPrimitiveList/finalizers':['example.com/hold']}}");
    settle(c);
    assert_false(there(c, "a") || there(c, "b") || there(c, "c"));
}

static void test_foreground_waits_only_for_those_that_block(void **state)
{
    struct cluster *c = *state;
    const char *a = make(c, "a", "");

    make(c, "free", owned_by(c, "a", a, false));
    settle(c);
    patch(c, &RESOURCE_CONFIGMAPS, "default", "free", NULL, "{'metadata':{'finalizers':['example.com/hold']}}");
    settle(c);
    go(c, "a", "Foreground");
    assert_false(there(c, "a"));
    assert_true(there(c, "free"));
    assert_non_null(json_at(get(c, &RESOURCE_CONFIGMAPS, "default", "free"), "metadata.deletionTimestamp"));
}

static void test_orphan(void **state)
{
    struct cluster *c = *state;
    const char *a = make(c, "a", "");

    make(c, "b", owned_by(c, "a", a, true));
    settle(c);
    go(c, "a", "Orphan");
    assert_false(there(c, "a"));
    assert_true(there(c, "b"));
    assert_null(json_at(get(c, &RESOURCE_CONFIGMAPS, "default", "b"), "metadata.ownerReferences"));
}

static void test_two_owners(void **state)
{
    struct cluster *c = *state;
    const char *a = make(c, "a", ""), *b = make(c, "b", "");
    struct str both = arena_printf(c->arena, "%s,%s", owned_by(c, "a", a, true), owned_by(c, "b", b, true));

    make(c, "d", both.data);
    settle(c);
    go(c, "a", "Background");
    assert_true(there(c, "d"));
    assert_int_equal(json_at(get(c, &RESOURCE_CONFIGMAPS, "default", "d"), "metadata.ownerReferences")->count, 1);
    go(c, "b", "Background");
    assert_false(there(c, "d"));
}

/* An owner that never was, one of another uid under the same name, and one of a kind that nobody knows. */
static void test_owners_that_are_not(void **state)
{
    struct cluster *c = *state;

    make(c, "a", "");
    make(c, "namesake", owned_by(c, "a", "00000000-0000-0000-0000-000000000000", true));
    make(c, "orphan", owned_by(c, "nobody", "00000000-0000-0000-0000-000000000001", true));
    make(c, "foreign",
         "{'apiVersion':'example.com/v1','kind':'Widget','name':'w','uid':'00000000-0000-0000-0000-000000000002'}");
    settle(c);
    assert_false(there(c, "namesake"));
    assert_false(there(c, "orphan"));
    assert_true(there(c, "foreign"));
    assert_true(there(c, "a"));
}

static void test_deleted_while_nobody_looked(void **state)
{
    struct cluster *c = *state;
    const char *a = make(c, "a", "");

    make(c, "b", owned_by(c, "a", a, true));
    settle(c);
    remove_object(c, &RESOURCE_CONFIGMAPS, "default", "a", NULL);
    cluster_stop(c); /* before the watch was read */
    assert_int_equal(c->controllers == NULL, true);
    cluster_start(c);
    settle(c);
    assert_false(there(c, "b"));
}

static void test_circle(void **state)
{
    struct cluster *c = *state;
    const char *a = make(c, "a", ""), *b = make(c, "b", owned_by(c, "a", a, true));
    char body[512];

    snprintf(body, sizeof body, "{'metadata':{'ownerReferences':[%s]}}", owned_by(c, "b", b, true));
    patch(c, &RESOURCE_CONFIGMAPS, "default", "a", NULL, body);
    settle(c);
    assert_true(there(c, "a") && there(c, "b"));
    go(c, "a", "Background");
    assert_false(there(c, "a") || there(c, "b"));
}

static const struct CMUnitTest tests[] = {
    CLUSTER_TEST(test_background),
    CLUSTER_TEST(test_foreground),
    CLUSTER_TEST(test_foreground_waits_only_for_those_that_block),
    CLUSTER_TEST(test_orphan),
    CLUSTER_TEST(test_two_owners),
    CLUSTER_TEST(test_owners_that_are_not),
    CLUSTER_TEST(test_deleted_while_nobody_looked),
    CLUSTER_TEST(test_circle),
};

int main(void)
{
    log_set_level(getenv("VERBOSE") ? LOG_DEBUG : LOG_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
