/* apply.c - caravel apply: server-side apply of manifests, one after the other.
 *
 * An object whose revision is the same before and after was not changed. In a dry run nothing gets a revision, so there the
 * whole objects are compared. A custom resource may follow its definition in the same input: while its kind is unknown, the
 * server is asked again for a while. */
#include <errno.h>
#include <stdio.h>
#include <time.h>

#include "cli/manifest.h"
#include "cli/output.h"

#define KIND_WAIT (10 * NSEC_PER_SEC)
#define KIND_PAUSE (50 * NSEC_PER_MSEC)
#define FIELD_MANAGER "caravel"

struct apply {
    struct session_options session_options;
    struct file_options files;
    bool force_conflicts, dry_run, atomic;

    struct session session;
    struct resources resources;
    struct manifests manifests;
    bool has_new_kinds; /* a CustomResourceDefinition was applied */
};

enum { OPT_FORCE_CONFLICTS = 256, OPT_DRY_RUN, OPT_ATOMIC };

static const struct argp_option options[] = {
    { "force-conflicts", OPT_FORCE_CONFLICTS, NULL, 0, "take over fields that another manager has set", 0 },
    { "atomic", OPT_ATOMIC, NULL, 0, "all objects in one transaction, or none", 0 },
    { "dry-run", OPT_DRY_RUN, "server", 0, "let the server do everything but keep the result", 0 },
    { 0 },
};

static error_t parse(int key, char *value, struct argp_state *state)
{
    struct apply *apply = state->input;

    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &apply->files;
        state->child_inputs[1] = &apply->session_options;
        return 0;
    case OPT_FORCE_CONFLICTS: apply->force_conflicts = true; return 0;
    case OPT_ATOMIC: apply->atomic = true; return 0;
    case OPT_DRY_RUN:
        apply->dry_run = strcmp(value, "server") == 0;
        if (!apply->dry_run)
            argp_error(state, "--dry-run %s: only \"server\" is there", value);
        return 0;
    case ARGP_KEY_ARG: argp_error(state, "unexpected argument \"%s\"; say -f %s for a file", value, value); return EINVAL;
    default: return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp_child children[] = { { &files_argp, 0, NULL, 0 }, { &session_argp, 0, NULL, 0 }, { 0 } };
const struct argp apply_argp = {
    options, parse, "-f FILE",
    "Makes objects as the files describe them: creates what is missing, changes what is different.\v"
    "It is a server-side apply by the field manager \"" FIELD_MANAGER "\": fields that are no longer in the file, but were "
    "there at the last apply, are removed; those that others set are left alone. Objects are applied in the order of the "
    "files; after an error the others still are, and the exit status is 1. With --atomic all are changed at one revision, or "
    "none is; custom resources must have their definition already.\n\n"
    "Examples:\n"
    "  caravel apply -f examples/\n"
    "  caravel apply -f web.yaml --dry-run=server\n"
    "  caravel apply --atomic -f examples/\n"
    "  printf '{apiVersion: v1, kind: Namespace, metadata: {name: a}}' | caravel apply -f -",
    children, NULL, NULL,
};

static int make_path(const struct apply *apply, const struct resource *resource, struct str ns, struct str name, bool patch,
                     struct buf *path, struct err *err)
{
    char separator = '?';

    rest_path(path, resource, ns, name, STR_NULL);
    if (patch) {
        rest_param(path, &separator, "fieldManager", STR(FIELD_MANAGER));
        rest_param(path, &separator, "fieldValidation", STR("Strict"));
        rest_param(path, &separator, "force", apply->force_conflicts ? STR("true") : STR_NULL);
        rest_param(path, &separator, "dryRun", apply->dry_run && !apply->atomic ? STR("All") : STR_NULL);
    }
    return buf_ok(path) ? 0 : err_set(err, ERR_NO_MEMORY, "request");
}

/* NULL in *ret_json: it is not there. */
static int read_before(struct apply *apply, struct arena *arena, const struct resource *resource, struct str ns,
                       struct str name, struct json **ret_json, struct err *err)
{
    AUTO_DEINIT(buf, path) = BUF_INIT;
    int code = make_path(apply, resource, ns, name, false, &path, err);
    const struct session_request request = { .path = buf_str(&path), .accept = apply->dry_run ? NULL : ACCEPT_PARTIAL };

    *ret_json = NULL;
    if (code == 0)
        code = session_json(&apply->session, &request, arena, NULL, ret_json, err);
    return code == -ERR_NOT_FOUND ? 0 : code;
}

static bool is_same(struct arena *arena, const struct json *before, const struct json *after)
{
    static const struct str volatile_fields[] = { STR_INIT("managedFields"), STR_INIT("generation"),
                                                  STR_INIT("resourceVersion") };
    struct json *left = json_copy(arena, before), *right = json_copy(arena, after);

    for (size_t i = 0; i < ARRAY_LEN(volatile_fields); i++) {
        if (json_is(json_member(left, "metadata"), JSON_OBJECT))
            json_remove(json_member(left, "metadata"), volatile_fields[i]);
        if (json_is(json_member(right, "metadata"), JSON_OBJECT))
            json_remove(json_member(right, "metadata"), volatile_fields[i]);
    }
    return json_equal(left, right);
}

static const char *what_happened(const struct apply *apply, struct arena *arena, int status, const struct json *before,
                                 const struct json *after)
{
    if (status == 201 || !before)
        return "created";
    if (apply->dry_run)
        return is_same(arena, before, after) ? "unchanged" : "configured";
    return str_eq(json_str_at(before, "metadata.resourceVersion"), json_str_at(after, "metadata.resourceVersion"))
               ? "unchanged"
               : "configured";
}

static int patch(struct apply *apply, struct arena *arena, const struct manifest *manifest, const struct resource *resource,
                 struct str ns, int *ret_status, struct json **ret_json, struct err *err)
{
    AUTO_DEINIT(buf, path) = BUF_INIT;
    int code = make_path(apply, resource, ns, manifest->name, true, &path, err);
    const struct session_request request = { .method = "PATCH", .path = buf_str(&path),
                                             .content_type = "application/apply-patch+yaml",
                                             .body = json_text(arena, manifest->json) };

    if (code == 0 && !request.body.data)
        code = err_set(err, ERR_NO_MEMORY, "request");
    return code == 0 ? session_json(&apply->session, &request, arena, ret_status, ret_json, err) : code;
}

static int find_resource(struct apply *apply, const struct manifest *manifest, const struct resource **ret_resource,
                         struct str *ret_ns, struct err *err)
{
    const struct timespec pause = { .tv_nsec = KIND_PAUSE };
    nsec_t deadline = clock_now(clock_real()) + KIND_WAIT;
    int code;

    for (;;) {
        code = manifest_resolve(&apply->resources, manifest, apply->session_options.ns, ret_resource, ret_ns, err);
        if (code != -ERR_NOT_FOUND || !apply->has_new_kinds || clock_now(clock_real()) > deadline)
            return code;
        nanosleep(&pause, NULL);
        resources_forget(&apply->resources);
    }
}

static int apply_one(struct apply *apply, const struct manifest *manifest, struct err *err)
{
    AUTO(arena) arena = arena_new(0);
    const struct resource *resource;
    struct json *before, *after;
    struct str ns;
    int status = 0, code = find_resource(apply, manifest, &resource, &ns, err);

    if (code < 0)
        return code;
    if (!arena)
        return err_set(err, ERR_NO_MEMORY, "request");
    if (!manifest->name.len)
        return err_set(err, ERR_BAD_REQUEST, STR_FMT ": metadata.name is not set", STR_ARG(manifest->source));
    code = read_before(apply, arena, resource, ns, manifest->name, &before, err);
    if (code == 0)
        code = patch(apply, arena, manifest, resource, ns, &status, &after, err);
    if (code == -ERR_CONFLICT && !apply->force_conflicts) {
        struct err hint = *err;

        return err_set(err, hint.code, STR_FMT ": %s; --force-conflicts takes the fields over", STR_ARG(manifest->source),
                       hint.message);
    }
    if (code < 0)
        return err_wrap(err, code, STR_FMT, STR_ARG(manifest->source));
    apply->has_new_kinds = apply->has_new_kinds || str_is(resource->kind, "CustomResourceDefinition");
    output_name(arena, resource, manifest->name, what_happened(apply, arena, status, before, after),
                apply->dry_run ? "(server dry run)" : NULL, stdout);
    fflush(stdout);
    return 0;
}

/* -- all at once -- */

struct planned {
    const struct manifest *manifest;
    const struct resource *resource;
    struct str ns;
    struct json *before;
};

static int plan_one(struct apply *apply, struct arena *arena, const struct manifest *manifest, struct planned *planned,
                    struct json_writer *w, struct err *err)
{
    AUTO_DEINIT(buf, path) = BUF_INIT;
    int code = manifest_resolve(&apply->resources, manifest, apply->session_options.ns, &planned->resource, &planned->ns,
                                err);

    if (code < 0)
        return code;
    planned->manifest = manifest;
    if (!manifest->name.len)
        return err_set(err, ERR_BAD_REQUEST, STR_FMT ": metadata.name is not set", STR_ARG(manifest->source));
    if ((code = read_before(apply, arena, planned->resource, planned->ns, manifest->name, &planned->before, err)) < 0 ||
        (code = make_path(apply, planned->resource, planned->ns, manifest->name, true, &path, err)) < 0)
        return err_wrap(err, code, STR_FMT, STR_ARG(manifest->source));
    jw_begin_object(w);
    jw_field_str(w, "method", STR("PATCH"));
    jw_field_str(w, "path", buf_str(&path));
    jw_field_str(w, "contentType", STR("application/apply-patch+yaml"));
    jw_key(w, STR("body"));
    jw_json(w, manifest->json);
    jw_end_object(w);
    return 0;
}

/* "writes[3]: what is wrong", said of the file where that is. */
static int name_source(const struct apply *apply, struct err *err)
{
    struct str message = str_from(err->message), prefix = STR("writes[");
    ssize_t end = str_chr(message, ']');
    const char *hint = err->code == ERR_CONFLICT && !apply->force_conflicts ? "; --force-conflicts takes the fields over"
                                                                            : "";
    struct err whole = *err;
    uint64_t at;

    if (!str_has_prefix(message, prefix) || end < 0 ||
        !str_to_u64(str_skip(str_first(message, (size_t)end), prefix.len), &at) || at >= apply->manifests.items.count)
        return -(int)err->code;
    return err_set(err, whole.code, STR_FMT "%s%s", STR_ARG(apply->manifests.items.items[at].source),
                   whole.message + end + 1, hint);
}

static int commit_all(struct apply *apply, struct arena *arena, struct str body, struct json **ret_results, struct err *err)
{
    const struct session_request request = { .method = "POST", .body = body, .content_type = "application/json",
                                             .path = apply->dry_run ? STR("/apis/caravel.io/v1/transactions?dryRun=All")
                                                                    : STR("/apis/caravel.io/v1/transactions") };
    struct json *answer;
    int code = session_json(&apply->session, &request, arena, NULL, &answer, err);

    if (code < 0)
        return name_source(apply, err);
    *ret_results = json_member(answer, "results");
    return json_is(*ret_results, JSON_ARRAY) && (*ret_results)->count == apply->manifests.items.count
               ? 0
               : err_set(err, ERR_INTERNAL, "the server's answer is not that of a transaction");
}

static int apply_all(struct apply *apply, struct err *err)
{
    AUTO(arena) arena = arena_new(0);
    AUTO_DEINIT(buf, body) = BUF_INIT;
    struct json_writer w = json_writer(&body);
    size_t count = apply->manifests.items.count;
    struct planned *planned = arena ? arena_array_of(arena, count, struct planned) : NULL;
    struct json *results = NULL;
    int code = planned ? 0 : err_set(err, ERR_NO_MEMORY, "request");

    jw_begin_object(&w);
    jw_field_str(&w, "kind", STR("Transaction"));
    jw_field_str(&w, "apiVersion", STR("caravel.io/v1"));
    jw_key(&w, STR("writes"));
    jw_begin_array(&w);
    for (size_t i = 0; i < count && code == 0; i++)
        code = plan_one(apply, arena, &apply->manifests.items.items[i], &planned[i], &w, err);
    jw_end_array(&w);
    jw_end_object(&w);
    if (code == 0 && !buf_ok(&body))
        code = err_set(err, ERR_NO_MEMORY, "request");
    if (code < 0 || (code = commit_all(apply, arena, buf_str(&body), &results, err)) < 0)
        return code;
    for (size_t i = 0; i < count; i++)
        output_name(arena, planned[i].resource, planned[i].manifest->name,
                    what_happened(apply, arena, 200, planned[i].before, &results->items[i]),
                    apply->dry_run ? "(server dry run)" : NULL, stdout);
    return 0;
}

static int run(struct apply *apply, struct err *err)
{
    bool failed;

    manifests_read_all(&apply->manifests, &apply->files);
    failed = apply->manifests.failed;
    if (apply->atomic && (failed || !apply->manifests.items.count))
        return failed;
    if (apply->atomic)
        return apply_all(apply, err) < 0 ? cli_fail(err) : 0;
    for (size_t i = 0; i < apply->manifests.items.count; i++)
        if (apply_one(apply, &apply->manifests.items.items[i], err) < 0) {
            cli_fail(err);
            failed = true;
        }
    return failed;
}

int apply_main(int argc, char **argv)
{
    struct apply apply = { 0 };
    struct err err = { 0 };

    if (cli_parse(&apply_argp, argc, argv, &apply) != 0)
        return 2;
    if (!apply.files.count)
        return cli_usage_error("apply", "say what to apply with -f FILE");
    int code = session_open(&apply.session, &apply.session_options, &err);

    resources_init(&apply.resources, &apply.session);
    manifests_init(&apply.manifests, &apply.session.arena);
    int status = code < 0 ? cli_fail(&err) : run(&apply, &err);

    manifests_deinit(&apply.manifests);
    resources_deinit(&apply.resources);
    session_close(&apply.session);
    return status;
}
