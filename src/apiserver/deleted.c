/* deleted.c - finds the dependents that went with an object.
 *
 * One pass over the changes since the deletion began notes every object that went, with its uid and those of its owners.
 * Then those whose owner comes back come back, again and again, until none is added. A name that went twice comes back
 * as it was the last time. */
#include "apiserver/deleted.h"

#include "api/resources.h"
#include "base/map.h"
#include "base/vec.h"

#define SCRATCH_LIMIT (64u << 20)
#define CANDIDATES_MAX 200000
#define OBJECTS "/registry/"

struct candidate {
    struct str key, uid;
    const struct str *owners;
    size_t owner_count;
    revision_t revision;
    bool inside; /* of the namespace that comes back */
    bool taken;
};

static int no_memory(struct err *err)
{
    return err_set(err, ERR_NO_MEMORY, "reading what was deleted");
}

static int damaged(struct str key, struct err *err)
{
    return err_set(err, ERR_INTERNAL, "a retained state of " STR_FMT " is damaged", STR_ARG(str_first(key, 256)));
}

static int not_retained(struct str key, struct err *err)
{
    return err_set(err, ERR_EXPIRED, "how " STR_FMT " was before it was deleted is no longer retained",
                   STR_ARG(str_first(key, 256)));
}

/* Strings of the tree are slices of the text, which lives as long as the arena. */
static int parse(struct arena *arena, const struct store_change *change, struct json **ret_object, struct err *err)
{
    struct str text = arena_str(arena, change->value);

    if (!text.data)
        return no_memory(err);
    return json_parse(arena, text, NULL, ret_object, NULL) < 0 ? damaged(change->key, err) : 0;
}

int deleted_read(struct arena *arena, struct store_snapshot *snapshot, struct str key, revision_t at,
                 struct deleted *ret_deleted, struct err *err)
{
    struct store_change change;
    struct deleted deleted;
    int code = store_change_at(snapshot, key, at, &change, err);

    if (code == -ERR_NOT_FOUND || (code == 0 && change.kind != STORE_DELETED))
        return not_retained(key, err);
    if (code < 0)
        return code;
    deleted = (struct deleted){ .key = arena_str(arena, key), .revision = change.revision, .time = change.time };
    do {
        deleted.begun = change.revision;
        deleted.actor = arena_str(arena, change.actor);
        if (!change.previous)
            return not_retained(key, err);
        code = store_change_at(snapshot, key, change.previous, &change, err);
        if (code < 0 || change.kind == STORE_DELETED)
            return code == -ERR_NOT_FOUND || code == 0 ? not_retained(key, err) : code;
        if ((code = parse(arena, &change, &deleted.object, err)) < 0)
            return code;
    } while (json_at(deleted.object, "metadata.deletionTimestamp"));
    if (!deleted.key.data)
        return no_memory(err);
    *ret_deleted = deleted;
    return 0;
}

/* -- what went since -- */

struct search {
    struct arena *arena, *scratch;
    struct str ns; /* that comes back; unset: none does */
    VEC(struct candidate) candidates;
    struct map uids; /* of what comes back */
};

static int note(struct search *search, const struct store_change *change, struct err *err)
{
    struct candidate candidate = { .revision = change->revision };
    struct json *object;
    const struct json *owners;
    struct str *uids;

    arena_reset(search->scratch);
    if (json_parse(search->scratch, change->value, NULL, &object, NULL) < 0)
        return damaged(change->key, err);
    owners = json_at(object, "metadata.ownerReferences");
    candidate.owner_count = json_is(owners, JSON_ARRAY) ? owners->count : 0;
    candidate.inside = search->ns.data && str_eq(json_str_at(object, "metadata.namespace"), search->ns);
    if (!candidate.owner_count && !candidate.inside)
        return 0;
    if (search->candidates.count == CANDIDATES_MAX)
        return err_set(err, ERR_TOO_LARGE, "too much was deleted since");
    uids = arena_array_of(search->arena, candidate.owner_count + 1, struct str);
    candidate.key = arena_str(search->arena, change->key);
    candidate.uid = arena_str(search->arena, json_str_at(object, "metadata.uid"));
    candidate.owners = uids;
    if (!uids || !candidate.key.data)
        return no_memory(err);
    for (size_t i = 0; i < candidate.owner_count; i++)
        uids[i] = arena_str(search->arena, json_str(json_member(&owners->items[i], "uid")));
    return vec_push(&search->candidates, candidate) < 0 ? no_memory(err) : 0;
}

static int scan(struct search *search, struct store_snapshot *snapshot, revision_t after, struct err *err)
{
    struct store_changes changes;
    struct store_change change;
    int code = store_changes_open(snapshot, STR(OBJECTS), after, 0, &changes, err);

    while (code == 0 && (code = store_changes_next(&changes, &change, err)) > 0)
        code = change.kind == STORE_DELETED && str_has_prefix(change.value, STR("{")) &&
                       !str_has_prefix(change.key, RESOURCE_EVENTS.store_prefix)
                   ? note(search, &change, err)
                   : 0;
    return code;
}

static bool is_owned(const struct search *search, const struct candidate *candidate)
{
    for (size_t i = 0; i < candidate->owner_count; i++)
        if (map_get(&search->uids, candidate->owners[i]))
            return true;
    return false;
}

/* One more that comes back. */
static int take(struct search *search, struct store_snapshot *snapshot, struct candidate *candidate, struct map *keys,
                struct deleted *place, struct err *err)
{
    int code = deleted_read(search->arena, snapshot, candidate->key, candidate->revision, place, err);

    if (code < 0)
        return code;
    candidate->taken = true;
    if (map_put(keys, candidate->key, candidate, NULL) < 0 ||
        (candidate->uid.len && map_put(&search->uids, candidate->uid, candidate, NULL) < 0))
        return no_memory(err);
    return 0;
}

/* Rounds: each adds what is owned by what came before. From the newest to the oldest, so that of a name that went twice
 * the last one comes back. */
static int close_over(struct search *search, struct store_snapshot *snapshot, size_t max, struct deleted *items,
                      size_t *ret_count, struct err *err)
{
    struct map keys = MAP_INIT;
    size_t count = 0, before;
    int code = 0;

    do {
        before = count;
        for (size_t i = search->candidates.count; i-- > 0 && code == 0;) {
            struct candidate *candidate = &search->candidates.items[i];

            if (candidate->taken || map_get(&keys, candidate->key) ||
                !(candidate->inside || is_owned(search, candidate)))
                continue;
            if (count == max)
                code = err_set(err, ERR_TOO_LARGE, "more than %zu objects would come back: too many for one transaction",
                               max);
            else
                code = take(search, snapshot, candidate, &keys, &items[count++], err);
        }
    } while (code == 0 && count > before);
    map_deinit(&keys);
    *ret_count = count;
    return code;
}

int deleted_with(struct arena *arena, struct store_snapshot *snapshot, const struct deleted *root, size_t max,
                 struct deleted **ret_items, size_t *ret_count, struct err *err)
{
    struct search search = { .arena = arena, .scratch = arena_new(SCRATCH_LIMIT), .candidates = VEC_INIT };
    struct deleted *items = arena_array_of(arena, max, struct deleted);
    struct str uid = json_str_at(root->object, "metadata.uid");
    int code = 0;

    map_init(&search.uids);
    if (str_has_prefix(root->key, RESOURCE_NAMESPACES.store_prefix))
        search.ns = json_str_at(root->object, "metadata.name");
    if (!search.scratch || !items || (uid.len && map_put(&search.uids, uid, root->object, NULL) < 0))
        code = no_memory(err);
    if (code == 0)
        code = scan(&search, snapshot, root->begun - 1, err);
    if (code == 0)
        code = close_over(&search, snapshot, max, items, ret_count, err);
    vec_deinit(&search.candidates);
    map_deinit(&search.uids);
    arena_free(search.scratch);
    if (code == 0)
        *ret_items = items;
    return code;
}
