/* version.c - walking back through the records of one key in few steps.
 *
 * Every record names the one before it and one further back, chosen as in a skip list without chance ("jump pointers"):
 * when the two jumps before it were equally long, it jumps over both, else to its predecessor. From the n-th state any
 * older one is reached in O(log n) steps, for the price of two integers in a record and one more lookup when it is
 * written.
 *
 * Compaction removes records, so links may lead nowhere. That is never met on the way: to find the state at a readable
 * revision R one only goes through records newer than R, and those are all there. The one exception is the last step,
 * to a deletion that compaction has removed: a missing record at or below the floor means "deleted". */
#include "store/version.h"

int version_find(struct engine *engine, MDB_txn *txn, revision_t floor, position_t newest, revision_t at,
                 position_t *ret_position, struct record *ret_record)
{
    position_t position = newest;
    struct record record;
    int rc;

    while (position_revision(position) > at) {
        if ((rc = log_read(engine, txn, position, &record)))
            return rc == MDB_NOTFOUND ? MDB_CORRUPTED : rc;
        position_t next = record.jump && position_revision(record.jump) > at ? record.jump : record.previous;
        if (next == 0)
            return MDB_NOTFOUND;
        if (next >= position)
            return MDB_CORRUPTED; /* or this would not end */
        position = next;
    }
    rc = log_read(engine, txn, position, &record);
    if (rc == MDB_NOTFOUND)
        return position_revision(position) <= floor && position != newest ? MDB_NOTFOUND : MDB_CORRUPTED;
    if (rc)
        return rc;
    *ret_position = position;
    *ret_record = record;
    return 0;
}

int version_at(struct engine *engine, MDB_txn *txn, revision_t floor, position_t newest, revision_t at,
               position_t *ret_position, struct record *ret_record)
{
    struct record record;
    position_t position;
    int rc = version_find(engine, txn, floor, newest, at, &position, &record);

    if (rc)
        return rc;
    if (record.deleted)
        return MDB_NOTFOUND;
    *ret_position = position;
    *ret_record = record;
    return 0;
}

int version_link(struct engine *engine, MDB_txn *txn, position_t previous, const struct record *previous_record,
                 struct record *record)
{
    struct record target;

    record->previous = record->jump = previous;
    record->depth = record->jump_depth = 0;
    if (!previous)
        return 0;
    record->depth = previous_record->depth + 1;
    record->jump_depth = previous_record->depth;
    if (!previous_record->jump)
        return 0;
    int rc = log_read(engine, txn, previous_record->jump, &target);
    if (rc == MDB_NOTFOUND) /* compacted */
        return 0;
    if (rc)
        return rc;
    if (target.jump &&
        previous_record->depth - previous_record->jump_depth == previous_record->jump_depth - target.jump_depth) {
        record->jump = target.jump;
        record->jump_depth = target.jump_depth;
    }
    return 0;
}
