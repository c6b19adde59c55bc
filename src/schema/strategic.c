/* strategic.c - strategic merge patch: JSON merge patch that knows which lists are merged, and by which key.
 *
 * In a map the patch may carry, beside values and nulls (which delete):
 *   $patch: replace | delete | merge      what to do with the map as a whole
 *   $retainKeys: [...]                    all other members go
 *   $deleteFromPrimitiveList/<field>      scalars to take out of a list
 *   $setElementOrder/<field>              how the merged list is to be ordered
 * Values of the patch move into the object, so both end up sharing memory and the patch is used up.
 *
 * Every step is linear in the sizes of object and patch (through the indexes of large objects and struct keyed): both
 * come from clients. */
#include "schema/strategic.h"

#define REMOVE_ONE_BY_ONE 8

int merge_no_memory(struct merger *m)
{
    return err_set(m->err, ERR_NO_MEMORY, "merging a patch");
}

static bool is_directive(struct str key)
{
    return key.len > 0 && key.data[0] == '$' &&
           (str_eq(key, DIRECTIVE) || str_eq(key, RETAIN_KEYS) || str_has_prefix(key, DELETE_FROM_LIST) ||
            str_has_prefix(key, SET_ELEMENT_ORDER));
}

static int bad_directive(struct merger *m, const struct json *directive, const struct json *map)
{
    return err_set(m->err, ERR_BAD_REQUEST, "unknown patch type: " STR_FMT " in map: " STR_FMT,
                   STR_ARG(json_text(m->arena, directive)), STR_ARG(json_text(m->arena, map)));
}

/* --- parts of the patch that are taken as they are --- */

static int clean_array(struct merger *m, struct json *array)
{
    uint32_t kept = 0;
    bool keep;
    int r;

    for (uint32_t i = 0; i < array->count; i++) {
        struct json *item = &array->items[i];
        const struct json *directive = json_get(item, DIRECTIVE);

        if (directive && !str_is(json_str(directive), "merge"))
            continue;
        r = merge_clean(m, item, &keep);
        if (r < 0)
            return r;
        if (keep)
            array->items[kept++] = *item;
    }
    array->count = kept;
    return 0;
}

static int clean_object(struct merger *m, struct json *object)
{
    struct json cleaned = { .kind = JSON_OBJECT };
    bool keep;
    int r;

    for (uint32_t i = 0; i < object->count; i++) {
        struct json_member *member = &object->members[i];

        if (member->value.kind == JSON_NULL || is_directive(member->key))
            continue;
        r = merge_clean(m, &member->value, &keep);
        if (r < 0)
            return r;
        if (keep && !json_set(m->arena, &cleaned, member->key, &member->value))
            return merge_no_memory(m);
    }
    *object = cleaned;
    return 0;
}

static bool needs_cleaning(const struct json *object)
{
    for (uint32_t i = 0; i < object->count; i++) {
        enum json_kind kind = object->members[i].value.kind;

        if (kind == JSON_NULL || kind == JSON_ARRAY || kind == JSON_OBJECT || is_directive(object->members[i].key))
            return true;
    }
    return false;
}

int merge_clean(struct merger *m, struct json *part, bool *ret_keep)
{
    const struct json *directive = json_get(part, DIRECTIVE);
    int r = 0;

    *ret_keep = !directive || !str_is(json_str(directive), "delete");
    if (part->kind == JSON_ARRAY)
        r = clean_array(m, part);
    else if (part->kind == JSON_OBJECT && *ret_keep && needs_cleaning(part))
        r = clean_object(m, part);
    return r;
}

/* --- $retainKeys --- */

static int keys_of_list(struct merger *m, const struct json *list, struct keyed *keyed)
{
    if (keyed_init(keyed, m->arena, list->count) < 0)
        return merge_no_memory(m);
    for (uint32_t i = 0; i < list->count; i++) {
        struct str key = json_str(&list->items[i]);

        if (!key.data)
            return err_set(m->err, ERR_BAD_REQUEST, "invalid patch format of retainKeys");
        if (keyed_add(keyed, key) < 0)
            return merge_no_memory(m);
    }
    return 0;
}

static int retain_keys(struct merger *m, struct json *original, const struct json *patch)
{
    const struct json *list = json_get(patch, RETAIN_KEYS);
    AUTO_DEINIT(keyed, retained) = { 0 };
    struct json kept = { .kind = JSON_OBJECT };
    int r;

    if (!list)
        return 0;
    if (list->kind != JSON_ARRAY)
        return err_set(m->err, ERR_BAD_REQUEST, "invalid patch format of retainKeys");
    r = keys_of_list(m, list, &retained);
    if (r < 0)
        return r;
    for (uint32_t i = 0; i < patch->count; i++) {
        const struct json_member *member = &patch->members[i];

        if (member->value.kind != JSON_NULL && !is_directive(member->key) &&
            keyed_find(&retained, member->key) == KEYED_NONE)
            return err_set(m->err, ERR_INVALID, "patch content doesn't match retainKeys list");
    }
    for (uint32_t i = 0; i < original->count; i++) {
        const struct json_member *member = &original->members[i];

        if (keyed_find(&retained, member->key) != KEYED_NONE && !json_set(m->arena, &kept, member->key, &member->value))
            return merge_no_memory(m);
    }
    *original = kept;
    return 0;
}

/* --- members --- */

static struct patch_meta find_meta(const struct type *type, struct str key)
{
    const struct field *field;

    if (!type || (type->kind != TYPE_STRUCT && type->kind != TYPE_MAP))
        return (struct patch_meta){ NULL, 0, STR_NULL };
    if (type->kind == TYPE_MAP)
        return (struct patch_meta){ type->elem, 0, STR_NULL };
    field = type_field(type, key);
    if (!field)
        return (struct patch_meta){ NULL, 0, STR_NULL };
    return (struct patch_meta){ field->type, field->flags, field->merge_key };
}

/* Fields with a directive must exist: their table says how the directive is meant. */
static int find_list_meta(struct merger *m, const struct type *type, struct str key, struct patch_meta *ret_meta)
{
    struct patch_meta meta = find_meta(type, key);

    if (!type || type->kind != TYPE_STRUCT || !meta.type || meta.type->kind != TYPE_LIST)
        return err_set(m->err, ERR_BAD_REQUEST,
                       "unable to find api field in struct " STR_FMT " for the json field \"" STR_FMT "\"",
                       STR_ARG(type && type->name.len ? type->name : STR("map")), STR_ARG(str_first(key, 256)));
    *ret_meta = meta;
    return 0;
}

/* Takes the patch's value for a member that the object lacks, or has with another kind. One that asks for its removal
 * becomes null in the patch; delete_nulled() sees to it. */
static int adopt(struct merger *m, struct json *original, struct str key, struct json *value)
{
    bool keep;
    int r = merge_clean(m, value, &keep);

    if (r < 0)
        return r;
    if (!keep)
        *value = (struct json){ .kind = JSON_NULL };
    else if (!json_set(m->arena, original, key, value))
        return merge_no_memory(m);
    return 0;
}

static int merge_member(struct merger *m, const struct type *type, struct json *original, struct str key,
                        struct json *value)
{
    struct json *current = json_get(original, key);
    struct patch_meta meta = find_meta(type, key);
    struct json merged;
    int r;

    if (!current || current->kind != value->kind)
        return adopt(m, original, key, value);
    if (value->kind == JSON_OBJECT && !(meta.flags & FIELD_PATCH_REPLACE))
        return merge_map(m, meta.type, current, value);
    if (value->kind != JSON_ARRAY)
        return adopt(m, original, key, value);
    r = merge_list(m, &meta, current, value, NULL, &merged);
    if (r == 0)
        *current = merged;
    return r;
}

/* A list together with its $setElementOrder; value is NULL when the patch only orders. */
static int merge_ordered(struct merger *m, const struct type *type, struct json *original, struct str key,
                         struct json *value, const struct json *order)
{
    struct json *current = json_get(original, key);
    struct patch_meta meta;
    struct json merged;
    int r;

    if (order->kind != JSON_ARRAY || (value && value->kind != JSON_ARRAY))
        return err_set(m->err, ERR_BAD_REQUEST, "invalid patch format of setElementOrder list");
    if (current && current->kind != JSON_ARRAY)
        current = NULL;
    r = find_list_meta(m, type, key, &meta);
    if (r < 0 || (!current && !value))
        return r;
    r = merge_list(m, &meta, current, value, order, &merged);
    if (r == 0 && !json_set(m->arena, original, key, &merged))
        return merge_no_memory(m);
    return r;
}

static struct json *find_order(const struct json *patch, struct str key)
{
    char name[256];

    if (key.len > sizeof name - SET_ELEMENT_ORDER.len)
        return NULL;
    memcpy(name, SET_ELEMENT_ORDER.data, SET_ELEMENT_ORDER.len);
    memcpy(name + SET_ELEMENT_ORDER.len, key.data, key.len);
    return json_get(patch, str_of(name, SET_ELEMENT_ORDER.len + key.len));
}

static int delete_from_list(struct merger *m, struct json *original, struct str key, const struct json *remove)
{
    struct json *list = json_get(original, key);

    if (!json_is(remove, JSON_ARRAY))
        return err_set(m->err, ERR_BAD_REQUEST, "invalid patch format of primitive list");
    return json_is(list, JSON_ARRAY) ? merge_delete_scalars(m, list, remove) : 0;
}

/* One member of the patch whose name starts with "$". */
static int apply_directive(struct merger *m, const struct type *type, struct json *original, struct json *patch,
                           struct str key, struct json *value)
{
    struct str name;

    if (str_has_prefix(key, DELETE_FROM_LIST))
        return delete_from_list(m, original, str_skip(key, DELETE_FROM_LIST.len), value);
    if (!str_has_prefix(key, SET_ELEMENT_ORDER))
        return 0;
    name = str_skip(key, SET_ELEMENT_ORDER.len);
    if (json_get(patch, name))
        return 0; /* ordered while it is merged */
    return merge_ordered(m, type, original, name, NULL, value);
}

/* Members that the patch sets to null. */
static int delete_nulled(struct merger *m, struct json *original, const struct json *patch)
{
    struct json kept = { .kind = JSON_OBJECT };
    uint32_t nulls = 0;

    for (uint32_t i = 0; i < patch->count; i++)
        nulls += patch->members[i].value.kind == JSON_NULL;
    if (nulls <= REMOVE_ONE_BY_ONE) {
        for (uint32_t i = 0; i < patch->count && nulls > 0; i++)
            if (patch->members[i].value.kind == JSON_NULL)
                json_remove(original, patch->members[i].key);
        return 0;
    }
    for (uint32_t i = 0; i < original->count; i++) {
        const struct json_member *member = &original->members[i];

        if (!json_is(json_get(patch, member->key), JSON_NULL) &&
            !json_set(m->arena, &kept, member->key, &member->value))
            return merge_no_memory(m);
    }
    *original = kept;
    return 0;
}

static int merge_members(struct merger *m, const struct type *type, struct json *original, struct json *patch)
{
    int r = delete_nulled(m, original, patch);
    bool directives = false;

    for (uint32_t i = 0; i < patch->count; i++)
        directives |= is_directive(patch->members[i].key);
    for (uint32_t i = 0; i < patch->count && r == 0; i++) {
        struct json_member *member = &patch->members[i];
        struct json *order = NULL;

        if (member->value.kind == JSON_NULL || is_directive(member->key))
            continue;
        if (directives)
            order = find_order(patch, member->key);
        r = order ? merge_ordered(m, type, original, member->key, &member->value, order)
                  : merge_member(m, type, original, member->key, &member->value);
    }
    if (r == 0)
        r = delete_nulled(m, original, patch);
    for (uint32_t i = 0; i < patch->count && r == 0 && directives; i++)
        if (is_directive(patch->members[i].key))
            r = apply_directive(m, type, original, patch, patch->members[i].key, &patch->members[i].value);
    return r;
}

int merge_map(struct merger *m, const struct type *type, struct json *original, struct json *patch)
{
    const struct json *directive = json_get(patch, DIRECTIVE);
    struct str what = json_str(directive);
    bool keep;
    int r;

    if (str_is(what, "delete")) {
        *original = (struct json){ .kind = JSON_OBJECT };
        return 0;
    }
    if (str_is(what, "replace")) {
        r = merge_clean(m, patch, &keep);
        if (r == 0)
            *original = *patch;
        return r;
    }
    if (directive && !str_is(what, "merge"))
        return bad_directive(m, directive, patch);
    r = retain_keys(m, original, patch);
    return r < 0 ? r : merge_members(m, type, original, patch);
}

int object_strategic_merge(struct arena *arena, const struct type *type, struct json **target, struct json *patch,
                           struct err *err)
{
    struct merger m = { arena, err };

    if (!json_is(patch, JSON_OBJECT) || !json_is(*target, JSON_OBJECT))
        return err_set(err, ERR_BAD_REQUEST, "a strategic merge patch must be an object");
    return merge_map(&m, type, *target, patch);
}
