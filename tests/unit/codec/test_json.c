/* Reading, building and changing trees; duplicates, numbers, errors and limits of the parser; the writer. */
#include "unit.h"

#include <stdio.h>

static void test_read(void **state)
{
    AUTO(arena) arena = arena_new(0);
    struct str text = quotes(arena, "{'a':{'b':{'c':7}},'s':'x','t':true,'d':1.5,'n':null,'l':[1,2],'':3}");
    struct json *json = parse(arena, text);

    assert_int_equal(json_int(json_at(json, "a.b.c"), -1), 7);
    assert_int_equal(json_int(json_at(json, "a.b.x"), -1), -1);
    assert_int_equal(json_int(json_at(json, "a.b.c.d"), -1), -1);
    assert_str(json_str(json_member(json, "s")), "x");
    assert_str(json_str_at(json, "s"), "x");
    assert_null(json_str(json_member(json, "t")).data);
    assert_null(json_str(NULL).data);
    assert_true(json_bool(json_member(json, "t"), false));
    assert_true(json_bool(json_member(json, "absent"), true));
    assert_false(json_bool(json_member(json, "s"), false));
    assert_true(json_double(json_member(json, "d"), 0) == 1.5);
    assert_true(json_double(json_at(json, "a.b.c"), 0) == 7.0);
    assert_true(json_double(json_member(json, "s"), 2.0) == 2.0);
    assert_int_equal(json_int(json_member(json, "d"), -1), -1);
    assert_int_equal(json_int(json_get(json, STR("")), -1), 3);
    assert_true(json_is(json_member(json, "n"), JSON_NULL));
    assert_false(json_is(NULL, JSON_NULL));
    assert_null(json_get(json_member(json, "l"), STR("a")));
    assert_null(json_get(NULL, STR("a")));
    assert_int_equal(json_member(json, "l")->count, 2);
}

static void test_numbers(void **state)
{
    static const struct {
        const char *text;
        bool is_int;
        int64_t value;
    } cases[] = {
        { "0", true, 0 },
        { "-0", true, 0 },
        { "1", true, 1 },
        { "-1", true, -1 },
        { "9223372036854775807", true, INT64_MAX },
        { "9223372036854775808", false, 0 },
        { "-9223372036854775808", true, INT64_MIN },
        { "-9223372036854775809", false, 0 },
        { "9999999999999999999", false, 0 },
        { "18446744073709551616", false, 0 },
        { "18446744073709551617", false, 0 },
        { "100000000000000000000", false, 0 },
        { "184467440737095516160", false, 0 },
        { "1.0", false, 0 },
        { "1e3", false, 0 },
        { "1E0", false, 0 },
        { "-0.0", false, 0 },
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        AUTO(arena) arena = arena_new(0);
        struct json *json = parse(arena, str_from(cases[i].text));

        assert_int_equal(json->kind, JSON_NUMBER);
        assert_int_equal(json->is_int, cases[i].is_int);
        assert_int_equal(json->number.i64, cases[i].value);
        assert_str(json->number.text, cases[i].text);
        assert_str(json_text(arena, json), cases[i].text);
    }
}

static void test_strings(void **state)
{
    static const struct {
        const char *text;
        struct str want;
    } cases[] = {
        { "\"plain\"", STR_INIT("plain") },
        { "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", STR_INIT("\"\\/\b\f\n\r\t") },
        { "\"a\\u0000b\"", STR_INIT("a\0b") },
        { "\"\\u007f\\u0080\\u07ff\\u0800\\uffff\"", STR_INIT("\x7F\xC2\x80\xDF\xBF\xE0\xA0\x80\xEF\xBF\xBF") },
        { "\"\\ud800\\udc00\\uDBFF\\uDFFF\"", STR_INIT("\xF0\x90\x80\x80\xF4\x8F\xBF\xBF") },
        { "\"x\xC3\xA9\\ny\xE2\x82\xAC\"", STR_INIT("x\xC3\xA9\ny\xE2\x82\xAC") },
        { "\"0123456789abcdef0123456789abcdef\\t0123456789abcdef0123456789\"",
          STR_INIT("0123456789abcdef0123456789abcdef\t0123456789abcdef0123456789") },
        { "\"\\\\\\\\\"", STR_INIT("\\\\") },
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        AUTO(arena) arena = arena_new(0);

        assert_true(str_eq(json_str(parse(arena, str_from(cases[i].text))), cases[i].want));
    }
}

static void test_slices(void **state)
{
    AUTO(arena) arena = arena_new(0);
    struct str text = STR("{\"key\":\"value\"}");
    struct json *json = parse(arena, text);

    assert_ptr_equal(json->members[0].key.data, text.data + 2);
    assert_ptr_equal(json->members[0].value.string.data, text.data + 8);
}

static void test_errors(void **state)
{
    static const struct {
        const char *text, *want;
    } cases[] = {
        { "", "line 1, column 1: expected a value, found the end" },
        { "{'a' 1}", "line 1, column 6: expected ':' after a key, found '1'" },
        { "{\n  'a': 1,\n  'b': tru\n}", "line 3, column 8: expected a value, found 't'" },
        { "{'a':1 'b'}", "line 1, column 8: expected ',' or '}' after a member, found '\"'" },
        { "[1 2]", "line 1, column 4: expected ',' or ']' after an element, found '2'" },
        { "{1:2}", "line 1, column 2: expected a key in quotes or '}', found '1'" },
        { "{'a':1,}", "line 1, column 8: expected a key in quotes, found '}'" },
        { "[1] x", "line 1, column 5: expected nothing after the value, found 'x'" },
        { "['\xC3\xA9', \x01]", "line 1, column 7: expected a value, found byte 0x01" },
        { "'ab", "line 1, column 4: expected '\"' at the end of a string, found the end" },
        { "'\\q'", "line 1, column 3: expected one of \"\\/bfnrtu after a backslash, found 'q'" },
        { "'\\ud800x'", "line 1, column 2: expected a low surrogate after a high one, found '\\'" },
        { "'a\tb'", "line 1, column 3: expected control characters to be escaped, found byte 0x09" },
        { "-", "line 1, column 2: expected a digit, found the end" },
        { "1.", "line 1, column 3: expected a digit after the decimal point, found the end" },
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        AUTO(arena) arena = arena_new(0);
        struct json *json = NULL;
        struct err err = { 0 };

        assert_int_equal(json_parse(arena, quotes(arena, cases[i].text), NULL, &json, &err), -ERR_BAD_REQUEST);
        assert_null(json);
        if (!strstr(err.message, cases[i].want))
            fail_msg("%s: got \"%s\"", cases[i].text, err.message);
    }
}

static void test_duplicates(void **state)
{
    static const struct {
        const char *text, *paths, *want;
    } cases[] = {
        { "{'a':1,'b':2}", "", "{'a':1,'b':2}" },
        { "{'a':1,'b':2,'a':3}", "a", "{'a':3,'b':2}" },
        { "{'spec':{'containers':[{'image':'x','name':'y','image':'z'}]}}", "spec.containers[0].image",
          "{'spec':{'containers':[{'image':'z','name':'y'}]}}" },
        { "{'a':{'x':1},'a':{'y':2},'a':[]}", "a a", "{'a':[]}" },
        { "[[],{'k':[0,{'q':1,'q':2}]}]", "[1].k[1].q", "[[],{'k':[0,{'q':2}]}]" },
        { "{'a':1,'\\u0061':2}", "a", "{'a':2}" },
        { "{'':1,'':2}", "", "{'':2}" },
        { "{'x':{'d':1,'d':2},'x':3}", "x.d x", "{'x':3}" },
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        AUTO(arena) arena = arena_new(0);
        AUTO_DEINIT(buf, paths) = BUF_INIT;
        struct json_duplicates duplicates = { 0 };
        struct json_options options = { .duplicates = &duplicates };
        struct json *json;

        assert_int_equal(json_parse(arena, quotes(arena, cases[i].text), &options, &json, NULL), 0);
        for (size_t j = 0; j < duplicates.count; j++) {
            if (j)
                buf_add_char(&paths, ' ');
            buf_add_str(&paths, duplicates.paths[j]);
        }
        assert_str(buf_str(&paths), cases[i].paths);
        assert_json(arena, json, cases[i].want);
    }
}

static void test_duplicates_are_capped(void **state)
{
    AUTO(arena) arena = arena_new(0);
    AUTO_DEINIT(buf, buf) = BUF_INIT;
    struct json_duplicates few = { .limit = 3 }, standard = { 0 };
    struct json *json;

    buf_add_char(&buf, '{');
    for (int i = 0; i < 500; i++)
        buf_printf(&buf, "%s\"a\":%d", i ? "," : "", i);
    buf_add_char(&buf, '}');
    assert_int_equal(json_parse(arena, buf_str(&buf), &(struct json_options){ 0, &few }, &json, NULL), 0);
    assert_int_equal(few.count, 3);
    assert_int_equal(json_parse(arena, buf_str(&buf), &(struct json_options){ 0, &standard }, &json, NULL), 0);
    assert_int_equal(standard.count, JSON_DUPLICATES_MAX);
    assert_int_equal(json->count, 1);
    assert_int_equal(json_int(json_member(json, "a"), -1), 499);
}

/* A long key above a deep duplicate must not make paths grow without bound. */
static void test_duplicate_path_is_cut(void **state)
{
    AUTO(arena) arena = arena_new(0);
    AUTO_DEINIT(buf, buf) = BUF_INIT;
    struct json_duplicates duplicates = { 0 };
    struct json *json;

    buf_add_cstr(&buf, "{\"");
    for (int i = 0; i < 3000; i++)
        buf_add_cstr(&buf, "\xE2\x82\xAC");
    buf_add_cstr(&buf, "\":{\"a\":1,\"a\":2}}");
    assert_int_equal(json_parse(arena, buf_str(&buf), &(struct json_options){ 0, &duplicates }, &json, NULL), 0);
    assert_int_equal(duplicates.count, 1);
    assert_true(duplicates.paths[0].len <= 1024);
    assert_true(str_is_utf8(duplicates.paths[0]));
}

/* Objects of a size around where the index begins, and large ones, against what a plain list says. */
static void test_many_members(void **state)
{
    static const int sizes[] = { 1, 22, 23, 24, 25, 26, 40, 100, 1000, 20000 };

    for (size_t s = 0; s < ARRAY_LEN(sizes); s++) {
        AUTO(arena) arena = arena_new(0);
        AUTO_DEINIT(buf, buf) = BUF_INIT;
        struct json_duplicates duplicates = { 0 };
        struct json *json;
        char key[32];

        for (int i = 0; i < sizes[s]; i++)
            buf_printf(&buf, "%c\"key-%d\":%d", i ? ',' : '{', i, i);
        buf_add_cstr(&buf, ",\"key-0\":-5}");
        assert_int_equal(json_parse(arena, buf_str(&buf), &(struct json_options){ 0, &duplicates }, &json, NULL), 0);
        assert_int_equal(duplicates.count, 1);
        assert_int_equal(json->count, sizes[s]);
        for (int i = 0; i < sizes[s]; i++) {
            snprintf(key, sizeof key, "key-%d", i);
            assert_int_equal(json_int(json_get(json, str_from(key)), -1), i ? i : -5);
        }
        assert_null(json_member(json, "key-"));
        assert_true(json_equal(json, json_copy(arena, json)));
    }
}

#define MODEL_KEYS 200

/* Random sets and removals, checked against a model in which everything is linear. */
static void test_set_and_remove(void **state)
{
    AUTO(arena) arena = arena_new(0);
    struct json *object = json_new(arena, JSON_OBJECT);
    int order[MODEL_KEYS], values[MODEL_KEYS], count = 0;
    char names[MODEL_KEYS][16];
    unsigned random = 12345;

    for (int i = 0; i < MODEL_KEYS; i++)
        snprintf(names[i], sizeof names[i], "k%d", i);
    for (int step = 0; step < 20000; step++) {
        random = random * 1103515245u + 12345u;
        int k = (int)(random >> 16) % MODEL_KEYS, at = 0;
        bool grow = (step / 1000) % 2 == 0 ? random >> 8 & 3 : !(random >> 8 & 3);

        while (at < count && order[at] != k)
            at++;
        if (grow) {
            assert_non_null(json_set_int(arena, object, str_from(names[k]), step));
            if (at == count)
                order[count++] = k;
            values[k] = step;
        } else {
            assert_int_equal(json_remove(object, str_from(names[k])), at < count);
            if (at < count)
                memmove(order + at, order + at + 1, (size_t)(--count - at) * sizeof *order);
        }
        assert_int_equal(object->count, count);
        if (step % 50)
            continue;
        for (int i = 0; i < count; i++) {
            assert_str(object->members[i].key, names[order[i]]);
            assert_int_equal(json_int(json_get(object, str_from(names[order[i]])), -1), values[order[i]]);
        }
    }
}

static void test_build(void **state)
{
    AUTO(arena) arena = arena_new(0);
    struct json *root = json_new(arena, JSON_OBJECT), *list, *place;

    assert_non_null(json_set_str(arena, root, STR("kind"), STR("Pod")));
    assert_non_null(json_set_bool(arena, root, STR("ready"), true));
    assert_non_null(json_set_int(arena, root, STR("n"), INT64_MIN));
    assert_non_null(json_set(arena, root, STR("null"), json_new(arena, JSON_NULL)));
    list = json_ensure(arena, root, STR("list"), JSON_ARRAY);
    assert_non_null(json_append(arena, list, json_new_int(arena, 2)));
    assert_non_null(json_insert(arena, list, 0, json_new_int(arena, 1)));
    assert_non_null(json_insert(arena, list, 2, json_new_str(arena, STR("3"))));
    assert_null(json_insert(arena, list, 4, json_new_bool(arena, true)));
    assert_ptr_equal(json_ensure(arena, root, STR("list"), JSON_ARRAY), list);
    assert_null(json_ensure(arena, root, STR("list"), JSON_OBJECT));
    place = json_ensure(arena, root, STR("null"), JSON_OBJECT);
    assert_non_null(json_set(arena, place, STR("e"), json_new(arena, JSON_STRING)));
    assert_non_null(json_set(arena, place, STR("z"), json_new(arena, JSON_NUMBER)));
    assert_json(arena, root,
                "{'kind':'Pod','ready':true,'n':-9223372036854775808,'null':{'e':'','z':0},'list':[1,2,'3']}");
    json_remove_at(list = json_member(root, "list"), 1);
    json_remove_at(list, 7);
    assert_true(json_remove(root, STR("n")));
    assert_false(json_remove(root, STR("n")));
    assert_false(json_remove(list, STR("n")));
    assert_json(arena, root, "{'kind':'Pod','ready':true,'null':{'e':'','z':0},'list':[1,'3']}");
    assert_null(json_set(arena, list, STR("x"), root));
    assert_null(json_set(arena, root, STR("x"), NULL));
    assert_null(json_append(arena, root, list));
}

static void test_equal(void **state)
{
    static const struct {
        const char *a, *b;
        bool equal;
    } cases[] = {
        { "1", "1.0", true },
        { "1", "1.00e0", true },
        { "1000", "1e3", true },
        { "1000", "10E+2", true },
        { "0.001", "1e-3", true },
        { "123.456", "12345.6e-2", true },
        { "0", "-0", true },
        { "0", "0.000e99", true },
        { "-1", "1", false },
        { "-1.0", "1.0", false },
        { "1", "1.0000000000000000000000000000001", false },
        { "100000000000000000000", "1e20", true },
        { "100000000000000000001", "1e20", false },
        { "9007199254740993", "9007199254740992", false },
        { "9007199254740993.0", "9007199254740992", false },
        { "1e99999999999999999999", "1e99999999999999999999", true },
        { "1e99999999999999999999", "1", false },
        { "10.5", "1.05", false },
        { "105", "1.05e2", true },
        { "0.5", "5", false },
        { "0.05e1", "0.5", true },
        { "'a'", "'\\u0061'", true },
        { "'a'", "'b'", false },
        { "null", "null", true },
        { "null", "false", false },
        { "true", "false", false },
        { "[1,2]", "[1,2]", true },
        { "[1,2]", "[2,1]", false },
        { "[1,2]", "[1]", false },
        { "{'a':1,'b':[{}]}", "{'b':[{}],'a':1}", true },
        { "{'a':1,'b':2}", "{'a':1,'c':2}", false },
        { "{'a':1}", "{'a':1,'c':2}", false },
        { "{}", "[]", false },
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        AUTO(arena) arena = arena_new(0);
        struct json *a = parse(arena, quotes(arena, cases[i].a)), *b = parse(arena, quotes(arena, cases[i].b));

        if (json_equal(a, b) != cases[i].equal || json_equal(b, a) != cases[i].equal)
            fail_msg("%s and %s", cases[i].a, cases[i].b);
    }
    assert_true(json_equal(NULL, NULL));
    assert_false(json_equal(NULL, &(struct json){ 0 }));
}

static const char busy[] =
    "{\"a\":[1,2.5,\"x\\ny\",{\"b\":null,\"c\":[[],{}]}],\"d\":\"text\",\"d\":{\"e\":1,\"e\":2}}";

/* Whatever the arena's limit, the parser, the copy and changes end in success or in a clean error. */
static void test_every_allocation_fails_once(void **state)
{
    AUTO_DEINIT(buf, wide) = BUF_INIT;
    size_t limit = 1;
    bool done = false;

    for (int i = 0; i < 60; i++)
        buf_printf(&wide, "%c\"k%d\":%s", i ? ',' : '{', i, busy);
    buf_add_char(&wide, '}');
    for (; !done; limit += 97) {
        AUTO(arena) arena = arena_new(limit);
        struct json_duplicates duplicates = { 0 };
        struct json_options options = { .duplicates = &duplicates };
        struct json *json = NULL, *copy;
        struct err err = { 0 };
        int r = json_parse(arena, buf_str(&wide), &options, &json, &err);

        assert_true(r == 0 ? json != NULL : json == NULL);
        assert_true(r == 0 || r == -ERR_TOO_LARGE);
        if (r < 0)
            continue;
        copy = json_copy(arena, json);
        if (copy && json_set_int(arena, copy, STR("new"), 5) && json_ensure(arena, copy, STR("x"), JSON_ARRAY))
            done = json_text(arena, copy).data != NULL;
        else
            assert_true(arena_failed(arena));
    }
}

/* A text far too large for the arena is given up long before its end takes memory. */
static void test_limit_holds_for_scratch(void **state)
{
    AUTO(arena) arena = arena_new(64 << 10);
    AUTO_DEINIT(buf, buf) = BUF_INIT;
    struct json *json = NULL;
    struct err err = { 0 };

    buf_add_char(&buf, '[');
    for (int i = 0; i < 1000000; i++)
        buf_add_cstr(&buf, "0,");
    buf_add_cstr(&buf, "x]");
    assert_int_equal(json_parse(arena, buf_str(&buf), NULL, &json, &err), -ERR_TOO_LARGE);
    assert_null(json);
}

static void test_write_strings(void **state)
{
    static const struct {
        struct str s;
        const char *want;
    } cases[] = {
        { STR_INIT(""), "\"\"" },
        { STR_INIT("a"), "\"a\"" },
        { STR_INIT("abc"), "\"abc\"" },
        { STR_INIT("abcd"), "\"abcd\"" },
        { STR_INIT("abcdefg"), "\"abcdefg\"" },
        { STR_INIT("abcdefgh"), "\"abcdefgh\"" },
        { STR_INIT("abcdefghijk"), "\"abcdefghijk\"" },
        { STR_INIT("abcdefghijklmnopqrstuvwxyz0123456789"), "\"abcdefghijklmnopqrstuvwxyz0123456789\"" },
        { STR_INIT("\"\\/"), "\"\\\"\\\\/\"" },
        { STR_INIT("\b\f\n\r\t"), "\"\\b\\f\\n\\r\\t\"" },
        { STR_INIT("\0\x01\x1f\x7f"), "\"\\u0000\\u0001\\u001f\x7f\"" },
        { STR_INIT("<a> & b"), "\"<a> & b\"" },
        { STR_INIT("\xE2\x80\xA7\xE2\x80\xA8\xE2\x80\xA9\xE2\x80\xAA"), "\"\xE2\x80\xA7\\u2028\\u2029\xE2\x80\xAA\"" },
        { STR_INIT("h\xC3\xA9llo w\xC3\xB6rld, \xF0\x9F\x98\x80"), "\"h\xC3\xA9llo w\xC3\xB6rld, \xF0\x9F\x98\x80\"" },
        { STR_INIT("bad \xFF byte"), "\"bad \xEF\xBF\xBD byte\"" },
        { STR_INIT("cut \xE2\x82"), "\"cut \xEF\xBF\xBD\xEF\xBF\xBD\"" },
        { STR_INIT("surrogate \xED\xA0\x80"), "\"surrogate \xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\"" },
        { STR_INIT("0123456789abcdef\n0123456789abcdef"), "\"0123456789abcdef\\n0123456789abcdef\"" },
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        AUTO_DEINIT(buf, buf) = BUF_INIT;

        json_write_str(&buf, cases[i].s);
        assert_str(buf_str(&buf), cases[i].want);
    }
    AUTO_DEINIT(buf, unset) = BUF_INIT;

    json_write_str(&unset, STR_NULL);
    assert_str(buf_str(&unset), "\"\"");
}

/* Every byte at every place of short strings survives writing and parsing, or becomes U+FFFD. */
static void test_write_each_byte(void **state)
{
    char text[24];

    for (size_t len = 1; len < sizeof text; len++)
        for (size_t at = 0; at < len; at++)
            for (int byte = 0; byte < 256; byte++) {
                AUTO(arena) arena = arena_new(0);
                AUTO_DEINIT(buf, buf) = BUF_INIT;

                memset(text, 'x', len);
                text[at] = (char)byte;
                json_write_str(&buf, str_of(text, len));
                struct str back = json_str(parse(arena, buf_str(&buf)));

                if (byte < 128)
                    assert_true(str_eq(back, str_of(text, len)));
                else
                    assert_int_equal(back.len, len + 2);
            }
}

static void test_write_pretty(void **state)
{
    AUTO(arena) arena = arena_new(0);
    AUTO_DEINIT(buf, buf) = BUF_INIT;

    json_write_pretty(&buf, parse(arena, quotes(arena, "{'a':[1,{'b':[]}],'c':{}}")), 2);
    assert_str(buf_str(&buf), "{\n  \"a\": [\n    1,\n    {\n      \"b\": []\n    }\n  ],\n  \"c\": {}\n}");
    buf_clear(&buf);
    json_write(&buf, NULL);
    assert_str(buf_str(&buf), "null");
}

static void test_write_limit(void **state)
{
    AUTO(arena) arena = arena_new(0);
    struct json *json = parse(arena, str_from(busy));
    size_t full = json_text(arena, json).len;

    for (size_t limit = 1; limit <= full; limit++) {
        AUTO_DEINIT(buf, buf) = BUF_INIT;

        buf.limit = limit;
        json_write(&buf, json);
        assert_int_equal(buf_ok(&buf), limit == full);
        assert_true(buf.len <= limit);
    }
}

static void test_stream_writer(void **state)
{
    AUTO_DEINIT(buf, buf) = BUF_INIT;
    AUTO(arena) arena = arena_new(0);
    struct json_writer w = json_writer(&buf);

    jw_begin_object(&w);
    jw_field_str(&w, "kind", STR("List"));
    jw_key(&w, STR("items"));
    jw_begin_array(&w);
    for (int i = 0; i < 2; i++) {
        jw_begin_object(&w);
        jw_field_int(&w, "i", i);
        jw_field_bool(&w, "b", i == 1);
        jw_end_object(&w);
    }
    jw_begin_array(&w);
    jw_end_array(&w);
    jw_null(&w);
    jw_raw(&w, STR("{}"));
    jw_json(&w, parse(arena, STR("[1]")));
    jw_end_array(&w);
    jw_field_int(&w, "n", -1);
    jw_end_object(&w);
    assert_str(buf_str(&buf),
               quotes(arena, "{'kind':'List','items':[{'i':0,'b':false},{'i':1,'b':true},[],null,{},[1]],"
                             "'n':-1}")
                   .data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_read),
        cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_strings),
        cmocka_unit_test(test_slices),
        cmocka_unit_test(test_errors),
        cmocka_unit_test(test_duplicates),
        cmocka_unit_test(test_duplicates_are_capped),
        cmocka_unit_test(test_duplicate_path_is_cut),
        cmocka_unit_test(test_many_members),
        cmocka_unit_test(test_set_and_remove),
        cmocka_unit_test(test_build),
        cmocka_unit_test(test_equal),
        cmocka_unit_test(test_every_allocation_fails_once),
        cmocka_unit_test(test_limit_holds_for_scratch),
        cmocka_unit_test(test_write_strings),
        cmocka_unit_test(test_write_each_byte),
        cmocka_unit_test(test_write_pretty),
        cmocka_unit_test(test_write_limit),
        cmocka_unit_test(test_stream_writer),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
