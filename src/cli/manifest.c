#include "cli/manifest.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "codec/yaml.h"

#define FILE_MAX ((size_t)64 << 20)
#define FOLDERS_DEEP 16
#define FETCH_TIMEOUT (60 * NSEC_PER_SEC)

static const struct argp_option file_argp_options[] = {
    { "filename", 'f', "FILE", 0, "the objects of a file, a folder, a URL or - (standard input); may be repeated", 10 },
    { "recursive", 'R', NULL, 0, "also the folders in the folder of -f", 10 },
    { 0 },
};

static error_t parse_files(int key, char *value, struct argp_state *state)
{
    struct file_options *options = state->input;

    switch (key) {
    case 'f':
        if (options->count == FILES_MAX)
            argp_error(state, "-f: more than %d times", FILES_MAX);
        else
            options->files[options->count++] = value;
        return 0;
    case 'R': options->recursive = true; return 0;
    default: return ARGP_ERR_UNKNOWN;
    }
}

const struct argp files_argp = { file_argp_options, parse_files, NULL, NULL, NULL, NULL, NULL };

void manifests_init(struct manifests *manifests, struct arena *arena)
{
    *manifests = (struct manifests){ .arena = arena };
}

void manifests_deinit(struct manifests *manifests)
{
    vec_deinit(&manifests->items);
}

/* -- documents -- */

static int add_object(struct manifests *manifests, struct str source, struct json *json, struct err *err)
{
    struct manifest manifest = { .json = json, .source = source };

    if (!json_is(json, JSON_OBJECT))
        return err_set(err, ERR_BAD_REQUEST, STR_FMT ": not an object", STR_ARG(source));
    manifest.api_version = json_str_at(json, "apiVersion");
    manifest.kind = json_str_at(json, "kind");
    manifest.name = json_str_at(json, "metadata.name");
    manifest.ns = json_str_at(json, "metadata.namespace");
    if (!manifest.api_version.len || !manifest.kind.len)
        return err_set(err, ERR_BAD_REQUEST, STR_FMT ": %s is not set", STR_ARG(source),
                       manifest.kind.len ? "apiVersion" : "kind");
    return vec_push(&manifests->items, manifest) < 0 ? err_set(err, ERR_NO_MEMORY, "manifest") : 0;
}

static int add_document(struct manifests *manifests, struct str source, struct json *json, struct err *err)
{
    const struct json *items = json_member(json, "items");
    int code = 0;

    if (!str_has_suffix(json_str_at(json, "kind"), STR("List")) || !json_is(items, JSON_ARRAY))
        return add_object(manifests, source, json, err);
    for (uint32_t i = 0; code == 0 && i < items->count; i++)
        code = add_object(manifests, arena_printf(manifests->arena, STR_FMT ", item %u", STR_ARG(source), i + 1),
                          &items->items[i], err);
    return code;
}

int manifests_parse(struct manifests *manifests, struct str source, struct str text, struct err *err)
{
    struct json *documents;
    int code;

    if (str_has_prefix(str_trim(text), STR("{")) && json_parse(manifests->arena, text, NULL, &documents, NULL) == 0)
        return add_document(manifests, source, documents, err);
    code = yaml_parse_all(manifests->arena, text, &documents, err);
    if (code < 0)
        return err_wrap(err, code, STR_FMT, STR_ARG(source));
    for (uint32_t i = 0; code == 0 && i < documents->count; i++)
        code = add_document(manifests, documents->count == 1 ? source
                                : arena_printf(manifests->arena, STR_FMT ", document %u", STR_ARG(source), i + 1),
                            &documents->items[i], err);
    return code;
}

/* -- where they come from -- */

static void note(struct manifests *manifests, int code, const struct err *err)
{
    if (code == 0)
        return;
    manifests->failed = true;
    cli_fail(err);
}

/* The text must outlive the trees. */
static void take_text(struct manifests *manifests, struct str source, struct buf *text)
{
    struct err err = { 0 };
    struct str copy = buf_ok(text) ? arena_str(manifests->arena, buf_str(text)) : STR_NULL;
    int code = copy.data ? manifests_parse(manifests, source, copy, &err) : err_set(&err, ERR_NO_MEMORY, "manifest");

    note(manifests, code, &err);
}

static void read_stdin(struct manifests *manifests)
{
    AUTO_DEINIT(buf, text) = BUF_INIT;
    struct err err = { 0 };
    char *room;
    ssize_t got = 0;

    buf_init(&text, FILE_MAX);
    while ((room = buf_reserve(&text, 1 << 16)) && (got = read(STDIN_FILENO, room, 1 << 16)) > 0)
        text.len += (size_t)got;
    if (got < 0)
        note(manifests, err_errno(&err, errno, "reading standard input"), &err);
    else if (!room)
        note(manifests, err_set(&err, ERR_TOO_LARGE, "standard input: more than %zu MiB", FILE_MAX >> 20), &err);
    else
        take_text(manifests, STR("standard input"), &text);
}

static void read_file(struct manifests *manifests, const char *path)
{
    AUTO_DEINIT(buf, text) = BUF_INIT;
    struct err err = { 0 };
    int code = file_read(path, FILE_MAX, &text, &err);

    if (code < 0)
        note(manifests, code, &err);
    else
        take_text(manifests, str_from(arena_cstr(manifests->arena, str_from(path))), &text);
}

static int fetch(struct arena *arena, const char *url, struct str *ret_text, struct err *err)
{
    const struct http_client_options options = { 0 };
    const struct http_client_request request = { .method = "GET", .url = str_from(url), .timeout = FETCH_TIMEOUT,
                                                 .max_body = FILE_MAX, .follow_redirects = true };
    struct http_client_response response;
    AUTO(http_client) http = NULL;
    int code = http_client_new(&options, &http, err);

    if (code == 0)
        code = http_client_do(http, &request, arena, &response, err);
    if (code < 0)
        return err_wrap(err, code, "%s", url);
    if (response.status != 200)
        return err_set(err, err_from_status(response.status, STR_NULL), "%s: the server answers %d", url, response.status);
    *ret_text = response.body;
    return 0;
}

static void read_url(struct manifests *manifests, const char *url)
{
    struct err err = { 0 };
    struct str text;
    int code = fetch(manifests->arena, url, &text, &err);

    if (code == 0)
        code = manifests_parse(manifests, str_from(url), text, &err);
    note(manifests, code, &err);
}

static bool is_manifest(const char *name)
{
    struct str s = str_from(name);

    return str_has_suffix(s, STR(".yaml")) || str_has_suffix(s, STR(".yml")) || str_has_suffix(s, STR(".json"));
}

/* Files in the order of their names; folders in it only with -R. */
static void read_folder(struct manifests *manifests, const char *path, bool recursive, int depth)
{
    struct dirent **entries = NULL;
    struct err err = { 0 };
    int count = scandir(path, &entries, NULL, alphasort);

    if (count < 0)
        note(manifests, err_errno(&err, errno, "%s", path), &err);
    for (int i = 0; i < count; i++) {
        const char *name = entries[i]->d_name;
        struct str inner = arena_printf(manifests->arena, "%s/%s", path, name);
        struct stat st;

        if (inner.data && name[0] != '.' && stat(inner.data, &st) == 0) {
            if (S_ISDIR(st.st_mode) && recursive && depth < FOLDERS_DEEP)
                read_folder(manifests, inner.data, true, depth + 1);
            else if (S_ISREG(st.st_mode) && is_manifest(name))
                read_file(manifests, inner.data);
        }
        free(entries[i]);
    }
    free(entries);
}

void manifests_read(struct manifests *manifests, const char *what, bool recursive)
{
    struct str name = str_from(what);
    size_t before = manifests->items.count;
    bool failed = manifests->failed;
    struct err err = { 0 };
    struct stat st;

    manifests->failed = false;
    if (str_is(name, "-"))
        read_stdin(manifests);
    else if (str_has_prefix(name, STR("https://")) || str_has_prefix(name, STR("http://")))
        read_url(manifests, what);
    else if (stat(what, &st) == 0 && S_ISDIR(st.st_mode))
        read_folder(manifests, what, recursive, 0);
    else
        read_file(manifests, what);
    if (manifests->items.count == before && !manifests->failed)
        note(manifests, err_set(&err, ERR_BAD_REQUEST, "%s: there is no object in it", what), &err);
    manifests->failed = manifests->failed || failed;
}

int manifest_resolve(struct resources *resources, const struct manifest *manifest, bool ns_is_fixed,
                     const struct resource **ret_resource, struct str *ret_ns, struct err *err)
{
    const struct resource *resource;
    int code = resources_find_kind(resources, manifest->api_version, manifest->kind, &resource, err);

    if (code < 0)
        return err_wrap(err, code, STR_FMT, STR_ARG(manifest->source));
    if (resource->namespaced && ns_is_fixed && manifest->ns.len && !str_eq(manifest->ns, resources->session->ns))
        return err_set(err, ERR_BAD_REQUEST, STR_FMT ": its namespace \"" STR_FMT "\" is not \"" STR_FMT "\", which -n names",
                       STR_ARG(manifest->source), STR_ARG(manifest->ns), STR_ARG(resources->session->ns));
    *ret_resource = resource;
    *ret_ns = !resource->namespaced ? STR_NULL : manifest->ns.len ? manifest->ns : resources->session->ns;
    return 0;
}

void manifests_read_all(struct manifests *manifests, const struct file_options *options)
{
    for (size_t i = 0; i < options->count; i++)
        manifests_read(manifests, options->files[i], options->recursive);
}

int manifests_targets(const struct manifests *manifests, struct resources *resources, bool ns_is_fixed,
                      struct targets *ret_targets, struct err *err)
{
    struct targets targets = { .items = arena_array_of(manifests->arena, manifests->items.count + 1, struct target) };

    if (!targets.items)
        return err_set(err, ERR_NO_MEMORY, "arguments");
    for (size_t i = 0; i < manifests->items.count; i++) {
        const struct manifest *manifest = &manifests->items.items[i];
        struct target *target = &targets.items[targets.count++];
        int code = manifest_resolve(resources, manifest, ns_is_fixed, &target->resource, &target->ns, err);

        if (code == 0 && !manifest->name.len)
            code = err_set(err, ERR_BAD_REQUEST, STR_FMT ": metadata.name is not set", STR_ARG(manifest->source));
        if (code < 0)
            return code;
        target->name = manifest->name;
    }
    targets.single_type = targets.count == 1;
    *ret_targets = targets;
    return 0;
}
