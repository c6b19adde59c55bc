/* model.h - what the store would be if it did one transaction after another: a list of all that was acknowledged, in
 * the order of its revisions. */
#pragma once

#include "history.h"

struct version {
    revision_t revision, created;
    revision_t previous;     /* the live state replaced; 0: none */
    revision_t previous_any; /* the change of the key before, a deletion too; 0: none */
    int key;
    bool deleted;
    struct seen value, previous_value;
    unsigned terms, terms_before;
    const struct row *txn;
};

struct model {
    VEC(struct version) versions; /* by revision and operation */
    VEC(const struct row *) txns; /* by revision */
};

revision_t model_newest(const struct model *model);
/* The last transaction at or before a revision; NULL: none. */
const struct row *model_txn(const struct model *model, revision_t revision);

/* The live state of a key at a revision; NULL: none. */
const struct version *model_state(const struct model *model, int key, revision_t revision);
/* The last change of a key at or before a revision. */
const struct version *model_change(const struct model *model, int key, revision_t revision);
/* Adds a transaction at its revision, which is higher than all so far, whatever it expected. */
int model_apply(struct model *model, const struct row *txn);
void model_deinit(struct model *model);
