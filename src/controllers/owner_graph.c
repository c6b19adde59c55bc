/* owner_graph.c - a map of maps: an owner with ten thousand dependents loses one as fast as an owner of one does. */
#include "controllers/owner_graph.h"

#include "base/map.h"
#include "base/sync.h"

struct text {
    struct str str;
    char data[];
};

struct owner {
    struct map dependents; /* key -> struct text */
    uint64_t gone_at;      /* the revision of its deletion; 0: it is there, or that is not known */
    struct str uid;
    char text[];
};

struct owner_graph {
    struct mutex lock;
    struct map owners; /* uid -> struct owner */
};

int owner_graph_new(struct owner_graph **ret_graph, struct err *err)
{
    struct owner_graph *graph = calloc(1, sizeof *graph);

    if (!graph)
        return err_set(err, ERR_NO_MEMORY, "owner graph");
    mutex_init(&graph->lock);
    *ret_graph = graph;
    return 0;
}

static void owner_free(struct owner *owner)
{
    for (struct map_entry *e = NULL; (e = map_next(&owner->dependents, e));)
        free(e->value);
    map_deinit(&owner->dependents);
    free(owner);
}

struct owner_graph *owner_graph_free(struct owner_graph *graph)
{
    if (!graph)
        return NULL;
    for (struct map_entry *e = NULL; (e = map_next(&graph->owners, e));)
        owner_free(e->value);
    map_deinit(&graph->owners);
    mutex_deinit(&graph->lock);
    free(graph);
    return NULL;
}

static struct owner *owner_get(struct owner_graph *graph, struct str uid)
{
    struct owner *owner = map_get(&graph->owners, uid);

    if (owner || !(owner = calloc(1, sizeof *owner + uid.len + 1)))
        return owner;
    memcpy(owner->text, uid.data, uid.len);
    owner->uid = str_of(owner->text, uid.len);
    if (map_put(&graph->owners, owner->uid, owner, NULL) < 0) {
        free(owner);
        return NULL;
    }
    return owner;
}

static bool add(struct owner_graph *graph, struct str uid, struct str key)
{
    struct owner *owner = uid.len ? owner_get(graph, uid) : NULL;
    struct text *text;

    if (!uid.len || (owner && map_get(&owner->dependents, key)))
        return true;
    text = owner ? malloc(sizeof *text + key.len + 1) : NULL;
    if (!text)
        return false;
    memcpy(text->data, key.data, key.len);
    text->str = str_of(text->data, key.len);
    if (map_put(&owner->dependents, text->str, text, NULL) == 0)
        return true;
    free(text);
    return false;
}

static void drop(struct owner_graph *graph, struct str uid, struct str key)
{
    struct owner *owner = map_get(&graph->owners, uid);

    if (!owner)
        return;
    free(map_remove(&owner->dependents, key));
    if (owner->dependents.count == 0) {
        map_remove(&graph->owners, uid);
        owner_free(owner);
    }
}

static bool names(const struct owner_reference_array *owners, struct str uid)
{
    for (size_t i = 0; owners && i < owners->count; i++)
        if (str_eq(owners->items[i].uid, uid))
            return true;
    return false;
}

bool owner_graph_change(struct owner_graph *graph, struct str key, const struct owner_reference_array *old,
                        const struct owner_reference_array *new)
{
    LOCKED(&graph->lock);
    bool complete = true;

    for (size_t i = 0; old && i < old->count; i++)
        if (!names(new, old->items[i].uid))
            drop(graph, old->items[i].uid, key);
    for (size_t i = 0; new &&i < new->count; i++)
        complete = add(graph, new->items[i].uid, key) && complete;
    return complete;
}

void owner_graph_note_gone(struct owner_graph *graph, struct str uid, uint64_t revision)
{
    LOCKED(&graph->lock);
    struct owner *owner = map_get(&graph->owners, uid);

    if (owner)
        owner->gone_at = revision;
}

uint64_t owner_graph_gone_at(struct owner_graph *graph, struct str uid)
{
    LOCKED(&graph->lock);
    const struct owner *owner = map_get(&graph->owners, uid);

    return owner ? owner->gone_at : 0;
}

bool owner_graph_has_dependents(struct owner_graph *graph, struct str uid)
{
    LOCKED(&graph->lock);
    return map_get(&graph->owners, uid);
}

int owner_graph_dependents(struct owner_graph *graph, struct str uid, struct arena *arena, struct str_array *ret_keys,
                           struct err *err)
{
    LOCKED(&graph->lock);
    const struct owner *owner = map_get(&graph->owners, uid);
    struct str *keys = arena_array_of(arena, owner ? owner->dependents.count : 1, struct str);
    size_t count = 0;

    for (struct map_entry *e = NULL; keys && owner && (e = map_next(&owner->dependents, e));)
        keys[count++] = arena_str(arena, e->key);
    if (arena_failed(arena))
        return err_set(err, ERR_NO_MEMORY, "dependents");
    *ret_keys = (struct str_array){ keys, count };
    return 0;
}
