/* claim.h - which objects belong to a controlling object: by owner reference and selector, adopting and releasing. */
#pragma once

#include "controllers/controller.h"
#include "schema/selector.h"

struct claim {
    struct controller *controller;
    const struct object *owner;
    const struct selector *selector;
    const struct resource *resource; /* of what is claimed */
    int row;                         /* the watch that shows it, with INDEX_CONTROLLER and INDEX_ORPHAN */
    struct str key;                  /* of the reconcile: it waits for what is adopted to be seen */
};

/* Objects that the owner controls: those it has, less those that its selector no longer chooses (which are released),
 * and orphans that it chooses (which are adopted). The list is the caller's to release. */
int claim_objects(const struct claim *claim, struct arena *arena, struct object_list *ret_list, struct err *err);

/* A controlling reference to owner; its strings are owner's and the arena's. */
int owner_reference_to(const struct object *owner, struct arena *arena, struct owner_reference *ret_reference,
                       struct err *err);
