/* fields.c - the shape of a value decides how it is walked: a leaf (scalars, and what the tables call atomic), a struct or map by
 * name, a list by the keys of its elements, a list that is a set by its values. Everything else is recursion over that. */
#include "schema/fields.h"

#include "schema/walk.h"

enum shape { SHAPE_LEAF, SHAPE_NAMES, SHAPE_KEYED, SHAPE_SET };

/* A value in its place: the field says how a list or map is to be taken. */
struct place {
    const struct type *type;
    const struct field *field; /* NULL: the object itself, an element, a map's value */
};

static enum shape shape_of(struct place place)
{
    bool atomic = place.field && place.field->map_atomic;
    bool granular = place.field && (place.field->flags & FIELD_MAP_GRANULAR);

    switch (place.type->kind) {
    case TYPE_STRUCT: return (place.type->atomic || atomic) && !granular ? SHAPE_LEAF : SHAPE_NAMES;
    case TYPE_MAP: return atomic ? SHAPE_LEAF : SHAPE_NAMES;
    case TYPE_LIST:
        if (place.field && place.field->list_kind == LIST_MAP)
            return SHAPE_KEYED;
        return place.field && place.field->list_kind == LIST_SET ? SHAPE_SET : SHAPE_LEAF;
    default: return SHAPE_LEAF;
    }
}

/* The value's own kind counts too: a map where the table wants a list is a leaf. */
static enum shape shape_in(struct place place, const struct json *json)
{
    enum shape shape = shape_of(place);

    if (shape == SHAPE_NAMES)
        return json_is(json, JSON_OBJECT) ? shape : SHAPE_LEAF;
    return shape != SHAPE_LEAF && json_is(json, JSON_ARRAY) ? shape : SHAPE_LEAF;
}

/* What no schema describes, in a custom resource that keeps it: objects by name, all else as a whole. */
static const struct type type_undescribed = { .kind = TYPE_STRUCT, .preserve_unknown = true };

static struct place member_place(struct place place, struct str name)
{
    if (place.type->kind == TYPE_MAP)
        return (struct place){ place.type->elem, NULL };
    const struct field *field = type_field(place.type, name);

    if (field)
        return (struct place){ field->type, field };
    return (struct place){ place.type->preserve_unknown ? &type_undescribed : &type_any, NULL };
}

static struct place element_place(struct place place)
{
    return (struct place){ place.type->elem, NULL };
}

/* -- names of members and elements -- */

static struct str member_name(struct arena *arena, struct str name)
{
    return arena_printf(arena, "f:" STR_FMT, STR_ARG(name));
}

/* k:{"containerPort":80,"protocol":"TCP"}: keys in byte order, absent ones by their default. */
static struct str key_name(struct arena *arena, struct place place, const struct json *element)
{
    const struct field *field = place.field;
    struct buf buf = BUF_INIT;
    bool any = false;

    buf_add_cstr(&buf, "k:{");
    for (uint16_t i = 0; i < field->list_map_key_count; i++) {
        struct str key = field->list_map_keys[i];
        const struct json *value = json_get(element, key);
        const struct field *member = type_field(place.type->elem, key);

        if (!value && !(member && member->default_json.data))
            continue;
        if (any)
            buf_add_char(&buf, ',');
        any = true;
        json_write_str(&buf, key);
        buf_add_char(&buf, ':');
        if (value)
            json_write(&buf, value);
        else
            buf_add_str(&buf, member->default_json);
    }
    buf_add_char(&buf, '}');
    struct str name = buf_ok(&buf) ? arena_str(arena, buf_str(&buf)) : STR_NULL;

    buf_deinit(&buf);
    return name;
}

static struct str element_name(struct arena *arena, struct place place, enum shape shape, const struct json *element)
{
    return shape == SHAPE_KEYED ? key_name(arena, place, element)
                                : arena_printf(arena, "v:" STR_FMT, STR_ARG(json_text(arena, element)));
}

/* -- nodes -- */

static bool has_self(const struct json *node)
{
    return node && (node->count == 0 || json_member(node, "."));
}

static bool is_dot(struct str name)
{
    return name.len == 1 && name.data[0] == '.';
}

static struct json *leaf(struct arena *arena)
{
    return json_new(arena, JSON_OBJECT);
}

static void set(struct arena *arena, struct json *node, struct str name, const struct json *child)
{
    if (node && child && name.data)
        json_set(arena, node, name, child);
}

/* A node of children (may be NULL or empty) and perhaps itself. */
static struct json *finish(struct arena *arena, struct json *children, bool self)
{
    if (!children || children->count == 0)
        return self ? leaf(arena) : NULL;
    if (!self || json_member(children, "."))
        return children;
    struct json *node = json_new(arena, JSON_OBJECT);

    set(arena, node, STR("."), leaf(arena)); /* first, as everybody writes it */
    for (uint32_t i = 0; i < children->count; i++)
        set(arena, node, children->members[i].key, &children->members[i].value);
    return node;
}

/* -- a value's fields -- */

static struct json *all_of(struct arena *arena, struct place place, const struct json *json, bool containers)
{
    enum shape shape = shape_in(place, json);
    struct json *node = json_new(arena, JSON_OBJECT);

    if (shape == SHAPE_LEAF || !node)
        return node;
    for (uint32_t i = 0; i < json->count; i++) {
        if (shape == SHAPE_NAMES) {
            const struct json_member *member = &json->members[i];

            set(arena, node, member_name(arena, member->key),
                all_of(arena, member_place(place, member->key), &member->value, containers));
            continue;
        }
        struct json *child = shape == SHAPE_KEYED ? all_of(arena, element_place(place), &json->items[i], containers)
                                                  : leaf(arena);

        set(arena, node, element_name(arena, place, shape, &json->items[i]), finish(arena, child, true));
    }
    return finish(arena, node, node->count == 0 || containers);
}

struct json *fields_of(struct arena *arena, const struct type *type, const struct json *object)
{
    return all_of(arena, (struct place){ type, NULL }, object, false);
}

/* -- comparing -- */

struct differences {
    struct json *changed, *removed;
};

static struct differences compare(struct arena *arena, struct place place, const struct json *old,
                                  const struct json *new);

static void add_differences(struct arena *arena, struct differences *sum, struct str name, struct differences one)
{
    set(arena, sum->changed, name, one.changed);
    set(arena, sum->removed, name, one.removed);
}

static void compare_names(struct arena *arena, struct place place, const struct json *old, const struct json *new,
                          struct differences *sum)
{
    for (uint32_t i = 0; i < new->count; i++) {
        struct str key = new->members[i].key;
        const struct json *before = json_get(old, key);

        if (before && json_equal(before, &new->members[i].value))
            continue;
        add_differences(arena, sum, member_name(arena, key),
                        compare(arena, member_place(place, key), before, &new->members[i].value));
    }
    for (uint32_t i = 0; i < old->count; i++)
        if (!json_get(new, old->members[i].key))
            set(arena, sum->removed, member_name(arena, old->members[i].key),
                all_of(arena, member_place(place, old->members[i].key), &old->members[i].value, true));
}

/* Elements of a list by their names; the index holds positions + 1 so that 0 can mean absent. */
static struct json *index_elements(struct arena *arena, struct place place, enum shape shape, const struct json *list)
{
    struct json *index = json_new(arena, JSON_OBJECT);

    for (uint32_t i = 0; index && i < list->count; i++) {
        struct str name = element_name(arena, place, shape, &list->items[i]);

        if (name.data)
            json_set_int(arena, index, name, i + 1);
    }
    return index;
}

static void compare_elements(struct arena *arena, struct place place, enum shape shape, const struct json *old,
                             const struct json *new, struct differences *sum)
{
    struct json *before = index_elements(arena, place, shape, old), *after = index_elements(arena, place, shape, new);

    for (uint32_t i = 0; after && i < after->count; i++) {
        const struct json *element = &new->items[json_int(&after->members[i].value, 1) - 1];
        int64_t at = json_int(json_get(before, after->members[i].key), 0);

        if (at == 0)
            set(arena, sum->changed, after->members[i].key,
                finish(arena, shape == SHAPE_KEYED ? all_of(arena, element_place(place), element, true) : leaf(arena),
                       true));
        else if (shape == SHAPE_KEYED && !json_equal(&old->items[at - 1], element))
            add_differences(arena, sum, after->members[i].key,
                            compare(arena, element_place(place), &old->items[at - 1], element));
    }
    for (uint32_t i = 0; before && i < before->count; i++)
        if (!json_get(after, before->members[i].key))
            set(arena, sum->removed, before->members[i].key,
                finish(arena, all_of(arena, element_place(place), &old->items[json_int(&before->members[i].value, 1) - 1],
                                     true), true));
}

/* Go's typed objects always have these members, so that they never count as added: only what is in them does. */
static bool never_absent(struct place place)
{
    if (!place.field)
        return false;
    bool container = place.type->kind == TYPE_LIST || place.type->kind == TYPE_MAP;

    return place.field->flags & FIELD_INLINE || (container && place.field->flags & FIELD_ALWAYS);
}

static struct differences compare(struct arena *arena, struct place place, const struct json *old,
                                  const struct json *new)
{
    struct differences sum = { json_new(arena, JSON_OBJECT), json_new(arena, JSON_OBJECT) };
    enum shape shape = shape_in(place, new);

    if (!old && shape != SHAPE_LEAF && never_absent(place))
        old = json_new(arena, shape == SHAPE_NAMES ? JSON_OBJECT : JSON_ARRAY);
    if (!old)
        return (struct differences){ all_of(arena, place, new, true), NULL };
    if (shape == SHAPE_LEAF || shape_in(place, old) != shape)
        return (struct differences){ leaf(arena), NULL };
    if (shape == SHAPE_NAMES)
        compare_names(arena, place, old, new, &sum);
    else
        compare_elements(arena, place, shape, old, new, &sum);
    return (struct differences){ finish(arena, sum.changed, false), finish(arena, sum.removed, false) };
}

void fields_compare(struct arena *arena, const struct type *type, const struct json *old, const struct json *new,
                    struct json **ret_changed, struct json **ret_removed)
{
    struct differences all = compare(arena, (struct place){ type, NULL }, old, new);

    *ret_changed = all.changed;
    *ret_removed = all.removed;
}

/* -- sets -- */

struct json *fields_union(struct arena *arena, const struct json *a, const struct json *b)
{
    struct json *node;

    if (!a || !b)
        return (struct json *)(a ? a : b);
    if (!(node = json_new(arena, JSON_OBJECT)))
        return NULL;
    for (uint32_t i = 0; i < a->count; i++)
        if (!is_dot(a->members[i].key))
            set(arena, node, a->members[i].key,
                fields_union(arena, &a->members[i].value, json_get(b, a->members[i].key)));
    for (uint32_t i = 0; i < b->count; i++)
        if (!is_dot(b->members[i].key) && !json_get(a, b->members[i].key))
            set(arena, node, b->members[i].key, &b->members[i].value);
    return finish(arena, node, has_self(a) || has_self(b));
}

struct json *fields_intersection(struct arena *arena, const struct json *a, const struct json *b)
{
    struct json *node = a && b ? json_new(arena, JSON_OBJECT) : NULL;

    for (uint32_t i = 0; node && i < a->count; i++)
        if (!is_dot(a->members[i].key))
            set(arena, node, a->members[i].key,
                fields_intersection(arena, &a->members[i].value, json_get(b, a->members[i].key)));
    return finish(arena, node, has_self(a) && has_self(b));
}

struct json *fields_difference(struct arena *arena, const struct json *a, const struct json *b)
{
    struct json *node;

    if (!a || !b)
        return (struct json *)a;
    node = json_new(arena, JSON_OBJECT);
    for (uint32_t i = 0; node && i < a->count; i++)
        if (!is_dot(a->members[i].key))
            set(arena, node, a->members[i].key,
                fields_difference(arena, &a->members[i].value, json_get(b, a->members[i].key)));
    return finish(arena, node, has_self(a) && !has_self(b));
}

bool fields_is_sound(const struct json *fields)
{
    bool sound = json_is(fields, JSON_OBJECT);

    for (uint32_t i = 0; sound && i < fields->count; i++)
        sound = fields_is_sound(&fields->members[i].value);
    return sound;
}

bool fields_equal(const struct json *a, const struct json *b)
{
    return a && b ? json_equal(a, b) : a == b;
}

/* -- paths in messages -- */

/* k:{"name":"a"} -> [name="a"] ; v:"x" -> [="x"] ; f:replicas -> .replicas */
static void add_name(struct buf *path, struct str name)
{
    struct str rest = str_skip(name, 2);

    if (str_has_prefix(name, STR("f:"))) {
        buf_add_char(path, '.');
        buf_add_str(path, rest);
        return;
    }
    buf_add_char(path, '[');
    if (str_has_prefix(name, STR("v:"))) {
        buf_add_char(path, '=');
        buf_add_str(path, rest);
    } else {
        AUTO(arena) arena = arena_new(1 << 20);
        struct json *key = NULL;

        if (arena && json_parse(arena, rest, NULL, &key, NULL) == 0 && json_is(key, JSON_OBJECT))
            for (uint32_t i = 0; i < key->count; i++) {
                if (i)
                    buf_add_char(path, ',');
                buf_add_str(path, key->members[i].key);
                buf_add_char(path, '=');
                json_write(path, &key->members[i].value);
            }
    }
    buf_add_char(path, ']');
}

static int each(const struct json *node, struct buf *path, int (*fn)(void *arg, struct str path), void *arg)
{
    int code = has_self(node) && path->len ? fn(arg, buf_str(path)) : 0;

    for (uint32_t i = 0; code == 0 && i < node->count; i++) {
        size_t len = path->len;

        if (is_dot(node->members[i].key))
            continue;
        add_name(path, node->members[i].key);
        code = buf_ok(path) ? each(&node->members[i].value, path, fn, arg) : -1;
        path->len = len;
    }
    return code;
}

int fields_each(const struct json *fields, int (*fn)(void *arg, struct str path), void *arg)
{
    struct buf path = BUF_INIT;
    int code = fields ? each(fields, &path, fn, arg) : 0;

    buf_deinit(&path);
    return code;
}

/* -- merging and pruning -- */

static struct json *merge(struct arena *arena, struct place place, const struct json *live, const struct json *config);

static struct json *merge_names(struct arena *arena, struct place place, const struct json *live,
                                const struct json *config)
{
    struct json *merged = json_copy(arena, live);

    for (uint32_t i = 0; merged && i < config->count; i++) {
        struct str key = config->members[i].key;
        struct json *value = merge(arena, member_place(place, key), json_get(live, key), &config->members[i].value);

        if (!value || !json_set(arena, merged, key, value))
            return NULL;
    }
    return merged;
}

/* Two orders become one: elements that only live has stay in front of those they stood in front of, all others come in the
 * order of config. */
struct weave {
    struct arena *arena;
    struct place place;
    enum shape shape;
    const struct json *live, *config;
    struct json *live_index, *config_index; /* names to positions + 1 */
    struct json *merged;
    uint32_t next, shared; /* config's next element, and the next one that live has as well */
};

static int64_t position(const struct json *index, struct str name)
{
    return json_int(json_get(index, name), 0) - 1;
}

static void find_shared(struct weave *weave)
{
    weave->shared = MAX(weave->shared, weave->next);
    while (weave->shared < weave->config->count &&
           position(weave->live_index, element_name(weave->arena, weave->place, weave->shape,
                                                    &weave->config->items[weave->shared])) < 0)
        weave->shared++;
}

static bool take_config(struct weave *weave, uint32_t at)
{
    const struct json *config = &weave->config->items[at];
    int64_t there =
        position(weave->live_index, element_name(weave->arena, weave->place, weave->shape, config));
    struct json *value = there >= 0 && weave->shape == SHAPE_KEYED
                             ? merge(weave->arena, element_place(weave->place), &weave->live->items[there], config)
                             : json_copy(weave->arena, config);

    return value && json_append(weave->arena, weave->merged, value);
}

/* One element of live: kept here when config has not got it; else config's turn comes until it is the one. */
static bool weave_one(struct weave *weave, uint32_t at)
{
    const struct json *live = &weave->live->items[at];
    struct str name = element_name(weave->arena, weave->place, weave->shape, live);
    int64_t mine = name.data ? position(weave->config_index, name) : -1;

    if (!name.data)
        return false;
    if (mine < 0) {
        struct json *copy = json_copy(weave->arena, live);

        return copy && json_append(weave->arena, weave->merged, copy);
    }
    find_shared(weave);
    if ((uint32_t)mine != weave->shared) /* out of order: it is taken where config has it */
        return true;
    for (; weave->next <= (uint32_t)mine; weave->next++)
        if (!take_config(weave, weave->next))
            return false;
    return true;
}

static struct json *merge_elements(struct arena *arena, struct place place, enum shape shape, const struct json *live,
                                   const struct json *config)
{
    struct weave weave = { .arena = arena, .place = place, .shape = shape, .live = live, .config = config,
                           .live_index = index_elements(arena, place, shape, live),
                           .config_index = index_elements(arena, place, shape, config),
                           .merged = json_new(arena, JSON_ARRAY) };

    if (!weave.live_index || !weave.config_index || !weave.merged)
        return NULL;
    for (uint32_t i = 0; i < live->count; i++)
        if (!weave_one(&weave, i))
            return NULL;
    for (; weave.next < config->count; weave.next++)
        if (!take_config(&weave, weave.next))
            return NULL;
    return weave.merged;
}

static struct json *merge(struct arena *arena, struct place place, const struct json *live, const struct json *config)
{
    enum shape shape = shape_in(place, config);

    if (!live || shape == SHAPE_LEAF || shape_in(place, live) != shape)
        return json_copy(arena, config);
    return shape == SHAPE_NAMES ? merge_names(arena, place, live, config)
                                : merge_elements(arena, place, shape, live, config);
}

struct json *fields_merge(struct arena *arena, const struct type *type, const struct json *live,
                          const struct json *config)
{
    return merge(arena, (struct place){ type, NULL }, live, config);
}

static void prune(struct arena *arena, struct place place, struct json *json, const struct json *remove,
                  const struct json *keep);

static bool must_go(const struct json *remove, const struct json *keep, enum shape shape)
{
    if (!has_self(remove))
        return false;
    return shape == SHAPE_LEAF ? !has_self(keep) : !keep;
}

static void prune_names(struct arena *arena, struct place place, struct json *object, const struct json *remove,
                        const struct json *keep)
{
    for (uint32_t i = object->count; i-- > 0;) {
        struct json_member *member = &object->members[i];
        struct str name = member_name(arena, member->key);
        const struct json *gone = json_get(remove, name), *kept = json_get(keep, name);
        struct place below = member_place(place, member->key);
        enum shape shape = shape_in(below, &member->value);

        if (!gone)
            continue;
        prune(arena, below, &member->value, gone, kept);
        if (must_go(gone, kept, shape) || (shape != SHAPE_LEAF && member->value.count == 0 && !kept))
            json_remove(object, member->key);
    }
}

static void prune(struct arena *arena, struct place place, struct json *json, const struct json *remove,
                  const struct json *keep)
{
    enum shape shape = shape_in(place, json);

    if (shape == SHAPE_LEAF)
        return;
    if (shape == SHAPE_NAMES) {
        prune_names(arena, place, json, remove, keep);
        return;
    }
    for (uint32_t i = json->count; i-- > 0;) {
        struct str name = element_name(arena, place, shape, &json->items[i]);
        const struct json *gone = json_get(remove, name), *kept = json_get(keep, name);

        if (!gone)
            continue;
        if (has_self(gone) && !kept)
            json_remove_at(json, i);
        else if (shape == SHAPE_KEYED)
            prune(arena, element_place(place), &json->items[i], gone, kept);
    }
}

void fields_prune(struct arena *arena, const struct type *type, struct json *object, const struct json *remove,
                  const struct json *keep)
{
    if (remove)
        prune(arena, (struct place){ type, NULL }, object, remove, keep);
}
