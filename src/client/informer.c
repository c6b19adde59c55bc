/* informer.c - list, then watch, then again where it stopped.
 *
 * All of an informer's work runs on its strand: listing, draining the watch, calling handlers. The cache is read by
 * others under a read lock; only the strand writes, and handlers are called after the lock was given back. A watch that
 * ends is opened again from the last revision; when that is gone (410) the list is read anew and the difference becomes
 * events. Failures are retried with back-off. Nothing is posted to a strand once the informer is stopping.
 *
 * How far the cache is, is known from the events that were applied, and while there are none from the watch itself, which
 * any thread may ask then (`resting`). */
#include "client/informer.h"

#include <stdio.h>

#include "base/list.h"
#include "base/log.h"
#include "base/map.h"
#include "base/rng.h"
#include "base/sync.h"
#include "base/vec.h"

#define RETRY_MIN (50 * NSEC_PER_MSEC)
#define RETRY_MAX (10 * NSEC_PER_SEC)
#define DRAIN_TURN 256 /* events taken before other work of the executor gets its turn */

struct bucket {
    struct str value;
    VEC(struct object *) objects; /* borrowed from the cache */
    char text[];
};

struct index {
    const char *name;
    informer_index_fn *key;
    struct map buckets;
};

struct informer {
    struct informers *factory;
    const struct resource *resource;
    struct str field_selector; /* owned */
    struct strand *strand;
    VEC(struct informer_handler) handlers;
    struct rwlock lock;
    struct map objects; /* key -> struct object, one reference each */
    VEC(struct index) indexes;
    /* Of the strand alone: */
    struct client_watch *watch;
    unsigned failures;
    /* Read by all: */
    _Atomic uint64_t revision; /* what the cache shows; 0: it must be listed */
    _Atomic uint64_t whole;    /* of what it shows nothing is missing up to here: one revision may be many changes */
    atomic_bool synced;
    struct mutex rest_lock;       /* guards what follows */
    struct client_watch *resting; /* the watch, while the strand is not in it and the cache shows all that it said */
    struct mutex stop_lock;       /* guards what follows, and posting to the strand */
    struct executor_timer *retry;
    bool stopping;
};

struct waiter {
    executor_fn *fn;
    void *arg;
};

struct informers {
    struct client *client;
    struct executor *executor;
    struct rng *rng;
    VEC(struct informer *) items;
    struct strand *strand; /* runs what waits for the first sync */
    struct mutex lock;
    VEC(struct waiter) waiters;
    bool started, stopped;
};

static void step(void *arg);

/* -- cache -- */

static struct bucket *bucket_get(struct index *index, struct str value, bool make)
{
    struct bucket *bucket = map_get(&index->buckets, value);

    if (bucket || !make || !(bucket = calloc(1, sizeof *bucket + value.len + 1)))
        return bucket;
    memcpy(bucket->text, value.data, value.len);
    bucket->value = str_of(bucket->text, value.len);
    if (map_put(&index->buckets, bucket->value, bucket, NULL) < 0) {
        free(bucket);
        return NULL;
    }
    return bucket;
}

static void bucket_free(struct bucket *bucket)
{
    vec_deinit(&bucket->objects);
    free(bucket);
}

static void index_remove(struct index *index, struct object *object)
{
    struct str value = index->key(object);
    struct bucket *bucket = value.data ? bucket_get(index, value, false) : NULL;

    if (!bucket)
        return;
    for (size_t i = 0; i < bucket->objects.count; i++) {
        if (bucket->objects.items[i] != object)
            continue;
        bucket->objects.items[i] = bucket->objects.items[--bucket->objects.count];
        break;
    }
    if (bucket->objects.count == 0) {
        map_remove(&index->buckets, bucket->value);
        bucket_free(bucket);
    }
}

static int index_add(struct index *index, struct object *object)
{
    struct str value = index->key(object);

    if (!value.data)
        return 0;
    struct bucket *bucket = bucket_get(index, value, true);

    return bucket ? vec_push(&bucket->objects, object) : -1;
}

/* Puts new (NULL: removes) in place of the object of that key; *ret_old gets the cache's reference to the old one. */
static int cache_replace(struct informer *informer, struct str key, struct object *new, struct object **ret_old)
{
    int code = 0;

    rwlock_write(&informer->lock);
    struct object *old = map_get(&informer->objects, key);

    if (old)
        vec_each (&informer->indexes, index)
            index_remove(index, old);
    if (new) {
        code = map_put(&informer->objects, new->key, object_ref(new), NULL);
        if (code < 0)
            object_unref(new);
        for (size_t i = 0; code == 0 && i < informer->indexes.count; i++)
            code = index_add(&informer->indexes.items[i], new);
    } else {
        map_remove(&informer->objects, key);
    }
    rwlock_unlock(&informer->lock);
    *ret_old = old;
    return code;
}

/* -- changes -- */

static void tell(struct informer *informer, struct object *old, struct object *new)
{
    vec_each (&informer->handlers, handler)
        handler->changed(handler->ctx, old, new);
}

/* revision: what the cache shows with this change in it, 0 to leave that. Handlers find it set already. */
static int apply(struct informer *informer, struct str key, struct object *new, uint64_t revision, struct err *err)
{
    struct object *old;

    if (cache_replace(informer, key, new, &old) < 0) {
        object_unref(old);
        return err_set(err, ERR_NO_MEMORY, "informer of " STR_FMT, STR_ARG(informer->resource->plural));
    }
    if (revision)
        atomic_store(&informer->revision, revision);
    if (old || new)
        tell(informer, old, new);
    object_unref(old);
    return 0;
}

struct listing {
    struct informer *informer;
    struct map found; /* key -> object, one reference each */
};

static int list_item(void *arg, struct str text, struct err *err)
{
    struct listing *listing = arg;
    AUTO(blob) blob = blob_copy(text);
    AUTO(object) object = NULL;
    void *old;

    if (!blob)
        return err_set(err, ERR_NO_MEMORY, "listing");
    int code = object_new(listing->informer->resource, blob, &object, err);

    if (code < 0)
        return code;
    if (map_put(&listing->found, object->key, object, &old) < 0)
        return err_set(err, ERR_NO_MEMORY, "listing");
    object_unref(old);
    TAKE(object);
    return 0;
}

/* What the cache has and the list has not was deleted while nobody watched. */
static int apply_deletions(struct informer *informer, const struct map *found, struct err *err)
{
    VEC(struct object *) gone = VEC_INIT;
    int code = 0;

    rwlock_read(&informer->lock);
    for (struct map_entry *e = NULL; code == 0 && (e = map_next(&informer->objects, e));)
        if (!map_get(found, e->key))
            code = vec_push(&gone, e->value);
    rwlock_unlock(&informer->lock);
    for (size_t i = 0; code == 0 && i < gone.count; i++)
        code = apply(informer, gone.items[i]->key, NULL, 0, err);
    vec_deinit(&gone);
    return code < 0 ? err_set(err, ERR_NO_MEMORY, "informer") : 0;
}

static int apply_list(struct informer *informer, struct map *found, struct err *err)
{
    int code = apply_deletions(informer, found, err);

    for (struct map_entry *e = NULL; code == 0 && (e = map_next(found, e));) {
        struct object *new = e->value, *old = map_get(&informer->objects, e->key); /* only we write it */

        if (!old || old->revision != new->revision)
            code = apply(informer, new->key, new, 0, err);
    }
    return code;
}

static int list(struct informer *informer, struct err *err)
{
    struct listing listing = { informer, MAP_INIT };
    const struct client_call call = { .verb = CLIENT_LIST,
                                      .resource = informer->resource,
                                      .field_selector = informer->field_selector };
    struct client *client = informer->factory->client;
    AUTO(blob) body = NULL;
    uint64_t revision = 0;
    int code = client->ops->call(client, &call, list_item, &listing, &revision, &body, err);

    if (code == 0)
        code = apply_list(informer, &listing.found, err);
    if (code == 0) {
        atomic_store(&informer->revision, revision);
        atomic_store(&informer->whole, revision);
    }
    for (struct map_entry *e = NULL; (e = map_next(&listing.found, e));)
        object_unref(e->value);
    map_deinit(&listing.found);
    return code;
}

/* -- the strand's work -- */

static void note_synced(struct informer *informer)
{
    struct informers *factory = informer->factory;

    if (atomic_exchange(&informer->synced, true))
        return;
    LOCKED(&factory->lock);
    if (!informers_synced(factory))
        return;
    vec_each (&factory->waiters, waiter)
        if (!factory->stopped && strand_post(factory->strand, waiter->fn, waiter->arg, NULL) < 0)
            log_error("informer", "no memory to tell that the first lists are there");
    vec_clear(&factory->waiters);
}

/* Locked. */
static void step_soon(struct informer *informer)
{
    struct err err;

    if (!informer->stopping && strand_post(informer->strand, step, informer, &err) < 0)
        log_error("informer", STR_FMT ": cannot go on: %s", STR_ARG(informer->resource->plural), err.message);
}

static void wake(void *arg)
{
    struct informer *informer = arg;

    LOCKED(&informer->stop_lock);
    step_soon(informer);
}

static void retry_due(void *arg)
{
    struct informer *informer = arg;

    LOCKED(&informer->stop_lock);
    if (informer->stopping)
        return; /* informer_stop() has the handle and waits */
    executor_cancel(informer->factory->executor, TAKE(informer->retry));
    step_soon(informer);
}

static void retry_later(struct informer *informer)
{
    nsec_t delay = MIN(RETRY_MIN << MIN(informer->failures, 10u), RETRY_MAX);
    struct err err;

    informer->failures++;
    delay += (nsec_t)((double)delay * 0.2 * rng_unit(informer->factory->rng));
    LOCKED(&informer->stop_lock);
    if (informer->stopping || informer->retry)
        return;
    if (executor_post_after(informer->factory->executor, delay, retry_due, informer, &informer->retry, &err) < 0)
        log_error("informer", STR_FMT ": cannot retry: %s", STR_ARG(informer->resource->plural), err.message);
}

static int apply_event(struct informer *informer, struct watch_event *event, struct err *err)
{
    bool more = event->kind != WATCH_BOOKMARK; /* of this revision, perhaps */
    int code = 0;

    atomic_store(&informer->whole, event->revision - more);
    if (!more)
        atomic_store(&informer->revision, event->revision);
    else
        code = apply(informer, event->object->key, event->kind == WATCH_DELETED ? NULL : event->object, event->revision,
                     err);
    object_unref(event->object);
    return code;
}

static void rest(struct informer *informer, struct client_watch *watch)
{
    LOCKED(&informer->rest_lock);
    informer->resting = watch;
}

/* 1: there may be more; 0: all seen; negative: the watch is over. */
static int drain(struct informer *informer, struct err *err)
{
    rest(informer, NULL);
    for (int i = 0; i < DRAIN_TURN; i++) {
        struct watch_event event;
        int code = informer->watch->next(informer->watch, &event, err);

        if (code == 1)
            code = apply_event(informer, &event, err) < 0 ? -(int)ERR_NO_MEMORY : 1;
        if (code == 0)
            rest(informer, informer->watch);
        if (code <= 0)
            return code;
        informer->failures = 0;
    }
    return 1;
}

static int advance(struct informer *informer, struct err *err)
{
    struct client *client = informer->factory->client;
    const struct client_call call = { .verb = CLIENT_LIST,
                                      .resource = informer->resource,
                                      .field_selector = informer->field_selector };
    int code;

    if (!atomic_load(&informer->revision)) {
        if ((code = list(informer, err)) < 0)
            return code;
        note_synced(informer);
    }
    if (!informer->watch && (code = client->ops->watch(client, &call, atomic_load(&informer->revision), wake, informer,
                                                       &informer->watch, err)) < 0)
        return code;
    return drain(informer, err);
}

static void step(void *arg)
{
    struct informer *informer = arg;
    struct err err = { 0 };
    int code = advance(informer, &err);

    if (code == 1) {
        wake(informer);
        return;
    }
    if (code == 0)
        return;
    if (informer->watch)
        informer->watch = informer->watch->free(informer->watch);
    if (code == -ERR_EXPIRED || code == -ERR_GONE)
        atomic_store(&informer->revision, 0);
    if (informer->failures > 2)
        log_warn("informer", STR_FMT ": %s", STR_ARG(informer->resource->plural), err.message);
    retry_later(informer);
}

/* -- life -- */

/* Its strand ends and its watch closes; the cache stays. */
static void informer_stop(struct informer *informer)
{
    mutex_lock(&informer->stop_lock);
    informer->stopping = true;
    struct executor_timer *retry = TAKE(informer->retry);
    mutex_unlock(&informer->stop_lock);
    executor_cancel_wait(informer->factory->executor, retry);
    informer->strand = strand_free(informer->strand);
    rest(informer, NULL);
    if (informer->watch)
        informer->watch = informer->watch->free(informer->watch);
}

static struct informer *informer_free(struct informer *informer)
{
    if (!informer)
        return NULL;
    informer_stop(informer);
    vec_each (&informer->indexes, index) {
        for (struct map_entry *e = NULL; (e = map_next(&index->buckets, e));)
            bucket_free(e->value);
        map_deinit(&index->buckets);
    }
    for (struct map_entry *e = NULL; (e = map_next(&informer->objects, e));)
        object_unref(e->value);
    map_deinit(&informer->objects);
    vec_deinit(&informer->indexes);
    vec_deinit(&informer->handlers);
    rwlock_deinit(&informer->lock);
    mutex_deinit(&informer->rest_lock);
    mutex_deinit(&informer->stop_lock);
    free((char *)informer->field_selector.data);
    free(informer);
    return NULL;
}
DEFINE_AUTO(informer, informer_free)

static int informer_new(struct informers *factory, const struct resource *resource, struct str field_selector,
                        struct informer **ret_informer, struct err *err)
{
    AUTO(informer) informer = calloc(1, sizeof *informer);

    if (!informer)
        return err_set(err, ERR_NO_MEMORY, "informer");
    informer->factory = factory;
    informer->resource = resource;
    rwlock_init(&informer->lock);
    mutex_init(&informer->rest_lock);
    mutex_init(&informer->stop_lock);
    if (field_selector.data) {
        char *copy = str_dup(field_selector);

        if (!copy)
            return err_set(err, ERR_NO_MEMORY, "informer");
        informer->field_selector = str_of(copy, field_selector.len);
    }
    int code = strand_new(factory->executor, &informer->strand, err);

    if (code < 0)
        return code;
    *ret_informer = TAKE(informer);
    return 0;
}

int informers_new(struct client *client, struct executor *executor, struct rng *rng, struct informers **ret_informers,
                  struct err *err)
{
    AUTO(informers) informers = calloc(1, sizeof *informers);

    if (!informers)
        return err_set(err, ERR_NO_MEMORY, "informers");
    informers->client = client;
    informers->executor = executor;
    informers->rng = rng;
    mutex_init(&informers->lock);
    int code = strand_new(executor, &informers->strand, err);

    if (code < 0)
        return code;
    *ret_informers = TAKE(informers);
    return 0;
}

void informers_stop(struct informers *informers)
{
    if (!informers)
        return;
    mutex_lock(&informers->lock);
    informers->stopped = true;
    mutex_unlock(&informers->lock);
    vec_each (&informers->items, informer)
        informer_stop(*informer);
    informers->strand = strand_free(informers->strand);
}

struct informers *informers_free(struct informers *informers)
{
    if (!informers)
        return NULL;
    informers_stop(informers);
    vec_each (&informers->items, informer)
        informer_free(*informer);
    vec_deinit(&informers->items);
    vec_deinit(&informers->waiters);
    mutex_deinit(&informers->lock);
    free(informers);
    return NULL;
}

struct client *informers_client(struct informers *informers)
{
    return informers->client;
}

int informers_get(struct informers *informers, const struct resource *resource, struct str field_selector,
                  struct informer **ret_informer, struct err *err)
{
    struct informer *informer = NULL;

    INVARIANT(!informers->started);
    vec_each (&informers->items, it) {
        if ((*it)->resource != resource || !str_eq((*it)->field_selector, field_selector))
            continue;
        *ret_informer = *it;
        return 0;
    }
    int code = informer_new(informers, resource, field_selector, &informer, err);

    if (code < 0)
        return code;
    if (vec_push(&informers->items, informer) < 0) {
        informer_free(informer);
        return err_set(err, ERR_NO_MEMORY, "informer");
    }
    *ret_informer = informer;
    return 0;
}

int informer_add_handler(struct informer *informer, const struct informer_handler *handler, struct err *err)
{
    INVARIANT(!informer->factory->started);
    if (vec_push(&informer->handlers, *handler) < 0)
        return err_set(err, ERR_NO_MEMORY, "informer handler");
    return 0;
}

int informer_add_index(struct informer *informer, const char *name, informer_index_fn *key, struct err *err)
{
    INVARIANT(!informer->factory->started);
    vec_each (&informer->indexes, index)
        if (strcmp(index->name, name) == 0 && index->key == key)
            return 0;
    if (vec_push(&informer->indexes, ((struct index){ name, key, MAP_INIT })) < 0)
        return err_set(err, ERR_NO_MEMORY, "informer index");
    return 0;
}

int informers_start(struct informers *informers, struct err *err)
{
    int code = 0;

    informers->started = true;
    for (size_t i = 0; code == 0 && i < informers->items.count; i++)
        code = strand_post(informers->items.items[i]->strand, step, informers->items.items[i], err);
    return code;
}

bool informers_synced(struct informers *informers)
{
    vec_each (&informers->items, informer)
        if (!atomic_load(&(*informer)->synced))
            return false;
    return informers->started;
}

int informers_when_synced(struct informers *informers, executor_fn *fn, void *arg, struct err *err)
{
    LOCKED(&informers->lock);
    if (informers->stopped)
        return err_set(err, ERR_CANCELLED, "informers have stopped");
    if (informers_synced(informers))
        return strand_post(informers->strand, fn, arg, err);
    if (vec_push(&informers->waiters, ((struct waiter){ fn, arg })) < 0)
        return err_set(err, ERR_NO_MEMORY, "waiting for informers");
    return 0;
}

/* -- look-ups -- */

uint64_t informer_revision(struct informer *informer)
{
    return atomic_load(&informer->revision);
}

bool informer_has_reached(struct informer *informer, uint64_t revision)
{
    if (atomic_load(&informer->whole) >= revision)
        return true;
    LOCKED(&informer->rest_lock);
    if (!informer->resting)
        return false;
    return !informer->resting->seen || informer->resting->seen(informer->resting) >= revision;
}

struct object *informer_get(struct informer *informer, struct str key)
{
    rwlock_read(&informer->lock);
    struct object *object = object_ref(map_get(&informer->objects, key));
    rwlock_unlock(&informer->lock);
    return object;
}

static int list_reserve(struct arena *arena, size_t count, struct object_list *list, struct err *err)
{
    list->count = 0;
    list->items = arena_array_of(arena, MAX(count, (size_t)1), struct object *);
    return list->items ? 0 : err_set(err, ERR_NO_MEMORY, "listing %zu objects", count);
}

static bool in_namespace(const struct object *object, struct str ns)
{
    return !ns.len || (str_has_prefix(object->key, ns) && object->key.len > ns.len && object->key.data[ns.len] == '/');
}

int informer_list(struct informer *informer, struct str ns, struct arena *arena, struct object_list *ret_list,
                  struct err *err)
{
    rwlock_read(&informer->lock);
    int code = list_reserve(arena, informer->objects.count, ret_list, err);

    for (struct map_entry *e = NULL; code == 0 && (e = map_next(&informer->objects, e));)
        if (in_namespace(e->value, ns))
            ret_list->items[ret_list->count++] = object_ref(e->value);
    rwlock_unlock(&informer->lock);
    return code;
}

int informer_by_index(struct informer *informer, const char *name, struct str value, struct arena *arena,
                      struct object_list *ret_list, struct err *err)
{
    struct index *index = NULL;

    vec_each (&informer->indexes, it)
        if (strcmp(it->name, name) == 0)
            index = it;
    INVARIANT(index);
    rwlock_read(&informer->lock);
    struct bucket *bucket = bucket_get(index, value, false);
    int code = list_reserve(arena, bucket ? bucket->objects.count : 0, ret_list, err);

    for (size_t i = 0; code == 0 && bucket && i < bucket->objects.count; i++)
        ret_list->items[ret_list->count++] = object_ref(bucket->objects.items[i]);
    rwlock_unlock(&informer->lock);
    return code;
}

void object_list_release(struct object_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        object_unref(list->items[i]);
    list->count = 0;
}
