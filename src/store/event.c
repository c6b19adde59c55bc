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

/* The terms of the new state, then those that only the old one had; NULL: only count them. */
static size_t unite_terms(struct str now, struct str before, struct str *out, char **at, size_t *ret_bytes)
{
    struct str rest = now, term;
    size_t count = 0;

    for (int old = 0; old < 2; old++, rest = before)
        while (terms_next(&rest, &term)) {
            if (old && terms_contain(now, term))
                continue;
            if (out)
                out[count] = keep(at, term);
            *ret_bytes += term.len;
            count++;
        }
    return count;
}

struct store_event *event_new(const struct event_parts *parts, const struct record *record)
{
    size_t bytes = record->key.len + record->actor.len + record->rule.len;
    size_t terms_count = unite_terms(record->terms, parts->previous_terms, NULL, NULL, &bytes);
    struct store_event *event = malloc(sizeof *event + terms_count * sizeof(struct str) + bytes);

    if (!event) {
        blob_unref(parts->value);
        blob_unref(parts->previous);
        return NULL;
    }
    struct str *terms = (struct str *)(event + 1);
    char *at = (char *)(terms + terms_count);
    unite_terms(record->terms, parts->previous_terms, terms, &at, &bytes);
    *event = (struct store_event){
        .kind = parts->kind,
        .revision = position_revision(parts->position),
        .previous_revision = position_revision(parts->previous_position),
        .key = keep(&at, record->key),
        .value = parts->value,
        .previous = parts->previous,
        .actor = keep(&at, record->actor),
        .rule = keep(&at, record->rule),
        .trigger = record->trigger,
        .time = record->time,
        .terms = terms,
        .terms_count = terms_count,
    };
    atomic_init(&event->refs, 1);
    return event;
}

bool event_has_term(const struct store_event *event, struct str term)
{
    for (size_t i = 0; i < event->terms_count; i++)
        if (str_eq(event->terms[i], term))
            return true;
    return false;
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
    void *facts = atomic_load_explicit(&event->facts, memory_order_relaxed);
    if (facts && event->facts_free)
        event->facts_free(facts);
    for (size_t i = 0; i < STORE_EVENT_FORMS; i++)
        blob_unref(atomic_load_explicit(&event->forms[i], memory_order_relaxed));
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
    size_t cost = sizeof *event + event->key.len + event->actor.len + event->rule.len + event->value->len +
                  (event->previous ? event->previous->len : 0);

    for (size_t i = 0; i < event->terms_count; i++)
        cost += sizeof(struct str) + event->terms[i].len;
    return cost;
}
