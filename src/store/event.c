#include "store/event.h"

#include <stdio.h>

static struct str keep(char **at, struct str s)
{
    struct str kept = { *at, s.len };

    if (s.len)
        memcpy(*at, s.data, s.len);
    *at += s.len;
    return kept;
}

struct store_event *event_new(enum store_event_kind kind, position_t position, position_t previous_position,
                              const struct record *record, struct blob *value, struct blob *previous)
{
    struct store_event *event = malloc(sizeof *event + record->key.len + record->actor.len + record->rule.len);

    if (!event) {
        blob_unref(value);
        blob_unref(previous);
        return NULL;
    }
    char *at = (char *)(event + 1);
    *event = (struct store_event){
        .kind = kind,
        .revision = position_revision(position),
        .previous_revision = position_revision(previous_position),
        .key = keep(&at, record->key),
        .value = value,
        .previous = previous,
        .actor = keep(&at, record->actor),
        .rule = keep(&at, record->rule),
        .trigger = record->trigger,
    };
    atomic_init(&event->refs, 1);
    return event;
}

struct store_event *store_event_ref(struct store_event *event)
{
    if (event)
        atomic_fetch_add_explicit(&event->refs, 1, memory_order_relaxed);
    return event;
}

struct store_event *store_event_unref(struct store_event *event)
{
    if (!event || atomic_fetch_sub_explicit(&event->refs, 1, memory_order_acq_rel) != 1)
        return NULL;
    void *decoded = atomic_load_explicit(&event->decoded, memory_order_relaxed);
    if (decoded && event->decoded_free)
        event->decoded_free(decoded);
    blob_unref(event->value);
    blob_unref(event->previous);
    free(event);
    return NULL;
}

struct blob *value_splice(struct str value, uint32_t at, revision_t revision)
{
    char digits[24];
    size_t digits_len = 0;

    if (at == STORE_NO_SPLICE)
        return blob_copy(value);
    digits_len = (size_t)snprintf(digits, sizeof digits, "%llu", (unsigned long long)revision);
    struct blob *blob = blob_new(value.len + digits_len);
    if (!blob)
        return NULL;
    if (at)
        memcpy(blob->data, value.data, at);
    memcpy(blob->data + at, digits, digits_len);
    if (value.len > at)
        memcpy(blob->data + at + digits_len, value.data + at, value.len - at);
    return blob;
}

size_t event_cost(const struct store_event *event)
{
    return sizeof *event + event->key.len + event->actor.len + event->rule.len + event->value->len +
           (event->previous ? event->previous->len : 0);
}
