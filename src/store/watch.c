/* watch.c - watches: who wants which events, and where each stands.
 *
 * A watch is a place in the log. It is in one of two states:
 *
 *   in step  It has been given everything up to now, but for the positions in its small queue. A commit finds the
 * watches of a key through the tree of prefixes and adds the event's position there: eight bytes, and no reference, so
 * a watch that nobody reads holds no event in memory. behind   It was opened at an older revision, or its queue ran
 * over. Commits pass it by. It reads on from its place: from the window when that reaches back far enough, else from
 * the log on disk. At the end of the window it is in step again.
 *
 * A watch may be of a term: then it stands in a tree of its own and a commit finds it by the terms of the state before
 * and of the new one. Five thousand watches of one node's pods each cost a commit no more than one does.
 *
 * So the memory of a watch is bounded however slowly it is read, and a slow one costs the writer nothing. When the log
 * before a watch's place has been compacted, it gets ERR_EXPIRED, and from then on nothing else.
 *
 * One lock covers the window and all watches: it is held for the length of a look-up, by the writer for a group's
 * events. ready() is called under it, so that store_watch_close(), which takes it, can promise that ready() is over.
 * Reading the disk is done without it. */
#include <errno.h>

#include "store/event.h"
#include "store/store_private.h"
#include "store/term_index.h"

#define QUEUE_MIN 4
#define QUEUE_MAX 64
#define QUEUE_KEPT 8     /* a longer one is given back when it has been read */
#define WINDOW_STEP 1024 /* events looked through under the lock */
#define LOG_STEP 1024    /* records looked through in one snapshot */

struct store_watch {
    struct store *store;
    struct prefix_node *node;
    struct list member; /* of node->members */
    struct store_scope scope;
    void (*ready)(void *arg);
    void *arg;
    position_t place; /* everything up to it has been handed out, or did not match */
    revision_t progress;
    bool behind, armed, expired;
    position_t *queue; /* a ring of queue_cap, a power of two */
    uint16_t queue_cap, queue_first, queue_count;
    char bytes[]; /* of the scope: the term and a NUL, when there is one, and the prefix */
};

int hub_init(struct hub *hub, size_t window_events, revision_t newest, struct err *err)
{
    int code = window_init(&hub->window, window_events, newest, err);

    if (code < 0)
        return code;
    mutex_init(&hub->lock);
    prefix_tree_init(&hub->watches);
    prefix_tree_init(&hub->term_watches);
    hub->watches_count = 0;
    hub->published = newest;
    return 0;
}

void hub_deinit(struct hub *hub)
{
    INVARIANT(hub->watches_count == 0);
    prefix_tree_deinit(&hub->watches);
    prefix_tree_deinit(&hub->term_watches);
    window_deinit(&hub->window);
    mutex_deinit(&hub->lock);
}

/* -- offering -- */

static int queue_grow(struct store_watch *watch)
{
    uint16_t cap = watch->queue_cap ? watch->queue_cap * 2 : QUEUE_MIN;
    position_t *queue;

    if (watch->queue_cap >= QUEUE_MAX || !(queue = malloc(cap * sizeof *queue)))
        return -1;
    for (uint16_t i = 0; i < watch->queue_count; i++)
        queue[i] = watch->queue[(watch->queue_first + i) & (watch->queue_cap - 1)];
    free(watch->queue);
    watch->queue = queue;
    watch->queue_cap = cap;
    watch->queue_first = 0;
    return 0;
}

static void queue_drop(struct store_watch *watch)
{
    free(watch->queue);
    watch->queue = NULL;
    watch->queue_cap = watch->queue_first = watch->queue_count = 0;
}

static position_t queue_take(struct store_watch *watch)
{
    position_t position = watch->queue[watch->queue_first];

    watch->queue_first = (watch->queue_first + 1) & (watch->queue_cap - 1);
    watch->queue_count--;
    return position;
}

/* From now on it reads by itself, from a position on. */
static void fall_behind(struct store_watch *watch, position_t from)
{
    queue_drop(watch);
    watch->behind = true;
    watch->place = from - 1;
}

static void watch_offer(struct store_watch *watch, position_t position)
{
    if (position <= watch->place) /* read from disk before it was published, or opened behind it */
        return;
    if (!watch->behind && watch->queue_count == watch->queue_cap && queue_grow(watch) < 0)
        fall_behind(watch, watch->queue_count ? watch->queue[watch->queue_first] : position);
    if (!watch->behind)
        watch->queue[(watch->queue_first + watch->queue_count++) & (watch->queue_cap - 1)] = position;
    if (watch->armed) {
        watch->armed = false;
        watch->ready(watch->arg);
    }
}

/* To the watches of one tree whose prefixes the key has. */
static void offer_to(struct prefix_node *root, struct str key, position_t position)
{
    size_t depth = 0;

    for (struct prefix_node *node = root; node; node = prefix_tree_next(node, key, &depth))
        list_each (&node->members, watch, struct store_watch, member)
            if (!watch->scope.exact || depth == key.len)
                watch_offer(watch, position);
}

/* A watch of a term stands in a tree of its own, under "term NUL prefix"; it has one term, so no event comes twice. */
static void offer(struct hub *hub, const struct store_event *event, position_t position)
{
    char bytes[TERM_KEY_MAX];

    offer_to(&hub->watches, event->key, position);
    if (hub->term_watches.children_count == 0)
        return;
    for (size_t i = 0; i < event->terms_count; i++)
        offer_to(&hub->term_watches, term_key(bytes, event->terms[i], event->key), position);
}

void hub_publish(struct hub *hub, const struct fresh_event *events, size_t count, revision_t newest)
{
    LOCKED(&hub->lock);
    for (size_t i = 0; i < count; i++) {
        offer(hub, events[i].event, events[i].position);
        window_push(&hub->window, events[i].position, events[i].event); /* last: it may drop an event at once */
    }
    hub->published = newest;
}

/* -- opening and closing -- */

static int check_after(struct store *store, revision_t after, struct err *err)
{
    struct store_snapshot *snapshot;

    if (after < atomic_load(&store->floor))
        return err_set(err, ERR_EXPIRED, "revision %llu has been compacted: the oldest is %llu",
                       (unsigned long long)after, (unsigned long long)atomic_load(&store->floor));
    if (after <= atomic_load(&store->revision))
        return 0;
    int code = store_snapshot_open(store, after, &snapshot, err); /* a reader may be a moment ahead */
    if (code == 0)
        store_snapshot_close(snapshot);
    return code;
}

static int watch_attach(struct store *store, struct store_watch *watch, struct err *err)
{
    struct hub *hub = &store->hub;
    size_t term = watch->scope.term.len ? watch->scope.term.len + 1 : 0;

    LOCKED(&hub->lock);
    watch->node = prefix_tree_insert(term ? &hub->term_watches : &hub->watches,
                                     str_of(watch->bytes, term + watch->scope.prefix.len));
    if (!watch->node)
        return err_set(err, ERR_NO_MEMORY, "watch");
    list_append(&watch->node->members, &watch->member);
    hub->watches_count++;
    watch->behind = watch->progress < hub->published;
    return 0;
}

static int check_scope(const struct store_scope *scope, struct err *err)
{
    if (scope->prefix.len > STORE_KEY_MAX)
        return err_set(err, ERR_INVALID, "a prefix is longer than %d bytes", STORE_KEY_MAX);
    return scope->term.len ? terms_check(&scope->term, 1, err) : 0;
}

static void keep_scope(struct store_watch *watch, const struct store_scope *scope)
{
    size_t term = scope->term.len ? scope->term.len + 1 : 0;

    if (term)
        memcpy(watch->bytes, scope->term.data, scope->term.len); /* the NUL is there: calloc */
    if (scope->prefix.len)
        memcpy(watch->bytes + term, scope->prefix.data, scope->prefix.len);
    watch->scope.exact = scope->exact;
    watch->scope.term = str_of(watch->bytes, scope->term.len);
    watch->scope.prefix = str_of(watch->bytes + term, scope->prefix.len);
}

int store_watch_open(struct store *store, struct str prefix, revision_t after, void (*ready)(void *arg), void *arg,
                     struct store_watch **ret_watch, struct err *err)
{
    const struct store_scope scope = { .prefix = prefix };

    return store_watch_open_scope(store, &scope, after, ready, arg, ret_watch, err);
}

int store_watch_open_scope(struct store *store, const struct store_scope *scope, revision_t after,
                           void (*ready)(void *arg), void *arg, struct store_watch **ret_watch, struct err *err)
{
    struct store_watch *watch;
    int code = check_after(store, after, err);

    if (code < 0 || (code = check_scope(scope, err)) < 0)
        return code;
    if (!(watch = calloc(1, sizeof *watch + scope->term.len + 1 + scope->prefix.len)))
        return err_set(err, ERR_NO_MEMORY, "watch");
    watch->store = store;
    watch->ready = ready;
    watch->arg = arg;
    watch->progress = after;
    watch->place = position_end(after);
    watch->armed = true;
    keep_scope(watch, scope);
    if ((code = watch_attach(store, watch, err)) < 0) {
        free(watch);
        return code;
    }
    *ret_watch = watch;
    return 0;
}

struct store_watch *store_watch_close(struct store_watch *watch)
{
    if (!watch)
        return NULL;
    struct hub *hub = &watch->store->hub;
    mutex_lock(&hub->lock);
    list_remove(&watch->member);
    prefix_tree_prune(watch->node);
    hub->watches_count--;
    mutex_unlock(&hub->lock);
    queue_drop(watch);
    free(watch);
    return NULL;
}

/* -- reading -- */

/* What a try to find the next event says. */
enum found { FOUND, NONE, ON_DISK, FURTHER };

static bool key_in_scope(const struct store_scope *scope, struct str key)
{
    return str_has_prefix(key, scope->prefix) && (!scope->exact || key.len == scope->prefix.len);
}

static enum found take_from_window(struct store_watch *watch, const struct window_slot *slot,
                                   struct store_event **ret_event)
{
    watch->place = slot->position;
    *ret_event = store_event_ref(slot->event);
    return FOUND;
}

static enum found none_now(struct store_watch *watch, revision_t published)
{
    watch->progress = MAX(published, watch->progress);
    watch->place = MAX(position_end(watch->progress), watch->place);
    watch->armed = true;
    return NONE;
}

/* In step: the event of the first position in the queue. *ret_position: where on disk it is. */
static enum found next_queued(struct store_watch *watch, struct hub *hub, struct store_event **ret_event,
                              position_t *ret_position)
{
    const struct window *window = &hub->window;

    if (watch->queue_count == 0)
        return none_now(watch, hub->published);
    *ret_position = queue_take(watch);
    if (watch->queue_count == 0 && watch->queue_cap > QUEUE_KEPT)
        queue_drop(watch);
    size_t i = window_after(window, *ret_position - 1);
    if (i < window->count && window_at(window, i)->position == *ret_position)
        return take_from_window(watch, window_at(window, i), ret_event);
    return ON_DISK;
}

static bool event_in_scope(const struct store_scope *scope, const struct store_event *event)
{
    return key_in_scope(scope, event->key) && (scope->term.len == 0 || event_has_term(event, scope->term));
}

/* Behind: the next event from its place on. */
static enum found next_behind(struct store_watch *watch, struct hub *hub, struct store_event **ret_event)
{
    const struct window *window = &hub->window;

    if (watch->place < window->base)
        return ON_DISK;
    size_t i = window_after(window, watch->place), end = MIN(i + WINDOW_STEP, window->count);
    for (; i < end; i++) {
        const struct window_slot *slot = window_at(window, i);

        if (event_in_scope(&watch->scope, slot->event))
            return take_from_window(watch, slot, ret_event);
        watch->place = slot->position;
    }
    if (i < window->count)
        return FURTHER;
    watch->behind = false;
    return none_now(watch, hub->published);
}

/* The state before a change, for its event. MDB's code; parts->previous stays NULL when there was none. */
static int read_previous(struct store_snapshot *snapshot, const struct record *record, struct event_parts *parts)
{
    struct record before;
    struct str bytes;

    if (!record->previous || position_revision(record->previous) < record->created)
        return 0; /* a creation: what was before is another life of the key */
    int rc = log_get(snapshot->engine, snapshot->txn, record->previous, &bytes);
    if (rc)
        return rc == MDB_NOTFOUND ? MDB_CORRUPTED : rc;
    if (!record_intact(bytes, record->previous) || !record_decode(bytes, &before))
        return MDB_CORRUPTED;
    parts->previous = blob_copy(before.value);
    parts->previous_position = record->previous;
    parts->previous_terms = before.terms;
    return parts->previous ? 0 : ENOMEM;
}

static int event_from_log(struct store_snapshot *snapshot, position_t position, struct str bytes,
                          const struct record *record, struct store_event **ret_event)
{
    struct event_parts parts = { .position = position };

    if (!record_intact(bytes, position))
        return MDB_CORRUPTED;
    int rc = read_previous(snapshot, record, &parts);
    if (rc)
        return rc;
    parts.value = blob_copy(record->value);
    if (!parts.value) {
        blob_unref(parts.previous);
        return ENOMEM;
    }
    parts.kind = record->deleted ? STORE_DELETED : parts.previous ? STORE_MODIFIED : STORE_CREATED;
    *ret_event = event_new(&parts, record);
    return *ret_event ? 0 : ENOMEM;
}

/* Had this state or the one before it the term? */
static int has_term(struct store_snapshot *snapshot, const struct record *record, struct str term, bool *ret_has)
{
    struct record before;

    *ret_has = term.len == 0 || terms_contain(record->terms, term);
    if (*ret_has || !record->previous || position_revision(record->previous) < record->created)
        return 0;
    int rc = log_read(snapshot->engine, snapshot->txn, record->previous, &before);
    if (rc)
        return rc == MDB_NOTFOUND ? MDB_CORRUPTED : rc;
    *ret_has = terms_contain(before.terms, term);
    return 0;
}

/* The first record of the scope at or behind `from`, as an event; after LOG_STEP others *ret_event is NULL and
 * *ret_position where it stopped. MDB_NOTFOUND: there is none. */
static int read_log(struct store_snapshot *snapshot, const struct store_scope *scope, position_t from,
                    position_t *ret_position, struct store_event **ret_event)
{
    MDB_cursor *cursor;
    struct record record;
    struct str bytes;
    bool found = false;
    int rc = mdb_cursor_open(snapshot->txn, snapshot->engine->log, &cursor);

    if (rc)
        return rc;
    rc = log_seek(cursor, from, ret_position, &bytes);
    for (int step = 0; rc == 0; step++) {
        if (!record_decode(bytes, &record))
            rc = MDB_CORRUPTED;
        else if (key_in_scope(scope, record.key))
            rc = has_term(snapshot, &record, scope->term, &found);
        if (rc || found || step == LOG_STEP)
            break;
        rc = log_next(cursor, ret_position, &bytes);
    }
    if (rc == 0 && found)
        rc = event_from_log(snapshot, *ret_position, bytes, &record, ret_event);
    mdb_cursor_close(cursor);
    return rc;
}

/* The next event at or behind `from` from disk. 1: *ret_event, the new place is its position; 0: none up to the new
 * place, which may be the end of what was published. What is behind that comes when it is published: else one might be
 * told a change of a revision, and that there is none up to it. */
static int next_on_disk(struct store_watch *watch, position_t from, revision_t published, position_t *ret_place,
                        struct store_event **ret_event, struct err *err)
{
    AUTO(store_snapshot) snapshot = NULL;
    struct store *store = watch->store;
    position_t position;
    int code = store_snapshot_open(store, 0, &snapshot, err);

    if (code < 0)
        return code;
    /* The revision that `from` is in must not have lost anything: neither records nor the states before them. */
    if (position_revision(from) <= snapshot->meta.floor)
        return err_set(err, ERR_EXPIRED, "the changes after revision %llu have been compacted",
                       (unsigned long long)position_revision(from) - 1);
    *ret_event = NULL;
    int rc = read_log(snapshot, &watch->scope, from, &position, ret_event);
    if (rc == MDB_NOTFOUND || (rc == 0 && position_revision(position) > published)) {
        store_event_unref(TAKE(*ret_event));
        *ret_place = position_end(published);
        return 0;
    }
    if (rc)
        return engine_fail(snapshot->engine, rc, "reading the log for a watch", err);
    *ret_place = position;
    return *ret_event != NULL;
}

/* Notes how far reading from disk has come. Meanwhile the watch may have fallen behind, further on: never backwards. */
static void note_place(struct store_watch *watch, position_t place)
{
    LOCKED(&watch->store->hub.lock);
    watch->place = MAX(watch->place, place);
}

/* The event at `from` could not be read: it must not be lost for the next try. */
static int fail_watch(struct store_watch *watch, position_t from, int code)
{
    LOCKED(&watch->store->hub.lock);
    fall_behind(watch, from);
    watch->expired = code == -ERR_EXPIRED;
    return code;
}

/* *ret_from, *ret_published: what to look through on disk, when it says so. */
static enum found next_in_memory(struct store_watch *watch, struct store_event **ret_event, position_t *ret_from,
                                 revision_t *ret_published)
{
    struct hub *hub = &watch->store->hub;

    LOCKED(&hub->lock);
    *ret_from = watch->place + 1;
    *ret_published = hub->published;
    return watch->behind ? next_behind(watch, hub, ret_event) : next_queued(watch, hub, ret_event, ret_from);
}

int store_watch_step(struct store_watch *watch, struct store_event **ret_event, struct err *err)
{
    struct store_event *event = NULL;
    position_t from, place = 0;
    revision_t published;

    if (watch->expired)
        return err_set(err, ERR_EXPIRED, "the changes that this watch has not read have been compacted");
    switch (next_in_memory(watch, ret_event, &from, &published)) {
    case FOUND: return 1;
    case NONE: return 0;
    case FURTHER: return STORE_WATCH_MORE;
    case ON_DISK: break;
    }
    int result = next_on_disk(watch, from, published, &place, &event, err);
    if (result < 0)
        return fail_watch(watch, from, result);
    note_place(watch, place);
    if (result == 0)
        return STORE_WATCH_MORE;
    *ret_event = event;
    return 1;
}

int store_watch_next(struct store_watch *watch, struct store_event **ret_event, struct err *err)
{
    int result;

    while ((result = store_watch_step(watch, ret_event, err)) == STORE_WATCH_MORE)
        ;
    return result;
}

revision_t store_watch_progress(struct store_watch *watch)
{
    LOCKED(&watch->store->hub.lock);
    return watch->progress;
}

revision_t store_watch_seen(struct store_watch *watch)
{
    struct hub *hub = &watch->store->hub;

    LOCKED(&hub->lock);
    if (watch->behind || watch->queue_count > 0)
        return watch->progress;
    return MAX(hub->published, watch->progress);
}
