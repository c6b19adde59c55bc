/* common.c - helpers of the rules. */
#include "apiserver/registry/rules.h"

int out_of_memory(struct err *err)
{
    return err_set(err, ERR_NO_MEMORY, "object");
}

bool default_str(struct arena *arena, struct json *object, const char *key, const char *value)
{
    const struct json *member = json_get(object, str_from(key));

    if (!object || (member && !(member->kind == JSON_STRING && str_empty(member->string)) && member->kind != JSON_NULL))
        return true;
    return json_set_str(arena, object, str_from(key), str_from(value)) != NULL;
}

bool default_int(struct arena *arena, struct json *object, const char *key, int64_t value)
{
    const struct json *member = json_get(object, str_from(key));

    if (!object || (member && member->kind != JSON_NULL))
        return true;
    return json_set_int(arena, object, str_from(key), value) != NULL;
}

bool default_bool(struct arena *arena, struct json *object, const char *key, bool value)
{
    const struct json *member = json_get(object, str_from(key));

    if (!object || (member && member->kind != JSON_NULL))
        return true;
    return json_set_bool(arena, object, str_from(key), value) != NULL;
}

struct json *default_object_member(struct arena *arena, struct json *object, const char *key)
{
    return object ? json_ensure(arena, object, str_from(key), JSON_OBJECT) : NULL;
}

bool text_seen_before(const struct json *array, uint32_t at, const char *member)
{
    struct str text = text_in(&array->items[at], member);

    for (uint32_t i = 0; i < at && !str_empty(text); i++)
        if (str_eq(text_in(&array->items[i], member), text))
            return true;
    return false;
}

bool strings_have(const struct json *array, struct str text)
{
    for (uint32_t i = 0; i < items_of(array); i++)
        if (str_eq(json_str(&array->items[i]), text))
            return true;
    return false;
}

bool json_same(const struct json *a, const struct json *b)
{
    static const struct json null = { .kind = JSON_NULL };

    return json_equal(a ? a : &null, b ? b : &null);
}

void check_no_backsteps(struct causes *causes, const struct path *path, struct str value)
{
    struct str rest = value, part;

    while (str_split(&rest, '/', &part))
        if (str_is(part, "..")) {
            cause_invalid_str(causes, path, value, "must not contain '..'");
            return;
        }
}

void check_local_path(struct causes *causes, const struct path *path, struct str value)
{
    if (str_has_prefix(value, STR("/")))
        cause_invalid_str(causes, path, value, "must be a relative path");
    check_no_backsteps(causes, path, value);
}

void check_local_open_path(struct causes *causes, const struct path *path, struct str value)
{
    check_local_path(causes, path, value);
    if (str_has_prefix(value, STR("..")) && !str_is(value, "..") && !str_has_prefix(value, STR("../")))
        cause_invalid_str(causes, path, value, "must not start with '..'");
}
