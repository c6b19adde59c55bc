/* Protobuf bodies under hostile bytes: what decodes must be a tree that normalising and writing take. */
#include "schema/protobuf.h"
#include "api/core_v1.h"
#include "schema/object.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena arena;
    struct json *object;

    arena_init(&arena, 64 << 20);
    if (protobuf_decode(&arena, &TYPE_POD, str_of(data, size), &object, NULL) == 0 &&
        object_normalize(&arena, &TYPE_POD, object, json_new(&arena, JSON_ARRAY), NULL) == 0)
        json_text(&arena, object);
    arena_deinit(&arena);
    return 0;
}
