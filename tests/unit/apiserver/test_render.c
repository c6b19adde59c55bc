/* What clients get to see: every kind of answer in every format. */
#include "fixture.h"

#include "api/autoscaling_v1.h"
#include "api/core_v1.h"
#include "api/meta_v1.h"
#include "codec/yaml.h"
#include "schema/object.h"
#include "schema/protobuf.h"

#define CM "/api/v1/namespaces/default/configmaps"
#define PROTOBUF "application/vnd.kubernetes.protobuf"
#define TABLE ";as=Table;v=v1;g=meta.k8s.io"
#define PARTIAL ";as=PartialObjectMetadata;v=v1;g=meta.k8s.io"

static struct answer get(struct fixture *f, const char *target, const char *accept)
{
    return send_raw(f, &(struct raw){ "GET", target, NULL, NULL, accept });
}

/* The answer as a tree, whatever it came in. */
static struct json *tree(struct fixture *f, struct answer answer, const struct type *type)
{
    struct json *object = NULL;
    struct err err = { 0 };
    int code;

    if (strcmp(answer.content_type, PROTOBUF) == 0)
        code = protobuf_decode(f->arena, type, answer.bytes, &object, &err);
    else if (strcmp(answer.content_type, "application/yaml") == 0)
        code = yaml_parse(f->arena, answer.bytes, NULL, &object, &err);
    else
        code = json_parse(f->arena, answer.bytes, NULL, &object, &err);
    if (code < 0 || object_normalize(f->arena, type, object, NULL, &err) < 0)
        fail_msg("%s: %s", answer.content_type, err.message);
    return object;
}

static void populate(struct fixture *f)
{
    must(f, 201, "POST", CM, "{'metadata':{'name':'a','labels':{'l':'1'}},'data':{'k':'v'}}");
    must(f, 201, "POST", CM, "{'metadata':{'name':'b'},'data':{'text':'one\\ntwo - null\\n- null\\n'}}");
    must(f, 201, "POST", CM, "{'metadata':{'name':'c'}}");
}

static const char *const formats[] = { "application/json", "application/yaml", PROTOBUF };

/* The same object, list or Status in each format. Items of a protobuf list do not say their kind. */
static void test_formats(void **state)
{
    static const struct {
        const char *target;
        const struct type *type;
        int status;
    } targets[] = {
        { CM "/b", &TYPE_CONFIG_MAP, 200 },
        { CM, &TYPE_CONFIG_MAP_LIST, 200 },
        { CM "?limit=2", &TYPE_CONFIG_MAP_LIST, 200 },
        { CM "?labelSelector=l%3Dnone", &TYPE_CONFIG_MAP_LIST, 200 },
        { CM "/none", &TYPE_STATUS, 404 },
        { CM "?labelSelector=%21%21", &TYPE_STATUS, 400 },
        { "/apis/apps", &TYPE_API_GROUP, 200 },
        { "/api/v1", &TYPE_API_RESOURCE_LIST, 200 },
        { "/apis", &TYPE_API_GROUP_LIST, 200 },
        { "/api", &TYPE_API_VERSIONS, 200 },
    };
    struct fixture f;

    fixture_init(&f);
    populate(&f);
    for (size_t i = 0; i < ARRAY_LEN(targets); i++) {
        struct json *want = tree(&f, get(&f, targets[i].target, formats[0]), targets[i].type);

        for (size_t k = 0; k < ARRAY_LEN(formats); k++) {
            struct answer answer = get(&f, targets[i].target, formats[k]);
            struct json *got = tree(&f, answer, targets[i].type), *items = json_member(got, "items");

            assert_int_equal(answer.status, targets[i].status);
            assert_string_equal(answer.content_type, formats[k]);
            for (uint32_t n = 0; k == 2 && items && n < items->count; n++) {
                assert_null(json_member(&items->items[n], "kind"));
                json_set_str(f.arena, &items->items[n], STR("kind"), STR("ConfigMap"));
                json_set_str(f.arena, &items->items[n], STR("apiVersion"), STR("v1"));
            }
            if (!object_equal(targets[i].type, want, got))
                fail_msg("%s as %s:\n%s\n%s", targets[i].target, formats[k],
                         arena_cstr(f.arena, json_text(f.arena, got)), arena_cstr(f.arena, json_text(f.arena, want)));
        }
    }
    fixture_deinit(&f);
}

/* Indented lists and Tables, and those in YAML, say what the compact ones say. */
static void test_layouts(void **state)
{
    static const char *const targets[] = { CM, CM "?limit=2", CM "?labelSelector=l%3Dnone", CM "/a" };
    static const char *const shapes[] = { "", TABLE, PARTIAL };
    struct fixture f;

    fixture_init(&f);
    populate(&f);
    for (size_t i = 0; i < ARRAY_LEN(targets) * ARRAY_LEN(shapes); i++) {
        const char *target = targets[i / ARRAY_LEN(shapes)], *shape = shapes[i % ARRAY_LEN(shapes)];
        const char *mark = strchr(target, '?') ? "&" : "?";
        struct answer compact = get(&f, target, arena_printf(f.arena, "application/json%s", shape).data);
        struct answer yaml = get(&f, target, arena_printf(f.arena, "application/yaml%s", shape).data);
        struct answer indented = get(&f, arena_printf(f.arena, "%s%spretty=1", target, mark).data,
                                     arena_printf(f.arena, "application/json%s", shape).data);
        struct json *tree_of_yaml;

        assert_int_equal(compact.status, 200);
        assert_null(strchr(compact.text, '\n'));
        assert_non_null(strstr(indented.text, "\n  \"kind\""));
        assert_true(json_equal(compact.json, indented.json));
        assert_int_equal(yaml_parse(f.arena, yaml.bytes, NULL, &tree_of_yaml, NULL), 0);
        assert_true(json_equal(compact.json, tree_of_yaml));
    }
    fixture_deinit(&f);
}

/* People get their JSON indented: by the query, by the program, by the media type. */
static void test_indents(void **state)
{
    static const struct {
        const char *target, *accept, *user_agent;
        bool indented;
    } cases[] = {
        { CM "/a", NULL, NULL, false },
        { CM "/a", NULL, "kubectl/v1.33.0 (linux/amd64)", false },
        { CM "/a", NULL, "curl/8.5.0", true },
        { CM "/a", NULL, "Wget/1.21", true },
        { CM "/a", NULL, "Mozilla/5.0 (X11; Linux x86_64)", true },
        { CM "/a", NULL, "Mozilla/4.0", false },
        { CM "/a", NULL, "libcurl/8.5.0", false },
        { CM "/a?pretty=false", NULL, "curl/8.5.0", false },
        { CM "/a?pretty=0", NULL, "curl/8.5.0", false },
        { CM "/a?pretty=yes", NULL, "curl/8.5.0", false },
        { CM "/a?pretty=", NULL, "curl/8.5.0", true },
        { CM "/a?pretty=true", NULL, NULL, true },
        { CM "/a?pretty=t", NULL, "kubectl", true },
        { CM "/a?pretty=false", "application/json;pretty=1", NULL, true },
        { CM "?limit=1", NULL, "curl/8.5.0", true },
        { CM "?limit=1", "application/json" TABLE, "curl/8.5.0", true },
        { CM "/absent", NULL, "curl/8.5.0", true },
        { CM "/absent", NULL, NULL, false },
        { "/api/v1/nothing", NULL, "curl/8.5.0", true },
        { "/api/v1", NULL, "curl/8.5.0", true },
        { "/api/v1", NULL, NULL, false },
        { "/apis", "application/json", "curl/8.5.0", true },
    };
    struct fixture f;

    (void)state;
    fixture_init(&f);
    populate(&f);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct answer answer = send_raw(&f, &(struct raw){ .method = "GET",
                                                           .target = cases[i].target,
                                                           .accept = cases[i].accept,
                                                           .user_agent = cases[i].user_agent });

        assert_non_null(answer.json);
        if ((strstr(answer.text, "{\n  \"") != NULL) != cases[i].indented)
            fail_msg("%s for %s: %s", cases[i].target, cases[i].user_agent, answer.text);
    }
    fixture_deinit(&f);
}

static void test_metadata_only(void **state)
{
    struct answer one, list;
    struct fixture f;

    fixture_init(&f);
    populate(&f);
    one = get(&f, CM "/a", PROTOBUF PARTIAL);
    assert_string_equal(one.content_type, PROTOBUF);
    struct json *object = tree(&f, one, &TYPE_CONFIG_MAP);
    assert_true(str_is(json_str_at(object, "kind"), "PartialObjectMetadata"));
    assert_true(str_is(json_str_at(object, "apiVersion"), "meta.k8s.io/v1"));
    assert_true(str_is(json_str_at(object, "metadata.labels.l"), "1"));
    assert_null(json_member(object, "data"));
    list = get(&f, CM, PROTOBUF PARTIAL);
    object = tree(&f, list, &TYPE_CONFIG_MAP_LIST);
    assert_true(str_is(json_str_at(object, "kind"), "PartialObjectMetadataList"));
    assert_int_equal(json_member(object, "items")->count, 3);
    assert_null(json_member(&json_member(object, "items")->items[0], "data"));
    fixture_deinit(&f);
}

/* Answers to writes: JSON in, protobuf out, and the other way round. */
static void test_writes(void **state)
{
    struct answer answer;
    struct fixture f;
    struct json *object;

    fixture_init(&f);
    populate(&f);
    answer = send_raw(&f, &(struct raw){ "PATCH", CM "/a", "{'data':{'k':'w'}}", "application/merge-patch+json",
                                         PROTOBUF ",application/json" });
    assert_int_equal(answer.status, 200);
    object = tree(&f, answer, &TYPE_CONFIG_MAP);
    assert_true(str_is(json_str_at(object, "data.k"), "w"));
    answer = send_raw(
        &f, &(struct raw){ "POST", CM, "kind: ConfigMap\nmetadata: {name: why}\n", "application/yaml", PROTOBUF });
    assert_int_equal(answer.status, 201);
    assert_true(str_is(json_str_at(tree(&f, answer, &TYPE_CONFIG_MAP), "metadata.name"), "why"));
    answer = send_raw(&f, &(struct raw){ "DELETE", CM "/why", NULL, NULL, PROTOBUF });
    assert_true(str_is(json_str_at(tree(&f, answer, &TYPE_STATUS), "status"), "Success"));
    answer = send_raw(&f, &(struct raw){ "POST", CM, "x", "text/plain", PROTOBUF });
    assert_int_equal(answer.status, 415);
    assert_true(str_is(json_str_at(tree(&f, answer, &TYPE_STATUS), "reason"), "UnsupportedMediaType"));
    answer = send_raw(
        &f, &(struct raw){ "POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews", "{}", NULL, PROTOBUF });
    assert_int_equal(answer.status, 201);
    assert_string_equal(answer.content_type, PROTOBUF);
    fixture_deinit(&f);
}

/* What went wrong before anything was decided is said in the client's format too. */
static void test_refusals(void **state)
{
    struct answer answer;
    struct fixture f;

    fixture_init(&f);
    answer = send_raw(&f, &(struct raw){ "GET", CM, .accept = PROTOBUF, .user = "" });
    assert_int_equal(answer.status, 401);
    assert_true(str_is(json_str_at(tree(&f, answer, &TYPE_STATUS), "reason"), "Unauthorized"));
    answer = get(&f, "/apis/none/v1/things", "application/yaml");
    assert_int_equal(answer.status, 404);
    assert_string_equal(answer.content_type, "application/yaml");
    answer = get(&f, CM, PROTOBUF TABLE);
    assert_int_equal(answer.status, 406);
    assert_string_equal(answer.content_type, "application/json");
    answer = get(&f, CM "?watch=true", "application/yaml");
    assert_int_equal(answer.status, 406);
    assert_string_equal(answer.content_type, "application/yaml");
    fixture_deinit(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_formats), cmocka_unit_test(test_layouts), cmocka_unit_test(test_indents),  cmocka_unit_test(test_metadata_only),
        cmocka_unit_test(test_writes),  cmocka_unit_test(test_refusals),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
