/* diff.c - caravel diff: what became of the cluster between two times.
 *
 * The server's history tells which objects have changed at all; of these, and of no others, both states are read
 * (?asOf=) and compared. One object that is named is read at once. */
#include <stdio.h>

#include "base/map.h"
#include "cli/changes.h"
#include "cli/columns.h"
#include "cli/diff_fields.h"
#include "schema/time.h"

#define OBJECT_MEMORY (256u << 20) /* both states of one object, and their comparison */

struct diff {
    struct session_options session_options;
    const char *from_text, *to_text;
    char **words;
    size_t word_count;
    bool all_namespaces, all;

    struct session session;
    struct resources resources;
    struct str from, to;
    struct map seen; /* paths that have been compared; the session's arena */
    size_t printed;
};

enum { OPT_FROM = 256, OPT_TO, OPT_ALL };

static const struct argp_option options[] = {
    { "from", OPT_FROM, "WHEN", 0, "the state before: a revision (120), a time (2026-01-02T15:04:05Z), or how long ago (10m)",
      0 },
    { "to", OPT_TO, "WHEN", 0, "the state after; now by default", 0 },
    { "all-namespaces", 'A', NULL, 0, "in all namespaces, and what is in none", 0 },
    { "all", OPT_ALL, NULL, 0, "with status, managedFields and versions; without a TYPE also events and leases", 0 },
    { 0 },
};

static error_t parse(int key, char *value, struct argp_state *state)
{
    struct diff *diff = state->input;

    switch (key) {
    case ARGP_KEY_INIT: state->child_inputs[0] = &diff->session_options; return 0;
    case OPT_FROM: diff->from_text = value; return 0;
    case OPT_TO: diff->to_text = value; return 0;
    case 'A': diff->all_namespaces = true; return 0;
    case OPT_ALL: diff->all = true; return 0;
    case ARGP_KEY_ARGS:
        diff->words = state->argv + state->next;
        diff->word_count = (size_t)(state->argc - state->next);
        return 0;
    default: return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp_child children[] = { { &session_argp, 0, NULL, 0 }, { 0 } };
const struct argp diff_argp = {
    options, parse, "--from WHEN [--to WHEN]\n--from WHEN [--to WHEN] TYPE [NAME]\n--from WHEN [--to WHEN] TYPE/NAME",
    "Shows what was created, changed and deleted between two times, and the fields that differ.\v"
    "The values of secrets are not shown.\n\n"
    "Examples:\n"
    "  caravel diff --from 10m\n"
    "  caravel diff --from 2026-01-02T15:00:00Z --to 2026-01-02T16:00:00Z -A deployments\n"
    "  caravel diff --from 120 --to 140 deployment/web",
    children, NULL, NULL,
};

static int no_memory(struct err *err)
{
    return err_set(err, ERR_NO_MEMORY, "comparison");
}

/* -- one object -- */

/* *ret_object NULL: it was not there. */
static int state_at(struct diff *diff, struct str path, struct str when, struct arena *arena, struct json **ret_object,
                    struct err *err)
{
    AUTO_DEINIT(buf, url) = BUF_INIT;
    char separator = '?';

    buf_add_str(&url, path);
    rest_param(&url, &separator, "asOf", when);
    const struct session_request request = { .path = buf_str(&url) };
    int code = buf_ok(&url) ? session_json(&diff->session, &request, arena, NULL, ret_object, err) : no_memory(err);

    if (code == -ERR_NOT_FOUND) {
        err_clear(err);
        *ret_object = NULL;
        return 0;
    }
    return code;
}

static void print_change(struct arena *arena, const struct field_change *change, bool secret)
{
    secret = secret && (str_has_prefix(change->path, STR("data")) || str_has_prefix(change->path, STR("stringData")) ||
                        str_has_prefix(change->path, STR("metadata.annotations")));
    fputs("  ", stdout);
    text_print(change->path, stdout);
    fputs(": ", stdout);
    text_print(secret && change->old ? STR("(hidden)") : field_value_text(arena, change->old), stdout);
    fputs(" -> ", stdout);
    text_print(secret && change->new ? STR("(hidden)") : field_value_text(arena, change->new), stdout);
    putchar('\n');
}

static void print_line(struct diff *diff, const char *what, struct str object)
{
    printf("%s ", what);
    text_print(object, stdout);
    putchar('\n');
    diff->printed++;
}

static int compare(struct diff *diff, const struct resource *resource, struct str path, struct str object,
                   struct err *err)
{
    AUTO(arena) arena = arena_new(OBJECT_MEMORY);
    struct json *old, *new;
    struct field_changes changes;
    int code;

    if (!arena)
        return no_memory(err);
    if ((code = state_at(diff, path, diff->from, arena, &old, err)) < 0 ||
        (code = state_at(diff, path, diff->to, arena, &new, err)) < 0)
        return code;
    if (!old || !new) {
        if (old || new)
            print_line(diff, old ? "deleted" : "created", object);
        return 0;
    }
    field_changes_init(&changes, arena, diff->all);
    field_changes_find(&changes, old, new);
    if (changes.items.count)
        print_line(diff, "changed", object);
    for (size_t i = 0; i < changes.items.count; i++)
        print_change(arena, &changes.items.items[i], str_is(resource->plural, "secrets") && str_empty(resource->group));
    code = changes.failed ? no_memory(err) : 0;
    field_changes_deinit(&changes);
    return code;
}

/* -- what has changed -- */

/* What comes and goes all the time. */
static bool is_noise(const struct json *change)
{
    struct str plural = json_str_at(change, "resource");

    return str_is(plural, "events") || str_is(plural, "leases");
}

static bool is_wanted(const struct diff *diff, const struct json *change, const struct target *target)
{
    if (target)
        return true; /* the server has chosen */
    if (!diff->all && is_noise(change))
        return false;
    return diff->all_namespaces || str_eq(json_str_at(change, "namespace"), diff->session.ns);
}

static int compare_change(struct diff *diff, const struct json *change, struct err *err)
{
    struct arena *arena = &diff->session.arena;
    const struct resource *resource = change_resource(&diff->resources, arena, change);
    AUTO_DEINIT(buf, path) = BUF_INIT;
    struct str ns = json_str_at(change, "namespace"), kept;

    if (!resource)
        return 0; /* its kind is gone, and what it was with it */
    rest_path(&path, resource, ns.data ? ns : STR_NULL, json_str_at(change, "name"), STR_NULL);
    if (!buf_ok(&path))
        return no_memory(err);
    if (map_get(&diff->seen, buf_str(&path)))
        return 0;
    kept = arena_str(arena, buf_str(&path));
    if (!kept.data || map_put(&diff->seen, kept, diff, NULL) < 0)
        return no_memory(err);
    return compare(diff, resource, kept, change_object(&diff->resources, arena, change), err);
}

/* The query of all pages; the end is fixed before, so that all states fit together. */
static int range_query(struct diff *diff, const struct target *target, struct str *ret_query, struct err *err)
{
    AUTO_DEINIT(buf, query) = BUF_INIT;
    AUTO_DEINIT(buf, path) = BUF_INIT;
    char separator = '&';

    buf_add_cstr(&query, "limit=1000");
    rest_param(&query, &separator, "from", diff->from);
    rest_param(&query, &separator, "to", diff->to);
    if (target) {
        rest_path(&path, target->resource, diff->all_namespaces ? STR_NULL : diff->session.ns, STR_NULL, STR_NULL);
        rest_param(&query, &separator, "resource", buf_str(&path));
    }
    *ret_query = buf_ok(&query) && buf_ok(&path) ? arena_str(&diff->session.arena, buf_str(&query)) : STR_NULL;
    return ret_query->data ? 0 : no_memory(err);
}

static int compare_range(struct diff *diff, const struct target *target, struct err *err)
{
    struct str query, next = STR_NULL;
    AUTO_FREE char *kept = NULL; /* the continuation, beyond its page */
    int code = range_query(diff, target, &query, err);

    while (code == 0) {
        AUTO(arena) arena = arena_new(0);
        struct json *list;

        if (!arena)
            return no_memory(err);
        if ((code = changes_page(&diff->session, query, false, next, arena, &list, err)) < 0)
            return code;
        const struct json *items = json_member(list, "items");

        for (uint32_t i = 0; code == 0 && json_is(items, JSON_ARRAY) && i < items->count; i++)
            if (is_wanted(diff, &items->items[i], target))
                code = compare_change(diff, &items->items[i], err);
        next = json_str_at(list, "metadata.continue");
        if (!next.len)
            return code;
        free(kept);
        if (!(kept = str_dup(next)))
            return no_memory(err);
        next = str_from(kept);
    }
    return code;
}

static int compare_target(struct diff *diff, const struct target *target, struct err *err)
{
    struct str ns = target->ns.len ? target->ns : diff->session.ns, object;
    struct arena *arena = &diff->session.arena;
    AUTO_DEINIT(buf, path) = BUF_INIT;

    if (!target->name.len)
        return compare_range(diff, target, err);
    rest_path(&path, target->resource, ns, target->name, STR_NULL);
    object = target->resource->namespaced
                 ? arena_printf(arena, STR_FMT " " STR_FMT "/" STR_FMT, STR_ARG(target->resource->kind), STR_ARG(ns),
                                STR_ARG(target->name))
                 : arena_printf(arena, STR_FMT " " STR_FMT, STR_ARG(target->resource->kind), STR_ARG(target->name));
    return buf_ok(&path) && object.data ? compare(diff, target->resource, buf_str(&path), object, err) : no_memory(err);
}

/* Before the cluster's first change there is nothing to read: then its first state is the one before. */
static void fix_begin(struct diff *diff, const struct json *list)
{
    const struct json *items = json_member(list, "items");
    const struct json *first = json_is(items, JSON_ARRAY) && items->count ? &items->items[0] : NULL;
    nsec_t from, began;

    if (json_int(json_member(first, "revision"), 0) == 1 && api_time_parse(diff->from, &from) &&
        api_time_parse(json_str_at(first, "time"), &began) && from < began)
        diff->from = STR("1");
}

/* Now is the newest revision of now. */
static int fix_range(struct diff *diff, nsec_t now, struct err *err)
{
    struct arena *arena = &diff->session.arena;
    struct json *list;
    int code;

    if ((code = changes_when(arena, "--from", diff->from_text, now, &diff->from, err)) < 0 ||
        (diff->to_text && (code = changes_when(arena, "--to", diff->to_text, now, &diff->to, err)) < 0) ||
        (code = changes_page(&diff->session, STR("limit=1"), false, STR_NULL, arena, &list, err)) < 0)
        return code;
    fix_begin(diff, list);
    if (!diff->to_text)
        diff->to = json_str_at(list, "metadata.resourceVersion");
    return 0;
}

static int run(struct diff *diff, struct err *err)
{
    nsec_t now = clock_wall(clock_real());
    struct targets targets = { 0 };
    int code = session_open(&diff->session, &diff->session_options, err);

    resources_init(&diff->resources, &diff->session);
    if (code < 0 || (code = fix_range(diff, now, err)) < 0)
        return code;
    if (diff->word_count &&
        (code = targets_parse(&diff->resources, diff->words, diff->word_count, &targets, err)) < 0)
        return code;
    if (!targets.count)
        code = compare_range(diff, NULL, err);
    for (size_t i = 0; code == 0 && i < targets.count; i++)
        code = compare_target(diff, &targets.items[i], err);
    if (code == 0 && !diff->printed)
        fputs("Nothing differs\n", stderr);
    return code;
}

int diff_main(int argc, char **argv)
{
    struct diff diff = { 0 };
    struct err err = { 0 };

    if (cli_parse(&diff_argp, argc, argv, &diff) != 0)
        return 2;
    if (!diff.from_text)
        return cli_usage_error("diff", "say from when: --from WHEN");
    map_init(&diff.seen);
    int code = run(&diff, &err);

    map_deinit(&diff.seen);
    resources_deinit(&diff.resources);
    session_close(&diff.session);
    return code < 0 ? cli_fail(&err) : 0;
}
