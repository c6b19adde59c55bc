/* The kind of vectors that the public JSON test suite has: texts that every parser must accept (y), texts that it must
 * refuse (n), and those where the standard leaves the choice (i), with ours written down. */
#include "unit.h"

#include "codec/json.h"

#define DEEP 400

struct vector {
    const char *name;
    struct str text;
};

#define V(name, text)        \
    {                        \
        name, STR_INIT(text) \
    }

static const struct vector accepted[] = {
    V("array of arrays with spaces", "[[]   ]"),
    V("array empty string", "[\"\"]"),
    V("array empty", "[]"),
    V("array ending with newline", "[\"a\"]\n"),
    V("array false", "[false]"),
    V("array heterogeneous", "[null, 1, \"1\", {}]"),
    V("array null", "[null]"),
    V("array with one and newline", "[1\n]"),
    V("array with leading space", " [1]"),
    V("array with several nulls", "[1,null,null,null,2]"),
    V("array with trailing space", "[2] "),
    V("number with exponent", "[123e65]"),
    V("number 0e+1", "[0e+1]"),
    V("number 0e1", "[0e1]"),
    V("number after space", "[ 4]"),
    V("number close to zero", "[-0.000000000000000000000000000000000000000000000000000000000000000000000000000001]\n"),
    V("number int with exponent", "[20e1]"),
    V("number minus zero", "[-0]"),
    V("number negative int", "[-123]"),
    V("number negative one", "[-1]"),
    V("number negative zero", "[-0.0]"),
    V("number capital E", "[1E22]"),
    V("number capital E negative", "[1E-2]"),
    V("number capital E positive", "[1E+2]"),
    V("number real exponent", "[123.456e78]"),
    V("number real fraction exponent", "[123.456e-78]"),
    V("number real negative exponent", "[1e-2]"),
    V("number real positive exponent", "[1e+2]"),
    V("number simple int", "[123]"),
    V("number simple real", "[123.456789]"),
    V("number int64 max", "[9223372036854775807]"),
    V("number uint64 max", "[18446744073709551615]"),
    V("number of forty digits", "[1234567890123456789012345678901234567890]"),
    V("object", "{\"asd\":\"sdf\", \"dfg\":\"fgh\"}"),
    V("object basic", "{\"asd\":\"sdf\"}"),
    V("object duplicated key", "{\"a\":\"b\",\"a\":\"c\"}"),
    V("object duplicated key and value", "{\"a\":\"b\",\"a\":\"b\"}"),
    V("object empty", "{}"),
    V("object empty key", "{\"\":0}"),
    V("object escaped null in key", "{\"foo\\u0000bar\": 42}"),
    V("object extreme numbers", "{ \"min\": -1.0e+28, \"max\": 1.0e+28 }"),
    V("object long strings", "{\"x\":[{\"id\": \"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\"}], "
                             "\"id\": \"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\"}"),
    V("object simple", "{\"a\":[]}"),
    V("object string unicode", "{\"title\":\"\\u041f\\u043e\\u043b\\u0442\\u043e\\u0440\\u0430\" }"),
    V("object with newlines", "{\n\"a\": \"b\"\n}"),
    V("string 1 2 3 bytes UTF-8 by escapes", "[\"\\u0060\\u012a\\u12AB\"]"),
    V("string accepted surrogate pair", "[\"\\uD801\\udc37\"]"),
    V("string accepted surrogate pairs", "[\"\\ud83d\\ude39\\ud83d\\udc8d\"]"),
    V("string allowed escapes", "[\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"]"),
    V("string backslash and u escaped zero", "[\"\\\\u0000\"]"),
    V("string backslash doublequotes", "[\"\\\"\"]"),
    V("string comments", "[\"a/*b*/c/*d//e\"]"),
    V("string double escape a", "[\"\\\\a\"]"),
    V("string double escape n", "[\"\\\\n\"]"),
    V("string escaped control character", "[\"\\u0012\"]"),
    V("string escaped noncharacter", "[\"\\uFFFF\"]"),
    V("string in array", "[\"asd\"]"),
    V("string in array with leading space", "[ \"asd\"]"),
    V("string last surrogates", "[\"\\uDBFF\\uDFFF\"]"),
    V("string nbsp uescaped", "[\"new\\u00A0line\"]"),
    V("string noncharacter U+10FFFF", "[\"\xF4\x8F\xBF\xBF\"]"),
    V("string noncharacter U+FFFF", "[\"\xEF\xBF\xBF\"]"),
    V("string null escape", "[\"\\u0000\"]"),
    V("string one-byte UTF-8", "[\"\\u002c\"]"),
    V("string pi", "[\"\xCF\x80\"]"),
    V("string reserved character U+1BFFF", "[\"\xF0\x9B\xBF\xBF\"]"),
    V("string simple ascii", "[\"asd \"]"),
    V("string space", "\" \""),
    V("string surrogates clef", "[\"\\uD834\\uDd1e\"]"),
    V("string three-byte UTF-8", "[\"\\u0821\"]"),
    V("string two-byte UTF-8", "[\"\\u0123\"]"),
    V("string U+2028 raw", "[\"\xE2\x80\xA8\"]"),
    V("string U+2029 raw", "[\"\xE2\x80\xA9\"]"),
    V("string unescaped delete", "[\"a\x7F"
                                 "a\"]"),
    V("string uescape newline", "[\"new\\u000Aline\"]"),
    V("string unicode two", "[\"\xE2\x8D\x82\xE3\x88\xB4\xE2\x8D\x82\"]"),
    V("string unicode U+10FFFE", "[\"\\uDBFF\\uDFFE\"]"),
    V("string unicode U+1FFFE", "[\"\\uD83F\\uDFFE\"]"),
    V("string unicode U+200B", "[\"\\u200B\"]"),
    V("string unicode U+2064", "[\"\\u2064\"]"),
    V("string unicode U+FDD0", "[\"\\uFDD0\"]"),
    V("string unicode U+FFFE", "[\"\\uFFFE\"]"),
    V("string escaped double quote", "[\"\\u0022\"]"),
    V("string UTF-8", "[\"\xE2\x82\xAC\xF0\x9D\x84\x9E\"]"),
    V("string with del character", "[\"a\x7F"
                                   "a\"]"),
    V("string escaped surrogates in lower case", "[\"\\ud800\\udc00\"]"),
    V("string sixteen plain bytes", "[\"0123456789abcdef\"]"),
    V("string special at byte sixteen", "[\"0123456789abcdef\\n\"]"),
    V("string two-byte across block", "[\"0123456789abcde\xC3\xA9\"]"),
    V("structure lonely false", "false"),
    V("structure lonely int", "42"),
    V("structure lonely negative real", "-0.1"),
    V("structure lonely null", "null"),
    V("structure lonely string", "\"asd\""),
    V("structure lonely true", "true"),
    V("structure string empty", "\"\""),
    V("structure trailing newline", "[\"a\"]\n"),
    V("structure true in array", "[true]"),
    V("structure whitespace array", " [] "),
    V("structure all whitespace", "\t\r\n [ \t\r\n1 \t\r\n, \t\r\n2 \t\r\n] \t\r\n"),
};

static const struct vector refused[] = {
    V("array 1 true without comma", "[1 true]"),
    V("array a invalid UTF-8", "[a\xE5]"),
    V("array colon instead of comma", "[\"\": 1]"),
    V("array comma after close", "[\"\"],"),
    V("array comma and number", "[,1]"),
    V("array double comma", "[1,,2]"),
    V("array double extra comma", "[\"x\",,]"),
    V("array extra close", "[\"x\"]]"),
    V("array extra comma", "[\"\",]"),
    V("array incomplete", "[\"x\""),
    V("array incomplete invalid value", "[x"),
    V("array inner array no comma", "[3[4]]"),
    V("array invalid UTF-8", "[\xFF]"),
    V("array items separated by semicolon", "[1:2]"),
    V("array just comma", "[,]"),
    V("array just minus", "[-]"),
    V("array missing value", "[   , \"\"]"),
    V("array newlines unclosed", "[\"a\",\n4\n,1,"),
    V("array number and comma", "[1,]"),
    V("array number and several commas", "[1,,]"),
    V("array spaces vertical tab formfeed", "[\"\x0B"
                                            "a\"\\f]"),
    V("array star inside", "[*]"),
    V("array unclosed", "[\"\""),
    V("array unclosed trailing comma", "[1,"),
    V("array unclosed with new lines", "[1,\n1\n,1"),
    V("array unclosed with object inside", "[{}"),
    V("incomplete false", "[fals]"),
    V("incomplete null", "[nul]"),
    V("incomplete true", "[tru]"),
    V("multidigit number then 00", "123\0"),
    V("number ++", "[++1234]"),
    V("number +1", "[+1]"),
    V("number +Inf", "[+Inf]"),
    V("number -01", "[-01]"),
    V("number -1.0.", "[-1.0.]"),
    V("number -2.", "[-2.]"),
    V("number -NaN", "[-NaN]"),
    V("number .-1", "[.-1]"),
    V("number .2e-3", "[.2e-3]"),
    V("number 0.1.2", "[0.1.2]"),
    V("number 0.3e+", "[0.3e+]"),
    V("number 0.3e", "[0.3e]"),
    V("number 0.e1", "[0.e1]"),
    V("number 0 capital E+", "[0E+]"),
    V("number 0 capital E", "[0E]"),
    V("number 0e+", "[0e+]"),
    V("number 0e", "[0e]"),
    V("number 1.0e+", "[1.0e+]"),
    V("number 1.0e-", "[1.0e-]"),
    V("number 1.0e", "[1.0e]"),
    V("number 1 000", "[1 000.0]"),
    V("number 1eE2", "[1eE2]"),
    V("number 2.e+3", "[2.e+3]"),
    V("number 2.e-3", "[2.e-3]"),
    V("number 2.e3", "[2.e3]"),
    V("number 9.e+", "[9.e+]"),
    V("number Inf", "[Inf]"),
    V("number NaN", "[NaN]"),
    V("number full-width digit one", "[\xEF\xBC\x91]"),
    V("number expression", "[1+2]"),
    V("number hex 1 digit", "[0x1]"),
    V("number hex 2 digits", "[0x42]"),
    V("number infinity", "[Infinity]"),
    V("number invalid+-", "[0e+-1]"),
    V("number invalid negative real", "[-123.123foo]"),
    V("number invalid UTF-8 in bigger int", "[123\xE5]"),
    V("number invalid UTF-8 in exponent", "[1e1\xE5]"),
    V("number invalid UTF-8 in int", "[0\xE5]\n"),
    V("number minus infinity", "[-Infinity]"),
    V("number minus sign with trailing garbage", "[-foo]"),
    V("number minus space 1", "[- 1]"),
    V("number neg int starting with zero", "[-012]"),
    V("number neg real without int part", "[-.123]"),
    V("number neg with garbage at end", "[-1x]"),
    V("number real garbage after e", "[1ea]"),
    V("number real with invalid UTF-8 after e", "[1e\xE5]"),
    V("number real without fractional part", "[1.]"),
    V("number starting with dot", "[.123]"),
    V("number with alpha", "[1.2a-3]"),
    V("number with alpha char", "[1.8011670033376514H-308]"),
    V("number with leading zero", "[012]"),
    V("object bad value", "[\"x\", truth]"),
    V("object bracket key", "{[: \"x\"}\n"),
    V("object comma instead of colon", "{\"x\", null}"),
    V("object double colon", "{\"x\"::\"b\"}"),
    V("object emoji", "{\xF0\x9F\x87\xA8\xF0\x9F\x87\xAD}"),
    V("object garbage at end", "{\"a\":\"a\" 123}"),
    V("object key with single quotes", "{key: 'value'}"),
    V("object lone continuation byte in key", "{\"\xB9\":\"0\",}"),
    V("object missing colon", "{\"a\" b}"),
    V("object missing key", "{:\"b\"}"),
    V("object missing semicolon", "{\"a\" \"b\"}"),
    V("object missing value", "{\"a\":"),
    V("object no colon", "{\"a\""),
    V("object non string key", "{1:1}"),
    V("object non string key but huge number instead", "{9999E9999:1}"),
    V("object repeated null null", "{null:null,null:null}"),
    V("object several trailing commas", "{\"id\":0,,,,,}"),
    V("object single quote", "{'a':0}"),
    V("object trailing comma", "{\"id\":0,}"),
    V("object trailing comment", "{\"a\":\"b\"}/**/"),
    V("object trailing comment open", "{\"a\":\"b\"}/**//"),
    V("object trailing comment slash open", "{\"a\":\"b\"}//"),
    V("object trailing comment slash open incomplete", "{\"a\":\"b\"}/"),
    V("object two commas in a row", "{\"a\":\"b\",,\"c\":\"d\"}"),
    V("object unquoted key", "{a: \"b\"}"),
    V("object unterminated value", "{\"a\":\"a"),
    V("object with single string", "{ \"foo\" : \"bar\", \"a\" }"),
    V("object with trailing garbage", "{\"a\":\"b\"}#"),
    V("single space", " "),
    V("string 1 surrogate then escape", "[\"\\uD800\\\"]"),
    V("string 1 surrogate then escape u", "[\"\\uD800\\u\"]"),
    V("string 1 surrogate then escape u1", "[\"\\uD800\\u1\"]"),
    V("string 1 surrogate then escape u1x", "[\"\\uD800\\u1x\"]"),
    V("string accentuated char no quotes", "[\xC3\xA9]"),
    V("string backslash 00", "[\"\\\0\"]"),
    V("string escape x", "[\"\\x00\"]"),
    V("string escaped backslash bad", "[\"\\\\\\\"]"),
    V("string escaped control tab", "[\"\\\t\"]"),
    V("string escaped emoji", "[\"\\\xF0\x9F\x8C\x80\"]"),
    V("string incomplete escape", "[\"\\\"]"),
    V("string incomplete escaped character", "[\"\\u00A\"]"),
    V("string incomplete surrogate", "[\"\\uD834\\uDd\"]"),
    V("string incomplete surrogate escape invalid", "[\"\\uD800\\uD800\\x\"]"),
    V("string invalid UTF-8 in escape", "[\"\\u\xE5\"]"),
    V("string invalid backslash escape", "[\"\\a\"]"),
    V("string invalid unicode escape", "[\"\\uqqqq\"]"),
    V("string invalid UTF-8 after escape", "[\"\\\xE5\"]"),
    V("string leading uescaped thinspace", "[\\u0020\"asd\"]"),
    V("string no quotes with bad escape", "[\\n]"),
    V("string single doublequote", "\""),
    V("string single quote", "['single quote']"),
    V("string single string no double quotes", "abc"),
    V("string start escape unclosed", "[\"\\"),
    V("string unescaped control character", "[\"a\0a\"]"),
    V("string unescaped newline", "[\"new\nline\"]"),
    V("string unescaped tab", "[\"\t\"]"),
    V("string unescaped control at block end", "[\"0123456789abcde\x1F\"]"),
    V("string unicode capital U", "\"\\UA66D\""),
    V("string with trailing garbage", "\"\"x"),
    V("structure U+2060 word joined", "[\xE2\x81\xA0]"),
    V("structure BOM no data", "\xEF\xBB\xBF"),
    V("structure angle bracket", "<.>"),
    V("structure angle bracket null", "[<null>]"),
    V("structure array trailing garbage", "[1]x"),
    V("structure array with extra array close", "[1]]"),
    V("structure array with unclosed string", "[\"asd]"),
    V("structure ascii unicode identifier", "a\xC3\xA5"),
    V("structure capitalized true", "[True]"),
    V("structure close unopened array", "1]"),
    V("structure comma instead of closing brace", "{\"x\": true,"),
    V("structure double array", "[][]"),
    V("structure end array", "]"),
    V("structure incomplete UTF-8 BOM", "\xEF\xBB{}"),
    V("structure lone invalid UTF-8", "\xE5"),
    V("structure lone open bracket", "["),
    V("structure no data", ""),
    V("structure null byte outside string", "[\0]"),
    V("structure number with trailing garbage", "2@"),
    V("structure object followed by closing object", "{}}"),
    V("structure object unclosed no value", "{\"\":"),
    V("structure object with comment", "{\"a\":/*comment*/\"b\"}"),
    V("structure object with trailing garbage", "{\"a\": true} \"x\""),
    V("structure open array apostrophe", "['"),
    V("structure open array comma", "[,"),
    V("structure open array open object", "[{"),
    V("structure open array open string", "[\"a"),
    V("structure open array string", "[\"a\""),
    V("structure open object", "{"),
    V("structure open object close array", "{]"),
    V("structure open object comma", "{,"),
    V("structure open object open array", "{["),
    V("structure open object open string", "{\"a"),
    V("structure open object string with apostrophes", "{'a'"),
    V("structure open open", "[\"\\{[\"\\{[\"\\{[\"\\{"),
    V("structure single eacute", "\xE9"),
    V("structure single star", "*"),
    V("structure trailing hash", "{\"a\":\"b\"}#{}"),
    V("structure uescaped LF before string", "[\\u000A\"\"]"),
    V("structure unclosed array", "[1"),
    V("structure unclosed array partial null", "[ false, nul"),
    V("structure unclosed array unfinished false", "[ true, fals"),
    V("structure unclosed array unfinished true", "[ false, tru"),
    V("structure unclosed object", "{\"asd\":\"asd\""),
    V("structure unicode identifier", "\xC3\xA5"),
    V("structure whitespace U+2060", "\xE2\x81\xA0"),
    V("structure whitespace formfeed", "[\x0C]"),
    V("structure no-break space", "[1,\xC2\xA0"
                                  "2]"),
    V("structure vertical tab", "[\x0B]"),
    V("structure closing brace for array", "[1}"),
    V("structure closing bracket for object", "{\"a\":1]"),
    V("structure two values", "1 2"),
    V("structure comma at top", "1,"),
};

/* Where the standard leaves the choice; ours is strict UTF-8 and numbers of any size. */
static const struct vector choice_accepted[] = {
    V("number double huge negative exponent", "[123.456e-789]"),
    V("number huge exponent",
      "[0.4e00669999999999999999999999999999999999999999999999999999999999999999999999999999999999969999999006]"),
    V("number negative int huge exponent", "[-1e+9999]"),
    V("number positive int huge exponent", "[1.5e+9999]"),
    V("number real underflow", "[123e-10000000]"),
    V("number too big negative int", "[-123123123123123123123123123123]"),
    V("number very big negative int", "[-237462374673276894279832749832423479823246327846]"),
};

static const struct vector choice_refused[] = {
    V("object key lone second surrogate", "{\"\\uDFAA\":0}"),
    V("string first surrogate but second missing", "[\"\\uDADA\"]"),
    V("string first valid surrogate second invalid", "[\"\\uD888\\u1234\"]"),
    V("string UTF-16LE with BOM", "\xFF\xFE[\0\"\0\xE9\0\"\0]\0"),
    V("string UTF-8 invalid sequence", "[\"\xE6\x97\xA5\xD1\x88\xFA\"]"),
    V("string UTF-8 surrogate U+D800", "[\"\xED\xA0\x80\"]"),
    V("string incomplete surrogate and escape valid", "[\"\\uD800\\n\"]"),
    V("string incomplete surrogate pair", "[\"\\uDd1ea\"]"),
    V("string incomplete surrogates escape valid", "[\"\\uD800\\uD800\\n\"]"),
    V("string invalid lonely surrogate", "[\"\\ud800\"]"),
    V("string invalid surrogate", "[\"\\ud800abc\"]"),
    V("string invalid UTF-8", "[\"\xFF\"]"),
    V("string inverted surrogates", "[\"\\uDd1e\\uD834\"]"),
    V("string iso latin 1", "[\"\xE9\"]"),
    V("string lone second surrogate", "[\"\\uDFAA\"]"),
    V("string lone continuation byte", "[\"\x81\"]"),
    V("string not in unicode range", "[\"\xF4\xBF\xBF\xBF\"]"),
    V("string overlong sequence 2 bytes", "[\"\xC0\xAF\"]"),
    V("string overlong sequence 6 bytes", "[\"\xFC\x83\xBF\xBF\xBF\xBF\"]"),
    V("string overlong sequence 6 bytes null", "[\"\xFC\x80\x80\x80\x80\x80\"]"),
    V("string overlong 3 bytes", "[\"\xE0\x9F\xBF\"]"),
    V("string overlong 4 bytes", "[\"\xF0\x8F\xBF\xBF\"]"),
    V("string truncated UTF-8", "[\"\xE0\xFF\"]"),
    V("string truncated UTF-8 at end", "[\"\xE2\x82"),
    V("string truncated UTF-8 with escape", "[\"\\n\xE2\x82\"]"),
    V("string UTF-16BE no BOM", "\0[\0\"\0\xE9\0\"\0]"),
    V("string UTF-16LE no BOM", "[\0\"\0\xE9\0\"\0]\0"),
    V("structure UTF-8 BOM empty object", "\xEF\xBB\xBF{}"),
};

static int parse_exactly(struct str text)
{
    AUTO(arena) arena = arena_new(0);
    /* Memory of exactly that size, so that the sanitizer sees a read beyond the text. */
    AUTO_FREE char *copy = malloc(MAX(text.len, 1));
    struct json *json = NULL;
    struct err err = { 0 };

    assert_non_null(arena);
    assert_non_null(copy);
    memcpy(copy, text.data, text.len);
    int r = json_parse(arena, str_of(copy, text.len), NULL, &json, &err);

    if (r == 0) {
        assert_non_null(json);
    } else {
        assert_null(json);
        assert_int_equal(r, -ERR_BAD_REQUEST);
        assert_int_equal(err.code, ERR_BAD_REQUEST);
        assert_non_null(strstr(err.message, "expected"));
    }
    return r;
}

static void expect(const struct vector *vectors, size_t count, bool accept)
{
    for (size_t i = 0; i < count; i++)
        if ((parse_exactly(vectors[i].text) == 0) != accept)
            fail_msg("%s: %s", vectors[i].name, accept ? "must be accepted" : "must be refused");
}

static void test_accepted(void **state)
{
    expect(accepted, ARRAY_LEN(accepted), true);
    expect(choice_accepted, ARRAY_LEN(choice_accepted), true);
}

static void test_refused(void **state)
{
    expect(refused, ARRAY_LEN(refused), false);
    expect(choice_refused, ARRAY_LEN(choice_refused), false);
}

/* What is accepted must mean the same after it was written. */
static void test_accepted_round_trip(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(accepted); i++) {
        AUTO(arena) arena = arena_new(0);
        struct json *json = parse(arena, accepted[i].text), *again;
        AUTO_DEINIT(buf, pretty) = BUF_INIT;

        again = parse(arena, json_text(arena, json));
        assert_true(json_equal(json, again));
        json_write_pretty(&pretty, json, 2);
        again = parse(arena, buf_str(&pretty));
        assert_true(json_equal(json, again));
        assert_true(json_equal(json, json_copy(arena, json)));
    }
}

/* No prefix of a document is one, and none makes the parser read beyond it. */
static void test_prefixes(void **state)
{
    struct str text = STR("{\"a\":[1,-2.5e+3,true,false,null,\"x\\u00e9\\ud83d\\ude39\xC3\xA9\",{}],"
                          "\"b\":{\"c\":\"\"}}");

    for (size_t len = 0; len < text.len; len++)
        assert_true(parse_exactly(str_first(text, len)) < 0);
    assert_int_equal(parse_exactly(text), 0);
}

/* Each special byte at each place of strings around the block size. */
static void test_special_bytes_everywhere(void **state)
{
    static const struct {
        char byte;
        bool accept;
    } bytes[] = { { 'a', true },         { 0x7F, true },        { 0x1F, false }, { 0, false },
                  { (char)0x80, false }, { (char)0xFF, false }, { '\n', false }, { ' ', true } };
    char text[64];

    for (size_t len = 1; len < 40; len++)
        for (size_t at = 0; at < len; at++)
            for (size_t i = 0; i < ARRAY_LEN(bytes); i++) {
                memset(text, 'x', len + 2);
                text[0] = text[len + 1] = '"';
                text[at + 1] = bytes[i].byte;
                assert_int_equal(parse_exactly(str_of(text, len + 2)) == 0, bytes[i].accept);
            }
}

static void nest(struct buf *buf, int levels, bool objects, bool close)
{
    for (int i = 0; i < levels; i++)
        buf_add_cstr(buf, objects ? "{\"a\":" : "[");
    if (close)
        buf_add_cstr(buf, "1");
    for (int i = 0; close && i < levels; i++)
        buf_add_char(buf, objects ? '}' : ']');
}

static void test_depth(void **state)
{
    static const struct {
        int levels;
        uint32_t max_depth;
        bool close, accept;
    } cases[] = {
        { DEEP, 0, true, true },     { JSON_MAX_DEPTH, 0, true, true },   { JSON_MAX_DEPTH + 1, 0, true, false },
        { 100000, 0, false, false }, { 100000, 0, true, false },          { 3, 3, true, true },
        { 4, 3, true, false },       { 100000, UINT32_MAX, true, false }, { 1024, 6000, true, true },
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        for (int objects = 0; objects < 2; objects++) {
            AUTO(arena) arena = arena_new(0);
            AUTO_DEINIT(buf, buf) = BUF_INIT;
            struct json_options options = { .max_depth = cases[i].max_depth };
            struct json *json;

            nest(&buf, cases[i].levels, objects, cases[i].close);
            assert_int_equal(json_parse(arena, buf_str(&buf), &options, &json, NULL) == 0, cases[i].accept);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_accepted),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_accepted_round_trip),
        cmocka_unit_test(test_prefixes),
        cmocka_unit_test(test_special_bytes_everywhere),
        cmocka_unit_test(test_depth),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
