#include "cli/diff_fields.h"

#define VALUE_MAX 160
#define DEPTH_MAX 64

static const char *const left_out[] = {
    "status", "metadata.managedFields", "metadata.resourceVersion", "metadata.generation",
};

void field_changes_init(struct field_changes *changes, struct arena *arena, bool all)
{
    *changes = (struct field_changes){ .arena = arena, .all = all };
}

void field_changes_deinit(struct field_changes *changes)
{
    vec_deinit(&changes->items);
}

static bool is_left_out(const struct field_changes *changes, struct str path)
{
    for (size_t i = 0; !changes->all && i < ARRAY_LEN(left_out); i++)
        if (str_is(path, left_out[i]))
            return true;
    return false;
}

/* Text of a path that can be none of the names around it: with a dot, a bracket. */
static struct str member_path(struct field_changes *changes, struct str path, struct str key)
{
    bool plain = str_chr(key, '.') < 0 && str_chr(key, '[') < 0;
    struct str member = plain ? key : arena_concat(changes->arena, STR("["), key, STR("]"));

    if (!path.len)
        return member;
    return arena_concat(changes->arena, path, plain ? STR(".") : STR(""), member);
}

static void find(struct field_changes *changes, struct str path, const struct json *old, const struct json *new,
                 int depth);

static void find_members(struct field_changes *changes, struct str path, const struct json *old, const struct json *new,
                         int depth)
{
    for (uint32_t i = 0; i < old->count; i++) {
        struct str key = old->members[i].key;

        find(changes, member_path(changes, path, key), &old->members[i].value, json_get(new, key), depth);
    }
    for (uint32_t i = 0; i < new->count; i++) {
        struct str key = new->members[i].key;

        if (!json_get(old, key))
            find(changes, member_path(changes, path, key), NULL, &new->members[i].value, depth);
    }
}

/* The member by which the elements of both lists can be told apart; NULL: there is none. */
static const char *list_key(const struct json *a, const struct json *b)
{
    static const char *const keys[] = { "name", "type", "key", "uid" };
    const struct json *const lists[] = { a, b };

    for (size_t k = 0; k < ARRAY_LEN(keys); k++) {
        bool good = true;

        for (size_t l = 0; l < ARRAY_LEN(lists); l++)
            for (uint32_t i = 0; good && i < lists[l]->count; i++) {
                struct str value = json_str(json_get(&lists[l]->items[i], str_from(keys[k])));

                good = value.data != NULL;
                for (uint32_t j = 0; good && j < i; j++)
                    good = !str_eq(value, json_str(json_get(&lists[l]->items[j], str_from(keys[k]))));
            }
        if (good)
            return keys[k];
    }
    return NULL;
}

static const struct json *element(const struct json *list, const char *key, struct str value)
{
    for (uint32_t i = 0; i < list->count; i++)
        if (str_eq(json_str(json_get(&list->items[i], str_from(key))), value))
            return &list->items[i];
    return NULL;
}

static void find_keyed(struct field_changes *changes, struct str path, const char *key, const struct json *old,
                       const struct json *new, int depth)
{
    const struct json *const lists[] = { old, new };

    for (size_t l = 0; l < ARRAY_LEN(lists); l++)
        for (uint32_t i = 0; i < lists[l]->count; i++) {
            struct str value = json_str(json_get(&lists[l]->items[i], str_from(key)));
            const struct json *before = element(old, key, value), *after = element(new, key, value);

            if (l == 0 || !before)
                find(changes, arena_printf(changes->arena, STR_FMT "[%s=" STR_FMT "]", STR_ARG(path), key, STR_ARG(value)),
                     before, after, depth);
        }
}

static void find_placed(struct field_changes *changes, struct str path, const struct json *old, const struct json *new,
                        int depth)
{
    for (uint32_t i = 0; i < MAX(old->count, new->count); i++)
        find(changes, arena_printf(changes->arena, STR_FMT "[%u]", STR_ARG(path), i),
             i < old->count ? &old->items[i] : NULL, i < new->count ? &new->items[i] : NULL, depth);
}

/* Lists long enough for that to take its time are compared by place. */
#define KEYED_MAX 512

static void find(struct field_changes *changes, struct str path, const struct json *old, const struct json *new,
                 int depth)
{
    if (!path.data) {
        changes->failed = true;
        return;
    }
    if (is_left_out(changes, path))
        return;
    if (old && new &&json_equal(old, new))
        return;
    if (depth < DEPTH_MAX && json_is(old, JSON_OBJECT) && json_is(new, JSON_OBJECT)) {
        find_members(changes, path, old, new, depth + 1);
    } else if (depth < DEPTH_MAX && json_is(old, JSON_ARRAY) && json_is(new, JSON_ARRAY)) {
        bool small = old->count <= KEYED_MAX && new->count <= KEYED_MAX;
        const char *key = small ? list_key(old, new) : NULL;

        if (key)
            find_keyed(changes, path, key, old, new, depth + 1);
        else
            find_placed(changes, path, old, new, depth + 1);
    } else if (vec_push(&changes->items, ((struct field_change){ path, old, new })) < 0) {
        changes->failed = true;
    }
}

void field_changes_find(struct field_changes *changes, const struct json *old, const struct json *new)
{
    find(changes, STR(""), old, new, 0);
}

struct str field_value_text(struct arena *arena, const struct json *value)
{
    struct str text = value ? json_text(arena, value) : STR("(none)");
    size_t len = VALUE_MAX;

    if (text.len <= VALUE_MAX)
        return text;
    while (len > 0 && ((unsigned char)text.data[len] & 0xc0) == 0x80)
        len--; /* not within a character */
    return arena_concat(arena, str_first(text, len), STR("..."));
}
