/* kubelet.c - puts the parts together: informer of this node's pods -> queue of keys -> pod worker; exits, probes and
 * pulls queue keys too. A timer looks after logs, images and what was left behind. */
#include <stdio.h>

#include "api/resources.h"
#include "base/log.h"
#include "kubelet/image_puller.h"
#include "kubelet/internal.h"
#include "kubelet/log_server.h"
#include "kubelet/node_status.h"
#include "kubelet/probe.h"
#include "kubelet/runtime/container_log.h"

#define POD_WORKERS 16
#define UPKEEP_EVERY (10 * NSEC_PER_SEC)
#define IMAGE_GC_EVERY 30 /* upkeeps */
#define REGISTER_TIMEOUT (60 * NSEC_PER_SEC)
#define CIDR_TIMEOUT (60 * NSEC_PER_SEC)
#define MAX_PODS 110

void kubelet_background(struct kubelet *kubelet, int change)
{
    LOCKED(&kubelet->lock);
    kubelet->background += change;
    cond_broadcast(&kubelet->background_done);
}

/* -- what queues a pod -- */

static void pod_changed(void *ctx, struct object *old, struct object *new)
{
    struct kubelet *kubelet = ctx;

    pod_wake(kubelet, new ? new->key : old->key);
}

static void container_exited(void *arg, struct str pod_uid, struct str id)
{
    struct kubelet *kubelet = arg;

    LOCKED(&kubelet->lock);
    for (struct map_entry *e = NULL; !kubelet->stopping && (e = map_next(&kubelet->states, e));) {
        const struct pod_state *state = e->value;

        if (str_eq(state->uid, pod_uid))
            workqueue_add(kubelet->queue, state->key);
    }
}

/* Pods whose sandbox is here but which the API does not know (any more): their reconcile removes them. */
static int adopt_orphans(struct kubelet *kubelet, struct err *err)
{
    AUTO(arena) arena = arena_new(0);
    struct sandbox *list;
    size_t count;
    int code = arena ? sandbox_list(kubelet->options.runtime, arena, &list, &count, err)
                     : err_set(err, ERR_NO_MEMORY, "sandboxes");

    for (size_t i = 0; code == 0 && i < count; i++) {
        struct str key =
            arena_printf(arena, STR_FMT "/" STR_FMT, STR_ARG(list[i].pod_namespace), STR_ARG(list[i].pod_name));
        struct pod_state *state = key.data ? pod_state_new(key, list[i].pod_uid) : NULL;

        if (!state)
            return err_set(err, ERR_NO_MEMORY, "sandboxes");
        LOCKED(&kubelet->lock);
        if (map_get(&kubelet->states, key))
            pod_state_free(state);
        else if (map_put(&kubelet->states, state->key, state, NULL) < 0)
            pod_state_free(state);
    }
    return code;
}

/* Runs once the informer knows all pods: only then is what it does not know an orphan. */
static void pods_known(void *arg)
{
    struct kubelet *kubelet = arg;
    struct err err = { 0 };

    if (adopt_orphans(kubelet, &err) < 0)
        log_error("kubelet", "looking for what runs already: %s", err.message);
    leftovers_remove(kubelet);
    LOCKED(&kubelet->lock);
    for (struct map_entry *e = NULL; !kubelet->stopping && (e = map_next(&kubelet->states, e));)
        workqueue_add(kubelet->queue, e->key);
}

/* -- upkeep -- */

static void rotate_logs(struct kubelet *kubelet)
{
    AUTO(arena) arena = arena_new(0);
    struct runtime_container *list;
    size_t count;

    if (!arena || container_list(kubelet->options.runtime, STR_NULL, arena, &list, &count, NULL) < 0)
        return;
    for (size_t i = 0; i < count; i++) {
        char *path = list[i].state == CONTAINER_RUNNING ? arena_cstr(arena, list[i].log_path) : NULL;
        bool rotated = false;
        struct err err = { 0 };

        if (!path)
            continue;
        int code = container_log_rotate(path, CONTAINER_LOG_MAX_SIZE, CONTAINER_LOG_MAX_FILES,
                                        clock_wall(kubelet->options.clock), &rotated, &err);

        if (code == 0 && rotated)
            code = container_reopen_log(kubelet->options.runtime, list[i].id, &err);
        if (code < 0 && err.code != ERR_NOT_FOUND)
            log_warn("kubelet", "rotating %s: %s", path, err.message);
    }
}

struct images_in_use {
    struct map ids;
};

static bool image_in_use(void *ctx, const struct image *image)
{
    const struct images_in_use *used = ctx;

    for (size_t i = 0; i < image->repo_tags.count; i++)
        if (map_get(&used->ids, image->repo_tags.items[i]))
            return true;
    return map_get(&used->ids, image_status_id(image)) != NULL;
}

static void collect_images(struct kubelet *kubelet)
{
    AUTO(arena) arena = arena_new(0);
    struct images_in_use used = { MAP_INIT };
    struct runtime_container *list;
    size_t count;
    struct err err = { 0 };

    if (!arena || container_list(kubelet->options.runtime, STR_NULL, arena, &list, &count, NULL) < 0)
        return;
    for (size_t i = 0; i < count; i++)
        for (size_t l = 0; l < list[i].label_count; l++)
            if (str_is(list[i].labels[l].name, "image-id") &&
                map_put(&used.ids, list[i].labels[l].value, &list[i], NULL) < 0) {
                map_deinit(&used.ids);
                return;
            }
    const struct image_gc gc = { .in_use = image_in_use, .ctx = &used };

    if (image_store_gc(kubelet->options.images, &gc, NULL, &err) < 0)
        log_warn("kubelet", "collecting unused images: %s", err.message);
    map_deinit(&used.ids);
}

/* Keeps its own handle until it is over, or it would not be waited for. */
static void upkeep(void *arg)
{
    struct kubelet *kubelet = arg;

    mutex_lock(&kubelet->lock);
    bool stopping = kubelet->stopping;
    mutex_unlock(&kubelet->lock);
    if (stopping)
        return;
    rotate_logs(kubelet);
    if (kubelet->upkeeps++ % IMAGE_GC_EVERY == IMAGE_GC_EVERY - 1)
        collect_images(kubelet);
    LOCKED(&kubelet->lock);
    if (kubelet->stopping)
        return;
    executor_cancel(kubelet->options.executor, TAKE(kubelet->upkeep));
    executor_post_after(kubelet->options.executor, UPKEEP_EVERY, upkeep, kubelet, &kubelet->upkeep, NULL);
}

/* -- life -- */

static int copy_options(struct kubelet *kubelet, const struct kubelet_options *options)
{
    struct arena *arena = &kubelet->arena;

    kubelet->options = *options;
    kubelet->options.instance = arena_cstr(arena, str_from(options->instance));
    kubelet->options.data_dir = arena_cstr(arena, str_from(options->data_dir));
    kubelet->options.state_dir = arena_cstr(arena, str_from(options->state_dir));
    kubelet->options.node_name = arena_str(arena, options->node_name);
    kubelet->options.node_ip = arena_str(arena, options->node_ip);
    if (!kubelet->options.max_pods)
        kubelet->options.max_pods = MAX_PODS;
    return arena_failed(arena) ? -1 : 0;
}

static int make_informer(struct kubelet *kubelet, struct err *err)
{
    const struct kubelet_options *options = &kubelet->options;
    struct str selector = arena_printf(&kubelet->arena, "spec.nodeName=" STR_FMT, STR_ARG(options->node_name));
    const struct informer_handler handler = { kubelet, pod_changed };
    int code = selector.data ? informers_new(options->client, options->executor, options->rng, &kubelet->informers, err)
                             : err_set(err, ERR_NO_MEMORY, "kubelet");

    if (code == 0)
        code = informers_get(kubelet->informers, &RESOURCE_PODS, selector, &kubelet->pods, err);
    return code == 0 ? informer_add_handler(kubelet->pods, &handler, err) : code;
}

int kubelet_new(const struct kubelet_options *options, struct kubelet **ret_kubelet, struct err *err)
{
    AUTO(kubelet) kubelet = calloc(1, sizeof *kubelet);

    if (!kubelet)
        return err_set(err, ERR_NO_MEMORY, "kubelet");
    arena_init(&kubelet->arena, 0);
    mutex_init(&kubelet->lock);
    cond_init(&kubelet->background_done);
    if (copy_options(kubelet, options) < 0)
        return err_set(err, ERR_NO_MEMORY, "kubelet");
    const struct workqueue_options queue = { .name = "kubelet",
                                             .executor = options->executor,
                                             .rng = options->rng,
                                             .workers = POD_WORKERS,
                                             .reconcile = pod_reconcile,
                                             .ctx = kubelet };
    int code = make_informer(kubelet, err);

    if (code == 0)
        code = event_recorder_new(options->client, options->executor, options->rng, STR("kubelet"), options->node_name,
                                  &kubelet->events, err);
    if (code == 0)
        code = prober_new(kubelet, &kubelet->prober, err);
    if (code == 0)
        code = puller_new(kubelet, &kubelet->puller, err);
    if (code == 0)
        code = workqueue_new(&queue, &kubelet->queue, err);
    if (code < 0)
        return code;
    *ret_kubelet = TAKE(kubelet);
    return 0;
}

static int wait_for_cidr(struct kubelet *kubelet, struct str *ret_cidr, struct err *err)
{
    nsec_t deadline = clock_now(kubelet->options.clock) + CIDR_TIMEOUT;
    struct timespec pause = { .tv_nsec = 5 * NSEC_PER_MSEC };

    for (;;) {
        int code = node_pod_cidr(kubelet, &kubelet->arena, ret_cidr, err);

        if (code != -ERR_NOT_FOUND || clock_now(kubelet->options.clock) >= deadline)
            return code;
        nanosleep(&pause, NULL);
        if (pause.tv_nsec < 200 * NSEC_PER_MSEC)
            pause.tv_nsec *= 2;
    }
}

static int start_network(struct kubelet *kubelet, struct err *err)
{
    struct str cidr;
    int code = wait_for_cidr(kubelet, &cidr, err);

    if (code < 0)
        return code;
    const struct pod_network_options options = {
        .instance = kubelet->options.instance,
        .state_dir = kubelet->options.state_dir,
        .pod_cidr = cidr.data,
        .cluster_cidr = kubelet->options.cluster_cidr,
    };

    return pod_network_new(&options, &kubelet->network, err);
}

int kubelet_start(struct kubelet *kubelet, struct err *err)
{
    int code = log_server_start(kubelet, &kubelet->logs, err);

    if (code == 0)
        code = node_register(kubelet, REGISTER_TIMEOUT, err);
    if (code == 0)
        code = node_reporter_new(kubelet, &kubelet->reporter, err);
    if (code == 0)
        code = start_network(kubelet, err);
    if (code < 0)
        return code;
    runtime_on_exit(kubelet->options.runtime, container_exited, kubelet);
    code = informers_when_synced(kubelet->informers, pods_known, kubelet, err);
    if (code == 0)
        code = informers_start(kubelet->informers, err);
    if (code == 0)
        code = executor_post_after(kubelet->options.executor, UPKEEP_EVERY, upkeep, kubelet, &kubelet->upkeep, err);
    return code;
}

/* From here on nothing is queued, and what waits on background_done looks up. */
static void begin_stopping(struct kubelet *kubelet)
{
    mutex_lock(&kubelet->lock);
    kubelet->stopping = true;
    cond_broadcast(&kubelet->background_done);
    struct executor_timer *timer = TAKE(kubelet->upkeep);
    mutex_unlock(&kubelet->lock);
    if (kubelet->options.executor)
        executor_cancel_wait(kubelet->options.executor, timer);
}

/* First those who bring work, then the work, then those whom it uses. */
struct kubelet *kubelet_free(struct kubelet *kubelet)
{
    if (!kubelet)
        return NULL;
    begin_stopping(kubelet);
    runtime_on_exit(kubelet->options.runtime, NULL, NULL);
    log_server_stop(kubelet->logs);
    node_reporter_free(kubelet->reporter);
    informers_stop(kubelet->informers);
    workqueue_free(kubelet->queue);
    mutex_lock(&kubelet->lock);
    while (kubelet->background > 0)
        cond_wait(&kubelet->background_done, &kubelet->lock);
    mutex_unlock(&kubelet->lock);
    prober_free(kubelet->prober);
    puller_free(kubelet->puller);
    informers_free(kubelet->informers);
    event_recorder_free(kubelet->events);
    pod_network_free(kubelet->network);
    for (struct map_entry *e = NULL; (e = map_next(&kubelet->states, e));)
        pod_state_free(e->value);
    map_deinit(&kubelet->states);
    cond_deinit(&kubelet->background_done);
    mutex_deinit(&kubelet->lock);
    arena_deinit(&kubelet->arena);
    free(kubelet);
    return NULL;
}
