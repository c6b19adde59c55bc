/* event.h - making the events that watches deliver, and the values that are spliced once and shared. */
#pragma once

#include "store/record.h"
#include "store/term.h"

/* What an event is made of, beside the record itself. */
struct event_parts {
    enum store_event_kind kind;
    position_t position, previous_position;
    struct str previous_terms; /* of the state before, as its record has them */
    struct blob *value, *previous;
};

/* Takes over the references to value and previous (previous may be NULL), also on failure. NULL without memory. */
struct store_event *event_new(const struct event_parts *parts, const struct record *record);

/* Has a state before or after the change the term? */
bool event_has_term(const struct store_event *event, struct str term);

/* value with the decimal revision put in at `at`; a copy for STORE_NO_SPLICE. NULL without memory. */
struct blob *value_splice(struct str value, uint32_t at, revision_t revision);

/* What the event keeps in memory, about. */
size_t event_cost(const struct store_event *event);
