/* Events: what is written, that repetitions are counted, that nothing stops when the API does. */
#include "fake_api.h"

#include "base/log.h"
#include "client/events.h"

struct fixture {
    struct fake_api api;
    struct virtual_clock clock;
    struct seeded_rng rng;
    struct executor *executor;
    struct event_recorder *recorder;
    struct arena *arena;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);

    fake_init(&f->api);
    virtual_clock_init(&f->clock, 1767366245LL * NSEC_PER_SEC);
    seeded_rng_init(&f->rng, 1);
    f->arena = arena_new(0);
    assert_int_equal(executor_virtual_new(&f->clock, &f->executor, NULL), 0);
    assert_int_equal(
        event_recorder_new(&f->api.client, f->executor, &f->rng.rng, STR("tester"), STR("host"), &f->recorder, NULL),
        0);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    event_recorder_free(f->recorder);
    executor_free(f->executor);
    fake_deinit(&f->api);
    arena_free(f->arena);
    free(f);
    return 0;
}

static struct object *object_from(const struct resource *resource, const char *text)
{
    AUTO(blob) blob = blob_copy(str_from(text));
    struct object *object;

    assert_int_equal(object_new(resource, blob, &object, NULL), 0);
    return object;
}

static struct object *pod(void)
{
    return object_from(&RESOURCE_PODS,
                       "{\"metadata\":{\"name\":\"p\",\"namespace\":\"ns\",\"uid\":\"u\",\"resourceVersion\":\"7\"}}");
}

static void expect(struct fixture *f, const char *const (*fields)[2], size_t count)
{
    struct json *json;

    assert_int_equal(json_parse(f->arena, arena_str(f->arena, str_from(f->api.last_body)), NULL, &json, NULL), 0);
    for (size_t i = 0; i < count; i++)
        if (!str_is(json_str_at(json, fields[i][0]), fields[i][1]))
            fail_msg("%s: \"" STR_FMT "\", not \"%s\"", fields[i][0], STR_ARG(json_str_at(json, fields[i][0])),
                     fields[i][1]);
}

static void test_what_is_written(void **state)
{
    static const char *const fields[][2] = {
        { "apiVersion", "v1" },
        { "kind", "Event" },
        { "type", "Warning" },
        { "reason", "BackOff" },
        { "message", "\"quoted\" 3" },
        { "metadata.namespace", "ns" },
        { "involvedObject.apiVersion", "v1" },
        { "involvedObject.kind", "Pod" },
        { "involvedObject.name", "p" },
        { "involvedObject.namespace", "ns" },
        { "involvedObject.uid", "u" },
        { "involvedObject.resourceVersion", "7" },
        { "involvedObject.fieldPath", "spec.containers{c}" },
        { "source.component", "tester" },
        { "source.host", "host" },
        { "reportingComponent", "tester" },
        { "firstTimestamp", "2026-01-02T15:04:05Z" },
        { "lastTimestamp", "2026-01-02T15:04:05Z" },
    };
    struct fixture *f = *state;
    AUTO(object) about = pod();
    char path[] = "spec.containers{c}";

    event_record(f->recorder, about, str_from(path), "Warning", "BackOff", "\"%s\" %d", "quoted", 3);
    memset(path, 'x', sizeof path - 1); /* it was copied */
    assert_int_equal(f->api.calls[CLIENT_CREATE], 0);
    executor_run_ready(f->executor);
    assert_int_equal(f->api.calls[CLIENT_CREATE], 1);
    expect(f, fields, ARRAY_LEN(fields));
}

static void test_cluster_wide(void **state)
{
    static const char *const fields[][2] = { { "metadata.namespace", "default" },
                                             { "involvedObject.kind", "Node" },
                                             { "involvedObject.namespace", "" } };
    struct fixture *f = *state;
    AUTO(object) node = object_from(&RESOURCE_NODES, "{\"metadata\":{\"name\":\"n\",\"uid\":\"u\"}}");

    event_record(f->recorder, node, STR_NULL, "Normal", "Starting", "x");
    executor_run_ready(f->executor);
    expect(f, fields, ARRAY_LEN(fields));
}

static void test_group(void **state)
{
    static const char *const fields[][2] = { { "involvedObject.apiVersion", "apps/v1" } };
    struct fixture *f = *state;
    AUTO(object)
    set = object_from(&RESOURCE_APPS_REPLICASETS, "{\"metadata\":{\"name\":\"n\",\"namespace\":\"d\",\"uid\":\"u\"}}");

    event_record(f->recorder, set, STR_NULL, "Normal", "SuccessfulCreate", "x");
    executor_run_ready(f->executor);
    expect(f, fields, ARRAY_LEN(fields));
}

static void test_repetitions_are_counted(void **state)
{
    struct fixture *f = *state;
    AUTO(object) about = pod();

    for (int i = 0; i < 4; i++) {
        event_record(f->recorder, about, STR_NULL, "Warning", "BackOff", "same");
        executor_run_until(f->executor, (i + 1) * NSEC_PER_SEC);
    }
    assert_int_equal(f->api.calls[CLIENT_CREATE], 1);
    assert_int_equal(f->api.calls[CLIENT_PATCH], 3);
    assert_string_equal(f->api.last_body, "{\"count\":4,\"lastTimestamp\":\"2026-01-02T15:04:08Z\"}");
    event_record(f->recorder, about, STR_NULL, "Warning", "BackOff", "other");
    event_record(f->recorder, about, STR_NULL, "Normal", "BackOff", "same");
    event_record(f->recorder, about, STR("spec"), "Warning", "BackOff", "same");
    executor_run_ready(f->executor);
    assert_int_equal(f->api.calls[CLIENT_CREATE], 4);
}

/* The event was removed meanwhile: it is written anew. */
static void test_repetition_of_nothing(void **state)
{
    struct fixture *f = *state;
    AUTO(object) about = pod();

    event_record(f->recorder, about, STR_NULL, "Warning", "BackOff", "same");
    executor_run_ready(f->executor);
    fake_delete(&f->api, &RESOURCE_EVENTS, "ns", f->api.objects.items[0].name);
    event_record(f->recorder, about, STR_NULL, "Warning", "BackOff", "same");
    executor_run_ready(f->executor);
    assert_int_equal(f->api.calls[CLIENT_CREATE], 2);
    event_record(f->recorder, about, STR_NULL, "Warning", "BackOff", "same");
    executor_run_ready(f->executor);
    assert_int_equal(f->api.calls[CLIENT_CREATE], 2);
    assert_true(strncmp(f->api.last_body, "{\"count\":2,", 11) == 0);
}

static void test_api_fails(void **state)
{
    static const int codes[] = { ERR_UNAVAILABLE, ERR_FORBIDDEN, ERR_NOT_FOUND, ERR_NO_MEMORY };
    struct fixture *f = *state;
    AUTO(object) about = pod();

    for (size_t i = 0; i < ARRAY_LEN(codes); i++) {
        f->api.failures = 1;
        f->api.failure = codes[i];
        event_record(f->recorder, about, STR_NULL, "Normal", "Pulled", "%zu", i);
        executor_run_ready(f->executor);
    }
    assert_int_equal(f->api.calls[CLIENT_CREATE], ARRAY_LEN(codes)); /* each was tried once */
    event_record(f->recorder, about, STR_NULL, "Normal", "Pulled", "at last");
    executor_run_ready(f->executor);
    assert_int_equal(f->api.objects.count, 1);
}

static void test_storm(void **state)
{
    struct fixture *f = *state;
    AUTO(object) about = pod();

    for (int i = 0; i < 5000; i++)
        event_record(f->recorder, about, STR_NULL, "Normal", "Storm", "%d", i);
    executor_run_ready(f->executor);
    assert_int_equal(f->api.calls[CLIENT_CREATE], 1000);
    /* And then it goes on; the table of repetitions is bounded as well. */
    for (int i = 0; i < 10000; i++) {
        event_record(f->recorder, about, STR_NULL, "Normal", "Many", "%d", i);
        executor_run_ready(f->executor);
    }
    assert_int_equal(f->api.calls[CLIENT_CREATE], 11000);
}

static void test_long_message(void **state)
{
    struct fixture *f = *state;
    AUTO(object) about = pod();
    struct json *json;
    char message[3000];

    memset(message, 'm', sizeof message - 1);
    message[sizeof message - 1] = '\0';
    event_record(f->recorder, about, STR_NULL, "Normal", "Long", "%s", message);
    executor_run_ready(f->executor);
    assert_int_equal(json_parse(f->arena, str_from(f->api.last_body), NULL, &json, NULL), 0);
    assert_int_equal(json_str_at(json, "message").len, 1023);
}

static void test_freed_with_events_left(void **state)
{
    struct fixture *f = *state;
    AUTO(object) about = pod();

    for (int i = 0; i < 10; i++)
        event_record(f->recorder, about, STR_NULL, "Normal", "Left", "%d", i);
    f->recorder = event_recorder_free(f->recorder);
    executor_run_ready(f->executor);
    assert_int_equal(f->api.calls[CLIENT_CREATE], 0);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
static const struct CMUnitTest tests[] = {
    TEST(test_what_is_written),        TEST(test_cluster_wide), TEST(test_group), TEST(test_repetitions_are_counted),
    TEST(test_repetition_of_nothing),  TEST(test_api_fails),    TEST(test_storm), TEST(test_long_message),
    TEST(test_freed_with_events_left),
};

int main(void)
{
    log_set_level(LOG_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
