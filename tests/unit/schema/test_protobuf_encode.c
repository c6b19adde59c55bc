/* Objects as protobuf: bytes as Kubernetes' own marshallers write them, and every type of the tables through JSON text,
 * YAML and protobuf and back. */
#include "random_object.h"

#include "api/apiextensions_v1.h"
#include "api/authentication_v1.h"
#include "api/core_v1.h"
#include "codec/yaml.h"
#include "schema/object.h"
#include "schema/protobuf.h"

#define BYTES(literal)              \
    {                               \
        literal, sizeof literal - 1 \
    }
#define CONFIG_MAP_HEAD "k8s\000\012\017\012\002v1\022\011ConfigMap\022"
/* An empty ObjectMeta but for its name, of one letter. */
#define META_OF(letter) "\012\001" letter "\022\000\032\000\042\000\052\000\062\000\070\000\102\000"

static const struct {
    const char *name;
    const struct type *type;
    const char *object;
    struct str want;
} encodings[] = {
    { "a ConfigMap: what is no pointer is written, a pointer is not; maps by keys", &TYPE_CONFIG_MAP,
      "{'apiVersion':'v1','kind':'ConfigMap','metadata':{'name':'a'},'data':{'l':'','k':'w'},"
      "'binaryData':{'b':'AP8='}}",
      BYTES(CONFIG_MAP_HEAD "\053\012\021" META_OF("a") "\022\006\012\001k\022\001w\022\005\012\001l\022\000"
                                                        "\032\007\012\001b\022\002\000\377\032\000\042\000") },
    { "a pointer to false", &TYPE_CONFIG_MAP,
      "{'apiVersion':'v1','kind':'ConfigMap','metadata':{'name':'a'},'immutable':false}",
      BYTES(CONFIG_MAP_HEAD "\025\012\021" META_OF("a") "\040\000\032\000\042\000") },
    { "nothing at all: metadata is there all the same", &TYPE_CONFIG_MAP, "{'apiVersion':'v1','kind':'ConfigMap'}",
      BYTES(CONFIG_MAP_HEAD "\022\012\020\012\000\022\000\032\000\042\000\052\000\062\000\070\000\102\000"
                            "\032\000\042\000") },
};

static const struct {
    const char *name;
    const struct type *type;
    const char *object;
    struct str want;
} messages[] = {
    { "a struct that Go embeds is a message", &TYPE_VOLUME, "{'name':'v','hostPath':{'path':'/x'}}",
      BYTES("\012\001v\022\006\012\004\012\002/x") },
    { "and an empty one too", &TYPE_VOLUME, "{'name':'v'}", BYTES("\012\001v\022\000") },
    { "int-or-string, int", &TYPE_TCP_SOCKET_ACTION, "{'port':80}", BYTES("\012\006\010\000\020\120\032\000\022\000") },
    { "int-or-string, string", &TYPE_TCP_SOCKET_ACTION, "{'port':'x'}",
      BYTES("\012\007\010\001\020\000\032\001x\022\000") },
    { "quantities in a map", &TYPE_RESOURCE_REQUIREMENTS, "{'limits':{'cpu':'10m'}}",
      BYTES("\012\014\012\003cpu\022\005\012\00310m") },
    { "negative numbers take ten bytes", &TYPE_PREFERRED_SCHEDULING_TERM, "{'weight':-1,'preference':{}}",
      BYTES("\010\377\377\377\377\377\377\377\377\377\001\022\000") },
    { "a map of lists", &TYPE_USER_INFO, "{'username':'u','extra':{'e':['x','y']}}",
      BYTES("\012\001u\022\000\042\013\012\001e\022\006\012\001x\012\001y") },
    { "times: seconds, and nanos that are none", &TYPE_CONTAINER_STATE_RUNNING, "{'startedAt':'2023-11-14T22:13:20Z'}",
      BYTES("\012\010\010\200\342\317\252\006\020\000") },
    { "a time before 1970", &TYPE_CONTAINER_STATE_RUNNING, "{'startedAt':'1969-12-31T23:59:59Z'}",
      BYTES("\012\015\010\377\377\377\377\377\377\377\377\377\001\020\000") },
};

static void assert_bytes(const char *name, struct str got, struct str want)
{
    if (str_eq(got, want))
        return;
    print_message("%s:\n got ", name);
    for (size_t i = 0; i < got.len; i++)
        print_message(" %02x", (unsigned char)got.data[i]);
    print_message("\n want");
    for (size_t i = 0; i < want.len; i++)
        print_message(" %02x", (unsigned char)want.data[i]);
    print_message("\n");
    fail();
}

static void test_objects(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(encodings); i++) {
        struct err err = { 0 };
        struct arena arena;
        struct str bytes;

        arena_init(&arena, 0);
        if (protobuf_encode(&arena, encodings[i].type, parse(&arena, encodings[i].object), 0, &bytes, &err) < 0)
            fail_msg("%s: %s", encodings[i].name, err.message);
        assert_bytes(encodings[i].name, bytes, encodings[i].want);
        arena_deinit(&arena);
    }
}

static void test_messages(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(messages); i++) {
        struct err err = { 0 };
        struct arena arena;
        struct str bytes;

        arena_init(&arena, 0);
        if (protobuf_encode_message(&arena, messages[i].type, parse(&arena, messages[i].object), 0, &bytes, &err) < 0)
            fail_msg("%s: %s", messages[i].name, err.message);
        assert_bytes(messages[i].name, bytes, messages[i].want);
        arena_deinit(&arena);
    }
}

static const struct {
    const struct type *type;
    const char *object;
} misfits[] = {
    { &TYPE_POD, "{'spec':[]}" },
    { &TYPE_POD, "{'spec':{'containers':{}}}" },
    { &TYPE_POD, "{'spec':{'priority':'x'}}" },
    { &TYPE_POD, "{'spec':{'priority':3000000000}}" },
    { &TYPE_POD, "{'metadata':{'creationTimestamp':'yesterday'}}" },
    { &TYPE_POD, "{'metadata':{'labels':['a']}}" },
    { &TYPE_CONFIG_MAP, "{'binaryData':{'a':'?'}}" },
    { &TYPE_SERVICE, "{'spec':{'ports':[{'targetPort':1.5}]}}" },
};

static void test_misfits(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(misfits); i++) {
        struct arena arena;
        struct str bytes;

        arena_init(&arena, 0);
        if (protobuf_encode(&arena, misfits[i].type, parse(&arena, misfits[i].object), 0, &bytes, NULL) !=
            -ERR_INTERNAL)
            fail_msg("not refused: %s", misfits[i].object);
        arena_deinit(&arena);
    }
}

/* The nth allocation fails, for every n: an error, never less than the whole. */
static void test_no_memory(void **state)
{
    const char *pod = "{'apiVersion':'v1','kind':'Pod','metadata':{'name':'p','labels':{'z':'1','a':'2'},"
                      "'managedFields':[{'fieldsV1':{'f:x':{}}}]}}";
    struct json *object;
    struct arena arena;
    struct str bytes;
    size_t limit = 1;
    int code;

    arena_init(&arena, 0);
    object = parse(&arena, pod);
    do {
        struct arena small;

        arena_init(&small, limit++);
        code = protobuf_encode(&small, &TYPE_POD, object, 0, &bytes, NULL);
        assert_true(code == 0 || code == -ERR_TOO_LARGE);
        arena_deinit(&small);
    } while (code < 0 && limit < 1u << 20);
    assert_int_equal(code, 0);
    arena_deinit(&arena);
}

/* -- there and back -- */

static void fill(struct arena *arena, const struct type *type, struct json *json);

/* Kinds are told in the envelope only. */
static void fill_inner(struct arena *arena, const struct type *type, struct json *json)
{
    if (type->kind_name.data) {
        json_remove(json, STR("kind"));
        json_remove(json, STR("apiVersion"));
    }
    fill(arena, type, json);
}

static void fill_field(struct arena *arena, const struct field *field, struct json *object)
{
    static const struct json zeros[] = {
        [TYPE_STRING] = { .kind = JSON_STRING, .string = STR_INIT("") },
        [TYPE_BOOL] = { .kind = JSON_BOOL },
        [TYPE_INT32] = { .kind = JSON_NUMBER, .is_int = true, .number = { STR_INIT("0"), 0 } },
        [TYPE_INT64] = { .kind = JSON_NUMBER, .is_int = true, .number = { STR_INIT("0"), 0 } },
        [TYPE_QUANTITY] = { .kind = JSON_STRING, .string = STR_INIT("0") },
        [TYPE_STRUCT] = { .kind = JSON_OBJECT },
    };
    struct json *value = json_get(object, field->name);
    bool plain = field->flags & FIELD_ALWAYS && !(field->flags & FIELD_POINTER);

    if (!value && field->pb_depth && (plain || field->flags & FIELD_INLINE) && field->type->kind < ARRAY_LEN(zeros) &&
        zeros[field->type->kind].kind != JSON_NULL)
        value = json_set(arena, object, field->name, &zeros[field->type->kind]);
    if (value)
        fill_inner(arena, field->type, value);
}

/* Adds what Go cannot leave out, as protobuf brings it back. */
static void fill(struct arena *arena, const struct type *type, struct json *json)
{
    if (type->kind == TYPE_STRUCT)
        for (uint32_t i = 0; i < type->field_count; i++)
            fill_field(arena, &type->fields[i], json);
    for (uint32_t i = 0; type->kind == TYPE_LIST && i < json->count; i++)
        fill_inner(arena, type->elem, &json->items[i]);
    for (uint32_t i = 0; type->kind == TYPE_MAP && i < json->count; i++)
        fill_inner(arena, type->elem, &json->members[i].value);
}

static void normalize(struct arena *arena, const struct type *type, struct json *object)
{
    struct err err = { 0 };

    if (object_normalize(arena, type, object, NULL, &err) < 0)
        fail_msg(STR_FMT ": %s", STR_ARG(type->name), err.message);
    fill(arena, type, object);
    if (object_normalize(arena, type, object, NULL, &err) < 0)
        fail_msg(STR_FMT ": %s", STR_ARG(type->name), err.message);
}

static void same(struct arena *arena, const struct type *type, const char *way, const struct json *want,
                 const struct json *got)
{
    if (!json_equal(want, got))
        fail_msg(STR_FMT " through %s:\n got  %s\n want %s", STR_ARG(type->name), way, text_of(arena, got),
                 text_of(arena, want));
}

static void round_trip(struct arena *arena, struct rng *rng, const struct type *type)
{
    struct json *object = random_object(arena, rng, type), *back;
    AUTO_DEINIT(buf, yaml) = BUF_INIT;
    struct str text, bytes, again;
    struct err err = { 0 };

    normalize(arena, type, object);
    text = json_text(arena, object);
    assert_int_equal(json_parse(arena, text, NULL, &back, &err), 0);
    same(arena, type, "JSON", object, back);

    assert_int_equal(yaml_write(&yaml, object, &err), 0);
    if (yaml_parse(arena, buf_str(&yaml), NULL, &back, &err) < 0)
        fail_msg(STR_FMT ": %s", STR_ARG(type->name), err.message);
    same(arena, type, "YAML", object, back);

    if (protobuf_encode(arena, type, object, text.len, &bytes, &err) < 0 ||
        protobuf_decode(arena, type, bytes, &back, &err) < 0)
        fail_msg(STR_FMT ": %s\n%s", STR_ARG(type->name), err.message, text_of(arena, object));
    normalize(arena, type, back);
    same(arena, type, "protobuf", object, back);
    assert_int_equal(protobuf_encode(arena, type, back, 0, &again, &err), 0);
    assert_bytes(arena_cstr(arena, type->name), again, bytes);
}

static void test_round_trips(void **state)
{
    enum { ROUNDS = 20 };
    struct seeded_rng rng;
    size_t types = 0;

    seeded_rng_init(&rng, 20250423);
    for (size_t i = 0; i < api_type_count; i++) {
        if (!type_has_protobuf(api_types[i]))
            continue;
        types++;
        for (int round = 0; round < ROUNDS; round++) {
            struct arena arena;

            arena_init(&arena, 0);
            round_trip(&arena, &rng.rng, api_types[i]);
            arena_deinit(&arena);
        }
    }
    assert_true(types > 500);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_objects),   cmocka_unit_test(test_messages),    cmocka_unit_test(test_misfits),
        cmocka_unit_test(test_no_memory), cmocka_unit_test(test_round_trips),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
