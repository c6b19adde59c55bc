#include "scheduler/queue.h"

#include "api/core_v1.h"

static bool before(const struct waiting_pod *a, const struct waiting_pod *b)
{
    return a->priority != b->priority ? a->priority > b->priority : a->sequence < b->sequence;
}

static void place(struct pod_queue *queue, size_t at, struct waiting_pod *pod)
{
    queue->heap.items[at] = pod;
    pod->at = at;
}

static void sift_up(struct pod_queue *queue, size_t at)
{
    struct waiting_pod *pod = queue->heap.items[at];

    for (; at > 0 && before(pod, queue->heap.items[(at - 1) / 2]); at = (at - 1) / 2)
        place(queue, at, queue->heap.items[(at - 1) / 2]);
    place(queue, at, pod);
}

static void sift_down(struct pod_queue *queue, size_t at)
{
    struct waiting_pod *pod = queue->heap.items[at];

    for (size_t child; (child = at * 2 + 1) < queue->heap.count; at = child) {
        if (child + 1 < queue->heap.count && before(queue->heap.items[child + 1], queue->heap.items[child]))
            child++;
        if (!before(queue->heap.items[child], pod))
            break;
        place(queue, at, queue->heap.items[child]);
    }
    place(queue, at, pod);
}

static int activate(struct pod_queue *queue, struct waiting_pod *pod)
{
    if (pod->at != PARKED) {
        sift_up(queue, pod->at);
        return 0;
    }
    if (vec_push(&queue->heap, pod) < 0)
        return -1;
    sift_up(queue, queue->heap.count - 1);
    return 0;
}

static void park(struct pod_queue *queue, struct waiting_pod *pod)
{
    size_t at = pod->at;

    if (at == PARKED)
        return;
    struct waiting_pod *last = queue->heap.items[--queue->heap.count];

    pod->at = PARKED;
    if (last == pod)
        return;
    place(queue, at, last);
    sift_up(queue, at);
    sift_down(queue, last->at);
}

int pod_queue_put(struct pod_queue *queue, struct object *object)
{
    struct waiting_pod *pod = map_get(&queue->pods, object->key);

    if (!pod) {
        pod = calloc(1, sizeof *pod);
        if (!pod)
            return -1;
        pod->at = PARKED;
        pod->sequence = queue->sequence++;
    }
    /* The map's key is a slice of the object: both change together. */
    if (map_put(&queue->pods, object->key, pod, NULL) < 0) {
        if (!pod->object)
            free(pod);
        return -1;
    }
    object_ref(object);
    object_unref(pod->object);
    pod->object = object;
    pod->priority = opt_or(OBJECT_VIEW(object, pod)->spec.priority, 0);
    return activate(queue, pod);
}

void pod_queue_remove(struct pod_queue *queue, struct str key)
{
    struct waiting_pod *pod = map_remove(&queue->pods, key);

    if (!pod)
        return;
    park(queue, pod);
    object_unref(pod->object);
    free(pod);
}

struct waiting_pod *pod_queue_take(struct pod_queue *queue)
{
    struct waiting_pod *pod = queue->heap.count ? queue->heap.items[0] : NULL;

    if (pod)
        park(queue, pod);
    return pod;
}

bool pod_queue_unpark(struct pod_queue *queue)
{
    bool any = false;

    for (struct map_entry *e = NULL; (e = map_next(&queue->pods, e));)
        any |= activate(queue, e->value) == 0;
    return any;
}

void pod_queue_deinit(struct pod_queue *queue)
{
    for (struct map_entry *e = NULL; (e = map_next(&queue->pods, e));) {
        struct waiting_pod *pod = e->value;

        object_unref(pod->object);
        free(pod);
    }
    map_deinit(&queue->pods);
    vec_deinit(&queue->heap);
}
