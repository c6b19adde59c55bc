/* test_field_ref.c - the downward API. */
#include "sync.h"

#include <unistd.h>

#include "kubelet/field_ref.h"

#define SPEC                                                                                       \
    "'spec':{'nodeName':'node-a','serviceAccountName':'sa','containers':[{'name':'a','resources':" \
    "{'limits':{'cpu':'1500m','memory':'64Mi'},'requests':{'cpu':'250m'}}},{'name':'b'}]}"

static const struct {
    const char *path, *want; /* NULL: refused */
} fields[] = {
    { "metadata.name", "web" },
    { "metadata.namespace", "ns" },
    { "metadata.uid", "u-1" },
    { "metadata.labels['app']", "x" },
    { "metadata.labels['none']", "" },
    { "metadata.annotations['note']", "1" },
    { "metadata.annotations", "note=\"1\"" },
    { "metadata.labels", "app=\"x\"\ntier=\"a\\\\\\\"b\"" },
    { "spec.nodeName", "node-a" },
    { "spec.serviceAccountName", "sa" },
    { "status.podIP", "10.1.2.3" },
    { "status.podIPs", "10.1.2.3" },
    { "status.hostIP", "192.0.2.7" },
    { "status.phase", NULL },
    { "metadata.labels[app]", NULL },
    { "metadata.labels['", NULL },
    { "metadata", NULL },
    { "", NULL },
};

static void test_fields(void **state)
{
    struct test_sync test;

    test_sync_init(&test, SPEC);
    snprintf(test.sync.state->ip, sizeof test.sync.state->ip, "10.1.2.3");
    for (size_t i = 0; i < ARRAY_LEN(fields); i++) {
        struct err err;
        struct str value;
        int code = field_ref_value(&test.sync, str_from(fields[i].path), &value, &err);

        if (fields[i].want ? code < 0 || !str_is(value, fields[i].want) : code != -ERR_INVALID)
            fail_msg("%s: %d " STR_FMT, fields[i].path, code, STR_ARG(code == 0 ? value : STR("")));
    }
    test_sync_deinit(&test);
}

static const struct {
    const char *resource, *container, *divisor, *want;
} resources[] = {
    { "limits.cpu", "", "", "2" },
    { "limits.cpu", "a", "1m", "1500" },
    { "requests.cpu", "", "", "1" },
    { "requests.cpu", "", "1m", "250" },
    { "limits.memory", "", "", "67108864" },
    { "limits.memory", "", "1Mi", "64" },
    { "limits.memory", "", "1Gi", "1" },
    { "requests.memory", "", "", "0" },
    { "requests.cpu", "b", "", "0" },
    { "limits.cpu", "nobody", "", NULL },
    { "cpu", "", "", NULL },
};

static void test_resources(void **state)
{
    struct test_sync test;
    char cores[16];

    test_sync_init(&test, SPEC);
    const struct container *own = &test.sync.pod->spec.containers.items[0], *other = own + 1;

    for (size_t i = 0; i < ARRAY_LEN(resources); i++) {
        const struct resource_field_selector ref = { .resource = str_from(resources[i].resource),
                                                     .container_name = str_from(resources[i].container),
                                                     .divisor = str_from(resources[i].divisor) };
        struct err err;
        struct str value;
        int code = resource_ref_value(&test.sync, own, &ref, &value, &err);

        if (resources[i].want ? code < 0 || !str_is(value, resources[i].want) : code != -ERR_INVALID)
            fail_msg("%s/%s: %d " STR_FMT, resources[i].resource, resources[i].divisor, code,
                     STR_ARG(code == 0 ? value : STR("")));
    }
    /* no limit: what the node has */
    const struct resource_field_selector ref = { .resource = STR("limits.cpu") };
    struct err err;
    struct str value;

    snprintf(cores, sizeof cores, "%ld", sysconf(_SC_NPROCESSORS_ONLN));
    assert_int_equal(resource_ref_value(&test.sync, other, &ref, &value, &err), 0);
    assert_string_equal(value.data, cores);
    test_sync_deinit(&test);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_fields), cmocka_unit_test(test_resources) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
