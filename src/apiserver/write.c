/* write.c - plan, commit, and again.
 *
 * A commit that fails its comparisons means that the plan was made on old facts; conflict() says whether to make a new
 * one (a patch without a resourceVersion, a generated name that was taken) or to tell the caller (409). */
#include "apiserver/write.h"

#include "apiserver/convert.h"
#include "apiserver/decode.h"
#include "apiserver/indexed.h"
#include "apiserver/newest.h"
#include "apiserver/overlay.h"
#include "apiserver/registry.h"
#include "apiserver/server.h"
#include "schema/object.h"

#define ATTEMPTS_MAX 16

struct write *write_new(struct request *request, int (*plan)(struct write *, struct err *))
{
    struct write *write = arena_new_of(request->arena, struct write);

    if (!write)
        return NULL;
    *write = (struct write){ .request = request,
                             .plan = plan,
                             .max_attempts = ATTEMPTS_MAX,
                             .status = 200,
                             .ns = request->info.ns,
                             .name = request->info.name };
    return write;
}

int write_op(struct write *write, enum store_op_kind kind, struct str key, struct str value, uint32_t splice,
             revision_t expect, struct err *err)
{
    size_t cap = write->cap ? write->cap * 2 : 8;

    if (!key.data)
        return err_set(err, ERR_NO_MEMORY, "store operation");
    if (key.len > STORE_KEY_MAX)
        return err_set(err, ERR_BAD_REQUEST, "the name is too long");
    if (write->count == STORE_OPS_MAX)
        return err_set(err, ERR_TOO_LARGE, "the write touches too many keys");
    if (write->count == write->cap) {
        struct store_op *ops =
            arena_grow(write->request->arena, write->ops, write->cap * sizeof *ops, cap * sizeof *ops);
        if (!ops)
            return err_set(err, ERR_NO_MEMORY, "store operations");
        write->ops = ops;
        write->cap = cap;
    }
    write->ops[write->count++] = (struct store_op){ kind, key, value, splice, expect };
    return 0;
}

/* What the object can be found by, beside its key. */
static int add_terms(struct write *write, const struct json *object, struct err *err)
{
    struct store_op *op = &write->ops[write->main_op];
    struct str *terms = arena_array_of(write->request->arena, STORE_TERMS_MAX, struct str);

    if (!terms)
        return err_set(err, ERR_NO_MEMORY, "store operation");
    op->terms_count = indexed_terms(write->request->arena, op->key, object, terms);
    op->terms = terms;
    return 0;
}

int write_object(struct write *write, enum store_op_kind kind, struct json *object, revision_t expect, struct err *err)
{
    struct request *request = write->request;
    int code;

    if ((code = splice_object(request->arena, object, &write->text, err)) < 0)
        return code;
    write->main_op = write->count;
    code = write_op(write, kind, request_key(request, write->ns, write->name), write->text.text, write->text.at, expect,
                    err);
    return code < 0 || kind != STORE_PUT ? code : add_terms(write, object, err);
}

int write_read(struct write *write, struct str key, struct json **ret_object, struct str *ret_text,
               revision_t *ret_revision, struct err *err)
{
    struct request *request = write->request;
    AUTO(store_snapshot) snapshot = NULL;
    const struct store_op *op;
    struct store_item item;
    struct str text;
    int code;

    if (!key.data)
        return err_set(err, ERR_NO_MEMORY, "store key");
    if (key.len > STORE_KEY_MAX) {
        *ret_object = NULL;
        return 0;
    }
    if ((op = overlay_find(request->overlay, key))) {
        item = (struct store_item){ .value = op->value, .revision = STORE_ANY };
        code = op->kind == STORE_DELETE ? -ERR_NOT_FOUND : 0;
    } else if ((code = store_snapshot_open(request->server->options.store, request->as_of, &snapshot, err)) == 0) {
        code = store_get(snapshot, key, &item, err);
    }
    if (code == -ERR_NOT_FOUND) {
        err_clear(err);
        *ret_object = NULL;
        return 0;
    }
    if (code < 0)
        return code;
    text = arena_str(request->arena, item.value);
    if (!text.data)
        return err_set(err, ERR_NO_MEMORY, "stored object");
    if ((code = json_parse(request->arena, text, NULL, ret_object, err)) < 0)
        return err_set(err, ERR_INTERNAL, "a stored object is damaged");
    if (ret_text)
        *ret_text = text;
    *ret_revision = item.revision;
    return 0;
}

int write_to_storage(struct write *write, struct json *object, struct err *err)
{
    struct request *request = write->request;

    return convert_object(request->arena, request->resource, request_storage(request), object, err);
}

int write_canonical(struct write *write, struct json *object, struct err *err)
{
    struct request *request = write->request;
    struct json *meta = json_ensure(request->arena, object, STR("metadata"), JSON_OBJECT);

    if (!meta || !json_set_str(request->arena, meta, STR("resourceVersion"), STR("")))
        return err_set(err, ERR_NO_MEMORY, "object metadata");
    return object_normalize(request->arena, request_storage(request)->type, object, NULL, err);
}

int write_admit(struct write *write, struct json *object, const struct json *old, struct err *err)
{
    struct apiserver *server = write->request->server;
    int code = 0;

    for (size_t i = 0; i < server->admissions.count && code == 0; i++) {
        const struct admission *admission = &server->admissions.items[i];

        if (admission->mutate)
            code = admission->mutate(admission->ctx, write->request, object, old, err);
    }
    for (size_t i = 0; i < server->admissions.count && code == 0; i++) {
        const struct admission *admission = &server->admissions.items[i];

        if (admission->validate)
            code = admission->validate(admission->ctx, write->request, object, old, err);
    }
    return code;
}

void write_release(struct write *write)
{
    for (size_t i = 0; write->txn.result.values && i < write->count; i++)
        write->txn.result.values[i] = blob_unref(write->txn.result.values[i]);
}

int write_finish(struct write *write, struct err *err)
{
    if (write->finish)
        return write->finish(write, err);
    reply_object(write->request, write->status, TAKE(write->txn.result.values[write->main_op]));
    return 0;
}

/* The object as it would have been. */
int write_finish_dry_run(struct write *write, struct err *err)
{
    char revision[24] = "";
    struct str text;

    if (write->shown)
        snprintf(revision, sizeof revision, "%llu", (unsigned long long)write->shown);
    text = splice_fill(write->request->arena, &write->text, str_from(revision));
    if (!text.data)
        return err_set(err, ERR_NO_MEMORY, "answer");
    write->txn.result.values[write->main_op] = blob_copy(text);
    if (!write->txn.result.values[write->main_op])
        return err_set(err, ERR_NO_MEMORY, "answer");
    return write_finish(write, err);
}

/* Plans and makes the transaction ready. 0: commit it; WRITE_DONE: there is nothing to commit; negative: failed. */
static int prepare(struct write *write, struct err *err)
{
    struct blob **values;
    int code;

    write->count = 0;
    write->attempts++;
    write->request->failure.causes.count = 0;
    if ((code = write->plan(write, err)) != 0)
        return code;
    values = arena_array_of(write->request->arena, write->count, struct blob *);
    if (!values)
        return err_set(err, ERR_NO_MEMORY, "store transaction");
    write->txn = (struct store_txn){
        .ops = write->ops, .ops_count = write->count, .cause = request_cause(write->request), .result.values = values
    };
    if (!write->request->dry_run)
        return 0;
    code = write_finish_dry_run(write, err);
    write_release(write);
    return code < 0 ? code : WRITE_DONE;
}

static bool has_followers(const struct write *write)
{
    return write->request->rules && write->request->rules->committed;
}

/* After the commit. 0: plan again; WRITE_DONE: the reply is set; negative: failed. */
static int conclude(struct write *write, int code, struct err *err)
{
    if (code == -ERR_CONFLICT) {
        if (write->attempts >= write->max_attempts)
            return fail_modified(write->request, write->name, err);
        err_clear(err);
        return write->conflict ? write->conflict(write, err) : 0;
    }
    if (code == 0 && has_followers(write))
        write->request->rules->committed(write->request);
    if (code == 0)
        code = write_finish(write, err);
    write_release(write);
    return code < 0 ? code : WRITE_DONE;
}

int write_run(struct write *write, struct err *err)
{
    int code;

    for (;;) {
        if ((code = prepare(write, err)) != 0)
            return code < 0 ? code : 0;
        code = store_commit(write->request->server->options.store, write->ops, write->count, &write->txn.cause,
                            &write->txn.result, err);
        if ((code = conclude(write, code, err)) != 0 || (code = newest_wait(write->request->server, err)) < 0)
            return code < 0 ? code : 0;
    }
}

static void end_async(struct write *write, int code, const struct err *err)
{
    if (code < 0)
        reply_error(write->request, err);
    write->done(write);
}

static void plan_async(void *arg);

static void committed(struct store_txn *txn, int code);

/* What follows a write may block, and the store's thread must not. */
static void committed_later(void *arg)
{
    struct write *write = arg;

    write->followed = true;
    committed(&write->txn, 0);
}

static void synced(struct store_sync *sync, int code)
{
    struct write *write = sync->arg;
    struct err err = sync->err;

    if (code == 0 && (code = executor_post(write->request->server->options.executor, plan_async, write, &err)) == 0)
        return;
    end_async(write, code, &err);
}

/* What came first may have been another server's, and not be known here yet. */
static void plan_again(struct write *write)
{
    write->sync = (struct store_sync){ .done = synced, .arg = write };
    store_sync_async(write->request->server->options.store, &write->sync);
}

static void committed(struct store_txn *txn, int code)
{
    struct write *write = txn->arg;
    struct err err = txn->err;

    if (code == 0 && has_followers(write) && !write->followed &&
        executor_post(write->request->server->options.executor, committed_later, write, NULL) == 0)
        return;

    code = conclude(write, code, &err);
    if (code == 0)
        plan_again(write);
    else
        end_async(write, code, &err);
}

static void plan_async(void *arg)
{
    struct write *write = arg;
    struct err err = { 0 };
    int code = prepare(write, &err);

    if (code != 0) {
        end_async(write, code, &err);
        return;
    }
    write->txn.done = committed;
    write->txn.arg = write;
    store_commit_async(write->request->server->options.store, &write->txn);
}

void write_start(struct write *write, void (*done)(struct write *write), void *arg)
{
    write->done = done;
    write->done_arg = arg;
    plan_async(write);
}
