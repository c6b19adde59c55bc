/* checker.c - the order of revisions and of time; transactions.
 *
 * What a row may have seen is bounded from both sides. From below by all that had been shown to anybody before it was
 * invoked: this is what makes the history linearizable, and not merely serializable. From above by the commits that
 * were invoked only after it had completed. */
#include "checker.h"

#include <stdarg.h>
#include <stdio.h>

bool accuse(struct checker *c, const struct row *row, const char *fmt, ...)
{
    va_list args;

    if (c->verdict->bad)
        return false;
    c->verdict->bad = true;
    c->verdict->row = (size_t)(row - c->history->rows.items);
    va_start(args, fmt);
    vsnprintf(c->verdict->what, sizeof c->verdict->what, fmt, args);
    va_end(args);
    return false;
}

/* -- what a moment allows -- */

static revision_t newest_before(const struct mark *marks, size_t count, uint64_t moment)
{
    revision_t newest = 0;

    for (size_t i = 0; i < count; i++)
        if (marks[i].moment < moment && marks[i].revision > newest)
            newest = marks[i].revision;
    return newest;
}

revision_t acknowledged_before(const struct checker *c, uint64_t moment)
{
    return newest_before(c->acknowledged.items, c->acknowledged.count, moment);
}

revision_t oldest_newest(const struct checker *c, uint64_t invoked)
{
    return MAX(acknowledged_before(c, invoked), newest_before(c->seen.items, c->seen.count, invoked));
}

revision_t youngest_newest(const struct checker *c, uint64_t completed)
{
    revision_t newest = c->model.txns.count;

    vec_each (&c->invoked, mark)
        if (mark->moment > completed && mark->revision <= newest)
            newest = mark->revision - 1;
    return newest;
}

revision_t floor_at_least(const struct checker *c, uint64_t invoked)
{
    return newest_before(c->compacted.items, c->compacted.count, invoked);
}

revision_t floor_at_most(const struct checker *c, uint64_t completed)
{
    return newest_before(c->compacting.items, c->compacting.count, completed);
}

/* -- the model -- */

static bool push_mark(struct checker *c, void *marks, uint64_t moment, revision_t revision)
{
    VEC(struct mark) *vec = marks;

    if (vec_push(vec, ((struct mark){ moment, revision })) == 0)
        return true;
    return accuse(c, c->history->rows.items, "the checker is out of memory");
}

static const struct row *row_of_revision(const struct checker *c, revision_t revision, size_t *ret_count)
{
    const struct row *found = NULL;

    *ret_count = 0;
    vec_each (&c->history->rows, row) {
        if (row->kind != ROW_COMMIT || row->code != 0 || row->revision != revision)
            continue;
        found = row;
        ++*ret_count;
    }
    return found;
}

/* Revisions grow by one per transaction, from 1: so all that were acknowledged are there, once each. */
static bool build_model(struct checker *c)
{
    size_t acknowledged = 0, count;

    vec_each (&c->history->rows, row)
        acknowledged += row->kind == ROW_COMMIT && row->code == 0;
    for (revision_t revision = 1; revision <= acknowledged; revision++) {
        const struct row *row = row_of_revision(c, revision, &count);

        if (count == 0)
            return accuse(c, c->history->rows.items, "%zu transactions were acknowledged, and none of them as revision %llu",
                          acknowledged, (unsigned long long)revision);
        if (count > 1)
            return accuse(c, row, "revision %llu was given %zu times", (unsigned long long)revision, count);
        if (model_apply(&c->model, row) < 0 || !push_mark(c, &c->acknowledged, row->completed, revision) ||
            !push_mark(c, &c->invoked, row->invoked, revision))
            return accuse(c, row, "the checker is out of memory");
    }
    return true;
}

/* A compaction that failed may have moved the floor or not. */
static bool mark_compaction(struct checker *c, const struct row *row)
{
    if (row->code != 0)
        return push_mark(c, &c->compacting, row->invoked, row->asked ? row->asked : c->model.txns.count);
    if (row->until > 1 && !push_mark(c, &c->compacted, row->completed, row->until))
        return false;
    return push_mark(c, &c->compacted, row->completed, row->asked) &&
           push_mark(c, &c->compacting, row->invoked, row->asked ? row->asked : row->until);
}

/* Where there is no room for deletions the store gives up history by itself, whether or not they then succeed. */
static bool mark_commit(struct checker *c, const struct row *row)
{
    if (!c->history->faults && !c->history->full)
        return true;
    return push_mark(c, &c->compacting, row->invoked, c->model.txns.count);
}

static bool mark_row(struct checker *c, const struct row *row)
{
    switch (row->kind) {
    case ROW_COMMIT: return mark_commit(c, row);
    case ROW_READ:
        return row->code < 0 || row->asked > 0 || push_mark(c, &c->seen, row->completed, row->revision);
    case ROW_EVENT:
        return row->until > 0 || push_mark(c, &c->seen, row->completed, row->event.revision);
    case ROW_OPENED: return push_mark(c, &c->seen, row->completed, row->revision);
    case ROW_COMPACT: return mark_compaction(c, row);
    default: return true;
    }
}

/* -- transactions -- */

static bool expectation_holds(const struct checker *c, const struct planned_op *op, revision_t at,
                              revision_t *ret_present)
{
    const struct version *state = model_state(&c->model, op->key, at);

    *ret_present = state ? state->revision : STORE_ABSENT;
    return op->expect == STORE_ANY || op->expect == *ret_present;
}

static bool check_values(struct checker *c, const struct row *row)
{
    for (size_t i = 0; i < row->txn.ops_count; i++) {
        const struct planned_op *op = &row->txn.ops[i];
        const struct version *version = model_change(&c->model, op->key, row->revision);
        bool changed = op->kind != STORE_CHECK && version && version->revision == row->revision;
        struct seen want = changed ? version->value : (struct seen){ 0 };

        if (row->values[i].number != want.number || row->values[i].spliced != want.spliced)
            return accuse(c, row, "the value handed back for operation %zu is not the one that was written", i);
    }
    return true;
}

static bool check_acknowledged(struct checker *c, const struct row *row)
{
    revision_t present, before = oldest_newest(c, row->invoked);

    if (row->txn.twice)
        return accuse(c, row, "a transaction that changes a key twice was taken");
    if (row->revision <= before)
        return accuse(c, row, "given revision %llu when %llu had been seen already", (unsigned long long)row->revision,
                      (unsigned long long)before);
    for (size_t i = 0; i < row->txn.ops_count; i++)
        if (!expectation_holds(c, &row->txn.ops[i], row->revision - 1, &present))
            return accuse(c, row, "operation %zu expected revision %llu, and %llu was there: this is a conflict", i,
                          (unsigned long long)row->txn.ops[i].expect, (unsigned long long)present);
    return check_values(c, row);
}

/* Would it have failed in this way at this revision? */
static bool conflicts_at(const struct checker *c, const struct row *row, revision_t at)
{
    revision_t present;

    for (size_t i = 0; i < row->failed_op; i++)
        if (!expectation_holds(c, &row->txn.ops[i], at, &present))
            return false;
    return !expectation_holds(c, &row->txn.ops[row->failed_op], at, &present) && present == row->present;
}

static bool check_conflict(struct checker *c, const struct row *row)
{
    revision_t first = acknowledged_before(c, row->invoked), last = youngest_newest(c, row->completed);

    first = MAX(first, oldest_newest(c, row->invoked));
    if (row->failed_op >= row->txn.ops_count)
        return accuse(c, row, "the operation that failed is none of the transaction's");
    for (revision_t at = first; at <= last; at++)
        if (conflicts_at(c, row, at))
            return true;
    return accuse(c, row, "at no revision from %llu to %llu operation %zu is the first that fails, with %llu present",
                  (unsigned long long)first, (unsigned long long)last, row->failed_op, (unsigned long long)row->present);
}

bool check_commit(struct checker *c, const struct row *row)
{
    switch (-row->code) {
    case ERR_NONE: return check_acknowledged(c, row);
    case ERR_CONFLICT: return check_conflict(c, row);
    case ERR_INVALID: return row->txn.twice || accuse(c, row, "a valid transaction was refused as invalid");
    case ERR_NO_SPACE:
        return c->history->faults || c->history->full || accuse(c, row, "no space, on a disk that has space");
    case ERR_UNAVAILABLE:
    case ERR_IO: return c->history->faults || accuse(c, row, "an I/O error, on a disk that has none");
    default: return accuse(c, row, "failed: %s", err_name((enum err_code)-row->code));
    }
}

/* -- upkeep -- */

static bool check_compaction(struct checker *c, const struct row *row)
{
    switch (-row->code) {
    case ERR_NONE:
        if (row->asked > youngest_newest(c, row->completed))
            return accuse(c, row, "compacted at a revision that was not there");
        return row->until >= row->asked || accuse(c, row, "afterwards the floor is %llu", (unsigned long long)row->until);
    case ERR_INVALID:
        return row->asked > oldest_newest(c, row->invoked) || accuse(c, row, "refused a revision that was there");
    case ERR_IO:
    case ERR_UNAVAILABLE:
    case ERR_NO_SPACE:
        return c->history->faults || c->history->full || accuse(c, row, "an error, on a disk that has none");
    default: return accuse(c, row, "failed: %s", err_name((enum err_code)-row->code));
    }
}

/* With all clients paused: what was acknowledged is there, and nothing that was not. */
static bool check_opened(struct checker *c, const struct row *row)
{
    revision_t want = acknowledged_before(c, row->invoked), floor = floor_at_least(c, row->invoked);

    if (row->revision != want)
        return accuse(c, row, "opened at revision %llu, and %llu was the last acknowledged",
                      (unsigned long long)row->revision, (unsigned long long)want);
    if (row->until < floor || row->until > MAX(floor_at_most(c, row->completed), 1))
        return accuse(c, row, "opened with the floor at %llu: it was at least %llu and at most %llu",
                      (unsigned long long)row->until, (unsigned long long)floor,
                      (unsigned long long)floor_at_most(c, row->completed));
    return true;
}

static bool check_row(struct checker *c, const struct row *row)
{
    switch (row->kind) {
    case ROW_COMMIT: return check_commit(c, row);
    case ROW_READ: return check_read(c, row);
    case ROW_WATCH: return check_watch(c, row);
    case ROW_COMPACT: return check_compaction(c, row);
    case ROW_OPENED: return check_opened(c, row);
    case ROW_EVENT:
    case ROW_NONE:
    case ROW_EXPIRED: return true; /* with the watch's opening */
    }
    return true;
}

void history_check(const struct history *history, struct verdict *ret_verdict)
{
    struct checker c = { .history = history, .verdict = ret_verdict };

    *ret_verdict = (struct verdict){ .bad = false };
    bool good = build_model(&c);
    vec_each (&history->rows, row)
        good = good && mark_row(&c, row);
    vec_each (&history->rows, row)
        good = good && check_row(&c, row);
    model_deinit(&c.model);
    vec_deinit(&c.acknowledged);
    vec_deinit(&c.seen);
    vec_deinit(&c.invoked);
    vec_deinit(&c.compacted);
    vec_deinit(&c.compacting);
}
