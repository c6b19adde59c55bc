/* Sets of fields and what is done with them: [set, set, object, object], as managedFields and applies bring them. */
#include "schema/fields.h"

#include "api/core_v1.h"
#include "schema/object.h"

static int count(void *arg, struct str path)
{
    ++*(size_t *)arg;
    return 0;
}

static void check_sets(struct arena *arena, const struct json *a, const struct json *b)
{
    struct json *both = fields_union(arena, a, b), *common = fields_intersection(arena, a, b);
    struct json *rest = fields_difference(arena, a, b);
    size_t paths = 0;

    fields_equal(both, common);
    fields_each(rest, count, &paths);
    fields_each(both, count, &paths);
}

static void check_objects(struct arena *arena, struct json *live, struct json *config, const struct json *remove)
{
    struct json *changed, *removed, *merged, *owned;

    if (object_normalize(arena, &TYPE_POD, live, NULL, NULL) < 0 ||
        object_normalize(arena, &TYPE_POD, config, NULL, NULL) < 0)
        return;
    fields_compare(arena, &TYPE_POD, live, config, &changed, &removed);
    merged = fields_merge(arena, &TYPE_POD, live, config);
    owned = fields_of(arena, &TYPE_POD, config);
    check_sets(arena, owned, remove);
    if (merged)
        fields_prune(arena, &TYPE_POD, merged, remove, owned);
    if (merged)
        json_text(arena, merged);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    AUTO(arena) arena = arena_new(64u << 20);
    struct json *input;

    if (!arena || json_parse(arena, str_of(data, size), NULL, &input, NULL) < 0 || !json_is(input, JSON_ARRAY) ||
        input->count != 4)
        return 0;
    struct json *items = input->items;

    if (!fields_is_sound(&items[0]) || !fields_is_sound(&items[1]))
        return 0;
    check_sets(arena, &items[0], &items[1]);
    if (json_is(&items[2], JSON_OBJECT) && json_is(&items[3], JSON_OBJECT))
        check_objects(arena, &items[2], &items[3], &items[0]);
    return 0;
}
