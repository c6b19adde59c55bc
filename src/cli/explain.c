/* explain.c - caravel explain: what a resource and its fields mean, from the OpenAPI v3 document of its group-version. */
#include <errno.h>
#include <stdio.h>

#include "cli/columns.h"
#include "cli/resources.h"

#define WRAP 80
#define DEPTH_MAX 20 /* of --recursive; schemas of CRDs may contain themselves */

struct explain {
    struct session_options session_options;
    const char *word, *api_version;
    bool recursive;

    struct session session;
    struct resources resources;
    const struct json *schemas; /* components.schemas */
};

enum { OPT_RECURSIVE = 256, OPT_API_VERSION };

static const struct argp_option options[] = {
    { "recursive", OPT_RECURSIVE, NULL, 0, "the names of all fields, and of theirs", 0 },
    { "api-version", OPT_API_VERSION, "VERSION", 0, "in this version: apps/v1 (the preferred one)", 0 },
    { 0 },
};

static error_t parse(int key, char *value, struct argp_state *state)
{
    struct explain *explain = state->input;

    switch (key) {
    case ARGP_KEY_INIT: state->child_inputs[0] = &explain->session_options; return 0;
    case OPT_RECURSIVE: explain->recursive = true; return 0;
    case OPT_API_VERSION: explain->api_version = value; return 0;
    case ARGP_KEY_ARG:
        if (explain->word) {
            argp_error(state, "unexpected argument \"%s\"", value);
            return EINVAL;
        }
        explain->word = value;
        return 0;
    default: return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp_child children[] = { { &session_argp, 0, NULL, 0 }, { 0 } };
const struct argp explain_argp = {
    options, parse, "TYPE[.FIELD...]",
    "Tells what a type of object, or a field of it, is for and what it may be.\v"
    "Examples:\n"
    "  caravel explain pod.spec.containers\n"
    "  caravel explain deployment.spec.strategy --recursive\n"
    "  caravel explain hpa --api-version autoscaling/v1",
    children, NULL, NULL,
};

/* -- schemas -- */

/* What a $ref, or the only member of an allOf, stands for. */
static const struct json *follow(const struct explain *explain, const struct json *schema)
{
    static const struct str prefix = STR_INIT("#/components/schemas/");

    for (int hops = 0; hops < DEPTH_MAX; hops++) {
        const struct json *all = json_member(schema, "allOf");
        struct str ref = json_str_at(schema, "$ref");

        if (json_is(all, JSON_ARRAY) && all->count == 1)
            schema = &all->items[0];
        else if (str_has_prefix(ref, prefix))
            schema = json_get(explain->schemas, str_skip(ref, prefix.len));
        else
            return schema;
    }
    return schema;
}

/* The part of "io.k8s.api.apps.v1.DeploymentSpec" that people know; unset for what has no name. */
static struct str reference_name(const struct json *schema)
{
    const struct json *all = json_member(schema, "allOf");
    struct str ref;

    if (json_is(all, JSON_ARRAY) && all->count == 1)
        schema = &all->items[0];
    ref = json_str(json_get(schema, STR("$ref")));
    return ref.data ? str_skip(ref, (size_t)(str_rchr(ref, '.') + 1)) : STR_NULL;
}

static struct str type_text(struct explain *explain, const struct json *schema, int depth)
{
    struct arena *arena = &explain->session.arena;
    struct str name = reference_name(schema);
    const struct json *real = follow(explain, schema), *values = json_member(real, "additionalProperties");
    struct str type = json_str_at(real, "type");

    if (depth > 8)
        return STR("Object");
    if (str_is(type, "array"))
        return arena_printf(arena, "[]" STR_FMT, STR_ARG(type_text(explain, json_member(real, "items"), depth + 1)));
    if (str_is(type, "object") && json_is(values, JSON_OBJECT))
        return arena_printf(arena, "map[string]" STR_FMT, STR_ARG(type_text(explain, values, depth + 1)));
    if (name.len)
        return name;
    return str_is(type, "object") || !type.len ? STR("Object") : type;
}

/* Where its fields are: of the elements of a list, of the values of a map. */
static const struct json *fields_of(const struct explain *explain, const struct json *schema)
{
    for (int depth = 0; depth < DEPTH_MAX; depth++) {
        schema = follow(explain, schema);
        if (json_member(schema, "properties"))
            return schema;
        const struct json *inner = json_member(schema, "items");

        if (!inner)
            inner = json_member(schema, "additionalProperties");
        if (!json_is(inner, JSON_OBJECT))
            return NULL;
        schema = inner;
    }
    return NULL;
}

static bool is_required(const struct json *schema, struct str field)
{
    const struct json *required = json_member(schema, "required");

    for (uint32_t i = 0; json_is(required, JSON_ARRAY) && i < required->count; i++)
        if (str_eq(json_str(&required->items[i]), field))
            return true;
    return false;
}

/* -- printing -- */

static void indent(int count)
{
    printf("%*s", count, "");
}

/* In lines no longer than WRAP; its own line ends are kept. */
static void print_wrapped(struct str text, int at)
{
    struct str line, word;

    while (str_split(&text, '\n', &line)) {
        size_t column = 0;

        indent(at);
        while (str_split(&line, ' ', &word)) {
            size_t width = text_width(word);

            if (!width)
                continue;
            if (column && (size_t)at + column + 1 + width > WRAP) {
                putchar('\n');
                indent(at);
                column = 0;
            }
            if (column)
                putchar(' ');
            text_print(word, stdout);
            column += width + (column > 0);
        }
        putchar('\n');
    }
}

/* Its own words, else those of what it refers to. */
static struct str description(const struct explain *explain, const struct json *schema)
{
    struct str text = json_str_at(schema, "description");

    return text.len ? text : json_str_at(follow(explain, schema), "description");
}

static void print_enum(struct explain *explain, const struct json *schema, int at)
{
    const struct json *values = json_member(follow(explain, schema), "enum");

    if (!json_is(values, JSON_ARRAY))
        return;
    indent(at);
    printf("enum: ");
    for (uint32_t i = 0; i < values->count; i++) {
        struct str text = json_is(&values->items[i], JSON_STRING)
                              ? values->items[i].string
                              : json_text(&explain->session.arena, &values->items[i]);

        printf("%s" STR_FMT, i ? ", " : "", STR_ARG(text));
    }
    putchar('\n');
}

static void print_fields(struct explain *explain, const struct json *schema, int at, int depth)
{
    const struct json *owner = fields_of(explain, schema), *fields = json_member(owner, "properties");

    for (uint32_t i = 0; json_is(fields, JSON_OBJECT) && i < fields->count; i++) {
        const struct json *field = &fields->members[i].value;
        struct str doc = description(explain, field);

        indent(at);
        printf(STR_FMT "\t<" STR_FMT ">%s\n", STR_ARG(fields->members[i].key), STR_ARG(type_text(explain, field, 0)),
               is_required(owner, fields->members[i].key) ? " -required-" : "");
        print_enum(explain, field, at);
        if (explain->recursive && depth < DEPTH_MAX) {
            print_fields(explain, field, at + 2, depth + 1);
        } else if (!explain->recursive) {
            if (doc.len)
                print_wrapped(doc, at + 2);
            putchar('\n');
        }
    }
}

static void print_schema(struct explain *explain, const struct resource *resource, const struct json *schema,
                         struct str field)
{
    struct str doc = description(explain, schema);

    if (resource->group.len)
        printf("GROUP:      " STR_FMT "\n", STR_ARG(resource->group));
    printf("KIND:       " STR_FMT "\nVERSION:    " STR_FMT "\n\n", STR_ARG(resource->kind), STR_ARG(resource->version));
    if (field.len)
        printf("FIELD: " STR_FMT " <" STR_FMT ">\n\n", STR_ARG(field), STR_ARG(type_text(explain, schema, 0)));
    if (field.len)
        print_enum(explain, schema, 0);
    printf("DESCRIPTION:\n");
    print_wrapped(doc.len ? doc : STR("<empty>"), 4);
    if (!fields_of(explain, schema))
        return;
    printf("\nFIELDS:\n");
    print_fields(explain, schema, 2, 0);
}

/* -- finding -- */

static const struct json *find_kind(const struct explain *explain, const struct resource *resource)
{
    for (uint32_t i = 0; json_is(explain->schemas, JSON_OBJECT) && i < explain->schemas->count; i++) {
        const struct json *schema = &explain->schemas->members[i].value;
        const struct json *kinds = json_member(schema, "x-kubernetes-group-version-kind");

        for (uint32_t j = 0; json_is(kinds, JSON_ARRAY) && j < kinds->count; j++)
            if (str_eq(json_str_at(&kinds->items[j], "kind"), resource->kind) &&
                str_eq(json_str_at(&kinds->items[j], "version"), resource->version) &&
                str_eq(json_str_at(&kinds->items[j], "group"), resource->group))
                return schema;
    }
    return NULL;
}

static int load_schemas(struct explain *explain, const struct resource *resource, struct err *err)
{
    struct arena *arena = &explain->session.arena;
    struct session_request request = { 0 };
    struct json *document;

    request.path = resource->group.len
                       ? arena_printf(arena, "/openapi/v3/apis/" STR_FMT "/" STR_FMT, STR_ARG(resource->group),
                                      STR_ARG(resource->version))
                       : arena_printf(arena, "/openapi/v3/api/" STR_FMT, STR_ARG(resource->version));
    int code = request.path.data ? session_json(&explain->session, &request, arena, NULL, &document, err)
                                 : err_set(err, ERR_NO_MEMORY, "request");

    if (code < 0)
        return err_wrap(err, code, "the OpenAPI document of " STR_FMT, STR_ARG(resource_group_version(arena, resource)));
    explain->schemas = json_at(document, "components.schemas");
    return 0;
}

/* "deployments.apps" has dots of its own: the longest beginning that names a resource counts, then fields follow. */
static int find_resource(struct explain *explain, struct str *ret_fields, const struct resource **ret_resource,
                         struct err *err)
{
    struct str word = str_from(explain->word);
    ssize_t dot = str_chr(word, '.');
    struct str type = dot < 0 ? word : str_first(word, (size_t)dot);
    const struct resource *resource;
    int code = resources_find(&explain->resources, type, &resource, err);

    *ret_fields = dot < 0 ? STR_NULL : str_skip(word, (size_t)dot + 1);
    if (code == 0 && resource->group.len) {
        struct str rest = *ret_fields, group = resource->group;

        if (str_has_prefix(rest, group) && (rest.len == group.len || rest.data[group.len] == '.'))
            *ret_fields = rest.len == group.len ? STR_NULL : str_skip(rest, group.len + 1);
    }
    if (code == 0 && explain->api_version)
        code = resources_find_kind(&explain->resources, str_from(explain->api_version), resource->kind, &resource, err);
    if (code == 0)
        *ret_resource = resource;
    return code;
}

static int run(struct explain *explain, struct err *err)
{
    struct str fields, field = STR_NULL, part;
    const struct resource *resource = NULL;
    int code = find_resource(explain, &fields, &resource, err);

    if (code == 0)
        code = load_schemas(explain, resource, err);
    if (code < 0)
        return code;
    const struct json *schema = find_kind(explain, resource);

    if (!schema)
        return err_set(err, ERR_NOT_FOUND, "the server does not describe " STR_FMT, STR_ARG(resource->kind));
    while (str_split(&fields, '.', &part)) {
        const struct json *next = json_get(json_member(fields_of(explain, schema), "properties"), part);

        if (!next)
            return err_set(err, ERR_NOT_FOUND, "%s: there is no field \"" STR_FMT "\" in %s" STR_FMT, explain->word,
                           STR_ARG(part), field.len ? "" : "a ", STR_ARG(field.len ? field : resource->kind));
        schema = next;
        field = part;
    }
    print_schema(explain, resource, schema, field);
    return 0;
}

int explain_main(int argc, char **argv)
{
    struct explain explain = { 0 };
    struct err err = { 0 };

    if (cli_parse(&explain_argp, argc, argv, &explain) != 0)
        return 2;
    if (!explain.word)
        return cli_usage_error("explain", "say what to explain, for example pod.spec");
    int code = session_open(&explain.session, &explain.session_options, &err);

    resources_init(&explain.resources, &explain.session);
    if (code == 0)
        code = run(&explain, &err);
    resources_deinit(&explain.resources);
    session_close(&explain.session);
    return code < 0 ? cli_fail(&err) : 0;
}
