/* watch.c - what one watcher sees of the store's events. */
#include "apiserver/watch.h"

#include "apiserver/registry.h"
#include "apiserver/server.h"

#define SCRATCH_LIMIT (64u << 20)
#define TIMEOUT_MIN 1800 /* seconds; as much again at random, so that watches do not end all at once */
#define TIMEOUT_MAX (7 * 24 * 3600)

int watch_open_with(struct request *request, const struct selection *selection, revision_t after,
                    struct watch **ret_watch, struct err *err)
{
    struct watch *watch = arena_new_of(request->arena, struct watch);
    int code;

    if (!watch)
        return err_set(err, ERR_NO_MEMORY, "watch");
    *watch = (struct watch){ .request = request, .selection = *selection, .after = after };
    if ((code = selection_scope(request, selection, &watch->scope, err)) < 0)
        return code;
    arena_init_within(&watch->scratch, SCRATCH_LIMIT, request->arena->budget);
    *ret_watch = watch;
    return 0;
}

/* Where it begins. Without a revision, or with "0", what exists comes first, unless the caller says otherwise. */
static int set_start(struct watch *watch, const struct list_options *options, struct err *err)
{
    revision_t newest = store_revision(watch->request->server->options.store);

    watch->after = options->revision;
    watch->bookmarks = options->bookmarks;
    watch->initial = options->has_initial ? options->initial : options->revision == 0;
    watch->initial_end = options->initial && options->bookmarks;
    if (options->initial && options->revision > newest)
        return list_too_new(watch->request, options->revision, err);
    if (options->revision > newest) { /* nothing is told before the store has come there */
        watch->silent = options->revision;
        watch->after = newest;
    }
    if (!watch->initial && options->revision == 0)
        watch->after = newest;
    return 0;
}

int watch_open(struct request *request, struct watch **ret_watch, struct err *err)
{
    struct list_options options;
    struct selection selection;
    struct watch *watch;
    int code;

    if ((code = list_options_read(request, &options, err)) < 0 ||
        (code = selection_parse(request, request_param(request, "labelSelector"),
                                request_param(request, "fieldSelector"), &selection, err)) < 0 ||
        (code = watch_open_with(request, &selection, 0, &watch, err)) < 0 ||
        (code = set_start(watch, &options, err)) < 0)
        return code;
    int64_t seconds = options.timeout;
    if (seconds <= 0)
        seconds = TIMEOUT_MIN + (int64_t)apiserver_random(request->server, TIMEOUT_MIN);
    watch->timeout = MIN(seconds, TIMEOUT_MAX) * NSEC_PER_SEC;
    *ret_watch = watch;
    return 0;
}

int watch_start(struct watch *watch, void (*ready)(void *arg), void *arg, struct err *err)
{
    int code = store_watch_open_scope(watch->request->server->options.store, &watch->scope, watch->after, ready, arg,
                                      &watch->source, err);

    if (code == -ERR_EXPIRED)
        return err_set(err, ERR_EXPIRED, "too old resource version: %llu (%llu)", (unsigned long long)watch->after,
                       (unsigned long long)store_compacted(watch->request->server->options.store) + 1);
    return code;
}

struct watch *watch_close(struct watch *watch)
{
    if (!watch)
        return NULL;
    watch->source = store_watch_close(watch->source);
    arena_deinit(&watch->scratch);
    return NULL;
}

/* 1: this watcher sees it; 0: not; negative: an error. */
static int translate(struct watch *watch, struct store_event *event, struct watched *watched, struct err *err)
{
    bool now, before;
    int code = selection_matches_event(&watch->selection, &watch->scratch, event, &watch->request->server->facts_made,
                                       &before, &now, err);

    if (code < 0)
        return code;
    if (!now && !before)
        return 0;
    watched->kind = now ? (before ? WATCH_MODIFIED : WATCH_ADDED) : WATCH_DELETED;
    watched->left = !now && event->kind == STORE_MODIFIED;
    return 1;
}

int watch_step(struct watch *watch, struct watched *ret_watched, struct err *err)
{
    AUTO(store_event) event = NULL;
    struct watched watched = { 0 };
    int code = store_watch_step(watch->source, &event, err);

    if (code != 1)
        return code;
    if (event->revision <= watch->silent)
        return STORE_WATCH_MORE;
    if ((code = translate(watch, event, &watched, err)) < 0)
        return code;
    if (!code)
        return STORE_WATCH_MORE;
    watched.event = TAKE(event);
    *ret_watched = watched;
    return 1;
}

int watch_next(struct watch *watch, struct watched *ret_watched, struct err *err)
{
    int code;

    while ((code = watch_step(watch, ret_watched, err)) == STORE_WATCH_MORE)
        ;
    return code;
}

int watch_text(struct watch *watch, const struct watched *watched, struct str *ret_text, struct blob **ret_blob,
               struct err *err)
{
    struct store_event *event = watched->event;
    char revision[24];
    struct json *object, *meta;
    struct str text;
    int code;

    if (!watched->left) {
        *ret_text = blob_str(event->value);
        *ret_blob = event->value;
        return 0;
    }
    arena_reset(&watch->scratch);
    if ((code = json_parse(&watch->scratch, blob_str(event->previous), NULL, &object, err)) < 0)
        return code;
    snprintf(revision, sizeof revision, "%llu", (unsigned long long)event->revision);
    meta = json_member(object, "metadata");
    if (!meta || !json_set_str(&watch->scratch, meta, STR("resourceVersion"), str_from(revision)))
        return err_set(err, ERR_NO_MEMORY, "watch event");
    text = json_text(&watch->scratch, object);
    if (!text.data)
        return err_set(err, ERR_NO_MEMORY, "watch event");
    *ret_text = text;
    *ret_blob = NULL;
    return 0;
}
