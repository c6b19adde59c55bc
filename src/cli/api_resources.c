/* api_resources.c - caravel api-resources: what the server has. */
#include <errno.h>
#include <stdio.h>

#include "cli/columns.h"
#include "cli/resources.h"

enum { OPT_NAMESPACED = 256, OPT_GROUP, OPT_NO_HEADERS };

struct arguments {
    struct session_options session_options;
    const char *group, *namespaced;
    bool no_headers, names;
};

static const struct argp_option options[] = {
    { "api-group", OPT_GROUP, "GROUP", 0, "only those of this group (\"\" is the core)", 0 },
    { "namespaced", OPT_NAMESPACED, "true|false", 0, "only those that live in namespaces, or only the others", 0 },
    { "no-headers", OPT_NO_HEADERS, NULL, 0, "without the heading", 0 },
    { "output", 'o', "name", 0, "only the names", 0 },
    { 0 },
};

static error_t parse(int key, char *value, struct argp_state *state)
{
    struct arguments *arguments = state->input;

    switch (key) {
    case ARGP_KEY_INIT: state->child_inputs[0] = &arguments->session_options; return 0;
    case OPT_GROUP: arguments->group = value; return 0;
    case OPT_NAMESPACED:
        if (strcmp(value, "true") != 0 && strcmp(value, "false") != 0)
            argp_error(state, "--namespaced %s: expected true or false", value);
        arguments->namespaced = value;
        return 0;
    case OPT_NO_HEADERS: arguments->no_headers = true; return 0;
    case 'o':
        if (strcmp(value, "name") != 0)
            argp_error(state, "-o %s: only \"name\" is there", value);
        arguments->names = true;
        return 0;
    case ARGP_KEY_ARG: argp_error(state, "unexpected argument \"%s\"", value); return EINVAL;
    default: return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp_child children[] = { { &session_argp, 0, NULL, 0 }, { 0 } };
const struct argp api_resources_argp = {
    options, parse, NULL,
    "Lists the resources of the server, custom ones included.\v"
    "Examples:\n"
    "  caravel api-resources\n"
    "  caravel api-resources --namespaced=false -o name",
    children, NULL, NULL,
};

/* Discovery tells every version; the first one of a resource is the preferred. */
static bool is_wanted(const struct resources *resources, size_t at, const struct arguments *arguments)
{
    const struct resource *resource = resources->known.items[at];

    for (size_t i = 0; i < at; i++)
        if (str_eq(resources->known.items[i]->plural, resource->plural) &&
            str_eq(resources->known.items[i]->group, resource->group))
            return false;
    return (!arguments->group || str_is(resource->group, arguments->group)) &&
           (!arguments->namespaced || resource->namespaced == (strcmp(arguments->namespaced, "true") == 0));
}

static struct str short_names(struct arena *arena, const struct resource *resource)
{
    struct str text = STR("");

    for (size_t i = 0; i < resource->short_name_count; i++)
        text = arena_printf(arena, STR_FMT "%s" STR_FMT, STR_ARG(text), i ? "," : "", STR_ARG(resource->short_names[i]));
    return text;
}

static void add_row(struct columns *columns, struct arena *arena, const struct resource *resource)
{
    columns_add(columns, resource->plural);
    columns_add(columns, short_names(arena, resource));
    columns_add(columns, resource_group_version(arena, resource));
    columns_add(columns, resource->namespaced ? STR("true") : STR("false"));
    columns_add(columns, resource->kind);
}

static int print(struct resources *resources, const struct arguments *arguments, struct err *err)
{
    static const struct str heading[] = { STR_INIT("NAME"), STR_INIT("SHORTNAMES"), STR_INIT("APIVERSION"),
                                          STR_INIT("NAMESPACED"), STR_INIT("KIND") };
    struct arena *arena = &resources->session->arena;
    struct columns columns;

    columns_init(&columns, ARRAY_LEN(heading));
    for (size_t i = 0; !arguments->no_headers && i < ARRAY_LEN(heading); i++)
        columns_add(&columns, heading[i]);
    for (size_t i = 0; i < resources->known.count; i++) {
        if (!is_wanted(resources, i, arguments))
            continue;
        if (arguments->names)
            printf(STR_FMT "\n", STR_ARG(resource_full_name(arena, resources->known.items[i])));
        else
            add_row(&columns, arena, resources->known.items[i]);
    }
    int code = arguments->names ? 0 : columns_flush(&columns, stdout);

    columns_deinit(&columns);
    return code < 0 ? err_set(err, ERR_NO_MEMORY, "table") : 0;
}

int api_resources_main(int argc, char **argv)
{
    struct arguments arguments = { 0 };
    struct resources resources;
    struct session session;
    struct err err = { 0 };

    if (cli_parse(&api_resources_argp, argc, argv, &arguments) != 0)
        return 2;
    int code = session_open(&session, &arguments.session_options, &err);

    resources_init(&resources, &session);
    if (code == 0)
        code = resources_discover(&resources, &err);
    if (code == 0)
        code = print(&resources, &arguments, &err);
    resources_deinit(&resources);
    session_close(&session);
    return code < 0 ? cli_fail(&err) : 0;
}
