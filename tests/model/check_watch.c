/* check_watch.c - watches and lists of changes: the model's changes in their scope, each once, in order, and no claim
 * beyond them. */
#include "checker.h"

#include <stdio.h>

struct follower {
    const struct row *opened;
    size_t next;       /* in the model's changes */
    revision_t certain; /* everything up to it has been handed out */
    revision_t told;    /* of the last event */
    bool listing;       /* a list of changes, not a watch */
};

static bool wanted(const struct follower *f, const struct version *version)
{
    const struct scope *scope = &f->opened->scope;

    return version->revision > f->opened->asked && scope_has_key(scope, version->key) &&
           (f->listing || scope->term < 0 || (version->terms | version->terms_before) & 1u << scope->term);
}

static const struct version *next_wanted(const struct checker *c, struct follower *f)
{
    for (; f->next < c->model.versions.count; f->next++)
        if (wanted(f, &c->model.versions.items[f->next]))
            return &c->model.versions.items[f->next];
    return NULL;
}

static bool check_opening(struct checker *c, const struct row *row)
{
    if (row->code == -ERR_EXPIRED)
        return row->asked < floor_at_most(c, row) || accuse(c, row, "expired, and nobody compacted up to there");
    if (row->code == -ERR_INVALID)
        return row->asked > (row->until ? row->until : oldest_newest(c, row)) ||
               accuse(c, row, "in the future, but it had been seen before");
    if (row->code < 0)
        return accuse(c, row, "failed: %s", err_name((enum err_code)-row->code));
    if (row->asked > youngest_newest(c, row->completed))
        return accuse(c, row, "opened behind revision %llu, which cannot have been there", (unsigned long long)row->asked);
    return row->asked >= floor_at_least(c, row) || accuse(c, row, "opened at what had been compacted before");
}

static bool check_cause(struct checker *c, const struct row *row, const struct version *want)
{
    char actor[16];

    snprintf(actor, sizeof actor, "client-%d", want->txn->client);
    if (strcmp(row->event.actor, actor) != 0 || strcmp(row->event.rule, want->txn->rule) != 0 ||
        row->event.trigger != want->txn->trigger)
        return accuse(c, row, "its cause is \"%s: %s\", and it was \"%s: %s\"", row->event.actor, row->event.rule, actor,
                      want->txn->rule);
    if (row->event.time < (nsec_t)want->txn->invoked || row->event.time > (nsec_t)want->txn->completed)
        return accuse(c, row, "its time is %lld, and the commit lasted from %llu to %llu", (long long)row->event.time,
                      (unsigned long long)want->txn->invoked, (unsigned long long)want->txn->completed);
    return true;
}

static bool check_before(struct checker *c, const struct follower *f, const struct row *row, const struct version *want)
{
    const struct seen_event *got = &row->event;

    if (f->listing) /* links to what may be forgotten */
        return got->previous_revision == want->previous_any ||
               (!got->previous_revision && want->previous_any <= floor_at_most(c, row)) ||
               accuse(c, row, "the change before it was %llu", (unsigned long long)want->previous_any);
    if (got->previous_revision != want->previous || got->previous.number != want->previous_value.number ||
        got->previous.spliced != want->previous_value.spliced)
        return accuse(c, row, "the state before is told as %llu@%llu of revision %llu; it was %llu@%llu of %llu",
                      (unsigned long long)got->previous.number, (unsigned long long)got->previous.spliced,
                      (unsigned long long)got->previous_revision, (unsigned long long)want->previous_value.number,
                      (unsigned long long)want->previous_value.spliced, (unsigned long long)want->previous);
    return got->terms == (want->terms | want->terms_before) || accuse(c, row, "its terms are wrong: %x", got->terms);
}

static bool check_event(struct checker *c, struct follower *f, const struct row *row)
{
    const struct version *want = next_wanted(c, f);
    const struct seen_event *got = &row->event;

    if (!want || got->revision != want->revision || got->key != want->key)
        return accuse(c, row, "an event of revision %llu; the next is of revision %llu", (unsigned long long)got->revision,
                      (unsigned long long)(want ? want->revision : 0));
    enum store_event_kind kind = want->deleted    ? STORE_DELETED
                                 : want->previous ? STORE_MODIFIED
                                                  : STORE_CREATED;
    if (got->kind != kind || got->value.number != want->value.number || got->value.spliced != want->value.spliced)
        return accuse(c, row, "the event of revision %llu is of another kind or value", (unsigned long long)got->revision);
    if (!f->listing && got->revision > youngest_newest(c, row->completed))
        return accuse(c, row, "an event before its transaction");
    if (!check_before(c, f, row, want) || !check_cause(c, row, want))
        return false;
    f->next++;
    f->told = got->revision;
    return true;
}

/* "None now": of what was acknowledged before nothing is missing, and it claims no more than was handed out. */
static bool check_none(struct checker *c, struct follower *f, const struct row *row)
{
    const struct version *want = next_wanted(c, f);

    if (row->code < 0)
        return accuse(c, row, "failed: %s", err_name((enum err_code)-row->code));
    if (want && want->revision <= row->revision)
        return accuse(c, row, "says that all up to %llu has been told, and revision %llu was not",
                      (unsigned long long)row->revision, (unsigned long long)want->revision);
    if (f->listing)
        return true;
    if (row->revision < f->certain)
        return accuse(c, row, "its progress went back from %llu", (unsigned long long)f->certain);
    if (row->revision < f->told)
        return accuse(c, row, "its progress is %llu, behind an event of %llu", (unsigned long long)row->revision,
                      (unsigned long long)f->told);
    if (row->revision < acknowledged_before(c, row))
        return accuse(c, row, "says \"none\" at %llu when %llu had been acknowledged", (unsigned long long)row->revision,
                      (unsigned long long)acknowledged_before(c, row));
    if (row->revision > youngest_newest(c, row->completed))
        return accuse(c, row, "its progress is %llu, which was not there", (unsigned long long)row->revision);
    f->certain = row->revision;
    return true;
}

static bool check_expired(struct checker *c, const struct follower *f, const struct row *row)
{
    return f->certain < floor_at_most(c, row) || accuse(c, row, "expired, and nobody compacted that far");
}

/* ready() was called once for each time that it was due: not more often; and while all are paused, not less. */
static bool check_ready(struct checker *c, const struct row *row)
{
    if (row->calls_min > 1)
        return accuse(c, row, "ready() was called %u times and due once", row->calls_min);
    if (row->client >= 0 || !row->was_none || row->code != 0)
        return true;
    if (row->calls_max == 0 && row->kind == ROW_EVENT)
        return accuse(c, row, "there is an event, and ready() was not called");
    if (row->calls_min > 0 && row->kind == ROW_NONE)
        return accuse(c, row, "ready() was called, and there is nothing");
    return true;
}

bool check_watch(struct checker *c, const struct row *opened)
{
    struct follower f = { .opened = opened, .certain = opened->asked, .listing = opened->until > 0 };
    const struct row *end = c->history->rows.items + c->history->rows.count;

    if (!check_opening(c, opened))
        return false;
    for (const struct row *row = opened + 1; row < end && opened->code == 0; row++) {
        if (row->watch != opened->watch || (row->kind != ROW_EVENT && row->kind != ROW_NONE && row->kind != ROW_EXPIRED))
            continue;
        if (!f.listing && !check_ready(c, row))
            return false;
        if (row->kind == ROW_EVENT ? !check_event(c, &f, row)
            : row->kind == ROW_NONE ? !check_none(c, &f, row)
                                    : !check_expired(c, &f, row))
            return false;
    }
    return true;
}
