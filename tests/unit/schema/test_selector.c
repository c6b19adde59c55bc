/* Label and field selectors: syntax, canonical text, matching. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "schema/selector.h"

static void assert_str(struct str got, const char *want, const char *what)
{
    if (!str_is(got, want))
        fail_msg("%s: got \"%.*s\", want \"%s\"", what, (int)got.len, got.data ? got.data : "", want);
}

/* Cases are written with ' for ". */
static struct json *parse_quotes(struct arena *arena, const char *text)
{
    char *copy = arena_cstr(arena, str_from(text));
    struct json *json = NULL;

    for (char *c = copy; *c; c++)
        *c = *c == '\'' ? '"' : *c;
    assert_int_equal(json_parse(arena, str_from(copy), NULL, &json, NULL), 0);
    return json;
}

static const struct {
    const char *text, *canonical;
} valid[] = {
    { "", "" },
    { "  ", "" },
    { "a=b", "a=b" },
    { "a==b", "a==b" },
    { "a!=b", "a!=b" },
    { "a = b", "a=b" },
    { " a  ==\tb ", "a==b" },
    { "a", "a" },
    { "!a", "!a" },
    { "! a", "!a" },
    { "a=", "a=" },
    { "a!=", "a!=" },
    { "a=,b", "a=,b" },
    { "b=1,a=2", "a=2,b=1" },
    { "a=1,a!=2", "a=1,a!=2" },
    { "a!=2,a=1", "a!=2,a=1" },
    { "a in (x)", "a in (x)" },
    { "a in (z,y,x)", "a in (x,y,z)" },
    { "a in (x,x,y)", "a in (x,y)" },
    { "a in( x , y )", "a in (x,y)" },
    { "a in(x)", "a in (x)" },
    { "a notin (x,y)", "a notin (x,y)" },
    { "a in (x,)", "a in (,x)" },
    { "a in (,x)", "a in (,x)" },
    { "a in (,)", "a in ()" },
    { "a in (x,,y)", "a in (,x,y)" },
    { "a>1", "a>1" },
    { "a < 5", "a<5" },
    { "in in (in,notin)", "in in (in,notin)" },
    { "a=in", "a=in" },
    { "notin", "notin" },
    { "in=notin", "in=notin" },
    { "!in", "!in" },
    { "example.com/app=web", "example.com/app=web" },
    { "a.b_c-D=1.2_3-X", "a.b_c-D=1.2_3-X" },
    { "x in (a),y,z notin (b,c),!w,v=1", "v=1,!w,x in (a),y,z notin (b,c)" },
    { "env in (prod,staging),tier!=cache", "env in (prod,staging),tier!=cache" },
    { "kubernetes.io/hostname,123=456", "123=456,kubernetes.io/hostname" },
    { "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
      "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" },
};

static const char *const invalid[] = {
    "=",
    "=b",
    "!",
    "!=b",
    "!!a",
    "a=b,",
    ",a=b",
    ",",
    "a==b==c",
    "a=b=c",
    "a b",
    "a=b c",
    "a in",
    "a in x",
    "a in (x",
    "a in ()",
    "a notin ()",
    "a in (x y)",
    "a in ((x))",
    "a in (x))",
    "a in (x)b",
    "!a=b",
    "!a in (b)",
    "a===b",
    "a=!b",
    "a>",
    "a>x",
    "a>1.5",
    "a<",
    "a>1,",
    "a><1",
    "-a=b",
    "a-=b",
    ".a",
    "a.",
    "a=-b",
    "a=b-",
    "a=b/c",
    "a/b/c=d",
    "/a=b",
    "A.com/x=y",
    "a_b/x=y",
    "-a/x",
    "a-/x",
    "a..b/x",
    "a/=b",
    "a$",
    "a=b$",
    "(a)",
    "a=(b)",
    "a in x,y",
    "a in =b",
    "a in (x,=)",
    "a=\xC3\xA9",
    "\xC3\xA9=a",
    "a notin",
    "a=bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb",
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa=b",
};

static void test_parse(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(valid); i++) {
        AUTO(arena) arena = arena_new(0);
        const struct selector *selector, *again;
        struct err err = { 0 };

        if (selector_parse(arena, str_from(valid[i].text), &selector, &err) < 0)
            fail_msg("\"%s\": %s", valid[i].text, err.message);
        assert_int_equal(selector == NULL, !*valid[i].canonical);
        struct str text = selector_text(arena, selector);

        assert_str(text, valid[i].canonical, valid[i].text);
        /* "a in ()" is what Kubernetes prints for one empty value, and does not read. */
        if (str_has_suffix(text, STR("()")))
            continue;
        assert_int_equal(selector_parse(arena, text, &again, &err), 0);
        assert_str(selector_text(arena, again), valid[i].canonical, valid[i].text);
    }
}

static void test_refused(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(invalid); i++) {
        AUTO(arena) arena = arena_new(0);
        const struct selector *selector = (const struct selector *)arena;
        struct err err = { 0 };

        if (selector_parse(arena, str_from(invalid[i]), &selector, &err) != -ERR_BAD_REQUEST)
            fail_msg("\"%s\" must be refused", invalid[i]);
        assert_ptr_equal(selector, arena);
        assert_true(strlen(err.message) > 5);
    }
}

#define MAP(...)                                                                                        \
    (struct str_map)                                                                                    \
    {                                                                                                   \
        (const struct str_pair[]){ __VA_ARGS__ }, ARRAY_LEN(((const struct str_pair[]){ __VA_ARGS__ })) \
    }

static void test_matches(void **state)
{
    static const struct {
        const char *selector, *labels;
        bool matches;
    } cases[] = {
        { "", "{}", true },
        { "", "{'a':'b'}", true },
        { "a=b", "{'a':'b','c':'d'}", true },
        { "a=b", "{'a':'c'}", false },
        { "a=b", "{}", false },
        { "a==b", "{'a':'b'}", true },
        { "a=", "{'a':''}", true },
        { "a=", "{}", false },
        { "a!=b", "{'a':'c'}", true },
        { "a!=b", "{'a':'b'}", false },
        { "a!=b", "{}", true },
        { "a", "{'a':''}", true },
        { "a", "{'b':'a'}", false },
        { "!a", "{'b':'a'}", true },
        { "!a", "{'a':''}", false },
        { "a in (x,y)", "{'a':'y'}", true },
        { "a in (x,y)", "{'a':'z'}", false },
        { "a in (x,y)", "{}", false },
        { "a in (,x)", "{'a':''}", true },
        { "a notin (x,y)", "{'a':'z'}", true },
        { "a notin (x,y)", "{'a':'x'}", false },
        { "a notin (x,y)", "{}", true },
        { "a>5", "{'a':'6'}", true },
        { "a>5", "{'a':'5'}", false },
        { "a<5", "{'a':'-6'}", true },
        { "a<5", "{'a':'5'}", false },
        { "a<5", "{'a':'x'}", false },
        { "a>5", "{}", false },
        { "a=1,b=2", "{'a':'1','b':'2'}", true },
        { "a=1,b=2", "{'a':'1','b':'3'}", false },
        { "a=1,a!=1", "{'a':'1'}", false },
        { "A=b", "{'a':'b'}", false },
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        AUTO(arena) arena = arena_new(0);
        struct json *labels = parse_quotes(arena, cases[i].labels);
        struct str_pair pairs[4];
        const struct selector *selector;

        for (uint32_t j = 0; j < labels->count; j++)
            pairs[j] = (struct str_pair){ labels->members[j].key, labels->members[j].value.string };
        assert_int_equal(selector_parse(arena, str_from(cases[i].selector), &selector, NULL), 0);
        if (selector_matches_json(selector, labels) != cases[i].matches ||
            selector_matches(selector, (struct str_map){ pairs, labels->count }) != cases[i].matches)
            fail_msg("%s on %s", cases[i].selector, cases[i].labels);
    }
}

static void test_from_json(void **state)
{
    static const struct {
        const char *json, *want; /* NULL: refused */
    } cases[] = {
        { "{}", "" },
        { "{'matchLabels':{},'matchExpressions':[]}", "" },
        { "{'matchLabels':null,'matchExpressions':null}", "" },
        { "{'matchLabels':{'b':'1','a':'2'}}", "a=2,b=1" },
        { "{'matchLabels':{'a':''}}", "a=" },
        { "{'matchExpressions':[{'key':'a','operator':'In','values':['y','x']}]}", "a in (x,y)" },
        { "{'matchExpressions':[{'key':'a','operator':'NotIn','values':['x']}]}", "a notin (x)" },
        { "{'matchExpressions':[{'key':'a','operator':'Exists'}]}", "a" },
        { "{'matchExpressions':[{'key':'a','operator':'DoesNotExist','values':[]}]}", "!a" },
        { "{'matchLabels':{'c':'d'},'matchExpressions':[{'key':'a','operator':'Exists','values':null}]}", "a,c=d" },
        { "{'matchExpressions':[{'key':'a','operator':'In','values':[]}]}", NULL },
        { "{'matchExpressions':[{'key':'a','operator':'In'}]}", NULL },
        { "{'matchExpressions':[{'key':'a','operator':'Exists','values':['x']}]}", NULL },
        { "{'matchExpressions':[{'key':'a','operator':'Gt','values':['1']}]}", NULL },
        { "{'matchExpressions':[{'key':'a','operator':'in','values':['x']}]}", NULL },
        { "{'matchExpressions':[{'key':'a'}]}", NULL },
        { "{'matchExpressions':[{'operator':'Exists'}]}", NULL },
        { "{'matchExpressions':[1]}", NULL },
        { "{'matchExpressions':{}}", NULL },
        { "{'matchExpressions':[{'key':'a','operator':'In','values':[1]}]}", NULL },
        { "{'matchExpressions':[{'key':'a','operator':'In','values':'x'}]}", NULL },
        { "{'matchLabels':{'a':1}}", NULL },
        { "{'matchLabels':[]}", NULL },
        { "{'matchLabels':{'a b':'c'}}", NULL },
        { "{'matchLabels':{'a':'c d'}}", NULL },
        { "[]", NULL },
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        AUTO(arena) arena = arena_new(0);
        const struct selector *selector = NULL;
        struct err err = { 0 };
        int r = selector_from_json(arena, parse_quotes(arena, cases[i].json), &selector, &err);

        assert_int_equal(r, cases[i].want ? 0 : -ERR_BAD_REQUEST);
        if (cases[i].want) {
            assert_int_equal(selector == NULL, !*cases[i].want);
            assert_str(selector_text(arena, selector), cases[i].want, cases[i].json);
        }
    }
}

static void test_absent_matches_nothing(void **state)
{
    AUTO(arena) arena = arena_new(0);
    const struct selector *selector;

    assert_int_equal(selector_from_json(arena, NULL, &selector, NULL), 0);
    assert_non_null(selector);
    assert_false(selector_matches(selector, (struct str_map){ 0 }));
    assert_false(selector_matches_json(selector, NULL));
    assert_str(selector_text(arena, selector), "", "nothing");
}

static void test_from_map(void **state)
{
    AUTO(arena) arena = arena_new(0);
    const struct selector *selector;

    assert_int_equal(selector_from_map(arena, (struct str_map){ 0 }, &selector, NULL), 0);
    assert_null(selector);
    assert_int_equal(selector_from_map(arena, MAP({ STR_INIT("b"), STR_INIT("2") }, { STR_INIT("a"), STR_INIT("1") }),
                                       &selector, NULL),
                     0);
    assert_str(selector_text(arena, selector), "a=1,b=2", "map");
    assert_true(selector_matches(selector, MAP({ STR_INIT("a"), STR_INIT("1") }, { STR_INIT("b"), STR_INIT("2") })));
    assert_false(selector_matches(selector, MAP({ STR_INIT("a"), STR_INIT("1") })));
}

static void test_required_value(void **state)
{
    AUTO(arena) arena = arena_new(0);
    const struct selector *selector;

    assert_int_equal(selector_parse(arena, STR("a=1,b==2,c in (3),d in (4,5),e!=6,f,g="), &selector, NULL), 0);
    assert_str(selector_required_value(selector, STR("a")), "1", "a");
    assert_str(selector_required_value(selector, STR("b")), "2", "b");
    assert_str(selector_required_value(selector, STR("c")), "3", "c");
    assert_null(selector_required_value(selector, STR("d")).data);
    assert_null(selector_required_value(selector, STR("e")).data);
    assert_null(selector_required_value(selector, STR("f")).data);
    assert_non_null(selector_required_value(selector, STR("g")).data);
    assert_null(selector_required_value(NULL, STR("a")).data);
}

static const struct {
    const char *text, *canonical; /* NULL: refused */
} fields[] = {
    { "", "" },
    { "metadata.name=x", "metadata.name=x" },
    { "metadata.name==x", "metadata.name=x" },
    { "status.phase!=Running,spec.nodeName=n1", "spec.nodeName=n1,status.phase!=Running" },
    { "spec.nodeName=", "spec.nodeName=" },
    { "a=b,,c=d,", "a=b,c=d" },
    { "a=x\\,y", "a=x\\,y" },
    { "a=x\\=y", "a=x\\=y" },
    { "a=x\\\\", "a=x\\\\" },
    { "a=b!c", "a=b!c" },
    { "a!=!c", "a!=!c" },
    { "a", NULL },
    { "a=b,c", NULL },
    { "a=b=c", NULL },
    { "a=x\\y", NULL },
    { "a=x\\", NULL },
    { "a in (b)", NULL },
    { "a>1", NULL },
};

static void test_field_parse(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(fields); i++) {
        AUTO(arena) arena = arena_new(0);
        const struct selector *selector = NULL;
        struct err err = { 0 };
        int r = field_selector_parse(arena, str_from(fields[i].text), &selector, &err);

        if (r != (fields[i].canonical ? 0 : -ERR_BAD_REQUEST))
            fail_msg("%s: %d %s", fields[i].text, r, err.message);
        if (!fields[i].canonical)
            continue;
        struct str text = selector_text(arena, selector);

        assert_str(text, fields[i].canonical, fields[i].text);
        assert_int_equal(field_selector_parse(arena, text, &selector, NULL), 0);
        assert_str(selector_text(arena, selector), fields[i].canonical, fields[i].text);
    }
}

static struct str get_field(const void *arg, struct str key)
{
    return json_str(json_get(arg, key));
}

static int refuse_unknown(void *arg, struct str key)
{
    return json_get(arg, key) ? 0 : -ERR_BAD_REQUEST;
}

static void test_field_matches(void **state)
{
    static const struct {
        const char *selector;
        bool matches, known;
    } cases[] = {
        { "", true, true },
        { "metadata.name=web", true, true },
        { "metadata.name!=web", false, true },
        { "metadata.name=db", false, true },
        { "spec.nodeName=", true, true },
        { "spec.nodeName!=", false, true },
        { "metadata.name=web,status.phase!=Failed", true, true },
        { "metadata.name=web,spec.other=x", false, false },
    };
    AUTO(arena) arena = arena_new(0);
    struct json *object = parse_quotes(arena, "{'metadata.name':'web','spec.nodeName':'','status.phase':'Running'}");

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const struct selector *selector;

        assert_int_equal(field_selector_parse(arena, str_from(cases[i].selector), &selector, NULL), 0);
        assert_int_equal(field_selector_matches(selector, get_field, object), cases[i].matches);
        assert_int_equal(selector_each_key(selector, refuse_unknown, object), cases[i].known ? 0 : -ERR_BAD_REQUEST);
    }
}

static void test_many_terms(void **state)
{
    AUTO(arena) arena = arena_new(0);
    AUTO_DEINIT(buf, text) = BUF_INIT;
    const struct selector *selector;

    for (int i = 0; i < 1000; i++)
        buf_printf(&text, "%sk%d=v%d", i ? "," : "", 999 - i, i);
    assert_int_equal(selector_parse(arena, buf_str(&text), &selector, NULL), 0);
    assert_str(selector_required_value(selector, STR("k999")), "v0", "k999");
    for (int i = 0; i < 10000; i++)
        buf_printf(&text, ",x%d", i);
    assert_int_equal(selector_parse(arena, buf_str(&text), &selector, NULL), -ERR_BAD_REQUEST);
}

static void test_no_memory(void **state)
{
    bool done = false;

    for (size_t limit = 1; !done; limit += 16) {
        AUTO(arena) arena = arena_new(limit);
        const struct selector *label, *field;
        int r = selector_parse(arena, STR("a=b,c in (x,y,z,w,v),!d,e!=f,g,h"), &label, NULL);

        if (r == 0)
            r = field_selector_parse(arena, STR("metadata.name=x\\,y,b!=c"), &field, NULL);
        assert_true(r == 0 || r == -ERR_NO_MEMORY);
        done = r == 0;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parse),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_matches),
        cmocka_unit_test(test_from_json),
        cmocka_unit_test(test_absent_matches_nothing),
        cmocka_unit_test(test_from_map),
        cmocka_unit_test(test_required_value),
        cmocka_unit_test(test_field_parse),
        cmocka_unit_test(test_field_matches),
        cmocka_unit_test(test_many_terms),
        cmocka_unit_test(test_no_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
