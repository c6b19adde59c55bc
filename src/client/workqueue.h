/* workqueue.h - de-duplicating, rate-limited queue of keys, and the worker that drains it.
 *
 * Any thread may add. Keys are copied in. A key being worked on is not handed out again until its reconcile returned,
 * however often it is added meanwhile: then it comes once more. A reconcile that fails is retried with exponential
 * back-off (5 ms doubling to 1000 s, with jitter), and forgotten when it succeeds. */
#pragma once

#include "base/arena.h"
#include "base/executor.h"
#include "base/rng.h"

struct workqueue;

/* Runs on the executor, at most `workers` at a time. The arena is for this call. A negative return is logged once and
 * retried. */
typedef int reconcile_fn(void *ctx, struct str key, struct arena *arena, struct err *err);

struct workqueue_options {
    const char *name; /* for logs: "deployment" */
    struct executor *executor;
    struct rng *rng;
    int workers; /* 0: 1 */
    reconcile_fn *reconcile;
    void *ctx;
    bool paused; /* keys only gather until workqueue_start() */
};
int workqueue_new(const struct workqueue_options *options, struct workqueue **ret_queue, struct err *err);
struct workqueue *workqueue_free(struct workqueue *queue); /* waits for running reconciles */
DEFINE_AUTO(workqueue, workqueue_free)
void workqueue_start(struct workqueue *queue);

void workqueue_add(struct workqueue *queue, struct str key);
void workqueue_add_after(struct workqueue *queue, struct str key, nsec_t delay); /* the earliest wins */
