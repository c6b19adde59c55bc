/* queue.h - pods that wait for a node: those to be tried, by priority and then age; and those that did not fit, parked
 * until the cluster changes. One lock's holder at a time (scheduler.c). */
#pragma once

#include "base/map.h"
#include "base/vec.h"
#include "client/object.h"

struct waiting_pod {
    struct object *object; /* counted; its key is ours */
    int32_t priority;
    uint64_t sequence;
    size_t at;             /* in the heap, or PARKED */
    uint64_t told;         /* hash of the last reason that was told; 0: none */
};
#define PARKED SIZE_MAX

struct pod_queue {
    struct map pods; /* key -> struct waiting_pod */
    VEC(struct waiting_pod *) heap;
    uint64_t sequence;
};

void pod_queue_deinit(struct pod_queue *queue);
/* Adds it, or brings what is known of it up to date; it will be tried (again). -1 without memory. */
int pod_queue_put(struct pod_queue *queue, struct object *pod);
void pod_queue_remove(struct pod_queue *queue, struct str key);
/* The next one to be tried, now parked; NULL: none. It stays the queue's. */
struct waiting_pod *pod_queue_take(struct pod_queue *queue);
/* The cluster has changed: all parked ones are tried again. True when there are any. */
bool pod_queue_unpark(struct pod_queue *queue);
