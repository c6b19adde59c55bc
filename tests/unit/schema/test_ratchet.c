/* Which findings an update is forgiven, because the value was so before. */
#include "schema/ratchet.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static const struct {
    const char *name, *old, *now;
    enum cause_type type;
    const char *field;
    bool kept;
} cases[] = {
    { "same value", "{'spec':{'a':1,'b':1}}", "{'spec':{'a':1,'b':2}}", CAUSE_INVALID, "spec.a", false },
    { "another value", "{'spec':{'a':1}}", "{'spec':{'a':2}}", CAUSE_INVALID, "spec.a", true },
    { "new value", "{'spec':{}}", "{'spec':{'a':2}}", CAUSE_INVALID, "spec.a", true },
    { "new object", "{}", "{'spec':{'a':2}}", CAUSE_INVALID, "spec.a", true },
    { "below what is the same", "{'spec':{'a':{'b':{'c':1}}}}", "{'spec':{'a':{'b':{'c':1}}},'x':1}", CAUSE_INVALID,
      "spec.a.b.c", false },
    { "key of a map", "{'m':{'a.b':1}}", "{'m':{'a.b':1,'c':2}}", CAUSE_INVALID, "m[a.b]", false },
    { "key of a map, changed", "{'m':{'a.b':1}}", "{'m':{'a.b':3}}", CAUSE_INVALID, "m[a.b]", true },
    { "same list", "{'l':[1,2]}", "{'l':[1,2],'x':1}", CAUSE_INVALID, "l[1]", false },
    { "longer list", "{'l':[1,2]}", "{'l':[1,2,3]}", CAUSE_INVALID, "l[1]", true },
    { "lacks as before", "{'spec':{'b':1}}", "{'spec':{'b':1},'x':1}", CAUSE_REQUIRED, "spec.a", false },
    { "lacks in a changed one", "{'spec':{'b':1}}", "{'spec':{'b':2}}", CAUSE_REQUIRED, "spec.a", true },
    { "lacks from now on", "{'spec':{'a':1}}", "{'spec':{}}", CAUSE_REQUIRED, "spec.a", true },
    { "field that cannot be read", "{'a':1}", "{'a':1,'b':1}", CAUSE_INVALID, "a[", true },
    { "no field", "{'a':1}", "{'a':2}", CAUSE_INVALID, "", true },
};

static struct json *parsed(struct arena *arena, const char *text)
{
    char *copy = arena_cstr(arena, str_from(text));
    struct json *json;

    for (char *p = copy; *p; p++)
        if (*p == '\'')
            *p = '"';
    assert_int_equal(json_parse(arena, str_from(copy), NULL, &json, NULL), 0);
    return json;
}

static void test_cases(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        AUTO(arena) arena = arena_new(0);
        struct causes causes;

        causes_init(&causes, arena);
        causes_add(&causes, CAUSE_INVALID, STR("first"), "stays");
        causes_add(&causes, cases[i].type, str_from(cases[i].field), "why");
        causes_ratchet(&causes, 1, parsed(arena, cases[i].now), parsed(arena, cases[i].old));
        if (causes.count != (cases[i].kept ? 2 : 1))
            fail_msg("%s: %zu", cases[i].name, causes.count);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_cases) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
