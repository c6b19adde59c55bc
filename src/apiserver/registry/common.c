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
