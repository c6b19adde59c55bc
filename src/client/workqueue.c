/* workqueue.c - a map of items, a FIFO of those ready, and one strand per worker that drains it.
 *
 * An item is in exactly one state. QUEUED: in the FIFO. RUNNING: with a worker; AGAIN: with a worker, and was added
 * meanwhile. IDLE: neither, kept for its timer or its failure count. An item without either is forgotten. */
#include "client/workqueue.h"

#include "base/list.h"
#include "base/log.h"
#include "base/map.h"
#include "base/sync.h"

#define BACKOFF_MIN (5 * NSEC_PER_MSEC)
#define BACKOFF_MAX (1000 * NSEC_PER_SEC)
#define TURN 8 /* items a worker takes before it lets other work of the executor in */

enum item_state { ITEM_IDLE, ITEM_QUEUED, ITEM_RUNNING, ITEM_AGAIN };

struct item {
    struct workqueue *queue;
    struct list link; /* in the FIFO while QUEUED */
    enum item_state state;
    bool firing; /* the timer could not be cancelled: its function is on the way */
    unsigned failures;
    struct executor_timer *timer;
    nsec_t due; /* of the timer */
    struct str key;
    char text[];
};

struct worker {
    struct workqueue *queue;
    struct strand *strand;
    bool scheduled;
    struct arena arena;
};

struct workqueue {
    struct workqueue_options options;
    struct mutex lock;
    struct cond timer_done;
    struct map items;
    struct list ready;
    struct worker *workers;
    int worker_count, firing;
    bool paused, closed;
};

static void work(void *arg);

/* Locked. Wakes a worker that sleeps, if there is one. */
static void rouse(struct workqueue *queue)
{
    for (int i = 0; !queue->paused && i < queue->worker_count && !list_empty(&queue->ready); i++) {
        struct worker *worker = &queue->workers[i];
        struct err err;

        if (worker->scheduled)
            continue;
        if (strand_post(worker->strand, work, worker, &err) < 0) {
            log_warn(queue->options.name, "cannot schedule work: %s", err.message);
            return;
        }
        worker->scheduled = true;
        return;
    }
}

static struct item *item_get(struct workqueue *queue, struct str key)
{
    struct item *item = map_get(&queue->items, key);

    if (item)
        return item;
    item = calloc(1, sizeof *item + key.len + 1);
    if (!item)
        return NULL;
    item->queue = queue;
    memcpy(item->text, key.data, key.len);
    item->key = str_of(item->text, key.len);
    list_init(&item->link);
    if (map_put(&queue->items, item->key, item, NULL) < 0) {
        free(item);
        return NULL;
    }
    return item;
}

/* Locked. */
static void item_enqueue(struct item *item)
{
    if (item->state == ITEM_RUNNING)
        item->state = ITEM_AGAIN;
    if (item->state != ITEM_IDLE)
        return;
    item->state = ITEM_QUEUED;
    list_append(&item->queue->ready, &item->link);
    rouse(item->queue);
}

static void item_forget_if_unused(struct item *item)
{
    if (item->state != ITEM_IDLE || item->timer || item->firing || item->failures)
        return;
    map_remove(&item->queue->items, item->key);
    free(item);
}

void workqueue_add(struct workqueue *queue, struct str key)
{
    LOCKED(&queue->lock);
    struct item *item = queue->closed ? NULL : item_get(queue, key);

    if (item)
        item_enqueue(item);
    else if (!queue->closed)
        log_error(queue->options.name, "no memory to queue " STR_FMT, STR_ARG(key));
}

static void timer_fired(void *arg)
{
    struct item *item = arg;
    struct workqueue *queue = item->queue;

    LOCKED(&queue->lock);
    if (queue->closed) {
        queue->firing--;
        cond_broadcast(&queue->timer_done);
        return;
    }
    if (!item->firing)
        executor_cancel(queue->options.executor, TAKE(item->timer));
    item->firing = false;
    item_enqueue(item);
}

/* Locked. The earliest of two timers wins. */
static void item_schedule(struct item *item, nsec_t delay)
{
    struct workqueue *queue = item->queue;
    nsec_t due = clock_now(executor_clock(queue->options.executor)) + delay;
    struct err err;

    if (item->timer) {
        if (item->due <= due)
            return;
        item->firing = !executor_cancel(queue->options.executor, TAKE(item->timer));
    }
    if (item->firing)
        return; /* comes at once */
    item->due = due;
    if (executor_post_after(queue->options.executor, delay, timer_fired, item, &item->timer, &err) < 0)
        log_warn(queue->options.name, "cannot delay " STR_FMT ": %s", STR_ARG(item->key), err.message);
}

void workqueue_add_after(struct workqueue *queue, struct str key, nsec_t delay)
{
    if (delay <= 0) {
        workqueue_add(queue, key);
        return;
    }
    LOCKED(&queue->lock);
    struct item *item = queue->closed ? NULL : item_get(queue, key);

    if (item)
        item_schedule(item, delay);
}

static nsec_t backoff(struct workqueue *queue, unsigned failures)
{
    nsec_t delay = failures < 28 ? BACKOFF_MIN << (failures - 1) : BACKOFF_MAX;

    delay = MIN(delay, BACKOFF_MAX);
    return delay + (nsec_t)((double)delay * 0.1 * rng_unit(queue->options.rng));
}

/* Locked. */
static void item_done(struct item *item, int code)
{
    bool again = item->state == ITEM_AGAIN;

    item->state = ITEM_IDLE;
    if (code < 0) {
        item->failures++;
        item_schedule(item, backoff(item->queue, item->failures));
    } else {
        item->failures = 0;
    }
    if (again)
        item_enqueue(item);
    item_forget_if_unused(item);
}

static void work(void *arg)
{
    struct worker *worker = arg;
    struct workqueue *queue = worker->queue;

    mutex_lock(&queue->lock);
    for (int i = 0; i < TURN && !queue->closed && !list_empty(&queue->ready); i++) {
        struct item *item = list_first(&queue->ready, struct item, link);
        struct err err = { 0 };

        list_remove(&item->link);
        item->state = ITEM_RUNNING;
        rouse(queue);
        mutex_unlock(&queue->lock);
        int code = queue->options.reconcile(queue->options.ctx, item->key, &worker->arena, &err);

        if (code < 0 && err.code != ERR_CONFLICT)
            log_warn(queue->options.name, STR_FMT ": %s", STR_ARG(item->key), err.message);
        arena_reset(&worker->arena);
        mutex_lock(&queue->lock);
        if (!queue->closed)
            item_done(item, code);
    }
    worker->scheduled = false;
    if (!queue->closed)
        rouse(queue);
    mutex_unlock(&queue->lock);
}

int workqueue_new(const struct workqueue_options *options, struct workqueue **ret_queue, struct err *err)
{
    AUTO(workqueue) queue = calloc(1, sizeof *queue);

    if (!queue)
        return err_set(err, ERR_NO_MEMORY, "work queue %s", options->name);
    queue->options = *options;
    queue->paused = options->paused;
    list_init(&queue->ready);
    mutex_init(&queue->lock);
    cond_init(&queue->timer_done);
    int workers = MAX(options->workers, 1);

    queue->workers = calloc((size_t)workers, sizeof *queue->workers);
    if (!queue->workers)
        return err_set(err, ERR_NO_MEMORY, "work queue %s", options->name);
    for (; queue->worker_count < workers; queue->worker_count++) {
        struct worker *worker = &queue->workers[queue->worker_count];
        int code = strand_new(options->executor, &worker->strand, err);

        if (code < 0)
            return code;
        worker->queue = queue;
        arena_init(&worker->arena, 0);
    }
    *ret_queue = TAKE(queue);
    return 0;
}

void workqueue_start(struct workqueue *queue)
{
    LOCKED(&queue->lock);
    queue->paused = false;
    for (int i = 0; i < queue->worker_count; i++)
        rouse(queue);
}

/* Closes, then waits for what runs: reconciles on their strands, timers in the middle of firing. */
struct workqueue *workqueue_free(struct workqueue *queue)
{
    if (!queue)
        return NULL;
    mutex_lock(&queue->lock);
    queue->closed = true;
    for (struct map_entry *e = NULL; (e = map_next(&queue->items, e));) {
        struct item *item = e->value;

        if (item->firing || (item->timer && !executor_cancel(queue->options.executor, TAKE(item->timer))))
            queue->firing++;
    }
    while (queue->firing > 0)
        cond_wait(&queue->timer_done, &queue->lock);
    mutex_unlock(&queue->lock);
    for (int i = 0; i < queue->worker_count; i++) {
        strand_free(queue->workers[i].strand);
        arena_deinit(&queue->workers[i].arena);
    }
    for (struct map_entry *e = NULL; (e = map_next(&queue->items, e));)
        free(e->value);
    map_deinit(&queue->items);
    free(queue->workers);
    cond_deinit(&queue->timer_done);
    mutex_deinit(&queue->lock);
    free(queue);
    return NULL;
}
