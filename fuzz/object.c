/* What a client can do to an object by table: [object, patch] goes through strategic merge, normalising, defaults and
 * checks; what has passed must decode, come back the same, and stay as it is the second time. */
#include "schema/object.h"
#include "api/core_v1.h"
#include "schema/view.h"

static void check(struct arena *arena, struct json *object)
{
    AUTO_DEINIT(buf, buf) = BUF_INIT;
    struct err err = { 0 };
    struct causes causes;
    struct str before;
    struct json *encoded;
    void *view, *copy;

    if (object_normalize(arena, &TYPE_POD, object, json_new(arena, JSON_ARRAY), &err) < 0)
        return;
    INVARIANT(object_default(arena, &TYPE_POD, object, &err) == 0);
    before = json_text(arena, object);
    INVARIANT(object_normalize(arena, &TYPE_POD, object, NULL, &err) == 0);
    INVARIANT(object_default(arena, &TYPE_POD, object, &err) == 0);
    INVARIANT(str_eq(before, json_text(arena, object)));
    causes_init(&causes, arena);
    object_check(&TYPE_POD, object, &causes);
    causes_text(&causes);
    INVARIANT(view_decode(arena, &TYPE_POD, object, &view, &err) == 0);
    INVARIANT(view_encode(arena, &TYPE_POD, view, &encoded, &err) == 0);
    copy = view_copy(arena, &TYPE_POD, view);
    INVARIANT(copy && view_equal(&TYPE_POD, view, copy));
    INVARIANT(view_write(&buf, &TYPE_POD, copy, &err) == 0);
    INVARIANT(str_eq(buf_str(&buf), json_text(arena, encoded)));
    INVARIANT(view_decode(arena, &TYPE_POD, encoded, &copy, &err) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena arena;
    struct json *input, *object;

    arena_init(&arena, 0);
    if (json_parse(&arena, str_of(data, size), NULL, &input, NULL) == 0 && json_is(input, JSON_ARRAY) &&
        input->count == 2) {
        object = &input->items[0];
        if (object_strategic_merge(&arena, &TYPE_POD, &object, &input->items[1], NULL) == 0)
            check(&arena, object);
    }
    arena_deinit(&arena);
    return 0;
}
