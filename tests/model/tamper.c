/* tamper.c - one wrong thing each. A way says which rows it can spoil and how; chance picks one of them. */
#include "tamper.h"

#define FAR ((revision_t)1 << 40) /* where no revision is */

struct way {
    const char *name;
    bool (*fits)(const struct history *history, size_t row);
    void (*spoil)(struct history *history, size_t row);
};

static struct row *row_at(const struct history *history, size_t row)
{
    return &history->rows.items[row];
}

static bool is_watch_row(const struct row *row, int watch, enum row_kind kind)
{
    return row->kind == kind && row->watch == watch;
}

/* The next row of this watch of a kind; 0: none. */
static size_t next_of(const struct history *history, size_t from, enum row_kind kind)
{
    for (size_t i = from + 1; i < history->rows.count; i++)
        if (is_watch_row(row_at(history, i), row_at(history, from)->watch, kind))
            return i;
    return 0;
}

static bool is_event(const struct history *history, size_t row)
{
    return row_at(history, row)->kind == ROW_EVENT;
}

static bool is_followed(const struct history *history, size_t row)
{
    return is_event(history, row) && next_of(history, row, ROW_EVENT);
}

/* Something that is sure to be told after it. */
static bool is_missed(const struct history *history, size_t row)
{
    return is_event(history, row) && (next_of(history, row, ROW_EVENT) || next_of(history, row, ROW_NONE));
}

static bool is_acknowledged(const struct history *history, size_t row)
{
    const struct row *r = row_at(history, row);

    return r->kind == ROW_COMMIT && r->code == 0 && r->client >= 0;
}

/* Without it something cannot be. Alone a store counts its transactions; on etcd one that only checks leaves no trace. */
static bool is_missable(const struct history *history, size_t row)
{
    if (!is_acknowledged(history, row) || !history->shared)
        return is_acknowledged(history, row);
    for (size_t i = 0; i < history->rows.count; i++)
        if (is_event(history, i) && strcmp(row_at(history, i)->event.rule, row_at(history, row)->rule) == 0)
            return true;
    return false;
}

static bool is_conflict(const struct history *history, size_t row)
{
    return row_at(history, row)->kind == ROW_COMMIT && row_at(history, row)->code == -ERR_CONFLICT;
}

static bool has_items(const struct history *history, size_t row)
{
    const struct row *r = row_at(history, row);

    return r->kind == ROW_READ && r->code == 0 && r->items_count > 0 && r->query.kind <= QUERY_LIST;
}

static bool is_full_list(const struct history *history, size_t row)
{
    return has_items(history, row) && row_at(history, row)->query.kind == QUERY_LIST;
}

static bool is_newest(const struct history *history, size_t row)
{
    const struct row *r = row_at(history, row);

    return r->kind == ROW_READ && r->code == 0 && r->asked == 0 && r->revision > 1;
}

/* One that began after a commit had ended: to show nothing of it is a lie, whatever ran beside it. */
static bool is_bound(const struct history *history, size_t row)
{
    if (!is_newest(history, row))
        return false;
    for (size_t i = 0; i < history->rows.count; i++)
        if (is_acknowledged(history, i) && row_at(history, i)->store == row_at(history, row)->store &&
            row_at(history, i)->completed < row_at(history, row)->invoked)
            return true;
    return false;
}

static bool is_live_none(const struct history *history, size_t row)
{
    const struct row *r = row_at(history, row);

    return r->kind == ROW_NONE && r->code == 0 && r->until == 0;
}

static bool is_reopened(const struct history *history, size_t row)
{
    return !history->shared && row_at(history, row)->kind == ROW_OPENED && row_at(history, row)->revision > 0;
}

/* Caught up with what was acknowledged elsewhere, and then read: had it not caught up, the read is stale. */
static bool is_caught_up(const struct history *history, size_t row)
{
    const struct row *r = row_at(history, row);
    uint64_t synced = 0;

    for (size_t i = 0; is_newest(history, row) && i < history->rows.count; i++) {
        const struct row *sync = row_at(history, i);

        if (sync->kind == ROW_SYNC && sync->code == 0 && sync->store == r->store && sync->completed < r->invoked)
            synced = MAX(synced, sync->invoked);
    }
    for (size_t i = 0; i < history->rows.count; i++)
        if (is_acknowledged(history, i) && row_at(history, i)->completed < synced)
            return true;
    return false;
}

static bool is_fenced(const struct history *history, size_t row)
{
    return is_acknowledged(history, row) && row_at(history, row)->term > 0;
}

static bool is_led(const struct history *history, size_t row)
{
    return row_at(history, row)->kind == ROW_LED;
}

/* There is an earlier term that is sure to be over. */
static bool is_led_again(const struct history *history, size_t row)
{
    for (size_t i = 0; is_led(history, row) && i < history->rows.count; i++)
        if (is_led(history, i) && row_at(history, i)->completed < row_at(history, row)->invoked)
            return true;
    return false;
}

/* A fenced write behind which another term begins. */
static bool is_fenced_before_another(const struct history *history, size_t row)
{
    for (size_t i = 0; is_fenced(history, row) && i < history->rows.count; i++)
        if (is_led(history, i) && row_at(history, i)->term > row_at(history, row)->revision)
            return true;
    return false;
}

/* An exact revision was asked for, and was there. */
static bool is_compared(const struct history *history, size_t row)
{
    const struct row *r = row_at(history, row);

    return is_acknowledged(history, row) && r->txn.ops[0].expect != STORE_ANY;
}

static void swap_events(struct history *history, size_t row)
{
    struct row *a = row_at(history, row), *b = row_at(history, next_of(history, row, ROW_EVENT));
    struct seen_event event = a->event;

    a->event = b->event;
    b->event = event;
}

static void remove_row(struct history *history, size_t row)
{
    vec_remove(&history->rows, row);
}

static void double_row(struct history *history, size_t row)
{
    if (vec_room(&history->rows, 1) < 0)
        return;
    struct row *at = row_at(history, row);
    memmove(at + 1, at, (history->rows.count++ - row) * sizeof *at);
}

static void change_event_value(struct history *history, size_t row)
{
    row_at(history, row)->event.value.number++;
}

static void change_event_kind(struct history *history, size_t row)
{
    struct seen_event *event = &row_at(history, row)->event;

    event->kind = event->kind == STORE_DELETED ? STORE_MODIFIED : STORE_DELETED;
}

static void change_event_before(struct history *history, size_t row)
{
    row_at(history, row)->event.previous_revision += 1;
}

static void change_event_cause(struct history *history, size_t row)
{
    row_at(history, row)->event.actor[0] = 'K';
}

static void change_event_time(struct history *history, size_t row)
{
    row_at(history, row)->event.time = 1;
}

static void advance_progress(struct history *history, size_t row)
{
    row_at(history, row)->revision += FAR;
}

static void expire(struct history *history, size_t row)
{
    row_at(history, row)->kind = ROW_EXPIRED;
}

static void change_item_value(struct history *history, size_t row)
{
    row_at(history, row)->items[0].value.number++;
}

static void garble_item(struct history *history, size_t row)
{
    row_at(history, row)->items[0].value.number = NUMBER_GARBLED;
}

static void change_item_created(struct history *history, size_t row)
{
    row_at(history, row)->items[0].created++;
}

static void drop_item(struct history *history, size_t row)
{
    row_at(history, row)->items_count--;
}

/* As if the snapshot had been one of the beginning. */
static void make_stale(struct history *history, size_t row)
{
    row_at(history, row)->revision = 0;
}

static void swap_revisions(struct history *history, size_t row)
{
    for (size_t i = row + 1; i < history->rows.count; i++)
        if (is_acknowledged(history, i) && row_at(history, i)->invoked > row_at(history, row)->completed) {
            revision_t revision = row_at(history, i)->revision;

            row_at(history, i)->revision = row_at(history, row)->revision;
            row_at(history, row)->revision = revision;
            return;
        }
    row_at(history, row)->revision += FAR;
}

static bool is_repeatable(const struct history *history, size_t row)
{
    for (size_t i = 0; is_acknowledged(history, row) && i < history->rows.count; i++)
        if (i != row && is_acknowledged(history, i))
            return true;
    return false;
}

static void repeat_revision(struct history *history, size_t row)
{
    for (size_t i = 0; i < history->rows.count; i++)
        if (i != row && is_acknowledged(history, i)) {
            row_at(history, row)->revision = row_at(history, i)->revision;
            return;
        }
}

static void change_expectation(struct history *history, size_t row)
{
    row_at(history, row)->txn.ops[0].expect += FAR;
}

static void change_present(struct history *history, size_t row)
{
    row_at(history, row)->present += FAR;
}

static void lose_last(struct history *history, size_t row)
{
    row_at(history, row)->revision--;
}

static void write_before_term(struct history *history, size_t row)
{
    row_at(history, row)->term = row_at(history, row)->revision + 1;
}

static void outlast_term(struct history *history, size_t row)
{
    revision_t began = 0;

    for (size_t i = 0; i < history->rows.count; i++)
        if (is_led(history, i) && row_at(history, i)->term > row_at(history, row)->revision)
            began = row_at(history, i)->term;
    row_at(history, row)->revision = began + FAR;
}

static void lead_too_early(struct history *history, size_t row)
{
    for (size_t i = 0; i < history->rows.count; i++)
        if (is_led(history, i) && row_at(history, i)->completed < row_at(history, row)->invoked) {
            row_at(history, row)->invoked = row_at(history, i)->invoked;
            return;
        }
}

static const struct way ways[] = {
    { "two events of a watch swapped", is_followed, swap_events },
    { "an event of a watch dropped", is_missed, remove_row },
    { "an event told twice", is_event, double_row },
    { "an event with another value", is_event, change_event_value },
    { "an event of another kind", is_event, change_event_kind },
    { "an event with another state before", is_event, change_event_before },
    { "an event with another cause", is_event, change_event_cause },
    { "an event at another time", is_event, change_event_time },
    { "a bookmark from the future", is_live_none, advance_progress },
    { "a watch that expired for nothing", is_event, expire },
    { "a read with another value", has_items, change_item_value },
    { "a read with garbled bytes", has_items, garble_item },
    { "a read with another creation", has_items, change_item_created },
    { "a list without its last key", is_full_list, drop_item },
    { "a stale read", is_bound, make_stale },
    { "two commits with each other's revision", is_acknowledged, swap_revisions },
    { "a revision given twice", is_repeatable, repeat_revision },
    { "a commit in spite of a conflict", is_compared, change_expectation },
    { "a conflict with what was never there", is_conflict, change_present },
    { "an acknowledged commit that nobody got", is_missable, remove_row },
    { "a last commit lost by reopening", is_reopened, lose_last },
    { "a stale read behind a sync", is_caught_up, make_stale },
    { "a write before its term", is_fenced, write_before_term },
    { "a write in a term that was over", is_fenced_before_another, outlast_term },
    { "two leaders at once", is_led_again, lead_too_early },
};

size_t tamper_count(void)
{
    return ARRAY_LEN(ways);
}

const char *tamper_name(size_t way)
{
    return ways[way].name;
}

/* Of a history without compaction, for a watch may expire after one. */
static bool is_compacted(const struct history *history)
{
    vec_each (&history->rows, row)
        if (row->kind == ROW_COMPACT)
            return true;
    return false;
}

bool tamper(struct history *history, size_t way, struct rng *rng)
{
    size_t fitting = 0;

    if (ways[way].spoil == expire && is_compacted(history))
        return false;
    for (size_t i = 0; i < history->rows.count; i++)
        fitting += ways[way].fits(history, i);
    size_t wanted = rng_below(rng, fitting);
    for (size_t i = 0; i < history->rows.count; i++)
        if (ways[way].fits(history, i) && wanted-- == 0) {
            ways[way].spoil(history, i);
            return true;
        }
    return false;
}
