/* OpenAPI documents: well-formed, closed under references, with what kubectl looks for. */
#include "schema_test.h"

#include "api/apps_v1.h"
#include "api/core_v1.h"
#include "api/resources.h"
#include "base/map.h"
#include "schema/openapi.h"

static struct json *document(struct arena *arena, struct str group, struct str version)
{
    AUTO_DEINIT(buf, buf) = BUF_INIT;
    struct json_duplicates duplicates = { 0 };
    struct json_options options = { .duplicates = &duplicates };
    struct json *json = NULL;
    struct err err = { 0 };

    if (openapi_v3_write(&buf, group, version, api_resources, api_resource_count, &err) < 0 ||
        json_parse(arena, arena_str(arena, buf_str(&buf)), &options, &json, &err) < 0)
        fail_msg(STR_FMT "/" STR_FMT ": %s", STR_ARG(group), STR_ARG(version), err.message);
    for (size_t i = 0; i < duplicates.count; i++)
        fail_msg(STR_FMT "/" STR_FMT ": twice " STR_FMT, STR_ARG(group), STR_ARG(version),
                 STR_ARG(duplicates.paths[i]));
    return json;
}

static void check_refs(const struct json *json, const struct json *schemas)
{
    struct str ref = json_str(json_member(json, "$ref"));

    if (ref.data) {
        assert_true(str_has_prefix(ref, STR("#/components/schemas/")));
        if (!json_get(schemas, str_skip(ref, 21)))
            fail_msg("nothing at " STR_FMT, STR_ARG(ref));
    }
    for (uint32_t i = 0; i < json->count; i++) {
        if (json->kind == JSON_ARRAY)
            check_refs(&json->items[i], schemas);
        else if (json->kind == JSON_OBJECT)
            check_refs(&json->members[i].value, schemas);
    }
}

static bool has_parameter(const struct json *operation, const char *name)
{
    const struct json *parameters = json_member(operation, "parameters");

    for (uint32_t i = 0; parameters && i < parameters->count; i++)
        if (str_is(json_str_at(&parameters->items[i], "name"), name))
            return true;
    return false;
}

static void check_operations(const struct json *paths, struct map *ids)
{
    static const char *const writing[] = { "post", "put", "patch" };

    for (uint32_t i = 0; i < paths->count; i++) {
        const struct json *path = &paths->members[i].value;

        for (size_t m = 0; m < ARRAY_LEN(writing); m++) {
            const struct json *operation = json_get(path, str_from(writing[m]));
            void *old = NULL;

            if (!operation)
                continue;
            assert_non_null(json_at(operation, "x-kubernetes-group-version-kind.kind"));
            assert_int_equal(map_put(ids, json_str_at(operation, "operationId"), ids, &old), 0);
            assert_null(old);
            if (str_is(json_str_at(operation, "x-kubernetes-action"), "connect"))
                continue;
            assert_true(has_parameter(operation, "fieldValidation"));
            assert_true(has_parameter(operation, "dryRun"));
            assert_non_null(json_member(operation, "requestBody"));
        }
    }
}

static void test_every_group_version(void **state)
{
    for (size_t i = 0; i < api_resource_count; i++) {
        const struct resource *resource = api_resources[i];
        struct map ids;
        struct arena arena;

        if (i > 0 && str_eq(api_resources[i - 1]->group, resource->group) &&
            str_eq(api_resources[i - 1]->version, resource->version))
            continue;
        arena_init(&arena, 0);
        map_init(&ids);
        struct json *json = document(&arena, resource->group, resource->version);
        struct json *schemas = json_at(json, "components.schemas");

        assert_true(schemas && schemas->count > 0);
        check_refs(json, schemas);
        check_operations(json_member(json, "paths"), &ids);
        map_deinit(&ids);
        arena_deinit(&arena);
    }
}

static const struct expectation {
    const char *type, *member, *want;
} expectations[] = {
    { "io.k8s.api.core.v1.PodSpec", "required", "['containers']" },
    { "io.k8s.api.core.v1.PodSpec", "type", "'object'" },
    { "io.k8s.api.core.v1.PodSpec", "properties.containers.type", "'array'" },
    { "io.k8s.api.core.v1.PodSpec", "properties.containers.items",
      "{'allOf':[{'$ref':'#/components/schemas/io.k8s.api.core.v1.Container'}],'default':{}}" },
    { "io.k8s.api.core.v1.PodSpec", "properties.containers.x-kubernetes-list-type", "'map'" },
    { "io.k8s.api.core.v1.PodSpec", "properties.containers.x-kubernetes-list-map-keys", "['name']" },
    { "io.k8s.api.core.v1.PodSpec", "properties.containers.x-kubernetes-patch-merge-key", "'name'" },
    { "io.k8s.api.core.v1.PodSpec", "properties.containers.x-kubernetes-patch-strategy", "'merge'" },
    { "io.k8s.api.core.v1.PodSpec", "properties.volumes.x-kubernetes-patch-strategy", "'merge,retainKeys'" },
    { "io.k8s.api.core.v1.PodSpec", "properties.affinity.allOf",
      "[{'$ref':'#/components/schemas/io.k8s.api.core.v1.Affinity'}]" },
    { "io.k8s.api.core.v1.PodSpec", "properties.nodeSelector.additionalProperties", "{'type':'string','default':''}" },
    { "io.k8s.api.core.v1.PodSpec", "properties.nodeSelector.x-kubernetes-map-type", "'atomic'" },
    { "io.k8s.api.core.v1.Container", "properties.name.default", "''" },
    { "io.k8s.api.core.v1.Container", "properties.resources.default", "{}" },
    { "io.k8s.api.core.v1.Container", "properties.imagePullPolicy.enum", "['Always','IfNotPresent','Never']" },
    { "io.k8s.api.core.v1.ContainerPort", "properties.containerPort.format", "'int32'" },
    { "io.k8s.api.core.v1.LabelSelector", "x-kubernetes-map-type", NULL },
    { "io.k8s.apimachinery.pkg.apis.meta.v1.LabelSelector", "x-kubernetes-map-type", "'atomic'" },
    { "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta", "properties.creationTimestamp.allOf",
      "[{'$ref':'#/components/schemas/io.k8s.apimachinery.pkg.apis.meta.v1.Time'}]" },
    { "io.k8s.apimachinery.pkg.apis.meta.v1.Time", "format", "'date-time'" },
    { "io.k8s.apimachinery.pkg.apis.meta.v1.ManagedFieldsEntry", "properties.fieldsV1.allOf",
      "[{'$ref':'#/components/schemas/io.k8s.apimachinery.pkg.apis.meta.v1.FieldsV1'}]" },
    { "io.k8s.api.core.v1.Secret", "properties.data.additionalProperties", "{'format':'byte','type':'string'}" },
    { "io.k8s.api.core.v1.Pod", "x-kubernetes-group-version-kind", "[{'group':'','kind':'Pod','version':'v1'}]" },
    { "io.k8s.api.core.v1.PodList", "required", "['items']" },
    { "io.k8s.api.core.v1.PodList", "x-kubernetes-group-version-kind",
      "[{'group':'','kind':'PodList','version':'v1'}]" },
};

/* A member by path; names may contain dots, so it is taken from schemas by hand. */
static void test_schemas(void **state)
{
    struct arena arena;

    arena_init(&arena, 0);
    struct json *schemas = json_at(document(&arena, STR(""), STR("v1")), "components.schemas");

    for (size_t i = 0; i < ARRAY_LEN(expectations); i++) {
        const struct expectation *c = &expectations[i];
        const struct json *found = json_at(json_get(schemas, str_from(c->type)), c->member);

        if (!c->want)
            assert_null(found);
        else if (!found)
            fail_msg("%s has no %s", c->type, c->member);
        else
            assert_text(&arena, c->member, found, c->want);
    }
    arena_deinit(&arena);
}

static void test_paths(void **state)
{
    static const struct {
        const char *path, *method, *id;
    } cases[] = {
        { "/apis/apps/v1/deployments", "get", "listAppsV1DeploymentForAllNamespaces" },
        { "/apis/apps/v1/namespaces/{namespace}/deployments", "get", "listAppsV1NamespacedDeployment" },
        { "/apis/apps/v1/namespaces/{namespace}/deployments", "post", "createAppsV1NamespacedDeployment" },
        { "/apis/apps/v1/namespaces/{namespace}/deployments", "delete", "deleteAppsV1CollectionNamespacedDeployment" },
        { "/apis/apps/v1/namespaces/{namespace}/deployments/{name}", "get", "readAppsV1NamespacedDeployment" },
        { "/apis/apps/v1/namespaces/{namespace}/deployments/{name}", "put", "replaceAppsV1NamespacedDeployment" },
        { "/apis/apps/v1/namespaces/{namespace}/deployments/{name}", "patch", "patchAppsV1NamespacedDeployment" },
        { "/apis/apps/v1/namespaces/{namespace}/deployments/{name}", "delete", "deleteAppsV1NamespacedDeployment" },
        { "/apis/apps/v1/namespaces/{namespace}/deployments/{name}/scale", "put",
          "replaceAppsV1NamespacedDeploymentScale" },
        { "/apis/apps/v1/namespaces/{namespace}/deployments/{name}/status", "patch",
          "patchAppsV1NamespacedDeploymentStatus" },
        { "/apis/apps/v1/deployments/{name}", "get", NULL },
    };
    struct arena arena;

    arena_init(&arena, 0);
    struct json *paths = json_member(document(&arena, STR("apps"), STR("v1")), "paths");

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const struct json *operation = json_get(json_get(paths, str_from(cases[i].path)), str_from(cases[i].method));

        if (!cases[i].id) {
            assert_null(operation);
            continue;
        }
        assert_non_null(operation);
        assert_true(str_is(json_str_at(operation, "operationId"), cases[i].id));
        assert_true(str_is(json_member(operation, "tags")->items[0].string, "apps_v1"));
    }
    arena_deinit(&arena);
}

static void test_custom_resource(void **state)
{
    static const struct field spec_fields[] = {
        { STR_INIT("cron"), &type_string, 0, FIELD_REQUIRED },
        { STR_INIT("open"), &type_any },
    };
    static const struct type spec = { .kind = TYPE_STRUCT, .fields = spec_fields, .field_count = 2 };
    static const struct field fields[] = {
        { STR_INIT("metadata"), &TYPE_OBJECT_META },
        { STR_INIT("spec"), &spec },
    };
    static const struct type type = {
        .kind = TYPE_STRUCT, .fields = fields, .field_count = 2, .preserve_unknown = true
    };
    static const struct resource resource = {
        .group = STR_INIT("stable.example.com"),
        .version = STR_INIT("v1"),
        .plural = STR_INIT("crontabs"),
        .kind = STR_INIT("CronTab"),
        .list_kind = STR_INIT("CronTabList"),
        .namespaced = true,
        .verbs = VERB_GET | VERB_LIST | VERB_CREATE | VERB_PATCH,
        .type = &type,
    };
    const struct resource *resources[] = { &resource };
    AUTO_DEINIT(buf, buf) = BUF_INIT;
    struct arena arena;
    struct json *json;
    struct err err = { 0 };

    arena_init(&arena, 0);
    assert_int_equal(openapi_v3_write(&buf, resource.group, resource.version, resources, 1, &err), 0);
    assert_int_equal(json_parse(&arena, buf_str(&buf), NULL, &json, &err), 0);
    struct json *schemas = json_at(json, "components.schemas");
    struct json *schema = json_get(schemas, STR("com.example.stable.v1.CronTab"));

    check_refs(json, schemas);
    assert_text(&arena, "spec", json_at(schema, "properties.spec"),
                "{'properties':{'cron':{'type':'string'},'open':{'x-kubernetes-preserve-unknown-fields':true}},"
                "'required':['cron'],'type':'object'}");
    assert_text(&arena, "gvk", json_member(schema, "x-kubernetes-group-version-kind"),
                "[{'group':'stable.example.com','kind':'CronTab','version':'v1'}]");
    assert_true(json_bool(json_member(schema, "x-kubernetes-preserve-unknown-fields"), false));
    assert_non_null(json_get(schemas, STR("com.example.stable.v1.CronTabList")));
    assert_true(
        str_is(json_str_at(json_member(json_get(json_member(json, "paths"),
                                                STR("/apis/stable.example.com/v1/namespaces/{namespace}/crontabs")),
                                       "post"),
                           "operationId"),
               "createStableExampleComV1NamespacedCronTab"));
    arena_deinit(&arena);
}

static void sum_hash(struct str text, uint8_t out[16])
{
    memset(out, 0, 16);
    out[0] = (uint8_t)text.len;
}

static void test_hash(void **state)
{
    char a[OPENAPI_HASH_LEN + 1], b[OPENAPI_HASH_LEN + 1];

    openapi_hash(STR(""), NULL, a);
    assert_string_equal(a, "6C62272E07BB014262B821756295C58D"); /* the offset basis of FNV-1a */
    openapi_hash(STR("a"), NULL, a);
    assert_string_equal(a, "D228CB696F1A8CAF78912B704E4A8964");
    openapi_hash(STR("b"), NULL, b);
    assert_string_not_equal(a, b);
    openapi_hash(STR("abc"), sum_hash, a);
    assert_string_equal(a, "03000000000000000000000000000000");
}

static void test_no_room(void **state)
{
    AUTO_DEINIT(buf, buf) = BUF_INIT;
    struct err err = { 0 };

    buf_init(&buf, 1000);
    assert_int_equal(openapi_v3_write(&buf, STR("apps"), STR("v1"), api_resources, api_resource_count, &err),
                     -ERR_NO_MEMORY);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_group_version), cmocka_unit_test(test_schemas), cmocka_unit_test(test_paths),
        cmocka_unit_test(test_custom_resource),     cmocka_unit_test(test_hash),    cmocka_unit_test(test_no_room),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
