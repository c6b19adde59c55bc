/* Fuzzes the JSON parser and writer: what parses must mean the same after it was written, in every form. */
#include "codec/json.h"

#define ARENA_MAX (64u << 20)

static struct json *reparse(struct arena *arena, struct buf *buf)
{
    struct json_options deep = { .max_depth = JSON_MAX_DEPTH };
    struct json *json = NULL;

    INVARIANT(buf_ok(buf));
    INVARIANT(json_parse(arena, buf_str(buf), &deep, &json, NULL) == 0);
    return json;
}

/* Walks all members through the look-up, by which a wrong index shows. */
static void check_lookups(const struct json *json)
{
    for (uint32_t i = 0; json->kind == JSON_ARRAY && i < json->count; i++)
        check_lookups(&json->items[i]);
    for (uint32_t i = 0; json->kind == JSON_OBJECT && i < json->count; i++) {
        INVARIANT(json_get(json, json->members[i].key) == &json->members[i].value);
        check_lookups(&json->members[i].value);
    }
}

static void remove_half(struct json *json)
{
    for (uint32_t i = 0; json->kind == JSON_OBJECT && i < json->count; i++)
        INVARIANT(json_remove(json, json->members[i].key));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    AUTO(arena) arena = arena_new(ARENA_MAX);
    AUTO_DEINIT(buf, compact) = BUF_INIT;
    AUTO_DEINIT(buf, pretty) = BUF_INIT;
    struct json_duplicates duplicates = { .limit = 16 };
    struct json_options options = { .duplicates = &duplicates };
    struct json *json = NULL, *copy;
    struct err err = { 0 };

    if (!arena)
        return 0;
    if (json_parse(arena, str_of(data, size), &options, &json, &err) < 0) {
        INVARIANT(err.code && err.message[0] && !json);
        return 0;
    }
    for (size_t i = 0; i < duplicates.count; i++)
        INVARIANT(str_is_utf8(duplicates.paths[i]));
    check_lookups(json);
    json_write(&compact, json);
    json_write_pretty(&pretty, json, 1);
    INVARIANT(str_is_utf8(buf_str(&compact)));
    INVARIANT(json_equal(json, reparse(arena, &compact)) && json_equal(json, reparse(arena, &pretty)));
    INVARIANT((copy = json_copy(arena, json)) && json_equal(json, copy));
    remove_half(copy);
    check_lookups(copy);
    return 0;
}
