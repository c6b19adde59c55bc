/* selection.h - which objects of a resource a list, watch or deletion of a collection is about: label and field
 * selectors, and how the store finds what they choose.
 *
 * Used by one thread at a time; lives in the request's arena. */
#pragma once

#include "apiserver/facts.h"
#include "apiserver/request.h"
#include "codec/json.h"
#include "schema/selector.h"

struct selection {
    const struct resource *resource;
    const struct selectable_set *set;
    const struct selector *labels, *fields; /* NULL: all */
    struct str needle;                      /* JSON text that a match must contain; unset: none */
    struct str ns, name;                    /* required by metadata.namespace= and metadata.name=; unset: any */
    struct str term;                        /* index term that a match has (indexed.h); unset: none */
    struct str owner;                       /* index term of FIELD_OWNER; unset: not asked for */
    bool custom;                            /* names fields that the set does not have */
};

/* ERR_BAD_REQUEST: malformed, or a field that the resource does not support. */
int selection_parse(struct request *request, struct str labels, struct str fields, struct selection *ret_selection,
                    struct err *err);
static inline bool selection_is_all(const struct selection *selection)
{
    return !selection->labels && !selection->fields;
}
/* The part of the store in which everything chosen lies: the path's namespace and name (unset: any), and what the
 * selectors require. Lives in the request's arena. */
int selection_scope(struct request *request, const struct selection *selection, struct store_scope *ret_scope,
                    struct err *err);
/* text: a stored object under key. scratch is used and reset. 1: yes, 0: no, negative: damaged or no memory. */
int selection_matches(const struct selection *selection, struct arena *scratch, struct str key, struct str text,
                      struct err *err);
/* The same for the states of an event: before it (absent: no) and after it. Parses the event at most once for all its
 * watchers (event_facts). */
int selection_matches_event(const struct selection *selection, struct arena *scratch, struct store_event *event,
                            atomic_ulong *made, bool *ret_before, bool *ret_now, struct err *err);
