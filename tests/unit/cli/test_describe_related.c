/* What stands in other objects: endpoints, pods of a node, ReplicaSets. */
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "cli/describe_related.h"

#define SLICE(ports, endpoints) "{'ports':" ports ",'endpoints':[" endpoints "]}"
#define READY(ip) "{'addresses':['" ip "'],'conditions':{'ready':true}}"
#define SET(name, owner, revision, have, want)                                                        \
    "{'metadata':{'name':'" name "','ownerReferences':[{'uid':'" owner "'}],'annotations':"            \
    "{'deployment.kubernetes.io/revision':'" revision "'}},'spec':{'replicas':" want "},"              \
    "'status':{'replicas':" have "}}"
#define DEPLOYMENT "{'metadata':{'uid':'d','annotations':{'deployment.kubernetes.io/revision':'2'}}}"
#define NODE "{'status':{'allocatable':{'cpu':'4','memory':'1Gi','pods':'110','x/gpu':'2'}}}"

typedef void describe(struct doc *doc, const struct json *object, const struct json *items, nsec_t now);

static const struct {
    const char *name;
    describe *describe;
    const char *object, *items, *want;
} cases[] = {
    { "no endpoints", describe_endpoints, "{'spec':{'ports':[{'port':80}]}}", "[]", "Endpoints:  <none>\n" },
    { "ready ones of one port", describe_endpoints, "{'spec':{'ports':[{'port':80}]}}",
      "[" SLICE("[{'name':'','port':8080}]",
                READY("10.0.0.1") ",{'addresses':['10.0.0.2'],'conditions':{'ready':false}},{'addresses':['fd00::1']}") "]",
      "Endpoints:  10.0.0.1:8080,[fd00::1]:8080\n" },
    { "several ports", describe_endpoints, "{'spec':{'ports':[{'name':'a'},{'name':'b'}]}}",
      "[" SLICE("[{'name':'b','port':2},{'name':'a','port':1}]", READY("10.0.0.1")) "]",
      "Endpoints:\n  a:  10.0.0.1:1\n  b:  10.0.0.1:2\n" },
    { "no port", describe_endpoints, "{'spec':{'clusterIP':'None'}}", "[" SLICE("[]", READY("10.0.0.1")) "]",
      "Endpoints:  10.0.0.1\n" },
    { "many", describe_endpoints, "{'spec':{}}",
      "[" SLICE("[]", READY("1") "," READY("2") "," READY("3") "," READY("4") "," READY("5") "," READY("6")) ","
      SLICE("[]", READY("7") "," READY("8") "," READY("9") "," READY("10") "," READY("11") "," READY("12")) "]",
      "Endpoints:  1,2,3,4,5,6,7,8,9,10 + 2 more\n" },
    { "replica sets", describe_replica_sets, DEPLOYMENT,
      "[" SET("a", "d", "1", "0", "0") "," SET("b", "other", "2", "1", "1") "," SET("c", "d", "2", "1", "3") "]",
      "Old Replica Sets:  a (0/0 replicas created)\nNew Replica Set:   c (1/3 replicas created)\n" },
    { "no replica sets", describe_replica_sets, DEPLOYMENT, "[]",
      "Old Replica Sets:  <none>\nNew Replica Set:   <none>\n" },
    { "a node without pods", describe_node_pods, NODE, "[]",
      "Pods:  <none>\n"
      "Allocated Resources:\n"
      "  RESOURCE   REQUESTS   LIMITS\n"
      "  cpu        0 (0%)     0 (0%)\n"
      "  memory     0 (0%)     0 (0%)\n"
      "  x/gpu      0 (0%)     0 (0%)\n" },
    { "pods of a node", describe_node_pods, NODE,
      "[{'metadata':{'namespace':'n','name':'p','creationTimestamp':'2026-01-01T00:00:00Z'},'spec':{"
      "'overhead':{'cpu':'100m'},'initContainers':["
      "{'restartPolicy':'Always','resources':{'requests':{'cpu':'200m'}}},"
      "{'resources':{'requests':{'cpu':'1','memory':'64Mi'}}}],"
      "'containers':[{'resources':{'requests':{'cpu':'300m','memory':'128Mi','x/gpu':'1'},'limits':{'memory':'512Mi'}}},"
      "{'resources':{'requests':{'cpu':'100m'}}}]}},"
      "{'metadata':{'namespace':'n','name':'q'},'spec':{'resources':{'requests':{'cpu':'700m'}},"
      "'containers':[{'resources':{'requests':{'cpu':'300m'}}}]}}]",
      "Pods:\n"
      "  NAMESPACE   NAME   CPU REQUESTS   CPU LIMITS   MEMORY REQUESTS   MEMORY LIMITS   AGE\n"
      "  n           p      1300m          0            128Mi             512Mi           60s\n"
      "  n           q      700m           0            0                 0               <unknown>\n"
      "Allocated Resources:\n"
      "  RESOURCE   REQUESTS      LIMITS\n"
      "  cpu        2 (50%)       0 (0%)\n"
      "  memory     128Mi (12%)   512Mi (50%)\n"
      "  x/gpu      1 (50%)       0 (0%)\n" },
    { "wrong forms", describe_node_pods, "{'status':3}", "[1,{'spec':{'containers':{'a':1},'initContainers':[2]}}]",
      "Pods:\n"
      "  NAMESPACE   NAME   CPU REQUESTS   CPU LIMITS   MEMORY REQUESTS   MEMORY LIMITS   AGE\n"
      "                     0              0            0                 0               <unknown>\n"
      "                     0              0            0                 0               <unknown>\n"
      "Allocated Resources:\n"
      "  RESOURCE   REQUESTS   LIMITS\n" },
    { "wrong forms of endpoints", describe_endpoints, "{'spec':{'ports':[{'name':2}]}}",
      "[1,{'ports':[3],'endpoints':[4,{'addresses':[5]},{'addresses':6}]}]", "" },
};

static struct json *parsed(struct arena *arena, const char *text)
{
    char *copy = arena_cstr(arena, str_from(text));
    struct json *json;

    for (char *p = copy; *p; p++)
        if (*p == '\'')
            *p = '"';
    assert_int_equal(json_parse(arena, str_from(copy), NULL, &json, NULL), 0);
    return json;
}

static void test_cases(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        AUTO(arena) arena = arena_new(0);
        char *text = NULL;
        size_t len;
        FILE *out = open_memstream(&text, &len);
        struct doc doc;

        doc_init(&doc, arena);
        cases[i].describe(&doc, parsed(arena, cases[i].object), parsed(arena, cases[i].items),
                          1767225660 * NSEC_PER_SEC);
        assert_false(doc.failed);
        assert_int_equal(doc_print(&doc, out, NULL), 0);
        fclose(out);
        if (*cases[i].want && strcmp(text, cases[i].want) != 0)
            fail_msg("%s:\n%s, not\n%s", cases[i].name, text, cases[i].want);
        free(text);
        doc_deinit(&doc);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_cases) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
