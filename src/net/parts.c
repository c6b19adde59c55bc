#include "net/parts.h"

struct part_group *part_group_new(const struct http_part *parts, size_t count)
{
    size_t copied = 0, size;

    for (size_t i = 0; i < count; i++)
        if (!parts[i].blob && __builtin_add_overflow(copied, parts[i].bytes.len, &copied))
            return NULL;
    if (__builtin_mul_overflow(count, sizeof(struct http_part), &size) ||
        __builtin_add_overflow(size, sizeof(struct part_group), &size) ||
        __builtin_add_overflow(size, copied, &size))
        return NULL;
    struct part_group *group = malloc(size);
    if (!group)
        return NULL;
    *group = (struct part_group){ .next = NULL };
    char *copy = (char *)&group->parts[count];
    for (size_t i = 0; i < count; i++) {
        if (parts[i].bytes.len == 0)
            continue;
        struct http_part *part = &group->parts[group->count++];
        *part = parts[i];
        group->bytes += part->bytes.len;
        if (part->blob) {
            blob_ref(part->blob);
            continue;
        }
        memcpy(copy, part->bytes.data, part->bytes.len);
        part->bytes.data = copy;
        copy += part->bytes.len;
    }
    return group;
}

struct part_group *part_group_free(struct part_group *group)
{
    if (!group)
        return NULL;
    for (; group->at < group->count; group->at++)
        if (group->parts[group->at].blob)
            blob_unref(group->parts[group->at].blob);
    free(group);
    return NULL;
}

void part_queue_add(struct part_queue *queue, struct part_group *group)
{
    if (group->bytes == 0) {
        part_group_free(group);
        return;
    }
    if (queue->last)
        queue->last->next = group;
    else
        queue->first = group;
    queue->last = group;
    queue->bytes += group->bytes;
}

void part_queue_move(struct part_queue *to, struct part_queue *from)
{
    if (!from->first)
        return;
    if (to->last)
        to->last->next = from->first;
    else
        to->first = from->first;
    to->last = from->last;
    to->bytes += from->bytes;
    *from = (struct part_queue){ NULL };
}

struct str part_queue_first(const struct part_queue *queue)
{
    return queue->first ? queue->first->parts[queue->first->at].bytes : STR("");
}

void part_queue_consume(struct part_queue *queue, size_t len)
{
    struct part_group *group = queue->first;

    if (!group || len == 0)
        return;
    struct http_part *part = &group->parts[group->at];
    INVARIANT(len <= part->bytes.len);
    queue->bytes -= len;
    part->bytes = str_skip(part->bytes, len);
    if (part->bytes.len > 0)
        return;
    if (part->blob)
        blob_unref(part->blob);
    if (++group->at < group->count)
        return;
    queue->first = group->next;
    if (!queue->first)
        queue->last = NULL;
    free(group);
}

void part_queue_clear(struct part_queue *queue)
{
    while (queue->first) {
        struct part_group *next = queue->first->next;
        part_group_free(queue->first);
        queue->first = next;
    }
    *queue = (struct part_queue){ NULL };
}
