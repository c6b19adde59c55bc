/* Names of resources, from the tables and from a discovery document; arguments that name objects. Nothing is asked: the
 * resources count as discovered. */
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "cli/resources.h"

static const char discovery[] =
    "{\"kind\":\"APIGroupDiscoveryList\",\"items\":[{\"metadata\":{\"name\":\"\"},\"versions\":[{\"version\":\"v1\",\"resources\":["
    "{\"resource\":\"pods\",\"responseKind\":{\"kind\":\"Pod\"},\"scope\":\"Namespaced\",\"singularResource\":\"pod\","
    "\"verbs\":[\"get\",\"list\"],\"shortNames\":[\"po\"],\"categories\":[\"all\"]}]}]},"
    "{\"metadata\":{\"name\":\"sea.example.com\"},\"versions\":["
    "{\"version\":\"v2\",\"resources\":[{\"resource\":\"boats\",\"responseKind\":{\"kind\":\"Boat\"},\"scope\":\"Namespaced\","
    "\"singularResource\":\"boat\",\"verbs\":[\"list\"],\"shortNames\":[\"bt\"],\"categories\":[\"all\",\"fleet\"]}]},"
    "{\"version\":\"v1\",\"resources\":[{\"resource\":\"boats\",\"responseKind\":{\"kind\":\"Boat\"},\"scope\":\"Namespaced\","
    "\"singularResource\":\"boat\",\"verbs\":[\"list\"]}]}]}, {\"metadata\":{}}, 5]}";

struct fixture {
    struct session session;
    struct resources resources;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    struct json *json;

    assert_non_null(f);
    arena_init(&f->session.arena, 0);
    f->session.ns = STR("default");
    resources_init(&f->resources, &f->session);
    assert_int_equal(json_parse(&f->session.arena, str_from(discovery), NULL, &json, NULL), 0);
    assert_int_equal(resources_add(&f->resources, &f->session.arena, json, NULL), 0);
    f->resources.asked = true;
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    resources_deinit(&f->resources);
    arena_deinit(&f->session.arena);
    free(f);
    return 0;
}

static const struct {
    const char *word, *want; /* "plural.version.group"; NULL: there is none */
} names[] = {
    { "pods", "pods.v1." },
    { "pod", "pods.v1." },
    { "po", "pods.v1." },
    { "Pod", "pods.v1." },
    { "PODS", "pods.v1." },
    { "pods.v1", "pods.v1." },
    { "deploy", "deployments.v1.apps" },
    { "deployments.apps", "deployments.v1.apps" },
    { "deployments.v1.apps", "deployments.v1.apps" },
    { "deployment.app", NULL },
    { "ingresses.networking", "ingresses.v1.networking.k8s.io" },
    { "hpa", "horizontalpodautoscalers.v2.autoscaling" },
    { "hpa.v1.autoscaling", "horizontalpodautoscalers.v1.autoscaling" },
    { "events", "events.v1." },
    { "events.events.k8s.io", "events.v1.events.k8s.io" },
    { "boats", "boats.v2.sea.example.com" },
    { "bt", "boats.v2.sea.example.com" },
    { "boat.sea.example.com", "boats.v2.sea.example.com" },
    { "boats.v1.sea.example.com", "boats.v1.sea.example.com" },
    { "boats.v3.sea.example.com", NULL },
    { "", NULL },
    { ".", NULL },
    { "..", NULL },
    { "nope", NULL },
};

static void test_names(void **state)
{
    struct fixture *f = *state;

    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        const struct resource *resource = NULL;
        struct err err = { 0 };
        int code = resources_find(&f->resources, str_from(names[i].word), &resource, &err);

        if ((code == 0) != (names[i].want != NULL))
            fail_msg("%s: %d %s", names[i].word, code, err.message);
        if (code < 0)
            continue;
        struct str text = arena_printf(&f->session.arena, STR_FMT "." STR_FMT "." STR_FMT, STR_ARG(resource->plural),
                                       STR_ARG(resource->version), STR_ARG(resource->group));

        assert_string_equal(text.data, names[i].want);
    }
}

static const struct {
    const char *words[4];
    const char *want; /* "type/name type/name"; NULL: refused */
    bool single;
} lines[] = {
    { { "pods" }, "pods/", true },
    { { "pods,svc" }, "pods/ services/", false },
    { { "pods,po,Pod" }, "pods/", true },
    { { "pod", "a", "b" }, "pods/a pods/b", true },
    { { "pod,svc", "a" }, "pods/a services/a", false },
    { { "pod/a", "svc/b" }, "pods/a services/b", false },
    { { "pod/a" }, "pods/a", true },
    { { "fleet" }, "boats/", true },
    { { "all" }, "pods/ boats/", false },
    { { "pod", "svc/b" }, NULL, false },
    { { "pod/a", "b" }, NULL, false },
    { { "pod/" }, NULL, false },
    { { "/a" }, NULL, false },
    { { "pod/a/b" }, NULL, false },
    { { "pods,,svc" }, NULL, false },
    { { "nope" }, NULL, false },
};

static void test_targets(void **state)
{
    struct fixture *f = *state;

    for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
        struct targets targets = { 0 };
        struct str text = STR("");
        size_t count = 0;

        while (lines[i].words[count])
            count++;
        int code = targets_parse(&f->resources, (char *const *)lines[i].words, count, &targets, NULL);

        if ((code == 0) != (lines[i].want != NULL))
            fail_msg("%s: %d", lines[i].words[0], code);
        for (size_t t = 0; code == 0 && t < targets.count; t++)
            text = arena_printf(&f->session.arena, STR_FMT "%s" STR_FMT "/" STR_FMT, STR_ARG(text), t ? " " : "",
                                STR_ARG(targets.items[t].resource->plural), STR_ARG(targets.items[t].name));
        if (code == 0 && (!str_is(text, lines[i].want) || targets.single_type != lines[i].single))
            fail_msg("%s: " STR_FMT " %d", lines[i].words[0], STR_ARG(text), targets.single_type);
    }
}

static void test_kinds(void **state)
{
    struct fixture *f = *state;
    const struct resource *resource;

    assert_int_equal(resources_find_kind(&f->resources, STR("apps/v1"), STR("Deployment"), &resource, NULL), 0);
    assert_true(str_is(resource_type_name(&f->session.arena, resource), "deployment.apps"));
    assert_true(str_is(resource_group_version(&f->session.arena, resource), "apps/v1"));
    assert_int_equal(resources_find_kind(&f->resources, STR("sea.example.com/v1"), STR("Boat"), &resource, NULL), 0);
    assert_true(str_is(resource_full_name(&f->session.arena, resource), "boats.sea.example.com"));
    assert_int_equal(resources_find_kind(&f->resources, STR("v1"), STR("Boat"), &resource, NULL), -ERR_NOT_FOUND);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test_setup_teardown(test_names, setup, teardown),
    cmocka_unit_test_setup_teardown(test_targets, setup, teardown),
    cmocka_unit_test_setup_teardown(test_kinds, setup, teardown),
};

int main(void)
{
    return cmocka_run_group_tests(tests, NULL, NULL);
}
