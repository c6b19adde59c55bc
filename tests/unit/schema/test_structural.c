/* Structural schemas: what becomes of values, which values fit, and which schemas are refused. */
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "schema/object.h"
#include "schema/structural.h"

static struct json *parse(struct arena *arena, const char *text)
{
    char *copy = arena_cstr(arena, str_from(text));
    struct json *json = NULL;
    struct err err = { 0 };

    for (char *p = copy; *p; p++)
        *p = *p == '\'' ? '"' : *p;
    if (json_parse(arena, str_from(copy), NULL, &json, &err) < 0)
        fail_msg("%s: %s", copy, err.message);
    return json;
}

#define SPEC(properties) "{'type':'object','properties':{'s':{'type':'object','properties':{" properties "}}}}"
#define OPEN "'x-kubernetes-preserve-unknown-fields':true"

static const struct shaping {
    const char *name, *schema, *in, *want, *unknown;
} shapings[] = {
    { "unknown members go", SPEC("'a':{'type':'string'}"), "{'s':{'a':'x','b':1},'t':2}", "{'s':{'a':'x'}}",
      "['s.b','t']" },
    { "members are sorted", SPEC("'b':{'type':'string'},'a':{'type':'string'}"), "{'s':{'b':'1','a':'2'}}",
      "{'s':{'a':'2','b':'1'}}", "[]" },
    { "an open object keeps them", SPEC("'a':{'type':'object'," OPEN "}"), "{'s':{'a':{'z':[{'y':null}]}}}",
      "{'s':{'a':{'z':[{'y':null}]}}}", "[]" },
    { "but what it knows is pruned", SPEC("'a':{'type':'object'," OPEN ",'properties':{'k':{'type':'object'}}}"),
      "{'s':{'a':{'k':{'x':1},'z':1}}}", "{'s':{'a':{'k':{},'z':1}}}", "['s.a.k.x']" },
    { "an untyped open value is anything", SPEC("'a':{" OPEN "}"), "{'s':{'a':[1,'x',{'y':2}]}}",
      "{'s':{'a':[1,'x',{'y':2}]}}", "[]" },
    { "maps",
      SPEC("'m':{'type':'object','additionalProperties':{'type':'object','properties':{'a':{'type':'string'}}}}"),
      "{'s':{'m':{'k':{'a':'x','b':1}}}}", "{'s':{'m':{'k':{'a':'x'}}}}", "['s.m.k.b']" },
    { "lists", SPEC("'l':{'type':'array','items':{'type':'object','properties':{'a':{'type':'string'}}}}"),
      "{'s':{'l':[{'a':'x','b':1},3]}}", "{'s':{'l':[{'a':'x'},3]}}", "['s.l[0].b']" },
    { "defaults", SPEC("'a':{'type':'integer','default':3},'b':{'type':'boolean','default':false}"), "{'s':{'a':4}}",
      "{'s':{'a':4,'b':false}}", "[]" },
    { "defaults within defaults",
      "{'type':'object','properties':{'s':{'type':'object','default':{},'properties':{'a':{'type':'string','default':"
      "'x'}}}}}",
      "{}", "{'s':{'a':'x'}}", "[]" },
    { "no parent, no default", SPEC("'a':{'type':'integer','default':3}"), "{}", "{}", "[]" },
    { "defaults in lists",
      SPEC("'l':{'type':'array','items':{'type':'object','properties':{'p':{'type':'string','default':'TCP'}}}}"),
      "{'s':{'l':[{},{'p':'UDP'}]}}", "{'s':{'l':[{'p':'TCP'},{'p':'UDP'}]}}", "[]" },
    { "null is absent", SPEC("'a':{'type':'string','default':'d'}"), "{'s':{'a':null}}", "{'s':{'a':'d'}}", "[]" },
    { "unless it is allowed", SPEC("'a':{'type':'string','default':'d','nullable':true}"), "{'s':{'a':null}}",
      "{'s':{'a':null}}", "[]" },
    { "an embedded object", SPEC("'e':{'type':'object','x-kubernetes-embedded-resource':true}"),
      "{'s':{'e':{'kind':'K','apiVersion':'v1','metadata':{'name':'n','foo':1},'x':1}}}",
      "{'s':{'e':{'apiVersion':'v1','kind':'K','metadata':{'name':'n'}}}}", "['s.e.metadata.foo','s.e.x']" },
    { "an open root", "{'type':'object'," OPEN "}", "{'anything':{'a':1},'kind':'K'}",
      "{'anything':{'a':1},'kind':'K'}", "[]" },
};

static void test_shapes(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(shapings); i++) {
        const struct shaping *c = &shapings[i];
        AUTO(arena) arena = arena_new(0);
        struct json *object = parse(arena, c->in), *unknown = json_new(arena, JSON_ARRAY);
        const struct type *type;
        struct err err = { 0 };

        assert_int_equal(structural_type(arena, parse(arena, c->schema), STR("g"), STR("v1"), STR("K"), &type, &err),
                         0);
        assert_int_equal(object_normalize(arena, type, object, unknown, &err), 0);
        assert_int_equal(object_default(arena, type, object, &err), 0);
        if (!str_eq(json_text(arena, object), json_text(arena, parse(arena, c->want))) ||
            !json_equal(unknown, parse(arena, c->unknown)))
            fail_msg("%s: %.*s, unknown %.*s", c->name, STR_ARG(json_text(arena, object)),
                     STR_ARG(json_text(arena, unknown)));
    }
}

static const struct fitting {
    const char *schema, *value, *want; /* want "": it fits */
} fittings[] = {
    { "{'type':'integer'}", "3", "" },
    { "{'type':'integer'}", "3.0", "" },
    { "{'type':'integer'}", "3.5", "must be of type integer: \"number\"" },
    { "{'type':'number'}", "3", "" },
    { "{'type':'number','minimum':0,'exclusiveMinimum':true}", "0", "should be greater than 0" },
    { "{'type':'number','maximum':1.5}", "1.5", "" },
    { "{'type':'number','maximum':1.5,'exclusiveMaximum':true}", "1.5", "should be less than 1.5" },
    { "{'type':'integer','multipleOf':5}", "10", "" },
    { "{'type':'integer','multipleOf':5}", "11", "should be a multiple of 5" },
    { "{'type':'string','minLength':2}", "'\u00e9'", "should be at least 2 chars long" },
    { "{'type':'string','maxLength':2}", "'\u00e9\u00e9'", "" },
    { "{'type':'string','pattern':'^a+$'}", "'aa'", "" },
    { "{'type':'string','pattern':'^a+$'}", "'aa\\n'", "should match" },
    { "{'type':'string','pattern':'b'}", "'abc'", "" },
    { "{'type':'string','pattern':'^(a+)+$'}", "'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!'", "should match" },
    { "{'type':'string','format':'date-time'}", "'2026-01-01T00:00:00Z'", "" },
    { "{'type':'string','format':'date-time'}", "'yesterday'", "must be of type date-time" },
    { "{'type':'string','format':'of-my-own'}", "'anything'", "" },
    { "{'type':'string','enum':['a','b']}", "'c'", "supported values: \"a\", \"b\"" },
    { "{'type':'integer','enum':[1,2]}", "2", "" },
    { "{'type':'string','nullable':true}", "null", "" },
    { "{'type':'string'}", "null", "must be of type string: \"null\"" },
    { "{'x-kubernetes-int-or-string':true}", "'10%'", "" },
    { "{'x-kubernetes-int-or-string':true}", "[]", "must be of type integer,string" },
    { "{'type':'array','items':{'type':'string'}}", "['a',1]", "[1]: Invalid value" },
    { "{'type':'array','minItems':1,'items':{'type':'string'}}", "[]", "should have at least 1 items" },
    { "{'type':'array','x-kubernetes-list-type':'set','items':{'type':'string'}}", "['a','b','a']",
      "Duplicate value: \"a\"" },
    { "{'type':'object','minProperties':1}", "{}", "should have at least 1 properties" },
    { "{'type':'object','additionalProperties':{'type':'integer'}}", "{'k':'v'}", "must be of type integer" },
    { "{'type':'object','required':['a']}", "{}", "a: Required value" },
    { "{'type':'object','x-kubernetes-embedded-resource':true}", "{}",
      "apiVersion: Required value: must not be empty" },
    { "{'allOf':[{'minimum':1},{'maximum':3}]}", "4", "less than or equal to 3" },
    { "{'anyOf':[{'minimum':5},{'maximum':3}]}", "4", "at least one schema (anyOf)" },
    { "{'anyOf':[{'minimum':5},{'maximum':3}]}", "2", "" },
    { "{'oneOf':[{'minimum':1},{'minimum':2}]}", "1", "" },
    { "{'oneOf':[{'minimum':1},{'minimum':2}]}", "3", "Found more than one valid" },
    { "{'oneOf':[{'minimum':1},{'minimum':2}]}", "0", "Found none valid" },
    { "{'not':{'minimum':1}}", "3", "must not validate the schema (not)" },
};

static void test_values(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(fittings); i++) {
        const struct fitting *c = &fittings[i];
        AUTO(arena) arena = arena_new(0);
        const struct schema *schema = schema_compile(arena, parse(arena, c->schema));
        struct causes causes;
        struct str text;

        assert_non_null(schema);
        causes_init(&causes, arena);
        schema_check_value(schema, parse(arena, c->value), NULL, &causes);
        text = causes_text(&causes);
        if (!*c->want ? causes.count > 0 : str_find(text, str_from(c->want)) < 0)
            fail_msg("%s, %s: %.*s", c->schema, c->value, STR_ARG(text));
    }
}

/* What an update is forgiven, because it was so before. */
#define MAXED "{'type':'integer','maximum':0}"
#define OF(properties) "{'type':'object','properties':{" properties "}}"
#define BY_KEY                                                                                                      \
    OF("'l':{'type':'array','x-kubernetes-list-type':'map','x-kubernetes-list-map-keys':['k'],"                     \
       "'items':{'type':'object','properties':{'k':{'type':'string'},'v':" MAXED ",'w':" MAXED "}}}")
#define LIST OF("'l':{'type':'array','items':" MAXED "}")
#define A_SET OF("'s':{'type':'array','x-kubernetes-list-type':'set','items':{'type':'string'}}")

static const struct forgiven {
    const char *name, *schema, *old, *now, *want; /* want: what is told; "": nothing */
} forgiven[] = {
    { "same value", OF("'a':" MAXED), "{'a':1,'b':1}", "{'a':1,'b':2}", "" },
    { "another value", OF("'a':" MAXED), "{'a':1}", "{'a':2}", "a: Invalid value: 2" },
    { "new value", OF("'a':" MAXED), "{}", "{'a':2}", "a: Invalid value: 2" },
    { "one of two", OF("'a':" MAXED ",'b':" MAXED), "{'a':1,'b':1}", "{'a':1,'b':2}", "b: Invalid value: 2: b in body" },
    { "new object", OF("'o':" OF("'a':" MAXED)), "{}", "{'o':{'a':2}}", "o.a: Invalid value: 2" },
    { "object in place of a number", OF("'o':" OF("'a':" MAXED)), "{'o':1}", "{'o':{'a':2}}", "o.a: Invalid value" },
    { "below what is the same", OF("'o':" OF("'a':" MAXED)), "{'o':{'a':1},'x':1}", "{'o':{'a':1},'x':2}", "" },
    { "kind", OF("'a':" MAXED), "{'a':'x','b':1}", "{'a':'x','b':2}", "" },
    { "key of a map", "{'type':'object','additionalProperties':" MAXED "}", "{'a.b':1}", "{'a.b':1,'c':0}", "" },
    { "key of a map, changed", "{'type':'object','additionalProperties':" MAXED "}", "{'a.b':1}", "{'a.b':3}",
      "Invalid value: 3" },
    { "key of a map, another", "{'type':'object','additionalProperties':" MAXED "}", "{'a':1}", "{'b':1}",
      "Invalid value: 1" },
    { "same list", LIST, "{'l':[1,0]}", "{'l':[1,0],'x':1}", "" },
    { "longer list", LIST, "{'l':[1,0]}", "{'l':[1,0,0]}", "l[0]: Invalid value: 1" },
    { "element by key", BY_KEY, "{'l':[{'k':'a','v':1},{'k':'b'}]}", "{'l':[{'k':'c'},{'k':'b'},{'k':'a','v':1}]}", "" },
    { "part of an element by key", BY_KEY, "{'l':[{'k':'a','v':1}]}", "{'l':[{'k':'a','v':1,'w':0}]}", "" },
    { "element by key, changed", BY_KEY, "{'l':[{'k':'a','v':1}]}", "{'l':[{'k':'a','v':2}]}", "l[0].v: Invalid value: 2" },
    { "element by another key", BY_KEY, "{'l':[{'k':'a','v':1}]}", "{'l':[{'k':'b','v':1}]}", "l[0].v: Invalid value: 1" },
    { "list by key in place of none", BY_KEY, "{'l':[]}", "{'l':[{'k':'b','v':1}]}", "l[0].v: Invalid value: 1" },
    { "set, longer", A_SET, "{'s':['a']}", "{'s':['a','a']}", "s[1]: Duplicate value" },
    { "set with repeats, longer", A_SET, "{'s':['a','a']}", "{'s':['a','a','b','b']}", "" },
    { "lacks as before", OF("'o':{'type':'object','required':['a']}"), "{'o':{'b':1}}", "{'o':{'b':1},'x':1}", "" },
    { "lacks in a changed one", OF("'o':{'type':'object','required':['a']}"), "{'o':{'b':1}}", "{'o':{'b':2}}",
      "o.a: Required value" },
    { "one of allOf", "{'allOf':[" OF("'a':" MAXED) "]}", "{'a':1,'b':1}", "{'a':1,'b':2}", "" },
    { "one of anyOf", "{'anyOf':[" OF("'a':" MAXED) "]}", "{'a':1,'b':1}", "{'a':1,'b':2}", "" },
    { "none of anyOf", "{'anyOf':[" OF("'a':" MAXED) "]}", "{'a':1}", "{'a':2}", "at least one schema (anyOf)" },
    { "what must not be", "{'not':" OF("'a':" MAXED) "}", "{'a':1}", "{'a':0}", "must not validate" },
};

static void test_forgiven(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(forgiven); i++) {
        const struct forgiven *c = &forgiven[i];
        AUTO(arena) arena = arena_new(0);
        const struct schema *schema = schema_compile(arena, parse(arena, c->schema));
        struct causes causes;
        struct str text;

        assert_non_null(schema);
        causes_init(&causes, arena);
        causes_add(&causes, CAUSE_DUPLICATE, STR("first"), "stays");
        schema_check_update(schema, parse(arena, c->now), parse(arena, c->old), &causes);
        text = causes_text(&causes);
        if (causes.count != (*c->want ? 2 : 1) || (*c->want && str_find(text, str_from(c->want)) < 0))
            fail_msg("%s: %.*s", c->name, STR_ARG(text));
    }
}

/* A schema as deep as JSON may be is refused, not followed. */
static void test_depth(void **state)
{
    AUTO(arena) arena = arena_new(0);
    AUTO_DEINIT(buf, text) = BUF_INIT;
    struct causes causes;
    struct json *schema;

    (void)state;
    for (int i = 0; i < 200; i++)
        buf_add_cstr(&text, "{'type':'array','items':");
    buf_add_cstr(&text, "{'type':'string'}");
    for (int i = 0; i < 200; i++)
        buf_add_char(&text, '}');
    buf_add_char(&text, '\0');
    schema = parse(arena, text.data);
    causes_init(&causes, arena);
    schema_check_rules(schema, STR("schema"), &causes);
    assert_true(str_find(causes_text(&causes), STR("levels at most")) >= 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_shapes), cmocka_unit_test(test_values), cmocka_unit_test(test_forgiven),
                                        cmocka_unit_test(test_depth) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
