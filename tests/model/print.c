/* print.c - a history for people. */
#include <stdio.h>

#include "history.h"

#define NUMBER(n) (unsigned long long)(n)

static void print_revision(const char *name, revision_t revision)
{
    if (revision == STORE_ANY)
        fprintf(stderr, " %s=any", name);
    else
        fprintf(stderr, " %s=%llu", name, NUMBER(revision));
}

static void print_key(int key)
{
    struct str name = key < 0 ? STR("(nobody's)") : key_name(key);

    if (name.len > 12) /* the long ones differ in their last letter */
        fprintf(stderr, " " STR_FMT "..%c", STR_ARG(str_first(name, 6)), name.data[name.len - 1]);
    else
        fprintf(stderr, " " STR_FMT, STR_ARG(name));
}

static void print_seen(struct seen seen)
{
    fprintf(stderr, "=%llu", NUMBER(seen.number));
    if (seen.spliced)
        fprintf(stderr, "@%llu", NUMBER(seen.spliced));
}

static void print_scope(const struct scope *scope)
{
    struct str prefix = scope_prefix(scope);

    fprintf(stderr, " %s=\"" STR_FMT "%s\"", scope->exact ? "key" : "prefix", STR_ARG(str_first(prefix, 12)),
            prefix.len > 12 ? ".." : "");
    if (scope->term >= 0)
        fprintf(stderr, " term=" STR_FMT, STR_ARG(str_first(term_name(scope->term), 8)));
}

static void print_commit(const struct row *row)
{
    static const char *const kinds[] = { "put", "delete", "check" };

    fprintf(stderr, "commit");
    for (size_t i = 0; i < row->txn.ops_count; i++) {
        const struct planned_op *op = &row->txn.ops[i];

        fprintf(stderr, "%s %s", i ? "," : "", kinds[op->kind]);
        print_key(op->key);
        if (op->kind != STORE_CHECK)
            print_seen((struct seen){ op->number, 0 });
        print_revision("if", op->expect);
    }
    if (row->term)
        fprintf(stderr, " in term %llu", NUMBER(row->term));
    if (row->code == 0 || row->revision > 0)
        fprintf(stderr, " -> revision %llu", NUMBER(row->revision));
    else if (row->code == -ERR_CONFLICT)
        fprintf(stderr, " -> conflict at %zu, present %llu", row->failed_op, NUMBER(row->present));
}

static void print_event(const struct seen_event *event)
{
    static const char *const kinds[] = { "created", "modified", "deleted" };

    fprintf(stderr, " %llu %s", NUMBER(event->revision), kinds[event->kind]);
    print_key(event->key);
    print_seen(event->value);
    fprintf(stderr, " before=%llu", NUMBER(event->previous_revision));
    print_seen(event->previous);
    fprintf(stderr, " by \"%s: %s\"", event->actor, event->rule);
}

static void print_read(const struct row *row)
{
    static const char *const kinds[] = { "get", "list", "count", "last change", "changes", "revision of time" };

    fprintf(stderr, "%s", kinds[row->query.kind]);
    print_revision("asked", row->asked);
    print_revision("at", row->revision);
    if (row->query.key >= 0)
        print_key(row->query.key);
    if (row->query.kind == QUERY_LIST || row->query.kind == QUERY_COUNT)
        print_scope(&row->query.scope);
    if (row->query.kind == QUERY_TIME)
        fprintf(stderr, " %lld -> %llu", (long long)row->time, NUMBER(row->found));
    if (row->query.kind == QUERY_CHANGE_AT && row->query_code == 0)
        print_event(&row->event);
    fprintf(stderr, " (%zu)", row->items_count);
    for (size_t i = 0; i < row->items_count && row->query.kind != QUERY_COUNT; i++) {
        print_key(row->items[i].key);
        print_seen(row->items[i].value);
        fprintf(stderr, " of %llu,", NUMBER(row->items[i].revision));
    }
    if (row->query_code < 0)
        fprintf(stderr, " -> %s", err_name((enum err_code)-row->query_code));
}

static void print_row(const struct row *row)
{
    switch (row->kind) {
    case ROW_COMMIT: print_commit(row); break;
    case ROW_READ: print_read(row); break;
    case ROW_WATCH:
        fprintf(stderr, "%s %d", row->until ? "changes" : "watch", row->watch);
        print_revision("after", row->asked);
        if (row->until)
            print_revision("until", row->until);
        print_scope(&row->scope);
        break;
    case ROW_EVENT:
        fprintf(stderr, "  watch %d:", row->watch);
        print_event(&row->event);
        break;
    case ROW_NONE: fprintf(stderr, "  watch %d: none up to %llu", row->watch, NUMBER(row->revision)); break;
    case ROW_EXPIRED: fprintf(stderr, "  watch %d: expired", row->watch); break;
    case ROW_COMPACT:
        fprintf(stderr, "%s", row->asked ? "compact" : "retain");
        print_revision("floor", row->asked);
        print_revision("then", row->until);
        break;
    case ROW_SYNC: fprintf(stderr, "sync"); break;
    case ROW_LED: fprintf(stderr, "led in term %llu", NUMBER(row->term)); break;
    case ROW_OPENED: fprintf(stderr, "opened: revision %llu, floor %llu", NUMBER(row->revision), NUMBER(row->until)); break;
    }
    if (row->code < 0 && row->code != -ERR_CONFLICT)
        fprintf(stderr, " -> %s", err_name((enum err_code)-row->code));
    fprintf(stderr, "\n");
}

void history_print(const struct history *history, size_t accused)
{
    for (size_t i = 0; i < history->rows.count; i++) {
        const struct row *row = &history->rows.items[i];

        fprintf(stderr, "%s %5llu-%-5llu ", i == accused ? ">>" : "  ", NUMBER(row->invoked), NUMBER(row->completed));
        if (row->client < 0)
            fprintf(stderr, "runner ");
        else
            fprintf(stderr, "client%d ", row->client);
        if (history->shared)
            fprintf(stderr, "store%d ", row->store);
        print_row(row);
    }
}

void history_deinit(struct history *history)
{
    vec_deinit(&history->rows);
}

int history_copy(const struct history *from, struct history *ret_to)
{
    struct history to = { .faults = from->faults, .full = from->full, .shared = from->shared };

    vec_each (&from->rows, row)
        if (vec_push(&to.rows, *row) < 0) {
            history_deinit(&to);
            return -1;
        }
    *ret_to = to;
    return 0;
}

/* Values have numbers of their own, and a transaction's rule has that of its first. */
void history_settle(struct history *history)
{
    vec_each (&history->rows, row) {
        if (row->kind != ROW_COMMIT || row->code != -ERR_TIMEOUT)
            continue;
        vec_each (&history->rows, told)
            if (told->kind == ROW_EVENT && strcmp(told->event.rule, row->rule) == 0)
                row->revision = told->event.revision;
    }
}
