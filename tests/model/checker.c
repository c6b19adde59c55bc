/* checker.c - the order of revisions and of time; transactions.
 *
 * What a row may have seen is bounded from both sides. From below by all that had been shown to anybody before it was
 * invoked: this is what makes the history linearizable, and not merely serializable. From above by the commits that
 * were invoked only after it had completed.
 *
 * Where several stores share an etcd, a store may lag behind the others: what binds it is what it has itself shown, and
 * what anybody had been shown before it was last asked to catch up (store_sync). Transactions are made by etcd, so they
 * are bound by all of that, whoever saw it. */
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

#define ANYWHERE (-1)

static revision_t newest_before(const void *marks, int store, uint64_t moment)
{
    const VEC(struct mark) *vec = marks;
    revision_t newest = 0;

    vec_each (vec, mark)
        if (mark->moment < moment && mark->revision > newest && (store == ANYWHERE || mark->store == store))
            newest = mark->revision;
    return newest;
}

revision_t acknowledged_before(const struct checker *c, const struct row *row)
{
    return MAX(newest_before(&c->acknowledged, row->store, row->invoked),
               newest_before(&c->synced, row->store, row->invoked));
}

revision_t oldest_newest(const struct checker *c, const struct row *row)
{
    return MAX(acknowledged_before(c, row), newest_before(&c->seen, row->store, row->invoked));
}

revision_t oldest_anywhere(const struct checker *c, uint64_t invoked)
{
    return MAX(newest_before(&c->acknowledged, ANYWHERE, invoked), newest_before(&c->seen, ANYWHERE, invoked));
}

revision_t youngest_newest(const struct checker *c, uint64_t completed)
{
    /* An etcd has revisions that are nobody's. */
    revision_t newest = c->history->shared ? UINT64_MAX : model_newest(&c->model);

    vec_each (&c->invoked, mark)
        if (mark->moment > completed && mark->revision <= newest)
            newest = mark->revision - 1;
    return newest;
}

revision_t floor_at_least(const struct checker *c, const struct row *row)
{
    return newest_before(&c->compacted, row->store, row->invoked);
}

revision_t floor_at_most(const struct checker *c, const struct row *row)
{
    return newest_before(&c->compacting, row->store, row->completed);
}

/* -- the model -- */

static bool push_mark(struct checker *c, void *marks, const struct row *row, uint64_t moment, revision_t revision)
{
    VEC(struct mark) *vec = marks;

    if (vec_push(vec, ((struct mark){ moment, revision, row->store })) == 0)
        return true;
    return accuse(c, row, "the checker is out of memory");
}

static int compare_revisions(const void *a, const void *b)
{
    const struct row *x = *(const struct row *const *)a, *y = *(const struct row *const *)b;

    return x->revision < y->revision ? -1 : x->revision > y->revision;
}

static bool add_to_model(struct checker *c, const struct row *row)
{
    revision_t newest = model_newest(&c->model);

    if (row->revision == newest)
        return accuse(c, row, "revision %llu was given twice", (unsigned long long)row->revision);
    /* Alone a store counts: so all that were acknowledged are there. */
    if (!c->history->shared && row->revision != newest + 1)
        return accuse(c, row, "no transaction was acknowledged as revision %llu", (unsigned long long)newest + 1);
    return model_apply(&c->model, row) == 0 || accuse(c, row, "the checker is out of memory");
}

static bool mark_made(struct checker *c, const struct row *row)
{
    return push_mark(c, &c->invoked, row, row->invoked, row->revision) &&
           (row->code < 0 || push_mark(c, &c->acknowledged, row, row->completed, row->revision));
}

static bool build_model(struct checker *c)
{
    VEC(const struct row *) made = { 0 };
    bool good = true;

    vec_each (&c->history->rows, row)
        if (row->kind == ROW_COMMIT && (row->code == 0 || row->revision > 0))
            good = good && (vec_push(&made, row) == 0 || accuse(c, row, "the checker is out of memory"));
    if (made.count > 0)
        qsort(made.items, made.count, sizeof *made.items, compare_revisions);
    vec_each (&made, row)
        good = good && add_to_model(c, *row) && mark_made(c, *row);
    vec_deinit(&made);
    return good;
}

/* A compaction that failed may have moved the floor or not. */
static bool mark_compaction(struct checker *c, const struct row *row)
{
    revision_t asked = row->asked;

    if (row->code != 0)
        return push_mark(c, &c->compacting, row, row->invoked, asked ? asked : model_newest(&c->model));
    if (row->until > 1 && !push_mark(c, &c->compacted, row, row->completed, row->until))
        return false;
    return push_mark(c, &c->compacted, row, row->completed, asked) &&
           push_mark(c, &c->compacting, row, row->invoked, asked ? asked : row->until);
}

/* Where there is no room for deletions the store gives up history by itself, whether or not they then succeed. */
static bool mark_commit(struct checker *c, const struct row *row)
{
    if (c->history->shared || (!c->history->faults && !c->history->full))
        return true;
    return push_mark(c, &c->compacting, row, row->invoked, model_newest(&c->model));
}

/* A cache that has been made anew knows no past. */
static bool mark_opened(struct checker *c, const struct row *row)
{
    if (!push_mark(c, &c->seen, row, row->completed, row->revision))
        return false;
    return !c->history->shared || row->until <= 1 ||
           (push_mark(c, &c->compacted, row, row->completed, row->until) &&
            push_mark(c, &c->compacting, row, row->invoked, row->until));
}

static bool mark_row(struct checker *c, const struct row *row)
{
    switch (row->kind) {
    case ROW_COMMIT: return mark_commit(c, row);
    case ROW_READ:
        return row->code < 0 || row->asked > 0 || push_mark(c, &c->seen, row, row->completed, row->revision);
    case ROW_EVENT:
        return row->until > 0 || push_mark(c, &c->seen, row, row->completed, row->event.revision);
    case ROW_OPENED: return mark_opened(c, row);
    case ROW_COMPACT: return mark_compaction(c, row);
    default: return true;
    }
}

static bool mark_sync(struct checker *c, const struct row *row)
{
    return row->kind != ROW_SYNC || row->code < 0 ||
           push_mark(c, &c->synced, row, row->completed, oldest_anywhere(c, row->invoked));
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

/* A term begins at its revision and is over at the next one's. */
static bool check_fence(struct checker *c, const struct row *row)
{
    if (row->revision < row->term)
        return accuse(c, row, "made before its term %llu", (unsigned long long)row->term);
    vec_each (&c->history->rows, led)
        if (led->kind == ROW_LED && led->term > row->term && led->term <= row->revision)
            return accuse(c, row, "made in term %llu, which was over: %llu had begun", (unsigned long long)row->term,
                          (unsigned long long)led->term);
    return true;
}

static bool check_acknowledged(struct checker *c, const struct row *row)
{
    revision_t present, before = oldest_anywhere(c, row->invoked);

    if (row->txn.twice)
        return accuse(c, row, "a transaction that changes a key twice was taken");
    if (row->revision <= before)
        return accuse(c, row, "given revision %llu when %llu had been seen already", (unsigned long long)row->revision,
                      (unsigned long long)before);
    for (size_t i = 0; i < row->txn.ops_count; i++)
        if (!expectation_holds(c, &row->txn.ops[i], row->revision - 1, &present))
            return accuse(c, row, "operation %zu expected revision %llu, and %llu was there: this is a conflict", i,
                          (unsigned long long)row->txn.ops[i].expect, (unsigned long long)present);
    if (row->term && !check_fence(c, row))
        return false;
    return row->code < 0 || check_values(c, row);
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
    revision_t first = oldest_anywhere(c, row->invoked), last = youngest_newest(c, row->completed);

    if (row->failed_op >= row->txn.ops_count)
        return accuse(c, row, "the operation that failed is none of the transaction's");
    if (conflicts_at(c, row, first))
        return true;
    vec_each (&c->model.txns, txn)
        if ((*txn)->revision > first && (*txn)->revision <= last && conflicts_at(c, row, (*txn)->revision))
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
    case ERR_TIMEOUT: /* not known; and found out since */
        if (!c->history->shared)
            return accuse(c, row, "an outcome that is not known, of a store that asks nobody");
        return row->revision == 0 || check_acknowledged(c, row);
    case ERR_UNAVAILABLE:
        return c->history->shared || c->history->faults || accuse(c, row, "unavailable, on a disk that is well");
    case ERR_IO:
        return (c->history->faults && !c->history->shared) || accuse(c, row, "an I/O error, on a disk that has none");
    default: return accuse(c, row, "failed: %s", err_name((enum err_code)-row->code));
    }
}

/* Nobody leads while another does. */
static bool check_led(struct checker *c, const struct row *row)
{
    vec_each (&c->history->rows, other) {
        if (other->kind != ROW_LED || other == row)
            continue;
        if (other->term == row->term)
            return accuse(c, row, "term %llu was given twice", (unsigned long long)row->term);
        if (other->invoked < row->completed && row->invoked < other->completed)
            return accuse(c, row, "led in term %llu while server %d led in term %llu", (unsigned long long)row->term,
                          other->store, (unsigned long long)other->term);
    }
    return true;
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
        return row->asked > oldest_newest(c, row) || accuse(c, row, "refused a revision that was there");
    case ERR_IO:
    case ERR_UNAVAILABLE:
    case ERR_NO_SPACE:
        return c->history->faults || c->history->full || accuse(c, row, "an error, on a disk that has none");
    default: return accuse(c, row, "failed: %s", err_name((enum err_code)-row->code));
    }
}

static bool check_floor(struct checker *c, const struct row *row)
{
    revision_t floor = floor_at_least(c, row);

    if (row->until < floor || row->until > MAX(floor_at_most(c, row), 1))
        return accuse(c, row, "opened with the floor at %llu: it was at least %llu and at most %llu",
                      (unsigned long long)row->until, (unsigned long long)floor,
                      (unsigned long long)floor_at_most(c, row));
    return true;
}

/* With all clients paused: what was acknowledged is there, and nothing that was not. A cache may be behind; but it has
 * what it had shown. */
static bool check_opened(struct checker *c, const struct row *row)
{
    revision_t want = c->history->shared ? oldest_newest(c, row) : acknowledged_before(c, row);

    if (row->revision < want || row->revision > (c->history->shared ? youngest_newest(c, row->completed) : want))
        return accuse(c, row, "opened at revision %llu, and %llu was the last %s", (unsigned long long)row->revision,
                      (unsigned long long)want, c->history->shared ? "that it had shown" : "acknowledged");
    return check_floor(c, row);
}

static bool check_row(struct checker *c, const struct row *row)
{
    switch (row->kind) {
    case ROW_COMMIT: return check_commit(c, row);
    case ROW_READ: return check_read(c, row);
    case ROW_WATCH: return check_watch(c, row);
    case ROW_COMPACT: return check_compaction(c, row);
    case ROW_OPENED: return check_opened(c, row);
    case ROW_LED: return check_led(c, row);
    case ROW_SYNC:
        return row->code == 0 || row->code == -ERR_UNAVAILABLE ||
               accuse(c, row, "failed: %s", err_name((enum err_code)-row->code));
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
        good = good && mark_sync(&c, row);
    vec_each (&history->rows, row)
        good = good && check_row(&c, row);
    model_deinit(&c.model);
    vec_deinit(&c.acknowledged);
    vec_deinit(&c.seen);
    vec_deinit(&c.synced);
    vec_deinit(&c.invoked);
    vec_deinit(&c.compacted);
    vec_deinit(&c.compacting);
}
