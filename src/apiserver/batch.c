/* batch.c - gathers the operations of many writes.
 *
 * Writes are planned one after the other with the code that plans single ones. What a later one reads (its namespace,
 * an address that is taken) it finds in the overlay first: the puts and deletions gathered so far. A comparison of what
 * the transaction itself writes is left out, as there is nothing in the store to compare with; the same comparison of
 * several writes is made once. Everything else is compared by the commit, so the whole is right at its one revision,
 * whatever snapshots it was planned upon. When something else came first, all is planned again. */
#include "apiserver/batch.h"

#include "apiserver/newest.h"
#include "apiserver/registry.h"
#include "apiserver/server.h"

#define BATCH_ARENA (256u << 20)
#define ATTEMPTS_MAX 16

struct batch_origin {
    size_t write, op;
};

static int no_memory(struct err *err)
{
    return err_set(err, ERR_NO_MEMORY, "transaction");
}

static void clear_attempt(struct batch *batch)
{
    for (size_t i = 0; i < batch->count; i++) {
        if (batch->writes[i])
            write_release(batch->writes[i]);
        if (batch->requests[i])
            request_release(batch->requests[i]);
    }
    batch->count = batch->cap = batch->op_count = 0;
    batch->requests = NULL;
    batch->writes = NULL;
    batch->ops = NULL;
    batch->failed = BATCH_NONE;
    map_clear(&batch->overlay.written);
    map_clear(&batch->checks);
    arena_reset(&batch->arena);
}

void batch_init(struct batch *batch, struct request *request, size_t max, int (*plan)(struct batch *, struct err *),
                void *arg)
{
    *batch = (struct batch){ .request = request,
                             .plan = plan,
                             .arg = arg,
                             .cause = request_cause(request),
                             .label = "writes",
                             .max = max,
                             .failed = BATCH_NONE };
    arena_init_within(&batch->arena, BATCH_ARENA, request->arena->budget);
    map_init(&batch->overlay.written);
    map_init(&batch->checks);
}

void batch_deinit(struct batch *batch)
{
    clear_attempt(batch);
    map_deinit(&batch->overlay.written);
    map_deinit(&batch->checks);
    arena_deinit(&batch->arena);
}

static int grow(struct batch *batch, struct err *err)
{
    size_t cap = batch->cap ? batch->cap * 2 : 16, size = sizeof(void *);
    struct request **requests;
    struct write **writes;

    if (batch->count < batch->cap)
        return 0;
    requests = arena_grow(&batch->arena, batch->requests, batch->cap * size, cap * size);
    writes = requests ? arena_grow(&batch->arena, batch->writes, batch->cap * size, cap * size) : NULL;
    if (!writes)
        return no_memory(err);
    batch->requests = requests;
    batch->writes = writes;
    batch->cap = cap;
    return 0;
}

int batch_request(struct batch *batch, struct request **ret_request, struct err *err)
{
    struct request *request;
    int code;

    if (batch->count == batch->max)
        return err_set(err, ERR_TOO_LARGE, "there are more than %zu writes in one transaction", batch->max);
    if ((code = grow(batch, err)) < 0)
        return code;
    if (!(request = arena_new_of(&batch->arena, struct request)))
        return no_memory(err);
    request_init(request, batch->request->server, &batch->arena);
    request->user = batch->request->user;
    request->overlay = &batch->overlay;
    batch->failed = batch->count;
    batch->writes[batch->count] = NULL;
    batch->requests[batch->count++] = request;
    *ret_request = request;
    return 0;
}

/* -- gathering -- */

static int written_twice(struct batch *batch, struct str key, struct err *err)
{
    const struct store_op *op = map_get(&batch->overlay.written, key);

    return err_set(err, ERR_INVALID,
                   "it writes what %s[%zu] of the same transaction writes; one write is allowed for an object",
                   batch->label, batch->origins[op - batch->ops].write);
}

static int push(struct batch *batch, struct map *map, const struct store_op *op, size_t index, struct err *err)
{
    struct store_op *place;

    if (batch->op_count == STORE_OPS_MAX)
        return err_set(err, ERR_TOO_LARGE, "the transaction touches more than %d keys of the store", STORE_OPS_MAX);
    place = &batch->ops[batch->op_count];
    *place = *op;
    batch->origins[batch->op_count++] = (struct batch_origin){ batch->count - 1, index };
    return map_put(map, place->key, place, NULL) < 0 ? no_memory(err) : 0;
}

static int gather(struct batch *batch, const struct store_op *op, size_t index, struct err *err)
{
    const struct store_op *check = map_get(&batch->checks, op->key);

    if (op->kind != STORE_CHECK)
        return map_get(&batch->overlay.written, op->key) ? written_twice(batch, op->key, err)
                                                         : push(batch, &batch->overlay.written, op, index, err);
    if (map_get(&batch->overlay.written, op->key) || (check && check->expect == op->expect))
        return 0;
    return push(batch, &batch->checks, op, index, err);
}

int batch_op(struct batch *batch, const struct store_op *op, struct err *err)
{
    return gather(batch, op, BATCH_NONE, err);
}

static int gather_all(struct batch *batch, struct write *write, bool unchanged, struct err *err)
{
    int code = 0;

    write->txn.result.values = arena_array_of(&batch->arena, write->count, struct blob *);
    if (!write->txn.result.values)
        return no_memory(err);
    for (size_t i = 0; i < write->count && code == 0; i++) {
        struct store_op op = write->ops[i];

        if (unchanged) /* nothing is written, but it must still be what was looked at */
            op.kind = STORE_CHECK;
        if (!unchanged || i == write->main_op)
            code = gather(batch, &op, i, err);
    }
    return code;
}

int batch_add(struct batch *batch, struct write *write, struct err *err)
{
    struct request *request = write->request;
    int code;

    batch->writes[batch->count - 1] = write;
    write->attempts = batch->attempts;
    if (!str_empty(write->name)) {
        struct str key = request_key(request, write->ns, write->name);

        if (!key.data)
            return no_memory(err);
        if (map_get(&batch->overlay.written, key))
            return written_twice(batch, key, err);
    }
    if ((code = write->plan(write, err)) < 0 || (code = gather_all(batch, write, code == WRITE_DONE, err)) < 0)
        return code;
    batch->failed = BATCH_NONE;
    return 0;
}

/* -- the commit -- */

static int begin(struct batch *batch, struct err *err)
{
    clear_attempt(batch);
    batch->attempts++;
    batch->ops = arena_array_of(&batch->arena, STORE_OPS_MAX, struct store_op);
    batch->origins = arena_array_of(&batch->arena, STORE_OPS_MAX, struct batch_origin);
    batch->result = (struct store_result){ .values = arena_array_of(&batch->arena, STORE_OPS_MAX, struct blob *) };
    return batch->ops && batch->origins && batch->result.values ? 0 : no_memory(err);
}

/* The comparisons alone. */
static int compare(struct batch *batch, struct err *err)
{
    AUTO(store_snapshot) snapshot = NULL;
    int code = store_snapshot_open(batch->request->server->options.store, 0, &snapshot, err);

    for (size_t i = 0; i < batch->op_count && code == 0; i++) {
        struct store_item item = { .revision = STORE_ABSENT };

        if (batch->ops[i].expect == STORE_ANY)
            continue;
        code = store_get(snapshot, batch->ops[i].key, &item, err);
        if (code == -ERR_NOT_FOUND) {
            err_clear(err);
            code = 0;
        }
        if (code == 0 && item.revision != batch->ops[i].expect) {
            batch->result.failed_op = i;
            return err_set(err, ERR_CONFLICT, "another write came first");
        }
    }
    if (code == 0)
        batch->result.revision = store_snapshot_revision(snapshot);
    return code;
}

static int commit(struct batch *batch, struct err *err)
{
    if (batch->request->dry_run)
        return compare(batch, err);
    if (!batch->op_count) { /* all is as it is wanted */
        batch->result.revision = store_revision(batch->request->server->options.store);
        return 0;
    }
    return store_commit(batch->request->server->options.store, batch->ops, batch->op_count, &batch->cause,
                        &batch->result, err);
}

/* 0: plan all again. */
static int conflict(struct batch *batch, struct err *err)
{
    const struct batch_origin *origin = &batch->origins[batch->result.failed_op];
    struct write *write = batch->writes[origin->write];
    int code = 0;

    batch->failed = origin->write;
    if (!write || origin->op == BATCH_NONE)
        return batch->attempts < ATTEMPTS_MAX ? 0 : err_set(err, ERR_CONFLICT, "other writes came first, again and again");
    write->txn.result.failed_op = origin->op;
    if (batch->attempts >= ATTEMPTS_MAX)
        return fail_modified(write->request, write->name, err);
    err_clear(err);
    if (write->conflict)
        code = write->conflict(write, err);
    return code;
}

/* What the commit left of each operation, to the write that it came from. */
static void hand_out(struct batch *batch)
{
    for (size_t i = 0; i < batch->op_count; i++) {
        struct write *write = batch->writes[batch->origins[i].write];
        struct blob *value = TAKE(batch->result.values[i]);

        if (write && write->txn.result.values && batch->origins[i].op != BATCH_NONE)
            write->txn.result.values[batch->origins[i].op] = value;
        else
            blob_unref(value);
    }
}

static void finish(struct batch *batch)
{
    for (size_t i = 0; i < batch->count; i++) {
        struct write *write = batch->writes[i];
        struct request *request = batch->requests[i];
        struct err err = { 0 };
        int code = 0;

        if (!write || request->reply.status)
            continue;
        request->dry_run = batch->request->dry_run;
        if (request->dry_run)
            code = write_finish_dry_run(write, &err);
        else {
            if (request->rules && request->rules->committed)
                request->rules->committed(request);
            code = write_finish(write, &err);
        }
        if (code < 0)
            reply_error(request, &err);
    }
}

int batch_run(struct batch *batch, struct err *err)
{
    int code;

    do {
        if ((code = begin(batch, err)) < 0 || (code = batch->plan(batch, err)) < 0)
            break;
        if ((code = commit(batch, err)) == 0) {
            hand_out(batch);
            finish(batch);
            return 0;
        }
        if (code != -ERR_CONFLICT)
            break;
    } while ((code = conflict(batch, err)) == 0 && (code = newest_wait(batch->request->server, err)) == 0);
    if (batch->arena.starved)
        batch->request->arena->starved = true;
    return code;
}

int batch_fail(struct batch *batch, struct err *err)
{
    struct request *request = batch->request;
    struct failure own = request->failure;

    if (batch->failed < batch->count) {
        const struct request *failed = batch->requests[batch->failed];

        request->failure = failed->failure;
        request->failure.origin = arena_printf(request->arena, "%s[%zu]", batch->label, batch->failed);
        err_wrap(err, -(int)err->code, "%s[%zu]", batch->label, batch->failed);
        request->failure.origin_message =
            arena_printf(request->arena, "%s " STR_FMT, http_method_name(failed->method),
                         STR_ARG(str_first(failed->info.path, 1024)));
    }
    reply_error(request, err);
    request->failure = own; /* the other's is in the batch's arena */
    return 0;
}
