/* YAML to JSON as sigs.k8s.io/yaml does it, hostile documents, and JSON to YAML as kubectl prints it. */
#include "unit.h"

#include <stdio.h>

#include "codec/yaml.h"

/* want: compact JSON with ' for ", NULL when it must be refused. */
static const struct {
    const char *name, *text, *want;
} cases[] = {
    { "empty", "", "null" },
    { "only a comment", "# nothing\n", "null" },
    { "only a divider", "---\n", "null" },
    { "mapping", "a: 1\nb: x\n", "{'a':1,'b':'x'}" },
    { "nested", "a:\n  b:\n    - c: 1\n      d: 2\n    - e\n", "{'a':{'b':[{'c':1,'d':2},'e']}}" },
    { "sequence at the level of its key", "a:\n- 1\n- 2\n", "{'a':[1,2]}" },
    { "flow", "{a: [1, {b: c}], d: {}}", "{'a':[1,{'b':'c'}],'d':{}}" },
    { "JSON is YAML", "{\"a\":[1,true,null,\"x\"]}", "{'a':[1,true,null,'x']}" },
    { "trailing divider", "a: 1\n---\n", "{'a':1}" },
    { "leading divider", "---\na: 1\n", "{'a':1}" },
    { "end marker", "a: 1\n...\n", "{'a':1}" },
    { "directive", "%YAML 1.1\n---\na: 1\n", "{'a':1}" },
    { "byte order mark",
      "\xEF\xBB\xBF"
      "a: 1\n",
      "{'a':1}" },
    { "two documents", "a: 1\n---\nb: 2\n", NULL },
    { "literal block", "a: |\n  one\n  two\n", "{'a':'one\\ntwo\\n'}" },
    { "literal block stripped", "a: |-\n  one\n  two\n", "{'a':'one\\ntwo'}" },
    { "literal block kept", "a: |+\n  one\n\n", "{'a':'one\\n\\n'}" },
    { "folded block", "a: >\n  one\n  two\n\n  three\n", "{'a':'one two\\nthree\\n'}" },
    { "multi-line plain", "a: one\n  two\n", "{'a':'one two'}" },
    { "quotes", "a: 'it''s'\nb: \"tab\\tx\\u00e9\"\n", "{'a':'it's','b':'tab\\txé'}" },
    { "unicode", "a: \xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80\n", "{'a':'\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80'}" },
    /* null */
    { "null words", "[~, null, Null, NULL, ]", "[null,null,null,null]" },
    { "null values", "a:\nb: ~\n", "{'a':null,'b':null}" },
    { "not null", "[nUll, none, \"\", '~']", "['nUll','none','','~']" },
    /* booleans */
    { "true words", "[true, True, TRUE, yes, Yes, YES, on, On, ON, y, Y]",
      "[true,true,true,true,true,true,true,true,true,true,true]" },
    { "false words", "[false, False, FALSE, no, No, NO, off, Off, OFF, n, N]",
      "[false,false,false,false,false,false,false,false,false,false,false]" },
    { "not booleans", "[tRue, yEs, oN, t, f, 'true', \"no\"]", "['tRue','yEs','oN','t','f','true','no']" },
    /* integers */
    { "decimal", "[0, 1, -1, +1, 123456789, -0]", "[0,1,-1,1,123456789,0]" },
    { "hexadecimal", "[0x10, 0XfF, -0x1, +0xA]", "[16,255,-1,10]" },
    { "octal", "[010, 0o17, 0O7, -017, 00]", "[8,15,7,-15,0]" },
    { "binary", "[0b101, -0b11, 0B1]", "[5,-3,1]" },
    { "underscores", "[1_000, 0x1_0, 1__0, 1_]", "[1000,16,10,1]" },
    { "limits", "[9223372036854775807, -9223372036854775808, 18446744073709551615]",
      "[9223372036854775807,-9223372036854775808,18446744073709551615]" },
    { "beyond the limits", "[18446744073709551616, -9223372036854775809]",
      "[18446744073709552000,-9223372036854776000]" },
    { "not integers", "[0x, 0xg, 0o8, 0b2, 1a, 1-1, _1, --1, '1', \"0x1\"]",
      "['0x','0xg','0o8','0b2','1a','1-1','_1','--1','1','0x1']" },
    { "octal that is none", "[08, 09.5, 0789]", "[8,9.5,789]" },
    /* floats */
    { "floats", "[1.5, -1.5, +0.25, .5, 1., 1_0.5]", "[1.5,-1.5,0.25,0.5,1,10.5]" },
    { "exponents", "[1e3, 1E3, 1e+3, 1e-3, 1.5e300, -2.5E-7]", "[1000,1000,1000,0.001,1.5e+300,-2.5e-7]" },
    { "float layout", "[1e20, 1e21, 1e-6, 1e-7, 0.1, 100.0, 123456.789]",
      "[100000000000000000000,1e+21,0.000001,1e-7,0.1,100,123456.789]" },
    { "not floats", "[1e, e1, 1.2.3, ., .e1, 1e400, -.5x, 1.5e+]",
      "['1e','e1','1.2.3','.','.e1','1e400','-.5x','1.5e+']" },
    { "infinity", "a: .inf\n", NULL },
    { "negative infinity", "a: -.Inf\n", NULL },
    { "not a number", "a: .NaN\n", NULL },
    { "quoted infinity", "a: '.inf'\n", "{'a':'.inf'}" },
    /* strings that look like others */
    { "timestamps", "[2001-01-01, 2001-12-14T21:59:43.10-05:00, 2001-12-14 21:59:43]",
      "['2001-01-01','2001-12-14T21:59:43.10-05:00','2001-12-14 21:59:43']" },
    { "base 60", "[1:20, 190:20:30]", "['1:20','190:20:30']" },
    { "versions and addresses", "[1.2.3, 10.0.0.1, v1, 1Gi, 100m, 12e, 0.5Gi]",
      "['1.2.3','10.0.0.1','v1','1Gi','100m','12e','0.5Gi']" },
    { "plain merge and value words", "[<<, =]", "['<<','=']" },
    /* keys */
    { "keys become text", "1: a\n0x10: b\ntrue: c\n1.5: d\nyes: e\n", "{'1':'a','16':'b','true':'e','1.5':'d'}" },
    { "quoted key", "'1': a\n\"yes\": b\n", "{'1':'a','yes':'b'}" },
    { "null key", "~: a\n", NULL },
    { "empty key", "? \n: a\n", NULL },
    { "sequence key", "[1, 2]: a\n", NULL },
    { "mapping key", "{a: b}: c\n", NULL },
    { "explicit key", "? a\n: b\n", "{'a':'b'}" },
    { "duplicate keys keep the last", "a: 1\nb: 2\na: 3\n", "{'a':3,'b':2}" },
    /* tags */
    { "tags", "[!!str 1, !!int \"5\", !!float 1, !!bool \"yes\", !!null \"\", !!str yes, !!float 2.5]",
      "['1',5,1,true,null,'yes',2.5]" },
    { "local tag", "a: !mine x\n", "{'a':'x'}" },
    { "local tag on a number", "a: !mine 1\n", "{'a':'1'}" },
    { "tag on collections", "a: !!map {b: !!seq [c]}\n", "{'a':{'b':['c']}}" },
    { "set tag", "a: !!timestamp 2001-01-01\n", "{'a':'2001-01-01'}" },
    { "int tag on a word", "a: !!int x\n", NULL },
    { "bool tag on a number", "a: !!bool 1\n", NULL },
    { "binary", "a: !!binary aGVsbG8=\n", "{'a':'hello'}" },
    { "binary over lines", "a: !!binary |\n  aGVs\n  bG8=\n", "{'a':'hello'}" },
    { "binary that is not base64", "a: !!binary x\n", NULL },
    { "binary that is not UTF-8", "a: !!binary //4=\n", NULL },
    /* anchors */
    { "anchor of a scalar", "a: &x 5\nb: *x\n", "{'a':5,'b':5}" },
    { "anchor of a mapping", "a: &x {k: [1]}\nb: *x\n", "{'a':{'k':[1]},'b':{'k':[1]}}" },
    { "anchor of a sequence", "- &x [1]\n- *x\n- [*x, *x]\n", "[[1],[1],[[1],[1]]]" },
    { "anchor defined again", "[&x 1, *x, &x 2, *x]", "[1,1,2,2]" },
    { "alias as key", "a: &x k\n*x : v\n", "{'a':'k','k':'v'}" },
    { "unknown alias", "a: *x\n", NULL },
    { "alias before its anchor", "a: *x\nb: &x 1\n", NULL },
    { "anchor contains itself", "&x [1, *x]", NULL },
    { "anchor contains itself deeper", "a: &x {b: {c: *x}}\n", NULL },
    /* merge keys */
    { "merge", "a: &x {p: 1, q: 2}\nb:\n  <<: *x\n  q: 3\n", "{'a':{'p':1,'q':2},'b':{'q':3,'p':1}}" },
    { "merge before and after", "b: {q: 3, <<: {q: 1, r: 2}}", "{'b':{'q':3,'r':2}}" },
    { "merge of several, the first wins", "a: {<<: [{x: 1}, {x: 2, z: 3}]}", "{'a':{'x':1,'z':3}}" },
    { "merge nested", "a: &a {x: 1}\nb: &b {<<: *a, z: 2}\nc: {<<: *b}\n",
      "{'a':{'x':1},'b':{'z':2,'x':1},'c':{'z':2,'x':1}}" },
    { "quoted merge key is a key", "'<<': {a: 1}\n", "{'<<':{'a':1}}" },
    { "merge of a scalar", "a: {<<: 1}\n", NULL },
    { "merge of a sequence of scalars", "a: {<<: [1]}\n", NULL },
    /* errors */
    { "tab as indentation", "a:\n\t- b\n", NULL },
    { "bad indentation", "a: 1\n b: 2\n", NULL },
    { "unclosed flow", "a: [1, 2\n", NULL },
    { "unclosed quote", "a: \"x\n", NULL },
    { "unknown escape", "a: \"\\q\"\n", NULL },
    { "surrogate escape", "a: \"\\ud800\"\n", NULL },
    { "control character", "a: \x01\n", NULL },
    { "invalid UTF-8", "a: \xFF\n", NULL },
    { "mapping in one line", "a: b: c\n", NULL },
    { "stray percent", "%\n", NULL },
    { "at sign", "a: @x\n", NULL },
};

/* Like quotes(), but an apostrophe between letters stays one. */
static struct str want_text(struct arena *arena, const char *text)
{
    char *copy = arena_cstr(arena, str_from(text));

    for (char *c = copy; *c; c++)
        if (*c == '\'' && !(c > copy && c[-1] == 't' && c[1] == 's'))
            *c = '"';
    return str_from(copy);
}

static void test_parse(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        AUTO(arena) arena = arena_new(0);
        struct json *json = NULL;
        struct err err = { 0 };
        int r = yaml_parse(arena, str_from(cases[i].text), NULL, &json, &err);

        if (r != (cases[i].want ? 0 : -ERR_BAD_REQUEST))
            fail_msg("%s: %d %s", cases[i].name, r, err.message);
        if (r < 0) {
            assert_null(json);
            assert_true(strlen(err.message) > 0);
            continue;
        }
        struct str got = json_text(arena, json), want = want_text(arena, cases[i].want);

        if (!str_eq(got, want))
            fail_msg("%s: got %s, want %s", cases[i].name, got.data, want.data);
    }
}

static void test_errors_say_where(void **state)
{
    static const struct {
        const char *text, *want;
    } errors[] = {
        { "a: 1\nb: [\n", "line 3, column 1" },
        { "a: 1\nb: *x\n", "line 2, column 4" },
        { "a: .inf\n", "line 1, column 4" },
        { "a: 1\n---\nb: 1\n", "line 3, column 1" },
        { "a: \xFF\n", "byte 3" },
    };

    for (size_t i = 0; i < ARRAY_LEN(errors); i++) {
        AUTO(arena) arena = arena_new(0);
        struct json *json;
        struct err err = { 0 };

        assert_int_equal(yaml_parse(arena, str_from(errors[i].text), NULL, &json, &err), -ERR_BAD_REQUEST);
        if (!strstr(err.message, errors[i].want))
            fail_msg("%s: %s", errors[i].text, err.message);
    }
}

static void test_duplicates(void **state)
{
    AUTO(arena) arena = arena_new(0);
    struct json_duplicates duplicates = { 0 };
    struct json_options options = { .duplicates = &duplicates };
    struct json *json;

    assert_int_equal(yaml_parse(arena, STR("spec:\n  containers:\n  - image: x\n    image: y\nspec: 1\n1: a\n'1': b\n"),
                                &options, &json, NULL),
                     0);
    assert_int_equal(duplicates.count, 3);
    assert_str(duplicates.paths[0], "spec.containers[0].image");
    assert_str(duplicates.paths[1], "spec");
    assert_str(duplicates.paths[2], "1");
    assert_json(arena, json, "{'spec':1,'1':'b'}");
}

static void test_all_documents(void **state)
{
    static const struct {
        const char *text, *want;
    } documents[] = {
        { "", "[]" },
        { "---\n---\n", "[]" },
        { "a: 1", "[{'a':1}]" },
        { "---\na: 1\n---\n# empty\n---\nb: 2\n...\n---\n- 3\n", "[{'a':1},{'b':2},[3]]" },
        { "a: &x 1\n---\nb: 2\n", "[{'a':1},{'b':2}]" },
        { "a\n---\nb\n", "['a','b']" },
    };

    for (size_t i = 0; i < ARRAY_LEN(documents); i++) {
        AUTO(arena) arena = arena_new(0);
        struct json *json;

        assert_int_equal(yaml_parse_all(arena, str_from(documents[i].text), &json, NULL), 0);
        assert_json(arena, json, documents[i].want);
    }
    AUTO(arena) arena = arena_new(0);
    struct json *json;

    /* Anchors end with their document. */
    assert_int_equal(yaml_parse_all(arena, STR("a: &x 1\n---\nb: *x\n"), &json, NULL), -ERR_BAD_REQUEST);
}

static void test_alias_bombs(void **state)
{
    AUTO_DEINIT(buf, bomb) = BUF_INIT;
    AUTO_DEINIT(buf, strings) = BUF_INIT;
    AUTO_DEINIT(buf, modest) = BUF_INIT;
    AUTO(arena) arena = arena_new(0);
    struct json *json;

    buf_add_cstr(&bomb, "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for (int i = 1; i < 12; i++) {
        buf_printf(&bomb, "a%d: &a%d [", i, i);
        for (int j = 0; j < 10; j++)
            buf_printf(&bomb, "%s*a%d", j ? ", " : "", i - 1);
        buf_add_cstr(&bomb, "]\n");
    }
    assert_int_equal(yaml_parse(arena, buf_str(&bomb), NULL, &json, NULL), -ERR_TOO_LARGE);

    buf_add_cstr(&strings, "s: &s \"");
    for (int i = 0; i < 100000; i++)
        buf_add_char(&strings, 'x');
    buf_add_cstr(&strings, "\"\nl:\n");
    for (int i = 0; i < 1000; i++)
        buf_add_cstr(&strings, "- *s\n");
    assert_int_equal(yaml_parse(arena, buf_str(&strings), NULL, &json, NULL), -ERR_TOO_LARGE);

    buf_add_cstr(&modest, "s: &s {a: [1, 2, 3], b: text}\nl:\n");
    for (int i = 0; i < 1000; i++)
        buf_add_cstr(&modest, "- *s\n");
    assert_int_equal(yaml_parse(arena, buf_str(&modest), NULL, &json, NULL), 0);
    assert_int_equal(json_member(json, "l")->count, 1000);
}

static void test_depth(void **state)
{
    static const struct {
        int levels;
        uint32_t max_depth;
        bool accept;
    } depths[] = { { 100, 0, true }, { 512, 0, true }, { 513, 0, false }, { 20000, 0, false }, { 4, 3, false } };

    for (size_t i = 0; i < ARRAY_LEN(depths); i++) {
        AUTO(arena) arena = arena_new(0);
        AUTO_DEINIT(buf, buf) = BUF_INIT;
        struct json_options options = { .max_depth = depths[i].max_depth };
        struct json *json;

        for (int j = 0; j < depths[i].levels; j++)
            buf_add_cstr(&buf, "[\n");
        for (int j = 0; j < depths[i].levels; j++)
            buf_add_cstr(&buf, "]\n");
        assert_int_equal(yaml_parse(arena, buf_str(&buf), &options, &json, NULL) == 0, depths[i].accept);
    }
}

static void test_many_keys(void **state)
{
    AUTO(arena) arena = arena_new(0);
    AUTO_DEINIT(buf, buf) = BUF_INIT;
    struct json *json;

    for (int i = 0; i < 20000; i++)
        buf_printf(&buf, "key-%d: %d\n", i, i);
    assert_int_equal(yaml_parse(arena, buf_str(&buf), NULL, &json, NULL), 0);
    assert_int_equal(json->count, 20000);
    assert_int_equal(json_int(json_get(json, STR("key-19999")), -1), 19999);
}

static void test_allocation_failures(void **state)
{
    struct str text = STR("a: &x\n  b: [1, 2.5, yes, ~, 'q']\n  c: !!binary aGVsbG8=\nd: {<<: *x, e: *x}\na: 1\n");
    bool done = false;

    for (size_t limit = 1; !done; limit += 8) {
        AUTO(arena) arena = arena_new(limit);
        struct json_duplicates duplicates = { 0 };
        struct json_options options = { .duplicates = &duplicates };
        struct json *json = NULL;
        int r = yaml_parse(arena, text, &options, &json, NULL);

        assert_true(r == 0 || r == -ERR_TOO_LARGE);
        assert_true((r == 0) == (json != NULL));
        done = r == 0;
    }
}

/* JSON (with ' for ") and the YAML it becomes. */
static const struct {
    const char *json, *want;
} written[] = {
    { "{'apiVersion':'v1','kind':'Pod','metadata':{'name':'web','labels':{'app':'web'}},'spec':{'containers':"
      "[{'name':'a','image':'x:1','args':['-c','echo hi']},{'name':'b'}]}}",
      "apiVersion: v1\nkind: Pod\nmetadata:\n  name: web\n  labels:\n    app: web\nspec:\n  containers:\n  - name: a\n"
      "    image: x:1\n    args:\n    - -c\n    - echo hi\n  - name: b\n" },
    { "{'a':{},'b':[],'c':null,'d':true,'e':'','f':1.50}", "a: {}\nb: []\nc: null\nd: true\ne: \"\"\nf: 1.50\n" },
    { "['yes','no','on','y','N','true','null','~','1','0x10','1.5','1e3','.5','.inf','1_0']",
      "- \"yes\"\n- \"no\"\n- \"on\"\n- \"y\"\n- \"N\"\n- \"true\"\n- \"null\"\n- \"~\"\n- \"1\"\n- \"0x10\"\n"
      "- \"1.5\"\n- \"1e3\"\n- \".5\"\n- \".inf\"\n- \"1_0\"\n" },
    { "['2026-01-02T15:04:05Z','2026-01-02','1:20','<<','=']",
      "- \"2026-01-02T15:04:05Z\"\n- \"2026-01-02\"\n- \"1:20\"\n- \"<<\"\n- \"=\"\n" },
    { "['plain','two words','a:b','http://x/y','v1.2.3','100m','-x','x#y']",
      "- plain\n- two words\n- a:b\n- http://x/y\n- v1.2.3\n- 100m\n- -x\n- x#y\n" },
    { "['a: b','x #y','- a','*a','&a','!a','%a','@a','`a','[a','{a','',' a','a ','#a','?','|','>','-']",
      "- 'a: b'\n- 'x #y'\n- '- a'\n- '*a'\n- '&a'\n- '!a'\n- '%a'\n- '@a'\n- '`a'\n- '[a'\n- '{a'\n- \"\"\n- ' a'\n"
      "- 'a '\n- '#a'\n- '?'\n- '|'\n- '>'\n- '-'\n" },
    { "{'script':'one\\ntwo\\n','last':'one\\ntwo','x':1}", "script: |\n  one\n  two\nlast: |-\n  one\n  two\nx: 1\n" },
    { "['tab\\tx','bell\\u0007','nul\\u0000']", "- \"tab\\tx\"\n- \"bell\\a\"\n- \"nul\\0\"\n" },
    { "{'1':'a','true':'b'}", "\"1\": a\n\"true\": b\n" },
    { "[1e3,-0,12345678901234567890]", "- 1e+3\n- -0\n- 12345678901234567890\n" },
    { "'just text'", "just text\n" },
    { "5", "5\n" },
    { "[[1,[2]],[]]", "- - 1\n  - - 2\n- []\n" },
    { "'\xC3\xA9\xE2\x82\xAC'", "\xC3\xA9\xE2\x82\xAC\n" },
    { "'\xF0\x9F\x98\x80'", "\"\\U0001F600\"\n" },
    { "['a very long text that goes on and on, far beyond the eighty columns at which some would break the line']",
      "- a very long text that goes on and on, far beyond the eighty columns at which some would break the line\n" },
};

static void test_write(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(written); i++) {
        AUTO(arena) arena = arena_new(0);
        AUTO_DEINIT(buf, buf) = BUF_INIT;
        struct json *json = parse(arena, quotes(arena, written[i].json)), *again;
        struct err err = { 0 };

        assert_int_equal(yaml_write(&buf, json, &err), 0);
        assert_str(buf_str(&buf), written[i].want);
        assert_int_equal(yaml_parse(arena, buf_str(&buf), NULL, &again, &err), 0);
        assert_true(json_equal(json, again));
    }
}

/* Texts of all kinds of characters must come back as they were. */
static void test_strings_round_trip(void **state)
{
    static const char alphabet[] = "a1 :#-\n'\"\\,[]{}?*&!|>%@`~\t.yn_\x7F=<+e\r";
    unsigned random = 7;

    for (int round = 0; round < 20000; round++) {
        AUTO(arena) arena = arena_new(0);
        AUTO_DEINIT(buf, buf) = BUF_INIT;
        struct json *json = json_new(arena, JSON_OBJECT), *again;
        char text[12];
        size_t len = 0;

        random = random * 1103515245u + 12345u;
        size_t want = (random >> 16) % sizeof text;

        while (len < want) {
            random = random * 1103515245u + 12345u;
            text[len++] = alphabet[(random >> 16) % (sizeof alphabet - 1)];
        }
        struct str s = arena_str(arena, str_of(text, len));

        json_set_str(arena, json, s, s);
        assert_int_equal(yaml_write(&buf, json, NULL), 0);
        struct err err = { 0 };

        if (yaml_parse(arena, buf_str(&buf), NULL, &again, &err) < 0 || !json_equal(json, again))
            fail_msg("%s: %s\nfrom %s", err.message, json_text(arena, json).data, arena_cstr(arena, buf_str(&buf)));
    }
}

static void test_write_limit(void **state)
{
    AUTO(arena) arena = arena_new(0);
    struct json *json = parse(arena, STR("{\"a\":[1,2,3],\"b\":\"text\"}"));

    for (size_t limit = 1; limit < 24; limit++) {
        AUTO_DEINIT(buf, buf) = BUF_INIT;
        int r;

        buf.limit = limit;
        r = yaml_write(&buf, json, NULL);
        assert_int_equal(r, limit < 23 ? -ERR_TOO_LARGE : 0);
    }
    AUTO_DEINIT(buf, buf) = BUF_INIT;

    assert_int_equal(yaml_write(&buf, NULL, NULL), 0);
    assert_str(buf_str(&buf), "null\n");
    assert_int_equal(yaml_write(&buf, json_new_str(arena, STR("\xFF")), NULL), -ERR_INTERNAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parse),       cmocka_unit_test(test_errors_say_where),
        cmocka_unit_test(test_duplicates),  cmocka_unit_test(test_all_documents),
        cmocka_unit_test(test_alias_bombs), cmocka_unit_test(test_depth),
        cmocka_unit_test(test_many_keys),   cmocka_unit_test(test_allocation_failures),
        cmocka_unit_test(test_write),       cmocka_unit_test(test_strings_round_trip),
        cmocka_unit_test(test_write_limit),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
