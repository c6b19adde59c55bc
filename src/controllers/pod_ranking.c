/* pod_ranking.c - one comparison after another, a table of them, first that differs decides. */
#include "controllers/pod_ranking.h"

#include "controllers/controller.h"
#include "controllers/pods.h"

struct ranked {
    struct object *object;
    const struct pod *pod;
    int64_t fellows; /* active pods of the same kind on its node */
    nsec_t now;
};

int32_t pod_deletion_cost(const struct object *pod)
{
    struct str text = map_value(pod->meta->annotations, STR("controller.kubernetes.io/pod-deletion-cost"));
    int64_t cost;

    return str_to_i64(text, &cost) && cost >= INT32_MIN && cost <= INT32_MAX ? (int32_t)cost : 0;
}

/* Negative: a goes first. */
static int64_t sign(int64_t a, int64_t b)
{
    return (a > b) - (a < b);
}

static int64_t by_assignment(const struct ranked *a, const struct ranked *b)
{
    return (a->pod->spec.node_name.len > 0) - (b->pod->spec.node_name.len > 0);
}

static int phase_rank(struct str phase)
{
    return str_is(phase, "Pending") ? 0 : str_is(phase, "Unknown") ? 1 : 2;
}

static int64_t by_phase(const struct ranked *a, const struct ranked *b)
{
    return phase_rank(a->pod->status.phase) - phase_rank(b->pod->status.phase);
}

static int64_t by_readiness(const struct ranked *a, const struct ranked *b)
{
    return pod_shows_ready(a->pod) - pod_shows_ready(b->pod);
}

static int64_t by_cost(const struct ranked *a, const struct ranked *b)
{
    return sign(pod_deletion_cost(a->object), pod_deletion_cost(b->object));
}

static int64_t by_fellows(const struct ranked *a, const struct ranked *b)
{
    return sign(b->fellows, a->fellows);
}

/* Order of magnitude of an age: younger is less; since when nobody knows is least. */
static int magnitude(nsec_t since, nsec_t now)
{
    nsec_t age;
    int digits = 0;

    if (!since)
        return -2;
    if (__builtin_sub_overflow(now, since, &age) || age <= 0)
        return -1;
    while (age >= 10) {
        age /= 10;
        digits++;
    }
    return digits;
}

static int64_t by_ready_time(const struct ranked *a, const struct ranked *b)
{
    if (!pod_shows_ready(a->pod) || !pod_shows_ready(b->pod))
        return 0;
    return magnitude(pod_ready_since(a->pod), a->now) - magnitude(pod_ready_since(b->pod), b->now);
}

static int64_t by_restarts(const struct ranked *a, const struct ranked *b)
{
    return sign(pod_restarts(b->pod), pod_restarts(a->pod));
}

static int64_t by_creation(const struct ranked *a, const struct ranked *b)
{
    return magnitude(a->object->meta->creation_timestamp.unix_nsec, a->now) -
           magnitude(b->object->meta->creation_timestamp.unix_nsec, b->now);
}

static int64_t by_uid(const struct ranked *a, const struct ranked *b)
{
    return str_cmp(a->object->meta->uid, b->object->meta->uid);
}

static int compare(const void *left, const void *right)
{
    static int64_t (*const criteria[])(const struct ranked *a, const struct ranked *b) = {
        by_assignment, by_phase, by_readiness, by_cost, by_fellows, by_ready_time, by_restarts, by_creation, by_uid,
    };

    for (size_t i = 0; i < ARRAY_LEN(criteria); i++) {
        int64_t order = criteria[i](left, right);

        if (order)
            return order < 0 ? -1 : 1;
    }
    return 0;
}

/* Without memory the count is left out of the ranking. */
static void count_fellows(struct ranked *ranked, size_t count, const struct object_list *fellows)
{
    struct map nodes = MAP_INIT; /* node -> count + 1 in the pointer */

    for (size_t i = 0; i < fellows->count; i++) {
        const struct pod *pod = pod_of(fellows->items[i]);

        if (!pod_is_active(pod) || !pod->spec.node_name.len)
            continue;
        uintptr_t seen = (uintptr_t)map_get(&nodes, pod->spec.node_name);

        map_put(&nodes, pod->spec.node_name, (void *)(seen + 1), NULL);
    }
    for (size_t i = 0; i < count; i++)
        ranked[i].fellows = (int64_t)(uintptr_t)map_get(&nodes, ranked[i].pod->spec.node_name);
    map_deinit(&nodes);
}

void pods_rank_for_deletion(struct object **pods, size_t count, const struct object_list *fellows, nsec_t now)
{
    struct ranked *ranked = calloc(MAX(count, (size_t)1), sizeof *ranked);

    if (!ranked)
        return; /* any of them may go */
    for (size_t i = 0; i < count; i++)
        ranked[i] = (struct ranked){ .object = pods[i], .pod = pod_of(pods[i]), .now = now };
    count_fellows(ranked, count, fellows);
    qsort(ranked, count, sizeof *ranked, compare);
    for (size_t i = 0; i < count; i++)
        pods[i] = ranked[i].object;
    free(ranked);
}
