/* status.c - Status objects, written from an error and what the handlers noted beside it. */
#include "apiserver/status.h"

#include "apiserver/request.h"

static void write_cause(struct json_writer *w, struct str reason, struct str message, struct str field)
{
    jw_begin_object(w);
    jw_field_str(w, "reason", reason);
    jw_field_str(w, "message", message);
    if (!str_empty(field))
        jw_field_str(w, "field", field);
    jw_end_object(w);
}

static bool has_causes(const struct failure *failure)
{
    return failure->causes.count || failure->cause_reason.data || failure->origin.data;
}

static void write_causes(struct json_writer *w, const struct failure *failure)
{
    if (!has_causes(failure))
        return;
    jw_key(w, STR("causes"));
    jw_begin_array(w);
    for (size_t i = 0; i < failure->causes.count; i++) {
        const struct cause *cause = &failure->causes.items[i];

        write_cause(w, str_from(cause_reason(cause->type)), cause->message, cause->field);
    }
    if (failure->cause_reason.data)
        write_cause(w, failure->cause_reason, failure->cause_message, failure->cause_field);
    if (failure->origin.data)
        write_cause(w, STR("TransactionWrite"), failure->origin_message, failure->origin);
    jw_end_array(w);
}

static void write_details(struct json_writer *w, const struct failure *failure)
{
    if (!failure->kind.data && !has_causes(failure) && !failure->retry_after)
        return;
    jw_key(w, STR("details"));
    jw_begin_object(w);
    if (!str_empty(failure->name))
        jw_field_str(w, "name", failure->name);
    if (!str_empty(failure->group))
        jw_field_str(w, "group", failure->group);
    if (!str_empty(failure->kind))
        jw_field_str(w, "kind", failure->kind);
    if (!str_empty(failure->uid))
        jw_field_str(w, "uid", failure->uid);
    write_causes(w, failure);
    if (failure->retry_after)
        jw_field_int(w, "retryAfterSeconds", failure->retry_after);
    jw_end_object(w);
}

static void write_head(struct json_writer *w, struct str status, struct str token)
{
    jw_begin_object(w);
    jw_field_str(w, "kind", STR("Status"));
    jw_field_str(w, "apiVersion", STR("v1"));
    jw_key(w, STR("metadata"));
    jw_begin_object(w);
    if (token.data)
        jw_field_str(w, "continue", token);
    jw_end_object(w);
    jw_field_str(w, "status", status);
}

int status_code(const struct err *err, const struct failure *failure)
{
    return failure && failure->status ? failure->status : err_http_status(err->code);
}

void status_write(struct buf *buf, const struct err *err, const struct failure *failure)
{
    static const struct failure none;
    struct json_writer w = json_writer(buf);

    if (!failure)
        failure = &none;
    write_head(&w, STR("Failure"), failure->continue_token);
    jw_field_str(&w, "message", str_from(err->message));
    jw_field_str(&w, "reason", failure->reason.data ? failure->reason : str_from(err_reason(err->code)));
    write_details(&w, failure);
    jw_field_int(&w, "code", status_code(err, failure));
    jw_end_object(&w);
}

void status_write_success(struct buf *buf, struct str name, struct str group, struct str kind, struct str uid)
{
    struct failure details = { .name = name, .group = group, .kind = kind, .uid = uid };
    struct json_writer w = json_writer(buf);

    write_head(&w, STR("Success"), STR_NULL);
    write_details(&w, &details);
    jw_end_object(&w);
}

static struct str qualified(struct request *request, struct str what)
{
    struct str group = request->resource ? request->resource->group : request->info.group;

    if (str_empty(group))
        return what;
    return arena_printf(request->arena, STR_FMT "." STR_FMT, STR_ARG(what), STR_ARG(group));
}

struct str qualified_resource(struct request *request)
{
    return qualified(request, request->resource ? request->resource->plural : request->info.plural);
}

struct str qualified_kind(struct request *request)
{
    return qualified(request, request->resource ? request->resource->kind : STR("Object"));
}

static void set_details(struct request *request, struct str name, bool kind)
{
    struct failure *failure = &request->failure;

    failure->name = name;
    failure->group = request->info.group;
    failure->kind = request->info.plural;
    if (request->resource) {
        failure->group = request->resource->group;
        failure->kind = kind ? request->resource->kind : request->resource->plural;
    }
}

int fail_not_found(struct request *request, struct str name, struct err *err)
{
    set_details(request, name, false);
    return err_set(err, ERR_NOT_FOUND, STR_FMT " \"" STR_FMT "\" not found", STR_ARG(qualified_resource(request)),
                   STR_ARG(name));
}

int fail_already_exists(struct request *request, struct str name, struct err *err)
{
    set_details(request, name, false);
    return err_set(err, ERR_ALREADY_EXISTS, STR_FMT " \"" STR_FMT "\" already exists",
                   STR_ARG(qualified_resource(request)), STR_ARG(name));
}

int fail_conflict(struct request *request, struct str name, struct err *err, const char *fmt, ...)
{
    va_list args;
    struct str why;

    va_start(args, fmt);
    why = arena_vprintf(request->arena, fmt, args);
    va_end(args);
    set_details(request, name, false);
    return err_set(err, ERR_CONFLICT, "Operation cannot be fulfilled on " STR_FMT " \"" STR_FMT "\": " STR_FMT,
                   STR_ARG(qualified_resource(request)), STR_ARG(name), STR_ARG(why));
}

int fail_modified(struct request *request, struct str name, struct err *err)
{
    return fail_conflict(request, name, err,
                         "the object has been modified; please apply your changes to the latest version and try "
                         "again");
}

int fail_forbidden(struct request *request, struct str name, struct err *err, const char *fmt, ...)
{
    va_list args;
    struct str why;

    va_start(args, fmt);
    why = arena_vprintf(request->arena, fmt, args);
    va_end(args);
    set_details(request, name, false);
    if (str_empty(name))
        return err_set(err, ERR_FORBIDDEN, STR_FMT " is forbidden: " STR_FMT, STR_ARG(qualified_resource(request)),
                       STR_ARG(why));
    return err_set(err, ERR_FORBIDDEN, STR_FMT " \"" STR_FMT "\" is forbidden: " STR_FMT,
                   STR_ARG(qualified_resource(request)), STR_ARG(name), STR_ARG(why));
}

int fail_bad_request(struct request *request, struct err *err, const char *fmt, ...)
{
    va_list args;
    int code;

    (void)request;
    va_start(args, fmt);
    code = err_vset(err, ERR_BAD_REQUEST, fmt, args);
    va_end(args);
    return code;
}

int fail_method(struct request *request, struct err *err)
{
    return err_set(err, ERR_METHOD_NOT_ALLOWED, "the server does not allow this method on the requested resource");
}

int fail_not_supported(struct request *request, struct err *err, const char *what)
{
    set_details(request, request->info.name, false);
    return err_set(err, ERR_NOT_SUPPORTED, "%s is not supported by this server", what);
}

int fail_invalid(struct request *request, struct str name, struct err *err)
{
    set_details(request, name, true);
    return err_set(err, ERR_INVALID, STR_FMT " \"" STR_FMT "\" is invalid: " STR_FMT, STR_ARG(qualified_kind(request)),
                   STR_ARG(name), STR_ARG(causes_text(&request->failure.causes)));
}
