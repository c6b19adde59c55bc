/* Invariants of the tables that apigen writes, and some facts that must never change unnoticed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "api/apiextensions_v1.h"
#include "api/apps_v1.h"
#include "api/core_v1.h"
#include "api/meta_v1.h"
#include "api/resources.h"
#include "codec/json.h"

#define assert_str(s, want) assert_string_equal(str_text(s), want)

/* NUL-terminated, for messages; one at a time. */
static const char *str_text(struct str s)
{
    static char text[256];
    size_t len = s.len < sizeof text - 1 ? s.len : sizeof text - 1;

    memcpy(text, s.data ? s.data : "", len);
    text[len] = '\0';
    return text;
}

static const struct field *field_of(const struct type *type, const char *name)
{
    const struct field *field = type_field(type, str_from(name));

    if (!field)
        fail_msg("%s has no field %s", str_text(type->name), name);
    return field;
}

static const struct type *type_named(const char *name)
{
    for (size_t i = 0; i < api_type_count; i++)
        if (str_is(api_types[i]->name, name))
            return api_types[i];
    fail_msg("no type %s", name);
    return NULL;
}

/* --- types --- */

/* What a field takes in its generated struct. */
static size_t slot_size(const struct field *field)
{
    bool plain = field->flags & (FIELD_REQUIRED | FIELD_ALWAYS);

    switch (field->type->kind) {
    case TYPE_BOOL: return plain ? sizeof(bool) : sizeof(struct opt_bool);
    case TYPE_INT32: return plain ? sizeof(int32_t) : sizeof(struct opt_i32);
    case TYPE_INT64: return plain ? sizeof(int64_t) : sizeof(struct opt_i64);
    case TYPE_DOUBLE: return plain ? sizeof(double) : sizeof(struct opt_double);
    case TYPE_TIME:
    case TYPE_MICRO_TIME: return sizeof(struct api_time);
    case TYPE_INT_OR_STRING: return sizeof(struct int_or_string);
    case TYPE_ANY: return sizeof(void *);
    case TYPE_STRUCT: return field->flags & FIELD_INLINE ? field->type->size : sizeof(void *);
    case TYPE_LIST:
    case TYPE_MAP: return sizeof(struct any_array);
    default: return sizeof(struct str);
    }
}

static void check_layout(const struct type *type)
{
    size_t used = 0;

    assert_true(type->size > 0);
    for (uint32_t i = 0; i < type->field_count; i++) {
        const struct field *field = &type->fields[i];

        used += slot_size(field);
        assert_true(field->offset + slot_size(field) <= type->size);
        for (uint32_t j = 0; j < i; j++) {
            const struct field *other = &type->fields[j];

            assert_true(field->offset + slot_size(field) <= other->offset ||
                        other->offset + slot_size(other) <= field->offset);
        }
    }
    assert_true(used <= type->size);
}

static void check_protobuf(const struct type *type)
{
    for (uint32_t i = 0; i < type->field_count; i++) {
        const struct field *a = &type->fields[i];

        assert_true(a->pb_depth <= 3);
        for (uint32_t j = 0; j < i; j++) {
            const struct field *b = &type->fields[j];

            if (a->pb_depth && a->pb_depth == b->pb_depth)
                assert_true(memcmp(a->pb, b->pb, sizeof a->pb) != 0);
        }
    }
}

static void check_keys(const struct field *field)
{
    const struct type *elem = field->type->elem;

    if (field->merge_key.data) {
        assert_true(field->flags & FIELD_PATCH_MERGE);
        assert_non_null(type_field(elem, field->merge_key));
    }
    assert_int_equal(field->list_kind == LIST_MAP, field->list_map_key_count > 0);
    for (uint16_t i = 0; i < field->list_map_key_count; i++)
        assert_non_null(type_field(elem, field->list_map_keys[i]));
}

static void check_field(const struct type *type, const struct field *field, struct arena *arena)
{
    struct json *json;
    struct err err = { 0 };

    assert_non_null(field->type);
    assert_ptr_equal(type_field(type, field->name), field);
    if (field->flags & FIELD_INLINE)
        assert_int_equal(field->type->kind, TYPE_STRUCT);
    if (field->type->kind == TYPE_LIST || field->type->kind == TYPE_MAP)
        assert_non_null(field->type->elem);
    else
        assert_int_equal(field->list_kind, LIST_NONE);
    if (field->default_json.data)
        assert_int_equal(json_parse(arena, field->default_json, NULL, &json, &err), 0);
    if (field->enum_count)
        assert_non_null(field->enum_values);
    check_keys(field);
}

static void test_types(void **state)
{
    struct arena arena;

    arena_init(&arena, 1 << 20);
    for (size_t i = 0; i < api_type_count; i++) {
        const struct type *type = api_types[i];

        assert_int_equal(type->kind, TYPE_STRUCT);
        assert_true(type->field_count > 0);
        if (i > 0)
            assert_true(str_cmp(api_types[i - 1]->name, type->name) < 0);
        for (uint32_t j = 0; j < type->field_count; j++) {
            if (j > 0)
                assert_true(str_cmp(type->fields[j - 1].name, type->fields[j].name) < 0);
            check_field(type, &type->fields[j], &arena);
        }
        check_layout(type);
        check_protobuf(type);
    }
    arena_deinit(&arena);
}

static void test_objects(void **state)
{
    size_t objects = 0;

    for (size_t i = 0; i < api_type_count; i++) {
        const struct type *type = api_types[i];

        if (!type->kind_name.data)
            continue;
        objects++;
        assert_true(type->version.len > 0);
        assert_non_null(type_field(type, STR("apiVersion")));
        assert_non_null(type_field(type, STR("kind")));
    }
    assert_true(objects > 150);
}

/* --- resources --- */

static void check_columns(const struct resource *resource)
{
    for (uint8_t i = 0; i < resource->column_count; i++) {
        const struct column *column = &resource->columns[i];

        assert_int_not_equal(column->path.len > 0, column->function.len > 0);
        assert_true(column->name.len > 0 && column->type.len > 0);
        assert_true(!column->path.len || column->path.data[0] == '.');
    }
}

static void test_resources(void **state)
{
    for (size_t i = 0; i < api_resource_count; i++) {
        const struct resource *a = api_resources[i];

        assert_true(str_eq(a->type->kind_name, a->kind));
        assert_true(str_eq(a->type->group, a->group) && str_eq(a->type->version, a->version));
        assert_true(a->verbs != 0);
        assert_ptr_equal(a->storage->storage, a->storage);
        assert_true(str_eq(a->storage->store_prefix, a->store_prefix));
        assert_int_equal(a->storage->namespaced, a->namespaced);
        if (a->served)
            assert_true(a->storage->served);
        assert_true(str_has_prefix(a->store_prefix, STR("/registry/")) && str_has_suffix(a->store_prefix, STR("/")));
        assert_int_equal(a->list_kind.len > 0, (a->verbs & VERB_LIST) != 0);
        check_columns(a);
        for (size_t j = 0; j < i; j++) {
            const struct resource *b = api_resources[j];

            assert_false(str_eq(a->group, b->group) && str_eq(a->version, b->version) && str_eq(a->plural, b->plural));
            if (a->storage == a && b->storage == b) {
                assert_false(str_has_prefix(a->store_prefix, b->store_prefix));
                assert_false(str_has_prefix(b->store_prefix, a->store_prefix));
            }
        }
    }
}

static void test_subresources(void **state)
{
    for (size_t i = 0; i < api_resource_count; i++) {
        const struct resource *resource = api_resources[i];

        for (uint8_t j = 0; j < resource->subresource_count; j++) {
            const struct subresource *sub = &resource->subresources[j];

            assert_ptr_equal(resource_subresource(resource, sub->name), sub);
            assert_true(sub->verbs != 0 && sub->kind.len > 0 && sub->version.len > 0);
        }
    }
    assert_str(resource_subresource(&RESOURCE_APPS_DEPLOYMENTS, STR("scale"))->group, "autoscaling");
    assert_str(resource_subresource(&RESOURCE_PODS, STR("eviction"))->kind, "Eviction");
    assert_null(resource_subresource(&RESOURCE_PODS, STR("nothing")));
}

/* --- facts --- */

static void test_storage(void **state)
{
    assert_ptr_equal(RESOURCE_EVENTS_K8S_IO_EVENTS.storage, &RESOURCE_EVENTS);
    assert_ptr_equal(RESOURCE_AUTOSCALING_V1_HORIZONTALPODAUTOSCALERS.storage,
                     &RESOURCE_AUTOSCALING_V2_HORIZONTALPODAUTOSCALERS);
    assert_str(RESOURCE_PODS.store_prefix, "/registry/pods/");
    assert_str(RESOURCE_EVENTS_K8S_IO_EVENTS.store_prefix, "/registry/events/");
    assert_str(RESOURCE_APPS_DEPLOYMENTS.store_prefix, "/registry/apps/deployments/");
    assert_false(RESOURCE_RESOURCE_K8S_IO_V1BETA1_DEVICECLASSES.served);
    assert_true(RESOURCE_PODS.served && RESOURCE_PODS.namespaced && !RESOURCE_NODES.namespaced);
    assert_true(RESOURCE_PODS.delete_returns_object && !RESOURCE_NODES.delete_returns_object);
    assert_str(RESOURCE_PODS.short_names[0], "po");
    assert_str(RESOURCE_PODS.categories[0], "all");
    assert_str(RESOURCE_ENDPOINTS.singular, "endpoints");
}

static void test_patch_facts(void **state)
{
    const struct field *containers = field_of(&TYPE_POD_SPEC, "containers");
    const struct field *ports = field_of(&TYPE_SERVICE_SPEC, "ports");
    const struct field *volumes = field_of(&TYPE_POD_SPEC, "volumes");
    const struct field *strategy = field_of(&TYPE_DEPLOYMENT_SPEC, "strategy");

    assert_str(containers->merge_key, "name");
    assert_int_equal(containers->list_kind, LIST_MAP);
    assert_ptr_equal(containers->type->elem, &TYPE_CONTAINER);
    assert_str(ports->merge_key, "port");
    assert_int_equal(ports->list_map_key_count, 2);
    assert_str(ports->list_map_keys[1], "protocol");
    assert_true(volumes->flags & FIELD_PATCH_MERGE && volumes->flags & FIELD_PATCH_RETAIN_KEYS);
    assert_true(strategy->flags & FIELD_PATCH_RETAIN_KEYS && strategy->flags & FIELD_INLINE);
    assert_true(TYPE_LABEL_SELECTOR.atomic);
    assert_true(field_of(&TYPE_PERSISTENT_VOLUME_SPEC, "claimRef")->flags & FIELD_MAP_GRANULAR);
    assert_true(field_of(&TYPE_POD_SPEC, "nodeSelector")->map_atomic);
}

static void test_default_facts(void **state)
{
    assert_str(field_of(&TYPE_POD_SPEC, "restartPolicy")->default_json, "\"Always\"");
    assert_str(field_of(&TYPE_POD_SPEC, "terminationGracePeriodSeconds")->default_json, "30");
    assert_str(field_of(&TYPE_DEPLOYMENT_SPEC, "replicas")->default_json, "1");
    assert_str(field_of(&TYPE_SECRET_VOLUME_SOURCE, "defaultMode")->default_json, "420");
    assert_null(field_of(&TYPE_POD_SPEC, "enableServiceLinks")->default_json.data); /* of pods, not of templates */
    assert_true(field_of(&TYPE_POD_SPEC, "hostNetwork")->flags & FIELD_OMIT_EMPTY);
    assert_false(field_of(&TYPE_POD_SPEC, "priority")->flags & FIELD_OMIT_EMPTY);
    assert_false(field_of(&TYPE_PERSISTENT_VOLUME_CLAIM_SPEC, "storageClassName")->flags & FIELD_OMIT_EMPTY);
    assert_true(field_of(&TYPE_CONTAINER, "command")->flags & FIELD_OMIT_EMPTY);
}

static void test_shape_facts(void **state)
{
    const struct field *name = field_of(&TYPE_EPHEMERAL_CONTAINER, "name");
    const struct type *schema = &TYPE_JSON_SCHEMA_PROPS;

    assert_int_equal(name->pb_depth, 2);
    assert_int_equal(name->pb[0], 1);
    assert_ptr_equal(field_of(schema, "not")->type, schema);
    assert_ptr_equal(field_of(schema, "allOf")->type->elem, schema);
    assert_int_equal(field_of(schema, "items")->type->kind, TYPE_ANY);
    assert_ptr_equal(field_of(type_named("io.k8s.api.core.v1.PodList"), "items")->type->elem, &TYPE_POD);
    assert_true(field_of(&TYPE_POD, "metadata")->flags & FIELD_INLINE);
    assert_ptr_equal(field_of(&TYPE_POD, "metadata")->type, &TYPE_OBJECT_META);
    assert_int_equal(field_of(&TYPE_POD, "spec")->offset, offsetof(struct pod, spec));
    assert_int_equal(TYPE_POD.size, sizeof(struct pod));
    assert_int_equal(field_of(&TYPE_SECRET, "data")->type->elem->kind, TYPE_BYTES);
    assert_true(field_of(&TYPE_CONDITION, "status")->flags & FIELD_ENUM_OPEN);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_types),         cmocka_unit_test(test_objects),
        cmocka_unit_test(test_resources),     cmocka_unit_test(test_subresources),
        cmocka_unit_test(test_storage),       cmocka_unit_test(test_patch_facts),
        cmocka_unit_test(test_default_facts), cmocka_unit_test(test_shape_facts),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
