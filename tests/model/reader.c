/* reader.c - what a client asks the store: snapshots, lists, the past, watches. */
#include <stdio.h>

#include "client.h"

revision_t client_pick(const struct client *client, unsigned fraction)
{
    revision_t floor = store_compacted(client_store(client)), newest = store_revision(client_store(client));

    if (floor > 0)
        floor++;
    if (floor > newest)
        return newest;
    if (fraction % 97 == 0) /* now and then what has gone, or not yet come */
        return fraction % 2 ? floor / 2 : newest + 2;
    return floor + (newest - floor) * fraction / 1024;
}

/* -- what was seen, in our own terms -- */

static struct seen_item item_seen(const struct store_item *item)
{
    return (struct seen_item){ key_of_name(item->key), value_seen(item->value), item->revision, item->created };
}

static void copy_str(char *out, size_t size, struct str s)
{
    snprintf(out, size, STR_FMT, STR_ARG(s));
}

static unsigned terms_seen(const struct store_event *event)
{
    unsigned bits = 0;

    for (size_t i = 0; i < event->terms_count; i++) {
        unsigned bit = 1u << TERMS; /* nobody's, or twice */

        for (int term = 0; term < TERMS; term++)
            if (str_eq(event->terms[i], term_name(term)) && !(bits & 1u << term))
                bit = 1u << term;
        bits |= bit;
    }
    return bits;
}

static struct seen_event event_seen(const struct store_event *event)
{
    struct seen_event seen = {
        .kind = event->kind,
        .revision = event->revision,
        .previous_revision = event->previous_revision,
        .trigger = event->trigger,
        .key = key_of_name(event->key),
        .value = value_seen(blob_str(event->value)),
        .previous = value_seen(blob_str(event->previous)),
        .time = event->time,
        .terms = terms_seen(event),
    };

    copy_str(seen.actor, sizeof seen.actor, event->actor);
    copy_str(seen.rule, sizeof seen.rule, event->rule);
    return seen;
}

static struct seen_event change_seen(const struct store_change *change)
{
    struct seen_event seen = {
        .kind = change->kind,
        .revision = change->revision,
        .previous_revision = change->previous,
        .trigger = change->trigger,
        .key = key_of_name(change->key),
        .value = value_seen(change->value),
        .time = change->time,
    };

    copy_str(seen.actor, sizeof seen.actor, change->actor);
    copy_str(seen.rule, sizeof seen.rule, change->rule);
    return seen;
}

/* -- queries -- */

static void query_list(struct store_snapshot *snapshot, struct row *row)
{
    const struct scope *scope = &row->query.scope;
    struct str start = row->query.key >= 0 ? key_name(row->query.key) : STR_NULL;
    AUTO(store_cursor) cursor = NULL;
    struct store_item item;

    if (scope->term >= 0)
        row->query_code =
            store_cursor_open_term(snapshot, term_name(scope->term), scope_prefix(scope), start, &cursor, NULL);
    else
        row->query_code = store_cursor_open(snapshot, scope_prefix(scope), start, &cursor, NULL);
    while (row->query_code == 0 && (row->query_code = store_cursor_next(cursor, &item, NULL)) > 0) {
        row->query_code = 0;
        if (row->items_count == KEYS)
            row->overflow = true;
        else
            row->items[row->items_count++] = item_seen(&item);
        if (row->overflow)
            return;
    }
}

static void query_changes(struct client *client, struct store_snapshot *snapshot, struct row *row)
{
    struct row part = *row;
    struct store_changes changes;
    struct store_change change;
    revision_t a = client_pick(client, row->query.after), b = client_pick(client, row->query.until);
    int more = 0;

    part.kind = ROW_WATCH;
    part.watch = atomic_fetch_add(&client->run->watches, 1);
    part.scope = row->query.scope;
    part.asked = MIN(a, b);
    part.until = MIN(MAX(a, b), row->revision);
    part.code = part.until ? store_changes_open(snapshot, scope_prefix(&part.scope), part.asked, part.until, &changes,
                                                NULL)
                           : -ERR_INVALID;
    if (part.until == 0)
        return;
    client_note(client, &part);
    if (part.code < 0)
        return;
    while ((more = store_changes_next(&changes, &change, NULL)) > 0) {
        part.kind = ROW_EVENT;
        part.event = change_seen(&change);
        client_note(client, &part);
    }
    part.kind = ROW_NONE;
    part.code = more;
    part.revision = part.until;
    client_note(client, &part);
}

static void query_get(struct client *client, struct store_snapshot *snapshot, struct row *row)
{
    struct store_item item;

    row->query_code = store_get(snapshot, key_name(row->query.key), &item, NULL);
    if (row->query_code == 0)
        row->items[row->items_count++] = item_seen(&item);
    if (row->asked == 0 && row->query_code <= 0)
        client->known[row->query.key] = row->query_code ? STORE_ABSENT : item.revision;
}

static void ask(struct client *client, struct store_snapshot *snapshot, struct row *row)
{
    struct store_change change;
    uint64_t count = 0;

    switch (row->query.kind) {
    case QUERY_GET: query_get(client, snapshot, row); break;
    case QUERY_LIST: query_list(snapshot, row); break;
    case QUERY_COUNT:
        row->query_code = store_count_from(snapshot, scope_prefix(&row->query.scope),
                                           row->query.key >= 0 ? key_name(row->query.key) : STR_NULL, &count, NULL);
        row->items_count = count;
        break;
    case QUERY_CHANGE_AT:
        row->until = client_pick(client, row->query.after);
        row->query_code = store_change_at(snapshot, key_name(row->query.key), row->until, &change, NULL);
        if (row->query_code == 0)
            row->event = change_seen(&change);
        break;
    case QUERY_CHANGES: query_changes(client, snapshot, row); return;
    case QUERY_TIME:
        row->time = (nsec_t)(atomic_load(&client->run->moment) * (row->query.after + 1) / 1025);
        row->query_code = store_revision_at(snapshot, row->time, &row->found, NULL);
        break;
    }
    client_note(client, row);
}

static void ask_all(struct client *client, struct store_snapshot *snapshot, const struct row *opened,
                    const struct step *step)
{
    for (size_t i = 0; i < step->queries_count; i++) {
        struct row row = *opened;

        row.query = step->queries[i];
        ask(client, snapshot, &row);
    }
}

static void open_and_ask(struct client *client, revision_t asked, const struct step *step)
{
    struct store_snapshot *snapshot = NULL;
    struct row row = client_row(client, ROW_READ);

    row.asked = asked;
    row.code = store_snapshot_open(client_store(client), asked, &snapshot, NULL);
    row.completed = run_moment(client->run);
    if (row.code < 0) {
        client_note(client, &row);
        return;
    }
    row.revision = store_snapshot_revision(snapshot);
    ask_all(client, snapshot, &row, step);
    if (step->hold && !client->held) {
        client->held = snapshot;
        client->held_row = row;
    } else {
        store_snapshot_close(snapshot);
    }
}

void client_read(struct client *client, const struct step *step)
{
    if (step->held && client->held)
        ask_all(client, client->held, &client->held_row, step);
    else
        open_and_ask(client, step->newest ? 0 : client_pick(client, step->fraction), step);
    if (step->held && !step->hold)
        client_release(client);
}

void client_release(struct client *client)
{
    client->held = store_snapshot_close(client->held);
}

void client_audit(struct client *client)
{
    const struct scope all = { .key = -1, .term = -1 };
    struct step step = { .queries_count = 2 };

    step.queries[0] = (struct query){ .kind = QUERY_LIST, .key = -1, .scope = all };
    step.queries[1] = (struct query){ .kind = QUERY_CHANGES, .key = -1, .scope = all, .after = 1, .until = 1024 };
    open_and_ask(client, 0, &step);
    step.queries_count = 1;
    for (unsigned fraction = 1; fraction < 1024; fraction += 255)
        open_and_ask(client, client_pick(client, fraction), &step);
}

/* -- watches -- */

static void count_call(void *arg)
{
    atomic_fetch_add(&((struct client_watch *)arg)->calls, 1);
}

void client_watch_open(struct client *client, const struct step *step)
{
    struct client_watch *w = &client->watches[step->slot];
    struct store_scope scope = { .prefix = scope_prefix(&step->scope), .exact = step->scope.exact };

    client_watch_close(client, step->slot);
    if (step->scope.term >= 0)
        scope.term = term_name(step->scope.term);
    w->number = atomic_fetch_add(&client->run->watches, 1);
    w->scope = step->scope;
    w->low = w->high = 0;
    w->none = false;
    atomic_store(&w->calls, 0);
    struct row row = client_row(client, ROW_WATCH);
    row.watch = w->number;
    row.scope = w->scope;
    row.asked = step->newest ? store_revision(client_store(client)) : client_pick(client, step->fraction);
    row.code = store_watch_open_scope(client_store(client), &scope, row.asked, count_call, w, &w->watch, NULL);
    row.completed = run_moment(client->run);
    client_note(client, &row);
}

/* One call; false: no more for now. */
static bool watch_read_one(struct client *client, struct client_watch *w)
{
    AUTO(store_event) event = NULL;
    struct row row = client_row(client, ROW_NONE);

    row.watch = w->number;
    row.was_none = w->none;
    unsigned calls = atomic_load(&w->calls);
    row.calls_min = calls > w->high ? calls - w->high : 0;
    row.calls_max = calls - w->low;
    row.code = store_watch_next(w->watch, &event, NULL);
    row.completed = run_moment(client->run);
    if (row.code == 1) {
        row.kind = ROW_EVENT;
        row.code = 0;
        row.event = event_seen(event);
    } else if (row.code == -ERR_EXPIRED) {
        row.kind = ROW_EXPIRED;
    } else if (row.code == 0) {
        row.revision = store_watch_progress(w->watch);
        w->low = calls;
        w->high = atomic_load(&w->calls);
    }
    w->none = row.kind == ROW_NONE && row.code == 0;
    client_note(client, &row);
    return row.kind == ROW_EVENT;
}

void client_watch_read(struct client *client, int slot, unsigned limit)
{
    struct client_watch *w = &client->watches[slot];

    if (!w->watch)
        return;
    while (limit > 0 && watch_read_one(client, w))
        limit--;
}

void client_watch_close(struct client *client, int slot)
{
    client->watches[slot].watch = store_watch_close(client->watches[slot].watch);
}
