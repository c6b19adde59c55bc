/* Fuzzes both kinds of patches. The input is the target, a line break, then the patch. */
#include "codec/patch.h"

#define ARENA_MAX (16u << 20)

static void check_result(struct arena *arena, const struct json *json)
{
    AUTO_DEINIT(buf, buf) = BUF_INIT;
    struct json *again;

    json_write(&buf, json);
    INVARIANT(buf_ok(&buf));
    /* Nested no deeper than what the parser takes, and with each key once. */
    struct json_duplicates duplicates = { 0 };
    int r = json_parse(arena, buf_str(&buf), &(struct json_options){ 0, &duplicates }, &again, NULL);

    INVARIANT(r == -ERR_TOO_LARGE || (r == 0 && duplicates.count == 0 && json_equal(json, again)));
}

static void apply(struct str target_text, struct str patch_text, bool merge)
{
    AUTO(arena) arena = arena_new(ARENA_MAX);
    struct json *target, *patch;
    struct err err = { 0 };

    if (!arena || json_parse(arena, target_text, NULL, &target, NULL) < 0 ||
        json_parse(arena, patch_text, NULL, &patch, NULL) < 0)
        return;
    int r = merge ? json_merge_patch(arena, &target, patch, &err) : json_patch_apply(arena, &target, patch, &err);

    INVARIANT(r == 0 || err.message[0]);
    if (r == 0)
        check_result(arena, target);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str rest = str_of(data, size), target;

    if (size == 0 || !str_split(&rest, '\n', &target) || !rest.data)
        return 0;
    apply(target, rest, false);
    apply(target, rest, true);
    return 0;
}
