/* strategic_list.c - merging lists, and the order of what comes out.
 *
 * Lists of maps merge by key: elements of the patch change those with the same key or are added. Lists of scalars
 * merge as sets. All other lists are replaced.
 *
 * The order is made of two: elements that the patch names stand as the patch (or its $setElementOrder) has them, the
 * others keep the order of the object. The two are interleaved by the object's order where that knows both
 * neighbours; where it does not, the patch goes first. */
#include "schema/strategic.h"

#include "schema/walk.h"

static int mixed_list(struct merger *m)
{
    return err_set(m->err, ERR_BAD_REQUEST, "list element types are not identical");
}

static int no_merge_key(struct merger *m, const struct json *element, struct str merge_key)
{
    return err_set(m->err, ERR_BAD_REQUEST, "map: " STR_FMT " does not contain declared merge key: " STR_FMT,
                   STR_ARG(str_first(json_text(m->arena, element), 512)), STR_ARG(merge_key));
}

/* The keys of all elements; extra leaves room for more. */
static int keys_of(struct merger *m, const struct json *list, struct str merge_key, uint32_t extra, struct keyed *keyed)
{
    uint32_t count = list ? list->count : 0;

    if (keyed_init(keyed, m->arena, count + extra) < 0)
        return merge_no_memory(m);
    for (uint32_t i = 0; i < count; i++) {
        struct str key = element_key(m->arena, &list->items[i], merge_key);

        if (!key.data)
            return arena_failed(m->arena) ? merge_no_memory(m) : no_merge_key(m, &list->items[i], merge_key);
        if (keyed_add(keyed, key) < 0)
            return merge_no_memory(m);
    }
    return 0;
}

static int append(struct merger *m, struct json *list, const struct json *element)
{
    return json_append(m->arena, list, element) ? 0 : merge_no_memory(m);
}

/* --- order --- */

struct ranked {
    uint32_t rank, at; /* place in the wanted order; in the merged list */
};

static int rank_order(const void *a, const void *b)
{
    const struct ranked *left = a, *right = b;

    if (left->rank != right->rank)
        return left->rank < right->rank ? -1 : 1;
    return left->at < right->at ? -1 : left->at > right->at;
}

/* Whether the object had both, the kept one before the other. */
static bool stood_before(const struct keyed *server, struct str kept, struct str named)
{
    uint32_t left = keyed_find(server, kept), right = keyed_find(server, named);

    return left != KEYED_NONE && right != KEYED_NONE && left < right;
}

/* wanted: the keys in the patch's order; server: those of the object before. */
static int order_list(struct merger *m, struct json *list, struct str merge_key, const struct keyed *wanted,
                      const struct keyed *server)
{
    AUTO_DEINIT(keyed, keys) = { 0 };
    uint32_t named = 0, kept = 0, i = 0, j = 0;
    struct ranked *ranked;
    uint32_t *others;
    struct json *items;
    int r = keys_of(m, list, merge_key, 0, &keys);

    if (r < 0)
        return r;
    ranked = arena_array_of(m->arena, list->count, struct ranked);
    others = arena_array_of(m->arena, list->count, uint32_t);
    items = arena_array_of(m->arena, list->count, struct json);
    if (!ranked || !others || !items)
        return merge_no_memory(m);
    for (uint32_t at = 0; at < list->count; at++) {
        uint32_t rank = keyed_find(wanted, keys.keys[at]);

        if (rank == KEYED_NONE)
            others[kept++] = at;
        else
            ranked[named++] = (struct ranked){ rank, at };
    }
    qsort(ranked, named, sizeof *ranked, rank_order);
    for (uint32_t at = 0; at < list->count; at++) {
        bool take_kept =
            j >= named || (i < kept && stood_before(server, keys.keys[others[i]], keys.keys[ranked[j].at]));

        items[at] = list->items[take_kept ? others[i++] : ranked[j++].at];
    }
    list->items = items;
    list->cap = list->count;
    return 0;
}

/* --- lists of maps --- */

/* Divides the patch into elements to merge and keys to delete; the rest of a "replace" element counts for nothing. */
static int read_special(struct merger *m, const struct json *patch, struct str merge_key, struct json *ret_plain,
                        struct keyed *deleted, bool *ret_replace)
{
    if (keyed_init(deleted, m->arena, patch->count) < 0)
        return merge_no_memory(m);
    for (uint32_t i = 0; i < patch->count; i++) {
        const struct json *element = &patch->items[i], *directive = json_get(element, DIRECTIVE);
        struct str what = json_str(directive), key;

        if (!directive || str_is(what, "merge")) {
            if (append(m, ret_plain, element) < 0)
                return merge_no_memory(m);
        } else if (str_is(what, "replace")) {
            *ret_replace = true;
        } else if (str_is(what, "delete")) {
            key = element_key(m->arena, element, merge_key);
            if (!key.data)
                return arena_failed(m->arena) ? merge_no_memory(m) : no_merge_key(m, element, merge_key);
            if (keyed_add(deleted, key) < 0)
                return merge_no_memory(m);
        } else {
            return err_set(m->err, ERR_BAD_REQUEST, "unknown patch type: " STR_FMT " in map: " STR_FMT,
                           STR_ARG(json_text(m->arena, directive)),
                           STR_ARG(str_first(json_text(m->arena, element), 512)));
        }
    }
    return 0;
}

static int copy_without(struct merger *m, const struct json *list, struct str merge_key, const struct keyed *deleted,
                        struct json *ret_list)
{
    for (uint32_t i = 0; i < list->count; i++) {
        struct str key = deleted->count ? element_key(m->arena, &list->items[i], merge_key) : STR_NULL;

        if (key.data && keyed_find(deleted, key) != KEYED_NONE)
            continue;
        if (append(m, ret_list, &list->items[i]) < 0)
            return merge_no_memory(m);
    }
    return 0;
}

static int merge_elements(struct merger *m, const struct patch_meta *meta, struct json *list, struct json *patch)
{
    AUTO_DEINIT(keyed, known) = { 0 };
    bool keep;
    int r = keys_of(m, list, meta->merge_key, patch->count, &known);

    for (uint32_t i = 0; i < patch->count && r == 0; i++) {
        struct json *element = &patch->items[i];
        struct str key = element_key(m->arena, element, meta->merge_key);
        uint32_t at;

        if (!key.data)
            return arena_failed(m->arena) ? merge_no_memory(m) : no_merge_key(m, element, meta->merge_key);
        at = keyed_find(&known, key);
        if (at != KEYED_NONE) {
            r = merge_map(m, meta->type->elem, &list->items[at], element);
            continue;
        }
        r = merge_clean(m, element, &keep);
        if (r == 0 && (append(m, list, element) < 0 || keyed_add(&known, key) < 0))
            r = merge_no_memory(m);
    }
    return r;
}

static int merge_map_list(struct merger *m, const struct patch_meta *meta, const struct json *original,
                          const struct json *patch, struct json *ret_list)
{
    AUTO_DEINIT(keyed, deleted) = { 0 };
    AUTO_DEINIT(keyed, wanted) = { 0 };
    AUTO_DEINIT(keyed, server) = { 0 };
    struct json plain = { .kind = JSON_ARRAY }, list = { .kind = JSON_ARRAY };
    bool replace = false;
    int r;

    if (meta->merge_key.len == 0)
        return err_set(m->err, ERR_BAD_REQUEST, "cannot merge lists without merge key for " STR_FMT,
                       STR_ARG(meta->type->elem->name));
    r = read_special(m, patch, meta->merge_key, &plain, &deleted, &replace);
    if (r == 0 && original && !replace)
        r = copy_without(m, original, meta->merge_key, &deleted, &list);
    if (r == 0)
        r = keys_of(m, &list, meta->merge_key, 0, &server);
    if (r == 0)
        r = merge_elements(m, meta, &list, &plain);
    if (r == 0)
        r = keys_of(m, &plain, meta->merge_key, 0, &wanted);
    if (r == 0)
        r = order_list(m, &list, meta->merge_key, &wanted, &server);
    if (r == 0)
        *ret_list = list;
    return r;
}

/* --- lists of scalars --- */

static int add_new(struct merger *m, struct json *list, struct keyed *seen, const struct json *more)
{
    for (uint32_t i = 0; more && i < more->count; i++) {
        struct str key = element_key(m->arena, &more->items[i], STR_NULL);

        if (!key.data)
            return merge_no_memory(m);
        if (keyed_find(seen, key) != KEYED_NONE)
            continue;
        if (keyed_add(seen, key) < 0 || append(m, list, &more->items[i]) < 0)
            return merge_no_memory(m);
    }
    return 0;
}

static int merge_scalar_list(struct merger *m, const struct json *original, const struct json *patch,
                             struct json *ret_list)
{
    AUTO_DEINIT(keyed, seen) = { 0 };
    AUTO_DEINIT(keyed, wanted) = { 0 };
    AUTO_DEINIT(keyed, server) = { 0 };
    struct json list = { .kind = JSON_ARRAY };
    int r;

    if (keyed_init(&seen, m->arena, patch->count + (original ? original->count : 0)) < 0)
        return merge_no_memory(m);
    r = add_new(m, &list, &seen, original);
    if (r == 0)
        r = add_new(m, &list, &seen, patch);
    if (r == 0)
        r = keys_of(m, patch, STR_NULL, 0, &wanted);
    if (r == 0)
        r = keys_of(m, original, STR_NULL, 0, &server);
    if (r == 0)
        r = order_list(m, &list, STR_NULL, &wanted, &server);
    if (r == 0)
        *ret_list = list;
    return r;
}

int merge_delete_scalars(struct merger *m, struct json *original, const struct json *remove)
{
    AUTO_DEINIT(keyed, removed) = { 0 };
    uint32_t kept = 0;
    int r = keys_of(m, remove, STR_NULL, 0, &removed);

    for (uint32_t i = 0; i < original->count && r == 0; i++) {
        struct str key = element_key(m->arena, &original->items[i], STR_NULL);

        if (!key.data)
            return merge_no_memory(m);
        if (keyed_find(&removed, key) == KEYED_NONE)
            original->items[kept++] = original->items[i];
    }
    if (r == 0)
        original->count = kept;
    return r;
}

/* --- $setElementOrder --- */

/* The patch's own elements must come in the order that the directive gives. */
static int check_order(struct merger *m, const struct json *patch, const struct json *order, struct str merge_key)
{
    uint32_t at = 0;

    for (uint32_t i = 0; i < patch->count; i++) {
        const struct json *element = &patch->items[i], *directive = json_get(element, DIRECTIVE);
        struct str key;

        if (directive && !str_is(json_str(directive), "merge"))
            continue;
        key = element_key(m->arena, element, merge_key);
        if (!key.data)
            return arena_failed(m->arena) ? merge_no_memory(m) : no_merge_key(m, element, merge_key);
        while (at < order->count && !str_eq(element_key(m->arena, &order->items[at], merge_key), key))
            at++;
        if (at++ >= order->count)
            return err_set(m->err, ERR_BAD_REQUEST,
                           "The order in patch list:\n" STR_FMT "\n doesn't match $setElementOrder list:\n" STR_FMT
                           "\n",
                           STR_ARG(str_first(json_text(m->arena, patch), 384)),
                           STR_ARG(str_first(json_text(m->arena, order), 384)));
    }
    return 0;
}

static int set_order(struct merger *m, struct str merge_key, const struct json *original, const struct json *order,
                     struct json *list)
{
    AUTO_DEINIT(keyed, wanted) = { 0 };
    AUTO_DEINIT(keyed, server) = { 0 };
    int r = keys_of(m, order, merge_key, 0, &wanted);

    if (r == 0)
        r = keys_of(m, original, merge_key, 0, &server);
    return r < 0 ? r : order_list(m, list, merge_key, &wanted, &server);
}

static bool list_is_uniform(const struct json *list, bool maps)
{
    for (uint32_t i = 0; list && i < list->count; i++)
        if ((list->items[i].kind == JSON_OBJECT) != maps || list->items[i].kind == JSON_ARRAY)
            return false;
    return true;
}

int merge_list(struct merger *m, const struct patch_meta *meta, const struct json *original, struct json *patch,
               const struct json *order, struct json *ret_list)
{
    bool merging = meta->flags & FIELD_PATCH_MERGE && meta->type && meta->type->kind == TYPE_LIST;
    bool maps = merging && meta->type->elem->kind == TYPE_STRUCT, keep;
    struct str merge_key = maps ? meta->merge_key : STR_NULL;
    struct json list;
    int r = 0;

    if (merging && (!list_is_uniform(original, maps) || !list_is_uniform(patch, maps) || !list_is_uniform(order, maps)))
        return mixed_list(m);
    if (merging && order && patch)
        r = check_order(m, patch, order, merge_key);
    if (r < 0)
        return r;
    if (!patch)
        list = *original;
    else if (merging)
        r = maps ? merge_map_list(m, meta, original, patch, &list) : merge_scalar_list(m, original, patch, &list);
    else if ((r = merge_clean(m, patch, &keep)) == 0)
        list = *patch;
    if (r == 0 && merging && order)
        r = set_order(m, merge_key, original, order, &list);
    if (r == 0)
        *ret_list = list;
    return r;
}
