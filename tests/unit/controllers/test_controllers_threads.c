/* All controllers on a pool of threads over a store with its own: what they agree on in the end, and that they can be
 * stopped at any moment. For the thread sanitizer above all. */
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "api/resources.h"
#include "apiserver/apiserver.h"
#include "base/file.h"
#include "base/log.h"
#include "controllers/controllers.h"

struct plane {
    char path[64];
    struct executor *executor;
    struct store *store;
    struct node_sessions *sessions;
    struct apiserver *server;
    struct client *client;
    struct informers *informers;
    struct event_recorder *events;
    struct controllers *controllers;
};

#define MUST(call)                                       \
    do {                                                 \
        struct err must_err = { 0 }, *err = &must_err;   \
        if ((call) < 0)                                  \
            fail_msg("%s: %s", #call, must_err.message); \
    } while (0)

static void start(struct plane *p)
{
    memset(p, 0, sizeof *p);
    snprintf(p->path, sizeof p->path, "/tmp/caravel-threads-XXXXXX");
    assert_non_null(mkdtemp(p->path));
    MUST(executor_pool_new(clock_real(), "test", 8, &p->executor, err));
    MUST(store_open(&(struct store_options){ .path = p->path, .clock = clock_real(), .map_size = 256u << 20 },
                    &p->store, err));
    MUST(node_sessions_new(clock_real(), &p->sessions, err));
    MUST(apiserver_new(&(struct apiserver_options){ .store = p->store,
                                                    .executor = p->executor,
                                                    .clock = clock_real(),
                                                    .rng = rng_system(),
                                                    .sessions = p->sessions },
                       &p->server, err));
    MUST(apiserver_local_client(p->server, STR("tester"), &p->client, err));
    MUST(apiserver_bootstrap(p->server, STR_NULL, 6443, err));
    MUST(informers_new(p->client, p->executor, rng_system(), &p->informers, err));
    MUST(event_recorder_new(p->client, p->executor, rng_system(), STR("test"), STR(""), &p->events, err));
    MUST(controllers_new(&(struct controllers_options){ .informers = p->informers,
                                                        .client = p->client,
                                                        .executor = p->executor,
                                                        .rng = rng_system(),
                                                        .events = p->events,
                                                        .sessions = p->sessions },
                         &p->controllers, err));
    MUST(informers_start(p->informers, err));
}

static void stop(struct plane *p)
{
    informers_stop(p->informers);
    controllers_free(p->controllers);
    informers_free(p->informers);
    event_recorder_free(p->events);
    client_free(p->client);
    apiserver_free(p->server);
    executor_free(p->executor);
    node_sessions_free(p->sessions);
    store_close(p->store);
    file_remove_tree(p->path, NULL);
}

static void create(struct plane *p, const struct resource *resource, const char *body)
{
    const struct client_call call = { .verb = CLIENT_CREATE,
                                      .resource = resource,
                                      .ns = STR_INIT("default"),
                                      .body = str_from(body),
                                      .rule = STR_INIT("test") };
    struct blob *blob = NULL;

    MUST(p->client->ops->call(p->client, &call, NULL, NULL, NULL, &blob, err));
    blob_unref(blob);
}

static void create_web(struct plane *p, int number, int replicas)
{
    char body[512];

    snprintf(
        body, sizeof body,
        "{\"metadata\":{\"name\":\"web%d\"},\"spec\":{\"replicas\":%d,\"selector\":{\"matchLabels\":{\"app\":\"w%d\"}},"
        "\"template\":{\"metadata\":{\"labels\":{\"app\":\"w%d\"}},\"spec\":{\"containers\":[{\"name\":\"c\",\"image\":"
        "\"a\"}]}}}}",
        number, replicas, number, number);
    create(p, &RESOURCE_APPS_DEPLOYMENTS, body);
}

static int count_item(void *arg, struct str text, struct err *err)
{
    ++*(size_t *)arg;
    return 0;
}

static size_t count(struct plane *p, const struct resource *resource)
{
    const struct client_call call = { .verb = CLIENT_LIST, .resource = resource, .ns = STR_INIT("default") };
    size_t found = 0;
    uint64_t revision;

    MUST(p->client->ops->call(p->client, &call, count_item, &found, &revision, NULL, err));
    return found;
}

static void wait_for(struct plane *p, const struct resource *resource, size_t wanted)
{
    while (count(p, resource) != wanted)
        sched_yield();
}

static void remove_web(struct plane *p, int number)
{
    const struct client_delete_options options = { .propagation_policy = STR("Foreground"), .grace_seconds = -1 };
    char name[16];

    snprintf(name, sizeof name, "web%d", number);
    MUST(client_delete(p->client, &RESOURCE_APPS_DEPLOYMENTS, STR("default"), str_from(name), &options, STR("test"), 0,
                       err));
}

/* Never more pods than asked for, and none left in the end. */
static void test_counts(void **state)
{
    struct plane plane, *p = &plane;

    (void)state;
    start(p);
    for (int i = 0; i < 6; i++)
        create_web(p, i, 5 + i);
    wait_for(p, &RESOURCE_PODS, 45);
    wait_for(p, &RESOURCE_APPS_REPLICASETS, 6);
    for (int i = 0; i < 100; i++)
        assert_int_equal(count(p, &RESOURCE_PODS), 45);
    for (int i = 0; i < 6; i++)
        remove_web(p, i);
    wait_for(p, &RESOURCE_APPS_DEPLOYMENTS, 0);
    assert_int_equal(count(p, &RESOURCE_PODS), 0);
    assert_int_equal(count(p, &RESOURCE_APPS_REPLICASETS), 0);
    stop(p);
}

static void test_stopped_at_any_moment(void **state)
{
    struct plane plane, *p = &plane;

    (void)state;
    for (int round = 0; round < 8; round++) {
        start(p);
        for (int i = 0; i < round; i++)
            create_web(p, i, 10);
        if (round > 3)
            wait_for(p, &RESOURCE_APPS_REPLICASETS, (size_t)round);
        stop(p);
    }
}

static const struct CMUnitTest tests[] = { cmocka_unit_test(test_counts),
                                           cmocka_unit_test(test_stopped_at_any_moment) };

int main(void)
{
    log_set_level(getenv("VERBOSE") ? LOG_DEBUG : LOG_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
