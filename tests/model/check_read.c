/* check_read.c - snapshots: which revision they may show, and what must be in it. */
#include "checker.h"

static bool check_snapshot(struct checker *c, const struct row *row)
{
    revision_t oldest = oldest_newest(c, row), youngest = youngest_newest(c, row->completed);

    if (row->code == -ERR_EXPIRED)
        return (row->asked && row->asked < floor_at_most(c, row)) ||
               accuse(c, row, "expired, and nobody compacted up to there");
    if (row->code == -ERR_INVALID)
        return row->asked > oldest || accuse(c, row, "in the future, but it had been seen before");
    if (row->code < 0)
        return accuse(c, row, "failed: %s", err_name((enum err_code)-row->code));
    if (row->asked && row->revision != row->asked)
        return accuse(c, row, "asked for revision %llu", (unsigned long long)row->asked);
    if (row->asked && row->asked < floor_at_least(c, row))
        return accuse(c, row, "shows what had been compacted before");
    if (!row->asked && row->revision < oldest)
        return accuse(c, row, "shows revision %llu when %llu had been seen already", (unsigned long long)row->revision,
                      (unsigned long long)oldest);
    if (row->revision > youngest)
        return accuse(c, row, "shows revision %llu; only %llu can have been there", (unsigned long long)row->revision,
                      (unsigned long long)youngest);
    return true;
}

static bool check_item(struct checker *c, const struct row *row, const struct seen_item *item)
{
    const struct version *want = item->key >= 0 ? model_state(&c->model, item->key, row->revision) : NULL;

    if (!want)
        return accuse(c, row, "shows a key that is not there: %d", item->key);
    if (item->revision != want->revision || item->created != want->created)
        return accuse(c, row, "key " STR_FMT " is of revision %llu (created %llu); the model has %llu (created %llu)",
                      STR_ARG(str_first(key_name(item->key), 12)), (unsigned long long)item->revision,
                      (unsigned long long)item->created, (unsigned long long)want->revision,
                      (unsigned long long)want->created);
    if (item->value.number != want->value.number || item->value.spliced != want->value.spliced)
        return accuse(c, row, "key " STR_FMT " has value %llu@%llu; the model has %llu@%llu",
                      STR_ARG(str_first(key_name(item->key), 12)), (unsigned long long)item->value.number,
                      (unsigned long long)item->value.spliced, (unsigned long long)want->value.number,
                      (unsigned long long)want->value.spliced);
    return true;
}

/* The keys of a list, in byte order. */
static size_t listed(const struct checker *c, const struct row *row, int keys[KEYS])
{
    const struct query *query = &row->query;
    size_t count = 0;

    for (int key = 0; key < KEYS; key++) {
        const struct version *state = model_state(&c->model, key, row->revision);

        if (!state || !scope_has_key(&query->scope, key) ||
            (query->scope.term >= 0 && !(state->terms & 1u << query->scope.term)) ||
            (query->key >= 0 && str_cmp(key_name(key), key_name(query->key)) < 0))
            continue;
        size_t at = count++;
        for (; at > 0 && str_cmp(key_name(keys[at - 1]), key_name(key)) > 0; at--)
            keys[at] = keys[at - 1];
        keys[at] = key;
    }
    return count;
}

static bool check_list(struct checker *c, const struct row *row)
{
    int keys[KEYS];
    size_t count = listed(c, row, keys);

    if (row->query_code < 0 || row->overflow)
        return accuse(c, row, "the list failed (%d)", row->query_code);
    if (row->items_count != count)
        return accuse(c, row, "%zu keys; the model has %zu at revision %llu", row->items_count, count,
                      (unsigned long long)row->revision);
    for (size_t i = 0; row->query.kind == QUERY_LIST && i < count; i++) {
        if (row->items[i].key != keys[i])
            return accuse(c, row, "item %zu is not the key that the model has there", i);
        if (!check_item(c, row, &row->items[i]))
            return false;
    }
    return true;
}

static bool check_get(struct checker *c, const struct row *row)
{
    const struct version *want = model_state(&c->model, row->query.key, row->revision);

    if (row->query_code == -ERR_NOT_FOUND)
        return !want || accuse(c, row, "not found; the model has it since revision %llu",
                               (unsigned long long)want->revision);
    if (row->query_code < 0)
        return accuse(c, row, "reading failed: %s", err_name((enum err_code)-row->query_code));
    return row->items[0].key == row->query.key ? check_item(c, row, &row->items[0])
                                               : accuse(c, row, "shows another key");
}

/* The last change of a key, or that it is forgotten: a deletion at or below the floor, anything superseded there. */
static bool check_change_at(struct checker *c, const struct row *row)
{
    revision_t at = row->until && row->until < row->revision ? row->until : row->revision;
    revision_t floor = floor_at_most(c, row);
    const struct version *want = model_change(&c->model, row->query.key, at);
    const struct seen_event *got = &row->event;

    if (row->query_code == -ERR_NOT_FOUND)
        return !want || at < floor || (want->deleted && want->revision <= floor) ||
               accuse(c, row, "no change is known; the model has one at %llu", (unsigned long long)want->revision);
    if (row->query_code < 0)
        return accuse(c, row, "reading the last change failed: %s", err_name((enum err_code)-row->query_code));
    if (!want || got->key != row->query.key || got->revision != want->revision ||
        got->value.number != want->value.number || got->value.spliced != want->value.spliced ||
        (got->kind == STORE_DELETED) != want->deleted || (got->kind == STORE_CREATED) != (want->created == want->revision && !want->deleted))
        return accuse(c, row, "the last change at %llu is another one (%llu)", (unsigned long long)at,
                      (unsigned long long)got->revision);
    if (got->previous_revision != want->previous_any && (got->previous_revision || want->previous_any > floor))
        return accuse(c, row, "the change before it is %llu, not %llu", (unsigned long long)want->previous_any,
                      (unsigned long long)got->previous_revision);
    return true;
}

/* The first revision behind one that has changed anything. */
static const struct version *next_change(const struct checker *c, revision_t revision)
{
    vec_each (&c->model.versions, version)
        if (version->revision > revision)
            return version;
    return NULL;
}

/* The time of a commit lies between its invocation and its completion. */
static bool check_time(struct checker *c, const struct row *row)
{
    revision_t floor = floor_at_most(c, row);
    const struct version *next;
    const struct row *txn;

    if (row->query_code == -ERR_EXPIRED) {
        next = next_change(c, floor);
        return floor > 0 || !next || next->revision > row->revision || row->time <= (nsec_t)next->txn->completed ||
               accuse(c, row, "the time %lld has expired, but nothing has been forgotten", (long long)row->time);
    }
    if (row->query_code < 0)
        return accuse(c, row, "looking for a time failed: %s", err_name((enum err_code)-row->query_code));
    if (row->found == 0 || row->found > row->revision)
        return accuse(c, row, "the revision of a time is %llu", (unsigned long long)row->found);
    txn = model_txn(&c->model, row->found);
    if (txn && txn->revision == row->found && (nsec_t)txn->invoked > row->time)
        return accuse(c, row, "at the time %lld revision %llu had not been asked for", (long long)row->time,
                      (unsigned long long)row->found);
    next = next_change(c, row->found);
    if (next && next->revision <= row->revision && (nsec_t)next->txn->completed < row->time)
        return accuse(c, row, "at the time %lld revision %llu was there already, not only %llu", (long long)row->time,
                      (unsigned long long)next->revision, (unsigned long long)row->found);
    return true;
}

bool check_read(struct checker *c, const struct row *row)
{
    if (!check_snapshot(c, row))
        return false;
    if (row->code < 0)
        return true;
    switch (row->query.kind) {
    case QUERY_GET: return check_get(c, row);
    case QUERY_LIST:
    case QUERY_COUNT: return check_list(c, row);
    case QUERY_CHANGE_AT: return check_change_at(c, row);
    case QUERY_TIME: return check_time(c, row);
    case QUERY_CHANGES: return true; /* rows of its own */
    }
    return true;
}
