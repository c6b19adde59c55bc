/* openapi_path.c - paths of resources and their operations, from the verbs of the tables. */
#include "schema/openapi_internal.h"

/* --- query parameters --- */

enum parameter_set {
    PARAMETERS_LIST = 1 << 0,
    PARAMETERS_WRITE = 1 << 1,
    PARAMETERS_PATCH = 1 << 2,
    PARAMETERS_DELETE = 1 << 3,
    PARAMETERS_DELETE_COLLECTION = 1 << 4,
    PARAMETERS_ATTACH = 1 << 5,
    PARAMETERS_EXEC = 1 << 6,
    PARAMETERS_LOG = 1 << 7,
    PARAMETERS_PORTS = 1 << 8,
    PARAMETERS_PATH = 1 << 9,
};
#define LISTING (PARAMETERS_LIST | PARAMETERS_DELETE_COLLECTION)
#define WRITING (PARAMETERS_WRITE | PARAMETERS_PATCH)
#define DELETING (PARAMETERS_DELETE | PARAMETERS_DELETE_COLLECTION)
#define STREAMING (PARAMETERS_ATTACH | PARAMETERS_EXEC)

static const struct parameter {
    struct str name, type;
    uint32_t sets;
    struct str doc;
} parameters[] = {
    { STR_INIT("allowWatchBookmarks"), STR_INIT("boolean"), PARAMETERS_LIST,
      STR_INIT("Sends BOOKMARK events now and then, which carry the current resource version only.") },
    { STR_INIT("command"), STR_INIT("string"), PARAMETERS_EXEC, STR_INIT("The program and its arguments.") },
    { STR_INIT("container"), STR_INIT("string"), STREAMING | PARAMETERS_LOG,
      STR_INIT("The container; may be left out when the pod has only one.") },
    { STR_INIT("continue"), STR_INIT("string"), LISTING, STR_INIT("Where the previous part of the list ended.") },
    { STR_INIT("dryRun"), STR_INIT("string"), WRITING | DELETING,
      STR_INIT("All: go through every step of the request but keep nothing.") },
    { STR_INIT("fieldManager"), STR_INIT("string"), WRITING,
      STR_INIT("Who makes this change; 128 characters at most.") },
    { STR_INIT("fieldSelector"), STR_INIT("string"), LISTING, STR_INIT("Only objects whose fields match.") },
    { STR_INIT("fieldValidation"), STR_INIT("string"), WRITING,
      STR_INIT("What to do with unknown and duplicate fields: Ignore, Warn or Strict.") },
    { STR_INIT("follow"), STR_INIT("boolean"), PARAMETERS_LOG, STR_INIT("Goes on while the container writes.") },
    { STR_INIT("force"), STR_INIT("boolean"), PARAMETERS_PATCH,
      STR_INIT("Takes over fields that other managers own; apply only.") },
    { STR_INIT("gracePeriodSeconds"), STR_INIT("integer"), DELETING,
      STR_INIT("Seconds until the object is gone; 0: now.") },
    { STR_INIT("ignoreStoreReadErrorWithClusterBreakingPotential"), STR_INIT("boolean"), DELETING,
      STR_INIT("Deletes an object even if it can no longer be read.") },
    { STR_INIT("insecureSkipTLSVerifyBackend"), STR_INIT("boolean"), PARAMETERS_LOG,
      STR_INIT("Does not verify the certificate of the node.") },
    { STR_INIT("labelSelector"), STR_INIT("string"), LISTING, STR_INIT("Only objects whose labels match.") },
    { STR_INIT("limit"), STR_INIT("integer"), LISTING, STR_INIT("The most objects that one answer may hold.") },
    { STR_INIT("limitBytes"), STR_INIT("integer"), PARAMETERS_LOG, STR_INIT("The most bytes to send.") },
    { STR_INIT("orphanDependents"), STR_INIT("boolean"), DELETING, STR_INIT("Deprecated: use propagationPolicy.") },
    { STR_INIT("path"), STR_INIT("string"), PARAMETERS_PATH, STR_INIT("The path to ask for.") },
    { STR_INIT("ports"), STR_INIT("integer"), PARAMETERS_PORTS, STR_INIT("The ports to forward.") },
    { STR_INIT("previous"), STR_INIT("boolean"), PARAMETERS_LOG,
      STR_INIT("The log of the container before its restart.") },
    { STR_INIT("propagationPolicy"), STR_INIT("string"), DELETING,
      STR_INIT("What happens to dependents: Orphan, Background or Foreground.") },
    { STR_INIT("resourceVersion"), STR_INIT("string"), LISTING, STR_INIT("Which version of the data to read.") },
    { STR_INIT("resourceVersionMatch"), STR_INIT("string"), LISTING,
      STR_INIT("How resourceVersion is meant: Exact or NotOlderThan.") },
    { STR_INIT("sendInitialEvents"), STR_INIT("boolean"), LISTING,
      STR_INIT("Begins a watch with all objects there are.") },
    { STR_INIT("sinceSeconds"), STR_INIT("integer"), PARAMETERS_LOG, STR_INIT("Only lines of the last seconds.") },
    { STR_INIT("stderr"), STR_INIT("boolean"), STREAMING, STR_INIT("Connects standard error.") },
    { STR_INIT("stdin"), STR_INIT("boolean"), STREAMING, STR_INIT("Connects standard input.") },
    { STR_INIT("stdout"), STR_INIT("boolean"), STREAMING, STR_INIT("Connects standard output.") },
    { STR_INIT("stream"), STR_INIT("string"), PARAMETERS_LOG, STR_INIT("Which output: All, Stdout or Stderr.") },
    { STR_INIT("tailLines"), STR_INIT("integer"), PARAMETERS_LOG, STR_INIT("Only the last lines.") },
    { STR_INIT("timeoutSeconds"), STR_INIT("integer"), LISTING, STR_INIT("Ends the request after that time.") },
    { STR_INIT("timestamps"), STR_INIT("boolean"), PARAMETERS_LOG, STR_INIT("Puts the time in front of each line.") },
    { STR_INIT("tty"), STR_INIT("boolean"), STREAMING, STR_INIT("Gives the program a terminal.") },
    { STR_INIT("watch"), STR_INIT("boolean"), PARAMETERS_LIST, STR_INIT("Sends changes as they happen.") },
};

static void write_parameter(struct openapi *o, struct str name, struct str in, struct str type, struct str doc)
{
    jw_begin_object(&o->w);
    jw_field_str(&o->w, "description", doc);
    jw_field_str(&o->w, "in", in);
    jw_field_str(&o->w, "name", name);
    if (str_is(in, "path"))
        jw_field_bool(&o->w, "required", true);
    jw_key(&o->w, STR("schema"));
    jw_begin_object(&o->w);
    jw_field_str(&o->w, "type", type);
    jw_field_bool(&o->w, "uniqueItems", true);
    jw_end_object(&o->w);
    jw_end_object(&o->w);
}

static void write_query_parameters(struct openapi *o, uint32_t set)
{
    if (set == 0)
        return;
    jw_key(&o->w, STR("parameters"));
    jw_begin_array(&o->w);
    for (size_t i = 0; i < ARRAY_LEN(parameters); i++)
        if (parameters[i].sets & set)
            write_parameter(o, parameters[i].name, STR("query"), parameters[i].type, parameters[i].doc);
    jw_end_array(&o->w);
}

/* --- operations --- */

struct operation {
    uint32_t verb;                 /* the one in the table that brings it */
    struct str method, action, id; /* "get", "list", "listCoreV1NamespacedPod" begins with id */
    uint32_t parameters;
};

static const struct operation collection_operations[] = {
    { VERB_LIST, STR_INIT("get"), STR_INIT("list"), STR_INIT("list"), PARAMETERS_LIST },
    { VERB_CREATE, STR_INIT("post"), STR_INIT("post"), STR_INIT("create"), PARAMETERS_WRITE },
    { VERB_DELETE_COLLECTION, STR_INIT("delete"), STR_INIT("deletecollection"), STR_INIT("delete"),
      PARAMETERS_DELETE_COLLECTION },
};
static const struct operation item_operations[] = {
    { VERB_GET, STR_INIT("get"), STR_INIT("get"), STR_INIT("read"), 0 },
    { VERB_CREATE, STR_INIT("post"), STR_INIT("post"), STR_INIT("create"), PARAMETERS_WRITE }, /* subresources */
    { VERB_UPDATE, STR_INIT("put"), STR_INIT("put"), STR_INIT("replace"), PARAMETERS_WRITE },
    { VERB_PATCH, STR_INIT("patch"), STR_INIT("patch"), STR_INIT("patch"), PARAMETERS_PATCH },
    { VERB_DELETE, STR_INIT("delete"), STR_INIT("delete"), STR_INIT("delete"), PARAMETERS_DELETE },
};
/* Of subresources that are connected to. */
static const struct operation connect_operations[] = {
    { VERB_GET, STR_INIT("get"), STR_INIT("connect"), STR_INIT("connectGet"), 0 },
    { VERB_CREATE, STR_INIT("post"), STR_INIT("connect"), STR_INIT("connectPost"), 0 },
    { VERB_UPDATE, STR_INIT("put"), STR_INIT("connect"), STR_INIT("connectPut"), 0 },
    { VERB_PATCH, STR_INIT("patch"), STR_INIT("connect"), STR_INIT("connectPatch"), 0 },
    { VERB_DELETE, STR_INIT("delete"), STR_INIT("connect"), STR_INIT("connectDelete"), 0 },
};

/* One path and what its operations share. */
struct endpoint {
    const struct resource *resource;
    const struct subresource *sub; /* NULL: the resource itself */
    bool all_namespaces;
};

static bool is_connected(const struct endpoint *at)
{
    return at->sub && at->sub->verbs & VERB_CONNECT;
}

static void add_capital(struct buf *buf, struct str word)
{
    char first = word.len ? word.data[0] : '\0';

    if (word.len == 0)
        return;
    buf_add_char(buf, first >= 'a' && first <= 'z' ? (char)(first - 32) : first);
    buf_add_str(buf, str_skip(word, 1));
}

/* "rbac.authorization.k8s.io" is RbacAuthorization; the core group is Core. */
static void add_group(struct buf *buf, struct str group)
{
    struct str rest = group.len ? group : STR("core"), word;

    if (str_has_suffix(rest, STR(".k8s.io")))
        rest = str_chop(rest, 7);
    while (str_split(&rest, '.', &word))
        add_capital(buf, word);
}

static struct str operation_id(struct openapi *o, const struct operation *operation, const struct endpoint *at)
{
    AUTO_DEINIT(buf, id) = BUF_INIT;

    buf_add_str(&id, operation->id);
    add_group(&id, o->group);
    add_capital(&id, o->version);
    if (operation->verb == VERB_DELETE_COLLECTION)
        buf_add_str(&id, STR("Collection"));
    if (at->resource->namespaced && !at->all_namespaces)
        buf_add_str(&id, STR("Namespaced"));
    buf_add_str(&id, at->resource->kind);
    if (at->sub)
        add_capital(&id, at->sub->name);
    if (at->all_namespaces)
        buf_add_str(&id, STR("ForAllNamespaces"));
    o->failed |= !buf_ok(&id);
    return arena_str(&o->arena, buf_str(&id));
}

static struct str tag(struct openapi *o)
{
    AUTO_DEINIT(buf, text) = BUF_INIT;

    add_group(&text, o->group);
    buf_add_char(&text, '_');
    buf_add_str(&text, o->version);
    if (buf_ok(&text) && text.data[0] >= 'A' && text.data[0] <= 'Z')
        text.data[0] = (char)(text.data[0] + 32);
    o->failed |= !buf_ok(&text);
    return arena_str(&o->arena, buf_str(&text));
}

/* What goes over an endpoint: the resource's object, or the subresource's (a Scale). STR_NULL: no schema. */
static struct str use_object(struct openapi *o, const struct endpoint *at)
{
    if (!at->sub || (str_eq(at->sub->group, at->resource->group) && str_eq(at->sub->version, at->resource->version) &&
                     str_eq(at->sub->kind, at->resource->kind)))
        return openapi_use_resource(o, at->resource, false);
    return openapi_use_kind(o, at->sub->group, at->sub->version, at->sub->kind);
}

static struct str use_answer(struct openapi *o, const struct operation *operation, const struct endpoint *at)
{
    if (operation->verb == VERB_LIST)
        return openapi_use_resource(o, at->resource, true);
    if (operation->verb == VERB_DELETE_COLLECTION ||
        (operation->verb == VERB_DELETE && !at->resource->delete_returns_object))
        return openapi_use_meta(o, STR("Status"));
    return use_object(o, at);
}

static void write_content(struct openapi *o, const char *const *types, struct str schema)
{
    jw_key(&o->w, STR("content"));
    jw_begin_object(&o->w);
    for (; *types; types++) {
        jw_key(&o->w, str_from(*types));
        jw_begin_object(&o->w);
        jw_key(&o->w, STR("schema"));
        openapi_write_ref(o, schema);
        jw_end_object(&o->w);
    }
    jw_end_object(&o->w);
}

static void write_body(struct openapi *o, const struct operation *operation, const struct endpoint *at)
{
    static const char *const any[] = { "*/*", NULL };
    static const char *const patches[] = { "application/apply-patch+yaml", "application/json-patch+json",
                                           "application/merge-patch+json", "application/strategic-merge-patch+json",
                                           NULL };
    bool required = operation->verb & (VERB_CREATE | VERB_UPDATE | VERB_PATCH);

    if (is_connected(at) || (!required && !(operation->verb & (VERB_DELETE | VERB_DELETE_COLLECTION))))
        return;
    jw_key(&o->w, STR("requestBody"));
    jw_begin_object(&o->w);
    if (operation->verb == VERB_PATCH)
        write_content(o, patches, openapi_use_meta(o, STR("Patch")));
    else
        write_content(o, any, required ? use_object(o, at) : openapi_use_meta(o, STR("DeleteOptions")));
    if (required)
        jw_field_bool(&o->w, "required", true);
    jw_end_object(&o->w);
}

static void write_response(struct openapi *o, const char *status, const char *what, const char *const *types,
                           struct str schema)
{
    jw_key(&o->w, str_from(status));
    jw_begin_object(&o->w);
    if (types)
        write_content(o, types, schema);
    jw_field_str(&o->w, "description", str_from(what));
    jw_end_object(&o->w);
}

static void write_responses(struct openapi *o, const struct operation *operation, const struct endpoint *at)
{
    static const char *const types[] = { "application/json", "application/yaml", NULL };
    static const char *const text[] = { "*/*", NULL };
    bool streams = is_connected(at) || (at->sub && str_is(at->sub->name, "log"));
    struct str schema = streams ? STR_NULL : use_answer(o, operation, at);

    jw_key(&o->w, STR("responses"));
    jw_begin_object(&o->w);
    write_response(o, "200", "OK", streams ? text : types, schema);
    if (!streams && operation->verb & (VERB_CREATE | VERB_UPDATE | VERB_PATCH))
        write_response(o, "201", "Created", types, schema);
    if (!streams && operation->verb & (VERB_CREATE | VERB_DELETE))
        write_response(o, "202", "Accepted", types, schema);
    write_response(o, "401", "Unauthorized", NULL, STR_NULL);
    jw_end_object(&o->w);
}

static uint32_t stream_parameters(const struct endpoint *at)
{
    static const struct {
        struct str name;
        uint32_t set;
    } sets[] = {
        { STR_INIT("attach"), PARAMETERS_ATTACH }, { STR_INIT("exec"), PARAMETERS_EXEC },
        { STR_INIT("log"), PARAMETERS_LOG },       { STR_INIT("portforward"), PARAMETERS_PORTS },
        { STR_INIT("proxy"), PARAMETERS_PATH },
    };

    for (size_t i = 0; at->sub && i < ARRAY_LEN(sets); i++)
        if (str_eq(at->sub->name, sets[i].name))
            return sets[i].set;
    return 0;
}

static void write_operation(struct openapi *o, const struct operation *operation, const struct endpoint *at)
{
    struct str id = operation_id(o, operation, at), group_tag = tag(o);

    jw_key(&o->w, operation->method);
    jw_begin_object(&o->w);
    jw_field_str(&o->w, "description",
                 arena_printf(&o->arena, STR_FMT " " STR_FMT "%s" STR_FMT, STR_ARG(operation->id),
                              STR_ARG(at->resource->plural), at->sub ? "/" : "",
                              STR_ARG(at->sub ? at->sub->name : STR(""))));
    jw_field_str(&o->w, "operationId", id);
    write_query_parameters(o, operation->parameters | (operation->parameters ? 0 : stream_parameters(at)));
    write_body(o, operation, at);
    write_responses(o, operation, at);
    jw_key(&o->w, STR("tags"));
    jw_begin_array(&o->w);
    jw_str(&o->w, group_tag);
    jw_end_array(&o->w);
    jw_field_str(&o->w, "x-kubernetes-action", operation->action);
    jw_key(&o->w, STR("x-kubernetes-group-version-kind"));
    if (at->sub && at->sub->kind.len > 0)
        openapi_write_gvk(o, at->sub->group, at->sub->version, at->sub->kind);
    else
        openapi_write_gvk(o, at->resource->group, at->resource->version, at->resource->kind);
    jw_end_object(&o->w);
}

/* --- paths --- */

static void write_path_parameters(struct openapi *o, bool name, bool namespaced)
{
    jw_key(&o->w, STR("parameters"));
    jw_begin_array(&o->w);
    if (name)
        write_parameter(o, STR("name"), STR("path"), STR("string"), STR("The name of the object."));
    if (namespaced)
        write_parameter(o, STR("namespace"), STR("path"), STR("string"), STR("The namespace of the object."));
    write_parameter(o, STR("pretty"), STR("query"), STR("string"), STR("\"true\": with line ends and indents."));
    jw_end_array(&o->w);
}

static void write_path(struct openapi *o, const struct endpoint *at, bool item, uint32_t verbs,
                       const struct operation *operations, size_t count)
{
    bool namespaced = at->resource->namespaced && !at->all_namespaces, any = false;

    for (size_t i = 0; i < count; i++)
        any |= (verbs & operations[i].verb) != 0;
    if (!any)
        return;
    jw_key(&o->w, arena_printf(&o->arena, "%s" STR_FMT "%s" STR_FMT "%s/" STR_FMT "%s%s" STR_FMT,
                               o->group.len ? "/apis/" : "/api", STR_ARG(o->group), "/", STR_ARG(o->version),
                               namespaced ? "/namespaces/{namespace}" : "", STR_ARG(at->resource->plural),
                               item ? "/{name}" : "", at->sub ? "/" : "", STR_ARG(at->sub ? at->sub->name : STR(""))));
    jw_begin_object(&o->w);
    for (size_t i = 0; i < count; i++)
        if (verbs & operations[i].verb)
            write_operation(o, &operations[i], at);
    write_path_parameters(o, item, namespaced);
    jw_end_object(&o->w);
}

static void write_resource(struct openapi *o, const struct resource *resource)
{
    uint32_t item_verbs = resource->verbs & (VERB_GET | VERB_UPDATE | VERB_PATCH | VERB_DELETE);
    struct endpoint at = { .resource = resource };

    write_path(o, &at, false, resource->verbs, collection_operations, ARRAY_LEN(collection_operations));
    write_path(o, &at, true, item_verbs, item_operations, ARRAY_LEN(item_operations));
    for (size_t i = 0; i < resource->subresource_count; i++) {
        at.sub = &resource->subresources[i];
        if (is_connected(&at))
            write_path(o, &at, true, at.sub->verbs, connect_operations, ARRAY_LEN(connect_operations));
        else
            write_path(o, &at, true, at.sub->verbs, item_operations, ARRAY_LEN(item_operations));
    }
    at = (struct endpoint){ .resource = resource, .all_namespaces = true };
    if (resource->namespaced)
        write_path(o, &at, false, resource->verbs & VERB_LIST, collection_operations, ARRAY_LEN(collection_operations));
}

void openapi_write_paths(struct openapi *o, const struct resource *const *resources, size_t count)
{
    jw_begin_object(&o->w);
    for (size_t i = 0; i < count; i++)
        if (str_eq(resources[i]->group, o->group) && str_eq(resources[i]->version, o->version))
            write_resource(o, resources[i]);
    jw_end_object(&o->w);
}
