/* parts.h - a queue of bytes to send: references to blobs, and copies of small things. Private to net/.
 *
 * A group holds what one call queued, in one allocation. Not thread-safe; a group may be made on one thread and
 * queued on another. */
#pragma once

#include "net/http_server.h"

struct part_group {
    struct part_group *next;
    size_t bytes, count, at; /* at: the first part not yet consumed */
    struct http_part parts[];
};

struct part_queue {
    struct part_group *first, *last;
    size_t bytes;
};

/* Copies what is in no blob, references what is. NULL without memory. Parts of no length are left out. */
struct part_group *part_group_new(const struct http_part *parts, size_t count);
struct part_group *part_group_free(struct part_group *group);

void part_queue_add(struct part_queue *queue, struct part_group *group); /* takes it over */
void part_queue_move(struct part_queue *to, struct part_queue *from);    /* appends all of from */
struct str part_queue_first(const struct part_queue *queue);             /* the bytes next in line; empty when none */
void part_queue_consume(struct part_queue *queue, size_t len);           /* at most the first part's length */
void part_queue_clear(struct part_queue *queue);
