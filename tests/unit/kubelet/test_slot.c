/* test_slot.c - which container comes again, and when a pod has come to its end. */
#include "sync.h"

#define SPEC(policy, rest) "'spec':{'restartPolicy':'" policy "'," rest "'containers':[{'name':'a'}]}"
#define INIT "'initContainers':[{'name':'i'}],"
#define SIDE "'initContainers':[{'name':'s','restartPolicy':'Always'}],"

static const struct {
    const char *spec, *containers, *slot;
    bool restarts, finished;
} cases[] = {
    { SPEC("Always", ""), "a:0", "a", true, false },        { SPEC("Always", ""), "a:1", "a", true, false },
    { SPEC("Always", ""), "a:lost", "a", true, false },     { SPEC("OnFailure", ""), "a:0", "a", false, true },
    { SPEC("OnFailure", ""), "a:1", "a", true, false },     { SPEC("OnFailure", ""), "a:lost", "a", true, false },
    { SPEC("Never", ""), "a:0", "a", false, true },         { SPEC("Never", ""), "a:1", "a", false, true },
    { SPEC("Never", ""), "a:run", "a", false, false },      { SPEC("Never", ""), "", "a", false, false },
    { SPEC("Always", INIT), "i:0", "i", false, false },     { SPEC("Always", INIT), "i:1", "i", true, false },
    { SPEC("OnFailure", INIT), "i:1", "i", true, false },   { SPEC("Never", INIT), "i:1", "i", false, true },
    { SPEC("Never", SIDE), "s:1", "s", true, false },       { SPEC("Never", SIDE), "s:0 a:run", "s", true, false },
    { SPEC("Never", SIDE), "s:run a:0", "s", false, true }, { SPEC("Always", SIDE), "s:0 a:1", "s", true, false },
};

static void test_restarts(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct test_sync test;

        test_sync_init(&test, cases[i].spec);
        test_sync_containers(&test, cases[i].containers);
        if (slot_will_restart(&test.sync, test_slot(&test, cases[i].slot)) != cases[i].restarts)
            fail_msg("%s with %s: restarts", cases[i].spec, cases[i].containers);
        if (pod_is_finished(&test.sync) != cases[i].finished)
            fail_msg("%s with %s: finished", cases[i].spec, cases[i].containers);
        test_sync_deinit(&test);
    }
}

static void test_stopping_restarts_nothing(void **state)
{
    struct test_sync test;

    test_sync_init(&test, SPEC("Always", SIDE));
    test_sync_containers(&test, "s:1 a:1");
    test.sync.state->stopping = true;
    assert_false(slot_will_restart(&test.sync, test_slot(&test, "a")));
    assert_false(slot_will_restart(&test.sync, test_slot(&test, "s")));
    assert_true(pod_is_finished(&test.sync));
    test_sync_deinit(&test);
}

static void test_ephemeral_change_nothing(void **state)
{
    struct test_sync test;

    test_sync_init(&test, "'spec':{'restartPolicy':'Always','containers':[{'name':'a'}],"
                          "'ephemeralContainers':[{'name':'e','targetContainerName':'a'}]}");
    test_sync_containers(&test, "a:run e:1");
    assert_int_equal(test.sync.slot_count, 1);
    assert_int_equal(test.sync.ephemeral_count, 1);
    assert_string_equal(slot_list(&test.sync.ephemeral[0]), "ephemeralContainers");
    assert_true(slot_has_exited(&test.sync.ephemeral[0]));
    assert_false(slot_will_restart(&test.sync, &test.sync.ephemeral[0]));
    assert_false(pod_is_finished(&test.sync));
    test_sync_deinit(&test);
}

static void test_current_and_previous(void **state)
{
    struct test_sync test;

    test_sync_init(&test, SPEC("Always", ""));
    test_sync_containers(&test, "other:run a#3:1 a#4:run");
    struct container_slot *slot = test_slot(&test, "a");
    assert_int_equal(slot->current->attempt, 4);
    assert_int_equal(slot->previous->attempt, 3);
    assert_true(slot_is_running(slot));
    test_sync_deinit(&test);
}

/* Probes and hooks decide who is ready and who is started. */
static void test_readiness(void **state)
{
    static const char spec[] = "'spec':{'containers':[{'name':'plain'},"
                               "{'name':'ready','readinessProbe':{'tcpSocket':{'port':1}}},"
                               "{'name':'startup','startupProbe':{'tcpSocket':{'port':1}}}]}";
    struct test_sync test;

    test_sync_init(&test, spec);
    test_sync_containers(&test, "plain:run ready:run startup:run");
    struct container_slot *plain = test_slot(&test, "plain"), *ready = test_slot(&test, "ready"),
                          *startup = test_slot(&test, "startup");
    assert_true(slot_is_ready(plain));
    assert_true(slot_is_started(ready));
    assert_false(slot_is_ready(ready));
    ready->probes.ready = true;
    assert_true(slot_is_ready(ready));
    assert_false(slot_is_started(startup));
    assert_false(slot_is_ready(startup));
    startup->probes.started = true;
    assert_true(slot_is_ready(startup));
    plain->starting = true;
    assert_false(slot_is_ready(plain));
    assert_false(slot_is_started(plain));
    test_sync_deinit(&test);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_restarts),
        cmocka_unit_test(test_stopping_restarts_nothing),
        cmocka_unit_test(test_ephemeral_change_nothing), cmocka_unit_test(test_current_and_previous),
        cmocka_unit_test(test_readiness),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
