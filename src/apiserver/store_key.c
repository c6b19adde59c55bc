/* store_key.c - the core group has no name, so its resources stand where the others' groups do. No group is called like
 * one of them. */
#include "apiserver/store_key.h"

#include "schema/type.h"

static bool is_core(struct str plural)
{
    for (size_t i = 0; i < api_resource_count; i++)
        if (str_empty(api_resources[i]->group) && str_eq(api_resources[i]->plural, plural))
            return true;
    return false;
}

bool store_key_parse(struct str key, struct store_key *ret_key)
{
    struct str prefix = STR("/registry/"), rest = str_skip(key, prefix.len), last;
    struct store_key parts = { .group = STR(""), .ns = STR("") };

    if (!str_has_prefix(key, prefix) || !str_split(&rest, '/', &parts.plural))
        return false;
    if (!is_core(parts.plural)) {
        parts.group = parts.plural;
        if (!str_split(&rest, '/', &parts.plural))
            return false;
    }
    if (!str_split(&rest, '/', &parts.name))
        return false;
    if (str_split(&rest, '/', &last)) {
        parts.ns = parts.name;
        parts.name = last;
    }
    if (rest.data || str_empty(parts.plural) || str_empty(parts.name))
        return false;
    *ret_key = parts;
    return true;
}
