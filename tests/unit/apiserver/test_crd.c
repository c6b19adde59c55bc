/* Custom resources: definitions and their objects, step by step in one server. */
#include "fixture.h"

#include "base/buf.h"

struct step {
    const char *name, *method, *target, *body, *content_type;
    int status;
    const char *contains; /* in the answer, ' for "; a leading '!': must not be there */
};

static void walk(struct fixture *f, const struct step *steps, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const struct step *s = &steps[i];
        struct answer a = send_raw(f, &(struct raw){ s->method, s->target, s->body, s->content_type });
        bool absent = s->contains && s->contains[0] == '!';
        struct str want = s->contains ? quoted(f->arena, s->contains + absent) : STR("");
        bool found = str_find(str_from(a.text ? a.text : ""), want) >= 0;

        if (a.status != s->status || found == absent)
            fail_msg("%s: status %d (want %d), answer %s (want %s%.*s)", s->name, a.status, s->status, a.text,
                     absent ? "no " : "", (int)want.len, want.data);
    }
}

#define WALK(f, steps) walk(f, steps, ARRAY_LEN(steps))

#define MERGE "application/merge-patch+json"
#define APPLY "application/apply-patch+yaml"
#define JSON_PATCH "application/json-patch+json"
#define STRATEGIC "application/strategic-merge-patch+json"
#define CRDS "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
#define TABS "/apis/stable.example.com/v1/namespaces/default/crontabs"

/* A definition with one version of that schema, and more of the version behind it. */
#define DEFINITION(plural, kind, schema, more)                                                                   \
    "{'apiVersion':'apiextensions.k8s.io/v1','kind':'CustomResourceDefinition','metadata':{'name':'" plural      \
    ".stable.example.com'},'spec':{'group':'stable.example.com','scope':'Namespaced','names':{'plural':'" plural \
    "','kind':'" kind "','shortNames':['" plural "s']},'versions':[{'name':'v1','served':true,'storage':true,"   \
    "'schema':{'openAPIV3Schema':" schema "}" more "}]}}"

#define SPEC(properties) "{'type':'object','properties':{'spec':{'type':'object','properties':{" properties "}}}}"

#define CRON_SCHEMA                                                                                                    \
    "{'type':'object','description':'A job by the clock.','properties':{'spec':{'type':'object','required':['cron'],"  \
    "'properties':{"                                                                                                   \
    "'cron':{'type':'string','pattern':'^[0-9*/ ]+$','minLength':3,'maxLength':20},"                                   \
    "'replicas':{'type':'integer','minimum':1,'maximum':10,'default':1},"                                              \
    "'policy':{'type':'string','enum':['Allow','Forbid']},"                                                            \
    "'note':{'type':'string','nullable':true,'default':'none'},"                                                       \
    "'port':{'x-kubernetes-int-or-string':true},"                                                                      \
    "'free':{'type':'object','x-kubernetes-preserve-unknown-fields':true},"                                            \
    "'labels':{'type':'object','additionalProperties':{'type':'string'},'maxProperties':2},"                           \
    "'steps':{'type':'array','maxItems':3,'x-kubernetes-list-type':'map','x-kubernetes-list-map-keys':['name'],"       \
    "'items':{'type':'object','required':['name'],'properties':{'name':{'type':'string'},'image':{'type':'string'}}}}" \
    ","                                                                                                                \
    "'either':{'type':'object','properties':{'a':{'type':'string'},'b':{'type':'string'}},"                            \
    "'oneOf':[{'required':['a']},{'required':['b']}]}}},"                                                              \
    "'status':{'type':'object','properties':{'replicas':{'type':'integer'},'selector':{'type':'string'}}}}}"
#define CRON_MORE                                                                                              \
    ",'subresources':{'status':{},'scale':{'specReplicasPath':'.spec.replicas','statusReplicasPath':'.status." \
    "replicas',"                                                                                               \
    "'labelSelectorPath':'.status.selector'}},'selectableFields':[{'jsonPath':'.spec.policy'}],"               \
    "'additionalPrinterColumns':[{'name':'Cron','type':'string','jsonPath':'.spec.cron'},"                     \
    "{'name':'Age','type':'date','jsonPath':'.metadata.creationTimestamp'}]"
#define CRON DEFINITION("crontabs", "CronTab", CRON_SCHEMA, CRON_MORE)
#define TAB(name, spec) \
    "{'apiVersion':'stable.example.com/v1','kind':'CronTab','metadata':{'name':'" name "'},'spec':{" spec "}}"

static const struct step definition_steps[] = {
    { "nothing there yet", "GET", TABS, NULL, NULL, 404, "could not find" },
    { "create", "POST", CRDS, CRON, NULL, 201, "'type':'Established'" },
    { "names are defaulted", "GET", CRDS "/crontabs.stable.example.com", NULL, NULL, 200,
      "'acceptedNames':{'kind':'CronTab','listKind':'CronTabList','plural':'crontabs'" },
    { "stored versions", "GET", CRDS "/crontabs.stable.example.com", NULL, NULL, 200, "'storedVersions':['v1']" },
    { "finalizer", "GET", CRDS "/crontabs.stable.example.com", NULL, NULL, 200,
      "'customresourcecleanup.apiextensions.k8s.io'" },
    { "group list", "GET", "/apis", NULL, NULL, 200, "'groupVersion':'stable.example.com/v1'" },
    { "group", "GET", "/apis/stable.example.com", NULL, NULL, 200,
      "'preferredVersion':{'groupVersion':'stable.example.com/v1'" },
    { "resources", "GET", "/apis/stable.example.com/v1", NULL, NULL, 200,
      "'name':'crontabs','singularName':'crontab','namespaced':true,'kind':'CronTab','verbs':" },
    { "short names", "GET", "/apis/stable.example.com/v1", NULL, NULL, 200, "'shortNames':['crontabss']" },
    { "subresources", "GET", "/apis/stable.example.com/v1", NULL, NULL, 200, "'name':'crontabs/scale'" },
    { "OpenAPI index", "GET", "/openapi/v3", NULL, NULL, 200, "'apis/stable.example.com/v1'" },
    { "OpenAPI", "GET", "/openapi/v3/apis/stable.example.com/v1", NULL, NULL, 200,
      "'description':'A job by the clock.'" },
    { "OpenAPI name", "GET", "/openapi/v3/apis/stable.example.com/v1", NULL, NULL, 200,
      "'com.example.stable.v1.CronTab'" },
    { "OpenAPI 2", "GET", "/openapi/v2", NULL, NULL, 200, "'com.example.stable.v1.CronTab'" },
    { "an empty list", "GET", TABS, NULL, NULL, 200, "'kind':'CronTabList'" },
    { "of all namespaces", "GET", "/apis/stable.example.com/v1/crontabs", NULL, NULL, 200, "'items':[]" },
};

static const struct step object_steps[] = {
    { "create", "POST", TABS, TAB("a", "'cron':'* * *'"), NULL, 201, "'replicas':1" },
    { "default of a string", "GET", TABS "/a", NULL, NULL, 200, "'note':'none'" },
    { "twice", "POST", TABS, TAB("a", "'cron':'* * *'"), NULL, 409,
      "crontabs.stable.example.com \\'a\\' already exists" },
    { "generation", "GET", TABS "/a", NULL, NULL, 200, "'generation':1" },
    { "list", "GET", TABS, NULL, NULL, 200, "'cron':'* * *'" },
    { "absent", "GET", TABS "/b", NULL, NULL, 404, "crontabs.stable.example.com \\'b\\' not found" },
    { "required", "POST", TABS, TAB("b", ""), NULL, 422,
      "CronTab.stable.example.com \\'b\\' is invalid: spec.cron: Required value" },
    { "type", "POST", TABS, TAB("b", "'cron':3"), NULL, 422,
      "spec.cron: Invalid value: \\'integer\\': spec.cron in body must be of type string: \\'integer\\'" },
    { "pattern", "POST", TABS, TAB("b", "'cron':'abc'"), NULL, 422,
      "spec.cron: Invalid value: \\'abc\\': spec.cron in body should match" },
    { "short", "POST", TABS, TAB("b", "'cron':'*'"), NULL, 422, "should be at least 3 chars long" },
    { "long", "POST", TABS, TAB("b", "'cron':'* * * * * * * * * * * *'"), NULL, 422,
      "Too long: may not be more than 20" },
    { "minimum", "POST", TABS, TAB("b", "'cron':'* *','replicas':0"), NULL, 422,
      "spec.replicas: Invalid value: 0: spec.replicas in body should be greater than or equal to 1" },
    { "maximum", "POST", TABS, TAB("b", "'cron':'* *','replicas':11"), NULL, 422,
      "should be less than or equal to 10" },
    { "enum", "POST", TABS, TAB("b", "'cron':'* *','policy':'x'"), NULL, 422,
      "spec.policy: Unsupported value: \\'x\\': supported values: \\'Allow\\', \\'Forbid\\'" },
    { "int or string", "POST", TABS "?dryRun=All", TAB("b", "'cron':'* *','port':true"), NULL, 422,
      "must be of type integer,string" },
    { "int", "POST", TABS "?dryRun=All", TAB("b", "'cron':'* *','port':8"), NULL, 201, "'port':8" },
    { "string", "POST", TABS "?dryRun=All", TAB("b", "'cron':'* *','port':'8'"), NULL, 201, "'port':'8'" },
    { "nullable", "POST", TABS "?dryRun=All", TAB("b", "'cron':'* *','note':null"), NULL, 201, "'note':null" },
    { "null is absent", "POST", TABS "?dryRun=All", TAB("b", "'cron':'* *','replicas':null"), NULL, 201,
      "'replicas':1" },
    { "map", "POST", TABS "?dryRun=All", TAB("b", "'cron':'* *','labels':{'a':1}"), NULL, 422,
      "must be of type string" },
    { "map too large", "POST", TABS, TAB("b", "'cron':'* *','labels':{'a':'1','b':'2','c':'3'}"), NULL, 422,
      "Too many: 3" },
    { "duplicate key", "POST", TABS, TAB("b", "'cron':'* *','steps':[{'name':'x'},{'name':'x'}]"), NULL, 422,
      "spec.steps[1]: Duplicate value" },
    { "too many", "POST", TABS, TAB("b", "'cron':'* *','steps':[{'name':'x'},{'name':'y'},{'name':'z'},{'name':'q'}]"),
      NULL, 422, "spec.steps: Too many: 4: must have at most 3 items" },
    { "one of", "POST", TABS, TAB("b", "'cron':'* *','either':{'a':'1','b':'2'}"), NULL, 422,
      "must validate one and only one schema (oneOf). Found more than one valid" },
    { "pruned", "POST", TABS "?dryRun=All", TAB("b", "'cron':'* *','zip':1"), NULL, 201, "!zip" },
    { "strict", "POST", TABS "?fieldValidation=Strict", TAB("b", "'cron':'* *','zip':1"), NULL, 400,
      "strict decoding error: unknown field \\'spec.zip\\'" },
    { "preserved", "POST", TABS "?dryRun=All", TAB("b", "'cron':'* *','free':{'any':{'thing':[1]}}"), NULL, 201,
      "'free':{'any':{'thing':[1]}}" },
    { "wrong kind", "POST", TABS, "{'kind':'Pod','apiVersion':'v1','metadata':{'name':'b'}}", NULL, 400,
      "cannot be handled as a CronTab" },
    { "bad metadata", "POST", TABS, "{'metadata':{'name':'A_'},'spec':{'cron':'* *'}}", NULL, 422, "metadata.name" },
    { "merge patch", "PATCH", TABS "/a", "{'spec':{'replicas':2}}", MERGE, 200, "'generation':2" },
    { "null brings the default back", "PATCH", TABS "/a", "{'spec':{'replicas':null}}", MERGE, 200, "'replicas':1" },
    { "json patch", "PATCH", TABS "/a", "[{'op':'replace','path':'/spec/policy','value':'Allow'}]", JSON_PATCH, 422,
      NULL },
    { "json patch that fits", "PATCH", TABS "/a", "[{'op':'add','path':'/spec/policy','value':'Allow'}]", JSON_PATCH,
      200, "'policy':'Allow'" },
    { "invalid patch", "PATCH", TABS "/a", "{'spec':{'replicas':99}}", MERGE, 422, "spec.replicas" },
    { "strategic", "PATCH", TABS "/a", "{'spec':{'replicas':3}}", STRATEGIC, 415, "application/merge-patch+json" },
    { "put", "PUT", TABS "/a", TAB("a", "'cron':'1 2','policy':'Forbid'"), NULL, 200, "'cron':'1 2'" },
    { "stale", "PUT", TABS "/a", "{'metadata':{'name':'a','resourceVersion':'1'},'spec':{'cron':'* *'}}", NULL, 409,
      "modified" },
    { "status is not taken here", "PATCH", TABS "/a", "{'status':{'replicas':5}}", MERGE, 200, "!'status':{" },
    { "status", "PATCH", TABS "/a/status", "{'status':{'replicas':5,'selector':'a=b'},'spec':{'cron':'9 9'}}", MERGE,
      200, "'status':{'replicas':5" },
    { "status changes nothing else", "GET", TABS "/a", NULL, NULL, 200, "'cron':'1 2'" },
    { "status is checked", "PATCH", TABS "/a/status", "{'status':{'replicas':'x'}}", MERGE, 422, "status.replicas" },
    { "scale", "GET", TABS "/a/scale", NULL, NULL, 200,
      "'spec':{'replicas':1},'status':{'replicas':5,'selector':'a=b'}" },
    { "scaling", "PATCH", TABS "/a/scale", "{'spec':{'replicas':4}}", MERGE, 200, "'spec':{'replicas':4}" },
    { "scaled", "GET", TABS "/a", NULL, NULL, 200, "'replicas':4" },
    { "scaling too far", "PATCH", TABS "/a/scale", "{'spec':{'replicas':40}}", MERGE, 422, "spec.replicas" },
    { "field selector", "GET", TABS "?fieldSelector=spec.policy%3DForbid", NULL, NULL, 200, "'name':'a'" },
    { "that does not match", "GET", TABS "?fieldSelector=spec.policy%3DAllow", NULL, NULL, 200, "'items':[]" },
    { "unknown field selector", "GET", TABS "?fieldSelector=spec.cron%3Dx", NULL, NULL, 400,
      "field label not supported" },
    { "apply", "PATCH", TABS "/s?fieldManager=x",
      "{'apiVersion':'stable.example.com/v1','kind':'CronTab','spec':{'cron':'* "
      "*','steps':[{'name':'one','image':'i'}]}}",
      APPLY, 201, "'k:{\\'name\\':\\'one\\'}'" },
    { "defaults are nobody's", "GET", TABS "/s", NULL, NULL, 200, "!'f:replicas'" },
    { "again", "PATCH", TABS "/s?fieldManager=x", "{'spec':{'cron':'* *','steps':[{'name':'one','image':'i'}]}}", APPLY,
      200, "'generation':1" },
    { "another manager's element", "PATCH", TABS "/s?fieldManager=y", "{'spec':{'steps':[{'name':'two'}]}}", APPLY, 200,
      "'steps':[{'image':'i','name':'one'},{'name':'two'}]" },
    { "conflict", "PATCH", TABS "/s?fieldManager=y", "{'spec':{'cron':'1 1'}}", APPLY, 409,
      "conflict with \\'x\\' using stable.example.com/v1: .spec.cron" },
    { "delete", "DELETE", TABS "/s", NULL, NULL, 200, "'status':'Success'" },
    { "finalizer", "PATCH", TABS "/a", "{'metadata':{'finalizers':['example.com/f']}}", MERGE, 200, NULL },
    { "held", "DELETE", TABS "/a", NULL, NULL, 200, "deletionTimestamp" },
    { "still there", "GET", TABS "/a", NULL, NULL, 200, NULL },
    { "released", "PATCH", TABS "/a", "{'metadata':{'finalizers':null}}", MERGE, 200, NULL },
    { "gone", "GET", TABS "/a", NULL, NULL, 404, NULL },
};

static void test_objects(void **state)
{
    struct fixture f;

    (void)state;
    fixture_init(&f);
    WALK(&f, definition_steps);
    WALK(&f, object_steps);
    fixture_deinit(&f);
}

static void test_tables(void **state)
{
    static const char *const wanted[] = { "'name':'Name','type':'string','format':'name'", "'name':'Cron'",
                                          "'cells':['a','* *','0s']" };
    struct fixture f;
    struct answer a;

    (void)state;
    fixture_init(&f);
    must(&f, 201, "POST", CRDS, CRON);
    must(&f, 201, "POST", TABS, TAB("a", "'cron':'* *'"));
    a = send_raw(&f, &(struct raw){ "GET", TABS, .accept = "application/json;as=Table;v=v1;g=meta.k8s.io" });
    assert_int_equal(a.status, 200);
    for (size_t i = 0; i < ARRAY_LEN(wanted); i++)
        if (!strstr(a.text, quoted(f.arena, wanted[i]).data))
            fail_msg("%s is not in %s", wanted[i], a.text);
    fixture_deinit(&f);
}

static const struct step bad_definitions[] = {
    { "name", "POST", CRDS,
      "{'metadata':{'name':'x'},'spec':{'group':'a.b','scope':'Cluster','names':{'plural':'cs','kind':'C'},"
      "'versions':[{'name':'v1','served':true,'storage':true,'schema':{'openAPIV3Schema':{'type':'object'}}}]}}",
      NULL, 422, "metadata.name: Invalid value: \\'x\\': must be spec.names.plural+\\'.\\'+spec.group" },
    { "scope", "POST", CRDS,
      "{'metadata':{'name':'cs.a.b'},'spec':{'group':'a.b','scope':'Moon','names':{'plural':'cs','kind':'C'},"
      "'versions':[{'name':'v1','served':true,'storage':true,'schema':{'openAPIV3Schema':{'type':'object'}}}]}}",
      NULL, 422, "spec.scope: Unsupported value: \\'Moon\\'" },
    { "two stored", "POST", CRDS,
      "{'metadata':{'name':'cs.a.b'},'spec':{'group':'a.b','scope':'Cluster','names':{'plural':'cs','kind':'C'},"
      "'versions':[{'name':'v1','served':true,'storage':true,'schema':{'openAPIV3Schema':{'type':'object'}}},"
      "{'name':'v2','served':true,'storage':true,'schema':{'openAPIV3Schema':{'type':'object'}}}]}}",
      NULL, 422, "must have exactly one version marked as storage version" },
    { "no schema", "POST", CRDS,
      "{'metadata':{'name':'cs.a.b'},'spec':{'group':'a.b','scope':'Cluster','names':{'plural':'cs','kind':'C'},"
      "'versions':[{'name':'v1','served':true,'storage':true}]}}",
      NULL, 422, "schemas are required" },
    { "no type", "POST", CRDS, DEFINITION("cs", "C", SPEC("'a':{}"), ""), NULL, 422,
      "spec.versions[0].schema.openAPIV3Schema.properties[spec].properties[a].type: Required value: must not be empty "
      "for specified object fields" },
    { "root", "POST", CRDS, DEFINITION("cs", "C", "{'type':'string'}", ""), NULL, 422, "must be object at the root" },
    { "array without items", "POST", CRDS, DEFINITION("cs", "C", SPEC("'a':{'type':'array'}"), ""), NULL, 422,
      "items: Required value" },
    { "reference", "POST", CRDS, DEFINITION("cs", "C", SPEC("'a':{'type':'object','$ref':'#/x'}"), ""), NULL, 422,
      "Forbidden" },
    { "unique items", "POST", CRDS,
      DEFINITION("cs", "C", SPEC("'a':{'type':'array','uniqueItems':true,'items':{'type':'string'}}"), ""), NULL, 422,
      "uniqueItems" },
    { "pattern", "POST", CRDS, DEFINITION("cs", "C", SPEC("'a':{'type':'string','pattern':'('}"), ""), NULL, 422,
      "must be a valid regular expression" },
    { "default", "POST", CRDS, DEFINITION("cs", "C", SPEC("'a':{'type':'integer','default':'x'}"), ""), NULL, 422,
      "properties[a].default" },
    { "type in allOf", "POST", CRDS,
      DEFINITION("cs", "C", SPEC("'a':{'type':'integer','allOf':[{'type':'integer'}]}"), ""), NULL, 422,
      "must be empty to be structural" },
    { "list keys", "POST", CRDS,
      DEFINITION("cs", "C", SPEC("'a':{'type':'array','x-kubernetes-list-type':'map','items':{'type':'object'}}"), ""),
      NULL, 422, "x-kubernetes-list-map-keys: Required value" },
    { "column", "POST", CRDS,
      DEFINITION("cs", "C", SPEC(""), ",'additionalPrinterColumns':[{'name':'x','type':'q','jsonPath':'.a'}]"), NULL,
      422, "additionalPrinterColumns[0].type" },
    { "webhook", "POST", CRDS,
      "{'metadata':{'name':'cs.a.b'},'spec':{'group':'a.b','scope':'Cluster','names':{'plural':'cs','kind':'C'},"
      "'conversion':{'strategy':'Webhook','webhook':{'conversionReviewVersions':['v1']}},"
      "'versions':[{'name':'v1','served':true,'storage':true,'schema':{'openAPIV3Schema':{'type':'object'}}}]}}",
      NULL, 422, "conversion webhooks are not supported" },
    { "unknown extension", "POST", CRDS "?fieldValidation=Strict",
      DEFINITION("cs", "C", SPEC("'a':{'type':'string','x-other':1}"), ""), NULL, 400, "x-other" },
    { "protected", "POST", CRDS,
      "{'metadata':{'name':'cs.a.k8s.io'},'spec':{'group':'a.k8s.io','scope':'Cluster','names':{'plural':'cs','kind':'"
      "C'},"
      "'versions':[{'name':'v1','served':true,'storage':true,'schema':{'openAPIV3Schema':{'type':'object'}}}]}}",
      NULL, 422, "api-approved.kubernetes.io" },
};

static void test_bad_definitions(void **state)
{
    struct fixture f;

    (void)state;
    fixture_init(&f);
    WALK(&f, bad_definitions);
    fixture_deinit(&f);
}

static void test_rules_warn(void **state)
{
    struct fixture f;
    struct answer a;

    (void)state;
    fixture_init(&f);
    a = must(
        &f, 201, "POST", CRDS,
        DEFINITION("cs", "C", SPEC("'a':{'type':'integer','x-kubernetes-validations':[{'rule':'self > 0'}]}"), ""));
    assert_int_equal(a.warnings, 1);
    assert_non_null(strstr(a.warning, "does not evaluate them yet"));
    fixture_deinit(&f);
}

static void test_deprecation(void **state)
{
    struct fixture f;
    struct answer a;

    (void)state;
    fixture_init(&f);
    must(&f, 201, "POST", CRDS, DEFINITION("cs", "C", SPEC(""), ",'deprecated':true"));
    a = must(&f, 200, "GET", "/apis/stable.example.com/v1/cs", NULL);
    assert_int_equal(a.warnings, 1);
    assert_string_equal(a.warning, "stable.example.com/v1 C is deprecated");
    a = send_raw(&f, &(struct raw){ "POST", "/apis/stable.example.com/v1/namespaces/default/cs", "k8s",
                                    "application/vnd.kubernetes.protobuf" });
    assert_int_equal(a.status, 415);
    fixture_deinit(&f);
}

/* Another definition's names; they come free with it. */
static void test_names(void **state)
{
    struct fixture f;
    struct answer a;

    (void)state;
    fixture_init(&f);
    must(&f, 201, "POST", CRDS, DEFINITION("as", "Thing", SPEC(""), ""));
    a = must(&f, 201, "POST", CRDS, DEFINITION("bs", "Thing", SPEC(""), ""));
    assert_non_null(strstr(a.text, "NotAccepted"));
    must(&f, 404, "GET", "/apis/stable.example.com/v1/bs", NULL);
    must(&f, 200, "DELETE", CRDS "/as.stable.example.com", NULL);
    executor_run_ready(f.executor);
    must(&f, 404, "GET", CRDS "/as.stable.example.com", NULL);
    executor_run_ready(f.executor);
    must(&f, 404, "GET", "/apis/stable.example.com/v1/as", NULL);
    must(&f, 200, "GET", "/apis/stable.example.com/v1/bs", NULL);
    fixture_deinit(&f);
}

/* The objects go with their definition, and those that are held hold it. */
static void test_deletion(void **state)
{
    struct fixture f;
    struct answer a;

    (void)state;
    fixture_init(&f);
    must(&f, 201, "POST", CRDS, CRON);
    must(&f, 201, "POST", TABS, TAB("a", "'cron':'* *'"));
    must(&f, 201, "POST", TABS, "{'metadata':{'name':'held','finalizers':['example.com/f']},'spec':{'cron':'* *'}}");
    a = must(&f, 200, "DELETE", CRDS "/crontabs.stable.example.com", NULL);
    assert_non_null(strstr(a.text, "Terminating"));
    must(&f, 405, "POST", TABS, TAB("b", "'cron':'* *'"));
    a = send_raw(&f, &(struct raw){ "PATCH", TABS "/c?fieldManager=m", "{'spec':{'cron':'* *'}}", APPLY });
    assert_int_equal(a.status, 405);
    executor_run_ready(f.executor);
    must(&f, 404, "GET", TABS "/a", NULL);
    assert_non_null(strstr(must(&f, 200, "GET", TABS "/held", NULL).text, "deletionTimestamp"));
    a = send_raw(&f, &(struct raw){ "PATCH", TABS "/held", "{'metadata':{'finalizers':null}}", MERGE });
    assert_int_equal(a.status, 200);
    executor_run_until(f.executor, clock_now(&f.clock.clock) + NSEC_PER_SEC);
    must(&f, 404, "GET", CRDS "/crontabs.stable.example.com", NULL);
    must(&f, 404, "GET", TABS, NULL);
    assert_null(strstr(must(&f, 200, "GET", "/apis", NULL).text, "stable.example.com"));
    must(&f, 201, "POST", CRDS, CRON);
    assert_non_null(strstr(must(&f, 200, "GET", TABS, NULL).text, "\"items\":[]"));
    fixture_deinit(&f);
}

static void test_namespace(void **state)
{
    struct fixture f;

    (void)state;
    fixture_init(&f);
    must(&f, 201, "POST", CRDS, CRON);
    must(&f, 201, "POST", "/api/v1/namespaces", "{'metadata':{'name':'n'}}");
    must(&f, 201, "POST", "/apis/stable.example.com/v1/namespaces/n/crontabs", TAB("a", "'cron':'* *'"));
    must(&f, 201, "POST", TABS, TAB("a", "'cron':'* *'"));
    must(&f, 200, "PUT", "/api/v1/namespaces/n/finalize",
         "{'metadata':{'name':'n'},'spec':{'finalizers':['kubernetes']}}");
    must(&f, 200, "GET", "/apis/stable.example.com/v1/namespaces/n/crontabs/a", NULL);
    must(&f, 200, "DELETE", "/api/v1/namespaces/n", NULL);
    must(&f, 200, "PUT", "/api/v1/namespaces/n/finalize", "{'metadata':{'name':'n'},'spec':{'finalizers':[]}}");
    must(&f, 404, "GET", "/apis/stable.example.com/v1/namespaces/n/crontabs/a", NULL);
    must(&f, 200, "GET", TABS "/a", NULL);
    fixture_deinit(&f);
}

#define VERSIONS(first_stored, second_stored)                                                                       \
    "{'metadata':{'name':'crontabs.stable.example.com'},'spec':{'group':'stable.example.com','scope':'Namespaced'," \
    "'names':{'plural':'crontabs','kind':'CronTab'},'versions':["                                                   \
    "{'name':'v1beta1','served':true,'storage':" first_stored                                                       \
    ",'schema':{'openAPIV3Schema':{'type':'object','properties':{'spec':{'type':'object',"                          \
    "'properties':{'cron':{'type':'string'}}}}}}},"                                                                 \
    "{'name':'v1','served':true,'storage':" second_stored                                                           \
    ",'schema':{'openAPIV3Schema':{'type':'object','properties':{'spec':{'type':'object',"                          \
    "'properties':{'cron':{'type':'string'},'added':{'type':'string','default':'later'}}}}}}}]}}"
#define BETA "/apis/stable.example.com/v1beta1/namespaces/default/crontabs"

/* One stored form behind several versions; reading writes the version asked for, prunes and defaults. */
static void test_versions(void **state)
{
    static const struct step steps[] = {
        { "define", "POST", CRDS, VERSIONS("true", "false"), NULL, 201, "'storedVersions':['v1beta1']" },
        { "preferred", "GET", "/apis/stable.example.com", NULL, NULL, 200,
          "'preferredVersion':{'groupVersion':'stable.example.com/v1'" },
        { "create in one", "POST", BETA, "{'metadata':{'name':'a'},'spec':{'cron':'x'}}", NULL, 201,
          "'apiVersion':'stable.example.com/v1beta1'" },
        { "read in the other", "GET", TABS "/a", NULL, NULL, 200, "'apiVersion':'stable.example.com/v1'" },
        { "with its defaults", "GET", TABS "/a", NULL, NULL, 200, "'added':'later'" },
        { "which the first has not", "GET", BETA "/a", NULL, NULL, 200, "!added" },
        { "another stored version", "PUT", CRDS "/crontabs.stable.example.com", VERSIONS("false", "true"), NULL, 200,
          "'storedVersions':['v1beta1','v1']" },
        { "old objects", "GET", TABS "/a", NULL, NULL, 200, "'apiVersion':'stable.example.com/v1'" },
        { "list", "GET", TABS, NULL, NULL, 200, "'added':'later'" },
        { "patch", "PATCH", TABS "/a", "{'spec':{'added':'now'}}", MERGE, 200, "'added':'now'" },
        { "through the other", "PATCH", BETA "/a", "{'metadata':{'labels':{'l':'m'}}}", MERGE, 200, "'l':'m'" },
        { "unchanged", "PATCH", TABS "/a", "{}", MERGE, 200, "'cron':'x'" },
    };
    struct fixture f;

    (void)state;
    fixture_init(&f);
    WALK(&f, steps);
    fixture_deinit(&f);
}

static void restart(struct fixture *f)
{
    struct err err = { 0 };

    assert_int_equal(apiserver_new(&(struct apiserver_options){ .store = f->store,
                                                                .executor = f->executor,
                                                                .clock = &f->clock.clock,
                                                                .rng = &f->rng.rng,
                                                                .sessions = f->sessions },
                                   &f->server, &err),
                     0);
    assert_int_equal(apiserver_local_client(f->server, STR("tester"), &f->client, &err), 0);
}

/* A server that starts over a store with definitions. */
static void test_restart(void **state)
{
    struct fixture f;
    struct err err = { 0 };

    (void)state;
    fixture_init(&f);
    must(&f, 201, "POST", CRDS, CRON);
    must(&f, 201, "POST", TABS, TAB("a", "'cron':'* *'"));
    client_free(f.client);
    apiserver_free(f.server);
    restart(&f);
    must(&f, 200, "GET", TABS "/a", NULL);
    assert_non_null(strstr(must(&f, 200, "GET", "/apis", NULL).text, "stable.example.com"));
    /* A deletion that was under way goes on. */
    must(&f, 200, "DELETE", CRDS "/crontabs.stable.example.com", NULL);
    client_free(f.client);
    apiserver_free(f.server);
    restart(&f);
    must(&f, 200, "GET", CRDS "/crontabs.stable.example.com", NULL);
    assert_int_equal(apiserver_bootstrap(f.server, STR_NULL, 6443, &err), 0);
    executor_run_ready(f.executor);
    must(&f, 404, "GET", CRDS "/crontabs.stable.example.com", NULL);
    fixture_deinit(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_objects),   cmocka_unit_test(test_tables),   cmocka_unit_test(test_bad_definitions),
        cmocka_unit_test(test_names),     cmocka_unit_test(test_deletion), cmocka_unit_test(test_rules_warn),
        cmocka_unit_test(test_versions),  cmocka_unit_test(test_restart),  cmocka_unit_test(test_deprecation),
        cmocka_unit_test(test_namespace),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
