/* Strategic merge patch by the tables of real types. Order of elements is part of what is wanted. */
#include "schema_test.h"

#include "api/apps_v1.h"
#include "api/core_v1.h"
#include "api/resources.h"
#include "base/rng.h"
#include "random_object.h"
#include "schema/object.h"

#define POD &TYPE_POD
#define SPEC &TYPE_POD_SPEC
#define CONTAINER &TYPE_CONTAINER
#define META &TYPE_OBJECT_META
#define SERVICE &TYPE_SERVICE_SPEC
#define DEPLOYMENT &TYPE_DEPLOYMENT_SPEC

static const struct merging {
    const char *name;
    const struct type *type;
    const char *object, *patch, *want;
} mergings[] = {
    /* maps */
    { "nothing", META, "{'name':'a'}", "{}", "{'name':'a'}" },
    { "set", META, "{'name':'a'}", "{'namespace':'b'}", "{'name':'a','namespace':'b'}" },
    { "replace a scalar", SPEC, "{'nodeName':'a'}", "{'nodeName':'b'}", "{'nodeName':'b'}" },
    { "null deletes", SPEC, "{'nodeName':'a','hostname':'h'}", "{'nodeName':null}", "{'hostname':'h'}" },
    { "null of what is absent", SPEC, "{'hostname':'h'}", "{'nodeName':null}", "{'hostname':'h'}" },
    { "maps merge", META, "{'labels':{'a':'1','b':'2'}}", "{'labels':{'b':'3','c':'4'}}",
      "{'labels':{'a':'1','b':'3','c':'4'}}" },
    { "null in a map", META, "{'labels':{'a':'1','b':'2'}}", "{'labels':{'a':null}}", "{'labels':{'b':'2'}}" },
    { "many nulls", META,
      "{'labels':{'a':'1','b':'2','c':'3','d':'4','e':'5','f':'6','g':'7','h':'8','i':'9','j':'10'}}",
      "{'labels':{'a':null,'b':null,'c':null,'d':null,'e':null,'f':null,'g':null,'h':null,'i':null}}",
      "{'labels':{'j':'10'}}" },
    { "nulls of a new map are dropped", META, "{}", "{'labels':{'a':null,'b':'1'}}", "{'labels':{'b':'1'}}" },
    { "structs merge", POD, "{'spec':{'securityContext':{'runAsUser':1,'fsGroup':2}}}",
      "{'spec':{'securityContext':{'runAsUser':3}}}", "{'spec':{'securityContext':{'runAsUser':3,'fsGroup':2}}}" },
    { "another kind replaces", POD, "{'spec':{'nodeName':'x'}}", "{'spec':{'nodeName':{'a':1}}}",
      "{'spec':{'nodeName':{'a':1}}}" },
    { "unknown member", POD, "{}", "{'foo':{'bar':[1,null]}}", "{'foo':{'bar':[1,null]}}" },
    { "unknown maps merge, lists are replaced", POD, "{'foo':{'a':1,'l':[1]}}", "{'foo':{'b':2,'l':[2]}}",
      "{'foo':{'a':1,'l':[2],'b':2}}" },
    { "null in the object", META, "{'labels':null}", "{'labels':{'a':'1'}}", "{'labels':{'a':'1'}}" },
    /* $patch in maps */
    { "replace a map", META, "{'labels':{'a':'1','b':'2'}}", "{'labels':{'$patch':'replace','c':'3'}}",
      "{'labels':{'c':'3'}}" },
    { "replace drops nulls", META, "{'labels':{'a':'1'}}", "{'labels':{'$patch':'replace','c':'3','d':null}}",
      "{'labels':{'c':'3'}}" },
    { "delete a map", META, "{'labels':{'a':'1'},'name':'n'}", "{'labels':{'$patch':'delete'}}",
      "{'labels':{},'name':'n'}" },
    { "delete an absent map", META, "{'name':'n'}", "{'labels':{'$patch':'delete'}}", "{'name':'n'}" },
    { "delete by a map what is none", META, "{'labels':'x','name':'n'}", "{'labels':{'$patch':'delete'}}",
      "{'name':'n'}" },
    { "replace an absent map", META, "{'name':'n'}", "{'labels':{'$patch':'replace','a':'1'}}",
      "{'name':'n','labels':{'a':'1'}}" },
    { "merge says nothing new", META, "{'labels':{'a':'1'}}", "{'labels':{'$patch':'merge','b':'2'}}",
      "{'labels':{'a':'1','b':'2'}}" },
    { "replace at the top", META, "{'name':'n','labels':{}}", "{'$patch':'replace','name':'m'}", "{'name':'m'}" },
    { "delete at the top", META, "{'name':'n'}", "{'$patch':'delete'}", "{}" },
    { "replace a struct", SPEC, "{'securityContext':{'runAsUser':1,'fsGroup':2}}",
      "{'securityContext':{'$patch':'replace','fsGroup':3}}", "{'securityContext':{'fsGroup':3}}" },
    /* lists of maps */
    { "merge by name", SPEC, "{'containers':[{'name':'a','image':'x:1'},{'name':'b','image':'y'}]}",
      "{'containers':[{'name':'a','image':'x:2'}]}",
      "{'containers':[{'name':'a','image':'x:2'},{'name':'b','image':'y'}]}" },
    { "merge the second", SPEC, "{'containers':[{'name':'a'},{'name':'b','image':'y'}]}",
      "{'containers':[{'name':'b','image':'z'}]}", "{'containers':[{'name':'a'},{'name':'b','image':'z'}]}" },
    { "new elements go first", SPEC, "{'containers':[{'name':'a'}]}", "{'containers':[{'name':'b'}]}",
      "{'containers':[{'name':'b'},{'name':'a'}]}" },
    { "known ones keep their place", SPEC, "{'containers':[{'name':'a'},{'name':'b'}]}",
      "{'containers':[{'name':'b','image':'i'},{'name':'c'}]}",
      "{'containers':[{'name':'a'},{'name':'b','image':'i'},{'name':'c'}]}" },
    { "the patch orders its own", SPEC, "{'containers':[{'name':'a'},{'name':'b'}]}",
      "{'containers':[{'name':'b'},{'name':'a'}]}", "{'containers':[{'name':'b'},{'name':'a'}]}" },
    { "into an absent list", SPEC, "{}", "{'containers':[{'name':'a'}]}", "{'containers':[{'name':'a'}]}" },
    { "into an empty list", SPEC, "{'containers':[]}", "{'containers':[{'name':'a','x':null}]}",
      "{'containers':[{'name':'a'}]}" },
    { "an empty list changes nothing", SPEC, "{'containers':[{'name':'a'}]}", "{'containers':[]}",
      "{'containers':[{'name':'a'}]}" },
    { "the same key twice in the patch", SPEC, "{'containers':[]}",
      "{'containers':[{'name':'a','image':'x'},{'name':'a','image':'y'}]}",
      "{'containers':[{'name':'a','image':'y'}]}" },
    { "delete an element", SPEC, "{'containers':[{'name':'a'},{'name':'b'}]}",
      "{'containers':[{'$patch':'delete','name':'a'}]}", "{'containers':[{'name':'b'}]}" },
    { "delete an absent element", SPEC, "{'containers':[{'name':'b'}]}",
      "{'containers':[{'$patch':'delete','name':'a'}]}", "{'containers':[{'name':'b'}]}" },
    { "delete from an absent list", SPEC, "{'nodeName':'n'}", "{'containers':[{'$patch':'delete','name':'a'}]}",
      "{'nodeName':'n','containers':[]}" },
    { "delete and add", SPEC, "{'containers':[{'name':'a','image':'x'},{'name':'b'}]}",
      "{'containers':[{'$patch':'delete','name':'a'},{'name':'a','tty':true}]}",
      "{'containers':[{'name':'a','tty':true},{'name':'b'}]}" },
    { "delete every element of a key", SERVICE, "{'ports':[{'port':1,'protocol':'TCP'},{'port':1,'protocol':'UDP'}]}",
      "{'ports':[{'$patch':'delete','port':1}]}", "{'ports':[]}" },
    { "replace a list", SPEC, "{'containers':[{'name':'a'},{'name':'b'}]}",
      "{'containers':[{'$patch':'replace'},{'name':'c'}]}", "{'containers':[{'name':'c'}]}" },
    { "replace with nothing", SPEC, "{'containers':[{'name':'a'}]}", "{'containers':[{'$patch':'replace'}]}",
      "{'containers':[]}" },
    { "replace the content of an element", SPEC, "{'volumes':[{'name':'v','emptyDir':{}}]}",
      "{'volumes':[{'name':'v','emptyDir':null,'hostPath':{'path':'/x'}}]}",
      "{'volumes':[{'name':'v','hostPath':{'path':'/x'}}]}" },
    { "key of another name: mountPath", CONTAINER, "{'volumeMounts':[{'name':'a','mountPath':'/a'}]}",
      "{'volumeMounts':[{'name':'b','mountPath':'/a'}]}", "{'volumeMounts':[{'name':'b','mountPath':'/a'}]}" },
    { "key that is a number: containerPort", CONTAINER,
      "{'ports':[{'containerPort':80,'name':'http'},{'containerPort':443}]}",
      "{'ports':[{'containerPort':80,'hostPort':8080}]}",
      "{'ports':[{'containerPort':80,'name':'http','hostPort':8080},{'containerPort':443}]}" },
    { "the first of several with one key", CONTAINER,
      "{'ports':[{'containerPort':53,'protocol':'UDP'},{'containerPort':53,'protocol':'TCP'}]}",
      "{'ports':[{'containerPort':53,'name':'dns'}]}",
      "{'ports':[{'containerPort':53,'protocol':'UDP','name':'dns'},{'containerPort':53,'protocol':'TCP'}]}" },
    { "lists within lists", SPEC,
      "{'containers':[{'name':'a','env':[{'name':'X','value':'1'},{'name':'Y','value':'2'}]}]}",
      "{'containers':[{'name':'a','env':[{'name':'Y','value':null,'valueFrom':{}},{'name':'Z','value':'3'}]}]}",
      "{'containers':[{'name':'a','env':[{'name':'X','value':'1'},{'name':'Y','valueFrom':{}},{'name':'Z','value':'3'}]"
      "}]}" },
    { "owners by uid", META, "{'ownerReferences':[{'uid':'1','name':'a'}]}",
      "{'ownerReferences':[{'uid':'1','controller':true},{'uid':'2'}]}",
      "{'ownerReferences':[{'uid':'1','name':'a','controller':true},{'uid':'2'}]}" },
    { "atomic list of maps", SPEC, "{'tolerations':[{'key':'a'},{'key':'b'}]}", "{'tolerations':[{'key':'c'}]}",
      "{'tolerations':[{'key':'c'}]}" },
    { "atomic list of scalars", CONTAINER, "{'args':['a','b'],'command':['c']}", "{'args':['b','d']}",
      "{'args':['b','d'],'command':['c']}" },
    { "null takes the list", SPEC, "{'containers':[{'name':'a'}],'nodeName':'n'}", "{'containers':null}",
      "{'nodeName':'n'}" },
    { "directives do not survive in new parts", POD, "{}",
      "{'spec':{'$retainKeys':['containers'],'$setElementOrder/containers':[{'name':'a'}],'containers':[{'name':'a'},"
      "{'$patch':'delete','name':'b'}],'securityContext':{'$patch':'delete'}}}",
      "{'spec':{'containers':[{'name':'a'}]}}" },
    /* lists of scalars */
    { "scalars merge as a set", META, "{'finalizers':['a','b']}", "{'finalizers':['b','c']}",
      "{'finalizers':['a','b','c']}" },
    { "new scalars go first", META, "{'finalizers':['a','b']}", "{'finalizers':['c']}",
      "{'finalizers':['c','a','b']}" },
    { "scalars twice", META, "{'finalizers':['a']}", "{'finalizers':['b','b','a']}", "{'finalizers':['b','a']}" },
    { "delete from a list", META, "{'finalizers':['a','b','c']}", "{'$deleteFromPrimitiveList/finalizers':['b']}",
      "{'finalizers':['a','c']}" },
    { "delete from an absent list of scalars", META, "{'name':'n'}", "{'$deleteFromPrimitiveList/finalizers':['b']}",
      "{'name':'n'}" },
    { "delete what is not there", META, "{'finalizers':['a']}", "{'$deleteFromPrimitiveList/finalizers':['b']}",
      "{'finalizers':['a']}" },
    { "delete and add scalars", META, "{'finalizers':['a','b']}",
      "{'$deleteFromPrimitiveList/finalizers':['a'],'$setElementOrder/finalizers':['b','c'],'finalizers':['c']}",
      "{'finalizers':['b','c']}" },
    { "delete works on atomic lists too", CONTAINER, "{'args':['a','b','a']}",
      "{'$deleteFromPrimitiveList/args':['a']}", "{'args':['b']}" },
    /* $setElementOrder */
    { "order as told", SPEC, "{'containers':[{'name':'a'},{'name':'b'},{'name':'c'}]}",
      "{'$setElementOrder/containers':[{'name':'c'},{'name':'b'},{'name':'a'}]}",
      "{'containers':[{'name':'c'},{'name':'b'},{'name':'a'}]}" },
    { "order and merge", SPEC, "{'containers':[{'name':'a'},{'name':'b'}]}",
      "{'$setElementOrder/"
      "containers':[{'name':'c'},{'name':'b'},{'name':'a'}],'containers':[{'name':'c','image':'i'}]}",
      "{'containers':[{'name':'c','image':'i'},{'name':'b'},{'name':'a'}]}" },
    { "what only the server has keeps its place", SPEC, "{'containers':[{'name':'a'},{'name':'sidecar'},{'name':'b'}]}",
      "{'$setElementOrder/containers':[{'name':'a'},{'name':'b'}],'containers':[{'name':'b','image':'i'}]}",
      "{'containers':[{'name':'a'},{'name':'sidecar'},{'name':'b','image':'i'}]}" },
    { "server's own against a new order", SPEC, "{'containers':[{'name':'a'},{'name':'s'},{'name':'b'}]}",
      "{'$setElementOrder/containers':[{'name':'b'},{'name':'a'}]}",
      "{'containers':[{'name':'s'},{'name':'b'},{'name':'a'}]}" },
    { "added at the end by order", SPEC, "{'containers':[{'name':'a'}]}",
      "{'$setElementOrder/containers':[{'name':'a'},{'name':'b'}],'containers':[{'name':'b'}]}",
      "{'containers':[{'name':'a'},{'name':'b'}]}" },
    { "delete with order", SPEC, "{'containers':[{'name':'a'},{'name':'b'}]}",
      "{'$setElementOrder/containers':[{'name':'b'}],'containers':[{'$patch':'delete','name':'a'}]}",
      "{'containers':[{'name':'b'}]}" },
    { "order of scalars", META, "{'finalizers':['a','b','c']}", "{'$setElementOrder/finalizers':['c','a']}",
      "{'finalizers':['b','c','a']}" },
    { "order without a list", SPEC, "{'nodeName':'n'}", "{'$setElementOrder/containers':[{'name':'a'}]}",
      "{'nodeName':'n'}" },
    { "order of a new list", SPEC, "{}",
      "{'$setElementOrder/containers':[{'name':'a'},{'name':'b'}],'containers':[{'name':'a'},{'name':'b'}]}",
      "{'containers':[{'name':'a'},{'name':'b'}]}" },
    { "order in an element", SPEC, "{'containers':[{'name':'a','env':[{'name':'X'},{'name':'Y'}]}]}",
      "{'$setElementOrder/containers':[{'name':'a'}],'containers':[{'name':'a','$setElementOrder/env':[{'name':'Y'},"
      "{'name':'X'}]}]}",
      "{'containers':[{'name':'a','env':[{'name':'Y'},{'name':'X'}]}]}" },
    { "what kubectl apply sends", &TYPE_DEPLOYMENT,
      "{'spec':{'template':{'spec':{'containers':[{'name':'app','image':'a:1','terminationMessagePath':'/dev/x'}],"
      "'dnsPolicy':'ClusterFirst'}},'replicas':2}}",
      "{'spec':{'template':{'spec':{'$setElementOrder/containers':[{'name':'app'}],'containers':[{'image':'a:2','name':"
      "'app'}]}}}}",
      "{'spec':{'template':{'spec':{'containers':[{'name':'app','image':'a:2','terminationMessagePath':'/dev/x'}],"
      "'dnsPolicy':'ClusterFirst'}},'replicas':2}}" },
    /* $retainKeys */
    { "retain", DEPLOYMENT, "{'strategy':{'type':'RollingUpdate','rollingUpdate':{'maxSurge':1}}}",
      "{'strategy':{'$retainKeys':['type'],'type':'Recreate'}}", "{'strategy':{'type':'Recreate'}}" },
    { "retain and merge", DEPLOYMENT, "{'strategy':{'type':'RollingUpdate','rollingUpdate':{'maxSurge':1}}}",
      "{'strategy':{'$retainKeys':['rollingUpdate','type'],'rollingUpdate':{'maxUnavailable':0}}}",
      "{'strategy':{'type':'RollingUpdate','rollingUpdate':{'maxSurge':1,'maxUnavailable':0}}}" },
    { "retain in volumes", SPEC, "{'volumes':[{'name':'v','emptyDir':{}}]}",
      "{'volumes':[{'$retainKeys':['name','hostPath'],'name':'v','hostPath':{'path':'/'}}]}",
      "{'volumes':[{'name':'v','hostPath':{'path':'/'}}]}" },
    { "retain nothing", DEPLOYMENT, "{'strategy':{'type':'Recreate'}}", "{'strategy':{'$retainKeys':[]}}",
      "{'strategy':{}}" },
    { "conditions by type", POD, "{'status':{'conditions':[{'type':'Ready','status':'False'},{'type':'X'}]}}",
      "{'status':{'conditions':[{'type':'Ready','status':'True'}]}}",
      "{'status':{'conditions':[{'type':'Ready','status':'True'},{'type':'X'}]}}" },
    { "pod ips by ip", POD, "{'status':{'podIPs':[{'ip':'1'}]}}", "{'status':{'podIPs':[{'ip':'2'}]}}",
      "{'status':{'podIPs':[{'ip':'2'},{'ip':'1'}]}}" },
};

static void test_merge(void **state)
{
    assert_true(ARRAY_LEN(mergings) >= 60);
    for (size_t i = 0; i < ARRAY_LEN(mergings); i++) {
        const struct merging *c = &mergings[i];
        struct arena arena;
        struct err err = { 0 };

        arena_init(&arena, 0);
        struct json *object = parse(&arena, c->object);

        if (object_strategic_merge(&arena, c->type, &object, parse(&arena, c->patch), &err) < 0)
            fail_msg("%s: %s", c->name, err.message);
        assert_text(&arena, c->name, object, c->want);
        arena_deinit(&arena);
    }
}

static const struct refusal {
    const char *object, *patch;
    enum err_code code;
    const char *want;
} refusals[] = {
    { "{'containers':[{'name':'a'}]}", "{'containers':[{'image':'x'}]}", ERR_BAD_REQUEST,
      "map: {'image':'x'} does not contain declared merge key: name" },
    { "{'containers':[{'image':'a'}]}", "{'containers':[{'name':'x'}]}", ERR_BAD_REQUEST,
      "map: {'image':'a'} does not contain declared merge key: name" },
    { "{'containers':[]}", "{'containers':[{'$patch':'delete'}]}", ERR_BAD_REQUEST,
      "map: {'$patch':'delete'} does not contain declared merge key: name" },
    { "{'containers':[]}", "{'containers':[{'$patch':'x','name':'a'}]}", ERR_BAD_REQUEST,
      "unknown patch type: 'x' in map: {'$patch':'x','name':'a'}" },
    { "{'nodeSelector':{}}", "{'nodeSelector':{'$patch':1}}", ERR_BAD_REQUEST,
      "unknown patch type: 1 in map: {'$patch':1}" },
    { "{'containers':[]}", "{'containers':['a']}", ERR_BAD_REQUEST, "list element types are not identical" },
    { "{'containers':[]}", "{'containers':[{'name':'a'},[]]}", ERR_BAD_REQUEST,
      "list element types are not identical" },
    { "{'securityContext':{}}", "{'securityContext':{'$retainKeys':['a'],'b':1}}", ERR_INVALID,
      "patch content doesn't match retainKeys list" },
    { "{'securityContext':{}}", "{'securityContext':{'$retainKeys':'a'}}", ERR_BAD_REQUEST,
      "invalid patch format of retainKeys" },
    { "{'securityContext':{}}", "{'securityContext':{'$retainKeys':[1]}}", ERR_BAD_REQUEST,
      "invalid patch format of retainKeys" },
    { "{'containers':[]}", "{'$setElementOrder/containers':1,'containers':[]}", ERR_BAD_REQUEST,
      "invalid patch format of setElementOrder list" },
    { "{'containers':[]}", "{'$setElementOrder/containers':[],'containers':{}}", ERR_BAD_REQUEST,
      "invalid patch format of setElementOrder list" },
    { "{'containers':[{'name':'a'}]}",
      "{'$setElementOrder/containers':[{'name':'a'},{'name':'b'}],'containers':"
      "[{'name':'b'},{'name':'a'}]}",
      ERR_BAD_REQUEST,
      "The order in patch list:\n[{'name':'b'},{'name':'a'}]\n doesn't match $setElementOrder list:\n"
      "[{'name':'a'},{'name':'b'}]\n" },
    { "{}", "{'$setElementOrder/foo':[]}", ERR_BAD_REQUEST,
      "unable to find api field in struct io.k8s.api.core.v1.PodSpec for the json field 'foo'" },
    { "{'nodeSelector':{}}", "{'nodeSelector':{'$setElementOrder/foo':[]}}", ERR_BAD_REQUEST,
      "unable to find api field in struct map for the json field 'foo'" },
    { "{'args':[]}", "{'$deleteFromPrimitiveList/args':'a'}", ERR_BAD_REQUEST,
      "invalid patch format of primitive list" },
    { "{}", "[]", ERR_BAD_REQUEST, "a strategic merge patch must be an object" },
};

static void test_refusals(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(refusals); i++) {
        struct arena arena;
        struct err err = { 0 };

        arena_init(&arena, 0);
        struct json *object = parse(&arena, refusals[i].object);
        int r = object_strategic_merge(&arena, SPEC, &object, parse(&arena, refusals[i].patch), &err);

        for (char *c = err.message; *c; c++)
            if (*c == '"')
                *c = '\'';
        assert_string_equal(err.message, refusals[i].want);
        assert_int_equal(r, -(int)refusals[i].code);
        arena_deinit(&arena);
    }
}

/* Long lists go through a hash map: the result is the same as for short ones. */
static void test_long_lists(void **state)
{
    enum { COUNT = 2000 };
    AUTO_DEINIT(buf, object_text) = BUF_INIT;
    AUTO_DEINIT(buf, patch_text) = BUF_INIT;
    struct arena arena;
    struct err err = { 0 };
    struct json *object, *patch;

    arena_init(&arena, 0);
    buf_add_str(&object_text, STR("{\"containers\":["));
    buf_add_str(&patch_text, STR("{\"containers\":["));
    for (int i = 0; i < COUNT; i++) {
        buf_printf(&object_text, "%s{\"name\":\"c%d\"}", i ? "," : "", i);
        buf_printf(&patch_text, "%s{\"name\":\"c%d\",%s}", i ? "," : "", i + COUNT / 2,
                   i % 2 ? "\"image\":\"i\"" : "\"$patch\":\"delete\"");
    }
    buf_add_str(&object_text, STR("]}"));
    buf_add_str(&patch_text, STR("]}"));
    assert_int_equal(json_parse(&arena, buf_str(&object_text), NULL, &object, &err), 0);
    assert_int_equal(json_parse(&arena, buf_str(&patch_text), NULL, &patch, &err), 0);
    assert_int_equal(object_strategic_merge(&arena, SPEC, &object, patch, &err), 0);

    struct json *containers = json_member(object, "containers");
    uint32_t at = 0;

    assert_int_equal(containers->count, COUNT + COUNT / 2 - COUNT / 2);
    for (int i = 0; i < COUNT + COUNT / 2; i++) {
        char name[16];

        if (i >= COUNT / 2 && (i - COUNT / 2) % 2 == 0)
            continue;
        snprintf(name, sizeof name, "c%d", i);
        assert_true(str_is(json_str_at(&containers->items[at], "name"), name));
        assert_true((json_member(&containers->items[at], "image") != NULL) == (i >= COUNT / 2));
        at++;
    }
    arena_deinit(&arena);
}

/* An object merged into itself stays what it is, whatever its type. */
static void test_random_identity(void **state)
{
    for (size_t i = 0; i < api_type_count * 2; i++) {
        const struct type *type = api_types[i / 2];
        struct seeded_rng rng;
        struct arena arena;
        struct err err = { 0 };

        arena_init(&arena, 0);
        seeded_rng_init(&rng, i);
        struct json *object = random_object(&arena, &rng.rng, type), *empty = json_new(&arena, JSON_OBJECT);
        const char *before = text_of(&arena, object);

        assert_int_equal(object_strategic_merge(&arena, type, &object, empty, &err), 0);
        assert_string_equal(text_of(&arena, object), before);
        arena_deinit(&arena);
    }
}

static void test_no_memory(void **state)
{
    const struct merging *wanted[] = { &mergings[7],  &mergings[44], &mergings[56],
                                       &mergings[59], &mergings[60], &mergings[70] };

    for (size_t i = 0; i < ARRAY_LEN(wanted); i++) {
        size_t limit = 16;
        int r;

        do {
            struct arena source, arena;
            struct err err = { 0 };

            arena_init(&source, 0);
            arena_init(&arena, limit);
            struct json *object = parse(&source, wanted[i]->object), *patch = parse(&source, wanted[i]->patch);

            r = object_strategic_merge(&arena, wanted[i]->type, &object, patch, &err);
            assert_true(r == 0 || r == -ERR_NO_MEMORY);
            assert_true(r == 0 || arena_failed(&arena));
            arena_deinit(&arena);
            arena_deinit(&source);
            limit += 16;
        } while (r < 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_merge),           cmocka_unit_test(test_refusals),  cmocka_unit_test(test_long_lists),
        cmocka_unit_test(test_random_identity), cmocka_unit_test(test_no_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
