/* Which fields of two states differ, and how they are called. */
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "cli/diff_fields.h"

static const struct {
    const char *name, *old, *new, *want;
    bool all;
} cases[] = {
    { "nothing", "{'spec':{'a':1}}", "{'spec':{'a':1.0}}", "" },
    { "a value", "{'spec':{'replicas':2}}", "{'spec':{'replicas':3}}", "spec.replicas: 2 -> 3\n" },
    { "comes and goes", "{'a':1,'b':2}", "{'a':1,'c':{'d':[1]}}", "b: 2 -> (none)\nc: (none) -> {\"d\":[1]}\n" },
    { "another kind", "{'a':'1'}", "{'a':1}", "a: \"1\" -> 1\n" },
    { "left out", "{'metadata':{'resourceVersion':'1','generation':1,'managedFields':[]},'status':{'x':1}}",
      "{'metadata':{'resourceVersion':'2','generation':2,'managedFields':[1]},'status':{'x':2}}", "" },
    { "all", "{'metadata':{'resourceVersion':'1'},'status':{'x':1}}",
      "{'metadata':{'resourceVersion':'2'},'status':{'x':2}}",
      "metadata.resourceVersion: \"1\" -> \"2\"\nstatus.x: 1 -> 2\n", true },
    { "status elsewhere", "{'spec':{'status':1}}", "{'spec':{'status':2}}", "spec.status: 1 -> 2\n" },
    { "by name, in any order", "{'c':[{'name':'a','v':1},{'name':'b','v':1}]}",
      "{'c':[{'name':'b','v':2},{'name':'a','v':1},{'name':'d'}]}",
      "c[name=b].v: 1 -> 2\nc[name=d]: (none) -> {\"name\":\"d\"}\n" },
    { "by type", "{'c':[{'type':'Ready','status':'False'}]}", "{'c':[{'type':'Ready','status':'True'}]}",
      "c[type=Ready].status: \"False\" -> \"True\"\n" },
    { "names twice", "{'c':[{'name':'a'},{'name':'a'}]}", "{'c':[{'name':'a'},{'name':'b'}]}",
      "c[1].name: \"a\" -> \"b\"\n" },
    { "by place", "{'args':['a','b']}", "{'args':['a','c','d']}",
      "args[1]: \"b\" -> \"c\"\nargs[2]: (none) -> \"d\"\n" },
    { "names with dots", "{'metadata':{'labels':{}}}", "{'metadata':{'labels':{'app.kubernetes.io/name':'x'}}}",
      "metadata.labels[app.kubernetes.io/name]: (none) -> \"x\"\n" },
    { "null is a value", "{'a':null}", "{}", "a: null -> (none)\n" },
};

static struct json *parse(struct arena *arena, const char *text)
{
    char *quoted = arena_cstr(arena, str_from(text));
    struct json *json;

    for (char *p = quoted; *p; p++)
        *p = *p == '\'' ? '"' : *p;
    assert_int_equal(json_parse(arena, str_from(quoted), NULL, &json, NULL), 0);
    return json;
}

static void test_cases(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        AUTO(arena) arena = arena_new(0);
        AUTO_DEINIT(buf, text) = BUF_INIT;
        struct field_changes changes;

        field_changes_init(&changes, arena, cases[i].all);
        field_changes_find(&changes, parse(arena, cases[i].old), parse(arena, cases[i].new));
        assert_false(changes.failed);
        vec_each (&changes.items, change)
            buf_printf(&text, STR_FMT ": " STR_FMT " -> " STR_FMT "\n", STR_ARG(change->path),
                       STR_ARG(field_value_text(arena, change->old)), STR_ARG(field_value_text(arena, change->new)));
        if (!str_is(buf_str(&text), cases[i].want))
            fail_msg("%s: got:\n" STR_FMT, cases[i].name, STR_ARG(buf_str(&text)));
        field_changes_deinit(&changes);
    }
}

static void test_long_values(void **state)
{
    AUTO(arena) arena = arena_new(0);
    AUTO_DEINIT(buf, text) = BUF_INIT;

    for (int i = 0; i < 200; i++)
        buf_add_cstr(&text, "\xc3\xa4"); /* two bytes each */
    struct str shown = field_value_text(arena, json_new_str(arena, buf_str(&text)));
    assert_true(shown.len < 170);
    assert_true(str_is_utf8(shown));
    assert_true(str_has_suffix(shown, STR("...")));
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_cases), cmocka_unit_test(test_long_values) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
