/* record.h - one change of one key as the log holds it.
 *
 * A position names a record: the revision and the number of the operation in its transaction, in one integer, so that
 * positions sort as history does. 0 is no position. */
#pragma once

#include "store/store.h"

typedef uint64_t position_t;

#define POSITION_OP_BITS 10
#define POSITION_OP_LAST ((1u << POSITION_OP_BITS) - 1)
_Static_assert(STORE_OPS_MAX == POSITION_OP_LAST + 1, "an operation's number must fit its bits");

static inline position_t position_of(revision_t revision, size_t op)
{
    return revision << POSITION_OP_BITS | op;
}

static inline revision_t position_revision(position_t position)
{
    return position >> POSITION_OP_BITS;
}

/* The last place in a revision: everything up to and including it. */
static inline position_t position_end(revision_t revision)
{
    return position_of(revision, POSITION_OP_LAST);
}

struct record {
    bool deleted;
    revision_t created; /* when the object came to be; of a deletion: the deleted one */
    revision_t trigger;
    nsec_t time; /* Unix time of its commit; 0: written before times were kept */
    position_t previous; /* the change of this key before; 0: none */
    position_t jump;     /* one further back (version.h); 0: none */
    uint32_t depth, jump_depth;
    struct str key, actor, rule, value;
    struct str terms; /* term.h; a deletion has none */
};

size_t record_size(const struct record *record);
/* Writes record_size() bytes, checksum included. */
void record_encode(const struct record *record, position_t position, void *out);
/* Slices of bytes. False when the lengths do not fit; the checksum is not looked at. */
bool record_decode(struct str bytes, struct record *ret_record);
/* Whether the bytes are what was once written at this position. */
bool record_intact(struct str bytes, position_t position);
