/* Normalising, defaulting and checking by table. */
#include "random_object.h"

#include "api/apps_v1.h"
#include "api/core_v1.h"
#include "api/networking_v1.h"
#include "api/resources.h"
#include "schema/object.h"

static const struct normalizing {
    const char *name;
    const struct type *type;
    const char *in, *want, *unknown;
} normalizings[] = {
    { "canonical stays", &TYPE_CONFIG_MAP, "{'data':{'a':'1','b':'2'},'metadata':{'name':'n'}}",
      "{'data':{'a':'1','b':'2'},'metadata':{'name':'n'}}", "[]" },
    { "members are sorted", &TYPE_CONFIG_MAP,
      "{'metadata':{'name':'n'},'kind':'ConfigMap','apiVersion':'v1','data':{'a':''}}",
      "{'apiVersion':'v1','data':{'a':''},'kind':'ConfigMap','metadata':{'name':'n'}}", "[]" },
    { "maps are sorted", &TYPE_CONFIG_MAP, "{'data':{'b':'2','a':'1','a0':'3'}}", "{'data':{'a':'1','a0':'3','b':'2'}}",
      "[]" },
    { "unknown ones go", &TYPE_POD, "{'foo':1,'spec':{'bar':{},'containers':[{'name':'a','baz':[]},{'x':1,'y':2}]}}",
      "{'spec':{'containers':[{'name':'a'},{}]}}",
      "['foo','spec.bar','spec.containers[0].baz','spec.containers[1].x','spec.containers[1].y']" },
    { "names match by case", &TYPE_POD, "{'Spec':{}}", "{}", "['Spec']" },
    { "null goes", &TYPE_POD, "{'metadata':{'creationTimestamp':null,'name':'p','labels':null},'spec':null}",
      "{'metadata':{'name':'p'}}", "[]" },
    { "null in a list of structs", &TYPE_POD_SPEC, "{'containers':[null,{'name':'a'}]}",
      "{'containers':[{},{'name':'a'}]}", "[]" },
    { "null in lists and maps of strings", &TYPE_POD, "{'metadata':{'finalizers':[null],'labels':{'a':null}}}",
      "{'metadata':{'finalizers':[''],'labels':{'a':''}}}", "[]" },
    { "unknown null", &TYPE_POD, "{'foo':null}", "{}", "['foo']" },
    { "empty goes where Go omits it", &TYPE_POD_SPEC,
      "{'containers':[{'name':'','args':[],'tty':false,'securityContext':{}}],'hostNetwork':false,'nodeName':'',"
      "'nodeSelector':{},'priority':0,'tolerations':[]}",
      "{'containers':[{'name':'','securityContext':{}}],'priority':0}", "[]" },
    { "empty stays where it means something", &TYPE_PERSISTENT_VOLUME_CLAIM_SPEC, "{'storageClassName':''}",
      "{'storageClassName':''}", "[]" },
    { "quantities", &TYPE_RESOURCE_REQUIREMENTS,
      "{'limits':{'a':'1000m','b':'1024Mi','c':1,'d':'0.5','e':'1500m','f':'2000','g':'7','h':'1Ki','i':0.1}}",
      "{'limits':{'a':'1','b':'1Gi','c':'1','d':'500m','e':'1500m','f':'2k','g':'7','h':'1Ki','i':'100m'}}", "[]" },
    { "times", &TYPE_OBJECT_META, "{'creationTimestamp':'2026-01-01T02:30:00.75+02:00'}",
      "{'creationTimestamp':'2026-01-01T00:30:00Z'}", "[]" },
    { "micro times", &TYPE_EVENT, "{'eventTime':'2026-01-01T00:00:00.5Z','firstTimestamp':'2026-01-01T00:00:00.5Z'}",
      "{'eventTime':'2026-01-01T00:00:00.500000Z','firstTimestamp':'2026-01-01T00:00:00Z'}", "[]" },
    { "base64", &TYPE_SECRET, "{'data':{'a':'YWJj','b':'','c':'YW\\nJj','d':'YR=='}}",
      "{'data':{'a':'YWJj','b':'','c':'YWJj','d':'YQ=='}}", "[]" },
    { "int or string", &TYPE_SERVICE_PORT, "{'targetPort':'http','port':80}", "{'port':80,'targetPort':'http'}", "[]" },
    { "any is kept", &TYPE_CONTROLLER_REVISION, "{'data':{'z':null,'a':[1.50,{'y':1,'b':2}]},'revision':1}",
      "{'data':{'z':null,'a':[1.50,{'y':1,'b':2}]},'revision':1}", "[]" },
};

static void test_normalize(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(normalizings); i++) {
        const struct normalizing *c = &normalizings[i];
        struct arena arena;
        struct err err = { 0 };

        arena_init(&arena, 0);
        struct json *object = parse(&arena, c->in), *unknown = json_new(&arena, JSON_ARRAY);

        if (object_normalize(&arena, c->type, object, unknown, &err) < 0)
            fail_msg("%s: %s", c->name, err.message);
        assert_text(&arena, c->name, object, c->want);
        assert_text(&arena, c->name, unknown, c->unknown);
        /* Once more changes nothing, and takes no memory. */
        size_t used = arena.used;

        assert_int_equal(object_normalize(&arena, c->type, object, NULL, &err), 0);
        assert_int_equal(arena.used, used);
        assert_text(&arena, c->name, object, c->want);
        arena_deinit(&arena);
    }
}

static const struct refusal {
    const struct type *type;
    const char *in, *want;
} refusals[] = {
    { &TYPE_POD, "1", "json: cannot unmarshal number into Go value of type v1.Pod" },
    { &TYPE_POD, "{'spec':{'containers':[{'name':1}]}}",
      "json: cannot unmarshal number into Go struct field Container.spec.containers.name of type string" },
    { &TYPE_DEPLOYMENT, "{'spec':{'replicas':2147483648}}",
      "json: cannot unmarshal number 2147483648 into Go struct field DeploymentSpec.spec.replicas of type int32" },
    { &TYPE_DEPLOYMENT, "{'spec':{'replicas':true}}",
      "json: cannot unmarshal bool into Go struct field DeploymentSpec.spec.replicas of type int32" },
    { &TYPE_RESOURCE_REQUIREMENTS, "{'limits':{'cpu':'lots'}}",
      "limits[cpu]: quantities must match the regular expression "
      "'^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'" },
    { &TYPE_RESOURCE_REQUIREMENTS, "{'limits':{'cpu':{}}}",
      "json: cannot unmarshal object into Go struct field ResourceRequirements.limits of type string" },
    { &TYPE_OBJECT_META, "{'creationTimestamp':'x'}",
      "creationTimestamp: parsing time 'x' as '2006-01-02T15:04:05Z07:00': cannot parse" },
    { &TYPE_SECRET, "{'data':{'a':'YWJ'}}", "data[a]: illegal base64 data" },
    { &TYPE_SECRET, "{'data':{'a':'Y*Jj'}}", "data[a]: illegal base64 data" },
};

static void test_refusals(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(refusals); i++) {
        struct arena arena;
        struct err err = { 0 };

        arena_init(&arena, 0);
        assert_int_equal(object_normalize(&arena, refusals[i].type, parse(&arena, refusals[i].in), NULL, &err),
                         -ERR_BAD_REQUEST);
        for (char *c = err.message; *c && strstr(refusals[i].want, "parsing time"); c++)
            if (*c == '"')
                *c = '\'';
        assert_string_equal(err.message, refusals[i].want);
        arena_deinit(&arena);
    }
}

/* What the store keeps passes unchanged, for every type. */
static void test_random_is_canonical(void **state)
{
    for (size_t i = 0; i < api_type_count * 3; i++) {
        const struct type *type = api_types[i / 3];
        struct seeded_rng rng;
        struct arena arena;
        struct err err = { 0 };

        arena_init(&arena, 0);
        seeded_rng_init(&rng, i);
        struct json *object = random_object(&arena, &rng.rng, type), *unknown = json_new(&arena, JSON_ARRAY);
        const char *before = text_of(&arena, object);

        if (object_normalize(&arena, type, object, unknown, &err) < 0)
            fail_msg(STR_FMT ": %s", STR_ARG(type->name), err.message);
        assert_string_equal(text_of(&arena, object), before);
        assert_int_equal(unknown->count, 0);
        assert_int_equal(object_default(&arena, type, object, &err), 0);
        before = text_of(&arena, object);
        assert_int_equal(object_default(&arena, type, object, &err), 0);
        assert_string_equal(text_of(&arena, object), before);
        assert_int_equal(object_normalize(&arena, type, object, unknown, &err), 0);
        assert_string_equal(text_of(&arena, object), before);
        arena_deinit(&arena);
    }
}

static void test_unknown_is_capped(void **state)
{
    AUTO_DEINIT(buf, text) = BUF_INIT;
    struct arena arena;
    struct err err = { 0 };
    struct json *object, *unknown;

    arena_init(&arena, 0);
    buf_add_str(&text, STR("{"));
    for (int i = 0; i < 1000; i++)
        buf_printf(&text, "%s\"x%d\":0", i ? "," : "", i);
    buf_add_str(&text, STR("}"));
    assert_int_equal(json_parse(&arena, buf_str(&text), NULL, &object, &err), 0);
    unknown = json_new(&arena, JSON_ARRAY);
    assert_int_equal(object_normalize(&arena, &TYPE_POD, object, unknown, &err), 0);
    assert_int_equal(object->count, 0);
    assert_in_range(unknown->count, 100, 999);
    arena_deinit(&arena);
}

/* --- defaults: a table made by hand, independent of what api/ says --- */

static const struct str protocols[] = { STR_INIT("UDP"), STR_INIT("TCP"), STR_INIT("SCTP") };

static const struct field inner_fields[] = {
    { STR_INIT("count"), &type_int32, 0, FIELD_REQUIRED | FIELD_ALWAYS },
    { STR_INIT("on"), &type_bool, 4, FIELD_REQUIRED | FIELD_ALWAYS },
    { STR_INIT("protocol"), &type_string, 8, 0, STR_INIT("\"TCP\""), protocols, 3 },
};
static const struct type inner = {
    .kind = TYPE_STRUCT,
    .name = STR_INIT("test.v1.Inner"),
    .fields = inner_fields,
    .field_count = 3,
    .size = 24,
};
static const struct type inner_list = { .kind = TYPE_LIST, .size = 16, .elem = &inner };
static const struct type inner_map = { .kind = TYPE_MAP, .size = 16, .elem = &inner };

static const struct field outer_fields[] = {
    { STR_INIT("embedded"), &inner, 0, FIELD_ALWAYS | FIELD_INLINE },
    { STR_INIT("items"), &inner_list, 24, FIELD_REQUIRED | FIELD_ALWAYS },
    { STR_INIT("made"), &inner, 40, 0, STR_INIT("{}") },
    { STR_INIT("map"), &inner_map, 48 },
    { STR_INIT("name"), &type_string, 64, FIELD_REQUIRED | FIELD_ALWAYS },
    { STR_INIT("number"), &type_int64, 80, 0, STR_INIT("30") },
    { STR_INIT("optional"), &inner, 96 },
    { STR_INIT("rate"), &type_double, 104, 0, STR_INIT("0.5") },
    { STR_INIT("text"), &type_string, 120, 0, STR_INIT("\"a\\\"b\"") },
};
static const struct type outer = {
    .kind = TYPE_STRUCT,
    .name = STR_INIT("test.v1.Outer"),
    .fields = outer_fields,
    .field_count = 9,
    .size = 136,
};

static const struct defaulting {
    const char *name, *in, *want;
} defaultings[] = {
    { "from nothing", "{}",
      "{'embedded':{'count':0,'on':false,'protocol':'TCP'},'made':{'count':0,'on':false,'protocol':'TCP'},"
      "'number':30,'rate':0.5,'text':'a\\'b'}" },
    { "what is there stays",
      "{'embedded':{'count':1,'on':true,'protocol':'UDP'},'made':{'count':2,'on':true,"
      "'protocol':''},'number':0,'rate':1,'text':''}",
      "{'embedded':{'count':1,'on':true,'protocol':'UDP'},'made':{'count':2,'on':true,'protocol':''},"
      "'number':0,'rate':1,'text':''}" },
    { "in lists, maps and what is optional",
      "{'embedded':{'count':1,'on':true,'protocol':'UDP'},'items':[{},{'on':true}],'made':{'count':1,'on':true,"
      "'protocol':'UDP'},'map':{'k':{'count':9}},'number':1,'optional':{},'rate':1,'text':'t'}",
      "{'embedded':{'count':1,'on':true,'protocol':'UDP'},'items':[{'count':0,'on':false,'protocol':'TCP'},{'count':0,"
      "'on':true,'protocol':'TCP'}],'made':{'count':1,'on':true,'protocol':'UDP'},'map':{'k':{'count':9,'on':false,"
      "'protocol':'TCP'}},'number':1,'optional':{'count':0,'on':false,'protocol':'TCP'},'rate':1,'text':'t'}" },
};

static void test_default(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(defaultings); i++) {
        const struct defaulting *c = &defaultings[i];
        struct arena arena;
        struct err err = { 0 };

        arena_init(&arena, 0);
        struct json *object = parse(&arena, c->in), *want;
        char *wanted = arena_cstr(&arena, from_quoted(&arena, c->want));
        char *escaped = strstr(wanted, "a\\\"b");

        assert_true(!escaped || escaped[1] == '\\');
        assert_int_equal(json_parse(&arena, str_from(wanted), NULL, &want, &err), 0);
        assert_int_equal(object_default(&arena, &outer, object, &err), 0);
        assert_string_equal(text_of(&arena, object), text_of(&arena, want));
        arena_deinit(&arena);
    }
}

static const struct checking {
    const char *name;
    const struct type *type;
    const char *in, *want;
} checkings[] = {
    { "all is well", &outer, "{'name':'n','items':[{}]}", "" },
    { "required", &outer, "{'items':[{}]}", "name: Required value" },
    { "empty counts as absent", &outer, "{'name':'','items':[]}", "[items: Required value, name: Required value]" },
    { "enum", &outer, "{'name':'n','items':[{},{'protocol':'tcp'}]}",
      "items[1].protocol: Unsupported value: 'tcp': supported values: 'SCTP', 'TCP', 'UDP'" },
    { "empty enum is unset", &outer, "{'name':'n','items':[{'protocol':''}]}", "" },
    { "in maps", &outer, "{'name':'n','items':[{}],'map':{'a.b':{'protocol':'x'}}}",
      "map[a.b].protocol: Unsupported value: 'x': supported values: 'SCTP', 'TCP', 'UDP'" },
    { "the same is said once", &outer, "{'name':'','items':[{}],'embedded':{'protocol':'q'},'made':{'protocol':'q'}}",
      "[name: Required value, embedded.protocol: Unsupported value: 'q': supported values: 'SCTP', 'TCP', 'UDP', "
      "made.protocol: Unsupported value: 'q': supported values: 'SCTP', 'TCP', 'UDP']" },
    { "through an absent struct by value", &TYPE_POD, "{}", "spec.containers: Required value" },
    { "containers need names", &TYPE_POD, "{'spec':{'containers':[{'image':'x'}]}}",
      "spec.containers[0].name: Required value" },
    { "status is not looked at", &TYPE_POD,
      "{'spec':{'containers':[{'name':'a'}]},'status':{'conditions':[{}],'containerStatuses':[{'image':''}]}}", "" },
    { "template", &TYPE_DEPLOYMENT, "{'spec':{'template':{'spec':{'containers':[{'name':'a','ports':[{}]}]}}}}",
      "spec.selector: Required value" },
};

static void test_check(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(checkings); i++) {
        const struct checking *c = &checkings[i];
        struct arena arena;
        struct causes causes;

        arena_init(&arena, 0);
        causes_init(&causes, &arena);
        object_check(c->type, parse(&arena, c->in), &causes);
        struct str got = causes.count ? causes_text(&causes) : STR(""), want = from_quoted(&arena, c->want);

        if (!str_eq(got, want))
            fail_msg("%s:\n got  " STR_FMT "\n want " STR_FMT, c->name, STR_ARG(got), STR_ARG(want));
        arena_deinit(&arena);
    }
}

/* --- a type made at run time: size 0 --- */

static const struct field custom_spec_fields[] = {
    { STR_INIT("mode"), &type_string, 0, 0, { 0 }, protocols, 3 },
    { STR_INIT("replicas"), &type_int32, 0, FIELD_REQUIRED, STR_INIT("1") },
    { STR_INIT("when"), &type_time, 0 },
};
static const struct type custom_spec = { .kind = TYPE_STRUCT, .fields = custom_spec_fields, .field_count = 3 };
static const struct field custom_fields[] = {
    { STR_INIT("apiVersion"), &type_string },
    { STR_INIT("kind"), &type_string },
    { STR_INIT("metadata"), &TYPE_OBJECT_META },
    { STR_INIT("spec"), &custom_spec, 0, FIELD_REQUIRED },
};
static const struct type custom = { .kind = TYPE_STRUCT, .fields = custom_fields, .field_count = 4 };
static const struct type open_custom = {
    .kind = TYPE_STRUCT, .fields = custom_fields, .field_count = 4, .preserve_unknown = true
};

static void test_dynamic_types(void **state)
{
    static const struct {
        const struct type *type;
        const char *in, *want, *unknown, *causes;
    } cases[] = {
        { &custom, "{'spec':{'x':1,'replicas':2},'kind':'K'}", "{'kind':'K','spec':{'replicas':2}}", "['spec.x']", "" },
        { &open_custom, "{'z':{'k':null},'spec':{},'a':1}", "{'a':1,'spec':{'replicas':1},'z':{'k':null}}", "[]", "" },
        { &custom, "{'kind':'K'}", "{'kind':'K'}", "[]", "spec: Required value" },
        { &custom, "{'spec':{'replicas':'3','mode':'','when':'x'}}", "{'spec':{'mode':'','replicas':'3','when':'x'}}",
          "[]",
          "[spec.mode: Unsupported value: '': supported values: 'SCTP', 'TCP', 'UDP', spec.replicas: Invalid value: "
          "'string': spec.replicas in body must be of type integer: 'string']" },
        { &custom, "{'spec':[]}", "{'spec':[]}", "[]",
          "spec: Invalid value: 'array': spec in body must be of type object: 'array'" },
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct arena arena;
        struct causes causes;
        struct err err = { 0 };

        arena_init(&arena, 0);
        causes_init(&causes, &arena);
        struct json *object = parse(&arena, cases[i].in), *unknown = json_new(&arena, JSON_ARRAY);

        assert_int_equal(object_normalize(&arena, cases[i].type, object, unknown, &err), 0);
        assert_int_equal(object_default(&arena, cases[i].type, object, &err), 0);
        object_check(cases[i].type, object, &causes);
        assert_text(&arena, cases[i].in, object, cases[i].want);
        assert_text(&arena, cases[i].in, unknown, cases[i].unknown);
        assert_true(str_eq(causes.count ? causes_text(&causes) : STR(""), from_quoted(&arena, cases[i].causes)));
        arena_deinit(&arena);
    }
    /* Metadata is a built-in type even there. */
    struct arena arena;
    struct err err = { 0 };

    arena_init(&arena, 0);
    assert_int_equal(object_normalize(&arena, &custom, parse(&arena, "{'metadata':{'name':1}}"), NULL, &err),
                     -ERR_BAD_REQUEST);
    arena_deinit(&arena);
}

static void test_causes(void **state)
{
    struct arena arena;
    struct causes causes;

    arena_init(&arena, 0);
    causes_init(&causes, &arena);
    causes_add(&causes, CAUSE_INVALID, STR("a"), "Invalid value: %d: must be %s", 5, "even");
    assert_true(str_is(causes_text(&causes), "a: Invalid value: 5: must be even"));
    causes_add(&causes, CAUSE_INVALID, STR("a"), "Invalid value: %d: must be %s", 5, "even");
    assert_true(str_is(causes_text(&causes), "a: Invalid value: 5: must be even"));
    causes_add(&causes, CAUSE_FORBIDDEN, STR("b"), "Forbidden: no");
    assert_true(str_is(causes_text(&causes), "[a: Invalid value: 5: must be even, b: Forbidden: no]"));
    for (int i = 0; i < 1000; i++)
        causes_add(&causes, CAUSE_DUPLICATE, STR("c"), "Duplicate value: %d", i);
    assert_int_equal(causes.count, CAUSES_MAX);
    assert_string_equal(cause_reason(CAUSE_TOO_LONG), "FieldValueTooLong");
    assert_true(str_is(cause_value(&arena, parse(&arena, "'x'")), "\"x\""));
    assert_true(str_is(cause_value(&arena, parse(&arena, "{'a':[1]}")), "{\"a\":[1]}"));
    arena_deinit(&arena);
}

/* Every allocation fails once. */
static void test_no_memory(void **state)
{
    size_t limit = 16;
    bool done = false;

    for (; !done; limit += 16) {
        struct arena source, arena;
        struct causes causes;
        struct err err = { 0 };
        int r;

        arena_init(&source, 0);
        arena_init(&arena, limit);
        causes_init(&causes, &arena);
        struct json *object =
            parse(&source, "{'unknown':1,'spec':{'x':1,'containers':[{'resources':{'limits':{'cpu':'1000m',"
                           "'memory':1}}}],'volumes':[{'name':'v'}]},'metadata':{'creationTimestamp':"
                           "'2026-01-01T00:00:00+01:00'}}");
        struct json *unknown = json_new(&source, JSON_ARRAY);

        r = object_normalize(&arena, &TYPE_POD, object, unknown, &err);
        if (r == 0)
            r = object_default(&arena, &TYPE_POD, object, &err);
        assert_true(r == 0 || r == -ERR_NO_MEMORY);
        if (r == 0) {
            object_check(&TYPE_POD, object, &causes);
            done = causes.count > 0 && causes_text(&causes).data;
        }
        assert_true(done || arena_failed(&arena));
        arena_deinit(&arena);
        arena_deinit(&source);
    }
    assert_true(limit > 200);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_normalize),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_random_is_canonical),
        cmocka_unit_test(test_unknown_is_capped),
        cmocka_unit_test(test_default),
        cmocka_unit_test(test_check),
        cmocka_unit_test(test_dynamic_types),
        cmocka_unit_test(test_causes),
        cmocka_unit_test(test_no_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
