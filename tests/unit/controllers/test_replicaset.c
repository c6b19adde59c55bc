/* Replica sets and replication controllers: counts, belonging, failures, conditions of the cache. */
#include "cluster.h"
#include "store/store.h"

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

/* -- a set and its pods in one transaction -- */

struct kept {
    struct store_op ops[8];
    size_t count;
};

/* All of a resource whose names begin like that, as they are stored, but for their revision. */
static void keep(struct cluster *c, const struct resource *resource, const char *name, struct kept *kept)
{
    static const struct str mark = STR_INIT("\"resourceVersion\":\"");
    struct str prefix = arena_printf(c->arena, STR_FMT "default/%s", STR_ARG(resource->store_prefix), name);
    AUTO(store_snapshot) snapshot = NULL;
    AUTO(store_cursor) cursor = NULL;
    struct store_item item;

    MUST(store_snapshot_open(c->store, 0, &snapshot, err));
    MUST(store_cursor_open(snapshot, prefix, STR_NULL, &cursor, err));
    while (store_cursor_next(cursor, &item, NULL) == 1) {
        ssize_t at = str_find(item.value, mark);

        assert_true(at >= 0 && kept->count < ARRAY_LEN(kept->ops));
        struct str head = str_first(item.value, (size_t)at + mark.len), tail = str_skip(item.value, head.len);

        tail = str_skip(tail, (size_t)str_chr(tail, '"'));
        kept->ops[kept->count++] = (struct store_op){
            .kind = STORE_PUT,
            .key = arena_str(c->arena, item.key),
            .expect = STORE_ABSENT,
            .value = arena_printf(c->arena, STR_FMT STR_FMT, STR_ARG(head), STR_ARG(tail)),
            .splice = head.len,
        };
    }
}

static void commit(struct cluster *c, const struct kept *kept)
{
    MUST(store_commit(c->store, kept->ops, kept->count, NULL, NULL, err));
}

/* The cache of the pods is behind that of the sets, for a while. */
static void test_comes_back_whole(void **state)
{
    struct cluster *c = *state;
    struct kept kept = { .count = 0 }, gone;

    create(c, &RESOURCE_APPS_REPLICASETS, "default", SET(2));
    settle(c);
    run_all(c, "default");
    keep(c, &RESOURCE_APPS_REPLICASETS, "web", &kept);
    keep(c, &RESOURCE_PODS, "web-", &kept);
    assert_int_equal(kept.count, 3);
    gone = kept;
    for (size_t i = 0; i < gone.count; i++) {
        gone.ops[i].kind = STORE_DELETE;
        gone.ops[i].expect = STORE_ANY;
    }
    commit(c, &gone);
    settle(c);
    assert_int_equal(pod_count(c), 0);
    c->slow.held = &RESOURCE_PODS;
    commit(c, &kept);
    pass(c, 5);
    assert_int_equal(pod_count(c), 2);
    assert_int_equal(number(web(c), "status.readyReplicas"), 2);
    slow_release(&c->slow);
    pass(c, 5);
    assert_int_equal(pod_count(c), 2);
    assert_int_equal(number(web(c), "status.readyReplicas"), 2);
    assert_int_equal(count_events(c, "SuccessfulCreate", ""), 2);
    assert_int_equal(count_events(c, "SuccessfulDelete", ""), 0);
}

/* The other way around: pods go and fewer are wanted, and the cache of the sets does not know yet. */
static void test_scaled_and_deleted_at_once(void **state)
{
    struct cluster *c = *state;
    struct kept fewer = { .count = 0 }, pods = { .count = 0 };

    create(c, &RESOURCE_APPS_REPLICASETS, "default", SET(1));
    settle(c);
    keep(c, &RESOURCE_APPS_REPLICASETS, "web", &fewer);
    scale(c, 2);
    run_all(c, "default");
    keep(c, &RESOURCE_PODS, "web-", &pods);
    assert_int_equal(pods.count, 2);
    fewer.ops[0].expect = STORE_ANY;
    fewer.ops[1] = pods.ops[0];
    fewer.ops[1].kind = STORE_DELETE;
    fewer.ops[1].expect = STORE_ANY;
    fewer.count = 2;
    c->slow.held = &RESOURCE_APPS_REPLICASETS;
    commit(c, &fewer);
    pass(c, 5);
    assert_int_equal(pod_count(c), 1);
    slow_release(&c->slow);
    pass(c, 5);
    assert_int_equal(pod_count(c), 1);
    assert_int_equal(count_events(c, "SuccessfulCreate", ""), 2);
    assert_int_equal(count_events(c, "SuccessfulDelete", ""), 0);
}

static const struct CMUnitTest tests[] = {
    CLUSTER_TEST(test_pods_of_a_set),          CLUSTER_TEST(test_replaces_pods), CLUSTER_TEST(test_no_more_than_asked),
    CLUSTER_TEST(test_releases_and_adopts),    CLUSTER_TEST(test_deletion_cost), CLUSTER_TEST(test_survives_restart),
    CLUSTER_TEST(test_replication_controller), CLUSTER_TEST(test_many_at_once), CLUSTER_TEST(test_comes_back_whole),
    CLUSTER_TEST(test_scaled_and_deleted_at_once),
};

int main(void)
{
    log_set_level(getenv("VERBOSE") ? LOG_DEBUG : LOG_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
