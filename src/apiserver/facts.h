/* facts.h - what selectors ask of an object, found once for an event and shared by all its watchers. */
#pragma once

#include "apiserver/selectable.h"
#include "store/store.h"

/* Of one state of an object. */
struct facts {
    struct str_map labels;
    const struct str *values; /* one for each row of the set */
    const struct str *terms;  /* indexed.h */
    size_t term_count;
};

struct event_facts {
    const struct selectable_set *set;
    struct facts now;    /* of event->value */
    struct facts before; /* of event->previous, when there is one */
};

/* From a tree, into arena. Without memory something is missing: labels and values count as empty. */
int facts_of(struct arena *arena, const struct selectable_set *set, struct str key, const struct json *object,
             struct facts *ret_facts, struct err *err);
/* The event's; the first who asks parses it (*made counts that). They live as long as the event. *ret_facts is NULL
 * when another set was asked for first. scratch is used and reset. */
int event_facts_get(struct store_event *event, const struct selectable_set *set, struct arena *scratch,
                    atomic_ulong *made, const struct event_facts **ret_facts, struct err *err);
