/* describe.c - caravel describe: objects in words, with the events about them. */
#include <stdio.h>

#include "cli/describe_object.h"
#include "cli/describe_related.h"
#include "cli/manifest.h"
#include "schema/time.h"

#define EVENTS_MAX 500

struct describe {
    struct session_options session_options;
    struct file_options files;
    char **words;
    size_t word_count;
    struct str label_selector;
    bool all_namespaces, no_events;

    struct session session;
    struct resources resources;
    struct manifests manifests;
    struct targets targets;
    size_t described;
    bool failed;
};

enum { OPT_SHOW_EVENTS = 256 };

static const struct argp_option options[] = {
    { "all-namespaces", 'A', NULL, 0, "in all namespaces", 0 },
    { "selector", 'l', "LABELS", 0, "only objects with these labels", 0 },
    { "show-events", OPT_SHOW_EVENTS, "true|false", 0, "with the events about the object (true)", 0 },
    { 0 },
};

static error_t parse(int key, char *value, struct argp_state *state)
{
    struct describe *describe = state->input;

    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &describe->files;
        state->child_inputs[1] = &describe->session_options;
        return 0;
    case 'A': describe->all_namespaces = true; return 0;
    case 'l': describe->label_selector = str_from(value); return 0;
    case OPT_SHOW_EVENTS:
        if (strcmp(value, "true") != 0 && strcmp(value, "false") != 0)
            argp_error(state, "--show-events %s: expected true or false", value);
        describe->no_events = strcmp(value, "false") == 0;
        return 0;
    case ARGP_KEY_ARGS:
        describe->words = state->argv + state->next;
        describe->word_count = (size_t)(state->argc - state->next);
        return 0;
    default: return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp_child children[] = { { &files_argp, 0, NULL, 0 }, { &session_argp, 0, NULL, 0 }, { 0 } };
const struct argp describe_argp = {
    options, parse, "TYPE [NAME...]\nTYPE/NAME...\n-f FILE",
    "Describes objects: everything about them, in a form for people, and the events about them.\v"
    "A name that is not there stands for all that begin with it. The values of secrets are not shown.\n\n"
    "Examples:\n"
    "  caravel describe pod web\n"
    "  caravel describe node\n"
    "  caravel describe deployment/web service/web",
    children, NULL, NULL,
};

/* -- events -- */

static struct str event_age(struct arena *arena, const struct json *event, nsec_t now)
{
    int64_t count = json_int(json_member(event, "count"), 1);
    struct str last = json_str_at(event, "lastTimestamp"), first = json_str_at(event, "firstTimestamp");
    char since_last[API_TIME_LEN], since_first[API_TIME_LEN];
    nsec_t at, begun;

    if (!last.len)
        last = json_str_at(event, "eventTime");
    if (!last.len)
        last = json_str_at(event, "metadata.creationTimestamp");
    if (!api_time_parse(last, &at))
        return STR("<unknown>");
    duration_text(MAX(now - at, (nsec_t)0), since_last);
    if (count < 2 || !api_time_parse(first, &begun))
        return arena_printf(arena, "%s", since_last);
    duration_text(MAX(now - begun, (nsec_t)0), since_first);
    return arena_printf(arena, "%s (x%lld over %s)", since_last, (long long)count, since_first);
}

static struct str event_source(const struct json *event)
{
    struct str source = json_str_at(event, "source.component");

    return source.len ? source : json_str_at(event, "reportingComponent");
}

static void add_events(struct doc *doc, const struct json *items, nsec_t now)
{
    static const struct str heading[] = { STR_INIT("TYPE"), STR_INIT("REASON"), STR_INIT("AGE"), STR_INIT("FROM"),
                                          STR_INIT("MESSAGE") };
    VEC(struct str) cells = VEC_INIT;

    for (size_t i = 0; i < ARRAY_LEN(heading); i++)
        doc->failed = vec_push(&cells, heading[i]) < 0 || doc->failed;
    for (uint32_t i = 0; i < items->count; i++) {
        const struct json *event = &items->items[i];
        const struct str row[] = { json_str_at(event, "type"), json_str_at(event, "reason"),
                                   event_age(doc->arena, event, now), event_source(event),
                                   str_trim(json_str_at(event, "message")) };

        for (size_t c = 0; c < ARRAY_LEN(row); c++)
            doc->failed = vec_push(&cells, row[c]) < 0 || doc->failed;
    }
    doc_add(doc, 0, STR("Events"), STR_NULL);
    if (!doc->failed)
        doc_table(doc, 1, ARRAY_LEN(heading), cells.items, cells.count);
    vec_deinit(&cells);
}

/* Nodes write events under their name instead of their uid; so the uid is left out for what has no namespace. */
static int describe_events(struct describe *describe, struct doc *doc, const struct resource *resource, struct str ns,
                           struct str name, struct str uid, nsec_t now, struct err *err)
{
    struct arena *arena = doc->arena;
    AUTO_DEINIT(buf, path) = BUF_INIT;
    char separator = '?', limit[16];
    struct json *list;

    buf_add_cstr(&path, "/api/v1");
    if (ns.len) {
        buf_add_cstr(&path, "/namespaces/");
        http_escape(&path, ns);
    }
    buf_add_cstr(&path, "/events");
    snprintf(limit, sizeof limit, "%d", EVENTS_MAX);
    rest_param(&path, &separator, "fieldSelector",
               arena_printf(arena, "involvedObject.kind=" STR_FMT ",involvedObject.name=" STR_FMT "%s" STR_FMT,
                            STR_ARG(resource->kind), STR_ARG(name), ns.len ? ",involvedObject.uid=" : "",
                            STR_ARG(ns.len ? uid : STR(""))));
    rest_param(&path, &separator, "limit", str_from(limit));
    const struct session_request request = { .path = buf_str(&path) };
    int code = buf_ok(&path) ? session_json(&describe->session, &request, arena, NULL, &list, err)
                             : err_set(err, ERR_NO_MEMORY, "request");

    if (code < 0)
        return err_wrap(err, code, "its events");
    const struct json *items = json_member(list, "items");

    if (json_is(items, JSON_ARRAY) && items->count)
        add_events(doc, items, now);
    else
        doc_add(doc, 0, STR("Events"), STR("<none>"));
    return 0;
}

/* -- objects -- */

static int describe_one(struct describe *describe, const struct resource *resource, struct json *object, struct err *err)
{
    AUTO(arena) arena = arena_new(0);
    nsec_t now = clock_wall(clock_real());
    struct doc doc;
    int code = 0;

    if (!arena)
        return err_set(err, ERR_NO_MEMORY, "description");
    struct str ns = json_str_at(object, "metadata.namespace"), name = json_str_at(object, "metadata.name");
    struct str uid = json_str_at(object, "metadata.uid");
    const struct json *whole = json_copy(arena, object); /* a description takes it to pieces */

    if (!whole)
        return err_set(err, ERR_NO_MEMORY, "description");
    doc_init(&doc, arena);
    describe_object(&doc, resource, object, now);
    code = describe_related(&doc, &describe->session, resource, whole, now, err);
    if (code == 0 && !describe->no_events)
        code = describe_events(describe, &doc, resource, ns, name, uid, now, err);
    if (describe->described++)
        fputs("\n\n", stdout);
    int printed = doc_print(&doc, stdout, code < 0 ? NULL : err);

    doc_deinit(&doc);
    return code < 0 ? code : printed;
}

/* prefix: only names that begin so; unset: all. */
static int describe_list(struct describe *describe, const struct resource *resource, struct str prefix, size_t *ret_count,
                         struct err *err)
{
    struct str ns = describe->all_namespaces ? STR_NULL : describe->session.ns;
    AUTO_DEINIT(buf, path) = BUF_INIT;
    char separator = '?';
    struct json *list;

    rest_path(&path, resource, ns, STR_NULL, STR_NULL);
    rest_param(&path, &separator, "labelSelector", describe->label_selector);
    const struct session_request request = { .path = buf_str(&path) };
    int code = buf_ok(&path) ? session_json(&describe->session, &request, &describe->session.arena, NULL, &list, err)
                             : err_set(err, ERR_NO_MEMORY, "request");
    const struct json *items = code == 0 ? json_member(list, "items") : NULL;

    for (uint32_t i = 0; code == 0 && json_is(items, JSON_ARRAY) && i < items->count; i++) {
        if (!str_has_prefix(json_str_at(&items->items[i], "metadata.name"), prefix))
            continue;
        ++*ret_count;
        code = describe_one(describe, resource, &items->items[i], err);
    }
    return code;
}

static int describe_target(struct describe *describe, const struct target *target, struct err *err)
{
    AUTO_DEINIT(buf, path) = BUF_INIT;
    struct err missing = { 0 };
    struct json *object;
    size_t count = 0;
    int code;

    if (!target->name.len) {
        code = describe_list(describe, target->resource, STR_NULL, &count, err);
        if (code == 0 && count == 0)
            fprintf(stderr, "No resources found\n");
        return code;
    }
    rest_path(&path, target->resource, target->ns.len ? target->ns : describe->session.ns, target->name, STR_NULL);
    const struct session_request request = { .path = buf_str(&path) };

    code = buf_ok(&path) ? session_json(&describe->session, &request, &describe->session.arena, NULL, &object, &missing)
                         : err_set(&missing, ERR_NO_MEMORY, "request");
    if (code == 0)
        return describe_one(describe, target->resource, object, err);
    if (code == -ERR_NOT_FOUND && (code = describe_list(describe, target->resource, target->name, &count, err)) < 0)
        return code;
    if (count)
        return 0;
    *err = missing;
    return -(int)missing.code;
}

static int run(struct describe *describe, struct err *err)
{
    int code = session_open(&describe->session, &describe->session_options, err);

    resources_init(&describe->resources, &describe->session);
    manifests_init(&describe->manifests, &describe->session.arena);
    if (code == 0 && describe->files.count) {
        manifests_read_all(&describe->manifests, &describe->files);
        describe->failed = describe->manifests.failed;
        code = manifests_targets(&describe->manifests, &describe->resources, describe->session_options.ns,
                                 &describe->targets, err);
    } else if (code == 0) {
        code = targets_parse(&describe->resources, describe->words, describe->word_count, &describe->targets, err);
    }
    if (code < 0)
        return code;
    for (size_t i = 0; i < describe->targets.count; i++)
        if (describe_target(describe, &describe->targets.items[i], err) < 0) {
            cli_fail(err);
            describe->failed = true;
        }
    return 0;
}

int describe_main(int argc, char **argv)
{
    struct describe describe = { 0 };
    struct err err = { 0 };

    if (cli_parse(&describe_argp, argc, argv, &describe) != 0)
        return 2;
    if (!describe.word_count == !describe.files.count)
        return cli_usage_error("describe", describe.word_count ? "-f and TYPE exclude one another"
                                                               : "say what to describe: TYPE NAME, or -f FILE");
    int code = run(&describe, &err);

    manifests_deinit(&describe.manifests);
    resources_deinit(&describe.resources);
    session_close(&describe.session);
    return code < 0 ? cli_fail(&err) : describe.failed;
}
