/* Schemas of custom resources and values under them: [schema, value]. A schema that passes the rules makes a type; what
 * has gone through that type stays as it is the second time. */
#include "api/apiextensions_v1.h"
#include "schema/object.h"
#include "schema/structural.h"

static void check_value(struct arena *arena, const struct type *type, struct json *value)
{
    struct causes causes;
    struct str before;

    if (object_normalize(arena, type, value, json_new(arena, JSON_ARRAY), NULL) < 0 ||
        object_default(arena, type, value, NULL) < 0)
        return;
    causes_init(&causes, arena);
    object_check(type, value, &causes);
    causes_text(&causes);
    before = json_text(arena, value);
    if (object_normalize(arena, type, value, NULL, NULL) == 0 && before.data)
        INVARIANT(str_eq(before, json_text(arena, value)) || arena_failed(arena));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    AUTO(arena) arena = arena_new(64u << 20);
    const struct schema *compiled;
    const struct type *type;
    struct causes causes;
    struct json *input;

    if (!arena || json_parse(arena, str_of(data, size), NULL, &input, NULL) < 0 || !json_is(input, JSON_ARRAY) ||
        input->count != 2 || !json_is(&input->items[0], JSON_OBJECT))
        return 0;
    struct json *schema = &input->items[0];

    if (object_normalize(arena, &TYPE_JSON_SCHEMA_PROPS, schema, NULL, NULL) < 0)
        return 0;
    causes_init(&causes, arena);
    schema_check_rules(schema, STR("schema"), &causes);
    if (causes.count > 0)
        return 0;
    if ((compiled = schema_compile(arena, schema))) {
        causes_init(&causes, arena);
        schema_check_value(compiled, &input->items[1], NULL, &causes);
        size_t found = causes.count;
        schema_check_update(compiled, &input->items[1], &input->items[1], &causes);
        INVARIANT(causes.count == found); /* what stays as it is stays allowed */
    }
    if (structural_type(arena, schema, STR("g"), STR("v1"), STR("K"), &type, NULL) == 0 &&
        json_is(&input->items[1], JSON_OBJECT))
        check_value(arena, type, &input->items[1]);
    return 0;
}
