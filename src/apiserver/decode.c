/* decode.c - bodies. Two steps: text to tree (JSON, YAML or protobuf), then the tree under its type: every member known
 * and of the right kind. What is unknown or double is only noted on the way; ?fieldValidation decides what becomes of
 * it. */
#include "apiserver/decode.h"

#include "apiserver/server.h"
#include "codec/yaml.h"
#include "schema/object.h"
#include "schema/protobuf.h"

#define DUPLICATES_MAX 16
#define DELETE_OPTIONS_TYPE "io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions"

enum validation { VALIDATION_IGNORE, VALIDATION_WARN, VALIDATION_STRICT };

static int field_validation(struct request *request, enum validation *ret_validation, struct err *err)
{
    struct str text = request_param(request, "fieldValidation");

    if (str_is(text, "Strict"))
        *ret_validation = VALIDATION_STRICT;
    else if (str_is(text, "Ignore") || (request->local && !text.data))
        *ret_validation = VALIDATION_IGNORE;
    else if (str_empty(text) || str_is(text, "Warn"))
        *ret_validation = VALIDATION_WARN;
    else
        return fail_bad_request(request, err,
                                "fieldValidation: Unsupported value: \"" STR_FMT
                                "\": supported values: \"Ignore\", \"Strict\", \"Warn\"",
                                STR_ARG(text));
    return 0;
}

static int parse_text(struct request *request, bool yaml, struct json_duplicates *duplicates, struct json **ret_json,
                      struct err *err)
{
    struct json_options options = { .duplicates = duplicates };

    if (str_empty(str_trim(request->body)))
        return fail_bad_request(request, err, "the body of the request is empty");
    if (yaml)
        return yaml_parse(request->arena, request->body, &options, ret_json, err);
    return json_parse(request->arena, request->body, &options, ret_json, err);
}

/* Notes what is wrong with fields: [unknown field "a", duplicate field "b"]. */
static int report_fields(struct request *request, enum validation validation, struct str what,
                         const struct json *unknown, const struct json_duplicates *duplicates, struct err *err)
{
    AUTO_DEINIT(buf, text) = BUF_INIT;
    size_t n_duplicates = duplicates ? duplicates->count : 0;

    if (validation == VALIDATION_IGNORE || unknown->count + n_duplicates == 0)
        return 0;
    buf_init(&text, 16384);
    for (size_t i = 0; i < unknown->count + n_duplicates; i++) {
        bool is_unknown = i < unknown->count;
        struct str path = is_unknown ? json_str(&unknown->items[i]) : duplicates->paths[i - unknown->count];
        const char *kind = is_unknown ? "unknown" : "duplicate";

        if (validation == VALIDATION_WARN)
            request_warn(request, "%s field \"" STR_FMT "\"", kind, STR_ARG(path));
        else
            buf_printf(&text, "%s%s field \"" STR_FMT "\"", i ? ", " : "", kind, STR_ARG(path));
    }
    if (validation == VALIDATION_WARN)
        return 0;
    return fail_bad_request(request, err, STR_FMT "strict decoding error: " STR_FMT, STR_ARG(what),
                            STR_ARG(buf_str(&text)));
}

static struct str api_version_of(struct request *request, const struct type *type)
{
    if (str_empty(type->group))
        return type->version;
    return arena_printf(request->arena, STR_FMT "/" STR_FMT, STR_ARG(type->group), STR_ARG(type->version));
}

/* apiVersion and kind must be those of the type; absent ones are filled in. */
static int check_kind(struct request *request, const struct type *type, struct json *object, struct err *err)
{
    struct str api_version = json_str(json_member(object, "apiVersion"));
    struct str kind = json_str(json_member(object, "kind"));
    struct str want = api_version_of(request, type);

    if (!str_empty(kind) && !str_eq(kind, type->kind_name))
        return fail_bad_request(request, err,
                                STR_FMT " in version \"" STR_FMT "\" cannot be handled as a " STR_FMT
                                        ": no kind \"" STR_FMT "\" is expected here",
                                STR_ARG(kind), STR_ARG(str_empty(api_version) ? want : api_version),
                                STR_ARG(type->kind_name), STR_ARG(kind));
    if (!str_empty(api_version) && !str_eq(api_version, want))
        return fail_bad_request(request, err,
                                "the API version in the data (" STR_FMT
                                ") does not match the expected API version (" STR_FMT ")",
                                STR_ARG(api_version), STR_ARG(want));
    if (!json_set_str(request->arena, object, STR("apiVersion"), want) ||
        !json_set_str(request->arena, object, STR("kind"), type->kind_name))
        return err_set(err, ERR_NO_MEMORY, "object");
    return 0;
}

static int normalize(struct request *request, const struct type *type, struct json *object,
                     const struct json_duplicates *duplicates, struct err *err)
{
    struct json *unknown = json_new(request->arena, JSON_ARRAY);
    enum validation validation = VALIDATION_WARN;
    struct str what = STR("");
    int code;

    if (!unknown)
        return err_set(err, ERR_NO_MEMORY, "object");
    if (object->kind != JSON_OBJECT)
        return fail_bad_request(request, err, "the body of the request is not an object");
    if ((code = field_validation(request, &validation, err)) < 0)
        return code;
    if (type->kind_name.data) {
        if ((code = check_kind(request, type, object, err)) < 0)
            return code;
        what = arena_printf(request->arena, STR_FMT " in version \"" STR_FMT "\" cannot be handled as a " STR_FMT ": ",
                            STR_ARG(type->kind_name), STR_ARG(type->version), STR_ARG(type->kind_name));
    }
    if ((code = object_normalize(request->arena, type, object, unknown, err)) < 0) {
        struct str why = err ? arena_str(request->arena, str_from(err->message)) : STR("");

        return err && err->code == ERR_BAD_REQUEST
                   ? fail_bad_request(request, err, STR_FMT STR_FMT, STR_ARG(what), STR_ARG(why))
                   : code;
    }
    return report_fields(request, validation, what, unknown, duplicates, err);
}

/* The configuration of a server-side apply may be either. */
static bool is_yaml(const struct request *request, enum body_kind kind)
{
    return kind == BODY_YAML || (kind == BODY_APPLY && !str_has_prefix(str_trim(request->body), STR("{")));
}

static int parse_body(struct request *request, enum body_kind kind, const struct type *type,
                      struct json_duplicates *duplicates, struct json **ret_json, struct err *err)
{
    if (kind == BODY_PROTOBUF && type->schema)
        return err_set(err, ERR_UNSUPPORTED_MEDIA_TYPE,
                       "the body of the request was in an unknown format - accepted media types include: "
                       "application/json, application/yaml");
    if (kind == BODY_PROTOBUF)
        return protobuf_decode(request->arena, type, request->body, ret_json, err);
    return parse_text(request, is_yaml(request, kind), duplicates, ret_json, err);
}

int decode_body_as(struct request *request, const struct type *type, struct json **ret_object, struct err *err)
{
    struct json_duplicates duplicates = { .limit = DUPLICATES_MAX };
    struct json *object;
    enum body_kind kind;
    int code;

    if ((code = negotiate_body(request->content_type, request->info.verb == VERB_PATCH, &kind, err)) < 0 ||
        (code = parse_body(request, kind, type, &duplicates, &object, err)) < 0 ||
        (code = normalize(request, type, object, &duplicates, err)) < 0)
        return code;
    *ret_object = object;
    return 0;
}

int decode_body(struct request *request, struct json **ret_object, struct err *err)
{
    return decode_body_as(request, request->resource->type, ret_object, err);
}

int decode_tree(struct request *request, const struct type *type, struct json *object, struct err *err)
{
    return normalize(request, type, object, NULL, err);
}

int decode_json(struct request *request, struct json **ret_json, struct err *err)
{
    return parse_text(request, false, NULL, ret_json, err);
}

int decode_dry_run(struct request *request, struct err *err)
{
    for (size_t i = 0; i < request->params.count; i++) {
        const struct http_param *param = &request->params.items[i];

        if (!str_is(param->name, "dryRun") || str_empty(param->value))
            continue;
        if (!str_is(param->value, "All"))
            return fail_bad_request(request, err,
                                    "dryRun: Unsupported value: \"" STR_FMT "\": supported values: \"All\"",
                                    STR_ARG(param->value));
        request->dry_run = true;
    }
    return 0;
}

#define MANAGER_MAX 128

/* Options are objects of their own: they fail as such. */
static int fail_options(struct request *request, const char *kind, struct err *err)
{
    request->failure.group = STR("meta.k8s.io");
    request->failure.kind = str_from(kind);
    return err_set(err, ERR_INVALID, "%s.meta.k8s.io \"\" is invalid: " STR_FMT, kind,
                   STR_ARG(causes_text(&request->failure.causes)));
}

static bool is_printable(struct str text)
{
    for (size_t i = 0; i < text.len; i++)
        if ((unsigned char)text.data[i] < ' ' || text.data[i] == 0x7f)
            return false;
    return true;
}

int decode_manager(struct request *request, struct err *err)
{
    bool patch = request->info.verb == VERB_PATCH, apply = patch && request->patch_kind == BODY_APPLY;
    struct causes *causes = &request->failure.causes;
    struct str manager = request_param(request, "fieldManager"), field = STR("fieldManager");

    if (apply && str_empty(manager))
        causes_add(causes, CAUSE_REQUIRED, field, "Required value: is required for apply patch");
    if (manager.len > MANAGER_MAX)
        causes_add(causes, CAUSE_TOO_LONG, field, "Too long: may not be more than %d bytes", MANAGER_MAX);
    else if (!is_printable(manager))
        causes_add(causes, CAUSE_INVALID, field, "Invalid value: must only contain printable characters");
    if (patch && !apply && request_param(request, "force").data)
        causes_add(causes, CAUSE_FORBIDDEN, STR("force"), "Forbidden: may not be specified for non-apply patch");
    if (!causes->count)
        return 0;
    return fail_options(request, patch ? "PatchOptions" : request->info.verb == VERB_CREATE ? "CreateOptions"
                                                                                            : "UpdateOptions", err);
}

static int query_option(struct request *request, struct json *options, const char *name, enum json_kind kind,
                        struct err *err)
{
    struct str value = request_param(request, name);
    struct arena *arena = request->arena;
    int64_t number;
    bool ok = true;

    if (str_empty(value))
        return 0;
    if (kind == JSON_NUMBER) {
        if (!str_to_i64(value, &number))
            return fail_bad_request(request, err, "%s: \"" STR_FMT "\" is not a number", name, STR_ARG(value));
        ok = json_set_int(arena, options, str_from(name), number) != NULL;
    } else if (kind == JSON_BOOL) {
        ok = json_set_bool(arena, options, str_from(name), param_bool(&request->params, str_from(name))) != NULL;
    } else {
        ok = json_set_str(arena, options, str_from(name), value) != NULL;
    }
    return ok ? 0 : err_set(err, ERR_NO_MEMORY, "delete options");
}

static int parse_options(struct request *request, struct json **ret_options, struct err *err)
{
    struct json *options;
    enum body_kind kind;
    int code;

    if (str_empty(str_trim(request->body))) {
        options = json_new(request->arena, JSON_OBJECT);
        *ret_options = options;
        return options ? 0 : err_set(err, ERR_NO_MEMORY, "delete options");
    }
    if ((code = negotiate_body(request->content_type, false, &kind, err)) < 0 ||
        (code = parse_body(request, kind, type_named(DELETE_OPTIONS_TYPE), NULL, &options, err)) < 0)
        return code;
    if (options->kind != JSON_OBJECT)
        return fail_bad_request(request, err, "the body of the request is not a DeleteOptions object");
    struct str kind_name = json_str(json_member(options, "kind"));
    if (kind_name.data && !str_is(kind_name, "DeleteOptions"))
        return fail_bad_request(request, err, "the body of the request is a " STR_FMT ", not DeleteOptions",
                                STR_ARG(kind_name));
    *ret_options = options;
    return 0;
}

int decode_delete_options(struct request *request, struct json **ret_options, struct err *err)
{
    static const struct {
        const char *name;
        enum json_kind kind;
    } fields[] = {
        { "gracePeriodSeconds", JSON_NUMBER },
        { "orphanDependents", JSON_BOOL },
        { "propagationPolicy", JSON_STRING },
    };
    struct json *options;
    int code;

    if ((code = parse_options(request, &options, err)) < 0)
        return code;
    for (size_t i = 0; i < ARRAY_LEN(fields); i++) {
        const struct json *member;

        if ((code = query_option(request, options, fields[i].name, fields[i].kind, err)) < 0)
            return code;
        member = json_get(options, str_from(fields[i].name));
        if (member && member->kind != JSON_NULL && member->kind != fields[i].kind)
            return fail_bad_request(request, err, "DeleteOptions: %s has the wrong type", fields[i].name);
    }
    const struct json *dry_run = json_member(options, "dryRun");
    for (uint32_t i = 0; json_is(dry_run, JSON_ARRAY) && i < dry_run->count; i++) {
        if (!str_is(json_str(&dry_run->items[i]), "All"))
            return fail_bad_request(request, err, "dryRun: Unsupported value: supported values: \"All\"");
        request->dry_run = true;
    }
    struct str policy = json_str(json_member(options, "propagationPolicy"));
    if (!str_empty(policy) && !str_is(policy, "Foreground") && !str_is(policy, "Background") &&
        !str_is(policy, "Orphan"))
        return err_set(err, ERR_INVALID,
                       "DeleteOptions.meta.k8s.io \"\" is invalid: propagationPolicy: Unsupported value: \"" STR_FMT
                       "\": supported values: \"Foreground\", \"Background\", \"Orphan\", \"nil\"",
                       STR_ARG(policy));
    if (!str_empty(policy) && json_is(json_member(options, "orphanDependents"), JSON_BOOL))
        return err_set(err, ERR_INVALID,
                       "DeleteOptions.meta.k8s.io \"\" is invalid: propagationPolicy: Invalid value: \"" STR_FMT
                       "\": orphanDependents and deletionPropagation cannot be both set",
                       STR_ARG(policy));
    *ret_options = options;
    return 0;
}

int decode_stored(struct request *request, struct str text, struct json **ret_object, struct err *err)
{
    struct str copy = arena_str(request->arena, text);
    int code;

    if (!copy.data)
        return err_set(err, ERR_NO_MEMORY, "stored object");
    if ((code = json_parse(request->arena, copy, NULL, ret_object, err)) < 0) {
        err_wrap(err, code, "reading a stored object");
        return err_set(err, ERR_INTERNAL, "a stored object is damaged");
    }
    return 0;
}

const struct type *type_named(const char *name)
{
    struct str want = str_from(name);
    size_t low = 0, high = api_type_count;

    while (low < high) {
        size_t middle = (low + high) / 2;
        int order = str_cmp(api_types[middle]->name, want);

        if (order == 0)
            return api_types[middle];
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}
