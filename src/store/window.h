/* window.h - the newest events in memory: a ring, capped in number and bytes.
 *
 * Written by the store's writer, which may read without a lock; all others under the lock of watch.c, which the writer
 * holds too when it writes. window_recent() is the writer's alone. */
#pragma once

#include "store/event.h"

struct window_slot {
    position_t position;
    struct store_event *event;
    size_t cost;
};

struct window {
    struct window_slot *slots;
    size_t mask, first, count; /* slots: a power of two */
    size_t limit, bytes;
    position_t base;             /* every event behind this position is here */
    struct store_event **recent; /* by hash of the key: the last event of a key, perhaps */
};

int window_init(struct window *window, size_t limit, revision_t newest, struct err *err);
void window_deinit(struct window *window);

/* Takes over the reference. Positions grow. */
void window_push(struct window *window, position_t position, struct store_event *event);
/* The slots in order of position: i < window->count. */
static inline const struct window_slot *window_at(const struct window *window, size_t i)
{
    return &window->slots[(window->first + i) & window->mask];
}
/* The number of slots at or before the position, i.e. where those behind it begin. */
size_t window_after(const struct window *window, position_t position);
/* The event that made a key what it is at a revision, if it is at hand; no reference. */
struct store_event *window_recent(const struct window *window, struct str key, revision_t revision);
