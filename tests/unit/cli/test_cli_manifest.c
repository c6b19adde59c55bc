/* Objects out of YAML and JSON texts, and what is said about texts that hold none. */
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "cli/manifest.h"

static const struct {
    const char *name, *text;
    const char *want;    /* "Kind/name" each with a blank behind */
    const char *message; /* NULL: it is fine */
} cases[] = {
    { "one", "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\n", "Pod/a ", NULL },
    { "several, empty ones between", "---\nkind: A\napiVersion: v1\n---\n---\n# nothing\n---\nkind: B\napiVersion: v1\n", "A/ B/ ",
      NULL },
    { "JSON", " {\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"metadata\":{\"name\":\"j\"}}", "Pod/j ", NULL },
    { "flow YAML", "{apiVersion: v1, kind: Pod, metadata: {name: f}}", "Pod/f ", NULL },
    { "a List", "apiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: A}\n- {apiVersion: v1, kind: B}\n", "A/ B/ ", NULL },
    { "nothing", "# only words\n", "", NULL },
    { "no kind", "apiVersion: v1\n", "", "x.yaml: kind is not set" },
    { "no version, in the second", "kind: A\napiVersion: v1\n---\nkind: B\n", "A/ ", "x.yaml, document 2: apiVersion is not set" },
    { "a list", "- a\n", "", "x.yaml: not an object" },
    { "an item that is none", "apiVersion: v1\nkind: PodList\nitems: [{apiVersion: v1, kind: A}, 7]\n", "A/ ",
      "x.yaml, item 2: not an object" },
    { "broken", "a: b\n c: d\n", "", "x.yaml: invalid YAML at line 2" },
};

static void test_parse(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        AUTO(arena) arena = arena_new(0);
        struct manifests manifests;
        struct str found = STR("");
        struct err err = { 0 };

        manifests_init(&manifests, arena);
        int code = manifests_parse(&manifests, STR("x.yaml"), str_from(cases[i].text), &err);

        for (size_t m = 0; m < manifests.items.count; m++)
            found = arena_printf(arena, STR_FMT STR_FMT "/" STR_FMT " ", STR_ARG(found),
                                 STR_ARG(manifests.items.items[m].kind), STR_ARG(manifests.items.items[m].name));
        if ((code == 0) != !cases[i].message || !str_is(found, cases[i].want) ||
            (code < 0 && strncmp(err.message, cases[i].message, strlen(cases[i].message)) != 0))
            fail_msg("%s: %d \"%s\", found " STR_FMT, cases[i].name, code, err.message, STR_ARG(found));
        manifests_deinit(&manifests);
    }
}

static const struct CMUnitTest tests[] = { cmocka_unit_test(test_parse) };

int main(void)
{
    return cmocka_run_group_tests(tests, NULL, NULL);
}
