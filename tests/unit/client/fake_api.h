/* fake_api.h - a struct client over a list of texts in memory, with the faults that a real one has.
 *
 * One thread, or any when only fake_put() and fake_delete() are called from others. Objects are told apart by resource,
 * namespace and name; each write is one revision. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "api/core_v1.h"
#include "api/meta_v1.h"
#include "api/resources.h"
#include "base/sync.h"
#include "base/vec.h"
#include "client/client.h"

struct fake_object {
    const struct resource *resource;
    char ns[64], name[320];
    struct blob *text;
};

struct fake_event {
    const struct resource *resource;
    enum watch_kind kind;
    uint64_t revision;
    struct blob *text; /* NULL: a bookmark */
};

struct fake_watch {
    struct client_watch base;
    struct fake_api *api;
    const struct resource *resource;
    size_t at; /* in events */
    int failure;
    void (*ready)(void *arg);
    void *arg;
};

struct fake_api {
    struct client client;
    struct mutex lock;
    uint64_t revision, compacted;
    VEC(struct fake_object) objects;
    VEC(struct fake_event) events;
    VEC(struct fake_watch *) watches;
    /* What happens next. */
    int failures, failure; /* so many calls fail with that code; watches too */
    bool quiet;            /* watches are not told of new events until fake_tell() */
    /* What happened. */
    int calls[6], watch_count;
    struct client_call last;
    char last_body[4096], last_name[256], last_rule[128];
};

static inline struct fake_object *fake_find(struct fake_api *api, const struct resource *resource, struct str ns,
                                            struct str name)
{
    vec_each (&api->objects, object) if (object->resource == resource && str_is(ns, object->ns) &&
                                            str_is(name, object->name)) return object;
    return NULL;
}

/* Tells watches, outside of the lock; on one thread that is the same. */
static inline void fake_tell(struct fake_api *api)
{
    VEC(struct fake_watch *) told = VEC_INIT;

    mutex_lock(&api->lock);
    vec_each (&api->watches, watch) assert_int_equal(vec_push(&told, *watch), 0);
    vec_each (&told, watch)(*watch)->ready((*watch)->arg);
    mutex_unlock(&api->lock);
    vec_deinit(&told);
}

static inline void fake_log(struct fake_api *api, const struct resource *resource, enum watch_kind kind,
                            struct blob *text)
{
    assert_int_equal(vec_push(&api->events, ((struct fake_event){ resource, kind, api->revision, blob_ref(text) })), 0);
}

static inline void fake_put(struct fake_api *api, const struct resource *resource, const char *ns, const char *name,
                            const char *value)
{
    char text[1024];

    mutex_lock(&api->lock);
    struct fake_object *old = fake_find(api, resource, str_from(ns), str_from(name));
    int len =
        snprintf(text, sizeof text,
                 "{\"metadata\":{\"name\":\"%s\",\"namespace\":\"%s\",\"resourceVersion\":\"%llu\",\"uid\":\"%s\"},"
                 "\"data\":{\"v\":\"%s\"}}",
                 name, ns, (unsigned long long)++api->revision, name, value);
    struct blob *blob = blob_copy(str_of(text, (size_t)len));

    fake_log(api, resource, old ? WATCH_MODIFIED : WATCH_ADDED, blob);
    if (!old) {
        struct fake_object object = { .resource = resource };

        snprintf(object.ns, sizeof object.ns, "%s", ns);
        snprintf(object.name, sizeof object.name, "%s", name);
        assert_int_equal(vec_push(&api->objects, object), 0);
        old = &api->objects.items[api->objects.count - 1];
    }
    blob_unref(old->text);
    old->text = blob;
    mutex_unlock(&api->lock);
    if (!api->quiet)
        fake_tell(api);
}

static inline void fake_delete(struct fake_api *api, const struct resource *resource, const char *ns, const char *name)
{
    mutex_lock(&api->lock);
    struct fake_object *old = fake_find(api, resource, str_from(ns), str_from(name));

    assert_non_null(old);
    api->revision++;
    fake_log(api, resource, WATCH_DELETED, old->text);
    blob_unref(old->text);
    vec_remove(&api->objects, (size_t)(old - api->objects.items));
    mutex_unlock(&api->lock);
    if (!api->quiet)
        fake_tell(api);
}

static inline void fake_bookmark(struct fake_api *api, const struct resource *resource)
{
    mutex_lock(&api->lock);
    api->revision++;
    fake_log(api, resource, WATCH_BOOKMARK, NULL);
    mutex_unlock(&api->lock);
    fake_tell(api);
}

/* All watches end with that code. */
static inline void fake_cut(struct fake_api *api, int code)
{
    vec_each (&api->watches, watch)(*watch)->failure = code;
    fake_tell(api);
}

/* Watches from before now are refused. */
static inline void fake_compact(struct fake_api *api)
{
    api->compacted = api->revision;
}

/* -- struct client -- */

static inline bool fake_fails(struct fake_api *api, struct err *err)
{
    if (api->failures == 0)
        return false;
    api->failures--;
    err_set(err, (enum err_code)api->failure, "fault");
    return true;
}

static inline void fake_note(struct fake_api *api, const struct client_call *call)
{
    api->calls[call->verb]++;
    api->last = *call;
    snprintf(api->last_body, sizeof api->last_body, STR_FMT, STR_ARG(call->body));
    snprintf(api->last_name, sizeof api->last_name, STR_FMT, STR_ARG(call->name));
    snprintf(api->last_rule, sizeof api->last_rule, STR_FMT, STR_ARG(call->rule));
}

static inline int fake_list(struct fake_api *api, const struct client_call *call, client_item_fn *item, void *arg,
                            struct err *err)
{
    int code = 0;

    for (size_t i = 0; code == 0 && i < api->objects.count; i++)
        if (api->objects.items[i].resource == call->resource)
            code = item(arg, blob_str(api->objects.items[i].text), err);
    return code;
}

/* Creations are kept as they come, under the name in their text. */
static inline int fake_create(struct fake_api *api, const struct client_call *call, struct err *err)
{
    AUTO(arena) arena = arena_new(0);
    struct fake_object object = { .resource = call->resource, .text = blob_copy(call->body) };
    struct json *json;
    int code = json_parse(arena, call->body, NULL, &json, err);

    if (code < 0) {
        blob_unref(object.text);
        return code;
    }
    api->revision++;
    snprintf(object.ns, sizeof object.ns, STR_FMT, STR_ARG(call->ns));
    snprintf(object.name, sizeof object.name, STR_FMT, STR_ARG(json_str_at(json, "metadata.name")));
    assert_int_equal(vec_push(&api->objects, object), 0);
    return 0;
}

static inline int fake_call(struct client *client, const struct client_call *call, client_item_fn *item, void *item_arg,
                            uint64_t *ret_revision, struct blob **ret_body, struct err *err)
{
    struct fake_api *api = container_of(client, struct fake_api, client);
    LOCKED(&api->lock);
    struct fake_object *object = call->verb == CLIENT_LIST || call->verb == CLIENT_CREATE
                                     ? NULL
                                     : fake_find(api, call->resource, call->ns, call->name);
    int code = 0;

    fake_note(api, call);
    if (fake_fails(api, err))
        return -(int)err->code;
    if (call->verb == CLIENT_LIST)
        code = fake_list(api, call, item, item_arg, err);
    else if (call->verb == CLIENT_CREATE)
        code = fake_create(api, call, err);
    else if (!object)
        return err_set(err, ERR_NOT_FOUND, "not found");
    if (ret_revision)
        *ret_revision = api->revision;
    if (ret_body && code == 0)
        *ret_body = object ? blob_ref(object->text) : call->verb == CLIENT_CREATE ? blob_copy(call->body) : NULL;
    return code;
}

static inline int fake_watch_next(struct client_watch *base, struct watch_event *ret_event, struct err *err)
{
    struct fake_watch *watch = container_of(base, struct fake_watch, base);
    LOCKED(&watch->api->lock);

    if (watch->failure)
        return err_set(err, (enum err_code)watch->failure, "the watch has ended");
    while (watch->at < watch->api->events.count) {
        const struct fake_event *event = &watch->api->events.items[watch->at++];

        if (event->resource != watch->resource)
            continue;
        *ret_event = (struct watch_event){ .kind = event->kind, .revision = event->revision };
        return event->text && object_new(event->resource, event->text, &ret_event->object, err) < 0 ? -(int)err->code
                                                                                                    : 1;
    }
    return 0;
}

/* As far as the next event that is its own. */
static inline uint64_t fake_watch_seen(struct client_watch *base)
{
    struct fake_watch *watch = container_of(base, struct fake_watch, base);
    LOCKED(&watch->api->lock);

    for (size_t at = watch->at; at < watch->api->events.count; at++)
        if (watch->api->events.items[at].resource == watch->resource)
            return watch->api->events.items[at].revision - 1;
    return watch->api->revision;
}

static inline struct client_watch *fake_watch_free(struct client_watch *base)
{
    struct fake_watch *watch = container_of(base, struct fake_watch, base);
    struct fake_api *api = watch->api;

    mutex_lock(&api->lock);
    for (size_t i = 0; i < api->watches.count; i++)
        if (api->watches.items[i] == watch) {
            vec_remove(&api->watches, i);
            break;
        }
    mutex_unlock(&api->lock);
    free(watch);
    return NULL;
}

static inline int fake_watch_open(struct client *client, const struct client_call *call, uint64_t after,
                                  void (*ready)(void *arg), void *arg, struct client_watch **ret_watch, struct err *err)
{
    struct fake_api *api = container_of(client, struct fake_api, client);
    LOCKED(&api->lock);

    api->watch_count++;
    if (fake_fails(api, err))
        return -(int)err->code;
    if (after < api->compacted)
        return err_set(err, ERR_EXPIRED, "too old resource version");
    struct fake_watch *watch = calloc(1, sizeof *watch);

    *watch = (struct fake_watch){ { fake_watch_next, fake_watch_free, fake_watch_seen }, api, call->resource, 0, 0, ready, arg };
    while (watch->at < api->events.count && api->events.items[watch->at].revision <= after)
        watch->at++;
    assert_int_equal(vec_push(&api->watches, watch), 0);
    *ret_watch = &watch->base;
    return 0;
}

static inline struct client *fake_free(struct client *client)
{
    (void)client;
    return NULL;
}

static inline void fake_init(struct fake_api *api)
{
    static const struct client_ops ops = { .call = fake_call, .watch = fake_watch_open, .free = fake_free };

    memset(api, 0, sizeof *api);
    api->client.ops = &ops;
    api->revision = 1;
    mutex_init(&api->lock);
}

static inline void fake_deinit(struct fake_api *api)
{
    assert_int_equal(api->watches.count, 0);
    vec_each (&api->objects, object) blob_unref(object->text);
    vec_each (&api->events, event) blob_unref(event->text);
    vec_deinit(&api->objects);
    vec_deinit(&api->events);
    vec_deinit(&api->watches);
    mutex_deinit(&api->lock);
}
