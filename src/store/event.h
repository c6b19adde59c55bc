/* event.h - making the events that watches deliver, and the values that are spliced once and shared. */
#pragma once

#include "store/record.h"

/* Takes over the references to value and previous (previous may be NULL), also on failure. NULL without memory. */
struct store_event *event_new(enum store_event_kind kind, position_t position, position_t previous_position,
                              const struct record *record, struct blob *value, struct blob *previous);

/* value with the decimal revision put in at `at`; a copy for STORE_NO_SPLICE. NULL without memory. */
struct blob *value_splice(struct str value, uint32_t at, revision_t revision);

/* What the event keeps in memory, about. */
size_t event_cost(const struct store_event *event);
