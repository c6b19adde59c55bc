#include "scheduler/cluster.h"

#include "schema/quantity.h"

void cluster_init(struct cluster *cluster)
{
    *cluster = (struct cluster){ 0 };
}

static void placed_pod_free(struct placed_pod *pod)
{
    object_unref(pod->object);
    arena_deinit(&pod->arena);
    free(pod);
}

void cluster_deinit(struct cluster *cluster)
{
    for (struct map_entry *e = NULL; (e = map_next(&cluster->pods, e));)
        placed_pod_free(e->value);
    for (struct map_entry *e = NULL; (e = map_next(&cluster->nodes, e));) {
        struct node_row *row = e->value;

        object_unref(row->object);
        vec_deinit(&row->pods);
        free(row);
    }
    map_deinit(&cluster->pods);
    map_deinit(&cluster->nodes);
    vec_deinit(&cluster->rows);
}

static struct node_row *row_get(struct cluster *cluster, struct str name)
{
    struct node_row *row = map_get(&cluster->nodes, name);

    if (row || !(row = calloc(1, sizeof *row + name.len + 1)))
        return row;
    memcpy(row->text, name.data, name.len);
    row->name = str_of(row->text, name.len);
    if (map_put(&cluster->nodes, row->name, row, NULL) < 0) {
        free(row);
        return NULL;
    }
    return row;
}

static void row_forget_if_unused(struct cluster *cluster, struct node_row *row)
{
    if (row->object || row->pods.count)
        return;
    map_remove(&cluster->nodes, row->name);
    vec_deinit(&row->pods);
    free(row);
}

static void read_allocatable(struct node_row *row)
{
    const struct str_map *map = &OBJECT_VIEW(row->object, node)->status.allocatable;

    row->allocatable = (struct amounts){ 0 };
    for (size_t i = 0; i < map->count; i++)
        for (int r = 0; r < RESOURCE_KINDS; r++)
            if (str_is(map->items[i].key, resource_name(r)))
                row->allocatable.of[r] = r == RESOURCE_CPU ? quantity_milli(map->items[i].value)
                                                           : quantity_value(map->items[i].value);
}

int cluster_set_node(struct cluster *cluster, struct str name, struct object *object)
{
    struct node_row *row = object ? row_get(cluster, name) : map_get(&cluster->nodes, name);

    if (!row)
        return object ? -1 : 0;
    if (object && !row->object && vec_push(&cluster->rows, row) < 0) {
        row_forget_if_unused(cluster, row);
        return -1;
    }
    for (size_t i = 0; !object && row->object && i < cluster->rows.count; i++)
        if (cluster->rows.items[i] == row) {
            vec_remove(&cluster->rows, i);
            break;
        }
    object_unref(row->object);
    row->object = object_ref(object);
    if (object)
        read_allocatable(row);
    row_forget_if_unused(cluster, row);
    return 0;
}

static void add_amounts(struct amounts *to, const struct amounts *amounts, int sign)
{
    for (int r = 0; r < RESOURCE_KINDS; r++)
        to->of[r] += sign * amounts->of[r];
}

void cluster_remove_pod(struct cluster *cluster, struct str key)
{
    struct placed_pod *pod = map_remove(&cluster->pods, key);

    if (!pod)
        return;
    struct node_row *row = pod->node;

    add_amounts(&row->used, &pod->demand.requests, -1);
    for (size_t i = 0; i < row->pods.count; i++)
        if (row->pods.items[i] == pod) {
            row->pods.items[i] = row->pods.items[--row->pods.count];
            break;
        }
    row_forget_if_unused(cluster, row);
    placed_pod_free(pod);
}

struct placed_pod *cluster_pod(const struct cluster *cluster, struct str key)
{
    return map_get(&cluster->pods, key);
}

int cluster_place(struct cluster *cluster, struct object *object, struct str node, bool assumed)
{
    struct placed_pod *pod = calloc(1, sizeof *pod);

    cluster_remove_pod(cluster, object->key);
    if (!pod)
        return -1;
    arena_init(&pod->arena, 0);
    pod->arena.step = 128; /* most pods ask for little */
    pod->object = object_ref(object);
    pod->key = object->key;
    pod->assumed = assumed;
    pod->node = row_get(cluster, node);
    if (!pod->node || demand_of(&pod->arena, OBJECT_VIEW(object, pod), &pod->demand) < 0 ||
        vec_push(&pod->node->pods, pod) < 0) {
        if (pod->node)
            row_forget_if_unused(cluster, pod->node);
        placed_pod_free(pod);
        return -1;
    }
    pod->node_name = pod->node->name;
    if (map_put(&cluster->pods, pod->key, pod, NULL) < 0) {
        pod->node->pods.count--;
        row_forget_if_unused(cluster, pod->node);
        placed_pod_free(pod);
        return -1;
    }
    add_amounts(&pod->node->used, &pod->demand.requests, 1);
    return 0;
}
