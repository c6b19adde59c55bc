/* Protobuf bodies: what each kind of field becomes, and what is refused. The bytes were put together by hand. */
#include "schema_test.h"

#include "api/apiextensions_v1.h"
#include "api/authentication_v1.h"
#include "api/core_v1.h"
#include "schema/protobuf.h"

#define BYTES(literal)              \
    {                               \
        literal, sizeof literal - 1 \
    }

static const struct {
    const char *name;
    const struct type *type;
    struct str bytes;
    const char *want;
} good[] = {
    { "a ConfigMap: maps, bytes, a time that is not", &TYPE_CONFIG_MAP,
      BYTES("k8s\000\012\017\012\002v1\022\011ConfigMap\022#\012\007\012\001a\022\000B\000\022\006\012\001k\022"
            "\001w\022\005\012\001l\022\000\032\007\012\001b\022\002\000\377 \001\032\000\042\000"),
      "{'apiVersion':'v1','kind':'ConfigMap','metadata':{'name':'a','generateName':''},'data':{'k':'w','l':''},'bi"
      "naryData':{'b':'AP8='},'immutable':true}" },
    { "a Pod: embedded structs, quantities, int-or-string, numbers, times", &TYPE_POD,
      BYTES("k8s\000\012\011\012\002v1\022\003Pod\022g\012\030\012\001pB\010\010\200\342\317\252\006\020\000P"
            "\373\377\377\377\377\377\377\377\377\001\022K\012\013\012\001v\022\006\012\004\012\002/x\022:\012"
            "\001c\032\002sh\032\002-c2\010\030\220\077\042\003TCPB\016\022\014\012\003cpu\022\005\012\00310mR"
            "\023\012\021\022\017\012\001/\022\012\010\001\020\000\032\004http \036\032\000\042\000"),
      "{'apiVersion':'v1','kind':'Pod','metadata':{'name':'p','creationTimestamp':'2023-11-14T22:13:20Z','delet"
      "ionGracePeriodSeconds':-5},'spec':{'volumes':[{'name':'v','hostPath':{'path':'/x'}}],'containers':[{'nam"
      "e':'c','command':['sh','-c'],'ports':[{'containerPort':8080,'protocol':'TCP'}],'resources':{'requests':{"
      "'cpu':'10m'}},'livenessProbe':{'httpGet':{'path':'/','port':'http'}}}],'terminationGracePeriodSeconds':3"
      "0}}" },
    { "a map of lists", &TYPE_TOKEN_REVIEW,
      BYTES("k8s\000\012\004\012\000\022\000\022\026\032\024\010\001\022\020\012\001u\042\013\012\001e\022\006"
            "\012\001x\012\001y\032\000\042\000"),
      "{'status':{'authenticated':true,'user':{'username':'u','extra':{'e':['x','y']}}}}" },
    { "what the table does not know is passed over", &TYPE_CONFIG_MAP,
      BYTES("k8s\000\012\017\012\002v1\022\011ConfigMap\022\034\352\004\001x\360\004\001\371\00412345678\205"
            "\0051234\202\227\042\001y\032\000\042\000"),
      "{'apiVersion':'v1','kind':'ConfigMap'}" },
};

static const struct {
    const char *name;
    struct str bytes;
} bad[] = {
    { "empty", BYTES("") },
    { "another magic", BYTES("k8s\001\012\000") },
    { "cut in a length", BYTES("k8s\000\012\017\012\002v1\022\011ConfigMap\022\000\032\000\042\000\022\005ab") },
    { "key zero", BYTES("k8s\000\000\000") },
    { "a group", BYTES("k8s\000\013") },
    { "an endless varint", BYTES("k8s\000\377\377\377\377\377\377\377\377\377\377\377\377") },
    { "no UTF-8",
      BYTES("k8s\000\012\017\012\002v1\022\011ConfigMap\022\007\022\005\012\001\377\022\000\032\000\042\000") },
    { "a number where a map is", BYTES("k8s\000\012\017\012\002v1\022\011ConfigMap\022\002\020\001\032\000\042\000") },
    { "a text where a flag is", BYTES("k8s\000\012\017\012\002v1\022\011ConfigMap\022\003\042\001x\032\000\042\000") },
    { "a broken message in a map",
      BYTES("k8s\000\012\017\012\002v1\022\011ConfigMap\022\005\022\003\012\011a\032\000\042\000") },
    { "compressed", BYTES("k8s\000\022\000\032\004gzip") },
};

static void test_good(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        struct arena arena;
        struct json *object = NULL;
        struct err err = { 0 };

        arena_init(&arena, 0);
        if (protobuf_decode(&arena, good[i].type, good[i].bytes, &object, &err) < 0)
            fail_msg("%s: %s", good[i].name, err.message);
        if (!json_equal(object, parse(&arena, good[i].want)))
            fail_msg("%s: %s", good[i].name, text_of(&arena, object));
        arena_deinit(&arena);
    }
}

static void test_bad(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct arena arena;
        struct json *object = NULL;
        struct err err = { 0 };

        arena_init(&arena, 0);
        if (protobuf_decode(&arena, &TYPE_CONFIG_MAP, bad[i].bytes, &object, &err) != -ERR_BAD_REQUEST)
            fail_msg("%s: not refused", bad[i].name);
        assert_null(object);
        arena_deinit(&arena);
    }
}

/* Every cut and every flipped bit ends in a tree or in an error. */
static void test_mutations(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        for (size_t bit = 0; bit < good[i].bytes.len * 8; bit++) {
            char *copy = malloc(good[i].bytes.len);
            struct arena arena;
            struct json *object;

            assert_non_null(copy);
            memcpy(copy, good[i].bytes.data, good[i].bytes.len);
            copy[bit / 8] = (char)(copy[bit / 8] ^ 1 << bit % 8);
            arena_init(&arena, 0);
            if (protobuf_decode(&arena, good[i].type, str_of(copy, good[i].bytes.len), &object, NULL) == 0)
                json_text(&arena, object);
            protobuf_decode(&arena, good[i].type, str_of(copy, bit / 8), &object, NULL);
            arena_deinit(&arena);
            free(copy);
        }
    }
}

/* A JSON schema within a JSON schema within ...: an error long before the stack ends. */
static void test_depth(void **state)
{
    enum { LEVELS = 5000, ROOM = LEVELS * 6 };
    char *bytes = malloc(ROOM), *start = bytes + ROOM;
    struct arena arena;
    struct json *object;
    struct err err;

    assert_non_null(bytes);
    arena_init(&arena, 0);
    for (int level = 0; level < LEVELS; level++) {
        size_t len = (size_t)(bytes + ROOM - start);
        char head[8];
        size_t size = 0;

        /* "not", field 28; the outermost is the content of the envelope, field 2. */
        if (level + 1 < LEVELS)
            head[size++] = (char)(28 << 3 | 0x82);
        head[size++] = level + 1 < LEVELS ? 28 >> 4 : 2 << 3 | 2;
        for (; len > 0x7f; len >>= 7)
            head[size++] = (char)(len | 0x80);
        head[size++] = (char)len;
        start -= size;
        memcpy(start, head, size);
    }
    start -= 4;
    memcpy(start, "k8s", 4);
    assert_int_equal(
        protobuf_decode(&arena, &TYPE_JSON_SCHEMA_PROPS, str_of(start, (size_t)(bytes + ROOM - start)), &object, &err),
        -ERR_BAD_REQUEST);
    assert_non_null(strstr(err.message, "too deep"));
    arena_deinit(&arena);
    free(bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good),
        cmocka_unit_test(test_bad),
        cmocka_unit_test(test_mutations),
        cmocka_unit_test(test_depth),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
