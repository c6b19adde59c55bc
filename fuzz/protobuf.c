/* Protobuf bodies under hostile bytes: what decodes must be a tree that normalising and writing take, and what is
 * written as protobuf comes back as the same bytes. */
#include "schema/protobuf.h"
#include "api/apiextensions_v1.h"
#include "api/core_v1.h"
#include "schema/object.h"

static void round_trip(struct arena *arena, const struct type *type, struct str bytes)
{
    struct json *object;
    struct str first, second;

    if (protobuf_decode(arena, type, bytes, &object, NULL) < 0 ||
        object_normalize(arena, type, object, json_new(arena, JSON_ARRAY), NULL) < 0)
        return;
    json_text(arena, object);
    if (protobuf_encode(arena, type, object, 0, &first, NULL) < 0 ||
        protobuf_decode(arena, type, first, &object, NULL) < 0 ||
        object_normalize(arena, type, object, NULL, NULL) < 0 ||
        protobuf_encode(arena, type, object, 0, &second, NULL) < 0)
        return;
    INVARIANT(str_eq(first, second));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena arena;

    arena_init(&arena, 64 << 20);
    round_trip(&arena, &TYPE_POD, str_of(data, size));
    round_trip(&arena, &TYPE_CUSTOM_RESOURCE_DEFINITION, str_of(data, size));
    arena_deinit(&arena);
    return 0;
}
