/* cluster.h - all controllers over a real API server and a temporary store, on one thread under virtual time.
 *
 * Nodes and agents are the test's: cluster_run_pods() does what agents would: pods without a node get one, pods run and
 * become ready, pods being deleted go. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "api/apps_v1.h"
#include "api/core_v1.h"
#include "api/meta_v1.h"
#include "api/resources.h"
#include "apiserver/apiserver.h"
#include "base/file.h"
#include "base/log.h"
#include "controllers/controllers.h"
#include "schema/time.h"

/* The informers' way to the API: that of another client, but changes of one resource can be held back. */
struct slow_client {
    struct client base, *inner;
    const struct resource *held; /* NULL: none */
    struct slow_watch *waiting;  /* who has asked for them */
};

struct slow_watch {
    struct client_watch base, *inner;
    struct slow_client *client;
    const struct resource *resource;
    void (*ready)(void *arg);
    void *arg;
};

static inline int slow_next(struct client_watch *base, struct watch_event *ret_event, struct err *err)
{
    struct slow_watch *watch = container_of(base, struct slow_watch, base);

    if (watch->client->held != watch->resource)
        return watch->inner->next(watch->inner, ret_event, err);
    watch->client->waiting = watch;
    return 0;
}

static inline struct client_watch *slow_free(struct client_watch *base)
{
    struct slow_watch *watch = container_of(base, struct slow_watch, base);

    watch->inner->free(watch->inner);
    free(watch);
    return NULL;
}

static inline uint64_t slow_seen(struct client_watch *base)
{
    struct slow_watch *watch = container_of(base, struct slow_watch, base);

    return watch->inner->seen(watch->inner);
}

static inline int slow_watch_open(struct client *client, const struct client_call *call, uint64_t after,
                                  void (*ready)(void *arg), void *arg, struct client_watch **ret_watch, struct err *err)
{
    struct slow_client *slow = container_of(client, struct slow_client, base);
    struct slow_watch *watch = calloc(1, sizeof *watch);
    int code = slow->inner->ops->watch(slow->inner, call, after, ready, arg, &watch->inner, err);

    if (code < 0) {
        free(watch);
        return code;
    }
    watch->base = (struct client_watch){ slow_next, slow_free, slow_seen };
    watch->client = slow;
    watch->resource = call->resource;
    watch->ready = ready;
    watch->arg = arg;
    *ret_watch = &watch->base;
    return 0;
}

static inline int slow_call(struct client *client, const struct client_call *call, client_item_fn *item, void *item_arg,
                            uint64_t *ret_revision, struct blob **ret_body, struct err *err)
{
    struct client *inner = container_of(client, struct slow_client, base)->inner;

    return inner->ops->call(inner, call, item, item_arg, ret_revision, ret_body, err);
}

static inline void slow_release(struct slow_client *slow)
{
    struct slow_watch *watch = slow->waiting;

    slow->held = NULL;
    slow->waiting = NULL;
    if (watch)
        watch->ready(watch->arg);
}

struct cluster {
    char path[64];
    struct virtual_clock clock;
    struct seeded_rng rng;
    struct executor *executor;
    struct store *store;
    struct node_sessions *sessions;
    struct apiserver *server;
    struct client *client, *controllers_client;
    struct slow_client slow; /* of the informers */
    struct informers *informers;
    struct event_recorder *events;
    struct controllers *controllers;
    struct arena *arena;
    const char *cidr;
    bool beating;      /* heartbeats of all nodes while time passes */
    struct str silent; /* but of this one */
};

#define MUST(call)                                       \
    do {                                                 \
        struct err must_err = { 0 };                     \
        struct err *err = &must_err;                     \
        int must_code = (call);                          \
        if (must_code < 0)                               \
            fail_msg("%s: %s", #call, must_err.message); \
    } while (0)

static inline void cluster_start(struct cluster *c)
{
    static const struct client_ops slow_ops = { .call = slow_call, .watch = slow_watch_open };

    MUST(apiserver_new(&(struct apiserver_options){ .store = c->store,
                                                    .executor = c->executor,
                                                    .clock = &c->clock.clock,
                                                    .rng = &c->rng.rng,
                                                    .sessions = c->sessions },
                       &c->server, err));
    MUST(apiserver_local_client(c->server, STR("tester"), &c->client, err));
    MUST(apiserver_local_client(c->server, STR("system:kube-controller-manager"), &c->controllers_client, err));
    MUST(apiserver_bootstrap(c->server, STR_NULL, 6443, err));
    c->slow = (struct slow_client){ .base = { &slow_ops }, .inner = c->client };
    MUST(informers_new(&c->slow.base, c->executor, &c->rng.rng, &c->informers, err));
    MUST(event_recorder_new(c->controllers_client, c->executor, &c->rng.rng, STR("controller-manager"), STR(""),
                            &c->events, err));
    MUST(controllers_new(&(struct controllers_options){ .informers = c->informers,
                                                        .client = c->controllers_client,
                                                        .executor = c->executor,
                                                        .rng = &c->rng.rng,
                                                        .events = c->events,
                                                        .sessions = c->sessions,
                                                        .cluster_cidr = str_from(c->cidr) },
                         &c->controllers, err));
    MUST(informers_start(c->informers, err));
}

static inline void cluster_stop(struct cluster *c)
{
    informers_stop(c->informers);
    c->controllers = controllers_free(c->controllers);
    c->informers = informers_free(c->informers);
    c->events = event_recorder_free(c->events);
    c->client = client_free(c->client);
    c->controllers_client = client_free(c->controllers_client);
    c->server = apiserver_free(c->server);
}

static inline void cluster_init(struct cluster *c, const char *cidr)
{
    memset(c, 0, sizeof *c);
    c->cidr = cidr;
    snprintf(c->path, sizeof c->path, "/tmp/caravel-controllers-XXXXXX");
    assert_non_null(mkdtemp(c->path));
    virtual_clock_init(&c->clock, 1767366245LL * NSEC_PER_SEC);
    seeded_rng_init(&c->rng, 7);
    c->arena = arena_new(0);
    MUST(executor_virtual_new(&c->clock, &c->executor, err));
    MUST(store_open(
        &(struct store_options){
            .path = c->path, .clock = &c->clock.clock, .synchronous = true, .map_size = 256u << 20 },
        &c->store, err));
    MUST(node_sessions_new(&c->clock.clock, &c->sessions, err));
    cluster_start(c);
}

static inline void cluster_deinit(struct cluster *c)
{
    cluster_stop(c);
    node_sessions_free(c->sessions);
    store_close(c->store);
    executor_free(c->executor);
    file_remove_tree(c->path, NULL);
    arena_free(c->arena);
}

/* -- the API, as a user -- */

static inline struct str quoted(struct cluster *c, const char *text)
{
    char *out = arena_cstr(c->arena, str_from(text));

    for (char *p = out; *p; p++)
        if (*p == '\'')
            *p = '"';
    return str_from(out);
}

static inline int try_call(struct cluster *c, enum client_verb verb, const struct resource *resource, const char *ns,
                           const char *name, const char *sub, const char *body, struct json **ret_json)
{
    const struct client_call call = { .verb = verb,
                                      .resource = resource,
                                      .ns = str_from(ns),
                                      .name = str_from(name),
                                      .subresource = str_from(sub),
                                      .body = body ? quoted(c, body) : STR_NULL,
                                      .patch_kind = PATCH_STRATEGIC,
                                      .rule = STR_INIT("test") };
    struct blob *blob = NULL;
    struct err err = { 0 };
    int code = c->client->ops->call(c->client, &call, NULL, NULL, NULL, &blob, &err);

    if (ret_json)
        *ret_json = NULL;
    if (code == 0 && ret_json && blob)
        assert_int_equal(json_parse(c->arena, arena_str(c->arena, blob_str(blob)), NULL, ret_json, NULL), 0);
    if (code < 0 && code != -ERR_NOT_FOUND)
        print_message("%s: %s\n", name ? name : "", err.message);
    blob_unref(blob);
    return code;
}

static inline void create(struct cluster *c, const struct resource *resource, const char *ns, const char *body)
{
    assert_int_equal(try_call(c, CLIENT_CREATE, resource, ns, NULL, NULL, body, NULL), 0);
}

static inline void patch(struct cluster *c, const struct resource *resource, const char *ns, const char *name,
                         const char *sub, const char *body)
{
    assert_int_equal(try_call(c, CLIENT_PATCH, resource, ns, name, sub, body, NULL), 0);
}

static inline void remove_object(struct cluster *c, const struct resource *resource, const char *ns, const char *name,
                                 const char *options)
{
    assert_int_equal(try_call(c, CLIENT_DELETE, resource, ns, name, NULL, options, NULL), 0);
}

/* NULL: there is none. */
static inline struct json *get(struct cluster *c, const struct resource *resource, const char *ns, const char *name)
{
    struct json *json = NULL;

    try_call(c, CLIENT_GET, resource, ns, name, NULL, NULL, &json);
    return json;
}

struct items {
    struct cluster *cluster;
    struct json *list[4096];
    size_t count;
};

static inline int take_item(void *arg, struct str text, struct err *err)
{
    struct items *items = arg;

    assert_true(items->count < ARRAY_LEN(items->list));
    return json_parse(items->cluster->arena, arena_str(items->cluster->arena, text), NULL, &items->list[items->count++],
                      err);
}

static inline struct items *list(struct cluster *c, const struct resource *resource, const char *ns)
{
    struct items *items = arena_alloc(c->arena, sizeof *items);
    const struct client_call call = { .verb = CLIENT_LIST, .resource = resource, .ns = str_from(ns) };
    uint64_t revision;

    items->cluster = c;
    MUST(c->client->ops->call(c->client, &call, take_item, items, &revision, NULL, err));
    return items;
}

static inline const char *text_at(struct cluster *c, const struct json *json, const char *path)
{
    struct str s = json_str_at(json, path);

    return s.data ? arena_cstr(c->arena, s) : "";
}

static inline const char *annotation(struct cluster *c, const struct json *json, const char *key)
{
    struct str s = json_str(json_get(json_at(json, "metadata.annotations"), str_from(key)));

    return s.data ? arena_cstr(c->arena, s) : "";
}

/* Of status.conditions; NULL: there is none of that type. */
static inline const struct json *condition(const struct json *json, const char *type)
{
    const struct json *list = json_at(json, "status.conditions");

    for (uint32_t i = 0; json_is(list, JSON_ARRAY) && i < list->count; i++)
        if (str_is(json_str_at(&list->items[i], "type"), type))
            return &list->items[i];
    return NULL;
}

/* -- time -- */

/* What is to be done now, and what waits a moment for another cache. */
static inline void settle(struct cluster *c)
{
    executor_run_until(c->executor, clock_now(&c->clock.clock) + 5 * NSEC_PER_MSEC);
}

/* Lets time pass, in steps of a second, with heartbeats if they are on. */
static inline void pass(struct cluster *c, int seconds)
{
    for (int i = 0; i < seconds; i++) {
        struct items *nodes = c->beating ? list(c, &RESOURCE_NODES, NULL) : NULL;

        for (size_t n = 0; nodes && n < nodes->count; n++) {
            struct str name = json_str_at(nodes->list[n], "metadata.name");

            if (!str_eq(name, c->silent))
                MUST(node_sessions_touch(c->sessions, name, 0, err));
        }
        executor_run_until(c->executor, clock_now(&c->clock.clock) + NSEC_PER_SEC);
    }
}

/* -- agents -- */

static inline void set_pod_ready(struct cluster *c, struct json *pod, bool ready)
{
    char body[512], ns[256], name[256], now[40];
    nsec_t wall = clock_wall(&c->clock.clock);

    snprintf(ns, sizeof ns, "%s", text_at(c, pod, "metadata.namespace"));
    snprintf(name, sizeof name, "%s", text_at(c, pod, "metadata.name"));
    api_time_text(wall, now);
    snprintf(body, sizeof body,
             "{'status':{'phase':'Running','conditions':[{'type':'Ready','status':'%s','lastTransitionTime':'%s'}],"
             "'containerStatuses':[{'name':'c','ready':true,'restartCount':0,'image':'a','imageID':'i'}]}}",
             ready ? "True" : "False", now);
    patch(c, &RESOURCE_PODS, ns, name, "status", body);
}

/* Pods that are not ready become so, at most `max`; those being deleted go. Returns how many it changed. */
static inline size_t cluster_run_pods(struct cluster *c, const char *ns, size_t max)
{
    struct items *pods = list(c, &RESOURCE_PODS, ns);
    size_t changed = 0;

    for (size_t i = 0; i < pods->count; i++) {
        struct json *pod = pods->list[i];
        const struct json *ready = condition(pod, "Ready");

        if (json_at(pod, "metadata.deletionTimestamp")) {
            remove_object(c, &RESOURCE_PODS, text_at(c, pod, "metadata.namespace"), text_at(c, pod, "metadata.name"),
                          "{'gracePeriodSeconds':0}");
            changed++;
        } else if (changed < max && !str_is(json_str_at(ready, "status"), "True")) {
            set_pod_ready(c, pod, true);
            changed++;
        }
    }
    settle(c);
    return changed;
}

static inline int cluster_setup(void **state)
{
    struct cluster *c = calloc(1, sizeof *c);

    cluster_init(c, "10.42.0.0/16");
    settle(c);
    *state = c;
    return 0;
}

static inline int cluster_teardown(void **state)
{
    cluster_deinit(*state);
    free(*state);
    return 0;
}

#define CLUSTER_TEST(fn) cmocka_unit_test_setup_teardown(fn, cluster_setup, cluster_teardown)

static inline int64_t number(const struct json *json, const char *path)
{
    return json_int(json_at(json, path), 0);
}

static inline void run_all(struct cluster *c, const char *ns)
{
    while (cluster_run_pods(c, ns, SIZE_MAX))
        ;
}

static inline size_t count_events(struct cluster *c, const char *reason, const char *prefix)
{
    struct items *events = list(c, &RESOURCE_EVENTS, NULL);
    size_t count = 0;

    for (size_t i = 0; i < events->count; i++)
        count += str_is(json_str_at(events->list[i], "reason"), reason) &&
                 str_has_prefix(json_str_at(events->list[i], "message"), str_from(prefix));
    return count;
}

#define POD_TEMPLATE(app) "{'metadata':{'labels':{'app':'" app "'}},'spec':{'containers':[{'name':'c','image':'a'}]}}"
