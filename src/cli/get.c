/* get.c - caravel get: objects as tables, or as they are.
 *
 * Targets of one resource that follow one another are one group: one table. Lists come in chunks of CHUNK; a table is
 * printed when all of its rows are here, since its columns are as wide as the widest of them. */
#include "cli/get.h"

#include <stdio.h>

#include "schema/jsonpath.h"

#define CHUNK 500
#define LABEL_COLUMNS_MAX 32

static const struct argp_option options[] = {
    { "output", 'o', OUTPUT_FORMATS, 0, "the form: more columns, only names, or the whole objects", 0 },
    { "all-namespaces", 'A', NULL, 0, "in all namespaces", 0 },
    { "selector", 'l', "LABELS", 0, "only objects with these labels: app=web,tier!=cache", 0 },
    { "field-selector", GET_FIELD_SELECTOR, "FIELDS", 0, "only objects with these fields: status.phase=Running", 0 },
    { "watch", 'w', NULL, 0, "then go on and show what changes", 0 },
    { "watch-only", GET_WATCH_ONLY, NULL, 0, "show only what changes from now on", 0 },
    { "show-labels", GET_SHOW_LABELS, NULL, 0, "with a column of all labels", 0 },
    { "label-columns", 'L', "LABEL", 0, "with a column for this label (a,b: for each); may be repeated", 0 },
    { "sort-by", GET_SORT_BY, "JSONPATH", 0, "in the order of a field: .metadata.creationTimestamp", 0 },
    { "no-headers", GET_NO_HEADERS, NULL, 0, "without the heading", 0 },
    { "ignore-not-found", GET_IGNORE_NOT_FOUND, NULL, 0, "an object that is not there is no error", 0 },
    { "show-managed-fields", GET_MANAGED_FIELDS, NULL, 0, "with metadata.managedFields in YAML and JSON", 0 },
    { 0 },
};

static void add_label_columns(struct get *get, struct argp_state *state, const char *value)
{
    struct str rest = str_from(value), label;

    while (str_split(&rest, ',', &label)) {
        if (get->label_column_count == LABEL_COLUMNS_MAX) {
            argp_error(state, "-L: more than %d labels", LABEL_COLUMNS_MAX);
            return;
        }
        get->label_columns[get->label_column_count++] = label;
    }
}

static error_t parse(int key, char *value, struct argp_state *state)
{
    struct get *get = state->input;

    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &get->files;
        state->child_inputs[1] = &get->session_options;
        return 0;
    case 'o': get->output_text = value; return 0;
    case 'A': get->all_namespaces = true; return 0;
    case 'l': get->label_selector = str_from(value); return 0;
    case GET_FIELD_SELECTOR: get->field_selector = str_from(value); return 0;
    case 'w': get->watch = true; return 0;
    case GET_WATCH_ONLY: get->watch_only = true; return 0;
    case GET_SHOW_LABELS: get->show_labels = true; return 0;
    case 'L': add_label_columns(get, state, value); return 0;
    case GET_SORT_BY: get->sort_text = value; return 0;
    case GET_NO_HEADERS: get->no_headers = true; return 0;
    case GET_IGNORE_NOT_FOUND: get->ignore_not_found = true; return 0;
    case GET_MANAGED_FIELDS: get->output.managed_fields = true; return 0;
    case ARGP_KEY_ARGS:
        get->words = state->argv + state->next;
        get->word_count = (size_t)(state->argc - state->next);
        return 0;
    default: return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp_child children[] = { { &files_argp, 0, NULL, 0 }, { &session_argp, 0, NULL, 0 }, { 0 } };
const struct argp get_argp = {
    options, parse, "TYPE [NAME...]\nTYPE/NAME...\n-f FILE",
    "Shows objects: one line for each, or with -o the whole.\v"
    "TYPE is a resource by any of its names (pods, pod, po, deployments.apps), several with commas between (pods,services), "
    "or a category (all).\n\n"
    "Examples:\n"
    "  caravel get pods -A -o wide\n"
    "  caravel get deployment/web service/web\n"
    "  caravel get pods -l app=web --watch\n"
    "  caravel get nodes -o jsonpath='{range .items[*]}{.metadata.name}{\"\\n\"}{end}'",
    children, NULL, NULL,
};

/* -- requests -- */

static const char *accept_of(const struct get *get, bool list)
{
    switch (get->output.kind) {
    case OUTPUT_TABLE:
    case OUTPUT_WIDE: return ACCEPT_TABLE;
    case OUTPUT_NAME: return list ? ACCEPT_PARTIAL_LIST : ACCEPT_PARTIAL;
    default: return NULL;
    }
}

struct str get_namespace(const struct get *get, const struct target *target)
{
    if (get->all_namespaces)
        return STR_NULL;
    return target->ns.len ? target->ns : get->session.ns;
}

int get_path(const struct get *get, const struct target *target, struct str field_selector, struct str more,
             struct arena *arena, struct str *ret_path, struct err *err)
{
    AUTO_DEINIT(buf, path) = BUF_INIT;
    char separator = '?';

    rest_path(&path, target->resource, get_namespace(get, target), field_selector.data ? STR_NULL : target->name, STR_NULL);
    if (get->sort_text)
        rest_param(&path, &separator, "includeObject", STR("Object"));
    if (field_selector.data || !target->name.len) {
        rest_param(&path, &separator, "labelSelector", get->label_selector);
        rest_param(&path, &separator, "fieldSelector", field_selector.data ? field_selector : get->field_selector);
    }
    if (more.len) {
        buf_add_char(&path, separator);
        buf_add_str(&path, more);
    }
    *ret_path = buf_ok(&path) ? arena_str(arena, buf_str(&path)) : STR_NULL;
    return ret_path->data ? 0 : err_set(err, ERR_NO_MEMORY, "request");
}

static int take(struct get *get, const struct target *target, struct group *group, struct json *json, struct err *err)
{
    const struct json *items = json_member(json, "items");
    bool is_list = json_is(items, JSON_ARRAY) && !target->name.len;

    if (get->output.kind <= OUTPUT_WIDE)
        return table_add(&group->table, json, err);
    for (uint32_t i = 0; i < (is_list ? items->count : 1); i++)
        if (vec_push(&group->objects, is_list ? &items->items[i] : json) < 0)
            return err_set(err, ERR_NO_MEMORY, "list");
    return 0;
}

static int fetch_list(struct get *get, const struct target *target, struct group *group, struct err *err)
{
    struct arena *arena = &get->session.arena;
    struct str next = STR_NULL;
    int code = 0;

    do {
        struct session_request request = { .accept = accept_of(get, true) };
        AUTO_DEINIT(buf, more) = BUF_INIT;
        char separator = '&';
        struct json *json;

        buf_printf(&more, "limit=%d", CHUNK);
        rest_param(&more, &separator, "continue", next);
        code = get_path(get, target, STR_NULL, buf_str(&more), arena, &request.path, err);
        if (code == 0)
            code = session_json(&get->session, &request, arena, NULL, &json, err);
        if (code == 0)
            code = take(get, target, group, json, err);
        if (code < 0)
            return code;
        next = json_str_at(json, "metadata.continue");
        group->revision = json_str_at(json, "metadata.resourceVersion");
    } while (next.len);
    return 0;
}

static int fetch_one(struct get *get, const struct target *target, struct group *group, struct err *err)
{
    struct session_request request = { .accept = accept_of(get, false) };
    struct arena *arena = &get->session.arena;
    struct json *json;
    int code = get_path(get, target, STR_NULL, STR_NULL, arena, &request.path, err);

    if (code == 0)
        code = session_json(&get->session, &request, arena, NULL, &json, err);
    if (code < 0)
        return code;
    /* A Table of one tells the revision of its object in the row. */
    const struct json *rows = json_member(json, "rows");
    const struct json *object = json_is(rows, JSON_ARRAY) && rows->count ? json_member(&rows->items[0], "object") : json;

    group->revision = json_str_at(object, "metadata.resourceVersion");
    return take(get, target, group, json, err);
}

static int fetch(struct get *get, const struct target *target, struct group *group, struct err *err)
{
    int code = target->name.len ? fetch_one(get, target, group, err) : fetch_list(get, target, group, err);

    if (code == -ERR_NOT_FOUND && target->name.len && get->ignore_not_found)
        return 0;
    return code;
}

/* -- printing -- */

/* Several kinds in one output: their names say which they are. */
static bool names_need_types(const struct get *get)
{
    for (size_t i = 1; i < get->targets.count; i++)
        if (get->targets.items[i].resource != get->targets.items[0].resource)
            return true;
    return get->targets.count > 0 && !get->targets.single_type && get->word_count > 1 &&
           strchr(get->words[0], '/') != NULL;
}

int get_group_init(struct get *get, const struct resource *resource, struct group *group, struct err *err)
{
    struct table_options table = { .wide = get->output.kind == OUTPUT_WIDE, .no_headers = get->no_headers,
                                   .show_labels = get->show_labels, .label_columns = get->label_columns,
                                   .label_column_count = get->label_column_count, .sort_by = get->sort_by,
                                   .with_namespace = get->all_namespaces && resource->namespaced };

    if (names_need_types(get))
        table.type_prefix = resource_type_name(&get->session.arena, resource);
    *group = (struct group){ .resource = resource };
    table_init(&group->table, &table, &get->session.arena);
    return 0;
}

void get_group_deinit(struct group *group)
{
    table_deinit(&group->table);
    vec_deinit(&group->objects);
}

static int print_names(struct get *get, const struct group *group)
{
    for (size_t i = 0; i < group->objects.count; i++)
        output_name(&get->session.arena, group->resource, json_str_at(group->objects.items[i], "metadata.name"), NULL, NULL,
                    stdout);
    return 0;
}

/* Tables of several kinds have an empty line between them. */
static int print_group(struct get *get, struct group *group, struct err *err)
{
    if (get->output.kind == OUTPUT_NAME) {
        get->printed += group->objects.count;
        return print_names(get, group);
    }
    if (get->output.kind > OUTPUT_WIDE) {
        for (size_t i = 0; i < group->objects.count; i++) {
            const struct json *tidy = output_tidy(&get->session.arena, &get->output, group->resource, group->objects.items[i]);

            if (!tidy || vec_push(&get->objects, tidy) < 0)
                return err_set(err, ERR_NO_MEMORY, "output");
        }
        return 0;
    }
    if (group->table.rows.count && get->printed)
        fputc('\n', stdout);
    get->printed += group->table.rows.count;
    return table_flush(&group->table, stdout, err);
}

/* Whole objects are printed at the end, as one. */
static int print_objects(struct get *get, struct err *err)
{
    struct arena *arena = &get->session.arena;
    bool one = get->targets.count == 1 && get->targets.items[0].name.len;
    struct json *list = json_new(arena, JSON_OBJECT), *items;

    if (one)
        return get->objects.count ? output_print(&get->output, get->objects.items[0], stdout, err) : 0;
    if (!list || !json_set_str(arena, list, STR("apiVersion"), STR("v1")) ||
        !(items = json_ensure(arena, list, STR("items"), JSON_ARRAY)))
        return err_set(err, ERR_NO_MEMORY, "output");
    for (size_t i = 0; i < get->objects.count; i++)
        if (!json_append(arena, items, get->objects.items[i]))
            return err_set(err, ERR_NO_MEMORY, "output");
    struct json *metadata;

    if (!json_set_str(arena, list, STR("kind"), STR("List")) ||
        !(metadata = json_ensure(arena, list, STR("metadata"), JSON_OBJECT)) ||
        !json_set_str(arena, metadata, STR("resourceVersion"), STR("")))
        return err_set(err, ERR_NO_MEMORY, "output");
    return output_print(&get->output, list, stdout, err);
}

static void tell_nothing_found(const struct get *get)
{
    const struct target *first = get->targets.items;

    for (size_t i = 0; i < get->targets.count; i++)
        if (get->targets.items[i].name.len)
            return;
    if (get->ignore_not_found)
        return;
    if (first->resource->namespaced && !get->all_namespaces)
        fprintf(stderr, "No resources found in " STR_FMT " namespace.\n", STR_ARG(get->session.ns));
    else
        fprintf(stderr, "No resources found\n");
}

/* -- the command -- */

/* Fetches and prints the group that begins at target number at; what fails is told, the rest goes on. */
static size_t do_group(struct get *get, size_t at, bool *ret_failed)
{
    const struct resource *resource = get->targets.items[at].resource;
    struct err err = { 0 };
    struct group group;
    int code = get_group_init(get, resource, &group, &err);

    for (; code == 0 && at < get->targets.count && get->targets.items[at].resource == resource; at++) {
        if (fetch(get, &get->targets.items[at], &group, &err) < 0) {
            cli_fail(&err);
            *ret_failed = true;
        }
    }
    if (code == 0)
        code = print_group(get, &group, &err);
    if (code == 0 && get->watch && !*ret_failed)
        code = get_watch(get, &get->targets.items[0], &group, &err);
    if (code < 0) {
        cli_fail(&err);
        *ret_failed = true;
    }
    get_group_deinit(&group);
    return at;
}

static int check(const struct get *get, struct err *err)
{
    if (!get->word_count && !get->files.count)
        return err_set(err, ERR_BAD_REQUEST, "say what to get, for example caravel get pods; `caravel api-resources` lists "
                       "all types");
    if (get->word_count && get->files.count)
        return err_set(err, ERR_BAD_REQUEST, "-f and TYPE exclude one another");
    for (size_t i = 0; i < get->targets.count; i++) {
        if (!get->targets.items[i].name.len)
            continue;
        if (get->label_selector.len || get->field_selector.len)
            return err_set(err, ERR_BAD_REQUEST, "a name and a selector exclude one another");
        if (get->all_namespaces && get->targets.items[i].resource->namespaced)
            return err_set(err, ERR_BAD_REQUEST, "a name and -A exclude one another; say -n NAMESPACE");
    }
    if ((get->watch || get->watch_only) && get->targets.count > 1)
        return err_set(err, ERR_BAD_REQUEST, "only one type, or one object, can be watched at a time");
    return 0;
}

static int prepare(struct get *get, struct err *err)
{
    struct arena *arena = &get->session.arena;
    int code = session_open(&get->session, &get->session_options, err);

    if (code == 0)
        code = output_parse(arena, get->output_text, &get->output, err);
    if (code == 0 && get->sort_text && (code = jsonpath_compile(arena, str_from(get->sort_text), &get->sort_by, err)) < 0)
        code = err_wrap(err, code, "--sort-by");
    resources_init(&get->resources, &get->session);
    manifests_init(&get->manifests, arena);
    if (code == 0 && get->files.count)
        manifests_read_all(&get->manifests, &get->files);
    if (code == 0)
        code = get->files.count && !get->word_count
                   ? manifests_targets(&get->manifests, &get->resources, get->session_options.ns, &get->targets, err)
                   : targets_parse(&get->resources, get->words, get->word_count, &get->targets, err);
    return code == 0 ? check(get, err) : code;
}

static int run(struct get *get, struct err *err)
{
    bool failed = get->manifests.failed;
    int code = 0;

    if (get->watch_only) {
        struct group group;

        code = get_group_init(get, get->targets.items[0].resource, &group, err);
        if (code == 0)
            code = get_watch(get, &get->targets.items[0], &group, err);
        get_group_deinit(&group);
        return code < 0 ? cli_fail(err) : 0;
    }
    for (size_t at = 0; at < get->targets.count;)
        at = do_group(get, at, &failed);
    if (get->output.kind > OUTPUT_NAME && !get->watch && (get->objects.count || !failed))
        code = print_objects(get, err);
    else if (!get->printed && !failed && get->output.kind <= OUTPUT_WIDE)
        tell_nothing_found(get);
    return code < 0 ? cli_fail(err) : failed;
}

int get_main(int argc, char **argv)
{
    struct get get = { 0 };
    struct err err = { 0 };

    if (cli_parse(&get_argp, argc, argv, &get) != 0)
        return 2;
    int code = prepare(&get, &err);
    int status = code < 0 ? cli_fail(&err) : run(&get, &err);

    manifests_deinit(&get.manifests);
    resources_deinit(&get.resources);
    vec_deinit(&get.objects);
    session_close(&get.session);
    return status;
}
