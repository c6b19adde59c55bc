/* random_object.h - objects made up from a table: every field has its turn, values are canonical. The same seed gives
 * the same object. */
#pragma once

#include "base/rng.h"
#include "schema/type.h"
#include "schema_test.h"

#define RANDOM_DEPTH 7

static inline struct json random_value(struct arena *arena, struct rng *rng, const struct field *field,
                                       const struct type *type, int depth);

static inline struct json random_text(struct arena *arena, struct rng *rng, const char *const *choices, size_t count)
{
    return (struct json){ .kind = JSON_STRING, .string = arena_str(arena, str_from(choices[rng_below(rng, count)])) };
}

static inline struct json random_number(struct arena *arena, struct rng *rng, int64_t bound)
{
    int64_t value = (int64_t)rng_below(rng, (uint64_t)bound) - (rng_below(rng, 4) == 0 ? bound / 2 : 0);

    return *json_new_int(arena, value);
}

static inline bool is_empty(const struct json *value)
{
    return (value->kind == JSON_BOOL && !value->boolean) || (value->kind == JSON_STRING && value->string.len == 0) ||
           (value->kind == JSON_NUMBER && json_double(value, 1) == 0);
}

static inline struct json random_struct(struct arena *arena, struct rng *rng, const struct type *type, int depth)
{
    struct json object = { .kind = JSON_OBJECT };

    for (uint32_t i = 0; i < type->field_count; i++) {
        const struct field *field = &type->fields[i];
        struct json value;

        if (rng_below(rng, 10) >= (depth > 4 ? 7u : 3u) && !(field->flags & FIELD_REQUIRED && depth > 0))
            continue;
        if (depth <= 0 && field->type->kind >= TYPE_STRUCT)
            continue;
        value = random_value(arena, rng, field, field->type, depth);
        if (field->flags & FIELD_OMIT_EMPTY && is_empty(&value))
            continue;
        assert_non_null(json_set(arena, &object, field->name, &value));
    }
    return object;
}

static inline struct json random_list(struct arena *arena, struct rng *rng, const struct field *field,
                                      const struct type *type, int depth)
{
    struct json list = { .kind = JSON_ARRAY };
    uint64_t count = 1 + rng_below(rng, 3);

    for (uint64_t i = 0; i < count; i++) {
        struct json item = random_value(arena, rng, field, type->elem, depth - 1);

        assert_non_null(json_append(arena, &list, &item));
    }
    return list;
}

static inline struct json random_map(struct arena *arena, struct rng *rng, const struct type *type, int depth)
{
    static const char *const keys[] = { "a", "app.kubernetes.io/name", "cpu", "memory", "z\"\n" };
    struct json map = { .kind = JSON_OBJECT };

    for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
        if (rng_below(rng, 2) && map.count > 0)
            continue;
        struct json value = random_value(arena, rng, NULL, type->elem, depth - 1);

        assert_non_null(json_set(arena, &map, str_from(keys[i]), &value));
    }
    return map;
}

static inline struct json random_any(struct arena *arena, struct rng *rng, const struct type *type)
{
    static const char *const texts[][3] = {
        [ANY_JSON] = { "{'z':[1,null,{'b':true}],'a':0.50}", "{'f:metadata':{'f:name':{}}}", "{}" },
        [ANY_SCHEMA_OR_LIST] = { "[{'type':'string'},{}]", "{'type':'integer','maxLength':0}", "[]" },
        [ANY_SCHEMA_OR_BOOL] = { "true", "false", "{'properties':{'a':{'additionalProperties':{'enum':[null,1]}}}}" },
        [ANY_SCHEMA_OR_STRINGS] = { "['a','b']", "{'not':{'items':[{'$ref':''}]}}", "[]" },
    };

    return *parse(arena, texts[type->any_form][rng_below(rng, 3)]);
}

/* field: for its enum; NULL inside maps. */
static inline struct json random_value(struct arena *arena, struct rng *rng, const struct field *field,
                                       const struct type *type, int depth)
{
    static const char *const strings[] = { "x", "nginx:1.27", "\xc3\xa9t\xc3\xa9 \"q\" \\ \n", "a-b-c", "/var/run" };
    static const char *const bytes[] = { "", "YQ==", "YWI=", "YWJj", "AAEC/w==" };
    static const char *const quantities[] = { "0", "1", "100m", "1500m", "1Gi", "64Mi", "1k", "5T", "-3" };
    static const char *const times[] = { "2026-01-02T15:04:05Z", "1999-12-31T23:59:59Z", "1970-01-01T00:00:00Z" };
    static const char *const micros[] = { "2026-01-02T15:04:05.000000Z", "2026-01-02T15:04:05.123456Z" };

    switch (type->kind) {
    case TYPE_STRING:
        if (field && field->enum_count > 0)
            return (struct json){ .kind = JSON_STRING,
                                  .string = field->enum_values[rng_below(rng, field->enum_count)] };
        return random_text(arena, rng, strings, ARRAY_LEN(strings));
    case TYPE_BYTES: return random_text(arena, rng, bytes, ARRAY_LEN(bytes));
    case TYPE_QUANTITY: return random_text(arena, rng, quantities, ARRAY_LEN(quantities));
    case TYPE_TIME: return random_text(arena, rng, times, ARRAY_LEN(times));
    case TYPE_MICRO_TIME: return random_text(arena, rng, micros, ARRAY_LEN(micros));
    case TYPE_BOOL: return (struct json){ .kind = JSON_BOOL, .boolean = rng_below(rng, 2) };
    case TYPE_INT32: return random_number(arena, rng, INT32_MAX);
    case TYPE_INT64: return random_number(arena, rng, INT64_MAX);
    case TYPE_DOUBLE: return *parse(arena, rng_below(rng, 2) ? "0.1" : "-12.5");
    case TYPE_INT_OR_STRING:
        return rng_below(rng, 2) ? random_number(arena, rng, 65536) : random_text(arena, rng, strings, 1);
    case TYPE_ANY: return random_any(arena, rng, type);
    case TYPE_STRUCT: return random_struct(arena, rng, type, depth - 1);
    case TYPE_LIST: return random_list(arena, rng, field, type, depth);
    case TYPE_MAP: return random_map(arena, rng, type, depth);
    }
    return (struct json){ .kind = JSON_NULL };
}

static inline struct json *random_object(struct arena *arena, struct rng *rng, const struct type *type)
{
    struct json *object = json_new(arena, JSON_OBJECT);

    assert_non_null(object);
    *object = random_struct(arena, rng, type, RANDOM_DEPTH);
    return object;
}
