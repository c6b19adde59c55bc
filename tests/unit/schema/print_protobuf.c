/* Prints a random object of every type that has protobuf: full name, JSON, and its message in hexadecimal digits, a
 * line each. For check_protobuf.py. */
#include "random_object.h"

#include <stdio.h>

#include "schema/object.h"
#include "schema/protobuf.h"

#define ROUNDS 2

static int print_one(struct arena *arena, struct rng *rng, const struct type *type, struct err *err)
{
    struct json *object = random_object(arena, rng, type);
    struct str text, bytes;
    int code = object_normalize(arena, type, object, NULL, err);

    if (code == 0)
        code = protobuf_encode_message(arena, type, object, 0, &bytes, err);
    if (code < 0)
        return code;
    text = json_text(arena, object);
    printf(STR_FMT "\t" STR_FMT "\t", STR_ARG(type->name), STR_ARG(text));
    for (size_t i = 0; i < bytes.len; i++)
        printf("%02x", (unsigned char)bytes.data[i]);
    printf("\n");
    return 0;
}

int main(void)
{
    struct seeded_rng rng;

    seeded_rng_init(&rng, 42);
    for (size_t i = 0; i < api_type_count * ROUNDS; i++) {
        const struct type *type = api_types[i / ROUNDS];
        struct err err = { 0 };
        struct arena arena;
        int code = 0;

        arena_init(&arena, 0);
        if (type_has_protobuf(type))
            code = print_one(&arena, &rng.rng, type, &err);
        arena_deinit(&arena);
        if (code < 0) {
            fprintf(stderr, STR_FMT ": %s\n", STR_ARG(type->name), err.message);
            return 1;
        }
    }
    return 0;
}
