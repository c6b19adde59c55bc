/* Reviews: which questions are taken, and with which causes the others are refused. */
#include "fixture.h"

#define AUTHORIZATION "/apis/authorization.k8s.io/v1/"
#define SELF AUTHORIZATION "selfsubjectaccessreviews"
#define SUBJECT AUTHORIZATION "subjectaccessreviews"
#define LOCAL AUTHORIZATION "namespaces/default/localsubjectaccessreviews"
#define RULES AUTHORIZATION "selfsubjectrulesreviews"
#define TOKENS "/apis/authentication.k8s.io/v1/tokenreviews"
#define PODS_IN(ns) "'resourceAttributes':{'namespace':'" ns "','verb':'get','resource':'pods'}"
#define PATH "'nonResourceAttributes':{'path':'/x','verb':'get'}"

static const struct {
    const char *name, *target, *body;
    const char *causes[4]; /* "field: reason: part of the message"; none: it is answered */
} cases[] = {
    { "oneself", SELF, "{'spec':{" PODS_IN("a") "}}", { NULL } },
    { "oneself, a path", SELF, "{'metadata':{'creationTimestamp':null},'spec':{" PATH "}}", { NULL } },
    { "nothing is asked",
      SELF,
      "{'spec':{}}",
      { "spec.resourceAttributes: FieldValueInvalid: exactly one of nonResourceAttributes or resourceAttributes "
        "must" } },
    { "two things are asked",
      SELF,
      "{'spec':{" PODS_IN("a") "," PATH "}}",
      { "spec.nonResourceAttributes: FieldValueInvalid: cannot be specified in combination with resourceAttributes" } },
    { "more is said",
      SELF,
      "{'metadata':{'name':'a'},'spec':{" PATH "}}",
      { "metadata: FieldValueInvalid: must be empty" } },
    { "somebody", SUBJECT, "{'spec':{'user':'ann'," PODS_IN("a") "}}", { NULL } },
    { "a group", SUBJECT, "{'spec':{'groups':['cooks']," PATH "}}", { NULL } },
    { "nobody",
      SUBJECT,
      "{'spec':{" PATH "}}",
      { "spec.user: FieldValueInvalid: at least one of user or group must be specified" } },
    { "nobody, nothing",
      SUBJECT,
      "{'spec':{}}",
      { "spec.resourceAttributes: FieldValueInvalid: exactly one of",
        "spec.user: FieldValueInvalid: at least one of user or group" } },
    { "selectors",
      SUBJECT,
      "{'spec':{'user':'ann','resourceAttributes':{'verb':'list','resource':'pods','fieldSelector':{'requirements':"
      "[{'key':'a','operator':'In','values':['b']},{'key':'a','operator':'Newer'}]},'labelSelector':{'rawSelector':"
      "'a=b'}}}}",
      { NULL } },
    { "empty selectors",
      SUBJECT,
      "{'spec':{'user':'ann','resourceAttributes':{'verb':'list','fieldSelector':{},'labelSelector':{'rawSelector':'a',"
      "'requirements':[{'key':'a','operator':'Exists'}]}}}}",
      { "spec.resourceAttributes.fieldSelector.requirements: FieldValueRequired: when spec.resourceAttributes.",
        "spec.resourceAttributes.labelSelector.rawSelector: FieldValueInvalid: may not specified at the same time" } },
    { "requirements",
      SUBJECT,
      "{'spec':{'user':'ann','resourceAttributes':{'verb':'list','fieldSelector':{'requirements':[{'key':'','operator':"
      "'Exists'},{'key':'a','operator':'In'},{'key':'a','operator':'Exists','values':['b']}]},'labelSelector':"
      "{'requirements':[{'key':'a b','operator':'Exists'}]}}}}",
      { "spec.resourceAttributes.fieldSelector.requirements[0].key: FieldValueRequired: must be specified",
        "spec.resourceAttributes.fieldSelector.requirements[1].values: FieldValueRequired: must be specified when",
        "spec.resourceAttributes.fieldSelector.requirements[2].values: FieldValueForbidden: may not be specified when",
        "spec.resourceAttributes.labelSelector.requirements[0].key: FieldValueInvalid: name part must consist of" } },
    { "in a namespace",
      LOCAL,
      "{'metadata':{'namespace':'default'},'spec':{'user':'ann'," PODS_IN("default") "}}",
      { NULL } },
    { "in another namespace",
      LOCAL,
      "{'spec':{'user':'ann'," PODS_IN("other") "}}",
      { "spec.resourceAttributes.namespace: FieldValueInvalid: must match metadata.namespace" } },
    { "a path in a namespace",
      LOCAL,
      "{'metadata':{'labels':{'a':'b'}},'spec':{'user':'ann'," PATH "}}",
      { "spec.nonResourceAttributes: FieldValueInvalid: disallowed on this kind of request",
        "metadata: FieldValueInvalid: must be empty except for namespace" } },
};

/* The cause that text describes, among those of the answer. */
static bool has_cause(struct answer answer, const char *text)
{
    const struct json *causes = json_at(answer.json, "details.causes");
    struct str wanted = str_from(text);

    for (uint32_t i = 0; json_is(causes, JSON_ARRAY) && i < causes->count; i++) {
        struct str field = json_str(json_member(&causes->items[i], "field"));
        struct str reason = json_str(json_member(&causes->items[i], "reason"));

        if (str_has_prefix(wanted, field) && str_find(wanted, reason) == (ssize_t)field.len + 2 &&
            str_find(json_str(json_member(&causes->items[i], "message")),
                     str_skip(wanted, field.len + 2 + reason.len + 2)) >= 0)
            return true;
    }
    return false;
}

static void test_access(void **state)
{
    struct fixture f;

    (void)state;
    fixture_init(&f);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        size_t count = 0;

        while (count < ARRAY_LEN(cases[i].causes) && cases[i].causes[count])
            count++;
        struct answer answer = send(&f, "POST", cases[i].target, cases[i].body);
        const struct json *causes = json_at(answer.json, "details.causes");

        if (answer.status != (count ? 422 : 201) || (causes ? causes->count : 0) != count)
            fail_msg("%s: %d %s", cases[i].name, answer.status, answer.text);
        for (size_t j = 0; j < count; j++)
            if (!has_cause(answer, cases[i].causes[j]))
                fail_msg("%s: no %s in %s", cases[i].name, cases[i].causes[j], answer.text);
    }
    fixture_deinit(&f);
}

static void test_bad_requests(void **state)
{
    struct fixture f;

    (void)state;
    fixture_init(&f);
    must(&f, 400, "POST", LOCAL, "{'metadata':{'namespace':'other'},'spec':{'user':'ann'," PODS_IN("other") "}}");
    must(&f, 400, "POST", RULES, "{'spec':{}}");
    must(&f, 201, "POST", RULES, "{'spec':{'namespace':'default'}}");
    must(&f, 400, "POST", TOKENS, "{'spec':{}}");
    must(&f, 201, "POST", TOKENS, "{'spec':{'token':'x'}}");
    fixture_deinit(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_access),
        cmocka_unit_test(test_bad_requests),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
