/* JSON Patch and merge patch, case by case; among them all of appendix A of RFC 6902 and of RFC 7386. */
#include "unit.h"

#include "codec/patch.h"

struct patch_case {
    const char *name, *target, *patch, *want; /* want: NULL when it must fail */
    int code;
};

#define BAD ERR_BAD_REQUEST
#define INVALID ERR_INVALID

static const struct patch_case patches[] = {
    /* RFC 6902, appendix A */
    { "A.1 add a member", "{'foo':'bar'}", "[{'op':'add','path':'/baz','value':'qux'}]", "{'foo':'bar','baz':'qux'}" },
    { "A.2 add an element", "{'foo':['bar','baz']}", "[{'op':'add','path':'/foo/1','value':'qux'}]",
      "{'foo':['bar','qux','baz']}" },
    { "A.3 remove a member", "{'baz':'qux','foo':'bar'}", "[{'op':'remove','path':'/baz'}]", "{'foo':'bar'}" },
    { "A.4 remove an element", "{'foo':['bar','qux','baz']}", "[{'op':'remove','path':'/foo/1'}]",
      "{'foo':['bar','baz']}" },
    { "A.5 replace", "{'baz':'qux','foo':'bar'}", "[{'op':'replace','path':'/baz','value':'boo'}]",
      "{'baz':'boo','foo':'bar'}" },
    { "A.6 move a value", "{'foo':{'bar':'baz','waldo':'fred'},'qux':{'corge':'grault'}}",
      "[{'op':'move','from':'/foo/waldo','path':'/qux/thud'}]",
      "{'foo':{'bar':'baz'},'qux':{'corge':'grault','thud':'fred'}}" },
    { "A.7 move an element", "{'foo':['all','grass','cows','eat']}", "[{'op':'move','from':'/foo/1','path':'/foo/3'}]",
      "{'foo':['all','cows','eat','grass']}" },
    { "A.8 test succeeds", "{'baz':'qux','foo':['a',2,'c']}",
      "[{'op':'test','path':'/baz','value':'qux'},{'op':'test','path':'/foo/1','value':2}]",
      "{'baz':'qux','foo':['a',2,'c']}" },
    { "A.9 test fails", "{'baz':'qux'}", "[{'op':'test','path':'/baz','value':'bar'}]", NULL, INVALID },
    { "A.10 add a nested member", "{'foo':'bar'}", "[{'op':'add','path':'/child','value':{'grandchild':{}}}]",
      "{'foo':'bar','child':{'grandchild':{}}}" },
    { "A.11 unknown members are ignored", "{'foo':'bar'}", "[{'op':'add','path':'/baz','value':'qux','xyz':123}]",
      "{'foo':'bar','baz':'qux'}" },
    { "A.12 add below what does not exist", "{'foo':'bar'}", "[{'op':'add','path':'/baz/bat','value':'qux'}]", NULL,
      INVALID },
    { "A.13 repeated op keeps the last", "{'foo':'bar'}", "[{'op':'add','path':'/baz','value':'qux','op':'remove'}]",
      NULL, INVALID },
    { "A.14 escapes", "{'/':9,'~1':10}", "[{'op':'test','path':'/~01','value':10}]", "{'/':9,'~1':10}" },
    { "A.15 strings are not numbers", "{'/':9,'~1':10}", "[{'op':'test','path':'/~01','value':'10'}]", NULL, INVALID },
    { "A.16 add an array", "{'foo':['bar']}", "[{'op':'add','path':'/foo/-','value':['abc','def']}]",
      "{'foo':['bar',['abc','def']]}" },
    /* add */
    { "add replaces a member", "{'a':1}", "[{'op':'add','path':'/a','value':2}]", "{'a':2}" },
    { "add replaces the whole", "{'a':1}", "[{'op':'add','path':'','value':[1]}]", "[1]" },
    { "add null", "{}", "[{'op':'add','path':'/a','value':null}]", "{'a':null}" },
    { "add at the end by number", "[1,2]", "[{'op':'add','path':'/2','value':3}]", "[1,2,3]" },
    { "add at the front", "[1,2]", "[{'op':'add','path':'/0','value':0}]", "[0,1,2]" },
    { "add beyond the end", "[1,2]", "[{'op':'add','path':'/3','value':3}]", NULL, INVALID },
    { "add at a negative index", "[1,2]", "[{'op':'add','path':'/-1','value':3}]", NULL, INVALID },
    { "add at a leading zero", "[1,2]", "[{'op':'add','path':'/01','value':3}]", NULL, INVALID },
    { "add at a word", "[1,2]", "[{'op':'add','path':'/x','value':3}]", NULL, INVALID },
    { "add at an empty index", "[1,2]", "[{'op':'add','path':'/','value':3}]", NULL, INVALID },
    { "add at a huge index", "[1]", "[{'op':'add','path':'/18446744073709551616','value':3}]", NULL, INVALID },
    { "add below a scalar", "{'a':1}", "[{'op':'add','path':'/a/b','value':3}]", NULL, INVALID },
    { "add an empty key", "{}", "[{'op':'add','path':'/','value':3}]", "{'':3}" },
    { "add a key with a slash", "{'metadata':{'labels':{}}}",
      "[{'op':'add','path':'/metadata/labels/example.com~1team','value':'x'}]",
      "{'metadata':{'labels':{'example.com/team':'x'}}}" },
    { "add a digit key to an object", "{}", "[{'op':'add','path':'/0','value':3}]", "{'0':3}" },
    { "add a dash key to an object", "{}", "[{'op':'add','path':'/-','value':3}]", "{'-':3}" },
    { "add without value", "{}", "[{'op':'add','path':'/a'}]", NULL, BAD },
    { "what was added can change", "{}",
      "[{'op':'add','path':'/a','value':[1]},{'op':'add','path':'/a/-','value':2},"
      "{'op':'copy','from':'/a','path':'/b'},{'op':'remove','path':'/b/0'}]",
      "{'a':[1,2],'b':[2]}" },
    /* remove */
    { "remove an absent member", "{'a':1}", "[{'op':'remove','path':'/b'}]", NULL, INVALID },
    { "remove beyond the end", "[1]", "[{'op':'remove','path':'/1'}]", NULL, INVALID },
    { "remove at dash", "[1]", "[{'op':'remove','path':'/-'}]", NULL, INVALID },
    { "remove the whole", "{}", "[{'op':'remove','path':''}]", NULL, INVALID },
    { "remove below a scalar", "{'a':'x'}", "[{'op':'remove','path':'/a/0'}]", NULL, INVALID },
    { "remove nested", "{'a':[{'b':1,'c':2}]}", "[{'op':'remove','path':'/a/0/b'}]", "{'a':[{'c':2}]}" },
    /* replace */
    { "replace an absent member", "{}", "[{'op':'replace','path':'/a','value':1}]", NULL, INVALID },
    { "replace the whole", "{'a':1}", "[{'op':'replace','path':'','value':{'b':2}}]", "{'b':2}" },
    { "replace an element", "[1,2]", "[{'op':'replace','path':'/1','value':{}}]", "[1,{}]" },
    { "replace at dash", "[1,2]", "[{'op':'replace','path':'/-','value':{}}]", NULL, INVALID },
    { "replace keeps the place", "{'a':1,'b':2}", "[{'op':'replace','path':'/a','value':3}]", "{'a':3,'b':2}" },
    /* move */
    { "move to itself", "{'a':1}", "[{'op':'move','from':'/a','path':'/a'}]", "{'a':1}" },
    { "move into itself", "{'a':{'b':1}}", "[{'op':'move','from':'/a','path':'/a/b'}]", NULL, INVALID },
    { "move an absent value", "{'a':1}", "[{'op':'move','from':'/b','path':'/c'}]", NULL, INVALID },
    { "move over another", "{'a':1,'b':2}", "[{'op':'move','from':'/a','path':'/b'}]", "{'b':1}" },
    { "move up", "{'a':{'b':1}}", "[{'op':'move','from':'/a/b','path':'/a'}]", "{'a':1}" },
    { "move to the whole", "{'a':{'b':1}}", "[{'op':'move','from':'/a','path':''}]", "{'b':1}" },
    { "move the index counts after removal", "[1,2,3]", "[{'op':'move','from':'/0','path':'/2'}]", "[2,3,1]" },
    { "move beyond what is left", "[1,2,3]", "[{'op':'move','from':'/0','path':'/3'}]", NULL, INVALID },
    { "move without from", "{'a':1}", "[{'op':'move','path':'/b'}]", NULL, BAD },
    /* copy */
    { "copy deep", "{'a':{'x':[1]}}", "[{'op':'copy','from':'/a','path':'/b'},{'op':'add','path':'/b/x/-','value':2}]",
      "{'a':{'x':[1]},'b':{'x':[1,2]}}" },
    { "copy into itself", "{'a':{'x':1}}", "[{'op':'copy','from':'/a','path':'/a/y'}]", "{'a':{'x':1,'y':{'x':1}}}" },
    { "copy the whole", "{'a':1}", "[{'op':'copy','from':'','path':'/b'}]", "{'a':1,'b':{'a':1}}" },
    { "copy an absent value", "{'a':1}", "[{'op':'copy','from':'/b','path':'/c'}]", NULL, INVALID },
    /* test */
    { "test numbers by value", "{'a':1.0}", "[{'op':'test','path':'/a','value':1}]", "{'a':1.0}" },
    { "test objects without order", "{'a':{'x':1,'y':2}}", "[{'op':'test','path':'/a','value':{'y':2,'x':1}}]",
      "{'a':{'x':1,'y':2}}" },
    { "test the whole", "[1]", "[{'op':'test','path':'','value':[1]}]", "[1]" },
    { "test null against absent", "{}", "[{'op':'test','path':'/a','value':null}]", NULL, INVALID },
    { "test null", "{'a':null}", "[{'op':'test','path':'/a','value':null}]", "{'a':null}" },
    /* malformed */
    { "no operations", "{'a':1}", "[]", "{'a':1}" },
    { "not an array", "{}", "{'op':'add'}", NULL, BAD },
    { "operation not an object", "{}", "[1]", NULL, BAD },
    { "no op", "{}", "[{'path':'/a','value':1}]", NULL, BAD },
    { "unknown op", "{}", "[{'op':'spam','path':'/a'}]", NULL, BAD },
    { "op not a string", "{}", "[{'op':1,'path':'/a'}]", NULL, BAD },
    { "no path", "{}", "[{'op':'add','value':1}]", NULL, BAD },
    { "path not a string", "{}", "[{'op':'add','path':null,'value':1}]", NULL, BAD },
    { "path without slash", "{}", "[{'op':'add','path':'a','value':1}]", NULL, BAD },
    { "unknown escape", "{}", "[{'op':'add','path':'/~2','value':1}]", NULL, BAD },
    { "tilde at the end", "{}", "[{'op':'add','path':'/a~','value':1}]", NULL, BAD },
    { "from without slash", "{'a':1}", "[{'op':'copy','from':'a','path':'/b'}]", NULL, BAD },
};

static const struct patch_case merges[] = {
    /* RFC 7386, appendix A */
    { "1", "{'a':'b'}", "{'a':'c'}", "{'a':'c'}" },
    { "2", "{'a':'b'}", "{'b':'c'}", "{'a':'b','b':'c'}" },
    { "3", "{'a':'b'}", "{'a':null}", "{}" },
    { "4", "{'a':'b','b':'c'}", "{'a':null}", "{'b':'c'}" },
    { "5", "{'a':['b']}", "{'a':'c'}", "{'a':'c'}" },
    { "6", "{'a':'c'}", "{'a':['b']}", "{'a':['b']}" },
    { "7", "{'a':{'b':'c'}}", "{'a':{'b':'d','c':null}}", "{'a':{'b':'d'}}" },
    { "8", "{'a':[{'b':'c'}]}", "{'a':[1]}", "{'a':[1]}" },
    { "9", "['a','b']", "['c','d']", "['c','d']" },
    { "10", "{'a':'b'}", "['c']", "['c']" },
    { "11", "{'a':'foo'}", "null", "null" },
    { "12", "{'a':'foo'}", "'bar'", "'bar'" },
    { "13", "{'e':null}", "{'a':1}", "{'e':null,'a':1}" },
    { "14", "[1,2]", "{'a':'b','c':null}", "{'a':'b'}" },
    { "15", "{}", "{'a':{'bb':{'ccc':null}}}", "{'a':{'bb':{}}}" },
    /* and more */
    { "removing what is absent", "{'a':1}", "{'b':null}", "{'a':1}" },
    { "nulls inside arrays stay", "{}", "{'a':[null,{'b':null}]}", "{'a':[null,{'b':null}]}" },
    { "object over scalar drops nulls", "{'a':1}", "{'a':{'b':null,'c':2}}", "{'a':{'c':2}}" },
    { "several at once", "{'a':1,'b':2,'c':3,'d':{'x':1,'y':2}}", "{'d':{'x':null,'z':3},'a':null,'c':null,'e':4}",
      "{'b':2,'d':{'y':2,'z':3},'e':4}" },
    { "empty", "{'a':1}", "{}", "{'a':1}" },
};

typedef int apply_fn(struct arena *arena, struct json **target, const struct json *patch, struct err *err);

static void run_case(const struct patch_case *c, apply_fn *apply)
{
    AUTO(arena) arena = arena_new(0);
    struct json *target = parse(arena, quotes(arena, c->target)), *patch = parse(arena, quotes(arena, c->patch));
    struct str before = json_text(arena, patch);
    struct err err = { 0 };
    int r = apply(arena, &target, patch, &err);

    if (r != -c->code)
        fail_msg("%s: %d %s", c->name, r, err.message);
    if (c->want)
        assert_json(arena, target, c->want);
    /* The patch itself is the caller's. */
    assert_true(str_eq(json_text(arena, patch), before));
}

static void test_json_patch(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(patches); i++)
        run_case(&patches[i], json_patch_apply);
}

static void test_merge_patch(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(merges); i++)
        run_case(&merges[i], json_merge_patch);
}

static void test_merge_into_nothing(void **state)
{
    AUTO(arena) arena = arena_new(0);
    struct json *target = NULL;

    assert_int_equal(json_merge_patch(arena, &target, parse(arena, quotes(arena, "{'a':{'b':1,'c':null}}")), NULL), 0);
    assert_json(arena, target, "{'a':{'b':1}}");
}

static void test_message_names_the_operation(void **state)
{
    AUTO(arena) arena = arena_new(0);
    struct json *target = parse(arena, quotes(arena, "{'a':1}")), *patch;
    struct err err = { 0 };

    patch = parse(arena, quotes(arena, "[{'op':'test','path':'/a','value':1},{'op':'remove','path':'/spec/x'}]"));
    assert_int_equal(json_patch_apply(arena, &target, patch, &err), -ERR_INVALID);
    assert_string_equal(err.message, "operation 2 of the patch: remove \"/spec/x\": \"/spec/x\" does not exist");
}

static void test_too_many_operations(void **state)
{
    AUTO(arena) arena = arena_new(0);
    struct json *target = parse(arena, STR("{}")), *patch = json_new(arena, JSON_ARRAY);

    for (int i = 0; i <= JSON_PATCH_MAX_OPERATIONS; i++)
        assert_non_null(json_append(arena, patch, json_new(arena, JSON_OBJECT)));
    assert_int_equal(json_patch_apply(arena, &target, patch, NULL), -ERR_TOO_LARGE);
}

/* Each operation doubles the document, or its depth: memory and nesting stay bounded. */
static void test_growth_is_bounded(void **state)
{
    AUTO(arena) arena = arena_new(8 << 20);
    struct json *target, *patch = json_new(arena, JSON_ARRAY), *op;

    for (int i = 0; i < 64; i++) {
        op = json_append(arena, patch, json_new(arena, JSON_OBJECT));
        json_set_str(arena, op, STR("op"), STR("copy"));
        json_set_str(arena, op, STR("from"), STR(""));
        json_set_str(arena, op, STR("path"), arena_printf(arena, "/x%d", i));
    }
    target = parse(arena, STR("{\"a\":1}"));
    assert_int_equal(json_patch_apply(arena, &target, patch, NULL), -ERR_TOO_LARGE);

    AUTO(arena) other = arena_new(0);
    AUTO_DEINIT(buf, path) = BUF_INIT;

    patch = json_new(other, JSON_ARRAY);
    for (int i = 0; i < 20; i++) {
        op = json_append(other, patch, json_new(other, JSON_OBJECT));
        json_set_str(other, op, STR("op"), STR("copy"));
        json_set_str(other, op, STR("from"), STR(""));
        for (int j = 0; j < MAX(1 << i >> 1, 1) && j < 600; j++)
            buf_add_cstr(&path, "/a");
        json_set_str(other, op, STR("path"), arena_str(other, buf_str(&path)));
        buf_clear(&path);
    }
    target = parse(other, STR("{\"a\":{}}"));
    assert_true(json_patch_apply(other, &target, patch, NULL) < 0);
}

/* Thousands of shifts of a long array are refused rather than done. */
static void test_work_is_bounded(void **state)
{
    AUTO(arena) arena = arena_new(0);
    AUTO_DEINIT(buf, text) = BUF_INIT;
    struct json *target, *patch;

    buf_add_cstr(&text, "[0");
    for (int i = 0; i < 200000; i++)
        buf_add_cstr(&text, ",0");
    buf_add_cstr(&text, "]");
    target = parse(arena, buf_str(&text));
    patch = json_new(arena, JSON_ARRAY);
    for (int i = 0; i < JSON_PATCH_MAX_OPERATIONS; i++)
        json_append(arena, patch, parse(arena, STR("{\"op\":\"remove\",\"path\":\"/0\"}")));
    assert_int_equal(json_patch_apply(arena, &target, patch, NULL), -ERR_TOO_LARGE);
}

/* Removing and adding thousands of members at once keeps the index of the object right. */
static void test_merge_many(void **state)
{
    AUTO(arena) arena = arena_new(0);
    struct json *target = json_new(arena, JSON_OBJECT), *patch = json_new(arena, JSON_OBJECT);

    for (int i = 0; i < 5000; i++)
        json_set_int(arena, target, arena_printf(arena, "k%d", i), i);
    for (int i = 0; i < 10000; i += 2)
        json_set(arena, patch, arena_printf(arena, "k%d", i), json_new(arena, i % 4 ? JSON_NULL : JSON_BOOL));
    assert_int_equal(json_merge_patch(arena, &target, patch, NULL), 0);
    assert_int_equal(target->count, 2500 + 2500);
    for (int i = 0; i < 10000; i++) {
        const struct json *value = json_get(target, arena_printf(arena, "k%d", i));

        if (i % 2)
            assert_int_equal(json_int(value, -1), i < 5000 ? i : -1);
        else
            assert_int_equal(json_is(value, JSON_BOOL), i % 4 == 0);
    }
}

/* Whatever the arena's limit: success or a clean error. */
static void test_allocation_failures(void **state)
{
    struct str text = STR("{\"a\":{\"b\":[1,2,3],\"c\":\"x\"},\"d\":\"y\"}");
    struct str ops = STR("[{\"op\":\"add\",\"path\":\"/a/b/-\",\"value\":{\"q\":[1]}},{\"op\":\"copy\",\"from\":\"/a\","
                         "\"path\":\"/e~1f\"},{\"op\":\"move\",\"from\":\"/d\",\"path\":\"/a/z\"},"
                         "{\"op\":\"replace\",\"path\":\"/a/c\",\"value\":\"long enough\"}]");
    struct str merge = STR("{\"a\":{\"b\":null,\"n\":{\"m\":[1,2]}},\"d\":null}");
    AUTO(arena) patches_arena = arena_new(0);
    struct json *patch = parse(patches_arena, ops), *merge_patch = parse(patches_arena, merge);

    for (int kind = 0; kind < 2; kind++) {
        bool done = false;

        for (size_t limit = 1; !done; limit += 16) {
            AUTO(arena) arena = arena_new(limit);
            struct json *target;
            int r;

            if (json_parse(arena, text, NULL, &target, NULL) < 0)
                continue;
            r = kind ? json_merge_patch(arena, &target, merge_patch, NULL)
                     : json_patch_apply(arena, &target, patch, NULL);
            assert_true(r == 0 || r == -ERR_TOO_LARGE);
            done = r == 0;
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_json_patch),          cmocka_unit_test(test_merge_patch),
        cmocka_unit_test(test_merge_into_nothing),  cmocka_unit_test(test_message_names_the_operation),
        cmocka_unit_test(test_too_many_operations), cmocka_unit_test(test_growth_is_bounded),
        cmocka_unit_test(test_work_is_bounded),     cmocka_unit_test(test_merge_many),
        cmocka_unit_test(test_allocation_failures),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
