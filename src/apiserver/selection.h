/* selection.h - which objects of a resource a list, watch or deletion of a collection is about: label and field
 * selectors.
 *
 * Used by one thread at a time; lives in the request's arena. */
#pragma once

#include "apiserver/request.h"
#include "codec/json.h"
#include "schema/selector.h"

struct selection {
    const struct resource *resource;
    const struct rules *rules;
    const struct selector *labels, *fields; /* NULL: all */
    struct str needle;                      /* JSON text that a match must contain; unset: none */
    struct str name;                        /* required by the path or by metadata.name=; unset: any */
};

/* ERR_BAD_REQUEST: malformed, or "field label not supported: x". */
int selection_parse(struct request *request, struct str labels, struct str fields, struct selection *ret_selection,
                    struct err *err);
static inline bool selection_is_all(const struct selection *selection)
{
    return !selection->labels && !selection->fields;
}
/* text: a stored object. scratch is used and reset. 1: yes, 0: no, negative: damaged or no memory. */
int selection_matches(const struct selection *selection, struct arena *scratch, struct str text, struct err *err);
