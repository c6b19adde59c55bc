/* Fuzzes the YAML reader and writer: what was read comes back the same from the YAML that is written of it. */
#include "codec/yaml.h"

#define ARENA_MAX (64u << 20)
#define OUTPUT_MAX (16u << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    AUTO(arena) arena = arena_new(ARENA_MAX);
    AUTO_DEINIT(buf, buf) = BUF_INIT;
    struct json_duplicates duplicates = { .limit = 16 };
    struct json_options options = { .duplicates = &duplicates };
    struct json *json = NULL, *all = NULL, *again = NULL;
    struct err err = { 0 };

    if (!arena)
        return 0;
    buf.limit = OUTPUT_MAX;
    yaml_parse_all(arena, str_of(data, size), &all, NULL);
    if (yaml_parse(arena, str_of(data, size), &options, &json, &err) < 0) {
        INVARIANT(err.code && err.message[0] && !json);
        return 0;
    }
    INVARIANT(all || arena_failed(arena));
    if (yaml_write(&buf, json, &err) < 0) {
        INVARIANT(err.code == ERR_TOO_LARGE);
        return 0;
    }
    int r = yaml_parse(arena, buf_str(&buf), NULL, &again, &err);

    INVARIANT(r == -ERR_TOO_LARGE || (r == 0 && json_equal(json, again)));
    return 0;
}
