/* undo.c - caravel undo delete TYPE/NAME: brings back what was deleted, and what went with it. */
#include <stdio.h>

#include "cli/output.h"

#define UNDO_PATH "/apis/caravel.io/v1/undo"

struct undo {
    struct session_options session_options;
    char **words;
    size_t word_count;
    bool dry_run;

    struct session session;
    struct resources resources;
};

enum { OPT_DRY_RUN = 256 };

static const struct argp_option options[] = {
    { "dry-run", OPT_DRY_RUN, "server", 0, "let the server tell what would come back", 0 },
    { 0 },
};

static error_t parse(int key, char *value, struct argp_state *state)
{
    struct undo *undo = state->input;

    switch (key) {
    case ARGP_KEY_INIT: state->child_inputs[0] = &undo->session_options; return 0;
    case OPT_DRY_RUN:
        undo->dry_run = strcmp(value, "server") == 0;
        if (!undo->dry_run)
            argp_error(state, "--dry-run %s: only \"server\" is there", value);
        return 0;
    case ARGP_KEY_ARGS:
        undo->words = state->argv + state->next;
        undo->word_count = (size_t)(state->argc - state->next);
        return 0;
    default: return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp_child children[] = { { &session_argp, 0, NULL, 0 }, { 0 } };
const struct argp undo_argp = {
    options, parse, "delete TYPE/NAME",
    "Brings back an object that was deleted, and what went with it: the objects that it owned, and the content of a "
    "namespace.\v"
    "They come back as they were before the deletion began, with the same uids, all at once or not at all. Pods that had not "
    "ended are started anew. It works once the object is gone and for as long as its history is retained (`caravel up "
    "--history`).\n\n"
    "Examples:\n"
    "  caravel undo delete deployment/web\n"
    "  caravel undo delete namespace/shop --dry-run=server",
    children, NULL, NULL,
};

static int find_target(struct undo *undo, struct target *ret_target, struct err *err)
{
    struct targets targets;
    int code;

    resources_init(&undo->resources, &undo->session);
    if ((code = targets_parse(&undo->resources, undo->words + 1, undo->word_count - 1, &targets, err)) < 0)
        return code;
    if (targets.count != 1 || !targets.items[0].name.len)
        return err_set(err, ERR_BAD_REQUEST, "say which one object: TYPE/NAME");
    *ret_target = targets.items[0];
    return 0;
}

static int ask(struct undo *undo, const struct target *target, struct json **ret_answer, struct err *err)
{
    AUTO_DEINIT(buf, path) = BUF_INIT;
    AUTO_DEINIT(buf, body) = BUF_INIT;
    struct json_writer w = json_writer(&body);

    rest_path(&path, target->resource, target->ns.len ? target->ns : undo->session.ns, target->name, STR_NULL);
    jw_begin_object(&w);
    jw_field_str(&w, "object", buf_str(&path));
    jw_end_object(&w);
    if (!buf_ok(&path) || !buf_ok(&body))
        return err_set(err, ERR_NO_MEMORY, "request");
    const struct session_request request = { .method = "POST", .body = buf_str(&body), .content_type = "application/json",
                                             .path = undo->dry_run ? STR(UNDO_PATH "?dryRun=All") : STR(UNDO_PATH) };

    return session_json(&undo->session, &request, &undo->session.arena, NULL, ret_answer, err);
}

static void print_restored(struct undo *undo, const struct json *answer)
{
    const struct json *restored = json_member(answer, "restored");

    for (uint32_t i = 0; json_is(restored, JSON_ARRAY) && i < restored->count; i++) {
        const struct json *item = &restored->items[i];
        const struct resource resource = { .group = json_str_at(item, "group"),
                                           .kind = json_str_at(item, "kind") };

        output_name(&undo->session.arena, &resource, json_str_at(item, "name"), "restored",
                    undo->dry_run ? "(server dry run)" : NULL, stdout);
    }
}

static int run(struct undo *undo, struct err *err)
{
    struct target target = { 0 };
    struct json *answer;
    int code = session_open(&undo->session, &undo->session_options, err);

    if (code == 0)
        code = find_target(undo, &target, err);
    if (code == 0)
        code = ask(undo, &target, &answer, err);
    if (code < 0)
        return cli_fail(err);
    print_restored(undo, answer);
    return 0;
}

int undo_main(int argc, char **argv)
{
    struct undo undo = { 0 };
    struct err err = { 0 };

    if (cli_parse(&undo_argp, argc, argv, &undo) != 0)
        return 2;
    if (undo.word_count < 2 || strcmp(undo.words[0], "delete") != 0)
        return cli_usage_error("undo", "say what to undo: delete TYPE/NAME");
    int status = run(&undo, &err);

    resources_deinit(&undo.resources);
    session_close(&undo.session);
    return status;
}
