#include "store/window.h"

#include "base/hash.h"

#define EVENTS_DEFAULT 16384
#define EVENTS_MIN 16
#define EVENTS_MAX (1u << 24)
#define BYTES_MAX (64u << 20)

int window_init(struct window *window, size_t limit, revision_t newest, struct err *err)
{
    size_t slots = EVENTS_MIN;

    *window = (struct window){ .limit = limit ? MIN(limit, EVENTS_MAX) : EVENTS_DEFAULT, .base = position_end(newest) };
    while (slots < window->limit)
        slots *= 2;
    window->slots = calloc(slots, sizeof *window->slots);
    window->recent = calloc(slots, sizeof(struct store_event *));
    if (!window->slots || !window->recent) {
        window_deinit(window);
        return err_set(err, ERR_NO_MEMORY, "event window");
    }
    window->mask = slots - 1;
    return 0;
}

static struct store_event **recent_slot(const struct window *window, struct str key)
{
    return &window->recent[hash_str(key) & window->mask];
}

static void drop_oldest(struct window *window)
{
    struct window_slot *slot = &window->slots[window->first];
    struct store_event **recent = recent_slot(window, slot->event->key);

    if (*recent == slot->event)
        *recent = NULL;
    window->base = slot->position;
    window->bytes -= slot->cost;
    window->first = (window->first + 1) & window->mask;
    window->count--;
    store_event_unref(slot->event);
}

void window_deinit(struct window *window)
{
    while (window->count > 0)
        drop_oldest(window);
    free(window->slots);
    free(window->recent);
    *window = (struct window){ 0 };
}

void window_push(struct window *window, position_t position, struct store_event *event)
{
    size_t cost = event_cost(event);

    while (window->count > 0 && (window->count >= window->limit || window->bytes + cost > BYTES_MAX))
        drop_oldest(window);
    window->slots[(window->first + window->count) & window->mask] = (struct window_slot){ position, event, cost };
    window->count++;
    window->bytes += cost;
    *recent_slot(window, event->key) = event;
}

size_t window_after(const struct window *window, position_t position)
{
    size_t low = 0, high = window->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (window_at(window, middle)->position <= position)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

struct store_event *window_recent(const struct window *window, struct str key, revision_t revision)
{
    struct store_event *event = *recent_slot(window, key);

    return event && event->revision == revision && str_eq(event->key, key) ? event : NULL;
}
