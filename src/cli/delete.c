/* delete.c - caravel delete: removes objects, and waits until they are gone.
 *
 * First all are asked to go, then each is watched to its end: what is deleted together ends together. */
#include <stdio.h>

#include "cli/duration.h"
#include "cli/manifest.h"

struct victim {
    const struct resource *resource;
    struct str name, ns, uid;
};

struct delete {
    struct session_options session_options;
    struct file_options files;
    char **words;
    size_t word_count;
    struct str label_selector, field_selector, cascade;
    int grace; /* seconds; -1: the object's own */
    bool all, all_namespaces, now, force, no_wait, ignore_not_found;
    nsec_t timeout; /* 0: none */

    struct session session;
    struct resources resources;
    struct manifests manifests;
    struct targets targets;
    VEC(struct victim) victims;
    bool failed;
};

enum {
    OPT_ALL = 256,
    OPT_CASCADE,
    OPT_FIELD_SELECTOR,
    OPT_FORCE,
    OPT_GRACE,
    OPT_IGNORE_NOT_FOUND,
    OPT_NOW,
    OPT_TIMEOUT,
    OPT_WAIT,
};

static const struct argp_option options[] = {
    { "all", OPT_ALL, NULL, 0, "all objects of the type in the namespace", 0 },
    { "all-namespaces", 'A', NULL, 0, "with -l or --all: in all namespaces", 0 },
    { "selector", 'l', "LABELS", 0, "those with these labels", 0 },
    { "field-selector", OPT_FIELD_SELECTOR, "FIELDS", 0, "those with these fields", 0 },
    { "cascade", OPT_CASCADE, "background|foreground|orphan", 0,
      "what becomes of the objects it owns: deleted after it (the default), before it, or left", 0 },
    { "grace-period", OPT_GRACE, "SECONDS", 0, "the time a pod has to end by itself (as it asks for)", 0 },
    { "now", OPT_NOW, NULL, 0, "with a second of grace", 0 },
    { "force", OPT_FORCE, NULL, 0, "without any grace; the object goes before its containers are known to have ended", 0 },
    { "wait", OPT_WAIT, "true|false", OPTION_ARG_OPTIONAL, "wait until the objects are gone (true)", 0 },
    { "timeout", OPT_TIMEOUT, "DURATION", 0, "how long to wait, for example 30s (without end)", 0 },
    { "ignore-not-found", OPT_IGNORE_NOT_FOUND, NULL, 0, "an object that is not there is no error", 0 },
    { 0 },
};

static void parse_wait(struct delete *delete, const char *value, struct argp_state *state)
{
    if (value && strcmp(value, "true") != 0 && strcmp(value, "false") != 0)
        argp_error(state, "--wait %s: expected true or false", value);
    delete->no_wait = value && strcmp(value, "false") == 0;
}

static void parse_cascade(struct delete *delete, const char *value, struct argp_state *state)
{
    static const struct {
        const char *word;
        struct str policy;
    } rows[] = {
        { "background", STR_INIT("Background") },
        { "foreground", STR_INIT("Foreground") },
        { "orphan", STR_INIT("Orphan") },
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (strcmp(value, rows[i].word) == 0)
            delete->cascade = rows[i].policy;
    if (!delete->cascade.len)
        argp_error(state, "--cascade %s: expected background, foreground or orphan", value);
}

static error_t parse(int key, char *value, struct argp_state *state)
{
    struct delete *delete = state->input;

    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &delete->files;
        state->child_inputs[1] = &delete->session_options;
        return 0;
    case OPT_ALL: delete->all = true; return 0;
    case 'A': delete->all_namespaces = true; return 0;
    case 'l': delete->label_selector = str_from(value); return 0;
    case OPT_FIELD_SELECTOR: delete->field_selector = str_from(value); return 0;
    case OPT_CASCADE: parse_cascade(delete, value, state); return 0;
    case OPT_GRACE: delete->grace = option_number(state, "--grace-period", value, -1, INT32_MAX); return 0;
    case OPT_NOW: delete->now = true; return 0;
    case OPT_FORCE: delete->force = true; return 0;
    case OPT_WAIT: parse_wait(delete, value, state); return 0;
    case OPT_TIMEOUT:
        if (!duration_parse(str_from(value), &delete->timeout))
            argp_error(state, "--timeout %s: expected a time such as 30s or 2m", value);
        return 0;
    case OPT_IGNORE_NOT_FOUND: delete->ignore_not_found = true; return 0;
    case ARGP_KEY_ARGS:
        delete->words = state->argv + state->next;
        delete->word_count = (size_t)(state->argc - state->next);
        return 0;
    default: return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp_child children[] = { { &files_argp, 0, NULL, 0 }, { &session_argp, 0, NULL, 0 }, { 0 } };
const struct argp delete_argp = {
    options, parse, "TYPE NAME...\nTYPE/NAME...\nTYPE -l LABELS\nTYPE --all\n-f FILE",
    "Removes objects, and waits until they are gone.\v"
    "Examples:\n"
    "  caravel delete pod web\n"
    "  caravel delete -f examples/ --ignore-not-found\n"
    "  caravel delete pods,services -l app=web --wait=false",
    children, NULL, NULL,
};

static void fail(struct delete *delete, const struct err *err)
{
    cli_fail(err);
    delete->failed = true;
}

/* -- who -- */

static int add_victim(struct delete *delete, const struct resource *resource, struct str ns, struct str name, struct err *err)
{
    return vec_push(&delete->victims, ((struct victim){ resource, name, ns, STR_NULL })) < 0
               ? err_set(err, ERR_NO_MEMORY, "delete")
               : 0;
}

static int add_selected(struct delete *delete, const struct resource *resource, struct err *err)
{
    AUTO_DEINIT(buf, path) = BUF_INIT;
    char separator = '?';
    struct json *list;

    rest_path(&path, resource, delete->all_namespaces ? STR_NULL : delete->session.ns, STR_NULL, STR_NULL);
    rest_param(&path, &separator, "labelSelector", delete->label_selector);
    rest_param(&path, &separator, "fieldSelector", delete->field_selector);
    const struct session_request request = { .path = buf_str(&path), .accept = ACCEPT_PARTIAL_LIST };
    int code = buf_ok(&path) ? session_json(&delete->session, &request, &delete->session.arena, NULL, &list, err)
                             : err_set(err, ERR_NO_MEMORY, "request");
    const struct json *items = code == 0 ? json_member(list, "items") : NULL;

    for (uint32_t i = 0; code == 0 && json_is(items, JSON_ARRAY) && i < items->count; i++)
        code = add_victim(delete, resource, json_str_at(&items->items[i], "metadata.namespace"),
                          json_str_at(&items->items[i], "metadata.name"), err);
    return code;
}

static int find_victims(struct delete *delete, struct err *err)
{
    bool selected = delete->label_selector.len || delete->field_selector.len || delete->all;

    for (size_t i = 0; i < delete->targets.count; i++) {
        const struct target *target = &delete->targets.items[i];
        int code;

        if (target->name.len && selected)
            return err_set(err, ERR_BAD_REQUEST, "a name excludes -l, --field-selector and --all");
        if (target->name.len && delete->all_namespaces)
            return err_set(err, ERR_BAD_REQUEST, "a name and -A exclude one another; say -n NAMESPACE");
        if (!target->name.len && !selected)
            return err_set(err, ERR_BAD_REQUEST, "say which " STR_FMT ": by name, by -l LABELS, or --all",
                           STR_ARG(target->resource->plural));
        code = target->name.len
                   ? add_victim(delete, target->resource, target->ns.len ? target->ns : delete->session.ns, target->name, err)
                   : add_selected(delete, target->resource, err);
        if (code < 0)
            return code;
    }
    return 0;
}

/* -- asking them to go -- */

static int make_options(const struct delete *delete, struct buf *text, struct err *err)
{
    struct json_writer w = json_writer(text);
    int grace = delete->force ? 0 : delete->now ? 1 : delete->grace;

    if (grace == 0 && !delete->force)
        grace = 1; /* without any grace its name would be free before it has ended: only by force */
    jw_begin_object(&w);
    jw_field_str(&w, "apiVersion", STR("v1"));
    if (grace >= 0)
        jw_field_int(&w, "gracePeriodSeconds", grace);
    jw_field_str(&w, "kind", STR("DeleteOptions"));
    jw_field_str(&w, "propagationPolicy", delete->cascade.len ? delete->cascade : STR("Background"));
    jw_end_object(&w);
    return buf_ok(text) ? 0 : err_set(err, ERR_NO_MEMORY, "request");
}

static int ask(struct delete *delete, struct victim *victim, struct err *err)
{
    AUTO_DEINIT(buf, path) = BUF_INIT;
    AUTO_DEINIT(buf, body) = BUF_INIT;
    struct arena *arena = &delete->session.arena;
    struct json *answer;
    int code = make_options(delete, &body, err);

    rest_path(&path, victim->resource, victim->ns, victim->name, STR_NULL);
    if (code == 0 && !buf_ok(&path))
        code = err_set(err, ERR_NO_MEMORY, "request");
    const struct session_request request = { .method = "DELETE", .path = buf_str(&path), .body = buf_str(&body),
                                             .content_type = "application/json" };

    if (code == 0)
        code = session_json(&delete->session, &request, arena, NULL, &answer, err);
    if (code < 0)
        return code;
    victim->uid = json_str_at(answer, "metadata.uid");
    if (!victim->uid.len)
        victim->uid = json_str_at(answer, "details.uid");
    printf(STR_FMT " \"" STR_FMT "\" %sdeleted\n", STR_ARG(resource_type_name(arena, victim->resource)),
           STR_ARG(victim->name), delete->force ? "force " : "");
    fflush(stdout);
    return 0;
}

/* -- waiting -- */

/* 1: it is gone, or another one has its name; 0: not yet, and *ret_revision is where to watch from. */
static int look(struct delete *delete, struct arena *arena, const struct victim *victim, struct str *ret_revision,
                struct err *err)
{
    AUTO_DEINIT(buf, path) = BUF_INIT;
    struct json *object;

    rest_path(&path, victim->resource, victim->ns, victim->name, STR_NULL);
    const struct session_request request = { .path = buf_str(&path), .accept = ACCEPT_PARTIAL };
    int code = session_json(&delete->session, &request, arena, NULL, &object, err);

    if (code == -ERR_NOT_FOUND)
        return 1;
    if (code < 0)
        return code;
    if (victim->uid.len && !str_eq(json_str_at(object, "metadata.uid"), victim->uid))
        return 1;
    *ret_revision = json_str_at(object, "metadata.resourceVersion");
    return 0;
}

/* 1: it is gone; 0: the watch ended before. */
static int watch(struct delete *delete, struct arena *arena, const struct victim *victim, struct str revision,
                 nsec_t deadline, struct err *err)
{
    AUTO_DEINIT(buf, path) = BUF_INIT;
    AUTO(session_stream) stream = NULL;
    char separator = '?';
    struct str line;

    rest_path(&path, victim->resource, victim->ns, STR_NULL, STR_NULL);
    rest_param(&path, &separator, "fieldSelector", arena_printf(arena, "metadata.name=" STR_FMT, STR_ARG(victim->name)));
    rest_param(&path, &separator, "resourceVersion", revision);
    rest_param(&path, &separator, "watch", STR("true"));
    const struct session_request request = { .path = buf_str(&path), .accept = ACCEPT_PARTIAL };
    int code = buf_ok(&path) ? session_stream_open(&delete->session, &request, &stream, err)
                             : err_set(err, ERR_NO_MEMORY, "request");

    while (code >= 0) {
        nsec_t left = deadline ? MAX(deadline - clock_now(clock_real()), (nsec_t)1) : 0;
        struct json *event;

        code = session_stream_line(stream, left, &line, err);
        if (code <= 0)
            return code;
        if ((code = json_parse(arena, line, NULL, &event, err)) < 0)
            return code;
        if (str_is(json_str_at(event, "type"), "DELETED"))
            return 1;
        if (str_is(json_str_at(event, "type"), "ERROR"))
            return 0; /* look again */
    }
    return code;
}

static int wait_for(struct delete *delete, const struct victim *victim, nsec_t deadline, struct err *err)
{
    AUTO(arena) arena = arena_new(0);
    int code = 0;

    if (!arena)
        return err_set(err, ERR_NO_MEMORY, "delete");
    while (code == 0) {
        struct str revision;

        if (deadline && clock_now(clock_real()) >= deadline)
            code = err_set(err, ERR_TIMEOUT, "time");
        if (code == 0)
            code = look(delete, arena, victim, &revision, err);
        if (code == 0)
            code = watch(delete, arena, victim, revision, deadline, err);
    }
    if (code == -ERR_TIMEOUT)
        return err_set(err, ERR_TIMEOUT, STR_FMT "/" STR_FMT " is deleted, but was not gone in time",
                       STR_ARG(resource_full_name(arena, victim->resource)), STR_ARG(victim->name));
    return code < 0 ? code : 0;
}

/* -- the command -- */

static int prepare(struct delete *delete, struct err *err)
{
    int code = session_open(&delete->session, &delete->session_options, err);

    resources_init(&delete->resources, &delete->session);
    manifests_init(&delete->manifests, &delete->session.arena);
    if (code < 0)
        return code;
    if (delete->files.count == 0)
        return targets_parse(&delete->resources, delete->words, delete->word_count, &delete->targets, err);
    manifests_read_all(&delete->manifests, &delete->files);
    delete->failed = delete->manifests.failed;
    return manifests_targets(&delete->manifests, &delete->resources, delete->session_options.ns, &delete->targets, err);
}

static void run(struct delete *delete)
{
    nsec_t deadline = delete->timeout ? clock_now(clock_real()) + delete->timeout : 0;
    struct err err = { 0 };
    size_t asked = 0;

    for (size_t i = 0; i < delete->victims.count; i++) {
        struct victim *victim = &delete->victims.items[i];
        int code = ask(delete, victim, &err);

        if (code == 0)
            delete->victims.items[asked++] = *victim;
        else if (code != -ERR_NOT_FOUND || !delete->ignore_not_found)
            fail(delete, &err);
    }
    if (!delete->victims.count && !delete->failed)
        fprintf(stderr, "No resources found\n");
    for (size_t i = 0; i < asked && !delete->no_wait && !delete->force; i++)
        if (wait_for(delete, &delete->victims.items[i], deadline, &err) < 0)
            fail(delete, &err);
}

int delete_main(int argc, char **argv)
{
    struct delete delete = { .grace = -1 };
    struct err err = { 0 };

    if (cli_parse(&delete_argp, argc, argv, &delete) != 0)
        return 2;
    if (!delete.word_count == !delete.files.count)
        return cli_usage_error("delete", delete.word_count ? "-f and TYPE exclude one another"
                                                           : "say what to delete: TYPE NAME, or -f FILE");
    int code = prepare(&delete, &err);

    if (code == 0)
        code = find_victims(&delete, &err);
    if (code == 0)
        run(&delete);
    else
        fail(&delete, &err);
    vec_deinit(&delete.victims);
    manifests_deinit(&delete.manifests);
    resources_deinit(&delete.resources);
    session_close(&delete.session);
    return delete.failed;
}
