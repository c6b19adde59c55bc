/* why.c - caravel why: from the last change of an object back to what began it.
 *
 * Each change names the revision that made somebody act. So the chain is followed from revision to revision, always
 * towards older ones, until one has no such cause: a person, a timer, a node. */
#include <stdio.h>

#include "cli/changes.h"
#include "cli/columns.h"

#define STEPS_MAX 1000

struct why {
    struct session_options session_options;
    char **words;
    size_t word_count;
    bool no_headers;

    struct session session;
    struct resources resources;
    struct columns columns;
};

enum { OPT_NO_HEADERS = 256 };

static const struct argp_option options[] = {
    { "no-headers", OPT_NO_HEADERS, NULL, 0, "without the heading", 0 },
    { 0 },
};

static error_t parse(int key, char *value, struct argp_state *state)
{
    struct why *why = state->input;

    (void)value;
    switch (key) {
    case ARGP_KEY_INIT: state->child_inputs[0] = &why->session_options; return 0;
    case OPT_NO_HEADERS: why->no_headers = true; return 0;
    case ARGP_KEY_ARGS:
        why->words = state->argv + state->next;
        why->word_count = (size_t)(state->argc - state->next);
        return 0;
    default: return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp_child children[] = { { &session_argp, 0, NULL, 0 }, { 0 } };
const struct argp why_argp = {
    options, parse, "TYPE NAME\nTYPE/NAME",
    "Tells why an object is as it is: its last change, who made it, and because of what, back to a person, a timer or a "
    "node.\v"
    "The object may be deleted already. Each line is one change; BECAUSE OF names the revision of the change below "
    "it.\n\n"
    "Examples:\n"
    "  caravel why pod/web-7d4b9\n"
    "  caravel why -n shop deployment web",
    children, NULL, NULL,
};

static struct str happened(struct str type)
{
    return str_is(type, "ADDED") ? STR("created") : str_is(type, "DELETED") ? STR("deleted") : STR("changed");
}

static void add_heading(struct why *why)
{
    static const char *const heading[] = { "TIME", "REVISION", "CHANGE", "BY", "RULE", "BECAUSE OF" };

    columns_init(&why->columns, ARRAY_LEN(heading));
    for (size_t i = 0; i < ARRAY_LEN(heading) && !why->no_headers; i++)
        columns_add(&why->columns, str_from(heading[i]));
}

static void add_change(struct why *why, const struct json *change)
{
    struct arena *arena = &why->session.arena;
    long long revision = json_int(json_member(change, "revision"), 0), trigger = json_int(json_member(change, "trigger"), 0);
    struct str time = json_str_at(change, "time"), type = happened(json_str_at(change, "type"));

    columns_add(&why->columns, time.len ? time : STR("<unknown>"));
    columns_add(&why->columns, arena_printf(arena, "%lld", revision));
    columns_add(&why->columns, arena_concat(arena, type, STR(" "), change_object(&why->resources, arena, change)));
    columns_add(&why->columns, json_str_at(change, "actor"));
    columns_add(&why->columns, json_str_at(change, "rule"));
    columns_add(&why->columns, trigger ? arena_printf(arena, "%lld", trigger) : STR("-"));
}

/* All changes of one revision have one cause: *ret_trigger; 0: none, or it cannot have been one. */
static void add_changes(struct why *why, const struct json *items, int64_t *ret_trigger)
{
    int64_t revision = 0;

    *ret_trigger = 0;
    for (uint32_t i = 0; json_is(items, JSON_ARRAY) && i < items->count; i++) {
        add_change(why, &items->items[i]);
        *ret_trigger = json_int(json_member(&items->items[i], "trigger"), 0);
        revision = json_int(json_member(&items->items[i], "revision"), 0);
    }
    if (*ret_trigger >= revision)
        *ret_trigger = 0;
}

static int last_change(struct why *why, const struct target *target, const struct json **ret_items, struct err *err)
{
    struct str ns = target->ns.len ? target->ns : why->session.ns;
    AUTO_DEINIT(buf, path) = BUF_INIT;
    AUTO_DEINIT(buf, query) = BUF_INIT;
    struct json *list;

    rest_path(&path, target->resource, ns, target->name, STR_NULL);
    buf_add_cstr(&query, "limit=1&object=");
    http_escape(&query, buf_str(&path));
    int code = buf_ok(&path) && buf_ok(&query)
                   ? changes_page(&why->session, buf_str(&query), false, STR_NULL, &why->session.arena, &list, err)
                   : err_set(err, ERR_NO_MEMORY, "request");

    if (code < 0)
        return code;
    *ret_items = json_member(list, "items");
    if (!json_is(*ret_items, JSON_ARRAY) || !(*ret_items)->count)
        return err_set(err, ERR_NOT_FOUND, "no change of " STR_FMT "/" STR_FMT " is retained",
                       STR_ARG(resource_type_name(&why->session.arena, target->resource)), STR_ARG(target->name));
    return 0;
}

static int follow(struct why *why, int64_t trigger, const char **ret_end, struct err *err)
{
    for (int steps = 0; trigger > 0 && steps < STEPS_MAX; steps++) {
        struct str query = arena_printf(&why->session.arena, "revision=%lld", (long long)trigger);
        struct json *list = NULL;
        int code = query.data ? changes_page(&why->session, query, false, STR_NULL, &why->session.arena, &list, err)
                              : err_set(err, ERR_NO_MEMORY, "request");
        const struct json *items = json_member(list, "items");

        if (code == -ERR_EXPIRED || (code == 0 && (!json_is(items, JSON_ARRAY) || !items->count))) {
            *ret_end = "What was before is no longer retained.";
            return 0;
        }
        if (code < 0)
            return code;
        add_changes(why, items, &trigger);
    }
    if (trigger > 0)
        *ret_end = "There is more.";
    return 0;
}

static int run(struct why *why, struct err *err)
{
    const struct json *items;
    const char *end = NULL;
    struct targets targets;
    int64_t trigger;
    int code = session_open(&why->session, &why->session_options, err);

    resources_init(&why->resources, &why->session);
    if (code < 0 || (code = targets_parse(&why->resources, why->words, why->word_count, &targets, err)) < 0)
        return code;
    if (targets.count != 1 || !targets.items[0].name.len)
        return err_set(err, ERR_BAD_REQUEST, "say which object: TYPE NAME or TYPE/NAME, one of them");
    if ((code = last_change(why, &targets.items[0], &items, err)) < 0)
        return code;
    add_heading(why);
    add_changes(why, items, &trigger);
    code = follow(why, trigger, &end, err);
    if (columns_flush(&why->columns, stdout) < 0 && code == 0)
        code = err_set(err, ERR_NO_MEMORY, "output");
    columns_deinit(&why->columns);
    if (code == 0 && end)
        puts(end);
    return code;
}

int why_main(int argc, char **argv)
{
    struct why why = { 0 };
    struct err err = { 0 };

    if (cli_parse(&why_argp, argc, argv, &why) != 0)
        return 2;
    if (!why.word_count)
        return cli_usage_error("why", "say which object: TYPE NAME or TYPE/NAME");
    int code = run(&why, &err);

    resources_deinit(&why.resources);
    session_close(&why.session);
    return code < 0 ? cli_fail(&err) : 0;
}
