/* Which pods go first: each row is a pair, the first of which goes before the second. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "api/core_v1.h"
#include "api/resources.h"
#include "controllers/pod_ranking.h"

#define META(more) \
    "'metadata':{'name':'p','namespace':'d','uid':'u','creationTimestamp':'2026-01-01T00:00:00Z'" more "}"
#define READY(time) "'conditions':[{'type':'Ready','status':'True','lastTransitionTime':'" time "'}]"
#define ON(node) "'spec':{'nodeName':'" node "'}"
#define RESTARTS(n) "'containerStatuses':[{'name':'c','restartCount':" #n "}]"
#define COST(n) ",'annotations':{'controller.kubernetes.io/pod-deletion-cost':'" #n "'}"

static const struct ranking_case {
    const char *name, *first, *second;
} cases[] = {
    { "unassigned first", "{" META("") "}", "{" META("") "," ON("n") "}" },
    { "unassigned before pending", "{" META("") ",'status':{'phase':'Running'}}",
      "{" META("") "," ON("n") ",'status':{'phase':'Pending'}}" },
    { "pending before running", "{" META("") "," ON("n") ",'status':{'phase':'Pending'}}",
      "{" META("") "," ON("n") ",'status':{'phase':'Running'}}" },
    { "pending before unknown", "{" META("") "," ON("n") ",'status':{'phase':'Pending'}}",
      "{" META("") "," ON("n") ",'status':{'phase':'Unknown'}}" },
    { "unknown before running", "{" META("") "," ON("n") ",'status':{'phase':'Unknown'}}",
      "{" META("") "," ON("n") ",'status':{'phase':'Running'}}" },
    { "not ready before ready", "{" META("") "," ON("n") ",'status':{'phase':'Running'}}",
      "{" META("") "," ON("n") ",'status':{'phase':'Running'," READY("2026-01-01T00:00:00Z") "}}" },
    { "cheap before dear", "{" META(COST(-1)) "," ON("n") "}", "{" META("") "," ON("n") "}" },
    { "a cost that is no number is none", "{" META(COST(-1)) "," ON("n") "}", "{" META(COST(x)) "," ON("n") "}" },
    { "not ready before cheap", "{" META(COST(5)) "," ON("n") ",'status':{'phase':'Running'}}",
      "{" META(COST(1)) "," ON("n") ",'status':{'phase':'Running'," READY("2026-01-01T00:00:00Z") "}}" },
    { "ready for less time", "{" META("") "," ON("n") ",'status':{" READY("2026-01-09T23:59:00Z") "}}",
      "{" META("") "," ON("n") ",'status':{" READY("2026-01-01T00:00:00Z") "}}" },
    { "more restarts", "{" META("") "," ON("n") ",'status':{" RESTARTS(3) "}}",
      "{" META("") "," ON("n") ",'status':{" RESTARTS(1) "}}" },
    { "younger",
      "{'metadata':{'name':'p','namespace':'d','uid':'u','creationTimestamp':'2026-01-09T23:59:59Z'}," ON("n") "}",
      "{" META("") "," ON("n") "}" },
    { "the uid at last",
      "{'metadata':{'name':'q','namespace':'d','uid':'a','creationTimestamp':'2026-01-01T00:00:00Z'}}",
      "{" META("") "}" },
};

static struct object *object_from(const char *text)
{
    struct object *object;
    char *copy = strdup(text);

    for (char *p = copy; *p; p++)
        if (*p == '\'')
            *p = '"';
    AUTO(blob) blob = blob_copy(str_from(copy));
    struct err err = { 0 };

    free(copy);
    if (object_new(&RESOURCE_PODS, blob, &object, &err) < 0)
        fail_msg("%s", err.message);
    return object;
}

#define NOW 1768003200LL * NSEC_PER_SEC /* 2026-01-10 */

static void test_pairs(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        for (int swapped = 0; swapped < 2; swapped++) {
            AUTO(object) first = object_from(cases[i].first);
            AUTO(object) second = object_from(cases[i].second);
            struct object *pods[] = { swapped ? second : first, swapped ? first : second };
            const struct object_list fellows = { pods, 2 };

            pods_rank_for_deletion(pods, 2, &fellows, NOW);
            if (pods[0] != first)
                fail_msg("%s%s", cases[i].name, swapped ? ", swapped" : "");
        }
}

/* Three on one node, one alone: one of the three goes first. */
static void test_fellows(void **state)
{
    (void)state;
    struct object *pods[4];
    struct object *fellows[4];

    for (int i = 0; i < 4; i++) {
        char text[256];

        snprintf(text, sizeof text, "{'metadata':{'name':'%d','namespace':'d','uid':'%d'},'spec':{'nodeName':'%s'}}", i,
                 i, i == 0 ? "lonely" : "crowded");
        pods[i] = object_from(text);
    }
    memcpy(fellows, pods, sizeof fellows);
    pods_rank_for_deletion(pods, 4, &(struct object_list){ fellows, 4 }, NOW);
    assert_int_equal(pods[3]->meta->name.data[0], '0');
    for (int i = 0; i < 4; i++)
        object_unref(pods[i]);
}

static const struct CMUnitTest tests[] = { cmocka_unit_test(test_pairs), cmocka_unit_test(test_fellows) };

int main(void)
{
    return cmocka_run_group_tests(tests, NULL, NULL);
}
