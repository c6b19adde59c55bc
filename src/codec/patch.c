/* patch.c - JSON Patch, operation by operation, and merge patch, recursively.
 *
 * Values are always copied out of the patch, as later operations may change what earlier ones put in place. Three
 * things a hostile patch could make grow are held down: nesting (every insertion is measured against JSON_MAX_DEPTH),
 * memory (the arena's limit), and time: elements shifted or measured are counted as work, which one patch has a budget
 * of. */
#include "codec/patch.h"

#include "codec/json_index.h"

#define WORK_MAX (32u << 20) /* children shifted or looked at */

struct pointer {
    struct str text;
    struct str *tokens;
    uint32_t count;
};

struct patcher {
    struct arena *arena;
    struct json **target;
    uint64_t work;
    struct err *err;
};

struct operation {
    struct pointer path, from;
    const struct json *value;
};

static int no_memory(struct patcher *p)
{
    return err_set(p->err, p->arena->limit ? ERR_TOO_LARGE : ERR_NO_MEMORY, "no memory left for the patched object");
}

static int charge(struct patcher *p, uint64_t work)
{
    p->work += work;
    if (p->work > WORK_MAX)
        return err_set(p->err, ERR_TOO_LARGE, "the patch takes too much work");
    return 0;
}

/* Pointers (RFC 6901). */

static bool unescape_token(struct arena *arena, struct str token, struct str *ret_token)
{
    char *out;
    size_t len = 0;

    if (str_chr(token, '~') < 0) {
        *ret_token = token;
        return true;
    }
    if (!(out = arena_alloc(arena, token.len)))
        return false;
    for (size_t i = 0; i < token.len; i++) {
        char c = token.data[i];

        if (c == '~') {
            if (++i == token.len || (token.data[i] != '0' && token.data[i] != '1'))
                return false;
            c = token.data[i] == '0' ? '~' : '/';
        }
        out[len++] = c;
    }
    *ret_token = str_of(out, len);
    return true;
}

static int parse_pointer(struct patcher *p, struct str text, struct pointer *ret_pointer)
{
    struct str rest = text, part;
    uint32_t count = 0;

    if (text.len && text.data[0] != '/')
        return err_set(p->err, ERR_BAD_REQUEST, "path \"%.200s\" does not begin with '/'",
                       arena_cstr(p->arena, text) ?: "");
    for (size_t i = 0; i < text.len; i++)
        count += text.data[i] == '/';
    if (count > JSON_MAX_DEPTH)
        return err_set(p->err, ERR_BAD_REQUEST, "path of more than %d steps", JSON_MAX_DEPTH);
    *ret_pointer = (struct pointer){ .text = text, .tokens = arena_array_of(p->arena, count + 1, struct str) };
    if (!ret_pointer->tokens)
        return no_memory(p);
    str_split(&rest, '/', &part);
    while (str_split(&rest, '/', &part)) {
        if (!unescape_token(p->arena, part, &ret_pointer->tokens[ret_pointer->count++]))
            return arena_failed(p->arena)
                       ? no_memory(p)
                       : err_set(p->err, ERR_BAD_REQUEST, "'~' in a path must be followed by 0 or 1");
    }
    return 0;
}

/* A position in an array of count elements, below limit. */
static bool parse_index(struct str token, uint32_t limit, uint32_t *ret_index)
{
    uint64_t index;

    if ((token.len > 1 && token.data[0] == '0') || !token.len || token.data[0] == '-' || !str_to_u64(token, &index) ||
        index >= limit)
        return false;
    *ret_index = (uint32_t)index;
    return true;
}

static struct json *find(struct json *json, const struct pointer *pointer, uint32_t steps)
{
    uint32_t index;

    for (uint32_t i = 0; json && i < steps; i++) {
        if (json->kind == JSON_ARRAY)
            json = parse_index(pointer->tokens[i], json->count, &index) ? &json->items[index] : NULL;
        else
            json = json_get(json, pointer->tokens[i]);
    }
    return json;
}

static bool is_prefix(const struct pointer *a, const struct pointer *b)
{
    if (a->count >= b->count)
        return false;
    for (uint32_t i = 0; i < a->count; i++)
        if (!str_eq(a->tokens[i], b->tokens[i]))
            return false;
    return true;
}

/* Operations. */

static int absent(struct patcher *p, const struct pointer *pointer)
{
    return err_set(p->err, ERR_INVALID, "\"" STR_FMT "\" does not exist", (int)MIN(pointer->text.len, 200),
                   pointer->text.data ? pointer->text.data : "");
}

/* Levels of nesting, 0 for a scalar. */
static uint32_t measure(const struct json *json, uint64_t *nodes)
{
    uint32_t deepest = 0;

    *nodes += 1;
    if (json->kind != JSON_ARRAY && json->kind != JSON_OBJECT)
        return 0;
    for (uint32_t i = 0; i < json->count; i++) {
        uint32_t depth = measure(json->kind == JSON_ARRAY ? &json->items[i] : &json->members[i].value, nodes);

        deepest = MAX(deepest, depth);
    }
    return deepest + 1;
}

static int check_depth(struct patcher *p, const struct pointer *path, const struct json *value)
{
    uint64_t nodes = 0;
    uint32_t depth = measure(value, &nodes);

    if (depth + path->count > JSON_MAX_DEPTH)
        return err_set(p->err, ERR_INVALID, "the result would nest deeper than %d levels", JSON_MAX_DEPTH);
    return charge(p, nodes);
}

/* Puts value, which the target may keep, at path. */
static int put(struct patcher *p, const struct pointer *path, struct json *value)
{
    int r = check_depth(p, path, value);
    struct json *parent;
    uint32_t index;

    if (r < 0)
        return r;
    if (path->count == 0) {
        *p->target = value;
        return 0;
    }
    struct str last = path->tokens[path->count - 1];

    parent = find(*p->target, path, path->count - 1);
    if (json_is(parent, JSON_OBJECT)) {
        struct str key = arena_str(p->arena, last);

        return key.data && json_set(p->arena, parent, key, value) ? 0 : no_memory(p);
    }
    if (!json_is(parent, JSON_ARRAY))
        return absent(p, path);
    if (str_is(last, "-"))
        index = parent->count;
    else if (!parse_index(last, parent->count + 1, &index))
        return err_set(p->err, ERR_INVALID, "no such position in an array of %u", parent->count);
    if ((r = charge(p, parent->count - index)) < 0)
        return r;
    return json_insert(p->arena, parent, index, value) ? 0 : no_memory(p);
}

/* Takes what is at path out of the target; its place must exist. */
static int take_out(struct patcher *p, const struct pointer *path)
{
    struct json *parent = path->count ? find(*p->target, path, path->count - 1) : NULL;
    uint32_t index;
    int r;

    if (path->count == 0)
        return err_set(p->err, ERR_INVALID, "the whole document cannot be removed");
    if (!json_is(parent, JSON_OBJECT) && !json_is(parent, JSON_ARRAY))
        return absent(p, path);
    if ((r = charge(p, parent->count)) < 0)
        return r;
    if (parent->kind == JSON_OBJECT)
        return json_remove(parent, path->tokens[path->count - 1]) ? 0 : absent(p, path);
    if (!parse_index(path->tokens[path->count - 1], parent->count, &index))
        return absent(p, path);
    json_remove_at(parent, index);
    return 0;
}

static int op_add(struct patcher *p, const struct operation *op)
{
    struct json *value = json_copy(p->arena, op->value);

    return value ? put(p, &op->path, value) : no_memory(p);
}

static int op_remove(struct patcher *p, const struct operation *op)
{
    return take_out(p, &op->path);
}

static int op_replace(struct patcher *p, const struct operation *op)
{
    struct json *place = find(*p->target, &op->path, op->path.count);
    struct json *value = place ? json_copy(p->arena, op->value) : NULL;
    int r;

    if (!place)
        return absent(p, &op->path);
    if (!value)
        return no_memory(p);
    if ((r = check_depth(p, &op->path, value)) < 0)
        return r;
    *place = *value;
    return 0;
}

static int op_move(struct patcher *p, const struct operation *op)
{
    struct json *place = find(*p->target, &op->from, op->from.count);
    struct json *value = place ? arena_new_of(p->arena, struct json) : NULL;
    int r;

    if (!place)
        return absent(p, &op->from);
    if (!value)
        return no_memory(p);
    if (is_prefix(&op->from, &op->path))
        return err_set(p->err, ERR_INVALID, "a value cannot move into itself");
    if (op->from.count == op->path.count && str_eq(op->from.text, op->path.text))
        return 0;
    *value = *place;
    if ((r = take_out(p, &op->from)) < 0)
        return r;
    return put(p, &op->path, value);
}

static int op_copy(struct patcher *p, const struct operation *op)
{
    const struct json *place = find(*p->target, &op->from, op->from.count);
    struct json *value;

    if (!place)
        return absent(p, &op->from);
    return (value = json_copy(p->arena, place)) ? put(p, &op->path, value) : no_memory(p);
}

static int op_test(struct patcher *p, const struct operation *op)
{
    const struct json *place = find(*p->target, &op->path, op->path.count);

    if (!place)
        return absent(p, &op->path);
    return json_equal(place, op->value) ? 0 : err_set(p->err, ERR_INVALID, "the value is a different one");
}

static const struct operation_kind {
    const char *name;
    bool value, from;
    int (*run)(struct patcher *p, const struct operation *op);
} operation_kinds[] = {
    { "add", true, false, op_add },   { "remove", false, false, op_remove }, { "replace", true, false, op_replace },
    { "move", false, true, op_move }, { "copy", false, true, op_copy },      { "test", true, false, op_test },
};

static const struct operation_kind *find_kind(struct str name)
{
    for (size_t i = 0; i < ARRAY_LEN(operation_kinds); i++)
        if (str_is(name, operation_kinds[i].name))
            return &operation_kinds[i];
    return NULL;
}

static int apply_one(struct patcher *p, const struct json *json)
{
    struct str name = json_str(json_member(json, "op")), path = json_str(json_member(json, "path"));
    struct str from = json_str(json_member(json, "from"));
    struct operation op = { .value = json_member(json, "value") };
    const struct operation_kind *kind = find_kind(name);
    int r;

    if (!json_is(json, JSON_OBJECT))
        return err_set(p->err, ERR_BAD_REQUEST, "an operation must be an object");
    if (!kind)
        return err_set(p->err, ERR_BAD_REQUEST, "\"op\" must be one of add, remove, replace, move, copy, test");
    if (!path.data || (kind->from && !from.data))
        return err_set(p->err, ERR_BAD_REQUEST, "%s needs a \"%s\"", kind->name, path.data ? "from" : "path");
    if (kind->value && !op.value)
        return err_set(p->err, ERR_BAD_REQUEST, "%s needs a \"value\"", kind->name);
    if ((r = parse_pointer(p, path, &op.path)) < 0)
        return r;
    if (kind->from && (r = parse_pointer(p, from, &op.from)) < 0)
        return r;
    if ((r = kind->run(p, &op)) < 0)
        return err_wrap(p->err, r, "%s \"" STR_FMT "\"", kind->name, (int)MIN(path.len, 200), path.data);
    return 0;
}

int json_patch_apply(struct arena *arena, struct json **target, const struct json *patch, struct err *err)
{
    struct patcher p = { .arena = arena, .target = target, .err = err };

    if (!json_is(patch, JSON_ARRAY))
        return err_set(err, ERR_BAD_REQUEST, "a JSON patch must be an array of operations");
    if (patch->count > JSON_PATCH_MAX_OPERATIONS)
        return err_set(err, ERR_TOO_LARGE, "a JSON patch may have %d operations, this one has %u",
                       JSON_PATCH_MAX_OPERATIONS, patch->count);
    for (uint32_t i = 0; i < patch->count; i++) {
        int r = apply_one(&p, &patch->items[i]);

        if (r < 0)
            return err_wrap(err, r, "operation %u of the patch", i + 1);
    }
    return 0;
}

/* Merge patch. */

/* Drops the members that the patch sets to null, all in one pass. False without memory. */
static bool merge_removals(struct arena *arena, struct json *object, const struct json *patch)
{
    bool *gone = NULL;
    uint32_t kept = 0;

    for (uint32_t i = 0; i < patch->count; i++) {
        struct json *place = NULL;

        if (patch->members[i].value.kind == JSON_NULL)
            place = json_get(object, patch->members[i].key);
        if (!place)
            continue;
        if (!gone && !(gone = arena_array_of(arena, object->count, bool)))
            return false;
        gone[container_of(place, struct json_member, value) - object->members] = true;
    }
    if (!gone)
        return true;
    for (uint32_t i = 0; i < object->count; i++)
        if (!gone[i])
            object->members[kept++] = object->members[i];
    object->count = kept;
    object->index = kept < JSON_INDEX_MIN ? NULL : json_index_new(arena, object->members, kept);
    return kept < JSON_INDEX_MIN || object->index;
}

static bool merge(struct arena *arena, struct json *target, const struct json *patch)
{
    if (patch->kind != JSON_OBJECT) {
        struct json *copy = json_copy(arena, patch);

        if (copy)
            *target = *copy;
        return copy != NULL;
    }
    if (target->kind != JSON_OBJECT)
        *target = (struct json){ .kind = JSON_OBJECT };
    if (!merge_removals(arena, target, patch))
        return false;
    for (uint32_t i = 0; i < patch->count; i++) {
        const struct json_member *member = &patch->members[i];
        struct json *place;

        if (member->value.kind == JSON_NULL)
            continue;
        if (!(place = json_get(target, member->key))) {
            struct str key = arena_str(arena, member->key);

            if (!key.data || !(place = json_set(arena, target, key, &(struct json){ .kind = JSON_NULL })))
                return false;
        }
        if (!merge(arena, place, &member->value))
            return false;
    }
    return true;
}

int json_merge_patch(struct arena *arena, struct json **target, const struct json *patch, struct err *err)
{
    struct patcher p = { .arena = arena, .err = err };

    if (!*target && !(*target = json_new(arena, JSON_NULL)))
        return no_memory(&p);
    return merge(arena, *target, patch) ? 0 : no_memory(&p);
}
