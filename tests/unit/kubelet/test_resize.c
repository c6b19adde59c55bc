/* test_resize.c - what counts for a container while its pod is resized, and whether there is room. */
#include "sync.h"

#include "kubelet/resize.h"
#include "kubelet/resources.h"

static void test_verdicts(void **state)
{
    static const struct {
        struct resize_room wanted, used, node;
        const char *reason, *message;
    } cases[] = {
        { { 1000, 10 }, { 0, 0 }, { 1000, 10 }, NULL, NULL },
        { { 1001, 10 }, { 0, 0 }, { 1000, 10 }, "Infeasible",
          "Node didn't have enough capacity: cpu, requested: 1001, capacity: 1000" },
        { { 500, 11 }, { 900, 0 }, { 1000, 10 }, "Infeasible",
          "Node didn't have enough capacity: memory, requested: 11, capacity: 10" },
        { { 500, 5 }, { 501, 0 }, { 1000, 10 }, "Deferred",
          "Node didn't have enough resource: cpu, requested: 500, used: 501, capacity: 1000" },
        { { 500, 5 }, { 500, 6 }, { 1000, 10 }, "Deferred",
          "Node didn't have enough resource: memory, requested: 5, used: 6, capacity: 10" },
        { { 0, 0 }, { 2000, 20 }, { 1000, 10 }, "Deferred",
          "Node didn't have enough resource: cpu, requested: 0, used: 2000, capacity: 1000" },
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char message[RESIZE_MESSAGE] = "";
        const char *reason = resize_verdict(&cases[i].wanted, &cases[i].used, &cases[i].node, message);

        assert_int_equal(reason == NULL, cases[i].reason == NULL);
        if (reason) {
            assert_string_equal(reason, cases[i].reason);
            assert_string_equal(message, cases[i].message);
        }
    }
}

#define POD(cpu) "'spec':{'containers':[{'name':'a','resources':{'requests':{'cpu':'" cpu "','x.io/y':'1'}}}]}"

static struct str cpu_of(const struct resource_requirements *resources)
{
    return resource_value(&resources->requests, "cpu");
}

/* Started with one, then asked for two. */
static void test_what_counts(void **state)
{
    struct test_sync before, after;
    struct container_slot *slot;

    test_sync_init(&before, POD("1"));
    test_sync_init(&after, POD("2"));
    test_sync_containers(&before, "a:run");
    resize_note_start(&before.sync, test_slot(&before, "a"));
    assert_true(str_is(cpu_of(resize_actual(&before.sync, test_slot(&before, "a"))), "1"));

    test_sync_containers(&after, "a:run");
    slot = test_slot(&after, "a");
    *slot->memory = (struct container_memory){ .name = slot->memory->name, .given_known = true };
    memcpy(slot->memory->given, test_slot(&before, "a")->memory->given, sizeof slot->memory->given);
    assert_true(str_is(cpu_of(resize_actual(&after.sync, slot)), "1"));
    assert_true(str_is(cpu_of(&resize_effective(&after.sync, slot)->resources), "2"));
    after.sync.state->resize_pending = "Deferred";
    assert_true(str_is(cpu_of(&resize_effective(&after.sync, slot)->resources), "1"));
    assert_true(str_is(resource_value(&resize_effective(&after.sync, slot)->resources.requests, "x.io/y"), "1"));
    resize_note_start(&after.sync, slot); /* started again while there is no room: with what it had */
    assert_true(str_is(cpu_of(resize_actual(&after.sync, slot)), "1"));
    test_sync_deinit(&before);
    test_sync_deinit(&after);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_verdicts), cmocka_unit_test(test_what_counts) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
