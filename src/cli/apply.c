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
    bool force_conflicts, dry_run;

    struct session session;
    struct resources resources;
    struct manifests manifests;
    bool has_new_kinds; /* a CustomResourceDefinition was applied */
};

enum { OPT_FORCE_CONFLICTS = 256, OPT_DRY_RUN };

static const struct argp_option options[] = {
    { "force-conflicts", OPT_FORCE_CONFLICTS, NULL, 0, "take over fields that another manager has set", 0 },
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
    "files; after an error the others still are, and the exit status is 1.\n\n"
    "Examples:\n"
    "  caravel apply -f examples/\n"
    "  caravel apply -f web.yaml --dry-run=server\n"
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
        rest_param(path, &separator, "dryRun", apply->dry_run ? STR("All") : STR_NULL);
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

static int run(struct apply *apply, struct err *err)
{
    bool failed;

    manifests_read_all(&apply->manifests, &apply->files);
    failed = apply->manifests.failed;
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
