/* JSONPath: what columns ask for. */
#include "schema_test.h"

#include "schema/jsonpath.h"

#define DOCUMENT                                                                                                  \
    "{'metadata':{'name':'n','labels':{'app.kubernetes.io/name':'web','a':'b'}},"                                 \
    "'spec':{'replicas':3,'containers':[{'name':'c1','ports':[{'p':1},{'p':2}]},{'name':'c2','ports':[{'p':3}]}," \
    "{'name':'c3'}]},"                                                                                            \
    "'status':{'conditions':[{'type':'Ready','status':'True','n':1.5},{'type':'Other','status':'False','n':2}],"  \
    "'phase':'Running','none':null,'on':true}}"

static const struct finding {
    const char *path, *want; /* all results as an array */
} findings[] = {
    { ".metadata.name", "['n']" },
    { "{.metadata.name}", "['n']" },
    { "{ .metadata.name }", "['n']" },
    { "$.metadata.name", "['n']" },
    { "metadata.name", "['n']" },
    { ".metadata['name']", "['n']" },
    { "['metadata'].name", "['n']" },
    { ".metadata.labels.app\\.kubernetes\\.io/name", "['web']" },
    { ".metadata.labels['app.kubernetes.io/name']", "['web']" },
    { ".metadata.labels['app\\.kubernetes\\.io/name']", "['web']" },
    { ".metadata.labels.*", "['web','b']" },
    { ".spec.containers[0].name", "['c1']" },
    { ".spec.containers[-1].name", "['c3']" },
    { ".spec.containers[7].name", "[]" },
    { ".spec.containers[-7].name", "[]" },
    { ".spec.containers[1:].name", "['c2','c3']" },
    { ".spec.containers[:1].name", "['c1']" },
    { ".spec.containers[0:2].name", "['c1','c2']" },
    { ".spec.containers[-2:].name", "['c2','c3']" },
    { ".spec.containers[*].name", "['c1','c2','c3']" },
    { ".spec.containers[*].ports[*].p", "[1,2,3]" },
    { ".spec.containers[*].ports[0].p", "[1,3]" },
    { ".status.conditions[?(@.type=='Ready')].status", "['True']" },
    { ".status.conditions[?(@.type==\"Ready\")].status", "['True']" },
    { ".status.conditions[?( @.type == 'Ready' )].status", "['True']" },
    { ".status.conditions[?(@.type!='Ready')].status", "['False']" },
    { ".status.conditions[?(@['type']=='Other')].status", "['False']" },
    { ".status.conditions[?(@.n>1.7)].type", "['Other']" },
    { ".status.conditions[?(@.n>=1.5)].type", "['Ready','Other']" },
    { ".status.conditions[?(@.n<2)].type", "['Ready']" },
    { ".status.conditions[?(@.n<=1)].type", "[]" },
    { ".status.conditions[?(@.nope)].type", "[]" },
    { ".status.conditions[?(@.type)].type", "['Ready','Other']" },
    { ".status.conditions[?(@.type==@.type)].status", "['True','False']" },
    { ".spec.containers[?(@.ports[0].p==3)].name", "['c2']" },
    { ".spec.containers[?(@.ports[?(@.p==2)])].name", "['c1']" },
    { ".status.on", "[true]" },
    { ".status.none", "[null]" },
    { ".status.phase.deeper", "[]" },
    { ".status.conditions.type", "[]" },
    { ".spec[0]", "[]" },
    { ".nope.nope", "[]" },
    { ".spec.replicas", "[3]" },
};

static void test_find(void **state)
{
    struct arena arena;

    arena_init(&arena, 0);
    struct json *document = parse(&arena, DOCUMENT);

    for (size_t i = 0; i < ARRAY_LEN(findings); i++) {
        const struct jsonpath *path;
        const struct json *results[8];
        struct err err = { 0 };
        struct json *found = json_new(&arena, JSON_ARRAY);
        char *text = arena_cstr(&arena, str_from(findings[i].path));

        if (jsonpath_compile(&arena, str_from(text), &path, &err) < 0)
            fail_msg("%s: %s", findings[i].path, err.message);
        size_t count = jsonpath_find(path, document, results, ARRAY_LEN(results));

        for (size_t n = 0; n < count; n++)
            assert_non_null(json_append(&arena, found, results[n]));
        assert_text(&arena, findings[i].path, found, findings[i].want);
        assert_ptr_equal(jsonpath_first(path, document), count ? results[0] : NULL);
        assert_int_equal(jsonpath_find(path, document, results, 1), count ? 1 : 0);
        assert_int_equal(jsonpath_find(path, NULL, results, 1), 0);
    }
    arena_deinit(&arena);
}

static void test_whole(void **state)
{
    static const char *const whole[] = { "", ".", "$", "{}", "{.}", "$." };
    struct arena arena;

    arena_init(&arena, 0);
    for (size_t i = 0; i < ARRAY_LEN(whole); i++) {
        const struct jsonpath *path;
        struct err err = { 0 };
        struct json *document = parse(&arena, "{'a':1}");

        assert_int_equal(jsonpath_compile(&arena, str_from(whole[i]), &path, &err), 0);
        assert_ptr_equal(jsonpath_first(path, document), document);
    }
    arena_deinit(&arena);
}

static void test_refusals(void **state)
{
    static const struct {
        const char *path;
        enum err_code code;
    } cases[] = {
        { ".a[", ERR_BAD_REQUEST },
        { ".a[x]", ERR_BAD_REQUEST },
        { ".a[0", ERR_BAD_REQUEST },
        { ".a['b", ERR_BAD_REQUEST },
        { ".a['b'", ERR_BAD_REQUEST },
        { ".a.[", ERR_BAD_REQUEST },
        { ".a[?(@.b==)]", ERR_BAD_REQUEST },
        { ".a[?(@.b=='x']", ERR_BAD_REQUEST },
        { ".a[?(b)]", ERR_BAD_REQUEST },
        { ".a[?@.b]", ERR_BAD_REQUEST },
        { ".a[?(@.b==[1])]", ERR_BAD_REQUEST },
        { ".a]", ERR_NONE },
        { "..a", ERR_NOT_SUPPORTED },
        { ".a..b", ERR_NOT_SUPPORTED },
        { ".a[0,1]", ERR_NOT_SUPPORTED },
        { ".a[99999999999999999999]", ERR_BAD_REQUEST },
        { ".a.b.", ERR_BAD_REQUEST },
        { "[?(@[?(@[?(@[?(@[?(@.a)])])])])]", ERR_BAD_REQUEST },
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct arena arena;
        struct err err = { 0 };
        const struct jsonpath *path = NULL;

        arena_init(&arena, 0);
        if (jsonpath_compile(&arena, str_from(cases[i].path), &path, &err) != -(int)cases[i].code)
            fail_msg("%s: %s", cases[i].path, err.message);
        assert_true((path == NULL) == (cases[i].code != ERR_NONE));
        arena_deinit(&arena);
    }
}

static void test_limits(void **state)
{
    AUTO_DEINIT(buf, text) = BUF_INIT;
    struct arena arena;
    struct err err = { 0 };
    const struct jsonpath *path;
    size_t limit = 16;

    arena_init(&arena, 0);
    for (int i = 0; i < 100; i++)
        buf_add_str(&text, STR(".a"));
    assert_int_equal(jsonpath_compile(&arena, buf_str(&text), &path, &err), -ERR_BAD_REQUEST);
    for (int i = 0; i < JSONPATH_MAX_LEN; i++)
        buf_add_char(&text, 'a');
    assert_int_equal(jsonpath_compile(&arena, buf_str(&text), &path, &err), -ERR_BAD_REQUEST);
    assert_int_equal(jsonpath_compile(&arena, str_of(".a\0b", 4), &path, &err), -ERR_BAD_REQUEST);
    arena_deinit(&arena);

    for (int r = -1; r < 0; limit += 16) {
        arena_init(&arena, limit);
        r = jsonpath_compile(&arena, STR(".a.b['c'][?(@.d==1)].e[0]"), &path, &err);
        assert_true(r == 0 || r == -ERR_NO_MEMORY);
        arena_deinit(&arena);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_find),
        cmocka_unit_test(test_whole),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_limits),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
