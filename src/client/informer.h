/* informer.h - a local copy of all objects of a resource (or of those a selector chooses), kept by list and watch.
 *
 * One factory a process: components that ask for the same resource and selector share one copy. Look-ups come from any
 * thread and return counted objects. Handlers run one at a time per informer, in order, on the executor, never under a
 * lock; they only note keys in queues. */
#pragma once

#include "base/executor.h"
#include "base/rng.h"
#include "client/client.h"

struct informers; /* the factory */
struct informer;

int informers_new(struct client *client, struct executor *executor, struct rng *rng, struct informers **ret_informers,
                  struct err *err);
/* Afterwards no handler and no when_synced function runs, nor ever will; look-ups go on. To be called before those are
 * freed whom handlers tell, who in turn may look into caches until informers_free(). */
void informers_stop(struct informers *informers);
struct informers *informers_free(struct informers *informers);
DEFINE_AUTO(informers, informers_free)
struct client *informers_client(struct informers *informers);

/* field_selector may be unset. Owned by the factory. Before informers_start() only. */
int informers_get(struct informers *informers, const struct resource *resource, struct str field_selector,
                  struct informer **ret_informer, struct err *err);

struct informer_handler {
    void *ctx;
    /* old NULL: added; new NULL: deleted (old is the last state known). */
    void (*changed)(void *ctx, struct object *old, struct object *new);
};
int informer_add_handler(struct informer *informer, const struct informer_handler *handler, struct err *err);

/* An index by a string of the object: owner uid, node name. key() returns STR_NULL for "not in the index". */
typedef struct str informer_index_fn(const struct object *object);
int informer_add_index(struct informer *informer, const char *name, informer_index_fn *key, struct err *err);

int informers_start(struct informers *informers, struct err *err);
bool informers_synced(struct informers *informers); /* every informer has its first list */
/* fn runs on the executor once all are synced, one such function at a time. */
int informers_when_synced(struct informers *informers, executor_fn *fn, void *arg, struct err *err);

/* The cache shows every change of its resource up to this revision; 0 while it is being listed. Whoever wrote an object
 * at revision R waits for R here, so as not to act on what was before. */
uint64_t informer_revision(struct informer *informer);
/* Whether the cache shows what its resource was at this revision. Unlike informer_revision() it knows that nothing has
 * happened since: caches of several resources that have all reached a revision show a transaction of it whole. Over
 * HTTP, where only changes and bookmarks tell how far a watch is, it is taken for granted. */
bool informer_has_reached(struct informer *informer, uint64_t revision);

/* One reference for the caller, or NULL. key: "ns/name" or "name". */
struct object *informer_get(struct informer *informer, struct str key);
/* Objects in the arena's array, each with a reference that object_list_release() gives back.
 * ns unset: all namespaces. */
struct object_list {
    struct object **items;
    size_t count;
};
int informer_list(struct informer *informer, struct str ns, struct arena *arena, struct object_list *ret_list,
                  struct err *err);
int informer_by_index(struct informer *informer, const char *index, struct str value, struct arena *arena,
                      struct object_list *ret_list, struct err *err);
void object_list_release(struct object_list *list);
