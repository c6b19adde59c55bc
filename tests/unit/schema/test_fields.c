/* test_fields.c - sets of fields: what an object has, what changed, set arithmetic, merging and pruning. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "api/apps_v1.h"
#include "api/core_v1.h"
#include "schema/fields.h"

/* JSON with single quotes. */
static struct json *parse(struct arena *arena, const char *text)
{
    char *copy = arena_cstr(arena, str_from(text));
    struct json *json;
    struct err err;

    for (char *p = copy; *p; p++)
        *p = *p == '\'' ? '"' : *p;
    if (json_parse(arena, str_from(copy), NULL, &json, &err) < 0)
        fail_msg("%s: %s", text, err.message);
    return json;
}

static void expect(struct arena *arena, const char *what, const struct json *got, const char *want)
{
    if (want ? !got || !json_equal(got, parse(arena, want)) : got != NULL)
        fail_msg("%s: got " STR_FMT ", want %s", what, STR_ARG(got ? json_text(arena, got) : STR("nothing")),
                 want ? want : "nothing");
}

static void test_arithmetic(void **state)
{
    static const struct {
        const char *a, *b, *both, *common, *rest; /* NULL: the empty set */
    } cases[] = {
        { "{'f:x':{}}", "{'f:y':{}}", "{'f:x':{},'f:y':{}}", NULL, "{'f:x':{}}" },
        { "{'f:x':{}}", "{'f:x':{}}", "{'f:x':{}}", "{'f:x':{}}", NULL },
        { "{'f:x':{'f:a':{},'f:b':{}}}", "{'f:x':{'f:b':{}}}", "{'f:x':{'f:a':{},'f:b':{}}}", "{'f:x':{'f:b':{}}}",
          "{'f:x':{'f:a':{}}}" },
        /* a container itself and what is in it are different members */
        { "{'f:x':{}}", "{'f:x':{'f:a':{}}}", "{'f:x':{'.':{},'f:a':{}}}", NULL, "{'f:x':{}}" },
        { "{'f:x':{'.':{},'f:a':{}}}", "{'f:x':{'f:a':{}}}", "{'f:x':{'.':{},'f:a':{}}}", "{'f:x':{'f:a':{}}}",
          "{'f:x':{}}" },
    };
    AUTO(arena) arena = arena_new(0);

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const struct json *a = parse(arena, cases[i].a), *b = parse(arena, cases[i].b);

        expect(arena, "union", fields_union(arena, a, b), cases[i].both);
        expect(arena, "intersection", fields_intersection(arena, a, b), cases[i].common);
        expect(arena, "difference", fields_difference(arena, a, b), cases[i].rest);
        assert_true(fields_equal(fields_union(arena, a, b), fields_union(arena, b, a)));
    }
    assert_true(fields_is_sound(parse(arena, "{'f:x':{'.':{},'k:{}':{}}}")));
    assert_false(fields_is_sound(parse(arena, "{'f:x':{'f:y':[1,2,3]}}")));
    assert_false(fields_is_sound(parse(arena, "{'f:x':'y'}")));
    assert_false(fields_is_sound(NULL));
    assert_null(fields_difference(arena, NULL, parse(arena, "{'f:x':{}}")));
    assert_true(fields_equal(NULL, NULL));
}

static void test_compare(void **state)
{
    static const struct {
        const char *old, *new, *changed, *removed;
    } cases[] = {
        { "{'data':{'a':'1'}}", "{'data':{'a':'1'}}", NULL, NULL },
        { "{'data':{'a':'1'}}", "{'data':{'a':'2','b':'3'}}", "{'f:data':{'f:a':{},'f:b':{}}}", NULL },
        { "{'data':{'a':'1','b':'3'}}", "{'data':{'b':'3'}}", NULL, "{'f:data':{'f:a':{}}}" },
        { "{}", "{'data':{'a':'1'}}", "{'f:data':{'.':{},'f:a':{}}}", NULL },
        { "{'metadata':{'finalizers':['x']}}", "{'metadata':{'finalizers':['x','y']}}",
          "v:", NULL }, /* looked at below: its name has quotes of its own */
    };
    AUTO(arena) arena = arena_new(0);

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct json *changed, *removed;

        fields_compare(arena, &TYPE_CONFIG_MAP, parse(arena, cases[i].old), parse(arena, cases[i].new), &changed,
                       &removed);
        if (cases[i].changed && strstr(cases[i].changed, "v:"))
            assert_non_null(json_get(json_at(changed, "f:metadata.f:finalizers"), STR("v:\"y\"")));
        else
            expect(arena, cases[i].new, changed, cases[i].changed);
        expect(arena, cases[i].old, removed, cases[i].removed);
    }
}

#define TWO "{'spec':{'template':{'spec':{'containers':[{'name':'a','image':'a:1'},{'name':'b','image':'b:1'}]}}}}"

static void test_merge_and_prune(void **state)
{
    AUTO(arena) arena = arena_new(0);
    const struct type *type = &TYPE_DEPLOYMENT;
    struct json *live = parse(arena, TWO);
    struct json *merged = fields_merge(
        arena, type, live,
        parse(arena, "{'spec':{'replicas':3,'template':{'spec':{'containers':[{'name':'b','image':'b:2'},"
                     "{'name':'c','image':'c:1'}]}}}}"));

    expect(arena, "merge", merged,
           "{'spec':{'replicas':3,'template':{'spec':{'containers':[{'name':'a','image':'a:1'},"
           "{'name':'b','image':'b:2'},{'name':'c','image':'c:1'}]}}}}");
    expect(arena, "merge leaves live alone", live, TWO);
    struct json *gone = fields_of(arena, type, parse(arena, "{'spec':{'replicas':3,'template':{'spec':{'containers':["
                                                            "{'name':'a','image':'a:1'},{'name':'b','image':'b:1'}]}}}}"));
    struct json *keep = fields_of(arena, type, parse(arena, "{'spec':{'template':{'spec':{'containers':["
                                                            "{'name':'b','image':'b:1'}]}}}}"));

    fields_prune(arena, type, merged, fields_difference(arena, gone, keep), keep);
    expect(arena, "prune", merged,
           "{'spec':{'template':{'spec':{'containers':[{'name':'b','image':'b:2'},{'name':'c','image':'c:1'}]}}}}");
}

#define LIST(...) "{'spec':{'template':{'spec':{'containers':[" __VA_ARGS__ "]}}}}"
#define ONE(name) "{'name':'" name "'}"

static void test_order_of_elements(void **state)
{
    static const struct {
        const char *live, *config, *merged;
    } cases[] = {
        { LIST(ONE("a")), LIST(ONE("b")), LIST(ONE("a") "," ONE("b")) },
        { LIST(ONE("a") "," ONE("c") "," ONE("b")), LIST(ONE("b") "," ONE("c")),
          LIST(ONE("a") "," ONE("b") "," ONE("c")) },
        { LIST(ONE("a") "," ONE("b") "," ONE("c")), LIST(ONE("c") "," ONE("a")),
          LIST(ONE("b") "," ONE("c") "," ONE("a")) },
        { LIST(ONE("a") "," ONE("x") "," ONE("b")), LIST(ONE("n") "," ONE("a") "," ONE("m") "," ONE("b")),
          LIST(ONE("n") "," ONE("a") "," ONE("x") "," ONE("m") "," ONE("b")) },
        { LIST(ONE("a") "," ONE("b")), LIST(""), LIST(ONE("a") "," ONE("b")) },
    };
    AUTO(arena) arena = arena_new(0);

    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        expect(arena, cases[i].config,
               fields_merge(arena, &TYPE_DEPLOYMENT, parse(arena, cases[i].live), parse(arena, cases[i].config)),
               cases[i].merged);
}

/* Members that Go's objects always have are not added; pointers, maps and elements are, as such. */
static void test_what_is_added(void **state)
{
    static const struct {
        const char *new, *changed;
    } cases[] = {
        { "{'spec':{'replicas':1}}", "{'f:spec':{'f:replicas':{}}}" },
        { "{'spec':{'strategy':{'rollingUpdate':{'maxSurge':1}}}}",
          "{'f:spec':{'f:strategy':{'f:rollingUpdate':{'.':{},'f:maxSurge':{}}}}}" },
        { "{'spec':{'selector':{'matchLabels':{'a':'b'}}}}", "{'f:spec':{'f:selector':{}}}" },
        { "{'metadata':{'labels':{'a':'b'}}}", "{'f:metadata':{'f:labels':{'.':{},'f:a':{}}}}" },
    };
    AUTO(arena) arena = arena_new(0);

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct json *changed, *removed;

        fields_compare(arena, &TYPE_DEPLOYMENT, parse(arena, "{}"), parse(arena, cases[i].new), &changed, &removed);
        expect(arena, cases[i].new, changed, cases[i].changed);
    }
}

static int count(void *arg, struct str path)
{
    struct buf *all = arg;

    buf_add_str(all, path);
    buf_add_char(all, ' ');
    return 0;
}

static void test_paths(void **state)
{
    AUTO(arena) arena = arena_new(0);
    struct buf all = BUF_INIT;

    fields_each(fields_of(arena, &TYPE_DEPLOYMENT, parse(arena, TWO)), count, &all);
    assert_true(str_is(buf_str(&all), ".spec.template.spec.containers[name=\"a\"] "
                                      ".spec.template.spec.containers[name=\"a\"].name "
                                      ".spec.template.spec.containers[name=\"a\"].image "
                                      ".spec.template.spec.containers[name=\"b\"] "
                                      ".spec.template.spec.containers[name=\"b\"].name "
                                      ".spec.template.spec.containers[name=\"b\"].image "));
    buf_deinit(&all);
}

/* Whatever allocation fails: no crash, and the arena says so. */
static void test_no_memory(void **state)
{
    AUTO(arena) source = arena_new(0);
    struct json *live = parse(source, TWO), *other = parse(source, "{'spec':{'replicas':2}}");

    for (size_t limit = 64; limit < 20000; limit += 64) {
        AUTO(arena) arena = arena_new(limit);
        struct json *changed, *removed;

        fields_compare(arena, &TYPE_DEPLOYMENT, live, other, &changed, &removed);
        fields_merge(arena, &TYPE_DEPLOYMENT, live, other);
        fields_union(arena, fields_of(arena, &TYPE_DEPLOYMENT, live), fields_of(arena, &TYPE_DEPLOYMENT, other));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_arithmetic),        cmocka_unit_test(test_compare),
        cmocka_unit_test(test_merge_and_prune),   cmocka_unit_test(test_order_of_elements),
        cmocka_unit_test(test_what_is_added),     cmocka_unit_test(test_paths),
        cmocka_unit_test(test_no_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
