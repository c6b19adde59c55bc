/* transaction.c - POST /apis/caravel.io/v1/transactions: many writes, one revision, all or nothing.
 *
 * Each write is a request of its own, as if it had come alone: the same user, path, query and body, routed, authorized,
 * admitted and validated by the same code. Only the commit is one (batch.c). The answer has what each would have been
 * answered with; a failure is the answer of the write that failed, with its place. */
#include "apiserver/decode.h"
#include "apiserver/server.h"
#include "api/resources.h"
#include "apiserver/batch.h"

#define WRITES_MAX 500

struct transaction {
    struct request *request;
    const struct json *writes;
};

static int no_memory(struct err *err)
{
    return err_set(err, ERR_NO_MEMORY, "transaction");
}

static bool is_one_of(struct str word, const char *const *words, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (str_is(word, words[i]))
            return true;
    return false;
}

/* -- the body -- */

static int check_members(const struct json *object, const char *what, const char *const *known, size_t count,
                         struct err *err)
{
    if (!json_is(object, JSON_OBJECT))
        return err_set(err, ERR_INVALID, "%s is not an object", what);
    for (uint32_t i = 0; i < object->count; i++)
        if (!is_one_of(object->members[i].key, known, count))
            return err_set(err, ERR_INVALID, "%s has an unknown member \"" STR_FMT "\"", what,
                           STR_ARG(str_first(object->members[i].key, 64)));
    return 0;
}

static int read_body(struct transaction *transaction, struct err *err)
{
    static const char *const known[] = { "kind", "apiVersion", "writes" };
    struct request *request = transaction->request;
    struct json *body;
    enum body_kind kind;
    int code;

    if ((code = negotiate_body(request->content_type, false, &kind, err)) < 0)
        return code;
    if (kind != BODY_JSON)
        return err_set(err, ERR_UNSUPPORTED_MEDIA_TYPE, "a transaction is taken as application/json only");
    if ((code = decode_json(request, &body, err)) < 0 ||
        (code = check_members(body, "the transaction", known, ARRAY_LEN(known), err)) < 0)
        return code;
    if (!str_is(json_str(json_member(body, "kind")), "Transaction") ||
        !str_is(json_str(json_member(body, "apiVersion")), "caravel.io/v1"))
        return err_set(err, ERR_BAD_REQUEST, "the body is no Transaction of caravel.io/v1");
    transaction->writes = json_member(body, "writes");
    if (!json_is(transaction->writes, JSON_ARRAY) || !transaction->writes->count)
        return err_set(err, ERR_INVALID, "the transaction has no writes");
    if (transaction->writes->count > WRITES_MAX)
        return err_set(err, ERR_TOO_LARGE, "the transaction has %u writes, which is more than %d",
                       transaction->writes->count, WRITES_MAX);
    return 0;
}

/* -- one write -- */

static int read_text(struct request *request, const struct json *body, struct err *err)
{
    if (!body || body->kind == JSON_NULL)
        return 0;
    request->body = body->kind == JSON_STRING ? body->string : json_text(request->arena, body);
    return request->body.data ? 0 : no_memory(err);
}

/* What an HTTP client would have sent. */
static int make_http(struct transaction *transaction, struct request *request, const struct json *json,
                     const struct http_request **ret_http, struct err *err)
{
    static const char *const known[] = { "method", "path", "contentType", "body" };
    static const char *const methods[] = { "POST", "PUT", "PATCH", "DELETE" };
    struct http_request *http = arena_new_of(request->arena, struct http_request);
    struct http_header *headers = arena_array_of(request->arena, 2, struct http_header);
    struct str method = json_str(json_member(json, "method")), target = json_str(json_member(json, "path"));
    struct str type = json_str(json_member(json, "contentType"));
    ssize_t mark = str_chr(target, '?');
    int code;

    if (!http || !headers)
        return no_memory(err);
    if ((code = check_members(json, "the write", known, ARRAY_LEN(known), err)) < 0)
        return code;
    if (!is_one_of(method, methods, ARRAY_LEN(methods)))
        return err_set(err, ERR_INVALID, "method: Unsupported value: \"" STR_FMT
                       "\": supported values: \"DELETE\", \"PATCH\", \"POST\", \"PUT\"", STR_ARG(str_first(method, 64)));
    if (!str_has_prefix(target, STR("/")))
        return err_set(err, ERR_INVALID, "path: Invalid value: it must begin with a slash");
    headers[0] = (struct http_header){ STR("content-type"), str_empty(type) ? STR("application/json") : type };
    headers[1] = (struct http_header){ STR("user-agent"), transaction->request->user_agent };
    *http = (struct http_request){ .method = http_method_from(method),
                                   .method_name = method,
                                   .target = target,
                                   .path = mark < 0 ? target : str_first(target, (size_t)mark),
                                   .query = mark < 0 ? STR("") : str_skip(target, (size_t)mark + 1),
                                   .headers = headers,
                                   .header_count = 2,
                                   .major = transaction->request->http->major,
                                   .peer = transaction->request->http->peer,
                                   .remote_address = transaction->request->http->remote_address };
    if ((code = read_text(request, json_member(json, "body"), err)) < 0)
        return code;
    http->body = request->body;
    request->method = http->method;
    request->info.path = http->path;
    *ret_http = http;
    return 0;
}

static int not_allowed(const struct request *request, struct err *err)
{
    return err_set(err, ERR_INVALID,
                   "%s " STR_FMT " cannot be part of a transaction: only creations, updates, patches and deletions of "
                   "single objects and of their status can",
                   http_method_name(request->method), STR_ARG(str_first(request->info.path, 256)));
}

/* Kinds become known when their definition is committed, not before. */
static int explain_unknown(struct batch *batch, int code, struct err *err)
{
    struct str definitions = RESOURCE_APIEXTENSIONS_K8S_IO_CUSTOMRESOURCEDEFINITIONS.store_prefix;
    struct map_entry *entry = NULL;

    while (code == -ERR_NOT_FOUND && (entry = map_next(&batch->overlay.written, entry)))
        if (str_has_prefix(entry->key, definitions))
            return err_set(err, ERR_NOT_FOUND,
                           "the server could not find the requested resource; what a CustomResourceDefinition defines "
                           "is known only after the transaction that it is created in");
    return code;
}

static int plan_write(struct transaction *transaction, struct batch *batch, const struct json *json, struct err *err)
{
    const struct http_request *http = NULL;
    struct request *request;
    struct write *write;
    int code;

    if ((code = batch_request(batch, &request, err)) < 0 ||
        (code = make_http(transaction, request, json, &http, err)) < 0)
        return code;
    if ((code = request_route(request, http, err)) < 0)
        return explain_unknown(batch, code, err);
    if (request->subresource && !str_is(request->subresource->name, "status"))
        return not_allowed(request, err);
    write = request_write(request, err, &code);
    if (code < 0)
        return code;
    if (!write)
        return not_allowed(request, err);
    if (request->dry_run && !batch->request->dry_run)
        return err_set(err, ERR_INVALID, "dryRun: Invalid value: it is said of the whole transaction, not of one write");
    request->dry_run = batch->request->dry_run;
    return batch_add(batch, write, err);
}

static int plan(struct batch *batch, struct err *err)
{
    struct transaction *transaction = batch->arg;
    int code = 0;

    for (uint32_t i = 0; i < transaction->writes->count && code == 0; i++)
        code = plan_write(transaction, batch, &transaction->writes->items[i], err);
    return code;
}

/* -- the answer -- */

static void write_results(struct batch *batch, struct json_writer *w)
{
    jw_key(w, STR("results"));
    jw_begin_array(w);
    for (size_t i = 0; i < batch->count; i++) {
        struct request *request = batch->requests[i];

        reply_finish(request);
        jw_raw(w, request->reply.text);
        for (size_t k = 0; k < request->reply.warning_count; k++)
            request_warn(batch->request, STR_FMT, STR_ARG(request->reply.warnings[k]));
    }
    jw_end_array(w);
}

static int answer(struct batch *batch, struct err *err)
{
    struct request *request = batch->request;
    AUTO_DEINIT(buf, buf) = BUF_INIT;
    struct json_writer w = json_writer(&buf);
    char revision[24];
    struct blob *blob;

    snprintf(revision, sizeof revision, "%llu", (unsigned long long)batch->result.revision);
    jw_begin_object(&w);
    jw_field_str(&w, "kind", STR("TransactionResult"));
    jw_field_str(&w, "apiVersion", STR("caravel.io/v1"));
    jw_key(&w, STR("metadata"));
    jw_begin_object(&w);
    jw_field_str(&w, "resourceVersion", str_from(revision));
    jw_end_object(&w);
    write_results(batch, &w);
    jw_end_object(&w);
    blob = buf_ok(&buf) ? blob_copy(buf_str(&buf)) : NULL;
    if (!blob)
        return err_set(err, ERR_NO_MEMORY, "the transaction is committed, but there is no memory for its answer");
    reply_text(request, 200, "application/json", blob_str(blob));
    request->reply.blob = blob;
    return 0;
}

int transaction_run(struct request *request, struct err *err)
{
    struct transaction transaction = { .request = request };
    AUTO_DEINIT(batch, batch);
    int code;

    batch_init(&batch, request, WRITES_MAX, plan, &transaction);
    batch.cause.rule = STR("transaction");
    if ((code = decode_dry_run(request, err)) < 0 || (code = read_body(&transaction, err)) < 0)
        return code;
    code = batch_run(&batch, err);
    return code < 0 ? batch_fail(&batch, err) : answer(&batch, err);
}
